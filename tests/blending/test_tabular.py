"""TabularMLP: any table in one line; what it says of itself; a contest; killed and gone on; saved and exported."""

import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.metrics import accuracy_score, log_loss, r2_score

from nnexp import BackpropMLP, TabularMLP, coverage_by_group, load
from nnexp.blending import contest as contests
from nnexp.blending.blended import Member, Samples, blend
from nnexp.blending.recipes import RECIPES
from nnexp.saving import SavingError
from nnexp.targets import Numbers

N_RECIPES = len(RECIPES)
ONE = 1 / N_RECIPES  # the effort of a single candidate


def table(n=240, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "price": rng.lognormal(6, 2, n),
            "age": rng.integers(18, 80, n).astype(float),
            "colour": rng.choice(["red", "green", "blue"], n),
            "is_new": rng.choice([True, False], n),
            "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
        }
    )
    z = 2.0 * (X["colour"] == "red") - (np.log(X["price"]) > 6) + 0.03 * X["age"] - 1.5
    y = np.where(z + rng.logistic(0, 0.3, n) > 0, "yes", "no")
    X.loc[::7, "age"] = np.nan
    X.loc[::9, "colour"] = None
    return X, y


@pytest.fixture(scope="module")
def fitted():
    X, y = table()
    return TabularMLP(random_state=0).fit(X, y), X, y


def test_a_table_with_words_dates_and_gaps_is_learnt_in_one_line(fitted):
    model, X, y = fitted
    new, y_new = table(1000, seed=1)
    assert model.score(new, y_new) > 0.78
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.feature_names_in_.tolist() == list(X)
    assert abs(model.oof_score_ - model.score(new, y_new)) < 2 * model.oof_score_error_


@pytest.mark.parametrize("form", [polars.from_pandas, pyarrow.Table.from_pandas])
def test_tables_of_every_kind_give_the_same(fitted, form):
    model, X, y = fitted
    other = clone(model).fit(form(X), y)
    np.testing.assert_allclose(other.predict_proba(form(X)), model.predict_proba(X), atol=1e-6)


def test_the_blend_is_what_its_members_say(fitted):
    model, X, _ = fitted
    average = sum(w * stack.predict_proba(X) for w, (_, stack) in zip(model.weights_, model.members_, strict=True))
    assert model.weights_.sum() == pytest.approx(1.0)
    p = model.predict_proba(X)
    assert (p.argmax(axis=1) == average.argmax(axis=1)).all()
    odds, raw = np.log(p[:, 1] / p[:, 0]), np.log(average[:, 1] / average[:, 0])
    near = np.abs(raw) < 4  # where what all cases have at least makes no difference
    np.testing.assert_allclose(odds[near] * model.temperature_, raw[near], rtol=0.02, atol=0.02)
    assert [name for name, _ in model.members_] == model.blend_["name"].tolist()
    assert len(model.members_[0][1].parameters_) == 8


def loss_of(y, p):
    """Log loss, by its formula."""
    return -np.log(np.where(y == "yes", p[:, 1], p[:, 0])).mean()


def test_the_table_has_a_row_for_each_candidate(fitted):
    model, _, y = fitted
    assert model.cv_results_["name"].tolist() == list(RECIPES)
    names = [name for name, _ in model.members_]
    losses = model.cv_results_.set_index("name")["loss"]
    for name, stack in model.members_:
        assert losses[name] == pytest.approx(loss_of(y, stack.oof_prediction_), rel=1e-4)
    assert set(names) <= set(model.cv_results_["name"])


def test_the_score_out_of_fold_is_that_of_the_predictions_out_of_fold(fitted):
    model, _, y = fitted
    predicted = model.classes_[model.oof_prediction_.argmax(axis=1)]
    assert model.oof_score_ == pytest.approx(accuracy_score(y, predicted))
    assert log_loss(y, model.oof_prediction_) < log_loss(
        y, np.full((len(y), 2), [(y == "no").mean(), (y == "yes").mean()])
    )


def test_an_int_makes_all_repeatable(fitted):
    model, X, y = fitted
    again = TabularMLP(random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    other = TabularMLP(random_state=1).fit(X, y)
    assert (other.predict_proba(X) != model.predict_proba(X)).any()


def test_numbers_several_outputs_and_labels():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLP("regression", effort=ONE, n_networks=4, random_state=0).fit(X, y)
    assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_prediction_))
    assert model.oof_score_ > 0.4
    two = TabularMLP("regression", effort=ONE, n_networks=4, random_state=0).fit(X, np.stack([y, -3 * y + 7], axis=1))
    assert two.predict(X).shape == (442, 2)
    X, Y = make_multilabel_classification(200, 8, n_classes=3, random_state=0)
    several = TabularMLP(effort=ONE, n_networks=4, random_state=0).fit(X, Y)
    assert several.predict(X).shape == several.predict_proba(X).shape == Y.shape
    assert several.oof_score_ == pytest.approx(accuracy_score(Y, several.oof_prediction_ > 0.5))


@pytest.mark.slow
def test_groups_and_weights_reach_folds_training_and_score():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(60, 12)), 4, axis=0)
    y = np.repeat(rng.integers(0, 2, 60), 4)
    groups = np.repeat(np.arange(60), 4)
    settings = {"effort": ONE, "n_networks": 4, "random_state": 0}
    loose, tight = TabularMLP(**settings).fit(X, y), TabularMLP(**settings).fit(X, y, groups=groups)
    assert loose.oof_score_ > 0.8 > 0.7 > tight.oof_score_
    weight = np.r_[np.ones(200), np.zeros(40)]
    spoilt = y.copy()
    spoilt[200:] = 1 - y[200:]
    a, b = (TabularMLP(**settings).fit(X, target, sample_weight=weight, groups=groups) for target in (y, spoilt))
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    np.testing.assert_array_equal(a.oof_prediction_[200:], a.predict_proba(X[200:]))


def test_balanced_classes_are_found_more_often():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(0, 1, 400) > 1.8).astype(int)
    settings = {"effort": ONE, "n_networks": 4, "random_state": 0}
    plain, balanced = TabularMLP(**settings).fit(X, y), TabularMLP(class_weight="balanced", **settings).fit(X, y)
    assert balanced.predict(X).sum() > 1.5 * plain.predict(X).sum()


def test_a_sparse_table_stays_sparse():
    rng = np.random.default_rng(0)
    X = sparse.random_array((300, 40), density=0.1, random_state=rng, format="csr")
    y = X.sum(axis=1)
    model = TabularMLP("regression", n_networks=4, random_state=0).fit(X, y)
    assert all(stack.encoder_ is None or stack.encoder_.pieces == 0 for _, stack in model.members_)
    assert model.predict(X[:5]).shape == (5,)
    assert model.oof_score_ > 0.3


@pytest.mark.parametrize(("n_columns", "pieces"), [(1, [0, 8, 16]), (200, [0, 8, 10]), (500, [0, 4]), (1500, [0])])
def test_a_wide_table_is_cut_into_fewer_pieces(n_columns, pieces):
    networks = [TabularMLP().network(recipe, 0, 8, True, n_columns) for recipe in RECIPES.values()]
    encoders = [network.encoding for network in networks]
    assert sorted({0 if encoder == "auto" else encoder.pieces for encoder in encoders}) == pieces


def test_few_samples_set_nothing_aside_and_all_candidates_count_the_same():
    X, y = load_iris(return_X_y=True)
    X, y = X[::5], y[::5]
    model = TabularMLP(n_networks=2, random_state=0).fit(X, y)
    assert model.weights_.tolist() == [1 / N_RECIPES] * N_RECIPES
    expected = np.mean([stack.predict_proba(X) for _, stack in model.members_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), expected)
    with pytest.raises(AttributeError, match="less than 80 samples"):
        model.oof_score_  # noqa: B018


# The contest


def cost_of(model):
    """What training cost, in evaluations of a weight; the stacks that count tell how many weights there are."""
    rows = model.cv_results_
    hidden = rows["param_hidden_layer_sizes"].map(lambda sizes: sum(sizes) if isinstance(sizes, tuple) else 128)
    return float((rows["evaluations"] * (hidden + 100)).sum())


@pytest.mark.slow
def test_a_contest_gives_up_the_worse_half_and_costs_what_was_asked_for():
    X, y = load_diabetes(return_X_y=True)
    settings = {"task": "regression", "n_networks": 4, "random_state": 0}
    costs = {}
    for effort in (1, 6):
        model = TabularMLP(effort=effort, **settings).fit(X, y)
        costs[effort] = cost_of(model)
    assert 0.5 * 6 < costs[6] / costs[1] < 1.3 * 6
    rows = model.cv_results_
    assert rows["name"].is_unique
    assert set(rows["name"][:N_RECIPES]) == set(RECIPES)
    given_up = rows[rows["share"] < 1]
    assert set(given_up["share"]) <= {0.25, 0.5}
    assert len(given_up) > 0
    assert (given_up["weight"] == 0).all()
    assert given_up["loss"].notna().all()
    drawn = rows[rows["name"].str.startswith("drawn")]
    assert given_up["loss"].min() > drawn.loc[drawn["share"] == 1, "loss"].min()
    assert (drawn["share"] == 1).any()
    assert rows["weight"].sum() == pytest.approx(1.0)


def test_candidates_that_share_a_network_train_as_one_stack_and_as_they_would_alone():
    X, y = load_diabetes(return_X_y=True)
    data = {"X": X, "y": y, "sample_weight": None, "fold": np.arange(442) % 3}
    recipes = [{"learning_rate": rate, "max_iter": 8, "hidden_layer_sizes": (8,)} for rate in (0.003, 0.01)]

    def enter(recipe):
        network = BackpropMLP("regression", n_networks=3, random_state=0, dtype="float64", **recipe)
        return contests.Contender.enter("", recipe, network, data, contests.Shared())

    together, alone = [enter(recipe) for recipe in recipes], [enter(recipe) for recipe in recipes]
    for share in (0.25, 1.0):
        contests.advance(together, share)
    for contender in alone:
        contests.advance([contender], 1.0)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.training.parameters, other.training.parameters)
        assert one.training.n_iter.tolist() == [8] * 3


@pytest.mark.slow
def test_a_fit_that_is_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    X, y = load_diabetes(return_X_y=True)
    settings = {"task": "regression", "n_networks": 4, "effort": 4, "random_state": 0}
    expected = TabularMLP(**settings).fit(X, y).predict(X)
    saved = []

    def save_and_stop(path, key, training):
        save_training(path, key, training)
        saved.append(path)
        if len(saved) == N_RECIPES + 3:
            raise KeyboardInterrupt

    save_training = contests.save_training
    monkeypatch.setattr(contests, "save_training", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        TabularMLP(checkpoint=tmp_path, **settings).fit(X, y)
    assert len(list(tmp_path.iterdir())) == N_RECIPES + 3
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    loaded = []
    load_training = contests.load_training
    monkeypatch.setattr(contests, "load_training", lambda *given: loaded.append(given[0]) or load_training(*given))
    model = TabularMLP(checkpoint=tmp_path, **settings).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert set(loaded) == set(times)
    assert not list(tmp_path.iterdir())  # what is kept is removed when the fit has ended


def test_time_that_is_over_begins_nothing_more():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLP("regression", n_networks=4, effort=100, max_seconds=1e-3, random_state=0).fit(X, y)
    assert len(model.cv_results_) == 1


# Files


@pytest.mark.parametrize("task", ["classification", pytest.param("regression", marks=pytest.mark.slow)])
def test_a_saved_model_is_the_same(tmp_path, fitted, task):
    model, X, y = fitted
    if task == "regression":
        y = np.log(X["price"].to_numpy())
        model = TabularMLP(task, n_networks=4, effort=4, checkpoint=tmp_path, random_state=0).fit(X, y)
        assert len(model.cv_results_) > N_RECIPES
    model.save(tmp_path / "model.nnexp")
    same = load(tmp_path / "model.nnexp")
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    np.testing.assert_array_equal(same.oof_prediction_, model.oof_prediction_)
    assert same.get_params() == model.get_params() | {"checkpoint": None}
    assert same.oof_score_ == model.oof_score_
    assert same.feature_names_in_.tolist() == list(X)
    pd.testing.assert_frame_equal(same.cv_results_, model.cv_results_, check_dtype=False)
    with pytest.raises(ValueError, match="feature names"):
        same.predict(X.rename(columns={"age": "years"}))


def test_a_fit_that_fails_leaves_the_model_as_it_was(fitted):
    model, X, y = fitted
    other = TabularMLP(n_networks=2, effort=ONE, random_state=0).fit(X, y)
    expected = other.predict(X)
    with pytest.raises(ValueError, match="one class only"):
        other.fit(X[["age", "price"]], np.full(len(y), "no"))
    assert (other.predict(X) == expected).all()
    assert other.feature_names_in_.tolist() == list(X)
    other.set_params(task="regression")  # for the next fit
    assert other.predict_proba(X).shape == (len(X), 2)


def test_tables_of_coverage_refuse_what_does_not_go_together(fitted):
    model, X, y = fitted
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        coverage_by_group(model, X, y[:50], X["colour"][:50])
    with pytest.raises(ValueError, match="none of the classes"):
        coverage_by_group(model, X, np.arange(len(X)) % 2, X["colour"])
    with pytest.raises(TypeError, match="must give intervals or sets"):
        coverage_by_group(BackpropMLP(), X, y, X["colour"])


def damaged(path, change):
    """Write a file once more with another header."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts["header.json"])
    change(header)
    parts["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


DAMAGES = {
    "folds": lambda header: header["by_fold"]["calibrations"].pop(),
    "weights of folds": lambda header: header["by_fold"].update(weights=header["by_fold"]["scores"]),
    "weights": lambda header: header["weights"].append(0.5),
    "weights that add up to more": lambda header: header.update(weights=[2.0] * len(header["weights"])),
    "weights that are none": lambda header: header.update(weights=["a"] * len(header["weights"])),
    "no members": lambda header: header.update(members=[], weights=[]),
    "a temperature": lambda header: header.update(calibration=[-1.0, 1e-4]),
    "a lowest probability": lambda header: header.update(calibration=[1.0, 0.9]),
    "features": lambda header: header.update(n_features=3, features=None),
    "a task": lambda header: header["params"].update(task="regression"),
    "a row": lambda header: header["rows"][0].clear(),
    "rows": lambda header: header.update(rows=[]),
    "a score": lambda header: header.update(out_of_fold=[*header["out_of_fold"][:1], "good", 0.1]),
    "nothing": lambda header: header.clear(),
    "a member": lambda header: header["members"][0]["model"].update(network={}),
}


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused_with_a_sentence(tmp_path, fitted, change):
    path = tmp_path / "model.nnexp"
    fitted[0].save(path)
    damaged(path, change)
    with pytest.raises(SavingError, match="cannot be read"):
        load(path)


def test_a_model_that_is_not_fitted_is_neither_saved_nor_exported(tmp_path):
    with pytest.raises(SavingError, match="not fitted"):
        TabularMLP().save(tmp_path / "model.nnexp")
    with pytest.raises(ValueError, match="not fitted"):
        TabularMLP().to_onnx()


def run(model, feeds):
    session = pytest.importorskip("onnxruntime").InferenceSession(model.to_onnx().SerializeToString())
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, feeds), strict=True))


def test_the_graph_of_a_table_gives_the_same():
    X, y = table()
    X = X.drop(columns="sold").astype({"is_new": float})
    model = TabularMLP(random_state=0).fit(X, y)
    words = X["colour"].fillna("").to_numpy(dtype=object)
    numbers = X.assign(colour=0.0).to_numpy(np.float32)
    feeds = {**{f"X{i}": numbers[:, [i]] for i in range(4)}, "X2": words[:, None]}
    out = run(model, feeds)
    np.testing.assert_allclose(out["probabilities"], model.predict_proba(X), atol=1e-5)
    assert (out["label"] == model.predict(X)).all()


@pytest.mark.slow
def test_graphs_of_numbers_and_labels_give_the_same():
    X, Y = make_multilabel_classification(200, 8, n_classes=3, random_state=0)
    model = TabularMLP(n_networks=4, random_state=0).fit(X, Y)
    out = run(model, {"X": X.astype(np.float32)})
    np.testing.assert_allclose(out["probabilities"], model.predict_proba(X), atol=1e-5)
    model = TabularMLP("regression", n_networks=4, random_state=0).fit(X, X[:, 0] * 1e6)
    out = run(model, {"X": X.astype(np.float32)})
    np.testing.assert_allclose(out["prediction"][:, 0], model.predict(X), rtol=1e-4)


# Bad input

SOME = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2


@pytest.mark.parametrize(
    ("settings", "data", "error", "sentence"),
    [
        ({"task": "ranking"}, SOME, ValueError, "unknown value 'ranking'"),
        ({"n_networks": 1}, SOME, ValueError, "n_networks must be"),
        ({"effort": 0}, SOME, ValueError, "effort must be"),
        ({"effort": "high"}, SOME, TypeError, "effort must be"),
        ({"max_seconds": -1}, SOME, ValueError, "max_seconds must be"),
        ({"checkpoint": "no/such/folder", "random_state": 0}, SOME, ValueError, "there is no such folder"),
        ({"checkpoint": 3}, SOME, TypeError, "checkpoint must be a path"),
        ({"checkpoint": "."}, SOME, ValueError, "checkpoint needs a random_state that is an int"),
        ({"n_jobs": 0}, SOME, ValueError, "n_jobs must be"),
        ({"task": "regression", "class_weight": "balanced"}, SOME, ValueError, "class_weight is for"),
        ({"class_weight": {7: 2.0}}, SOME, ValueError, "class_weight names 7"),
        ({}, (SOME[0], SOME[1] * 0), ValueError, "one class only"),
        ({}, (SOME[0], SOME[0][:, 0]), ValueError, "Unknown label type"),
        ({}, (SOME[0], None), ValueError, "requires y to be passed"),
        ({}, (SOME[0], SOME[1], np.zeros(100)), ValueError, "non-zero"),
        ({}, (SOME[0], SOME[1], np.ones(50)), ValueError, "sample_weight"),
        ({}, (np.full((100, 2), np.inf), SOME[1]), ValueError, "infinity"),
        ({}, (SOME[0], SOME[1][:70]), ValueError, "inconsistent numbers of samples"),
        ({}, (pd.DataFrame({"a": [[1]] * 100}), SOME[1]), ValueError, "Column"),
        ({"task": "regression"}, (SOME[0], np.full(100, np.nan)), ValueError, "NaN"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(settings, data, error, sentence):
    with pytest.raises(error, match=sentence):
        TabularMLP(**settings).fit(*data)


# How sure


def test_intervals_and_sets_hold_about_what_they_promise():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLP("regression", n_networks=4, effort=ONE, random_state=0).fit(X[:300], y[:300])
    ends = model.predict_interval(X[300:], coverage=0.8)
    assert ends.shape == (142, 2)
    held = ((ends[:, 0] <= y[300:]) & (y[300:] <= ends[:, 1])).mean()
    assert abs(held - 0.8) < 0.1
    predicted = model.predict(X[300:])
    assert ((ends[:, 0] < predicted) & (predicted < ends[:, 1])).all()
    wider = model.predict_interval(X[300:], coverage=0.95)
    assert (wider[:, 0] <= ends[:, 0]).all()
    assert (wider[:, 1] >= ends[:, 1]).all()
    assert not hasattr(model, "predict_set")
    two = TabularMLP("regression", n_networks=4, effort=ONE, random_state=0).fit(X, np.stack([y, 10 * y], axis=1))
    wide = two.predict_interval(X[:20])
    assert wide.shape == (20, 2, 2)


def test_sets_of_classes(fitted):
    model, _, _ = fitted
    new, y_new = table(1000, seed=1)
    for coverage in (0.7, 0.9):
        inside = model.predict_set(new, coverage)
        assert inside.shape == (1000, 2)
        held = inside[np.arange(1000), (y_new == "yes").astype(int)].mean()
        assert abs(held - coverage) < 0.06
    assert not hasattr(model, "predict_interval")
    report = coverage_by_group(model, new, y_new, new["colour"], 0.9)
    assert report["group"].tolist() == ["all", "blue", "green", "red", "missing"]
    assert report["n"][0] == 1000 == report["n"][1:].sum()
    assert report["coverage"][0] == pytest.approx((report["coverage"] * report["n"])[1:].sum() / 1000)
    assert report["size"][0] == pytest.approx(model.predict_set(new, 0.9).sum(axis=1).mean())


def test_a_saved_model_is_as_sure(tmp_path, fitted):
    model, X, _ = fitted
    model.save(tmp_path / "model.nnexp")
    np.testing.assert_array_equal(load(tmp_path / "model.nnexp").predict_set(X), model.predict_set(X))


def test_who_has_set_nothing_aside_does_not_know_how_sure_it_is():
    X, y = load_iris(return_X_y=True)
    model = TabularMLP(n_networks=2, effort=ONE, random_state=0).fit(X[::5], y[::5])
    with pytest.raises(ValueError, match="less than 80 samples"):
        model.predict_set(X)
    for coverage, error in ((0, ValueError), (1, ValueError), ("much", TypeError)):
        with pytest.raises(error, match="coverage must be"):
            model.predict_set(X, coverage)


def test_each_fold_is_predicted_by_what_has_not_learnt_from_it(fitted):
    """Of the samples of the fit, what is predicted without their fold is what was predicted out of fold."""
    model, X, _ = fitted
    fold = model.blended_.by_fold.unseen.fold
    without = model.blended_.values_by_fold(X)[fold, np.arange(len(X))]
    np.testing.assert_allclose(without, model.oof_prediction_, atol=1e-5)


def test_what_is_given_up_without_a_fold_has_no_part_in_its_prediction():
    """Of two, one is better on fold 0 by much and worse on the others: with all samples it goes on, without fold 0 it does not."""
    fold = np.repeat(np.arange(3), 20)
    good_on_0 = np.where(fold == 0, 0.0, 0.5)[:, None]
    good_elsewhere = np.where(fold == 0, 9.0, 0.1)[:, None]
    samples = Samples(Numbers(np.zeros(1), np.ones(1), True), np.zeros((60, 1)), None, fold, np.arange(60), 60)
    samples = replace(samples, expected=samples.expected + np.linspace(-1e-3, 1e-3, 60)[:, None])

    def contender(values):
        member = Member("", (), values, 0.0)
        return SimpleNamespace(has_failed=False, without=frozenset(), member=lambda samples: member)

    first, second = contender(good_on_0), contender(good_elsewhere)
    assert contests.best_half([first, second], samples) == [first, second]
    assert first.without == {0}
    assert second.without == {-1, 1, 2}
    blended = blend(
        samples, [Member("a", (), good_on_0, 0.0, (0,)), Member("b", (), good_elsewhere, 0.0, (-1, 1, 2))], 4
    )
    np.testing.assert_allclose(blended.out_of_fold.prediction, np.where(fold == 0, 9.0, 0.5))
