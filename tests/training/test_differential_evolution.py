from itertools import permutations

import numpy as np
import pytest

from nnexp import BackpropMLP, DifferentialEvolution, Network
from tests.training.problems import make_problem

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def member(population, seed=0):
    """Return the arrays of a member with a population."""
    problem = make_problem()
    algorithm = DifferentialEvolution(population_size=len(population))
    own = algorithm.first(problem, np.zeros(problem.network.n_parameters), np.random.default_rng(seed))
    return {**own, "population": population.copy()}


@pytest.mark.parametrize("variant", ["rand/1", "current-to-best/1"])
def test_each_trial_is_made_of_three_others_as_the_equation_says(variant):
    rng = np.random.default_rng(1)
    population = rng.normal(size=(5, 12))
    own = member(population)
    own["best"][:] = 3
    scored = DifferentialEvolution(variant=variant).ask(own, rng)
    np.testing.assert_array_equal(scored[:5], population)
    crossed = scored[5:] != population
    assert crossed.any(axis=1).all()  # one weight at least
    for i, (trial, (strength, _)) in enumerate(zip(scored[5:], own["tried"], strict=True)):
        found = []
        for a, b, c in permutations([j for j in range(5) if j != i], 3):
            start = population[a] if variant == "rand/1" else population[i] + strength * (population[3] - population[i])
            wanted = start + strength * (population[b] - population[c])
            found.append(np.allclose(trial[crossed[i]], wanted[crossed[i]], rtol=1e-12))
        assert any(found)


def test_strength_and_crossover_are_drawn_anew_by_a_chance_of_one_in_ten():
    """Brest et al. 2006, equations 5 and 6: F from 0.1 to 1.0 and CR from 0 to 1."""
    algorithm, rng = DifferentialEvolution(), np.random.default_rng(0)
    own = member(rng.normal(size=(50, 4)))
    tried = []
    for _ in range(200):
        algorithm.ask(own, rng)
        tried.append(own["tried"].copy())
    strength, crossing = np.concatenate(tried).T
    for values, before, low, high in ((strength, 0.5, 0.1, 1.0), (crossing, 0.9, 0.0, 1.0)):
        changed = values != before
        assert 0.09 < changed.mean() < 0.11
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high
        assert values[changed].mean() == pytest.approx((low + high) / 2, abs=0.03)


def test_what_is_not_worse_takes_the_place_of_its_parent_and_keeps_its_settings():
    own = member(np.zeros((4, 3)))
    own["tried"][:] = [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]]
    scored = np.concatenate([np.zeros((4, 3)), np.ones((4, 3))])
    DifferentialEvolution().tell(own, scored, np.array([1.0, 1.0, 1.0, np.inf, 0.5, 1.0, 2.0, np.inf]))
    assert own["population"][:, 0].tolist() == [1, 1, 0, 1]
    assert own["strategy"].tolist() == [[0.1, 0.1], [0.2, 0.2], [0.5, 0.9], [0.4, 0.4]]
    assert own["best"].tolist() == [0]


@pytest.mark.parametrize("variant", ["rand/1", "current-to-best/1"])
def test_it_minimises_what_needs_no_network(variant):
    algorithm, rng = DifferentialEvolution(variant=variant), np.random.default_rng(0)
    own = member(rng.normal(size=(30, 6)))
    for _ in range(1500):
        scored = algorithm.ask(own, rng)
        x = scored - 0.5
        algorithm.tell(own, scored, (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1))
    np.testing.assert_allclose(own["population"][own["best"][0]], 1.5, atol=0.05)  # Rosenbrock's valley ends at 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variant", ["rand/1", "current-to-best/1"])
def test_it_learns_xor_without_a_mistake(variant, seed):
    algorithm = DifferentialEvolution(variant=variant)
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=algorithm, max_iter=300, random_state=seed).fit(*XOR)
    assert model.score(*XOR) == 1.0


def test_impossible_settings_are_named():
    for settings, said in (
        ({"population_size": 3}, r"must be in \[4, inf\). Got 3"),
        ({"variant": "best/2"}, "unknown value 'best/2'"),
        ({"batch_size": 0}, "batch_size"),
    ):
        with pytest.raises(ValueError, match=said):
            BackpropMLP(algorithm=DifferentialEvolution(**settings)).fit(*XOR)


def test_every_weight_differs_in_the_first_population_those_of_bias_neurons_too():
    problem = make_problem(network=Network((3, 6, 2), "tanh", "softmax", 0.5, random_state=0))
    algorithm = DifferentialEvolution(population_size=500)
    own = algorithm.first(problem, np.zeros(problem.network.n_parameters), np.random.default_rng(0))
    spread = own["population"].std(axis=0)
    np.testing.assert_allclose(spread, problem.network.initial_scale, rtol=0.15)
    absent = problem.network.initial_scale == 0
    assert absent.any()
    for _ in range(20):
        scored = algorithm.ask(own, np.random.default_rng(1))
        algorithm.tell(own, scored, np.random.default_rng(2).random(1000))
    assert not own["population"][:, absent].any()
