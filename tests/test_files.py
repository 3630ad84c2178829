"""A file is the old one or the new one, whole, whatever stops the writing: an exception, a full disk, a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinydiff.files import atomic

OLD, NEW = b"the old content", b"new " * 5000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.name.npz"
    path.write_bytes(OLD)
    return path


def run(code, path):
    """Python in a process of its own, with `atomic` imported and `path` set; its exit status and errors."""
    preamble = (
        f"import os, signal\nfrom pathlib import Path\nfrom tinydiff.files import atomic\npath = Path({str(path)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", preamble + code], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_what_was_written_arrives(path):
    """In the place of an old file, and of none."""
    for target in (path, path.with_name("another.png")):
        with atomic(target) as part:
            part.write_bytes(NEW)
        assert target.read_bytes() == NEW
    assert sorted(each.name for each in path.parent.iterdir()) == ["another.png", "some.name.npz"]


def test_a_shorter_file_replaces_all_of_a_longer_one(path):
    with atomic(path) as part:
        part.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_a_path_may_be_a_string_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic("note.txt") as part:
        part.write_text("hello")
    assert Path("note.txt").read_text() == "hello"


@pytest.mark.parametrize("name", ["figure.png", "moving.gif", "archive.tar.gz", "plain", ".hidden"])
def test_the_temporary_path_is_a_neighbour_with_the_same_suffix(tmp_path, name):
    """Beside it, since renaming is atomic only within a file system; with its suffix, since writers go by that."""
    path = tmp_path / name
    with atomic(path) as part:
        assert part != path
        assert part.parent == path.parent
        assert part.suffix == path.suffix or not path.suffix
        part.write_bytes(NEW)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_the_old_file_is_there_until_the_new_one_is_whole(path):
    with atomic(path) as part, part.open("wb") as file:
        file.write(NEW)
        file.flush()
        assert path.read_bytes() == OLD


def test_the_content_is_on_the_disk_before_the_name_points_to_it(path, monkeypatch):
    """A power cut after the rename must not find an empty file: fsync of the very file, then the rename."""
    synced = []

    def fsync(descriptor):
        assert path.read_bytes() == OLD
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic(path) as part:
        part.write_bytes(NEW)
    assert synced == [path.stat().st_ino]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr
)
@pytest.mark.parametrize("old", [True, False], ids=["with an old file", "without"])
def test_an_exception_leaves_things_as_they_were(path, error, old):
    """The old file or none, no temporary file, and the exception goes on to the caller."""
    if not old:
        path.unlink()
    before = [each.name for each in path.parent.iterdir()]

    def write():
        with atomic(path) as part:
            part.write_bytes(NEW[:100])
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert [each.name for each in path.parent.iterdir()] == before
    assert not old or path.read_bytes() == OLD


def test_an_error_of_the_disk_names_the_file(path):
    """Since a full disk does not say whose file it was; what names another file is left alone."""
    with pytest.raises(OSError, match=r"No space left on device: .*some\.name\.npz") as caught, atomic(path):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, atomic(path):
        path.with_name("nowhere").read_bytes()
    assert caught.value.filename == str(path.with_name("nowhere"))
    with pytest.raises(OSError, match=r"^only words$"), atomic(path):
        raise OSError("only words")


def test_a_writer_that_wrote_nothing_is_an_error(path):
    with pytest.raises(FileNotFoundError), atomic(path):
        pass
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_after_the_writing_leaves_things_as_they_were(path, step, monkeypatch):
    """Disks report that they are full as late as in fsync; a rename may be refused."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"), atomic(path) as part:
        part.write_bytes(NEW)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == OLD


def test_a_file_that_outgrows_its_limit_leaves_the_old_one(path):
    """A write that the kernel refuses half-way, as on a full disk: EFBIG beyond RLIMIT_FSIZE."""
    pytest.importorskip("resource")
    code = """
import errno, resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    with atomic(path) as part:
        part.write_bytes(b"new " * 5000)
except OSError as error:
    raise SystemExit(7 if error.errno == errno.EFBIG and str(path) in str(error) else 8)
"""
    assert run(code, path) == (7, "")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == OLD


@pytest.mark.parametrize(
    ("death", "status"),
    [("os._exit(9)", 9), ("os.kill(os.getpid(), signal.SIGKILL)", -getattr(signal, "SIGKILL", 9))],
    ids=["exit", "kill"],
)
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(path, death, status):
    code = f"""
with atomic(path) as part, part.open("wb") as file:
    file.write(b"new")
    file.flush()
    {death}
"""
    assert run(code, path) == (status, "")
    assert path.read_bytes() == OLD
    with atomic(path) as part:
        part.write_bytes(NEW)
    assert path.read_bytes() == NEW
    assert [each.name for each in path.parent.iterdir()] == [path.name]
