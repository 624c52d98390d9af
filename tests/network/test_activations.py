import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from nnexp import Activation
from nnexp.network import ACTIVATIONS
from nnexp.network.activations import LeakyReLU, PerNeuron, resolve_activation

# Each function as its source states it, from other libraries or plain arithmetic.
ORACLES = {
    "identity": lambda z: z,
    "sigmoid": lambda z: special.expit(z),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
    "gelu": lambda z: z * stats.norm.cdf(z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "sine": np.sin,
    "exponential": np.exp,
    "step": lambda z: np.where(z > 0, 1.0, 0.0),
    "softmax": lambda z: special.softmax(z, axis=-2),
}


def outputs(activation, z):
    z = np.asarray(z, dtype=float) if not isinstance(z, np.ndarray) else z.copy()
    out = np.empty_like(z)
    activation.forward(z, out)
    return out


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_function_that_its_name_stands_for(name):
    z = np.random.default_rng(0).normal(0, 2, (2, 5, 40))
    np.testing.assert_allclose(outputs(ACTIVATIONS[name], z), ORACLES[name](z), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if ACTIVATIONS[name].in_place])
def test_an_activation_that_says_so_may_write_over_its_input(name):
    z = np.random.default_rng(0).normal(0, 2, (5, 40))
    expected = outputs(ACTIVATIONS[name], z)
    ACTIVATIONS[name].forward(z, z)
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in ("exponential",)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_activation_overflows_at_large_inputs(name, dtype):
    z = np.array([[-1000.0, -50.0, 0.0, 50.0, 1000.0], [1000.0, 0.0, 0.0, -50.0, -1000.0]], dtype=dtype)
    with np.errstate(over="raise", invalid="raise"):
        a = outputs(ACTIVATIONS[name], z)
    assert np.isfinite(a).all()
    assert a.dtype == dtype
    low, high = ACTIVATIONS[name].limits
    assert a.min() >= low - 1e-6
    assert a.max() <= high + 1e-6


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6), st.floats(-500, 500))
def test_softmax_adds_up_to_1_and_ignores_a_common_shift(values, shift):
    z = np.array(values)[:, np.newaxis]
    a = outputs(ACTIVATIONS["softmax"], z)
    assert a.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(outputs(ACTIVATIONS["softmax"], z + shift), a, rtol=1e-9, atol=1e-12)


def test_a_mapping_and_a_list_give_each_neuron_its_activation():
    z = np.random.default_rng(0).normal(size=(2, 4, 3))
    mapped = outputs(resolve_activation({"tanh": 1, "relu": 3}, 4, "activation"), z)
    np.testing.assert_allclose(mapped[:, 0], np.tanh(z[:, 0]))
    np.testing.assert_allclose(mapped[:, 1:], np.maximum(z[:, 1:], 0))
    listed = outputs(resolve_activation(["relu", "sine", "relu", "sine"], 4, "activation"), z)
    np.testing.assert_allclose(listed[:, [0, 2]], np.maximum(z[:, [0, 2]], 0))
    np.testing.assert_allclose(listed[:, [1, 3]], np.sin(z[:, [1, 3]]))


def test_a_list_of_one_activation_is_that_activation():
    assert resolve_activation(["tanh", "tanh"], 2, "activation") == ACTIVATIONS["tanh"]


def test_per_neuron_activations_compare_and_pickle_by_what_they_are():
    one = resolve_activation({"tanh": 2, "relu": 2}, 4, "activation")
    other = resolve_activation(["tanh", "tanh", "relu", "relu"], 4, "activation")
    assert isinstance(one, PerNeuron)
    assert one == other
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.name == "tanh×2 + relu×2"


@pytest.mark.parametrize(
    ("entry", "error", "sentence"),
    [
        ("tahn", ValueError, "unknown activation 'tahn'. Did you mean 'tanh'?"),
        ({"tanh": 2, "relu": 1}, ValueError, "activations for 3 neurons, but the layer has 4"),
        (["tanh"] * 5, ValueError, "activations for 5 neurons, but the layer has 4"),
        ({"tanh": -1, "relu": 5}, ValueError, "must be in"),
        ({"tanh": 1.5, "relu": 2.5}, TypeError, "must be an integer"),
        (7, TypeError, "must be the name of an activation"),
        ({"name": "leaky_relu", "slop": 0.1}, ValueError, "has no parameter 'slop'. Did you mean 'slope'?"),
        ({"name": "leaky_relu", "slope": 2}, ValueError, "slope"),
    ],
)
def test_a_wrong_activation_gives_a_sentence(entry, error, sentence):
    with pytest.raises(error) as caught:
        resolve_activation(entry, 4, "activation")
    assert sentence in str(caught.value)


def test_a_mapping_with_a_name_sets_parameters():
    assert resolve_activation({"name": "leaky_relu", "slope": 0.2}, 4, "activation") == LeakyReLU(0.2)


@pytest.mark.parametrize(
    ("function", "derivative", "sentence"),
    [
        (np.tanh, lambda z, a: 1 - a, "The derivative of activation 'mine' is wrong"),
        (lambda z: z * np.nan, lambda z, a: a, "is not finite"),
        (lambda z: z[:2], lambda z, a: a, "fails on an array"),
        (lambda z: z, lambda z, a: np.ones(7), "fails on an array"),
        (lambda z: 1 / 0, lambda z, a: a, "division by zero"),
    ],
)
def test_an_activation_of_the_users_is_checked(function, derivative, sentence):
    with pytest.raises(ValueError) as caught:
        Activation.from_functions("mine", function, derivative)
    assert sentence in str(caught.value)


def test_a_function_of_the_users_cannot_overwrite_its_input():
    with pytest.raises(ValueError, match="read-only"):
        Activation.from_functions("mine", lambda z: np.tanh(z, out=z), lambda z, a: 1 - a**2)


class Square(Activation):
    """Says that it works in place, but its derivative needs the input."""

    name = "square"
    in_place = True

    def forward(self, z, out):
        np.multiply(z, z, out=out)

    def backward(self, gradient, z, a, out):
        np.multiply(2 * z, gradient, out=out)


def test_an_activation_that_wrongly_claims_to_work_in_place_is_caught():
    with pytest.raises(ValueError, match="The derivative of activation 'square' is wrong"):
        resolve_activation(Square(), 3, "activation")


class WrongSubclass(Activation):
    name = "wrong"

    def forward(self, z, out):
        np.multiply(z, z, out=out)

    def backward(self, gradient, z, a, out):
        np.multiply(gradient, z, out=out)


def test_a_class_of_the_users_is_checked_where_it_enters():
    with pytest.raises(ValueError, match="The derivative of activation 'wrong' is wrong"):
        resolve_activation(WrongSubclass(), 3, "activation")
