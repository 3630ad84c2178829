"""The reverse family of SDEs and one Brownian path for many grids; its law and its orders are in test_laws."""

import itertools
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td

VP, TS = td.VP(), [0.9, 0.5, 0.45, 0.2]
ORACLE = td.Oracle(td.toys.ring8(), VP)


@pytest.mark.parametrize("noise", [None, lambda t, s: np.full((4, 2), np.nan)], ids=["none", "ignored"])
@pytest.mark.parametrize("seed", [None, 0])
def test_eta_0_is_eulers_method_for_the_flow(noise, seed, rng):
    """It draws no noise, and needs none: η = 0 is the probability-flow ODE [Song et al. 2021, 13]."""
    x = rng.standard_normal((4, 2))
    flow = td.probability_flow(ORACLE, x, TS, method="euler")
    walk = td.euler_maruyama(ORACLE, x, TS, eta=0.0, rng=seed, noise=noise)
    for (_, y), (_, expected) in zip(walk, flow, strict=True):
        assert_allclose(y, expected, rtol=1e-13, atol=1e-13)


def test_a_path_on_its_own_grid_is_the_noise_of_its_generator(rng):
    """A walk along it is the walk that the same seed gives without it: w_s − w_t = √(t − s) z."""
    x = rng.standard_normal((4, 2))
    along = td.euler_maruyama(ORACLE, x, TS, noise=td.brownian_path(1, x, TS))
    for (_, y), (_, expected) in zip(along, td.euler_maruyama(ORACLE, x, TS, rng=1), strict=True):
        assert_allclose(y, expected, rtol=1e-11)


def test_coarse_increments_are_sums_of_fine_ones():
    """w_s − w_t over 5 steps, each of 16 of the 80: one path, whatever the grid and the order of the questions."""
    fine, coarse = (td.grids.even_log_snr(VP, steps) for steps in (80, 5))
    noise = td.brownian_path(0, np.full((3, 2), 7.0), fine)
    increments = np.array(list(itertools.starmap(noise, itertools.pairwise(fine))))
    sums = increments.reshape(5, 16, 3, 2).sum(axis=1)
    for i in reversed(range(5)):
        assert_allclose(noise(coarse[i], coarse[i + 1]), sums[i], rtol=0, atol=1e-13)
    assert_array_equal(noise(fine[70], fine[3]), -noise(fine[3], fine[70]))
    assert np.all(increments != 0)


def test_a_path_knows_its_own_times_alone():
    """Any other time is a ValueError that says so, even between the last two of a grid, 1e-7 apart."""
    fine = td.grids.even_log_snr(VP, 800)
    noise = td.brownian_path(0, np.zeros((1, 1)), fine)
    noise(fine[0] - 1e-12, fine[-1] + 1e-12)
    for t, s in ((0.123, fine[-1]), (fine[0], 0.123), (0.5 * (fine[-1] + fine[-2]), fine[-1])):
        with pytest.raises(ValueError, match=r"known at 801 times; t = .* is not among them"):
            noise(t, s)
    with pytest.raises(ValueError, match="fall strictly"):
        td.brownian_path(0, np.zeros((1, 1)), fine[::-1])
    assert td.brownian_path(0, np.zeros((1, 1)), fine[:2])(*fine[:2]).shape == (1, 1)  # two times are a path


def test_a_path_keeps_float32():
    x = np.ones((3, 2), np.float32)
    walk = partial(td.euler_maruyama, ORACLE, x, TS)
    assert td.last(walk(noise=td.brownian_path(0, x, TS)))[1].dtype == np.float32
