"""A run's directory: resumed, it ends in the same bits; whatever stops it, what was saved is whole."""

import csv
import errno
import json
import re
from dataclasses import replace

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import checkpoint, directory
from tinydiff.app.config import Config, open_data
from tinydiff.app.directory import LOG, Run, Trained, differing, fingerprint_of

SMALL = Config("moons32", conditional=True, width=8, blocks=1, steps=12, batch=16, save_every=5)


def state_of(run):
    """All arrays and numbers of the checkpoint."""
    with np.load(run.checkpoint) as arrays:
        return dict(arrays)


def assert_same(a, b):
    """Two runs hold the same bits, but for the clock."""
    x, y = state_of(a), state_of(b)
    assert set(x) == set(y)
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
        assert x[name].dtype == y[name].dtype
    assert [row[:3] for row in a.read_log()] == [row[:3] for row in b.read_log()]


def train(path, config=SMALL):
    run = Run.create(path, config)
    run.train(open_data(config.name))
    return run


class Stop(Exception):
    pass


def stopping(monkeypatch, at, error):
    """Let training raise the error in the place of its step `at`."""

    def stopped(*arguments, **kwargs):
        for state in td.train(*arguments, **kwargs):
            if state.step == at:
                raise error
            yield state

    monkeypatch.setattr(directory, "train", stopped)


@pytest.mark.parametrize("at", range(1, 13))
@pytest.mark.parametrize("error", [Stop(), KeyboardInterrupt()])
def test_a_run_stopped_at_any_step_and_resumed_equals_one_that_never_stopped(tmp_path, monkeypatch, at, error):
    """Stopped hard, it goes on from the last multiple of save_every; interrupted, from the step before."""
    whole = train(tmp_path / "whole")
    run = Run.create(tmp_path / "run", SMALL)
    with monkeypatch.context() as patch:
        stopping(patch, at, error)
        says = f"step {at - 1} is saved in .*: go on with --resume" if isinstance(error, KeyboardInterrupt) else None
        with pytest.raises(type(error), match=says):
            run.train(open_data("moons32"))
    saved = (at - 1) if isinstance(error, KeyboardInterrupt) else (at - 1) // 5 * 5
    assert run.checkpoint.exists() == (saved > 0)
    if saved:
        assert run.load().state.step == saved
    Run.open(run.path).train(open_data("moons32"))
    assert_same(run, whole)


def test_a_run_that_is_done_stays_as_it_is(tmp_path):
    run = train(tmp_path)
    before = run.checkpoint.read_bytes(), run.log.read_bytes()
    assert run.train(open_data("moons32")).state.step == 12
    assert (run.checkpoint.read_bytes(), run.log.read_bytes()) == before


def test_the_log_has_a_line_for_each_step_and_a_clock_that_goes_on(tmp_path, monkeypatch):
    run = Run.create(tmp_path, SMALL)
    with monkeypatch.context() as patch:
        stopping(patch, 8, Stop())
        with pytest.raises(Stop):
            run.train(open_data("moons32"))
    late = [f"{step},0.5,0.5,{1000 + step}" for step in (4, 5)]
    lines = run.log.read_text().splitlines()
    run.log.write_text("\n".join([*lines[:4], *late, *lines[6:], "8,0.1"]))  # and a line cut short
    run.train(open_data("moons32"))
    with run.log.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == LOG
    assert [int(row[0]) for row in rows] == list(range(1, 13))
    assert [row[1] for row in rows[3:5]] == ["0.5", "0.5"]
    assert float(rows[5][3]) > 1005


def test_a_lost_log_is_begun_anew(tmp_path, monkeypatch):
    run = Run.create(tmp_path, SMALL)
    with monkeypatch.context() as patch:
        stopping(patch, 7, Stop())
        with pytest.raises(Stop):
            run.train(open_data("moons32"))
    run.log.unlink()
    run.train(open_data("moons32"))
    assert [row[0] for row in run.read_log()] == list(range(6, 13))


def test_the_model_of_a_checkpoint_is_the_average(tmp_path):
    run = train(tmp_path)
    trained = run.load()
    network = td.TimeMLP(2, 8, 1, classes=2)
    last = td.last(td.train(network, td.VP(), td.toys.moons32(), steps=12, batch=16, rng=SMALL.seed))
    np.testing.assert_array_equal(trained.model.theta, last.ema)
    np.testing.assert_array_equal(trained.state.theta, last.theta)
    assert trained.model.network.classes == 2
    assert trained.model.process == td.VP()


def test_a_second_run_does_not_replace_the_first(tmp_path):
    run = train(tmp_path)
    before = run.checkpoint.read_bytes()
    with pytest.raises(FileExistsError, match="holds a run: go on with --resume, or choose another --out"):
        Run.create(tmp_path, replace(SMALL, seed=1))
    assert run.checkpoint.read_bytes() == before
    again = Run.create(tmp_path, replace(SMALL, seed=1), overwrite=True)
    assert not again.log.exists()
    assert not again.checkpoint.exists()
    assert Run.open(tmp_path).config.seed == 1


def test_a_run_that_saved_nothing_may_be_replaced_and_a_log_of_others_may_not(tmp_path):
    Run.create(tmp_path / "run", SMALL).log.write_text("step,loss")
    assert not Run.create(tmp_path / "run", replace(SMALL, lr=1.0)).log.exists()
    assert Run.open(str(tmp_path / "run")).config.lr == 1.0
    (tmp_path / "log.csv").write_text("precious")
    with pytest.raises(FileExistsError, match=r"log\.csv is not of a run: choose another --out"):
        Run.create(tmp_path, SMALL)
    assert (tmp_path / "log.csv").read_text() == "precious"


def test_restore_is_the_inverse_of_standardising(rng):
    x, shift, scale = rng.standard_normal((5, 3)), np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0])
    trained = Trained(None, None, shift, scale, "")
    np.testing.assert_allclose((trained.restore(x) - shift) / scale, x, rtol=1e-12)


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: there is no config\.json in it"):
        Run.open(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no checkpoint yet: train with --resume"):
        Run.create(tmp_path, SMALL).load()


def test_a_checkpoint_of_another_configuration_is_said(tmp_path):
    run = train(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"width": 9}))
    with pytest.raises(ValueError, match=r"checkpoint\.npz does not fit .*config\.json: theta must be"):
        Run.open(tmp_path).load()
    state, _ = checkpoint.load(run.checkpoint)
    checkpoint.save(run.checkpoint, state, dim=np.array(2))
    with pytest.raises(ValueError, match=r"checkpoint\.npz does not fit .*classes"):
        run.load()


def test_points_that_changed_since_the_run_began_are_said(tmp_path, rng):
    path = tmp_path / "mine.npy"
    points = rng.standard_normal((40, 3)) * [1, 10, 100] + 5
    np.save(path, points)
    config = replace(SMALL, name=str(path), conditional=False)
    run = train(tmp_path / "run", config)
    trained = run.load()
    np.testing.assert_allclose(trained.shift, points.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(trained.scale, points.std(axis=0), rtol=1e-14)
    run.train(open_data(str(path)))
    points[3, 1] += 1
    np.save(path, points)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not what it was when this run began"):
        run.train(open_data(str(path)))


def test_the_fingerprint_sees_points_and_labels(rng):
    x, y = rng.standard_normal((5, 2)), np.arange(5)
    one = np.ones(2)
    prints = {
        fingerprint_of(td.Dataset(*pair, one, one)) for pair in ((x, None), (x, y), (x + 1e-16 + x, y), (x, y[::-1]))
    }
    assert len(prints) == 4
    assert fingerprint_of(td.toys.ring8()) == ""


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint_whole(tmp_path):
    with pytest.raises(FloatingPointError, match=r"at step \d+: .* nothing was saved yet\."):
        Run.create(tmp_path, replace(SMALL, lr=1e30, norm=True, save_every=200, steps=200)).train(open_data("moons32"))
    run = Run.create(tmp_path, replace(SMALL, lr=1e30, save_every=1, norm=True, steps=200))
    with pytest.raises(FloatingPointError, match=r"at step (\d+): try lr below 1e\+30.* keeps the checkpoint of step"):
        run.train(open_data("moons32"))
    state = checkpoint.load(run.checkpoint)[0]
    assert np.all(np.isfinite(state.theta))
    assert state.step == len(run.read_log())


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch, nth):
    """The n-th writing of a checkpoint fails half way: what is there is the one before, and resuming ends the same."""
    whole = train(tmp_path / "whole")
    run, calls, savez = Run.create(tmp_path / "run", SMALL), [], np.savez

    def full(file, **arrays):
        calls.append(0)
        if len(calls) == nth:
            file.write(b"PK\3\4 the beginning of a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        savez(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            run.train(open_data("moons32"))
    assert [path.name for path in run.path.iterdir() if "part" in path.name] == []
    assert (run.load().state.step if run.checkpoint.exists() else 0) == 5 * (nth - 1)
    run.train(open_data("moons32"))
    assert_same(run, whole)


def test_differing_names_the_options():
    assert differing(SMALL, SMALL) == []
    assert differing(SMALL, replace(SMALL, lr=1.0, seed=3)) == ["lr", "seed"]


def test_every_option_reaches_training(tmp_path):
    """A run whose options all differ from the defaults is `train` with these arguments, to the bit."""
    config = Config(
        "moons32", conditional=True, process="cosine", prediction="eps", width=6, blocks=2, norm=True, steps=4, batch=9,
        lr=1e-3, weight="min_snr", times="uniform", targets="single", ema=0.3, label_dropout=0.6,
        seed=7,
    )  # fmt: skip
    run = train(tmp_path, config)
    network = td.TimeMLP(2, 6, 2, classes=2, prediction="eps", norm=True)
    arguments = {
        "steps": 4,
        "batch": 9,
        "lr": 1e-3,
        "weight": "min_snr",
        "times": "uniform",
        "ema": 0.3,
        "targets": "single",
    }
    states = td.train(network, td.Cosine(), td.toys.moons32(), label_dropout=0.6, rng=7, **arguments)
    np.testing.assert_array_equal(run.load().model.theta, td.last(states).ema)
