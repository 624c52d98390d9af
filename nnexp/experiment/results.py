"""Results: the folder that an experiment fills, and its tables.

A finished run is a line of ``journal.jsonl``, written and synced before the next one counts; the tables are made
from the journal and replaced as a whole. A process that is killed at any moment therefore loses no finished run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd

DETAIL_TABLES = ["confusion", "calibration", "residuals", "boundaries", "networks"]
SWEEP_TABLES = ["trials", "trial_curves", "trial_times", "tuned", "importances"]
RUN_KEYS = ["data", "model", "repeat", "fold"]
# What is text and stays text, whatever it looks like: a model may be called 16 or null.
_TEXT = ["data", "model", "task", "fingerprint", "split", "status", "problem", "stop_reason", "warnings"]
BEFORE_SCORES = [
    "data", "task", "model", "repeat", "fold", "seed", "fingerprint", "split", "n_train", "n_test", "status", "problem",
]  # fmt: skip
AFTER_SCORES = ["evaluations", "n_iter", "n_parameters", "stop_reason", "warnings"]
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


class ResultsError(ValueError):
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
    folder = Path(folder).expanduser()
    if not (folder / "runs.csv").is_file():
        hint = "" if folder.is_dir() else " There is no such folder."
        raise ResultsError(f"{folder} holds no results (no runs.csv).{hint} `nnexp run FILE` makes them.")

    def table(name: str) -> pd.DataFrame:
        wrong = f"{folder / name} cannot be read"
        try:
            frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
            missing = [column for column in _COLUMNS[name] if column not in frame.columns]
            if missing:
                raise ResultsError(f"{wrong}: it has no column {missing[0]!r}.")
            for column in [own for own in _ADDED.get(name, ()) if own not in frame.columns]:
                frame[column] = ""  # tables of an earlier version
            for column in frame.columns.difference(_TEXT):
                frame[column] = pd.to_numeric(frame[column].replace("", None))
        except ResultsError:
            raise
        except Exception as error:
            raise ResultsError(f"{wrong}: {error}") from error
        return frame

    def record(name: str, keys: list[str]) -> dict[str, Any]:
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ResultsError(f"{folder / name} cannot be read: {error}") from error
        for key in keys:
            if not isinstance(content, dict) or key not in content:
                raise ResultsError(f"{folder / name} cannot be read: it has no key {key!r}.")
        return dict(content)

    return Results(
        folder,
        table("runs.csv"),
        table("curves.csv"),
        table("times.csv"),
        record("experiment.json", ["name", "question", "seed", "evaluation", "data", "model"]),
        record("environment.json", ["command", "planned_runs", "versions", "data"]),
        **{name: _optional_table(folder / f"{name}.csv") for name in [*DETAIL_TABLES, *SWEEP_TABLES]},
    )


def _optional_table(path: Path) -> pd.DataFrame:
    """Read a table that not all experiments have, such as one of sweeps; empty if there is none."""
    if not path.is_file():
        return pd.DataFrame()
    text = dict.fromkeys(
        [
            "data",
            "model",
            "state",
            "problem",
            "reused_from",
            "parameters",
            "parameter",
            "process",
            "true",
            "predicted",
            "activation",
        ],
        str,
    )
    try:
        frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except Exception as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error
    for name in ("data", "model"):
        if name not in frame.columns:
            raise ResultsError(f"{path} cannot be read: it has no column {name!r}.")
    if "kind" in frame:  # the points of boundaries belong to no model
        frame["model"] = frame["model"].fillna("")
    return frame.assign(problem=frame["problem"].fillna("")) if "problem" in frame else frame


class Journal:
    """The append-only file of finished runs.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Attributes
    ----------
    records : dict
        The finished runs by their key.
    lost : str
        What was found damaged and left out, in a sentence; empty if nothing was.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what could not be written must not come back when the file is closed.
            self._file: IO[bytes] = open(folder / "journal.jsonl", "a+b", buffering=0)  # noqa: SIM115
            _sync_folder(folder)
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {folder}: {error.strerror}.") from error
        try:
            _lock(self._file, folder)
        except ResultsError:
            self._file.close()
            raise
        self.records: dict[str, dict[str, Any]] = {}
        self.lost = ""
        self.read()

    def read(self) -> None:
        """Read the finished runs from the file, and mend it where it is damaged."""
        self._file.seek(0)
        damaged = 0
        for line in self._file.read().splitlines(keepends=True):
            record = _parsed(line)
            if record is None:
                damaged += 1
            else:
                self.records[record["key"]] = record
        if damaged:  # such as the line that was being written when the process was killed
            self.lost = f"{damaged} damaged record(s) in {self._file.name} are left out and run again."
            self._file.truncate(0)
            for record in self.records.values():
                self.append(record)

    def append(self, record: dict[str, Any]) -> None:
        """Add a finished run; when this returns it is on the disk."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())
        self.records[record["key"]] = record

    def close(self) -> None:
        """Let others write."""
        self._file.close()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the record of a whole line, or None if it is damaged."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        return None
    row, times, curve = (record.get(part) for part in ("row", "times", "curve"))
    sound = isinstance(row, dict) and isinstance(times, dict) and isinstance(curve, dict)
    if not (sound and {*RUN_KEYS, "status"} <= set(row or ())):
        return None
    lengths = {len(values) if isinstance(values, list) else -1 for values in (curve or {}).values()}
    return record if len(lengths) <= 1 and -1 not in lengths else None


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where the platform can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(file: IO[bytes], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not on this platform
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ResultsError(f"Another nnexp run is writing to {folder}; wait for it or name other --results.") from error


def write_tables(folder: Path, records: Iterable[dict[str, Any]], metrics: list[str]) -> None:
    """Write runs.csv, curves.csv and times.csv from the records of runs, in the order given.

    ``metrics`` are all scores of the experiment; a row leaves those of the other task empty.
    """
    rows, times, curves = [], [], []
    for record in records:
        rows.append(record["row"])
        own = {key: record["row"][key] for key in RUN_KEYS}
        times.append({**own, **record["times"]})
        if record["curve"]:
            curves.append(pd.DataFrame({**own, **thinned(record["curve"])}))
    joined = pd.concat(curves) if curves else pd.DataFrame(columns=_COLUMNS["curves.csv"])
    joined = joined.reindex(columns=[*_COLUMNS["curves.csv"], *_ADDED["curves.csv"]])
    columns = [column for part in (BEFORE_SCORES, metrics, AFTER_SCORES) for column in part]
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


def blocks_of(path: Path) -> dict[str, str]:
    """Return a short hash of the rows of each data set and model of runs.csv, so that a change can be told by its place."""
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    return {
        f"{data} / {model}": hashlib.sha256(own.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:12]
        for (data, model), own in text.groupby(["data", "model"], sort=False)
    }


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader and no crash meets half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ResultsError(f"{path} cannot be written: {error.strerror or error}.") from error
