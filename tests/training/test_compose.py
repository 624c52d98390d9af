import numpy as np
import pytest
from sklearn.base import clone

from nnexp import Alternate, Backprop, BackpropMLP, Chain, GeneticAlgorithm
from nnexp.training import Algorithm, Stopping, Training
from nnexp.training.algorithm import State, StepReport
from tests.training.problems import make_both, seeds

X, Y = np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 3


class Counting(Algorithm):
    """Adds its size to all weights in each step; the error is what it is told."""

    name = "counting"

    def __init__(self, size=1.0, errors=None, cost_of_a_step=10, competes=False):
        self.size, self.errors, self.cost_of_a_step, self.competes = size, errors, cost_of_a_step, competes

    def cost(self, network, n_training, n_validation, descent):
        return self.cost_of_a_step

    def start(self, problem, descent, parameters, rngs):
        return State(rngs, {"w": parameters.copy()}, np.zeros(len(parameters), dtype=np.int64))

    def bind(self, problem, descent, state):
        def step():
            state.arrays["w"] += self.size
            state.updates += 1
            error = (
                1.0 / (1 + state.updates)
                if self.errors is None
                else np.array([self.errors[k - 1] for k in state.updates])
            )
            return StepReport(state.arrays["w"][:, np.newaxis].copy(), error, self.cost_of_a_step)

        return step


class Settled(Counting):
    """Goes on from another's network without forgetting how far it was."""

    def accept(self, problem, descent, state, parameters):
        state.arrays["w"][:] = parameters


def run(algorithm, steps, horizon=None, patience=1000, members=1):
    problem, descent = make_both(members=members, horizon=horizon or steps)
    first = np.zeros((members, problem.network.n_parameters))
    training = Training(algorithm, problem, descent, first, seeds(members))
    seen = []
    training.run(problem, descent, Stopping(steps, patience, 0.0), lambda t: seen.append(t.parameters[:, 0].copy()))
    return training, np.array(seen)


def test_a_chain_hands_the_network_on_when_each_has_had_its_share_of_the_cost():
    # 12 steps for the cost of 3 : 1; a step of the first costs 30 and one of the second 10: 6 steps each.
    _, seen = run(Chain(Counting(1.0, cost_of_a_step=30), Counting(100.0, cost_of_a_step=10), shares=(3, 1)), 12)
    np.testing.assert_array_equal(seen[:, 0], [1, 2, 3, 4, 5, 6, 106, 206, 306, 406, 506, 606])


def test_a_chain_hands_on_early_what_no_longer_improves():
    first = Counting(1.0, errors=[5.0, 4.0] + [4.0] * 100)
    training, seen = run(Chain(first, Counting(100.0)), 40, patience=3)
    # Steps 3, 4 and 5 do not improve.
    np.testing.assert_array_equal(seen[:8, 0], [1, 2, 3, 4, 5, 105, 205, 305])
    assert training.n_iter[0] == 40
    assert training.stop_reason[0].startswith("All max_iter")


def test_the_last_of_a_chain_stops_as_it_would_alone():
    training, _ = run(Chain(Counting(1.0), Counting(1.0, errors=[3.0] * 100)), 40, patience=4)
    assert "did not improve" in training.stop_reason[0]
    assert training.n_iter[0] == 20 + 5


def test_members_of_a_stack_hand_on_at_their_own_steps():
    class Lucky(Counting):
        def bind(self, problem, descent, state):
            step = super().bind(problem, descent, state)

            def own():
                progress = step()
                improves = problem.training_rows[:, 0] % 2 == 0
                progress.error = np.where(improves, progress.error, 7.0)
                return progress

            return own

    problem, descent = make_both(members=4, horizon=20)
    even = problem.training_rows[:, 0] % 2 == 0
    assert 0 < even.sum() < 4
    training = Training(Chain(Lucky(1.0), Counting(100.0)), problem, descent, np.zeros((4, 38)), seeds(4))
    training.run(problem, descent, Stopping(20, 3, 0.0))
    # Those that do not improve hand on after 4 steps, the others after 10.
    expected = np.where(even, 10 + 10 * 100, 4 + 16 * 100)
    np.testing.assert_array_equal(training.parameters[:, 0], expected)


def test_alternating_algorithms_take_turns_and_keep_what_they_remember():
    _, seen = run(Alternate(Settled(1.0), Settled(100.0), steps=(2, 3)), 10)
    watched = [1, 2, 102, 202, 302, 303, 304, 404, 504, 604]
    assert len(seen) == 10
    algorithm = Alternate(Settled(1.0), Settled(100.0), steps=(2, 3))
    problem, descent = make_both(horizon=10)
    state = algorithm.start(problem, descent, np.zeros((1, 38)), seeds(1))
    got, updates = [], []
    for _ in range(10):
        candidate = algorithm.bind(problem, descent, state)().candidates[0, 0]
        got.append(candidate[0])
        updates.append((int(state.arrays["0.updates"][0]), int(state.arrays["1.updates"][0])))
        algorithm.hand_over(problem, descent, state, candidate[np.newaxis], np.zeros(1, dtype=bool))
    assert got == watched
    assert updates[-1] == (4, 6)  # counted on over the turns


def test_gradient_after_evolution_is_gradient_from_the_best_network_evolved():
    """Full batches draw no random numbers, so that the second part can be done by itself."""
    problem, descent = make_both(mode="batch", optimizer="sgd", learning_rate=0.1, horizon=30)
    genetic = GeneticAlgorithm(population_size=20, elite=2, batch_size=None)
    chain = Chain(genetic, Backprop(), shares=(1e9, 1))  # all but the least for the first
    steps = chain.phase_steps(problem, descent)
    first = problem.network.initialize(1, seeds(1))
    training = Training(chain, problem, descent, first, seeds(1)).run(
        problem, descent, Stopping(steps[0] + 1, 1000, 0.0)
    )
    alone = Training(genetic, problem, descent, first, seeds(1)).run(problem, descent, Stopping(steps[0], 1000, 0.0))
    inputs, expected = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    _, gradient = problem.network.error_and_gradient(alone.parameters[0], inputs, expected, "cross_entropy")
    np.testing.assert_allclose(training.parameters[0], alone.parameters[0] - 0.1 * gradient, rtol=1e-9, atol=1e-12)


def test_a_schedule_is_laid_out_for_the_steps_of_its_own_part():
    problem, descent = make_both(schedule="cosine", horizon=60)
    chain = Chain(Counting(cost_of_a_step=180), Backprop(), shares=(1, 2))  # a step of both costs 180
    assert chain.phase_steps(problem, descent) == [20, 40]
    assert [own.horizon for own in chain._laid_out(problem, descent)] == [20, 40]


def test_a_budget_is_shared_by_evaluations():
    algorithm = Chain(GeneticAlgorithm(population_size=20, batch_size=30, elite=2), "backprop", shares=(1, 3))
    model = BackpropMLP(
        hidden_layer_sizes=(5,),
        algorithm=algorithm,
        max_evaluations=100_000,
        n_iter_no_change=float("inf"),
        random_state=0,
    )
    model.fit(X, Y)
    history = model.history_
    cost = history["evaluations"].diff().fillna(history["evaluations"].iloc[0])
    evolved = cost[history["diversity"].notna()].sum()
    assert evolved / cost.sum() == pytest.approx(0.25, abs=0.02)
    assert 0.97 * 100_000 < model.evaluations_ <= 100_000


def test_settings_of_a_part_are_set_by_its_place():
    model = BackpropMLP(algorithm=Chain(GeneticAlgorithm(population_size=50), Backprop()))
    params = model.get_params()
    assert params["algorithm__0__population_size"] == 50
    model.set_params(algorithm__0__population_size=60)
    assert model.algorithm.algorithms[0].population_size == 60
    copied = clone(model).set_params(algorithm__0__population_size=70)
    assert model.algorithm.algorithms[0].population_size == 60
    assert copied.algorithm.algorithms[0].population_size == 70
    with pytest.raises(ValueError, match="has no parameter 'populationsize'"):
        model.set_params(algorithm__0__populationsize=60)


def test_files_name_the_parts_in_a_list():
    given = {
        "name": "chain",
        "algorithms": [{"name": "genetic", "population_size": 30}, "backprop"],
        "shares": [0.3, 0.7],
    }
    model = BackpropMLP(hidden_layer_sizes=(5,), algorithm=given, max_iter=20, random_state=0).fit(X, Y)
    assert model.algorithm_ == Chain(GeneticAlgorithm(population_size=30), Backprop(), shares=[0.3, 0.7])
    assert repr(model.algorithm_) == "Chain(GeneticAlgorithm(population_size=30), Backprop(), shares=[0.3, 0.7])"


@pytest.mark.parametrize(
    ("algorithm", "error", "said"),
    [
        (Chain("genetic"), ValueError, "Chain(...) needs at least 2 algorithms. Got 1."),
        (Chain("genetic", "backpropp"), ValueError, "Chain(algorithms[1])"),
        (Chain("genetic", "backprop", shares=(1,)), ValueError, "Chain(shares=...) needs a share for each of 2"),
        (Chain("genetic", "backprop", shares=(1, 0)), ValueError, "Chain(shares=...)"),
        (Chain("genetic", "backprop", shares="half"), TypeError, "Chain(shares=...)"),
        (Chain(GeneticAlgorithm(population_size=1), "backprop"), ValueError, "GeneticAlgorithm(population_size=...)"),
        (Alternate("genetic", "backprop", steps=0), ValueError, "Alternate(steps=...)"),
        (Alternate("genetic", "backprop", steps=(1, 2, 3)), ValueError, "Alternate(steps=...)"),
        (Alternate("genetic", "backprop", steps="often"), TypeError, "Alternate(steps=...)"),
        ({"name": "chain", "algorithms": "genetic"}, TypeError, "algorithms must be a list"),
    ],
)
def test_impossible_settings_are_named(algorithm, error, said):
    with pytest.raises(error) as caught:
        BackpropMLP(algorithm=algorithm).fit(X, Y)
    assert said in str(caught.value)


def test_a_chain_of_gradients_needs_derivatives():
    with pytest.raises(ValueError, match="'chain' needs derivatives"):
        BackpropMLP(activation="step", algorithm=Chain("genetic", "backprop")).fit(X, Y)


@pytest.mark.parametrize("kind", [Chain, Alternate])
def test_a_part_made_of_parts_is_refused(kind):
    with pytest.raises(ValueError, match="must be a single algorithm"):
        BackpropMLP(algorithm=kind("genetic", Chain("snes", "backprop"))).fit(X, Y)


def test_a_part_that_chooses_goes_on_from_the_network_it_was_given():
    """Descent without validation keeps its last network; what follows must beat that one, and not a better one that is gone."""
    worse = Counting(1.0, errors=[0.01] + [5.0] * 100)
    training, _ = run(Chain(worse, GeneticAlgorithm(population_size=10, elite=2, batch_size=None)), 40)
    assert training.best_error[0] > 0.05  # on data that no network of this size gets all right at once
    problem, descent = make_both(horizon=40)
    inputs, expected = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    error, _ = problem.network.error_and_gradient(training.parameters[0], inputs, expected, "cross_entropy")
    assert training.best_error[0] == pytest.approx(error)


def test_descent_in_turn_keeps_its_moments_and_its_schedule():
    problem, descent = make_both(horizon=70, schedule="cosine")
    algorithm = Alternate("snes", "backprop", steps=(2, 5))
    first = problem.network.initialize(1, seeds(1))
    training = Training(algorithm, problem, descent, first, seeds(1)).run(problem, descent, Stopping(70, 1000, 0.0))
    updates = -(-60 // 16)
    assert training.state.arrays["1.steps"][0] == 50
    assert training.state.arrays["1.updates"][0] == 50 * updates


def test_every_part_has_a_step_however_small_its_share():
    problem, descent = make_both(horizon=20)
    chain = Chain(Counting(cost_of_a_step=1), Counting(cost_of_a_step=10_000))
    assert chain.phase_steps(problem, descent) == [19, 1]


def test_a_budget_is_kept_where_the_next_part_is_dearer():
    algorithm = Chain("backprop", GeneticAlgorithm(population_size=40, batch_size=None), shares=(0.85, 0.15))
    model = BackpropMLP(
        hidden_layer_sizes=(5,), algorithm=algorithm, max_evaluations=100_000, n_iter_no_change=np.inf, random_state=0
    )
    assert model.fit(X, Y).evaluations_ <= 100_000


def test_a_stream_of_data_has_no_shares():
    with pytest.raises(AttributeError) as caught:
        BackpropMLP(algorithm=Chain("genetic", "backprop")).partial_fit(X, Y, classes=[0, 1, 2])
    assert "algorithm='chain' shares out a number of steps" in str(caught.value.__cause__ or caught.value)


@pytest.mark.parametrize("later", ["backprop", "genetic", "memetic", "pbt"])
def test_connections_that_evolution_has_removed_do_not_come_back(later):
    pruning = GeneticAlgorithm(
        population_size=30, evolve=("weights", "connections"), structure_rate=0.3, parsimony=10.0
    )
    model = BackpropMLP(
        hidden_layer_sizes=(6,),
        algorithm=Chain(pruning, later, shares=(1, 1)),
        max_iter=120,
        n_iter_no_change=np.inf,
        random_state=0,
    ).fit(X, Y)
    evolved = model.history_["connections"].dropna()
    assert evolved.iloc[0] > 25  # of 36
    assert model.architecture_["connections"][0] <= evolved.min() + 1


@pytest.mark.parametrize("later", ["snes", "openai_es", "cma_es", "sep_cma_es"])
@pytest.mark.parametrize("kind", [Chain, Alternate])
def test_strategies_that_move_every_weight_do_not_follow_evolved_connections(later, kind):
    with pytest.raises(ValueError, match=f"algorithm='{later}' moves every weight"):
        BackpropMLP(hidden_layer_sizes=(4,), algorithm=kind(GeneticAlgorithm(evolve=("connections",)), later)).fit(X, Y)


def test_a_part_given_by_name_has_no_settings_to_change():
    with pytest.raises(
        ValueError, match="the algorithm at place 0 is 'genetic'. To set its 'population_size', give it as an object"
    ):
        BackpropMLP(algorithm=Chain("genetic", "backprop")).set_params(algorithm__0__population_size=3)
