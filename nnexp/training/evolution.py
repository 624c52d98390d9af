"""Evolution without a choice to make: the strategy that was measured to be best for a network of this size."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp.network.network import Network
from nnexp.training.algorithm import Algorithm, State, Step
from nnexp.training.cma_es import CMAES
from nnexp.training.distribution import SearchDistribution
from nnexp.training.problem import Descent, Problem
from nnexp.training.snes import SNES

Array = NDArray[Any]


class Evolution(Algorithm):
    """Chooses an evolution strategy by the number of weights: CMA-ES up to 100, SNES for more.

    Which one it chose is the estimator's `algorithm_`; tests/benchmarks/README.md has what the choice was made by.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> BackpropMLP(hidden_layer_sizes=(4,), algorithm="evolution", random_state=0).fit(X, y).algorithm_
    CMAES()
    """

    name: ClassVar[str] = "evolution"
    competes = True
    evolves = True
    patience = 50
    # The weights up to which CMA-ES is chosen.
    SMALL: ClassVar[int] = 100

    def __init__(self) -> None:
        pass

    def choose(self, network: Network) -> SearchDistribution:
        small = np.count_nonzero(network.initial_scale) >= 2 and network.n_parameters <= self.SMALL
        return CMAES() if small else SNES()

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        return self.choose(network).cost(network, n_training, n_validation, descent)

    def memory(self, problem: Problem, descent: Descent) -> int:
        return self.choose(problem.network).memory(problem, descent)

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        return self.choose(problem.network).start(problem, descent, parameters, rngs)

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        self.choose(problem.network).accept(problem, descent, state, parameters)

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        return self.choose(problem.network).bind(problem, descent, state)
