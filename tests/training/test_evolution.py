import numpy as np
import pytest

from nnexp import CMAES, SNES, BackpropMLP, load
from nnexp.training import Evolution

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


@pytest.mark.parametrize(("hidden", "chosen"), [(4, CMAES()), (200, SNES())])
def test_the_choice_goes_by_the_number_of_weights_and_is_said(hidden, chosen, capsys, tmp_path):
    model = BackpropMLP(hidden_layer_sizes=(hidden,), algorithm="evolution", max_iter=5, random_state=0, verbose=True)
    model.fit(*XOR)
    assert model.algorithm_ == chosen
    said = capsys.readouterr().out.splitlines()[0]
    assert said == f"algorithm='evolution': {chosen!r} for {model.network_.n_parameters:,} weights"
    model.set_params(verbose=False).save(tmp_path / "model.nnexp")
    assert load(tmp_path / "model.nnexp").algorithm_ == chosen


@pytest.mark.parametrize("hidden", [4, 200])
def test_it_is_what_it_chose_to_the_bit(hidden):
    shared = {"hidden_layer_sizes": (hidden,), "max_iter": 20, "random_state": 3}
    chosen = BackpropMLP(algorithm="evolution", **shared).fit(*XOR)
    own = BackpropMLP(algorithm=chosen.algorithm_.name, **shared).fit(*XOR)
    np.testing.assert_array_equal(chosen.parameters_, own.parameters_)


def test_the_largest_small_network_is_the_last_for_cma_es():
    from nnexp import Network

    assert Evolution().choose(Network((1, (Evolution.SMALL - 1) // 3, 1))) == CMAES()  # 3 h + 1 weights
    assert Evolution().choose(Network((1, Evolution.SMALL // 3 + 1, 1))) == SNES()


def test_one_weight_is_trained_too():
    model = BackpropMLP("regression", hidden_layer_sizes=(), bias=False, algorithm="evolution", random_state=0)
    assert model.fit(np.arange(20.0)[:, np.newaxis], 3 * np.arange(20.0)).algorithm_ == SNES()
    with pytest.raises(ValueError, match="of 2 to 2,000 weights, and this one has 1. Here use 'snes'"):
        model.set_params(algorithm="cma_es").fit(np.arange(20.0)[:, np.newaxis], np.arange(20.0))
