"""What a table becomes: which column of it gives which inputs. It follows from the columns alone, never from y."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number
from nnexp.encoding.columns import KINDS, Column, columns_of
from nnexp.encoding.quantiles import Quantiles

Array = NDArray[Any]

SCALES = {
    "standard": "mean 0 and variance 1",
    "robust": "median 0 and a distance of 1 between the quartiles",
    "none": "as they are",
}
# Circles that a time goes round in, by their names.
CIRCLES = ("year", "month", "week", "day")


@dataclass(frozen=True)
class Rules:
    """How tables are encoded: the parameters of `TableEncoder`.

    Attributes
    ----------
    scale : {"standard", "robust", "none"}
    clip : bool
    pieces : int
        At most, of a column of numbers; 0 for none.
    max_levels : int
    hashed : int
        Columns that rare levels share, where there are more than max_levels.
    """

    scale: str = "standard"
    clip: bool = False
    pieces: int = 0
    max_levels: int = 30
    hashed: int = 8

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, SCALES)
        if not isinstance(self.clip, bool | np.bool_):
            raise TypeError(f"clip must be True or False. Got {quoted(self.clip)}.")
        check_number("pieces", self.pieces, low=0, high=1000, integer=True)
        check_number("max_levels", self.max_levels, low=1, high=10_000, integer=True)
        check_number("hashed", self.hashed, low=0, high=10_000, integer=True)


@dataclass(frozen=True)
class ColumnLayout:
    """What a column gives.

    Attributes
    ----------
    name : str
        For the names of inputs.
    kind : str
        One of `KINDS`.
    gaps : bool
        Whether an input says where the column has gaps.
    levels : tuple of str
        Values of a category with an input each.
    more : bool
        Whether it has other values too.
    hashed : int
        Inputs that share the other values out, besides one for how frequent a value is.
    circles : tuple of str
        What a time goes round in.
    pieces : int
    """

    name: str
    kind: str
    gaps: bool = False
    levels: tuple[str, ...] = ()
    more: bool = False
    hashed: int = 0
    circles: tuple[str, ...] = ()
    pieces: int = 0

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs, but for the pieces."""
        name = self.name
        if self.kind == "category":
            inputs = [f"{name}_{level}" for level in self.levels]
            inputs += [f"{name}_other"] if self.more else []
            inputs += [f"{name}_frequency", *(f"{name}_hash{i}" for i in range(self.hashed))] if self.hashed else []
        elif self.kind == "time":
            inputs = [f"{name}_days", *(f"{name}_{circle}_{f}" for circle in self.circles for f in ("sin", "cos"))]
        else:
            inputs = [name]
        return (*inputs, *([f"{name}_missing"] if self.gaps else []))

    @property
    def is_numeric(self) -> bool:
        """Whether its first input is a number that is brought on a scale."""
        return self.kind in ("number", "duration", "time")


@dataclass(frozen=True)
class Layout:
    """What a table becomes.

    Attributes
    ----------
    columns : tuple of ColumnLayout
    rules : Rules
    notes : tuple of str
        What is to be said of how columns were understood.
    """

    columns: tuple[ColumnLayout, ...]
    rules: Rules = Rules()
    notes: tuple[str, ...] = ()

    @cached_property
    def is_plain(self) -> bool:
        """Whether each column is a number that gives one input, itself."""
        return all(column.kind == "number" and not column.gaps and not column.pieces for column in self.columns)

    @cached_property
    def is_numbers(self) -> bool:
        """Whether each column is a number."""
        return all(column.kind == "number" for column in self.columns)

    def as_table(self, X: Any) -> Any:
        """Return an array as a data frame, where columns are other than numbers."""
        if self.is_numbers or not isinstance(X, np.ndarray):
            return X
        return pd.DataFrame(X, columns=[column.name for column in self.columns])

    @cached_property
    def firsts(self) -> Array:
        """The number of the first input of each column."""
        return np.cumsum([0, *(len(column.inputs) for column in self.columns)])[:-1]

    @cached_property
    def numeric(self) -> Array:
        """The numbers of the columns whose first input is brought on a scale."""
        return np.flatnonzero([column.is_numeric for column in self.columns])

    @cached_property
    def n_base(self) -> int:
        """How many inputs there are besides pieces."""
        return sum(len(column.inputs) for column in self.columns)

    @cached_property
    def in_pieces(self) -> Array:
        """The numbers of the columns that are cut into pieces."""
        return np.flatnonzero([column.pieces for column in self.columns])

    @cached_property
    def names(self) -> list[str]:
        """The names of all inputs, those of pieces at the end."""
        names = [name for column in self.columns for name in column.inputs]
        pieces = [f"{c.name}_piece{i}" for c in self.columns for i in range(c.pieces)]
        names += pieces
        if len(set(names)) < len(names):  # two columns have one name, or a level looks like another input
            seen: dict[str, int] = {}
            for i, name in enumerate(names):
                seen[name] = seen.get(name, 0) + 1
                names[i] = name if seen[name] == 1 else f"{name}_{seen[name]}"
        return names

    def renamed(self, names: Sequence[str]) -> Layout:
        """Return the same for columns of other names."""
        return replace(self, columns=tuple(replace(c, name=name) for c, name in zip(self.columns, names, strict=True)))


def plain_layout(X: Array, names: Sequence[str] | None, rules: Rules, weight: Array | None) -> Layout:
    """Lay out an array of numbers."""
    names = [f"x{i}" for i in range(X.shape[1])] if names is None else names
    gaps = [False] * X.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        may_have_gaps = np.isnan(np.sum(X))
    if may_have_gaps:
        counts = [int(np.isnan(column).sum()) for column in X.T]
        gaps = [0 < count < len(X) for count in counts]
    columns = [ColumnLayout(str(name), "number", gap) for name, gap in zip(names, gaps, strict=True)]
    if rules.pieces:
        columns = [replace(c, pieces=_pieces_of(X[:, i], rules, weight)) for i, c in enumerate(columns)]
    return Layout(tuple(columns), rules)


def table_layout(table: pd.DataFrame, rules: Rules, kinds: Mapping[Any, str], weight: Array | None) -> Layout:
    """Lay out a data frame.

    Raises
    ------
    ValueError
        For columns that are neither numbers nor words, or kinds of columns that are not there.
    """
    columns = columns_of(table)
    unknown = [name for name in kinds if name not in {column.name for column in columns}]
    if unknown:
        raise ValueError(f"kinds names {quoted(unknown[0])}, which is no column of X.")
    laid_out, notes = [], []
    for column in columns:
        kind, note = column.kind()
        if column.name in kinds:
            kind, note = kinds[column.name], ""
            check_choice(f"The kind of {quoted(column.name)}", kind, KINDS)
        laid_out.append(_lay_out(column, kind, rules, weight))
        notes += [note] if note else []
    return Layout(tuple(laid_out), rules, tuple(notes))


def _lay_out(column: Column, kind: str, rules: Rules, weight: Array | None) -> ColumnLayout:
    name = str(column.name)
    if kind == "empty":
        return ColumnLayout(name, kind)
    if kind == "category":
        return _lay_out_words(column, name, rules, weight)
    if kind == "time":
        times = column.times()
        gaps = times.isna().to_numpy()
        return ColumnLayout(name, kind, bool(gaps.any() and not gaps.all()), circles=_circles_of(times.dropna()))
    values = column.seconds() if kind == "duration" else column.numbers()
    gaps = np.isnan(values)
    pieces = 0 if kind == "boolean" else _pieces_of(values, rules, weight)
    return ColumnLayout(name, kind, bool(gaps.any() and not gaps.all()), pieces=pieces)


def _lay_out_words(column: Column, name: str, rules: Rules, weight: Array | None) -> ColumnLayout:
    codes, words = column.words()
    known = codes >= 0
    totals = np.bincount(codes[known], weights=None if weight is None else weight[known], minlength=len(words))
    merged: dict[str, float] = {}  # two values may be one word, as 1 and 1.0 are
    for word, total in zip(words, totals.tolist(), strict=True):
        if total:
            merged[word] = merged.get(word, 0.0) + total
    many = len(merged) > rules.max_levels
    frequent = sorted(merged, key=lambda word: (-merged[word], word))
    gaps = bool((codes < 0).any() and (codes >= 0).any())
    levels = tuple(sorted(frequent[: rules.max_levels]))
    return ColumnLayout(name, "category", gaps, levels, more=many, hashed=rules.hashed if many else 0)


def _circles_of(times: pd.Series[Any]) -> tuple[str, ...]:
    """Return what times go round in, as far as they differ in it."""
    if times.empty:
        return ()
    days = (times.max() - times.min()).days
    moves = {
        "year": days > 60,
        "month": days > 14,
        "week": days > 1 and len(times.dt.day_of_week.unique()) > 1,
        "day": bool((times != times.dt.normalize()).any()),
    }
    return tuple(circle for circle in CIRCLES if moves[circle])


def _pieces_of(values: Array, rules: Rules, weight: Array | None) -> int:
    return Quantiles(values, weight).pieces(rules.pieces) if rules.pieces else 0
