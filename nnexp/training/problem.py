"""What is to be learned: the network, its error, the data, and the rows of each member. And how gradient steps are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.error_functions import Objective
from nnexp.network.network import Network, shares
from nnexp.network.samples import Samples
from nnexp.training.juries import Juries
from nnexp.training.optimizers import Optimizer
from nnexp.training.schedules import Schedule

Array = NDArray[Any]


DESCENT_MODES = {
    "stochastic": "an update after each sample",
    "mini-batch": "an update after each batch_size samples, with their average gradient",
    "batch": "one update an epoch, with the average gradient of all samples",
}


@dataclass(frozen=True, eq=False)
class Descent:
    """How gradient steps are made: settings that all members of a stack share, and arrays in which they may differ.

    Attributes
    ----------
    mode : {"stochastic", "mini-batch", "batch"}
        An update after each sample, after each batch_size samples, or after all; always with the average
        gradient of its samples.
    batch_size : int
    optimizer : Optimizer
    shuffle : bool
        Whether each epoch takes the samples in a new order.
    schedule : Schedule
        How the learning rates change.
    horizon : int
        The steps that the schedule is laid out for.
    learning_rate : array of shape (members,)
    weight_decay : array of shape (members,)
        λ of w ← w − η λ w at each update, on all but bias weights.
    clip_norm : array of shape (members,)
        The longest that a gradient may be; infinite for any length.
    label_smoothing : array of shape (members,)
        The share of an expected class that is spread evenly over all classes.
    dropout : array of shape (members, hidden layers)
        The probability that a neuron's output is left out of an update.
    """

    mode: str
    batch_size: int
    optimizer: Optimizer
    shuffle: bool
    schedule: Schedule
    horizon: int
    learning_rate: Array
    weight_decay: Array
    clip_norm: Array
    label_smoothing: Array
    dropout: Array

    @staticmethod
    def alike(
        members: int,
        dropout: Sequence[float],
        learning_rate: float = 0.001,
        weight_decay: float = 0.0,
        clip_norm: float = np.inf,
        label_smoothing: float = 0.0,
    ) -> dict[str, Array]:
        """Return the arrays for a number of members with the same settings, by name."""
        given = {
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "clip_norm": clip_norm,
            "label_smoothing": label_smoothing,
        }
        arrays = {name: np.full(members, float(value)) for name, value in given.items()}
        return arrays | {"dropout": np.tile(np.array(dropout, dtype=float), (members, 1))}

    def goes_with(self, other: Descent) -> bool:
        """Whether members of both can train as one stack: all that they share is equal."""
        return all(getattr(self, name) == getattr(other, name) for name in _SHARED)

    @property
    def n_members(self) -> int:
        """Of how many members it says how steps are made."""
        return len(self.learning_rate)

    def samples_per_update(self, n_samples: int) -> int:
        """Return how many samples one update averages over."""
        return samples_per_update(self.mode, self.batch_size, n_samples)

    def laid_out(self, steps: int) -> Descent:
        """Return the same, with a schedule for another number of steps."""
        return replace(self, horizon=steps)

    def select(self, members: Array) -> Descent:
        """Return how steps of some of the members are made, by number or by a mask."""
        arrays: dict[str, Any] = {name: getattr(self, name)[members] for name in _OF_MEMBERS}
        return replace(self, **arrays)

    @staticmethod
    def join(parts: Sequence[Descent]) -> Descent:
        """Return that of several stacks, one after the other, that share what is to be shared."""
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_MEMBERS}
        return replace(parts[0], **arrays)


_OF_MEMBERS = ("learning_rate", "weight_decay", "clip_norm", "label_smoothing", "dropout")
_SHARED = [field.name for field in fields(Descent) if field.name not in _OF_MEMBERS]


def samples_per_update(mode: str, batch_size: int, n_samples: int) -> int:
    """Return how many samples one update averages over."""
    sizes = {"stochastic": 1, "mini-batch": min(batch_size, n_samples), "batch": n_samples}
    return sizes[mode]


Scorer = Callable[[Array, Array], float]
Fitness = Callable[[Array, Array, Array], float]


@dataclass(frozen=True)
class Problem:
    """What is to be learned: the network and its error, the data, and which rows each member has. How is not said here.

    Attributes
    ----------
    network : Network
    objective : Objective
    samples : Samples
        The inputs of all rows.
    expected : array of shape (rows, n_outputs)
        The expected outputs.
    weight : array of shape (rows,), or None
        Sample weights, at least 0, in any unit; None for equal weights.
    training : sequence of arrays of int
        For each member the rows that it learns from.
    validation : sequence of arrays of int, or None
        For each member the rows by which its best parameters are chosen.
    shift : array of int, shape (members,)
        What is added to a row's number to find its expected outputs and its weight: members may share inputs and
        expect different outputs, as where each standardises them by its own rows.
    l1, l2 : array of shape (members,)
        Add l1 · Σ abs(w) and ½ · l2 · Σ w² over all but bias weights to the error.
    scorers : sequence of callables, or None
        For each member a function of its outputs on its validation rows, shape (n, n_outputs), and of its parameters,
        shape (D,), that returns a score.
        Without validation rows they are functions of the outputs on the training rows.
    score_decides : bool
        Whether the highest score chooses the best parameters, instead of the lowest error.
    fitness : sequence of callables, or None
        For each member a function of the outputs of a network, shape (n, n_outputs), of its parameters and of the rows
        that they are for, shape (n,), that returns the score by which evolution selects; None for the error.
    juries : Juries or None
        Which members decide about each other; None where each decides for itself.
    """

    network: Network
    objective: Objective
    samples: Samples
    expected: Array
    weight: Array | None
    training: Sequence[Array]
    validation: Sequence[Array] | None
    shift: Array
    l1: Array
    l2: Array
    scorers: Sequence[Scorer] | None = None
    score_decides: bool = False
    fitness: Sequence[Fitness] | None = None
    juries: Juries | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight.all():  # what weighs nothing is not there
            rows = [rows[self.weight[rows + shift] > 0] for rows, shift in zip(self.training, self.shift, strict=True)]
            object.__setattr__(self, "training", rows)

    @property
    def n_members(self) -> int:
        """How many networks are asked for."""
        return len(self.training)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of inputs, expected outputs and weights."""
        return self.samples.dtype

    @cached_property
    def training_rows(self) -> Array:
        """The rows that members learn from, shape (members, n), where all have equally many."""
        return np.stack(self.training)

    @cached_property
    def validation_rows(self) -> Array | None:
        """The rows that choose, shape (members, n), where all have equally many; or None."""
        return None if self.validation is None else np.stack(self.validation)

    @cached_property
    def accompanied(self) -> Array:
        """The members that set no samples aside, about which the others of their jury decide; as numbers."""
        if self.juries is None or self.validation is None:
            return np.empty(0, dtype=int)
        return np.flatnonzero([not len(rows) for rows in self.validation])

    def expected_of(self, rows: Array, member: int | None = None) -> Array:
        """Return expected outputs, shape (..., n, n_outputs), for rows (members, n), or (n,) of one member."""
        return self.expected[self._shifted(rows, member)]

    def weight_of(self, rows: Array, member: int | None = None) -> Array:
        """Return each sample's share of the mean over these rows, shape (1, n), or (members, 1, n)."""
        if self.weight is None:
            return np.full((1, rows.shape[-1]), 1.0 / rows.shape[-1], dtype=self.dtype)
        return shares(self.weight[self._shifted(rows, member)])[..., np.newaxis, :].astype(self.dtype)

    def _shifted(self, rows: Array, member: int | None) -> Array:
        return rows + (self.shift[:, np.newaxis] if member is None else self.shift[member])

    def penalty(self, parameters: Array) -> Array:
        """Return what training minimises besides the error, for parameters of shape (members, ..., D): (members, ...)."""
        return np.stack([self.penalty_of(member, row) for member, row in enumerate(parameters)])

    def penalty_of(self, member: int, parameters: Array) -> Array:
        """Return the same for networks of one member, shape (..., D): (...)."""
        total = np.zeros(parameters.shape[:-1])
        if l2 := float(self.l2[member]):
            total += 0.5 * l2 * (np.square(parameters) @ self._penalised)
        if l1 := float(self.l1[member]):
            total += l1 * np.abs(parameters) @ self._penalised
        return total

    @cached_property
    def _penalised(self) -> Array:
        return self.network.penalty_mask.astype(self.dtype)

    def select(self, members: Array) -> Problem:
        """Return the problem of some of the members, by number or by a mask."""
        numbers = np.arange(self.n_members)[members]
        values = {name.name: getattr(self, name.name) for name in fields(self)}
        for name in ("training", "validation", "scorers", "fitness"):
            values[name] = None if values[name] is None else [values[name][i] for i in numbers]
        values["juries"] = None if self.juries is None else self.juries.select(numbers)
        return Problem(**values | {name: values[name][numbers] for name in ("shift", "l1", "l2")})

    def groups(self, members: Array) -> list[Array]:
        """Cut members into those with equally many rows, so that each group is one rectangle of rows."""
        sizes: dict[tuple[int, int], list[int]] = {}
        for member in members:
            validation = 0 if self.validation is None else len(self.validation[member])
            sizes.setdefault((len(self.training[member]), validation), []).append(member)
        return [np.array(group) for group in sizes.values()]

    @staticmethod
    def join(problems: Sequence[Problem]) -> Problem:
        """Return one problem with the members of several that have the same network and objective."""
        first = problems[0]
        tables = list({id(problem.samples): problem.samples for problem in problems}.values())
        starts = dict(zip(map(id, tables), np.cumsum([0, *map(len, tables)]), strict=False))
        targets = list({id(problem.expected): problem.expected for problem in problems}.values())
        target_starts = dict(zip(map(id, targets), np.cumsum([0, *map(len, targets)]), strict=False))
        training: list[Array] = []
        validation: list[Array] = []
        scorers: list[Scorer] = []
        fitness: list[Fitness] = []
        shifts = []
        weight = None
        if any(problem.weight is not None for problem in problems):
            weight = np.ones(sum(map(len, targets)), dtype=first.dtype)
        for problem in problems:
            start, target_start = starts[id(problem.samples)], target_starts[id(problem.expected)]
            training += [rows + start for rows in problem.training]
            validation += [rows + start for rows in problem.validation or []]
            scorers += problem.scorers or []
            fitness += [_Moved(fitness, int(start)) for fitness in problem.fitness or []]
            shifts.append(problem.shift + (target_start - start))
            if weight is not None and problem.weight is not None:
                weight[target_start : target_start + len(problem.expected)] = problem.weight
        return Problem(
            network=first.network,
            objective=first.objective,
            samples=Samples.join(tables),
            expected=targets[0] if len(targets) == 1 else np.concatenate(targets),
            weight=weight,
            training=training,
            validation=validation or None,
            shift=np.concatenate(shifts),
            l1=np.concatenate([problem.l1 for problem in problems]),
            l2=np.concatenate([problem.l2 for problem in problems]),
            scorers=scorers or None,
            score_decides=first.score_decides,
            fitness=fitness or None,
            juries=None if first.juries is None else Juries.join([p.juries for p in problems if p.juries is not None]),
        )


class _Moved:
    """A fitness of rows that have moved down in a joined table."""

    def __init__(self, fitness: Fitness, start: int) -> None:
        self._fitness, self._start = fitness, start
        self._rows: Array | None = None
        self._own = np.empty(0, dtype=int)

    def __call__(self, outputs: Array, parameters: Array, rows: Array) -> float:
        if rows is not self._rows:  # the same for a whole population
            self._rows, self._own = rows, rows - self._start
        return self._fitness(outputs, parameters, self._own)
