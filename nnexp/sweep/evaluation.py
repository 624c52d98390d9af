"""What a trial is worth: its scores on each fold, what they cost, and how it ended."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from nnexp._errors import is_of_the_machine, quoted
from nnexp._identity import FITTING, Unstable, key_of, key_of_data, libraries, own_code
from nnexp._threads import one_thread
from nnexp._version import __version__
from nnexp.estimator import BackpropMLP
from nnexp.parts import plugins_in
from nnexp.scoring import Scorer
from nnexp.sweep.pruning import REPORTS, Pruning, PruningJudge
from nnexp.sweep.samplers import seed_of
from nnexp.sweep.space import Direction, Space
from nnexp.sweep.store import Outcome, Trial
from nnexp.together import Fit, can_stack, fit_alone, fit_together, last_step
from nnexp.training import ALGORITHMS
from nnexp.training.loop import Training

Array = NDArray[Any]

COSTS = {"evaluations": "what training cost, in forward passes of one network over one sample"}


def points_of_curves(n_trials: int, n_folds: int) -> int:
    """Return how many points of each learning curve are kept, so that those of many trials still fit the memory."""
    return int(np.clip(_ALL_POINTS // max(1, n_trials * n_folds), 4, _POINTS))


def directions_of(objectives: Sequence[str]) -> list[Direction]:
    """Return which way each objective is better."""
    return ["minimize" if name in COSTS else "maximize" for name in objectives]


# Networks that train as one stack: more gain little, and keep other processes waiting.
_STACK = 16
# Tables of folds are kept in memory up to this size, in bytes.
_KEPT = 1 << 28
# Points of a learning curve that are kept, and of those of all trials together.
_POINTS, _ALL_POINTS = 50, 2_000_000
# What may differ between the networks of a stack.
_FREE = ("learning_rate", "l1", "l2", "weight_decay", "dropout", "clip_norm", "class_weight")
_LIBRARIES = ["numpy", "scipy", "scikit-learn"]


@dataclass(frozen=True)
class Job:
    """A trial to be evaluated.

    Attributes
    ----------
    number : int
    parameters : dict
        Of the estimator.
    """

    number: int
    parameters: dict[str, Any]


@dataclass
class TrialScorer:
    """Everything that the trials of a study share; it is sent to each process once.

    Attributes
    ----------
    estimator : estimator
        What the parameters of a trial are set in.
    X, y : array-like
    splits : list of pairs of arrays
        Rows of training and of test, for each fold.
    scoring : mapping of str to str or callable
        The scores by name; higher is better.
    objectives : list of str
        Names of scores, or ``"evaluations"``.
    space : Space
    pruning : Pruning
    seed : int
    max_seconds : float or None
        Of a trial.
    params : dict
        Further arguments of ``fit``, with an entry for each sample where they have one.
    score_params : dict
        The same of the scorer.
    train_scores : bool
        Whether training rows are scored too.
    curve_points : int
        Points of a learning curve that are kept, evenly spaced.
    """

    estimator: Any
    X: Any
    y: Any
    splits: list[tuple[Array, Array]]
    scoring: Mapping[str, Any]
    objectives: list[str]
    space: Space
    pruning: Pruning
    seed: int = 0
    max_seconds: float | None = None
    params: dict[str, Any] = field(default_factory=dict)
    score_params: dict[str, Any] = field(default_factory=dict)
    train_scores: bool = False
    curve_points: int = _POINTS
    _folds: dict[int, tuple[Any, Any, Any, Any]] = field(default_factory=dict, repr=False)
    _key: str | None = field(default=None, repr=False)
    without_key: list[str] = field(default_factory=list, repr=False)
    _in_step: bool | None = field(default=None, repr=False)

    @property
    def directions(self) -> list[Direction]:
        """Which way each objective is better."""
        return directions_of(self.objectives)

    @property
    def fold_sizes(self) -> tuple[float, float]:
        """Rows of training and of test, the mean over the folds."""
        training, test = (float(np.mean([len(rows) for rows in part])) for part in zip(*self.splits, strict=True))
        return training, test

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_folds": {}, "_in_step": None}

    # What is worth keeping

    def key(self) -> str:
        """Return a hash of everything but a trial's parameters that decides its scores."""
        if self._key is None:
            unstable = Unstable()
            more = sorted(
                {**self.params, **{f"score {name}": scores for name, scores in self.score_params.items()}}.items()
            )
            data = [key_of_data(part) for part in (self.X, self.y, *(scores for _, scores in more))]
            splits = [np.ascontiguousarray(rows) for pair in self.splits for rows in pair]
            plugins = plugins_in([self.estimator.get_params(), self.space.declaration])
            what = (self.objectives, self.scoring, self.seed, self.max_seconds, self.train_scores)
            decides = (__version__, code_of_evaluations(), libraries(), plugins, self.estimator, *what)
            self._key = key_of(*decides, [name for name, _ in more], data, splits, unstable=unstable)
            self.without_key = unstable.named[:1]
        return self._key

    def key_of(self, key: str, parameters: Mapping[str, Any]) -> str:
        """Return the hash of a configuration, given that of what is shared."""
        return key_of(key, _as_text(parameters))

    def units(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Put together the trials that train as one stack; it does not depend on the number of processes."""
        if self.by_fold or self.max_seconds is not None:
            return [[job] for job in jobs]
        most = max(1, _STACK // len(self.splits))
        groups: dict[str, list[Job]] = {}
        for job in jobs:
            fixed = {name: value for name, value in job.parameters.items() if name.rpartition("__")[2] not in _FREE}
            groups.setdefault(_as_text(fixed), []).append(job)
        return [group[i : i + most] for group in groups.values() for i in range(0, len(group), most)]

    @property
    def by_fold(self) -> bool:
        """Whether the folds of a trial are fitted one after the other, instead of as one stack."""
        if self.pruning.by_fold or not can_stack(self.estimator):
            return True
        last = last_step(self.estimator)
        names = {name.rpartition("__")[2] for name in self.space.names}
        if "algorithm" not in names and not ALGORITHMS.resolve(last.algorithm, "algorithm").stacks:
            return True
        return (self.pruning.is_on or self.max_seconds is not None) and not self._trains_in_step()

    def _trains_in_step(self) -> bool:
        """Whether all folds have networks of one shape, so that they can be looked at together while they train."""
        if self._in_step is None:
            shapes: set[Any] = set()
            try:
                size = 0
                for number in range(len(self.splits)):
                    X, y, _, _ = self._fold(number)
                    classes = (
                        len(np.unique(y))
                        if getattr(self.estimator, "_estimator_type", "") == "classifier"
                        or (np.asarray(y).dtype.kind not in "f")
                        else 0
                    )
                    shapes.add((np.shape(X)[1], classes))
                    size += _bytes(X)
                self._in_step = len(shapes) == 1 and size <= _KEPT
            except Exception:  # what is wrong with the data is said by each trial
                self._in_step = False
        return self._in_step

    # Doing it

    def evaluate(self, jobs: Sequence[Job], shown: Sequence[Trial] = ()) -> list[Outcome]:
        """Evaluate trials, and return how each ended; nothing that goes wrong in one is raised."""
        with one_thread(everything=True):
            if self.by_fold:
                return [self._one_by_one(job, shown) for job in jobs]
            return self._as_a_stack(jobs, shown)

    def raise_again(self, parameters: dict[str, Any]) -> None:
        """Fit and score each fold as a trial does, and let what goes wrong be raised."""
        for fold in range(len(self.splits)):
            X, y, _, _ = self._fold(fold)
            fit = Fit(self._model(Job(0, parameters), fold), X, y, self._fit_params(fold), whole=self._whole)
            fit_alone(fit)
            self._train_and_test(fit, fold)

    def _fold(self, number: int) -> tuple[Any, Any, Any, Any]:
        """Return X and y of training and test, prepared where the preparation does not vary.

        They are kept for the next trial. An estimator that may write into them, as some do that are told not to copy, is given
        copies; a BackpropMLP does not.
        """
        fold = self._kept_fold(number)
        last = self.estimator.steps[-1][1] if self._head is not None else self.estimator
        return fold if isinstance(last, BackpropMLP) or number not in self._folds else copy.deepcopy(fold)

    def _kept_fold(self, number: int) -> tuple[Any, Any, Any, Any]:
        if number in self._folds:
            return self._folds[number]
        train, test = self.splits[number]
        X_train, y_train = _safe_split(self.estimator, self.X, self.y, train)
        X_test, y_test = _safe_split(self.estimator, self.X, self.y, test, train)
        if self._head is not None:
            head = clone(self._head)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                X_train, X_test = head.fit_transform(X_train, y_train), head.transform(X_test)
        fold = X_train, y_train, X_test, y_test
        if sum(_bytes(part) for part in fold) * len(self.splits) <= _KEPT:
            self._folds[number] = fold
        return fold

    @property
    def _head(self) -> Any:
        """The steps before the last one, where they are the same for all trials; else None."""
        if not isinstance(self.estimator, Pipeline) or len(self.estimator.steps) < 2 or self.params:
            return None
        last = self.estimator.steps[-1][0]
        if any(not name.startswith(f"{last}__") for name in self.space.names):
            return None
        if any("random_state" in name for name in self.estimator[:-1].get_params()):
            return None
        return self.estimator[:-1]

    @property
    def _whole(self) -> Any:
        """The table that folds are parts of, where the model is given it as it is."""
        return self.X if self._head is None else None

    def _model(self, job: Job, fold: int) -> Any:
        model = clone(self.estimator).set_params(**job.parameters)
        # What a configuration becomes depends on it and on the fold, and not on when it was tried.
        text = _as_text(job.parameters)
        seed = seed_of(self.seed, "fit", text, fold)
        for name in model.get_params():
            if name.rpartition("__")[2] == "random_state":
                model.set_params(**{name: seed})
        if self._head is not None:
            return model.steps[-1][1]
        return model

    def _fit_params(self, fold: int) -> dict[str, Any]:
        return dict(_check_method_params(self.X, self.params, indices=self.splits[fold][0]))

    def _scores(self, model: Any, X: Any, y: Any, rows: Array | None = None) -> dict[str, float]:
        scorer = check_scoring(model, scoring=dict(self.scoring), raise_exc=True)
        params = {} if rows is None else _check_method_params(self.X, self.score_params, indices=rows)
        given = scorer(model, X, y, **params)
        for name in [name for name, value in given.items() if isinstance(value, dict)]:
            given |= given.pop(name)  # a scorer that returns several scores
        scores = {name: float(value) for name, value in given.items()}
        for name, value in scores.items():
            if not math.isfinite(value):
                raise ValueError(f"The score {name} is {value}.")
        return scores

    def score_now(self, name: str, model: Any, X: Any, y: Any, rows: Array) -> float:
        """Return one score of a network in training; the usual ones without scikit-learn's checks, which take milliseconds."""
        quick = None if self.score_params else _quick_of(self.scoring[name], model)
        if quick is not None and np.ndim(y) == 1:
            return quick(model, X, np.asarray(y))
        one = replace(self, scoring={name: self.scoring[name]})
        return one._scores(model, X, y, rows)[name]

    def _as_a_stack(self, jobs: Sequence[Job], shown: Sequence[Trial]) -> list[Outcome]:
        folds = range(len(self.splits))
        trials = [_InTraining(self, job, shown) for job in jobs]
        try:
            for fold in folds:
                self._fold(fold)
        except Exception as error:  # the preparation
            for trial in trials:
                trial.error = error
            return [trial.outcome([]) for trial in trials]
        fits: list[Fit] = []
        for trial in trials:
            for fold in folds:
                X, y, _, _ = self._fold(fold)
                try:
                    model = self._model(trial.job, fold)
                except Exception as error:
                    trial.error = error
                    break
                fits.append(Fit(model, X, y, self._fit_params(fold), whole=self._whole))
                trial.fits.append(len(fits) - 1)
        taking_part = [trial for trial in trials if trial.error is None]
        watched = self.pruning.is_on or self.max_seconds is not None
        begun = time.perf_counter()

        def watch(training: Training, stood: Mapping[int, tuple[Callable[[], BackpropMLP], slice]]) -> None:
            for trial in taking_part:
                stopped = [stood[i] for i in trial.fits if i in stood]
                if len(stopped) == len(folds):
                    trial.look(training, stopped, time.perf_counter() - begun)

        fit_together(
            [fit for trial in taking_part for fit in (fits[i] for i in trial.fits)], watch=watch if watched else None
        )
        outcomes = []
        for trial in trials:
            fits_of_trial = [fits[i] for i in trial.fits]
            trial.check_stopped(fits_of_trial)
            if trial.error is None:
                trial.error = next((fit.error for fit in fits_of_trial if fit.error is not None), None)
            outcomes.append(trial.outcome(fits_of_trial))
        return outcomes

    def _one_by_one(self, job: Job, shown: Sequence[Trial]) -> Outcome:
        trial = _InTraining(self, job, shown)
        reasons: list[Fit] = []
        begun = time.perf_counter()
        try:
            with _no_longer_than(self.max_seconds):
                for fold in range(len(self.splits)):
                    X, y, _, _ = self._fold(fold)
                    fit = Fit(self._model(job, fold), X, y, self._fit_params(fold), whole=self._whole)
                    reasons.append(fit)
                    with fit.watched():
                        fit_alone(fit)
                    if isinstance(fit.error, _TooLongError):
                        raise fit.error
                    if fit.error is not None:
                        trial.error = fit.error
                        break
                    trial.scored(fold, fit, self._train_and_test(fit, fold))
                    late = self.max_seconds is not None and time.perf_counter() - begun > self.max_seconds
                    if late:
                        raise _TooLongError
                    if self.pruning.is_on and fold + 1 < len(self.splits) and trial.report_fold(fold):
                        break
        except _TooLongError:
            trial.error = None
            trial.problem = f"It took longer than max_seconds={self.max_seconds:g}."
        except Exception as error:
            trial.error = error
        return trial.outcome(reasons)

    def _train_and_test(self, fit: Fit, fold: int) -> dict[str, float]:
        _, _, X_test, y_test = self._fold(fold)
        train, test = self.splits[fold]
        scores = self._scores(fit.model, X_test, y_test, test)
        if self.train_scores:
            score = self._scores(fit.model, fit.X, fit.y, train)
            scores |= {f"train_{name}": value for name, value in score.items()}
        return scores


class _TooLongError(Exception):
    pass


class _InTraining:
    """A trial while it is evaluated."""

    def __init__(self, whole: TrialScorer, job: Job, shown: Sequence[Trial]) -> None:
        self.job, self._whole = job, whole
        self.fits: list[int] = []
        self.error: Exception | None = None
        self.problem = ""
        self.pruned_at: int | None = None
        self._steps: dict[int, float] = {}
        self._path: list[tuple[float, float]] = []
        self._scores: list[dict[str, float]] = []
        self._extra_cost = 0
        self._judge: PruningJudge | None = None
        if whole.pruning.is_on:
            self._judge = whole.pruning.judge(whole.space, shown, job.number)

    def look(self, training: Training, stood: list[tuple[Callable[[], BackpropMLP], slice]], seconds: float) -> None:
        """Look on at the folds in training: report, and stop where the pruner or the time says so."""
        members = [member for _, span in stood for member in range(span.start, span.stop)]
        if all(training.stop_reason[member] for member in members):
            return
        if self._whole.max_seconds is not None and seconds > self._whole.max_seconds:
            self.problem = f"It took longer than max_seconds={self._whole.max_seconds:g}."
            self._stop(training, members, self.problem)
            return
        step = int(training.n_iter[members].max())
        if self._judge is None or step not in _REPORTS:
            return
        name = self._whole.objectives[0]
        values = []
        for fold, (model, _) in enumerate(stood):
            _, _, X_test, y_test = self._whole._fold(fold)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shown = model()
                    values.append(self._whole.score_now(name, shown, X_test, y_test, self._whole.splits[fold][1]))
            except Exception:
                return  # what cannot be scored now says so at its end
            self._extra_cost += len(self._whole.splits[fold][1]) * shown.model_.n_networks
        value, cost = float(np.mean(values)), float(training.evaluations[members].sum() + self._extra_cost)
        if self._report(step, value, cost):
            self._stop(training, members, f"Pruned at step {step}.")

    def _report(self, step: int, value: float, cost: float) -> bool:
        self._steps[step] = value
        self._path.append((cost, value))
        assert self._judge is not None
        if self._judge(step, value, cost):
            self.pruned_at = step
            return True
        return False

    def report_fold(self, fold: int) -> bool:
        """Report a fold: its own score to the test that compares folds, else the mean so far."""
        name = self._whole.objectives[0]
        values = [scores[name] for scores in self._scores]
        return self._report(fold + 1, values[-1] if self._whole.pruning.by_fold else float(np.mean(values)), 0.0)

    def check_stopped(self, fits: list[Fit]) -> None:
        """Forget what was seen of a training that failed and was done again, each fit by itself."""
        reasons = [getattr(fit.network, "stop_reason_", "") for fit in fits if fit.error is None]
        if self.pruned_at is not None and not any(f"Pruned at step {self.pruned_at}." in reason for reason in reasons):
            self.pruned_at, self._steps, self._path, self._extra_cost = None, {}, [], 0

    def _stop(self, training: Training, members: list[int], reason: str) -> None:
        for member in members:
            training.stop_reason[member] = training.stop_reason[member] or reason

    def scored(self, fold: int, fit: Fit, scores: dict[str, float]) -> None:
        """Note a fold's scores."""
        self._scores.append(scores)

    def outcome(self, fits: list[Fit]) -> Outcome:
        """Return how it ended, with what all folds have cost."""
        whole = self._whole
        if self.error is None and not self.problem:
            for fit in fits:
                messages = [str(w.message) for w in fit.warnings if w.category is ConvergenceWarning]
                self.problem = self.problem or next((s for s in messages if "infinite or NaN" in s), "")
        if self.error is None and not self.problem and len(self._scores) < len(fits):
            for fold, fit in enumerate(fits):
                with fit.watched():
                    self.scored(fold, fit, whole._train_and_test(fit, fold))
                if fit.error is not None:
                    self.error = fit.error
                    break
        if self._scores and whole.objectives[0] not in self._scores[0] and self.error is None:
            self.error = ValueError(
                f"The scorer gives {', '.join(self._scores[0])}, and not {quoted(whole.objectives[0])}."
            )
        if self.error is not None:
            self.problem = f"{type(self.error).__name__}: {str(self.error).strip()}"
        costs = [cost_of(fit.model) for fit in fits if fit.error is None]
        known = [cost for cost in costs if cost is not None]
        cost = sum(known) + self._extra_cost if known else None
        if cost is None and not self.problem and any(name in COSTS for name in whole.objectives):
            self.problem = f"{type(whole.estimator).__name__} does not tell what it cost, which is an objective."
        names = list(self._scores[0]) if self._scores else []
        scores = {name: [scores[name] for scores in self._scores] for name in names}
        record: dict[str, Any] = {"scores": scores, "evaluations": cost, "problem": self.problem.split("\n")[0]}
        record["seconds"] = round(sum(fit.seconds for fit in fits), 6)
        if is_of_the_machine(self.error):
            record["problem"] += " That is no result: the same command tries it again."
            record["is_result"] = False
        if self.pruned_at is not None:
            record["pruned_at"] = self.pruned_at
        if len(whole.objectives) > 1 and self._path:
            record["path"] = self._path
        state = "fail" if self.problem else "pruned" if self.pruned_at is not None else "complete"
        values: list[float] = []
        if state == "complete":
            values = [float(cost or 0) if name in COSTS else float(np.mean(scores[name])) for name in whole.objectives]
        elif state == "pruned":
            values = [list(self._steps.values())[-1]]
            if whole.pruning.by_fold:
                values = [float(np.mean(list(self._steps.values())))]
            if len(whole.objectives) > 1:
                values.append(float(cost or 0))
        rungs = {} if self._judge is None else self._judge.rungs
        return Outcome(self.job.number, state, values, record, self._steps, rungs, _curves(fits, whole.curve_points))


def _quick_log_loss(model: BackpropMLP, X: Any, y: Array) -> float:
    probabilities = model.predict_proba(X)
    least = np.finfo(probabilities.dtype).eps
    right = probabilities[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return float(np.log(np.clip(right, least, 1 - least)).mean())


def _quick_accuracy(model: BackpropMLP, X: Any, y: Array) -> float:
    return float((model.predict(X) == y).mean())


def _quick_r2(model: BackpropMLP, X: Any, y: Array) -> float:
    return model.model_.target.hits(model.predict(X)[:, np.newaxis], y[:, np.newaxis], None)


_QUICK: dict[str, Callable[[BackpropMLP, Any, Array], float]] = {
    "neg_log_loss": _quick_log_loss, "accuracy": _quick_accuracy, "r2": _quick_r2,
}  # fmt: skip
_REPORTS = frozenset(REPORTS)


def _quick_of(score: Any, model: Any) -> Callable[[BackpropMLP, Any, Array], float] | None:
    """Return the quick form of a score for a model, if it has one."""
    if not isinstance(model, BackpropMLP):
        return None
    if isinstance(score, Scorer):
        knows_all = score.labels is None or len(score.labels) == len(getattr(model, "classes_", score.labels))
        return _QUICK.get(score.metric) if knows_all else None
    return _QUICK.get(str(score))


def cost_of(model: Any) -> int | None:
    """Return what fitting a model cost in evaluations, if it tells."""
    last = last_step(model)
    last = getattr(last, "regressor_", last)
    if isinstance(last, BackpropMLP) or hasattr(last, "evaluations_"):
        return int(getattr(last, "evaluations_", 0))
    if getattr(last, "t_", None) and hasattr(last, "loss_curve_"):
        return 3 * int(last.t_)  # each sample seen went forward and backward
    return None


def _curves(fits: list[Fit], points: int) -> dict[str, list[Any]]:
    """Return the learning curves of the folds, thinned."""
    table: dict[str, list[Any]] = {name: [] for name in ("fold", "step", "error", "validation_error", "evaluations")}
    for fold, fit in enumerate(fits):
        last = last_step(fit.model)
        if not isinstance(last, BackpropMLP) or not hasattr(last, "model_"):
            continue
        histories = [last.model_.history(i) for i in range(last.model_.n_networks)]
        length = min(len(history["step"]) for history in histories)
        if not length:
            continue
        rows = np.unique(np.linspace(0, length - 1, min(length, points)).round().astype(int))
        table["fold"] += [fold] * len(rows)
        table["step"] += [int(histories[0]["step"][i]) for i in rows]
        for name in ("error", "validation_error"):
            columns = np.array([np.asarray(history[name], dtype=float)[rows] for history in histories]).mean(axis=0)
            table[name] += [None if not math.isfinite(v) else float(f"{v:.6g}") for v in columns.tolist()]
        table["evaluations"] += [int(sum(history["evaluations"][i] for history in histories)) for i in rows]
    return table if table["fold"] else {}


def _no_longer_than(seconds: float | None) -> contextlib.AbstractContextManager[None]:
    """Raise _TooLongError in this thread, whichever it is, after some seconds."""
    if seconds is None:
        return contextlib.nullcontext()
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _alarm(seconds)
    return _timer(seconds)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Have the system interrupt this thread, which must be the main one: also one that sleeps."""

    def ring(*_: Any) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _timer(seconds: float) -> Iterator[None]:
    """Have another thread interrupt this one, between two steps of Python code."""
    thread, lock, over = threading.get_ident(), threading.Lock(), False

    def ring() -> None:
        with lock:
            if not over:
                _raise_in(thread, _TooLongError)

    clock = threading.Timer(seconds, ring)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        with lock:
            over = True
        clock.cancel()
        _raise_in(thread, None)  # what has rung and was not heard yet


def _raise_in(thread: int, error: type[Exception] | None) -> None:
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def code_of_evaluations() -> str:
    """Return a hash of the code that scores depend on."""
    return own_code(*FITTING, "sweep/evaluation")


def _as_text(parameters: Mapping[str, Any]) -> str:
    """Return parameters as a text that tells them from others, the same in each process."""
    return json.dumps(parameters, sort_keys=True, default=key_of)


def _bytes(part: Any) -> int:
    if part is None:
        return 0
    if hasattr(part, "nnz"):
        return 12 * int(part.nnz)
    if hasattr(part, "nbytes"):
        return int(part.nbytes)
    if hasattr(part, "memory_usage"):
        return int(np.sum(part.memory_usage(deep=False)))
    return 64 * len(part)
