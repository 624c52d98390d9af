"""A callback that lets a trial of an Optuna study of one's own be pruned."""

from __future__ import annotations

from typing import Any

from nnexp._errors import quoted
from nnexp._names import check_choice


class OptunaPruning:
    """Reports each step to an Optuna trial, and stops the fit where the study's pruner wants it to.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : {"auto", "validation_error", "validation_score", "error"}, default="auto"
        What is reported. ``"auto"`` is the validation error for a study that minimises, and the validation score for one that
        maximises; an error in a study that maximises, or a score in one that minimises, is refused.

    Notes
    -----
    A pruned fit raises `optuna.TrialPruned`, which the study catches; the model is left as it was before. Of several
    networks the mean is reported, so that cross-fitting prunes by all folds at once. What diverges is reported as NaN, which
    Optuna's pruners take for the worst.

    Raises
    ------
    ValueError
        Before the fit: for a study of several objectives, which Optuna does not prune; for a monitor that the study's direction
        would turn round; without validation data, if the monitor needs them.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP, OptunaPruning
    >>> X, y = load_iris(return_X_y=True)
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    ...     model = BackpropMLP(learning_rate=rate, validation="holdout", max_iter=20, callbacks=[OptunaPruning(trial)])
    ...     return model.fit(X, y).best_error_
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    >>> study.optimize(objective, n_trials=4)
    >>> len(study.trials)
    4
    """

    def __init__(self, trial: Any, monitor: str = "auto") -> None:
        self.trial = trial
        self.monitor = check_choice(
            "OptunaPruning(monitor=...)", monitor, ["auto", "validation_error", "validation_score", "error"]
        )

    @property
    def _reported(self) -> str:
        if self.monitor != "auto":
            return self.monitor
        return "validation_score" if self._maximises else "validation_error"

    @property
    def _directions(self) -> list[str]:
        """The study's directions; none for a trial that is repeated by itself, as ``objective(study.best_trial)`` does."""
        study = getattr(self.trial, "study", None)
        return [] if study is None else [direction.name for direction in study.directions]

    @property
    def _maximises(self) -> bool:
        return self._directions[:1] == ["MAXIMIZE"]

    def on_start(self, state: Any) -> None:
        """Refuse what cannot be pruned."""
        if not self._directions:
            return
        if len(self._directions) > 1:
            raise ValueError("OptunaPruning: Optuna prunes no study of several objectives.")
        if self.monitor != "auto" and self._maximises != (self.monitor == "validation_score"):
            way = "maximises" if self._maximises else "minimises"
            right = "validation_score" if self._maximises else "validation_error"
            raise ValueError(
                f"OptunaPruning(monitor={quoted(self.monitor)}): the study {way}, and would prune the best trials. "
                f"Take monitor={quoted(right)}."
            )
        if self._reported != "error" and not state.model().validated:
            raise ValueError(
                f"OptunaPruning(monitor={quoted(self._reported)}) needs validation data: validation='holdout', or X_val and y_val."
            )

    def on_step(self, state: Any) -> None:
        """Report, and raise TrialPruned if the pruner says so."""
        if not self._directions:
            return
        value = state.row[self._reported]
        self.trial.report(value, state.step)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"Pruned at step {state.step}: {self._reported} = {value:.5g}.")
