"""MNIST: from your folder, the cache or a mirror, its content checked in all three; mirrors here are on 127.0.0.1."""

import gzip
import hashlib
import os
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from tinydiff.datasets import mnist
from tinydiff.datasets.mnist import FILES, Dataset, load_mnist

IMAGES, LABELS = FILES["train"]
TRAINING_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def idx(a):
    """The IDX file of an array of bytes."""
    return b"\0\0\x08" + bytes([a.ndim]) + struct.pack(f">{a.ndim}I", *a.shape) + a.tobytes()


def flipped(raw):
    """The same size and format, one bit other."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(pooch.os_cache("tinydiff"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        """Answer by what the test says of this mirror: name -> (status, body, headers)."""
        self.server.asked.append(self.path)
        _, mirror, name = self.path.split("/")
        status, body, headers = self.server.answers[mirror](name)
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
        server.asked, server.answers = [], {"one": good(files), "two": good(files)}
        root = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(mnist, "MIRRORS", (f"{root}/one/", f"{root}/two/"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# What a mirror may answer


def good(files):
    return lambda name: (200, gzip.compress(files[name.removesuffix(".gz")]), {})


def packed_otherwise(files):
    return lambda name: (200, gzip.compress(files[name.removesuffix(".gz")], compresslevel=1, mtime=1), {})


def packed_by_http(files):
    """The server says that the packing is HTTP's, so what arrives is the content itself."""
    return lambda name: (200, gzip.compress(files[name.removesuffix(".gz")]), {"Content-Encoding": "gzip"})


def gone(files):
    return lambda name: (404, b"no such thing", {})


def broken(files):
    return lambda name: (503, b"later", {})


def other_content(files):
    return lambda name: (200, gzip.compress(flipped(files[name.removesuffix(".gz")])), {})


def cut_short(files):
    """Half of the bytes that the header promises."""

    def answer(name):
        packed = gzip.compress(files[name.removesuffix(".gz")])
        return 200, packed[: len(packed) // 2], {"Content-Length": str(len(packed))}

    return answer


def half_a_file(files):
    return lambda name: (200, gzip.compress(files[name.removesuffix(".gz")])[:-9], {})


def a_web_page(files):
    return lambda name: (200, b"<html>Please\nlog in</html>", {"Content-Type": "text/html"})


def empty(files):
    return lambda name: (200, b"", {})


def no_length(files):
    return lambda name: (200, b"?", {"Content-Length": "many"})


def not_packed_by_http(files):
    return lambda name: (200, b"no gzip", {"Content-Encoding": "gzip"})


BAD = {
    gone: "404",
    broken: "503",
    other_content: "SHA-256",
    cut_short: "bytes read",
    half_a_file: "not a whole gzip file",
    a_web_page: "not an IDX file",
    empty: "not an IDX file",
    no_length: "",
    not_packed_by_http: "",
}


def refused():
    """A URL where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/nobody/"


def pack(folder, files, change=lambda packed: packed):
    """Write the four files to the folder, gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / f"{name}.gz").write_bytes(change(gzip.compress(raw)))


def check_is(data, files, split="train"):
    """Restored, x are the pixels, row by row; x is float32 in [−1, 1] and labels are integers."""
    images, labels = (files[name] for name in FILES[split])
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)
    assert isinstance(data, Dataset)
    assert data.x.dtype == np.float32
    assert data.labels.dtype == np.int64
    np.testing.assert_array_equal(np.rint(data.restore(data.x)), pixels)
    np.testing.assert_array_equal(data.x[pixels == 0], -1)
    np.testing.assert_array_equal(data.x[pixels == 255], 1)
    np.testing.assert_array_equal(data.labels, np.frombuffer(labels, np.uint8, offset=8))


def left(cache):
    """The names of all that is in the cache."""
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


def the_message(error, cache):
    """The message of FileNotFoundError: one line with the three remedies."""
    message = str(error.value)
    assert "\n" not in message
    assert "TINYDIFF_MNIST_DIR" in message
    assert "internet" in message
    assert str(cache) in message
    return message


# From one's own folder


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_digit_of_the_folder_maps_back_to_its_pixels(files, folder, server, cache, split, packed):
    """Gzipped or not; and neither a mirror nor the cache is touched."""
    for name, raw in files.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(raw) if packed else raw)
    check_is(load_mnist(split), files, split)
    assert server.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_of_the_folder_is_named(files, folder, server, cache, missing):
    """Whoever names a folder gets no other file in its place, from the cache or a mirror."""
    pack(folder, files)
    pack(cache, files)
    name = FILES["test"][missing]
    (folder / f"{name}.gz").unlink()
    message = rf"{re.escape(str(folder))}, which TINYDIFF_MNIST_DIR names, has neither {name} nor {name}\.gz"
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist("test")
    check_is(load_mnist("train"), files)
    assert server.asked == []


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_other_content_is_a_value_error(files, folder, server, at, packed):
    """Images and labels of the right format whose sum is wrong: the file is named, and no mirror is asked."""
    pack(folder, files)
    name = FILES["train"][at]
    (folder / f"{name}.gz").unlink()
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(flipped(files[name])) if packed else flipped(files[name]))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is not the published file.*SHA-256") as error:
        load_mnist()
    assert "\n" not in str(error.value)
    assert server.asked == []


def zeros(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (zeros(5, 28, 27), zeros(5)),
        (zeros(5, 27, 28), zeros(5)),
        (zeros(5, 784), zeros(5)),
        (zeros(4, 28, 28), zeros(5)),
        (zeros(5, 28, 28), zeros(6)),
        (zeros(5, 28, 28), zeros(5, 1)),
    ],
)
def test_shapes_that_are_not_those_of_digits_are_value_errors(folder, monkeypatch, images, labels):
    """Images of another size or rank, labels of another number: the error gives the split and the shapes."""
    for name, array in zip(FILES["train"], (images, labels), strict=True):
        (folder / name).write_bytes(published(monkeypatch, name, array))
    message = f"train of MNIST has images {images.shape}, labels {labels.shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_mnist("train")


def test_an_unknown_split_is_a_value_error(server):
    with pytest.raises(ValueError, match="'train' or 'test'; got 'valid'"):
        load_mnist("valid")
    assert server.asked == []


# From the cache, and into it


@pytest.mark.parametrize("variable", [None, ""])
def test_the_first_download_fills_the_cache_and_the_second_call_asks_nobody(
    files, server, cache, monkeypatch, variable
):
    """One request a file, of the first mirror alone, and only for the split that is asked for."""
    if variable is not None:
        monkeypatch.setenv("TINYDIFF_MNIST_DIR", variable)
    check_is(load_mnist("test"), files, "test")
    assert server.asked == [f"/one/{name}.gz" for name in FILES["test"]]
    assert left(cache) == sorted(f"{name}.gz" for name in FILES["test"])
    server.asked.clear()
    check_is(load_mnist("test"), files, "test")
    assert server.asked == []
    check_is(load_mnist("train"), files, "train")
    assert server.asked == [f"/one/{name}.gz" for name in FILES["train"]]
    assert left(cache) == sorted(f"{name}.gz" for name in files)


def test_the_cache_is_where_the_system_has_its_caches(files, server, tmp_path):
    """XDG_CACHE_HOME/tinydiff, as it is at the time of the call."""
    load_mnist()
    assert (tmp_path / "cache" / "tinydiff" / f"{IMAGES}.gz").is_file()


def test_files_put_into_the_cache_by_hand_are_used(files, server, cache):
    """The third remedy; however they are packed."""
    pack(cache, files, lambda packed: gzip.compress(gzip.decompress(packed), compresslevel=1, mtime=1))
    check_is(load_mnist("train"), files)
    check_is(load_mnist("test"), files, "test")
    assert server.asked == []


@pytest.mark.parametrize("answer", [good, packed_otherwise, packed_by_http])
def test_a_mirror_may_pack_as_it_likes(files, server, cache, answer):
    """The sum is of the content; what a mirror packs otherwise, or HTTP unpacks on the way, is kept and reads back."""
    server.answers["one"] = answer(files)
    check_is(load_mnist(), files)
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{name}.gz" for name in FILES["train"]]


@pytest.mark.parametrize("answer", BAD)
def test_a_bad_mirror_sends_us_to_the_next(files, server, cache, answer):
    """Each file is asked of the first, then of the second; the second's is kept, whole and alone."""
    server.answers["one"] = answer(files)
    check_is(load_mnist(), files)
    assert server.asked == [f"/{mirror}/{name}.gz" for name in FILES["train"] for mirror in ("one", "two")]
    assert left(cache) == sorted(f"{name}.gz" for name in FILES["train"])
    for name in FILES["train"]:
        assert gzip.decompress((cache / f"{name}.gz").read_bytes()) == files[name]


def test_a_mirror_that_nobody_answers_sends_us_to_the_next(files, server, cache, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (refused(), mnist.MIRRORS[1]))
    check_is(load_mnist(), files)
    assert server.asked == [f"/two/{name}.gz" for name in FILES["train"]]
    assert left(cache) == sorted(f"{name}.gz" for name in FILES["train"])


@pytest.mark.parametrize(("one", "two"), [(answer, gone) for answer in BAD] + [(gone, answer) for answer in BAD])
def test_two_bad_mirrors_are_named_with_the_reasons_and_the_remedies(files, server, cache, one, two):
    """In one line: each mirror, why it failed, and what to do; not a byte is left in the cache."""
    server.answers = {"one": one(files), "two": two(files)}
    with pytest.raises(FileNotFoundError) as error:
        load_mnist()
    message = the_message(error, cache)
    first, second = (re.escape(mirror) for mirror in mnist.MIRRORS)
    assert re.search(f"{IMAGES}.*{first}: .*{BAD[one]}.*; {second}: .*{BAD[two]}", message)
    assert server.asked == [f"/one/{IMAGES}.gz", f"/two/{IMAGES}.gz"]
    assert left(cache) == []


def test_without_the_internet_the_error_says_so(files, cache, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mnist, "MIRRORS", (refused(), refused()))
    with pytest.raises(FileNotFoundError, match=r"(?i)refused.*refused") as error:
        load_mnist()
    message = the_message(error, cache)
    assert all(mirror in message for mirror in mnist.MIRRORS)
    assert left(cache) == []


def test_what_came_before_a_failure_is_kept(files, server, cache):
    """Images came, labels did not: the next try asks for the labels alone."""
    complete = good(files)
    server.answers = {
        name: lambda name: complete(name) if "images" in name else gone(files)(name) for name in server.answers
    }
    with pytest.raises(FileNotFoundError, match=f"MNIST's {LABELS} is not here"):
        load_mnist()
    assert left(cache) == [f"{IMAGES}.gz"]
    server.asked.clear()
    server.answers["one"] = complete
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{LABELS}.gz"]


SPOILT = {
    "a bit inside": lambda packed: gzip.compress(flipped(gzip.decompress(packed))),
    "a bit of the packing": lambda packed: packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
    "half": lambda packed: packed[: len(packed) // 2],
    "nothing": lambda packed: b"",
    "a page": lambda packed: b"<html></html>",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_bad_file_in_the_cache_is_downloaded_again(files, server, cache, spoil):
    """Only that file, and once: afterwards the cache is good."""
    pack(cache, files)
    path = cache / f"{IMAGES}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{IMAGES}.gz"]
    assert gzip.decompress(path.read_bytes()) == files[IMAGES]
    check_is(load_mnist(), files)
    assert server.asked == [f"/one/{IMAGES}.gz"]
    assert left(cache) == sorted(f"{name}.gz" for name in files)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_bad_file_in_the_cache_and_no_mirror_is_the_same_error(files, server, cache, spoil):
    """A bad file is never loaded; it stays as it was until a good one takes its place."""
    pack(cache, files)
    path = cache / f"{IMAGES}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    before = path.read_bytes()
    server.answers = {"one": gone(files), "two": other_content(files)}
    with pytest.raises(FileNotFoundError) as error:
        load_mnist()
    the_message(error, cache)
    assert path.read_bytes() == before
    assert left(cache) == sorted(f"{name}.gz" for name in files)


@pytest.mark.parametrize("depth", [0, 1])
def test_a_cache_that_cannot_be_written_is_the_same_error(files, server, cache, depth):
    """A plain file where the cache, or the folder around it, should be; it is left alone."""
    blocked = (cache, cache.parent)[depth]
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("not a folder")
    with pytest.raises(FileNotFoundError) as error:
        load_mnist()
    the_message(error, cache)
    assert blocked.read_text() == "not a folder"


def test_an_error_of_several_lines_is_said_in_one(files, cache, monkeypatch):
    class Talkative:
        def __init__(self, **_):
            pass

        def __call__(self, *_):
            raise OSError("There is no\n    connection.\n")

    monkeypatch.setattr(pooch, "HTTPDownloader", Talkative)
    with pytest.raises(FileNotFoundError) as error:
        load_mnist()
    assert the_message(error, cache).count(": There is no connection.") == 2


def test_a_stopped_download_leaves_nothing(files, server, cache, monkeypatch):
    """Ctrl-C half way: it reaches the caller, no other mirror is asked, and the next try starts afresh."""

    class Stopped:
        def __init__(self, **_):
            pass

        def __call__(self, url, output_file, _):
            Path(output_file).write_bytes(b"\x1f\x8b half")
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pooch, "HTTPDownloader", Stopped)
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
