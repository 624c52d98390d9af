"""Covariance matrix adaptation, by the library cmaes (Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv 1604.00772;
separable: Ros and Hansen 2008, "A simple modification in CMA-ES achieving linear time and space complexity").

The distribution is over weights in units of their initial scales. Random numbers come from the member's own generator, and what
the library remembers is a part of the state, so that a run goes on to the same bits.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp.network.network import Network
from nnexp.training.algorithm import State
from nnexp.training.distribution import Distribution, SearchDistribution
from nnexp.training.generation import Breeder
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]

# What the library keeps for a variant of the algorithm that is not used; one of them has D² numbers.
_UNUSED = ("_Emean", "_ESigma")


class SeparableCMAES(SearchDistribution):
    """CMA-ES with a variance for each weight; it needs no derivative and fits networks of up to some 50,000 weights.

    Parameters
    ----------
    population_size : int or None, default=None
        Networks drawn in a generation, at least 4. None for √D, D being the number of weights, and at least 4 + 3 ln D.
    sigma : float, default=0.5
        The standard deviation of each weight at the start, in units of its initial scale.
    batch_size : int or None, default=512
        Samples drawn to score a generation; None for all training data.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=SeparableCMAES(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "sep_cma_es"
    # The weights that there may be at most.
    LARGEST: ClassVar[int] = 1_000_000
    # What the library calls it.
    kind: ClassVar[str] = "SepCMA"

    def __init__(self, population_size: int | None = None, sigma: float = 0.5, batch_size: int | None = 512) -> None:
        self.population_size = population_size
        self.sigma = sigma
        self.batch_size = batch_size

    def check(self) -> None:
        super().check()
        if self.population_size is not None and self.population_size < 4:
            raise ValueError(
                f"{type(self).__name__}(population_size=...) must be at least 4. Got {self.population_size}."
            )

    def size(self, n_parameters: int) -> int:
        if self.population_size is not None:
            return int(self.population_size)
        return max(4 + int(3 * math.log(n_parameters)), round(math.sqrt(n_parameters)))

    def extend(self, network: Network) -> Network:
        free = np.count_nonzero(network.initial_scale)
        if not 2 <= free <= self.LARGEST:
            other = "'snes'" if free < 2 or self.name == "sep_cma_es" else "'sep_cma_es' or 'snes'"
            raise ValueError(
                f"algorithm={self.name!r} is for networks of 2 to {self.LARGEST:,} weights, and this one has {free:,}. "
                f"Here use {other}."
            )
        return super().extend(network)

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        made = [_remembered(self.optimizer(problem, row)) for row in parameters]
        arrays = {f"cma{name}": np.stack([optimizer[name] for optimizer in made]) for name in made[0]}
        return State(rngs, {"first": parameters.copy(), **arrays}, np.zeros(len(parameters), dtype=np.int64))

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Go on around another network, with the distribution's width and shape as they are."""
        scale = problem.network.initial_scale
        free = scale > 0
        state.arrays["first"][:] = parameters
        state.arrays["cma_mean"][:] = np.clip(parameters[:, free] / scale[free], -1e30, 1e30)

    def networks_at_once(self, network: Network) -> float:
        return 8.0 * self.size(network.n_parameters)  # the library's own copies too

    def memory(self, problem: Problem, descent: Descent) -> int:
        return int(super().memory(problem, descent) * 8 / problem.dtype.itemsize)  # all in double precision

    def optimizer(self, problem: Problem, parameters: Array) -> Any:
        """Return the library's object for one member."""
        import cmaes  # loads much of SciPy

        scale = problem.network.initial_scale
        free = scale > 0
        optimizer = getattr(cmaes, self.kind)(
            mean=np.clip(parameters[free].astype(np.float64) / scale[free], -1e30, 1e30),  # its own limit is 1e32
            sigma=float(self.sigma),
            population_size=self.size(problem.network.n_parameters),
        )
        optimizer._funhist_values[:] = 0.0  # the library leaves it as it finds it
        return optimizer

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        return _Distribution(self, problem, state)


class CMAES(SeparableCMAES):
    """CMA-ES, which learns how all weights depend on each other; it needs no derivative and is for small networks.

    A generation takes a time that grows with the cube of the number of weights D: some 2 ms for 100 weights and 300 ms for 500.

    Parameters
    ----------
    population_size : int or None, default=None
        Networks drawn in a generation, at least 4. None for √D, D being the number of weights, and at least 4 + 3 ln D.
    sigma : float, default=0.5
        The standard deviation of each weight at the start, in units of its initial scale.
    batch_size : int or None, default=None
        Samples drawn to score a generation; None for all training data.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=CMAES(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "cma_es"
    LARGEST: ClassVar[int] = 2_000
    kind: ClassVar[str] = "CMA"

    def __init__(self, population_size: int | None = None, sigma: float = 0.5, batch_size: int | None = None) -> None:
        super().__init__(population_size, sigma, batch_size)

    def memory(self, problem: Problem, descent: Descent) -> int:
        # for each member the matrix, its eigenvectors and what is saved
        d = problem.network.n_parameters
        return super().memory(problem, descent) + 8 * d * d * 5 * problem.n_members

    def networks_at_once(self, network: Network) -> float:
        d = network.n_parameters
        return (
            super().networks_at_once(network) + 2.2 * self.size(d) * d
        )  # the library's outer products of a population


def _remembered(optimizer: Any) -> dict[str, Array]:
    """Return what the library pickles of an optimizer, as arrays by name."""
    kept = optimizer.__getstate__()
    return {name: np.asarray(value) for name, value in kept.items() if value is not None and name not in _UNUSED}


class _Distribution(Distribution):
    def __init__(self, settings: SeparableCMAES, problem: Problem, state: State) -> None:
        scale = problem.network.initial_scale
        self._free, self._arrays, self._first = scale > 0, state.arrays, state.arrays["first"]
        self._scale = scale[self._free]
        self._optimizers = []
        for member in range(len(state.rngs)):
            optimizer = settings.optimizer(problem, self._first[member])
            fresh = optimizer.__getstate__()
            for name, value in _remembered(optimizer).items():
                saved = state.arrays[f"cma{name}"][member]
                fresh[name] = saved.copy() if value.ndim else type(fresh[name])(saved)
            optimizer.__setstate__(fresh)
            self._optimizers.append(optimizer)
        n = settings.size(problem.network.n_parameters)
        self._drawn: Array = np.empty((n, int(self._free.sum())))
        self._population = np.empty((n, problem.network.n_parameters), dtype=problem.dtype)

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        out = self._population
        # As the library's ask does, which would decompose the matrix anew for each network and draw from numbers of its own,
        # of which it forgets a part where it is saved.
        optimizer = self._optimizers[member]
        eigen = optimizer._eigen_decomposition()
        z = rng.standard_normal(self._drawn.shape)  # ~ N(0, I)
        if isinstance(eigen, tuple):
            vectors, lengths = eigen
            y = z @ vectors.dot(np.diag(lengths)).T  # ~ N(0, C)
        else:
            y = eigen * z
        self._drawn[:] = optimizer.mean + optimizer._sigma * y  # ~ N(m, σ² C)
        out[:] = self._first[member]
        out[:, self._free] = self._drawn * self._scale
        return out

    def tell(self, member: int, population: Array, values: Array) -> None:
        optimizer = self._optimizers[member]
        optimizer.tell(list(zip(self._drawn.copy(), values.tolist(), strict=True)))
        for name, value in _remembered(optimizer).items():
            self._arrays[f"cma{name}"][member] = value
        # What goes on in memory is what would be read back: a pickle rounds the matrix to a symmetric one.
        optimizer.__setstate__(optimizer.__getstate__())

    def middle(self, member: int) -> Array:
        arrays = self._first[member].copy()
        arrays[self._free] = self._optimizers[member].mean * self._scale
        return arrays

    def sigma(self, member: int) -> float:
        return float(self._optimizers[member]._sigma)
