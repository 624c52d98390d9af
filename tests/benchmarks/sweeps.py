"""What sweeps cost: `python -m tests.benchmarks.sweeps [against_optuna | overhead | asks | scale]`; all without a name."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP, Space, Sweep
from nnexp.sweep.samplers import make_sampler
from nnexp.sweep.store import JournalStore, Outcome, Trial

SPACE = {
    "hidden_layer_sizes": {"layers": [1, 2], "neurons": [8, 128], "log": True},
    "learning_rate": {"low": 0.0005, "high": 0.05, "log": True},
    "batch_size": {"low": 16, "high": 256, "log": True},
}


def against_optuna(trials=60):
    """The same space, trials, folds and epochs: nnexp, and OptunaSearchCV over scikit-learn's network; one process each."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna_integration import OptunaSearchCV

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", message="OptunaSearchCV is experimental")
    print(
        "60 trials of 3 folds and 100 epochs, one process; score: log loss of the winner on a quarter that no trial saw. The second "
        "nnexp is as experiments/sweep.toml has it: float32, pruned by the median.\n"
    )
    print(
        "| data | OptunaSearchCV + MLPClassifier | the same, X in float32 | nnexp | nnexp, float32, pruned | times as long as the last one | log losses, and that of nnexp's defaults |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, load in (("digits", load_digits), ("breast_cancer", load_breast_cancer)):
        X, y = load(return_X_y=True)
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
        losses, seconds = [], []
        # Optuna's choices are no tuples, so the widths are drawn from a list of texts.
        sizes = (8, 16, 32, 64, 128)
        widths = [str((a,)) for a in sizes] + [str((a, b)) for a in sizes for b in sizes]
        for dtype in (np.float64, np.float32):
            theirs = OptunaSearchCV(
                make_pipeline(StandardScaler(), _ByText()),
                {
                    "_bytext__hidden_layer_sizes": CategoricalDistribution(widths),
                    "_bytext__learning_rate_init": FloatDistribution(0.0005, 0.05, log=True),
                    "_bytext__batch_size": IntDistribution(16, 256, log=True),
                },
                cv=cv, n_trials=trials, scoring="neg_log_loss", random_state=0,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                theirs.fit(X.astype(dtype), y)
                seconds.append(time.perf_counter() - start)
            losses.append(-theirs.score(X_test, y_test))
        for dtype, pruner in (("float64", "none"), ("float32", "median")):
            model = make_pipeline(
                StandardScaler(), BackpropMLP(max_iter=100, validation="none", dtype=dtype, random_state=0)
            )
            start = time.perf_counter()
            result = Sweep(SPACE, model, n_trials=trials, cv=cv, scoring="neg_log_loss", pruner=pruner).run(X, y)
            best = result.estimator.fit(X, y)
            seconds.append(time.perf_counter() - start)
            losses.append(_loss(best, X_test, y_test))
        losses.append(_loss(model.fit(X, y), X_test, y_test))
        shown = ", ".join(f"{loss:.3f}" for loss in losses)
        times = " | ".join(f"{own:.1f} s" for own in seconds)
        print(
            f"| {name} | {times} | {seconds[0] / seconds[3]:.1f}, {seconds[1] / seconds[3]:.1f} | {shown} |", flush=True
        )


class _ByText(MLPClassifier):
    """scikit-learn's network, with the layer sizes as text, since Optuna's choices are no tuples."""

    def __init__(self, hidden_layer_sizes="(100,)", learning_rate_init=0.001, batch_size="auto"):
        super().__init__(
            hidden_layer_sizes, learning_rate_init=learning_rate_init, batch_size=batch_size, max_iter=100, tol=0.0,
            n_iter_no_change=1000, random_state=0,
        )  # fmt: skip

    def fit(self, X, y):
        sizes, self.hidden_layer_sizes = (
            self.hidden_layer_sizes,
            tuple(json.loads(f"[{self.hidden_layer_sizes.strip('(),')}]")),
        )
        try:
            return super().fit(X, y)
        finally:
            self.hidden_layer_sizes = sizes


def _loss(model, X, y):
    from sklearn.metrics import log_loss

    return log_loss(y, model.predict_proba(X))


class Busy(ClassifierMixin, BaseEstimator):
    """Uses the processor for some milliseconds."""

    def __init__(self, a=0.0, seconds=0.0025):
        self.a = a
        self.seconds = seconds

    def fit(self, X, y):
        start = time.process_time()
        while time.process_time() - start < self.seconds:
            pass
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return -((self.a - 0.3) ** 2)


def overhead(trials=2000, processes=8):
    """8 processes, 2,000 trials of 5 ms of processor time: which share of their time is spent in trials."""
    from tests.postgresql import Server, programs

    X, y = np.zeros((20, 2)), np.arange(20) % 2
    print(
        f"{processes} processes, {trials} trials of 5 ms, sampler random; share: time in trials of the time of all processes\n"
    )
    print("| storage | mode | wall | share | numbers |")
    print("|---|---|---|---|---|")
    server = Server() if programs() is not None else None
    try:
        for mode in ("deterministic", "elastic"):
            for where in ("folder", "postgresql"):
                if where == "postgresql" and server is None:
                    print(f"| {where} | {mode} | not installed | | |")
                    continue
                for turn in range(2):  # the first one starts the processes
                    place = tempfile.mkdtemp() if where == "folder" else server.database(f"{mode}{turn}")
                    sweep = Sweep(
                        {"a": {"low": 0.0, "high": 1.0}}, Busy(), n_trials=trials, cv=2, sampler="random", mode=mode, batch_size=64,
                        workers=processes, storage=place, random_state=turn,
                    )  # fmt: skip
                    start = time.perf_counter()
                    result = sweep.run(X, y)
                    wall = time.perf_counter() - start
                share = result.times["seconds"].sum() / processes / wall
                whole = sorted(result.trials["number"]) == list(range(trials))
                print(
                    f"| {where} | {mode} | {wall:.1f} s | {share:.0%} | {'each once' if whole else 'WRONG'} |",
                    flush=True,
                )
    finally:
        if server is not None:
            server.close()


def asks():
    """What the n-th ask costs, for each sampler."""
    space = Space(SPACE)
    rng = np.random.default_rng(0)
    sizes = [100, 1_000, 10_000, 100_000]
    print(
        "Milliseconds for one point when n trials are known (asked in a batch of 16, with the batch's overhead shared)\n"
    )
    print("| sampler | " + " | ".join(f"{n:,}" for n in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    points = make_sampler("random", space, 0, ["maximize"], {}).propose((), range(max(sizes)), None)
    known = [Trial(i, "complete", dict(sorted(p.items())), [float(rng.random())]) for i, p in enumerate(points)]
    for name in ("random", "quasi_random", "cma_es", "tpe"):
        cells = []
        for n in sizes:
            sampler = make_sampler(name, space, 1, ["maximize"], {})
            sampler.propose(known[: n - n % 16], range(n, n + 1), 0)  # what a resumed sweep does once
            start = time.perf_counter()
            sampler.propose(known[: n - n % 16], range(n, n + 16), 1)
            cells.append((time.perf_counter() - start) / 16 * 1e3)
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


SCALE = """
question = "How long does a large study take?"
[evaluation]
folds = 2
repeats = 1
[data.iris]
[sweep]
trials = TRIALS
sampler = "random"
nested = false
folds = 2
batch_size = 64
[model.tuned]
max_iter = 2
hidden_layer_sizes = [2]
[model.tuned.space]
learning_rate = { low = 0.0001, high = 0.1, log = true }
batch_size = { low = 8, high = 128, log = true }
weight_decay = { low = 0.00001, high = 0.01, log = true }
activation = ["tanh", "relu", "sine"]
"""


def scale(trials=100_000):
    """A study of 100,000 trials: filled with made-up results, then resumed, tabulated and reported by the command."""
    from nnexp.experiment import load_specification
    from nnexp.experiment.runs import load_data, sweeps_of

    folder = Path(tempfile.mkdtemp())
    path = folder / "large.toml"
    path.write_text(SCALE.replace("TRIALS", str(trials)))
    specification = load_specification(path)
    results = folder / "results"
    store = JournalStore(results / "large" / "study.jsonl")
    (own,) = sweeps_of(specification, load_data(specification), store)
    study, rng = own.study, np.random.default_rng(0)
    study.open()
    left = 100  # are for the command to do
    for first in range(0, trials - left, 1000):
        count = min(1000, trials - left - first)
        points = study._sampler.propose((), range(first, first + count), None)

        def change(own, first=first, count=count, points=points):
            return own.create(points, study.owner)

        study.store.transact(study.name, change)
        outcomes = []
        for number in range(first, first + count):
            score = float(rng.random())
            record = {
                "scores": {"accuracy": [score, score], "neg_log_loss": [-score, -score]}, "evaluations": 900, "problem": "",
                "seconds": 0.01, "key": f"{number:024d}",
            }  # fmt: skip
            curve = {
                "fold": [0, 0, 1, 1], "step": [1, 2, 1, 2], "error": [score] * 4, "validation_error": [None] * 4, "evaluations": [225, 450] * 2,
            }  # fmt: skip
            outcomes.append(Outcome(number, "complete", [score], record, {}, {}, curve))
        study.store.transact(study.name, lambda own, outcomes=outcomes: [own.finish(o) for o in outcomes])
    print(f"a study of {trials:,} trials, of which {left} are left to do\n")
    print("| command | seconds | memory at most |")
    print("|---|---|---|")
    for command in (
        ["sweep", str(path), "--results", str(results), "--workers", "2"],
        ["report", str(results / "large")],
    ):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nnexp.cli", *command], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"| nnexp {command[0]} | {seconds:.1f} | {memory:.2f} GB |", flush=True)
    size = (results / "large" / "report.html").stat().st_size
    print(f"\nthe report has {size / 1e6:.1f} MB")


PARTS = {"against_optuna": against_optuna, "overhead": overhead, "asks": asks, "scale": scale}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args().parts or list(PARTS)
    for name, part in PARTS.items():
        if name in chosen:
            print(f"\n## {name}\n")
            if name == "against_optuna":
                try:
                    import optuna_integration  # noqa: F401
                except ImportError:
                    print("needs pip install 'nnexp[peers]'")
                    continue
            part()
