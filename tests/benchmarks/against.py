"""The speed of this tree against another one, such as a clone of an earlier commit, on the same work in turn:

``python -m tests.benchmarks.against ../earlier``. CPU seconds of one thread; a row gives the median of each, and their ratio.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
# What each side does, a statement for each row.
WORK = {
    "fit, digits, 100 hidden, batches of 32": "BackpropMLP(hidden_layer_sizes=(100,), max_iter=10, **PLAIN).fit(*DIGITS)",
    "fit, digits, float32": "BackpropMLP(hidden_layer_sizes=(100,), max_iter=10, **PLAIN).fit(DIGITS[0].astype(np.float32), DIGITS[1])",
    "100 small fits, iris": "[BackpropMLP(hidden_layer_sizes=(8,), max_iter=2, **PLAIN).fit(*IRIS) for _ in range(100)]",
    "stack of 16, cross-fitted": "BackpropMLP(hidden_layer_sizes=(32,), max_iter=10, n_networks=16, validation='cross', random_state=0).fit(*DIGITS)",
    "cross_validate, 10 folds": "cross_validate(BackpropMLP(hidden_layer_sizes=(32,), max_iter=20, validation='none', random_state=0), *IRIS, cv=10)",
    "genetic, 30 generations": "BackpropMLP(hidden_layer_sizes=(32,), algorithm='genetic', max_iter=30, random_state=0).fit(*DIGITS)",
    "memetic, 5 generations": "BackpropMLP(hidden_layer_sizes=(32,), algorithm='memetic', max_iter=5, random_state=0).fit(*DIGITS)",
    "snes, 60 generations": "BackpropMLP(hidden_layer_sizes=(32,), algorithm='snes', max_iter=60, random_state=0).fit(*DIGITS)",
    "cma_es, 100 generations": "BackpropMLP(hidden_layer_sizes=(5,), algorithm='cma_es', max_iter=100, random_state=0).fit(*IRIS)",
    "fitness of scikit-learn's": "BackpropMLP(hidden_layer_sizes=(5,), algorithm='snes', fitness='accuracy', max_iter=20, random_state=0).fit(*IRIS)",
    "200 predictions of 10 rows": "[FITTED.predict(DIGITS[0][:10]) for _ in range(200)]",
    "200 steps on a stream": "[STREAM.partial_fit(*IRIS) for _ in range(200)]",
}  # fmt: skip
SIDE = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from sklearn.datasets import load_digits, load_iris
from nnexp import BackpropMLP, cross_validate
DIGITS = load_digits().data / 16, load_digits().target
IRIS = load_iris(return_X_y=True)
PLAIN = {"batch_size": 32, "learning_rate": 0.001, "schedule": "constant", "validation": "none", "random_state": 0}
FITTED = BackpropMLP(hidden_layer_sizes=(32,), max_iter=2, random_state=0).fit(*DIGITS)
STREAM = BackpropMLP(hidden_layer_sizes=(8,), random_state=0).partial_fit(*IRIS, classes=[0, 1, 2])
for line in sys.stdin:
    begun = time.process_time()
    exec(line)
    print(time.process_time() - begun, flush=True)
"""


class Side:
    """A process that has loaded one of the trees."""

    def __init__(self, tree):
        environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tree
        )  # fmt: skip

    def seconds(self, statement):
        print(statement, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, help="the folder of another clone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    given = parser.parse_args()
    sides = [Side(ROOT), Side(given.other.resolve())]
    table = Table("work", "this one", "the other", "ratio")
    for name, statement in ((name, own) for name, own in WORK.items() if given.rows in name):
        times = [[], []]
        for turn in range(given.rounds + 1):
            for own, side in zip(times, sides, strict=True):
                own.append(side.seconds(statement))
            if turn == 0:  # of which the first is to warm up
                times = [[], []]
        this, other = (statistics.median(own) for own in times)
        table.add_row(name, f"{this:.3f} s", f"{other:.3f} s", f"{this / other:.2f}")
    for side in sides:
        side.close()
    Console().print(table)


if __name__ == "__main__":
    main()
