"""A study's trials as pandas tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nnexp.sweep.space import Space
from nnexp.sweep.store import Trial

# What a table of trials has besides parameters.
_OWN = {
    "data", "model", "repeat", "fold", "number", "state", "value", "is_best", "evaluations", "pruned_at", "reused_from", "problem",
    "made_with", "p_against_best",
}  # fmt: skip
CURVE_COLUMNS = ["number", "fold", "step", "error", "validation_error", "evaluations"]


def trials_table(
    trials: Sequence[Trial], space: Space, metrics: Sequence[str], against_best: Sequence[float]
) -> pd.DataFrame:
    """Return a row for each finished trial: number, state, parameters, scores, cost, and why it ended as it did.

    Parameters
    ----------
    trials : sequence of Trial
    space : Space
    metrics : sequence of str
    against_best : sequence of float
        For each trial the p of the test that it differs from the best one, see `p_against_best`.

    Returns
    -------
    pandas.DataFrame
        With the columns number, state, value (what the sampler goes by: the first objective), one for each parameter that
        varies, empty where it took no part, the mean of each score over the folds, its standard error, p_against_best,
        evaluations, pruned_at (a step), reused_from (the trial that had the same parameters), problem, and made_with, where
        trials were kept that other versions had made. Nothing in it depends on the machine.
    """
    finished = [trial for trial in trials if trial.is_finished]
    records = [trial.record for trial in finished]
    columns: dict[str, Any] = {
        "number": [trial.number for trial in finished],
        "state": [trial.state for trial in finished],
        "value": [trial.values[0] if trial.values else None for trial in finished],
    }
    for leaf in space.leaves:
        # A choice of None is a value; what took no part is empty.
        columns[column_of(leaf.name)] = [
            "None" if trial.params.get(leaf.name, "") is None else trial.params.get(leaf.name) for trial in finished
        ]
    for name in metrics:
        scores = [_complete(trial, name) for trial in finished]
        columns[f"score.{name}"] = [float(np.mean(name)) if name else None for name in scores]
        columns[f"error.{name}"] = [
            float(np.std(name, ddof=1) / np.sqrt(len(name))) if len(name) > 1 else None for name in scores
        ]
    columns["p_against_best"] = [p for p, trial in zip(against_best, trials, strict=True) if trial.is_finished]
    for name in ("evaluations", "pruned_at", "reused_from"):
        columns[name] = [record.get(name) for record in records]
    columns["problem"] = [record.get("problem", "") for record in records]
    if any(trial.made_with for trial in finished):
        columns["made_with"] = [trial.made_with for trial in finished]
    table = pd.DataFrame(columns)
    for leaf in space.leaves:
        if leaf.kind == "int":
            table[column_of(leaf.name)] = table[column_of(leaf.name)].astype("Int64")
    for name in ("evaluations", "pruned_at"):
        table[name] = table[name].astype("Int64")
    return table


def column_of(name: str) -> str:
    """Return the column of a parameter; one that is called as a column of the table has a prefix."""
    return f"param.{name}" if name in _OWN or name.startswith(("score.", "error.")) else name


def _complete(trial: Trial, name: str) -> list[float]:
    if trial.state != "complete":
        return []
    return list(trial.record.get("scores", {}).get(name, []))


def trial_times_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return what depends on the machine: seconds of each trial, how often it was begun, and who finished it."""
    finished = [trial for trial in trials if trial.is_finished]
    return pd.DataFrame({
        "number": [trial.number for trial in finished],
        "seconds": [trial.record.get("seconds") for trial in finished],
        "tries": [trial.tries for trial in finished],
        "process": [trial.owner for trial in finished],
    })  # fmt: skip


def curves_table(curves: Mapping[int, Mapping[str, Sequence[Any]]], trials: Sequence[Trial]) -> pd.DataFrame:
    """Return a row for each fold and step of each finished trial that has a learning curve: the errors and the cost."""
    parts: dict[str, list[Any]] = {name: [] for name in CURVE_COLUMNS}
    for trial in trials:
        curve = curves.get(trial.number)
        if curve and trial.is_finished:
            parts["number"] += [trial.number] * len(curve["step"])
            for name in CURVE_COLUMNS[1:]:
                parts[name] += curve[name]
    table = pd.DataFrame(parts, columns=CURVE_COLUMNS)
    for name in ("error", "validation_error"):
        table[name] = table[name].astype(float)
    return table


def best_trial(trials: Sequence[Trial], direction: str) -> Trial | None:
    """Return the complete trial with the best first objective, the earliest of equal ones."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.values]
    if not complete:
        return None
    sign = 1.0 if direction == "minimize" else -1.0
    return min(complete, key=lambda trial: (sign * trial.values[0], trial.number))


def pareto_front(trials: Sequence[Trial], directions: Sequence[str]) -> list[Trial]:
    """Return the complete trials that no other one beats in an objective without being worse in another, by number."""
    complete = [trial for trial in trials if trial.state == "complete" and len(trial.values) == len(directions)]
    if not complete:
        return []
    if len(directions) == 1:
        best = best_trial(complete, directions[0])
        return [] if best is None else [best]
    signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
    values = np.array([trial.values for trial in complete]) * signs
    kept: list[int] = []
    front = np.empty((0, len(directions)))
    for index in np.lexsort(values.T[::-1]):  # what comes later is not better in the first objective
        score = values[index]
        if front.size and (front[-1] == score).all():
            kept.append(int(index))
        elif not ((front <= score).all(axis=1) & (front < score).any(axis=1)).any():
            kept.append(int(index))
            front = np.vstack([front, score])
    return sorted((complete[index] for index in kept), key=lambda trial: trial.number)
