"""What a sweep has found, in words: the winner, who else is as good, what decided, what was gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.sweep.store import Trial
from nnexp.words import in_words, interval_in_words, listed, p_equals

# What less than this share of the importance falls on hardly matters.
LITTLE = 0.05
# Values that are named; of more their number is.
_NAMED = 4


@dataclass(frozen=True)
class Gain:
    """How far one trial is ahead of another on the same folds.

    Attributes
    ----------
    number : int
        The other one.
    difference, half_width : float
        The mean over the folds, and half of its 95 % interval.
    p : float
        By the corrected resampled t-test; NaN where it cannot be told.
    """

    number: int
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
    ranges : pandas.DataFrame
        A row for each parameter: ``parameter``; ``best``, the winner's; ``good``, what it is among the trials that are not clearly
        worse; ``tried``, what it is among all that were completed; ``importance``, from 0 to 1.
    good : int or None
        How many complete trials are not clearly worse than the best, which is one of them: the corrected resampled t-test over
        the folds, at 5 %, does not find that they are. 0 where there are too few folds to tell, None where earlier versions
        did not test it.
    over_defaults : Gain or None
        Over a trial of the estimator's own parameters, if there was one.
    """

    metric: str
    number: int
    value: float
    parameters: dict[str, Any]
    folds: int
    states: dict[str, int]
    ranges: pd.DataFrame
    good: int | None
    over_defaults: Gain | None

    @property
    def sentences(self) -> list[str]:
        """The answer, a sentence each."""
        complete, total = self.states["complete"], sum(self.states.values())
        chosen = ", ".join(f"{name} = {shown(value)}" for name, value in self.parameters.items())
        which = "only trial" if total == 1 else f"best of {total} trials"
        lines = [
            f"The {which} is number {self.number}, with a mean {self.metric} of {self.value:.4g} over "
            f"{self.folds} folds: {chosen}."
        ]
        lost = [(self.states["pruned"], "were pruned"), (self.states["fail"], "failed")]
        if any(count for count, _ in lost):
            lines.append(f"Of these {listed([f'{count} {word}' for count, word in lost if count])}.")
        if self.good is not None:
            lines.append(self._others(self.good, complete))
        if (self.good is None or self.good < complete) and self.ranges["importance"].notna().any():
            lines.append(self._decided())
        if self.over_defaults is not None:
            lines.append(self._gained(self.over_defaults))
        if complete > 1:
            lines.append(
                "It was chosen for its score, which promises too much: what it keeps is told by samples that no trial has seen."
            )
        return lines

    def _others(self, good: int, complete: int) -> str:
        if complete == 1:
            return "No other trial was completed." if sum(self.states.values()) > 1 else "There was no other."
        if good == 0:
            why = "one fold is too few" if self.folds < 2 else "they differ by the same amount on every fold"
            return f"Whether others are worse cannot be told: {why}."
        if good == complete:
            return (
                f"The settings made no clear difference: by the corrected paired test over the folds none of the other "
                f"{complete - 1} completed trials is clearly worse."
            )
        if good == 1:
            others = f"each of the other {complete - 1} completed trials is clearly worse"
            return f"By the corrected paired test over the folds {others}."
        rows = self.ranges.to_dict("records")
        among = [
            f"{row['parameter']} is {row['good']} (tried: {row['tried']})"
            for row in rows
            if row["good"] != row["tried"]
        ]
        if free := [row["parameter"] for row in rows if row["good"] == row["tried"]]:
            among.append(f"{listed(free)} {'is' if len(free) == 1 else 'are'} anything that was tried")
        verb = "is" if good == 2 else "are"
        count = f"{good - 1} of the other {complete - 1} completed trials {verb} not clearly worse by the "
        count += "corrected paired test over the folds"
        return f"{count}; among these and the best {listed(among)}."

    def _decided(self) -> str:
        known = self.ranges.dropna(subset="importance").sort_values("importance", ascending=False, kind="stable")
        much = known[known["importance"] >= LITTLE]
        little = list(known.loc[known["importance"] < LITTLE, "parameter"])
        named = [f"{row['parameter']} ({row['importance']:.0%})" for row in much.to_dict("records")]
        text = f"What decided: {listed(named)}"
        return f"{text}; {listed(little)} hardly mattered." if little else f"{text}."

    def _gained(self, gain: Gain) -> str:
        if np.isnan(gain.p):
            return f"Over the defaults, trial {gain.number}, it is {in_words(self.metric, gain.difference)} of {self.metric}."
        interval = interval_in_words(self.metric, gain.difference, gain.half_width)
        clear = "clearly " if gain.p < st.LEVEL else "not clearly "
        return (
            f"It is {clear}better than the defaults, trial {gain.number}: by {in_words(self.metric, gain.difference)} of "
            f"{self.metric} on these folds (95 % interval {interval}, {p_equals(gain.p)})."
        )

    def __str__(self) -> str:
        return " ".join(self.sentences)


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
    ahead = np.subtract(best.record["scores"][metric], other.record["scores"][metric])
    half = st.half_width(st.corrected_variance(ahead, n_train, n_test), len(ahead) - 1)
    return Gain(other.number, float(ahead.mean()), float(half), float(st.paired_p_value(ahead, n_train, n_test)))


def answer_of(
    table: pd.DataFrame,
    names: Sequence[str],
    metric: str,
    folds: int,
    parameters: Mapping[str, Any],
    importances: Mapping[str, float],
    gain: Gain | None = None,
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
    gain : Gain, default=None
        Over the defaults.
    """
    complete = table[table["state"] == "complete"]
    if complete.empty:
        return None
    is_tested = "p_against_best" in complete
    p = complete["p_against_best"].astype(float) if is_tested else pd.Series(np.nan, complete.index)
    place = int(complete["value"].astype(float).to_numpy().argmax())
    best = complete.iloc[place].to_dict()
    good = complete[~(p < st.LEVEL)]
    counts = table["state"].value_counts()
    rows = [
        {
            "parameter": name,
            "best": spread(pd.Series([best[name]], dtype=object)),
            "good": spread(good[name]),
            "tried": spread(complete[name]),
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
        ranges=pd.DataFrame(rows, columns=["parameter", "best", "good", "tried", "importance"]),
        good=None if not is_tested else len(good) if p.notna().any() or len(complete) == 1 else 0,
        over_defaults=gain,
    )


def spread(values: pd.Series) -> str:
    """Say what a parameter is in some trials: from where to where, or which values."""
    there = values.dropna()
    if there.empty:
        return "not there"
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) for value in there):
        low, high = there.min(), there.max()
        text = shown(low) if low == high else f"{shown(low)} to {shown(high)}"
    else:
        distinct = sorted({shown(value) for value in there})
        text = listed(distinct) if len(distinct) <= _NAMED else f"one of {len(distinct)} values"
    return text if len(there) == len(values) else f"{text}, or not there"


def shown(value: Any) -> str:
    """Show a value of a parameter: numbers with three digits."""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return f"({', '.join(shown(part) for part in value)}{',' if len(value) == 1 else ''})"
    return str(value)
