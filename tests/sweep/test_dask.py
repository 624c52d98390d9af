"""The same work on a Dask cluster of two processes."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from nnexp.engine import Engine
from nnexp.sweep.study import Settings, Study
from nnexp.sweep.sweep import open_store, run_study
from tests.sweep.cases import evaluation, run, table, toy

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as own:
            yield own


def on_cluster(place, own, cluster, during=None, **settings):
    study = Study(open_store(place), "study", own, Settings(**{"n_trials": 30, "batch_size": 8, **settings}))
    with Engine(backend="dask", scheduler=cluster.scheduler_address) as engine:
        if during is not None:
            threading.Thread(target=during, args=(study,), daemon=True).start()
        run_study(study, engine, place)
    return study


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_trials_are_those_of_one_process(tmp_path, cluster):
    own = evaluation(pruner=("median", {"n_startup_trials": 8}))
    assert table(on_cluster(str(tmp_path / "dask"), own, cluster)) == table(run(str(tmp_path / "one"), own))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_the_cluster_that_is_killed_changes_nothing(tmp_path, cluster):
    own = toy(waits=0.05)

    def kill(study):
        while sum(trial.is_finished for trial in study.trials()) < 5:
            time.sleep(0.01)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    study = on_cluster(str(tmp_path / "dask"), own, cluster, kill)
    assert table(study) == table(run(str(tmp_path / "one"), own))
    assert all(trial.is_finished for trial in study.trials())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_elastic_sweep_on_the_cluster_meets_its_budget(tmp_path, cluster):
    study = on_cluster(str(tmp_path), toy(waits=0.01), cluster, mode="elastic", n_trials=40)
    trials = study.trials()
    assert [trial.number for trial in trials] == list(range(40))
    assert all(trial.state == "complete" for trial in trials)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_hands_its_work_to_the_cluster(tmp_path, cluster):
    path = tmp_path / "small.toml"
    path.write_text(
        'question = "Which rate?"\n[evaluation]\nfolds = 2\nrepeats = 1\n[data.iris]\n[sweep]\ntrials = 6\nbatch_size = 6\nfolds = 2\n'
        "[model.tuned]\nmax_iter = 5\nhidden_layer_sizes = [4]\n[model.tuned.space]\nlearning_rate = { low = 0.001, high = 0.1, log = true }\n"
    )
    tables = []
    for name, more in (
        ("dask", ["--backend", "dask", "--scheduler", cluster.scheduler_address]),
        ("loky", ["--workers", "1"]),
    ):
        command = [sys.executable, "-m", "nnexp.cli", "sweep", str(path), "--results", str(tmp_path / name), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        tables.append(
            {own: (tmp_path / name / "small" / own).read_bytes() for own in ("trials.csv", "runs.csv", "tuned.csv")}
        )
    assert tables[0] == tables[1]
