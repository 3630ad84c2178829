"""UniPC and DPM-Solver++(3M) are their papers' formulas, and what they have in common with Adams and Bashforth's."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities.draws import generators
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.sampling.dpm_solver import dpm_solver_3m_step

VP, MODEL = td.VP(), td.Oracle(td.toys.ring8(), td.VP())
gaps = st.lists(st.floats(0.05, 0.9), min_size=4, max_size=6)


def walk_of(gaps):
    """Falling times, so near to one another that every answer counts."""
    return VP.time(np.cumsum([-2.0, *gaps]))


def moments(h, count):
    """∫ e^{ℓ − h} ℓ^k dℓ from 0 to h for k < count: h^{k+1} k! φ_{k+1}(−h), by their recursion."""
    found = [-math.expm1(-h)]
    for k in range(1, count):
        found.append(h**k - k * found[-1])
    return np.array(found)


def by_moments(x, seen, now, then):
    """x_s = (σ_s/σ_t) x_t + α_s Σ_j a_j x̂_0^j, with UniPC's equations Σ_j a_j (ℓ_j − ℓ_t)^k = moment k."""
    half = [(level.log_snr - now.log_snr) / 2 for level, _ in seen]
    a = np.linalg.solve(np.vander(half, increasing=True).T, moments((then.log_snr - now.log_snr) / 2, len(seen)))
    return then.sigma / now.sigma * x + then.alpha * np.tensordot(a, np.stack([x0_hat for _, x0_hat in seen]), 1)


@given(gaps=gaps, order=st.integers(1, 3), rng=generators)
def test_unipc_predicts_asks_and_corrects(gaps, order, rng):
    """Each correction has the answer at the point predicted, and the next prediction goes on from it."""
    ts, x = walk_of(gaps), rng.standard_normal((3, 2))
    levels = [VP.at(t) for t in ts]
    seen, start, found = [(levels[0], MODEL.x0(x, levels[0]))], x, list(td.unipc(MODEL, x, ts, order=order))
    for (now, then), (_, at) in zip(itertools.pairwise(levels), found[1:], strict=True):
        predicted = by_moments(start, seen, now, then)
        assert_allclose(at, predicted, rtol=1e-7, atol=1e-7)
        answer = then, MODEL.x0(predicted, then)
        start = by_moments(start, [answer, *seen], now, then)
        seen = [answer, *seen[: order - 1]]


@given(gaps=gaps, rng=generators)
def test_dpm_solver_3m_is_adams_and_bashforths_method_of_order_three(gaps, rng):
    """From the third answer on; the second step is DPM-Solver++(2M)'s, and the first DDIM's."""
    ts, x = walk_of(gaps), rng.standard_normal((3, 2))
    found = list(td.dpm_solver_3m(MODEL, x, ts))
    for (_, at), (_, by_2m) in zip(found[:3], td.dpm_solver_2m(MODEL, x, ts[:3]), strict=True):
        assert_array_equal(at, by_2m)
    answers = [(VP.at(t), MODEL.x0(at, t)) for t, at in found]
    for i in range(2, len(ts) - 1):
        step = by_moments(found[i][1], answers[i - 2 : i + 1], VP.at(ts[i]), VP.at(ts[i + 1]))
        assert_allclose(found[i + 1][1], step, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_of_a_parabola_a_step_of_3m_is_exact(degree):
    """Of x̂_0 = ℓ^degree, whatever the steps: by the integral itself."""
    levels = [VP.at(t) for t in walk_of([0.7, 0.2, 0.9])]
    half = [level.log_snr / 2 for level in levels]
    seen = [(np.full((1, 1), half[i] ** degree), levels[i]) for i in (2, 1, 0)]
    h, shifted = half[3] - half[2], [1, half[2], half[2] ** 2]
    expected = sum(math.comb(degree, k) * shifted[degree - k] * moments(h, 3)[k] for k in range(degree + 1))
    step = dpm_solver_3m_step(np.ones((1, 1)), seen, levels[3])
    assert_allclose(step, levels[3].sigma / levels[2].sigma + levels[3].alpha * expected, rtol=1e-11)


# With noise


@given(gaps=gaps, rng=generators)
def test_without_noise_the_solvers_of_the_sde_are_those_of_the_flow(gaps, rng):
    ts, x = walk_of(gaps), rng.standard_normal((3, 2))
    for of_sde, of_flow in ((td.sde_dpm_solver_2m, td.dpm_solver_2m), (td.exponential_euler, td.ddim)):
        for (_, one), (_, other) in zip(of_sde(MODEL, x, ts, eta=0.0), of_flow(MODEL, x, ts), strict=True):
            assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_the_first_order_of_the_sdes_solver_is_ddpms_step(rng):
    """So is its first step, from the same noise [Lu et al. 2022, DPM-Solver++, App. A]."""
    x = rng.standard_normal((3, 2))
    of_sde, by_ddpm = (sampler(MODEL, x, [0.8, 0.6], rng=1) for sampler in (td.sde_dpm_solver_2m, td.ddpm))
    assert_allclose(td.last(of_sde)[1], td.last(by_ddpm)[1], rtol=1e-10)


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_of_one_point_the_sdes_solver_has_its_law_in_however_few_steps(eta):
    """Where x̂_0 = m is constant, x_s ~ N(α m, σ² I): unit vectors in the place of noise give mean and deviation."""
    sampler, ts = partial(td.sde_dpm_solver_2m, eta=eta), [0.9, 0.5, 0.02]
    point, now = np.array([[0.7]]), VP.at(ts[0])
    model = td.Oracle(point, VP)

    class Units(np.random.Generator):
        """A generator whose draws are 1 in a row of their own."""

        def __init__(self):
            super().__init__(np.random.PCG64(0))
            self.rows = itertools.count(2)

        def standard_normal(self, shape, dtype):
            return np.eye(*shape, -next(self.rows))

    x = now.alpha * 0.7 + now.sigma * np.eye(4, 1)
    end = td.last(sampler(model, x, ts, rng=Units()))[1][:, 0]
    then = VP.at(ts[-1])
    assert_allclose(end[1], then.alpha * 0.7, rtol=1e-12)
    assert_allclose(np.linalg.norm(end - end[1]), then.sigma, rtol=1e-12)


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        (partial(td.unipc, order=4), "order must be one of 1, 2, 3; got 4"),
        (partial(td.sde_dpm_solver_2m, rng=0, eta=-1.0), "eta must be 0 or more; got -1"),
        (partial(td.exponential_euler, rng=0, eta=-1.0), "eta must be 0 or more; got -1"),
        (partial(td.sde_dpm_solver_2m, rng=None), "rng"),
    ],
    ids=["order", "eta", "eta of Euler's", "no rng"],
)
def test_wrong_options_are_named(sampler, says):
    with pytest.raises((TypeError, ValueError), match=says):
        list(sampler(MODEL, np.zeros((2, 2)), [0.5, 0.4]))


def test_a_chain_that_begins_without_signal_is_not_for_euler():
    chain = td.Discrete.linear(100).zero_terminal_snr()
    with pytest.raises(ValueError, match=r"no signal is left at t = 1.*sde_dpm_solver_2m"):
        list(td.exponential_euler(td.Oracle(td.toys.ring8(), chain), np.zeros((2, 2)), [1.0, 0.4], rng=0))
