"""Schedules: how much signal is left, and how much noise is there."""

import math
from decimal import Decimal, localcontext

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import expit

import tinydiff as td
from identities.catalogue import identity
from identities.draws import betas, every_chain, journeys, sdes
from identities.tools import columns
from tinydiff import grids, testing


def at_steps(hold, chain, first=0):
    """The level of a chain at its steps `first`, …, T, as columns for as many numbers, (T + 1 − first,)."""
    t = np.arange(first, chain.T + 1) / chain.T
    return chain.at(t, like=hold.cast(t))


@identity(1, td.Discrete.sigma, float64=1e-13, float32=1e-6)
@given(betas=betas)
def test_noise_is_the_sum_of_the_faded_steps(hold, betas):
    r"""$1 - \bar\alpha_t = \sum_{s \le t} \beta_s \prod_{r=s+1}^{t} (1 - \beta_r)$

    Each step adds its β, and the later steps fade it.

    Source: Ho et al. 2020 (DDPM), eq. 4.
    Catches: a schedule off by one; α_t = 1 − β_t in place of the product ᾱ_t.
    """
    faded = [sum(betas[m] * math.prod(1 - betas[m + 1 : n]) for m in range(n)) for n in range(len(betas) + 1)]
    hold(at_steps(hold, td.Discrete(betas)).sigma ** 2, faded)


@identity(2, td.Discrete.sigma, float64=1e-14, float32=1e-6)
@given(beta=st.floats(1e-12, 1e-3), T=st.integers(1, 20))
def test_tiny_steps_keep_their_digits(hold, beta, T):
    r"""$1 - \bar\alpha_t = -\operatorname{expm1} \sum_{s \le t} \operatorname{log1p}(-\beta_s)$, against fifty digits

    Source: floating-point arithmetic; $1 - \prod (1 - \beta)$ loses 2.7e-8 of itself at β = 1e-9.
    Catches: cancellation in 1 − cumprod.
    """
    with localcontext(prec=50):
        exact = [float(1 - (1 - Decimal(beta)) ** n) for n in range(1, T + 1)]
    hold(at_steps(hold, td.Discrete(np.full(T, beta)), first=1).sigma ** 2, exact)


@identity(3, td.Level.log_snr, float64=1e-13, float32=3e-6)
@given(journey=journeys(1))
def test_log_snr_is_the_logit_of_the_signal(hold, journey):
    r"""$\alpha^2 / (\alpha^2 + \sigma^2) = \operatorname{sigmoid}(\lambda)$, and the rest is sigmoid(−λ)

    The log-SNR λ = ln α²/σ² is the natural clock of a diffusion. Where variance is preserved the two fractions are ᾱ
    and 1 − ᾱ. DPM-Solver's λ is half of this one.

    Source: Kingma et al. 2021 (VDM), eqs. 3–4.
    Catches: λ = ln α/σ in place of ln α²/σ²; its sign.
    """
    process, (t,) = journey
    alpha, sigma = process.alpha(t), process.sigma(t)
    (now,) = columns(process, t, like=hold.cast([[0]]))
    for log_snr in (now.log_snr, hold.cast(process.log_snr(t))):
        hold(expit(log_snr), alpha**2 / (alpha**2 + sigma**2))
        hold(expit(-log_snr), sigma**2 / (alpha**2 + sigma**2))


@identity(4, td.Discrete.cosine, float64=1e-11, float32=5e-6)
@given(T=st.integers(2, 50) | st.just(1000), s=st.floats(0.0, 0.1))
def test_cosine_schedule_follows_its_formula_until_the_clip(hold, T, s):
    r"""$\bar\alpha_t = f(t)/f(0)$, $f(t) = \cos^2(\frac\pi2 \frac{t/T + s}{1 + s})$, for t < T; clipped at T

    The schedule is defined by its ᾱ, but a chain is run by its β. These are clipped at .999, so that
    $\bar\alpha_T = .001 \bar\alpha_{T-1}$ (2.4e-9 for T = 1000), where the formula gives 4e-33. Without the offset s
    the log-SNR is $-2 \ln \tan(\pi t / 2T)$. Here cos is written as a sine, precise near the end.

    Source: Nichol & Dhariwal 2021, §3.2.
    Catches: β from an unclipped ᾱ; cos for cos²; a lost offset.
    """
    n = np.arange(T + 1)
    f = np.sin(0.5 * np.pi * (1 - n / T) / (1 + s)) ** 2
    f[T] = 0.001 * f[T - 1]
    hold(at_steps(hold, td.Discrete.cosine(T, s)).alpha ** 2, f / f[0])
    lam = at_steps(hold, td.Discrete.cosine(T, s=0)).log_snr
    hold(lam[1:T], -2 * np.log(np.tan(0.5 * np.pi * n[1:T] / T)), scale=1)


@identity(5, td.VP.integral, float64=1e-13, float32=2e-6)
@settings(max_examples=30)
@given(low=st.floats(0.05, 2), high=st.floats(2, 40), t=st.integers(1, 1000))
def test_the_chain_converges_to_the_sde(hold, low, high, t):
    r"""$\ln \bar\alpha(t) = -(\beta_0 t + \frac12 (\beta_1 - \beta_0) t^2)$ is the limit of $\beta_n = \beta(n/N)/N$

    Song's VP process, $\beta(t) = \beta_0 + (\beta_1 - \beta_0) t$, is DDPM's chain in ever smaller steps:
    the error of ln ᾱ at the end halves as N doubles, order 1. The linear schedule, rescaled from T = 1000, has the same
    limit.

    Source: Song et al. 2021, eq. 33.
    Catches: a forgotten 1/N; ½ lost from the integral or from $\alpha = \sqrt{\bar\alpha}$.
    """
    vp, t = td.VP(low, high), t / 1000
    area, _ = integrate.quad(lambda r: low + r * (high - low), 0, t)
    (now,) = columns(vp, t, like=hold.cast([[0]]))
    hold(2 * np.log(now.alpha), -area, scale=1)
    for chain in (
        lambda N: td.Discrete(vp.beta(np.arange(1, N + 1) / N) / N),
        lambda N: td.Discrete.linear(N, low / 1000, high / 1000),
    ):
        testing.assert_order(lambda n, of=chain: 2 * np.log(of(n).alpha(1.0)), -(low + high) / 2, 1, steps=(500, 1000))


@identity(6, grids.karras, float64=2e-10, float32="a grid is float64, whatever it steps through")
@given(process=sdes, steps=st.integers(1, 50), rho=st.floats(1, 12))
def test_karras_grid_takes_equal_steps_of_a_root_of_the_noise(hold, process, steps, rho):
    r"""$\sigma_i = (\sigma_{\max}^{1/\rho} + \frac iN (\sigma_{\min}^{1/\rho} - \sigma_{\max}^{1/\rho}))^\rho$

    Here σ is the noise to the signal, σ/α, of any process, and i runs from 0 to N. Steps are equal in its ρ-th
    root, so they are finest where there is little noise. Both end points are exact.

    Source: Karras et al. 2022 (EDM), §3.
    Catches: a grid from data to noise; ρ left out; λ = ln σ/α for ln σ²/α².
    """
    ts = grids.karras(process, steps, rho=rho)
    assert ts[0] == process.t_max
    assert ts[-1] == process.t_min
    ratio = process.sigma(ts) / process.alpha(ts)
    low, high = ratio[-1] ** (1 / rho), ratio[0] ** (1 / rho)
    hold(ratio, [(high + i / steps * (low - high)) ** rho for i in range(steps + 1)])


@identity(7, td.Discrete.zero_terminal_snr, float64=1e-10, float32=1e-6)
@given(chain=every_chain.filter(lambda chain: chain.T > 1))
def test_zero_terminal_snr_shifts_and_scales(hold, chain):
    r"""$\sqrt{\bar\alpha'_t} = c (\sqrt{\bar\alpha_t} - \sqrt{\bar\alpha_T})$ with $\bar\alpha'_1 = \bar\alpha_1$

    Nothing of the data is left at T, as the sampler that starts from pure noise assumes, and the first step is kept.

    Source: Lin et al. 2023, Alg. 1.
    Catches: a shift without the scaling; ᾱ in place of √ᾱ.
    """
    before = chain.alpha(np.arange(1, chain.T + 1) / chain.T)
    after = at_steps(hold, chain.zero_terminal_snr(), first=1).alpha
    assert after[-1] == 0
    hold(after[0], before[0])
    hold(after, before[0] * (before - before[-1]) / (before[0] - before[-1]), scale=before[0])
