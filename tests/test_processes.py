import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from nnexp._processes import is_running, machine_name
from tests import searched

ROOT = Path(__file__).parents[1]


def eventually(condition, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


PARENT = """
    import os, sys, time
    from nnexp.engine import Engine
    from nnexp._processes import scratch_folder
    from tests.engine_work import sleep
    if len(sys.argv) > 2:
        (scratch_folder() / "data").write_bytes(b"x")
    with Engine(2) as engine:
        for _ in engine.run(sleep, "shared" * 1000, [float(sys.argv[1])] * 4):
            pass
"""


def workers_of(process):
    try:
        return [own for own in psutil.Process(process).children() if "popen_loky_posix" in " ".join(own.cmdline())]
    except psutil.Error:
        return []


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.01, 600])
def test_workers_and_what_they_were_sent_do_not_outlive_a_killed_parent(tmp_path, seconds):
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "JOBLIB_TEMP_FOLDER": str(tmp_path),
        "PYTHONPATH": searched(ROOT),
    }
    code = textwrap.dedent(PARENT) + ("    time.sleep(600)\n" if seconds < 1 else "")
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(seconds), "folder"], env=environment, stderr=subprocess.DEVNULL
    )
    assert eventually(lambda: len(workers_of(parent.pid)) == 2, 60)
    assert any(tmp_path.glob("nnexp-*/*"))
    time.sleep(2)  # they are at work, or idle
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not any(own.is_running() and own.status() != "zombie" for own in children), 5)
    assert eventually(lambda: not any(tmp_path.glob("nnexp-*")), 5), list(tmp_path.iterdir())


def test_a_parent_that_is_killed_while_its_workers_start_leaves_nothing(tmp_path):
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "JOBLIB_TEMP_FOLDER": str(tmp_path),
        "PYTHONPATH": searched(ROOT),
    }
    code = [sys.executable, "-c", textwrap.dedent(PARENT), "600"]
    parent = subprocess.Popen(code, env=environment, stderr=subprocess.DEVNULL)
    assert eventually(lambda: len(workers_of(parent.pid)) > 0, 60)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not any(own.is_running() and own.status() != "zombie" for own in children), 5)
    assert not any(tmp_path.glob("nnexp-*")), list(tmp_path.iterdir())


def test_what_a_parent_left_that_was_killed_with_all_its_children_is_removed_by_the_next(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": searched(ROOT)}
    code = (
        "from nnexp._processes import scratch_folder; import time; print(scratch_folder(), flush=True); time.sleep(600)"
    )
    first = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    left = Path(first.stdout.readline().strip())
    (left / "data").write_bytes(b"x")
    second = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    other = Path(second.stdout.readline().strip())
    assert left.is_dir()  # its owner is alive
    first.kill()
    first.communicate()
    done = subprocess.run(
        [sys.executable, "-c", code.replace("600", "0")], env=environment, capture_output=True, text=True
    )
    assert not left.exists()
    assert other.is_dir()
    assert not Path(done.stdout.strip()).exists()  # an end in order leaves none
    second.kill()
    second.communicate()


def test_a_dead_process_is_told_from_a_living_one():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(child.pid)
    child.kill()
    assert eventually(lambda: not is_running(child.pid), 10)  # a zombie, until it is waited for
    child.communicate()
    assert not is_running(child.pid)
    assert is_running(os.getpid())


def test_two_machines_have_two_names(monkeypatch):
    monkeypatch.delattr(os, "uname")  # as on Windows
    names = set()
    for node in ("first", "second"):
        machine_name.cache_clear()
        monkeypatch.setattr("platform.node", lambda node=node: node)
        names.add(machine_name())
        assert re.fullmatch(rf"{node}-[0-9a-f]{{8}}", machine_name())
    machine_name.cache_clear()
    assert len(names) == 2


def test_a_terminated_parent_takes_its_workers_with_it(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": searched(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), "600"], env=environment, stderr=subprocess.DEVNULL
    )
    assert eventually(lambda: len(workers_of(parent.pid)) == 2, 60)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGTERM)
    parent.wait(10)
    assert eventually(lambda: not any(own.is_running() and own.status() != "zombie" for own in children), 5)
