"""Evolution: the evaluations that known problems need, the speed of a generation beside peers, and accuracy in a given time.

python -m tests.benchmarks.evolution                       problems, generations and scoring, as `make bench` prints them
python -m tests.benchmarks.evolution digits                accuracy on digits, 5 seeds of 30 seconds for each algorithm
python -m tests.benchmarks.evolution mnist FILE            the same on an .npz file with X_train, y_train, X_test, y_test
python -m tests.benchmarks.evolution operators             what the defaults of the genetic algorithm were chosen among
"""

import argparse
import itertools
import statistics
import time
import warnings
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from nnexp import CMAES, SNES, BackpropMLP, GeneticAlgorithm, Memetic, Network, OpenAIES, SeparableCMAES
from nnexp.network.error_functions import make_objective, resolve_error_function
from nnexp.network.pieces import Sweep
from tests.benchmarks.peers import generations_available

SEEDS = 10


def xor():
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float), np.array([0, 1, 1, 0])


def parity():
    X = np.array(list(itertools.product([0, 1], repeat=3)), dtype=float)
    return X, X.sum(axis=1).astype(int) % 2


def two_spirals():
    """Two spirals of 97 points each and three turns (Lang and Witbrock 1988)."""
    i = np.arange(97)
    radius, angle = 6.5 * (104 - i) / 104, i * np.pi / 16
    one = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return np.concatenate([one, -one]), np.repeat([0, 1], 97)


PROBLEMS = {
    "XOR, 2-6-1 tanh": (xor, {"hidden_layer_sizes": (6,)}, ("genetic", "SNES", "CMA-ES", "memetic")),
    "3-bit parity, 3-6-1 tanh": (parity, {"hidden_layer_sizes": (6,)}, ("genetic", "SNES", "CMA-ES", "memetic")),
    "two spirals, 2-8-8-1 sine": (
        two_spirals,
        {"hidden_layer_sizes": (8, 8), "activation": "sine", "learning_rate": 0.01},
        ("CMA-ES", "memetic"),
    ),
}
ALGORITHMS = {"genetic": GeneticAlgorithm(), "SNES": SNES(), "CMA-ES": CMAES(), "memetic": Memetic()}
MOST_EVALUATIONS = 50_000_000


def solved(state):
    return state.row["validation_score"] == 1.0


def problems(console):
    """Train until no sample is wrong; the samples that train also choose."""
    table = Table("problem", "algorithm", "solved", "evaluations, median", "most", "seconds, median")
    for column in table.columns[2:]:
        column.justify = "right"
    table.title = f"evaluations until every sample is right, {SEEDS} seeds"
    for name, (load, settings, algorithms) in PROBLEMS.items():
        X, y = load()
        for own in algorithms:
            spent, seconds = [], []
            for seed in range(SEEDS):
                model = BackpropMLP(
                    algorithm=ALGORITHMS[own], l2=0.0, dropout=0.0, schedule="constant", scoring="accuracy",
                    n_iter_no_change=np.inf, max_evaluations=MOST_EVALUATIONS, random_state=seed, callbacks=[solved], **settings,
                )  # fmt: skip
                start = time.perf_counter()
                model.fit(X, y, X_val=X, y_val=y)
                if model.score(X, y) == 1.0:
                    spent.append(model.evaluations_)
                    seconds.append(time.perf_counter() - start)
            middle, most = (f"{f(spent):,.0f}" if spent else "-" for f in (statistics.median, max))
            took = f"{statistics.median(seconds):.2f}" if seconds else "-"
            table.add_row(name, own, f"{len(spent)} of {SEEDS}", middle, most, took)
    console.print(table)


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def generations(console):
    X, y = load_digits(return_X_y=True)
    data = (X / 16).astype(np.float32)
    table = Table("samples", "in", "ms", "ratio to nnexp")
    for column in table.columns[2:]:
        column.justify = "right"
    table.title = "a generation of a genetic algorithm, 100 networks 64-32-10 on digits, float32"
    for batch in (len(X), 128):

        def own(steps, batch=batch):
            algorithm = GeneticAlgorithm(population_size=100, batch_size=batch)
            BackpropMLP(
                hidden_layer_sizes=(32,), algorithm=algorithm, max_iter=steps, n_iter_no_change=np.inf, random_state=0
            ).fit(data, y)

        makers = {name: make(data, y, 32, 100, batch) for name, make in generations_available().items()}
        loops = {"nnexp": own, **makers}
        for loop in loops.values():
            loop(2)  # whatever is compiled or looked up once
        counts = {name: 5 if name == "PyGAD" else 20 for name in loops}
        rounds = [
            {name: (timed(loop, 2 + counts[name]) - timed(loop, 2)) / counts[name] for name, loop in loops.items()}
            for _ in range(5)
        ]
        for name in loops:
            took = statistics.median(one[name] for one in rounds)
            ratio = statistics.median(one[name] / one["nnexp"] for one in rounds)
            table.add_row(str(batch), name, f"{took * 1e3:.1f}", f"{ratio:.1f}")
    console.print(table)


def scoring(console):
    """How near scoring a population comes to the rate of a matrix product."""
    X, y = load_digits(return_X_y=True)
    data = (X / 16).astype(np.float32)
    square = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    out = np.empty_like(square)
    table = Table("network", "ms", "GFLOP/s", "of a matrix product", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    table.title = "scoring 100 networks on 1,797 samples, float32"
    weight = np.full((1, len(X)), 1 / len(X), dtype=np.float32)
    expected = np.ascontiguousarray(np.eye(10, dtype=np.float32)[y].T)
    for hidden in (32, 100):
        network = Network((64, hidden, 10), "tanh", "softmax")
        objective = make_objective(network.activations[-1], resolve_error_function("cross_entropy"))
        population = network.initialize(100, np.random.default_rng(0), np.float32)
        sweep = Sweep(network, replace(objective, one_of_all=True), network.with_ones(data, np.float32))
        sweep.errors(population, expected, weight)
        rounds = [
            (timed(sweep.errors, population, expected, weight), timed(np.matmul, square, square, out)) for _ in range(9)
        ]
        work = 2 * 100 * len(X) * network.n_parameters
        took = statistics.median(one for one, _ in rounds)
        ceiling = 2 * 2048**3 / statistics.median(two for _, two in rounds)
        share = statistics.median(work / one / (2 * 2048**3 / two) for one, two in rounds)
        table.add_row(
            f"64-{hidden}-10", f"{took * 1e3:.1f}", f"{work / took / 1e9:.0f}", f"{ceiling / 1e9:.0f}", f"{share:.0%}"
        )
    console.print(table)


def accuracies(console, title, cuts, algorithms, seconds):
    table = Table("algorithm", "median accuracy", "lowest", "generations, median")
    for column in table.columns[1:]:
        column.justify = "right"
    table.title = f"{title}: test accuracy after {seconds:g} seconds on one core, {len(cuts)} seeds"
    for name, algorithm in algorithms.items():
        scores, steps = [], []
        for seed, (X, X_test, y, y_test) in enumerate(cuts):
            model = BackpropMLP(
                hidden_layer_sizes=(32,),
                algorithm=algorithm,
                max_seconds=seconds,
                n_iter_no_change=np.inf,
                random_state=seed,
            ).fit(X, y)
            scores.append(model.score(X_test, y_test))
            steps.append(model.n_iter_)
        table.add_row(
            name, f"{statistics.median(scores):.4f}", f"{min(scores):.4f}", f"{statistics.median(steps):,.0f}"
        )
        console.print(f"{name}: {statistics.median(scores):.4f}")
    console.print(table)


def digits_cuts(seeds=5):
    X, y = load_digits(return_X_y=True)
    data = (X / 16).astype(np.float32)
    return [train_test_split(data, y, test_size=0.25, stratify=y, random_state=seed) for seed in range(seeds)]


STRONGEST = {
    "evolution": "evolution",
    "genetic": GeneticAlgorithm(),
    "SNES": SNES(),
    "separable CMA-ES": SeparableCMAES(),
    "OpenAI-ES": OpenAIES(),
}


def digits(console):
    accuracies(
        console, "digits, 64-32-10, 75/25", digits_cuts(), {k: STRONGEST[k] for k in ("evolution", "genetic")}, 30
    )
    others = {name: own for name, own in STRONGEST.items() if name not in ("evolution", "genetic")}
    accuracies(console, "digits, 64-32-10, 75/25", digits_cuts(), others, 10)


def mnist(console, path, seconds):
    with np.load(path) as arrays:
        X, X_test = (
            arrays[name].reshape(len(arrays[name]), -1).astype(np.float32) / 255 for name in ("X_train", "X_test")
        )
        cut = X, X_test, arrays["y_train"], arrays["y_test"]
    accuracies(console, "MNIST, 784-32-10", [cut], {"evolution": "evolution"}, seconds)


OPERATORS = {
    "the defaults": {},
    **{f"crossover={name!r}": {"crossover": name} for name in ("aligned", "uniform", "one_point", "arithmetic", "sbx")},
    **{
        f"selection={name!r}": {"selection": name}
        for name in ("tournament", "rank", "stochastic_universal", "roulette")
    },
    **{
        f"selection: the best {share:.0%}": {"selection": {"name": "truncation", "share": share}}
        for share in (0.05, 0.2)
    },
    **{f"mutation={name!r}": {"mutation": name} for name in ("gaussian", "polynomial", "gesmr", "safe")},
    **{f"mutation rate {rate}": {"mutation": {"name": "scaled", "rate": rate}} for rate in (0.03, 0.3, 1.0)},
    **{f"population_size={size}": {"population_size": size} for size in (64, 256)},
    **{f"batch_size={size}": {"batch_size": size} for size in (128, None)},
    "4 islands": {"islands": 4, "elite": 2},
}


def operators(console):
    algorithms = {name: GeneticAlgorithm(**settings) for name, settings in OPERATORS.items()}
    accuracies(console, "digits, 64-32-10, 75/25", digits_cuts(), algorithms, 10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["problems", "generations", "scoring", "digits", "mnist", "operators"]
    parser.add_argument("part", nargs="?", choices=parts)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    console = Console(width=130)
    if given.part == "mnist":
        if given.file is None:
            parser.error("mnist needs an .npz file")
        mnist(console, given.file, given.seconds)
        return
    for part in [given.part] if given.part else ["generations", "scoring", "problems"]:
        globals()[part](console)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        main()
