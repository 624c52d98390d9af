"""Files: replaced as a whole, cut at the end of a line, locked. Whatever fails or is killed, what was there stays.

What is finished is never deleted to be written again: a file grows at its end, or a new one is written beside it, synced,
and takes its name.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nnexp._errors import PathError, quoted, reason
from nnexp._processes import is_running, machine_name, short_hash

_numbers = itertools.count()
_ENDING = ".nnexp-tmp"
_DAY = 86_400
# A link that leads elsewhere is not followed, and a pipe is not waited for.
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def as_path(given: str | Path, what: str = "The path") -> Path:
    """Return a path with ``~`` resolved.

    Raises
    ------
    PathError
        If no file can have it: it holds a NUL, is too long, names an unknown user, or goes round in a circle.

    Examples
    --------
    >>> as_path("results/first").name
    'first'
    """
    try:
        path = Path(given).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.stat(path)
        str(path).encode()
    except (OSError, ValueError, RuntimeError) as error:
        raise PathError(f"{what} {quoted(str(given))} cannot be used: {reason(error)}.") from error
    return path


# Replacing


@contextlib.contextmanager
def replacing(path: str | Path, follow: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write, which takes the place of another as a whole once the block has ended.

    It has a name of its own, so that two processes do not mix; on Linux it has none until it is whole, so that a kill leaves
    nothing. It has the mode of the file that it replaces, or the one that the umask gives.

    Parameters
    ----------
    path : str or Path
    follow : bool, default=False
        Whether a symbolic link is followed, as for a file that the user names; else the file takes the place of the link, which in
        a folder of somebody else's may lead anywhere.

    Raises
    ------
    OSError
        If it cannot be written, or what is there is no regular file. What was there stays.
    """
    target = (
        Path(os.path.realpath(path))
        if follow
        else Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    )
    mode = _mode_of(target)
    remove_left(target.parent)
    descriptor = _unnamed(target.parent)
    temporary = target.with_name(f"{_mine()}-{next(_numbers)}{_ENDING}")
    if descriptor is None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor, has_name = os.open(temporary, flags, 0o666), True
    else:
        has_name = False
    file: IO[bytes] = os.fdopen(descriptor, "w+b")
    try:
        with file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(descriptor)
            if not has_name:
                has_name = True
                _give_name(descriptor, temporary)
        os.replace(temporary, target)
        has_name = False
        sync_folder(target.parent)
    finally:
        if has_name:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def next_free(path: Path) -> Path:
    """Return a path at which there is nothing yet: this one, or with a number behind it."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def write_text(path: str | Path, text: str) -> None:
    """Replace a file as a whole by a text in UTF-8. See `replacing`."""
    content = text.encode(errors="backslashreplace")
    with replacing(path) as file:
        file.write(content)


def remove_left(folder: Path) -> None:
    """Remove what processes of this machine that are dead have left half written in a folder."""
    head = _mine().rpartition("-")[0]
    with contextlib.suppress(OSError):
        for left in folder.glob(f"{head}-*{_ENDING}"):
            process = left.name.removeprefix(f"{head}-").partition("-")[0]
            if process.isdigit() and not is_running(int(process)):
                with contextlib.suppress(OSError):
                    os.unlink(left)
        for left in folder.glob(f".*{_ENDING}"):  # of another machine, or of this one before it was started anew
            with contextlib.suppress(OSError):
                if time.time() - os.lstat(left).st_mtime > _DAY:
                    os.unlink(left)


def _mine() -> str:
    return f".{short_hash(machine_name())}-{os.getpid()}"


def _mode_of(target: Path) -> int | None:
    """Return the mode of the file that is to be replaced, or None if there is none."""
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is no regular file", str(target))
    return stat.S_IMODE(status.st_mode)


def _unnamed(folder: Path) -> int | None:
    """Return a file without a name in a folder, where the system has such; the umask decides its mode."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:  # the file system has none; what else is wrong shows when a named one is made
        return None


def _give_name(descriptor: int, name: Path) -> None:
    folder = os.open(name.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:  # with a folder given, the link in /proc is followed
        os.link(f"/proc/self/fd/{descriptor}", name.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where the platform can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# Reading

# How deep lists and tables of a file may be nested; deeper ones only try what reads them.
MOST_NESTED = 50


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text that may be a stranger's.

    Raises
    ------
    ValueError
        If it is none, or nested too deeply.

    Examples
    --------
    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if len(text) > MOST_NESTED:
        check_nesting(content)
    return content


def check_nesting(content: Any) -> None:
    """Raise a ValueError if lists and tables are nested too deeply."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(MOST_NESTED):
        level = [
            part
            for outer in level
            for part in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")


# Growing at the end


def append(descriptor: int, text: bytes) -> None:
    """Add to the end of a file all of it or nothing; when this returns it is on the disk.

    What is whole when Ctrl-C comes stays.
    """
    before = os.fstat(descriptor).st_size
    rest = memoryview(text)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except BaseException as error:
        if isinstance(error, OSError) or os.fstat(descriptor).st_size < before + len(text):
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
        raise


def cut_torn_tail(descriptor: int) -> int:
    """Cut off a last line that has no end, as a kill leaves it, with one truncation; return how many bytes it was."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - (1 << 16))
        os.lseek(descriptor, begin, os.SEEK_SET)
        end_of_line = _exactly(descriptor, end - begin).rfind(b"\n")
        if end_of_line >= 0:
            end = begin + end_of_line + 1
            break
        end = begin
    if end < size:
        cut(descriptor, end)
    return size - end


def cut(descriptor: int, end: int) -> None:
    """Cut off what is behind a place, with one truncation."""
    os.ftruncate(descriptor, end)
    os.fsync(descriptor)


def read_whole(descriptor: int, start: int = 0) -> bytes:
    """Return all of a file, from a place on."""
    os.lseek(descriptor, start, os.SEEK_SET)
    return _exactly(descriptor, max(0, os.fstat(descriptor).st_size - start))


def _exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count > 0 and (part := os.read(descriptor, min(count, 1 << 24))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def open_to_append(path: Path) -> int:
    """Open a file for reading and for writing at its end; it is made if it is not there."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | _CAREFULLY, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file", str(path))
    return descriptor


# Locks


class LockError(Exception):
    """No lock can be had here; the message says why."""


class Lock:
    """A lock that one process, and one thread of it, holds at a time. It is given up with the process.

    It stands beside what it guards, so that what it guards can be replaced.

    Parameters
    ----------
    path : Path
        Of the lock's own, empty file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def acquire(self, wait: bool) -> bool:
        """Take the lock; return whether it was to be had, if it is not waited for.

        Raises
        ------
        LockError
            If this platform or file system has no locks.
        OSError
            If the lock's file cannot be opened.
        """
        try:
            import portalocker
        except ImportError as error:
            raise LockError(
                f"this system has no locks for files ({reason(error)}), and without one two processes could spoil each "
                "other's work"
            ) from error
        flags = portalocker.LockFlags.EXCLUSIVE | (
            portalocker.LockFlags(0) if wait else portalocker.LockFlags.NON_BLOCKING
        )
        file = open(open_to_append(self._path), "ab")  # noqa: SIM115 - held until it is released
        try:
            portalocker.lock(file, flags)
        except portalocker.exceptions.AlreadyLocked:
            file.close()
            return False
        except portalocker.exceptions.LockException as error:
            file.close()
            raise LockError(f"its file system gives no locks ({reason(error.__cause__ or error)})") from error
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Give it up."""
        if self._file is not None:
            self._file.close()
            self._file = None
