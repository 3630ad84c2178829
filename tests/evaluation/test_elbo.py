"""The variational bound, against log p(x) itself where it is tight, and term by term against other ways to it."""

import itertools
import math
import warnings
from itertools import pairwise

import array_api_strict as strict
import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import tinydiff as td
from tinydiff.backend import namespace, to_numpy
from tinydiff.evaluation.elbo import log_bins, log_normal, log_normal_mass, normal_kl

CENTRE, SPREAD = np.array([0.7, -1.2]), 0.6
NORMAL = td.GaussianMixture([1.0], [CENTRE], [SPREAD * np.eye(2)])
"""N(m, v I), for which the exact reverse kernel is isotropic and Gaussian."""
PAIR = td.GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [[[0.09]], [[0.16]]])
"""Two bumps on the line."""

PROCESSES = (td.VP(), td.Cosine(), td.VE(), td.Discrete.linear(150))
on_every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
LEVELS = np.linspace(-1, 1, 256)[:, None]


def density(x, mean, var):
    """ln N(x; mean, var I) by scipy, (B,)."""
    return np.sum(norm.logpdf(x, mean, math.sqrt(var)), axis=1)


def falling(process, n):
    """n times from t_max down in equal steps, of which one more would reach 0; on the chain of 150, n divides 150."""
    return np.linspace(process.t_max, 0, n + 1)[:-1]


def remaining(now, spread=SPREAD):
    """Var[x_0 | x_t] = v σ²/(α² v + σ²) for x_0 ~ N(m, v I)."""
    return spread * now.sigma**2 / (now.alpha**2 * spread + now.sigma**2)


def exact_variances(process, ts, spread=SPREAD):
    """β̃ + c_0² Var[x_0 | x_t] for each pair, and Var[x_0 | x_1] for the last [no. 19 of the catalogue]."""
    levels = [process.at(t) for t in ts]
    variances = []
    for now, then in pairwise(levels):
        _, c_0, var = td.posterior(now, then)
        variances.append(var + c_0**2 * remaining(now, spread))
    return np.array([*variances, remaining(levels[-1], spread)])


def hermite(n, d):
    """Nodes (n^d, d) and weights (n^d,) of the Gauss–Hermite rule for N(0, I): exact up to degree 2n − 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    weights = weights / weights.sum()
    eps = np.array(list(itertools.product(nodes, repeat=d)))
    return eps, np.prod(list(itertools.product(weights, repeat=d)), axis=1)


def averaged(model, x0, ts, nodes=5, **options):
    """−ELBO of each point, term by term, with every expectation over ε by Gauss–Hermite."""
    eps, weights = hermite(nodes, x0.shape[1])
    rows, noise = np.repeat(x0, len(eps), axis=0), np.tile(eps, (len(x0), 1))
    noise = np.broadcast_to(noise, (len(ts), *noise.shape))
    parts = td.elbo(model, rows, ts, noise=noise, **options)

    def mean(a):
        return np.tensordot(a.reshape(len(x0), len(eps), *a.shape[1:]), weights, (1, 0))

    return td.ElboTerms(mean(parts.prior), mean(parts.diffusion), mean(parts.reconstruction), parts.dim)


def random_network(rng, process, dim=2, size=0.4):
    """An untrained network: none of its answers is right. Its prediction is x_0 itself, of order 1."""
    network = td.TimeMLP(dim, 8, 1, prediction="x0")
    return td.NetworkDenoiser(network, size * rng.standard_normal(network.size), process)


# Where the reverse chain is exact (that the bound is tight there is an identity, tests/identities)


def test_single_draws_of_the_kl_form_scatter_around_log_p(rng):
    """One draw of x_t for each term: unbiased [DDPM 5], so the mean over many copies is ln q(x_0) to its error bars."""
    process = td.VP()
    oracle, ts = td.Oracle(NORMAL, process), falling(process, 4)
    x0 = np.repeat(NORMAL.sample(rng, 1), 4000, axis=0)

    def prior(x):
        return oracle.log_density(x, 1.0)

    nats = td.elbo(oracle, x0, ts, rng, variance=exact_variances(process, ts), prior=prior).nats
    assert 0.1 < np.std(nats) < 3
    assert abs(np.mean(nats) + density(x0[:1], CENTRE, SPREAD)[0]) < 4 * np.std(nats) / math.sqrt(4000)


def test_no_reverse_chain_beats_the_truth(rng):
    """With any other variance of any one step −ELBO is higher: on Gaussian data the exact ones are the minimum."""
    process = td.VP()
    oracle, ts = td.Oracle(NORMAL, process), td.grids.even_log_snr(process, 4)
    eps, weights = hermite(3, 2)
    x0 = CENTRE + math.sqrt(SPREAD) * eps
    exact = exact_variances(process, ts)
    options = {"prior": lambda x: oracle.log_density(x, ts[0])}
    least = weights @ averaged(oracle, x0, ts, variance=exact, **options).nats
    assert least == pytest.approx(1 + math.log(2 * math.pi * SPREAD), rel=1e-12)
    for i, factor in itertools.product(range(5), (0.9, 1.1)):
        other = exact * np.where(np.arange(5) == i, factor, 1)
        # KL(N(0, v) ‖ N(0, fv)) for each coordinate
        more = 1 / factor - 1 + math.log(factor)
        nats = weights @ averaged(oracle, x0, ts, variance=other, **options).nats
        assert nats - least == pytest.approx(more, rel=1e-9)


# The two forms are one bound


@pytest.mark.parametrize("variance", ["beta_tilde", "beta", np.array([0.9, 0.5])], ids=str)
def test_the_two_forms_have_one_mean(variance, rng):
    """E −ln p(x_{0:T})/q(x_{1:T}|x_0) = L_T + Σ L_{t−1} + L_0 at each x_0 [DDPM 5], over two times by quadrature."""
    process, ts = td.VP(), np.array([1.0, 0.4])
    start, middle = (process.at(t) for t in ts)
    model, x0 = random_network(rng, process, dim=1), np.array([[-0.8], [0.1], [1.7]])
    eps, weights = hermite(60, 2)
    found = averaged(model, x0, ts, nodes=60, variance=variance).nats
    a, var = td.transition(start, middle)
    for each, nats in zip(x0, found, strict=True):
        x_0 = np.broadcast_to(each, (len(eps), 1))
        x_1 = middle.perturb(x_0, eps[:, :1])
        path = [a * x_1 + math.sqrt(var) * eps[:, 1:], x_1, x_0]
        ratio = td.path_log_ratio(model, path, ts, variance=variance)
        assert nats == pytest.approx(-weights @ ratio, rel=1e-9)


@on_every_process
def test_the_mean_of_paths_is_the_bound(process, rng):
    """The same by draws of forward_path, within four standard errors, and with the variance β."""
    model, ts = random_network(rng, process), falling(process, 3)
    x0 = np.repeat(rng.standard_normal((1, 2)), 20_000, axis=0)
    terms = td.elbo(model, x0, ts, rng, variance="beta").nats
    paths = -td.path_log_ratio(model, td.forward_path(process, x0, ts, rng), ts, variance="beta")
    error = math.hypot(np.std(terms), np.std(paths)) / math.sqrt(len(x0))
    assert abs(np.mean(terms) - np.mean(paths)) < 4 * error
    assert error < 0.05 * abs(np.mean(terms))


@on_every_process
def test_forward_path_draws_the_process(process, rng):
    """x_t ~ N(α x_0, σ² I) at each time, and neighbours have covariance (α_t/α_s) σ_s² [no. 8]; it ends on x_0."""
    n, x0, ts = 20_000, np.array([[0.5, -2.0]]), falling(process, 3)
    levels = [process.at(t) for t in ts]
    path = td.forward_path(process, np.repeat(x0, n, axis=0), ts, rng)
    assert len(path) == 4
    np.testing.assert_array_equal(path[-1], np.repeat(x0, n, axis=0))
    z = [(x - now.alpha * x0) / now.sigma for x, now in zip(path[:-1], levels, strict=True)]
    for each in z:
        assert np.max(np.abs(np.mean(each, axis=0))) < 4.5 / math.sqrt(n)
        assert np.max(np.abs(np.mean(each * each, axis=0) - 1)) < 4.5 * math.sqrt(2 / n)
        assert abs(np.mean(each[:, 0] * each[:, 1])) < 4.5 / math.sqrt(n)
    for (now, then), later, earlier in zip(pairwise(levels), z[:-1], z[1:], strict=True):
        correlation = now.alpha / then.alpha * then.sigma / now.sigma
        assert abs(np.mean(later * earlier) - correlation) < 4.5 / math.sqrt(n)


# Term by term


@on_every_process
def test_with_other_variances_a_step_costs_the_kl_of_two_gaussians(process, rng):
    """L_{t−1} = c_0² ‖x_0 − x̂_0‖²/(2 var) + (D/2)(β̃/var − 1 − ln β̃/var), for var = β and for an array [no. 22]."""
    model, ts, x0 = random_network(rng, process), falling(process, 3), rng.standard_normal((8, 2))
    noise, array = rng.standard_normal((3, 8, 2)), np.array([0.8, 0.3, 0.1])
    for variance in ("beta", array):
        found = td.elbo(model, x0, ts, noise=noise, variance=variance)
        for i, (now, then) in enumerate(pairwise(process.at(t) for t in ts)):
            beta = now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2
            c_0, beta_tilde = then.alpha * beta / now.sigma**2, beta * then.sigma**2 / now.sigma**2
            var = beta if isinstance(variance, str) else array[i]
            error = np.sum((x0 - model.x0(now.perturb(x0, noise[i]), now)) ** 2, axis=1)
            expected = c_0**2 * error / (2 * var) + beta_tilde / var - 1 - np.log(beta_tilde / var)
            np.testing.assert_allclose(found.diffusion[:, i], expected, rtol=1e-10)


@on_every_process
def test_the_reconstruction_is_at_the_last_time(process, rng):
    """L_0 = −ln N(x_0; x̂_0, σ²/α² I) there, by name; −ln N(x_0; x̂_0, var I) by an array."""
    model, ts, x0 = random_network(rng, process), falling(process, 3), rng.standard_normal((8, 2))
    noise, now = rng.standard_normal((3, 8, 2)), process.at(ts[-1])
    guess = model.x0(now.alpha * x0 + now.sigma * noise[-1], now)
    named = (now.sigma / now.alpha) ** 2
    for variance, var in (("beta_tilde", named), ("beta", named), (np.array([0.4, 0.3, 0.2]), 0.2)):
        found = td.elbo(model, x0, ts, noise=noise, variance=variance)
        np.testing.assert_allclose(found.reconstruction, -density(x0, guess, var), rtol=1e-10)


def test_a_grid_that_starts_late_pays_for_the_prior_where_it_starts(rng):
    """The chain that starts at ts[0] = 0.3 with p(x_T) = N(0, I) has L_T = KL(q(x_{0.3}|x_0) ‖ N(0, I))."""
    process, ts, x0 = td.VP(), np.array([0.3, 0.1]), np.array([[0.5, -1.0]])
    model = random_network(rng, process)
    found = averaged(model, x0, ts)
    explicit = averaged(model, x0, ts, prior=process.prior_log_density)
    np.testing.assert_allclose(found.prior, explicit.prior, rtol=1e-9)


def test_the_density_of_a_gaussian_is_scipys(rng):
    """ln N(x; mean, var I) is the sum of D densities on the line."""
    x, mean = rng.standard_normal((2, 5, 4))
    for var in (1e-8, 0.3, 1.0, 50.0):
        np.testing.assert_allclose(log_normal(x, mean, var), density(x, mean, var), rtol=1e-13)


# How tight it is


def gap(process, ts):
    """E −ELBO − H of the oracle with β̃, by quadrature over x_0 and ε, in nats."""
    oracle = td.Oracle(PAIR, process)
    x0, weights = PAIR.quadrature()
    found = averaged(oracle, x0, ts, nodes=24, prior=lambda x: oracle.log_density(x, ts[0]))
    return weights @ found.nats - PAIR.entropy()[0]


@pytest.mark.parametrize("process", [td.VP(), td.Cosine(), td.VE()], ids=repr)
def test_the_oracles_gap_to_the_entropy_falls_like_one_over_n(process):
    """With x̂_0 = E[x_0|x_t] and equal steps in log-SNR the gap is positive and of order 1 in 1/N [VDM 17–18; no. 28].

    Each step pays a rectangle for ∫ mmse dSNR, so equal steps in t, which leave most of the log-SNR to a few of
    them, pay many times as much.
    """
    gaps = np.array([gap(process, td.grids.even_log_snr(process, n - 1)) for n in (100, 200, 400, 800)])
    assert np.all(gaps > 0)
    np.testing.assert_allclose(np.log2(gaps[:-1] / gaps[1:]), 1, atol=0.15)
    assert gap(process, td.grids.even_time(process, 199)) > 5 * gaps[1]


def test_the_oracles_bound_is_the_riemann_sum_of_the_mmse():
    """E Σ L_{t−1} = ½ Σ (SNR_s − SNR_t) mmse(t), mmse(t) by an integral of its own [VDM 17; Guo–Shamai–Verdú]."""
    process = td.VP()
    oracle, ts = td.Oracle(PAIR, process), td.grids.even_log_snr(process, 5)
    x0, weights = PAIR.quadrature()
    found = weights @ averaged(oracle, x0, ts, nodes=100).diffusion
    for i, (now, then) in enumerate(pairwise(process.at(t) for t in ts)):

        def noisy_variance(x, now=now):
            x = np.array([[x]])
            return (PAIR.x0_posterior(x, now.alpha, now.sigma)[1][0, 0, 0] * np.exp(oracle.log_density(x, now)))[0]

        mmse = quad(noisy_variance, -8, 8, points=[-1, 0, 1], limit=200, epsabs=0, epsrel=1e-10)[0]
        assert found[i] == pytest.approx(0.5 * (then.snr - now.snr) * mmse, rel=1e-5)


def test_no_model_beats_the_entropy(rng):
    """E −ELBO ≥ H(q) for the oracle, and a random network does worse than it [no. 28]."""
    process, data = td.VP(), td.toys.ring8()
    ts, x0 = td.grids.even_log_snr(process, 49), data.sample(rng, 2000)
    excess = {}
    for name, model in (("oracle", td.Oracle(data, process)), ("network", random_network(rng, process))):
        gaps = td.elbo(model, x0, ts, rng).nats + data.log_density(x0)
        excess[name] = np.mean(gaps)
        assert np.mean(gaps) > 4 * np.std(gaps) / math.sqrt(len(x0))
    assert excess["network"] > 10 * excess["oracle"]


# Optimal variances


@on_every_process
def test_the_optimal_variances_of_gaussian_data_are_exact(process, rng):
    """β̃ + c_0² Var[x_0|x_t] [Analytic-DPM]: ‖x_0 − x̂_0‖² is Var[x_0|x_t] χ²_{BD}, so within 4.5 √(2/BD) of its part."""
    n, ts = 20_000, falling(process, 5)
    found = td.optimal_variances(td.Oracle(NORMAL, process), NORMAL.sample(rng, n), ts, rng)
    assert found.shape == (5,)
    exact, beta_tilde = exact_variances(process, ts), exact_variances(process, ts, 0.0)
    assert np.all(np.abs(found - exact) < 4.5 * math.sqrt(2 / (2 * n)) * (exact - beta_tilde) + 1e-15)


def test_no_isotropic_variance_has_a_lower_bound(rng):
    """β̃ + c_0² E‖x_0 − x̂_0‖²/D minimises E −ELBO over the variance of each step [Bao et al. 2022], for any model.

    With the noise in common the minimum is exact: a step off by the factor f costs (D/2)(1/f − 1 + ln f).
    """
    process, x0 = td.VP(), td.toys.moons32().sample(rng, 500)
    model, ts = random_network(rng, process), falling(process, 6)
    best = td.optimal_variances(model, x0, ts, 1)

    def mean(variance):
        """−ELBO at the very draws from which the variances were made."""
        return np.mean(td.elbo(model, x0, ts, 1, variance=variance).nats)

    least = mean(best)
    for i, factor in itertools.product(range(6), (0.5, 0.98, 1.02, 2.0)):
        other = best * np.where(np.arange(6) == i, factor, 1)
        assert mean(other) - least == pytest.approx(1 / factor - 1 + math.log(factor), rel=1e-6)


@pytest.mark.parametrize("data", [PAIR, td.toys.moons32()], ids=["pair", "moons32"])
def test_optimal_variances_of_training_points_have_the_lowest_bound_on_others(data, rng):
    """−ELBO with them is below that with β̃ and with β, at fresh points and by more than four paired errors."""
    process = td.VP()
    oracle, ts = td.Oracle(data, process), falling(process, 10)
    variances = td.optimal_variances(oracle, data.sample(rng, 5000), ts, rng)
    x0 = data.sample(rng, 5000)
    noise = rng.standard_normal((10, *x0.shape))
    best, *named = (
        td.elbo(oracle, x0, ts, noise=noise, variance=variance).nats for variance in (variances, "beta_tilde", "beta")
    )
    for other in named:
        assert np.mean(other - best) > 4 * np.std(other - best) / math.sqrt(len(x0))


@pytest.mark.parametrize("toy", ["ring8", "moons32", "spiral60"])
def test_the_optimal_variances_lie_between_the_named_ones_for_unit_variance(toy, rng):
    """β̃ ≤ β̃ + c_0² mmse/D ≤ β where the coordinates have variance 1 [DDPM §3.2; Analytic-DPM; no. 20]."""
    process, data, n = td.VP(), td.toys.TOYS[toy](), 4000
    ts = falling(process, 12)
    levels = [process.at(t) for t in ts]
    found = td.optimal_variances(td.Oracle(data, process), data.sample(rng, n), ts, rng)
    lower = exact_variances(process, ts, 0.0)
    upper = np.array([*(td.transition(now, then)[1] for now, then in pairwise(levels)), 1 / levels[-1].snr])
    assert np.all(found > lower)
    assert np.all(found < upper + 4.5 / math.sqrt(n) * (found - lower))
    assert np.any(found < 0.9 * upper)


def test_beta_bounds_no_variance_of_wide_data(rng):
    """For N(0, 9 I) the exact reverse variance exceeds β [no. 20 needs unit variance], and so does the optimal one."""
    data, process = td.GaussianMixture([1.0], [[0.0, 0.0]], [9 * np.eye(2)]), td.VP()
    ts = falling(process, 12)
    found = td.optimal_variances(td.Oracle(data, process), data.sample(rng, 4000), ts, rng)
    beta = np.array([td.transition(now, then)[1] for now, then in pairwise(process.at(t) for t in ts)])
    exact = exact_variances(process, ts, 9.0)
    assert np.any(exact[:-1] > 1.1 * beta)
    assert np.any(found[:-1] > 1.1 * beta)


# Images: the levels of a pixel


def test_the_bins_are_where_ddpm_puts_them():
    """δ_−(x) = x − 1/255, δ_+(x) = x + 1/255, −∞ below −1 and ∞ above 1 [DDPM 13]; D pixels are independent."""
    x, mean, std = LEVELS[[0, 1, 100, 254, 255], 0], 0.3, 0.7
    edges = [(-np.inf, -254 / 255), (-254 / 255, -252 / 255), (-56 / 255, -54 / 255), (252 / 255, 254 / 255)]
    edges.append((254 / 255, np.inf))
    expected = [math.log(norm.cdf(b, mean, std) - norm.cdf(a, mean, std)) for a, b in edges]
    np.testing.assert_allclose(log_bins(x[:, None], np.full((5, 1), mean), std**2), expected, rtol=1e-11)
    np.testing.assert_allclose(log_bins(x[None, :], np.full((1, 5), mean), std**2), [np.sum(expected)], rtol=1e-12)


def test_pixels_are_forgiven_float32_and_nothing_else():
    """Levels as float32 hold them are on the levels; a fiftieth of a level off, or beyond the last, is not.

    The bins, a hundredth wide, are taken in float64: what float32 rounds off a level moves both of its edges alike.
    """
    mean = np.zeros_like(LEVELS)
    single = log_bins(LEVELS.astype(np.float32), mean.astype(np.float32), 0.5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, log_bins(LEVELS, mean, 0.5), rtol=0, atol=1e-6)
    for level in (7.5, 7.1, 7.02, 6.98, -0.02, -0.5, -1.0, -300.0, 255.02, 255.5, 256.0, math.nan):
        x = LEVELS.copy()
        x[3] = -1 + 2 * level / 255
        with pytest.raises(ValueError, match="256 levels from −1 to 1; some of these are not"):
            log_bins(x, mean, 0.5)


MIDDLE = [(-1.0, 2.0), (0.0, 1.0), (-0.002, 0.001), (-3.0, 3.0), (-math.inf, 8.0), (-8.0, math.inf)]
TAILS = [(-40.0, -39.99), (5.0, 5.5), (1000.0, 1000.01), (-1e4, -9999.0), (8.0, math.inf), (-math.inf, -8.0)]


@pytest.mark.parametrize(("low", "high"), [*MIDDLE, *TAILS, (-math.inf, math.inf)])
def test_the_mass_of_an_interval_is_right_in_both_tails(low, high):
    """ln (Φ(b) − Φ(a)) against 50 digits. ln Φ is good to 2ε of itself; a narrow interval divides it by 1 − Φ(a)/Φ(b).

    Without a warning, at ±∞ too.
    """
    with mpmath.workdps(50):
        # Φ(b) − Φ(a) on the side of 0 where it does not cancel
        a, b = (mpmath.mpf(low), mpmath.mpf(high)) if low <= 0 else (-mpmath.mpf(high), -mpmath.mpf(low))
        expected = float(mpmath.log(mpmath.ncdf(b) - mpmath.ncdf(a)))
        fraction = float(1 - mpmath.ncdf(a) / mpmath.ncdf(b))
        size = 1 + abs(float(mpmath.log(mpmath.ncdf(b))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = log_normal_mass(np.array([low]), np.array([high]))
    assert found[0] == pytest.approx(expected, rel=1e-14, abs=1e-15 * size / fraction if expected < -1e-12 else 1e-30)


def test_far_tails_are_finite_and_silent():
    """A mean a million standard deviations from a pixel costs about z²/2 nats, not ∞, at every level."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mean in (-3.0, 3.0):
            found = log_bins(LEVELS, np.full_like(LEVELS, mean), 1e-12)
            assert np.all(np.isfinite(found))
            distance = np.abs(LEVELS[:, 0] - mean) - 1 / 255
            distance[0 if mean < 0 else -1] = 0  # this bin holds nearly all
            np.testing.assert_allclose(found, -0.5 * (distance / 1e-6) ** 2, rtol=1e-6)


def test_wide_bins_are_the_density_times_their_width(rng):
    """ln P(x) → ln N(x; x̂_0, var I) + D ln(2/255) where the Gaussian hardly changes over a bin: order (2/255)²/var."""
    x = LEVELS[rng.integers(1, 255, (20, 3)), 0]
    mean = rng.standard_normal((20, 3))
    errors = []
    for var in (1.0, 16.0):
        wide = log_normal(x, mean, var) + 3 * math.log(2 / 255)
        errors.append(np.max(np.abs(log_bins(x, mean, var) - wide)))
    assert errors[0] < 1e-4
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize("process", [td.VP(), td.Discrete.linear(150)], ids=repr)
def test_an_images_bound_in_bits_is_that_of_its_levels(process, rng):
    """L_0 = −ln P(x_0) of the bins around x̂_0(x_1), the other terms unchanged; bits/dim = nats/(D ln 2) [DDPM 13]."""
    model, ts = random_network(rng, process, dim=16, size=0.1), falling(process, 3)
    x0 = -1 + 2 * rng.integers(0, 256, (6, 16)) / 255
    noise = rng.standard_normal((3, 6, 16))
    image = td.elbo(model, x0, ts, noise=noise, decoder="bins")
    gaussian = td.elbo(model, x0, ts, noise=noise)
    now = process.at(ts[-1])
    guess, std = model.x0(now.perturb(x0, noise[-1]), now), now.sigma / now.alpha
    upper = norm.cdf(np.where(x0 > 0.999, np.inf, x0 + 1 / 255), guess, std)
    lower = norm.cdf(np.where(x0 < -0.999, -np.inf, x0 - 1 / 255), guess, std)
    assert np.min(upper - lower) > 1e-8  # else the difference has no digits
    np.testing.assert_allclose(image.reconstruction, -np.sum(np.log(upper - lower), axis=1), rtol=1e-8)
    np.testing.assert_array_equal(image.prior, gaussian.prior)
    np.testing.assert_array_equal(image.diffusion, gaussian.diffusion)
    assert np.all(image.reconstruction > 0)
    np.testing.assert_allclose(image.bits_per_dim, image.nats / (16 * math.log(2)), rtol=1e-14)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_bounds_of_all_levels_leave_a_probability(steps, rng):
    """Σ_x exp(ELBO(x)) ≤ Σ_x p(x) = 1 over the levels of a pixel, for any model: the bins make a probability of it."""
    process = td.VP()
    model, ts = random_network(rng, process, dim=1), falling(process, steps)
    for variance in ("beta_tilde", "beta"):
        found = averaged(model, LEVELS, ts, nodes=40, variance=variance, decoder="bins")
        assert 0 < np.sum(np.exp(-found.nats)) < 1


# What comes out, and what is refused


def test_the_parts_have_a_value_for_each_point_and_sum_to_the_bound(rng):
    """prior (B,), diffusion (B, N − 1) from the noisiest step down, reconstruction (B,); none between where N = 1."""
    process = td.VP()
    model, x0 = random_network(rng, process, dim=3), rng.standard_normal((5, 3))
    for steps in (1, 2, 7):
        found = td.elbo(model, x0, falling(process, steps), rng)
        assert isinstance(found, td.ElboTerms)
        assert (found.prior.shape, found.diffusion.shape, found.reconstruction.shape) == ((5,), (5, steps - 1), (5,))
        total = found.prior + np.sum(found.diffusion, axis=1) + found.reconstruction
        np.testing.assert_allclose(found.nats, total, rtol=1e-14)
        assert found.dim == 3
        np.testing.assert_allclose(found.bits_per_dim, total / (3 * math.log(2)), rtol=1e-14)


def test_each_time_costs_one_evaluation(rng):
    """N evaluations for N times."""
    process = td.VP()
    x0 = rng.standard_normal((5, 2))
    for steps in (1, 4):
        model = td.Counting(random_network(rng, process))
        td.elbo(model, x0, falling(process, steps), rng)
        assert model.nfe == steps


BACKENDS = {
    "numpy": np.asarray,
    "strict": strict.asarray,
    "torch": lambda a: pytest.importorskip("torch").asarray(np.array(a)),
}


@pytest.mark.parametrize("asarray", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("decoder", ["gaussian", "bins"])
def test_float32_stays_float32_on_every_backend(decoder, asarray, rng):
    """The parts come back in the library and dtype of x_0, to 1e-4 of float64's; so do paths and their ratio."""
    process, data = td.VP(), td.toys.ring8()
    oracle, ts = td.Oracle(data, process), td.grids.even_log_snr(process, 19)
    x0 = np.rint(np.clip(data.sample(rng, 6), -1, 1) * 127.5 + 127.5) / 127.5 - 1
    noise = rng.standard_normal((20, 6, 2)).astype(np.float32)
    exact = td.elbo(oracle, x0, ts, noise=noise.astype(float), decoder=decoder)
    x = asarray(x0.astype(np.float32))
    found = td.elbo(oracle, x, ts, noise=asarray(noise), decoder=decoder)
    for part, expected in zip((*found[:3], found.nats, found.bits_per_dim), (*exact[:3], exact.nats), strict=False):
        assert namespace(part) is namespace(x)
        assert part.dtype == x.dtype
        np.testing.assert_allclose(to_numpy(part), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(to_numpy(found.bits_per_dim), exact.bits_per_dim, rtol=1e-3)
    drawn = td.elbo(oracle, x, ts, 2, decoder=decoder, prior=lambda y: 0 * y[:, 0])
    assert drawn.nats.dtype == x.dtype
    path = td.forward_path(process, x, ts, 2)
    assert all(y.dtype == x.dtype for y in path)
    assert td.path_log_ratio(oracle, path, ts).dtype == x.dtype
    variances = td.optimal_variances(oracle, x, ts, 2)
    assert isinstance(variances, np.ndarray)
    assert td.elbo(oracle, x, ts, 2, variance=variances).nats.dtype == x.dtype


@pytest.fixture
def bound(rng):
    """A call of each function that takes a grid, (ts) ↦ its value, at four points."""
    process, x0 = td.VP(), np.zeros((4, 2))
    model = random_network(rng, process)
    return {
        "elbo": lambda ts: td.elbo(model, x0, ts, rng),
        "optimal_variances": lambda ts: td.optimal_variances(model, x0, ts, rng),
        "path_log_ratio": lambda ts: td.path_log_ratio(model, [x0] * (len(ts) + 1), ts),
        "forward_path": lambda ts: td.forward_path(process, x0, ts, rng),
    }


@pytest.mark.parametrize("name", ["elbo", "optimal_variances", "path_log_ratio", "forward_path"])
@pytest.mark.parametrize("ts", [[0.1, 0.5, 1.0], [0.5, 0.5], [0.5, 0.0], [], [1.5, 0.5], [0.5, math.nan]], ids=str)
def test_times_fall_strictly_and_end_before_the_data(name, ts, bound):
    """A grid has no 0: x_0 is what the chain answers at the last time."""
    with pytest.raises(ValueError, match=r"ts must|t must"):
        bound[name](ts)


@pytest.mark.parametrize("name", ["elbo", "path_log_ratio"])
def test_a_variance_has_a_known_name_or_is_positive_for_each_time(name, rng):
    process, ts, x0 = td.VP(), falling(td.VP(), 3), np.zeros((4, 2))
    model = random_network(rng, process)

    def call(variance):
        if name == "elbo":
            return td.elbo(model, x0, ts, rng, variance=variance)
        return td.path_log_ratio(model, [x0] * 4, ts, variance=variance)

    with pytest.raises(ValueError, match="variance must be one of 'beta_tilde', 'beta'; got 'gamma'"):
        call("gamma")
    for wrong in ([0.1, 0.1], [0.1, 0.1, 0.0], [0.1, -0.1, 0.1], [0.1, 0.1, math.nan], [[0.1, 0.1, 0.1]], 0.1):
        with pytest.raises(ValueError, match="variance must be positive, one for each of 3"):
            call(np.array(wrong))


def test_wrong_use_is_named(rng):
    process, ts, x0 = td.VP(), falling(td.VP(), 3), np.zeros((4, 2))
    model, path = random_network(rng, process), td.forward_path(process, x0, ts, rng)
    for shape in ((3, 4, 1), (2, 4, 2), (4, 4, 2), (3, 2), (3, 1, 2)):
        with pytest.raises(ValueError, match=r"noise must have the shape \(3, 4, 2\)"):
            td.elbo(model, x0, ts, noise=np.zeros(shape))
    with pytest.raises(ValueError, match="decoder must be one of 'gaussian', 'bins'; got 'pixels'"):
        td.elbo(model, x0, ts, rng, decoder="pixels")
    with pytest.raises(ValueError, match="pixels on the 256 levels"):
        td.elbo(model, x0, ts, rng, decoder="bins")
    unasked = td.Counting(model)
    for points in (np.zeros(2), np.zeros((4, 3))):
        for call in (td.elbo, td.optimal_variances):
            with pytest.raises(ValueError, match=r"x0 must be an array of shape \(B, 2\)"):
                call(unasked, points, ts, rng)
    assert unasked.nfe == 0
    for wrong in (path[1:], [*path, x0]):
        with pytest.raises(ValueError, match=f"a point for each of 3 times, and x_0; got {len(wrong)}"):
            td.path_log_ratio(model, wrong, ts)


@pytest.mark.parametrize("seed", [None, 0.0, np.random.RandomState(0)], ids=["None", "float", "RandomState"])
def test_what_is_no_generator_and_no_whole_number_is_refused_where_noise_is_drawn(seed, rng):
    process, ts, x0 = td.VP(), falling(td.VP(), 3), np.zeros((4, 2))
    model = random_network(rng, process)
    for call in (
        lambda: td.elbo(model, x0, ts, seed),
        lambda: td.optimal_variances(model, x0, ts, seed),
        lambda: td.forward_path(process, x0, ts, seed),
    ):
        with pytest.raises((TypeError, ValueError), match="rng"):
            call()


def test_a_whole_number_seeds_the_noise(rng):
    """The same number gives the same terms, those of a generator with that seed."""
    process, ts, x0 = td.VP(), falling(td.VP(), 3), rng.standard_normal((4, 2))
    model = random_network(rng, process)
    for call in (
        lambda seed: td.elbo(model, x0, ts, seed).nats,
        lambda seed: td.optimal_variances(model, x0, ts, seed),
        lambda seed: np.stack(td.forward_path(process, x0, ts, seed)),
    ):
        np.testing.assert_array_equal(call(3), call(np.random.default_rng(3)))
        assert np.any(call(3) != call(4))


def test_given_noise_takes_the_dtype_of_the_points(rng):
    network = td.TimeMLP(2, 4, 1)
    model = td.NetworkDenoiser(network, network.init(rng), td.VP())
    found = td.elbo(model, np.zeros((5, 2), np.float32), [1.0, 0.4, 0.1], noise=rng.standard_normal((3, 5, 2)))
    assert {part.dtype for part in found[:3]} == {np.dtype(np.float32)}


def test_a_chain_that_answers_where_no_signal_is_left_is_refused(rng):
    chain = td.Discrete.linear(100).zero_terminal_snr()
    model = td.Oracle(td.toys.ring8(), chain)
    with pytest.raises(ValueError, match="no signal is left at t = 1"):
        td.elbo(model, np.zeros((1, 2)), [1.0], rng)
    with pytest.raises(ValueError, match="needs points to fit to; got none"):
        td.optimal_variances(model, np.zeros((0, 2)), [1.0, 0.5], rng)


def test_a_tiny_variance_keeps_its_digits():
    """KL(N(0, v I) ‖ N(0, I)) = ½ d (v − 1 − ln v) at v = 1e-12, which (v − 1)/1 has lost."""
    mean = np.zeros((1, 3))
    np.testing.assert_allclose(normal_kl(mean, 1e-12, mean, 1.0), 1.5 * (12 * math.log(10) - 1 + 1e-12), rtol=1e-13)


def test_nearly_equal_variances_keep_their_digits():
    """KL(N(0, (1 + δ) I) ‖ N(0, I)) = ½ d (δ − ln(1 + δ)) = ¼ d δ² + O(δ³), far below the rounding of ln(1 + δ)."""
    mean, delta = np.zeros((1, 3)), 2.0**-26
    np.testing.assert_allclose(normal_kl(mean, 1 + delta, mean, 1.0), 3 * delta**2 / 4, rtol=1e-7)


def test_a_forward_path_adds_the_generators_noise(rng):
    """x_t = a x_s + √var z, from data on, with z as the generator draws it."""
    process, x0 = td.VP(), rng.standard_normal((4, 2))
    levels = [process.at(t) for t in (0.9, 0.4, 0.0)]
    end, middle, start = td.forward_path(process, x0, [0.9, 0.4], np.random.default_rng(5))
    again = np.random.default_rng(5)
    np.testing.assert_array_equal(start, x0)
    for x, y, now, then in ((start, middle, *levels[1:]), (middle, end, *levels[:2])):
        a, var = td.transition(now, then)
        np.testing.assert_allclose(y, a * x + np.sqrt(var) * again.standard_normal((4, 2)), rtol=1e-13)
