"""How good candidates for the defaults of BackpropMLP are on real tables, beside scikit-learn's MLP.

    python -m tests.benchmarks.strength FOLDER [--rows 2500] [--folds 3] [--only NAME ...]

FOLDER holds a CSV file for each data set (header, column `target`) and `manifest.csv` with the columns `name` and `task`
("binary", "multiclass" or "regression"). All candidates meet the same splits; columns are prepared as in experiments; the
target of a regression is standardised for both sides. Prints accuracy or R² for each set, then: the mean, on how many sets
a candidate is better than scikit-learn's MLP, on how many it is worse by more than one point of accuracy or 0.02 of R²,
the mean log loss, and the mean time of a fit.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP
from nnexp.experiment.datasets import load_file, make_preparation

PEER = "scikit-learn"
CANDIDATES = {
    "default": {},
    "silu": {"activation": "silu"},
    "relu": {"activation": "relu"},
    "tanh and silu": {"activation": {"tanh": 32, "silu": 32}},
    "one layer of 100": {"hidden_layer_sizes": (100,)},
    "l2 0.0001": {"l2": 1e-4},
    "l2 0.001": {"l2": 1e-3},
    "l2 0.01": {"l2": 1e-2},
    "learning rate 0.003": {"learning_rate": 3e-3},
    "early stopping": {"early_stopping": True},
}


def make(candidate, task):
    regression = task == "regression"
    if candidate != PEER:
        return BackpropMLP(task, random_state=0, **CANDIDATES[candidate])
    if regression:
        return TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler())
    return MLPClassifier(random_state=0)


def splits(data, rows, folds):
    order = np.random.default_rng(0).permutation(len(data.y))[:rows]
    X, y = data.X.iloc[order], data.y[order]
    splitter = KFold if data.task == "regression" else StratifiedKFold
    for training, test in splitter(folds, shuffle=True, random_state=0).split(X, y):
        preparation = make_preparation(X).fit(X.iloc[training])
        prepared = (preparation.transform(X.iloc[part]).astype(np.float32) for part in (training, test))
        yield (*prepared, y[training], y[test])


def measure(candidate, data, cut):
    rows = []
    for X, X_test, y, y_test in cut:
        start = time.perf_counter()
        estimator = make(candidate, data.task).fit(X, y)
        row = {"seconds": time.perf_counter() - start, "score": estimator.score(X_test, y_test)}
        if data.task == "classification":
            row["loss"] = log_loss(y_test, estimator.predict_proba(X_test).astype(float), labels=estimator.classes_)
        rows.append(row)
    return pd.DataFrame(rows).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(CANDIDATES), default=list(CANDIDATES))
    given = parser.parse_args()
    table: dict[str, dict] = {name: {} for name in [PEER, *given.only]}
    tasks = {}
    for _, entry in pd.read_csv(given.folder / "manifest.csv").iterrows():
        (path,) = given.folder.glob(f"{entry['name']}.*")
        if not path.name.endswith((".csv", ".csv.gz")):
            continue
        task = "regression" if entry["task"] == "regression" else "classification"
        data = load_file(entry["name"], path, "target", task)
        cut = list(splits(data, given.rows, given.folds))
        tasks[data.name] = task
        for name in table:
            table[name][data.name] = measure(name, data, cut)
        print(f"{data.name} measured", flush=True)
    show(table, tasks)


def show(table, tasks):
    console = Console(width=260)
    out = Table(box=None)
    for column in ["", *tasks, "mean", "better", "clearly worse", "log loss", "seconds"]:
        out.add_column(column, justify="right" if column else "left")
    margin = {name: 0.02 if task == "regression" else 0.01 for name, task in tasks.items()}
    for name, rows in table.items():
        scores = {data: row["score"] for data, row in rows.items()}
        peer = {data: row["score"] for data, row in table[PEER].items()}
        out.add_row(
            name,
            *(f"{score:.3f}" for score in scores.values()),
            f"{np.mean(list(scores.values())):.4f}",
            str(sum(scores[data] > peer[data] for data in tasks)),
            str(sum(scores[data] < peer[data] - margin[data] for data in tasks)),
            f"{np.nanmean([row.get('loss', np.nan) for row in rows.values()]):.3f}",
            f"{np.mean([row['seconds'] for row in rows.values()]):.2f}",
        )
    console.print(out)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        main()
