"""MNIST, the handwritten digits: found on this machine, or downloaded once, and checked by their sums."""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np

from tinydiff.datasets.points import Dataset
from tinydiff.extras import extra
from tinydiff.files import atomic

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
    """Load the handwritten digits of MNIST, 28 × 28 pixels each, scaled from 0..255 to [−1, 1].

    The IDX files, gzipped or not, come from the folder that the environment variable TINYDIFF_MNIST_DIR names; without
    it from the user's cache, into which the first call downloads them from one of two mirrors. Their contents are
    checked by their SHA-256: a bad file in the cache is downloaded again, a bad one on a mirror sends us to the next.

    Parameters
    ----------
    split : {"train", "test"}
        The 60,000 digits to train on, or the 10,000 to test with.

    Returns
    -------
    Dataset
        Its ``x`` is (N, 784), float32 in [−1, 1], each image row by row; its ``labels`` are the
        digits 0 to 9, int64 (N,); ``restore`` gives pixels from 0 to 255 again.

    Raises
    ------
    ValueError
        For another split, and for a file in the folder of TINYDIFF_MNIST_DIR that is not the published one.
    FileNotFoundError
        Where the files are not to be had, with what was tried and the remedies.

    References
    ----------
    LeCun, Cortes & Burges, The MNIST database of handwritten digits.

    Examples
    --------
    >>> import tinydiff as td
    >>> data = td.load_mnist("test")  # doctest: +SKIP
    >>> data.x.shape  # doctest: +SKIP
    (10000, 784)
    >>> td.load_mnist("validation")
    Traceback (most recent call last):
        ...
    ValueError: split must be 'train' or 'test'; got 'validation'.
    """
    if split not in FILES:
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}.")
    folder = os.environ.get("TINYDIFF_MNIST_DIR")
    images, labels = (_from_folder(Path(folder), name) if folder else _from_cache(name) for name in FILES[split])
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(f"{split} of MNIST has images {images.shape}, labels {labels.shape}; not (N, 28, 28), (N,).")
    x = images.reshape(-1, 784).astype(np.float32) / 127.5 - 1
    return Dataset(x, labels.astype(np.int64), np.float32(127.5), np.float32(127.5), (28, 28))


def _from_folder(folder: Path, name: str) -> np.ndarray:
    """The array of a file in the user's own folder, gzipped or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return read_idx(path, SHA256[name])
    raise FileNotFoundError(f"{folder}, which TINYDIFF_MNIST_DIR names, has neither {name} nor {name}.gz.")


def _from_cache(name: str) -> np.ndarray:
    """The array of a file in the cache, downloaded first where it is missing or bad."""
    with extra("app"):
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
            with atomic(cached) as part:
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
    """Read an array of bytes in the IDX format: two zeros, the type 8, the rank, each size, and the data.

    Sizes are big-endian words of four bytes. The file may be gzipped.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sha256 : str, optional
        The sum, in hexadecimal, that the file must have when it is unpacked.

    Returns
    -------
    array of uint8
        Of one to three axes, as the file says.

    Raises
    ------
    ValueError
        For anything that is not such a file, is incomplete, or has another sum; the file is named.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinydiff.datasets.mnist import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "digits"
    ...     size = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
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
