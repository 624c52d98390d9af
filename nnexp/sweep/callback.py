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
    monitor : {"validation_error", "validation_score", "error"}, default="validation_error"
        What is reported. A study that maximises needs ``"validation_score"``.

    Notes
    -----
    A pruned fit raises `optuna.TrialPruned`, which the study catches; the model is left as it was before. Of several
    networks the mean is reported, so that cross-fitting prunes by all folds at once.

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

    def __init__(self, trial: Any, monitor: str = "validation_error") -> None:
        self.trial = trial
        self.monitor = check_choice(
            "OptunaPruning(monitor=...)", monitor, ["validation_error", "validation_score", "error"]
        )

    def on_step(self, state: Any) -> None:
        """Report, and raise TrialPruned if the pruner says so."""
        value = state.row[self.monitor]
        if value != value:
            raise ValueError(
                f"OptunaPruning(monitor={quoted(self.monitor)}) needs validation data: validation='holdout', or X_val and y_val."
            )
        self.trial.report(value, state.step)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"Pruned at step {state.step}: {self.monitor} = {value:.5g}.")
