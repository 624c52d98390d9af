"""How much each of several predictions counts in their average: greedy selection by the loss out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.targets import Classes, Target

Array = NDArray[Any]

# The lowest probability that a loss believes, as in scikit-learn: one prediction that rules out what happens costs 34.5.
_LOWEST = 1e-15


@dataclass(frozen=True, eq=False)
class Evidence:
    """What several predictors said of samples that they had not learnt from, as far as the loss of an average depends on it.

    Attributes
    ----------
    of_each : array of shape (n_predictors, n_samples, n_outputs)
        The probability of what happened: of the class, or of each label as it was. Of numbers, the residuals in units of the
        standard deviation of y.
    weight : array of shape (n_samples,)
        Adds up to 1.
    is_numeric : bool
    """

    of_each: Array
    weight: Array
    is_numeric: bool

    @staticmethod
    def of(values: list[Array], target: Target, expected: Array, weight: Array | None) -> Evidence:
        """Take it from the values of all predictors.

        Parameters
        ----------
        values : list of arrays of shape (n_samples, n_outputs)
            As `Target.values` gives them.
        target : Target
        expected : array of shape (n_samples, n_outputs)
            In the same units.
        weight : array of shape (n_samples,), or None
        """
        weight = np.ones(len(expected)) if weight is None else weight
        weight = weight / weight.sum()
        if target.is_numeric:
            mean = np.average(expected, axis=0, weights=weight)
            largest = np.abs(expected - mean).max(
                axis=0
            )  # whose square neither overflows nor vanishes in its own units
            unit = np.where(largest > 0, largest, 1.0)
            scale = unit * np.sqrt(np.average(((expected - mean) / unit) ** 2, axis=0, weights=weight))
            of_each = [(part - expected) / np.where(scale > 0, scale, 1.0) for part in values]
        elif isinstance(target, Classes):
            right = expected.argmax(axis=1)[:, np.newaxis]
            of_each = [np.take_along_axis(part, right, axis=1) for part in values]
        else:
            of_each = [np.where(expected > 0.5, part, 1.0 - part) for part in values]
        return Evidence(np.stack(of_each).astype(np.float64), weight, target.is_numeric)

    def select(self, samples: Array) -> Evidence:
        """Return what was said of some of the samples."""
        weight = self.weight[samples]
        return Evidence(self.of_each[:, samples], weight / weight.sum(), self.is_numeric)

    def of_some(self, predictors: Array) -> Evidence:
        """Return what some of the predictors said."""
        return Evidence(self.of_each[predictors], self.weight, self.is_numeric)

    def losses(self, of_each: Array) -> Array:
        """Return the loss of each of several predictors or averages, shape (n,): log loss, or the mean squared error."""
        each = of_each**2 if self.is_numeric else -np.log(np.maximum(of_each, _LOWEST))
        losses: Array = each.mean(axis=2) @ self.weight
        return losses


def greedy_weights(evidence: Evidence, picks: int) -> Array:
    """Return the weights that greedy selection with replacement gives to predictors (Caruana et al. 2004).

    One after the other that predictor is picked with which the average of all picked ones has the lowest loss; a weight is the
    share of the picks.

    Parameters
    ----------
    evidence : Evidence
    picks : int

    Returns
    -------
    array of shape (n_predictors,)
        Not negative; adds up to 1.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of models", ICML.
    """
    total, counts = np.zeros(evidence.of_each.shape[1:]), np.zeros(len(evidence.of_each), dtype=int)
    for pick in range(1, picks + 1):
        best = int(evidence.losses((total + evidence.of_each) / pick).argmin())
        counts[best] += 1
        total += evidence.of_each[best]
    weights: Array = counts / picks
    return weights
