"""Figures of sweeps: history, importances, parallel coordinates, slices, inner against outer scores, the front of trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nnexp.experiment.results import Results
from nnexp.report.figures.drawing import (
    COLORS,
    GRID,
    INK,
    MOST_PANELS,
    STYLE,
    Figure,
    grid,
    label,
    legend,
    range_of,
    short,
    short_start,
    style_of,
    thinned,
    to_svg,
)
from nnexp.report.tables import Comparison
from nnexp.report.tuning import parameters_of, searches

_LINES = 200


def search_history(results: Results) -> Figure | None:
    """Draw each trial's value and the best so far, a panel for each data set and tuned model."""
    from matplotlib import rc_context

    sweeps = searches(results)[:MOST_PANELS]
    if not sweeps:
        return None
    drawn = []
    with rc_context(STYLE):
        figure, panels = grid(len(sweeps), height=1.7)
        for panel, (name, model, trials) in zip(panels, sweeps, strict=False):
            complete = trials[trials["state"] == "complete"]
            shown = thinned(complete)
            panel.plot(shown["number"], shown["value"], ".", color=COLORS[6], alpha=0.45, markersize=3)
            drawn.append(shown[["data", "model", "repeat", "fold", "number", "value"]])
            for _, study in complete.groupby(["repeat", "fold"], dropna=False, sort=False):
                best = study.sort_values("number").set_index("number")["value"].cummax()
                best = best[best.diff().ne(0) | (best.index == best.index.max())]
                panel.step(best.index, best, where="post", color=COLORS[0], linewidth=1.0)
            panel.set_ylim(*range_of(complete["value"]))
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel("trial")
            panel.set_ylabel(_objective(results, name, model))
            panel.grid(**GRID)
        caption = (
            "Each trial's value, and for each study the best so far; pruned and failed trials, and the lowest tenth of values, are "
            "left out."
        )
        alt = "Value of each trial against its number, and the best so far of each study."
        return Figure("history", "How the search went", caption, alt, to_svg(figure, "history", alt), pd.concat(drawn))


def inner_outer(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the outer score of each study's winner against its inner one: what was promised, and what was kept."""
    from matplotlib import rc_context

    tuned = results.tuned
    if tuned.empty or tuned["fold"].isna().any() or results.runs.empty:
        return None
    parts = []
    for (name, model, metric), sweeps in tuned.groupby(["data", "model", "objective"], sort=False):
        runs = results.runs[(results.runs["data"] == name) & (results.runs["model"] == model)]
        if metric not in runs:
            continue
        both = sweeps.merge(
            runs[["repeat", "fold", metric]].rename(columns={metric: "outer_score"}), on=["repeat", "fold"]
        )
        parts.append(
            both.assign(data=str(name), model=str(model))[
                ["data", "model", "repeat", "fold", "inner_score", "outer_score"]
            ]
        )
    table = pd.concat(parts).dropna() if parts else pd.DataFrame()
    names = [name for name in comparison.data if len(table) and name in set(table["data"])][:MOST_PANELS]
    if not names:
        return None
    styles = style_of(comparison.models)
    with rc_context(STYLE):
        figure, panels = grid(len(names), height=2.1)
        for panel, name in zip(panels, names, strict=False):
            for model, sweeps in table[table["data"] == name].groupby("model", sort=False):
                color, marker = styles[str(model)]
                panel.plot(
                    sweeps["inner_score"],
                    sweeps["outer_score"],
                    marker,
                    color=color,
                    alpha=0.8,
                    markersize=5,
                    label=label(str(model)),
                )
            here = table.loc[table["data"] == name, ["inner_score", "outer_score"]].to_numpy()
            ends = [here.min(), here.max()]
            panel.plot(ends, ends, color=COLORS[6], linestyle="--", linewidth=1)
            panel.set_title(short(name))
            panel.set_xlabel("inner score of the winner")
            panel.set_ylabel("outer score")
            panel.margins(0.12)
            panel.grid(**GRID)
        legend(figure, panels[: len(names)])
        alt = "Outer score of the winner of each study against its inner score; below the dashed line it promised too much."
        caption = "A point for each outer fold. Below the dashed line the search promised more than the winner kept."
        return Figure(
            "inner-outer", "Inner against outer scores", caption, alt, to_svg(figure, "inner-outer", alt), table
        )


def importances(results: Results) -> Figure | None:
    """Draw how much each parameter decides about the value, a panel for each data set and tuned model."""
    from matplotlib import rc_context

    table = results.importances
    if table.empty:
        return None
    panels_of = [(str(n), str(m), curves) for (n, m), curves in table.groupby(["data", "model"], sort=False)][
        :MOST_PANELS
    ]
    longest = max(curves["parameter"].nunique() for _, _, curves in panels_of)
    with rc_context(STYLE):
        figure, panels = grid(len(panels_of), height=0.4 + 0.26 * longest)
        for panel, (name, model, curves) in zip(panels, panels_of, strict=False):
            means = curves.groupby("parameter")["importance"].mean().sort_values()
            panel.barh(range(len(means)), means, color=COLORS[0], height=0.6)
            panel.set_yticks(range(len(means)), [short_start(str(n)) for n in means.index])
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel("share")
        caption = (
            "The share of each parameter in what tells the better trials from all, by PED-ANOVA (Watanabe, Bansal and Hutter "
            "2023); means over the studies."
        )
        first = table.groupby("parameter")["importance"].mean().sort_values(ascending=False)
        alt = f"Importance of each parameter; on average over all, {first.index[0]} has the largest share, {first.iloc[0]:.2f}."
        return Figure("importances", "Which parameters decide", caption, alt, to_svg(figure, "importances", alt), table)


def parallel_coordinates(results: Results) -> Figure | None:
    """Draw each trial as a line through its parameters to its value."""
    from matplotlib import colormaps, rc_context
    from matplotlib.collections import LineCollection

    panels_of = [(n, m, trials, parameters_of(results, trials, 6)) for n, m, trials in searches(results)[:6]]
    panels_of = [item for item in panels_of if item[3] and (item[2]["state"] == "complete").any()]
    if not panels_of:
        return None
    drawn = []
    with rc_context(STYLE):
        figure, panels = grid(len(panels_of), height=2.3, columns=1, width=8.8)
        for panel, (name, model, trials, parameters) in zip(panels, panels_of, strict=False):
            complete = trials[(trials["state"] == "complete") & trials[parameters].notna().all(axis=1)]
            complete = complete.sort_values("value", kind="stable")
            if complete.empty:
                continue
            shown = thinned(complete, _LINES)
            columns = [*parameters, "value"]
            drawn.append(shown[["data", "model", "repeat", "fold", "number", *columns]])
            heights, ticks = zip(*(_axis(complete[c], shown[c]) for c in columns), strict=True)
            places = np.column_stack(heights)
            order = (places[:, -1] - places[:, -1].min()) / max(float(np.ptp(places[:, -1])), 1e-12)
            lines = [np.column_stack([np.arange(len(columns)), row]) for row in places]
            best = shown["value"].to_numpy() >= shown["value"].quantile(0.95)
            panel.add_collection(
                LineCollection(
                    lines, colors=colormaps["viridis"](0.92 * order, alpha=0.55), linewidths=np.where(best, 1.6, 0.5)
                )
            )
            for at, own_ticks in enumerate(ticks):
                panel.axvline(at, color=INK, linewidth=0.7)
                for height, text in own_ticks:
                    panel.text(at + 0.02, height, text, fontsize=7, va="center")
            panel.set_xlim(-0.05, len(columns) - 0.6)
            panel.set_ylim(-0.06, 1.06)
            panel.set_xticks(
                range(len(columns)), [short_start(c, 22) for c in [*parameters, _objective(results, name, model)]]
            )
            panel.set_yticks([])
            panel.spines[["left", "bottom"]].set_visible(False)
            panel.set_title(short(f"{model} on {name}", 60))
        alt = "Each trial as a line through its parameters to its value at the right; the best twentieth is drawn thicker."
        caption = (
            f"A line for each completed trial, at most {_LINES}, through its parameters, the most important "
            "first, to its value at the right; "
            "the lighter the better, and the best twentieth thicker."
        )
        svg = to_svg(figure, "parallel", alt)
        return Figure(
            "parallel", "Parallel coordinates", caption, alt, svg, pd.concat(drawn) if drawn else pd.DataFrame()
        )


def _axis(every: pd.Series, shown: pd.Series) -> tuple[Any, list[tuple[float, str]]]:
    """Return the places from 0 to 1 of the shown values on an axis of all values, and its ticks."""
    if not pd.api.types.is_numeric_dtype(every) or pd.api.types.is_bool_dtype(every):
        words = sorted(every.astype(str).unique())
        of = {word: i / max(len(words) - 1, 1) for i, word in enumerate(words)}
        kept = words if len(words) <= 8 else [words[0], words[-1]]
        return shown.astype(str).map(of).to_numpy(dtype=float), [(of[word], short(word, 14)) for word in kept]
    values = every.astype(float)
    is_log = values.min() > 0 and values.max() / values.min() > 50
    scale = np.log if is_log else np.asarray
    low, high = float(scale(values.min())), float(scale(values.max()))
    gap = high - low or 1.0
    middle = float(np.exp((low + high) / 2)) if is_log else (low + high) / 2
    ticks = [(0.0, f"{values.min():.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{values.max():.3g}")]
    return (scale(shown.to_numpy(dtype=float)) - low) / gap, ticks if high > low else ticks[:1]


def slices(results: Results) -> Figure | None:
    """Draw the value against the most important parameters, a panel for each data set, tuned model and parameter."""
    from matplotlib import rc_context

    panels_of = [(n, m, trials, p) for n, m, trials in searches(results) for p in parameters_of(results, trials)][
        : 2 * MOST_PANELS
    ]
    if not panels_of:
        return None
    drawn = []
    with rc_context(STYLE):
        figure, panels = grid(len(panels_of), height=1.6)
        for panel, (name, model, trials, parameter) in zip(panels, panels_of, strict=False):
            complete = trials[(trials["state"] == "complete") & trials[parameter].notna()]
            shown = thinned(complete)
            values = shown[parameter]
            drawn.append(
                shown[["data", "model", "repeat", "fold", "number", "value"]].assign(
                    parameter=parameter, setting=values.astype(str)
                )
            )
            if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
                words = sorted(values.astype(str).unique())
                panel.set_xticks(range(len(words)), [short(word, 14) for word in words])
                values = values.astype(str).map(words.index)
            elif values.min() > 0 and values.max() / values.min() > 50:
                panel.set_xscale("log")
            panel.scatter(values, shown["value"], s=7, c=shown["number"], cmap="viridis", alpha=0.8, linewidths=0)
            panel.set_ylim(*range_of(complete["value"]))
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel(label(parameter))
            panel.grid(**GRID)
        caption = "Each point is a trial of any study; later ones are lighter. The lowest tenth of values is left out."
        alt = "Value of trials against each of the most important parameters."
        return Figure("slices", "Value by parameter", caption, alt, to_svg(figure, "slices", alt), pd.concat(drawn))


def trials_front(results: Results) -> Figure | None:
    """Draw the trials of sweeps with two objectives and their front."""
    from matplotlib import rc_context

    sweep = results.experiment.get("sweep") or {}
    if not any("evaluations" in direction for direction in (sweep.get("objectives") or {}).values()):
        return None
    sweeps = searches(results)[:MOST_PANELS]
    if not sweeps:
        return None
    drawn = []
    with rc_context(STYLE):
        figure, panels = grid(len(sweeps), height=1.8)
        for panel, (name, model, trials) in zip(panels, sweeps, strict=False):
            complete = trials[(trials["state"] == "complete") & (trials["evaluations"] > 0)]
            shown = thinned(complete)
            drawn.append(complete[["data", "model", "repeat", "fold", "number", "evaluations", "value", "is_best"]])
            panel.plot(shown["evaluations"], shown["value"], ".", color=COLORS[6], alpha=0.5, markersize=3)
            for _, study in complete[complete["is_best"] == 1].groupby(["repeat", "fold"], dropna=False, sort=False):
                front = study.sort_values("evaluations")
                panel.step(
                    front["evaluations"], front["value"], where="post", color=COLORS[0], marker="o", markersize=3
                )
            panel.set_xscale("log")
            panel.set_ylim(*range_of(complete["value"]))
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel("evaluations")
            panel.set_ylabel(_objective(results, name, model))
        caption = (
            "Each trial, and for each study the front: trials that no other one beats in one objective "
            "without being worse in the other."
        )
        alt = "Value against cost of each trial, and the front that no trial beats in both."
        data = thinned(pd.concat(drawn), 5000)
        return Figure("pareto", "Value against cost of the trials", caption, alt, to_svg(figure, "pareto", alt), data)


def _objective(results: Results, name: str, model: str) -> str:
    if results.tuned.empty:  # such as of a sweep that was stopped
        return "value"
    winners = results.tuned[(results.tuned["data"] == name) & (results.tuned["model"] == model)]
    return label(str(winners["objective"].iloc[0])) if len(winners) else "value"
