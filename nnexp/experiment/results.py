"""Results: the folder that an experiment fills, and its tables.

A finished run is a line of ``journal.jsonl``, written and synced before the next one counts; the tables are made
from the journal and replaced as a whole. A process that is killed at any moment therefore loses no finished run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

RUN_KEYS = ["data", "model", "repeat", "fold"]


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
        A row for each step of each run: error, validation_error, evaluations so far.
    times : pandas.DataFrame
        Seconds of each run. They differ from machine to machine and so stand apart.
    experiment : dict
        The resolved experiment.
    environment : dict
        Versions, platform, data fingerprints, the command.
    """

    folder: Path
    runs: pd.DataFrame
    curves: pd.DataFrame
    times: pd.DataFrame
    experiment: dict[str, Any]
    environment: dict[str, Any]

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
    folder = Path(folder)
    if not (folder / "runs.csv").is_file():
        hint = "" if folder.is_dir() else " There is no such folder."
        raise ResultsError(f"{folder} holds no results (no runs.csv).{hint} `nnexp run FILE` makes them.")

    def table(name: str) -> pd.DataFrame:
        try:
            return pd.read_csv(folder / name)
        except pd.errors.EmptyDataError:
            return pd.DataFrame()
        except Exception as error:
            raise ResultsError(f"{folder / name} cannot be read: {error}") from error

    def record(name: str) -> dict[str, Any]:
        try:
            return json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ResultsError(f"{folder / name} cannot be read: {error}") from error

    return Results(
        folder,
        table("runs.csv"),
        table("curves.csv"),
        table("times.csv"),
        record("experiment.json"),
        record("environment.json"),
    )


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
            self._file: IO[bytes] = open(folder / "journal.jsonl", "a+b")  # noqa: SIM115
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {folder}: {error.strerror}.") from error
        try:
            _lock(self._file, folder)
        except ResultsError:
            self._file.close()
            raise
        self.records: dict[str, dict[str, Any]] = {}
        self.lost = ""
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        end, damaged = 0, 0
        for line in self._file:
            try:
                record = json.loads(line)
                if not line.endswith(b"\n"):
                    break
                self.records[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                damaged += 1
            if line.endswith(b"\n"):
                end += len(line)
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() > end:  # the process was killed while it wrote a line
            self._file.truncate(end)
            damaged = max(damaged, 1)
        if damaged:
            self.lost = f"{damaged} damaged record(s) in {self._file.name} are left out and run again."

    def append(self, record: dict[str, Any]) -> None:
        """Add a finished run; when this returns it is on the disk."""
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records[record["key"]] = record

    def close(self) -> None:
        """Let others write."""
        self._file.close()


def _lock(file: IO[bytes], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not on this platform
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ResultsError(f"Another nnexp run is writing to {folder}; wait for it or name other --results.") from error


def write_tables(folder: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write runs.csv, curves.csv and times.csv from the records of runs, in the order given."""
    rows, times, curves = [], [], []
    for record in records:
        rows.append(record["row"])
        own = {key: record["row"][key] for key in RUN_KEYS}
        times.append({**own, **record["times"]})
        if record["curve"]:
            curves.append(pd.DataFrame({**own, **record["curve"]}))
    curve_columns = [*RUN_KEYS, "step", "error", "validation_error", "evaluations"]
    joined = pd.concat(curves) if curves else pd.DataFrame(columns=curve_columns)
    write_atomically(folder / "runs.csv", pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
    write_atomically(folder / "times.csv", pd.DataFrame(times).to_csv(index=False, lineterminator="\n"))
    write_atomically(folder / "curves.csv", joined.to_csv(index=False, lineterminator="\n"))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader and no crash meets half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
