"""A fitted model is a value, and an estimator shows it."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from nnexp import BackpropMLP, fit_many

X, Y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0}
OF_A_FIT = [
    "model_", "classes_", "network_", "algorithm_", "parameters_", "history_", "n_iter_", "evaluations_", "stop_reason_",
    "best_error_", "best_validation_score_", "architecture_", "members_", "coefs_", "intercepts_", "n_features_in_",
]  # fmt: skip


def test_nothing_is_there_before_a_fit():
    model = BackpropMLP()
    for name in [*OF_A_FIT, "oof_prediction_", "oof_score_", "temperature_", "feature_names_in_"]:
        assert not hasattr(model, name)
    with pytest.raises(AttributeError, match="history_ exists after fit"):
        model.history_  # noqa: B018
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_what_a_fit_has_made_is_there_and_cannot_be_set():
    model = BackpropMLP(**SMALL, validation="none").fit(X, Y)
    check_is_fitted(model)
    for name in OF_A_FIT:
        assert hasattr(model, name)
    assert not hasattr(model, "oof_prediction_")
    assert not hasattr(BackpropMLP("regression", **SMALL).fit(X, Y), "classes_")
    with pytest.raises(AttributeError, match="with_model makes an estimator with another model"):
        model.parameters_ = model.parameters_ + 1
    with pytest.raises(FrozenInstanceError):
        model.model_.n_iter = 0


@pytest.mark.parametrize("turned", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), FrozenEstimator])
def test_copies_pickles_and_frozen_ones_predict_the_same(turned):
    model = BackpropMLP(**SMALL, n_networks=2, validation="cross").fit(X, Y)
    np.testing.assert_array_equal(turned(model).predict_proba(X), model.predict_proba(X))
    assert turned(model).oof_score_ == model.oof_score_
    assert not hasattr(clone(model), "model_")


@pytest.mark.parametrize(
    ("changed", "data"),
    [
        ({"l2": -1}, (X, Y)),
        ({}, (X[:, :2], np.full(150, np.nan))),
        ({"hidden_layer_sizes": (9,), "scoring": lambda e, X, y: 1 / 0, "validation": "holdout"}, (X[:, :2], Y)),
        ({"callbacks": [lambda state: 1 / 0]}, (X[:, :2], Y)),
        ({"class_weight": {7: 1}}, (X[:, :2], Y)),
    ],
)
@pytest.mark.parametrize("warm_start", [False, True])
def test_a_fit_that_fails_leaves_everything_as_it_was(changed, data, warm_start):
    model = BackpropMLP(**SMALL, warm_start=warm_start).fit(X, Y)
    before, value = model.predict_proba(X), model.model_
    model.set_params(**changed)
    with pytest.raises((ValueError, ZeroDivisionError)):
        model.fit(*data)
    assert model.model_ is value
    assert model.n_features_in_ == 4
    np.testing.assert_array_equal(model.predict_proba(X), before)
    fresh = BackpropMLP(**SMALL | changed)
    with pytest.raises((ValueError, ZeroDivisionError)):
        fresh.fit(*data)
    assert not any(name.endswith("_") for name in vars(fresh))


def test_of_many_fits_none_is_shown_where_one_fails():
    first = BackpropMLP(**SMALL).fit(X, Y)
    before = first.model_
    with pytest.raises(ValueError, match="class_weight"):
        fit_many([first, BackpropMLP(**SMALL, class_weight={7: 1})], X, Y)
    assert first.model_ is before


def test_a_member_is_a_model_of_its_own():
    model = BackpropMLP(**SMALL, n_networks=3, validation="cross").fit(X, Y)
    members = model.members_
    values = np.mean([member.model_.values(X) for member in members], axis=0)
    np.testing.assert_allclose(values, model.model_.values(X), rtol=1e-12)
    for i, member in enumerate(members):
        own = model.history_[model.history_["network"] == i]
        assert member.history_["error"].tolist() == own["error"].tolist()
        assert member.best_error_ == own["validation_error"].min()
        assert member.n_networks == 1
    assert sum(member.evaluations_ for member in members) == model.evaluations_


def test_steps_on_a_stream_cost_the_same_however_many_there_were():
    """What a step leaves shares its past with what the step before has left."""
    model = BackpropMLP(**SMALL).partial_fit(X, Y, classes=[0, 1, 2])
    sizes = []
    for _ in range(40):
        before = model.model_.log
        model.partial_fit(X, Y)
        now = model.model_.log
        assert len(before.blocks) + 1 == len(now.blocks)
        assert all(one is other for one, other in zip(before.blocks, now.blocks, strict=False))
        sizes.append(len(now.blocks))
    assert sizes == list(range(2, 42))
    assert model.history_["step"].tolist() == list(range(1, 42))


def test_a_model_that_went_on_does_not_change_the_one_before():
    model = BackpropMLP(**SMALL, warm_start=True).fit(X, Y)
    before, history, values = model.model_, model.history_, model.model_.values(X)
    model.fit(X, Y)
    assert len(model.history_) == 8
    np.testing.assert_array_equal(before.values(X), values)
    assert BackpropMLP(**SMALL).with_model(before).history_.equals(history)


@pytest.mark.parametrize("wrong", [None, 3, BackpropMLP()])
def test_what_is_no_model_is_refused_with_a_sentence(wrong):
    with pytest.raises(TypeError, match="model must be a Model, such as model_ of a fitted estimator"):
        BackpropMLP().with_model(wrong)
