"""Scores by scikit-learn's names, on labels of any kind."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.metrics import (
    d2_log_loss_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    top_k_accuracy_score,
)
from sklearn.utils.metaestimators import available_if

from nnexp._errors import quoted
from nnexp._names import nearest

Array = NDArray[Any]


def scorer(metric: str, *, pos_label: Any = None, labels: Any = None) -> Scorer:
    """Return a score of scikit-learn's that knows the labels, for whatever takes a ``scoring``.

    Parameters
    ----------
    metric : str
        One of scikit-learn's names, such as ``"f1"``.
    pos_label : str, int, float or bool, default=None
        The positive class of two. None leaves it to scikit-learn, which takes 1 and knows none where the classes are words.
    labels : array-like, default=None
        All classes, where a part of the data may lack one; None for those that the estimator and the data have.

    Returns
    -------
    Scorer
        ``score(estimator, X, y)`` returns a float; higher is better.

    Raises
    ------
    ValueError
        If no score has this name, or the positive class is none of the labels.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> words = load_breast_cancer().target_names[y]
    >>> f1 = cross_val_score(GaussianNB(), X, words, scoring=scorer("f1", pos_label="malignant"))
    >>> float(f1.mean().round(2))
    0.91
    """
    if metric not in get_scorer_names():
        raise ValueError(f"scorer: unknown metric {quoted(metric)}. {nearest(metric, get_scorer_names())}")
    known = None if labels is None else _sorted(np.asarray(labels, dtype=object).ravel().tolist())
    if known is not None and pos_label is not None and pos_label not in known:
        raise ValueError(f"scorer: pos_label={quoted(pos_label)} is none of the labels {quoted(list(known))}.")
    return Scorer(metric, pos_label, known)


# What needs to be told which classes there are, since it cannot see them where a part of the data lacks one.
_OF_ALL_LABELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "neg_log_loss": (log_loss, {"greater_is_better": False, "response_method": "predict_proba"}),
    "d2_log_loss_score": (d2_log_loss_score, {"greater_is_better": True, "response_method": "predict_proba"}),
    "top_k_accuracy": (
        top_k_accuracy_score,
        {"greater_is_better": True, "response_method": ("decision_function", "predict_proba")},
    ),
}
# Of two classes these ask for the positive one; of more, since scikit-learn 1.7, they take all labels.
_OF_SEVERAL = {"neg_brier_score": ("brier_score_loss", False), "d2_brier_score": ("d2_brier_score", True)}
for _name, (_function, _greater) in _OF_SEVERAL.items():
    if "labels" in inspect.signature(getattr(metrics, _function, len)).parameters:
        _OF_ALL_LABELS[_name] = (
            getattr(metrics, _function),
            {"greater_is_better": _greater, "response_method": "predict_proba"},
        )


@dataclass(frozen=True)
class Scorer:
    """A score of scikit-learn's that knows the labels; see `scorer`.

    Attributes
    ----------
    metric : str
    pos_label : object
        The positive class; None if nobody has named it.
    labels : tuple, or None
        All classes.
    """

    metric: str
    pos_label: Any = None
    labels: tuple[Any, ...] | None = None

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of a fitted estimator; the higher, the better."""
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        expected = np.asarray(y)
        if expected.ndim == 2 and expected.shape[1] == 1:
            expected = expected[:, 0]
        if expected.ndim > 1 and self.pos_label is not None:
            raise ValueError(
                f"pos_label={quoted(self.pos_label)} goes with one class for each sample, not with several labels."
            )
        labelled = self.metric in _OF_ALL_LABELS and expected.ndim == 1
        if labelled and self.metric in _OF_SEVERAL and is_classifier(estimator) and self.pos_label is None:
            labelled = len(self._ordered(estimator, expected)) > 2
        if not is_classifier(estimator) or not (labelled or self.pos_label is not None):
            return float(get_scorer(self.metric)(estimator, X, y, **weight))
        labels = self._ordered(estimator, expected)
        code_of = {label: code for code, label in enumerate(labels)}
        codes = np.array([code_of[label] for label in expected.tolist()])
        score = _of_labels(self.metric, len(labels)) if labelled else get_scorer(self.metric)
        return float(score(_Coded(estimator, code_of), X, codes, **weight))

    def _ordered(self, estimator: Any, y: Array) -> list[Any]:
        """Return all labels in order; of two the positive one is the second."""
        seen = dict.fromkeys([*estimator.classes_.tolist(), *np.unique(y).tolist()])
        labels = list(_sorted([*seen, *(self.labels or ())]))
        if self.pos_label is None:
            return labels
        if self.pos_label not in labels:
            raise ValueError(f"pos_label={quoted(self.pos_label)} is none of the classes {quoted(labels)}.")
        if len(labels) != 2:
            raise ValueError(f"pos_label={quoted(self.pos_label)} needs two classes, and there are {len(labels)}.")
        return sorted(labels, key=lambda label: label == self.pos_label)


def _sorted(labels: list[Any]) -> tuple[Any, ...]:
    """Return each label once, in order."""
    try:
        return tuple(sorted(dict.fromkeys(labels)))
    except TypeError as error:
        raise ValueError(
            f"The labels {quoted(list(dict.fromkeys(labels)))} have no order: they are of several kinds."
        ) from error


@lru_cache
def _of_labels(metric: str, n_labels: int) -> Any:
    function, settings = _OF_ALL_LABELS[metric]
    return make_scorer(function, labels=np.arange(n_labels), **settings)


def _has(method: str) -> Any:
    return available_if(lambda coded: hasattr(coded.estimator, method))


class _Coded(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose classes are shown as numbers from 0."""

    def __init__(self, estimator: Any, code_of: dict[Any, int]) -> None:
        self.estimator, self.code_of = estimator, code_of
        self.classes_ = np.arange(len(code_of))

    def predict(self, X: Any) -> Array:
        """Return the number of each sample's class."""
        return np.array([self.code_of[label] for label in np.asarray(self.estimator.predict(X)).tolist()])

    @property
    def _places(self) -> list[int]:
        return [self.code_of[label] for label in self.estimator.classes_.tolist()]

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (n, n_classes)."""
        given = self.estimator.predict_proba(X)
        whole = np.zeros((len(given), len(self.code_of)), dtype=given.dtype)  # 0 for a class that was not learnt
        whole[:, self._places] = given
        return whole

    @_has("decision_function")
    def decision_function(self, X: Any) -> Array:
        """Return a score of each class, or of the second of two."""
        given = np.asarray(self.estimator.decision_function(X))
        if given.ndim == 1:
            return given if self._places == sorted(self._places) else -given
        whole = np.full((len(given), len(self.code_of)), -np.inf)
        whole[:, self._places] = given
        return whole


class Guess(ClassifierMixin, BaseEstimator):
    """A classifier that knows the labels and guesses: on it a score is tried before anything is fitted."""

    def __init__(self, labels: Any) -> None:
        self.labels = labels
        self.classes_ = np.unique(np.asarray(labels))

    def predict(self, X: Any) -> Array:
        """Return each class in turn."""
        return self.classes_[np.arange(len(X)) % len(self.classes_)]

    def predict_proba(self, X: Any) -> Array:
        """Return random probabilities, the same each time."""
        return np.random.default_rng(0).dirichlet(np.ones(len(self.classes_)), len(X))

    def decision_function(self, X: Any) -> Array:
        """Return random scores that agree with the probabilities."""
        p = self.predict_proba(X)
        return p[:, 1] - p[:, 0] if p.shape[1] == 2 else p
