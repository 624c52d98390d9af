"""Separable natural evolution strategies (Schaul, Glasmachers and Schmidhuber 2011, "High dimensions and heavy tails for
natural evolution strategies"): a normal distribution with a mean and a standard deviation for each weight, both moved along
the natural gradient of the expected rank.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_number
from nnexp.training.algorithm import State
from nnexp.training.distribution import Distribution, SearchDistribution, utilities
from nnexp.training.generation import Breeder
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class SNES(SearchDistribution):
    """Separable natural evolution strategy: moves the mean and the spread of each weight; it needs no derivative.

    Parameters
    ----------
    population_size : int or None, default=None
        Networks drawn in a generation, at least 2. None for 2 √D, D being the number of weights, and at least 4 + 3 ln D.
    sigma : float, default=0.5
        The standard deviation of each weight at the start, in units of its initial scale.
    learning_rate : float, default=1.0
        How far the mean goes along its natural gradient.
    sigma_rate : float or None, default=None
        How far the standard deviations go. None for (3 + ln D) / (5 √D).
    batch_size : int or None, default=512
        Samples drawn to score a generation; None for all training data.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=SNES(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "snes"

    def __init__(
        self,
        population_size: int | None = None,
        sigma: float = 0.5,
        learning_rate: float = 1.0,
        sigma_rate: float | None = None,
        batch_size: int | None = 512,
    ) -> None:
        self.population_size = population_size
        self.sigma = sigma
        self.learning_rate = learning_rate
        self.sigma_rate = sigma_rate
        self.batch_size = batch_size

    def check(self) -> None:
        super().check()
        check_number(*self.said("learning_rate"), low=0, high=1e3, open_low=True)
        if self.sigma_rate is not None:
            check_number(*self.said("sigma_rate"), low=0, high=10)

    def size(self, n_parameters: int) -> int:
        if self.population_size is not None:
            return int(self.population_size)
        return max(4 + int(3 * math.log(n_parameters)), round(2 * math.sqrt(n_parameters)))

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        scale = problem.network.initial_scale.astype(parameters.dtype)
        arrays = {"mean": parameters.copy(), "spread": np.tile(self.sigma * scale, (len(parameters), 1))}
        return State(rngs, arrays, np.zeros(len(parameters), dtype=np.int64))

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Go on around another network, as widely as before."""
        state.arrays["mean"][:] = parameters

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        return _Distribution(self, problem, state)


class _Distribution(Distribution):
    def __init__(self, settings: SNES, problem: Problem, state: State) -> None:
        d, dtype = problem.network.n_parameters, problem.dtype
        n = settings.size(d)
        self._mean, self._spread = state.arrays["mean"], state.arrays["spread"]
        scale = problem.network.initial_scale
        self._free = scale > 0
        self._scale = scale[self._free]
        self._noise, self._population = np.empty((n, d), dtype=dtype), np.empty((n, d), dtype=dtype)
        self._utilities = utilities(n).astype(dtype)
        self._own = np.empty(n, dtype=dtype)
        self._rate = settings.learning_rate
        count = max(1, int(self._free.sum()))
        rate = settings.sigma_rate
        self._sigma_rate = (3 + math.log(count)) / (5 * math.sqrt(count)) if rate is None else rate

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        out = self._population
        rng.standard_normal(out=self._noise, dtype=self._noise.dtype)
        np.multiply(self._noise, self._spread[member], out=out)  # ~ N(m, σ²)
        np.add(out, self._mean[member], out=out)
        return out

    def tell(self, member: int, population: Array, values: Array) -> None:
        self._own[values.argsort(kind="stable")] = self._utilities
        mean, spread, noise = self._mean[member], self._spread[member], self._noise
        step = self._own @ noise  # ∇m = Σ u s
        np.multiply(noise, noise, out=noise)
        wider = self._own @ noise  # ∇σ = Σ u (s² − 1), and the utilities add up to 0
        mean += self._rate * spread * step  # m ← m + η σ ∇m
        spread *= np.exp(0.5 * self._sigma_rate * wider)  # σ ← σ exp(½ η ∇σ)

    def middle(self, member: int) -> Array:
        return self._mean[member]

    def sigma(self, member: int) -> float:
        return float(np.exp(np.log(self._spread[member][self._free] / self._scale).mean()))
