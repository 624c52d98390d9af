"""Studies in PostgreSQL, in the tables of Optuna's storage, for any number of machines.

Optuna's storage makes the tables and checks their version. A transaction holds the row of its study, reads what has
changed, and writes many trials with few statements.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from nnexp._errors import quoted
from nnexp.sweep.distributions import stored_distribution
from nnexp.sweep.samplers import quiet
from nnexp.sweep.space import Point, Space
from nnexp.sweep.store import (
    OWNER,
    RECORD,
    SEEN,
    STATES,
    Change,
    Outcome,
    Store,
    StoreError,
    Trial,
    external,
    internal,
    note,
    owned,
    shown_attributes,
    without_password,
)

T = TypeVar("T")

# Seconds for which a server that went away is waited for.
PATIENCE = 120.0
CURVES = "nnexp:curves"
_AT_ONCE = 5_000
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())"
# What processes that make the same tables or studies wait for, among all advisory locks of a server.
_LOCK = 7_310_589_128


class SqlStore(Store):
    """Studies in a database.

    Parameters
    ----------
    url : str
        Such as ``postgresql+psycopg://user@host/database``.

    Raises
    ------
    StoreError
        If the server does not answer, or its tables are those of another version of Optuna.
    """

    def __init__(self, url: str) -> None:
        try:
            import sqlalchemy as sa
            from optuna.storages import RDBStorage
            from optuna.storages._rdb import models
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
        settings = {
            "pool_size": 1, "max_overflow": 1, "pool_pre_ping": True, "connect_args": {"connect_timeout": 10},
            "insertmanyvalues_page_size": 1000,
        }  # fmt: skip
        try:
            self._engine = sa.create_engine(parsed, **settings)
            weakref.finalize(self, self._engine.dispose)
            if not self._has_tables(models.SCHEMA_VERSION):  # Optuna's own look at them takes half a second
                with quiet(), self._alone(parsed, settings["connect_args"]):
                    RDBStorage(parsed.render_as_string(hide_password=False), engine_kwargs=settings).engine.dispose()
        except ImportError as error:
            raise StoreError("PostgreSQL needs a driver: pip install 'nnexp[postgresql]'.") from error
        except RuntimeError as error:
            raise StoreError(f"The storage {self.where} cannot be used: {error}") from error
        except Exception as error:
            raise StoreError(f"The storage {self.where} does not answer: {_first_line(error)}") from error
        names = {
            "study": models.StudyModel, "study_user": models.StudyUserAttributeModel,
            "study_system": models.StudySystemAttributeModel, "direction": models.StudyDirectionModel,
            "trial": models.TrialModel, "param": models.TrialParamModel,
            "value": models.TrialValueModel, "step": models.TrialIntermediateValueModel,
            "user": models.TrialUserAttributeModel, "system": models.TrialSystemAttributeModel,
        }  # fmt: skip
        self._t: dict[str, Any] = {name: getattr(model, "__table__") for name, model in names.items()}  # noqa: B009
        self._known: dict[str, list[Trial]] = {}
        self._ids: dict[str, int] = {}

    def close(self) -> None:
        self._engine.dispose()

    def _has_tables(self, version: int) -> bool:
        with self._engine.connect() as connection:
            version_table = connection.execute(self._sa.text("SELECT to_regclass('version_info')")).scalar()
            text = "SELECT schema_version FROM version_info"
            return bool(version_table) and connection.execute(self._sa.text(text)).scalar() == version

    @contextlib.contextmanager
    def _alone(self, url: Any, arguments: Any) -> Iterator[None]:
        """Keep others from making the same tables at the same time."""
        engine = self._sa.create_engine(url, poolclass=self._sa.pool.NullPool, connect_args=arguments)
        with engine.begin() as connection:
            connection.execute(self._sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            yield

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
        t = self._t

        def question(connection: Any) -> dict[str, dict[str, Any]]:
            joined = t["study"].outerjoin(
                t["study_user"],
                (t["study_user"].c.study_id == t["study"].c.study_id) & (t["study_user"].c.key == RECORD),
            )
            rows = connection.execute(
                self._sa.select(t["study"].c.study_id, t["study"].c.study_name, t["study_user"].c.value_json)
                .select_from(joined)
                .order_by(t["study"].c.study_id)
            ).all()
            self._ids = {row.study_name: row.study_id for row in rows}
            return {row.study_name: json.loads(row.value_json) if row.value_json else {} for row in rows}

        return self._ask(question)

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
        sa, t = self._sa, self._t
        known = self._known.setdefault(study, [])
        trial = t["trial"]
        open_ones = [known_trial for known_trial in known if not known_trial.is_finished]
        changed = trial.c.trial_id > (known[-1].identity if known else -1)
        if open_ones:
            changed = changed | trial.c.trial_id.in_([known_trial.identity for known_trial in open_ones])
        rows = connection.execute(
            sa.select(trial.c.trial_id, trial.c.number, trial.c.state)
            .where((trial.c.study_id == identity) & changed)
            .order_by(trial.c.number)
        ).all()
        # Copies, which take the place of the known ones once they are whole: another thread may be reading those.
        by_identity = {
            known_trial.identity: replace(known_trial, rungs=dict(known_trial.rungs)) for known_trial in open_ones
        }
        new = []
        for row in rows:
            if row.trial_id not in by_identity:
                by_identity[row.trial_id] = Trial(row.number, "running", {}, identity=row.trial_id)
                new.append(row.trial_id)
            by_identity[row.trial_id].state = row.state.name.lower()
        ended = [row.trial_id for row in rows if by_identity[row.trial_id].is_finished]
        everything = len(rows) > _AT_ONCE  # then a join is cheaper than lists of numbers

        def select(table: Any, which: Sequence[int], *columns: Any) -> Iterable[Any]:
            if not which:
                return []
            question = sa.select(table.c.trial_id, *columns)
            if everything:
                question = question.join(trial, trial.c.trial_id == table.c.trial_id).where(
                    trial.c.study_id == identity
                )
                wanted = set(which)
                return (row for row in connection.execute(question) if row.trial_id in wanted)
            return connection.execute(question.where(table.c.trial_id.in_(which)))

        p, v, s, u, a = (t[name] for name in ("param", "value", "step", "user", "system"))
        for row in select(p, new, p.c.param_name, p.c.param_value, p.c.distribution_json):
            by_identity[row.trial_id].params[row.param_name] = external(row.distribution_json, row.param_value)
        for row in select(v, ended, v.c.objective, v.c.value, v.c.value_type):
            ended_trial = by_identity[row.trial_id]
            ended_trial.values = ended_trial.values + [math.nan] * (row.objective + 1 - len(ended_trial.values))
            ended_trial.values[row.objective] = _number(row.value, row.value_type.name)
        for row in select(s, ended, s.c.step, s.c.intermediate_value, s.c.intermediate_value_type):
            ended_trial = by_identity[row.trial_id]
            value = _number(row.intermediate_value, row.intermediate_value_type.name)
            ended_trial.steps = {**ended_trial.steps, row.step: value}
        for row in select(u, ended, u.c.key, u.c.value_json):
            if row.key == RECORD:
                by_identity[row.trial_id].record = json.loads(row.value_json)
        changed_ids = [row.trial_id for row in rows]
        for row in select(
            a, changed_ids, a.c.key, sa.case((a.c.key == CURVES, ""), else_=a.c.value_json).label("json")
        ):
            if row.key != CURVES:
                note(by_identity[row.trial_id], {row.key: json.loads(row.json)})
        for known_trial in by_identity.values():
            if known_trial.params:
                known_trial.params = dict(sorted(known_trial.params.items()))
            known_trial.steps = dict(sorted(known_trial.steps.items()))
        fresh = list(known)
        for known_trial in by_identity.values():
            if known_trial.number < len(fresh):
                fresh[known_trial.number] = known_trial
        fresh += [by_identity[identity] for identity in new]
        self._known[study] = fresh
        return fresh

    def seen(self, study: str) -> dict[str, float]:
        identity = self._id(study)

        def question(connection: Any) -> dict[str, float]:
            seen, now = self._seen(connection, identity)
            return {owner: now - at for owner, at in seen.items()}

        return self._ask(question)

    def _seen(self, connection: Any, identity: int) -> tuple[dict[str, float], float]:
        t = self._t["study_system"]
        rows = connection.execute(
            self._sa.select(t.c.key, t.c.value_json).where(
                (t.c.study_id == identity) & t.c.key.startswith(SEEN, autoescape=True)
            )
        )
        now = connection.execute(self._sa.text(_CLOCK)).scalar()
        return {row.key.removeprefix(SEEN): json.loads(row.value_json) for row in rows}, float(now)

    def curves(self, study: str) -> dict[int, dict[str, list[Any]]]:
        trial, attribute = self._t["trial"], self._t["system"]
        identity = self._id(study)

        def question(connection: Any) -> dict[int, dict[str, list[Any]]]:
            rows = connection.execute(
                self._sa.select(trial.c.number, attribute.c.value_json)
                .join(trial, trial.c.trial_id == attribute.c.trial_id)
                .where((trial.c.study_id == identity) & (attribute.c.key == CURVES))
            )
            return {row.number: json.loads(row.value_json) for row in rows}

        return self._ask(question)

    # Writing

    def create_study(self, name: str, directions: Sequence[str], declared: Mapping[str, Any]) -> None:
        from optuna.study import StudyDirection

        t, sa = self._t, self._sa
        ways = [StudyDirection.MAXIMIZE if d == "maximize" else StudyDirection.MINIMIZE for d in directions]

        def question(connection: Any) -> None:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if connection.execute(sa.select(t["study"].c.study_id).where(t["study"].c.study_name == name)).first():
                return  # another process was faster
            made = connection.execute(t["study"].insert().returning(t["study"].c.study_id), {"study_name": name})
            identity = made.scalar()
            rows = [{"study_id": identity, "direction": way, "objective": i} for i, way in enumerate(ways)]
            connection.execute(t["direction"].insert(), rows)
            attribute = {"study_id": identity, "key": RECORD, "value_json": json.dumps(dict(declared))}
            connection.execute(t["study_user"].insert(), attribute)

        self._ask(question)

    def heard(self, study: str, owner: str) -> None:
        identity = self._id(study)

        def question(connection: Any) -> None:
            now = float(connection.execute(self._sa.text(_CLOCK)).scalar())
            _write_heard(connection, self._t, identity, [owner], now)

        self._ask(question)

    def transact(self, study: str, change: Callable[[Change], T]) -> T:
        identity, t = self._id(study), self._t

        def question(connection: Any) -> T:
            self._refresh(connection, study, identity)  # the most of it before the lock, which should be short
            connection.execute(
                self._sa.select(t["study"].c.study_id).where(t["study"].c.study_id == identity).with_for_update()
            )
            trials = self._refresh(connection, study, identity)
            transaction = _SqlChange(trials, *self._seen(connection, identity))
            result = change(transaction)
            transaction.write(connection, self._sa, t, identity)
            return result

        return self._ask(question)


class _SqlChange(Change):
    def __init__(self, trials: list[Trial], seen: dict[str, float], now: float) -> None:
        self.trials, self.seen, self.now = trials, seen, now
        self._new: list[tuple[int, Point, str, Space]] = []
        self._taken: dict[int, dict[str, Any]] = {}
        self._ended: list[Outcome] = []
        self._heard: list[str] = []

    def create(self, points: Sequence[Point], owner: str, space: Space) -> list[int]:
        first = len(self.trials) + len(self._new)
        self._new += [(first + i, point, owner, space) for i, point in enumerate(points)]
        return list(range(first, first + len(points)))

    def take(self, number: int, owner: str, tries: int | None = None, problem: str = "") -> None:
        self._taken[number] = owned(owner, self.trials[number].tries + 1 if tries is None else tries, problem)

    def finish(self, outcome: Outcome) -> None:
        if not self.trials[outcome.number].is_finished:
            self._ended.append(outcome)

    def heard(self, owner: str) -> None:
        self._heard.append(owner)

    def write(self, connection: Any, sa: Any, t: dict[str, Any], study: int) -> None:
        """Write all of it, with a statement for each table."""
        from optuna.storages._rdb.models import TrialIntermediateValueModel, TrialValueModel
        from optuna.trial import TrialState
        from sqlalchemy.dialects.postgresql import insert

        now = datetime.now(UTC).replace(tzinfo=None)
        if self._new:
            rows = [
                {"number": n, "study_id": study, "state": TrialState.RUNNING, "datetime_start": now}
                for n, *_ in self._new
            ]
            made = connection.execute(
                t["trial"].insert().returning(t["trial"].c.trial_id, sort_by_parameter_order=True), rows
            ).all()
            params, owners = [], []
            for row, (_, point, owner, space) in zip(made, self._new, strict=True):
                leaves = {leaf.name: leaf for leaf in space.leaves}
                params += [
                    {
                        "trial_id": row.trial_id, "param_name": name, "param_value": internal(leaves[name], value),
                        "distribution_json": stored_distribution(leaves[name]),
                    }
                    for name, value in point.items()
                ]  # fmt: skip
                owners.append(_attribute(row.trial_id, OWNER, owned(owner, 1)))
            connection.execute(t["param"].insert(), params)
            connection.execute(t["system"].insert(), owners)
        attributes = [_attribute(self.trials[n].identity, OWNER, noted) for n, noted in self._taken.items()]
        shown: list[Any] = []
        values: list[Any] = []
        steps: list[Any] = []
        by_state: dict[Any, list[int]] = {}
        for outcome in self._ended:
            identity = self.trials[outcome.number].identity
            by_state.setdefault(TrialState(STATES[outcome.state]), []).append(identity)
            attributes += [_attribute(identity, key, value) for key, value in outcome.rungs.items()]
            if outcome.curve:
                attributes.append(_attribute(identity, CURVES, outcome.curve))
            shown += [_attribute(identity, key, value) for key, value in shown_attributes(outcome).items()]
            for objective, value in enumerate(outcome.values):
                stored, kind = TrialValueModel.value_to_stored_repr(value)
                values.append({"trial_id": identity, "objective": objective, "value": stored, "value_type": kind})
            for step, value in outcome.steps.items():
                at, sort = TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
                steps.append({
                    "trial_id": identity, "step": step, "intermediate_value": at, "intermediate_value_type": sort,
                })  # fmt: skip
        for table, rows, key in (("system", attributes, "key"), ("user", shown, "key")):
            if rows:
                statement = insert(t[table])
                statement = statement.on_conflict_do_update(
                    index_elements=["trial_id", key], set_={"value_json": statement.excluded.value_json}
                )
                connection.execute(statement, rows)
        if values:
            connection.execute(t["value"].insert(), values)
        if steps:
            connection.execute(t["step"].insert(), steps)
        for state, identities in by_state.items():
            connection.execute(
                sa.update(t["trial"])
                .where(t["trial"].c.trial_id.in_(identities))
                .values(state=state, datetime_complete=now)
            )
        _write_heard(connection, t, study, self._heard, self.now)


def _write_heard(connection: Any, t: dict[str, Any], study: int, owners: Sequence[str], now: float) -> None:
    from sqlalchemy.dialects.postgresql import insert

    if owners:
        statement = insert(t["study_system"])
        statement = statement.on_conflict_do_update(
            index_elements=["study_id", "key"], set_={"value_json": statement.excluded.value_json}
        )
        rows = [{"study_id": study, "key": SEEN + owner, "value_json": json.dumps(now)} for owner in owners]
        connection.execute(statement, rows)


def _attribute(identity: int, key: str, value: Any) -> dict[str, Any]:
    return {"trial_id": identity, "key": key, "value_json": json.dumps(value, separators=(",", ":"))}


def _number(value: float | None, kind: str) -> float:
    return {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}.get(kind, math.nan if value is None else value)


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return text.split("\n")[0] if text else type(error).__name__
