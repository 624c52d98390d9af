"""Studies in PostgreSQL, in tables of our own, for any number of machines.

A transaction holds the row of its study, so that numbers are given once and budgets are exact; it reads what has changed, and
writes many trials with few statements.
"""

from __future__ import annotations

import contextlib
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from nnexp._errors import quoted
from nnexp.sweep.space import Point
from nnexp.sweep.store import Change, Outcome, Store, StoreError, Trial, made_line, without_password

T = TypeVar("T")

# Seconds for which a server that went away is waited for.
PATIENCE = 120.0
# Of the tables; a change of them is another version.
VERSION = 1
# More numbers than this are not listed in a question.
_AT_ONCE = 5_000
_CLOCK = "extract(epoch FROM clock_timestamp())"
# What processes that make the same tables or studies wait for, among all advisory locks of a server.
_LOCK = 7_310_589_128
# The right to write to views, by study.
_VIEW_LOCK = 731_058_913


def _tables(sa: Any) -> dict[str, Any]:
    """Return the tables, by what they hold."""
    metadata = sa.MetaData()
    version = sa.Table("nnexp_version", metadata, sa.Column("version", sa.Integer, primary_key=True))
    study = sa.Table(
        "nnexp_studies",
        metadata,
        sa.Column("study_id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("directions", sa.Text, nullable=False),
        sa.Column("declared", sa.Text, nullable=False),
    )
    of_study = sa.ForeignKey(study.c.study_id, ondelete="CASCADE")
    trial = sa.Table(
        "nnexp_trials",
        metadata,
        sa.Column("study_id", sa.Integer, of_study, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("given", sa.Text, nullable=False),
        sa.Column("made_with", sa.Text, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("outcome", sa.Text),  # values, steps, record and rungs, as JSON
        sa.Column("curve", sa.Text),
    )
    process = sa.Table(
        "nnexp_processes",
        metadata,
        sa.Column("study_id", sa.Integer, sa.ForeignKey(study.c.study_id, ondelete="CASCADE"), primary_key=True),
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("seen", sa.Double, nullable=False),
    )
    return {"version": version, "study": study, "trial": trial, "process": process, "all": metadata}


class SqlStore(Store):
    """Studies in a database.

    Parameters
    ----------
    url : str
        Such as ``postgresql+psycopg://user@host/database``.

    Raises
    ------
    StoreError
        If the server does not answer, or its tables are those of another version.
    """

    def __init__(self, url: str) -> None:
        try:
            import sqlalchemy as sa
        except ImportError as error:
            raise StoreError("A database needs more packages: pip install 'nnexp[postgresql]'.") from error
        if url.partition("://")[2].partition("/")[0].count("@") > 1:
            raise StoreError("The storage's user or password holds an @; write it as %40.")
        try:
            parsed = sa.make_url(url)
        except (sa.exc.ArgumentError, ValueError) as error:
            raise StoreError(
                "The storage is no URL of a database, such as postgresql+psycopg://user@host/name."
            ) from error
        self.where = without_password(parsed.render_as_string(hide_password=True))
        if not parsed.drivername.startswith("postgresql"):
            raise StoreError(
                f"The storage {self.where} cannot be used: it must be a folder, for processes of one machine, or PostgreSQL, for "
                "several machines (postgresql+psycopg://...)."
            )
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._sa = sa
        self._t = _tables(sa)
        self._known: dict[str, tuple[list[Trial], list[int]]] = {}  # all trials, and the numbers of those that run
        self._ids: dict[str, int] = {}
        settings = {
            "pool_size": 1, "max_overflow": 2, "pool_pre_ping": True, "connect_args": {"connect_timeout": 10},
            "insertmanyvalues_page_size": 1000,
        }  # fmt: skip
        try:
            self._engine = sa.create_engine(parsed, **settings)
            weakref.finalize(self, self._engine.dispose)
            self._make_tables()
        except ImportError as error:
            raise StoreError("PostgreSQL needs a driver: pip install 'nnexp[postgresql]'.") from error
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"The storage {self.where} does not answer: {_first_line(error)}") from error

    def close(self) -> None:
        self._engine.dispose()

    def _make_tables(self) -> None:
        """Make the tables if they are not there, and take over what an earlier version has kept in Optuna's."""
        sa, t = self._sa, self._t
        with self._engine.connect() as connection:
            version = self._version(connection)
        if version is None:
            with self._engine.begin() as connection:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                version = self._version(connection)
                if version is None:  # no other process was faster
                    t["all"].create_all(connection)
                    from nnexp.sweep.taken_over import studies_in

                    kept_before: dict[str, list[dict[str, Any]]] = {}
                    if self._has_table(connection, "study_user_attributes"):
                        try:
                            kept_before = studies_in(self._engine.url.render_as_string(hide_password=False))
                        except StoreError as error:  # perhaps Optuna's tables are somebody else's
                            self.lost = f"If an earlier version kept studies in {self.where}, they stay there: {error}"
                    for study in kept_before.values():
                        self._insert(connection, study)
                    connection.execute(t["version"].insert(), {"version": VERSION})
                    version = VERSION
                    if kept_before:
                        names = ", ".join(kept_before)
                        self.lost = f"The studies that an earlier version kept in {self.where} are taken over: {names}."
        if version != VERSION:
            raise StoreError(
                f"The storage {self.where} cannot be used: its tables are those of another version of nnexp."
            )

    def _version(self, connection: Any) -> int | None:
        if not self._has_table(connection, "nnexp_version"):
            return None
        version = connection.execute(self._sa.select(self._t["version"].c.version)).scalar()
        return None if version is None else int(version)

    def _has_table(self, connection: Any, name: str) -> bool:
        """Whether a table is there now; `to_regclass` may answer from before a lock was waited for."""
        return bool(self._sa.inspect(connection).has_table(name))

    def _insert(self, connection: Any, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the lines of a study: how it was made, and its finished trials with their curves."""
        made, *of_trials = lines
        identity = self._insert_study(connection, made)
        rows = []
        for line in of_trials:
            outcome = {key: line[key] for key in ("values", "steps", "record", "rungs") if key in line}
            rows.append({
                "study_id": identity, "number": line.get("ended", line.get("begun")), "state": line.get("state", "running"),
                "params": _json(line["params"]), "owner": line.get("owner", ""), "tries": line.get("tries", 1), "problem": "",
                "given": "", "made_with": "", "ended": line.get("at"), "outcome": _json(outcome) if "ended" in line else None,
                "curve": _json(line["curve"]) if line.get("curve") else None,
            })  # fmt: skip
        if rows:
            connection.execute(self._t["trial"].insert(), rows)

    def _insert_study(self, connection: Any, made: Mapping[str, Any]) -> int:
        t = self._t["study"]
        row = {
            "name": made["study"], "identity": made["identity"], "directions": _json(made["directions"]),
            "declared": _json(made["declared"]),
        }  # fmt: skip
        return int(connection.execute(t.insert().returning(t.c.study_id), row).scalar())

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Do something in a transaction of the database; wait where the server went away and comes back."""
        begun = time.monotonic()
        pause = 0.05
        while True:
            try:
                with self._engine.begin() as connection:
                    return question(connection)
            except self._sa.exc.DBAPIError as error:
                # A server that is gone, starts, or was stopped in the middle; whatever else is wrong stays wrong.
                self._known.clear()
                lost = error.connection_invalidated or isinstance(
                    error, self._sa.exc.OperationalError | self._sa.exc.InterfaceError
                )
                if not lost or time.monotonic() - begun > PATIENCE:
                    what = "does not answer" if lost else "cannot be used"
                    raise StoreError(f"The storage {self.where} {what}: {_first_line(error)}") from error
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
            except BaseException:  # what was begun in memory is not there
                self._known.clear()
                raise

    # Reading

    def studies(self) -> dict[str, dict[str, Any]]:
        t = self._t["study"]

        def question(connection: Any) -> dict[str, dict[str, Any]]:
            rows = connection.execute(
                self._sa.select(t.c.study_id, t.c.name, t.c.declared).order_by(t.c.study_id)
            ).all()
            ids = {row.name: row.study_id for row in rows}
            for name, identity in self._ids.items():
                if ids.get(name) != identity:  # forgotten, and perhaps made anew
                    self._known.pop(name, None)
            self._ids = ids
            return {row.name: json.loads(row.declared) for row in rows}

        return self._ask(question)

    def identity(self, study: str) -> str:
        number, t = self._id(study), self._t["study"]
        return self._ask(
            lambda connection: str(
                connection.execute(self._sa.select(t.c.identity).where(t.c.study_id == number)).scalar()
            )
        )

    def _id(self, study: str) -> int:
        if study not in self._ids:
            self.studies()
        if study not in self._ids:
            raise StoreError(f"{self.where} holds no study {quoted(study)}.")
        return self._ids[study]

    def trials(self, study: str) -> list[Trial]:
        identity = self._id(study)
        return self._ask(lambda connection: self._refresh(connection, study, identity))

    def _refresh(self, connection: Any, study: str, identity: int) -> list[Trial]:
        """Bring the known trials up to date, with what may have changed only."""
        sa, t = self._sa, self._t["trial"]
        known, open_ones = self._known.setdefault(study, ([], []))
        changed = t.c.number >= len(known)
        if len(open_ones) > _AT_ONCE:
            changed = t.c.number >= open_ones[0]
        elif open_ones:
            changed = changed | t.c.number.in_(open_ones)
        columns = [column for column in t.c if column.name != "curve"]
        rows = connection.execute(sa.select(*columns).where((t.c.study_id == identity) & changed).order_by(t.c.number))
        # Copies, which take the place of the known ones once they are whole: another thread may be reading those.
        fresh, still_open = list(known), []
        for row in rows:
            if row.number < len(fresh) and fresh[row.number].is_finished:
                continue
            trial = _trial(row)
            if not trial.is_finished:
                still_open.append(row.number)
            if row.number < len(fresh):
                fresh[row.number] = trial
            else:
                fresh.append(trial)
        self._known[study] = fresh, still_open
        return fresh

    def seen(self, study: str) -> dict[str, float]:
        identity = self._id(study)

        def question(connection: Any) -> dict[str, float]:
            now = self._now(connection)
            return {owner: now - at for owner, at in self._seen(connection, identity).items()}

        return self._ask(question)

    def _now(self, connection: Any) -> float:
        return float(connection.execute(self._sa.text(f"SELECT {_CLOCK}")).scalar())

    def _seen(self, connection: Any, identity: int) -> dict[str, float]:
        t = self._t["process"]
        rows = connection.execute(self._sa.select(t.c.owner, t.c.seen).where(t.c.study_id == identity)).all()
        return {row.owner: row.seen for row in rows}

    def curves(self, study: str) -> dict[int, dict[str, list[Any]]]:
        identity, t = self._id(study), self._t["trial"]

        def question(connection: Any) -> dict[int, dict[str, list[Any]]]:
            rows = connection.execute(
                self._sa.select(t.c.number, t.c.curve).where((t.c.study_id == identity) & t.c.curve.is_not(None))
            )
            return {row.number: json.loads(row.curve) for row in rows}

        return self._ask(question)

    # Writing

    def create_study(self, name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> None:
        t, sa = self._t["study"], self._sa

        def question(connection: Any) -> None:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if not connection.execute(sa.select(t.c.study_id).where(t.c.name == name)).first():
                self._insert_study(connection, made_line(name, directions, declared))

        self._ask(question)

    def heard(self, study: str, owner: str) -> None:
        identity = self._id(study)

        def question(connection: Any) -> None:
            _write_heard(connection, self._t, identity, [owner], self._now(connection))

        self._ask(question)

    def transact(self, study: str, change: Callable[[Change], T]) -> T:
        def question(connection: Any) -> T:
            identity, t = self._id(study), self._t["study"]
            if study not in self._known:
                self._refresh(connection, study, identity)  # the most of it before the lock, which should be short
            clock = self._sa.literal_column(_CLOCK)
            held = connection.execute(
                self._sa.select(clock, t.c.declared).where(t.c.study_id == identity).with_for_update()
            ).first()
            if held is None:
                self._ids.pop(study)
                raise StoreError(f"{self.where} holds no study {quoted(study)} any more.")
            trials = self._refresh(connection, study, identity)
            transaction = _SqlChange(trials, self._seen(connection, identity), float(held[0]), json.loads(held[1]))
            result = change(transaction)
            transaction.write(connection, self._sa, self._t, identity)
            if transaction.is_forgotten:
                self._ids.pop(study)
            if transaction.is_forgotten or transaction.made_with:
                self._known.pop(study, None)
            return result

        self._id(study)
        return self._ask(question)

    @contextlib.contextmanager
    def viewing(self, study: str) -> Iterator[bool]:
        identity, has_it = self._id(study), False
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(self._engine.connect())
                text = f"SELECT pg_try_advisory_lock({_VIEW_LOCK}, {identity})"
                has_it = bool(connection.execute(self._sa.text(text)).scalar())
                connection.commit()
            except self._sa.exc.DBAPIError:  # a server that is gone and may come back: nobody writes to the view now
                has_it = False
            try:
                yield has_it
            finally:
                if has_it:
                    with contextlib.suppress(self._sa.exc.DBAPIError):  # with the connection the lock is gone too
                        connection.execute(self._sa.text(f"SELECT pg_advisory_unlock({_VIEW_LOCK}, {identity})"))
                        connection.commit()


def _trial(row: Any) -> Trial:
    outcome = json.loads(row.outcome) if row.outcome else {}
    return Trial(
        number=row.number,
        state=row.state,
        params=dict(sorted(json.loads(row.params).items())),
        values=outcome.get("values", []),
        steps={int(step): value for step, value in outcome.get("steps", {}).items()},
        record=outcome.get("record", {}),
        rungs=outcome.get("rungs", {}),
        owner=row.owner,
        tries=row.tries,
        problem=row.problem,
        given=row.given,
        made_with=row.made_with,
        ended=row.ended or 0.0,
    )


class _SqlChange(Change):
    def __init__(self, trials: list[Trial], seen: dict[str, float], now: float, declared: dict[str, Any]) -> None:
        self.trials, self.seen, self.now, self.declared = trials, seen, now, declared
        self.is_forgotten, self.made_with = False, ""
        self._new: list[Trial] = []
        self._taken: dict[int, Trial] = {}
        self._ended: list[Outcome] = []
        self._heard: list[str] = []
        self._declared: dict[str, Any] | None = None

    def create(self, points: Sequence[Point], owner: str, given: Sequence[str] = ()) -> list[int]:
        first = len(self.trials) + len(self._new)
        numbers = list(range(first, first + len(points)))
        signs = [*given, *[""] * len(points)]
        for number, point, sign in zip(numbers, points, signs, strict=False):
            self._new.append(Trial(number, "running", point, owner=owner, tries=int(bool(owner)), given=sign))
        return numbers

    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        before = self.trials[number]
        tries = before.tries + 1 if tries is None else tries
        self._taken[number] = replace(before, owner=owner, tries=tries, problem=problem)

    def finish(self, outcome: Outcome) -> None:
        if not self.trials[outcome.number].is_finished:
            self._ended.append(outcome)

    def heard(self, owner: str) -> None:
        self._heard.append(owner)

    def declare(self, declared: Mapping[str, Any], made_with: str = "") -> None:
        self._declared, self.made_with = dict(declared), made_with

    def forget(self) -> None:
        self.is_forgotten = True

    def write(self, connection: Any, sa: Any, t: dict[str, Any], study: int) -> None:
        """Write all of it, with a statement for each kind of change."""
        trial, now = t["trial"], self.now
        if self.is_forgotten:
            connection.execute(t["study"].delete().where(t["study"].c.study_id == study))
            return
        one = (trial.c.study_id == study) & (trial.c.number == sa.bindparam("n"))
        if self._new:
            rows = [
                {
                    "study_id": study, "number": new.number, "state": "running", "params": _json(new.params), "owner": new.owner,
                    "tries": new.tries, "problem": "", "given": new.given, "made_with": "",
                }
                for new in self._new
            ]  # fmt: skip
            connection.execute(trial.insert(), rows)
        if self._taken:
            changed = {name: sa.bindparam(f"new_{name}") for name in ("owner", "tries", "problem")}
            rows = [
                {"n": n, "new_owner": taken.owner, "new_tries": taken.tries, "new_problem": taken.problem}
                for n, taken in self._taken.items()
            ]
            connection.execute(trial.update().where(one).values(**changed), rows)
        if self._ended:
            changed = {name: sa.bindparam(f"new_{name}") for name in ("state", "outcome", "curve")}
            rows = [
                {
                    "n": outcome.number, "new_state": outcome.state, "new_curve": _json(outcome.curve) if outcome.curve else None,
                    "new_outcome": _json({
                        "values": outcome.values, "steps": outcome.steps, "record": outcome.record, "rungs": outcome.rungs,
                    }),
                }
                for outcome in self._ended
            ]  # fmt: skip
            connection.execute(trial.update().where(one).values(ended=now, **changed), rows)
        if self._declared is not None:
            statement = t["study"].update().where(t["study"].c.study_id == study)
            connection.execute(statement.values(declared=_json(self._declared)))
            if self.made_with:
                kept = (trial.c.study_id == study) & (trial.c.outcome.is_not(None)) & (trial.c.made_with == "")
                connection.execute(trial.update().where(kept).values(made_with=self.made_with))
        _write_heard(connection, t, study, self._heard, now)


def _write_heard(connection: Any, t: dict[str, Any], study: int, owners: Sequence[str], now: float) -> None:
    from sqlalchemy.dialects.postgresql import insert

    if owners:
        statement = insert(t["process"])
        statement = statement.on_conflict_do_update(
            index_elements=["study_id", "owner"], set_={"seen": statement.excluded.seen}
        )
        connection.execute(statement, [{"study_id": study, "owner": owner, "seen": now} for owner in set(owners)])


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return text.split("\n")[0] if text else type(error).__name__
