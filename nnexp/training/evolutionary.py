"""What every algorithm is that breeds networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_number
from nnexp.network.network import Network
from nnexp.training.algorithm import Algorithm, State, Step
from nnexp.training.generation import Breeder, Generation
from nnexp.training.population import Scores, Spread
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class Evolutionary(Algorithm):
    """An algorithm that breeds networks: how many there are in a generation, what they are scored on, what all of them do.

    A subclass gives `first`, `ask` and `tell`, on arrays of one member; or `breeder`, where it needs more, such as buffers.

    Attributes
    ----------
    population_size : int or None
        None for a number that goes by the number of weights.
    batch_size : int or None
        Samples drawn to score a generation; None for all training data.
    n_candidates : int
        Networks of a generation that are judged on the rows that decide.
    keeps : tuple of {"connections", "activations"}
        What evolves besides weights that it leaves as it finds it, or evolves itself. Networks in which another algorithm has
        evolved something else are refused.
    smallest : int
        What population_size may be at least.
    """

    competes = True
    evolves = True
    patience = 50
    population_size: int | None
    batch_size: int | None
    n_candidates: int = 1
    keeps: tuple[str, ...] = ()
    smallest: int = 2

    def check(self) -> None:
        if self.batch_size is not None:
            check_number(*self.said("batch_size"), low=1, integer=True)
        if self.population_size is not None:
            check_number(*self.said("population_size"), low=self.smallest, integer=True)

    def size(self, n_parameters: int) -> int:
        """Return how many networks a population has."""
        if self.population_size is not None:
            return int(self.population_size)
        return max(16, round(2 * math.sqrt(n_parameters)))

    def scored(self, n_parameters: int) -> int:
        """Return how many networks are scored in a generation."""
        return self.size(n_parameters)

    def batch(self, n: int) -> int:
        """Return on how many of n samples a generation is scored."""
        return n if self.batch_size is None else min(int(self.batch_size), n)

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        batch = self.batch(n_training)
        judged = n_validation or (0 if batch == n_training and self.knows_errors else n_training)
        return self.scored(network.n_parameters) * batch + self.n_candidates * judged

    @property
    def knows_errors(self) -> bool:
        """Whether a generation that was scored on all rows has thereby scored the candidates too."""
        return False

    def extend(self, network: Network) -> Network:
        described = f"algorithm={self.name!r}"
        if network.zero_is_absent and "connections" not in self.keeps:
            raise ValueError(
                f"{described} moves every weight, and brings back the connections that evolution has removed. After "
                "evolve='connections' use 'backprop' or another genetic algorithm."
            )
        if network.choices and "activations" not in self.keeps:
            raise ValueError(
                f"{described} would mix the numbers by which neurons choose their activations. After evolve='activations' use "
                "'backprop' or another genetic algorithm."
            )
        return network

    def memory(self, problem: Problem, descent: Descent) -> int:
        # the populations, with a copy while they are at work, and what is made for one member at a time
        d = problem.network.n_parameters
        networks = 2 * problem.n_members * self.scored(d) + self.networks_at_once(problem.network)
        return int(networks * d * problem.dtype.itemsize)

    def networks_at_once(self, network: Network) -> float:
        """Return how many networks a generation makes besides the populations; members take turns."""
        return 4.0 * self.scored(network.n_parameters)

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        made = [self.first(problem, row, rng) for row, rng in zip(parameters, rngs, strict=True)]
        arrays = {name: np.stack([arrays[name] for arrays in made]) for name in made[0]}
        return State(rngs, arrays, np.zeros(len(parameters), dtype=np.int64))

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        judge = Scores(problem, self.batch(problem.training_rows.shape[1]))
        return self.generation(problem, state, judge, self.breeder(problem, state, judge))

    def generation(self, problem: Problem, state: State, judge: Scores, breeder: Breeder) -> Step:
        """Return the step of a breeder."""
        d = problem.network.n_parameters
        candidates = np.empty((problem.n_members, self.n_candidates, d), dtype=problem.dtype)
        return Generation(breeder, judge, Spread(problem), state.rngs, state.updates, candidates)

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        """Return what breeds the networks of a problem's members."""
        return _OfArrays(self, state)

    def first(self, problem: Problem, parameters: Array, rng: np.random.Generator) -> dict[str, Array]:
        """Return the arrays that a member remembers, as they are before the first generation.

        ``parameters``, shape (D,), are those of its network. Unless an algorithm says otherwise there is a ``population``: that
        network and others, shape (P, D), each weight normal with its initial scale; weights of bias neurons too, which else would
        not differ.
        """
        shape = self.size(len(parameters)), len(parameters)
        scale = problem.network.initial_scale.astype(parameters.dtype)
        population = rng.standard_normal(shape, dtype=parameters.dtype) * scale
        population[0] = parameters
        return {"population": population}

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Put a network in the place of the last one of each population."""
        state.arrays["population"][:, -1] = parameters

    def ask(self, kept: dict[str, Array], rng: np.random.Generator) -> Array:
        """Return the networks of a member that are to be scored, shape (P, D); ``kept`` are its arrays."""
        raise NotImplementedError

    def tell(self, kept: dict[str, Array], population: Array, values: Array) -> None:
        """Note in a member's arrays what its networks are worth, shape (P,), the lower the better."""
        raise NotImplementedError


class _OfArrays(Breeder):
    """Breeds by an algorithm's `ask` and `tell`."""

    def __init__(self, settings: Evolutionary, state: State) -> None:
        self._settings = settings
        self._own = [{name: array[i] for name, array in state.arrays.items()} for i in range(len(state.rngs))]

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        return self._settings.ask(self._own[member], rng)

    def tell(self, member: int, population: Array, values: Array) -> None:
        self._settings.tell(self._own[member], population, values)
