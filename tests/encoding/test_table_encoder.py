"""TableEncoder: what each kind of column becomes, by hand-worked values and by properties."""

import datetime
import decimal
import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnexp import TableEncoder


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([TableEncoder(), TableEncoder(scale="robust", clip=True, pieces=4)])
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


def frame(**columns):
    return pd.DataFrame(columns)


def encoded(table, **settings):
    return TableEncoder(**settings).set_output(transform="pandas").fit_transform(table)


# Numbers


def test_numbers_are_those_of_standard_scaler():
    X = np.random.default_rng(0).lognormal(3, 2, (200, 5)) * [1, 1e-6, 1e6, 1e9, 1]
    np.testing.assert_allclose(TableEncoder().fit_transform(X), StandardScaler().fit_transform(X), atol=1e-9)


def test_robust_numbers_are_those_of_robust_scaler_where_quartiles_are_values():
    X = np.random.default_rng(0).normal(size=(201, 3))  # of 4 k + 1 values the quartiles are values of their own
    np.testing.assert_allclose(TableEncoder(scale="robust").fit_transform(X), RobustScaler().fit_transform(X), atol=0.1)
    sorted_X = np.sort(X, axis=0)
    expected = (X - sorted_X[100]) / (sorted_X[150] - sorted_X[50])
    np.testing.assert_allclose(TableEncoder(scale="robust").fit_transform(X), expected)


def test_a_gap_becomes_the_median_and_a_column_says_so():
    table = encoded(frame(a=[1.0, np.nan, 3.0, 10.0]), scale="none")
    assert table["a"].tolist() == [1.0, 3.0, 3.0, 10.0]  # the smallest value of which half are not larger
    assert table["a_missing"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_gap_that_comes_later_becomes_the_median():
    encoder = TableEncoder(scale="none").fit(np.array([[1.0, 4.0], [2.0, 4.0], [9.0, 5.0]]))
    assert encoder.transform([[np.nan, np.nan]]).tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize("scale", ["standard", "robust"])
@pytest.mark.parametrize("value", [0.0, 7.0, 1e-300, 1e300, np.nan])
def test_a_constant_column_is_zero(value, scale):
    table = encoded(frame(a=[value] * 4, b=[1.0, 2.0, 3.0, 4.0]), scale=scale)
    assert list(table) == ["a", "b"]
    assert table["a"].tolist() == [0.0] * 4


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_any_size_of_numbers_comes_on_one_scale(unit):
    X = unit * np.random.default_rng(0).normal(size=(100, 2))
    scaled = TableEncoder().fit_transform(X)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0)
    large = 1e8 + np.random.default_rng(0).normal(size=(100, 1))
    np.testing.assert_allclose(TableEncoder().fit_transform(large).std(), 1.0)


def test_the_clip_is_smooth_and_below_three():
    X = np.array([[-1e6], [-1.0], [0.0], [1.0], [1e6]])
    out = TableEncoder(scale="none", clip=True).fit_transform(X).ravel()
    np.testing.assert_allclose(out, [-3, -1 / np.sqrt(1 + 1 / 9), 0, 1 / np.sqrt(1 + 1 / 9), 3], rtol=1e-6)


def test_decimals_durations_nullable_and_arrow_numbers_are_numbers():
    table = frame(
        a=[decimal.Decimal("1.5"), decimal.Decimal(2), None],
        b=pd.to_timedelta(["1h", "2h", None]),
        c=pd.array([1, None, 3], dtype="Int64"),
        d=pd.array([1.0, 2.0, None], dtype="float64[pyarrow]"),
    )
    out = encoded(table, scale="none")
    assert out["a"].tolist() == [1.5, 2.0, 1.5]
    assert out["b"].tolist() == [3600.0, 7200.0, 3600.0]
    assert out["c"].tolist() == [1.0, 1.0, 3.0]
    assert out["d"].tolist() == [1.0, 2.0, 1.0]
    assert [name for name in out if name.endswith("_missing")] == ["a_missing", "b_missing", "c_missing", "d_missing"]


# Pieces


def test_pieces_are_those_of_a_worked_example():
    """Of 1 … 9 the edges of 4 pieces are the 1st, 3rd, 5th, 7th and 9th value."""
    X = np.arange(1.0, 10.0)[:, np.newaxis]
    encoder = TableEncoder(scale="none", pieces=4).fit(X)
    out = encoder.transform([[0.0], [1.0], [2.0], [4.5], [9.0], [100.0]])
    assert out[:, 0].tolist() == [0.0, 1.0, 2.0, 4.5, 9.0, 100.0]
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0], [1, 0.75, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    np.testing.assert_allclose(out[:, 1:], 2 * np.array(expected) - 1)
    assert encoder.get_feature_names_out().tolist() == ["x0", *(f"x0_piece{i}" for i in range(4))]


def test_columns_of_few_values_have_a_piece_between_each_two_and_those_of_two_none():
    rng = np.random.default_rng(0)
    X = np.stack([rng.integers(0, 2, 200), rng.integers(0, 5, 200), rng.normal(size=200)], axis=1)
    encoder = TableEncoder(pieces=16, scale="none").fit(X)
    names = [name for name in encoder.get_feature_names_out() if "piece" in name]
    assert names == [*(f"x1_piece{i}" for i in range(4)), *(f"x2_piece{i}" for i in range(16))]
    steps = encoder.transform([[0.0, value, 0.0] for value in range(5)])[:, 3:7]
    assert steps.tolist() == (2.0 * np.tril(np.ones((5, 4)), -1) - 1).tolist()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_of_many_rows_is_one_edge_and_the_others_cut_the_rest(weighted):
    """80 zeros and 1 … 20: beside the lowest and the highest, 3 edges cut 1 … 19 at 4.75, 9.5 and 14.25 of 19 rows."""
    X, weight = np.arange(21.0)[:, np.newaxis], np.r_[80.0, np.ones(20)]
    if not weighted:
        X, weight = X.repeat(weight.astype(int), axis=0), None
    encoder = TableEncoder(pieces=4, scale="none").fit(X, sample_weight=weight)
    at_edges = encoder.transform([[0.0], [5.0], [10.0], [15.0], [20.0]])[:, 1:]
    assert at_edges.tolist() == (2.0 * np.tril(np.ones((5, 4)), -1) - 1).tolist()
    between = encoder.transform([[2.5], [12.5]])[:, 1:]
    assert between.tolist() == [[0.0, -1.0, -1.0, -1.0], [1.0, 1.0, 0.0, -1.0]]


def test_pieces_are_what_their_formula_says():
    X = np.random.default_rng(0).lognormal(size=(500, 1))
    encoder = TableEncoder(pieces=8).fit(X)
    edges = np.quantile(X, np.arange(9) / 8, method="inverted_cdf")
    new = np.r_[X.ravel(), edges, -5.0, 1e4]
    expected = np.stack([np.clip((new - b) / (c - b), 0, 1) for b, c in itertools.pairwise(edges)], axis=1)
    np.testing.assert_allclose(encoder.transform(new[:, np.newaxis])[:, 1:], 2 * expected - 1, atol=1e-12)


# Categories


def test_words_are_those_of_one_hot_encoder():
    words = np.random.default_rng(0).choice(["red", "green", "blue"], 50)
    expected = OneHotEncoder(sparse_output=False).fit_transform(words[:, np.newaxis])
    np.testing.assert_array_equal(TableEncoder().fit_transform(frame(colour=words)), expected)


def test_gaps_have_a_column_of_their_own_and_what_is_new_is_zero():
    encoder = TableEncoder().fit(frame(a=["x", None, "y"]))
    assert encoder.get_feature_names_out().tolist() == ["a_x", "a_y", "a_missing"]
    assert encoder.transform(frame(a=["y", "new", np.nan])).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_many_levels_share_columns():
    """Of 50 words the 30 most frequent have a column; the rest share one, and eight by their hash."""
    words = [f"w{i:02}" for i in range(50) for _ in range(60 - i)]
    encoder = TableEncoder().fit(frame(a=words))
    names = encoder.get_feature_names_out().tolist()
    assert names == [*(f"a_w{i:02}" for i in range(30)), "a_other", "a_frequency", *(f"a_hash{i}" for i in range(8))]
    out = encoder.transform(frame(a=["w00", "w40", "new", None]))
    assert out[:, :31].sum(axis=1).tolist() == [1, 1, 1, 0]
    assert out[:, 30].tolist() == [0, 1, 1, 0]
    assert out[:, 32:].sum(axis=1).tolist() == [0, 1, 1, 0]
    whole = encoder.transform(frame(a=words))[:, 31]
    shares = np.log(np.array([60 - i for i in range(50) for _ in range(60 - i)]) / len(words))
    np.testing.assert_allclose(whole, (shares - shares.mean()) / shares.std(), atol=1e-9)
    assert out[2, 31] == whole.min()  # what did not occur is as rare as the rarest
    assert out[3, 31] == 0.0


def test_hashes_are_the_same_in_every_process():
    """Siphash of pandas, with a fixed key; the number is what pandas 2.2 to 3.0 give."""
    from nnexp.encoding.encoder import hashes_of

    assert hashes_of(["Bern"])[0] == pd.util.hash_array(np.array(["Bern"], dtype=object))[0]


def test_whole_numbers_are_the_same_level_as_integers_and_floats():
    kinds = {"a": "category"}
    encoder = TableEncoder(kinds=kinds).fit(frame(a=[1, 2, 3]))
    assert encoder.transform(frame(a=[2.0, np.nan])).tolist() == [[0, 1, 0], [0, 0, 0]]
    assert encoder.transform(frame(a=["2", "x"])).tolist() == [[0, 1, 0], [0, 0, 0]]


# Booleans, times


def test_booleans():
    table = encoded(
        frame(a=[True, False, True], b=pd.array([True, None, False], dtype="boolean"), c=[True, None, False])
    )
    assert table["a"].tolist() == [1, 0, 1]
    for name in "bc":
        assert table[name].tolist() == [1, 0.5, 0]
        assert table[f"{name}_missing"].tolist() == [0, 1, 0]


def test_times_are_days_and_circles():
    when = pd.to_datetime(["2024-01-01 00:00", "2024-07-02 06:00", "2025-12-31 12:00", None])
    table = encoded(frame(when=when), scale="none")
    days = [19723.0, 19906.25, 20453.5]
    assert table["when_days"].tolist()[:3] == days
    assert list(table) == [
        "when_days", *(f"when_{circle}_{f}" for circle in ("year", "month", "week", "day") for f in ("sin", "cos")), "when_missing",
    ]  # fmt: skip
    share_of_year = np.array([0, (183 + 0.25) / 366, (364 + 0.5) / 365])
    np.testing.assert_allclose(table["when_year_sin"][:3], np.sin(2 * np.pi * share_of_year), atol=1e-12)
    np.testing.assert_allclose(table["when_day_cos"][:3], [1, 0, -1], atol=1e-12)
    np.testing.assert_allclose(table["when_week_sin"][0], 0, atol=1e-12)  # a Monday
    assert table.iloc[3, 1:-1].tolist() == [0.0] * 8
    assert table["when_missing"].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "days",
    [
        [datetime.date(2024, 1, 1), None, datetime.date(2024, 5, 5)],
        pd.Series(["2024-01-01", None, "2024-05-05"], dtype=object),
        pd.to_datetime(["2024-01-01", None, "2024-05-05"]),
        pd.to_datetime(["2024-01-01", None, "2024-05-05"]).tz_localize("Europe/Zurich"),
        pd.PeriodIndex(["2024-01-01", None, "2024-05-05"], freq="D"),
    ],
)
def test_dates_of_every_kind_are_times(days):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dates written as words")
        table = encoded(frame(a=days), scale="none")
    assert table["a_days"].tolist()[::2] == [19723.0, 19848.0]


def test_times_of_several_zones_are_those_of_utc():
    zones = [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-02", tz="Asia/Tokyo")]
    assert encoded(frame(a=zones), scale="none")["a_days"].tolist() == [19723.0, 19724.0 - 9 / 24]
    words = ["2024-01-01T00:00:00+01:00", "2024-01-02T00:00:00+02:00"]
    with pytest.warns(UserWarning, match="dates written as words"):
        days = encoded(frame(a=words), scale="none")["a_days"]
    np.testing.assert_allclose(days, [19723 - 1 / 24, 19724 - 2 / 24])


def test_words_that_only_look_like_dates_are_words():
    assert list(encoded(frame(a=["2024-13-45", "2024-01-02"]))) == ["a_2024-01-02", "a_2024-13-45"]


def test_columns_of_arrow_types():
    table = pd.DataFrame(
        {
            "d": pd.array([decimal.Decimal(1), None], dtype=pd.ArrowDtype(pyarrow.decimal128(5, 2))),
            "t": pd.array([datetime.date(2024, 1, 1), None], dtype=pd.ArrowDtype(pyarrow.date32())),
            "s": pd.array(["x", None], dtype=pd.ArrowDtype(pyarrow.string())),
            "b": pd.array([True, None], dtype=pd.ArrowDtype(pyarrow.bool_())),
            "m": pd.array([datetime.datetime(2024, 1, 1), None], dtype=pd.ArrowDtype(pyarrow.timestamp("us"))),
            "u": pd.array([datetime.timedelta(1), None], dtype=pd.ArrowDtype(pyarrow.duration("us"))),
        }
    )
    out = encoded(table, scale="none")
    assert out.iloc[0].tolist() == [1, 0, 19723, 0, 1, 0, 1, 0, 19723, 0, 86400, 0]
    with pytest.raises(ValueError, match="holds neither numbers nor words"):
        TableEncoder().fit(frame(a=pd.array([[1], [2]], dtype=pd.ArrowDtype(pyarrow.list_(pyarrow.int64())))))


def test_gaps_in_arrays_of_times_and_times_that_are_all_gaps_later():
    days = np.array([["2024-01-01"], ["NaT"], ["2024-01-03"]], dtype="M8[D]")
    assert TableEncoder(scale="none").fit_transform(days)[:, 0].tolist() == [19723, 19723, 19725]
    encoder = TableEncoder(scale="none").fit(frame(t=pd.to_datetime(["2024-01-01", "2024-01-03"])))
    assert encoder.transform(frame(t=[np.nan, np.nan]))[:, 0].tolist() == [19723, 19723]


def test_a_constant_sparse_column_keeps_its_scale_whatever_the_weights():
    X = sparse.csr_array(np.c_[np.full(1000, 3.0), np.random.default_rng(0).normal(size=1000)])
    for seed in range(4):
        weight = np.random.default_rng(seed).uniform(0.1, 1, 1000)
        assert TableEncoder().fit(X, sample_weight=weight).transform(X).toarray()[0, 0] == 3.0


def test_numbers_far_beyond_those_of_training_stay_within_the_clip():
    out = TableEncoder(clip=True).fit([[0.0], [1.0]]).transform([[1e200], [-1e100]])
    np.testing.assert_allclose(out, [[3.0], [-3.0]])


def test_numbers_that_are_too_large_are_a_sentence():
    with pytest.raises(ValueError, match="Column 'a' is one of numbers, and holds what is none: int too large"):
        TableEncoder().fit(frame(a=[10**400, 1]))


def test_numbers_written_as_words_are_said():
    many = frame(a=[f"{i}.5" for i in range(40)] + [" "])
    with pytest.warns(UserWarning, match="Column 'a' holds numbers written as words. They are taken as numbers."):
        encoder = TableEncoder(scale="none").fit(many)
    assert encoder.transform(many)[:3, 0].tolist() == [0.5, 1.5, 2.5]
    assert encoder.get_feature_names_out().tolist() == ["a", "a_missing"]
    with pytest.warns(UserWarning, match="They are taken as categories."):
        assert len(TableEncoder().fit(frame(a=["1", "2", "3"])).get_feature_names_out()) == 3


# Tables


def test_tables_of_every_kind_give_the_same():
    table = frame(n=[1.0, None, 3.0, 4.0], w=["a", "b", None, "a"], b=[True, False, True, True])
    expected = TableEncoder().fit_transform(table)
    others = [
        polars.from_pandas(table),
        polars.from_pandas(table).to_arrow(),
        table.convert_dtypes(),
        table.convert_dtypes(dtype_backend="pyarrow"),
        table.astype({"w": "category"}),
        table.astype(object),
    ]
    for other in others:
        np.testing.assert_allclose(TableEncoder().fit_transform(other), expected)
        np.testing.assert_allclose(TableEncoder().fit(table).transform(other), expected)
    rows = [[1.0, "a"], [2.0, "b"]]
    for given_rows in (rows, np.array(rows, dtype=object)):
        assert TableEncoder().fit_transform(given_rows).tolist() == [[-1, 1, 0], [1, 0, 1]]


def test_a_table_and_its_numbers_are_learnt_to_the_same_bits():
    """However they lie in memory, and whether other columns are words."""
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(501, 7))
    X[rng.random(X.shape) < 0.1] = np.nan
    expected = TableEncoder(pieces=4).fit(X).transform(X)
    for other in (np.asfortranarray(X), X[::-1][::-1], pd.DataFrame(X), pd.DataFrame(X).to_numpy()):
        np.testing.assert_array_equal(TableEncoder(pieces=4).fit(other).transform(other), expected)
    table = pd.DataFrame(X, columns=list("abcdefg"))
    plain, mixed = TableEncoder().fit(table), TableEncoder().fit(table.assign(word="x"))
    names = [str(name) for name in mixed.get_feature_names_out()]
    kept = [names.index(str(name)) for name in plain.get_feature_names_out()]
    np.testing.assert_array_equal(mixed.transform(table.assign(word="x"))[:, kept], plain.transform(table))


def test_other_columns_than_in_fit_are_refused():
    table = frame(a=[1.0, 2.0], b=["x", "y"])
    encoder = TableEncoder().fit(table)
    for other in (table[["b", "a"]], table[["a"]], table.assign(c=1), table.rename(columns={"a": "z"})):
        with pytest.raises(ValueError, match="feature names should match|The feature names"):
            encoder.transform(other)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1.0, np.inf, 2.0], "Input X contains infinity or a value too large.*column 'a'"),
        ([[1], [2], [3]], "Column 'a' holds neither numbers nor words"),
        ([{}, {}, {}], "Column 'a' holds neither numbers nor words"),
        ([(1, 2), (3, 4), (5, 6)], r"Column 'a' holds neither numbers nor words, but \(1, 2\)"),
        ([1j, 2j, 3j], "Complex data not supported"),
    ],
)
def test_what_is_no_column_is_a_sentence(column, said):
    table = pd.DataFrame(
        {"a": pd.Series(column, dtype=None if isinstance(column[0], float | complex) else object), "b": list("xyz")}
    )
    with pytest.raises(ValueError, match=said):
        TableEncoder().fit(table)


def test_cells_that_are_no_numbers_any_more_are_a_sentence():
    encoder = TableEncoder().fit(frame(a=[1.0, 2.0], b=["x", "y"]))
    assert (
        encoder.transform(frame(a=["1", "2"], b=["x", "y"])).tolist()
        == encoder.transform(frame(a=[1, 2], b=["x", "y"])).tolist()
    )
    with pytest.raises(ValueError, match="Column 'a' is one of numbers, and holds what is none: .*'old'"):
        encoder.transform(frame(a=[1.0, "old"], b=["x", "y"]))
    times = TableEncoder().fit(frame(a=pd.to_datetime(["2024-01-01", "2024-02-02"])))
    with pytest.raises(ValueError, match="Column 'a' is one of times"):
        times.transform(frame(a=[1.0, 2.0]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scale": "standart"}, "scale: unknown value 'standart'. Did you mean 'standard'"),
        ({"pieces": -1}, "pieces must be"),
        ({"max_levels": 0}, "max_levels must be"),
        ({"kinds": {"z": "number"}}, "kinds names 'z', which is no column of X"),
        ({"kinds": {"a": "word"}}, "The kind of 'a': unknown value 'word'"),
    ],
)
def test_impossible_parameters_are_a_sentence(settings, said):
    with pytest.raises(ValueError, match=said):
        TableEncoder(**settings).fit(frame(a=[1.0, 2.0], b=["x", "y"]))


def test_two_columns_of_one_name_are_refused_and_two_inputs_of_one_name_get_numbers():
    for cells in ([[1.0, "x"], [2.0, "y"]], [[1.0, 2.0], [2.0, 1.0]]):
        with pytest.raises(ValueError, match="Columns must have names of their own. 'a' occurs several times"):
            TableEncoder().fit(pd.DataFrame(cells, columns=["a", "a"]))
    names = TableEncoder().fit(pd.DataFrame({"a": ["x", "y"], "a_x": [1.0, 2.0]})).get_feature_names_out().tolist()
    assert names == ["a_x", "a_y", "a_x_2"]


def test_a_column_of_gaps_alone_says_nothing_whatever_comes_later():
    encoder = TableEncoder().fit(pd.DataFrame({"a": [None, None], "b": [1.0, 2.0]}, dtype=object))
    assert encoder.transform(pd.DataFrame({"a": ["new", 3], "b": [1.0, 2.0]})).tolist() == [[0, -1], [0, 1]]


def test_a_column_of_words_may_be_all_gaps_later():
    table = frame(a=["x", "y"], b=[1.0, 2.0])
    encoder = TableEncoder().fit(table)
    assert encoder.transform(table.assign(a=np.nan)).tolist() == [[0, 0, -1], [0, 0, 1]]


def test_sparse_columns_are_scaled_and_stay_sparse():
    X = sparse.random_array((100, 20), density=0.1, random_state=np.random.default_rng(0), format="csr")
    out = TableEncoder().fit_transform(X)
    assert sparse.issparse(out)
    assert out.nnz == X.nnz
    deviation = X.toarray().std(axis=0)
    np.testing.assert_allclose(out.toarray(), X.toarray() / np.where(deviation > 0, deviation, 1))


def test_many_categories_give_a_sparse_result():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"c{i}": rng.choice([f"w{j}" for j in range(30)], 20_000) for i in range(20)})
    encoder = TableEncoder().fit(table)
    out = encoder.transform(table)
    assert sparse.issparse(out)
    assert (out.shape, out.nnz) == ((20_000, 600), 400_000)
    np.testing.assert_array_equal(out[:100].toarray(), encoder.transform(table[:100]))
    assert isinstance(encoder.set_output(transform="pandas").transform(table), pd.DataFrame)


def test_outputs_of_pandas_and_polars():
    table = frame(a=[1.0, None], b=["x", "y"])
    for kind, cls in (("pandas", pd.DataFrame), ("polars", polars.DataFrame)):
        out = TableEncoder().set_output(transform=kind).fit_transform(table)
        assert isinstance(out, cls)
        assert list(out.columns) == ["a", "a_missing", "b_x", "b_y"]


def test_a_pickle_and_a_clone_encode_alike():
    table = frame(a=[1.0, None, 2.0], b=["x", "y", "x"], c=pd.to_datetime(["2024-01-01", "2024-05-01", None]))
    encoder = TableEncoder(pieces=2, clip=True).fit(table)
    expected = encoder.transform(table)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(table), expected)
    np.testing.assert_array_equal(clone(encoder).fit(table).transform(table), expected)


# Properties

NUMBERS = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=NUMBERS),
    st.sampled_from(["standard", "robust", "none"]), st.booleans(), st.integers(0, 4), st.data(),
)  # fmt: skip
def test_a_weight_of_n_is_the_row_n_times(X, scale, clip, pieces, data):
    weight = data.draw(arrays.arrays(np.int64, len(X), elements=st.integers(0, 3)))
    if not weight.any():
        weight[0] = 1
    settings = {"scale": scale, "clip": clip, "pieces": pieces}
    kept = weight > 0
    weighted = TableEncoder(**settings).fit(X, sample_weight=weight.astype(float))
    repeated = TableEncoder(**settings).fit(np.repeat(X, weight, axis=0))
    assert weighted.get_feature_names_out().tolist() == repeated.get_feature_names_out().tolist()
    np.testing.assert_allclose(weighted.transform(X[kept]), repeated.transform(X[kept]), rtol=1e-6, atol=1e-6)


WORDS = st.sampled_from(["a", "b", "c", "", "1", "nan"]) | st.none()


@pytest.mark.slow
@given(st.lists(st.tuples(NUMBERS, WORDS, st.booleans() | st.none()), min_size=1, max_size=12), st.data())
def test_any_table_gives_finite_numbers_row_by_row(rows, data):
    table = pd.DataFrame(rows, columns=["n", "w", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = TableEncoder(pieces=3).fit(table)
    out = encoder.transform(table)
    assert np.isfinite(out).all()
    assert out.shape == (len(table), len(encoder.get_feature_names_out()))
    order = data.draw(st.permutations(range(len(table))))
    np.testing.assert_array_equal(encoder.transform(table.iloc[order]), out[order])
    other = data.draw(
        st.lists(st.tuples(NUMBERS, WORDS | st.just("new"), st.booleans() | st.none()), min_size=1, max_size=5)
    )
    assert np.isfinite(encoder.transform(pd.DataFrame(other, columns=["n", "w", "b"]).astype({"b": object}))).all()
