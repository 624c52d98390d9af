"""scikit-learn's own checks, for both tasks and every algorithm, with no expected failure."""

import contextlib
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import (
    Alternate,
    BackpropMLP,
    BackpropMLPClassifier,
    BackpropMLPRegressor,
    Chain,
    DifferentialEvolution,
    GeneticAlgorithm,
    Memetic,
    PopulationBasedTraining,
)
from nnexp.training import ALGORITHMS
from nnexp.training.genetic import EVOLVE

# Evolution needs a larger population than most tests do, to learn what the checks want learnt.
SETTINGS = {
    "differential_evolution": DifferentialEvolution(population_size=32),
    "genetic": GeneticAlgorithm(population_size=32),
    "memetic": Memetic(evolution={"population_size": 6}),
    "chain": Chain(GeneticAlgorithm(population_size=32), "backprop"),
    "alternate": Alternate(GeneticAlgorithm(population_size=32), "backprop"),
    "pbt": PopulationBasedTraining(4),
}
FEW = {"hidden_layer_sizes": (8,), "max_iter": 60}
TASKS = "classification", "regression"
ESTIMATORS = [
    BackpropMLPClassifier(**FEW, validation="none"),
    BackpropMLPRegressor(**FEW, validation="none"),
]
# A generation of the memetic algorithm is as much work as tens of steps of others.
MORE = [
    *[BackpropMLP(task) for task in TASKS],  # with its defaults
    *[cls(**FEW) for cls in (BackpropMLPClassifier, BackpropMLPRegressor)],
    BackpropMLP("regression", n_networks=3, **FEW),
    BackpropMLP(algorithm=SETTINGS["genetic"], **FEW),
    BackpropMLP("regression", algorithm="snes", n_networks=3, **FEW),
    # Each algorithm for one task; which one makes no difference to it.
    *[
        BackpropMLP(
            TASKS[number % 2],
            algorithm=SETTINGS.get(name, name),
            **FEW | {"validation": "none"} | ({"max_iter": 8} if name == "memetic" else {}),
        )
        for number, name in enumerate(ALGORITHMS)
        if name != "backprop"
    ],
    BackpropMLP(n_networks=3, **FEW),
    BackpropMLP("regression", algorithm=SETTINGS["genetic"], n_networks=3, **FEW),
    BackpropMLP(algorithm="snes", n_networks=3, **FEW),
    BackpropMLP(algorithm=GeneticAlgorithm(population_size=32, evolve=tuple(EVOLVE)), **FEW),
    BackpropMLP(algorithm=SETTINGS["genetic"], error_function="zero_one", **FEW),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_estimator_checks(estimator, check):
    run(estimator, check)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(MORE)
def test_scikit_learn_estimator_checks_of_more_algorithms(estimator, check):
    run(estimator, check)


def run(estimator, check):
    with contextlib.suppress(SkipTest):  # checks of methods that the estimator does not claim to have
        check(estimator)
