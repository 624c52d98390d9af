import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from nnexp import load_results
from nnexp.experiment import load_specification, run_experiment
from nnexp.experiment.datasets import (
    BUNDLED,
    DataError,
    DataSet,
    doubtful_columns,
    leaks_of,
    load_bundled,
    load_file,
)
from nnexp.experiment.runs import load_data
from nnexp.report import compare
from nnexp.verify import verify

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
    names = ["size", "size_missing", "color_blue", "color_green", "color_red", "color_missing", "empty"]
    assert data.encoder().fit(data.X).get_feature_names_out().tolist() == names


def test_columns_are_encoded_by_their_kind_and_from_the_training_rows_alone():
    X = FRAME.drop(columns="kind")
    encoder = DataSet("mine", "regression", X, np.arange(6.0)).encoder().set_output(transform="pandas").fit(X[:4])
    out = encoder.transform(X)
    known = np.array([1.0, 2.0, 2.0, 4.0])  # the missing size is the median
    np.testing.assert_allclose(out["size"][:4], (known - known.mean()) / known.std())
    assert out["size"][4] == pytest.approx((6 - known.mean()) / known.std())
    assert out["size_missing"].tolist() == [0, 0, 1, 0, 0, 0]
    assert out["color_red"].tolist() == [1, 0, 0, 1, 0, 0]
    assert out["color_missing"].tolist() == [0, 1, 0, 0, 0, 0]
    assert "color_green" not in out  # which the training rows do not have: none of the colors
    assert out["old"].tolist() == X["old"].tolist()
    assert not out["empty"].any()  # a column without a value


def test_what_a_column_is_follows_from_all_rows():
    """In its first rows the code is a number."""
    X = pd.DataFrame({"code": ["1", "2", "3", "4", "a", "b"], "day": [None] * 4 + ["2020-01-01", "2020-02-01"]})
    encoder = DataSet("mine", "regression", X, np.arange(6.0)).encoder().fit(X[:4])
    assert [column.kind for column in encoder.layout_.columns] == ["category", "time"]
    assert np.isfinite(encoder.transform(X)).all()


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


def written(folder, text):
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


@pytest.mark.parametrize("words", [("None", "Some"), ("NA", "EU"), ("null", "zero"), ("nan", "NULL"), ("N/A", "?")])
def test_a_class_may_have_any_name(tmp_path, words):
    path = written(tmp_path, "a,kind\n" + "".join(f"{i},{words[i % 2]}\n" for i in range(8)))
    data = load_file("mine", path, "kind", "classification")
    assert data.y.tolist() == [words[i % 2] for i in range(8)]


def test_a_gap_is_an_empty_cell_and_among_numbers_what_pandas_takes_for_one(tmp_path):
    path = written(tmp_path, "a,b,c,y\n1,NA,None,u\n?,x,2,v\nNA,,3.5,u\n4,None,,v\n")
    data = load_file("mine", path, "y", "classification")
    np.testing.assert_array_equal(data.X["a"], [1, np.nan, np.nan, 4])
    assert data.X["b"].isna().tolist() == [False, False, True, False]
    assert data.X["b"].dropna().tolist() == ["NA", "x", "None"]
    np.testing.assert_array_equal(data.X["c"], [np.nan, 2, 3.5, np.nan])
    assert leaks_of(data) == ["data.mine: column 'a': 1 cells hold ?, which is taken for a gap among numbers."]


def test_what_marks_a_gap_can_be_said(tmp_path):
    path = written(tmp_path, "a,b,y\n1,none,u\n-999,x,v\n3,-999,u\nNA,y,v\n")
    data = load_file("mine", path, "y", "classification", missing=["-999", "NA"])
    np.testing.assert_array_equal(data.X["a"], [1, np.nan, 3, np.nan])
    assert data.X["b"].isna().tolist() == [False, False, True, False]
    assert data.X["b"].iloc[0] == "none"
    words = load_file("mine", path, "y", "classification", missing=[])
    assert words.X["a"].tolist() == ["1", "-999", "3", "NA"]
    with pytest.raises(DataError, match=r'missing in 2 of 4 rows. .* data.mine.missing = \["NA"\]'):
        load_file("mine", path, "y", "classification", missing=["u"])


def test_the_key_missing_reaches_the_reader(tmp_path):
    written(tmp_path, "a,y\n" + "".join(f"{'-1' if i % 5 == 0 else i},{'uv'[i % 2]}\n" for i in range(40)))
    (tmp_path / "gaps.toml").write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.t]\npath = "t.csv"\ntarget = "y"\n'
        'task = "classification"\nmissing = ["-1"]\n[model.m]\nclass = "sklearn.naive_bayes.GaussianNB"\n'
    )
    data = load_data(load_specification(tmp_path / "gaps.toml"))
    assert data["t"].X["a"].isna().sum() == 8


def test_a_target_that_is_there_twice_is_refused(tmp_path):
    path = written(tmp_path, "a,y,y\n1,u,u\n2,v,v\n")
    with pytest.raises(DataError, match="2 columns are called 'y', the target"):
        load_file("mine", path, "y", "classification")


@pytest.mark.parametrize("first", [[1, 2], None])
def test_a_column_of_lists_is_a_sentence_whatever_its_first_cell(tmp_path, first):
    frame = pd.DataFrame({"a": range(6), "l": [first, *[[1, 2]] * 5], "y": list("uvuvuv")})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'l' holds neither numbers nor words"):
        load_file("mine", tmp_path / "t.parquet", "y", "classification")


def test_decimals_are_numbers(tmp_path):
    prices = [Decimal(i) / 4 if i != 3 else None for i in range(8)]
    pd.DataFrame({"price": prices, "y": list("uvuvuvuv")}).to_parquet(tmp_path / "t.parquet")
    data = load_file("mine", tmp_path / "t.parquet", "y", "classification")
    np.testing.assert_array_equal(data.X["price"], [0, 0.25, 0.5, np.nan, 1, 1.25, 1.5, 1.75])
    pd.DataFrame({"a": range(8), "price": [Decimal(i) / 4 for i in range(8)]}).to_parquet(tmp_path / "u.parquet")
    assert load_file("mine", tmp_path / "u.parquet", "price", "regression").y.tolist() == [i / 4 for i in range(8)]


RNG = np.random.default_rng(0)
CLASSES = np.array(list("uvw"))[RNG.integers(0, 3, 60)]
LEAKS = [
    (pd.DataFrame({"a": RNG.normal(size=60), "kind": pd.Series(CLASSES).map({"u": 5, "v": 3, "w": 9})}), CLASSES, "'kind' tells the target"),
    (pd.DataFrame({"a": RNG.normal(size=60), "copy": CLASSES}), CLASSES, "'copy' tells the target"),
    (pd.DataFrame({"Unnamed: 0": range(60), "a": RNG.normal(size=60)}), CLASSES, "'Unnamed: 0' counts the rows"),
    (pd.DataFrame({"id": range(1, 61), "a": RNG.normal(size=60)}), CLASSES, "'id' counts the rows"),
    (pd.DataFrame({"a": np.repeat(RNG.normal(size=30), 2)}), np.repeat(CLASSES[:30], 2), "60 of 60 rows occur more than once"),
]  # fmt: skip


@pytest.mark.parametrize(("X", "y", "said"), LEAKS, ids=[said for *_, said in LEAKS])
def test_what_tells_the_target_is_said(X, y, said):
    notes = leaks_of(DataSet("mine", "classification", X, y))
    assert len(notes) == 1
    assert said in notes[0]


def test_a_column_in_other_units_tells_the_target_of_a_regression():
    y = RNG.normal(size=60)
    frame = pd.DataFrame({"a": RNG.normal(size=60), "fahrenheit": 32 + 1.8 * y})
    (note,) = leaks_of(DataSet("mine", "regression", frame, y))
    assert "'fahrenheit' tells the target exactly" in note
    assert leaks_of(DataSet("mine", "regression", frame[["a"]], y)) == []


@pytest.mark.parametrize("name", list(BUNDLED))
def test_nothing_of_what_is_bundled_is_a_leak(name):
    assert leaks_of(load_bundled(name)) == []


def test_a_leak_is_a_caution_of_the_report(tmp_path):
    frame = pd.DataFrame({"a": RNG.normal(size=60), "copy": CLASSES, "y": CLASSES})
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "leak.toml").write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.t]\npath = "t.csv"\ntarget = "y"\n'
        'task = "classification"\n[model.m]\nclass = "sklearn.naive_bayes.GaussianNB"\n'
        '[model.n]\nclass = "sklearn.dummy.DummyClassifier"\n'
    )
    summary = run_experiment(load_specification(tmp_path / "leak.toml"), tmp_path)
    said = "data.t: column 'copy' tells the target exactly. Leave it out: drop = ['copy']."
    assert said in summary.notes
    assert said in [claim.text for claim in compare(load_results(summary.folder)).cautions]


RARE = pd.DataFrame({"a": np.arange(24.0), "y": ["u"] * 10 + ["v"] * 10 + ["w"] * 2 + ["x"] + ["z"]})


@pytest.mark.parametrize(
    ("what", "classes", "said"),
    [
        ("drop", {"u": 10, "v": 10}, "4 rows of the rare classes w, x, z are left out."),
        ("merge", {"u": 10, "v": 10, "other": 4}, "the rare classes w, x, z are one, 'other', of 4 rows."),
    ],
)
def test_rare_classes_are_left_out_or_merged(what, classes, said):
    data = DataSet("mine", "classification", RARE[["a"]], RARE["y"].to_numpy()).with_rare(3, what)
    found, counts = np.unique(data.y, return_counts=True)
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == classes
    assert data.notes == (said,)
    kept = RARE["y"].isin(["u", "v"]) if what == "drop" else RARE["y"].notna()
    assert data.X["a"].tolist() == RARE["a"][kept].tolist()


@pytest.fixture
def three_tables(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    good = pd.DataFrame({"a": RNG.normal(size=30), "target": list("uv") * 15})
    good.to_csv(folder / "good.csv", index=False)
    RARE.rename(columns={"y": "target"}).to_csv(folder / "rare.csv", index=False)
    (folder / "broken.csv").write_text("a,b\n1,2\n")
    (folder / "manifest.csv").write_text("name,task\ngood,binary\nrare,multiclass\nbroken,binary\n")
    path = tmp_path / "many.toml"
    path.write_text(
        'question = "?"\n[evaluation]\nfolds = 3\nrepeats = 1\n[data.iris]\n[model.m]\nclass = "sklearn.naive_bayes.GaussianNB"\n'
    )
    return path, folder


@pytest.mark.parametrize(
    ("rare", "left", "runs"), [("refuse", ["rare", "broken"], 3), ("drop", ["broken"], 6), ("merge", ["broken"], 6)]
)
def test_one_bad_table_stops_no_run_and_is_named(three_tables, tmp_path, rare, left, runs):
    path, folder = three_tables
    specification = load_specification(path, {"evaluation.rare_classes": f'"{rare}"'}, tables=folder)
    summary = run_experiment(specification, tmp_path / "results")
    assert (summary.done, summary.failed) == (runs, 0)
    results = load_results(summary.folder)
    said = [note for note in summary.notes if "is left out:" in note]
    assert [note.split()[2] for note in said] == left
    assert set(said) <= {claim.text for claim in compare(results).cautions}
    assert "broken" not in results.experiment["data"]
    assert {finding.status for finding in verify(summary.folder)} <= {"ok", "unknown"}  # there is no report yet


def test_tables_none_of_which_can_be_used_are_refused(three_tables, tmp_path):
    path, folder = three_tables
    (folder / "good.csv").write_text("a\n1\n")
    with pytest.raises(DataError) as caught:
        run_experiment(load_specification(path, tables=folder), tmp_path / "results")
    assert [line.split()[2] for line in str(caught.value).splitlines()] == ["good", "rare", "broken"]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("labels", "named", "label"),
    [
        ([1.0, 2.0], 2, 2.0), ([1, 2], 2.0, 2), ([1, 2], "2", 2), ([False, True], "true", True), ([False, True], True, True),
        (["no", "yes"], "yes", "yes"), (["1", "2"], 2, "2"),
    ],
    ids=str,
)  # fmt: skip
def test_a_positive_class_is_named_as_a_value_or_as_the_table_has_it(labels, named, label):
    data = DataSet("mine", "classification", pd.DataFrame({"a": range(4)}), np.array(labels * 2))
    found = data.with_positive(named).positive
    assert found == label
    assert type(found) is type(label)
