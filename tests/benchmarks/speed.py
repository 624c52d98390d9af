"""The speed of `fit` against scikit-learn's MLPClassifier, and of a generation: `make bench`.

Both sides run in turn in one process, with one BLAS thread, the same network, optimiser, batch size, number of steps
and precision, through the public `fit`. What counts is the ratio within a run; a row gives the medians.
"""

import time
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP, GeneticAlgorithm

ROUNDS = 7
# (hidden layers, batch size, epochs)
WORK = [
    (hidden, batch, epochs) for hidden in [(32,), (100,), (100, 100)] for batch, epochs in [(1, 1), (32, 15), (200, 50)]
]


def seconds(estimator, X, y):
    start = time.perf_counter()
    estimator.fit(X, y)
    return time.perf_counter() - start


def descent(X, y, hidden, batch, epochs):
    """Return the median time of an update on both sides, in microseconds, and their ratio."""
    theirs = {
        "hidden_layer_sizes": hidden, "batch_size": batch, "activation": "tanh", "solver": "adam", "max_iter": epochs,
        "n_iter_no_change": epochs + 1, "tol": 0.0, "alpha": 0.0,
    }  # fmt: skip
    ours = {
        "hidden_layer_sizes": hidden, "batch_size": batch, "activation": "tanh", "optimizer": "adam",
        "max_iter": epochs, "n_iter_no_change": epochs + 1, "tol": 0.0, "l2": 0.0, "validation": "none",
        "dropout": 0.0, "schedule": "constant", "learning_rate": 0.001,
    }  # fmt: skip
    times = np.array(
        [
            (
                seconds(MLPClassifier(**theirs, random_state=i), X, y),
                seconds(BackpropMLP(**ours, random_state=i), X, y),
            )
            for i in range(ROUNDS)
        ]
    )
    updates = epochs * -(-len(X) // batch)
    peer, own = np.median(times, axis=0) / updates * 1e6
    return peer, own, peer / own


def generation(X, y, population, batch):
    """Return the median time of a generation in milliseconds, without what fit does before and after."""

    def fit(steps):
        algorithm = GeneticAlgorithm(population_size=population, batch_size=batch)
        return seconds(BackpropMLP(hidden_layer_sizes=(32,), algorithm=algorithm, max_iter=steps, random_state=0), X, y)

    return np.median([(fit(12) - fit(2)) / 10 for _ in range(ROUNDS)]) * 1e3


def main():
    X, y = load_digits(return_X_y=True)
    console = Console(width=110)
    console.print("digits: one update of fit, Adam, tanh, one BLAS thread, medians of 7 rounds")
    table = Table(box=None)
    for name in ["precision", "hidden", "batch", "scikit-learn µs", "nnexp µs", "times faster"]:
        table.add_column(name, justify="right")
    for dtype in (np.float32, np.float64):
        data = (X / 16).astype(dtype)
        for hidden, batch, epochs in WORK:
            peer, own, ratio = descent(data, y, hidden, batch, epochs)
            table.add_row(dtype.__name__, str(hidden), str(batch), f"{peer:.0f}", f"{own:.0f}", f"{ratio:.1f}")
    console.print(table)
    table = Table(box=None)
    for name in ["samples", "ms"]:
        table.add_column(name, justify="right")
    data = (X / 16).astype(np.float32)
    for batch in (len(X), 128):
        table.add_row(str(batch), f"{generation(data, y, 100, batch):.1f}")
    console.print("\ndigits: one generation of 100 networks 64-32-10, float32")
    console.print(table)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        main()
