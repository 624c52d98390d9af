"""The command as a process: signals, outputs that cannot be written to, terminals, a start that is broken off."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nnexp import load_results
from tests import WITHOUT_FIGURES, runs_in, searched
from tests.forked import Forked, run

ROOT = Path(__file__).parents[1]
NNEXP = str(Path(sys.executable).parent / "nnexp")
FAST = """
question = "Which is better?"
[evaluation]
folds = 2
repeats = 1
metrics = { classification = ["accuracy"], regression = ["r2"] }
[data.iris]
[model.bayes]
class = "sklearn.naive_bayes.GaussianNB"
[model.tree]
class = "sklearn.tree.DecisionTreeClassifier"
"""
SLOW = (
    FAST.replace("repeats = 1", "repeats = 20")
    + '[model.other]\nclass = "tests.experiment.other.MyClassifier"\nwaits = 0.4\n'
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": searched(WITHOUT_FIGURES, ROOT), "NNEXP_ALLOW_MODULES": "tests"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fast.toml").write_text(FAST)
    (tmp_path / "slow.toml").write_text(SLOW)
    return tmp_path


def start(folder, *arguments, begin=Forked, **settings):
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT, **settings}
    return begin([NNEXP, *arguments], cwd=folder, start_new_session=True, **settings)


def wait_for_lines(path, count, process):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        if len(runs_in(path)) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("nothing is finished after 60 s")


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("SIGINT", "1"),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in (("SIGTERM", "2"), ("SIGHUP", "2"), ("SIGTERM", "1"))
        ),
    ],
)
def test_a_signal_ends_a_run_in_order_with_its_tables_and_128_and_its_number(folder, name, jobs):
    process = start(folder, "run", "slow.toml", "--jobs", jobs)
    journal = folder / "results" / "slow" / "journal.jsonl"
    wait_for_lines(journal, 3, process)
    number = getattr(signal, name)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "runs are finished and kept" in out
    assert err == ""
    finished = len(runs_in(journal))
    assert len(load_results(folder / "results" / "slow").runs) == finished >= 3


@pytest.mark.slow
def test_a_hangup_that_is_ignored_stays_ignored_as_under_nohup(folder):
    ignore = {"begin": subprocess.Popen, "preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = start(folder, "run", "fast.toml", "--jobs", "1", **ignore)
    journal = folder / "results" / "fast" / "journal.jsonl"
    wait_for_lines(journal, 1, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_second_sigterm_does_not_stop_the_writing_of_the_tables(folder):
    process = start(folder, "run", "slow.toml", "--jobs", "1")
    wait_for_lines(folder / "results" / "slow" / "journal.jsonl", 3, process)
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "")
    assert "runs are finished and kept" in out
    assert (folder / "results" / "slow" / "runs.csv").exists()


@pytest.mark.parametrize("seconds", [0.2, pytest.param(1.2, marks=pytest.mark.slow)])
def test_ctrl_c_while_the_command_is_loading_is_no_traceback(folder, seconds):
    process = start(folder, "run", "slow.toml", "--jobs", "1", begin=subprocess.Popen)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    if "Fatal Python error: init" not in err:  # Python itself was not there yet
        assert (process.returncode, "Traceback" in err) == (130, False), err


def test_ctrl_c_that_a_library_swallows_still_stops_the_command(folder):
    model = f'[model.other]\nclass = "tests.experiment.other.MyClassifier"\nswallows = "{folder / "there"}"\n'
    (folder / "swallows.toml").write_text(FAST + model)
    process = start(folder, "run", "swallows.toml", "--jobs", "1")
    until = time.monotonic() + 60
    while not (folder / "there").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=25)
    assert (process.returncode, err) == (130, "")
    assert "of 6 runs are finished and kept" in out


def test_importing_the_entry_point_loads_nothing_heavy():
    code = (
        "import sys, nnexp.__main__; print(sorted({'numpy', 'sklearn', 'pandas', 'optuna', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def finished(folder):
    results = folder / "results" / "fast"
    assert len(load_results(results).runs) == 4
    assert (results / "report.html").stat().st_size > 10_000
    assert (results / "report.md").exists()


@pytest.mark.slow
def test_an_output_of_ascii_costs_no_report(folder):
    ascii_only = {"begin": subprocess.Popen, "env": {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}}
    process = start(folder, "run", "fast.toml", "--jobs", "1", **ascii_only)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "? half of the 95 % interval" in out  # ± does not fit
    finished(folder)


@pytest.mark.parametrize("jobs", ["1"])
def test_a_full_output_costs_no_report_and_is_said(folder, jobs):
    with open("/dev/full", "w") as full:
        process = start(folder, "run", "fast.toml", "--jobs", jobs, stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err == "nnexp: The output could not be written: No space left on device.\n"
    finished(folder)


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", pytest.param("<&- >&- 2>&-", marks=pytest.mark.slow)])
def test_closed_outputs_cost_no_report_and_no_file_takes_their_place(folder, closed):
    line = f"{NNEXP} run fast.toml --jobs 1 {closed}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    finished(folder)
    for path in (folder / "results" / "fast").iterdir():
        assert b"runs finished" not in path.read_bytes()


@pytest.mark.slow
def test_a_reader_that_leaves_stops_nothing(folder):
    line = f"set -o pipefail; {NNEXP} run fast.toml --jobs 1 | head -1"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    finished(folder)


def on_a_terminal(folder, *arguments, answer=b""):
    """Run the command on a terminal of its own; return what it shows and its exit status."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "NNEXP_ALLOW_MODULES"}
    terminal, its_end = pty.openpty()
    process = start(folder, *arguments, env=environment, stdin=its_end, stdout=its_end, stderr=its_end)
    os.close(its_end)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
        if answer and (b"[y/N]" in shown or b"[redo/keep]" in shown):
            os.write(terminal, answer)
            answer = b""
    os.close(terminal)
    return shown.decode(errors="replace"), process.wait(60)


@pytest.mark.slow
def test_runs_of_other_versions_are_asked_about_on_a_terminal_and_are_an_option_elsewhere(folder):
    """One experiment, whose journal says that another version of NumPy has made it, and copies of it for each answer."""
    assert on_a_terminal(folder, "run", "fast.toml", "--jobs", "1")[1] == 0
    journal = folder / "results" / "fast" / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in [record for record in records if "row" in record]:
        record["key"] = ("0" if record["key"][0] != "0" else "1") + record["key"][1:]
        record["decided_by"]["numpy"] = "1.99.0"
    journal.write_text("".join(json.dumps(record) + "\n" for record in records))
    for name in ("keep", "redo"):
        shutil.copytree(folder / "results", folder / name)

    def marked(name):
        table, report = ((folder / name / "fast" / file).read_text() for file in ("runs.csv", "report.md"))
        return "made_with" in table, "were made with other versions than" in report

    for name, answer in (("keep", b"k\n"), ("redo", b"redo\n")):
        shown, status = on_a_terminal(folder, "run", "fast.toml", "--jobs", "1", "--results", name, answer=answer)
        assert status == 0, shown
        assert "were made with other versions: numpy 1.99.0" in shown
        assert marked(name) == (name == "keep",) * 2
    shown, status = on_a_terminal(folder, "run", "fast.toml", "--jobs", "1", "--results", "keep")  # it is settled
    assert (status, "[redo/keep]" in shown) == (0, False)

    command = [NNEXP, "run", "fast.toml", "--jobs", "1"]
    given = {"cwd": folder, "env": ENVIRONMENT, "stdin": subprocess.DEVNULL}
    refused = run(command, **given)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--redo does them again, --keep keeps them" in refused.stderr
    assert run([*command, "--keep", "--redo"], **given).returncode == 2
    kept = run([*command, "--keep"], **given)
    assert (kept.returncode, kept.stderr) == (0, "")
    assert marked("results") == (True, True)


ODD = "\x1b]0;owned\x07\x1b[2J\x9b31m‮x"


@pytest.mark.slow
def test_no_name_acts_on_a_terminal(folder):
    text = FAST.replace("Which is better?", json.dumps(ODD)[1:-1]).replace("[model.tree]", f"[model.{json.dumps(ODD)}]")
    (folder / "odd.toml").write_text(text)
    shown, status = on_a_terminal(folder, "run", "odd.toml", "--jobs", "1")
    assert status == 0, shown
    for acting in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "‮"):
        assert acting not in shown
    assert r"\x1b]0;owned\x07" in shown
    for command in (
        ["table", "results/odd"],
        ["table", "results/odd", "runs"],
        ["report", "results/odd", "--format", "json"],
    ):
        shown, status = on_a_terminal(folder, *command)
        assert status == 0
        assert not any(acting in shown for acting in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "‮"))
    shown, status = on_a_terminal(folder, "run", ODD + ".toml")
    assert status == 2
    assert "\x1b]" not in shown
    twin = (folder / "results" / "odd" / "report.md").read_text()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f‮]", twin)


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"\n", 2), (b"\x04", 2)])
def test_a_module_that_a_file_asks_for_is_asked_about_on_a_terminal(folder, monkeypatch, answer, status):
    (folder / "mine.py").write_text(
        "import pathlib\nfrom sklearn.naive_bayes import GaussianNB\n\n\nclass Mine(GaussianNB):\n    pass\n\n\n"
        "pathlib.Path(__file__).with_name('RAN').touch()\n"
    )
    (folder / "asks.toml").write_text(
        'allow_modules = ["mine"]\n' + FAST.replace("sklearn.naive_bayes.GaussianNB", "mine.Mine")
    )
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", searched(folder))
    shown, found = on_a_terminal(folder, "run", "asks.toml", "--jobs", "1", answer=answer)
    assert "asks to run the code of the module 'mine'" in shown
    assert found == status, shown
    assert (folder / "RAN").exists() is (status == 0)
    if status == 0:
        command = json.loads((folder / "results" / "asks" / "environment.json").read_text())["command"]
        assert "--allow-module mine" in command
    else:
        assert "--allow-module mine" in shown


@pytest.mark.slow
def test_without_a_terminal_a_module_is_refused_and_the_option_lets_it_in(folder):
    (folder / "mine.py").write_text(
        "from sklearn.naive_bayes import GaussianNB\n\n\nclass Mine(GaussianNB):\n    pass\n"
    )
    (folder / "asks.toml").write_text(
        'allow_modules = ["mine"]\n' + FAST.replace("sklearn.naive_bayes.GaussianNB", "mine.Mine")
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": searched(folder)}
    command = ["run", "asks.toml", "--jobs", "1"]
    process = start(folder, *command, env=environment, stdin=subprocess.DEVNULL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--allow-module mine" in err
    process = start(folder, *command, "--allow-module", "mine", env=environment)
    assert process.wait(timeout=120) == 0
    process.communicate()
    process = start(folder, "verify", "results/asks", env=environment)
    out, _ = process.communicate(timeout=60)
    assert "cannot be planned again" in out  # a results folder lets nobody in either
    process = start(folder, "verify", "results/asks", "--allow-module", "mine", "--rerun", "1", env=environment)
    out, _ = process.communicate(timeout=60)
    assert "equal to the last bit" in out


@pytest.mark.slow
def test_workers_leave_within_five_seconds_of_a_killed_command(folder):
    environment = {**ENVIRONMENT, "TMPDIR": str(folder)}
    process = start(folder, "run", "slow.toml", "--jobs", "2", env=environment)
    wait_for_lines(folder / "results" / "slow" / "journal.jsonl", 1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.communicate()
    until = time.monotonic() + 5
    while any(own.is_running() and own.status() != "zombie" for own in children):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not list(folder.glob("nnexp-*"))


@pytest.mark.slow
def test_nothing_of_the_current_folder_is_loaded_or_obeyed(folder):
    """By this process, its workers, or what draws."""
    for name in ("joblib", "numpy", "sitecustomize", "json", "nnexp"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'RAN')!r}, 'a').write({name!r})\nraise ImportError\n")
    (folder / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    process = start(folder, "run", "fast.toml", "--jobs", "2", env=environment, begin=subprocess.Popen)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert not (folder / "RAN").exists()
    finished(folder)


@pytest.mark.slow
def test_a_closed_error_output_costs_no_worker(folder):
    line = f"{NNEXP} run fast.toml --jobs 2 2>&-"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    finished(folder)
