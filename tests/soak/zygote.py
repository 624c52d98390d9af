"""A process that has loaded nnexp, and forks a child for each command that it is told to start."""

import ast
import atexit
import contextlib
import gc
import io
import os
import pathlib
import signal
import sys
import tempfile
import time

import nnexp.cli
import nnexp.report.page
from nnexp.__main__ import main
from tests.soak.cases import FILES
from tests.soak.faults import Fault, install


def warm_up():
    """Do each kind of command once, so that each child finds everything loaded."""
    # Drawing takes most of the time, and touches no file.
    nnexp.report.page.figures_of = lambda *_: {}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for kind, text in FILES.items():
            path = pathlib.Path(folder, f"{kind}.toml")
            path.write_text(text)
            nnexp.cli.main(["run", str(path), "--results", folder, "--jobs", "1"])


def start(folder, place, arguments, fault, log):
    process = os.fork()
    if process:
        return process
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    # A process started from here shows this, by which what is left of a command is found.
    os.environ.update(TMPDIR=place, JOBLIB_TEMP_FOLDER=place, PYTHONPATH=os.pathsep.join(sys.path[:1]))
    tempfile.tempdir = None
    sys.argv = ["nnexp", *arguments]
    disk = install(Fault(*fault))
    status = main()
    print(f"operations: {disk.count}", flush=True)
    if "2" in arguments:
        sys.exit(status)
    atexit._run_exitfuncs()  # taking everything down takes as long as the work
    os._exit(status)


def wait(process, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    warm_up()
    gc.collect()
    gc.freeze()  # else each child's collector copies all of it
    for line in sys.stdin:
        what, *given = ast.literal_eval(line)
        if what == "start":
            sys.stdout.flush()
            print(start(*given), flush=True)
        else:
            print(wait(*given), flush=True)
