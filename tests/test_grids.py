"""Time grids: they fall from t_max to t_min, in equal steps of t, of the log-SNR or of (σ/α)^{1/ρ}, without 0."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.grids import default, even_log_snr, even_time, karras, log_snr_ends, strided

CONTINUOUS = [td.VP(), td.VP(0.1, 40.0), td.SubVP(), td.VE(), td.Cosine(), td.Straight()]
CHAINS = [
    td.Discrete.linear(25),
    td.Discrete.cosine(100),
    td.Discrete.sigmoid(1000),
    td.Discrete.cosine(100).zero_terminal_snr(),
]
GRIDS = {
    "even_time": even_time,
    "even_log_snr": even_log_snr,
    "karras": karras,
    "karras, rho 3": partial(karras, rho=3.0),
    "default": default,
}

every_continuous = pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
every_chain = pytest.mark.parametrize("process", CHAINS, ids=repr)
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def seventh_power(u):
    return u**7


def seventh_root(u):
    return u ** (1 / 7)


def cube(u):
    return u**3


CLOCKS = {  # what a grid takes equal steps of, as a function of σ/α, and back
    "even_log_snr": (np.log, np.exp),
    "karras": (seventh_root, seventh_power),
    "karras, rho 3": (np.cbrt, cube),
}


@every_continuous
@every_grid
@pytest.mark.parametrize("steps", [1, 2, 9, 200])
def test_a_grid_falls_from_noise_to_data(process, grid, steps):
    """steps + 1 times, strictly decreasing, from t_max exactly to t_min exactly. Catches a reversed grid."""
    ts = grid(process, steps)
    assert ts.shape == (steps + 1,)
    assert np.all(np.diff(ts) < 0)
    assert (ts[0], ts[-1]) == (process.t_max, process.t_min)


@pytest.mark.parametrize("process", [*CONTINUOUS, *CHAINS], ids=repr)
@every_grid
def test_a_grid_never_holds_zero(process, grid):
    """The answer at the last time is the step to 0, and `sample` takes it."""
    assert np.all(grid(process, 2) > 0)


@pytest.mark.parametrize("process", [*CONTINUOUS, *CHAINS], ids=repr)
@every_grid
def test_a_grid_of_no_steps_is_where_sampling_starts(process, grid):
    assert_array_equal(grid(process, 0), [process.t_max])


@every_continuous
@every_grid
def test_a_coarse_grid_is_every_fourth_time_of_a_fine_one(process, grid):
    """Nested under halving, as Brownian paths and tests of order need."""
    assert_allclose(grid(process, 8), grid(process, 32)[::4], rtol=1e-9)


class Late(td.VP):
    """VP that starts at another t_min."""

    def __init__(self, t_min):
        super().__init__()
        object.__setattr__(self, "first", t_min)

    @property
    def t_min(self):
        return self.first


@every_grid
def test_ends_are_exact_whatever_the_rounding(grid):
    """No time leaves [t_min, t_max], though time(log_snr(t)) misses t by an ulp, and the pinned ends are exact."""
    for t_min in np.linspace(0.001, 0.1, 50):
        process = Late(t_min)
        ts = grid(process, 3)
        assert (ts[0], ts[-1]) == (process.t_max, process.t_min)
        assert np.all((ts >= process.t_min) & (ts <= process.t_max))


@every_continuous
def test_even_steps_are_equal_in_time(process):
    ts = even_time(process, 23)
    assert_allclose(np.diff(ts), (process.t_min - process.t_max) / 23, rtol=1e-12)


@every_continuous
@pytest.mark.parametrize("name", CLOCKS)
def test_steps_are_equal_in_the_grids_own_clock(process, name):
    """λ = −2 ln(σ/α), or (σ/α)^{1/ρ} with ρ = 7 [EDM, §3]: all differences are (last − first)/steps."""
    ts = GRIDS[name](process, 23)
    at = CLOCKS[name][0](process.sigma(ts) / process.alpha(ts))
    assert_allclose(np.diff(at), (at[-1] - at[0]) / 23, rtol=1e-9)


@every_continuous
def test_the_default_is_even_in_log_snr(process):
    assert_array_equal(default(process, 9), even_log_snr(process, 9))


# On a chain


@every_chain
@every_grid
@pytest.mark.parametrize("steps", [1, 2])
def test_on_a_chain_times_are_its_steps(process, grid, steps):
    """Times are n/T exactly, strictly decreasing, with the same ends, and as many as asked for."""
    ts = grid(process, steps)
    assert ts.shape == (steps + 1,)
    assert_array_equal(ts, process.index(ts) / process.T)
    assert np.all(np.diff(ts) < 0)
    assert (ts[0], ts[-1]) == (1, 1 / process.T)


@every_chain
def test_a_strided_grid_has_every_number_of_times_that_the_chain_has(process):
    """Up to all T of them; the default on a chain, and there alone."""
    for steps in range(process.T):
        ts = strided(process, steps)
        assert ts.shape == (steps + 1,)
        assert np.all(np.diff(process.index(ts)) < 0)
        assert_array_equal(default(process, steps), ts)
    assert_array_equal(process.index(ts), np.arange(process.T, 0, -1))


@every_chain
def test_strides_differ_by_one_step_at_most(process):
    for steps in (1, 3, 7, process.T // 3):
        strides = -np.diff(process.index(strided(process, steps)))
        assert np.ptp(strides) <= 1


@every_chain
def test_more_times_than_the_chain_has_are_refused(process):
    for grid in (strided, default, even_time):
        with pytest.raises(ValueError, match=f"has no {process.T + 1} different times on this grid"):
            grid(process, process.T)


@every_continuous
def test_only_a_chain_has_strides(process):
    with pytest.raises(ValueError, match="a strided grid is for a Discrete process; got "):
        strided(process, 4)


@pytest.mark.parametrize("name", ["even_log_snr", "karras"])
def test_a_grid_that_would_repeat_a_time_says_so(name):
    """Rather than to hold fewer than asked for: 1,000 even in log-SNR would be 497 of the T."""
    process = td.Discrete.linear(1000)
    with pytest.raises(ValueError, match="has no 1000 different times on this grid"):
        GRIDS[name](process, 999)


@every_chain
@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("steps", range(1, 10))
def test_on_a_chain_times_are_the_nearest_to_equal_steps(process, name, steps):
    """Each ideal point goes to the n/T of the nearest log-SNR; with no signal at t = 1, the steps start at λ = −14.

    Where two points have the same nearest, the grid is refused.
    """
    n = np.arange(1, process.T + 1) / process.T
    ratio = np.exp(-0.5 * process.log_snr(n))
    forth, back = CLOCKS[name]
    ideal = back(np.linspace(forth(min(ratio[-1], np.exp(7))), forth(ratio[0]), steps + 1))
    nearest = {n[np.argmin(np.abs(np.log(ratio / r)))] for r in ideal[1:]} | {1.0}
    if len(nearest) == steps + 1:
        assert set(GRIDS[name](process, steps)) == nearest
    else:
        with pytest.raises(ValueError, match=f"has no {steps + 1} different times on this grid"):
            GRIDS[name](process, steps)


@every_chain
def test_on_a_chain_even_times_are_rounded_to_half_a_step(process):
    gap = np.abs(np.linspace(1, 1 / process.T, 9) - even_time(process, 8))
    assert gap.max() <= 0.5001 / process.T


# What is refused


@every_grid
def test_a_grid_of_fewer_than_no_steps_is_refused(grid):
    with pytest.raises(ValueError, match="the number of steps, must be 0 or more; got -1"):
        grid(td.VP(), -1)


@every_grid
def test_a_process_that_was_not_called_is_named(grid):
    with pytest.raises(TypeError, match=r"td\.VP\(\)"):
        grid(td.VP, 3)


def test_karras_takes_any_positive_rho():
    """ρ < 1 is finer where there is much noise; 0 has no meaning."""
    assert np.all(np.diff(karras(td.VP(), 5, rho=0.5)) < 0)
    with pytest.raises(ValueError, match="rho must be over 0; got 0"):
        karras(td.VP(), 5, rho=0)


@every_continuous
def test_a_log_snr_grid_may_end_early(process):
    """At the log-SNR asked for, anywhere over the noisy end, the clean end included."""
    ts = even_log_snr(process, 4, end=3.0)
    assert_allclose(process.log_snr(ts[-1]), 3, atol=1e-9)
    assert_allclose(np.diff(process.log_snr(ts)), (3 - process.log_snr(ts[0])) / 4, atol=1e-7)
    noisy, clean = log_snr_ends(process)
    assert_allclose(even_log_snr(process, 4, end=clean), even_log_snr(process, 4), rtol=1e-12)
    for end in (noisy, noisy - 1, clean + 1):
        with pytest.raises(ValueError, match="end must be from"):
            even_log_snr(process, 4, end=end)
