"""How good BackpropMLP is on real tables, beside a linear model, gradient boosting and scikit-learn's MLP.

    python -m tests.benchmarks.strength FOLDER [--rows 5000] [--folds 5] [--data NAME ...] [--only NAME ...] [--candidates]

FOLDER holds a CSV file for each data set (header, column `target`), or an .npz file with `X_train` and `y_train`, and
`manifest.csv` with the columns `name` and `task` ("binary", "multiclass" or "regression"). All models meet the same splits:
the rows are shuffled by seed 0 and cut to `--rows`, columns are prepared as in experiments (median for missing numbers,
standardised, one-hot), the target of a regression is standardised for the other models, as BackpropMLP does by itself.

Prints, for each set and as a summary: accuracy or R²; log loss, or the root mean squared error in units of the standard
deviation; the time of a fit; and whether the out-of-fold score of the cross-fitted networks is within its own stated error of
the score on the test folds. `--candidates` adds what the defaults were chosen among.
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
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP
from nnexp.experiment.datasets import DataSet, load_file, make_preparation

LINEAR, BOOSTING, PEER = "linear", "gradient boosting", "scikit-learn's MLP"
DEFAULT, STACK = "BackpropMLP", "BackpropMLP, 8 networks"
OTHERS = {
    LINEAR: (lambda: LogisticRegression(max_iter=1000), Ridge),
    BOOSTING: (
        lambda: HistGradientBoostingClassifier(random_state=0), lambda: HistGradientBoostingRegressor(random_state=0)
    ),
    PEER: (lambda: MLPClassifier(random_state=0), lambda: MLPRegressor(random_state=0)),
}  # fmt: skip
OWN = {DEFAULT: {}, STACK: {"n_networks": 8}}
# What the defaults were chosen among: the learning rate, l2, dropout and activation of one network and of eight.
CANDIDATES = {
    "1: l2 0.002, no dropout": {"dropout": 0.0},
    "1: l2 0.001": {"l2": 1e-3},
    "1: l2 0.005, no dropout": {"l2": 5e-3, "dropout": 0.0},
    "1: dropout 0.2": {"dropout": 0.2},
    "1: constant rate 0.001": {"schedule": "constant", "learning_rate": 0.001},
    "1: relu": {"activation": "relu"},
    "1: silu": {"activation": "silu"},
    "8: rate 0.01": {"n_networks": 8, "learning_rate": 0.01},
    "8: silu, rate 0.01": {"n_networks": 8, "learning_rate": 0.01, "activation": "silu"},
    "8: tanh and silu, rate 0.01": {"n_networks": 8, "learning_rate": 0.01, "activation": {"tanh": 32, "silu": 32}},
    "8: not cross-fitted": {"n_networks": 8, "validation": "none"},
}


def make(name, task):
    regression = task == "regression"
    if name in OTHERS:
        model = OTHERS[name][regression]()
        return TransformedTargetRegressor(model, transformer=StandardScaler()) if regression else model
    return BackpropMLP(task, encoding="none", random_state=0, **(OWN | CANDIDATES)[name])


def load(folder, name, task):
    (path,) = (own for own in folder.glob(f"{name}.*"))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            X = arrays["X_train"].reshape(len(arrays["X_train"]), -1).astype(np.float32)
            return DataSet(
                name, task, pd.DataFrame(X, columns=[f"pixel_{i}" for i in range(X.shape[1])]), arrays["y_train"]
            )
    return load_file(name, path, "target", task)


def splits(data, rows, folds):
    order = np.random.default_rng(0).permutation(len(data.y))[:rows]
    X, y = data.X.iloc[order], data.y[order]
    splitter = KFold if data.task == "regression" else StratifiedKFold
    for training, test in splitter(folds, shuffle=True, random_state=0).split(X, y):
        preparation = make_preparation(X).fit(X.iloc[training])
        prepared = (preparation.transform(X.iloc[part]).astype(np.float32) for part in (training, test))
        yield (*prepared, y[training], y[test])


def measure(name, data, cut):
    rows = []
    for X, X_test, y, y_test in cut:
        model = make(name, data.task)
        start = time.perf_counter()
        model.fit(X, y)
        row = {"seconds": time.perf_counter() - start, "score": model.score(X_test, y_test)}
        if data.task == "classification":
            row["loss"] = log_loss(y_test, model.predict_proba(X_test).astype(float), labels=model.classes_)
        else:
            row["loss"] = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)) / np.std(y_test)
        row["oof"], row["error"] = getattr(model, "oof_score_", np.nan), getattr(model, "oof_score_error_", np.nan)
        rows.append(row)
    return pd.DataFrame(rows).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--data", nargs="*")
    parser.add_argument("--only", nargs="*", choices=[*OWN, *CANDIDATES])
    parser.add_argument("--candidates", action="store_true")
    given = parser.parse_args()
    names = [*OTHERS, *(given.only or [*OWN, *(CANDIDATES if given.candidates else [])])]
    found: dict[str, dict] = {name: {} for name in names}
    tasks = {}
    for _, entry in pd.read_csv(given.folder / "manifest.csv").iterrows():
        if given.data and entry["name"] not in given.data:
            continue
        task = "regression" if entry["task"] == "regression" else "classification"
        data = load(given.folder, entry["name"], task)
        cut = list(splits(data, given.rows, given.folds))
        tasks[data.name] = task
        for name in names:
            found[name][data.name] = measure(name, data, cut)
        print(f"{data.name} measured", flush=True)
    show(found, tasks)


def table_of(console, title, found, tasks, column):
    table = Table(box=None, title=title, title_justify="left")
    for name in ["", *found]:
        table.add_column(name, justify="right" if name else "left")
    for data in tasks:
        table.add_row(data, *(f"{rows[data][column]:.3f}" for rows in found.values()))
    console.print(table)


def show(found, tasks):
    console = Console(width=60 + 24 * len(found))
    table_of(console, "accuracy or R²", found, tasks, "score")
    table_of(console, "\nlog loss, or RMSE in standard deviations", found, tasks, "loss")
    table_of(console, "\nseconds of a fit", found, tasks, "seconds")
    losses = pd.DataFrame({name: {data: row["loss"] for data, row in rows.items()} for name, rows in found.items()})
    compared = [LINEAR, BOOSTING, PEER]
    margin = {name: 0.02 if task == "regression" else 0.01 for name, task in tasks.items()}
    table = Table(box=None, title=f"\nsummary of {len(tasks)} sets", title_justify="left")
    columns = [
        "", "mean score", "mean loss", "better score than the MLP", "worse by > 1 point, 0.02 R²", "lower loss than the MLP",
        "lower loss than boosting", "mean rank of loss *", "seconds", "most times the MLP's", "OOF within its error",
    ]  # fmt: skip
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    peer = found[PEER]
    for name, rows in found.items():
        ranks = losses[list(dict.fromkeys([*compared, name]))].rank(axis=1)[name].mean()
        oof = [abs(row["oof"] - row["score"]) <= row["error"] for row in rows.values() if not np.isnan(row["oof"])]
        table.add_row(
            name,
            f"{np.mean([row['score'] for row in rows.values()]):.4f}",
            f"{losses[name].mean():.4f}",
            str(sum(rows[data]["score"] > peer[data]["score"] for data in tasks)),
            str(sum(rows[data]["score"] < peer[data]["score"] - margin[data] for data in tasks)),
            str(int((losses[name] < losses[PEER]).sum())),
            str(int((losses[name] < losses[BOOSTING]).sum())),
            f"{ranks:.2f}",
            f"{np.mean([row['seconds'] for row in rows.values()]):.2f}",
            f"{max(rows[data]['seconds'] / peer[data]['seconds'] for data in tasks):.1f}",
            f"{sum(oof)} of {len(oof)}" if oof else "",
        )
    console.print(table)
    console.print("* among the linear model, gradient boosting, scikit-learn's MLP and the one of the row")


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        main()
