"""DPM-Solver++(2M), step by step, against the integral that it approximates [Lu et al. 2022, DPM-Solver++]."""

import itertools
import math

import numpy as np
import pytest

import tinydiff as td
from tinydiff.sampling.dpm_solver import dpm_solver_2m_step

CHAIN = td.Discrete.linear(100)
PROCESSES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), CHAIN)
TRIPLES = [(0.9, 0.7, 0.6), (0.5, 0.45, 0.2), (0.3, 0.2, 0.1), (0.06, 0.03, 0.01)]


def half_log_snr(process, t):
    """ℓ = ln α/σ, DPM-Solver's λ, from α and σ alone."""
    return math.log(process.alpha(t) / process.sigma(t))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize(("t_before", "t", "s"), TRIPLES)
class TestStep:
    """One step from t to s, with the evaluation before it at t_before."""

    def test_a_constant_prediction_is_integrated_exactly(self, process, t_before, t, s, rng):
        """With x̂_0 = x_0 throughout, α_t x_0 + σ_t ε goes to α_s x_0 + σ_s ε."""
        x0, eps = rng.standard_normal((2, 4, 3))
        x = process.perturb(x0, t, eps)
        step = dpm_solver_2m_step(process, x, x0, x0, t_before, t, s)
        np.testing.assert_allclose(step, process.perturb(x0, s, eps), rtol=1e-11, atol=1e-12)

    def test_of_a_prediction_linear_in_half_log_snr_it_leaves_out_h_cubed(self, process, t_before, t, s, rng):
        """x̂_0 = a + bℓ: by parts ∫ e^{ℓ − ℓ_s} x̂_0 dℓ = (a + b(ℓ_s − 1)) − e^{−h} (a + b(ℓ_t − 1)).

        The extrapolation to the middle of the step is exact, whatever the step before; the midpoint rule leaves the
        defect b (½h (1 + e^{−h}) − (1 − e^{−h})) = b h³/12 + O(h⁴).
        """
        x, a, b = rng.standard_normal((3, 4, 3))
        before, now, then = (half_log_snr(process, u) for u in (t_before, t, s))
        h = then - now
        step = dpm_solver_2m_step(process, x, a + b * now, a + b * before, t_before, t, s)
        integral = (a + b * (then - 1)) - math.exp(-h) * (a + b * (now - 1))
        exact = process.sigma(s) / process.sigma(t) * x + process.alpha(s) * integral
        defect = process.alpha(s) * b * (0.5 * h * (1 + math.exp(-h)) + math.expm1(-h))
        np.testing.assert_allclose(step + defect, exact, rtol=1e-9, atol=1e-10)

    def test_the_step_to_zero_is_the_prediction(self, process, t_before, t, s, rng):
        """h = ∞, where the second order would be off by half a difference: x̂_0 itself, to the last digit."""
        x, x0, x0_before = rng.standard_normal((3, 4, 3))
        np.testing.assert_array_equal(dpm_solver_2m_step(process, x, x0, x0_before, t_before, t, 0.0), x0)


def test_the_defect_is_of_order_h_cubed():
    """What the test of the linear prediction takes for the defect falls by 8 when h halves."""
    defect = lambda h: 0.5 * h * (1 + math.exp(-h)) + math.expm1(-h)  # noqa: E731
    assert defect(0.1) == pytest.approx(1e-3 / 12, rel=0.06)
    assert defect(0.1) / defect(0.05) == pytest.approx(8, rel=0.06)


def test_the_sampler_is_its_steps(rng):
    """The first has no evaluation before it, and each other one that of the step before, at its time."""
    process = td.VP()
    model, ts = td.Oracle(td.toys.ring8(), process), [1.0, 0.7, 0.5, 0.4, 0.1, 0.02, 0.0]
    x = by_hand = process.prior(rng, 5, model.like)
    walk = [y for _, y in td.dpm_solver_pp_2m(model, process, x, ts)]
    before = None
    for i, (t, s) in enumerate(itertools.pairwise(ts)):
        x0_hat = model.x0(by_hand, t)
        if i == 0:
            by_hand = td.ddim_step(process, by_hand, x0_hat, t, s, 0 * x)
        else:
            by_hand = dpm_solver_2m_step(process, by_hand, x0_hat, before, ts[i - 1], t, s)
        before = x0_hat
        np.testing.assert_allclose(walk[i + 1], by_hand, rtol=1e-10, atol=1e-11)
    np.testing.assert_array_equal(walk[-1], model.x0(walk[-2], ts[-2]))


def test_it_is_an_iterator_over_its_grid_with_one_evaluation_a_step(rng):
    process = td.VP()
    model = td.counting(td.Oracle(td.toys.ring8(), process))
    x, ts = process.prior(rng, 5, model.like), td.grids.log_snr(process, 7, to_zero=True)
    pairs = list(td.dpm_solver_pp_2m(model, process, x, ts))
    assert [t for t, _ in pairs] == ts.tolist()
    assert pairs[0][1] is x
    assert model.nfe == 7
    with pytest.raises(ValueError, match="that fall strictly"):
        next(td.dpm_solver_pp_2m(model, process, x, ts[::-1]))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_x_over_alpha_does_not_know_the_process(process, rng):
    """At equal log-SNRs x/α is the same under all of them : x̂_0(x) is that of x/α. Here it is VE(500)'s."""
    wide, data = td.VE(sigma_max=500.0), td.toys.ring8()
    ts = [0.9, 0.7, 0.5, 0.2, 0.1, 0.02, 0.0]
    by_ve = [*(float(wide.time(process.log_snr(t))) for t in ts[:-1]), 0.0]
    y = process.sigma(ts[0]) / process.alpha(ts[0]) * rng.standard_normal((6, 2))
    ends = td.dpm_solver_pp_2m(td.Oracle(data, process), process, process.alpha(ts[0]) * y, ts)
    others = td.dpm_solver_pp_2m(td.Oracle(data, wide), wide, y, by_ve)
    for (t, x), (_, other) in zip(ends, others, strict=True):
        np.testing.assert_allclose(x / process.alpha(t), other, rtol=1e-7, atol=1e-7)


def test_where_no_signal_is_left(rng):
    """At α = 0, ℓ = −∞: a step from there, and one with an evaluation from there, are of the first order."""
    chain = CHAIN.zero_terminal_snr()
    x, x0, x0_before = rng.standard_normal((3, 4, 3))
    np.testing.assert_allclose(
        dpm_solver_2m_step(chain, x, x0, None, 1.0, 1.0, 0.5), chain.sigma(0.5) * x + chain.alpha(0.5) * x0, rtol=1e-14
    )
    np.testing.assert_array_equal(
        dpm_solver_2m_step(chain, x, x0, x0_before, 1.0, 0.9, 0.5),
        dpm_solver_2m_step(chain, x, x0, None, 1.0, 0.9, 0.5),
    )


def test_zero_terminal_snr_can_be_sampled(rng):
    """From α = 0 without a warning, and second order from the third step on: as good a sample as any of the ring."""
    data, chain = td.toys.ring8(), CHAIN.zero_terminal_snr()
    model = td.Oracle(data, chain)
    x = td.sample(model, chain, 500, sampler=td.dpm_solver_pp_2m, steps=50, rng=rng)
    assert np.all(np.isfinite(x))
    assert np.std(x) == pytest.approx(1, abs=0.05)
    assert np.mean(data.log_density(x) > -3) > 0.9


@pytest.mark.parametrize("process", [*PROCESSES, CHAIN.zero_terminal_snr()], ids=repr)
def test_it_lands_on_a_single_point(process, rng):
    """Where x̂_0 is always the same the solver is exact, in however few steps: at 0, and at any time before."""
    point = np.array([[0.5, -2.0]])
    model, x = td.Oracle(point, process), process.prior(rng, 20, np.empty((0, 2)))
    for steps in (1, 2, 5):
        ts = td.grids.log_snr(process, steps, to_zero=True)
        end = td.last(td.dpm_solver_pp_2m(model, process, x, ts))[1]
        np.testing.assert_allclose(end, np.broadcast_to(point, end.shape), rtol=1e-15)
    ts = td.grids.log_snr(process, 5)
    eps = (x - process.alpha(ts[0]) * point) / process.sigma(ts[0])
    end = td.last(td.dpm_solver_pp_2m(model, process, x, ts))[1]
    np.testing.assert_allclose(end, process.perturb(point, ts[-1], eps), rtol=1e-9, atol=1e-9)
