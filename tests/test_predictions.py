"""Predictions: the four of them say the same thing, and each says it where it can."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.predictions import check_prediction, eps_from_x0, target, to_eps, to_x0, v_from_x0_eps, x0_from_eps

PREDICTIONS = ["eps", "x0", "v", "score"]
PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(100), td.Discrete.cosine(100)]
COEFFICIENTS = [(0.8, 0.6), (0.6, 0.8), (1.0, 0.02), (1.0, 50.0), (0.3, 0.7), (0.999, 1e-3), (1e-3, 1.0)]  # (α, σ)


class Chosen(td.Process):
    """The coefficients above, in their order, at t = 0, .1, .2, …"""

    def alpha(self, t):
        return np.array(COEFFICIENTS)[np.rint(10 * np.asarray(t)).astype(int), 0]

    def sigma(self, t):
        return np.array(COEFFICIENTS)[np.rint(10 * np.asarray(t)).astype(int), 1]


LEVELS = [Chosen().at(i / 10) for i in range(len(COEFFICIENTS))]

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
every_level = pytest.mark.parametrize("now", LEVELS, ids=[f"{a}, {s}" for a, s in COEFFICIENTS])
number_and_rows = pytest.mark.parametrize("t", [0.5, np.array([0.02, 0.1, 0.3, 0.5, 0.77, 0.95])], ids=["one", "rows"])


def row(prediction: str, alpha: float, sigma: float) -> tuple[float, float]:
    """(a, b) of a prediction's target a x_0 + b ε, as the papers define it."""
    n = np.hypot(alpha, sigma)
    return {"eps": (0, 1), "x0": (1, 0), "v": (-sigma / n, alpha / n), "score": (0, -1 / sigma)}[prediction]


@pytest.fixture
def pair(rng):
    """x_0 and ε, (6, 3) each."""
    return rng.standard_normal((2, 6, 3))


@every_prediction
@every_level
def test_target_is_the_papers_combination(prediction, now, pair):
    """ε, x_0, v = (αε − σx_0)/√(α² + σ²) [Salimans & Ho 2022, where the root is 1] or the score of q(x_t|x_0), −ε/σ."""
    a, b = row(prediction, now.alpha, now.sigma)
    assert_allclose(target(prediction, *pair, now), a * pair[0] + b * pair[1], rtol=1e-13)


@every_prediction
@every_level
def test_conversions_invert_the_two_equations(prediction, now):
    """(x, F) = M (x_0, ε) with rows (α, σ) and the target's; M⁻¹ gives (a, b) of x̂_0 = ax + bF and of ε̂ = ax + bF.

    Under VE α² + σ² ≠ 1, where v without its division is 400 % off.
    """
    inverse = np.linalg.inv([(now.alpha, now.sigma), row(prediction, now.alpha, now.sigma)])
    scale = np.abs(inverse).max(1)
    for rule, expected, size in zip((to_x0, to_eps), inverse, scale, strict=True):
        assert_allclose(rule(prediction, now), expected, rtol=1e-12, atol=1e-12 * size)


@every_prediction
@every_level
def test_a_perfect_prediction_gives_back_data_and_noise(prediction, now, pair):
    """Round trip: F = target gives x̂_0 = x_0 and ε̂ = ε."""
    x0, eps = pair
    x, f = now.perturb(x0, eps), target(prediction, x0, eps, now)
    for rule, expected, lost in ((to_x0, x0, now.sigma / now.alpha), (to_eps, eps, now.alpha / now.sigma)):
        a, b = rule(prediction, now)
        assert_allclose(a * x + b * f, expected, atol=1e-13 * (1 + lost))


@every_prediction
@every_level
def test_both_answers_of_one_prediction_explain_x(prediction, now, pair):
    """α x̂_0 + σ ε̂ = x for any F, right or wrong. Catches a sampler's x̂_0 and ε̂ that drift apart."""
    x, f = pair
    x0_hat, eps_hat = (a * x + b * f for a, b in (to_x0(prediction, now), to_eps(prediction, now)))
    assert_allclose(now.perturb(x0_hat, eps_hat), x, atol=1e-12 * (1 + now.sigma**2 / min(now.alpha, 1)))


@every_prediction
def test_levels_may_differ_by_row(prediction, pair):
    """With α and σ as columns (B, 1) each row is converted by its own."""
    now = Chosen().at(np.arange(6) / 10, like=pair[0])
    f = target(prediction, *pair, now)
    rules = [a * pair[0] + b * f for a, b in (to_eps(prediction, now), to_x0(prediction, now))]
    for i, level in enumerate(LEVELS[:6]):
        assert_allclose(f[i], target(prediction, *pair[:, i], level), rtol=1e-14)
        for rule, rows in zip((to_eps, to_x0), rules, strict=True):
            a, b = rule(prediction, level)
            assert_allclose(rows[i], a * pair[0, i] + b * f[i], rtol=1e-13)


def test_an_unknown_prediction_is_refused():
    says = "prediction must be one of 'eps', 'x0', 'v', 'score'; got 'noise'"
    now = td.VP().at(0.5)
    with pytest.raises(ValueError, match=says):
        check_prediction("noise")
    with pytest.raises(ValueError, match=says):
        target("noise", 0, 0, now)
    for rule in (to_eps, to_x0):
        with pytest.raises(ValueError, match=says):
            rule("noise", now)


@every_process
@number_and_rows
def test_data_and_noise_convert_into_each_other(process, t, pair):
    """x_0 = (x − σε)/α [DDPM 15], ε = (x − αx_0)/σ, and (αx − σnv, σx + αnv) = n² (x_0, ε)."""
    x0, eps = pair
    now = process.at(t, like=x0)
    x, v, n = now.perturb(x0, eps), v_from_x0_eps(x0, eps, now), (now.alpha**2 + now.sigma**2) ** 0.5
    assert_allclose(x0_from_eps(x, eps, now), x0, rtol=1e-9, atol=1e-9)
    assert_allclose(eps_from_x0(x, x0, now), eps, rtol=1e-9, atol=1e-9)
    assert_allclose(now.alpha * x - now.sigma * n * v, n**2 * x0, rtol=1e-9, atol=1e-9)
    assert_allclose(now.sigma * x + now.alpha * n * v, n**2 * eps, rtol=1e-9, atol=1e-9)


@number_and_rows
def test_conversions_keep_float32(t, pair):
    x, other = pair.astype(np.float32)
    now = td.VP().at(t, like=x)
    for convert in (eps_from_x0, x0_from_eps, v_from_x0_eps):
        assert convert(x, other, now).dtype == np.float32


@every_prediction
@number_and_rows
def test_predictions_keep_float32(prediction, t, pair):
    x, other = pair.astype(np.float32)
    now = td.VP().at(t, like=x)
    assert target(prediction, x, other, now).dtype == np.float32
    for a, b in (to_eps(prediction, now), to_x0(prediction, now)):
        assert (a * x + b * other).dtype == np.float32


# Where a prediction says nothing


@pytest.mark.parametrize("prediction", ["eps", "score"])
@pytest.mark.parametrize("like", [None, np.zeros((2, 1)), np.zeros((2, 1), np.float32)], ids=["host", "f8", "f4"])
def test_noise_does_not_tell_the_data_where_no_signal_is_left(prediction, like):
    """Cosine's α is 6e-17 at t = 1, which no test for zero sees, and in one row it is as bad as in all."""
    for process in (td.Cosine(), td.Straight(), td.Discrete.linear(100).zero_terminal_snr()):
        for t in (1.0, [0.5, 1.0]):
            with pytest.raises(ValueError, match=r"no signal is left at t = .*let the network predict x0 or v"):
                to_x0(prediction, process.at(t, like=like))


@every_process
def test_data_do_not_tell_the_noise_where_there_is_none(process):
    for t in (0.0, [0.5, 0.0]):
        with pytest.raises(ValueError, match=r"there is no noise at t = .*let the network predict eps or v"):
            to_eps("x0", process.at(t))


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_data_and_v_tell_the_data_even_there(prediction, pair):
    now = td.Cosine().at(1.0)
    a, b = to_x0(prediction, now)
    assert_allclose(a * pair[1] + b * target(prediction, *pair, now), pair[0], atol=1e-12)
