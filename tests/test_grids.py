"""Time grids: they fall from t_max to t_min or 0, in equal steps of t, of the log-SNR or of (σ/α)^{1/ρ}."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tinydiff.grids import karras, log_snr, log_snr_ends, uniform
from tinydiff.processes import VE, VP, Cosine, Discrete, Straight, SubVP

SDES = [VP(), VP(0.1, 40.0), SubVP(), VE(), Cosine(), Straight()]
CHAINS = [Discrete.linear(25), Discrete.cosine(100), Discrete.sigmoid(1000), Discrete.cosine(100).zero_terminal_snr()]
GRIDS = {"uniform": uniform, "log_snr": log_snr, "karras": karras, "karras, rho 3": partial(karras, rho=3.0)}

every_sde = pytest.mark.parametrize("process", SDES, ids=repr)
every_chain = pytest.mark.parametrize("process", CHAINS, ids=repr)
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
either_end = pytest.mark.parametrize("to_zero", [False, True], ids=["to t_min", "to zero"])


CLOCKS = {  # what a grid takes equal steps of, as a function of σ/α, and back
    "log_snr": (np.log, np.exp),
    "karras": (lambda ratio: ratio ** (1 / 7), lambda u: u**7),
    "karras, rho 3": (np.cbrt, lambda u: u**3),
}


@every_sde
@every_grid
@either_end
@pytest.mark.parametrize("steps", [1, 2, 9, 200])
def test_a_grid_falls_from_noise_to_data(process, grid, to_zero, steps):
    """steps + 1 times, strictly decreasing, from t_max exactly to t_min or 0 exactly. Catches a reversed grid."""
    ts = grid(process, steps, to_zero=to_zero)
    assert ts.shape == (steps + 1,)
    assert np.all(np.diff(ts) < 0)
    assert ts[0] == process.t_max
    assert ts[-1] == (0 if to_zero else process.t_min)


@every_sde
@every_grid
@pytest.mark.parametrize("steps", [2, 9, 200])
def test_a_grid_to_zero_stops_at_t_min_first(process, grid, steps):
    """It is the grid of one step less to t_min, and then 0: the last step is the reconstruction."""
    ts = grid(process, steps, to_zero=True)
    assert_allclose(ts[:-1], grid(process, steps - 1), rtol=1e-13)


@every_grid
@either_end
def test_ends_are_exact_whatever_the_rounding(grid, to_zero):
    """No time leaves [t_min, t_max], though time(log_snr(t)) misses t by an ulp, and the pinned ends are exact."""
    for t_min in np.linspace(0.001, 0.1, 50):
        process = type("Late", (VP,), {"t_min": t_min})()
        ts = grid(process, 3, to_zero=to_zero)
        inner = ts[:-1] if to_zero else ts
        assert inner[0] == process.t_max
        assert np.all((inner >= process.t_min) & (inner <= process.t_max))
        assert ts[-1] == (0 if to_zero else process.t_min)


@every_sde
def test_uniform_steps_are_equal_in_time(process):
    ts = uniform(process, 23)
    assert_allclose(np.diff(ts), (process.t_min - process.t_max) / 23, rtol=1e-12)


@every_sde
@pytest.mark.parametrize("name", CLOCKS)
def test_steps_are_equal_in_the_grids_own_clock(process, name):
    """λ = −2 ln(σ/α), or (σ/α)^{1/ρ} with ρ = 7 [EDM, §3]: all differences are (last − first)/steps."""
    ts = GRIDS[name](process, 23)
    at = CLOCKS[name][0](process.sigma(ts) / process.alpha(ts))
    assert_allclose(np.diff(at), (at[-1] - at[0]) / 23, rtol=1e-9)


@every_chain
@every_grid
@either_end
@pytest.mark.parametrize("steps", [1, 2, 9, 40, 5000])
def test_on_a_chain_times_are_steps_without_repeats(process, grid, to_zero, steps):
    """Times are n/T exactly, strictly decreasing, with the same ends; there may be fewer than steps + 1."""
    ts = grid(process, steps, to_zero=to_zero)
    assert_array_equal(ts, process.index(ts) / process.T)
    assert np.all(np.diff(ts) < 0)
    assert ts[0] == 1
    assert ts[-1] == (0 if to_zero else 1 / process.T)
    assert 2 <= len(ts) <= steps + 1
    if to_zero and steps > 1:
        assert ts[-2] == 1 / process.T


@every_chain
@either_end
def test_a_fine_uniform_grid_is_the_whole_chain(process, to_zero):
    n = np.arange(process.T, -1 if to_zero else 0, -1)
    for steps in (process.T - 1 + to_zero, 3 * process.T):
        assert_array_equal(uniform(process, steps, to_zero=to_zero), n / process.T)


@every_chain
@pytest.mark.parametrize("name", CLOCKS)
def test_on_a_chain_times_are_the_nearest_to_equal_steps(process, name):
    """Each ideal point goes to the n/T of the nearest log-SNR; with no signal at t = 1, the steps start at λ = −14."""
    n = np.arange(1, process.T + 1) / process.T
    ratio = np.exp(-0.5 * process.log_snr(n))
    forth, back = CLOCKS[name]
    ideal = back(np.linspace(forth(min(ratio[-1], np.exp(7))), forth(ratio[0]), 9))
    nearest = {n[np.argmin(np.abs(np.log(ratio / r)))] for r in ideal[1:]} | {1.0}
    assert set(GRIDS[name](process, 8)) == nearest


@every_chain
def test_on_a_chain_uniform_times_are_rounded_to_half_a_step(process):
    gap = np.abs(np.linspace(1, 1 / process.T, 9)[:, None] - uniform(process, 8))
    assert max(gap.min(0).max(), gap.min(1).max()) <= 0.5001 / process.T


@every_grid
@pytest.mark.parametrize("steps", [0, -1])
def test_a_grid_without_steps_is_refused(grid, steps):
    with pytest.raises(ValueError, match=f"steps must be at least 1; got {steps}"):
        grid(VP(), steps)


def test_karras_takes_any_positive_rho():
    """ρ < 1 is finer where there is much noise; 0 has no meaning."""
    assert np.all(np.diff(karras(VP(), 5, rho=0.5)) < 0)
    with pytest.raises(ValueError, match="rho must be positive; got 0"):
        karras(VP(), 5, rho=0)


@every_sde
def test_a_log_snr_grid_may_end_early(process):
    """At the log-SNR asked for, anywhere over the noisy end, the clean end included; 0 may follow."""
    ts = log_snr(process, 4, end=3.0)
    assert_allclose(process.log_snr(ts[-1]), 3, atol=1e-9)
    assert_allclose(np.diff(process.log_snr(ts)), (3 - process.log_snr(ts[0])) / 4, atol=1e-7)
    assert_array_equal(log_snr(process, 4, to_zero=True, end=3.0), [*log_snr(process, 3, end=3.0), 0])
    noisy, clean = log_snr_ends(process)
    assert_allclose(log_snr(process, 4, end=clean), log_snr(process, 4), rtol=1e-12)
    for end in (noisy, noisy - 1, clean + 1):
        with pytest.raises(ValueError, match="end must be a log-SNR over"):
            log_snr(process, 4, end=end)
