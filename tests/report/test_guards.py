"""Each guard with tables that trip it and with the nearest tables that do not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nnexp.report import compare
from tests.report.tables import make_results
from tests.test_statistics import around

pytestmark = pytest.mark.figures

SCORES = {name: {"x": around(0.9, seed=1), "y": around(0.8, seed=2)} for name in "ab"}


def cautions(results):
    return [claim.text for claim in compare(results).cautions]


def changed(results, rows=None, environment=None, **columns):
    """Return results with columns of some rows changed."""
    runs = results.runs.copy()
    chosen = slice(None) if rows is None else rows(runs)
    for name, value in columns.items():
        if name not in runs:
            runs[name] = None
        runs.loc[chosen, name] = value
    return replace(results, runs=runs, environment={**results.environment, **(environment or {})})


def tuned(models, trials=50, nested=True, of=50, failed=0.0, data="a"):
    results = make_results(SCORES)
    counts = dict(zip(models, trials if isinstance(trials, list) else [trials] * len(models), strict=True))
    rows = [
        {"data": data, "model": model, "repeat": 0 if nested else np.nan, "fold": 0 if nested else np.nan, "best": 0,
         "trials": counts[model], "objective": "accuracy", "inner_score": 0.9, "tuning_evaluations": 1.0, "parameters": "{}"}
        for model in models
    ]  # fmt: skip
    states = ["fail"] * int(10 * failed) + ["complete"] * (10 - int(10 * failed))
    trials_table = pd.DataFrame(
        [{"data": data, "model": m, "repeat": 0, "fold": 0, "number": i, "state": state, "value": 0.9, "reused_from": None}
         for m in models for i, state in enumerate(states)]
    )  # fmt: skip
    sweep = {
        "trials": of,
        "sampler": "tpe",
        "pruner": "none",
        "nested": nested,
        "mode": "deterministic",
        "folds": 3,
        "batch_size": 8,
    }
    experiment = {**results.experiment, "sweep": sweep}
    return replace(results, tuned=pd.DataFrame(rows), trials=trials_table, experiment=experiment)


def classes(**counts):
    facts = {"fingerprint": "abc", "rows": 100, "columns": 4, "task": "classification", "classes": counts}
    return {"data": {"a": facts, "b": {**facts, "classes": {"u": 50, "v": 50}}}}


CASES = {
    "unfinished": (
        "20 of 40 runs are finished; the rest is missing here.",
        lambda: make_results({"a": SCORES["a"]}, planned=40),
        lambda: make_results({"a": SCORES["a"]}, planned=20),
    ),
    "different data under one name, by fingerprints": (
        "Different data under one name: the runs on a used 2 different tables. Their scores cannot be compared.",
        lambda: changed(changed(make_results(SCORES), fingerprint="abc"), lambda r: r.index == 3, fingerprint="abd"),
        lambda: changed(make_results(SCORES), fingerprint="abc"),
    ),
    "different data under one name, by size": (
        "Different data under one name: the runs on b used tables of different sizes.",
        lambda: changed(make_results(SCORES), lambda r: (r["data"] == "b") & (r["model"] == "y"), n_train=160),
        lambda: changed(make_results(SCORES), lambda r: r["data"] == "b", n_train=160),
    ),
    "other data than recorded": (
        "the runs on a used other data than environment.json records.",
        lambda: changed(changed(make_results(SCORES), fingerprint="abc"), lambda r: r["data"] == "a", fingerprint="old"),
        lambda: changed(make_results(SCORES), fingerprint="abc"),
    ),
    "unpaired splits, by number": (
        "Splits on b are not all shared: 1 of 10 splits were not run by all models.",
        lambda: replace(make_results(SCORES), runs=make_results(SCORES).runs.iloc[:-1]),
        lambda: make_results(SCORES),
    ),
    "unpaired splits, by their rows": (
        "Splits on a are not all shared: 20 of 20 splits were not run by all models.",
        lambda: changed(
            changed(make_results(SCORES), split="one"), lambda r: (r["data"] == "a") & (r["model"] == "y"), split="two"
        ),
        lambda: changed(make_results(SCORES), split="one"),
    ),
    "splits run twice": (
        "Splits on a are not all shared: some splits were run twice.",
        lambda: replace(
            make_results(SCORES),
            runs=pd.concat([make_results(SCORES).runs, make_results(SCORES).runs.iloc[:1]], ignore_index=True),
        ),
        lambda: make_results(SCORES),
    ),
    "missing cells": (
        "y was not run on b. It has no mean rank, and is compared only where it was run.",
        lambda: make_results({**SCORES, "b": {"x": SCORES["b"]["x"]}}),
        lambda: make_results(SCORES),
    ),
    "failures": (
        "x failed in 1 of 10 runs on a; it has no score there and ranks last.",
        lambda: make_results({**SCORES, "a": {"x": [*around(0.9, n=9), None], "y": around(0.8)}}),
        lambda: make_results(SCORES),
    ),
    "a sweep that is not nested": (
        "The sweep was not nested: the parameters of x and y were chosen by scores on the same data, so their scores here are "
        "optimistic.",
        lambda: tuned(["x", "y"], nested=False),
        lambda: tuned(["x", "y"], nested=True),
    ),
    "tuned against untuned": (
        "Tuned against untuned: x had 50 trials for each choice of parameters, y none. A difference between them includes what tuning "
        "gains.",
        lambda: tuned(["x"]),
        lambda: tuned(["x", "y"]),
    ),
    "unequal numbers of trials": (
        "Tuned models had unequal numbers of trials: x 50 and y 20.",
        lambda: tuned(["x", "y"], trials=[50, 20]),
        lambda: tuned(["x", "y"], trials=[50, 40], of=40),
    ),
    "sweeps that are too short": (
        "1 of 2 sweeps have fewer trials than planned, at the least 40 of 50.",
        lambda: tuned(["x", "y"], trials=[50, 40]),
        lambda: tuned(["x", "y"], trials=[50, 50]),
    ),
    "trials that fail": (
        "30% of the trials of x failed; the trials table says why.",
        lambda: tuned(["x", "y"], failed=0.3),
        lambda: tuned(["x", "y"], failed=0.2),
    ),
    "unequal budgets": (
        "Budgets were unequal on 2 of 2 data sets; most on a: x spent 1.5 times the evaluations of y. A better score may be bought",
        lambda: make_results(SCORES, evaluations={"x": 1500.0, "y": 1000.0}),
        lambda: make_results(SCORES, evaluations={"x": 1490.0, "y": 1000.0}),
    ),
    "a metric that does not suit": (
        "Accuracy does not suit a: 98.0% of its rows are of class no, so that always answering no scores 0.980. balanced_accuracy,",
        lambda: changed(make_results(SCORES), environment=classes(no=98, yes=2)),
        lambda: changed(make_results(SCORES), environment=classes(no=79, yes=21)),
    ),
    "no better than a constant": (
        "No model learnt a: the best mean accuracy, 0.900, is no better than a constant answer, 0.950.",
        lambda: changed(make_results({n: {"x": around(0.9, 0.001), "y": around(0.8)} for n in "ab"}), environment=classes(no=95, yes=5)),
        lambda: changed(make_results({n: {"x": around(0.9, 0.001), "y": around(0.8)} for n in "ab"}), environment=classes(no=89, yes=11)),
    ),
    "not converged": (
        "y warned in 20 of 20 runs that it had not converged: more steps may change its scores.",
        lambda: changed(make_results(SCORES), lambda r: r["model"] == "y", warnings="ConvergenceWarning: not yet"),
        lambda: changed(make_results(SCORES), lambda r: r.index < 5, warnings="ConvergenceWarning: not yet"),
    ),
    "few runs": (
        "some models have only 5 runs on a data set: 10 or more show how much.",
        lambda: make_results({"a": {"x": around(0.9, n=5), "y": around(0.8, n=5)}}, repeats=1),
        lambda: make_results({"a": {"x": around(0.9), "y": around(0.8)}}),
    ),
    "notes of a join": (
        "c is left out: B did not run on it.",
        lambda: changed(make_results(SCORES), environment={"notes": ["c is left out: B did not run on it."]}),
        lambda: changed(make_results(SCORES), environment={"notes": []}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_a_guard_is_tripped_by_what_it_guards_against_and_by_nothing_else(kind):
    said, bad, good = CASES[kind]
    assert any(said in text for text in cautions(bad())), cautions(bad())
    head = said[:28]
    assert not any(head in text for text in cautions(good())), cautions(good())


def test_sound_tables_have_no_caution():
    assert cautions(make_results(SCORES)) == []


def test_unpaired_splits_are_not_compared_as_if_they_were():
    results = changed(
        changed(make_results(SCORES), split="one"), lambda r: (r["data"] == "a") & (r["model"] == "y"), split="two"
    )
    row = compare(results).differences.set_index("data").loc["a"]
    assert row["splits"] == 0
    assert np.isnan(row["p"])


def test_cautions_stand_above_the_tables_and_have_evidence(tmp_path):
    from nnexp.report import write_report

    results = make_results(SCORES, folder=tmp_path, evaluations={"x": 5000.0, "y": 1000.0})
    page = write_report(results).read_text()
    assert page.index("Budgets were unequal") < page.index("Leaderboard")
    assert 'id="evidence-C1"' in page
