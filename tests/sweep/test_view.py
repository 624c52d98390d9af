"""The Optuna study that shows a sweep: written and read by Optuna itself, as others would."""

import json
import math
import os
import shutil
import signal
import time
import warnings

import numpy as np
import optuna
import pytest

from nnexp import Sweep
from nnexp.sweep.store import StoreError
from nnexp.sweep.study import Settings, Study, forget
from nnexp.sweep.sweep import open_store
from tests.sweep.cases import Toy, X, evaluation, run, table, toy, y
from tests.sweep.test_study import finished, start

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(params=["file", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sqlite", "postgresql"))])
def view(request, tmp_path):
    """Where the view of a study is."""
    if request.param == "file":
        return str(tmp_path / "views" / "view.log")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/view.db"
    return request.getfixturevalue("postgresql").database(f"view_{os.urandom(8).hex()}")


@pytest.fixture
def load(request):
    """Load a study with Optuna, as anybody may."""

    def loaded(place, name="study"):
        return optuna.load_study(study_name=name, storage=storage_of(place, request))

    return loaded


def storage_of(place, request):
    if "://" in place:
        storage = optuna.storages.RDBStorage(place)
        request.addfinalizer(lambda: (storage.remove_session(), storage.engine.dispose()))
        return storage
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(place))


def shown(study):
    """Return what a view shows of each finished trial of ours, by our number."""
    own = [t for t in study.trials if t.state.is_finished() and "nnexp:trial" in t.user_attrs]
    assert len({t.user_attrs["nnexp:trial"] for t in own}) == len(own)
    return {t.user_attrs["nnexp:trial"]: (t.state.name.lower(), t.params, t.values) for t in own}


def recorded(study):
    return {t.number: (t.state, t.params, t.values or None) for t in study.trials() if not t.given}


def test_optuna_sees_what_the_record_has(tmp_path, view, load):
    study = run(str(tmp_path / "store"), toy(fails_above=0.8), sampler="random", view=view)
    theirs = load(view)
    assert shown(theirs) == recorded(study)
    assert theirs.best_value == max(t.values[0] for t in study.trials() if t.values)
    assert [way.name for way in theirs.directions] == ["MAXIMIZE"]
    assert theirs.metric_names == ["score"]
    failed = next(t for t in theirs.trials if t.state.name == "FAIL")
    assert failed.user_attrs["problem"] == "RuntimeError: this one fails"
    good = next(t for t in theirs.trials if t.state.name == "COMPLETE")
    record = study.trials()[good.user_attrs["nnexp:trial"]].record
    assert good.user_attrs["score"] == pytest.approx(np.mean(record["scores"]["score"]))
    assert good.duration.total_seconds() == pytest.approx(record["seconds"], abs=1e-3)


@pytest.mark.slow
def test_pruned_trials_and_their_curves_are_shown(tmp_path, load):
    """So that the dashboard draws them."""
    place = str(tmp_path / "store")
    own = evaluation(pruner=("median", {"n_startup_trials": 8}))
    study = run(place, own, n_trials=48, view="auto")
    theirs = load(f"{place}/study.log")
    assert shown(theirs) == recorded(study)
    pruned = [t for t in study.trials() if t.state == "pruned"]
    assert pruned
    by_number = {t.user_attrs["nnexp:trial"]: t for t in theirs.trials}
    for trial in study.trials():
        assert by_number[trial.number].intermediate_values == trial.steps
        assert by_number[trial.number].state.name.lower() == trial.state


def test_a_view_that_is_thrown_away_is_made_anew(tmp_path, load):
    place, view = str(tmp_path / "store"), tmp_path / "store" / "study.log"
    study = run(place, toy(), view="auto")
    first = shown(load(str(view)))
    assert first == recorded(study)
    view.unlink()
    run(place, toy(), view="auto")
    assert shown(load(str(view))) == first
    again = view.read_bytes()
    run(place, toy(), view="auto")  # nothing is written where nothing is new
    assert view.read_bytes() == again


@pytest.mark.parametrize("mode", ["deterministic", "elastic"])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_waiting_trials_are_run_within_the_budget(tmp_path, view, load, mode, workers):
    place = str(tmp_path / "store")
    settings = {"mode": mode, "workers": workers, "view": view, "batch_size": 4}
    run(place, toy(), **settings, n_trials=4)
    theirs = load(view)
    theirs.enqueue_trial({"a": 0.125, "b": 2})
    theirs.enqueue_trial({"a": 0.375})
    study = run(place, toy(), **settings, n_trials=12)
    trials = study.trials()
    assert [t.number for t in trials] == list(range(12))
    given = [t for t in trials if t.given]
    assert [t.params["a"] for t in given] == [0.125, 0.375]
    assert given[0].params["b"] == 2
    assert given[0].values == [pytest.approx(-((0.125 - 0.3) ** 2) - 0.02)]
    theirs = load(view)
    assert [t.state.name for t in theirs.trials] == ["COMPLETE"] * 12
    taken = [t for t in theirs.trials if "nnexp:taken" in t.user_attrs]
    assert [(t.params, t.values) for t in taken] == [(t.params, t.values) for t in given]
    if mode == "deterministic" or workers == 1:  # else the process that took them is another one than that which tells
        assert [t.user_attrs["nnexp:trial"] for t in taken] == [t.number for t in given]
    known = {t.number for t in given}
    assert {n: t for n, t in shown(theirs).items() if n not in known} == recorded(study)


@pytest.mark.slow
def test_what_waits_is_the_same_trial_for_any_number_of_workers(tmp_path, load):
    """Also what a waiting trial leaves open is decided by the seed."""
    tables = []
    for workers in (1, 3):
        place = str(tmp_path / str(workers))
        for n_trials in (8, 24):
            study = run(place, toy(), workers=workers, n_trials=n_trials, view="auto")
            load(f"{place}/study.log").enqueue_trial({"a": 0.5})
        assert sum(bool(t.given) for t in study.trials()) == 1
        tables.append(table(study))
    assert tables[0] == tables[1]


def test_a_grid_is_done_as_a_whole_whatever_comes_between(tmp_path, load):
    place, space = str(tmp_path / "store"), {"a": [0.0, 0.5, 1.0], "b": {"low": 0, "high": 5}}
    settings = {"sampler": "grid", "n_trials": None, "view": "auto", "batch_size": 4}
    study = Study(open_store(place), "study", toy(space=space), Settings(**settings))
    study.open()
    load(f"{place}/study.log").enqueue_trial({"a": 0.5, "b": 3})
    trials = run(place, toy(space=space), **settings).trials()
    assert len(trials) == 19
    assert len({tuple(t.params.items()) for t in trials}) == 18
    assert [t.number for t in trials if t.given] == [0]


def test_a_grid_smaller_than_a_batch_is_done_as_a_whole_too(tmp_path, load):
    place, space = str(tmp_path / "store"), {"a": [0.0, 0.5, 1.0], "b": [0, 1]}
    settings = {"sampler": "grid", "n_trials": None, "view": "auto", "batch_size": 16}
    study = Study(open_store(place), "study", toy(space=space), Settings(**settings))
    study.open()
    load(f"{place}/study.log").enqueue_trial({"a": 0.5, "b": 1})
    study = run(place, toy(space=space), **settings)
    assert study.is_done
    assert len(study.trials()) == 7
    assert len({tuple(t.params.items()) for t in study.trials()}) == 6


@pytest.mark.parametrize("mode", ["deterministic", pytest.param("elastic", marks=pytest.mark.slow)])
def test_what_others_do_there_is_left_alone(tmp_path, view, load, request, mode):
    place = str(tmp_path / "store")
    run(place, toy(), view=view, n_trials=4, mode=mode)
    theirs = load(view)
    left = theirs.ask()
    left.suggest_float("a", 0.0, 1.0)
    theirs.ask()  # what a process leaves that is killed
    theirs.set_user_attr("note", "mine")
    other = optuna.create_study(study_name="other", storage=storage_of(view, request))
    other.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    study = run(place, toy(), view=view, n_trials=8, mode=mode)
    assert [t.state for t in study.trials()] == ["complete"] * 8
    theirs = load(view)
    assert [t.state.name for t in theirs.trials].count("RUNNING") == 2
    assert theirs.user_attrs["note"] == "mine"
    assert shown(theirs) == recorded(study)
    assert len(load(view, "other").trials) == 5
    theirs.tell(left, 0.5)  # whoever left it may still end it
    assert len(run(place, toy(), view=view, n_trials=8, mode=mode).trials()) == 8


def test_a_waiting_trial_that_is_not_in_the_space_fails_there_with_a_sentence(tmp_path, load):
    place = str(tmp_path / "store")
    own = toy(space={"a": {"low": 0.0, "high": 1.0}, "flag": ["x", "y"]})
    run(place, own, n_trials=4, view="auto", sampler="random")
    theirs = load(f"{place}/study.log")
    theirs.enqueue_trial({"a": 7.0})
    theirs.enqueue_trial({"flag": "z"})
    theirs.enqueue_trial({"a": 0.25})
    with pytest.warns(RuntimeWarning, match="is not in the space of 'study', and has failed there") as said:
        study = run(place, own, n_trials=8, view="auto", sampler="random")
    assert len(said) == 2
    assert "is from 0.0 to 1.0. Got 7.0" in str(said[0].message)
    assert [t.params["a"] for t in study.trials() if t.given] == [0.25]
    failed = [t for t in load(f"{place}/study.log").trials if t.state.name == "FAIL"]
    assert len(failed) == 2
    assert all("not in the space" in t.user_attrs["problem"] for t in failed)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"b": math.inf}, "is from 1 to 9. Got inf"),
        ({"b": 10**400}, "is from 1 to 9"),
        ({"b": 3.5}, "is an integer. Got 3.5"),
        ({"b": "5"}, "Got '5'"),
        ({"a": math.nan}, "is from 0.0 to 1.0. Got nan"),
        ({"A": 0.5}, "no 'A'. Did you mean 'a'"),
        ({"flag": True}, "is one of"),
    ],
)
def test_what_nobody_can_run_spoils_no_view(tmp_path, load, params, why):
    """Optuna itself cannot read back an infinity that it has noted for an integer."""
    place = str(tmp_path / "store")
    own = toy(space={"a": {"low": 0.0, "high": 1.0}, "b": {"low": 1, "high": 9}, "flag": ["x", "y"]})
    run(place, own, n_trials=2, view="auto", sampler="random", batch_size=2)
    load(f"{place}/study.log").enqueue_trial(params)
    with pytest.warns(RuntimeWarning, match="is not in the space") as said:
        study = run(place, own, n_trials=4, view="auto", sampler="random", batch_size=2)
    assert why in str(said[0].message)
    assert [t.state for t in study.trials()] == ["complete"] * 4
    theirs = load(f"{place}/study.log")
    assert [t.state.name for t in theirs.trials].count("FAIL") == 1
    assert len(shown(theirs)) == 4


def test_all_that_wait_are_run_one_batch_after_the_other(tmp_path, load):
    place = str(tmp_path / "store")
    run(place, toy(), n_trials=2, view="auto", batch_size=4)
    for i in range(10):
        load(f"{place}/study.log").enqueue_trial({"a": i / 16})
    trials = run(place, toy(), n_trials=20, view="auto", batch_size=4).trials()
    assert [t.params["a"] for t in trials if t.given] == [i / 16 for i in range(10)]
    assert [t.number for t in trials if t.given] == list(range(2, 12))


def test_a_waiting_trial_that_was_taken_by_a_process_that_died_is_run_by_the_next(tmp_path, load):
    place = str(tmp_path / "store")
    study = run(place, toy(), n_trials=4, view="auto")
    load(f"{place}/study.log").enqueue_trial({"a": 0.125, "b": 5})

    def killed(points, signs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study._view.take(1, set(), killed)
    assert [t.state.name for t in load(f"{place}/study.log").trials][-1] == "RUNNING"
    again = run(place, toy(), n_trials=8, view="auto")
    assert [t.params for t in again.trials() if t.given] == [{"a": 0.125, "b": 5}]
    assert all(t.state.name == "COMPLETE" for t in load(f"{place}/study.log").trials)


def test_a_study_that_somebody_has_made_before_is_taken(tmp_path, load, request):
    """So that what waits in it is run first."""
    view = str(tmp_path / "mine.log")
    mine = optuna.create_study(study_name="study", storage=storage_of(view, request), direction="maximize")
    mine.enqueue_trial({"a": 0.25, "b": 0})
    study = run(str(tmp_path / "store"), toy(), n_trials=8, view=view)
    assert study.trials()[0].params == {"a": 0.25, "b": 0}
    assert optuna.get_all_study_names(storage=storage_of(view, request)) == ["study"]


def test_a_study_of_somebody_elses_keeps_its_name_and_its_trials(tmp_path, load, request):
    view = str(tmp_path / "mine.log")
    mine = optuna.create_study(study_name="study", storage=storage_of(view, request), direction="maximize")
    mine.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    first = run(str(tmp_path / "first"), toy(), n_trials=4, view=view)
    second = run(str(tmp_path / "second"), toy(seed=1), n_trials=4, view=view, seed=1)
    assert len(load(view).trials) == 3
    assert shown(load(view, "study (2)")) == recorded(first)
    assert shown(load(view, "study (3)")) == recorded(second)


def test_where_the_view_cannot_be_used_the_sweep_goes_on(tmp_path):
    place = tmp_path / "store"
    place.mkdir()
    (place / "study.log").mkdir()
    with pytest.warns(RuntimeWarning, match=r"The view .*study.log cannot be used: .* The sweep goes on without it"):
        study = run(str(place), toy(), n_trials=8, view="auto")
    assert study.is_done
    (place / "study.log").rmdir()
    (place / "study.log").write_bytes(b"garbage\n" * 3)
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        study = run(str(place), toy(), n_trials=12, view="auto")
    assert study.is_done
    assert (place / "study.log").read_bytes() == b"garbage\n" * 3


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        ("/proc/nothing/view.log", "The view /proc/nothing/view.log cannot be used: No such file"),
        ("nonsense://here", "The view nonsense://here cannot be used: "),
        ("postgresql+psycopg://me:secret@127.0.0.1:9/x", r"me:\*\*\*@127\.0\.0\.1:9/x cannot be used: "),
    ],
)
def test_a_view_that_was_asked_for_and_cannot_be_used_is_said_at_once(tmp_path, view, sentence):
    with pytest.raises(StoreError, match=sentence) as caught:
        run(str(tmp_path / "store"), toy(), view=view)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["deterministic", "elastic"])
def test_kills_leave_a_view_that_shows_each_trial_once(tmp_path, load, mode):
    place = str(tmp_path / "store")
    for wanted in (5, 15):
        process = start(place, "toy", mode, 2, 60, view="auto")
        while finished(place) < wanted:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    study = run(place, toy(waits=0.02), mode=mode, n_trials=60, lease=2.0, view="auto")
    assert shown(load(f"{place}/study.log")) == recorded(study)
    assert len(study.trials()) == 60


def test_a_forgotten_study_is_gone_from_the_view_too(tmp_path, view, request):
    store = open_store(str(tmp_path / "store"))
    run(str(tmp_path / "store"), toy(), n_trials=4, view=view)
    run(str(tmp_path / "store"), toy(), n_trials=4, view=view, name="another")
    assert forget(store, "study", view) == 4
    assert optuna.get_all_study_names(storage=storage_of(view, request)) == ["another"]
    assert forget(store, "study", view) == 0


def test_sweep_shows_itself_beside_its_storage_or_where_it_is_told(tmp_path, load):
    def sweep(**more):
        return Sweep({"a": {"low": 0.0, "high": 1.0}}, Toy(), n_trials=4, cv=2, **more)

    sweep(storage=tmp_path / "a").run(X, y)
    assert len(shown(load(str(tmp_path / "a" / "study.log"), "sweep"))) == 4
    sweep(storage=tmp_path / "b", view="none").run(X, y)
    assert not (tmp_path / "b" / "study.log").exists()
    sweep(view=tmp_path / "c.log").run(X, y)
    assert len(shown(load(str(tmp_path / "c.log"), "sweep"))) == 4
    with pytest.raises(TypeError, match="view must be a path"):
        sweep(view=5)


def test_choices_of_a_grown_space_are_shown_in_a_study_of_their_own(tmp_path, view, load):
    """Optuna knows no study whose choices change."""
    place = str(tmp_path / "store")
    run(place, toy(space={"flag": [None, "x"]}), n_trials=4, view=view, sampler="random")
    study = run(place, toy(space={"flag": [None, "x", "y"]}), n_trials=12, view=view, sampler="random")
    assert len(shown(load(view))) == 4
    assert shown(load(view, "study (2)")) == recorded(study)


def test_nothing_is_shown_of_what_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("nnexp.sweep.view.View.open", lambda *given, **more: pytest.fail("a view was made"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sweep({"a": {"low": 0.0, "high": 1.0}}, Toy(), n_trials=4, cv=2).run(X, y)


def test_views_of_an_earlier_call_go_with_their_record_when_it_is_copied(tmp_path, load):
    run(str(tmp_path / "store"), toy(), n_trials=4, view="auto")
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    study = run(str(tmp_path / "copy"), toy(), n_trials=8, view="auto")
    assert shown(load(str(tmp_path / "copy" / "study.log"))) == recorded(study)
    lines = (tmp_path / "copy" / "study.jsonl").read_bytes().splitlines()
    assert sum("ended" in json.loads(line) for line in lines) == 8


@pytest.mark.parametrize("view", ["store", ".", "store/study.jsonl", "store/.study.lock", "store/study-curves.jsonl"])
def test_a_view_in_the_place_of_the_record_is_refused_before_anything_is_written(tmp_path, view):
    with pytest.raises(StoreError, match="must be another file than those of the storage"):
        run(str(tmp_path / "store"), toy(), n_trials=4, view=str(tmp_path / view))
    assert not (tmp_path / "store").exists()
