import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from nnexp import Space
from nnexp._identity import libraries
from nnexp.sweep.doctor import examine
from nnexp.sweep.evaluation import TrialScorer
from nnexp.sweep.store import Trial, owner_name
from nnexp.sweep.study import Settings, Study, StudyError, forget
from nnexp.sweep.sweep import open_store
from nnexp.sweep.tables import trials_table
from tests.forked import Forked
from tests.sweep.cases import TOY, Toy, evaluation, place_of, run, table, toy, toy_score

ROOT = Path(__file__).parents[2]


def start(place, kind="network", mode="deterministic", workers=2, trials=48, sign="", view="none"):
    more = [view, str(sign)]
    return Forked(
        [sys.executable, "-m", "tests.sweep.cases", place, kind, mode, str(workers), str(trials), *more], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def start_and_wait(place):
    """Start a long study in a process of its own; return the process once it has finished some trials."""
    process = start(place, "toy", workers=1, trials=500)
    while finished(place) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    return process


def trials_of(place):
    store = open_store(place)
    try:
        return store.trials("study") if "study" in store.studies() else []
    finally:
        store.close()


def finished(place):
    return sum(trial.is_finished for trial in trials_of(place))


def network():
    return evaluation(pruner=("median", {"n_startup_trials": 8}))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table of a study of networks with pruning that nothing disturbs."""
    study = run(str(tmp_path_factory.mktemp("undisturbed")), network(), n_trials=48)
    assert Counter(trial.state for trial in study.trials()).keys() == {"complete", "pruned"}
    return table(study)


@pytest.fixture(params=["folder", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """Where a study is kept. That a database behaves as a folder does is shown by the tests of the stores."""
    return place_of(request, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 5])
def test_the_trials_do_not_depend_on_the_number_of_workers(place, undisturbed, workers):
    assert table(run(place, network(), workers=workers, n_trials=48)) == undisturbed


@pytest.mark.slow
def test_killed_at_random_moments_the_trials_are_those_of_an_undisturbed_study(place, undisturbed):
    rng = random.Random(place)
    kept = 0
    for _ in range(2):
        process = start(place)
        wanted = kept + rng.randrange(3, 6)
        deadline = time.monotonic() + 60
        while process.poll() is None and finished(place) < wanted and time.monotonic() < deadline:
            time.sleep(rng.random() * 0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        now = finished(place)
        assert now >= kept  # nothing finished is lost
        kept = now
    study = run(place, network(), n_trials=48, workers=2)
    assert kept >= 6
    assert table(study) == undisturbed
    assert [trial.number for trial in study.trials()] == list(range(48))
    assert all(trial.is_finished for trial in study.trials())


@pytest.mark.slow
def test_a_worker_killed_in_mid_trial_changes_nothing(place, tmp_path):
    """The first trial above 0.9 kills its process once."""
    plain = table(run(str(tmp_path / "plain"), toy()))
    study = run(place, toy(dies_at=0.9, flag=str(tmp_path / "flag")), workers=2)
    assert (tmp_path / "flag").exists()
    assert table(study) == plain


@pytest.mark.slow
def test_a_trial_that_always_kills_its_worker_is_a_row_that_says_so(tmp_path):
    study = run(str(tmp_path), toy(dies_at=0.8), workers=2, sampler="random", n_trials=8)
    states = {trial.number: trial for trial in study.counted()}
    assert sorted(states) == list(range(8))
    assert {trial.state for trial in states.values()} == {"complete", "fail"}
    for trial in states.values():
        assert (trial.state == "fail") == (trial.params["a"] > 0.8)
        if trial.state == "fail":
            assert "Its process was killed, 3 times" in trial.record["problem"]
            assert "That is no result: the same command tries it again." in trial.record["problem"]
    died = [trial.number for trial in study.given_up()]
    assert died == [trial.number for trial in states.values() if trial.state == "fail"]
    assert not study.is_done
    assert study.has_given_up
    assert "have no result, and the next call tries them again" in examine(study.store, "study").problems[0]
    examine(study.store, "study", give_up=True)
    assert study.is_done
    assert [trial.number for trial in study.trials() if trial.state == "fail"] == died


@pytest.mark.parametrize("mode", ["deterministic", "elastic"])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_what_the_machine_kept_from_a_result_is_tried_again_and_then_nothing_is_different(
    place, tmp_path, mode, sampler, monkeypatch
):
    """Memory runs out in some trials of the first call; the second one has enough."""
    settings = {"mode": mode, "sampler": sampler, "n_trials": 12, "batch_size": 4}
    whole = run(str(tmp_path / "whole"), toy(), **settings)
    plain = Toy.fit

    def fit(self, X, y):
        if self.a > 0.3:
            raise MemoryError("Unable to allocate 9 TiB")
        return plain(self, X, y)

    with monkeypatch.context() as small:
        small.setattr(Toy, "fit", fit)
        study = run(place, toy(), **settings)
        lost = study.given_up()
        assert lost
        assert all("Unable to allocate 9 TiB" in trial.problem for trial in lost)
        if (mode, sampler) == ("deterministic", "tpe"):  # what learns waits for the result
            assert len(study.trials()) % 4 == 0
            assert len(study.trials()) < 12
        else:
            assert len(study.trials()) == 12
    again = run(place, toy(), **settings)
    assert again.is_done
    assert not again.given_up()
    assert all(trial.state == "complete" for trial in again.trials())
    if mode == "deterministic" or sampler == "random":
        assert table(again) == table(whole)


def test_where_nothing_is_kept_a_trial_without_a_result_has_failed_and_the_search_goes_on(tmp_path, monkeypatch):
    plain = Toy.fit

    def fit(self, X, y):
        if self.a > 0.6:
            raise MemoryError("Unable to allocate 9 TiB")
        return plain(self, X, y)

    monkeypatch.setattr(Toy, "fit", fit)
    study = run(str(tmp_path), toy(), n_trials=12, batch_size=4, is_kept=False)
    assert study.is_done
    assert {trial.state for trial in study.trials()} == {"complete", "fail"}


@pytest.mark.slow
def test_a_server_restarted_in_mid_sweep_changes_nothing(postgresql, undisturbed):
    place = postgresql.database("restarted")
    process = start(place)
    for wanted in (3, 20):
        while finished(place) < wanted:
            assert process.poll() is None
            time.sleep(0.05)
        postgresql.restart()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    study = run(place, network(), n_trials=48)
    assert table(study) == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a small file system is mounted by root")
def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(tmp_path, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)], check=True)
    try:
        process = start(str(disk))
        _, err = process.communicate(timeout=120)
        assert process.returncode != 0
        assert "No space left on device" in err
        kept = finished(str(disk))
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert finished(str(disk)) == kept
        assert table(run(str(disk), network(), n_trials=48, workers=2)) == undisturbed
    finally:
        subprocess.run(["umount", str(disk)], check=False)


# Elastic


def check_whole(study, n, of=Study.counted):
    """Each number once, each trial ended, the budget exact."""
    trials = of(study)
    assert [trial.number for trial in trials] == list(range(n))
    assert all(trial.is_finished for trial in trials)
    return trials


@pytest.mark.slow
def test_elastic_workers_join_leave_and_die_and_the_budget_is_exact(place, tmp_path):
    """Three begin, one is killed, one joins; what the dead one had is tried again."""
    signs = [tmp_path / name for name in ("begin", "begin", "begin", "join")]
    processes = [start(place, "toy", "elastic", 1, 240, sign) for sign in signs]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    signs[0].touch()
    while len({trial.owner for trial in trials_of(place) if trial.is_finished}) < 3 or finished(place) < 20:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    os.killpg(processes[0].pid, signal.SIGKILL)
    signs[3].touch()
    for process in processes[1:]:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    processes[0].communicate()
    study = Study(open_store(place), "study", toy(waits=0.02), Settings(240, mode="elastic"))
    trials = check_whole(study, 240)
    assert all(trial.state == "complete" for trial in trials)
    assert len({trial.owner for trial in trials}) >= 3
    for trial in trials:
        assert trial.values == [pytest.approx(-((trial.params["a"] - 0.3) ** 2) - 0.01 * trial.params["b"])]


@pytest.mark.slow
def test_an_elastic_study_outlives_restarts_of_the_server(postgresql):
    place = postgresql.database("elastic_restart")
    processes = [start(place, "toy", "elastic", 1, 80) for _ in range(2)]
    for wanted in (10, 40):
        while finished(place) < wanted:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.02)
        postgresql.restart()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    check_whole(Study(open_store(place), "study", toy(waits=0.02), Settings(80, mode="elastic")), 80)


def test_a_trial_whose_process_died_three_times_is_given_up(place):
    own = toy()
    settings = Settings(4, mode="elastic", sampler="random")
    study = Study(open_store(place), "study", own, settings)
    study.open()
    dead = owner_name().partition(":")[0] + ":999999:dead"
    points = study._sampler.propose((), range(2), None)
    study.store.transact("study", lambda change: change.create(points, dead))
    for _ in range(2):
        study.store.transact("study", lambda change: change.take(0, dead))
    study.work()
    trials = check_whole(study, 4)
    assert [trial.state for trial in trials] == ["fail", "complete", "complete", "complete"]
    assert "killed, 3 times" in trials[0].record["problem"]
    assert trials[1].tries == 2


def test_what_was_taken_for_dead_and_is_not_does_not_tell_twice(place):
    """A process that is silent for too long has lost its trials; what it then tells is not taken."""
    own = toy()
    study = Study(open_store(place), "study", own, Settings(2, mode="elastic"))
    study.open()
    store = study.store
    points = study._sampler.propose((), [0, 1], "x")
    mine, _ = store.transact("study", lambda change: study._turn(change, 2, points, []))
    late = [study.evaluation.evaluate([study._job(mine[0])])[0]]
    store.transact("study", lambda change: change.take(0, "another"))
    store.transact("study", lambda change: study._turn(change, 1, [], late))
    assert store.trials("study")[0].state == "running"
    assert store.trials("study")[0].owner == "another"


def test_workers_in_threads_share_the_budget_exactly(tmp_path):
    own = [
        Study(open_store(tmp_path), "study", toy(), Settings(60, mode="elastic", sampler="random")) for _ in range(4)
    ]
    threads = [threading.Thread(target=study.work) for study in own]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    check_whole(own[0], 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler",
    ["tpe", "random", "grid", "quasi_random", "cma_es"],
)
def test_each_sampler_is_elastic_too(tmp_path, sampler):
    space = {"a": {"low": 0.0, "high": 1.0, "step": 0.125}, "b": {"low": 0, "high": 1}}
    study = run(str(tmp_path), toy(space=space), mode="elastic", sampler=sampler, n_trials=18, workers=2)
    trials = check_whole(study, 18)
    if sampler == "grid":
        assert len({tuple(trial.params.items()) for trial in trials}) == 18


# No work twice, budgets, failures


def test_equal_configurations_are_evaluated_once(tmp_path, monkeypatch):
    asked = []
    own = toy(space={"b": {"low": 0, "high": 3}})
    real = TrialScorer.evaluate
    monkeypatch.setattr(TrialScorer, "evaluate", lambda *given: (asked.extend(given[1]), real(*given))[1])
    study = run(str(tmp_path), own, n_trials=40, sampler="random")
    assert len(asked) == 4 == len({job.parameters["b"] for job in asked})
    trials = study.trials()
    assert len(trials) == 40
    first = {}
    for trial in trials:
        b = trial.params["b"]
        first.setdefault(b, trial)
        if trial is not first[b]:
            assert trial.record["reused_from"] == str(first[b].number)
            assert (trial.values, trial.record["evaluations"]) == (first[b].values, 0)
    again = run(str(tmp_path), own, name="another", n_trials=10, sampler="random")
    assert len(asked) == 4
    assert all(trial.record["reused_from"].startswith("study:") for trial in again.trials())


def test_a_grown_budget_gives_the_trials_of_the_greater_one(tmp_path):
    whole = table(run(str(tmp_path / "whole"), toy(), n_trials=30))
    for n in (5, 8, 13, 30):
        study = run(str(tmp_path / "grown"), toy(), n_trials=n)
        assert len(study.trials()) == n
    assert table(study) == whole
    fewer = run(str(tmp_path / "grown"), toy(), n_trials=10)
    assert len(fewer.trials()) == 30  # what is there is not thrown away


def test_a_trial_that_raises_is_a_row_and_the_sweep_goes_on(tmp_path):
    study = run(str(tmp_path), toy(fails_above=0.5), sampler="random")
    for trial in study.trials():
        assert (trial.state == "fail") == (trial.params["a"] > 0.5)
        if trial.state == "fail":
            assert trial.record["problem"] == "RuntimeError: this one fails"


def test_a_trial_that_diverges_is_a_row(tmp_path):
    from nnexp import BackpropMLP

    model = BackpropMLP(
        hidden_layer_sizes=(4,), max_iter=5, optimizer="sgd", activation="identity", descent="stochastic"
    )
    study = run(str(tmp_path), evaluation(model, {"learning_rate": [0.001, 1e300]}), n_trials=None, sampler="grid")
    good, bad = study.trials()
    assert (good.state, bad.state) == ("complete", "fail")
    assert "infinite or NaN" in bad.record["problem"]


@pytest.mark.parametrize("kind", ["toy", "network"])
def test_a_trial_that_takes_too_long_is_a_row(tmp_path, kind):
    from nnexp import BackpropMLP

    if kind == "toy":
        own = toy(space={"waits": [0.0, 30.0]}, max_seconds=0.5)
    else:
        own = evaluation(BackpropMLP(hidden_layer_sizes=(8,)), {"max_iter": [2, 100_000]}, max_seconds=1.0)
    begun = time.monotonic()
    quick, slow = run(str(tmp_path), own, n_trials=None, sampler="grid").trials()
    assert time.monotonic() - begun < 15
    assert (quick.state, slow.state) == ("complete", "fail")
    assert "It took longer than max_seconds=" in slow.record["problem"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_finished(tmp_path, workers):
    place = str(tmp_path)
    process = start(place, "toy", workers=workers, trials=64)
    while finished(place) < 10:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    kept = finished(place)
    assert kept >= 10
    study = run(place, toy(waits=0.02), n_trials=64, workers=2, lease=2.0)
    assert table(study) == table(run(str(tmp_path / "plain"), toy(waits=0.02), n_trials=64, workers=2))


# What a study refuses


def test_a_study_made_otherwise_is_refused_and_untouched(place):
    run(place, toy())
    before = table(Study(open_store(place), "study", toy(), Settings(30, batch_size=8)))
    other = [
        (toy(seed=1), {}, "other data, splits"),
        (toy(space={"a": [0.1, 0.2]}), {}, "another space"),
        (toy(waits=0.5), {}, "other data, splits, scores or fixed parameters"),
        (evaluation(), {}, "another"),
        (toy(), {"batch_size": 4}, "another batch size"),
        (toy(), {"sampler": "random"}, "another sampler"),
        (toy(), {"seed": 9}, "another seed"),
        (toy(), {"mode": "elastic"}, "another mode"),
        (toy(pruner="median"), {}, "another pruner"),
    ]
    for own, settings, sentence in other:
        with pytest.raises(StudyError, match=sentence):
            run(place, own, **settings)
    assert table(Study(open_store(place), "study", toy(), Settings(30, batch_size=8))) == before


def test_an_older_version_is_refused(place, monkeypatch):
    run(place, toy())
    monkeypatch.setattr("nnexp.sweep.study.__version__", "99.0")
    with pytest.raises(StudyError, match="another version of nnexp"):
        run(place, toy())


def test_a_study_made_with_other_libraries_is_refused_with_both_versions(place, monkeypatch):
    with monkeypatch.context() as patch:
        for module in ("study", "evaluation"):
            patch.setattr(f"nnexp.sweep.{module}.libraries", lambda: {**libraries(), "numpy": "1.99.0"})
        run(place, toy())
    with pytest.raises(
        StudyError, match=rf"made with other versions: numpy 1.99.0, here {libraries()['numpy']}\. Say what becomes of"
    ):
        run(place, toy())


def with_other(monkeypatch, **versions):
    """Let a study be one of other versions of libraries."""
    for module in ("study", "evaluation"):
        monkeypatch.setattr(f"nnexp.sweep.{module}.libraries", lambda: {**libraries(), **versions})


def test_a_study_of_other_versions_is_gone_on_with_if_its_trials_are_to_be_kept(place, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        with_other(patch, numpy="1.99.0")
        run(place, toy(), n_trials=10)
    study = run(place, toy(), n_trials=24, other_versions="keep")
    trials = check_whole(study, 24)
    assert [trial.made_with for trial in trials] == ["numpy 1.99.0"] * 10 + [""] * 14
    assert [t.params for t in trials] == [t.params for t in run(str(tmp_path / "whole"), toy(), n_trials=24).trials()]
    columns = trials_table(trials, study.evaluation.space, ["score"], [float("nan")] * len(trials))
    assert list(columns["made_with"].unique()) == ["numpy 1.99.0", ""]
    again = run(place, toy(), n_trials=30)  # once it was said, it need not be said again
    assert [bool(trial.made_with) for trial in again.trials()] == [True] * 10 + [False] * 20


def test_a_study_of_other_versions_and_of_other_data_is_refused_all_the_same(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        with_other(patch, numpy="1.99.0")
        run(str(tmp_path), toy(), n_trials=10)
    before = (tmp_path / "study.jsonl").read_bytes()
    with pytest.raises(
        StudyError, match="with other data, splits, scores or fixed parameters: its trials cannot be kept"
    ):
        run(
            str(tmp_path),
            evaluation(Toy(), TOY, scoring={"score": toy_score}, y=1 - np.arange(150) % 2),
            other_versions="keep",
        )
    with pytest.raises(StudyError, match="another batch size"):
        run(str(tmp_path), toy(), batch_size=4, other_versions="keep")
    assert (tmp_path / "study.jsonl").read_bytes() == before


def test_a_study_of_other_versions_is_forgotten_if_it_is_to_be_done_again(place, monkeypatch):
    with monkeypatch.context() as patch:
        with_other(patch, numpy="1.99.0")
        run(place, toy(), n_trials=10)
    study = run(place, toy(), n_trials=6, other_versions="redo")
    assert len(check_whole(study, 6)) == 6
    assert not any(trial.made_with for trial in study.trials())
    assert (
        len(run(place, toy(), n_trials=8, other_versions="redo").trials()) == 8
    )  # of these versions, it is gone on with


GROWN = {
    "a wider range": ({"a": {"low": 0.0, "high": 1.0}, "b": {"low": 0, "high": 5}}, {"a": {"low": -1.0, "high": 2.0}, "b": {"low": 0, "high": 9}}),
    "a new choice": ({"a": [0.0, 0.5], "flag": ["x", None]}, {"a": [0.25, 0.0, 0.5], "flag": ["y", "x", None]}),
    "steps": ({"a": {"low": 0.0, "high": 1.0, "step": 0.25}}, {"a": {"low": -0.5, "high": 1.5, "step": 0.25}}),
}  # fmt: skip


@pytest.mark.parametrize(
    "sampler", ["tpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("random", "quasi_random", "cma_es"))]
)
@pytest.mark.parametrize("how", GROWN)
def test_a_space_that_grows_keeps_its_trials(tmp_path, how, sampler):
    small, great = GROWN[how]
    if sampler == "cma_es" and how == "a new choice":
        small, great = {**small, "b": {"low": 0, "high": 5}}, {**great, "b": {"low": 0, "high": 5}}
    first = run(str(tmp_path), toy(space=small), n_trials=12, sampler=sampler).trials()
    study = run(str(tmp_path), toy(space=great), n_trials=60, sampler=sampler, workers=2)
    trials = check_whole(study, 60)
    assert [t.params for t in trials[:12]] == [t.params for t in first]
    names = [name for name in great if great[name] != small[name]]
    new = {name for name in names if any(not study_has(small, name, t.params[name]) for t in trials[12:])}
    assert new == set(names)
    assert table(run(str(tmp_path), toy(space=great), n_trials=60, sampler=sampler)) == table(study)


def study_has(space, name, value):
    return Space({name: space[name]}).has({name: value})


def test_a_grid_that_grows_does_each_point_once(place):
    run(place, toy(space={"a": [0.0, 0.5], "b": [1, 2, 3]}), sampler="grid", n_trials=4)
    trials = run(place, toy(space={"a": [0.25, 0.0, 0.5], "b": [0, 1, 2, 3]}), sampler="grid", n_trials=None).trials()
    assert len(trials) == 12 == len({tuple(t.params.items()) for t in trials})
    again = run(place, toy(space={"a": [0.25, 0.0, 0.5], "b": [0, 1, 2, 3]}), sampler="grid", n_trials=None)
    assert [t.params for t in again.trials()] == [t.params for t in trials]


@pytest.mark.parametrize(
    ("space", "why"),
    [
        ({"a": {"low": 0.0, "high": 0.5}, "b": {"low": 0, "high": 5}}, "a does not have all that it had"),
        ({"a": {"low": 0.0, "high": 1.0}}, "b is missing"),
        ({**TOY, "waits": [0.0, 0.001]}, "waits is new"),
        ({**TOY, "b": [0, 1, 2, 3, 4, 5]}, "b does not have all that it had, on the same scale"),
        ({**TOY, "a": {"low": 0.0, "high": 1.0, "step": 0.125}}, "a does not have all that it had"),
    ],
)
def test_a_space_that_does_not_grow_is_another_one(tmp_path, space, why):
    run(str(tmp_path), toy(), n_trials=4)
    with pytest.raises(StudyError, match=f"another space.*A space may grow, and this one does not: {why}"):
        run(str(tmp_path), toy(space=space), n_trials=8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"optimizer": ["adam", {"name": "momentum", "momentum": 0.9}]}, {"optimizer": ["adam", {"name": "momentum", "momentum": 0.5}]}),
        ({"max_iter": 5}, {"max_iter": 6}),
        ({"l2": norm(0.0, 1.0)}, {"l2": norm(0.0, 50.0)}),
        (
            {"descent": ["batch", "stochastic"], "l2": {"low": 0.0, "high": 1.0}},
            {"descent": ["batch", "stochastic"], "l2": {"low": 0.0, "high": 2.0, "when": {"descent": "batch"}}},
        ),
    ],
)  # fmt: skip
def test_what_is_fixed_in_a_space_is_not_changed_by_growing(before, after):
    """A trial means what it meant when it was done."""
    range_of = lambda high: {"learning_rate": {"low": 0.001, "high": high, "log": True}}  # noqa: E731
    first = Space({**range_of(0.1), **before})
    assert Space({**range_of(0.5), **before}).lacks(first.declaration) == ""
    assert Space({**range_of(0.5), **after}).lacks(first.declaration) != ""


def test_a_grid_that_grows_after_known_settings_does_each_point_once(tmp_path):
    known = ({"b": 1},)
    small, great = {"a": [0.0, 0.5], "b": [0, 1]}, {"a": [0.0, 0.5, 1.0], "b": [0, 1]}
    run(str(tmp_path), toy(space=small), sampler="grid", n_trials=4, known=known)
    trials = run(str(tmp_path), toy(space=great), sampler="grid", n_trials=None, known=known).trials()
    assert len(trials) == 7
    assert len({tuple(t.params.items()) for t in trials[1:]}) == 6


def test_a_process_that_works_on_a_smaller_space_leaves_when_the_space_grows(tmp_path):
    """It would go on with the points of the smaller one."""
    settings = Settings(12, mode="elastic", sampler="grid")
    small = Study(open_store(tmp_path), "study", toy(space={"a": [0.0, 0.5], "b": [0, 1]}), settings)
    small.open()
    small.store.transact("study", lambda change: change.create([{"a": 0.0, "b": 0}], "elsewhere"))
    great = Study(open_store(tmp_path), "study", toy(space={"a": [0.0, 0.5, 1.0], "b": [0, 1]}), settings)
    great.open()
    assert small.store.transact("study", lambda change: small._turn(change, 4, [], [])) == ([], True)
    assert len(great.trials()) == 1


@pytest.mark.slow
def test_known_settings_are_tried_once_by_any_number_of_elastic_processes(tmp_path):
    known = tuple({"a": 0.125 * i, "b": 0} for i in range(4))
    settings = {"mode": "elastic", "sampler": "tpe", "n_trials": 24, "known": known}
    trials = check_whole(run(str(tmp_path), toy(waits=0.02), workers=3, **settings), 24)
    for point in known:
        assert sum(t.params == point for t in trials) == 1


def test_the_key_of_an_evaluation_can_be_had_with_other_versions():
    """It is that of the evaluation itself where the versions are the same."""
    study = Study(open_store("nowhere"), "study", toy(), Settings(4))
    there = study.declared
    assert study._key_with(there["version"], there["code"], libraries()) == there["evaluation"]
    assert study._key_with("0.0", there["code"], libraries()) != there["evaluation"]


@pytest.mark.slow
def test_a_space_of_networks_grows_with_layers_and_choices(tmp_path):
    grown = {
        "hidden_layer_sizes": {"layers": [1, 3], "neurons": [2, 16]},
        "learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
        "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.99}}, "rmsprop"],
    }
    run(str(tmp_path), evaluation(), n_trials=6, sampler="random")
    trials = run(str(tmp_path), evaluation(space=grown), n_trials=30, sampler="random").trials()
    assert any(name.endswith("hidden_layer_sizes.neurons_3") for t in trials[6:] for name in t.params)
    assert any(t.params["backpropmlp__optimizer"] == "rmsprop" for t in trials[6:])


def test_a_study_at_work_is_not_forgotten(place):
    process = start_and_wait(place)
    with pytest.raises(StudyError, match="A process .* is working on the study 'study' in .*: it is not forgotten"):
        forget(open_store(place), "study", "none")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert forget(open_store(place), "study", "none") >= 3
    assert trials_of(place) == []


@pytest.mark.slow
def test_a_second_coordinator_is_refused_while_the_first_is_alive(place):
    process = start_and_wait(place)
    with pytest.raises(StudyError, match="Another process .* is working on the study"):
        run(place, toy(waits=0.02), n_trials=500)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    run(place, toy(waits=0.02), n_trials=40)  # the dead one is known at once


def test_trials_get_better(tmp_path):
    values = [trial.values[0] for trial in run(str(tmp_path), toy(), n_trials=64).trials()]
    assert np.mean(values[-16:]) > np.mean(values[:16])
    assert max(values) > -0.01


def test_the_space_is_that_of_the_file(tmp_path):
    study = run(str(tmp_path), toy(), n_trials=8)
    assert study.declared["space"] == TOY


@pytest.mark.parametrize("missing", ["thread", "alarm"])
def test_a_trials_time_is_kept_in_any_thread_and_on_any_system(tmp_path, missing, monkeypatch):
    """In a thread that is not the main one, and where the system has no alarm, as on Windows."""
    own = toy(max_seconds=0.3, computes=30.0)
    found = []
    if missing == "alarm":
        monkeypatch.delattr("signal.setitimer")
        monkeypatch.delattr("signal.SIGALRM")
        found = [run(str(tmp_path), own, n_trials=2)]
    else:
        thread = threading.Thread(target=lambda: found.append(run(str(tmp_path), own, n_trials=2)))
        begun = time.monotonic()
        thread.start()
        thread.join()
        assert time.monotonic() - begun < 20
    trials = found[0].trials()
    assert [trial.state for trial in trials] == ["fail", "fail"]
    assert all(trial.record["problem"] == "It took longer than max_seconds=0.3." for trial in trials)


# What a review found


@pytest.mark.slow
def test_a_poison_among_an_elastic_batch_takes_no_other_with_it(place):
    """A trial that kills its process is given up; those that were claimed with it are not."""
    space = {"a": {"low": 0.0, "high": 0.9, "step": 0.1}}
    own = toy(space=space, dies_at=0.85)
    settings = {"mode": "elastic", "sampler": "grid", "n_trials": 10}
    study = run(place, own, workers=2, **settings)
    trials = check_whole(study, 10)
    for trial in trials:
        assert (trial.state == "fail") == (trial.params["a"] > 0.85), trial


@pytest.mark.slow
def test_ctrl_c_gives_an_elastic_workers_trials_back_uncounted(tmp_path):
    own, place = toy(waits=0.05), str(tmp_path)
    for _ in range(4):
        study = Study(open_store(place), "study", own, Settings(40, mode="elastic", sampler="random"))
        seen = []

        def stop(outcome, trials, seen=seen):
            seen.append(outcome)
            if len(seen) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            study.work(stop)
    trials = Study(open_store(place), "study", own, Settings(40, mode="elastic", sampler="random")).trials()
    assert sum(trial.is_finished for trial in trials) >= 12
    assert all(trial.owner == "" and trial.tries == 0 for trial in trials if not trial.is_finished)
    check_whole(run(place, own, mode="elastic", sampler="random", n_trials=40), 40)


def test_other_scores_are_not_answered_from_results(tmp_path):
    from tests.sweep.cases import Toy

    def worse(model, X, y):
        return model.score(X, y) - 7.0

    first = run(str(tmp_path), toy(space={"b": [0, 1]}), n_trials=None, sampler="grid")
    own = evaluation(Toy(), {"b": [0, 1]}, scoring={"score": worse})
    other = run(str(tmp_path), own, name="other", n_trials=None, sampler="grid")
    for one, two in zip(first.trials(), other.trials(), strict=True):
        assert two.values == [pytest.approx(one.values[0] - 7.0)]


def test_an_estimator_that_writes_into_its_data_spoils_nobodys():
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from nnexp.sweep.evaluation import Job

    X = np.random.default_rng(0).normal(3.0, 2.0, size=(60, 3))
    model = make_pipeline(StandardScaler(copy=False), Ridge(copy_X=False))
    own = evaluation(
        model,
        {"alpha": [0.1, 1.0]},
        scoring={"r2": "r2"},
        X=X.copy(),
        y=X[:, 0] ** 2,
        splits=[(np.arange(40), np.arange(40, 60))],
    )
    jobs = [Job(i, {"ridge__alpha": 0.1}) for i in range(3)]
    assert len({own.evaluate([job])[0].values[0] for job in jobs}) == 1
    np.testing.assert_array_equal(own.X, X)


@pytest.mark.slow
def test_pruning_and_time_hold_where_the_folds_have_networks_of_different_shapes():
    """A category that is missing in a fold makes its network smaller; the folds are then fitted one by one."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    from nnexp import BackpropMLP
    from nnexp.sweep.evaluation import Job
    from tests.sweep.cases import X, y

    frame = pd.DataFrame(X).assign(kind=["rare"] * 2 + ["usual"] * 148)
    frame.columns = frame.columns.astype(str)
    head = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]), remainder="passthrough"
    )
    model = make_pipeline(head, BackpropMLP(hidden_layer_sizes=(4,), max_iter=20))
    space = {"learning_rate": {"low": 1e-5, "high": 0.1, "log": True}}
    splits = [(np.delete(np.arange(150), s), s) for s in np.array_split(np.random.default_rng(0).permutation(150), 3)]
    splits[0] = (np.setdiff1d(splits[0][0], [0, 1]), splits[0][1])
    own = evaluation(model, space, X=frame, y=y, splits=splits, pruner=("median", {"n_startup_trials": 3}))
    good = own.evaluate([Job(i, {"backpropmlp__learning_rate": 0.02 + 0.01 * i}) for i in range(4)])
    shown = [Trial(o.number, o.state, {}, o.values, o.steps, o.record, o.rungs) for o in good]
    assert own.evaluate([Job(9, {"backpropmlp__learning_rate": 1e-5})], shown)[0].state == "pruned"
    slow = evaluation(
        make_pipeline(head, BackpropMLP(hidden_layer_sizes=(4,), max_iter=100_000)), space, X=frame, y=y, splits=splits, max_seconds=0.5
    )  # fmt: skip
    assert "took longer" in slow.evaluate([Job(0, {"backpropmlp__learning_rate": 0.01})])[0].record["problem"]


def test_a_preparation_that_raises_is_a_row_of_each_trial(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from nnexp import BackpropMLP

    model = make_pipeline(FunctionTransformer(refuse), BackpropMLP(max_iter=2))
    study = run(str(tmp_path), evaluation(model, {"learning_rate": [0.1, 0.2]}), n_trials=None, sampler="grid")
    assert [t.record["problem"] for t in study.trials()] == ["ValueError: no such data"] * 2


def refuse(X):
    """Refuse any data."""
    raise ValueError("no such data")


def test_a_lowered_budget_leaves_no_zombie(tmp_path):
    own, place = toy(), str(tmp_path)
    study = Study(open_store(place), "study", own, Settings(16, batch_size=8))
    study.open()
    study._ask(0, 0, list(range(8)))  # a process that died after it had asked
    assert len(run(place, own, n_trials=4).trials()) == 8
    check_whole(run(place, own, n_trials=4), 8, of=Study.trials)


@pytest.mark.slow
def test_two_objectives_with_pruned_trials_go_on(tmp_path):
    own = evaluation(
        pruner=("dominance", {"n_startup_trials": 5, "n_warmup_steps": 2}), scoring={"neg_log_loss": "neg_log_loss"},
        objectives=["neg_log_loss", "evaluations"],
    )  # fmt: skip
    study = run(str(tmp_path / "a"), own, n_trials=48)
    assert Counter(trial.state for trial in study.trials()).keys() == {"complete", "pruned"}
    run(str(tmp_path / "b"), own, n_trials=20)
    assert table(run(str(tmp_path / "b"), own, n_trials=48)) == table(study)


@pytest.mark.slow
def test_elastic_cma_es_asks_for_no_point_twice(tmp_path):
    trials = check_whole(
        run(str(tmp_path), toy(waits=0.01), mode="elastic", sampler="cma_es", n_trials=30, workers=3), 30
    )
    assert len({trial.params["a"] for trial in trials}) == 30
