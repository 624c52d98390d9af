import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from nnexp import load, load_results
from nnexp.cli import main
from nnexp.experiment import SpecificationError, load_specification, run_experiment
from nnexp.experiment.runs import load_data, make_model, outer_splits, sweeps_of
from nnexp.experiment.sweeps import said_of_batches
from nnexp.sweep.study import StudyError
from nnexp.sweep.sweep import open_store
from tests.forked import Forked

FILE = """
question = "Does tuning help?"
seed = 5
[evaluation]
folds = 3
repeats = 1
[data.iris]
[data.diabetes]
[sweep]
trials = 10
batch_size = 5
folds = 2
[defaults]
validation = "none"
[model.plain]
hidden_layer_sizes = [4]
max_iter = 6
[model.tuned]
max_iter = 6
[model.tuned.space]
hidden_layer_sizes = { layers = [1, 2], neurons = [2, 8] }
learning_rate = { low = 0.001, high = 0.1, log = true }
[model.linear]
class = { classification = "sklearn.linear_model.LogisticRegression", regression = "sklearn.linear_model.Ridge" }
[model.linear.space]
tol = [0.001, 0.01]
"""
TABLES = ["trials.csv", "trial_curves.csv", "tuned.csv", "runs.csv", "curves.csv", "importances.csv"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def done_once(tmp_path_factory):
    """The sweep of the file, done once: its folder, and what it said."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "small.toml").write_text(FILE)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr("nnexp.report.page.figures_of", lambda results, comparison: {})
        assert sweep(folder / "small.toml", folder / "results") == 0
    return folder, said.getvalue()


@pytest.fixture
def swept(done_once, file, tmp_path):
    """A copy of the results of the file's sweep, in which a test may do as it likes."""
    shutil.copytree(done_once[0] / "results", tmp_path / "results")
    return tmp_path / "results" / "small"


def tables(folder):
    return {name: (Path(folder) / name).read_bytes() for name in TABLES}


def sweep(file, results, *more):
    return main(["sweep", str(file), "--results", str(results), "--workers", "1", *more])


def test_the_tables_hold_every_trial_and_the_winner_is_scored_on_rows_that_no_trial_saw(file, swept):
    results = load_results(swept)
    counts = results.trials.groupby(["data", "model", "repeat", "fold"]).size()
    assert len(counts) == 2 * 2 * 3
    assert (counts == 10).all()
    assert set(results.tuned["model"]) == {"tuned", "linear"}
    tuned = results.tuned.set_index(["data", "model", "fold"])
    specification = load_specification(file)
    data = load_data(specification)
    for (name, model, fold), row in tuned.iterrows():
        own = results.trials.query("data == @name and model == @model and fold == @fold and state == 'complete'")
        best = own.loc[own["value"].idxmax()]
        assert (row["best"], row["inner_score"]) == (best["number"], best["value"])
        # The outer score again, by scikit-learn alone, from the table's parameters and the run's seed.
        run = results.runs.query("data == @name and model == @model and fold == @fold").iloc[0]
        described = next(m for m in specification.models if m.name == model)
        _, _, train, test = outer_splits(specification, data[name])[fold]
        estimator = make_model(described, data[name], int(run["seed"]))
        last = estimator[-1]
        inside = last.regressor if hasattr(last, "regressor") else last
        inside.set_params(**json.loads(row["parameters"]))
        estimator.fit(data[name].X.iloc[train], data[name].y[train])
        metric = "accuracy" if name == "iris" else "r2"
        assert run[metric] == pytest.approx(estimator.score(data[name].X.iloc[test], data[name].y[test]), rel=1e-9)


def test_no_trial_sees_a_row_of_the_outer_fold(file, tmp_path):
    specification = load_specification(file)
    data = load_data(specification)
    for own in sweeps_of(specification, data, open_store(tmp_path)):
        _, _, train, test = outer_splits(specification, data[own.data])[own.fold]
        rows = own.study.evaluation.X.index
        assert set(rows) == set(data[own.data].X.index[train])
        assert not set(rows) & set(data[own.data].X.index[test])


@pytest.mark.slow
def test_killed_and_gone_on_with_the_tables_are_those_of_one_run(file, swept, tmp_path):
    command = [
        sys.executable,
        "-m",
        "nnexp.cli",
        "sweep",
        str(file),
        "--results",
        str(tmp_path / "killed"),
        "--workers",
        "2",
    ]
    log = tmp_path / "killed" / "small" / "study.jsonl"
    for wanted in (20_000,):
        process = Forked(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and not (log.exists() and log.stat().st_size > wanted):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert sweep(file, tmp_path / "killed") == 0
    assert tables(tmp_path / "killed" / "small") == tables(swept)
    assert sweep(file, tmp_path / "killed") == 0  # nothing is left to do
    assert tables(tmp_path / "killed" / "small") == tables(swept)


@pytest.mark.slow
@pytest.mark.figures
def test_the_report_shows_the_optimistic_score_beside_the_honest_one(done_once, swept, capsys):
    out = done_once[1]
    assert main(["report", str(swept)]) == 0  # with its figures
    assert "120 trials, then 18 runs." in out
    assert "inner − outer" in out
    folder = swept
    page, twin = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for text in (page, twin):
        assert "what was promised, and what was kept" in text
        assert (
            "Tuned against untuned: tuned and linear had 10 trials for each choice of parameters, plain none." in text
        )
        assert "No setting was tuned" not in text
        assert "the test rows of an outer fold took no part in the choice" in text
    assert page.count("<svg") >= 5
    results = load_results(folder)
    row = next(line for line in twin.splitlines() if line.startswith("| iris | tuned | 3 | 30 |"))
    inner = results.tuned.query("data == 'iris' and model == 'tuned'")["inner_score"].mean()
    outer = results.runs.query("data == 'iris' and model == 'tuned'")["accuracy"].mean()
    assert f"| {inner:.4g} | {outer:.4g} | {inner - outer:.4g} |" in row


@pytest.mark.slow
def test_a_sweep_that_is_not_nested_says_that_its_scores_are_optimistic(file, tmp_path):
    assert sweep(file, tmp_path / "results", "--set", "sweep.nested=false") == 0
    results = load_results(tmp_path / "results" / "small")
    assert len(results.tuned) == 4
    assert results.tuned["fold"].isna().all()
    assert "were chosen by scores on the same data" in (results.folder / "report.md").read_text()
    assert "not measured" in (results.folder / "report.md").read_text()


def test_tables_as_csv_and_parquet(swept, tmp_path, capsys):
    folder = str(swept)
    capsys.readouterr()
    assert main(["table", folder, "trials"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 121
    assert printed.splitlines()[0].startswith(
        "data,model,repeat,fold,number,state,value,is_best,hidden_layer_sizes.layers"
    )
    assert main(["table", folder, "trials", "--parquet", str(tmp_path / "trials.parquet")]) == 0
    frame = pd.read_parquet(tmp_path / "trials.parquet")
    assert len(frame) == 120
    assert np.allclose(frame["value"], load_results(folder).trials["value"])
    assert main(["table", folder, "trial_curves"]) == 0


@pytest.mark.slow
def test_elastic_workers_join_the_command(file, tmp_path, postgresql):
    url = postgresql.database("command")
    more = ["--storage", url, "--set", "sweep.mode=elastic", "--results", str(tmp_path / "results")]
    processes = [
        Forked(
            [sys.executable, "-m", "nnexp.cli", "worker", str(file), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]  # fmt: skip
    done = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], done
    assert not (tmp_path / "results").exists()  # workers write to the storage alone
    shares = [int(out.split("did ")[1].split()[0]) for out, _ in done]
    assert sum(shares) == 120
    assert main(["sweep", str(file), "--workers", "1", *more]) == 0
    results = load_results(tmp_path / "results" / "small")
    assert len(results.trials) == 120
    assert main(["doctor", url]) == 0


@pytest.mark.slow
def test_the_dashboard_shows_a_study_while_it_runs(file, tmp_path):
    command = [sys.executable, "-m", "nnexp.cli", "sweep", str(file), "--results", str(tmp_path), "--workers", "1"]
    process = Forked(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = tmp_path / "small" / "study.log"
    while not (log.exists() and log.stat().st_size > 20_000):
        assert process.poll() is None
        time.sleep(0.02)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = subprocess.Popen(
            [str(Path(sys.executable).parent / "optuna-dashboard"), str(log), "--host", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                    studies = json.load(answer)["study_summaries"]
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert studies[0]["study_name"] == "small/iris/tuned/0.0"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies/0", timeout=5) as answer:
            trials = json.load(answer)["trials"]
        assert len(trials) >= 5
        assert {"learning_rate"} <= {p["name"].rpartition("__")[2] for p in trials[0]["params"]}
    finally:
        shown.terminate()
        shown.wait()
        process.wait()
    assert process.returncode == 0


BAD = {
    "no space": (("[model.tuned.space]", "[model.tuned.spac]"), "has no parameter 'spac'"),
    "empty choice": (("tol = [0.001, 0.01]", "tol = []"), "model.linear.space.tol: has no value to choose from"),
    "log of 0": (("low = 0.001", "low = 0"), "model.tuned.space.learning_rate: on a log scale low must be above 0"),
    "equal": (("tol = [0.001, 0.01]", "tol = [1, true]"), "model.linear.space.tol: holds 1 and True, which Python takes for equal"),
    "unknown parameter": (("learning_rate = {", "learning_rat = {"), "has no such parameter. Did you mean 'learning_rate'"),
    "unknown sampler": (("batch_size = 5", 'sampler = "tep"'), "sweep.sampler: unknown sampler 'tep'. Did you mean 'tpe'"),
    "unknown pruner": (("batch_size = 5", 'pruner = "medan"'), "sweep.pruner: unknown pruner 'medan'. Did you mean 'median'"),
    "unknown key": (("batch_size = 5", "batch = 5"), "unknown key 'batch'. Did you mean 'batch_size'"),
    "no trials": (("trials = 10", "trials = 0"), "sweep.trials"),
    "grid of floats": (("batch_size = 5", 'sampler = "grid"'), "a grid needs a step, or a list of values"),
    "impossible value": (("neurons = [2, 8]", "neurons = [0, 8]"), "neurons must be two integers"),
    "impossible rate": (("low = 0.001, high = 0.1, log = true", "low = -1.0, high = 0.1"), "learning_rate"),
    "space without sweep": (("[sweep]\ntrials = 10\nbatch_size = 5\nfolds = 2\n", ""), "needs a [sweep]"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(file, tmp_path, name, capsys):
    (old, new), sentence = BAD[name]
    assert FILE.count(old) == 1
    file.write_text(FILE.replace(old, new))
    assert sweep(file, tmp_path / "results") == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert all(line.startswith("nnexp: small.toml") for line in err.splitlines())
    assert not (tmp_path / "results").exists()


def test_a_storage_that_does_not_answer_is_a_sentence_and_nothing_is_written(file, tmp_path, capsys):
    assert sweep(file, tmp_path / "results", "--storage", "postgresql://me:secret@127.0.0.1:9/x") == 2
    err = capsys.readouterr().err
    assert "does not answer" in err
    assert "secret" not in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_changed_file_under_the_same_name_is_refused_and_nothing_is_lost(file, swept, tmp_path):
    before = tables(tmp_path / "results" / "small")
    for key, value in (("seed", "6"), ("model.tuned.space.learning_rate.high", "0.03"), ("model.tuned.max_iter", "7")):
        with pytest.raises(StudyError, match="There is a study 'small/iris/"):
            run_experiment(load_specification(file, {key: value}), tmp_path / "results")
    assert tables(tmp_path / "results" / "small") == before


@pytest.mark.slow
def test_the_studies_of_a_file_are_forgotten_and_their_runs_stay(file, swept, capsys):
    results = swept.parent
    before = tables(swept)
    journal = (swept / "journal.jsonl").read_bytes()
    other = file.with_name("other.toml")
    other.write_text(FILE)
    assert sweep(other, results, "--trials", "2", "--storage", str(swept)) == 0
    capsys.readouterr()
    assert sweep(file, results, "--forget") == 0
    assert "12 studies of 120 trials in all are forgotten" in capsys.readouterr().out
    assert {name.partition("/")[0] for name in open_store(swept).studies()} == {"other"}
    assert (swept / "journal.jsonl").read_bytes() == journal
    assert sweep(file, results) == 0
    assert tables(swept) == before
    assert "0 studies of 0 trials" in (sweep(file, results / "nowhere", "--forget"), capsys.readouterr().out)[1]


@pytest.mark.slow
def test_the_view_is_where_the_command_says(file, tmp_path, capsys):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    assert sweep(file, tmp_path / "a", "--view", "postgresql://me:secret@127.0.0.1:9/x") == 2
    err = capsys.readouterr().err
    assert "The view postgresql://me:***@127.0.0.1:9/x cannot be used: " in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "a").exists()
    url = f"sqlite:///{tmp_path}/view.db"
    assert sweep(file, tmp_path / "b", "--view", url, "--trials", "3") == 0
    assert not (tmp_path / "b" / "small" / "study.log").exists()
    storage = optuna.storages.RDBStorage(url)
    try:
        names = optuna.get_all_study_names(storage=storage)
        assert len(names) == 12
        assert len(optuna.load_study(study_name="small/iris/tuned/0.0", storage=storage).trials) == 3
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_a_file_without_a_sweep_is_sent_to_run(file, tmp_path, capsys):
    file.write_text('question = "?"\n[data.iris]\n[model.plain]\nmax_iter = 2\n')
    assert sweep(file, tmp_path) == 2
    assert "there is no [sweep] in it" in capsys.readouterr().err


def test_a_deterministic_sweep_takes_no_workers_that_come_and_go(file, capsys):
    assert main(["worker", str(file)]) == 2
    assert "sweep.mode is 'elastic'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_none_of_whose_trials_was_completed_fails_with_a_reason(file, tmp_path):
    file.write_text(FILE.replace("tol = [0.001, 0.01]", "tol = [-1.0, -2.0]"))
    assert sweep(file, tmp_path / "results") == 1
    results = load_results(tmp_path / "results" / "small")
    linear = results.runs[results.runs["model"] == "linear"]
    assert linear["problem"].str.contains("None of its trials was completed").all()
    assert (results.trials.query("model == 'linear'")["state"] == "fail").all()
    assert "100% of the trials of linear failed" in (results.folder / "report.md").read_text()


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(file, tmp_path):
    file.write_text(FILE.replace("trials = 10", "trials = 200"))
    process = Forked(
        [sys.executable, "-m", "nnexp.cli", "sweep", str(file), "--results", str(tmp_path / "r"), "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    log = tmp_path / "r" / "small" / "study.jsonl"
    while not (log.exists() and log.stat().st_size > 30_000):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 2400 trials and 0 of 18 runs are finished and kept" in out
    assert "The same command goes on from there." in out
    assert "Traceback" not in err
    assert len(pd.read_csv(tmp_path / "r" / "small" / "trials.csv")) > 5


def test_one_space_for_all_networks(file, tmp_path):
    text = FILE.replace("[model.tuned.space]", "[sweep.space]").replace(
        "[model.linear.space]\ntol = [0.001, 0.01]\n", ""
    )
    file.write_text(text)
    specification = load_specification(file)
    assert {m.name: sorted(m.space) for m in specification.models} == {
        "plain": ["hidden_layer_sizes", "learning_rate"], "tuned": ["hidden_layer_sizes", "learning_rate"], "linear": [],
    }  # fmt: skip
    only = load_specification(file, {"sweep.models": '["tuned"]'})
    assert [m.name for m in only.models if m.space] == ["tuned"]
    with pytest.raises(SpecificationError, match="there is no model 'tund'"):
        load_specification(file, {"sweep.models": '["tund"]'})


@pytest.mark.slow
def test_the_resolved_experiment_runs_from_the_results_folder(swept, tmp_path):
    folder = tmp_path / "results" / "small"
    before = tables(folder)
    assert sweep(folder / "experiment.json", tmp_path / "results") == 0
    assert tables(folder) == before


ENQUEUED = """
question = "?"
[evaluation]
folds = 2
repeats = 1
[data.iris]
[sweep]
trials = 3
folds = 2
enqueue = [{ learning_rate = 0.07 }, "defaults"]
[sweep.space]
learning_rate = { low = 0.01, high = 0.1, log = true }
[model.net]
hidden_layer_sizes = [4]
max_iter = 3
learning_rate = 0.03
"""


def test_known_settings_of_a_file_are_the_first_trials(tmp_path):
    path = tmp_path / "known.toml"
    path.write_text(ENQUEUED)
    assert main(["sweep", str(path), "--results", str(tmp_path), "--workers", "1"]) == 0
    trials = load_results(tmp_path / "known").trials
    first = trials[trials["number"] < 2].groupby(["repeat", "fold"])["learning_rate"].apply(list)
    assert first.tolist() == [[0.07, 0.03]] * 2
    assert main(["verify", str(tmp_path / "known")]) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.07", "7.0", "line 10: sweep.enqueue: model 'net': learning_rate is from 0.01 to 0.1. Got 7.0"),
        (
            "learning_rate = 0.07",
            "momentum = 0.9",
            "sweep.enqueue: entry 1: no model varies momentum. Varied: learning_rate",
        ),
        (
            "learning_rate = 0.03",
            "learning_rate = 3.0",
            "sweep.enqueue: model 'net': the defaults are no point of the space: learning_rate is from 0.01 to 0.1. Got 3.0.",
        ),
        ('"defaults"]', '"default"]', "sweep.enqueue"),
    ],
)
def test_known_settings_of_a_file_that_are_none_are_a_sentence(tmp_path, old, new, said):
    path = tmp_path / "known.toml"
    path.write_text(ENQUEUED.replace(old, new))
    with pytest.raises(SpecificationError) as caught:
        load_specification(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "is_said"),
    [("", True), ("batch_size = 3\n", False), ('sampler = "random"\n', False), ('mode = "elastic"\n', False)],
)
def test_a_sampler_that_sees_no_trial_before_the_last_is_pointed_out(tmp_path, settings, is_said):
    path = tmp_path / "few.toml"
    path.write_text(
        'question = "?"\n[data.iris]\n[sweep]\ntrials = 12\nbatch_size = 16\n'.replace(
            "batch_size = 16\n" if "batch" in settings else "", ""
        )
        + settings
        + "[model.m]\n[model.m.space]\nl2 = { low = 0.0, high = 1.0 }\n"
    )
    notes = said_of_batches(load_specification(path))
    assert bool(notes) == is_said
    if is_said:
        assert notes[0].startswith(
            "sweep: the sampler tpe draws 16 trials at a time (batch_size), and there are 12: it learns from none."
        )


ONCE = """
question = "?"
[evaluation]
folds = 2
repeats = 1
[data.wine]
[data.cars]
path = "cars.csv"
target = "price"
task = "regression"
[sweep]
trials = 3
batch_size = 3
folds = 2
nested = false
[defaults]
max_iter = 5
validation = "none"
[model.tuned.space]
hidden_layer_sizes = { layers = [1, 2], neurons = [2, 8] }
"""


def test_winners_are_fitted_to_all_samples_and_saved(tmp_path, capsys):
    rng = np.random.default_rng(0)
    cars = pd.DataFrame(
        {"make": rng.choice(["a", "b"], 60), "age": rng.integers(1, 9, 60), "price": rng.normal(9e3, 1e3, 60)}
    )
    cars.to_csv(tmp_path / "cars.csv", index=False)
    (tmp_path / "once.toml").write_text(ONCE)
    assert sweep(tmp_path / "once.toml", tmp_path, "--refit", str(tmp_path / "m.nnexp")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Fitted to all 60 samples of cars: {tmp_path}/m-cars.nnexp." in said
    results = load_results(tmp_path / "once")
    for name, y in (("wine", None), ("cars", cars["price"])):
        model = load(tmp_path / f"m-{name}.nnexp")
        row = results.tuned.set_index("data").loc[name]
        assert list(model.hidden_layer_sizes) == json.loads(row["parameters"])["hidden_layer_sizes"]
        assert model.max_iter == 5
        if y is not None:
            by_hand = clone(model).fit(cars.drop(columns="price"), y)
            np.testing.assert_array_equal(
                model.predict(cars.drop(columns="price")), by_hand.predict(cars.drop(columns="price"))
            )
    before = load(tmp_path / "m-cars.nnexp").parameters_
    assert sweep(tmp_path / "once.toml", tmp_path, "--refit", str(tmp_path / "m.nnexp")) == 0
    np.testing.assert_array_equal(
        load(tmp_path / "m-cars.nnexp").parameters_, before
    )  # the same command, the same model


@pytest.mark.parametrize(
    ("place", "more", "why"),
    [
        ("nowhere/m.nnexp", "", "there is no folder"),
        (".", "", "that is a folder; name a file"),
        ("m.nnexp", '[model.tree]\nclass = { classification = "sklearn.tree.DecisionTreeClassifier" }\n[model.tree.space]\n'
         "max_depth = [1, 2]\n", "saves networks, and model.tree is of 'sklearn.tree.DecisionTreeClassifier'"),
    ],
)  # fmt: skip
def test_a_refit_that_cannot_be_is_refused_before_the_sweep(tmp_path, capsys, place, more, why):
    (tmp_path / "once.toml").write_text(
        ONCE.replace('[data.cars]\npath = "cars.csv"\ntarget = "price"\ntask = "regression"\n', "") + more
    )
    assert sweep(tmp_path / "once.toml", tmp_path, "--refit", str(tmp_path / place)) == 2
    assert why in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "once").exists()
