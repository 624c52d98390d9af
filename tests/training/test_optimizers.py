"""Each update rule against the equations of its paper, worked out step by step for one weight."""

import numpy as np
import pytest

from nnexp.training import OPTIMIZERS
from nnexp.training.optimizers import SGD, Adam, AdamW, Momentum, Nesterov, RMSprop

GRADIENTS = [0.5, -1.0, 2.0, 0.25]
RATE = 0.1


def run(optimizer):
    parameters, gradient = np.array([1.0]), np.empty(1)
    update = optimizer.bind(parameters, gradient, np.zeros((optimizer.n_moments, 1)))
    trace = []
    for t, g in enumerate(GRADIENTS, start=1):
        gradient[0] = g
        update(RATE, t)
        trace.append(parameters[0])
    return trace


def sgd():
    w = 1.0
    for g in GRADIENTS:
        w -= RATE * g
        yield w


def momentum(look_ahead):
    w, v = 1.0, 0.0
    for g in GRADIENTS:
        v = 0.9 * v - RATE * g
        w += 0.9 * v - RATE * g if look_ahead else v
        yield w


def rmsprop():
    w, s = 1.0, 0.0
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g * g
        w -= RATE * g / (np.sqrt(s) + 1e-8)
        yield w


def adam(beta_2=0.999):
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = 0.9 * m + 0.1 * g, beta_2 * v + (1 - beta_2) * g * g
        w -= RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - beta_2**t)) + 1e-8)
        yield w


CASES = [
    (SGD(), sgd),
    (Momentum(), lambda: momentum(False)),
    (Nesterov(), lambda: momentum(True)),
    (RMSprop(), rmsprop),
    (Adam(), adam),
    (Adam(beta_2=0.95), lambda: adam(beta_2=0.95)),
    (AdamW(weight_decay=0.1), adam),  # the decay itself is made by the epoch: see test_backprop.py
]


@pytest.mark.parametrize(("optimizer", "equations"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_updates_follow_the_equations(optimizer, equations):
    np.testing.assert_allclose(run(optimizer), list(equations()), rtol=1e-12)


def test_every_optimizer_is_in_the_table():
    assert {type(optimizer).name for optimizer, _ in CASES} == set(OPTIMIZERS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Momentum(1.0),
        lambda: Adam(beta_1=-0.1),
        lambda: Adam(epsilon=0),
        lambda: AdamW(weight_decay=-1),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="must be in"):
        make()
