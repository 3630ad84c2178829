"""IDX files: what is written comes back, and what is not an IDX file is a ValueError that names the file."""

import gzip
import hashlib
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydiff.datasets.mnist import read_idx


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


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_is_written_comes_back(tmp_path_factory, data):
    """Rank, order of the axes and bytes of any array of rank 1 to 3, plain or gzipped → little-endian, column-major."""
    shape = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
    content = data.draw(st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    a = np.frombuffer(content, np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(a), mtime=0) if data.draw(st.booleans()) else idx(a))
    back = read_idx(path)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, a)


def test_sizes_beyond_a_byte_are_big_endian(tmp_path):
    a = np.random.default_rng(0).integers(0, 256, (300, 2), dtype=np.uint8)
    (tmp_path / "file").write_bytes(idx(a))
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), a)


PACKED = gzip.compress(GOOD, mtime=0)


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
        (gzip.compress(GOOD[:-2], mtime=0), "it holds 22"),
        (gzip.compress(PACKED, mtime=0), "it starts with 1f8b08"),
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


@pytest.mark.parametrize("pack", [False, True])
def test_the_sum_is_of_what_is_inside(tmp_path, pack):
    """SHA-256 of the decompressed bytes: right, the array comes back; wrong by a bit anywhere, a ValueError."""
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(GOOD, mtime=0) if pack else GOOD)
    sha256 = hashlib.sha256(GOOD).hexdigest()
    np.testing.assert_array_equal(read_idx(path, sha256), PIXELS)
    np.testing.assert_array_equal(read_idx(path, sha256=sha256), read_idx(path))
    other = hashlib.sha256(gzip.compress(GOOD, mtime=0)).hexdigest()
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not .*{sha256[:8]}.*{other[:8]}"):
        read_idx(path, other)
    for at in (15, 16, len(GOOD) - 1):  # a size would be caught before
        changed = GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :] if at > 15 else idx(PIXELS.reshape(3, 2, 4))
        path.write_bytes(gzip.compress(changed, mtime=0) if pack else changed)
        with pytest.raises(ValueError, match=f"SHA-256 inside is {hashlib.sha256(changed).hexdigest()[:8]}"):
            read_idx(path, sha256)
