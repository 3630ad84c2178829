"""MNIST: found, or downloaded once, and checked [LeCun, Cortes & Burges, The MNIST database of handwritten digits]."""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np

from tinydiff.datasets.points import Dataset
from tinydiff.files import whole

FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of the decompressed files: gzip's own bytes differ from packer to packer."""

MIRRORS = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")


def load_mnist(split: str = "train") -> Dataset:
    """The 60,000 ("train") or 10,000 ("test") digits as float32 in [−1, 1], (N, 784), with labels 0 to 9.

    The IDX files, gzipped or not, come from the folder that TINYDIFF_MNIST_DIR names, or else from the cache, or else
    from the mirrors, in turn, into the cache. Their contents are checked against SHA256: a bad file in your folder is a
    ValueError, a bad one in the cache is downloaded again, a bad one on a mirror sends us to the next.
    Raises FileNotFoundError, with the remedies, when nothing helped.
    """
    if split not in FILES:
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}.")
    folder = os.environ.get("TINYDIFF_MNIST_DIR")
    images, labels = (_from_folder(Path(folder), name) if folder else _from_cache(name) for name in FILES[split])
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(f"{split} of MNIST has images {images.shape}, labels {labels.shape}; not (N, 28, 28), (N,).")
    x = images.reshape(-1, 784).astype(np.float32) / 127.5 - 1
    return Dataset(x, labels.astype(np.int64), np.float32(127.5), np.float32(127.5))


def _from_folder(folder: Path, name: str) -> np.ndarray:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return read_idx(path, SHA256[name])
    raise FileNotFoundError(f"{folder}, which TINYDIFF_MNIST_DIR names, has neither {name} nor {name}.gz.")


def _from_cache(name: str) -> np.ndarray:
    import pooch  # the user's cache folder, and downloads with a progress bar; nobody else waits for its import

    cached = Path(pooch.os_cache("tinydiff")) / f"{name}.gz"
    if cached.is_file():
        try:
            return read_idx(cached, SHA256[name])
        except (OSError, ValueError):
            pass  # a bad file is replaced
    failures = []
    for mirror in MIRRORS:
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with whole(cached) as part:
                pooch.HTTPDownloader(progressbar=True, timeout=30)(mirror + cached.name, str(part), None)
                return read_idx(part, SHA256[name])
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            failures.append(f"{mirror}: {' '.join(str(error).split())}")
    raise FileNotFoundError(
        f"MNIST's {name} is not here and could not be downloaded ({'; '.join(failures)}). Remedies: set "
        "TINYDIFF_MNIST_DIR to a folder with the four IDX files, gzipped or not; or connect to the internet and try "
        f"again; or put the four .gz files into {cached.parent} yourself."
    )


def read_idx(path: Path, sha256: str | None = None) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, the rank, each size as a big-endian word, the data.

    The file may be gzipped; sha256 is of what is inside. Raises ValueError for anything that is not such a file.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is not a whole gzip file: {error}.") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or not 1 <= raw[3] <= 3 or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{path} is not an IDX file of bytes: it starts with {raw[:4].hex()}.")
    rank = raw[3]
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", rank, offset=4))
    start, size = 4 + 4 * rank, math.prod(shape)
    if len(raw) != start + size:
        raise ValueError(f"{path} should hold {size} bytes of data for the shape {shape}; it holds {len(raw) - start}.")
    if sha256 and (found := hashlib.sha256(raw).hexdigest()) != sha256:
        raise ValueError(f"{path} is not the published file: the SHA-256 inside is {found[:8]}…, not {sha256[:8]}….")
    return np.frombuffer(raw, np.uint8, size, start).reshape(shape)
