"""A run that was moved, or whose data were, and a run whose terminal has gone."""

import io
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from tinydiff.app import cli, runs
from tinydiff.app.directory import Run
from tinydiff.app.streams import Lasting

SHORT = ["--steps", "30", "--batch", "16", "--width", "8", "--blocks", "1"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with data/points.npy and runs/mine; no reports are made."""
    monkeypatch.setattr(runs, "measure", lambda run, trained, data, *rest: run.check(data, trained) or {"figures": []})
    monkeypatch.setattr(runs, "table", str)
    folder = tmp_path / "before"
    (folder / "data").mkdir(parents=True)
    np.save(folder / "data" / "points.npy", np.random.default_rng(0).standard_normal((40, 2)))
    monkeypatch.chdir(folder)
    assert cli.main(["train", "data/points.npy", "--out", "runs/mine", *SHORT]) == 0
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_run_that_moves_with_its_data_finds_them(project, tmp_path):
    shutil.move(project, tmp_path / "after")
    assert cli.main(["evaluate", "after/runs/mine"]) == 0
    found = Run.open("after/runs/mine").with_data().config.name
    assert found == str(tmp_path / "after" / "data" / "points.npy")


def test_data_that_moved_elsewhere_are_asked_for_and_must_be_the_same(project, tmp_path, capsys):
    shutil.move(project / "data" / "points.npy", tmp_path / "there.npy")
    assert cli.main(["evaluate", "before/runs/mine"]) == 1
    said = "points.npy is not there, nor beside before/runs/mine: say where it is by --data FILE."
    assert said in capsys.readouterr().err
    assert cli.main(["evaluate", "before/runs/mine", "--data", "there.npy"]) == 0
    assert cli.main(["train", "there.npy", "--resume", "--out", "before/runs/mine"]) == 0
    np.save(tmp_path / "other.npy", np.arange(80.0).reshape(40, 2) ** 2)
    assert cli.main(["train", "other.npy", "--resume", "--out", "before/runs/mine"]) == 1
    assert "other.npy is not what it was when this run began" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_data_while_they_are_there(project, tmp_path, capsys):
    shutil.copy(project / "data" / "points.npy", tmp_path / "copy.npy")
    assert cli.main(["train", "copy.npy", "--resume", "--out", "before/runs/mine"]) == 2
    assert "before/runs/mine holds a run of" in capsys.readouterr().err


class Gone(io.StringIO):
    """A stream at whose other end nobody is."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


def test_what_nobody_reads_is_dropped():
    stream = Lasting(Gone())
    assert stream.write("twelve words") == 12
    stream.flush()
    closed = io.StringIO()
    closed.close()
    assert Lasting(closed).write("a") == 1
    assert Lasting(io.StringIO()).isatty() is False


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_training_ends_well_where_its_pipes_are_closed_and_its_terminal_hangs_up(tmp_path):
    """Both pipes are closed at once, and the process is told that its terminal has gone."""
    words = [sys.executable, "-m", "tinydiff", "train", "circles", "--out", str(tmp_path / "run"), *SHORT]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.read(1)  # it has begun
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0
    assert (tmp_path / "run" / "report.json").is_file()
