"""Whether intervals and sets hold what they promise, group by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_consistent_length, column_or_1d

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
        A row for each group and one for all: group, n, coverage, its standard error, and the mean size: the width of intervals,
        in the units of y, or how many classes are in a set.

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
    y_given, groups = column_or_1d(np.asarray(y)), column_or_1d(np.asarray(groups))
    check_consistent_length(y_given, groups)
    if hasattr(model, "predict_proba"):
        sets = model.predict_set(X, coverage)
        known = np.isin(y_given, model.classes_)
        column = np.where(known, np.searchsorted(model.classes_, np.where(known, y_given, model.classes_[0])), 0)
        hits, sizes = sets[np.arange(len(y_given)), column] & known, sets.sum(axis=1)
    else:
        ends = model.predict_interval(X, coverage)
        if ends.ndim == 3:
            raise ValueError("coverage_by_group is for one output; of several each has its own intervals.")
        hits, sizes = (ends[:, 0] <= y_given) & (y_given <= ends[:, 1]), ends[:, 1] - ends[:, 0]
    rows = []
    for name in [None, *np.unique(groups)]:
        here = np.ones(len(y_given), dtype=bool) if name is None else groups == name
        share, n = float(hits[here].mean()), int(here.sum())
        error = float(np.sqrt(share * (1.0 - share) / n))
        label = "all" if name is None else name
        rows.append({"group": label, "n": n, "coverage": share, "error": error, "size": float(sizes[here].mean())})
    return pd.DataFrame(rows)
