"""The speed of `fit` and of what stacks it, against scikit-learn's MLPClassifier and other peers: `make bench`.

Both sides run in turn in one process, with one BLAS thread, the same network, optimiser, batch size, number of steps
and precision, through the public `fit`. What counts is the ratio within a run; a row gives the medians. PyTorch and JAX
take part if they are there (the extra ``nnexp[peers]``), as plain loops over shuffled batches.
"""

# ruff: noqa: B023 - what is timed is called before the loop goes on
import argparse
import itertools
import time
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.model_selection import cross_validate as one_by_one
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP, cross_validate
from tests.benchmarks import peers

ROUNDS = 5
# (hidden layers, batch size, epochs), and how many times faster than scikit-learn it is meant to be in float32
WORK = {
    ((32,), 1, 1): 4.5, ((32,), 32, 15): 4, ((32,), 200, 50): 2.7,
    ((100,), 1, 1): 4.5, ((100,), 32, 15): 4, ((100,), 200, 50): 2.7,
    ((100, 100), 1, 1): None, ((100, 100), 32, 15): 3, ((100, 100), 200, 50): 2,
}  # fmt: skip
PLAIN = {
    "encoding": "none",
    "activation": "tanh", "optimizer": "adam", "learning_rate": 0.001, "schedule": "constant", "l2": 0.0, "dropout": 0.0,
    "tol": 0.0, "n_iter_no_change": 10**9, "validation": "none", "random_state": 0,
}  # fmt: skip
PLAIN_PEER = {
    "activation": "tanh",
    "solver": "adam",
    "alpha": 0.0,
    "tol": 0.0,
    "n_iter_no_change": 10**9,
    "random_state": 0,
}


def medians(*functions, rounds=ROUNDS):
    """Call functions in turn, several times, and return the median seconds of each."""
    times = []
    for _ in range(rounds):
        row = []
        for function in functions:
            start = time.perf_counter()
            function()
            row.append(time.perf_counter() - start)
        times.append(row)
    return np.median(times, axis=0)


def table_of(title, *columns):
    table = Table(box=None, title=f"\n{title}", title_justify="left")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def updates(console, X, y):
    others = peers.available()
    table = table_of(
        "digits: microseconds of an update of fit, Adam, tanh", "precision", "hidden", "batch", "scikit-learn", *others, "nnexp",
        "times faster", "meant", *(f"than {name}" for name in others),
    )  # fmt: skip
    for dtype in (np.float32, np.float64):
        data = X.astype(dtype)
        for (hidden, batch, epochs), meant in WORK.items():
            theirs = MLPClassifier(hidden, batch_size=batch, max_iter=epochs, **PLAIN_PEER)
            ours = BackpropMLP(hidden_layer_sizes=hidden, batch_size=batch, max_iter=epochs, **PLAIN)
            takes_part = others if dtype == np.float32 else {}
            loops = [make(data, y, hidden, batch, epochs) for make in takes_part.values()]
            for loop in loops:
                loop()  # compiles
            found = medians(lambda: theirs.fit(data, y), lambda: ours.fit(data, y), *loops) / (
                epochs * -(-len(X) // batch)
            )
            peer, own, *rest = found * 1e6
            blank = [""] * (len(others) - len(rest))
            table.add_row(
                dtype.__name__, str(hidden), str(batch), f"{peer:.0f}", *(f"{t:.0f}" for t in rest), *blank, f"{own:.0f}",
                f"{peer / own:.1f}", str(meant or "") if dtype == np.float32 else "", *(f"{t / own:.1f}" for t in rest), *blank,
            )  # fmt: skip
    console.print(table)


def stacks(console, X, y):
    table = table_of("many fits, float32, batch 32: seconds", "work", "scikit-learn", "nnexp", "times faster", "meant")
    iris = load_iris(return_X_y=True)
    splits = RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=0)
    theirs = MLPClassifier((32,), batch_size=32, max_iter=50, **PLAIN_PEER)
    ours = BackpropMLP(hidden_layer_sizes=(32,), batch_size=32, max_iter=50, **PLAIN)
    for name, (data, target), meant, rounds in (("iris", iris, 20, 3), ("digits", (X, y), 10, 1)):
        data = data.astype(np.float32)
        peer, own = medians(
            lambda: one_by_one(theirs, data, target, cv=splits), lambda: cross_validate(ours, data, target, cv=splits),
            rounds=rounds,
        )  # fmt: skip
        table.add_row(
            f"10 folds × 5, {name}, (32,), 50 epochs", f"{peer:.2f}", f"{own:.3f}", f"{peer / own:.1f}", str(meant)
        )
    data = X.astype(np.float32)
    several = BackpropMLP(**{**PLAIN, "hidden_layer_sizes": (32,), "batch_size": 32, "max_iter": 15, "n_networks": 16})
    single = MLPClassifier((32,), batch_size=32, max_iter=15, **PLAIN_PEER)

    def sixteen():
        for seed in range(16):
            single.set_params(random_state=seed).fit(data, y)

    peer, own = medians(sixteen, lambda: several.fit(data, y), rounds=3)
    table.add_row("16 networks, digits, (32,), 15 epochs", f"{peer:.2f}", f"{own:.3f}", f"{peer / own:.1f}", "10")
    few = iris[0].astype(np.float32)
    theirs = MLPClassifier((100,), max_iter=1, **PLAIN_PEER)
    ours = BackpropMLP(hidden_layer_sizes=(100,), batch_size=200, max_iter=1, **PLAIN)
    peer, own = medians(lambda: theirs.fit(few, iris[1]), lambda: ours.fit(few, iris[1]), rounds=51)
    table.add_row("150 samples, one epoch", f"{peer:.4f}", f"{own:.4f}", f"{peer / own:.1f}", "1")
    console.print(table)


def growth(console):
    """Print the time of an update as the network grows, beside that of its matrix products alone."""
    table = table_of(
        "one network 64-h-h-10, batch 200, float32: milliseconds of an update",
        "weights",
        "h",
        "matrix products",
        "nnexp",
        "ratio",
    )
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 64)).astype(np.float32), rng.integers(0, 10, 1000)
    for hidden in (10, 65, 280, 960, 3120):
        sizes = (64, hidden, hidden, 10)
        model = BackpropMLP(hidden_layer_sizes=sizes[1:-1], batch_size=200, **PLAIN)
        weights = [rng.normal(size=(b, a + 1)).astype(np.float32) for a, b in itertools.pairwise(sizes)]
        below = [rng.normal(size=(a + 1, 200)).astype(np.float32) for a in sizes[:-1]]
        dz = [rng.normal(size=(b, 200)).astype(np.float32) for b in sizes[1:]]
        out = [np.empty_like(w) for w in weights]
        z, da = [np.empty_like(d) for d in dz], [np.empty((a, 200), np.float32) for a in sizes[:-1]]

        def products():
            for w, a, d, g, own, back in zip(weights, below, dz, out, z, da, strict=True):
                np.matmul(w, a, out=own)
                np.matmul(d, a.T, out=g)
                if a is not below[0]:
                    np.matmul(w[:, :-1].T, d, out=back)

        epochs = 20 if hidden < 1000 else 3
        (floor,) = medians(products, rounds=20)

        def fit(epochs):
            model.set_params(max_iter=epochs).fit(X, y)

        long, short = medians(lambda: fit(epochs + 1), lambda: fit(1))
        own = (long - short) / epochs / 5
        count = sum(w.size for w in weights)
        table.add_row(f"{count:.0e}", str(hidden), f"{floor * 1e3:.3f}", f"{own * 1e3:.3f}", f"{own / floor:.1f}")
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=["updates", "stacks", "growth"], default=[])
    parts = parser.parse_args().part or ["updates", "stacks", "growth"]
    X, y = load_digits(return_X_y=True)
    console = Console(width=130)
    for part in parts:
        arguments = () if part == "growth" else (X / 16, y)
        globals()[part](console, *arguments)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        main()
