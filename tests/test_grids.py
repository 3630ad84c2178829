"""Time grids: they fall from t_max to t_min, in equal steps of t, of the log-SNR or of (σ/α)^{1/ρ}, without 0."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff import testing
from tinydiff.grids import default, even_log_snr, even_time, karras, log_snr_ends, logistic, strided
from tinydiff.testing.strategies import MAKERS

CHAINS = [td.Discrete.linear(25), td.Discrete.sigmoid(1000), td.Discrete.cosine(100).zero_terminal_snr()]
GRIDS = {
    "even_time": even_time, "even_log_snr": even_log_snr, "logistic": logistic, "karras": karras, "default": default,
}  # fmt: skip

continuous = testing.processes(*MAKERS)
every_chain = pytest.mark.parametrize("process", CHAINS, ids=repr)
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@every_grid
@given(process=continuous, steps=st.integers(1, 60))
def test_a_grid_falls_from_noise_to_data(grid, process, steps):
    """steps + 1 times, from t_max exactly to t_min exactly; every fourth time of a fine grid makes the coarse one.

    Nested grids are what Brownian paths and tests of order need. With no steps there is the start alone.
    """
    assert_array_equal(grid(process, 0), [process.t_max])
    ts = grid(process, steps)
    assert ts.shape == (steps + 1,)
    assert np.all(np.diff(ts) < 0)
    assert (ts[0], ts[-1]) == (process.t_max, process.t_min)
    assert_allclose(ts, grid(process, 4 * steps)[::4], rtol=1e-9)


@given(process=continuous, steps=st.integers(1, 60))
def test_steps_are_equal_in_time_or_in_log_snr(process, steps):
    assert_allclose(np.diff(even_time(process, steps)), (process.t_min - process.t_max) / steps, rtol=1e-9)
    ts = even_log_snr(process, steps)
    lam = process.log_snr(ts)
    assert_allclose(np.diff(lam), (lam[-1] - lam[0]) / steps, rtol=1e-7)


@given(process=continuous, steps=st.integers(1, 60))
def test_a_logistic_grid_has_equal_shares_of_its_law(process, steps):
    """P(Λ ≤ λ) = ½ (1 + tanh((λ − 2)/8)) rises by as much in each step. It is the default."""
    ts = logistic(process, steps)
    below = 0.5 * (1 + np.tanh((np.clip(process.log_snr(ts), *log_snr_ends(process)) - 2) / 8))
    assert_allclose(np.diff(below), (below[-1] - below[0]) / steps, rtol=1e-7)
    assert_array_equal(default(process, steps), ts)


@given(process=continuous, steps=st.integers(1, 60), share=st.floats(0.01, 1))
def test_a_log_snr_grid_may_end_early(process, steps, share):
    """At the log-SNR asked for, anywhere over the noisy end, the clean end included."""
    noisy, clean = log_snr_ends(process)
    end = min(clean, noisy + share * (clean - noisy))
    lam = process.log_snr(even_log_snr(process, steps, end=end))
    assert_allclose(lam, np.linspace(noisy, end, steps + 1), rtol=0, atol=1e-8)
    for wrong in (noisy, noisy - 1, clean + 1):
        with pytest.raises(ValueError, match="end must be from"):
            even_log_snr(process, steps, end=wrong)


# On a chain


@every_chain
def test_a_strided_grid_has_every_number_of_times_that_the_chain_has(process):
    """Up to all T of them, and strides that differ by one step at most; the default on a chain, and there alone."""
    counts = np.unique(np.append(np.arange(10), np.geomspace(10, process.T - 1, 20).astype(int)))
    for steps in counts:
        ts = strided(process, int(steps))
        n = process.index(ts)
        assert len(n) == steps + 1
        assert_array_equal(ts, n / process.T)
        assert n[0] == process.T
        if steps:
            assert n[-1] == 1
            assert np.all(np.diff(n) < 0)
            assert np.ptp(np.diff(n)) <= 1
        assert_array_equal(default(process, int(steps)), ts)
    for grid in (strided, default, even_time):
        with pytest.raises(ValueError, match=f"has no {process.T + 1} different times on this grid"):
            grid(process, process.T)


CLOCKS = {  # what a grid takes equal steps of, as a function of σ/α, and back
    even_log_snr: (np.log, np.exp),
    karras: (lambda r: r ** (1 / 7), lambda u: u**7),
    partial(karras, rho=3.0): (np.cbrt, lambda u: u**3),
}


@every_chain
@pytest.mark.parametrize("grid", CLOCKS, ids=["log-SNR", "karras", "karras, rho 3"])
def test_on_a_chain_times_are_the_nearest_to_equal_steps(process, grid):
    """Each ideal point goes to the n/T of the nearest log-SNR; with no signal at t = 1, the steps start at λ = −14.

    Where two points have the same nearest, the grid is refused.
    """
    n = np.arange(1, process.T + 1) / process.T
    ratio = np.exp(-0.5 * process.log_snr(n))
    forth, back = CLOCKS[grid]
    for steps in range(1, 10):
        ideal = back(np.linspace(forth(min(ratio[-1], np.exp(7))), forth(ratio[0]), steps + 1))
        nearest = {n[np.argmin(np.abs(np.log(ratio / r)))] for r in ideal[1:]} | {1.0}
        if len(nearest) == steps + 1:
            assert_array_equal(grid(process, steps), sorted(nearest, reverse=True))
        else:
            with pytest.raises(ValueError, match=f"has no {steps + 1} different times on this grid"):
                grid(process, steps)


# What is refused


@every_grid
def test_a_grid_asks_for_a_process_and_a_number_of_steps(grid):
    with pytest.raises(ValueError, match="the number of steps, must be 0 or more; got -1"):
        grid(td.VP(), -1)
    with pytest.raises(TypeError, match=r"td\.VP\(\)"):
        grid(td.VP, 3)


def test_only_a_chain_has_strides():
    with pytest.raises(ValueError, match="a strided grid is for a Discrete process; got "):
        strided(td.VP(), 4)


def test_karras_takes_any_positive_rho():
    """ρ < 1 is finer where there is much noise; 0 has no meaning."""
    assert np.all(np.diff(karras(td.VP(), 5, rho=0.5)) < 0)
    with pytest.raises(ValueError, match="rho must be over 0; got 0"):
        karras(td.VP(), 5, rho=0)
