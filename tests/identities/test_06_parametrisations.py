"""Parametrisations: data, noise, velocity and score say the same thing, on every process."""

import math

import numpy as np
from hypothesis import example, given

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, processes, sdes, shapes
from identities.tools import complex_step, gradient, log_density
from tinydiff import predictions
from tinydiff.learned import objective
from tinydiff.sampling import probability_flow


@identity(32, predictions.target, float64=2e-15, float32=5e-7)
@given(journey=journeys(1), shape=shapes, rng=generators)
@example(journey=(td.VE(), (0.5,)), shape=(2, 3), rng=np.random.default_rng(0))  # whose α² + σ² is not 1
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


@identity(33, predictions.to_eps, float64=1e-13, float32=1e-5)
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
    ratios = {"eps": snr, "x0": 1.0, "v": 1 + snr, "score": snr / process.sigma(t) ** 2}
    for prediction, ratio in ratios.items():
        f, f_guess = (predictions.target(prediction, *pair, now) for pair in pairs)
        error, size = np.sum((f - f_guess) ** 2), np.sum(f**2 + f_guess**2)
        hold(error, ratio * error_of_x0, scale=size)
        for read, share in ((predictions.to_x0, 1.0), (predictions.to_eps, snr)):
            weight = read(prediction, now)[1] ** 2
            hold(weight * error, share * error_of_x0, scale=weight * size)
    hold(float(objective.x0_weight(now)) * snr, 1)


@identity(34, td.Level.velocity, float64=1e-13, float32=2e-6)
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


@identity(35, td.score, float64=1e-12, float32=5e-6)
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
