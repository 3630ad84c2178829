"""Runs from end to end, short, and the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest

import tinydiff as td
from tinydiff import cli, runs


def tinydiff(*arguments, **kwargs):
    command = [sys.executable, "-m", "tinydiff", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def test_the_demo_reports_and_draws(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "run"), "--steps", "40"]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    out = capsys.readouterr().out
    for name in ("samples.png", "forward.png", "trajectory.png", "trajectory.gif", "score.png", "loss.png"):
        assert (tmp_path / "run" / name).stat().st_size > 1000
        assert name in out.replace("\n", "")
    assert report["kl_nats"] > 0.05
    assert 0 < report["floor"] < report["loss"]
    assert report["excess"] == pytest.approx(report["loss"] - report["floor"], abs=0.02)
    assert f"{report['kl_nats']:.3f} ± {report['kl_standard_error']:.3f}" in out
    assert report["sliced_w2_true"] < report["sliced_w2"]


def idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_mnist_trains_and_draws(tmp_path, monkeypatch, rng):
    idx(tmp_path / "train-images-idx3-ubyte", rng.integers(0, 256, (50, 28, 28)))
    idx(tmp_path / "train-labels-idx1-ubyte", np.arange(50) % 10)
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path))
    arguments = ["mnist", "--out", str(tmp_path / "run"), "--steps", "3", "--width", "16", "--batch", "8"]
    assert cli.main(arguments) == 0
    assert (tmp_path / "run" / "digits.png").stat().st_size > 1000
    assert json.loads((tmp_path / "run" / "report.json").read_text())["steps"] == 3


def test_the_digits_grid_ends_where_the_weight_stops_growing_and_then_at_zero():
    process = td.Cosine()
    ts = runs.digits_grid(process, 10)
    assert ts[0] == process.t_max
    assert ts[-1] == 0
    assert (process.alpha(ts[-2]) / process.sigma(ts[-2])) ** 2 == pytest.approx(1 / 0.02, rel=1e-9)
    assert np.all(np.diff(ts) < 0)
    np.testing.assert_allclose(np.diff(process.log_snr(ts[:-1]), n=2), 0, atol=1e-8)


def test_training_stops_when_the_time_is_up():
    assert sum(1 for _ in runs.within(iter(int, 1), seconds=0.0)) == 1


def test_help_names_the_commands_and_their_options():
    assert "demo" in tinydiff("--help").stdout
    shown = tinydiff("demo", "--help").stdout
    for word in ("--out", "--toy", "--steps", "--seed", "spiral60"):
        assert word in shown


@pytest.mark.parametrize(
    "arguments", [["dmo"], [], ["demo", "--stps", "3"], ["demo", "--steps", "many"], ["demo", "--toy", "ring9"]]
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments):
    done = tinydiff(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_failures_exit_with_1_and_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("TINYDIFF_MNIST_DIR", raising=False)
    cases = (["demo", "--out", tmp_path / "file"], ["demo", "--steps", "0"], ["mnist", "--out", tmp_path / "x"])
    for arguments, says in zip(cases, ("exists", "steps must be positive; got 0", "TINYDIFF_MNIST_DIR"), strict=True):
        done = tinydiff(*arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert says in done.stderr
        assert done.stderr.startswith("tinydiff: ")
        assert len(done.stderr.strip().splitlines()) == 1


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.json"
    runs.write_json(path, {"kl": 0.5})
    with pytest.raises(TypeError):
        runs.write_json(path, {"kl": object()})
    assert json.loads(path.read_text()) == {"kl": 0.5}
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]
