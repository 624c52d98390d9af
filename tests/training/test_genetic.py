import numpy as np
import pytest

from nnexp import BackpropMLP, GeneticAlgorithm, Network
from nnexp.training import Stopping, Training
from nnexp.training.genetic import _Generation
from tests.training.problems import make_problem, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def generation(settings, problem=None):
    problem = problem or make_problem()
    parameters = problem.network.initialize(problem.n_members, seeds(problem.n_members))
    state = settings.start(problem, parameters, seeds(problem.n_members))
    return problem, state, _Generation(settings, problem, state)


@pytest.mark.parametrize("seed", range(10))
def test_evolution_learns_xor_without_a_mistake(seed):
    model = BackpropMLP(hidden_layer_sizes=(4,), activation="tanh", algorithm="genetic", random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


def test_evolution_trains_step_neurons():
    model = BackpropMLP(hidden_layer_sizes=(6,), activation="step", algorithm="genetic", random_state=0)
    assert model.fit(*XOR).score(*XOR) == 1.0


@pytest.mark.parametrize("selection", ["truncation", "tournament"])
@pytest.mark.parametrize("crossover", ["neuron", "uniform"])
def test_every_operator_lowers_the_error(selection, crossover):
    algorithm = GeneticAlgorithm(population_size=40, selection=selection, crossover=crossover)
    problem = make_problem(n=120)
    training = Training(algorithm, problem, problem.network.initialize(1, seeds(1)), seeds(1))
    training.run(problem, Stopping(150, 1000, 0.0))
    errors = [row["error"] for row in training.history[0]]
    assert errors[-1] < 0.6 * errors[0]


def test_the_elite_survives_unchanged_and_is_scored_again_on_the_batch_of_its_children():
    problem, state, step = generation(GeneticAlgorithm(population_size=20, elite=3, batch_size=10))
    before = state.arrays["population"][0].copy()
    drawn = []
    errors = step._sweep.errors
    step._sweep.errors = lambda *arguments: (drawn.append(step._sweep.inputs.copy()), errors(*arguments))[1]
    candidates = step().candidates[0].copy()
    after = state.arrays["population"][0].copy()
    np.testing.assert_array_equal(after[:3], candidates)
    assert all(any((row == old).all() for old in before) for row in candidates)
    step()
    assert len(drawn) == 2
    assert (drawn[0] != drawn[1]).any()  # a new batch for all of the generation


def test_parents_by_truncation_are_the_best_share_evenly_drawn():
    _, _, step = generation(GeneticAlgorithm(population_size=50, truncation=0.2))
    ranks = step._select(np.random.default_rng(0), 20_000)
    counts = np.bincount(ranks.ravel(), minlength=50)
    assert not counts[10:].any()
    np.testing.assert_allclose(counts[:10] / counts.sum(), 0.1, atol=0.01)


def test_parents_by_tournament_have_the_probability_of_their_rank():
    size, k = 20, 3
    _, _, step = generation(GeneticAlgorithm(population_size=size, selection="tournament", tournament_size=k))
    ranks = step._select(np.random.default_rng(0), 50_000)
    got = np.bincount(ranks.ravel(), minlength=size) / ranks.size
    # The best of k drawn has a rank of at least r with probability ((size − r) / size)^k.
    at_least = ((size - np.arange(size + 1)) / size) ** k
    np.testing.assert_allclose(got, -np.diff(at_least), atol=0.004)


def bred(settings, network=None):
    """Breed once from parents that are all zeros or all ones; mutation is as good as none."""
    problem = make_problem(network=network)
    problem, state, step = generation(settings, problem)
    population = state.arrays["population"][0]
    population[:] = np.arange(len(population))[:, np.newaxis] % 2
    step._breed(0, np.arange(len(population)))
    return problem.network, population[settings.elite :].round(3)


def test_neuron_wise_crossover_takes_all_weights_into_a_neuron_from_one_parent():
    network, children = bred(GeneticAlgorithm(population_size=400, truncation=1.0, crossover_rate=1.0, sigma=1e-9))
    by_neuron = np.stack([children[:, network.neuron_of_parameter == i] for i in range(6)], axis=1)
    assert (by_neuron == by_neuron[..., :1]).all()  # one parent a neuron
    mixed = (by_neuron[..., 0].min(axis=1) == 0) & (by_neuron[..., 0].max(axis=1) == 1)
    # Half of the pairs have two kinds of parents, and 8 neurons rarely come from one parent alone.
    assert mixed.mean() == pytest.approx(0.5 * (1 - 2 * 0.5**6), abs=0.08)


def test_uniform_crossover_takes_half_of_the_weights_from_each_parent():
    settings = GeneticAlgorithm(
        population_size=400, truncation=1.0, crossover="uniform", crossover_rate=1.0, sigma=1e-9
    )
    _, children = bred(settings)
    share = children.mean(axis=1)
    assert ((share == 0) | (share == 1)).mean() == pytest.approx(0.5, abs=0.08)  # parents of one kind
    assert share[(share > 0) & (share < 1)].mean() == pytest.approx(0.5, abs=0.03)


def test_without_crossover_a_child_has_one_parent():
    _, children = bred(GeneticAlgorithm(population_size=200, truncation=1.0, crossover_rate=0.0, sigma=1e-9))
    assert set(children.mean(axis=1)) == {0.0, 1.0}


def test_mutation_is_normal_with_sigma_times_the_initial_scale_of_each_weight():
    network = Network((3, 40, 2), {"tanh": 20, "relu": 20}, "softmax", connections=0.6)
    settings = GeneticAlgorithm(population_size=500, crossover_rate=0.0, mutation_rate=1.0, sigma=0.25, adaptation=0.0)
    problem, state, step = generation(settings, make_problem(network=network))
    population = state.arrays["population"][0]
    population[:] = 0
    step._breed(0, np.arange(500))
    spread = population[settings.elite :].std(axis=0)
    np.testing.assert_allclose(spread, 0.25 * network.initial_scale, rtol=0.15, atol=1e-12)
    assert not population[:, ~network.mask].any()


def test_mutation_rate_is_the_share_of_weights_that_change():
    settings = GeneticAlgorithm(population_size=300, crossover_rate=0.0, mutation_rate=0.2)
    _, state, step = generation(settings)
    state.arrays["population"][0][:] = 0
    step._breed(0, np.arange(300))
    assert (state.arrays["population"][0][4:] != 0).mean() == pytest.approx(0.2, abs=0.02)


def test_sigma_is_inherited_and_varies_by_its_adaptation():
    settings = GeneticAlgorithm(population_size=2000, sigma=0.1, adaptation=0.3)
    _, state, step = generation(settings)
    step._breed(0, np.arange(2000))
    logs = np.log(state.arrays["sigma"][0][settings.elite :] / 0.1)
    assert logs.mean() == pytest.approx(0, abs=0.03)
    assert logs.std() == pytest.approx(0.3, rel=0.06)


def test_a_child_inherits_the_geometric_mean_of_its_parents_sigmas():
    settings = GeneticAlgorithm(population_size=600, truncation=1.0, crossover_rate=1.0, adaptation=0.0)
    _, state, step = generation(settings)
    state.arrays["sigma"][0] = np.where(np.arange(600) % 2, 0.4, 0.1)
    step._breed(0, np.arange(600))
    sigma = state.arrays["sigma"][0]
    np.testing.assert_allclose(sigma[: settings.elite], [0.1, 0.4, 0.1, 0.4])
    kinds, counts = np.unique(sigma[settings.elite :].round(9), return_counts=True)
    np.testing.assert_allclose(kinds, [0.1, 0.2, 0.4])
    np.testing.assert_allclose(counts / counts.sum(), [0.25, 0.5, 0.25], atol=0.07)


def test_the_first_parameters_are_among_the_first_population():
    problem = make_problem()
    first = np.full((1, problem.network.n_parameters), 7.0)
    state = GeneticAlgorithm().start(problem, first, seeds(1))
    assert (state.arrays["population"][0][0] == 7).all()


def test_l2_decides_between_networks_of_equal_error():
    settings = GeneticAlgorithm(population_size=6, elite=1, batch_size=None)
    problem, state, step = generation(settings, make_problem(l2=1.0))
    small, large = np.zeros(problem.network.n_parameters), np.zeros(problem.network.n_parameters)
    small[0], large[0] = 0.5, 3.0  # weights of an input into a neuron that leads nowhere
    state.arrays["population"][0][:] = large
    state.arrays["population"][0][4] = small
    np.testing.assert_array_equal(step().candidates[0, 0], small)


def test_a_network_whose_error_is_nan_ranks_last():
    problem, state, step = generation(GeneticAlgorithm(population_size=10, elite=2))
    state.arrays["population"][0][:8] = np.nan
    sound = state.arrays["population"][0][8:].copy()
    with np.errstate(all="ignore"):
        candidates = step().candidates[0]
    assert {tuple(row) for row in candidates} == {tuple(row) for row in sound}


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"population_size": 1}, ValueError),
        ({"population_size": 2.5}, TypeError),
        ({"elite": 0}, ValueError),
        ({"elite": 128}, ValueError),
        ({"selection": "roulete"}, ValueError),
        ({"truncation": 0}, ValueError),
        ({"crossover": "one-point"}, ValueError),
        ({"crossover_rate": 1.1}, ValueError),
        ({"mutation_rate": -0.1}, ValueError),
        ({"sigma": 0}, ValueError),
        ({"adaptation": -1}, ValueError),
        ({"batch_size": 0}, ValueError),
    ],
)
def test_impossible_settings_name_the_parameter(settings, error):
    (name,) = settings
    with pytest.raises(error) as caught:
        BackpropMLP(algorithm=GeneticAlgorithm(**settings)).fit(*XOR)
    assert f"GeneticAlgorithm({name}=...)" in str(caught.value)
