"""Scores that know the labels, against scikit-learn's own functions on the labels as they are."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    get_scorer,
    get_scorer_names,
    jaccard_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC

from nnexp import BackpropMLP, Sweep, cross_validate, scorer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
CODES = (X[:, 0] + RNG.normal(size=200) > 0).astype(int)
LABELS = {
    "words": np.array(["no", "yes"]), "numbers": np.array([3, 7]), "floats": np.array([0.5, 1.0]) * 2,
    "truth": np.array([False, True]), "others": np.array(["1", "0"]),
}  # fmt: skip
OF_CLASSES = {"f1": f1_score, "precision": precision_score, "recall": recall_score, "jaccard": jaccard_score}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_score_of_the_positive_class_is_scikit_learns(labels, which):
    y, positive = labels[CODES], labels[which]
    model = LogisticRegression().fit(X, y)
    predicted, p = model.predict(X), model.predict_proba(X)[:, model.classes_.tolist().index(positive)]
    for name, function in OF_CLASSES.items():
        assert scorer(name, pos_label=positive)(model, X, y) == pytest.approx(
            function(y, predicted, pos_label=positive)
        )
    brier = scorer("neg_brier_score", pos_label=positive)(model, X, y)
    assert brier == pytest.approx(-brier_score_loss(y, p, pos_label=positive))
    average = average_precision_score(y, p, pos_label=positive)
    assert scorer("average_precision", pos_label=positive)(model, X, y) == pytest.approx(average)
    assert scorer("roc_auc", pos_label=positive)(model, X, y) == pytest.approx(roc_auc_score(y == positive, p))
    margins = LinearSVC().fit(X, y)
    d = margins.decision_function(X) * (1 if margins.classes_[1] == positive else -1)
    average = average_precision_score(y, d, pos_label=positive)
    assert scorer("average_precision", pos_label=positive)(margins, X, y) == pytest.approx(average)


def test_weights_reach_the_score():
    y, weight = LABELS["words"][CODES], RNG.integers(0, 3, 200)
    model = LogisticRegression().fit(X, y)
    found = scorer("f1", pos_label="no")(model, X, y, sample_weight=weight)
    assert found == pytest.approx(f1_score(y, model.predict(X), pos_label="no", sample_weight=weight))


def test_scores_know_all_labels_where_the_data_lack_one():
    y = CODES + (X[:, 1] > 1)
    few = y < 2
    model = LogisticRegression().fit(X, y)
    p = model.predict_proba(X[few])
    assert scorer("neg_log_loss")(model, X[few], y[few]) == pytest.approx(-log_loss(y[few], p, labels=[0, 1, 2]))
    top = scorer("top_k_accuracy")(model, X[few], y[few])
    assert top == pytest.approx(top_k_accuracy_score(y[few], p, labels=[0, 1, 2]))
    for name in ("neg_brier_score", "d2_brier_score", "d2_log_loss_score"):
        if name in get_scorer_names():
            function = {"neg_brier_score": "brier_score_loss"}.get(name, name)
            right = getattr(metrics, function)(y[few], p, labels=[0, 1, 2])
            found = scorer(name, labels=[0, 1, 2])(model, X[few], y[few])
            assert found == pytest.approx(-right if name.startswith("neg_") else right)
    # A class that was not learnt has the probability 0, and costs what a 0 costs.
    unaware = LogisticRegression().fit(X[few], y[few])
    whole = np.column_stack([unaware.predict_proba(X), np.zeros(len(X))])
    assert scorer("neg_log_loss", labels=[0, 1, 2])(unaware, X, y) == pytest.approx(-log_loss(y, whole))


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr", "balanced_accuracy"])
def test_a_score_that_needs_no_positive_class_is_the_plain_one(metric):
    y = np.array(["a", "b", "c"])[CODES + (X[:, 1] > 1)]
    model = LogisticRegression().fit(X, y)
    assert scorer(metric)(model, X, y) == pytest.approx(get_scorer(metric)(model, X, y))


def test_a_regression_is_scored_as_it_is():
    model = Ridge().fit(X, X[:, 0])
    assert scorer("r2")(model, X, X[:, 0]) == get_scorer("r2")(model, X, X[:, 0])


def test_everything_that_takes_a_scoring_takes_it():
    y = LABELS["words"][CODES]
    few = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0}
    score = scorer("f1", pos_label="yes")
    model = BackpropMLP(**few, scoring=score, validation="holdout").fit(X, y)
    assert 0 < model.best_validation_score_ <= 1
    found = cross_validate(BackpropMLP(**few), X, y, scoring=score, cv=3, return_estimator=True, return_indices=True)
    for one, test, given in zip(found["estimator"], found["indices"]["test"], found["test_score"], strict=True):
        assert given == pytest.approx(f1_score(y[test], one.predict(X[test]), pos_label="yes"))
    grid = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring=score, cv=3).fit(X, y)
    assert 0 < grid.best_score_ <= 1
    sweep = Sweep({"learning_rate": [0.01, 0.1]}, BackpropMLP(**few), n_trials=2, cv=3, scoring={"f1": score})
    assert 0 < sweep.run(X, y).best_value <= 1


def test_what_cannot_be_is_a_sentence():
    y = LABELS["words"][CODES]
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="unknown metric 'f2'. Known: accuracy"):
        scorer("f2")
    with pytest.raises(ValueError, match="pos_label='maybe' is none of the classes \\['no', 'yes'\\]"):
        scorer("f1", pos_label="maybe")(model, X, y)
    with pytest.raises(ValueError, match="pos_label='maybe' is none of the labels"):
        scorer("f1", pos_label="maybe", labels=["no", "yes"])
    with pytest.raises(ValueError, match="have no order: they are of several kinds"):
        scorer("f1", pos_label="a", labels=["a", 1])
    with pytest.raises(ValueError, match="goes with one class for each sample"):
        scorer("f1", pos_label=1)(model, X, np.zeros((200, 2), dtype=int))
    assert scorer("f1", pos_label="yes")(model, X, y[:, np.newaxis]) == scorer("f1", pos_label="yes")(model, X, y)
    y = CODES + (X[:, 1] > 1)
    with pytest.raises(ValueError, match="pos_label=1 needs two classes, and there are 3"):
        scorer("f1", pos_label=1)(LogisticRegression().fit(X, y), X, y)
