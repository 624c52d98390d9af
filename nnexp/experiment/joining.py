"""Join experiments that ran on the same splits of the same data into one, and say where they do not agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from nnexp._choices import SWEEP_TABLES
from nnexp._errors import quoted, reason
from nnexp._files import as_path
from nnexp.experiment.results import (
    DETAIL_TABLES,
    Results,
    ResultsError,
    load_environment,
    load_results,
    write_atomically,
)
from nnexp.experiment.runs import record_hashes
from nnexp.experiment.schema import NAME_RULE, is_name


def join(folders: Sequence[str | Path], into: str | Path, name: str | None = None, command: str = "") -> Path:
    """Write the joined results of experiments, which `load_results` and the report read like those of one.

    Parameters
    ----------
    folders : sequence of str or Path
        Two or more results folders.
    into : str or Path
        The folder in which the joined one stands.
    name : str, default=None
        Of the joined experiment; by default the names of all.
    command : str, default=""
        The command to be recorded.

    Returns
    -------
    Path
        Of the joined folder.

    Raises
    ------
    ResultsError
        If there is nothing that all have in common, or a folder cannot be read or written.

    Notes
    -----
    A data set takes part if all experiments have it with the same fingerprint; its splits, if all have them with the same test
    rows. What is left out is said in ``notes`` of environment.json, and at the top of the report.
    """
    if len(folders) < 2:
        raise ResultsError("Name two results folders or more, such as results/first results/second.")
    parts = [load_results(folder) for folder in folders]
    names = [str(part.experiment["name"]) for part in parts]
    if len(set(names)) < len(names):
        names = [
            f"{name_of_part} in {part.folder.parent}" if names.count(name_of_part) > 1 else name_of_part
            for name_of_part, part in zip(names, parts, strict=True)
        ]
    if len(set(names)) < len(names):
        raise ResultsError("A results folder is named twice.")
    notes: list[str] = []
    metrics = _metrics(parts, names, notes)
    shared = _shared_splits(parts, names, notes)
    if not shared:
        raise ResultsError("There is nothing to join:\n" + "\n".join(notes or ["no data set is in all of them."]))
    renamed = _renamed(parts, names, shared, notes)
    notes += _versions(parts, names)
    notes += dict.fromkeys(note for part in parts for note in part.environment.get("notes", []))
    joined = name or "-".join(str(part.experiment["name"]) for part in parts)
    if not is_name(joined):
        raise ResultsError(
            f"The name {quoted(joined)} is none: {NAME_RULE}. Give the joined experiment another --name."
        )
    folder = as_path(into, "The folder of results") / joined
    if folder.resolve() in {part.folder.resolve() for part in parts}:
        raise ResultsError(f"{folder} is one of the folders to be joined; give the joined one another --name.")
    if folder.is_dir() and any(folder.iterdir()) and "joined" not in _environment_of(folder):
        raise ResultsError(f"{folder} holds something else than joined results; give the joined one another --name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"The results cannot be written to {folder}: {reason(error)}.") from error
    for table in ["runs", "curves", "times", *DETAIL_TABLES, *SWEEP_TABLES]:
        frames = [
            _kept(getattr(part, table), part, shared, new_names) for part, new_names in zip(parts, renamed, strict=True)
        ]
        frames = [frame for frame in frames if len(frame)]
        if frames or table in ("runs", "curves", "times"):
            whole = pd.concat(frames, ignore_index=True) if frames else getattr(parts[0], table).iloc[:0]
            if table == "boundaries":  # the points are those of the data, in every experiment
                whole = whole.drop_duplicates()
            write_atomically(folder / f"{table}.csv", whole.to_csv(index=False, lineterminator="\n"))
        else:
            (folder / f"{table}.csv").unlink(missing_ok=True)
    first = parts[0]
    experiment = {
        "name": joined,
        "question": f"How do the models of {', '.join(names[:-1])} and {names[-1]} compare?",
        "seed": first.experiment["seed"],
        "evaluation": {**first.experiment["evaluation"], "metrics": metrics},
        "data": {data: first.experiment["data"][data] for data in shared},
        **next(({"sweep": p.experiment["sweep"]} for p in parts if p.experiment.get("sweep")), {}),
        "model": {
            new_names[model]: settings
            for part, new_names in zip(parts, renamed, strict=True)
            for model, settings in part.experiment["model"].items()
            if model in new_names
        },
    }  # fmt: skip
    rows = len(pd.read_csv(folder / "runs.csv", usecols=["data"]))
    environment = {
        **{key: value for key, value in first.environment.items() if key not in ("files", "blocks", "notes")},
        "command": command,
        "planned_runs": rows,
        "quick": any(part.environment.get("quick") for part in parts),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {data: first.environment["data"][data] for data in shared},
        "notes": notes,
        "joined": [
            {"name": name_of_part, "command": part.environment["command"], "files": part.environment.get("files", {})}
            for name_of_part, part in zip(names, parts, strict=True)
        ],
    }
    write_atomically(folder / "experiment.json", json.dumps(experiment, indent=2) + "\n")
    record_hashes(folder, environment)
    return folder


def _environment_of(folder: Path) -> dict[str, Any]:
    try:
        return load_environment(folder)
    except ResultsError:
        return {}


def _metrics(parts: list[Results], names: list[str], notes: list[str]) -> dict[str, list[str]]:
    """Return the metrics that all experiments have, for each task; the first one decides."""
    common_metrics = {}
    for task in ("classification", "regression"):
        each = [part.experiment["evaluation"]["metrics"][task] for part in parts]
        common = [metric for metric in each[0] if all(metric in scores for scores in each)]
        if len({scores[0] for scores in each}) > 1 and common:
            deciding = ", ".join(f"{name} by {scores[0]}" for name, scores in zip(names, each, strict=True))
            notes.append(f"The experiments decide {task} by different scores ({deciding}); here {common[0]} decides.")
        of_task = any((part.runs["task"] == task).any() for part in parts)
        if of_task and not common:
            raise ResultsError(f"There is nothing to join: the experiments have no score of {task} in common.")
        common_metrics[task] = common or each[0]
    return common_metrics


def _splits(part: Results, data: str) -> dict[tuple[int, int], Any]:
    """Return what tells each split of a data set apart: the hash of its test rows, or its seed and size in older tables."""
    splits = part.runs[part.runs["data"] == data].drop_duplicates(["repeat", "fold"])
    columns = (
        ["split"] if "split" in splits and splits["split"].fillna("").ne("").all() else ["seed", "n_train", "n_test"]
    )
    columns = [column for column in columns if column in splits]
    return {
        (int(row["repeat"]), int(row["fold"])): tuple(str(row[column]) for column in columns)
        for row in splits.to_dict("records")
    }


def _shared_splits(parts: list[Results], names: list[str], notes: list[str]) -> dict[str, set[tuple[int, int]]]:
    every = dict.fromkeys(data for part in parts for data in part.experiment["data"])
    shared = {}
    for data in every:
        lacking = [name for name, part in zip(names, parts, strict=True) if not (part.runs["data"] == data).any()]
        if lacking:
            notes.append(f"{data} is left out: {', '.join(lacking)} did not run on it.")
            continue
        unknown = [name for name, part in zip(names, parts, strict=True) if data not in part.environment["data"]]
        if unknown:
            notes.append(
                f"{data} is left out: environment.json of {', '.join(unknown)} does not say which data it was."
            )
            continue
        prints = {str(part.environment["data"][data]["fingerprint"]) for part in parts}
        if len(prints) > 1:
            notes.append(
                f"{data} is left out: different data under one name (fingerprints {', '.join(sorted(prints))})."
            )
            continue
        each = [_splits(part, data) for part in parts]
        common = {key for key in each[0] if all(splits.get(key) == each[0][key] for splits in each)}
        if not common:
            notes.append(f"{data} is left out: the experiments share no split of it.")
            continue
        most = max(len(splits) for splits in each)
        if len(common) < most:
            counts = ", ".join(f"{name} {len(splits)}" for name, splits in zip(names, each, strict=True))
            notes.append(f"On {data} the splits differ ({counts}): the {len(common)} that all share are compared.")
        shared[data] = common
    return shared


def _renamed(
    parts: list[Results], names: list[str], shared: dict[str, set[tuple[int, int]]], notes: list[str]
) -> list[dict[str, str]]:
    """Return the names of each experiment's models in the joined one: two of one name are told apart, unless they are one."""
    taken: dict[str, tuple[Any, pd.DataFrame]] = {}
    renamed = []
    for part, experiment in zip(parts, names, strict=True):
        new_names: dict[str, str] = {}
        for model, settings in part.experiment["model"].items():
            rows = _kept(part.runs, part, shared, {model: model})
            if rows.empty:
                continue
            compared = rows.drop(columns=[c for c in ("warnings",) if c in rows]).reset_index(drop=True)
            if model not in taken:
                taken[model] = settings, compared
                new_names[model] = model
            elif taken[model][0] == settings and taken[model][1].equals(compared):
                notes.append(f"{model} ran alike in several experiments, and counts once.")
            else:
                new_names[model] = f"{model} ({experiment})"
                notes.append(
                    f"{model} is not the same in all experiments: that of {experiment} is called {new_names[model]}."
                )
        renamed.append(new_names)
    return renamed


def _kept(
    table: pd.DataFrame, part: Results, shared: dict[str, set[tuple[int, int]]], models: dict[str, str]
) -> pd.DataFrame:
    """Return the rows of the shared splits and of these models, under their new names."""
    if table.empty:
        return table
    chosen = table["model"].isin(models) | (table["model"] == "")  # the points of boundaries belong to no model
    rows = table[table["data"].isin(shared) & chosen]
    if {"repeat", "fold"} <= set(rows) and len(rows) and rows["fold"].notna().all():
        pairs = zip(rows["data"], rows["repeat"].astype(int), rows["fold"].astype(int), strict=True)
        rows = rows[[(repeat, fold) in shared[data] for data, repeat, fold in pairs]]
    return rows.assign(model=rows["model"].map(lambda name: models.get(name, name)))


def _versions(parts: list[Results], names: list[str]) -> list[str]:
    notes = []
    first = parts[0].environment
    for name, part in zip(names[1:], parts[1:], strict=True):
        versions, versions_here = first["versions"], part.environment["versions"]
        other = [
            f"{key} {versions_here.get(key)} and {versions[key]}"
            for key in versions
            if versions_here.get(key) != versions[key]
        ]
        if other:
            notes.append(f"{name} and {names[0]} ran with different versions: {', '.join(other)}.")
        if any(first.get(key) != part.environment.get(key) for key in ("platform", "blas")):
            notes.append(f"{name} and {names[0]} ran on different machines: their seconds cannot be compared.")
    return notes
