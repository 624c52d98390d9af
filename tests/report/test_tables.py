import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from nnexp.report import compare
from nnexp.report.tables import paired_scores
from tests.report.tables import make_results
from tests.test_statistics import around


def test_cells_and_ranks():
    results = make_results({"a": {"x": around(0.9), "y": around(0.8)}, "b": {"x": around(0.7), "y": around(0.7)}})
    comparison = compare(results)
    cells = comparison.cells.set_index(["data", "model"])
    assert cells.loc[("a", "x"), "mean"] == pytest.approx(np.mean(around(0.9)))
    assert cells["rank"].tolist() == [1, 2, 1.5, 1.5]
    assert comparison.leaderboard.loc["x", "mean_rank"] == 1.25
    assert comparison.best == "x"


def test_models_that_all_fail_have_no_rank():
    scores = {"a": {"x": around(0.9), "y": [None] * 10, "z": [None] * 10}}
    comparison = compare(make_results(scores))
    assert comparison.best is None
    assert comparison.leaderboard["mean_rank"].isna().tolist() == [False, True, True]


def test_a_model_that_fails_ranks_last():
    scores = {"a": {"x": [*around(0.99, n=9), None], "y": around(0.8), "z": around(0.7)}}
    comparison = compare(make_results(scores))
    assert comparison.best == "y"
    assert comparison.cells.set_index("model").loc["x", "rank"] == 3


def test_all_pairs_belong_to_the_family_that_is_adjusted():
    scores = {"a": {name: around(0.8 + 0.02 * i, seed=i) for i, name in enumerate("wxyz")}}
    differences = compare(make_results(scores)).differences
    assert len(differences) == 6
    np.testing.assert_allclose(differences["p_holm"], multipletests(differences["p"], method="holm")[1])


def test_the_numbers_of_a_comparison_are_those_worked_by_hand():
    """Two data sets with test sets of different sizes, three models, each number from its formula."""
    rng = np.random.default_rng(8)
    scores = {d: {m: list(rng.uniform(0.6, 0.9, 6)) for m in "xyz"} for d in "ab"}
    results = make_results(scores)
    runs = results.runs
    runs["n_train"] = np.where(runs["data"] == "a", 70, 95)
    runs["n_test"] = np.where(runs["data"] == "a", 30, 5)
    comparison = compare(results)
    share = {"a": 30 / 70, "b": 5 / 95}
    t = stats.t.ppf(0.975, 5)
    variances = {}
    for d in "ab":
        for m in "xyz":
            variances[d, m] = (1 / 6 + share[d]) * np.var(scores[d][m], ddof=1)
            cell = comparison.cells.set_index(["data", "model"]).loc[(d, m)]
            assert cell["mean"] == pytest.approx(np.mean(scores[d][m]))
            assert cell["half_width"] == pytest.approx(t * np.sqrt(variances[d, m]))
    board = comparison.leaderboard
    for m in "xyz":
        assert board.loc[m, "accuracy_mean"] == pytest.approx(np.mean([scores[d][m] for d in "ab"]))
        pooled = np.sqrt(variances["a", m] + variances["b", m]) / 2
        assert board.loc[m, "accuracy_half_width"] == pytest.approx(t * pooled)
        best_on = sum(np.mean(scores[d][m]) == max(np.mean(scores[d][k]) for k in "xyz") for d in "ab")
        assert board.loc[m, "wins"] == best_on
    p_values = []
    for _, row in comparison.differences.iterrows():
        d = np.subtract(scores[row["data"]][row["model"]], scores[row["data"]][row["other"]])
        spread = np.sqrt((1 / 6 + share[row["data"]]) * np.var(d, ddof=1))
        assert row["difference"] == pytest.approx(d.mean())
        assert row["half_width"] == pytest.approx(t * spread)
        p_values.append(2 * stats.t.sf(abs(d.mean()) / spread, 5))
        inside = stats.t.cdf((0.01 - d.mean()) / spread, 5) - stats.t.cdf((-0.01 - d.mean()) / spread, 5)
        assert row["equal"] == pytest.approx(inside)
    np.testing.assert_allclose(comparison.differences["p"], p_values)
    for row in comparison.design.to_dict("records"):
        pair = comparison.differences.query("data == @row['data'] and model == @comparison.best")
        pair = pair[pair["other"] == comparison.second].iloc[0]
        assert row["standard_error"] == pytest.approx(pair["half_width"] / t)
        assert row["difference"] == pytest.approx(pair["difference"])


def test_equal_scores_in_another_order_share_a_rank():
    values = [29 / 30, 28 / 30, 27 / 30, 1.0, 26 / 30]
    comparison = compare(make_results({"a": {"x": values, "y": values[::-1]}}, repeats=1))
    assert comparison.cells["rank"].tolist() == [1.5, 1.5]
    assert comparison.leaderboard["wins"].tolist() == [1, 1]


def test_only_shared_splits_are_paired():
    results = make_results({"a": {"x": around(0.9), "y": around(0.8, seed=1)}})
    runs = results.runs.assign(score=results.runs["accuracy"], split="s")
    assert paired_scores(runs, "a").shape == (2, 10)
    assert paired_scores(runs.iloc[1:], "a").shape == (2, 9)
    other = runs.copy()
    other.loc[3, "split"] = "t"  # the same number of a fold, other test rows
    assert paired_scores(other, "a").shape == (2, 9)


def test_what_counts_as_practically_equal():
    comparison = compare(make_results({"a": {"x": around(0.9), "y": around(0.8)}}))
    assert comparison.rope == {"a": 0.01}
    results = make_results({"a": {"x": around(0.9), "y": around(0.8)}})
    results.experiment["evaluation"]["equivalence"] = 0.05
    assert compare(results).rope == {"a": 0.05}
    results.experiment["evaluation"] |= {"equivalence": None, "metrics": {"classification": ["neg_log_loss"]}}
    results.runs["neg_log_loss"] = -10 * results.runs["accuracy"]
    high = results.runs.groupby("model")["neg_log_loss"].mean().max()
    assert compare(results).rope["a"] == pytest.approx(0.01 * abs(high))


def test_models_with_a_missing_mean_take_no_part_across_data_sets():
    scores = {name: {"x": around(0.9), "y": around(0.8), "z": around(0.7)} for name in "abcdefg"}
    scores["c"]["z"] = [None, *around(0.7, n=9)]
    table = compare(make_results(scores)).across
    assert set(table["model"]) | set(table["other"]) == {"x", "y"}
