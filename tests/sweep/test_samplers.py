import numpy as np
import pytest

from nnexp import Space
from nnexp.sweep.samplers import SAMPLERS, SamplerError, make_sampler
from nnexp.sweep.store import Trial
from tests.sweep.cases import NETWORK

CONTINUOUS = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 1e-3, "high": 1.0, "log": True}, "c": {"low": 1, "high": 16}}
WITHOUT_TORCH = [name for name in SAMPLERS if name not in ("gp", "grid")]


def score(params):
    return -((params["a"] - 0.7) ** 2) - (np.log10(params["b"]) + 1) ** 2 - ((params["c"] - 5) / 16) ** 2


def sweep(name, n=96, batch=8, space=None, directions=("maximize",), value=score, seed=1, fresh=False, settings=None):
    """Ask and tell; with `fresh` the sampler is made anew for each batch, as after an interruption."""
    space = Space(space or CONTINUOUS)
    trials = []
    sampler = None
    for first in range(0, n, batch):
        if sampler is None or fresh:
            sampler = make_sampler(name, space, seed, directions, settings or {})
        numbers = list(range(first, first + batch))
        points = sampler.propose(list(trials), numbers, (seed, first // batch))
        for number, point in zip(numbers, points, strict=True):
            found = value(point)
            state = "fail" if found is None else "complete"
            values = [] if found is None else [found] if np.isscalar(found) else list(found)
            trials.append(Trial(number, state, dict(sorted(point.items())), values))
    return trials


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_an_interrupted_sampler_goes_on_as_if_it_had_not_been(name):
    assert [t.params for t in sweep(name)] == [t.params for t in sweep(name, fresh=True)]
    assert [t.params for t in sweep(name)] != [t.params for t in sweep(name, seed=2)]


@pytest.mark.parametrize(
    "name", ["random", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tpe", "quasi_random"))]
)
def test_conditional_spaces_too(name):
    value = lambda params: -abs(params["learning_rate"] - 0.01)  # noqa: E731
    first = sweep(name, space=NETWORK, value=value)
    assert [t.params for t in first] == [t.params for t in sweep(name, space=NETWORK, value=value, fresh=True)]
    names = [frozenset(t.params) for t in first]
    assert len(set(names)) == 4  # one or two layers, with or without momentum


@pytest.mark.parametrize("name", ["tpe", pytest.param("cma_es", marks=pytest.mark.slow)])
def test_what_learns_finds_better_points_than_chance(name):
    learnt = [np.mean([score(t.params) for t in sweep(name, seed=seed)[-32:]]) for seed in range(4)]
    chance = [np.mean([score(t.params) for t in sweep("random", seed=seed)[-32:]]) for seed in range(4)]
    assert min(learnt) > max(chance)
    best = max(score(t.params) for t in sweep(name))
    assert best > -0.03


def test_the_sampler_learns_from_trials_that_fail():
    """What raises above 0.5 is avoided once it is known."""
    value = lambda params: None if params["a"] > 0.5 else -abs(params["b"] - 0.1)  # noqa: E731
    trials = sweep("tpe", n=128, value=value)
    early, late = trials[:32], trials[-48:]
    share = lambda own: np.mean([t.state == "fail" for t in own])  # noqa: E731
    assert share(late) < 0.6 * share(early)


def test_minimising_and_several_objectives():
    down = sweep("tpe", directions=("minimize",), value=lambda p: -score(p))
    assert np.mean([score(t.params) for t in down[-32:]]) > np.mean([score(t.params) for t in down[:32]])
    both = sweep("tpe", directions=("maximize", "minimize"), value=lambda p: (score(p), p["c"]))
    assert len(both) == 96
    with pytest.raises(SamplerError, match="has one objective"):
        make_sampler("cma_es", Space(CONTINUOUS), 0, ("maximize", "minimize"), {})


def test_quasi_random_points_are_more_even_than_random_ones():
    from scipy.stats import qmc

    unit = {name: {"low": 0.0, "high": 1.0} for name in "abc"}
    discrepancy = {
        name: qmc.discrepancy(np.array([list(t.params.values()) for t in sweep(name, n=128, space=unit, value=lambda p: 0.0)]))
        for name in ("random", "quasi_random")
    }  # fmt: skip
    assert discrepancy["quasi_random"] < 0.3 * discrepancy["random"]


def test_a_quasi_random_sequence_does_not_depend_on_how_far_it_goes():
    space = Space(CONTINUOUS)
    sampler = make_sampler("quasi_random", space, 3, ("maximize",), {})
    near = sampler.propose((), [5], None)
    far = sampler.propose((), [5, 5000], None)[0]
    assert near[0] == far


def test_the_grid_is_exact():
    trials = sweep("grid", n=6, batch=3, space={"a": [1, 2, 3], "b": ["x", "y"]}, value=lambda p: 0.0)
    assert len({tuple(t.params.items()) for t in trials}) == 6


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("tep", {}, "unknown sampler 'tep'. Did you mean 'tpe'"),
        ("random", {"seed": 1}, "'random' has no settings"),
        ("tpe", {"n_startup": 3}, "cannot be made with these settings"),
        ("cma_es", {}, "needs a number that varies"),
    ],
)
def test_what_is_wrong_is_said(name, settings, sentence):
    with pytest.raises(SamplerError, match=sentence):
        make_sampler(name, Space({"a": ["x", "y"]}), 0, ("maximize",), settings)


def test_settings_go_to_optuna():
    trials = sweep("tpe", settings={"n_startup_trials": 90})
    other = sweep("tpe")
    assert [t.params for t in trials[:8]] == [t.params for t in other[:8]]
    assert [t.params for t in trials[-8:]] != [t.params for t in other[-8:]]


def test_the_gaussian_process_says_what_it_needs():
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(SamplerError, match="needs a package that is not there: pip install torch"):
            make_sampler("gp", Space(CONTINUOUS), 0, ("maximize",), {})
    else:
        assert max(score(t.params) for t in sweep("gp", n=32)) > -0.05
