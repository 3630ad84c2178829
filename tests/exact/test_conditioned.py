"""GaussianMixture.conditioned, the exact posterior of a measurement y = A x_0 + τ n: Bayes' rule, checked on points."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

import tinydiff as td
from tinydiff import testing

PAIR = td.GaussianMixture([0.3, 0.7], [[1, 0], [-1, 0.5]], [[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0], [0, 0.4]]], [0, 1])


def log_noise(gap, tau):
    """ln N(gap; 0, τ² I) of each row."""
    return -0.5 * np.sum((gap / tau) ** 2 + np.log(2 * np.pi * tau**2), axis=-1)


def log_evidence(m, A, y, tau):
    """ln p(y), component by component, by SciPy."""
    laws = zip(m.weights, m.means, m.covariances, strict=True)
    return np.log(sum(w * multivariate_normal(A @ c, A @ C @ A.T + tau**2 * np.eye(len(A))).pdf(y) for w, c, C in laws))


@given(
    rough=testing.mixtures(dims=(1, 4)), rng=testing.generators(), measured=st.integers(1, 5), tau=st.floats(0.05, 3.0)
)
def test_it_is_bayes_rule(rough, rng, measured, tau):
    """ln p(x | y) + ln p(y) = ln p(x) + ln p(y | x) at any points, with more or fewer measurements than coordinates."""
    m = rough.diffused(1.0, 0.3)
    A, x = rng.standard_normal((measured, m.dim)), m.sample(rng, 6)
    y = A @ m.sample(rng, 1)[0] + tau * rng.standard_normal(measured)
    found = m.conditioned(A, y, tau).log_density(x) + log_evidence(m, A, y, tau)
    assert_allclose(found, m.log_density(x) + log_noise(y - x @ A.T, tau), rtol=1e-8, atol=1e-8)


def test_it_is_bayes_rule_on_a_grid():
    """The density over a plane of points, normalised by its sum, with nothing known of Gaussians."""
    u, A, y, tau = np.linspace(-5, 5, 401), np.array([[0.8, -0.6]]), np.array([0.3]), 0.25
    x = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
    p = np.exp(PAIR.log_density(x) + log_noise(y - x @ A.T, tau))
    p /= p.sum() * (u[1] - u[0]) ** 2
    assert_allclose(np.exp(PAIR.conditioned(A, y, tau).log_density(x)), p, atol=1e-10 * p.max())


def test_without_noise_it_is_exact_conditioning(rng):
    """Its draws measure exactly y, along any directions, and its other coordinates have the law that `conditional` has.

    It is the limit of ever smaller noise: moments differ by some τ².
    """
    m = td.GaussianMixture(
        [0.4, 0.6], rng.normal(size=(2, 3)), (b := rng.normal(size=(2, 3, 3))) @ b.swapaxes(1, 2), [0, 1]
    )
    A, y = rng.normal(size=(2, 3)), np.array([0.5, -0.2])
    exact = m.conditioned(A, y)
    assert_allclose(exact.sample(rng, 50) @ A.T, np.tile(y, (50, 1)), rtol=1e-10)
    for one, other in zip(exact.moments(), m.conditioned(A, y, 1e-6).moments(), strict=True):
        assert_allclose(one, other, atol=1e-9)
    mask, x = np.array([True, False, True]), m.sample(rng, 4)
    law = m.conditioned(np.eye(3)[mask], x[:, mask])
    for one, other in zip(law.moments(), m.conditional(x, mask).moments(), strict=True):
        assert_allclose(one[:, ~mask] if one.ndim == 2 else one[:, ~mask][:, :, ~mask], other, rtol=1e-10)
    assert_array_equal(law.labels, m.labels)


def test_one_measurement_after_the_other(rng):
    """q | y_1 | y_2 is q | (y_1, y_2), and a measurement with endless noise says nothing."""
    A, y, x = rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=(5, 2))
    one_by_one = PAIR.conditioned(A[:1], y[:1], 0.3).conditioned(A[1:], y[1:], 0.3)
    assert_allclose(one_by_one.log_density(x), PAIR.conditioned(A, y, 0.3).log_density(x), rtol=1e-10)
    assert_allclose(PAIR.conditioned(A, y, 1e9).log_density(x), PAIR.log_density(x), rtol=1e-12)


def test_noise_is_a_measurement_too(rng):
    """x_t = α x_0 + σ ε measures x_0 with A = α I and τ = σ: `posterior`, row by row."""
    x = rng.normal(size=(5, 2))
    found, expected = PAIR.conditioned(0.8 * np.eye(2), x, 0.6), PAIR.posterior(x, 0.8, 0.6)
    assert_allclose(found.log_density(x), expected.log_density(x), rtol=1e-12)
    assert_allclose(found.weights, expected.weights, rtol=1e-12)


def test_a_measurement_for_each_row_is_each_rows_own(rng):
    A, y, x = rng.normal(size=(1, 2)), rng.normal(size=(5, 1)), rng.normal(size=(5, 2))
    alone = [PAIR.conditioned(A, each, 0.3).log_density(x[[i]])[0] for i, each in enumerate(y)]
    assert_allclose(PAIR.conditioned(A, y, 0.3).log_density(x), alone, rtol=1e-12)


def test_points_with_a_class_each_are_weighed_and_stay_where_they_are(rng):
    """A finite data set keeps its points and labels: only the weights move."""
    points = td.GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1.0, 2.0]], np.zeros((2, 2, 2)), [3, 4])
    law = points.conditioned(np.array([[1.0, 0.0]]), np.array([1.0]), 0.5)
    assert_array_equal(law.means, points.means)
    assert_allclose(law.weights[1] / law.weights[0], np.exp(2), rtol=1e-12)
    assert_array_equal(law.given(4).weights, [0, 1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"A": np.ones((1, 3))}, "A must be a matrix (M, 2), a row for each number that is measured; got shape (1, 3)"),
        ({"A": np.ones(2)}, "A must be a matrix (M, 2)"),
        ({"A": np.ones((0, 2))}, "A must be a matrix (M, 2)"),
        ({"y": np.ones(2)}, "y must be (1,), or (B, 1), a number for each row of A; got shape (2,)"),
        ({"y": 1.0}, "y must be (1,)"),
        ({"y": np.array([np.nan])}, "must be finite, and below 1e100"),
        ({"A": np.array([[np.inf, 0]])}, "must be finite, and below 1e100"),
        ({"y": np.array([1e200])}, "must be finite, and below 1e100"),
        ({"A": np.array([[1j, 0]])}, "A must be an array of real numbers"),
        ({"A": [[1.0, 0.0], [1.0]]}, "A must be an array of real numbers"),
        ({"y": None}, "y must be an array of real numbers; got None"),
        ({"y": ["much"]}, "y must be an array of real numbers"),
        ({"tau": -0.1}, "tau must be from 0 to"),
        ({"tau": np.nan}, "tau must be from 0 to"),
        ({"A": np.ones((2, 2)), "y": np.ones(2), "tau": 0.0}, "or A's rows depend on each other"),
        ({"A": np.ones((3, 2)), "y": np.ones(3), "tau": 0.0}, "or A's rows depend on each other"),
    ],
)
def test_what_is_no_measurement_is_a_value_error(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PAIR.conditioned(**{"A": np.array([[1.0, 0.0]]), "y": np.array([0.5]), "tau": 0.1} | wrong)
