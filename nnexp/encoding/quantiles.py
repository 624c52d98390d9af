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
        """Return at most ``most + 1`` values that rows are cut at, into parts of equal weight: quantiles.

        Where a value alone weighs more than a part, several quantiles are that value. It is then one edge, as are the lowest and
        the highest value, and the others cut the rest of the rows.
        """
        if not len(self._sorted):
            return np.empty(0)
        values, weight = self._distinct()
        if weight.max() <= weight.sum() / most * (1 + _ROUNDING):
            return np.unique([self.at(share) for share in np.arange(most + 1) / most])
        is_edge = np.zeros(len(values), dtype=bool)
        is_edge[[0, -1]] = True
        while (left := most + 1 - int(is_edge.sum())) > 0 and not is_edge.all():
            rest = np.flatnonzero(~is_edge)
            cumulated = np.cumsum(weight[rest])
            heavy = rest[weight[rest] > cumulated[-1] / (left + 1) * (1 + _ROUNDING)]
            if len(heavy):
                is_edge[heavy[np.argsort(-weight[heavy], kind="stable")][:left]] = True
                continue
            shares = np.arange(1, left + 1) / (left + 1)
            at = np.searchsorted(cumulated, cumulated[-1] * (shares - _ROUNDING))
            is_edge[rest[np.minimum(at, len(rest) - 1)]] = True
            break
        edges: Array = values[is_edge]
        return edges

    def _distinct(self) -> tuple[Array, Array]:
        """Return the values that there are, in order, and what the rows of each weigh."""
        first = np.flatnonzero(np.append(True, self._sorted[1:] != self._sorted[:-1]))
        behind = np.append(first[1:], len(self._sorted))
        if self._cumulated is None:
            return self._sorted[first], (behind - first).astype(np.float64)
        return self._sorted[first], np.diff(np.append(0.0, self._cumulated[behind - 1]))

    def pieces(self, most: int) -> int:
        """Return into how many pieces the column is cut: none if it has two values or one."""
        edges = self._edges(most)
        return len(edges) - 1 if len(edges) >= 3 else 0
