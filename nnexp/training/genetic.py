"""A genetic algorithm over the weights of a network.

The recipe follows Such et al. 2017 ("Deep neuroevolution", arXiv 1712.06567) and Prellberg and Kramer 2018
("Limited evaluation evolutionary optimization of large neural networks", arXiv 1806.09819): selection by rank,
crossover of whole neurons or single weights, Gaussian mutation whose strength evolves along (Schwefel 1981), and
an elite that survives unchanged. A generation is scored in stacked matrix products, all of it, the elite too, on
one batch drawn anew, so that no network lives on an old and lucky score.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_choice, check_number
from nnexp.network.network import Sweep
from nnexp.training.algorithm import Algorithm, Progress, State, Step
from nnexp.training.problem import Problem

Array = NDArray[Any]


class GeneticAlgorithm(Algorithm):
    """Evolves a population of weight vectors; it needs no derivative.

    Parameters
    ----------
    population_size : int, default=128
        Networks in a generation, at least 2.
    elite : int, default=4
        The best networks of a generation that survive unchanged; at least 1 and fewer than population_size.
        They are the candidates among which the best network is chosen, on the validation data or on all training
        data.
    selection : {"truncation", "tournament"}, default="truncation"
        ``"truncation"`` draws parents evenly from the best share of the population, ``"tournament"`` takes the
        best of a few drawn at random.
    truncation : float, default=0.1
        The share of the population that may become parents, in (0, 1].
    tournament_size : int, default=4
        Networks in a tournament, at least 1.
    crossover : {"neuron", "uniform"}, default="neuron"
        Whether a child takes from one of two parents, by even chance, all weights into a neuron at once, or each
        weight by itself.
    crossover_rate : float, default=0.8
        The share of children with two parents, in [0, 1].
    mutation_rate : float, default=0.3
        The share of a child's weights that mutate, in (0, 1].
    sigma : float, default=0.1
        The standard deviation of a mutation at the start, in units of the weight's initial scale.
    adaptation : float, default=0.1
        How fast a network's own sigma changes: a child's is the parents' times exp(adaptation · N(0, 1)).
        0 keeps sigma as it is.
    batch_size : int or None, default=512
        Samples drawn to score a generation; None for all training data.

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
    competes = True
    patience = 50

    def __init__(
        self,
        population_size: int = 128,
        elite: int = 4,
        selection: str = "truncation",
        truncation: float = 0.1,
        tournament_size: int = 4,
        crossover: str = "neuron",
        crossover_rate: float = 0.8,
        mutation_rate: float = 0.3,
        sigma: float = 0.1,
        adaptation: float = 0.1,
        batch_size: int | None = 512,
    ) -> None:
        self.population_size = population_size
        self.elite = elite
        self.selection = selection
        self.truncation = truncation
        self.tournament_size = tournament_size
        self.crossover = crossover
        self.crossover_rate = crossover_rate
        self.mutation_rate = mutation_rate
        self.sigma = sigma
        self.adaptation = adaptation
        self.batch_size = batch_size

    def check(self) -> None:
        def said(name: str) -> tuple[str, Any]:
            return f"GeneticAlgorithm({name}=...)", getattr(self, name)

        check_number(*said("population_size"), low=2, integer=True)
        check_number(*said("elite"), low=1, high=self.population_size - 1, integer=True)
        check_choice(*said("selection"), ["truncation", "tournament"])
        check_number(*said("truncation"), low=0, high=1, open_low=True)
        check_number(*said("tournament_size"), low=1, integer=True)
        check_choice(*said("crossover"), ["neuron", "uniform"])
        check_number(*said("crossover_rate"), low=0, high=1)
        check_number(*said("mutation_rate"), low=0, high=1, open_low=True)
        check_number(*said("sigma"), high=1e6, low=0, open_low=True)
        check_number(*said("adaptation"), high=1e6, low=0)
        if self.batch_size is not None:
            check_number(*said("batch_size"), low=1, integer=True)

    def start(self, problem: Problem, parameters: Array, rngs: list[np.random.Generator]) -> State:
        shape = problem.n_members, int(self.population_size)
        population = np.empty((*shape, parameters.shape[1]), dtype=parameters.dtype)
        for own, first, rng in zip(population, parameters, rngs, strict=True):
            own[:] = problem.network.initialize(int(self.population_size), rng, parameters.dtype)
            own[0] = first
        arrays = {"population": population, "sigma": np.full(shape, float(self.sigma))}
        return State(rngs, arrays, np.zeros(problem.n_members, dtype=np.int64))

    def bind(self, problem: Problem, state: State) -> Step:
        return _Generation(self, problem, state)


class _Generation:
    """One generation of every member's population."""

    def __init__(self, settings: GeneticAlgorithm, problem: Problem, state: State) -> None:
        self._settings, self._problem, self._state = settings, problem, state
        members, n = problem.training_rows.shape
        network, dtype = problem.network, problem.dtype
        self._batch = n if settings.batch_size is None else min(settings.batch_size, n)
        self._scale = network.initial_scale.astype(dtype)
        neurons = network.neuron_of_parameter
        self._gene = neurons if settings.crossover == "neuron" else np.arange(neurons.size)
        self._n_genes = int(self._gene.max()) + 1
        self._children = np.empty_like(state.arrays["population"][0])
        self._noise = np.empty((settings.population_size - settings.elite, network.n_parameters), dtype=dtype)
        self._whole = self._batch == n
        self._sweeps: list[Sweep] = []
        if self._whole:  # each member's rows stay the same
            self._sweeps = [Sweep(network, problem.objective, problem.samples, own) for own in problem.training_rows]
        else:
            self._inputs = np.empty((self._batch, problem.samples.width), dtype=dtype)
            self._sweep = Sweep(network, problem.objective, self._inputs)
        self._chance = np.empty_like(self._noise)
        self._candidates = np.empty((members, settings.elite, network.n_parameters), dtype=dtype)

    def __call__(self) -> Progress:
        errors = np.stack([self._score(member) for member in range(self._problem.n_members)])
        penalised = errors + self._problem.penalty(self._state.arrays["population"])
        penalised = np.where(np.isfinite(penalised), penalised, np.inf)  # NaN ranks last
        ranking = penalised.argsort(axis=1, kind="stable")
        ranked = np.take_along_axis(errors, ranking, axis=1)
        sigma = self._state.arrays["sigma"]
        spread = np.sort(errors, axis=1)  # by the error alone, as the history has it; NaN comes last
        metrics = {
            "population_median_error": spread[:, spread.shape[1] // 2],
            "population_worst_error": spread[:, -1],
            "sigma": np.exp(np.log(sigma).mean(axis=1)),
        }
        elite = self._settings.elite
        for member, order in enumerate(ranking):
            self._candidates[member] = self._state.arrays["population"][member, order[:elite]]
            self._breed(member, order)
        return Progress(
            self._candidates,
            ranked[:, 0],
            evaluations=int(self._settings.population_size) * int(self._batch),
            candidate_errors=ranked[:, :elite] if self._whole else None,
            metrics=metrics,
        )

    def _score(self, member: int) -> Array:
        """Return the error of each network of a member's population, shape (population,)."""
        problem, rows = self._problem, self._problem.training[member]
        if self._whole:
            sweep = self._sweeps[member]
        else:
            rows = self._state.rngs[member].choice(rows, self._batch, replace=False)
            problem.samples.take(rows, self._inputs)
            sweep = self._sweep
        population = self._state.arrays["population"][member]
        expected = problem.expected_of(rows, member).T.copy()
        return sweep.errors(population, expected, problem.weight_of(rows, member))

    def _breed(self, member: int, order: Array) -> None:
        """Replace a population, ranked by order, with its elite and their children."""
        settings, rng = self._settings, self._state.rngs[member]
        population, sigma = self._state.arrays["population"][member], self._state.arrays["sigma"][member]
        elite, n_children = settings.elite, settings.population_size - settings.elite
        parents = order[self._select(rng, n_children)]  # (children, 2)
        crossed = rng.random(n_children) < settings.crossover_rate
        parents[~crossed, 1] = parents[~crossed, 0]

        children = self._children
        children[:elite] = population[order[:elite]]
        born = children[elite:]
        np.take(population, parents[:, 0], axis=0, out=born, mode="clip")
        second = np.flatnonzero(crossed)
        from_second = rng.integers(0, 2, (second.size, self._n_genes), dtype=np.int8).astype(bool)
        from_second = from_second[:, self._gene]
        born[second] = np.where(from_second, population[parents[second, 1]], born[second])

        # The strength of mutation is inherited, as the geometric mean of the parents', and varies.
        own_sigma = np.sqrt(sigma[parents[:, 0]] * sigma[parents[:, 1]])
        own_sigma = own_sigma * np.exp(settings.adaptation * rng.standard_normal(n_children))
        rng.standard_normal(out=self._noise, dtype=self._noise.dtype)
        if settings.mutation_rate < 1:
            rng.random(out=self._chance, dtype=self._chance.dtype)
            np.less(self._chance, settings.mutation_rate, out=self._chance)
            self._noise *= self._chance
        self._noise *= self._scale
        self._noise *= own_sigma[:, np.newaxis].astype(self._noise.dtype)
        born += self._noise  # ~ N(0, (σ · initial scale)²); absent connections have the scale 0

        sigma[:] = np.concatenate([sigma[order[:elite]], own_sigma])
        population[:] = children

    def _select(self, rng: np.random.Generator, n_children: int) -> Array:
        """Draw the ranks of two parents for each child, shape (children, 2)."""
        settings = self._settings
        if settings.selection == "truncation":
            best = max(1, round(settings.truncation * settings.population_size))
            return rng.integers(0, best, (n_children, 2))
        drawn = rng.integers(0, settings.population_size, (n_children, 2, settings.tournament_size))
        return drawn.min(axis=2)
