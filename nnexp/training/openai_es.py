"""The evolution strategy of Salimans et al. 2017 ("Evolution strategies as a scalable alternative to reinforcement learning",
arXiv 1703.03864): the gradient of the expected rank under noise of a fixed strength, estimated from mirrored pairs, moves
one network by Adam.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_number
from nnexp.training.algorithm import State
from nnexp.training.distribution import Distribution, SearchDistribution
from nnexp.training.generation import Breeder
from nnexp.training.optimizers import OPTIMIZERS
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class OpenAIES(SearchDistribution):
    """Evolution strategy of mirrored pairs and centred ranks that moves one network; it needs no derivative.

    Parameters
    ----------
    population_size : int or None, default=None
        Networks drawn in a generation, an even number. None for 2 √D, D being the number of weights, and at least 16.
    sigma : float, default=0.1
        The standard deviation of the noise, in units of each weight's initial scale.
    learning_rate : float, default=0.1
        How far an update goes, in the same units.
    optimizer : str, mapping or Optimizer, default="adam"
        What the estimated gradient does to the weights.
    batch_size : int or None, default=512
        Samples drawn to score a generation; None for all training data.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=OpenAIES(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "openai_es"

    def __init__(
        self,
        population_size: int | None = None,
        sigma: float = 0.1,
        learning_rate: float = 0.1,
        optimizer: Any = "adam",
        batch_size: int | None = 512,
    ) -> None:
        self.population_size = population_size
        self.sigma = sigma
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.batch_size = batch_size

    def check(self) -> None:
        super().check()
        check_number(*self.said("learning_rate"), low=0, high=1e3, open_low=True)
        optimizer = OPTIMIZERS.resolve(self.optimizer, "OpenAIES(optimizer=...)")
        if hasattr(optimizer, "weight_decay"):
            raise ValueError(f"OpenAIES(optimizer=...) knows no weight decay; use l2 instead. Got {quoted(optimizer)}.")
        if self.population_size is not None and self.population_size % 2:
            raise ValueError(
                f"OpenAIES(population_size=...) must be even: networks are drawn in pairs. Got {self.population_size}."
            )

    def size(self, n_parameters: int) -> int:
        if self.population_size is not None:
            return int(self.population_size)
        return 2 * max(8, round(math.sqrt(n_parameters)))

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        n_moments = OPTIMIZERS.resolve(self.optimizer, "optimizer").n_moments
        moments = {f"moment_{i}": np.zeros_like(parameters) for i in range(n_moments)}
        return State(rngs, {"mean": parameters.copy(), **moments}, np.zeros(len(parameters), dtype=np.int64))

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Go on from another network, with the moments of the gradient as they are."""
        state.arrays["mean"][:] = parameters

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        return _Distribution(self, problem, state)


class _Distribution(Distribution):
    def __init__(self, settings: OpenAIES, problem: Problem, state: State) -> None:
        d, dtype = problem.network.n_parameters, problem.dtype
        n = settings.size(d)
        self._settings, self._updates, self._mean = settings, state.updates, state.arrays["mean"]
        self._scale = problem.network.initial_scale.astype(dtype)
        self._noise, self._population = np.empty((n // 2, d), dtype=dtype), np.empty((n, d), dtype=dtype)
        self._ranks = ((np.arange(n) / (n - 1)) - 0.5).astype(dtype)  # from the best, −½, to the worst, ½
        self._own = np.empty(n, dtype=dtype)
        # The optimizer moves θ, the weights in units of their initial scales, from 0 in each update.
        self._theta, self._gradient = np.zeros(d, dtype=dtype), np.zeros(d, dtype=dtype)
        optimizer = OPTIMIZERS.resolve(settings.optimizer, "optimizer")
        moments = [state.arrays[f"moment_{i}"] for i in range(optimizer.n_moments)]
        self._steps = [
            optimizer.bind(self._theta, self._gradient, [moment[i] for moment in moments])
            for i in range(len(self._mean))
        ]

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        out = self._population
        half = len(self._noise)
        rng.standard_normal(out=self._noise, dtype=self._noise.dtype)
        np.multiply(self._noise, self._scale * self._scale.dtype.type(self._settings.sigma), out=out[:half])
        np.subtract(self._mean[member], out[:half], out=out[half:])  # m − σ ε
        np.add(out[:half], self._mean[member], out=out[:half])  # m + σ ε
        return out

    def tell(self, member: int, population: Array, values: Array) -> None:
        half = len(self._noise)
        self._own[values.argsort(kind="stable")] = self._ranks
        # g = 1 / (n σ) Σ rank · ε over all, a mirrored network having −ε
        np.matmul(self._own[:half] - self._own[half:], self._noise, out=self._gradient)
        np.multiply(self._gradient, 1.0 / (2 * half * self._settings.sigma), out=self._gradient)
        self._theta[:] = 0.0
        self._steps[member](self._settings.learning_rate, int(self._updates[member]) + 1)
        self._mean[member] += self._scale * self._theta

    def middle(self, member: int) -> Array:
        return self._mean[member]

    def sigma(self, member: int) -> float:
        return float(self._settings.sigma)
