"""A run's directory: resumed, it ends in the same bits; whatever stops it, what was saved is whole."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import checkpoint
from tinydiff.app.config import Config, open_data
from tinydiff.app.directory import LOG, Run, differing, fingerprint_of

SMALL = Config("circles", conditional=True, width=8, blocks=1, steps=12, batch=16, save_every=5)


class Stop(Exception):
    pass


def go_on(run):
    return Run.open(run.path).train(open_data(run.config.name))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, train_run):
    """A run that never stopped, which stays as it is."""
    return train_run(tmp_path_factory.mktemp("whole"), SMALL)


@pytest.fixture
def run(tmp_path, whole):
    """A copy of it."""
    return Run.open(shutil.copytree(whole.path, tmp_path / "run"))


@pytest.mark.parametrize("at", [1, 5, 6, 11, 12])
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_a_run_stopped_at_any_step_and_resumed_equals_one_that_never_stopped(
    whole, tmp_path, befall, assert_same, at, error
):
    """Stopped hard, it goes on from the last multiple of save_every; interrupted, from the step before."""
    run = Run.create(tmp_path, SMALL)
    befall(at, error())
    interrupted = error is KeyboardInterrupt
    with pytest.raises(error, match=f"step {at - 1} is saved in .*: go on with --resume" if interrupted else None):
        run.train(open_data("circles"))
    saved = (at - 1) if interrupted else (at - 1) // 5 * 5
    assert (run.load().state.step if run.checkpoint.exists() else 0) == saved
    befall(0, None)
    go_on(run)
    assert_same(run, whole)


def test_a_run_that_is_done_stays_as_it_is(run):
    before = run.checkpoint.read_bytes(), run.log.read_bytes()
    assert go_on(run).state.step == 12
    assert (run.checkpoint.read_bytes(), run.log.read_bytes()) == before


def test_the_log_has_a_line_for_each_step_and_a_clock_that_goes_on(tmp_path, befall):
    """Lines from before stay, one that was cut short goes; a lost log is begun anew."""
    run = Run.create(tmp_path, SMALL)
    befall(8, Stop())
    with pytest.raises(Stop):
        run.train(open_data("circles"))
    befall(12, Stop())
    late = [f"{step},0.5,0.5,{1000 + step}" for step in (4, 5)]
    lines = run.log.read_text(encoding="utf-8").splitlines()
    cut_short = "8,0.1"
    run.log.write_text("\n".join([*lines[:4], *late, *lines[6:], cut_short]), encoding="utf-8")
    with pytest.raises(Stop):
        go_on(run)
    with run.log.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == LOG
    assert [int(row[0]) for row in rows] == list(range(1, 12))
    assert [row[1] for row in rows[3:5]] == ["0.5", "0.5"]
    assert float(rows[5][3]) > 1005
    run.log.unlink()
    befall(0, None)
    go_on(run)
    assert [row[0] for row in run.read_log()] == [11, 12]


def test_every_option_reaches_training_and_the_model_is_the_average(tmp_path, train_run):
    """A run whose options all differ from the defaults is `train` with these arguments, to the bit."""
    options = {
        "steps": 4, "batch": 9, "optimizer": "adam", "lr": 1e-3, "weight": "min_snr", "times": "uniform",
        "targets": "single", "ema": 0.3, "label_dropout": 0.6,
    }  # fmt: skip
    of_network = {"prediction": "eps", "norm": True}
    config = Config("moons32", conditional=True, process="cosine", width=6, blocks=2, seed=7, **options, **of_network)
    assert len(differing(config, Config("moons32"))) == 16  # all but the name, what is of pictures, and save_every
    trained = train_run(tmp_path, config).load()
    network = td.TimeMLP(2, 6, 2, classes=2, **of_network)
    last = td.last(td.train(network, td.Cosine(), td.toys.moons32(), rng=7, **options))
    np.testing.assert_array_equal(trained.model.theta, last.ema)
    np.testing.assert_array_equal(trained.state.theta, last.theta)
    assert trained.model.network == network
    assert trained.model.process == td.Cosine()


def test_a_second_run_does_not_replace_the_first_unless_it_may(run):
    before, other = run.checkpoint.read_bytes(), replace(SMALL, seed=1)
    with pytest.raises(FileExistsError, match="holds a run: go on with --resume, or choose another --out"):
        Run.create(run.path, other)
    assert run.checkpoint.read_bytes() == before
    again = Run.create(run.path, other, overwrite=True)
    assert not again.log.exists()
    assert not again.checkpoint.exists()
    assert Run.open(run.path).config.seed == 1


def test_a_run_that_saved_nothing_may_be_replaced_and_a_log_of_others_may_not(tmp_path):
    Run.create(tmp_path / "run", SMALL).log.write_text("step,loss", encoding="utf-8")
    assert not Run.create(tmp_path / "run", replace(SMALL, lr=1.0)).log.exists()
    assert Run.open(str(tmp_path / "run")).config.lr == 1.0
    (tmp_path / "log.csv").write_text("precious", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"log\.csv is not of a run: choose another --out"):
        Run.create(tmp_path, SMALL)
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == "precious"


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: there is no config\.json in it"):
        Run.open(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no checkpoint yet: train with --resume"):
        Run.create(tmp_path, SMALL).load()


def test_a_checkpoint_of_another_configuration_is_said(run):
    path = run.path / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"width": 9}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"checkpoint\.npz does not fit .*config\.json: theta must be"):
        Run.open(run.path).load()
    state, more = checkpoint.load(run.checkpoint)
    for name in ("dim", "classes", "picture", "shift"):
        checkpoint.save(run.checkpoint, state, **{key: value for key, value in more.items() if key != name})
        with pytest.raises(ValueError, match=rf"checkpoint\.npz does not fit .*{name}"):
            run.load()


def test_points_that_changed_since_the_run_began_are_said(tmp_path, rng, train_run):
    path = tmp_path / "mine.npy"
    points = rng.standard_normal((40, 3)) * [1, 10, 100] + 5
    np.save(path, points)
    run = train_run(tmp_path / "run", replace(SMALL, name=str(path), conditional=False))
    trained = run.load()
    np.testing.assert_allclose(trained.shift, points.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(trained.scale, points.std(axis=0), rtol=1e-14)
    back = trained.restore(open_data(str(path)).x)
    assert len(back) == 36  # a tenth is unseen
    rows = [int(np.argmin(np.linalg.norm(points - row, axis=1))) for row in back]
    np.testing.assert_allclose(back, points[rows], rtol=1e-12)
    assert len(set(rows)) == 36
    go_on(run)
    points[3, 1] += 1
    np.save(path, points)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not what it was when this run began"):
        go_on(run)


def test_the_fingerprint_sees_points_and_labels(rng):
    x, y = rng.standard_normal((5, 2)), np.arange(5)
    one = np.ones(2)
    prints = {fingerprint_of(td.Dataset(*pair, one, one)) for pair in ((x, None), (x, y), (2 * x, y), (x, y[::-1]))}
    assert len(prints) == 4
    assert fingerprint_of(td.toys.ring8()) == ""
