"""Blend, against what scikit-learn's cross_val_predict and a few lines of NumPy give."""

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from nnexp import BackpropMLP, Blend
from nnexp.blending.calibration import Calibration

FEW = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}


def iris(n=150):
    X, y = load_iris(return_X_y=True, as_frame=True)
    rows = np.random.default_rng(0).permutation(150)[:n]
    return X.iloc[rows], y.to_numpy()[rows]


def pair():
    return [("linear", LogisticRegression()), ("neighbours", KNeighborsClassifier(15))]


def picked(parts, y, picks):
    """Greedy selection once more, as its paper has it."""
    chosen = []
    for _ in range(picks):
        sums = [sum(parts[i] for i in [*chosen, j]) / (len(chosen) + 1) for j in range(len(parts))]
        chosen.append(int(np.argmin([log_loss(y, part) for part in sums])))
    return np.bincount(chosen, minlength=len(parts)) / picks


def test_weights_and_predictions_out_of_fold_are_those_of_cross_val_predict():
    X, y = iris()
    cv = StratifiedKFold(5, shuffle=True, random_state=3)
    model = Blend(pair(), cv=cv, picks=10).fit(X, y)
    parts = [cross_val_predict(estimator, X, y, cv=cv, method="predict_proba") for _, estimator in pair()]
    table = model.cv_results_.set_index("name")
    np.testing.assert_allclose(table["loss"], [log_loss(y, part) for part in parts])
    assert table["weight"].tolist() == picked(parts, y, 10).tolist()
    for training, test in cv.split(X, y):  # weights of each fold are chosen without it
        weights = picked([part[training] for part in parts], y[training], 10)
        average = sum(w * part[test] for w, part in zip(weights, parts, strict=True))
        others = sum(w * part[training] for w, part in zip(weights, parts, strict=True))
        expected = Calibration.fit(others, np.eye(3)[y[training]], None, True).apply(average)
        np.testing.assert_allclose(model.oof_prediction_[test], expected, rtol=1e-6)
    assert model.oof_score_ == pytest.approx(accuracy_score(y, model.oof_prediction_.argmax(axis=1)))


def test_what_is_predicted_is_the_average_of_the_models_of_all_folds():
    X, y = load_diabetes(return_X_y=True)
    cv = KFold(4, shuffle=True, random_state=0)
    model = Blend([("ridge", Ridge()), ("neighbours", KNeighborsRegressor(20))], cv=cv).fit(X, y)
    expected = 0.0
    for weight, (name, _) in zip(model.weights_, model.members_, strict=True):
        estimator = dict(model.estimators)[name]
        of_folds = [clone(estimator).fit(X[training], y[training]).predict(X[:50]) for training, _ in cv.split(X)]
        expected = expected + weight * np.mean(of_folds, axis=0)
    np.testing.assert_allclose(model.predict(X[:50]), expected)
    assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_prediction_))
    assert len(model.members_[0][1]) == 4


def test_probabilities_are_calibrated():
    """Bayes' rule with dependent features is too sure; the temperature makes it less so."""
    X, y = load_breast_cancer(return_X_y=True)
    model = Blend([("bayes", GaussianNB())], random_state=0).fit(X[:400], y[:400])
    assert model.temperature_ > 1
    raw = np.mean([part.predict_proba(X[400:]) for part in model.members_[0][1]], axis=0)
    assert log_loss(y[400:], model.predict_proba(X[400:])) < 0.5 * log_loss(y[400:], raw)


def test_networks_are_one_stack_with_a_network_for_each_fold():
    X, y = iris()
    model = Blend([("networks", BackpropMLP(**FEW)), *pair()], cv=5, random_state=0).fit(X, y)
    alone = Blend([("networks", BackpropMLP(**FEW))], cv=5, random_state=0).fit(X, y)
    (stack,) = alone.members_[0][1]
    assert len(stack.parameters_) == 5
    loss = model.cv_results_.set_index("name")["loss"]["networks"]
    assert loss == pytest.approx(alone.cv_results_["loss"][0])
    assert loss == pytest.approx(log_loss(y, stack.oof_prediction_.astype(float)), rel=1e-5)


def test_networks_that_set_nothing_aside_are_fitted_to_the_other_folds():
    X, y = iris()
    cv = KFold(3, shuffle=True, random_state=0)
    network = BackpropMLP(validation="none", **FEW)
    model = Blend([("networks", network)], cv=cv).fit(X, y)
    expected = cross_val_predict(network, X, y, cv=cv, method="predict_proba")
    assert model.cv_results_["loss"][0] == pytest.approx(log_loss(y, expected), rel=1e-6)


def test_networks_and_boosting_take_a_table_with_words_together():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=300), "colour": pd.Categorical(rng.choice(["red", "blue"], 300))})
    y = np.where((table["x"] > 0) ^ (table["colour"] == "red"), "yes", "no")
    boosting = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype")
    model = Blend([("networks", BackpropMLP(**FEW)), ("boosting", boosting)], cv=3, random_state=0).fit(table, y)
    assert model.score(table, y) > 0.9
    assert model.classes_.tolist() == ["no", "yes"]


@pytest.mark.parametrize(
    "form", [polars.from_pandas, pyarrow.Table.from_pandas, lambda X: X.to_numpy(), sparse.csc_array]
)
def test_tables_of_every_form_give_the_same(form):
    X, y = iris()
    X = X.reset_index(drop=True)
    linear = [("linear", LogisticRegression(tol=1e-8, max_iter=5000))]
    model, other = (Blend(linear, cv=3, random_state=0) for _ in range(2))
    expected = model.fit(X, y).predict_proba(X)
    given = form(X)
    np.testing.assert_allclose(other.fit(given, y).predict_proba(given), expected, atol=1e-4)


def test_a_cv_that_tears_groups_apart_is_refused():
    X, y = iris()
    with pytest.raises(ValueError, match="tears groups apart"):
        Blend(pair(), cv=KFold(3)).fit(X, y, groups=np.arange(150) % 10)


def test_groups_come_into_one_fold():
    """Each row is there twice: neighbours would find the other one, but for the groups."""
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(60, 2)), 2, axis=0), np.repeat(rng.integers(0, 2, 60), 2)
    nearest = [("nearest", KNeighborsClassifier(1))]
    assert Blend(nearest, random_state=0).fit(X, y).oof_score_ > 0.8
    assert Blend(nearest, random_state=0).fit(X, y, groups=np.arange(120) // 2).oof_score_ < 0.7


def test_samples_of_weight_0_take_no_part_and_have_the_answer_of_the_blend():
    X, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(0)
    X, y = np.concatenate([X, X[:50]]), np.concatenate([y, rng.normal(1e6, 1e6, 50)])
    weight = np.r_[np.ones(442), np.zeros(50)]
    pair_of = [("linear", LinearRegression()), ("ridge", Ridge(0.1))]
    model = Blend(pair_of, random_state=0).fit(X, y, sample_weight=weight)
    expected = Blend(pair_of, random_state=0).fit(X[:442], y[:442])
    np.testing.assert_allclose(model.predict(X), expected.predict(X))
    np.testing.assert_allclose(model.oof_prediction_[:442], expected.oof_prediction_)
    np.testing.assert_allclose(model.oof_prediction_[442:], expected.predict(X[442:]))


def test_several_labels_and_outputs():
    X, Y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    estimators = [("trees", RandomForestClassifier(20, random_state=0)), ("networks", BackpropMLP(**FEW))]
    model = Blend(estimators, cv=3, random_state=0).fit(X, Y)
    assert model.predict(X).shape == model.predict_proba(X).shape == Y.shape
    assert accuracy_score(Y, model.oof_prediction_ > 0.5) == pytest.approx(model.oof_score_)
    numbers = X[:, :2] * 10 + 3
    model = Blend([("trees", RandomForestRegressor(10, random_state=0)), ("ridge", Ridge())], cv=3).fit(X, numbers)
    assert model.predict(X).shape == (200, 2)
    assert r2_score(numbers, model.oof_prediction_) == pytest.approx(model.oof_score_)


def test_a_fold_that_lacks_a_class_has_no_probability_for_it():
    X, y = iris()
    y = y.copy()
    y[:3] = 7
    parts = [(np.r_[3:150], np.r_[0:3]), (np.r_[0:3, 80:150], np.r_[3:80]), (np.r_[0:80], np.r_[80:150])]
    model = Blend([("neighbours", KNeighborsClassifier(5))], cv=parts).fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2, 7]
    assert model.predict_proba(X).shape == (150, 4)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_few_samples_set_nothing_aside_and_all_count_the_same():
    X, y = iris(60)
    model = Blend(pair(), random_state=0).fit(X, y)
    assert model.weights_.tolist() == [0.5, 0.5]
    expected = np.mean([clone(estimator).fit(X, y).predict_proba(X) for _, estimator in pair()], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), expected)
    for name in ("oof_prediction_", "oof_score_", "temperature_"):
        with pytest.raises(AttributeError):
            getattr(model, name)


def test_parameters_are_set_by_the_names_of_the_estimators():
    model = Blend(pair()).set_params(linear__C=3.0, cv=4)
    assert model.get_params()["linear__C"] == 3.0
    assert clone(model).get_params()["linear__C"] == 3.0
    model.set_params(linear=Ridge())
    assert isinstance(dict(model.estimators)["linear"], Ridge)


class Purged(KFold):
    """Folds whose neighbours do not train, as for samples that follow each other."""

    def split(self, X, y=None, groups=None):
        for training, test in super().split(X, y, groups):
            yield np.setdiff1d(training, np.r_[test - 1, test + 1]), test


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(1), BackpropMLP(encoding="none", **FEW)])
def test_estimators_learn_from_the_training_parts_of_a_cv(estimator):
    """Each row is there twice, side by side: who learns from the twin knows the answer."""
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.normal(size=(75, 3)), 2, axis=0), np.repeat(rng.integers(0, 2, 75), 2)
    cv = Purged(5, shuffle=True, random_state=0)
    model = Blend([("a", estimator)], cv=cv).fit(X, y)
    expected = cross_val_predict(estimator, X, y, cv=list(cv.split(X)), method="predict_proba")
    assert model.oof_score_ == pytest.approx(accuracy_score(y, expected.argmax(axis=1)), abs=0.02)
    assert model.oof_score_ < 0.7


class Reversed(ClassifierMixin, BaseEstimator):
    """Has its classes in another order."""

    def fit(self, X, y):
        self.model_ = LogisticRegression(max_iter=500).fit(X, y)
        self.classes_ = self.model_.classes_[::-1]
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)[:, ::-1]

    def predict(self, X):
        return self.model_.predict(X)


def test_probabilities_are_placed_by_their_classes():
    X, y = iris()
    assert Blend([("reversed", Reversed())], cv=3, random_state=0).fit(X, y).oof_score_ > 0.9


@pytest.mark.parametrize(
    "more", [{"verbose": True}, {"max_seconds": 1000.0}, {"warm_start": True}, {"callbacks": [lambda state: None]}]
)
def test_what_looks_on_changes_nothing(more, capsys):
    X, y = iris()
    plain, other = (Blend([("n", BackpropMLP(**FEW, **each))], cv=3, random_state=0).fit(X, y) for each in ({}, more))
    np.testing.assert_array_equal(plain.predict_proba(X), other.predict_proba(X))


def test_sure_answers_stay_a_little_doubtful():
    """Where classes come apart the temperature would go to its bound, and a surprise would cost what it likes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += np.sign(X[:, 0]) * 2
    p = Blend([("linear", LogisticRegression())], random_state=0).fit(X, y).predict_proba(X)
    assert p.min() >= 1e-5
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


@pytest.mark.parametrize("unit", [1e160, 1e-170])
def test_huge_and_tiny_numbers_are_weighed_like_others(unit):
    X, y = load_diabetes(return_X_y=True)
    estimators = [("bad", DummyRegressor()), ("neighbours", KNeighborsRegressor(20))]
    expected, model = (
        Blend(estimators, random_state=0).fit(X, part).cv_results_ for part in (y, (y - y.mean()) * unit)
    )
    np.testing.assert_allclose(model["loss"], expected["loss"], rtol=1e-6)
    assert model["weight"].tolist() == expected["weight"].tolist()


def test_meta_estimators_take_part_with_weights():
    X, y = load_diabetes(return_X_y=True)
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]})
    model = Blend([("search", search), ("ridge", Ridge())], cv=3, random_state=0).fit(X, y, np.ones(442))
    assert model.score(X, y) > 0.4
    X, y = iris()
    stacking = StackingClassifier([("linear", LogisticRegression(max_iter=500))], cv=3)
    assert Blend([("stacking", stacking)], cv=3, random_state=0).fit(X, y).oof_score_ > 0.9


def test_a_sparse_y_of_labels_is_one_of_numbers():
    X, Y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    trees = [("trees", RandomForestClassifier(10, random_state=0))]
    sparse_one, dense = (Blend(trees, cv=3, random_state=0).fit(X, part) for part in (sparse.csr_array(Y), Y))
    np.testing.assert_array_equal(sparse_one.predict(X), dense.predict(X))


def test_tables_that_are_shown_are_copies():
    X, y = iris()
    model = Blend(pair(), cv=3, random_state=0).fit(X, y)
    shown = model.cv_results_
    shown["weight"] = 0.0
    assert model.blend_["weight"].sum() == pytest.approx(1.0)


X3, Y3 = np.zeros((100, 2)), np.arange(100) % 2
TAKES_NO_WEIGHT = Blend([("k", KNeighborsClassifier())])


@pytest.mark.parametrize(
    ("model", "data", "error", "sentence"),
    [
        (Blend([]), (X3, Y3), ValueError, "estimators must be a list of pairs"),
        (Blend(LogisticRegression()), (X3, Y3), ValueError, "estimators must be a list of pairs"),
        (Blend([("a", LogisticRegression)]), (X3, Y3), TypeError, "pairs of a name and an estimator"),
        (Blend([*pair(), ("linear", LogisticRegression())]), (X3, Y3), ValueError, "Names provided are not unique"),
        (Blend([*pair(), ("r", Ridge())]), (X3, Y3), ValueError, "must be classifiers all"),
        (Blend([("svc", LinearSVC())]), (X3, Y3), ValueError, "gives no probabilities"),
        (Blend(pair(), cv=1), (X3, Y3), ValueError, "cv must be"),
        (Blend(pair(), cv="five"), (X3, Y3), TypeError, "cv must be"),
        (Blend(pair(), cv=[([0, 1], [2, 3])]), (X3, Y3), ValueError, "98 samples are in no test part, 0 in several"),
        (Blend(pair(), cv=[(1, 2, 3)]), (X3, Y3), ValueError, "cv must give pairs of rows|not enough|too many"),
        (Blend(pair(), cv=[(range(50), range(50, 150))]), (X3, Y3), ValueError, "cv must give pairs of rows"),
        (Blend(pair(), cv=[(range(100), range(100))]), (X3, Y3), ValueError, "two parts or more"),
        (Blend(pair()), (X3, np.r_[1, np.zeros(99)]), ValueError, "have one class only, 0.0"),
        (Blend(pair(), picks=0), (X3, Y3), ValueError, "picks must be"),
        (Blend(pair(), n_jobs=0), (X3, Y3), ValueError, "n_jobs must be"),
        (Blend(pair()), (X3, Y3[:50]), ValueError, "inconsistent numbers of samples"),
        (TAKES_NO_WEIGHT, (X3, Y3, np.ones(100)), ValueError, "sample_weight is given, and k takes none"),
        (Blend(pair()), (X3, Y3 * 0), ValueError, "one class only"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(model, data, error, sentence):
    with pytest.raises(error, match=sentence):
        model.fit(*data)
    assert not hasattr(model, "blended_")


@pytest.mark.slow
def test_processes_give_the_same():
    X, y = iris()
    estimators = [("linear", make_pipeline(StandardScaler(), LogisticRegression())), ("networks", BackpropMLP(**FEW))]
    one, two = (Blend(estimators, cv=3, random_state=0, n_jobs=jobs).fit(X, y) for jobs in (None, 2))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
