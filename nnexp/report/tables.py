"""The numbers of a comparison, computed from the tables of the results and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import nnexp.statistics as st
from nnexp.experiment.results import Results
from nnexp.words import SHARES


@dataclass(frozen=True)
class Claim:
    """A sentence of the report that the tables support, and what it rests on.

    Attributes
    ----------
    id : str
        Such as ``A1``: by it the page, its twin, and ``nnexp report FOLDER --claim A1`` find the evidence.
    text : str
    test : str
        How it was computed.
    data, models : list of str
        The rows of runs.csv that it rests on.
    numbers : dict
        What the sentence says, unrounded.
    """

    id: str
    text: str
    test: str = ""
    data: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All that a report says, computed from the tables.

    Attributes
    ----------
    models, data : list of str
        In the order of the experiment file.
    metric : dict
        For each data set the score that decides.
    rope : dict
        For each data set the difference up to which models count as practically equal.
    cells : pandas.DataFrame
        A row for each data set and model: mean, half_width, rank, runs, failed, evaluations, seconds.
    leaderboard : pandas.DataFrame
        A row for each model, best first: mean_rank, wins, a mean and half_width for each metric, evaluations, seconds.
    differences : pandas.DataFrame
        A row for each data set and each pair of models, `model` and `other`: how far `model` is ahead, with interval and
        p, adjusted over all rows, and the probabilities that it is practically behind, equal, ahead. In the rows of the best
        model it is `model`.
    across : pandas.DataFrame
        A row for each metric that decides on two data sets or more and each pair of models that have a mean on all of them: wins,
        ties, losses, whom the signed ranks favour (1, 0, or -1 for the other), the median difference with its bootstrap
        interval, Wilcoxon's p, adjusted over the pairs of the metric, and Bayesian probabilities for the pairs of the best model.
    by_rank : pandas.DataFrame
        Where the scores of the data sets are of several kinds, a row for each pair of models that have a mean on all data sets:
        wins, ties, losses, and the p of the sign test, adjusted over the pairs. Empty for one kind, or fewer than 6 data sets.
    friedman : pandas.DataFrame
        A row for each such metric: the models and data sets that took part, Friedman's test, Nemenyi's critical difference.
    design : pandas.DataFrame
        A row for each data set: what a comparison of the best model with the next can detect.
    best, second : str or None
        The models with the lowest mean ranks; None if fewer than two can be ranked.
    answer : list of Claim
        The answer, a sentence each.
    cautions : list of Claim
        What a reader must know before believing it.
    """

    models: list[str]
    data: list[str]
    metric: dict[str, str]
    rope: dict[str, float]
    cells: pd.DataFrame
    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    across: pd.DataFrame
    by_rank: pd.DataFrame
    friedman: pd.DataFrame
    design: pd.DataFrame
    best: str | None
    second: str | None
    answer: list[Claim]
    cautions: list[Claim]


def numbers_of(results: Results) -> tuple[Comparison, pd.DataFrame]:
    """Compute the numbers of a comparison, without the words, and return them with the runs and their column score."""
    experiment = results.experiment
    runs = results.runs.merge(results.times, how="left") if len(results.runs) else results.runs
    here = set(runs["data"]) if len(runs) else set()
    data = [name for name in experiment["data"] if name in here]
    models = [name for name in experiment["model"] if len(runs) and name in set(runs["model"])]
    evaluation = experiment["evaluation"]
    tasks = runs.drop_duplicates("data").set_index("data")["task"] if len(runs) else pd.Series(dtype=str)
    metric = {name: evaluation["metrics"][tasks[name]][0] for name in data}
    if len(runs):
        score = pd.Series(np.nan, index=runs.index)
        for name in dict.fromkeys(metric.values()):
            is_of_metric = runs["data"].map(metric) == name
            score[is_of_metric] = runs.loc[is_of_metric, name].astype(float)
        runs = runs.assign(score=score)
    cells = _cells(runs, data, models)
    rope = _ropes(metric, cells, evaluation.get("equivalence"))
    board = _leaderboard(cells, metric)
    ranked = [str(model) for model in board.index[board["mean_rank"].notna()]]
    best, second = (ranked[0], ranked[1]) if len(ranked) > 1 else (None, None)
    order = [best, *(model for model in models if model != best)] if best else []
    differences = _differences(runs, order, data, rope) if best else _empty_differences()
    across, friedman = across_data_sets(cells, [str(m) for m in board.index], metric, rope)
    design = _design(differences, runs, best, second, data, experiment) if best and second else pd.DataFrame()
    comparison = Comparison(
        models,
        data,
        metric,
        rope,
        cells,
        board,
        differences,
        across,
        by_ranks(cells, order, metric),
        friedman,
        design,
        best,
        second,
        [],
        [],
    )
    return comparison, runs


def _cells(runs: pd.DataFrame, data: list[str], models: list[str]) -> pd.DataFrame:
    columns = ["data", "model", "mean", "variance", "half_width", "runs", "failed", "evaluations", "seconds"]
    if runs.empty:
        return pd.DataFrame(columns=[*columns, "best", "rank"])
    groups = runs.assign(lost=runs["status"] == "failed").groupby(["data", "model"], sort=False)
    cells = groups.agg(
        mean=("score", "mean"), spread=("score", "var"), runs=("score", "size"), failed=("lost", "sum"),
        n_train=("n_train", "mean"), n_test=("n_test", "mean"), evaluations=("evaluations", "median"),
        seconds=("fit_seconds", "median"),
    )  # fmt: skip
    order = pd.MultiIndex.from_product([data, models], names=["data", "model"])
    cells = cells.reindex(order[order.isin(cells.index)]).reset_index()
    complete = cells["failed"] == 0
    # Rounded, so that equal scores in another order have equal means.
    cells["mean"] = cells["mean"].round(12).where(complete)
    cells["variance"] = ((1 / cells["runs"] + cells["n_test"] / cells["n_train"]) * cells["spread"]).where(complete)
    cells["half_width"] = st.half_width(cells["variance"].to_numpy(dtype=float), cells["runs"].to_numpy() - 1)
    cells = cells[columns]
    # A model that failed has no mean and shares the last rank; equal means share theirs.
    cells["best"] = cells["mean"] == cells.groupby("data")["mean"].transform("max")
    cells["rank"] = cells.groupby("data")["mean"].rank(ascending=False, na_option="bottom")
    return cells


def _ropes(metric: dict[str, str], cells: pd.DataFrame, given: float | None) -> dict[str, float]:
    """Return what counts as practically equal: the file's word, a hundredth of a share or of R², 1 % of another score."""
    high = cells.groupby("data")["mean"].max().to_dict() if len(cells) else {}
    ropes = {}
    for name, metric_of_set in metric.items():
        scale = 1.0 if metric_of_set in SHARES or metric_of_set == "r2" else abs(float(high[name]))
        ropes[name] = given if given is not None else 0.01 * (scale if np.isfinite(scale) else 0.0)
    return ropes


def _leaderboard(cells: pd.DataFrame, metric: dict[str, str]) -> pd.DataFrame:
    n_data = cells["data"].nunique()
    rows = []
    for model, of_model in cells.groupby("model", sort=False):
        row: dict[str, Any] = {"model": model}
        # Ranks compare models that took part everywhere; a baseline for one task has none where both occur.
        # One that failed everywhere has none either.
        takes_part = len(of_model) == n_data and of_model["mean"].notna().any()
        row["mean_rank"] = of_model["rank"].mean() if takes_part else np.nan
        row["data_sets"] = len(of_model)
        row["wins"] = int(of_model["best"].sum())
        for name in dict.fromkeys(metric.values()):
            with_it = of_model[of_model["data"].map(metric) == name]
            row[f"{name}_mean"] = with_it["mean"].mean(skipna=False) if len(with_it) else np.nan
            degrees = int(with_it["runs"].min()) - 1 if len(with_it) else 0
            variance = with_it["variance"].sum(skipna=False) / max(len(with_it), 1) ** 2
            row[f"{name}_half_width"] = st.half_width(variance, degrees) if len(with_it) else np.nan
        row["failed"] = int(of_model["failed"].sum())
        row["evaluations"] = of_model["evaluations"].sum(skipna=False)
        row["seconds"] = of_model["seconds"].sum(skipna=False)
        rows.append(row)
    if not rows:
        return pd.DataFrame(columns=["mean_rank"])
    board = pd.DataFrame(rows).set_index("model")
    return board.sort_values("mean_rank", kind="stable", na_position="last")


_DIFFERENCES = ["data", "model", "other", "difference", "half_width", "p", "behind", "equal", "ahead", "splits"]


def _empty_differences() -> pd.DataFrame:
    return pd.DataFrame(columns=[*_DIFFERENCES, "p_holm", "clear"])


def paired_scores(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the scores of a data set, a row for each model and a column for each split that all its models have."""
    rows = runs[runs["data"] == name]
    keys = ["repeat", "fold"]
    if "split" in rows and rows["split"].notna().all():  # where the rows of the splits are known, they must be the same
        keys = ["repeat", "fold", "split"]
    split = rows.groupby(keys, sort=True).ngroup()
    rows = rows.assign(split_number=split)
    present = rows.pivot_table(index="model", columns="split_number", values="repeat", aggfunc="size")
    shared = present.columns[present.notna().all()]
    scores = rows.pivot_table(index="model", columns="split_number", values="score", aggfunc="first", dropna=False)
    return scores.reindex(index=present.index, columns=shared)


def _differences(runs: pd.DataFrame, order: list[str], data: list[str], rope: dict[str, float]) -> pd.DataFrame:
    """Compare all pairs of models on the same splits, the best one first in its pairs.

    All pairs, and not the best one's alone, belong to the family that is adjusted: the best was chosen by these scores.
    """
    parts = []
    for name in data:
        rows = runs[runs["data"] == name]
        scores = paired_scores(runs, name)
        scores = scores.loc[[model for model in order if model in scores.index]]
        n_train, n_test = float(rows["n_train"].mean()), float(rows["n_test"].mean())
        first, other = np.triu_indices(len(scores), k=1)
        values = scores.to_numpy(dtype=float)
        paired = values[first] - values[other]
        with np.errstate(invalid="ignore"):
            width = st.half_width(st.corrected_variance(paired, n_train, n_test), paired.shape[1] - 1)
        known = ~np.isnan(paired).any(axis=1) & (paired.shape[1] > 0)
        degenerate = st.are_equal(paired) & (paired != 0).any(axis=1)
        enough = known & (paired.shape[1] >= st.FEWEST_SPLITS)
        chances = st.correlated_probabilities(paired, n_train, n_test, rope[name])
        chances[~enough | degenerate] = np.nan
        mean = paired.mean(axis=1) if paired.shape[1] else np.full(len(paired), np.nan)
        parts.append(
            pd.DataFrame({
                "data": name, "model": scores.index[first], "other": scores.index[other],
                "difference": np.where(known, mean, np.nan), "half_width": np.where(known & ~degenerate, width, np.nan),
                "p": np.where(enough, st.paired_p_value(paired, n_train, n_test), np.nan), "behind": chances[:, 0],
                "equal": chances[:, 1], "ahead": chances[:, 2], "splits": np.where(known, paired.shape[1], 0),
            })
        )  # fmt: skip
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_DIFFERENCES)
    table["p_holm"] = st.holm(table["p"].to_numpy(dtype=float))
    table["clear"] = table["p_holm"] < st.LEVEL
    return table


_ACROSS = [
    "metric", "data_sets", "model", "other", "wins", "ties", "losses", "favours", "mean", "median", "low", "high", "p", "p_holm",
    "behind", "equal", "ahead",
]  # fmt: skip
# Of how many pairs the Bayesian test is computed: it draws many samples for each.
_MOST_BAYESIAN = 8


def across_data_sets(
    cells: pd.DataFrame, models: list[str], metric: dict[str, str], rope: dict[str, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test all pairs of models with the data sets as the sample, one mean score for each.

    Parameters
    ----------
    cells : pandas.DataFrame
        See `Comparison`.
    models : list of str
        The best first.
    metric, rope : dict
        For each data set.

    Returns
    -------
    across, friedman : pandas.DataFrame
        See `Comparison`. Only models with a mean on every data set of a metric take part.
    """
    rows, tests = [], []
    means = cells.pivot_table(index="data", columns="model", values="mean", sort=False, dropna=False, observed=False)
    for name in dict.fromkeys(metric.values()):
        sets = [data for data in means.index if metric[data] == name]
        of_sets = means.loc[sets]
        complete = [model for model in models if model in of_sets and of_sets[model].notna().all()]
        if len(sets) < 2 or len(complete) < 2:
            continue
        values = of_sets[complete].to_numpy(dtype=float)
        width = float(np.median([rope[data] for data in sets]))
        family = []
        for i, j in zip(*np.triu_indices(len(complete), k=1), strict=True):
            gap = np.round(values[:, i] - values[:, j], 12)
            enough = len(sets) >= st.FEWEST_DATA_SETS
            low, high = st.median_interval(gap) if enough else (np.nan, np.nan)
            behind = equal = ahead = np.nan
            if enough and i == 0 and j <= _MOST_BAYESIAN:
                behind, equal, ahead = st.signed_rank_probabilities(gap, width)
            family.append({
                "metric": name, "data_sets": len(sets), "model": complete[i], "other": complete[j],
                "wins": int((gap > 0).sum()), "ties": int((gap == 0).sum()), "losses": int((gap < 0).sum()),
                "favours": st.favours(gap), "mean": float(gap.mean()), "median": float(np.median(gap)), "low": low, "high": high,
                "p": st.wilcoxon(gap) if enough else np.nan, "behind": behind, "equal": equal, "ahead": ahead,
            })  # fmt: skip
        adjusted = st.holm(np.array([row["p"] for row in family]))
        rows += [{**row, "p_holm": p} for row, p in zip(family, adjusted, strict=True)]
        if test := st.friedman(values):
            tests.append({
                "metric": name, "data_sets": len(sets), "models": len(complete), "chi2": test.chi2, "f": test.f,
                "p": test.p, "critical_difference": test.critical_difference,
            })  # fmt: skip
    friedman = pd.DataFrame(tests, columns=["metric", "data_sets", "models", "chi2", "f", "p", "critical_difference"])
    return pd.DataFrame(rows, columns=_ACROSS), friedman


_BY_RANK = ["data_sets", "model", "other", "wins", "ties", "losses", "p", "p_holm"]


def by_ranks(cells: pd.DataFrame, models: list[str], metric: dict[str, str]) -> pd.DataFrame:
    """Test all pairs of models by who is ahead on each data set, where scores are of several kinds; see `Comparison`."""
    if len(set(metric.values())) < 2 or len(metric) < st.FEWEST_DATA_SETS:
        return pd.DataFrame(columns=_BY_RANK)
    means = cells.pivot_table(index="data", columns="model", values="mean", sort=False, dropna=False, observed=False)
    complete = [model for model in models if model in means and means[model].notna().all()]
    rows = []
    for i, j in zip(*np.triu_indices(len(complete), k=1), strict=True):
        gap = np.round((means[complete[i]] - means[complete[j]]).to_numpy(dtype=float), 12)
        rows.append({
            "data_sets": len(gap), "model": complete[i], "other": complete[j], "wins": int((gap > 0).sum()),
            "ties": int((gap == 0).sum()), "losses": int((gap < 0).sum()), "p": st.sign_test(gap),
        })  # fmt: skip
    adjusted = st.holm(np.array([row["p"] for row in rows], dtype=float))
    return pd.DataFrame([{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)], columns=_BY_RANK)


def _design(
    differences: pd.DataFrame, runs: pd.DataFrame, best: str, second: str, data: list[str], experiment: dict[str, Any]
) -> pd.DataFrame:
    """Say what a comparison of the best model with the next can detect on each data set, at the level of the first Holm step."""
    folds = int(experiment["evaluation"]["folds"])
    level = st.LEVEL / max(int(differences["p"].notna().sum()), 1)
    pairs = differences[(differences["model"] == best) & (differences["other"] == second)]
    pair_of = {row["data"]: row for row in pairs.to_dict("records")}
    means = runs.groupby("data")[["n_train", "n_test"]].mean()
    ratios = (means["n_test"] / means["n_train"]).to_dict()
    rows = []
    for name in data:
        if name not in pair_of or pair_of[name]["splits"] < 2 or np.isnan(pair_of[name]["half_width"]):
            continue
        splits, gap, ratio = int(pair_of[name]["splits"]), float(pair_of[name]["difference"]), float(ratios[name])
        error = float(pair_of[name]["half_width"]) / float(st.half_width(1.0, splits - 1))
        spread = error / np.sqrt(1 / splits + ratio)
        finds = st.detectable(error, splits - 1, level)
        needed = st.repeats_needed(gap, spread, folds, ratio, level) if gap else None
        rows.append({
            "data": name, "splits": splits, "standard_error": error, "detectable": finds, "difference": gap,
            "repeats": splits / folds, "repeats_needed": needed,
        })  # fmt: skip
    columns = ["data", "splits", "standard_error", "detectable", "difference", "repeats", "repeats_needed"]
    return pd.DataFrame(rows, columns=columns)
