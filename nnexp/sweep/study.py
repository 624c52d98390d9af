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

import numpy as np

from nnexp._choices import AUTO, NONE
from nnexp._errors import ExpectedError, quoted
from nnexp._identity import Unstable, key_of, key_of_data, libraries
from nnexp._signals import heed
from nnexp._version import __version__
from nnexp.engine import RETRIES, Engine, WorkerDiedError
from nnexp.parts import plugins_in
from nnexp.sweep.evaluation import Job, TrialScorer, code_of_evaluations, points_of_curves
from nnexp.sweep.samplers import GridSampler, KnownFirst, Sampler, make_sampler
from nnexp.sweep.space import Point, plain
from nnexp.sweep.store import Change, Outcome, Store, StoreError, Trial, at_work, is_gone, owner_name
from nnexp.sweep.view import View, forget_view, place_of_view

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
    view : str
        Where an Optuna study shows the trials: a path, a URL, ``"auto"`` for a file beside the record, ``"none"``.
    other_versions : {"redo", "keep"} or None
        What becomes of a study that was made with other versions of nnexp or its libraries: it is forgotten and done again, or its
        trials are kept, marked with what they were made with. None refuses it.
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
    view: str = NONE
    other_versions: str | None = None


class Study:
    """The trials of one evaluation in a store.

    Parameters
    ----------
    store : Store
    name : str
    evaluation : TrialScorer
    settings : Settings
    declared : mapping, default=None
        What the study was declared to be by the process that has sent this one to work on it: what has a key in one process only
        is the same here.

    Raises
    ------
    StudyError
        If a study of this name is there and was declared otherwise.
    SamplerError, SpaceError
        If the sampler does not go with the space.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        evaluation: TrialScorer,
        settings: Settings,
        declared: Mapping[str, Any] | None = None,
    ) -> None:
        self.store, self.name, self.evaluation, self.settings = store, name, evaluation, settings
        self.owner = owner_name()
        self._sampler: Sampler = make_sampler(
            settings.sampler, evaluation.space, settings.seed, evaluation.directions, settings.sampler_settings
        )
        self._grid = self._sampler
        size = self._sampler.size if isinstance(self._sampler, GridSampler) else None
        if settings.known:
            self._sampler = KnownFirst(self._sampler, evaluation.space, settings.known, settings.seed)
            size = None if size is None else size + len(settings.known)
        if settings.n_trials is None and size is None:
            raise StudyError(f"The sampler {quoted(settings.sampler)} needs a number of trials.")
        self._size, self._made_with = size, ""
        self._n_given = 0
        self.key = evaluation.key()
        evaluation.curve_points = points_of_curves(self.n_trials, len(evaluation.splits))
        self._lock = threading.Lock()
        self._is_open = False
        self._known: dict[str, tuple[str, int, Outcome]] = {}
        place = place_of_view(settings.view, store)
        self._view = (
            View(place, store, name, evaluation.space, evaluation.objectives, evaluation.directions, settings.seed)
            if place
            else None
        )
        self.declared = self._declared() if declared is None else dict(declared)
        self._agree()

    @property
    def n_trials(self) -> int:
        """The budget. A grid is done as a whole, whatever waiting trials of the view come between."""
        size = None if self._size is None else self._size + self._n_given
        return min(n for n in (self.settings.n_trials, size) if n is not None)

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

    def _key_with(self, version: Any, code: Any, versions: Any) -> str:
        """Return what the evaluation's key would be with other versions: see `TrialScorer.key`."""
        given = self.evaluation
        more = sorted(
            {**given.params, **{f"score {name}": scores for name, scores in given.score_params.items()}}.items()
        )
        data = [key_of_data(part) for part in (given.X, given.y, *(scores for _, scores in more))]
        splits = [np.ascontiguousarray(rows) for pair in given.splits for rows in pair]
        plugins = plugins_in([given.estimator.get_params(), given.space.declaration])
        what = (given.objectives, given.scoring, given.seed, given.max_seconds, given.train_scores)
        decides = (version, code, versions, plugins, given.estimator, *what)
        return key_of(*decides, [name for name, _ in more], data, splits, unstable=Unstable())

    def _agree(self) -> str:
        """Compare with the study that is there; return what has to be done to go on with it: "make", "forget", "declare" or "".

        Raises
        ------
        StudyError
            If it is another one.
        """
        there = self.store.studies().get(self.name)
        if there is None:
            return "make"
        self._made_with = ""
        before = self._versions_before(there)
        if before and self.settings.other_versions == "redo":
            return "forget"
        if before and self.settings.other_versions != "keep":
            raise StudyError(
                f"{self._where_it_is}, made with other versions: {'; '.join(before.values())}. Say what becomes of its trials: "
                '--keep goes on with them, marked as such (in Python other_versions="keep"), --redo forgets them ("redo"). Or take '
                "another name."
            )
        self._made_with = ", ".join(before)
        self._check_same(there, bool(before))
        is_other_space = self._is_other_space(there)
        kept = there.get("kept", 0)
        if is_other_space:
            self._check_grown(there)
            kept = len(self.store.trials(self.name))
        if kept and isinstance(self._grid, GridSampler):
            before_it = [trial.params for trial in self.store.trials(self.name)[:kept] if not trial.given]
            self._grid.begin_with(before_it[len(self.settings.known) :])
            self._size = self._grid.size + len(self.settings.known)
        if kept:
            self.declared["kept"] = kept
        return "declare" if before or is_other_space else ""

    def _is_other_space(self, there: Mapping[str, Any] | None) -> bool:
        return there is None or there.get("space") != json.loads(json.dumps(self.declared["space"]))

    @property
    def _where_it_is(self) -> str:
        return f"There is a study {quoted(self.name)} in {self.store.where} already"

    def _versions_before(self, there: Mapping[str, Any]) -> dict[str, str]:
        """Return what a study was made with that is other here: each as it is noted, with a text of both."""
        before = {}
        if there.get("version") != self.declared["version"] or there.get("code") != self.declared["code"]:
            version = there.get("version", "of no version")
            code = f" (code {there.get('code')})" if version == self.declared["version"] else ""
            before[f"nnexp {version}{code}"] = f"another version of nnexp, {version}{code}, here {__version__}"
        libraries_then = there.get("libraries")
        if isinstance(libraries_then, dict):  # earlier versions did not note them
            for name, version in libraries().items():
                if libraries_then.get(name) != version:
                    then = libraries_then.get(name)
                    before[f"{name} {then}"] = f"{name} {then}, here {version}"
        return before

    def _check_same(self, there: Mapping[str, Any], is_of_other_versions: bool) -> None:
        """Raise a StudyError unless a study was declared as this one, but for the versions and for the space."""
        data = "other data, splits, scores or fixed parameters"
        if "libraries" not in there:
            data += ", or other versions of libraries"
        without = ["version", "code", "libraries", "space", "kept"]
        # The key of the evaluation holds the versions.
        without += ["evaluation"] if is_of_other_versions else []
        if is_of_other_versions and there.get("evaluation") != self._key_with(
            there.get("version"), there.get("code"), there.get("libraries")
        ):
            raise StudyError(
                f"{self._where_it_is}, made with other versions and, as far as can be told, with {data}: its trials cannot be "
                "kept. --redo forgets them; another name leaves them as they are."
            )
        for key, value in {"enqueued": None, **self.declared}.items():
            if key in without or there.get(key) == json.loads(json.dumps(value)):
                continue
            if key == "evaluation" and self.evaluation.without_key:
                raise StudyError(
                    f"{self._where_it_is}. Nothing tells whether it is the same: a parameter or a score holds an object of "
                    f"{self.evaluation.without_key[0]}, which has no key that is the same in another process. Take another name."
                )
            name, other = key.replace("_", " "), f"{_short(there.get(key))}, not {_short(value)}"
            what = data if key == "evaluation" else f"another {name} ({other})"
            raise StudyError(
                f"{self._where_it_is}, made with {what}. Take another name for this one, or delete that one if it is not needed "
                "(nnexp sweep FILE --forget)."
            )

    def _check_grown(self, there: Mapping[str, Any]) -> None:
        """Raise a StudyError unless the space has all that it had before, and every trial is in it."""
        space = self.evaluation.space
        other = f"({_short(there.get('space'))}, not {_short(space.declaration)})"
        lost = space.lacks(there.get("space"))
        for trial in self.store.trials(self.name) if not lost else ():
            if not space.has(trial.params):
                lost = f"trial {trial.number} is not in it"
                break
        if lost:
            raise StudyError(
                f"{self._where_it_is}, made with another space {other}. A space may grow, and this one does not: {lost}. Take "
                "another name for this one, or delete that one if it is not needed (nnexp sweep FILE --forget)."
            )

    def open(self) -> None:
        """Make the study in the store if it is not there, and go on with it if it is; show it in the view."""
        what, there = self._agree(), self.store.studies().get(self.name)
        if self._view is not None and self.settings.view != AUTO and not self._is_open:
            self._view.check()  # before anything is written
        if what == "forget":
            self._known.clear()
            forget(self.store, self.name, self.settings.view, self.settings.lease, there)
        if what in ("make", "forget"):
            self.store.create_study(self.name, self.evaluation.directions, self.declared)
            what, there = self._agree(), self.store.studies().get(self.name)  # another process may have been faster
        if what == "declare":

            def declare(change: Change) -> None:
                if change.declared != there or self.declared.get("kept", 0) > len(change.trials):
                    raise StudyError(f"{self._where_it_is}, and another process has changed it just now. Try again.")
                if "kept" in self.declared and self._is_other_space(there):
                    self.declared["kept"] = len(change.trials)
                change.declare(self.declared, self._made_with)

            self._transact(declare)
            self._agree()  # with as many trials as there were
        self._is_open = True
        if self._view is not None:
            self._view.open()

    def trials(self) -> list[Trial]:
        """Return all trials by number."""
        with self._lock:
            if not self._is_open and self.name not in self.store.studies():
                return []
            return list(self._count_given(self.store.trials(self.name)))

    def _count_given(self, trials: list[Trial]) -> list[Trial]:
        self._n_given = sum(bool(trial.given) for trial in trials)
        return trials

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

    # The view

    def show(self, last: bool = False) -> None:
        """Show in the view what is finished; if it is not the last time, only if little of the time goes into it."""
        if self._view is not None and (last or self._view.is_due):
            with self._view.measured():
                self._view.show(self.trials(), last)

    def attend(self) -> None:
        """Show in the view what is finished, and take what waits there, if little of the time goes into it."""
        if self._view is not None and self._view.is_due:
            with self._view.measured():
                self.take_waiting()
                self._view.show(self.trials())

    def take_waiting(self, owner: str = "", most: int | None = None) -> None:
        """Let waiting trials of the view be trials of this study, as far as its budget goes."""
        view = self._view
        if view is None or not view.has_waiting():
            return
        trials = self.trials()
        room = self._room(len(trials)) if most is None else min(most, self._room(len(trials)))

        def keep(points: list[Point], signs: list[str]) -> None:
            def change(change: Change) -> None:
                known = {trial.given for trial in change.trials}
                new = [pair for pair in zip(points, signs, strict=True) if pair[1] not in known]
                new = new[: self._room(len(change.trials))]
                change.create([point for point, _ in new], owner, [sign for _, sign in new])

            self._transact(change)

        view.take(room, {trial.given for trial in trials}, keep)

    def _take_into(self, room: int) -> None:
        """Let waiting trials of the view be the next ones of a batch."""
        if self._view is not None and room > 0 and (self._view.is_due or self._view.has_more):
            with self._view.measured():
                self.take_waiting(self.owner, room)
            self.trials()  # of which some may be given now

    def _room(self, n_trials: int) -> int:
        """Return how many trials may begin."""
        budget = self.settings.n_trials
        return 1 << 20 if budget is None else max(0, budget - n_trials)  # a grid grows by them

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
            begun = max((number + 1 for number, over in enumerate(ended) if not over), default=0)
            first = 0
            while first < max(self.n_trials, begun):
                if len(ended) < first + size:
                    self._take_into(first + size - len(self.trials()))
                numbers = list(range(first, min(first + size, max(self.n_trials, begun))))
                if not (len(ended) > numbers[-1] and all(ended[first : numbers[-1] + 1])):
                    self._ask(first // size, first, numbers)
                    self._evaluate_batch(engine, first, numbers, on_trial)
                    if self.given_up() and not (self._sampler.by_number and not self.evaluation.pruning.is_on):
                        break
                first += size
        self.show(last=True)

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
        # A batch that was cut short by a smaller budget is filled up when the budget grows.
        there = self.trials()
        given = {trial.number for trial in there if trial.given}
        missing = [number for number in numbers if number >= len(there)]
        if not missing:
            return
        asked = [_own(number, given) for number in numbers if number not in given]
        points = self._sampler.propose(there[:first], asked, (self.settings.seed, batch))[-len(missing) :]

        def create(change: Change) -> None:
            new = [point for number, point in zip(missing, points, strict=True) if number >= len(change.trials)]
            change.create(new, self.owner)

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
        self.show()

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
                    self.attend()
                    count = max(1, min(128, int(_AT_ONCE / seconds)))
                    points: list[Point] = []
                    first = 0
                    if not self._sampler.by_number:
                        trials = self.trials()
                        count = min(count, max(self.n_trials - len(trials), 0))
                        first = len(trials) - self._n_given
                        numbers = list(range(first, first + count))
                        points = self._sampler.propose(trials, numbers, (self.owner, turn))
                    ended, told = told, []
                    try:
                        mine, is_over = self._transact(
                            lambda change, c=count, p=points, e=ended, f=first: self._turn(change, c, p, e, f)  # type: ignore[misc]
                        )
                    except BaseException:
                        told = ended
                        raise
                    done += len(ended)
                    self._say(ended, on_trial)
                    if is_over:
                        self.show(last=True)
                        return done
                    if not mine:
                        idle += 1
                        time.sleep(min(2.0, 0.1 * 2**idle))  # others work on what is left
                        continue
                    idle = 0
                    begun = told_at = time.monotonic()
                    work = len(mine)
                    for outcomes in self._evaluate_mine(mine):
                        heed()
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

    def _turn(
        self, change: Change, count: int, points: list[Point], ended: list[Outcome], proposed_first: int = 0
    ) -> tuple[list[Trial], bool]:
        """Tell what has ended, and take what is next: what was left by the dead first, then new trials.

        ``proposed_first`` is the number, among those that the sampler proposes, that the first point was proposed for.
        """
        finished = {outcome.number for outcome in ended}
        self._count_given(change.trials)
        if change.declared.get("kept") != self.declared.get("kept"):
            self._end(change, ended)
            return [], True  # another process has let the space grow, and asks by the new one
        self._end(change, ended)
        mine: list[Trial] = []
        open_ones = [t for t in change.trials if not (t.is_finished or t.is_given_up) and t.number not in finished]
        gone: dict[str, bool] = {}  # to look at a process takes time, and it may have many trials
        for trial in open_ones:
            if trial.owner not in gone:
                gone[trial.owner] = is_gone(trial.owner, change.seen, change.now, self.settings.lease)
            if trial.owner == self.owner:  # a transaction of ours whose answer was lost
                mine.append(trial)
            elif gone[trial.owner]:
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
            points = self._sampler.propose((), [number - self._n_given for number in numbers], None)
        elif isinstance(self._sampler, KnownFirst) and proposed_first < self._sampler.n_known:
            # Others have begun trials since these points were proposed, and what is known is tried once.
            points = points[max(0, first - self._n_given - proposed_first) :]
        points = points[:new]
        numbers = numbers[: len(points)]
        change.create(points, self.owner)
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


def forget(
    store: Store, name: str, view: str = AUTO, lease: float = LEASE, declared: Mapping[str, Any] | None = None
) -> int:
    """Let a study be as if it had never been, in its store and in the view; return how many trials it had.

    Parameters
    ----------
    store : Store
    name : str
    view : str, default="auto"
    lease : float, default=60.0
        Seconds after which a silent process is dead.
    declared : mapping, default=None
        What the study is; one that is another by now stays. None for any.

    Raises
    ------
    StudyError
        If a process is working on it.
    """

    def change(change: Change) -> int:
        if declared is not None and change.declared != declared:
            return -1
        at_it = {trial.owner for trial in change.trials if trial.owner and not trial.is_finished}
        for owner in sorted(at_it | set(change.seen)):
            if not is_gone(owner, change.seen, change.now, lease):
                raise StudyError(
                    f"A process ({owner}) is working on the study {quoted(name)} in {store.where}: it is not forgotten."
                )
        change.forget()
        return len(change.trials)

    if name not in store.studies():
        return 0
    place, identity = place_of_view(view, store), store.identity(name)
    count = store.transact(name, change)
    if place and count >= 0:
        forget_view(place, identity)
    return max(count, 0)


def _own(number: int, given: set[int]) -> int:
    """Return a trial's number among those whose points the sampler proposes."""
    return number - sum(other < number for other in given)


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
