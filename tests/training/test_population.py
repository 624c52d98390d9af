"""What all evolution shares: batches, fitness, memory."""

import copy
import types

import numpy as np
import psutil
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, make_multilabel_classification
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.preprocessing import scale

from nnexp import BackpropMLP, GeneticAlgorithm, Network, load
from nnexp.training.population import Scores
from tests.algorithms import EVERY, EVOLVING, small
from tests.training.problems import make_descent, make_problem

CANCER = scale(load_breast_cancer().data)[::3], load_breast_cancer().target[::3]
DIABETES = scale(load_diabetes().data)[::3], load_diabetes().target[::3]
QUICK = {"hidden_layer_sizes": (5,), "max_iter": 25, "random_state": 0, "l2": 0.0, "n_iter_no_change": 1000}


@pytest.mark.parametrize("batch", [20, 60])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_the_means_over_the_rows_of_the_batch(batch, weighted):
    weight = np.random.default_rng(2).uniform(0.1, 3, 60) if weighted else None
    problem = make_problem(members=2, weight=weight)
    population = problem.network.initialize(7, np.random.default_rng(0))
    scores = Scores(problem, batch)
    for member in (0, 1, 0):
        scores.draw(member, np.random.default_rng(member))
        rows = scores.rows
        assert len(set(rows)) == batch
        X = problem.samples.block(rows)[:, :3]
        expected, _ = problem.network.error_and_gradient(
            population, X, problem.expected[rows], "cross_entropy", None if weight is None else weight[rows]
        )
        np.testing.assert_allclose(scores.errors(population), expected, rtol=1e-10)
        np.testing.assert_array_equal(scores.inputs(batch)[:, :3], X)
        few = scores.inputs(7)[:, :3]
        np.testing.assert_array_equal(few, X[np.linspace(0, batch - 1, 7).astype(int)])


def test_batches_are_drawn_evenly_without_repetition():
    problem = make_problem(n=50)
    scores, rng = Scores(problem, 10), np.random.default_rng(0)
    counts = np.zeros(50)
    for _ in range(2000):
        scores.draw(0, rng)
        counts[scores.rows] += 1
    np.testing.assert_allclose(counts / 2000, 0.2, atol=0.04)


@pytest.mark.parametrize(
    "algorithm",
    ["snes", *(pytest.param(name, marks=pytest.mark.slow) for name in EVOLVING if name not in ("snes", "structures"))],
)
def test_accuracy_as_fitness_is_the_zero_one_error_and_leads_to_the_same_networks(algorithm):
    # As many samples as make shares that are exact, so that equal numbers of mistakes are equal errors.
    algorithm = copy.deepcopy(small(algorithm))
    if hasattr(algorithm, "batch_size"):
        algorithm.batch_size = 32
    X, y = CANCER[0][:128], CANCER[1][:128]
    model = BackpropMLP(**QUICK, algorithm=algorithm)
    by_score = clone(model).set_params(fitness="accuracy").fit(X, y)
    by_error = clone(model).set_params(error_function="zero_one").fit(X, y)
    np.testing.assert_array_equal(by_score.parameters_, by_error.parameters_)
    assert by_score.history_["population_best_fitness"].tolist() == pytest.approx(
        (1 - by_error.history_["population_best_error"]).tolist()
    )


@pytest.mark.slow
@pytest.mark.parametrize("fitness", ["roc_auc", make_scorer(roc_auc_score, response_method="predict_proba")])
@pytest.mark.parametrize("validation", ["none", "holdout"])
def test_any_score_of_scikit_learns_can_be_the_fitness(fitness, validation):
    model = BackpropMLP(**QUICK, algorithm=GeneticAlgorithm(population_size=16, batch_size=None), fitness=fitness)
    model.set_params(validation=validation).fit(*CANCER)
    best = model.history_["population_best_fitness"]
    assert (np.diff(best) >= 0).all()  # all rows, and an elite
    if validation == "none":
        assert roc_auc_score(CANCER[1], model.predict_proba(CANCER[0])[:, 1]) == pytest.approx(best.max())
    else:
        assert model.best_validation_score_ == model.history_["validation_score"].max()


def test_a_regression_can_be_judged_by_the_median_error_in_units_of_y():
    model = BackpropMLP("regression", **QUICK, algorithm="snes", fitness="neg_median_absolute_error").fit(*DIABETES)
    own = -np.median(np.abs(model.predict(DIABETES[0]) - DIABETES[1]))
    assert own > -70
    assert own >= model.history_["population_best_fitness"].iloc[0]


def test_a_fitness_that_is_nan_ranks_last():
    def odd(estimator, X, y):
        first = estimator.parameters_[0, 0]
        return float("nan") if first > 0 else first

    model = BackpropMLP(**QUICK, algorithm=GeneticAlgorithm(population_size=30, elite=3, batch_size=50), fitness=odd)
    model.set_params(max_iter=3)
    model.fit(*CANCER)
    assert model.parameters_[0, 0] <= 0


def test_a_fitness_that_fails_is_named_and_leaves_the_model_as_it_was():
    def broken(estimator, X, y):
        raise RuntimeError("no luck")

    model = BackpropMLP(**QUICK, algorithm="genetic", fitness=broken)
    with pytest.raises(ValueError, match=r"fitness=.*broken.* failed on the 190 training samples: no luck"):
        model.fit(*CANCER)
    assert not hasattr(model, "network_")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"fitness": "accuracy"}, ValueError, "algorithm='backprop' selects nothing"),
        ({"fitness": "acuracy", "algorithm": "snes"}, ValueError, "Did you mean 'accuracy'"),
        ({"fitness": 3, "algorithm": "snes"}, TypeError, "fitness must be a name of scikit-learn's"),
    ],
)
def test_an_impossible_fitness_is_named(settings, error, said):
    with pytest.raises(error, match=said):
        BackpropMLP(**settings).fit(*CANCER)


def test_the_zero_one_error_of_several_labels_counts_each_label():
    X, Y = make_multilabel_classification(n_samples=120, n_labels=2, random_state=0)
    model = BackpropMLP(**QUICK, algorithm="snes", error_function="zero_one").fit(scale(X), Y)
    wrong = (model.predict(scale(X)) != Y).mean(axis=0).sum()
    assert model.best_error_ == pytest.approx(wrong)


@pytest.mark.parametrize("algorithm", [n for n in EVERY if n not in ("backprop", "evolution")])
def test_more_memory_than_the_machine_has_is_refused_before_it_is_taken(algorithm, monkeypatch):
    network = Network((3, 1000, 2), "tanh", "softmax")
    problem = make_problem(network=small(algorithm).extend(network) if algorithm != "cma_es" else network)
    twice = problem.select(np.array([0, 0])), make_descent(2)
    one, two = small(algorithm).memory(problem, make_descent()), small(algorithm).memory(*twice)
    assert one >= 8 * problem.network.n_parameters * 4  # no less than 4 networks
    assert one < two <= 2 * one  # what all members share is counted once
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=1 << 20))
    monkeypatch.setattr(type(small(algorithm)), "memory", lambda self, problem, descent: 1 << 31)
    with pytest.raises(MemoryError, match=r"needs about 2.1 GB .* 0.0 GB are free. A smaller population or network"):
        BackpropMLP(**QUICK, algorithm=small(algorithm)).fit(*CANCER)


def test_a_population_beyond_the_machine_is_refused():
    algorithm = GeneticAlgorithm(population_size=2_000_000_000)
    with pytest.raises(MemoryError, match=r"GeneticAlgorithm\(population_size=2000000000\) needs about [\d.]+ GB"):
        BackpropMLP(**QUICK, algorithm=algorithm).fit(*CANCER)


@pytest.mark.parametrize("algorithm", ["backprop", "genetic", "cma_es"])  # that a stack is cut anywhere holds for all
def test_processes_change_nothing(algorithm):
    model = BackpropMLP(**QUICK | {"max_iter": 6}, algorithm=small(algorithm), n_networks=2, validation="cross")
    one, two = clone(model).fit(*CANCER), clone(model).set_params(n_jobs=2).fit(*CANCER)
    np.testing.assert_array_equal(one.parameters_, two.parameters_)


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_budget_of_evaluations_is_kept_and_all_but_spent(algorithm):
    model = BackpropMLP(
        hidden_layer_sizes=(5,),
        algorithm=small(algorithm),
        max_evaluations=60_000,
        n_iter_no_change=np.inf,
        random_state=0,
    ).fit(*CANCER)
    step = model.history_["evaluations"].diff().max()
    assert 60_000 - max(2 * step, 0.03 * 60_000) <= model.evaluations_ <= 60_000


def test_seconds_are_a_budget_of_evolution_too():
    model = BackpropMLP(
        hidden_layer_sizes=(5,), algorithm="snes", max_seconds=0.5, n_iter_no_change=np.inf, random_state=0
    )
    model.fit(*CANCER)
    assert model.n_iter_ > 200  # more than without a budget
    assert model.stop_reason_ == "max_seconds=0.5 were over."


@pytest.mark.parametrize("algorithm", EVOLVING)
def test_the_history_says_how_the_population_does(algorithm):
    history = BackpropMLP(**QUICK, algorithm=small(algorithm)).fit(*CANCER).history_
    best, median, worst = (history[f"population_{name}_error"] for name in ("best", "median", "worst"))
    assert (best <= median).all()
    assert (median <= worst).all()
    assert (history["diversity"] > 0).all()
    assert ("sigma" in history) is (algorithm != "differential_evolution")  # whose strengths are of each network
    assert "sigma" not in history or (history["sigma"] > 0).all()
    assert (history["evaluations"].diff().dropna() > 0).all()


def test_a_budget_without_end_is_none():
    model = BackpropMLP(**QUICK | {"max_iter": "auto"}, algorithm="snes", max_evaluations=np.inf).fit(*CANCER)
    assert model.n_iter_ == 200


@pytest.mark.slow
def test_another_fitness_counts_anew_where_training_goes_on():
    algorithm = GeneticAlgorithm(population_size=16, batch_size=64)
    model = BackpropMLP(**QUICK, algorithm=algorithm, fitness="accuracy", warm_start=True).fit(*CANCER)
    before = model.parameters_.copy()
    model.set_params(fitness="neg_log_loss", max_iter=60).fit(*CANCER)
    assert (model.parameters_ != before).any()
    fresh = BackpropMLP(**QUICK | {"max_iter": 1}, algorithm=algorithm, fitness="neg_log_loss").fit(*CANCER)
    own = model.history_["population_best_fitness"].iloc[-1]
    assert own > 1.5 * fresh.history_["population_best_fitness"].iloc[0]
    assert np.isfinite(model.best_error_)


@pytest.mark.slow
def test_an_evolved_model_with_a_fitness_of_ones_own_is_saved_without_it(tmp_path):
    model = BackpropMLP(
        **QUICK, algorithm=small("genetic"), fitness=make_scorer(roc_auc_score, response_method="predict_proba")
    )
    model.fit(*CANCER).save(tmp_path / "m.nnexp")
    assert load(tmp_path / "m.nnexp").fitness is None
