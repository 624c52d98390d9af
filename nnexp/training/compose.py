"""Algorithms made of algorithms: one after the other, or in turn. Each part keeps a state of its own.

A part that takes over is given the best networks so far, and the loop trains those members together that are in the same part.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_number, is_number
from nnexp.network.network import Network
from nnexp.training.algorithm import ALGORITHMS, Algorithm, State, Step, StepReport
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class Composite(Algorithm):
    """Several algorithms, of which one works at a time; the phase of a member says which."""

    algorithms: tuple[Any, ...]

    @property
    def parts(self) -> list[Algorithm]:
        """The algorithms as objects."""
        kind = type(self).__name__
        return [
            ALGORITHMS.resolve(algorithm, f"{kind}(algorithms[{i}])") for i, algorithm in enumerate(self.algorithms)
        ]

    @property
    def stacks(self) -> bool:  # type: ignore[override]
        """Whether members of a part cost less together."""
        return any(part.stacks for part in self.parts)

    @property
    def uses_gradient(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.uses_gradient for part in self.parts)

    @property
    def competes(self) -> bool:  # type: ignore[override]
        """Whether a part's candidates do."""
        return any(part.competes for part in self.parts)

    @property
    def evolves(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.evolves for part in self.parts)

    @property
    def wants_validation(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.wants_validation for part in self.parts)

    @property
    def patience(self) -> int:  # type: ignore[override]
        """The longest of the parts'."""
        return max(part.patience for part in self.parts)

    def set_params(self, **params: Any) -> Algorithm:
        """Change settings by name; those of a part by its place, such as ``0__population_size``."""
        for name in params:
            place, _, inner = name.partition("__")
            if inner and place.isdecimal() and place.isascii() and int(place) < len(self.algorithms):
                part = self.algorithms[int(place)]
                if not isinstance(part, Algorithm):
                    raise ValueError(
                        f"{type(self).__name__}: the algorithm at place {place} is {quoted(part)}. "
                        f"To set its {quoted(inner)}, give it as an object."
                    )
        return super().set_params(**params)

    def inner(self) -> dict[str, Algorithm]:
        return {str(i): part for i, part in enumerate(self.algorithms) if isinstance(part, Algorithm)}

    def check(self) -> None:
        if not isinstance(self.algorithms, list | tuple):
            raise TypeError(f"{type(self).__name__}(...) takes algorithms one by one. Got {quoted(self.algorithms)}.")
        if len(self.algorithms) < 2:
            raise ValueError(f"{type(self).__name__}(...) needs at least 2 algorithms. Got {len(self.algorithms)}.")
        for part in self.parts:
            if isinstance(part, Composite):
                raise ValueError(
                    f"A part of {type(self).__name__}(...) must be a single algorithm. Got {quoted(part)}."
                )
            part.check()

    def choose(self, network: Network) -> Algorithm:
        chosen = copy.copy(self)
        chosen.algorithms = tuple(part.choose(network) for part in self.parts)
        return chosen

    def extend(self, network: Network) -> Network:
        for part in self.parts:
            network = part.extend(network)
        return network

    def memory(self, problem: Problem, descent: Descent) -> int:
        return sum(part.memory(problem, descent) for part in self.parts)

    def default_steps(self, updates: int) -> int:
        return sum(part.default_steps(updates) for part in self.parts)

    def phase_steps(self, problem: Problem, descent: Descent) -> list[int]:
        """Return the steps that each part is laid out for."""
        raise NotImplementedError

    def phase(self, state: State) -> Array:
        return state.arrays["phase"]

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        members = len(parameters)
        counters = {name: np.zeros(members, dtype=np.int64) for name in ("phase", "done", "turns")}
        state = State(rngs, counters, np.zeros(members, dtype=np.int64))
        for i, (part, steps) in enumerate(zip(self.parts, self._laid_out(problem, descent), strict=True)):
            # The later ones start anew when it is their turn; here it is only seen what they will remember.
            rngs_of = rngs if i == 0 else copy.deepcopy(rngs)
            state.embed(str(i), part.start(problem, steps, parameters, rngs_of))
        return state

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        phase = int(state.arrays["phase"][0])
        step = self.parts[phase].bind(problem, self._laid_out(problem, descent)[phase], state.part(str(phase)))

        def counted() -> StepReport:
            progress = step()
            state.arrays["done"] += 1
            state.updates += 1
            return progress

        return counted

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:
        phase = int(state.arrays["phase"][0])
        self.parts[phase].observe(problem, descent, state.part(str(phase)), watched, each)

    def resume(self, problem: Problem, descent: Descent, state: State) -> None:
        for i, (part, steps) in enumerate(zip(self.parts, self._laid_out(problem, descent), strict=True)):
            memory = state.part(str(i))
            part.resume(problem, steps, memory)
            state.embed(str(i), memory)

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:
        for i, part in enumerate(self.parts):
            part.forget(problem, descent, state.part(str(i)))

    def move_on(
        self, problem: Problem, descent: Descent, state: State, parameters: Array, members: Array, anew: bool
    ) -> None:
        """Let the next part go on with the networks of some members."""
        arrays = state.arrays
        arrays["phase"][members] = (arrays["phase"][members] + 1) % len(self.algorithms)
        arrays["turns"][members] += 1
        arrays["done"][members] = 0
        for phase in np.unique(arrays["phase"][members]):
            of_phase = members[arrays["phase"][members] == phase]
            part, chosen = self.parts[phase], state.select(of_phase)
            memory = chosen.part(str(phase))
            theirs, how = problem.select(of_phase), descent.select(of_phase)
            steps = self._laid_out(theirs, how)[phase]
            # A part's first turn is its start, whatever it was made of before.
            accept = Algorithm.accept if anew else type(part).accept
            accept(part, theirs, steps, memory, parameters[of_phase])
            state.put(of_phase, chosen)

    def _laid_out(self, problem: Problem, descent: Descent) -> list[Descent]:
        """Return how each part makes steps: the schedule of a learning rate is laid out for those of its own."""
        return [descent.laid_out(steps) for steps in self.phase_steps(problem, descent)]


def _whole_steps(wanted: Array, horizon: int) -> list[int]:
    """Round numbers of steps so that each is at least 1, and all together no more than there are, if that can be."""
    steps = [max(1, round(name)) for name in wanted]
    while sum(steps) > max(horizon, len(steps)):
        steps[int(np.argmax(steps))] -= 1
    return steps


class Chain(Composite):
    """One algorithm after the other: each goes on with the best network of the one before.

    An algorithm hands over when it has had its share of the budget, or no longer improves; the last one stops as it would alone.

    Parameters
    ----------
    *algorithms : str, mapping or Algorithm
        At least 2.
    shares : sequence of float or None, default=None
        What part of the cost in evaluations is for each; None for equal shares.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> algorithm = Chain("genetic", "backprop", shares=(0.3, 0.7))
    >>> model = BackpropMLP(hidden_layer_sizes=(8,), algorithm=algorithm, max_iter=200, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    name: ClassVar[str] = "chain"
    endless = False  # it shares out a number of steps

    def __init__(self, *algorithms: Any, shares: Sequence[float] | None = None) -> None:
        self.algorithms = algorithms
        self.shares = shares

    def check(self) -> None:
        super().check()
        shares: Any = self.shares
        if shares is None:
            return
        if not isinstance(shares, list | tuple) or not all(is_number(share) for share in shares):
            raise TypeError(f"Chain(shares=...) must be a sequence of numbers. Got {quoted(shares)}.")
        if len(shares) != len(self.algorithms):
            raise ValueError(
                f"Chain(shares=...) needs a share for each of {len(self.algorithms)} algorithms. Got {len(shares)}."
            )
        for share in shares:
            check_number("Each of Chain(shares=...)", share, low=0, high=1e9, open_low=True)

    def at(self, phase: int) -> Algorithm:
        return self.parts[phase]

    def cost_in(self, phase: int, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        return self.parts[phase].cost(network, n_training, n_validation, descent)

    def _rates(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> Array:
        """Return the steps of each part for one evaluation of the whole."""
        shares = np.ones(len(self.algorithms)) if self.shares is None else np.array(self.shares, dtype=float)
        costs = [part.cost(network, n_training, n_validation, descent) for part in self.parts]
        return shares / shares.sum() / np.array(costs)

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        return max(1, int(1.0 / self._rates(network, n_training, n_validation, descent).sum()))

    def phase_steps(self, problem: Problem, descent: Descent) -> list[int]:
        n_validation = 0 if problem.validation is None else len(problem.validation[0])
        rates = self._rates(problem.network, len(problem.training[0]), n_validation, descent)
        return _whole_steps(descent.horizon * rates / rates.sum(), descent.horizon)

    def hand_over(self, problem: Problem, descent: Descent, state: State, parameters: Array, tired: Array) -> Array:
        phase, steps = state.arrays["phase"], np.array(self.phase_steps(problem, descent))
        due = (state.arrays["done"] >= steps[phase]) | tired
        due &= phase < len(self.algorithms) - 1
        if due.any():
            self.move_on(problem, descent, state, parameters, np.flatnonzero(due), anew=True)
        return due


class Alternate(Composite):
    """Several algorithms in turn: each goes on with the best network so far, and keeps what it remembers.

    Parameters
    ----------
    *algorithms : str, mapping or Algorithm
        At least 2.
    steps : int or sequence of int, default=1
        Steps of a turn, for all or for each.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> algorithm = Alternate("snes", "backprop", steps=(2, 10))
    >>> model = BackpropMLP(hidden_layer_sizes=(8,), algorithm=algorithm, max_iter=200, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    name: ClassVar[str] = "alternate"
    competes = True

    def __init__(self, *algorithms: Any, steps: int | Sequence[int] = 1) -> None:
        self.algorithms = algorithms
        self.steps = steps

    def _turns(self) -> list[int]:
        steps: Any = self.steps
        return [int(count) for count in ([steps] * len(self.algorithms) if is_number(steps) else steps)]

    def check(self) -> None:
        super().check()
        steps: Any = self.steps
        if not (is_number(steps) or isinstance(steps, list | tuple)):
            raise TypeError(f"Alternate(steps=...) must be an integer, or one for each algorithm. Got {quoted(steps)}.")
        for count in [steps] if is_number(steps) else steps:
            check_number("Alternate(steps=...)", count, low=1, high=1e6, integer=True)
        if len(self._turns()) != len(self.algorithms):
            raise ValueError(
                f"Alternate(steps=...) needs a number for each of {len(self.algorithms)} algorithms. Got {quoted(self.steps)}."
            )

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        turns = np.array(self._turns())
        costs = [self.cost_in(i, network, n_training, n_validation, descent) for i in range(len(turns))]
        return int(np.ceil((turns * costs).sum() / turns.sum()))

    def cost_in(self, phase: int, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        part = self.parts[phase]
        # All candidates compete here, also those of a part that would not judge them.
        judged = 0 if part.competes or n_validation else n_training
        return part.cost(network, n_training, n_validation, descent) + judged

    def extend(self, network: Network) -> Network:
        return super().extend(super().extend(network))  # each part has its say on what the later ones have added

    def phase_steps(self, problem: Problem, descent: Descent) -> list[int]:
        turns = np.array(self._turns())
        return _whole_steps(descent.horizon * turns / turns.sum(), descent.horizon)

    def hand_over(self, problem: Problem, descent: Descent, state: State, parameters: Array, tired: Array) -> Array:
        due = state.arrays["done"] >= np.array(self._turns())[state.arrays["phase"]]
        first = state.arrays["turns"] < len(self.algorithms) - 1
        for members, anew in ((np.flatnonzero(due & first), True), (np.flatnonzero(due & ~first), False)):
            if members.size:
                self.move_on(problem, descent, state, parameters, members, anew)
        return np.zeros(len(due), dtype=bool)  # the patience is that of all together
