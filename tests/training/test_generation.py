"""The frame of a generation knows neither rows nor targets: it runs on whatever says what networks are worth."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from nnexp import BackpropMLP, Chain, GeneticAlgorithm
from nnexp.training.generation import Breeder, Generation
from tests.algorithms import small

IRIS = load_iris(return_X_y=True)


class Quadratic:
    """Says how far networks are from a place; what is too far is worth nothing."""

    evaluations, whole, fitness = 3, True, None

    def __init__(self, places):
        self._places, self._member = places, 0

    def draw(self, member, rng):
        self._member = member

    def errors(self, population):
        return ((population - self._places[self._member]) ** 2).sum(axis=1)

    def ranking(self, population, errors):
        return np.where(errors < 1e6, errors, np.inf)


class Climber(Breeder):
    """Draws around one network of each member, and goes to the best of them."""

    def __init__(self, first, width, has_middle):
        self.at, self.width, self.has_middle = first.copy(), width, has_middle

    def ask(self, member, rng):
        return self.at[member] + self.width[member] * rng.standard_normal((20, self.at.shape[1]))

    def tell(self, member, population, values):
        best = population[values.argmin()]
        self.width[member] = np.linalg.norm(best - self.at[member]) / np.sqrt(self.at.shape[1])
        self.at[member] = best

    def middle(self, member):
        return self.at[member]

    def sigma(self, member):
        return self.width[member]


@pytest.mark.parametrize("has_middle", [True, False])
def test_a_quadratic_is_minimised_without_rows_and_targets(has_middle):
    places = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    breeder = Climber(np.zeros((2, 3)), np.ones(2), has_middle)
    rngs, updates = [np.random.default_rng(i) for i in range(2)], np.zeros(2, dtype=int)
    candidates = np.empty((2, 3, 3))
    generation = Generation(breeder, Quadratic(places), None, rngs, updates, candidates)
    for _ in range(60):
        progress = generation()
    assert updates.tolist() == [60, 60]
    assert progress.evaluations == 20 * 3
    np.testing.assert_allclose(progress.candidates[:, 0], places, atol=1e-3)
    first = int(has_middle)
    distances = ((progress.candidates - places[:, np.newaxis]) ** 2).sum(axis=2)
    np.testing.assert_allclose(progress.error, distances[:, first])
    assert (np.diff(distances[:, first:], axis=1) >= 0).all()  # the best one first
    if has_middle:
        assert progress.candidate_errors is None  # that of the middle is not known
    else:
        np.testing.assert_allclose(progress.candidate_errors, distances)


def test_what_is_worth_nothing_is_no_candidate():
    class Far(Climber):
        def ask(self, member, rng):
            return np.array([[1e9], [np.nan], [2.0], [1.0]])

        def tell(self, member, population, values):
            assert values.tolist() == [np.inf, np.inf, 4.0, 1.0]

    candidates = np.empty((1, 2, 1))
    with np.errstate(invalid="ignore"):
        Generation(
            Far(np.zeros((1, 1)), np.ones(1), False), Quadratic(np.zeros((1, 1))), None, [np.random.default_rng(0)], np.zeros(1, int), candidates
        )()  # fmt: skip
    assert candidates.ravel().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["snes", "openai_es", "cma_es", "sep_cma_es", "differential_evolution"])
def test_connections_that_evolution_has_removed_are_not_for_another_algorithm_to_bring_back(name):
    removes = GeneticAlgorithm(population_size=10, evolve=("weights", "connections"), structure_rate=0.3)
    algorithm = Chain(removes, small(name))
    with pytest.raises(ValueError, match=f"algorithm='{name}' moves every weight, and brings back the connections"):
        BackpropMLP(hidden_layer_sizes=(5,), algorithm=algorithm, max_iter=4, random_state=0).fit(*IRIS)


def test_numbers_of_activations_are_not_mixed_by_what_does_not_know_them():
    chooses = GeneticAlgorithm(population_size=10, evolve=("weights", "activations"))
    for name in ("snes", "openai_es", "cma_es"):  # they move what has a scale
        model = BackpropMLP(hidden_layer_sizes=(5,), algorithm=Chain(chooses, small(name)), max_iter=4, random_state=0)
        model.fit(*IRIS)
        numbers = model.parameters_[
            :, np.concatenate([np.arange(p.start, p.stop) for p in model.network_.choices.values()])
        ]
        assert (numbers == np.rint(numbers)).all()
    with pytest.raises(
        ValueError, match="algorithm='differential_evolution' would mix the numbers by which neurons choose"
    ):
        BackpropMLP(hidden_layer_sizes=(5,), algorithm=Chain(chooses, "differential_evolution"), max_iter=4).fit(*IRIS)
