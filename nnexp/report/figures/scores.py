"""Figures of scores: intervals, ranks, paired differences, the critical-difference diagram, score against cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.report.figures.drawing import (
    COLORS,
    GRID,
    INK,
    MOST_PANELS,
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scores(comparison: Comparison) -> Figure | None:
    """Draw the mean score of each model with its interval, a panel for each data set."""
    from matplotlib import rc_context

    names, models = shown_data(comparison), shown_models(comparison, 30)
    if not names:
        return None
    data = comparison.cells[["data", "model", "mean", "half_width", "runs", "failed", "rank"]]
    if len(comparison.models) > 15:  # the best ones in full, the rest by ranks
        models = shown_models(comparison)
    styles = style_of(comparison.models)
    with rc_context(STYLE):
        figure, panels = grid(len(names), height=0.5 + 0.28 * len(models))
        for panel, name in zip(panels, names, strict=False):
            cells = comparison.cells[comparison.cells["data"] == name].set_index("model")
            for row, model in enumerate(reversed(models)):
                if model not in cells.index:
                    continue
                mean, width = (float(cells[column][model]) for column in ("mean", "half_width"))
                color, marker = styles[model]
                panel.errorbar(
                    mean, row, xerr=None if np.isnan(width) else width,
                    color=color, marker=marker, markersize=5, capsize=3, linewidth=1.4,
                )  # fmt: skip
            panel.set_yticks(range(len(models)), [short(m) for m in reversed(models)])
            panel.set_ylim(-0.6, len(models) - 0.4)
            panel.set_title(short(name))
            panel.set_xlabel(comparison.metric[name])
            panel.locator_params(axis="x", nbins=5)
            panel.grid(axis="x", **GRID)
        best = comparison.cells[comparison.cells["best"]].drop_duplicates("data").set_index("data").to_dict("index")
        parts = [f"on {n} {best[n]['model']}, {best[n]['mean']:.3f}" for n in names if n in best]
        alt = f"Mean score and 95 % interval of each model, a panel for each data set. Highest: {'; '.join(parts)}."
        caption = "Mean and 95 % interval over all splits, by the corrected resampled t-distribution." + left_out(
            comparison, names, models
        )
        return Figure("scores", "Scores with their uncertainty", caption, alt, to_svg(figure, "scores", alt), data)


def ranks(comparison: Comparison) -> Figure | None:
    """Draw how the ranks of each model are spread over many data sets."""
    from matplotlib import rc_context

    if len(comparison.data) < 2 or (len(comparison.data) <= MOST_PANELS and len(comparison.models) <= 15):
        return None
    models = [str(model) for model in comparison.leaderboard.index][::-1]
    table = comparison.cells.pivot(index="model", columns="data", values="rank").reindex(models)
    with rc_context(STYLE):
        figure, panels = grid(1, height=0.4 + 0.2 * len(models), width=7.0)
        panel = panels[0]
        for row, model in enumerate(models):
            scores = table.loc[model].dropna()
            low, lower, middle, upper, high = scores.quantile([0.1, 0.25, 0.5, 0.75, 0.9]).to_numpy(dtype=float)
            panel.plot([low, high], [row, row], color=COLORS[6], linewidth=1)
            panel.plot([lower, upper], [row, row], color=COLORS[0], linewidth=5, solid_capstyle="butt")
            panel.plot(scores.mean(), row, "D", color=COLORS[1], markersize=4)
            panel.plot([middle, middle], [row - 0.3, row + 0.3], color=INK, linewidth=1.2)
        panel.set_yticks(range(len(models)), [short(m, 32) for m in models])
        panel.set_ylim(-0.7, len(models) - 0.3)
        panel.set_xlabel("rank on a data set, 1 is best")
        panel.grid(axis="x", **GRID)
        alt = f"Ranks of {len(models)} models over {len(comparison.data)} data sets, best on top: {', '.join(models[::-1][:3])}."
        caption = "Bar: the middle half of the data sets; thin line: the middle 80 %; stroke: median; diamond: mean."
        tidy = table.reset_index().melt(id_vars="model", var_name="data", value_name="rank").dropna()
        return Figure("ranks", "Ranks over all data sets", caption, alt, to_svg(figure, "ranks", alt), tidy)


def differences(comparison: Comparison) -> Figure | None:
    """Draw how far the best model is ahead of each other one, with intervals, a panel for each other model."""
    from matplotlib import rc_context

    table = comparison.differences
    if comparison.best is None:
        return None
    pairs = table[(table["model"] == comparison.best) & table["difference"].notna()]
    board = [str(m) for m in comparison.leaderboard.index if m != comparison.best]
    others = [m for m in board if m in set(pairs["other"])][:6]
    if not others:
        return None
    kinds = list(dict.fromkeys(comparison.metric.values()))
    names = comparison.data
    many = len(names) > 20
    with rc_context(STYLE):
        panels_needed = [(other, kind) for other in others for kind in kinds
                         if (pairs[pairs["other"] == other]["data"].map(comparison.metric) == kind).any()]  # fmt: skip
        longest = max(sum(comparison.metric[n] == kind for n in names) for kind in kinds)
        figure, panels = grid(len(panels_needed), height=0.55 + (0.07 if many else 0.24) * longest)
        for panel, (other, kind) in zip(panels, panels_needed, strict=False):
            rows = pairs[(pairs["other"] == other) & (pairs["data"].map(comparison.metric) == kind)]
            rows = rows.sort_values("difference", kind="stable") if many else rows.iloc[::-1]
            for place, (_, row) in enumerate(rows.iterrows()):
                color = COLORS[6] if not row["clear"] else COLORS[0] if row["difference"] > 0 else COLORS[5]
                width = None if np.isnan(row["half_width"]) else row["half_width"]
                panel.errorbar(
                    row["difference"], place, xerr=width, color=color, marker="o", markersize=2.5 if many else 4.5,
                    linewidth=0.7 if many else 1.3, capsize=0 if many else 2.5,
                )  # fmt: skip
            panel.axvline(0, color=INK, linewidth=0.8)
            rope = float(np.median([comparison.rope[n] for n in rows["data"]]))
            panel.axvspan(-rope, rope, color=COLORS[6], alpha=0.13, linewidth=0)
            panel.set_yticks([] if many else range(len(rows)), [] if many else [short(n, 18) for n in rows["data"]])
            panel.set_ylabel(f"{len(rows)} data sets, in order" if many else "")
            panel.set_ylim(-0.7, len(rows) - 0.3)
            panel.set_title(f"against {short(other)}")
            panel.set_xlabel(f"difference in {kind}")
            panel.locator_params(axis="x", nbins=4)
            panel.grid(axis="x", **GRID)
        clear = pairs[pairs["clear"]]
        alt = (
            f"Paired differences of {comparison.best} to {', '.join(others)} with 95 % intervals, right of 0 "
            f"where {comparison.best} is "
            f"ahead; {int((clear['difference'] > 0).sum())} are clearly above 0, "
            f"{int((clear['difference'] < 0).sum())} clearly below."
        )
        drawn = f" Drawn are the {len(others)} others of the best ranks." if len(others) < len(board) else ""
        caption = (
            f"Right of 0 {comparison.best} is ahead. Blue: clearly better, vermilion: clearly worse, grey: not clear, after Holm's "
            "adjustment over all pairs and data sets; the intervals are 95 % and not adjusted. The band is the region of practical "
            f"equivalence.{drawn}"
        )
        columns = [
            "data",
            "model",
            "other",
            "difference",
            "half_width",
            "p",
            "p_holm",
            "clear",
            "behind",
            "equal",
            "ahead",
        ]
        title = f"How far {comparison.best} is ahead"
        return Figure("differences", title, caption, alt, to_svg(figure, "differences", alt), pairs[columns])


def critical_difference(comparison: Comparison) -> Figure | None:
    """Draw the critical-difference diagram of Demšar (2006), joined by Wilcoxon's tests."""
    from matplotlib import rc_context

    drawn = [
        (row["metric"], row) for _, row in comparison.friedman.iterrows() if row["data_sets"] >= st.FEWEST_DATA_SETS
    ]
    if not drawn:
        return None
    parts, labels = [], []
    with rc_context(STYLE):
        tallest = max(int(row["models"]) for _, row in drawn)
        figure, panels = grid(len(drawn), height=0.8 + 0.14 * tallest, columns=1, width=8.6)
        for panel, (metric, _) in zip(panels, drawn, strict=False):
            pairs = comparison.across[comparison.across["metric"] == metric]
            models = list(dict.fromkeys([*pairs["model"], *pairs["other"]]))
            cells = comparison.cells[comparison.cells["data"].map(comparison.metric) == metric]
            means = cells.pivot(index="data", columns="model", values="mean")[models]
            ranks = means.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
            differ = {
                frozenset((row["model"], row["other"])) for _, row in pairs.iterrows() if row["p_holm"] < st.LEVEL
            }
            _draw_ranks(panel, ranks, joined(list(ranks.index), differ))
            panel.set_title(f"{metric}: mean rank over {len(means)} data sets, 1 is best", pad=14)
            parts.append(pd.DataFrame({"metric": metric, "model": models, "mean_rank": ranks[models].to_numpy()}))
            labels.append(
                f"for {metric} {ranks.index[0]} ({ranks.iloc[0]:.2f}) to {ranks.index[-1]} ({ranks.iloc[-1]:.2f})"
            )
        alt = f"Mean ranks of the models on a line, {'; '.join(labels)}; models that do not differ clearly are joined by a bar."
        nemenyi = ", ".join(f"{row['critical_difference']:.2f} for {metric}" for metric, row in drawn)
        caption = (
            "Of the models joined by a bar no two differ by Wilcoxon's signed-rank test after Holm's adjustment at 5 %. The "
            f"classic critical difference of Nemenyi, which depends on who else takes part, is {nemenyi}."
        )
        svg = to_svg(figure, "critical-difference", alt)
        return Figure("critical-difference", "Critical-difference diagram", caption, alt, svg, pd.concat(parts))


def joined(order: Sequence[str], differ: Collection[frozenset[str]]) -> list[tuple[int, int]]:
    """Return the longest runs of models, by rank, of which no two differ: the places of the first and the last.

    Examples
    --------
    >>> joined("abcd", {frozenset("ad"), frozenset("bd")})
    [(0, 2), (2, 3)]
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and all(
            frozenset((order[last + 1], other)) not in differ for other in order[first : last + 1]
        ):
            last += 1
        if last > first and not (runs and runs[-1][1] >= last):
            runs.append((first, last))
    return runs


def _draw_ranks(panel: Axes, ranks: pd.Series, bars: Sequence[tuple[int, int]]) -> None:
    """Draw a line of ranks, the best half of the models on its left, the others on its right, and bars below it."""
    places, n = ranks.to_numpy(), len(ranks)
    low, high = 1.0, float(max(n, 2))
    margin = 0.06 * (high - low)
    levels: list[float] = []  # where the last bar of each line of bars ends
    for first, last in bars:
        level = next((i for i, end in enumerate(levels) if end < places[first]), len(levels))
        levels[level : level + 1] = [places[last]]
        panel.plot(
            [places[first] - margin / 4, places[last] + margin / 4],
            [-0.6 - 0.55 * level] * 2,
            color=COLORS[0],
            linewidth=3.5,
        )
    half = (n + 1) // 2
    for i, (name, rank) in enumerate(zip(ranks.index, places, strict=True)):
        is_left = i < half
        y = -1.3 - 0.55 * len(levels) - (i if is_left else n - 1 - i)
        x = low - margin if is_left else high + margin
        panel.plot([rank, rank, x], [0, y, y], color=INK, linewidth=0.8)
        panel.plot(rank, 0, "o", color=INK, markersize=4)
        label = f"{short(str(name))} ({rank:.2f})" if is_left else f"({rank:.2f}) {short(str(name))}"
        panel.annotate(
            label,
            (x, y),
            (-4 if is_left else 4, 0),
            textcoords="offset points",
            va="center",
            ha="right" if is_left else "left",
        )
    panel.set_xlim(low - margin, high + margin)
    panel.set_ylim(-1.9 - 0.55 * len(levels) - (half - 1), 0.4)
    panel.xaxis.tick_top()
    panel.locator_params(axis="x", integer=True, nbins=min(n, 12))
    panel.set_yticks([])
    panel.grid(False)
    for side in ("left", "right", "bottom"):
        panel.spines[side].set_visible(False)
    panel.spines["top"].set_position(("data", 0))
    panel.spines["top"].set_bounds(low, high)
    panel.spines["top"].set_visible(True)


def cost(comparison: Comparison, column: str) -> Figure | None:
    """Draw the score of each model against what a fit cost, and the front that no model beats in both; a panel for each data set.

    With several data sets the first panel has the mean ranks against the cost over all.
    """
    from matplotlib import rc_context
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    models = shown_models(comparison)
    styles = style_of(comparison.models)
    priced = comparison.cells.dropna(subset=["mean", column])
    priced = priced[priced[column] > 0]
    costs = priced.groupby("data")[column]
    # Where all had one budget, a panel would be a single column, and the scores stand above already.
    differ = costs.max() >= 1.25 * costs.min()
    with_costs = [name for name in comparison.data if differ.get(name, False)]
    names = shown_data(comparison, with_costs, MOST_PANELS - 1)
    if not names:
        return None
    board = comparison.leaderboard.dropna(subset=["mean_rank", column])
    board = board[board[column] > 0]
    whole = len(comparison.data) > 1 and len(board) > 1
    unit = "evaluations of a fit" if column == "evaluations" else "seconds of a fit"
    with rc_context(STYLE):
        figure, panels = grid(len(names) + whole, height=1.9)
        if whole:
            shown = board[board.index.isin(models)]
            for model, row in shown.iterrows():
                color, marker = styles[str(model)]
                panels[0].plot(row[column], row["mean_rank"], marker, color=color, label=label(str(model)))
            _front(panels[0], board[column], -board["mean_rank"], sign=-1)
            panels[0].invert_yaxis()
            panels[0].set_title("all data sets")
            panels[0].set_xlabel(f"{unit}, added up")
            panels[0].set_ylabel("mean rank, 1 is best")
        for panel, name in zip(panels[int(whole) :], names, strict=False):
            every = priced[priced["data"] == name]
            for _, cell in every[every["model"].isin(models)].iterrows():
                color, marker = styles[cell["model"]]
                width = cell["half_width"]
                panel.errorbar(
                    cell[column], cell["mean"], yerr=None if np.isnan(width) else width, color=color,
                    marker=marker, capsize=3, linewidth=1.2, linestyle="none", label=label(cell["model"]),
                )  # fmt: skip
            _front(panel, every[column], every["mean"])
            panel.set_title(short(name))
            panel.set_xlabel(unit)
            panel.set_ylabel(comparison.metric[name])
        for panel in panels[: len(names) + whole]:
            panel.set_xscale("log")
            panel.margins(x=0.15)
            panel.xaxis.set_minor_formatter(NullFormatter())
            if column == "seconds":
                panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
                panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.grid(**GRID)
        legend(figure, panels[: len(names) + whole])
        alt = f"Mean score against {unit} on a logarithmic axis, with the front of models that no other one beats in both."
        missing = "Models that do not tell their cost are not drawn" if column == "evaluations" else ""
        caption = (
            "Further left is cheaper, further up is better; the line joins the models that no other one beats "
            "in both. Whiskers are "
            "95 % intervals. "
            f"{missing + ', nor are data sets on which all cost the same.' if missing else 'Seconds are those of this machine.'}"
            + left_out(comparison, names, models, len(with_costs))
        )  # fmt: skip
        title = "What a score costs in evaluations" if column == "evaluations" else "What a score costs in seconds"
        data = priced[["data", "model", column, "mean", "half_width"]]
        name = f"cost-{column}"
        return Figure(name, title, caption, alt, to_svg(figure, name, alt), data)


def front_of(costs: Any, values: Any) -> list[int]:
    """Return the places of the Pareto front, cheapest first: no other has a lower cost and at least the same value.

    Examples
    --------
    >>> front_of([1, 2, 3, 4], [0.5, 0.4, 0.9, 0.9])
    [0, 2]
    """
    costs, values = np.asarray(costs, dtype=float), np.asarray(values, dtype=float)
    order = np.lexsort((-values, costs))
    kept: list[int] = []
    for place in order:
        if not kept or values[place] > values[kept[-1]]:
            kept.append(int(place))
    return kept


def _front(panel: Any, costs: pd.Series, values: pd.Series, sign: int = 1) -> None:
    places = front_of(costs, values)
    if len(places) > 1:
        panel.plot(
            costs.to_numpy()[places],
            sign * values.to_numpy()[places],
            color=COLORS[6],
            linewidth=1.2,
            linestyle="--",
            zorder=0,
        )
