"""A memetic algorithm: a genetic one whose children learn by gradient before they are judged (Moscato 1989, "On evolution,
search, optimization, genetic algorithms and martial arts: towards memetic algorithms"; Hinton and Nowlan 1987, "How learning
can guide evolution", for learning that is not inherited).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_choice, check_number
from nnexp.network.network import Network
from nnexp.training.algorithm import Algorithm, State, generators
from nnexp.training.backprop import Backprop, Epoch
from nnexp.training.generation import Breeder
from nnexp.training.genetic import Breeding, GeneticAlgorithm
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]

# Updates of a child in a generation, at most.
MOST_UPDATES = 100_000
LEARNING = {
    "lamarckian": "children inherit what their parents have learnt",
    "baldwinian": "children inherit the weights that their parents were born with; learning decides who becomes a parent",
}


class Memetic(GeneticAlgorithm):
    """Evolves a population whose children learn by gradient before they are judged, all together in one stack.

    The gradient steps are those of descent: the estimator's ``descent``, ``batch_size``, ``optimizer``, ``learning_rate`` and
    ``schedule`` set them. The elite is kept as it is, so on a fixed batch the best error never gets worse.

    Parameters
    ----------
    gradient_share : float, default=0.99
        What part of the evaluations gradients get, in [0, 1]: 0 is a `GeneticAlgorithm` and 1 descent of one network, to
        the same bits.
    gradient_steps : int or None, default=None
        Updates that a child learns for; None for as many as gradient_share says, but at least 1.
    learning : {"lamarckian", "baldwinian"}, default="lamarckian"
        Whether children inherit what their parents have learnt.
    clones : float, default=0.5
        The share of the children, in [0, 1], that are copies of one parent and only learn.
    population_size : int or None, default=None
        Networks in a generation, at least 2. None for 128 times what gradients do not get, and at least 4.
    elite : int, default=1
        The best networks of an island that survive unchanged.
    selection : str, mapping or Selection, default={"name": "truncation", "share": 0.75}
        Which networks become parents.
    crossover : str, mapping or Crossover, default="arithmetic"
        How a child's weights come from two parents: networks that descend from one have much in common, and their mean is
        often better than both.
    crossover_rate : float, default=1.0
        The probability that a child that is no clone has two parents, in [0, 1].
    mutation : str, mapping or Mutation, default={"name": "scaled", "sigma": 0.01}
        How weights change at random.
    batch_size, islands, migration_interval, migrants, immigrants, stagnation, evolve, activations, structure_rate, parsimony
        As for `GeneticAlgorithm`.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=Memetic(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "memetic"
    uses_gradient = True
    advice = "A lower learning_rate or standardised inputs help."

    def __init__(
        self,
        gradient_share: float = 0.99,
        gradient_steps: int | None = None,
        learning: str = "lamarckian",
        clones: float = 0.5,
        population_size: int | None = None,
        elite: int = 1,
        selection: Any = {"name": "truncation", "share": 0.75},  # noqa: B006 - it is never changed
        crossover: Any = "arithmetic",
        crossover_rate: float = 1.0,
        mutation: Any = {"name": "scaled", "sigma": 0.01},  # noqa: B006
        batch_size: int | None = 512,
        islands: int = 1,
        migration_interval: int = 10,
        migrants: int = 1,
        immigrants: float = 0.0,
        stagnation: int = 20,
        evolve: Sequence[str] = ("weights",),
        activations: Sequence[Any] = ("tanh", "relu", "sine"),
        structure_rate: float = 0.01,
        parsimony: float = 0.0,
    ) -> None:
        super().__init__(
            population_size, elite, selection, crossover, crossover_rate, mutation, batch_size, islands, migration_interval,  # type: ignore[arg-type]
            migrants, immigrants, stagnation, evolve, activations, structure_rate, parsimony,
        )  # fmt: skip
        self.gradient_share = gradient_share
        self.gradient_steps = gradient_steps
        self.learning = learning
        self.clones = clones

    def size(self, n_parameters: int) -> int:
        if self.population_size is not None:
            return int(self.population_size)
        wanted = max(4, round(128 * (1.0 - self.gradient_share)))
        return -(-wanted // int(self.islands)) * int(self.islands)

    def check(self) -> None:
        check_number(*self.said("gradient_share"), low=0, high=1)
        if self.gradient_steps is not None:
            check_number(*self.said("gradient_steps"), low=1, high=MOST_UPDATES, integer=True)
        check_choice(f"{type(self).__name__}(learning=...)", self.learning, LEARNING)
        check_number(*self.said("clones"), low=0, high=1)
        super().check()

    def choose(self, network: Network) -> Algorithm:
        if self.gradient_share == 1 and self.gradient_steps is None:
            return Backprop()
        if self.gradient_share == 0 and self.gradient_steps is None:
            shared = {
                name: own for name, own in self.get_params().items() if name in GeneticAlgorithm.parameter_names()
            }
            return GeneticAlgorithm(**shared | {"population_size": self.size(network.n_parameters)})
        return self

    def default_steps(self, updates: int) -> int:
        return 100

    def updates(self, network: Network, n: int, n_validation: int, descent: Descent) -> int:
        """Return for how many updates each child learns in a generation, on n rows."""
        if self.gradient_steps is not None:
            return int(self.gradient_steps)
        children = self.size(network.n_parameters) - self.n_candidates
        scoring = super().cost(network, n, n_validation, descent)
        ratio = self.gradient_share / max(1e-9, 1.0 - self.gradient_share)
        wanted = round(ratio * scoring / (3 * descent.samples_per_update(n) * children))
        return min(max(1, wanted), MOST_UPDATES)

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        children = self.size(network.n_parameters) - self.n_candidates
        updates = self.updates(network, n_training, n_validation, descent)
        learnt = 3 * sum(passes(n_training, updates, descent))
        return super().cost(network, n_training, n_validation, descent) + children * learnt

    def memory(self, problem: Problem) -> int:
        # besides the populations their moments, twice, and for the children that learn as much again and the gradients
        d, moments = problem.network.n_parameters, problem.descent.optimizer.n_moments
        networks = problem.n_members * self.size(d) * (3 * moments + 4)
        return super().memory(problem) + networks * d * problem.dtype.itemsize

    def start(self, problem: Problem, parameters: Array, rngs: list[np.random.Generator]) -> State:
        state = super().start(problem, parameters, rngs)
        population = state.arrays["population"]
        for i in range(problem.descent.optimizer.n_moments):
            state.arrays[f"moment_{i}"] = np.zeros_like(population)
        state.arrays["learnt"] = np.zeros(population.shape[:2], dtype=np.int64)
        state.arrays |= problem.descent.schedule.start(problem.n_members)
        if self.learning == "baldwinian":
            state.arrays["phenotype"] = population.copy()
        return state

    def accept(self, problem: Problem, state: State, parameters: Array) -> None:
        super().accept(problem, state, parameters)
        for name in ("learnt", *(f"moment_{i}" for i in range(problem.descent.optimizer.n_moments))):
            state.arrays[name][:, -1] = 0
        if self.learning == "baldwinian":
            state.arrays["phenotype"][:, -1] = parameters

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        return _Breeding(self, problem, state, judge)

    def resume(self, problem: Problem, state: State) -> None:
        Backprop().resume(problem, state)

    def observe(self, problem: Problem, state: State, watched: Array, each: Array) -> None:
        super().observe(problem, state, watched, each)
        problem.descent.schedule.observe(state.arrays, watched)

    def forget(self, problem: Problem, state: State) -> None:
        super().forget(problem, state)
        problem.descent.schedule.forget(state.arrays)


def passes(n: int, updates: int, descent: Descent) -> list[int]:
    """Return the rows of each pass over n rows that a number of updates takes: whole epochs, and a part of one."""
    batch = descent.samples_per_update(n)
    epochs, rest = divmod(updates, -(-n // batch))
    return [n] * epochs + ([rest * batch] if rest else [])


class _Breeding(Breeding):
    """Breeds children that learn before they are judged."""

    settings: Memetic

    def __init__(self, settings: Memetic, problem: Problem, state: State, judge: Scores) -> None:
        super().__init__(settings, problem, state, judge)
        members, n = problem.training_rows.shape
        self._inherits = settings.learning == "lamarckian"
        size = settings.size(problem.network.n_parameters)
        place = np.arange(size).reshape(self.islands, self.island_size)
        self._children = place[:, self.elite :].ravel()
        children = self._children.size
        self.clones = round(settings.clones * (self.island_size - self.elite))
        self._moments = [f"moment_{i}" for i in range(problem.descent.optimizer.n_moments)]
        # What a child of no learning inherits starts to learn anew.
        self.carried = (*self._moments, "learnt") if self._inherits else ("phenotype",)
        self._schedule = list(problem.descent.schedule.start(1))

        individuals = problem.select(np.repeat(np.arange(members), children))
        first = np.zeros((members * children, problem.network.n_parameters), dtype=problem.dtype)
        self._learner = Backprop().start(individuals, first, [rng for rng in state.rngs for _ in range(children)])
        validation = 0 if problem.validation_rows is None else problem.validation_rows.shape[1]
        rows = passes(n, settings.updates(problem.network, n, validation, problem.descent), problem.descent)
        epochs = {own: Epoch(individuals, self._learner, own) for own in dict.fromkeys(rows)}
        self._epochs = [epochs[own] for own in rows]
        self.cost += children * 3 * sum(rows)

    def begin(self) -> None:
        self._teach()

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        return self.state.arrays["population" if self._inherits else "phenotype"][member]

    def _teach(self) -> None:
        """Let all children of all members learn, in one stack."""
        arrays, learner, children = self.state.arrays, self._learner, self._children

        def flat(name: str) -> Array:
            own = arrays[name][:, children]
            return own.reshape(-1, *own.shape[2:])

        own = learner.arrays
        # Each draws from a generator of its own, so that it does not matter in which pieces a batch is done.
        learner.rngs[:] = [each for rng in self.state.rngs for each in generators(rng, children.size)]
        for name in self._schedule:
            own[name][:] = np.repeat(arrays[name], children.size)
        own["parameters"][:] = flat("population")
        for name in self._moments:
            own[name][:] = flat(name)
        learner.updates[:] = flat("learnt")
        for epoch in self._epochs:
            # A generation is a step of the schedule.
            own["steps"][:] = np.repeat(self.state.updates, children.size)
            epoch.refresh()
            epoch.resume()
            epoch()
        shape = len(self.state.rngs), children.size
        learnt = own["parameters"].reshape(*shape, -1)
        arrays["population" if self._inherits else "phenotype"][:, children] = learnt
        if self._inherits:
            for name in self._moments:
                arrays[name][:, children] = own[name].reshape(*shape, -1)
            arrays["learnt"][:, children] = learner.updates.reshape(shape)

    def make_children(
        self, children: Array, parents: Array, sigma: Array, member: int, rng: np.random.Generator
    ) -> Array:
        bred = len(children) - self.clones
        strength = np.empty(len(children))
        if bred:
            strength[:bred] = super().make_children(children[:bred], parents[:bred], sigma, member, rng)
        alone = parents[bred:, 0]
        children[bred:] = self.genome.population[alone]
        strength[bred:] = sigma[alone]
        return strength
