"""Parametrisations: data, noise, velocity and score say the same thing, on every process."""

import math

import numpy as np
from hypothesis import given

import tinydiff as td
from identities.bugs import edit, only_for, scaled, with_answer, without
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, processes, sdes, shapes
from identities.tools import complex_step, gradient, log_density
from tinydiff import predictions
from tinydiff.learned import objective
from tinydiff.sampling import probability_flow


@identity(
    32,
    float64=2e-15,
    float32=5e-7,
    bugs=[
        without(predictions.target, "(now.alpha**2 + now.sigma**2) ** 0.5"),
        edit(predictions.target, "now.alpha * eps - _", "now.alpha * eps + _"),
        edit(predictions.to_x0, "alpha / (alpha**2 + sigma**2)", "alpha"),
        edit(predictions.to_eps, "sigma / (alpha**2 + sigma**2)", "sigma"),
    ],
)
@given(journey=journeys(1), shape=shapes, rng=generators)
def test_v_turns_data_and_noise_by_an_angle(hold, journey, shape, rng):
    r"""$v = \alpha\varepsilon - \sigma x_0 \Rightarrow x_0 = \alpha x - \sigma v,\ \varepsilon = \sigma x + \alpha v$

    A rotation by the angle φ with $\tan\varphi = \sigma/\alpha$, here as one of complex numbers:
    $(x_0 + i\varepsilon)\,e^{-i\varphi} = (x + iv)$ if $\alpha^2 + \sigma^2 = 1$. Elsewhere x and v are divided by
    $\sqrt{\alpha^2 + \sigma^2}$ to make it so.

    Source: Salimans & Ho 2022 (progressive distillation).
    Catches: a lost sign; no division by α² + σ² under VE, off by 400 %.
    """
    process, (t,) = journey
    x0, eps = hold.cast(*rng.standard_normal((2, *shape)))
    now, alpha, sigma = process.at(t), float(process.alpha(t)), float(process.sigma(t))
    n, turned = math.hypot(alpha, sigma), (x0 + 1j * eps) * np.exp(-1j * math.atan2(sigma, alpha))
    x, v, size = now.perturb(x0, eps), predictions.v_from_x0_eps(x0, eps, now), np.abs(turned)
    hold(x, n * turned.real, scale=n * size)
    hold(v, turned.imag, scale=size)
    for back, expected in ((predictions.to_x0, x0), (predictions.to_eps, eps)):
        a, b = back("v", now)
        hold(a * x + b * v, expected, scale=size)


@identity(
    33,
    float64=1e-13,
    float32=1e-5,
    bugs=[
        edit(predictions.to_eps, "alpha / (alpha**2 + sigma**2) ** 0.5", "alpha"),
        edit(predictions.to_x0, "-sigma if _ else sigma**2", "-sigma if _ else sigma"),
        without(predictions.eps_from_x0, "now.sigma"),
        (td.Level.log_snr, scaled(0.5)),
        (objective.x0_weight, with_answer(np.reciprocal)),
    ],
)
@given(journey=journeys(1, of=processes), shape=shapes, rng=generators)
def test_errors_of_the_predictions_are_in_fixed_ratios(hold, journey, shape, rng):
    r"""$\|\Delta\varepsilon\|^2 = S\, \|\Delta x_0\|^2$ and $\|\Delta v\|^2 = (1 + S)\, \|\Delta x_0\|^2$, S the SNR

    Two guesses at the same noisy x differ in the data, the noise, v and the score in proportion, so the losses of the
    four predictions are one loss with four weights, the b² of `to_eps` and `to_x0`. Where variance is preserved
    $1 + S = S/\alpha^2$, so that $\|\Delta v\|^2 = \|\Delta\varepsilon\|^2/\alpha^2$.

    Source: Salimans & Ho 2022 (progressive distillation).
    Catches: an SNR upside down; half the log-SNR, DPM-Solver's λ, in the place of the log-SNR.
    """
    process, (t,) = journey
    now = process.at(t)
    snr = math.exp(now.log_snr)
    x0, eps, guess = hold.cast(*rng.standard_normal((3, *shape)))
    x = now.perturb(x0, eps)
    pairs = [(x_0, predictions.eps_from_x0(x, x_0, now)) for x_0 in (x0, guess)]
    error_of_x0 = np.sum((x0 - guess) ** 2, dtype=np.float64)
    ratios = {"eps": snr, "x0": 1.0, "v": 1 + snr, "score": snr / float(process.sigma(t)) ** 2}
    for prediction, ratio in ratios.items():
        f, f_guess = (predictions.target(prediction, *pair, now) for pair in pairs)
        error, size = np.sum((f - f_guess) ** 2), np.sum(f**2 + f_guess**2)
        hold(error, ratio * error_of_x0, scale=size)
        to_x0, to_eps = (to(prediction, now)[1] ** 2 for to in (predictions.to_x0, predictions.to_eps))
        hold(to_x0 * error, error_of_x0, scale=to_x0 * size)
        hold(to_eps * error, snr * error_of_x0, scale=to_eps * size)
        if prediction == "eps":
            weight = float(objective.x0_weight(now))
            hold(weight * error, error_of_x0, scale=weight * size)


def velocity_with_all_of_g2(right, self, x0, eps):
    return self.f * self.alpha * x0 + (self.f * self.sigma + self.g2 / self.sigma) * eps


@identity(
    34,
    float64=1e-13,
    float32=2e-6,
    bugs=[
        (td.Level.velocity, velocity_with_all_of_g2),
        edit(probability_flow.velocity, "now.g2 / (2 * now.sigma)", "now.g2 / now.sigma"),
        (td.Process.g2, only_for(td.Straight, lambda right, self, t: right(self, t) * self.alpha(t))),
        (td.Process.f, only_for(td.VP, scaled(2))),
    ],
)
@given(journey=journeys(1, of=sdes), mixture=mixtures(), rng=generators)
def test_the_mean_velocity_of_all_paths_is_the_drift(hold, journey, mixture, rng):
    r"""$\dot\alpha\, E[x_0|x] + \dot\sigma\, E[\varepsilon|x] = f x - \tfrac12 g^2 s$, the drift of the flow

    With $f = \dot\alpha/\alpha$ and $g^2 = 2\sigma\dot\sigma - 2f\sigma^2$. The paths $\alpha x_0 + \sigma\varepsilon$
    through x have different velocities. Flow matching learns their mean, which is the drift of a diffusion's
    probability flow, whatever the path: variance preserving or straight.

    Source: Lipman et al. 2023 (flow matching); Albergo & Vanden-Eijnden 2023; Song et al. 2021 (score SDE).
    Catches: the whole of g² for the half; β for ½β in f.
    """
    process, (t,) = journey
    now, alpha, sigma = process.at(t), float(process.alpha(t)), float(process.sigma(t))
    alpha_dot, sigma_dot = float(complex_step(process.alpha, t)), float(complex_step(process.sigma, t))
    f = alpha_dot / alpha
    g2 = 2 * sigma * sigma_dot - 2 * f * sigma**2
    x = hold.cast(mixture.diffused(alpha, sigma).sample(rng, 4))
    score = gradient(lambda y: log_density(mixture, y, alpha, sigma), np.float64(x))
    oracle = td.Oracle(mixture, process)
    x0_hat, eps_hat = oracle.x0(x, now), oracle(x, now)
    for drift in (
        alpha_dot * x0_hat + sigma_dot * eps_hat,
        now.velocity(x0_hat, eps_hat),
        probability_flow.velocity(oracle, x, now),
    ):
        hold(drift, f * x - 0.5 * g2 * score, scale=g2 / sigma**2 * np.max(np.abs(x)))


def time_without_a_square(right, self, log_snr):
    return np.log1p(np.exp(-log_snr) / self.sigma_min) / (2 * math.log(self.sigma_max / self.sigma_min))


@identity(
    35,
    float64=1e-13,
    float32=5e-6,
    bugs=[
        without(td.score, "now.sigma"),
        edit(td.GaussianMixture.diffused, "alpha * self.centres", "self.centres"),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
        (td.Process.time, only_for(td.VE, time_without_a_square)),
    ],
)
@given(journey=journeys(1, of=processes), mixture=mixtures(), rng=generators)
def test_score_under_vp_is_that_under_ve_rescaled(hold, journey, mixture, rng):
    r"""$s_{\mathrm{VP}}(x) = s_{\mathrm{VE}}(x/\alpha)/\alpha$, at equal signal-to-noise ratio

    $x/\alpha = x_0 + (\sigma/\alpha)\,\varepsilon$ has no scale but that of the data: processes differ in their clock
    and in the scale of x alone, and one network serves them all.

    Source: Karras et al. 2022 (EDM); Song et al. 2021 (score SDE).
    Catches: signal scaled without its spread; a score that keeps the scale of another process.
    """
    process, (t,) = journey
    alpha, sigma, exploding = float(process.alpha(t)), float(process.sigma(t)), td.VE(0.01, 1e9)
    x = hold.cast(mixture.diffused(alpha, sigma).sample(rng, 4))
    y, r = x / alpha, float(exploding.time(process.log_snr(t)))
    expected = gradient(lambda y: log_density(mixture, y, 1.0, sigma / alpha), np.float64(y)) / alpha
    for score in (td.score(td.Oracle(mixture, process), x, t), td.score(td.Oracle(mixture, exploding), y, r) / alpha):
        hold(score, expected, scale=np.max(np.abs(x)) / sigma**2)
