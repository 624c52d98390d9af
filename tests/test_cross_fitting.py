"""Several networks in one stack: averages, folds, out-of-fold predictions, calibration."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    make_classification,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from nnexp import BackpropMLP, Chain, Checkpoint, GeneticAlgorithm, load
from nnexp.estimator import plan_of
from nnexp.fitting.finish import at_temperature, fit_temperature
from nnexp.training.stack import train
from tests.plans import problem_of

IRIS = scale(load_iris().data), load_iris().target
CANCER = scale(load_breast_cancer().data), load_breast_cancer().target
DIABETES = scale(load_diabetes().data), load_diabetes().target
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}


@pytest.mark.parametrize("validation", ["none", "holdout", "cross"])
def test_probabilities_are_the_average_of_the_members(validation):
    model = BackpropMLP(**SMALL, n_networks=4, validation=validation).fit(*IRIS)
    assert model.parameters_.shape[0] == len(model.members_) == 4
    each = [member.predict_proba(IRIS[0]) for member in model.members_]
    np.testing.assert_allclose(model.predict_proba(IRIS[0]), np.mean(each, axis=0), rtol=1e-12)
    assert (model.predict(IRIS[0]) == np.mean(each, axis=0).argmax(axis=1)).all()
    assert len({tuple(own.parameters_[0]) for own in model.members_}) == 4
    np.testing.assert_array_equal(model.history_.network.unique(), range(4))
    assert model.evaluations_ == sum(member.evaluations_ for member in model.members_)


def test_a_regression_gives_the_mean_and_the_standard_deviation_of_its_members():
    model = BackpropMLP("regression", **SMALL, n_networks=5).fit(*DIABETES)
    each = np.array([member.predict(DIABETES[0]) for member in model.members_])
    mean, spread = model.predict(DIABETES[0], return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(spread, each.std(axis=0), rtol=1e-7)
    alone = BackpropMLP("regression", **SMALL).fit(*DIABETES)
    with pytest.raises(ValueError, match="this model is one: its 0 would look like certainty"):
        alone.predict(DIABETES[0], return_std=True)
    with pytest.raises(ValueError, match="return_std is for task='regression'"):
        BackpropMLP(**SMALL).fit(*IRIS).predict(IRIS[0], return_std=True)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["backprop", GeneticAlgorithm(population_size=12)])
def test_a_network_is_the_same_in_a_stack_of_any_size_and_in_any_number_of_processes(algorithm):
    model = BackpropMLP(**SMALL, algorithm=algorithm, validation="none", n_networks=3)
    three = clone(model).fit(*IRIS).parameters_
    np.testing.assert_allclose(clone(model).set_params(n_networks=2).fit(*IRIS).parameters_, three[:2], rtol=1e-9)
    np.testing.assert_allclose(clone(model).set_params(n_jobs=2).fit(*IRIS).parameters_, three, rtol=1e-9)


def folds_of(model, X, y, **more):
    problem = problem_of(clone(model), X, y, **more)
    return problem.training, problem.validation


def test_each_network_sets_its_own_fold_aside_and_every_sample_is_unseen_by_one():
    model = BackpropMLP(**SMALL, n_networks=5, validation="cross")
    training, validation = folds_of(model, *IRIS)
    assert sorted(np.concatenate(validation)) == list(range(150))
    for rows, fold in zip(training, validation, strict=True):
        assert sorted([*rows, *fold]) == list(range(150))
        assert np.bincount(IRIS[1][fold]).tolist() == [10, 10, 10]
    groups = np.repeat(np.arange(30), 5)
    for rows, fold in zip(*folds_of(model, *IRIS, groups=groups), strict=True):
        assert not set(groups[rows]) & set(groups[fold])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_out_of_fold_predictions_are_those_of_the_network_that_has_not_seen_the_sample(task):
    X, y = IRIS if task == "classification" else DIABETES
    model = BackpropMLP(task, **SMALL, n_networks=4).fit(X, y)
    _, validation = folds_of(model, X, y)
    for member, fold in zip(model.members_, validation, strict=True):
        got = model.oof_prediction_[fold]
        expected = member.predict_proba(X[fold]) if task == "classification" else member.predict(X[fold])
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)
    if task == "classification":
        assert model.oof_score_ == accuracy_score(y, model.oof_prediction_.argmax(axis=1))
        expected = 1.96 * np.sqrt(model.oof_score_ * (1 - model.oof_score_) / len(y))
        assert model.oof_score_error_ == pytest.approx(expected)
    else:
        assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_prediction_))
        rng = np.random.default_rng(0)
        draws = [rng.integers(0, len(y), len(y)) for _ in range(2000)]
        spread = np.std([r2_score(y[own], model.oof_prediction_[own]) for own in draws])
        assert model.oof_score_error_ == pytest.approx(1.96 * spread, rel=0.1)


JURIES = [range(5), range(5, 9)]
ROUGH = {"hidden_layer_sizes": (8,), "learning_rate": 0.1, "schedule": "constant", "max_iter": 40, "random_state": 0}


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_the_others_of_a_jury_choose_the_step_of_a_network(scoring):
    """Worked from the weights after each step: no sample that a network sets aside has a say in which step it keeps."""
    (X, y), steps = CANCER, []

    def keep(info):
        info.training.synchronise()
        steps.append(info.training.state.arrays["parameters"].copy())

    model = BackpropMLP(**ROUGH, n_networks=9, validation="cross", scoring=scoring, n_iter_no_change=np.inf)
    _, validation = folds_of(model, X, y)
    model.set_params(callbacks=[keep]).fit(X, y)
    values = np.empty((40, 9))
    for step, parameters in enumerate(steps):
        for member, fold in enumerate(validation):
            p = model.network_.forward(parameters[member], X[fold])[:, 0]
            values[step, member] = log_loss(y[fold], p) if scoring is None else -accuracy_score(y[fold], p > 0.5)
    others = np.empty((40, 9))
    for jury in JURIES:
        for member in jury:
            others[:, member] = values[:, [other for other in jury if other != member]].mean(axis=1)
    chosen = others.argmin(axis=0)
    assert len(set(chosen)) > 2  # or the test shows nothing
    assert (chosen != values.argmin(axis=0)).sum() > 3
    for member, step in enumerate(chosen):
        into_hidden = [model.network_.weights(row)[0] for row in (steps[step][member], model.parameters_[member])]
        np.testing.assert_array_equal(*into_hidden)  # the temperature is in the last layer
        shown = model.history_[model.history_.network == member]
        got = shown.validation_error if scoring is None else -shown.validation_score
        np.testing.assert_allclose(got, others[:, member], rtol=1e-6)


@pytest.mark.slow
def test_networks_of_a_jury_stop_together_and_processes_change_nothing():
    model = BackpropMLP(hidden_layer_sizes=(8,), n_networks=9, validation="cross", random_state=0, tol=1e-3)
    alone = clone(model).fit(*CANCER)
    steps = [member.n_iter_ for member in alone.members_]
    assert [len({steps[member] for member in jury}) for jury in JURIES] == [1, 1]
    assert steps[0] != steps[8]
    assert max(steps) < 250
    both = clone(model).set_params(n_jobs=2).fit(*CANCER)
    assert [member.n_iter_ for member in both.members_] == steps
    np.testing.assert_allclose(both.parameters_, alone.parameters_, rtol=1e-9)


def test_a_network_that_diverges_stops_alone_and_the_others_judge_without_it():
    model = BackpropMLP(
        "regression", **ROUGH | {"learning_rate": 0.01}, n_networks=4, validation="cross", activation="relu"
    )
    task = plan_of(model, {"X": DIABETES[0], "y": DIABETES[1]}).task
    task.descent.learning_rate[2] = 1e300
    (training,) = train([task])
    assert training.diverged.tolist() == [False, False, True, False]
    assert len(set(training.n_iter[[0, 1, 3]])) == 1
    assert training.n_iter[2] < training.n_iter[0]
    last = [rows[-1]["validation_error"] for rows in training.history]
    apart = training.members.apart_error
    assert np.isnan(apart[2])
    assert last[0] == pytest.approx((apart[1] + apart[3]) / 2)
    assert np.isfinite(training.parameters).all()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_one_network_learns_from_all_and_stops_where_its_companions_are_best_on_their_folds(task):
    """Worked from the weights of all five after each step."""
    X, y = CANCER if task == "classification" else DIABETES
    steps = []

    def keep(info):
        info.training.synchronise()
        steps.append(info.training.state.arrays["parameters"].copy())

    model = BackpropMLP(task, **ROUGH, validation="cross", n_iter_no_change=np.inf, l2=0.0)
    plan = plan_of(clone(model), {"X": X, "y": y})
    problem, target = plan.task.problem, plan.target
    assert [len(rows) for rows in problem.training] == [
        len(y),
        *(len(y) - len(fold) for fold in problem.validation[1:]),
    ]
    assert len(problem.validation[0]) == 0
    assert sorted(np.concatenate(problem.validation)) == list(range(len(y)))
    model.set_params(callbacks=[keep]).fit(X, y)
    values = np.empty((40, 4))
    for step, parameters in enumerate(steps):
        for member, fold in enumerate(problem.validation[1:], 1):
            outputs = model.network_.forward(parameters[member], scale(X)[fold])[:, 0]
            if task == "classification":
                values[step, member - 1] = log_loss(y[fold], outputs)
            else:
                of_member = target.of(member)
                expected = (y[fold] - of_member.mean) / of_member.scale
                values[step, member - 1] = 0.5 * np.mean((outputs - expected) ** 2)
    best = values.mean(axis=1).argmin()
    assert 0 < best < 39  # or the test shows little
    into_hidden = [model.network_.weights(row)[0] for row in (steps[best][0], model.parameters_[0])]
    np.testing.assert_array_equal(*into_hidden)
    np.testing.assert_allclose(model.history_.validation_error, values.mean(axis=1), rtol=1e-6)
    assert model.parameters_.shape[0] == len(model.members_) == 1
    assert model.history_.evaluations.iloc[-1] == model.evaluations_ > 3 * 40 * len(y) * 3.9
    # Out of fold each companion has stopped where the three others are best.
    for member, fold in enumerate(problem.validation[1:], 1):
        step = np.delete(values, member - 1, axis=1).mean(axis=1).argmin()
        outputs = model.network_.forward(steps[step][member], scale(X)[fold])[:, 0]
        if task == "classification":
            expected = at_temperature(outputs[:, np.newaxis], model.temperature_)[:, 0]
            np.testing.assert_allclose(model.oof_prediction_[fold, 1], expected, rtol=1e-6)
        else:
            expected = target.of(member).values(outputs[:, np.newaxis])[:, 0]
            np.testing.assert_allclose(model.oof_prediction_[fold], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("n", "settings", "has_companions"),
    [
        (39, {}, False),
        (40, {}, True),
        (999, {}, True),
        (1000, {}, False),
        (399, {"task": "regression"}, True),
        (400, {"task": "regression"}, False),
        (200, {"max_evaluations": 10_000}, False),
        (200, {"algorithm": "genetic"}, False),
        (200, {"algorithm": "memetic"}, False),
        (200, {"validation": "none"}, False),
        (12, {"validation": "cross"}, True),
        (100, {"algorithm": "snes", "validation": "cross"}, True),
    ],
)
def test_when_a_network_has_companions(n, settings, has_companions):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 2)), np.arange(n) % 2
    model = BackpropMLP(**{"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0} | settings).fit(X, y)
    assert hasattr(model, "oof_score_") is has_companions
    assert len(model.parameters_) == 1


@pytest.mark.slow
def test_a_network_of_few_noisy_samples_is_about_as_sure_as_a_linear_model():
    """Without anything that stops it a network is sure of everything it has seen, and its log loss is a multiple."""
    losses = []
    for seed in range(4):
        X, y = make_classification(600, 15, n_informative=5, flip_y=0.3, class_sep=0.7, random_state=seed)
        X, X_test, y, y_test = train_test_split(X, y, train_size=120, random_state=seed, stratify=y)
        linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        free = BackpropMLP(random_state=seed, validation="none").fit(X, y)
        model = BackpropMLP(random_state=seed).fit(X, y)
        assert model.temperature_ >= 1
        losses.append([log_loss(y_test, each.predict_proba(X_test)) for each in (model, linear, free)])
    ours, linear, free = np.mean(losses, axis=0)
    assert ours < 1.05 * linear
    assert free > 1.5 * linear


def test_companions_go_on_with_their_network():
    model = BackpropMLP(**SMALL, warm_start=True).fit(*IRIS)
    before = model.evaluations_
    model.fit(*IRIS)
    assert model.evaluations_ == 2 * before
    assert len(model.history_) == 30
    assert model.set_params(warm_start=False).fit(*IRIS).evaluations_ == before
    stream = BackpropMLP(**SMALL, warm_start=True).fit(*IRIS)
    weights = stream.parameters_.copy()
    stream.partial_fit(*IRIS)
    assert stream.parameters_.shape == weights.shape
    assert not hasattr(stream, "oof_score_")
    np.testing.assert_allclose(stream.parameters_, weights, atol=0.5)


def test_groups_are_set_aside_together_by_companions():
    groups = np.repeat(np.arange(30), 5)
    problem = problem_of(BackpropMLP(**SMALL), *IRIS, groups=groups)
    assert len(problem.training) == 5
    for rows, fold in zip(problem.training[1:], problem.validation[1:], strict=True):
        assert not set(groups[rows]) & set(groups[fold])
    assert not hasattr(BackpropMLP(**SMALL).fit(*IRIS, groups=np.arange(150) % 3), "oof_score_")  # too few groups


def test_a_fit_with_companions_is_saved_and_goes_on_from_a_checkpoint(tmp_path):
    model = BackpropMLP(**SMALL).fit(*IRIS)
    model.save(tmp_path / "model.nnexp")
    loaded = load(tmp_path / "model.nnexp")
    np.testing.assert_array_equal(loaded.predict_proba(IRIS[0]), model.predict_proba(IRIS[0]))
    np.testing.assert_array_equal(loaded.oof_prediction_, model.oof_prediction_)
    assert (loaded.oof_score_, loaded.temperature_) == (model.oof_score_, model.temperature_)

    def stop(state):
        return state.step == 7

    file = tmp_path / "fit.nnexp"
    BackpropMLP(**SMALL, callbacks=[Checkpoint(file, every=1), stop]).fit(*IRIS)
    again = BackpropMLP(**SMALL, callbacks=[Checkpoint(file, every=1, resume=True)]).fit(*IRIS)
    np.testing.assert_array_equal(again.parameters_, model.parameters_)
    np.testing.assert_array_equal(again.oof_prediction_, model.oof_prediction_)


@pytest.mark.parametrize(
    "algorithm",
    [
        "snes",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("genetic", "memetic", Chain("snes", "backprop"))),
    ],
)
@pytest.mark.parametrize("decides", [{"scoring": "accuracy"}, {"fitness": "accuracy"}])
def test_companions_of_evolved_networks_go_by_a_score(algorithm, decides):
    model = BackpropMLP(**SMALL | {"max_iter": 6}, algorithm=algorithm, validation="cross", **decides).fit(*IRIS)
    assert model.history_.validation_score.between(0, 1).all()
    assert model.best_validation_score_ == model.history_.validation_score.max()


def test_a_juror_that_explodes_before_it_diverges_does_not_count_any_more():
    """With a rate of 1 its error is 1e47 before it is infinite."""
    settings = {
        "hidden_layer_sizes": (8,),
        "optimizer": "sgd",
        "activation": "relu",
        "schedule": "constant",
        "max_iter": 40,
    }
    model = BackpropMLP("regression", **settings, validation="cross", n_iter_no_change=np.inf, random_state=0)
    task = plan_of(model, {"X": DIABETES[0][:300], "y": DIABETES[1][:300]}).task
    task.descent.learning_rate[2] = 1
    (training,) = train([task])
    assert training.diverged.tolist() == [False, False, True, False, False]
    shown = [row["validation_error"] for row in training.history[0]]
    assert shown[1] > 1e3  # it explodes
    assert training.best_error[0] == min(shown) < shown[0]


def test_what_trains_beside_a_network_stops_with_it():
    model = BackpropMLP("regression", **ROUGH, validation="cross", activation="relu", n_iter_no_change=np.inf)
    task = plan_of(model, {"X": DIABETES[0], "y": DIABETES[1]}).task
    task.descent.learning_rate[0] = 1e300
    (training,) = train([task])
    assert training.diverged.tolist() == [True, False, False, False, False]
    assert len(set(training.n_iter)) == 1
    assert training.n_iter[0] < 40


def test_a_fitted_model_can_be_had_before_the_first_step_and_after_each():
    sizes = []

    class Looks:
        def on_start(self, state):
            sizes.append(len(state.fitted().history_))

        def on_step(self, state):
            sizes.append(len(state.fitted().history_))
            assert (
                state.row["evaluations"] == state.fitted().evaluations_ == state.fitted().history_.evaluations.iloc[-1]
            )

    BackpropMLP(**SMALL, callbacks=[Looks()]).fit(*IRIS)
    assert sizes == list(range(16))


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_a_rare_class_and_a_score_leave_a_network_alone(scoring):
    X, y = IRIS[0][:100], np.zeros(100, dtype=int)
    y[:3] = 1
    model = BackpropMLP(**SMALL, scoring=scoring).fit(X, y)
    assert not hasattr(model, "oof_score_")
    assert hasattr(BackpropMLP(**SMALL).fit(X, y), "oof_score_")
    Y = np.stack([y, IRIS[0][:100, 0] > 0], axis=1).astype(int)
    assert not hasattr(BackpropMLP(**SMALL, scoring=scoring).fit(X, Y), "oof_score_")


def test_what_has_learnt_from_other_samples_has_no_score_out_of_fold():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), np.arange(200) % 2
    order = rng.permutation(200)
    for networks in (1, 8):
        model = BackpropMLP(**SMALL, n_networks=networks, warm_start=True).fit(X, y)
        assert hasattr(model.fit(X, y), "oof_score_")
        assert hasattr(model.set_params(l2=0.1).fit(X, y), "oof_score_")
        assert not hasattr(model.fit(X[order], y[order]), "oof_score_")
        assert not hasattr(model.fit(X[order], y[order]), "oof_score_")
    stream = BackpropMLP(**SMALL, n_networks=8, warm_start=True).fit(X, y).partial_fit(X, y).fit(X, y)
    assert not hasattr(stream, "oof_score_")


def test_after_partial_fit_companions_cannot_come_back():
    model = BackpropMLP(**SMALL, validation="cross", warm_start=True).fit(*IRIS)
    spent = model.evaluations_
    model.partial_fit(*IRIS)
    assert model.evaluations_ == spent + 3 * 150
    with pytest.raises(ValueError, match="there the network has no companions, which validation='cross' needs"):
        model.fit(*IRIS)
    model.set_params(validation="none").fit(*IRIS)


def test_a_jury_alone_trains_in_this_process(monkeypatch):
    from nnexp.training import stack

    monkeypatch.setattr(stack, "Parallel", None)
    BackpropMLP(**SMALL, n_jobs=2).fit(*IRIS)


def test_a_network_does_not_know_the_scale_of_the_fold_it_sets_aside():
    """A regression whose held-out fold is shifted far away: the target is standardised by the other samples alone."""
    model = BackpropMLP("regression", **SMALL, n_networks=3, validation="cross")
    plan = plan_of(clone(model), {"X": DIABETES[0], "y": DIABETES[1]})
    problem, target = plan.task.problem, plan.target
    for i, rows in enumerate(problem.training):
        own = target.of(i)
        assert own.mean[0] == pytest.approx(DIABETES[1][rows].mean())
        assert own.scale[0] == pytest.approx(DIABETES[1][rows].std())
        np.testing.assert_allclose(problem.expected_of(rows, i).mean(), 0, atol=1e-12)


def test_probabilities_are_calibrated_by_the_temperature_of_the_highest_likelihood():
    model = BackpropMLP(hidden_layer_sizes=(8,), n_networks=3, validation="cross", random_state=0, max_iter=5)
    model.fit(*IRIS)
    plain = np.log(model.oof_prediction_) * model.temperature_  # inputs z up to a constant for each sample

    def error(temperature):
        z = plain / temperature
        z = z - z.max(axis=1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return log_loss(IRIS[1], p)

    best = optimize.minimize_scalar(error, bounds=(0.1, 20), method="bounded").x
    assert model.temperature_ == pytest.approx(best, rel=1e-3)
    assert abs(model.temperature_ - 1) > 0.05  # or the test shows nothing


@pytest.mark.parametrize("outputs", [1, 3])
def test_temperature_finds_back_what_made_probabilities_too_sharp(outputs):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, outputs))
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    p = 1 / (1 + np.exp(-z)) if outputs == 1 else softmax
    expected = (
        (rng.random(p.shape) < p).astype(float) if outputs == 1 else np.eye(3)[[rng.choice(3, p=own) for own in p]]
    )
    sharp = at_temperature(p, 1 / 2.5)
    assert fit_temperature(sharp, expected, None) == pytest.approx(2.5, rel=0.05)
    np.testing.assert_allclose(at_temperature(sharp, 2.5), p, rtol=1e-6)


def test_samples_of_weight_0_are_no_part_of_the_estimate():
    weight = np.ones(150)
    weight[::10] = 0
    model = BackpropMLP(**SMALL, n_networks=3, validation="cross").fit(*IRIS, weight)
    assert np.isfinite(model.oof_prediction_).all()
    np.testing.assert_allclose(model.oof_prediction_[::10], model.predict_proba(IRIS[0][::10]), rtol=1e-6)
    own = weight > 0
    assert model.oof_score_ == accuracy_score(IRIS[1][own], model.oof_prediction_[own].argmax(axis=1))


def test_automatic_validation_needs_10_samples_for_each_network():
    assert hasattr(BackpropMLP(**SMALL, n_networks=15).fit(*IRIS), "oof_score_")
    assert not hasattr(BackpropMLP(**SMALL, n_networks=16).fit(*IRIS), "oof_score_")
    assert hasattr(BackpropMLP(**SMALL, n_networks=16, validation="cross").fit(*IRIS), "oof_score_")
    few = IRIS[0][::50], IRIS[1][::50]
    with pytest.raises(ValueError, match="validation='cross' cannot set 4 folds of 3 samples aside"):
        BackpropMLP(**SMALL, validation="cross").fit(*few)


def test_several_outputs():
    X, Y = load_linnerud(return_X_y=True)
    model = BackpropMLP("regression", **SMALL, n_networks=2, validation="cross").fit(scale(X), Y)
    assert model.oof_prediction_.shape == Y.shape
    assert model.oof_score_ == pytest.approx(r2_score(Y, model.oof_prediction_))
    assert model.predict(scale(X), return_std=True)[1].shape == Y.shape


@pytest.mark.slow
def test_the_sum_is_stronger_than_its_parts_and_its_estimate_holds():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16.0, y, test_size=0.5, random_state=0, stratify=y)
    model = BackpropMLP(hidden_layer_sizes=(32,), n_networks=8, random_state=0).fit(X, y)
    loss = log_loss(y_test, model.predict_proba(X_test))
    single = [log_loss(y_test, member.predict_proba(X_test)) for member in model.members_]
    assert loss < sorted(single)[1]
    assert loss < 0.95 * np.mean(single)
    assert abs(model.oof_score_ - model.score(X_test, y_test)) < model.oof_score_error_ + 0.01


def test_members_are_models_of_their_own():
    model = BackpropMLP(**SMALL, n_networks=3, validation="cross").fit(*CANCER)
    member = model.members_[1]
    assert member.parameters_.shape[0] == 1
    assert len(member.coefs_) == 2
    assert "network" not in member.history_
    assert member.score(*CANCER) > 0.9
    assert not hasattr(model, "coefs_")
    assert "3 networks" in model.stop_reason_


def test_groups_stay_together_in_a_regression_too():
    groups = np.arange(442) % 40
    model = BackpropMLP("regression", **SMALL, n_networks=4, validation="cross")
    for rows, fold in zip(*folds_of(model, *DIABETES, groups=groups), strict=True):
        assert not set(groups[rows]) & set(groups[fold])


def test_skip_connections_are_calibrated_as_a_whole():
    model = BackpropMLP(**SMALL | {"max_iter": 4}, n_networks=3, validation="cross", connections="skip").fit(*IRIS)
    assert abs(model.temperature_ - 1) > 0.05
    _, validation = folds_of(model, *IRIS)
    for member, fold in zip(model.members_, validation, strict=True):
        np.testing.assert_allclose(model.oof_prediction_[fold], member.predict_proba(IRIS[0][fold]), rtol=1e-6)


def test_the_temperature_counts_weights_as_repetition():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 300)
    softer = np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True)
    expected = np.eye(3)[[rng.choice(3, p=own) for own in softer]]
    counts = rng.integers(1, 5, 300)
    weighted = fit_temperature(p, expected, counts.astype(float))
    repeated = fit_temperature(np.repeat(p, counts, axis=0), np.repeat(expected, counts, axis=0), None)
    assert weighted == pytest.approx(repeated, rel=1e-5)
    assert abs(weighted / fit_temperature(p, expected, None) - 1) > 1e-4
