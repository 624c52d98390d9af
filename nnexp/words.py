"""Numbers in words: differences in points, intervals, large counts, durations, chances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Scores from 0 to 1 whose differences are said in points, hundredths of the score.
SHARES = {
    "accuracy", "balanced_accuracy", "average_precision", "f1", "f1_micro", "f1_macro", "f1_weighted", "f1_samples", "jaccard",
    "jaccard_micro", "jaccard_macro", "jaccard_weighted", "precision", "precision_micro", "precision_macro", "precision_weighted",
    "recall", "recall_micro", "recall_macro", "recall_weighted", "roc_auc", "roc_auc_ovo", "roc_auc_ovr", "top_k_accuracy",
}  # fmt: skip


def in_words(metric: str, value: float) -> str:
    """Say a difference of scores in its usual unit; a point is a hundredth.

    Examples
    --------
    >>> in_words("accuracy", 0.012), in_words("r2", -0.1)
    ('+1.2 points', '-0.100')
    """
    if np.isnan(value):
        return "—"
    if metric in SHARES:
        return f"{100 * value:+.1f} points" if abs(value) >= 0.0005 or value == 0 else f"{100 * value:+.1g} points"
    return f"{value:+.3f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:+.3g}"


def interval_in_words(metric: str, middle: float, half: float) -> str:
    """Say an interval of differences.

    Examples
    --------
    >>> interval_in_words("accuracy", 0.012, 0.02)
    '-0.8 to +3.2 points'
    """
    return between_in_words(metric, middle - half, middle + half)


def between_in_words(metric: str, low: float, high: float) -> str:
    """Say an interval of differences by its ends."""
    if np.isnan(low) or np.isnan(high):
        return "—"
    return f"{in_words(metric, low).removesuffix(' points')} to {in_words(metric, high)}"


def p_in_words(p: float) -> str:
    """Say a p-value.

    Examples
    --------
    >>> p_in_words(0.0123), p_in_words(1e-9), p_in_words(float("nan"))
    ('0.012', '< 0.001', '—')
    """
    return "—" if np.isnan(p) else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def p_equals(p: float) -> str:
    """Say a p-value within a sentence.

    Examples
    --------
    >>> p_equals(0.0123), p_equals(1e-9)
    ('p = 0.012', 'p < 0.001')
    """
    return f"p {p_in_words(p)}" if p < 0.001 else f"p = {p_in_words(p)}"


def count_in_words(value: Any) -> str:
    """Say a large number with two figures, such as 1.2 M.

    Examples
    --------
    >>> count_in_words(1_234_567), count_in_words(950), count_in_words(float("nan"))
    ('1.2 M', '950', '—')
    """
    if np.isnan(value):
        return "—"
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2g} {unit}" if value < 99.5 * limit else f"{value / limit:.0f} {unit}"
    return f"{value:.0f}"


def seconds_in_words(value: Any) -> str:
    """Say a duration with two figures.

    Examples
    --------
    >>> seconds_in_words(0.0123), seconds_in_words(12.3)
    ('12 ms', '12 s')
    """
    if np.isnan(value):
        return "—"
    if value < 0.995:
        return f"{1000 * value:.2g} ms" if value < 0.0995 else f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"


def ratio_in_words(ratio: float) -> str:
    """Say how many times as much something is."""
    return f"{ratio:.0f} times" if ratio >= 9.95 else f"{ratio:#.2g} times"


def listed(parts: Sequence[str], most: int = 6, things: str = "more") -> str:
    """Join parts as a sentence does; beyond the most that are named, say how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a, b and 2 more')
    """
    parts = list(parts)
    if not parts:
        return ""
    if len(parts) > most + 1:
        parts = [*parts[:most], f"{len(parts) - most} {things}"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
