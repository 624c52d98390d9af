"""What is to be learned: the network, its error, the data, and the rows and settings of each member."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.error_functions import Objective
from nnexp.network.network import Network, shares
from nnexp.network.samples import Samples
from nnexp.training.optimizers import Optimizer
from nnexp.training.schedules import Constant, Schedule

Array = NDArray[Any]


DESCENT_MODES = {
    "stochastic": "an update after each sample",
    "mini-batch": "an update after each batch_size samples, with their average gradient",
    "batch": "one update an epoch, with the average gradient of all samples",
}


@dataclass(frozen=True)
class Descent:
    """The settings of gradient steps that all members of a stack share.

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
    """

    mode: str
    batch_size: int
    optimizer: Optimizer
    shuffle: bool = True
    schedule: Schedule = Constant()  # noqa: RUF009 - it is immutable
    horizon: int = 1

    def samples_per_update(self, n_samples: int) -> int:
        """Return how many samples one update averages over."""
        sizes = {"stochastic": 1, "mini-batch": min(self.batch_size, n_samples), "batch": n_samples}
        return sizes[self.mode]


@dataclass(frozen=True)
class Hyperparameters:
    """The settings in which the members of a stack may differ: arrays with a first axis of members.

    Attributes
    ----------
    learning_rate : array of shape (members,)
    l1, l2 : array of shape (members,)
        Add l1 · Σ |w| and ½ · l2 · Σ w² over all but bias weights to the error.
    weight_decay : array of shape (members,)
        λ of w ← w − η λ w at each update, on all but bias weights.
    clip_norm : array of shape (members,)
        The longest that a gradient may be; infinite for any length.
    label_smoothing : array of shape (members,)
        The share of an expected class that is spread evenly over all classes.
    dropout : array of shape (members, hidden layers)
        The probability that a neuron's output is left out of an update.
    """

    learning_rate: Array
    l1: Array
    l2: Array
    weight_decay: Array
    clip_norm: Array
    label_smoothing: Array
    dropout: Array

    @staticmethod
    def of(
        members: int,
        hidden_layers: int,
        learning_rate: float = 0.001,
        l1: float = 0.0,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        clip_norm: float = np.inf,
        label_smoothing: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
    ) -> Hyperparameters:
        """Return the same settings for a number of members."""
        rates = np.empty((members, hidden_layers))
        rates[:] = dropout

        def same(value: float) -> Array:
            return np.full(members, float(value))

        return Hyperparameters(
            same(learning_rate), same(l1), same(l2), same(weight_decay), same(clip_norm), same(label_smoothing), rates
        )

    def select(self, members: Array) -> Hyperparameters:
        """Return the settings of some of the members."""
        return Hyperparameters(**{name.name: getattr(self, name.name)[members] for name in fields(self)})

    @staticmethod
    def join(parts: Sequence[Hyperparameters]) -> Hyperparameters:
        """Return the settings of several stacks, one after the other."""
        names = [name.name for name in fields(Hyperparameters)]
        return Hyperparameters(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


Scorer = Callable[[Array, Array], float]
Fitness = Callable[[Array, Array, Array], float]


@dataclass(frozen=True)
class Problem:
    """What is to be learned: the network and its error, the data, and which rows and settings each member has.

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
    settings : Hyperparameters
    descent : Descent
        The settings of gradient steps, for algorithms that make any.
    scorers : sequence of callables, or None
        For each member a function of its outputs on its validation rows, shape (n, n_outputs), and of its parameters,
        shape (D,), that returns a score.
        Without validation rows they are functions of the outputs on the training rows.
    score_decides : bool
        Whether the highest score chooses the best parameters, instead of the lowest error.
    fitness : sequence of callables, or None
        For each member a function of the outputs of a network, shape (n, n_outputs), of its parameters and of the rows
        that they are for, shape (n,), that returns the score by which evolution selects; None for the error.
    """

    network: Network
    objective: Objective
    samples: Samples
    expected: Array
    weight: Array | None
    training: Sequence[Array]
    validation: Sequence[Array] | None
    shift: Array
    settings: Hyperparameters
    descent: Descent
    scorers: Sequence[Scorer] | None = None
    score_decides: bool = False
    fitness: Sequence[Fitness] | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight.all():  # what weighs nothing is not there
            rows = [own[self.weight[own + shift] > 0] for own, shift in zip(self.training, self.shift, strict=True)]
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
        return np.stack([self.penalty_of(member, own) for member, own in enumerate(parameters)])

    def penalty_of(self, member: int, parameters: Array) -> Array:
        """Return the same for networks of one member, shape (..., D): (...)."""
        total = np.zeros(parameters.shape[:-1])
        if l2 := float(self.settings.l2[member]):
            total += 0.5 * l2 * (np.square(parameters) @ self._penalised)
        if l1 := float(self.settings.l1[member]):
            total += l1 * np.abs(parameters) @ self._penalised
        return total

    @cached_property
    def _penalised(self) -> Array:
        return self.network.penalty_mask.astype(self.dtype)

    def select(self, members: Array) -> Problem:
        """Return the problem of some of the members, by number or by a mask."""
        numbers = np.arange(self.n_members)[members]
        own = {name.name: getattr(self, name.name) for name in fields(self)}
        for name in ("training", "validation", "scorers", "fitness"):
            own[name] = None if own[name] is None else [own[name][i] for i in numbers]
        return Problem(**own | {"shift": self.shift[numbers], "settings": self.settings.select(numbers)})

    def groups(self, members: Array) -> list[Array]:
        """Cut members into those with equally many rows, so that each group is one rectangle of rows."""
        sizes: dict[tuple[int, int], list[int]] = {}
        for member in members:
            validation = 0 if self.validation is None else len(self.validation[member])
            sizes.setdefault((len(self.training[member]), validation), []).append(member)
        return [np.array(group) for group in sizes.values()]

    @staticmethod
    def join(problems: Sequence[Problem]) -> Problem:
        """Return one problem with the members of several that have the same network, objective and descent."""
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
            fitness += [_Moved(own, int(start)) for own in problem.fitness or []]
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
            settings=Hyperparameters.join([problem.settings for problem in problems]),
            descent=first.descent,
            scorers=scorers or None,
            score_decides=first.score_decides,
            fitness=fitness or None,
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
