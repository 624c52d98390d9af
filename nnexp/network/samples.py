"""Samples: the rows that networks see, dense or sparse, given out a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

Array = NDArray[Any]


@dataclass(frozen=True)
class Pieces:
    """How a number becomes several inputs, one for each of the pieces that its range is cut into (Gorishniy et al. 2022).

    A table has a coordinate u for such a number: piece t reaches from t to t + 1. Its input is 2 · clip(u - t, 0, 1) - 1. So the
    table is small, inputs are made a block at a time, and tables whose edges differ have the same pieces.

    Attributes
    ----------
    n_base : int
        Columns of the table that are inputs as they are. They come first; the coordinates follow.
    counts : tuple of int
        Pieces of each coordinate.
    """

    n_base: int
    counts: tuple[int, ...]

    @property
    def n_inputs(self) -> int:
        """How many inputs there are."""
        return self.n_base + sum(self.counts)

    @property
    def n_columns(self) -> int:
        """How many columns the table has."""
        return self.n_base + len(self.counts)

    @cached_property
    def _sources(self) -> Array:
        return self.n_base + np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def _firsts(self) -> Array:
        return np.concatenate([np.arange(count) for count in self.counts])

    def expand(self, table: Array, out: Array) -> Array:
        """Write the inputs for rows of a table, shape (..., n_columns or more), into out, shape (..., n_inputs or more)."""
        out[..., : self.n_base] = table[..., : self.n_base]
        pieces = np.take(table, self._sources, axis=-1)
        pieces -= self._firsts.astype(pieces.dtype)
        np.clip(pieces, 0.0, 1.0, out=pieces)
        np.multiply(pieces, 2.0, out=pieces)
        np.subtract(pieces, 1.0, out=out[..., self.n_base : self.n_inputs])
        return out


class Samples:
    """A table of inputs, from which blocks of rows are taken, each with a column of ones for the bias neuron.

    Parameters
    ----------
    X : array or sparse array of shape (n, n_inputs)
        A dense table is copied once, into the dtype wanted; a sparse one stays sparse, and only the blocks that are
        taken become dense.
    bias : bool
        Whether there is a bias neuron.
    dtype : dtype
    more : array or sparse array of shape (m, n_inputs), default=None
        Rows that follow those of X, of the same kind.
    pieces : Pieces, default=None
        How inputs are made of the columns of X, where some become several.
    n_columns : int, default=None
        How many columns X has; where it has one more, of ones, it may be taken as it is.
    """

    def __init__(
        self,
        X: Any,
        bias: bool,
        dtype: DTypeLike,
        more: Any = None,
        pieces: Pieces | None = None,
        n_columns: int | None = None,
    ) -> None:
        parts: Any = [X] if more is None else [X, more]
        self.pieces = pieces
        n_columns = int(X.shape[1]) if n_columns is None else n_columns
        self.n_inputs = n_columns if pieces is None else pieces.n_inputs
        self.bias = bool(bias)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._sparse: Any = None
        self._dense = np.empty((0, 0), dtype=dtype)
        if sparse.issparse(parts[0]):
            self._sparse = sparse.csr_array(sparse.vstack(parts)).astype(self.dtype)
        else:
            n = len(X)
            if more is None and pieces is None and X.shape[1] == self.width > n_columns and X.dtype == self.dtype:
                self._dense = np.ascontiguousarray(X)
                return
            width = n_columns + (self.bias if pieces is None else 0)
            self._dense = np.empty((n + (0 if more is None else len(more)), width), dtype=dtype)
            self._dense[:, n_columns:] = 1.0
            self._dense[:n, :n_columns] = X[:, :n_columns]
            if more is not None:
                self._dense[n:, :n_columns] = more[:, :n_columns]

    @property
    def width(self) -> int:
        """Columns of a block: the inputs, and the ones if there is a bias neuron."""
        return self.n_inputs + self.bias

    @property
    def is_sparse(self) -> bool:
        """Whether the table is kept sparse."""
        return self._sparse is not None

    @property
    def values(self) -> Array:
        """The numbers themselves: all cells of a dense table, the stored ones of a sparse one."""
        return self._sparse.data if self.is_sparse else self._dense

    @property
    def parts(self) -> list[Array]:
        """The arrays that the table consists of, for a hash of it."""
        if self.is_sparse:
            return [self._sparse.data, self._sparse.indices, self._sparse.indptr, np.array(self._sparse.shape)]
        return [self._dense, np.array(self._dense.shape)]

    def __len__(self) -> int:
        return int((self._sparse if self.is_sparse else self._dense).shape[0])

    def take(self, rows: Array, out: Array) -> Array:
        """Copy rows, numbers of any shape (...), into out, shape (..., width), and return it."""
        if self.pieces is not None:
            self.pieces.expand(np.take(self._dense, rows, axis=0), out)
            out[..., self.n_inputs :] = 1.0
            return out
        if not self.is_sparse:
            # mode="clip" because the default of numpy.take buffers its output; the rows are valid anyway
            return np.take(self._dense, rows, axis=0, out=out, mode="clip")
        block = out.reshape(-1, self.width)
        block[:, : self.n_inputs] = self._sparse[np.ravel(rows)].toarray()
        block[:, self.n_inputs :] = 1.0
        return out

    def block(self, rows: Array) -> Array:
        """Return rows as a new array of shape (..., width)."""
        return self.take(rows, np.empty((*rows.shape, self.width), dtype=self.dtype))

    @staticmethod
    def join(tables: Sequence[Samples]) -> Samples:
        """Return one table with the rows of several, in order."""
        first = tables[0]
        if len(tables) == 1:
            return first
        joined = Samples.__new__(Samples)
        joined.n_inputs, joined.bias, joined.dtype = first.n_inputs, first.bias, first.dtype
        joined.pieces = first.pieces
        joined._dense, joined._sparse = np.empty((0, 0), dtype=first.dtype), None
        if first.is_sparse:
            joined._sparse = sparse.vstack([table._sparse for table in tables], format="csr")
        else:
            joined._dense = np.concatenate([table._dense for table in tables])
        return joined
