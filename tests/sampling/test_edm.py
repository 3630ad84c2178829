"""The churn of EDM's sampler, seen through a model that answers 0; its order and law are in test_laws."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td

VE = td.VE()


def ratio(process, t):
    """u = σ/α."""
    now = process.at(t)
    return now.sigma / now.alpha


class Zero(td.Denoiser):
    """The denoiser of data that are all 0, which notes the times that it is asked for.

    Heun's method takes y from the noise level u to y v/u under it, exactly: what is left is what the noise did.
    """

    dim, like = 1, np.empty((0, 1))

    def __init__(self, process):
        self.process, self.times = process, []

    def x0(self, x, t):
        self.times.append(self.process.at(t).t)
        return 0 * x


def churned(process, ts, x=0.0, **options):
    """y = x/α along the walk of 100 rows from x, and the times that the model is asked for."""
    model = Zero(process)
    walk = td.edm_heun(model, np.full((100, 1), x), ts, rng=1, **options)
    return [y / process.at(t).alpha for t, y in walk], model.times


def noise(steps):
    """What `churned` draws, step by step."""
    return np.random.default_rng(1).standard_normal((steps, 100, 1))


@pytest.mark.parametrize("process", [VE, td.VP()], ids=repr)
@pytest.mark.parametrize(("churn", "gamma"), [(0.8, 0.2), (1.6, 0.4), (1.7, math.sqrt(2) - 1), (1e9, math.sqrt(2) - 1)])
def test_a_step_goes_back_up_by_churn_over_steps(process, churn, gamma):
    """To û = (1 + γ) u, γ = min(churn/N, √2 − 1), by noise of variance û² − u²; the model is asked there [Alg. 2]."""
    ts = [0.6, 0.5, 0.3, 0.1]
    walk, asked = churned(process, ts, churn=churn)
    us, y = [ratio(process, t) for t in ts], 0.0
    for i, z in enumerate(noise(3)):
        higher = (1 + gamma) * us[i]
        y = (y + math.sqrt(higher**2 - us[i] ** 2) * z) * us[i + 1] / higher
        assert_allclose(walk[i + 1], y, rtol=1e-9, atol=1e-12)
        assert ratio(process, asked[2 * i]) == pytest.approx(higher, rel=1e-9)
        assert asked[2 * i + 1] == ts[i + 1]


def test_the_level_never_passes_that_of_t_max():
    """The first step, from t_max, adds nothing; the next, closer to it than √2, goes back up to it."""
    top = VE.at(1.0).sigma
    ts = [1.0, *VE.time(-2 * np.log([0.9 * top, 0.5 * top]))]
    walk, asked = churned(VE, ts, churn=10.0)
    assert not np.any(walk[1])
    assert_allclose(walk[2], math.sqrt(1 - 0.9**2) * top * noise(2)[1] * 0.5, rtol=1e-9)
    assert asked[0] == 1.0
    assert asked[2] == pytest.approx(1.0, rel=1e-9)


def test_the_limits_include_their_ends():
    """A step churns if its level lies in [churn_from, churn_to]; steps outside draw no noise."""
    ts = [0.9, 0.8, 0.7, 0.6]
    us = [ratio(VE, t) for t in ts]

    def moved(**options):
        return [bool(np.any(y)) for y in churned(VE, ts, churn=1.0, **options)[0][1:]]

    assert moved() == [True, True, True]
    assert moved(churn_to=us[1]) == [False, True, True]
    assert moved(churn_to=0.999 * us[1]) == [False, False, True]
    assert moved(churn_from=us[0]) == [True, True, True]
    assert moved(churn_from=1.001 * us[0]) == [False, False, False]
    only = churned(VE, ts, churn=1.0, churn_from=us[1], churn_to=us[1])[0][2]
    assert_allclose(only, math.sqrt(1 - (4 / 5) ** 2) * noise(1)[0] * us[2], rtol=1e-9)


def test_noise_scale_scales_the_noise_alone():
    """S_noise: the level, and with it what the model is asked, stays as it was; at 0 all rows are one."""
    ts = [0.9, 0.5, 0.2]
    (plain, asked), (louder, also) = (churned(VE, ts, churn=0.5, noise_scale=scale) for scale in (1.0, 1.007))
    assert_allclose(louder[-1], 1.007 * plain[-1], rtol=1e-9, atol=1e-12)
    assert asked == also
    assert np.ptp(churned(VE, ts, x=3.0, churn=0.5, noise_scale=0.0)[0][-1]) == 0


def test_without_churn_no_noise_is_drawn():
    """Neither the generator nor the options of the churn matter."""
    assert np.ptp(churned(VE, [0.9, 0.5], x=2.0, noise_scale=9.0)[0][-1]) == 0
