"""Intervals and sets against their definitions, sample by sample, and what they hold of new samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnexp.intervals import Unseen, intervals, sets


def interval_by_definition(predicted, scores, fold, coverage):
    """Barber et al. (2021), section 3.2: the ⌊α(n + 1)⌋-th smallest and the ⌈(1 - α)(n + 1)⌉-th smallest."""
    n = len(scores)
    k = int(np.ceil(coverage * (n + 1) - 1e-9))
    if k > n:
        return -np.inf, np.inf
    low = sorted(predicted[f] - r for f, r in zip(fold, scores, strict=True))
    high = sorted(predicted[f] + r for f, r in zip(fold, scores, strict=True))
    return low[n - k], high[k - 1]


def some(n, k, seed, n_outputs=1):
    rng = np.random.default_rng(seed)
    fold = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    return rng, fold, Unseen(np.abs(rng.normal(size=(n, n_outputs))).round(2), fold, np.ones(n))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(0, 60), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.integers(0, 1000))
def test_intervals_are_those_of_the_definition(k, more, coverage, seed):
    rng, fold, unseen = some(k + more, k, seed, 2)
    predicted = rng.normal(size=(k, 5, 2))
    ends = intervals(predicted, unseen, coverage)
    for i in range(5):
        for output in range(2):
            expected = interval_by_definition(predicted[:, i, output], unseen.scores[:, output], fold, coverage)
            np.testing.assert_allclose(ends[i, output], expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(0, 60), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.integers(0, 1000))
def test_sets_are_those_of_the_definition(k, more, coverage, seed):
    """Romano et al. (2020), equation 12: fewer than (1 - α)(n + 1) scores are smaller than that of the class."""
    rng, fold, _ = some(k + more, k, seed)
    n = len(fold)
    scores = rng.uniform(size=n).round(1)
    p = rng.dirichlet(np.ones(3), (k, 6)).round(1)
    out = sets(p, Unseen(scores[:, None], fold, np.ones(n)), coverage)
    for i in range(6):
        for c in range(3):
            smaller = sum(scores[j] < 1.0 - p[fold[j], i, c] for j in range(n))
            assert out[i, c] == (smaller < coverage * (n + 1) - 1e-9)


def test_a_weight_of_two_is_the_sample_twice_but_for_the_new_one():
    rng, fold, unseen = some(200, 4, 0)
    weight = rng.integers(1, 4, 200)
    predicted = rng.normal(size=(4, 10, 1))
    repeated = Unseen(unseen.scores.repeat(weight, axis=0), fold.repeat(weight), np.ones(weight.sum()))
    as_many = Unseen(unseen.scores, fold, weight.astype(float))
    np.testing.assert_allclose(intervals(predicted, as_many, 0.9), intervals(predicted, repeated, 0.9), atol=1e-9)


def test_too_few_samples_for_a_coverage_give_infinite_intervals_and_whole_sets():
    rng, fold, unseen = some(8, 2, 0)
    assert np.isinf(intervals(rng.normal(size=(2, 3, 1)), unseen, 0.95)).all()
    assert sets(rng.dirichlet(np.ones(3), (2, 4)), unseen, 0.95).all()
    assert np.isfinite(intervals(rng.normal(size=(2, 3, 1)), unseen, 0.8)).all()


def test_huge_and_tiny_numbers_keep_their_digits():
    for unit in (1e-250, 1e250):
        rng, _, unseen = some(100, 4, 0)
        scaled = Unseen(unseen.scores * unit, unseen.fold, unseen.weight)
        predicted = rng.normal(size=(4, 3, 1))
        np.testing.assert_allclose(
            intervals(predicted * unit, scaled, 0.9) / unit, intervals(predicted, unseen, 0.9), rtol=1e-9
        )


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_new_samples_are_held_as_often_as_promised(coverage):
    """Least squares by five folds of 100 samples, 400 times: CV+ holds about what it promises, and at least 1 - 2 α."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(400):
        X, noise = rng.normal(size=(120, 3)), rng.standard_t(3, 120)
        y, fold = X @ [1.0, -2.0, 0.5] + noise, np.arange(100) % 5
        of_folds = [np.linalg.lstsq(X[:100][fold != k], y[:100][fold != k], rcond=None)[0] for k in range(5)]
        off = np.abs(y[:100] - np.array([X[i] @ of_folds[fold[i]] for i in range(100)]))
        predicted = np.stack([X[100:] @ w for w in of_folds])[:, :, None]
        ends = intervals(predicted, Unseen(off[:, None], fold, np.ones(100)), coverage)[:, 0]
        hits.append(np.mean((ends[:, 0] <= y[100:]) & (y[100:] <= ends[:, 1])))
    assert coverage - 0.01 < np.mean(hits) < coverage + 0.03
