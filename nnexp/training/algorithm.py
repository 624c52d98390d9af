"""A training algorithm takes a stack of networks to a better stack; one loop carries all of them.

Nothing in the loop asks which algorithm it runs. It validates, keeps the best parameters, stops, records the
history and counts the cost. What it trains are *members*: networks that are asked for, each with rows, random
numbers and a fate of its own. Descent trains a member directly; evolution breeds a population for it.
"""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import nearest
from nnexp.network.error_functions import Objective
from nnexp.network.network import Network, Sweep, shares
from nnexp.network.samples import Samples
from nnexp.training.history import History
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
    score_decides : bool
        Whether the highest score chooses the best parameters, instead of the lowest error.
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
        total = np.zeros(parameters.shape[:-1])
        for strength, norm in ((self.settings.l2, 2), (self.settings.l1, 1)):
            if strength.any():
                weights = parameters[..., ~self.network.bias_mask]
                norms = 0.5 * np.square(weights).sum(axis=-1) if norm == 2 else np.abs(weights).sum(axis=-1)
                total += strength.reshape(-1, *[1] * (norms.ndim - 1)) * norms
        return total

    def select(self, members: Array) -> Problem:
        """Return the problem of some of the members, by number or by a mask."""
        numbers = np.arange(self.n_members)[members]
        own = {name.name: getattr(self, name.name) for name in fields(self)}
        for name in ("training", "validation", "scorers"):
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
        shifts = []
        weight = None
        if any(problem.weight is not None for problem in problems):
            weight = np.ones(sum(map(len, targets)), dtype=first.dtype)
        for problem in problems:
            start, target_start = starts[id(problem.samples)], target_starts[id(problem.expected)]
            training += [rows + start for rows in problem.training]
            validation += [rows + start for rows in problem.validation or []]
            scorers += problem.scorers or []
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
        )


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


@dataclass
class Progress:
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
    metrics : dict of arrays of shape (members,)
        More columns of the history.
    """

    candidates: Array
    error: Array
    evaluations: int
    candidate_errors: Array | None = None
    metrics: dict[str, Array] = field(default_factory=dict)


Step = Callable[[], Progress]


class Algorithm(ABC):
    """The settings of a training algorithm, and how to make its steps.

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
    patience : int
        Steps without improvement before it stops, unless the user names a number.
    advice : str
        What helps if the error becomes infinite or NaN, as a sentence.
    """

    name: ClassVar[str]
    stacks: ClassVar[bool] = False
    uses_gradient: ClassVar[bool] = False
    competes: ClassVar[bool] = False
    patience: ClassVar[int] = 10
    advice: ClassVar[str] = "Standardised inputs help."

    def resume(self, problem: Problem, state: State) -> None:  # noqa: B027
        """Add to the state what it lacks to go on with a problem whose settings have changed."""

    def forget(self, problem: Problem, state: State) -> None:  # noqa: B027
        """Forget in the state the errors on other data than those of the problem."""

    def default_steps(self, updates: int) -> int:
        """Return the steps at most unless the user names a number, where an epoch of descent has some updates."""
        return 200

    def observe(self, problem: Problem, state: State, watched: Array) -> None:  # noqa: B027
        """Take note of the watched error after a step, shape (members,), in the state."""

    def check(self) -> None:  # noqa: B027 - an algorithm without settings has none to check
        """Raise a ValueError or TypeError for settings that are impossible."""

    @abstractmethod
    def start(self, problem: Problem, parameters: Array, rngs: list[np.random.Generator]) -> State:
        """Return the state before the first step, from first parameters of shape (members, D)."""

    @abstractmethod
    def bind(self, problem: Problem, state: State) -> Step:
        """Return the function that does one step: it changes the state in place and reports its progress."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Algorithm:
        """Change settings by name."""
        known = self._names()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}. {nearest(name, known)}")
            setattr(self, name, value)
        return self

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        defaults = {n: p.default for n, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = [f"{n}={v!r}" for n, v in self.get_params().items() if v != defaults[n]]
        return f"{type(self).__name__}({', '.join(changed)})"


@dataclass(frozen=True)
class Stopping:
    """When to stop.

    Attributes
    ----------
    max_iter : int
        Steps at most.
    patience : float
        Steps without an improvement of what is watched by more than tol.
    tol : float
        In units of the error function, or of the score.
    max_seconds : float
        Time at most, in seconds; looked at after each step.
    max_evaluations : float
        Evaluations of a member at most: it stops before a step that would go beyond.
    """

    max_iter: int
    patience: float
    tol: float
    max_seconds: float = np.inf
    max_evaluations: float = np.inf


class Training:
    """The loop: takes members from their first parameters to their best.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    parameters : array of shape (members, D)
        The first parameters.
    rngs : sequence of numpy.random.Generator
        One for each member.

    Attributes
    ----------
    parameters : array of shape (members, D)
        What each member has become: its best by the validation rows, or its last.
    best_error : array of shape (members,)
        The lowest watched error: on the validation rows where there are any, else on the training rows, plus the
        penalty. The negated score where that decides.
    evaluations, n_iter : array of int, shape (members,)
        What it cost, and the steps done.
    stop_reason : list of str
        A sentence for each member; empty while it trains.
    diverged : array of bool, shape (members,)
        Whether a member stopped because its error became infinite or NaN.
    seconds : float
        Time spent in steps and in judging them.
    state : State
        Of all members, as after their last step.
    log : History
        What happened in each step.
    judged_from : array of int, shape (members,)
        The step after which errors are those on the present data.
    """

    # The parameters, moments and gradients of a group of members that train in step should fit the cache.
    GROUP_BYTES = 1 << 22
    # What has a first axis of members besides the state.
    ARRAYS = (
        "parameters", "best_error", "evaluations", "n_iter", "diverged", "_mark", "_mark_step", "_out_of_patience",
        "_good", "judged_from",
    )  # fmt: skip

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem,
        parameters: Array,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        members = problem.n_members
        self.algorithm = algorithm
        self.parameters = parameters.copy()
        self.best_error = np.full(members, np.inf)
        self.evaluations = np.zeros(members, dtype=np.int64)
        self.n_iter = np.zeros(members, dtype=int)
        self.stop_reason = [""] * members
        self.diverged = np.zeros(members, dtype=bool)
        self.seconds = 0.0
        self.state = algorithm.start(problem, parameters, list(rngs))
        self.log = History()
        self.judged_from = np.zeros(members, dtype=int)
        # The watched error that an improvement is measured from, and the step that reached it.
        self._mark = np.full(members, np.inf)
        self._mark_step = np.zeros(members, dtype=int)
        self._out_of_patience = np.zeros(members, dtype=bool)
        self._groups: list[_Group] = []
        self._begun = 0.0
        # The last parameters whose error is known to be finite.
        self._good = self.parameters

    def run(
        self,
        problem: Problem,
        stopping: Stopping,
        on_step: Callable[[Training], str | None] | None = None,
        new_data: bool = False,
        resume: bool = False,
    ) -> Training:
        """Go on until every member has stopped.

        Parameters
        ----------
        problem : Problem
            The same as before, or with other data where training goes on with them.
        stopping : Stopping
            ``max_iter`` counts the steps of this call.
        on_step : callable, default=None
            Is given this object after each step of all members; a sentence that it returns stops them.
        new_data : bool, default=False
            Whether the data are other ones than before: errors on the old ones then count for nothing.
        resume : bool, default=False
            Whether to leave alone the members that have stopped, and to count ``max_iter`` from the first step of
            all, as where an interrupted run goes on.
        """
        first = np.zeros_like(self.n_iter) if resume else self.n_iter.copy()
        if not resume:
            self._mark_step[self._out_of_patience] = self.n_iter[self._out_of_patience]
            self._out_of_patience[:] = False
            self.stop_reason = [""] * problem.n_members
        begun = time.perf_counter()
        with np.errstate(all="ignore"):
            self.algorithm.resume(problem, self.state)
            if new_data:
                self._forget(problem)
            if not resume:
                self._good = self.parameters.copy()
            room = max(1, self.GROUP_BYTES // (4 * self.parameters[:1].nbytes))
            try:
                # All members are grouped and those that have stopped are left out then, so that a run that goes on
                # has the groups of one that was not interrupted.
                for equal in problem.groups(np.arange(problem.n_members)):
                    for part in np.array_split(equal, -(-len(equal) // room)):
                        alive = np.array([member for member in part if not self.stop_reason[member]], dtype=int)
                        if alive.size:
                            self._groups.append(_Group(self.algorithm, problem, self.state, alive))
                while self._groups:
                    self._begun = time.perf_counter()
                    for group in self._groups:
                        self._advance(group)
                    now = time.perf_counter()
                    self.seconds += now - self._begun
                    for group in self._groups:
                        group.decide(self, stopping, first, now - begun)
                    said = on_step(self) if on_step is not None else None
                    if said:
                        for member in np.concatenate([group.members for group in self._groups]):
                            self.stop_reason[member] = self.stop_reason[member] or said
                    self._groups = [g for group in self._groups for g in group.of_those_that_go_on(self)]
            finally:
                self.log.close()
                self.synchronise()
                self._groups = []
        return self

    def synchronise(self) -> None:
        """Make `state` that after the last step, also while members train."""
        for group in self._groups:
            self.state.put(group.members, group.state)

    @property
    def history(self) -> list[list[dict[str, Any]]]:
        """One row a step for each member."""
        tables = [self.log.columns(member) for member in range(len(self.stop_reason))]
        return [[dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)] for table in tables]

    def last_row(self) -> dict[str, Any]:
        """Return the means over the members of what the last step has reported; of evaluations the sum over all."""
        row: dict[str, Any] = self.log.last(max(1, len(self._groups)))
        row["step"] = int(self.n_iter.max())
        row["evaluations"] = int(self.evaluations.sum())
        return row

    def select(self, members: Array) -> Training:
        """Return the training of some of the members, as if they had trained by themselves."""
        own = Training.__new__(Training)
        own.algorithm, own.seconds = self.algorithm, self.seconds
        for name in Training.ARRAYS:
            setattr(own, name, getattr(self, name)[members])
        own.stop_reason = [self.stop_reason[i] for i in members]
        own.state, own._groups, own._begun = self.state.select(members), [], 0.0
        own.log = self.log.select(members)
        return own

    @staticmethod
    def join(parts: Sequence[Training]) -> Training:
        """Return one training of the members of several, one after the other."""
        own = Training.__new__(Training)
        own.algorithm, own.seconds = parts[0].algorithm, max(part.seconds for part in parts)
        for name in Training.ARRAYS:
            setattr(own, name, np.concatenate([getattr(part, name) for part in parts]))
        own.stop_reason = [reason for part in parts for reason in part.stop_reason]
        own.state = State.join([part.state for part in parts])
        starts = np.cumsum([0, *(len(part.stop_reason) for part in parts)]).tolist()
        own.log, own._groups, own._begun = History.join([part.log for part in parts], starts[:-1]), [], 0.0
        return own

    def _forget(self, problem: Problem) -> None:
        """Judge the kept parameters by the new data."""
        for members in problem.groups(np.arange(problem.n_members)):
            judge = _Judge(problem.select(members), self.algorithm)
            self.best_error[members] = judge.errors(self.parameters[members])
        self._mark[:] = self.best_error
        self._mark_step[:] = self.n_iter
        self.judged_from[:] = self.n_iter
        self.algorithm.forget(problem, self.state)

    def _advance(self, group: _Group) -> None:
        """Do one step of a group."""
        members, judge = group.members, group.judge
        start = None if judge.selects else self.parameters[members]
        progress = group.step()
        verdict = judge(progress)
        chosen, watched = verdict.chosen, verdict.watched
        group.finite = finite = np.isfinite(watched) & np.isfinite(chosen).all(axis=-1)
        group.cost = progress.evaluations + judge.evaluations(progress)
        self.evaluations[members] += group.cost
        self.n_iter[members] += 1
        better = finite & (watched < self.best_error[members])
        kept = better if judge.selects else finite
        self.parameters[members[kept]] = chosen[kept]
        self.best_error[members[better]] = watched[better]
        if start is not None:
            self._good[members[finite]] = start[finite]
            self.parameters[members[~finite]] = self._good[members[~finite]]
        self.algorithm.observe(group.problem, group.state, watched)
        nothing = np.full(len(members), np.nan)
        columns = {
            "step": self.n_iter[members],
            "error": verdict.training_error,
            "validation_error": nothing if verdict.validation_error is None else verdict.validation_error,
            "validation_score": nothing if verdict.score is None else verdict.score,
            "evaluations": self.evaluations[members],
            "seconds": self.seconds + time.perf_counter() - self._begun,
            **progress.metrics,
        }
        self.log.add(members, columns)


class _Group:
    """Members with equally many rows, which train in step."""

    def __init__(self, algorithm: Algorithm, problem: Problem, state: State, members: Array) -> None:
        self.members = members
        self._algorithm, self._whole, self._state = algorithm, problem, state
        self.problem, self.state = problem.select(members), state.select(members)
        self.step, self.judge = algorithm.bind(self.problem, self.state), _Judge(self.problem, algorithm)
        self.finite = np.ones(len(members), dtype=bool)
        self.cost = 0

    def decide(self, training: Training, stopping: Stopping, first: Array, seconds: float) -> None:
        """Give the members that stop their reason."""
        members, now = self.members, training.n_iter[self.members]
        improved = members[training.best_error[members] < training._mark[members] - stopping.tol]
        training._mark[improved] = training.best_error[improved]
        training._mark_step[improved] = training.n_iter[improved]
        diverged = ~self.finite
        training.diverged[members] = diverged
        impatient = now - training._mark_step[members] >= stopping.patience
        training._out_of_patience[members] = impatient
        finished = now - first[members] >= stopping.max_iter
        spent = training.evaluations[members] + self.cost > stopping.max_evaluations
        late = seconds >= stopping.max_seconds
        if not (late or (diverged | impatient | finished | spent).any()):
            return
        kept = "the best parameters so far" if self.judge.selects else "the last parameters with a finite error"
        for i, member in enumerate(members):
            reason = ""
            if diverged[i]:
                reason = f"The error became infinite or NaN in step {now[i]}; {kept} are kept. {self._algorithm.advice}"
            elif impatient[i]:
                reason = (
                    f"The {self.judge.watches} did not improve by more than tol={stopping.tol:g} in {stopping.patience} "
                    f"successive steps (n_iter_no_change={stopping.patience})."
                )
            elif finished[i]:
                reason = f"All max_iter={stopping.max_iter} steps were done."
            elif spent[i]:
                reason = f"Another step would exceed max_evaluations={stopping.max_evaluations:g}."
            elif late:
                reason = f"max_seconds={stopping.max_seconds:g} were over."
            training.stop_reason[member] = reason

    def of_those_that_go_on(self, training: Training) -> list[_Group]:
        """Return this group, a smaller one, or none; what stops leaves its state behind."""
        going = np.array([not training.stop_reason[member] for member in self.members])
        if going.all():
            return [self]
        self._state.put(self.members, self.state)
        if not going.any():
            return []
        return [_Group(self._algorithm, self._whole, self._state, self.members[going])]


@dataclass(frozen=True)
class _Verdict:
    """What a step has come to, for each member.

    Attributes
    ----------
    chosen : array of shape (members, D)
        The best of the candidates.
    watched : array of shape (members,)
        What decides: the error on the validation rows, the negated score there, or what training minimises, which is
        the error plus the penalty.
    training_error, validation_error, score : arrays of shape (members,)
        None where there are no validation rows or no scorers.
    """

    chosen: Array
    watched: Array
    training_error: Array
    validation_error: Array | None = None
    score: Array | None = None


class _Judge:
    """Chooses among the candidates of a step, on the rows that decide."""

    def __init__(self, problem: Problem, algorithm: Algorithm) -> None:
        self.selects = problem.validation is not None or algorithm.competes
        self._validates = problem.validation is not None
        self._problem = problem
        self._by_score = self._validates and problem.score_decides
        self.watches = "validation score" if self._by_score else "error"
        self._rows = problem.training_rows if problem.validation_rows is None else problem.validation_rows
        self._stack: _Rows | None = None
        self._alone: list[_Rows] = []

    def evaluations(self, progress: Progress) -> int:
        """Return what judging cost each member."""
        known = not self._validates and progress.candidate_errors is not None
        return 0 if known or not self.selects else self._rows.shape[1] * progress.candidates.shape[1]

    def errors(self, parameters: Array) -> Array:
        """Return what is watched for one network of each member, shape (members,); infinite if nothing decides."""
        if not self.selects:
            return np.full(len(parameters), np.inf)
        return self._watched(parameters[:, np.newaxis], None)[0][:, 0]

    def __call__(self, progress: Progress) -> _Verdict:
        """Choose the best candidate of each member."""
        if not self.selects:
            chosen = progress.candidates[:, 0]
            return _Verdict(chosen, progress.error + self._problem.penalty(chosen), progress.error)
        watched, errors, scores = self._watched(progress.candidates, progress.candidate_errors)
        best = watched.argmin(axis=1)
        members = np.arange(best.size)
        chosen, own = progress.candidates[members, best], errors[members, best]
        score = None if scores is None else scores[members, best]
        if self._validates:
            return _Verdict(chosen, watched[members, best], progress.error, own, score)
        return _Verdict(chosen, watched[members, best], own)

    def _watched(self, candidates: Array, known: Array | None) -> tuple[Array, Array, Array | None]:
        """Return what is watched, the errors and the scores, each of shape (members, candidates)."""
        scores = None
        errors = known
        if self._validates or errors is None:
            errors, scores = self._measure(candidates)
        if self._by_score and scores is not None:
            watched = -scores
        else:
            watched = errors if self._validates else errors + self._problem.penalty(candidates)
        return np.where(np.isnan(watched), np.inf, watched), errors, scores

    def _measure(self, candidates: Array) -> tuple[Array, Array | None]:
        """Return the errors, and the scores if there are scorers, of all candidates."""
        problem, scorers = self._problem, self._problem.scorers if self._validates else None
        members, count = candidates.shape[:2]
        if count == 1:  # one pass for the whole stack
            if self._stack is None:
                self._stack = _Rows(problem, self._rows, None, scorers is not None)
            errors = self._stack.errors(candidates[:, 0])[:, np.newaxis]
            if scorers is None:
                return errors, None
            judged = zip(scorers, self._stack.outputs, candidates[:, 0], strict=True)
            return errors, np.array([[score(outputs, weights)] for score, outputs, weights in judged])
        if not self._alone:
            self._alone = [_Rows(problem, rows, i, scorers is not None) for i, rows in enumerate(self._rows)]
        errors, scores = np.empty((members, count)), np.empty((members, count))
        for i, (own, rows) in enumerate(zip(candidates, self._alone, strict=True)):
            errors[i] = rows.errors(own)
            if scorers is not None:
                scores[i] = [scorers[i](*both) for both in zip(rows.outputs, own, strict=True)]
        return errors, None if scorers is None else scores


class _Rows:
    """Rows on which networks are judged: one set for a member's candidates, or one set for each of a stack."""

    def __init__(self, problem: Problem, rows: Array, member: int | None, keep_outputs: bool) -> None:
        if member is None and (rows == rows[0]).all() and (problem.shift == problem.shift[0]).all():
            rows, member = rows[0], 0  # shared rows make one matrix product with the inputs
        self._sweep = Sweep(problem.network, problem.objective, problem.samples, rows)
        expected = problem.expected_of(rows, member)
        self._expected = np.ascontiguousarray(expected.swapaxes(-1, -2))
        self._weight = problem.weight_of(rows, member)
        self._shape = rows.shape[-1], problem.network.n_outputs
        self._keep_outputs = keep_outputs
        self.outputs = np.empty((0, *self._shape), dtype=problem.dtype)

    def errors(self, parameters: Array) -> Array:
        """Return the error of each network, shape (P,); keep the outputs, shape (P, rows, n_outputs), if wanted."""
        if self._keep_outputs and len(self.outputs) != len(parameters):
            self.outputs = np.empty((len(parameters), *self._shape), dtype=parameters.dtype)
        outputs = self.outputs if self._keep_outputs else None
        return self._sweep.errors(parameters, self._expected, self._weight, outputs)
