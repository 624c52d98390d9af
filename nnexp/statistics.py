"""The statistics of comparisons: formulas that know nothing of reports.

One data set. Repeated cross-validation gives scores that are not independent, because the training sets overlap. The
intervals and tests here use the variance corrected for that by Nadeau and Bengio (2003), "Inference for the generalization
error", Machine Learning 52: (1/J + n_test/n_train) · s² with J − 1 degrees of freedom for J splits; with the same variance
the Bayesian correlated t-test of Corani and Benavoli (2015), Machine Learning 100, gives the probability of a practical
difference. Several data sets. One score for each data set and model; Friedman's test as Iman and Davenport (1980) corrected it,
Wilcoxon's signed-rank test, the Bayesian signed-rank test of Benavoli et al. (2014), as Demšar (2006), "Statistical
comparisons of classifiers over multiple data sets", JMLR 7, and Benavoli et al. (2017), "Time for a change", JMLR 18, lay out.
Several tests are adjusted together by Holm (1979).
"""

from __future__ import annotations

import functools
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import ndtr

Array = NDArray[Any]

LEVEL = 0.05
POWER = 0.8
# With fewer splits than this a t-test rests on next to nothing.
FEWEST_SPLITS = 5
# With fewer data sets than this no Wilcoxon test can reach the level of 5 %.
FEWEST_DATA_SETS = 6
_RESAMPLES = 1999
_SAMPLES = 10_000


def corrected_variance(scores: Array, n_train: float, n_test: float) -> Any:
    """Return the variance of the mean of cross-validation scores, corrected by Nadeau and Bengio (2003).

    Parameters
    ----------
    scores : array of shape (…, J)
        One score, or paired difference, for each split.
    n_train, n_test : float
        Rows of a training set and of a test set.

    Returns
    -------
    float or array of shape (…)
        NaN for fewer than two scores.

    Examples
    --------
    >>> import numpy as np
    >>> float(corrected_variance(np.array([1.0, 2.0, 3.0]), n_train=90, n_test=10))
    0.444...
    """
    n = np.shape(scores)[-1]
    if n < 2:
        return np.full(np.shape(scores)[:-1], np.nan)[()]
    return (1 / n + n_test / n_train) * np.var(scores, axis=-1, ddof=1)


def half_width(variance: Any, degrees: Any, level: float = LEVEL) -> Any:
    """Return half the width of the confidence interval of a mean with this variance; NaN without degrees of freedom."""
    degrees = np.asarray(degrees, dtype=float)
    with np.errstate(invalid="ignore"):
        return (stats.t.ppf(1 - level / 2, np.where(degrees >= 1, degrees, np.nan)) * np.sqrt(variance))[()]


def are_equal(values: Array) -> Any:
    """Whether the values along the last axis are equal up to rounding."""
    if np.shape(values)[-1] == 0:
        return np.ones(np.shape(values)[:-1], dtype=bool)[()]
    return np.ptp(values, axis=-1) <= 1e-12 * np.maximum(np.abs(values).max(axis=-1), 1e-300)


def paired_p_value(differences: Array, n_train: float, n_test: float) -> Any:
    """Return the two-sided p of the corrected resampled t-test for paired differences of shape (…, J).

    Equal differences on all splits, such as one test row each, are 0 / 0 and no proof: NaN, or 1 where all are 0.
    """
    differences = np.asarray(differences, dtype=float)
    if differences.shape[-1] < 2:
        return np.full(differences.shape[:-1], np.nan)[()]
    mean = differences.mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean) / np.sqrt(corrected_variance(differences, n_train, n_test))
        p = 2 * stats.t.sf(t, differences.shape[-1] - 1)
    return np.where(are_equal(differences), np.where(np.abs(mean) == 0, 1.0, np.nan), p)[()]


def correlated_probabilities(differences: Array, n_train: float, n_test: float, rope: float) -> Array:
    """Return the probabilities that a model is practically behind, equal and ahead: the Bayesian correlated t-test.

    Parameters
    ----------
    differences : array of shape (…, J)
        How far the model is ahead on each split.
    n_train, n_test : float
        Rows of a training set and of a test set.
    rope : float
        Differences up to this one count as none: the region of practical equivalence.

    Returns
    -------
    array of shape (…, 3)
        NaN for fewer than two splits.
    """
    differences = np.asarray(differences, dtype=float)
    n = differences.shape[-1]
    if n < 2:
        return np.full((*differences.shape[:-1], 3), np.nan)
    mean = differences.mean(axis=-1)
    scale = np.sqrt(np.maximum(corrected_variance(differences, n_train, n_test), 1e-300))
    behind = stats.t.cdf((-rope - mean) / scale, n - 1)
    ahead = stats.t.sf((rope - mean) / scale, n - 1)
    return np.stack([behind, np.clip(1 - behind - ahead, 0, 1), ahead], axis=-1)


def holm(p_values: Array) -> Array:
    """Adjust p-values for being several (Holm 1979); NaN stays NaN and does not count.

    Examples
    --------
    >>> import numpy as np
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


class Friedman(NamedTuple):
    """Friedman's test of k models on n data sets: the corrected statistic of Iman and Davenport (1980) and its p."""

    chi2: float
    f: float
    p: float
    critical_difference: float


def friedman(scores: Array) -> Friedman | None:
    """Test whether the models of the columns have equal ranks over the data sets of the rows.

    Parameters
    ----------
    scores : array of shape (n data sets, k models)
        Higher is better.

    Returns
    -------
    Friedman or None
        With the critical difference of mean ranks after Nemenyi (1963) at 5 %. None for fewer than three models or two data
        sets, or if all scores of each row are equal.
    """
    n, k = scores.shape
    if n < 2 or k < 3 or not np.ptp(scores, axis=1).any():
        return None
    chi2 = float(stats.friedmanchisquare(*scores.T).statistic)
    f = iman_davenport(chi2, n, k)
    q = stats.studentized_range.ppf(1 - LEVEL, k, np.inf) / np.sqrt(2)
    return Friedman(chi2, f, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))), float(q * np.sqrt(k * (k + 1) / (6 * n))))


def iman_davenport(chi2: float, n: int, k: int) -> float:
    """Return the statistic of Iman and Davenport (1980), F-distributed with k − 1 and (k − 1)(n − 1) degrees of freedom."""
    rest = n * (k - 1) - chi2
    return float((n - 1) * chi2 / rest) if rest > 1e-9 * n else float("inf")


def sign_test(differences: Array) -> float:
    """Return the two-sided p of the exact sign test; 1 where all differences are 0.

    Zeros are dropped. How large a difference is does not count, so that differences of several kinds may stand together.

    Examples
    --------
    >>> import numpy as np
    >>> sign_test(np.array([0.1, 20.0, 3.0, 1.0, 0.2, 0.1]))
    0.03125
    """
    differences = np.asarray(differences, dtype=float)
    return _sign_p(int((differences > 0).sum()), int((differences != 0).sum()))


@lru_cache(10_000)  # of all pairs of many models
def _sign_p(ahead: int, n: int) -> float:
    return float(stats.binomtest(ahead, n).pvalue) if n else 1.0


def wilcoxon(differences: Array) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; 1 where all differences are 0.

    Zeros are dropped. Ties up to 13 differences are tested by all changes of sign.
    """
    differences = np.asarray(differences, dtype=float)
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    tied = len(np.unique(np.abs(differences))) < len(differences)
    if tied and len(differences) <= 13:
        ranks = stats.rankdata(np.abs(differences))
        sums = np.abs(_signs(len(differences)) @ ranks)
        return float(np.mean(sums >= abs(float(np.sign(differences) @ ranks)) - 1e-9))
    return float(stats.wilcoxon(differences).pvalue)


def favours(differences: Array) -> int:
    """Return whom the signed ranks favour: 1, -1 or 0. It is the direction of Wilcoxon's test, and may not be that of the median.

    Examples
    --------
    >>> import numpy as np
    >>> favours(np.array([0.01, 0.02, -0.3])), favours(np.array([0.01, 0.02, -0.03]))
    (0, 0)
    >>> favours(np.array([0.01, 0.02, 0.03, -0.4, -0.5]))
    -1
    """
    differences = np.asarray(differences, dtype=float)
    differences = differences[differences != 0]
    return int(np.sign(np.sign(differences) @ stats.rankdata(np.abs(differences)))) if len(differences) else 0


@functools.lru_cache(maxsize=16)
def _signs(n: int) -> Array:
    """Return all changes of sign of n values, a row each."""
    return 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def signed_rank_probabilities(differences: Array, rope: float) -> Array:
    """Return the probabilities that a model is practically behind, equal and ahead on a further data set.

    The Bayesian signed-rank test (Benavoli et al. 2014, ICML): how the differences of data sets are spread is drawn from a
    Dirichlet process whose prior is half an observation of no difference, and in each draw the most probable of the three wins.

    Parameters
    ----------
    differences : array of shape (data sets,)
    rope : float
        Half the width of the region of practical equivalence; 0 for none.

    Returns
    -------
    array of shape (3,)
    """
    values = np.concatenate([[0.0], np.asarray(differences, dtype=float)])
    weights = np.ones(len(values))
    weights[0] = 0.5
    sums = values[:, np.newaxis] + values
    shares = np.random.RandomState(0).dirichlet(weights, _SAMPLES)
    ahead = _expected(_above(sums, 2 * rope), shares)
    behind = _expected(_above(-sums, 2 * rope), shares) if rope > 0 else 1.0 - ahead
    equal = 1.0 - behind - ahead if rope > 0 else np.zeros_like(ahead)
    winners = np.argmax(np.stack([behind, equal, ahead], axis=1), axis=1)
    return np.bincount(winners, minlength=3) / _SAMPLES


def _above(sums: Array, threshold: float) -> Array:
    """Return 1 where a sum is above a threshold, ½ where it is equal."""
    return (sums > threshold) + 0.5 * (sums == threshold)


def _expected(pairs: Array, shares: Array) -> Array:
    """Return Σ wᵢ wⱼ pairsᵢⱼ for each draw of shares w, shape (draws, n)."""
    return np.einsum("ni,ni->n", shares @ pairs, shares)


def median_interval(differences: Array) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median of differences, by percentiles; NaN for fewer than two."""
    if len(differences) < 2:
        return float("nan"), float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all differences may be equal
        interval = stats.bootstrap(
            (np.asarray(differences, dtype=float),), np.median, n_resamples=_RESAMPLES, confidence_level=1 - LEVEL,
            method="percentile", rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)


def detectable(error: float, degrees: int, level: float = LEVEL, power: float = POWER) -> float:
    """Return the difference that a two-sided t-test finds with this probability.

    Parameters
    ----------
    error : float
        The standard error of the mean difference.
    degrees : int
        Degrees of freedom.
    level, power : float
        Of the test.
    """
    if degrees < 1 or not np.isfinite(error):
        return float("nan")
    return float(error * _noncentrality(degrees, level, power))


@functools.lru_cache(maxsize=4096)
def _noncentrality(degrees: int, level: float, power: float) -> float:
    """Return how many standard errors from 0 a t-test with these degrees of freedom finds with this probability."""
    # The noncentral t by its definition, a normal over the root of a chi-square: scipy's own is NaN in its far tails.
    spread = np.sqrt(stats.chi2.ppf((np.arange(500) + 0.5) / 500, degrees) / degrees)
    bound = stats.t.ppf(1 - level / 2, degrees) * spread

    def lacking(shift: float) -> float:
        return float(np.mean(ndtr(shift - bound) + ndtr(-shift - bound))) - power

    return float(optimize.brentq(lacking, 0.0, bound[-1] + 40.0, xtol=1e-4))


def repeats_needed(
    difference: float, spread: float, folds: int, ratio: float, level: float = LEVEL, most: int = 1000
) -> int | None:
    """Return how many repeats of a k-fold cross-validation would find a difference with a probability of 80 %.

    The training sets overlap, so that the variance of a mean does not fall below n_test/n_train · s² for any number of repeats.

    Parameters
    ----------
    difference : float
    spread : float
        The standard deviation s of the paired differences.
    folds : int
    ratio : float
        n_test / n_train.
    level : float
        Of a single test.
    most : int
        Where the search ends.

    Returns
    -------
    int or None
        None if no number of repeats is enough.
    """

    def found_with(repeats: int) -> bool:
        splits = repeats * folds
        return detectable(spread * np.sqrt(1 / splits + ratio), splits - 1, level) <= abs(difference)

    if not found_with(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found_with(middle) else (middle, high)
    return high


def data_sets_needed(differences: Array, level: float = LEVEL, most: int = 10_000) -> int | None:
    """Return how many data sets like these would show their mean difference with a probability of 80 %.

    By the t-test's power with Wilcoxon's asymptotic relative efficiency of 3/π, and never fewer than 6.
    """
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1)) if len(differences) > 1 else np.nan
    if mean == 0 or not np.isfinite(spread):
        return None

    def found_with(n: int) -> bool:
        return detectable(spread / np.sqrt(n * 3 / np.pi), n - 1, level) <= abs(mean)

    if not found_with(most):
        return None
    low, high = FEWEST_DATA_SETS - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found_with(middle) else (middle, high)
    return high
