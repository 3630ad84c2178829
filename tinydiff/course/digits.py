"""The digits of the course: trained networks, a judge of digits, and a thousand test digits.

Their files lie beside the notebooks. One that is not there is fetched once, and every one is checked by its sum.
"""

import hashlib
from pathlib import Path

import numpy as np

from tinydiff.app import weights
from tinydiff.backend import keep_freed_memory
from tinydiff.datasets.points import Dataset
from tinydiff.extras import extra
from tinydiff.learned.classifier import Classifier
from tinydiff.learned.denoiser import NetworkDenoiser

URL = "https://raw.githubusercontent.com/tinydiff/tinydiff/main/notebooks/"
SHA256 = {
    "digits.npz": "b291b1333b3ae3f38f15043158b1051a32778cce063649cb910c4019dee6144a",
    "narrow-eps.npz": "e5e99bc6e3ad3959a2515430aadc0a0b57552b6316d3fa70b685aede9c15c884",
    "narrow-x0.npz": "84fbef31c124e9025e48be150d2fe5798f1eacac5cae694ad33413b638a616e5",
    "judge.npz": "7f17d625feef701f222dee704b5ba1f78a0e72e55229f8e2ba8ca57d69794942",
    "test-digits.npz": "eb039164a97d7d7d69fc109bbf4082301ea16a0c93ed7b3a03e8bdd8e2978977",
}


def digits_model() -> NetworkDenoiser:
    """The network that `make mnist` trains, under td.Cosine(), for ten classes of 28 × 28 pixels.

    Freed memory is kept from here on, as in training: digits are drawn in half the time so.
    """
    keep_freed_memory()
    return weights.load(file("digits.npz"))


def narrow_model(target: str) -> NetworkDenoiser:
    """A network of width 128 for digits of 14 × 14 pixels, which has learned to predict "eps" or "x0"."""
    if target not in ("eps", "x0"):
        raise ValueError(f"target must be 'eps' or 'x0'; got {target!r}.")
    return weights.load(file(f"narrow-{target}.npz"))


def digits_judge() -> Classifier:
    """A small classifier of digits, that has read none of the thousand test digits."""
    return weights.load(file("judge.npz"))


def unseen_digits() -> Dataset:
    """A hundred test digits of MNIST of each class, scaled to [−1, 1], in the order 0, 1, …, 9, 0, 1, …"""
    with np.load(file("test-digits.npz"), allow_pickle=False) as arrays:
        x = arrays["images"].reshape(-1, 784).astype(np.float32) / 127.5 - 1
        return Dataset(x, arrays["labels"].astype(np.int64), np.float32(127.5), np.float32(127.5), (28, 28))


def file(name: str) -> Path:
    """The file of this name: here, one folder up, or fetched into the user's cache; ValueError for another content."""
    near = [path for path in (Path(name), Path("..") / name) if path.is_file()]
    if not near:
        with extra("app"):
            import pooch  # nobody else waits for its import

        return Path(pooch.retrieve(URL + name, known_hash=SHA256[name], progressbar=True))
    if (found := hashlib.sha256(near[0].read_bytes()).hexdigest()) != SHA256[name]:
        raise ValueError(f"{near[0]} is not the {name} of this tinydiff: its SHA-256 begins with {found[:8]}.")
    return near[0]
