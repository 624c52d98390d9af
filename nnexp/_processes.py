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
from functools import lru_cache
from pathlib import Path

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


def scratch_folder() -> Path:
    """Return this process's folder for what it shares with its children; it is removed at the process's end.

    A kill that prevents this leaves it to the children, and if they are killed too to the first such call of a later process
    on this machine.
    """
    found = _folder_of(os.getpid())
    if not found.is_dir():  # whoever cleans up has removed it
        _folder_of.cache_clear()
        found = _folder_of(os.getpid())
    return found


@lru_cache(maxsize=1)
def _folder_of(process: int) -> Path:
    place = Path(tempfile.gettempdir())
    mine = f"{_PREFIX}{short_hash(machine_name())}-"
    with contextlib.suppress(OSError):
        for folder in place.glob(f"{mine}*"):
            owner = folder.name.removeprefix(mine).partition("-")[0]
            if owner.isdigit() and not is_running(int(owner)) and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{mine}{process}-"))

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(remove)
    return made


def leave_with_parent(parent: int, folder: str | None = None) -> None:
    """End this process within a second or two of its parent's death, and remove a folder that the parent has left.

    Parameters
    ----------
    parent : int
        Its process number.
    folder : str, default=None
    """

    def watch() -> None:
        while _has_parent(parent):
            time.sleep(_LOOK)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="nnexp-parent", daemon=True).start()


def _has_parent(parent: int) -> bool:
    # Where orphans are given another parent that shows first; elsewhere the number stays, and the process is looked for.
    return os.getppid() == parent and is_running(parent)
