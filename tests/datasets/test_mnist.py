"""MNIST: from your folder, the cache or a mirror, its content checked in all three; mirrors here are on 127.0.0.1."""

import gzip
import hashlib
import os
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydiff.datasets import mnist
from tinydiff.datasets.mnist import FILES, Dataset, load_mnist, read_idx

IMAGES, LABELS = FILES["train"]
TRAINING_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def idx(a):
    """The IDX file of an array of bytes."""
    return b"\0\0\x08" + bytes([a.ndim]) + struct.pack(f">{a.ndim}I", *a.shape) + a.tobytes()


def packed(raw):
    return gzip.compress(raw, mtime=0)


def flipped(raw):
    """The same size and format, one bit other."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


# IDX files; test_broken_files breaks thousands of them


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 300]), min_size=1, max_size=3).filter(lambda shape: shape.count(300) < 2))
def test_what_is_written_comes_back(tmp_path_factory, shape):
    """Rank, order of the axes, sizes beyond a byte: not if little-endian or column-major; plain or gzipped."""
    a = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "file"
    for raw in (idx(a), packed(idx(a))):
        path.write_bytes(raw)
        np.testing.assert_array_equal(read_idx(path), a, strict=True)


PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx(PIXELS)
PACKED = packed(GOOD)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
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
        (PACKED[:-1], "not a whole gzip file"),
        (PACKED[:2] + b"\x07" + PACKED[3:], "not a whole gzip file"),  # a method that is not deflate
        (PACKED[:10] + b"\xff" + PACKED[11:], "not a whole gzip file"),  # no deflate stream
        (packed(PACKED), "it starts with 1f8b08"),
    ],
)
def test_broken_files_are_value_errors_that_name_the_file(tmp_path, raw, message):
    path = tmp_path / "digits-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        read_idx(path)


@pytest.mark.parametrize("pack", [bytes, packed])
def test_the_sum_is_of_what_is_inside(tmp_path, pack):
    """SHA-256 of the decompressed bytes: right, the array comes back; wrong by a bit, a ValueError with both sums."""
    path, right = tmp_path / "file", hashlib.sha256(GOOD).hexdigest()
    path.write_bytes(pack(GOOD))
    np.testing.assert_array_equal(read_idx(path, right), PIXELS)
    path.write_bytes(pack(flipped(GOOD)))
    wrong = hashlib.sha256(flipped(GOOD)).hexdigest()
    says = f"{re.escape(str(path))} is not .*the SHA-256 inside is {wrong[:8]}…, not {right[:8]}…"
    with pytest.raises(ValueError, match=says):
        read_idx(path, sha256=right)


# What the tests of load_mnist have in common


def published(monkeypatch, name, array):
    """Make this array the published content of the file; its bytes."""
    raw = idx(array)
    monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(raw).hexdigest())
    return raw


@pytest.fixture
def files(monkeypatch):
    """A published MNIST of 5 digits to train and 4 to test: the content of each file by name."""
    monkeypatch.delenv("TINYDIFF_MNIST_DIR", raising=False)
    rng, content = np.random.default_rng(1), {}
    for n, (images, labels) in zip((5, 4), FILES.values(), strict=True):
        pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        pixels[0, 0, :2] = 0, 255
        content[images] = published(monkeypatch, images, pixels)
        content[labels] = published(monkeypatch, labels, np.array([0, 9, 3, 3, 7][:n], np.uint8))
    return content


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own, which TINYDIFF_MNIST_DIR names."""
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where the cache will be; the folder is not there yet."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "tinydiff"


MAY = {
    "packs": lambda raw: (200, gzip.compress(raw), {}),
    "packs otherwise": lambda raw: (200, gzip.compress(raw, compresslevel=1, mtime=1), {}),
    "packs by HTTP": lambda raw: (200, gzip.compress(raw), {"Content-Encoding": "gzip"}),  # which unpacks on the way
}
MAY_NOT = {
    "is gone": (lambda raw: (404, b"no such thing", {}), "404"),
    "is broken": (lambda raw: (503, b"later", {}), "503"),
    "has other content": (lambda raw: (200, packed(flipped(raw)), {}), "SHA-256"),
    "is cut short": (lambda raw: (200, packed(raw)[:20], {"Content-Length": str(len(packed(raw)))}), "bytes read"),
    "has half a file": (lambda raw: (200, packed(raw)[:-9], {}), "not a whole gzip file"),
    "has a web page": (lambda raw: (200, b"<html>Please\nlog in</html>", {"Content-Type": "text/html"}), "not an IDX"),
    "is empty": (lambda raw: (200, b"", {}), "not an IDX file"),
    "says no length": (lambda raw: (200, b"?", {"Content-Length": "many"}), ""),
    "packs wrongly": (lambda raw: (200, b"no gzip", {"Content-Encoding": "gzip"}), ""),
}
ANSWERS = MAY | {name: answer for name, (answer, _) in MAY_NOT.items()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        """Answer as the test says of this mirror."""
        self.server.asked.append(self.path)
        _, mirror, name = self.path.split("/")
        status, body, headers = ANSWERS[self.server.does[mirror]](self.server.files[name.removesuffix(".gz")])
        self.send_response(status)
        for header, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Silence."""


@pytest.fixture
def server(files, cache, monkeypatch):
    """Two mirrors, /one/ and /two/, that have the files; `asked` are the paths of the requests so far."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.does = files, [], {"one": "packs", "two": "packs"}
        root = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(mnist, "MIRRORS", (f"{root}/one/", f"{root}/two/"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked_of(*mirrors, split="train"):
    """The requests for the files of a split, one after the other, each of all these mirrors."""
    return [f"/{mirror}/{name}.gz" for name in FILES[split] for mirror in mirrors]


def pack_all(folder, files):
    """Write the four files to the folder, gzipped, though not as a mirror packs them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw, compresslevel=1, mtime=1))


def check_is(data, files, split="train"):
    """Restored, x are the pixels, row by row; x is float32 in [−1, 1] and labels are integers."""
    images, labels = (files[name] for name in FILES[split])
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)
    assert isinstance(data, Dataset)
    assert (data.x.dtype, data.labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(np.rint(data.restore(data.x)), pixels)
    np.testing.assert_array_equal(data.x[pixels == 0], -1)
    np.testing.assert_array_equal(data.x[pixels == 255], 1)
    np.testing.assert_array_equal(data.labels, np.frombuffer(labels, np.uint8, offset=8))


def left(cache):
    """The names of all that is in the cache."""
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


def names(*splits):
    return sorted(f"{name}.gz" for split in splits for name in FILES[split])


def not_to_be_had(cache):
    """The message where no file is to be had: one line with the three remedies."""
    with pytest.raises(FileNotFoundError) as error:
        load_mnist()
    message = str(error.value)
    assert "\n" not in message
    for remedy in ("TINYDIFF_MNIST_DIR", "internet", str(cache)):
        assert remedy in message
    return message


# From one's own folder


@pytest.mark.parametrize("split", FILES)
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_digit_of_the_folder_maps_back_to_its_pixels(files, folder, server, cache, split, gzipped):
    """Gzipped or not; and neither a mirror nor the cache is touched."""
    for name, raw in files.items():
        (folder / (f"{name}.gz" if gzipped else name)).write_bytes(packed(raw) if gzipped else raw)
    check_is(load_mnist(split), files, split)
    assert server.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("name", FILES["test"])
def test_a_missing_or_other_file_of_the_folder_is_named(files, folder, server, cache, name):
    """Whoever names a folder gets no other file in the place of a bad one, from the cache or a mirror."""
    pack_all(folder, files)
    pack_all(cache, files)
    path = folder / f"{name}.gz"
    path.write_bytes(packed(flipped(files[name])))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not the published file.*SHA-256"):
        load_mnist("test")
    path.unlink()
    message = rf"{re.escape(str(folder))}, which TINYDIFF_MNIST_DIR names, has neither {name} nor {name}\.gz"
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist("test")
    check_is(load_mnist("train"), files)
    assert server.asked == []


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ((5, 28, 27), (5,)),
        ((5, 27, 28), (5,)),
        ((5, 784), (5,)),
        ((4, 28, 28), (5,)),
        ((5, 28, 28), (6,)),
        ((5, 28, 28), (5, 1)),
    ],
)
def test_shapes_that_are_not_those_of_digits_are_value_errors(folder, monkeypatch, images, labels):
    """Images of another size or rank, labels of another number: the error gives the split and the shapes."""
    for name, shape in zip(FILES["train"], (images, labels), strict=True):
        (folder / name).write_bytes(published(monkeypatch, name, np.zeros(shape, np.uint8)))
    with pytest.raises(ValueError, match=re.escape(f"train of MNIST has images {images}, labels {labels}")):
        load_mnist("train")


# From the cache, and into it


@pytest.mark.parametrize("does", MAY)
def test_the_first_download_fills_the_cache_and_the_second_call_asks_nobody(files, server, cache, monkeypatch, does):
    """One request a file, of the first mirror alone, and only for the split asked for; an empty variable is none.

    The sum is of the content: what a mirror packs otherwise, or HTTP unpacks on the way, is kept and reads back.
    """
    server.does["one"] = does
    for _ in range(2):
        check_is(load_mnist("test"), files, "test")
        monkeypatch.setenv("TINYDIFF_MNIST_DIR", "")
        assert server.asked == asked_of("one", split="test")
        assert left(cache) == names("test")
    check_is(load_mnist("train"), files, "train")
    assert server.asked == asked_of("one", split="test") + asked_of("one")
    assert left(cache) == names("train", "test")


@pytest.mark.parametrize("does", MAY_NOT)
def test_a_bad_mirror_sends_us_to_the_next(files, server, cache, does):
    """Each file is asked of the first, then of the second; the second's is kept, whole and alone."""
    server.does["one"] = does
    check_is(load_mnist(), files)
    assert server.asked == asked_of("one", "two")
    assert left(cache) == names("train")
    for name in FILES["train"]:
        assert gzip.decompress((cache / f"{name}.gz").read_bytes()) == files[name]


@pytest.mark.parametrize(("one", "two"), [*pairwise(MAY_NOT), ("packs wrongly", "is gone")])
def test_two_bad_mirrors_are_named_with_the_reasons_and_the_remedies(files, server, cache, one, two):
    """In one line: each mirror, why it failed, and what to do; not a byte is left in the cache."""
    server.does = {"one": one, "two": two}
    first, second = (re.escape(mirror) for mirror in mnist.MIRRORS)
    says = f"{IMAGES}.*{first}: .*{MAY_NOT[one][1]}.*; {second}: .*{MAY_NOT[two][1]}"
    assert re.search(says, not_to_be_had(cache))
    assert server.asked == asked_of("one", "two")[:2]
    assert left(cache) == []


def test_without_the_internet_the_error_says_so(server, cache, monkeypatch):
    """Where nobody listens, connections are refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setattr(mnist, "MIRRORS", (nobody, nobody))
    assert re.search("(?i)refused.*refused", not_to_be_had(cache))
    assert left(cache) == []


def test_what_came_before_a_failure_is_kept(files, server, cache, monkeypatch):
    """Images came, labels did not: the next try asks for the labels alone."""
    with monkeypatch.context() as patch:
        patch.setitem(server.files, LABELS, b"of another day")
        assert f"MNIST's {LABELS} is not here" in not_to_be_had(cache)
    assert left(cache) == [f"{IMAGES}.gz"]
    server.asked.clear()
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{LABELS}.gz"]


SPOILT = {
    "a bit inside": lambda raw: packed(flipped(raw)),
    "a bit of the packing": lambda raw: packed(raw)[:-6] + bytes([packed(raw)[-6] ^ 1]) + packed(raw)[-5:],
    "half": lambda raw: packed(raw)[: len(packed(raw)) // 2],
    "nothing": lambda raw: b"",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_bad_file_in_the_cache_is_downloaded_again(files, server, cache, spoil):
    """Only that file, and once; the others are used. Where no mirror has it, it stays as it was and is not loaded."""
    pack_all(cache, files)
    path, bad = cache / f"{IMAGES}.gz", SPOILT[spoil](files[IMAGES])
    path.write_bytes(bad)
    server.does = {"one": "is gone", "two": "has other content"}
    not_to_be_had(cache)
    assert path.read_bytes() == bad
    server.asked.clear()
    server.does["one"] = "packs"
    check_is(load_mnist(), files)
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{IMAGES}.gz"]
    assert gzip.decompress(path.read_bytes()) == files[IMAGES]
    assert left(cache) == names("train", "test")


@pytest.mark.parametrize("depth", [0, 1])
def test_a_cache_that_cannot_be_written_is_the_same_error(files, server, cache, depth):
    """A plain file where the cache, or the folder around it, should be; it is left alone."""
    blocked = (cache, cache.parent)[depth]
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("not a folder", encoding="utf-8")
    not_to_be_had(cache)
    assert blocked.read_text(encoding="utf-8") == "not a folder"


def downloader(error):
    """A downloader like pooch's, that writes a few bytes and then raises."""

    def download(url, output_file, _):
        Path(output_file).write_bytes(b"\x1f\x8b half")
        raise error

    return lambda **_: download


def test_an_error_of_several_lines_is_said_in_one(files, cache, monkeypatch):
    monkeypatch.setattr(pooch, "HTTPDownloader", downloader(OSError("There is no\n    connection.\n")))
    assert not_to_be_had(cache).count(": There is no connection.") == 2


def test_a_stopped_download_leaves_nothing(files, server, cache, monkeypatch):
    """Ctrl-C half way: it reaches the caller, no other mirror is asked, and the next try starts afresh."""
    with monkeypatch.context() as patch:
        patch.setattr(pooch, "HTTPDownloader", downloader(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load_mnist()
    assert left(cache) == []
    check_is(load_mnist(), files)


# The published files


def test_the_published_sums_and_mirrors_are_of_their_kind():
    """A sum of 64 hex digits for each file of both splits, all different; mirrors are folders over HTTPS."""
    assert set(mnist.SHA256) == {*FILES["train"], *FILES["test"]}
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in mnist.SHA256.values())
    assert len(set(mnist.SHA256.values())) == 4
    assert len(mnist.MIRRORS) == 2
    assert all(re.fullmatch(r"https://[^?#]+/", mirror) for mirror in mnist.MIRRORS)


@pytest.mark.skipif(not os.environ.get("TINYDIFF_MNIST_DIR"), reason="TINYDIFF_MNIST_DIR is not set")
@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_the_real_digits(split, n):
    """Shapes, range and the known class counts of the training labels."""
    x, labels, shift, scale, picture, *_ = load_mnist(split)
    assert (x.shape, labels.shape, x.dtype) == ((n, 784), (n,), np.float32)
    assert (x.min(), x.max(), shift, scale) == (-1, 1, 127.5, 127.5)
    counts = np.bincount(labels)
    assert picture == (28, 28)
    assert (len(counts), counts.sum()) == (10, n)
    if split == "train":
        np.testing.assert_array_equal(counts, TRAINING_COUNTS)
