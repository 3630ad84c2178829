"""The toys against what defines them: scale, symmetry, spacing along their curves, and entropies by other routes."""

import copy
import math
import pickle

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from tinydiff.datasets.toys import FLOORS, TOYS, eight_gaussians, grid25, moons32, pinwheel40, ring8, spiral60
from tinydiff.exact.mixture import GaussianMixture

COMPONENTS = {"ring8": 8, "grid25": 25, "moons32": 32, "pinwheel40": 40, "spiral60": 60, "eight_gaussians": 8}
CLASSES = {"ring8": 8, "grid25": 25, "moons32": 2, "pinwheel40": 5, "spiral60": 2, "eight_gaussians": 8}
every_toy = pytest.mark.parametrize("name", COMPONENTS)
every_band = pytest.mark.parametrize("make", [moons32, pinwheel40, spiral60])


def log_density(m, x):
    """ln Σ w N(x; m, C) from the inverse and the determinant of each covariance, (B,)."""
    apart = x[:, None, :] - m.means
    square = np.einsum("bki,kij,bkj->bk", apart, np.linalg.inv(m.covariances), apart, optimize=True)
    return logsumexp(np.log(m.weights) - 0.5 * square - 0.5 * np.linalg.slogdet(2 * np.pi * m.covariances)[1], axis=1)


def axes(m):
    """Of each component the larger and the smaller standard deviation (K,), and the direction of the larger (K, 2)."""
    variances, vectors = np.linalg.eigh(m.covariances)
    return np.sqrt(variances[:, 1]), np.sqrt(variances[:, 0]), vectors[:, :, 1]


def turned(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@every_toy
def test_toys_are_mixtures_of_equal_weights_and_balanced_classes(name):
    """K components of weight 1/K in the plane, the classes of equal size and numbered from 0."""
    m, k = TOYS[name](), COMPONENTS[name]
    assert set(TOYS) == set(FLOORS) == set(COMPONENTS)
    assert isinstance(m, GaussianMixture)
    assert m.means.shape == (k, 2)
    np.testing.assert_allclose(m.weights, 1 / k, rtol=1e-14)
    np.testing.assert_array_equal(np.bincount(m.labels), k // CLASSES[name])


@every_toy
def test_toys_have_mean_zero_and_unit_average_variance(name):
    """Σ w m = 0 and ½ tr(Σ w (C + m mᵀ)) = 1, so that one noise schedule suits all."""
    m = TOYS[name]()
    second = np.mean(m.covariances + m.means[:, :, None] * m.means[:, None, :], axis=0)
    np.testing.assert_allclose(m.means.mean(axis=0), 0, atol=1e-14)
    assert np.trace(second) / 2 == pytest.approx(1, abs=1e-14)


@every_toy
def test_a_standard_normal_pays_ln_two_pi_plus_one(name):
    """−E ln N(x; 0, I) = ln 2π + ½ E‖x‖² = ln 2π + 1 nats for each toy, on a grid."""
    x, w = grid(TOYS[name]())
    cross_entropy = np.sum(w * (math.log(2 * math.pi) + 0.5 * np.sum(x * x, axis=1)))
    assert cross_entropy == pytest.approx(math.log(2 * math.pi) + 1, abs=1e-10)


def grid(m):
    """Points (M, 2) and their weights, trapezoidal, at half the least standard deviation."""
    deviations = np.linalg.eigvalsh(m.covariances) ** 0.5
    h = deviations.min() / 2
    reach = np.abs(m.means).max() + 8 * deviations.max()
    side = np.arange(-reach, reach, h)
    x = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    near = np.min(np.sum((x[:, None] - m.means) ** 2, axis=2), axis=1) < (8 * deviations.max()) ** 2
    x = x[near]
    return x, np.exp(log_density(m, x)) * h**2


@every_toy
def test_floors_are_the_entropies(name):
    """FLOORS = −∫ q ln q, by `entropy` and on a grid of another spacing with another density."""
    m = TOYS[name]()
    x, w = grid(m)
    nats, error = m.entropy()
    assert error == 0
    assert nats == pytest.approx(-np.sum(w * log_density(m, x)), abs=1e-6)
    assert FLOORS[name] == pytest.approx(nats, abs=1e-6)
    assert FLOORS[name] < math.log(2 * math.pi) + 1


@every_toy
def test_floors_agree_with_monte_carlo(name):
    """−mean ln q over draws of numpy's own, within 4 standard errors; likewise `entropy(rng)`."""
    m, rng, n = TOYS[name](), np.random.default_rng(0), 20_000
    k = rng.integers(0, len(m.means), n)
    x = m.means[k] + np.einsum("bij,bj->bi", np.linalg.cholesky(m.covariances)[k], rng.normal(size=(n, 2)))
    nats = -log_density(m, x)
    assert abs(nats.mean() - FLOORS[name]) < 4 * nats.std() / math.sqrt(n)
    estimate, error = m.entropy(rng, n)
    assert error == pytest.approx(nats.std() / math.sqrt(n), rel=0.1)
    assert abs(estimate - FLOORS[name]) < 4 * error


@every_toy
def test_draws_carry_the_label_of_their_component(name):
    """Classes are equally likely (χ²), and a draw's class is that of the components near it."""
    m = TOYS[name]()
    x, labels = m.sample(np.random.default_rng(1), 2000, labels=True)
    assert stats.chisquare(np.bincount(labels, minlength=CLASSES[name])).pvalue > 1e-3
    own = np.array([m.given(y).log_density(x[labels == y]).mean() for y in range(CLASSES[name])])
    others = np.array([m.given(y).log_density(x[labels != y]).mean() for y in range(CLASSES[name])])
    assert np.all(own > others + 1)


@every_toy
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda toy: pickle.loads(pickle.dumps(toy))])
def test_a_toy_can_be_copied_and_pickled(name, again):
    """The other has the same components, and so the same draws and densities."""
    m = TOYS[name]()
    other = again(m)
    assert isinstance(other, GaussianMixture)
    for part in ("weights", "means", "covariances", "labels"):
        np.testing.assert_array_equal(getattr(other, part), getattr(m, part))
    x, labels = other.sample(3, 50, labels=True)
    np.testing.assert_array_equal(x, m.sample(3, 50))
    np.testing.assert_array_equal(labels, m.sample(3, 50, labels=True)[1])
    np.testing.assert_array_equal(other.log_density(x), m.log_density(x))


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


def test_the_eight_gaussians_have_radius_four_and_deviation_a_half():
    """Before they are standardised: a coordinate's variance is 4²/2 + (1/2)² = 8.25, which becomes 1."""
    m = eight_gaussians()
    np.testing.assert_allclose(np.linalg.norm(m.means, axis=1) * math.sqrt(8.25), 4, rtol=1e-12)
    np.testing.assert_allclose(m.covariances * 8.25, np.broadcast_to(0.25 * np.eye(2), (8, 2, 2)), atol=1e-12)


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


@every_band
def test_bands_are_thin_and_their_components_overlap(make):
    """Along the band a component reaches its neighbours (.6 of the spacing); across, it is thinner."""
    m = make()
    long, short, along = axes(m)
    assert np.all(short < long)
    for label in np.unique(m.labels):
        keep = m.labels == label
        step = np.diff(m.means[keep], axis=0)
        spacing = np.linalg.norm(step, axis=1)
        np.testing.assert_allclose(long[keep][1:] / spacing, 0.6, rtol=0.1)
        assert np.all(np.abs(np.sum(step * along[keep][1:], axis=1)) > 0.8 * spacing)
