import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import RepeatedStratifiedKFold

from nnexp import BackpropMLP, load_results
from nnexp.experiment import DataError, ResultsError, load_specification, run_experiment
from nnexp.experiment.datasets import load_bundled, make_preparation
from nnexp.experiment.runs import load_data, plan

TABLES = ["runs.csv", "curves.csv"]


def tables(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def run(path, results, **settings):
    return run_experiment(load_specification(path), results, **settings)


def test_every_run_is_a_row_and_none_fails(small, tmp_path):
    summary = run(small, tmp_path / "results")
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


def test_a_row_is_what_the_same_fit_gives_by_hand(small, tmp_path):
    results = load_results(run(small, tmp_path / "results").folder)
    row = results.runs.query("data == 'iris' and model == 'mini-batch' and repeat == 1 and fold == 2").iloc[0]
    data = load_bundled("iris")
    runs = plan(load_specification(small), load_data(load_specification(small)))
    (own,) = [r for r in runs if (r.data, r.model.name, r.repeat, r.fold) == ("iris", "mini-batch", 1, 2)]
    preparation = make_preparation(data.X).fit(data.X.iloc[own.training])
    model = BackpropMLP(
        hidden_layer_sizes=[6], max_iter=8, batch_size=16, learning_rate=0.01, random_state=int(row["seed"])
    ).fit(preparation.transform(data.X.iloc[own.training]), data.y[own.training])
    assert row["accuracy"] == model.score(preparation.transform(data.X.iloc[own.test]), data.y[own.test])
    assert row["evaluations"] == model.evaluations_ == 8 * 3 * 100
    curve = results.curves.query("data == 'iris' and model == 'mini-batch' and repeat == 1 and fold == 2")
    np.testing.assert_array_equal(curve["error"], model.history_["error"])


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


def test_the_tables_do_not_depend_on_the_number_of_processes(small, tmp_path):
    one = run(small, tmp_path / "one", n_jobs=1)
    two = run(small, tmp_path / "two", n_jobs=2)
    assert tables(one.folder) == tables(two.folder)


def test_a_second_time_nothing_runs_and_a_change_runs_only_what_it_changes(small, tmp_path):
    first = run(small, tmp_path / "results")
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


@pytest.mark.parametrize("number", range(3))
def test_killed_at_any_moment_and_run_again_the_tables_are_those_of_an_undisturbed_run(small, tmp_path, number):
    undisturbed = run(small, tmp_path / "undisturbed")
    journal = tmp_path / "killed" / "small" / "journal.jsonl"
    rng = np.random.default_rng(number)
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(
            command(small, tmp_path / "killed"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wanted = kept + int(rng.integers(1, 8))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        finished = journal.read_bytes().count(b"\n")
        assert finished >= kept  # nothing finished is lost
        kept = finished
    done = run(small, tmp_path / "killed", n_jobs=2)
    assert done.known == kept > 0
    assert tables(done.folder) == tables(undisturbed.folder)


def test_a_record_cut_by_a_kill_is_named_and_run_again(small, tmp_path):
    first = run(small, tmp_path / "results")
    before = tables(first.folder)
    journal = first.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + b"not a record\n" + lines[-1][:50])
    again = run(small, tmp_path / "results")
    assert again.done == 2
    assert "damaged record" in again.notes[0]
    assert tables(again.folder) == before
    assert run(small, tmp_path / "results").done == 0


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(small, tmp_path):
    other = '\n[model.slow]\nclass = "tests.experiment.other.MyClassifier"\nwaits = 0.4\n'
    small.write_text('allow_modules = ["tests"]\n' + small.read_text() + other)
    process = subprocess.Popen(
        command(small, tmp_path / "results"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    journal = tmp_path / "results" / "small" / "journal.jsonl"
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "runs are finished and kept" in out
    assert "The same command goes on" in out
    assert "Traceback" not in err
    assert len(load_results(tmp_path / "results" / "small").runs) >= 3


def test_a_run_that_fails_is_a_row_and_the_others_go_on(small, tmp_path):
    other = '\n[model.failing]\nclass = "tests.experiment.other.MyClassifier"\nfails = true\n'
    small.write_text('allow_modules = ["tests"]\n' + small.read_text() + other)
    summary = run(small, tmp_path / "results")
    runs = load_results(summary.folder).runs
    failed = runs[runs["status"] == "failed"]
    assert summary.failed == len(failed) == 6
    assert set(failed["model"]) == {"failing"}
    assert (failed["problem"] == "RuntimeError: this one fails").all()
    assert failed["accuracy"].isna().all()


def test_a_worker_that_is_killed_loses_only_its_own_run(small, tmp_path):
    flag = tmp_path / "died"
    other = f'\n[model.dying]\nclass = "tests.experiment.other.MyClassifier"\ndies_once = "{flag}"\n'
    small.write_text('allow_modules = ["tests"]\n' + small.read_text() + other)
    summary = run(small, tmp_path / "results", n_jobs=2)
    assert summary.interrupted
    assert "A worker process was killed" in summary.notes[-1]
    again = run(small, tmp_path / "results", n_jobs=2)
    assert again.known + again.done == again.planned
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
def test_results_that_cannot_be_read_give_a_sentence(small, tmp_path, damage):
    folder = run(small, tmp_path / "results").folder
    if damage == "folder":
        with pytest.raises(ResultsError, match="There is no such folder"):
            load_results(tmp_path / "nothing")
        return
    (folder / damage).write_bytes(b'\xff\xfe"' if damage == "runs.csv" else b"{")
    with pytest.raises(ResultsError, match=f"{damage} cannot be read"):
        load_results(folder)


def test_results_hold_no_pickle(small, tmp_path):
    folder = run(small, tmp_path / "results").folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "runs.csv",
        "curves.csv",
        "times.csv",
        "journal.jsonl",
        "experiment.json",
        "environment.json",
    }
    json.loads((folder / "experiment.json").read_text())
