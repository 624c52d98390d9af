"""What a sweep says of its trials."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from nnexp import BackpropMLP, Space, Sweep
from nnexp.sweep.answer import answer_of, gain_over, p_against_best, spread
from nnexp.sweep.store import Trial
from nnexp.sweep.tables import best_trial, trials_table

SPACE = Space({"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "activation": ["tanh", "relu"]})
NOISE = np.array([-0.01, 0.0, 0.01, 0.005, -0.005])
END = "It was chosen for its score, which promises too much: what it keeps is told by samples that no trial has seen."
SIZES = 80, 20


def trial(number, rate, activation, mean, noise=NOISE, state="complete"):
    scores = list(mean + noise) if state == "complete" else []
    values = [float(np.mean(scores))] if scores else []
    return Trial(
        number,
        state,
        {"learning_rate": rate, "activation": activation},
        values,
        record={"scores": {"accuracy": scores}},
    )


def said(trials, importances=None, defaults=None, folds=5):
    best = best_trial(trials, "maximize")
    p = p_against_best(trials, best, "accuracy", *SIZES)
    table = trials_table(trials, SPACE, ["accuracy"], p)
    gain = None if defaults is None else gain_over(trials[defaults], best, "accuracy", *SIZES)
    return answer_of(table, ["learning_rate", "activation"], "accuracy", folds, best.params, importances or {}, gain)


def test_a_clear_winner():
    trials = [trial(0, 0.01, "tanh", 0.9), *(trial(i, 0.1 / i, "relu", 0.6, -NOISE) for i in range(1, 5))]
    answer = said(trials, {"learning_rate": 0.7, "activation": 0.3}, defaults=1)
    assert answer.sentences == [
        "The best of 5 trials is number 0, with a mean accuracy of 0.9 over 5 folds: learning_rate = 0.01, activation = tanh.",
        "By the corrected paired test over the folds each of the other 4 completed trials is clearly worse.",
        "What decided: learning_rate (70%) and activation (30%).",
        "It is clearly better than the defaults, trial 1: by +30.0 points of accuracy on these folds (95 % interval "
        "+27.1 to +32.9 points, p < 0.001).",
        END,
    ]
    assert answer.good == 1


def test_no_setting_makes_a_difference():
    trials = [trial(i, 0.01 * (i + 1), "tanh", 0.9 - 0.0001 * i, NOISE if i % 2 else -NOISE) for i in range(4)]
    answer = said(trials, {"learning_rate": 0.9, "activation": 0.1}, defaults=3)
    assert answer.sentences[1:] == [
        "The settings made no clear difference: by the corrected paired test over the folds none of the other 3 completed trials is "
        "clearly worse.",
        "It is not clearly better than the defaults, trial 3: by +0.03 points of accuracy on these folds (95 % interval "
        "-2.9 to +3.0 points, p = 0.979).",
        END,
    ]


def test_one_parameter_decides():
    good = [
        trial(i, 0.01 + 0.002 * i, ["tanh", "relu"][i % 2], 0.9 - 0.001 * i, NOISE if i % 2 else -NOISE)
        for i in range(4)
    ]
    bad = [trial(i, 0.05 + 0.01 * i, ["tanh", "relu"][i % 2], 0.5, NOISE * (1 + i % 3)) for i in range(4, 8)]
    answer = said(good + bad, {"learning_rate": 0.97, "activation": 0.03})
    assert answer.sentences[1:3] == [
        "3 of the other 7 completed trials are not clearly worse by the corrected paired test over the folds; among these and the "
        "best learning_rate is 0.01 to 0.016 (tried: 0.01 to 0.12) and activation is anything that was tried.",
        "What decided: learning_rate (97%); activation hardly mattered.",
    ]
    assert answer.ranges.to_dict("records")[0] == {
        "parameter": "learning_rate", "best": "0.01", "good": "0.01 to 0.016", "tried": "0.01 to 0.12", "importance": 0.97,
    }  # fmt: skip


def test_most_are_pruned_and_some_failed():
    trials = [trial(0, 0.01, "tanh", 0.9), *(trial(i, 0.1, "tanh", 0.0, state="pruned") for i in range(1, 9))]
    trials += [trial(9, 0.1, "tanh", 0.0, state="fail")]
    assert said(trials).sentences[1:] == ["Of these 8 were pruned and 1 failed.", "No other trial was completed."]


@pytest.mark.parametrize(
    ("noise", "folds", "why"),
    [(NOISE[:1], 1, "one fold is too few"), (NOISE, 5, "they differ by the same amount on every fold")],
)
def test_what_cannot_be_told_is_said(noise, folds, why):
    trials = [trial(i, 0.01, "tanh", 0.9 - 0.1 * i, noise) for i in range(3)]
    answer = said(trials, folds=folds)
    assert answer.sentences[1] == f"Whether others are worse cannot be told: {why}."
    assert answer.good == 0


def test_none_was_completed():
    table = trials_table([trial(0, 0.1, "tanh", 0, state="fail")], SPACE, ["accuracy"], [np.nan])
    assert answer_of(table, ["learning_rate"], "accuracy", 5, {}, {}) is None


def test_the_test_is_the_corrected_one():
    """Nadeau and Bengio (2003), by scipy's distribution."""
    rng = np.random.default_rng(0)
    trials = [trial(i, 0.01, "tanh", 0.9 - 0.02 * i, rng.normal(0, 0.02, 5)) for i in range(6)]
    best = best_trial(trials, "maximize")
    got = p_against_best(trials, best, "accuracy", *SIZES)
    for own, p in zip(trials, got, strict=True):
        if own is best:
            assert np.isnan(p)
            continue
        ahead = np.subtract(best.record["scores"]["accuracy"], own.record["scores"]["accuracy"])
        t = ahead.mean() / np.sqrt((1 / 5 + 20 / 80) * ahead.var(ddof=1))
        assert p == pytest.approx(2 * stats.t.sf(abs(t), 4))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.00123, 0.5], "0.00123 to 0.5"), ([3, 3], "3"), ([8, 64, None], "8 to 64, or not there"), ([None], "not there"),
        (["b", "a", "a"], "a and b"), ([True, False], "False and True"), (list("abcdefgh"), "one of 8 values"),
        ([(8,), (8, 4)], "(8, 4) and (8,)"),
    ],
)  # fmt: skip
def test_spreads(values, text):
    assert spread(pd.Series(values, dtype=object)) == text


def test_a_sweep_answers_and_optuna_can_plot_it():
    X, y = load_iris(return_X_y=True)
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=20, validation="none")
    space = {"learning_rate": {"low": 0.0001, "high": 0.1, "log": True}, "batch_size": [16, 64]}
    result = Sweep(space, model, n_trials=12, cv=3, scoring="neg_log_loss", batch_size=4, enqueue="defaults").run(X, y)
    answer = result.answer
    assert (answer.number, answer.value, answer.parameters) == (
        result.best_number,
        result.best_value,
        result.best_params,
    )
    assert answer.over_defaults.number == 0
    assert str(answer).startswith(
        f"The best of 12 trials is number {result.best_number}, with a mean neg_log_loss of -"
    )
    row = result.trials.set_index("number").loc[answer.number]
    assert np.isnan(row["p_against_best"])
    assert result.trials["p_against_best"].between(0, 1).sum() == 11
    assert result.study.best_trial.number == result.best_number
    assert [own.value for own in result.study.trials] == result.trials["value"].tolist()
    low, high = (float(part) for part in answer.ranges["tried"][0].split(" to "))
    assert (low, high) == pytest.approx(
        (result.trials.learning_rate.min(), result.trials.learning_rate.max()), rel=0.01
    )
