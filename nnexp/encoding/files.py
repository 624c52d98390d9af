"""What has been learnt of a table as JSON and arrays, and back; what is read is checked as a stranger's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.encoding.columns import KINDS
from nnexp.encoding.encoder import Encoder
from nnexp.encoding.layout import CIRCLES, ColumnLayout, Layout, Rules

Array = NDArray[Any]

_RULES = ("scale", "clip", "pieces", "max_levels", "hashed")


def described(encoder: Encoder, keep: Callable[[Array], Any]) -> dict[str, Any]:
    """Return what stands for an encoder; ``keep`` keeps an array and returns what stands for it."""
    layout = encoder.layout
    return {
        "rules": {name: getattr(layout.rules, name) for name in _RULES},
        "columns": [
            {
                "name": column.name, "kind": column.kind, "gaps": column.gaps, "levels": list(column.levels), "more": column.more,
                "hashed": column.hashed, "circles": list(column.circles), "pieces": column.pieces,
            }
            for column in layout.columns
        ],
        "numbers": keep(np.stack([encoder.fill, encoder.center, encoder.scale])),
        "edges": [keep(edges) for edges in encoder.edges],
        "seen": [keep(seen) for seen in encoder.seen],
        "shares": [[keep(hashes), keep(shares)] for hashes, shares in encoder.shares],
    }  # fmt: skip


def read(content: dict[str, Any], get: Callable[[Any], Any]) -> Encoder:
    """Return the encoder that something stands for; ``get`` returns an array that was kept.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it is none.
    """
    rules = Rules(**{name: content["rules"][name] for name in _RULES})
    layout = Layout(tuple(_column(described) for described in content["columns"]), rules)
    if not layout.columns:
        raise ValueError("its encoder has no columns")
    numbers = _array(get(content["numbers"]), "f", (3, len(layout.numeric)))
    cut = [layout.columns[i] for i in layout.in_pieces]
    categories = [column for column in layout.columns if column.kind == "category"]
    hashed = [column for column in categories if column.hashed]
    for name, columns in (("edges", cut), ("seen", categories), ("shares", hashed)):
        if len(content[name]) != len(columns):
            raise ValueError(f"the {name} of its encoder do not fit its columns")
    edges = [_array(get(kept), "f", (column.pieces + 1,)) for kept, column in zip(content["edges"], cut, strict=True)]
    seen = [
        _array(get(kept), "b", (len(column.levels),)) for kept, column in zip(content["seen"], categories, strict=True)
    ]
    shares = []
    for kept_hashes, kept_shares in content["shares"]:
        hashes = get(kept_hashes)
        _array(hashes, "u", (np.size(hashes),))
        shares.append((hashes, _array(get(kept_shares), "f", hashes.shape)))
        if not len(hashes) or hashes.dtype != np.uint64 or hashes[0] != 0 or np.any(hashes[1:] <= hashes[:-1]):
            raise ValueError("the shares of its encoder are in no order")
    if not (numbers[2] > 0).all() or any(np.any(np.diff(values) < 0) for values in edges):
        raise ValueError("the scales of its encoder are none")
    fill, center, scale = numbers
    return Encoder(layout, fill, center, scale, tuple(edges), tuple(seen), tuple(shares))


def _column(content: dict[str, Any]) -> ColumnLayout:
    levels, circles = content["levels"], content["circles"]
    words = isinstance(levels, list) and all(isinstance(level, str) for level in levels)
    fits = isinstance(content["name"], str) and content["kind"] in KINDS and words and len(set(levels)) == len(levels)
    fits = fits and all(isinstance(content[name], bool) for name in ("gaps", "more"))
    fits = fits and all(type(content[name]) is int and 0 <= content[name] <= 10_000 for name in ("hashed", "pieces"))
    fits = fits and isinstance(circles, list) and circles == [circle for circle in CIRCLES if circle in circles]
    category, time = content["kind"] == "category", content["kind"] == "time"
    fits = fits and (category or not (levels or content["more"] or content["hashed"])) and (time or not circles)
    fits = fits and (content["more"] or not content["hashed"])
    fits = fits and not (content["pieces"] and content["kind"] not in ("number", "duration"))
    if not fits:
        raise ValueError("a column of its encoder is none")
    return ColumnLayout(
        content["name"], content["kind"], content["gaps"], tuple(levels), content["more"], content["hashed"],
        tuple(circles), content["pieces"],
    )  # fmt: skip


def _array(values: Any, kind: str, shape: tuple[int, ...]) -> Array:
    fits = isinstance(values, np.ndarray) and values.dtype.kind == kind and values.shape == shape
    if not fits or not np.isfinite(values).all():
        raise ValueError("an array of its encoder does not fit its columns")
    return np.asarray(values)
