"""Population based training (Jaderberg et al. 2017, arXiv 1711.09846): networks train by gradient side by side, and now and then
the worst take over the weights and the settings of the best, and change the settings at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number
from nnexp.network.network import Network
from nnexp.training.algorithm import Algorithm, State, Step, StepReport, generators
from nnexp.training.backprop import Backprop, Epoch
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]

# What may evolve, and between what each value begins, as factors of the user's own.
EXPLORED = ("learning_rate", "l2", "dropout")
_FIRST = (1 / 3, 3.0)


class PopulationBasedTraining(Algorithm):
    """Trains a population by gradient while its learning rate, l2 and dropout evolve.

    The steps are epochs of descent, set by the estimator's ``descent``, ``batch_size``, ``optimizer`` and ``schedule``; its
    ``learning_rate``, ``l2`` and ``dropout`` are the middle of what the networks begin with. The best network on the
    validation rows is kept, so from 200 samples on some are set aside unless the estimator says otherwise. The history has the
    settings of the best network in each step, the schedule that has emerged.

    Parameters
    ----------
    population_size : int, default=16
        Networks, at least 2.
    interval : int, default=5
        Epochs between two exchanges.
    share : float, default=0.25
        The share of the population, in (0, 0.5], that takes over the weights and settings of as many of the best.
    factor : float, default=1.25
        What a setting is multiplied with or divided by when it changes; more than 1.
    explore : sequence of {"learning_rate", "l2", "dropout"}, default=("learning_rate", "l2", "dropout")
        The settings that evolve. A dropout of 0 begins between 0 and 0.2 where an update sees a part of the samples only, so
        that it is random anyway; else it stays 0.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BackpropMLP(hidden_layer_sizes=(8,), algorithm=PopulationBasedTraining(8), random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    name: ClassVar[str] = "pbt"
    stacks = True
    uses_gradient = True
    competes = True
    wants_validation = True
    patience = 20
    advice = "A lower learning_rate or standardised inputs help."

    def __init__(
        self,
        population_size: int = 16,
        interval: int = 5,
        share: float = 0.25,
        factor: float = 1.25,
        explore: Sequence[str] = EXPLORED,
    ) -> None:
        self.population_size = population_size
        self.interval = interval
        self.share = share
        self.factor = factor
        self.explore = explore

    def check(self) -> None:
        described = self.said
        check_number(*described("population_size"), low=2, integer=True)
        check_number(*described("interval"), low=1, integer=True)
        check_number(*described("share"), low=0, high=0.5, open_low=True)
        check_number(*described("factor"), low=1, high=100, open_low=True)
        if isinstance(self.explore, str) or not isinstance(self.explore, list | tuple):
            raise TypeError(
                f"PopulationBasedTraining(explore=...) must be a sequence of names. Got {quoted(self.explore)}."
            )
        for name in self.explore:
            check_choice("PopulationBasedTraining(explore=...)", name, EXPLORED)

    def default_steps(self, updates: int) -> int:
        return Backprop().default_steps(updates)

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        return int(self.population_size) * (3 * n_training + (n_validation or n_training))

    def memory(self, problem: Problem, descent: Descent) -> int:
        # weights and moments, with a copy while they are at work, their gradients and candidates
        networks = problem.n_members * int(self.population_size) * (2 * descent.optimizer.n_moments + 5)
        return networks * problem.network.n_parameters * problem.dtype.itemsize

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        members, size = problem.n_members, int(self.population_size)
        population = np.empty((members, size, parameters.shape[1]), dtype=parameters.dtype)
        rates = {
            "learning_rate": np.empty((members, size)),
            "l2": np.empty((members, size)),
            "dropout": np.empty((members, size, descent.dropout.shape[1])),
        }
        low, high = np.log(_FIRST)
        for i, rng in enumerate(rngs):
            population[i] = problem.network.initialize(size, generators(rng, size), parameters.dtype)
            population[i, 0] = parameters[i]
            if problem.network.zero_is_absent:
                population[i] *= problem.network.present(parameters[i])
            for name, rate in rates.items():
                middle = (problem.l2 if name == "l2" else getattr(descent, name))[i]
                rate[i] = middle
                if name in self.explore:
                    rate[i, 1:] *= np.exp(rng.uniform(low, high, rate[i, 1:].shape))  # the first has the user's own
                random = descent.samples_per_update(len(problem.training[i])) < len(problem.training[i])
                if name == "dropout" and name in self.explore and random and not np.any(middle):
                    rate[i, 1:] = rng.uniform(0.0, 0.2, rate[i, 1:].shape)
        rates["dropout"] = np.minimum(rates["dropout"], 0.9)
        individuals, steps = self._individuals(problem, descent, rates)
        own_rngs = [rng for rng in rngs for _ in range(size)]
        learner = Backprop().start(individuals, steps, population.reshape(-1, population.shape[2]), own_rngs)
        state = State(rngs, dict(rates), np.zeros(members, dtype=np.int64))
        arrays = {name: values.reshape(members, size, *values.shape[1:]) for name, values in learner.arrays.items()}
        state.embed("networks", State(rngs, arrays, np.zeros((members, size), dtype=np.int64)))
        return state

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Put a network in the place of the last one."""
        for name, values in state.arrays.items():
            if name.startswith(("networks.moment_", "networks.updates")):
                values[:, -1] = 0
        state.arrays["networks.parameters"][:, -1] = parameters

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        return _Step(self, problem, descent, state)

    def resume(self, problem: Problem, descent: Descent, state: State) -> None:
        size = int(self.population_size)
        for name, values in descent.schedule.start(problem.n_members * size).items():
            state.arrays.setdefault(f"networks.{name}", values.reshape(problem.n_members, size, *values.shape[1:]))

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:
        descent.schedule.forget(state.part("networks", int(self.population_size)).arrays)

    def _individuals(self, problem: Problem, descent: Descent, rates: dict[str, Array]) -> tuple[Problem, Descent]:
        """Return what is learned, and how, where each network of a population is a member, with settings that are those arrays."""
        spread = np.repeat(np.arange(problem.n_members), int(self.population_size))
        explored: dict[str, Any] = {name: rates[name].reshape(len(spread), *rates[name].shape[2:]) for name in EXPLORED}
        l2 = explored.pop("l2")
        return replace(problem.select(spread), l2=l2), replace(descent.select(spread), **explored)

    def individuals(self, problem: Problem, descent: Descent, state: State) -> tuple[Problem, Descent]:
        """Return these for a state; what changes in the state's settings changes in them."""
        return self._individuals(problem, descent, state.arrays)

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:
        size = int(self.population_size)
        descent.schedule.observe(state.part("networks", size).arrays, each.reshape(-1))
        count = max(1, int(self.share * size))
        for member, rng in enumerate(state.rngs):
            if state.updates[member] % int(self.interval):
                continue
            order = np.where(np.isnan(each[member]), np.inf, each[member]).argsort(kind="stable")
            worst, models = order[size - count :], rng.choice(order[:count], count)
            for name, values in state.arrays.items():
                if name.startswith("networks.") or name in EXPLORED:
                    values[member, worst] = values[member, models]
            for name in self.explore:
                values = state.arrays[name]
                changed = values[member, worst] * self.factor ** rng.choice([-1.0, 1.0], values[member, worst].shape)
                values[member, worst] = np.clip(changed, 0.0, 0.9 if name == "dropout" else 1e3)


class _Step:
    """One epoch of all networks of all members."""

    def __init__(self, settings: PopulationBasedTraining, problem: Problem, descent: Descent, state: State) -> None:
        self._problem, self._state, self._size = problem, state, int(settings.population_size)
        self._learner = state.part("networks", self._size)
        self._epoch = Epoch(*settings.individuals(problem, descent, state), self._learner)
        self._errors = np.full((problem.n_members, self._size), np.nan)

    def __call__(self) -> StepReport:
        state, size, problem = self._state, self._size, self._problem
        # Each draws from a generator of its own, so that it does not matter in which pieces a batch is done.
        self._learner.rngs[:] = [each for rng in state.rngs for each in generators(rng, size)]
        self._epoch.resume()
        self._epoch.refresh()
        progress = self._epoch()
        errors = progress.error.reshape(-1, size)
        state.updates += 1
        candidates = progress.candidates.reshape(problem.n_members, size, -1)
        best = np.where(np.isfinite(errors), errors, np.inf).argmin(axis=1)
        arrays = state.arrays
        metrics = {
            "population_best_error": errors[np.arange(problem.n_members), best],
            "population_median_error": np.median(errors, axis=1),
            "population_worst_error": errors.max(axis=1),
        }
        settings = {
            name: arrays[name] if arrays[name].ndim == 2 else arrays[name].sum(axis=2) / max(1, arrays[name].shape[2])
            for name in EXPLORED
        }
        metrics |= {f"population_median_{name}": np.median(values, axis=1) for name, values in settings.items()}
        error = errors[np.arange(problem.n_members), best]
        return StepReport(candidates, error, size * progress.evaluations, metrics=metrics, candidate_metrics=settings)
