"""The law that a guided score belongs to at one time: two Gaussians to powers, multiplied."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import choice, numbers, uniform
from tinydiff.check.form import like
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- tilted_gaussian


def a_class(rng: np.random.Generator) -> tuple:
    """A mean and a variance under 1, numbers or arrays."""
    if rng.random() < 0.5:
        return uniform(rng, -3, 3), uniform(rng, 0.02, 1)
    rows, columns = rng.integers(1, 4, 2)
    m, v = rng.uniform(-3, 3, (rows, columns)), rng.uniform(0.02, 1, (rows, columns))
    return np.round(m, 2), np.round(v, 2)


tilted_gaussian = Spec(
    "tilted_gaussian(m, v, w) -> (mean, variance)",
    "N(mean, variance) ∝ N(x; m, v)^{1+w} N(x; 0, 1)^{−w}:  1/variance = (1 + w)/v − w,  mean = variance (1 + w) m/v",
    "Ho & Salimans 2022, Classifier-free Guidance, §3.2; Bradley & Nakkiran 2024, §2",
    (
        choice(
            ("m", "v"),
            *((0.0, 1.0), (1.0, 1.0), (0.0, 0.5), (1.0, 0.5), (-2.0, 0.5), (1.0, 0.3), (3.0, 0.9), (-0.5, 0.02)),
            batches=[(np.array([[1.0, -2.0], [0.0, 0.5]]), np.array([[0.5, 0.3], [1.0, 0.1]]))],
            random=a_class,
        ),
        numbers("w", 0.0, 1.0, -1.0, 0.5, 3.0, least=-1, most=8),
    ),
    {"mean": like("m"), "variance": like("m")},
    about="The class is N(m, v) with 0 < v ≤ 1, all data are N(0, 1), and w ≥ −1. Number by number: arrays are taken "
    "elementwise.",
)
tilted_gaussian.linear("m")


@tilted_gaussian.law("w = 0 is the class itself")
def _(f: Probe, m: Any, v: Any) -> Iterator[tuple]:
    for name, found, expected in zip(NAMES, f(m, v, 0.0), (m, v), strict=True):
        yield found, expected, name


@tilted_gaussian.law("w = −1 is N(0, 1)")
def _(f: Probe, m: Any, v: Any) -> Iterator[tuple]:
    for name, found, expected in zip(NAMES, f(m, v, -1.0), (0, 1), strict=True):
        yield found, expected, name


@tilted_gaussian.law("of a class N(m, 1) only the mean moves, by w m")
def _(f: Probe, m: Any, w: float) -> Iterator[tuple]:
    mean, variance = f(m, 1.0 + 0 * m, w)
    yield mean - m, w * m, "what is added to the mean"
    yield variance, 1, "the variance"


@tilted_gaussian.law("mean and variance are those of the product of the densities, summed on a fine grid")
def _(f: Probe, m: Any, v: Any, w: float) -> Iterator[tuple]:
    for name, found, expected in zip(NAMES, f(m, v, w), by_sums(m, v, w), strict=True):
        yield found, expected, name


@tilted_gaussian.law("its logarithm is 1 + w times that of N(m, v) less w times that of N(0, 1), but for a constant")
def _(f: Probe, m: Any, v: Any, w: float) -> Iterator[tuple]:
    mean, variance = f(m, v, w)
    for x in (1.0, -3.0):
        rise = (1 + w) * (log_normal(x, m, v) - log_normal(0.0, m, v)) + w * x**2 / 2
        yield log_normal(x, mean, variance) - log_normal(0.0, mean, variance), rise, f"from 0 to {x:g}"


@tilted_gaussian.law("to tilt twice is to tilt once: the factors 1 + w multiply")
def _(f: Probe, m: Any, v: Any, w: float) -> Iterator[tuple]:
    twice, once = f(*f(m, v, w), 1.0), f(m, v, 2 * (1 + w) - 1)
    for name, found, expected in zip(NAMES, twice, once, strict=True):
        yield found, expected, f"{name} with w and then 1, and with 1 + 2w"


@tilted_gaussian.law("the variance does not depend on m, and where v < 1 more w makes it smaller")
def _(f: Probe, m: Any, v: Any, w: float) -> Iterator[tuple]:
    yield f(m + 1, v, w)[1], f(m, v, w)[1], "the variance with 1 added to m"
    yield f(m, v / 2, w + 1)[1] / f(m, v / 2, w)[1], Between(0, 1), "the variance at w + 1 over that at w, with v/2"


NAMES = ("mean", "variance")
X = np.arange(-60, 60, 0.01)


def log_normal(x: Any, m: Any, v: Any) -> Any:
    """ln N(x; m, v) but for a constant."""
    return -((x - m) ** 2) / (2 * v)


def by_sums(m: Any, v: Any, w: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the product, by sums over an even grid, which are exact for Gaussians far wider than it."""
    m, v = np.asarray(m)[..., None], np.asarray(v)[..., None]
    log_p = (1 + w) * log_normal(X, m, v) - w * log_normal(X, 0.0, 1.0)
    p = np.exp(log_p - np.max(log_p, axis=-1, keepdims=True))
    p /= np.sum(p, axis=-1, keepdims=True)
    mean = np.sum(p * X, axis=-1)
    return mean, np.sum(p * (X - mean[..., None]) ** 2, axis=-1)
