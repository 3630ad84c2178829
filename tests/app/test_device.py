"""--device gpu: the run of the processor, computed elsewhere; array-api-strict's second device stands in for it."""

import re
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from tinydiff import backend
from tinydiff.app import checkpoint, cli, runs
from tinydiff.app.config import Config, write_config
from tinydiff.app.sampling import Draw

CONFIG = Config("circles", conditional=True, width=8, blocks=1, steps=6, batch=32, save_every=3)


@pytest.fixture
def gpu(monkeypatch):
    """A device on which NumPy's arrays are refused; the samplers and training must take all that they use there."""
    strict = pytest.importorskip("array_api_strict")
    asked = []

    def device_like(name):
        asked.append(name)
        return strict.empty(0, dtype=strict.float32, device=strict.Device("device1"))

    monkeypatch.setattr(backend, "device_like", device_like)
    monkeypatch.setattr(runs, "measure", lambda run, trained, *rest: {"figures": [], "on": type(trained.model.theta)})
    monkeypatch.setattr(runs, "table", str)
    return asked


def vectors(path):
    """The parameters and averages of a run's checkpoint."""
    state, _ = checkpoint.load(path / "checkpoint.npz")
    return np.concatenate([state.theta, state.ema, state.optimizer.mu, state.optimizer.nu])


def test_a_run_on_a_device_is_that_of_the_host(gpu, tmp_path):
    """One seed, one run: parameters to rounding, in checkpoints that either goes on with; reports are the host's."""
    runs.train(CONFIG, tmp_path / "cpu")
    assert not gpu
    assert runs.train(CONFIG, tmp_path / "gpu", device="gpu")["on"] is np.ndarray
    assert gpu == ["gpu"]
    np.testing.assert_allclose(vectors(tmp_path / "gpu"), vectors(tmp_path / "cpu"), rtol=1e-4, atol=1e-6)
    for device, other in (("cpu", "gpu"), ("gpu", "cpu")):
        out = tmp_path / f"{device} then {other}"
        runs.train(CONFIG, out, device=device)
        write_config(out / "config.json", replace(CONFIG, steps=9))
        runs.train(CONFIG, out, resume=True, device=other)
    ends = [vectors(tmp_path / name) for name in ("cpu then gpu", "gpu then cpu")]
    np.testing.assert_allclose(*ends, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "probability_flow"])
def test_samples_from_a_device_are_those_of_the_host(gpu, tmp_path, sampler):
    runs.train(CONFIG, tmp_path / "run")
    draws = [
        runs.sample(Draw(tmp_path / "run", tmp_path / f"{on}.npy", n=20, w=0.5, sampler=sampler, steps=5, device=on))
        for on in ("cpu", "gpu")
    ]
    assert gpu == ["gpu"]
    assert type(draws[1]) is np.ndarray
    np.testing.assert_allclose(draws[1], draws[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("code", "says", "more"), [(1, "CuPy is not here", []), (2, "--device gpu and --mpi do not go together", ["--mpi"])]
)
def test_where_no_gpu_can_be_one_sentence_says_so_and_nothing_is_written(
    tmp_path, capfd, monkeypatch, code, says, more
):
    monkeypatch.setattr(backend, "device_like", Mock(side_effect=ValueError("CuPy is not here")))
    monkeypatch.setattr(cli, "world", lambda: SimpleNamespace(rank=0, size=1))
    assert cli.main(["train", "ring8", "--out", str(tmp_path / "run"), "--device", "gpu", *more]) == code
    assert re.fullmatch(f"tinydiff: {says}.*\n", capfd.readouterr().err)
    assert not (tmp_path / "run").exists()
