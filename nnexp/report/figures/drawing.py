"""How figures are drawn: SVG to stand inside a page, text as text, ink in the page's own colour, each with its data and words."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nnexp.report.tables import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Okabe and Ito's colours, told apart by the colour-blind and on light and dark ground alike.
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#B8A400"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
# More panels, or more models in one panel, are not legible: the rest is in the figure's data.
MOST_PANELS = 12
MOST_MODELS = 8
# Points of a figure: more hide each other and make the page slow.
POINTS = 600
GRID: Any = {"color": "#888888", "alpha": 0.22, "linewidth": 0.5}
INK = "#010203"  # stands for the page's ink, replaced by currentColor
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Attributes
    ----------
    name : str
        Its id, and the name of the file of its data.
    title, caption, alt : str
        The heading, what the page says below it, and what it says to those who cannot see it.
    svg : str
    data : pandas.DataFrame
        What is drawn.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    data: pd.DataFrame


def style_of(models: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each model."""
    return {model: (COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]) for i, model in enumerate(models)}


def shown_data(comparison: Comparison, names: Sequence[str] | None = None, most: int = MOST_PANELS) -> list[str]:
    """Return the data sets that are drawn: all, or those on which the models differ most for their noise."""
    names = list(comparison.data if names is None else names)
    if len(names) <= most:
        return names
    groups = comparison.cells[comparison.cells["data"].isin(names)].groupby("data")
    spread = (groups["mean"].max() - groups["mean"].min()) / groups["half_width"].median()
    chosen = set(spread.sort_values(ascending=False, kind="stable").index[:most])
    return [name for name in names if name in chosen]


def shown_models(comparison: Comparison, most: int = MOST_MODELS, among: Collection[str] | None = None) -> list[str]:
    """Return the models that are drawn, in the order of the file: all of those, or the ones with the best mean ranks."""
    there = [str(model) for model in comparison.leaderboard.index if among is None or model in among]
    return [model for model in comparison.models if model in set(there[:most])]


def left_out(comparison: Comparison, data: Sequence[str], models: Sequence[str], of: int | None = None) -> str:
    """Say what a figure leaves out, or nothing."""
    parts = []
    total = len(comparison.data) if of is None else of
    if len(data) < total:
        parts.append(f"the {len(data)} of {total} data sets on which the models differ most for their noise")
    if MOST_MODELS <= len(models) < len(comparison.models):
        parts.append(f"the {len(models)} models of the best mean ranks")
    return f" Drawn are {' and '.join(parts)}; the tables have all." if parts else ""


def label(name: str) -> str:
    """Keep a name as it is: matplotlib reads $ as mathematics, and leaves out of a legend what begins with _."""
    text = name.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def short(name: str, most: int = 24) -> str:
    """Return a name that fits a figure."""
    return label(name if len(name) <= most else f"{name[: most - 1]}…")


def short_start(name: str, most: int = 24) -> str:
    """Return a name that fits a figure and keeps its end, by which parameters differ."""
    return label(name if len(name) <= most else f"…{name[1 - most :]}")


def grid(n: int, height: float, columns: int = 3, width: float = 3.1) -> tuple[Canvas, list[Axes]]:
    """Return a figure with n panels in rows."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(columns, max(n, 1))
    rows = -(-n // columns)
    figure = Canvas(
        figsize=(width * columns + 0.4, rows * (height + 0.75)), layout=ConstrainedLayoutEngine(h_pad=0.1, hspace=0.06)
    )
    panels = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for panel in panels[n:]:
        panel.set_axis_off()
    return figure, panels


def legend(figure: Canvas, panels: Sequence[Axes]) -> None:
    """Put one legend below all panels."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    if entries:
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=min(6, len(entries)))


def thinned(table: pd.DataFrame, most: int = POINTS) -> pd.DataFrame:
    """Return at most so many rows, evenly."""
    if len(table) <= most:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, most).astype(int)]


def range_of(values: pd.Series) -> tuple[float, float]:
    """Return the range that a figure shows: the worst tenth would push the rest together."""
    if values.empty:
        return 0.0, 1.0
    low, high = float(values.quantile(0.1)), float(values.max())
    gap = max(high - low, 1e-6 * max(1.0, abs(high)))
    return low - 0.05 * gap, high + 0.08 * gap


def to_svg(figure: Canvas, name: str, alt: str) -> str:
    """Return the figure as an <svg> element with alternative text, the same bytes for the same data."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Hundredths of a point are finer than any screen; more digits only make the file larger.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    # Ids must differ between the figures of one page.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # A figure of fewer columns is narrower, so that the text of all has one size.
    width = min(62.0, 62.0 * figure.get_figwidth() / 9.0)
    label = html.escape(alt, quote=True)
    return text.replace("<svg", f'<svg style="max-width:{width:.1f}rem" role="img" aria-label="{label}"', 1)
