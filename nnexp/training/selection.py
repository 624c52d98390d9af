"""Selection: which networks of a population become parents, by their rank or their error.

Each is a small frozen value, as activations are. Goldberg and Deb 1991 ("A comparative analysis of selection schemes used in
genetic algorithms") compare them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry, check_number

Array = NDArray[Any]


class Selection(ABC):
    """Draws parents. A subclass is a frozen dataclass with a ``name`` and one method."""

    name: ClassVar[str]

    @abstractmethod
    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw two parents for each of n children.

        Parameters
        ----------
        errors : array of shape (P,)
            What selection goes by, ascending; infinite for what must not win.
        n : int
        rng : numpy.random.Generator

        Returns
        -------
        array of int, shape (n, 2)
            Their ranks, 0 for the best.
        """


@dataclass(frozen=True)
class Truncation(Selection):
    """Draws evenly from the best share of the population (Such et al. 2017).

    Parameters
    ----------
    share : float, default=0.1
        In (0, 1]; at least one network.
    """

    name: ClassVar[str] = "truncation"
    share: float = 0.1

    def __post_init__(self) -> None:
        check_number("Truncation(share=...)", self.share, low=0, high=1, open_low=True)

    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        return rng.integers(0, max(1, round(self.share * len(errors))), (n, 2))


@dataclass(frozen=True)
class Tournament(Selection):
    """Takes the best of a few networks drawn at random (Goldberg and Deb 1991).

    Parameters
    ----------
    size : int, default=4
        Networks in a tournament, at least 1.
    """

    name: ClassVar[str] = "tournament"
    size: int = 4

    def __post_init__(self) -> None:
        check_number("Tournament(size=...)", self.size, low=1, high=10_000, integer=True)

    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        return rng.integers(0, len(errors), (n, 2, self.size)).min(axis=2)


@dataclass(frozen=True)
class Rank(Selection):
    """Draws with a probability that falls linearly with the rank (Baker 1985).

    Parameters
    ----------
    pressure : float, default=2.0
        How often the best is drawn, in units of the average, in (1, 2].
    """

    name: ClassVar[str] = "rank"
    pressure: float = 2.0

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}(pressure=...)", self.pressure, low=1, high=2, open_low=True)

    def probabilities(self, n: int) -> Array:
        """Return the probability of each rank, shape (n,)."""
        # (pressure − (2 pressure − 2) rank / (n − 1)) / n
        ranks = np.arange(n) / max(1, n - 1)
        shares = self.pressure - (2.0 * self.pressure - 2.0) * ranks
        return shares / shares.sum()

    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        return rng.choice(len(errors), (n, 2), p=self.probabilities(len(errors)))


@dataclass(frozen=True)
class StochasticUniversal(Rank):
    """Draws by rank, each network as often as it is due, give or take less than one (Baker 1987).

    Parameters
    ----------
    pressure : float, default=2.0
        How often the best is drawn, in units of the average, in (1, 2].
    """

    name: ClassVar[str] = "stochastic_universal"

    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        # Evenly spaced pointers on a wheel with one random start, in random order.
        pointers = (np.arange(2 * n) + rng.random()) / (2 * n)
        drawn = np.searchsorted(np.cumsum(self.probabilities(len(errors))), pointers, side="right")
        return rng.permutation(np.minimum(drawn, len(errors) - 1)).reshape(n, 2)


@dataclass(frozen=True)
class Roulette(Selection):
    """Draws with a probability proportional to how much better than the worst a network is (Holland 1975)."""

    name: ClassVar[str] = "roulette"

    def draw(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        finite = np.isfinite(errors)
        fitness = np.where(finite, errors.max(where=finite, initial=-np.inf) - errors, 0.0)
        total = fitness.sum()
        if total > 0 and np.isfinite(total):
            return rng.choice(len(errors), (n, 2), p=fitness / total)
        equal = int(finite.sum()) or len(errors)  # all are equally good
        return rng.integers(0, equal, (n, 2))


SELECTIONS: Registry[Selection] = Registry(
    "selection", Selection, [Truncation, Tournament, Rank, StochasticUniversal, Roulette], "nnexp.selections"
)


def check_parents(selection: Selection, ranks: Any, n: int, population: int) -> Array:
    """Return the ranks that a selection has drawn; raise a ValueError if they are none."""
    try:
        drawn = np.asarray(ranks)
    except ValueError:  # rows of different lengths
        drawn = np.empty(0)
    if drawn.shape != (n, 2) or drawn.dtype.kind not in "iu" or drawn.min() < 0 or drawn.max() >= population:
        raise ValueError(
            f"selection={selection!r} must return the ranks of two parents for each of {n} children: integers of shape "
            f"({n}, 2) from 0 to {population - 1}. Got shape {drawn.shape}, {drawn.dtype}."
        )
    return drawn
