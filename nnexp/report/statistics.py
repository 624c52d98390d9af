"""What the tables say: means with intervals, paired differences, ranks, cost, and the answer in words.

Repeated cross-validation gives scores that are not independent: the training sets overlap. The intervals and tests
here use the variance corrected for that by Nadeau and Bengio (2003), "Inference for the generalization error",
Machine Learning 52: (1/J + n_test/n_train) · s² with J − 1 degrees of freedom for J splits. Several tests are adjusted
together by Holm (1979).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from nnexp.experiment.results import Results

Array = NDArray[Any]

LEVEL = 0.05
# Differences of these scores are said in points, hundredths of the score.
_SHARES = {"accuracy", "balanced_accuracy"}
# With fewer splits than this a t-test rests on next to nothing.
FEWEST_SPLITS = 5
# With fewer data sets than this no Wilcoxon test can reach the level of 5 %.
FEWEST_DATA_SETS = 6


def corrected_variance(scores: Array, n_train: float, n_test: float) -> float:
    """Return the variance of the mean of cross-validation scores, corrected by Nadeau and Bengio (2003).

    Parameters
    ----------
    scores : array of shape (J,)
        One score, or paired difference, for each split.
    n_train, n_test : float
        Rows of a training set and of a test set.

    Returns
    -------
    float
        NaN for fewer than two scores.

    Examples
    --------
    >>> import numpy as np
    >>> corrected_variance(np.array([1.0, 2.0, 3.0]), n_train=90, n_test=10)
    0.444...
    """
    if len(scores) < 2:
        return float("nan")
    return float((1 / len(scores) + n_test / n_train) * np.var(scores, ddof=1))


def half_width(variance: float, degrees: int, level: float = LEVEL) -> float:
    """Return half the width of the confidence interval of a mean with this variance."""
    if degrees < 1 or np.isnan(variance):
        return float("nan")
    return float(stats.t.ppf(1 - level / 2, degrees) * np.sqrt(variance))


def paired_p_value(differences: Array, n_train: float, n_test: float) -> float:
    """Return the two-sided p of the corrected resampled t-test for paired differences."""
    variance = corrected_variance(differences, n_train, n_test)
    mean = float(np.mean(differences))
    if np.isnan(variance):
        return float("nan")
    if _are_equal(differences):  # 0 / 0: equal differences, such as one test row each, are no proof
        return 1.0 if mean == 0 else float("nan")
    return float(2 * stats.t.sf(abs(mean) / np.sqrt(variance), len(differences) - 1))


def _are_equal(values: Array) -> bool:
    """Whether values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(np.abs(values).max(), 1e-300)) if len(values) else True


def holm(p_values: Array) -> Array:
    """Adjust p-values for being several (Holm 1979); NaN stays NaN and does not count.

    Examples
    --------
    >>> import numpy as np
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


@dataclass(frozen=True)
class Comparison:
    """All that a report says, computed from the tables.

    Attributes
    ----------
    models, data : list of str
        In the order of the experiment file.
    metric : dict
        For each data set the score that decides.
    cells : pandas.DataFrame
        A row for each data set and model: mean, half_width, rank, runs, failed, evaluations, seconds.
    leaderboard : pandas.DataFrame
        A row for each model, best first: mean_rank, wins, a mean and half_width for each metric, evaluations, seconds.
    differences : pandas.DataFrame
        A row for each data set and each pair of models, `model` and `other`: how far `model` is ahead, with interval and
        p, adjusted over all rows. In the rows of the best model it is `model`.
    best : str or None
        The model with the lowest mean rank; None if fewer than two can be ranked.
    answer : list of str
        The answer, a sentence each.
    cautions : list of str
        What a reader must know before believing it.
    """

    models: list[str]
    data: list[str]
    metric: dict[str, str]
    cells: pd.DataFrame
    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    best: str | None
    answer: list[str]
    cautions: list[str]


_QUICK = "This was a quick run on a small budget: it shows that the file works, and answers nothing yet."


def compare(results: Results) -> Comparison:
    """Compute the comparison of an experiment's models from its tables."""
    experiment = results.experiment
    runs = results.runs.merge(results.times, how="left") if len(results.runs) else results.runs
    data = [name for name in experiment["data"] if len(runs) and name in set(runs["data"])]
    models = [name for name in experiment["model"] if len(runs) and name in set(runs["model"])]
    metrics = experiment["evaluation"]["metrics"]
    metric = {name: metrics[runs.loc[runs["data"] == name, "task"].iloc[0]][0] for name in data}
    if len(runs):
        runs = runs.assign(score=[row[metric[row["data"]]] for _, row in runs.iterrows()])
    cells = _cells(runs, data, models)
    leaderboard = _leaderboard(cells, metric)
    ranked = leaderboard[leaderboard["mean_rank"].notna()]
    best = str(ranked.index[0]) if len(ranked) > 1 else None
    differences = _differences(runs, best, data, models) if best else pd.DataFrame()
    cautions = _cautions(results, cells)
    quick = results.environment.get("quick", False)
    answer = [_QUICK] if quick else _answer(best, leaderboard, differences, cells, metric, models)
    return Comparison(models, data, metric, cells, leaderboard, differences, best, answer, cautions)


def _cells(runs: pd.DataFrame, data: list[str], models: list[str]) -> pd.DataFrame:
    rows = []
    for name in data:
        for model in models:
            own = runs[(runs["data"] == name) & (runs["model"] == model)]
            if own.empty:
                continue
            failed = int((own["status"] == "failed").sum())
            scores = own["score"].to_numpy(dtype=float)
            complete = failed == 0
            variance = corrected_variance(scores, own["n_train"].mean(), own["n_test"].mean())
            rows.append(
                {
                    "data": name,
                    "model": model,
                    # Rounded, so that equal scores in another order have equal means.
                    "mean": round(float(scores.mean()), 12) if complete else np.nan,
                    "variance": variance if complete else np.nan,
                    "half_width": half_width(variance, len(scores) - 1) if complete else np.nan,
                    "runs": len(own),
                    "failed": failed,
                    "evaluations": own["evaluations"].median(),
                    "seconds": own["fit_seconds"].median(),
                }
            )
    cells = pd.DataFrame(
        rows,
        columns=[
            "data",
            "model",
            "mean",
            "variance",
            "half_width",
            "runs",
            "failed",
            "evaluations",
            "seconds",
        ],
    )
    # A model that failed has no mean and shares the last rank; equal means share theirs.
    cells["best"] = cells["mean"] == cells.groupby("data")["mean"].transform("max")
    cells["rank"] = cells.groupby("data")["mean"].rank(ascending=False, na_option="bottom")
    return cells


def _leaderboard(cells: pd.DataFrame, metric: dict[str, str]) -> pd.DataFrame:
    n_data = cells["data"].nunique()
    rows = []
    for model, own in cells.groupby("model", sort=False):
        row: dict[str, Any] = {"model": model}
        # Ranks compare models that took part everywhere; a baseline for one task has none where both occur.
        # One that failed everywhere has none either.
        takes_part = len(own) == n_data and own["mean"].notna().any()
        row["mean_rank"] = own["rank"].mean() if takes_part else np.nan
        row["data_sets"] = len(own)
        row["wins"] = int(own["best"].sum())
        for name in dict.fromkeys(metric.values()):
            with_it = own[own["data"].map(metric) == name]
            row[f"{name}_mean"] = with_it["mean"].mean(skipna=False) if len(with_it) else np.nan
            degrees = int(with_it["runs"].min()) - 1 if len(with_it) else 0
            variance = with_it["variance"].sum(skipna=False) / max(len(with_it), 1) ** 2
            row[f"{name}_half_width"] = half_width(variance, degrees) if len(with_it) else np.nan
        row["failed"] = int(own["failed"].sum())
        row["evaluations"] = own["evaluations"].sum(skipna=False)
        row["seconds"] = own["seconds"].sum(skipna=False)
        rows.append(row)
    if not rows:
        return pd.DataFrame(columns=["mean_rank"])
    board = pd.DataFrame(rows).set_index("model")
    return board.sort_values("mean_rank", kind="stable", na_position="last")


def _differences(runs: pd.DataFrame, best: str, data: list[str], models: list[str]) -> pd.DataFrame:
    """Compare all pairs of models on the same splits, the best one first in its pairs.

    All pairs, and not the best one's alone, belong to the family that is adjusted: the best was chosen by these scores.
    """
    order = [best, *(model for model in models if model != best)]
    rows = []
    for name in data:
        own = runs[runs["data"] == name].set_index(["repeat", "fold"])
        scores = {model: own[own["model"] == model]["score"] for model in order}
        n_train, n_test = own["n_train"].mean(), own["n_test"].mean()
        for model, other in itertools.combinations([m for m in order if len(scores[m])], 2):
            paired = (scores[model] - scores[other]).to_numpy(dtype=float)
            if np.isnan(paired).any():
                paired = np.array([])
            variance = corrected_variance(paired, n_train, n_test)
            rows.append(
                {
                    "data": name,
                    "model": model,
                    "other": other,
                    "difference": paired.mean() if len(paired) else np.nan,
                    "half_width": np.nan
                    if _are_equal(paired) and paired.any()
                    else half_width(variance, len(paired) - 1),
                    "p": paired_p_value(paired, n_train, n_test) if len(paired) >= FEWEST_SPLITS else np.nan,
                }
            )
    table = pd.DataFrame(rows, columns=["data", "model", "other", "difference", "half_width", "p"])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["clear"] = table["p_holm"] < LEVEL
    return table


def across_data_sets(cells: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Test all pairs of models with the data sets as the sample: Wilcoxon's signed-rank test on the mean scores, Holm.

    Returns
    -------
    pandas.DataFrame
        Columns model, other, p, p_holm; only models with a mean on every data set take part.
    """
    means = cells.pivot_table(index="data", columns="model", values="mean", sort=False, dropna=False)
    complete = [model for model in models if model in means and means[model].notna().all()]
    rows = []
    for model, other in itertools.combinations(complete, 2):
        differences = means[model] - means[other]
        p = float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0
        rows.append({"model": model, "other": other, "p": p})
    table = pd.DataFrame(rows, columns=["model", "other", "p"])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    return table


def in_words(metric: str, value: float) -> str:
    """Say a difference of scores in its usual unit; a point is a hundredth.

    Examples
    --------
    >>> in_words("accuracy", 0.012), in_words("r2", -0.1)
    ('+1.2 points', '-0.100')
    """
    if np.isnan(value):
        return "—"
    return f"{100 * value:+.1f} points" if metric in _SHARES else f"{value:+.3f}"


def interval_in_words(metric: str, middle: float, half: float) -> str:
    """Say an interval of differences.

    Examples
    --------
    >>> interval_in_words("accuracy", 0.012, 0.02)
    '-0.8 to +3.2 points'
    """
    if np.isnan(half):
        return "—"
    low, high = in_words(metric, middle - half), in_words(metric, middle + half)
    return f"{low.removesuffix(' points')} to {high}"


def count_in_words(value: Any) -> str:
    """Say a large number with two figures, such as 1.2 M.

    Examples
    --------
    >>> count_in_words(1_234_567), count_in_words(950), count_in_words(float("nan"))
    ('1.2 M', '950', '—')
    """
    if np.isnan(value):
        return "—"
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2g} {unit}" if value < 99.5 * limit else f"{value / limit:.0f} {unit}"
    return f"{value:.0f}"


def seconds_in_words(value: Any) -> str:
    """Say a duration with two figures.

    Examples
    --------
    >>> seconds_in_words(0.0123), seconds_in_words(12.3)
    ('12 ms', '12 s')
    """
    if np.isnan(value):
        return "—"
    if value < 0.995:
        return f"{1000 * value:.2g} ms" if value < 0.0995 else f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"


def _answer(
    best: str | None,
    board: pd.DataFrame,
    differences: pd.DataFrame,
    cells: pd.DataFrame,
    metric: dict[str, str],
    models: list[str],
) -> list[str]:
    if not models:
        return ["No run is finished yet."]
    if len(models) == 1:
        return [f"There is one model, {models[0]}, and so nothing to compare."]
    if cells["mean"].isna().all():
        return ["Every model failed; the failed runs are listed with their reasons."]
    if best is None:
        if (cells["failed"] == 0).all():
            return [
                "Fewer than two models took part on all data sets, so that there is no ranking; the map compares them."
            ]
        return ["Fewer than two models finished on all data sets, so that there is no ranking."]
    second = next(model for model in board.index[board["mean_rank"].notna()] if model != best)
    own = differences[differences["model"] == best]
    sentences = [
        _start(best, second, board["mean_rank"], len(metric), len(models)),
        _against_second(second, own[own["other"] == second], metric),
        _against_others(own[own["other"] != second]),
        _cost(best, cells, len(metric)),
        _beyond(best, second, cells, metric, models),
    ]
    return [sentence for sentence in sentences if sentence]


def _start(best: str, second: str, ranks: pd.Series[float], n_data: int, n_models: int) -> str:
    sets = f"{n_data} data sets" if n_data != 1 else "this data set"
    if ranks[best] == ranks[second]:
        return f"On {sets}, {best} and {second} share the best mean rank, {ranks[best]:.1f} of {n_models}."
    if n_data == 1:
        return f"On {sets}, {best} has the best mean score of the {n_models} models."
    return (
        f"On {sets}, {best} has the best mean rank: {ranks[best]:.1f} of {n_models}; the next is {second} with "
        f"{ranks[second]:.1f}."
    )


def _against_second(second: str, own: pd.DataFrame, metric: dict[str, str]) -> str:
    """Say on which data sets the best model differs from the next by more than chance explains."""
    if own["p"].isna().all():
        return f"Whether it differs from {second} by more than chance cannot be told from these runs."
    clear = own[own["clear"]]
    if clear.empty:
        where = "on any of them" if len(metric) > 1 else "here"
        return (
            f"It does not differ from {second} by more than chance explains {where}: other splits may turn the order "
            "around."
        )
    parts = []
    for _, row in clear.iterrows():
        name = metric[row["data"]]
        interval = interval_in_words(name, row["difference"], row["half_width"])
        parts.append(f"{in_words(name, row['difference'])} of {name} on {row['data']} (95 % interval {interval})")
    return (
        f"It differs from {second} by more than chance explains on {len(clear)} of {len(metric)}: {'; '.join(parts)}."
    )


def _against_others(own: pd.DataFrame) -> str:
    parts = []
    for other in dict.fromkeys(own["other"]):
        clear = own[(own["other"] == other) & own["clear"]]
        for word, side in (("better", clear["difference"] > 0), ("worse", clear["difference"] < 0)):
            if side.any():
                parts.append(f"{word} than {other} on {', '.join(clear.loc[side, 'data'])}")
    if parts:
        return f"It is clearly {_listed(parts)}."
    if own["p"].notna().any():
        return "None of the other models differs from it by more than chance explains."
    return ""


def _cost(best: str, cells: pd.DataFrame, n_data: int) -> str:
    """Say what the best model cost, and which others cost at most half or at least twice as much."""
    each = "one fit on each data set" if n_data > 1 else "a fit"
    costs = {
        str(model): cell.set_index("data")[["evaluations", "seconds"]]
        for model, cell in cells.groupby("model", sort=False)
    }
    own = costs[best].sum(skipna=False)
    spent = f"{count_in_words(own['evaluations'])} evaluations, " if own["evaluations"] > 0 else ""
    text = f"Its cost, for {each}: {spent}{seconds_in_words(own['seconds'])}"
    parts = []
    for model, cost in costs.items():
        if model == best:
            continue
        # Over the data sets that both took part in.
        ratios = (cost.sum(skipna=False) / costs[best].loc[cost.index].sum(skipna=False)).to_dict()
        if any(ratio >= 2 or ratio <= 0.5 for ratio in ratios.values()):
            said = [f"{_ratio(ratio)} the {unit}" for unit, ratio in ratios.items() if not np.isnan(ratio)]
            parts.append(f"{model} takes {' and '.join(said)}")
    return f"{'; '.join([text, *parts])}."


def _ratio(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 9.95 else f"{ratio:#.2g} times"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _beyond(best: str, second: str, cells: pd.DataFrame, metric: dict[str, str], models: list[str]) -> str:
    """Say what follows for other data sets."""
    n_data = len(metric)
    if n_data == 1:
        return "One data set says nothing about others."
    if n_data < FEWEST_DATA_SETS:
        return (
            f"Nothing is claimed beyond these data sets: with {n_data}, even winning on all of them would be "
            f"p = {2 * 0.5**n_data:.3g} in a Wilcoxon test across data sets."
        )
    if len(set(metric.values())) > 1:
        return "Nothing is claimed beyond these data sets: their scores are of several kinds and cannot be tested together."
    table = across_data_sets(cells, [best, *(model for model in models if model != best)])
    row = table[(table["model"] == best) & (table["other"] == second)]
    if row.empty:
        return "Nothing is claimed beyond these data sets, because of the failed runs."
    p = float(row["p_holm"].iloc[0])
    verdict = "differs" if p < LEVEL else "does not differ clearly"
    return (
        f"Across the {n_data} data sets as a sample, it {verdict} from {second} (Wilcoxon's signed-rank test, adjusted by "
        f"Holm's method over all pairs: p = {p:.2g})."
    )


def _cautions(results: Results, cells: pd.DataFrame) -> list[str]:
    cautions = []
    planned = results.environment.get("planned_runs", len(results.runs))
    if len(results.runs) < planned:
        cautions.append(f"{len(results.runs)} of {planned} runs are finished; the rest is missing here.")
    for _, cell in cells[cells["failed"] > 0].iterrows():
        cautions.append(
            f"{cell['model']} failed in {cell['failed']} of {cell['runs']} runs on {cell['data']}; it has no score "
            "there and ranks last."
        )
    cautions += _not_converged(results.runs)
    uneven = cells.groupby("data")["runs"].nunique()
    cautions += [
        f"On {name} the models have unequal numbers of runs, so that not all splits are shared."
        for name in uneven[uneven > 1].index
    ]
    return cautions


def _not_converged(runs: pd.DataFrame) -> list[str]:
    """Say which models warned, in at least half of their runs, that they had not converged."""
    if runs.empty:
        return []
    warned = runs["warnings"].astype(str).str.contains("ConvergenceWarning", na=False)
    counts = pd.DataFrame({"model": runs["model"], "warned": warned}).groupby("model", sort=False)["warned"]
    return [
        f"{model} warned in {number} of {size} runs that it had not converged: more steps may change its scores."
        for model, number, size in zip(counts.groups, counts.sum(), counts.size(), strict=True)
        if number >= size / 2
    ]
