"""MNIST, read from its IDX files [LeCun, Cortes & Burges]."""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinydiff.backend import Array

FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip


class Dataset(NamedTuple):
    """Points x (N, D) as a model sees them, labels (N,) or None; x = (original − shift)/scale."""

    x: Array
    labels: Array | None
    shift: Array
    scale: Array


def load_mnist(split: str = "train") -> Dataset:
    """The 60,000 ("train") or 10,000 ("test") digits as float32 in [−1, 1], (N, 784), with labels 0 to 9.

    Reads the four IDX files, gzipped or not, from the folder that TINYDIFF_MNIST_DIR names.
    Raises FileNotFoundError without it or them, ValueError where a file is not what it should be.
    """
    if split not in FILES:
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}.")
    folder = os.environ.get("TINYDIFF_MNIST_DIR")
    if not folder:
        raise FileNotFoundError(
            "MNIST was not found: set TINYDIFF_MNIST_DIR to a folder with the four IDX files "
            f"({', '.join(name for pair in FILES.values() for name in pair)}), gzipped or not."
        )
    images, labels = (read_idx(_find(Path(folder), name)) for name in FILES[split])
    fits = images.shape[1:] == (28, 28) and labels.shape == images.shape[:1] and len(labels) > 0
    if not fits or labels.max() > 9:
        raise ValueError(f"{folder} does not hold MNIST: images {images.shape}, labels {labels.shape}.")
    x = images.reshape(-1, 784).astype(np.float32) / 127.5 - 1
    return Dataset(x, labels.astype(np.int64), np.float32(127.5), np.float32(127.5))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder} has neither {name} nor {name}.gz.")


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, the rank, each size as a big-endian word, the data."""
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
    return np.frombuffer(raw, np.uint8, size, start).reshape(shape)
