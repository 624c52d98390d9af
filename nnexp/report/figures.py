"""The figures of a report, as SVG to stand inside a page: text as text, ink in the page's own colour."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nnexp.experiment.results import Results
from nnexp.report.statistics import Comparison
from nnexp.report.tuning import POINTS, parameters_of, searches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by the colour-blind and on light and dark ground alike.
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#B8A400"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
_INK = "#010203"  # stands for the page's ink, replaced by currentColor
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
}


def style_of(models: list[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each model."""
    return {model: (COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]) for i, model in enumerate(models)}


def scores(comparison: Comparison) -> str:
    """Draw the mean score of each model with its interval, a panel for each data set."""
    from matplotlib import rc_context

    styles = style_of(comparison.models)
    names = comparison.data
    with rc_context(_STYLE):
        figure, panels = _grid(len(names), height=0.5 + 0.28 * len(comparison.models))
        for panel, name in zip(panels, names, strict=False):
            own = comparison.cells[comparison.cells["data"] == name].set_index("model")
            for row, model in enumerate(reversed(comparison.models)):
                if model not in own.index:
                    continue
                mean, width = (float(own[column][model]) for column in ("mean", "half_width"))
                color, marker = styles[model]
                panel.errorbar(
                    mean, row, xerr=None if np.isnan(width) else width,
                    color=color, marker=marker, markersize=5, capsize=3, linewidth=1.4,
                )  # fmt: skip
            panel.set_yticks(range(len(comparison.models)), [_label(m) for m in reversed(comparison.models)])
            panel.set_ylim(-0.6, len(comparison.models) - 0.4)
            panel.set_title(_label(name))
            panel.set_xlabel(comparison.metric[name])
            panel.grid(axis="x", color="#888888", alpha=0.25, linewidth=0.6)
        text = (
            "Mean score and 95 % interval of each model on each data set; the leaderboard and the map hold the numbers."
        )
        return _svg(figure, "scores", text)


def learning_curves(results: Results, comparison: Comparison) -> str:
    """Draw the error against the evaluations spent: the median over runs and the band of the middle 80 %."""
    text = (
        "Training error against evaluations spent, on logarithmic axes: the median over the runs, and a band from "
        "the 10th to the 90th percentile."
    )
    return _curves(results.curves, comparison, "error", "learning-curves", text)


def score_curves(results: Results, comparison: Comparison) -> str:
    """Draw the best score so far on the samples set aside against the evaluations spent, in the same way."""
    text = (
        "The best score so far on the validation samples against evaluations spent: the median over the runs, and a band "
        "from the 10th to the 90th percentile."
    )
    return _curves(best_so_far(results.curves), comparison, "validation_score", "score-curves", text)


def best_so_far(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves with the highest validation score that each run has had up to each step."""
    runs = [curves[name] for name in ("data", "model", "repeat", "fold")]
    return curves.assign(validation_score=curves.groupby(runs, sort=False)["validation_score"].cummax())


def _curves(curves: pd.DataFrame, comparison: Comparison, column: str, name_of_figure: str, text: str) -> str:
    from matplotlib import rc_context

    if curves[column].notna().sum() == 0 or not comparison.models:
        return ""
    is_error = column == "error"
    styles = style_of(comparison.models)
    drawn = set(curves.loc[curves[column].notna(), "data"])
    names = [name for name in comparison.data if name in drawn]
    with rc_context(_STYLE):
        figure, panels = _grid(len(names), height=2.1)
        for panel, name in zip(panels, names, strict=False):
            for model in comparison.models:
                own = curves[(curves["data"] == name) & (curves["model"] == model) & curves[column].notna()]
                if own.empty:
                    continue
                band = _band(own, column)
                color, _ = styles[model]
                panel.plot(band["evaluations"], band["median"], color=color, label=_label(model), linewidth=1.5)
                panel.fill_between(band["evaluations"], band["low"], band["high"], color=color, alpha=0.2, linewidth=0)
            panel.set_xscale("log")
            if is_error:
                panel.set_yscale("log")
            else:  # what lies far below the rest of the panel is a beginning that nobody asks about
                panel.set_ylim(bottom=_low_end(panel))
            panel.set_title(_label(name))
            panel.set_xlabel("evaluations")
            panel.set_ylabel("training error" if is_error else "validation score")
            panel.grid(color="#888888", alpha=0.2, linewidth=0.5)
        _legend(figure, panels, names)
        return _svg(figure, name_of_figure, text)


def _low_end(panel: Axes) -> float:
    """Return where a panel of scores begins, so that the ends of the curves fill most of it."""
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in panel.get_lines()]
    starts = [float(np.nanmin(np.asarray(line.get_ydata(), dtype=float))) for line in panel.get_lines()]
    spread = max(max(ends) - min(ends), 0.02)
    return max(min(starts), min(ends) - 2.0 * spread)


def cost(comparison: Comparison) -> str:
    """Draw the score of each model against what a fit cost in evaluations, a panel for each data set."""
    from matplotlib import rc_context

    styles = style_of(comparison.models)
    priced = comparison.cells.dropna(subset=["mean", "evaluations"])
    costs = priced.groupby("data")["evaluations"]
    # Where all had one budget, a panel would be a single column, and the scores stand above already.
    differ = costs.max() >= 1.25 * costs.min()
    names = [name for name in comparison.data if differ.get(name, False)]
    if not names:
        return ""
    with rc_context(_STYLE):
        figure, panels = _grid(len(names), height=1.9)
        for panel, name in zip(panels, names, strict=False):
            own = priced[priced["data"] == name]
            for _, cell in own.iterrows():
                color, marker = styles[cell["model"]]
                width = cell["half_width"]
                panel.errorbar(
                    cell["evaluations"], cell["mean"], yerr=None if np.isnan(width) else width, color=color,
                    marker=marker, capsize=3, linewidth=1.2, linestyle="none", label=_label(cell["model"]),
                )  # fmt: skip
            if own["evaluations"].max() > 5 * own["evaluations"].min():
                panel.set_xscale("log")
            else:
                panel.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
                panel.locator_params(axis="x", nbins=4)
            panel.margins(x=0.15)
            panel.set_title(_label(name))
            panel.set_xlabel("evaluations of a fit")
            panel.set_ylabel(comparison.metric[name])
            panel.grid(color="#888888", alpha=0.2, linewidth=0.5)
        _legend(figure, panels, names)
        return _svg(figure, "cost", "Mean score with its 95 % interval against the evaluations that a fit cost.")


def search_history(results: Results) -> str:
    """Draw each trial's value and the best so far, a panel for each data set and tuned model."""
    from matplotlib import rc_context

    found = searches(results)
    if not found:
        return ""
    with rc_context(_STYLE):
        figure, panels = _grid(len(found), height=1.7)
        for panel, (name, model, own) in zip(panels, found, strict=False):
            complete = own[own["state"] == "complete"]
            shown = _thinned(complete)
            panel.plot(shown["number"], shown["value"], ".", color=COLORS[6], alpha=0.45, markersize=3)
            for _, study in complete.groupby(["repeat", "fold"], dropna=False, sort=False):
                best = study.sort_values("number").set_index("number")["value"].cummax()
                best = best[best.diff().ne(0) | (best.index == best.index.max())]
                panel.step(best.index, best, where="post", color=COLORS[0], linewidth=1.0)
            low, high = _range_of(complete["value"])
            panel.set_ylim(low, high)
            panel.set_title(_label(f"{model} on {name}"))
            panel.set_xlabel("trial")
            panel.set_ylabel(_objective(results, name, model))
            panel.grid(color="#888888", alpha=0.25, linewidth=0.6)
        return _svg(figure, "history", "Value of each trial and the best so far; trials.csv holds the numbers.")


def importances(results: Results) -> str:
    """Draw how much each parameter decides about the value, a panel for each data set and tuned model."""
    from matplotlib import rc_context

    table = results.importances
    if table.empty:
        return ""
    found = [(str(n), str(m), own) for (n, m), own in table.groupby(["data", "model"], sort=False)]
    longest = max(own["parameter"].nunique() for _, _, own in found)
    with rc_context(_STYLE):
        figure, panels = _grid(len(found), height=0.4 + 0.26 * longest)
        for panel, (name, model, own) in zip(panels, found, strict=False):
            means = own.groupby("parameter")["importance"].mean().sort_values()
            panel.barh(range(len(means)), means, color=COLORS[0], height=0.6)
            panel.set_yticks(range(len(means)), [_label(str(n)) for n in means.index])
            panel.set_title(_label(f"{model} on {name}"))
            panel.set_xlabel("share")
        return _svg(figure, "importances", "Importance of each parameter; importances.csv holds the numbers.")


def slices(results: Results) -> str:
    """Draw the value against the most important parameters, a panel for each data set, tuned model and parameter."""
    from matplotlib import rc_context

    found = [(n, m, own, p) for n, m, own in searches(results) for p in parameters_of(results, own)]
    if not found:
        return ""
    with rc_context(_STYLE):
        figure, panels = _grid(len(found), height=1.6)
        for panel, (name, model, own, parameter) in zip(panels, found, strict=False):
            complete = own[(own["state"] == "complete") & own[parameter].notna()]
            shown = _thinned(complete)
            values = shown[parameter]
            if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
                words = sorted(values.astype(str).unique())
                panel.set_xticks(range(len(words)), [_label(word[:14]) for word in words])
                values = values.astype(str).map(words.index)
            elif values.min() > 0 and values.max() / values.min() > 50:
                panel.set_xscale("log")
            panel.scatter(values, shown["value"], s=7, c=shown["number"], cmap="viridis", alpha=0.8, linewidths=0)
            low, high = _range_of(complete["value"])
            panel.set_ylim(low, high)
            panel.set_title(_label(f"{model} on {name}"))
            panel.set_xlabel(_label(parameter))
            panel.grid(color="#888888", alpha=0.25, linewidth=0.6)
        return _svg(figure, "slices", "Value against each parameter; trials.csv holds the numbers.")


def pareto(results: Results) -> str:
    """Draw the trials of sweeps with two objectives and their front."""
    from matplotlib import rc_context

    sweep = results.experiment.get("sweep") or {}
    if not any("evaluations" in own for own in (sweep.get("objectives") or {}).values()):
        return ""
    found = searches(results)
    with rc_context(_STYLE):
        figure, panels = _grid(len(found), height=1.8)
        for panel, (name, model, own) in zip(panels, found, strict=False):
            complete = own[(own["state"] == "complete") & (own["evaluations"] > 0)]
            shown = _thinned(complete)
            panel.plot(shown["evaluations"], shown["value"], ".", color=COLORS[6], alpha=0.5, markersize=3)
            for _, study in complete[complete["is_best"] == 1].groupby(["repeat", "fold"], dropna=False, sort=False):
                front = study.sort_values("evaluations")
                panel.step(
                    front["evaluations"], front["value"], where="post", color=COLORS[0], marker="o", markersize=3
                )
            panel.set_xscale("log")
            low, high = _range_of(complete["value"])
            panel.set_ylim(low, high)
            panel.set_title(_label(f"{model} on {name}"))
            panel.set_xlabel("evaluations")
            panel.set_ylabel(_objective(results, name, model))
        return _svg(figure, "pareto", "Value against cost of each trial, and the front that no trial beats in both.")


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    if len(table) <= POINTS:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, POINTS).astype(int)]


def _range_of(values: pd.Series) -> tuple[float, float]:
    """Return the range that a figure shows: the worst tenth would push the rest together."""
    if values.empty:
        return 0.0, 1.0
    low, high = float(values.quantile(0.1)), float(values.max())
    gap = max(high - low, 1e-6 * max(1.0, abs(high)))
    return low - 0.05 * gap, high + 0.08 * gap


def _objective(results: Results, name: str, model: str) -> str:
    own = results.tuned[(results.tuned["data"] == name) & (results.tuned["model"] == model)]
    return _label(str(own["objective"].iloc[0])) if len(own) else "value"


def _label(name: str) -> str:
    """Keep a name as it is: matplotlib reads $ as mathematics, and leaves out of a legend what begins with _."""
    text = name.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def _band(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the median and the band over runs for each step; a run that has ended keeps its last error."""
    keys = ["repeat", "fold"]
    errors = curves.pivot_table(index="step", columns=keys, values=column).ffill()
    spent = curves.pivot_table(index="step", columns=keys, values="evaluations").ffill()
    quantiles = errors.quantile([0.1, 0.5, 0.9], axis=1).T
    table = pd.DataFrame(
        {
            "evaluations": spent.median(axis=1),
            "low": quantiles[0.1],
            "median": quantiles[0.5],
            "high": quantiles[0.9],
        }
    )
    if len(table) > 120:  # more points than an eye can tell apart only make the file larger
        rows = np.unique(np.geomspace(1, len(table), 120).astype(int)) - 1
        table = table.iloc[rows]
    return table


def _grid(n: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(3, max(n, 1))
    rows = -(-n // columns)
    figure = Figure(
        figsize=(3.1 * columns + 0.4, rows * (height + 0.75)), layout=ConstrainedLayoutEngine(h_pad=0.1, hspace=0.06)
    )
    panels = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for panel in panels[n:]:
        panel.set_axis_off()
    return figure, panels


def _legend(figure: Figure, panels: list[Axes], names: list[str]) -> None:
    entries: dict[str, Any] = {}
    for panel in panels[: len(names)]:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=6)


def _svg(figure: Figure, name: str, description: str) -> str:
    """Return the figure as an <svg> element with alternative text, the same bytes for the same data."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Hundredths of a point are finer than any screen; more digits only make the file larger.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    # Ids must differ between the figures of one page.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    label = html.escape(description, quote=True)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
