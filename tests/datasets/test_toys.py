"""The toys against what defines them: scale, symmetry, spacing along their curves, and entropies by another route."""

import math

import numpy as np
import pytest
from scipy import integrate

from tinydiff.datasets.toys import FLOORS, TOYS, eight_gaussians, grid25, moons32, pinwheel40, ring8, spiral60
from tinydiff.exact.mixture import GaussianMixture

COMPONENTS = {"ring8": 8, "grid25": 25, "moons32": 32, "pinwheel40": 40, "spiral60": 60, "eight_gaussians": 8}
CLASSES = {"ring8": 8, "grid25": 25, "moons32": 2, "pinwheel40": 5, "spiral60": 2, "eight_gaussians": 8}
every_toy = pytest.mark.parametrize("name", COMPONENTS)


def axes(m):
    """Of each component the larger and the smaller standard deviation (K,), and the direction of the larger (K, 2)."""
    variances, vectors = np.linalg.eigh(m.covariances)
    return np.sqrt(variances[:, 1]), np.sqrt(variances[:, 0]), vectors[:, :, 1]


def turned(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@every_toy
def test_toys_are_balanced_mixtures_of_mean_zero_and_unit_average_variance(name):
    """K components of weight 1/K in classes of equal size; Σ w m = 0, ½ tr(Σ w (C + m mᵀ)) = 1: one schedule."""
    m, k = TOYS[name](), COMPONENTS[name]
    assert set(TOYS) == set(FLOORS) == set(COMPONENTS)
    assert isinstance(m, GaussianMixture)
    assert m.means.shape == (k, 2)
    np.testing.assert_allclose(m.weights, 1 / k, rtol=1e-14)
    np.testing.assert_array_equal(np.bincount(m.labels), k // CLASSES[name])
    np.testing.assert_allclose(m.means.mean(axis=0), 0, atol=1e-14)
    second = np.mean(m.covariances + m.means[:, :, None] * m.means[:, None, :], axis=0)
    assert np.trace(second) / 2 == pytest.approx(1, abs=1e-14)


@every_toy
def test_floors_are_the_entropies(name):
    """FLOORS = −∫ q ln q, by the trapezoidal rule at 0.9 of the least standard deviation, less than N(0, I) pays."""
    m = TOYS[name]()
    deviations = np.linalg.eigvalsh(m.covariances) ** 0.5
    h, reach = 0.9 * deviations.min(), np.abs(m.means).max() + 8 * deviations.max()
    side = np.arange(-reach, reach, h)
    x = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    log_q = m.log_density(x[np.min(np.sum((x[:, None] - m.means) ** 2, axis=2), axis=1) < (8 * deviations.max()) ** 2])
    entropy = -np.sum(np.exp(log_q) * log_q) * h**2
    assert FLOORS[name] == pytest.approx(entropy, abs=1e-6)
    assert FLOORS[name] < math.log(2 * math.pi) + 1


@pytest.mark.parametrize(("make", "thickness"), [(ring8, 0.08), (eight_gaussians, 0.5 / 4)])
def test_ring_modes_stand_on_a_circle_at_equal_angles(make, thickness):
    """Mode k is mode 0, on the first axis, turned by 2πk/8; modes are round, of this part of the radius."""
    m = make()
    np.testing.assert_allclose(m.means[0], [np.linalg.norm(m.means[0]), 0], atol=1e-14)
    for k in range(8):
        np.testing.assert_allclose(m.means[k], turned(2 * np.pi * k / 8) @ m.means[0], atol=1e-14)
    np.testing.assert_array_equal(m.labels, np.arange(8))
    long, short, _ = axes(m)
    np.testing.assert_allclose([long, short], thickness * np.linalg.norm(m.means[0]), rtol=1e-12)


def test_grid_modes_stand_on_a_square_grid():
    """Each coordinate takes five values at equal distance, each pair once; modes are round, a tenth of it wide."""
    m = grid25()
    values = np.unique(np.round(m.means, 12))
    assert len(values) == 5
    np.testing.assert_allclose(np.diff(values), values[1] - values[0], rtol=1e-9)
    assert len(np.unique(np.round(m.means, 12), axis=0)) == 25
    long, short, _ = axes(m)
    np.testing.assert_allclose([long, short], 0.1 * (values[1] - values[0]), rtol=1e-9)


def test_moons_are_half_circles_with_components_at_equal_arcs():
    """In a moon all lie at one radius R from a centre, 1/16 of its arc πR apart, .6 of that long along the circle."""
    m = moons32()
    long, short, along = axes(m)
    centres = []
    for moon in range(2):
        keep = m.labels == moon
        means = m.means[keep]
        chord = np.linalg.norm(np.diff(means, axis=0), axis=1)
        radius = chord.mean() / (2 * math.sin(math.pi / 32))
        middle = (means[0] + means[-1]) / 2  # the ends stand half a spacing short of the diameter
        up = (means[7] + means[8]) / 2 - middle
        centre = middle - up / np.linalg.norm(up) * radius * math.sin(math.pi / 32)
        outward = (means - centre) / radius
        np.testing.assert_allclose(chord, chord[0], rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(np.sum(outward * along[keep], axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(long[keep], 0.6 * math.pi * radius / 16, rtol=1e-5)
        np.testing.assert_allclose(short[keep], 0.06 * radius, rtol=1e-5)
        centres.append(centre)
    # The moons interleave: the lower one is the upper one by half a turn, its centre one radius on and half one up.
    np.testing.assert_allclose(m.means[m.labels == 0], -m.means[m.labels == 1], atol=1e-10)
    np.testing.assert_allclose(centres[1] - centres[0], [radius, radius / 2], rtol=1e-5)
    assert m.means[m.labels == 0][7, 1] > centres[0][1]


@pytest.mark.parametrize(
    ("make", "arms", "radius", "turn", "thickness"),
    [(pinwheel40, 5, (0.3, 1.2), 1.2, 0.045), (spiral60, 2, (0.15, 0.85), 2 * math.pi, 0.035)],
)
def test_arms_have_components_at_equal_arcs(make, arms, radius, turn, thickness):
    """An arm (r, φ) = (r_0 + r_1 u, turn·u): component i stands at (i + ½)/n of the arc length."""
    m = make()
    long, short, along = axes(m)
    n = len(m.means) // arms
    arm = m.means[m.labels == 0]

    def speed(u):
        return math.hypot(radius[1], (radius[0] + radius[1] * u) * turn)

    length = integrate.quad(speed, 0, 1)[0]
    scale = long[0] / (0.6 * length / n)  # of standardisation, from the tangent std
    u = (np.linalg.norm(arm, axis=1) / scale - radius[0]) / radius[1]
    arc = [integrate.quad(speed, 0, each)[0] for each in u]
    np.testing.assert_allclose(arc, (np.arange(n) + 0.5) / n * length, rtol=1e-4)
    angle = np.unwrap(np.arctan2(arm[:, 1], arm[:, 0]))
    np.testing.assert_allclose(angle - angle[0], turn * (u - u[0]), atol=1e-4)
    np.testing.assert_allclose(long, 0.6 * length / n * scale, rtol=1e-6)
    np.testing.assert_allclose(short, thickness * scale, rtol=1e-6)
    # The tangent of r e^{iφ} is (r′ + i r φ′) e^{iφ}.
    phi = turn * u
    tangent = (radius[1] + 1j * (radius[0] + radius[1] * u) * turn) * np.exp(1j * phi)
    direction = along[m.labels == 0] @ [1, 1j]
    np.testing.assert_allclose(np.abs(np.real(np.conj(direction) * tangent)), np.abs(tangent), rtol=1e-6)
    # The arms are one arm turned.
    for k in range(arms):
        np.testing.assert_allclose(m.means[m.labels == k], arm @ turned(2 * np.pi * k / arms).T, atol=1e-10)
