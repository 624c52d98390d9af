import numpy as np
import optuna
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from nnexp import BackpropMLP, OptunaPruning

IRIS = scale(load_iris().data), load_iris().target
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 20, "random_state": 0, "validation": "holdout"}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not():
    rates = [0.01, 0.02, 0.015, 1e-7, 1e-7]

    def objective(trial):
        model = BackpropMLP(**SMALL, learning_rate=rates[trial.number], callbacks=[OptunaPruning(trial)])
        return model.fit(*IRIS).best_error_

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=5))
    study.optimize(objective, n_trials=5)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
    whole, cut = study.trials[0].intermediate_values, study.trials[3].intermediate_values
    assert list(whole) == list(range(1, 21))
    assert len(cut) < 10
    history = BackpropMLP(**SMALL, learning_rate=0.01).fit(*IRIS).history_
    np.testing.assert_allclose(list(whole.values()), history.validation_error)


def test_a_study_that_maximises_sees_the_score():
    def objective(trial):
        callback = OptunaPruning(trial, monitor="validation_score")
        return BackpropMLP(**SMALL, callbacks=[callback]).fit(*IRIS).best_validation_score_

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=1)
    assert study.best_value in study.trials[0].intermediate_values.values()


def test_it_says_what_it_needs():
    trial = optuna.create_study().ask()
    with pytest.raises(ValueError, match="needs validation data"):
        BackpropMLP(**SMALL | {"validation": "none"}, callbacks=[OptunaPruning(trial)]).fit(*IRIS)
    with pytest.raises(ValueError, match="monitor=...\\): unknown value 'loss'"):
        OptunaPruning(trial, monitor="loss")
    several = optuna.create_study(directions=["minimize", "maximize"]).ask()
    with pytest.raises(ValueError, match="prunes no study of several objectives"):
        BackpropMLP(**SMALL, callbacks=[OptunaPruning(several)]).fit(*IRIS)


@pytest.mark.parametrize(
    ("direction", "monitor", "right"),
    [
        ("maximize", "validation_error", "validation_score"),
        ("maximize", "error", "validation_score"),
        ("minimize", "validation_score", "validation_error"),
    ],
)
def test_a_monitor_that_the_direction_would_turn_round_is_refused_before_the_fit(direction, monitor, right):
    trial = optuna.create_study(direction=direction).ask()
    with pytest.raises(ValueError, match=f"would prune the best trials. Take monitor='{right}'"):
        BackpropMLP(**SMALL, callbacks=[OptunaPruning(trial, monitor=monitor)]).fit(*IRIS)
    assert not trial.study.trials[0].intermediate_values


def test_by_default_a_study_that_maximises_prunes_its_worst_trials():
    rates = [0.01, 0.02, 0.015, 1e-7, 1e-7, 0.01]

    def objective(trial):
        model = BackpropMLP(**SMALL, learning_rate=rates[trial.number], callbacks=[OptunaPruning(trial)])
        return model.fit(*IRIS).best_validation_score_

    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=5)
    )
    study.optimize(objective, n_trials=6)
    assert [trial.state.name for trial in study.trials][3:5] == ["PRUNED"] * 2
    assert study.best_trial.number in (0, 1, 2, 5)


def test_a_fit_that_diverges_is_a_trial_and_ends_no_study():
    X = 100 * np.random.default_rng(0).normal(size=(120, 5))

    def objective(trial):
        rate = trial.suggest_categorical("rate", [1e-9, 1e8])
        model = BackpropMLP(
            "regression", hidden_layer_sizes=(4,), activation="relu", optimizer="sgd", max_iter=5, validation="holdout",
            learning_rate=rate, random_state=0, callbacks=[OptunaPruning(trial)],
        )  # fmt: skip
        return model.fit(X, X[:, 0]).best_error_

    study = optuna.create_study()
    study.enqueue_trial({"rate": 1e8})
    study.enqueue_trial({"rate": 1e-9})
    with pytest.warns(ConvergenceWarning, match="became infinite or NaN"):
        study.optimize(objective, n_trials=2)
    assert len(study.trials) == 2
    assert study.trials[1].state.name == "COMPLETE"
    assert not np.isfinite(list(study.trials[0].intermediate_values.values())).all()


@pytest.mark.parametrize("monitor", ["auto", "validation_error"])
def test_a_trial_that_is_repeated_by_itself_is_not_pruned(monitor):
    """As Optuna's documentation does it: ``objective(study.best_trial)``."""

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-3, 1e-1)
        model = BackpropMLP(**SMALL, learning_rate=rate, callbacks=[OptunaPruning(trial, monitor)])
        return model.fit(*IRIS).best_error_

    study = optuna.create_study()
    study.optimize(objective, n_trials=1)
    assert objective(study.best_trial) == study.best_value
    assert objective(optuna.trial.FixedTrial(study.best_params)) == study.best_value
