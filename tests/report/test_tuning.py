"""What a report says of sweeps."""

import json
import tomllib
from types import SimpleNamespace

import pandas as pd

from nnexp.report import sweep_sentences
from nnexp.report.tuning import SweepSays


def results(winners, nested=True, importances=(), p=(0.01, 0.5), layers=False):
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
    shares = [{"data": "iris", "model": "tuned", "parameter": name, "importance": share} for name, share in importances]
    return SimpleNamespace(
        trials=pd.DataFrame(trials),
        tuned=pd.DataFrame(tuned),
        importances=pd.DataFrame(shares, columns=["data", "model", "parameter", "importance"]),
        experiment={"sweep": {"folds": 5}},
    )


def test_studies_that_agree():
    ((name, model, lines, settings),) = sweep_sentences(
        results([(0.02, "tanh")] * 4, importances=[("learning_rate", 0.97), ("activation", 0.03)])
    )
    assert (name, model) == ("iris", "tuned")
    assert lines == [
        "All 4 studies, one for each outer training set, chose the same: learning_rate = 0.02 and activation = tanh.",
        "Clearly worse than its winner, by the corrected paired test over the inner folds, are on average 1 of the 3 other completed "
        "trials of a study.",
        "What decided: learning_rate (97%); activation hardly mattered.",
    ]


def test_studies_that_disagree():
    ((_, _, lines, settings),) = sweep_sentences(
        results([(0.002, "tanh"), (0.09, "tanh"), (0.02, "tanh"), (0.05, "tanh")], p=(0.5, 0.5))
    )
    assert lines == [
        "One study for each outer training set: all 4 studies chose activation = tanh; their winners have learning_rate 0.002 to 0.09 "
        "(tried: 0.001 to 0.1).",
        "Clearly worse than its winner, by the corrected paired test over the inner folds, are on average 0 of the 3 other completed "
        "trials of a study.",
        "To go on with one model: the winner of repeat 0, fold 2 lies nearest to all winners, counted in trials between them.",
    ]
    assert settings == {"learning_rate": 0.02}
    ((_, _, lines, settings),) = sweep_sentences(results([(0.001, "relu"), (0.1, "tanh")]))
    assert lines[1] == (
        "The studies disagree about learning_rate and activation: more than half of all that was tried lies between their winners, so "
        "that one sweep alone says little of it."
    )


def test_one_sweep_of_all_samples_says_what_it_says_in_python():
    ((_, _, lines, settings),) = sweep_sentences(results([(0.02, "tanh")], nested=False))
    assert (
        lines[0] == "The best of 4 trials is number 0, with a mean accuracy of 0.9 over 5 folds: learning_rate = 0.02."
    )
    assert lines[1].startswith("2 of the other 3 completed trials are not clearly worse by the corrected paired test")
    assert settings == {"learning_rate": 0.02}


def test_without_a_completed_trial_there_is_no_answer():
    none = results([(0.02, "tanh")])
    none.trials["state"] = "fail"
    none.tuned["best"] = pd.NA
    assert sweep_sentences(none) == [("iris", "tuned", ["No trial of any study was completed."], {})]
    once = results([(0.02, "tanh")], nested=False)
    once.trials["state"] = "fail"
    assert sweep_sentences(once) == []


def test_one_model_can_be_pasted():
    says = SweepSays(
        "iris",
        "tuned",
        [],
        {"hidden_layer_sizes": [8, 4], "activation": "tanh", "schedule": {"name": "cosine", "warmup": 0.1}},
    )
    assert says.as_toml.splitlines()[0] == "[model.best]"
    assert tomllib.loads(says.as_line) == tomllib.loads(says.as_toml) == {"model": {"best": says.settings}}


def test_trials_of_earlier_versions_were_not_tested():
    earlier = results([(0.02, "tanh")], nested=False, importances=[("learning_rate", 0.9), ("activation", 0.1)])
    earlier.trials = earlier.trials.drop(columns="p_against_best")
    earlier.tuned["parameters"] = "no JSON"
    ((_, _, lines, settings),) = sweep_sentences(earlier)
    assert lines[1:] == [
        "What decided: learning_rate (90%) and activation (10%).",
        "It was chosen for its score, which promises too much: what it keeps is told by samples that no trial has seen.",
    ]
    assert settings == {}
    nested = results([(0.02, "tanh")] * 3)
    nested.trials = nested.trials.drop(columns="p_against_best")
    assert len(sweep_sentences(nested)[0].lines) == 1
