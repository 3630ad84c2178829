"""Samplers with the exact denoiser, judged at length: the law of 10,000 draws, and the distance from the exact flow.

Quick kin stand in test_sample, which has 2,000 draws on a line, and test_laws, which has no draws and exact laws.
"""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from tinydiff.sampling.probability_flow import velocity
from tinydiff.testing import assert_same_law

pytestmark = pytest.mark.slow

VP, SubVP, Cosine, VE = PROCESSES = (td.VP(), td.SubVP(), td.Cosine(), td.VE())
every_toy = pytest.mark.parametrize("toy", ["ring8", "grid25", "spiral60"])

SAMPLERS = {  # (sampler, times for 500 evaluations)
    "euler_maruyama": (td.euler_maruyama, 500),
    "predictor_corrector": (td.predictor_corrector, 250),
    "ddpm": (td.ddpm, 500),
    "ddim": (partial(td.ddim, eta=1.0), 500),
    "edm_heun": (partial(td.edm_heun, churn=40.0), 250),
}
RUNS = [
    *(("ring8", sampler, process) for sampler in ("euler_maruyama", "predictor_corrector") for process in PROCESSES),
    *(("ring8", sampler, process) for sampler in ("ddpm", "edm_heun") for process in (VP, Cosine, VE)),
    ("ring8", "ddim", Cosine),
    ("grid25", "euler_maruyama", Cosine),
    ("grid25", "predictor_corrector", VP),
    ("grid25", "ddpm", SubVP),
    ("grid25", "ddim", VP),
    ("grid25", "edm_heun", VE),
    ("spiral60", "euler_maruyama", VE),
    ("spiral60", "predictor_corrector", SubVP),
    ("spiral60", "ddpm", Cosine),
]


@pytest.mark.parametrize(("toy", "sampler", "process"), RUNS, ids=lambda p: p if isinstance(p, str) else repr(p))
def test_draws_are_of_the_mixture(toy, sampler, process):
    """What walks in x/α, where VP and SubVP are one, is not tried on all four processes."""
    data, (function, steps) = getattr(td.toys, toy)(), SAMPLERS[sampler]
    x = td.sample(td.Oracle(data, process), 10_000 if toy == "ring8" else 5000, sampler=function, steps=steps, rng=1)
    assert_same_law(x, data, rng=2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_model_of_narrow_modes_fails_through_a_sampler(sampler):
    """The denoiser of modes of half the width, a fifth of the evaluations."""
    data, (function, steps) = td.toys.ring8(), SAMPLERS[sampler]
    narrow = td.GaussianMixture(data.weights, data.means, data.covariances / 4)
    x = td.sample(td.Oracle(narrow, VP), 2000, sampler=function, steps=steps // 5, rng=1)
    with pytest.raises(AssertionError, match="not of the law"):
        assert_same_law(x, data, rng=2)


SOLVERS = {  # (sampler, evaluations a step, the median distance from the exact flow, the same under VE)
    "euler": (partial(td.probability_flow, method="euler"), 1, 0.02, 0.1),
    "heun": (partial(td.probability_flow, method="heun"), 2, 0.002, 0.02),
    "rk4": (td.probability_flow, 4, 0.0005, 0.0005),
    "ddim": (td.ddim, 1, 0.02, 0.02),
    "dpm_solver": (td.dpm_solver_2m, 1, 0.002, 0.002),
    "edm": (td.edm_heun, 2, 0.005, 0.005),
}


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@every_toy
def test_solvers_come_near_the_exact_flow_in_100_evaluations(toy, process, rng):
    """From the same noise, against scipy's DOP853; under VE time is a poor clock, and x starts 50 wide."""
    oracle = td.Oracle(getattr(td.toys, toy)(), process)
    x, span = process.prior(rng, 400, oracle.like), (process.t_max, process.t_min)

    def slope(t, y):
        return velocity(oracle, y.reshape(x.shape), process.at(t)).ravel()

    exact = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=1e-9, atol=1e-9).y[:, -1].reshape(x.shape)
    for name, (sampler, evaluations, near, near_under_ve) in SOLVERS.items():
        _, end = td.last(sampler(oracle, x, td.grids.even_log_snr(process, 100 // evaluations)))
        distance = np.median(np.linalg.norm(end - exact, axis=1))
        assert distance <= (near_under_ve if process is VE else near), name
