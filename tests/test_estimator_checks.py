"""scikit-learn's own checks, for both tasks and every algorithm, with no expected failure."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import BackpropMLP, GeneticAlgorithm

ESTIMATORS = [
    BackpropMLP(task, algorithm=algorithm, **settings)
    for task in ("classification", "regression")
    for algorithm, settings in [
        ("backprop", {}),
        (GeneticAlgorithm(population_size=32), {"hidden_layer_sizes": (8,), "max_iter": 60}),
    ]
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)
