"""Samplers: one step of DDPM and DDIM, in all its forms."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from identities.catalogue import identity
from identities.draws import betas, every_chain, generators, journeys, mixtures, preserving, processes, shapes
from identities.tools import gradient, log_density
from tinydiff.predictions import v_from_x0_eps
from tinydiff.sampling.dpm_solver import dpm_solver_2m_step


def law_of_step(hold, step, mean, variance):
    """Mean and standard deviation after a step x, z ↦ c_x x + c_z z + c on the line, from the law of x; z ~ N(0, 1)."""
    x, z = hold.cast([[0], [1], [0]], [[0], [0], [1]])
    c, c_x, c_z = step(x, z)[:, 0].astype(np.float64)
    return c + (c_x - c) * mean, np.sqrt((c_x - c) ** 2 * variance + (c_z - c) ** 2)


@identity(48, td.ddpm_step, float64=1e-12, float32=1e-5)
@given(chain=every_chain, mixture=mixtures(), draw=st.data(), rng=generators)
def test_four_reverse_means_are_one(hold, chain, mixture, draw, rng):
    r"""$c_t x + c_0 \hat x_0 = (x - \beta \hat\varepsilon / \sigma) / \sqrt{1-\beta} = (x + \beta s) / \sqrt{1-\beta}$

    The mean of an ancestral step, by $\hat x_0$, by $\hat\varepsilon$ and by the score $s$. DDIM with η = 1 has it too.

    Source: Ho et al. 2020 (DDPM), eq. 11 and Alg. 2; Song et al. 2021 (DDIM), §4.1.
    Catches: $\beta/\sqrt{\beta}$ for $\beta/\sqrt{1-\bar\alpha}$, which removes up to ten times too much noise; a wrong
    coefficient of any form.
    """
    T, betas = chain.T, chain.betas[chain.betas < 1]
    n = draw.draw(st.integers(1, len(betas)))
    now, then = chain.at(n / T), chain.at((n - 1) / T)
    beta, alpha_bar = float(betas[n - 1]), float(np.prod(1 - betas[:n]))
    oracle = td.Oracle(mixture, chain)
    x = hold.cast(oracle.marginal(now).sample(rng, 4))
    score = gradient(lambda y: log_density(mixture, y, alpha_bar**0.5, (1 - alpha_bar) ** 0.5), x.astype(np.float64))
    by_score = (x + beta * score) / (1 - beta) ** 0.5
    by_eps = (x - beta / (1 - alpha_bar) ** 0.5 * oracle(x, now)) / (1 - beta) ** 0.5
    x0_hat = oracle.x0(x, now)
    by_ddpm, by_ddim = td.ddpm_step(x, x0_hat, now, then, 0 * x), td.ddim_step(x, x0_hat, now, then, 0 * x, eta=1.0)
    for mean in (by_eps, by_ddpm, by_ddim):
        hold(mean, by_score, scale=(1 - beta) ** -0.5)


@identity(49, td.ddpm_step, float64=0.15, float32="a remainder of order β³ is lost in single precision")
@given(betas=betas, rng=generators)
def test_ancestral_and_reverse_diffusion_part_at_second_order(hold, betas, rng):
    r"""$(x + \beta s) / \sqrt{1-\beta} - [(2 - \sqrt{1-\beta})\,x + \beta s] = \beta^2 (x/4 + s/2) + O(\beta^3)$

    DDPM's sampler and the plain discretisation of the reverse SDE agree but for terms that vanish with more steps.

    Source: Song et al. 2021 (score SDE), App. E.
    Catches: $1/(1 - \beta)$ for $1/\sqrt{1 - \beta}$; a mean that is right to first order only.
    """
    x, score = rng.standard_normal((2, 8, 1))
    remainders = []
    for beta in 0.04 * 0.5 ** np.arange(4):
        chain, T = td.Discrete(np.append(betas, beta)), len(betas) + 1
        now, then = chain.at(1.0), chain.at(1 - 1 / T)
        x0_hat = (x + now.sigma**2 * score) / now.alpha
        ancestral = td.ddpm_step(x, x0_hat, now, then, 0 * x)
        reverse_diffusion = (2 - np.sqrt(1 - beta)) * x + beta * score
        remainder = ancestral - reverse_diffusion - beta**2 * (x / 4 + score / 2)
        remainders.append(np.sqrt(np.mean(remainder**2)))
    hold(-np.diff(np.log2(remainders)) - 3, 0, scale=1)


@identity(50, td.ddpm_step, float64=1e-12, float32=3e-6)
@given(journey=journeys(2, preserving, zero=True), point=st.floats(-2, 2))
def test_beta_is_right_for_a_standard_normal_and_beta_tilde_for_a_point(hold, journey, point):
    r"""$\sigma^2 = \beta$ keeps $N(0, I)$ as it is; $\sigma^2 = \tilde\beta$ takes $q(x_t | x_0)$ to $q(x_s | x_0)$

    The two variances of DDPM are the exact ones of two kinds of data: noise itself and a single point, which is reached
    exactly, as the step to 0 has no noise. Strided steps take β of the whole stride.

    Source: Ho et al. 2020 (DDPM), §3.2.
    Catches: a standard deviation for a variance; $\alpha_t^2$ for it, which makes 274 of 1; noise at $t = 1$.
    """
    process, (s, t) = journey
    now, then = process.at(t), process.at(s)

    def after(mean, variance, start, choice):
        oracle = td.Oracle(td.GaussianMixture([1.0], [[mean]], [[[variance]]]), process)
        return law_of_step(hold, lambda x, z: td.ddpm_step(x, oracle.x0(x, now), now, then, z, choice), *start)

    hold(after(0.0, 1.0, (0.0, 1.0), "beta"), (0, 1 if s > 0 else now.alpha))
    noisy, clean = (now.alpha * point, 1 - now.alpha**2), (then.alpha * point, then.sigma)
    hold(after(point, 0.0, noisy, "beta_tilde"), clean, scale=1)


@identity(51, td.ddim_step, float64=1e-11, float32=1e-6)
@given(journey=journeys(2, zero=True), eta=st.floats(0, 1), shape=shapes, rng=generators)
def test_every_eta_lands_on_the_marginal(hold, journey, eta, shape, rng):
    r"""$x_s = \alpha_s x_0 + \sqrt{\sigma_s^2 - d^2} \varepsilon + dz \sim q(x_s | x_0)$, $d = \eta \sqrt{\tilde\beta}$

    DDIM with the true $x_0$ takes $q(x_t | x_0)$ to $q(x_s | x_0)$: at η = 0 with the same ε, at η = 1 by the posterior
    $q(x_s | x_t, x_0)$, on strides of any length.

    Source: Song et al. 2021 (DDIM), eq. 12 and Lemma 1.
    Catches: η taken for η²; the noise $d z$ added without taking $d^2$ from the direction; β for β̃ on strides.
    """
    process, (s, t) = journey
    now, then = process.at(t), process.at(s)
    x0, eps, z = hold.cast(rng.standard_normal((3, *shape)))
    zero, one, size = 0 * x0, 1 + 0 * x0, 1 + then.sigma

    by_eps = td.ddim_step(now.perturb(zero, one), zero, now, then, zero, eta)
    by_z = td.ddim_step(zero, zero, now, then, one, eta)
    hold(by_eps**2 + by_z**2, then.sigma**2)

    x = now.perturb(x0, eps)
    hold(td.ddim_step(x, x0, now, then, z), then.alpha * x0.astype(float) + then.sigma * eps, scale=size)

    gain = now.alpha / then.alpha * then.sigma**2 / now.sigma**2  # of the regression of x_s on x_t, given x_0
    hold(by_z, eta * then.sigma * math.sqrt(1 - gain * now.alpha / then.alpha), scale=then.sigma)
    by_regression = then.alpha * x0 + gain * (x - now.alpha * x0)
    hold(td.ddim_step(x, x0, now, then, zero, eta=1.0), by_regression, scale=size)


@identity(52, td.ddim_step, float64=1e-12, float32=3e-6)
@given(journey=journeys(2, processes, zero=True), shape=shapes, rng=generators)
def test_ddim_is_euler_is_dpm_solver_1_is_a_rotation(hold, journey, shape, rng):
    r"""$\Delta(x/\alpha) = \hat\varepsilon\,\Delta(\sigma/\alpha)$ is $x_s = \cos\delta\,x_t - \sin\delta\,\hat v$

    DDIM is Euler's step for the flow in the clock σ/α. It is the first order of DPM-Solver++ as well,
    $(\sigma_s/\sigma_t)\,x_t - \alpha_s (e^{-h} - 1)\,\hat x_0$ with $h$ the gain in ln α/σ, and a turn in the plane of
    $\hat x_0$ and $\hat\varepsilon$ by the angle δ between (α, σ) at $t$ and at $s$, where $x$ is divided by its radius
    √(α² + σ²) if that is not 1.

    Source: Song et al. 2021 (DDIM), §4.3; Salimans & Ho 2022 (progressive distillation), App. D; Lu et al. 2022
    (DPM-Solver++), §4.
    Catches: a variance where a standard deviation belongs; $h$ taken of the log-SNR, which is twice ln α/σ.
    """
    process, (s, t) = journey
    x0, eps = hold.cast(rng.standard_normal((2, *shape)))
    now, then = process.at(t), process.at(s)
    alpha, sigma, alpha_s, sigma_s = now.alpha, now.sigma, then.alpha, then.sigma
    x = now.perturb(x0, eps)
    by_ddim = td.ddim_step(x, x0, now, then, 0 * x)
    size = 1 + sigma_s

    by_euler = alpha_s * (x / alpha + (sigma_s / alpha_s - sigma / alpha) * eps.astype(float))
    hold(by_ddim, by_euler, scale=size + alpha_s * sigma / alpha)

    by_solver = dpm_solver_2m_step(x, x0, None, None, now, then)
    h = math.log(alpha_s / sigma_s) - math.log(alpha / sigma) if s > 0 else math.inf
    hold(by_solver, by_ddim, scale=size)
    hold(by_solver, sigma_s / sigma * x - alpha_s * math.expm1(-h) * x0.astype(float), scale=size)

    delta = math.atan2(sigma, alpha) - math.atan2(sigma_s, alpha_s)
    turned = math.cos(delta) / math.hypot(alpha, sigma) * x - math.sin(delta) * v_from_x0_eps(x0, eps, now)
    hold(by_ddim, math.hypot(alpha_s, sigma_s) * turned, scale=size)


@identity(53, td.ddim, float64=1e-12, float32=3e-6)
@given(steps=st.integers(1, 60))
def test_ddim_shrinks_a_standard_normal(hold, steps):
    r"""$x_0 = \cos^N\!\big(\tfrac{\pi}{2N}\big)\, x_T$ after $N$ steps of equal angle, on data $N(0, 1)$

    There $\hat v = 0$, so that each step shortens $x$ by the cosine of its angle: few steps give too little variance,
    .781 for 1 at $N = 10$. The exact flow leaves $x$ where it is.

    Source: no. 52 with $\hat v = \alpha \hat\varepsilon - \sigma \hat x_0 = 0$.
    Catches: a sampler that loses or adds variance beyond what its order says.
    """
    process = td.Cosine()
    model = td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), process)
    t, x = td.last(td.ddim(model, hold.cast([[1], [-2]]), np.linspace(1, 0, steps + 1)[:-1]))
    hold(model.x0(x, t)[:, 0], np.cos(np.pi / (2 * steps)) ** steps * np.array([1, -2]), scale=1)


class Loud(td.Process):
    """No signal is left at t = 1, and noise of three times the usual size."""

    def alpha(self, t):
        return 1 - t

    def sigma(self, t):
        return 3 * t


def test_a_step_from_no_signal_is_real():
    """There β̃ is σ_s², and not by rounding more, which would leave the root of a negative number for the direction."""
    x = np.ones((1, 1))
    for s in np.linspace(0.01, 0.99, 99):
        now, then = Loud().at(1.0), Loud().at(s)
        assert td.posterior(now, then)[2] <= then.sigma**2
        assert td.ddim_step(x, x, now, then, x, eta=1.0).dtype == np.float64
