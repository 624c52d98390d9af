from dataclasses import replace

import numpy as np
import pytest

from nnexp import BackpropMLP, Network
from nnexp.network.error_functions import make_objective, resolve_error_function
from nnexp.network.passes import Workspace
from nnexp.network.pieces import PiecewisePass
from nnexp.network.samples import Samples
from nnexp.training import Backprop, Descent, Stopping, Training
from nnexp.training.backprop import Epoch, _plan
from tests.training.problems import make_both, make_descent, make_problem, seeds


def one_epoch(problem, descent, parameters):
    training = Training(Backprop(), problem, descent, parameters, seeds(problem.n_members))
    return training.run(problem, descent, Stopping(1, 10, 0.0))


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
    problem, descent = make_both(mode=mode, batch_size=size, optimizer="sgd", learning_rate=0.3)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    trained = one_epoch(problem, descent, parameters)
    order = problem.training[0] if mode == "batch" else seeds(1)[0].permutation(problem.training[0])
    expected = by_hand(problem, parameters[0], order, size, 0.3)
    np.testing.assert_allclose(trained.parameters[0], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["mini-batch", "batch"])
def test_a_batch_cut_into_pieces_gives_the_same_update(mode, monkeypatch):
    settings = dict(n=500, mode=mode, batch_size=300, optimizer="sgd", learning_rate=0.3, l2=0.1)
    problem, descent = make_both(**settings)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    whole = one_epoch(problem, descent, parameters)
    monkeypatch.setattr(PiecewisePass, "PIECE_BYTES", 1)  # the smallest pieces: 64 samples
    pieces = one_epoch(problem, descent, parameters)
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
    problem, descent = make_both(members=2)
    training = Training(Backprop(), problem, descent, problem.network.initialize(2, seeds(2)), seeds(2))
    epoch = Epoch(problem, descent, training.state)
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
    problem, descent = make_both(
        mode="stochastic", optimizer="sgd", learning_rate=0.1, weight=np.linspace(0.2, 1.8, 60)
    )
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    trained = one_epoch(problem, descent, parameters).parameters[0]
    expected = parameters[0].copy()
    for row in seeds(1)[0].permutation(problem.training[0]):
        _, gradient = problem.network.error_and_gradient(
            expected, problem.samples.values[[row], :-1], problem.expected[[row]], "cross_entropy"
        )
        expected -= 0.1 * problem.weight[row] * gradient
    np.testing.assert_allclose(trained, expected, rtol=1e-10, atol=1e-13)


def test_l2_adds_its_gradient_to_weights_but_not_to_bias_weights():
    plain, descent = make_both(mode="batch", optimizer="sgd", learning_rate=0.5)
    parameters = plain.network.initialize(1, np.random.default_rng(0)) + 0.1
    without = one_epoch(plain, descent, parameters).parameters[0]
    with_l2 = one_epoch(*make_both(mode="batch", optimizer="sgd", learning_rate=0.5, l2=0.2), parameters)
    expected = np.where(plain.network.bias_mask, 0, -0.5 * 0.2 * parameters[0])
    np.testing.assert_allclose(with_l2.parameters[0] - without, expected, rtol=1e-9, atol=1e-13)
    first = plain.network.error_and_gradient(
        parameters[0], plain.samples.values[:, :-1], plain.expected, "cross_entropy"
    )[0]
    assert with_l2.history[0][0]["error"] == pytest.approx(first)
    penalty = 0.5 * 0.2 * np.square(with_l2.parameters[0][~plain.network.bias_mask]).sum()
    assert with_l2.best_error[0] == pytest.approx(first + penalty)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_backprop_learns_xor_without_a_mistake(seed):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    model = BackpropMLP(
        hidden_layer_sizes=(4,), activation="tanh", descent="batch", learning_rate=0.05, max_iter=1000,
        n_iter_no_change=1000, random_state=seed,
    )  # fmt: skip
    assert model.fit(X, y).score(X, y) == 1.0


def updated(problem, descent, seed=0):
    """Return the first parameters and those after one full-batch update of plain descent, and the gradient."""
    first = problem.network.initialize(1, np.random.default_rng(seed)) + 0.1
    rows = problem.training[0]
    weight = None if problem.weight is None else problem.weight[rows]
    _, gradient = problem.network.error_and_gradient(
        first[0], problem.samples.values[rows, :-1], problem.expected[rows], "cross_entropy", weight
    )
    return first[0], one_epoch(problem, descent, first).parameters[0], gradient


PLAIN = dict(mode="batch", optimizer="sgd", learning_rate=0.5)


def test_l1_pulls_every_weight_but_bias_weights_by_its_sign():
    problem, descent = make_both(**PLAIN, l1=0.03)
    first, after, gradient = updated(problem, descent)
    pull = np.where(problem.network.bias_mask, 0, 0.03 * np.sign(first))
    np.testing.assert_allclose(after, first - 0.5 * (gradient + pull), rtol=1e-9)
    weights = after[~problem.network.bias_mask]
    assert problem.penalty(after[np.newaxis])[0] == pytest.approx(0.03 * np.abs(weights).sum())


@pytest.mark.parametrize(("settings", "decay"), [({"weight_decay": 0.2}, 0.2), ({}, 0.07)])
def test_weight_decay_is_decoupled_from_the_gradient(settings, decay):
    """With Adam, whose first step has the size of the rate whatever the gradient is."""
    optimizer = "adam" if settings else {"name": "adamw", "weight_decay": decay}
    problem, descent = make_both(mode="batch", optimizer=optimizer, learning_rate=0.01, **settings)
    first, after, gradient = updated(problem, descent)
    step = 0.01 * gradient / (np.abs(gradient) + 1e-8)
    shrink = np.where(problem.network.bias_mask, 0, 0.01 * decay * first)
    np.testing.assert_allclose(after, first - shrink - step, rtol=1e-6, atol=1e-9)


def test_a_gradient_longer_than_clip_norm_is_shortened_and_a_shorter_one_left_alone():
    free, after_free, gradient = updated(*make_both(**PLAIN))
    norm = np.linalg.norm(gradient)
    _, clipped, _ = updated(*make_both(**PLAIN, clip_norm=norm / 4))
    np.testing.assert_allclose(clipped, free - 0.5 * gradient / 4, rtol=1e-9)
    np.testing.assert_array_equal(updated(*make_both(**PLAIN, clip_norm=norm * 2))[1], after_free)


def test_label_smoothing_spreads_its_share_evenly_over_the_classes():
    problem, descent = make_both(**PLAIN, label_smoothing=0.2)
    smoothed, plain = make_both(**PLAIN)
    smoothed.expected[:] = 0.8 * smoothed.expected + 0.1  # two classes
    np.testing.assert_allclose(updated(problem, descent)[1], updated(smoothed, plain)[1], rtol=1e-10)


def test_settings_differ_from_member_to_member():
    several = make_problem(members=3)
    settings = [dict(learning_rate=0.1), dict(learning_rate=0.02, l2=0.1), dict(dropout=0.3, weight_decay=0.1)]
    l2 = np.array([own.pop("l2", 0.0) for own in settings])
    problem, descent = replace(several, l2=l2), Descent.join([make_descent(**own) for own in settings])
    parameters = several.network.initialize(3, seeds(3, 9))
    together = Training(Backprop(), problem, descent, parameters, seeds(3)).run(problem, descent, Stopping(3, 10, 0.0))
    for i in range(3):
        only = problem.select(np.array([i]))
        how = descent.select(np.array([i]))
        alone = Training(Backprop(), only, how, parameters[[i]], seeds(1, i)).run(only, how, Stopping(3, 10, 0.0))
        np.testing.assert_allclose(together.parameters[i], alone.parameters[0], rtol=1e-7)


@pytest.mark.parametrize("leading", [(), (3,)])
def test_with_dropout_the_gradient_is_that_of_the_thinned_network(leading):
    """By finite differences, for skip connections too, with the outputs that are kept held fixed."""
    network = Network((3, 5, 4, 2), ["tanh", "silu"], "softmax", connections="skip")
    objective = make_objective(network.activations[-1], resolve_error_function("cross_entropy"))
    rng = np.random.default_rng(0)
    inputs = np.ascontiguousarray(Samples(rng.normal(size=(6, 3)), True, np.float64).values.T)
    expected = np.eye(2)[:, rng.integers(0, 2, 6)]
    parameters = network.initialize(max(1, *leading, 1), rng).reshape((*leading, -1)) + 0.1
    workspace = Workspace(network, objective, (*leading, 6), np.float64, gradient="parameters", dropout=True)
    for keep in workspace.keep[1:-1]:
        keep[...] = rng.integers(0, 2, keep.shape) * 2.0

    def error(at):
        workspace.bind(at, np.empty_like(at)).forward(inputs)
        return workspace.errors(expected).sum(axis=-1)

    error(parameters)
    workspace.backward(inputs, expected, 1.0)
    gradient = workspace.gradient.copy()
    for i in range(0, network.n_parameters, 5):
        step = np.zeros(network.n_parameters)
        step[i] = 1e-6
        slope = (error(parameters + step) - error(parameters - step)) / 2e-6
        np.testing.assert_allclose(gradient[..., i], slope, rtol=1e-5, atol=1e-8)


def test_dropout_leaves_out_its_share_and_scales_the_rest_so_that_the_mean_stays():
    network = Network((3, 50, 40, 2), "tanh", "softmax")
    problem, descent = make_both(members=2, network=network, batch_size=60, dropout=(0.2, 0.5))
    training = Training(Backprop(), problem, descent, network.initialize(2, seeds(2)), seeds(2))
    epoch = Epoch(problem, descent, training.state)
    (buffers,) = epoch._buffers.values()
    kept = [[], []]
    for _ in range(20):
        epoch()
        for layer in (0, 1):
            kept[layer].append(buffers.workspace.keep[layer + 1].copy())
    for share, own in zip((0.2, 0.5), map(np.array, kept), strict=True):
        assert set(np.unique(own.round(9))) == {0, round(1 / (1 - share), 9)} or share == 0.2
        assert (own == 0).mean() == pytest.approx(share, abs=0.01)
        assert own.mean() == pytest.approx(1, abs=0.02)
    assert (kept[0][0][0] != kept[0][0][1]).any()  # each member has its own


def test_rows_of_weight_0_are_as_absent_also_where_they_would_fill_a_batch():
    weight = np.ones(60)
    weight[make_problem().training[0][:40]] = 0
    problem, descent = make_both(batch_size=8, weight=weight)
    rows = [np.array([r for r in problem.training[0] if weight[r]])]
    absent = replace(make_problem(), training=rows)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    np.testing.assert_array_equal(
        one_epoch(problem, descent, parameters).parameters, one_epoch(absent, descent, parameters).parameters
    )


@pytest.mark.slow
def test_in_mini_batches_a_weight_of_2_equals_the_row_twice_in_expectation():
    """The sum of the updates of one epoch, at a rate too small for the weights to move, averaged over many orders."""
    counts = np.random.default_rng(3).integers(1, 5, 60)
    plain = dict(mode="mini-batch", optimizer="sgd", learning_rate=1e-7, batch_size=7)
    weighted, descent = make_both(**plain, weight=counts.astype(float))
    repeated = replace(make_problem(), training=[np.repeat(np.arange(60), counts)])
    parameters = weighted.network.initialize(1, np.random.default_rng(0))
    rows = repeated.training[0]
    _, exact = repeated.network.error_and_gradient(
        parameters[0], repeated.samples.values[rows, :-1], repeated.expected[rows], "cross_entropy"
    )
    for problem in (weighted, repeated):
        moved = []
        for seed in range(300):
            training = Training(Backprop(), problem, descent, parameters, [np.random.default_rng(seed)])
            after = training.run(problem, descent, Stopping(1, 10, 0.0)).parameters[0]
            batches = -(-len(problem.training[0]) // 7)
            moved.append((parameters[0] - after) / 1e-7 / batches)
        error = np.std(moved, axis=0) / np.sqrt(len(moved))
        assert (np.abs(np.mean(moved, axis=0) - exact) < 4.5 * error + 1e-6).all()


@pytest.mark.parametrize("mode", ["mini-batch", "batch"])
def test_dropout_does_not_depend_on_how_a_stack_cuts_a_batch_into_pieces(mode, monkeypatch):
    monkeypatch.setattr(PiecewisePass, "PIECE_BYTES", 1 << 15)  # pieces of 64 samples for 6 members, of more for one
    settings = dict(mode=mode, batch_size=300, dropout=0.3)
    problem, descent = make_both(members=6, n=700, **settings)
    parameters = problem.network.initialize(6, seeds(6, 9))
    together = Training(Backprop(), problem, descent, parameters, seeds(6)).run(problem, descent, Stopping(3, 10, 0.0))
    for i in (0, 5):
        only = problem.select(np.array([i]))
        how = descent.select(np.array([i]))
        alone = Training(Backprop(), only, how, parameters[[i]], seeds(1, i)).run(only, how, Stopping(3, 10, 0.0))
        np.testing.assert_allclose(together.parameters[i], alone.parameters[0], rtol=1e-9)


def test_the_error_of_a_smoothed_epoch_is_that_of_the_smoothed_targets():
    problem, descent = make_both(**PLAIN, label_smoothing=0.3)
    parameters = problem.network.initialize(1, np.random.default_rng(0))
    expected = 0.7 * problem.expected + 0.15
    error, _ = problem.network.error_and_gradient(
        parameters[0], problem.samples.values[:, :-1], expected, "cross_entropy"
    )
    assert one_epoch(problem, descent, parameters).history[0][0]["error"] == pytest.approx(error)


def moments_after(members, updates, dtype=np.float32):
    """Train one update with moments that are tiny, where the members have done some updates already."""
    problem, descent = make_both(members=members, mode="batch", dtype=dtype)
    training = Training(
        Backprop(), problem, descent, problem.network.initialize(members, seeds(members), dtype), seeds(members)
    )
    training.state.updates[:] = updates
    for moment in ("moment_0", "moment_1"):
        training.state.arrays[moment][:, :3] = [1e-8, 1e-25, 1e-36]
    problem.samples.values[:] = 0  # the gradient of these weights is 0
    training.run(problem, descent, Stopping(1, 10, 0.0))
    return training.state.arrays["moment_0"][:, :3]


def test_moments_on_their_way_to_subnormal_numbers_become_0_now_and_then():
    kept, flushed = moments_after(2, [5, 127])
    np.testing.assert_allclose(kept, 0.9 * np.array([1e-8, 1e-25, 1e-36]), rtol=1e-5)
    np.testing.assert_allclose(flushed, 0.9 * np.array([1e-8, 1e-25, 0]), rtol=1e-5)


def test_members_have_plateaus_of_their_own():
    plateau = {"name": "plateau", "patience": 2, "tol": 1e-3}
    problem = make_problem(members=2)
    descent = Descent.join([make_descent(schedule=plateau, learning_rate=rate) for rate in (0.05, 1e-7)])
    first = problem.network.initialize(2, seeds(2, 5))
    together = Training(Backprop(), problem, descent, first, seeds(2)).run(problem, descent, Stopping(7, 1000, 0.0))
    assert together.state.arrays["plateau_factor"].tolist() == [1, 0.125]  # the second one does not get better
    for i in range(2):
        only = problem.select(np.array([i]))
        how = descent.select(np.array([i]))
        alone = Training(Backprop(), only, how, first[[i]], seeds(1, i)).run(only, how, Stopping(7, 1000, 0.0))
        np.testing.assert_allclose(
            together.state.arrays["parameters"][i], alone.state.arrays["parameters"][0], rtol=1e-9
        )


def test_a_plateau_forgets_the_errors_on_other_data():
    problem, descent = make_both(schedule={"name": "plateau", "patience": 3}, validation=15, learning_rate=0.05)
    training = Training(Backprop(), problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    training.run(problem, descent, Stopping(20, 1000, 0.0))
    training.state.arrays["plateau_best"][:] = -5  # as if the old data had been much easier
    training.run(problem, descent, Stopping(1, 1000, 0.0), new_data=True)
    assert training.state.arrays["plateau_best"][0] > 0
