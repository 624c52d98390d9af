"""Where a study is kept: in Optuna's own formats, so that its dashboard shows it, but written in whole transactions.

A transaction reads what is new, decides, and writes everything at once or nothing. Optuna's storages write each value of
a trial by itself; a process that is killed between two of them leaves half a trial, and two processes that both see the
last free number both take it. Here neither can happen.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
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
from nnexp.sweep.distributions import stored_distribution
from nnexp.sweep.space import Leaf, Point, Space

T = TypeVar("T")

FINISHED = ("complete", "pruned", "fail")
# Optuna's numbers of the states.
STATES = {"running": 0, "complete": 1, "pruned": 2, "fail": 3, "waiting": 4}
_STATE_NAMES = {number: name for name, number in STATES.items()}
OWNER, SEEN, RECORD = "nnexp:owner", "nnexp:seen:", "nnexp"


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
            f"`nnexp doctor {path.parent} --mend` cuts it there and keeps a copy."
        )

    def __reduce__(self) -> Any:
        return type(self), (self._path, self._position, self._line)

    def cut(self) -> str:
        """Cut the file where it is damaged, keep a copy, and say so."""
        copy = next_free(self._path.with_name(f"{self._path.name}.damaged"))
        try:
            with locked(self._path), open(self._path, "rb") as file:
                with replacing(copy) as kept:
                    shutil.copyfileobj(file, kept)
                lost = self._path.stat().st_size - self._position
                os.truncate(self._path, self._position)
        except (OSError, LockError) as error:
            raise StoreError(f"{self._path} cannot be mended: {reason(error)}.") from error
        return f"{self._path} is cut at byte {self._position}; the last {lost} bytes are in {copy.name} alone."


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
    state : {"running", "waiting", "complete", "pruned", "fail"}
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
    identity : int
        In the storage.
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
    identity: int = -1

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
    """

    trials: list[Trial]
    seen: dict[str, float]
    now: float

    @abstractmethod
    def create(self, points: Sequence[Point], owner: str, space: Space) -> list[int]:
        """Begin a trial at each point; return their numbers."""

    @abstractmethod
    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        """Make a running trial another's; it is begun once more, unless another number of tries is given."""

    @abstractmethod
    def finish(self, outcome: Outcome) -> None:
        """End a running trial; one that has ended already stays as it is."""

    @abstractmethod
    def heard(self, owner: str) -> None:
        """Note that a process is alive."""


class Store(ABC):
    """All studies of one place.

    Attributes
    ----------
    where : str
        The place, for messages.
    lost : str
        What was found damaged and left out, in a sentence; empty if nothing was.
    """

    where: str
    lost: str = ""

    @abstractmethod
    def studies(self) -> dict[str, dict[str, Any]]:
        """Return the studies that are there, each with what it was declared to be."""

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


def internal(leaf: Leaf, value: Any) -> float:
    """Return a value as Optuna stores it."""
    if leaf.kind != "choice":
        return float(value)
    for index, choice in enumerate(leaf.choices):
        if choice == value and type(choice) is type(value):
            return index
    return leaf.choices.index(value)


@lru_cache(maxsize=4096)
def _choices(text: str) -> tuple[str, list[Any]]:
    """Return the kind of a stored distribution, and the choices of a choice."""
    content = json.loads(text)
    return content["name"], content["attributes"].get("choices", [])


def external(text: str, value: float) -> Any:
    """Return a stored value as the space has it."""
    kind, choices = _choices(text)
    if kind == "CategoricalDistribution":
        return choices[int(value)]
    return int(value) if kind == "IntDistribution" else float(value)


@dataclass(eq=False)
class _Study:
    name: str
    directions: list[int]
    declared: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    deleted: bool = False


_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Owner(BaseModel):
    model_config = ConfigDict(strict=True)
    owner: Annotated[str, Field(max_length=500)]
    tries: Annotated[int, Field(ge=0, le=2**31)]
    problem: str = ""


class _System(BaseModel):
    """What nnexp notes with a trial or a study; others may note what they like."""

    model_config = ConfigDict(extra="allow", strict=True)
    owner: Annotated[_Owner | None, Field(alias=OWNER)] = None

    @model_validator(mode="after")
    def _check_seen(self) -> _System:
        for key, value in (self.model_extra or {}).items():
            if key.startswith(SEEN) and not (isinstance(value, int | float) and abs(value) < 1e15):
                raise ValueError("it is no time")
        return self


class _Found(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    scores: dict[str, list[_Finite]] = {}
    evaluations: Annotated[int, Field(ge=0)] | None = None
    problem: str = ""
    seconds: _Finite | None = None
    pruned_at: int | None = None
    reused_from: str | None = None
    key: str = ""


class _User(BaseModel):
    model_config = ConfigDict(extra="allow")
    record: Annotated[dict[str, Any] | None, Field(alias=RECORD)] = None


class _Operation(BaseModel):
    """A line of a study's file: what nnexp reads of it is checked, whoever wrote it."""

    model_config = ConfigDict(extra="allow", strict=True)
    op_code: int
    study_name: str = ""
    directions: list[Literal[1, 2]] = []
    state: Annotated[int, Field(ge=0, le=4)] = 0
    values: list[float] | None = None
    params: dict[str, float | int] = {}
    distributions: dict[str, str] = {}
    system_attr: _System | None = None
    system_attrs: _System | None = None
    user_attr: _User | None = None
    user_attrs: _User | None = None

    @model_validator(mode="after")
    def _check_end(self) -> _Operation:
        complete = self.op_code == 6 and self.state == STATES["complete"]
        if complete and (not self.values or any(value != value for value in self.values)):
            raise ValueError("a completed trial has no value")
        if (
            self.op_code == 8
            and self.user_attr is not None
            and self.user_attr.record
            and "scores" in self.user_attr.record
        ):
            _Found.model_validate(self.user_attr.record)
        return self


class JournalStore(Store):
    """Studies in a file in the format of Optuna's journal, for several processes on one machine, or on NFS.

    A transaction is one write of whole lines under the file's lock, and synced before the lock is given up. Each line says
    which of how many of its transaction it is, so that what a kill or a full disk cut short is recognised and left out.

    Parameters
    ----------
    path : Path
        Made with its folder if it is not there, once something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._studies: list[_Study] = []
        self._trials: list[tuple[int, int]] = []  # study and number, by the storage's identity
        self._offset = 0
        self._worker = uuid.uuid4().hex
        if path.exists():
            with self._locked() as file:
                remove_left(path.parent)
                self._mend(file)

    # Reading

    def studies(self) -> dict[str, dict[str, Any]]:
        self._refresh()
        return {study.name: study.declared for study in self._studies if not study.deleted}

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
                        curve = content["curve"]
                        whole = {"fold", "step", "error", "validation_error", "evaluations"} <= set(curve)
                        if content["study"] == study and whole:
                            curves[content["number"]] = curve
        return curves

    @property
    def _curve_file(self) -> Path:
        return self.path.with_name(f"{self.path.stem}-curves.jsonl")

    def _named(self, study: str) -> _Study:
        for known_study in self._studies:
            if known_study.name == study and not known_study.deleted:
                return known_study
        raise StoreError(f"{self.where} holds no study {quoted(study)}.")

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
        """Take in the whole transactions after what was read; return where the first one that is not whole begins."""
        if os.fstat(file).st_size < self._offset:  # somebody has cut it
            self._studies, self._trials, self._offset = [], [], 0
        position = start = self._offset
        waiting: list[dict[str, Any]] = []
        first = position
        text = read_whole(file, self._offset)
        for line in [part + b"\n" for part in text.split(b"\n")[:-1]] + [text.rpartition(b"\n")[2]]:
            if not line.endswith(b"\n"):
                break
            try:
                content = parse_json(line)
                content["op_code"]
            except (ValueError, KeyError, TypeError):
                rest = text[position - start :]
                if rest.strip(b"\x00 \r\n"):  # else a tail of nothing, as some file systems leave it
                    raise DamagedStoreError(self.path, position, line) from None
                break
            begins = position
            position += len(line)
            try:
                index, count = content.get("nnexp", (1, 1))
            except (TypeError, ValueError, AttributeError):
                raise DamagedStoreError(self.path, begins, line) from None
            if index == 1:
                first = begins
                waiting = []
            waiting.append(content)
            if index == count and len(waiting) == count:
                try:
                    for operation in waiting:
                        self._apply(operation["op_code"], operation)
                    self._offset = position
                except (KeyError, IndexError, TypeError, ValueError, AttributeError):  # JSON, but not what it was
                    self._studies, self._trials, self._offset = [], [], 0
                    raise DamagedStoreError(self.path, first, line) from None
                except BaseException:  # Ctrl-C in the middle: all is read anew
                    self._studies, self._trials, self._offset = [], [], 0
                    raise
                waiting = []
        return self._offset

    def _apply(self, op: int, content: dict[str, Any]) -> None:
        _Operation.model_validate(content)
        if op == 0:
            if not any(
                known_study.name == content["study_name"] and not known_study.deleted for known_study in self._studies
            ):
                self._studies.append(_Study(content["study_name"], content["directions"]))
            return
        if op in (1, 2, 3, 4):
            study = self._studies[content["study_id"]]
            if op == 1:
                study.deleted = True
            elif op == 2:
                study.declared.update(content["user_attr"].get(RECORD, {}))
            elif op == 3:
                for key, value in content["system_attr"].items():
                    if key.startswith(SEEN):
                        study.seen[key.removeprefix(SEEN)] = value
            else:
                self._apply_create(study, content)
            return
        if op not in (6, 7, 8, 9):
            raise ValueError(op)
        number = self._trials[content["trial_id"]]
        trial = self._studies[number[0]].trials[number[1]]
        if trial.is_finished:
            return
        if op == 6:
            if content["values"] is not None:
                trial.values = content["values"]
            trial.state = _STATE_NAMES[content["state"]]  # last: another thread may be reading
        elif op == 7:
            trial.steps[int(content["step"])] = content["intermediate_value"]
        elif op == 8:
            trial.record.update(content["user_attr"].get(RECORD, {}))
        elif op == 9:
            note(trial, content["system_attr"])

    def _apply_create(self, study: _Study, content: dict[str, Any]) -> None:
        kinds = content.get("distributions", {})
        trial = Trial(
            number=len(study.trials),
            state=_STATE_NAMES[content.get("state", 0)],
            params={name: external(kinds[name], value) for name, value in sorted(content.get("params", {}).items())},
            values=content.get("values") or [],
            record=dict(content.get("user_attrs", {}).get(RECORD, {})),
            identity=len(self._trials),
        )
        note(trial, content.get("system_attrs", {}))
        self._trials.append((content["study_id"], trial.number))
        study.trials.append(trial)

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
        """Cut off what is not a whole transaction; the lock is held."""
        end = self._read(file)
        size = os.fstat(file).st_size
        if size > end:
            cut(file, end)
            self.lost = (
                f"The last {size - end} bytes of {self.where} were a record that was cut short; they are left out, and its "
                "trials are done again."
            )

    def create_study(self, name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> None:
        with self._locked() as file:
            self._mend(file)
            if any(known_study.name == name and not known_study.deleted for known_study in self._studies):
                return
            number = len(self._studies)
            self._write(
                file,
                [
                    {"op_code": 0, "study_name": name, "directions": [2 if d == "maximize" else 1 for d in directions]},
                    {"op_code": 2, "study_id": number, "user_attr": {RECORD: dict(declared)}},
                ],
            )

    def transact(self, study: str, change: Callable[[Change], T]) -> T:
        self._refresh()  # the most of it before the lock, which should be short
        with self._locked() as file:
            self._mend(file)
            known_study = self._named(study)
            transaction = _JournalChange(self._studies.index(known_study), known_study, len(self._trials))
            result = change(transaction)
            if transaction.curves:
                curves = open_to_append(self._curve_file)
                try:
                    cut_torn_tail(curves)
                    append(curves, b"".join(_line({"study": study, **curve}) for curve in transaction.curves))
                finally:
                    os.close(curves)
            self._write(file, transaction.lines)
            return result

    def heard(self, study: str, owner: str) -> None:
        self.transact(study, lambda change: change.heard(owner))

    def _write(self, file: int, lines: list[dict[str, Any]]) -> None:
        if not lines:
            return
        count = len(lines)
        text = b"".join(
            _line({**line, "worker_id": self._worker, "nnexp": [i + 1, count]}) for i, line in enumerate(lines)
        )
        append(file, text)
        self._read(file)

    def close(self) -> None:
        pass


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def owned(owner: str, tries: int, problem: str = "") -> dict[str, Any]:
    """Return what is noted of whose a trial is."""
    return {"owner": owner, "tries": tries, **({"problem": problem} if problem else {})}


def note(trial: Trial, attributes: Mapping[str, Any]) -> None:
    """Take in what is noted with a trial: whose it is, and what a pruner needs."""
    for key, value in attributes.items():
        if key == OWNER:
            trial.owner, trial.tries, trial.problem = value["owner"], value["tries"], value.get("problem", "")
        else:
            trial.rungs[key] = value


class _JournalChange(Change):
    def __init__(self, index: int, study: _Study, n_identities: int) -> None:
        self.trials, self.seen, self.now = study.trials, study.seen, time.time()
        self.lines: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self._index, self._next, self._number = index, n_identities, len(study.trials)

    def create(self, points: Sequence[Point], owner: str, space: Space) -> list[int]:
        leaves = {leaf.name: leaf for leaf in space.leaves}
        begun = _now()
        numbers = []
        for point in points:
            self.lines.append({
                "op_code": 4, "study_id": self._index, "datetime_start": begun, "state": 0,
                "params": {name: internal(leaves[name], value) for name, value in point.items()},
                "distributions": {name: stored_distribution(leaves[name]) for name in point},
                "user_attrs": {}, "system_attrs": {OWNER: {"owner": owner, "tries": 1}}, "intermediate_values": {},
            })  # fmt: skip
            numbers.append(self._number)
            self._number += 1
        return numbers

    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        trial = self.trials[number]
        noted = {OWNER: owned(owner, trial.tries + 1 if tries is None else tries, problem)}
        self.lines.append({"op_code": 9, "trial_id": trial.identity, "system_attr": noted})

    def finish(self, outcome: Outcome) -> None:
        trial = self.trials[outcome.number]
        if trial.is_finished:
            return
        if outcome.curve:
            self.curves.append({"number": outcome.number, "curve": outcome.curve})
        of_trial = {"trial_id": trial.identity}
        for step, value in outcome.steps.items():
            self.lines.append({"op_code": 7, **of_trial, "step": step, "intermediate_value": value})
        for key, value in outcome.rungs.items():
            self.lines.append({"op_code": 9, **of_trial, "system_attr": {key: value}})
        for key, value in shown_attributes(outcome).items():
            self.lines.append({"op_code": 8, **of_trial, "user_attr": {key: value}})
        values = outcome.values or None
        self.lines.append(
            {"op_code": 6, **of_trial, "state": STATES[outcome.state], "values": values, "datetime_complete": _now()}
        )

    def heard(self, owner: str) -> None:
        self.lines.append({"op_code": 3, "study_id": self._index, "system_attr": {SEEN + owner: self.now}})


def shown_attributes(outcome: Outcome) -> dict[str, Any]:
    """Return the attributes that Optuna's dashboard shows with a trial: cost and problem, and the record as a whole."""
    shown: dict[str, Any] = {RECORD: outcome.record}
    for key in ("evaluations", "problem"):
        if outcome.record.get(key):
            shown[key] = outcome.record[key]
    return shown


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
