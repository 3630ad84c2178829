"""Ten thousand broken files: each is read as what it is, or is one clear error. Nothing else ever comes out.

A file is broken by cutting it, flipping bits, inserting, removing and doubling pieces, or by being any bytes at all.
Where a checksum or a syntax covers all of it, what is read must be what was written.
"""

import gzip
import io
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.app import checkpoint
from tinydiff.app.config import FORMAT, Config, read_config
from tinydiff.datasets.mnist import read_idx

EXAMPLES = 2500
many = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

NASTY = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"nan",
    b"1e999",
    b"-",
    b'"',
    b"{",
    b"[" * 50,
    b",",
    b"\n",
    b"\r",
    b"PK\3\4",
    b"\x93NUMPY",
]


@st.composite
def broken(draw, whole):
    """One of the whole files, broken once or a few times, or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    raw = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted((draw(st.integers(0, len(raw))), draw(st.integers(0, len(raw)))))
        kind = draw(st.sampled_from(["cut", "flip", "insert", "remove", "double"]))
        if kind == "cut":
            del raw[at:]
        elif kind == "flip" and at < len(raw):
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            raw[at:at] = draw(st.sampled_from(NASTY) | st.binary(max_size=4))
        elif kind == "remove":
            del raw[at : min(to, at + 40)]
        elif kind == "double":
            raw[at:at] = raw[at : min(to, at + 40)]
    return bytes(raw)


def outcome(read, path, raw):
    """What is read, or None for one clear error: a ValueError of one line that names the file."""
    path.write_bytes(raw)
    try:
        return read(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("broken")


IDX = b"\0\0\x08\3" + np.array([2, 3, 4], ">u4").tobytes() + bytes(range(24))


@many
@given(raw=broken([IDX, gzip.compress(IDX, mtime=0)]))
def test_idx(folder, raw):
    """Without a checksum a reader can only hold a file to its own header: the shape it says, all bytes used."""
    a = outcome(read_idx, folder / "digits", raw)
    if a is not None:
        inside = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        assert a.dtype == np.uint8
        assert inside == b"\0\0\x08" + bytes([a.ndim]) + np.array(a.shape, ">u4").tobytes() + a.tobytes()


CSV = [b"x,y,label\n1,2,0\n3.5,-4e3,1\n0,7,1\n", b"1,2\r\n3,4\r\n5,6.25\r\n", "\ufeffa\n1\n2\n".encode()]


@many
@given(raw=broken(CSV))
def test_csv(folder, raw):
    """Whatever is read is finite, standardised, and as many labels as points."""
    data = outcome(td.load_points, folder / "points.csv", raw)
    if data is not None:
        n, d = data.x.shape
        assert n >= 2
        assert d >= 1
        assert np.all(np.isfinite(data.x))
        assert np.all(data.scale > 0)
        np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(data.x.std(axis=0), 1, rtol=1e-6)
        assert data.labels is None or data.labels.shape == (n,)


def checkpoint_file(tmp):
    network = td.TimeMLP(2, 2, 1)
    state = td.last(td.train(network, td.VP(), td.toys.ring8(), steps=2, batch=4, rng=0))
    checkpoint.save(tmp, state, shift=np.zeros(2))
    return tmp.read_bytes(), state


def npy_file():
    file = io.BytesIO()
    np.save(file, np.arange(8.0).reshape(4, 2) ** 2)
    return file.getvalue()


@pytest.fixture(scope="module")
def whole_checkpoint(folder):
    return checkpoint_file(folder / "whole.npz")


@many
@given(data=st.data())
def test_npz(folder, whole_checkpoint, data):
    """Checksums cover the arrays: a checkpoint that is read is, to the bit, the one that was written."""
    raw, state = whole_checkpoint
    read = outcome(checkpoint.load, folder / "checkpoint.npz", data.draw(broken([raw])))
    if read is not None:
        for name in ("theta", "ema"):
            np.testing.assert_array_equal(getattr(read[0], name), getattr(state, name))
        np.testing.assert_array_equal(read[0].adam.mu, state.adam.mu)
        np.testing.assert_array_equal(read[0].adam.nu, state.adam.nu)
        assert (read[0].step, read[0].rng_state) == (state.step, state.rng_state)


@many
@given(raw=broken([npy_file()]))
def test_npy(folder, raw):
    """As for .csv."""
    data = outcome(td.load_points, folder / "points.npy", raw)
    if data is not None:
        assert np.all(np.isfinite(data.x))
        np.testing.assert_allclose(data.x.std(axis=0), 1, rtol=1e-6)


CONFIG = json.dumps({"format": FORMAT, **asdict(Config("ring8"))}, indent=1).encode()


@many
@given(raw=broken([CONFIG]))
def test_config(folder, raw):
    """What is read has every entry, each of its type."""
    config = outcome(read_config, folder / "config.json", raw)
    if config is not None:
        plain = asdict(Config("ring8"))
        for name, value in asdict(config).items():
            assert isinstance(value, (int, float) if isinstance(plain[name], float) else type(plain[name]))
