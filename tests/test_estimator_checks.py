"""scikit-learn's own checks, for both tasks and every algorithm, with no expected failure."""

import contextlib
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import BackpropMLP, GeneticAlgorithm

ESTIMATORS = [
    BackpropMLP(task, algorithm=algorithm, **settings)
    for task in ("classification", "regression")
    for algorithm, settings in [
        ("backprop", {}),
        (GeneticAlgorithm(population_size=32), {"hidden_layer_sizes": (8,), "max_iter": 60}),
        ("backprop", {"n_networks": 3}),
        (GeneticAlgorithm(population_size=32), {"hidden_layer_sizes": (8,), "max_iter": 60, "n_networks": 3}),
    ]
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_estimator_checks(estimator, check):
    with contextlib.suppress(SkipTest):  # checks of methods that the estimator does not claim to have
        check(estimator)
