"""Juries: whose rows decide about a member.

Where each network sets samples aside, those that choose its step must not tell afterwards how good it is: of all steps the one
that suits them best was taken. So networks are put into juries, and about a network the others of its jury decide, by the mean
of their errors, each on the samples that it has set aside itself. These the network has learnt from; but they are not those that
it is measured on in the end.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# With fewer members the mean of the others says little; with many more a fit could not be shared out among processes.
_LEAST_MEMBERS = 4


class Juries:
    """Which members decide about each other.

    Parameters
    ----------
    numbers : array of int, shape (members,)
        The number of each member's jury; -1 for a member without one. Those of a jury stand side by side.
    """

    def __init__(self, numbers: Array) -> None:
        self.numbers = numbers

    @staticmethod
    def of_folds(n_members: int) -> Juries:
        """Return juries of 4 to 7 members, or of all where there are fewer."""
        parts = np.array_split(np.arange(n_members), max(1, n_members // _LEAST_MEMBERS))
        return Juries(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))

    @staticmethod
    def join(juries: list[Juries]) -> Juries:
        """Return those of several trainings, one after the other."""
        numbers, first = [], 0
        for part in juries:
            numbers.append(np.where(part.numbers < 0, -1, part.numbers + first))
            first += int(part.numbers.max(initial=-1)) + 1
        return Juries(np.concatenate(numbers))

    def select(self, members: Array) -> Juries:
        """Return those of some of the members."""
        return Juries(self.numbers[members])

    @cached_property
    def _seats(self) -> Array:
        """The members of each jury, shape (juries, seats); -1 for a seat that is empty."""
        on = np.flatnonzero(self.numbers >= 0)
        _, first, counts = np.unique(self.numbers[on], return_index=True, return_counts=True)
        seats = np.full((len(first), counts.max(initial=0)), -1)
        for jury, (start, count) in enumerate(zip(first, counts, strict=True)):
            seats[jury, :count] = on[start : start + count]
        return seats

    def apart(self) -> list[Array]:
        """Return the members as parts that have nothing to do with each other, in their order."""
        ends = np.flatnonzero((np.diff(self.numbers) != 0) | (self.numbers[1:] < 0)) + 1
        return np.split(np.arange(len(self.numbers)), ends)

    def mean_of_the_others(self, values: Array) -> Array:
        """Return for each member the mean over the others of its jury, shape (members,).

        NaN counts for nothing; where nothing counts the mean is NaN, as it is for a member without a jury.
        """
        seats, means = self._seats, np.full(len(values), np.nan)
        if not seats.size:
            return means
        given = np.where(seats < 0, np.nan, values[seats])
        is_known = ~np.isnan(given)
        given = np.where(is_known, given, 0.0)
        others = np.zeros_like(given)
        # Sums from both ends: the difference to the whole would lose the digits of the others where a value is large.
        others[:, 1:] += np.cumsum(given, axis=1)[:, :-1]
        others[:, :-1] += np.cumsum(given[:, ::-1], axis=1)[:, -2::-1]
        count = is_known.sum(axis=1, keepdims=True) - is_known
        taken = seats >= 0
        means[seats[taken]] = np.where(count > 0, others / np.maximum(count, 1), np.nan)[taken]
        return means

    def of(self, member: int) -> Array:
        """Return the members of the jury of one of them, by number."""
        return self._by_number[int(self.numbers[member])]

    @cached_property
    def _by_number(self) -> dict[int, Array]:
        return {int(self.numbers[seats[0]]): seats[seats >= 0] for seats in self._seats}

    def that_wait(self, waiting: Array) -> Array:
        """Return a mask of the members in whose jury one of those waiting, by number, sits."""
        numbers = self.numbers[waiting]
        return np.isin(self.numbers, numbers[numbers >= 0])
