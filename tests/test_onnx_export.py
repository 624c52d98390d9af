"""The exported graph against the model itself, run by onnxruntime."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_linnerud, make_multilabel_classification
from sklearn.preprocessing import scale

from nnexp import Activation, BackpropMLP
from nnexp.network import ACTIVATIONS
from nnexp.network.activations import Tanh
from tests.algorithms import small

IRIS = scale(load_iris().data), load_iris().target
FEW = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0}


def run(model, X):
    graph = model.to_onnx()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X.astype(np.float32)}), strict=True))


@pytest.mark.parametrize("activation", [n for n in ACTIVATIONS if n != "softmax"])
def test_every_activation(activation):
    algorithm = "genetic" if activation == "step" else "backprop"
    model = BackpropMLP(**FEW, activation=activation, algorithm=algorithm).fit(*IRIS)
    found = run(model, IRIS[0])
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(IRIS[0]), atol=1e-5)
    np.testing.assert_array_equal(found["label"], model.predict(IRIS[0]))


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": [{"tanh": 3, "sine": 3}, ["relu", "gelu", "relu", "tanh", "silu"]]},
        {"connections": "skip"},
        {"connections": 0.5},
        {"bias": False},
        {"n_networks": 4},
        {"output_activation": "sigmoid"},
        {"error_function": "hinge"},
        {"hidden_layer_sizes": ()},
        {"algorithm": small("structures"), "max_iter": 20},
        {"algorithm": small("structures"), "max_iter": 20, "n_networks": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_networks_of_every_kind(settings, classes):
    X, y = IRIS[0], np.array(["no", "yes", "perhaps"])[IRIS[1] % classes]
    model = BackpropMLP(**FEW | settings).fit(X, y)
    found = run(model, X)
    np.testing.assert_array_equal(found["label"], model.predict(X))
    if "scores" in found:
        scores = found["scores"][:, 0] if classes == 2 else found["scores"]
        np.testing.assert_allclose(scores, model.decision_function(X), atol=1e-5)
    else:
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("data", [load_diabetes, load_linnerud])
def test_regressions_come_out_in_the_units_of_y(data, n_networks):
    X, y = data(return_X_y=True)
    model = BackpropMLP("regression", **FEW, n_networks=n_networks).fit(scale(X), y)
    found = run(model, scale(X))["prediction"]
    np.testing.assert_allclose(found.reshape(y.shape), model.predict(scale(X)), rtol=1e-5)


def test_labels():
    X, Y = make_multilabel_classification(random_state=0)
    model = BackpropMLP(**FEW).fit(X, Y)
    found = run(model, X)
    np.testing.assert_array_equal(found["labels"], model.predict(X))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-5)


def test_the_file_is_the_graph(tmp_path):
    model = BackpropMLP(**FEW).fit(*IRIS)
    graph = model.to_onnx(tmp_path / "iris.onnx")
    assert (tmp_path / "iris.onnx").read_bytes() == graph.SerializeToString()


def test_what_cannot_be_exported_is_named():
    own = Activation.from_functions("cube", lambda z: z**3, lambda z, a: 3 * z**2)
    with pytest.raises(ValueError, match="'cube' has no counterpart in ONNX"):
        BackpropMLP(**FEW, activation=own).fit(*IRIS).to_onnx()
    with pytest.raises(ValueError, match="not fitted"):
        BackpropMLP().to_onnx()


@dataclass(frozen=True)
class Twice(Tanh):
    """Computes something else, and has the form of what it is made of no more."""

    name = "twice"

    def forward(self, z, out):
        np.copyto(out, 2 * np.tanh(z))

    def backward(self, gradient, z, a, out):
        np.copyto(out, gradient * (2 - a * a / 2))


@dataclass(frozen=True)
class WithForm(Twice):
    """An activation of one's own that says what it is in ONNX."""

    name = "with_form"

    def onnx(self, graph, z):
        return graph.scaled(graph.node("Tanh", z), 2.0)


def test_an_activation_of_ones_own_is_exported_where_it_says_its_form():
    with pytest.raises(ValueError, match="'twice' has no counterpart in ONNX"):
        BackpropMLP(**FEW, activation=Twice()).fit(*IRIS).to_onnx()
    model = BackpropMLP(**FEW, activation=WithForm()).fit(*IRIS)
    np.testing.assert_allclose(run(model, IRIS[0])["probabilities"], model.predict_proba(IRIS[0]), atol=1e-5)


@pytest.mark.parametrize(("mean", "spread"), [(1e8, 1.0), (0.0, 1e40), (0.0, 1e-46)])
@pytest.mark.parametrize("n_networks", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_regression_leaves_in_the_units_of_y(mean, spread, n_networks, dtype):
    X = IRIS[0]
    y = mean + spread * X[:, 0]
    model = BackpropMLP("regression", **FEW, dtype=dtype, n_networks=n_networks).fit(X, y)
    found = run(model, X)["prediction"][:, 0]
    assert found.dtype == np.float64
    np.testing.assert_allclose((found - mean) / spread, (model.predict(X) - mean) / spread, atol=1e-4)


@pytest.mark.parametrize(
    "classes",
    [np.array([0.0, 1.0, 2.0]), np.array([-1.0, 0.0, 7.0]), np.array([0, 1, 7]), np.array([1.0, 2.0, 3.0], dtype=np.float32),
     np.array(["a", "b", "0.0"]), np.array(["a", "b", "0.0"], dtype=object)],
    ids=str,
)  # fmt: skip
def test_classes_stay_what_they_are(classes):
    X, y = IRIS[0], classes[IRIS[1]]
    model = BackpropMLP(**FEW).fit(X, y)
    found, expected = run(model, X)["label"], model.predict(X)
    assert found.tolist() == expected.tolist()
    assert (found.dtype.kind == "O") == isinstance(classes[0], str)
