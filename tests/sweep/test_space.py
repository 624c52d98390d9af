import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP, Space
from nnexp.fitting import Settings
from nnexp.sweep.samplers import RandomSampler, distribution, suggest
from nnexp.sweep.space import SpaceError
from nnexp.sweep.sweep import space_of

WHOLE = {
    "hidden_layer_sizes": {"layers": [1, 3], "neurons": [8, 128], "log": True},
    "activation": {"per_layer": ["tanh", "relu"]},
    "algorithm": [
        "backprop",
        {"name": "genetic", "population_size": {"low": 10, "high": 40}, "selection": {"choices": ["tournament", "truncation"]}},
    ],
    "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.99}}],
    "descent": ["mini-batch", "batch"],
    "batch_size": {"low": 8, "high": 256, "log": True, "when": {"descent": "mini-batch"}},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True, "when": {"algorithm": ["backprop"]}},
}  # fmt: skip


def draws(declaration, n=300, seed=0):
    space = Space(declaration)
    points = RandomSampler(space, seed).propose((), range(n), None)
    return space, points, [space.parameters(point) for point in points]


def test_one_choice_decides_which_others_take_part():
    _, points, found = draws(WHOLE)
    for point, parameters in zip(points, found, strict=True):
        sizes = parameters["hidden_layer_sizes"]
        assert 1 <= len(sizes) <= 3
        assert all(8 <= own <= 128 and isinstance(own, int) for own in sizes)
        assert len(parameters["activation"]) == len(sizes)
        assert sum(name.startswith("hidden_layer_sizes.neurons") for name in point) == len(sizes)
        assert ("batch_size" in parameters) == (parameters["descent"] == "mini-batch")
        genetic = isinstance(parameters["algorithm"], dict)
        assert ("learning_rate" in parameters) != genetic
        if genetic:
            assert parameters["algorithm"]["name"] == "genetic"
            assert 10 <= parameters["algorithm"]["population_size"] <= 40
            assert parameters["algorithm"]["selection"] in ("tournament", "truncation")
        assert (parameters["optimizer"] == "adam") != ("optimizer.momentum.momentum" in point)
    assert {len(own["hidden_layer_sizes"]) for own in found} == {1, 2, 3}


def test_every_point_of_the_whole_space_is_an_estimator():
    for parameters in draws(WHOLE, 60)[2]:
        Settings.of(BackpropMLP(**parameters).get_params(deep=False))


def test_values_are_as_likely_as_declared():
    """Against scipy's distributions."""
    declaration = {
        "even": {"low": 2.0, "high": 5.0},
        "ratio": {"low": 1e-3, "high": 10.0, "log": True},
        "whole": {"low": 3, "high": 7},
        "stepped": {"low": 0.0, "high": 1.0, "step": 0.25},
        "choice": ["a", "b", "c"],
    }
    found = draws(declaration, 3000)[2]
    column = {name: np.array([own[name] for own in found]) for name in declaration}
    assert stats.kstest(column["even"], stats.uniform(2, 3).cdf).pvalue > 0.001
    assert stats.kstest(np.log(column["ratio"]), stats.uniform(math.log(1e-3), math.log(1e4)).cdf).pvalue > 0.001
    for name, values in (("whole", range(3, 8)), ("stepped", [0, 0.25, 0.5, 0.75, 1]), ("choice", "abc")):
        counts = [(column[name] == value).sum() for value in values]
        assert sum(counts) == 3000
        assert stats.chisquare(counts).pvalue > 0.001


@settings(max_examples=60, deadline=None)
@given(
    low=st.integers(1, 50), width=st.integers(1, 200), log=st.booleans(), u=st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_integers_stay_inside_their_range(low, width, log, u):
    (leaf,) = Space({"n": {"low": low, "high": low + width, "log": log}}).leaves
    value = leaf.at(u)
    assert isinstance(value, int)
    assert low <= value <= low + width
    assert leaf.at(0.0) == low
    assert leaf.at(1.0 - 1e-12) == low + width


def test_optuna_draws_the_same_space():
    space = Space(WHOLE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        point, parameters = space.walk(lambda leaf, t=trial: suggest(t, leaf))
        assert space.parameters(point) == parameters
        assert trial.params == point
        for leaf in space.leaves:
            if leaf.name in point:
                assert trial.distributions[leaf.name] == distribution(leaf)
        study.tell(trial, 0.0)


def test_a_grid_has_every_point_once():
    space = Space({
        "hidden_layer_sizes": {"layers": [1, 2], "neurons": [4, 6]},
        "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.9, "step": 0.2}}],
        "alpha": {"low": 1, "high": 2, "when": {"optimizer": "momentum"}},
    })  # fmt: skip
    points = list(space.grid())
    keys = {tuple(sorted(point.items())) for point in points}
    # (3 + 3·3 layers) × (adam, or 3 momenta × 2 alphas)
    assert len(points) == len(keys) == space.grid_size() == 12 * (1 + 3 * 2)
    with pytest.raises(SpaceError, match="lr: a grid needs a step, or a list of values"):
        list(Space({"lr": {"low": 0.0, "high": 1.0}}).grid())


def test_distributions_of_optuna_are_taken_too():
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space = Space({
        "a": FloatDistribution(1e-3, 1.0, log=True), "b": IntDistribution(2, 10, step=2), "c": CategoricalDistribution(["x", "y"]),
        "d": FloatDistribution(0, 1, step=0.5),
    })  # fmt: skip
    assert [(leaf.kind, leaf.log, leaf.step) for leaf in space.leaves] == [
        ("float", True, None), ("int", False, 2), ("choice", False, None), ("float", False, 0.5),
    ]  # fmt: skip


def test_the_layers_of_the_estimator_count_where_they_do_not_vary():
    space = space_of({"activation": {"per_layer": ["tanh", "relu"]}}, BackpropMLP(hidden_layer_sizes=(4, 4, 4)))
    point = {f"activation.layer_{i}": "tanh" for i in (1, 2, 3)}
    assert space.parameters(point) == {"activation": ["tanh"] * 3}


BAD = {
    "empty": ({}, "at least one parameter that varies"),
    "nothing varies": ({"a": 3}, "Nothing in this space varies"),
    "no choice": ({"a": []}, "a: has no value to choose from"),
    "low above high": ({"a": {"low": 2, "high": 1}}, "a: low=2 must be below high=1"),
    "equal ends": ({"a": {"low": 1, "high": 1}}, "must be below"),
    "log of 0": ({"a": {"low": 0, "high": 1, "log": True}}, "a: on a log scale low must be above 0"),
    "log and step": ({"a": {"low": 1, "high": 9, "log": True, "step": 2}}, "contradict each other"),
    "step too wide": ({"a": {"low": 0.0, "high": 1.0, "step": 2.0}}, "step must be a number above 0"),
    "no high": ({"a": {"low": 1}}, "a: has no high"),
    "infinite": ({"a": {"low": 0.0, "high": math.inf}}, "finite numbers"),
    "words": ({"a": {"low": "1", "high": 2}}, "finite numbers"),
    "unknown key": ({"a": {"low": 1, "high": 2, "loga": True}}, "unknown key 'loga'. Did you mean 'log'"),
    "equal ones": ({"a": [True, 1]}, "a: holds True and 1, which Python takes for equal"),
    "equal nothings": ({"a": [0, "x", False]}, "a: holds 0 and False, which Python takes for equal"),
    "no parameters": ({"a": stats.loguniform}, "a: is a distribution without parameters; freeze it"),
    "twice": ({"a": [1, 2, 1]}, "a: 1 stands there twice"),
    "unknown condition": ({"a": [1, 2], "b": {"low": 1, "high": 2, "when": {"c": 1}}}, "b: when names 'c', which does not vary"),
    "later condition": ({"b": {"low": 1, "high": 2, "when": {"a": 1}}, "a": [1, 2]}, "is declared after it"),
    "impossible condition": ({"a": ["x", "y"], "b": {"low": 1, "high": 2, "when": {"a": "z"}}}, "a is never 'z'"),
    "layers": ({"h": {"layers": [3, 1], "neurons": [1, 2]}}, "h: layers must be two integers"),
    "no neurons": ({"h": {"layers": [1, 2]}}, "h: has no neurons"),
    "neurons of 0": ({"h": {"layers": [1, 2], "neurons": [0, 2]}}, "neurons must be two integers"),
    "per layer alone": ({"activation": {"per_layer": ["tanh"]}}, "needs hidden_layer_sizes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_space_is_said(name):
    declaration, sentence = BAD[name]
    with pytest.raises(SpaceError) as caught:
        Space(declaration)
    assert sentence in str(caught.value)


def test_all_mistakes_are_said_at_once():
    with pytest.raises(SpaceError) as caught:
        Space({"a": [], "b": {"low": 1}, "c": [1, 2]})
    assert len(str(caught.value).splitlines()) == 2


def test_a_name_is_that_of_the_estimator_or_of_one_of_its_steps():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), BackpropMLP())
    space = space_of(
        {"descent": ["batch", "mini-batch"], "batch_size": {"low": 2, "high": 4, "when": {"descent": "mini-batch"}}},
        pipeline,
    )
    assert space.names == ["backpropmlp__descent", "backpropmlp__batch_size"]
    for name, sentence in (
        ("learning_rat", "Did you mean 'learning_rate'"),
        ("random_state", "is set by the sweep's seed"),
    ):
        with pytest.raises(SpaceError, match=sentence):
            space_of({name: [1, 2]}, pipeline)


SCALER = StandardScaler()
MIXED = {
    "a word and a number": (["auto", 0.001], ["auto", 0.001]),
    "words, a share and nothing": (["sqrt", 0.5, None], ["sqrt", 0.5, None]),
    "a truth and a number": ([True, 2], [True, 2]),
    "a number and a list": ([4, [4, 4]], [4, [4, 4]]),
    "a word and a list": (["relu", ["tanh"]], ["relu", ["tanh"]]),
    "a word and an object": (["passthrough", SCALER], ["passthrough", SCALER]),
    "weights of classes": ([None, "balanced", {0: 1, 1: 3}], [None, "balanced", {0: 1, 1: 3}]),
}


@pytest.mark.parametrize(("options", "values"), MIXED.values(), ids=MIXED)
def test_the_values_of_a_choice_may_be_of_any_kinds(options, values):
    space = Space({"a": options})
    (leaf,) = space.leaves
    for label, value in zip(leaf.choices, values, strict=True):
        found = space.parameters({"a": label})["a"]
        assert type(found) is type(value)
        assert found == value


DRAWN = {
    "uniform": (stats.uniform(2, 3), "float"), "loguniform": (stats.loguniform(1e-4, 1e-1), "float"), "randint": (stats.randint(3, 9), "int"),
    "normal": (stats.norm(5, 2), "float"), "poisson": (stats.poisson(4), "int"), "beta": (stats.beta(2, 5), "float"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_a_distribution_of_scipy_is_drawn_from_as_scipy_does(name):
    distribution, kind = DRAWN[name]
    space = Space({"a": distribution})
    rng = np.random.default_rng(0)
    values = [space.walk(lambda leaf: leaf.at(rng.random()))[1]["a"] for _ in range(2000)]
    assert {type(value) for value in values} == {int if kind == "int" else float}
    if kind == "float":
        assert stats.kstest(values, distribution.cdf).pvalue > 0.01
    else:
        seen, counts = np.unique(values, return_counts=True)
        expected = distribution.pmf(seen) * 2000
        enough = expected > 5
        assert (
            stats.chisquare(counts[enough], expected[enough] * counts[enough].sum() / expected[enough].sum()).pvalue
            > 0.01
        )


def test_a_distribution_of_other_parameters_is_another_declaration():
    declarations = [
        Space({"a": d}).declaration for d in (stats.norm(0, 1), stats.norm(0, 2), stats.norm(loc=0, scale=2))
    ]
    assert len({str(declaration) for declaration in declarations}) == 3
    assert "0x" not in str(declarations)


def test_a_point_is_found_from_the_parameters_that_it_gives():
    """The inverse of `parameters`, at random points of a space with everything in it."""
    space = Space({
        "hidden_layer_sizes": {"layers": [1, 3], "neurons": [4, 32], "step": 4},
        "activation": {"per_layer": ["tanh", {"name": "leaky", "slope": {"low": 0.01, "high": 0.2}}]},
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": [16, "auto", None],
        "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.99}}],
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
        "l2": stats.norm(0, 1),
        "patience": {"low": 3, "high": 9, "when": {"batch_size": "auto"}},
    })  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(200):
        point, parameters = space.walk(lambda leaf: leaf.at(rng.random()))
        found = space.place(parameters)
        assert found.keys() == point.keys()
        for name, value in point.items():
            assert found[name] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value)
        assert space.parameters(found).keys() == parameters.keys()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": 5}, "a is from 1 to 3. Got 5."),
        ({"a": 1.5}, "a is an integer. Got 1.5."),
        ({"a": True}, "a is from 1 to 3. Got True."),
        ({"b": "z"}, "b is one of ['x', 0.5]. Got 'z'."),
        ({"c": 1}, "'c' does not vary."),
        ({"d": 0.25}, "d goes from 0.0 in steps of 0.1. Got 0.25."),
        ({"a": 9, "b": 9}, "a is from 1 to 3. Got 9.\nb is one of ['x', 0.5]. Got 9."),
    ],
    ids=str,
)
def test_a_point_outside_of_the_space_is_a_sentence(given, said):
    space = Space({"a": {"low": 1, "high": 3}, "b": ["x", 0.5], "d": {"low": 0.0, "high": 1.0, "step": 0.1}})
    with pytest.raises(SpaceError) as caught:
        space.place(given)
    assert str(caught.value).startswith(said)
