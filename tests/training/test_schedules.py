"""Schedules against their formulas, and the rates that descent takes from them."""

import numpy as np
import pytest

from nnexp.training import SCHEDULES, Backprop, Stopping, Training, resolve_schedule
from nnexp.training.schedules import Constant, Cosine, CosLog, Exponential, OneCycle, Plateau
from tests.training.problems import make_both, seeds

T = np.linspace(0, 1, 41)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Constant(), {0: 1, 0.5: 1, 1: 1}),
        (Cosine(), {0: 1, 0.25: 0.5 + 0.5 * 2**-0.5, 0.5: 0.5, 1: 0}),
        (Cosine(final=0.2), {0: 1, 0.5: 0.6, 1: 0.2}),
        # ½ (1 − cos 2π log₂(1 + 15 t)): 0 where 1 + 15 t is a power of 2, and 1 half way between, in the logarithm
        (CosLog(), {0: 0, (2**0.5 - 1) / 15: 1, 1 / 15: 0, 3 / 15: 0, 7 / 15: 0, (2**3.5 - 1) / 15: 1, 1: 0}),
        (OneCycle(), {0: 0.04, 0.15: 0.52, 0.3: 1, 0.65: 0.500002, 1: 4e-6}),
        (Exponential(), {0: 1, 0.5: 0.1, 1: 0.01}),
        (Plateau(), {0: 1, 1: 1}),
        (resolve_schedule(lambda t: 1 - t / 2), {0: 1, 0.5: 0.75, 1: 0.5}),
    ],
    ids=lambda case: getattr(case, "name", ""),
)
def test_a_schedule_has_the_values_of_its_formula(schedule, points):
    at = np.array(list(points))
    np.testing.assert_allclose(schedule.factors(at, 0.01), list(points.values()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_stays_finite_and_holds_its_last_value(name):
    factors = SCHEDULES[name].factors(np.array([*T, 1.5, 7.0]), 0.01)
    assert np.isfinite(factors).all()
    assert (factors >= 0).all()
    np.testing.assert_allclose(factors[-2:], factors[-3])


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_in_proportion_and_leaves_the_rest_to_the_schedule(name):
    warm = SCHEDULES.resolve({"name": name, "warmup": 0.2}, "schedule")
    start = SCHEDULES[name].factors(np.zeros(1), 0)[0]
    np.testing.assert_allclose(warm.factors(np.array([0.0, 0.05, 0.1]), 0.01), np.array([0.05, 0.3, 0.55]) * start)
    rest = np.linspace(0.2, 1, 9)
    np.testing.assert_allclose(warm.factors(rest, 0.01), SCHEDULES[name].factors((rest - 0.2) / 0.8, 0.01), atol=1e-12)


def test_descent_takes_the_rate_of_the_fraction_done_at_each_update():
    """Plain descent by hand over 3 epochs of 4 batches."""
    problem, descent = make_both(optimizer="sgd", learning_rate=0.3, schedule="exponential", horizon=3, batch_size=16)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    trained = (
        Training(Backprop(), problem, descent, parameters, seeds(1))
        .run(problem, descent, Stopping(3, 10, 0.0))
        .parameters[0]
    )
    expected, rng, update = parameters[0].copy(), seeds(1)[0], 0
    for _ in range(3):
        order = rng.permutation(problem.training[0])
        for first in range(0, 60, 16):
            rows = order[first : first + 16]
            _, gradient = problem.network.error_and_gradient(
                expected, problem.samples.values[rows, :-1], problem.expected[rows], "cross_entropy"
            )
            expected -= 0.3 * 0.01 ** (update / 12) * gradient
            update += 1
    np.testing.assert_allclose(trained, expected, rtol=1e-10)


def test_plateau_halves_the_rate_where_the_error_stays():
    schedule = Plateau(patience=2, factor=0.5, tol=0.1, lowest=0.2)
    memory = schedule.start(2)
    factors = []
    for error in (5.0, 4.0, 3.95, 3.99, 3.96, 3.0, 2.95, 2.94, 2.93, 2.92):
        schedule.observe(memory, np.array([error, -error]))
        factors.append(memory["plateau_factor"][0])
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]


@pytest.mark.parametrize("schedule", ["cosine", "plateau", {"name": "one_cycle", "warmup": 0.1}])
def test_a_schedule_goes_on_where_training_goes_on(schedule):
    settings = dict(schedule=schedule, horizon=20, validation=15, learning_rate=0.05)

    def run(*parts):
        problem, descent = make_both(**settings)
        training = Training(Backprop(), problem, descent, problem.network.initialize(1, seeds(1, 5)), seeds(1))
        for steps in parts:
            training.run(problem, descent, Stopping(steps, 1000, 0.0))
        return training

    np.testing.assert_array_equal(run(20).parameters, run(7, 13).parameters)
    assert (run(20).parameters != run(20, 1).state.arrays["parameters"]).any() or schedule == "cosine"


def test_members_at_different_steps_have_different_rates():
    problem, descent = make_both(members=2, schedule="cosine", horizon=20)
    first = problem.network.initialize(2, seeds(2, 5))
    together = Training(Backprop(), problem, descent, first, seeds(2))
    ahead, behind = np.array([0]), np.array([1])
    one, how = problem.select(ahead), descent.select(ahead)
    alone = Training(Backprop(), one, how, first[:1], seeds(1)).run(one, how, Stopping(4, 1000, 0.0))
    together.state.put(np.array([0]), alone.state)
    together.run(problem, descent, Stopping(3, 1000, 0.0))
    two, other_how = problem.select(behind), descent.select(behind)
    other = Training(Backprop(), two, other_how, first[1:], seeds(1, 1)).run(two, other_how, Stopping(3, 1000, 0.0))
    alone.run(one, how, Stopping(3, 1000, 0.0))
    np.testing.assert_allclose(together.state.arrays["parameters"][1], other.parameters[0], rtol=1e-7)
    assert together.state.arrays["steps"].tolist() == [7, 3]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cosin", "Did you mean 'cosine'?"),
        ({"name": "cosine", "end": 1}, "has no parameter 'end'"),
        ({"name": "cosine", "warmup": 1.0}, "Cosine(warmup=...) must be in [0, 1)"),
        ({"name": "one_cycle", "peak": 0}, "OneCycle(peak=...) must be in (0, 1)"),
        ({"name": "plateau", "horizon": 0}, "Plateau(horizon=...) must be in [1, inf)"),
        (lambda t: -1.0, "must give finite factors of at least 0. It gives -1.0 at 0."),
        (lambda t: 1 / abs(t - 0.5), "fails at the fraction 0.5: float division by zero"),
        (lambda t: float("nan"), "It gives nan"),
        (lambda t: "1", "It gives '1'"),
    ],
)
def test_impossible_schedules_are_refused(given, said):
    with pytest.raises(ValueError) as caught:
        resolve_schedule(given)
    assert said in str(caught.value)
