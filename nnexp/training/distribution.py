"""Evolution strategies: a distribution of networks that moves to where the better ones are.

What they share: in each generation networks are drawn from the distribution, scored on one batch, and the distribution is
told how they turned out. The candidates are its middle and the best network drawn.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_number
from nnexp.network.network import Network
from nnexp.training.algorithm import Progress, State, Step
from nnexp.training.population import Evolutionary, Scores, Spread, as_columns
from nnexp.training.problem import Problem

Array = NDArray[Any]


class SearchDistribution(Evolutionary):
    """The settings of an evolution strategy.

    Attributes
    ----------
    sigma : float
        The standard deviation at the start, in units of each weight's initial scale.
    """

    sigma: float
    n_candidates = 2

    def check(self) -> None:
        super().check()
        check_number(*self.said("sigma"), low=0, high=1e6, open_low=True)

    def extend(self, network: Network) -> Network:
        if network.zero_is_absent:
            raise ValueError(
                f"algorithm={self.name!r} moves every weight, and brings back the connections that evolution has removed. After "
                "evolve='connections' use 'backprop' or another genetic algorithm."
            )
        return network

    def memory(self, problem: Problem) -> int:
        # the distributions, with a copy while they are at work, and for all members the networks of one and the noise
        d = problem.network.n_parameters
        return (4 * problem.n_members + 2 * self.size(d) + self.n_candidates) * d * problem.dtype.itemsize

    @abstractmethod
    def sampler(self, problem: Problem, state: State) -> Sampler:
        """Return what draws from the distribution and moves it."""

    def bind(self, problem: Problem, state: State) -> Step:
        return _Generation(self, problem, state)


class Sampler:
    """Draws networks from the distributions of the members of a stack, and moves them, in place in the state."""

    def draw(self, member: int, rng: np.random.Generator, out: Array) -> None:
        """Write networks into out, shape (P, D)."""
        raise NotImplementedError

    def tell(self, member: int, population: Array, value: Array) -> None:
        """Move a member's distribution by what its networks are worth, shape (P,), the lower the better."""
        raise NotImplementedError

    def mean(self, member: int) -> Array:
        """Return the middle of a member's distribution, shape (D,)."""
        raise NotImplementedError

    def sigma(self, member: int) -> float:
        """Return how wide it is, in units of the weights' initial scales."""
        raise NotImplementedError


class _Generation:
    """One generation of every member's distribution."""

    def __init__(self, settings: SearchDistribution, problem: Problem, state: State) -> None:
        d = problem.network.n_parameters
        self._problem, self._state = problem, state
        self._scores = Scores(problem, settings.batch(problem.training_rows.shape[1]))
        self._spread, self._sampler = Spread(problem), settings.sampler(problem, state)
        self._population = np.empty((settings.size(d), d), dtype=problem.dtype)
        self._candidates = np.empty((problem.n_members, settings.n_candidates, d), dtype=problem.dtype)
        self._cost = settings.size(d) * self._scores.evaluations

    def __call__(self) -> Progress:
        problem, state, scores, sampler = self._problem, self._state, self._scores, self._sampler
        error, rows = np.empty(problem.n_members), []
        for member, rng in enumerate(state.rngs):
            scores.draw(member, rng)
            sampler.draw(member, rng, self._population)
            errors = scores.errors(self._population)
            value = scores.ranking(self._population, errors)
            best = int(value.argmin())
            error[member] = errors[best]
            self._candidates[member, 1] = self._population[best]
            rows.append(self._spread(self._population, errors, scores.fitness, sampler.sigma(member)))
            sampler.tell(member, self._population, value)
            self._candidates[member, 0] = sampler.mean(member)
        state.updates += 1
        return Progress(self._candidates, error, evaluations=self._cost, metrics=as_columns(rows))


def utilities(n: int) -> Array:
    """Return the utility of each rank, shape (n,), best first, sum 0 (Wierstra et al. 2014, equation 30)."""
    raw = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    return raw / raw.sum() - 1.0 / n
