"""One generation of an evolution: what every one of them does, whatever it evolves and on whatever it is judged.

An algorithm says which networks are to be scored (`Breeder.ask`), and learns from what they are worth (`Breeder.tell`). The frame
has them scored by a judge, ranks them, keeps the candidates, and notes the columns of the history. It knows no rows and no
targets: a judge may be anything that says what networks are worth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnexp.training.algorithm import StepReport

Array = NDArray[Any]


class NetworkJudge(Protocol):
    """Says what networks are worth.

    Attributes
    ----------
    evaluations : int
        What scoring one network costs.
    whole : bool
        Whether errors are those on all of a member's training rows.
    fitness : array of shape (P,), or None
        The score by which networks are selected, where it is not the error.
    """

    evaluations: int
    whole: bool
    fitness: Array | None

    def draw(self, member: int, rng: np.random.Generator) -> None:
        """Take what a member's next generation is judged on."""

    def errors(self, population: Array) -> Array:
        """Return the error of each network, shape (P,)."""

    def ranking(self, population: Array, errors: Array) -> Array:
        """Return what selection goes by, the lower the better; infinite for what ranks last."""


class Breeder(ABC):
    """Breeds the networks of the members of a stack; what it remembers is in the state of its algorithm.

    Attributes
    ----------
    cost : int or None
        The evaluations of a generation, for each member; None for what scoring its networks costs.
    has_middle : bool
        Whether there is a network that stands for all, such as the mean of a distribution: it is the first candidate.
    """

    cost: int | None = None
    has_middle: bool = False

    def begin(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what comes before the networks of a generation are scored, for all members."""

    @abstractmethod
    def ask(self, member: int, rng: np.random.Generator) -> Array:
        """Return the networks of a member that are to be scored, shape (P, D)."""

    @abstractmethod
    def tell(self, member: int, population: Array, values: Array) -> None:
        """Learn what the networks of a member are worth, shape (P,), the lower the better; infinite for what ranks last."""

    def best(self, values: Array, n: int) -> Array:
        """Return the numbers of the n networks that are candidates, the best one first."""
        return values.argsort(kind="stable")[:n]

    def middle(self, member: int) -> Array:
        """Return the network that stands for all, shape (D,)."""
        raise NotImplementedError

    def price(self, networks: Array) -> Array | None:
        """Return what networks, shape (..., D), cost besides their error, where they cost anything."""
        return None

    def sigma(self, member: int) -> float:
        """Return how strongly networks are changed, in units of the weights' initial scales; NaN where that has no meaning."""
        return float("nan")

    def columns(self, member: int, best: Array) -> dict[str, float]:
        """Return more columns of the history; ``best`` is the best network of the generation."""
        return {}


class Generation:
    """One generation of every member's population.

    Parameters
    ----------
    breeder : Breeder
    judge : NetworkJudge
    spread : callable or None
        Returns columns of the history for a population, its errors, its fitness and sigma.
    rngs : sequence of numpy.random.Generator
        One for each member.
    updates : array of int, shape (members,)
        The generations done.
    candidates : array of shape (members, candidates, D)
        Where the candidates are put.
    """

    def __init__(
        self, breeder: Breeder, judge: NetworkJudge, spread: Any, rngs: Sequence[np.random.Generator], updates: Array,
        candidates: Array,
    ) -> None:  # fmt: skip
        self._breeder, self._judge, self._spread = breeder, judge, spread
        self._rngs, self._updates, self._candidates = rngs, updates, candidates
        self._errors = np.empty(candidates.shape[:2])

    def __call__(self) -> StepReport:
        """Do a generation of all members."""
        breeder, first = self._breeder, int(self._breeder.has_middle)
        breeder.begin()
        rows = [self._generation(member, rng) for member, rng in enumerate(self._rngs)]
        self._updates += 1
        price = breeder.price(self._candidates)
        return StepReport(
            self._candidates,
            self._errors[:, first].copy(),
            evaluations=rows[0][1] if breeder.cost is None else breeder.cost,
            candidate_errors=self._errors if self._judge.whole and not first else None,
            candidate_penalty=price,
            metrics={name: np.array([columns[name] for columns, _ in rows]) for name in rows[0][0]},
        )

    def _generation(self, member: int, rng: np.random.Generator) -> tuple[dict[str, float], int]:
        breeder, judge, first = self._breeder, self._judge, int(self._breeder.has_middle)
        candidates = self._candidates[member]
        judge.draw(member, rng)
        population = breeder.ask(member, rng)
        errors = judge.errors(population)
        values = judge.ranking(population, errors)
        price = breeder.price(population)
        if price is not None:
            values = values + price
        best = breeder.best(values, len(candidates) - first)
        np.take(population, best, axis=0, out=candidates[first:], mode="clip")
        self._errors[member, first:] = errors[best]
        columns = {} if self._spread is None else self._spread(population, errors, judge.fitness, breeder.sigma(member))
        columns |= breeder.columns(member, candidates[first])
        cost = len(population) * judge.evaluations
        breeder.tell(member, population, values)
        if first:
            candidates[0] = breeder.middle(member)
        return columns, cost
