"""kill -9 at random moments: what is on disk is whole, and the run that goes on ends in the same bits.

TINYDIFF_KILLS sets how many kills; `make kills` does 50.
"""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np

from tinydiff.app.directory import Run

KILLS = int(os.environ.get("TINYDIFF_KILLS", "10"))

ARGUMENTS = ["circles", "--conditional", "--steps", "400", "--batch", "16", "--width", "64", "--save-every", "1"]


def start(path, *more):
    command = [sys.executable, "-m", "tinydiff", "train", *ARGUMENTS, "--out", str(path), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def wait(process, seconds):
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def finish(path, *more):
    process = start(path, *more)
    _, said = process.communicate()
    assert process.returncode == 0, said


def test_runs_killed_at_random_moments_go_on_bit_for_bit(tmp_path):
    """Each kill leaves one whole checkpoint, or none before the first; after them all the resumed run is the same."""
    whole, run = Run(tmp_path / "whole", None), Run(tmp_path / "run", None)
    began = time.monotonic()
    process = start(whole.path)
    while not whole.checkpoint.exists():
        time.sleep(0.01)
    startup = time.monotonic() - began
    _, said = process.communicate()
    assert process.returncode == 0, said
    training = time.monotonic() - began - startup

    rng, steps = np.random.default_rng(), [0]
    while len(steps) <= KILLS:
        process = start(run.path, *["--resume"] * (run.path / "config.json").exists())
        if rng.random() < 0.2:
            wait(process, rng.uniform(0, startup))
        else:  # from its first checkpoint on, however long the machine takes to start
            before = stamp(run.checkpoint)
            while process.poll() is None and stamp(run.checkpoint) == before:
                time.sleep(0.002)
            wait(process, rng.uniform(0, 0.5 * training / KILLS + 0.02))
        process.kill()
        process.communicate()
        assert process.returncode in (0, -9)
        steps.append(Run.open(run.path).load().state.step if run.checkpoint.exists() else steps[-1])
        assert steps[-1] >= steps[-2], "a kill lost a checkpoint"
        parts = [path.name for path in run.path.glob("*.part.*") if run.path.exists()]
        assert len(parts) <= 1
    assert len(set(steps)) > 2, f"no kill fell into training: {steps}"
    if not (run.path / "config.json").exists():
        finish(run.path)
    finish(run.path, "--resume")

    with np.load(whole.checkpoint) as a, np.load(run.checkpoint) as b:
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert [row[:3] for row in whole.read_log()] == [row[:3] for row in run.read_log()]
    assert (whole.path / "samples.png").read_bytes() == (run.path / "samples.png").read_bytes()
