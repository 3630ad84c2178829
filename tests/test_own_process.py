"""A process of one's own: two functions in plain NumPy, and everything works with it.

Ramp, α = 1 − t² and σ = t, keeps no variance and has no closed form for its time; what it gives is judged by the exact
mixture alone. A twin of VP, written again, must give what VP gives.
"""

import math
from functools import partial

import array_api_strict as strict
import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.backend import to_numpy
from tinydiff.sampling.probability_flow import velocity


class Ramp(td.Process):
    """α = 1 − t², σ = t."""

    def alpha(self, t):
        return 1 - t**2

    def sigma(self, t):
        return t


class Twin(td.Process):
    """VP() by its two functions."""

    def alpha(self, t):
        return np.exp(-0.05 * t - 4.975 * t**2)

    def sigma(self, t):
        return np.sqrt(-np.expm1(-0.1 * t - 9.95 * t**2))


class Own(td.Process):
    """A process by two functions."""

    def __init__(self, alpha, sigma):
        self.alpha, self.sigma = alpha, sigma


class Clipped(td.Process):
    """VP-like, through np.abs, which a complex step cannot see."""

    def alpha(self, t):
        return np.exp(-5 * np.abs(t) ** 2)

    def sigma(self, t):
        return np.sqrt(-np.expm1(-10 * np.abs(t) ** 2))


class WithRates(Clipped):
    """The same with f and g² in closed form."""

    def f(self, t):
        return -10 * t

    def g2(self, t):
        return 20 * t


RING = td.toys.ring8()
PAIR = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.2 * np.eye(2), 0.1 * np.eye(2)], [0, 1])
POINTS = np.random.default_rng(2).normal(size=(12, 2))


def unknown(model, x, ts, *, rng):
    """Inpainting where nothing is known."""
    return td.inpaint(model, x, ts, known=0 * x, mask=np.array([False, False]), rng=rng)


SAMPLERS = {
    "ddpm": td.ddpm,
    "ddim": td.ddim,
    "adams_bashforth": td.adams_bashforth,
    "dpm_solver_2m": td.dpm_solver_2m,
    "edm_heun": partial(td.edm_heun, churn=5.0),
    "rk4": td.probability_flow,
    "rk45": partial(td.probability_flow, method="rk45", rtol=1e-3, atol=1e-3),
    "euler_maruyama": td.euler_maruyama,
    "predictor_corrector": td.predictor_corrector,
    "inpaint": unknown,
}


def on_strict(a):
    return strict.asarray(np.asarray(a), device=strict.Device("device1"))


def on_torch(a):
    return pytest.importorskip("torch").asarray(np.array(a))


def excess(x):
    """The mean of ln q_0 over draws, over what it is over draws of the ring itself, in nats."""
    return np.mean(RING.log_density(x)) + RING.entropy()[0]


# What follows from the two functions


def test_its_rates_are_the_derivatives():
    """f = −2t/(1 − t²), g² = 2t + 4t³/(1 − t²)."""
    t = np.linspace(0.01, 0.99, 50)
    assert_allclose(Ramp().f(t), -2 * t / (1 - t**2), rtol=1e-14)
    assert_allclose(Ramp().g2(t), 2 * t + 4 * t**3 / (1 - t**2), rtol=1e-14)


@pytest.mark.parametrize("process", [Ramp(), Own(lambda t: 1, lambda t: t)], ids=repr)
def test_its_levels_are_floats_and_float64(process):
    """Also where a function returns a whole number."""
    assert type(process.at(0.5).alpha) is type(process.at(0.5).sigma) is float
    vector = process.at([0.3, 0.6])
    for c in (vector.alpha, vector.sigma, vector.log_snr, vector.f, vector.g2):
        assert (c.shape, c.dtype) == ((2,), np.float64)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_coefficients_that_are_negative_or_not_finite_are_named(value):
    for t in (0.5, [0.5, 0.6]):
        with pytest.raises(ValueError, match=r"alpha and sigma of Own\(\) must be finite and 0 or more"):
            Own(lambda t: value + 0 * t, lambda t: t).at(t)


def test_functions_of_one_number_are_named():
    """math.exp takes no array, and every grid needs one."""
    scalar = Own(lambda t: math.exp(-5 * t**2), lambda t: math.sqrt(-math.expm1(-10 * t**2)))
    for use in (lambda p: p.at([0.5, 0.6]), lambda p: p.t_min, lambda p: p.at(0.5).f):
        with pytest.raises(ValueError, match=r"alpha.*NumPy"):
            use(scalar)


# Sampling


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_every_sampler_gives_the_twin_of_a_process_its_draws(sampler):
    twin, vp = (td.Oracle(RING, process) for process in (Twin(), td.VP()))
    found, expected = (td.sample(model, 5, sampler=sampler, steps=4, rng=0) for model in (twin, vp))
    assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("sampler", "steps"), [(td.ddpm, 100), (td.dpm_solver_2m, 40), (td.predictor_corrector, 100)], ids=["1", "2", "3"]
)
def test_samplers_end_on_data(sampler, steps):
    """Ancestral, deterministic and of an SDE: over 400 draws to .03 nats and the steps' own error."""
    assert abs(excess(td.sample(td.Oracle(RING, Ramp()), 400, sampler=sampler, steps=steps, rng=0))) < 0.2


def test_what_a_complex_step_cannot_see_is_sampled_without_derivatives_or_with_ones_own():
    """DDPM, DDIM and DPM-Solver++ ask for no rates on an even grid of times; other samplers take f(t) and g2(t)."""

    def times(process, n):
        return np.linspace(1, 0.01, n + 1)

    options = {"steps": 5, "grid": times, "rng": 0}
    for sampler in (td.ddpm, td.ddim, td.dpm_solver_2m):
        assert np.all(np.isfinite(td.sample(td.Oracle(RING, Clipped()), 5, sampler=sampler, **options)))
    with pytest.raises(ValueError, match="complex step"):
        td.sample(td.Oracle(RING, Clipped()), 5, sampler=td.euler_maruyama, **options)
    x = td.sample(td.Oracle(RING, WithRates()), 400, sampler=td.probability_flow, steps=30, rng=0)
    assert abs(excess(x)) < 0.2


# Bounds, likelihoods, guidance


def test_the_bound_of_the_oracle_is_near_the_density():
    """100 steps leave a gap of about a nat and a half, and never less than none."""
    x0 = RING.sample(0, 200)
    terms = td.elbo(td.Oracle(RING, Ramp()), x0, td.grids.even_log_snr(Ramp(), 100), rng=1)
    assert 0 < np.mean(terms.nats + RING.log_density(x0)) < 2


def test_the_likelihood_of_the_oracle_is_the_density_and_its_flow_can_be_undone():
    oracle, x = td.Oracle(RING, Ramp()), RING.sample(0, 5)
    assert_allclose(td.log_likelihood(oracle, x, steps=80), RING.log_density(x), atol=5e-3)
    assert_allclose(td.decode(oracle, td.encode(oracle, x)), x, atol=1e-3)


def test_guidance_of_either_kind_is_one():
    """w without a classifier is 1 + w with the exact one."""
    model = td.Oracle(PAIR, Ramp())
    free = td.ClassifierFreeGuidance(model.given(1), model, 1.5)
    pushed = td.ClassifierGuidance(model, model.grad_log_p(1), 2.5)
    one, other = (td.sample(guided, 6, steps=10, rng=0) for guided in (free, pushed))
    assert_allclose(one, other, atol=1e-7)


# Learning


@pytest.mark.parametrize("weight", ["simple", "vlb", "min_snr", "x0"])
@pytest.mark.parametrize("times", ["uniform", "log_snr", "logistic"])
def test_a_network_trains_on_it(weight, times):
    network = td.TimeMLP(2, 8, 1)
    states = list(td.train(network, Ramp(), RING, steps=2, batch=32, weight=weight, times=times, rng=0))
    assert np.isfinite(states[-1].loss)
    assert not np.array_equal(states[0].theta, states[-1].theta)


def test_fit_learns_it_in_single_precision():
    """Samples come nearer to the data than noise, and every sampler keeps the network's float32."""
    model = td.fit(PAIR, Ramp(), network=td.TimeMLP(2, 16, 1), rng=0, steps=100, batch=64, progress=False)
    assert td.same_process(model.process, Ramp())
    x, noise = td.sample(model, 200, steps=20, rng=1), np.random.default_rng(2).standard_normal((200, 2))
    assert np.mean(PAIR.log_density(x)) > np.mean(PAIR.log_density(noise)) + 3
    for sampler in SAMPLERS.values():
        assert td.sample(model, 4, sampler=sampler, steps=3, rng=0).dtype == np.float32


# Other libraries


@pytest.mark.parametrize("asarray", [on_strict, on_torch])
def test_other_libraries_get_numpys_numbers(asarray):
    """α and σ are asked for on the host alone, so that plain NumPy serves every library."""
    ts, rows = td.grids.even_log_snr(Ramp(), 3), np.array([0.1, 0.3, 0.5, 0.7, 0.9])

    def results(to):
        model, x = td.Oracle(to(POINTS), Ramp()), to(POINTS[:5] / 2)
        now = Ramp().at(rows, like=x)
        for name in set(SAMPLERS) - {"rk45"}:
            yield td.sample(model, 5, sampler=SAMPLERS[name], steps=3, rng=0)
        yield td.elbo(model, x, ts, rng=1).nats
        yield td.log_likelihood(model, x, steps=3)
        yield velocity(model, x, now)
        yield now.velocity(x, x)
        yield td.score(model, x, rows)
        like, network = to(np.empty(0, np.float64)), td.TimeMLP(2, 8, 1)
        yield td.last(td.train(network, Ramp(), POINTS, steps=3, batch=16, rng=0, like=like)).theta

    for here, there in zip(results(np.asarray), results(asarray), strict=True):
        assert type(there) is type(asarray(POINTS))
        assert_allclose(to_numpy(there), here, rtol=1e-8, atol=1e-8)
