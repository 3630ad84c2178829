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


def half_log_snr(level):
    """ℓ = ln α/σ, DPM-Solver's λ, from α and σ alone."""
    return math.log(level.alpha / level.sigma)


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("triple", TRIPLES, ids=str)
class TestStep:
    """One step from now to then, with the evaluation before it at `before`."""

    def test_a_constant_prediction_is_integrated_exactly(self, process, triple, rng):
        """With x̂_0 = x_0 throughout, α_t x_0 + σ_t ε goes to α_s x_0 + σ_s ε."""
        before, now, then = map(process.at, triple)
        x0, eps = rng.standard_normal((2, 4, 3))
        step = dpm_solver_2m_step(now.perturb(x0, eps), x0, x0, before, now, then)
        np.testing.assert_allclose(step, then.perturb(x0, eps), rtol=1e-11, atol=1e-12)

    def test_without_an_evaluation_before_it_is_ddim(self, process, triple, rng):
        _, now, then = map(process.at, triple)
        x, x0 = rng.standard_normal((2, 4, 3))
        expected = td.ddim_step(x, x0, now, then, 0 * x)
        np.testing.assert_allclose(dpm_solver_2m_step(x, x0, None, None, now, then), expected, rtol=1e-10, atol=1e-11)

    def test_of_a_prediction_linear_in_half_log_snr_it_leaves_out_h_cubed(self, process, triple, rng):
        """x̂_0 = a + bℓ: by parts ∫ e^{ℓ − ℓ_s} x̂_0 dℓ = (a + b(ℓ_s − 1)) − e^{−h} (a + b(ℓ_t − 1)).

        The extrapolation to the middle of the step is exact, whatever the step before; the midpoint rule leaves the
        defect b (½h (1 + e^{−h}) − (1 − e^{−h})) = b h³/12 + O(h⁴).
        """
        before, now, then = map(process.at, triple)
        x, a, b = rng.standard_normal((3, 4, 3))
        l_before, l_now, l_then = map(half_log_snr, (before, now, then))
        h = l_then - l_now
        step = dpm_solver_2m_step(x, a + b * l_now, a + b * l_before, before, now, then)
        integral = (a + b * (l_then - 1)) - math.exp(-h) * (a + b * (l_now - 1))
        exact = then.sigma / now.sigma * x + then.alpha * integral
        np.testing.assert_allclose(step + then.alpha * b * defect(h), exact, rtol=1e-9, atol=1e-10)

    def test_the_step_to_zero_is_the_prediction(self, process, triple, rng):
        """h = ∞, where the second order would be off by half a difference: x̂_0 itself, to the last digit."""
        before, now, _ = map(process.at, triple)
        x, x0, x0_before = rng.standard_normal((3, 4, 3))
        np.testing.assert_array_equal(dpm_solver_2m_step(x, x0, x0_before, before, now, process.at(0.0)), x0)


def defect(h):
    """½h (1 + e^{−h}) − (1 − e^{−h})."""
    return 0.5 * h * (1 + math.exp(-h)) + math.expm1(-h)


def test_the_defect_is_of_order_h_cubed():
    """What the test of the linear prediction takes for the defect falls by 8 when h halves."""
    assert defect(0.1) == pytest.approx(1e-3 / 12, rel=0.06)
    assert defect(0.1) / defect(0.05) == pytest.approx(8, rel=0.06)


def test_the_sampler_is_its_steps(rng):
    """The first has no evaluation before it, and each other one that of the step before, at its time."""
    process = td.VP()
    model, ts = td.Oracle(td.toys.ring8(), process), [1.0, 0.7, 0.5, 0.4, 0.1, 0.02]
    x = by_hand = process.prior(rng, 5, model.like)
    walk = [y for _, y in td.dpm_solver_2m(model, x, ts)]
    levels, x0_before = [process.at(t) for t in ts], None
    for i, (now, then) in enumerate(itertools.pairwise(levels)):
        x0_hat = model.x0(by_hand, now)
        if i == 0:
            by_hand = td.ddim_step(by_hand, x0_hat, now, then, 0 * x)
        else:
            by_hand = dpm_solver_2m_step(by_hand, x0_hat, x0_before, levels[i - 1], now, then)
        x0_before = x0_hat
        np.testing.assert_allclose(walk[i + 1], by_hand, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_x_over_alpha_does_not_know_the_process(process, rng):
    """At equal log-SNRs x/α is the same under all of them: x̂_0(x) is that of x/α. Here it is VE(500)'s."""
    wide, data = td.VE(sigma_max=500.0), td.toys.ring8()
    ts = [0.9, 0.7, 0.5, 0.2, 0.1, 0.02]
    by_ve = [float(wide.time(process.log_snr(t))) for t in ts]
    first = process.at(ts[0])
    y = first.sigma / first.alpha * rng.standard_normal((6, 2))
    walk = td.dpm_solver_2m(td.Oracle(data, process), first.alpha * y, ts)
    others = td.dpm_solver_2m(td.Oracle(data, wide), y, by_ve)
    for (t, x), (_, other) in zip(walk, others, strict=True):
        np.testing.assert_allclose(x / process.alpha(t), other, rtol=1e-7, atol=1e-7)


def test_levels_that_do_not_belong_together_are_refused(rng):
    """The wrong way round, of two processes, or of many times that would scale columns."""
    x, x0 = rng.standard_normal((2, 3, 3))
    now, then = td.VP().at(0.5), td.VP().at(0.4)
    with pytest.raises(ValueError, match="now comes first, and then is earlier"):
        dpm_solver_2m_step(x, x0, None, None, then, now)
    with pytest.raises(ValueError, match=r"VP\(.*Cosine\(|Cosine\(.*VP\("):
        dpm_solver_2m_step(x, x0, None, None, now, td.Cosine().at(0.4))
    with pytest.raises(ValueError, match="levels at many times must be columns"):
        dpm_solver_2m_step(x, x0, None, None, td.VP().at([0.9, 0.5, 0.3]), td.VP().at([0.8, 0.4, 0.2]))


def test_where_no_signal_is_left(rng):
    """At α = 0, ℓ = −∞: a step from there, and one with an evaluation from there, are of the first order."""
    chain = CHAIN.zero_terminal_snr()
    end, now, then = chain.at(1.0), chain.at(0.9), chain.at(0.5)
    x, x0, x0_before = rng.standard_normal((3, 4, 3))
    np.testing.assert_allclose(
        dpm_solver_2m_step(x, x0, None, None, end, then), then.sigma * x + then.alpha * x0, rtol=1e-14
    )
    np.testing.assert_array_equal(
        dpm_solver_2m_step(x, x0, x0_before, end, now, then), dpm_solver_2m_step(x, x0, None, None, now, then)
    )


def test_zero_terminal_snr_can_be_sampled(rng):
    """From α = 0 without a warning, and second order from the third step on: as good a sample as any of the ring."""
    data, chain = td.toys.ring8(), CHAIN.zero_terminal_snr()
    x = td.sample(td.Oracle(data, chain), 500, sampler=td.dpm_solver_2m, steps=50, rng=rng)
    assert np.all(np.isfinite(x))
    assert np.std(x) == pytest.approx(1, abs=0.05)
    assert np.mean(data.log_density(x) > -3) > 0.9


@pytest.mark.parametrize("process", [*PROCESSES, CHAIN.zero_terminal_snr()], ids=repr)
def test_it_lands_on_a_single_point(process, rng):
    """Where x̂_0 is always the same the solver is exact, in however few steps."""
    point = np.array([[0.5, -2.0]])
    model, x = td.Oracle(point, process), process.prior(rng, 20, np.empty((0, 2)))
    for steps in (1, 2, 5):
        ts = td.grids.default(process, steps)
        first, last = process.at(ts[0]), process.at(ts[-1])
        eps = (x - first.alpha * point) / first.sigma
        end = td.last(td.dpm_solver_2m(model, x, ts))[1]
        np.testing.assert_allclose(end, last.perturb(point, eps), rtol=1e-9, atol=1e-9)
