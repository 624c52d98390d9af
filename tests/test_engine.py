import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest
from joblib.externals.loky import get_reusable_executor

import nnexp.engine
from nnexp.engine import Engine, EngineError, WorkerDiedError


def add(shared, unit):
    return shared["number"] + unit


def die(shared, unit):
    """Unit 3 kills its process as often as the folder does not yet hold that many marks."""
    folder, times = shared
    if unit == 3:
        marks = len(os.listdir(folder))
        if marks < times:
            open(f"{folder}/{marks}", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        time.sleep(0.01)
    return unit


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_unit_is_done_once(n_jobs):
    with Engine(n_jobs) as engine:
        for start in (10, 20):  # what is shared may change
            found = list(engine.run(add, {"number": start}, range(20)))
            assert sorted(found) == [(i, start + i) for i in range(20)]
        assert list(engine.run(add, {"number": 0}, [])) == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_unit_whose_process_dies_is_tried_again(tmp_path, times):
    with Engine(2) as engine:
        found = dict(engine.run(die, (str(tmp_path), times), range(12)))
    assert found == {i: i for i in range(12)}
    assert len(os.listdir(tmp_path)) == times


@pytest.mark.slow
def test_a_unit_whose_process_always_dies_says_so_and_the_others_are_done(tmp_path):
    with Engine(2) as engine:
        found = dict(engine.run(die, (str(tmp_path), 99), range(12)))
    assert isinstance(found.pop(3), WorkerDiedError)
    assert found == {i: i for i in range(12) if i != 3}
    assert len(os.listdir(tmp_path)) == 3  # tried twice more


def die_while_the_other_works(folder, unit):
    """Unit 0 kills its process three times, each time after unit 1 has begun; unit 1 works until it has."""
    open(f"{folder}/{unit}-{os.getpid()}", "w").close()
    wait_until(lambda: of_unit(folder, 1))
    if unit == 0 and len(of_unit(folder, 0)) <= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_until(lambda: len(of_unit(folder, 0)) > 3)
    return unit


def of_unit(folder, unit):
    return [name for name in os.listdir(folder) if name.startswith(f"{unit}-")]


def wait_until(happens):
    until = time.monotonic() + 60
    while not happens() and time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.slow
def test_the_death_of_an_endless_unit_ends_no_other(tmp_path):
    with Engine(2) as engine:
        found = dict(engine.run(die_while_the_other_works, str(tmp_path), [0, 1], endless=True))
    assert found == {0: 0, 1: 1}
    assert len(of_unit(tmp_path, 0)) == 4
    assert len(of_unit(tmp_path, 1)) == 1


def test_an_error_of_an_endless_unit_is_raised_and_the_others_are_ended():
    with Engine(2) as engine, pytest.raises(TypeError):
        list(engine.run(add_or_wait, {"number": "one"}, [1, 100], endless=True))


def add_or_wait(shared, unit):
    time.sleep(unit)
    return add(shared, unit)


def test_an_error_of_the_work_is_raised():
    with Engine(2) as engine, pytest.raises(TypeError):
        list(engine.run(add, {"number": "one"}, [1]))


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_the_start_prints_no_traceback_of_a_worker(tmp_path):
    code = (
        "import sys, time\nfrom nnexp.engine import Engine\nfrom tests.test_engine import wait\n"
        "try:\n    with Engine(2) as engine:\n        print('begun', flush=True)\n"
        "        list(engine.run(wait, None, range(100)))\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    for delay in (0.05, 0.3, 0.8, 1.3):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdout.readline() == "begun\n"
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert out == "interrupted\n"
        assert "LokyProcess" not in err


def wait(shared, unit):
    time.sleep(0.1)


def test_dask_needs_an_address_that_answers(monkeypatch):
    monkeypatch.setattr(nnexp.engine, "ANSWER_WITHIN", "1s")
    with pytest.raises(EngineError, match="needs the scheduler's address"):
        Engine(backend="dask")
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9 does not answer"):
        Engine(backend="dask", scheduler="tcp://127.0.0.1:9")


def nap(shared, unit):
    time.sleep(0.3)
    return os.environ.get("PYTHONSAFEPATH")


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 1.5])
def test_a_worker_that_leaves_between_two_units_is_replaced_where_warnings_are_errors(pause):
    """joblib warns of it in the thread that looks after the workers, which must not end by that, whatever is done meanwhile."""
    done, pools = [], []

    def work():
        with Engine(2) as engine:
            for number, _ in engine.run(nap, None, range(8)):
                if not done:
                    pool = get_reusable_executor(reuse=True)
                    pools[:] = pool, set(pool._processes)
                    pool._call_queue.put(None)  # what a worker does of its own accord where its memory has grown
                    time.sleep(pause)
                done.append(number)
            pools.append(set(pool._processes))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waiting = threading.Thread(target=work, daemon=True)
        waiting.start()
        waiting.join(30)
    assert sorted(done) == list(range(8))
    assert pools[2] - pools[1]
    # The one that came later is begun as the first ones were: nothing of the current folder is loaded.
    with Engine(2) as engine:
        assert {path for _, path in engine.run(nap, None, range(6))} == {"1"}
