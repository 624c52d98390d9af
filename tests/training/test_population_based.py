import numpy as np
import pytest

from nnexp import BackpropMLP, PopulationBasedTraining
from nnexp.training import Backprop, Stopping, Training
from tests.training.problems import make_both, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def start(algorithm, problem, descent):
    state = algorithm.start(
        problem,
        descent,
        problem.network.initialize(problem.n_members, seeds(problem.n_members)),
        seeds(problem.n_members),
    )
    return state, algorithm.bind(problem, descent, state)


def test_the_first_settings_are_the_users_and_spread_around_them():
    algorithm = PopulationBasedTraining(2000)
    problem, descent = make_both(learning_rate=0.02, l2=0.01)
    state, _ = start(algorithm, problem, descent)
    assert state.arrays["learning_rate"][0, 0] == 0.02
    assert state.arrays["l2"][0, 0] == 0.01
    assert state.arrays["dropout"][0, 0, 0] == 0
    for name, middle in (("learning_rate", 0.02), ("l2", 0.01)):
        logs = np.log(state.arrays[name][0, 1:] / middle) / np.log(3)
        assert logs.min() >= -1
        assert logs.max() <= 1
        assert logs.mean() == pytest.approx(0, abs=0.05)
        assert logs.std() == pytest.approx(1 / np.sqrt(3), rel=0.05)
    dropout = state.arrays["dropout"][0, 1:, 0]
    assert dropout.min() >= 0
    assert dropout.max() <= 0.2
    assert dropout.mean() == pytest.approx(0.1, abs=0.01)


def test_without_exchange_each_network_descends_as_it_would_alone():
    """Full batches draw no random numbers."""
    algorithm = PopulationBasedTraining(4, interval=1000, explore=("learning_rate", "l2"))
    problem, descent = make_both(mode="batch", learning_rate=0.02, l2=0.01)
    state, step = start(algorithm, problem, descent)
    first = state.arrays["networks.parameters"][0].copy()
    rates, strengths = state.arrays["learning_rate"][0].copy(), state.arrays["l2"][0].copy()
    for _ in range(6):
        step()
    for i in range(4):
        own, descent = make_both(mode="batch", learning_rate=rates[i], l2=strengths[i])
        alone = Training(Backprop(), own, descent, first[i : i + 1], seeds(1)).run(own, descent, Stopping(6, 100, 0.0))
        np.testing.assert_allclose(
            state.arrays["networks.parameters"][0, i], alone.parameters[0], rtol=1e-9, atol=1e-12
        )


def test_the_worst_take_over_the_best_and_change_the_settings_by_the_factor():
    algorithm = PopulationBasedTraining(8, interval=2, share=0.25, factor=1.5)
    problem, descent = make_both(learning_rate=0.02, l2=0.01, dropout=0.1)
    state, step = start(algorithm, problem, descent)
    step()
    before = {name: values.copy() for name, values in state.arrays.items()}
    each = np.array([[3.0, 1.0, 8.0, 5.0, np.nan, 2.0, 4.0, 6.0]])
    algorithm.observe(problem, descent, state, np.array([1.0]), each)  # after one step it is not yet time
    assert all((values == before[name]).all() for name, values in state.arrays.items())
    step()
    before = {name: values.copy() for name, values in state.arrays.items()}
    algorithm.observe(problem, descent, state, np.array([1.0]), each)
    worst, best = [4, 2], [1, 5]  # NaN is the worst
    for i in range(8):
        weights = state.arrays["networks.parameters"][0, i]
        if i not in worst:
            assert all((values[0, i] == before[name][0, i]).all() for name, values in state.arrays.items())
            continue
        (model,) = [j for j in best if (before["networks.parameters"][0, j] == weights).all()]
        np.testing.assert_array_equal(state.arrays["networks.moment_0"][0, i], before["networks.moment_0"][0, model])
        for name in ("learning_rate", "l2", "dropout"):
            ratio = np.ravel(state.arrays[name][0, i] / before[name][0, model])[0]
            assert ratio == pytest.approx(1.5) or ratio == pytest.approx(1 / 1.5)


def test_changed_settings_act_in_the_next_epoch():
    algorithm = PopulationBasedTraining(2, interval=1000, explore=())
    problem, descent = make_both(mode="batch", optimizer="sgd", learning_rate=0.1)
    state, step = start(algorithm, problem, descent)
    step()
    state.arrays["learning_rate"][0, 0], state.arrays["l2"][0, 0] = 0.3, 0.5
    before = state.arrays["networks.parameters"][0, 0].copy()
    step()
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    _, gradient = problem.network.error_and_gradient(before, X, Y, "cross_entropy")
    decayed = np.where(problem.network.bias_mask, 0.0, before)
    np.testing.assert_allclose(
        state.arrays["networks.parameters"][0, 0], before - 0.3 * (gradient + 0.5 * decayed), rtol=1e-9, atol=1e-12
    )


def test_the_history_has_the_settings_of_the_best_network():
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    algorithm = PopulationBasedTraining(6, interval=2)
    model = BackpropMLP(hidden_layer_sizes=(8,), algorithm=algorithm, max_iter=30, random_state=0).fit(X, y)
    history = model.history_
    assert {"learning_rate", "l2", "dropout", "population_median_learning_rate"} <= set(history)
    assert history["learning_rate"].nunique() > 3
    assert history["validation_error"].notna().all()  # a part was set aside without being asked for
    assert model.evaluations_ == 30 * 6 * (3 * 180 + 20)


def test_so_few_samples_that_none_can_be_set_aside_still_train():
    assert BackpropMLP(hidden_layer_sizes=(4,), algorithm="pbt", random_state=0).fit(*XOR).score(*XOR) == 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 1}, {"interval": 0}, {"share": 0.6}, {"share": 0}, {"factor": 1.0}, {"explore": ("rate",)},
    ],
)  # fmt: skip
def test_impossible_settings_name_the_parameter(settings):
    (name,) = settings
    with pytest.raises(ValueError) as caught:
        BackpropMLP(algorithm=PopulationBasedTraining(**settings)).fit(*XOR)
    assert f"PopulationBasedTraining({name}=...)" in str(caught.value)


def test_networks_without_hidden_layers_train_too():
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = BackpropMLP(hidden_layer_sizes=(), algorithm=PopulationBasedTraining(4), max_iter=40, random_state=0)
    assert model.fit(X, X[:, 0] > 0).score(X, X[:, 0] > 0) > 0.9


def test_a_plateau_lowers_the_rate_of_each_network():
    problem, descent = make_both(schedule={"name": "plateau", "patience": 3}, learning_rate=0.001)
    algorithm = PopulationBasedTraining(4, interval=1000)
    state, step = start(algorithm, problem, descent)
    each = np.array([[1.0, 1.0, 2.0, 2.0]])
    for number in range(5):
        step()
        algorithm.observe(problem, descent, state, np.array([1.0]), each - [[0, 0.1 * number, 0, 0.1 * number]])
    np.testing.assert_array_equal(state.arrays["networks.plateau_factor"][0], [0.5, 1.0, 0.5, 1.0])
