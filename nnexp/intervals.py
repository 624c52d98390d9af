"""How sure predictions are: intervals and sets from what was said of samples that were not learnt from (CV+)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_number

Array = NDArray[Any]

# Halvings of what an end of an interval may be: beyond the precision of a float64.
_HALVINGS = 64


@dataclass(frozen=True, eq=False)
class Unseen:
    """How far predictions of samples were off that had been set aside, fold by fold.

    Attributes
    ----------
    scores : array of shape (n, n_outputs)
        Distances of numbers from what was predicted; of classes, in one column, 1 minus the probability of the right one.
    fold : array of int, shape (n,)
    weight : array of shape (n,)
        1 on average.
    """

    scores: Array
    fold: Array
    weight: Array

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1

    def beyond(self, output: int) -> list[tuple[Array, Array]]:
        """Return for each fold its scores in order, and the weight of those that are at least as high as each, with 0 behind."""
        parts = []
        for number in range(self.n_folds):
            here = self.fold == number
            order = np.argsort(self.scores[here, output], kind="stable")
            weight = self.weight[here][order]
            parts.append((self.scores[here, output][order], np.append(np.cumsum(weight[::-1])[::-1], 0.0)))
        return parts


def check_coverage(coverage: Any) -> float:
    """Return a coverage, or raise a ValueError or TypeError if it is none."""
    check_number("coverage", coverage, low=0, high=1, open_low=True, open_high=True)
    return float(coverage)


def intervals(predicted: Array, unseen: Unseen, coverage: float) -> Array:
    """Return CV+ intervals of numbers (Barber et al. 2021).

    An end is a quantile of what each sample that was set aside says: the prediction by the model that had not learnt from it,
    plus or minus how far that model was off.

    Parameters
    ----------
    predicted : array of shape (n_folds, n, n_outputs)
        By the model of each fold.
    unseen : Unseen
    coverage : float
        In (0, 1).

    Returns
    -------
    array of shape (n, n_outputs, 2)
        Infinite where there are too few samples for such a coverage.

    References
    ----------
    Barber, Candès, Ramdas and Tibshirani (2021), "Predictive inference with the jackknife+", Annals of Statistics 49.
    """
    ends = np.empty((*predicted.shape[1:], 2))
    for output in range(predicted.shape[2]):
        parts = unseen.beyond(output)
        ends[:, output, 1] = _upper(predicted[:, :, output], parts, coverage)
        ends[:, output, 0] = -_upper(-predicted[:, :, output], parts, coverage)
    return ends


def _upper(predicted: Array, parts: list[tuple[Array, Array]], coverage: float) -> Array:
    """Return the smallest v of which at least a share of all predictions plus their scores are not larger, shape (n,)."""
    total = sum(float(behind[0]) for _, behind in parts)
    wanted = coverage * (total + 1.0)  # of the samples and the new one
    if wanted > total:
        return np.full(predicted.shape[1], np.inf)
    low, high = (np.full(predicted.shape[1], fill) for fill in (np.inf, -np.inf))
    for center, (scores, _) in zip(predicted, parts, strict=True):
        low, high = np.minimum(low, center + scores[0]), np.maximum(high, center + scores[-1])
    tolerance = 1e-9 * total
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        reached = np.zeros(len(middle))
        for center, (scores, behind) in zip(predicted, parts, strict=True):
            reached += behind[0] - behind[np.searchsorted(scores, middle - center, side="right")]
        enough = reached >= wanted - tolerance
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return high


def sets(p: Array, unseen: Unseen, coverage: float) -> Array:
    """Return CV+ prediction sets of classes (Romano, Sesia and Candès 2020): which classes cannot be ruled out.

    A class is in the set unless more than the coverage of all samples that were set aside had a right class that was more
    probable than this class is, by the model that had not learnt from them.

    Parameters
    ----------
    p : array of shape (n_folds, n, n_classes)
        Probabilities by the model of each fold.
    unseen : Unseen
    coverage : float

    Returns
    -------
    array of bool, shape (n, n_classes)

    References
    ----------
    Romano, Sesia and Candès (2020), "Classification with valid and adaptive coverage", NeurIPS.
    """
    parts = unseen.beyond(0)
    total = sum(float(behind[0]) for _, behind in parts)
    smaller = np.zeros(p.shape[1:])
    for of_fold, (scores, behind) in zip(p, parts, strict=True):
        smaller += behind[0] - behind[np.searchsorted(scores, 1.0 - of_fold, side="left")]
    included: Array = smaller < coverage * (total + 1.0) - 1e-9 * total
    return included
