"""Processes: what tells this machine and its processes from others, and what becomes of a child whose parent has died."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import psutil

# Seconds between two looks at the parent.
_LOOK = 1.0
_PREFIX = "nnexp-"


@lru_cache(maxsize=1)
def machine_name() -> str:
    """Return a name for the space that process numbers are unique in: this machine since its start, or a container."""
    parts = [platform.node() or "host"]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return f"{parts[0]}-{short_hash(repr(parts))}"


def short_hash(text: str) -> str:
    """Return 8 hexadecimal digits that tell a text from others."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def is_running(process: int) -> bool:
    """Whether a process of this machine is there and has not ended."""
    if process == os.getpid():
        return True
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # it is there, and somebody else's
        return True


@lru_cache(maxsize=1)
def let_workers_leave() -> None:
    """Let a worker of joblib leave between two units of work, as it does where its memory has grown: another one comes for it.

    joblib warns of it in the thread that looks after the workers. Where warnings are errors that ends the thread before it has
    begun another worker, and whoever waits for a result waits for ever; from now on the thread goes on. An initializer of workers
    that has a method ``around_start`` is asked for the context in which each of them is begun, in whatever thread.
    """
    from joblib.externals.loky import process_executor

    pool, thread = process_executor.ProcessPoolExecutor, process_executor._ExecutorManagerThread
    begin_missing, take = pool._adjust_process_count, thread.process_result_item

    def adjust_process_count(self: Any) -> None:
        with getattr(self._initializer, "around_start", contextlib.nullcontext)():
            begin_missing(self)

    def process_result_item(self: Any, item: Any) -> None:
        try:
            take(self, item)
        except UserWarning:
            executor = self.executor_reference()
            if executor is not None:
                with executor._processes_management_lock:
                    executor._adjust_process_count()

    pool._adjust_process_count, thread.process_result_item = adjust_process_count, process_result_item


def scratch_folder() -> Path:
    """Return this process's folder for what it shares with its children; it is removed at the process's end.

    A kill that prevents this leaves it to the children, and if they are killed too to the first such call of a later process
    on this machine.
    """
    folder = _folder_of(os.getpid())
    if not folder.is_dir():  # whoever cleans up has removed it
        _folder_of.cache_clear()
        folder = _folder_of(os.getpid())
    return folder


@lru_cache(maxsize=1)
def _folder_of(process: int) -> Path:
    _remove_folders(lambda owner: not is_running(owner))
    made = Path(tempfile.mkdtemp(prefix=f"{_of_this_machine()}{process}-"))

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return made


def _of_this_machine() -> str:
    return f"{_PREFIX}{short_hash(machine_name())}-"


def _remove_folders(is_due: Callable[[int], bool]) -> None:
    """Remove the folders of processes of this machine whose numbers are such."""
    mine = _of_this_machine()
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{mine}*"):
            owner = folder.name.removeprefix(mine).partition("-")[0]
            if owner.isdigit() and is_due(int(owner)) and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)


class Passed:
    """Bytes that processes of this machine can read while this one lives.

    Where the system shows the open files of a process, the file has no name and can outlast nobody; elsewhere it is in the
    scratch folder.

    Parameters
    ----------
    write : callable
        Is given the open file.

    Attributes
    ----------
    place : pair of str
        Where others find it, and a name that no other file has or had: a path may come again.
    """

    def __init__(self, write: Callable[[IO[bytes]], Any]) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as it is wanted
        self._named: Path | None = None
        path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        try:
            if not os.path.exists(path):
                self._file.close()
                self._named = scratch_folder() / uuid.uuid4().hex
                path = str(self._named)
                self._file = open(self._named, "wb")  # noqa: SIM115
            write(self._file)
            self._file.flush()
        except BaseException:
            self.close()
            raise
        self.place = path, uuid.uuid4().hex

    def close(self) -> None:
        """Let it go."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._named is not None:
            self._named.unlink(missing_ok=True)


def leave_with_parent(parent: int) -> None:
    """End this process within a second or two of its parent's death, and remove the folders that the parent has left.

    Parameters
    ----------
    parent : int
        Its process number.
    """

    def watch() -> None:
        while _has_parent(parent):
            time.sleep(_LOOK)
        _remove_folders(lambda owner: owner == parent)
        os._exit(1)

    threading.Thread(target=watch, name="nnexp-parent", daemon=True).start()


def _has_parent(parent: int) -> bool:
    # Where orphans are given another parent that shows first; elsewhere the number stays, and the process is looked for.
    return os.getppid() == parent and is_running(parent)
