"""SDE and ODE: the equations of the process and of its reverse, with the marginals that they share."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, sdes, times
from identities.tools import complex_step, divergence, gauss_hermite, log_density
from tinydiff.evaluation.likelihood import flow_and_divergence
from tinydiff.sampling.reverse_sde import euler_maruyama_step

EVERY_SDE = [td.VP, td.SubVP, td.VE, td.Cosine, td.Straight]

RATES = {  # f and g² in closed form
    td.VP: lambda p, t: (-0.5 * p.beta(t), p.beta(t)),
    td.SubVP: lambda p, t: (-0.5 * p.beta(t), p.beta(t) * (1 - math.exp(-2 * p.integral(t)))),
    td.VE: lambda p, t: (0.0, 2 * math.log(p.sigma_max / p.sigma_min) * (p.sigma(t) ** 2 + p.sigma_min**2)),
    td.Cosine: lambda p, t: (-0.5 * math.pi * math.tan(0.5 * math.pi * t), math.pi * math.tan(0.5 * math.pi * t)),
    td.Straight: lambda p, t: (-1 / (1 - t), 2 * t / (1 - t)),
}


@identity(54, td.Process.g2, float64=1e-12, float32=5e-7)
@given(journey=journeys(1, sdes))
def test_f_and_g2_move_the_moments(hold, journey):
    r"""$\dot\alpha = f\alpha$, $\;\tfrac{d}{dt}\sigma^2 = 2f\sigma^2 + g^2$; sub-VP: $\sigma = \sigma_{\mathrm{VP}}^2$

    What $dx = f x\,dt + g\,dw$ says of mean and variance, α and σ² must obey. VP has $\sigma^2 = 1 - e^{-\int\beta}$,
    and sub-VP the square of that: less noise on the way, and the same mean. Here f and g² are also those that the
    papers write down for each process.

    Source: Song et al. 2021 (score SDE), §3.4 and App. B; Särkkä & Solin 2019 (Applied SDEs), §5.5.
    Catches: β for ½β in the drift; VP's $g^2$ in sub-VP; $\dot\sigma$ for $\frac{d}{dt}\sigma^2$.
    """
    process, (t,) = journey
    now = process.at([t], like=hold.cast([[0.0]]))
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    alpha_dot, var_dot = (float(complex_step(c, t)) for c in (process.alpha, lambda t: process.sigma(t) ** 2))
    f, g2 = RATES[type(process)](process, t)
    hold(now.f, f)
    hold(now.g2, g2)
    hold(alpha_dot, f * alpha)
    hold(var_dot, 2 * f * sigma**2 + g2, scale=2 * abs(f) * sigma**2)
    if isinstance(process, td.VP):
        fade = math.expm1(-quad(process.beta, 0, t, epsrel=1e-13)[0])
        hold(now.sigma**2, fade**2 if isinstance(process, td.SubVP) else -fade)
        assert process.sigma(t) <= td.VP(process.beta_min, process.beta_max).sigma(t)


def fokker_planck(drift, var, q, x):
    """The terms of ∂_t log q at x where points drift and diffuse: −∇·drift, −drift·s, ½ var ∇·s and ½ var ‖s‖²."""
    s = q.score(x)
    return [
        -divergence(drift, x),
        -np.sum(drift(x) * s, axis=1),
        0.5 * var * divergence(q.score, x),
        0.5 * var * np.sum(s**2, axis=1),
    ]


@identity(55, td.GaussianMixture.diffused, float64=1e-12, float32="complex steps are judged in double precision")
@given(journey=journeys(1, sdes), mixture=mixtures(), rng=generators)
def test_the_density_obeys_fokker_planck(hold, journey, mixture, rng):
    r"""$\partial_t \log q_t = -\nabla \cdot (f x) - f x \cdot s + \tfrac12 g^2 (\nabla \cdot s + \lVert s \rVert^2)$

    The drift carries the density along and thins it, the noise spreads it: so the marginals of any data change, where
    $s = \nabla \log q_t$.

    Source: Fokker 1914, Planck 1917; Song et al. 2021 (score SDE), App. D.
    Catches: $g$ for $g^2$; a dropped ½; covariances diffused by α for α².
    """
    process, (t,) = journey
    oracle, now = td.Oracle(mixture, process), process.at(t)
    q = oracle.marginal(now)
    x = q.sample(rng, 6)
    terms = fokker_planck(lambda x: now.f * x, now.g2, q, x)
    hold(complex_step(lambda t: oracle.log_density(x, t), t), sum(terms), scale=sum(map(np.abs, terms)))


@identity(56, euler_maruyama_step, float64=1e-11, float32="complex steps are judged in double precision")
@given(journey=journeys(1, sdes), eta=st.floats(0, 3), mixture=mixtures(), rng=generators)
def test_every_eta_has_the_same_marginals(hold, journey, eta, mixture, rng):
    r"""$dx = [f x - \tfrac12 (1 + \eta^2) g^2 s]\,dt + \eta g\,d\bar w$, backwards, keeps $q_t$ for every η

    η = 1 is the reverse SDE, η = 0 the probability-flow ODE: more noise, and as much more drift to offset it. Drift and
    noise are read off a step of length 1; the noise spreads the density backwards in time, hence its sign here.

    Source: Anderson 1982; Song et al. 2021 (score SDE), App. D; Zhang & Chen 2021 (diffusion normalizing flow).
    Catches: ½ dropped from the flow, or kept in the reverse SDE; η for η²; noise of the wrong size.
    """
    process, (t,) = journey
    oracle, now = td.Oracle(mixture, process), process.at(t)
    q, then = oracle.marginal(now), td.Level(process, t - 1, now.alpha, now.sigma)
    x = q.sample(rng, 6)

    def step(x, dw):
        return euler_maruyama_step(x, oracle(x, now), now, then, dw + 0 * x, eta)

    var = np.mean(step(x, 1) - step(x, 0)) ** 2
    terms = fokker_planck(lambda x: x - step(x, 0), -var, q, x)
    size = sum(map(np.abs, terms)) + np.abs(now.f) * (q.dim + np.abs(np.sum(x * q.score(x), axis=1)))  # g² s offsets it
    hold(complex_step(lambda t: oracle.log_density(x, t), t), sum(terms), scale=size)


@identity(57, td.probability_flow, float64=1e-7, float32=4e-4)
@pytest.mark.parametrize("kind", EVERY_SDE)
@settings(max_examples=3)
@given(mixture=mixtures(dims=(1, 1)), rng=generators)
def test_the_flow_conserves_the_cdf(hold, kind, mixture, rng):
    r"""$F_t(x_t) = F_s(x_s)$ along the probability flow on the line, with $F_t$ the distribution function of $q_t$

    Trajectories cannot cross, so that each keeps its quantile: an exact answer for every single one, on data that are
    not Gaussian.

    Source: Song et al. 2021 (score SDE), §4.3, in one dimension.
    Catches: the reverse SDE's $g^2$ for the flow's $\tfrac12 g^2$; a sign; a score that is off by a percent.
    """
    process = kind()

    def cdf(x, t):
        std = np.sqrt(process.alpha(t) ** 2 * mixture.covariances[:, 0, 0] + process.sigma(t) ** 2)
        return norm.cdf((x.astype(float) - process.alpha(t) * mixture.means[:, 0]) / std) @ mixture.weights

    x, ts = hold.cast(process.prior(rng, 6, mixture.like)), td.grids.even_log_snr(process, 3, end=8.0)
    fine = {"method": "rk45", "rtol": hold.tolerance / 300, "atol": hold.tolerance / 300}
    for t, y in td.probability_flow(td.Oracle(mixture, process), x, ts, **fine):
        hold(hold.cast(cdf(y, t)), cdf(x, ts[0]), scale=1)


@identity(58, td.probability_flow, float64=1e-8, float32=5e-5)
@pytest.mark.parametrize("kind", EVERY_SDE)
@settings(max_examples=4)
@given(gaussian=mixtures(components=1), draw=st.data(), rng=generators)
def test_the_flow_of_a_gaussian_is_affine(hold, kind, gaussian, draw, rng):
    r"""$x_s = \alpha_s m + V_s^{1/2} V_t^{-1/2} (x_t - \alpha_t m)$, $\;V = \alpha^2 C + \sigma^2 I$, on data $N(m, C)$

    The flow moves the mean, and stretches along the axes of $C$ as the standard deviations do: it carries $q_t$ to
    $q_s$, noise to data and back.

    Source: Song et al. 2021 (score SDE), §4.3, on Gaussian data.
    Catches: an ODE that has the SDE's marginals for one kind of data, or at one end, only.
    """
    process = kind()
    s, t = draw.draw(times(process, 2))
    m, (variances, axes) = gaussian.means[0], np.linalg.eigh(gaussian.covariances[0])

    def spread(t):
        return np.sqrt(process.alpha(t) ** 2 * np.maximum(variances, 0) + process.sigma(t) ** 2)

    def along_axes(std):
        return axes * std @ axes.T

    fine = {"method": "rk45", "rtol": hold.tolerance / 10, "atol": hold.tolerance / 10}
    for start, stop in ((t, s), (s, t)):
        stretch, centre = spread(stop) / spread(start), process.alpha(start) * m
        x = hold.cast(centre + rng.standard_normal((4, len(m))) @ along_axes(spread(start)))
        end = td.last(td.probability_flow(td.Oracle(gaussian, process), x, [start, stop], **fine))[1]
        expected = process.alpha(stop) * m + (x.astype(float) - centre) @ along_axes(stretch)
        hold(end, expected, scale=max(1, np.max(np.abs(x))) * max(1, np.max(stretch)))


BUMPS = td.GaussianMixture(
    [0.4, 0.6], [[0.0, 0.8], [1.4, 0.2]], [[[0.5, 0.1], [0.1, 0.4]], [[0.3, -0.05], [-0.05, 0.6]]]
)
"""Two of them, tilted, so that the Jacobian of the flow is nowhere diagonal."""


@identity(59, td.log_likelihood, float64=1e-4, float32=1e-4)
@pytest.mark.parametrize("kind", [*EVERY_SDE, partial(td.VP, 0.1, 4.0)])
def test_the_flow_knows_its_density(hold, kind):
    r"""$\log p_0(x_0) = \log p_T(x_T) + \int_0^T \nabla \cdot \tilde f(x_t, t)\,dt$, with $\tilde f$ the flow's drift

    The flow is a change of variables, whose log-determinant is the integral of the divergence. From $q_T$ it gives the
    exact density; from the process's own $p_T$ it loses $\mathrm{KL}(q_T \Vert p_T)$ on average, at most the mean of
    $L_T$.

    Source: Chen et al. 2018 (neural ODEs), Thm. 1; Song et al. 2021 (score SDE), App. D.
    Catches: the sign of the divergence; a trace that is off by the dimension; the prior's normalisation.
    """
    process = kind()
    oracle = td.Oracle(BUMPS, process)
    x, w = gauss_hermite(BUMPS, 5)
    x, q_T = hold.cast(x), oracle.marginal(process.t_max)
    from_q_T = td.log_likelihood(oracle, x, prior=q_T.log_density, steps=64)
    hold(from_q_T, log_density(BUMPS, x.astype(float)), scale=1)

    lost = float(w @ (from_q_T - td.log_likelihood(oracle, x, steps=64)))
    y, w_T = gauss_hermite(q_T, 20)
    std = math.hypot(process.alpha(process.t_max), process.sigma(process.t_max))
    hold(lost, w_T @ (q_T.log_density(y) - np.sum(norm.logpdf(y, scale=std), axis=1)), scale=1)
    assert lost <= w @ process.prior_gap(x) + hold.tolerance


@identity(60, flow_and_divergence, float64=1e-12, float32=2e-5)
@given(journey=journeys(1, sdes), d=st.integers(1, 4), rng=generators)
def test_probes_find_the_trace(hold, journey, d, rng):
    r"""$E\,z^\top\! J z = \operatorname{tr} J$ over signs $z \in \{\pm 1\}^d$, variance $2 \sum_{i \ne j} S_{ij}^2$

    So a divergence costs one product with a vector. $S$ is $(J + J^\top)/2$; over $N(0, I)$ its diagonal counts too,
    $2 \sum_{ij} S_{ij}^2$, so that signs are better. Here all $2^d$ are taken, and all nodes of a quadrature.

    Source: Hutchinson 1989.
    Catches: $z$ for $z^\top\! J z$; the drift's own divergence left out; a variance that is claimed to be 0.
    """
    process, (t,) = journey
    now, of_noise, x = process.at(t), hold.cast(rng.standard_normal((d, d))), hold.cast(rng.standard_normal((1, d)))
    model = td.as_denoiser(lambda x, t: x @ of_noise.T, process, dim=d, pull=lambda x, t, u: u @ of_noise, like=x[:0])
    jacobian = now.f * np.eye(d) + now.g2 / (2 * now.sigma) * of_noise.astype(float)
    s, size = (jacobian + jacobian.T) / 2, np.sum(np.abs(jacobian))
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    of_signs, of_all = 2 * np.sum((s - np.diag(np.diag(s))) ** 2), 2 * np.sum(s**2)
    for each, w, variance in (([-1, 1], [0.5, 0.5], of_signs), (nodes, weights / np.sum(weights), of_all)):
        probes = np.array([*product(each, repeat=d)])[:, None, :]
        odds = np.prod([*product(w, repeat=d)], axis=1)
        flow, squares = flow_and_divergence(model, x, now, hold.cast(probes))
        hold(flow, x.astype(float) @ jacobian.T, scale=size)
        hold(squares.astype(hold.dtype) @ hold.cast(odds), np.trace(jacobian), scale=size)
        hold(hold.cast((squares - np.trace(jacobian)).astype(float) ** 2 @ odds), variance, scale=size**2)
