"""GaussianMixture, in what no identity says of it: its rows and classes, draws and integrals, kinds and refusals.

Shapes: K components, B points, D coordinates.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identities.tools import log_density, of_class
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff import testing

WEIGHTS, MEANS, LABELS = [0.5, 0.2, 0.3], [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]], [0, 1, 1]
COVARIANCES = [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.1, 0.0], [0.0, 0.6]]]
MIXTURE = td.GaussianMixture(WEIGHTS, MEANS, COVARIANCES, LABELS)
ONE = np.eye(2)[None]
TWO = np.stack([np.eye(2)] * 2)


def agree(actual, expected, rel=1e-12):
    """|actual − expected| ≤ rel · max |expected|: a coordinate that cancels is judged by the size of the whole."""
    assert_allclose(actual, expected, rtol=0, atol=rel * np.max(np.abs(expected)), equal_nan=False)


def everything(m, x, u, now, then):
    """All that a mixture says of rows x (B, D) at two levels: each entry has B first."""
    level = now.process.at(now, like=x)
    q = m.cast(x).diffused(level.alpha, level.sigma)
    yield from (q.log_density(x), q.score(x), q.score_linearized(x)[1](u))
    yield from m.x0_posterior(x, level.alpha, level.sigma)
    yield m.x0_linearized(x, level.alpha, level.sigma)[1](u)
    yield from m.reverse_kernel(x, now, then).moments()


# Parameters, rows and classes


def test_a_mixture_is_what_it_was_made_of():
    """Of arrays or lists: the parameters are (K,), (K, D), (K, D, D), and (K, B, …) where each row has its own."""
    arrays = td.GaussianMixture(*map(np.array, (WEIGHTS, MEANS, COVARIANCES, LABELS)))
    for m in (MIXTURE, arrays):
        for found, passed in ((m.weights, WEIGHTS), (m.means, MEANS), (m.covariances, COVARIANCES)):
            assert found.shape == np.shape(passed)
            agree(found, passed)
    moved = MIXTURE.shifted(np.array([3.0, -1.0]))
    agree(moved.means, np.add(MEANS, [3.0, -1.0]))
    agree(moved.covariances, COVARIANCES)
    assert MIXTURE.like.shape == (0, MIXTURE.dim) == (0, 2)
    assert repr(MIXTURE) == "GaussianMixture(3 components, 2 dimensions)"

    rows = MIXTURE.posterior(np.zeros((4, 2)), 0.5, 0.5)
    assert rows.weights.shape == (3, 4)
    assert rows.means.shape == (3, 4, 2)
    assert "one mixture for each of 4 rows" in repr(rows)


@given(mixture=testing.mixtures(), scale=st.sampled_from([3.0, 300.0]), rng=testing.generators())
def test_the_density_is_known_where_every_component_underflows(mixture, scale, rng):
    """ln Σ_k w_k N(x; α m_k, α² C_k + σ² I) by inverses and determinants, 300 away from the data as well."""
    x = scale * rng.standard_normal((5, mixture.dim))
    expected = log_density(mixture, x, 0.8, 0.6)
    assert_allclose(mixture.diffused(0.8, 0.6).log_density(x), expected, rtol=1e-11, atol=1e-11)


@settings(max_examples=25)
@given(mixture=testing.mixtures(), process=testing.processes(), rng=testing.generators(), data=st.data())
def test_rows_with_times_and_classes_of_their_own_are_a_loop(mixture, process, rng, data):
    """Row i at t_i, s_i in class y_i, or in none (−1), is what the mixture of that class alone says of it."""
    labels = np.arange(len(mixture.weights)) % 2
    m = td.GaussianMixture(mixture.weights, mixture.means, mixture.covariances, labels)
    y = np.array([0, -1, labels[-1], 0])
    s, t = np.transpose([data.draw(testing.times(process, 2, zero=True)) for _ in y])
    x = process.at(t).perturb(m.sample(rng, 4), rng.standard_normal((4, m.dim)))
    u = rng.standard_normal(x.shape)
    together = everything(m.given(y), x, u, process.at(t), process.at(s))
    loop = []
    for i in range(4):
        (_, alone), row = of_class(m, y[i]), slice(i, i + 1)
        loop.append(everything(alone, x[row], u[row], process.at(t[i]), process.at(s[i])))
    for one, *rows in zip(together, *loop, strict=True):
        for i, row in enumerate(rows):
            assert_allclose(one[i : i + 1], row, rtol=1e-7, atol=1e-7)  # singular C_k at σ = .01 lose σ⁻⁴ of 1e-16


def test_the_weights_of_a_class_are_divided_by_their_sum():
    agree(MIXTURE.given(1).weights, [0, 0.4, 0.6])
    two = MIXTURE.given([1, -1])
    agree(two.weights.T, [[0, 0.4, 0.6], WEIGHTS])
    agree(two.rows(slice(1, 2)).weights, WEIGHTS)


# Draws


def test_draws_follow_the_law_as_a_whole_and_in_each_class():
    x, y = MIXTURE.sample(0, 4000, labels=True)
    for draws, law in ((x, MIXTURE), (x[y == 0], MIXTURE.given(0)), (x[y == 1], MIXTURE.given(1))):
        testing.assert_same_law(draws, law, rng=1)


def test_draws_without_spread_are_the_data_points(rng):
    y = np.array([[0.0, 1.0], [0.5, 0.5], [2.0, -1.0]])
    x = td.GaussianMixture([0.2, 0.3, 0.5], y, np.zeros((3, 2, 2))).sample(rng, 200)
    assert_array_equal(np.unique(x, axis=0), y)


def test_each_row_draws_from_its_own_class(rng):
    """And one row for each of them, no more and no less."""
    labels = np.array([0, 1, 1, 0, 1] * 20)
    q = MIXTURE.given(labels)
    x, drawn = q.sample(rng, 100, labels=True)
    assert_array_equal(drawn, labels)
    assert x.shape == (100, 2)
    for n in (7, 200):
        with pytest.raises(ValueError, match=f"n must be 100; got {n}"):
            q.sample(rng, n)


def test_two_rows_have_two_mixtures(rng):
    """Each row draws around its own mean, and there is no quadrature of two laws at once."""
    m = td.GaussianMixture([1.0], [[0.0]], [[[1e-8]]]).posterior(np.array([[-5.0], [5.0]]), 1.0, 1e-3)
    assert_allclose(m.sample(rng, 2), m.moments()[0], atol=1e-3)
    assert np.all(np.diff(m.moments()[0], axis=0) > 1e-4)
    with pytest.raises(ValueError, match="a mixture a row"):
        m.quadrature()


def test_a_seed_fixes_the_draws():
    """The same generator gives the same draws, with or without labels; another seed gives others."""
    x, (again, _) = MIXTURE.sample(9, 10), MIXTURE.sample(9, 10, labels=True)
    assert_array_equal(x, again)
    assert not np.any(x == MIXTURE.sample(10, 10))


# Integrals


@settings(max_examples=20)
@given(rough=testing.mixtures(dims=(1, 2)))
def test_quadrature_integrates_polynomials(rough):
    r"""$\sum w = 1$, $\sum w x = E\,x$, and $\sum w x x^\top = \sum_k w_k (C_k + m_k m_k^\top)$."""
    m = rough.diffused(1.0, 0.4)
    x, w = m.quadrature()
    assert np.sum(w) == pytest.approx(1, abs=1e-12)
    assert_allclose(w @ x, m.weights @ m.means, atol=1e-11)
    second = m.covariances + m.means[:, :, None] * m.means[:, None, :]
    assert_allclose((w[:, None] * x).T @ x, np.tensordot(m.weights, second, 1), atol=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_entropy_of_a_gaussian_is_half_the_log_determinant(dim, rng):
    """h = ½ ln det 2πe C by quadrature, and by n draws with the standard error √(d/2n)."""
    root = rng.standard_normal((dim, dim + 2))
    m = td.GaussianMixture([1.0], np.ones((1, dim)), (0.1 * np.eye(dim) + 0.2 * root @ root.T)[None])
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * m.covariances[0])[1]
    if dim < 3:
        assert m.entropy() == (pytest.approx(exact, abs=1e-11), 0.0)
    nats, error = m.entropy(rng, n=4000)
    assert abs(nats - exact) < 4 * error
    assert error == pytest.approx(math.sqrt(dim / 2 / 4000), rel=0.15)


def test_entropy_of_distant_components_adds_that_of_the_weights():
    """h = Σ w_k (h_k − ln w_k) where components do not overlap."""
    w, var = np.array([0.3, 0.7]), np.array([0.5, 2.0])
    exact = np.sum(w * (0.5 * np.log(2 * np.pi * np.e * var) - np.log(w)))
    m = td.GaussianMixture(w, [[0.0], [40.0]], var[:, None, None])
    assert m.entropy()[0] == pytest.approx(exact, abs=1e-11)


# Numbers of other kinds


@pytest.mark.parametrize("process", [td.VP(), td.VE(), td.Discrete.cosine(10)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [0.5, np.array([0.5, 0.8, 0.3])], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(process, t, rng):
    """A mixture and times in float64 meet points in float32: all answers are float32, at its precision."""
    x, u = rng.standard_normal((2, 3, 2)).astype(np.float32)
    levels = process.at(t), process.at(0.2)
    double = everything(MIXTURE, x.astype(float), u.astype(float), *levels)
    for one, other in zip(everything(MIXTURE, x, u, *levels), double, strict=True):
        assert one.dtype == np.float32
        assert other.dtype == np.float64
        agree(one, other, 2e-4)


def test_a_cast_mixture_draws_in_its_dtype():
    q = MIXTURE.cast(np.zeros((1, 2), np.float32))
    assert q.like.dtype == q.sample(0, 3).dtype == q.weights.dtype == np.float32
    agree(q.covariances, MIXTURE.covariances, 1e-6)


def test_a_mixture_that_lives_elsewhere_is_integrated_alike():
    """On the second device of array-api-strict, where a silent conversion to NumPy raises."""
    xp = pytest.importorskip("array_api_strict")
    moved = MIXTURE.cast(xp.zeros((0, 2), device=xp.Device("device1")))
    assert moved.entropy() == pytest.approx(MIXTURE.entropy())
    assert moved.entropy(0, 1000) == pytest.approx(MIXTURE.entropy(0, 1000))


# What is refused, and what rounding explains


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0, 0.0], ONE), "got shapes (1,), (2,) and (1, 2, 2)"),
        (([0.5, 0.5], [[0.0, 0.0]], ONE), "got shapes (2,), (1, 2)"),
        (([1.0], [[0.0, 0.0]], ONE[0]), "and (2, 2)"),
        (([1.0], [[0.0, 0.0]], np.ones((1, 2, 3))), "and (1, 2, 3)"),
        (([0.7, 0.7], np.zeros((2, 2)), TWO), "sum 1; got the sum 1.4"),
        (([0.5, 0.5 + 2e-6], np.zeros((2, 2)), TWO), "sum 1; got the sum 1.000002"),
        (([1.2, -0.2], np.zeros((2, 2)), TWO), "the least -0.2"),
        (([1.0, 0.0], np.zeros((2, 2)), TWO), "positive"),
        (([math.nan], [[0.0, 0.0]], ONE), "positive"),
        (([1.0], [[0.0, math.nan]], ONE), "finite"),
        (([1.0], [[0.0, 0.0]], math.inf * np.ones((1, 2, 2))), "finite"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.3, 1.0]]]), "symmetric"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "semidefinite; got the eigenvalue -1"),
        (([1.0], [[0.0, 0.0]], [np.diag([0.5, -1.5e-9])]), "semidefinite"),
        (([1.0], [[0.0, 0.0]], ONE, [0, 1]), "labels must be whole numbers, 0 or more, (1,); got [0, 1]"),
        (([1.0], [[0.0, 0.0]], ONE, [-1]), "labels must be whole numbers, 0 or more, (1,); got [-1]"),
        (([1.0], [[0.0, 0.0]], ONE, [0.5]), "labels must be whole numbers, 0 or more, (1,); got [0.5]"),
    ],
)
def test_what_is_no_mixture_is_a_value_error(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        td.GaussianMixture(*arguments)


@pytest.mark.parametrize("k", [60, 1000])
def test_weights_of_float32_are_made_to_sum_to_one(k):
    """They are accepted where the sum is within 1e-6 of 1, and are one law with those of float64."""
    weights = np.random.default_rng(k).uniform(0.5, 1, k)
    weights = (weights / weights.sum()).astype(np.float32)
    assert 0 < abs(weights.astype(float).sum() - 1) < 1e-6
    m = td.GaussianMixture(weights, np.zeros((k, 1)), np.ones((k, 1, 1)))
    agree(m.weights, weights.astype(float) / weights.astype(float).sum(), 1e-14)


def test_a_variance_that_rounds_below_zero_is_zero():
    """Down to −1e-9 of the largest eigenvalue, or of 1 where that is more: no draw and no density is NaN."""
    for variances in ([1.0, -1e-12], [0.5, -1e-9], [1e6, -1e-5]):
        m = td.GaussianMixture([1.0], [[0.0, 5.0]], [np.diag(variances)])
        assert m.variances.min() == 0
        assert np.all(m.sample(0, 4)[:, 1] == 5)
        assert np.all(np.isfinite(m.diffused(1.0, 0.1).score(np.ones((1, 2)))))


UNLABELLED = td.GaussianMixture([1.0], [[0.0, 0.0]], np.zeros((1, 2, 2)))
WIDE = td.GaussianMixture([1.0], np.zeros((1, 3)), np.eye(3)[None])
NARROW = td.GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [[[2e-11]], [[1.0]]])
APART = (4_000_000.5 * 0.3 - 18) / 2  # four million points of the rule, 2 m + 18 σ in steps of .3 σ, and a half
FAR = td.GaussianMixture([0.5, 0.5], [[-APART], [APART]], np.ones((2, 1, 1)))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: UNLABELLED.given(0), "no labels"),
        (lambda: UNLABELLED.sample(0, 3, labels=True), "no labels"),
        (lambda: MIXTURE.given([-2, 0]), "among 0 to 1, or −1 for none; got [-2, 0]"),
        *((lambda y=y: MIXTURE.given(y), "whole numbers among 0 to 1") for y in (2, 0.5, [0.0, 1.0], [[0, 1]], "0")),
        (lambda: MIXTURE.given(0).given(1), "no component is left"),
        (lambda: UNLABELLED.log_density(np.zeros((1, 2))), "zero variance has no density"),
        (lambda: MIXTURE.score(np.zeros(2)), "shape (B, 2); got shape (2,)"),
        (lambda: MIXTURE.score(np.zeros((3, 1))), "shape (B, 2); got shape (3, 1)"),
        (lambda: MIXTURE.score(np.zeros((2, 3, 2))), "shape (B, 2); got shape (2, 3, 2)"),
        *((m.entropy, "no quadrature here") for m in (UNLABELLED, WIDE, NARROW, FAR)),
    ],
)
def test_questions_without_an_answer_are_value_errors(ask, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ask()
