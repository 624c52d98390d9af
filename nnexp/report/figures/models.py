"""Figures of fitted models: confusion, calibration, residuals, decision boundaries, the network itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nnexp.experiment.results import Results
from nnexp.report.figures.drawing import (
    COLORS,
    GRID,
    INK,
    STYLE,
    Figure,
    grid,
    label,
    left_out,
    legend,
    short,
    shown_data,
    shown_models,
    style_of,
    to_svg,
)
from nnexp.report.tables import Comparison


def _leaders(comparison: Comparison, name: str, table: pd.DataFrame, most: int) -> list[str]:
    """Return the models of a table with the highest means on a data set, the best first."""
    there = set(table.loc[table["data"] == name, "model"])
    cells = comparison.cells[(comparison.cells["data"] == name) & comparison.cells["mean"].notna()]
    order = cells.sort_values("mean", ascending=False, kind="stable")["model"]
    return [model for model in order if model in there][:most]


def confusion(results: Results, comparison: Comparison) -> Figure | None:
    """Draw how often each class was taken for each other one, by the two best models of some data sets."""
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap

    table = results.confusion
    if table.empty:
        return None
    names = shown_data(comparison, [n for n in comparison.data if n in set(table["data"])], 6)
    pairs = [(name, model) for name in names for model in _leaders(comparison, name, table, 2)]
    if not pairs:
        return None
    colors = LinearSegmentedColormap.from_list("share", ["#FFFFFF00", COLORS[0]])
    with rc_context(STYLE):
        figure, panels = grid(len(pairs), height=2.5, columns=2, width=4.4)
        for panel, (name, model) in zip(panels, pairs, strict=False):
            rows = table[(table["data"] == name) & (table["model"] == model)]
            classes = sorted(set(table.loc[table["data"] == name, "true"]) | set(rows["predicted"]), key=_natural)
            counts = rows.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum")
            counts = counts.reindex(index=classes, columns=classes).fillna(0)
            shares = counts.div(counts.sum(axis=1).replace(0, 1), axis=0)
            panel.pcolormesh(shares.to_numpy(), cmap=colors, vmin=0, vmax=1, edgecolors="none")
            if len(classes) <= 12:
                for i, j in zip(*np.nonzero(counts.to_numpy()), strict=True):
                    share = shares.iloc[i, j]
                    text = f"{100 * share:.0f}" if share >= 0.995 or share < 0.0005 else f"{100 * share:.1f}"
                    panel.text(
                        j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=7,
                        color="#FFFFFF" if share > 0.8 else INK,
                    )  # fmt: skip
            ticks = np.arange(len(classes)) + 0.5
            step = 1 if len(classes) <= 12 else 5
            panel.set_xticks(ticks[::step], [short(c, 10) for c in classes[::step]])
            panel.set_yticks(ticks[::step], [short(c, 10) for c in classes[::step]])
            panel.invert_yaxis()
            panel.set_title(short(f"{name}: {model}", 44))
            panel.set_xlabel("predicted class")
            panel.set_ylabel("true class")
        wrong = [_worst_confusion(table, *pair) for pair in pairs]
        alt = f"Confusion matrices in percent of each true class. Most frequent mistakes: {'; '.join(wrong)}."
        caption = (
            "Percent of the samples of each true class (a row), over the test rows of all splits; the two "
            "models of the highest mean "
            "score on each data set."
            + left_out(comparison, names, comparison.models, results.confusion["data"].nunique())
        )
        return Figure("confusion", "What is taken for what", caption, alt, to_svg(figure, "confusion", alt), table)


def _worst_confusion(table: pd.DataFrame, name: str, model: str) -> str:
    wrong = table[(table["data"] == name) & (table["model"] == model) & (table["true"] != table["predicted"])]
    if wrong.empty:
        return f"none by {model} on {name}"
    row = wrong.sort_values("count", ascending=False, kind="stable").iloc[0]
    return f"{row['true']} for {row['predicted']} by {model} on {name}, {row['count']} times"


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def calibration(results: Results, comparison: Comparison) -> Figure | None:
    """Draw how often models are right against how sure they are, a panel for each data set."""
    from matplotlib import rc_context

    table = results.calibration
    if table.empty:
        return None
    there = [n for n in comparison.data if n in set(table["data"])]
    names, models = shown_data(comparison, there, 6), shown_models(comparison, among=set(table["model"]))
    styles = style_of(comparison.models)
    with rc_context(STYLE):
        figure, panels = grid(len(names), height=2.3)
        for panel, name in zip(panels, names, strict=False):
            panel.plot([0, 1], [0, 1], color=COLORS[6], linestyle="--", linewidth=1)
            lowest = 1.0
            for model in models:
                bins = table[(table["data"] == name) & (table["model"] == model)]
                bins = bins[bins["count"] >= 5]  # of fewer a share says nothing
                if bins.empty:
                    continue
                color, marker = styles[model]
                lowest = min(lowest, float(bins["confidence"].min()), float(bins["accuracy"].min()))
                panel.plot(
                    bins["confidence"],
                    bins["accuracy"],
                    color=color,
                    marker=marker,
                    markersize=3.5,
                    linewidth=1.1,
                    label=label(model),
                )
            panel.set_xlim(max(lowest - 0.05, 0), 1.02)
            panel.set_ylim(max(lowest - 0.05, 0), 1.02)
            panel.set_title(short(name))
            panel.set_xlabel("how sure: mean probability")
            panel.set_ylabel("how often right")
            panel.grid(**GRID)
        legend(figure, panels[: len(names)])
        gaps = calibration_errors(table)
        parts = [f"{row['model']} on {row['data']} {row['gap']:.3f}" for _, row in gaps.nsmallest(3, "gap").iterrows()]
        alt = f"How often models are right against how sure they are. Smallest expected calibration errors: {'; '.join(parts)}."
        caption = (
            "Predictions of all test rows, by the probability of the predicted class, in ten bins; bins of "
            "fewer than 5 are not drawn. "
            "Below the dashed line a model is more sure than it should be."
            + left_out(comparison, names, models, len(there))
        )
        return Figure(
            "calibration", "How sure, and how often right", caption, alt, to_svg(figure, "calibration", alt), table
        )


def calibration_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return the expected calibration error of each data set and model: the mean gap of confidence and accuracy."""
    gaps = (table["confidence"] - table["accuracy"]).abs() * table["count"]
    sums = table.assign(gap=gaps).groupby(["data", "model"], sort=False)[["gap", "count"]].sum()
    return (sums["gap"] / sums["count"]).rename("gap").reset_index()


def residuals(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the errors of regressions against their predictions, by the two best models of some data sets."""
    from matplotlib import rc_context

    table = results.residuals
    if table.empty:
        return None
    names = shown_data(comparison, [n for n in comparison.data if n in set(table["data"])], 6)
    pairs = [(name, model) for name in names for model in _leaders(comparison, name, table, 2)]
    if not pairs:
        return None
    styles, parts = style_of(comparison.models), []
    with rc_context(STYLE):
        figure, panels = grid(len(pairs), height=1.9, columns=2, width=4.4)
        for panel, (name, model) in zip(panels, pairs, strict=False):
            rows = table[(table["data"] == name) & (table["model"] == model)]
            rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 400)).astype(int))]
            rest = rows["target"] - rows["prediction"]
            color, _ = styles[model]
            panel.scatter(rows["prediction"], rest, s=7, color=color, alpha=0.6, linewidths=0)
            panel.axhline(0, color=INK, linewidth=0.8)
            panel.set_title(short(f"{name}: {model}", 44))
            panel.set_xlabel("prediction")
            panel.set_ylabel("target − prediction")
            panel.grid(**GRID)
            parts.append(rows)
        alt = "Residuals against predictions on test rows of the first repeat, by the two best models of each data set."
        caption = (
            "Test rows of the first repeat, at most 400 for each model, drawn evenly; the two models of the "
            "highest mean score on each "
            "data set. A trend or a funnel is something that the model has not learnt."
            + left_out(comparison, names, comparison.models, results.residuals["data"].nunique())
        )
        return Figure("residuals", "Residuals", caption, alt, to_svg(figure, "residuals", alt), pd.concat(parts))


def boundaries(results: Results, comparison: Comparison) -> Figure | None:
    """Draw what models answer over the plane, for data of two columns."""
    from matplotlib import rc_context
    from matplotlib.colors import ListedColormap

    table = results.boundaries
    if table.empty:
        return None
    cells = table[table["kind"] == "grid"]
    names = shown_data(comparison, [n for n in comparison.data if n in set(cells["data"])], 3)
    models = shown_models(comparison, among=set(cells["model"]))
    groups = dict(iter(cells.groupby(["data", "model"], sort=False)))
    pairs = [(name, model) for name in names for model in models if (name, model) in groups]
    if not pairs:
        return None
    with rc_context(STYLE):
        figure, panels = grid(len(pairs), height=2.2, columns=min(4, max(len(models), 2)), width=2.6)
        for panel, (name, model) in zip(panels, pairs, strict=False):
            rows = groups[name, model]
            values = rows.pivot(index="y", columns="x", values="value")
            across, up = values.columns.to_numpy(dtype=float), values.index.to_numpy(dtype=float)
            ends = (across.min(), across.max(), up.min(), up.max())
            points = table[(table["data"] == name) & (table["kind"] == "point")]
            classes = bool(results.environment.get("data", {}).get(name, {}).get("task") == "classification")
            n = int(max(values.to_numpy().max(), points["value"].max())) + 1 if classes else 0
            colors: Any = ListedColormap([COLORS[i % len(COLORS)] for i in range(n)]) if classes else "viridis"
            high = n - 0.5 if classes else points["value"].max()
            low = -0.5 if classes else points["value"].min()
            panel.imshow(
                values.to_numpy(), origin="lower", extent=ends, cmap=colors, vmin=low, vmax=high, alpha=0.35,
                aspect="auto", interpolation="nearest",
            )  # fmt: skip
            panel.scatter(
                points["x"], points["y"], c=points["value"], cmap=colors, vmin=low, vmax=high, s=5, linewidths=0
            )
            features = results.environment.get("data", {}).get(name, {}).get("features", ["", ""])
            mean = comparison.cells[(comparison.cells["data"] == name) & (comparison.cells["model"] == model)]["mean"]
            mean_in_words = f" ({mean.iloc[0]:.3f})" if len(mean) and not np.isnan(mean.iloc[0]) else ""
            panel.set_title(short(f"{name}: {model}{mean_in_words}", 34), fontsize=8.5)
            panel.set_xlabel(label(features[0]))
            panel.set_ylabel(label(features[1]))
        alt = f"What models answer over the plane: {', '.join(f'{model} on {name}' for name, model in pairs)}."
        caption = (
            "Background: the answer of the model that was fitted on the first split; points: data, by their "
            "class or number. In brackets "
            f"the mean score over all splits.{left_out(comparison, names, models, cells['data'].nunique())}"
        )
        return Figure("boundaries", "Decision boundaries", caption, alt, to_svg(figure, "boundaries", alt), table)


def networks(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the networks of the first split of a data set: neurons by their activation, connections by their weight."""
    from matplotlib import rc_context
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    table = results.networks
    if table.empty:
        return None
    there = [n for n in comparison.data if n in set(table["data"])]
    name = shown_data(comparison, there, 1)[0]
    models = shown_models(comparison, 6, set(table.loc[table["data"] == name, "model"]))
    table_of_set = table[(table["data"] == name) & table["model"].isin(models)]
    kinds = [k for k in dict.fromkeys(table_of_set["activation"].dropna()) if k not in ("", "input")]
    colors = {kind: COLORS[(i + 2) % len(COLORS)] for i, kind in enumerate(kinds)} | {"input": COLORS[6]}
    with rc_context(STYLE):
        figure, panels = grid(len(models), height=3.0, columns=2, width=4.6)
        for panel, model in zip(panels, models, strict=False):
            rows = table_of_set[table_of_set["model"] == model]
            neurons, edges = rows[rows["weight"].isna()], rows[rows["weight"].notna()]
            shown = neurons.groupby("layer")["neuron"].transform("size")
            places = {
                (int(layer), int(i)): (float(layer), 0.5 - (i + 0.5) / n)
                for layer, i, n in zip(neurons["layer"], neurons["neuron"], shown, strict=True)
            }
            lines, widths, shades = [], [], []
            largest = float(edges["weight"].abs().max()) if len(edges) else 1.0
            for _, edge in edges.iloc[::-1].iterrows():  # the strongest last, on top
                start = places.get((int(edge["from_layer"]), int(edge["from_neuron"])))
                end = places.get((int(edge["layer"]), int(edge["neuron"])))
                if start is None or end is None:
                    continue
                strength = abs(edge["weight"]) / largest
                lines.append((start, end))
                widths.append(0.2 + 1.8 * strength)
                color = COLORS[0] if edge["weight"] > 0 else COLORS[5]
                shades.append((*(int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)), 0.15 + 0.75 * strength))
            panel.add_collection(LineCollection(lines, linewidths=widths, colors=shades))
            size = max(4, 26 - 0.5 * int(shown.max()))
            panel.scatter(
                [x for x, _ in places.values()], [y for _, y in places.values()], s=size, zorder=3, linewidths=0,
                c=[colors[kind] for kind in neurons["activation"]],
            )  # fmt: skip
            sizes = neurons.drop_duplicates("layer")
            for layer, n, count in zip(sizes["layer"], sizes["size"], shown[sizes.index], strict=True):
                part = f"{n:.0f}" if n == count else f"{count:.0f} of {n:.0f}"
                panel.text(layer, -0.56, part, ha="center", va="top", fontsize=8)
            panel.set_xlim(-0.3, float(neurons["layer"].max()) + 0.3)
            panel.set_ylim(-0.66, 0.54)
            panel.set_title(short(model, 40))
            panel.set_axis_off()
        handles = [
            Line2D([], [], marker="o", linestyle="none", color=colors[k], label=k, markersize=5)
            for k in ("input", *kinds)
        ]
        handles += [
            Line2D([], [], color=COLORS[0], label="weight > 0"),
            Line2D([], [], color=COLORS[5], label="weight < 0"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
        layers = {
            m: "-".join(
                f"{s:.0f}"
                for s in table_of_set[(table_of_set["model"] == m) & table_of_set["weight"].isna()].drop_duplicates(
                    "layer"
                )["size"]
            )
            for m in models
        }
        alt = (
            f"Networks fitted on {name}: {', '.join(f'{m} {sizes}' for m, sizes in layers.items())}; "
            f"activations {', '.join(kinds)}."
        )
        caption = (
            f"The network of each model after the first split of {name}, inputs on the left; below each layer "
            "its neurons. The stronger a "
            "line, the larger the weight; of each network the 400 largest weights among the first 40 neurons of "
            "each layer are drawn, "
            "without those of bias neurons."
        )
        return Figure("networks", "The networks", caption, alt, to_svg(figure, "networks", alt), table_of_set)
