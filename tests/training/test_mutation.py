import numpy as np
import pytest
from scipy import stats

from nnexp import Network
from nnexp.training import MUTATIONS
from nnexp.training.genome import Genome
from nnexp.training.mutation import Gaussian, GroupElite, Polynomial, Safe, Scaled
from tests.training.problems import make_problem

MIXED = Network((3, 40, 2), {"tanh": 20, "relu": 20}, "softmax", connections=0.6)


def mutated(mutation, sigma=None, network=MIXED, n=3000, seed=0, parents=None):
    problem = make_problem(network=network)
    genome = Genome(problem)
    start = np.zeros((n, network.n_parameters)) if parents is None else np.tile(parents, (n, 1))
    children = start.copy()
    genome.begin(children.copy(), lambda count: problem.samples.block(np.arange(30)[:count]))
    mutation.perturb(
        children, np.full(n, mutation.sigma if sigma is None else sigma), genome, np.random.default_rng(seed)
    )
    return children - start


@pytest.mark.parametrize("rate", [0.3, 0.8, 1.0])
@pytest.mark.parametrize(
    ("kind", "scale"), [(Scaled, MIXED.initial_scale), (Gaussian, (MIXED.initial_scale > 0).astype(float))]
)
def test_changes_are_normal_with_sigma_times_the_scale_of_the_weight(kind, scale, rate):
    changes = mutated(kind(sigma=0.25, rate=rate))
    present = scale > 0
    assert not changes[:, ~present].any()
    changed = changes[:, present] != 0
    assert changed.mean() == pytest.approx(rate, abs=0.003)
    assert np.abs(changed.mean(axis=0) - rate).max() < 5 * np.sqrt(0.25 / len(changes))
    units = (changes[:, present] / (0.25 * scale[present]))[changed]
    assert stats.kstest(units[:50_000], "norm").pvalue > 1e-3


def test_each_child_mutates_with_its_own_sigma():
    sigma = np.repeat([0.01, 1.0], 500)
    problem = make_problem(network=MIXED)
    children = np.zeros((1000, MIXED.n_parameters))
    Scaled(rate=1.0).perturb(children, sigma, Genome(problem), np.random.default_rng(0))
    spread = children[:, MIXED.initial_scale > 0].std(axis=1)
    assert spread[500:].mean() / spread[:500].mean() == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("eta", [3.0, 20.0])
def test_polynomial_changes_are_distributed_as_deb_and_goyal_say(eta):
    changes = mutated(Polynomial(sigma=0.5, rate=1.0, eta=eta), n=300)
    present = MIXED.initial_scale > 0
    delta = (changes[:, present] / (0.5 * MIXED.initial_scale[present])).ravel()
    # The density ½ (η + 1) (1 − |δ|)^η on [−1, 1].
    assert stats.kstest(np.abs(delta[:40_000]), lambda d: 1 - (1 - d) ** (eta + 1)).pvalue > 1e-3
    assert np.abs(delta).max() <= 1
    assert np.sign(delta).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("kind", [Scaled, Gaussian, Polynomial, Safe])
def test_sigma_is_inherited_as_the_geometric_mean_and_varies_by_its_adaptation(kind):
    parents = np.tile([0.1, 0.4], (5000, 1))
    logs = np.log(kind(adaptation=0.3).inherit(parents, {}, np.random.default_rng(0)) / 0.2)
    assert stats.kstest(logs / 0.3, "norm").pvalue > 1e-3
    np.testing.assert_allclose(kind(adaptation=0.0).inherit(parents, {}, np.random.default_rng(0)), 0.2)


def test_the_sigma_whose_best_child_wins_survives_and_the_others_descend_from_the_better_half():
    mutation = GroupElite(groups=4, spread=0.5)
    memory = {"group_sigma": np.array([0.01, 0.1, 1.0, 10.0])}
    # Children are dealt out in turn: the best one of all is of the group with 0.1, the next of that with 1.0.
    errors = np.array([5.0, 4.0, 3.0, 9.0, 6.0, 1.0, 7.0, 8.0])
    seen = []
    for seed in range(400):
        own = {"group_sigma": memory["group_sigma"].copy()}
        mutation.learn(errors, own, np.random.default_rng(seed))
        assert own["group_sigma"][0] == 0.1
        seen.append(own["group_sigma"][1:])
    logs = np.log10(np.ravel(seen))
    from_first, from_second = np.abs(logs + 1) < 0.25, np.abs(logs) < 0.25
    assert (from_first | from_second).all()  # each times exp(0.5 · U(−1, 1)), so within 0.22 of a power of ten
    assert from_first.mean() == pytest.approx(0.5, abs=0.05)
    assert stats.kstest(np.log(np.ravel(seen))[from_first] - np.log(0.1), "uniform", (-0.5, 1.0)).pvalue > 1e-3


def test_children_of_a_group_have_its_sigma():
    mutation = GroupElite(groups=3)
    memory = {"group_sigma": np.array([1.0, 2.0, 3.0])}
    got = mutation.inherit(np.ones((7, 2)), memory, np.random.default_rng(0))
    np.testing.assert_array_equal(got, [1, 2, 3, 1, 2, 3, 1])


def test_a_child_that_is_no_number_wins_for_no_sigma():
    memory = {"group_sigma": np.array([0.5, 2.0])}
    GroupElite(groups=2).learn(np.array([np.inf, 1.0]), memory, np.random.default_rng(0))
    assert memory["group_sigma"][0] == 2.0


@pytest.mark.parametrize("connections", ["full", "skip"])
def test_sensitivities_are_the_derivatives_of_the_outputs_inputs(connections):
    network = Network((3, 4, 2), "tanh", "softmax", connections)
    bare = Network((3, 4, 2), "tanh", "identity", connections)  # its outputs are their inputs
    problem = make_problem(network=network)
    genome = Genome(problem)
    parameters = network.initialize(2, np.random.default_rng(0))
    inputs = problem.samples.block(np.arange(25))
    genome.begin(parameters, lambda count: inputs[:count])
    got = genome.sensitivity(parameters, 20)
    X = inputs[:20, :3]
    expected = np.zeros_like(parameters)
    for j in range(network.n_parameters):
        step = np.zeros(network.n_parameters)
        step[j] = 1e-5
        slope = (bare.forward(parameters + step, X) - bare.forward(parameters - step, X)) / 2e-5
        expected[:, j] = np.sqrt((slope.mean(axis=1) ** 2).sum(axis=1))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_safe_mutations_are_normal_with_sigma_over_the_sensitivity():
    network = Network((3, 4, 2), "tanh", "softmax")
    parents = network.initialize(1, np.random.default_rng(0))[0]
    changes = mutated(Safe(sigma=0.1, rate=1.0, samples=30), network=network, n=6000, parents=parents)
    problem = make_problem(network=network)
    genome = Genome(problem)
    genome.begin(parents[np.newaxis], lambda count: problem.samples.block(np.arange(30)[:count]))
    sensitivity = genome.sensitivity(parents[np.newaxis], 30)[0]
    sensitivity = np.where(sensitivity == 0, 1.0, np.maximum(sensitivity, 0.01))
    np.testing.assert_allclose(changes.std(axis=0), 0.1 / sensitivity, rtol=0.05)


def test_safe_mutation_says_what_its_derivatives_cost():
    assert Safe(samples=64).evaluations(512, 10) == 64 * 21
    assert all(MUTATIONS[name].evaluations(512, 10) == 0 for name in MUTATIONS if name != "safe")


@pytest.mark.parametrize("kind", [Scaled, Gaussian, Polynomial, Safe, GroupElite])
@pytest.mark.parametrize(("name", "value"), [("sigma", 0), ("sigma", -1), ("rate", 0), ("rate", 1.2)])
def test_impossible_settings_are_named(kind, name, value):
    with pytest.raises(ValueError) as caught:
        kind(**{name: value})
    assert f"{kind.__name__}({name}=...)" in str(caught.value)
