"""The answer in words: each sentence by a rule, with the test and the rows that it rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.report.tables import Claim, Comparison
from nnexp.words import (
    between_in_words,
    count_in_words,
    in_words,
    interval_in_words,
    listed,
    p_equals,
    ratio_in_words,
    seconds_in_words,
)

_QUICK = "This was a quick run on a small budget: it shows that the file works, and answers nothing yet."
_T_TEST = (
    "Corrected resampled t-test (Nadeau and Bengio 2003) on the paired differences of the splits, adjusted by Holm's method over "
    "all pairs of models and all data sets."
)
_WILCOXON = (
    "Wilcoxon's signed-rank test with the data sets as the sample, one mean score each, adjusted by Holm's method over all pairs "
    "of models; the interval is that of the median difference, by a bootstrap over the data sets."
)
_SIGNS = (
    "Sign test: on how many data sets each of two models has the higher mean score, whichever score that is; adjusted by Holm's "
    "method over all pairs of models."
)
_RANKS = "Mean over the data sets of the rank of each model's mean score."
_BAYES = "Bayesian correlated t-test (Corani and Benavoli 2015)."
# Data sets that a sentence names with their difference.
_NAMED = 3
# With this probability models are said to be practically equal.
_SURE = 0.95


def answer_of(comparison: Comparison, quick: bool = False) -> list[Claim]:
    """Return the answer to the experiment's question, the verdict first, a claim for each sentence."""
    if quick:
        return [Claim("A1", _QUICK)]
    return [replace(claim, id=f"A{number}") for number, claim in enumerate(_claims(comparison), start=1)]


def _claims(comparison: Comparison) -> list[Claim]:
    cells, models = comparison.cells, comparison.models
    if not models:
        return [_said("No run is finished yet.")]
    if len(models) == 1:
        return [_one_model(comparison)]
    if cells["mean"].isna().all():
        return [_said("Every model failed; the failed runs are listed with their reasons.")]
    if comparison.best is None:
        if (cells["failed"] == 0).all():
            return [
                _said(
                    "Fewer than two models took part on all data sets, so that there is no ranking; the map compares them."
                )
            ]
        return [_said("Fewer than two models finished on all data sets, so that there is no ranking.")]
    claims = [_on_one(comparison) if len(comparison.data) == 1 else _on_several(comparison)]
    if len(comparison.data) > 1:
        further = [_grouped(comparison), _single_sets(comparison), _against_others(comparison)]
    else:
        further = [_grouped(comparison)]
    claims += [claim for claim in (*further, _cost(comparison), _beyond(comparison)) if claim]
    return claims


def _said(text: str) -> Claim:
    return Claim("", text)


def _claim(
    comparison: Comparison, text: str, test: str, numbers: dict[str, Any], models: list[str] | None = None
) -> Claim:
    return Claim("", text, test, comparison.data, models or comparison.models, numbers)


def _one_model(comparison: Comparison) -> Claim:
    model = comparison.models[0]
    cells = {cell["data"]: cell for cell in comparison.cells.to_dict("records")}
    parts = []
    for name in comparison.data:
        mean, half = float(cells[name]["mean"]), float(cells[name]["half_width"])
        if not np.isnan(mean):
            interval = "" if np.isnan(half) else f" ± {half:.3f}"
            parts.append(f"{comparison.metric[name]} {mean:.3f}{interval} on {name}")
    scores = f" Its mean scores, ± half of the 95 % interval over splits: {listed(parts)}." if parts else ""
    text = f"There is one model, {model}, and so nothing to compare.{scores}"
    return _claim(comparison, text, "Mean over the splits; variance corrected as Nadeau and Bengio (2003) do.", {})


def _pair(comparison: Comparison) -> pd.DataFrame:
    pairs = comparison.differences
    return pairs[(pairs["model"] == comparison.best) & (pairs["other"] == comparison.second)]


def _on_one(comparison: Comparison) -> Claim:
    best, second, name = str(comparison.best), str(comparison.second), comparison.data[0]
    metric = comparison.metric[name]
    row = _pair(comparison).iloc[0]
    n = len(comparison.leaderboard)
    numbers = {key: _plain(row[key]) for key in ("difference", "half_width", "p", "p_holm", "behind", "equal", "ahead")}
    cells = comparison.cells.set_index("model")["mean"]
    others = f"the next best of {n} models" if n > 2 else "the other model"
    interval = interval_in_words(metric, row["difference"], row["half_width"])
    figures = f"{in_words(metric, row['difference'])} of {metric} (95 % interval {interval}, {p_equals(row['p_holm'])})"
    if cells[best] == cells[second]:
        text = f"No best model is shown on {name}: {best} and {second} share the best mean {metric}, {cells[best]:.3f}."
    elif np.isnan(row["p"]):
        why = _why_untested(row)
        text = (
            f"No best model is shown on {name}: {best} has the highest mean {metric}, but whether it differs from {second}, "
            f"{others}, by more than chance cannot be told from these runs{why}."
        )
    elif row["clear"]:
        text = f"On {name}, {best} is better than {second}, {others}: by {figures}."
    else:
        text = (
            f"No best model is shown on {name}: {best} has the highest mean {metric}, but chance could explain "
            f"its lead over {second}, "
            f"{others}: {figures}."
        )
    if not np.isnan(row["equal"]) and row["equal"] >= _SURE and not row["clear"]:
        rope = comparison.rope[name]
        text += f" The two are practically equal: within {_size(metric, rope)} of each other with probability {row['equal']:.2f}."
        return _claim(comparison, text, f"{_T_TEST} {_BAYES}", numbers, [best, second])
    return _claim(comparison, text, _T_TEST, numbers, [best, second])


def _why_untested(row: Any) -> str:
    if row["splits"] == 0:
        return ": they share no split"
    if row["splits"] < st.FEWEST_SPLITS:
        return f": {row['splits']} splits are too few"
    return ": they differ by the same amount on every split"


def _size(metric: str, value: float) -> str:
    return in_words(metric, value).removeprefix("+").replace("1.0 points", "1 point")


def _on_several(comparison: Comparison) -> Claim:
    best, second, n = str(comparison.best), str(comparison.second), len(comparison.data)
    board, kinds = comparison.leaderboard, list(dict.fromkeys(comparison.metric.values()))
    ranks = {str(model): float(rank) for model, rank in board["mean_rank"].items()}
    models = int(board["mean_rank"].notna().sum())
    means = comparison.cells.pivot(index="data", columns="model", values="mean")
    ahead, behind = int((means[best] > means[second]).sum()), int((means[best] < means[second]).sum())
    rank = f"{ranks[best]:.1f} of {models}"
    numbers: dict[str, Any] = {
        "mean_rank": ranks[best], "mean_rank_second": ranks[second],
        "ahead": ahead, "behind": behind, "data_sets": n,
    }  # fmt: skip
    if ranks[best] == ranks[second]:
        lead = f"{best} and {second} share the best mean rank, {rank}; {best} is ahead on {ahead} data sets, {second} on {behind}"
    else:
        lead = f"{best} has the best mean rank, {rank}, and is ahead of {second}, the next, on {ahead} of {n} data sets"
    across = comparison.across
    row = across[across["model"].isin([best, second]) & across["other"].isin([best, second])] if len(across) else across
    enough = n >= st.FEWEST_DATA_SETS
    if not enough:
        text = (
            f"Not enough data sets to tell which model is best in general: with {n} even a clean sweep is p = {2 * 0.5**n:.3g}. "
            f"On these, {lead}."
        )
        return _claim(
            comparison, text, f"{_RANKS} The p is the smallest that Wilcoxon's signed-rank test can have.", numbers
        )
    if len(kinds) > 1 and len(comparison.by_rank):
        return _by_rank(comparison, lead, kinds, numbers)
    if row.empty:
        failed = (comparison.cells["failed"] > 0).any()
        why = "failed runs" if failed else "missing runs"
        return _claim(
            comparison, f"No best model is shown across the data sets, because of {why}. {lead}.", _RANKS, numbers
        )
    pair = row.iloc[0]
    numbers |= {key: _plain(pair[key]) for key in ("median", "low", "high", "p", "p_holm", "behind", "equal", "ahead")}
    sign = 1 if pair["model"] == best else -1
    median, low, high = sign * pair["median"], *sorted((sign * pair["low"], sign * pair["high"]))
    metric = kinds[0]
    typical = (
        f"the median difference in {metric} is {in_words(metric, median)} (95 % interval {between_in_words(metric, low, high)}, "
        f"{p_equals(pair['p_holm'])})"
    )
    if pair["p_holm"] < st.LEVEL and sign * pair["favours"] > 0 and median > 0:
        text = (
            f"{best} is better than {second}, the next best of {models} models, on data sets like these: "
            f"ahead on {ahead} of {n}, and {typical}."
        )
        if models == 2:
            text = f"{best} is better than {second} on data sets like these: ahead on {ahead} of {n}, and {typical}."
    elif pair["p_holm"] < st.LEVEL:
        favoured = best if sign * pair["favours"] > 0 else second
        text = (
            f"No best model is shown across the {n} data sets: {lead}, and {typical}, but the signed ranks, which weigh large "
            f"differences more, clearly favour {favoured}."
        )
    else:
        text = f"No best model is shown across the {n} data sets: {lead}, but chance could explain that: {typical}."
    return _claim(comparison, text, f"{_RANKS} {_WILCOXON}", numbers, [best, second])


def _by_rank(comparison: Comparison, lead: str, kinds: list[str], numbers: dict[str, Any]) -> Claim:
    """Say who is better where scores are of several kinds: by who is ahead on how many data sets."""
    best, second, n = str(comparison.best), str(comparison.second), len(comparison.data)
    table = comparison.by_rank
    pair = table[(table["model"] == best) & (table["other"] == second)].iloc[0]
    numbers |= {key: _plain(pair[key]) for key in ("wins", "ties", "losses", "p", "p_holm")}
    models = int(comparison.leaderboard["mean_rank"].notna().sum())
    of = "" if models == 2 else f", the next best of {models} models,"
    ties = f", equal on {pair['ties']}" if pair["ties"] else ""
    tested = f"sign test, {p_equals(pair['p_holm'])}"
    if pair["p_holm"] < st.LEVEL and pair["wins"] < pair["losses"]:
        text = (
            f"No best model is shown across the {n} data sets: {lead}, but {second} is clearly ahead of it on more of them "
            f"({pair['losses']} of {n}; {tested})."
        )
    elif pair["p_holm"] < st.LEVEL:
        text = f"{best} is better than {second}{of} on data sets like these: ahead on {pair['wins']} of {n}{ties} ({tested})."
    else:
        text = f"No best model is shown across the {n} data sets: {lead}, but chance could explain that ({tested})."
    text += (
        f" The scores are of several kinds ({listed(kinds)}): only who is ahead counts, not by how much, which shows less than a "
        "test of one score would."
    )
    across = comparison.across
    rows = (
        across[across["model"].isin([best, second]) & across["other"].isin([best, second])] if len(across) else across
    )
    parts = [_across_part(row, comparison) for _, row in rows.iterrows() if not np.isnan(row["p_holm"])]
    if parts:
        text += f" By kind: {'; '.join(parts)}."
    return _claim(comparison, text, f"{_RANKS} {_SIGNS}" + (f" {_WILCOXON}" if parts else ""), numbers, [best, second])


def _grouped(comparison: Comparison) -> Claim | None:
    """Say of each further model whether it can be told from the best one."""
    best, second = str(comparison.best), comparison.second
    if len(comparison.data) == 1:
        table, where, test = comparison.differences, "", _T_TEST
        rows = table[table["model"] == best].assign(sign=lambda t: np.sign(t["difference"]))
    else:
        is_by_rank = len(comparison.by_rank) > 0
        table = comparison.by_rank if is_by_rank else comparison.across
        where, test = "Across the data sets ", _SIGNS if is_by_rank else _WILCOXON
        if table.empty or (not is_by_rank and len(set(comparison.metric.values())) > 1):
            return None
        sign = table["wins"] - table["losses"] if is_by_rank else table["favours"]
        turned = table["other"] == best
        rows = table.assign(
            sign=np.sign(np.where(turned, -sign, sign)), other=np.where(turned, table["model"], table["other"])
        )
        rows = rows[(table["model"] == best) | turned]
    rows = rows[(rows["other"] != second) & rows["p"].notna()]
    if rows.empty:
        return None
    is_clear = rows["p_holm"] < st.LEVEL
    groups = [
        ("is clearly better than", rows.loc[is_clear & (rows["sign"] > 0), "other"]),
        ("is clearly worse than", rows.loc[is_clear & (rows["sign"] < 0), "other"]),
        ("cannot be told from", rows.loc[~(is_clear & (rows["sign"] != 0)), "other"]),
    ]
    parts = [
        f"{verb} {listed([str(name) for name in names], 8, 'more models')}" for verb, names in groups if len(names)
    ]
    numbers = {"clear": int(is_clear.sum()), "tested": len(rows)}
    text = f"{where}{best} {'; it '.join(parts)}."
    return _claim(comparison, text, test, numbers, [best, *map(str, rows["other"])])


def _across_part(lead: Any, comparison: Comparison) -> str:
    sign = 1 if lead["model"] == comparison.best else -1
    low, high = sorted((sign * lead["low"], sign * lead["high"]))
    interval = between_in_words(lead["metric"], low, high)
    return (
        f"in {lead['metric']} on {lead['data_sets']} data sets the median difference is "
        f"{in_words(lead['metric'], sign * lead['median'])} "
        f"(95 % interval {interval}, {p_equals(lead['p_holm'])})"
    )


def _single_sets(comparison: Comparison) -> Claim | None:
    """Say on which data sets the best model differs from the next by more than chance explains."""
    best, second, pairs = str(comparison.best), str(comparison.second), _pair(comparison)
    if pairs["p"].isna().all():
        why = _why_untested(pairs.iloc[0]) if len(pairs) else ""
        text = (
            f"Whether it differs from {second} on any of them by more than chance cannot be told from these runs{why}."
        )
        return _claim(comparison, text, _T_TEST, {}, [best, second])
    clear = pairs[pairs["clear"]].copy()
    clear["size"] = clear["difference"].abs()
    numbers: dict[str, Any] = {"clear": len(clear), "tested": int(pairs["p"].notna().sum())}
    if clear.empty:
        text = f"On no single data set is the difference of {best} and {second} clear: chance could explain each."
        return _claim(comparison, text, _T_TEST, numbers, [best, second])
    parts = []
    for sign, word in ((1, "better"), (-1, "worse")):
        side = clear[np.sign(clear["difference"]) == sign]
        named: list[str] = []
        for _, row in side.iterrows():
            metric = comparison.metric[row["data"]]
            interval = interval_in_words(metric, row["difference"], row["half_width"])
            if len(named) <= _NAMED:  # so many are named where there are no more
                numbers |= {
                    f"{key} on {row['data']}": _plain(row[key]) for key in ("difference", "half_width", "p_holm")
                }
            named.append(f"{row['data']} ({in_words(metric, row['difference'])} of {metric}, 95 % interval {interval})")
        if named:
            parts.append(f"clearly {word} than {second} on {listed(named, _NAMED, 'more data sets')}")
    text = f"On single data sets, {best} is {' and '.join(parts)}."
    return _claim(comparison, text, _T_TEST, numbers, [best, second])


def _against_others(comparison: Comparison) -> Claim | None:
    best, second = str(comparison.best), comparison.second
    table = comparison.differences
    others = table[(table["model"] == best) & (table["other"] != second)]
    if others["p"].notna().sum() == 0:
        return None
    parts = []
    clear = others[others["clear"]]
    for other in dict.fromkeys(others["other"]):
        for word, sign in (("better", 1), ("worse", -1)):
            sets = list(clear.loc[(clear["other"] == other) & (np.sign(clear["difference"]) == sign), "data"])
            if sets:
                where = listed(sets) if len(sets) <= 6 else f"{len(sets)} of {len(comparison.data)} data sets"
                parts.append(f"{word} than {other} on {where}")
    numbers = {"clear": int(others["clear"].sum()), "tested": int(others["p"].notna().sum())}
    if not parts:
        text = f"No other model differs clearly from {best}: chance could explain each difference."
    elif len(parts) > 8:
        counts = f"{int((clear['difference'] > 0).sum())} better and {int((clear['difference'] < 0).sum())} worse"
        text = (
            f"Of the {numbers['tested']} comparisons of {best} with the other {others['other'].nunique()} models on single "
            f"data sets, {numbers['clear']} are clear: {counts}."
        )
    else:
        text = f"{best} is clearly {listed(parts, 8)}."
    return _claim(comparison, text, _T_TEST, numbers)


def _cost(comparison: Comparison) -> Claim | None:
    """Say what the best model cost, and which others cost at most half or at least twice as much."""
    best, cells = str(comparison.best), comparison.cells
    each = "one fit on each data set" if len(comparison.data) > 1 else "a fit"
    costs = {
        str(model): cell.set_index("data")[["evaluations", "seconds"]]
        for model, cell in cells.groupby("model", sort=False)
    }
    cost_of_best = costs[best].sum(skipna=False)
    spent = f"{count_in_words(cost_of_best['evaluations'])} evaluations, " if cost_of_best["evaluations"] > 0 else ""
    text = f"The cost of {best}, for {each}: {spent}{seconds_in_words(cost_of_best['seconds'])}"
    parts = []
    for model, cost in costs.items():
        if model == best:
            continue
        # Over the data sets that both took part in.
        ratios = (cost.sum(skipna=False) / costs[best].loc[cost.index].sum(skipna=False)).to_dict()
        if any(ratio >= 2 or ratio <= 0.5 for ratio in ratios.values()):
            ratios_in_words = [
                f"{ratio_in_words(ratio)} the {unit}" for unit, ratio in ratios.items() if not np.isnan(ratio)
            ]
            parts.append(f"{model} takes {' and '.join(ratios_in_words)}")
    if len(parts) > 5:
        parts = [*parts[:4], f"{len(parts) - 4} more models at most half or at least twice as much"]
    test = (
        "The median over the splits of what a fit cost, added up over the data sets; ratios over the data sets of both."
    )
    numbers = {"evaluations": _plain(cost_of_best["evaluations"]), "seconds": _plain(cost_of_best["seconds"])}
    return _claim(comparison, f"{'; '.join([text, *parts])}.", test, numbers)


def _beyond(comparison: Comparison) -> Claim | None:
    """Say what follows for other data sets, where the verdict has not."""
    if len(comparison.data) > 1:
        return None
    return _claim(comparison, "One data set says nothing about others.", "", {})


def _plain(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
