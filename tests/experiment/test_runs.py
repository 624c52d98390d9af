import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import RepeatedStratifiedKFold

from nnexp import BackpropMLP, load_results
from nnexp._identity import libraries
from nnexp.cli import main
from nnexp.experiment import (
    DataError,
    Observer,
    ResultsError,
    SpecificationError,
    load_specification,
    run_experiment,
    runs,
)
from nnexp.experiment.datasets import load_bundled
from nnexp.experiment.results import Journal
from nnexp.experiment.runs import load_data, plan
from nnexp.report import compare
from nnexp.verify import verify
from tests import runs_in
from tests.experiment.conftest import SMALL
from tests.forked import Forked

TABLES = ["runs.csv", "curves.csv"]


def tables(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def run(path, results, **settings):
    return run_experiment(load_specification(path), results, **settings)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    (folder / "small.toml").write_text(SMALL)
    return run(folder / "small.toml", folder)


@pytest.fixture
def first(made_once, small, tmp_path):
    """Return how the first run of the small experiment went, in the folder results."""
    return replace(made_once, folder=Path(shutil.copytree(made_once.folder, tmp_path / "results" / "small")))


def test_every_run_is_a_row_and_none_fails(small, first, tmp_path):
    summary = first
    assert (summary.planned, summary.done, summary.failed) == (36, 36, 0)
    results = load_results(summary.folder)
    assert len(results.runs) == 2 * 3 * 3 * 2
    assert not results.runs.duplicated(["data", "model", "repeat", "fold"]).any()
    assert (results.runs["status"] == "ok").all()
    classification = results.runs["task"] == "classification"
    assert results.runs.loc[classification, "accuracy"].between(0, 1).all()
    assert results.runs.loc[~classification, "accuracy"].isna().all()
    assert results.runs.loc[~classification, "r2"].notna().all()
    assert len(results.times) == 36
    assert (results.times["fit_seconds"] > 0).all()
    assert results.is_complete
    assert set(results.environment["data"]) == {"iris", "diabetes"}
    assert results.environment["versions"]["scikit-learn"]


def test_a_row_is_what_the_same_fit_gives_by_hand(small, first, tmp_path):
    results = load_results(first.folder)
    row = results.runs.query("data == 'iris' and model == 'mini-batch' and repeat == 1 and fold == 2").iloc[0]
    data = load_bundled("iris")
    runs = plan(load_specification(small), load_data(load_specification(small)))
    (own,) = [r for r in runs if (r.data, r.model.name, r.repeat, r.fold) == ("iris", "mini-batch", 1, 2)]
    model = BackpropMLP(
        hidden_layer_sizes=[6],
        max_iter=8,
        batch_size=16,
        learning_rate=0.01,
        validation="none",
        random_state=int(row["seed"]),
    ).fit(data.X.iloc[own.training], data.y[own.training])
    assert row["accuracy"] == model.score(data.X.iloc[own.test], data.y[own.test])
    assert row["evaluations"] == model.evaluations_ == 8 * 3 * 100
    curve = results.curves.query("data == 'iris' and model == 'mini-batch' and repeat == 1 and fold == 2")
    np.testing.assert_allclose(curve["error"], model.history_["error"], rtol=1e-12)  # folds train as one stack


def test_all_models_meet_the_same_stratified_splits(small):
    specification = load_specification(small)
    runs = plan(specification, load_data(specification))
    by_split = {}
    for own in runs:
        by_split.setdefault((own.data, own.repeat, own.fold), []).append(own)
    for together in by_split.values():
        assert len(together) == 3
        assert len({(tuple(r.training), tuple(r.test), r.seed) for r in together}) == 1
    y = load_iris().target
    for own in runs:
        assert not set(own.training) & set(own.test)
        if own.data == "iris":
            assert np.ptp(np.bincount(y[own.test])) <= 1
    tests = [set(r.test) for r in runs if r.data == "iris" and r.model.name == "genetic"]
    assert len(tests) == RepeatedStratifiedKFold(n_splits=3, n_repeats=2).get_n_splits()
    assert len({r.seed for r in runs if r.data == "iris"}) == 6


@pytest.mark.slow
def test_the_tables_do_not_depend_on_the_number_of_processes(small, first, tmp_path):
    two = run(small, tmp_path / "two", n_jobs=2)
    assert tables(first.folder) == tables(two.folder)


def test_a_second_time_nothing_runs_and_a_change_runs_only_what_it_changes(small, first, tmp_path):
    before = tables(first.folder)
    again = run(small, tmp_path / "results")
    assert (again.known, again.done) == (36, 0)
    assert tables(again.folder) == before
    small.write_text(small.read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    changed = run(small, tmp_path / "results")
    assert (changed.known, changed.done) == (24, 12)
    assert tables(changed.folder) != before
    small.write_text(small.read_text().replace("learning_rate = 0.02", "learning_rate = 0.01"))
    assert run(small, tmp_path / "results").done == 0
    assert tables(changed.folder) == before


def command(path, results):
    return [sys.executable, "-m", "nnexp.cli", "run", str(path), "--results", str(results), "--jobs", "2"]


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_the_tables_are_those_of_an_undisturbed_run(small, first, tmp_path):
    journal = tmp_path / "killed" / "small" / "journal.jsonl"
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(2):
        process = Forked(
            command(small, tmp_path / "killed"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wanted = kept + int(rng.integers(1, 8))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(runs_in(journal)) >= wanted:
                break
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        finished = len(runs_in(journal))
        assert finished >= kept  # nothing finished is lost
        kept = finished
    done = run(small, tmp_path / "killed", n_jobs=2)
    assert done.known == kept > 0
    assert tables(done.folder) == tables(first.folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record["curve"]["error"].pop(),  # columns of unequal length
        lambda record: record["row"].pop("status"),
        lambda record: record.update(is_result=None),
        lambda record: record["times"].update(seconds="long"),
    ],
)
def test_a_record_that_nobody_can_have_written_is_named_and_run_again(small, first, tmp_path, damage):
    before = tables(first.folder)
    journal = first.folder / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    damage(records[1])  # the first line says what is asked
    journal.write_text("".join(json.dumps(record) + "\n" for record in records))
    again = run(small, tmp_path / "results")
    assert again.done == 1
    assert "damaged record" in again.notes[0]
    assert tables(again.folder) == before


def test_a_record_cut_by_a_kill_is_named_and_run_again(small, first, tmp_path):
    before = tables(first.folder)
    journal = first.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + b"not a record\n" + lines[-1][:50])
    again = run(small, tmp_path / "results")
    assert again.done == 2
    assert "damaged record" in again.notes[0]
    assert tables(again.folder) == before
    assert run(small, tmp_path / "results").done == 0


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(small, tmp_path, trusted):
    other = '\n[model.slow]\nclass = "tests.experiment.other.MyClassifier"\nwaits = 0.4\n'
    small.write_text(small.read_text() + other)
    process = Forked(
        command(small, tmp_path / "results"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    journal = tmp_path / "results" / "small" / "journal.jsonl"
    while len(runs_in(journal)) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "runs are finished and kept" in out
    assert "The same command goes on" in out
    assert "Traceback" not in err
    assert len(load_results(tmp_path / "results" / "small").runs) >= 3


def test_a_run_that_fails_is_a_row_and_the_others_go_on(small, tmp_path, trusted):
    other = '\n[model.failing]\nclass = "tests.experiment.other.MyClassifier"\nfails = true\n'
    small.write_text(small.read_text() + other)
    summary = run(small, tmp_path / "results")
    runs = load_results(summary.folder).runs
    failed = runs[runs["status"] == "failed"]
    assert summary.failed == len(failed) == 6
    assert set(failed["model"]) == {"failing"}
    assert (failed["problem"] == "RuntimeError: this one fails").all()
    assert failed["accuracy"].isna().all()


def test_a_score_that_fails_leaves_the_others(tmp_path):
    """Predictions below −1 have no logarithm; those of a tree are never below what it has seen."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=list("ab"))
    frame["target"] = np.exp(3 * frame.a)
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "logs.toml").write_text("""
question = "?"
[evaluation]
folds = 2
repeats = 1
metrics.regression = ["r2", "neg_mean_squared_log_error", "neg_mean_absolute_error"]
[data.t]
path = "t.csv"
target = "target"
task = "regression"
[model.line]
class = "sklearn.linear_model.LinearRegression"
[model.tree]
class = "sklearn.tree.DecisionTreeRegressor"
""")
    results = load_results(run(tmp_path / "logs.toml", tmp_path).folder)
    rows = results.runs.set_index("model")
    assert (rows["status"] == "ok").all()
    assert rows[["r2", "neg_mean_absolute_error"]].notna().all().all()
    assert rows.loc["tree", "neg_mean_squared_log_error"].notna().all()
    assert rows.loc["line", "neg_mean_squared_log_error"].isna().all()
    assert rows.loc["line", "warnings"].str.startswith("neg_mean_squared_log_error has no value: ValueError").all()
    assert compare(results).cells["failed"].sum() == 0


@pytest.mark.slow
def test_probabilities_that_are_no_numbers_cost_no_report(tmp_path):
    """Without variance a naive Bayes divides by 0: its classes are what they are, and its probabilities are NaN."""
    (tmp_path / "nb.toml").write_text("""
question = "?"
[evaluation]
folds = 2
repeats = 1
[data.digits]
[model.nb]
class = "sklearn.naive_bayes.GaussianNB"
var_smoothing = 0
[model.dummy]
class = "sklearn.dummy.DummyClassifier"
""")
    assert main(["run", str(tmp_path / "nb.toml"), "--results", str(tmp_path), "--jobs", "1"]) == 0
    rows = load_results(tmp_path / "nb").runs.query("model == 'nb'")
    assert (rows["status"] == "ok").all()
    assert rows["accuracy"].notna().all()
    assert rows["neg_log_loss"].isna().all()
    assert "differs" not in {finding.status for finding in verify(tmp_path / "nb")}


def test_a_model_whose_probabilities_fail_keeps_its_other_scores(tmp_path, trusted):
    (tmp_path / "p.toml").write_text("""
question = "?"
[evaluation]
folds = 2
repeats = 1
[data.iris]
[model.m]
class = "tests.experiment.other.NoProbabilities"
""")
    rows = load_results(run(tmp_path / "p.toml", tmp_path).folder).runs
    assert (rows["status"] == "ok").all()
    assert rows["accuracy"].notna().all()
    assert rows["warnings"].str.contains("neg_log_loss has no value: RuntimeError: none today").all()


def test_the_positive_class_is_scored_and_a_change_of_it_runs_again(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=list("ab"))
    frame["target"] = np.where(frame.a + rng.normal(size=60) > 0.5, "yes", "no")
    frame.to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "f1.toml"
    path.write_text("""
question = "?"
[evaluation]
folds = 2
repeats = 1
metrics.classification = ["f1", "recall"]
[data.t]
path = "t.csv"
target = "target"
task = "classification"
positive = "yes"
[model.line]
class = "sklearn.linear_model.LogisticRegression"
""")
    folder = run(path, tmp_path).folder
    results = load_results(folder)
    specification = load_specification(path)
    data = load_data(specification)
    for planned, row in zip(plan(specification, data), results.runs.to_dict("records"), strict=True):
        preparation = data["t"].encoder().fit(data["t"].X.iloc[planned.training])
        model = LogisticRegression().fit(
            preparation.transform(data["t"].X.iloc[planned.training]), data["t"].y[planned.training]
        )
        predicted = model.predict(preparation.transform(data["t"].X.iloc[planned.test]))
        assert row["f1"] == pytest.approx(f1_score(data["t"].y[planned.test], predicted, pos_label="yes"))
    path.write_text(path.read_text().replace('positive = "yes"', 'positive = "no"'))
    again = run(path, tmp_path)
    assert (again.known, again.done) == (0, 2)
    assert (load_results(folder).runs["f1"] != results.runs["f1"]).all()


@pytest.mark.slow
def test_a_run_whose_process_is_killed_is_tried_again(small, tmp_path, trusted):
    flag = tmp_path / "died"
    other = f'\n[model.dying]\nclass = "tests.experiment.other.MyClassifier"\ndies_once = "{flag}"\n'
    small.write_text(small.read_text() + other)
    summary = run(small, tmp_path / "results", n_jobs=2)
    assert (summary.done, summary.failed, summary.interrupted) == (summary.planned, 0, False)
    assert flag.exists()


@pytest.mark.slow
def test_a_run_whose_process_always_dies_is_a_row_that_says_so_and_is_tried_again(small, tmp_path, trusted):
    other = '\n[model.dying]\nclass = "tests.experiment.other.MyClassifier"\nwaits = 0.0\n'
    small.write_text(small.read_text() + other)
    changes = {"evaluation.folds": "2", "evaluation.repeats": "1", "model.dying.dies_always": "true"}
    summary = run_experiment(load_specification(small, changes), tmp_path / "results", n_jobs=2)
    runs = load_results(summary.folder).runs.set_index("model")
    assert summary.failed == 2
    assert runs.loc["dying", "problem"].str.startswith("WorkerDiedError: Its process was killed, 3 times").all()
    assert runs.loc["dying", "problem"].str.endswith("That is no result: the same command tries it again.").all()
    changes["model.dying.dies_always"] = "false"  # as on a day with more memory, if it were no part of the key
    journal = Journal(summary.folder)
    assert (len(journal.records), len(journal.deaths)) == (summary.planned - 2, 2)
    journal.close()
    again = run_experiment(load_specification(small, changes), tmp_path / "results", n_jobs=2)
    assert again.failed == 0


def test_a_file_of_the_users_runs_from_csv(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["x", "y", None], 60), "y": rng.normal(size=60)})
    frame.loc[::7, "a"] = np.nan
    frame.to_csv(tmp_path / "mine.csv", index=False)
    path = tmp_path / "mine.toml"
    path.write_text(
        'question = "Does it run?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.mine]\npath = "mine.csv"\ntarget = "y"\n'
        'task = "regression"\n[model.net]\nmax_iter = 3\n[model.linear]\nclass = "sklearn.linear_model.Ridge"\n'
    )
    summary = run(path, tmp_path / "results")
    assert (summary.done, summary.failed) == (4, 0)


def test_data_that_cannot_be_split_are_named_before_anything_runs(small, tmp_path):
    (tmp_path / "rare.csv").write_text("a,y\n" + "".join(f"{i},{'x' if i else 'z'}\n" for i in range(20)))
    small.write_text(small.read_text() + '\n[data.rare]\npath = "rare.csv"\ntarget = "y"\ntask = "classification"\n')
    with pytest.raises(DataError, match="class z has 1 row, fewer than evaluation.folds = 3"):
        run(small, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_two_commands_do_not_write_to_one_folder(small, tmp_path):
    from nnexp.experiment.results import Journal

    journal = Journal(tmp_path / "results" / "small")
    with pytest.raises(ResultsError, match="Another nnexp run is writing"):
        run(small, tmp_path / "results")
    journal.close()
    assert run(small, tmp_path / "results").done == 36


@pytest.mark.parametrize("damage", ["folder", "runs.csv", "environment.json"])
def test_results_that_cannot_be_read_give_a_sentence(small, first, tmp_path, damage):
    folder = first.folder
    if damage == "folder":
        with pytest.raises(ResultsError, match="There is no such folder"):
            load_results(tmp_path / "nothing")
        return
    (folder / damage).write_bytes(b'\xff\xfe"' if damage == "runs.csv" else b"{")
    with pytest.raises(ResultsError, match=f"{damage} cannot be read"):
        load_results(folder)


def test_results_hold_no_pickle(small, first, tmp_path):
    folder = first.folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "runs.csv",
        "curves.csv",
        "times.csv",
        "confusion.csv",
        "calibration.csv",
        "residuals.csv",
        "networks.csv",
        "journal.jsonl",
        ".journal.lock",
        "experiment.json",
        "environment.json",
    }
    json.loads((folder / "experiment.json").read_text())


ODD_NAMES = ["16", "32", "1e5", "007", "true", "null", "None", "nan", "a|b", "$x$", "_under", "<i>", "é"]


@pytest.mark.slow
def test_models_and_data_may_have_any_names(tmp_path, small):
    frame = pd.DataFrame({"a": np.arange(20.0), "y": ["x", "z"] * 10})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    models = "".join(f'[model."{name}"]\nclass = "sklearn.dummy.DummyClassifier"\n' for name in ODD_NAMES)
    data = "".join(
        f'[data."{name}"]\npath = "mine.csv"\ntarget = "y"\ntask = "classification"\n' for name in ("1", "null", "a|b")
    )
    small.write_text(
        f'question = "Any?"\n[evaluation]\nfolds = 2\nrepeats = 1\n{data}\n{models}\n[model.net]\nmax_iter = 3\n'
    )
    assert main(["run", str(small), "--results", str(tmp_path / "results"), "--jobs", "1"]) == 0
    results = load_results(tmp_path / "results" / "small")
    assert set(results.runs["model"]) == {*ODD_NAMES, "net"}
    assert set(results.runs["data"]) == {"1", "null", "a|b"}
    assert (results.folder / "report.html").is_file()
    for line in (results.folder / "report.md").read_text().splitlines():
        if line.startswith("| 1 (accuracy)"):
            assert line.replace("\\|", "").count("|") == len(ODD_NAMES) + 3


def test_a_model_that_diverges_everywhere_is_reported(tmp_path, small):
    small.write_text(
        'question = "What diverges?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[model.sound]\nmax_iter = 3\n'
        '[model.wild]\noptimizer = "sgd"\nlearning_rate = 1e300\nactivation = "identity"\ndescent = "stochastic"\n'
    )
    assert main(["run", str(small), "--results", str(tmp_path / "results"), "--jobs", "1"]) == 0
    runs = load_results(tmp_path / "results" / "small").runs
    assert runs.loc[runs["model"] == "wild", "stop_reason"].str.contains("infinite or NaN").all()


def test_a_table_of_no_finished_run_is_a_sentence(small, first, tmp_path, capsys):
    folder = first.folder
    for name in TABLES:
        (folder / name).write_text((folder / name).read_text().splitlines()[0] + "\n")
    (folder / "times.csv").write_text("data,model,repeat,fold,fit_seconds,score_seconds\n")
    assert main(["table", str(folder)]) == 0
    assert "No run is finished yet." in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="a small file system is mounted by root"
)
@pytest.mark.parametrize("size", ["8k", "24k"])
def test_a_full_disk_is_a_sentence_and_loses_nothing(small, tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        done = subprocess.run(command(small, disk), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "No space left on device" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert run(small, disk, n_jobs=2).planned == 36
        assert tables(disk / "small") == tables(run(small, tmp_path / "whole").folder)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_a_damaged_journal_is_mended_once(small, first, tmp_path):
    journal = first.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    broken = [b'{"key": "x"}\n', b'{"key": "y", "row": null, "times": {}, "curve": {}}\n', b"[]\n"]
    journal.write_bytes(b"".join([*broken, *lines]))
    assert "3 damaged record(s)" in run(small, tmp_path / "results").notes[0]
    assert run(small, tmp_path / "results").notes == []


@pytest.mark.slow
def test_what_is_announced_as_finished_is_on_the_disk_by_then(small, tmp_path, monkeypatch):
    """When a run is counted, its line has been written and synced."""
    synced, order = [], []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_size), real(descriptor))[1]
    )
    journal = tmp_path / "results" / "small" / "journal.jsonl"

    class Counting(Observer):
        def run(self, row):
            order.append((len(runs_in(journal)), synced[-1]))

    run(small, tmp_path / "results", observer=Counting())
    assert [count for count, _ in order] == list(range(1, 37))
    sizes = np.cumsum([len(line) for line in journal.read_bytes().splitlines(keepends=True)])
    assert [size for _, size in order] == sizes.tolist()[1:]  # the first line says what is asked


OTHER = {"numpy": "1.99.0", "scipy": "1.1"}


@pytest.fixture(scope="module")
def made_elsewhere_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "small.toml").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "libraries", lambda: {**libraries(), **OTHER})
        return run(folder / "small.toml", folder).folder


@pytest.fixture
def made_elsewhere(made_elsewhere_once, small, tmp_path):
    """Return the folder of an experiment that was run with other versions of two libraries."""
    return Path(shutil.copytree(made_elsewhere_once, tmp_path / "results" / "small"))


class Answers(Observer):
    """Answers as a terminal does, and notes what is asked and said."""

    def __init__(self, answer):
        self.answer, self.asked, self.again = answer, [], None

    def ask(self, question):
        self.asked.append(question)
        return self.answer

    def begin(self, beginning):
        self.again = beginning.again


@pytest.mark.slow
def test_runs_of_other_versions_are_refused_unless_somebody_says_what_becomes_of_them(small, made_elsewhere):
    before = {path.name: path.read_bytes() for path in made_elsewhere.iterdir() if path.is_file()}
    with pytest.raises(ResultsError) as caught:
        run(small, made_elsewhere.parent)
    said = str(caught.value)
    assert "36 finished runs were made with other versions: numpy 1.99.0, here" in said
    assert f"scipy 1.1, here {libraries()['scipy']}" in said
    assert "--redo does them again, --keep keeps them" in said
    assert {path.name: path.read_bytes() for path in made_elsewhere.iterdir() if path.is_file()} == before
    with pytest.raises(ValueError, match="other_versions"):
        run(small, made_elsewhere.parent, other_versions="both")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [False, True], ids=["beforehand", "on a terminal"])
def test_runs_of_other_versions_are_kept_and_marked_or_done_again(small, made_elsewhere, tmp_path, asked):
    def again(answer):
        observer = Answers(answer)
        summary = run(small, made_elsewhere.parent, observer=observer, other_versions=None if asked else answer)
        return observer, summary, load_results(summary.folder)

    plain = load_results(made_elsewhere).runs
    observer, summary, results = again("keep")
    assert len(observer.asked) == asked
    assert (summary.known, summary.done) == (36, 0)
    assert (results.runs["made_with"] == "numpy 1.99.0, scipy 1.1").all()
    pd.testing.assert_frame_equal(results.runs.drop(columns="made_with"), plain)
    claims = [claim.text for claim in compare(results).cautions]
    assert any(
        text.startswith("36 of 36 runs were made with other versions than environment.json has") for text in claims
    )
    assert "differs" not in {finding.status for finding in verify(summary.folder)}
    # what is kept stays kept, and another model runs with what is here
    observer, summary, _ = again(None)
    assert (observer.asked, summary.done) == ([], 0)
    small.write_text(small.read_text() + "\n[model.late]\nhidden_layer_sizes = []\n")
    observer, summary, results = again(None)
    assert (observer.asked, summary.done) == ([], 12)
    assert results.runs.loc[results.runs["model"] == "late", "made_with"].eq("").all()
    # done again, also what was kept before, it is as from scratch
    run(small, tmp_path / "whole")
    summary = run(small, made_elsewhere.parent, other_versions="redo")
    assert summary.done == 36
    assert tables(summary.folder) == tables(tmp_path / "whole" / "small")


@pytest.mark.slow
def test_runs_of_other_versions_are_done_again_with_a_sentence(small, made_elsewhere):
    observer = Answers("redo")
    assert run(small, made_elsewhere.parent, observer=observer).done == 36
    assert observer.again.endswith("They are done again.")
    assert "made_with" not in load_results(made_elsewhere).runs


@pytest.mark.slow
def test_runs_in_which_more_has_changed_than_versions_are_not_asked_about(small, made_elsewhere):
    small.write_text(small.read_text().replace("max_iter = ", "max_iter = 1"))
    observer = Answers(None)
    assert run(small, made_elsewhere.parent, observer=observer).done == 36
    assert observer.asked == []
    assert "because of what has changed since" in observer.again


@pytest.mark.slow
def test_of_two_upgrades_the_first_versions_are_remembered(small, made_elsewhere, monkeypatch):
    run(small, made_elsewhere.parent, other_versions="keep")
    monkeypatch.setattr(runs, "libraries", lambda: {**libraries(), "numpy": "9.0", "pandas": "9.1"})
    observer = Answers("keep")
    run(small, made_elsewhere.parent, observer=observer)
    assert "numpy 1.99.0, here 9.0" in observer.asked[0]  # what they were made with, not what they were kept under
    kept = load_results(made_elsewhere).runs["made_with"].unique()
    assert list(kept) == [f"numpy 1.99.0, scipy 1.1, pandas {libraries()['pandas']}"]
    # back at the versions of the first time but for one, that one alone is another
    monkeypatch.setattr(runs, "libraries", lambda: {**libraries(), "numpy": "1.99.0", "scipy": "1.2"})
    run(small, made_elsewhere.parent, other_versions="keep")
    assert list(load_results(made_elsewhere).runs["made_with"].unique()) == ["scipy 1.1"]


@pytest.mark.slow
def test_parameters_that_were_others_in_between_do_not_matter(small, made_elsewhere, monkeypatch):
    text = small.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "libraries", lambda: {**libraries(), **OTHER})
        small.write_text(text.replace("max_iter = ", "max_iter = 1"))
        run(small, made_elsewhere.parent)
        small.write_text(text)
        assert run(small, made_elsewhere.parent).done == 0
    assert run(small, made_elsewhere.parent, other_versions="keep").done == 0


def test_all_versions_of_a_mixed_folder_are_named(small, made_elsewhere, monkeypatch):
    journal = made_elsewhere / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in lines[1:11]:
        record["decided_by"]["numpy"] = "1.50.0"
    journal.write_text("".join(json.dumps(record) + "\n" for record in lines))
    with pytest.raises(ResultsError, match=r"36 finished runs .*numpy 1.(50|99).0 and 1.(99|50).0, here"):
        run(small, made_elsewhere.parent)


@pytest.mark.slow
def test_an_interrupted_redo_says_what_is_done_and_goes_on(small, made_elsewhere):
    run(small, made_elsewhere.parent, other_versions="keep")

    class Stops(Observer):
        def run(self, row):
            raise KeyboardInterrupt

    summary = run(small, made_elsewhere.parent, other_versions="redo", observer=Stops())
    assert summary.interrupted
    assert 0 < summary.done < 36
    assert summary.known == 0
    kept = load_results(made_elsewhere).runs["made_with"]
    assert (kept == "").sum() == summary.done
    again = run(small, made_elsewhere.parent, other_versions="redo")
    assert again.done == 36 - summary.done
    assert "made_with" not in load_results(made_elsewhere).runs


@pytest.mark.parametrize("answer", ["Keep", "no", ""])
def test_an_answer_that_is_none_is_refused(small, made_elsewhere, answer):
    with pytest.raises(ValueError, match="The answer of an observer: unknown value"):
        run(small, made_elsewhere.parent, observer=Answers(answer))


@pytest.mark.slow
def test_runs_of_a_version_that_did_not_note_what_decides_cannot_be_kept(small, made_elsewhere):
    journal = made_elsewhere / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in lines[1:]:
        del record["decided_by"]
    journal.write_text("".join(json.dumps(record) + "\n" for record in lines))
    for answer in (None, "keep"):
        with pytest.raises(
            ResultsError, match="36 finished runs were made by an earlier version of nnexp, which did not note"
        ):
            run(small, made_elsewhere.parent, other_versions=answer)
    assert run(small, made_elsewhere.parent, other_versions="redo").done == 36


def test_runs_that_were_kept_are_not_done_again_to_verify_them(small, made_elsewhere):
    run(small, made_elsewhere.parent, other_versions="keep")
    findings = list(verify(made_elsewhere, rerun=2))
    assert "differs" not in {finding.status for finding in findings}
    assert any("36 runs were made with other versions and kept" in finding.text for finding in findings)


@pytest.mark.slow
def test_data_of_the_other_task_added_later_give_the_tables_of_a_run_from_scratch(small, tmp_path):
    whole = run(small, tmp_path / "whole")
    text = small.read_text()
    small.write_text(text.replace("[data.diabetes]\n", ""))
    run(small, tmp_path / "grown")
    small.write_text(text)
    assert run(small, tmp_path / "grown").known == 18
    assert tables(tmp_path / "grown" / "small") == tables(whole.folder)


def test_the_key_of_a_run_holds_everything_that_decides_it(small, tmp_path, monkeypatch):
    text = small.read_text()

    def keys(old="", new=""):
        small.write_text(text.replace(old, new, 1))
        specification = load_specification(small)
        return [
            own.key
            for own in plan(specification, load_data(specification))
            if own.model.name == "mini-batch" and own.data == "iris"
        ]

    before = keys()
    assert keys() == before
    changed = [
        ("seed = 3", "seed = 4"),
        ("folds = 3", "folds = 4"),
        ('"neg_log_loss"', '"f1_macro"'),
        ("max_iter = 8", "max_iter = 9"),
    ]
    for old, new in changed:
        assert not set(before[:2]) & set(keys(old, new)[:2]), new
    assert set(keys("population_size = 10", "population_size = 11")) == set(before)  # another model
    monkeypatch.setattr("nnexp.experiment.runs.__version__", "9.9")
    assert not set(keys()) & set(before)


@pytest.mark.slow
def test_code_of_the_users_that_changes_runs_again(small, tmp_path, monkeypatch):
    module = tmp_path / "their_own.py"
    module.write_text("from sklearn.dummy import DummyClassifier\n\n\nclass Mine(DummyClassifier):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NNEXP_ALLOW_MODULES", "their_own")
    small.write_text(small.read_text() + '\n[model.mine]\nclass = "their_own.Mine"\n')
    run(small, tmp_path / "results")
    module.write_text(module.read_text() + "    # another word\n")
    assert run(small, tmp_path / "results").done > 0


def test_the_resolved_experiment_runs_from_the_results_folder(tmp_path):
    pd.DataFrame({"a": np.arange(20.0), "y": np.arange(20.0)}).to_csv(tmp_path / "mine.csv", index=False)
    path = tmp_path / "mine.toml"
    path.write_text(
        'question = "Again?"\n[evaluation]\nfolds = 2\n[data.mine]\npath = "mine.csv"\ntarget = "y"\ntask = "regression"\n'
        '[model.poisson]\nclass = "sklearn.linear_model.PoissonRegressor"\n[model.linear]\nclass = "sklearn.linear_model.Ridge"\n'
    )
    first = run(path, tmp_path / "results")
    assert first.failed == 0  # targets of a Poisson regression stay positive
    assert run(first.folder / "experiment.json", tmp_path / "results").done == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('activation = "step"', "model.mini-batch on iris: algorithm='backprop' needs derivatives"),
        ('connections = { "a -> b" = 1 }', "unknown layer 'a'"),
        (
            'error_function = "cross_entropy"\noutput_activation = "relu"',
            "on diabetes: error_function='cross_entropy' needs",
        ),
    ],
)
def test_models_that_cannot_be_built_on_the_data_are_named_before_anything_runs(small, tmp_path, settings, sentence):
    small.write_text(small.read_text().replace("learning_rate = 0.01", settings))
    changes = {"evaluation.metrics.classification": '["accuracy"]'}
    with pytest.raises(SpecificationError) as caught:
        run_experiment(load_specification(small, changes), tmp_path / "results")
    assert sentence in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_a_run_is_the_same_alone_and_beside_others_where_a_level_is_missing_in_its_rows(tmp_path):
    """What a column gives follows from all rows, however many runs are done together."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"word": rng.choice(["a", "b", "c"], 40), "x": rng.normal(size=40), "y": rng.normal(size=40)})
    table.loc[[3, 4], ["word", "x"]] = "rare", np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "words.toml"
    path.write_text("""
question = "?"
[evaluation]
folds = 2
repeats = 2
[data.t]
path = "t.csv"
target = "y"
task = "regression"
[model.net]
hidden_layer_sizes = [3]
max_iter = 4
""")
    specification = load_specification(path)
    data = load_data(specification)
    planned = plan(specification, data)
    assert any(not (data["t"].X["word"].iloc[run.training] == "rare").any() for run in planned)
    together = runs.execute(planned, data["t"])
    for unit, expected in zip(planned, together, strict=True):
        (alone,) = runs.execute([unit], data["t"])
        assert alone["row"] == expected["row"]
        assert alone["curve"]["error"] == pytest.approx(expected["curve"]["error"])


@pytest.mark.parametrize("settings", ["", "max_seconds = 60\n", 'algorithm = "snes"\n'], ids=["stack", "alone", "snes"])
def test_what_a_column_is_follows_from_all_rows_however_a_network_is_fitted(tmp_path, settings):
    """All but one cell of a column are numbers written as words; the one is in the test rows of one fold only."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"code": rng.permutation(90).astype(str), "x": rng.normal(size=90), "y": rng.normal(size=90)})
    table.loc[5, "code"] = "x"
    table.to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "codes.toml"
    path.write_text(f"""
question = "?"
[evaluation]
folds = 3
repeats = 1
[data.t]
path = "t.csv"
target = "y"
task = "regression"
[sweep]
trials = 2
folds = 2
[defaults]
hidden_layer_sizes = [3]
max_iter = 4
validation = "none"
{settings}
[model.net]
[model.tuned]
[model.tuned.space]
l2 = [0.0, 0.1]
""")
    results = load_results(run(path, tmp_path).folder)
    assert (results.runs["status"] == "ok").all(), results.runs["problem"].tolist()
    assert (results.trials["state"] == "complete").all(), results.trials["problem"].tolist()
