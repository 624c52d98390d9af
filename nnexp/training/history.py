"""What happened in each step, for each member of a stack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Block = tuple[Array, dict[str, Array]]


class History:
    """The rows that steps report, kept as one array of steps × members for each column.

    Members that train in step report together; when some of them stop, a new block begins.
    """

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        # Branches share one list, of which each knows how much is its own.
        self._blocks = list(blocks)
        self._n = len(self._blocks)
        self._open: list[tuple[Array, dict[str, Any]]] = []

    @property
    def blocks(self) -> list[Block]:
        """The numbers of the members, and for each column its values in each step."""
        return self._blocks[: self._n]

    def branch(self) -> History:
        """Return a history of what has happened so far; what is noted later in one of the two is not in the other.

        It takes no longer where more has happened.
        """
        self.close()
        history = History()
        history._blocks, history._n = self._blocks, self._n
        return history

    def _append(self, block: Block) -> None:
        if len(self._blocks) > self._n:  # a branch has gone on
            self._blocks = self.blocks
        self._blocks.append(block)
        self._n += 1

    def __reduce__(self) -> Any:
        self.close()
        return History, (self.blocks,)

    def add(self, members: Array, columns: dict[str, Any]) -> None:
        """Note a step: for each column a value, or an array of a value for each of the members."""
        self._open.append((members, columns))

    def close(self) -> None:
        """Put what was noted since the last call into blocks."""
        runs: dict[int, tuple[Array, list[dict[str, Any]]]] = {}
        for members, columns in self._open:
            runs.setdefault(id(members), (members, []))[1].append(columns)
        for members, steps in runs.values():
            names = dict.fromkeys(name for step in steps for name in step)
            missing = np.full(len(members), np.nan)
            block = {}
            for name in names:
                values = np.empty((len(steps), len(members)), dtype=np.asarray(steps[0].get(name, missing)).dtype)
                for row, step in zip(values, steps, strict=True):
                    row[:] = step.get(name, missing)
                block[name] = values
            self._append((members, block))
        self._open = []

    def last(self, groups: int, members: int) -> dict[str, float]:
        """Return the means over so many first members of what the last step of a number of groups has reported."""
        recent = self._open[-groups:] if self._open else []
        if not recent:
            recent = [
                (members, {n: v[-1] for n, v in block.items()})
                for members, block in self._blocks[max(0, self._n - groups) : self._n]
            ]
        asked = [(m[m < members], {n: _part(v, m < members) for n, v in c.items()}) for m, c in recent]
        recent = [(m, columns) for m, columns in asked if len(m)] or recent
        return {
            name: float(np.mean(np.concatenate([np.broadcast_to(c[name], m.shape) for m, c in recent if name in c])))
            for name in recent[-1][1]
        }

    def columns(self, member: int) -> dict[str, list[Any]]:
        """Return the history of one member, a list for each column."""
        self.close()
        columns: dict[str, list[Any]] = {}
        steps = 0
        for members, block in self.blocks:
            place = int(np.searchsorted(members, member))
            if place < len(members) and members[place] == member:
                length = len(block["step"])
                for name in dict.fromkeys([*columns, *block]):
                    column = columns.setdefault(name, [np.nan] * steps)
                    column += block[name][:, place].tolist() if name in block else [np.nan] * length
                steps += length
        return columns

    def select(self, members: Array) -> History:
        """Return the history of some of the members, numbered anew."""
        self.close()
        rows: list[Block] = []
        for numbers, block in self.blocks:
            places = np.searchsorted(numbers, members)
            there = numbers[np.minimum(places, len(numbers) - 1)] == members
            if there.any():
                rows.append((np.flatnonzero(there), {n: v[:, places[there]] for n, v in block.items()}))
        return History(rows)

    @staticmethod
    def join(parts: list[History], starts: list[int]) -> History:
        """Return one history of the members of several, whose numbers begin at starts."""
        for part in parts:
            part.close()
        return History(
            (members + start, block)
            for part, start in zip(parts, starts, strict=True)
            for members, block in part.blocks
        )


def _part(values: Any, chosen: Array) -> Any:
    """Return the values of some members, or the one value of all."""
    return values[chosen] if np.ndim(values) else values
