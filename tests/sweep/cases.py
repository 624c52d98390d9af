"""Studies that are quick and deterministic, for tests that kill and compare them."""

import os
import signal
import sys
import time
import uuid

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP, Space
from nnexp.engine import Engine
from nnexp.sweep.evaluation import TrialScorer, directions_of
from nnexp.sweep.pruning import Pruning
from nnexp.sweep.study import Settings, Study
from nnexp.sweep.sweep import open_store, run_study, space_of, table_of

X, y = load_iris(return_X_y=True)
NETWORK = {
    "hidden_layer_sizes": {"layers": [1, 2], "neurons": [2, 8]},
    "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
    "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.9}}],
}


class Toy(ClassifierMixin, BaseEstimator):
    """Its score is known; it waits, raises, is slow or dies on request."""

    def __init__(self, a=0.0, b=0, waits=0.0, fails_above=None, dies_at=None, flag=None, computes=0.0):
        self.a = a
        self.b = b
        self.waits = waits
        self.fails_above = fails_above
        self.dies_at = dies_at
        self.flag = flag
        self.computes = computes

    def fit(self, X, y):
        if self.dies_at is not None and self.a > self.dies_at and (self.flag is None or not os.path.exists(self.flag)):
            if self.flag is not None:
                open(self.flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.waits)
        until = time.monotonic() + self.computes
        while time.monotonic() < until:
            pass
        if self.fails_above is not None and self.a > self.fails_above:
            raise RuntimeError("this one fails\nwith two lines")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return -((self.a - 0.3) ** 2) - 0.01 * self.b


TOY = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 0, "high": 5}}


def toy_score(model, X, y):
    """Return the score of a toy."""
    return model.score(X, y)


def evaluation(estimator=None, space=None, pruner="none", scoring=None, objectives=None, seed=0, **more):
    if estimator is None:
        estimator = make_pipeline(StandardScaler(), BackpropMLP(max_iter=12))
    space = NETWORK if space is None else space
    name, *settings = (pruner,) if isinstance(pruner, str) else pruner
    scoring = scoring or {"neg_log_loss": "neg_log_loss", "accuracy": "accuracy"}
    objectives = objectives or [next(iter(scoring))]
    splits = more.pop("splits", list(StratifiedKFold(3).split(X, y)))
    return TrialScorer(
        estimator, more.pop("X", X), more.pop("y", y), splits, scoring, objectives, space if isinstance(space, Space) else space_of(space, estimator),
        Pruning(name, settings[0] if settings else {}, tuple(directions_of(objectives))), seed, **more,
    )  # fmt: skip


def toy(**settings):
    own = {name: settings.pop(name) for name in ("pruner", "seed", "max_seconds", "space") if name in settings}
    own.setdefault("space", TOY)
    return evaluation(Toy(**settings), scoring={"score": toy_score}, **own)


def table(study):
    return table_of(study).to_csv(index=False)


def run(place, own, name="study", workers=1, on_trial=None, **settings):
    """Do what is missing of a study, and return it."""
    settings = {"n_trials": 30, "batch_size": 8, **settings}
    study = Study(open_store(place), name, own, Settings(**settings))
    with Engine(workers) as engine:
        run_study(study, engine, place, on_trial)
    return study


def place_of(request, tmp_path):
    """Return where a study is kept, as the parameter of a fixture says."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return request.getfixturevalue("postgresql").database(f"test_{uuid.uuid4().hex}")


if __name__ == "__main__":  # place, kind, mode, workers, trials, view, sign to begin
    from tests.sweep import cases  # whose classes then are those of the tests

    place, kind, mode, workers, trials, view, sign = sys.argv[1:]
    print("ready", flush=True)
    while sign and not os.path.exists(sign):  # so that all that were started begin together
        time.sleep(0.01)
    median = ("median", {"n_startup_trials": 8})
    own = cases.evaluation(pruner=median) if kind == "network" else cases.toy(waits=0.02)
    cases.run(place, own, workers=int(workers), mode=mode, n_trials=int(trials), lease=2.0, view=view)
