"""Faults at operations on files: a process is killed, a write torn, a disk full, at the how-manieth operation one likes.

`nnexp._files` does all that nnexp does to files which it keeps, and does it by functions of `os`. Here it is given others.
"""

import errno
import os
import signal
from dataclasses import dataclass

import nnexp._files as files

OPERATIONS = ["open", "write", "fsync", "ftruncate", "replace", "link", "unlink", "read", "fdopen"]
KINDS = ["kill before", "kill after", "torn", "EIO", "ENOSPC", "full disk", "SIGINT", "SIGTERM", "SIGHUP"]
_SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}


@dataclass
class Fault:
    """A fault at one operation.

    Attributes
    ----------
    kind : str
        One of `KINDS`; "" for none, which counts operations.
    number : int
        From 1 on, at which operation.
    """

    kind: str = ""
    number: int = 0


class Disk:
    """Stands in for `os`, and does what a bad day does.

    Attributes
    ----------
    count : int
        Operations so far.
    """

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self.count = 0
        self._is_full = False

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real
        return lambda *given, **named: self._do(name, real, given, named)

    def _do(self, name, real, given, named):
        self.count += 1
        if self._is_full and name == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.count != self._fault.number:
            return self._opened(name, real(*given, **named))
        kind = self._fault.kind
        if kind == "kill before":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in ("torn", "ENOSPC", "full disk") and name == "write":
            real(given[0], bytes(given[1])[: len(given[1]) // 2])
        if kind == "torn":
            os.kill(os.getpid(), signal.SIGKILL)
        self._is_full = kind == "full disk"
        if kind in ("EIO", "ENOSPC", "full disk") and not (kind != "EIO" and name in ("unlink", "read")):
            code = errno.EIO if kind == "EIO" else errno.ENOSPC
            raise OSError(code, os.strerror(code))
        if kind in _SIGNALS:
            os.kill(os.getpid(), _SIGNALS[kind])
        found = self._opened(name, real(*given, **named))
        if kind == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def _opened(self, name, found):
        return _File(self, found) if name == "fdopen" else found


class _File:
    """A file whose writes are operations too."""

    def __init__(self, disk, file):
        self._disk, self._file = disk, file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, content):
        def write(_, part):
            return self._file.write(part)

        return self._disk._do("write", write, (None, content), {})

    def writelines(self, lines):
        for line in lines:
            self.write(line)


def install(fault: Fault) -> Disk:
    """Have nnexp meet a fault from now on; for a process of its own."""
    disk = Disk(fault)
    files.os = disk
    return disk
