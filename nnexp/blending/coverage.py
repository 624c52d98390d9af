"""Whether intervals and sets hold what they promise, group by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_consistent_length, column_or_1d

from nnexp._errors import quoted
from nnexp.intervals import check_coverage


def coverage_by_group(model: Any, X: Any, y: ArrayLike, groups: ArrayLike, coverage: float = 0.9) -> pd.DataFrame:
    """Return how many intervals or sets of a fitted model hold what they should, group by group.

    A promise on average over all samples may be kept by too wide intervals for most and too narrow ones for some. Samples should be
    new ones.

    Parameters
    ----------
    model : TabularMLP or Blend
        Fitted, of one output or of classes.
    X, y : array-like
        Samples that it has not learnt from.
    groups : array-like of shape (n_samples,)
        What tells groups apart: a column of X, a class, parts of a number.
    coverage : float, default=0.9
        What is promised.

    Returns
    -------
    pandas.DataFrame
        A row for all samples, for each group, and for gaps among the groups: group, n, coverage, its standard error, and the mean
        size: the width of intervals, in the units of y, or how many classes are in a set.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from nnexp import Blend, coverage_by_group
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 1))
    >>> noise = np.where(X[:, 0] > 0, 2.0, 0.5)
    >>> y = X[:, 0] + rng.normal(0, noise)
    >>> model = Blend([("linear", LinearRegression())], random_state=0).fit(X[:300], y[:300])
    >>> table = coverage_by_group(model, X[300:], y[300:], np.where(noise[300:] > 1, "noisy", "quiet"))
    >>> table["coverage"].round(1).tolist()
    [0.9, 0.8, 1.0]
    """
    check_coverage(coverage)
    if not hasattr(model, "predict_set") and not hasattr(model, "predict_interval"):
        raise TypeError(f"model must give intervals or sets, as TabularMLP and Blend do. Got {quoted(model)}.")
    expected, groups = column_or_1d(np.asarray(y)), pd.Series(column_or_1d(np.asarray(groups))).astype(object)
    check_consistent_length(X, expected, groups)
    if hasattr(model, "predict_set"):
        sets = model.predict_set(X, coverage)
        known = np.isin(expected, model.classes_)
        if not known.any():
            raise ValueError(f"y holds none of the classes of the model: {quoted(model.classes_.tolist())}.")
        column = np.zeros(len(expected), dtype=int)
        column[known] = np.searchsorted(model.classes_, expected[known])
        hits, sizes = sets[np.arange(len(expected)), column] & known, sets.sum(axis=1)
    else:
        ends = model.predict_interval(X, coverage)
        if ends.ndim == 3:
            raise ValueError("coverage_by_group is for one output; of several each has its own intervals.")
        hits, sizes = (ends[:, 0] <= expected) & (expected <= ends[:, 1]), ends[:, 1] - ends[:, 0]
    gaps = groups.isna().to_numpy()
    labels = sorted(groups[~gaps].unique(), key=lambda label: (type(label).__name__, label))
    parts = [("all", np.ones(len(expected), dtype=bool)), *((label, (groups == label).to_numpy()) for label in labels)]
    parts += [("missing", gaps)] if gaps.any() else []
    rows = []
    for label, here in parts:
        share, n = float(hits[here].mean()), int(here.sum())
        error = float(np.sqrt(share * (1.0 - share) / n))
        rows.append({"group": label, "n": n, "coverage": share, "error": error, "size": float(sizes[here].mean())})
    return pd.DataFrame(rows)
