"""IDX files and MNIST: what is written comes back, and what is not an IDX file is a ValueError that names the file."""

import gzip
import os
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydiff.datasets.mnist import FILES, Dataset, load_mnist, read_idx

TRAINING_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def idx(a):
    """The IDX file of an array of bytes."""
    return b"\0\0\x08" + bytes([a.ndim]) + struct.pack(f">{a.ndim}I", *a.shape) + a.tobytes()


def parsed(raw):
    """The shape that an IDX file claims, read with struct, and the bytes that follow."""
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    return struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]]), raw[4 + 4 * raw[3] :]


PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx(PIXELS)


# Reading


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_is_written_comes_back(tmp_path_factory, data):
    """Rank, order of the axes and bytes of any array of rank 1 to 3, plain or gzipped → little-endian, column-major."""
    shape = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
    content = data.draw(st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    a = np.frombuffer(content, np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(a)) if data.draw(st.booleans()) else idx(a))
    back = read_idx(path)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, a)


def test_sizes_beyond_a_byte_are_big_endian(tmp_path):
    a = np.random.default_rng(0).integers(0, 256, (300, 2), dtype=np.uint8)
    (tmp_path / "file").write_bytes(idx(a))
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), a)


PACKED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\1" + GOOD[1:], "it starts with 01000803"),
        (GOOD[:1] + b"\1" + GOOD[2:], "it starts with 00010803"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], "it starts with 00000d03"),  # floats
        (GOOD[:3] + b"\0" + GOOD[4:], "it starts with 00000800"),
        (b"\0\0\x08\4" + 4 * b"\0\0\0\1" + b"7", "it starts with 00000804"),
        (GOOD[:15], "not an IDX file"),  # a header cut short
        (GOOD[:-1], "should hold 24 bytes of data for the shape (2, 3, 4); it holds 23"),
        (GOOD + b"\0", "it holds 25"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "(4294967295, 4294967295, 4294967295)"),  # no overflow, no allocation
        (b"\x1f\x8b", "not a whole gzip file"),
        (PACKED[:-1], "not a whole gzip file"),
        (PACKED[:20], "not a whole gzip file"),
        (PACKED[:2] + b"\x07" + PACKED[3:], "not a whole gzip file"),  # a method that is not deflate
        (PACKED[:10] + b"\xff" + PACKED[11:], "not a whole gzip file"),  # no deflate stream
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "not a whole gzip file"),  # a wrong checksum
        (PACKED + b"x", "not a whole gzip file"),
        (gzip.compress(GOOD[:-2]), "it holds 22"),
        (gzip.compress(PACKED), "it starts with 1f8b08"),
    ],
)
def test_broken_files_are_value_errors_that_name_the_file(tmp_path, raw, message):
    path = tmp_path / "digits-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        read_idx(path)


mutations = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert"]), st.integers(0, 100), st.binary(min_size=1, max_size=5)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([GOOD, PACKED, idx(PIXELS[0, 0])]), mutations)
def test_mutated_files_read_as_their_header_says_or_raise_value_error(tmp_path_factory, raw, mutations):
    """Bytes flipped, cut or inserted anywhere: the shape and data that the header claims, or a ValueError."""
    for kind, at, content in mutations:
        at %= len(raw) + 1
        if kind == "insert":
            raw = raw[:at] + content + raw[at:]
        elif kind == "cut":
            raw = raw[:at] + raw[at + len(content) :]
        else:
            raw = raw[:at] + bytes(b ^ content[0] for b in raw[at : at + 1]) + raw[at + 1 :]
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(raw)
    try:
        a = read_idx(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        return
    shape, content = parsed(raw)
    assert a.shape == shape
    assert a.tobytes() == content


# Loading


def write(folder, split="train", images=None, labels=None, pack=False):
    """A small MNIST of 5 digits, written to the folder."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8) if images is None else images
    labels = np.array([0, 9, 3, 3, 7], dtype=np.uint8) if labels is None else labels
    for name, a in zip(FILES[split], (images, labels), strict=True):
        if pack:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(a)))
        else:
            (folder / name).write_bytes(idx(a))
    return images, labels


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("pack", [False, True])
def test_a_loaded_digit_maps_back_to_its_pixels(tmp_path, monkeypatch, split, pack):
    """x·scale + shift are the pixels, row by row; x is float32 in [−1, 1] and labels are integers."""
    images, labels = write(tmp_path, split, pack=pack)
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path))
    data = load_mnist(split)
    assert isinstance(data, Dataset)
    assert data.x.dtype == np.float32
    assert data.labels.dtype == np.int64
    np.testing.assert_array_equal(np.rint(data.x * data.scale + data.shift), images.reshape(5, 784))
    np.testing.assert_array_equal(data.labels, labels)
    flat = images.reshape(5, 784)
    np.testing.assert_array_equal(data.x[flat == 0], -1)
    np.testing.assert_array_equal(data.x[flat == 255], 1)


def test_without_the_variable_the_error_names_it(monkeypatch):
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("TINYDIFF_MNIST_DIR", raising=False)
        else:
            monkeypatch.setenv("TINYDIFF_MNIST_DIR", value)
        with pytest.raises(FileNotFoundError, match=r"TINYDIFF_MNIST_DIR.*t10k-labels-idx1-ubyte"):
            load_mnist()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_named(tmp_path, monkeypatch, missing):
    write(tmp_path, "test")
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"has neither train-images-idx3-ubyte nor train-images-idx3-ubyte\.gz"):
        load_mnist("train")
    name = FILES["test"][missing]
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path))} has neither {name}"):
        load_mnist("test")


def test_an_unknown_split_is_a_value_error():
    with pytest.raises(ValueError, match="'train' or 'test'; got 'valid'"):
        load_mnist("valid")


def zeros(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (zeros(5, 28, 27), None),
        (zeros(5, 27, 28), None),
        (zeros(5, 784), None),
        (zeros(4, 28, 28), None),
        (None, zeros(6)),
        (None, zeros(5, 1)),
        (None, np.array([0, 1, 2, 3, 10], np.uint8)),
        (zeros(0, 28, 28), zeros(0)),
    ],
)
def test_files_that_are_not_mnist_are_value_errors(tmp_path, monkeypatch, images, labels):
    """Images of another size or rank, labels of another number or beyond 9: the error names the folder and shapes."""
    images, labels = write(tmp_path, "train", images, labels)
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path))
    message = f"{tmp_path} does not hold MNIST: images {images.shape}, labels {labels.shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_mnist("train")


@pytest.mark.skipif(not os.environ.get("TINYDIFF_MNIST_DIR"), reason="TINYDIFF_MNIST_DIR is not set")
@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_the_real_digits(split, n):
    """Shapes, range and the known class counts of the training labels."""
    x, labels, shift, scale = load_mnist(split)
    assert x.shape == (n, 784)
    assert labels.shape == (n,)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-1, 1)
    assert (shift, scale) == (127.5, 127.5)
    counts = np.bincount(labels)
    assert len(counts) == 10
    assert counts.sum() == n
    if split == "train":
        np.testing.assert_array_equal(counts, TRAINING_COUNTS)
