"""What a sweep says of its trials."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from nnexp import BackpropMLP, Space, Sweep
from nnexp.sweep.answer import answer_of, gain_over, p_against_best, spread
from nnexp.sweep.space import SpaceError
from nnexp.sweep.store import Trial
from nnexp.sweep.tables import best_trial, trials_table

SPACE = Space({"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "activation": ["tanh", "relu"]})
NOISE = np.array([-0.01, 0.0, 0.01, 0.005, -0.005])
END = (
    "The score of the best of {} promises too much; what it keeps is told by samples that no trial has seen, such as those of the outer "
    "folds where a file says nested = true."
)
GUIDE = "Of {} completed trials this is a rough guide."
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
    if defaults is not None:
        gain = None if trials[defaults] is best else gain_over(trials[defaults], best, "accuracy", *SIZES)
        defaults = defaults, gain
    names = ["learning_rate", "activation"]
    return answer_of(table, names, "accuracy", folds, best.params, importances or {}, defaults)


def test_a_clear_winner():
    trials = [trial(0, 0.01, "tanh", 0.9), *(trial(i, 0.1 / i, "relu", 0.6, -NOISE) for i in range(1, 5))]
    answer = said(trials, {"learning_rate": 0.7, "activation": 0.3}, defaults=1)
    assert answer.sentences == [
        "The best of 5 trials is trial 0, with a mean accuracy of 0.9 over 5 folds: learning_rate = 0.01, activation = tanh.",
        "It is clearly better than the defaults, trial 1: by +30.0 points of accuracy on these folds (95 % interval "
        "+27.1 to +32.9 points, p < 0.001).",
        "Next to it are trial 1 (0.6), trial 2 (0.6) and trial 3 (0.6).",
        "By the corrected paired test over the folds each of the other 4 completed trials is clearly worse.",
        f"What tells good trials from others: learning_rate (70%) and activation (30%). {GUIDE.format(5)}",
        END.format(5),
    ]
    assert answer.good == 1


def test_no_setting_makes_a_difference():
    trials = [trial(i, 0.01 * (i + 1), "tanh", 0.9 - 0.0001 * i, np.roll(NOISE, i)) for i in range(4)]
    answer = said(trials, {"learning_rate": 0.9, "activation": 0.1}, defaults=3)
    ahead = 0.0003 + NOISE - np.roll(NOISE, 3)  # Nadeau and Bengio (2003): 5 folds of 20 samples beside 80
    error = np.sqrt((1 / 5 + 20 / 80) * ahead.var(ddof=1))
    low, high = (100 * (ahead.mean() + side * stats.t.ppf(0.975, 4) * error) for side in (-1, 1))
    p = 2 * stats.t.sf(ahead.mean() / error, 4)
    assert answer.sentences[1:] == [
        "It is not clearly better than the defaults, trial 3: by +0.03 points of accuracy on these folds (95 % interval "
        f"{low:+.1f} to {high:+.1f} points, p = {p:.3f}).",
        "Next to it are trial 1 (0.8999), trial 2 (0.8998) and trial 3 (0.8997).",
        "The settings made no clear difference: by the corrected paired test over the folds none of the other 3 completed trials is "
        "clearly worse.",
        END.format(4),
    ]


def test_one_parameter_decides():
    good = [trial(i, 0.01 + 0.002 * i, ["tanh", "relu"][i % 2], 0.9 - 0.001 * i, np.roll(NOISE, i)) for i in range(4)]
    bad = [
        trial(i, 0.05 + 0.01 * i, ["tanh", "relu"][i % 2], 0.5, np.roll(NOISE, i) * (1 + i % 3)) for i in range(4, 8)
    ]
    answer = said(good + bad, {"learning_rate": 0.97, "activation": 0.03}, defaults=0)
    assert answer.sentences[1:5] == [
        "These are the defaults: nothing that was tried is better than they are.",
        "Next to it are trial 1 (0.899), trial 2 (0.898) and trial 3 (0.897).",
        "3 of the other 7 completed trials are not clearly worse by the corrected paired test over the folds; among these and the "
        "best learning_rate is 0.01 to 0.016 (tried: 0.01 to 0.12) and activation is anything that was tried.",
        f"What tells good trials from others: learning_rate (97%); activation hardly matters. {GUIDE.format(8)}",
    ]
    assert answer.ranges.to_dict("records")[0] == {
        "parameter": "learning_rate", "best": "0.01", "good": "0.01 to 0.016", "tried": "0.01 to 0.12", "is_narrower": True,
        "importance": 0.97,
    }  # fmt: skip


def test_most_are_pruned_and_one_failed():
    trials = [trial(0, 0.01, "tanh", 0.9), *(trial(i, 0.1, "tanh", 0.0, state="pruned") for i in range(1, 9))]
    trials += [trial(9, 0.1, "tanh", 0.0, state="fail")]
    assert said(trials).sentences[1:] == ["Of all trials 8 were pruned and 1 failed.", "No other trial was completed."]


def test_chance_among_many_trials_is_no_difference():
    """One of forty equal trials is behind with a p below 5 %, as chance has it."""
    rng = np.random.default_rng(2)
    trials = [trial(i, 0.01 + 0.001 * i, "tanh", 0.8, rng.normal(0, 0.02, 5)) for i in range(40)]
    answer = said(trials, {"learning_rate": 1.0})
    assert 1 < answer.good < 40
    assert not answer.is_clear
    assert answer.sentences[2] == (
        "The settings made no clear difference: by the corrected paired test over the folds, corrected for 39 comparisons (Holm), none "
        "of the other 39 completed trials is clearly worse."
    )
    assert not any("What tells" in line for line in answer.sentences)


def test_a_trial_that_is_behind_by_the_same_on_every_fold_is_not_as_good():
    """As a model that always answers the same, against one that makes no mistake."""
    same = np.zeros(5)
    trials = [trial(0, 0.01, "tanh", 1.0, same), trial(1, 0.02, "relu", 0.3, same), trial(2, 0.03, "tanh", 0.7)]
    answer = said(trials)
    assert (answer.good, answer.constant) == (1, 1)
    assert answer.ranges["good"].tolist() == ["0.01", "tanh"]
    assert answer.sentences[2] == (
        "By the corrected paired test over the folds each of the other 2 completed trials is clearly worse (1 is behind by the same "
        "amount on every fold, which no test can tell)."
    )


def test_one_trial_is_a_sentence():
    assert said([trial(0, 0.01, "tanh", 0.9)]).sentences == [
        "The only trial has a mean accuracy of 0.9 over 5 folds: learning_rate = 0.01, activation = tanh.",
        "There was no other.",
    ]


def test_settings_that_are_tried_again_count_once():
    trials = [trial(0, 0.01, "tanh", 0.9), trial(1, 0.1, "relu", 0.6, -NOISE), trial(2, 0.01, "tanh", 0.9)]
    trials[2].record["reused_from"] = 0
    answer = said(trials)
    assert (answer.good, answer.distinct, answer.following) == (1, 2, [(1, pytest.approx(0.6))])
    assert answer.sentences[2] == (
        "By the corrected paired test over the folds the other completed trial is clearly worse."
    )


@pytest.mark.parametrize(
    ("noise", "folds", "why"),
    [(NOISE[:1], 1, "one fold is too few"), (NOISE, 5, "they differ by the same amount on every fold")],
)
def test_what_cannot_be_told_is_said(noise, folds, why):
    trials = [trial(i, 0.01, "tanh", 0.9 - 0.1 * i, noise) for i in range(3)]
    answer = said(trials, folds=folds)
    assert answer.sentences[2] == f"Whether others are worse cannot be told: {why}."
    assert ("over 1 fold:" in answer.sentences[0]) == (folds == 1)
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
        ([(8,), (8, 4)], "(8, 4) and (8,)"), ([0.9995, 0.9999], "0.9995 to 0.9999"), (["None", 2], "2 and None"),
        ([{"name": "cosine", "warmup": 0.123456}], "{name: cosine, warmup: 0.1235}"),
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
    assert answer.defaults == 0
    assert answer.over_defaults.difference == pytest.approx(result.best_value - result.trials["value"].iloc[0])
    assert str(answer).startswith(f"The best of 12 trials is trial {result.best_number}, with a mean neg_log_loss of -")
    row = result.trials.set_index("number").loc[answer.number]
    assert np.isnan(row["p_against_best"])
    assert result.trials["p_against_best"].between(0, 1).sum() == 11
    assert result.study.best_trial.number == result.best_number
    assert [own.value for own in result.study.trials] == result.trials["value"].tolist()
    low, high = (float(part) for part in answer.ranges["tried"][0].split(" to "))
    assert (low, high) == pytest.approx(
        (result.trials.learning_rate.min(), result.trials.learning_rate.max()), rel=0.01
    )


KINDS = {
    "weights": ["distance", "uniform"],
    "p": {"choices": [1, 2], "when": {"weights": "distance"}},
    "n_neighbors": [5, 99],
}


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_the_defaults_are_known_where_a_parameter_takes_no_part_in_them(weights):
    model = KNeighborsClassifier(n_neighbors=99, weights=weights)
    settings = {"n_trials": 8, "cv": 3, "sampler": "random", "enqueue": "defaults", "scoring": "accuracy"}
    answer = Sweep(KINDS, model, **settings).run(*load_iris(return_X_y=True)).answer
    assert answer.defaults == 0
    assert answer.over_defaults.difference > 0


def test_defaults_that_win_are_not_compared_with_themselves():
    settings = {"n_trials": 2, "cv": 3, "sampler": "grid", "enqueue": "defaults"}
    answer = Sweep({"n_neighbors": [5, 99]}, KNeighborsClassifier(), **settings).run(*load_iris(return_X_y=True)).answer
    assert answer.over_defaults is None
    assert answer.sentences[1] == "These are the defaults: nothing that was tried is better than they are."


def test_defaults_that_are_no_point_of_the_space_are_said_to_be():
    space = {"dropout": {"low": 0.0, "high": 0.5}}
    with pytest.raises(
        SpaceError, match=r"the defaults are no point of the space: dropout .*'auto'.*leave out \"defaults\""
    ):
        Sweep(space, BackpropMLP(), enqueue="defaults")


def test_a_choice_of_none_is_a_value():
    space = {"max_depth": [None, 2], "criterion": ["gini", "entropy"]}
    model = DecisionTreeClassifier(random_state=0)
    result = Sweep(space, model, n_trials=None, sampler="grid", cv=3).run(*load_iris(return_X_y=True))
    assert sorted(set(result.trials["max_depth"].astype(str))) == ["2", "None"]
    row = result.answer.ranges.set_index("parameter").loc["max_depth"]
    assert row["tried"] == "2 and None"
    assert result.estimator.max_depth == result.best_params["max_depth"]
