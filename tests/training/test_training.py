"""The loop: members of a stack, stopping, what is kept, what is counted."""

import copy
import pickle

import numpy as np
import pytest

from nnexp import Algorithm, GeneticAlgorithm, Network
from nnexp.training import Backprop, Stopping, Training
from nnexp.training.algorithm import State, StepReport
from tests.algorithms import EVERY, EVOLVING, PARTLY, SLOWER, small
from tests.training.problems import make_both, seeds

# The mode of descent says nothing to what has no gradient.
MODES = [
    pytest.param(name, mode, marks=pytest.mark.slow if name in SLOWER else ())
    for name in EVERY
    for mode in (["stochastic", "mini-batch", "batch"] if name not in EVOLVING else ["mini-batch"])
]
LONG = Stopping(max_iter=12, patience=1000, tol=0.0)


def problem_of(algorithm, **settings):
    """Make a problem with the network that an algorithm trains."""
    return make_both(network=small(algorithm).extend(Network((3, 6, 2), "tanh", "softmax")), **settings)


def train(algorithm, problem, descent, stopping=LONG, first=0):
    members = problem.n_members
    parameters = problem.network.initialize(members, seeds(members, 50 + first), problem.dtype)
    return Training(algorithm, problem, descent, parameters, seeds(members, first)).run(problem, descent, stopping)


@pytest.mark.parametrize(("algorithm", "mode"), MODES)
@pytest.mark.parametrize(
    ("validation", "weighted"),
    [(15, True), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((0, False), (0, True), (15, False)))],
)
def test_a_network_trained_in_a_stack_of_8_equals_the_same_network_trained_alone(algorithm, mode, validation, weighted):
    weight = np.random.default_rng(2).uniform(0.1, 3, 60) if weighted else None
    problem, descent = problem_of(algorithm, members=8, mode=mode, validation=validation, weight=weight)
    together = train(small(algorithm), problem, descent)
    for i in (0, 3, 7):
        own = np.arange(8) == i
        alone = train(small(algorithm), problem.select(own), descent.select(own), first=i)
        np.testing.assert_allclose(together.parameters[i], alone.parameters[0], rtol=1e-7, atol=1e-9)
        assert together.evaluations[i] == alone.evaluations[0]
        assert together.n_iter[i] == alone.n_iter[0]


@pytest.mark.parametrize("algorithm", PARTLY)
def test_members_that_stop_early_do_not_disturb_the_others(algorithm):
    problem, descent = problem_of(algorithm, members=4, validation=15, learning_rate=0.05)
    stopping = Stopping(max_iter=60, patience=3, tol=0.0)
    together = train(small(algorithm), problem, descent, stopping)
    assert len(set(together.n_iter)) > 1
    for i in range(4):
        own = np.arange(4) == i
        alone = train(small(algorithm), problem.select(own), descent.select(own), stopping, first=i)
        assert together.n_iter[i] == alone.n_iter[0]
        assert together.stop_reason[i] == alone.stop_reason[0]
        np.testing.assert_allclose(together.parameters[i], alone.parameters[0], rtol=1e-6, atol=1e-8)
        assert len(together.history[i]) == together.n_iter[i]


@pytest.mark.parametrize("algorithm", PARTLY)
@pytest.mark.parametrize("between", [copy.deepcopy, lambda training: pickle.loads(pickle.dumps(training))])
def test_training_interrupted_and_saved_goes_on_to_the_same_bits(algorithm, between):
    problem, descent = problem_of(algorithm, optimizer="adam")
    whole = train(small(algorithm), problem, descent, Stopping(20, 1000, 0.0))
    parts = between(train(small(algorithm), problem, descent, Stopping(8, 1000, 0.0)))
    parts.run(problem, descent, Stopping(12, 1000, 0.0))
    np.testing.assert_array_equal(parts.parameters, whole.parameters)
    assert [row["error"] for row in parts.history[0]] == [row["error"] for row in whole.history[0]]


@pytest.mark.parametrize("algorithm", PARTLY)
def test_a_stack_whose_members_stopped_at_different_steps_goes_on_like_each_alone(algorithm):
    """Patience is set so that members stop by it at different steps; then all go on for some steps."""
    problem, descent = problem_of(algorithm, members=4, validation=15, learning_rate=0.05)
    stopping, more = Stopping(max_iter=60, patience=3, tol=0.0), Stopping(max_iter=5, patience=1000, tol=0.0)
    together = pickle.loads(pickle.dumps(train(small(algorithm), problem, descent, stopping)))
    assert len(set(together.n_iter)) > 1
    together.run(problem, descent, more)
    for i in range(4):
        only, how = problem.select(np.arange(4) == i), descent.select(np.arange(4) == i)
        alone = train(small(algorithm), only, how, stopping, first=i).run(only, how, more)
        assert together.n_iter[i] == alone.n_iter[0]
        np.testing.assert_allclose(together.parameters[i], alone.parameters[0], rtol=1e-6, atol=1e-8)
        last = [(t.history[k][-1]["error"]) for t, k in ((together, i), (alone, 0))]
        assert last[0] == pytest.approx(last[1], rel=1e-6)


def test_patience_counts_on_where_training_goes_on():
    def steps(*parts):
        training = train(Scripted([5.0] + [4.0] * 40), *make_both(), Stopping(parts[0], 10, 0.0))
        for part in parts[1:]:
            training.run(*make_both(), Stopping(part, 10, 0.0))
        return training.n_iter[0]

    assert steps(30) == steps(8, 22) == steps(4, 4, 22) == 12
    assert steps(30, 30) == 12 + 10  # stopped by patience, it has all of it again


@pytest.mark.parametrize("algorithm", PARTLY)
def test_with_other_data_the_errors_on_the_old_ones_count_for_nothing(algorithm):
    problem, descent = problem_of(algorithm, validation=20, learning_rate=0.05)
    turned, _ = problem_of(algorithm, validation=20, learning_rate=0.05)
    turned.expected[:] = turned.expected[:, ::-1]
    training = train(small(algorithm), problem, descent, Stopping(60, 1000, 0.0))
    before = training.parameters.copy()
    training.run(turned, descent, Stopping(60, 1000, 0.0), new_data=True)
    rows = turned.validation[0]
    X, Y = turned.samples.values[rows, :-1], turned.expected[rows]
    old, _ = turned.network.error_and_gradient(before[0], X, Y, "cross_entropy")
    new, _ = turned.network.error_and_gradient(training.parameters[0], X, Y, "cross_entropy")
    assert training.best_error[0] == pytest.approx(new, rel=1e-9)
    assert new < 0.95 * old


@pytest.mark.parametrize("algorithm", PARTLY)
def test_the_parameters_kept_are_those_with_the_lowest_validation_error(algorithm):
    problem, descent = problem_of(algorithm, validation=20, learning_rate=0.1, n=40)
    training = train(small(algorithm), problem, descent, Stopping(80, 1000, 0.0))
    errors = [row["validation_error"] for row in training.history[0]]
    assert training.best_error[0] == min(errors)
    assert np.argmin(errors) < 79  # it got worse again, or the test shows nothing
    rows = problem.validation[0]
    error, _ = problem.network.error_and_gradient(
        training.parameters[0], problem.samples.values[rows, :-1], problem.expected[rows], "cross_entropy"
    )
    assert error == pytest.approx(min(errors), rel=1e-9)


def test_without_validation_data_descent_keeps_its_last_network_and_evolution_its_best():
    problem, descent = make_both()
    descended = train(Backprop(), problem, descent)
    np.testing.assert_array_equal(descended.parameters, descended.state.arrays["parameters"])
    evolution = train(small("genetic"), problem, descent)
    best, _ = problem.network.error_and_gradient(
        evolution.parameters[0], problem.samples.values[:, :-1], problem.expected, "cross_entropy"
    )
    assert best == pytest.approx(min(row["error"] for row in evolution.history[0]), rel=1e-9)


class Scripted(Algorithm):
    """Reports errors from a list; its only parameter counts the steps."""

    name = "scripted"

    def __init__(self, errors=()):
        self.errors = errors

    def start(self, problem, descent, parameters, rngs):
        return State(rngs, {"parameters": np.zeros_like(parameters)}, np.zeros(len(parameters), dtype=int))

    def bind(self, problem, descent, state):
        def step():
            state.arrays["parameters"][:, 0] += 1
            return StepReport(
                state.arrays["parameters"][:, np.newaxis].copy(),
                np.array([self.errors[int(state.arrays["parameters"][0, 0]) - 1]]),
                7,
            )

        return step


@pytest.mark.parametrize(
    ("errors", "stopping", "steps", "kept", "reason"),
    [
        ([5, 4, 3, 2], Stopping(4, 10, 0.0), 4, 4, "All max_iter=4 steps were done."),
        (
            [5, 4, 4, 4, 4],
            Stopping(99, 2, 0.0),
            4,
            4,
            "did not improve by more than tol=0 in 2 successive steps",
        ),
        ([5, 4, 3.95, 3.9, 3], Stopping(99, 2, 0.1), 4, 4, "did not improve by more than tol=0.1"),
        ([5, 4.95, 4.85, 4.75, 4.74], Stopping(5, 2, 0.1), 5, 5, "All max_iter=5"),
        ([5, 4, np.nan], Stopping(99, 10, 0.0), 3, 1, "became infinite or NaN in step 3"),
        ([5, np.inf], Stopping(99, 10, 0.0), 2, 0, "became infinite or NaN in step 2"),
    ],
)
def test_stopping(errors, stopping, steps, kept, reason):
    problem, descent = make_both()
    first = np.zeros((1, problem.network.n_parameters))
    training = Training(Scripted(errors), problem, descent, first, seeds(1)).run(problem, descent, stopping)
    assert training.n_iter[0] == steps
    assert training.parameters[0, 0] == kept
    assert reason in training.stop_reason[0]


def test_the_cost_is_counted_in_evaluations():
    n, validation = 60, 15
    descent = train(Backprop(), *make_both(validation=validation))
    assert descent.evaluations[0] == 12 * (3 * (n - validation) + validation)
    evolution = GeneticAlgorithm(population_size=10, elite=2, batch_size=20)
    assert train(evolution, *make_both(validation=validation)).evaluations[0] == 12 * (10 * 20 + 2 * validation)
    assert train(evolution, *make_both()).evaluations[0] == 12 * (10 * 20 + 2 * n)
    # With all data as the batch the errors of the elite are known already.
    evolution = GeneticAlgorithm(population_size=10, elite=2, batch_size=None)
    assert train(evolution, *make_both()).evaluations[0] == 12 * 10 * n


def test_an_algorithm_has_parameters_like_an_estimator():
    algorithm = GeneticAlgorithm(population_size=20)
    assert algorithm.get_params()["population_size"] == 20
    assert algorithm.set_params(elite=3) is algorithm
    assert repr(algorithm) == "GeneticAlgorithm(population_size=20, elite=3)"
    assert algorithm == GeneticAlgorithm(population_size=20, elite=3)
    assert algorithm != GeneticAlgorithm(population_size=20)
    with pytest.raises(ValueError, match="Did you mean 'population_size'"):
        algorithm.set_params(populationsize=3)
