"""SDE and ODE: the equations of the process and of its reverse, and the methods that solve them."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.stats import norm

import tinydiff as td
from identities import mistakes
from identities.bugs import edit, only_for, scaled, without
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, sdes, times
from identities.tools import complex_step, gauss_hermite, gradient, log_density
from tinydiff.evaluation.likelihood import flow_and_divergence
from tinydiff.sampling import probability_flow, solvers
from tinydiff.sampling.dpm_solver import dpm_solver_2m_step
from tinydiff.sampling.reverse_sde import euler_maruyama_step

EVERY_SDE = [td.VP, td.SubVP, td.VE, td.Cosine, td.Straight]

RATES = {  # f and g² in closed form
    td.VP: lambda p, t: (-0.5 * p.beta(t), p.beta(t)),
    td.SubVP: lambda p, t: (-0.5 * p.beta(t), p.beta(t) * (1 - math.exp(-2 * p.integral(t)))),
    td.VE: lambda p, t: (0.0, 2 * math.log(p.sigma_max / p.sigma_min) * (p.sigma(t) ** 2 + p.sigma_min**2)),
    td.Cosine: lambda p, t: (-0.5 * math.pi * math.tan(0.5 * math.pi * t), math.pi * math.tan(0.5 * math.pi * t)),
    td.Straight: lambda p, t: (-1 / (1 - t), 2 * t / (1 - t)),
}


def g2_without_its_rate(right, self, t):
    return right(self, t) / (2 * math.log(self.sigma_max / self.sigma_min))


@identity(
    54,
    float64=1e-12,
    float32=5e-7,
    bugs=[
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
        (td.Process.f, only_for(td.VP, scaled(2))),
        (td.Process.g2, only_for(td.VE, g2_without_its_rate)),
        edit(td.VP.integral, "0.5 * (_ - __)", "(_ - __)"),
        edit(td.Process.g2, "lambda t: self.sigma(t) ** 2", "lambda t: self.sigma(t)"),
    ],
)
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


@identity(
    55,
    float64=1e-12,
    float32="complex steps are judged in double precision",
    bugs=[
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
        (td.GaussianMixture.score, scaled(1.01)),
        (td.Process.g2, only_for(td.VP, scaled(0.5))),
    ],
    about=td.GaussianMixture.diffused,
)
@given(journey=journeys(1, sdes), mixture=mixtures(), rng=generators)
def test_the_density_obeys_fokker_planck(hold, journey, mixture, rng):
    r"""$\partial_t \log q_t = -\nabla \cdot (f x) - f x \cdot s + \tfrac12 g^2 (\nabla \cdot s + \lVert s \rVert^2)$

    The drift carries the density along and thins it, the noise spreads it: so the marginals of any data change, where
    $s = \nabla \log q_t$.

    Source: Fokker 1914, Planck 1917; Song et al. 2021 (score SDE), App. D.
    Catches: $g$ for $g^2$; a dropped ½; covariances diffused by α for α².
    """
    process, (t,) = journey
    oracle = td.Oracle(mixture, process)
    q, now = oracle.marginal(t), process.at(t)
    x = q.sample(rng, 6)
    s, f, g2 = q.score(x), now.f, now.g2
    divergence = np.trace(gradient(q.score, x), axis1=1, axis2=2)
    terms = [-f * mixture.dim, -f * np.sum(x * s, axis=1), 0.5 * g2 * divergence, 0.5 * g2 * np.sum(s**2, axis=1)]
    hold(complex_step(lambda t: oracle.log_density(x, t), t), sum(terms), scale=sum(map(np.abs, terms)))


@identity(
    56,
    float64=1e-11,
    float32="complex steps are judged in double precision",
    bugs=[
        edit(euler_maruyama_step, "0.5 * _", "_"),
        edit(euler_maruyama_step, "1 + eta**2", "1 + eta"),
        edit(euler_maruyama_step, "eta * now.g2**0.5", "now.g2**0.5"),
        edit(euler_maruyama_step, "now.g2**0.5", "now.g2"),
    ],
)
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

    def drift(x):
        return x - step(x, 0)

    def divergence(f):
        return np.trace(gradient(f, x), axis1=1, axis2=2)

    s, var = q.score(x), np.mean(step(x, 1) - step(x, 0)) ** 2
    terms = [-divergence(drift), -np.sum(drift(x) * s, axis=1)]
    terms += [-0.5 * var * divergence(q.score), -0.5 * var * np.sum(s**2, axis=1)]
    size = sum(map(np.abs, terms)) + np.abs(now.f) * (q.dim + np.abs(np.sum(x * s, axis=1)))  # f x is offset by g² s
    hold(complex_step(lambda t: oracle.log_density(x, t), t), sum(terms), scale=size)


@identity(
    57,
    float64=1e-7,
    float32=4e-4,
    bugs=[
        edit(probability_flow.velocity, "2 * now.sigma", "now.sigma"),
        edit(probability_flow.velocity, "_ + __", "_ - __"),
        (td.GaussianMixture.score, scaled(1.01)),
        (td.Process.g2, only_for(td.VE, scaled(2))),
    ],
    about=td.probability_flow,
)
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


@identity(
    58,
    float64=1e-8,
    float32=5e-5,
    bugs=[
        edit(td.probability_flow, "rk45(slope, x, _, rtol, atol)", "rk45(slope, x, _, 1e-3, 1e-3)"),
        edit(probability_flow.velocity, "2 * now.sigma", "now.sigma"),
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
    ],
)
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


@identity(
    59,
    float64=1e-4,
    float32=1e-4,
    bugs=[
        edit(td.log_likelihood, "math.sqrt(_) * np.eye(_)", "np.eye(_)"),
        edit(flow_and_divergence, "f * squares + _", "_ - f * squares"),
        edit(flow_and_divergence, "half * traces(_, x, probes)", "2 * half * traces(_, x, probes)"),
        without(td.Process.prior_log_density, "math.log(self.prior_std)"),
    ],
)
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


@identity(
    60,
    float64=1e-12,
    float32=2e-5,
    bugs=[
        edit(flow_and_divergence, "traces(pull, x, probes)", "squares"),
        edit(flow_and_divergence, "lambda z: z", "lambda z: z**0"),
        edit(flow_and_divergence, "traces(pull, x, probes)", "traces(lambda z: pull(z**2), x, probes)"),
    ],
)
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


LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])


def rates(errors):
    """Powers of two by which the errors fall when the steps double."""
    return -np.diff(np.log2(errors))


def rms(x):
    return np.sqrt(np.mean(x**2))


def equal_steps(process, start, end, n):
    """n equal steps in log-SNR from one to another."""
    return process.time(np.linspace(start, end, n + 1))


@identity(
    61,
    float64=0.15,
    float32="errors of high order vanish in the rounding of single precision",
    bugs=[
        edit(td.probability_flow, "STEPS[method]", "STEPS['euler']"),
        edit(solvers.heun_step, "f(x + h * k1, s)", "f(x + h * k1, t)"),
        edit(solvers.rk4_step, "_ + 2 * k3 + k4", "_ + 3 * k3"),
        edit(dpm_solver_2m_step, "2 * r", "r"),
        edit(td.edm_heun, "model.x0(then.alpha * ahead, then)", "model.x0(now.alpha * ahead, now)"),
    ],
)
@pytest.mark.parametrize("data", [LINE, td.toys.ring8()], ids=["line", "ring8"])
@pytest.mark.parametrize(
    ("sampler", "order", "slack", "steps", "kind"),
    [
        pytest.param(partial(td.probability_flow, method="euler"), 1, 1, 25, td.VP, id="euler"),
        pytest.param(partial(td.probability_flow, method="heun"), 2, 1, 30, td.VP, id="heun"),
        pytest.param(partial(td.probability_flow, method="rk4"), 4, 1, 50, td.VP, id="rk4"),
        pytest.param(td.ddim, 1, 1, 25, td.VP, id="ddim"),
        pytest.param(td.dpm_solver_2m, 2, 2, 50, td.VP, id="dpm_solver_2m"),
        pytest.param(td.edm_heun, 2, 1, 40, td.VE, id="edm_heun"),
    ],
)
def test_every_solver_has_its_order(hold, sampler, order, slack, steps, kind, data):
    r"""$\lVert x^{(n)} - x \rVert = O(n^{-p})$: $p = 1$ for Euler, DDIM; 2 for Heun, EDM, DPM-Solver++(2M); 4 for RK4

    When the steps double, three times over, the distance from the exact flow falls by $2^p$. A wrong coefficient seldom
    shows in samples; here it lowers the order.

    Source: Hairer, Nørsett & Wanner 1993, II.1; Lu et al. 2022 (DPM-Solver++), §4; Karras et al. 2022 (EDM), §3.
    Catches: Heun's second slope at the first time; weights of RK4 that sum to 1 but are wrong; a wrong extrapolation.
    """
    process = kind()
    model, noisy = td.Oracle(data, process), float(process.log_snr(process.t_max))
    x = process.prior(np.random.default_rng(0), 20, model.like)
    grids = [equal_steps(process, noisy, 5.0, steps * 2**k) for k in range(4)]

    def slope(t, y):
        return probability_flow.velocity(model, y.reshape(x.shape), process.at(t)).ravel()

    exact = solve_ivp(slope, grids[0][[0, -1]], x.ravel(), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1].reshape(x.shape)
    errors = [rms(td.last(sampler(model, x, ts))[1] - exact) for ts in grids]
    hold(rates(errors) - order, 0, scale=slack)


@identity(
    62,
    float64=0.15,
    float32="errors of high order vanish in the rounding of single precision",
    bugs=[
        edit(td.probability_flow, "STEPS[method]", "STEPS['euler']"),
        edit(solvers.heun_step, "f(x + h * k1, s)", "f(x + h * k1, t)"),
        edit(solvers.rk4_step, "h / 6", "h / 6.01"),
    ],
)
@pytest.mark.parametrize(("method", "rate"), [("euler", 1), ("heun", 3), ("rk4", 5)])
def test_a_round_trip_flatters_even_orders(hold, method, rate):
    r"""$\lVert \Phi_{-h}(\Phi_h(x)) - x \rVert = O(h^q)$ with $q = 1, 3, 5$ for methods of order $p = 1, 2, 4$

    A step forth errs by $C h^{p+1}$ and the same step back by $C (-h)^{p+1}$, and these cancel where $p$ is even. So
    going forth and back does not measure the order of a solver.

    Source: Hairer, Lubich & Wanner 2006 (Geometric Numerical Integration), II.3, on the adjoint of a method.
    Catches: an order that is read off a round trip; a method that lost its order both ways.
    """
    process = td.VP()
    model = td.Oracle(LINE, process)
    x, errors = model.marginal(float(process.time(4.0))).sample(np.random.default_rng(0), 20), []
    for steps in (25, 50, 100, 200):
        ts = equal_steps(process, 4.0, -4.0, steps)
        forth = td.last(td.probability_flow(model, x, ts, method=method))[1]
        errors.append(rms(td.last(td.probability_flow(model, forth, ts[::-1], method=method))[1] - x))
    hold(rates(errors) - rate, 0, scale=1)


def map_of_paths(process, data, ts, eta):
    """Euler–Maruyama ends at c + c_x x_T + Σ_i c_i Δw_i: (c, c_x, c_i), from unit vectors in the place of noise."""
    unit = np.eye(len(ts) + 1)[:, :, None]
    x, increments = unit[-1], iter(unit)
    walk = td.euler_maruyama(td.Oracle(data, process), x, ts, eta=eta, noise=lambda t, s: next(increments))
    end = td.last(walk)[1][:, 0]
    return end[-2], end[-1] - end[-2], end[:-2] - end[-2]


def error_on_geometric_brownian_motion(factor, steps):
    """rms(X − X_n) at t = 1, of dX = X dw and of X_n = ∏ factor(Δw, h) on the same path: by moments, without draws."""
    z, w = np.polynomial.hermite_e.hermegauss(40)
    h = 1 / steps
    dw, w = np.sqrt(h) * z, w / np.sum(w)
    pair = np.stack([np.exp(dw - h / 2), factor(dw, h)])
    moments = (pair * w @ pair.T) ** steps  # E X², E X X_n, E X_n²: the steps are independent
    return np.sqrt(moments[0, 0] - 2 * moments[0, 1] + moments[1, 1])


@identity(
    63,
    float64=0.15,
    float32="differences of paths vanish in the rounding of single precision",
    bugs=[
        edit(euler_maruyama_step, "eta * now.g2**0.5", "1.01 * eta * now.g2**0.5"),
        edit(euler_maruyama_step, "_ * now.g2 / now.sigma", "_ * then.g2 / now.sigma"),
        edit(euler_maruyama_step, "1 + eta**2", "1 + eta"),
    ],
    about=td.euler_maruyama,
)
@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize(("kind", "start", "stop"), [(td.VP, 1.0, 0.1), (td.VE, 1.0, 0.4), (td.Cosine, 0.9, 0.1)])
def test_euler_maruyama_is_of_order_one_where_noise_is_additive(hold, kind, start, stop, eta):
    r"""$x^{(n)}$ errs by $O(1/n)$ in mean, in variance and along a path; of $dX = X\,dw$, by $O(n^{-1/2})$ along a path

    On Gaussian data every step is affine, so that unit vectors for the increments of a Brownian path give the law of
    the end (weak order) and the distance along one path (strong order) without a draw. Where the noise is multiplied
    by $X$ the strong order is ½, and Milstein's term, $\tfrac12 X (\Delta w^2 - h)$, brings it back to 1.

    Source: Kloeden & Platen 1992, §10.2–10.3 and §14.1.
    Catches: noise of the wrong size, which no number of steps mends; coefficients of one time mixed with another's.
    """
    m, var, process = 0.6, 0.4, kind()
    data = td.GaussianMixture([1.0], [[m]], [[[var]]])

    def law(t):
        return process.alpha(t) * m, process.alpha(t) ** 2 * var + process.sigma(t) ** 2

    (mean, variance), exact = law(start), law(stop)
    grids = [np.linspace(start, stop, n + 1) for n in (100, 200, 400, 800)]
    maps = [map_of_paths(process, data, ts, eta) for ts in grids]

    ends = []
    for ts, (c, c_x, c_i) in zip(grids, maps, strict=True):
        ends.append((c + c_x * mean, c_x**2 * variance + c_i**2 @ -np.diff(ts)))
    of_mean, of_variance = np.abs(np.array(ends) - exact).T
    hold(rates(of_variance), 1)
    if isinstance(process, td.VE):  # where the mean is, its drift is 0
        hold(of_mean, 0, scale=1e-11)
    else:
        hold(rates(of_mean), 1)

    apart = []
    for ts, (c, c_x, c_i), (d, d_x, d_i) in zip(grids[1:], maps[:-1], maps[1:], strict=True):
        of_noise = (np.repeat(c_i, 2) - d_i) ** 2 @ -np.diff(ts)  # a coarse increment is the sum of two fine ones
        apart.append(np.sqrt((c - d + (c_x - d_x) * mean) ** 2 + (c_x - d_x) ** 2 * variance + of_noise))
    hold(rates(apart), 1)

    euler, milstein = lambda dw, h: 1 + dw, lambda dw, h: 1 + dw + (dw**2 - h) / 2
    for factor, order in ((euler, 0.5), (milstein, 1)):
        errors = [error_on_geometric_brownian_motion(factor, n) for n in (100, 200, 400, 800)]
        hold(rates(errors) - order, 0, scale=1)
