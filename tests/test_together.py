"""Many fits as one stack, against the same fits one by one and against scikit-learn's function."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GroupKFold, KFold, RepeatedStratifiedKFold, ShuffleSplit
from sklearn.model_selection import cross_validate as one_by_one
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP, GeneticAlgorithm, cross_validate, fit_many

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 12, "validation": "none", "random_state": 0, "learning_rate": 0.02}


def same(got, expected, rtol=1e-7):
    assert set(got) == set(expected)
    for name in got:
        if ("score" in name or name.startswith(("test_", "train_"))) and name != "score_time":
            np.testing.assert_allclose(got[name], expected[name], rtol=rtol)
        assert len(got[name]) == len(expected[name])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"descent": "stochastic", "max_iter": 2},
        {"descent": "batch"},
        {"validation": "cross"},
        {"validation": "holdout", "validation_fraction": 0.25, "n_iter_no_change": 3, "max_iter": 40},
        {"dropout": 0.2, "schedule": "one_cycle"},
        {"n_networks": 2, "validation": "cross"},
        {"algorithm": GeneticAlgorithm(population_size=10)},
        {"class_weight": {0: 2.0}, "scoring": "balanced_accuracy", "validation": "holdout"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("cv", "pipeline"),
    [
        pytest.param(RepeatedStratifiedKFold(n_splits=7, n_repeats=2, random_state=0), False, marks=pytest.mark.slow),
        (4, True),
        pytest.param(4, False, marks=pytest.mark.slow),
        pytest.param(RepeatedStratifiedKFold(n_splits=7, n_repeats=2, random_state=0), True, marks=pytest.mark.slow),
    ],
    ids=["7 × 2, alone", "4, pipeline", "4, alone", "7 × 2, pipeline"],
)
def test_every_fold_is_trained_as_it_would_be_alone(settings, cv, pipeline):
    model = BackpropMLP(**SMALL | settings)
    if pipeline:
        model = make_pipeline(StandardScaler(), PCA(3), model)
    got = cross_validate(model, *IRIS, cv=cv, scoring="neg_log_loss", return_train_score=True, return_estimator=True)
    expected = one_by_one(model, *IRIS, cv=cv, scoring="neg_log_loss", return_train_score=True, return_estimator=True)
    same(got, expected, rtol=1e-6)
    for a, b in zip(got["estimator"], expected["estimator"], strict=True):
        np.testing.assert_allclose(a.predict_proba(IRIS[0]), b.predict_proba(IRIS[0]), rtol=1e-6, atol=1e-9)
        last = [own[-1] if pipeline else own for own in (a, b)]
        assert last[0].n_iter_ == last[1].n_iter_
        assert last[0].stop_reason_ == last[1].stop_reason_
        assert last[0].evaluations_ == last[1].evaluations_
        pd.testing.assert_frame_equal(
            last[0].history_.drop(columns="seconds"), last[1].history_.drop(columns="seconds"), rtol=1e-6
        )


def test_a_regression_standardises_its_target_in_each_fold():
    model = BackpropMLP("regression", **SMALL)
    for scoring in (None, ["r2", "neg_mean_absolute_error"]):
        same(cross_validate(model, *DIABETES, scoring=scoring), one_by_one(model, *DIABETES, scoring=scoring))


def test_frames_weights_groups_indices_and_several_scores():
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    groups = np.arange(150) % 11
    options = dict(
        groups=groups, cv=GroupKFold(5), scoring=["accuracy", "neg_log_loss"], return_indices=True,
        params={"sample_weight": np.linspace(0.1, 2, 150)},
    )  # fmt: skip
    got, expected = (f(BackpropMLP(**SMALL), X, IRIS[1], **options) for f in (cross_validate, one_by_one))
    same({k: v for k, v in got.items() if k != "indices"}, {k: v for k, v in expected.items() if k != "indices"})
    for part in ("train", "test"):
        for a, b in zip(got["indices"][part], expected["indices"][part], strict=True):
            np.testing.assert_array_equal(a, b)


def test_processes_change_nothing():
    model, cv = BackpropMLP(**SMALL), ShuffleSplit(6, random_state=0)
    same(cross_validate(model, *IRIS, cv=cv, n_jobs=2), cross_validate(model, *IRIS, cv=cv))


@pytest.mark.parametrize(
    "model", [DummyClassifier(), BackpropMLP(**SMALL, warm_start=True)], ids=["other", "warm start"]
)
def test_what_cannot_be_stacked_goes_to_scikit_learn(model):
    same(cross_validate(model, *IRIS), one_by_one(model, *IRIS))


def test_a_fold_that_fails_has_the_error_score_and_stops_no_other():
    y = IRIS[1].copy()
    cv = [(np.arange(0, 50), np.arange(50, 60)), (np.arange(0, 150, 2), np.arange(1, 150, 2))]  # the first: one class
    model = BackpropMLP(**SMALL)
    with pytest.warns(FitFailedWarning, match="1 of 2 fits failed(.|\n)*one class only"):
        scores = cross_validate(model, IRIS[0], y, cv=cv)["test_score"]
    assert np.isnan(scores[0])
    assert scores[1] > 0.5
    with pytest.raises(ValueError, match="one class only"):
        cross_validate(model, IRIS[0], y, cv=cv, error_score="raise")
    with pytest.raises(ValueError, match="All the 1 of 1 fits failed"):
        cross_validate(model, IRIS[0], y, cv=cv[:1])


def test_estimators_that_differ_in_what_a_stack_allows_train_as_alone():
    settings = [
        {}, {"learning_rate": 0.1}, {"l2": 0.1}, {"dropout": 0.3}, {"random_state": 5}, {"class_weight": "balanced"},
        {"weight_decay": 0.1, "l1": 0.01}, {"n_networks": 3, "validation": "cross"}, {"batch_size": 16},
        {"activation": "relu"}, {"algorithm": GeneticAlgorithm(population_size=8)}, {"label_smoothing": 0.1, "clip_norm": 0.5},
    ]  # fmt: skip
    models = [BackpropMLP(**SMALL | own) for own in settings]
    alone = [clone(model).fit(*IRIS) for model in models]
    assert fit_many(models, *IRIS) == models
    for a, b in zip(models, alone, strict=True):
        np.testing.assert_allclose(a.parameters_, b.parameters_, rtol=1e-6, atol=1e-9)
        assert a.stop_reason_ == b.stop_reason_


def test_what_shares_a_network_and_a_batch_size_is_one_stack(monkeypatch):
    from nnexp.training import stack

    sizes = []
    run = stack._train
    monkeypatch.setattr(stack, "_train", lambda task: (sizes.append(task.problem.n_members), run(task))[1])
    rates = [BackpropMLP(**SMALL | {"learning_rate": r, "random_state": i}) for i, r in enumerate((0.1, 0.01, 0.001))]
    fit_many([*rates, BackpropMLP(**SMALL, batch_size=7)], *IRIS)
    assert sizes == [3, 1]


def test_frames_keep_their_names_and_one_that_fails_leaves_all_as_they_were():
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    models = [BackpropMLP(**SMALL), BackpropMLP(**SMALL | {"learning_rate": 0.1})]
    fit_many(models, X, IRIS[1])
    assert models[0].feature_names_in_.tolist() == list("abcd")
    before = models[0].parameters_
    models[0].set_params(random_state=9)
    models[1].set_params(activation="step")
    with pytest.raises(ValueError, match="needs derivatives"):
        fit_many(models, X, IRIS[1])
    assert models[0].parameters_ is before


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([DummyClassifier()], "must be BackpropMLP objects"),
        ([BackpropMLP(warm_start=True)], "takes no estimators with callbacks, verbose, warm_start or max_seconds"),
        ([BackpropMLP(**SMALL)] * 2, "must be different objects"),
    ],
)
def test_what_cannot_be_fitted_together_is_refused(models, said):
    with pytest.raises((ValueError, TypeError), match=said):
        fit_many(models, *IRIS)


def test_folds_are_done_in_parts_where_their_data_are_large(monkeypatch):
    monkeypatch.setattr("nnexp.together._TOGETHER_BYTES", 1)
    monkeypatch.setattr("nnexp.training.stack._JOIN_BYTES", 1)
    model = make_pipeline(StandardScaler(), BackpropMLP(**SMALL))
    same(cross_validate(model, *IRIS, cv=KFold(3, shuffle=True, random_state=0)),
         one_by_one(model, *IRIS, cv=KFold(3, shuffle=True, random_state=0)))  # fmt: skip


class Turned(BackpropMLP):
    """Learns another target; what overrides fit must be fitted by it."""

    def fit(self, X, y, **more):
        return super().fit(X, (y + 1) % 3, **more)


def test_what_overrides_fit_or_is_no_valid_pipeline_is_left_to_scikit_learn():
    same(cross_validate(Turned(**SMALL), *IRIS), one_by_one(Turned(**SMALL), *IRIS))
    twice = Pipeline([("a", StandardScaler()), ("a", BackpropMLP(**SMALL))])
    with pytest.raises(ValueError, match="unique"):
        cross_validate(twice, *IRIS, error_score="raise")


def test_a_fold_that_fails_while_it_trains_stops_no_other():
    def score(e, X, y):
        if (IRIS[0][7] == X).all(axis=1).any():
            raise RuntimeError("of no use")
        return e.score(X, y)

    model = BackpropMLP(**SMALL | {"validation": "holdout"}, validation_fraction=0.4, scoring=score)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, expected = (
            f(model, *IRIS, cv=KFold(5, shuffle=True, random_state=0))["test_score"]
            for f in (cross_validate, one_by_one)
        )
    assert 0 < np.isnan(expected).sum() < 5
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cv": []}, "gives no split"),
        ({"error_score": "foo"}, "error_score must be 'raise' or a number"),
        ({"n_jobs": "a"}, "n_jobs must be an integer"),
        ({"n_jobs": 0}, "n_jobs must be an integer other than 0"),
        ({"params": "abc"}, "params must be a dict"),
        ({"scoring": lambda e, X, y: "a", "error_score": "raise"}, "scoring must return a number"),
    ],
)
def test_impossible_arguments_give_a_sentence(more, said):
    with pytest.raises((ValueError, TypeError), match=said):
        cross_validate(BackpropMLP(**SMALL), *IRIS, **more)


def test_columns_of_validation_frames_are_checked():
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    with pytest.raises(ValueError, match="feature names"):
        fit_many([BackpropMLP(**SMALL)], X, IRIS[1], X_val=X[list("dcba")], y_val=IRIS[1])
    (model,) = fit_many([BackpropMLP(**SMALL)], X, IRIS[1], X_val=X, y_val=IRIS[1])
    alone = BackpropMLP(**SMALL).fit(X, IRIS[1], X_val=X, y_val=IRIS[1])
    np.testing.assert_array_equal(model.parameters_, alone.parameters_)
    with pytest.raises(TypeError, match="must be a sequence"):
        fit_many(BackpropMLP(), *IRIS)


def test_weights_that_differ_from_fit_to_fit_stay_apart_in_one_stack():
    X, y = IRIS[0], np.array([0, 1, 2, 0, 1])[np.arange(150) % 5]  # classes of unequal size
    weights = [None, "balanced", {0: 5.0}, {1: 0.1, 2: 7.0}]
    models = [BackpropMLP(**SMALL, class_weight=own) for own in weights]
    alone = [clone(model).fit(X, y) for model in models]
    for a, b in zip(fit_many(models, X, y), alone, strict=True):
        np.testing.assert_allclose(a.parameters_, b.parameters_, rtol=1e-7)
    assert len({round(float(model.parameters_[0, 0]), 9) for model in models}) == 4


def test_dropout_in_large_batches_is_that_of_each_fold_alone():
    X, y = load_digits(return_X_y=True)
    model = BackpropMLP(batch_size=256, max_iter=2, random_state=0, dropout=0.1, validation="none")
    got, expected = (
        f(model, X / 16, y, cv=6, scoring="neg_log_loss")["test_score"] for f in (cross_validate, one_by_one)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_failing_score_is_the_error_score_also_where_folds_are_done_one_by_one(monkeypatch):
    monkeypatch.setattr("nnexp.together._TOGETHER_BYTES", 1)

    def score(e, X, y):
        if (IRIS[0][7] == X).all(axis=1).any():
            raise RuntimeError("of no use")
        return e.score(X, y)

    model = BackpropMLP(**SMALL | {"validation": "holdout"}, validation_fraction=0.4, scoring=score)
    with pytest.warns(FitFailedWarning):
        scores = cross_validate(model, *IRIS, cv=KFold(5, shuffle=True, random_state=0))["test_score"]
    assert 0 < np.isnan(scores).sum() < 5


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_each_fold_draws_from_its_own_copy_of_a_generator(make):
    model = BackpropMLP(**SMALL | {"random_state": make(0)})
    own = cross_validate(model, *IRIS, cv=3, return_estimator=True)["estimator"]
    theirs = one_by_one(model, *IRIS, cv=3, return_estimator=True)["estimator"]
    for one, other in zip(own, theirs, strict=True):
        np.testing.assert_allclose(one.parameters_, other.parameters_, rtol=1e-9)
