"""The commit of a git repository, read from its files. Nothing of the repository is run: it may be a stranger's.

What git itself would do on ``git status`` depends on the repository's ``.git/config``, which can name programs.
"""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# What git allows in the name of a reference, or less.
_REFERENCE = re.compile(r"refs/[^\s~^:?*\[\\\x00-\x1f\x7f]+")
_MOST_BYTES = 1 << 26
_MOST_PARENTS = 100


def commit_of(folder: Path) -> str | None:
    """Return the commit that the repository of a folder is at, or None if it is in none or that cannot be told.

    Parameters
    ----------
    folder : Path

    Notes
    -----
    Worktrees and submodules, whose ``.git`` is a file, and packed references are followed. See "gitrepository-layout" in git's
    documentation.
    """
    try:
        for place in [folder, *folder.parents][:_MOST_PARENTS]:
            git = _git_folder(place / ".git")
            if git is not None:
                return _head(git)
    except (OSError, ValueError):
        return None
    return None


def _git_folder(path: Path) -> Path | None:
    if path.is_dir():
        return path if (path / "HEAD").is_file() else None
    if path.is_file():  # of a worktree or a submodule
        kind, _, place = _read(path).partition(": ")
        git = path.parent / place.strip()
        return git if kind == "gitdir" and (git / "HEAD").is_file() else None
    return None


def _head(git: Path) -> str | None:
    head = _read(git / "HEAD").strip()
    shared = git / "commondir"
    common = git / _read(shared).strip() if shared.is_file() else git
    for _ in range(5):  # a reference may name another
        if _COMMIT.fullmatch(head):
            return head
        name = head.removeprefix("ref: ").strip()
        if not head.startswith("ref: ") or not _REFERENCE.fullmatch(name) or ".." in name:
            return None
        file = next((place / name for place in (git, common) if (place / name).is_file()), None)
        if file is None:
            return _packed(common / "packed-refs", name)
        head = _read(file).strip()
    return None


def _packed(path: Path, name: str) -> str | None:
    if not path.is_file():
        return None
    for line in _read(path).splitlines():
        commit, _, target = line.partition(" ")
        if target == name and _COMMIT.fullmatch(commit):
            return commit
    return None


def _read(path: Path) -> str:
    with open(path, "rb") as file:
        return file.read(_MOST_BYTES).decode(errors="replace")
