"""Toys in the plane, all standardised to mean 0 and average coordinate variance 1. Labels are modes, moons or arms.

The exact ones, in TOYS, are Gaussian mixtures: density, score, denoiser and entropy are all known. Where they form
bands, components stand on a curve at equal arc length, 0.6 spacings long along it and `thickness` across, so that
neighbours melt together. Under N(0, I) each costs ln 2π + 1 = 2.8379 nats, and its entropy floor is the least that any
model can reach. The others, in SHAPES, are the toys that people know by name; they can only be sampled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydiff.exact.mixture import GaussianMixture

FLOORS = {
    "ring8": 0.5462846,
    "grid25": 0.7534452,
    "moons32": 1.1950990,
    "pinwheel40": 1.2171206,
    "spiral60": 1.4952255,
    "eight_gaussians": 1.4145123,
}
"""Entropies in nats, by quadrature."""


def ring8() -> GaussianMixture:
    """Eight round modes on a circle; the label is the mode."""
    return _modes(_polar(np.ones(8), 2 * np.pi * np.arange(8) / 8), std=0.08)


def eight_gaussians() -> GaussianMixture:
    """The wider ring of the literature: radius 4, standard deviation 1/2, then standardised; the label is the mode."""
    return _modes(_polar(np.full(8, 4.0), 2 * np.pi * np.arange(8) / 8), std=0.5)


def grid25() -> GaussianMixture:
    """Twenty-five round modes on a 5 × 5 grid; the label is the mode."""
    side = np.arange(5.0)
    return _modes(np.stack(np.meshgrid(side, side, indexing="ij"), axis=2).reshape(25, 2), std=0.1)


def moons32() -> GaussianMixture:
    """Two interleaved half circles of 16 components each; the label is the moon."""
    upper = lambda u: np.stack([np.cos(np.pi * u), np.sin(np.pi * u)], axis=1)  # noqa: E731
    lower = lambda u: np.stack([1 - np.cos(np.pi * u), 0.5 - np.sin(np.pi * u)], axis=1)  # noqa: E731
    return _bands([upper, lower], per_curve=16, thickness=0.06)


def pinwheel40() -> GaussianMixture:
    """Five bent arms of 8 components each; the label is the arm."""

    def arm(k: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda u: _polar(0.3 + 1.2 * u, 2 * np.pi * k / 5 + 1.2 * u)

    return _bands([arm(k) for k in range(5)], per_curve=8, thickness=0.045)


def spiral60() -> GaussianMixture:
    """Two spiral arms of 30 components each; the label is the arm."""

    def arm(k: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda u: _polar(0.15 + 0.85 * u, np.pi * k + 2 * np.pi * u)

    return _bands([arm(k) for k in range(2)], per_curve=30, thickness=0.035)


TOYS: dict[str, Callable[[], GaussianMixture]] = {
    f.__name__: f for f in (ring8, grid25, moons32, pinwheel40, spiral60, eight_gaussians)
}


@dataclass(frozen=True)
class Shape:
    """A distribution in the plane that can only be sampled: (draw(rng, n) − shift)/scale.

    draw gives points (n, 2), and labels (n,) or None; labels are the classes that occur, or None.
    """

    name: str
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray | None]]
    shift: np.ndarray
    scale: float
    labels: np.ndarray | None
    dim: int = 2

    def sample(self, rng: np.random.Generator, n: int, labels: bool = False) -> Any:
        """n draws (n, 2), and with labels=True their classes (n,)."""
        x, y = self.draw(rng, n)
        if labels and y is None:
            raise ValueError(f"{self.name} has no labels.")
        x = (x - self.shift) / self.scale
        return (x, y) if labels else x


def _shape(name: str, draw: Callable) -> Shape:
    """The shape of this draw, standardised to the accuracy of 100,000 points."""
    x, y = draw(np.random.default_rng(0), 100_000)
    return Shape(name, draw, x.mean(axis=0), float(np.mean(x.var(axis=0)) ** 0.5), None if y is None else np.unique(y))


def two_moons() -> Shape:
    """Two interleaved half circles with noise of standard deviation 0.1; the label is the moon."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        moon, angle = rng.integers(0, 2, n), np.pi * rng.random(n)
        upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.where(moon[:, None] == 0, upper, [1, 0.5] - upper) + 0.1 * rng.standard_normal((n, 2)), moon

    return _shape("two_moons", draw)


def circles() -> Shape:
    """Two concentric circles of radius 1 and 1/2 with noise of standard deviation 0.05; the label is the circle."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        circle, angle = rng.integers(0, 2, n), 2 * np.pi * rng.random(n)
        return _polar(np.where(circle == 0, 1.0, 0.5), angle) + 0.05 * rng.standard_normal((n, 2)), circle

    return _shape("circles", draw)


def swiss_roll() -> Shape:
    """A roll seen from the end: radius and angle both t, from 1½π to 4½π, with noise of standard deviation 0.5."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, None]:
        t = 1.5 * np.pi * (1 + 2 * rng.random(n))
        return _polar(t, t) + 0.5 * rng.standard_normal((n, 2)), None

    return _shape("swiss_roll", draw)


def s_curve() -> Shape:
    """An S of two arcs, each three quarters of a circle, with noise of standard deviation 0.05."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, None]:
        t = 3 * np.pi * (rng.random(n) - 0.5)
        x = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], axis=1)
        return x + 0.05 * rng.standard_normal((n, 2)), None

    return _shape("s_curve", draw)


def checkerboard() -> Shape:
    """The eight black fields of a 4 × 4 board, uniformly: entropy ln 8 − ln scale² for fields of side 1."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, None]:
        row, pair = rng.integers(0, 4, n), rng.integers(0, 2, n)
        return np.stack([2 * pair + row % 2, row], axis=1) + rng.random((n, 2)), None

    return _shape("checkerboard", draw)


DINOSAUR = (
    "0,34 8,36 16,40 20,49 25,46 29,57 34,53 39,62 43,56 49,62 52,54 58,56 61,50 66,54 70,62 73,72 76,80 80,85 86,87 "
    "92,85 97,81 98,78 93,77 87,77 83,74 81,67 79,58 76,48 72,40 69,34 69,24 70,12 72,4 62,4 62,12 60,22 57,28 48,26 "
    "40,27 37,22 35,12 37,4 27,4 27,13 26,24 23,31 16,32 8,32 0,34"
)
"""Its outline, from the tip of the tail over the plates of the back to the head and back by the feet."""


def dinosaur() -> Shape:
    """The outline of a dinosaur with an eye, uniform along its length, with noise of standard deviation 0.4 in 98."""
    outline = np.array([point.split(",") for point in DINOSAUR.split()], float)
    arc = _arc(outline)

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, None]:
        at = rng.random(n) * (arc[-1] + 12)  # the eye counts for a length of 12
        along = np.stack([np.interp(at, arc, outline[:, i]) for i in (0, 1)], axis=1)
        eye = np.array([86, 82]) + _polar(np.ones(n), 2 * np.pi * rng.random(n))
        return np.where(at[:, None] < arc[-1], along, eye) + 0.4 * rng.standard_normal((n, 2)), None

    return _shape("dinosaur", draw)


SHAPES: dict[str, Callable[[], Shape]] = {
    f.__name__: f for f in (two_moons, circles, swiss_roll, s_curve, checkerboard, dinosaur)
}


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _arc(path: np.ndarray) -> np.ndarray:
    """The length of a path (n, 2) up to each of its points, (n,)."""
    return np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])


def _modes(means: np.ndarray, std: float) -> GaussianMixture:
    return _standardised(means, np.broadcast_to(std**2 * np.eye(2), (len(means), 2, 2)), np.arange(len(means)))


def _bands(curves: Sequence[Callable], per_curve: int, thickness: float) -> GaussianMixture:
    """Components on curves u ∈ [0, 1] → (n, 2), each in the middle of its share of the arc length."""
    means, covariances = [], []
    for curve in curves:
        u = np.linspace(0, 1, 4001)
        arc = _arc(curve(u))
        at = np.interp((np.arange(per_curve) + 0.5) / per_curve * arc[-1], arc, u)
        tangent = curve(at + 1e-5) - curve(at - 1e-5)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        normal = tangent @ [[0, 1], [-1, 0]]
        length = 0.6 * arc[-1] / per_curve
        outer = lambda a: a[:, :, None] * a[:, None, :]  # noqa: E731
        means.append(curve(at))
        covariances.append(length**2 * outer(tangent) + thickness**2 * outer(normal))
    return _standardised(
        np.concatenate(means), np.concatenate(covariances), np.repeat(np.arange(len(curves)), per_curve)
    )


def _standardised(means: np.ndarray, covariances: np.ndarray, labels: np.ndarray) -> GaussianMixture:
    """The mixture of equal weights, moved to mean 0 and scaled to average coordinate variance 1."""
    means = means - means.mean(axis=0)
    variance = np.mean(means**2) + np.mean(np.trace(covariances, axis1=1, axis2=2)) / 2
    return GaussianMixture(np.full(len(means), 1 / len(means)), means / variance**0.5, covariances / variance, labels)
