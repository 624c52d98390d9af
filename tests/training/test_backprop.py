import numpy as np
import pytest

from nnexp import BackpropMLP
from nnexp.network.network import Sweep
from nnexp.training import Backprop, Stopping, Training
from nnexp.training.backprop import _Epoch, _plan
from tests.training.problems import make_problem, seeds


def one_epoch(problem, parameters):
    training = Training(Backprop(), problem, parameters, seeds(problem.n_members))
    return training.run(problem, Stopping(1, 10, 0.0))


def by_hand(problem, parameters, order, size, learning_rate):
    """One epoch of plain descent with the public gradient, batch by batch."""
    parameters = parameters.copy()
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        _, gradient = problem.network.error_and_gradient(
            parameters, problem.samples.values[rows, :-1], problem.expected[rows], "cross_entropy"
        )
        parameters -= learning_rate * gradient
    return parameters


@pytest.mark.parametrize(("mode", "size"), [("stochastic", 1), ("mini-batch", 16), ("mini-batch", 7), ("batch", 60)])
def test_an_epoch_is_average_gradients_applied_batch_by_batch(mode, size):
    problem = make_problem(mode=mode, batch_size=size, optimizer="sgd", learning_rate=0.3)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    trained = one_epoch(problem, parameters)
    order = problem.training[0] if mode == "batch" else seeds(1)[0].permutation(problem.training[0])
    expected = by_hand(problem, parameters[0], order, size, 0.3)
    np.testing.assert_allclose(trained.parameters[0], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["mini-batch", "batch"])
def test_a_batch_cut_into_pieces_gives_the_same_update(mode, monkeypatch):
    settings = dict(n=500, mode=mode, batch_size=300, optimizer="sgd", learning_rate=0.3, l2=0.1)
    problem = make_problem(**settings)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    whole = one_epoch(problem, parameters)
    monkeypatch.setattr(Sweep, "PIECE_BYTES", 1)  # the smallest pieces: 64 samples
    pieces = one_epoch(problem, parameters)
    np.testing.assert_allclose(pieces.parameters, whole.parameters, rtol=1e-10, atol=1e-13)
    assert pieces.history[0][0]["error"] == pytest.approx(whole.history[0][0]["error"])


@pytest.mark.parametrize("n", [1, 5, 63, 64, 65, 200, 1000])
@pytest.mark.parametrize("batch", [1, 7, 64, 100, 1000])
def test_the_plan_of_an_epoch_visits_every_row_once_and_closes_every_batch(n, batch):
    batch = min(batch, n)
    plan = _plan(n, batch, per_sample=8, chunk_bytes=512, piece_bytes=8 * 80)
    position, ends = 0, []
    for chunk in plan:
        assert chunk.start == position
        for slot, closes in enumerate(chunk.closes):
            if closes:
                ends.append(position + (slot + 1) * chunk.size)
        position = chunk.stop
    assert position == n
    assert ends == [*range(batch, n, batch), n]


def test_each_epoch_takes_the_rows_in_a_new_order_and_each_row_once():
    problem = make_problem(members=2)
    training = Training(Backprop(), problem, problem.network.initialize(2, seeds(2)), seeds(2))
    epoch = _Epoch(problem, training.state)
    epoch()
    first = epoch._order.copy()
    epoch()
    assert (first != epoch._order).any()
    np.testing.assert_array_equal(np.sort(epoch._order, axis=1), np.sort(problem.training_rows, axis=1))


def test_a_weight_of_2_equals_the_row_twice_in_full_batches():
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = (X[:, 0] > 0).astype(int)
    weight = np.random.default_rng(1).integers(0, 4, 30)
    settings = dict(hidden_layer_sizes=(5,), descent="batch", max_iter=50, dtype="float64", random_state=0)
    weighted = BackpropMLP(**settings).fit(X, y, weight)
    repeated = BackpropMLP(**settings).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.parameters_, repeated.parameters_, rtol=1e-8, atol=1e-10)


def test_weights_count_in_stochastic_descent_too():
    problem = make_problem(mode="stochastic", optimizer="sgd", learning_rate=0.1, weight=np.linspace(0.2, 1.8, 60))
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    trained = one_epoch(problem, parameters).parameters[0]
    expected = parameters[0].copy()
    for row in seeds(1)[0].permutation(problem.training[0]):
        _, gradient = problem.network.error_and_gradient(
            expected, problem.samples.values[[row], :-1], problem.expected[[row]], "cross_entropy"
        )
        expected -= 0.1 * problem.weight[row] * gradient
    np.testing.assert_allclose(trained, expected, rtol=1e-10, atol=1e-13)


def test_l2_adds_its_gradient_to_weights_but_not_to_bias_weights():
    plain = make_problem(mode="batch", optimizer="sgd", learning_rate=0.5)
    parameters = plain.network.initialize(1, np.random.default_rng(0)) + 0.1
    without = one_epoch(plain, parameters).parameters[0]
    with_l2 = one_epoch(make_problem(mode="batch", optimizer="sgd", learning_rate=0.5, l2=0.2), parameters)
    expected = np.where(plain.network.bias_mask, 0, -0.5 * 0.2 * parameters[0])
    np.testing.assert_allclose(with_l2.parameters[0] - without, expected, rtol=1e-9, atol=1e-13)
    first = plain.network.error_and_gradient(
        parameters[0], plain.samples.values[:, :-1], plain.expected, "cross_entropy"
    )[0]
    assert with_l2.history[0][0]["error"] == pytest.approx(first)
    penalty = 0.5 * 0.2 * np.square(with_l2.parameters[0][~plain.network.bias_mask]).sum()
    assert with_l2.best_error[0] == pytest.approx(first + penalty)


@pytest.mark.parametrize("seed", range(10))
def test_backprop_learns_xor_without_a_mistake(seed):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    model = BackpropMLP(
        hidden_layer_sizes=(4,), activation="tanh", descent="batch", learning_rate=0.05, max_iter=1000,
        n_iter_no_change=1000, random_state=seed,
    )  # fmt: skip
    assert model.fit(X, y).score(X, y) == 1.0
