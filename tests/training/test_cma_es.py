import copy
import pickle

import cmaes
import numpy as np
import pytest

from nnexp import CMAES, BackpropMLP, Network, SeparableCMAES
from nnexp.network.activations import OneOf, ReLU, Tanh
from tests.training.problems import make_both, seeds

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


@pytest.mark.parametrize("algorithm", ["cma_es", "sep_cma_es"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_it_learns_xor_without_a_mistake(algorithm, seed):
    model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=algorithm, random_state=seed)
    assert model.fit(*XOR).score(*XOR) == 1.0


class Numbers:
    """What the library draws from, here the numbers of a Generator."""

    def __init__(self, rng):
        self.rng = rng

    def randn(self, n):
        return self.rng.standard_normal(n)


@pytest.mark.parametrize(("own", "theirs"), [(CMAES, cmaes.CMA), (SeparableCMAES, cmaes.SepCMA)])
def test_it_goes_where_the_library_goes_in_units_of_the_initial_scales(own, theirs):
    algorithm = own(population_size=10, sigma=0.4, batch_size=None)
    problem, descent = make_both()
    network, scale = problem.network, problem.network.initial_scale
    first = network.initialize(1, seeds(1))
    state = algorithm.start(problem, descent, first, seeds(1))
    step = algorithm.bind(problem, descent, state)
    X, Y = problem.samples.block(problem.training[0])[:, :3], problem.expected_of(problem.training[0], 0)
    for _ in range(8):
        # The library's own object, as it was saved, draws the same numbers and is told the same errors.
        expected = pickle.loads(pickle.dumps(step._breeder._optimizers[0]))
        assert isinstance(expected, theirs)
        expected._rng = Numbers(copy.deepcopy(state.rngs[0]))
        progress = step()
        drawn = [expected.ask() for _ in range(10)]
        errors, _ = network.error_and_gradient(np.array(drawn) * scale, X, Y, "cross_entropy")
        expected.tell(list(zip(drawn, errors, strict=True)))
        np.testing.assert_allclose(progress.candidates[0, 0], expected.mean * scale, rtol=1e-9, atol=1e-12)
        assert progress.error[0] == pytest.approx(errors.min())


@pytest.mark.parametrize("kind", [CMAES, SeparableCMAES])
def test_absent_connections_stay_at_0(kind):
    network = Network((3, 6, 2), "tanh", "softmax", connections=0.5)
    problem, descent = make_both(network=network)
    algorithm = kind()
    state = algorithm.start(problem, descent, network.initialize(1, seeds(1)), seeds(1))
    step = algorithm.bind(problem, descent, state)
    for _ in range(5):
        assert not step().candidates[0][:, ~network.mask].any()


def test_a_network_too_large_for_the_full_matrix_is_refused_with_what_to_use():
    model = BackpropMLP(hidden_layer_sizes=(100, 100), algorithm="cma_es")
    with pytest.raises(
        ValueError, match=r"'cma_es' is for networks of 2 to 2,000 weights, .* use 'sep_cma_es' or 'snes'"
    ):
        model.fit(*XOR)


def test_nan_errors_rank_last_and_leave_the_distribution_finite():
    algorithm = SeparableCMAES(population_size=8)
    problem, descent = make_both()
    state = algorithm.start(problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    sampler = algorithm.breeder(problem, state, None)
    population = sampler.ask(0, state.rngs[0])
    sampler.tell(0, population, np.array([np.inf, 1.0, np.inf, 2.0, np.inf, np.inf, np.inf, 3.0]))
    assert np.isfinite(sampler.middle(0)).all()
    assert np.isfinite(sampler.sigma(0))


@pytest.mark.parametrize("kind", [CMAES, SeparableCMAES])
@pytest.mark.parametrize("settings", [{"population_size": 3}, {"sigma": 0}, {"batch_size": 0}])
def test_impossible_settings_name_the_parameter(kind, settings):
    (name,) = settings
    with pytest.raises(ValueError) as caught:
        BackpropMLP(algorithm=kind(**settings)).fit(*XOR)
    assert f"{kind.__name__}({name}=...)" in str(caught.value)


@pytest.mark.parametrize("kind", [CMAES, SeparableCMAES])
def test_a_network_that_is_handed_over_is_the_new_middle(kind):
    among = OneOf((Tanh(), ReLU()))
    problem, descent = make_both(network=Network((3, 6, 2), "tanh", "softmax").evolvable(among))
    algorithm = kind()
    state = algorithm.start(problem, descent, problem.network.initialize(1, seeds(1)), seeds(1))
    other = problem.network.initialize(1, seeds(1, 5))
    algorithm.accept(problem, descent, state, other)
    np.testing.assert_allclose(algorithm.breeder(problem, state, None).middle(0), other[0], atol=1e-12)
    algorithm.accept(problem, descent, state, np.full_like(other, 1e200))  # beyond what the library takes
    assert np.isfinite(algorithm.bind(problem, descent, state)().candidates).all()
