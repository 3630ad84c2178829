"""Predictions: the five of them say the same thing, and each says it where it can; their laws are identities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.predictions import check_prediction, eps_from_x0, target, to_eps, to_x0, x0_from_eps

COEFFICIENTS = [(0.8, 0.6), (0.6, 0.8), (1.0, 0.02), (1.0, 50.0), (0.3, 0.7), (0.999, 1e-3), (1e-3, 1.0)]  # (α, σ)
PROCESSES = [td.VP(), td.VE(), td.Straight(), td.Discrete.linear(100)]

every_prediction = pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score", "edm"])
every_scale = pytest.mark.parametrize("sigma_data", [1.0, 0.3, 5.0])
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)


class Chosen(td.Process):
    """The coefficients above, in their order, at t = 0, .1, .2, …"""

    def alpha(self, t):
        return np.array(COEFFICIENTS)[np.rint(10 * np.asarray(t)).astype(int), 0]

    def sigma(self, t):
        return np.array(COEFFICIENTS)[np.rint(10 * np.asarray(t)).astype(int), 1]


@pytest.fixture
def pair(rng):
    """x_0 and ε, (7, 3) each."""
    return rng.standard_normal((2, 7, 3))


@every_scale
@every_prediction
def test_conversions_invert_the_two_equations(prediction, sigma_data, pair):
    """(x, F) = M (x_0, ε) with rows (α, σ) and the target's; M⁻¹ gives (a, b) of x̂_0 = ax + bF and of ε̂ = ax + bF.

    The targets are the papers': ε, x_0, v = (αε − σx_0)/√(α² + σ²) [Salimans & Ho 2022, where the root is 1], the
    score of q(x_t|x_0), −ε/σ, or EDM's (x_0 − c_skip y)/c_out of y = x_0 + s ε, s = σ/α [Karras et al. 2022, 8]. Each
    row is converted by its own α and σ; under VE, where α² + σ² ≠ 1, v without its division is 400 % off. σ_data is
    EDM's alone.
    """
    now = Chosen().at(np.arange(7) / 10, like=pair[0])
    f = target(prediction, *pair, now, sigma_data)
    for i, (alpha, sigma) in enumerate(COEFFICIENTS):
        n = np.hypot(alpha, sigma)
        s = sigma / alpha
        skip, out = sigma_data**2 / (s**2 + sigma_data**2), s * sigma_data / np.hypot(s, sigma_data)
        rows = {"eps": (0, 1), "x0": (1, 0), "v": (-sigma / n, alpha / n), "score": (0, -1 / sigma)}
        a, b = (rows | {"edm": ((1 - skip) / out, -skip * s / out)})[prediction]
        assert_allclose(f[i], a * pair[0, i] + b * pair[1, i], rtol=1e-13, atol=1e-11)
        inverse = np.linalg.inv([(alpha, sigma), (a, b)])
        for rule, expected in zip((to_x0, to_eps), inverse, strict=True):
            found = [np.broadcast_to(c, (7, 1))[i, 0] for c in rule(prediction, now, sigma_data)]
            assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(inverse).max())


def test_an_unknown_prediction_is_refused():
    now = td.VP().at(0.5)
    for use in (check_prediction, lambda p: target(p, 0, 0, now), lambda p: to_eps(p, now), lambda p: to_x0(p, now)):
        with pytest.raises(ValueError, match="prediction must be one of 'eps', 'x0', 'v', 'score', 'edm'; got 'noise'"):
            use("noise")


# Where a prediction says nothing


@pytest.mark.parametrize("like", [None, np.zeros((2, 1)), np.zeros((2, 1), np.float32)], ids=["host", "f8", "f4"])
@pytest.mark.parametrize("process", [td.Cosine(), td.Straight(), td.Discrete.linear(100).zero_terminal_snr()], ids=repr)
def test_noise_does_not_tell_the_data_where_no_signal_is_left(process, like, pair):
    """Cosine's α is 6e-17 at t = 1, which no test for zero sees, and in one row it is as bad as in all."""
    for t in (1.0, [0.5, 1.0]):
        for prediction in ("eps", "score"):
            with pytest.raises(ValueError, match=r"no signal is left at t = .*let the network predict x0 or v"):
                to_x0(prediction, process.at(t, like=like))
    now = process.at(1.0)
    with pytest.raises(ValueError, match=r"no signal is left at t = .*take x0 from the model itself"):
        x0_from_eps(*pair, now)
    for prediction, scale in (("x0", 1.0), ("v", 1.0), ("edm", 0.5)):
        a, b = to_x0(prediction, now, scale)
        assert_allclose(a * pair[1] + b * target(prediction, *pair, now, scale), pair[0], atol=1e-12)


@every_process
def test_data_do_not_tell_the_noise_where_there_is_none(process, pair):
    for t in (0.0, [0.5, 0.0]):
        with pytest.raises(ValueError, match=r"there is no noise at t = .*let the network predict eps or v"):
            to_eps("x0", process.at(t))
    for convert in (eps_from_x0, lambda *arguments: target("score", *arguments)):
        with pytest.raises(ValueError, match="there is no noise at t = 0"):
            convert(*pair, process.at(0.0))


# The scale of the data


def test_a_function_of_ones_own_may_predict_edm_for_data_of_another_scale(rng):
    """EDM's denoiser, c_skip y + c_out F, of y = x/α at the noise level s = σ/α, on every process."""
    d, a = 0.5, rng.standard_normal((2, 2))
    for process in PROCESSES:
        model = td.as_denoiser(lambda x, t: x @ a, process, dim=2, prediction="edm", sigma_data=d)
        x, now = rng.standard_normal((4, 2)), process.at(0.3)
        y, s = x / now.alpha, now.sigma / now.alpha
        expected = d**2 / (s**2 + d**2) * y + s * d / np.sqrt(s**2 + d**2) * (x @ a)
        assert_allclose(model.x0(x, now), expected, rtol=1e-11, atol=1e-12)
        assert_allclose(now.perturb(model.x0(x, now), model(x, now)), x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_of_the_data_that_is_none_is_refused(scale):
    for make in (
        lambda: td.TimeMLP(2, prediction="edm", sigma_data=scale),
        lambda: td.Mixer((2, 2), sigma_data=scale),
        lambda: td.as_denoiser(np.add, td.VP(), dim=2, prediction="edm", sigma_data=scale),
    ):
        with pytest.raises(ValueError, match=f"sigma_data must be over 0; got {scale}"):
            make()
