"""Do what people do with nnexp, and write what came of it: `python -m tests.environments.lowest write FILE`.

`python -m tests.environments.lowest compare ONE OTHER` says where two such files, of two environments, differ: scores by more than 1e-6, or any
sentence of the verdict.
"""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from nnexp import BackpropMLP, load, load_results
from nnexp.cli import main
from nnexp.report import compare as compared

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"
RUN = """
question = "Which is better?"
seed = 3

[evaluation]
folds = 3
repeats = 2

[data.iris]
[data.wine]
[data.diabetes]

[defaults]
hidden_layer_sizes = [6]
max_iter = 15

[model.backprop]
[model.evolution]
algorithm = "snes"
[model.nearest]
class = { classification = "sklearn.neighbors.KNeighborsClassifier", regression = "sklearn.neighbors.KNeighborsRegressor" }
"""
SWEEP = """
question = "What is the best rate?"

[evaluation]
folds = 3
repeats = 1

[data.iris]

[model.plain]
hidden_layer_sizes = [6]
max_iter = 10

[model.tuned]
hidden_layer_sizes = [6]
max_iter = 10

[model.tuned.space]
learning_rate = { low = 0.001, high = 0.1, log = true }
activation = ["tanh", "relu"]

[sweep]
trials = 8
sampler = "quasi_random"
folds = 2
"""


def fits():
    """Return scores and predictions of models in pipelines and searches, and of models read from files."""
    found = {}
    (X, y), (D, t) = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
    few = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    pipeline = make_pipeline(StandardScaler(), BackpropMLP(**few))
    found["cross_val_score"] = cross_val_score(pipeline, X, y, cv=3).tolist()
    search = GridSearchCV(BackpropMLP("regression", **few), {"learning_rate": [0.01, 0.001]}, cv=2).fit(D, t)
    found["search"] = [search.best_score_, search.best_params_["learning_rate"]]
    for name in ("genetic", "snes", "cma_es", "differential_evolution", "memetic", "pbt"):
        model = BackpropMLP(hidden_layer_sizes=(4,), algorithm=name, max_iter=5, random_state=0).fit(X, y)
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model.nnexp")
            again = load(Path(folder) / "model.nnexp")
        assert (again.predict_proba(X) == model.predict_proba(X)).all()
        if name != "cma_es":  # whose eigenvectors are LAPACK's to the last bit, and that grows
            found[name] = model.score(X, y)
    for path in sorted(FIXTURES.glob("*.nnexp")):
        if path.stem != "checkpoint":
            model = load(path)
            inputs = D if model.n_features_in_ == D.shape[1] else X
            found[f"old {path.stem}"] = np.asarray(model.predict(inputs[:5])).astype(str).tolist()
    return found


def experiments():
    """Return the scores and the verdict of an experiment and of one with a sweep, by the command and its files."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text, command in (("run", RUN, "run"), ("sweep", SWEEP, "sweep")):
            file = Path(folder) / f"{name}.toml"
            file.write_text(text)
            status = main([command, str(file), "--results", folder, "--jobs" if command == "run" else "--workers", "2"])
            assert status == 0, f"nnexp {command} ended with {status}"
            results = load_results(Path(folder) / name)
            scores = [own for own in ("accuracy", "r2") if own in results.runs]
            found[f"{name}: scores"] = results.runs[scores].fillna(0).to_numpy().tolist()
            said = [claim.text for claim in compared(results).answer]
            found[f"{name}: verdict"] = [
                text for text in said if not text.startswith("The cost of")
            ]  # seconds are the machine's
            assert (Path(folder) / name / "report.html").stat().st_size > 100_000
            if command == "sweep":
                found["sweep: trials"] = results.trials["value"].tolist()
    return found


def write(path):
    """Write what came of it."""
    warnings.simplefilter("ignore")
    for task in ("classification", "regression"):
        check_estimator(BackpropMLP(task, hidden_layer_sizes=(8,), max_iter=50, random_state=0))
    Path(path).write_text(json.dumps({**fits(), **experiments()}, indent=1))


def differences(one, other):
    """Yield a line for each entry that is not the same."""
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        try:
            same = np.allclose(np.array(a, dtype=float), np.array(b, dtype=float), rtol=0, atol=1e-6)
        except (TypeError, ValueError):
            same = a == b
        if not same:
            yield f"{name}:\n  {a}\n  {b}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=["write", "compare"])
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    if given.do == "write":
        write(given.files[0])
    else:
        one, other = (json.loads(Path(path).read_text()) for path in given.files)
        lines = list(differences(one, other))
        print("\n".join(lines) or f"{len(one)} results are the same with the lowest versions.")
        sys.exit(bool(lines))
