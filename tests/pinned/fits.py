"""Small fits whose numbers are kept: all algorithms, both tasks, every parameter, and what is built on them."""

import contextlib
import hashlib
import io
import platform
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import sklearn
from numpy.lib.introspect import opt_func_info
from scipy import sparse
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info

from nnexp import BackpropMLP, Space, SweepCV, cross_validate, fit_many, load
from nnexp.experiment import load_specification, run_experiment
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS, INITIALIZERS
from nnexp.training import CROSSOVERS, MUTATIONS, OPTIMIZERS, SCHEDULES, SELECTIONS
from tests.algorithms import EVERY, GENETIC, small

IRIS = scale(load_iris().data), load_iris().target
DIABETES = scale(load_diabetes().data), load_diabetes().target
TWO = IRIS[0][:100], IRIS[1][:100]
LABELS = IRIS[0], np.stack([IRIS[1] > 0, IRIS[0][:, 0] > 0], axis=1).astype(int)
PAIR = DIABETES[0], np.stack([DIABETES[1], DIABETES[0][:, 0] ** 2], axis=1)
GROUPS = np.arange(150) % 30
TABLE = pd.DataFrame(IRIS[0], columns=list("abcd")).assign(e=np.where(IRIS[0][:, 0] > 0, "long", "short"))
TABLE.loc[::7, ["b", "e"]] = None
WEIGHT = np.random.default_rng(3).choice([0.0, 0.5, 1.0, 2.0], 150)
SMALL = {"encoding": "none", "hidden_layer_sizes": (5,), "max_iter": 4, "validation": "none", "random_state": 7}
AUTO = {"validation": "auto"}

EXPERIMENT = """
question = "Which one?"
seed = 3
[evaluation]
folds = 2
repeats = 1
[data.iris]
[data.diabetes]
[sweep]
trials = 4
batch_size = 2
folds = 2
[defaults]
validation = "none"
[model.plain]
hidden_layer_sizes = [4]
max_iter = 4
[model.genetic]
algorithm = "genetic"
hidden_layer_sizes = [3]
max_iter = 3
[model.tuned]
max_iter = 4
[model.tuned.space]
hidden_layer_sizes = { layers = [1, 2], neurons = [2, 6] }
learning_rate = { low = 0.001, high = 0.1, log = true }
"""
TABLES = ["runs.csv", "curves.csv", "trials.csv", "tuned.csv", "confusion.csv", "residuals.csv", "networks.csv"]


def fits():
    """Yield the name of each fit, the data, the parameters and the further arguments of `fit`."""
    for name in EVERY:
        for task, data in (("classification", IRIS), ("regression", DIABETES)):
            by_itself = AUTO if name in ("pbt", "mixture") else {}  # which set some aside
            yield f"{name}, {task}", data, {**by_itself, "task": task, "algorithm": small(name)}, {}
            stack = {"task": task, "algorithm": small(name), "n_networks": 3, "validation": "cross", "max_iter": 3}
            yield f"{name}, {task}, cross-fitted", data, stack, {}
    for descent in ("stochastic", "batch"):
        yield f"descent {descent}", IRIS, {"descent": descent, "learning_rate": 0.02}, {}
    for name in OPTIMIZERS:
        yield f"optimizer {name}", IRIS, {"optimizer": name, "weight_decay": 0.01 if name == "sgd" else 0.0}, {}
    for name in SCHEDULES:
        yield f"schedule {name}", IRIS, {"schedule": name}, {}
    for name in INITIALIZERS:
        yield f"initializer {name}", IRIS, {"initializer": name}, {}
    for name in ACTIVATIONS:
        if name not in ("softmax", "step"):
            yield f"activation {name}", IRIS, {"activation": name, "hidden_layer_sizes": (4, 4)}, {}
    for name in ERROR_FUNCTIONS:
        if name in ("squared_error", "absolute_error", "huber", "log_cosh", "poisson", "quantile"):
            yield f"error function {name}, regression", DIABETES, {"task": "regression", "error_function": name}, {}
        if name in ("squared_error", "binary_cross_entropy", "cross_entropy", "hinge"):
            yield f"error function {name}", IRIS, {"error_function": name}, {}
    yield "error function zero_one", IRIS, {"error_function": "zero_one", "algorithm": GENETIC}, {}
    for registry, parameter in ((SELECTIONS, "selection"), (CROSSOVERS, "crossover"), (MUTATIONS, "mutation")):
        for name in registry:
            algorithm = {"name": "genetic", "population_size": 12, parameter: name}
            yield f"{parameter} {name}", IRIS, {"algorithm": algorithm, "max_iter": 3}, {}
    yield "two classes", TWO, {}, {}
    yield "two classes, softmax", TWO, {"output_activation": "softmax"}, {}
    yield "labels", LABELS, {}, {}
    yield "labels, cross-fitted", LABELS, {"n_networks": 2, "validation": "cross"}, {}
    yield "two outputs", PAIR, {"task": "regression"}, {}
    yield "not standardised", DIABETES, {"task": "regression", "normalize_y": False, "learning_rate": 0.1}, {}
    yield "bounded output", (DIABETES[0], DIABETES[1] / 400), {"task": "regression", "output_activation": "sigmoid"}, {}
    yield "skip, no bias", IRIS, {"connections": "skip", "bias": False, "hidden_layer_sizes": (4, 3)}, {}
    yield "sparse connections", IRIS, {"connections": 0.5, "hidden_layer_sizes": (6, 6)}, {}
    yield "neurons of two kinds", IRIS, {"activation": [{"tanh": 2, "relu": 3}]}, {}
    yield "penalties", IRIS, {"l1": 0.01, "l2": 0.02, "weight_decay": 0.1, "clip_norm": 0.2}, {}
    yield "dropout", IRIS, {"dropout": [0.3, 0.1], "hidden_layer_sizes": (6, 5), "label_smoothing": 0.1}, {}
    yield "in order", IRIS, {"shuffle": False, "batch_size": 32}, {}
    yield (
        "holdout",
        IRIS,
        {"validation": "holdout", "validation_fraction": 0.2, "n_iter_no_change": 2, "tol": 0.05, "max_iter": 30},
        {},
    )
    yield "holdout of groups", IRIS, {"validation": "holdout"}, {"groups": GROUPS}
    yield "folds of groups", IRIS, {"n_networks": 3, "validation": "cross"}, {"groups": GROUPS}
    yield "samples of one's own", IRIS, {"scoring": "neg_log_loss"}, {"X_val": IRIS[0][::5], "y_val": IRIS[1][::5]}
    yield "scoring in folds", IRIS, {"n_networks": 3, "validation": "cross", "scoring": "accuracy"}, {}
    yield "fitness", TWO, {"algorithm": GENETIC, "fitness": "roc_auc"}, {}
    yield "a budget", IRIS, {"max_iter": "auto", "max_evaluations": 4000}, {}
    yield "seconds", IRIS, {"max_seconds": 600.0}, {}
    yield "weights", IRIS, {}, {"sample_weight": WEIGHT}
    yield "weights in folds", IRIS, {"n_networks": 3, "validation": "cross"}, {"sample_weight": WEIGHT}
    yield (
        "weights of regression",
        (DIABETES[0][:150], DIABETES[1][:150]),
        {"task": "regression"},
        {"sample_weight": WEIGHT},
    )
    yield "weights of classes", IRIS, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}, {}
    yield "a class of no weight", IRIS, {"class_weight": {0: 0.0, 1: 2.0, 2: 0.5}, "validation": "holdout"}, {}
    yield "balanced", (IRIS[0][20:], IRIS[1][20:]), {"class_weight": "balanced"}, {}
    yield "sparse X", (sparse.csr_array(np.where(IRIS[0] > 0, IRIS[0], 0.0)), IRIS[1]), {}, {}
    yield "float32", IRIS, {"dtype": "float32", "n_networks": 2, "validation": "none"}, {}
    yield "two processes", IRIS, {**AUTO, "n_networks": 4, "n_jobs": 2}, {}
    yield "callbacks", IRIS, {"callbacks": [lambda state: state.step == 3], "verbose": True, "warm_start": True}, {}
    yield "defaults", IRIS, {**AUTO, "hidden_layer_sizes": (64, 64), "max_iter": "auto", "encoding": "auto"}, {}
    yield "companions", IRIS, {**AUTO, "max_iter": 12}, {"sample_weight": WEIGHT}
    yield "companions, regression", DIABETES, {"validation": "cross", "task": "regression"}, {}
    yield "eight networks", IRIS, {**AUTO, "n_networks": 8}, {}
    yield "pieces", DIABETES, {"task": "regression", "encoding": "pieces"}, {}
    yield "a table", (TABLE, IRIS[1]), {"encoding": "auto"}, {}


def of_model(model, X):
    """Return what is kept of a fitted model."""
    values = model.predict(X) if model.task == "regression" else model.model_.values(X)
    history = model.history_.drop(columns="seconds")
    found = {
        "predictions": values[:: max(1, len(values) // 4)],
        "error": history["error"].to_numpy(),
        "best": [model.best_error_, model.best_validation_score_],
        "counts": [model.n_iter_, model.evaluations_],
        "reason": model.stop_reason_,
        "bits": digest(model.parameters_, values, *(history[name].to_numpy() for name in history)),
    }
    if hasattr(model, "oof_score_"):
        found["out of fold"] = [model.oof_score_, model.oof_score_error_, getattr(model, "temperature_", None)]
        found["bits"] += digest(model.oof_prediction_)
    return found


def digest(*arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def everything():
    """Do all fits; return what is kept of each, by name."""
    warnings.simplefilter("ignore")
    found = {}
    for name, (X, y), params, more in fits():
        with contextlib.redirect_stdout(io.StringIO()):
            found[name] = of_model(BackpropMLP(**SMALL | params).fit(X, y, **more), X)
    model = BackpropMLP(**SMALL, warm_start=True).fit(*IRIS)
    found["warm start"] = of_model(model.set_params(max_iter=2).fit(*IRIS), IRIS[0])
    for task, data in (("classification", IRIS), ("regression", DIABETES)):
        model = BackpropMLP(task, **SMALL)
        for first in range(0, 120, 40):
            rows = slice(first, first + 40) if task == "regression" else slice(first // 40, None, 3)
            classes = [0, 1, 2] if task == "classification" else None
            model.partial_fit(data[0][rows], data[1][rows], classes=classes)
        found[f"partial fits, {task}"] = of_model(model, data[0])
        model = BackpropMLP(task, **SMALL).fit(*data).partial_fit(*data)
        found[f"a fit and a partial fit, {task}"] = of_model(model, data[0])
    stack = BackpropMLP(**SMALL | AUTO, n_networks=3, algorithm=small("structures")).fit(*IRIS)
    found["members"] = {"values": [member.predict_proba(IRIS[0][:2]) for member in stack.members_]}
    models = [BackpropMLP(**SMALL | {"random_state": i}, learning_rate=rate) for i, rate in enumerate([0.1, 0.01])]
    for i, own in enumerate(fit_many(models, *IRIS)):
        found[f"fit_many {i}"] = of_model(own, IRIS[0])
    for task, data in (("classification", IRIS), ("regression", DIABETES)):
        scores = cross_validate(BackpropMLP(task, **SMALL), *data, cv=KFold(3, shuffle=True, random_state=0))
        found[f"cross_validate, {task}"] = {"scores": scores["test_score"]}
    space = Space({"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "l2": [0.0, 0.1]})
    search = SweepCV(BackpropMLP(**SMALL), space, n_trials=6, cv=2, random_state=0).fit(*IRIS)
    found["sweep"] = {
        "scores": search.cv_results_["mean_test_score"],
        "rates": search.cv_results_["param_learning_rate"],
    }
    with tempfile.TemporaryDirectory() as folder:
        model = BackpropMLP(**SMALL | AUTO, n_networks=2).fit(*IRIS)
        model.save(Path(folder, "model.nnexp"))
        found["a loaded model"] = of_model(load(Path(folder, "model.nnexp")), IRIS[0])
        path = Path(folder, "pinned.toml")
        path.write_text(EXPERIMENT)
        run_experiment(load_specification(path), folder)
        for name in TABLES:
            table = pd.read_csv(Path(folder, "pinned", name))
            found[f"table {name}"] = {
                "rows": len(table),
                "columns": {column: list(table[column])[::7] for column in table},
            }
    return {name: {key: plain(value) for key, value in own.items()} for name, own in found.items()}


def plain(value):
    """Return a value as JSON has it; numbers keep all their digits."""
    if isinstance(value, dict):
        return {key: plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, np.ndarray):
        return plain(value.astype(float).tolist() if value.dtype.kind in "f" else value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def here():
    """Return what decides the last bits of a number besides the code."""
    libraries = {"numpy": np, "scipy": scipy, "scikit-learn": sklearn, "pandas": pd}
    blas = sorted({f"{own['internal_api']} {own['version']} {own.get('architecture')}" for own in threadpool_info()})
    versions = {name: library.__version__ for name, library in libraries.items()}
    kernels = sorted({kind["current"] for kinds in opt_func_info().values() for kind in kinds.values()})
    return {"machine": platform.machine(), "system": platform.system(), "blas": blas, "kernels": kernels, **versions}
