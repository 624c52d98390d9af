"""A study: asks for trials, has them evaluated, and keeps what they found, whatever happens in between.

Two modes share the store and the evaluation. In the *deterministic* one a single process asks for trials in batches and
others evaluate them: which trials there are, and what they are worth, depends neither on the number of processes nor on
interruptions. In the *elastic* one any number of processes on any number of machines ask, evaluate and tell for
themselves, and may come and go.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from nnexp._errors import ExpectedError, quoted
from nnexp._identity import libraries
from nnexp._version import __version__
from nnexp.engine import RETRIES, Engine, WorkerDiedError
from nnexp.sweep.evaluation import Job, TrialScorer, code_of_evaluations, points_of_curves
from nnexp.sweep.samplers import GridSampler, KnownFirst, Sampler, make_sampler
from nnexp.sweep.space import Point, plain
from nnexp.sweep.store import Change, Outcome, Store, StoreError, Trial, at_work, is_gone, owner_name

T = TypeVar("T")

BATCH = 16
# Seconds for which a process may be silent before its trials are another's.
LEASE = 60.0
# Seconds of work that an elastic process takes at once, where trials are short.
_AT_ONCE = 0.5
# Seconds within which results are told together.
_TOGETHER = 0.1


class StudyError(ExpectedError, ValueError):
    """A study cannot be gone on with; the message says why."""


@dataclass(frozen=True)
class Settings:
    """How a study is done.

    Attributes
    ----------
    n_trials : int or None
        The budget; None for all points of a grid.
    sampler : str
    sampler_settings : dict
    batch_size : int
        Trials that are asked for at once in the deterministic mode; a sampler learns from whole batches only.
    mode : {"deterministic", "elastic"}
    seed : int
    lease : float
        Seconds.
    known : sequence of dict
        Points that the first trials have, as far as they say.
    is_kept : bool
        Whether a later call can go on with the study. If none can, a trial without a result has failed.
    """

    n_trials: int | None = 100
    sampler: str = "tpe"
    sampler_settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = BATCH
    mode: str = "deterministic"
    seed: int = 0
    lease: float = LEASE
    is_kept: bool = True
    known: Sequence[Point] = ()


class Study:
    """The trials of one evaluation in a store.

    Parameters
    ----------
    store : Store
    name : str
    evaluation : TrialScorer
    settings : Settings

    Raises
    ------
    StudyError
        If a study of this name is there and was declared otherwise.
    SamplerError, SpaceError
        If the sampler does not go with the space.
    """

    def __init__(self, store: Store, name: str, evaluation: TrialScorer, settings: Settings) -> None:
        self.store, self.name, self.evaluation, self.settings = store, name, evaluation, settings
        self.owner = owner_name()
        self._sampler: Sampler = make_sampler(
            settings.sampler, evaluation.space, settings.seed, evaluation.directions, settings.sampler_settings
        )
        size = self._sampler.size if isinstance(self._sampler, GridSampler) else None
        if settings.known:
            self._sampler = KnownFirst(self._sampler, evaluation.space, settings.known, settings.seed)
            size = None if size is None else size + len(settings.known)
        if settings.n_trials is None and size is None:
            raise StudyError(f"The sampler {quoted(settings.sampler)} needs a number of trials.")
        self.n_trials = min(n for n in (settings.n_trials, size) if n is not None)
        self.key = evaluation.key()
        evaluation.curve_points = points_of_curves(self.n_trials, len(evaluation.splits))
        self._lock = threading.Lock()
        self._is_open = False
        self._known: dict[str, tuple[str, int, Outcome]] = {}
        self.declared = self._declared()
        self._check_declared()

    # What it is

    def _declared(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "version": __version__,
            "mode": settings.mode,
            "sampler": settings.sampler,
            "sampler_settings": plain(settings.sampler_settings),
            "batch_size": settings.batch_size if settings.mode == "deterministic" else None,
            "pruner": self.evaluation.pruning.name,
            "pruner_settings": plain(self.evaluation.pruning.settings),
            "seed": settings.seed,
            "objectives": list(self.evaluation.objectives),
            "space": self.evaluation.space.declaration,
            "code": code_of_evaluations(),
            "libraries": dict(libraries()),
            "evaluation": self.key,
            **({"enqueued": plain(list(settings.known))} if settings.known else {}),
        }

    def _check_declared(self) -> None:
        there = self.store.studies().get(self.name)
        if there is None:
            return
        where = f"There is a study {quoted(self.name)} in {self.store.where} already"
        if not there:
            raise StudyError(f"{where}, and it is not one of nnexp's. Take another name.")
        words = {
            "version": "another version of nnexp",
            "code": "another version of nnexp",
            "evaluation": "other data, splits, scores or fixed parameters",
        }
        if "libraries" not in there:  # an earlier version did not note them
            words["evaluation"] += ", or other versions of libraries"
        for key, value in {"enqueued": None, **self.declared}.items():
            if key == "libraries":
                self._check_libraries(there.get(key), where)
                continue
            if there.get(key) != json.loads(json.dumps(value)):
                what = words.get(
                    key, f"another {key.replace('_', ' ')} ({_short(there.get(key))}, not {_short(value)})"
                )
                if key == "evaluation" and self.evaluation.without_key:
                    raise StudyError(
                        f"{where}. Nothing tells whether it is the same: a parameter or a score holds an object of "
                        f"{self.evaluation.without_key[0]}, which has no key that is the same in another process. Take another "
                        "name."
                    )
                raise StudyError(
                    f"{where}, made with {what}. Take another name for this one, or delete that one if it is not needed."
                )

    def _check_libraries(self, there: Any, where: str) -> None:
        """Raise a StudyError where a study was made with other versions; one of an earlier version of nnexp does not say."""
        if not isinstance(there, dict):
            return
        other = [
            f"{name} {there.get(name)}, here {version}"
            for name, version in libraries().items()
            if there.get(name) != version
        ]
        if other:
            raise StudyError(
                f"{where}, made with other versions: {'; '.join(other)}. Install those to go on with it, take another name, or "
                "delete it if it is not needed."
            )

    def open(self) -> None:
        """Make the study in the store if it is not there."""
        self.store.create_study(self.name, self.evaluation.directions, self.declared)
        self._check_declared()  # another process may have been faster, with another one
        self._is_open = True

    def trials(self) -> list[Trial]:
        """Return all trials by number."""
        with self._lock:
            if not self._is_open and self.name not in self.store.studies():
                return []
            return list(self.store.trials(self.name))

    def counted(self) -> list[Trial]:
        """Return the trials of the budget; there are more where it was greater once. One that is given up for now has failed."""
        return [_as_failed(trial) if trial.is_given_up else trial for trial in self.trials()[: self.n_trials]]

    def given_up(self) -> list[Trial]:
        """Return the trials that have no result because their processes died; the next call tries them again."""
        return [trial for trial in self.trials() if trial.is_given_up]

    @property
    def is_done(self) -> bool:
        """Whether the budget is spent and every trial has ended."""
        trials = self.trials()
        return len(trials) >= self.n_trials and all(trial.is_finished for trial in trials)

    @property
    def has_given_up(self) -> bool:
        """Whether nothing is left to do but trials that are given up for now."""
        trials = self.trials()
        over = all(trial.is_finished or trial.is_given_up for trial in trials)
        return len(trials) >= self.n_trials and over and not self.is_done

    def try_again(self) -> None:
        """Let the trials that are given up for now be tried again."""

        def change(change: Change) -> None:
            for trial in change.trials:
                if trial.is_given_up:
                    change.take(trial.number, "", 0)

        if self.given_up():
            self._transact(change)

    def _transact(self, change: Callable[[Change], T]) -> T:
        with self._lock:
            return self.store.transact(self.name, change)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        """Say now and then that this process is alive."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.settings.lease / 4):
                with contextlib.suppress(Exception), self._lock:
                    self.store.heard(self.name, self.owner)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        at_work.add(self.owner)
        try:
            yield
        finally:
            at_work.discard(self.owner)
            over.set()
            thread.join(5.0)  # it may be waiting for a server

    # Answers from what is known

    def _learn_results(self) -> None:
        """Note the results of all studies in the store, so that none is worked for twice."""
        for name in sorted(self.store.studies(), key=lambda name: name != self.name):
            for trial in self.store.trials(name):
                self._note(name, trial)

    def _note(self, study: str, trial: Trial) -> None:
        key = trial.record.get("key")
        problem = trial.record.get("problem", "")
        lasting = trial.state == "complete" or (
            trial.state == "fail"
            and trial.record.get("is_result", True)
            and not problem.startswith(("It took longer", "Its process was killed"))
        )
        if lasting and key and "reused_from" not in trial.record and key not in self._known:
            outcome = Outcome(trial.number, trial.state, trial.values, trial.record, trial.steps)
            self._known[key] = study, trial.number, outcome

    def _answer(self, job: Job, key: str) -> Outcome | None:
        if key not in self._known:
            return None
        study, number, outcome = self._known[key]
        if study == self.name and number >= job.number:
            return None
        where = str(number) if study == self.name else f"{study}:{number}"
        record = {**outcome.record, "evaluations": 0, "seconds": 0.0, "reused_from": where}
        return replace(outcome, number=job.number, record=record)

    def _job(self, trial: Trial) -> Job:
        return Job(trial.number, self.evaluation.space.parameters(trial.params))

    # Deterministic

    def run(self, engine: Engine, on_trial: Callable[[Outcome, list[Trial]], None] | None = None) -> None:
        """Do what is missing, batch by batch.

        A trial that the machine does not let end, because its process is killed each time or memory runs out, has no result, and
        the next call tries it again. What depends on its result, the later batches of a sampler that learns, waits for it.

        Parameters
        ----------
        engine : Engine
        on_trial : callable, default=None
            Is given how each trial ended, and all trials.
        """
        self.open()
        size = self.settings.batch_size
        with self._alive():
            self._begin()
            ended = [trial.is_finished for trial in self.trials()]
            # What was begun under a greater budget is ended too.
            total = max(self.n_trials, *(number + 1 for number, over in enumerate(ended) if not over), 0)
            for batch, first in enumerate(range(0, total, size)):
                numbers = list(range(first, min(first + size, total)))
                if len(ended) > numbers[-1] and all(ended[first : numbers[-1] + 1]):
                    continue
                self._ask(batch, first, numbers)
                self._evaluate_batch(engine, first, numbers, on_trial)
                if self.given_up() and not (self._sampler.by_number and not self.evaluation.pruning.is_on):
                    return

    def _begin(self) -> None:
        """Take over what a process that is gone has left."""

        def begin(change: Change) -> None:
            for trial in change.trials:
                if trial.is_finished or trial.owner == self.owner:
                    continue
                if not is_gone(trial.owner, change.seen, change.now, self.settings.lease):
                    raise StudyError(
                        f"Another process ({trial.owner}) is working on the study {quoted(self.name)} in {self.store.where}. If it "
                        f"is dead, it is taken for so after {self.settings.lease:g} s of silence."
                    )
            for trial in change.trials:
                if not trial.is_finished and trial.owner != self.owner:
                    change.take(trial.number, self.owner, 1 if trial.is_given_up else None)
            change.heard(self.owner)

        self._transact(begin)
        with self._lock:
            self._learn_results()

    def _ask(self, batch: int, first: int, numbers: list[int]) -> None:
        there = self.trials()
        # A batch that was cut short by a smaller budget is filled up when the budget grows.
        missing = [number for number in numbers if number >= len(there)]
        if not missing:
            return
        points = self._sampler.propose(there[:first], numbers, (self.settings.seed, batch))[-len(missing) :]

        def create(change: Change) -> None:
            new = [point for number, point in zip(missing, points, strict=True) if number >= len(change.trials)]
            change.create(new, self.owner, self.evaluation.space)

        self._transact(create)

    def _evaluate_batch(
        self,
        engine: Engine,
        first: int,
        numbers: list[int],
        on_trial: Callable[[Outcome, list[Trial]], None] | None,
    ) -> None:
        trials = self.trials()
        jobs = [self._job(trials[number]) for number in numbers]
        keys = {job.number: self.evaluation.key_of(self.key, job.parameters) for job in jobs}
        shown = [trial for trial in trials[:first] if trial.is_finished] if self.evaluation.pruning.is_on else []
        shown = [_lean(trial) for trial in shown]
        # Of equal trials the first is evaluated, and trials that train as one stack do so again as a whole, so that an
        # interruption changes no bit.
        first_ones = _first_of_equals([job for job in jobs if not self._is_known_before(keys[job.number], first)], keys)
        stacks = self.evaluation.units(first_ones)
        waiting = [job for job in jobs if not trials[job.number].is_finished]
        while waiting:
            answered = [outcome for job in waiting if (outcome := self._answer(job, keys[job.number])) is not None]
            self._tell(answered, keys, on_trial)
            done = {outcome.number for outcome in answered}
            waiting = [job for job in waiting if job.number not in done]
            now = _first_of_equals(waiting, keys)
            wanted = {job.number for job in now}
            units = [unit for unit in stacks if any(job.number in wanted for job in unit)]
            covered = {job.number for unit in units for job in unit}
            units += [[job] for job in now if job.number not in covered]
            while units:
                ended: list[Outcome] = []
                broken: list[list[Job]] = []
                told_at = -math.inf
                try:
                    for index, result in engine.run(_evaluate, self.evaluation, [(unit, shown) for unit in units]):
                        outcomes = result
                        if isinstance(result, WorkerDiedError):
                            if len(units[index]) > 1:  # which of them it was shows one by one
                                broken += [[job] for job in units[index]]
                                continue
                            outcomes = _deaths(units[index], result)
                        ended += [outcome for outcome in outcomes if outcome.number in wanted]
                        done |= {outcome.number for outcome in outcomes}
                        long = any(
                            outcome.record["seconds"] > _TOGETHER for outcome in outcomes
                        )  # is not kept waiting for another
                        if long or time.monotonic() - told_at > _TOGETHER:
                            self._tell(ended, keys, on_trial)
                            told_at, ended = time.monotonic(), []
                finally:  # also where Ctrl-C comes
                    self._tell(ended, keys, on_trial)
                units = broken
            waiting = [job for job in waiting if job.number not in done]

    def _is_known_before(self, key: str, first: int) -> bool:
        """Whether a result is known from another study, or from a batch before this one."""
        if key not in self._known:
            return False
        study, number, _ = self._known[key]
        return study != self.name or number < first

    def _tell(
        self, outcomes: Sequence[Outcome], keys: dict[int, str], on_trial: Callable[[Outcome, list[Trial]], None] | None
    ) -> None:
        if not outcomes:
            return
        told = [_with_key(outcome, keys) for outcome in outcomes]

        def tell(change: Change) -> None:
            for outcome in told:
                self._end_one(change, outcome)
            change.heard(self.owner)

        self._transact(tell)
        trials = self.trials()
        for outcome in told:
            self._note(self.name, trials[outcome.number])
            if on_trial is not None:
                on_trial(outcome, trials)

    # Elastic

    def work(self, on_trial: Callable[[Outcome, list[Trial]], None] | None = None) -> int:
        """Ask, evaluate and tell until the budget is spent and nothing is left to do; return how many trials it did.

        Any number of processes may do so at once. A trial whose process is gone is tried again, twice at most.
        """
        self.open()
        with self._lock:
            self._learn_results()
        told: list[Outcome] = []
        mine: list[Trial] = []
        done, seconds, turn, idle = 0, _AT_ONCE, 0, 0
        with self._alive():
            try:
                while True:
                    turn += 1
                    count = max(1, min(128, int(_AT_ONCE / seconds)))
                    points: list[Point] = []
                    if not self._sampler.by_number:
                        trials = self.trials()
                        count = min(count, max(self.n_trials - len(trials), 0))
                        numbers = list(range(len(trials), len(trials) + count))
                        points = self._sampler.propose(trials, numbers, (self.owner, turn))
                    ended, told = told, []
                    try:
                        mine, is_over = self._transact(
                            lambda change, c=count, p=points, e=ended: self._turn(change, c, p, e)  # type: ignore[misc]
                        )
                    except BaseException:
                        told = ended
                        raise
                    done += len(ended)
                    self._say(ended, on_trial)
                    if is_over:
                        return done
                    if not mine:
                        idle += 1
                        time.sleep(min(2.0, 0.1 * 2**idle))  # others work on what is left
                        continue
                    idle = 0
                    begun = told_at = time.monotonic()
                    work = len(mine)
                    for outcomes in self._evaluate_mine(mine):
                        told += outcomes
                        ready = {outcome.number for outcome in told}
                        mine = [trial for trial in mine if trial.number not in ready]
                        if mine and time.monotonic() - told_at > 2 * _AT_ONCE:
                            ended, told = told, []
                            self._transact(lambda change, e=ended: self._end(change, e))  # type: ignore[misc]
                            done += len(ended)
                            self._say(ended, on_trial)
                            told_at = time.monotonic()
                    each = (time.monotonic() - begun) / work
                    seconds = each if seconds == _AT_ONCE else 0.5 * (seconds + each)  # at first nothing is known
            except BaseException:  # such as Ctrl-C: what is ready is told, and the rest is free at once
                with contextlib.suppress(StoreError):
                    self._transact(lambda change: self._leave(change, told, mine))
                raise

    def _say(self, ended: Sequence[Outcome], on_trial: Callable[[Outcome, list[Trial]], None] | None) -> None:
        if on_trial is not None and ended:
            trials = self.trials()
            for outcome in ended:
                on_trial(outcome, trials)

    def _end_one(self, change: Change, outcome: Outcome) -> None:
        """End a trial, or give it up for now where the machine kept it from a result."""
        if outcome.record.get("is_result", True) or not self.settings.is_kept:
            change.finish(outcome)
        else:
            change.take(outcome.number, "", RETRIES + 1, outcome.record["problem"])

    def _end(self, change: Change, ended: Sequence[Outcome]) -> None:
        for outcome in ended:
            if change.trials[outcome.number].owner == self.owner:  # else it was taken for dead, and another has it
                self._end_one(change, outcome)

    def _leave(self, change: Change, ended: Sequence[Outcome], rest: Sequence[Trial]) -> None:
        self._end(change, ended)
        ready = {outcome.number for outcome in ended}
        for trial in change.trials:
            if trial.owner == self.owner and not trial.is_finished and trial.number not in ready:
                change.take(trial.number, "", trial.tries - 1)

    def _turn(self, change: Change, count: int, points: list[Point], ended: list[Outcome]) -> tuple[list[Trial], bool]:
        """Tell what has ended, and take what is next: what was left by the dead first, then new trials."""
        finished = {outcome.number for outcome in ended}
        self._end(change, ended)
        mine: list[Trial] = []
        open_ones = [t for t in change.trials if not (t.is_finished or t.is_given_up) and t.number not in finished]
        for trial in open_ones:
            if trial.owner == self.owner:  # a transaction of ours whose answer was lost
                mine.append(trial)
            elif is_gone(trial.owner, change.seen, change.now, self.settings.lease):
                if trial.tries > RETRIES:
                    self._end_one(change, _deaths([self._job(trial)], WorkerDiedError())[0])
                elif len(mine) < max(count, 1) and (trial.tries < RETRIES or not mine):
                    change.take(trial.number, self.owner)
                    mine.append(trial)
                    if trial.tries >= RETRIES:  # what may be killing its process goes alone
                        count = 0
                        break
        first = len(change.trials)
        # Near the end no process takes more than its share, so that all end at about the same time.
        others = sum(change.now - at < self.settings.lease for owner, at in change.seen.items() if owner != self.owner)
        share = -(-(self.n_trials - first) // (1 + others))
        new = max(0, min(count - len(mine), share))
        numbers = list(range(first, first + new))
        if self._sampler.by_number:
            points = self._sampler.propose((), numbers, None)
        points = points[:new]
        change.create(points, self.owner, self.evaluation.space)
        mine += [
            Trial(number, "running", point, owner=self.owner) for number, point in zip(numbers, points, strict=False)
        ]
        change.heard(self.owner)
        is_over = not mine and not open_ones and first >= self.n_trials
        return mine, is_over

    def _evaluate_mine(self, mine: list[Trial]) -> Iterator[list[Outcome]]:
        """Yield how trials ended, as they do."""
        trials = self.trials()
        for trial in trials:
            self._note(self.name, trial)
        shown = [trial for trial in trials if trial.is_finished] if self.evaluation.pruning.is_on else []
        jobs = [self._job(trial) for trial in mine]
        keys = {job.number: self.evaluation.key_of(self.key, job.parameters) for job in jobs}
        waiting = jobs
        while waiting:
            answered = [outcome for job in waiting if (outcome := self._answer(job, keys[job.number])) is not None]
            done = {outcome.number for outcome in answered}
            if answered:
                yield [_with_key(outcome, keys) for outcome in answered]
            waiting = [job for job in waiting if job.number not in done]
            for unit in self.evaluation.units(_first_of_equals(waiting, keys)):
                outcomes = [_with_key(outcome, keys) for outcome in self.evaluation.evaluate(unit, shown)]
                done |= {outcome.number for outcome in outcomes}
                for outcome in outcomes:
                    self._note(
                        self.name,
                        Trial(outcome.number, outcome.state, {}, outcome.values, outcome.steps, outcome.record),
                    )
                yield outcomes
            waiting = [job for job in waiting if job.number not in done]


def _as_failed(trial: Trial) -> Trial:
    """Return a trial that is given up for now as the tables have it."""
    problem = trial.problem or str(WorkerDiedError())
    record: dict[str, Any] = {"scores": {}, "evaluations": None, "problem": problem, "is_result": False}
    return replace(trial, state="fail", record=record)


def _with_key(outcome: Outcome, keys: Mapping[int, str]) -> Outcome:
    return replace(outcome, record={**outcome.record, "key": keys[outcome.number]})


def _first_of_equals(jobs: Sequence[Job], keys: dict[int, str]) -> list[Job]:
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(keys[job.number], job)
    return list(first.values())


def _lean(trial: Trial) -> Trial:
    """Return what a pruner looks at."""
    record = {"path": trial.record["path"]} if "path" in trial.record else {}
    return Trial(trial.number, trial.state, {}, trial.values, trial.steps, record, trial.rungs)


def _evaluate(evaluation: TrialScorer, unit: tuple[list[Job], list[Trial]]) -> list[Outcome]:
    return evaluation.evaluate(*unit)


def _deaths(unit: Sequence[Job], death: WorkerDiedError) -> list[Outcome]:
    record: dict[str, Any] = {
        "scores": {}, "evaluations": None, "problem": str(death), "seconds": 0.0, "is_result": False,
    }  # fmt: skip
    return [Outcome(job.number, "fail", [], dict(record)) for job in unit]


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:57] + "..."
