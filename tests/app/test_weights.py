"""Weights in small files: hardly rounded, without pickles, and of the model that they were saved from."""

import re

import numpy as np
import pytest

import tinydiff as td

NETWORKS = [
    td.TimeMLP(5, width=6, blocks=2, classes=3, prediction="x0", norm=True),
    td.TimeMLP(3, width=4, blocks=1, outputs=2),
    td.Mixer((4, 6), patch=2, width=3, blocks=1, classes=2, overlap=1, prediction="edm", sigma_data=0.5),
    td.Mixer((3, 3), patch=2, width=3, blocks=1, outputs=4),
]


COSINE = td.Cosine()


def made(network, process=COSINE, scale=1.0):
    theta = (scale * np.random.default_rng(0).standard_normal(network.size)).astype(np.float32)
    return (td.Classifier if network.outputs else td.NetworkDenoiser)(network, theta, process)


@pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight()], ids=repr)
@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_what_is_saved_comes_back_to_half_precision(tmp_path, network, process):
    model, path = made(network, process), tmp_path / "weights.npz"
    assert td.weights.save(path, model) == path.stat().st_size
    same = td.weights.load(path)
    assert (type(same), same.network, type(same.process)) == (type(model), network, type(process))
    assert same.theta.dtype == np.float32
    np.testing.assert_allclose(same.theta, model.theta, rtol=2**-11, atol=1e-7)


class Own(td.TimeMLP):
    """A network of one's own."""


class OwnProcess(td.VP):
    """A process of one's own."""

    def alpha(self, t):
        """Another clock."""
        return super().alpha(t * t)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (made(NETWORKS[0], scale=1e6), "beyond float16"),
        (made(Own(2, width=2, blocks=0)), "weights are saved of TimeMLP, Mixer; got"),
        (made(NETWORKS[0], td.VP(beta_max=5.0)), "weights are saved under vp, subvp, ve, cosine, straight as"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_is_written(tmp_path, model, says):
    with pytest.raises(ValueError, match=says):
        td.weights.save(tmp_path / "weights.npz", model)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "its format is 2, and this version reads 1"),
        ({"network": "Transformer"}, "'Transformer'"),
        ({"options": "{"}, "Expecting property name"),
        ({"options": '{"dim": 2}'}, "'dim'"),
        ({"process": "vq"}, "vq"),
        ({"theta": np.ones(3, np.float16)}, "theta must be an array"),
        ({"theta": np.array(["a"])}, "could not convert"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, changes, says):
    path = tmp_path / "weights.npz"
    td.weights.save(path, made(NETWORKS[2]))
    with np.load(path) as arrays:
        np.savez(path, **(dict(arrays) | changes))
    with pytest.raises(ValueError, match=re.escape(f"{path} does not hold weights of tinydiff") + f".*{says}"):
        td.weights.load(path)


def test_another_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="model must be a NetworkDenoiser or a Classifier"):
        td.weights.save(tmp_path / "weights.npz", td.Oracle(td.toys.ring8(), td.VP()))


def test_a_broken_file_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "weights.npz"
    td.weights.save(path, made(NETWORKS[2]))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        td.weights.load(path)
    with pytest.raises(FileNotFoundError):
        td.weights.load(tmp_path / "none.npz")
