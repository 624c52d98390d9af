"""An Optuna study as a view of a study's record: for the dashboard, and for trials that others put there.

It is written and read through Optuna's public functions alone, can be thrown away and is then made anew. What is finished in the
record is added to it; what waits in it, as after ``enqueue_trial``, is run; what else is there, running trials, notes and other
studies, is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from nnexp._choices import AUTO, NONE
from nnexp._errors import quoted, reason
from nnexp._files import as_path
from nnexp._names import nearest
from nnexp.sweep.samplers import frozen, quiet, seed_of, suggest
from nnexp.sweep.space import Direction, Leaf, Point, Space, SpaceError
from nnexp.sweep.store import JournalStore, Store, StoreError, Trial, without_password

# What is noted in the view: of a study which record it shows, of a trial its number there, of one that was taken a sign.
_SHOWS, _NUMBER, _SIGN = "nnexp:shows", "nnexp:trial", "nnexp:taken"
# The view may take this share of the time.
_SHARE = 0.05
# Seconds after which a view that could not be used is tried again.
_PAUSE = 60.0
# Seconds that the last look waits for another process that writes to it.
_PATIENCE = 5.0


def place_of_view(view: str, store: Store) -> str:
    """Return where the view of a store's studies is; empty for nowhere.

    Parameters
    ----------
    view : str
        ``"none"``, ``"auto"`` for a file beside the record, where that is a folder, a path or a URL.
    store : Store
    """
    if view == NONE:
        return ""
    if view == AUTO:
        return str(store.path.with_suffix(".log")) if isinstance(store, JournalStore) else ""
    if isinstance(store, JournalStore) and not is_url(view):
        path, record = as_path(view, "The view").absolute(), store.path.absolute()
        names = [name.removeprefix(".") for name in (path.name, record.stem)]
        is_of_record = path.parent == record.parent and names[0].startswith(names[1]) and path.suffix != ".log"
        if path in record.parents or is_of_record:
            raise StoreError(f"The view {view} must be another file than those of the storage {record.parent}.")
    return view


def is_url(place: str) -> bool:
    """Whether a view is in a database."""
    return "://" in place


def _with_driver(url: str) -> str:
    """Return a URL with the driver that nnexp uses for PostgreSQL, where none is named."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url


def forget_view(place: str, identity: str) -> None:
    """Delete the study that shows a record; where that cannot be done, warn."""
    import optuna

    if not is_url(place) and not os.path.exists(place):
        return
    try:
        with _quietly(), database_or_journal(place) as storage:
            for name in optuna.get_all_study_names(storage=storage):
                study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
                if (study.user_attrs.get(_SHOWS) or {}).get("record") == identity:
                    optuna.delete_study(study_name=name, storage=storage)
    except Exception as error:
        warnings.warn(
            f"The study is forgotten, but still shown in {without_password(place)}: {_said(error)}",
            RuntimeWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def database_or_journal(place: str) -> Iterator[Any]:
    """Give Optuna's storage at a URL or in a file, and let go of it at the end."""
    import optuna

    if not is_url(place):
        yield optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(place))
        return
    from sqlalchemy.pool import NullPool  # whatever fails, no connection is left

    storage = optuna.storages.RDBStorage(_with_driver(place), engine_kwargs={"poolclass": NullPool})
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep Optuna from saying what is experimental, and what is looked at here."""
    import optuna

    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Fixed parameter")
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


class View:
    """An Optuna study that shows a study of the record.

    Parameters
    ----------
    place : str
        The path of a file in the format of Optuna's journal, or the URL of a database that Optuna knows.
    store : Store
        Where the record is.
    name : str
        Of the study, here and there; where the place has another study of this name, a number is added.
    space : Space
    objectives : sequence of str
    directions : sequence of {"minimize", "maximize"}
    seed : int
        Decides what a waiting trial leaves open.
    """

    def __init__(
        self,
        place: str,
        store: Store,
        name: str,
        space: Space,
        objectives: Sequence[str],
        directions: Sequence[Direction],
        seed: int,
    ) -> None:
        self.place = place
        self._store, self._name, self._space, self._seed = store, name, space, seed
        self._objectives, self._directions = list(objectives), list(directions)
        self._choices = {leaf.name: list(leaf.choices) for leaf in space.leaves if leaf.kind == "choice"}
        self._off_until, self._has_warned = 0.0, False
        self._asked: dict[str, Any] = {}  # trials that this process has taken, by their sign
        self.has_more = False  # whether something waits for which there was no room
        self._next_time = 0.0
        self._n_shown = 0
        self._storage: Any = None
        self._journal: Any = None

    @property
    def _is_off(self) -> bool:
        """Whether it could not be used a moment ago."""
        return time.monotonic() < self._off_until

    def check(self) -> None:
        """Raise a StoreError if the place cannot be used."""
        import optuna

        with self._trying(is_needed=True):
            try:
                with self._opened() as storage:
                    optuna.get_all_study_names(storage=storage)
            except Exception:  # another process may be making Optuna's tables just now
                time.sleep(1.0)
                with self._opened() as storage:
                    optuna.get_all_study_names(storage=storage)

    def open(self) -> None:
        """Make the study if it is not there."""
        with self._trying(), self._store.viewing(self._name) as is_mine:
            if is_mine:
                with self._study():
                    pass

    @property
    def is_due(self) -> bool:
        """Whether a look at the view would take little of the time since the last one."""
        return not self._is_off and time.monotonic() >= self._next_time

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Let the next look wait, by what this one takes."""
        begun = time.monotonic()
        yield
        now = time.monotonic()
        self._next_time = now + (now - begun) / _SHARE

    def show(self, trials: Sequence[Trial], last: bool = False) -> None:
        """Add what is finished and not there yet, unless another process is doing so; the last time, that one is waited for."""
        if (self._is_off and not last) or sum(trial.is_finished for trial in trials) == self._n_shown:
            return
        until = time.monotonic() + (_PATIENCE if last else 0.0)
        with self._trying():
            while True:
                with self._store.viewing(self._name) as is_mine:
                    if is_mine:
                        self._show(trials)
                if is_mine or time.monotonic() >= until:
                    break
                time.sleep(0.05)

    def _show(self, trials: Sequence[Trial]) -> None:
        with self._study() as study:
            there = study.get_trials(deepcopy=False)
            numbers = {trial.user_attrs.get(_NUMBER) for trial in there}
            taken = {trial.user_attrs[_SIGN]: trial for trial in there if _SIGN in trial.user_attrs}
            new = []
            for trial in trials:
                if not trial.is_finished or trial.number in numbers:
                    continue
                if trial.given and trial.given in taken:
                    if not taken[trial.given].state.is_finished():
                        self._tell(study, taken[trial.given].number, trial)
                else:
                    new.append(self._as_optuna(trial))
            self._add(study, new)
        self._n_shown = sum(trial.is_finished for trial in trials)

    def _tell(self, study: Any, number: int, trial: Trial) -> None:
        shown = self._as_optuna(trial)
        is_complete = shown.state.name == "COMPLETE"
        if (asked := self._asked.pop(trial.given, None)) is not None:  # of another process's it knows the number alone
            for key, value in shown.user_attrs.items():
                asked.set_user_attr(key, value)
            for step, value in shown.intermediate_values.items():
                asked.report(value, step)
        study.tell(number, shown.values if is_complete else None, None if is_complete else shown.state)

    def _add(self, study: Any, trials: Sequence[Any]) -> None:
        if not trials:
            return
        if self._is_url:
            study.add_trials(trials)
            return
        with self._journal.together():
            study.add_trials(trials)

    def _as_optuna(self, trial: Trial) -> Any:
        shown = frozen(trial, self._space, with_rungs=False)
        record = trial.record
        attributes: dict[str, Any] = {_NUMBER: trial.number}
        for name, scores in record.get("scores", {}).items():
            if scores:
                attributes[name] = sum(scores) / len(scores)
        for key in ("evaluations", "problem", "reused_from"):
            if record.get(key):
                attributes[key] = record[key]
        for key, value in attributes.items():
            shown.set_user_attr(key, value)
        end = datetime.fromtimestamp(trial.ended)
        shown.datetime_complete = end
        shown.datetime_start = end - timedelta(seconds=float(record.get("seconds") or 0.0))
        return shown

    # What others have put there

    def take(self, room: int, known: set[str], keep: Callable[[list[Point], list[str]], None]) -> None:
        """Take waiting trials, as many as there is room for, and give their points and signs to whoever keeps them.

        What was taken before by a process that died before it was kept is given again.

        Parameters
        ----------
        room : int
        known : set of str
            Signs of what is kept.
        keep : callable
        """
        if self._is_off or room < 1:
            return
        with self._trying(), self._store.viewing(self._name) as is_mine:
            if not is_mine:
                return
            with self._study() as study:
                taken = self._left_behind(study, known)
                n_waiting = len(_states(study, "WAITING"))
                while n_waiting and len(taken) < room:
                    n_waiting -= 1
                    if (one := self._one(study)) is not None:
                        taken.append(one)
                self.has_more = bool(n_waiting) or len(taken) > room
            if taken:
                keep([point for point, _ in taken[:room]], [sign for _, sign in taken[:room]])

    def has_waiting(self) -> bool:
        """Whether there may be something to take."""
        if self._is_off:
            return False
        there: list[Any] = []
        with self._trying(), self._store.viewing(self._name) as is_mine:
            if is_mine:
                with self._study() as study:
                    there = _states(study, "WAITING", "RUNNING")
        return bool(there)

    def _left_behind(self, study: Any, known: set[str]) -> list[tuple[Point, str]]:
        """Return what a process had taken that died before it was kept."""
        left = []
        for trial in _states(study, "RUNNING"):
            sign = trial.user_attrs.get(_SIGN)
            if isinstance(sign, str) and sign not in {*known, ""}:
                fixed = {**_fixed(trial), **trial.params}
                try:
                    left.append((self._point(fixed, self._drawn(trial.number)), sign))
                except (SpaceError, ValueError, TypeError, OverflowError) as error:
                    self._refuse(study, trial.number, error)
        return left

    def _one(self, study: Any) -> tuple[Point, str] | None:
        """Take a waiting trial; one that is not in the space has failed."""
        trial = study.ask()
        sign = uuid.uuid4().hex
        trial.set_user_attr(_SIGN, sign)
        fixed = _fixed(study.get_trials(deepcopy=False)[trial.number])
        try:
            # Looked at before Optuna does: it writes down an infinity for an integer, and cannot read it back.
            self._point(fixed, self._drawn(trial.number))
            point = self._space.walk(lambda leaf: leaf.checked(suggest(trial, leaf)))[0]
        except (SpaceError, ValueError, TypeError, OverflowError) as error:
            trial.set_user_attr("problem", f"Its parameters are not in the space: {error}")
            self._refuse(study, trial.number, error)
            return None
        self._asked[sign] = trial
        return point, sign

    def _point(self, fixed: Mapping[str, Any], draw: Callable[[Leaf], Any]) -> Point:
        """Return the point with some values that are fixed.

        Raises
        ------
        SpaceError
            If a value is not one that its parameter can have, or of none that takes part.
        """
        point = self._space.walk(
            lambda leaf: leaf.checked(fixed[leaf.name]) if leaf.name in fixed else leaf.at(draw(leaf))
        )[0]
        for name in fixed:
            if name not in point:
                leaves = [leaf.name for leaf in self._space.leaves]
                raise SpaceError(
                    f"{quoted(name)} takes no part."
                    if name in leaves
                    else f"no {quoted(name)}. {nearest(str(name), leaves)}"
                )
        return point

    def _drawn(self, number: int) -> Callable[[Leaf], float]:
        return lambda leaf: float(np.random.default_rng(seed_of(self._seed, "open", number, leaf.name)).random())

    def _refuse(self, study: Any, number: int, error: BaseException) -> None:
        study.tell(number, state=_state("FAIL"))
        warnings.warn(
            f"A trial that waits in {without_password(self.place)} is not in the space of {quoted(self._name)}, and has failed "
            f"there: {error}",
            RuntimeWarning,
            stacklevel=2,
        )

    # Optuna

    @property
    def _is_url(self) -> bool:
        return is_url(self.place)

    @contextlib.contextmanager
    def _trying(self, is_needed: bool = False) -> Iterator[None]:
        """Let the sweep go on where the view cannot be used, unless it is needed."""
        try:
            yield
        except StoreError:  # of the record, not of the view
            raise
        except Exception as error:
            self._off_until = time.monotonic() + _PAUSE
            if is_needed:
                raise StoreError(f"The view {without_password(self.place)} cannot be used: {_said(error)}") from error
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The view {without_password(self.place)} cannot be used: {_said(error)} The sweep goes on without it, and "
                    f"makes it up from {self._store.where} once it can be used again.",
                    RuntimeWarning,
                    stacklevel=3,
                )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        import optuna

        with _quietly():
            if self._is_url:
                if self._storage is None:
                    url = _with_driver(self.place)
                    self._storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
                    weakref.finalize(self, self._storage.engine.dispose)
                try:
                    yield self._storage
                finally:
                    self._storage.remove_session()
                return
            if self._journal is None or self._journal.is_another:
                path = as_path(self.place, "The view")
                path.parent.mkdir(parents=True, exist_ok=True)
                self._journal = _journal_class()(str(path))
                self._storage = optuna.storages.JournalStorage(self._journal)
            try:
                yield self._storage
            except BaseException:
                self._journal = None
                raise

    @contextlib.contextmanager
    def _study(self) -> Iterator[Any]:
        """Give the study that shows this record; it is made if there is none."""
        import optuna

        with self._opened() as storage:
            shows = {"record": self._store.identity(self._name), "choices": self._choices}
            names = set(optuna.get_all_study_names(storage=storage))
            name, number = self._name, 1
            while name in names:
                study = optuna.load_study(study_name=name, storage=storage, sampler=self._sampler())
                if study.user_attrs.get(_SHOWS) == shows:
                    yield study
                    return
                if self._is_free(study):
                    break
                number += 1
                name = f"{self._name} ({number})"
            else:
                study = optuna.create_study(
                    study_name=name, storage=storage, directions=self._directions, sampler=self._sampler()
                )
            study.set_metric_names(self._objectives)
            study.set_user_attr(_SHOWS, shows)
            yield study

    def _is_free(self, study: Any) -> bool:
        """Whether a study that somebody else has made is for this one: it has the directions, and shows and has nothing yet."""
        return (
            _SHOWS not in study.user_attrs
            and "nnexp" not in study.user_attrs  # of an earlier version
            and [way.name.lower() for way in study.directions] == self._directions
            and all(trial.state.name == "WAITING" for trial in study.get_trials(deepcopy=False))
        )

    def _sampler(self) -> Any:
        import optuna

        leaves, drawn = {leaf.name: leaf for leaf in self._space.leaves}, self._drawn

        class Open(optuna.samplers.BaseSampler):  # type: ignore[misc, unused-ignore]
            """Draws what a waiting trial leaves open."""

            def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
                return {}

            def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
                return {}

            def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
                return leaves[param_name].at(drawn(trial.number)(leaves[param_name]))

        return Open()


def _fixed(trial: Any) -> dict[str, Any]:
    """Return what a waiting trial says, where this version of Optuna notes it so; else it shows when it is suggested."""
    fixed = trial.system_attrs.get("fixed_params")
    return dict(fixed) if isinstance(fixed, Mapping) else {}


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _states(study: Any, *names: str) -> list[Any]:
    return list(study.get_trials(deepcopy=False, states=[_state(name) for name in names]))


def _said(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{reason(error)}."
    text = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}".rstrip(".") + "."


@lru_cache(maxsize=1)
def _journal_class() -> Any:
    """Return a class of a journal in a file that can write many lines at once."""
    from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

    class Together(BaseJournalBackend):  # type: ignore[misc, unused-ignore]
        def __init__(self, path: str) -> None:
            self._file, self._path = JournalFileBackend(path), path
            self._number, self._size = self._now()
            self._is_behind = False
            self._n_read = 0
            self._waiting: list[dict[str, Any]] | None = None

        def _now(self) -> tuple[int, int]:
            status = os.stat(self._path)
            return status.st_ino, status.st_size

        @property
        def is_another(self) -> bool:
            """Whether the file is not the one that was read, or what was written in it came after what others wrote."""
            try:
                number, size = self._now()
            except OSError:
                return True
            is_another = number != self._number or size < self._size
            self._size = size
            return is_another or self._is_behind

        def read_logs(self, log_number_from: int) -> Any:
            if self._waiting is not None:
                yield from self._waiting[log_number_from - self._n_read :]
                return
            for index, log in enumerate(self._file.read_logs(log_number_from), log_number_from):
                self._n_read = index + 1
                yield log

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            if self._waiting is not None:
                self._waiting += logs
            else:
                self._file.append_logs(logs)

        @contextlib.contextmanager
        def together(self) -> Iterator[None]:
            """Write at the end, as one, what is written in the block."""
            waiting: list[dict[str, Any]] = []
            self._waiting = waiting
            try:
                yield
                before = self._now()[1]
                if waiting:
                    self._file.append_logs(waiting)
            finally:
                self._waiting = None
            self._n_read += len(waiting)
            wanted = sum(len(json.dumps(log, separators=(",", ":"))) + 1 for log in waiting)
            self._is_behind = self._now()[1] != before + wanted

    return Together
