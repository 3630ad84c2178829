"""The weights of the digits: small, without pickles, and hardly rounded."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td

FOLDER = Path(__file__).parents[2] / "notebooks"
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
spec = importlib.util.spec_from_file_location("weights", FOLDER / "weights.py")
weights = importlib.util.module_from_spec(spec)
spec.loader.exec_module(weights)


def test_what_is_packed_comes_back_to_nine_bits(rng):
    network = td.TimeMLP(5, width=6, blocks=2, classes=3, prediction="x0", norm=True)
    theta = rng.standard_normal(network.size).astype(np.float32)
    same, back = weights.unpack(weights.pack(theta, network))
    assert same == network
    assert back.dtype == np.float32
    assert np.max(np.abs(back / theta - 1)) <= 2**-10 + 2**-11  # of the ninth bit, and of float16 before it


def test_rounding_goes_to_the_nearest():
    numbers = np.arange(1024, 2048, dtype=np.float16)  # whose last bit is worth 1
    for bits in range(4):
        rounded = weights.rounded(numbers, bits).astype(float)
        assert np.max(np.abs(rounded - numbers)) == (2**bits) // 2
        assert np.all(rounded % 2**bits == 0)


def test_a_parameter_beyond_float16_is_refused():
    network = td.TimeMLP(2, width=1, blocks=0)
    with pytest.raises(ValueError, match="beyond float16"):
        weights.pack(np.full(network.size, 1e6, np.float32), network)


def test_the_file_is_small_makes_the_network_of_digits_and_is_what_the_notebook_downloads():
    path = FOLDER / "digits.npz"
    assert path.stat().st_size <= 8_000_000
    with np.load(path, allow_pickle=False) as arrays:
        network, theta = weights.unpack(dict(arrays))
    assert network == td.TimeMLP(784, width=512, blocks=7, classes=10, prediction="x0", norm=True)
    assert theta.shape == (network.size,)
    assert np.all(np.isfinite(theta))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    notebook = FOLDER / "src" / "12_guidance_and_digits.py"
    assert f'SHA256 = "{sha256}"' in notebook.read_text(encoding="utf-8")
