"""The commented package in docs/plugin: each kind of part, each as it says, and checked as it shows."""

import importlib
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_iris, make_moons
from sklearn.preprocessing import StandardScaler

from nnexp import Backprop, BackpropMLP, GeneticAlgorithm, Network
from nnexp.experiment.datasets import DATA_PLUGINS
from nnexp.parts import REGISTRIES
from nnexp.testing import check_part

FOLDER = Path(__file__).parents[1] / "docs" / "plugin"
DECLARED = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["entry-points"]
ENTRIES = [(group, name, place) for group, own in DECLARED.items() for name, place in own.items()]


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("nnexp_example")
    sys.path.remove(str(FOLDER))


def test_it_has_a_part_of_each_kind_that_can_be_declared():
    groups = {registry.plugins.group for registry in REGISTRIES.values()} | {DATA_PLUGINS.group}
    assert set(DECLARED) == groups


@pytest.mark.parametrize(("group", "name", "place"), ENTRIES, ids=lambda own: own.rpartition(":")[2])
def test_what_is_declared_is_there_under_its_name_and_passes_the_checks(group, name, place, example):
    part = getattr(example, place.partition(":")[2])
    made = part() if isinstance(part, type) else part
    check_part(made)
    if group != "nnexp.datasets":
        assert made.name == name


def test_its_own_tests_name_every_part(example):
    text = (FOLDER / "test_nnexp_example.py").read_text()
    for _, _, place in ENTRIES:
        assert f"example.{place.partition(':')[2]}" in text


def test_snake_is_what_its_formula_says_also_in_onnx(example, tmp_path):
    z = np.linspace(-6, 6, 41)
    out = np.empty_like(z)
    example.Snake(frequency=2.0).forward(z.copy(), out)
    np.testing.assert_allclose(out, z + np.sin(2 * z) ** 2 / 2, rtol=1e-12)
    X, y = load_iris(return_X_y=True)
    model = BackpropMLP(hidden_layer_sizes=(6,), activation=example.Snake(), max_iter=5, random_state=0).fit(X, y)
    model.to_onnx(tmp_path / "snake.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "snake.onnx")
    found = session.run(["probabilities"], {"X": X.astype(np.float32)})[0]
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


def test_fair_is_half_the_square_near_0_and_straight_far_away(example):
    fair = example.Fair()
    assert fair.value(np.array(1e-3), np.array(0.0)) == pytest.approx(0.5e-6, rel=1e-2)
    far = np.empty(2)
    fair.gradient(np.array([1e6, -1e6]), np.zeros(2), far)
    np.testing.assert_allclose(far, [1.4, -1.4], rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_hill_climbing_solves_xor(example, seed):
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=example.HillClimbing(), max_iter=400, random_state=seed)
    assert model.fit(X, y).score(X, y) == 1.0


def test_operators_breed_and_a_sign_descends(example):
    X, y = make_moons(200, noise=0.1, random_state=0)
    X = StandardScaler().fit_transform(X)
    genetic = GeneticAlgorithm(
        40, selection=example.ExponentialRank(), crossover=example.Layers(), mutation=example.Cauchy()
    )
    few = {"hidden_layer_sizes": (8,), "random_state": 0}
    assert BackpropMLP(algorithm=genetic, max_iter=60, **few).fit(X, y).score(X, y) > 0.85
    sign = BackpropMLP(
        optimizer=example.Sign(),
        schedule=example.InverseRoot(),
        learning_rate=0.05,
        initializer=example.Orthodox(),
        **few,
    )
    assert sign.fit(X, y).score(X, y) > 0.95
    assert sign.algorithm_ == Backprop()


def test_layers_come_from_one_parent_as_a_whole(example):
    network = Network((3, 4, 2))
    children, others = np.zeros((200, network.n_parameters)), np.ones((200, network.n_parameters))
    genome = type("Genome", (), {"network": network})
    example.Layers().cross(children, others, None, genome, np.random.default_rng(0))
    for matrix in network.weights(children):
        of_one = matrix.reshape(200, -1)
        assert (of_one == of_one[:, :1]).all()
        assert 60 < of_one[:, 0].sum() < 140


def test_ranks_are_drawn_in_proportion_to_their_power(example):
    ranks = example.ExponentialRank(c=0.5).draw(np.arange(4.0), 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(ranks.ravel()) / 40_000, np.array([8, 4, 2, 1]) / 15, atol=0.01)
