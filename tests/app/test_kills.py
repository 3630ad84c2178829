"""A kill at any moment: what is on disk is whole, and the run that goes on ends in the same bits.

TINYDIFF_KILLS sets how many kills the slow test does; `make kills` does 50.
"""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tinydiff.app.config import Config, open_data
from tinydiff.app.directory import Run

KILLS = int(os.environ.get("TINYDIFF_KILLS", "10"))

ARGUMENTS = ["circles", "--conditional", "--steps", "400", "--batch", "16", "--width", "64", "--save-every", "1"]
KILLED = -9 if os.name == "posix" else 1
"""The exit code of a process that was killed."""


def python(*arguments):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, *arguments], env=environment, **pipes)


def start(path, *more):
    return python("-m", "tinydiff", "train", *ARGUMENTS, "--out", str(path), *more)


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def wait_for_another_checkpoint(process, run, before):
    """Until one is there whose time is not that of before, or the process has ended."""
    while process.poll() is None and stamp(run.checkpoint) == before:
        time.sleep(0.002)


def kill(process, seconds):
    """After so many seconds, unless it ends before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    _, said = process.communicate()
    assert process.returncode in (0, KILLED), said


def finish(process):
    _, said = process.communicate()
    assert process.returncode == 0, said


def test_a_killed_run_leaves_a_whole_checkpoint_and_goes_on_bit_for_bit(tmp_path, befall, assert_same):
    """The quick kin of the next: one kill, while checkpoints are written one after another."""
    config = Config("circles", conditional=True, width=8, blocks=1, batch=8, steps=10**6, save_every=1)
    run, whole = (Run.create(tmp_path / name, config) for name in ("run", "whole"))
    code = "import sys; from tinydiff.app.directory import Run; from tinydiff.app.config import open_data"
    process = python("-c", f"{code}; Run.open(sys.argv[1]).train(open_data('circles'))", str(run.path))
    wait_for_another_checkpoint(process, run, 0)
    kill(process, np.random.default_rng().uniform(0, 0.3))
    assert len(list(run.path.glob("*.part.*"))) <= 1

    befall(run.load().state.step + 3, KeyboardInterrupt())
    for each in (run, Run(whole.path, replace(config, save_every=config.steps))):
        with pytest.raises(KeyboardInterrupt):
            each.train(open_data("circles"))
    assert_same(run, whole)


@pytest.mark.slow
def test_runs_killed_at_random_moments_go_on_bit_for_bit(tmp_path, assert_same):
    """Each kill leaves one whole checkpoint, or none before the first; after them all the resumed run is the same."""
    whole, run = Run(tmp_path / "whole", None), Run(tmp_path / "run", None)
    began = time.monotonic()
    process = start(whole.path)
    wait_for_another_checkpoint(process, whole, 0)
    startup = time.monotonic() - began
    finish(process)
    training = whole.read_log()[-1][3]

    rng, steps = np.random.default_rng(), [0]
    while len(steps) <= KILLS:
        process = start(run.path, *["--resume"] * (run.path / "config.json").exists())
        if len(steps) % 5 == 3:
            kill(process, rng.uniform(0, startup))
        else:  # from its first checkpoint on, however long the machine takes to start; on average half the run in all
            wait_for_another_checkpoint(process, run, stamp(run.checkpoint))
            kill(process, rng.uniform(0, training / KILLS))
        steps.append(Run.open(run.path).load().state.step if run.checkpoint.exists() else steps[-1])
        assert steps[-1] >= steps[-2], "a kill lost a checkpoint"
        assert len(list(run.path.glob("*.part.*"))) <= 1
    assert len(set(steps)) > 2, f"no kill fell into training: {steps}"
    finish(start(run.path, *["--resume"] * (run.path / "config.json").exists()))
    assert_same(run, whole)
    assert (whole.path / "samples.png").read_bytes() == (run.path / "samples.png").read_bytes()
