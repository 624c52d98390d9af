import shutil
import subprocess

import pytest

from nnexp.experiment.commit import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="compares with git itself")


def git(folder, *arguments):
    who = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.example",
        "-c",
        "protocol.file.allow=always",
        "-c",
        "init.defaultBranch=main",
    ]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    place = tmp_path / "repository"
    (place / "deep" / "inside").mkdir(parents=True)
    git(place, "init", "-q")
    git(place, "commit", "-q", "--allow-empty", "-m", "first")
    return place


def head(folder):
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_the_one_that_git_tells(repository):
    assert commit_of(repository) == commit_of(repository / "deep" / "inside") == head(repository)
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    assert commit_of(repository) == head(repository)
    git(repository, "checkout", "-q", "-b", "topic/one")
    git(repository, "commit", "-q", "--allow-empty", "-m", "third")
    assert commit_of(repository) == head(repository)


def test_packed_references_and_a_detached_head_are_read(repository):
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert commit_of(repository) == head(repository)
    git(repository, "checkout", "-q", "--detach")
    assert commit_of(repository) == head(repository)


def test_worktrees_and_submodules_are_followed(repository, tmp_path):
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "in the tree")
    assert commit_of(tmp_path / "tree") == head(tmp_path / "tree") != head(repository)
    git(repository, "pack-refs", "--all")
    assert commit_of(tmp_path / "tree") == head(tmp_path / "tree")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repository), "part")
    assert commit_of(outer / "part") == head(outer / "part")


def test_a_repository_without_a_commit_and_a_folder_without_one_have_none(tmp_path):
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None


@pytest.mark.parametrize(
    "written",
    [
        "ref: ../../../outside\n",
        "ref: refs/heads/../../../../outside\n",
        "ref: /etc/passwd\n",
        "ref: refs/heads/loop\n",
        "0123\n",
        "",
        "\0" * 100,
        "ref: refs/heads/a b\n",
    ],
)
def test_a_head_that_leads_elsewhere_is_no_commit(repository, tmp_path, written):
    (tmp_path / "outside").write_text("a" * 40)
    (repository / ".git" / "refs" / "heads" / "loop").write_text("ref: refs/heads/loop\n")
    (repository / ".git" / "HEAD").write_text(written)
    assert commit_of(repository) is None


def test_a_git_file_that_leads_to_a_device_or_nowhere_is_no_repository(tmp_path):
    for place in ("/dev/zero", "nowhere", "\0", "x" * 5000):
        (tmp_path / ".git").write_text(f"gitdir: {place}\n")
        assert commit_of(tmp_path) is None


def test_nothing_of_a_foreign_repository_is_run(repository, tmp_path):
    """What `git status` would run: a monitor of the file system, and the filter of a file that has changed."""
    (repository / "file").write_text("x")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "files")
    ran = tmp_path / "RAN"
    git(repository, "config", "core.fsmonitor", f"touch {ran}; false")
    git(repository, "config", "filter.evil.clean", f"touch {ran}; cat")
    (repository / "file").write_text("y")
    git_tells = subprocess.run(
        ["git", "-C", str(repository), "status", "--porcelain"], capture_output=True, check=False
    )
    assert git_tells.returncode == 0
    assert ran.exists()  # git does run it
    ran.unlink()
    assert commit_of(repository) is not None
    assert not ran.exists()
