"""Files without code: what comes back, what is refused, and that nothing in a file can run or crash."""

import contextlib
import json
import os
import pickle
import shutil
import stat
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_linnerud, make_multilabel_classification
from sklearn.preprocessing import scale

from nnexp import Activation, BackpropMLP, Checkpoint, GeneticAlgorithm, load
from nnexp._errors import ExpectedError
from nnexp.saving import SavingError
from nnexp.training.schedules import Cosine
from tests.algorithms import EVERY, small

IRIS = scale(load_iris().data), load_iris().target
CANCER = scale(load_breast_cancer().data), load_breast_cancer().target
OLD = Path(__file__).parent / "fixtures" / "version_0_1_0"
FEW = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}

MODELS = {
    "plain": (BackpropMLP(**FEW), IRIS),
    "words": (BackpropMLP(**FEW), (IRIS[0], np.array(["a", "b", "c"])[IRIS[1]])),
    "objects": (BackpropMLP(**FEW), (IRIS[0], np.array(["a", "b", "c"], dtype=object)[IRIS[1]])),
    "truths": (BackpropMLP(**FEW), (IRIS[0], IRIS[1] > 0)),
    "two": (BackpropMLP(**FEW, dtype="float32", class_weight={0: 2.0, 1: 1.0}), CANCER),
    "margin": (BackpropMLP(**FEW, error_function="hinge"), CANCER),
    "labels": (BackpropMLP(**FEW), make_multilabel_classification(random_state=0)),
    "outputs": (BackpropMLP("regression", **FEW, n_networks=3, validation="cross"), load_linnerud(return_X_y=True)),
    "stack": (BackpropMLP(**FEW, n_networks=4), IRIS),
    "parts": (
        BackpropMLP(
            **FEW | {"hidden_layer_sizes": (6, 4)}, activation=[{"tanh": 3, "leaky_relu": 3}, "sine"], connections="skip",
            optimizer={"name": "adam", "beta_2": 0.95}, schedule=Cosine(warmup=0.1), initializer="he_normal",
        ),
        IRIS,
    ),
    "sparse": (BackpropMLP(**FEW, connections={(0, 1): 0.5, "hidden_1 -> output": "full"}, bias=False), IRIS),
    "genetic": (BackpropMLP(**FEW, algorithm=GeneticAlgorithm(population_size=8), activation="step"), IRIS),
    **{
        name: (BackpropMLP(**FEW, algorithm=small(name)), IRIS) for name in EVERY
    },
    "quantile": (
        BackpropMLP("regression", **FEW, error_function={"name": "quantile", "quantile": 0.9}), (IRIS[0], IRIS[0][:, 0]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_the_saved_one_to_the_bit(name, tmp_path):
    model, (X, y) = MODELS[name]
    model = pickle.loads(pickle.dumps(model)).fit(X, y)
    model.save(tmp_path / "m.nnexp")
    again = load(tmp_path / "m.nnexp")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for method in ("predict_proba", "decision_function"):
        assert hasattr(again, method) == hasattr(model, method)
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    assert again.network_ == model.network_
    pd.testing.assert_frame_equal(again.history_, model.history_)
    for attribute in ("n_iter_", "stop_reason_", "best_error_", "evaluations_", "n_features_in_"):
        assert getattr(again, attribute) == getattr(model, attribute)
    for attribute in ("classes_", "oof_prediction_", "oof_score_", "temperature_"):
        assert hasattr(again, attribute) == hasattr(model, attribute)
        np.testing.assert_array_equal(getattr(again, attribute, 0), getattr(model, attribute, 0))
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.fit(X, y).predict(X), model.fit(X, y).predict(X))  # and it can be fitted again


def test_names_of_columns_come_back(tmp_path):
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    BackpropMLP(**FEW).fit(X, IRIS[1]).save(tmp_path / "m.nnexp")
    again = load(tmp_path / "m.nnexp")
    assert again.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        again.predict(X[list("dcba")])


def test_a_file_holds_arrays_and_json_and_no_pickle(tmp_path):
    MODELS["words"][0].fit(*MODELS["objects"][1]).save(tmp_path / "m.nnexp")
    with zipfile.ZipFile(tmp_path / "m.nnexp") as archive:
        json.loads(archive.read("header.json"))
        for name in archive.namelist():
            if name != "header.json":
                with archive.open(name) as file:
                    assert not np.lib.format.read_array(file, allow_pickle=False).dtype.hasobject


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (BackpropMLP(), "not fitted"),
        (
            BackpropMLP(
                **FEW, activation=Activation.from_functions("cube", lambda z: z**3, lambda z, a: 3 * z * z)
            ).fit(*IRIS),
            "activation holds 'cube', code of your own",
        ),
        (BackpropMLP(**FEW, schedule=lambda t: 1.0).fit(*IRIS), "schedule holds <function"),
    ],
)
def test_what_cannot_be_saved_is_named_and_leaves_no_file(model, said, tmp_path):
    with pytest.raises(SavingError) as caught:
        model.save(tmp_path / "m.nnexp")
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_old_file_survives_a_failed_saving(tmp_path):
    good = BackpropMLP(**FEW).fit(*IRIS)
    good.save(tmp_path / "m.nnexp")
    with pytest.raises(SavingError):
        BackpropMLP(**FEW, schedule=lambda t: 1.0).fit(*IRIS).save(tmp_path / "m.nnexp")
    np.testing.assert_array_equal(load(tmp_path / "m.nnexp").predict(IRIS[0]), good.predict(IRIS[0]))
    with pytest.raises(SavingError, match="cannot be written: No such file"):
        good.save(tmp_path / "nowhere" / "m.nnexp")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.nnexp"
    BackpropMLP(**FEW, n_networks=2, validation="cross").fit(*IRIS).save(path)
    return path.read_bytes()


def rewritten(content, tmp_path, change, name="header.json"):
    """Write the file anew with one member changed."""
    (tmp_path / "old").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "old") as old, zipfile.ZipFile(tmp_path / "m.nnexp", "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member == name:
                data = change(json.loads(data)) if name.endswith("json") else change(data)
                data = json.dumps(data).encode() if isinstance(data, dict) else data
            if data is not None:
                new.writestr(member, data)
    return tmp_path / "m.nnexp"


def without(key):
    return lambda header: {name: value for name, value in header.items() if name != key}


def put(value, *keys):
    def change(header):
        inner = header
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return header

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("other", "format"), "no file of nnexp"),
        (put(2, "version"), "later version of nnexp"),
        (put("checkpoint", "kind"), "a checkpoint, and a model is wanted"),
        (without("network"), "missing or wrong"),
        (put([4, 10**9, 3], "network", "layer_sizes"), "cannot be read"),
        (put([4, 7, 3], "network", "layer_sizes"), "do not fit its network"),
        (put(["tanh"], "network", "activations"), "cannot be read"),
        (
            put({"!part": ["activation", "os.system", {}]}, "network", "activations", 0),
            "unknown activation 'os.system'",
        ),
        (put({"!array": "../../etc/passwd"}, "arrays", "parameters_"), "missing or wrong"),
        (put("numbers", "target", "kind"), "cannot be read"),
        (put(-1, "params", "max_iter"), "max_iter must be in"),
        (put(1, "params", "no_such_parameter"), "no_such_parameter"),
        (put([], "history"), "do not fit its network"),
        (put([{}, {}], "history"), "no table of numbers"),
        (put(True, "version"), "later version of nnexp"),
        (put([], "features"), "names of features do not fit"),
        (put("0.5", "target", "fields", "threshold"), "target does not fit"),
        (put(True, "target", "fields", "one_output"), "target does not fit"),
        (put(None, "target", "fields", "classes"), "target does not fit"),
        (put([4] + [1] * 100_000 + [3], "network", "layer_sizes"), "larger than its weights"),
        (lambda header: b"{", "cannot be read"),
        (lambda header: b"[1]", "no file of nnexp"),
        (lambda header: None, "missing or wrong"),
    ],
)
def test_a_header_that_was_tampered_with_is_refused_with_a_sentence(content, tmp_path, change, said):
    with pytest.raises(SavingError) as caught:
        load(rewritten(content, tmp_path, change))
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def npy(header):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + pickle.dumps([1]), "Python objects"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}"), "an array is no array"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-5,)}"), "cannot be read"),
        (npy("__import__('os').system('true')"), "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x09\x00", "cannot be read"),
    ],
)
def test_an_array_that_was_tampered_with_is_refused_with_a_sentence(content, tmp_path, data, said):
    with pytest.raises(SavingError) as caught:
        load(rewritten(content, tmp_path, lambda _: data, name="0.npy"))
    assert said in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_a_sentence_or_the_same_model(content, tmp_path, data):
    damaged = bytearray(content)
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged.nnexp"
    path.write_bytes(damaged)
    original = tmp_path / "m.nnexp"
    original.write_bytes(content)
    try:
        model = load(path)
    except SavingError:  # anything else is a defect
        return
    np.testing.assert_array_equal(model.predict_proba(IRIS[0]), load(original).predict_proba(IRIS[0]))


def test_a_compressed_file_and_a_foreign_one_are_refused(content, tmp_path):
    path = tmp_path / "m.nnexp"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}" + " " * 10_000_000)
    with pytest.raises(SavingError, match="compressed"):
        load(path)
    path.write_bytes(pickle.dumps(BackpropMLP()))
    with pytest.raises(SavingError, match="no file of nnexp, or damaged"):
        load(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load(tmp_path / "absent.nnexp")


# What loads and then answers wrongly, and what takes long


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put([1, 2, 3], "network", "activations", 0, "!neurons"), "activations of its neurons are none"),
        (put({"!neurons": [1, "tanh", None]}, "network", "activations", 0), "activations of its neurons are none"),
        (
            put({"!neurons": [{"!part": ["optimizer", "adam", {}]}] * 5}, "network", "activations", 0),
            "neurons are none",
        ),
        (put({"!part": ["optimizer", "adam", {}]}, "network", "activations", 0), "activation that is none"),
        (put(float("nan"), "target", "fields", "threshold"), "does not fit its output activation"),
        (put(7.0, "target", "fields", "threshold"), "does not fit its output activation"),
        (put(0.7, "target", "fields", "threshold"), "does not fit its output activation"),
        (put(False, "target", "fields", "probabilistic"), "does not fit its output activation"),
        (
            put({"!part": ["activation", "tanh", {}]}, "network", "activations", -1),
            "does not fit its output activation",
        ),
        (put({"!part": ["activation", "sigmoid", {}]}, "network", "activations", -1), "SAME"),
        (put("regression", "params", "task"), "does not fit its task, regression"),
        (put(True, "multilabel"), "does not fit its labels"),
        (put("many", "plain", "n_iter_"), "its n_iter_ is 'many'"),
        (put(-1, "plain", "evaluations_"), "its evaluations_ is -1"),
        (put([], "plain", "best_error_"), "its best_error_ is []"),
        (put(0, "plain", "temperature_"), "its temperature_ is 0"),
        (put(float("nan"), "plain", "temperature_"), "its temperature_ is nan"),
        (put("4", "n_features"), "number of features is no number"),
        (put([[0, 1, None]] * 3 + [[1, 2, None]], "network", "blocks"), "more pairs of layers than there are"),
        (put([[0, 9, None], [1, 2, None]], "network", "blocks"), "layers that are not there"),
        (put([[-1, 1, None], [1, 2, None]], "network", "blocks"), "layers that are not there"),
        (put([[[[]] * 3]], "history"), "cannot be read"),
    ],
)
def test_a_model_that_would_answer_wrongly_is_refused_at_load(content, tmp_path, change, said):
    path = rewritten(content, tmp_path, change)
    if said == "SAME":  # one sigmoid a class is an output of classes too
        assert load(path).predict(IRIS[0]).shape == (150,)
        return
    with pytest.raises(SavingError) as caught:
        load(path)
    assert said in str(caught.value)


def test_weights_of_connections_that_are_not_there_are_refused(tmp_path):
    mask = np.ones((4, 5))
    mask[0, 0] = 0
    connections = {(0, 1): mask, (1, 2): "full"}
    model = BackpropMLP(hidden_layer_sizes=(5,), connections=connections, max_iter=2).fit(*IRIS)
    model.save(tmp_path / "m.nnexp")
    np.testing.assert_array_equal(load(tmp_path / "m.nnexp").predict(IRIS[0]), model.predict(IRIS[0]))
    weights = np.where(model.network_.mask, model.parameters_, 1.0)
    model = model.with_model(replace(model.model_, parameters=weights))
    model.save(tmp_path / "m.nnexp")
    with pytest.raises(SavingError, match="connections that its network does not have"):
        load(tmp_path / "m.nnexp")


@pytest.mark.parametrize(
    "change",
    [
        put([[0, 1, None]] * 39_000, "network", "blocks"),
        put([[i % 280, i % 280 + 1, None] for i in range(39_000)], "network", "blocks"),
        put([1] * 200_000, "params", "hidden_layer_sizes"),
        put([4] + [1] * 200_000 + [3], "network", "layer_sizes"),
        put([[{"!part": ["activation", "tanh", {}]}]] * 30_000, "network", "activations"),
        put({"!neurons": [{"!part": ["activation", "tanh", {}]}] * 20_000}, "network", "activations", 0),
        put({"tanh": 10**12}, "params", "activation"),
        put(10**15, "params", "n_networks"),
        lambda header: b'{"a":' * 100_000,
        lambda header: b"[" * 400_000,
        put([[]] * 200_000, "history"),
        put({str(i): [] for i in range(50_000)}, "params"),
    ],
)
def test_no_small_file_takes_long(content, tmp_path, change):
    path = rewritten(content, tmp_path, change)
    assert path.stat().st_size < 2_000_000
    begun = time.process_time()
    with contextlib.suppress(SavingError):
        load(path)
    assert time.process_time() - begun < 3  # 1 where nothing else runs


def test_models_of_an_earlier_version_still_load_and_answer_alike():
    inputs = {"numbers": load_diabetes(return_X_y=True)[0], "evolved": load_diabetes(return_X_y=True)[0]}
    names = [path.stem for path in sorted(OLD.glob("*.nnexp")) if path.stem != "checkpoint"]
    assert len(names) == 8
    for name in names:
        model = load(OLD / f"{name}.nnexp")
        found = model.predict(inputs.get(name, load_iris().data)[:5])
        expected = np.load(OLD / f"{name}.npy")
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(found.astype(expected.dtype), expected)


def test_a_checkpoint_of_an_earlier_version_is_refused_with_a_sentence(tmp_path):
    X, y = load_diabetes(return_X_y=True)
    path = tmp_path / "checkpoint.nnexp"
    shutil.copy(OLD / "checkpoint.nnexp", path)
    own = dict(hidden_layer_sizes=(3,), max_iter=4, random_state=0)
    with pytest.raises(SavingError, match="a version of nnexp that tells fits apart in another way. Remove the file"):
        BackpropMLP("regression", callbacks=[Checkpoint(path, resume=True)], **own).fit(X[:60], y[:60])


def test_a_saved_model_goes_where_the_user_says_and_nowhere_else(tmp_path):
    model = BackpropMLP(**FEW).fit(*IRIS)
    (tmp_path / "link.nnexp").symlink_to(tmp_path / "real.nnexp")
    model.save(tmp_path / "link.nnexp")
    assert (tmp_path / "link.nnexp").is_symlink()
    assert load(tmp_path / "real.nnexp").n_features_in_ == 4
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "real.nnexp").stat().st_mode) == 0o666 & ~mask
    for place in (tmp_path, "/dev/full", "a\0b", "~nosuchuser/m", "x" * 300):
        with pytest.raises(ExpectedError) as caught:
            model.save(place)
        assert len(str(caught.value)) < 400
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.nnexp", "real.nnexp"]
