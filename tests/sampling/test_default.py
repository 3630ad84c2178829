"""What `sample` draws unless told otherwise cannot be told from the truth, where the denoiser is exact.

Three tests ask 5,000 draws, of 50 evaluations, on each of five toys: the energy distance to true draws, by permutation;
the mean log-density against minus the entropy; the counts of the modes. By Holm's rule the law is rejected at 1 % where
the smallest of the three p-values is below a third of that.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

import tinydiff as td

N, LEVEL = 5000, 0.01
TOYS = ("ring8", "grid25", "moons32", "pinwheel40", "spiral60")


def along_lines(x, y):
    """The energy distance of samples in the plane of equal size n, as a function of the sign of each point, +1 of x.

    E‖X − Y‖ is π/2 times the mean over directions u of E|u·(X − Y)|, and on a line the energy distance is
    2 ∫ (F − G)² ds: with the points in order, a sum of squares of running sums of signs.
    """
    angles = np.pi * np.arange(16) / 16
    lines = np.stack([np.cos(angles), np.sin(angles)]).T @ np.concatenate([x, y]).T  # (16, 2n)
    order = np.argsort(lines, axis=1)
    gaps = np.diff(np.take_along_axis(lines, order, axis=1), axis=1)

    def distance(signs):
        apart = np.cumsum(signs[order], axis=1)[:, :-1] / len(x)  # F − G between the points
        return np.pi / 2 * np.mean(2 * np.sum(gaps * apart**2, axis=1))

    return distance


def p_values(data, x, rng, permutations=399):
    """Of the three tests of the draws x (n, 2)."""
    signs = np.repeat([1.0, -1.0], len(x))
    distance = along_lines(x, data.sample(rng, len(x)))
    further = sum(distance(rng.permutation(signs)) >= distance(signs) for _ in range(permutations))
    log_q, (entropy, error) = data.log_density(x), data.entropy(rng, n=200_000)
    z = (np.mean(log_q) + entropy) / np.hypot(np.std(log_q) / np.sqrt(len(x)), error)
    return {
        "energy distance": (1 + further) / (1 + permutations),
        "mean log-density": 2 * norm.sf(abs(z)),
        "counts of the modes": td.mode_coverage(data, x, rng=rng).p_value,
    }


def rejected(toy, seed, **options):
    """The p-values of draws for the toy, where Holm rejects their law; else nothing."""
    data = td.toys.TOYS[toy]()
    x = td.sample(td.Oracle(data, td.VP()), N, rng=seed, **options)
    found = p_values(data, x, np.random.default_rng(seed + 1))
    return found if min(found.values()) < LEVEL / len(found) else {}


@pytest.mark.parametrize("toy", TOYS)
def test_the_default_draws_from_the_law_of_the_data(toy):
    assert not rejected(toy, seed=0)


@pytest.mark.slow
def test_the_default_is_rejected_no_more_often_than_true_draws_would_be():
    """Of 50 at 1 % each, four or more are with a probability of .002."""
    found = [(toy, seed) for toy in TOYS for seed in range(10, 30, 2) if rejected(toy, seed)]
    assert len(found) < 4, found


def test_a_first_order_is_told_from_the_truth():
    """DDIM in as many equal steps of log-SNR, the mean log-density of whose draws is a tenth of a nat too low."""
    found = rejected("spiral60", seed=0, sampler=td.ddim, grid=td.grids.even_log_snr)
    assert found["mean log-density"] < 1e-6


def test_the_energy_distance_along_lines_is_that_in_the_plane(rng):
    x, y = rng.standard_normal((2, 60, 2)) * [[[1.0]], [[2.0]]]
    signs = np.repeat([1.0, -1.0], 60)
    assert_allclose(along_lines(x, y)(signs), td.energy_distance(x, y), rtol=0.01)
