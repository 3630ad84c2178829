"""Solvers: how fast the error falls when the steps are doubled, along a path and in law."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from identities.catalogue import identity
from tinydiff.sampling.probability_flow import velocity

FINE = "errors of high order vanish in the rounding of single precision"


def rates(errors):
    """Powers of two by which the errors fall when the steps double."""
    return -np.diff(np.log2(errors))


def rms(x):
    return np.sqrt(np.mean(x**2))


def equal_steps(process, start, end, n):
    """n equal steps in log-SNR from one to another."""
    return process.time(np.linspace(start, end, n + 1))


@identity(61, td.probability_flow, float64=0.15, float32=FINE)
@pytest.mark.parametrize(
    ("sampler", "order", "steps", "kind"),
    [
        pytest.param(partial(td.probability_flow, method="euler"), 1, 25, td.VP, id="euler"),
        pytest.param(partial(td.probability_flow, method="heun"), 2, 30, td.VP, id="heun"),
        pytest.param(partial(td.probability_flow, method="rk4"), 4, 50, td.VP, id="rk4"),
        pytest.param(td.ddim, 1, 25, td.VP, id="ddim"),
        pytest.param(td.dpm_solver_2m, 2, 50, td.VP, id="dpm_solver_2m"),
        pytest.param(td.dpm_solver_3m, 3, 100, td.VP, id="dpm_solver_3m"),
        pytest.param(partial(td.unipc, order=2), 3, 100, td.VP, id="unipc, 2"),
        pytest.param(td.adams_bashforth, 4, 400, td.VP, id="adams_bashforth"),
        pytest.param(td.edm_heun, 2, 40, td.VE, id="edm_heun"),
    ],
)
def test_every_solver_has_its_order(hold, sampler, order, steps, kind):
    r"""$\lVert x^{(n)} - x \rVert = O(n^{-p})$: $p = 1$ for Euler, DDIM; 2 for Heun, EDM, 2M; 3 for 3M; 4 for RK4

    When the steps double, twice over, the distance from the exact flow falls by $2^p$. A wrong coefficient seldom shows
    in samples; here it lowers the order.

    Source: Hairer, Nørsett & Wanner 1993, II.1; Lu et al. 2022 (DPM-Solver++), §4; Karras et al. 2022 (EDM), §3.
    Catches: Heun's second slope at the first time; weights of RK4 that sum to 1 but are wrong; a wrong extrapolation.
    """
    process = kind()
    model = td.Oracle(td.toys.ring8(), process)
    noisy, x = float(process.log_snr(process.t_max)), process.prior(np.random.default_rng(0), 20, model.like)
    grids = [equal_steps(process, noisy, 5.0, steps * 2**k) for k in range(3)]

    def slope(t, y):
        return velocity(model, y.reshape(x.shape), process.at(t)).ravel()

    exact = solve_ivp(slope, grids[0][[0, -1]], x.ravel(), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1].reshape(x.shape)
    hold(rates([rms(td.last(sampler(model, x, ts))[1] - exact) for ts in grids]) - order, 0, scale=1)


@identity(62, td.probability_flow, float64=0.15, float32=FINE)
@pytest.mark.parametrize(("method", "rate"), [("euler", 1), ("heun", 3), ("rk4", 5)])
def test_a_round_trip_flatters_even_orders(hold, method, rate):
    r"""$\lVert \Phi_{-h}(\Phi_h(x)) - x \rVert = O(h^q)$ with $q = 1, 3, 5$ for methods of order $p = 1, 2, 4$

    A step forth errs by $C h^{p+1}$ and the same step back by $C (-h)^{p+1}$, and these cancel where $p$ is even. So
    going forth and back does not measure the order of a solver.

    Source: Hairer, Lubich & Wanner 2006 (Geometric Numerical Integration), II.3, on the adjoint of a method.
    Catches: an order that is read off a round trip; a method that lost its order both ways.
    """
    process = td.VP()
    model = td.Oracle(td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]]), process)
    x, flow = model.marginal(float(process.time(4.0))).sample(0, 20), partial(td.probability_flow, model, method=method)

    def off(steps):
        ts = equal_steps(process, 4.0, -4.0, steps)
        there = td.last(flow(x, ts))[1]
        return rms(td.last(flow(there, ts[::-1]))[1] - x)

    hold(rates([off(steps) for steps in (25, 50, 100, 200)]) - rate, 0, scale=1)


def map_of_paths(process, data, ts, eta):
    """Euler–Maruyama ends at c + c_x x_T + Σ_i c_i Δw_i: (c, c_x, c_i), from unit vectors in the place of noise."""
    *increments, _, x = np.eye(len(ts) + 1)[:, :, None]
    noise = iter(increments)
    walk = td.euler_maruyama(td.Oracle(data, process), x, ts, eta=eta, noise=lambda t, s: next(noise))
    *end, c, end_of_x = td.last(walk)[1][:, 0]
    return c, end_of_x - c, np.array(end) - c


def error_on_geometric_brownian_motion(factor, steps):
    """rms(X − X_n) at t = 1, of dX = X dw and of X_n = ∏ factor(Δw, h) on the same path: by moments, without draws."""
    z, w = np.polynomial.hermite_e.hermegauss(40)
    h = 1 / steps
    dw, w = np.sqrt(h) * z, w / np.sum(w)
    pair = np.stack([np.exp(dw - h / 2), factor(dw, h)])
    moments = (pair * w @ pair.T) ** steps  # E X², E X X_n, E X_n²: the steps are independent
    return np.sqrt(moments[0, 0] - 2 * moments[0, 1] + moments[1, 1])


@identity(63, td.euler_maruyama, float64=0.15, float32=FINE)
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
    grids = [np.linspace(start, stop, n + 1) for n in (100, 200, 400)]
    maps = [map_of_paths(process, td.GaussianMixture([1.0], [[m]], [[[var]]]), ts, eta) for ts in grids]

    def law(t):
        return process.alpha(t) * m, process.alpha(t) ** 2 * var + process.sigma(t) ** 2

    (mean, variance), exact = law(start), law(stop)
    ends = [
        (c + c_x * mean, c_x**2 * variance + c_i**2 @ -np.diff(ts))
        for ts, (c, c_x, c_i) in zip(grids, maps, strict=True)
    ]
    of_mean, of_variance = np.abs(np.array(ends) - exact).T
    hold(rates(of_variance), 1)
    if isinstance(process, td.VE):  # where the mean is, its drift is 0
        hold(of_mean, 0, scale=1e-11)
    else:
        hold(rates(of_mean), 1)

    apart = []
    for ts, (c, c_x, c_i), (d, d_x, d_i) in zip(grids[1:], maps, maps[1:], strict=False):
        of_noise = (np.repeat(c_i, 2) - d_i) ** 2 @ -np.diff(ts)  # a coarse increment is the sum of two fine ones
        apart.append(np.sqrt((c - d + (c_x - d_x) * mean) ** 2 + (c_x - d_x) ** 2 * variance + of_noise))
    hold(rates(apart), 1)

    for factor, order in ((lambda dw, h: 1 + dw, 0.5), (lambda dw, h: 1 + dw + (dw**2 - h) / 2, 1)):  # Euler, Milstein
        errors = [error_on_geometric_brownian_motion(factor, n) for n in (100, 200, 400)]
        hold(rates(errors) - order, 0, scale=1)
