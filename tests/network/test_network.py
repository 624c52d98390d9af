import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier, MLPRegressor

from nnexp import Network
from nnexp.network import INITIALIZERS

RNG = np.random.default_rng(0)


def parameters_of(network, mlp):
    """Put the weights of scikit-learn's MLP into a row of parameters."""
    parameters = np.zeros(network.n_parameters)
    for weights, coefs, intercepts in zip(network.weights(parameters), mlp.coefs_, mlp.intercepts_, strict=True):
        weights[:-1], weights[-1] = coefs, intercepts
    return parameters


@pytest.mark.parametrize(
    ("own", "theirs"), [("tanh", "tanh"), ("relu", "relu"), ("sigmoid", "logistic"), ("identity", "identity")]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_forward_equals_scikit_learns_mlp_on_its_weights(own, theirs):
    X, y = RNG.normal(size=(40, 4)), RNG.integers(0, 3, 40)
    mlp = MLPClassifier((6, 5), activation=theirs, max_iter=3, random_state=0).fit(X, y)
    network = Network((4, 6, 5, 3), own, "softmax")
    np.testing.assert_allclose(network.forward(parameters_of(network, mlp), X), mlp.predict_proba(X), rtol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "identity"])
def test_error_and_gradient_equal_scikit_learns_mlp(kind):
    X = RNG.normal(size=(30, 4))
    if kind == "identity":
        y = RNG.normal(size=(30, 1))
        mlp, targets, error_function = (
            MLPRegressor(hidden_layer_sizes=(6, 5), activation="tanh"),
            y,
            "squared_error",
        )
    else:
        n_classes = 3 if kind == "softmax" else 2
        y = RNG.integers(0, n_classes, 30)
        mlp = MLPClassifier((6, 5), activation="tanh")
        targets = np.eye(3)[y] if kind == "softmax" else y[:, np.newaxis].astype(float)
        error_function = "cross_entropy" if kind == "softmax" else "binary_cross_entropy"
    mlp.set_params(max_iter=2, alpha=0.0, random_state=0).fit(X, y.ravel())
    network = Network((4, 6, 5, targets.shape[1]), "tanh", kind)
    error, gradient = network.error_and_gradient(parameters_of(network, mlp), X, targets, error_function)

    activations = [X] + [np.empty((30, k)) for k in (6, 5, targets.shape[1])]
    deltas = [np.empty_like(a) for a in activations[1:]]
    coefs = [np.empty_like(c) for c in mlp.coefs_]
    intercepts = [np.empty_like(c) for c in mlp.intercepts_]
    loss, *_ = mlp._backprop(X, targets, np.ones(30), activations, deltas, coefs, intercepts)
    assert error == pytest.approx(loss, rel=1e-9)
    for got, coef, intercept in zip(network.weights(gradient), coefs, intercepts, strict=True):
        np.testing.assert_allclose(got[:-1], coef, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(got[-1], intercept, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("connections", ["full", "skip", 0.5])
@pytest.mark.parametrize("bias", [True, False])
def test_a_stack_computes_what_each_network_computes_alone(connections, bias):
    network = Network((3, 6, 4, 2), ["relu", "gelu"], connections=connections, bias=bias)
    parameters = network.initialize(8, RNG)
    X, Y = RNG.normal(size=(8, 20, 3)), RNG.normal(size=(8, 20, 2))
    outputs = network.forward(parameters, X)
    errors, gradients = network.error_and_gradient(parameters, X, Y, "squared_error")
    shared = network.forward(parameters, X[0])
    for i in range(8):
        np.testing.assert_allclose(outputs[i], network.forward(parameters[i], X[i]), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(shared[i], network.forward(parameters[i], X[0]), rtol=1e-10, atol=1e-13)
        error, gradient = network.error_and_gradient(parameters[i], X[i], Y[i], "squared_error")
        assert errors[i] == pytest.approx(error)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-9, atol=1e-13)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8).filter(any))
@settings(max_examples=40)
def test_an_integer_weight_equals_repeated_samples(counts):
    rng = np.random.default_rng(1)
    network = Network((2, 3, 1))
    parameters = network.initialize(2, rng)
    X, Y = rng.normal(size=(len(counts), 2)), rng.normal(size=(len(counts), 1))
    weighted = network.error_and_gradient(parameters, X, Y, "squared_error", counts)
    repeated = network.error_and_gradient(
        parameters, np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0), "squared_error"
    )
    np.testing.assert_allclose(weighted[0], repeated[0], rtol=1e-12)
    np.testing.assert_allclose(weighted[1], repeated[1], rtol=1e-10, atol=1e-14)


def test_weights_that_are_all_zero_give_no_gradient():
    network = Network((2, 3, 1))
    error, gradient = network.error_and_gradient(
        network.initialize(1, RNG), [[1.0, 2.0]], [[1.0]], "squared_error", [0.0]
    )
    assert error == 0
    assert not gradient.any()


def test_stochastic_gradients_average_to_the_batch_gradient():
    network = Network((3, 5, 2), output_activation="softmax")
    parameters = network.initialize(1, RNG)[0]
    X, Y = RNG.normal(size=(12, 3)), np.eye(2)[RNG.integers(0, 2, 12)]
    _, batch = network.error_and_gradient(parameters, X, Y, "cross_entropy")
    each = [
        network.error_and_gradient(parameters, x[None], y[None], "cross_entropy")[1] for x, y in zip(X, Y, strict=True)
    ]
    np.testing.assert_allclose(np.mean(each, axis=0), batch, rtol=1e-10, atol=1e-14)


def test_cross_entropy_is_right_for_targets_that_do_not_add_up_to_1():
    network = Network((2, 3), output_activation="softmax")
    parameters = network.initialize(1, RNG)[0]
    X, Y = RNG.normal(size=(4, 2)), np.full((4, 3), 0.9)
    error, gradient = network.error_and_gradient(parameters, X, Y, "cross_entropy")
    assert error == pytest.approx(-(Y * np.log(network.forward(parameters, X))).sum(axis=1).mean())
    step = 1e-6 * np.ones_like(parameters) * RNG.normal(size=parameters.shape)
    rise = np.subtract(*[network.error_and_gradient(parameters + s * step, X, Y, "cross_entropy")[0] for s in (1, -1)])
    assert rise == pytest.approx(2 * gradient @ step, rel=1e-5)


def test_targets_outside_the_domain_of_the_error_function_are_refused():
    network = Network((2, 1), output_activation="sigmoid")
    with pytest.raises(ValueError, match=r"needs Y in \[0, 1\]. Got values from 3 to 3"):
        network.error_and_gradient(np.zeros(3), [[0, 0]], [[3]], "binary_cross_entropy")


def test_weights_are_views():
    network = Network((2, 3, 1))
    parameters = np.zeros((4, network.n_parameters))
    network.weights(parameters)[1][2, 3, 0] = 7
    assert parameters[2, -1] == 7


def test_network_i_of_a_stack_starts_the_same_in_a_stack_of_any_size():
    network = Network((2, 3, 1))
    five = network.initialize(5, np.random.default_rng(3))
    np.testing.assert_array_equal(five[:2], network.initialize(2, np.random.default_rng(3)))


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot_uniform", 2 / (300 + 200)),
        ("glorot_normal", 2 / (300 + 200)),
        ("he_uniform", 2 / 300),
        ("he_normal", 2 / 300),
        ("lecun_normal", 1 / 300),
    ],
)
def test_first_weights_have_the_variance_of_their_initializer(name, variance):
    network = Network((300, 200, 1), initializer=name)
    weights = network.weights(network.initialize(1, np.random.default_rng(0)))[0][0]
    assert weights[:-1].var() == pytest.approx(variance, rel=0.03)
    assert not weights[-1].any()
    limit = np.sqrt(3 * variance)
    assert (np.abs(weights).max() <= limit) == name.endswith("uniform")


def test_every_initializer_has_a_test_of_its_variance():
    assert set(INITIALIZERS) == {
        "auto",
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_normal",
    }


def test_auto_initializes_each_neuron_by_its_activation():
    network = Network((100, 4, 1), [{"relu": 2, "selu": 2}])
    scale = network.weights(network.initial_scale)[0]
    np.testing.assert_allclose(scale[0], [np.sqrt(2 / 100)] * 2 + [np.sqrt(1 / 100)] * 2)


def test_equal_descriptions_are_equal_and_survive_a_pickle():
    network = Network((2, 3, 1), {"tanh": 2, "relu": 1}, connections=0.5, random_state=4)
    assert network == Network((2, 3, 1), {"tanh": 2, "relu": 1}, connections=0.5, random_state=4)
    assert network != Network((2, 3, 1), "tanh", connections=0.5, random_state=4)
    assert pickle.loads(pickle.dumps(network)) == network
    assert len({network, pickle.loads(pickle.dumps(network))}) == 1


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda n: n.forward(np.zeros(5), [[0, 0]]), ValueError, "parameters must have the shape (P, 13) or (13,)"),
        (lambda n: n.forward(np.zeros(13), [[0, 0, 0]]), ValueError, "X must have the shape (n, 2)"),
        (lambda n: n.forward(np.zeros((4, 13)), np.zeros((3, 5, 2))), ValueError, "samples for each of the 4 networks"),
        (lambda n: n.forward(np.zeros(13), np.zeros((0, 2))), ValueError, "X holds no sample"),
        (lambda n: n.error_and_gradient(np.zeros(13), [[0, 0]], [[0, 0]], "squared_error"), ValueError, "Y must have the shape (1, 1)"),
        (lambda n: n.error_and_gradient(np.zeros(13), [[0, 0]], [[0]], "squared_error", [1, 2]), ValueError, "sample_weight must have the shape (1,)"),
        (lambda n: n.error_and_gradient(np.zeros(13), [[0, 0]], [[0]], "squared_error", [-1]), ValueError, "not negative"),
        (lambda n: n.initialize(0, np.random.default_rng()), ValueError, "n_networks must be in [1, inf)"),
        (lambda n: Network((2,)), ValueError, "at least the inputs and the outputs"),
        (lambda n: Network((2, 0, 1)), ValueError, "Each of layer_sizes must be in [1, inf)"),
        (lambda n: Network("abc"), TypeError, "sequence of integers"),
        (lambda n: Network((2, 3, 3, 1), ["tanh"]), ValueError, "one entry for each hidden layer: 2"),
        (lambda n: Network((2, 3, 1), bias="yes"), TypeError, "bias must be True or False"),
        (lambda n: Network((2, 3, 1), initializer="he"), ValueError, "unknown initializer 'he'"),
    ],
)  # fmt: skip
def test_wrong_arguments_give_a_sentence(call, error, sentence):
    with pytest.raises(error) as caught:
        call(Network((2, 3, 1)))
    assert sentence in str(caught.value)
