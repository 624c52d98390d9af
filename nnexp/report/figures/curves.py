"""Figures of training: error and score against evaluations, and what happened within populations."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nnexp.experiment.results import POPULATION, Results
from nnexp.report.figures.drawing import (
    COLORS,
    GRID,
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

_STEPS = 120


def learning_curves(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the error against the evaluations spent: the median over runs and the band of the middle 80 %."""
    caption = (
        "Median over all runs, band from the 10th to the 90th percentile. For evolution, the error of the best network. The "
        "error is cross-entropy for classes and half the squared error of the standardised target for numbers, unless a "
        "model names another; without nnexp's penalty on weights."
    )
    alt = "Training error against evaluations spent, on logarithmic axes: the median over the runs, and a band of the middle 80 %."
    return _curves(results.curves, comparison, "error", "learning-curves", "Learning curves", caption, alt)


def score_curves(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the best score so far on the samples set aside against the evaluations spent, in the same way."""
    caption = (
        "The best score so far, accuracy or R² unless a model names another, on the samples that were set aside to choose "
        "the best step; the scores above are those on the test samples. Median over all runs, band from the 10th to the "
        "90th percentile. Models without validation samples are not drawn."
    )
    alt = (
        "The best score so far on the validation samples against evaluations spent: the median over the runs, and a band of the "
        "middle 80 %."
    )
    if results.curves["validation_score"].isna().all():
        return None
    curves = best_so_far(results.curves)
    return _curves(curves, comparison, "validation_score", "score-curves", "Score against evaluations", caption, alt)


def best_so_far(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves with the highest validation score that each run has had up to each step."""
    runs = [curves[name] for name in ("data", "model", "repeat", "fold")]
    best = curves.groupby(runs, sort=False, observed=True)["validation_score"].cummax()
    return curves.assign(validation_score=best)


def _curves(
    curves: pd.DataFrame, comparison: Comparison, column: str, name: str, title: str, caption: str, alt: str
) -> Figure | None:
    from matplotlib import rc_context

    curves = curves[curves[column].notna()]
    there = set(curves["data"].unique()) if len(curves) else set()
    drawn = [name for name in comparison.data if name in there]
    names, models = shown_data(comparison, drawn), shown_models(comparison, among=set(curves["model"].unique()))
    if not names or not models:
        return None
    is_error = column == "error"
    styles = style_of(comparison.models)
    chosen = curves[curves["data"].isin(names) & curves["model"].isin(models)]
    groups = dict(iter(chosen.groupby(["data", "model"], observed=True, sort=False)))
    bands = []
    with rc_context(STYLE):
        figure, panels = grid(len(names), height=2.1)
        for panel, data_name in zip(panels, names, strict=False):
            for model in models:
                if (data_name, model) not in groups:
                    continue
                band = band_of(groups[data_name, model], column)
                color, _ = styles[model]
                panel.plot(band["evaluations"], band["median"], color=color, label=label(model), linewidth=1.5)
                panel.fill_between(band["evaluations"], band["low"], band["high"], color=color, alpha=0.2, linewidth=0)
                bands.append(band.assign(data=data_name, model=model))
            panel.set_xscale("log")
            if is_error:
                panel.set_yscale("log")
            else:  # what lies far below the rest of the panel is a beginning that nobody asks about
                panel.set_ylim(bottom=_low_end(panel))
            panel.set_title(short(data_name))
            panel.set_xlabel("evaluations")
            panel.set_ylabel("training error" if is_error else "validation score")
            panel.grid(**GRID)
        legend(figure, panels[: len(names)])
        data = pd.concat(bands)[["data", "model", "evaluations", "low", "median", "high"]]
        caption += left_out(comparison, names, models, len(drawn))
        return Figure(name, title, caption, alt, to_svg(figure, name, alt), data)


def _low_end(panel: object) -> float:
    """Return where a panel of scores begins, so that the ends of the curves fill most of it."""
    lines = panel.get_lines()  # type: ignore[attr-defined]
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in lines]
    starts = [float(np.nanmin(np.asarray(line.get_ydata(), dtype=float))) for line in lines]
    spread = max(max(ends) - min(ends), 0.02)
    return max(min(starts), min(ends) - 2.0 * spread)


def band_of(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the median and the band over runs for each step; a run that has ended keeps its last value."""
    keys = ["repeat", "fold"]
    values = curves.pivot_table(index="step", columns=keys, values=column, observed=True).ffill()
    spent = curves.pivot_table(index="step", columns=keys, values="evaluations", observed=True).ffill()
    quantiles = np.nanquantile(values.to_numpy(dtype=float), [0.1, 0.5, 0.9], axis=1)
    table = pd.DataFrame(
        {"evaluations": spent.median(axis=1), "low": quantiles[0], "median": quantiles[1], "high": quantiles[2]}
    )
    if len(table) > _STEPS:  # more points than an eye can tell apart only make the file larger
        rows = np.unique(np.geomspace(1, len(table), _STEPS).astype(int)) - 1
        table = table.iloc[rows]
    return table


def populations(results: Results, comparison: Comparison) -> Figure | None:
    """Draw the best, the median and the worst error of populations, and how far apart their networks are."""
    from matplotlib import rc_context

    curves = results.curves
    curves = curves[curves["population_median_error"].notna()]
    models = shown_models(comparison, among=set(curves["model"].unique()) if len(curves) else set())
    names = shown_data(comparison, most=3)
    groups = dict(iter(curves.groupby(["data", "model"], observed=True, sort=False))) if models else {}
    pairs = [(name, model) for model in models for name in names if (name, model) in groups][:9]
    if not pairs:
        return None
    parts = []
    with rc_context(STYLE):
        figure, panels = grid(len(pairs), height=2.0)
        for panel, (name, model) in zip(panels, pairs, strict=False):
            of_model, table = groups[name, model], {}
            for column, color, label in zip(
                POPULATION[:3], (COLORS[2], COLORS[0], COLORS[5]), ("best", "median", "worst"), strict=True
            ):
                band = band_of(of_model, column)
                panel.plot(band["evaluations"], band["median"], color=color, label=label, linewidth=1.4)
                table[label] = band["median"]
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_title(short(f"{model} on {name}", 34))
            panel.set_xlabel("evaluations")
            panel.set_ylabel("error")
            panel.grid(**GRID)
            if of_model["diversity"].notna().any():
                band = band_of(of_model[of_model["diversity"].notna()], "diversity")
                other = panel.twinx()
                other.plot(
                    band["evaluations"],
                    band["median"],
                    color=COLORS[6],
                    linestyle="--",
                    linewidth=1.2,
                    label="diversity",
                )
                other.set_ylim(bottom=0)
                other.spines["right"].set_visible(True)
                other.set_ylabel("diversity")
                table["diversity"] = band["median"]
                panel.plot([], [], color=COLORS[6], linestyle="--", linewidth=1.2, label="diversity")
            table["evaluations"] = band["evaluations"]
            parts.append(pd.DataFrame(table).assign(data=name, model=model))
        legend(figure, panels[: len(pairs)])
        alt = "Best, median and worst error within each population against evaluations, and the diversity of its networks."
        caption = (
            "Medians over the runs. Diversity is the standard deviation of a weight among the networks in units "
            "of its initial scale, the mean "
            "over the weights; where it reaches 0 all networks are alike, and crossover has nothing left to mix."
        )
        data = pd.concat(parts)
        data = data[
            ["data", "model", "evaluations", *(c for c in data.columns if c not in ("data", "model", "evaluations"))]
        ]
        return Figure("populations", "Within the populations", caption, alt, to_svg(figure, "populations", alt), data)
