import baycomp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

import nnexp.statistics as own
from nnexp.report import compare
from nnexp.statistics import (
    are_equal,
    corrected_variance,
    correlated_probabilities,
    data_sets_needed,
    detectable,
    friedman,
    half_width,
    holm,
    iman_davenport,
    median_interval,
    paired_p_value,
    repeats_needed,
    sign_test,
    signed_rank_probabilities,
    wilcoxon,
)
from tests.report.tables import make_results

RNG = np.random.default_rng(0)

# Demšar (2006), Table 6: the AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets. On voting the last two are printed
# alike, .975; the ranks of the paper have C4.5+cf ahead.
DEMSAR = np.array([
    [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967], [.628, .661, .654, .657],
    [.882, .888, .886, .898], [.936, .931, .916, .931], [.661, .668, .609, .685], [.583, .583, .563, .625],
    [.775, .838, .866, .875], [1.000, 1.000, 1.000, 1.000], [.940, .962, .965, .962], [.619, .666, .614, .669],
    [.972, .981, .97501, .975], [.957, .978, .946, .970],
])  # fmt: skip


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


def test_equal_scores_differ_by_nothing():
    assert paired_p_value(np.zeros(5), 80, 20) == 1
    # Equal differences on all splits are 0 / 0, also where they are equal up to rounding only.
    assert np.isnan(paired_p_value(np.ones(5), 80, 20))
    assert np.isnan(paired_p_value(np.array([0.875, 0.75, 1.0]) - (np.array([0.875, 0.75, 1.0]) - 0.1), 80, 20))
    assert np.isnan(paired_p_value(np.ones(1), 80, 20))
    assert are_equal(np.empty((3, 0))).all()


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


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_holm_agrees_with_statsmodels(values):
    np.testing.assert_allclose(holm(np.array(values)), multipletests(values, method="holm")[1], atol=1e-12)


def test_holm_leaves_what_is_unknown_out():
    adjusted = holm(np.array([0.01, np.nan, 0.02]))
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
@pytest.mark.parametrize("rope", [0.0, 0.01, 0.2])
def test_the_bayesian_signed_rank_test_is_baycomps(seed, rope):
    rng = np.random.default_rng(seed)
    d = rng.normal(0.01, 0.03, rng.integers(3, 25)).round(2)  # with ties
    behind, *equal, ahead = baycomp.SignedRankTest.probs(np.zeros(len(d)), d, rope, nsamples=10_000, random_state=0)
    np.testing.assert_allclose(signed_rank_probabilities(d, rope), [behind, *(equal or [0.0]), ahead], atol=1e-3)


@pytest.mark.parametrize(("folds", "runs", "rope"), [(5, 2, 0.01), (10, 10, 0.02), (10, 1, 0.0)])
def test_the_bayesian_correlated_test_is_baycomps(folds, runs, rope):
    for shift in (-0.03, 0.0, 0.005, 0.04):
        d = np.random.default_rng(folds).normal(shift, 0.02, folds * runs)
        # baycomp says left for the first of its arguments
        left, *middle, right = baycomp.CorrelatedTTest.probs(np.zeros(len(d)), d, rope, runs=runs)
        behind, equal, ahead = correlated_probabilities(d, n_train=100 * (folds - 1), n_test=100, rope=rope)
        assert ahead == pytest.approx(right, abs=1e-9)
        assert behind == pytest.approx(left, abs=1e-9)
        assert equal == pytest.approx(middle[0] if middle else 0, abs=1e-9)


def test_the_bayesian_signed_rank_test_names_who_is_ahead():
    ahead = np.array([0.03, 0.05, 0.02, 0.04, 0.06, 0.03, 0.05, 0.04])
    assert signed_rank_probabilities(ahead, 0.01)[2] > 0.95
    assert signed_rank_probabilities(-ahead, 0.01)[0] > 0.95
    assert signed_rank_probabilities(ahead / 100, 0.01)[1] > 0.95
    assert signed_rank_probabilities(ahead, 0)[2] > 0.95


def test_the_ranks_and_friedmans_test_are_demsars():
    ranks = stats.rankdata(-DEMSAR, axis=1).mean(axis=0)
    np.testing.assert_allclose(ranks, [3.143, 2.000, 2.893, 1.964], atol=0.0005)
    # The paper's statistic is not corrected for ties; scipy's is, and is therefore larger.
    n, k = DEMSAR.shape
    plain = 12 * n / (k * (k + 1)) * (np.sum(ranks**2) - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=0.005)
    assert iman_davenport(plain, n, k) == pytest.approx(3.69, abs=0.005)
    found = friedman(DEMSAR)
    assert found.chi2 == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).statistic)
    assert found.chi2 > plain
    assert found.f == pytest.approx((n - 1) * found.chi2 / (n * (k - 1) - found.chi2))
    assert found.p == pytest.approx(stats.f.sf(found.f, 3, 39))
    assert found.p < 0.05


def test_nemenyis_critical_difference_is_demsars():
    assert friedman(DEMSAR).critical_difference == pytest.approx(1.25, abs=0.005)
    # Table 5 of the paper: q at 5 % for 2 … 10 models; the difference is q · sqrt(k (k + 1) / 6 n).
    for k, q in {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}.items():
        scores = np.random.default_rng(k).uniform(size=(20, k))
        expected = q * np.sqrt(k * (k + 1) / 120)
        assert friedman(scores).critical_difference == pytest.approx(expected, rel=0.001)


def test_wilcoxons_test_of_demsars_example_rejects():
    """C4.5 against C4.5+m: the paper finds T = 12 and rejects at 5 %, its critical value being 21."""
    d = np.round(DEMSAR[:, 1] - DEMSAR[:, 0], 6)
    ranks = stats.rankdata(np.abs(d))
    zeros = ranks[d == 0].sum() / 2
    assert min(ranks[d > 0].sum() + zeros, ranks[d < 0].sum() + zeros) == 12
    assert wilcoxon(d) < 0.05


@pytest.mark.parametrize("n", [4, 7, 10])
def test_wilcoxons_p_of_ties_is_scipys_by_all_permutations(n):
    d = np.random.default_rng(n).integers(-3, 8, n).astype(float)
    d = d[d != 0]
    expected = stats.wilcoxon(d, method=stats.PermutationMethod(n_resamples=2**13)).pvalue
    assert wilcoxon(d) == pytest.approx(expected)


def test_wilcoxons_p_is_that_of_all_changes_of_sign():
    for seed in range(4):
        d = np.random.default_rng(seed).integers(-4, 9, 9).astype(float)  # with ties and zeros
        d = d[d != 0]
        ranks = stats.rankdata(np.abs(d))
        signs = 1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        sums = np.abs(signs @ ranks)
        expected = np.mean(sums >= abs(np.sign(d) @ ranks) - 1e-9)
        assert wilcoxon(d) == pytest.approx(expected)
    assert wilcoxon(np.zeros(6)) == 1
    assert wilcoxon(np.arange(1.0, 7)) == pytest.approx(2 / 2**6)


def test_friedman_needs_three_models_and_two_data_sets():
    assert friedman(DEMSAR[:, :2]) is None
    assert friedman(DEMSAR[:1]) is None
    assert friedman(np.ones((4, 3))) is None
    perfect = friedman(np.tile([0.3, 0.2, 0.1], (6, 1)))
    assert perfect.f == np.inf
    assert perfect.p == 0


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(3)
    holds = []
    for _ in range(200):
        low, high = median_interval(rng.normal(1.0, 1.0, 12))
        holds.append(low <= 1.0 <= high)
    assert 0.90 <= np.mean(holds) <= 0.995  # a bootstrap by percentiles is a little short for few values
    assert np.isnan(median_interval(np.ones(1))).all()
    assert median_interval(np.full(6, 0.5)) == (0.5, 0.5)


@pytest.mark.parametrize("degrees", [4, 9, 29, 99])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_detectable_difference_is_that_of_the_noncentral_t(degrees, level):
    shift = detectable(1.0, degrees, level)
    bound = stats.t.ppf(1 - level / 2, degrees)
    power = stats.nct.sf(bound, degrees, shift) + stats.nct.cdf(-bound, degrees, shift)
    assert power == pytest.approx(0.8, abs=0.002)
    assert detectable(0.3, degrees, level) == pytest.approx(0.3 * shift)


def test_what_cannot_be_detected():
    assert np.isnan(detectable(1.0, 0))
    assert np.isnan(detectable(np.nan, 9))
    assert detectable(0.0, 9) == 0


def test_repeats_needed_is_the_fewest_that_find_the_difference():
    needed = repeats_needed(0.02, spread=0.03, folds=5, ratio=1 / 19)
    for repeats, finds in ((needed, True), (needed - 1, False)):
        n = 5 * repeats
        error = 0.03 * np.sqrt(1 / n + 1 / 19)
        assert (detectable(error, n - 1) <= 0.02) == finds
    assert repeats_needed(0.001, spread=0.03, folds=5, ratio=0.25) is None


def cross_validated(n_simulations, rng, n=100, folds=5, repeats=2):
    """Return accuracies, of shape (simulations, splits, 2), of two nearest-centroid classifiers that are equally good.

    Each has a feature of its own with the same distribution; both are cross-validated on the same rows and splits, so that the
    scores depend on each other as those of real cross-validations do.
    """
    y = rng.integers(0, 2, (n_simulations, n))
    X = 0.5 * (2 * y[..., None] - 1) + rng.standard_normal((n_simulations, n, 2))
    scores = []
    for _ in range(repeats):
        fold = np.argsort(rng.random((n_simulations, n)), axis=1) % folds
        for k in range(folds):
            test = (fold == k)[..., None]
            ones, zeros = (y == 1)[..., None] & ~test, (y == 0)[..., None] & ~test
            high, low = ((X * own).sum(axis=1) / own.sum(axis=1) for own in (ones, zeros))
            says = (X - (high + low)[:, None] / 2) * (high - low)[:, None] > 0
            scores.append(((says == (y == 1)[..., None]) & test).sum(axis=1) / test.sum(axis=1))
    return np.stack(scores, axis=1)


def verdict(table):
    """Whether the report says of tables that a model is better."""
    return " better than " in compare(table).answer[0].text


@pytest.mark.slow
def test_equal_models_on_one_data_set_are_told_apart_at_most_as_often_as_the_level_says():
    scores = cross_validated(150, np.random.default_rng(5))
    said = [verdict(make_results({"a": {"x": list(own[:, 0]), "y": list(own[:, 1])}})) for own in scores]
    plain = stats.ttest_1samp(scores[..., 0] - scores[..., 1], 0, axis=1).pvalue
    assert np.mean(said) <= 0.05
    assert (
        np.nanmean(plain < 0.05) > 0.10
    )  # a plain t-test over the same folds claims a winner twice as often as it may


@pytest.mark.slow
def test_equal_models_on_ten_data_sets_are_told_apart_at_most_as_often_as_the_level_says(monkeypatch):
    # What decides nothing and takes long is left out.
    monkeypatch.setattr(own, "signed_rank_probabilities", lambda differences, rope: (np.nan,) * 3)
    monkeypatch.setattr(own, "median_interval", lambda differences: (0.0, 0.0))
    scores = cross_validated(1200, np.random.default_rng(6)).reshape(120, 10, 10, 2)
    said, plain = [], []
    for sets in scores:
        tables = {f"s{i}": {"x": list(s[:, 0]), "y": list(s[:, 1])} for i, s in enumerate(sets)}
        said.append(verdict(make_results(tables)))
        plain.append(stats.ttest_1samp((sets[..., 0] - sets[..., 1]).ravel(), 0).pvalue < 0.05)
    assert np.mean(said) <= 0.05
    assert np.mean(plain) > 0.10


@pytest.mark.slow
def test_equal_models_on_data_sets_of_two_kinds_are_told_apart_at_most_as_often_as_the_level_says(monkeypatch):
    """Twelve data sets, half of them with another score, and three models of which none is better."""
    monkeypatch.setattr(own, "signed_rank_probabilities", lambda differences, rope: (np.nan,) * 3)
    monkeypatch.setattr(own, "median_interval", lambda differences: (0.0, 0.0))
    rng, said = np.random.default_rng(8), []
    for _ in range(150):
        results = make_results(
            {
                f"s{i}": {model: list(0.8 + rng.normal(0, 0.03) + rng.normal(0, 0.02, 5)) for model in "xyz"}
                for i in range(12)
            },
            repeats=1,
        )
        runs = results.runs
        of_numbers = runs["data"].isin([f"s{i}" for i in range(6)])
        runs["task"] = np.where(of_numbers, "regression", "classification")
        runs["r2"], runs["accuracy"] = runs["accuracy"].where(of_numbers), runs["accuracy"].mask(of_numbers)
        said.append(verdict(results))
    assert np.mean(said) <= 0.05


def test_the_sign_test_is_scipys_and_counts_no_ties():
    assert sign_test(np.array([1.0, 2.0, 3.0, -1.0, 0.0])) == pytest.approx(
        2 * (1 + 4) / 2**4
    )  # by hand: at most one of four
    assert sign_test(np.zeros(5)) == 1.0


def correlated_differences(rng, trials, mean, spread=0.02, n=10, ratio=0.25):
    """Differences whose splits are correlated as the correction of the variance assumes."""
    rho = ratio / (1 + ratio)
    common = rng.standard_normal((trials, 1)) * np.sqrt(rho)
    return mean + spread * (common + rng.standard_normal((trials, n)) * np.sqrt(1 - rho))


@pytest.mark.slow
def test_the_power_is_80_percent_at_the_difference_that_the_design_names():
    rng = np.random.default_rng(7)
    spread = 0.02 * np.sqrt(0.8)  # of the differences within one cross-validation
    stated = detectable(spread * np.sqrt(1 / 10 + 0.25), 9)
    found = []
    for d in correlated_differences(rng, 150, stated):
        common = 0.8 + 0.01 * rng.standard_normal(10)
        found.append(verdict(make_results({"a": {"x": list(common + d), "y": list(common)}})))
    assert 0.72 <= np.mean(found) <= 0.88
    # and the design table of such an experiment names that difference
    named = [
        compare(make_results({"a": {"x": list(0.8 + d), "y": [0.8] * 10}})).design["detectable"].iloc[0]
        for d in correlated_differences(rng, 25, stated)
    ]
    assert np.mean(named) == pytest.approx(stated, rel=0.1)


def test_data_sets_needed_give_wilcoxon_the_power_that_they_promise():
    d = np.array([0.5, 1.5]) * 0.01 / np.std([0.5, 1.5], ddof=1)
    needed = data_sets_needed(d)
    rng = np.random.default_rng(8)
    samples = rng.normal(d.mean(), d.std(ddof=1), (1000, needed))
    found = stats.wilcoxon(samples, axis=1).pvalue < 0.05
    assert 0.74 <= np.mean(found) <= 0.93
    assert needed >= 6
    assert data_sets_needed(np.array([0.01, -0.01])) is None
    assert data_sets_needed(np.array([0.01])) is None


def test_across_data_sets_the_test_is_wilcoxons():
    rng = np.random.default_rng(3)
    means = {name: {m: rng.uniform(0.6, 0.9) for m in "xyz"} for name in "abcdefgh"}
    scores = {name: {m: around(mean, 0.001, seed=1) for m, mean in row.items()} for name, row in means.items()}
    comparison = compare(make_results(scores))
    table = comparison.across
    wide = comparison.cells.pivot(index="data", columns="model", values="mean")
    assert len(table) == 3
    for row in table.to_dict("records"):
        gap = wide[row["model"]] - wide[row["other"]]
        assert row["p"] == pytest.approx(stats.wilcoxon(gap).pvalue)
        assert (row["wins"], row["ties"], row["losses"]) == ((gap > 0).sum(), 0, (gap < 0).sum())
        assert row["median"] == pytest.approx(gap.median())
        assert row["low"] <= row["median"] <= row["high"]
    np.testing.assert_allclose(table["p_holm"], multipletests(table["p"], method="holm")[1])
    found = comparison.friedman.iloc[0]
    assert found["chi2"] == pytest.approx(stats.friedmanchisquare(*(wide[m] for m in "xyz")).statistic)
    assert pd.notna(found["critical_difference"])
