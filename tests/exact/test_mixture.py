"""GaussianMixture against scipy, brute-force Bayes and grids.

Shapes: K components, B points, D coordinates. Sources: DDPM [Ho et al. 2020], VDM [Kingma et al. 2021], Song et al.
[2021].
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from tinydiff.backend import to_numpy
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.processes import VE, VP, Cosine, Discrete, Straight, SubVP

PROCESSES = [VP(), SubVP(), VE(), Cosine(), Straight()]
few = settings(max_examples=25, deadline=None)
processes = st.sampled_from(PROCESSES)
times = st.floats(0.05, 0.95)
seeds = st.integers(0, 2**32 - 1)
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


@st.composite
def mixtures(draw, dims=(1, 2, 3), kinds=("full", "round", "zero"), most=4):
    """1 to `most` components of unequal weights, labelled 0, 1, 0, 1; each covariance is full, round or zero."""
    d = draw(st.sampled_from(dims))
    shapes = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most))
    rng = np.random.default_rng(draw(seeds))
    covariances = []
    for shape in shapes:
        root = rng.normal(size=(d, d + 2))
        full = 0.05 * np.eye(d) + 0.2 * root @ root.T
        covariances.append({"full": full, "round": 0.3 * np.eye(d), "zero": np.zeros((d, d))}[shape])
    weights = rng.uniform(0.2, 1, len(shapes))
    means = rng.normal(size=(len(shapes), d))
    return GaussianMixture(weights / weights.sum(), means, np.array(covariances), np.arange(len(shapes)) % 2)


def dense(dims=(1, 2, 3)):
    return mixtures(dims, ("full", "round"))


@pytest.fixture
def mixture():
    """Three full components in the plane, of classes 0, 1, 1."""
    covariances = [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.1, 0.0], [0.0, 0.6]]]
    return GaussianMixture([0.5, 0.2, 0.3], [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]], covariances, [0, 1, 1])


def agree(actual, expected, rel=1e-12):
    """|actual − expected| ≤ rel · max |expected|: a coordinate that cancels is judged by the size of the whole."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rel * np.max(np.abs(expected)), equal_nan=False)


def law(m, process, t):
    return m.diffused(process.alpha(t), process.sigma(t))


def points(m, process, t, seed, n=5):
    """Points and directions (n, D) at the scale of q_t."""
    rng = np.random.default_rng(seed)
    return law(m, process, t).sample(rng, n), rng.normal(size=(n, m.dim))


def scipy_log_density(m, x, alpha=1.0, sigma=0.0):
    """ln Σ_k w_k N(x; α m_k, α² C_k + σ² I), (B,), by scipy."""
    covariances = alpha**2 * m.covariances + sigma**2 * np.eye(m.dim)
    parts = [
        np.log(w) + np.reshape(stats.multivariate_normal(alpha * mean, c).logpdf(x), -1)
        for w, mean, c in zip(m.weights, m.means, covariances, strict=True)
    ]
    return logsumexp(parts, axis=0)


def round_normal(x, mean, var):
    """ln N(x; mean, var I), the coordinates last."""
    return -0.5 * np.sum((x - mean) ** 2 / var + np.log(2 * np.pi * var), axis=-1)


def everything(m, x, u, process, t, s):
    """All that a mixture says of rows x (B, D): each entry has B first."""
    now, then = process.at(t, like=x), process.at(s, like=x)
    q = m.cast(x).diffused(now.alpha, now.sigma)
    x0, moments = m.x0_mean(x, now.alpha, now.sigma), m.x0_posterior(x, now.alpha, now.sigma)
    x0_pull, kernel = m.x0_linearized(x, now.alpha, now.sigma)[1](u), m.reverse_kernel(x, now, then).moments()
    return [q.log_density(x), q.score(x), q.score_linearized(x)[1](u), x0, x0_pull, *moments, *kernel]


# Densities


@few
@given(dense(), st.sampled_from([3, 300]), seeds)
def test_log_density_is_scipys(m, scale, seed):
    """ln q = ln Σ w_k N(x; m_k, C_k), where every N underflows as well → normalisation, axes transposed, no shift."""
    x = scale * np.random.default_rng(seed).normal(size=(5, m.dim))
    np.testing.assert_allclose(m.log_density(x), scipy_log_density(m, x), rtol=1e-11, atol=1e-11)


@few
@given(mixtures(), processes, times, seeds)
def test_diffused_density_is_scipys(m, process, t, seed):
    """q_t = Σ w_k N(α m_k, α² C_k + σ² I), zero covariances included → α for α², σ for σ²."""
    x, _ = points(m, process, t, seed)
    expected = scipy_log_density(m, x, process.alpha(t), process.sigma(t))
    np.testing.assert_allclose(law(m, process, t).log_density(x), expected, rtol=1e-11, atol=1e-11)


@few
@given(mixtures(), seeds)
def test_parameters_come_back(m, seed):
    """C = U diag(λ) Uᵀ, and `shifted` moves the means alone → axes transposed."""
    c = np.random.default_rng(seed).normal(size=m.dim)
    again = GaussianMixture(m.weights, m.means, m.covariances, m.labels).shifted(c)
    assert again.weights.shape == (len(m.labels),)
    agree(again.weights, m.weights)
    agree(again.means, m.means + c)
    np.testing.assert_allclose(again.covariances, m.covariances, atol=1e-13)
    assert again.dim == m.dim
    assert again.like.shape == (0, m.dim)


def test_covariances_are_those_passed_in(mixture):
    """The constructor's (K, D, D) and (K, D) are the properties' → decomposition of the wrong matrix."""
    expected = [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.1, 0.0], [0.0, 0.6]]]
    agree(mixture.covariances, expected, 1e-14)
    agree(mixture.means, [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]], 0)
    assert "3 components, 2 dimensions" in repr(mixture)
    assert "each of 4 rows" in repr(mixture.diffused(np.full((4, 1), 0.5), 1.0))


@few
@given(mixtures())
def test_moments_obey_the_raw_second_moment(m):
    """Cov = Σ w (C + m mᵀ) − μ μᵀ: the other order of the law of total variance."""
    mean, covariance = m.moments()
    raw = m.covariances + m.means[:, :, None] * m.means[:, None, :]
    mu = m.weights @ m.means
    agree(mean, mu[None])
    expected = (np.einsum("k,kij->ij", m.weights, raw) - np.outer(mu, mu))[None]
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-12)


# x_0 given x_t


@few
@given(dense(), processes, times, seeds)
def test_posterior_is_bayes_rule_pointwise(m, process, t, seed):
    """q(x_0|x) = q(x_0) N(x; α x_0, σ² I)/q_t(x) at any x_0 → a component's gain, variance or weight."""
    alpha, sigma = process.alpha(t), process.sigma(t)
    x, _ = points(m, process, t, seed)
    posterior = m.posterior(x, alpha, sigma)
    x0 = posterior.sample(np.random.default_rng(seed), len(x))
    likelihood = round_normal(x, alpha * x0, sigma**2)
    expected = scipy_log_density(m, x0) + likelihood - scipy_log_density(m, x, alpha, sigma)
    np.testing.assert_allclose(posterior.log_density(x0), expected, rtol=1e-9, atol=1e-9)
    assert posterior.weights.shape == (len(m.labels), len(x))
    assert posterior.means.shape == (len(m.labels), len(x), m.dim)


@few
@given(dense(dims=(1, 2)), seeds)
def test_posterior_moments_are_brute_force_bayes(m, seed):
    """Mean and covariance of prior × likelihood/evidence on a grid of x_0 around x/α, trapezoidal."""
    alpha, sigma = 0.8, 0.6
    x, _ = points(m, Cosine(), 2 / math.pi * math.asin(sigma), seed, n=3)
    side = np.arange(-8, 8, 0.02 if m.dim == 1 else 0.09)
    around = np.stack(np.meshgrid(*[side] * m.dim, indexing="ij"), axis=-1).reshape(-1, m.dim)
    x0 = x[:, None] / alpha + around  # (B, grid, D)
    log_prior = scipy_log_density(m, x0.reshape(-1, m.dim)).reshape(x0.shape[:2])
    w = np.exp(log_prior + round_normal(x[:, None], alpha * x0, sigma**2))
    w /= w.sum(axis=1, keepdims=True)
    mean, covariance = m.x0_posterior(x, alpha, sigma)
    expected = np.einsum("bg,bgi->bi", w, x0)
    agree(mean, expected, 1e-9)
    apart = x0 - expected[:, None]
    agree(covariance, np.einsum("bg,bgi,bgj->bij", w, apart, apart), 1e-9)


def test_posterior_of_data_points_is_a_softmax():
    """With zero covariances E[x_0|x] is the softmax average of the points and nothing is left within components."""
    rng = np.random.default_rng(1)
    y, x, alpha, sigma = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)), 0.7, 0.4
    m = GaussianMixture(np.full(6, 1 / 6), y, np.zeros((6, 2, 2)))
    logits = -np.sum((x[:, None] - alpha * y) ** 2, axis=2) / (2 * sigma**2)
    r = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    posterior = m.posterior(x, alpha, sigma)
    agree(posterior.weights, r.T)
    agree(posterior.means, np.broadcast_to(y[:, None], (6, 4, 2)))
    assert np.all(posterior.covariances == 0)
    agree(m.x0_mean(x, alpha, sigma), r @ y)


# x_s given x_t


@every_process
def test_exact_ancestral_sampling_lands_on_the_earlier_law(process):
    """x_t ~ q_t, then one draw from each row's kernel: x_s ~ q_s (Kolmogorov–Smirnov) → rows mixed up, noise shared."""
    m = GaussianMixture([0.7, 0.3], [[-1.0], [1.5]], [[[0.05]], [[0.0]]])
    rng, t, s = np.random.default_rng(2), 0.7, 0.25
    x_t = law(m, process, t).sample(rng, 5000)
    kernel = m.reverse_kernel(x_t, process.at(t), process.at(s))
    x_s = kernel.sample(rng, 5000)
    q = law(m, process, s)
    std = np.sqrt(q.covariances[:, 0, 0])

    def cdf(x):
        return stats.norm.cdf(x[:, None], q.means[:, 0], std) @ q.weights

    assert stats.kstest(x_s[:, 0], cdf).pvalue > 1e-3
    # A shuffle of the rows would pass so far; standardised by its own kernel, each draw has mean 0 and variance 1.
    mean, covariance = kernel.moments()
    z = (x_s - mean)[:, 0] / np.sqrt(covariance[:, 0, 0])
    assert abs(np.mean(z)) < 4 / math.sqrt(5000)
    assert np.mean(z**2) == pytest.approx(1, abs=0.15)


# One mixture for each row


@few
@given(mixtures(), processes, seeds)
def test_a_vector_of_times_is_a_loop_over_rows(m, process, seed):
    """Row i at t_i, s_i equals a batch of one → t broadcast along the wrong axis."""
    t = np.array([0.9, 0.2, 0.55, 0.7])
    s = t * [0.0, 0.5, 0.9, 0.2]
    x, u = (np.concatenate(c) for c in zip(*[points(m, process, each, seed + 1, 1) for each in t], strict=True))
    loop = [everything(m, x[i : i + 1], u[i : i + 1], process, float(t[i]), float(s[i])) for i in range(4)]
    for together, alone in zip(everything(m, x, u, process, t, s), zip(*loop, strict=True), strict=True):
        agree(together, np.concatenate(alone), 1e-11)


@few
@given(dense(), processes, times, seeds)
def test_given_is_the_mixture_of_one_class(m, process, t, seed):
    """q(x|y) has the weights of class y divided by their sum; −1 keeps all → the mask inverted, no renormalisation."""
    x, u = points(m, process, t, seed)
    for label in set(m.labels):
        keep = m.labels == label
        weights = m.weights[keep] / m.weights[keep].sum()
        alone = GaussianMixture(weights, m.means[keep], m.covariances[keep])
        conditional = m.given(label)
        agree(np.sum(conditional.weights), 1)
        agree(conditional.weights, np.where(keep, m.weights, 0) / m.weights[keep].sum())
        for one, other in zip(
            everything(conditional, x, u, process, t, 0.5 * t),
            everything(alone, x, u, process, t, 0.5 * t),
            strict=True,
        ):
            agree(one, other, 1e-11)
    agree(m.given(-1).weights, m.weights)


@few
@given(mixtures(), processes, times, seeds)
def test_given_labels_is_a_loop_over_rows(m, process, t, seed):
    """Row i of given(labels) is given(labels[i]), with −1 the whole mixture; times may vary as well."""
    labels = np.array([0, -1, m.labels[-1], 0])
    t = t * np.array([1, 0.9, 1, 0.7])
    x, u = points(m, process, float(t[-1]), seed, 4)
    rows = [
        everything(m.given(labels[i]), x[i : i + 1], u[i : i + 1], process, float(t[i]), 0.4 * float(t[i]))
        for i in range(4)
    ]
    loop = [np.concatenate(c) for c in zip(*rows, strict=True)]
    for together, alone in zip(everything(m.given(labels), x, u, process, t, 0.4 * t), loop, strict=True):
        agree(together, alone, 1e-11)


# Draws


def test_samples_of_one_gaussian_are_standard_once_whitened():
    """z = L⁻¹(x − m) has mean 0, covariance I and kurtosis 3 → U transposed, variance for std, noise multiplied twice
    (which has variance 1 as well, but kurtosis 9).
    """
    n, mean = 40_000, np.array([1.0, -2.0, 0.5])
    c = np.array([[1.0, 0.6, -0.3], [0.6, 0.8, 0.1], [-0.3, 0.1, 0.5]])
    x = GaussianMixture([1.0], mean[None], c[None]).sample(np.random.default_rng(4), n)
    z = np.linalg.solve(np.linalg.cholesky(c), (x - mean).T)
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=4 / math.sqrt(n))
    np.testing.assert_allclose(z @ z.T / n, np.eye(3), atol=4 * math.sqrt(2 / n))
    np.testing.assert_allclose(np.mean(z**4, axis=1), 3, atol=4 * math.sqrt(96 / n))


def test_samples_have_the_moments_of_the_mixture(mixture):
    """Within 4 standard errors of `moments`, as a whole and within each class."""
    n = 40_000
    x, y = mixture.sample(np.random.default_rng(5), n, labels=True)
    parts = [(x, mixture), (x[y == 0], mixture.given(0)), (x[y == 1], mixture.given(1))]
    for draws, q in parts:
        mean, covariance = (each[0] for each in q.moments())
        products = (draws - mean)[:, :, None] * (draws - mean)[:, None, :]
        root = math.sqrt(len(draws))
        np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * draws.std(axis=0) / root)
        np.testing.assert_array_less(np.abs(products.mean(axis=0) - covariance), 4 * products.std(axis=0) / root)


def test_component_counts_pass_a_chi_squared_test():
    """Components are drawn in proportion to their weights, and a label says which; the draws come from there."""
    weights, means = np.array([0.1, 0.4, 0.2, 0.3]), np.array([[0.0], [10.0], [20.0], [30.0]])
    m = GaussianMixture(weights, means, np.full((4, 1, 1), 0.5), [3, 2, 1, 0])
    x, labels = m.sample(np.random.default_rng(6), 20_000, labels=True)
    np.testing.assert_array_equal(3 - np.rint(x[:, 0] / 10), labels)
    assert stats.chisquare(np.bincount(labels), 20_000 * weights[::-1]).pvalue > 1e-3


def test_zero_covariance_draws_are_the_data_points():
    y = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    x = GaussianMixture([0.2, 0.3, 0.5], y, np.zeros((3, 2, 2))).sample(np.random.default_rng(7), 200)
    np.testing.assert_array_equal(np.unique(x, axis=0), np.unique(y, axis=0))


def test_each_row_draws_from_its_own_class(mixture):
    """given(labels).sample has the labels asked for; a number of draws other than the rows is a ValueError."""
    labels = np.array([0, 1, 1, 0, 1] * 20)
    q = mixture.given(labels)
    x, drawn = q.sample(np.random.default_rng(8), 100, labels=True)
    np.testing.assert_array_equal(drawn, labels)
    assert x.shape == (100, 2)
    for n in (7, 200):
        with pytest.raises(ValueError, match=f"n must be 100; got {n}"):
            q.sample(np.random.default_rng(8), n)


def test_a_seed_fixes_the_draws(mixture):
    """The same generator gives the same draws, with or without labels; another seed gives others."""
    x = mixture.sample(np.random.default_rng(9), 10)
    again, _ = mixture.sample(np.random.default_rng(9), 10, labels=True)
    np.testing.assert_array_equal(x, again)
    assert not np.any(x == mixture.sample(np.random.default_rng(10), 10))


# Integrals


@few
@given(dense(dims=(1, 2)))
def test_quadrature_integrates_moments(m):
    """Σ w = 1, Σ w x = E x and Σ w x xᵀ = Cov + E E ᵀ."""
    x, w = m.quadrature()
    mean, covariance = (each[0] for each in m.moments())
    assert np.sum(w) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(w @ x, mean, atol=1e-11)
    np.testing.assert_allclose((w[:, None] * x).T @ x, covariance + np.outer(mean, mean), atol=1e-11)


@few
@given(mixtures(kinds=("full",), most=1))
def test_entropy_of_one_gaussian_is_half_log_det(m):
    """h = ½ ln det 2πe C, by quadrature; in three dimensions by draws, with standard error √(d/2n)."""
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * m.covariances[0])[1]
    if m.dim < 3:
        assert m.entropy() == (pytest.approx(exact, abs=1e-11), 0.0)
    nats, error = m.entropy(np.random.default_rng(11), n=4000)
    assert abs(nats - exact) < 4 * error
    assert error == pytest.approx(math.sqrt(m.dim / 2 / 4000), rel=0.15)


def test_entropy_of_distant_components_adds_the_entropy_of_the_weights():
    """h = Σ w_k (h_k − ln w_k) where components do not overlap."""
    w, var = np.array([0.3, 0.7]), np.array([0.5, 2.0])
    m = GaussianMixture(w, [[0.0], [40.0]], var[:, None, None])
    exact = np.sum(w * (0.5 * np.log(2 * np.pi * np.e * var) - np.log(w)))
    assert m.entropy()[0] == pytest.approx(exact, abs=1e-11)
    nats, error = m.entropy(np.random.default_rng(12), n=50_001)
    assert abs(nats - exact) < 4 * error


def test_entropy_by_draws_agrees_with_quadrature(mixture):
    nats, error = mixture.entropy(np.random.default_rng(13))
    assert 0 < error < 0.005
    assert abs(nats - mixture.entropy()[0]) < 4 * error


# Numbers of other kinds


@pytest.mark.parametrize("process", [*PROCESSES, Discrete.cosine(10)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [0.5, np.array([0.5, 0.8, 0.3])], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(mixture, process, t):
    """A float64 mixture and float64 times meet float32 points: all answers are float32, at its precision."""
    x, u = points(mixture, process, 0.5, 14, 3)
    x, u = x.astype(np.float32), u.astype(np.float32)
    single = everything(mixture, x, u, process, t, 0.2)
    double = everything(mixture, x.astype(np.float64), u.astype(np.float64), process, t, 0.2)
    for one, other in zip(single, double, strict=True):
        assert one.dtype == np.float32
        assert other.dtype == np.float64
        agree(one, other, 2e-4)


def test_a_cast_mixture_draws_in_its_dtype(mixture):
    q = mixture.cast(np.zeros((1, 2), np.float32))
    assert q.like.dtype == q.sample(np.random.default_rng(0), 3).dtype == q.weights.dtype == np.float32
    agree(q.covariances, mixture.covariances, 1e-6)


def on_strict(a):
    xp = pytest.importorskip("array_api_strict")
    return xp.asarray(a, device=xp.Device("device1"))


def on_torch(a):
    return pytest.importorskip("torch").asarray(a)


@pytest.mark.parametrize("to", [on_strict, on_torch])
@pytest.mark.parametrize("process", [VP(), VE(), Straight()], ids=lambda p: type(p).__name__)
def test_other_arrays_give_the_same_numbers(mixture, process, to):
    """array-api-strict on its second device, where any silent conversion to NumPy raises, and PyTorch."""
    x, u = points(mixture, process, 0.5, 15, 3)
    t, s, labels = np.array([0.4, 0.5, 0.8]), np.array([0.1, 0.3, 0.0]), np.array([1, -1, 0])
    expected = everything(mixture.given(labels), x, u, process, t, s)
    for m in (mixture, mixture.cast(to(x))):
        for one, other in zip(
            everything(m.given(to(labels)), to(x), to(u), process, to(t), to(s)), expected, strict=True
        ):
            assert one.dtype == to(x).dtype
            assert one.device == to(x).device
            agree(to_numpy(one), other)


@pytest.mark.parametrize("to", [on_strict, on_torch])
def test_other_arrays_draw_and_integrate_alike(mixture, to):
    """Parameters, moments, draws and entropies of a mixture that lives elsewhere: one seed, the same numbers."""
    like, rng = to(np.zeros((0, 2))), np.random.default_rng
    moved = mixture.cast(like)
    there = (moved.weights, moved.means, moved.covariances, *moved.moments(), moved.sample(rng(0), 5))
    here = (mixture.weights, mixture.means, mixture.covariances, *mixture.moments(), mixture.sample(rng(0), 5))
    for one, other in zip(there, here, strict=True):
        assert one.device == like.device
        agree(to_numpy(one), other)
    agree(moved.entropy(), mixture.entropy())
    agree(moved.entropy(rng(0), 1000), mixture.entropy(rng(0), 1000))


# Errors

ONE = np.eye(2)[None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0, 0.0], ONE), "got shapes (1,), (2,) and (1, 2, 2)"),
        (([0.5, 0.5], [[0.0, 0.0]], ONE), "got shapes (2,), (1, 2)"),
        (([1.0], [[0.0, 0.0]], ONE[0]), "and (2, 2)"),
        (([1.0], [[0.0, 0.0]], np.ones((1, 2, 3))), "and (1, 2, 3)"),
        (([0.7, 0.7], np.zeros((2, 2)), np.stack([np.eye(2)] * 2)), "sum 1; got the sum 1.4"),
        (([1.2, -0.2], np.zeros((2, 2)), np.stack([np.eye(2)] * 2)), "the least -0.2"),
        (([1.0, 0.0], np.zeros((2, 2)), np.stack([np.eye(2)] * 2)), "positive"),
        (([math.nan], [[0.0, 0.0]], ONE), "positive"),
        (([1.0], [[0.0, math.nan]], ONE), "finite"),
        (([1.0], [[0.0, 0.0]], math.inf * np.ones((1, 2, 2))), "finite"),
        (([1.0], [[0.0, 0.0]], np.array([[[1.0, 0.3], [0.0, 1.0]]])), "symmetric"),
        (([1.0], [[0.0, 0.0]], np.array([[[1.0, 2.0], [2.0, 1.0]]])), "semidefinite; got the eigenvalue -1"),
        (([1.0], [[0.0, 0.0]], ONE, [0, 1]), "labels must be whole numbers, 0 or more, (1,); got [0, 1]"),
        (([1.0], [[0.0, 0.0]], ONE, [-1]), "labels must be whole numbers, 0 or more, (1,); got [-1]"),
        (([1.0], [[0.0, 0.0]], ONE, [0.5]), "labels must be whole numbers, 0 or more, (1,); got [0.5]"),
        (([0.5, 0.5 + 2e-6], np.zeros((2, 2)), np.stack([np.eye(2)] * 2)), "sum 1; got the sum 1.000002"),
    ],
)
def test_what_is_no_mixture_is_a_value_error(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GaussianMixture(*arguments)


def test_lists_and_arrays_make_the_same_mixture(mixture):
    again = GaussianMixture(
        *(a.tolist() for a in (mixture.weights, mixture.means, mixture.covariances, mixture.labels))
    )
    x = mixture.means + 0.1
    agree(again.log_density(x), mixture.log_density(x))
    agree(again.given([0, 1, -1]).score(x), mixture.given(np.array([0, 1, -1])).score(x))


@pytest.mark.parametrize("k", [60, 1000])
def test_weights_of_float32_are_made_to_sum_to_one(k):
    """They are accepted where the sum is within 1e-6 of 1, and are one law with those of float64."""
    weights = np.random.default_rng(k).uniform(0.5, 1, k)
    weights = (weights / weights.sum()).astype(np.float32)
    assert 0 < abs(weights.astype(float).sum() - 1) < 1e-6
    m = GaussianMixture(weights, np.zeros((k, 1)), np.ones((k, 1, 1)))
    assert m.weights.sum() == pytest.approx(1, abs=1e-14)
    agree(m.weights, weights.astype(float) / weights.astype(float).sum(), 1e-14)


def test_rounding_below_zero_is_a_zero_variance():
    """A singular covariance whose eigenvalue rounds to −1e−12 is accepted: no draw and no density is NaN."""
    m = GaussianMixture([1.0], [[0.0, 5.0]], [[[1.0, 0.0], [0.0, -1e-12]]])
    assert m.variances.min() == 0
    assert np.all(m.sample(np.random.default_rng(0), 4)[:, 1] == 5)
    assert np.all(np.isfinite(m.diffused(1.0, 0.1).score(np.ones((1, 2)))))


def test_questions_without_an_answer_are_value_errors(mixture):
    unlabelled = GaussianMixture([1.0], [[0.0, 0.0]], np.zeros((1, 2, 2)))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no labels"):
        unlabelled.given(0)
    with pytest.raises(ValueError, match="no labels"):
        unlabelled.sample(rng, 3, labels=True)
    with pytest.raises(ValueError, match=re.escape("among 0 to 1, or −1 for none; got [-2, 0]")):
        mixture.given([-2, 0])
    for labels in (2, 0.5, [0.0, 1.0], [[0, 1]], "0"):
        with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 1"):
            mixture.given(labels)
    with pytest.raises(ValueError, match="no component is left"):
        mixture.given(0).given(1)
    with pytest.raises(ValueError, match="zero variance has no density"):
        unlabelled.log_density(np.zeros((1, 2)))
    for x in (np.zeros(2), np.zeros((3, 1)), np.zeros((2, 3, 2))):
        with pytest.raises(ValueError, match=re.escape(f"shape (B, 2); got shape {x.shape}")):
            mixture.score(x)
    wide = GaussianMixture([1.0], np.zeros((1, 3)), np.eye(3)[None])
    for m in (unlabelled, wide, GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [[[2e-11]], [[1.0]]])):
        with pytest.raises(ValueError, match="pass rng="):
            m.entropy()


def test_two_rows_have_two_mixtures(rng):
    """Each row draws from its own, and there is no quadrature of two laws at once."""
    m = GaussianMixture([1.0], [[0.0]], [[[1e-8]]]).posterior(np.array([[-5.0], [5.0]]), 1.0, 1e-3)
    np.testing.assert_allclose(m.sample(rng, 2), m.moments()[0], atol=1e-3)
    assert np.all(np.diff(m.moments()[0], axis=0) > 1e-4)
    with pytest.raises(ValueError, match="a mixture a row"):
        m.quadrature()


def test_negative_eigenvalues_are_judged_by_the_largest():
    """Down to −1e-9 of it, or of 1 where that is more, they are rounding."""
    GaussianMixture([1.0], [[0.0, 0.0]], [np.diag([1e6, -1e-5])])
    with pytest.raises(ValueError, match="positive semidefinite"):
        GaussianMixture([1.0], [[0.0, 0.0]], [np.diag([0.5, -1.5e-9])])


def test_what_a_mixture_refuses_begins_where_it_says():
    """A covariance is symmetric to rounding, an eigenvalue down to −1e-9 is 0, and four million points are the most."""
    with pytest.raises(ValueError, match="symmetric"):
        GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.3, 1.0]]])
    assert GaussianMixture([1.0], [[0.0, 0.0]], [np.diag([0.5, -1e-9])]).variances.min() == 0
    apart = (4_000_000.5 * 0.3 - 18) / 2  # (2 m + 18 σ)/.3 σ points
    with pytest.raises(ValueError, match="no quadrature here"):
        GaussianMixture([0.5, 0.5], [[-apart], [apart]], np.ones((2, 1, 1))).quadrature()
