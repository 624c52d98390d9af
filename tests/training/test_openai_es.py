import numpy as np
import pytest

from nnexp import BackpropMLP, OpenAIES
from tests.training.problems import make_both, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def setup(algorithm):
    problem, descent = make_both()
    state = algorithm.start(problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    return problem, state, algorithm.breeder(problem, state, None)


def test_networks_are_drawn_in_pairs_around_the_mean():
    problem, state, sampler = setup(OpenAIES(population_size=2000, sigma=0.2))
    population = sampler.ask(0, np.random.default_rng(0))
    mean = state.arrays["mean"][0]
    np.testing.assert_allclose(population[:1000] - mean, mean - population[1000:], atol=1e-12)
    np.testing.assert_allclose((population[:1000] - mean).std(axis=0), 0.2 * problem.network.initial_scale, rtol=0.12)


def test_an_update_is_that_of_the_paper():
    """Salimans et al. 2017: θ ← θ + α 1 / (n σ) Σ F ε, with F the centred ranks, the best highest; here by plain descent."""
    algorithm = OpenAIES(population_size=6, sigma=0.2, learning_rate=0.5, optimizer="sgd")
    problem, state, sampler = setup(algorithm)
    mean, scale = state.arrays["mean"][0].copy(), problem.network.initial_scale
    population = sampler.ask(0, np.random.default_rng(0))
    sampler.tell(0, population, np.array([3.0, np.inf, 1.0, 2.0, 9.0, 5.0]))
    centred = np.array([0.1, -0.5, 0.5, 0.3, -0.3, -0.1])
    noise = (population - mean) / scale / 0.2
    expected = mean + scale * 0.5 * (centred[:, np.newaxis] * noise).sum(axis=0) / (6 * 0.2)
    np.testing.assert_allclose(state.arrays["mean"][0], expected, atol=1e-12)


def test_it_follows_the_gradient_of_a_smooth_error():
    problem, state, sampler = setup(OpenAIES(population_size=4000, sigma=0.01, learning_rate=1e-3, optimizer="sgd"))
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    mean, scale = state.arrays["mean"][0].copy(), problem.network.initial_scale
    _, gradient = problem.network.error_and_gradient(mean, X, Y, "cross_entropy")
    population = sampler.ask(0, np.random.default_rng(0))
    errors, _ = problem.network.error_and_gradient(population, X, Y, "cross_entropy")
    sampler.tell(0, population, errors)
    moved, down = (state.arrays["mean"][0] - mean) / scale, -gradient * scale
    assert moved @ down / np.linalg.norm(moved) / np.linalg.norm(down) > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_it_learns_xor_without_a_mistake(seed):
    model = BackpropMLP(hidden_layer_sizes=(8,), algorithm=OpenAIES(), max_iter=400, random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"population_size": 7}, "OpenAIES(population_size=...) must be even"),
        ({"sigma": 0}, "OpenAIES(sigma=...)"),
        ({"learning_rate": 0}, "OpenAIES(learning_rate=...)"),
        ({"optimizer": "adma"}, "OpenAIES(optimizer=...)"),
        ({"optimizer": "adamw"}, "OpenAIES(optimizer=...) knows no weight decay"),
    ],
)
def test_impossible_settings_name_the_parameter(settings, said):
    with pytest.raises(ValueError) as caught:
        BackpropMLP(algorithm=OpenAIES(**settings)).fit(*XOR)
    assert said in str(caught.value)
