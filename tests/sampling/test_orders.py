"""How near the solvers come at 100 evaluations, against scipy's DOP853; their orders are among the identities."""

import functools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from tinydiff.sampling.probability_flow import velocity

DATA = {"ring8": td.toys.ring8(), "grid25": td.toys.grid25(), "spiral60": td.toys.spiral60()}
SOLVERS = {
    "euler": functools.partial(td.probability_flow, method="euler"),
    "heun": functools.partial(td.probability_flow, method="heun"),
    "rk4": functools.partial(td.probability_flow, method="rk4"),
    "ddim": td.ddim,
    "dpm_solver": td.dpm_solver_2m,
    "edm": td.edm_heun,
}


def dop853(model, x, tolerance):
    """The flow from x at t_max to t_min, (B, D), by scipy's method of order 8."""

    def slope(t, y):
        return velocity(model, y.reshape(x.shape), model.process.at(t)).ravel()

    span = (model.process.t_max, model.process.t_min)
    solution = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=tolerance, atol=tolerance)
    return solution.y[:, -1].reshape(x.shape)


NEAR = {"euler": 0.02, "heun": 0.002, "rk4": 0.0005, "ddim": 0.02, "dpm_solver": 0.002}
NEAR_UNDER_VE = NEAR | {"euler": 0.1, "heun": 0.02, "edm": 0.005}
"""Median distances from DOP853: under VE time is a poor clock for the flow, and x starts 50 wide."""


@pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.Cosine(), td.VE()], ids=repr)
@pytest.mark.parametrize("data", ["ring8", "grid25", "spiral60"])
def test_accuracy_at_100_evaluations(data, process, rng):
    """From the same noise, on a log-SNR grid, at equal cost: the number of steps is 100 over evaluations for each."""
    oracle = td.Oracle(DATA[data], process)
    x = process.prior(rng, 400, oracle.like)
    exact = dop853(oracle, x, 1e-9)
    for name, near in (NEAR_UNDER_VE if isinstance(process, td.VE) else NEAR).items():
        ts = td.grids.even_log_snr(process, 100 // {"heun": 2, "edm": 2, "rk4": 4}.get(name, 1))
        model = td.Counting(oracle)
        t, end = td.last(SOLVERS[name](model, x, ts))
        assert (model.nfe, t) == (100, process.t_min)
        assert np.median(np.linalg.norm(end - exact, axis=1)) <= near, name
