"""Where the trials of studies are kept: a record of our own, in which what is finished stands, as runs do.

A study of Optuna's is a view of it, see `nnexp.sweep.view`. A transaction reads what is new, decides, and writes; two processes
never take the same number, and what a kill cuts short is one line, whose trial is done again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nnexp._errors import ExpectedError, quoted, reason
from nnexp._files import (
    Lock,
    LockError,
    append,
    cut,
    cut_torn_tail,
    next_free,
    open_to_append,
    parse_json,
    read_whole,
    remove_left,
    replacing,
)
from nnexp._processes import is_running, machine_name
from nnexp.engine import RETRIES
from nnexp.sweep.space import Point

T = TypeVar("T")

FINISHED = ("complete", "pruned", "fail")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a study's file, which stands beside it."""
    lock = Lock(path.with_name(f".{path.stem}.lock"))
    lock.acquire(wait=True)
    try:
        yield
    finally:
        lock.release()


class StoreError(ExpectedError, RuntimeError):
    """A study cannot be read or written; the message says why."""


class DamagedStoreError(StoreError):
    """A study's file is damaged in the middle, as by another program."""

    def __init__(self, path: Path, position: int, line: bytes) -> None:
        self._path, self._position, self._line = path, position, line
        super().__init__(
            f"{path} is damaged at byte {position}: {quoted(line[:40])} is no record of a study. "
            f"`nnexp doctor {path.parent} --mend` leaves out such lines and keeps a copy."
        )

    def __reduce__(self) -> Any:
        return type(self), (self._path, self._position, self._line)

    def mend(self) -> str:
        """Leave out the lines that are no record, and those that make no sense without them; keep a copy, and say so."""
        copy = next_free(self._path.with_name(f"{self._path.name}.damaged"))
        try:
            with locked(self._path):
                content = self._path.read_bytes()
                with replacing(copy) as kept:
                    kept.write(content)
                good, n_bad = _good_lines(content)
                with replacing(self._path) as file:
                    file.write(b"".join(good))
        except (OSError, LockError) as error:
            raise StoreError(f"{self._path} cannot be mended: {reason(error)}.") from error
        return f"{n_bad} lines of {self._path} are left out; all that was there is in {copy.name}."


def without_password(place: str) -> str:
    """Return a storage as it may be written down."""
    place = re.sub(r"(://[^:/@?]*):.*@", r"\1:***@", place)
    return re.sub(r"((?:password|sslpassword|passfile)=)[^&]*", r"\1***", place)


@dataclass
class Trial:
    """A trial, as the store has it.

    Attributes
    ----------
    number : int
    state : {"running", "complete", "pruned", "fail"}
    params : dict
        The point of the space, by leaf.
    values : list of float
        The objectives; empty where there are none.
    steps : dict
        What was reported to the pruner, by step.
    record : dict
        What the evaluation found: scores of each fold, cost, problem.
    rungs : dict
        What a pruner has noted with the trial.
    owner : str
        Who works on it, or did.
    tries : int
        How often it was begun.
    problem : str
        Why it is given up for now, if it is and that is known.
    given : str
        Of a trial whose point came from a waiting trial of the view: the sign by which the view knows it.
    made_with : str
        The versions that it was made with, where it was kept when they changed.
    ended : float
        When, in seconds of the storage's clock.
    """

    number: int
    state: str
    params: Point
    values: list[float] = field(default_factory=list)
    steps: dict[int, float] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    rungs: dict[str, Any] = field(default_factory=dict)
    owner: str = ""
    tries: int = 1
    problem: str = ""
    given: str = ""
    made_with: str = ""
    ended: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether it is complete, pruned or failed."""
        return self.state in FINISHED

    @property
    def is_given_up(self) -> bool:
        """Whether its process died as often as a trial is tried, so that it waits for a later call. It has no result."""
        return not self.is_finished and not self.owner and self.tries > RETRIES


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes
    ----------
    number : int
    state : {"complete", "pruned", "fail"}
    values : list of float
    record : dict
        JSON values.
    steps : dict
        What was reported, by step.
    rungs : dict
        What the pruner noted.
    curve : dict of lists
        The learning curves: fold, step, error, validation_error, evaluations.
    """

    number: int
    state: str
    values: list[float]
    record: dict[str, Any]
    steps: dict[int, float] = field(default_factory=dict)
    rungs: dict[str, Any] = field(default_factory=dict)
    curve: dict[str, list[Any]] = field(default_factory=dict)


class Change(ABC):
    """A transaction: what is there, and what is to be written when it ends.

    Attributes
    ----------
    trials : list of Trial
        All trials of the study by number, as of now.
    seen : dict
        When each process was last heard of, in seconds of the storage's clock.
    now : float
        That clock.
    declared : dict
        What the study was declared to be.
    """

    trials: list[Trial]
    seen: dict[str, float]
    now: float
    declared: dict[str, Any]

    @abstractmethod
    def create(self, points: Sequence[Point], owner: str, given: Sequence[str] = ()) -> list[int]:
        """Begin a trial at each point; return their numbers. Trials without an owner wait for one."""

    @abstractmethod
    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        """Make a running trial another's; it is begun once more, unless another number of tries is given."""

    @abstractmethod
    def finish(self, outcome: Outcome) -> None:
        """End a running trial; one that has ended already stays as it is."""

    @abstractmethod
    def heard(self, owner: str) -> None:
        """Note that a process is alive."""

    @abstractmethod
    def declare(self, declared: Mapping[str, Any], made_with: str = "") -> None:
        """Note what the study is from now on; what is finished stays, marked with what it was made with if that is given."""

    @abstractmethod
    def forget(self) -> None:
        """Let the study be as if it had never been."""


class Store(ABC):
    """All studies of one place.

    Attributes
    ----------
    where : str
        The place, for messages.
    lost : str
        What was found damaged and left out, or taken over from an earlier version, in a sentence; empty if nothing was.
    """

    where: str
    lost: str = ""

    @abstractmethod
    def studies(self) -> dict[str, dict[str, Any]]:
        """Return the studies that are there, each with what it was declared to be."""

    @abstractmethod
    def identity(self, study: str) -> str:
        """Return what tells a study from all others, also from those of its name elsewhere."""

    @abstractmethod
    def create_study(self, name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> None:
        """Make a study, unless there is one of this name."""

    @abstractmethod
    def trials(self, study: str) -> list[Trial]:
        """Return all trials as of now, by number."""

    @abstractmethod
    def transact(self, study: str, change: Callable[[Change], T]) -> T:
        """Do a transaction. ``change`` may be called again if the storage had to be asked again."""

    @abstractmethod
    def heard(self, study: str, owner: str) -> None:
        """Note that a process is alive."""

    @abstractmethod
    def curves(self, study: str) -> dict[int, dict[str, list[Any]]]:
        """Return the learning curves of trials, by number."""

    @abstractmethod
    def seen(self, study: str) -> dict[str, float]:
        """Return when each process was last heard of, as seconds ago."""

    @abstractmethod
    def viewing(self, study: str) -> contextlib.AbstractContextManager[bool]:
        """Give the right to write to the view, which one has at a time, or say that another has it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the storage."""


# Who of this process is at work now.
at_work: set[str] = set()


def owner_name() -> str:
    """Return a name for this process that no other has, and that tells which machine's it is."""
    return f"{machine_name()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def is_gone(owner: str, seen: Mapping[str, float], now: float, lease: float) -> bool:
    """Whether a process is dead: it is of this machine and not there, or was not heard of for the lease, in seconds."""
    host, _, rest = owner.partition(":")
    if host == machine_name() and rest.partition(":")[0].isdigit():
        process = int(rest.partition(":")[0][:12])
        if process == os.getpid():
            return owner not in at_work
        if not is_running(process):
            return True
    return now - seen.get(owner, -math.inf) > lease


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Number = Annotated[int, Field(ge=0, lt=2**31)]
_Owner = Annotated[str, Field(max_length=500)]
_Time = Annotated[float, Field(allow_inf_nan=False, gt=-1e15, lt=1e15)]


class _Evaluated(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    scores: dict[str, list[_Finite]] = {}
    evaluations: Annotated[int, Field(ge=0)] | None = None
    problem: str = ""
    seconds: _Finite | None = None
    pruned_at: int | None = None
    reused_from: str | None = None
    key: str = ""
    path: list[list[float]] = []


class _Line(BaseModel):
    """A line of a study's file; what it is shows in which of these it has. Whoever wrote it, it is checked."""

    model_config = ConfigDict(extra="allow", strict=True)
    study: str
    # A study is made, or declared anew.
    declared: dict[str, Any] | None = None
    directions: Annotated[list[Literal["minimize", "maximize"]], Field(min_length=1)] | None = None
    identity: Annotated[str, Field(max_length=100)] = ""
    # A trial is begun, or passes to another process.
    begun: _Number | None = None
    taken: _Number | None = None
    owner: _Owner = ""
    tries: _Number = 1
    problem: str = ""
    given: Annotated[str, Field(max_length=100)] = ""
    # A trial has ended: all that there is to know of it.
    ended: _Number | None = None
    state: Literal["complete", "pruned", "fail"] = "complete"
    params: dict[str, bool | int | float | str | None] = {}
    values: list[float] = []
    steps: dict[Annotated[str, Field(pattern=r"^-?[0-9]{1,12}$")], float] = {}
    record: dict[str, Any] = {}
    rungs: dict[str, Any] = {}
    made_with: str = ""
    # A process is alive.
    heard: _Owner | None = None
    at: _Time = 0.0
    # The study is forgotten.
    forgotten: bool = False

    @model_validator(mode="after")
    def _check(self) -> _Line:
        kinds = sum(part is not None for part in (self.declared, self.begun, self.taken, self.ended, self.heard))
        if kinds + self.forgotten != 1:
            raise ValueError("it is not one of the lines that there are")
        if self.ended is not None:
            if self.state == "complete" and (not self.values or any(value != value for value in self.values)):
                raise ValueError("a completed trial has no value")
            _Evaluated.model_validate(self.record)
        return self


@dataclass(eq=False)
class _Study:
    identity: str
    declared: dict[str, Any]
    directions: list[str]
    seen: dict[str, float] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)


class _Studies:
    """What the lines of a file say, one after the other."""

    def __init__(self) -> None:
        self.by_name: dict[str, _Study] = {}

    def apply(self, content: Any) -> None:
        """Take in a line.

        Raises
        ------
        ValueError
            If nobody can have written it, or not here.
        """
        line = _Line.model_validate(content)
        if line.declared is not None:
            self._declare(line, line.declared)
            return
        study = self.by_name.get(line.study)
        if study is None:
            raise ValueError("there is no such study")
        if line.forgotten:
            del self.by_name[line.study]
        elif line.heard is not None:
            study.seen[line.heard] = line.at
        elif line.begun is not None:
            self._begin(study, line.begun, line)
        elif line.taken is not None:
            trial = study.trials[self._known(study, line.taken)]
            if not trial.is_finished:
                trial.owner, trial.tries, trial.problem = line.owner, line.tries, line.problem
        elif line.ended is not None:
            if line.ended == len(study.trials):  # the line of its beginning is lost
                self._begin(study, line.ended, line)
            _end(study.trials[self._known(study, line.ended)], line)

    def _declare(self, line: _Line, declared: dict[str, Any]) -> None:
        study = self.by_name.get(line.study)
        if study is None:
            if line.directions is None:
                raise ValueError("a study has no direction")
            self.by_name[line.study] = _Study(line.identity, declared, list(line.directions))
            return
        study.declared = declared
        if line.made_with:
            for trial in study.trials:
                if trial.is_finished:
                    trial.made_with = trial.made_with or line.made_with

    def _begin(self, study: _Study, number: int, line: _Line) -> None:
        if number != len(study.trials):
            raise ValueError("a trial's number is not the next one")
        params = dict(sorted(line.params.items()))
        study.trials.append(Trial(number, "running", params, owner=line.owner, tries=line.tries, given=line.given))

    @staticmethod
    def _known(study: _Study, number: int) -> int:
        if number >= len(study.trials):
            raise ValueError("there is no such trial")
        return number


def _end(trial: Trial, line: _Line) -> None:
    if trial.is_finished:
        return
    trial.values, trial.record, trial.rungs = list(line.values), line.record, line.rungs
    trial.steps = {int(step): value for step, value in line.steps.items()}
    trial.ended, trial.made_with, trial.owner, trial.tries = line.at, line.made_with, line.owner, line.tries
    trial.state = line.state  # last: another thread may be reading


def _good_lines(content: bytes) -> tuple[list[bytes], int]:
    """Return the lines of a file that are records and follow from those before them, and how many others there are."""
    studies, good, n_bad = _Studies(), [], 0
    for line in content.splitlines(keepends=True):
        try:
            studies.apply(parse_json(line))
        except (ValueError, TypeError):
            n_bad += bool(line.strip(b"\x00 \r\n"))
        else:
            good.append(line if line.endswith(b"\n") else line + b"\n")
    return good, n_bad


class JournalStore(Store):
    """Studies in a file, for several processes on one machine, or on NFS.

    A transaction is one write of whole lines under the file's lock, and synced before the lock is given up. Each line stands for
    itself: a study, a trial that is begun, passes to another process or has ended. What a kill or a full disk cut short is a last
    line without an end, which is left out.

    Parameters
    ----------
    path : Path
        Made with its folder if it is not there, once something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._studies = _Studies()
        self._offset = 0
        if path.exists():
            with self._locked() as file:
                remove_left(path.parent)
                self._mend(file)

    # Reading

    def studies(self) -> dict[str, dict[str, Any]]:
        self._refresh()
        return {name: study.declared for name, study in self._studies.by_name.items()}

    def identity(self, study: str) -> str:
        self._refresh()
        return self._named(study).identity

    def trials(self, study: str) -> list[Trial]:
        self._refresh()
        return self._named(study).trials

    def seen(self, study: str) -> dict[str, float]:
        self._refresh()
        return {owner: time.time() - at for owner, at in self._named(study).seen.items()}

    def curves(self, study: str) -> dict[int, dict[str, list[Any]]]:
        curves: dict[int, dict[str, list[Any]]] = {}
        path = self._curve_file
        if path.is_file():
            with open(path, "rb") as file:
                for line in file:
                    # What a kill cut short belongs to a trial that is done again.
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        content = parse_json(line)
                        if content["study"] != study:
                            continue
                        if content.get("forgotten"):
                            curves = {}
                            continue
                        curve = content["curve"]
                        if {"fold", "step", "error", "validation_error", "evaluations"} <= set(curve):
                            curves[content["number"]] = curve
        return curves

    @property
    def _curve_file(self) -> Path:
        return self.path.with_name(f"{self.path.stem}-curves.jsonl")

    def _named(self, study: str) -> _Study:
        if study not in self._studies.by_name:
            raise StoreError(f"{self.where} holds no study {quoted(study)}.")
        return self._studies.by_name[study]

    def _refresh(self) -> None:
        try:
            if self.path.exists():
                file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
                try:
                    self._read(file)
                finally:
                    os.close(file)
        except OSError as error:
            raise StoreError(f"The study cannot be read from {self.where}: {reason(error)}.") from error

    def _read(self, file: int) -> int:
        """Take in the whole lines after what was read; return where the first one that is not whole begins."""
        if os.fstat(file).st_size < self._offset:  # somebody has cut it
            self._studies, self._offset = _Studies(), 0
        text = read_whole(file, self._offset)
        start, position = self._offset, 0
        while (end := text.find(b"\n", position) + 1) > 0:
            line = text[position:end]
            try:
                self._studies.apply(parse_json(line))
            except (ValueError, TypeError):
                if not text[position:].strip(b"\x00 \r\n"):  # a tail of nothing, as some file systems leave it
                    break
                self._studies, self._offset = _Studies(), 0
                raise DamagedStoreError(self.path, start + position, line) from None
            except BaseException:  # Ctrl-C in the middle: all is read anew
                self._studies, self._offset = _Studies(), 0
                raise
            position = end
            self._offset = start + position
        return self._offset

    # Writing

    @contextlib.contextmanager
    def _locked(self) -> Any:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                file = open_to_append(self.path)
                try:
                    yield file
                finally:
                    os.close(file)
        except LockError as error:
            raise StoreError(f"The study cannot be written to {self.where}: {error}.") from error
        except OSError as error:
            raise StoreError(f"The study cannot be written to {self.where}: {reason(error)}.") from error

    def _mend(self, file: int) -> None:
        """Cut off what is not a whole line; the lock is held."""
        end = self._read(file)
        size = os.fstat(file).st_size
        if size > end:
            cut(file, end)
            self.lost = (
                f"The last {size - end} bytes of {self.where} were a record that was cut short; they are left out, and its "
                "trial is done again."
            )

    def create_study(self, name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> None:
        with self._locked() as file:
            self._mend(file)
            if name not in self._studies.by_name:
                made = made_line(name, directions, declared)
                try:
                    _Line.model_validate(json.loads(_line(made)))
                except (ValueError, TypeError) as error:
                    raise StoreError(f"A study cannot be called {quoted(name)}, or be declared so.") from error
                self._write(file, [made])

    def take_over(self, read: Callable[[], Sequence[Mapping[str, Any]]]) -> bool:
        """Write the lines of studies that were kept elsewhere, all of them or none; return whether there were such lines.

        Parameters
        ----------
        read : callable
            Returns the lines. It is asked by one process, and not if there are studies already.
        """
        with self._locked() as file:
            self._mend(file)
            lines = [] if self._studies.by_name else read()
            studies = _Studies()
            for line in lines:
                try:
                    studies.apply(json.loads(_line(line)))
                except (ValueError, TypeError) as error:
                    raise StoreError(
                        f"A trial or study of an earlier version is none: {quoted(_line(line)[:80])}."
                    ) from error
            self._write(file, lines)
            return bool(lines)

    def transact(self, study: str, change: Callable[[Change], T]) -> T:
        self._refresh()  # the most of it before the lock, which should be short
        with self._locked() as file:
            self._mend(file)
            transaction = _JournalChange(study, self._named(study))
            result = change(transaction)
            self._write_curves(study, transaction.curves)
            self._write(file, transaction.lines)
            if transaction.is_forgotten:
                self._write_curves(study, [{"forgotten": True}])
            return result

    def _write_curves(self, study: str, lines: Sequence[Mapping[str, Any]]) -> None:
        if lines:
            curves = open_to_append(self._curve_file)
            try:
                cut_torn_tail(curves)
                append(curves, b"".join(_line({"study": study, **line}) for line in lines))
            finally:
                os.close(curves)

    def heard(self, study: str, owner: str) -> None:
        self.transact(study, lambda change: change.heard(owner))

    def _write(self, file: int, lines: Sequence[Mapping[str, Any]]) -> None:
        if lines:
            append(file, b"".join(map(_line, lines)))
            self._read(file)

    @contextlib.contextmanager
    def viewing(self, study: str) -> Iterator[bool]:
        lock = Lock(self.path.with_name(f".{self.path.stem}-view.lock"))
        try:
            has_it = lock.acquire(wait=False)
        except (LockError, OSError):
            has_it = False
        try:
            yield has_it
        finally:
            if has_it:
                lock.release()

    def close(self) -> None:
        pass


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def made_line(name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a study that is made."""
    return {
        "study": name, "declared": dict(declared), "directions": list(directions), "identity": uuid.uuid4().hex,
    }  # fmt: skip


def ended_line(study: str, trial: Trial, outcome: Outcome, at: float) -> dict[str, Any]:
    """Return the line of a trial that has ended."""
    more: dict[str, Any] = {
        "owner": trial.owner,
        "tries": trial.tries,
        "given": trial.given,
        "made_with": trial.made_with,
    }
    more |= {"steps": outcome.steps, "rungs": outcome.rungs}
    return {
        "study": study, "ended": trial.number, "state": outcome.state, "params": trial.params, "values": outcome.values,
        "record": outcome.record, **{key: value for key, value in more.items() if value}, "at": at,
    }  # fmt: skip


class _JournalChange(Change):
    def __init__(self, name: str, study: _Study) -> None:
        self.trials, self.seen, self.now = study.trials, study.seen, time.time()
        self.declared = study.declared
        self.lines: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self._name, self._number, self.is_forgotten = name, len(study.trials), False

    def create(self, points: Sequence[Point], owner: str, given: Sequence[str] = ()) -> list[int]:
        numbers = list(range(self._number, self._number + len(points)))
        signs = [*given, *[""] * len(points)]
        for number, point, sign in zip(numbers, points, signs, strict=False):
            line = {"study": self._name, "begun": number, "params": point, "owner": owner, "tries": int(bool(owner))}
            self.lines.append({**line, "given": sign} if sign else line)
        self._number += len(points)
        return numbers

    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        tries = self.trials[number].tries + 1 if tries is None else tries
        line = {"study": self._name, "taken": number, "owner": owner, "tries": tries}
        self.lines.append({**line, "problem": problem} if problem else line)

    def finish(self, outcome: Outcome) -> None:
        trial = self.trials[outcome.number]
        if trial.is_finished:
            return
        if outcome.curve:
            self.curves.append({"number": outcome.number, "curve": outcome.curve})
        self.lines.append(ended_line(self._name, trial, outcome, self.now))

    def heard(self, owner: str) -> None:
        self.lines.append({"study": self._name, "heard": owner, "at": self.now})

    def declare(self, declared: Mapping[str, Any], made_with: str = "") -> None:
        line = {"study": self._name, "declared": dict(declared)}
        self.lines.append({**line, "made_with": made_with} if made_with else line)

    def forget(self) -> None:
        self.lines.append({"study": self._name, "forgotten": True})
        self.is_forgotten = True
