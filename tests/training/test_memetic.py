import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnexp import Backprop, BackpropMLP, GeneticAlgorithm, Memetic, Network, fit_many
from nnexp.training import Stopping, Training
from nnexp.training.memetic import passes
from tests.training.problems import make_both, make_descent, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def start(algorithm, problem, descent):
    state = algorithm.start(
        problem,
        descent,
        problem.network.initialize(problem.n_members, seeds(problem.n_members)),
        seeds(problem.n_members),
    )
    return state, algorithm.bind(problem, descent, state)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_it_learns_xor_without_a_mistake(seed):
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm="memetic", random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


@given(
    seed=st.integers(0, 10_000),
    learning=st.sampled_from(["lamarckian", "baldwinian"]),
    rate=st.floats(1e-4, 3.0),
    clones=st.floats(0, 1),
    islands=st.sampled_from([1, 2]),
    steps=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_the_best_error_on_a_fixed_batch_never_gets_worse(seed, learning, rate, clones, islands, steps):
    problem, descent = make_both(seed=seed, learning_rate=rate, l2=0.01, n=40)
    algorithm = Memetic(
        learning=learning,
        clones=clones,
        gradient_steps=steps,
        evolution={"population_size": 8, "elite": 1, "batch_size": None, "islands": islands},
    )
    state, step = start(algorithm, problem, descent)
    best = []
    with np.errstate(all="ignore"):
        for _ in range(6):
            progress = step()
            best.append(float((progress.candidate_errors + problem.penalty(progress.candidates)).min()))
    assert (np.diff(best) <= 1e-12).all()


@pytest.mark.parametrize("learning", ["lamarckian", "baldwinian"])
def test_a_child_that_is_a_copy_learns_as_by_hand(learning):
    """Full batches and plain descent: w ← w − η ∇E, three times."""
    problem, descent = make_both(mode="batch", optimizer="sgd", learning_rate=0.5)
    algorithm = Memetic(clones=1.0, gradient_steps=3, learning=learning, evolution={"population_size": 4, "elite": 1, "batch_size": None, "selection": {"name": "truncation", "share": 0.25}})  # fmt: skip
    state, step = start(algorithm, problem, descent)
    born = state.arrays["population"][0].copy()
    step()
    best = state.arrays["population"][0][0].copy()
    np.testing.assert_array_equal(state.arrays["population"][0], np.tile(best, (4, 1)))  # the elite, and copies of it
    step()
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)

    def learnt(w):
        for _ in range(3):
            w = w - 0.5 * problem.network.error_and_gradient(w, X, Y, "cross_entropy")[1]
        return w

    kept = step._candidates[0, 0]
    if learning == "lamarckian":
        first = np.stack([born[0], *map(learnt, born[1:])])
        errors, _ = problem.network.error_and_gradient(first, X, Y, "cross_entropy")
        np.testing.assert_allclose(best, first[errors.argmin()], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(kept, learnt(best), rtol=1e-9, atol=1e-12)
    else:
        assert any((best == own).all() for own in born)  # the genome is what it was born with
        np.testing.assert_allclose(kept, learnt(best), rtol=1e-9, atol=1e-12)
        assert (best != kept).any()


@pytest.mark.parametrize(
    ("share", "own"),
    [
        (
            0.0,
            GeneticAlgorithm(
                elite=1, crossover="arithmetic", crossover_rate=1.0, mutation={"name": "scaled", "sigma": 0.01}
            ),
        ),
        (1.0, Backprop()),
    ],
)
def test_the_ends_of_the_dial_are_pure_evolution_and_pure_descent_to_the_bit(share, own):
    X, y = np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 2
    if share == 0:
        own.set_params(selection={"name": "truncation", "share": 0.75})
    shared = {"hidden_layer_sizes": (5,), "max_iter": 15, "random_state": 1, "dropout": 0.0, "l2": 0.001}
    dial = BackpropMLP(algorithm=Memetic(gradient_share=share), **shared).fit(X, y)
    pure = BackpropMLP(algorithm=own, **shared).fit(X, y)
    assert type(dial.algorithm_) is type(own)
    np.testing.assert_array_equal(dial.parameters_, pure.parameters_)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("n", [60, 5000])
def test_the_share_is_what_gradients_get_of_the_evaluations(share, n):
    problem, descent = make_both(n=n)
    algorithm = Memetic(gradient_share=share)
    children = algorithm.size(0) - algorithm.n_candidates
    updates = algorithm.updates(problem.network, n, 0, descent)
    learnt = 3 * children * sum(passes(n, updates, descent))
    whole = algorithm.cost(problem.network, n, 0, descent)
    one_update = 3 * children * descent.batch_size
    assert learnt / whole == pytest.approx(share, abs=max(0.05, one_update / whole))


def test_a_generation_costs_what_it_says():
    problem, descent = make_both(n=70)
    algorithm = Memetic(gradient_steps=7, evolution={"population_size": 9, "elite": 2, "batch_size": 30})
    _, step = start(algorithm, problem, descent)
    # 7 updates of 16 rows: an epoch of 5 updates over 70 rows and two updates more.
    assert step().evaluations == 9 * 30 + 7 * 3 * (70 + 32)
    assert algorithm.cost(problem.network, 70, 0, descent) == 9 * 30 + 7 * 3 * 102 + 2 * 70


@pytest.mark.parametrize(("updates", "expected"), [(1, [16]), (4, [64]), (5, [70]), (12, [70, 70, 32])])
def test_updates_are_whole_epochs_and_a_part_of_one(updates, expected):
    assert passes(70, updates, make_descent()) == expected


def test_moments_of_the_optimizer_are_inherited_with_the_weights():
    problem, descent = make_both(optimizer="adam")
    algorithm = Memetic(clones=1.0, gradient_steps=2, evolution={"population_size": 6, "elite": 1})
    state, step = start(algorithm, problem, descent)
    step()
    moments, population = state.arrays["moment_0"][0], state.arrays["population"][0]
    for i in range(1, 6):
        twins = [j for j in range(6) if (population[j] == population[i]).all()]
        assert all((moments[j] == moments[i]).all() for j in twins)
    before = state.arrays["learnt"][0].copy()
    assert set(before) <= {0, 2}
    step._breeder._teach()
    np.testing.assert_array_equal(state.arrays["learnt"][0], before + np.where(np.arange(6) < 1, 0, 2))


def test_absent_connections_stay_absent_while_children_learn():
    algorithm = Memetic(
        clones=1.0,
        gradient_steps=5,
        evolution={"population_size": 6, "elite": 1, "evolve": ("weights", "activations", "connections")},
    )
    network = algorithm.extend(Network((3, 6, 2), "tanh", "softmax"))
    problem, descent = make_both(network=network, learning_rate=0.1)
    state, step = start(algorithm, problem, descent)
    gone = np.flatnonzero(network.penalty_mask)[::3]
    state.arrays["population"][0][:, gone] = 0.0
    choices = state.arrays["population"][0][:, network.choices[1]].copy()
    # What the optimizer remembers of a connection that has just gone does not bring it back.
    state.arrays["moment_0"][..., gone], state.arrays["moment_1"][..., gone], state.arrays["learnt"][:] = 0.5, 0.1, 3
    before = state.arrays["population"][0].copy()
    step._breeder._teach()
    after = state.arrays["population"][0]
    assert not after[:, gone].any()
    np.testing.assert_array_equal(after[:, network.choices[1]], choices)
    assert (after[1:] != before[1:]).any(axis=1).all()


def test_descent_after_evolution_leaves_absent_connections_at_0_too():
    algorithm = GeneticAlgorithm(evolve=("weights", "connections"))
    network = algorithm.extend(Network((3, 6, 2), "tanh", "softmax"))
    problem, descent = make_both(network=network, l2=0.01, weight_decay=0.01)
    first = network.initialize(1, seeds(1))
    first[:, np.flatnonzero(network.penalty_mask)[::2]] = 0.0
    training = Training(Backprop(), problem, descent, first, seeds(1)).run(problem, descent, Stopping(5, 100, 0.0))
    np.testing.assert_array_equal(
        training.parameters[0, network.penalty_mask] == 0, first[0, network.penalty_mask] == 0
    )


def test_learning_diverges_without_winning():
    problem, descent = make_both(learning_rate=1e9, optimizer="sgd", mode="batch", l2=1.0)
    algorithm = Memetic(gradient_steps=60, evolution={"population_size": 6, "elite": 2, "batch_size": None})
    first = problem.network.initialize(1, seeds(1))
    training = Training(algorithm, problem, descent, first, seeds(1)).run(problem, descent, Stopping(4, 100, 0.0))
    assert np.isfinite(training.parameters).all()
    assert np.isfinite(training.best_error).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gradient_share": 1.5}, "Memetic(gradient_share=...) must be in [0, 1]"),
        ({"gradient_steps": 0}, "Memetic(gradient_steps=...)"),
        ({"learning": "lamarkian"}, "Memetic(learning=...)"),
        ({"clones": -0.1}, "Memetic(clones=...)"),
        ({"evolution": {"population_size": 1}}, "GeneticAlgorithm(population_size=...)"),
        ({"evolution": {"elite": 20}}, "GeneticAlgorithm(elite=...)"),
        ({"evolution": {"mutation": "nonsense"}}, "GeneticAlgorithm(mutation=...)"),
        ({"evolution": {"elites": 2}}, "Memetic(evolution=...): algorithm 'genetic' has no parameter 'elites'"),
        ({"evolution": "snes"}, "Memetic(evolution=...) must be a GeneticAlgorithm"),
    ],
)
def test_impossible_settings_name_the_parameter(settings, said):
    with pytest.raises((ValueError, TypeError)) as caught:
        BackpropMLP(algorithm=Memetic(**settings)).fit(*XOR)
    assert said in str(caught.value)


def test_it_is_copied_and_compared_by_its_settings():
    one = Memetic(gradient_share=0.5)
    assert copy.deepcopy(one) == one
    assert Memetic() != one
    assert repr(one) == "Memetic(gradient_share=0.5)"


def test_settings_of_its_evolution_are_set_by_name_on_the_recipe_or_on_an_object():
    model = BackpropMLP(algorithm=Memetic())
    assert model.get_params()["algorithm__evolution__crossover"] == "arithmetic"
    model.set_params(algorithm__evolution__elite=2)
    assert (model.algorithm.breeding().elite, model.algorithm.breeding().crossover) == (2, "arithmetic")
    model.set_params(algorithm__evolution=GeneticAlgorithm(40), algorithm__evolution__elite=3)
    assert model.algorithm.breeding() == GeneticAlgorithm(40, elite=3)
    with pytest.raises(ValueError, match="GeneticAlgorithm has no parameter 'elites'"):
        model.set_params(algorithm__evolution__elites=3)


@pytest.mark.parametrize(("share", "islands", "size"), [(0.99, 1, 4), (0.5, 1, 64), (0.5, 3, 66), (0.0, 1, 128)])
def test_a_population_has_the_size_that_gradients_leave_it(share, islands, size):
    assert Memetic(gradient_share=share, evolution={"islands": islands}).breeding().population_size == size
    assert Memetic(gradient_share=share, evolution=GeneticAlgorithm(48)).breeding().population_size == 48


def test_a_plateau_lowers_the_rate_of_learning():
    problem, descent = make_both(
        mode="batch", optimizer="sgd", learning_rate=0.5, schedule={"name": "plateau", "patience": 2}
    )
    algorithm = Memetic(clones=1.0, gradient_steps=1, evolution={"population_size": 2, "elite": 1, "batch_size": None})
    state, step = start(algorithm, problem, descent)
    for _ in range(4):
        algorithm.observe(problem, descent, state, np.array([1.0]), np.ones((1, 1)))
    assert state.arrays["plateau_factor"][0] == 0.5
    before = state.arrays["population"][0][1].copy()
    step._breeder._teach()
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    _, gradient = problem.network.error_and_gradient(before, X, Y, "cross_entropy")
    np.testing.assert_allclose(state.arrays["population"][0][1], before - 0.25 * gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["memetic", "pbt"])
@pytest.mark.parametrize(
    "settings",
    [{"batch_size": 500}, *(pytest.param(each, marks=pytest.mark.slow) for each in ({"descent": "batch"}, {}))],
    ids=str,
)
def test_a_fit_does_not_depend_on_the_fits_beside_it(algorithm, settings):
    """Also where batches are cut into pieces, and dropout draws for each."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)).astype(np.float32)
    y = X[:, 0] * X[:, 1] > 0
    models = [
        BackpropMLP(
            hidden_layer_sizes=(64,),
            algorithm=algorithm,
            max_iter=4,
            dropout=0.2,
            random_state=seed,
            validation="none",
            **settings,
        )
        for seed in range(3)
    ]
    alone = [copy.deepcopy(model).fit(X, y).parameters_ for model in models]
    for model, own in zip(fit_many(models, X, y), alone, strict=True):
        np.testing.assert_allclose(model.parameters_, own, rtol=1e-4, atol=1e-5)


def test_clones_and_the_elite_have_not_mutated():
    algorithm = Memetic(
        clones=0.25,
        gradient_steps=1,
        evolution={"population_size": 10, "elite": 2, "mutation": {"name": "gesmr", "groups": 2}},
    )
    state, step = start(algorithm, *make_both())
    step()
    np.testing.assert_array_equal(np.flatnonzero(state.arrays["mutated"][0]), np.arange(2, 8))
