"""Processes of nnexp that begin loaded: a server that has loaded everything forks one for each command.

Loading takes seconds of each process that a test starts, and most tests are not about it. `Forked` is a `subprocess.Popen` for
``nnexp ...`` and ``python -c CODE ...``; what happens while a process loads, and what the environment does to Python's own start,
is for a `subprocess.Popen`.
"""

import array
import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path

from tests import WITHOUT_FIGURES

ROOT = Path(__file__).parents[1]
_servers = {}


class Forked(subprocess.Popen):
    """A process as `subprocess.Popen` starts it, forked by a server."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others):
        to_read, to_write, from_read, from_write, err_read, err_write = others[3:9]
        env = dict(os.environ if env is None else env)
        request = {"args": list(map(str, args)), "cwd": str(cwd or os.getcwd()), "env": env, "session": others[-2]}
        opened = []
        given = []
        for wanted, standard in ((to_read, 0), (from_write, 1), (err_write, 2)):
            if wanted == -1:  # that of this process, which pytest may have closed
                with contextlib.suppress(OSError):
                    os.fstat(standard)
                    wanted = standard
            if wanted == -1:
                wanted = os.open(os.devnull, os.O_RDWR)
                opened.append(wanted)
            given.append(wanted)
        self._answers = _connected(env)
        socket.send_fds(self._answers, [json.dumps(request).encode() + b"\n"], given)
        for number in opened:
            os.close(number)
        self._close_pipe_fds(to_read, to_write, from_read, from_write, err_read, err_write)
        self.pid = int(_line(self._answers))
        self._child_created = True

    def _internal_poll(self, _deadstate=None, *_):
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)
        return self.returncode

    def _try_wait(self, wait_flags):
        if wait_flags & os.WNOHANG and not select.select([self._answers], [], [], 0)[0]:
            return 0, 0
        status = int(_line(self._answers))
        self._answers.close()
        return self.pid, status


def run(args, timeout=120, **settings):
    """Do what `subprocess.run` does with text that is captured."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **settings}
    with Forked(args, **settings) as process:
        out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def _end_server(process):
    process.kill()
    process.wait()
    process.stdout.close()


def _searched(env):
    return [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]


def _line(connection):
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(1)
        if not part:
            raise OSError("The server of processes is gone.")
        line += part
    return line


def _connected(env):
    """Return a connection to the server of an environment, as far as that decides how Python starts."""
    decides = {name: value for name, value in env.items() if name.startswith("PYTHON") or "THREADS" in name}
    decides["PYTHONPATH"] = os.pathsep.join(
        [*(place for place in _searched(env) if place == WITHOUT_FIGURES), str(ROOT)]
    )
    env = {**env, **decides}
    key = tuple(sorted(decides.items()))
    if key not in _servers or _servers[key][0].poll() is not None:
        place = os.path.join(tempfile.mkdtemp(), "server")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", place], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        atexit.register(_end_server, process)
        process.stdout.readline()
        _servers[key] = process, place
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_servers[key][1])
    return connection


def serve(place):
    """Fork a process for each request, and answer with its number and then with the status it ended with."""
    _load()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    waiting = {}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    parent = os.getppid()
    while os.getppid() == parent:
        for ready in select.select([listener, woken], [], [], 5)[0]:
            if ready is listener:
                connection, _ = listener.accept()
                request, given = _request(connection)
                process = os.fork()
                if not process:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for number in (listener, woken, wakes, connection, *waiting.values()):
                        os.close(number if isinstance(number, int) else number.detach())
                    _become(request, given)
                connection.sendall(f"{process}\n".encode())
                for number in given:
                    os.close(number)
                waiting[process] = connection
            else:
                os.read(woken, 4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG)
                if not process:
                    break
                with waiting.pop(process) as connection, contextlib.suppress(OSError):
                    connection.sendall(f"{status}\n".encode())


def _load():
    """Load what commands and sweeps need."""
    import optuna  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import sqlalchemy.dialects.postgresql  # noqa: F401

    import nnexp.commands.reading
    import nnexp.commands.running
    import nnexp.report.page
    import nnexp.sweep.sql  # noqa: F401

    gc.collect()
    gc.freeze()  # else each child's collector copies all of it


def _request(connection):
    fds = array.array("i")
    content = b""
    while not content.endswith(b"\n"):
        part, more, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        content += part
        fds.extend(more)
    return json.loads(content), list(fds)


def _become(request, given):
    """Be the process that was asked for; this does not return."""
    status = 1
    try:
        if request["session"]:
            os.setsid()
        high = [os.dup(number) for number in given]
        for standard, number in enumerate(high):
            os.dup2(number, standard)
        for number in (*given, *high):
            if number > 2:
                os.close(number)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = None
        sys.path[:0] = [place for place in _searched(os.environ) if place not in sys.path]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (0, 1, 2):
            name, mode = ("stdin", "r") if number == 0 else (("stdout", "w"), ("stderr", "w"))[number - 1]
            stream = open(number, mode, closefd=False, errors="backslashreplace" if number == 2 else None)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        status = _run(request["args"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            _end()
        os._exit(status if status is not None else 0)


def _run(args):
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    if Path(args[0]).name == "nnexp":
        from nnexp.__main__ import main as command

        sys.argv = args
        return command()
    if args[1] == "-m":
        sys.argv = args[2:]
        sys.path.insert(0, os.getcwd())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*found in sys.modules")
            runpy.run_module(args[2], run_name="__main__", alter_sys=True)
        return 0
    assert args[1] == "-c", args
    sys.argv = args[1:2] + args[3:]
    sys.path.insert(0, "")
    exec(compile(args[2], "<string>", "exec"), main.__dict__)
    return 0


def _end():
    """Do what Python does at its end, but for taking everything down."""
    import threading

    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
