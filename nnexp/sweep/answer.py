"""What a sweep has found, in words: the winner, who else is as good, what decided, what was gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import nnexp.statistics as st
from nnexp.sweep.store import Trial
from nnexp.words import in_words, interval_in_words, listed, p_equals

Array = NDArray[Any]

# What less than this share of the importance falls on hardly matters.
LITTLE = 0.05
# Values that are named; of more their number is.
_NAMED = 4
# Trials that are named beside the best one.
_NEXT = 3
# With fewer folds even large differences are not clear.
FEW_FOLDS = 5
# Fewer completed trials tell little of what decides.
_FEW_TRIALS = 50


@dataclass(frozen=True)
class Gain:
    """How far one trial, or model, is ahead of another on the same folds.

    Attributes
    ----------
    difference, half_width : float
        The mean over the folds, and half of its 95 % interval.
    p : float
        By the corrected resampled t-test; NaN where it cannot be told.
    """

    difference: float
    half_width: float
    p: float


@dataclass(frozen=True)
class SweepAnswer:
    """What the trials of a study say.

    Attributes
    ----------
    metric : str
        The score that is sought.
    number : int
        The trial that won.
    value : float
        Its mean over the folds.
    parameters : dict
        What it set in the estimator.
    folds : int
    states : dict
        How many trials are complete, pruned and failed.
    distinct : int
        How many of the complete ones have settings that no earlier one had.
    ranges : pandas.DataFrame
        A row for each parameter: ``parameter``; ``best``, the winner's; ``good``, what it is among the trials that are not clearly
        worse; ``tried``, what it is among all that were completed; ``is_narrower``, whether these differ; ``importance``, from 0
        to 1.
    good : int or None
        How many distinct complete trials are not clearly worse than the best, which is one of them: the corrected resampled
        t-test over the folds, at 5 %, does not find that they are. 0 where there are too few folds to tell, None where earlier
        versions did not test it. One that is behind by the same amount on every fold counts as worse.
    constant : int
        How many are behind the best by the same amount on every fold, so that no test can tell.
    is_clear : bool
        Whether any is worse where it is taken into account how many are compared (Holm 1979).
    following : list of tuple
        Number and value of the next best completed trials.
    defaults : int or None
        The trial of the estimator's own parameters, if there was one that was completed; it may be the best.
    over_defaults : Gain or None
        How far the best one is ahead of that.
    """

    metric: str
    number: int
    value: float
    parameters: dict[str, Any]
    folds: int
    states: dict[str, int]
    distinct: int
    ranges: pd.DataFrame
    good: int | None
    constant: int
    is_clear: bool
    following: list[tuple[int, float]]
    defaults: int | None
    over_defaults: Gain | None

    @property
    def sentences(self) -> list[str]:
        """The answer, a sentence each."""
        complete, total = self.distinct, sum(self.states.values())
        chosen = ", ".join(f"{name} = {shown(value)}" for name, value in self.parameters.items())
        which = "only trial has" if total == 1 else f"best of {total} trials is trial {self.number}, with"
        folds = "1 fold" if self.folds == 1 else f"{self.folds} folds"
        lines = [f"The {which} a mean {self.metric} of {self.value:.4g} over {folds}: {chosen}."]
        if self.defaults is not None:
            lines.append(self._gained(self.defaults))
        if self.following:
            named = [f"trial {number} ({value:.4g})" for number, value in self.following]
            lines.append(f"Next to it {'is' if len(named) == 1 else 'are'} {listed(named)}.")
        pruned, failed = self.states["pruned"], self.states["fail"]
        if pruned or failed:
            lost = [f"{pruned} {'was' if pruned == 1 else 'were'} pruned"] if pruned else []
            lines.append(f"Of all trials {listed([*lost, *([f'{failed} failed'] if failed else [])])}.")
        if self.good is not None:
            lines.append(self._others(self.good, complete))
        if (self.good is None or (self.good < complete and self.is_clear)) and self.ranges["importance"].notna().any():
            known = self.ranges.dropna(subset="importance")
            lines.append(decided(dict(zip(known["parameter"], known["importance"], strict=True)), complete))
        if complete > 1:
            lines.append(
                f"The score of the best of {complete} promises too much; what it keeps is told by samples that no trial has seen, "
                "such as those of the outer folds where a file says nested = true."
            )
        return lines

    def _others(self, good: int, complete: int) -> str:
        test = "by the corrected paired test over the folds"
        if complete == 1:
            return "No other trial was completed." if sum(self.states.values()) > 1 else "There was no other."
        if good == 0:
            why = "one fold is too few" if self.folds < 2 else "they differ by the same amount on every fold"
            return f"Whether others are worse cannot be told: {why}."
        others = "the other completed trial" if complete == 2 else f"the other {complete - 1} completed trials"
        if good == complete:
            none = f"{others} is not" if complete == 2 else f"none of {others} is"
            return f"The settings made no clear difference: {test} {none} clearly worse.{self._few()}"
        if not self.is_clear:
            return (
                f"The settings made no clear difference: {test}, corrected for {complete - 1} comparisons (Holm), none of {others} "
                f"is clearly worse.{self._few()}"
            )
        if good == 1:
            each = others if complete == 2 else f"each of {others}"
            return f"{test[0].upper()}{test[1:]} {each} is clearly worse{self._by_the_same()}."
        rows = self.ranges.to_dict("records")
        among = [f"{row['parameter']} is {row['good']} (tried: {row['tried']})" for row in rows if row["is_narrower"]]
        if free := [row["parameter"] for row in rows if not row["is_narrower"]]:
            among.append(f"{listed(free, 12)} {'is' if len(free) == 1 else 'are'} anything that was tried")
        verb = "is" if good == 2 else "are"
        which = f"among these and the best {listed(among, 12)}"
        if not any(row["is_narrower"] for row in rows):
            which = "every value that was tried is among them"
        return f"{good - 1} of {others} {verb} not clearly worse {test}{self._by_the_same()}; {which}.{self._few()}"

    def _by_the_same(self) -> str:
        if not self.constant:
            return ""
        verb = "is" if self.constant == 1 else "are"
        return f" ({self.constant} {verb} behind by the same amount on every fold, which no test can tell)"

    def _few(self) -> str:
        return (
            f" {self.folds} folds tell little: with more of them more would be clear." if self.folds < FEW_FOLDS else ""
        )

    def _gained(self, number: int) -> str:
        gain = self.over_defaults
        if gain is None:
            return "These are the defaults: nothing that was tried is better than they are."
        if np.isnan(gain.p):
            return (
                f"Over the defaults, trial {number}, it is {in_words(self.metric, gain.difference)} of {self.metric}."
            )
        interval = interval_in_words(self.metric, gain.difference, gain.half_width)
        clear = "clearly" if gain.p < st.LEVEL else "not clearly"
        return (
            f"It is {clear} better than the defaults, trial {number}: by {in_words(self.metric, gain.difference)} of "
            f"{self.metric} on these folds (95 % interval {interval}, {p_equals(gain.p)})."
        )

    def __str__(self) -> str:
        return " ".join(self.sentences)


def decided(importances: Mapping[str, float], complete: int) -> str:
    """Say which parameters tell good trials from others."""
    known = sorted(importances.items(), key=lambda item: -item[1])
    named = [f"{name} ({share:.0%})" for name, share in known if share >= LITTLE]
    little = [name for name, share in known if share < LITTLE]
    if not named:
        return "No parameter by itself tells good trials from others."
    text = f"What tells good trials from others: {listed(named, 12)}"
    text += f"; {listed(little, 12)} hardly {'matters' if len(little) == 1 else 'matter'}" if little else ""
    return f"{text}. Of {complete} completed trials this is a rough guide." if complete < _FEW_TRIALS else f"{text}."


def p_against_best(
    trials: Sequence[Trial], best: Trial | None, metric: str, n_train: float, n_test: float
) -> list[float]:
    """Return for each trial the p of the corrected resampled t-test that it differs from the best one.

    NaN for the best one, for trials that are not complete, and where it cannot be told.
    """
    p = np.full(len(trials), np.nan)
    of_best = [] if best is None else best.record.get("scores", {}).get(metric, [])
    if len(of_best) < 2:
        return p.tolist()
    numbers, scores = [], []
    for number, trial in enumerate(trials):
        folds = (
            trial.record.get("scores", {}).get(metric, []) if trial.state == "complete" and trial is not best else []
        )
        if len(folds) == len(of_best):
            numbers.append(number)
            scores.append(folds)
    if numbers:
        p[numbers] = st.paired_p_value(np.array(of_best) - np.array(scores), n_train, n_test)
    return p.tolist()


def gain_over(other: Trial, best: Trial, metric: str, n_train: float, n_test: float) -> Gain:
    """Return how far the best trial is ahead of another."""
    return gain_of(np.subtract(best.record["scores"][metric], other.record["scores"][metric]), n_train, n_test)


def gain_of(ahead: Array, n_train: float, n_test: float) -> Gain:
    """Return the mean of differences on some folds with its interval, by the corrected resampled t-test."""
    if len(ahead) < 2:
        return Gain(float(np.mean(ahead)), float("nan"), float("nan"))
    half = st.half_width(st.corrected_variance(ahead, n_train, n_test), len(ahead) - 1)
    return Gain(float(ahead.mean()), float(half), float(st.paired_p_value(ahead, n_train, n_test)))


def answer_of(
    table: pd.DataFrame,
    names: Sequence[str],
    metric: str,
    folds: int,
    parameters: Mapping[str, Any],
    importances: Mapping[str, float],
    defaults: tuple[int, Gain | None] | None = None,
) -> SweepAnswer | None:
    """Return what the trials of one study say; None if none was completed.

    Parameters
    ----------
    table : pandas.DataFrame
        As `trials_table` makes it, with ``p_against_best``.
    names : sequence of str
        The columns of the parameters.
    metric : str
    folds : int
    parameters : mapping
        What the best one set in the estimator.
    importances : mapping
        How much each parameter decides, by column.
    defaults : tuple of int and Gain, default=None
        The trial of the estimator's own parameters, and how far the best one is ahead of it; None if it is the best.
    """
    complete = table[table["state"] == "complete"]
    if complete.empty:
        return None
    counts = table["state"].value_counts()
    distinct = complete[complete["reused_from"].isna()] if "reused_from" in complete else complete
    complete = distinct if len(distinct) else complete
    is_tested = "p_against_best" in complete
    p = complete["p_against_best"].astype(float) if is_tested else pd.Series(np.nan, complete.index)
    values = complete["value"].astype(float)
    place = int(values.to_numpy().argmax())
    best = complete.iloc[place].to_dict()
    is_constant = p.isna() & (values < values.iloc[place]) & bool(p.notna().any())
    is_worse = (p < st.LEVEL) | is_constant
    good = complete[~is_worse]
    behind = values.drop(values.index[place]).sort_values(ascending=False, kind="stable")[:_NEXT]
    rows = [
        {
            "parameter": name,
            "best": spread(pd.Series([best[name]], dtype=object)),
            "good": spread(good[name]),
            "tried": spread(complete[name]),
            "is_narrower": _ends(good[name]) != _ends(complete[name]),
            "importance": importances.get(name, np.nan),
        }
        for name in names
    ]
    return SweepAnswer(
        metric=metric,
        number=int(best["number"]),
        value=float(best["value"]),
        parameters=dict(parameters),
        folds=folds,
        states={state: int(counts.get(state, 0)) for state in ("complete", "pruned", "fail")},
        distinct=len(complete),
        ranges=pd.DataFrame(rows, columns=["parameter", "best", "good", "tried", "is_narrower", "importance"]),
        good=None if not is_tested else len(good) if p.notna().any() or len(complete) == 1 else 0,
        constant=int(is_constant.sum()),
        is_clear=bool((st.holm(p.to_numpy()) < st.LEVEL).any()),
        following=[(int(complete.loc[at, "number"]), float(value)) for at, value in behind.items()],
        defaults=None if defaults is None else defaults[0],
        over_defaults=None if defaults is None else defaults[1],
    )


def _ends(values: pd.Series) -> tuple[Any, ...]:
    """Return what tells whether a parameter is the same in some trials as in others: its ends or its values, and its absence."""
    there = values.dropna()
    if _are_numbers(there):
        return (*((there.min(), there.max()) if len(there) else ()), len(there) == len(values))
    return (*sorted({shown(value) for value in there}), len(there) == len(values))


def _are_numbers(values: pd.Series) -> bool:
    return all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) for value in values
    )


def spread(values: pd.Series) -> str:
    """Say what a parameter is in some trials: from where to where, or which values."""
    there = values.dropna()
    if there.empty:
        return "not there"
    if _are_numbers(there):
        low, high = there.min(), there.max()
        text = shown(low) if low == high else f"{shown(low)} to {shown(high)}"
    else:
        distinct = sorted({shown(value) for value in there})
        text = listed(distinct) if len(distinct) <= _NAMED else f"one of {len(distinct)} values"
    return text if len(there) == len(values) else f"{text}, or not there"


def shown(value: Any) -> str:
    """Show a value of a parameter: numbers with four digits."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f"({', '.join(shown(part) for part in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {shown(part)}' for name, part in value.items())}}}"
    return str(value)
