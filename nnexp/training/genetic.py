"""A genetic algorithm over the weights of a network, and over its activations and connections if wanted.

The recipe follows Such et al. 2017 ("Deep neuroevolution", arXiv 1712.06567) and Prellberg and Kramer 2018
("Limited evaluation evolutionary optimization of large neural networks", arXiv 1806.09819): selection by rank,
crossover of whole neurons or single weights, mutation whose strength evolves along, and an elite that survives
unchanged and is scored anew with its children. Islands follow Whitley, Rana and Heckendorn 1999, random immigrants
Grefenstette 1992.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number
from nnexp.network.activations import Activation, OneOf, resolve_activation
from nnexp.network.network import Network
from nnexp.training.algorithm import State, generators
from nnexp.training.crossover import CROSSOVERS, Crossover
from nnexp.training.evolutionary import Evolutionary
from nnexp.training.generation import Breeder
from nnexp.training.genome import Genome
from nnexp.training.mutation import MUTATIONS, Mutation, Safe, chosen
from nnexp.training.population import Scores
from nnexp.training.problem import Descent, Problem
from nnexp.training.selection import SELECTIONS, Selection, check_parents

Array = NDArray[Any]

EVOLVE = {
    "weights": "by crossover and mutation",
    "activations": "which of several each hidden neuron has",
    "connections": "which of them exist",
}


class GeneticAlgorithm(Evolutionary):
    """Evolves a population of weight vectors; it needs no derivative.

    Parameters
    ----------
    population_size : int or None, default=128
        Networks in a generation, at least 2. None for 128, and in a `Memetic` for as many as that one chooses.
    elite : int, default=4
        The best networks of an island that survive unchanged; at least 1 and fewer than it has. They are the candidates
        among which the best network is chosen, on the validation data or on all training data.
    selection : str, mapping or Selection, default="truncation"
        Which networks become parents: ``"truncation"``, ``"tournament"``, ``"rank"``, ``"stochastic_universal"`` or
        ``"roulette"``, with settings such as ``{"name": "truncation", "share": 0.2}``.
    crossover : str, mapping or Crossover, default="neuron"
        How a child's weights come from two parents: ``"neuron"``, ``"aligned"``, ``"uniform"``, ``"one_point"``,
        ``"arithmetic"`` or ``"sbx"``.
    crossover_rate : float, default=0.8
        The probability that a child has two parents, in [0, 1].
    mutation : str, mapping or Mutation, default="scaled"
        How weights change at random: ``"scaled"``, ``"gaussian"``, ``"polynomial"``, ``"gesmr"`` or ``"safe"``.
    batch_size : int or None, default=512
        Samples drawn to score a generation; None for all training data.
    islands : int, default=1
        Parts of the population that breed apart; population_size must be a multiple of it.
    migration_interval : int, default=10
        Generations between two migrations.
    migrants : int, default=1
        How many of an island's best go to the next island then, in place of some of its children; at most elite.
    immigrants : float, default=0.0
        The share of the children, in [0, 1), that are random networks in a generation after ``stagnation``.
    stagnation : int, default=20
        Generations without a better network after which immigrants come.
    evolve : sequence of {"weights", "activations", "connections"}, default=("weights",)
        What evolves: the weights, which of ``activations`` each hidden neuron has, which connections exist.
    activations : sequence of str or Activation, default=("tanh", "relu", "sine")
        What hidden neurons choose from, where that evolves.
    structure_rate : float, default=0.01
        The probability, in (0, 1], that a neuron's activation is drawn anew, or that a connection comes or goes.
    parsimony : float, default=0.0
        What the connections cost where they evolve: it is added to the error times the share of all that are present, where
        networks are selected, and where the best one is chosen by the training data.

    Notes
    -----
    One step of training is one generation. A NaN or infinite error ranks last.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=GeneticAlgorithm(), random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    name: ClassVar[str] = "genetic"
    keeps = ("connections", "activations")
    knows_errors = True

    def __init__(
        self,
        population_size: int | None = 128,
        elite: int = 4,
        selection: Any = "truncation",
        crossover: Any = "neuron",
        crossover_rate: float = 0.8,
        mutation: Any = "scaled",
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
        self.population_size = population_size
        self.elite = elite
        self.selection = selection
        self.crossover = crossover
        self.crossover_rate = crossover_rate
        self.mutation = mutation
        self.batch_size = batch_size
        self.islands = islands
        self.migration_interval = migration_interval
        self.migrants = migrants
        self.immigrants = immigrants
        self.stagnation = stagnation
        self.evolve = evolve
        self.activations = activations
        self.structure_rate = structure_rate
        self.parsimony = parsimony

    @property
    def n_candidates(self) -> int:  # type: ignore[override]
        """The elite of all islands."""
        return int(self.elite) * int(self.islands)

    def check(self) -> None:
        described, kind = self.said, type(self).__name__
        super().check()
        check_number(*described("islands"), low=1, integer=True)
        size, islands = self.size(0), int(self.islands)
        if size % islands:
            raise ValueError(f"{kind}(population_size=...) must be a multiple of islands={islands}. Got {size}.")
        size_of_island = size // islands
        if size_of_island < 2:
            raise ValueError(
                f"{kind}(islands=...) leaves {size_of_island} network to an island, which needs 2. Got {islands}."
            )
        check_number(*described("elite"), low=1, high=size_of_island - 1, integer=True)
        check_number(*described("crossover_rate"), low=0, high=1)
        check_number(*described("migration_interval"), low=1, integer=True)
        check_number(
            *described("migrants"), low=0, high=min(int(self.elite), size_of_island - int(self.elite)), integer=True
        )
        check_number(*described("immigrants"), low=0, high=1, open_high=True)
        check_number(*described("stagnation"), low=1, integer=True)
        check_number(*described("structure_rate"), low=0, high=1, open_low=True)
        check_number(*described("parsimony"), low=0, high=1e6)
        self._check_operators()
        if isinstance(self.evolve, str) or not isinstance(self.evolve, list | tuple) or not self.evolve:
            raise TypeError(f"{kind}(evolve=...) must be a sequence of {', '.join(EVOLVE)}. Got {quoted(self.evolve)}.")
        for part in self.evolve:
            check_choice(f"{kind}(evolve=...)", part, EVOLVE)
        if "activations" in self.evolve:
            self.choice()
        if self.parsimony and "connections" not in self.evolve:
            raise ValueError(f"{kind}(parsimony=...) needs 'connections' in evolve. Got {quoted(self.evolve)}.")

    def size(self, n_parameters: int) -> int:
        return 128 if self.population_size is None else int(self.population_size)

    @property
    def evolves_structure(self) -> bool:
        """Whether more than the weights evolves."""
        return any(part != "weights" for part in self.evolve)

    def operators(self) -> tuple[Selection, Crossover, Mutation]:
        """Return selection, crossover and mutation as objects."""
        kind = type(self).__name__
        return (
            SELECTIONS.resolve(self.selection, f"{kind}(selection=...)"),
            CROSSOVERS.resolve(self.crossover, f"{kind}(crossover=...)"),
            MUTATIONS.resolve(self.mutation, f"{kind}(mutation=...)"),
        )

    def _check_operators(self) -> None:
        """Raise an error for operators, such as a user's, whose sigma or cost is none."""
        kind = type(self).__name__
        _, crossover, mutation = self.operators()
        check_number(
            f"The sigma of {kind}(mutation=...)", getattr(mutation, "sigma", None), low=0, high=1e6, open_low=True
        )
        costs = {"crossover": crossover.evaluations(512), "mutation": mutation.evaluations(512, 2)}
        for name, cost in costs.items():
            check_number(f"The evaluations of {kind}({name}=...)", cost, low=0, high=1e12, integer=True)

    def choice(self) -> OneOf:
        """Return what hidden neurons choose from."""
        described = f"{type(self).__name__}(activations=...)"
        if isinstance(self.activations, str) or not isinstance(self.activations, list | tuple):
            raise TypeError(f"{described} must be a sequence of activations. Got {quoted(self.activations)}.")
        for entry in self.activations:
            if not isinstance(entry, str | Activation | Mapping):
                raise TypeError(f"{described} must hold names of activations, or activations. Got {quoted(entry)}.")
        options: list[Activation] = [resolve_activation(activation, 1, described) for activation in self.activations]
        if len(set(options)) < 2 or any(not option.elementwise for option in options):
            raise ValueError(f"{described} must name at least 2 different activations of single neurons.")
        return OneOf(tuple(dict.fromkeys(options)))

    def extend(self, network: Network) -> Network:
        _, crossover, mutation = self.operators()
        if network.zero_is_absent and crossover.moves and "connections" not in self.evolve:
            raise ValueError(
                f"crossover={crossover.name!r} takes weights from one neuron to another, and would bring back connections "
                "that evolution has removed. After evolve='connections' use another crossover, or evolve them here too."
            )
        if "activations" in self.evolve:
            if network.n_layers < 3:
                raise ValueError(f"{type(self).__name__}(evolve=...): evolve='activations' needs a hidden layer.")
            network = network.evolvable(self.choice())
        if "connections" in self.evolve:
            network = network.evolvable(connections=True)
        if isinstance(mutation, Safe):
            for activation in network.activations:
                if not activation.differentiable:
                    raise ValueError(
                        f"mutation='safe' needs derivatives, and the activation {activation.name!r} has none of use."
                    )
        return network

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        scored = super().cost(network, n_training, n_validation, descent)
        return scored + self.breeding_cost(self.batch(n_training), network.n_outputs)

    def breeding_cost(self, batch: int, n_outputs: int) -> int:
        """Return what crossover and mutation of a generation cost."""
        _, crossover, mutation = self.operators()
        size = self.size(0)
        children = size - self.n_candidates
        return size * crossover.evaluations(batch) + children * mutation.evaluations(batch, n_outputs)

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        members, size = problem.n_members, self.size(parameters.shape[1])
        _, _, mutation = self.operators()
        population = np.empty((members, size, parameters.shape[1]), dtype=parameters.dtype)
        for individuals, first, rng in zip(population, parameters, rngs, strict=True):
            individuals[:] = problem.network.initialize(size, generators(rng, size), parameters.dtype)
            individuals[0] = first
            if problem.network.zero_is_absent and "connections" not in self.evolve:
                individuals *= problem.network.present(
                    first
                )  # what evolution has removed before is not for this algorithm to bring back
        arrays = {
            "population": population,
            "sigma": np.full((members, size), float(mutation.sigma)),
            "mutated": np.zeros((members, size), dtype=bool),
            "stagnant": np.zeros(members, dtype=np.int64),
            "best": np.full(members, np.inf),
            **{f"mutation.{name}": values for name, values in _memory_of(mutation, members, size).items()},
        }
        return State(rngs, arrays, np.zeros(members, dtype=np.int64))

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Put a network in the place of the last child of each population."""
        state.arrays["population"][:, -1] = parameters
        state.arrays["stagnant"][:] = 0

    def breeder(self, problem: Problem, state: State, judge: Scores) -> Breeder:
        return Breeding(self, problem, state, judge)

    def networks_at_once(self, network: Network) -> float:
        _, crossover, mutation = self.operators()
        more = max(4.0 if self.evolves_structure else 0.0, crossover.copies + mutation.copies)
        return super().networks_at_once(network) + (0.5 + more) * self.size(network.n_parameters)

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:
        better = watched < state.arrays["best"]
        state.arrays["stagnant"][:] = np.where(better, 0, state.arrays["stagnant"] + 1)
        state.arrays["best"][better] = watched[better]

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:
        state.arrays["best"][:] = np.inf
        state.arrays["stagnant"][:] = 0


def _memory_of(mutation: Mutation, members: int, size: int) -> dict[str, Array]:
    """Return what a mutation remembers at the start; raise a ValueError if that cannot be kept."""
    memory = mutation.start(members, size)
    if not isinstance(memory, dict) or not all(
        isinstance(n_bytes, np.ndarray) and n_bytes.shape[:1] == (members,) and n_bytes.ndim > 1
        for n_bytes in memory.values()
    ):
        raise ValueError(
            f"mutation={mutation!r} must start with a dictionary of arrays whose first axis is that of {members} members, and "
            "which have another."
        )
    return memory


class Breeding(Breeder):
    """Breeds the populations of the members of a stack by selection, crossover and mutation.

    Attributes
    ----------
    carried : tuple of str
        More arrays of the state, of shape (members, population, ...), that networks keep and children inherit.
    """

    carried: tuple[str, ...] = ()

    def __init__(self, settings: GeneticAlgorithm, problem: Problem, state: State, judge: Scores) -> None:
        self.settings, self.problem, self.state, self._judge = settings, problem, state, judge
        self._selection, self._crossover, self._mutation = settings.operators()
        network, dtype = problem.network, problem.dtype
        self.genome = Genome(problem)
        size, self.islands = settings.size(network.n_parameters), int(settings.islands)
        self.island_size = size // self.islands
        self.elite = int(settings.elite)
        self.clones = 0
        self._next = np.empty((size, network.n_parameters), dtype=dtype)
        self._connections = np.flatnonzero(network.penalty_mask & (network.initial_scale > 0))
        self.cost: int = size * judge.evaluations + settings.breeding_cost(judge.evaluations, network.n_outputs)
        memory = "mutation."
        self._memory = [
            {name.removeprefix(memory): array[i] for name, array in state.arrays.items() if name.startswith(memory)}
            for i in range(problem.n_members)
        ]

    def ask(self, member: int, rng: np.random.Generator) -> Array:
        return self.state.arrays["population"][member]

    def tell(self, member: int, population: Array, values: Array) -> None:
        self._learn(member, values.reshape(self.islands, self.island_size))
        self._breed(member, self._order(values), values)

    def _order(self, values: Array) -> Array:
        """Return the networks of each island by rank, shape (islands, island_size)."""
        islands = values.reshape(self.islands, self.island_size)
        return islands.argsort(axis=1, kind="stable") + self.island_size * np.arange(self.islands)[:, np.newaxis]

    def best(self, values: Array, n: int) -> Array:
        best = self._order(values)[:, : self.elite].ravel()
        return best[values[best].argsort(kind="stable")]

    def price(self, networks: Array) -> Array | None:
        if not self.settings.parsimony:
            return None
        return self.settings.parsimony * (networks[..., self._connections] != 0).mean(axis=-1)

    def sigma(self, member: int) -> float:
        return float(np.exp(np.log(self.state.arrays["sigma"][member]).mean()))

    def columns(self, member: int, best: Array) -> dict[str, float]:
        if not self.settings.evolves_structure:
            return {}
        return {
            name if name == "connections" else f"neurons_{name}": float(count)
            for name, count in self.problem.network.architecture(best).items()
        }

    def _learn(self, member: int, islands: Array) -> None:
        """Tell the mutation how its children have turned out."""
        generation, memory = int(self.state.updates[member]), self._memory[member]
        if not generation or not memory:  # the first networks are nobody's children
            return
        mutated = self.state.arrays["mutated"][member].reshape(islands.shape)
        children = np.where(mutated, islands, np.inf)[:, self.elite :]
        self._mutation.learn(children.min(axis=0), memory, self.state.rngs[member])

    def _migrates(self, generation: int) -> bool:
        settings = self.settings
        return self.islands > 1 and settings.migrants > 0 and (generation + 1) % int(settings.migration_interval) == 0

    def _breed(self, member: int, order: Array, value: Array) -> None:
        """Replace a population by the elite and the children of its islands, each ranked by order, (islands, size)."""
        settings, state = self.settings, self.state
        rng, elite = state.rngs[member], self.elite
        population, sigma = state.arrays["population"][member], state.arrays["sigma"][member]
        self.genome.begin(population, self._judge.inputs)
        strange = 0
        if settings.immigrants and state.arrays["stagnant"][member] >= settings.stagnation:
            strange, state.arrays["stagnant"][member] = round(settings.immigrants * (self.island_size - elite)), 0
        heirs = np.empty(len(population), dtype=np.intp)  # from whom each inherits what is not mixed
        strength, mutated = np.empty_like(sigma), state.arrays["mutated"][member]
        for island, ranked in enumerate(order):
            place = slice(island * self.island_size, (island + 1) * self.island_size)
            born, n = self._next[place], self.island_size - elite
            np.take(population, ranked[:elite], axis=0, out=born[:elite], mode="clip")
            parents = ranked[self._parents(value[ranked], n, rng)]  # (children, 2)
            heirs[place] = np.concatenate([ranked[:elite], parents[:, 0]])
            strength[place] = sigma[heirs[place]]
            strength[place][elite:] = self.make_children(born[elite:], parents, sigma, member, rng)
            mutated[place] = np.arange(self.island_size) >= elite
            mutated[place][self.island_size - self.clones :] = False
            if strange:
                mutated[place][self.island_size - strange :] = False
                born[self.island_size - strange :] = self.problem.network.initialize(
                    strange, generators(rng, strange), population.dtype
                )
                strength[place][self.island_size - strange :] = self._mutation.sigma
        for name in self.carried:
            array = state.arrays[name][member]
            array[:] = array[heirs]
            if strange:  # nobody's heirs
                array.reshape(self.islands, self.island_size, *array.shape[1:])[:, self.island_size - strange :] = 0
        sigma[:], population[:] = strength, self._next
        if self._migrates(int(state.updates[member])):
            m = int(settings.migrants)
            for name in ("population", "sigma", "mutated", *self.carried):
                array = state.arrays[name][member]
                cut = array.reshape(self.islands, self.island_size, *array.shape[1:])
                cut[:, self.island_size - m :] = np.roll(cut[:, :m], 1, axis=0)  # the elite, which has not mutated

    def _parents(self, errors: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw the ranks of two parents for each of n children, shape (n, 2)."""
        return check_parents(self._selection, self._selection.draw(errors, n, rng), n, len(errors))

    def make_children(
        self, children: Array, parents: Array, sigma: Array, member: int, rng: np.random.Generator
    ) -> Array:
        """Write the children of parents, shape (m, 2), and return the strength that each mutated with, shape (m,)."""
        settings, genome = self.settings, self.genome
        population = genome.population
        # How many have two parents; those that have are the first ones.
        crossed = int(rng.binomial(len(children), settings.crossover_rate))
        parents[crossed:, 1] = parents[crossed:, 0]
        np.take(population, parents[:, 0], axis=0, out=children, mode="clip")
        if crossed:
            others = genome.buffer("others", len(children))[:crossed]
            np.take(population, parents[:crossed, 1], axis=0, out=others, mode="clip")
            two = children[:crossed]
            kept = None if self._crossover.exchanges else two[:, genome.choices]
            self._crossover.cross(two, others, parents[:crossed].copy(), genome, rng)
            if kept is not None:
                two[:, genome.choices] = kept
        strength = self._strength(self._mutation.inherit(sigma[parents], self._memory[member], rng), len(children))
        if settings.evolves_structure or self.problem.network.zero_is_absent:
            self._change_structure(children, strength, rng)
        else:
            self._mutation.perturb(children, strength, genome, rng)
        self._check(children, parents)
        return strength

    def _strength(self, inherited: Any, n: int) -> Array:
        """Return the sigma of n children; raise a ValueError if a mutation has returned something else."""
        try:
            strength = np.asarray(inherited, dtype=np.float64)
        except (TypeError, ValueError):
            strength = np.empty(0)
        if strength.shape != (n,) or not (np.isfinite(strength) & (strength > 0)).all():
            raise ValueError(
                f"mutation={self._mutation!r} must inherit a positive and finite sigma for each of {n} children, an array of shape "
                f"({n},). Got {inherited!r:.200}."
            )
        return strength

    def _change_structure(self, children: Array, strength: Array, rng: np.random.Generator) -> None:
        """Mutate weights, activations and connections, as far as they evolve."""
        settings, genome = self.settings, self.genome
        if "weights" in settings.evolve:
            absent = children == 0  # of bias weights too, but those are put back only where connections evolve
            self._mutation.perturb(children, strength, genome, rng)
            if self.problem.network.zero_is_absent:
                absent[:, ~self.problem.network.penalty_mask] = False
                children[absent] = 0.0
        if "connections" in settings.evolve:
            weights = children[:, self._connections]
            turned = chosen(rng, weights.size, settings.structure_rate).reshape(weights.shape)
            fresh = rng.standard_normal(weights.shape, dtype=weights.dtype) * genome.scale[self._connections]
            weights[turned] = np.where(weights[turned] != 0, 0.0, fresh[turned])
            children[:, self._connections] = weights
        if genome.choices.size:
            drawn = chosen(rng, len(children) * genome.choices.size, settings.structure_rate)
            changed = drawn.reshape(len(children), -1)
            count = len(self.settings.choice().activations)
            numbers = children[:, genome.choices]
            numbers[changed] = rng.integers(0, count, int(changed.sum()))
            children[:, genome.choices] = numbers

    def _check(self, children: Array, parents: Array) -> None:
        """Raise a ValueError if an operator of the user's has made what cannot be."""
        known = (type(self._crossover).__module__, type(self._mutation).__module__)
        if known == (Crossover.__module__, Mutation.__module__):
            return
        fixed = self.genome.scale == 0
        fixed[self.genome.choices] = False
        numbers = children[:, self.genome.choices]
        if children[:, fixed].any() or (numbers != np.rint(numbers)).any():
            raise ValueError(
                f"crossover={self._crossover!r} or mutation={self._mutation!r} changes what it may not, where Genome.scale is 0: "
                "weights of connections that do not exist, or the numbers of activations."
            )
        wrong = ~np.isfinite(children).all(axis=1)
        if wrong.any() and np.isfinite(self.genome.population[parents[wrong]]).all():
            raise ValueError(
                f"crossover={self._crossover!r} or mutation={self._mutation!r} gives NaN or infinite weights to children of "
                "finite parents."
            )
