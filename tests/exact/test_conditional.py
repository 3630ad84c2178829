"""GaussianMixture.conditional against q(x_u | x_k) = q(x)/q(x_k), by scipy, by grids and by draws."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import tinydiff as td


def masks(dim):
    """Every mask with some true and some false."""
    return [np.array(m) for m in itertools.product([False, True], repeat=dim) if 0 < sum(m) < dim]


every_mask = pytest.mark.parametrize("mask", [*masks(2), *masks(3)], ids=str)


def mixture(dim, labels=None):
    """Four full components of unequal weights."""
    rng = np.random.default_rng(dim)
    roots = rng.normal(size=(4, dim, dim + 1))
    covariances = 0.1 * np.eye(dim) + 0.3 * roots @ roots.swapaxes(1, 2)
    return td.GaussianMixture([0.1, 0.2, 0.3, 0.4], rng.normal(size=(4, dim)), covariances, labels)


def scipy_log_density(m, x, keep):
    """ln of the marginal of the coordinates `keep` at x (B, len(keep)), (B,)."""
    parts = [
        np.log(w) + np.reshape(multivariate_normal(mean[keep], c[np.ix_(keep, keep)]).logpdf(x), -1)
        for w, mean, c in zip(m.weights, m.means, m.covariances, strict=True)
    ]
    return logsumexp(parts, axis=0)


def grid(m, unknown):
    """Points (M, U) over all the unknown coordinates' reach and the volume of each."""
    h, reach = 0.3 * math.sqrt(m.variances.min()), 9 * math.sqrt(m.variances.max())
    low, high = m.means.min(axis=0) - reach, m.means.max(axis=0) + reach
    sides = np.meshgrid(*(np.arange(low[i], high[i], h) for i in unknown), indexing="ij")
    return np.stack([side.ravel() for side in sides], axis=1), h ** len(unknown)


def joined(x, unknown, y):
    """Rows with x's known coordinates and y for the unknown."""
    out = np.array(np.broadcast_to(x, (len(y), x.shape[-1])))
    out[:, unknown] = y
    return out


@every_mask
class TestBruteForce:
    """Each mask, in two and three dimensions."""

    def test_it_is_the_joint_over_the_marginal(self, mask, rng):
        """q(x_u | x_k) = q(x)/q(x_k) at points of many rows at once, each with its own law."""
        dim, m, k = len(mask), mixture(len(mask)), np.flatnonzero(mask)
        x = m.sample(rng, 200)
        conditional = m.conditional(x, mask)
        assert conditional.dim == dim - len(k)
        y = x[:, ~mask] + rng.normal(size=(200, dim - len(k)))
        joint = scipy_log_density(m, joined(x, ~mask, y), np.arange(dim))
        expected = joint - scipy_log_density(m, x[:, k], k)
        np.testing.assert_allclose(np.exp(conditional.log_density(y)), np.exp(expected), rtol=1e-10)

    def test_it_integrates_to_1_with_the_moments_of_the_joint(self, mask, rng):
        """∫ q(x_u | x_k) dx_u = 1 by the trapezoidal rule, where brute force normalises q along the grid."""
        m, unknown = mixture(len(mask)), np.flatnonzero(~mask)
        for x in m.sample(rng, 2):
            conditional = m.conditional(x[None], mask)
            y, volume = grid(m, unknown)
            weights = np.exp(conditional.log_density(y)) * volume
            assert np.sum(weights) == pytest.approx(1, abs=1e-10)
            brute = np.exp(scipy_log_density(m, joined(x, unknown, y), np.arange(m.dim)))
            np.testing.assert_allclose(weights, brute / brute.sum(), atol=1e-12)
            mean, covariance = (each[0] for each in conditional.moments())
            brute /= brute.sum()
            np.testing.assert_allclose(mean, brute @ y, atol=1e-10)
            np.testing.assert_allclose(covariance, ((y - mean).T * brute) @ (y - mean), atol=1e-10)

    def test_one_gaussian_in_the_form_of_precisions(self, mask, rng):
        """With Λ = C⁻¹: mean m_u − Λ_uu⁻¹ Λ_uk (x_k − m_k), covariance Λ_uu⁻¹ [Bishop 2006, 2.96–2.97]."""
        one = mixture(len(mask))
        one = td.GaussianMixture([1.0], one.means[:1], one.covariances[:1])
        x, mean, precision = rng.normal(size=(5, one.dim)), one.means[0], np.linalg.inv(one.covariances[0])
        u, k = np.flatnonzero(~mask), np.flatnonzero(mask)
        covariance = np.linalg.inv(precision[np.ix_(u, u)])
        expected = mean[u] - (x[:, k] - mean[k]) @ (covariance @ precision[np.ix_(u, k)]).T
        means, covariances = one.conditional(x, mask).moments()
        np.testing.assert_allclose(means, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(covariances, np.broadcast_to(covariance, (5, *covariance.shape)), atol=1e-12)

    def test_rows_alone_are_rows_together(self, mask, rng):
        m = mixture(len(mask))
        x, y = m.sample(rng, 4), rng.normal(size=(4, np.sum(~mask)))
        together = m.conditional(x, mask)
        alone = [m.conditional(x[i : i + 1], mask).log_density(y[i : i + 1])[0] for i in range(4)]
        np.testing.assert_allclose(together.log_density(y), alone, rtol=1e-12)

    def test_the_unknown_coordinates_of_x_do_not_matter(self, mask, rng):
        m = mixture(len(mask))
        x, y = m.sample(rng, 3), rng.normal(size=(3, np.sum(~mask)))
        other = np.where(mask, x, np.nan)
        np.testing.assert_array_equal(m.conditional(x, mask).log_density(y), m.conditional(other, mask).log_density(y))

    def test_drawing_the_unknown_anew_keeps_the_joint_law(self, mask, rng):
        """A Gibbs step: x_k from q, then a draw of x_u | x_k in each row, has q's mean and covariance, 4 errors."""
        m, n = mixture(len(mask)), 40_000
        x = m.sample(rng, n)
        draws = joined(x, ~mask, m.conditional(x, mask).sample(rng, n))
        mean, covariance = (each[0] for each in m.moments())
        products = (draws - mean)[:, :, None] * (draws - mean)[:, None, :]
        np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * draws.std(axis=0) / math.sqrt(n))
        np.testing.assert_array_less(
            np.abs(products.mean(axis=0) - covariance), 4 * products.std(axis=0) / math.sqrt(n)
        )


@pytest.mark.parametrize("mask", masks(3), ids=str)
def test_draws_of_one_row_have_its_moments(mask, rng):
    """A law shared by all draws, not one a row: within 4 standard errors of its moments."""
    m, n = mixture(3), 40_000
    q = m.conditional(m.sample(rng, 1), mask)
    draws = q.sample(rng, n)
    mean, covariance = (each[0] for each in q.moments())
    products = (draws - mean)[:, :, None] * (draws - mean)[:, None, :]
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * draws.std(axis=0) / math.sqrt(n))
    np.testing.assert_array_less(np.abs(products.mean(axis=0) - covariance), 4 * products.std(axis=0) / math.sqrt(n))


def test_one_coordinate_after_the_other(rng):
    """(x_c | x_a) | x_b is x_c | x_a, x_b."""
    m = mixture(3)
    x = m.sample(rng, 1)
    first = m.conditional(x, np.array([True, False, False]))
    one_by_one = first.conditional(x[:, 1:], np.array([True, False]))
    at_once = m.conditional(x, np.array([True, True, False]))
    y = rng.normal(size=(6, 1))
    np.testing.assert_allclose(one_by_one.log_density(y), at_once.log_density(y), rtol=1e-10)


def test_components_keep_their_classes(rng):
    """p(y | x_k) is the weight of the class's components, and given(y) the law of x_u for both [Bayes]."""
    labels, mask = [1, 0, 1, 0], np.array([True, False])
    m, alone = mixture(2, labels), [mixture(2), mixture(2)]
    for y in (0, 1):
        keep = np.array(labels) == y
        w = alone[y].weights[keep]
        alone[y] = (w.sum(), td.GaussianMixture(w / w.sum(), m.means[keep], m.covariances[keep]))
    x, u = m.sample(rng, 5), rng.normal(size=(5, 1))
    q = m.conditional(x, mask)
    joint = np.array([prior * np.exp(scipy_log_density(part, x[:, :1], [0])) for prior, part in alone])
    for y, (_, part) in enumerate(alone):
        np.testing.assert_allclose(q.weights[np.array(labels) == y].sum(axis=0), joint[y] / joint.sum(axis=0))
        np.testing.assert_allclose(q.given(y).log_density(u), part.conditional(x, mask).log_density(u), rtol=1e-10)


def test_the_mixture_itself_stays_as_it_is(rng):
    m = mixture(3)
    x = m.sample(rng, 4)
    before = m.log_density(x)
    m.conditional(x, np.array([True, False, True]))
    np.testing.assert_array_equal(m.log_density(x), before)
    assert m.dim == 3


def test_what_the_known_determine_has_no_variance_left(rng):
    """On lines through a plane of two unknown coordinates, x = m + r z: no variance is below 0 by rounding.

    One draw is a point where the line has the known coordinate: m_u + (r_u/r_k) (x_k − m_k) for one of the lines.
    """
    roots, means = rng.normal(size=(2, 50, 3))
    m = td.GaussianMixture(np.full(50, 0.02), means, roots[:, :, None] * roots[:, None, :])
    x = rng.normal(size=(200, 3))
    q = m.conditional(x, np.array([True, False, False]))
    assert np.all(q.variances >= 0)
    points = means[:, None, 1:] + (roots[:, 1:] / roots[:, :1])[:, None] * (x[:, :1] - means[:, None, :1])
    apart = np.linalg.norm(points - q.sample(rng, 200), axis=2) / (1 + np.linalg.norm(points, axis=2))
    assert np.max(np.min(apart, axis=0)) < 1e-5


@pytest.mark.parametrize("known", [[1], [0, 1, 3]])
def test_four_coordinates(known, rng):
    """Axes of three dimensions are not their own transpose, as those of two may be."""
    m, mask = mixture(4), np.isin(np.arange(4), known)
    x, y = m.sample(rng, 50), rng.normal(size=(50, 4 - len(known)))
    joint = scipy_log_density(m, joined(x, ~mask, y), np.arange(4))
    expected = joint - scipy_log_density(m, x[:, mask], known)
    np.testing.assert_allclose(m.conditional(x, mask).log_density(y), expected, rtol=1e-10)


def test_float32_points_have_the_same_law(rng):
    m, mask = mixture(3), [True, False, True]
    x, y = m.sample(rng, 4), rng.normal(size=(4, 1))
    single = m.conditional(x.astype(np.float32), mask).log_density(y)
    np.testing.assert_allclose(single, m.conditional(x, np.array(mask)).log_density(y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "mask",
    [[True, True, True], [False, False, False], [1, 0, 1], [True, False], [[True, False, True]], 0, "uku", None],
    ids=str,
)
def test_what_is_no_mask_is_a_value_error(mask):
    with pytest.raises(ValueError, match=re.escape("mask must be boolean, (3,), with some true and some false; got")):
        mixture(3).conditional(np.zeros((2, 3)), mask)


def test_wrong_use_is_named(rng):
    """Points of another shape, and a mixture that is already one a row."""
    m, mask = mixture(3), np.array([True, False, True])
    for x in (np.zeros(3), np.zeros((2, 2)), np.zeros((2, 1, 3))):
        with pytest.raises(ValueError, match=re.escape(f"shape (B, 3); got shape {x.shape}")):
            m.conditional(x, mask)
    with pytest.raises(ValueError, match="already one for each row"):
        m.posterior(np.zeros((2, 3)), 0.5, 0.5).conditional(np.zeros((2, 3)), mask)


def test_a_class_has_its_own_conditional(rng):
    """Components of other classes keep the weight 0."""
    data = td.toys.moons32()
    x, mask = data.sample(rng, 4), np.array([True, False])
    of_class, alone = (
        data.given(0),
        td.GaussianMixture(np.full(16, 1 / 16), data.means[data.labels == 0], data.covariances[data.labels == 0]),
    )
    found = of_class.conditional(x, mask).log_density(x[:, 1:])
    np.testing.assert_allclose(found, alone.conditional(x, mask).log_density(x[:, 1:]), rtol=1e-12)


def test_the_conditional_is_of_the_kind_of_x(rng):
    data = td.toys.ring8()
    x = data.sample(rng, 3).astype(np.float32)
    assert data.conditional(x, np.array([False, True])).sample(rng, 3).dtype == np.float32


def test_points_have_no_conditional():
    points = td.GaussianMixture([1.0], [[0.0, 1.0]], np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="no spread along the known coordinates"):
        points.conditional(np.zeros((1, 2)), np.array([True, False]))
