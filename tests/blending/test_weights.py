"""The weights of a blend, against exhaustive search and scikit-learn's losses."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error

from nnexp.blending.weights import Evidence, greedy_weights
from nnexp.targets import Classes, Labels, Numbers


def of_classes(n_predictors, n, n_classes, seed, weight=None):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    expected = np.eye(n_classes)[y]
    values = [rng.dirichlet(np.ones(n_classes), n) * 0.7 + 0.3 * expected for _ in range(n_predictors)]
    return Evidence.of(values, Classes(np.arange(n_classes), False), expected, weight), values, y


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_classes_are_log_loss(weighted):
    weight = np.random.default_rng(1).uniform(0, 2, 60) if weighted else None
    evidence, values, y = of_classes(3, 60, 4, 0, weight)
    expected = [log_loss(y, part, sample_weight=weight, labels=range(4)) for part in values]
    np.testing.assert_allclose(evidence.losses(evidence.of_each), expected)


def test_losses_of_labels_are_the_mean_of_their_log_losses():
    rng = np.random.default_rng(0)
    y, values = rng.integers(0, 2, (50, 3)), [rng.uniform(0.05, 0.95, (50, 3)) for _ in range(2)]
    evidence = Evidence.of(values, Labels(np.arange(3)), y.astype(float), None)
    expected = [np.mean([log_loss(y[:, i], part[:, i]) for i in range(3)]) for part in values]
    np.testing.assert_allclose(evidence.losses(evidence.of_each), expected)


def test_losses_of_numbers_are_squared_errors_in_units_of_the_variance():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(5, 100, (40, 2)), rng.uniform(0, 2, 40)
    values = [y + rng.normal(0, 30, y.shape) for _ in range(3)]
    evidence = Evidence.of(values, Numbers(np.zeros(2), np.ones(2), False), y, weight)
    variance = np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    expected = [
        np.mean(mean_squared_error(y, part, sample_weight=weight, multioutput="raw_values") / variance)
        for part in values
    ]
    np.testing.assert_allclose(evidence.losses(evidence.of_each), expected)


def test_a_constant_target_has_a_loss():
    evidence = Evidence.of([np.ones((5, 1))], Numbers(np.zeros(1), np.ones(1), True), np.ones((5, 1)), None)
    assert evidence.losses(evidence.of_each).tolist() == [0.0]


def test_one_who_rules_out_what_happens_costs_a_finite_amount():
    evidence = Evidence.of([np.array([[1.0, 0.0]])], Classes(np.arange(2), False), np.array([[0.0, 1.0]]), None)
    assert evidence.losses(evidence.of_each)[0] == pytest.approx(-np.log(1e-15))


@pytest.mark.parametrize("seed", range(5))
def test_two_picks_are_the_best_one_and_the_best_beside_it(seed):
    evidence, values, y = of_classes(5, 40, 3, seed)
    first = min(range(5), key=lambda i: log_loss(y, values[i], labels=range(3)))
    second = min(range(5), key=lambda i: log_loss(y, (values[first] + values[i]) / 2, labels=range(3)))
    expected = np.bincount([first, second], minlength=5) / 2
    assert greedy_weights(evidence, 2).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_many_picks_come_close_to_the_best_weights_of_a_grid(seed):
    evidence, _, _ = of_classes(3, 80, 3, seed)
    grid = [(a, b, 20 - a - b) for a, b in itertools.product(range(21), repeat=2) if a + b <= 20]
    best = min(float(evidence.losses(np.tensordot(np.array(w) / 20, evidence.of_each, 1)[np.newaxis])[0]) for w in grid)
    weights = greedy_weights(evidence, 20)
    reached = float(evidence.losses(np.tensordot(weights, evidence.of_each, 1)[np.newaxis])[0])
    assert best <= reached + 1e-12
    assert reached < best + 0.002


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), st.integers(2, 4), st.integers(1, 12), st.integers(0, 1000))
def test_weights_are_shares_and_the_blend_is_no_worse_than_the_best_alone(n_predictors, n, n_classes, picks, seed):
    evidence, _, _ = of_classes(n_predictors, n, n_classes, seed)
    weights = greedy_weights(evidence, picks)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights * picks, np.round(weights * picks), atol=1e-9)
    first = greedy_weights(evidence, 1)
    assert first.argmax() == evidence.losses(evidence.of_each).argmin()


def test_a_weight_of_two_is_the_sample_twice():
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 4, 50)
    y, values = rng.integers(0, 3, 50), [rng.dirichlet(np.ones(3), 50) for _ in range(4)]
    target = Classes(np.arange(3), False)
    weighted = Evidence.of(values, target, np.eye(3)[y], weight.astype(float))
    repeated = Evidence.of([part.repeat(weight, axis=0) for part in values], target, np.eye(3)[y.repeat(weight)], None)
    np.testing.assert_allclose(weighted.losses(weighted.of_each), repeated.losses(repeated.of_each))
    assert greedy_weights(weighted, 20).tolist() == greedy_weights(repeated, 20).tolist()
