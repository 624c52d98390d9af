import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nnexp.report import compare
from nnexp.report.statistics import across_data_sets, corrected_variance, half_width, holm, paired_p_value
from tests.report.tables import make_results

RNG = np.random.default_rng(0)


def around(mean, spread=0.02, n=10, seed=0):
    return list(np.round(mean + spread * np.random.default_rng(seed).standard_normal(n), 4))


def test_without_the_overlap_of_training_sets_the_test_is_students():
    differences = RNG.normal(0.3, 1, 12)
    expected = stats.ttest_1samp(differences, 0).pvalue
    assert paired_p_value(differences, n_train=1e12, n_test=1) == pytest.approx(expected)


def test_the_corrected_test_follows_its_formula():
    d = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    t = 0.014 / np.sqrt((1 / 5 + 20 / 80) * np.var(d, ddof=1))
    assert paired_p_value(d, 80, 20) == pytest.approx(2 * (1 - stats.t.cdf(t, 4)))


def test_the_interval_excludes_0_exactly_if_p_is_below_5_percent():
    for shift in np.linspace(0, 2, 21):
        d = RNG.normal(shift, 1, 10)
        excludes = abs(d.mean()) > half_width(corrected_variance(d, 90, 10), 9)
        assert excludes == (paired_p_value(d, 90, 10) < 0.05)


def test_a_plain_test_over_folds_is_too_sure_and_the_corrected_one_is_not():
    """Two equal models whose splits share their training data: scores correlate as the correction assumes."""
    rng = np.random.default_rng(1)
    n_splits, n_test, n_train, trials = 10, 10, 90, 4000
    correlation = n_test / (n_test + n_train)
    common = rng.standard_normal((trials, 1)) * np.sqrt(correlation)
    differences = common + rng.standard_normal((trials, n_splits)) * np.sqrt(1 - correlation)
    corrected = np.array([paired_p_value(d, n_train, n_test) for d in differences])
    plain = stats.ttest_1samp(differences, 0, axis=1).pvalue
    assert (corrected < 0.05).mean() <= 0.055
    assert (plain < 0.05).mean() > 0.1


def test_equal_scores_differ_by_nothing():
    assert paired_p_value(np.zeros(5), 80, 20) == 1
    # Equal differences on all splits are 0 / 0, also where they are equal up to rounding only.
    assert np.isnan(paired_p_value(np.ones(5), 80, 20))
    assert np.isnan(paired_p_value(np.array([0.875, 0.75, 1.0]) - (np.array([0.875, 0.75, 1.0]) - 0.1), 80, 20))
    assert np.isnan(paired_p_value(np.ones(1), 80, 20))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down_procedure(values):
    p = np.array(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    for level in (0.01, 0.05, 0.2):
        # by the book: go through the sorted p-values, stop at the first that is not small enough
        rejected = set()
        for step, i in enumerate(np.argsort(p, kind="stable")):
            if p[i] * (len(p) - step) >= level:
                break
            rejected.add(int(i))
        assert set(np.flatnonzero(adjusted < level)) == rejected


def test_holm_leaves_what_is_unknown_out():
    adjusted = holm(np.array([0.01, np.nan, 0.02]))
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])


def test_cells_and_ranks():
    results = make_results({"a": {"x": around(0.9), "y": around(0.8)}, "b": {"x": around(0.7), "y": around(0.7)}})
    comparison = compare(results)
    cells = comparison.cells.set_index(["data", "model"])
    assert cells.loc[("a", "x"), "mean"] == pytest.approx(np.mean(around(0.9)))
    assert cells["rank"].tolist() == [1, 2, 1.5, 1.5]
    assert comparison.leaderboard.loc["x", "mean_rank"] == 1.25
    assert comparison.best == "x"


def answer(scores, **settings):
    return " ".join(compare(make_results(scores, **settings)).answer)


def test_a_clear_winner_on_one_data_set():
    said = answer({"a": {"x": around(0.95, seed=1), "y": around(0.80, seed=2)}}, evaluations={"x": 1e6, "y": 1e5})
    assert said.startswith(
        "On this data set, x has the best mean score of the 2 models. It differs from y by more than chance"
    )
    assert " points of accuracy on a (95 % interval +" in said
    assert (
        "Its cost, for a fit: 1 M evaluations, 500 ms; y takes 0.10 times the evaluations and 1.0 times the seconds."
        in said
    )
    assert said.endswith("One data set says nothing about others.")


def test_a_lead_within_chance_is_said_to_be():
    said = answer({"a": {"x": around(0.901, seed=1), "y": around(0.900, seed=2)}})
    assert (
        "It does not differ from y by more than chance explains here: other splits may turn the order around." in said
    )


def test_a_tie_is_shared():
    said = answer({"a": {"x": around(0.9), "y": around(0.9)}, "b": {"x": around(0.8), "y": around(0.8)}})
    assert "x and y share the best mean rank, 1.5 of 2." in said


def test_a_few_data_sets_carry_no_claim_about_others():
    sets = {name: {"x": around(0.95, seed=1), "y": around(0.8, seed=2)} for name in "abcd"}
    assert "with 4, even winning on all of them would be p = 0.125" in answer(sets)
    sets = {name: {"x": around(0.95, seed=1), "y": around(0.8, seed=2)} for name in "abcdef"}
    assert "Across the 6 data sets as a sample, it differs from y (Wilcoxon" in answer(sets)


def test_one_model_is_no_comparison():
    assert answer({"a": {"x": around(0.9)}}) == "There is one model, x, and so nothing to compare."


def test_a_model_that_fails_ranks_last_and_is_said_first():
    scores = {"a": {"x": [*around(0.99, n=9), None], "y": around(0.8), "z": around(0.7)}}
    comparison = compare(make_results(scores))
    assert comparison.best == "y"
    assert comparison.cells.set_index("model").loc["x", "rank"] == 3
    assert comparison.cautions == ["x failed in 1 of 10 runs on a; it has no score there and ranks last."]


def test_what_is_missing_is_said():
    scores = {"a": {"x": around(0.9), "y": around(0.8)}}
    cautions = compare(make_results(scores, planned=40)).cautions
    assert cautions[0] == "20 of 40 runs are finished; the rest is missing here."
    assert answer(scores, quick=True).startswith("This was a quick run")
    results = make_results(scores)
    uneven = type(results)(**{**vars(results), "runs": results.runs.iloc[:-1]})
    assert any("unequal numbers of runs" in caution for caution in compare(uneven).cautions)


def test_models_for_different_tasks_are_not_ranked_together():
    scores = {"a": {"x": around(0.9)}, "b": {"y": around(0.8)}}
    assert "there is no ranking" in answer(scores)


def test_models_that_all_fail_have_no_winner():
    scores = {"a": {"x": [None] * 10, "y": [None] * 10}}
    assert answer(scores) == "Every model failed; the failed runs are listed with their reasons."
    scores = {"a": {"x": around(0.9), "y": [None] * 10, "z": [None] * 10}}
    comparison = compare(make_results(scores))
    assert comparison.best is None
    assert comparison.leaderboard["mean_rank"].isna().tolist() == [False, True, True]


def test_too_few_splits_carry_no_claim():
    scores = {"a": {"x": [0.9, 0.91], "y": [0.5, 0.51]}}
    assert "cannot be told from these runs" in answer(scores, repeats=1)


def test_all_pairs_belong_to_the_family_that_is_adjusted():
    scores = {"a": {name: around(0.8 + 0.02 * i, seed=i) for i, name in enumerate("wxyz")}}
    differences = compare(make_results(scores)).differences
    assert len(differences) == 6
    np.testing.assert_allclose(differences["p_holm"], holm(differences["p"].to_numpy()))


def test_across_data_sets_the_test_is_wilcoxons():
    rng = np.random.default_rng(3)
    means = {name: {m: rng.uniform(0.6, 0.9) for m in "xyz"} for name in "abcdefgh"}
    scores = {name: {m: around(mean, 0.001, seed=1) for m, mean in row.items()} for name, row in means.items()}
    cells = compare(make_results(scores)).cells
    table = across_data_sets(cells, ["x", "y", "z"]).set_index(["model", "other"])
    wide = cells.pivot(index="data", columns="model", values="mean")
    for pair in [("x", "y"), ("x", "z"), ("y", "z")]:
        assert table.loc[pair, "p"] == pytest.approx(stats.wilcoxon(wide[pair[0]], wide[pair[1]]).pvalue)
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))


def test_models_that_did_not_converge_are_named():
    results = make_results({"a": {"x": around(0.9), "y": around(0.8)}})
    results.runs["warnings"] = np.where(results.runs["model"] == "y", "ConvergenceWarning: not yet", None)
    cautions = compare(results).cautions
    assert cautions == ["y warned in 10 of 10 runs that it had not converged: more steps may change its scores."]


def test_one_run_for_each_model_has_no_interval_and_no_claim():
    said = answer({"a": {"x": [0.9], "y": [0.8]}}, repeats=1)
    assert "cannot be told from these runs" in said


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
    np.testing.assert_allclose(comparison.differences["p"], p_values)


def test_equal_scores_in_another_order_share_a_rank():
    values = [29 / 30, 28 / 30, 27 / 30, 1.0, 26 / 30]
    comparison = compare(make_results({"a": {"x": values, "y": values[::-1]}}, repeats=1))
    assert comparison.cells["rank"].tolist() == [1.5, 1.5]
    assert comparison.leaderboard["wins"].tolist() == [1, 1]


def test_worse_is_said_as_worse():
    scores = {
        "a": {"x": around(0.95, seed=1), "y": around(0.93, seed=2), "z": around(0.6, seed=3)},
        "b": {"x": around(0.95, seed=1), "y": around(0.93, seed=2), "z": around(0.6, seed=3)},
        "c": {"x": around(0.7, seed=1), "y": around(0.69, seed=2), "z": around(0.9, seed=3)},
    }
    assert "It is clearly better than z on a, b and worse than z on c." in answer(scores)


def test_costs_are_compared_over_the_data_sets_that_both_took_part_in():
    scores = {"a": {"x": around(0.95), "y": around(0.9), "z": around(0.5)}, "b": {"x": around(0.95), "y": around(0.9)}}
    said = answer(scores)
    assert "z takes" not in said
