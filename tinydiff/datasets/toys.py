"""Exact toys: Gaussian mixtures in the plane whose density, score, denoiser and entropy are all known.

Components stand on a curve at equal arc length, 0.6 spacings long along it and `thickness` across, so that neighbours
melt into a band. All are standardised to mean 0 and average coordinate variance 1: under N(0, I) each costs
ln 2π + 1 = 2.8379 nats, and its entropy floor is the least that any model can reach. Labels are modes, moons or arms.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tinydiff.exact.mixture import GaussianMixture

FLOORS = {
    "ring8": 0.5462846,
    "grid25": 0.7534452,
    "moons32": 1.1950990,
    "pinwheel40": 1.2171206,
    "spiral60": 1.4952255,
}
"""Entropies in nats, by quadrature."""


def ring8() -> GaussianMixture:
    """Eight round modes on a circle; the label is the mode."""
    angle = 2 * np.pi * np.arange(8) / 8
    return _modes(np.stack([np.cos(angle), np.sin(angle)], axis=1), std=0.08)


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


TOYS: dict[str, Callable[[], GaussianMixture]] = {f.__name__: f for f in (ring8, grid25, moons32, pinwheel40, spiral60)}


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _modes(means: np.ndarray, std: float) -> GaussianMixture:
    return _standardised(means, np.broadcast_to(std**2 * np.eye(2), (len(means), 2, 2)), np.arange(len(means)))


def _bands(curves: Sequence[Callable], per_curve: int, thickness: float) -> GaussianMixture:
    """Components on curves u ∈ [0, 1] → (n, 2), each in the middle of its share of the arc length."""
    means, covariances = [], []
    for curve in curves:
        u = np.linspace(0, 1, 4001)
        path = curve(u)
        arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
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
