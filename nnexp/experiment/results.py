"""Results: the folder that an experiment fills, and its tables.

A finished run is a line of ``journal.jsonl``, written and synced before the next one counts; the tables are made
from the journal and replaced as a whole. A process that is killed at any moment therefore loses no finished run.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ValidationError

from nnexp._choices import SWEEP_TABLES
from nnexp._errors import ExpectedError, quoted, reason
from nnexp._files import (
    Lock,
    LockError,
    append,
    as_path,
    cut_torn_tail,
    next_free,
    open_to_append,
    parse_json,
    read_whole,
    remove_left,
    replacing,
    sync_folder,
    write_text,
)
from nnexp.experiment.schema import (
    TABLES,
    EnvironmentRecord,
    ExperimentRecord,
    TableError,
    check_table,
    first_problem,
    is_declaration,
    is_run_record,
)

DETAIL_TABLES = ["confusion", "calibration", "residuals", "boundaries", "networks"]
RUN_KEYS = ["data", "model", "repeat", "fold"]
BEFORE_SCORES = [
    "data", "task", "model", "repeat", "fold", "seed", "fingerprint", "split", "n_train", "n_test", "status", "problem",
]  # fmt: skip
AFTER_SCORES = ["evaluations", "n_iter", "n_parameters", "stop_reason", "warnings"]
# With which other versions a run was made that has been kept; the column is there where one has.
MADE_WITH = "made_with"
_COLUMNS = {
    "runs.csv": [*RUN_KEYS, "task", "n_train", "n_test", "status", "problem", "evaluations", "warnings"],
    "curves.csv": [*RUN_KEYS, "step", "error", "validation_error", "evaluations"],
    "times.csv": [*RUN_KEYS, "fit_seconds", "score_seconds"],
}
# What tables have had only since a later version.
POPULATION = ["population_best_error", "population_median_error", "population_worst_error", "diversity"]
_ADDED = {"curves.csv": ["validation_score", *POPULATION]}
# Points of a learning curve that are kept: an eye tells no more apart.
CURVE_POINTS = 50


class ResultsError(ExpectedError, ValueError):
    """A results folder cannot be read or written; the message says why."""


@dataclass(frozen=True)
class Results:
    """The tables of an experiment.

    Attributes
    ----------
    folder : Path
    runs : pandas.DataFrame
        A row for each run: data, model, repeat, fold, scores, cost in evaluations, how it ended.
    curves : pandas.DataFrame
        A row for each step of each run: error, validation_error, validation_score, evaluations so far.
    times : pandas.DataFrame
        Seconds of each run. They differ from machine to machine and so stand apart.
    experiment : dict
        The resolved experiment.
    environment : dict
        Versions, platform, data fingerprints, the command.
    confusion, calibration, residuals, boundaries, networks : pandas.DataFrame
        What fitted models showed of themselves: how often a class was taken for another, how often the model was right by how
        sure it was, targets and predictions of test rows, predictions on a grid over two columns, neurons and weights.
    trials : pandas.DataFrame
        Of sweeps, a row for each trial: number, state, parameters, scores, cost in evaluations. Empty without a sweep.
    trial_curves : pandas.DataFrame
        A row for each step of each fold of each trial.
    trial_times : pandas.DataFrame
        Seconds of each trial.
    tuned : pandas.DataFrame
        A row for each sweep: its best trial, that one's inner score, what all trials cost, the parameters as JSON.
    importances : pandas.DataFrame
        How much each parameter decides about the score, for each sweep.
    """

    folder: Path
    runs: pd.DataFrame
    curves: pd.DataFrame
    times: pd.DataFrame
    experiment: dict[str, Any]
    environment: dict[str, Any]
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    residuals: pd.DataFrame = field(default_factory=pd.DataFrame)
    boundaries: pd.DataFrame = field(default_factory=pd.DataFrame)
    networks: pd.DataFrame = field(default_factory=pd.DataFrame)
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    trial_curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    trial_times: pd.DataFrame = field(default_factory=pd.DataFrame)
    tuned: pd.DataFrame = field(default_factory=pd.DataFrame)
    importances: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        for name in (*DETAIL_TABLES, *SWEEP_TABLES):  # one that is not there has no rows, and its columns all the same
            if not len(getattr(self, name).columns):
                object.__setattr__(self, name, pd.DataFrame(columns=list(TABLES[name])))

    def __repr__(self) -> str:
        done = f"{len(self.runs)} of {self.environment.get('planned_runs', len(self.runs))} runs"
        models, data = len(self.experiment.get("model", ())), len(self.experiment.get("data", ()))
        return f"<Results of {self.experiment.get('name')}: {done}, {models} models, {data} data sets; {self.folder}>"

    @property
    def is_complete(self) -> bool:
        """Whether every planned run is there."""
        return len(self.runs) == self.environment.get("planned_runs", len(self.runs))


def load_results(folder: str | Path) -> Results:
    """Read the tables that ``nnexp run`` wrote.

    Parameters
    ----------
    folder : str or Path
        Such as ``results/quickstart``.

    Returns
    -------
    Results
        With ``runs``, ``curves``, ``times`` (DataFrames), ``experiment`` and ``environment``.

    Raises
    ------
    ResultsError
        If the folder holds no results, or a file of them cannot be read.
    """
    folder = as_path(folder, "The results folder")
    if not (folder / "runs.csv").is_file():
        hint = "" if folder.is_dir() else " There is no such folder."
        raise ResultsError(f"{folder} holds no results (no runs.csv).{hint} `nnexp run FILE` makes them.")
    experiment = _record(folder / "experiment.json", ExperimentRecord)
    environment = _record(folder / "environment.json", EnvironmentRecord)
    tables = {name: _table(folder / f"{name}.csv", experiment) for name in ("runs", "curves", "times")}
    more = {name: _table(folder / f"{name}.csv", experiment, optional=True) for name in [*DETAIL_TABLES, *SWEEP_TABLES]}
    _check_scores(folder / "runs.csv", tables["runs"], experiment)
    return Results(folder, **tables, experiment=experiment, environment=environment, **more)


def load_environment(folder: Path) -> dict[str, Any]:
    """Read ``environment.json`` of a results folder.

    Raises
    ------
    ResultsError
        If it is not there or cannot be read.
    """
    if not (folder / "runs.csv").is_file() and not (folder / "environment.json").is_file():
        hint = "" if folder.is_dir() else " There is no such folder."
        raise ResultsError(f"{folder} holds no results (no runs.csv).{hint} `nnexp run FILE` makes them.")
    return _record(folder / "environment.json", EnvironmentRecord)


def _record(path: Path, schema: type[BaseModel]) -> dict[str, Any]:
    """Read a file of JSON, and check it as a stranger's."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        content = parse_json(path.read_text(encoding="utf-8"))
        checked = schema.model_validate(content)
    except ValidationError as error:
        raise ResultsError(f"{path} cannot be read: {first_problem(error)}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}.") from error
    # What was left to a default is filled in; what only a later version knows stays.
    return {**content, **checked.model_dump(include=_FILLED_IN & set(content))}


# Parts of a record that are read key by key.
_FILLED_IN = {"evaluation", "sweep"}


def _table(path: Path, experiment: dict[str, Any], optional: bool = False) -> pd.DataFrame:
    """Read a table and check it; an empty one for what not all experiments have, such as one of sweeps."""
    if optional and not path.exists():
        return pd.DataFrame()
    try:
        if not path.is_file():
            raise TableError("it is missing" if not path.exists() else "it is no file")
        frame = text_table(path)
        for column in [column for column in _ADDED.get(path.name, ()) if column not in frame.columns]:
            frame[column] = ""  # tables of an earlier version
        return check_table(path.stem, frame, experiment)
    except Exception as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}.") from error


def _check_scores(path: Path, runs: pd.DataFrame, experiment: dict[str, Any]) -> None:
    """Raise a ResultsError unless each finished run has the score that decides its task."""
    metrics = ExperimentRecord.model_validate(experiment).evaluation.metrics.model_dump()
    tasks = runs.groupby("data", sort=False)["task"].nunique()
    if (tasks > 1).any():
        raise ResultsError(f"{path} cannot be read: the data set {quoted(tasks.idxmax())} has two tasks.")
    for task, names in metrics.items():
        finished = runs[(runs["task"] == task) & (runs["status"] == "ok")]
        for name in names if len(finished) else []:
            if name not in runs.columns or (name == names[0] and finished[name].isna().any()):
                raise ResultsError(f"{path} cannot be read: a finished run has no score {quoted(name)}.")


class JournalContent:
    """What a journal holds.

    Attributes
    ----------
    records : dict
        The finished runs by their key.
    deaths : dict
        The records of runs that the machine could not finish; see `Journal`.
    declared : dict or None
        The experiment and the environment as they were when it was last run; None in a journal of an earlier version.
    """

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.deaths: dict[str, dict[str, Any]] = {}
        self.declared: dict[str, Any] | None = None

    def note(self, record: dict[str, Any]) -> None:
        """Take in a line."""
        if "declared" in record:
            self.declared = record["declared"]
        elif record.get("is_result", True) and not _tells_of_a_death(record):
            self.records.pop(record["key"], None)  # the last one stands last
            self.records[record["key"]] = record
        else:
            self.deaths[record["key"]] = record

    def row_of(self, key: str) -> dict[str, Any] | None:
        """Return the record of a run: its result, or else what kept it from one."""
        return self.records.get(key) or self.deaths.get(key)


def read_journal(folder: Path) -> tuple[JournalContent, int]:
    """Read a journal that nobody is to write to; return what it holds, and how many of its lines are damaged.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    content, damaged = JournalContent(), 0
    for line in (folder / "journal.jsonl").read_bytes().splitlines(keepends=True):
        record = _parsed(line)
        if record is None:
            damaged += 1
        else:
            content.note(record)
    return content, damaged


class Journal(JournalContent):
    """The append-only file of finished runs.

    A last line that a kill has cut short is cut off where it begins. Damage in the middle, as by another program, is left out
    of a new file that takes the place of the old one; a copy of the old one is kept.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Attributes
    ----------
    records, declared : dict
        See `JournalContent`.
    deaths : dict
        The records of runs that the machine could not finish: their process was killed, or memory ran out. That is no result:
        a later record of the same key is.
    lost : str
        What was found damaged and left out, in a sentence; empty if nothing was.

    Raises
    ------
    ResultsError
        If another process writes to the folder, or it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._path = folder, folder / "journal.jsonl"
        self.lost = ""
        self._descriptor = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder / ".journal.lock")
            if not self._lock.acquire(wait=False):
                raise ResultsError(f"Another nnexp run is writing to {folder}; wait for it or name other --results.")
            try:
                remove_left(folder)
                self._descriptor = open_to_append(self._path)
                sync_folder(folder)
                self.read()
            except BaseException:
                self.close()
                raise
        except LockError as error:
            raise ResultsError(f"The results cannot be written to {folder}: {error}.") from error
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {folder}: {reason(error)}.") from error

    def read(self) -> None:
        """Read the finished runs from the file, and mend it where it is damaged."""
        torn = cut_torn_tail(self._descriptor)
        lines = read_whole(self._descriptor).splitlines(keepends=True)
        records = [_parsed(line) for line in lines]
        damaged = records.count(None) + bool(torn)
        if None in records:
            self._replace([line for line, record in zip(lines, records, strict=True) if record is not None])
        for record in records:
            if record is not None:
                self.note(record)
        if damaged:
            self.lost = f"{damaged} damaged record(s) in {self._path} are left out and run again."

    def _replace(self, whole: list[bytes]) -> None:
        """Put a file of whole lines in the place of a damaged one, of which a copy is kept."""
        copy = next_free(self._path.with_name(f"{self._path.name}.damaged"))
        with replacing(copy) as file:
            file.write(read_whole(self._descriptor))
        os.close(self._descriptor)  # some systems replace no open file
        self._descriptor = -1
        with replacing(self._path) as file:
            file.writelines(whole)
        self._descriptor = open_to_append(self._path)

    def append(self, record: dict[str, Any]) -> None:
        """Add a finished run; when this returns it is on the disk."""
        append(self._descriptor, json.dumps(record, ensure_ascii=True).encode() + b"\n")
        self.note(record)

    def declare(self, experiment: dict[str, Any], environment: dict[str, Any], versions: dict[str, str]) -> None:
        """Note what is asked, where it is run and with which versions, unless that is what was noted last."""
        text = json.dumps({"experiment": experiment, "environment": environment, "versions": versions})
        if text != json.dumps(self.declared):  # as text, since what is no number equals nothing
            self.append({"declared": json.loads(text)})

    def close(self) -> None:
        """Let others write."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lock.release()


def _tells_of_a_death(record: dict[str, Any]) -> bool:
    """Whether a record of an earlier version, which took a death for a result, tells of one."""
    problem = str(record["row"].get("problem"))
    return record["row"]["status"] == "failed" and problem.startswith(("WorkerDiedError:", "MemoryError:"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the record of a whole line, or None if it is damaged."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if is_run_record(record) or is_declaration(record) else None


def write_tables(folder: Path, records: Iterable[dict[str, Any]], metrics: list[str]) -> None:
    """Write runs.csv, curves.csv and times.csv from the records of runs, in the order given.

    ``metrics`` are all scores of the experiment; a row leaves those of the other task empty.
    """
    rows, times, curves = [], [], []
    for record in records:
        rows.append(record["row"])
        place = {key: record["row"][key] for key in RUN_KEYS}
        times.append({**place, **record["times"]})
        if record["curve"]:
            curves.append(pd.DataFrame({**place, **thinned(record["curve"])}))
    joined = pd.concat(curves) if curves else pd.DataFrame(columns=_COLUMNS["curves.csv"])
    joined = joined.reindex(columns=[*_COLUMNS["curves.csv"], *_ADDED["curves.csv"]])
    columns = [column for part in (BEFORE_SCORES, metrics, AFTER_SCORES) for column in part]
    if any(row.get(MADE_WITH) for row in rows):
        columns.append(MADE_WITH)
    runs, spent = pd.DataFrame(rows, columns=columns), pd.DataFrame(times, columns=_COLUMNS["times.csv"])
    write_atomically(folder / "runs.csv", runs.to_csv(index=False, lineterminator="\n"))
    write_atomically(folder / "times.csv", spent.to_csv(index=False, lineterminator="\n"))
    write_atomically(folder / "curves.csv", joined.to_csv(index=False, lineterminator="\n"))


def thinned(curve: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Keep at most 50 steps of a learning curve, the first and the last among them, evenly on a logarithmic axis."""
    steps = len(next(iter(curve.values()), []))
    if steps <= CURVE_POINTS:
        return curve
    kept = sorted({round(steps ** (i / (CURVE_POINTS - 1))) - 1 for i in range(CURVE_POINTS)})
    return {name: [values[i] for i in kept] for name, values in curve.items()}


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_table(path: Path) -> pd.DataFrame:
    """Read a table as text; a lone carriage return is a part of a cell, as it is where it is written."""
    content = path.read_bytes()
    ends: Any = "\n" if b"\r\n" not in content else None
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, index_col=False, lineterminator=ends)


def blocks_of(path: Path) -> dict[str, str]:
    """Return a short hash of the rows of each data set and model of runs.csv, so that a change can be told by its place."""
    text = text_table(path)
    return {
        f"{data} / {model}": hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:12]
        for (data, model), rows in text.groupby(["data", "model"], sort=False)
    }


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader and no crash meets half of it."""
    try:
        write_text(path, text)
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {reason(error)}.") from error
