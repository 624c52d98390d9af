"""The one loop that carries all algorithms.

Nothing in it asks which algorithm it runs. It validates, keeps the best parameters, stops, records the history and
counts the cost.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from nnexp.network.pieces import PiecewisePass
from nnexp.training.algorithm import Algorithm, State, StepReport
from nnexp.training.history import History
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


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


@dataclass(frozen=True, eq=False)
class Members:
    """What is known of each member of a training besides the state of its algorithm: arrays with a first axis of members.

    Attributes
    ----------
    parameters : array of shape (members, D)
        What each has become: its best by the validation rows, or its last.
    best_error : array of shape (members,)
        The lowest watched error: on the validation rows where there are any, in a jury the mean of the others'; else on
        the training rows, plus the penalty. The negated score where that decides.
    evaluations, n_iter : array of int, shape (members,)
        What it cost, and the steps done.
    diverged : array of bool, shape (members,)
        Whether it stopped because its error became infinite or NaN.
    lowest : array of shape (members,)
        The lowest watched error since the algorithm at work began.
    mark, mark_step : arrays of shape (members,)
        The error that an improvement is measured from, and the step that reached it.
    out_of_patience : array of bool, shape (members,)
        Whether it stopped because nothing improved.
    good : array of shape (members, D)
        The last parameters whose error is known to be finite.
    judged_from : array of int, shape (members,)
        The step after which errors are those on the present data.
    apart_error, apart_score : arrays of shape (members,)
        In a jury: the last finite error and score on the rows that each has set aside; NaN where there is none.
    """

    parameters: Array
    best_error: Array
    evaluations: Array
    n_iter: Array
    diverged: Array
    lowest: Array
    mark: Array
    mark_step: Array
    out_of_patience: Array
    good: Array
    judged_from: Array
    apart_error: Array
    apart_score: Array

    @staticmethod
    def at_start(parameters: Array) -> Members:
        """Return members that have not begun."""
        n = len(parameters)
        none, infinite = np.zeros(n, dtype=int), np.full(n, np.inf)
        no, unknown = np.zeros(n, dtype=bool), np.full(n, np.nan)
        return Members(
            parameters=parameters,
            best_error=infinite,
            evaluations=np.zeros(n, dtype=np.int64),
            n_iter=none,
            diverged=no,
            lowest=infinite,
            mark=infinite,
            mark_step=none,
            out_of_patience=no,
            good=parameters,
            judged_from=none,
            apart_error=unknown,
            apart_score=unknown,
        ).copy()

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def copy(self) -> Members:
        """Return members that nothing is shared with."""
        return self.select(np.arange(len(self.n_iter)))

    def select(self, members: Array) -> Members:
        """Return a copy of some of the members."""
        return Members(**{name: values[members] for name, values in self.arrays().items()})

    @staticmethod
    def join(parts: Sequence[Members]) -> Members:
        """Return the members of several trainings, one after the other."""
        names = [field.name for field in fields(Members)]
        return Members(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class Training:
    """The loop: takes members from their first parameters to their best.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    descent : Descent
    parameters : array of shape (members, D)
        The first parameters.
    rngs : sequence of numpy.random.Generator
        One for each member.

    Attributes
    ----------
    members : Members
        What is known of each member; its arrays are attributes of the training too.
    stop_reason : list of str
        A sentence for each member; empty while it trains.
    seconds : float
        Time spent in steps and in judging them.
    state : State
        Of all members, as after their last step.
    log : History
        What happened in each step.
    """

    # The parameters, moments and gradients of a group of members that train in step should fit the cache.
    GROUP_BYTES = 1 << 22

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem,
        descent: Descent,
        parameters: Array,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        if descent.n_members != problem.n_members:
            raise ValueError(f"The descent is of {descent.n_members} members, and the problem of {problem.n_members}.")
        check_memory(algorithm, problem, descent)
        state = algorithm.start(problem, descent, parameters, list(rngs))
        self._set(algorithm, Members.at_start(parameters), [""] * problem.n_members, state, History(), 0.0)

    def _set(
        self, algorithm: Algorithm, members: Members, stop_reason: list[str], state: State, log: History, seconds: float
    ) -> None:
        self.algorithm, self.members, self.stop_reason = algorithm, members, stop_reason
        self.state, self.log, self.seconds = state, log, seconds
        self._groups: list[_Group] = []
        self._begun = 0.0

    @staticmethod
    def _of(
        algorithm: Algorithm, members: Members, stop_reason: list[str], state: State, log: History, seconds: float
    ) -> Training:
        training = Training.__new__(Training)
        training._set(algorithm, members, stop_reason, state, log, seconds)
        return training

    @property
    def parameters(self) -> Array:
        """See `Members`."""
        return self.members.parameters

    @property
    def best_error(self) -> Array:
        """See `Members`."""
        return self.members.best_error

    @property
    def evaluations(self) -> Array:
        """See `Members`."""
        return self.members.evaluations

    @property
    def n_iter(self) -> Array:
        """See `Members`."""
        return self.members.n_iter

    @property
    def diverged(self) -> Array:
        """See `Members`."""
        return self.members.diverged

    @property
    def judged_from(self) -> Array:
        """See `Members`."""
        return self.members.judged_from

    def run(
        self,
        problem: Problem,
        descent: Descent,
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
        descent : Descent
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
            tired = self.members.out_of_patience
            self.members.mark_step[tired] = self.n_iter[tired]
            tired[:] = False
            self.stop_reason = [""] * problem.n_members
        begun = time.perf_counter()
        with np.errstate(all="ignore"):
            self.algorithm.resume(problem, descent, self.state)
            if new_data:
                self._forget(problem, descent)
            if not resume:
                self.members.good[...] = self.parameters
            room = max(1, self.GROUP_BYTES // (4 * self.parameters[:1].nbytes))
            try:
                # All members are grouped and those that have stopped are left out then, so that a run that goes on
                # has the groups of one that was not interrupted.
                for equal in problem.groups(np.arange(problem.n_members)):
                    for part in np.array_split(equal, -(-len(equal) // room)):
                        alive = np.array([member for member in part if not self.stop_reason[member]], dtype=int)
                        self._groups += _groups_by_phase(self.algorithm, problem, descent, self.state, alive)
                while self._groups:
                    self._begun = time.perf_counter()
                    for group in self._groups:
                        group.advance(self)
                    self._confer(problem)
                    for group in self._groups:
                        group.count(self)
                    spent = self._spent(problem)
                    for group in self._groups:
                        self._take(group, spent[group.members])
                    now = time.perf_counter()
                    self.seconds += now - self._begun
                    tired = self._tired(problem, stopping)
                    for group in self._groups:
                        group.decide(self, stopping, first, now - begun, tired)
                    self._dismiss(problem)
                    reason = on_step(self) if on_step is not None else None
                    if reason:
                        for member in np.concatenate([group.members for group in self._groups]):
                            self.stop_reason[member] = self.stop_reason[member] or reason
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

    def last_row(self, members: int | None = None) -> dict[str, Any]:
        """Return the means over so many first members of what the last step has reported; of evaluations the sum over all."""
        count = len(self.n_iter) if members is None else members
        row: dict[str, Any] = self.log.last(max(1, len(self._groups)), count)
        row["step"] = int(self.n_iter[:count].max())
        row["evaluations"] = int(self.evaluations.sum())
        return row

    def select(self, members: Array) -> Training:
        """Return the training of some of the members, as if they had trained by themselves."""
        reasons = [self.stop_reason[i] for i in members]
        state, log = self.state.select(members), self.log.select(members)
        return Training._of(self.algorithm, self.members.select(members), reasons, state, log, self.seconds)

    def copy(self) -> Training:
        """Return a training that can go on by itself; it takes no longer where more steps have been done."""
        algorithm, reasons = copy.deepcopy(self.algorithm), list(self.stop_reason)
        return Training._of(algorithm, self.members.copy(), reasons, self.state.copy(), self.log.branch(), self.seconds)

    @staticmethod
    def join(parts: Sequence[Training]) -> Training:
        """Return one training of the members of several, one after the other."""
        starts = np.cumsum([0, *(len(part.stop_reason) for part in parts)]).tolist()
        return Training._of(
            parts[0].algorithm,
            Members.join([part.members for part in parts]),
            [reason for part in parts for reason in part.stop_reason],
            State.join([part.state for part in parts]),
            History.join([part.log for part in parts], starts[:-1]),
            max(part.seconds for part in parts),
        )

    def _forget(self, problem: Problem, descent: Descent) -> None:
        """Judge the kept parameters by the new data."""
        everyone = np.arange(problem.n_members)
        errors, scores = np.full(len(everyone), np.nan), np.full(len(everyone), np.nan)
        for members in problem.groups(everyone):
            judge = _Chooser(problem.select(members), self.algorithm)
            self.best_error[members], errors[members], scores[members] = judge.judged(self.parameters[members])
        if problem.juries is not None:
            errors[~np.isfinite(errors)] = scores[~np.isfinite(scores)] = np.nan
            self.members.apart_error[:], self.members.apart_score[:] = errors, scores
            error, score = map(problem.juries.mean_of_the_others, (errors, scores))
            decides = -score if problem.score_decides else error
            is_known = np.isfinite(decides)
            self.best_error[is_known] = decides[is_known]
        self.members.mark[:] = self.members.lowest[:] = self.best_error
        self.members.mark_step[:] = self.n_iter
        self.judged_from[:] = self.n_iter
        self.algorithm.forget(problem, descent, self.state)

    def _confer(self, problem: Problem) -> None:
        """Let the others of its jury decide about a member: the rows that it has set aside are not asked."""
        if problem.juries is None:
            return
        apart = self.members.apart_error, self.members.apart_score
        for group in self._groups:
            for known, values in zip(apart, (group.verdict.validation_error, group.verdict.score), strict=True):
                if values is not None:
                    finite = np.isfinite(values)
                    known[group.members[finite]] = values[finite]
        error, score = map(problem.juries.mean_of_the_others, apart)
        for group in self._groups:
            group.verdict = group.verdict.of_jury(error[group.members], score[group.members], problem.score_decides)

    def _spent(self, problem: Problem) -> Array:
        """Return what each member has cost so far, shape (members,), with what has trained for it alone."""
        if not len(problem.accompanied):
            return self.evaluations
        spent = self.evaluations.copy()
        for member in problem.accompanied:
            assert problem.juries is not None
            spent[member] = self.evaluations[problem.juries.of(member)].sum()
        return spent

    def _dismiss(self, problem: Problem) -> None:
        """Stop those whose member has stopped, for which alone they train."""
        for member in problem.accompanied:
            if reason := self.stop_reason[member]:
                assert problem.juries is not None
                for other in problem.juries.of(member):
                    self.stop_reason[other] = self.stop_reason[other] or reason

    def _take(self, group: _Group, spent: Array) -> None:
        """Keep what a step of a group has come to; ``spent`` is what its members have cost, as the history shows it."""
        members, judge, progress, verdict, finite = (
            group.members,
            group.judge,
            group.progress,
            group.verdict,
            group.finite,
        )
        chosen, watched = verdict.chosen, verdict.watched
        better = finite & (watched < self.best_error[members])
        kept = better if judge.selects else finite
        self.parameters[members[kept]] = chosen[kept]
        self.best_error[members[better]] = watched[better]
        lowest, good = self.members.lowest, self.members.good
        lowest[members[finite]] = np.minimum(lowest[members[finite]], watched[finite])
        if not judge.selects:
            good[members[finite]] = group.before[finite]
            self.parameters[members[~finite]] = good[members[~finite]]
        self.algorithm.observe(group.problem, group.descent, group.state, watched, verdict.each)
        nothing = np.full(len(members), np.nan)
        columns = {
            "step": self.n_iter[members],
            "error": verdict.training_error,
            "validation_error": nothing if verdict.validation_error is None else verdict.validation_error,
            "validation_score": nothing if verdict.score is None else verdict.score,
            "evaluations": spent,
            "seconds": self.seconds + time.perf_counter() - self._begun,
            **progress.metrics,
            **{n: metric[np.arange(len(members)), verdict.best] for n, metric in progress.candidate_metrics.items()},
        }
        self.log.add(members, columns)

    def _tired(self, problem: Problem, stopping: Stopping) -> Array:
        """Return who has not improved for as long as patience goes, shape (members,); those of a jury wait for each other."""
        known, alive = self.members, np.concatenate([group.members for group in self._groups])
        improved = alive[known.lowest[alive] < known.mark[alive] - stopping.tol]
        known.mark[improved] = known.lowest[improved]
        known.mark_step[improved] = self.n_iter[improved]
        impatient = self.n_iter[alive] - known.mark_step[alive] >= stopping.patience
        tired = np.zeros(len(self.n_iter), dtype=bool)
        tired[alive[impatient]] = True
        if problem.juries is not None:
            waiting = ~impatient & np.concatenate([group.finite for group in self._groups])
            tired &= ~problem.juries.that_wait(alive[waiting])
        return tired


class _Group:
    """Members with equally many rows, which train in step."""

    progress: StepReport
    verdict: _Verdict
    before: Array

    def __init__(self, algorithm: Algorithm, problem: Problem, descent: Descent, state: State, members: Array) -> None:
        self.members = members
        self._algorithm, self._whole, self._state = algorithm, (problem, descent), state
        self.problem, self.descent = problem.select(members), descent.select(members)
        self.state = state.select(members)
        self.phase = int(algorithm.phase(self.state)[0])
        self.step = algorithm.bind(self.problem, self.descent, self.state)
        self.judge = _Chooser(self.problem, algorithm.at(self.phase))
        self.finite = np.ones(len(members), dtype=bool)
        self.cost: Any = 0

    def advance(self, training: Training) -> None:
        """Do one step, and judge it by the rows of each member."""
        if not self.judge.selects:
            self.before = training.parameters[self.members]
        self.progress = self.step()
        self.verdict = self.judge(self.progress)
        self.finite = np.isfinite(self.verdict.watched) & np.isfinite(self.verdict.chosen).all(axis=-1)

    def count(self, training: Training) -> None:
        """Count the step and what it cost."""
        self.cost = self.progress.evaluations + self.judge.evaluations(self.progress)
        training.evaluations[self.members] += self.cost
        training.n_iter[self.members] += 1

    def decide(self, training: Training, stopping: Stopping, first: Array, seconds: float, tired: Array) -> None:
        """Give the members that stop their reason; ``tired``, shape (all members,), says who no longer improves."""
        members, now, all_members = self.members, training.n_iter[self.members], training.members
        diverged = ~self.finite
        training.diverged[members] = diverged
        all_members.apart_error[members[diverged]] = all_members.apart_score[members[diverged]] = np.nan
        impatient = tired[members]
        handed = self._algorithm.hand_over(
            self.problem, self.descent, self.state, training.parameters[members], impatient
        )
        if handed.any():  # the next algorithm has its own patience, and may watch another error
            self._begin_anew(training, handed)
            impatient &= ~handed
        after = self._algorithm.phase(self.state)
        if (after != self.phase).any():
            validation = 0 if self.problem.validation_rows is None else self.problem.validation_rows.shape[1]
            sizes = self.problem.training_rows.shape[1], validation
            costs = {p: self._algorithm.cost_in(p, self.problem.network, *sizes, self.descent) for p in set(after)}
            self.cost = np.array([costs[phase] for phase in after])
        all_members.out_of_patience[members] = impatient
        finished = now - first[members] >= stopping.max_iter
        spent = training.evaluations[members] + self.cost > stopping.max_evaluations
        late = seconds >= stopping.max_seconds
        if not (late or (diverged | impatient | finished | spent).any()):
            return
        kept = "the best parameters so far" if self.judge.selects else "the last parameters with a finite error"
        for i, member in enumerate(members):
            reason = ""
            if diverged[i]:
                advice = self._algorithm.at(self.phase).advice
                reason = f"The error became infinite or NaN in step {now[i]}; {kept} are kept. {advice}"
            elif impatient[i]:
                reason = (
                    f"The {self.judge.watches} did not improve by more than tol={stopping.tol:g} in {stopping.patience} "
                    f"successive steps (n_iter_no_change={stopping.patience})."
                )
            elif spent[i]:
                reason = f"Another step would exceed max_evaluations={stopping.max_evaluations:g}."
            elif finished[i]:
                reason = f"All max_iter={stopping.max_iter} steps were done."
            elif late:
                reason = f"max_seconds={stopping.max_seconds:g} were over."
            training.stop_reason[member] = reason

    def _begin_anew(self, training: Training, handed: Array) -> None:
        """Measure members that were handed on to another algorithm by what that one watches."""
        members = self.members[handed]
        training.members.mark[members] = training.members.lowest[members] = np.inf
        training.members.mark_step[members] = training.n_iter[members]
        phase = int(self._algorithm.phase(self.state)[handed][0])
        judge = _Chooser(self.problem.select(handed), self._algorithm.at(phase))
        if judge.selects and not self.judge.selects:  # what was kept is the last network, and not the best
            training.best_error[members] = judge.judged(training.parameters[members])[0]
            training.evaluations[members] += judge.n_rows
        elif self.judge.selects and not judge.selects:
            training.best_error[members] = np.inf

    def of_those_that_go_on(self, training: Training) -> list[_Group]:
        """Return this group, a smaller one, or none; what stops leaves its state behind."""
        going = np.array([not training.stop_reason[member] for member in self.members])
        if going.all() and (self._algorithm.phase(self.state) == self.phase).all():
            return [self]
        self._state.put(self.members, self.state)
        return _groups_by_phase(self._algorithm, *self._whole, self._state, self.members[going])


def _groups_by_phase(
    algorithm: Algorithm, problem: Problem, descent: Descent, state: State, members: Array
) -> list[_Group]:
    """Return a group for each phase that some of the members are in."""
    phases = algorithm.phase(state)[members]
    return [_Group(algorithm, problem, descent, state, members[phases == phase]) for phase in np.unique(phases)]


def check_memory(algorithm: Algorithm, problem: Problem, descent: Descent) -> None:
    """Raise a MemoryError if an algorithm needs more memory than the machine has free."""
    needed = algorithm.memory(problem, descent)
    if needed > 1 << 28:  # nothing to ask for less
        free = psutil.virtual_memory().available
        if needed > free:
            raise MemoryError(
                f"{algorithm!r} needs about {needed / 1e9:.1f} GB for {problem.n_members} "
                f"{'population' if problem.n_members == 1 else 'populations'} of networks of "
                f"{problem.network.n_parameters:,} weights, and {free / 1e9:.1f} GB are free. A smaller population or "
                "network needs less."
            )


# Bytes of a generator of random numbers, of which each network has one.
_RNG_BYTES = 5_000


def check_room(n_networks: int, n_parameters: int) -> None:
    """Raise a MemoryError if the weights of so many networks alone need more memory than the machine has free."""
    needed = n_networks * (8 * n_parameters + _RNG_BYTES)
    if needed > 1 << 28 and needed > (free := psutil.virtual_memory().available):
        raise MemoryError(
            f"{n_networks:,} networks of {n_parameters:,} weights need about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free."
        )


@dataclass(frozen=True)
class _Verdict:
    """What a step has come to, for each member.

    Attributes
    ----------
    best : array of int, shape (members,)
        Which candidate is the best.
    chosen : array of shape (members, D)
        That candidate.
    watched : array of shape (members,)
        What decides: the error on the validation rows, the negated score there, or what training minimises, which is
        the error plus the penalty.
    each : array of shape (members, candidates)
        What is watched, of all candidates.
    training_error, validation_error, score : arrays of shape (members,)
        None where there are no validation rows or no scorers; in a jury the means over the others.
    """

    best: Array
    chosen: Array
    watched: Array
    training_error: Array
    each: Array
    validation_error: Array | None = None
    score: Array | None = None

    def of_jury(self, error: Array, score: Array, by_score: bool) -> _Verdict:
        """Return the verdict of a jury, by what its other members have come to, shape (members,); NaN where none has anything."""
        decides = -score if by_score else error
        return replace(
            self,
            watched=np.where(np.isnan(decides), self.watched, decides),
            validation_error=_or(error, self.validation_error),
            score=self.score if np.isnan(score).all() else _or(score, self.score),
        )


def _or(values: Array, other: Array | None) -> Array:
    """Return values, and other ones where they are NaN."""
    return values if other is None else np.where(np.isnan(values), other, values)


class _Chooser:
    """Chooses among the candidates of a step, on the rows that decide."""

    def __init__(self, problem: Problem, algorithm: Algorithm) -> None:
        self.selects = problem.validation is not None or algorithm.competes
        rows = problem.validation_rows
        self._validates = rows is not None and rows.shape[1] > 0
        self._judges = self._validates or algorithm.competes
        self._problem = problem
        self._by_score = problem.score_decides and self.selects
        self.watches = ("validation score" if self._validates else "score") if self._by_score else "error"
        self._rows: Array = problem.training_rows if rows is None or not self._validates else rows
        self._stack: _Rows | None = None
        self._alone: list[_Rows] = []

    def evaluations(self, progress: StepReport) -> int:
        """Return what judging cost each member."""
        known = not self._validates and not self._by_score and progress.candidate_errors is not None
        return 0 if known or not self._judges else self._rows.shape[1] * progress.candidates.shape[1]

    @property
    def n_rows(self) -> int:
        """How many rows a network is judged on."""
        return int(self._rows.shape[1])

    def judged(self, parameters: Array) -> tuple[Array, Array, Array]:
        """Return for one network of each member what is watched, shape (members,), infinite if nothing decides.

        Besides it the error and the score on the rows that were set aside; NaN where there are none.
        """
        unknown = np.full(len(parameters), np.nan)
        if not self._judges:
            return np.full(len(parameters), np.inf), unknown, unknown
        watched, errors, scores = self._watched(parameters[:, np.newaxis], None)
        apart = errors[:, 0] if self._validates else unknown
        return watched[:, 0], apart, unknown if scores is None or not self._validates else scores[:, 0]

    def __call__(self, progress: StepReport) -> _Verdict:
        """Choose the best candidate of each member."""
        if not self._judges:
            chosen = progress.candidates[:, 0]
            watched = progress.error + self._problem.penalty(chosen)
            first = np.zeros(len(chosen), dtype=np.intp)
            return _Verdict(first, chosen, watched, progress.error, watched[:, np.newaxis])
        watched, errors, scores = self._watched(progress.candidates, progress.candidate_errors)
        if progress.candidate_penalty is not None and not self._validates:
            watched = watched + progress.candidate_penalty
        best = watched.argmin(axis=1)
        members = np.arange(best.size)
        chosen, candidate = progress.candidates[members, best], errors[members, best]
        score = None if scores is None else scores[members, best]
        if self._validates:
            return _Verdict(best, chosen, watched[members, best], progress.error, watched, candidate, score)
        return _Verdict(best, chosen, watched[members, best], candidate, watched)

    def _watched(self, candidates: Array, known: Array | None) -> tuple[Array, Array, Array | None]:
        """Return what is watched, the errors and the scores, each of shape (members, candidates)."""
        scores = None
        errors = known
        if self._validates or self._by_score or errors is None:
            errors, scores = self._measure(candidates)
        if self._by_score and scores is not None:
            watched = -scores
        else:
            watched = errors if self._validates else errors + self._problem.penalty(candidates)
        return np.where(np.isnan(watched), np.inf, watched), errors, scores

    def _measure(self, candidates: Array) -> tuple[Array, Array | None]:
        """Return the errors, and the scores if there are scorers, of all candidates."""
        problem, scorers = self._problem, self._problem.scorers if self._validates or self._by_score else None
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
        for i, (candidate, rows) in enumerate(zip(candidates, self._alone, strict=True)):
            errors[i] = rows.errors(candidate)
            if scorers is not None:
                scores[i] = [scorers[i](*both) for both in zip(rows.outputs, candidate, strict=True)]
        return errors, None if scorers is None else scores


class _Rows:
    """Rows on which networks are judged: one set for a member's candidates, or one set for each of a stack."""

    def __init__(self, problem: Problem, rows: Array, member: int | None, keep_outputs: bool) -> None:
        if member is None and (rows == rows[0]).all() and (problem.shift == problem.shift[0]).all():
            rows, member = rows[0], 0  # shared rows make one matrix product with the inputs
        self._sweep = PiecewisePass(problem.network, problem.objective, problem.samples, rows)
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
