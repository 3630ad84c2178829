"""A file is the old one or the new one, whole, whatever stops the writing: an exception, a full disk, a kill."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinydiff.app import checkpoint
from tinydiff.app.sampling import write_points
from tinydiff.files import atomic
from tinydiff.learned.optim import OptimizerState
from tinydiff.learned.train import TrainState

OLD, NEW = b"the old content", b"new " * 5000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.name.npz"
    path.write_bytes(OLD)
    return path


def write(path):
    with atomic(path) as part:
        part.write_bytes(NEW)


def assert_untouched(path):
    """The old file alone, as it was."""
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("name", ["figure.png", "archive.tar.gz", "plain", ".hidden"])
def test_what_was_written_arrives(tmp_path, monkeypatch, name):
    """In the place of no file, a shorter or a longer one, all of it; a path may be text, and relative.

    Until then it is beside the file, since renaming is atomic only within a file system; with the same suffix, since
    writers go by that.
    """
    monkeypatch.chdir(tmp_path)
    for target, content in ((name, OLD), (tmp_path / name, NEW), (name, OLD)):
        with atomic(target) as part:
            assert part.name != name
            assert part.parent == Path(target).parent
            assert part.suffix == Path(name).suffix or not Path(name).suffix
            part.write_bytes(content)
        assert Path(name).read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_the_content_is_on_the_disk_before_the_name_points_to_it(path, monkeypatch):
    """A power cut after the rename must not find an empty file: fsync of the very file, then the rename."""
    synced = []

    def fsync(descriptor):
        assert path.read_bytes() == OLD
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path)
    assert synced == [path.stat().st_ino]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [True, False], ids=["with an old file", "without"])
def test_an_exception_leaves_things_as_they_were(path, error, old):
    """The old file or none, no temporary file, and the exception goes on to the caller."""
    if not old:
        path.unlink()

    def fail():
        with atomic(path) as part:
            part.write_bytes(NEW[:100])
            raise error("why")

    with pytest.raises(error, match="why"):
        fail()
    if old:
        assert_untouched(path)
    else:
        assert list(path.parent.iterdir()) == []


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


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")], ids=["fsync", "replace"])
def test_a_failure_after_the_writing_leaves_things_as_they_were(path, owner, step, monkeypatch):
    """Disks report that they are full as late as in fsync; a rename may be refused."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, step, full)
    with pytest.raises(OSError, match="No space left"):
        write(path)
    assert_untouched(path)


def save_state(path):
    x = np.zeros(5000)
    state = TrainState(1, x, x, OptimizerState(x, x, 1), np.random.default_rng(0).bit_generator.state, 1.0, 1.0)
    checkpoint.save(path, state)


@pytest.fixture
def full_disk():
    """No file grows beyond 4096 bytes."""
    resource = pytest.importorskip("resource", reason="a limit on the size of files stands for the full disk")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_points(path):
    write_points(path, np.zeros((5000, 2)), None)


WRITERS = {"words.txt": write, "checkpoint.npz": save_state, "draws.npy": save_points, "draws.csv": save_points}


@pytest.mark.parametrize("name", WRITERS)
def test_what_does_not_fit_leaves_the_old_file_and_an_error_that_names_it(tmp_path, full_disk, capfd, name):
    """The kernel refuses a write half-way. NumPy's own writers do not name the file; some print a traceback as well."""
    path = tmp_path / name
    path.write_bytes(OLD)
    with pytest.raises(OSError, match="File too large") as caught:
        WRITERS[name](path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert_untouched(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("name", "writer"), [("checkpoint.npz", "savez"), ("draws.npy", "save")])
def test_numpys_writers_never_see_the_disk(tmp_path, monkeypatch, name, writer):
    """On a full one NumPy 2.0's print a traceback, or raise an error without a file; they write to memory."""
    files, write = [], getattr(np, writer)

    def noted(file, *content, **more):
        files.append(file)
        write(file, *content, **more)

    monkeypatch.setattr(np, writer, noted)
    WRITERS[name](tmp_path / name)
    assert [type(file) for file in files] == [io.BytesIO]


def test_a_writer_that_dies_leaves_the_old_file_and_the_next_one_cleans_up(path):
    code = f"""
import os
from tinydiff.files import atomic
with atomic({str(path)!r}) as part, part.open("wb") as file:
    file.write(b"new")
    file.flush()
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 9
    assert path.read_bytes() == OLD
    write(path)
    assert path.read_bytes() == NEW
    assert [each.name for each in path.parent.iterdir()] == [path.name]
