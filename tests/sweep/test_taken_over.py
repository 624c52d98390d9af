"""Studies that earlier versions wrote in Optuna's own formats."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP
from nnexp.cli import main
from nnexp.sweep.store import StoreError
from nnexp.sweep.study import Settings, Study, StudyError
from nnexp.sweep.sweep import open_store
from tests.forked import Forked
from tests.sweep.cases import evaluation, run, table, toy

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version_0_1_0" / "results"


@pytest.mark.parametrize("name", ["tuned", "elastic"])
def test_a_study_of_an_earlier_version_has_the_same_trials(tmp_path, name):
    shutil.copytree(FIXTURES / name, tmp_path / name)
    before = (tmp_path / name / "study.log").read_bytes()
    store = open_store(tmp_path / name)
    assert "The studies of an earlier version are taken over" in store.lost
    assert (tmp_path / name / "study-before.log").read_bytes() == before
    assert not (tmp_path / name / "study.log").exists()
    theirs = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / name / "study-before.log"))
    )
    names = optuna.get_all_study_names(storage=theirs)
    assert list(store.studies()) == names
    for study in names:
        old = optuna.load_study(study_name=study, storage=theirs).trials
        new = store.trials(study)
        assert [t.number for t in new] == [t.number for t in old]
        for one, two in zip(new, old, strict=True):
            assert one.params == two.params
            assert one.values == (two.values or [])
            assert one.state == two.state.name.lower()
            assert one.record == two.user_attrs["nnexp"]
            assert one.steps == two.intermediate_values
            assert one.ended == pytest.approx(two.datetime_complete.timestamp())
        assert store.curves(study).keys() <= {t.number for t in new}
    assert open_store(tmp_path / name).lost == ""


def test_the_doctor_takes_a_study_over(tmp_path, capsys):
    shutil.copytree(FIXTURES / "tuned", tmp_path / "tuned")
    assert main(["doctor", str(tmp_path / "tuned")]) == 0
    said = capsys.readouterr().out
    assert "are taken over" in said
    assert "complete" in said


def earlier(place, directions, n_trials, declared, url=None):
    """Write a study as the version before the record did: two trials running, of which one was put there by others."""
    storage = (
        optuna.storages.RDBStorage(url)
        if url
        else optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(place / "study.log")))
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="study", storage=storage, directions=directions)
    study.set_user_attr("nnexp", declared)
    return study, storage


def as_before(study, trials):
    """Write trials as that version did."""
    for trial in trials:
        kinds = {
            "a": optuna.distributions.FloatDistribution(0.0, 1.0),
            "b": optuna.distributions.IntDistribution(0, 5),
        }
        states = optuna.trial.TrialState
        study.add_trial(optuna.trial.create_trial(
            state=states[trial.state.upper()], params=trial.params, distributions=kinds, values=trial.values or None,
            user_attrs={"nnexp": trial.record} if trial.is_finished else {},
            system_attrs={"nnexp:owner": {"owner": "gone:1:x", "tries": 1}},
        ))  # fmt: skip


@pytest.mark.parametrize("where", ["folder", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_a_sweep_of_the_version_before_goes_on_as_if_nothing_had_been(tmp_path, where, request):
    """With the same versions of everything, the tables are those of a sweep that was never stopped."""
    whole = run(str(tmp_path / "whole"), toy(), n_trials=24)
    place = str(tmp_path / "store")
    if where == "postgresql":
        place = request.getfixturevalue("postgresql").database("before")
    else:
        (tmp_path / "store").mkdir()
    declared = {key: value for key, value in whole.declared.items() if key != "data"}
    study, storage = earlier(tmp_path / "store", ["maximize"], 10, declared, place if where == "postgresql" else None)
    as_before(study, whole.trials()[:10])
    study.ask().suggest_float("a", 0.0, 1.0)  # of somebody else, over which that version fell
    study.enqueue_trial({"a": 0.5})
    running = whole.trials()[10]
    running.state, running.values = "running", []
    as_before(study, [running])
    if where == "postgresql":
        storage.remove_session()
        storage.engine.dispose()
    again = run(place, toy(), n_trials=24)
    assert table(again) == table(run(str(tmp_path / "whole"), toy(), n_trials=24))
    assert [t.number for t in again.trials()] == list(range(24))


def test_what_is_damaged_is_taken_over_up_to_the_damage(tmp_path):
    shutil.copytree(FIXTURES / "tuned", tmp_path / "tuned")
    log = tmp_path / "tuned" / "study.log"
    whole = log.read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 1
    log.write_bytes(whole[:middle] + b"garbage\n" + whole[middle:])
    store = open_store(tmp_path / "tuned")
    assert sum(len(store.trials(name)) for name in store.studies()) == 3
    assert b"garbage" in (tmp_path / "tuned" / "study-before.log").read_bytes()


@pytest.mark.parametrize("line", [{"op_code": 4, "study_id": 77}, {"op_code": "x"}, 5])
def test_what_cannot_be_taken_over_is_a_sentence_and_stays(tmp_path, line):
    lines = [
        {"op_code": 0, "study_name": "s", "directions": [1], "worker_id": "w"},
        {"op_code": 2, "study_id": 0, "user_attr": {"nnexp": {"seed": 0}}, "worker_id": "w"},
        line,
    ]
    (tmp_path / "study.log").write_text("".join(json.dumps(each) + "\n" for each in lines))
    before = (tmp_path / "study.log").read_bytes()
    with pytest.raises(
        StoreError,
        match="study.log, as of an earlier version, cannot be taken over: .* Move it elsewhere to begin anew",
    ):
        open_store(tmp_path)
    assert (tmp_path / "study.log").read_bytes() == before
    assert not (tmp_path / "study.jsonl").exists() or (tmp_path / "study.jsonl").stat().st_size == 0


def test_a_study_of_others_alone_is_left_where_it_is(tmp_path):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log")))
    optuna.create_study(study_name="mine", storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    before = (tmp_path / "study.log").read_bytes()
    assert open_store(tmp_path).studies() == {}
    assert (tmp_path / "study.log").read_bytes() == before


def test_two_processes_that_take_over_at_once_do_so_once(tmp_path):
    shutil.copytree(FIXTURES / "tuned", tmp_path / "tuned")
    code = (
        "import sys\nfrom nnexp.sweep.sweep import open_store\nstore = open_store(sys.argv[1])\n"
        "print(sum(len(store.trials(name)) for name in store.studies()))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "tuned")]
    processes = [Forked(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = {process.communicate(timeout=120)[0] for process in processes}
    assert len(counts) == 1
    assert counts == {"3\n"}


def test_a_study_of_other_versions_goes_on_when_it_is_told_to(tmp_path):
    """Its trials are marked with what they were made with."""
    shutil.copytree(FIXTURES / "tuned", tmp_path / "tuned")
    store = open_store(tmp_path / "tuned")
    (name, declared), *_ = store.studies().items()
    assert declared.get("version")
    with pytest.raises(StudyError, match="made with other versions: another version of nnexp"):
        Study(store, name, toy(), Settings(4))


def test_a_sweep_that_the_version_before_left_in_the_middle_goes_on(tmp_path):
    """16 trials are finished, two of them pruned; 8 were begun by a process that is gone."""
    for path in (FIXTURES.parents[1] / "before_the_record").iterdir():
        shutil.copy(path, tmp_path)
    store = open_store(tmp_path)
    before = store.trials("before")
    assert [t.state for t in before].count("pruned") == 2
    assert [(t.number, t.owner, t.tries) for t in before if not t.is_finished] == [(n, "", 0) for n in range(16, 24)]
    assert set(store.curves("before")) == set(range(16))
    assert (set(before[0].steps), set(before[9].steps)) == ({1, 2, 4, 8}, {1})
    estimator = make_pipeline(StandardScaler(), BackpropMLP(encoding="none", max_iter=12))  # as that version had it
    own = evaluation(estimator, pruner=("median", {"n_startup_trials": 6}))
    study = run(str(tmp_path), own, name="before", n_trials=24, other_versions="keep")
    trials = study.trials()
    assert [t.params for t in trials] == [t.params for t in before]
    assert [(t.state, t.values) for t in trials[:16]] == [(t.state, t.values) for t in before[:16]]
    assert all(t.is_finished for t in trials)


def test_tables_of_optuna_that_cannot_be_read_keep_nobody_from_the_database(postgresql):
    import sqlalchemy as sa

    url = postgresql.database("foreign")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE study_user_attributes (nothing int)"))
        connection.execute(sa.text("CREATE TABLE version_info (nothing int)"))
    engine.dispose()
    store = open_store(url)
    assert "If an earlier version kept studies in" in store.lost
    assert store.studies() == {}
    assert len(run(url, toy(), n_trials=4).trials()) == 4
    store.close()
