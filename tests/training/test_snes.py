import math

import numpy as np
import pytest

from nnexp import SNES, BackpropMLP, Network
from tests.training.problems import make_both, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def setup(algorithm, network=None):
    problem, descent = make_both(network=network)
    first = problem.network.initialize(1, seeds(1))
    state = algorithm.start(problem, descent, first, seeds(1))
    return problem, state, algorithm.breeder(problem, state, None)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_it_learns_xor_without_a_mistake(seed):
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm="snes", random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


def test_networks_are_normal_around_the_mean_with_sigma_times_the_scale_of_each_weight():
    network = Network((3, 40, 2), {"tanh": 20, "relu": 20}, "softmax", connections=0.6)
    problem, state, sampler = setup(SNES(population_size=4000, sigma=0.3), network)
    drawn = sampler.ask(0, np.random.default_rng(0))
    mean = state.arrays["mean"][0]
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=5 * 0.3 * network.initial_scale.max() / math.sqrt(4000))
    np.testing.assert_allclose(drawn.std(axis=0), 0.3 * network.initial_scale, rtol=0.06, atol=1e-12)


def test_an_update_is_that_of_the_paper():
    """Schaul et al. 2011: z = μ + σ s; ∇μ = Σ u s; ∇σ = Σ u (s² − 1); μ += η_μ σ ∇μ; σ *= exp(η_σ / 2 ∇σ)."""
    algorithm = SNES(population_size=6, sigma=0.3, learning_rate=0.7, sigma_rate=0.2)
    problem, state, sampler = setup(algorithm)
    mean, spread = state.arrays["mean"][0].copy(), state.arrays["spread"][0].copy()
    population = sampler.ask(0, np.random.default_rng(0))
    value = np.array([3.0, np.inf, 1.0, 2.0, 9.0, 5.0])
    sampler.tell(0, population, value)
    ranks = {2: 1, 3: 2, 0: 3, 5: 4, 4: 5, 1: 6}
    raw = {i: max(0.0, math.log(6 / 2 + 1) - math.log(rank)) for i, rank in ranks.items()}
    u = {i: own / sum(raw.values()) - 1 / 6 for i, own in raw.items()}
    for d in range(problem.network.n_parameters):
        s = [(population[i, d] - mean[d]) / spread[d] for i in range(6)]
        gradient = sum(u[i] * s[i] for i in range(6))
        wider = sum(u[i] * (s[i] ** 2 - 1) for i in range(6))
        assert state.arrays["mean"][0, d] == pytest.approx(mean[d] + 0.7 * spread[d] * gradient, abs=1e-12)
        assert state.arrays["spread"][0, d] == pytest.approx(spread[d] * math.exp(0.1 * wider), abs=1e-12)


def test_absent_connections_stay_at_0():
    network = Network((3, 6, 2), "tanh", "softmax", connections=0.5)
    problem, state, sampler = setup(SNES(population_size=10), network)
    for i in range(5):
        population = sampler.ask(0, np.random.default_rng(i))
        assert not population[:, ~network.mask].any()
        sampler.tell(0, population, np.arange(10.0))
    assert not state.arrays["mean"][0, ~network.mask].any()
    assert np.isfinite(sampler.sigma(0))


def test_the_population_grows_with_the_root_of_the_weights():
    assert SNES().size(2410) == round(2 * math.sqrt(2410))
    assert SNES().size(10) == 4 + int(3 * math.log(10))
    assert SNES(population_size=7).size(2410) == 7


def test_candidates_are_the_mean_after_the_update_and_the_best_network_drawn():
    algorithm = SNES(population_size=12, batch_size=None)
    problem, descent = make_both()
    state = algorithm.start(problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    step = algorithm.bind(problem, descent, state)
    progress = step()
    np.testing.assert_array_equal(progress.candidates[0, 0], state.arrays["mean"][0])
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    errors, _ = problem.network.error_and_gradient(step._breeder._population, X, Y, "cross_entropy")
    np.testing.assert_array_equal(progress.candidates[0, 1], step._breeder._population[errors.argmin()])
    assert progress.error[0] == pytest.approx(errors.min())
    assert progress.evaluations == 12 * 60


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 1}, {"sigma": 0}, {"learning_rate": -1}, {"sigma_rate": -0.1}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_impossible_settings_name_the_parameter(settings):
    (name,) = settings
    with pytest.raises(ValueError) as caught:
        BackpropMLP(algorithm=SNES(**settings)).fit(*XOR)
    assert f"SNES({name}=...)" in str(caught.value)
