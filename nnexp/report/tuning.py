"""What a report says of sweeps: inner against outer scores, the cost of tuning, how the search went."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.experiment.results import Results
from nnexp.report.tables import Comparison
from nnexp.sweep.answer import LITTLE, answer_of, spread
from nnexp.words import count_in_words, listed

# Winners that have more than this share of all trials between them say little about a parameter.
_WIDE = 0.5


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


class SweepSays(NamedTuple):
    """What the sweeps of a data set and a model say.

    Attributes
    ----------
    data, model : str
    lines : list of str
        Which settings won, what decided, whether studies agree; a sentence or two each.
    settings : dict
        Those of one model to go on with, by parameter; empty if there is none.
    """

    data: str
    model: str
    lines: list[str]
    settings: dict[str, Any]

    @property
    def as_toml(self) -> str:
        """The settings as a model of an experiment file."""
        return "\n".join(["[model.best]", *(f"{name} = {_toml(value)}" for name, value in self.settings.items())])

    @property
    def as_line(self) -> str:
        """The same in one line, as it may stand at the top of a file."""
        return f"model.best = {_toml(self.settings)}"


def sweep_sentences(results: Results) -> list[SweepSays]:
    """Return what the sweeps of each data set and tuned model say."""
    answers = []
    for name, model, trials in searches(results):
        tuned = results.tuned[(results.tuned["data"] == name) & (results.tuned["model"] == model)]
        if tuned.empty:  # the table is missing
            continue
        names = parameters_of(results, trials, most=None)
        weights = _importances(results, name, model)
        if tuned["fold"].notna().any():
            lines, settings = _of_studies(tuned, trials, names, weights)
            answers.append(SweepSays(name, model, lines, settings))
            continue
        row = tuned.iloc[0]
        folds = int(results.experiment["sweep"]["folds"])
        settings = _settings(row["parameters"])
        answer = answer_of(trials, names, str(row["objective"]), folds, settings, weights)
        if answer is not None:
            answers.append(SweepSays(name, model, answer.sentences, settings))
    return answers


def _of_studies(
    tuned: pd.DataFrame, trials: pd.DataFrame, names: list[str], weights: dict[str, float]
) -> tuple[list[str], dict[str, Any]]:
    """Return what several studies say together, one for each outer training set, and the settings of one winner."""
    keys = ["repeat", "fold"]
    complete = trials[trials["state"] == "complete"]
    best = tuned.dropna(subset="best")[[*keys, "best"]].rename(columns={"best": "number"})
    winners = complete.merge(best, on=[*keys, "number"])
    n = len(winners)
    if not n:
        return ["No trial of any study was completed."], {}
    lines = [f"{n} of {len(tuned)} studies have a winner."] if n < len(tuned) else []
    same = [name for name in names if len(set(winners[name].astype(str))) == 1]
    others = [name for name in names if name not in same]
    if not others:
        lines.append(f"All {n} studies, one for each outer training set, chose the same: {_all_of(winners, names)}.")
    else:
        agreed = f"all {n} studies chose {_all_of(winners, same)}; " if same else ""
        apart = [f"{name} {spread(winners[name])} (tried: {spread(complete[name])})" for name in others]
        lines.append(f"One study for each outer training set: {agreed}their winners have {listed(apart, 12)}.")
    wide = [name for name in others if _share_between(winners[name], complete[name]) > _WIDE]
    if wide:
        lines.append(
            f"The studies disagree about {listed(wide)}: more than half of all that was tried lies between their winners, so that "
            "one sweep alone says little of it."
        )
    p = complete["p_against_best"].astype(float) if "p_against_best" in complete else pd.Series(dtype=float)
    if p.notna().any():
        worse = (p < st.LEVEL).groupby([complete[key] for key in keys]).sum()
        others_of = complete.groupby(keys).size() - 1
        lines.append(
            f"Clearly worse than its winner, by the corrected paired test over the inner folds, are on average {worse.mean():.0f} "
            f"of the {others_of.mean():.0f} other completed trials of a study."
        )
    known = sorted(((weights[name], name) for name in names if name in weights), reverse=True)
    much = [f"{name} ({share:.0%})" for share, name in known if share >= LITTLE]
    if much and (not p.notna().any() or (p < st.LEVEL).any()):
        little = [name for share, name in known if share < LITTLE]
        lines.append(f"What decided: {listed(much)}" + (f"; {listed(little)} hardly mattered." if little else "."))
    place = _nearest_to_all(winners, complete, names)
    one = winners.iloc[place]
    of_study = tuned[(tuned["repeat"] == one["repeat"]) & (tuned["fold"] == one["fold"])].iloc[0]
    if others:
        lines.append(
            f"To go on with one model: the winner of repeat {one['repeat']}, fold {one['fold']} lies nearest to all winners, "
            "counted in trials between them."
        )
    return lines, _settings(of_study["parameters"])


def _settings(text: Any) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _nearest_to_all(winners: pd.DataFrame, tried: pd.DataFrame, names: list[str]) -> int:
    """Return the place of the winner whose settings lie nearest to those of all others.

    Two numbers are as far apart as the share of all trials that lies between them; other values are the same or not.
    """
    away = np.zeros((len(winners), len(winners)))
    for name in names:
        numbers = pd.to_numeric(winners[name], errors="coerce").to_numpy(dtype=float)
        known = np.sort(pd.to_numeric(tried[name], errors="coerce").dropna().to_numpy(dtype=float))
        if len(known) and not np.isnan(numbers).all():
            ranks = np.searchsorted(known, numbers) / len(known)
            apart = np.abs(ranks[:, np.newaxis] - ranks)
            there = ~np.isnan(numbers)
            apart[there[:, np.newaxis] != there] = 1.0
            apart[~there[:, np.newaxis] & ~there] = 0.0
        else:
            words = winners[name].astype(str).to_numpy()
            apart = (words[:, np.newaxis] != words).astype(float)
        away += apart
    return int(away.sum(axis=1).argmin())


def _toml(value: Any) -> str:
    """Return a setting as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return '"none"' if value is None else json.dumps(value, ensure_ascii=False)


def _all_of(winners: pd.DataFrame, names: list[str]) -> str:
    return listed([f"{name} = {spread(winners[name])}" for name in names], 12)


def _share_between(chosen: pd.Series, tried: pd.Series) -> float:
    """Return which share of all trials has a value between those of the winners, or one of theirs."""
    values = pd.to_numeric(chosen, errors="coerce")
    if values.notna().all() and chosen.map(lambda value: not isinstance(value, bool)).all():
        return float(pd.to_numeric(tried, errors="coerce").between(values.min(), values.max()).mean())
    return float(tried.astype(str).isin(set(chosen.astype(str))).mean())


def _importances(results: Results, name: str, model: str) -> dict[str, float]:
    table = results.importances
    if table.empty:
        return {}
    table = table[(table["data"] == name) & (table["model"] == model)]
    return {str(n): float(v) for n, v in table.groupby("parameter")["importance"].mean().items()}


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


def parameters_of(results: Results, trials: pd.DataFrame, most: int | None = 3) -> list[str]:
    """Return the parameters that vary in a search, the most important first; None for all."""
    fixed = {"data", "model", "repeat", "fold", "number", "state", "is_best", "value", "evaluations", "pruned_at"}
    fixed |= {"reused_from", "problem", "made_with", "p_against_best"}
    names = [
        str(n) for n in trials.columns
        if n not in fixed and not str(n).startswith(("score.", "error.")) and len(trials[n].dropna().unique()) > 1
    ]  # fmt: skip
    weights = _importances(results, str(trials["data"].iloc[0]), str(trials["model"].iloc[0]))
    names.sort(key=lambda n: -weights.get(n, 0.0))
    return names[:most]
