import contextlib
import pickle
from unittest import SkipTest

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import BackpropMLP, SweepCV

X, y = load_iris(return_X_y=True)
RATES = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
MODEL = BackpropMLP(hidden_layer_sizes=(6,), max_iter=15, validation="none")


@parametrize_with_checks(
    [SweepCV(SVR(), {"C": [1.0, 4.0]}, n_trials=None, sampler="grid", cv=2, random_state=0, error_score="raise")]
)
def test_it_is_a_scikit_learn_search(estimator, check):
    run(estimator, check)


@pytest.mark.slow
@parametrize_with_checks(
    [
        SweepCV(
            make_pipeline(StandardScaler(), BackpropMLP(encoding="none", hidden_layer_sizes=(8,), max_iter=60)),
            {"learning_rate": [0.01, 0.1]}, n_trials=2, cv=2, random_state=0, error_score="raise",
        ),
    ]
)  # fmt: skip
def test_with_networks_too(estimator, check):
    run(estimator, check)


def run(estimator, check):
    with contextlib.suppress(SkipTest):  # checks of methods that the estimator does not claim to have
        check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        SweepCV(
            BackpropMLP(task="regression", hidden_layer_sizes=(8,), max_iter=60),
            {"learning_rate": [0.01, 0.1]}, n_trials=2, cv=2, random_state=0, error_score="raise",
        ),
    ]
)  # fmt: skip
def test_a_sweep_of_networks_is_a_scikit_learn_search(estimator, check):
    with contextlib.suppress(SkipTest):  # checks of methods that the estimator does not claim to have
        check(estimator)


def test_a_grid_gives_what_grid_search_gives():
    grid = {"C": [0.01, 0.1, 1.0, 10.0], "fit_intercept": [True, False]}
    cv = StratifiedKFold(4, shuffle=True, random_state=1)
    ours = SweepCV(
        LogisticRegression(max_iter=500), grid, n_trials=None, sampler="grid", cv=cv, return_train_score=True
    )
    theirs = GridSearchCV(LogisticRegression(max_iter=500), grid, cv=cv, return_train_score=True)
    ours.fit(X, y)
    theirs.fit(X, y)
    assert set(theirs.cv_results_) <= set(ours.cv_results_)
    key = lambda params: sorted(params.items())  # noqa: E731
    order = [ours.cv_results_["params"].index(p) for p in theirs.cv_results_["params"]]
    assert sorted(map(key, ours.cv_results_["params"])) == sorted(map(key, theirs.cv_results_["params"]))
    for name in theirs.cv_results_:
        if "time" not in name and name != "params":
            own = np.asarray(ours.cv_results_[name])[order]
            np.testing.assert_array_equal(own, np.asarray(theirs.cv_results_[name]), err_msg=name)
    assert ours.best_score_ == theirs.best_score_
    np.testing.assert_array_equal(ours.predict_proba(X), ours.best_estimator_.predict_proba(X))
    assert pd.DataFrame(ours.cv_results_)["param_C"].tolist()


def test_several_scores_and_the_one_that_decides():
    scoring = {"accuracy": "accuracy", "loss": "neg_log_loss"}
    search = SweepCV(MODEL, RATES, n_trials=5, cv=3, scoring=scoring, refit="loss", random_state=0).fit(X, y)
    assert search.multimetric_
    assert search.best_index_ == np.argmax(search.cv_results_["mean_test_loss"])
    assert search.best_score_ == search.cv_results_["mean_test_loss"].max()
    assert search.cv_results_["rank_test_loss"][search.best_index_] == 1
    assert set(search.scorer_) == {"accuracy", "loss"}
    with pytest.raises(ValueError, match="refit"):
        SweepCV(MODEL, RATES, n_trials=2, scoring=scoring).fit(X, y)
    loose = SweepCV(MODEL, RATES, n_trials=3, cv=3, scoring=scoring, refit=False, random_state=0).fit(X, y)
    assert not hasattr(loose, "best_params_")
    chosen = SweepCV(
        MODEL, RATES, n_trials=3, cv=3, scoring=scoring, refit=lambda r: 2, random_state=0
    ).fit(X, y)  # fmt: skip
    assert chosen.best_index_ == 2


@pytest.mark.slow
def test_the_result_does_not_depend_on_n_jobs_and_repeats():
    def of(n_jobs, seed):
        search = SweepCV(MODEL, RATES, n_trials=8, cv=3, n_jobs=n_jobs, random_state=seed, batch_size=4).fit(X, y)
        return search.cv_results_["mean_test_score"].tolist(), search.cv_results_["params"]

    assert of(1, 3) == of(2, 3)
    assert of(1, 3) != of(1, 4)


def test_a_score_is_what_the_fit_with_that_seed_gives_by_hand():
    cv = KFold(3, shuffle=True, random_state=0)
    search = SweepCV(make_pipeline(StandardScaler(), SVC()), {"C": [0.1, 1.0, 10.0]}, n_trials=3, cv=cv).fit(X, y)
    for params, mean in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        model = make_pipeline(StandardScaler(), SVC()).set_params(**params)
        assert mean == pytest.approx(cross_val_score(model, X, y, cv=cv).mean(), rel=1e-12)


def test_it_works_inside_a_pipeline_and_around_one():
    around = SweepCV(make_pipeline(StandardScaler(), MODEL), RATES, n_trials=3, cv=3, random_state=0).fit(X, y)
    assert set(around.best_params_) == {"backpropmlp__learning_rate"}
    inside = Pipeline(
        [("scale", StandardScaler()), ("search", SweepCV(MODEL, RATES, n_trials=3, cv=3, random_state=0))]
    )
    assert inside.fit(X, y).score(X, y) > 0.5
    assert cross_val_score(inside, X, y, cv=2).shape == (2,)
    steps = SweepCV(
        make_pipeline(StandardScaler(), SVC()), {"standardscaler__with_mean": [True, False], "C": [1.0, 2.0]}, n_trials=4, cv=2
    ).fit(X, y)  # fmt: skip
    assert set(steps.best_params_) == {"standardscaler__with_mean", "svc__C"}


def test_clone_and_pickle():
    search = SweepCV(MODEL, RATES, n_trials=3, cv=3, random_state=0)
    assert clone(search).get_params()["space"] == RATES
    search.fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert again.best_params_ == search.best_params_


def test_groups_go_to_the_splitter_and_weights_to_the_fit_and_the_score():
    groups = np.arange(len(y)) % 5
    search = SweepCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, n_trials=2, cv=GroupKFold(5)).fit(
        X, y, groups=groups
    )
    assert search.n_splits_ == 5
    weight = np.where(y == 2, 0.0, 1.0)
    weighted = SweepCV(LogisticRegression(max_iter=500), {"tol": [1e-4, 1e-3]}, n_trials=2, cv=StratifiedKFold(3)).fit(
        X, y, sample_weight=weight
    )
    assert 2 not in weighted.predict(X)


def test_metadata_is_routed():
    weight = np.random.default_rng(0).random(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=500).set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        cv = KFold(3)
        ours = SweepCV(model, {"C": [0.01, 1.0]}, n_trials=None, sampler="grid", cv=cv, scoring=scorer)
        theirs = GridSearchCV(model, {"C": [0.01, 1.0]}, cv=cv, scoring=scorer)
        ours.fit(X, y, sample_weight=weight)
        theirs.fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(
            ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-12
        )


def test_a_scorer_that_returns_several_scores():
    def both(model, X, y):
        return {"accuracy": model.score(X, y), "loss": -log_loss(y, model.predict_proba(X))}

    search = SweepCV(MODEL, RATES, n_trials=3, cv=3, scoring=both, refit="loss", random_state=0).fit(X, y)
    assert {"mean_test_accuracy", "mean_test_loss"} <= set(search.cv_results_)


def test_a_trial_that_fails_has_the_error_score():
    space = {"C": [-1.0, 1.0]}
    settings = {"n_trials": None, "sampler": "grid", "cv": 3}
    with pytest.warns(sklearn.exceptions.FitFailedWarning, match="1 of 2 trials failed"):
        search = SweepCV(LogisticRegression(max_iter=500), space, **settings).fit(X, y)
    assert list(search.cv_results_["state"]) == ["fail", "complete"]
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert search.best_params_ == {"C": 1.0}
    with pytest.raises(ValueError, match="The 'C' parameter of LogisticRegression"):
        SweepCV(LogisticRegression(), space, error_score="raise", **settings).fit(X, y)
    with pytest.raises(ValueError, match="All the 2 trials failed"):
        SweepCV(LogisticRegression(), {"C": [-1.0, -2.0]}, **settings).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_trials": 0}, "n_trials must be an integer from 1 on"),
        ({"batch_size": 0}, "batch_size must be an integer"),
        ({"error_score": "ignore"}, "error_score"),
        ({"sampler": "tep"}, "Did you mean 'tpe'"),
        ({"pruner": "hyper"}, "unknown pruner 'hyper'"),
        ({"n_trials": None}, "needs a number of trials"),
        ({"space": {}}, "at least one parameter"),
        ({"space": {"learning_rat": [1, 2]}}, "Did you mean 'learning_rate'"),
    ],
)
def test_what_is_wrong_is_said(settings, sentence):
    search = SweepCV(MODEL, RATES, n_trials=2, cv=3).set_params(**settings)
    with pytest.raises(ValueError, match=sentence):
        search.fit(X, y)


def test_a_regression_without_refit_keeps_its_results():
    data = load_diabetes()
    search = SweepCV(Ridge(), {"alpha": {"low": 0.01, "high": 10.0, "log": True}}, n_trials=6, cv=3, refit=False)
    search.fit(data.data, data.target)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


def test_it_has_an_answer_and_a_study_of_optunas():
    search = SweepCV(MODEL, RATES, n_trials=5, cv=3, random_state=0, enqueue="defaults").fit(X, y)
    found = search.sweep_
    assert found.best_params == search.best_params_
    assert found.answer.number == search.best_index_ == found.study.best_trial.number
    assert found.study.best_value == pytest.approx(search.best_score_)
    assert found.answer.defaults == 0
    assert pickle.loads(pickle.dumps(search)).sweep_.best_value == found.best_value
