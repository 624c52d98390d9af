"""The 2-2-2 network with sigmoid neurons and bias neurons, every number worked out from the chain rule here.

in_h1 = i1·w1 + i2·w3 + w5        in_o1 = h1·w7 + h2·w9  + w11
in_h2 = i1·w2 + i2·w4 + w6        in_o2 = h1·w8 + h2·w10 + w12
error = ½ (expected_o1 − o1)² + ½ (expected_o2 − o2)²
"""

import math

import numpy as np
import pytest

from nnexp import BackpropMLP, Network

W = {
    1: 0.15, 2: 0.25, 3: 0.20, 4: 0.30, 5: 0.35, 6: 0.30,
    7: 0.40, 8: 0.50, 9: 0.45, 10: 0.55, 11: 0.60, 12: 0.65,
}  # fmt: skip
I1, I2 = 0.05, 0.10
E1, E2 = 0.01, 0.99
RATE = 0.5


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


H1 = sigmoid(I1 * W[1] + I2 * W[3] + W[5])
H2 = sigmoid(I1 * W[2] + I2 * W[4] + W[6])
O1 = sigmoid(H1 * W[7] + H2 * W[9] + W[11])
O2 = sigmoid(H1 * W[8] + H2 * W[10] + W[12])
ERROR = 0.5 * (E1 - O1) ** 2 + 0.5 * (E2 - O2) ** 2

# The derivative of the error by the input of each output neuron, then of each hidden neuron.
D_O1 = (O1 - E1) * O1 * (1 - O1)
D_O2 = (O2 - E2) * O2 * (1 - O2)
D_H1 = (D_O1 * W[7] + D_O2 * W[8]) * H1 * (1 - H1)
D_H2 = (D_O1 * W[9] + D_O2 * W[10]) * H2 * (1 - H2)
DERIVATIVES = {
    1: D_H1 * I1, 2: D_H2 * I1, 3: D_H1 * I2, 4: D_H2 * I2, 5: D_H1, 6: D_H2,
    7: D_O1 * H1, 8: D_O2 * H1, 9: D_O1 * H2, 10: D_O2 * H2, 11: D_O1, 12: D_O2,
}  # fmt: skip

NETWORK = Network((2, 2, 2), activation="sigmoid", output_activation="sigmoid")


def to_parameters(numbered):
    """Put w1 … w12 into the row of parameters through its named views."""
    parameters = np.zeros(NETWORK.n_parameters)
    hidden, output = NETWORK.weights(parameters)
    hidden[:] = [[numbered[1], numbered[2]], [numbered[3], numbered[4]], [numbered[5], numbered[6]]]
    output[:] = [[numbered[7], numbered[8]], [numbered[9], numbered[10]], [numbered[11], numbered[12]]]
    return parameters


def test_forward_values_are_those_worked_out_by_hand():
    outputs = NETWORK.forward(to_parameters(W), [[I1, I2]])
    np.testing.assert_allclose(outputs, [[O1, O2]], rtol=1e-14)


def test_error_and_all_twelve_derivatives_are_those_of_the_chain_rule():
    error, gradient = NETWORK.error_and_gradient(to_parameters(W), [[I1, I2]], [[E1, E2]], "squared_error")
    assert error == pytest.approx(ERROR, rel=1e-14)
    np.testing.assert_allclose(gradient, to_parameters(DERIVATIVES), rtol=1e-13)


def test_one_step_of_descent_gives_the_weights_updated_by_hand():
    model = BackpropMLP(
        "regression", encoding="none", hidden_layer_sizes=(2,), activation="sigmoid", output_activation="sigmoid",
        optimizer="sgd", learning_rate=RATE, descent="stochastic", l2=0, max_iter=1, dtype="float64",
        warm_start=True, schedule="constant", random_state=0,
    )  # fmt: skip
    X, Y = np.array([[I1, I2]]), np.array([[E1, E2]])
    model.fit(X, Y)
    model._left.training.state.arrays["parameters"][0] = to_parameters(W)
    model.fit(X, Y)
    updated = {i: W[i] - RATE * DERIVATIVES[i] for i in W}
    np.testing.assert_allclose(model.parameters_[0], to_parameters(updated), rtol=1e-13)
