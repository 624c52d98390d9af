"""Finite differences for every activation × error function × connection pattern × outputs × stack × bias."""

import itertools

import numpy as np
import pytest

from nnexp import Activation, ErrorFunction, Network
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS
from nnexp.network.activations import OneOf

MASKS = {
    "input -> hidden_1": np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1], [1, 1, 0, 0, 1]]),
    "hidden_1 -> hidden_2": np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 1]]),
    "input -> hidden_2": np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 1]]),
    "hidden_2 -> output": "full",
    "hidden_1 -> output": "full",
}
CONNECTIONS = {"full": "full", "skip": "skip", "sparse": 0.6, "masks": MASKS}
SMOOTH_ERRORS = [name for name in ERROR_FUNCTIONS if ERROR_FUNCTIONS[name].differentiable]
DIFFERENTIABLE = [name for name in ACTIVATIONS if ACTIVATIONS[name].differentiable]
N = 5


def outputs_fit(activation, error_function):
    low, high = error_function.outputs
    return activation.limits[0] >= low and activation.limits[1] <= high


def difference_quotient(function, parameters, direction):
    """Central differences of fourth order."""
    h = 1e-3

    def at(k):
        return function(parameters + k * h * direction)

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


def crosses_a_kink(function, parameters, direction):
    """Whether a kink lies within the differences: the second differences at two sides disagree."""
    h = 1e-3
    values = [function(parameters + k * h * direction) for k in range(-3, 4)]
    second = np.diff(values, n=2, axis=0)
    spread = np.ptp(second, axis=0)
    return spread > 1e-8 + 0.02 * np.abs(second).max(axis=0)


def check(network, error_function, n_networks, seed):
    rng = np.random.default_rng(seed)
    n_outputs = network.n_outputs
    present = 1.0 if network.mask is None else network.mask
    X = rng.normal(size=(N, network.n_inputs))
    Y = rng.uniform(0.1, 0.9, (N, n_outputs))
    if network.activations[-1].name == "softmax":
        Y /= Y.sum(axis=1, keepdims=True)
    weight = rng.uniform(0.5, 2, N)
    checked = np.zeros(n_networks, dtype=int)
    for _ in range(60):
        parameters = network.initialize(n_networks, rng) * 0.7 + rng.normal(0, 0.1, network.n_parameters) * present
        _, gradient = network.error_and_gradient(parameters, X, Y, error_function, weight)
        if network.mask is not None:
            assert not gradient[:, ~network.mask].any()
        direction = rng.normal(size=parameters.shape) * present
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)

        def error(p):
            return network.error_and_gradient(p, X, Y, error_function, weight)[0]

        expected = difference_quotient(error, parameters, direction)
        got = (gradient * direction).sum(axis=1)
        smooth = ~crosses_a_kink(error, parameters, direction)
        scale = np.maximum(np.abs(gradient * direction).sum(axis=1), 1e-4)
        np.testing.assert_array_less(np.abs(got - expected)[smooth], 1e-6 * scale[smooth])
        checked += smooth
        if (checked >= 1).all():
            return
    pytest.fail("every draw met a kink")


def shapes():
    """Return numbers of outputs and networks, with and without a bias: each value quickly, all eight together slowly."""
    quick = [(1, 4, True), (3, 1, False)]
    both = itertools.product([1, 3], [1, 4], [True, False])
    return [pytest.param(*each, marks=() if each in quick else pytest.mark.slow) for each in both]


@pytest.mark.parametrize(("n_outputs", "n_networks", "bias"), shapes())
@pytest.mark.parametrize("pattern", CONNECTIONS)
@pytest.mark.parametrize("error_name", SMOOTH_ERRORS)
def test_gradient_equals_finite_differences(error_name, pattern, n_outputs, n_networks, bias):
    error_function = ERROR_FUNCTIONS[error_name]
    for number, name in enumerate(DIFFERENTIABLE):
        network = Network((3, 5, 4, n_outputs), name, error_function.output_activation, CONNECTIONS[pattern], bias)
        check(network, error_function, n_networks, seed=number)


@pytest.mark.parametrize("output", DIFFERENTIABLE)
@pytest.mark.parametrize("error_name", SMOOTH_ERRORS)
def test_gradient_is_right_behind_every_output_activation_that_fits(output, error_name):
    activation, error_function = ACTIVATIONS[output], ERROR_FUNCTIONS[error_name]
    if not outputs_fit(activation, error_function):
        with pytest.raises(ValueError, match="is defined for outputs in"):
            Network((3, 4, 3), "tanh", output).error_and_gradient(
                np.zeros(31), np.zeros((1, 3)), np.zeros((1, 3)), error_name
            )
        return
    check(Network((3, 4, 3), "tanh", output), error_function, 2, seed=1)


def test_gradient_is_right_for_neurons_with_activations_of_their_own():
    scattered = ["tanh", "relu", "tanh", "silu", "sine"]
    network = Network((3, 5, 4, 2), [scattered, {"gelu": 1, "softmax": 3}], connections="skip")
    check(network, ERROR_FUNCTIONS["squared_error"], 3, seed=2)


def test_gradient_is_right_where_each_network_chooses_the_activations_of_its_neurons():
    among = OneOf(tuple(ACTIVATIONS[name] for name in ("tanh", "relu", "silu", "sine")))
    network = Network((3, 5, 4, 2), "tanh", connections="skip").evolvable(among)
    check(network, ERROR_FUNCTIONS["squared_error"], 4, seed=2)


def test_gradient_is_right_for_parts_of_the_users():
    softsign = Activation.from_functions("softsign", lambda z: z / (1 + np.abs(z)), lambda z, a: (1 - np.abs(a)) ** 2)
    fourth = ErrorFunction.from_functions("fourth", lambda a, y: (a - y) ** 4, lambda a, y: 4 * (a - y) ** 3)
    check(Network((3, 5, 4, 2), softsign), fourth, 2, seed=3)


@pytest.mark.parametrize("shared", [True, False], ids=["shared samples", "samples of their own"])
def test_a_pass_in_many_pieces_equals_one_in_one_piece(shared, monkeypatch):
    from nnexp.network.pieces import PiecewisePass

    rng = np.random.default_rng(0)
    network = Network((3, 5, 4, 2), "tanh", connections="skip")
    parameters = network.initialize(7, rng)
    X = rng.normal(size=(300, 3) if shared else (7, 300, 3))
    Y = rng.normal(size=(300, 2) if shared else (7, 300, 2))
    weight = rng.uniform(size=300)
    monkeypatch.setattr(PiecewisePass, "PIECE_BYTES", 1 << 30)
    whole = network.error_and_gradient(parameters, X, Y, "squared_error", weight)
    forward = network.forward(parameters, X)
    monkeypatch.setattr(PiecewisePass, "PIECE_BYTES", 1 << 14)
    pieces = network.error_and_gradient(parameters, X, Y, "squared_error", weight)
    np.testing.assert_allclose(pieces[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(network.forward(parameters, X), forward, rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity", "sine"])  # some are computed in place
@pytest.mark.parametrize("connections", CONNECTIONS)
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_derivative_by_the_inputs_equals_finite_differences(activation, connections, output, bias):
    rng = np.random.default_rng(1)
    network = Network((3, 5, 4, 2), activation, output, CONNECTIONS[connections], bias, random_state=0)
    parameters = network.initialize(3, rng)
    for X in (rng.normal(size=(70, 3)), rng.normal(size=(3, 7, 3))):
        found = network.jacobian(parameters, X)
        assert found.shape == (3, X.shape[-2], 2, 3)
        for i, direction in enumerate(np.eye(3)):
            expected = difference_quotient(lambda own: network.forward(parameters, own), X, direction)
            np.testing.assert_allclose(found[..., i], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(network.jacobian(parameters[0], X[0]), found[0])
