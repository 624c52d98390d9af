"""scikit-learn's own checks of the estimators that blend, with no expected failure."""

import contextlib
from unittest import SkipTest

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import BackpropMLP, Blend, TabularMLP

FEW = {"encoding": "none", "hidden_layer_sizes": (8,), "max_iter": 60, "random_state": 0}
ESTIMATORS = [
    Blend([("linear", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=3, random_state=0))], cv=3),
]
MORE = [
    *[TabularMLP(task, n_networks=2, effort=0.3) for task in ("classification", "regression")],
    Blend([("networks", BackpropMLP(**FEW)), ("linear", LogisticRegression())], cv=3),
    Blend([("linear", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))], cv=3),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_estimator_checks(estimator, check):
    run(estimator, check)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(MORE)
def test_scikit_learn_estimator_checks_of_more_blends(estimator, check):
    run(estimator, check)


def run(estimator, check):
    with contextlib.suppress(SkipTest):  # checks of methods that the estimator does not claim to have
        check(estimator)
