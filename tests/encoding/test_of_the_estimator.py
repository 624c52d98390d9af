"""BackpropMLP takes tables as they are."""

import pickle
import tracemalloc
import warnings

import numpy as np
import onnxruntime
import pandas as pd
import polars
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import scale

from nnexp import BackpropMLP, Checkpoint, GeneticAlgorithm, SweepCV, TableEncoder, cross_validate, fit_many, load
from nnexp.saving import SavingError
from tests.plans import problem_of

IRIS = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (6,), "max_iter": 8, "validation": "none", "random_state": 0}


def make_table(n=200, seed=0):
    """Return a table of every kind of column, and classes that follow from a word, a number and a gap."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "price": rng.lognormal(8, 3, n),
            "colour": rng.choice(["red", "green", "blue"], n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
            "flag": rng.choice([True, False], n),
        }
    )
    y = np.where((table["colour"] == "red") ^ (np.log(table["price"]) > 8), "yes", "no")
    table.loc[rng.choice(n, n // 10, replace=False), "price"] = np.nan
    table.loc[rng.choice(n, n // 10, replace=False), "colour"] = None
    return table, y


TABLE, ANSWERS = make_table()


@pytest.mark.parametrize(
    "convert",
    [
        lambda t: t,
        *(
            pytest.param(of, marks=pytest.mark.slow)
            for of in (polars.from_pandas, lambda t: polars.from_pandas(t).to_arrow())
        ),
    ],
)
def test_a_table_is_fitted_in_one_line(convert):
    model = BackpropMLP(random_state=0, validation="none").fit(convert(TABLE), ANSWERS)
    assert model.score(convert(TABLE), ANSWERS) > 0.9
    assert model.n_features_in_ == 4
    expected = BackpropMLP(random_state=0, validation="none").fit(TABLE, ANSWERS).predict_proba(TABLE)
    np.testing.assert_allclose(model.predict_proba(convert(TABLE)), expected, atol=1e-9)


def test_what_the_network_sees_is_what_the_transformer_gives():
    model = BackpropMLP(encoding=TableEncoder(pieces=4, clip=True), **QUICK).fit(TABLE, ANSWERS)
    inputs = model.encoder_.transform(TABLE)
    assert model.network_.n_inputs == inputs.shape[1] == len(model.encoder_.get_feature_names_out())
    outputs = model.network_.forward(model.parameters_, inputs)[0, :, 0]
    np.testing.assert_allclose(model.predict_proba(TABLE)[:, 1], outputs, atol=1e-12)
    np.testing.assert_array_equal(TableEncoder(pieces=4, clip=True).fit_transform(TABLE), inputs)
    samples = problem_of(model, TABLE, ANSWERS).samples
    np.testing.assert_array_equal(samples.block(np.arange(200)), np.c_[inputs, np.ones(200)])


def test_pieces_are_never_stored():
    """A table of 20,000 × 20 in 200 pieces a column would be 640 MB."""
    X = np.random.default_rng(0).normal(size=(20_000, 20))
    tracemalloc.start()
    BackpropMLP(encoding=TableEncoder(pieces=200), hidden_layer_sizes=(4,), max_iter=1, batch_size=500).fit(
        X, X[:, 0] > 0
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_without_an_encoding_inputs_are_x():
    X, y = scale(IRIS[0]), IRIS[1]
    plain = BackpropMLP(encoding="none", **QUICK).fit(X, y)
    assert plain.encoder_ is None
    np.testing.assert_array_equal(problem_of(plain, X, y).samples.block(np.arange(150))[:, :4], X)
    encoded = BackpropMLP(**QUICK).fit(IRIS[0], y)
    np.testing.assert_allclose(encoded.predict_proba(IRIS[0]), plain.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_weights_of_a_linear_model_are_of_x_as_given(task):
    X, y = IRIS if task == "classification" else load_diabetes(return_X_y=True)
    X = X * 1000 + 50
    model = BackpropMLP(task, hidden_layer_sizes=(), random_state=0).fit(X, y)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    if task == "regression":
        np.testing.assert_allclose(z[:, 0] * y.std() + y.mean(), model.predict(X))
    else:
        np.testing.assert_allclose(np.log(model.predict_proba(X)), z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def test_weights_of_other_columns_say_where_to_look():
    model = BackpropMLP(**QUICK).fit(TABLE, ANSWERS)
    with pytest.raises(AttributeError, match="see encoder_"):
        _ = model.coefs_


def test_gaps_and_words_that_are_new_are_predicted():
    model = BackpropMLP(**QUICK).fit(TABLE, ANSWERS)
    new = pd.DataFrame(
        {"price": [None, 1.0], "colour": ["violet", None], "when": [pd.NaT, pd.NaT], "flag": [None, True]}
    )
    assert np.isfinite(model.predict_proba(new)).all()
    with pytest.raises(ValueError, match="infinity"):
        model.predict(TABLE.assign(price=np.inf))
    with pytest.raises(ValueError, match="Column 'price' is one of numbers"):
        model.predict(TABLE.assign(price="dear"))


def test_a_model_of_a_table_is_saved_without_code(tmp_path):
    words = [f"w{i % 40}" for i in range(200)]
    table = TABLE.assign(many=words)
    for encoding in (
        "auto",
        "pieces",
        TableEncoder(scale="robust", clip=True, kinds={"flag": "category"}),
        {"pieces": 3},
    ):
        model = BackpropMLP(encoding=encoding, n_networks=2, **QUICK).fit(table, ANSWERS)
        model.save(tmp_path / "model.nnexp")
        again = load(tmp_path / "model.nnexp")
        np.testing.assert_array_equal(again.predict_proba(table), model.predict_proba(table))
        np.testing.assert_array_equal(again.encoder_.transform(table), model.encoder_.transform(table))
        assert str(again.get_params()["encoding"]) == str(encoding)
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(model)).predict_proba(table), model.predict_proba(table)
        )


@pytest.mark.parametrize(
    "break_it",
    [
        lambda encoder: encoder["columns"].pop(),
        lambda encoder: encoder["columns"][0].update(kind="anything"),
        lambda encoder: encoder["columns"][0].update(pieces=5),
        lambda encoder: encoder["columns"][1].update(levels=["red", "red", "green"]),
        lambda encoder: encoder["columns"][1].update(levels=[1, 2, 3]),
        lambda encoder: encoder["columns"][2].update(circles=["week", "year"]),
        lambda encoder: encoder["rules"].update(scale="large"),
        lambda encoder: encoder.update(numbers=encoder["seen"][0]),
        lambda encoder: encoder.update(seen=[]),
        lambda encoder: encoder.update(columns=[]),
    ],
)
def test_a_damaged_encoder_in_a_file_is_a_sentence(tmp_path, break_it):
    import json
    import zipfile

    BackpropMLP(**QUICK).fit(TABLE, ANSWERS).save(tmp_path / "model.nnexp")
    with zipfile.ZipFile(tmp_path / "model.nnexp") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts["header.json"])
    break_it(header["encoder"])
    parts["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(tmp_path / "broken.nnexp", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(SavingError):
        load(tmp_path / "broken.nnexp")


def test_a_graph_of_onnx_encodes_numbers_gaps_words_and_pieces():
    table = TABLE[["price", "colour", "flag"]].assign(b=np.arange(200.0))
    for encoding in ("auto", TableEncoder(pieces=5, clip=True)):
        model = BackpropMLP(encoding=encoding, n_networks=2, **QUICK).fit(table, ANSWERS)
        session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString())
        new = pd.concat([table, table[:1].assign(colour="violet")])
        given = {
            "X0": new[["price"]].to_numpy(np.float32),
            "X1": new[["colour"]].fillna("").to_numpy(object),
            "X2": new[["flag"]].to_numpy(np.float32),
            "X3": new[["b"]].to_numpy(np.float32),
        }
        shown = session.run(["probabilities"], given)[0]
        np.testing.assert_allclose(shown, model.predict_proba(new), atol=1e-5)
    X = IRIS[0] * 1e4 + 1e6
    X[3, 2] = np.nan
    for encoding in ("auto", TableEncoder(pieces=5)):
        model = BackpropMLP(encoding=encoding, **QUICK).fit(X, IRIS[1])
        session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString())
        shown = session.run(["probabilities"], {"X": X.astype(np.float32)})[0]
        np.testing.assert_allclose(shown, model.predict_proba(X.astype(np.float32)), atol=1e-5)
    with pytest.raises(ValueError, match="Column 'when' is a time, which a graph of ONNX cannot encode"):
        BackpropMLP(**QUICK).fit(TABLE, ANSWERS).to_onnx()


def test_what_was_learnt_of_the_first_table_stays():
    shifted = TABLE.assign(price=TABLE["price"] * 100)
    stream = BackpropMLP(**QUICK).partial_fit(TABLE, ANSWERS, classes=["no", "yes"])
    first = stream.encoder_.transform(TABLE)
    stream.partial_fit(shifted, ANSWERS)
    np.testing.assert_array_equal(stream.encoder_.transform(TABLE), first)
    warm = BackpropMLP(warm_start=True, **QUICK).fit(TABLE, ANSWERS).fit(shifted, ANSWERS)
    np.testing.assert_array_equal(warm.encoder_.transform(TABLE), first)
    anew = BackpropMLP(**QUICK).fit(TABLE, ANSWERS).fit(shifted, ANSWERS)
    assert not np.array_equal(anew.encoder_.transform(TABLE), first)


def test_a_weight_of_zero_is_absence_for_the_encoding_too():
    weight = np.ones(200)
    weight[::5] = 0
    strange = TABLE.copy()
    strange.loc[weight == 0, "price"] = 1e300
    strange.loc[weight == 0, "colour"] = "strange"
    kept = weight > 0
    expected = BackpropMLP(**QUICK).fit(TABLE[kept], ANSWERS[kept]).predict_proba(TABLE)
    np.testing.assert_allclose(
        BackpropMLP(**QUICK).fit(strange, ANSWERS, weight).predict_proba(TABLE), expected, rtol=1e-9
    )


def test_validation_samples_go_through_the_same_encoding():
    model = BackpropMLP(**QUICK).fit(TABLE[:150], ANSWERS[:150], X_val=TABLE[150:], y_val=ANSWERS[150:])
    best = model.history_["validation_score"][model.history_["validation_error"].idxmin()]
    assert model.score(TABLE[150:], ANSWERS[150:]) == pytest.approx(best)


def test_scorers_see_the_table_as_it_was_given():
    seen = []

    def scorer(estimator, X, y):
        seen.append(type(X).__name__)
        assert list(X.columns) == list(TABLE.columns)
        assert estimator.predict(X[:3]).shape == (3,)
        return estimator.score(X, y)

    BackpropMLP(**QUICK | {"validation": "holdout"}, scoring=scorer).fit(TABLE, ANSWERS)
    BackpropMLP(**QUICK, scoring=scorer).fit(TABLE[:150], ANSWERS[:150], X_val=TABLE[150:], y_val=ANSWERS[150:])
    fitness = BackpropMLP(
        hidden_layer_sizes=(2,), max_iter=2, algorithm=GeneticAlgorithm(population_size=12), fitness=scorer
    )
    fitness.fit(TABLE, ANSWERS)
    assert set(seen) == {"DataFrame"}


def test_folds_of_one_layout_are_one_stack_and_equal_fits_alone():
    """A rare word that is in one fold alone gives each fold the same inputs; scales and levels seen are those of the fold."""
    table = TABLE.assign(rare=["x"] * 199 + ["y"])
    folds = KFold(4)
    model = BackpropMLP(encoding={"pieces": 4}, **QUICK)
    done = cross_validate(model, table, ANSWERS, cv=folds, return_estimator=True)
    assert len({m.network_.n_inputs for m in done["estimator"]}) == 1
    for fitted, (training, _) in zip(done["estimator"], folds.split(table), strict=True):
        price = table["price"].iloc[training]
        filled = price.fillna(np.sort(price.dropna())[int(np.ceil(price.notna().sum() / 2)) - 1])
        encoder = fitted.encoder_.set_output(transform="pandas")
        shown = encoder.transform(table.iloc[training])
        np.testing.assert_allclose(shown["price"], (filled - filled.mean()) / filled.std(ddof=0))
        if 199 not in training:
            assert encoder.transform(table.iloc[199:])["rare_y"].tolist() == [0.0]


def test_searches_and_many_fits_take_tables():
    models = [BackpropMLP(**QUICK, learning_rate=rate) for rate in (0.01, 0.1)]
    fit_many(models, TABLE, ANSWERS)
    alone = clone(models[0]).fit(TABLE, ANSWERS)
    np.testing.assert_allclose(models[0].predict_proba(TABLE), alone.predict_proba(TABLE), rtol=1e-9)
    space = {"encoding": ["auto", "pieces"], "learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
    search = SweepCV(BackpropMLP(**QUICK), space, n_trials=4, cv=3, random_state=0).fit(TABLE, ANSWERS)
    assert search.best_params_["encoding"] in ("auto", "pieces")
    assert len(cross_val_score(BackpropMLP(**QUICK), TABLE, ANSWERS, cv=3)) == 3


def test_many_fits_have_the_encoding_of_fits_alone():
    table = pd.DataFrame({"p": [1, 2, 3] * 20, "q": [True, False] * 30})
    y = np.arange(60) % 2
    model = BackpropMLP(encoding={"kinds": {"p": "category"}}, **QUICK)
    (fitted,) = fit_many([clone(model)], table, y)
    expected = clone(model).fit(table, y)
    assert fitted.encoder_.get_feature_names_out().tolist() == ["p_1", "p_2", "p_3", "q"]
    np.testing.assert_array_equal(fitted.predict_proba(table), expected.predict_proba(table))


@pytest.mark.parametrize("other", ["none", "pieces", TableEncoder(scale="robust")])
def test_training_goes_on_with_the_same_encoding_only(other):
    for model in (BackpropMLP(warm_start=True, **QUICK).fit(*IRIS), BackpropMLP(**QUICK).fit(*IRIS)):
        model.set_params(encoding=other)
        with pytest.raises(ValueError, match="the encoding changed"):
            model.fit(*IRIS) if model.warm_start else model.partial_fit(*IRIS)


def test_validation_samples_may_be_dense_where_those_that_train_are_sparse():
    X, y = np.eye(6)[np.arange(60) % 6], np.arange(60) % 2
    dense = BackpropMLP(**QUICK).fit(X, y, X_val=sparse.csr_array(X), y_val=y)
    np.testing.assert_allclose(dense.parameters_, BackpropMLP(**QUICK).fit(X, y, X_val=X, y_val=y).parameters_)
    thin = BackpropMLP(**QUICK).fit(sparse.csr_array(X), y, X_val=X, y_val=y)
    expected = BackpropMLP(**QUICK).fit(sparse.csr_array(X), y, X_val=sparse.csr_array(X), y_val=y)
    np.testing.assert_allclose(thin.parameters_, expected.parameters_)


def test_a_checkpoint_of_a_fit_to_a_table_goes_on(tmp_path):
    path = tmp_path / "fit.nnexp"
    whole = BackpropMLP(**QUICK).fit(TABLE, ANSWERS)
    BackpropMLP(**QUICK | {"max_iter": 8}, callbacks=[Checkpoint(path, every=1), lambda state: state.step == 3]).fit(
        TABLE, ANSWERS
    )
    again = BackpropMLP(**QUICK, callbacks=[Checkpoint(path, every=1, resume=True)]).fit(TABLE, ANSWERS)
    np.testing.assert_array_equal(again.parameters_, whole.parameters_)


@pytest.mark.slow
def test_sparse_columns_are_scaled_and_pieces_of_them_refused():
    X = sparse.random_array((100, 20), density=0.2, random_state=np.random.default_rng(0), format="csr") * 1000
    y = np.asarray(X.sum(axis=1)).ravel() > 2000
    model = BackpropMLP(random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    np.testing.assert_allclose(model.predict_proba(X.toarray()), model.predict_proba(X), rtol=1e-9)
    with pytest.raises(ValueError, match="Set pieces=0"):
        BackpropMLP(encoding="pieces").fit(X, y)


def test_what_was_learnt_of_a_dense_table_holds_for_a_sparse_one():
    X = np.where(np.random.default_rng(0).random((100, 5)) < 0.5, 3.0, 0.0) + np.arange(5)
    y = X[:, 0] > 1
    for encoding in ("auto", "pieces", TableEncoder(clip=True)):
        model = BackpropMLP(encoding=encoding, **QUICK).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(sparse.csr_array(X)), model.predict_proba(X), rtol=1e-9)
        model.partial_fit(sparse.csr_array(X), y)
    words = BackpropMLP(**QUICK).fit(pd.DataFrame({"a": list("xyxyxy"), "b": range(6)}), [0, 1] * 3)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert words.predict(sparse.csr_array(np.eye(2))).shape == (2,)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("table", "encoding: unknown value 'table'"),
        (3, "encoding must be 'auto', 'pieces', 'none', a TableEncoder or a mapping"),
        ({"peaces": 3}, "TableEncoder has no parameter 'peaces'. Did you mean 'pieces'?"),
        (TableEncoder(pieces=-1), "pieces must be"),
        ({"scale": "no"}, "scale: unknown value 'no'"),
    ],
)
def test_impossible_encodings_are_a_sentence(encoding, said):
    with pytest.raises((ValueError, TypeError), match=said):
        BackpropMLP(encoding=encoding).fit(*IRIS)


def test_numbers_as_words_are_said_where_the_estimator_is_called():
    table = TABLE.assign(number=[f"{i}.5" for i in range(200)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BackpropMLP(**QUICK).fit(table, ANSWERS)
    (warning,) = [w for w in caught if "numbers written as words" in str(w.message)]
    assert warning.filename == __file__
