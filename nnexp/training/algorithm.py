"""The protocol of a training algorithm: its state, what a step reports, and how steps are made.

What an algorithm trains are *members*: networks that are asked for, each with rows, random numbers and a fate of its
own. Descent trains a member directly; evolution breeds a population for it.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry, nearest
from nnexp.network.network import Network
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


@dataclass
class State:
    """All that a run of an algorithm remembers from step to step: saved and restored, it goes on to the same bits.

    Attributes
    ----------
    rngs : list of numpy.random.Generator
        One for each member.
    arrays : dict of arrays
        By name; the first axis is the members.
    updates : array of int, shape (members,)
        Updates of the weights done.
    """

    rngs: list[np.random.Generator]
    arrays: dict[str, Array]
    updates: Array

    def select(self, members: Array) -> State:
        """Return a copy of the state of some of the members; the generators are the same objects."""
        chosen = [self.rngs[i] for i in members]
        return State(chosen, {k: v[members] for k, v in self.arrays.items()}, self.updates[members])

    def copy(self) -> State:
        """Return a state that nothing is shared with."""
        arrays = {name: values.copy() for name, values in self.arrays.items()}
        return State(copy.deepcopy(self.rngs), arrays, self.updates.copy())

    @staticmethod
    def join(parts: Sequence[State]) -> State:
        """Return the state of the members of several stacks, one after the other."""
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
        rngs = [rng for part in parts for rng in part.rngs]
        return State(rngs, arrays, np.concatenate([part.updates for part in parts]))

    def put(self, members: Array, part: State) -> None:
        """Take over the state of some of the members."""
        for name, values in part.arrays.items():
            self.arrays[name][members] = values
        self.updates[members] = part.updates

    def embed(self, prefix: str, part: State) -> None:
        """Keep the state of an algorithm that is a part of another one, its arrays under names with a prefix."""
        for name, values in {**part.arrays, "updates": part.updates}.items():
            self.arrays[f"{prefix}.{name}"] = values

    def part(self, prefix: str, individuals: int | None = None) -> State:
        """Return what `embed` kept, as views: what changes in them changes here.

        With ``individuals`` the arrays have a second axis of that many networks for each member, and each network
        becomes a member of the part; those of one member draw from its generator, one after the other.
        """
        arrays = {
            name.removeprefix(f"{prefix}."): values
            if individuals is None
            else values.reshape(len(values) * individuals, *values.shape[2:])
            for name, values in self.arrays.items()
            if name.startswith(f"{prefix}.")
        }
        updates = arrays.pop("updates")
        return State([rng for rng in self.rngs for _ in range(individuals or 1)], arrays, updates)


@dataclass
class StepReport:
    """What a step reports.

    Attributes
    ----------
    candidates : array of shape (members, candidates, D)
        The networks that each member could become.
    error : array of shape (members,)
        The training error met during the step, without the penalty.
    evaluations : int
        What the step cost each member.
    candidate_errors : array of shape (members, candidates), or None
        The candidates' errors on all of a member's training rows, without the penalty, where the step has computed
        them anyway.
    candidate_penalty : array of shape (members, candidates), or None
        What candidates cost besides the problem's penalty, where the training rows choose.
    metrics : dict of arrays of shape (members,)
        More columns of the history.
    candidate_metrics : dict of arrays of shape (members, candidates)
        More columns, in which the value of the chosen candidate stands.
    """

    candidates: Array
    error: Array
    evaluations: int
    candidate_errors: Array | None = None
    candidate_penalty: Array | None = None
    metrics: dict[str, Array] = field(default_factory=dict)
    candidate_metrics: dict[str, Array] = field(default_factory=dict)


Step = Callable[[], StepReport]


class Algorithm(ABC):
    """The settings of a training algorithm, and how to make its steps.

    A `Problem` says what is to be learned, and a `Descent` how gradient steps are made, by algorithms that make any.

    A subclass takes its settings as keyword arguments of ``__init__`` and stores them under their names; it can
    then be cloned, searched over (``algorithm__population_size``) and written to tables like an estimator.

    Attributes
    ----------
    stacks : bool
        Whether members cost less together than one by one.
    uses_gradient : bool
        Whether it needs the derivatives of the network.
    competes : bool
        Whether its candidates compete, so that the best of them by the validation rows, or by all training rows
        where there are none, is kept. Otherwise the last network is kept where there are no validation rows.
    evolves : bool
        Whether it breeds networks, so that a fitness can stand in for the error.
    wants_validation : bool
        Whether it should set rows aside unless the user says how to validate.
    endless : bool
        Whether it can go on with a stream of data, step by step, without knowing how many there will be.
    patience : int
        Steps without improvement before it stops, unless the user names a number.
    advice : str
        What helps if the error becomes infinite or NaN, as a sentence.
    """

    name: ClassVar[str]
    stacks: bool = False
    uses_gradient: bool = False
    competes: bool = False
    evolves: bool = False
    wants_validation: bool = False
    endless: bool = True
    patience: int = 10
    advice: str = "Standardised inputs help."

    def choose(self, network: Network) -> Algorithm:
        """Return the algorithm that does the work on a network: itself, unless it is a name for a choice among others."""
        return self

    def extend(self, network: Network) -> Network:
        """Return the network that it trains, where it evolves more than the weights of the one described."""
        return network

    def memory(self, problem: Problem, descent: Descent) -> int:
        """Return about how many bytes it needs for all members, where that may be more than a few networks for each."""
        return 0

    def cost(self, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        """Return the evaluations of one step of a member with so many rows, judging its candidates included.

        It decides how many steps a budget of evaluations is laid out for. Unless an algorithm knows better, a step is taken to
        be a forward and backward pass over all rows.
        """
        return 3 * n_training + n_validation

    def cost_in(self, phase: int, network: Network, n_training: int, n_validation: int, descent: Descent) -> int:
        """Return the same for a step in a phase."""
        return self.cost(network, n_training, n_validation, descent)

    def phase(self, state: State) -> Array:
        """Return a number for each member, shape (members,): members train together while theirs are equal."""
        return np.zeros(len(state.updates), dtype=int)

    def at(self, phase: int) -> Algorithm:
        """Return the algorithm that works in a phase; its attributes are those that count there."""
        return self

    def hand_over(self, problem: Problem, descent: Descent, state: State, parameters: Array, tired: Array) -> Array:
        """Go to the next phase where it is time, or where a member no longer improves; say which members did.

        ``parameters``, shape (members, D), are the networks that go on; ``tired`` says who no longer improves.
        """
        return np.zeros(len(tired), dtype=bool)

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Take over networks, shape (members, D), that another algorithm has found."""
        fresh = self.start(problem, descent, parameters, state.rngs)
        state.put(np.arange(len(parameters)), fresh)

    def resume(self, problem: Problem, descent: Descent, state: State) -> None:  # noqa: B027
        """Add to the state what it lacks to go on with a problem whose settings have changed."""

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:  # noqa: B027
        """Forget in the state the errors on other data than those of the problem."""

    def default_steps(self, updates: int) -> int:
        """Return the steps at most unless the user names a number, where an epoch of descent has some updates."""
        return 200

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:  # noqa: B027
        """Take note in the state of the watched errors after a step.

        ``watched``, shape (members,), are those of the chosen candidates, ``each``, shape (members, candidates), of all.
        """

    def check(self) -> None:  # noqa: B027 - an algorithm without settings has none to check
        """Raise a ValueError or TypeError for settings that are impossible."""

    @abstractmethod
    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        """Return the state before the first step, from first parameters of shape (members, D)."""

    @abstractmethod
    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        """Return the function that does one step: it changes the state in place and reports its progress."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; with those of algorithms among them, such as ``evolution__elite``."""
        params = {name: getattr(self, name) for name in self.parameter_names()}
        if deep:
            for name, part in self.inner().items():
                params |= {f"{name}__{key}": value for key, value in part.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Algorithm:
        """Change settings by name; those of an algorithm among them as ``evolution__elite``."""
        known = self.parameter_names()
        for name, value in sorted(params.items(), key=lambda name: "__" in name[0]):  # an algorithm before its settings
            outer, _, part = name.partition("__")
            inner = self.inner() if part else {}
            if outer in inner:
                inner[outer].set_params(**{part: value})
            elif name in known:
                setattr(self, name, value)
            else:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}. {nearest(outer, known)}")
        return self

    def inner(self) -> dict[str, Algorithm]:
        """Return the algorithms that it is made of and whose settings can be changed, by name."""
        return {name: part for name in self.parameter_names() if isinstance(part := getattr(self, name), Algorithm)}

    def said(self, name: str) -> tuple[str, Any]:
        """Return how a message calls a setting, and its value."""
        return f"{type(self).__name__}({name}=...)", getattr(self, name)

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Return the names of the settings."""
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def __sklearn_clone__(self) -> Algorithm:
        return copy.deepcopy(self)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_params(deep=False) == other.get_params(deep=False)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        signature = inspect.signature(type(self).__init__).parameters
        several = [n for n, p in signature.items() if p.kind is p.VAR_POSITIONAL]
        changed = [repr(part) for name in several for part in getattr(self, name)]
        changed += [
            f"{n}={v!r}"
            for n, v in self.get_params(deep=False).items()
            if n not in several and v != signature[n].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def generators(rng: np.random.Generator, n: int) -> list[np.random.Generator]:
    """Return n generators by what one draws: unlike spawned ones they depend on nothing but its state."""
    return [np.random.default_rng(seed) for seed in rng.integers(0, 1 << 63, (n, 2))]


# The table of names; nnexp.training fills it, so that an algorithm made of others can look them up.
ALGORITHMS: Registry[Algorithm] = Registry("algorithm", Algorithm, [], "nnexp.algorithms")
