"""Whether intervals, sets and scores out of fold of `TabularMLP` hold what they promise, by simulation.

    python -m tests.benchmarks.sureness [--simulations 100] [--rows 100 200 500] [--coverage 0.9] [--effort 0.4]
        [--parts coverage chance] [--file coverage.jsonl]

`coverage` draws data from a known source, fits, and counts how many of 500 new samples are held by intervals (a regression whose
noise does not depend on x, and one whose noise does) and by sets (three classes); beside them split conformal prediction by the same
estimator: half of the rows train, the other half tells how far predictions are off (Papadopoulos et al. 2002). Printed are the mean
coverage with its standard error, and the mean size: the width in standard deviations of y, or classes in a set.

With ``--file`` each simulation of `coverage` is a line of that file as soon as it is done, and what stands there is not done again.

`chance` shuffles y, so that nothing can be learnt, and prints the mean score out of fold beside what it is worth: the share of the
larger class, or an R² of 0; with its standard error, and the mean of the error that a fit states of itself.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from nnexp import TabularMLP

CONSOLE = Console(width=130)
NEW = 500


def numbers(rng, n, noise):
    X = rng.normal(size=(n, 5))
    return X, np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] ** 2 + noise(X) * rng.normal(size=n)


def classes(rng, n):
    X = rng.normal(size=(n, 5))
    z = 1.5 * np.stack([X[:, 0], np.sin(2 * X[:, 1]), X[:, 2] * X[:, 3]], axis=1)
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


SOURCES = {
    "numbers, even noise": ("regression", lambda rng, n: numbers(rng, n, lambda X: 0.5)),
    "numbers, uneven noise": ("regression", lambda rng, n: numbers(rng, n, lambda X: 0.2 + 0.6 * (X[:, 0] > 0))),
    "three classes": ("classification", classes),
}


def held(model, X, y, coverage):
    """Return the share of samples that are held, and the mean size."""
    if model.task == "regression":
        ends = model.predict_interval(X, coverage)
        return np.mean((ends[:, 0] <= y) & (y <= ends[:, 1])), np.mean(ends[:, 1] - ends[:, 0])
    inside = model.predict_set(X, coverage)
    return inside[np.arange(len(y)), y].mean(), inside.sum(axis=1).mean()


def held_by_split(model, data, new, coverage):
    """Return the same for split conformal prediction by a model that has learnt from other samples than ``data``."""
    (X, y), (X_new, y_new) = data, new
    n = len(y)
    k = int(np.ceil(coverage * (n + 1)))
    if model.task == "regression":
        half = np.sort(np.abs(y - model.predict(X)))[k - 1] if k <= n else np.inf
        return np.mean(np.abs(y_new - model.predict(X_new)) <= half), 2 * half
    most = np.sort(1 - model.predict_proba(X)[np.arange(n), y])[k - 1] if k <= n else 1.0
    inside = 1 - model.predict_proba(X_new) <= most
    return inside[np.arange(len(y_new)), y_new].mean(), inside.sum(axis=1).mean()


def with_error(values, digits=1):
    values = 100 * np.asarray(values)
    return f"{values.mean():.{digits}f} ± {values.std() / np.sqrt(len(values)):.{digits}f} %"


def simulated(given, name, n, number):
    """Return coverage and size of CV+ and of split conformal prediction in one simulation."""
    task, draw = SOURCES[name]
    rng = np.random.default_rng([number, n])
    (X, y), new = draw(rng, n), draw(rng, NEW)
    settings = {"task": task, "effort": given.effort, "random_state": number}
    whole = TabularMLP(**settings).fit(X, y)
    half = TabularMLP(**settings).fit(X[: n // 2], y[: n // 2])
    scale = np.std(y) if task == "regression" else 1.0
    share, size = held(whole, *new, given.coverage)
    other, other_size = held_by_split(half, (X[n // 2 :], y[n // 2 :]), new, given.coverage)
    return [float(value) for value in (share, size / scale, other, other_size / scale)]


def coverage_of(given):
    kept = {}
    if given.file is not None and given.file.exists():
        for line in given.file.read_text().splitlines():
            *key, row = json.loads(line)
            kept[tuple(key)] = row
    table = Table(
        box=None, title=f"coverage of {given.coverage:.0%}, {given.simulations} simulations", title_justify="left"
    )
    for name in ("source", "rows", "CV+", "size", "split conformal", "size"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for name in SOURCES:
        for n in given.rows:
            rows = []
            for number in range(given.simulations):
                key = (name, n, given.coverage, given.effort, number)
                if key not in kept:
                    kept[key] = simulated(given, name, n, number)
                    if given.file is not None:
                        with given.file.open("a") as file:
                            file.write(json.dumps([*key, kept[key]]) + "\n")
                rows.append(kept[key])
            shares, sizes, others, other_sizes = np.array(rows).T
            table.add_row(
                name, str(n), with_error(shares), f"{sizes.mean():.2f}", with_error(others), f"{other_sizes.mean():.2f}"
            )
    CONSOLE.print(table)


def chance_of(given):
    table = Table(box=None, title=f"\ny shuffled, {given.simulations} simulations", title_justify="left")
    for name in ("task", "rows", "effort", "candidates", "score out of fold", "chance", "stated error"):
        table.add_column(name, justify="left" if name == "task" else "right")
    for task in ("classification", "regression"):
        for effort in (given.effort, 8 * given.effort):
            for n in given.rows:
                rows = []
                for number in range(given.simulations):
                    rng = np.random.default_rng([number, n])
                    X = rng.normal(size=(n, 5))
                    y = (
                        rng.permutation(np.arange(n) % 5 < 2).astype(int)
                        if task == "classification"
                        else rng.normal(size=n)
                    )
                    model = TabularMLP(task, effort=effort, random_state=number).fit(X, y)
                    rows.append((model.oof_score_, model.oof_score_error_ / 1.96, len(model.cv_results_)))
                scores, errors, candidates = np.array(rows).T
                chance = "60.0 %" if task == "classification" else "0.0 %"
                stated = f"{100 * errors.mean():.1f} %"
                table.add_row(
                    task, str(n), f"{effort:g}", f"{candidates.mean():.0f}", with_error(scores), chance, stated
                )
    CONSOLE.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--rows", type=int, nargs="*", default=[100, 200, 500])
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--effort", type=float, default=0.4)
    parser.add_argument("--parts", nargs="*", choices=["coverage", "chance"], default=["coverage", "chance"])
    parser.add_argument("--file", type=Path, default=None)
    given = parser.parse_args()
    if "coverage" in given.parts:
        coverage_of(given)
    if "chance" in given.parts:
        chance_of(given)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        main()
