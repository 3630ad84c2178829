"""How fast the solvers converge, and how near they come at 100 evaluations, against scipy's DOP853."""

import functools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from tinydiff.sampling import ode

LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])
DATA = {"line": LINE, "ring8": td.toys.ring8(), "grid25": td.toys.grid25(), "spiral60": td.toys.spiral60()}
SOLVERS = {
    "euler": functools.partial(td.probability_flow, method="euler"),
    "heun": functools.partial(td.probability_flow, method="heun"),
    "rk4": functools.partial(td.probability_flow, method="rk4"),
    "ddim": td.ddim,
    "dpm_solver": td.dpm_solver_pp_2m,
    "edm": td.edm_heun,
}


def dop853(model, process, x, end, tolerance):
    """The flow from x at t_max to `end`, (B, D), by scipy's method of order 8."""
    slope = lambda t, y: ode.drift(model, process, y.reshape(x.shape), t).ravel()  # noqa: E731
    span = (process.t_max, end)
    solution = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=tolerance, atol=tolerance)
    return solution.y[:, -1].reshape(x.shape)


@functools.cache
def start_and_end(data, process, log_snr):
    """Twenty draws of noise, and where the flow brings them: at the log-SNR given."""
    model, end = td.Oracle(DATA[data], process), float(process.time(log_snr))
    x = process.prior(np.random.default_rng(0), 20, model.like)
    return x, dop853(model, process, x, end, 1e-12)


def equal_steps(process, log_snr, n):
    """n equal steps in log-SNR, from t_max to the log-SNR given: all methods end at the same s > 0."""
    ts = process.time(np.linspace(process.log_snr(process.t_max), log_snr, n + 1))
    ts[0] = process.t_max
    return ts


def distances(solver, data, process, log_snr, steps):
    """The root mean square distance from DOP853 for each number of steps."""
    model, (x, exact) = td.Oracle(DATA[data], process), start_and_end(data, process, log_snr)
    ends = (td.last(solver(model, process, x, equal_steps(process, log_snr, n)))[1] for n in steps)
    return np.array([np.sqrt(np.mean((end - exact) ** 2)) for end in ends])


@pytest.mark.parametrize("data", ["line", "ring8"])
@pytest.mark.parametrize(
    ("name", "order", "within", "steps", "process"),
    [
        ("euler", 1, 0.15, 50, td.VP()),
        ("heun", 2, 0.15, 40, td.VP()),
        ("rk4", 4, 0.15, 40, td.VP()),
        ("ddim", 1, 0.15, 50, td.VP()),
        ("dpm_solver", 2, 0.3, 50, td.VP()),
        ("edm", 2, 0.15, 40, td.VE()),
    ],
)
def test_orders(name, order, within, steps, process, data):
    """When the steps double, three times over, the error falls by 2^order [DPM-Solver++; EDM]."""
    errors = distances(SOLVERS[name], data, process, 5.0, [steps * 2**k for k in range(4)])
    slopes = -np.diff(np.log2(errors))
    assert np.all(np.abs(slopes - order) <= within), slopes


NEAR = {"euler": 0.02, "heun": 0.002, "rk4": 0.0005, "ddim": 0.02, "dpm_solver": 0.002}
NEAR_UNDER_VE = NEAR | {"euler": 0.1, "heun": 0.02, "edm": 0.005}
"""Median distances from DOP853: under VE time is a poor clock for the flow, and x starts 50 wide."""


@pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.Cosine(), td.VE()], ids=repr)
@pytest.mark.parametrize("data", ["ring8", "grid25", "spiral60"])
def test_accuracy_at_100_evaluations(data, process, rng):
    """From the same noise, on a log-SNR grid, at equal cost: the number of steps is 100 over evaluations for each."""
    model = td.counting(td.Oracle(DATA[data], process))
    x = process.prior(rng, 400, model.like)
    exact = dop853(model, process, x, process.t_min, 1e-9)
    for name, near in (NEAR_UNDER_VE if isinstance(process, td.VE) else NEAR).items():
        model.nfe = 0
        ts = td.grids.log_snr(process, 100 // {"heun": 2, "edm": 2, "rk4": 4}.get(name, 1))
        t, end = td.last(SOLVERS[name](model, process, x, ts))
        assert (model.nfe, t) == (100, process.t_min)
        assert np.median(np.linalg.norm(end - exact, axis=1)) <= near, name
