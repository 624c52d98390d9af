"""What has been blended: members, weights and one calibrated answer, as a value and as what estimators share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted, validate_data

from nnexp._errors import quoted
from nnexp.blending.calibration import Calibration
from nnexp.blending.weights import Evidence, greedy_weights
from nnexp.estimator import BackpropMLP
from nnexp.fitting.finish import score_and_error
from nnexp.intervals import Unseen, check_coverage, intervals, sets
from nnexp.model import OutOfFold
from nnexp.targets import Classes, Labels, Target

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that a blend learns from: those that weigh something.

    Attributes
    ----------
    target : Target
        What values stand for: a column for each class, each label or each output.
    expected : array of shape (n, n_outputs)
        In the units of values.
    weight : array of shape (n,), or None
    fold : array of int, shape (n,), or None
        None where there are too few to set any aside.
    numbers : array of int, shape (n,)
        Their numbers among the samples that were given.
    n_given : int
    training : tuple of arrays of int, or None
        For each fold the samples that what predicts it learns from; None for all that are not in it.
    """

    target: Target
    expected: Array
    weight: Array | None
    fold: Array | None
    numbers: Array
    n_given: int
    training: tuple[Array, ...] | None = None

    def training_parts(self) -> Iterator[Array]:
        """Yield for each fold the samples that what predicts it learns from."""
        assert self.fold is not None
        if self.training is not None:
            yield from self.training
            return
        for number in range(int(self.fold.max()) + 1):
            yield np.flatnonzero(self.fold != number)

    def trains_all_others(self) -> bool:
        """Whether what predicts a fold learns from all samples that are not in it, each once."""
        assert self.fold is not None
        others = (np.flatnonzero(self.fold != number) for number in range(int(self.fold.max()) + 1))
        return all(np.array_equal(np.sort(a), b) for a, b in zip(self.training_parts(), others, strict=True))


@dataclass(frozen=True, eq=False)
class Member:
    """One of what is blended.

    Attributes
    ----------
    name : str
    fitted : tuple of estimators
        Their average is what it predicts: one stack of networks, or an estimator for each fold.
    values : array of shape (n, n_outputs), or None
        Of the samples of a blend, each by what has not learnt from it.
    seconds : float
        What it took.
    without : tuple of int
        Folds whose answer it has no part in, since it was given up by the samples of the others; -1 for the answer of all.
    """

    name: str
    fitted: tuple[Any, ...]
    values: Array | None
    seconds: float
    without: tuple[int, ...] = ()

    def values_by_fold(self, X: Any, target: Target) -> Array:
        """Return what that which has not learnt from each fold predicts for X, shape (n_folds, n, n_outputs)."""
        if len(self.fitted) > 1:
            return np.stack([values_of(estimator, X, target) for estimator in self.fitted])
        each = self.fitted[0].values_of_each(X)
        if isinstance(target, Classes) and each.shape[2] == 1:
            each = np.concatenate([1.0 - each, each], axis=2)
        return np.asarray(each, dtype=np.float64)

    def values_of(self, X: Any, target: Target) -> Array:
        """Return what it predicts for X, shape (n, n_outputs)."""
        total: Array = sum(values_of(estimator, X, target) for estimator in self.fitted)  # type: ignore[assignment]
        return total / len(self.fitted)


def table_of(X: Any) -> Any:
    """Return X as something that rows can be cut from.

    Raises
    ------
    ValueError
        For what has one axis.
    """
    if hasattr(X, "tocsr"):
        return X.tocsr()
    if not isinstance(X, list | tuple) and not hasattr(X, "columns"):
        X = np.asarray(X)
    if getattr(X, "ndim", 2) == 1 or (isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) == 0):
        raise ValueError(
            "Expected 2D array, got 1D array instead. Reshape your data: X.reshape(-1, 1) for one feature, X.reshape(1, -1) for "
            "one sample."
        )
    return X


def values_of(estimator: Any, X: Any, target: Target) -> Array:
    """Return the predictions of any estimator in the form of a target: probabilities of all classes or labels, or numbers."""
    if target.is_numeric:
        return np.asarray(estimator.predict(X), dtype=np.float64).reshape(-1, target.n_outputs)
    given = estimator.predict_proba(X)
    if isinstance(target, Labels):
        if isinstance(given, list):  # of estimators that give a table for each label
            pairs = zip(given, estimator.classes_, strict=True)
            given = np.stack(
                [p[:, list(known).index(1)] if 1 in known else np.zeros(len(p)) for p, known in pairs], axis=1
            )
        return np.asarray(given, dtype=np.float64)
    assert isinstance(target, Classes)
    known = np.asarray(estimator.classes_)
    if np.array_equal(known, target.classes):
        return np.asarray(given, dtype=np.float64)
    place = np.minimum(np.searchsorted(target.classes, known), len(target.classes) - 1)
    if not (target.classes[place] == known).all():
        raise ValueError(f"{quoted(estimator)} has other classes than y: {quoted(known.tolist())}.")
    values = np.zeros((len(given), len(target.classes)))  # in another order, or of samples that lack a class
    values[:, place] = given
    return values


@dataclass(frozen=True, eq=False)
class ByFold:
    """What was chosen without each fold, and how far its predictions of the fold were off.

    Attributes
    ----------
    weights : array of shape (n_folds, n_members)
    calibrations : tuple of (Calibration or None)
    unseen : Unseen
    """

    weights: Array
    calibrations: tuple[Calibration | None, ...]
    unseen: Unseen


@dataclass(frozen=True, eq=False)
class Blended:
    """Members with their weights, and one calibrated answer.

    Attributes
    ----------
    target : Target
    members : tuple of Member
        Those whose weight is not 0, here or in what was chosen without a fold.
    weights : array of shape (n_members,)
    calibration : Calibration or None
        Of probabilities; None without samples that were set aside, and for numbers.
    out_of_fold : OutOfFold or None
    by_fold : ByFold or None
    rows : tuple of dict
        A row for each candidate: name, weight, loss out of fold, seconds.
    """

    target: Target
    members: tuple[Member, ...]
    weights: Array
    calibration: Calibration | None
    out_of_fold: OutOfFold | None
    by_fold: ByFold | None
    rows: tuple[dict[str, Any], ...]

    @property
    def weighty(self) -> list[Member]:
        """The members whose weight is not 0."""
        return [member for w, member in zip(self.weights, self.members, strict=True) if w]

    def values(self, X: Any) -> Array:
        """Return what the blend predicts for X, shape (n, n_outputs)."""
        used = [member if w else None for w, member in zip(self.weights, self.members, strict=True)]
        with _names_were_checked():
            parts = [np.zeros(0) if member is None else member.values_of(X, self.target) for member in used]
        return _answer(self.weights, parts, self.calibration)

    def values_by_fold(self, X: Any) -> Array:
        """Return what the blend would predict for X that has not learnt from each fold, shape (n_folds, n, n_outputs)."""
        assert self.by_fold is not None
        with _names_were_checked():
            parts = [member.values_by_fold(X, self.target) for member in self.members]
        chosen = zip(self.by_fold.weights, self.by_fold.calibrations, strict=True)
        return np.stack([_answer(w, [part[k] for part in parts], how) for k, (w, how) in enumerate(chosen)])


@contextlib.contextmanager
def _names_were_checked() -> Iterator[None]:
    """Keep members from saying once more what has been said of the names of columns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        yield


def _answer(weights: Array, values: Sequence[Array], calibration: Calibration | None) -> Array:
    """Return the weighted average of values, calibrated."""
    total: Array = sum(w * part for w, part in zip(weights, values, strict=True) if w)
    return total if calibration is None else calibration.apply(total)


def blend(samples: Samples, candidates: Sequence[Member], picks: int) -> Blended:
    """Weigh candidates by what they said of samples that they had not learnt from.

    Weights and calibration are chosen once by all samples, for what is predicted from now on, and once for each fold by all
    others: so the predictions out of fold, and their score, are of samples that chose nothing.

    Parameters
    ----------
    samples : Samples
    candidates : sequence of Member
    picks : int
        See `greedy_weights`.
    """
    target, expected, weight, fold = samples.target, samples.expected, samples.weight, samples.fold
    even = np.full(len(candidates), 1 / len(candidates))
    if fold is None:
        return Blended(
            target, tuple(candidates), even, None, None, None, _rows(candidates, even, np.full(len(candidates), np.nan))
        )
    values = [member.values for member in candidates]
    evidence = Evidence.of(values, target, expected, weight)  # type: ignore[arg-type]

    def choose(version: int, chosen_by: Array) -> tuple[Array, Calibration | None]:
        going = np.array([i for i, member in enumerate(candidates) if version not in member.without])
        weights = np.zeros(len(candidates))
        weights[going] = greedy_weights(evidence.of_some(going).select(chosen_by), picks)
        if target.is_numeric:
            return weights, None
        average = _answer(weights, [part[chosen_by] for part in values], None)  # type: ignore[index]
        of_each = None if weight is None else weight[chosen_by]
        return weights, Calibration.fit(average, expected[chosen_by], of_each, target.is_exclusive)

    predicted, chosen = np.empty_like(expected), []
    for number in range(int(fold.max()) + 1):
        apart = fold == number
        weights, calibration = choose(number, np.flatnonzero(~apart))
        chosen.append((weights, calibration))
        predicted[apart] = _answer(weights, [part[apart] for part in values], calibration)  # type: ignore[index]
    weights, calibration = choose(-1, np.arange(len(expected)))
    score, score_error = score_and_error(target, predicted, expected, weight)
    of_folds = np.stack([part for part, _ in chosen])
    kept = np.flatnonzero((weights > 0) | (of_folds > 0).any(axis=0))
    off = np.abs(predicted - expected)
    if isinstance(target, Classes):
        off = (1.0 - predicted)[expected > 0.5][:, np.newaxis]
    unseen = Unseen(off, fold, np.ones(len(fold)) if weight is None else weight / weight.mean())
    shown = target.shown(predicted)
    prediction = np.full((samples.n_given, *shown.shape[1:]), np.nan)
    prediction[samples.numbers] = shown
    return Blended(
        target,
        tuple(replace(candidates[int(i)], values=None) for i in kept),
        weights[kept],
        calibration,
        OutOfFold(prediction, score, score_error),
        ByFold(of_folds[:, kept], tuple(calibration for _, calibration in chosen), unseen),
        _rows(candidates, weights, evidence.losses(evidence.of_each)),
    )


def _rows(candidates: Sequence[Member], weights: Array, losses: Array) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"name": member.name, "weight": float(weight), "loss": float(loss), "seconds": member.seconds}
        for member, weight, loss in zip(candidates, weights, losses, strict=True)
    )


def _blended_of(estimator: Any) -> Blended | None:
    return vars(estimator).get("_blended")


class _FromBlend:
    """An attribute that is there after a fit, and tells what the blend says."""

    def __init__(self, read: Callable[[Blended], Any], doc: str) -> None:
        self._read, self.__doc__ = read, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        blended = _blended_of(estimator)
        if blended is None:
            raise AttributeError(f"{self._name} exists after fit.")
        return self._read(blended)


_fitted: Any = _FromBlend


def _classes(blended: Blended) -> Array:
    if not isinstance(blended.target, Classes | Labels):
        raise AttributeError("classes_ is for classifications.")
    return blended.target.classes


def _out_of_fold(blended: Blended) -> OutOfFold:
    if blended.out_of_fold is None:
        raise AttributeError("Nothing was predicted out of fold: there were less than 80 samples, or a single group.")
    return blended.out_of_fold


def _temperature(blended: Blended) -> float:
    if blended.calibration is None:
        raise AttributeError("temperature_ is for classifications with enough samples to set some aside.")
    return blended.calibration.temperature


def _is_classification(estimator: Any) -> bool:
    if estimator._task != "classification":
        raise AttributeError("predict_proba is for classifications.")
    return True


def _is_regression(estimator: Any) -> bool:
    if estimator._task != "regression":
        raise AttributeError("predict_interval is for regressions; of classes there is predict_set.")
    return True


class BlendedEstimator(BaseEstimator):
    """What estimators that blend have in common: all that is done after a fit."""

    @property
    def _task(self) -> str:
        """What y is: "classification" or "regression"; of a fitted estimator, what it was."""
        blended = _blended_of(self)
        if blended is None:
            return self.task_of_parameters()
        return "regression" if blended.target.is_numeric else "classification"

    def task_of_parameters(self) -> str:
        """Return what y is as the parameters have it."""
        raise NotImplementedError

    blended_: Blended = _fitted(lambda blended: blended, "All that is known of the fitted blend, as a value.")
    cv_results_: pd.DataFrame = _fitted(
        lambda blended: pd.DataFrame(blended.rows), "All that was tried; see the class."
    )
    blend_: pd.DataFrame = _fitted(
        lambda blended: pd.DataFrame([row for row in blended.rows if row["weight"] > 0]),
        "What the answer consists of.",
    )
    weights_: Array = _fitted(lambda blended: blended.weights[blended.weights > 0], "The weight of each of `members_`.")
    classes_: Array = _fitted(_classes, "The classes; of a multilabel classification the numbers of the labels.")
    temperature_: float = _fitted(_temperature, "What calibrates the probabilities.")
    oof_prediction_: Array = _fitted(lambda blended: _out_of_fold(blended).prediction, "See the class.")
    oof_score_: float = _fitted(lambda blended: _out_of_fold(blended).score, "See the class.")
    oof_score_error_: float = _fitted(lambda blended: _out_of_fold(blended).score_error, "See the class.")

    def predict(self, X: Any) -> Any:
        """Return the predicted class of each sample, its labels, or its predicted value.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several outputs or labels
        """
        values = self._values(X)
        return self.blended_.target.decode(values)

    @available_if(_is_classification)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (n_samples, n_classes), in the order of `classes_`.

        Of a multilabel classification the probability of each label, shape (n_samples, n_labels).
        """
        return self._values(X)

    @available_if(_is_classification)
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_is_regression)
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return an interval for each sample that holds what is to be predicted with a given probability.

        They are CV+ intervals: from how far predictions of samples were off that had been set aside, by what had not learnt from
        them. Of new samples like those of the fit they hold about the share asked for, on average over all samples; for a part of
        the samples it may be less: see `nnexp.coverage_by_group`. In theory it is at least ``1 - 2 * (1 - coverage)``,
        but for one thing: the networks that say when another one stops have learnt from the samples that it has set aside.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            In (0, 1).

        Returns
        -------
        array of shape (n_samples, 2), or (n_samples, n_outputs, 2) for several outputs
            The lower and the upper end; infinite where there were too few samples for such a coverage.

        References
        ----------
        Barber, Candès, Ramdas and Tibshirani (2021), "Predictive inference with the jackknife+", Annals of Statistics 49.
        """
        values, by_fold = self._by_fold(X, coverage)
        ends = intervals(values, by_fold.unseen, coverage)
        return ends[:, 0] if getattr(self.blended_.target, "flat", False) else ends

    @available_if(_is_classification)
    def predict_set(self, X: Any, coverage: float = 0.9) -> Array:
        """Return for each sample the classes that cannot be ruled out: a set that holds the right one with a given probability.

        See `predict_interval`, which is the same for numbers. A set may be empty: then no class is as probable as right ones
        mostly were.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            In (0, 1).

        Returns
        -------
        array of bool, shape (n_samples, n_classes)
            In the order of `classes_`.

        References
        ----------
        Romano, Sesia and Candès (2020), "Classification with valid and adaptive coverage", NeurIPS.
        """
        values, by_fold = self._by_fold(X, coverage)
        if not isinstance(self.blended_.target, Classes):
            raise ValueError("predict_set is for one class a sample; of several labels each has its own probability.")
        return sets(values, by_fold.unseen, coverage)

    def _by_fold(self, X: Any, coverage: float) -> tuple[Array, ByFold]:
        check_is_fitted(self)
        check_coverage(coverage)
        by_fold = self.blended_.by_fold
        if by_fold is None:
            raise ValueError(
                "Nothing was set aside, so that nothing tells how far predictions are off: there were less than 80 samples, or a "
                "single group."
            )
        X = table_of(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return self.blended_.values_by_fold(X), by_fold

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of a classification, for several labels that of all together, or R² of a regression."""
        metric = accuracy_score if self._task == "classification" else r2_score
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

    def checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any, Any]:
        """Return what `fit` is given as it is checked, and what notes the number and the names of columns.

        They are noted of another estimator, since the blend is not there yet.
        """
        X, probe = table_of(X), BackpropMLP()
        validate_data(probe, X, skip_check_array=True)
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        y = _check_y(y, multi_output=True, y_numeric=self.task_of_parameters() == "regression", estimator=self)
        check_consistent_length(X, y)
        return X, y, None if sample_weight is None else np.asarray(sample_weight), probe

    def take(self, blended: Blended, checked: Any) -> None:
        """Show what a fit has made; ``checked`` has the number and the names of the columns that it was given."""
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(checked, name):
                setattr(self, name, getattr(checked, name))
        self.__dict__["_blended"] = blended

    def _values(self, X: Any) -> Array:
        check_is_fitted(self)
        X = table_of(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return self.blended_.values(X)

    def __sklearn_is_fitted__(self) -> bool:
        return _blended_of(self) is not None


def is_stack(estimator: Any, k: int) -> bool:
    """Whether an estimator is trained as one stack of cross-fitted networks, each of which sets aside one of k folds."""
    return (
        isinstance(estimator, BackpropMLP)
        and type(estimator).fit is BackpropMLP.fit
        and estimator.validation in ("auto", "cross")
        and estimator.n_networks in (1, k)
    )
