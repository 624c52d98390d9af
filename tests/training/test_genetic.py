import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnexp import BackpropMLP, Crossover, GeneticAlgorithm, Mutation, Network, Selection
from nnexp.network.activations import OneOf, ReLU, Sine, Tanh
from nnexp.training import CROSSOVERS, MUTATIONS, SELECTIONS, Stopping, Training
from tests.training.problems import make_both, make_descent, make_problem, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def generation(algorithm, problem=None):
    problem, descent = problem or make_problem(), make_descent()
    parameters = problem.network.initialize(problem.n_members, seeds(problem.n_members))
    state = algorithm.start(problem, descent, parameters, seeds(problem.n_members))
    return problem, state, algorithm.bind(problem, descent, state)


def marked(algorithm, problem=None):
    """Make a generation whose networks are marked: all weights of network i are i."""
    problem, state, step = generation(algorithm, problem)
    state.arrays["population"][0] = np.arange(algorithm.size(0))[:, np.newaxis]
    return problem, state, step


STILL = {"name": "scaled", "sigma": 1e-9, "adaptation": 0.0}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_evolution_learns_xor_without_a_mistake(seed):
    model = BackpropMLP(hidden_layer_sizes=(4,), activation="tanh", algorithm="genetic", random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


def test_evolution_trains_step_neurons():
    model = BackpropMLP(hidden_layer_sizes=(6,), activation="step", algorithm="genetic", random_state=0)
    assert model.fit(*XOR).score(*XOR) == 1.0


OPERATORS = [
    *[{"selection": name} for name in SELECTIONS],
    *[{"crossover": name} for name in CROSSOVERS],
    *[{"mutation": name} for name in MUTATIONS],
    {"islands": 4, "migration_interval": 3, "elite": 2},
    {"immigrants": 0.2, "stagnation": 2},
]


@pytest.mark.parametrize(
    "operators",
    [pytest.param(each, id=str(each), marks=pytest.mark.slow if i % 3 else ()) for i, each in enumerate(OPERATORS)],
)
def test_every_operator_lowers_the_error(operators):
    algorithm = GeneticAlgorithm(**{"population_size": 40, **operators})
    problem, descent = make_both(n=120)
    training = Training(algorithm, problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    training.run(problem, descent, Stopping(150, 1000, 0.0))
    errors = [row["error"] for row in training.history[0]]
    assert errors[-1] < 0.75 * errors[0]


def test_the_elite_survives_unchanged_and_is_scored_again_on_the_batch_of_its_children():
    problem, state, step = generation(GeneticAlgorithm(population_size=20, elite=3, batch_size=10))
    before = state.arrays["population"][0].copy()
    drawn = []
    errors = step._judge.errors
    step._judge.errors = lambda population: (drawn.append(np.sort(step._judge.rows)), errors(population))[1]
    candidates = step().candidates[0].copy()
    after = state.arrays["population"][0].copy()
    np.testing.assert_array_equal(after[:3], candidates)
    assert all(any((row == old).all() for old in before) for row in candidates)
    step()
    assert len(drawn) == 2
    assert (drawn[0] != drawn[1]).any()  # a new batch for all of the generation


def test_candidates_are_the_best_by_the_errors_of_the_batch():
    problem, state, step = generation(GeneticAlgorithm(population_size=30, elite=5, batch_size=None))
    population = state.arrays["population"][0].copy()
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    errors, _ = problem.network.error_and_gradient(population, X, Y, "cross_entropy")
    progress = step()
    np.testing.assert_array_equal(progress.candidates[0], population[errors.argsort()[:5]])
    np.testing.assert_allclose(progress.candidate_errors[0], np.sort(errors)[:5])
    spread = np.sort(errors)
    assert progress.metrics["population_best_error"][0] == pytest.approx(spread[0])
    assert progress.metrics["population_median_error"][0] == pytest.approx(spread[15])
    assert progress.metrics["population_worst_error"][0] == pytest.approx(spread[-1])
    weights = np.flatnonzero(problem.network.initial_scale)
    units = population[:, weights] / problem.network.initial_scale[weights]
    assert progress.metrics["diversity"][0] == pytest.approx(units.std(axis=0).mean())


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_the_crossover_rate_is_the_share_of_children_with_two_parents(rate):
    algorithm = GeneticAlgorithm(
        population_size=2004, selection={"name": "truncation", "share": 1.0}, crossover="uniform", crossover_rate=rate,
        mutation=STILL,
    )  # fmt: skip
    _, state, step = marked(algorithm)
    step._breeder._breed(0, np.arange(2004)[np.newaxis], np.arange(2004.0))
    children = state.arrays["population"][0][4:].round(3)
    mixed = (children != children[:, :1]).any(axis=1).mean()
    assert mixed == pytest.approx(rate, abs=0.03)


def test_elite_and_children_keep_to_their_islands():
    algorithm = GeneticAlgorithm(population_size=60, islands=3, elite=2, migration_interval=1000, mutation=STILL)
    _, state, step = marked(algorithm)
    order = np.stack([np.arange(i * 20, i * 20 + 20)[::-1] for i in range(3)])
    step._breeder._breed(0, order, np.arange(60.0))
    after = state.arrays["population"][0].round(3)
    for i in range(3):
        own = after[20 * i : 20 * i + 20]
        assert own.min() >= 20 * i
        assert own.max() < 20 * i + 20
        np.testing.assert_array_equal(own[0], 20 * i + 19)
        np.testing.assert_array_equal(own[1], 20 * i + 18)


def test_the_best_of_each_island_migrate_to_the_next_one():
    algorithm = GeneticAlgorithm(
        population_size=60, islands=3, elite=3, migrants=2, migration_interval=5, mutation=STILL
    )
    _, state, step = marked(algorithm)
    order = np.arange(60).reshape(3, 20)
    for updates, migrates in [(3, False), (4, True), (5, False), (9, True)]:
        state.arrays["population"][0] = np.arange(60)[:, np.newaxis]
        state.arrays["sigma"][0] = np.arange(1, 61)
        state.updates[:] = updates
        step._breeder._breed(0, order, np.arange(60.0))
        last = state.arrays["population"][0].reshape(3, 20, -1)[:, -2:, 0].round(3)
        came = np.array([[40, 41], [0, 1], [20, 21]])
        assert (last == came).all() == migrates
        if migrates:
            np.testing.assert_array_equal(state.arrays["sigma"][0].reshape(3, 20)[:, -2:], came + 1)


def test_immigrants_come_once_after_stagnation_and_are_new_networks():
    algorithm = GeneticAlgorithm(population_size=44, immigrants=0.25, stagnation=3, mutation=STILL)
    problem, state, step = marked(algorithm)
    order = np.arange(44)[np.newaxis]

    def strangers():
        state.arrays["population"][0] = np.arange(44)[:, np.newaxis]
        step._breeder._breed(0, order, np.arange(44.0))
        own = state.arrays["population"][0]
        return (np.abs(own - own.round()) > 1e-6).any(axis=1)

    assert not strangers().any()
    for _ in range(3):
        algorithm.observe(problem, make_descent(), state, np.array([1.0]), np.ones((1, 4)))
    assert not strangers().any()  # one better network and two more generations
    algorithm.observe(problem, make_descent(), state, np.array([1.0]), np.ones((1, 4)))
    new = strangers()
    np.testing.assert_array_equal(np.flatnonzero(new), np.arange(34, 44))
    assert not strangers().any()
    own = problem.network.initialize(2000, seeds(2000))
    assert own.std() == pytest.approx(
        np.sqrt((problem.network.initial_scale[~problem.network.bias_mask] ** 2).sum() / 38), rel=0.05
    )


def test_the_first_parameters_are_among_the_first_population():
    problem, descent = make_both()
    first = np.full((1, problem.network.n_parameters), 7.0)
    state = GeneticAlgorithm().start(problem, descent, first, seeds(1))
    assert (state.arrays["population"][0][0] == 7).all()
    others = state.arrays["population"][0][1:]
    assert len(np.unique(others, axis=0)) == len(others)


def test_a_handed_over_network_takes_the_place_of_the_last_child():
    problem, state, _ = generation(GeneticAlgorithm(population_size=10))
    before = state.arrays["population"].copy()
    GeneticAlgorithm(population_size=10).accept(
        problem, make_descent(), state, np.full((1, problem.network.n_parameters), 7.0)
    )
    np.testing.assert_array_equal(state.arrays["population"][0, :-1], before[0, :-1])
    assert (state.arrays["population"][0, -1] == 7).all()


def test_l2_decides_between_networks_of_equal_error():
    algorithm = GeneticAlgorithm(population_size=6, elite=1, batch_size=None)
    problem, state, step = generation(algorithm, make_problem(l2=1.0))
    small, large = np.zeros(problem.network.n_parameters), np.zeros(problem.network.n_parameters)
    small[0], large[0] = 0.5, 3.0  # weights of an input into a neuron that leads nowhere
    state.arrays["population"][0][:] = large
    state.arrays["population"][0][4] = small
    np.testing.assert_array_equal(step().candidates[0, 0], small)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_network_whose_error_is_nan_ranks_last(selection):
    problem, state, step = generation(GeneticAlgorithm(population_size=10, elite=2, selection=selection))
    state.arrays["population"][0][:8] = np.nan
    sound = state.arrays["population"][0][8:].copy()
    with np.errstate(all="ignore"):
        candidates = step().candidates[0]
    assert {tuple(row) for row in candidates} == {tuple(row) for row in sound}


def test_a_generation_says_what_it_cost_with_what_operators_look_at():
    problem, descent = make_both(n=50)
    for operators, expected in [
        ({}, 20 * 30),
        ({"crossover": "aligned"}, 20 * 30 + 20 * 30),
        ({"mutation": {"name": "safe", "samples": 10}}, 20 * 30 + 16 * 10 * 5),
    ]:
        algorithm = GeneticAlgorithm(population_size=20, batch_size=30, **operators)
        assert generation(algorithm, problem)[2]().evaluations == expected
        judged = 4 * 50  # the elite, on all rows
        assert algorithm.cost(problem.network, 50, 0, descent) == expected + judged
        assert algorithm.cost(problem.network, 50, 7, descent) == expected + 4 * 7


# Structures ------------------------------------------------------------------------------------------------------------

ALL = ("weights", "activations", "connections")


def test_a_crossover_that_moves_weights_is_refused_where_connections_have_been_removed():
    network = Network((3, 6, 2), "tanh", "softmax").evolvable(connections=True)
    with pytest.raises(ValueError, match="crossover='aligned' takes weights from one neuron to another"):
        GeneticAlgorithm(crossover="aligned").extend(network)
    GeneticAlgorithm(crossover="aligned", evolve=("weights", "connections")).extend(network)
    GeneticAlgorithm(crossover="uniform").extend(network)


def structured(**changes):
    algorithm = GeneticAlgorithm(
        **{"population_size": 504, "evolve": ALL, "crossover_rate": 0.0, "mutation": STILL, **changes}
    )
    network = algorithm.extend(Network((3, 6, 2), "tanh", "softmax"))
    return algorithm, *generation(algorithm, make_problem(network=network))


def test_first_networks_draw_the_activations_of_their_neurons_evenly():
    algorithm, problem, state, _ = structured(population_size=3000)
    numbers = state.arrays["population"][0][1:, problem.network.choices[1]]
    counts = np.bincount(numbers.ravel().astype(int), minlength=3)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.01)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_structure_rate_is_the_share_of_connections_that_come_or_go(rate):
    algorithm, problem, state, step = structured(structure_rate=rate)
    network = problem.network
    connections = network.penalty_mask
    half = np.zeros(network.n_parameters)
    half[np.flatnonzero(connections)[::2]] = 3.0
    state.arrays["population"][0] = half
    step._breeder._breed(0, np.arange(504)[np.newaxis], np.arange(504.0))
    children = state.arrays["population"][0][4:]
    was, now = half[connections] != 0, children[:, connections] != 0
    assert (was != now).mean() == pytest.approx(rate, abs=0.01)
    came = children[:, connections][:, ~was][now[:, ~was]]
    assert came.std() == pytest.approx(network.initial_scale[connections][~was].mean(), rel=0.1)
    numbers = children[:, network.choices[1]]
    assert set(np.unique(numbers)) == {0, 1, 2}
    assert (numbers != 0).mean() == pytest.approx(rate * 2 / 3, abs=0.02)  # drawn anew, sometimes the same


def test_without_structure_mutation_absent_connections_stay_absent():
    algorithm, problem, state, step = structured(
        structure_rate=1e-9, mutation={"name": "scaled", "rate": 1.0, "sigma": 1.0}
    )
    connections = problem.network.penalty_mask
    state.arrays["population"][0][:, connections] = 0.0
    step._breeder._breed(0, np.arange(504)[np.newaxis], np.arange(504.0))
    children = state.arrays["population"][0][4:]
    changed = (children[:, connections] != 0).mean()
    assert changed < 0.001  # a rate is a whole number of 65536ths, and at least one
    assert (children[:, problem.network.bias_mask] != 0).all()


def test_parsimony_prefers_the_network_with_fewer_connections():
    algorithm, problem, state, step = structured(parsimony=100.0, elite=1)
    population = state.arrays["population"][0]
    few = 37
    population[few, problem.network.penalty_mask] = 0.0
    sparse = population[few].copy()
    np.testing.assert_array_equal(step().candidates[0, 0], sparse)


def test_arithmetic_crossover_makes_no_activation_of_neither_parent():
    algorithm, problem, state, step = structured(
        crossover="arithmetic", crossover_rate=1.0, structure_rate=1e-9, evolve=("weights", "activations")
    )
    state.arrays["population"][0][:, problem.network.choices[1]] = np.where(np.arange(504) % 2, 0.0, 2.0)[:, np.newaxis]
    step._breeder._breed(0, np.arange(504)[np.newaxis], np.arange(504.0))
    numbers = state.arrays["population"][0][:, problem.network.choices[1]]
    assert ((numbers == 0) | (numbers == 2)).mean() > 0.999


@given(seed=st.integers(0, 10_000), connections=st.sampled_from(["full", "skip", 0.6]), share=st.floats(0.0, 0.9))
@settings(max_examples=40, deadline=None)
def test_the_plain_network_of_an_evolved_one_computes_the_same(seed, connections, share):
    rng = np.random.default_rng(seed)
    among = OneOf((Tanh(), ReLU(), Sine()))
    network = Network((3, 5, 4, 2), "tanh", "softmax", connections, random_state=seed).evolvable(
        among, connections=True
    )
    row = network.initialize(1, rng)[0]
    gone = network.penalty_mask & (rng.random(network.n_parameters) < share)
    row[gone] = 0.0
    plain, own = network.plain(row)
    X = rng.normal(size=(20, 3))
    np.testing.assert_allclose(plain.forward(own, X), network.forward(row, X), atol=1e-12)
    assert not plain.is_evolvable
    found = network.architecture(row)
    assert found["connections"] == int((row[network.penalty_mask & (network.initial_scale > 0)] != 0).sum())
    assert found["tanh"] + found["relu"] + found["sine"] == 9
    counts = plain.architecture(own)
    assert counts == {name: count for name, count in found.items() if count or name == "connections"}


def test_the_estimator_reports_what_has_evolved():
    X, y = np.random.default_rng(0).normal(size=(150, 4)), np.arange(150) % 3
    X[:, 0] += y
    algorithm = GeneticAlgorithm(population_size=40, evolve=ALL, structure_rate=0.05)
    settings = {"hidden_layer_sizes": (6,), "max_iter": 60, "n_networks": 2, "random_state": 0}
    model = BackpropMLP(encoding="none", algorithm=algorithm, **settings).fit(X, y)
    table = model.architecture_
    assert len(table) == 2
    assert (table["possible_connections"] == 4 * 6 + 6 * 3).all()
    assert (table["connections"] < table["possible_connections"]).all()
    assert (table[["tanh", "relu", "sine"]].sum(axis=1) == 6).all()
    for i, member in enumerate(model.members_):
        assert not member.network_.is_evolvable
        alone = model.network_.forward(model.parameters_[i], X)
        np.testing.assert_allclose(member.predict_proba(X), alone, atol=1e-12)
        last = member.history_.iloc[-1]
        assert last["connections"] > 0
        assert last["neurons_tanh"] + last["neurons_relu"] + last["neurons_sine"] == 6


# What a user passes ------------------------------------------------------------------------------------------------------


class Loud(Selection):
    name = "loud"

    def __init__(self, made):
        self.made = made

    def draw(self, errors, n, rng):
        return self.made(len(errors), n)


@pytest.mark.parametrize(
    "made",
    [
        lambda size, n: np.zeros(n, dtype=int),
        lambda size, n: np.zeros((n, 2)),
        lambda size, n: np.full((n, 2), size),
        lambda size, n: np.full((n, 2), -1),
        lambda size, n: np.zeros((n + 1, 2), dtype=int),
    ],
)
def test_a_selection_of_the_users_that_draws_no_ranks_is_named(made):
    model = BackpropMLP(algorithm=GeneticAlgorithm(selection=Loud(made)))
    with pytest.raises(
        ValueError, match="must return the ranks of two parents for each of 124 children: integers of shape"
    ):
        model.fit(*XOR)


class Broken(Mutation):
    name, sigma = "broken", 0.1

    def perturb(self, children, sigma, genome, rng):
        children[0] = np.nan


class Wrong(Mutation):
    name, sigma = "wrong", 0.1

    def inherit(self, sigma, memory, rng):
        return np.zeros(3)

    def perturb(self, children, sigma, genome, rng):
        pass


class Halves(Crossover):
    name = "halves"

    def cross(self, children, others, parents, genome, rng):
        children[:] = 0.5 * (children + others)


def test_a_mutation_of_the_users_that_makes_nan_is_named():
    with pytest.raises(ValueError, match="gives NaN or infinite weights to children of finite parents"):
        BackpropMLP(algorithm=GeneticAlgorithm(mutation=Broken())).fit(*XOR)
    with pytest.raises(
        ValueError, match="must inherit a positive and finite sigma for each of 124 children, an array of shape"
    ):
        BackpropMLP(algorithm=GeneticAlgorithm(mutation=Wrong())).fit(*XOR)


def test_operators_of_the_users_own_work():
    algorithm = GeneticAlgorithm(
        crossover=Halves(), selection=Loud(lambda size, n: np.arange(2 * n).reshape(n, 2) % 10)
    )
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=algorithm, random_state=0)
    assert model.fit(*XOR).score(*XOR) == 1.0


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"population_size": 1}, ValueError),
        ({"population_size": 2.5}, TypeError),
        ({"population_size": "many"}, TypeError),
        ({"parsimony": 1.0}, ValueError),
        ({"parsimony": 1.0, "evolve": ("weights", "activations")}, ValueError),
        ({"activations": (["tanh"], "relu"), "evolve": ("activations",)}, TypeError),
        ({"population_size": 30, "islands": 4}, ValueError),
        ({"elite": 0}, ValueError),
        ({"elite": 128}, ValueError),
        ({"selection": "roulete"}, ValueError),
        ({"selection": {"name": "truncation", "shar": 0.2}}, ValueError),
        ({"selection": 3}, TypeError),
        ({"crossover": "two-point"}, ValueError),
        ({"crossover_rate": 1.1}, ValueError),
        ({"crossover_rate": float("nan")}, ValueError),
        ({"mutation": "gausian"}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"islands": 0}, ValueError),
        ({"islands": 128}, ValueError),
        ({"migrants": 5}, ValueError),
        ({"migration_interval": 0}, ValueError),
        ({"immigrants": 1.0}, ValueError),
        ({"stagnation": 0}, ValueError),
        ({"evolve": "weights"}, TypeError),
        ({"evolve": ()}, TypeError),
        ({"evolve": ("weihgts",)}, ValueError),
        ({"structure_rate": 0}, ValueError),
        ({"parsimony": -1}, ValueError),
        ({"activations": ("tanh",), "evolve": ("activations",)}, ValueError),
        ({"activations": ("tanh", "softmax"), "evolve": ("activations",)}, ValueError),
        ({"activations": "tanh", "evolve": ("activations",)}, TypeError),
    ],
)
def test_impossible_settings_name_the_parameter(settings, error):
    name = next(iter(settings))
    with pytest.raises(error) as caught:
        BackpropMLP(algorithm=GeneticAlgorithm(**settings)).fit(*XOR)
    assert f"GeneticAlgorithm({name}=...)" in str(caught.value)


def test_activations_need_a_hidden_layer_to_evolve():
    algorithm = GeneticAlgorithm(evolve=("weights", "activations"))
    with pytest.raises(ValueError, match="evolve='activations' needs a hidden layer"):
        BackpropMLP(hidden_layer_sizes=(), algorithm=algorithm).fit(*XOR)


def test_safe_mutation_needs_derivatives():
    with pytest.raises(ValueError, match="mutation='safe' needs derivatives, and the activation 'step' has none"):
        BackpropMLP(activation="step", algorithm=GeneticAlgorithm(mutation="safe")).fit(*XOR)


class Everywhere(Mutation):
    name, sigma = "everywhere", 0.1

    def perturb(self, children, sigma, genome, rng):
        children += 0.1


def test_a_mutation_of_the_users_that_makes_connections_is_named():
    masks = {"input -> hidden_1": np.eye(2), "hidden_1 -> output": "full"}
    model = BackpropMLP(hidden_layer_sizes=(2,), connections=masks, algorithm=GeneticAlgorithm(mutation=Everywhere()))
    with pytest.raises(
        ValueError, match=r"changes what it may not, where Genome.scale is 0: weights of connections that do not"
    ):
        model.fit(*XOR)


class Remembers(Wrong):
    def __init__(self, memory, sigma=0.1):
        self.memory, self.sigma = memory, sigma

    def inherit(self, sigma, memory, rng):
        return sigma[:, 0]

    def start(self, members, population):
        return self.memory


@pytest.mark.parametrize("memory", [None, {"a": 3}, {"a": np.zeros(1)}, {"a": np.zeros((3, 2))}])
def test_a_mutation_of_the_users_that_remembers_what_cannot_be_kept_is_named(memory):
    with pytest.raises(
        ValueError, match="must start with a dictionary of arrays whose first axis is that of 1 members"
    ):
        BackpropMLP(algorithm=GeneticAlgorithm(mutation=Remembers(memory))).fit(*XOR)


@pytest.mark.parametrize("sigma", [None, -1, "large"])
def test_a_sigma_of_the_users_that_is_none_is_named(sigma):
    with pytest.raises((ValueError, TypeError), match=r"The sigma of GeneticAlgorithm\(mutation=...\) must be"):
        BackpropMLP(algorithm=GeneticAlgorithm(mutation=Remembers({}, sigma))).fit(*XOR)


@pytest.mark.parametrize("inherited", [None, [1.0], "much", np.full(124, -1.0), np.full(124, np.nan)])
def test_a_strength_of_the_users_that_is_none_is_named(inherited):
    class Own(Wrong):
        def inherit(self, sigma, memory, rng):
            return inherited

    with pytest.raises(ValueError, match="must inherit a positive and finite sigma for each of 124 children"):
        BackpropMLP(algorithm=GeneticAlgorithm(mutation=Own())).fit(*XOR)


def test_only_children_that_a_group_has_mutated_count_for_its_sigma():
    algorithm = GeneticAlgorithm(
        population_size=40,
        elite=2,
        islands=2,
        migrants=1,
        migration_interval=2,
        immigrants=0.25,
        stagnation=1,
        mutation="gesmr",
    )
    problem, state, step = generation(algorithm)
    immigrants, told = round(0.25 * 18), []
    for migrates, stagnates in [(False, False), (True, False), (False, True)]:
        state.arrays["stagnant"][:] = stagnates
        step()
        strange = immigrants if stagnates else int(migrates)
        expected = np.arange(20) >= 2
        expected[20 - strange :] = False
        np.testing.assert_array_equal(state.arrays["mutated"][0].reshape(2, 20), [expected, expected])
        step._breeder._mutation, mutation = Recording(told), step._breeder._mutation
        step._breeder._learn(0, np.ones((2, 20)))
        step._breeder._mutation = mutation
        np.testing.assert_array_equal(told[-1], np.where(expected[2:], 1.0, np.inf))


class Recording:
    def __init__(self, told):
        self.told = told

    def learn(self, errors, memory, rng):
        self.told.append(errors)


def test_small_integers_of_numpy_do_not_overflow():
    algorithm = GeneticAlgorithm(
        population_size=600, elite=np.uint8(100), islands=np.int8(3), migration_interval=np.int8(100)
    )
    model = BackpropMLP(
        hidden_layer_sizes=(2,), algorithm=algorithm, max_iter=130, n_iter_no_change=np.inf, random_state=0
    )
    assert model.fit(*XOR).n_iter_ == 130
