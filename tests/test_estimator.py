import copy
import itertools
import pickle
import tracemalloc
import warnings

import numpy as np
import optuna
import pandas as pd
import polars
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_linnerud,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from nnexp import Activation, BackpropMLP, ErrorFunction, GeneticAlgorithm, Network, load
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS
from nnexp.training import OPTIMIZERS
from tests.algorithms import EVERY, PARTLY, SLOWER, small
from tests.plans import problem_of

IRIS = scale(load_iris().data), load_iris().target
CANCER = scale(load_breast_cancer().data), load_breast_cancer().target
QUARTER = CANCER[0][::4], CANCER[1][::4]
DIABETES = load_diabetes(return_X_y=True)
# Learns from all samples, in a fifth of the time that the default takes on so few.
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "validation": "none", "random_state": 0}
LEARN = {"hidden_layer_sizes": (16,), "learning_rate": 0.01, "validation": "none", "random_state": 0}


@pytest.mark.slow
def test_the_readme_snippet():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(
        StandardScaler(),
        BackpropMLP(
            hidden_layer_sizes=(32,), activation="tanh", descent="mini-batch", batch_size=32, learning_rate=0.01,
            validation="holdout", random_state=0,
        ),
    )  # fmt: skip
    assert cross_val_score(model, X, y).mean() > 0.96
    model.set_params(backpropmlp__algorithm=GeneticAlgorithm(population_size=128), backpropmlp__max_iter=60).fit(X, y)
    assert model.score(X, y) > 0.95
    history = model[-1].history_
    assert isinstance(history, pd.DataFrame)
    assert {"step", "error", "validation_error", "evaluations", "seconds", "sigma"} <= set(history.columns)


def test_the_task_is_known_before_fit_and_never_guessed():
    assert is_classifier(BackpropMLP())
    assert is_regressor(BackpropMLP("regression"))
    assert is_regressor(clone(BackpropMLP().set_params(task="regression")))
    X, y = DIABETES  # whole numbers as floats, which a guess would take for classes
    assert BackpropMLP("regression", **LEARN, normalize_y=True).fit(X, y).predict(X).dtype == float


@pytest.mark.parametrize("descent", ["stochastic", "mini-batch", "batch"])
def test_every_descent_mode_learns(descent):
    model = BackpropMLP(**LEARN, descent=descent, max_iter=400 if descent == "batch" else 60)
    assert model.fit(*IRIS).score(*IRIS) > 0.95


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer):
    rate = 0.1 if optimizer in ("sgd", "momentum", "nesterov") else 0.01
    model = BackpropMLP(**LEARN | {"learning_rate": rate}, optimizer=optimizer)
    assert model.fit(*IRIS).score(*IRIS) > 0.95


@pytest.mark.parametrize("activation", [n for n in ACTIVATIONS if ACTIVATIONS[n].differentiable])
def test_every_activation_learns(activation):
    rate = 0.01 if activation != "exponential" else 0.002
    model = BackpropMLP(**LEARN | {"learning_rate": rate}, activation=activation)
    assert model.fit(*IRIS).score(*IRIS) > 0.9


@pytest.mark.parametrize("error_function", ERROR_FUNCTIONS)
def test_every_error_function_classifies(error_function):
    model = BackpropMLP(**LEARN, error_function=error_function, max_iter=150)
    if not ERROR_FUNCTIONS[error_function].differentiable:
        with pytest.raises(ValueError, match="'backprop' needs derivatives"):
            model.fit(*IRIS)
        model.set_params(algorithm="genetic", max_iter=60)
    assert model.fit(*IRIS).score(*IRIS) > 0.9
    assert model.fit(*QUARTER).score(*CANCER) > 0.93


@pytest.mark.parametrize("error_function", ["squared_error", "absolute_error", "huber", "log_cosh", "quantile"])
def test_every_error_function_of_real_targets_regresses(error_function):
    X, y = DIABETES
    model = BackpropMLP("regression", **LEARN, error_function=error_function, batch_size=32)
    assert model.fit(scale(X), y).score(scale(X), y) > 0.45


def test_poisson_predicts_positive_rates_close_to_their_means():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    rate = np.exp(0.7 * X[:, 0] + 0.3)
    model = BackpropMLP("regression", **LEARN, error_function="poisson").fit(X, rng.poisson(rate))
    assert (model.predict(X) > 0).all()
    assert np.corrcoef(model.predict(X), rate)[0, 1] > 0.95
    assert model.predict(X).mean() == pytest.approx(rate.mean(), rel=0.1)


def test_a_quantile_is_exceeded_by_its_share():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    y = 100 + 20 * X[:, 0] + 5 * rng.normal(size=2000)
    model = BackpropMLP(
        "regression", **LEARN | {"learning_rate": 0.002}, error_function={"name": "quantile", "quantile": 0.9}
    )
    assert (y < model.fit(X, y).predict(X)).mean() == pytest.approx(0.9, abs=0.03)


def test_a_target_far_from_0_is_learnt_because_it_is_standardised():
    X, y = DIABETES
    far = 1e6 + 1e3 * y
    near = BackpropMLP("regression", **LEARN).fit(scale(X), y)
    model = BackpropMLP("regression", **LEARN).fit(scale(X), far)
    np.testing.assert_allclose(model.predict(scale(X)), 1e6 + 1e3 * near.predict(scale(X)), rtol=1e-6)
    raw = BackpropMLP("regression", **LEARN, normalize_y=False).fit(scale(X), far)
    assert raw.score(scale(X), far) < 0 < model.score(scale(X), far)


def test_a_regression_with_several_outputs():
    X, Y = load_linnerud(return_X_y=True)
    model = BackpropMLP("regression", **LEARN).fit(scale(X), Y)
    assert model.predict(scale(X)).shape == Y.shape
    assert model.score(scale(X), Y) > 0.3
    only = BackpropMLP("regression", **LEARN).fit(scale(X), Y[:, 0])
    assert only.predict(scale(X)).shape == (20,)


def test_probabilities_add_up_to_1_and_agree_with_the_classes():
    names = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]
    for output in ("auto", "softmax", "sigmoid"):
        model = BackpropMLP(**LEARN, output_activation=output).fit(IRIS[0], names)
        probabilities = model.predict_proba(IRIS[0])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        assert (model.classes_[probabilities.argmax(axis=1)] == model.predict(IRIS[0])).all()
        np.testing.assert_allclose(np.exp(model.predict_log_proba(IRIS[0])), probabilities)
    two = BackpropMLP(**LEARN).fit(*CANCER)
    assert two.network_.n_outputs == 1
    assert BackpropMLP(**LEARN, output_activation="softmax").fit(*CANCER).network_.n_outputs == 2


def test_outputs_that_are_no_probabilities_give_a_decision_function():
    model = BackpropMLP(**LEARN, error_function="hinge").fit(*CANCER)
    assert not hasattr(model, "predict_proba")
    assert ((model.decision_function(CANCER[0]) > 0) == (model.predict(CANCER[0]) == 1)).all()
    assert not hasattr(BackpropMLP(), "decision_function")
    assert not hasattr(BackpropMLP("regression"), "predict_proba")


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_full_batches_follow_scikit_learns_mlp_step_by_step(task):
    """From the same weights, with the same optimiser, both reach the same weights and predictions."""
    X, y = IRIS if task == "classification" else (scale(DIABETES[0]), DIABETES[1] / 100)
    peer = MLPClassifier if task == "classification" else MLPRegressor
    reference = peer(
        hidden_layer_sizes=(7,), activation="tanh", solver="sgd", batch_size=len(X), learning_rate_init=0.05, alpha=0.0,
        momentum=0.9, max_iter=1, tol=0, n_iter_no_change=1000, warm_start=True, random_state=0,
    ).fit(X, y)  # fmt: skip
    model = BackpropMLP(
        task, hidden_layer_sizes=(7,), activation="tanh", descent="batch", optimizer="nesterov", learning_rate=0.05, l2=0,
        max_iter=1, schedule="constant", normalize_y=False, warm_start=True, random_state=0, tol=0, n_iter_no_change=1000,
    ).fit(X, y)  # fmt: skip
    state = model._left.training.state
    state.arrays["moment_0"][:] = 0
    own = model.network_.weights(state.arrays["parameters"][0])
    for block, coefs, intercepts in zip(own, reference.coefs_, reference.intercepts_, strict=True):
        block[:-1], block[-1] = coefs, intercepts
    model.set_params(max_iter=30).fit(X, y)
    reference.set_params(max_iter=30).fit(X, y)
    for got, expected in zip(model.coefs_, reference.coefs_, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.history_.error[1:], reference.loss_curve_[-30:], rtol=1e-8)


def test_coefs_and_intercepts_predict_as_the_model_does():
    model = BackpropMLP(**LEARN, activation="tanh").fit(*IRIS)
    (first, second), (bias_1, bias_2) = model.coefs_, model.intercepts_
    z = np.tanh(IRIS[0] @ first + bias_1) @ second + bias_2
    np.testing.assert_array_equal(z.argmax(axis=1), model.predict(IRIS[0]))
    skip = BackpropMLP(**QUICK, connections="skip").fit(*IRIS)
    assert not hasattr(skip, "coefs_")
    assert [c.shape for c in BackpropMLP(**QUICK, bias=False).fit(*IRIS).intercepts_] == [(8,), (3,)]


def test_fitted_attributes():
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    model = BackpropMLP(**QUICK).fit(X, IRIS[1])
    assert model.n_features_in_ == 4
    assert list(model.feature_names_in_) == list("abcd")
    assert isinstance(model.network_, Network)
    assert model.parameters_.shape == (1, model.network_.n_parameters)
    assert model.n_iter_ == len(model.history_) == 5
    assert model.stop_reason_ == "All max_iter=5 steps were done."
    assert model.best_error_ == model.history_.error.min()
    assert model.evaluations_ == 5 * 3 * 150 == model.history_.evaluations.iloc[-1]


@pytest.mark.parametrize("algorithm", ["backprop", pytest.param("genetic", marks=pytest.mark.slow)])
def test_early_stopping_sets_a_stratified_part_aside_and_keeps_the_best(algorithm):
    model = BackpropMLP(
        hidden_layer_sizes=(16,),
        learning_rate=0.02,
        algorithm=algorithm,
        validation="holdout",
        max_iter=300,
        random_state=1,
    )
    model.fit(*CANCER)
    assert model.best_error_ == model.history_.validation_error.min()
    assert "did not improve" in model.stop_reason_
    assert not np.isnan(model.history_.validation_error).any()
    off = BackpropMLP(**QUICK).fit(*CANCER)
    assert off.history_.validation_error.isna().all()


def test_early_stopping_is_automatic_from_10000_samples_on():
    X = np.random.default_rng(0).normal(size=(10_000, 2)).astype(np.float32)
    y = X[:, 0] > 0
    model = BackpropMLP(hidden_layer_sizes=(2,), max_iter=1)
    assert model.fit(X, y).history_.validation_error.notna().all()
    assert model.fit(X[1:], y[1:]).history_.validation_error.isna().all()


@pytest.mark.parametrize("algorithm", PARTLY)
@pytest.mark.parametrize("validation", ["holdout", "none"])
def test_a_warm_start_goes_on_to_the_same_bits(algorithm, validation):
    settings = dict(
        hidden_layer_sizes=(8,),
        algorithm=small(algorithm),
        validation=validation,
        random_state=3,
        n_iter_no_change=500,
        schedule={"name": "cosine", "horizon": 20},
        dropout=0.2,
    )
    if not small(algorithm).uses_gradient:
        settings["dropout"] = 0
    whole = BackpropMLP(**settings, max_iter=20).fit(*IRIS)
    parts = BackpropMLP(**settings, max_iter=8, warm_start=True).fit(*IRIS)
    parts = pickle.loads(pickle.dumps(parts))
    parts.set_params(max_iter=12).fit(*IRIS)
    np.testing.assert_array_equal(parts.parameters_, whole.parameters_)
    assert parts.history_.error.tolist() == whole.history_.error.tolist()
    with pytest.raises(ValueError, match="the network changed"):
        parts.set_params(hidden_layer_sizes=(9,)).fit(*IRIS)


@pytest.mark.parametrize("algorithm", PARTLY)
def test_random_state_decides_everything(algorithm):
    settings = dict(
        hidden_layer_sizes=(8,), connections=0.5, algorithm=small(algorithm), validation="holdout", max_iter=5
    )
    one, two, other = (BackpropMLP(**settings, random_state=s).fit(*IRIS) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.parameters_, two.parameters_)
    assert one.network_ == two.network_
    assert one.network_ != other.network_
    state = np.random.RandomState(5)
    assert (BackpropMLP(**QUICK | {"random_state": state}).fit(*IRIS).parameters_ != 0).any()


@pytest.mark.parametrize("dtype", ["auto", "float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int64, bool])
def test_precision_follows_dtype_or_x(dtype, given):
    X = (IRIS[0] > 0) if given is bool else IRIS[0].astype(given)
    model = BackpropMLP(**QUICK, dtype=dtype).fit(X, IRIS[1])
    expected = {"auto": "float32" if given is np.float32 else "float64"}.get(dtype, dtype)
    assert model.parameters_.dtype == expected
    assert model.predict_proba(X).dtype == expected


def test_predictions_come_in_pieces_and_are_the_same():
    model = BackpropMLP(**LEARN).fit(*IRIS)
    X = np.random.default_rng(0).normal(size=(20_000, 4))
    np.testing.assert_allclose(model.predict_proba(X)[9000:9010], model.predict_proba(X[9000:9010]), rtol=1e-10)


def test_clone_search_and_pickle():
    model = BackpropMLP(**QUICK, algorithm=GeneticAlgorithm(population_size=10), activation=[{"tanh": 4, "relu": 4}])
    assert clone(model).get_params()["algorithm__population_size"] == 10
    search = GridSearchCV(model, {"algorithm__population_size": [6, 8], "activation": ["tanh", "sine"]}, cv=2)
    search.fit(*IRIS)
    assert search.best_params_["algorithm__population_size"] in (6, 8)
    assert model.algorithm.population_size == 10
    fitted = model.fit(*IRIS)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(IRIS[0]), fitted.predict_proba(IRIS[0]))


def test_a_pickle_holds_little_more_than_the_weights():
    X = np.random.default_rng(0).normal(size=(300, 50))
    model = BackpropMLP(hidden_layer_sizes=(200, 200), max_iter=3).fit(X, X[:, 0] > 0)
    assert len(pickle.dumps(model)) < 1.2 * model.parameters_.nbytes


def test_an_optuna_study_tunes_layers_learning_rate_and_batch_size():
    def objective(trial):
        layers = [trial.suggest_int(f"layer_{i}", 4, 16) for i in range(trial.suggest_int("layers", 1, 2))]
        model = BackpropMLP(
            hidden_layer_sizes=layers,
            learning_rate=trial.suggest_float("learning_rate", 1e-3, 0.1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [16, 64]),
            max_iter=10,
            random_state=0,
        )
        return cross_val_score(model, *IRIS, cv=3).mean()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=6)
    assert study.best_value > 0.9


def test_verbose_prints_a_line_for_each_step(capsys):
    BackpropMLP(**QUICK | {"validation": "holdout"}, verbose=True).fit(*IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[4].startswith("step    5  error ")
    assert "validation error" in lines[0]


def softsign(z):
    return z / (1 + np.abs(z))


def softsign_derivative(z, a):
    return (1 - np.abs(a)) ** 2


def fourth(a, y):
    return (a - y) ** 4


def fourth_gradient(a, y):
    return 4 * (a - y) ** 3


def test_parts_of_the_users_work_in_fit_clone_and_pickle():
    model = BackpropMLP(
        **LEARN,
        activation=Activation.from_functions("softsign", softsign, softsign_derivative),
        error_function=ErrorFunction.from_functions("fourth", fourth, fourth_gradient),
    )
    fitted = clone(model).fit(*IRIS)
    assert fitted.score(*IRIS) > 0.9
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(IRIS[0]), fitted.predict(IRIS[0]))


X, Y = IRIS
BAD_DATA = [
    ({"encoding": "none"}, (np.where(X[3, 2] == X, np.nan, X), Y), "Input X contains NaN"),
    ({}, (np.where(X[3, 2] == X, np.inf, X), Y), "Input X contains infinity"),
    ({}, (X[:0], Y[:0]), "minimum of 1 is required"),
    ({}, (X[:, :0], Y), "0 feature(s)"),
    ({}, (X[0], Y[:4]), "Expected 2D array, got 1D array"),
    ({}, (X, Y[:-1]), "inconsistent numbers of samples"),
    ({}, (X, np.zeros(150)), "y holds one class only, 0.0"),
    ({}, (X, X[:, 0]), "BackpropMLP(task='regression')"),
    ({}, (X, np.stack([Y, Y], axis=1)), "y must be one class for each sample"),
    ({"task": "regression"}, (X, np.where(Y == 1, np.nan, Y)), "Input y contains NaN"),
    ({"task": "regression"}, (X, np.array(["a", "b", "c"])[Y]), "could not convert string to float"),
    (
        {"task": "regression", "error_function": "poisson"},
        (X, Y - 1.0),
        "needs y in [0, inf]. Got values from -1",
    ),
    ({}, (X, Y, -np.ones(150)), "Negative values in data passed to `sample_weight`"),
    ({}, (X, Y, np.zeros(150)), "zero"),
    ({"dtype": "float32", "encoding": "none"}, (X * 1e39, Y), "X holds values too large for dtype='float32'"),
    ({"validation": "holdout", "validation_fraction": 0.01}, (X[:3], [0, 0, 1]), "validation='holdout' cannot set"),
]


@pytest.mark.parametrize(("settings", "data", "sentence"), BAD_DATA)
def test_bad_data_gives_a_sentence(settings, data, sentence):
    with pytest.raises(ValueError) as caught:
        BackpropMLP(**QUICK | settings).fit(*data)
    assert sentence in str(caught.value)


BAD_PARAMETERS = [
    ({"task": "clasification"}, "Did you mean 'classification'?"),
    ({"descent": "minibatch"}, "descent: unknown value 'minibatch'. Did you mean 'mini-batch'?"),
    ({"algorithm": "backpropagation"}, "Here it is called 'backprop'."),
    ({"algorithm": 3}, "algorithm must be the name of an algorithm"),
    ({"optimizer": "adamm"}, "Did you mean 'adam'?"),
    ({"optimizer": {"name": "adam", "beta1": 0.9}}, "has no parameter 'beta1'. Did you mean 'beta_1'?"),
    ({"activation": "rely"}, "Did you mean 'relu'?"),
    ({"activation": ["tanh", "relu"]}, "one entry for each hidden layer: 1. Got 2"),
    ({"output_activation": "sofmax"}, "Did you mean 'softmax'?"),
    ({"error_function": "mse"}, "Here it is called 'squared_error'."),
    ({"error_function": "cross_entropy", "output_activation": "identity"}, "use 'softmax'"),
    ({"hidden_layer_sizes": (8, 0)}, "Each of hidden_layer_sizes must be in [1, inf). Got 0"),
    ({"hidden_layer_sizes": (8.5,)}, "Each of hidden_layer_sizes must be an integer"),
    ({"hidden_layer_sizes": "8"}, "must be an int or a sequence of int"),
    ({"batch_size": 0}, "batch_size must be in [1, inf). Got 0"),
    ({"batch_size": "auto"}, "batch_size must be an integer"),
    ({"learning_rate": 0}, "learning_rate must be in (0, inf). Got 0"),
    ({"learning_rate": float("nan")}, "learning_rate must be in"),
    ({"max_iter": 0}, "max_iter must be in [1, inf)"),
    ({"validation_fraction": 1.0}, "validation_fraction must be in (0, 1). Got 1.0"),
    ({"n_iter_no_change": 0}, "n_iter_no_change must be in"),
    ({"tol": -1}, "tol must be in"),
    ({"l2": -1}, "l2 must be in"),
    ({"validation": "yes"}, "validation: unknown value 'yes'"),
    ({"shuffle": 1}, "shuffle must be True or False"),
    ({"dtype": "float16"}, "dtype: unknown value 'float16'"),
    ({"dtype": int}, "dtype: unknown value"),
    ({"random_state": "0"}, "random_state must be an int"),
    ({"random_state": -1}, "random_state must be in [0, inf)"),
    ({"connections": "sparse"}, "unknown pattern 'sparse'"),
    ({"activation": "step"}, "needs derivatives, and the activation 'step' has none of use"),
    ({"bias": None}, "bias must be True or False"),
]


@pytest.mark.parametrize(("settings", "sentence"), BAD_PARAMETERS)
def test_an_impossible_parameter_gives_a_sentence(settings, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        BackpropMLP(**QUICK | settings).fit(*IRIS)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_fit_that_fails_leaves_the_model_as_it_was(task):
    X, y = IRIS if task == "classification" else (scale(DIABETES[0]), DIABETES[1])
    model = BackpropMLP(task, **QUICK).fit(X, y)
    before = model.predict(X)
    model.set_params(activation="step")
    with pytest.raises(ValueError, match="needs derivatives"):
        model.fit(X[:, :3], (y * 1000 + 5) if task == "regression" else y + 7)
    np.testing.assert_array_equal(model.predict(X), before)


def test_parameters_set_after_a_fit_change_no_prediction():
    model = BackpropMLP(**LEARN).fit(*CANCER)
    before, probabilities = model.predict(CANCER[0]), model.predict_proba(CANCER[0])
    model.set_params(error_function="hinge", task="regression", output_activation="identity")
    np.testing.assert_array_equal(model.predict(CANCER[0]), before)
    np.testing.assert_array_equal(model.predict_proba(CANCER[0]), probabilities)


def test_hinge_behind_a_sigmoid_agrees_with_its_probabilities():
    model = BackpropMLP(**LEARN, error_function="hinge", output_activation="sigmoid").fit(*CANCER)
    assert (model.predict(CANCER[0]) == model.predict_proba(CANCER[0]).argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "momentum"}, "the optimizer or its settings changed"),
        ({"algorithm": GeneticAlgorithm(population_size=9)}, "the algorithm or its settings changed"),
        ({"dtype": "float32"}, "the dtype changed"),
        ({"hidden_layer_sizes": (3,), "bias": False}, "the network changed"),
    ],
)
def test_a_warm_start_refuses_what_it_cannot_go_on_with(settings, said):
    model = BackpropMLP(**QUICK, warm_start=True).fit(*IRIS)
    with pytest.raises(ValueError, match=said):
        model.set_params(**settings).fit(*IRIS)
    with pytest.raises(ValueError, match="the classes changed"):
        BackpropMLP(**QUICK, warm_start=True).fit(*IRIS).fit(IRIS[0], IRIS[1] + 10)


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=32)])
def test_a_warm_start_on_other_data_learns_them(algorithm):
    settings = LEARN | {"algorithm": algorithm, "validation": "holdout", "max_iter": 150}
    model = BackpropMLP(**settings, warm_start=True).fit(*IRIS)
    turned = (IRIS[1] + 1) % 3
    assert model.score(IRIS[0], turned) < 0.1
    assert model.fit(IRIS[0], turned).score(IRIS[0], turned) > 0.9


def test_two_random_states_and_two_fits_without_one_differ():
    def fit(random_state):
        return BackpropMLP(**QUICK | {"random_state": random_state}).fit(*IRIS).parameters_

    state = np.random.RandomState(5)
    one, two = fit(state), fit(state)
    assert (one != two).any()  # the state has moved on
    np.testing.assert_array_equal(one, fit(np.random.RandomState(5)))
    assert (fit(None) != fit(None)).any()


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=16, batch_size=None)])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_weight_counts_as_repetition_for_every_algorithm_and_task(algorithm, task):
    """With all rows in a batch: same weights, so the same training error, best network and predictions."""
    X, y = (IRIS[0][::5], IRIS[1][::5]) if task == "classification" else (scale(DIABETES[0])[:30], DIABETES[1][:30])
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    model = BackpropMLP(task, **QUICK, algorithm=algorithm, descent="batch", l2=0.5)
    weighted = clone(model).fit(X, y, counts)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    plain = clone(model).fit(X, y)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-8)
    np.testing.assert_allclose(weighted.history_.error, repeated.history_.error, rtol=1e-9)
    assert abs(plain.history_.error - repeated.history_.error).max() > 1e-3


def test_early_stopping_weighs_the_validation_rows():
    weight = np.where(np.arange(150) % 2, 1.0, 1e-9)
    model = BackpropMLP(**QUICK | {"validation": "holdout"}, validation_fraction=0.3)
    odd = model.fit(*IRIS, weight).best_error_
    assert odd != model.fit(*IRIS).best_error_


def test_early_stopping_sets_aside_each_class_its_share():
    y = np.repeat([0, 1, 2], [100, 30, 20])
    problem = problem_of(BackpropMLP(**QUICK | {"validation": "holdout"}, validation_fraction=0.2), X, y)
    assert np.bincount(y[problem.validation[0]]).tolist() == [20, 6, 4]
    assert sorted([*problem.training[0], *problem.validation[0]]) == list(range(150))


def test_one_output_with_cross_entropy_is_refused():
    with pytest.raises(ValueError, match="needs an output for each class"):
        BackpropMLP(**QUICK, output_activation="sigmoid", error_function="cross_entropy").fit(*CANCER)


def test_prediction_checks_the_number_of_features_and_the_fit():
    model = BackpropMLP(**QUICK)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="X has 3 features, but BackpropMLP is expecting 4"):
        model.fit(X, Y).predict(X[:, :3])


@pytest.mark.parametrize("descent", ["mini-batch", "batch"])
def test_divergence_stops_with_a_warning_and_finite_weights(descent):
    model = BackpropMLP(
        "regression", hidden_layer_sizes=(8,), activation="identity", optimizer="sgd", learning_rate=30.0,
        descent=descent, random_state=0,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="became infinite or NaN"):
        model.fit(scale(DIABETES[0]), DIABETES[1])
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.predict(scale(DIABETES[0]))).all()
    assert "learning_rate" in model.stop_reason_


def test_fit_changes_neither_the_data_nor_the_parameters():
    algorithm = GeneticAlgorithm(population_size=8)
    data = X.copy()
    model = BackpropMLP(**QUICK, algorithm=algorithm)
    before = copy.deepcopy(model.get_params())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(data, Y)
    assert model.get_params() == before
    assert model.algorithm is algorithm
    np.testing.assert_array_equal(data, X)


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=16, batch_size=None)])
def test_class_weights_are_sample_weights(algorithm):
    model = BackpropMLP(
        **QUICK, encoding="none", algorithm=algorithm, descent="batch"
    )  # an encoding does not look at y
    names = np.array(["a", "b", "c"])[IRIS[1]]
    by_class = clone(model).set_params(class_weight={"a": 3.0, "c": 0.5}).fit(IRIS[0], names)
    by_sample = clone(model).fit(IRIS[0], names, np.array([3.0, 1.0, 0.5])[IRIS[1]])
    np.testing.assert_allclose(by_class.parameters_, by_sample.parameters_, rtol=1e-9)
    both = clone(model).set_params(class_weight={"a": 3.0}).fit(IRIS[0], names, np.linspace(1, 2, 150))
    product = np.linspace(1, 2, 150) * np.array([3.0, 1.0, 1.0])[IRIS[1]]
    np.testing.assert_allclose(both.parameters_, clone(model).fit(IRIS[0], names, product).parameters_, rtol=1e-9)


def test_balanced_classes_have_equal_totals_also_with_weights():
    few = np.r_[np.arange(50), np.arange(50, 70), np.arange(100, 105)]
    X, y = IRIS[0][few], IRIS[1][few]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    for own in (None, weight):
        problem = problem_of(BackpropMLP(**QUICK, class_weight="balanced"), X, y, sample_weight=own)
        totals = np.bincount(y, weights=problem.weight)
        np.testing.assert_allclose(totals, totals[0], rtol=1e-9)


def test_a_class_of_weight_0_stays_a_class():
    model = BackpropMLP(**LEARN, class_weight={0: 0}).fit(*IRIS)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(IRIS[0])[:, 0].max() < 0.5


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=16)])
def test_samples_of_the_users_own_choose_and_are_not_learnt_from(algorithm):
    X, y = IRIS[0][::2], IRIS[1][::2]
    own = {"X_val": IRIS[0][1::2], "y_val": IRIS[1][1::2]}
    model = BackpropMLP(**QUICK | {"max_iter": 60}, learning_rate=0.3, l2=0, algorithm=algorithm)
    fitted = clone(model).fit(X, y, **own)
    history = fitted.history_
    assert fitted.best_error_ == history.validation_error.min()
    p = fitted.predict_proba(own["X_val"])[np.arange(75), own["y_val"]]
    assert -np.log(p).mean() == pytest.approx(fitted.best_error_, rel=1e-6)  # the best is restored
    assert fitted.best_validation_score_ == fitted.score(own["X_val"], own["y_val"])
    other = clone(model).fit(X, y, X_val=own["X_val"], y_val=(own["y_val"] + 1) % 3)
    np.testing.assert_array_equal(other.history_.error[:5], history.error[:5])


def test_validation_data_of_a_regression_are_in_the_units_of_y():
    X, y = scale(DIABETES[0]), DIABETES[1]
    model = BackpropMLP("regression", **LEARN).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    squared = ((model.predict(X[1::2]) - y[1::2]) ** 2).mean() / 2 / y[::2].var()
    assert model.best_error_ == pytest.approx(squared)
    assert model.best_validation_score_ == pytest.approx(model.score(X[1::2], y[1::2]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"X_val": IRIS[0]}, "X_val and y_val belong together"),
        ({"X_val": IRIS[0][:, :3], "y_val": IRIS[1]}, "X has 3 features"),
        (
            {"X_val": IRIS[0], "y_val": IRIS[1] + 5},
            "y_val holds the class 5, which is not among the known classes [0, 1, 2]",
        ),
        ({"X_val": IRIS[0], "y_val": IRIS[1][:-1]}, "inconsistent numbers of samples"),
        ({"X_val": np.full((150, 4), np.inf), "y_val": IRIS[1]}, "contains infinity"),
        ({"groups": np.arange(3)}, "groups must hold a number or a word for each sample"),
        ({"groups": np.r_[np.nan, np.ones(149)]}, "groups must hold a number or a word for each sample"),
    ],
)
def test_impossible_validation_data_give_a_sentence(more, said):
    with pytest.raises(ValueError) as caught:
        BackpropMLP(**QUICK).fit(*IRIS, **more)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "algorithm", ["backprop", pytest.param(GeneticAlgorithm(population_size=16), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("scoring", ["neg_log_loss", "balanced_accuracy", "roc_auc_ovr", lambda e, X, y: e.score(X, y)])
def test_any_score_can_choose(scoring, algorithm):
    model = BackpropMLP(**LEARN | {"max_iter": 40}, algorithm=algorithm, scoring=scoring)
    X, y, X_val, y_val = IRIS[0][::2], IRIS[1][::2], IRIS[0][1::2], IRIS[1][1::2]
    model.fit(X, y, X_val=X_val, y_val=y_val)
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    assert model.best_validation_score_ == pytest.approx(scorer(model, X_val, y_val))
    assert model.best_validation_score_ == model.history_.validation_score.max()


def test_scores_of_a_regression_and_of_weighted_samples():
    X, y = scale(DIABETES[0]), DIABETES[1]
    model = BackpropMLP("regression", **QUICK | {"validation": "holdout"}, scoring="neg_mean_absolute_error")
    weight = np.linspace(0.1, 2, len(y))
    problem = problem_of(clone(model), X, y, sample_weight=weight)
    rows = problem.validation[0]
    fitted = model.fit(X, y, weight)
    expected = -np.average(np.abs(fitted.predict(X[rows]) - y[rows]), weights=weight[rows])
    assert fitted.best_validation_score_ == pytest.approx(expected)


def test_groups_are_set_aside_as_a_whole():
    groups = np.repeat(np.arange(15), 10)
    model = BackpropMLP(**QUICK | {"validation": "holdout"}, validation_fraction=0.2)
    problem = problem_of(model, *IRIS, groups=groups)
    assert len(set(groups[problem.validation[0]])) == 3
    assert not set(groups[problem.validation[0]]) & set(groups[problem.training[0]])


def test_budgets_of_evaluations_and_seconds():
    model = BackpropMLP(**LEARN | {"max_iter": 1000}, max_evaluations=10_000).fit(*IRIS)
    assert model.evaluations_ == 22 * 450  # another epoch of 150 samples, 3 evaluations each, would exceed it
    assert model.stop_reason_ == "Another step would exceed max_evaluations=10000."
    evolved = BackpropMLP(**QUICK, algorithm=GeneticAlgorithm(population_size=10), max_evaluations=6000).fit(*IRIS)
    assert evolved.evaluations_ <= 6000
    quick = BackpropMLP(**LEARN | {"max_iter": 10**6}, max_seconds=0.05).fit(*IRIS)
    assert quick.stop_reason_ == "max_seconds=0.05 were over."
    assert 1 <= quick.n_iter_ < 10**5


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=16)])
@pytest.mark.parametrize("task", ["two", "three", "labels", "regression", "outputs"])
def test_partial_fits_are_steps_of_a_fit(task, algorithm):
    data = {
        "two": CANCER, "three": IRIS, "labels": make_multilabel_classification(random_state=0),
        "regression": (scale(DIABETES[0]), DIABETES[1]), "outputs": load_linnerud(return_X_y=True),
    }  # fmt: skip
    X, y = data[task]
    kind = "regression" if task in ("regression", "outputs") else "classification"
    model = BackpropMLP(
        kind, **QUICK | {"n_iter_no_change": 99, "validation": "none"}, algorithm=algorithm, schedule="constant"
    )
    parts = clone(model)
    classes = None if kind == "regression" else np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
    for i in range(5):
        parts.partial_fit(X, y, **({} if kind == "regression" or i else {"classes": classes}))
        if i == 2:
            parts = pickle.loads(pickle.dumps(parts))
    whole = model.fit(X, y)
    np.testing.assert_array_equal(parts.parameters_, whole.parameters_)
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))
    assert len(parts.history_) == 5


def test_partial_fit_learns_from_a_stream_with_a_class_that_comes_late():
    model = BackpropMLP(**LEARN)
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        model.partial_fit(*IRIS)
    model.partial_fit(IRIS[0][:100], IRIS[1][:100], classes=[0, 1, 2])
    order = np.random.default_rng(0).permutation(150)
    for _ in range(60):
        for rows in np.array_split(order, 5):
            model.partial_fit(IRIS[0][rows], IRIS[1][rows])
    assert model.score(*IRIS) > 0.95
    with pytest.raises(ValueError, match=r"y holds the class 5, which is not among the known classes \[0, 1, 2\]"):
        model.partial_fit(IRIS[0], IRIS[1] + 5)
    assert model.score(*IRIS) > 0.95


def test_partial_fit_goes_on_from_a_fit():
    model = BackpropMLP(**LEARN).fit(*IRIS)
    before = model.parameters_.copy()
    model.set_params(learning_rate=1e-6).partial_fit(*IRIS)
    np.testing.assert_allclose(model.parameters_, before, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *itertools.product([sparse.csr_matrix, sparse.csc_array, sparse.coo_array], ["backprop"]),
        *itertools.product(
            [sparse.csr_array],
            [*(name for name in EVERY if name not in SLOWER), GeneticAlgorithm(population_size=8, batch_size=None)],
        ),
    ],
)
def test_sparse_x_gives_what_dense_x_gives(kind, algorithm):
    X = np.where(np.random.default_rng(0).random((200, 30)) < 0.1, 1.5, 0.0)
    y = (X @ np.arange(30) > 40).astype(int)
    algorithm = small(algorithm) if isinstance(algorithm, str) else algorithm
    model = BackpropMLP(**QUICK | {"validation": "cross"}, encoding="none", algorithm=algorithm, n_networks=2)
    dense, thin = clone(model).fit(X, y), clone(model).fit(kind(X), y)
    np.testing.assert_allclose(thin.parameters_, dense.parameters_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(thin.predict_proba(kind(X)), dense.predict_proba(X), rtol=1e-6)
    own = {"X_val": kind(X), "y_val": y}
    np.testing.assert_allclose(
        clone(model).fit(kind(X), y, **own).parameters_, clone(model).fit(X, y, X_val=X, y_val=y).parameters_, atol=1e-7
    )


@pytest.mark.slow
def test_sparse_x_is_never_dense_as_a_whole():
    """100,000 × 2,000 with 5 numbers a row would be 1.6 GB in float64."""
    rng = np.random.default_rng(0)
    n, d = 100_000, 2_000
    columns = rng.integers(0, d, (n, 5)).ravel()
    X = sparse.csr_array((np.ones(5 * n), columns, np.arange(0, 5 * n + 1, 5)), shape=(n, d))
    y = np.asarray(X[:, :1000].sum(axis=1)).ravel() > 2.5
    tracemalloc.start()
    model = BackpropMLP(hidden_layer_sizes=(8,), max_iter=1, batch_size=1000, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.slow
def test_training_on_a_large_table_takes_little_more_than_a_copy_of_it():
    """Of 100,000 × 50 float32, the table, its copy and all the rest together: at most 2.5 times the table."""
    rng = np.random.default_rng(0)
    X = rng.random((100_000, 50), dtype=np.float32)
    y = X[:, 0] > 0.5
    for settings in ({}, {"n_networks": 2, "validation": "cross"}):
        tracemalloc.start()
        BackpropMLP(hidden_layer_sizes=(8,), max_iter=1, batch_size=2000, random_state=0, **settings).fit(X, y)
        peak = tracemalloc.get_traced_memory()[1] + X.nbytes
        tracemalloc.stop()
        assert peak < 2.5 * X.nbytes, (settings, peak / X.nbytes)


def test_frames_of_pandas_and_polars():
    expected = BackpropMLP(**QUICK).fit(*IRIS).predict_proba(IRIS[0])
    names = list("abcd")
    for frame in (pd.DataFrame(IRIS[0], columns=names), polars.DataFrame(dict(zip(names, IRIS[0].T, strict=True)))):
        y = type(frame["a"])(IRIS[1]) if isinstance(frame, pd.DataFrame) else polars.Series(IRIS[1])
        model = BackpropMLP(**QUICK).fit(frame, y)
        assert model.feature_names_in_.tolist() == names
        np.testing.assert_allclose(model.predict_proba(frame), expected, rtol=1e-9)


def test_several_labels():
    X, Y = make_multilabel_classification(n_samples=300, random_state=0)
    model = BackpropMLP(**LEARN).fit(scale(X), Y)
    assert model.predict(scale(X)).shape == Y.shape == model.predict_proba(scale(X)).shape
    assert model.score(scale(X), Y) == accuracy_score(Y, model.predict(scale(X))) > 0.6
    assert model.network_.activations[-1].name == "sigmoid"
    np.testing.assert_array_equal(
        model.predict(scale(X)),
        BackpropMLP(**LEARN).fit(scale(X), sparse.csr_array(Y)).predict(scale(X)),
    )
    crossed = BackpropMLP(**LEARN | {"validation": "cross"}, n_networks=3).fit(scale(X), Y)
    assert crossed.oof_score_ == pytest.approx(accuracy_score(Y, crossed.oof_prediction_ > 0.5))
    with pytest.raises(ValueError, match="several labels need 'sigmoid'"):
        BackpropMLP(**LEARN, output_activation="softmax").fit(X, Y)


def test_metadata_are_routed_through_pipelines_and_searches():
    weight = np.linspace(0, 1, 150)
    with config_context(enable_metadata_routing=True):
        model = BackpropMLP(**QUICK).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        scaling = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaling, model, transform_input=["X_val"])
        raw = load_iris().data
        pipeline.fit(raw[::2], IRIS[1][::2], sample_weight=weight[::2], X_val=raw[1::2], y_val=IRIS[1][1::2])
        scaler = StandardScaler().fit(raw[::2])
        direct = BackpropMLP(**QUICK).fit(
            scaler.transform(raw[::2]),
            IRIS[1][::2],
            weight[::2],
            X_val=scaler.transform(raw[1::2]),
            y_val=IRIS[1][1::2],
        )
        np.testing.assert_array_equal(pipeline[-1].parameters_, direct.parameters_)
        search = GridSearchCV(
            BackpropMLP(**QUICK | {"validation": "holdout"}).set_fit_request(groups=True).set_score_request(sample_weight=False),
            {"learning_rate": [0.01, 0.1]}, cv=GroupKFold(3),
        )  # fmt: skip
        search.fit(*IRIS, groups=np.repeat(np.arange(30), 5))
        assert search.best_score_ > 0.3


def test_it_shows_itself_in_a_notebook_and_follows_the_output_of_a_pipeline():
    model = make_pipeline(StandardScaler(), BackpropMLP(**QUICK)).set_output(transform="pandas")
    page = model._repr_html_()
    assert "BackpropMLP" in page
    model.fit(load_iris(as_frame=True).data, IRIS[1])
    assert model[-1].feature_names_in_[0] == "sepal length (cm)"
    assert "Fitted" in model[-1]._repr_html_() or "fitted" in model[-1]._repr_html_()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"validation": "crossed"}, "Did you mean 'cross'?"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'?"),
        ({"schedule": "adaptive"}, "Here it is called 'plateau'."),
        ({"activation": "logistic"}, "Here it is called 'sigmoid'."),
        ({"scoring": "acuracy"}, "Did you mean 'accuracy'?"),
        ({"scoring": 3}, "scoring must be a name of scikit-learn's"),
        ({"dropout": 1.0}, "dropout must be in [0, 1)"),
        ({"dropout": [0.1, 0.2]}, "dropout needs a number for each hidden layer: 1. Got 2"),
        ({"dropout": "much"}, "dropout must be a number"),
        ({"label_smoothing": 1}, "label_smoothing must be in [0, 1)"),
        ({"clip_norm": 0}, "clip_norm must be in (0, inf)"),
        ({"weight_decay": -1}, "weight_decay must be in [0, inf)"),
        ({"l1": "much"}, "l1 must be a number"),
        ({"n_networks": 0}, "n_networks must be in [1, inf)"),
        ({"max_seconds": 0}, "max_seconds must be in (0, inf)"),
        ({"class_weight": "even"}, "class_weight must be 'balanced', a mapping or None"),
        ({"class_weight": {7: 2}}, "class_weight names 7, which is no class of y: [0, 1, 2]"),
        ({"class_weight": {0: -1}}, "class_weight must be in [0, inf)"),
        ({"task": "regression", "class_weight": "balanced"}, "class_weight is for task='classification'"),
        ({"task": "regression", "label_smoothing": 0.1}, "label_smoothing is for task='classification'"),
        (
            {"algorithm": "genetic", "dropout": 0.1},
            "dropout acts on the updates of descent; algorithm='genetic' makes none",
        ),
        ({"algorithm": "genetic", "weight_decay": 0.1}, "weight_decay acts on the updates of descent"),
        ({"verbose": "no"}, "verbose must be True or False"),
        ({"n_iter_no_change": 2.5}, "n_iter_no_change must be an integer"),
    ],
)
def test_more_impossible_parameters_give_a_sentence(settings, said):
    with pytest.raises((ValueError, TypeError)) as caught:
        BackpropMLP(**QUICK | settings).fit(*IRIS)
    assert said in str(caught.value)


def test_an_infinite_patience_and_a_schedule_without_validation_run_to_the_end():
    assert (
        BackpropMLP(**QUICK | {"max_iter": 50, "validation": "none"}, n_iter_no_change=np.inf, tol=1e9)
        .fit(*IRIS)
        .n_iter_
        == 50
    )
    assert BackpropMLP(**QUICK | {"max_iter": 50, "validation": "none"}, tol=1e9).fit(*IRIS).n_iter_ == 50
    assert (
        BackpropMLP(**QUICK | {"max_iter": 50, "validation": "none"}, tol=1e9, schedule="constant").fit(*IRIS).n_iter_
        == 11
    )


def test_without_a_number_of_steps_small_data_have_a_thousand_updates():
    settings = {"hidden_layer_sizes": (2,), "validation": "none"}
    assert BackpropMLP(**settings).fit(*IRIS).n_iter_ == 334  # of 3 updates each
    assert BackpropMLP(**settings, batch_size=5).fit(*IRIS).n_iter_ == 100
    assert BackpropMLP(**settings, algorithm="genetic", n_iter_no_change=999).fit(*IRIS).n_iter_ == 200


def test_a_score_of_the_users_may_predict_on_any_samples():
    X, y, X_val, y_val = IRIS[0][::2], IRIS[1][::2], IRIS[0][1::2], IRIS[1][1::2]
    settings = LEARN | {"max_iter": 20}
    plain = BackpropMLP(**settings, scoring="accuracy").fit(X, y, X_val=X_val, y_val=y_val)
    for own in (lambda e, X, y: e.score(X.copy(), y), lambda e, X, y: e.score(pd.DataFrame(X).to_numpy(), y)):
        model = BackpropMLP(**settings, scoring=own).fit(X, y, X_val=X_val, y_val=y_val)
        assert model.history_.validation_score.tolist() == plain.history_.validation_score.tolist()


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_named(score):
    with pytest.raises(ValueError, match="gives (nan|inf) on the 15 validation samples"):
        BackpropMLP(**QUICK | {"validation": "holdout"}, scoring=lambda e, X, y: score).fit(*IRIS)


def test_a_target_of_tiny_or_huge_numbers_is_learnt_like_any_other():
    X, y = scale(DIABETES[0]), DIABETES[1]
    plain = BackpropMLP("regression", **QUICK).fit(X, y).predict(X)
    for unit in (1e-170, 1e-290, 1e150):
        np.testing.assert_allclose(
            BackpropMLP("regression", **QUICK).fit(X, y * unit).predict(X) / unit, plain, rtol=1e-6
        )


def test_partial_fit_goes_on_after_cross_fitting_and_after_loading(tmp_path):
    for task, y in (("classification", IRIS[1]), ("regression", IRIS[0][:, 0])):
        model = BackpropMLP(task, **QUICK | {"validation": "cross"}, n_networks=3).fit(IRIS[0], y)
        model.save(tmp_path / "m.nnexp")
        for own in (model, load(tmp_path / "m.nnexp")):
            before = own.predict(IRIS[0])
            own.set_params(learning_rate=1e-9).partial_fit(IRIS[0], y)
            if task == "regression":
                np.testing.assert_allclose(own.predict(IRIS[0]), before, rtol=1e-4)
            assert own.parameters_.shape[0] == 3
    with pytest.raises(ValueError, match="n_networks changed"):
        model.set_params(n_networks=2).partial_fit(IRIS[0], y)


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=16, batch_size=None)])
def test_a_distribution_as_target_is_learnt_by_its_own_cross_entropy(algorithm):
    z = IRIS[0][:, :3]
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    model = BackpropMLP(
        "regression", **QUICK | {"validation": "holdout"}, error_function="cross_entropy", output_activation="softmax",
        algorithm=algorithm, l2=0, descent="batch",
    ).fit(IRIS[0], P)  # fmt: skip
    rows = problem_of(clone(model), IRIS[0], P).validation[0]
    own = -(P[rows] * np.log(model.predict(IRIS[0][rows]))).sum(axis=1).mean()
    assert model.best_error_ == pytest.approx(own)


def test_partial_fit_and_a_warm_start_go_on_from_each_other():
    model = BackpropMLP(**QUICK, warm_start=True).fit(*IRIS).partial_fit(*IRIS)
    assert model.n_iter_ == 6
    assert model.fit(*IRIS).n_iter_ == 11
    other = BackpropMLP(**QUICK, warm_start=True, schedule="plateau").partial_fit(*IRIS, classes=[0, 1, 2])
    assert other.fit(*IRIS).n_iter_ == 6


def test_after_a_warm_start_on_other_data_the_best_is_the_best_on_them():
    model = BackpropMLP(**LEARN | {"max_iter": 40, "validation": "holdout"}, warm_start=True).fit(*IRIS)
    turned = np.random.default_rng(0).permutation(IRIS[1])
    before = model.best_error_
    model.set_params(max_iter=5).fit(IRIS[0], turned)
    assert model.best_error_ > before
    assert model.best_error_ == model.history_.validation_error[-5:].min()


def test_class_weights_count_in_the_users_validation_data_too():
    own = {"X_val": IRIS[0], "y_val": IRIS[1]}
    model = BackpropMLP(**QUICK, class_weight={0: 100.0}).fit(*IRIS, **own)
    p = model.predict_proba(IRIS[0])[np.arange(150), IRIS[1]]
    weighted = np.average(-np.log(p), weights=np.array([100.0, 1, 1])[IRIS[1]])
    assert model.best_error_ == pytest.approx(weighted, rel=1e-6)


def test_a_budget_for_exactly_some_steps_gives_these():
    assert BackpropMLP(**LEARN, max_evaluations=7 * 450).fit(*IRIS).n_iter_ == 7
    assert BackpropMLP(**LEARN, max_evaluations=7 * 450 - 1).fit(*IRIS).n_iter_ == 6


def test_dropout_of_almost_all_stays_finite():
    model = BackpropMLP(**QUICK, dropout=0.9999999).fit(*IRIS)
    assert np.isfinite(model.parameters_).all()


@pytest.mark.parametrize(
    ("model", "params", "said"),
    [
        (BackpropMLP(algorithm="genetic"), {"algorithm__elite": 2}, r"algorithm='genetic' is a name.* algorithm=GeneticAlgorithm\(\.\.\.\)"),
        (BackpropMLP(), {"optimizer__beta_1": 0.5}, r"optimizer='adam' is a name.* optimizer=Adam\(\.\.\.\)"),
        (BackpropMLP(algorithm=GeneticAlgorithm()), {"algorithm": "snes", "algorithm__sigma": 1}, "algorithm='snes' is a name.* algorithm=SNES"),
        (BackpropMLP(), {"task__x": 1}, "task='classification' is a name, whose settings cannot be set"),
    ],
)  # fmt: skip
def test_settings_of_a_part_that_is_given_by_name_are_refused_with_a_hint(model, params, said):
    with pytest.raises(ValueError, match=said):
        model.set_params(**params)


def test_settings_of_a_part_that_is_an_object_are_set():
    model = BackpropMLP(algorithm=GeneticAlgorithm()).set_params(algorithm__elite=2, max_iter=7)
    assert (model.algorithm.elite, model.max_iter) == (2, 7)
    assert BackpropMLP().set_params(algorithm=GeneticAlgorithm(), algorithm__elite=3).algorithm.elite == 3


SHIFTED = [(1e8, 1.0), (-1e7, 1.0), (1e12, 100.0), (0.0, 1e40), (0.0, 1e-46), (1e-46, 1e-50), (1e100, 1e90)]


@pytest.mark.parametrize(
    ("mean", "spread"), [*SHIFTED[:2], *(pytest.param(*each, marks=pytest.mark.slow) for each in SHIFTED[2:])]
)
@pytest.mark.parametrize(
    "settings", [{}, {"n_networks": 3}, {"algorithm": small("genetic"), "n_networks": 2}, {"scoring": "r2"}], ids=str
)
def test_a_regression_in_float32_keeps_the_units_of_y(settings, mean, spread):
    """The fit of y = mean + spread · z is that of z, and its predictions are those in the units of y."""
    rng = np.random.default_rng(0)
    X32 = rng.normal(size=(200, 3)).astype(np.float32)
    z = X32[:, 0] - 0.5 * X32[:, 1]
    y = mean + spread * z.astype(np.float64)
    kind = {"hidden_layer_sizes": (6,), "max_iter": 60, "random_state": 0, "validation": "holdout"} | settings
    kind |= {"validation": "auto"} if "n_networks" in settings else {}
    model, of_z = (BackpropMLP("regression", **kind).fit(X32, target) for target in (y, z))
    predicted = model.predict(X32)
    assert model.parameters_.dtype == np.float32
    assert predicted.dtype == np.float64
    unit = (predicted - mean) / spread
    if "algorithm" in settings:  # which takes another way where a bit differs
        assert np.corrcoef(unit, z)[0, 1] > 0.5
    else:
        np.testing.assert_allclose(unit, of_z.predict(X32), atol=2e-2)
    if "n_networks" in settings:
        assert model.oof_prediction_.dtype == np.float64
        unit = (model.oof_prediction_ - mean) / spread
        assert model.oof_score_ == pytest.approx(r2_score((y - mean) / spread, unit), abs=1e-6)
        assert model.predict(X32, return_std=True)[1].max() > 0


def test_several_outputs_of_different_units_are_predicted_in_float32():
    rng = np.random.default_rng(0)
    X32 = rng.normal(size=(200, 3)).astype(np.float32)
    y = np.array([1e8, 0.0]) + np.array([1.0, 1e40]) * X32[:, :2].astype(np.float64)
    model = BackpropMLP("regression", hidden_layer_sizes=(8,), max_iter=150, random_state=0).fit(X32, y)
    predicted = model.predict(X32)
    for column in range(2):
        assert np.corrcoef(predicted[:, column], y[:, column])[0, 1] > 0.98


@pytest.mark.parametrize("n", [9_999, 10_000])
def test_a_class_of_one_sample_is_learnt_from_and_no_reason_to_refuse(n):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 2))
    y = (features[:, 0] > 0).astype(int)
    y[0] = 2
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=1).fit(features, y)
    assert model.classes_.tolist() == [0, 1, 2]
    assert np.isnan(model.history_["validation_error"]).all() == (n < 10_000)
    with pytest.raises(ValueError, match="validation='holdout' cannot set"):
        BackpropMLP(hidden_layer_sizes=(4,), max_iter=1, validation="holdout").fit(features, y)


@pytest.mark.parametrize("settings", [{}, {"n_networks": 3}], ids=str)
def test_validation_by_default_does_what_the_groups_allow(settings):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(10_000, 2))
    y = (features[:, 0] > 0).astype(int)
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=1, **settings).fit(features, y, groups=np.zeros(10_000))
    assert np.isnan(model.history_["validation_error"]).all()
    asked = {"validation": "cross" if settings else "holdout"}
    with pytest.raises(ValueError, match="cannot set"):
        BackpropMLP(hidden_layer_sizes=(4,), max_iter=1, **settings, **asked).fit(features, y, groups=np.zeros(10_000))


def test_numbers_that_are_taken_for_classes_are_said():
    features, y = load_diabetes(return_X_y=True)
    with pytest.warns(UserWarning, match='y holds 214 different numbers in 442 samples.*task="regression"'):
        BackpropMLP(hidden_layer_sizes=(4,), max_iter=1).fit(features, y)


def test_as_many_classes_as_are_common_are_taken_without_a_word():
    y = np.arange(300) % 50
    BackpropMLP(hidden_layer_sizes=(4,), max_iter=1).fit(np.eye(300)[:, :3], y)


def test_predictions_that_are_infinite_are_said():
    features = np.linspace(0, 1, 40)[:, np.newaxis]
    model = BackpropMLP(
        "regression", hidden_layer_sizes=(), output_activation="exponential", max_iter=100, random_state=0
    ).fit(features, features[:, 0] + 1)
    with pytest.warns(RuntimeWarning, match="1 of 2 predictions are infinite.*Training ended so"):
        predicted = model.predict([[1.0], [1e10]])
    assert np.isinf(predicted).sum() == 1
