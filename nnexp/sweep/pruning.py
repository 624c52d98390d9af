"""Pruners: which trials are given up before their end. Optuna's by their names, and one for several objectives."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number, nearest
from nnexp.sweep.samplers import SamplerError, frozen, quiet
from nnexp.sweep.space import Direction, Space
from nnexp.sweep.store import Trial

PRUNERS = {
    "none": "every trial goes to its end",
    "median": "what is worse than half of the trials were at that step",
    "percentile": "what is worse than a share of the trials were at that step",
    "successive_halving": "the better part of the trials at a step goes on to a later one",
    "hyperband": "several successive halvings with different first steps",
    "threshold": "what is beyond a bound",
    "wilcoxon": "what is worse than the best trial, fold by fold, by a signed-rank test; folds are then fitted one by one",
    "dominance": "what is worse at no lower cost than most trials were; for several objectives",
}
# Steps at which a stack in training is scored and may be pruned.
REPORTS = tuple(2**i for i in range(32))


@dataclass(frozen=True)
class Pruning:
    """A pruner and its settings.

    Parameters
    ----------
    name : str, default="none"
    settings : mapping, default=None
        Of Optuna's class, such as ``{"n_startup_trials": 10}``; for ``"dominance"`` ``n_startup_trials`` (10), ``n_warmup_steps``
        (4), the steps before which nothing is pruned, and ``share`` (0.5), the share of trials that must have been better.
    directions : sequence of str
        ``"minimize"`` or ``"maximize"`` for each objective.

    Raises
    ------
    SamplerError
        If the pruner is not known, or not for these objectives.
    """

    name: str
    settings: Mapping[str, Any]
    directions: tuple[Direction, ...]

    def __post_init__(self) -> None:
        if self.name not in PRUNERS:
            raise SamplerError(f"unknown pruner {quoted(self.name)}. {nearest(self.name, PRUNERS)}")
        if len(self.directions) > 1 and self.name not in ("none", "dominance"):
            raise SamplerError(f"The pruner {quoted(self.name)} has one objective; take 'dominance' for several.")
        if self.name == "dominance" and tuple(self.directions) != ("maximize", "minimize"):
            raise SamplerError("The pruner 'dominance' is for two objectives, a score and 'evaluations'.")
        if self.name == "none" and self.settings:
            raise SamplerError("The pruner 'none' has no settings.")
        if self.name == "dominance":
            for key in self.settings:
                check_choice("pruner", key, ["n_startup_trials", "n_warmup_steps", "share"])
            try:
                check_number("pruner share", self.settings.get("share", 0.5), low=0.0, high=1.0)
                for key in ("n_startup_trials", "n_warmup_steps"):
                    check_number(f"pruner {key}", self.settings.get(key, 1), low=0, integer=True)
            except (TypeError, ValueError) as error:
                raise SamplerError(str(error)) from error
        elif self.name != "none":
            self._make()

    @property
    def is_on(self) -> bool:
        """Whether anything is ever pruned."""
        return self.name != "none"

    @property
    def by_fold(self) -> bool:
        """Whether what is reported is each fold's score, one after the other."""
        return self.name == "wilcoxon"

    def _make(self) -> Any:
        import optuna

        classes = {
            "median": optuna.pruners.MedianPruner, "percentile": optuna.pruners.PercentilePruner,
            "successive_halving": optuna.pruners.SuccessiveHalvingPruner, "hyperband": optuna.pruners.HyperbandPruner,
            "threshold": optuna.pruners.ThresholdPruner, "wilcoxon": optuna.pruners.WilcoxonPruner,
        }  # fmt: skip
        settings = dict(self.settings)
        if self.name == "percentile":
            settings.setdefault("percentile", 25.0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is experimental
                return classes[self.name](**settings)
        except (TypeError, ValueError) as error:
            raise SamplerError(f"The pruner {quoted(self.name)} cannot be made with these settings: {error}") from error

    def judge(self, space: Space, shown: Sequence[Trial], number: int) -> PruningJudge:
        """Return what decides about one trial, by those that are shown."""
        if self.name == "dominance":
            return _Dominance(self, shown)
        return _ByOptuna(self, space, shown, number)


class PruningJudge:
    """Decides about one trial.

    Attributes
    ----------
    rungs : dict
        What is to be noted with the trial, for the pruner to see later.
    """

    rungs: dict[str, Any]

    def __call__(self, step: int, value: float, cost: float) -> bool:
        """Return whether to give up, after a report."""
        raise NotImplementedError


class _ByOptuna(PruningJudge):
    def __init__(self, pruning: Pruning, space: Space, shown: Sequence[Trial], number: int) -> None:
        import optuna

        self._pruner = pruning._make()

        class Numbered(optuna.pruners.BasePruner):  # type: ignore[misc, unused-ignore]
            """Asks the pruner about a trial by the number that it has in its own study."""

            def prune(self, study: Any, trial: Any) -> bool:
                trial.number = number
                return bool(pruner.prune(study, trial))

        pruner = self._pruner
        with quiet():
            # The name and the numbers decide a trial's bracket in Hyperband.
            self._study = optuna.create_study(
                direction=pruning.directions[0],
                study_name="nnexp",
                pruner=Numbered(),
                sampler=optuna.samplers.RandomSampler(),
            )
            known = {trial.number: trial for trial in shown}
            gap = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)  # so that each keeps its number
            every = range(max(known, default=-1) + 1)
            self._study.add_trials([frozen(known[n], space) if n in known else gap for n in every])
            self._trial = self._study.ask()

    def __call__(self, step: int, value: float, cost: float) -> bool:
        if not np.isfinite(value):
            return False
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            self._trial.report(value, step)
            return bool(self._trial.should_prune())

    @property
    def rungs(self) -> dict[str, Any]:  # type: ignore[override]
        """What the pruner has noted."""
        return dict(self._study.get_trials(deepcopy=False)[self._trial.number].system_attrs)


class _Dominance(PruningJudge):
    """Gives up where most trials were better at no higher cost, as their curves tell."""

    def __init__(self, pruning: Pruning, shown: Sequence[Trial]) -> None:
        settings = pruning.settings
        self.rungs = {}
        self._sign = 1.0 if pruning.directions[0] == "minimize" else -1.0
        self._share, self._warmup = settings.get("share", 0.5), settings.get("n_warmup_steps", 4)
        self._paths = [
            np.array(trial.record["path"], dtype=float).reshape(-1, 2)
            for trial in shown
            if trial.state in ("complete", "pruned") and trial.record.get("path")
        ]
        self._ready = len(self._paths) >= settings.get("n_startup_trials", 10)

    def __call__(self, step: int, value: float, cost: float) -> bool:
        if not self._ready or step < self._warmup or not np.isfinite(value):
            return False
        better = 0
        for path in self._paths:
            earlier = path[path[:, 0] <= cost, 1]
            better += bool(earlier.size and (self._sign * earlier).min() < self._sign * value)
        return better > self._share * len(self._paths)
