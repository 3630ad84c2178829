"""Denoisers: the four predictions say the same thing, and counting counts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tinydiff import denoisers
from tinydiff.denoisers import counting, eps_from_x0, linearize, target, to_eps, to_x0, v_from_x0_eps, x0_from_eps
from tinydiff.processes import VE, VP, Cosine, Discrete, Straight, SubVP

PREDICTIONS = ["eps", "x0", "v", "score"]
PROCESSES = [VP(), SubVP(), VE(), Cosine(), Straight(), Discrete.linear(100), Discrete.cosine(100)]
LEVELS = [(0.8, 0.6), (0.6, 0.8), (1.0, 0.02), (1.0, 50.0), (0.3, 0.7), (0.999, 1e-3), (1e-3, 1.0)]  # (α, σ)

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
every_level = pytest.mark.parametrize(("alpha", "sigma"), LEVELS)


def row(prediction: str, alpha: float, sigma: float) -> tuple[float, float]:
    """(a, b) of a prediction's target a x_0 + b ε, as the papers define it."""
    n = np.hypot(alpha, sigma)
    return {"eps": (0, 1), "x0": (1, 0), "v": (-sigma / n, alpha / n), "score": (0, -1 / sigma)}[prediction]


@pytest.fixture
def pair(rng):
    """x_0 and ε, (6, 3) each."""
    return rng.standard_normal((2, 6, 3))


class StandardNormal:
    """The exact denoiser of N(0, I) data: ε̂ = σx/(α² + σ²), and so the score is −x/(α² + σ²)."""

    dim = 3

    def __init__(self, process):
        self.process, self.calls = process, 0

    def _part(self, c, x, t):
        self.calls += 1
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        return np.reshape({"alpha": alpha, "sigma": sigma}[c] / (alpha**2 + sigma**2), (-1, 1)) * x

    def __call__(self, x, t):
        return self._part("sigma", x, t)

    def x0(self, x, t):
        return self._part("alpha", x, t)

    def vjp(self, x, t, v):
        return self._part("sigma", v, t)

    def given(self, labels):
        return self


class Linearizing(StandardNormal):
    def linearize(self, x, t):
        return self._part("sigma", x, t), lambda v: np.full_like(v, 7.0)  # not its vjp, to be told from it


# Predictions


@every_prediction
@every_level
def test_target_is_the_papers_combination(prediction, alpha, sigma, pair):
    """ε, x_0, v = (αε − σx_0)/√(α² + σ²) [Salimans & Ho 2022, where the root is 1] or the score of q(x_t|x_0), −ε/σ."""
    a, b = row(prediction, alpha, sigma)
    assert_allclose(target(prediction, *pair, alpha, sigma), a * pair[0] + b * pair[1], rtol=1e-13)


@every_prediction
@every_level
def test_conversions_invert_the_two_equations(prediction, alpha, sigma):
    """(x, F) = M (x_0, ε) with rows (α, σ) and the target's; M⁻¹ gives (a, b) of x̂_0 = ax + bF and of ε̂ = ax + bF.

    Under VE α² + σ² ≠ 1, where v without its division is 400 % off.
    """
    inverse = np.linalg.inv([(alpha, sigma), row(prediction, alpha, sigma)])
    scale = np.abs(inverse).max(1)
    for rule, expected, size in zip((to_x0, to_eps), inverse, scale, strict=True):
        assert_allclose(rule(prediction, alpha, sigma), expected, rtol=1e-12, atol=1e-12 * size)


@every_prediction
@every_level
def test_a_perfect_prediction_gives_back_data_and_noise(prediction, alpha, sigma, pair):
    """Round trip: F = target gives x̂_0 = x_0 and ε̂ = ε."""
    x0, eps = pair
    x, f = alpha * x0 + sigma * eps, target(prediction, x0, eps, alpha, sigma)
    for rule, expected, lost in ((to_x0, x0, sigma / alpha), (to_eps, eps, alpha / sigma)):
        a, b = rule(prediction, alpha, sigma)
        assert_allclose(a * x + b * f, expected, atol=1e-13 * (1 + lost))


@every_prediction
@every_level
def test_both_answers_of_one_prediction_explain_x(prediction, alpha, sigma, pair):
    """α x̂_0 + σ ε̂ = x for any F, right or wrong. Catches a sampler's x̂_0 and ε̂ that drift apart."""
    x, f = pair
    answers = [a * x + b * f for a, b in (to_x0(prediction, alpha, sigma), to_eps(prediction, alpha, sigma))]
    assert_allclose(alpha * answers[0] + sigma * answers[1], x, atol=1e-12 * (1 + sigma**2 / min(alpha, 1)))


@every_prediction
def test_levels_may_differ_by_row(prediction, pair):
    """With α and σ as columns (B, 1) each row is converted by its own."""
    alpha, sigma = np.array(LEVELS[:6]).T[:, :, None]
    f = target(prediction, *pair, alpha, sigma)
    rules = [a * pair[0] + b * f for a, b in (to_eps(prediction, alpha, sigma), to_x0(prediction, alpha, sigma))]
    for i, level in enumerate(LEVELS[:6]):
        assert_allclose(f[i], target(prediction, *pair[:, i], *level), rtol=1e-14)
        for rule, rows in zip((to_eps, to_x0), rules, strict=True):
            a, b = rule(prediction, *level)
            assert_allclose(rows[i], a * pair[0, i] + b * f[i], rtol=1e-13)


@pytest.mark.parametrize("call", [denoisers.check_prediction, lambda p: to_eps(p, 1, 1), lambda p: to_x0(p, 1, 1)])
def test_an_unknown_prediction_is_refused(call):
    with pytest.raises(ValueError, match="prediction must be one of eps, x0, v, score; got 'noise'"):
        call("noise")
    with pytest.raises(ValueError, match="prediction must be one of"):
        target("noise", 0, 0, 1, 1)


# Conversions at a time of a process


@every_process
@pytest.mark.parametrize("t", [0.5, np.array([0.02, 0.1, 0.3, 0.5, 0.77, 0.95])], ids=["number", "rows"])
def test_data_and_noise_convert_into_each_other_at_a_time(process, t, pair):
    """x_0 = (x − σε)/α [DDPM 15], ε = (x − αx_0)/σ, and (αx − σnv, σx + αnv) = n² (x_0, ε)."""
    x0, eps = pair
    x, v = process.perturb(x0, t, eps), v_from_x0_eps(process, t, x0, eps)
    assert_allclose(x0_from_eps(process, x, t, eps), x0, rtol=1e-9, atol=1e-9)
    assert_allclose(eps_from_x0(process, x, t, x0), eps, rtol=1e-9, atol=1e-9)
    alpha, sigma = np.reshape(process.alpha(t), (-1, 1)), np.reshape(process.sigma(t), (-1, 1))
    n = np.hypot(alpha, sigma)
    assert_allclose(alpha * x - sigma * n * v, n**2 * x0, rtol=1e-9, atol=1e-9)
    assert_allclose(sigma * x + alpha * n * v, n**2 * eps, rtol=1e-9, atol=1e-9)


def test_a_prediction_that_says_nothing_is_refused():
    """ε̂ where no signal is left does not carry x̂_0, and x̂_0 where there is no noise does not carry ε̂."""
    for prediction in ("eps", "score"):
        with pytest.raises(ValueError, match=r"alpha is 0 .* let the network predict x0 or v"):
            to_x0(prediction, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"sigma is 0 .* let the network predict eps or v"):
        to_eps("x0", np.array([[1.0], [0.5]]), np.array([[0.0], [0.5]]))


@every_process
@pytest.mark.parametrize("t", [0.5, np.array([0.02, 0.1, 0.3, 0.5, 0.77, 0.95])], ids=["number", "rows"])
def test_score_of_a_model_is_the_gradient_of_the_log_density(process, t, pair):
    """−ε̂/σ = −x/(α² + σ²), where the data are N(0, I) and ε̂ is exact [Song et al. 2021]."""
    variance = np.reshape(process.alpha(t) ** 2 + process.sigma(t) ** 2, (-1, 1))
    x = pair[0]
    gradient = np.imag(-((x + 1e-30j) ** 2) / (2 * variance)) / 1e-30
    assert_allclose(denoisers.score(StandardNormal(process), process, x, t), gradient, rtol=1e-12)


def test_conversions_keep_float32(pair):
    x, other = pair.astype(np.float32)
    process = VP()
    for t in (0.5, np.full(6, 0.5)):
        for out in (
            eps_from_x0(process, x, t, other),
            x0_from_eps(process, x, t, other),
            v_from_x0_eps(process, t, x, other),
            denoisers.score(lambda x, t: x, process, x, t),
        ):
            assert out.dtype == np.float32


# linearize and counting


@pytest.mark.parametrize("kind", [StandardNormal, Linearizing])
def test_linearize_gives_eps_and_its_pullback(kind, pair):
    """A model's own linearize is used where it has one; else the call and the vjp."""
    model = kind(VP())
    eps, pull = linearize(model, pair[0], 0.5)
    assert_array_equal(eps, model(pair[0], 0.5))
    assert_array_equal(pull(pair[1]), np.full((6, 3), 7.0) if kind is Linearizing else model.vjp(pair[0], 0.5, pair[1]))


def test_counting_answers_like_its_model(pair):
    model = StandardNormal(VP())
    counted, (x, v) = counting(model), pair
    assert_array_equal(counted(x, 0.5), model(x, 0.5))
    assert_array_equal(counted.x0(x, 0.5), model.x0(x, 0.5))
    assert_array_equal(counted.vjp(x, 0.5, v), model.vjp(x, 0.5, v))
    assert_array_equal(counted.linearize(x, 0.5)[0], model(x, 0.5))
    assert counted.dim == 3


def test_counting_counts_each_kind_of_evaluation_once(pair):
    x, v = pair
    counted = counting(Linearizing(VP()))
    assert counted.nfe == 0
    for n, evaluate in enumerate(
        (
            lambda: counted(x, 0.5),
            lambda: counted.x0(x, 0.5),
            lambda: counted.vjp(x, 0.5, v),
            lambda: counted.linearize(x, 0.5),
            lambda: linearize(counted, x, 0.5),
        ),
        start=1,
    ):
        evaluate()
        assert counted.nfe == counted.model.calls == n
    _ = counted.dim
    assert counted.nfe == 5


def test_pulls_that_share_a_forward_pass_are_not_counted(pair):
    counted = counting(Linearizing(VP()))
    _, pull = linearize(counted, pair[0], 0.5)
    for _ in range(3):
        pull(pair[1])
    assert counted.nfe == counted.model.calls == 1


def test_a_conditioned_model_is_still_counted(pair):
    counted = counting(StandardNormal(VP())).given(np.array([1]))
    counted(pair[0], 0.5)
    assert counted.nfe == 1
