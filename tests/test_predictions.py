"""Predictions: the four of them say the same thing, and each says it where it can; their laws are identities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.predictions import check_prediction, eps_from_x0, target, to_eps, to_x0, x0_from_eps

COEFFICIENTS = [(0.8, 0.6), (0.6, 0.8), (1.0, 0.02), (1.0, 50.0), (0.3, 0.7), (0.999, 1e-3), (1e-3, 1.0)]  # (α, σ)
PROCESSES = [td.VP(), td.VE(), td.Straight(), td.Discrete.linear(100)]

every_prediction = pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score"])
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


@every_prediction
def test_conversions_invert_the_two_equations(prediction, pair):
    """(x, F) = M (x_0, ε) with rows (α, σ) and the target's; M⁻¹ gives (a, b) of x̂_0 = ax + bF and of ε̂ = ax + bF.

    The targets are the papers': ε, x_0, v = (αε − σx_0)/√(α² + σ²) [Salimans & Ho 2022, where the root is 1] or the
    score of q(x_t|x_0), −ε/σ. Each row is converted by its own α and σ; under VE, where α² + σ² ≠ 1, v without its
    division is 400 % off.
    """
    now = Chosen().at(np.arange(7) / 10, like=pair[0])
    f = target(prediction, *pair, now)
    for i, (alpha, sigma) in enumerate(COEFFICIENTS):
        n = np.hypot(alpha, sigma)
        a, b = {"eps": (0, 1), "x0": (1, 0), "v": (-sigma / n, alpha / n), "score": (0, -1 / sigma)}[prediction]
        assert_allclose(f[i], a * pair[0, i] + b * pair[1, i], rtol=1e-13)
        inverse = np.linalg.inv([(alpha, sigma), (a, b)])
        for rule, expected in zip((to_x0, to_eps), inverse, strict=True):
            found = [np.broadcast_to(c, (7, 1))[i, 0] for c in rule(prediction, now)]
            assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(inverse).max())


def test_an_unknown_prediction_is_refused():
    now = td.VP().at(0.5)
    for use in (check_prediction, lambda p: target(p, 0, 0, now), lambda p: to_eps(p, now), lambda p: to_x0(p, now)):
        with pytest.raises(ValueError, match="prediction must be one of 'eps', 'x0', 'v', 'score'; got 'noise'"):
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
    for prediction in ("x0", "v"):
        a, b = to_x0(prediction, now)
        assert_allclose(a * pair[1] + b * target(prediction, *pair, now), pair[0], atol=1e-12)


@every_process
def test_data_do_not_tell_the_noise_where_there_is_none(process, pair):
    for t in (0.0, [0.5, 0.0]):
        with pytest.raises(ValueError, match=r"there is no noise at t = .*let the network predict eps or v"):
            to_eps("x0", process.at(t))
    for convert in (eps_from_x0, lambda *arguments: target("score", *arguments)):
        with pytest.raises(ValueError, match="there is no noise at t = 0"):
            convert(*pair, process.at(0.0))
