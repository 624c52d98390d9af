import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from nnexp._errors import ExpectedError
from nnexp.cli import main
from nnexp.sweep import sql
from nnexp.sweep.doctor import examine
from nnexp.sweep.store import (
    DamagedStoreError,
    JournalStore,
    Outcome,
    StoreError,
    is_gone,
    owner_name,
    without_password,
)
from nnexp.sweep.sweep import open_store
from tests.forked import Forked

POINT = {"a": 0.25, "n": 3, "kind": "y", "flag": False}
DEAD = owner_name().partition(":")[0] + ":999999:dead"
CURVE = {"fold": [0, 1], "step": [1, 1], "error": [0.5, None], "validation_error": [None, None], "evaluations": [3, 3]}


def begin(store, name="one", n=3, owner="me"):
    store.create_study(name, ["maximize"], {"file": "x"})
    return store.transact(name, lambda change: change.create([POINT] * n, owner))


def outcome(number, state="complete", **more):
    values = [0.5 + number] if state != "fail" else []
    return Outcome(number, state, values, {"scores": {"s": [1.0, 2.0]}, "evaluations": 7, "problem": ""}, **more)


def finish(store, *outcomes, name="one"):
    store.transact(name, lambda change: [change.finish(own) for own in outcomes])


def as_tuples(trials):
    return [(t.number, t.state, t.params, t.values, t.steps, t.record, t.rungs, t.owner, t.tries) for t in trials]


def test_what_is_written_is_read_back_by_another(store, place):
    assert begin(store) == [0, 1, 2]
    finish(
        store, outcome(0, steps={1: 0.1, 4: math.nan}, rungs={"completed_rung_0": 0.1}, curve=CURVE), outcome(2, "fail")
    )
    store.transact("one", lambda change: change.take(1, "another"))
    again = open_store(place)
    first, second, third = again.trials("one")
    assert (first.state, first.params, first.values, first.rungs) == (
        "complete",
        POINT,
        [0.5],
        {"completed_rung_0": 0.1},
    )
    assert first.steps[1] == 0.1
    assert math.isnan(first.steps[4])
    assert first.record["evaluations"] == 7
    assert (second.state, second.owner, second.tries) == ("running", "another", 2)
    assert (third.state, third.values) == ("fail", [])
    assert again.curves("one") == {0: CURVE}
    assert again.studies() == {"one": {"file": "x"}}
    again.close()


def test_the_two_stores_say_the_same(tmp_path, postgresql):
    stores = [open_store(tmp_path), open_store(postgresql.database("same"))]
    for store in stores:
        begin(store)
        finish(store, outcome(1, steps={3: 0.5, 1: 0.25}), outcome(0, "pruned"))
        store.transact("one", lambda change: change.heard("me"))
    assert as_tuples(stores[0].trials("one")) == as_tuples(stores[1].trials("one"))
    assert all(0 <= store.seen("one")["me"] < 60 for store in stores)
    for store in stores:
        store.close()


def test_a_transaction_that_raises_writes_nothing(store, place):
    begin(store)
    before = as_tuples(store.trials("one"))

    def change(own):
        own.create([POINT], "me")
        own.finish(outcome(0))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.transact("one", change)
    assert as_tuples(store.trials("one")) == before
    assert as_tuples(open_store(place).trials("one")) == before


def test_a_trial_ends_once(store):
    begin(store)
    finish(store, outcome(0))
    finish(store, Outcome(0, "fail", [], {"problem": "late"}))
    assert store.trials("one")[0].state == "complete"


@pytest.mark.slow
def test_numbers_are_given_once_to_any_number_of_processes(store, place):
    begin(store, n=0)
    code = (
        "import sys\nfrom tests.sweep.test_store import POINT, finish, outcome\nfrom nnexp.sweep.sweep import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "for _ in range(25):\n"
        "    numbers = store.transact('one', lambda change: change.create([POINT] * 2, sys.argv[2]))\n"
        "    finish(store, *map(outcome, numbers))\n"
    )
    processes = [Forked([sys.executable, "-c", code, place, str(i)]) for i in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    trials = store.trials("one")
    assert [trial.number for trial in trials] == list(range(200))
    assert all(trial.state == "complete" for trial in trials)
    assert [sum(t.owner == str(i) for t in trials) for i in range(4)] == [50] * 4


def test_processes_that_meet_on_an_empty_storage_make_it_once(place):
    code = (
        "import sys\nfrom nnexp.sweep.sweep import open_store\nstore = open_store(sys.argv[1])\n"
        "store.create_study('one', ['maximize'], {'file': 'x'})\nprint(store.studies())\n"
    )
    processes = [Forked([sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["{'one': {'file': 'x'}}\n"] * 4


def test_processes_that_wait_for_the_one_that_makes_the_tables_see_them(postgresql):
    """PostgreSQL may answer from before a lock was waited for."""
    url = postgresql.database("waited")
    opened = []
    with psycopg.connect(url.replace("+psycopg", "")) as holder, ThreadPoolExecutor(3) as threads:
        holder.execute(f"SELECT pg_advisory_xact_lock({sql._LOCK})")
        opening = [threads.submit(open_store, url) for _ in range(3)]
        while (
            holder.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()[0]
            < 3
        ):
            time.sleep(0.01)
        holder.rollback()
        opened = [future.result(timeout=60) for future in opening]
    for store in opened:
        assert store.studies() == {}
        store.close()


def test_threads_of_one_process_do_not_disturb_each_other(place):
    stores = [open_store(place) for _ in range(3)]
    begin(stores[0], n=0)
    threads = [
        threading.Thread(
            target=lambda own=own: [own.transact("one", lambda c: c.create([POINT], "t")) for _ in range(20)]
        )
        for own in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[0].trials("one")) == 60


# The file alone


@pytest.fixture
def log(tmp_path):
    store = JournalStore(tmp_path / "study.jsonl")
    begin(store)
    finish(store, outcome(0), outcome(1))
    return tmp_path / "study.jsonl"


def test_any_cut_of_the_file_loses_the_last_line_only(log):
    """A kill may leave any beginning of what was being written."""
    whole = log.read_bytes()
    ends = [0, *(at + 1 for at, byte in enumerate(whole) if byte == ord("\n"))]
    expected = {}
    for end in ends:
        log.write_bytes(whole[:end])
        own = JournalStore(log)
        expected[end] = as_tuples(own.trials("one")) if own.studies() else []
        assert own.lost == ""
    assert [len(trials) for trials in expected.values()] == [0, 0, 1, 2, 3, 3, 3]
    assert [sum(state == "complete" for _, state, *_ in trials) for trials in expected.values()] == [
        0,
        0,
        0,
        0,
        0,
        1,
        2,
    ]
    for cut in range(0, len(whole), 7):
        log.write_bytes(whole[:cut])
        own = JournalStore(log)
        end = max(e for e in ends if e <= cut)
        assert (as_tuples(own.trials("one")) if own.studies() else []) == expected[end]
        assert log.stat().st_size == end
        if cut > end:
            assert f"The last {cut - end} bytes" in own.lost


def test_damage_in_the_middle_is_named_and_left_out_by_the_doctor_only(log, capsys):
    store = JournalStore(log)
    begin(store, "two")
    finish(store, *map(outcome, range(3)), name="two")
    before = {name: as_tuples(store.trials(name)) for name in ("one", "two")}
    before["one"][2] = (*before["one"][2][:-2], "", 1)  # the doctor frees the trial of a process that is not there
    whole = log.read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 1
    log.write_bytes(whole[:middle] + b"garbage\n" + whole[middle:])
    damaged = log.read_bytes()
    with pytest.raises(StoreError, match=f"is damaged at byte {middle}: b'garbage.*doctor"):
        JournalStore(log)
    assert log.read_bytes() == damaged
    assert main(["doctor", str(log.parent)]) == 2
    assert log.read_bytes() == damaged
    capsys.readouterr()
    assert main(["doctor", str(log.parent), "--mend"]) == 0
    assert "1 lines of" in capsys.readouterr().out
    assert log.with_name("study.jsonl.damaged").read_bytes() == damaged
    assert {name: as_tuples(JournalStore(log).trials(name)) for name in ("one", "two")} == before


def test_what_a_damaged_line_takes_with_it_is_of_its_study_alone(log):
    """A trial whose beginning is lost is known from its end; of another study nothing is lost."""
    store = JournalStore(log)
    begin(store, "two")
    finish(store, *map(outcome, range(3)), name="two")
    before = as_tuples(store.trials("two"))
    lines = log.read_bytes().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if b'"begun":1' in line)
    lines[begun] = b'{"study":"one","begun":"one"}\n'
    log.write_bytes(b"".join(lines))
    with pytest.raises(DamagedStoreError) as caught:
        JournalStore(log)
    caught.value.mend()
    mended = JournalStore(log)
    assert as_tuples(mended.trials("two")) == before
    assert [(t.number, t.state) for t in mended.trials("one")] == [(0, "complete"), (1, "complete")]


def test_a_study_that_is_forgotten_is_as_if_it_had_never_been(store, place):
    begin(store)
    begin(store, "two")
    finish(store, outcome(0, curve=CURVE))
    finish(store, outcome(0, curve=CURVE), name="two")
    first = store.identity("one")
    store.transact("one", lambda change: change.forget())
    for own in (store, open_store(place)):
        assert list(own.studies()) == ["two"]
        with pytest.raises(StoreError, match="holds no study 'one'"):
            own.trials("one")
    begin(store)
    assert [trial.state for trial in store.trials("one")] == ["running"] * 3
    assert (store.curves("one"), store.curves("two")) == ({}, {0: CURVE})
    assert store.identity("one") != first


def test_what_is_kept_is_marked_with_what_it_was_made_with(store, place):
    begin(store)
    finish(store, outcome(0), outcome(1, "fail"))
    store.transact("one", lambda change: change.declare({"file": "y"}, "numpy 1.99"))
    finish(store, outcome(2))
    store.transact("one", lambda change: change.declare({"file": "z"}, "numpy 2.0"))
    again = open_store(place)
    assert [trial.made_with for trial in again.trials("one")] == ["numpy 1.99", "numpy 1.99", "numpy 2.0"]
    assert [trial.made_with for trial in store.trials("one")] == ["numpy 1.99", "numpy 1.99", "numpy 2.0"]
    assert again.studies() == {"one": {"file": "z"}}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a small file system is mounted by root")
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=True)
    try:
        store = JournalStore(disk / "study.jsonl")
        begin(store, n=1)

        def fill():
            for _ in range(100):
                store.transact("one", lambda change: change.create([POINT] * 3, "me"))

        with pytest.raises(StoreError, match="No space left on device"):
            fill()
        count = len(store.trials("one"))
        assert len(JournalStore(disk / "study.jsonl").trials("one")) == count
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert store.transact("one", lambda change: change.create([POINT], "me")) == [count]
    finally:
        subprocess.run(["umount", str(disk)], check=False)


# The database alone


@pytest.mark.slow
def test_a_server_that_was_restarted_is_waited_for(postgresql):
    store = open_store(postgresql.database("restart"))
    begin(store)
    postgresql.stop()
    late = threading.Timer(1.0, postgresql.start)
    late.start()
    finish(store, outcome(0))
    late.join()
    assert [trial.state for trial in store.trials("one")] == ["complete", "running", "running"]
    store.close()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "postgresql+psycopg://me:secret@127.0.0.1:9/x",
            r"postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:9/x does not answer",
        ),
        ("sqlite:///x.db", "must be a folder, for processes of one machine, or PostgreSQL"),
        ("nonsense://", "must be a folder|is no URL"),
        ("postgresql+nothing://h/x", "needs a driver|does not answer|cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_a_sentence(place, sentence):
    with pytest.raises(StoreError, match=sentence) as caught:
        open_store(place)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_or_a_forbidden_place_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file; name a folder"):
        open_store(tmp_path / "file")
    store = open_store("/proc/nothing")
    with pytest.raises(StoreError, match="cannot be written to /proc/nothing"):
        store.create_study("one", ["maximize"], {})


def test_a_password_is_never_written_down():
    assert without_password("postgresql://me:se/cr:et@host/x") == "postgresql://me:***@host/x"
    assert without_password("results/here") == "results/here"


# The doctor


def test_the_doctor_tells_who_is_silent_and_frees_their_trials(store, place):
    begin(store, n=2, owner=DEAD)
    store.transact("one", lambda change: change.create([POINT], owner_name()))
    health = examine(store, "one")
    assert health.summary == "3 running"
    assert "999999:dead has said nothing and has 2 trials (0, 1)" in health.problems[0]
    assert "They are free now" in examine(store, "one", mend=True).problems[0]
    assert [t.owner for t in store.trials("one")][:2] == ["", ""]


def test_studies_of_one_storage_are_apart(store):
    for name in ("one", "two"):
        begin(store, name, n=2, owner=name)
    finish(store, outcome(1), name="two")
    assert [t.state for t in store.trials("one")] == ["running", "running"]
    assert [t.state for t in store.trials("two")] == ["running", "complete"]
    assert [t.owner for t in store.trials("two")] == ["two", "two"]
    with pytest.raises(StoreError, match="holds no study 'three'"):
        store.trials("three")


def test_conditional_points_are_kept_as_they_are(store):
    store.create_study("one", ["maximize"], {})
    points = [
        {"hidden_layer_sizes.layers": 1, "hidden_layer_sizes.neurons_1": 4, "learning_rate": 0.01, "optimizer": "adam"},
        {
            "hidden_layer_sizes.layers": 2, "hidden_layer_sizes.neurons_1": 4, "hidden_layer_sizes.neurons_2": 8,
            "learning_rate": 0.1, "optimizer": "momentum", "optimizer.momentum.momentum": 0.75,
        },
    ]  # fmt: skip
    store.transact("one", lambda change: change.create(points, "me"))
    assert [trial.params for trial in store.trials("one")] == points


STUDY = {"study": "s", "directions": ["maximize"], "declared": {}, "identity": "x"}


def begun(**more):
    return {"study": "s", "begun": 0, "params": {"a": 0.5}, "owner": "", "tries": 0, **more}


def ended(**more):
    return {
        "study": "s",
        "ended": 0,
        "state": "complete",
        "params": {"a": 0.5},
        "values": [1.0],
        "record": {},
        "at": 0.0,
        **more,
    }


@pytest.mark.parametrize(
    "lines",
    [
        [{**STUDY, "study": 5}],
        [{**STUDY, "study": None}],
        [{**STUDY, "directions": "up"}],
        [{**STUDY, "directions": []}],
        [{"study": "s", "declared": {}}],
        [{"study": "s", "heard": "x", "at": 0.0}],
        [STUDY, {"study": "s"}],
        [STUDY, {"study": "s", "forgotten": 1}],
        [STUDY, {"study": "s", "heard": "x", "at": "abc"}],
        [STUDY, {"study": "s", "heard": "x", "at": 10**400}],
        [STUDY, begun(owner=5)],
        [STUDY, begun(owner=[])],
        [STUDY, begun(tries="many")],
        [STUDY, begun(begun=1)],
        [STUDY, begun(params={"a": [1]})],
        [STUDY, begun(ended=0)],
        [STUDY, {"study": "s", "taken": 0, "owner": "x", "tries": 1}],
        [STUDY, begun(), ended(values="abc")],
        [STUDY, begun(), ended(values=["abc"])],
        [STUDY, begun(), ended(values=[])],
        [STUDY, begun(), ended(values=[float("nan")])],
        [STUDY, begun(), ended(state="running")],
        [STUDY, begun(), ended(ended=7)],
        [STUDY, begun(), ended(steps={"one": 0.5})],
        [STUDY, begun(), ended(record={"scores": 5})],
        [STUDY, begun(), ended(record=5)],
    ],
)
def test_a_line_of_a_study_that_nobody_can_have_written_is_named(tmp_path, lines, capsys):
    (tmp_path / "study.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["doctor", str(tmp_path)]) == 2
    assert "is damaged at byte" in capsys.readouterr().err


def test_an_owner_of_endless_digits_is_somebody_else(tmp_path):
    owner = f"{owner_name().partition(':')[0]}:{'9' * 5000}:a"
    assert is_gone(owner[:480], {}, 0.0, 60.0)


def test_errors_of_workers_come_back_as_they_are():
    """A process sends its error as a pickle."""

    def every(cls):
        return {cls, *(inner for own in cls.__subclasses__() for inner in every(own))}

    for cls in every(ExpectedError):
        made = cls(Path("x"), 3, b"line") if cls is DamagedStoreError else cls("a sentence")
        back = pickle.loads(pickle.dumps(made))
        assert (type(back), str(back)) == (cls, str(made))
