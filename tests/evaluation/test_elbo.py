"""The bound where no identity looks: which noise is drawn, the best variances, the levels of a pixel, dtypes.

What each term is worth, and that the bound is tight where the reverse chain is exact, are laws of tests/identities.
"""

import itertools
import math
import warnings
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

import tinydiff as td
from tinydiff.backend import namespace, to_numpy
from tinydiff.evaluation.elbo import log_bins, log_normal_mass, normal_kl

PROCESSES = (td.VP(), td.Cosine(), td.VE(), td.Discrete.linear(150))
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
TS = [1.0, 0.6, 0.2]
LEVELS = np.linspace(-1, 1, 256)[:, None]


@every_process
def test_the_noise_that_is_drawn_is_the_generators(process, network):
    """ε (N, B, D) in the order of the times."""
    model, x0 = network(process, 2), np.random.default_rng(0).standard_normal((4, 2))
    noise = np.random.default_rng(3).standard_normal((3, 4, 2))
    for drawn, given in zip(td.elbo(model, x0, TS, 3), td.elbo(model, x0, TS, noise=noise), strict=True):
        assert_allclose(drawn, given, rtol=1e-12)


@every_process
def test_a_forward_path_adds_the_generators_noise(process, rng):
    """x_t = a x_s + √var z from data on, with z as the generator draws it."""
    x0, z = rng.standard_normal((4, 2)), np.random.default_rng(5).standard_normal((3, 4, 2))
    *path, start = td.forward_path(process, x0, TS, 5)
    assert_array_equal(start, x0)
    x = x0
    for eps, found, (then, now) in zip(z, reversed(path), pairwise([0.0, *reversed(TS)]), strict=True):
        a, var = td.transition(process.at(now), process.at(then))
        x = a * x + np.sqrt(var) * eps
        assert_allclose(found, x, rtol=1e-12)


@every_process
def test_no_isotropic_variances_have_a_lower_bound(process, network, rng):
    """β̃ + c_0² E‖x_0 − x̂_0‖²/D minimises E −ELBO over the variance of each step [Bao et al. 2022], for any model.

    With the noise in common the minimum is exact: a step off by the factor f costs (D/2)(1/f − 1 + ln f).
    """
    model, x0 = network(process, 2), td.toys.moons32().sample(rng, 50)
    best = td.optimal_variances(model, x0, TS, 1)

    def mean(variance):
        return np.mean(td.elbo(model, x0, TS, 1, variance=variance).nats)

    for i, factor in itertools.product(range(3), (0.5, 0.98, 1.02)):
        other = best * np.where(np.arange(3) == i, factor, 1)
        assert mean(other) - mean(best) == pytest.approx(1 / factor - 1 + math.log(factor), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_parts_sum_to_the_bound_and_each_time_costs_one_evaluation(steps, network, rng):
    """prior (B,), diffusion (B, N − 1), reconstruction (B,); bits/dim = nats/(D ln 2)."""
    model = td.Counting(network(td.VP(), 3))
    found = td.elbo(model, rng.standard_normal((5, 3)), td.grids.even_log_snr(td.VP(), steps - 1), rng)
    assert model.nfe == steps
    assert (found.prior.shape, found.diffusion.shape, found.reconstruction.shape) == ((5,), (5, steps - 1), (5,))
    total = found.prior + np.sum(found.diffusion, axis=1) + found.reconstruction
    assert_allclose(found.nats, total, rtol=1e-14)
    assert_allclose(found.bits_per_dim, total / (3 * math.log(2)), rtol=1e-14)


@pytest.mark.parametrize(("var", "digits"), [(1e-12, 1e-13), (0.45, 1e-13), (1 + 2.0**-26, 1e-7), (2.0, 1e-13)])
def test_the_kl_of_tiny_and_of_nearly_equal_variances_keeps_its_digits(var, digits):
    """½ d (v − 1 − ln v) in fifty digits: v − 1 has lost those of v = 1e-12, and ln v those of 1 + δ."""
    mean = np.zeros((1, 3))
    with mp.workdps(50):
        expected = float(1.5 * (mp.mpf(var) - 1 - mp.log(mp.mpf(var))))
    assert_allclose(normal_kl(mean, var, mean, 1.0), expected, rtol=digits)


# Images: the levels of a pixel


def test_the_bins_are_where_ddpm_puts_them():
    """δ_−(x) = x − 1/255, δ_+(x) = x + 1/255, −∞ below −1 and ∞ above 1 [DDPM 13]; D pixels are independent."""
    x, mean, std = LEVELS[[0, 1, 100, 254, 255], 0], 0.3, 0.7
    edges = [(-np.inf, -254 / 255), (-254 / 255, -252 / 255), (-56 / 255, -54 / 255), (252 / 255, 254 / 255)]
    edges.append((254 / 255, np.inf))
    expected = [math.log(norm.cdf(b, mean, std) - norm.cdf(a, mean, std)) for a, b in edges]
    assert_allclose(log_bins(x[:, None], np.full((5, 1), mean), std**2), expected, rtol=1e-11)
    assert_allclose(log_bins(x[None, :], np.full((1, 5), mean), std**2), [np.sum(expected)], rtol=1e-12)


@pytest.mark.parametrize("bins", [2, 17, 256])
def test_the_levels_of_a_pixel_are_all_that_it_can_be(bins, network, rng):
    """Σ P(level) = 1 over as many as there are, and the bound of each is that of the bins asked for."""
    x, mean = np.linspace(-1, 1, bins)[:, None], rng.uniform(-1.5, 1.5)
    for std in (0.01, 0.7, 30.0):
        log_p = log_bins(x, np.full((bins, 1), mean), std**2, bins)
        assert_allclose(np.sum(np.exp(log_p)), 1, rtol=1e-12)
    process, noise, last = td.VP(), rng.standard_normal((3, bins, 1)), td.VP().at(TS[-1])
    model = network(process, 1, prediction="x0")
    found = td.elbo(model, x, TS, noise=noise, decoder="bins", bins=bins)
    x0_hat = model.x0(last.perturb(x, noise[-1]), last)
    assert_allclose(found.reconstruction, -log_bins(x, x0_hat, (last.sigma / last.alpha) ** 2, bins), rtol=1e-12)
    with pytest.raises(ValueError, match=f"pixels on the {bins} levels"):
        td.elbo(model, 0.7 * x, TS, noise=noise, decoder="bins", bins=bins)


@pytest.mark.parametrize("level", [7.5, 7.02, 6.98, -0.02, -1.0, 255.02, 256.0, math.nan])
def test_a_pixel_a_fiftieth_off_its_level_is_refused(level):
    x = LEVELS.copy()
    x[3] = -1 + 2 * level / 255
    with pytest.raises(ValueError, match="256 levels from −1 to 1; some of these are not"):
        log_bins(x, 0 * x, 0.5)


def test_pixels_are_forgiven_what_float32_rounds_off():
    """Bins are taken in float64: what float32 rounds off a level moves both of its edges alike."""
    single = log_bins(LEVELS.astype(np.float32), np.zeros((256, 1), np.float32), 0.5)
    assert single.dtype == np.float32
    assert_allclose(single, log_bins(LEVELS, 0 * LEVELS, 0.5), rtol=0, atol=1e-6)


MIDDLE = [(-1.0, 2.0), (-0.002, 0.001), (-math.inf, 8.0), (-8.0, math.inf), (-math.inf, math.inf)]
TAILS = [(-40.0, -39.99), (5.0, 5.5), (1e6, 1e6 + 1e-2), (-1e4, -9999.0), (8.0, math.inf), (-math.inf, -8.0)]


@pytest.mark.parametrize(("low", "high"), [*MIDDLE, *TAILS])
def test_the_mass_of_an_interval_is_right_in_both_tails(low, high):
    """ln (Φ(b) − Φ(a)) against 50 digits. ln Φ is good to 2ε of itself; a narrow interval divides it by 1 − Φ(a)/Φ(b).

    Without a warning, at ±∞ too.
    """
    with mp.workdps(50):
        # Φ(b) − Φ(a) on the side of 0 where it does not cancel
        a, b = (mp.mpf(low), mp.mpf(high)) if low <= 0 else (-mp.mpf(high), -mp.mpf(low))
        expected = float(mp.log(mp.ncdf(b) - mp.ncdf(a)))
        fraction, size = float(1 - mp.ncdf(a) / mp.ncdf(b)), 1 + abs(float(mp.log(mp.ncdf(b))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = log_normal_mass(np.array([low]), np.array([high]))
    assert found[0] == pytest.approx(expected, rel=1e-14, abs=1e-15 * size / fraction if expected < -1e-12 else 1e-30)


def test_an_images_bound_is_that_of_its_levels(network, rng):
    """L_0 = −ln P(x_0) of the bins around x̂_0(x_1), with the variance σ²/α²; the other terms are unchanged."""
    process, x0, noise = td.VP(), -1 + 2 * rng.integers(0, 256, (6, 16)) / 255, rng.standard_normal((3, 6, 16))
    model, last = network(process, 16, prediction="x0"), process.at(TS[-1])
    image = td.elbo(model, x0, TS, noise=noise, decoder="bins")
    gaussian = td.elbo(model, x0, TS, noise=noise)
    log_p = log_bins(x0, model.x0(last.perturb(x0, noise[-1]), last), (last.sigma / last.alpha) ** 2)
    assert_allclose(image.reconstruction, -log_p, rtol=1e-12)
    assert_array_equal(image.prior, gaussian.prior)
    assert_array_equal(image.diffusion, gaussian.diffusion)


@pytest.mark.parametrize("decoder", ["gaussian", "bins"])
def test_bounds_come_back_in_the_library_and_dtype_of_the_points(decoder, asarray, rng):
    """To 1e-3 of float64's, with float64 noise too; so do paths and their ratio. Variances are the host's, float64."""
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    x0, noise = LEVELS[rng.integers(0, 256, (6, 2)), 0], rng.standard_normal((3, 6, 2))
    x = asarray(x0.astype(np.float32))
    exact = td.elbo(oracle, x0, TS, noise=noise, decoder=decoder)
    found = td.elbo(oracle, x, TS, noise=noise, decoder=decoder)
    for part, expected in zip((*found[:3], found.bits_per_dim), (*exact[:3], exact.bits_per_dim), strict=True):
        assert namespace(part) is namespace(x)
        assert part.dtype == x.dtype
        assert_allclose(to_numpy(part), expected, rtol=1e-3, atol=1e-3)
    path, variances = td.forward_path(oracle.process, x, TS, 2), td.optimal_variances(oracle, x, TS, 2)
    assert (type(variances), variances.dtype) == (np.ndarray, np.float64)
    flat = {"variance": variances, "prior": lambda y: 0 * y[:, 0]}
    for a in (*path, td.path_log_ratio(oracle, path, TS, **flat), td.elbo(oracle, x, TS, 2, **flat).nats):
        assert a.dtype == x.dtype
