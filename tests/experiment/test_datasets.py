import gzip

import numpy as np
import pandas as pd
import pytest

from nnexp.experiment.datasets import (
    BUNDLED,
    DataError,
    DataSet,
    doubtful_columns,
    load_bundled,
    load_file,
    make_preparation,
)

FRAME = pd.DataFrame(
    {
        "size": [1.0, 2.0, np.nan, 4.0, 6.0, 3.0],
        "color": ["red", None, "blue", "red", "green", "blue"],
        "old": [True, False, True, True, False, False],
        "empty": [np.nan] * 6,
        "kind": ["a", "b", "a", "b", "a", "b"],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_file_of_mixed_columns_is_read(tmp_path, suffix):
    path = tmp_path / f"data{suffix}"
    if suffix == ".parquet":
        FRAME.to_parquet(path)
    elif suffix == ".csv":
        FRAME.to_csv(path, index=False)
    else:
        path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    data = load_file("mine", path, "kind", "classification", drop=["old"])
    assert list(data.X.columns) == ["size", "color", "empty"]
    assert data.y.tolist() == ["a", "b", "a", "b", "a", "b"]
    assert make_preparation(data.X).fit_transform(data.X).shape == (6, 1 + 1 + 4)


def test_columns_are_prepared_by_their_kind_and_from_the_training_rows_alone():
    X = FRAME.drop(columns="kind")
    preparation = make_preparation(X).fit(X[:4])
    out = preparation.transform(X)
    known = np.array([1.0, 2.0, 2.0, 4.0])  # the missing size is the median
    np.testing.assert_allclose(out[:4, 0], (known - known.mean()) / known.std())
    assert out[4, 0] == pytest.approx((6 - known.mean()) / known.std())
    assert not out[:, 1].any()  # a column without a value
    color = out[:, 2:5]  # blue, missing, red
    np.testing.assert_array_equal(color, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(out[:, 5:], [[0, 1], [1, 0], [0, 1], [0, 1], [1, 0], [1, 0]])


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_are_what_they_say(name):
    data = load_bundled(name)
    assert len(data.X) == len(data.y)
    assert data.task == BUNDLED[name].task
    assert (data.y.dtype.kind == "f") == (data.task == "regression")


def test_the_fingerprint_changes_with_a_value_a_name_and_a_target():
    data = load_bundled("iris")
    other = load_bundled("iris")
    assert data.fingerprint == other.fingerprint
    other.X.iloc[3, 2] += 1e-9
    assert data.fingerprint != other.fingerprint
    renamed = type(data)("iris", data.task, data.X.rename(columns={"petal width (cm)": "w"}), data.y)
    assert data.fingerprint != renamed.fingerprint
    assert data.fingerprint != type(data)("iris", data.task, data.X, data.y[::-1]).fingerprint


@pytest.mark.parametrize(
    ("content", "target", "task", "sentence"),
    [
        (None, "y", "regression", "there is no such file"),
        ("a,y\n1,2\n", "z", "regression", "there is no column 'z'"),
        ("size,y\n1,2\n", "siez", "regression", "Did you mean 'size'?"),
        ("y\n1\n", "y", "regression", "no column besides the target"),
        ("a,y\n1,2\n2,\n", "y", "regression", "is missing in 1 of 2 rows"),
        ("a,y\n1,x\n2,z\n", "y", "regression", "a regression needs numbers, but the target 'y' holds 'x'"),
        ("a,y\n1,0.5\n2,1.25\n", "y", "classification", 'no classes, such as 0.5. Set task = "regression"'),
        ("a,y\ninf,1\n2,2\n", "y", "regression", "infinite number"),
        ("a,y\n0,0.5,100\n7,1.5,101\n", "y", "regression", "rows have more fields than the header"),
        ("a,y\n", "y", "classification", "there is no row"),
        ("a,y\n1,inf\n2,3\n", "y", "regression", "the target 'y' holds an infinite number"),
        ("", "y", "regression", "cannot be read"),
        ('a,y\n1,2\n1,2,3,"4\n', "y", "regression", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_gives_a_sentence(tmp_path, content, target, task, sentence):
    path = tmp_path / "data.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError) as caught:
        load_file("mine", path, target, task)
    assert f"data.mine: {path}" in str(caught.value)
    assert sentence in str(caught.value)


def test_a_trailing_comma_in_every_row_is_harmless(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,y\n1,2,\n3,4,\n")
    assert load_file("mine", path, "y", "regression").X["a"].tolist() == [1, 3]


def test_a_column_that_looks_like_an_identifier_or_a_date_is_pointed_out():
    frame = pd.DataFrame({"id": [f"n{i}" for i in range(80)], "kind": ["a", "b"] * 40, "size": np.arange(80.0)})
    notes = doubtful_columns(DataSet("mine", "regression", frame, np.arange(80.0)))
    assert len(notes) == 1
    assert "column 'id' has 80 different values in 80 rows" in notes[0]
