import numpy as np
import pytest
from scipy import stats

from nnexp import Network
from nnexp.training import CROSSOVERS
from nnexp.training.crossover import Aligned, Arithmetic, Neuron, OnePoint, SimulatedBinary, Uniform
from nnexp.training.genome import Genome
from tests.training.problems import make_problem


def setup(network=None, dtype=np.float64, rows=40):
    problem = make_problem(network=network or Network((3, 6, 2), "tanh", "softmax"), dtype=dtype)
    genome = Genome(problem)
    return genome, problem.samples.block(np.arange(rows))


def cross(crossover, one, other, genome, inputs, seed=0):
    """Cross pairs of the rows of one and other; return the children."""
    population = np.concatenate([one, other])
    genome.begin(population, lambda count: inputs[:count])
    parents = np.stack([np.arange(len(one)), len(one) + np.arange(len(one))], axis=1)
    children, others = one.copy(), other.copy()
    crossover.cross(children, others, parents, genome, np.random.default_rng(seed))
    return children


def ones_and_zeros(genome, n=4000, dtype=np.float64):
    d = genome.network.n_parameters
    return np.zeros((n, d), dtype), np.ones((n, d), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [n for n in CROSSOVERS if CROSSOVERS[n].exchanges and n != "aligned"])
def test_what_is_exchanged_is_that_of_a_parent_to_the_bit(name, dtype):
    genome, inputs = setup(dtype=dtype)
    rng = np.random.default_rng(1)
    one, other = (rng.normal(size=(50, genome.network.n_parameters)).astype(dtype) for _ in range(2))
    one[3], other[5] = np.nan, np.inf
    children = cross(CROSSOVERS[name], one, other, genome, inputs)
    same = (children == one) | (children == other) | (np.isnan(children) & np.isnan(one))
    assert same.all()
    assert (children == one).any()
    assert (children == other).any()


def test_neuron_wise_crossover_inherits_all_weights_into_a_neuron_from_one_parent_by_even_chance():
    genome, inputs = setup()
    children = cross(Neuron(), *ones_and_zeros(genome), genome, inputs)
    neurons = genome.network.neuron_of_parameter
    by_neuron = [children[:, neurons == i] for i in range(8)]
    assert all((own == own[:, :1]).all() for own in by_neuron)
    heads = np.stack([own[:, 0] for own in by_neuron], axis=1)
    for i in range(8):
        assert stats.binomtest(int(heads[:, i].sum()), len(heads)).pvalue > 1e-4
    # The neurons of a child are independent of each other.
    assert np.abs(np.corrcoef(heads.T) - np.eye(8)).max() < 0.07


def test_uniform_crossover_inherits_each_weight_by_even_chance():
    genome, inputs = setup()
    children = cross(Uniform(), *ones_and_zeros(genome), genome, inputs)
    share = children.mean(axis=0)
    assert np.abs(share - 0.5).max() < 4.5 * 0.5 / np.sqrt(len(children))
    assert np.abs(np.corrcoef(children.T) - np.eye(children.shape[1])).max() < 0.09


def test_one_point_crossover_changes_parents_once_at_any_place():
    genome, inputs = setup()
    children = cross(OnePoint(), *ones_and_zeros(genome), genome, inputs)
    steps = np.diff(children, axis=1)
    assert (np.abs(steps).sum(axis=1) == 1).all()
    assert (children[:, 0] == 0).all()
    counts = np.bincount(steps.argmax(axis=1), minlength=children.shape[1] - 1)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_an_arithmetic_child_lies_evenly_between_its_parents():
    genome, inputs = setup()
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 2000, genome.network.n_parameters))
    children = cross(Arithmetic(), one, other, genome, inputs)
    share = (children - one) / (other - one)
    np.testing.assert_allclose(share, share[:, :1] * np.ones(share.shape[1]), rtol=1e-6, atol=1e-6)
    assert stats.kstest(share[:, 0], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("eta", [2.0, 15.0])
def test_sbx_spreads_children_as_deb_and_agrawal_say(eta):
    genome, inputs = setup()
    children = cross(SimulatedBinary(eta), *ones_and_zeros(genome, n=400), genome, inputs)
    spread = np.abs(2 * (children - 0.5)).ravel()  # β, the distance from the middle in units of the parents'

    def distribution(b):
        # Probability densities ½ (η + 1) β^η up to 1, and ½ (η + 1) / β^(η + 2) beyond.
        return np.where(b <= 1, 0.5 * b ** (eta + 1), 1 - 0.5 / np.maximum(b, 1e-9) ** (eta + 1))

    assert stats.kstest(spread, distribution).pvalue > 1e-3
    assert np.sign(children - 0.5).mean() == pytest.approx(0, abs=0.05)  # near one parent as often as near the other


@pytest.mark.parametrize("sizes", [(3, 6, 2), (3, 5, 4, 2)])
@pytest.mark.parametrize("connections", ["full", "skip"])
def test_neurons_in_another_order_are_matched_so_that_crossing_changes_nothing(sizes, connections):
    network = Network(sizes, "tanh", "softmax", connections)
    genome, inputs = setup(network)
    rng = np.random.default_rng(1)
    one = network.initialize(30, rng)
    other = one.copy()
    for row in other:
        for layer in range(1, network.n_layers - 1):
            order = rng.permutation(network.layer_sizes[layer])
            for block in network.blocks:
                view = block.view(row)
                if block.target == layer:
                    view[:] = view[:, order]
                if block.source == layer:
                    view[: block.n_source] = view[: block.n_source][order]
    X = inputs[:, :3]
    np.testing.assert_allclose(network.forward(other, X), network.forward(one, X), atol=1e-12)
    assert (other != one).any()
    children = cross(Aligned(), one, other, genome, inputs)
    np.testing.assert_allclose(children, one, atol=1e-12)
    plain = cross(Neuron(), one, other, genome, inputs)
    assert np.abs(network.forward(plain, X) - network.forward(one, X)).max() > 0.05


def test_aligned_crossover_leaves_absent_connections_at_0():
    network = Network((3, 6, 2), "tanh", "softmax", 0.5)
    genome, inputs = setup(network)
    one, other = network.initialize(20, np.random.default_rng(0)), network.initialize(20, np.random.default_rng(1))
    assert not cross(Aligned(), one, other, genome, inputs)[:, ~network.mask].any()


def test_what_looks_at_outputs_says_what_that_costs():
    assert Aligned(64).evaluations(512) == 64
    assert Aligned(64).evaluations(10) == 10
    assert all(CROSSOVERS[name].evaluations(512) == 0 for name in CROSSOVERS if name != "aligned")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SimulatedBinary(-1), "SimulatedBinary(eta=...)"),
        (lambda: Aligned(1), "Aligned(samples=...)"),
    ],
)
def test_impossible_settings_are_named(make, said):
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)
