"""Guards: what makes a comparison unfair or unsafe, each found in the tables and said at the top of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from nnexp.experiment.results import MADE_WITH, Results
from nnexp.report.tables import Claim, Comparison
from nnexp.words import listed, ratio_in_words

# Costs that differ by this factor are unequal budgets.
UNEQUAL = 1.5
# A class with at least this share of the rows makes accuracy a poor score.
LARGE_CLASS = 0.8
# Fewer runs than this of a model whose result depends on a seed say little about it.
FEWEST_RUNS = 10


def cautions_of(results: Results, runs: pd.DataFrame, comparison: Comparison) -> list[Claim]:
    """Return what a reader must know before believing the comparison, the gravest first.

    Parameters
    ----------
    results : Results
    runs : pandas.DataFrame
        The runs with the column score.
    comparison : Comparison
    """
    if runs.empty:
        return []
    findings = [
        *_notes(results),
        *_unfinished(results),
        *_other_data(runs, results),
        *_other_versions(runs, "runs"),
        *_other_versions(results.trials, "trials"),
        *_unpaired(runs, comparison),
        *_missing(comparison, results),
        *_failed(comparison),
        *_not_nested(results),
        *_tuned_against_untuned(results, comparison),
        *_short_sweeps(results),
        *_unequal_budgets(comparison),
        *_unsuited_metric(results, comparison),
        *_no_better_than_a_constant(results, comparison),
        *_not_converged(runs),
        *_few_runs(comparison),
    ]
    return [replace(claim, id=f"C{number}") for number, claim in enumerate(findings, start=1)]


def _caution(text: str, test: str, data: list[str] | None = None, models: list[str] | None = None) -> Claim:
    return Claim("", text, test, data or [], models or [])


def _notes(results: Results) -> Iterator[Claim]:
    for note in results.environment.get("notes", []):
        joined = "joined" in results.environment
        test = "Found when the experiments were joined." if joined else "Found when the data were read."
        yield _caution(str(note), test)


def _unfinished(results: Results) -> Iterator[Claim]:
    planned = results.environment.get("planned_runs", len(results.runs))
    if len(results.runs) < planned:
        yield _caution(
            f"{len(results.runs)} of {planned} runs are finished; the rest is missing here.",
            "Rows of runs.csv against planned_runs in environment.json.",
        )


def _other_data(runs: pd.DataFrame, results: Results) -> Iterator[Claim]:
    """Find different data under one name, by the fingerprints or the numbers of rows of the runs."""
    test = "Fingerprints and row counts in runs.csv, within each data set, and against environment.json."
    recorded = results.environment.get("data", {})
    for name, of_set in runs.groupby("data", sort=False):
        kinds = of_set["fingerprint"].dropna().nunique() if "fingerprint" in of_set else 0
        rows = (of_set["n_train"] + of_set["n_test"]).nunique()
        known = recorded.get(name, {})
        differs = (
            kinds == 1 and "fingerprint" in known and of_set["fingerprint"].dropna().iloc[0] != known["fingerprint"]
        )
        if kinds > 1 or rows > 1 or differs:
            what = (
                f"{kinds} different tables" if kinds > 1 else "tables of different sizes" if rows > 1 else "other data"
            )
            against = " than environment.json records" if what == "other data" else ""
            yield _caution(
                f"Different data under one name: the runs on {name} used {what}{against}. Their scores cannot be compared.",
                test, [str(name)],
            )  # fmt: skip


def _other_versions(runs: pd.DataFrame, what: str) -> Iterator[Claim]:
    """Find runs, or trials, that were made with other versions and kept."""
    if MADE_WITH not in runs:
        return
    kept = runs[runs[MADE_WITH].fillna("") != ""]
    if len(kept):
        versions = list(dict.fromkeys(part for row in kept[MADE_WITH] for part in str(row).split(", ")))
        yield _caution(
            f"{len(kept)} of {len(runs)} {what} were made with other versions than environment.json has, and kept: "
            f"{listed(versions)}. Scores can differ for that alone.",
            f"Rows of {what}.csv whose made_with is not empty.",
            list(dict.fromkeys(kept["data"])), list(dict.fromkeys(kept["model"])),
        )  # fmt: skip


def _unpaired(runs: pd.DataFrame, comparison: Comparison) -> Iterator[Claim]:
    test = "The splits (repeat, fold, and the rows' hash where it is known) that each model has in runs.csv."
    keys = ["repeat", "fold", *(["split"] if "split" in runs and runs["split"].notna().all() else [])]
    for name in comparison.data:
        rows = runs[runs["data"] == name]
        counts = rows.groupby(keys)["model"].nunique()
        models = rows["model"].nunique()
        lacking = int((counts < models).sum())
        again = bool(rows.duplicated(["model", "repeat", "fold"]).any())
        if lacking or again:
            what = (
                "some splits were run twice"
                if again
                else f"{lacking} of {len(counts)} splits were not run by all models"
            )
            yield _caution(
                f"Splits on {name} are not all shared: {what}. Differences there are paired over the shared splits alone, and "
                "the means are of different splits.",
                test, [name],
            )  # fmt: skip


def _missing(comparison: Comparison, results: Results) -> Iterator[Claim]:
    """Find models that were not run on data sets of a task that they can do."""
    cells = comparison.cells
    there = set(zip(cells["data"], cells["model"], strict=True))
    tasks = results.runs.drop_duplicates("data").set_index("data")["task"]
    for model in comparison.models:
        settings = results.experiment["model"].get(model, {}).get("class", {})
        able = set(settings) if isinstance(settings, dict) and settings else set(tasks)
        lacking = [name for name in comparison.data if tasks[name] in able and (name, model) not in there]
        if lacking:
            yield _caution(
                f"{model} was not run on {listed(lacking)}. It has no mean rank, and is compared only where it was run.",
                "Pairs of data set and model that runs.csv has no row for.", lacking, [model],
            )  # fmt: skip


def _failed(comparison: Comparison) -> Iterator[Claim]:
    failed = comparison.cells[comparison.cells["failed"] > 0]
    test = "Rows of runs.csv whose status is failed; none is dropped."
    if len(failed) > 6:
        models = list(dict.fromkeys(failed["model"]))
        yield _caution(
            f"{int(failed['failed'].sum())} runs failed, of {listed(models)}, on {failed['data'].nunique()} "
            "data sets; a model has no "
            "score where a run of it failed, and ranks last there.",
            test, list(dict.fromkeys(failed["data"])), models,
        )  # fmt: skip
        return
    for _, cell in failed.iterrows():
        yield _caution(
            f"{cell['model']} failed in {cell['failed']} of {cell['runs']} runs on {cell['data']}; it has no score "
            "there and ranks last.",
            test, [cell["data"]], [cell["model"]],
        )  # fmt: skip


def _not_nested(results: Results) -> Iterator[Claim]:
    tuned = results.tuned
    if len(tuned) and tuned["fold"].isna().any():
        names = list(dict.fromkeys(tuned["model"]))
        yield _caution(
            f"The sweep was not nested: the parameters of {listed(names)} were chosen by scores on the same data, so their scores "
            "here are optimistic. nested = true in [sweep] measures them on data that no trial saw.",
            "Rows of tuned.csv without an outer fold.", models=names,
        )  # fmt: skip


def _tuned_against_untuned(results: Results, comparison: Comparison) -> Iterator[Claim]:
    if results.tuned.empty:
        return
    tuned = list(dict.fromkeys(results.tuned["model"]))
    untuned = [name for name in comparison.models if name not in tuned]
    test = "Models in tuned.csv against those in runs.csv."
    if untuned:
        trials = int(results.tuned["trials"].median())
        yield _caution(
            f"Tuned against untuned: {listed(tuned)} had {trials} trials for each choice of parameters, {listed(untuned)} none. A "
            "difference between them includes what tuning gains.",
            test, models=[*tuned, *untuned],
        )  # fmt: skip
    each = results.tuned.groupby("model", sort=False)["trials"].median()
    if len(each) > 1 and each.max() >= UNEQUAL * each.min():
        counts = listed([f"{name} {int(number)}" for name, number in each.items()])
        yield _caution(f"Tuned models had unequal numbers of trials: {counts}.", test, models=tuned)


def _short_sweeps(results: Results) -> Iterator[Claim]:
    if results.tuned.empty:
        return
    sweep = results.experiment.get("sweep", {})
    short = results.tuned[results.tuned["trials"] < (sweep.get("trials") or 0)]
    sampler = sweep.get("sampler")
    if len(short) and (sampler.get("name") if isinstance(sampler, dict) else sampler) != "grid":
        counts = f"{int(short['trials'].min())} of {sweep['trials']}"
        yield _caution(
            f"{len(short)} of {len(results.tuned)} sweeps have fewer trials than planned, at the least {counts}.",
            "Trials in tuned.csv against those in experiment.json.",
        )
    if len(results.trials):
        for model, trials in results.trials.groupby("model", sort=False):
            failed = (trials["state"] == "fail").mean()
            if failed >= 0.25:
                yield _caution(
                    f"{failed:.0%} of the trials of {model} failed; the trials table says why.",
                    "Rows of trials.csv whose state is fail.", models=[str(model)],
                )  # fmt: skip


def _unequal_budgets(comparison: Comparison) -> Iterator[Claim]:
    """Find data sets on which the costliest model spent well more evaluations than the cheapest, where they are known."""
    known = comparison.cells.dropna(subset=["evaluations"])
    known = known[known["evaluations"] > 0]
    spans = known.groupby("data", sort=False)["evaluations"].agg(["min", "max", "size"])
    unequal = spans[(spans["size"] > 1) & (spans["max"] >= UNEQUAL * spans["min"])]
    if unequal.empty:
        return
    ratios = unequal["max"] / unequal["min"]
    name = str(ratios.idxmax())
    budgets = known[known["data"] == name].sort_values("evaluations")
    low, high = str(budgets["model"].iloc[0]), str(budgets["model"].iloc[-1])
    where = (
        "" if len(comparison.data) == 1 else f" on {len(unequal)} of {len(comparison.data)} data sets; most on {name}"
    )
    yield _caution(
        f"Budgets were unequal{where}: {high} spent {ratio_in_words(float(ratios.max()))} the evaluations of "
        f"{low}. A better score may be "
        "bought, and the comparison is not one of equal cost.",
        f"Medians of evaluations in runs.csv; unequal is a factor of {UNEQUAL} or more.",
        [str(own_name) for own_name in unequal.index], list(budgets["model"]),
    )  # fmt: skip


def _unsuited_metric(results: Results, comparison: Comparison) -> Iterator[Claim]:
    for name in comparison.data:
        classes = results.environment.get("data", {}).get(name, {}).get("classes")
        if comparison.metric[name] != "accuracy" or not classes:
            continue
        total = sum(classes.values())
        label, most = max(classes.items(), key=lambda item: item[1])
        if most < LARGE_CLASS * total:
            continue
        yield _caution(
            f"Accuracy does not suit {name}: {most / total:.1%} of its rows are of class {label}, so that "
            f"always answering {label} scores "
            f"{most / total:.3f}. balanced_accuracy, roc_auc or average_precision tell models apart.",
            f"The share of the largest class in environment.json; {LARGE_CLASS:.0%} or more is too much.", [name],
        )  # fmt: skip


def _no_better_than_a_constant(results: Results, comparison: Comparison) -> Iterator[Claim]:
    best = comparison.cells.groupby("data")["mean"].max()
    for name in comparison.data:
        metric, high = comparison.metric[name], best[name]
        classes = results.environment.get("data", {}).get(name, {}).get("classes")
        constant = {"r2": 0.0, "balanced_accuracy": 1 / len(classes) if classes else np.nan, "roc_auc": 0.5}.get(
            metric, np.nan
        )
        if metric == "accuracy" and classes:
            constant = max(classes.values()) / sum(classes.values())
        if not np.isnan(high) and not np.isnan(constant) and high <= constant:
            yield _caution(
                f"No model learnt {name}: the best mean {metric}, {high:.3f}, is no better than a constant answer, {constant:.3f}.",
                "The best mean score against that of the most frequent class, or of the mean.", [name],
            )  # fmt: skip


def _not_converged(runs: pd.DataFrame) -> Iterator[Claim]:
    """Say which models warned, in at least half of their runs, that they had not converged."""
    warned = runs["warnings"].astype(str).str.contains("ConvergenceWarning", na=False)
    for model, messages in warned.groupby(runs["model"], sort=False):
        if messages.sum() >= len(messages) / 2:
            yield _caution(
                f"{model} warned in {messages.sum()} of {len(messages)} runs that it had not converged: more steps may change "
                "its scores.",
                "Rows of runs.csv whose warnings hold ConvergenceWarning.", models=[str(model)],
            )  # fmt: skip


def _few_runs(comparison: Comparison) -> Iterator[Claim]:
    least = comparison.cells["runs"].min()
    if least < FEWEST_RUNS and len(comparison.models) > 1:
        yield _caution(
            f"A network's score depends on its seed, and some models have only {least} runs on a data set: 10 "
            "or more show how much. "
            "evaluation.repeats sets them.",
            f"Rows of runs.csv for each data set and model; fewer than {FEWEST_RUNS}.",
        )  # fmt: skip
