"""What scikit-learn 1.9.1 tests of its MLPClassifier and MLPRegressor, tested of BackpropMLP.

Each test here checks the behaviour that one or more tests of ``sklearn/neural_network/tests/test_mlp.py`` check, with
the parameters named as they are here: ``alpha`` is ``l2``, which does not depend on the batch size; ``solver="sgd"``,
which has Nesterov's momentum there, is ``optimizer="nesterov"``; ``learning_rate_init`` is ``learning_rate``;
``learning_rate`` is ``schedule``; ``early_stopping=True`` is ``validation="holdout"``; ``loss_curve_``,
``validation_scores_`` and ``best_loss_`` are ``history_.error``, ``history_.validation_score`` and ``best_error_``.

`CARRIED_OVER` says which test here stands for which one there, `DIFFERS_ON_PURPOSE` what is different or left out and
why. The last test sees to it that no test of scikit-learn's is in neither.
"""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import (
    load_digits,
    load_iris,
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import roc_auc_score
from sklearn.neural_network.tests import test_mlp as theirs
from sklearn.preprocessing import scale
from sklearn.utils.fixes import CSR_CONTAINERS

from nnexp import BackpropMLP

CARRIED_OVER = {
    "test_adaptive_learning_rate": ["test_a_plateau_schedule_lowers_the_rate_until_training_stops"],
    "test_alpha": ["test_a_larger_l2_gives_smaller_weights"],
    "test_early_stopping": [
        "test_holdout_stops_early_and_keeps_the_scores",
        "test_holdout_chooses_the_highest_score_where_scoring_is_given",
        "test_without_validation_there_are_no_validation_scores",
    ],
    "test_early_stopping_stratified": ["test_holdout_is_stratified_and_names_a_class_too_small_for_it"],
    "test_fit": ["test_one_step_equals_a_worked_example"],
    "test_gradient": ["test_a_step_follows_the_numerical_gradient_of_error_and_penalty"],
    "test_lbfgs_classification": ["test_every_activation_learns_digits_with_full_batches"],
    "test_lbfgs_classification_maxfun": ["test_max_evaluations_limits_a_classification"],
    "test_lbfgs_regression": ["test_every_activation_learns_a_regression_with_full_batches"],
    "test_lbfgs_regression_maxfun": ["test_max_evaluations_limits_a_regression"],
    "test_learning_rate_warmstart": ["test_a_warm_start_goes_on_with_the_learning_rate"],
    "test_minimum_input_sample_size": [
        "test_a_holdout_of_one_sample_is_refused_where_its_score_is_undefined",
        "test_a_sample_cannot_be_both_held_out_and_learnt_from",
    ],
    "test_mlp_classifier_dtypes_casting": ["test_float32_classifies_like_float64"],
    "test_mlp_diverging_loss": ["test_a_diverging_fit_with_holdout_warns_and_raises_no_error"],
    "test_mlp_early_stopping_string_labels": ["test_holdout_scores_labels_that_are_strings"],
    "test_mlp_loading_from_joblib_partial_fit": ["test_a_loaded_model_learns_another_target_by_partial_fit"],
    "test_mlp_param_dtypes": ["test_weights_and_predictions_have_the_dtype_of_the_inputs"],
    "test_mlp_partial_fit_after_fit": ["test_partial_fit_after_a_fit_with_holdout_sets_nothing_aside"],
    "test_mlp_regressor_dtypes_casting": ["test_float32_regresses_like_float64"],
    "test_mlp_sample_weight_with_early_stopping": ["test_weights_of_1_equal_no_weights_with_holdout"],
    "test_mlp_vs_poisson_glm_equivalent": ["test_a_linear_poisson_network_equals_the_generalised_linear_model"],
    "test_mlp_warm_start_no_convergence": ["test_each_warm_start_does_max_iter_steps"],
    "test_mlp_warm_start_with_early_stopping": ["test_a_warm_start_with_holdout_goes_on_with_the_scores"],
    "test_multilabel_classification": [
        "test_fit_learns_several_labels",
        "test_partial_fit_learns_several_labels",
        "test_the_first_partial_fit_refuses_classes_that_are_not_those_of_several_labels",
        "test_holdout_takes_several_labels",
    ],
    "test_multioutput_regression": ["test_fit_learns_several_outputs"],
    "test_n_iter_no_change": ["test_training_stops_after_n_iter_no_change_steps_without_improvement"],
    "test_n_iter_no_change_inf": ["test_an_infinite_n_iter_no_change_never_stops"],
    "test_nonfinite_params": [
        "test_an_error_that_is_not_finite_is_said_and_no_such_weights_are_kept",
        "test_inputs_too_large_to_predict_are_an_error_and_nothing_else",
    ],
    "test_partial_fit_classes_error": ["test_partial_fit_refuses_other_classes_than_in_the_first_call"],
    "test_partial_fit_classification": ["test_partial_fit_as_often_as_max_iter_equals_a_classification"],
    "test_partial_fit_errors": ["test_the_first_partial_fit_needs_all_classes"],
    "test_partial_fit_regression": ["test_partial_fit_as_often_as_max_iter_equals_a_regression"],
    "test_partial_fit_unseen_classes": ["test_partial_fit_learns_a_class_that_comes_later"],
    "test_predict_proba_binary": ["test_probabilities_of_two_classes"],
    "test_predict_proba_multiclass": ["test_probabilities_of_several_classes"],
    "test_predict_proba_multilabel": ["test_probabilities_of_labels_do_not_add_up_to_1"],
    "test_preserve_feature_names": ["test_names_of_features_survive_a_holdout"],
    "test_shuffle": ["test_shuffle_is_repeatable_and_changes_the_weights"],
    "test_sparse_matrices": ["test_sparse_and_dense_inputs_give_the_same"],
    "test_tolerance": ["test_a_large_tol_stops_training_early"],
    "test_verbose_sgd": ["test_verbose_prints_a_line_a_step"],
    "test_warm_start": ["test_a_warm_start_refuses_other_classes"],
    "test_warm_start_full_iteration": ["test_each_warm_start_does_max_iter_steps"],
}

DIFFERS_ON_PURPOSE = {
    "test_adaptive_learning_rate": "A plateau schedule has a patience of its own and no part in stopping, so the "
    "rate falls below 1e-6 only where n_iter_no_change leaves it the time and lowest allows it.",
    "test_alpha": "l2 is not divided by the number of samples, so it is smaller by that factor here.",
    "test_early_stopping": "The lowest validation error chooses the parameters unless scoring is given, and "
    "best_error_ is that error instead of None; without validation the scores are NaN, as columns of a table are.",
    "test_fit": "The first weights of the example are written into parameters_ of a fitted model, not set before a "
    "fit.",
    "test_gradient": "There is no private function of error and gradient of an optimiser to call: the gradient is "
    "read off a step of plain descent.",
    "test_lbfgs_classification": "There is no second-order method: full batches with Adam stand in for it.",
    "test_lbfgs_classification_maxfun": "max_evaluations counts passes of samples, not calls of a function, and a "
    "fit that reaches a limit says so in stop_reason_ without a warning.",
    "test_lbfgs_regression": "There is no second-order method: full batches with Adam stand in for it.",
    "test_lbfgs_regression_maxfun": "As for test_lbfgs_classification_maxfun.",
    "test_learning_rate_warmstart": "There is no invscaling: an exponential schedule with a horizon stands in for "
    "it, and the rate is read off a step of plain descent.",
    "test_minimum_input_sample_size": "The error decides unless scoring is given, and it is defined for a single "
    "held-out sample; only a score that is not defined for one must be refused.",
    "test_mlp_diverging_loss": "A fit whose error becomes infinite or NaN stops there with a ConvergenceWarning and "
    "keeps finite parameters, so it does not go on to collect scores that are NaN.",
    "test_mlp_partial_fit_after_fit": "partial_fit sets nothing aside, whatever validation is, instead of refusing it.",
    "test_mlp_vs_poisson_glm_equivalent": "A network without hidden layers is allowed, so the trick with one linear "
    "neuron is not needed; Adam with a cosine schedule stands in for lbfgs.",
    "test_mlp_warm_start_no_convergence": "n_iter_ counts the steps of all warm starts, as the rows of history_ do, "
    "and max_iter those of one; a fit that reaches max_iter says so in stop_reason_ without a warning. There is no "
    "lbfgs.",
    "test_multilabel_classification": "There is no second-order method: Adam stands in for it. As l2 is not divided "
    "by the number of samples, it is smaller by that factor.",
    "test_multioutput_regression": "There is no second-order method: Adam stands in for it.",
    "test_n_iter_no_change": "Training stops after n_iter_no_change steps without improvement, there after one "
    "more; and an improvement by more than tol may take several steps here.",
    "test_nonfinite_params": "A fit whose error becomes infinite or NaN warns and keeps the last parameters whose "
    "error was finite, instead of raising an error.",
    "test_partial_fit_errors": "Every algorithm has partial_fit, so there is none that must be without it.",
    "test_predict_proba_multilabel": "There is no second-order method: Adam stands in for it.",
    "test_preserve_feature_names": "A classification of one class only is an error, so y has two classes.",
    "test_sparse_matrices": "There is no second-order method: Adam stands in for it.",
    "test_verbose_sgd": "verbose is True or False, and a line begins with the step.",
    "test_warm_start": "There is no second-order method, and the message says that the classes changed without "
    "listing them.",
    "test_warm_start_full_iteration": "n_iter_ counts the steps of all warm starts, as the rows of history_ do, and "
    "max_iter those of one.",
}

TASKS = ["classification", "regression"]
ACTIVATIONS = ["identity", "sigmoid", "tanh", "relu"]

IRIS = load_iris(return_X_y=True)


def first_digits(n_class):
    """Return 200 digits, with pixels in [0, 1]."""
    X, y = load_digits(n_class=n_class, return_X_y=True)
    return X[:200] / 16.0, y[:200]


TWO_DIGITS, THREE_DIGITS = first_digits(2), first_digits(3)
DIGITS = pytest.mark.parametrize(("X", "y"), [TWO_DIGITS, THREE_DIGITS], ids=["two", "three"])
FEW_DIGITS = TWO_DIGITS[0][:100], TWO_DIGITS[1][:100]
RAW_DIGITS = load_digits(n_class=2, return_X_y=True)

X_NUMBERS, y_numbers = make_regression(n_samples=200, n_features=10, bias=20.0, noise=100.0, random_state=7)
NUMBERS = X_NUMBERS, scale(y_numbers)
LABELS = make_multilabel_classification(n_samples=50, random_state=0)

# With these training ends at max_iter and nowhere else.
NEVER_STOPS = {"tol": 0.0, "n_iter_no_change": 10**9}


def rate_of_step(model, before, after, X, Y):
    """Return the learning rate of one step of plain descent on all samples, without penalties."""
    _, gradient = model.network_.error_and_gradient(before, X, Y, "binary_cross_entropy")
    rate = (before - after) @ gradient / (gradient @ gradient)
    np.testing.assert_allclose(before - after, rate * gradient, atol=1e-12)
    return rate


def test_a_larger_l2_gives_smaller_weights():
    sizes = []
    for l2 in (0.0, 0.01, 0.1):  # 0.01 is alpha=1 for 100 samples
        model = BackpropMLP(hidden_layer_sizes=10, activation="relu", l2=l2, validation="none", random_state=1).fit(
            *FEW_DIGITS
        )
        sizes.append([np.abs(weights).sum() for weights in model.coefs_])
    assert (np.diff(sizes, axis=0) < 0).all()


def test_one_step_equals_a_worked_example():
    x = np.array([[0.6, 0.8, 0.7]])
    model = BackpropMLP(
        encoding="none",
        hidden_layer_sizes=2,
        activation="sigmoid",
        optimizer="sgd",
        learning_rate=0.1,
        l2=0.1,
        max_iter=1,
        random_state=1,
    ).fit(np.vstack([x, x + 1.0]), [0, 1])
    first = [np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.0]]), np.array([[0.1], [0.2]])]
    first_bias = [np.array([0.1, 0.1]), np.array([1.0])]
    for own, value in zip(model.coefs_ + model.intercepts_, first + first_bias, strict=True):
        own[...] = value  # a view of parameters_

    # By hand, with g the logistic function; the target is 0.
    #   hidden: g(0.06 + 0.24 + 0.35 + 0.1) = g(0.75) = 0.679179, g(0.12 + 0.08 + 0 + 0.1) = g(0.3) = 0.574443
    #   output: g(0.0679179 + 0.1148885 + 1) = g(1.1828064) = 0.765450, which is also the delta of the output
    #   deltas of the hidden neurons: 0.679179 · 0.320821 · 0.1 · 0.765450 = 0.0166789,
    #                                 0.574443 · 0.425557 · 0.2 · 0.765450 = 0.0374243
    # A weight w from an output a to a delta d becomes w − 0.1 (a d + 0.1 w), a bias weight b becomes b − 0.1 d.
    deltas = np.array([0.0166789, 0.0374243])
    hidden = np.array([[0.679179], [0.574443]])
    expected = [
        first[0] - 0.1 * (x.T * deltas + 0.1 * first[0]),
        first[1] - 0.1 * (hidden * 0.765450 + 0.1 * first[1]),
        first_bias[0] - 0.1 * deltas,
        first_bias[1] - 0.1 * 0.765450,
    ]
    model.partial_fit(x, [0])
    for own, value in zip(model.coefs_ + model.intercepts_, expected, strict=True):
        np.testing.assert_allclose(own, value, atol=1e-6)
    # some of them written out, and what they make of the sample
    np.testing.assert_allclose(model.coefs_[0][0], [0.0979993, 0.1957545], atol=1e-6)
    np.testing.assert_allclose(model.coefs_[1][:, 0], [0.0470121, 0.1540293], atol=1e-6)
    np.testing.assert_allclose(model.intercepts_[1], [0.923455], atol=1e-6)
    assert model.predict_proba(x)[0, 1] == pytest.approx(0.739, abs=1e-3)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_step_follows_the_numerical_gradient_of_error_and_penalty(activation, n_classes):
    X = np.random.default_rng(42).random((5, 10))
    y = 1 + np.arange(1, 6) % n_classes
    l2, rate = 0.1, 0.2
    model = BackpropMLP(
        encoding="none", hidden_layer_sizes=10, activation=activation, optimizer="sgd", descent="batch", learning_rate=rate, l2=l2,
        max_iter=1, random_state=1,
    ).fit(X, y)  # fmt: skip
    network, before = model.network_, model.parameters_[0].copy()

    def objective(parameters):
        outputs = network.forward(parameters, X)
        p = np.concatenate([1.0 - outputs, outputs], axis=-1) if n_classes == 2 else outputs
        right = p[:, np.arange(5), y - 1]
        return -np.log(right).mean(axis=1) + 0.5 * l2 * np.square(parameters[:, ~network.bias_mask]).sum(axis=1)

    h = 1e-5 * np.eye(len(before))
    numerical = (objective(before + h) - objective(before - h)) / 2e-5
    after = model.partial_fit(X, y).parameters_[0]
    np.testing.assert_allclose((before - after) / rate, numerical, atol=1e-7)


@DIGITS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_learns_digits_with_full_batches(X, y, activation):
    model = BackpropMLP(
        hidden_layer_sizes=50, activation=activation, descent="batch", learning_rate=0.01, max_iter=150, random_state=1
    ).fit(X[:150], y[:150])
    predicted = model.predict(X[150:])
    assert model.score(X[:150], y[:150]) > 0.95
    assert predicted.shape == (50,)
    assert predicted.dtype.kind == y.dtype.kind


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_learns_a_regression_with_full_batches(activation):
    model = BackpropMLP(
        "regression", hidden_layer_sizes=50, activation=activation, descent="batch", learning_rate=0.02, l2=5e-7,
        max_iter=1000, n_iter_no_change=100, validation="none", random_state=1,
    ).fit(*NUMBERS)  # fmt: skip
    assert model.score(*NUMBERS) > (0.80 if activation == "identity" else 0.98)


@DIGITS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_max_evaluations_limits_a_classification(X, y, activation):
    check_max_evaluations("classification", X, y, activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_max_evaluations_limits_a_regression(activation):
    check_max_evaluations("regression", *NUMBERS, activation)


def check_max_evaluations(task, X, y, activation):
    most = 10 * 3 * len(X)  # ten passes forward and backward
    model = BackpropMLP(
        task,
        hidden_layer_sizes=50,
        activation=activation,
        descent="batch",
        tol=0.0,
        max_iter=150,
        max_evaluations=most,
        random_state=0,
    ).fit(X, y)
    assert model.n_iter_ == 10
    assert model.evaluations_ == most
    assert "max_evaluations" in model.stop_reason_


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1.0, 1.0, 1.0]),
        ({"name": "exponential", "final": 0.01, "horizon": 4}, 0.01 ** np.array([0.25, 0.5, 0.75])),
    ],
)
def test_a_warm_start_goes_on_with_the_learning_rate(schedule, factors):
    X, y = np.array([[3.0, 2.0], [1.0, 6.0], [5.0, 6.0], [-2.0, -4.0]]), np.array([1, 1, 1, 0])
    model = BackpropMLP(
        encoding="none", hidden_layer_sizes=4, optimizer="sgd", descent="batch", learning_rate=0.1, l2=0.0, schedule=schedule,
        max_iter=1, warm_start=True, random_state=0,
    ).fit(X, y)  # fmt: skip
    rates = []
    for _ in factors:
        before = model.parameters_[0].copy()
        after = model.fit(X, y).parameters_[0]
        rates.append(rate_of_step(model, before, after, X, y[:, np.newaxis]))
    np.testing.assert_allclose(rates, 0.1 * np.asarray(factors))


def test_a_plateau_schedule_lowers_the_rate_until_training_stops():
    X, y = np.array([[3.0, 2.0], [1.0, 6.0]]), np.array([1, 0])
    weights = []
    model = BackpropMLP(
        encoding="none", optimizer="sgd", descent="batch", learning_rate=0.001, l2=0.0, tol=0.5, max_iter=3000, n_iter_no_change=40, random_state=0,
        schedule={"name": "plateau", "factor": 0.2, "patience": 5, "tol": 0.5, "lowest": 0.0},
        callbacks=[lambda state: weights.append(state.training.parameters[0].copy())],
    ).fit(X, y)  # fmt: skip
    assert model.n_iter_ == len(weights) < model.max_iter
    first = rate_of_step(model, *weights[:2], X, y[:, np.newaxis])
    last = rate_of_step(model, *weights[-2:], X, y[:, np.newaxis])
    assert first == pytest.approx(0.001)
    assert last < 1e-6


def test_fit_learns_several_labels():
    model = BackpropMLP(
        hidden_layer_sizes=50,
        activation="sigmoid",
        learning_rate=0.01,
        l2=2e-7,
        max_iter=500,
        validation="none",
        random_state=0,
    ).fit(*LABELS)
    assert model.score(*LABELS) > 0.97


def test_partial_fit_learns_several_labels():
    model = BackpropMLP(
        hidden_layer_sizes=50, activation="sigmoid", optimizer="nesterov", learning_rate=0.2, l2=2e-7, random_state=0
    )
    for _ in range(100):
        model.partial_fit(*LABELS, classes=[0, 1, 2, 3, 4])
    assert model.score(*LABELS) > 0.9


@pytest.mark.parametrize("classes", [[0, 1, 2], [5, 6, 7, 8, 9], ["cats", "dogs", "birds", "fish", "mice"]])
def test_the_first_partial_fit_refuses_classes_that_are_not_those_of_several_labels(classes):
    with pytest.raises(ValueError, match="classes"):
        BackpropMLP(random_state=0).partial_fit(*LABELS, classes=classes)


def test_holdout_takes_several_labels():
    X, Y = LABELS
    model = BackpropMLP(validation="holdout", random_state=0).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert model.history_.validation_score.between(0, 1).all()


@pytest.mark.slow
def test_fit_learns_several_outputs():
    X, Y = make_regression(n_samples=200, n_targets=5, random_state=11)
    model = BackpropMLP("regression", hidden_layer_sizes=50, learning_rate=0.01, tol=1e-3, random_state=1).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert model.score(X, Y) > 0.9


def test_partial_fit_refuses_other_classes_than_in_the_first_call():
    model = BackpropMLP(optimizer="nesterov").partial_fit([[3, 2]], [0], classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as in the first call"):
        model.partial_fit([[3, 2]], [0], classes=[1, 2])


@pytest.mark.slow
@DIGITS
def test_partial_fit_as_often_as_max_iter_equals_a_classification(X, y):
    settings = {
        "optimizer": "nesterov", "learning_rate": 0.2, "l2": 5e-8, "dropout": 0.0, "schedule": "constant", "random_state": 1,
    }  # fmt: skip
    whole = BackpropMLP(max_iter=100, **NEVER_STOPS, **settings).fit(X, y)
    parts = BackpropMLP(**settings)
    for _ in range(100):
        parts.partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))
    np.testing.assert_allclose(parts.parameters_, whole.parameters_)
    assert parts.score(X, y) > 0.95


def test_partial_fit_learns_a_class_that_comes_later():
    model = BackpropMLP(random_state=0)
    model.partial_fit([[1], [2], [3]], ["a", "b", "c"], classes=["a", "b", "c", "d"])
    model.partial_fit([[4]], ["d"])
    assert model.classes_.tolist() == ["a", "b", "c", "d"]
    assert model.score([[1], [2], [3], [4]], ["a", "b", "c", "d"]) > 0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_partial_fit_as_often_as_max_iter_equals_a_regression(momentum):
    settings = {
        "activation": "relu", "optimizer": {"name": "nesterov", "momentum": momentum}, "descent": "batch",
        "learning_rate": 0.01, "schedule": "constant", "l2": 0.003, "validation": "none", "random_state": 1,
    }  # fmt: skip
    whole = BackpropMLP("regression", max_iter=100, **NEVER_STOPS, **settings).fit(*NUMBERS)
    parts = BackpropMLP("regression", **settings)
    for _ in range(100):
        parts.partial_fit(*NUMBERS)
    np.testing.assert_allclose(parts.predict(NUMBERS[0]), whole.predict(NUMBERS[0]))
    assert parts.score(*NUMBERS) > 0.65


@pytest.mark.parametrize("classes", [None, [2], [2, 3], [0, 2]])
def test_the_first_partial_fit_needs_all_classes(classes):
    model = BackpropMLP(optimizer="nesterov")
    with pytest.raises(ValueError, match="class"):
        model.partial_fit([[3, 2], [1, 6]], [1, 0], classes=classes)
    assert not hasattr(model, "classes_")


def huge():
    rng = np.random.default_rng(0)
    return np.finfo(np.float64).max * rng.uniform(size=(10, 2)), rng.standard_normal(10)


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_an_error_that_is_not_finite_is_said_and_no_such_weights_are_kept(activation):
    model = BackpropMLP("regression", encoding="none", activation=activation, random_state=0)
    with pytest.warns(ConvergenceWarning, match="The error became infinite or NaN in step 1.*standardised inputs help"):
        model.fit(*huge())
    assert np.isfinite(model.parameters_).all()


def test_inputs_too_large_to_predict_are_an_error_and_nothing_else():
    X, _ = huge()
    model = BackpropMLP("regression", activation="relu", max_iter=5, random_state=0).fit(*NUMBERS)
    with pytest.raises(ValueError, match="too large"):
        model.predict(np.tile(X, 5))


def check_logarithms(model, X):
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    assert p.shape == log_p.shape
    np.testing.assert_array_equal(p.argmax(axis=1), log_p.argmax(axis=1))
    np.testing.assert_allclose(log_p, np.log(p))
    return p


def test_probabilities_of_two_classes():
    X, y = TWO_DIGITS[0][:50], TWO_DIGITS[1][:50]
    model = BackpropMLP(hidden_layer_sizes=5, activation="sigmoid", validation="none", random_state=1).fit(X, y)
    p = check_logarithms(model, X)
    assert p.shape == (50, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert roc_auc_score(y, p[:, 1]) == 1.0


def test_probabilities_of_several_classes():
    X, y = THREE_DIGITS[0][:10], THREE_DIGITS[1][:10]
    p = check_logarithms(BackpropMLP(hidden_layer_sizes=5, activation="relu", random_state=0).fit(X, y), X)
    assert p.shape == (10, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


def test_probabilities_of_labels_do_not_add_up_to_1():
    X, Y = LABELS
    model = BackpropMLP(
        hidden_layer_sizes=30,
        activation="relu",
        learning_rate=0.01,
        l2=2e-6,
        max_iter=500,
        validation="none",
        random_state=0,
    ).fit(X, Y)
    p = check_logarithms(model, X)
    assert p.shape == Y.shape
    np.testing.assert_array_equal(p > 0.5, Y)
    assert np.abs(p.sum(axis=1) - 1.0).max() > 1e-5


def test_shuffle_is_repeatable_and_changes_the_weights():
    X, y = make_regression(n_samples=50, n_features=5, random_state=0)

    def weights(shuffle):
        model = BackpropMLP(
            "regression", hidden_layer_sizes=1, batch_size=1, max_iter=1, shuffle=shuffle, random_state=0
        )
        return model.fit(X, y).coefs_[0]

    for shuffle in (True, False):
        np.testing.assert_array_equal(weights(shuffle), weights(shuffle))
    assert not np.array_equal(weights(True), weights(False))


@pytest.mark.parametrize("container", CSR_CONTAINERS)
def test_sparse_and_dense_inputs_give_the_same(container):
    X, y = TWO_DIGITS[0][:50], TWO_DIGITS[1][:50]
    sparse_X = container(X)
    settings = {"encoding": "none", "hidden_layer_sizes": 15, "activation": "relu", "max_iter": 50, "random_state": 1}
    dense, sparse = BackpropMLP(**settings).fit(X, y), BackpropMLP(**settings).fit(sparse_X, y)
    np.testing.assert_allclose(sparse.parameters_, dense.parameters_)
    np.testing.assert_array_equal(sparse.predict(sparse_X), dense.predict(X))
    np.testing.assert_array_equal(sparse.predict(sparse_X), sparse.predict(X))


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_a_large_tol_stops_training_early(optimizer):
    settings = {"schedule": "constant", "optimizer": optimizer, "random_state": 0}
    model = BackpropMLP(tol=0.5, max_iter=3000, **settings).fit([[3, 2], [1, 6]], [1, 0])
    assert model.n_iter_ < model.max_iter
    assert "tol=0.5" in model.stop_reason_


def test_verbose_prints_a_line_a_step(capsys):
    X, y = [[3, 2], [1, 6]], [1, 0]
    model = BackpropMLP(hidden_layer_sizes=2, optimizer="nesterov", max_iter=2, verbose=True).fit(X, y)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [["step", "1"], ["step", "2"]]
    model.partial_fit(X, y)
    assert capsys.readouterr().out.startswith("step")


@pytest.mark.parametrize("task", TASKS)
def test_holdout_stops_early_and_keeps_the_scores(task):
    model = BackpropMLP(
        task, activation="relu", optimizer="nesterov", tol=0.2, max_iter=3000, validation="holdout", random_state=0
    ).fit(*FEW_DIGITS)
    history = model.history_
    assert model.n_iter_ == len(history) < model.max_iter
    assert history.validation_score.notna().all()
    chosen = history.validation_error.argmin()
    assert model.best_error_ == history.validation_error[chosen]
    assert model.best_validation_score_ == history.validation_score[chosen]
    assert (history.validation_error[-2:] > model.best_error_ - model.tol).all()


@pytest.mark.parametrize(("task", "scoring"), [("classification", "accuracy"), ("regression", "r2")])
def test_holdout_chooses_the_highest_score_where_scoring_is_given(task, scoring):
    model = BackpropMLP(
        task, activation="relu", optimizer="nesterov", tol=0.2, max_iter=3000, validation="holdout", scoring=scoring,
        random_state=0,
    ).fit(*FEW_DIGITS)  # fmt: skip
    scores = model.history_.validation_score
    assert model.n_iter_ == len(scores) < model.max_iter
    assert model.best_validation_score_ == scores.max()
    assert (scores[-2:] < model.best_validation_score_ + model.tol).all()


@pytest.mark.parametrize("task", TASKS)
def test_without_validation_there_are_no_validation_scores(task):
    model = BackpropMLP(
        task, activation="relu", optimizer="nesterov", tol=0.2, max_iter=1000, validation="none", random_state=0
    ).fit(*FEW_DIGITS)
    assert model.history_.validation_score.isna().all()
    assert model.best_validation_score_ is None
    assert model.best_error_ == model.history_.error.min()


@pytest.mark.parametrize(
    ("counts", "same"),
    [
        ([40, 40, 70], True),
        ([75, 75], False),
        ([50, 50, 0, 50], False),
        ([37, 37, 38, 38], False),
        ([30, 30, 30, 30, 30], False),
    ],
)
def test_a_warm_start_refuses_other_classes(counts, same):
    X, y = IRIS
    other = np.repeat(np.arange(len(counts)), counts)
    model = BackpropMLP(hidden_layer_sizes=2, max_iter=5, warm_start=True, random_state=42).fit(X, y).fit(X, y)
    before = model.parameters_.copy()
    if same:
        assert not np.array_equal(model.fit(X, other).parameters_, before)
        return
    with pytest.raises(ValueError, match="the classes changed"):
        model.fit(X, other)
    np.testing.assert_array_equal(model.parameters_, before)
    assert model.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_each_warm_start_does_max_iter_steps(task, optimizer):
    model = BackpropMLP(
        task, hidden_layer_sizes=2, optimizer=optimizer, max_iter=10, warm_start=True, random_state=0, **NEVER_STOPS
    )
    for max_iter, steps in [(10, 10), (10, 20), (20, 40)]:
        model.set_params(max_iter=max_iter).fit(*IRIS)
        assert model.n_iter_ == len(model.history_) == steps
        assert model.stop_reason_ == f"All max_iter={max_iter} steps were done."


def test_training_stops_after_n_iter_no_change_steps_without_improvement():
    tol, before = 0.01, np.array([])
    for n in (2, 5, 10, 50, 100):
        model = BackpropMLP(
            activation="relu",
            optimizer="nesterov",
            l2=0.0,
            tol=tol,
            max_iter=3000,
            n_iter_no_change=n,
            random_state=0,
            validation="none",
        ).fit(*FEW_DIGITS)
        error = model.history_.error.to_numpy()
        assert model.n_iter_ == len(error) < model.max_iter
        best, improved = np.inf, 0
        for step, value in enumerate(error, start=1):
            if value < best - tol:
                best, improved = value, step
        assert model.n_iter_ == improved + n
        np.testing.assert_array_equal(error[: len(before)], before)  # more patience only goes on for longer
        before = error


def test_an_infinite_n_iter_no_change_never_stops():
    model = BackpropMLP(
        optimizer="nesterov", tol=1e9, n_iter_no_change=np.inf, max_iter=300, validation="none", random_state=0
    )
    assert model.fit(*FEW_DIGITS).n_iter_ == 300


def test_holdout_is_stratified_and_names_a_class_too_small_for_it():
    model = BackpropMLP(validation="holdout")
    with pytest.raises(
        ValueError, match=r"validation='holdout'.*only 1 member.*Classes with too few members are: \[1\]"
    ):
        model.fit([[1, 2], [2, 3], [3, 4], [4, 5]], [0, 0, 0, 1])


def test_holdout_scores_labels_that_are_strings():
    X, y = make_classification(n_samples=200, n_features=10, n_classes=3, n_informative=5, random_state=42)
    labels = np.array(["class_a", "class_b", "class_c"], dtype=object)
    model = BackpropMLP(validation="holdout", max_iter=50, random_state=42).fit(X, labels[y])
    scores = model.history_.validation_score
    assert len(scores) == model.n_iter_
    assert np.isfinite(scores).all()
    assert set(model.predict(X)) <= set(labels)


CASTING = {"hidden_layer_sizes": (5, 3), "activation": "relu", "l2": 1e-7, "random_state": 1}


def test_float32_classifies_like_float64():
    X, y = RAW_DIGITS

    def fitted(dtype):
        return BackpropMLP(**CASTING, max_iter=100, tol=0.1).fit(X[:300].astype(dtype), y[:300])

    double, single = fitted(np.float64), fitted(np.float32)
    test, test32 = X[300:], X[300:].astype(np.float32)
    np.testing.assert_array_equal(single.predict(test32), double.predict(test))
    np.testing.assert_allclose(single.predict_proba(test32), double.predict_proba(test), rtol=1e-2)


def test_float32_regresses_like_float64():
    X, y = RAW_DIGITS

    def fitted(dtype):
        model = BackpropMLP("regression", **CASTING, max_iter=150, tol=1e-3, validation="none")
        return model.fit(X[:300].astype(dtype), y[:300])

    double, single = fitted(np.float64), fitted(np.float32)
    np.testing.assert_allclose(single.predict(X[300:].astype(np.float32)), double.predict(X[300:]), rtol=5e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("task", TASKS)
def test_weights_and_predictions_have_the_dtype_of_the_inputs(task, dtype):
    X, y = RAW_DIGITS[0].astype(dtype), RAW_DIGITS[1]
    model = BackpropMLP(task, **CASTING, max_iter=50, tol=0.1).fit(X[:300], y[:300])
    assert {weights.dtype for weights in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
    if task == "regression":
        assert model.predict(X[300:]).dtype == np.float64  # in the units of y, which float32 may have no room for
    else:
        assert model.predict(X[300:]).dtype == y.dtype
        assert model.predict_proba(X[300:]).dtype == dtype


@pytest.mark.slow
def test_a_loaded_model_learns_another_target_by_partial_fit(tmp_path):
    model = BackpropMLP(
        "regression",
        encoding="none",
        hidden_layer_sizes=(42,),
        activation="relu",
        learning_rate=0.01,
        l2=1e-4,
        random_state=42,
    ).fit([[2]], [4])
    joblib.dump(model, tmp_path / "model.pkl")
    loaded = joblib.load(tmp_path / "model.pkl")
    np.testing.assert_allclose(loaded.predict([[2]]), model.predict([[2]]))
    for _ in range(200):
        loaded.partial_fit([[2]], [1])
    np.testing.assert_allclose(loaded.predict([[2]]), [1], rtol=1e-4)


@pytest.mark.parametrize(
    ("task", "scoring"),
    [
        ("classification", None),
        ("classification", "accuracy"),
        ("classification", "neg_log_loss"),
        ("regression", None),
        ("regression", "r2"),
    ],
)
def test_names_of_features_survive_a_holdout(task, scoring):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["colname_a", "colname_b"])
    y = pd.Series(np.arange(20) % 2, name="colname_y")
    # A UserWarning would be an error here.
    model = BackpropMLP(
        task, validation="holdout", validation_fraction=0.2, scoring=scoring, max_iter=20, random_state=0
    )
    model.fit(X, y)
    assert model.feature_names_in_.tolist() == ["colname_a", "colname_b"]
    assert model.predict(X).shape == (20,)


@pytest.mark.parametrize("task", TASKS)
def test_a_warm_start_with_holdout_goes_on_with_the_scores(task):
    model = BackpropMLP(task, max_iter=10, validation="holdout", warm_start=True, random_state=0, **NEVER_STOPS)
    first = model.fit(*IRIS).history_.validation_score
    both = model.set_params(max_iter=20).fit(*IRIS).history_.validation_score
    assert len(both) == 30
    np.testing.assert_array_equal(both[:10], first)
    assert both.notna().all()


@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_after_a_fit_with_holdout_sets_nothing_aside(task):
    X, y = IRIS
    model = BackpropMLP(task, validation="holdout", max_iter=5, random_state=0).fit(X, y)
    before = model.parameters_.copy()
    model.partial_fit(X, y)
    assert not np.array_equal(model.parameters_, before)
    last = model.history_.iloc[-1]
    assert np.isnan(last.validation_error)
    assert np.isnan(last.validation_score)
    assert model.best_validation_score_ is None
    assert model.evaluations_ == 3 * len(X)


def test_a_diverging_fit_with_holdout_warns_and_raises_no_error():
    X, y = IRIS
    model = BackpropMLP(
        "regression", hidden_layer_sizes=100, activation="identity", optimizer="nesterov", learning_rate=1.0, l2=1e-6,
        max_iter=20, validation="holdout", n_iter_no_change=10, random_state=0,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="The error became infinite or NaN"):
        model.fit(X, y)
    assert model.n_iter_ < 20
    assert model.history_.validation_score.dtype == np.float64
    assert not np.isfinite(model.history_.validation_error.iloc[-1])
    assert isinstance(model.best_validation_score_, float)
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.predict(X)).all()


def test_weights_of_1_equal_no_weights_with_holdout():
    X, y = make_regression(n_samples=100, n_features=2, n_informative=2, random_state=42)
    settings = {
        "hidden_layer_sizes": 10, "validation": "holdout", "tol": 1e-2, "learning_rate": 0.01, "batch_size": 10,
        "random_state": 42,
    }  # fmt: skip
    weighted = BackpropMLP("regression", **settings).fit(X, y, sample_weight=np.ones_like(y))
    plain = BackpropMLP("regression", **settings).fit(X, y, sample_weight=None)
    np.testing.assert_allclose(weighted.predict(X), plain.predict(X))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_linear_poisson_network_equals_the_generalised_linear_model(seed):
    x = np.linspace(0, 1, 100)
    X, y = x[:, np.newaxis], np.random.default_rng(seed).poisson(np.exp(x + 1))
    settings = {
        "hidden_layer_sizes": (), "l2": 0.0, "descent": "batch", "learning_rate": 0.05, "schedule": "cosine",
        "max_iter": 2000, "validation": "none", "random_state": seed + 1,
    }  # fmt: skip
    expected = PoissonRegressor(alpha=0, tol=1e-7).fit(X, y).predict(X)
    poisson = BackpropMLP("regression", error_function="poisson", **settings, **NEVER_STOPS).fit(X, y)
    np.testing.assert_allclose(poisson.predict(X), expected, rtol=1e-4)
    squared = BackpropMLP("regression", error_function="squared_error", **settings, **NEVER_STOPS).fit(X, y)
    assert not np.allclose(squared.predict(X), expected, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
@pytest.mark.parametrize("n", [2, 4])
def test_a_holdout_of_one_sample_is_refused_where_its_score_is_undefined(n):
    X, y = make_regression(n_samples=n, n_features=5, random_state=0)
    with pytest.raises(ValueError, match="validation"):
        BackpropMLP("regression", validation="holdout", scoring="r2", random_state=0).fit(X, y)


@pytest.mark.parametrize(("task", "y"), [("classification", [0, 1]), ("regression", [1.0])])
def test_a_sample_cannot_be_both_held_out_and_learnt_from(task, y):
    with pytest.raises(
        ValueError, match=f"validation='holdout' cannot set validation_fraction=0.1 of {len(y)} samples"
    ):
        BackpropMLP(task, validation="holdout", random_state=0).fit(np.arange(2.0 * len(y)).reshape(-1, 2), y)


def test_every_test_of_scikit_learn_is_carried_over_or_differs_on_purpose():
    known = {name for name in vars(theirs) if name.startswith("test_")}
    assert known == {*CARRIED_OVER, *DIFFERS_ON_PURPOSE}
    here = {name for name in globals() if name.startswith("test_")}
    stands = {name for names in CARRIED_OVER.values() for name in names}
    assert here - stands == {"test_every_test_of_scikit_learn_is_carried_over_or_differs_on_purpose"}
    assert stands <= here
