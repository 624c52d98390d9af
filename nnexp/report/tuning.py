"""What a report says of sweeps: inner against outer scores, the cost of tuning, how the search went."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.experiment.results import Results
from nnexp.report.tables import Comparison
from nnexp.sweep.answer import Gain, SweepAnswer, answer_of, decided, gain_of, shown, spread
from nnexp.words import count_in_words, in_words, interval_in_words, listed, p_equals

# Winners that have more than this share of all trials between them, or agree in no more of them, say little about a parameter.
_WIDE = 0.5
# Letters of the name of a model to paste, which is also a part of the name of a file.
_LONGEST = 80


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
        One model to go on with, as a file has it: what was chosen and what did not vary; empty if there is none.
    name : str
        What it is called there: best, or with the data set and the model where several are tuned.
    task : {"classification", "regression"}
        That of the data set.
    """

    data: str
    model: str
    lines: list[str]
    settings: dict[str, Any]
    name: str = "best"
    task: str = "classification"

    @property
    def as_toml(self) -> str:
        """The settings as a model of an experiment file, and as a comment in Python."""
        lines = [f"{_toml_key(name)} = {_toml(value)}" for name, value in self.settings.items()]
        in_python = [f"# in Python: {self.as_python}"] if all(map(str.isidentifier, self.settings)) else []
        return "\n".join([f"[model.{_toml_key(self.name)}]", *lines, *in_python])

    @property
    def as_python(self) -> str:
        """The model in Python."""
        path = self.settings.get("class", {}).get(self.task, "nnexp.BackpropMLP")
        name = path.rpartition(".")[2]
        task = [repr(self.task)] if name in ("BackpropMLP", "TabularMLP") and self.task == "regression" else []
        settings = {name: value for name, value in self.settings.items() if name not in ("class", "encoder")}
        return f"{name}({', '.join([*task, *(f'{setting}={_python(value)}' for setting, value in settings.items())])})"


def sweep_sentences(results: Results) -> list[SweepSays]:
    """Return what the sweeps of each data set and tuned model say."""
    answers = []
    for name, model, trials in searches(results):
        tuned = results.tuned[(results.tuned["data"] == name) & (results.tuned["model"] == model)]
        if tuned.empty:  # the table is missing
            continue
        short = short_names(trials, parameters_of(results, trials, most=None))
        trials = trials.rename(columns=short)
        weights = {short[n]: share for n, share in _importances(results, name, model).items() if n in short}
        names = list(short.values())
        if tuned["fold"].notna().any():
            lines, row = _of_studies(tuned, trials, names, weights)
            lines[1:1] = _over_untuned(results, name, model, str(tuned["objective"].iloc[0]))
        else:
            row = tuned.iloc[0]
            answer = _of_one(row, trials, names, weights, int(results.experiment["sweep"]["folds"]))
            if answer is None:
                continue
            lines = answer.sentences
        answers.append(SweepSays(name, model, lines, _model_of(results, model, row)))
    n_data, n_models = (len({getattr(says, of) for says in answers}) for of in ("data", "model"))
    named: dict[str, SweepSays] = {}
    for says in answers:
        parts = ["best", *([says.data] if n_data > 1 else []), *([says.model] if n_models > 1 else [])]
        name = plain = re.sub(r"[^\w.-]+", "_", "-".join(parts))[:_LONGEST]
        number = 2
        while name in named:
            name, number = f"{plain}-{number}", number + 1
        of_data = results.runs[results.runs["data"] == says.data]
        tasks = [str(task) for task in of_data["task"]] if "task" in of_data else []
        named[name] = SweepSays(*says[:4], name, tasks[0] if tasks else says.task)
    return list(named.values())


def short_names(trials: pd.DataFrame, names: list[str]) -> dict[str, str]:
    """Return short names of parameters where they are told apart by them: neurons_2 for hidden_layer_sizes.neurons_2."""
    ends = [name.rpartition(".")[2] for name in names]
    return {
        name: end if ends.count(end) == 1 and end not in trials else name for name, end in zip(names, ends, strict=True)
    }


def _of_one(
    row: pd.Series, trials: pd.DataFrame, names: list[str], weights: dict[str, float], folds: int
) -> SweepAnswer | None:
    """Return what one study says."""
    defaults = None
    if "defaults" in row and not pd.isna(row["defaults"]):
        gain = [float(row[n]) for n in ("over_defaults", "over_defaults_half_width", "p_over_defaults")]
        defaults = int(row["defaults"]), None if np.isnan(gain[0]) else Gain(*gain)
    return answer_of(trials, names, str(row["objective"]), folds, _settings(row["parameters"]), weights, defaults)


def _of_studies(
    tuned: pd.DataFrame, trials: pd.DataFrame, names: list[str], weights: dict[str, float]
) -> tuple[list[str], pd.Series | None]:
    """Return what several studies say together, one for each outer training set, and the row of the one to go on with."""
    keys = ["repeat", "fold"]
    complete = trials[trials["state"] == "complete"]
    best = tuned.dropna(subset="best")[[*keys, "best"]].rename(columns={"best": "number"})
    winners = complete.merge(best, on=[*keys, "number"])
    n = len(winners)
    if not n:
        return ["No trial of any study was completed."], None
    lines = [f"Of {len(tuned)} studies {n} {'has' if n == 1 else 'have'} a winner."] if n < len(tuned) else []
    same = [name for name in names if len(set(winners[name].astype(str))) == 1]
    others = [name for name in names if name not in same]
    place = _nearest_to_all(winners, complete, names)
    one = winners.iloc[place]
    row = tuned[(tuned["repeat"] == one["repeat"]) & (tuned["fold"] == one["fold"])].iloc[0]
    chosen = ", ".join(f"{name} = {shown(value)}" for name, value in _settings(row["parameters"]).items())
    if n == 1:
        lines.append(f"Its winner has {chosen}.")
    elif not others:
        lines.append(f"All {n} studies, one for each outer training set, chose the same: {chosen}.")
    else:
        lines.append(
            f"Of the winners of {n} studies, one for each outer training set, this one lies nearest to all others, counted in "
            f"trials between them: {chosen}.{' These are the defaults.' if _is_default(row) else ''}"
        )
        agreed = f"All chose {_all_of(winners, same)}; " if same else ""
        apart = [f"{name} {spread(winners[name])} (tried: {spread(complete[name])})" for name in others]
        lines.append(f"{agreed}{'the' if agreed else 'The'} winners have {listed(apart, 12)}.")
    if of_defaults := sum(_is_default(study) for _, study in tuned.iterrows()):
        lines.append(f"In {of_defaults} of {n} studies nothing that was tried was better than the defaults.")
    wide = [name for name in others if _disagree(winners[name], complete[name])]
    if wide:
        lines.append(
            f"The studies disagree about {listed(wide, 12)}: their winners span more than half of what was tried, or no value has "
            "the majority. One sweep alone says little of it."
        )
    if "reused_from" in complete:  # what had been tried before is no further trial
        complete = complete[complete["reused_from"].isna()]
    p = complete["p_against_best"].astype(float) if "p_against_best" in complete else pd.Series(dtype=float)
    if p.notna().any():
        worse = (p < st.LEVEL).groupby([complete[key] for key in keys]).sum()
        others_of = complete.groupby(keys).size() - 1
        lines.append(
            f"Clearly worse than its winner, by the corrected paired test over the inner folds, are on average {worse.mean():.0f} "
            f"of the {others_of.mean():.0f} other completed trials of a study."
        )
    if weights and (not p.notna().any() or (p < st.LEVEL).any()):
        lines.append(decided(weights, len(complete)))
    return lines, row


def _is_default(row: pd.Series) -> bool:
    """Whether the winner of a study is the trial of the defaults."""
    number = row.get("defaults")
    return not pd.isna(number) and not pd.isna(row["best"]) and int(number) == int(row["best"])


def _over_untuned(results: Results, name: str, model: str, metric: str) -> list[str]:
    """Say what tuning gained on the outer folds, over a model of the same experiment that is the same but not tuned."""
    models = results.experiment["model"]
    fixed = {key: value for key, value in models[model].items() if key != "space"}
    twin = next((other for other, settings in models.items() if settings == fixed), None)
    if twin is None or metric not in results.runs:
        return []
    runs = results.runs[results.runs["data"] == name].set_index(["repeat", "fold"])
    both = pd.concat([runs.loc[runs["model"] == each, metric] for each in (model, twin)], axis=1).dropna()
    sizes = runs.loc[runs["model"] == model, ["n_train", "n_test"]].mean()
    if len(both) < 2:
        return []
    gain = gain_of((both.iloc[:, 0] - both.iloc[:, 1]).to_numpy(), *sizes)
    size, where = (
        in_words(metric, abs(gain.difference)).removeprefix("+"),
        "ahead of" if gain.difference >= 0 else "behind",
    )
    text = f"On the outer folds the tuned model is {size} of {metric} {where} {twin}, which is the same but not tuned"
    if np.isnan(gain.p):
        return [f"{text}."]
    interval = interval_in_words(metric, gain.difference, gain.half_width)
    clear = "" if gain.p < st.LEVEL else "; that is no clear difference"
    return [f"{text} (95 % interval {interval}, {p_equals(gain.p)}){clear}."]


def _model_of(results: Results, model: str, row: pd.Series | None) -> dict[str, Any]:
    """Return the whole of a tuned model with the settings that were chosen, as a file has it; empty if there are none."""
    chosen = {} if row is None else _settings(row["parameters"])
    if not chosen:
        return {}
    fixed = {key: value for key, value in results.experiment["model"][model].items() if key != "space"}
    if set(fixed.get("class", {}).values()) == {"nnexp.BackpropMLP"}:
        del fixed["class"]
    return fixed | chosen


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
        words = winners[name].astype(str).to_numpy()
        apart = (words[:, np.newaxis] != words).astype(float)
        numbers = pd.to_numeric(winners[name], errors="coerce").to_numpy(dtype=float)
        known = np.sort(pd.to_numeric(tried[name], errors="coerce").dropna().to_numpy(dtype=float))
        if len(known):
            ranks = np.searchsorted(known, numbers) / len(known)
            both = ~np.isnan(numbers)[:, np.newaxis] & ~np.isnan(numbers)
            apart = np.where(both, np.abs(ranks[:, np.newaxis] - ranks), apart)
        away += apart
    return int(away.sum(axis=1).argmin())


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _toml(value: Any) -> str:
    """Return a setting as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"
    return '"none"' if value is None else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _python(value: Any) -> str:
    """Return a setting as Python has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_python(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_python, value)) + "]"
    return f'float("{value}")' if isinstance(value, float) and not np.isfinite(value) else repr(value)


def _toml_key(key: Any) -> str:
    return str(key) if _BARE.fullmatch(str(key)) else _toml(str(key))


def _all_of(winners: pd.DataFrame, names: list[str]) -> str:
    return listed([f"{name} = {spread(winners[name])}" for name in names], 12)


def _disagree(chosen: pd.Series, tried: pd.Series) -> bool:
    """Whether winners lie far apart: numbers with more than half of all trials between them, words without a majority."""
    values = pd.to_numeric(chosen, errors="coerce")
    if values.notna().all() and chosen.map(lambda value: not isinstance(value, bool)).all():
        between = pd.to_numeric(tried, errors="coerce").between(values.min(), values.max()).mean()
        return bool(between > _WIDE)
    return bool(chosen.astype(str).value_counts(normalize=True).iloc[0] <= _WIDE)


def _importances(results: Results, name: str, model: str) -> dict[str, float]:
    table = results.importances
    if table.empty:
        return {}
    table = table[(table["data"] == name) & (table["model"] == model)]
    studies = max(1, table.groupby(["repeat", "fold"], dropna=False).ngroups)
    return {str(n): float(v) / studies for n, v in table.groupby("parameter")["importance"].sum().items()}


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
        if n not in fixed and not str(n).startswith(("score.", "error.")) and len(trials[n].astype(object).drop_duplicates()) > 1
    ]  # fmt: skip
    weights = _importances(results, str(trials["data"].iloc[0]), str(trials["model"].iloc[0]))
    names.sort(key=lambda n: -weights.get(n, 0.0))
    return names[:most]
