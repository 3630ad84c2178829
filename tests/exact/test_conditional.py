"""GaussianMixture.conditional, the law of some coordinates given the others: q(x_u | x_k) = q(x)/q(x_k)."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities.tools import log_density, of_class
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff import testing

MASK = np.array([True, False, True])
SOLID = td.GaussianMixture(
    [0.3, 0.7],
    [[-1.0, 0.5, 0.2], [0.8, -0.6, 1.0]],
    [[[0.5, 0.3, -0.2], [0.3, 0.6, 0.1], [-0.2, 0.1, 0.4]], [[0.7, -0.4, 0.1], [-0.4, 0.5, 0.2], [0.1, 0.2, 0.6]]],
)


def marginal(m, keep):
    """The law of the coordinates `keep`."""
    return td.GaussianMixture(m.weights, m.means[:, keep], m.covariances[:, keep][:, :, keep])


@given(rough=testing.mixtures(dims=(2, 4)), rng=testing.generators(), data=st.data())
def test_it_is_the_joint_over_the_marginal(rough, rng, data):
    """q(x_u | x_k) = q(x)/q(x_k) at points of many rows at once, whatever the unknown coordinates of x hold."""
    m = rough.diffused(1.0, 0.3)
    mask = np.array(data.draw(st.permutations([True, False, *(rng.random(m.dim - 2) < 0.5)])))
    x = m.sample(rng, 6)
    conditional = m.conditional(np.where(mask, x, np.nan), mask)
    assert conditional.dim == np.sum(~mask)
    expected = log_density(m, x) - log_density(marginal(m, mask), x[:, mask])
    assert_allclose(conditional.log_density(x[:, ~mask]), expected, rtol=1e-9, atol=1e-9)


def test_drawing_the_unknown_anew_keeps_the_joint_law(rng):
    """A Gibbs step: x ~ q, then x_u | x_k in each row from that row's law, is a draw of q again."""
    x = SOLID.sample(rng, 3000)
    x[:, ~MASK] = SOLID.conditional(x, MASK).sample(rng, 3000)
    testing.assert_same_law(x, SOLID, rng=rng)


def test_one_coordinate_after_the_other(rng):
    """(x_c | x_a) | x_b is x_c | x_a, x_b."""
    x, y = SOLID.sample(rng, 1), rng.normal(size=(6, 1))
    first = SOLID.conditional(x, np.array([True, False, False]))
    one_by_one, at_once = (
        first.conditional(x[:, 1:], np.array([True, False])),
        SOLID.conditional(x, np.array([True, True, False])),
    )
    assert_allclose(one_by_one.log_density(y), at_once.log_density(y), rtol=1e-10)


def test_components_keep_their_classes(rng):
    """(q | y) | x_k is (q | x_k) | y, and p(y | x_k) is the weight of the class's components."""
    m, mask = td.toys.moons32(), np.array([True, False])
    x, (p, alone) = m.sample(rng, 4), of_class(m, 0)
    q, expected = m.conditional(x, mask), alone.conditional(x, mask).log_density(x[:, 1:])
    for law in (m.given(0).conditional(x, mask), q.given(0)):
        assert_allclose(law.log_density(x[:, 1:]), expected, rtol=1e-11)
    ratio = log_density(marginal(alone, [0]), x[:, :1]) - log_density(marginal(m, [0]), x[:, :1])
    assert_allclose(q.weights[m.labels == 0].sum(axis=0), p * np.exp(ratio), rtol=1e-11)


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


def test_float32_points_have_the_same_law_in_float32(rng):
    """And a list is a mask, too."""
    x = SOLID.sample(rng, 4)
    single, double = SOLID.conditional(x.astype(np.float32), MASK.tolist()), SOLID.conditional(x, MASK)
    y = rng.normal(size=(4, 1))
    assert single.sample(rng, 4).dtype == np.float32
    assert_allclose(single.log_density(y.astype(np.float32)), double.log_density(y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "mask",
    [[True, True, True], [False, False, False], [1, 0, 1], [True, False], [[True, False, True]], 0, "uku", None],
    ids=str,
)
def test_what_is_no_mask_is_a_value_error(mask):
    with pytest.raises(ValueError, match=re.escape("mask must be boolean, (3,), with some true and some false; got")):
        SOLID.conditional(np.zeros((2, 3)), mask)


@pytest.mark.parametrize(
    ("m", "x", "message"),
    [
        (SOLID, np.zeros(3), "shape (B, 3); got shape (3,)"),
        (SOLID, np.zeros((2, 2)), "shape (B, 3); got shape (2, 2)"),
        (SOLID, np.zeros((2, 1, 3)), "shape (B, 3); got shape (2, 1, 3)"),
        (SOLID.posterior(np.zeros((2, 3)), 0.5, 0.5), np.zeros((3, 3)), "y must be one, or one for each of 2 rows"),
        (SOLID.posterior(np.zeros((2, 3)), *np.full((2, 2, 1), 0.5)), np.zeros((2, 3)), "covariances of its own"),
        (
            td.GaussianMixture([1.0], [[0.0] * 3], np.zeros((1, 3, 3))),
            np.zeros((1, 3)),
            "no spread along something that is known",
        ),
    ],
    ids=["flat", "narrow", "nested", "a law a row", "a covariance a row", "points"],
)
def test_what_has_no_conditional_is_a_value_error(m, x, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        m.conditional(x, MASK)
