import errno
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

import nnexp._files as files
from nnexp._errors import PathError
from nnexp._files import (
    Lock,
    LockError,
    append,
    as_path,
    cut_torn_tail,
    open_to_append,
    parse_json,
    read_whole,
    replacing,
    write_text,
)


@pytest.fixture(params=["unnamed", "named"])
def way(request, monkeypatch):
    """Both ways a file is written before it takes its place: without a name, or with one of its own."""
    if request.param == "named":
        monkeypatch.setattr(files, "_unnamed", lambda folder: None)
    return request.param


def write_many(path, text, times):
    for _ in range(times):
        write_text(path, text)


def test_no_reader_meets_a_mixture_of_two_writers(tmp_path, way):
    path = tmp_path / "report.html"
    texts = ["a" * 200_000, "b" * 150_000]
    write_text(path, texts[0])
    writers = [multiprocessing.Process(target=write_many, args=(path, text, 100)) for text in texts]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
        reads += 1
    assert reads > 10
    assert [own.name for own in tmp_path.iterdir()] == ["report.html"]
    assert [writer.exitcode for writer in writers] == [0, 0]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own(tmp_path, way, mask):
    path = tmp_path / "m"
    before = os.umask(mask)
    try:
        write_text(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        path.chmod(0o640)
        write_text(path, "newer")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_symbolic_link_that_the_user_names_is_followed(tmp_path, way):
    real, link, dangling = tmp_path / "real", tmp_path / "link", tmp_path / "dangling"
    real.write_text("old")
    link.symlink_to(real)
    dangling.symlink_to(tmp_path / "not yet")
    for path in (link, dangling):
        with replacing(path, follow=True) as file:
            file.write(b"new")
        assert path.is_symlink()
        assert path.read_text() == "new"
    assert real.read_text() == "new"


def test_a_symbolic_link_in_a_folder_leads_nowhere(tmp_path, way):
    real, link = tmp_path / "precious", tmp_path / "report.html"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert (real.read_text(), link.read_text(), link.is_symlink()) == ("old", "new", False)
    (tmp_path / "journal").symlink_to(real)
    with pytest.raises(OSError):
        open_to_append(tmp_path / "journal")
    (tmp_path / ".lock").symlink_to(real)
    with pytest.raises(OSError):
        Lock(tmp_path / ".lock").acquire(wait=True)


def test_a_pipe_in_the_place_of_a_lock_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(OSError, match="no regular file"):
        Lock(tmp_path / ".lock").acquire(wait=True)


def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, way):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, "/dev/full"):
        with pytest.raises(OSError, match="no regular file"):
            write_text(path, "x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("operation", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, way, monkeypatch, operation, code):
    path = tmp_path / "m"
    write_text(path, "old")

    def fail(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, operation, fail)
        with pytest.raises(OSError):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert [own.name for own in tmp_path.iterdir()] == ["m"]


KILLED = """
    import os, signal, sys
    import nnexp._files as files
    path, named, operation = sys.argv[1:]
    if named == "named":
        files._unnamed = lambda folder: None
    real = getattr(os, operation)
    def die(*given, **settings):
        os.kill(os.getpid(), signal.SIGKILL)
    files.write_text(path, "old")
    setattr(os, operation, die)
    files.write_text(path, "new")
"""


@pytest.mark.parametrize("operation", ["fsync", "link", "replace"])
def test_a_kill_leaves_the_old_file_and_what_it_leaves_is_removed_by_the_next_writer(tmp_path, way, operation):
    operation = "replace" if way == "named" and operation == "link" else operation  # it has a name from the beginning
    path = tmp_path / "m"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), path, way, operation], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    if way == "unnamed" and operation != "replace":
        assert [own.name for own in tmp_path.iterdir()] == ["m"]
    write_text(tmp_path / "other", "x")
    assert sorted(own.name for own in tmp_path.iterdir()) == ["m", "other"]


@pytest.mark.parametrize("length", [0, 1, 100_000, 70_000])
def test_a_torn_tail_is_cut_where_it_begins_and_whole_lines_stay(tmp_path, length):
    path = tmp_path / "journal"
    whole = b"".join(b"%d\n" % i for i in range(20_000))
    path.write_bytes(whole + b"x" * length)
    file = open_to_append(path)
    assert cut_torn_tail(file) == length
    assert read_whole(file) == whole
    append(file, b"next\n")
    os.close(file)
    assert path.read_bytes() == whole + b"next\n"


def test_a_file_of_one_torn_line_becomes_empty(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(b"x" * 200_000)
    file = open_to_append(path)
    assert cut_torn_tail(file) == 200_000
    os.close(file)
    assert path.read_bytes() == b""


def test_an_append_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    path.write_bytes(b"one\n")
    file = open_to_append(path)
    real = os.write

    def half(descriptor, text):
        if len(text) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(text[:60]))

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        append(file, b"y" * 100 + b"\n")
    os.close(file)
    assert path.read_bytes() == b"one\n"


@pytest.mark.parametrize("path", ["~nosuchuser/x", "a\0b", "x" * 300, "x/" * 3000, "\ud800"])
def test_a_path_that_no_file_can_have_is_a_sentence(path):
    with pytest.raises(PathError, match=r"cannot be used: .*\.$") as caught:
        as_path(path)
    assert len(str(caught.value)) < 400
    str(caught.value).encode()  # it can be printed


def test_a_circle_of_links_is_a_sentence(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(PathError, match="cannot be used"):
        as_path(tmp_path / "a")


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 200 + "]" * 200, '{"a":' * 60 + "1" + "}" * 60, "{", "\ud800"])
def test_json_that_is_none_or_nested_too_deeply_is_refused(text):
    with pytest.raises(ValueError):
        parse_json(text)


def hold(path, ready, seconds):
    lock = Lock(path)
    assert lock.acquire(wait=True)
    ready.set()
    time.sleep(seconds)


def test_a_lock_is_one_processs_at_a_time_and_is_given_up_with_it(tmp_path):
    path = tmp_path / ".lock"
    ready = multiprocessing.Event()
    holder = multiprocessing.Process(target=hold, args=(path, ready, 60))
    holder.start()
    assert ready.wait(10)
    assert not Lock(path).acquire(wait=False)
    holder.kill()
    holder.join()
    lock = Lock(path)
    assert lock.acquire(wait=True)
    assert not Lock(path).acquire(wait=False)  # nor another of this process
    lock.release()
    again = Lock(path)
    assert again.acquire(wait=False)
    again.release()


WITHOUT = """
    import sys
    for name in sys.argv[1].split(","):
        sys.modules[name] = None
    from nnexp.experiment import ResultsError, load_specification, run_experiment
    try:
        print(run_experiment(load_specification(sys.argv[2]), sys.argv[3]).done)
    except ResultsError as error:
        print(error)
"""


@pytest.mark.slow
def test_without_locks_results_are_refused_with_a_sentence(tmp_path):
    experiment = tmp_path / "e.toml"
    experiment.write_text('question = "q?"\n[data.iris]\n[model.a]\nclass = "sklearn.naive_bayes.GaussianNB"\n')
    given = [sys.executable, "-c", textwrap.dedent(WITHOUT), "fcntl", experiment, tmp_path / "results"]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    assert "has no locks for files" in done.stdout
    assert not (tmp_path / "results" / "e" / "journal.jsonl").exists()


def test_a_lock_that_the_file_system_does_not_give_is_a_sentence(tmp_path, monkeypatch):
    import portalocker

    def refuse(*_):
        raise portalocker.exceptions.LockException from OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(LockError, match="gives no locks"):
        Lock(tmp_path / ".lock").acquire(wait=True)
