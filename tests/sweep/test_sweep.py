"""`Sweep` in Python, and what an attack with bad input found."""

import json
import pickle

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from nnexp import BackpropMLP, Space, Sweep, SweepCV
from nnexp.cli import main
from nnexp.sweep.samplers import SamplerError
from nnexp.sweep.space import SpaceError
from nnexp.sweep.store import JournalStore, StoreError
from nnexp.sweep.study import StudyError
from nnexp.sweep.tables import pareto_front
from tests.sweep.cases import X, y

MODEL = BackpropMLP(hidden_layer_sizes=(4,), max_iter=6, validation="none")
RATES = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}


def sweep(space=RATES, model=MODEL, **settings):
    return Sweep(space, model, **{"n_trials": 6, "cv": 2, "batch_size": 3, **settings})


def test_the_result_has_tables_and_the_best_estimator():
    result = sweep(scoring=["accuracy", "neg_log_loss"]).run(X, y)
    assert list(result.trials["number"]) == list(range(6))
    best = result.trials.loc[result.trials["value"].idxmax()]
    assert (result.best_number, result.best_value) == (best["number"], best["value"])
    assert result.estimator.get_params()["learning_rate"] == result.best_params["learning_rate"]
    assert set(result.curves.columns) == {"number", "fold", "step", "error", "validation_error", "evaluations"}
    assert result.curves.groupby("number").size().eq(2 * 6).all()
    assert result.trials["score.accuracy"].between(0, 1).all()
    assert (result.trials["evaluations"] == 6 * 2 * 3 * 75).all()  # two folds of 75
    assert result.is_complete
    assert "6 complete" in repr(result)
    pickle.loads(pickle.dumps(result))


def test_a_storage_keeps_the_trials(tmp_path):
    first = sweep(n_trials=4, storage=tmp_path).run(X, y)
    told = []
    again = sweep(n_trials=7, storage=tmp_path).run(X, y, on_trial=lambda outcome, trials: told.append(outcome.number))
    assert sorted(told) == [4, 5, 6]
    pd.testing.assert_frame_equal(again.trials.iloc[:4], first.trials, check_dtype=False)
    fewer = sweep(n_trials=3, storage=tmp_path).run(X, y)
    assert len(fewer.trials) == 3  # those of the smaller budget, and their winner
    assert fewer.best_value == first.trials["value"].iloc[:3].max()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_functions_may_be_choices_and_scores(workers):
    space = {"functiontransformer__func": [np.tanh, double], "backpropmlp__learning_rate": [0.01, 0.1]}
    model = make_pipeline(FunctionTransformer(), MODEL)
    results = [
        sweep(space, model, n_trials=6, sampler="random", workers=workers, scoring=lambda e, X, y: e.score(X, y)).run(
            X, y
        )
        for _ in range(2)
    ]
    assert list(results[0].trials["value"]) == list(results[1].trials["value"])
    alone = sweep(space, model, n_trials=6, sampler="random", scoring=lambda e, X, y: e.score(X, y)).run(X, y)
    assert list(results[0].trials["value"]) == list(alone.trials["value"])


def double(X):
    """Return twice as much."""
    return 2 * X


def test_scores_that_differ_in_a_constant_are_not_answered_from_each_other(tmp_path):
    values = [
        sweep(scoring=lambda e, X, y, c=c: c, storage=tmp_path, name=str(c)).run(X, y).best_value for c in (0.25, 0.75)
    ]
    assert values == [0.25, 0.75]


def test_a_space_with_objects_is_taken_as_it_is():
    from optuna.distributions import FloatDistribution

    space = Space({"learning_rate": FloatDistribution(0.01, 0.1), "batch_size": [8, 16]})
    assert sweep(space).run(X, y).trials["learning_rate"].nunique() > 3
    steps = Space({"standardscaler": [StandardScaler(), StandardScaler(with_mean=False)]})
    result = sweep(steps, make_pipeline(StandardScaler(), MODEL), n_trials=None, sampler="grid").run(X, y)
    assert (result.trials["state"] == "complete").all()


def test_without_a_target():
    result = Sweep({"n_clusters": [2, 3, 4]}, KMeans(n_init=1), n_trials=None, sampler="grid", cv=2).run(X)
    assert (result.trials["state"] == "complete").all()
    assert SweepCV(KMeans(n_init=1), {"n_clusters": [2, 3]}, n_trials=2, cv=2).fit(X).best_params_


def test_steps_are_decimals():
    result = sweep({"l2": {"low": 0.1, "high": 0.7, "step": 0.1}}, n_trials=None, sampler="grid").run(X, y)
    assert list(result.trials["l2"]) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert len(sweep({"l2": {"low": 0.1, "high": 0.7, "step": 0.1}}, n_trials=12).run(X, y).trials) == 12


class Odd(ClassifierMixin, BaseEstimator):
    """Has parameters that are called like columns."""

    def __init__(self, value=0, number=0):
        self.value = value
        self.number = number

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return float(self.value)


def test_parameters_that_are_called_like_columns_have_a_prefix():
    table = sweep({"value": [1, 2, 3], "number": [7, 8]}, Odd(), n_trials=None, sampler="grid").run(X, y).trials
    assert list(table["number"]) == list(range(6))
    assert sorted(set(table["param.number"])) == [7, 8]
    assert list(table["value"]) == [float(own) for own in table["param.value"]]


@pytest.mark.parametrize(
    ("space", "model", "sentence"),
    [
        ({"tol": [0.1, 0.2]}, make_pipeline(PCA(2), SVC()), None),
        ({"copy": [True, False]}, make_pipeline(StandardScaler(), PCA(2), SVC()), "copy: may be"),
        (
            {"learning_rate": [1.0, 2.0], "backpropmlp__learning_rate": [1.0]},
            make_pipeline(MODEL),
            "are the same parameter",
        ),
        ({"task": ["classification", "regression"]}, MODEL, "task: is set by the data"),
        ({"verbose": [True, False]}, MODEL, "verbose: is set by the command"),
        ({"learning_rate": {"low": 1, "high": 10**400}}, MODEL, "finite numbers of at most"),
        ({"l1": [0.1, 0.2], "batch_size": {"low": 1, "high": 9, "when": {"l1": []}}}, MODEL, "has no value of 'l1'"),
        (
            {"l1": {"low": 0.1, "high": 0.2}, "l2": {"low": 0.1, "high": 1.0, "when": {"l1": 0.9}}},
            MODEL,
            "l1 is never 0.9",
        ),
    ],
)
def test_names_and_values_that_cannot_be_meant(space, model, sentence):
    if sentence is None:
        assert Sweep(space, model).space.names == ["svc__tol"]  # of several steps the last one
        return
    with pytest.raises(SpaceError, match=sentence):
        Sweep(space, model)


def test_a_condition_on_a_list_of_layers():
    space = Space(
        {"hidden_layer_sizes": [[4], [4, 4]], "l2": {"low": 0.1, "high": 1.0, "when": {"hidden_layer_sizes": [[4]]}}}
    )
    assert "l2" in space.parameters({"hidden_layer_sizes": "[4]", "l2": 0.5})
    assert "l2" not in space.parameters({"hidden_layer_sizes": "[4, 4]"})


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"n_trials": 0}, ValueError, "n_trials must be an integer from 1 on"),
        ({"workers": 0}, ValueError, "workers must be"),
        ({"max_seconds": -1}, ValueError, "max_seconds must be a number above 0"),
        ({"random_state": None}, ValueError, "a sweep is always repeatable"),
        ({"mode": "elasti"}, ValueError, "Did you mean 'elastic'"),
        ({"backend": "daks"}, ValueError, "Did you mean 'dask'"),
        ({"scoring": "acuracy"}, ValueError, "Did you mean 'accuracy'"),
        ({"objectives": ["loss"]}, ValueError, "unknown objective 'loss'"),
        ({"objectives": ["evaluations"]}, ValueError, "the first one a score"),
        ({"cv": []}, ValueError, "gives no split"),
        ({"model": SVC}, TypeError, "estimator must be a scikit-learn estimator"),
        ({"sampler": 3}, ValueError, "sampler must be a name"),
        ({"sampler": {"name": "tpe", "n_startup_trials": "a"}}, SamplerError, "fails with its settings|cannot be made"),
        ({"pruner": {"name": "dominance", "share": "a"}, "objectives": ["score", "evaluations"]}, SamplerError, "share"),
        ({"pruner": "dominance"}, SamplerError, "is for two objectives"),
        ({"pruner": "median", "objectives": ["score", "evaluations"]}, SamplerError, "has one objective"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(settings, error, sentence):
    with pytest.raises(error, match=sentence):
        sweep(**settings).run(X, y)


def test_a_cost_that_is_not_told_is_no_objective():
    own = sweep({"max_depth": [1, 2]}, RandomForestClassifier(3), objectives=["score", "evaluations"], n_trials=2)
    with pytest.raises(StoreError, match="does not tell what it cost"):
        own.run(X, y)


def test_what_was_pruned_never_wins():
    search = SweepCV(
        BackpropMLP(max_iter=40), RATES, n_trials=12, cv=2, sampler="random", batch_size=2, random_state=0, scoring="neg_log_loss",
        error_score=0.0, pruner={"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
    ).fit(X, y)  # fmt: skip
    assert "pruned" in set(search.cv_results_["state"])
    assert search.cv_results_["state"][search.best_index_] == "complete"


def test_the_pareto_front_is_that_of_its_definition():
    from nnexp.sweep.store import Trial

    rng = np.random.default_rng(0)
    for directions in (["maximize", "minimize"], ["minimize", "minimize", "maximize"]):
        values = rng.integers(0, 8, size=(80, len(directions))).astype(float)
        trials = [Trial(i, "complete", {}, row.tolist()) for i, row in enumerate(values)]
        signs = np.array([1 if d == "minimize" else -1 for d in directions])
        expected = [
            i for i, own in enumerate(values * signs)
            if not any((other <= own).all() and (other < own).any() for other in values * signs)
        ]  # fmt: skip
        assert [trial.number for trial in pareto_front(trials, directions)] == expected


@pytest.mark.parametrize(
    "line",
    [b"\n", b"\x00\x00\n", b'{"op_code":99}\n', b'{"study":"sweep"}\n', b'{"study":"sweep","ended":9993,"values":[1.0]}\n', b'{"study":5,"forgotten":true}\n', b"5\n"],
)  # fmt: skip
def test_a_wrong_record_in_the_middle_is_named_and_loses_nothing_by_itself(tmp_path, line):
    sweep(storage=tmp_path).run(X, y)
    log = tmp_path / "study.jsonl"
    whole = log.read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 1
    log.write_bytes(whole[:middle] + line + whole[middle:])
    damaged = log.read_bytes()
    with pytest.raises(StoreError, match="is damaged at byte"):
        JournalStore(log)
    assert log.read_bytes() == damaged
    assert main(["doctor", str(tmp_path)]) == 2
    assert log.read_bytes() == damaged
    assert main(["doctor", str(tmp_path), "--mend"]) == 0
    assert (tmp_path / "study.jsonl.damaged").read_bytes() == damaged


def test_wrong_curves_are_left_out(tmp_path):
    first = sweep(storage=tmp_path).run(X, y)
    path = tmp_path / "study-curves.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b'{}\n5\n{"study":"sweep","number":0,"curve":{"step":[1]}}\n' + b"".join(lines) + b'{"study":"swe')
    pd.testing.assert_frame_equal(sweep(storage=tmp_path).run(X, y).curves, first.curves)
    more = sweep(storage=tmp_path, n_trials=8).run(X, y)  # the cut line takes no later one with it
    assert set(more.curves["number"]) == set(range(8))


@pytest.mark.slow
def test_a_grown_budget_runs_from_the_command(tmp_path):
    path = tmp_path / "grow.toml"
    path.write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[sweep]\nfolds = 2\nbatch_size = 4\nsampler = "random"\n'
        "[model.m]\nmax_iter = 3\nhidden_layer_sizes = [4]\n[model.m.space]\nlearning_rate = { low = 0.001, high = 0.5, log = true }\n"
    )
    for trials in ("2", "14", "5"):
        assert main(["sweep", str(path), "--workers", "1", "--results", str(tmp_path / "a"), "--trials", trials]) == 0
    assert main(["sweep", str(path), "--workers", "1", "--results", str(tmp_path / "b"), "--trials", "5"]) == 0
    for name in ("trials.csv", "tuned.csv", "runs.csv"):
        assert (tmp_path / "a" / "grow" / name).read_bytes() == (tmp_path / "b" / "grow" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.figures
def test_two_objectives_of_one_task_and_the_front_in_the_report(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[sweep]\ntrials = 24\nfolds = 2\n'
        'objectives = { classification = ["accuracy", "evaluations"] }\npruner = { name = "dominance", n_startup_trials = 6 }\n'
        "[model.m]\nmax_iter = 20\n[model.m.space]\nlearning_rate = { low = 0.0001, high = 0.5, log = true }\n"
        "max_iter = { low = 5, high = 40 }\nhidden_layer_sizes = { layers = 1, neurons = [2, 8] }\n"
    )
    assert main(["sweep", str(path), "--workers", "1", "--results", str(tmp_path)]) == 0
    folder = tmp_path / "two"
    assert "Value against cost" in (folder / "report.html").read_text()
    trials = pd.read_csv(folder / "trials.csv")
    for _, own in trials.groupby(["repeat", "fold"]):
        front = own[own["is_best"] == 1]
        for _, row in front.iterrows():
            better = own[
                (own["state"] == "complete")
                & (own["value"] >= row["value"])
                & (own["evaluations"] <= row["evaluations"])
            ]
            assert not ((better["value"] > row["value"]) | (better["evaluations"] < row["evaluations"])).any()


@pytest.mark.slow
def test_names_with_slashes_are_apart(tmp_path):
    pd.DataFrame(X).assign(target=y).to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "slash.toml"
    data = "".join(
        f'[data."{name}"]\npath = "t.csv"\ntarget = "target"\ntask = "classification"\n' for name in ("x", "x/a")
    )
    models = "".join(
        f'[model."{name}"]\nmax_iter = 2\n[model."{name}".space]\nlearning_rate = [0.01, 0.1]\n'
        for name in ("a/b", "b")
    )
    path.write_text(
        f'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n{data}[sweep]\ntrials = 2\nfolds = 2\n{models}'
    )
    assert main(["sweep", str(path), "--workers", "1", "--results", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "slash" / "trials.csv")) == 2 * 2 * 2 * 2


def test_too_many_folds_for_the_rows_are_named_before_anything_runs(tmp_path, capsys):
    path = tmp_path / "folds.toml"
    path.write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[sweep]\ntrials = 2\nfolds = 60\n[model.m]\nmax_iter = 2\n'
        "[model.m.space]\nlearning_rate = [0.01, 0.1]\n"
    )
    assert main(["sweep", str(path), "--results", str(tmp_path / "r")]) == 2
    assert "data.iris: sweep.folds = 60 is too many" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_grid_in_a_file_is_whole(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        'question = "?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[sweep]\nsampler = "grid"\nfolds = 2\nnested = false\n'
        '[model.m]\nmax_iter = 2\nvalidation = "none"\nhidden_layer_sizes = [2]\n[model.m.space]\nbatch_size = { low = 4, high = 24 }\n'
    )
    assert main(["sweep", str(path), "--workers", "1", "--results", str(tmp_path)]) == 0
    trials = pd.read_csv(tmp_path / "grid" / "trials.csv")
    assert sorted(trials["batch_size"]) == list(range(4, 25))
    assert json.loads((tmp_path / "grid" / "experiment.json").read_text())["sweep"]["trials"] is None


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "quasi_random"])
def test_choices_of_mixed_kinds_are_searched_by_every_sampler(sampler, tmp_path):
    space = {"gamma": ["scale", 0.1, 1], "class_weight": [None, "balanced", {0: 1, 1: 3, 2: 1}]}
    settings = {"sampler": sampler, "n_trials": 9, "cv": 3, "batch_size": 3, "storage": tmp_path}
    result = Sweep(space, SVC(), **settings).run(X, y)
    assert len(result.trials) == 9
    for row in result.trials.to_dict("records"):
        assert str(row["gamma"]) in ("scale", "0.1", "1", "1.0")
    best = result.best_params
    assert any(best["gamma"] == value and type(best["gamma"]) is type(value) for value in space["gamma"])
    assert best["class_weight"] in space["class_weight"]
    again = Sweep(space, SVC(), **settings).run(X, y)
    pd.testing.assert_frame_equal(again.trials, result.trials)


KNOWN = [{"learning_rate": 0.05, "batch_size": 64}, {"learning_rate": 0.002}]
RATES = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "batch_size": [16, 64]}


@pytest.mark.parametrize(
    ("sampler", "mode"),
    [
        ("tpe", "deterministic"), ("random", "elastic"),
        *(pytest.param(name, "deterministic", marks=pytest.mark.slow) for name in ("random", "quasi_random", "cma_es")),
        pytest.param("tpe", "elastic", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_known_settings_are_the_first_trials(sampler, mode, tmp_path):
    settings = {"n_trials": 6, "cv": 2, "sampler": sampler, "mode": mode, "batch_size": 4, "storage": tmp_path}
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=2)
    result = Sweep(RATES, model, **settings, enqueue=KNOWN).run(X, y)
    rows = result.trials.sort_values("number")
    assert rows["learning_rate"].tolist()[:2] == [0.05, 0.002]
    assert rows["batch_size"].tolist()[0] == 64
    assert len(rows) == 6
    plain = Sweep(RATES, model, **settings | {"storage": None}).run(X, y).trials
    assert plain["learning_rate"].tolist()[:2] != [0.05, 0.002]
    with pytest.raises(StudyError, match="another enqueued"):
        Sweep(RATES, model, **settings).run(X, y)
    again = Sweep(RATES, model, **settings | {"n_trials": 8}, enqueue=KNOWN).run(X, y)
    of_all = ["p_against_best"]  # the best one of more trials is another one
    pd.testing.assert_frame_equal(again.trials[:6].drop(columns=of_all), result.trials.drop(columns=of_all))


def test_a_grid_is_whole_after_known_settings():
    space = {"learning_rate": [0.001, 0.01, 0.1], "batch_size": [16, 64]}
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=2)
    result = Sweep(
        space, model, n_trials=None, cv=2, sampler="grid", enqueue=[{"learning_rate": 0.01, "batch_size": 64}]
    ).run(X, y)
    points = result.trials[["learning_rate", "batch_size"]].apply(tuple, axis=1).tolist()
    assert points[0] == (0.01, 64)
    assert sorted(points[1:]) == sorted((rate, size) for rate in (0.001, 0.01, 0.1) for size in (16, 64))


def test_the_defaults_and_earlier_winners_can_be_tried_first():
    model = BackpropMLP(hidden_layer_sizes=(4,), max_iter=2, learning_rate=0.02, batch_size=16)
    first = Sweep(RATES, model, n_trials=3, cv=2, enqueue="defaults").run(X, y)
    assert first.trials.loc[0, ["learning_rate", "batch_size"]].tolist() == [0.02, 16]
    second = Sweep(RATES, model, n_trials=2, cv=2, enqueue=[first.best_params], random_state=1).run(X, y)
    row = second.trials.iloc[0]
    assert {name: row[name] for name in RATES} == first.best_params
    search = SweepCV(model, RATES, n_trials=2, cv=2, enqueue=["defaults"], random_state=0).fit(X, y)
    assert search.cv_results_["params"][0] == {"learning_rate": 0.02, "batch_size": 16}


@pytest.mark.parametrize(
    ("enqueue", "error", "said"),
    [
        ([{"learning_rate": 5.0}], SpaceError, "enqueue\\[0\\]: learning_rate is from 0.001 to 0.1. Got 5.0"),
        ([{"momentum": 0.9}], SpaceError, "enqueue\\[0\\]: 'momentum' does not vary"),
        ("defaults", SpaceError, "learning_rate is from 0.001 to 0.1. Got 0.5"),
        (3, TypeError, "enqueue must be a list of mappings"),
        ([3], TypeError, "enqueue\\[0\\] must be a mapping of parameters"),
    ],
)
def test_known_settings_that_are_none_are_a_sentence(enqueue, error, said):
    with pytest.raises(error, match=said):
        Sweep(RATES, BackpropMLP(learning_rate=0.5), n_trials=2, enqueue=enqueue)


@pytest.mark.parametrize(
    "storage", [object(), 3, optuna.storages.InMemoryStorage(), b"folder"], ids=lambda s: type(s).__name__
)
def test_a_storage_that_is_no_place_is_a_type_error(storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="storage must be a folder or the URL of a database. Got"):
        Sweep(RATES, BackpropMLP(), n_trials=1, storage=storage)
    with pytest.raises(TypeError, match="storage must be a folder or the URL of a database. Got"):
        SweepCV(BackpropMLP(), RATES, n_trials=1, storage=storage).fit(X, y)
    assert list(tmp_path.iterdir()) == []
