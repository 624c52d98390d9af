"""What a report says of sweeps."""

import json
import math
import tomllib
from types import SimpleNamespace

import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from nnexp import BackpropMLP
from nnexp.report import sweep_sentences
from nnexp.report.tuning import SweepSays

NETWORK = {"classification": "nnexp.BackpropMLP", "regression": "nnexp.BackpropMLP"}


def results(winners, nested=True, importances=(), p=(0.01, 0.5), runs=None, models=None):
    """Four studies of four trials each; ``winners`` are the rates and activations of the best ones."""
    trials, tuned = [], []
    for fold, (rate, activation) in enumerate(winners):
        key = {"data": "iris", "model": "tuned", "repeat": 0 if nested else pd.NA, "fold": fold if nested else pd.NA}
        of_study = [(rate, activation), (0.001, "tanh"), (0.01, "relu"), (0.1, "tanh")]
        for number, (own, name) in enumerate(of_study):
            trials.append(
                {
                    **key, "number": number, "state": "complete", "is_best": int(number == 0), "value": 0.9 - 0.1 * number,
                    "learning_rate": own, "activation": name, "score.accuracy": 0.9 - 0.1 * number, "error.accuracy": 0.01,
                    "p_against_best": None if number == 0 else p[number % 2], "evaluations": 10, "problem": "",
                }
            )  # fmt: skip
        tuned.append(
            {
                **key,
                "best": 0,
                "objective": "accuracy",
                "inner_score": 0.9,
                "parameters": json.dumps({"learning_rate": rate}),
            }
        )
    shares = [
        {"data": "iris", "model": "tuned", "repeat": 0, "fold": 0, "parameter": name, "importance": share}
        for name, share in importances
    ]
    return SimpleNamespace(
        trials=pd.DataFrame(trials),
        tuned=pd.DataFrame(tuned),
        importances=pd.DataFrame(shares, columns=["data", "model", "repeat", "fold", "parameter", "importance"]),
        runs=pd.DataFrame({"data": [], "model": [], "repeat": [], "fold": []}) if runs is None else runs,
        experiment={
            "sweep": {"folds": 5},
            "model": models or {"tuned": {"class": NETWORK, "space": {"learning_rate": [1]}}},
        },
    )


def test_studies_that_agree():
    (says,) = sweep_sentences(
        results([(0.02, "tanh")] * 4, importances=[("learning_rate", 0.97), ("activation", 0.03)])
    )
    assert (says.data, says.model, says.name) == ("iris", "tuned", "best")
    assert says.lines == [
        "All 4 studies, one for each outer training set, chose the same: learning_rate = 0.02.",
        "Clearly worse than its winner, by the corrected paired test over the inner folds, are on average 1 of the 3 other completed "
        "trials of a study.",
        "What tells good trials from others: learning_rate (97%); activation hardly matters. Of 16 completed trials this is a rough "
        "guide.",
    ]


def test_studies_that_disagree():
    (says,) = sweep_sentences(results([(0.002, "tanh"), (0.09, "tanh"), (0.02, "tanh"), (0.05, "tanh")], p=(0.5, 0.5)))
    assert says.lines == [
        "Of the winners of 4 studies, one for each outer training set, this one lies nearest to all others, counted in trials between "
        "them: learning_rate = 0.02.",
        "All chose activation = tanh; the winners have learning_rate 0.002 to 0.09 (tried: 0.001 to 0.1).",
        "Clearly worse than its winner, by the corrected paired test over the inner folds, are on average 0 of the 3 other completed "
        "trials of a study.",
    ]
    assert says.settings == {"learning_rate": 0.02}
    (says,) = sweep_sentences(results([(0.001, "relu"), (0.1, "tanh")]))
    assert says.lines[2] == (
        "The studies disagree about learning_rate and activation: their winners span more than half of what was tried, or no value has "
        "the majority. One sweep alone says little of it."
    )


def test_one_that_differs_from_three_is_no_disagreement():
    (says,) = sweep_sentences(results([(0.02, "tanh"), (0.02, "tanh"), (0.02, "tanh"), (0.02, "relu")]))
    assert not any("disagree" in line for line in says.lines)


def test_what_tuning_gained_is_told_by_the_outer_folds():
    """Beside a model that is the same but not tuned; Nadeau and Bengio's test, worked out by scipy's distribution."""
    tuned, plain = np.array([0.9, 0.92, 0.94, 0.9]), np.array([0.88, 0.93, 0.9, 0.89])
    keys = {"data": "iris", "repeat": 0, "fold": range(4), "n_train": 75, "n_test": 25}
    runs = pd.concat(
        [pd.DataFrame({**keys, "model": m, "accuracy": a}) for m, a in (("plain", plain), ("tuned", tuned))]
    )
    fixed = {"class": NETWORK, "max_iter": 40}
    models = {"other": {"class": NETWORK}, "plain": fixed, "tuned": {**fixed, "space": {"learning_rate": [1]}}}
    (says,) = sweep_sentences(results([(0.02, "tanh")] * 4, runs=runs, models=models))
    d = tuned - plain
    error = np.sqrt((1 / 4 + 25 / 75) * d.var(ddof=1))
    low, high = (100 * (d.mean() + side * stats.t.ppf(0.975, 3) * error) for side in (-1, 1))
    assert says.lines[1] == (
        f"On the outer folds the tuned model is 1.5 points of accuracy ahead of plain, which is the same but not tuned (95 % interval "
        f"{low:+.1f} to {high:+.1f} points, p = {2 * stats.t.sf(d.mean() / error, 3):.3f}); that is no clear difference."
    )
    assert says.settings == {"max_iter": 40, "learning_rate": 0.02}
    runs["accuracy"] = -runs["accuracy"]
    (says,) = sweep_sentences(results([(0.02, "tanh")] * 4, runs=runs, models=models))
    assert "the tuned model is 1.5 points of accuracy behind plain" in says.lines[1]


def test_winners_that_are_the_defaults_are_said_to_be():
    swept = results([(0.02, "tanh"), (0.02, "tanh"), (0.05, "tanh")])
    swept.tuned["defaults"] = [0, 0, 1]
    (says,) = sweep_sentences(swept)
    assert says.lines[0].endswith("counted in trials between them: learning_rate = 0.02. These are the defaults.")
    assert says.lines[2] == "In 2 of 3 studies nothing that was tried was better than the defaults."


def test_one_sweep_of_all_samples_says_what_it_says_in_python():
    swept = results([(0.02, "tanh")], nested=False)
    swept.tuned = swept.tuned.assign(defaults=2, over_defaults=0.2, over_defaults_half_width=0.3, p_over_defaults=0.04)
    (says,) = sweep_sentences(swept)
    assert says.lines[:2] == [
        "The best of 4 trials is trial 0, with a mean accuracy of 0.9 over 5 folds: learning_rate = 0.02.",
        "It is clearly better than the defaults, trial 2: by +20.0 points of accuracy on these folds (95 % interval -10.0 to +50.0 points, "
        "p = 0.040).",
    ]
    assert says.lines[3].startswith(
        "2 of the other 3 completed trials are not clearly worse by the corrected paired test"
    )
    assert says.settings == {"learning_rate": 0.02}


def test_without_a_completed_trial_there_is_no_answer():
    none = results([(0.02, "tanh")])
    none.trials["state"] = "fail"
    none.tuned["best"] = pd.NA
    assert sweep_sentences(none) == [
        ("iris", "tuned", ["No trial of any study was completed."], {}, "best", "classification")
    ]
    once = results([(0.02, "tanh")], nested=False)
    once.trials["state"] = "fail"
    assert sweep_sentences(once) == []


names = st.text(max_size=8)
scalars = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)


@given(settings=st.dictionaries(names, values, max_size=4))
@example(settings={"class_weight": {"<=50K": 1.0, ">50K": 3.0}, "a.b": '\x7f\\"\n', "": math.inf})
def test_what_is_to_be_pasted_is_read_back_as_it_is(settings):
    says = SweepSays("iris", "tuned", [], settings, "best-a b")
    assert tomllib.loads(says.as_toml) == {"model": {"best-a b": settings}}
    assert says.as_toml.count("\n") == len(settings) + all(map(str.isidentifier, settings))


def test_the_model_stands_there_in_python_too():
    says = SweepSays("cars", "tuned", [], {"hidden_layer_sizes": [8, 4], "optimizer": "adam"}, task="regression")
    assert (
        says.as_toml.splitlines()[-1]
        == "# in Python: BackpropMLP('regression', hidden_layer_sizes=[8, 4], optimizer='adam')"
    )
    made = eval(says.as_python, {"BackpropMLP": BackpropMLP})
    assert made.get_params() == BackpropMLP("regression", hidden_layer_sizes=[8, 4], optimizer="adam").get_params()
    tree = {"class": {"classification": "sklearn.tree.DecisionTreeClassifier"}, "encoder": "none", "max_depth": 2}
    assert SweepSays("iris", "tuned", [], tree).as_python == "DecisionTreeClassifier(max_depth=2)"


def test_none_is_a_word_in_a_file():
    says = SweepSays("iris", "tuned", [], {"l2": None, "of": [None, 1]})
    assert tomllib.loads(says.as_toml) == {"model": {"best": {"l2": "none", "of": ["none", 1]}}}


def test_a_model_of_another_class_is_pasted_whole():
    tree = {"classification": "sklearn.tree.DecisionTreeClassifier"}
    models = {"tuned": {"class": tree, "criterion": "entropy", "encoder": "none", "space": {"max_depth": [1]}}}
    (says,) = sweep_sentences(results([(0.02, "tanh")], nested=False, models=models))
    assert says.settings == {"class": tree, "criterion": "entropy", "encoder": "none", "learning_rate": 0.02}


def test_trials_of_earlier_versions_were_not_tested():
    earlier = results([(0.02, "tanh")], nested=False, importances=[("learning_rate", 0.9), ("activation", 0.1)])
    earlier.trials = earlier.trials.drop(columns="p_against_best")
    earlier.tuned["parameters"] = "no JSON"
    (says,) = sweep_sentences(earlier)
    lines, settings = says.lines, says.settings
    assert lines[1:] == [
        "Next to it are trial 1 (0.8), trial 2 (0.7) and trial 3 (0.6).",
        "What tells good trials from others: learning_rate (90%) and activation (10%). Of 4 completed trials this is a rough guide.",
        "The score of the best of 4 promises too much; what it keeps is told by samples that no trial has seen, such as those of the "
        "outer folds where a file says nested = true.",
    ]
    assert settings == {}
    nested = results([(0.02, "tanh")] * 3)
    nested.trials = nested.trials.drop(columns="p_against_best")
    assert len(sweep_sentences(nested)[0].lines) == 1


def test_studies_with_nothing_that_varied_say_what_they_chose():
    swept = results([(0.02, "tanh")] * 3)
    swept.trials = swept.trials.assign(learning_rate=0.02, activation="tanh")
    (says,) = sweep_sentences(swept)
    assert says.lines[0] == "All 3 studies, one for each outer training set, chose the same: learning_rate = 0.02."


def test_names_of_models_to_paste_are_files_names_and_differ():
    one, two = results([(0.02, "tanh")], nested=False), results([(0.02, "tanh")], nested=False)
    for of, name in ((one, "a b"), (two, "a/b")):
        of.trials["data"] = of.tuned["data"] = name
    one.trials, one.tuned = pd.concat([one.trials, two.trials]), pd.concat([one.tuned, two.tuned])
    assert [says.name for says in sweep_sentences(one)] == ["best-a_b", "best-a_b-2"]


def test_a_class_of_one_task_needs_no_task_in_python():
    says = SweepSays(
        "cars", "tuned", [], {"class": {"regression": "nnexp.BackpropMLPRegressor"}, "tol": math.inf}, task="regression"
    )
    assert says.as_python == 'BackpropMLPRegressor(tol=float("inf"))'
