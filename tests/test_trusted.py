"""Models of all kinds go through skops with the types that nnexp lists, and with no others."""

import importlib

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import (
    TRUSTED_TYPES,
    Activation,
    BackpropMLP,
    BackpropMLPClassifier,
    BackpropMLPRegressor,
    Blend,
    GeneticAlgorithm,
    TabularMLP,
)
from nnexp.network import ACTIVATIONS, INITIALIZERS
from nnexp.training import OPTIMIZERS, SCHEDULES
from tests.algorithms import EVERY, small

FEW = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
MODELS = [
    *[(BackpropMLP(algorithm=small(name), **FEW), IRIS) for name in EVERY],
    *[(BackpropMLP(activation=name, **FEW), IRIS) for name in ACTIVATIONS if name not in ("softmax", "step")],
    *[(BackpropMLP(optimizer=OPTIMIZERS[name], **FEW), IRIS) for name in OPTIMIZERS],
    *[(BackpropMLP(schedule=SCHEDULES[name], **FEW), IRIS) for name in SCHEDULES],
    *[(BackpropMLP(initializer=name, **FEW), IRIS) for name in INITIALIZERS],
    (BackpropMLP(activation=[{"tanh": 2, "relu": 2}], **FEW), IRIS),
    (BackpropMLP(algorithm=GeneticAlgorithm(8, evolve=("weights", "activations"), elite=2), **FEW), IRIS),
    (BackpropMLP("regression", n_networks=2, validation="cross", **FEW), DIABETES),
    (BackpropMLP("regression", error_function="huber", warm_start=True, **FEW), DIABETES),
    (BackpropMLP(**FEW), make_multilabel_classification(60, random_state=0)),
    (BackpropMLPClassifier(**FEW), IRIS),
    (make_pipeline(StandardScaler(), BackpropMLPRegressor(**FEW)), DIABETES),
    (TabularMLP("regression", n_networks=2, effort=0.3, random_state=0), DIABETES),
    (Blend([("networks", BackpropMLP(**FEW)), ("linear", BackpropMLP(validation="none", **FEW))], cv=3), IRIS),
]


@pytest.mark.filterwarnings("ignore")  # of skops about what it imports
@pytest.mark.parametrize(("model", "data"), MODELS)
def test_a_model_is_made_of_trusted_types(model, data):
    X, y = data
    content = skops.io.dumps(model.fit(X, y))
    assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED_TYPES)
    again = skops.io.loads(content, trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_what_is_listed_is_there_and_code_of_ones_own_is_not():
    for name in TRUSTED_TYPES:
        module, _, own = name.rpartition(".")
        assert hasattr(importlib.import_module(module), own), name
        assert module.startswith(("nnexp.", "numpy."))
    assert f"{Activation.__module__}.FromFunctions" not in TRUSTED_TYPES
