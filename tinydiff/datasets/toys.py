"""Toys in the plane, all standardised to mean 0 and average coordinate variance 1. Labels are modes, moons or arms.

The exact ones, in TOYS, are Gaussian mixtures: density, score, denoiser and entropy are all known. Where they form
bands, components stand on a curve at equal arc length, 0.6 spacings long along it and `thickness` across, so that
neighbours melt together. Under N(0, I) each costs ln 2π + 1 = 2.8379 nats, and its entropy floor is the least that any
model can reach. The others, in SHAPES, are the toys that people know by name; they can only be sampled.

Shapes: K components, n draws; curves take u (n,) from 0 to 1 to points (n, 2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydiff.checks import as_generator
from tinydiff.exact.mixture import GaussianMixture

Curve = Callable[[np.ndarray], np.ndarray]
Draws = tuple[np.ndarray, np.ndarray | None]

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
    """Eight round modes on a circle, well apart; the label is the mode.

    Returns
    -------
    GaussianMixture
        Its 8 components have equal weights and the labels 0 to 7.

    Examples
    --------
    >>> import tinydiff as td
    >>> x, labels = td.toys.ring8().sample(0, 1000, labels=True)
    >>> x.shape, sorted(set(labels.tolist()))
    ((1000, 2), [0, 1, 2, 3, 4, 5, 6, 7])
    """
    return _modes(_polar(np.ones(8), 2 * np.pi * np.arange(8) / 8), std=0.08)


def eight_gaussians() -> GaussianMixture:
    """The wider ring of the literature: radius 4 and standard deviation 1/2, then standardised; the label is the mode.

    Returns
    -------
    GaussianMixture
        Its 8 components have equal weights and the labels 0 to 7. Neighbouring modes overlap, unlike those of ring8.

    References
    ----------
    Grathwohl et al. 2019 (FFJORD), §4.1, have such a ring among their toys.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> ring = td.toys.eight_gaussians()
    >>> radius, std = np.linalg.norm(ring.means[0]), ring.covariances[0, 0, 0] ** 0.5
    >>> print(f"{radius / std:.3f}")
    8.000
    """
    return _modes(_polar(np.full(8, 4.0), 2 * np.pi * np.arange(8) / 8), std=0.5)


def grid25() -> GaussianMixture:
    """Twenty-five round modes on a grid of 5 by 5; the label is the mode.

    Returns
    -------
    GaussianMixture
        Its 25 components have equal weights and the labels 0 to 24.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.toys.grid25().means.shape
    (25, 2)
    """
    side = np.arange(5.0)
    return _modes(np.stack(np.meshgrid(side, side, indexing="ij"), axis=2).reshape(25, 2), std=0.1)


def moons32() -> GaussianMixture:
    """Two interleaved half circles of 16 components each; the label is the moon.

    Returns
    -------
    GaussianMixture
        Its 32 components have equal weights and the labels 0 and 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> np.bincount(td.toys.moons32().labels)
    array([16, 16])
    """
    return _bands([_upper_moon, _lower_moon], per_curve=16, thickness=0.06)


def pinwheel40() -> GaussianMixture:
    """Five bent arms of 8 components each; the label is the arm.

    Returns
    -------
    GaussianMixture
        Its 40 components have equal weights and the labels 0 to 4.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> np.bincount(td.toys.pinwheel40().labels)
    array([8, 8, 8, 8, 8])
    """
    return _bands([_arm(2 * np.pi * k / 5, 0.3, 1.2, 1.2) for k in range(5)], per_curve=8, thickness=0.045)


def spiral60() -> GaussianMixture:
    """Two spiral arms of 30 components each, a full turn long; the label is the arm.

    Returns
    -------
    GaussianMixture
        Its 60 components have equal weights and the labels 0 and 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> np.bincount(td.toys.spiral60().labels)
    array([30, 30])
    """
    return _bands([_arm(np.pi * k, 0.15, 0.85, 2 * np.pi) for k in range(2)], per_curve=30, thickness=0.035)


TOYS: dict[str, Callable[[], GaussianMixture]] = {
    f.__name__: f for f in (ring8, grid25, moons32, pinwheel40, spiral60, eight_gaussians)
}
"""The mixtures by name."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A distribution in the plane that can only be sampled: a draw, moved and scaled to mean 0 and variance 1.

    Its density is not known in closed form, so a model of it is judged by its samples alone.

    Parameters
    ----------
    name : str
        What the shape is called.
    draw : callable
        ``draw(rng, n)`` gives points (n, 2) in the units of the shape, and labels (n,) or None.
    shift : (2,)
        The mean of the draws, in their units.
    scale : float
        The root of their average variance of a coordinate, in their units.
    labels : (K,) or None
        The classes that occur.
    dim : int
        The number of coordinates, 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> moons = td.toys.two_moons()
    >>> x, labels = moons.sample(0, 500, labels=True)
    >>> x.shape, labels.shape, moons.labels.tolist()
    ((500, 2), (500,), [0, 1])
    """

    name: str
    draw: Callable[[np.random.Generator, int], Draws]
    shift: np.ndarray
    scale: float
    labels: np.ndarray | None
    dim: int = 2

    def sample(self, rng: np.random.Generator | int, n: int, labels: bool = False) -> Any:
        """Draw n standardised points, and their classes if asked for.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            Where the numbers come from; a whole number seeds a generator.
        n : int
            How many points.
        labels : bool
            Whether to return the classes too. The points are the same either way.

        Returns
        -------
        (n, 2), or a pair of (n, 2) and (n,)
            The points as float64, and with ``labels=True`` their classes.

        Raises
        ------
        ValueError
            Where labels are asked of a shape that has none.

        Examples
        --------
        >>> import tinydiff as td
        >>> td.toys.swiss_roll().sample(0, 3).shape
        (3, 2)
        """
        x, y = self.draw(as_generator(rng), n)
        if labels and y is None:
            raise ValueError(f"{self.name} has no labels.")
        x = (x - self.shift) / self.scale
        return (x, y) if labels else x


def _shape(name: str, draw: Callable[[np.random.Generator, int], Draws]) -> Shape:
    """The shape of this draw, standardised to the accuracy of 100,000 points."""
    x, y = draw(np.random.default_rng(0), 100_000)
    return Shape(name, draw, x.mean(axis=0), float(np.mean(x.var(axis=0)) ** 0.5), None if y is None else np.unique(y))


def two_moons() -> Shape:
    """Two interleaved half circles of radius 1 with noise of standard deviation 0.1; the label is the moon.

    Returns
    -------
    Shape
        Its labels are 0, the upper moon, and 1, the lower.

    References
    ----------
    Pedregosa et al. 2011 (scikit-learn), ``make_moons``.

    Examples
    --------
    >>> import tinydiff as td
    >>> x, labels = td.toys.two_moons().sample(0, 100, labels=True)
    >>> x.shape, sorted(set(labels.tolist()))
    ((100, 2), [0, 1])
    """
    return _shape("two_moons", _draw_two_moons)


def _draw_two_moons(rng: np.random.Generator, n: int) -> Draws:
    """Moon 0 is (cos a, sin a) for an angle a uniform in (0, π), moon 1 the same turned by half about (½, ¼)."""
    moon, angle = rng.integers(0, 2, n), np.pi * rng.random(n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.where(moon[:, None] == 0, upper, [1, 0.5] - upper) + 0.1 * rng.standard_normal((n, 2)), moon


def circles() -> Shape:
    """Two concentric circles of radius 1 and 1/2 with noise of standard deviation 0.05; the label is the circle.

    Returns
    -------
    Shape
        Its labels are 0, the outer circle, and 1, the inner.

    References
    ----------
    Pedregosa et al. 2011 (scikit-learn), ``make_circles``.

    Examples
    --------
    >>> import tinydiff as td
    >>> x, labels = td.toys.circles().sample(0, 100, labels=True)
    >>> x.shape, sorted(set(labels.tolist()))
    ((100, 2), [0, 1])
    """
    return _shape("circles", _draw_circles)


def _draw_circles(rng: np.random.Generator, n: int) -> Draws:
    """Either circle with probability ½, and an angle uniform in (0, 2π)."""
    circle, angle = rng.integers(0, 2, n), 2 * np.pi * rng.random(n)
    return _polar(np.where(circle == 0, 1.0, 0.5), angle) + 0.05 * rng.standard_normal((n, 2)), circle


def swiss_roll() -> Shape:
    """A roll seen from the end: radius and angle are both t, from 1½π to 4½π, with noise of standard deviation 0.5.

    Returns
    -------
    Shape
        It has no labels.

    References
    ----------
    Sohl-Dickstein et al. 2015, Fig. 1, diffuse a roll like this one.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.toys.swiss_roll().sample(0, 3).shape
    (3, 2)
    """
    return _shape("swiss_roll", _draw_swiss_roll)


def _draw_swiss_roll(rng: np.random.Generator, n: int) -> Draws:
    """The parameter t is uniform, and so points lie thinner on the outer turn."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    return _polar(t, t) + 0.5 * rng.standard_normal((n, 2)), None


def s_curve() -> Shape:
    """An S of two arcs, each three quarters of a circle of radius 1, with noise of standard deviation 0.05.

    Returns
    -------
    Shape
        It has no labels.

    References
    ----------
    Pedregosa et al. 2011 (scikit-learn), ``make_s_curve``.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.toys.s_curve().sample(0, 3).shape
    (3, 2)
    """
    return _shape("s_curve", _draw_s_curve)


def _draw_s_curve(rng: np.random.Generator, n: int) -> Draws:
    """(sin t, ±(cos t − 1)) for t uniform in (−1½π, 1½π), with the sign of t."""
    t = 3 * np.pi * (rng.random(n) - 0.5)
    x = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], axis=1)
    return x + 0.05 * rng.standard_normal((n, 2)), None


def checkerboard() -> Shape:
    """The eight black fields of a board of 4 by 4, uniformly.

    Returns
    -------
    Shape
        It has no labels. Its entropy is known all the same: ln 8 − ln scale² nats, for fields of side 1.

    References
    ----------
    Grathwohl et al. 2019 (FFJORD), §4.1, have such a board among their toys.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> board = td.toys.checkerboard()
    >>> print(f"{np.log(8 / board.scale**2):.2f} nats")
    1.79 nats
    """
    return _shape("checkerboard", _draw_checkerboard)


def _draw_checkerboard(rng: np.random.Generator, n: int) -> Draws:
    """A row, one of its two black fields, and a place in it."""
    row, pair = rng.integers(0, 4, n), rng.integers(0, 2, n)
    return np.stack([2 * pair + row % 2, row], axis=1) + rng.random((n, 2)), None


DINOSAUR = (
    "0,34 8,36 16,40 20,49 25,46 29,57 34,53 39,62 43,56 49,62 52,54 58,56 61,50 66,54 70,62 73,72 76,80 80,85 86,87 "
    "92,85 97,81 98,78 93,77 87,77 83,74 81,67 79,58 76,48 72,40 69,34 69,24 70,12 72,4 62,4 62,12 60,22 57,28 48,26 "
    "40,27 37,22 35,12 37,4 27,4 27,13 26,24 23,31 16,32 8,32 0,34"
)
"""Its outline, from the tip of the tail over the plates of the back to the head and back by the feet."""


def dinosaur() -> Shape:
    """The outline of a dinosaur with an eye, uniform along its length, with noise of standard deviation 0.4.

    Returns
    -------
    Shape
        It has no labels. Before it is standardised the animal is 98 long.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.toys.dinosaur().sample(0, 3).shape
    (3, 2)
    """
    return _shape("dinosaur", _draw_dinosaur)


def _draw_dinosaur(rng: np.random.Generator, n: int) -> Draws:
    """A place along the outline, which the eye, a circle of radius 1 at (86, 82), prolongs by 12."""
    outline = np.array([point.split(",") for point in DINOSAUR.split()], float)
    arc = _arc(outline)
    at = rng.random(n) * (arc[-1] + 12)
    along = np.stack([np.interp(at, arc, outline[:, i]) for i in (0, 1)], axis=1)
    eye = np.array([86, 82]) + _polar(np.ones(n), 2 * np.pi * rng.random(n))
    return np.where(at[:, None] < arc[-1], along, eye) + 0.4 * rng.standard_normal((n, 2)), None


SHAPES: dict[str, Callable[[], Shape]] = {
    f.__name__: f for f in (two_moons, circles, swiss_roll, s_curve, checkerboard, dinosaur)
}
"""The shapes by name."""


# ---- curves, and mixtures made of them


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (n, 2) of these radii and angles, both (n,)."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _upper_moon(u: np.ndarray) -> np.ndarray:
    """The upper half of the unit circle."""
    return np.stack([np.cos(np.pi * u), np.sin(np.pi * u)], axis=1)


def _lower_moon(u: np.ndarray) -> np.ndarray:
    """The upper moon turned by half about (½, ¼)."""
    return [1, 0.5] - _upper_moon(u)


def _arm(angle: float, start: float, length: float, bend: float) -> Curve:
    """The arm (r, φ) = (start + length u, angle + bend u)."""

    def curve(u: np.ndarray) -> np.ndarray:
        return _polar(start + length * u, angle + bend * u)

    return curve


def _arc(path: np.ndarray) -> np.ndarray:
    """The length of a path (n, 2) up to each of its points, (n,)."""
    return np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])


def _modes(means: np.ndarray, std: float) -> GaussianMixture:
    """Round components of this standard deviation, each a class."""
    return _standardised(means, np.broadcast_to(std**2 * np.eye(2), (len(means), 2, 2)), np.arange(len(means)))


def _bands(curves: Sequence[Curve], per_curve: int, thickness: float) -> GaussianMixture:
    """Components on curves, each in the middle of its part of the arc length; each curve is a class."""
    means, covariances = [], []
    for curve in curves:
        u = np.linspace(0, 1, 4001)
        arc = _arc(curve(u))
        at = np.interp((np.arange(per_curve) + 0.5) / per_curve * arc[-1], arc, u)
        tangent = curve(at + 1e-5) - curve(at - 1e-5)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        normal = tangent @ [[0, 1], [-1, 0]]
        length = 0.6 * arc[-1] / per_curve
        means.append(curve(at))
        covariances.append(length**2 * _outer(tangent) + thickness**2 * _outer(normal))
    return _standardised(
        np.concatenate(means), np.concatenate(covariances), np.repeat(np.arange(len(curves)), per_curve)
    )


def _outer(a: np.ndarray) -> np.ndarray:
    """The matrix a aᵀ of each row, (n, 2) → (n, 2, 2)."""
    return a[:, :, None] * a[:, None, :]


def _standardised(means: np.ndarray, covariances: np.ndarray, labels: np.ndarray) -> GaussianMixture:
    """The mixture of equal weights, moved to mean 0 and scaled to average coordinate variance 1."""
    means = means - means.mean(axis=0)
    variance = np.mean(means**2) + np.mean(np.trace(covariances, axis1=1, axis2=2)) / 2
    return GaussianMixture(np.full(len(means), 1 / len(means)), means / variance**0.5, covariances / variance, labels)
