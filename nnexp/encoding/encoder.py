"""What has been learnt of a table: medians, scales, edges of pieces, how frequent values are. And the inputs it gives with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from nnexp._errors import quoted
from nnexp.encoding.columns import Column, as_given, columns_of
from nnexp.encoding.layout import ColumnLayout, Layout, Rules, plain_layout, table_layout
from nnexp.encoding.quantiles import Quantiles
from nnexp.network.samples import Pieces

Array = NDArray[Any]

# What a clipped number tends to, in units of its scale.
_CLIP = 3.0
# Columns and rows are worked on in blocks of so many bytes.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Encoder:
    """What has been learnt of a table.

    Attributes
    ----------
    layout : Layout
    fill, center, scale : array of shape (n_numeric,)
        Of the columns that are brought on a scale: what is put into gaps, what is subtracted, what divides.
    edges : tuple of arrays of shape (n_pieces + 1,)
        Of each column that is cut into pieces.
    seen : tuple of arrays of bool
        Of each category, which of its levels occurred.
    shares : tuple of pairs of arrays
        Of each category with hashed levels: hashes of all values in order, and the logarithms of their shares, brought on a scale;
        the first one is of the hash 0 and stands for values that did not occur.
    """

    layout: Layout
    fill: Array
    center: Array
    scale: Array
    edges: tuple[Array, ...] = ()
    seen: tuple[Array, ...] = ()
    shares: tuple[tuple[Array, Array], ...] = ()

    @cached_property
    def pieces(self) -> Pieces | None:
        """How inputs are made of what `encode` returns, where columns are cut into pieces."""
        layout = self.layout
        if not len(layout.in_pieces):
            return None
        return Pieces(layout.n_base, tuple(layout.columns[i].pieces for i in layout.in_pieces))

    @property
    def n_inputs(self) -> int:
        """How many inputs a network has."""
        return self.layout.n_base if self.pieces is None else self.pieces.n_inputs

    def encode(self, X: Any, dtype: Any = np.float64, ones: bool = False) -> Any:
        """Return the inputs without pieces, and behind them where each column that is cut stands among its pieces.

        Parameters
        ----------
        X : array, CSR array or data frame
            As `as_given` returns it, with the columns of training.
        dtype : dtype
        ones : bool, default=False
            Whether a column of ones is to be behind all, as a bias neuron needs it; of a dense X.

        Returns
        -------
        array of shape (n, n_columns), or (n, n_columns + 1), or a CSR array

        Raises
        ------
        ValueError
            If a cell cannot be read, or is infinite.
        """
        if is_sparse(X):
            if self.layout.is_plain and not self.center.any() and not self.layout.rules.clip:
                return self._scaled_sparse(X, dtype)
            X = X.toarray()  # what was learnt of a dense table
        encoded = np.zeros((X.shape[0], self.n_columns + ones), dtype=dtype)
        encoded[:, self.n_columns :] = 1.0
        values = X = self.layout.as_table(X)
        if not isinstance(X, np.ndarray):
            columns = columns_of(X)
            self._put_words(columns, encoded)
            values = self._read(columns)
        size = max(1, _AT_ONCE // (8 * max(1, values.shape[1])))
        for first in range(0, len(values), size):  # so that memory does not grow with the rows
            here = slice(first, first + size)
            self._put_numbers(np.asarray(values[here], dtype=np.float64), encoded[here])
        return encoded

    @property
    def n_columns(self) -> int:
        """How many columns `encode` gives."""
        return self.layout.n_base + len(self.layout.in_pieces)

    def _put_numbers(self, values: Array, out: Array) -> None:
        """Write what becomes of the columns that are brought on a scale, shape (n, n_numeric)."""
        layout = self.layout
        check_finite(values, layout)
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, self.fill, values)
        for place, i in enumerate(layout.numeric):
            if layout.columns[i].gaps:
                out[:, layout.firsts[i] + len(layout.columns[i].inputs) - 1] = missing[:, place]
        for place, (i, edges) in enumerate(zip(layout.in_pieces, self.edges, strict=True)):
            column = values[:, np.searchsorted(layout.numeric, i)]
            out[:, layout.n_base + place] = coordinate(column, edges)
        scaled = values - self.center
        scaled /= self.scale
        if layout.rules.clip:
            scaled /= np.hypot(1.0, scaled / _CLIP)
        if layout.is_plain:
            out[:, : layout.n_base] = scaled
        else:
            out[:, layout.firsts[layout.numeric]] = scaled

    def _read(self, columns: list[Column]) -> Array:
        """Return the values of the columns that are brought on a scale, NaN for gaps, in float64."""
        layout = self.layout
        read = [_values(columns[i], layout.columns[i].kind) for i in layout.numeric]
        return np.stack(read).T if read else np.empty((len(columns[0].cells), 0))

    def inputs(self, X: Any, dtype: Any = np.float64) -> Any:
        """Return all inputs, pieces included."""
        encoded = self.encode(X, dtype)
        if self.pieces is None:
            return encoded
        return self.pieces.expand(encoded, np.empty((len(encoded), self.n_inputs), dtype=dtype))

    def _scaled_sparse(self, X: Any, dtype: Any) -> Any:
        if not np.isfinite(X.data).all():
            raise ValueError("Input X contains NaN or infinity: a sparse X has no gaps.")
        scaled = X.astype(np.float64)
        scaled.data /= self.scale[scaled.indices]
        return scaled.astype(dtype)

    def _put_words(self, columns: list[Column], out: Array) -> None:
        """Write the inputs of columns that are no numbers."""
        layout, categories, hashed = self.layout, 0, 0
        for column, laid_out, first in zip(columns, layout.columns, layout.firsts, strict=True):
            here = out[:, first : first + len(laid_out.inputs)]
            if laid_out.kind == "category":
                shares = self.shares[hashed] if laid_out.hashed else None
                _put_category(column, laid_out, self.seen[categories], shares, here)
                categories, hashed = categories + 1, hashed + bool(laid_out.hashed)
            elif laid_out.kind == "boolean":
                values = column.numbers()
                if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
                    raise ValueError(f"{column.called} held true and false in training, and now holds other numbers.")
                here[:, 0] = np.nan_to_num(values, nan=0.5)
                if laid_out.gaps:
                    here[:, 1] = np.isnan(values)
            elif laid_out.kind == "time":
                _put_circles(column, laid_out, here)


def _values(column: Column, kind: str) -> Array:
    if kind == "number":
        return column.numbers()
    if kind == "duration":
        return column.seconds()
    return days(column.times())


def days(times: pd.Series[Any]) -> Array:
    """Return times as days since 1970, NaN for gaps."""
    values = times.to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / 86_400e6)


def _put_circles(column: Column, laid_out: ColumnLayout, out: Array) -> None:
    """Write where times stand on their circles; a gap stands in the middle."""
    times = column.times()
    time_of_day = (times - times.dt.normalize()).dt.total_seconds().to_numpy() / 86_400
    for i, circle in enumerate(laid_out.circles):
        if circle == "year":
            share = (times.dt.day_of_year - 1 + time_of_day) / np.where(times.dt.is_leap_year, 366, 365)
        elif circle == "month":
            share = (times.dt.day - 1 + time_of_day) / times.dt.days_in_month
        elif circle == "week":
            share = (times.dt.day_of_week + time_of_day) / 7
        else:
            share = time_of_day
        angle = 2 * np.pi * np.asarray(share, dtype=np.float64)
        out[:, 1 + 2 * i] = np.nan_to_num(np.sin(angle))
        out[:, 2 + 2 * i] = np.nan_to_num(np.cos(angle))


def _put_category(
    column: Column, laid_out: ColumnLayout, seen: Array, shares: tuple[Array, Array] | None, out: Array
) -> None:
    """Write the columns of a category into what holds nothing but 0."""
    codes, words = column.words()
    end = len(laid_out.levels)
    place = {level: i if is_seen else -1 for i, (level, is_seen) in enumerate(zip(laid_out.levels, seen, strict=True))}
    # The column in which each word has its 1, and a gap, which is the last; -1 for none.
    at = np.array([place.get(word, end if laid_out.more else -1) for word in words] + [-1])
    if laid_out.gaps:
        at[-1] = out.shape[1] - 1
    at = at[codes]
    marked = np.flatnonzero(at >= 0)
    out[marked, at[marked]] = 1.0
    if laid_out.hashed:
        assert shares is not None
        end += 1
        hashes = hashes_of([*words, ""])
        hashes[-1] = 0
        where = np.searchsorted(shares[0], hashes)
        where = np.where(shares[0][np.minimum(where, len(shares[0]) - 1)] == hashes, where, 0)
        out[:, end] = np.where(codes >= 0, shares[1][where][codes], 0.0)
        bucket = (hashes % np.uint64(laid_out.hashed)).astype(int)[codes]
        rows = np.flatnonzero(at == end - 1)
        out[rows, end + 1 + bucket[rows]] = 1.0


def that_weigh(X: Any, weight: Array | None) -> tuple[Any, Array | None]:
    """Return the rows that weigh something, and their weights."""
    if weight is None or weight.all():
        return X, weight
    kept = np.flatnonzero(weight)
    return X.iloc[kept] if isinstance(X, pd.DataFrame) else X[kept], weight[kept]


def is_sparse(X: Any) -> bool:
    """Whether X is sparse."""
    return bool(sparse.issparse(X))


def hashes_of(words: list[str]) -> Array:
    """Return a number for each word, the same in every process, never 0."""
    hashes = pd.util.hash_array(np.array(words, dtype=object), categorize=False)
    return np.maximum(hashes, np.uint64(1))


def coordinate(values: Array, edges: Array) -> Array:
    """Return where numbers stand among pieces: piece t reaches from t to t + 1, and what is beyond all stands at an end.

    Pieces of no width at the end, which a sample with fewer values leaves, are never entered.
    """
    width = np.diff(edges)
    n = int(np.count_nonzero(width))
    if n == 0:
        return np.zeros(len(values))
    piece = np.clip(np.searchsorted(edges[1:n], values, side="right"), 0, n - 1)
    return np.clip(piece + (values - edges[piece]) / width[piece], 0.0, n)


def lay_out(X: Any, rules: Rules, kinds: dict[Any, str], names: Any = None, weight: Array | None = None) -> Layout:
    """Lay out what `as_given` returned; ``names`` are those of the columns of an array. Rows of weight 0 are left out."""
    X, weight = that_weigh(X, weight)
    if kinds and isinstance(X, np.ndarray):
        X = pd.DataFrame(X, columns=None if names is None else list(names))
    if isinstance(X, pd.DataFrame):
        return table_layout(X, rules, kinds, weight)
    if is_sparse(X):
        if rules.pieces:
            raise ValueError("pieces are of dense columns; a sparse X has none. Set pieces=0.")
        names = [f"x{i}" for i in range(X.shape[1])] if names is None else names
        return Layout(tuple(ColumnLayout(str(name), "number") for name in names), rules)
    return plain_layout(X, names, rules, weight)


def learn(layout: Layout, X: Any, weight: Array | None = None) -> Encoder:
    """Learn medians, scales, edges and shares of the rows that weigh something.

    Parameters
    ----------
    layout : Layout
    X : array, CSR array or data frame
        As `as_given` returns it.
    weight : array of shape (n,), default=None
        A weight of 2 equals the row twice.
    """
    X, weight = that_weigh(X, weight)
    if is_sparse(X):
        return _learn_sparse(layout, X, weight)
    X = layout.as_table(X)
    columns = None if isinstance(X, np.ndarray) else columns_of(X)
    n_numeric = len(layout.numeric)
    blank = Encoder(layout, np.zeros(n_numeric), np.zeros(n_numeric), np.ones(n_numeric))
    values = X if columns is None else blank._read(columns)
    fill, center, scale = np.empty(n_numeric), np.empty(n_numeric), np.empty(n_numeric)
    edges: list[Array] = []
    size = max(1, _AT_ONCE // (8 * max(1, len(values))))
    for first in range(0, n_numeric, size):
        here = slice(first, first + size)
        block = np.asarray(values[:, here], dtype=np.float64, order="F")  # what is learnt is learnt of columns
        check_finite(block, layout, first)
        of_columns = [layout.columns[i] for i in layout.numeric[here]]
        fill[here], center[here], scale[here], edges_here = _learn_numbers(block, of_columns, layout.rules, weight)
        edges += edges_here
    seen, shares = [], []
    for column, laid_out in zip(columns or [], layout.columns, strict=False):
        if laid_out.kind == "category":
            of_words = _weights_of_words(column, weight)
            seen.append(np.array([level in of_words for level in laid_out.levels], dtype=bool))
            if laid_out.hashed:
                shares.append(_shares(of_words))
    return Encoder(layout, fill, center, scale, tuple(edges), tuple(seen), tuple(shares))


def _learn_numbers(
    values: Array, columns: list[ColumnLayout], rules: Rules, weight: Array | None
) -> tuple[Array, Array, Array, list[Array]]:
    """Return medians, what is subtracted and divides, and the edges of some columns, shape (n, n_columns)."""
    quantiles = [Quantiles(column, weight) for column in values.T]
    fill = np.array([q.at(0.5) for q in quantiles])
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, fill, values)
    center, scale = _scales(rules.scale, values, weight, fill)
    cut = zip(quantiles, columns, strict=True)
    edges = [q.edges(column.pieces, rules.pieces) for q, column in cut if column.pieces]
    return fill, center, scale, edges


def check_finite(values: Array, layout: Layout, first: int = 0) -> None:
    """Raise a ValueError if columns that are brought on a scale, from the first one on, hold infinite numbers."""
    if np.isinf(values).any():
        i = first + int(np.flatnonzero(np.isinf(values).any(axis=0))[0])
        name = layout.columns[layout.numeric[i]].name
        raise ValueError(f"Input X contains infinity or a value too large for dtype('float64'): column {quoted(name)}.")


def _learn_sparse(layout: Layout, X: Any, weight: Array | None) -> Encoder:
    if not np.isfinite(X.data).all():
        raise ValueError("Input X contains NaN or infinity: a sparse X has no gaps.")
    n_columns = X.shape[1]
    scale = np.ones(n_columns)
    if layout.rules.scale != "none":
        w = np.ones(X.shape[0]) if weight is None else weight / weight.max()
        squares = X.astype(np.float64)
        largest = np.maximum(np.abs(squares).max(axis=0).toarray().ravel(), np.finfo(float).tiny)
        squares.data = squares.data / largest[squares.indices]
        mean = squares.T @ w / w.sum()
        squares.data **= 2
        square = squares.T @ w / w.sum()
        variance = square - mean**2
        varies = variance > 1e-12 * square  # what is less is rounding
        scale = np.where(varies, np.sqrt(np.where(varies, variance, 1.0)) * largest, 1.0)
    return Encoder(layout, np.zeros(n_columns), np.zeros(n_columns), scale)


def _scales(kind: str, values: Array, weight: Array | None, median: Array) -> tuple[Array, Array]:
    """Return what is subtracted from columns without gaps, and what divides them."""
    n_columns = values.shape[1]
    if kind == "none" or not len(values):
        return np.zeros(n_columns), np.ones(n_columns)
    low, high = values.min(axis=0), values.max(axis=0)
    largest = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.finfo(float).tiny)
    unit = values / largest  # so that no sum overflows
    w = None if weight is None else weight / weight.max()
    mean = unit.mean(axis=0) if w is None else (w @ unit) / w.sum()
    unit -= mean
    np.square(unit, out=unit)
    deviation = np.sqrt(unit.mean(axis=0) if w is None else (w @ unit) / w.sum()) * largest
    center = np.clip(mean * largest, low, high)
    if kind == "robust":
        quartiles = np.array([[Quantiles(column, weight).at(q) for q in (0.25, 0.75)] for column in values.T])
        between = quartiles[:, 1] - quartiles[:, 0]
        center = median
        deviation = np.where(between > 0, between, deviation)  # most of a column may be one value
    scale = np.where((high > low) & (deviation > 0), deviation, 1.0)
    return np.where(high > low, center, low), scale


def _weights_of_words(column: Column, weight: Array | None) -> dict[str, float]:
    """Return the total weight of each word that occurs."""
    codes, words = column.words()
    known = codes >= 0
    totals = np.bincount(codes[known], weights=None if weight is None else weight[known], minlength=len(words))
    of_words: dict[str, float] = {}
    for word, total in zip(words, totals.tolist(), strict=True):
        if total:
            of_words[word] = of_words.get(word, 0.0) + total
    return of_words


def _shares(of_words: dict[str, float]) -> tuple[Array, Array]:
    """Return hashes of words, and the logarithms of their shares with mean 0 and variance 1 over the rows."""
    if not of_words:
        return np.zeros(1, dtype=np.uint64), np.zeros(1)
    words = sorted(of_words)
    total = np.array([of_words[word] for word in words])
    share = total / total.sum()
    logarithm = np.log(share)
    mean = float(share @ logarithm)
    deviation = float(np.sqrt(share @ (logarithm - mean) ** 2))
    scaled = (logarithm - mean) / (deviation if deviation > 1e-9 else 1.0)
    hashes = hashes_of(words)
    order = np.argsort(hashes)
    unknown = scaled.min()  # as the rarest
    return np.append(np.zeros(1, dtype=np.uint64), hashes[order]), np.append(unknown, scaled[order])


__all__ = ["Encoder", "as_given", "lay_out", "learn"]
