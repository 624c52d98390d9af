"""A memetic algorithm: a genetic one whose children learn by gradient before they are judged (Moscato 1989, "On evolution,
search, optimization, genetic algorithms and martial arts: towards memetic algorithms"; Hinton and Nowlan 1987, "How learning
can guide evolution", for learning that is not inherited).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number
from nnexp.network.network import Network
from nnexp.training.algorithm import ALGORITHMS, Algorithm, State, Step, generators
from nnexp.training.backprop import Backprop, Epoch
from nnexp.training.evolutionary import Evolutionary
from nnexp.training.genetic import Breeding, GeneticAlgorithm
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]

# Updates of a child in a generation, at most.
MOST_UPDATES = 100_000
# How networks are bred unless a user says otherwise, where that differs from `GeneticAlgorithm`.
RECIPE: dict[str, Any] = {
    "population_size": None,
    "elite": 1,
    "selection": {"name": "truncation", "share": 0.75},
    "crossover": "arithmetic",
    "crossover_rate": 1.0,
    "mutation": {"name": "scaled", "sigma": 0.01},
}
LEARNING = {
    "lamarckian": "children inherit what their parents have learnt",
    "baldwinian": "children inherit the weights that their parents were born with; learning decides who becomes a parent",
}


class Memetic(Evolutionary):
    """Evolves a population whose children learn by gradient before they are judged, all together in one stack.

    The gradient steps are those of descent: the estimator's ``descent``, ``batch_size``, ``optimizer``, ``learning_rate`` and
    ``schedule`` set them. The elite is kept as it is, so on a fixed batch the best error never gets worse.

    Parameters
    ----------
    gradient_share : float, default=0.99
        What part of the evaluations gradients get, in [0, 1]: 0 is the evolution alone and 1 descent of one network, to
        the same bits.
    gradient_steps : int or None, default=None
        Updates that a child learns for; None for as many as gradient_share says, but at least 1.
    learning : {"lamarckian", "baldwinian"}, default="lamarckian"
        Whether children inherit what their parents have learnt.
    clones : float, default=0.5
        The share of the children, in [0, 1], that are copies of one parent and only learn.
    evolution : GeneticAlgorithm, mapping or None, default=None
        How networks are bred. None for a `GeneticAlgorithm` with ``elite=1``, parents from the better three quarters,
        ``crossover="arithmetic"``, since networks that descend from one have much in common and their mean is often better than
        both, ``crossover_rate=1.0`` and a mutation of sigma 0.01; its ``population_size`` is 128 times what gradients do not get,
        at least 4. A mapping without a name changes settings of that one, such as ``{"population_size": 6}``. An object is taken as
        it is, but for a ``population_size`` of None, which is as many networks as said above.

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
    >>> breeding = Memetic(evolution={"population_size": 8}).set_params(evolution__elite=2).breeding()
    >>> breeding.population_size, breeding.elite, breeding.crossover
    (8, 2, 'arithmetic')
    """

    name: ClassVar[str] = "memetic"
    uses_gradient = True
    advice = "A lower learning_rate or standardised inputs help."
    keeps = ("connections", "activations")
    knows_errors = True
    MOVED: ClassVar[dict[str, str]] = {
        name: f"It is a setting of its evolution: evolution = {{{name!r}: ...}}, or evolution__{name}."
        for name in GeneticAlgorithm.parameter_names()
    }

    def __init__(
        self,
        gradient_share: float = 0.99,
        gradient_steps: int | None = None,
        learning: str = "lamarckian",
        clones: float = 0.5,
        evolution: Any = None,
    ) -> None:
        self.gradient_share = gradient_share
        self.gradient_steps = gradient_steps
        self.learning = learning
        self.clones = clones
        self.evolution = evolution

    def _given(self) -> GeneticAlgorithm:
        """Return the evolution as an object."""
        given: Any = {} if self.evolution is None else self.evolution
        if isinstance(given, Mapping) and "name" not in given:
            given = {"name": GeneticAlgorithm.name, **RECIPE, **given}
        evolution = ALGORITHMS.resolve(given, "Memetic(evolution=...)")
        if not isinstance(evolution, GeneticAlgorithm):
            raise TypeError(f"Memetic(evolution=...) must be a GeneticAlgorithm. Got {quoted(evolution)}.")
        return evolution

    def breeding(self) -> GeneticAlgorithm:
        """Return the evolution as it is used, with a size."""
        evolution = self._given()
        if evolution.population_size is None:
            wanted, islands = max(4, round(128 * (1.0 - self.gradient_share))), int(evolution.islands)
            evolution = copy.copy(evolution).set_params(population_size=-(-wanted // islands) * islands)  # type: ignore[assignment]
        return evolution

    def inner(self) -> dict[str, Algorithm]:
        if isinstance(self.evolution, Algorithm):
            return {"evolution": self.evolution}
        try:
            return {"evolution": self._given()}
        except (TypeError, ValueError):  # it is said where it is checked
            return {}

    def set_params(self, **params: Any) -> Algorithm:
        for name in params:
            if name in self.MOVED:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}. {self.MOVED[name]}")
        settings = {name: value for name, value in params.items() if "__" not in name}
        changed = copy.copy(self)
        Algorithm.set_params(changed, **settings)
        if len(settings) < len(params):
            changed.evolution = copy.copy(
                changed._given()
            )  # to be changed, it must be an object; none is where one fails
            Algorithm.set_params(changed, **{name: value for name, value in params.items() if name not in settings})
        self.__dict__.update(vars(changed))
        return self

    @property
    def n_candidates(self) -> int:  # type: ignore[override]
        """The elite of all islands."""
        return self.breeding().n_candidates

    def size(self, n_parameters: int) -> int:
        return self.breeding().size(n_parameters)

    def batch(self, n: int) -> int:
        return self._given().batch(n)

    def check(self) -> None:
        check_number(*self.said("gradient_share"), low=0, high=1)
        if self.gradient_steps is not None:
            check_number(*self.said("gradient_steps"), low=1, high=MOST_UPDATES, integer=True)
        check_choice(f"{type(self).__name__}(learning=...)", self.learning, LEARNING)
        check_number(*self.said("clones"), low=0, high=1)
        given = self._given()
        check_number("GeneticAlgorithm(islands=...)", given.islands, low=1, integer=True)
        self.breeding().check()

    def choose(self, network: Network) -> Algorithm:
        if self.gradient_share == 1 and self.gradient_steps is None:
            return Backprop()
        if self.gradient_share == 0 and self.gradient_steps is None:
            return self.breeding()
        return self

    def extend(self, network: Network) -> Network:
        return self._given().extend(network)

    def default_steps(self, updates: int) -> int:
        return 100

    def updates(self, network: Network, n: int, n_validation: int, descent: Descent) -> int:
        """Return for how many updates each child learns in a generation, on n rows."""
        if self.gradient_steps is not None:
            return int(self.gradient_steps)
        breeding = self.breeding()
        children = breeding.size(network.n_parameters) - breeding.n_candidates
        scoring = breeding.cost(network, n, n_validation, descent)
        ratio = self.gradient_share / max(1e-9, 1.0 - self.gradient_share)
        wanted = round(ratio * scoring / (3 * descent.samples_per_update(n) * children))
        return min(max(1, wanted), MOST_UPDATES)

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        breeding = self.breeding()
        children = breeding.size(network.n_parameters) - breeding.n_candidates
        updates = self.updates(network, n_training, n_validation, descent)
        learnt = 3 * sum(passes(n_training, updates, descent))
        return breeding.cost(network, n_training, n_validation, descent) + children * learnt

    def memory(self, problem: Problem, descent: Descent) -> int:
        # besides the populations their moments, twice, and for the children that learn as much again and the gradients
        d, moments = problem.network.n_parameters, descent.optimizer.n_moments
        networks = problem.n_members * self.size(d) * (3 * moments + 4)
        return self.breeding().memory(problem, descent) + networks * d * problem.dtype.itemsize

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        state = self.breeding().start(problem, descent, parameters, rngs)
        population = state.arrays["population"]
        for i in range(descent.optimizer.n_moments):
            state.arrays[f"moment_{i}"] = np.zeros_like(population)
        state.arrays["learnt"] = np.zeros(population.shape[:2], dtype=np.int64)
        state.arrays |= descent.schedule.start(problem.n_members)
        if self.learning == "baldwinian":
            state.arrays["phenotype"] = population.copy()
        return state

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        self._given().accept(problem, descent, state, parameters)
        for name in ("learnt", *(f"moment_{i}" for i in range(descent.optimizer.n_moments))):
            state.arrays[name][:, -1] = 0
        if self.learning == "baldwinian":
            state.arrays["phenotype"][:, -1] = parameters

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        judge = Scores(problem, self.batch(problem.training_rows.shape[1]))
        return self.generation(problem, state, judge, _Breeding(self, problem, descent, state, judge))

    def resume(self, problem: Problem, descent: Descent, state: State) -> None:
        Backprop().resume(problem, descent, state)

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:
        self._given().observe(problem, descent, state, watched, each)
        descent.schedule.observe(state.arrays, watched)

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:
        self._given().forget(problem, descent, state)
        descent.schedule.forget(state.arrays)


def passes(n: int, updates: int, descent: Descent) -> list[int]:
    """Return the rows of each pass over n rows that a number of updates takes: whole epochs, and a part of one."""
    batch = descent.samples_per_update(n)
    epochs, rest = divmod(updates, -(-n // batch))
    return [n] * epochs + ([rest * batch] if rest else [])


class _Breeding(Breeding):
    """Breeds children that learn before they are judged."""

    def __init__(self, settings: Memetic, problem: Problem, descent: Descent, state: State, judge: Scores) -> None:
        super().__init__(settings.breeding(), problem, state, judge)
        members, n = problem.training_rows.shape
        self._inherits = settings.learning == "lamarckian"
        place = np.arange(self.islands * self.island_size).reshape(self.islands, self.island_size)
        self._children = place[:, self.elite :].ravel()
        children = self._children.size
        self.clones = round(settings.clones * (self.island_size - self.elite))
        self._moments = [f"moment_{i}" for i in range(descent.optimizer.n_moments)]
        # What a child of no learning inherits starts to learn anew.
        self.carried = (*self._moments, "learnt") if self._inherits else ("phenotype",)
        self._schedule = list(descent.schedule.start(1))

        learners = np.repeat(np.arange(members), children)
        individuals, steps = problem.select(learners), descent.select(learners)
        first = np.zeros((len(learners), problem.network.n_parameters), dtype=problem.dtype)
        self._learner = Backprop().start(
            individuals, steps, first, [rng for rng in state.rngs for _ in range(children)]
        )
        validation = 0 if problem.validation_rows is None else problem.validation_rows.shape[1]
        rows = passes(n, settings.updates(problem.network, n, validation, descent), descent)
        epochs = {row: Epoch(individuals, steps, self._learner, row) for row in dict.fromkeys(rows)}
        self._epochs = [epochs[row] for row in rows]
        self.cost += children * 3 * sum(rows)

    def begin(self) -> None:
        self._teach()

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        return self.state.arrays["population" if self._inherits else "phenotype"][member]

    def _teach(self) -> None:
        """Let all children of all members learn, in one stack."""
        arrays, learner, children = self.state.arrays, self._learner, self._children

        def flat(name: str) -> Array:
            weights = arrays[name][:, children]
            return weights.reshape(-1, *weights.shape[2:])

        moments = learner.arrays
        # Each draws from a generator of its own, so that it does not matter in which pieces a batch is done.
        learner.rngs[:] = [each for rng in self.state.rngs for each in generators(rng, children.size)]
        for name in self._schedule:
            moments[name][:] = np.repeat(arrays[name], children.size)
        moments["parameters"][:] = flat("population")
        for name in self._moments:
            moments[name][:] = flat(name)
        learner.updates[:] = flat("learnt")
        for epoch in self._epochs:
            # A generation is a step of the schedule.
            moments["steps"][:] = np.repeat(self.state.updates, children.size)
            epoch.refresh()
            epoch.resume()
            epoch()
        shape = len(self.state.rngs), children.size
        learnt = moments["parameters"].reshape(*shape, -1)
        arrays["population" if self._inherits else "phenotype"][:, children] = learnt
        if self._inherits:
            for name in self._moments:
                arrays[name][:, children] = moments[name].reshape(*shape, -1)
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
