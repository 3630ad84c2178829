"""KL and ELBO: what a model pays in nats, step by step and in all."""

import math
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats

import tinydiff as td
from identities.catalogue import identity
from identities.draws import every_chain, generators, journeys, mixtures, sdes
from identities.tools import Louder, complex_step, gauss_hermite, trapezoid
from tinydiff import testing
from tinydiff.evaluation.elbo import log_bins, normal_kl
from tinydiff.learned import objective


def guess(process: td.Process, dim: int) -> td.Denoiser:
    """A denoiser with no truth in it: x̂_0 = tanh(x + t). What holds for any p_θ holds for its chain."""
    return td.as_denoiser(lambda x, t: np.tanh(x + t[:, None]), process, dim=dim, prediction="x0")


@st.composite
def descents(draw, least=1, most=6) -> tuple[td.Process, list[float]]:
    """A process and the falling times of a reverse chain; a signal is left for the last step, which leads to 0."""
    process, times = draw(journeys(draw(st.integers(least, most))))
    assume(process.alpha(times[0]) > 0)
    return process, times[::-1]


variances = st.floats(1e-6, 20)
lines = mixtures(dims=(1, 1), components=2)
"""Mixtures in one dimension, for integrals."""


def normal(mean: np.ndarray, var: float = 1.0) -> td.GaussianMixture:
    """N(mean, var I), mean (1, D)."""
    return td.GaussianMixture([1.0], mean, var * np.eye(mean.shape[1])[None])


NORMAL = normal(np.zeros((1, 1)))
"""N(0, 1)."""


def density(x, mean, var):
    """ln N(x; mean, var I) by scipy, (B,)."""
    return np.sum(stats.norm.logpdf(np.float64(x), np.float64(mean), math.sqrt(var)), axis=1)


def snr(process, t):
    return float(process.alpha(t) / process.sigma(t)) ** 2


def transition(process, t, s):
    """a and the variance of q(x_t | x_s) = N(a x_s, var I)."""
    a = float(process.alpha(t) / process.alpha(s))
    return a, float(process.sigma(t) ** 2 - a**2 * process.sigma(s) ** 2)


def posterior(process, x, x0, t, s):
    """Mean and variance of q(x_s | x_t, x_0), 0 < s < t: two Gaussians multiplied, so their precisions add up."""
    a, var = transition(process, t, s)
    alpha, sigma2 = float(process.alpha(s)), float(process.sigma(s)) ** 2
    precision = a**2 / var + 1 / sigma2
    return (a / var * x + alpha / sigma2 * x0) / precision, 1 / precision


def mean_elbo(model, x0, ts, rule, **options):
    """The parts of −ELBO at each point, with the expectations over ε by a rule for N(0, I), nodes and weights."""
    nodes, weights = rule
    rows = np.repeat(x0, len(nodes), axis=0)
    noise = np.broadcast_to(np.tile(nodes, (len(x0), 1)), (len(ts), *rows.shape))
    parts = td.elbo(model, rows, ts, noise=noise, **options)

    def mean(a):
        return np.tensordot(a.reshape(len(x0), len(nodes), *a.shape[1:]), weights.astype(a.dtype), (1, 0))

    return td.ElboTerms(mean(parts.prior), mean(parts.diffusion), mean(parts.reconstruction), parts.dim)


@identity(22, normal_kl, float64=1e-13, float32=1e-5)
@given(rng=generators, dim=st.integers(1, 3), var=variances, other_var=variances, scale=st.floats(0.1, 10))
def test_the_kl_of_two_gaussians_is_the_mean_of_their_log_ratio(hold, rng, dim, var, other_var, scale):
    r"""$E_q[\ln q - \ln p] = \frac{1}{2c'}\|m - m'\|^2 + \frac d2(\frac c{c'} - 1 - \ln\frac c{c'})$, Gaussians

    For $q = N(m, cI)$ and $p = N(m', c'I)$. The log-ratio is quadratic, so three Gauss–Hermite nodes for each
    coordinate are exact. A KL does not change when both laws are turned, shifted and scaled.

    Source: Kullback & Leibler 1951; Ho et al. 2020 (DDPM).
    Catches: a log-variance passed as a variance; a variance as a standard deviation; a forgotten dimension.
    """
    mean, other = hold.cast(*rng.standard_normal((2, 1, dim)))
    x, weights = gauss_hermite(normal(mean, var), 3)
    log_q, log_p = density(x, mean, var), density(x, other, other_var)
    size = weights @ (np.abs(log_q) + np.abs(log_p))
    hold(normal_kl(mean, var, other, other_var), weights @ (log_q - log_p), scale=size)

    turn, shift = np.linalg.qr(rng.standard_normal((dim, dim)))[0], rng.standard_normal(dim)
    moved, other_moved = hold.cast(*(scale * m @ turn + shift for m in (mean, other)))
    hold(normal_kl(moved, scale**2 * var, other_moved, scale**2 * other_var), weights @ (log_q - log_p), scale=size)


@identity(23, td.Process.prior_gap, float64=1e-12, float32=2e-6)
@given(journey=journeys(1), rng=generators, dim=st.integers(1, 3))
def test_the_prior_costs_what_is_left_of_the_data(hold, journey, rng, dim):
    r"""$L_T = \frac12[\bar\alpha_T\|x_0\|^2 - d\bar\alpha_T - d\ln(1 - \bar\alpha_T)]$, what starting from noise costs

    Sampling starts from the prior $p = N(0, I)$, and the data do not quite arrive there: this is
    $\mathrm{KL}(q(x_T|x_0)\|p)$. Where variance is not preserved the prior has the variance $\alpha^2 + \sigma^2$, and
    $\alpha^2/(\alpha^2 + \sigma^2)$ stands for ᾱ. Here the KL is a mean of log-ratios over the nodes 0 and ±√3 of each
    coordinate, which is exact, in fifty digits. A chain that starts at an earlier time pays what is left there.

    Source: Ho et al. 2020 (DDPM), eq. 5.
    Catches: α for ᾱ; the log of the signal's variance for that of the noise; a forgotten dimension.
    """
    process, (t,) = journey
    x0 = hold.cast(3 * rng.standard_normal((3, dim)))

    def kl(t):
        alpha, sigma = mp.mpf(float(process.alpha(t))), mp.mpf(float(process.sigma(t)))

        def log_ratio(x, z):
            return mp.log(prior / sigma) - z**2 / 2 + ((alpha * x + sigma * z) / prior) ** 2 / 2

        return [float(sum(w * log_ratio(mp.mpf(float(x)), z) for x in row for z, w in rule)) for row in x0]

    with mp.workdps(50):
        prior = mp.sqrt(sum(mp.mpf(float(c(process.t_max))) ** 2 for c in (process.alpha, process.sigma)))
        rule = [(-mp.sqrt(3), mp.mpf(1) / 6), (0, mp.mpf(2) / 3), (mp.sqrt(3), mp.mpf(1) / 6)]
        hold(process.prior_gap(x0), kl(process.t_max))
        if process.alpha(t) > 0:
            hold(td.elbo(guess(process, dim), x0, [t], rng).prior, kl(t))


@identity(24, td.path_log_ratio, float64=1e-12, float32=3e-4)
@given(
    descent=descents(), variance=st.sampled_from(["beta_tilde", "beta", "array"]), rng=generators, dim=st.integers(1, 3)
)
def test_the_bound_telescopes_on_every_path(hold, descent, variance, rng, dim):
    r"""$\ln\frac{p(x_{0:T})}{q(x_{1:T}|x_0)} = \ln\frac{p(x_T)}{q(x_T|x_0)} + \sum_{t\ge2}\ln\frac{p_t}{q_t} + \ln p_1$

    With the reverse steps $p_t = p(x_{t-1}|x_t)$ of the model and $q_t = q(x_{t-1}|x_t, x_0)$ of the data. It holds for
    any model, on every path, before any expectation: Bayes' rule turns each forward step around, and what is left over
    cancels with the next. At t = 1 there is nothing to turn around, and $p_1$ stands alone.

    Source: Ho et al. 2020 (DDPM), eq. 5.
    Catches: t = 1 treated like the other steps, or dropped; a transition that forgets to fade; a sign.
    """
    process, ts = descent
    model, x0 = guess(process, dim), hold.cast(rng.standard_normal((3, dim)))
    path = td.forward_path(process, x0, ts, rng)
    array = rng.uniform(0.1, 1.0, len(ts))
    alpha, sigma = float(process.alpha(ts[0])), float(process.sigma(ts[0]))
    terms = [density(path[0], 0, process.prior_std**2), -density(path[0], alpha * x0, sigma**2)]
    for (t, s), x, y, own in zip(pairwise(ts), path, path[1:], array, strict=False):
        (mean, beta_tilde), beta = posterior(process, x, x0, t, s), transition(process, t, s)[1]
        var = {"beta_tilde": beta_tilde, "beta": beta, "array": own}[variance]
        terms += [density(y, posterior(process, x, model.x0(x, t), t, s)[0], var), -density(y, mean, beta_tilde)]
    last = array[-1] if variance == "array" else 1 / snr(process, ts[-1])
    terms.append(density(x0, model.x0(path[-2], ts[-1]), last))
    found = td.path_log_ratio(model, path, ts, variance=array if variance == "array" else variance)
    hold(found, sum(terms), scale=sum(np.abs(term) for term in terms))


@identity(25, td.elbo, float64=1e-12, float32=3e-4)
@given(descent=descents(most=12), spread=st.floats(0.05, 5), rng=generators, dim=st.integers(1, 2))
def test_the_bound_is_tight_where_the_chain_is_exact(hold, descent, spread, rng, dim):
    r"""$\mathrm{ELBO}(x_0) = \ln q(x_0)$ for $q = N(m, cI)$, if $p(x_{t-1}|x_t) = q(x_{t-1}|x_t)$ and $p(x_T) = q(x_T)$

    At every point, for any schedule and any number of steps, one as well as many. The log-ratio
    $\ln p(x_{0:T})/q(x_{1:T}|x_0)$ is $\ln q(x_0)$ on each path. The sum of KLs is so in the mean over ε alone, and its
    single draws scatter. The exact variance of a reverse step is $V_s \sigma^2_{t|s}/V_t$, with
    $V_t = \alpha_t^2 c + \sigma_t^2$.

    Source: Ho et al. 2020 (DDPM), eq. 5.
    Catches: a KL the wrong way round; the prior $N(0, I)$ where $q(x_T)$ is asked for; a lost logarithm.
    """
    process, ts = descent
    data = normal(rng.standard_normal((1, dim)), spread)
    oracle = td.Oracle(data, process)

    def marginal(t):
        return float(process.alpha(t) ** 2 * spread + process.sigma(t) ** 2)

    exact = np.array([marginal(s) * transition(process, t, s)[1] / marginal(t) for t, s in pairwise([*ts, 0.0])])
    options = {"variance": exact, "prior": lambda x: oracle.log_density(x, ts[0])}
    x0 = hold.cast(data.sample(rng, 3))
    log_q = density(x0, data.means, spread)
    path = td.forward_path(process, x0, ts, rng)
    hold(td.path_log_ratio(oracle, path, ts, **options), log_q, scale=len(ts))
    nats = mean_elbo(oracle, x0, ts, gauss_hermite(normal(np.zeros((1, dim))), 3), **options).nats
    hold(nats, -log_q, scale=len(ts))


@identity(26, td.elbo, float64=1e-10, float32=2e-5)
@given(descent=descents(least=2), rng=generators, dim=st.integers(1, 3))
def test_a_step_costs_half_the_fall_of_the_snr(hold, descent, rng, dim):
    r"""$L_{t-1} = \frac12(S_{t-1} - S_t)\|\Delta x_0\|^2 = \frac12(S_{t-1}/S_t - 1)\|\Delta\varepsilon\|^2$, S the SNR

    It is DDPM's $\frac{\beta^2}{2\tilde\beta(1-\beta)(1-\bar\alpha)} \|\Delta\varepsilon\|^2$. The bound knows the
    schedule by its SNRs alone, for strided steps and for every process too: read $\sigma^2_{t|s}$ for β,
    $\alpha^2_{t|s}$ for $1 - \beta$ and $\sigma_t^2$ for $1 - \bar\alpha$. At t = 1 it would be infinite; the
    reconstruction stands there.

    Source: Ho et al. 2020 (DDPM), eq. 12; Kingma et al. 2021 (VDM).
    Catches: the error of x̂₀ for that of the posterior mean; α_t for α_s; the ½.
    """
    process, ts = descent
    assume(process.alpha(ts[0]) > 0)
    x0, *noise = hold.cast(*rng.standard_normal((len(ts) + 1, 3, dim)))
    model, noise = guess(process, dim), np.array(noise)
    found = td.elbo(model, x0, ts, noise=noise).diffusion
    x0, square = np.float64(x0), lambda a: np.sum(a**2, axis=1)
    for step, (t, s), eps in zip(found.T, pairwise(ts), np.float64(noise[:-1]), strict=True):
        x = process.at(t).perturb(x0, eps)
        x0_hat, error_of_eps = model.x0(x, t), square(eps - model(x, t))
        fall, ratio = snr(process, s) - snr(process, t), snr(process, s) / snr(process, t)
        (a, beta), sigma2 = transition(process, t, s), float(process.sigma(t)) ** 2
        (mean, beta_tilde), (mean_guess, _) = (posterior(process, x, each, t, s) for each in (x0, x0_hat))
        size, size_eps = fall * (square(x0) + dim), ratio * (square(eps) + dim)
        hold(step, square(mean - mean_guess) / (2 * beta_tilde), scale=size)
        hold(step, 0.5 * fall * square(x0 - x0_hat), scale=size)
        hold(step, 0.5 * (ratio - 1) * error_of_eps, scale=size_eps)
        hold(step, beta**2 / (2 * beta_tilde * a**2 * sigma2) * error_of_eps, scale=size_eps)


@identity(27, objective.vlb_weight, float64=1e-10, float32=1e-6)
@given(chain=every_chain, data=st.data(), rng=generators, dim=st.integers(1, 3))
def test_the_weight_of_ddpms_noise_in_the_bound(hold, chain, data, rng, dim):
    r"""$L_{t-1} = \frac{\beta_t}{2(1-\beta_t)(1-\bar\alpha_{t-1})} \|\Delta\varepsilon\|^2$, with the variance β̃

    For t ≥ 2; at t = 1 the reconstruction $N(x_0; \hat x_0, \sigma^2/\alpha^2)$ weighs the same error by ½. L_simple
    has 1 in the place of these weights, so it is no bound: next to the bound, it pays little heed to small t.

    Source: Ho et al. 2020 (DDPM), eq. 12.
    Catches: a weight off by one step; β for β̃; L_simple reported as a likelihood.
    """
    T, alpha_bar = chain.T, np.concatenate([[1.0], np.cumprod(1 - chain.betas)])
    n = data.draw(st.integers(1, T))
    assume(alpha_bar[n] > 0)
    t, s, beta = n / T, (n - 1) / T, chain.betas[n - 1]
    weight = beta / (2 * (1 - beta) * -np.expm1(np.sum(np.log1p(-chain.betas[: n - 1])))) if n > 1 else 0.5
    hold(float(objective.vlb_weight(chain.at(t))), T * weight)

    x0, eps = hold.cast(*rng.standard_normal((2, 3, dim)))
    model, noise = guess(chain, dim), np.stack([eps, eps])
    parts = td.elbo(model, x0, [t, s] if n > 1 else [t], noise=noise[: min(n, 2)])
    x0, eps = np.float64(x0), np.float64(eps)
    error = np.sum((eps - model(chain.at(t).perturb(x0, eps), t)) ** 2, axis=1)
    size = weight * (np.sum(eps**2, axis=1) + snr(chain, t) * np.sum(x0**2 + 1, axis=1))
    if n > 1:
        hold(parts.diffusion[:, 0], weight * error, scale=size)
    else:
        width = 0.5 * dim * math.log(2 * math.pi / snr(chain, t))
        hold(parts.reconstruction - hold.cast(width), weight * error, scale=size + abs(width))


@identity(28, td.elbo, float64=0.15, float32="an order is judged in double precision")
@pytest.mark.parametrize("kind", [td.VP, td.Cosine, td.VE])
def test_more_steps_tighten_the_bound_to_the_integral_of_the_mmse(hold, kind):
    r"""$\sum_t L_{t-1} \ge \frac12 \int \mathrm{mmse}\, d\,\mathrm{SNR}$ for the best denoiser, with a gap of order 1/T

    Each step pays a rectangle, $\mathrm{SNR}_{t-1} - \mathrm{SNR}_t$ wide and as high as the mmse at its noisier end,
    the higher one. So more steps tighten the bound, if the denoiser is near the best, and in the limit no schedule
    matters. For data ±1 the best denoiser is a tanh, and
    $\mathrm{mmse}(\gamma) = E[1 - \tanh(\gamma + \sqrt\gamma z)]$.

    Source: Kingma et al. 2021 (VDM); Guo, Shamai & Verdú 2005.
    Catches: a denoiser short of the optimum; a weight that is off by a constant.
    """
    process = kind()
    model = td.Oracle(np.array([[-1.0], [1.0]]), process)
    z, weights = trapezoid(NORMAL, 150)

    def mmse(gamma):
        return weights @ (1 - np.tanh(gamma + math.sqrt(gamma) * z[:, 0]))

    ends = process.log_snr(process.t_max), process.log_snr(process.t_min)
    limit = 0.5 * integrate.quad(lambda lam: math.exp(lam) * mmse(math.exp(lam)), *ends, limit=200)[0]

    def paid(steps):
        ts = td.grids.even_log_snr(process, steps - 1)
        return np.sum(mean_elbo(model, np.array([[1.0]]), ts, (z, weights)).diffusion)  # the same at −1

    testing.assert_order(paid, limit, order=1, steps=(320, 640), within=hold.tolerance)
    assert paid(80) > limit


@identity(29, log_bins, float64=2e-12, float32="the edges of bins around levels rounded to float32 do not meet")
@given(mean=st.floats(-40, 40), log_std=st.floats(-10, 3))
def test_the_256_bins_sum_to_one(hold, mean, log_std):
    r"""$\sum_{i=0}^{255} p(x_0 = -1 + \frac{2i}{255} \mid x_1) = 1$, each level with its bin of the Gaussian

    The bins reach $\frac1{255}$ to both sides, the first to −∞ and the last to ∞. So the decoder of images is a
    probability whatever the Gaussian is, and its bits can be compared with those of any other model.

    Source: Ho et al. 2020 (DDPM), eq. 13.
    Catches: outer edges that are finite; 256 intervals for 255.
    """
    levels = hold.cast(np.linspace(-1, 1, 256)[:, None])
    log_p = log_bins(levels, np.full_like(levels, mean), math.exp(2 * log_std))
    hold(np.sum(np.exp(log_p)), 1)


@identity(30, td.elbo, float64=1e-9, float32="a likelihood by the ODE is judged in double precision")
@pytest.mark.parametrize("kappa", [-1.0, -0.1, 0.05, 0.1])
def test_the_score_error_bounds_the_kl_of_the_reverse_sde(hold, kappa):
    r"""$\mathrm{KL}(q\|p) \le \mathrm{KL}(q_T\|p_T) + \frac12 \int g^2\, E\|s - s_\theta\|^2\, dt$, p by the SDE

    For the law p of the reverse SDE. Here data are $N(0, 1)$ and $\hat\varepsilon = (1 + \kappa)\varepsilon^*$, so that
    the bound is $\frac12\kappa^2 b$ with $b = \int\beta$. The ELBO of a chain says
    $\frac12\kappa^2 \sum_t \beta_t/(1-\beta_t)$, which bounds the KL of the chain's law. The probability-flow ODE has
    another law, whose KL, $\frac12(e^{\kappa b} - 1 - \kappa b)$, may break the bound: at κ = .1 it is .363 nats, the
    bound .050; at κ = −1 it is not so.

    Source: Song et al. 2021 (maximum likelihood training of score-based models).
    Catches: the bound claimed for the ODE; the reverse SDE's drift in the ODE; one reverse variance for another.
    """
    process = td.VP()
    model, (x, weights) = Louder(td.Oracle(NORMAL, process), kappa), gauss_hermite(NORMAL, 3)
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    b = process.integral(1.0) - process.integral(process.t_min)

    def rate(t):
        error = td.score(model, x, t) - td.score(model.model, x, t)
        return 0.5 * process.g2(t) * (weights @ error**2).item()

    bound = integrate.quad(rate, process.t_min, 1.0)[0]
    hold(bound, 0.5 * kappa**2 * b)

    ts = td.grids.even_log_snr(process, 59)
    chain = weights @ mean_elbo(model, x, ts, (x, weights), variance="beta").nats - entropy
    steps = [transition(process, t, s) for t, s in pairwise([*ts, 0.0])]
    hold(chain, 0.5 * kappa**2 * sum(var / a**2 for a, var in steps))
    one, variance = np.ones((1, 1)), 1.0
    for now, then in pairwise(process.at(t) for t in [*ts, 0.0]):
        stretch, noise = (
            td.ddpm_step(x, model.x0(x, now), now, then, z, "beta").item() for x, z in ((one, 0 * one), (0 * one, one))
        )
        variance = stretch**2 * variance + noise**2
    assert 0.5 * (1 / variance - 1 + math.log(variance)) < min(chain, bound)

    flow, growth = -weights @ td.log_likelihood(model, x, steps=100), kappa * process.integral(1.0)
    hold(flow, entropy + 0.5 * (math.exp(growth) - 1 - growth))
    assert (flow - entropy > bound) == (kappa > -1)


@identity(31, td.Process.g2, float64=1e-9, float32="quadrature and complex steps are judged in double precision")
@given(process=sdes, log_snr=st.floats(-4, 2), q=lines, p=lines)
def test_noise_brings_two_laws_together(hold, process, log_snr, q, p):
    r"""$\frac{d}{dt} \mathrm{KL}(q_t\|p_t) = -\frac12 g^2\, E_{q_t}\|\nabla\ln q_t - \nabla\ln p_t\|^2$

    Noise brings two laws together, and the faster the more their scores differ. The drift carries both alike and has no
    part in it. The derivative is a complex step in t.

    Source: Song et al. 2021 (maximum likelihood training of score-based models); de Bruijn's identity for two laws.
    Catches: g for g²; a missing ½; the scores of one law alone.
    """
    t = min(float(process.time(log_snr)), process.t_max)
    q_t, p_t = td.Oracle(q, process), td.Oracle(p, process)
    x, weights = trapezoid(q.diffused(process.alpha(t), process.sigma(t)), 3000)

    def kl(t):
        log_q, log_p = q_t.log_density(x, t), p_t.log_density(x, t)
        return weights @ (np.exp(log_q - log_q.real) * (log_q - log_p))

    s_q, s_p = td.score(q_t, x, t), td.score(p_t, x, t)
    fisher, size = weights @ (s_q - s_p) ** 2, weights @ (s_q**2 + s_p**2)
    hold(complex_step(kl, t), -0.5 * process.g2(t) * fisher, scale=0.5 * process.g2(t) * size)
