"""The answer, word for word, for tables that are made to be a clear winner, a tie, and all that lies between and beside."""

import numpy as np
import pytest

from nnexp.report import compare
from nnexp.report.content import evidence_of
from tests.report.tables import make_results
from tests.test_statistics import around

WON = {name: {"x": around(0.95, seed=i), "y": around(0.80, seed=i + 10)} for i, name in enumerate("abcdef")}
RNG = np.random.default_rng(0)
EVEN = {
    name: {"x": around(0.8 + 0.01 * RNG.standard_normal(), seed=i), "y": around(0.8, seed=i + 20)}
    for i, name in enumerate("abcdefgh")
}


def mixed(scores=None, **settings):
    results = make_results(WON if scores is None else scores, **settings)
    runs, of_numbers = results.runs, results.runs["data"].isin(["d", "e", "f"])
    runs["task"] = np.where(of_numbers, "regression", "classification")
    runs["r2"] = runs["accuracy"].where(of_numbers)
    runs["accuracy"] = runs["accuracy"].mask(of_numbers)
    return results


GOLDEN = {
    "a clear winner on one data set": (
        lambda: make_results({"a": {"x": around(0.95, seed=1), "y": around(0.80, seed=2)}}),
        "On a, x is better than y, the other model: by +15.5 points of accuracy (95 % interval +13.4 to +17.5 points, p < 0.001). "
        "The cost of x, for a fit: 1 k evaluations, 500 ms. "
        "One data set says nothing about others.",
    ),
    "a clear winner on six": (
        lambda: make_results(WON),
        "x is better than y on data sets like these: ahead on 6 of 6, and the median difference in accuracy is +15.2 points "
        "(95 % interval +14.4 to +15.3 points, p = 0.031). "
        "On single data sets, x is clearly better than y on a (+15.3 points of accuracy, 95 % interval +13.1 to +17.5 points), "
        "b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), c (+14.6 points of accuracy, 95 % interval +10.1 to "
        "+19.2 points) and 3 more data sets. "
        "The cost of x, for one fit on each data set: 6 k evaluations, 3.0 s.",
    ),
    "a winner among three is one of three pairs": (
        lambda: make_results({n: {**own, "z": around(0.7, seed=i + 30)} for i, (n, own) in enumerate(WON.items())}),
        "No best model is shown across the 6 data sets: x has the best mean rank, 1.0 of 3, and is ahead of y, the next, on 6 of 6 "
        "data sets, but chance could explain that: the median difference in accuracy is +15.2 points (95 % interval +14.4 to +15.3 "
        "points, p = 0.094). "
        "Across the data sets x cannot be told from z. "
        "On single data sets, x is clearly better than y on a (+15.3 points of accuracy, 95 % interval +13.1 to +17.5 points), "
        "b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), c (+14.6 points of accuracy, 95 % interval +10.1 to "
        "+19.2 points) and 3 more data sets. "
        "x is clearly better than z on a, b, c, d, e and f. "
        "The cost of x, for one fit on each data set: 6 k evaluations, 3.0 s.",
    ),
    "a tie on one data set": (
        lambda: make_results({"a": {"x": around(0.901, seed=1), "y": around(0.900, seed=2)}}),
        "No best model is shown on a: x has the highest mean accuracy, but chance could explain its lead over y, the other model: "
        "+0.6 points of accuracy (95 % interval -1.5 to +2.6 points, p = 0.548). "
        "The cost of x, for a fit: 1 k evaluations, 500 ms. "
        "One data set says nothing about others.",
    ),
    "four models on one": (
        lambda: make_results(
            {"a": {"x": around(0.9, seed=1), "y": around(0.899, seed=2), "v": around(0.6, seed=3), "w": around(0.89, seed=4)}}
        ),
        "No best model is shown on a: x has the highest mean accuracy, but chance could explain its lead over y, the next best of 4 "
        "models: +0.6 points of accuracy (95 % interval -1.5 to +2.6 points, p = 1.000). x is clearly better than v; it cannot be told from w. "
        "The cost of x, for a fit: 1 k evaluations, 500 ms. "
        "One data set says nothing about others.",
    ),
    "a tie that is practically one": (
        lambda: make_results({"a": {"x": [0.9, 0.901, 0.899, 0.9, 0.902] * 2, "y": [0.9, 0.9, 0.9, 0.901, 0.9] * 2}}),
        "No best model is shown on a: x has the highest mean accuracy, but chance could explain its lead over y, the other model: "
        "+0.02 points of accuracy (95 % interval -0.1 to +0.2 points, p = 0.790). The two are practically equal: within 1 point of "
        "each other with probability 1.00. "
        "The cost of x, for a fit: 1 k evaluations, 500 ms. "
        "One data set says nothing about others.",
    ),
    "a tie on eight": (
        lambda: make_results(EVEN),
        "No best model is shown across the 8 data sets: x has the best mean rank, 1.4 of 2, and is ahead of y, the next, on 5 of 8 "
        "data sets, but chance could explain that: the median difference in accuracy is +0.2 points (95 % interval -0.2 to +0.9 "
        "points, p = 0.383). "
        "On no single data set is the difference of x and y clear: chance could explain each. "
        "The cost of x, for one fit on each data set: 8 k evaluations, 4.0 s.",
    ),
    "equal scores": (
        lambda: make_results({n: {"x": around(m), "y": around(m)} for n, m in (("a", 0.9), ("b", 0.8))}),
        "Not enough data sets to tell which model is best in general: with 2 even a clean sweep is p = 0.5. On these, x and y share "
        "the best mean rank, 1.5 of 2; x is ahead on 0 data sets, y on 0. "
        "On no single data set is the difference of x and y clear: chance could explain each. "
        "The cost of x, for one fit on each data set: 2 k evaluations, 1.0 s.",
    ),
    "too few data sets": (
        lambda: make_results(dict(list(WON.items())[:4])),
        "Not enough data sets to tell which model is best in general: with 4 even a clean sweep is p = 0.125. On these, x has the "
        "best mean rank, 1.0 of 2, and is ahead of y, the next, on 4 of 4 data sets. "
        "On single data sets, x is clearly better than y on a (+15.3 points of accuracy, 95 % interval +13.1 to +17.5 points), "
        "b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), c (+14.6 points of accuracy, 95 % interval +10.1 to "
        "+19.2 points) and d (+14.1 points of accuracy, 95 % interval +9.6 to +18.6 points). "
        "The cost of x, for one fit on each data set: 4 k evaluations, 2.0 s.",
    ),
    "mixed tasks": (
        mixed,
        "x is better than y on data sets like these: ahead on 6 of 6 (sign test, p = 0.031). The scores are of several kinds (accuracy and "
        "r2): only who is ahead counts, not by how much, which shows less than a test of one score would. "
        "On single data sets, x is clearly better than y on a (+15.3 points of accuracy, 95 % interval +13.1 to +17.5 points), "
        "b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), c (+14.6 points of accuracy, 95 % interval +10.1 to "
        "+19.2 points) and 3 more data sets. "
        "The cost of x, for one fit on each data set: 6 k evaluations, 3.0 s.",
    ),
    "mixed tasks, even": (
        lambda: mixed(EVEN),
        "No best model is shown across the 8 data sets: x has the best mean rank, 1.4 of 2, and is ahead of y, the next, on 5 of 8 data "
        "sets, but chance could explain that (sign test, p = 0.727). The scores are of several kinds (accuracy and r2): only who is "
        "ahead counts, not by how much, which shows less than a test of one score would. "
        "On no single data set is the difference of x and y clear: chance could explain each. "
        "The cost of x, for one fit on each data set: 8 k evaluations, 4.0 s.",
    ),
    "mixed tasks, three models": (
        lambda: mixed({n: {**of, "z": around(0.3, seed=20 + i)} for i, (n, of) in enumerate(WON.items())}),
        "No best model is shown across the 6 data sets: x has the best mean rank, 1.0 of 3, and is ahead of y, the next, on 6 of 6 data "
        "sets, but chance could explain that (sign test, p = 0.094). The scores are of several kinds (accuracy and r2): only who is "
        "ahead counts, not by how much, which shows less than a test of one score would. "
        "Across the data sets x cannot be told from z. "
        "On single data sets, x is clearly better than y on a (+15.3 points of accuracy, 95 % interval +13.1 to +17.5 points), "
        "b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), c (+14.6 points of accuracy, 95 % interval +10.1 to "
        "+19.2 points) and 3 more data sets. "
        "x is clearly better than z on a, b, c, d, e and f. "
        "The cost of x, for one fit on each data set: 6 k evaluations, 3.0 s.",
    ),
    "failures": (
        lambda: make_results({**WON, "a": {"x": [*around(0.99, n=9), None], "y": around(0.8)}}),
        "No best model is shown across the data sets, because of failed runs. x has the best mean rank, 1.2 of 2, and is ahead of y, "
        "the next, on 5 of 6 data sets. "
        "On single data sets, x is clearly better than y on b (+15.3 points of accuracy, 95 % interval +12.4 to +18.2 points), "
        "c (+14.6 points of accuracy, 95 % interval +10.1 to +19.2 points), d (+14.1 points of accuracy, 95 % interval +9.6 to +18.6 "
        "points) and 2 more data sets. "
        "The cost of x, for one fit on each data set: 6 k evaluations, 3.0 s.",
    ),
    "nothing but failures": (
        lambda: make_results({"a": {"x": [None] * 10, "y": [None] * 10}}),
        "Every model failed; the failed runs are listed with their reasons.",
    ),
    "one model": (
        lambda: make_results({"a": {"x": around(0.9)}}),
        "There is one model, x, and so nothing to compare. Its mean scores, ± half of the 95 % interval over splits: accuracy 0.902 "
        "± 0.021 on a.",
    ),
    "too few splits": (
        lambda: make_results({"a": {"x": [0.9, 0.91], "y": [0.5, 0.51]}}, repeats=1),
        "No best model is shown on a: x has the highest mean accuracy, but whether it differs from y, the other model, by more than "
        "chance cannot be told from these runs: 2 splits are too few. "
        "The cost of x, for a fit: 1 k evaluations, 500 ms. "
        "One data set says nothing about others.",
    ),
    "models that share no data set": (
        lambda: make_results({"a": {"x": around(0.9)}, "b": {"y": around(0.8)}}),
        "Fewer than two models took part on all data sets, so that there is no ranking; the map compares them.",
    ),
    "a quick run": (
        lambda: make_results(WON, quick=True),
        "This was a quick run on a small budget: it shows that the file works, and answers nothing yet.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_answer_is(kind):
    make, expected = GOLDEN[kind]
    comparison = compare(make())
    assert " ".join(claim.text for claim in comparison.answer) == expected
    assert [claim.id for claim in comparison.answer] == [f"A{i + 1}" for i in range(len(comparison.answer))]


def test_the_golden_numbers_are_those_of_the_tables():
    """The figures of the clear winner, worked from the scores by other means."""
    from scipy import stats

    gaps = [np.mean(own["x"]) - np.mean(own["y"]) for own in WON.values()]
    assert round(100 * float(np.median(gaps)), 1) == 15.2
    assert stats.wilcoxon(gaps).pvalue == pytest.approx(2 / 2**6)  # .031, and three times that for three pairs
    d = np.subtract(around(0.95, seed=1), around(0.80, seed=2))
    low, high = stats.t.interval(0.95, 9, d.mean(), np.sqrt((1 / 10 + 20 / 80) * d.var(ddof=1)))
    assert [round(100 * v, 1) for v in (d.mean(), low, high)] == [15.5, 13.4, 17.5]


def answer(scores, **settings):
    return " ".join(claim.text for claim in compare(make_results(scores, **settings)).answer)


def test_worse_is_said_as_worse():
    both = {"x": around(0.95, seed=1), "y": around(0.93, seed=2), "z": around(0.6, seed=3)}
    scores = {
        "a": both,
        "b": both,
        "c": {"x": around(0.7, seed=1), "y": around(0.69, seed=2), "z": around(0.9, seed=3)},
    }
    assert "x is clearly better than z on a and b and worse than z on c." in answer(scores)


def test_costs_are_compared_over_the_data_sets_that_both_took_part_in():
    scores = {"a": {"x": around(0.95), "y": around(0.9), "z": around(0.5)}, "b": {"x": around(0.95), "y": around(0.9)}}
    assert "z takes" not in answer(scores)
    said = answer({"a": {"x": around(0.95), "y": around(0.8)}}, evaluations={"x": 1e6, "y": 1e5})
    assert "The cost of x, for a fit: 1 M evaluations, 500 ms; y takes 0.10 times the evaluations" in said


def test_the_best_by_ranks_may_be_behind_by_the_test():
    """Ahead on 21 data sets by little, behind on 19 by much: the signed ranks decide, neither the mean rank nor the median."""
    scores = {f"s{i}": {"x": around(0.801 + 0.0001 * i), "y": around(0.800)} for i in range(21)}
    scores |= {f"t{i}": {"x": around(0.6 - 0.01 * i), "y": around(0.9)} for i in range(19)}
    comparison = compare(make_results(scores))
    row = comparison.across.iloc[0]
    assert comparison.best == "x"
    assert row["median"] > 0
    assert row["p_holm"] < 0.05
    said = comparison.answer[0].text
    assert said.startswith("No best model is shown across the 40 data sets")
    assert said.endswith("clearly favour y.")


def test_the_evidence_of_a_sentence_about_single_data_sets_has_their_numbers():
    comparison = compare(make_results(dict(list(WON.items())[:4])))
    (claim,) = [claim for claim in comparison.answer if claim.text.startswith("On single data sets")]
    table = comparison.differences.set_index("data")
    for name in ("a", "b", "c"):
        for key in ("difference", "half_width", "p_holm"):
            assert claim.numbers[f"{key} on {name}"] == table.loc[name, key]
    assert "difference on d" in claim.numbers
    shown = {e["id"]: e for e in evidence_of(make_results(dict(list(WON.items())[:4])), comparison)}[claim.id]
    assert "difference on a" in shown["numbers"]


def test_the_one_with_the_best_rank_is_no_winner_where_the_test_favours_another():
    """B is first on 19 of 20 data sets and last on one, A second on 19 and first on that one: A has the better mean rank of 25."""
    others = [f"m{i}" for i in range(23)]
    scores = {}
    for i in range(20):
        order = ["A", *others, "B"] if i == 7 else ["B", "A", *others]
        scores["def"[i] if i < 3 else f"s{i}"] = {name: [0.9 - 0.01 * place] * 2 for place, name in enumerate(order)}
    comparison = compare(mixed(scores, repeats=1))
    # 276 pairs are 20 to 0, so that Holm's factor of this one is 24 at most: 24 * 2 * (1 + 20) / 2**20 = 0.00096
    assert (comparison.best, comparison.second) == ("A", "B")
    assert comparison.answer[0].text.startswith(
        "No best model is shown across the 20 data sets: A has the best mean rank, 1.9 of 25, and is ahead of B, the next, on 1 of 20 "
        "data sets, but B is clearly ahead of it on more of them (19 of 20; sign test, p < 0.001)."
    )
