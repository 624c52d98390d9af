"""Axes of parameters: where the values of trials stand on them, from 0 to 1, and which ticks they have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnexp.experiment.results import Results
from nnexp.report.figures.drawing import short
from nnexp.sweep.space import Leaf, Space, SpaceError
from nnexp.sweep.tables import column_of

Array = NDArray[Any]

# Where what took no part stands, below the axis.
ABSENT = -0.16
# Without a declared space an axis is logarithmic from this ratio of its ends on.
_RATIO = 50
# More words are not legible.
_WORDS = 8
# Letters of a line of a name.
_LINE = 16


@dataclass(frozen=True)
class Axis:
    """The axis of a parameter.

    Attributes
    ----------
    name : str
        For its label, in lines.
    words : tuple of str
        Its values, if they are no numbers.
    low, high : float
        Its ends, if they are.
    is_log, is_whole : bool
    has_absent : bool
        Whether it took no part in some trials.
    """

    name: str
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    is_whole: bool = False
    has_absent: bool = False

    def place(self, values: pd.Series) -> Array:
        """Return where values stand: from 0 to 1, and `ABSENT` for what took no part."""
        if self.words:
            number = {word: i / max(len(self.words) - 1, 1) for i, word in enumerate(self.words)}
            places = values.map(lambda value: np.nan if pd.isna(value) else number[str(value)]).to_numpy(dtype=float)
        else:
            places = self._scaled(pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan))
        return np.where(np.isnan(places), ABSENT, places)

    def _scaled(self, values: Any) -> Any:
        low, high = (math.log(end) if self.is_log else end for end in (self.low, self.high))
        return ((np.log(values) if self.is_log else values) - low) / ((high - low) or 1.0)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where ticks stand, and what they say."""
        absent = [(ABSENT, "not there")] if self.has_absent else []
        if self.words:
            kept = self.words if len(self.words) <= _WORDS else (self.words[0], self.words[-1])
            places = [self.words.index(word) / max(len(self.words) - 1, 1) for word in kept]
            return absent + [(place, short(word, 14)) for place, word in zip(places, kept, strict=True)]
        if self.low == self.high:
            return [*absent, (0.0, f"{self.low:.4g}")]
        middle = math.sqrt(self.low * self.high) if self.is_log else (self.low + self.high) / 2
        inner = {round(middle)} if self.is_whole else {float(f"{middle:.2g}")}
        values = sorted({self.low, self.high, *(value for value in inner if self.low < value < self.high)})
        return absent + [(float(self._scaled(value)), f"{value:.4g}") for value in values]


def lines_of(name: str) -> str:
    """Return a name in lines that are short enough for a label, broken after an underscore or a dot."""
    lines = [""]
    for part in name.replace("_", "_\n").replace(".", ".\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > _LINE:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def leaves_of(results: Results, model: str) -> dict[str, Leaf]:
    """Return what a space declares of the columns of a table of trials; nothing where it cannot be read here."""
    space = results.experiment["model"].get(model, {}).get("space") or {}
    try:
        return {column_of(leaf.name): leaf for leaf in Space(space).leaves}
    except SpaceError:
        return {}


def axis_of(values: pd.Series, name: str, leaf: Leaf | None) -> Axis:
    """Return the axis of a parameter by its values in all trials that are drawn, and what its space declares."""
    there = values.dropna()
    absent = len(there) < len(values)
    numbers = pd.to_numeric(there, errors="coerce")
    if there.empty or there.dtype == bool or numbers.isna().any() or (leaf is not None and leaf.kind == "choice"):
        met = set(there.astype(str))
        words = [str(choice) for choice in leaf.choices if str(choice) in met] if leaf is not None else []
        return Axis(name, words=(*words, *sorted(met.difference(words))) or ("none",), has_absent=absent)
    low, high = float(numbers.min()), float(numbers.max())
    if leaf is not None:
        low, high = min(low, float(leaf.low)), max(high, float(leaf.high))
    is_log = leaf.log if leaf is not None else low > 0 and high / low > _RATIO
    is_whole = leaf.kind == "int" if leaf is not None else bool((numbers == numbers.round()).all())
    return Axis(name, low=low, high=high, is_log=is_log and low > 0, is_whole=is_whole, has_absent=absent)
