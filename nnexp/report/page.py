"""One page that answers the experiment's question: report.html, offline in one file, and its twin report.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from nnexp.experiment.results import Results, write_atomically
from nnexp.report import figures
from nnexp.report.statistics import (
    Comparison,
    compare,
    count_in_words,
    in_words,
    interval_in_words,
    seconds_in_words,
)
from nnexp.report.tuning import tuning_cautions, tuning_method, tuning_tables

_TEMPLATES = Path(__file__).parent


def write_report(results: Results) -> Path:
    """Write report.html and report.md into the results' folder.

    Parameters
    ----------
    results : Results
        See `load_results`.

    Returns
    -------
    Path
        Of report.html.
    """
    comparison = compare(results)
    content = _content(results, comparison)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = _markdown
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    drawings = {
        "scores": figures.scores(comparison) if comparison.models else "",
        "curves": figures.learning_curves(results, comparison),
        "progress": figures.score_curves(results, comparison),
        "cost": figures.cost(comparison),
        "history": figures.search_history(results),
        "importances": figures.importances(results),
        "slices": figures.slices(results),
        "pareto": figures.pareto(results),
    }
    page = environment.get_template("page.html.jinja").render(**content, figures=drawings, style=style)
    twin = environment.get_template("page.md.jinja").render(**content)
    write_atomically(results.folder / "report.html", page)
    write_atomically(results.folder / "report.md", twin)
    return results.folder / "report.html"


def _markdown(text: Any) -> str:
    """Escape what would break a line or a table of Markdown, or be read as HTML."""
    line = " ".join(str(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


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
    for name in comparison.data:
        own = comparison.cells[comparison.cells["data"] == name].set_index("model")
        high = own["mean"].max()
        # The scale is the widest interval of the row, so that what is noise looks alike.
        scale = own["half_width"].max()
        scale = scale if scale > 0 else max(high - own["mean"].min(), 1e-12)
        row: list[dict[str, Any]] = [{"text": name, "note": comparison.metric[name]}]
        for model in order:
            if model not in own.index:
                row.append({"text": "", "shade": 0.0, "best": False})
                continue
            cell = own.loc[model]
            failed = bool(np.isnan(cell["mean"]))
            shade = 0.0 if failed else max(0.0, 1.0 - (high - cell["mean"]) / (2 * scale))
            text = f"failed {cell['failed']:.0f}×" if failed else _with_width(cell["mean"], cell["half_width"])
            row.append({"text": text, "shade": round(float(shade), 3), "best": bool(cell["best"])})
        rows.append(row)
    return ["data set", *order], rows


def head_to_head_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table that says how often each model is ahead of each other one.

    A cell such as ``9–5 (2–0)``: on 9 data sets the model of the row has the higher mean, on 5 that of the column, and 2 and 0 of
    these differences are clear. Empty for fewer than three models or two data sets, of which other tables say it all.
    """
    order = [str(model) for model in comparison.leaderboard.index]
    if len(order) < 3 or len(comparison.data) < 2:
        return [], []
    means = comparison.cells.pivot_table(index="data", columns="model", values="mean", dropna=False)
    clear = comparison.differences[comparison.differences["clear"]] if len(comparison.differences) else None

    def ahead(model: str, other: str) -> tuple[int, int]:
        """Count the data sets on which a model has the higher mean, and those on which that is clear."""
        higher = int((means[model] > means[other]).sum()) if {model, other} <= set(means) else 0
        if clear is None:
            return higher, 0
        forward = (clear["model"] == model) & (clear["other"] == other) & (clear["difference"] > 0)
        backward = (clear["model"] == other) & (clear["other"] == model) & (clear["difference"] < 0)
        return higher, int((forward | backward).sum())

    rows = []
    for model in order:
        row = [model]
        for other in order:
            (wins, sure), (losses, lost) = ahead(model, other), ahead(other, model)
            row.append("" if model == other else f"{wins}–{losses} ({sure}–{lost})")
        rows.append(row)
    return ["ahead of", *order], rows


def _with_width(mean: Any, width: Any) -> str:
    if np.isnan(mean):
        return "—"
    return f"{mean:.3f}" if np.isnan(width) else f"{mean:.3f} ± {width:.3f}"


def _content(results: Results, comparison: Comparison) -> dict[str, Any]:
    head, rows = leaderboard_table(comparison)
    map_head, map_rows = map_table(comparison)
    head_to_head = head_to_head_table(comparison)
    experiment, environment = results.experiment, results.environment
    problems = results.runs[results.runs["status"] == "failed"] if len(results.runs) else results.runs
    warned = results.runs[results.runs["warnings"].fillna("") != ""] if len(results.runs) else results.runs
    warnings = (
        warned.groupby(["model", "warnings"], sort=False).size().reset_index(name="runs") if len(warned) else None
    )
    return {
        "name": experiment["name"],
        "question": experiment["question"],
        "answer": comparison.answer,
        "cautions": [*comparison.cautions, *tuning_cautions(results)],
        "tuning": tuning_tables(results, comparison),
        "leaderboard": {"head": head, "rows": rows},
        "map": {"head": map_head, "rows": map_rows, "plain": [_plain(row) for row in map_rows]},
        "head_to_head": {"head": head_to_head[0], "rows": head_to_head[1]},
        "texts": _texts(experiment) | {"method": _texts(experiment)["method"] + tuning_method(results)},
        "differences": _difference_rows(comparison),
        "best": comparison.best,
        "problems": [] if problems.empty else problems[["data", "model", "repeat", "fold", "problem"]].values.tolist(),
        "warnings": [] if warnings is None else warnings.values.tolist(),
        "evaluation": experiment["evaluation"],
        "seed": experiment["seed"],
        "models": {name: _settings(model) for name, model in experiment["model"].items()},
        "data": environment.get("data", {}),
        "environment": environment,
        "n_runs": len(results.runs),
    }


def _plain(row: list[dict[str, Any]]) -> list[str]:
    first, *cells = row
    return [f"{first['text']} ({first['note']})", *(f"**{c['text']}**" if c["best"] else c["text"] for c in cells)]


def _texts(experiment: dict[str, Any]) -> dict[str, str]:
    """Return what the page and its twin say in the same words."""
    evaluation = experiment["evaluation"]
    return {
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
            "How many data sets the model of the row is ahead on, and how many that of the column, by their means; in brackets "
            "how many of these differences are clear: by the corrected resampled t-test, adjusted by Holm's method over all "
            "pairs and data sets. Equal means count for neither."
        ),
        "differences": (
            "Paired over the same splits; corrected resampled t-test (Nadeau and Bengio 2003), adjusted by Holm's method at 5 % "
            "over all pairs of models and all data sets, because the best model was chosen by these scores. A point is a "
            "hundredth."
        ),
        "progress": (
            "The best score so far, accuracy or R² unless a model names another, on the samples that were set aside to choose "
            "the best step; the scores above are those on the test samples. Median over all runs, band from the 10th to the "
            "90th percentile. Models without validation samples are not drawn."
        ),
        "tuning": (
            "The inner score is that of the winner on the folds by which it was chosen: the best of many, and so too good. "
            "The outer score is that of the same winners, fitted anew, on rows that no trial saw: the one to trust. Means over "
            "the studies. Reused are trials whose parameters had been tried before. The cost is that of all trials of all studies."
        ),
        "history": (
            "Each trial's value, and for each study the best so far; pruned and failed trials, and the lowest tenth of values, are "
            "left out."
        ),
        "importances": (
            "The share of each parameter in what tells the better trials from all, by PED-ANOVA (Watanabe, Bansal and Hutter "
            "2023); means over the studies."
        ),
        "curves": (
            "Median over all runs, band from the 10th to the 90th percentile. For evolution, the error of the best network. The "
            "error is cross-entropy for classes and half the squared error of the standardised target for numbers, unless a "
            "model names another; without nnexp's penalty on weights."
        ),
        "method": (
            f"Every model was fitted on the same splits: {evaluation['repeats']} × {evaluation['folds']}-fold cross-validation, "
            f"stratified by class for classification, seed {experiment['seed']}. Numbers had missing cells filled with the "
            "median and were standardised; other columns became one column of 0 and 1 for each value; both were learnt inside "
            "each training set. The target of a regression is standardised, but for "
            "models of positive targets and models told otherwise. "
        ),
    }


def _difference_rows(comparison: Comparison) -> list[list[Any]]:
    rows = []
    table = comparison.differences
    for _, row in table[table["model"] == comparison.best].iterrows() if comparison.best else ():
        metric = comparison.metric[row["data"]]
        interval = interval_in_words(metric, row["difference"], row["half_width"])
        p = "—" if np.isnan(row["p_holm"]) else f"{row['p_holm']:.3f}" if row["p_holm"] >= 0.001 else "< 0.001"
        verdict = "—" if np.isnan(row["p_holm"]) else "not clear"
        if row["clear"]:
            verdict = "better" if row["difference"] > 0 else "worse"
        rows.append(
            [
                row["data"],
                row["other"],
                in_words(metric, row["difference"]),
                interval,
                p,
                verdict,
            ]
        )
    return rows


def _settings(model: dict[str, Any]) -> str:
    classes = dict.fromkeys(model["class"].values())
    rest = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in model.items() if k != "class")
    return f"{' / '.join(classes)}({rest})"
