"""Broken files: each is read as what it is, or is one clear error. Nothing else ever comes out.

A file is broken by cutting it, flipping bits, inserting, removing and doubling pieces, or by being any bytes at all:
fourteen thousand nightly, a sixth of them in `make test`. And each kind of file is cut before each byte of its first
kilobyte, and has each of them changed: 60,000 nightly, every 7th in `make test`. Where a checksum or a syntax covers
all of it, what is read must be what was written.
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
from tinydiff.app.images import is_pictures
from tinydiff.datasets.mnist import read_idx

many = settings(max_examples=settings().max_examples ** 2 // 5, suppress_health_check=list(HealthCheck))

NASTY = [
    b"", b"\0", b"\xff" * 8, b"nan", b"1e999", b"-", b'"', b"{", b"[" * 50, b",", b"\n", b"\r", b"PK\3\4", b"\x93NUMPY"
]  # fmt: skip


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


def npy_file(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz_file(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


TEXT = b"x;y;kind\n1,5;2;cat\n3,5;-4e3;dog\n0;7;dog\n"
POINTS = {
    "points.csv": [b"x,y,label\n1,2,0\n3.5,-4e3,1\n0,7,1\n", b"1,2\r\n3,4\r\n5,6.25\r\n", "\ufeffa\n1\n2\n".encode()],
    "points.tsv": [TEXT, gzip.compress(TEXT, mtime=0), TEXT.decode().encode("utf-16"), b"# a b\n1 2\n3 5\n"],
    "points.npy": [npy_file(np.arange(8.0).reshape(4, 2) ** 2)],
    "points.npz": [npz_file(x=np.arange(8.0).reshape(4, 2) ** 2, y=np.array([0, 1, 1, 0]))],
}


@pytest.mark.parametrize("name", POINTS)
@many
@given(data=st.data())
def test_points(folder, name, data):
    """Whatever is read is finite, standardised, and as many labels as points."""
    points = outcome(td.load_points, folder / name, data.draw(broken(POINTS[name])))
    if points is not None:
        n, d = points.x.shape
        assert n >= 2
        assert d >= 1
        assert np.all(np.isfinite(points.x))
        assert np.all(points.scale > 0)
        np.testing.assert_allclose(points.x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(points.x.std(axis=0), 1, rtol=1e-6)
        assert points.labels is None or points.labels.shape == (n,)


ARRAY = np.arange(24.0).reshape(4, 3, 2)
PICTURES = {
    "pictures.npy": [npy_file(ARRAY**2), npy_file(ARRAY.astype(np.uint8))],
    "pictures-ubyte": [IDX, gzip.compress(IDX, mtime=0)],
}


@pytest.mark.parametrize("name", PICTURES)
@many
@given(data=st.data())
def test_pictures(folder, name, data):
    """Whatever is read goes from −1 to 1; whether it may be pictures is known without an error."""
    found = outcome(td.load_pictures, folder / name, data.draw(broken(PICTURES[name])))
    assert is_pictures(folder / name) in ([True] if found or name == "pictures-ubyte" else [True, False])
    if found is not None:
        assert len(found.x) >= 2
        assert found.x.shape[1] == found.picture[0] * found.picture[1]
        assert (found.x.min(), found.x.max()) == (-1, 1)


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_labels_of_pictures(folder, data):
    """Whatever is read is a label for each picture, without gaps."""
    pictures, raw = folder / "whole.npy", npy_file(np.array([2.0, 0, 1, 1]))
    pictures.write_bytes(PICTURES["pictures.npy"][0])
    found = outcome(lambda path: td.load_pictures(pictures, path), folder / "labels.npy", data.draw(broken([raw])))
    if found is not None:
        assert len(found.labels) == 4
        assert set(found.labels) == set(range(max(found.labels) + 1))


def table(n=40):
    """A table of a kilobyte or more, with words for classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3)).round(6), np.array(["cat", "dog"])[np.arange(n) % 2]


def as_text(separator=",", decimal="."):
    x, words = table()
    rows = [separator.join([*(f"{a}".replace(".", decimal) for a in row), k]) for row, k in zip(x, words, strict=True)]
    return "\n".join([separator.join(["a", "b", "c", "kind"]), *rows, ""])


def arrow_file(kind):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    file, (x, words) = io.BytesIO(), table()
    of = arrow.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": words})
    parquet.write_table(of, file) if kind == "parquet" else feather.write_feather(of, file)
    return file.getvalue()


def image():
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32), np.uint8)
    pytest.importorskip("PIL.Image").fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def read_image(path):
    return td.load_pictures(path.parent)


KINDS = {
    "a.csv": lambda: as_text().encode(),
    "b.csv": lambda: as_text(";", ",").encode("utf-16"),
    "c.csv": lambda: gzip.compress(as_text().encode(), mtime=0),
    "a.tsv": lambda: as_text("\t").encode(),
    "a.npy": lambda: npy_file(table(60)[0]),
    "a.npz": lambda: npz_file(x=table()[0], y=table()[1]),
    "a.parquet": lambda: arrow_file("parquet"),
    "a.feather": lambda: arrow_file("feather"),
    "a-ubyte": lambda: b"\0\0\x08\3" + np.array([2, 20, 30], ">u4").tobytes() + bytes(1200),
    "images/a.png": image,
}
SUMMED = ("c.csv", "a.npz", "images/a.png")
"""Kinds with a checksum over all that is read."""


@pytest.mark.parametrize("every", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_each_byte_of_the_first_kilobyte(tmp_path, name, every):
    """The file is cut before it, or the byte is another: what is read is whole, or it is an error."""
    path, raw = tmp_path / name, bytearray(KINDS[name]())
    read = read_image if "images" in name else td.load_pictures if "ubyte" in name else td.load_points
    path.parent.mkdir(exist_ok=True)
    if "images" in name:
        (path.parent / "b.png").write_bytes(raw[::1])
    if "ubyte" in name:
        raw[17] = 7
    path.write_bytes(raw)
    whole = read(path)
    for at in range(0, min(1024, len(raw)), every):
        for value in ("cut", 0, 255, raw[at] ^ 1, raw[at] ^ 0x80, ord(","), ord("\n")):
            broken = raw[:at] if value == "cut" else raw[:at] + bytes([value]) + raw[at + 1 :]
            found = outcome(read, path, bytes(broken))
            if found is not None:
                assert np.all(np.isfinite(found.x)), (at, value)
                assert found.x.shape[1] == whole.x.shape[1] or name not in SUMMED, (at, value)
                if name in SUMMED:
                    np.testing.assert_array_equal(found.x, whole.x, err_msg=f"byte {at}: {value}")


@pytest.fixture(scope="module")
def whole_checkpoint(folder):
    network = td.TimeMLP(2, 2, 1)
    state = td.last(td.train(network, td.VP(), td.toys.ring8(), steps=2, batch=4, rng=0))
    checkpoint.save(folder / "whole.npz", state, shift=np.zeros(2))
    return (folder / "whole.npz").read_bytes(), state


@many
@given(data=st.data())
def test_a_checkpoint(folder, whole_checkpoint, same, data):
    """Checksums cover the arrays: a checkpoint that is read is, to the bit, the one that was written."""
    raw, state = whole_checkpoint
    read = outcome(checkpoint.load, folder / "checkpoint.npz", data.draw(broken([raw])))
    assert read is None or same(read[0], state)


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
