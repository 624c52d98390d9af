import copy
import pickle
import warnings

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_linnerud
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from nnexp import Activation, BackpropMLP, ErrorFunction, GeneticAlgorithm, Network
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS
from nnexp.training import OPTIMIZERS

IRIS = scale(load_iris().data), load_iris().target
CANCER = scale(load_breast_cancer().data), load_breast_cancer().target
DIABETES = load_diabetes(return_X_y=True)
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
LEARN = {"hidden_layer_sizes": (16,), "learning_rate": 0.01, "random_state": 0}


def test_the_readme_snippet():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(
        StandardScaler(),
        BackpropMLP(
            hidden_layer_sizes=(32,), activation="tanh", descent="mini-batch", batch_size=32, learning_rate=0.01,
            random_state=0,
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
    model = BackpropMLP(hidden_layer_sizes=(16,), learning_rate=rate, optimizer=optimizer, random_state=0)
    assert model.fit(*IRIS).score(*IRIS) > 0.95


@pytest.mark.parametrize("activation", [n for n in ACTIVATIONS if ACTIVATIONS[n].differentiable])
def test_every_activation_learns(activation):
    rate = 0.01 if activation != "exponential" else 0.002
    model = BackpropMLP(hidden_layer_sizes=(16,), activation=activation, learning_rate=rate, random_state=0)
    assert model.fit(*IRIS).score(*IRIS) > 0.9


@pytest.mark.parametrize("error_function", ERROR_FUNCTIONS)
def test_every_error_function_classifies(error_function):
    model = BackpropMLP(**LEARN, error_function=error_function)
    assert model.fit(*IRIS).score(*IRIS) > 0.9
    assert model.fit(*CANCER).score(*CANCER) > 0.95


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
    state.arrays["moments"][:] = 0
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


@pytest.mark.parametrize("algorithm", ["backprop", "genetic"])
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
    off = BackpropMLP(**QUICK, validation="none").fit(*CANCER)
    assert off.history_.validation_error.isna().all()


def test_early_stopping_is_automatic_from_10000_samples_on():
    X = np.random.default_rng(0).normal(size=(10_000, 2)).astype(np.float32)
    y = X[:, 0] > 0
    model = BackpropMLP(hidden_layer_sizes=(2,), max_iter=1)
    assert model.fit(X, y).history_.validation_error.notna().all()
    assert model.fit(X[1:], y[1:]).history_.validation_error.isna().all()


@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=20)])
@pytest.mark.parametrize("validation", ["holdout", "none"])
def test_a_warm_start_goes_on_to_the_same_bits(algorithm, validation):
    settings = dict(
        hidden_layer_sizes=(8,),
        algorithm=algorithm,
        validation=validation,
        random_state=3,
        n_iter_no_change=500,
        schedule={"name": "cosine", "horizon": 20},
        dropout=0.2,
    )
    if algorithm != "backprop":
        settings["dropout"] = 0
    whole = BackpropMLP(**settings, max_iter=20).fit(*IRIS)
    parts = BackpropMLP(**settings, max_iter=8, warm_start=True).fit(*IRIS)
    parts = pickle.loads(pickle.dumps(parts))
    parts.set_params(max_iter=12).fit(*IRIS)
    np.testing.assert_array_equal(parts.parameters_, whole.parameters_)
    assert parts.history_.error.tolist() == whole.history_.error.tolist()
    with pytest.raises(ValueError, match="the network changed"):
        parts.set_params(hidden_layer_sizes=(9,)).fit(*IRIS)


@pytest.mark.parametrize("algorithm", ["backprop", "genetic"])
def test_random_state_decides_everything(algorithm):
    settings = dict(hidden_layer_sizes=(8,), connections=0.5, algorithm=algorithm, validation="holdout", max_iter=5)
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
    BackpropMLP(**QUICK, verbose=True, validation="holdout").fit(*IRIS)
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
    ({}, (np.where(X[3, 2] == X, np.nan, X), Y), "Input X contains NaN"),
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
    ({"dtype": "float32"}, (X * 1e39, Y), "X holds values too large for dtype='float32'"),
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
    model = BackpropMLP(**LEARN, algorithm=algorithm, validation="holdout", max_iter=150, warm_start=True).fit(*IRIS)
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
    model = BackpropMLP(**QUICK, validation="holdout", validation_fraction=0.3)
    odd = model.fit(*IRIS, weight).best_error_
    assert odd != model.fit(*IRIS).best_error_


def test_early_stopping_sets_aside_each_class_its_share():
    y = np.repeat([0, 1, 2], [100, 30, 20])
    problem = BackpropMLP(**QUICK, validation="holdout", validation_fraction=0.2)._prepare(X, y).task.problem
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
