"""What a report holds, before it is a page: tables with their heads and notes, claims with their evidence, sentences."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.experiment.results import Results
from nnexp.report.tables import Claim, Comparison
from nnexp.report.tuning import tuning_method
from nnexp.words import (
    count_in_words,
    in_words,
    interval_in_words,
    listed,
    p_equals,
    p_in_words,
    seconds_in_words,
)


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    name, title : str
    head : list of str
    rows : list of list
        A cell is a text or number, or a dict with ``text`` and what a page may show beside: ``note``, ``shade`` from -1 to 1,
        ``best``.
    note : str
    kind : {"", "text", "map"}
        Whether its cells are sentences, or shaded.
    """

    name: str
    title: str
    head: list[str]
    rows: list[list[Any]]
    note: str = ""
    kind: str = ""
    ids: list[str] = field(default_factory=list)


def leaderboard_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the leaderboard, in words."""
    metrics = list(dict.fromkeys(comparison.metric.values()))
    head = ["model", "mean rank", "best on", *metrics, "evaluations", "seconds", "failed runs"]
    rows = []
    for model, row in comparison.leaderboard.iterrows():
        cells = [str(model), "—" if np.isnan(row["mean_rank"]) else f"{row['mean_rank']:.1f}"]
        cells.append(f"{row['wins']:.0f} of {row['data_sets']:.0f}")
        cells += [_with_width(row[f"{name}_mean"], row[f"{name}_half_width"]) for name in metrics]
        cells += [
            count_in_words(row["evaluations"]),
            seconds_in_words(row["seconds"]),
            f"{row['failed']:.0f}",
        ]
        rows.append(cells)
    return head, rows


def map_table(comparison: Comparison) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Return the head and the rows of the data set × model map, each cell with its text and its shade from 0 to 1."""
    order = [str(model) for model in comparison.leaderboard.index]
    rows = []
    groups = dict(iter(comparison.cells.groupby("data", sort=False)))
    for name in comparison.data:
        cells = groups[name].set_index("model")
        high = cells["mean"].max()
        # The scale is the widest interval of the row, so that what is noise looks alike.
        scale = cells["half_width"].max()
        scale = scale if scale > 0 else max(high - cells["mean"].min(), 1e-12)
        row: list[dict[str, Any]] = [{"text": name, "note": comparison.metric[name]}]
        there = cells.to_dict("index")
        for model in order:
            if model not in there:
                row.append({"text": "", "shade": 0.0, "best": False})
                continue
            cell = there[model]
            failed = bool(np.isnan(cell["mean"]))
            shade = 0.0 if failed else max(0.0, 1.0 - (high - cell["mean"]) / (2 * scale))
            text = f"failed {cell['failed']:.0f}×" if failed else _with_width(cell["mean"], cell["half_width"])
            row.append({"text": text, "shade": round(float(shade), 3), "best": bool(cell["best"])})
        rows.append(row)
    return ["data set", *order], rows


def head_to_head_table(comparison: Comparison) -> tuple[list[str], list[list[Any]]]:
    """Return the head and the rows of the multi-comparison matrix, after Ismail-Fawaz et al. (2023).

    A cell such as ``9–0–5 (2–0)``: on 9 data sets the model of the row has the higher mean, on none both have the same, on 5
    that of the column is higher, and 2 and 0 of these differences are clear. Where all data sets have one kind of score, the
    cell also has the median difference and Wilcoxon's p. Empty for fewer than three models or two data sets, of which other
    tables say it all.
    """
    order = [str(model) for model in comparison.leaderboard.index]
    if len(order) < 3 or len(comparison.data) < 2:
        return [], []
    means = comparison.cells.pivot_table(index="data", columns="model", values="mean", dropna=False).reindex(
        columns=order
    )
    values = means.to_numpy(dtype=float).round(12)
    clear = np.zeros((len(order), len(order)), dtype=int)
    place = {model: number for number, model in enumerate(order)}
    known = (
        comparison.differences[comparison.differences["clear"].astype(bool)] if len(comparison.differences) else None
    )
    if known is not None:
        for model, other, gap in zip(known["model"], known["other"], known["difference"], strict=True):
            winner, loser = (model, other) if gap > 0 else (other, model)
            clear[place[winner], place[loser]] += 1
    kinds = set(comparison.metric.values())
    across = {
        pair: (sign * row["median"], sign * row["favours"], row["p_holm"])
        for row in (comparison.across.to_dict("records") if len(kinds) == 1 else [])
        for pair, sign in (((row["model"], row["other"]), 1), ((row["other"], row["model"]), -1))
    }
    rows = []
    for i, model in enumerate(order):
        row: list[Any] = [model]
        for j, other in enumerate(order):
            if i == j:
                row.append({"text": "", "shade": 0.0, "best": False})
                continue
            with np.errstate(invalid="ignore"):
                wins, losses = int((values[:, i] > values[:, j]).sum()), int((values[:, i] < values[:, j]).sum())
                ties = int((values[:, i] == values[:, j]).sum())
            cell: dict[str, Any] = {
                "text": f"{wins}–{ties}–{losses} ({clear[i, j]}–{clear[j, i]})",
                "shade": round((wins - losses) / max(len(comparison.data), 1), 3), "best": False,
            }  # fmt: skip
            if (model, other) in across:
                median, favours, p = across[model, other]
                cell["note"] = in_words(next(iter(kinds)), median) + (f", p {p_in_words(p)}" if not np.isnan(p) else "")
                cell["best"] = bool(p < st.LEVEL and favours > 0)
            row.append(cell)
        rows.append(row)
    return ["ahead of", *order], rows


def _with_width(mean: Any, width: Any) -> str:
    if np.isnan(mean):
        return "—"
    return f"{mean:.3f}" if np.isnan(width) else f"{mean:.3f} ± {width:.3f}"


def tables_of(results: Results, comparison: Comparison) -> dict[str, Table]:
    """Return the tables of the comparison, by name, those that have a row."""
    tables = [
        Table("leaderboard", "Leaderboard", *leaderboard_table(comparison), NOTES["leaderboard"]),
        Table("map", "Data set × model", *map_table(comparison), NOTES["map"], "map"),
        Table(
            "head-to-head",
            "Each model against each other",
            *head_to_head_table(comparison),
            NOTES["head_to_head"],
            "map",
        ),
        Table(
            "settings", "What the models differ in", *differing(results.experiment["model"]), NOTES["settings"], "text"
        ),
        _differences_table(comparison),
        _across_table(comparison),
        _design_table(comparison),
    ]
    return {table.name: table for table in tables if table.rows}


def _differences_table(comparison: Comparison) -> Table:
    table = comparison.differences
    rows, ids = [], []
    of_best = table[table["model"] == comparison.best] if comparison.best else table.iloc[:0]
    for number, row in enumerate(of_best.to_dict("records"), start=1):
        metric = comparison.metric[row["data"]]
        verdict = "—" if np.isnan(row["p_holm"]) else "not clear"
        if row["clear"]:
            verdict = "better" if row["difference"] > 0 else "worse"
        chances = "—" if np.isnan(row["equal"]) else " / ".join(f"{row[k]:.2f}" for k in ("ahead", "equal", "behind"))
        rows.append([
            f"D{number}", row["data"], row["other"], in_words(metric, row["difference"]),
            interval_in_words(metric, row["difference"], row["half_width"]), p_in_words(row["p_holm"]), verdict, chances,
        ])  # fmt: skip
        ids.append(f"D{number}")
    head = ["id", "data set", "against", "difference", "95 % interval", "p (Holm)", "verdict", "better / equal / worse"]
    return Table(
        "differences", f"{comparison.best} against each other model", head, rows, NOTES["differences"], ids=ids
    )


def _across_table(comparison: Comparison) -> Table:
    rows, ids = [], []
    for number, row in enumerate(_best_across(comparison), start=1):
        metric = row["metric"]
        interval = (
            "—"
            if np.isnan(row["low"])
            else f"{in_words(metric, row['low']).removesuffix(' points')} to {in_words(metric, row['high'])}"
        )
        chances = "—" if np.isnan(row["equal"]) else " / ".join(f"{row[k]:.2f}" for k in ("ahead", "equal", "behind"))
        rows.append([
            f"M{number}", metric, row["data_sets"], row["model"], row["other"], f"{row['wins']}–{row['ties']}–{row['losses']}",
            in_words(metric, row["median"]), interval, p_in_words(row["p"]), p_in_words(row["p_holm"]), chances,
        ])  # fmt: skip
        ids.append(f"M{number}")
    head = [
        "id", "score", "data sets", "model", "against", "win–tie–loss", "median difference", "95 % interval", "p", "p (Holm)",
        "better / equal / worse",
    ]  # fmt: skip
    tests = [
        f"{row['metric']}: F = {row['f']:.2f}, {p_equals(row['p'])} "
        f"({row['models']} models, {row['data_sets']} data sets)"
        for _, row in comparison.friedman.iterrows()
    ]
    friedman = (
        f" Friedman's test of equal ranks, as Iman and Davenport corrected it: {'; '.join(tests)}." if tests else ""
    )
    return Table("across", "Across data sets", head, rows, NOTES["across"] + friedman, ids=ids)


def _best_across(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the rows across data sets of the best model of each kind of score, in its favour."""
    texts = []
    for _, ranks in comparison.across.groupby("metric", sort=False):
        first = ranks["model"].iloc[0]
        texts += ranks[ranks["model"] == first].to_dict("records")
    return texts


def _design_table(comparison: Comparison) -> Table:
    rows = []
    for row in comparison.design.to_dict("records"):
        metric = comparison.metric[row["data"]]
        needed = row["repeats_needed"]
        text = "no number" if needed is None or np.isnan(needed) else f"{needed:.0f}"
        rows.append([
            row["data"], row["splits"], in_words(metric, row["standard_error"]).removeprefix("+"),
            in_words(metric, row["detectable"]).removeprefix("+"), in_words(metric, row["difference"]), text,
        ])  # fmt: skip
    head = [
        "data set",
        "splits",
        "standard error",
        "difference it would find",
        "difference seen",
        "repeats to find that",
    ]
    return Table("design", "What this design can show", head, rows, NOTES["design"])


def design_sentences(results: Results, comparison: Comparison) -> list[str]:
    """Say how the experiment was made, and what it can and cannot show."""
    evaluation, environment = results.experiment["evaluation"], results.environment
    n = evaluation["folds"] * evaluation["repeats"]
    facts = [
        f"{len(comparison.data)} data sets, {len(comparison.models)} models, {evaluation['repeats']} × {evaluation['folds']}-fold "
        f"cross-validation: {n} splits of each data set, the same for all models; seed {results.experiment['seed']}. "
        f"{len(results.runs)} of {environment.get('planned_runs', len(results.runs))} runs are in the tables."
    ]
    if comparison.best and comparison.second and len(comparison.across):
        across = comparison.across
        pair = across[
            across["model"].isin([comparison.best, comparison.second])
            & across["other"].isin([comparison.best, comparison.second])
        ]
        for row in pair.to_dict("records"):
            data_sets = [d for d in comparison.data if comparison.metric[d] == row["metric"]]
            if len(data_sets) < 3:  # two say nothing of how far differences lie apart
                continue
            means = comparison.cells.pivot(index="data", columns="model", values="mean").loc[data_sets]
            gaps = (means[comparison.best] - means[comparison.second]).to_numpy(dtype=float)
            family = len(across[across["metric"] == row["metric"]])
            needed = st.data_sets_needed(gaps, st.LEVEL / family)
            if needed is None:
                text = "no number of data sets like these would show it to 80 %"
            elif needed > len(gaps):
                text = f"about {needed} data sets like these would be needed to show it with a probability of 80 %"
            else:
                text = f"about {needed} data sets like these show it with a probability of 80 %"
            facts.append(
                f"Across data sets: the mean difference in {row['metric']} of {comparison.best} to {comparison.second} is "
                f"{in_words(row['metric'], float(gaps.mean()))} on {len(gaps)}; {text}."
            )
    if len(comparison.data) < st.FEWEST_DATA_SETS:
        facts.append(
            f"With {len(comparison.data)} data set{'s' if len(comparison.data) > 1 else ''} nothing can be said of others: "
            f"Wilcoxon's signed-rank test cannot reach 5 % with fewer than {st.FEWEST_DATA_SETS}."
        )
    return facts


NOTES = {
    "settings": (
        "Settings that are the same for all are left out; — is what a model's class has by itself, or is not tuned. All of them "
        "stand below, where it is told how this was made."
    ),
    "leaderboard": (
        "Scores are means over the data sets of a task, ± half of the 95 % confidence interval over splits. Evaluations and "
        "seconds add up one fit, the median, on each data set; the folds of a BackpropMLP train together, and the seconds of "
        "a fit are its share. An evaluation is one forward pass of one network over one "
        "sample; forward and backward together count three. It compares the cost of networks of one size on any machine. "
        "Of equal best models each counts as best."
    ),
    "map": (
        "Mean ± half of the 95 % interval. The stronger the colour, the nearer to the best of its row, which is bold; "
        "without colour is what lies further off than the row's widest interval."
    ),
    "head_to_head": (
        "On how many data sets the model of the row has the higher mean, the same, the lower one; in brackets how many of these "
        "differences are clear for either: by the corrected resampled t-test, adjusted by Holm's method over "
        "all pairs and data sets. "
        "Where all data sets have one score: the median difference, and from 6 data sets on the p of Wilcoxon's signed-rank test, "
        "adjusted over all pairs; bold is clearly better."
    ),
    "differences": (
        "Paired over the same splits; corrected resampled t-test (Nadeau and Bengio 2003), adjusted by Holm's method at 5 % "
        "over all pairs of models and all data sets, because the best model was chosen by these scores. A point is a "
        "hundredth. The last column: the probabilities that it is practically better, equal, worse, by the Bayesian correlated "
        "t-test; they are not adjusted."
    ),
    "across": (
        "One mean score for each data set; the data sets are the sample. Wilcoxon's signed-rank test, adjusted "
        "by Holm's method over all "
        "pairs of models; the interval of the median is a bootstrap over data sets, and not adjusted. The last column: the "
        "probabilities that on a further data set it is practically better, equal, worse, by the Bayesian signed-rank test."
    ),
    "design": (
        "Of the best model against the next. The difference that the t-test would find with a probability of 80 "
        "%, at the level of the "
        "first of Holm's steps; and how many repeats would find the difference that was seen. More repeats of "
        "the same rows help only so "
        "far, because their training sets overlap: where it says no number, only more data could show it."
    ),
    "tuning": (
        "The inner score is that of the winner on the folds by which it was chosen: the best of many, which tends to be too good. "
        "The outer score is that of the same winners, fitted anew, on rows that no trial saw: the one to trust. Means over "
        "the studies. Reused are trials whose parameters had been tried before. The cost is that of all trials of all studies."
    ),
}  # fmt: skip


def method_of(results: Results, comparison: Comparison) -> str:
    """Return how the runs were made, in sentences."""
    evaluation = results.experiment["evaluation"]
    ropes = [
        f"{in_words(comparison.metric[name], rope).removeprefix('+')} on {name}"
        for name, rope in comparison.rope.items()
    ]
    kinds = dict.fromkeys(
        f"{in_words(comparison.metric[n], r).removeprefix('+')} of {comparison.metric[n]}"
        for n, r in comparison.rope.items()
    )
    equal = listed(list(kinds)) if len(kinds) <= 3 else listed(ropes, 8)
    return (
        f"Every model was fitted on the same splits: {evaluation['repeats']} × {evaluation['folds']}-fold cross-validation, "
        f"stratified by class for classification, seed {results.experiment['seed']}. {_columns_method(results)} "
        "The target of a regression is standardised, but for "
        f"models of positive targets and models told otherwise. {tuning_method(results)} "
        + (f"Differences up to {equal} count as practically none." if ropes else "")
    )


def _columns_method(results: Results) -> str:
    """Return what became of the columns, in sentences."""
    facts = results.environment.get("data") or {}
    if facts and all("kinds" in of_one for of_one in facts.values()):
        return (
            "By all rows, without the target, it was found which columns are numbers, words and dates. Inside each training set "
            "numbers had gaps filled with the median and were standardised; each of the 30 most frequent words of a column became "
            "a column of 0 and 1; dates became days and circles of the year, the month and the week; gaps have a column of their "
            "own. This is what TableEncoder does, and a network where its encoding is not set otherwise."
        )
    return (
        "Numbers had missing cells filled with the median and were standardised; other columns became one column of 0 and 1 for "
        "each value; both were learnt inside each training set."
    )


def evidence_of(results: Results, comparison: Comparison) -> list[dict[str, Any]]:
    """Return for each claim what it rests on: its test, its rows, its numbers, and the command that shows them."""
    place = results_place(results)
    return [
        {
            "id": claim.id,
            "text": claim.text,
            "test": claim.test or "—",
            "rows": rows_of(claim),
            "numbers": ", ".join(f"{k} = {_short(v)}" for k, v in claim.numbers.items() if v is not None),
            "command": shlex.join(["nnexp", "report", place, "--claim", claim.id]),
        }
        for claim in [*comparison.answer, *comparison.cautions]
    ]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def results_place(results: Results) -> str:
    """Return the results' folder as the command that made it names it, wherever it stands now."""
    parts = shlex.split(results.environment.get("command", ""))
    folder = parts[parts.index("--results") + 1] if "--results" in parts[:-1] else "results"
    return f"{folder}/{results.experiment['name']}"


def rows_of(claim: Claim) -> str:
    """Say which rows of runs.csv a claim rests on."""
    parts = []
    if claim.data:
        parts.append(f"data = {listed(claim.data, 4)}")
    if claim.models:
        parts.append(f"model = {listed(claim.models, 6)}")
    return f"runs.csv, {'; '.join(parts)}" if parts else "runs.csv, all rows"


def claim_of(results: Results, comparison: Comparison, name: str) -> tuple[Claim, pd.DataFrame] | None:
    """Return a claim by its id, with the rows of runs.csv that it rests on: of the answer, a caution, or a row of differences.

    Returns
    -------
    claim, rows or None
        None if there is no claim of that id.
    """
    claims = {claim.id: claim for claim in [*comparison.answer, *comparison.cautions]}
    if comparison.best:
        pairs = comparison.differences[comparison.differences["model"] == comparison.best]
        for number, row in enumerate(pairs.to_dict("records"), start=1):
            metric = comparison.metric[row["data"]]
            text = (
                f"{row['model']} against {row['other']} on {row['data']}: {in_words(metric, row['difference'])} "
                f"of {metric}, 95 % interval "
                f"{interval_in_words(metric, row['difference'], row['half_width'])}, p (Holm) {p_in_words(row['p_holm'])}."
            )
            numbers = {k: row[k] for k in ("difference", "half_width", "p", "p_holm", "behind", "equal", "ahead")}
            claims[f"D{number}"] = Claim(
                f"D{number}", text, NOTES["differences"], [row["data"]], [row["model"], row["other"]], {**numbers}
            )
    for number, pair in enumerate(_best_across(comparison), start=1):
        sets = [data for data in comparison.data if comparison.metric[data] == pair["metric"]]
        text = (
            f"{pair['model']} against {pair['other']} over {pair['data_sets']} data sets: win–tie–loss "
            f"{pair['wins']}–{pair['ties']}–{pair['losses']}, "
            f"median difference {in_words(pair['metric'], pair['median'])} of {pair['metric']}, p (Holm) "
            f"{p_in_words(pair['p_holm'])}."
        )
        pair_numbers = {k: pair[k] for k in ("median", "low", "high", "p", "p_holm", "behind", "equal", "ahead")}
        claims[f"M{number}"] = Claim(
            f"M{number}", text, NOTES["across"], sets, [pair["model"], pair["other"]], pair_numbers
        )
    claim = claims.get(name)
    if claim is None:
        return None
    runs = results.runs
    if claim.data:
        runs = runs[runs["data"].isin(claim.data)]
    if claim.models:
        runs = runs[runs["model"].isin(claim.models)]
    return claim, runs


def problem_tables(results: Results) -> list[Table]:
    """Return the tables of failed runs and of warnings, those that have a row."""
    runs, rows = results.runs, []
    failed = runs[runs["status"] == "failed"] if len(runs) else runs
    if len(failed):
        columns = ["data", "model", "repeat", "fold", "problem"]
        rows.append(
            Table(
                "failed",
                "Failed runs",
                ["data set", *columns[1:]],
                failed[columns].to_numpy(dtype=object).tolist(),
                kind="text",
            )
        )
    warned = runs[runs["warnings"].fillna("") != ""] if len(runs) else runs
    if len(warned):
        counts = warned.groupby(["model", "warnings"], sort=False).size().reset_index(name="runs")
        rows.append(
            Table(
                "warnings",
                "Warnings",
                ["model", "warning", "runs"],
                counts.to_numpy(dtype=object).tolist(),
                kind="text",
            )
        )
    return rows


def differing(models: Mapping[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return a head and rows of the settings in which models differ, of whichever there are more; no row where they differ in none.

    Examples
    --------
    >>> differing({"a": {"max_iter": 5, "algorithm": "snes"}, "b": {"max_iter": 5, "space": {"l2": [0, 1]}}})
    (['setting', 'a', 'b'], [['algorithm', '"snes"', '—'], ['space.l2', '—', '[0, 1]']])
    """
    paths = {path for settings in models.values() for path in settings.get("class", {}).values()}
    is_plain = len({path.rpartition(".")[2] for path in paths}) == len(
        paths
    )  # else classes are told apart by their modules
    flat = {name: _flat(settings, is_plain) for name, settings in models.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    apart = [key for key in keys if len({settings.get(key) for settings in flat.values()}) > 1]
    if not apart:
        return [], []
    if len(apart) < len(flat):
        return ["model", *apart], [
            [name, *(settings.get(key, "—") for key in apart)] for name, settings in flat.items()
        ]
    return ["setting", *flat], [[key, *(settings.get(key, "—") for settings in flat.values())] for key in apart]


def _flat(settings: Mapping[str, Any], is_plain: bool) -> dict[str, str]:
    """Return settings as texts, those of a mapping each by itself; of classes the last part of their names, if that is plain."""
    texts: dict[str, str] = {}
    for name, value in settings.items():
        if name == "class":
            texts[name] = " / ".join(
                dict.fromkeys(path.rpartition(".")[2] if is_plain else path for path in value.values())
            )
        elif isinstance(value, dict) and value:
            texts |= {f"{name}.{part}": json.dumps(of, ensure_ascii=False, default=str) for part, of in value.items()}
        else:
            texts[name] = json.dumps(value, ensure_ascii=False, default=str)
    return texts


def settings_of(model: dict[str, Any]) -> str:
    """Return a model's class and settings as a call."""
    classes = dict.fromkeys(model["class"].values())
    rest = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in model.items() if k != "class")
    return f"{' / '.join(classes)}({rest})"
