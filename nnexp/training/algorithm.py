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
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import nearest
from nnexp.network.error_functions import Objective
from nnexp.network.network import Network, Sweep, shares
from nnexp.training.optimizers import Optimizer

Array = NDArray[Any]


DESCENT_MODES = {
    "stochastic": "an update after each sample",
    "mini-batch": "an update after each batch_size samples, with their average gradient",
    "batch": "one update an epoch, with the average gradient of all samples",
}


@dataclass(frozen=True)
class Descent:
    """The settings of gradient steps.

    Attributes
    ----------
    mode : {"stochastic", "mini-batch", "batch"}
        An update after each sample, after each batch_size samples, or after all; always with the average
        gradient of its samples.
    batch_size : int
    optimizer : Optimizer
    learning_rate : float
    shuffle : bool
        Whether each epoch takes the samples in a new order.
    """

    mode: str
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    shuffle: bool = True

    def samples_per_update(self, n_samples: int) -> int:
        """Return how many samples one update averages over."""
        sizes = {"stochastic": 1, "mini-batch": min(self.batch_size, n_samples), "batch": n_samples}
        return sizes[self.mode]


@dataclass(frozen=True)
class Problem:
    """What is to be learned: data, network and error, the same for all members but for their rows.

    Attributes
    ----------
    network : Network
    objective : Objective
    inputs : array of shape (n, n_inputs + 1)
        With the column of ones, see `Network.with_ones`.
    expected : array of shape (n, n_outputs)
    weight : array of shape (n,), or None
        Sample weights, at least 0, in any unit; None for equal weights.
    training : array of int, shape (members, n_training)
        The rows that each member learns from.
    validation : array of int, shape (members, n_validation), or None
        The rows by which each member's best parameters are chosen.
    l2 : float
        Adds ½ · l2 · Σ w² over all but bias weights to the error.
    descent : Descent
        The settings of gradient steps, for algorithms that make any.
    """

    network: Network
    objective: Objective
    inputs: Array
    expected: Array
    weight: Array | None
    training: Array
    validation: Array | None
    l2: float
    descent: Descent

    @property
    def n_members(self) -> int:
        """How many networks are asked for."""
        return int(self.training.shape[0])

    def penalty(self, parameters: Array) -> Array:
        """Return what training minimises besides the error, ½ · l2 · Σ w², shape (...)."""
        if not self.l2:
            return np.zeros(parameters.shape[:-1])
        bias = parameters[..., self.network.bias_mask]
        total = np.einsum("...d,...d->...", parameters, parameters) - np.einsum("...d,...d->...", bias, bias)
        return 0.5 * self.l2 * total

    def select(self, members: Array) -> Problem:
        """Return the problem of some of the members."""
        validation = None if self.validation is None else self.validation[members]
        return Problem(**{**vars(self), "training": self.training[members], "validation": validation})

    def weight_of(self, rows: Array) -> Array:
        """Return each sample's share of the mean over these rows, shape (1, n), or (members, 1, n)."""
        if self.weight is None:
            return np.full((1, rows.shape[-1]), 1.0 / rows.shape[-1], dtype=self.inputs.dtype)
        return shares(self.weight[rows])[..., np.newaxis, :].astype(self.inputs.dtype)


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
    uses_gradient: ClassVar[bool] = False
    competes: ClassVar[bool] = False
    patience: ClassVar[int] = 10
    advice: ClassVar[str] = "Standardised inputs help."

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
    patience : int
        Steps without an improvement of the watched error by more than tol.
    tol : float
        In units of the error function.
    """

    max_iter: int
    patience: int
    tol: float


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
        penalty.
    evaluations, n_iter : array of int, shape (members,)
        What it cost, and the steps done.
    stop_reason : list of str
        A sentence for each member.
    diverged : array of bool, shape (members,)
        Whether a member stopped because its error became infinite or NaN.
    seconds : float
        Time spent in steps and in judging them.
    state : State
        Of all members, as after their last step.
    history : list of list of dict
        One row a step for each member.
    """

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
        self.history: list[list[dict[str, Any]]] = [[] for _ in range(members)]
        self.seconds = 0.0
        self.state = algorithm.start(problem, parameters, list(rngs))
        # The watched error that an improvement is measured from, and the step that reached it.
        self._mark = np.full(members, np.inf)
        self._mark_step = np.zeros(members, dtype=int)
        self._out_of_patience = np.zeros(members, dtype=bool)

    def run(
        self,
        problem: Problem,
        stopping: Stopping,
        report: Callable[[dict[str, Any]], None] | None = None,
        new_data: bool = False,
    ) -> Training:
        """Go on until every member has stopped.

        Parameters
        ----------
        problem : Problem
            The same as before, or with other data where training goes on with them.
        stopping : Stopping
            ``max_iter`` counts the steps of this call.
        report : callable, default=None
            Is given the history's row after each step of the first member.
        new_data : bool, default=False
            Whether the data are other ones than before: errors on the old ones then count for nothing.
        """
        first = self.n_iter.copy()
        self._mark_step[self._out_of_patience] = self.n_iter[self._out_of_patience]
        self._out_of_patience[:] = False
        members = np.arange(problem.n_members)  # the numbers of those that still train
        with np.errstate(all="ignore"):
            if new_data:
                self._forget(problem)
            part = self.state.select(members)
            try:
                step, judge = self.algorithm.bind(problem, part), _Judge(problem, self.algorithm)
                good = self.parameters.copy()  # the last whose error is known to be finite
                while members.size:
                    before = time.perf_counter()
                    start = self.parameters[members]
                    progress = step()
                    chosen, watched, training_error, validation_error = judge(progress)
                    finite = np.isfinite(watched) & np.isfinite(chosen).all(axis=-1)
                    self.evaluations[members] += progress.evaluations + judge.evaluations(progress)
                    self.n_iter[members] += 1
                    self._keep(members, chosen, watched, finite, judge.selects)
                    if not judge.selects:
                        good[members[finite]] = start[finite]
                        self.parameters[members[~finite]] = good[members[~finite]]
                    self.seconds += time.perf_counter() - before
                    self._record(members, progress, training_error, validation_error)
                    if report is not None and members[0] == 0:
                        report(self.history[0][-1])
                    going = self._decide(members, finite, stopping, first, judge.selects)
                    if not going.all():
                        self.state.put(members, part)
                        members = members[going]
                        if members.size:
                            problem, part = problem.select(going), self.state.select(members)
                            step, judge = self.algorithm.bind(problem, part), _Judge(problem, self.algorithm)
            finally:
                if members.size:
                    self.state.put(members, part)
        return self

    def _forget(self, problem: Problem) -> None:
        """Judge the kept parameters by the new data."""
        self.best_error[:] = _Judge(problem, self.algorithm).errors(self.parameters)
        self._mark[:] = self.best_error
        self._mark_step[:] = self.n_iter

    def _keep(self, members: Array, chosen: Array, watched: Array, finite: Array, selects: bool) -> None:
        better = finite & (watched < self.best_error[members])
        kept = better if selects else finite
        self.parameters[members[kept]] = chosen[kept]
        self.best_error[members[better]] = watched[better]

    def _record(self, members: Array, progress: Progress, error: Array, validation: Array | None) -> None:
        for i, member in enumerate(members):
            row: dict[str, Any] = {"step": int(self.n_iter[member]), "error": float(error[i])}
            row["validation_error"] = np.nan if validation is None else float(validation[i])
            row["evaluations"] = int(self.evaluations[member])
            row["seconds"] = self.seconds
            row.update({name: float(values[i]) for name, values in progress.metrics.items()})
            self.history[member].append(row)

    def _decide(self, members: Array, finite: Array, stopping: Stopping, first: Array, selects: bool) -> Array:
        """Return which members go on; give the others their reason."""
        going = np.ones(members.size, dtype=bool)
        for i, member in enumerate(members):
            now = self.n_iter[member]
            if self.best_error[member] < self._mark[member] - stopping.tol:
                self._mark[member], self._mark_step[member] = self.best_error[member], now
            self.diverged[member] = not finite[i]
            self._out_of_patience[member] = now - self._mark_step[member] >= stopping.patience
            reason = ""
            if self.diverged[member]:
                kept = "the best parameters so far" if selects else "the last parameters with a finite error"
                reason = f"The error became infinite or NaN in step {now}; {kept} are kept. {self.algorithm.advice}"
            elif self._out_of_patience[member]:
                reason = (
                    f"The error did not improve by more than tol={stopping.tol:g} in {stopping.patience} "
                    f"successive steps (n_iter_no_change={stopping.patience})."
                )
            elif now - first[member] >= stopping.max_iter:
                reason = f"All max_iter={stopping.max_iter} steps were done."
            self.stop_reason[member] = reason
            going[i] = not reason
        return going


class _Judge:
    """Chooses among the candidates of a step, on the rows that decide."""

    def __init__(self, problem: Problem, algorithm: Algorithm) -> None:
        self.selects = problem.validation is not None or algorithm.competes
        self._validates = problem.validation is not None
        self._sweeps: list[tuple[Sweep, Array, Array]] = []
        self._problem = problem
        self._rows = 0
        if self.selects:
            rows = problem.training if problem.validation is None else problem.validation
            self._rows = rows.shape[1]
            for own in rows:
                sweep = Sweep(problem.network, problem.objective, problem.inputs[own])
                self._sweeps.append((sweep, problem.expected[own].T.copy(), problem.weight_of(own)))

    def evaluations(self, progress: Progress) -> int:
        """Return what judging cost each member."""
        known = not self._validates and progress.candidate_errors is not None
        return 0 if known else self._rows * progress.candidates.shape[1]

    def errors(self, parameters: Array) -> Array:
        """Return what is watched for one network of each member, shape (members,); infinite if nothing decides."""
        if not self.selects:
            return np.full(len(parameters), np.inf)
        errors = np.array([self._score(i, own[np.newaxis])[0] for i, own in enumerate(parameters)])
        watched = errors if self._validates else errors + self._problem.penalty(parameters)
        return np.where(np.isnan(watched), np.inf, watched)

    def __call__(self, progress: Progress) -> tuple[Array, Array, Array, Array | None]:
        """Return each member's chosen parameters, its watched error, its training error and its validation error.

        What is watched is the error on the validation rows, or else what training minimises: error plus penalty.
        """
        if not self.selects:
            chosen = progress.candidates[:, 0]
            return chosen, progress.error + self._problem.penalty(chosen), progress.error, None
        errors = progress.candidate_errors
        if self._validates or errors is None:
            errors = np.stack([self._score(i, own) for i, own in enumerate(progress.candidates)])
        watched = errors if self._validates else errors + self._problem.penalty(progress.candidates)
        watched = np.where(np.isnan(watched), np.inf, watched)
        best = watched.argmin(axis=1)
        members = np.arange(best.size)
        chosen, own = progress.candidates[members, best], errors[members, best]
        if self._validates:
            return chosen, watched[members, best], progress.error, own
        return chosen, watched[members, best], own, None

    def _score(self, member: int, candidates: Array) -> Array:
        sweep, expected, weight = self._sweeps[member]
        return sweep.errors(candidates, expected, weight)
