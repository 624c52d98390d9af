"""What a report says of sweeps: inner against outer scores, the cost of tuning, how the search went."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from nnexp.experiment.results import Results
from nnexp.report.tables import Comparison
from nnexp.words import count_in_words


def tuning_tables(results: Results, comparison: Comparison) -> dict[str, Any]:
    """Return the heads and rows of the tables on sweeps; empty rows if there was none.

    ``scores`` has a row for each data set and tuned model, ``chosen`` one for each study with the parameters of its winner.
    """
    head = [
        "data set", "model", "studies", "trials", "pruned", "failed", "reused", "inner score", "outer score",
        "inner − outer", "cost of tuning",
    ]  # fmt: skip
    if results.tuned.empty:
        return {"head": head, "rows": [], "chosen_head": [], "chosen": []}
    rows = []
    for (name, model), sweeps in results.tuned.groupby(["data", "model"], sort=False):
        trials = results.trials
        trials = trials[(trials["data"] == name) & (trials["model"] == model)]
        states = trials["state"].value_counts()
        inner, outer = sweeps["inner_score"].mean(), _outer(results, name, model, str(sweeps["objective"].iloc[0]))
        nested = sweeps["fold"].notna().all()
        cost = sweeps["tuning_evaluations"].sum() if sweeps["tuning_evaluations"].notna().any() else np.nan
        rows.append([
            name, model, len(sweeps), len(trials), states.get("pruned", 0), states.get("fail", 0),
            trials["reused_from"].notna().sum(),
            _number(inner), _number(outer) if nested else "not measured", _number(inner - outer) if nested else "—",
            count_in_words(cost),
        ])  # fmt: skip
    chosen_head = ["data set", "model", "repeat", "fold", "trial", "inner score", "parameters"]
    chosen = [
        [
            row["data"], row["model"], *("—" if pd.isna(row[n]) else int(row[n]) for n in ("repeat", "fold", "best")),
            _number(row["inner_score"]), _parameters(row["parameters"]),
        ]
        for _, row in results.tuned.iterrows()
    ]  # fmt: skip
    return {"head": head, "rows": rows, "chosen_head": chosen_head, "chosen": chosen}


def tuning_method(results: Results) -> str:
    """Return how models were tuned, in sentences."""
    sweep = results.experiment.get("sweep")
    if sweep is None:
        return "No setting was tuned by these scores within the experiment."
    names = ", ".join(dict.fromkeys(results.tuned["model"])) if len(results.tuned) else "no model"
    sampler, pruner = (_name(sweep[key]) for key in ("sampler", "pruner"))
    trials = "all points of the grid" if sweep.get("trials") is None else f"{sweep['trials']} trials"
    where = (
        "for each outer training set by itself, by scores on inner folds of it; the test rows of an outer fold took no part in the "
        "choice for it"
        if sweep["nested"]
        else "once for each data set, by scores on folds of the same data"
    )
    pruned = "" if pruner == "none" else f", pruned by {pruner}"
    return (
        f"Tuned were {names}: {trials} asked of the sampler {sampler} in batches of {sweep['batch_size']}{pruned}, each scored by "
        f"{sweep['folds']}-fold cross-validation, {where}. Other settings were not tuned."
        if sweep["mode"] == "deterministic"
        else f"Tuned were {names}: {trials} asked of the sampler {sampler} by processes that came and went{pruned}, each scored by "
        f"{sweep['folds']}-fold cross-validation, {where}. Other settings were not tuned."
    )


def _outer(results: Results, name: Any, model: Any, metric: str) -> float:
    runs = results.runs[(results.runs["data"] == name) & (results.runs["model"] == model)]
    return float(runs[metric].mean()) if metric in runs and len(runs) else float("nan")


def _name(setting: Any) -> str:
    return str(setting["name"]) if isinstance(setting, dict) else str(setting)


def _number(value: Any) -> str:
    return "—" if pd.isna(value) else f"{value:.4g}"


def _parameters(text: Any) -> str:
    try:
        content = json.loads(text)
    except (TypeError, ValueError):
        return str(text)
    return ", ".join(f"{name} = {_short(value)}" for name, value in content.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def searches(results: Results) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the trials of each data set and tuned model."""
    if results.trials.empty:
        return []
    return [(str(n), str(m), trials) for (n, m), trials in results.trials.groupby(["data", "model"], sort=False)]


def parameters_of(results: Results, trials: pd.DataFrame, most: int = 3) -> list[str]:
    """Return the parameters that vary in a search, the most important first."""
    fixed = {"data", "model", "repeat", "fold", "number", "state", "is_best", "value", "evaluations", "pruned_at"}
    fixed |= {"reused_from", "problem", "made_with", "p_against_best"}
    names = [
        str(n) for n in trials.columns
        if n not in fixed and not str(n).startswith(("score.", "error.")) and len(trials[n].dropna().unique()) > 1
    ]  # fmt: skip
    if len(results.importances):
        name, model = trials["data"].iloc[0], trials["model"].iloc[0]
        table = results.importances
        weights = table[(table["data"] == name) & (table["model"] == model)].groupby("parameter")["importance"].mean()
        names.sort(key=lambda n: -float(weights.get(n, 0.0)))
    return names[:most]
