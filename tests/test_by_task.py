"""The two classes with a fixed task: what goes by classes finds what it looks for; all else is the estimator's."""

import pickle

import numpy as np
import pytest
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from nnexp import BackpropMLP, BackpropMLPClassifier, BackpropMLPRegressor, cross_validate, load

FEW = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
BOTH = [
    (BackpropMLPClassifier, "classification", ClassifierMixin, IRIS),
    (BackpropMLPRegressor, "regression", RegressorMixin, DIABETES),
]


@pytest.mark.parametrize(("cls", "task", "mixin", "data"), BOTH)
def test_it_is_the_estimator_with_a_fixed_task_to_the_bit(cls, task, mixin, data):
    own, plain = cls(**FEW).fit(*data), BackpropMLP(task, **FEW).fit(*data)
    np.testing.assert_array_equal(own.predict(data[0]), plain.predict(data[0]))
    assert own.score(*data) == plain.score(*data)
    assert isinstance(own, mixin)
    assert (is_classifier(own), is_regressor(own)) == (task == "classification", task == "regression")
    assert set(plain.get_params()) - set(own.get_params()) == {"task"}
    assert repr(own).startswith(f"{cls.__name__}(hidden_layer_sizes=(8,), max_iter=20")


@pytest.mark.parametrize(("cls", "task", "mixin", "data"), BOTH)
def test_it_is_copied_pickled_and_saved_as_what_it_is(cls, task, mixin, data, tmp_path):
    model = cls(**FEW).fit(*data)
    model.save(tmp_path / "model.nnexp")
    for again in (load(tmp_path / "model.nnexp"), pickle.loads(pickle.dumps(model))):
        assert type(again) is cls
        np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
    assert type(clone(model)) is cls
    assert [type(own) for own in cls(n_networks=2, **FEW).fit(*data).members_] == [cls, cls]
    BackpropMLP(task, **FEW).fit(*data).save(tmp_path / "plain.nnexp")
    assert type(load(tmp_path / "plain.nnexp")) is BackpropMLP


@pytest.mark.parametrize(("cls", "task", "mixin", "data"), BOTH)
def test_the_task_is_no_parameter(cls, task, mixin, data):
    with pytest.raises(TypeError):
        cls(task=task)
    with pytest.raises(TypeError):
        cls(task)
    with pytest.raises(ValueError, match="Invalid parameter 'task'"):
        cls().set_params(task=task)
    with pytest.raises(TypeError, match="hiden"):
        cls(hiden_layer_sizes=3)


def test_searches_ensembles_and_stacks_take_them():
    X, y = IRIS
    search = GridSearchCV(BackpropMLPClassifier(**FEW), {"algorithm": ["backprop", "snes"]}, cv=2).fit(X, y)
    assert type(search.best_estimator_) is BackpropMLPClassifier
    voting = VotingClassifier(
        [("net", BackpropMLPClassifier(**FEW)), ("line", LogisticRegression(max_iter=500))], voting="soft"
    )
    assert voting.fit(X, y).score(X, y) > 0.9
    bagging = BaggingRegressor(BackpropMLPRegressor(**FEW | {"max_iter": 60}), n_estimators=2, random_state=0).fit(
        *DIABETES
    )
    assert bagging.score(*DIABETES) > 0.3
    together = cross_validate(BackpropMLPClassifier(**FEW), X, y, cv=3)
    np.testing.assert_array_equal(together["test_score"], cross_validate(BackpropMLP(**FEW), X, y, cv=3)["test_score"])


def test_several_labels_are_classes_too():
    X, Y = make_multilabel_classification(80, n_features=5, n_classes=3, random_state=0)
    model = BackpropMLPClassifier(**FEW).fit(X, Y)
    assert model.score(X, Y) == BackpropMLP(**FEW).fit(X, Y).score(X, Y)
    assert model.__sklearn_tags__().classifier_tags.multi_label
