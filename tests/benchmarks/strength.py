"""How good networks are on real tables, beside linear models, boosting and other networks.

    python -m tests.benchmarks.strength FOLDER [--rows 5000] [--folds 5] [--cuts 200 600 2000] [--file FILE]
        [--data NAME ...] [--models NAME ...] [--candidates]

FOLDER holds a CSV file for each data set (header, column `target`), or an .npz file with `X_train` and `y_train`, and
`manifest.csv` with the columns `name` and `task` ("binary", "multiclass" or "regression"). All models meet the same splits: the rows
are shuffled by seed 0 and cut to `--rows`, which `--folds` folds share out; for each of `--cuts` so many rows are drawn to learn
from, once for each fold, and at most 2,000 others to test on.

Networks of nnexp get tables as they are, and so does boosting, which has its own way with categories and gaps; linear models and
scikit-learn's MLP get columns from `TableEncoder`. The target of a regression is standardised for those that do not do so.
CatBoost, LightGBM, and RealMLP and TabM (pytabkit) take part where they are installed: the extra `peers` has them.

Prints the loss of each set (log loss, or the root mean squared error in units of the standard deviation), and for all sets: mean
ranks, means, wins, how much of its loss the best model of each set would save (improvability), an Elo rating with its 95 % interval
by a bootstrap over sets, CPU seconds; the verdict of nnexp on the two best by loss; and how often the out-of-fold score is within
its stated error of the test score; and on how many tables one `BackpropMLP` is about as good as the linear model. `--file` keeps each fit as a line of JSON: what was measured is not measured again.
`--candidates` adds what the defaults of `BackpropMLP` were chosen among.
"""

import argparse
import importlib.util
import json
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
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from nnexp import BackpropMLP, TableEncoder, TabularMLP
from nnexp.experiment.datasets import DataSet, as_categories, load_file, to_text
from nnexp.statistics import paired_p_value, signed_rank_probabilities, wilcoxon

LINEAR, BOOSTING, PEER = "linear", "gradient boosting", "scikit-learn's MLP"
DEFAULT, STACK, BLEND, CONTEST = "BackpropMLP", "BackpropMLP, 8 networks", "TabularMLP", "TabularMLP, effort 4"
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
# Elo points that a model of equal strength has.
ELO = 1000


class CatBoost:
    """CatBoost with its defaults; its way with categories needs to know which columns hold words."""

    def __init__(self, regression):
        import catboost

        cls = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
        self._model = cls(random_seed=0, thread_count=1, verbose=0, allow_writing_files=False)

    def _table(self, X):
        return X.assign(**{name: to_text(X[[name]])[name].fillna("missing") for name in self._words})

    def fit(self, X, y):
        self._words = [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]
        self._model.fit(self._table(X), y, cat_features=self._words)
        self.classes_ = getattr(self._model, "classes_", None)

    def predict(self, X):
        return np.asarray(self._model.predict(self._table(X))).reshape(len(X))

    def predict_proba(self, X):
        return self._model.predict_proba(self._table(X))


def lightgbm(regression):
    from lightgbm import LGBMClassifier, LGBMRegressor

    model = (LGBMRegressor if regression else LGBMClassifier)(random_state=0, n_jobs=1, verbose=-1)
    return make_pipeline(as_categories(), model)


def of_pytabkit(name):
    def make(regression):
        import pytabkit

        cls = getattr(pytabkit, f"{name}_{'Regressor' if regression else 'Classifier'}")
        return cls(random_state=0, device="cpu", n_threads=1)

    return make


# For each peer that has to be installed, its package and how it is made.
PEERS = {
    "CatBoost": ("catboost", CatBoost),
    "LightGBM": ("lightgbm", lightgbm),
    "RealMLP": ("pytabkit", of_pytabkit("RealMLP_TD")),
    "TabM": ("pytabkit", of_pytabkit("TabM_D")),
}


def make(name, task):
    regression = task == "regression"
    if name in PEERS:
        return PEERS[name][1](regression)
    if name in (BLEND, CONTEST):
        return TabularMLP(task, effort=4 if name == CONTEST else 1, random_state=0)
    if name == BOOSTING:
        cls = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return make_pipeline(as_categories(), cls(random_state=0))
    if name in (LINEAR, PEER):
        if name == LINEAR:
            model = Ridge() if regression else LogisticRegression(max_iter=1000)
        else:
            model = MLPRegressor(random_state=0) if regression else MLPClassifier(random_state=0)
        pipeline = make_pipeline(TableEncoder(), model)
        return TransformedTargetRegressor(pipeline, transformer=StandardScaler()) if regression else pipeline
    return BackpropMLP(task, dtype="float32", random_state=0, **(OWN | CANDIDATES)[name])


def load(folder, name, task):
    (path,) = (file for file in folder.glob(f"{name}.*"))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            X = arrays["X_train"].reshape(len(arrays["X_train"]), -1).astype(np.float32)
            return DataSet(
                name, task, pd.DataFrame(X, columns=[f"pixel_{i}" for i in range(X.shape[1])]), arrays["y_train"]
            )
    return load_file(name, path, "target", task)


def splits(data, rows, folds, cut):
    """Yield the rows that train and those that test, of all rows or of a cut of them."""
    regression = data.task == "regression"
    if cut is None:
        order = np.random.default_rng(0).permutation(len(data.y))[:rows]
        splitter = (KFold if regression else StratifiedKFold)(folds, shuffle=True, random_state=0)
        for training, test in splitter.split(order, None if regression else data.y[order]):
            yield order[training], order[test]
        return
    n = min(cut, round(0.8 * len(data.y)))
    splitter = (ShuffleSplit if regression else StratifiedShuffleSplit)(folds, train_size=n, random_state=0)
    for training, _ in splitter.split(np.empty((len(data.y), 1)), data.y):
        yield training, np.setdiff1d(np.arange(len(data.y)), training)[:2000]


def measure(name, data, y, training, test):
    """Return score, loss and CPU seconds of a fit."""
    model = make(name, data.task)
    X, X_test = data.X.iloc[training], data.X.iloc[test]
    start = time.process_time()
    model.fit(X, y[training])
    row = {"seconds": time.process_time() - start}
    if data.task == "classification":
        p = np.zeros((len(test), int(y.max()) + 1))
        p[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(X_test)
        row |= {"score": float((p.argmax(axis=1) == y[test]).mean())}
        row |= {"loss": float(log_loss(y[test], p / p.sum(axis=1, keepdims=True), labels=range(p.shape[1])))}
    else:
        off = np.mean((model.predict(X_test) - y[test]) ** 2) / np.var(y[test])
        row |= {"score": 1 - float(off), "loss": float(np.sqrt(off))}
    row |= {"n_train": len(training), "n_test": len(test)}
    return (
        row
        | {name: float(getattr(model, f"oof_{name}_", np.nan)) for name in ("score_error",)}
        | {"oof": float(getattr(model, "oof_score_", np.nan))}
    )


def known_rows(file):
    if file is None or not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    return {(row["set"], row["cut"], row["fold"], row["model"]): row for row in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cuts", type=int, nargs="*", default=[])
    parser.add_argument("--no-whole", action="store_true", help="only the cuts")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--data", nargs="*")
    installed = [name for name, (package, _) in PEERS.items() if importlib.util.find_spec(package)]
    usual = [LINEAR, BOOSTING, PEER, *installed, *OWN, BLEND]
    parser.add_argument("--models", nargs="*", choices=[*usual, CONTEST, *CANDIDATES], default=usual)
    parser.add_argument("--candidates", action="store_true")
    given = parser.parse_args()
    names = [*given.models, *(CANDIDATES if given.candidates else [])]
    known, rows, tasks = known_rows(given.file), [], {}
    for _, entry in pd.read_csv(given.folder / "manifest.csv").iterrows():
        if given.data and entry["name"] not in given.data:
            continue
        task = "regression" if entry["task"] == "regression" else "classification"
        data = load(given.folder, entry["name"], task)
        y = LabelEncoder().fit_transform(data.y) if task == "classification" else data.y.astype(float)
        for cut in [*given.cuts, *([] if given.no_whole else [None])]:
            label = data.name if cut is None else f"{data.name} {cut}"
            tasks[label] = task
            for fold, (training, test) in enumerate(splits(data, given.rows, given.folds, cut)):
                for name in names:
                    key = (data.name, cut or given.rows, fold, name)
                    if key not in known:
                        known[key] = dict(zip(("set", "cut", "fold", "model"), key, strict=True))
                        known[key] |= measure(name, data, y, training, test)
                        if given.file is not None:
                            with given.file.open("a") as file:
                                file.write(json.dumps(known[key]) + "\n")
                    rows.append({**known[key], "label": label})
            print(f"{label} measured", flush=True)
    show(pd.DataFrame(rows), tasks, names)


def elo(losses, weights):
    """Return the rating of each model by its wins in pairs, by the model of Bradley and Terry; the mean is 1,000."""
    wins = np.zeros((losses.shape[1],) * 2)
    for row, weight in zip(losses, weights, strict=True):
        wins += weight * ((row[:, None] < row) + 0.5 * (row[:, None] == row))
    np.fill_diagonal(wins, 0.0)
    wins += 0.1 * (1 - np.eye(len(wins)))  # nobody wins or loses all
    strength = np.ones(len(wins))
    for _ in range(500):
        strength = wins.sum(axis=1) / ((wins + wins.T) / (strength[:, None] + strength)).sum(axis=1)
        strength /= np.exp(np.log(strength).mean())
    return ELO + 400 * np.log10(strength)


def show(rows, tasks, names):
    console = Console(width=60 + 16 * len(names))
    means = rows.groupby(["label", "model"])[["score", "loss", "seconds"]].mean().unstack("model")
    losses, scores = means["loss"].loc[list(tasks), names], means["score"].loc[list(tasks), names]
    table = Table(box=None, title="log loss, or RMSE in standard deviations", title_justify="left")
    for name in ["", *names]:
        table.add_column(name, justify="right" if name else "left")
    for label in tasks:
        best = losses.loc[label].min()
        table.add_row(label, *(f"{'*' if value == best else ''}{value:.4f}" for value in losses.loc[label]))
    console.print(table)
    values, rng = losses.to_numpy(), np.random.default_rng(0)
    n = len(values)
    ratings = elo(values, np.ones(n))
    drawn = np.array([elo(values, np.bincount(rng.integers(0, n, n), minlength=n)) for _ in range(200)])
    strongest = [name for name in names if name in ("CatBoost", BOOSTING, PEER)]
    columns = ["rank of loss", "rank of score", "mean loss", "mean score"]
    columns += [f"lower loss than {name}" for name in strongest]
    columns += ["improvability", "Elo", "CPU s (median)", "OOF within its error"]
    table = Table(box=None, title=f"\n{n} tables", title_justify="left")
    for name in ["", *columns]:
        table.add_column(name, justify="right" if name else "left")
    for i, name in enumerate(names):
        of_model = rows[(rows["model"] == name) & rows["oof"].notna()]
        within = (of_model["oof"] - of_model["score"]).abs() <= of_model["score_error"]
        low, high = np.quantile(drawn[:, i], [0.025, 0.975])
        table.add_row(
            name,
            f"{losses.rank(axis=1)[name].mean():.2f}",
            f"{scores.rank(axis=1, ascending=False)[name].mean():.2f}",
            f"{losses[name].mean():.4f}",
            f"{scores[name].mean():.4f}",
            *(f"{int((losses[name] < losses[other]).sum())} of {n}" for other in strongest),
            f"{100 * (1 - losses.min(axis=1) / losses[name]).mean():.1f} %",
            f"{ratings[i]:.0f} ({low:.0f} to {high:.0f})",
            f"{means['seconds'][name].median():.2f}",
            f"{int(within.sum())} of {len(within)}" if len(within) else "",
        )
    console.print(table)
    if len(names) > 1:
        console.print(verdict(losses, scores))
    if {DEFAULT, LINEAR} <= set(names) and "n_train" in rows:
        console.print(beside_linear(rows, losses))


def verdict(losses, scores):
    """Say whether the model with the best mean rank by loss is better than the next one, as nnexp's reports do."""
    first, second = losses.rank(axis=1).mean().sort_values(kind="stable").index[:2]
    said = []
    for what, ahead in (("loss", losses[second] - losses[first]), ("score", scores[first] - scores[second])):
        p = wilcoxon(ahead.to_numpy())
        behind, equal, better = signed_rank_probabilities(ahead.to_numpy(), 0.01)
        said.append(
            f"By {what} {first} is ahead of {second} on {int((ahead > 0).sum())} of {len(ahead)} tables (Wilcoxon's p = {p:.2g}); on a "
            f"further one it is probably ahead by more than 0.01: {better:.0%}, equal {equal:.0%}, behind {behind:.0%}."
        )
    return "\n" + "\n".join(said)


def beside_linear(rows, losses):
    """Say on how many tables one network is at most a little behind the linear model by loss, and name the others."""
    behind = losses[DEFAULT] - losses[LINEAR]
    within = behind <= np.maximum(0.05 * losses[LINEAR], 0.01)
    said = [
        f"{DEFAULT} is at most 5 % or 0.01 behind the linear model by loss on {within.sum()} of {len(within)} tables."
    ]
    for label in losses.index[~within]:
        each = rows[rows["label"] == label].pivot_table(index="fold", columns="model", values="loss")
        sizes = rows.loc[rows["label"] == label, ["n_train", "n_test"]].mean()
        p = float(paired_p_value((each[DEFAULT] - each[LINEAR]).to_numpy(), sizes["n_train"], sizes["n_test"]))
        said.append(f"  {label}: {behind[label] / losses[LINEAR][label]:+.1%}, p = {p:.2g} by the corrected test")
    if PEER in losses:
        ahead = losses[DEFAULT] < losses[PEER]
        said.append(
            f"It is ahead of {PEER} on {ahead.sum()} of {len(ahead)}; not on {', '.join(losses.index[~ahead]) or 'none'}."
        )
    return "\n" + "\n".join(said)


if __name__ == "__main__":
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        main()
