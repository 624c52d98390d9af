"""Quantiles of weighted rows, for which a weight of 2 equals the row twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Beyond this rounding may make a share of rows another one.
_ROUNDING = 1e-9


class Quantiles:
    """The quantiles of a column, gaps left out: the smallest value of which at least a share of q is not larger.

    Of weighted rows they are those of rows that occur as often.
    """

    def __init__(self, values: Array, weight: Array | None) -> None:
        known = ~np.isnan(values)
        if not known.all():
            values, weight = values[known], None if weight is None else weight[known]
        self._cumulated: Array | None = None
        if weight is None:
            self._sorted = np.sort(values)
        else:
            order = np.argsort(values, kind="stable")
            self._sorted, self._cumulated = values[order], np.cumsum(weight[order] / weight.max(initial=0.0))

    def at(self, share: float) -> float:
        """Return a quantile, 0 of a column that is empty."""
        n = len(self._sorted)
        if not n:
            return 0.0
        if self._cumulated is None:
            return float(self._sorted[max(0, int(np.ceil(share * n - _ROUNDING * n)) - 1)])
        total = self._cumulated[-1]
        place = int(np.searchsorted(self._cumulated, (share - _ROUNDING) * total))
        return float(self._sorted[min(place, n - 1)])

    def edges(self, count: int, most: int) -> Array:
        """Return the edges of ``count`` pieces, where quantiles cut a column into ``most``.

        Where rows have fewer, the last one stands again.
        """
        edges = self._edges(most)
        if not len(edges):
            return np.zeros(count + 1)
        if len(edges) > count + 1:
            edges = edges[np.round(np.linspace(0, len(edges) - 1, count + 1)).astype(int)]
        return np.append(edges, np.full(count + 1 - len(edges), edges[-1]))

    def _edges(self, most: int) -> Array:
        if not len(self._sorted):
            return np.empty(0)
        if self._cumulated is None:
            return np.unique(self._sorted[_positions(len(self._sorted), most)])
        return np.unique([self.at(share) for share in np.arange(most + 1) / most])

    def pieces(self, most: int) -> int:
        """Return into how many pieces quantiles cut the column: none if it has not more values than they have edges."""
        edges = self._edges(most)
        values = 1 + int((self._sorted[1:] != self._sorted[:-1]).sum())
        return len(edges) - 1 if 3 <= len(edges) < values else 0


def _positions(n: int, pieces: int) -> Array:
    """Return where in n sorted numbers the edges of pieces are."""
    shares = np.arange(pieces + 1) / pieces
    return np.maximum(np.ceil(shares * n - _ROUNDING * n).astype(int) - 1, 0)
