import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnexp import Network


def pairs(network):
    return [(block.source, block.target) for block in network.blocks]


def test_full_connects_consecutive_layers_and_skip_all():
    assert pairs(Network((2, 3, 4, 1))) == [(0, 1), (1, 2), (2, 3)]
    assert pairs(Network((2, 3, 4, 1), connections="skip")) == [
        (0, 1),
        (0, 2),
        (1, 2),
        (0, 3),
        (1, 3),
        (2, 3),
    ]


def test_a_skip_connection_adds_what_the_earlier_layer_sends():
    network = Network((2, 3, 1), connections="skip")
    rng = np.random.default_rng(0)
    parameters, X = rng.normal(size=network.n_parameters), rng.normal(size=(5, 2))
    to_hidden, past, to_output = network.weights(parameters)
    assert [w.shape for w in (to_hidden, past, to_output)] == [(3, 3), (2, 1), (4, 1)]
    hidden = np.tanh(X @ to_hidden[:-1] + to_hidden[-1])
    expected = X @ past + hidden @ to_output[:-1] + to_output[-1]
    np.testing.assert_allclose(network.forward(parameters, X), expected, rtol=1e-12)


@given(st.floats(0.001, 1), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_no_density_leaves_a_neuron_without_input(density, n_inputs, n_hidden, seed):
    network = Network((n_inputs, n_hidden, 2), connections=density, random_state=seed)
    for block in network.blocks:
        assert block.mask is None or block.mask.any(axis=0).all()


def test_a_density_keeps_about_its_share():
    network = Network((200, 200, 2), connections=0.3, random_state=1)
    assert network.blocks[0].mask.mean() == pytest.approx(0.3, abs=0.01)


def test_absent_connections_have_no_weight_and_change_nothing():
    mask = np.array([[1, 0], [0, 1]])
    network = Network((2, 2, 1), connections={("input", "hidden_1"): mask, (1, 2): "full"})
    parameters = network.initialize(3, np.random.default_rng(0))
    weights = network.weights(parameters)[0]
    assert not weights[:, 0, 1].any()
    assert not weights[:, 1, 0].any()
    assert network.initial_scale[~network.mask].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("connections", "error", "sentence"),
    [
        ("fully", ValueError, "unknown pattern 'fully'. Did you mean 'full'?"),
        (0.0, ValueError, "must be in (0, 1]. Got 0.0"),
        (1.5, ValueError, "must be in (0, 1]. Got 1.5"),
        (True, TypeError, "connections must be"),
        (
            {(0, 1): np.ones((3, 2)), (1, 2): "full"},
            ValueError,
            "input -> hidden_1 must have the shape (2, 3)",
        ),
        ({(0, 1): 2 * np.ones((2, 3)), (1, 2): "full"}, ValueError, "must hold 0 and 1 only"),
        ({(0, 1): "full"}, ValueError, "no connection leads to the layer output"),
        ({(0, 2): "full", (0, 1): "full"}, ValueError, "no connection leaves the layer hidden_1"),
        ({(1, 0): "full"}, ValueError, "runs backwards"),
        ({"input -> hiden_1": "full"}, ValueError, "unknown layer 'hiden_1'"),
        ({"input": "full"}, ValueError, "must name two layers"),
        (
            {(0, 1): [[1, 1, 0], [1, 0, 0]], (1, 2): "full"},
            ValueError,
            "neuron 2 of hidden_1 is left without input",
        ),
    ],
)
def test_impossible_connections_give_a_sentence(connections, error, sentence):
    with pytest.raises(error) as caught:
        Network((2, 3, 1), connections=connections)
    assert sentence in str(caught.value)
