"""What it costs to make numbers of a table.

    python -m tests.benchmarks.encoding [--rows 100000] [--columns 50 100 200] [--runs 5]

The first table has the CPU seconds of `TableEncoder`: of a frame a fifth of whose columns are words of ten levels and a fifth numbers with
gaps, and of an array of floats, by the number of columns. The second has those of `nnexp.cross_validate`, ten folds of
digits and of breast_cancer, with ``encoding="auto"`` on the numbers as they are and with ``encoding="none"`` on the same numbers
standardised beforehand, run in turn.
"""

import argparse
import time

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP, TableEncoder, cross_validate

CONSOLE = Console(width=130)
SETTINGS = {"hidden_layer_sizes": (32,), "max_iter": 30, "random_state": 0}


def frame(rows, columns):
    rng = np.random.default_rng(0)
    made = {}
    for i in range(columns):
        if i % 5 == 4:
            made[f"c{i}"] = rng.choice(list("abcdefghij"), rows)
        else:
            made[f"c{i}"] = rng.lognormal(size=rows)
            if i % 5 == 3:
                made[f"c{i}"][rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame(made)


def cpu(work):
    begun = time.process_time()
    work()
    return time.process_time() - begun


def tables(rows, columns, runs):
    shown = Table("columns", "frame: fit", "fit and transform", "floats: fit and transform")
    for count in columns:
        X = frame(rows, count)
        floats = np.random.default_rng(1).normal(size=(rows, count))
        seconds = [
            [
                cpu(lambda X=X: TableEncoder().fit(X)),
                cpu(lambda X=X: TableEncoder().fit_transform(X)),
                cpu(lambda floats=floats: TableEncoder().fit_transform(floats)),
            ]
            for _ in range(runs)
        ]
        shown.add_row(str(count), *(f"{value:.2f} s" for value in np.median(seconds, axis=0)))
    CONSOLE.print(f"TableEncoder, {rows:,} rows, CPU seconds (the median of {runs} runs)", shown)


def cross_validations(runs):
    shown = Table("data", "as they are", "standardised beforehand", "ratio (median)")
    for load in (load_digits, load_breast_cancer):
        X, y = load(return_X_y=True)
        Z = StandardScaler().fit_transform(X)
        seconds = np.array(
            [
                [
                    cpu(lambda X=X, y=y: cross_validate(BackpropMLP(**SETTINGS), X, y, cv=10)),
                    cpu(lambda Z=Z, y=y: cross_validate(BackpropMLP(encoding="none", **SETTINGS), Z, y, cv=10)),
                ]
                for _ in range(runs)
            ]
        )
        ratio = np.median(seconds[:, 0] / seconds[:, 1])
        middle = [f"{value:.2f} s" for value in np.median(seconds, axis=0)]
        shown.add_row(load.__name__.removeprefix("load_"), *middle, f"{ratio:.2f}")
    CONSOLE.print("Ten folds, one stack, CPU seconds", shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with threadpool_limits(1):
        tables(asked.rows, asked.columns, asked.runs)
        cross_validations(asked.runs)


if __name__ == "__main__":
    main()
