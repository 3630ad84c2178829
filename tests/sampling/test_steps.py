"""One step of each sampler: rows with times of their own, what is refused, and the second order of DPM-Solver++."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from identities.draws import generators, journeys, processes
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.sampling.predictor_corrector import langevin_step
from tinydiff.sampling.probability_flow import velocity

VP, X = td.VP(), np.random.default_rng(0).standard_normal((3, 3))
STEPS = {  # (x, x̂_0 or ε̂, now, then, z) ↦ x_s
    "ddpm": td.ddpm_step,
    "ddpm, β": partial(td.ddpm_step, variance="beta"),
    "ddim": partial(td.ddim_step, eta=0.5),
    "dpm_solver_2m": lambda x, x0_hat, now, then, z: td.dpm_solver_2m_step(x, x0_hat, None, None, now, then),
    "euler_maruyama": partial(td.euler_maruyama_step, eta=0.5),
}
IN_ROWS = STEPS | {
    "langevin": lambda x, eps_hat, now, then, z: langevin_step(x, eps_hat, now, z, 0.16),
    "velocity": lambda x, eps_hat, now, then, z: velocity(td.Oracle(np.eye(3), now.process), x, now),
}
every_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


@pytest.mark.parametrize("step", IN_ROWS.values(), ids=IN_ROWS)
@pytest.mark.parametrize("process", [VP, td.VE()], ids=repr)
def test_each_row_may_have_its_times(process, step, rng):
    """A step of three rows from three times to three others is three steps."""
    x, answer, z = rng.standard_normal((3, 3, 3))
    ts, ss = [0.99, 0.5, 0.05], [0.98, 0.2, 0.001]
    alone = [
        step(x[[i]], answer[[i]], process.at(t), process.at(s), z[[i]])
        for i, (t, s) in enumerate(zip(ts, ss, strict=True))
    ]
    together = step(x, answer, process.at(ts, like=x), process.at(ss, like=x), z)
    assert_allclose(together, np.concatenate(alone), rtol=1e-10)


@pytest.mark.parametrize("name", ["ddpm", "ddpm, β", "ddim", "euler_maruyama", "langevin"])
def test_noise_moves_a_point_its_own_way(name, rng):
    """What z adds to a step is a positive multiple of z."""
    (x, answer, z), levels = rng.standard_normal((3, 3, 3)), (VP.at(0.5), VP.at(0.4))
    added = IN_ROWS[name](x, answer, *levels, z) - IN_ROWS[name](x, answer, *levels, 0 * z)
    assert np.min(added / z) > 0
    assert_allclose(added / z, np.mean(added / z), rtol=1e-9)


def test_ddpm_is_ddim_with_eta_1(rng):
    """The same point from the same noise [Song et al. 2021, DDIM, §4.1]."""
    (x, x0_hat, z), levels = rng.standard_normal((3, 3, 3)), (VP.at(0.5), VP.at(0.4))
    by_ddim = td.ddim_step(x, x0_hat, *levels, z, eta=1.0)
    assert_allclose(td.ddpm_step(x, x0_hat, *levels, z), by_ddim, rtol=1e-9)


@every_step
@pytest.mark.parametrize(
    ("now", "then", "says"),
    [
        (VP.at(0.4), VP.at(0.5), "now comes first, and then is earlier"),
        (VP.at(0.5), td.Cosine().at(0.4), r"VP\(.*Cosine\(|Cosine\(.*VP\("),
        (VP.at([0.9, 0.5, 0.3]), VP.at([0.8, 0.4, 0.2]), "levels at many times must be columns"),
    ],
    ids=["the wrong way round", "of two processes", "that would scale columns"],
)
def test_levels_are_refused(step, now, then, says):
    with pytest.raises(ValueError, match=says):
        step(X, X, now, then, X)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (partial(td.ddim_step, eta=1.5), "eta must be from 0 to 1; got 1.5"),
        (partial(td.ddim_step, eta=-0.1), "eta must be from 0 to 1; got -0.1"),
        (partial(td.ddpm_step, variance="b"), "variance must be one of 'beta_tilde', 'beta'; got 'b'"),
    ],
    ids=["eta", "negative eta", "variance"],
)
def test_wrong_options_of_a_step_are_named(step, says):
    with pytest.raises(ValueError, match=says):
        step(X, X, VP.at(0.5), VP.at(0.4), X)


# DPM-Solver++(2M)


@given(journey=journeys(3, processes), rng=generators)
def test_of_a_prediction_linear_in_half_log_snr_the_middle_of_a_step_is_exact(journey, rng):
    """x̂_0 = a + bℓ makes x_s = (σ_s/σ_t) x + α_s (1 − e^{−h}) (a + b (ℓ_t + ½h)), whatever the step before.

    With ℓ = ln α/σ and h = ℓ_s − ℓ_t; of the flow that leaves out α_s b h³/12 [Lu et al. 2022, DPM-Solver++, §4].
    """
    process, times = journey
    then, now, before = map(process.at, times)
    l_then, l_now, l_before = (math.log(level.alpha / level.sigma) for level in (then, now, before))
    x, a, b = rng.standard_normal((3, 4, 2))
    step = td.dpm_solver_2m_step(x, a + b * l_now, a + b * l_before, before, now, then)
    middle = a + b * 0.5 * (l_now + l_then)
    expected = then.sigma / now.sigma * x - then.alpha * math.expm1(l_now - l_then) * middle
    assert_allclose(step, expected, rtol=1e-9, atol=1e-9)


def test_a_step_to_zero_is_the_prediction():
    """There h = ∞: not half a difference more, as the second order would have it, but x̂_0 to the last digit."""
    assert_array_equal(td.dpm_solver_2m_step(X, 2 * X, 3 * X, VP.at(0.7), VP.at(0.5), VP.at(0.0)), 2 * X)


def test_a_step_after_one_from_no_signal_is_of_the_first_order():
    """At α = 0 ℓ is −∞, so that nothing is known of the slope of x̂_0 in it."""
    end, now, then = map(td.Discrete.linear(100).zero_terminal_snr().at, (1.0, 0.9, 0.5))
    first = td.dpm_solver_2m_step(X, 2 * X, None, None, now, then)
    assert_array_equal(td.dpm_solver_2m_step(X, 2 * X, 3 * X, end, now, then), first)
