"""Figures of sweeps: history, importances, parallel coordinates, slices, inner against outer scores, the front of trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nnexp.experiment.results import Results
from nnexp.report.figures.axes import ABSENT, Axis, axis_of, leaves_of, lines_of
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
    style_of,
    thinned,
    to_svg,
)
from nnexp.report.tables import Comparison
from nnexp.report.tuning import parameters_of, searches, short_names

_LINES = 200
# Cells of a heat map along each axis, how far a trial reaches, and from which sum of weights on a cell is drawn.
_CELLS, _BANDWIDTH, _NEAR = 20, 0.07, 0.3


def search_history(results: Results) -> Figure | None:
    """Draw each trial's value and the best so far, a panel for each data set and tuned model."""
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

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
            panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
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
            names = short_names(means.to_frame().T, [str(n) for n in means.index])
            panel.set_yticks(range(len(means)), [label(names[str(n)]) for n in means.index])
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
        figure, panels = grid(len(panels_of), height=2.6, columns=1, width=8.8)
        for panel, (name, model, trials, parameters) in zip(panels, panels_of, strict=False):
            complete = trials[trials["state"] == "complete"].sort_values("value", kind="stable")
            shown = thinned(complete, _LINES)
            columns = [*parameters, "value"]
            drawn.append(shown[["data", "model", "repeat", "fold", "number", *columns]])
            axes = [*_axes(results, model, complete, parameters).values(), axis_of(complete["value"], "", None)]
            places = np.column_stack([axis.place(shown[column]) for axis, column in zip(axes, columns, strict=True)])
            order = (places[:, -1] - places[:, -1].min()) / max(float(np.ptp(places[:, -1])), 1e-12)
            lines = [np.column_stack([np.arange(len(columns)), row]) for row in places]
            best = shown["value"].to_numpy() >= shown["value"].quantile(0.95)
            panel.add_collection(
                LineCollection(
                    lines, colors=colormaps["viridis"](0.92 * order, alpha=0.55), linewidths=np.where(best, 1.6, 0.5)
                )
            )
            for at, axis in enumerate(axes):
                panel.plot([at, at], [0, 1], color=INK, linewidth=0.7)
                for height, text in axis.ticks:
                    panel.text(at + 0.02, height, text, fontsize=7, va="center")
            panel.set_xlim(-0.05, len(columns) - 0.5)
            panel.set_ylim((ABSENT if any(axis.has_absent for axis in axes) else 0) - 0.07, 1.06)
            names = [*(axis.name for axis in axes[:-1]), _objective(results, name, model)]
            panel.set_xticks(range(len(columns)), [lines_of(text) for text in names])
            panel.set_yticks([])
            panel.spines[["left", "bottom"]].set_visible(False)
            panel.set_title(short(f"{model} on {name}", 60))
        alt = "Each trial as a line through its parameters to its value at the right; the best twentieth is drawn thicker."
        caption = (
            f"A line for each completed trial, at most {_LINES}, through its parameters, the most important first, to its value "
            "at the right; the lighter the better, and the best twentieth thicker. Where a parameter takes no part in a trial "
            "its line passes below the axis."
        )
        return Figure(
            "parallel", "Parallel coordinates", caption, alt, to_svg(figure, "parallel", alt), pd.concat(drawn)
        )


def _axes(results: Results, model: str, trials: pd.DataFrame, parameters: list[str]) -> dict[str, Axis]:
    """Return the axis of each parameter of a search."""
    leaves, names = leaves_of(results, model), short_names(trials, parameters)
    return {name: axis_of(trials[name], label(names[name]), leaves.get(name)) for name in parameters}


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
            complete = trials[trials["state"] == "complete"]
            shown = thinned(complete)
            axis = _axes(results, model, complete, [parameter])[parameter]
            settings = shown[parameter].astype(object).where(shown[parameter].notna(), "not there").astype(str)
            drawn.append(
                shown[["data", "model", "repeat", "fold", "number", "value"]].assign(
                    parameter=parameter, setting=settings
                )
            )
            panel.scatter(
                axis.place(shown[parameter]),
                shown["value"],
                s=7,
                c=shown["number"],
                cmap="viridis",
                alpha=0.8,
                linewidths=0,
            )
            _put_ticks(panel.xaxis, axis)
            panel.set_xlim((ABSENT if axis.has_absent else 0) - 0.06, 1.06)
            panel.set_ylim(*range_of(complete["value"]))
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel(axis.name)
            panel.grid(**GRID)
        caption = (
            "Each point is a trial of any study; later ones are lighter. The lowest tenth of values is left out. Where a parameter "
            "takes no part in a trial it is not there."
        )
        alt = "Value of trials against each of the most important parameters."
        return Figure("slices", "Value by parameter", caption, alt, to_svg(figure, "slices", alt), pd.concat(drawn))


def _put_ticks(axis_of_panel: Any, axis: Axis) -> None:
    places, texts = zip(*axis.ticks, strict=True)
    # Below a panel it would meet its neighbour.
    axis_of_panel.set_ticks(places, [text.replace("not there", "not\nthere") for text in texts])


def pairs(results: Results) -> Figure | None:
    """Draw the value over the two most important parameters: its smoothed mean, and the trials on it."""
    from matplotlib import rc_context

    panels_of = [(n, m, trials, parameters_of(results, trials, 2)) for n, m, trials in searches(results)]
    panels_of = [item for item in panels_of if len(item[3]) == 2 and (item[2]["state"] == "complete").any()][
        :MOST_PANELS
    ]
    if not panels_of:
        return None
    drawn = []
    with rc_context(STYLE):
        figure, panels = grid(len(panels_of), height=2.2)
        for panel, (name, model, trials, parameters) in zip(panels, panels_of, strict=False):
            every = trials[trials["state"] == "complete"]
            axes = _axes(results, model, every, parameters)
            complete = thinned(every)
            places = np.column_stack([axes[parameter].place(complete[parameter]) for parameter in parameters])
            values = complete["value"].to_numpy(dtype=float)
            ends = range_of(complete["value"])
            drawn.append(
                complete[["data", "model", "repeat", "fold", "number", "value"]].assign(
                    **{f"{way} parameter": parameter for way, parameter in zip("xy", parameters, strict=True)},
                    **{
                        f"{way} setting": complete[p].astype(object).where(complete[p].notna(), "not there").astype(str)
                        for way, p in zip("xy", parameters, strict=True)
                    },
                )
            )
            lows = [(ABSENT if axes[parameter].has_absent else 0) - 0.06 for parameter in parameters]
            edges = [np.linspace(low, 1.06, _CELLS + 1) for low in lows]
            mesh = panel.pcolormesh(
                *edges,
                _smoothed(places, values, edges),
                cmap="viridis",
                vmin=ends[0],
                vmax=ends[1],
                alpha=0.75,
                linewidth=0,
            )
            panel.scatter(
                places[:, 0],
                places[:, 1],
                c=values,
                s=9,
                cmap="viridis",
                vmin=ends[0],
                vmax=ends[1],
                edgecolors=INK,
                linewidths=0.4,
            )
            for at, parameter in enumerate(parameters):
                _put_ticks((panel.xaxis, panel.yaxis)[at], axes[parameter])
            panel.set_xlim(edges[0][0], edges[0][-1])
            panel.set_ylim(edges[1][0], edges[1][-1])
            panel.set_xlabel(axes[parameters[0]].name)
            panel.set_ylabel(axes[parameters[1]].name)
            panel.set_title(short(f"{model} on {name}", 34))
            bar = figure.colorbar(mesh, ax=panel, pad=0.02, aspect=30)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=7)
        caption = (
            "The mean of the values of trials near each place, by a normal kernel; empty where there are none. Points are trials, "
            "the lighter the better; the two most important parameters of each search."
        )
        alt = "Value of trials over the two most important parameters of each search."
        return Figure("pair", "Value by two parameters", caption, alt, to_svg(figure, "pair", alt), pd.concat(drawn))


def _smoothed(places: Any, values: Any, edges: list[Any]) -> Any:
    """Return the kernel-weighted mean of the values in each cell; NaN where no trial is near."""
    centres = np.stack(np.meshgrid(*[(edge[:-1] + edge[1:]) / 2 for edge in edges]), axis=-1)
    away = ((centres[:, :, np.newaxis] - places) ** 2).sum(axis=-1)
    weights = np.exp(-away / (2 * _BANDWIDTH**2))
    total = weights.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(total > _NEAR, (weights * values).sum(axis=-1) / np.maximum(total, 1e-300), np.nan)


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
