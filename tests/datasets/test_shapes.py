"""The shapes that can only be sampled, each against its definition, after x·scale + shift gave the draws back.

With a seed, means are within five standard errors and tests of distribution keep p > 1e-3. Noise of deviation s in the
plane, added to a point at the distance R, gives r²/s² the noncentral χ² law of 2 degrees and R²/s²; and, being round,
it drops out of the mean of any power of x + iy.
"""

import functools
import math

import numpy as np
import pytest
from scipy import stats

import tinydiff as td
from tinydiff.datasets.toys import DINOSAUR, SHAPES, TOYS, Shape

N = 40_000
LABELLED = ("two_moons", "circles")
UNLABELLED = ("swiss_roll", "s_curve", "checkerboard", "dinosaur")
OUTLINE = np.array([point.split(",") for point in DINOSAUR.split()], float)
SIDES = np.linalg.norm(np.diff(OUTLINE, axis=0), axis=1)
EYE, EYE_LENGTH = np.array([86.0, 82.0]), 12.0
every_shape = pytest.mark.parametrize("name", SHAPES)


@functools.cache
def made(name):
    return SHAPES[name]()


@functools.cache
def draws(name):
    """N draws in the units of the definition, and their labels or None."""
    shape, rng = made(name), np.random.default_rng(1)
    x, labels = shape.sample(rng, N, labels=True) if name in LABELLED else (shape.sample(rng, N), None)
    return x * shape.scale + shape.shift, labels


def follows(sample, cdf):
    return stats.kstest(sample, cdf).pvalue > 1e-3


def equals(sample, mean):
    """Whether the sample's mean is this one, within five standard errors."""
    return abs(np.mean(sample) - mean) < 5 * np.std(sample) / math.sqrt(len(sample))


def at_distance(x, radius, std):
    """Whether the law of r² is that of a circle with noise, and its variance 4 s²R² + 4 s⁴."""
    r2 = np.sum(x**2, axis=1)
    noncentral = stats.ncx2(2, (radius / std) ** 2, scale=std**2)
    return follows(r2, noncentral.cdf) and equals((r2 - noncentral.mean()) ** 2, 4 * (std * radius) ** 2 + 4 * std**4)


# What all have in common


def test_the_shapes_are_these():
    assert set(SHAPES) == {*LABELLED, *UNLABELLED}
    assert not set(SHAPES) & set(TOYS)


@every_shape
def test_draws_have_mean_zero_and_unit_average_variance(name):
    """Up to the errors of these draws and of the 100,000 from which shift and scale are computed."""
    x = made(name).sample(1, N)
    error = 5 * math.sqrt(1 / N + 1 / 100_000)
    np.testing.assert_array_less(np.abs(x.mean(axis=0)), error * x.std(axis=0))
    assert abs(np.mean(x**2) - 1) < error * np.std(np.mean(x**2, axis=1))


@every_shape
def test_a_seed_gives_the_same_draws(name):
    """A whole number or a generator, whichever instance draws; the generator goes on, NumPy's own is not used."""
    shape, again = made(name), SHAPES[name]()
    assert (again.name, again.dim, again.scale, again.shift.tolist()) == (name, 2, shape.scale, shape.shift.tolist())
    before, rng = np.random.get_state()[1].copy(), np.random.default_rng(5)  # noqa: NPY002
    first, second = shape.sample(rng, 50), shape.sample(rng, 50)
    np.testing.assert_array_equal(again.sample(5, 50), first)
    assert not np.any(first == second)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", LABELLED)
def test_labels_come_with_the_same_draws(name):
    """labels=True gives the classes, as likely as each other, of the points that come without it."""
    shape = made(name)
    np.testing.assert_array_equal(shape.labels, [0, 1])
    x, labels = shape.sample(1, N, labels=True)
    np.testing.assert_array_equal(shape.sample(1, N), x)
    assert labels.shape == (N,)
    assert stats.chisquare(np.bincount(labels)).pvalue > 1e-3


@pytest.mark.parametrize("name", UNLABELLED)
def test_a_shape_without_labels_says_so(name):
    assert made(name).labels is None
    with pytest.raises(ValueError, match=f"^{name} has no labels"):
        made(name).sample(0, 3, labels=True)


def test_training_accepts_a_shape():
    """With classes too, where it has labels; where it has none, the error names the shape."""

    def trained(name, classes):
        return td.train(td.TimeMLP(2, 16, 1, classes=classes), td.Cosine(), made(name), steps=1, batch=32, rng=0)

    for name, classes in (("circles", 0), ("circles", 2), ("dinosaur", 0)):
        assert isinstance(made(name), Shape)
        assert np.isfinite(td.last(trained(name, classes)).loss)
    with pytest.raises(ValueError, match="dinosaur has no labels"):
        td.last(trained("dinosaur", 2))


# What each is


def test_the_moons_are_half_circles_of_radius_one():
    """Moon 0 is (cos a, sin a) for a uniform in (0, π), moon 1 the same turned by half and moved by (1, ½)."""
    x, moon = draws("two_moons")
    z = np.where(moon[:, None] == 0, x, [1, 0.5] - x)  # both are now the upper one
    assert at_distance(z, 1, 0.1)
    for each in (z[moon == 0], z[moon == 1]):
        powers = (each @ [1, 1j])[:, None] ** np.arange(1, 5)
        for power, mean in zip(powers.T, (2j / math.pi, 0, 2j / (3 * math.pi), 0), strict=True):  # ∫ e^{ika} da/π
            assert equals(power.real, 0)
            assert equals(power.imag, mean.imag)
        assert each[:, 1].min() > -6 * 0.1


def test_the_circles_have_radius_one_and_a_half():
    """Circle 0 has the radius 1 and circle 1 the radius ½, with noise of 0.05; angles are uniform."""
    x, circle = draws("circles")
    for label, radius in enumerate((1, 0.5)):
        each = x[circle == label]
        assert np.all(np.abs(np.linalg.norm(each, axis=1) - radius) < 6 * 0.05)
        assert at_distance(each, radius, 0.05)
        assert follows(np.arctan2(each[:, 1], each[:, 0]), stats.uniform(-math.pi, 2 * math.pi).cdf)


def test_the_radius_of_the_roll_is_its_unwrapped_angle():
    """r = t at the angle t, 1½π < t < 4½π and uniform: r − t has the variance s²(1 + E 1/t²), for noise s = ½."""
    x, _ = draws("swiss_roll")
    r, angle = np.linalg.norm(x, axis=1), np.arctan2(x[:, 1], x[:, 0])
    t = angle + 2 * math.pi * np.round((r - angle) / (2 * math.pi))
    inverse, inverse_square = math.log(3) / (3 * math.pi), (1 / 1.5 - 1 / 4.5) / (3 * math.pi**2)
    apart = r - t - 0.25 / 2 * inverse  # noise across lengthens the radius by s²/2t
    assert np.all(np.abs(apart) < 6 * 0.5)
    assert equals(apart, 0)
    assert equals(apart**2, 0.25 * (1 + inverse_square))
    assert follows(t, stats.uniform(1.5 * math.pi, 3 * math.pi).cdf)


def test_the_s_is_two_arcs_of_three_quarters_of_a_circle():
    """x² + (|y| − 1)² = 1: from the origin to the right and down around (0, −1), and the same turned by half."""
    x, _ = draws("s_curve")
    apart = np.abs(np.hypot(x[:, 0], np.abs(x[:, 1]) - 1) - 1)
    assert apart.max() < 6 * 0.05
    x = x[np.linalg.norm(x, axis=1) > 0.4]  # nearer to the origin one may not know which arc it is
    lower = x[:, 1] < 0
    assert stats.binomtest(int(lower.sum()), len(x)).pvalue > 1e-3
    for arc in (x[lower], -x[~lower]):
        arc = arc + np.array([0, 1])  # around the origin
        assert at_distance(arc, 1, 0.05)
        t = np.arctan2(arc[:, 0], arc[:, 1]) % (2 * math.pi)
        start = 2 * math.asin(0.4 / 2)  # a chord of 0.4
        assert follows(t, stats.uniform(start, 1.5 * math.pi - start).cdf)


def test_the_board_is_uniform_on_its_black_fields():
    """Column plus row is even; the eight fields are as likely as each other, and so are the parts of a field."""
    x, _ = draws("checkerboard")
    assert x.min() >= 0
    assert x.max() < 4
    field = np.floor(x).astype(int)
    assert np.all(field.sum(axis=1) % 2 == 0)
    counts = np.bincount(field @ [4, 1], minlength=16)
    assert np.count_nonzero(counts) == 8
    assert stats.chisquare(counts[counts > 0]).pvalue > 1e-3
    within = x - field
    parts = np.floor(4 * within).astype(int) @ [4, 1]
    assert stats.chisquare(np.bincount(parts, minlength=16)).pvalue > 1e-3
    assert follows(within[:, 0], stats.uniform.cdf)
    assert follows(within[:, 1], stats.uniform.cdf)


def test_the_dinosaur_is_uniform_along_its_outline():
    """Each draw is near a side or the eye; a side has its part of the length, the eye that of 12; the noise is 0.4."""
    np.testing.assert_array_equal(OUTLINE[0], OUTLINE[-1])
    x, _ = draws("dinosaur")
    a, step = OUTLINE[:-1], np.diff(OUTLINE, axis=0)
    along = np.clip(np.einsum("nsi,si->ns", x[:, None] - a, step) / SIDES**2, 0, 1)
    apart = np.linalg.norm(x[:, None] - a - along[:, :, None] * step, axis=2)
    side, distance = apart.argmin(axis=1), apart.min(axis=1)
    r = np.linalg.norm(x - EYE, axis=1)
    eye = np.abs(r - 1) < distance
    assert np.all(np.where(eye, np.abs(r - 1), distance) < 6 * 0.4)
    assert at_distance((x - EYE)[eye], 1, 0.4)
    counts = np.append(np.bincount(side[~eye], minlength=len(SIDES)), eye.sum())
    probabilities = np.append(SIDES, EYE_LENGTH) / (SIDES.sum() + EYE_LENGTH)
    assert stats.chisquare(counts, N * probabilities).pvalue > 1e-3
    assert stats.binomtest(int(eye.sum()), N, probabilities[-1]).pvalue > 1e-3
    # Away from the corners of a long side, the signed distance is the noise, and the place is uniform.
    place = along[np.arange(N), side] * SIDES[side]
    middle = ~eye & (SIDES[side] >= 8) & (place > 2.4) & (place < SIDES[side] - 2.4)
    normal = (step / SIDES[:, None])[side] @ [[0, 1], [-1, 0]]
    across = np.sum((x - a[side]) * normal, axis=1)[middle]
    assert middle.sum() > N / 5
    assert follows(across, stats.norm(0, 0.4).cdf)
    assert equals(across**2, 0.4**2)
    assert follows(((place - 2.4) / (SIDES[side] - 4.8))[middle], stats.uniform.cdf)
