"""Differential evolution (Storn and Price 1997, JOGO 11) that sets its own F and CR (jDE, Brest et al. 2006, IEEE TEVC 10)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_choice
from nnexp.training.evolutionary import Evolutionary
from nnexp.training.problem import Problem

Members = dict[str, NDArray[Any]]


class DifferentialEvolution(Evolutionary):
    """Adds differences of networks to others; each competes with the one it came from, and how far they go adapts (jDE).

    Parameters
    ----------
    population_size : int or None, default=None
        At least 4; each generation tries as many more. None for twice the root of the number of weights, at least 16.
    variant : {"rand/1", "current-to-best/1"}, default="rand/1"
        How a weight x is tried: a + F (b − c) of others, or x + F (best − x) + F (b − c).
    batch_size : int or None, default=512
        Samples drawn to score a generation, parents as well as what is tried; None for all training data.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> BackpropMLP(hidden_layer_sizes=(4,), algorithm=DifferentialEvolution(), random_state=0).fit(X, y).score(X, y)
    1.0
    """

    name = "differential_evolution"
    smallest = 4

    def __init__(
        self, population_size: int | None = None, variant: str = "rand/1", batch_size: int | None = 512
    ) -> None:
        self.population_size, self.variant, self.batch_size = population_size, variant, batch_size

    def check(self) -> None:
        super().check()
        check_choice("DifferentialEvolution(variant=...)", self.variant, ["rand/1", "current-to-best/1"])

    def scored(self, n_parameters: int) -> int:
        return 2 * self.size(n_parameters)  # with what is tried

    def first(self, problem: Problem, parameters: NDArray[Any], rng: np.random.Generator) -> Members:
        strategy = np.tile([0.5, 0.9], (self.size(len(parameters)), 1))  # F and CR
        more = {"strategy": strategy, "tried": strategy.copy(), "best": np.zeros(1, dtype=np.intp)}
        return super().first(problem, parameters, rng) | more

    def ask(self, kept: Members, rng: np.random.Generator) -> NDArray[Any]:
        x, n = kept["population"], len(kept["population"])
        drawn = rng.random((n, 2)) * [0.9, 1.0] + [0.1, 0.0]  # F from 0.1 to 1, CR from 0 to 1
        kept["tried"][:] = np.where(rng.random((n, 2)) < 0.1, drawn, kept["strategy"])
        f, cr = kept["tried"].astype(x.dtype).T[:, :, np.newaxis]
        a, b, c = x[(rng.random((n, n)) + np.eye(n)).argsort(axis=1)[:, :3].T]  # three others
        start = a if self.variant == "rand/1" else x + f * (x[kept["best"]] - x)
        crossed = rng.random(x.shape, dtype=x.dtype) < cr
        crossed[np.arange(n), rng.integers(0, x.shape[1], n)] = True
        return np.concatenate([x, np.where(crossed, start + f * (b - c), x)])

    def tell(self, kept: Members, population: NDArray[Any], values: NDArray[Any]) -> None:
        before, after = np.split(values, 2)
        better = after <= before
        kept["population"][better], kept["strategy"][better] = (
            population[len(before) :][better],
            kept["tried"][better],
        )
        kept["best"][:] = np.minimum(before, after).argmin()
