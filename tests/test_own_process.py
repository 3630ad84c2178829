"""A process of one's own: two functions in plain NumPy, and everything works with it.

Ramp, α = 1 − t² and σ = t, keeps no variance and has no closed form for its time; what it gives is judged by the exact
mixture alone. A twin of VP, written again, must give what VP gives.
"""

import copy
import math
import pickle
from functools import partial

import array_api_strict as strict
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

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


class SongsVE(td.Process):
    """Song et al.'s own: α = 1, σ = .01 · 5000^t, which is not 0 at t = 0."""

    def alpha(self, t):
        return 1

    def sigma(self, t):
        return 0.01 * 5000**t


class Steep(td.Process):
    """All of the noise in a tenth of the time: α² and σ² are logistic functions of 40 (t − ½)."""

    def alpha(self, t):
        return np.sqrt(0.5 * (1 - np.tanh(20 * (t - 0.5))))

    def sigma(self, t):
        return np.sqrt(0.5 * (1 + np.tanh(20 * (t - 0.5))))


class Late(td.Process):
    """α² = exp(−10 t⁸): nothing happens for half of the time."""

    def alpha(self, t):
        return np.exp(-5 * t**8)

    def sigma(self, t):
        return np.sqrt(-np.expm1(-10 * t**8))


RING = td.toys.ring8()
EVERY = [Ramp(), Twin(), SongsVE(), Steep(), Late()]
every_process = pytest.mark.parametrize("process", EVERY, ids=repr)


def unknown(model, x, ts, *, rng):
    """Inpainting where nothing is known."""
    return td.inpaint(model, x, ts, known=0 * x, mask=np.array([False, False]), rng=rng)


SAMPLERS = {  # (sampler, steps enough for it)
    "ddpm": (td.ddpm, 200),
    "ddim": (td.ddim, 60),
    "ddim, η = .5": (partial(td.ddim, eta=0.5), 100),
    "dpm_solver_2m": (td.dpm_solver_2m, 40),
    "edm_heun": (partial(td.edm_heun, churn=5.0), 60),
    "probability_flow": (td.probability_flow, 40),
    "rk45": (partial(td.probability_flow, method="rk45"), 2),
    "euler_maruyama": (td.euler_maruyama, 300),
    "predictor_corrector": (td.predictor_corrector, 150),
    "inpaint": (unknown, 200),
}
every_sampler = pytest.mark.parametrize(("sampler", "steps"), SAMPLERS.values(), ids=SAMPLERS)


# What follows from the two functions


def test_its_rates_are_the_derivatives():
    """f = −2t/(1 − t²), g² = 2t + 4t³/(1 − t²)."""
    t = np.linspace(0.01, 0.99, 50)
    assert_allclose(Ramp().f(t), -2 * t / (1 - t**2), rtol=1e-14)
    assert_allclose(Ramp().g2(t), 2 * t + 4 * t**3 / (1 - t**2), rtol=1e-14)


@every_process
def test_its_time_is_the_inverse_of_its_log_snr(process):
    """From the noisiest λ to that of t_min, to 1e-10."""
    lam = np.linspace(float(process.log_snr(process.t_max)), float(process.log_snr(process.t_min)), 199)
    assert_allclose(process.log_snr(process.time(lam)), lam, rtol=0, atol=1e-10)


@every_process
def test_it_starts_and_ends_where_log_snr_is_fourteen_or_it_has_no_more(process):
    assert 0 <= process.t_min < process.t_max <= 1
    assert process.log_snr(process.t_min) == pytest.approx(min(14, float(process.log_snr(0.0))), abs=1e-9)
    assert process.log_snr(process.t_max) == pytest.approx(max(-14, float(process.log_snr(1.0))), abs=1e-9)


@every_process
def test_its_levels_are_floats_and_float64(process):
    """Also where a function returns a whole number."""
    assert type(process.at(0.5).alpha) is type(process.at(0.5).sigma) is float
    vector = process.at([0.3, 0.6])
    for c in (vector.alpha, vector.sigma, vector.log_snr, vector.f, vector.g2):
        assert (c.shape, c.dtype) == ((2,), np.float64)


@every_process
def test_it_pickles_and_copies(process):
    for twin in (pickle.loads(pickle.dumps(process)), copy.deepcopy(process), type(process)()):
        assert td.same_process(process, twin)
        assert process.at(twin.at(0.5)).t == 0.5


def test_a_process_whose_noise_falls_is_refused():
    class Backwards(td.Process):
        def alpha(self, t):
            return t

        def sigma(self, t):
            return 1 - t

    with pytest.raises(ValueError, match=r"log-SNR of Backwards\(\) must fall"):
        _ = Backwards().t_min


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_coefficients_that_are_negative_or_not_finite_are_named(value):
    class Odd(td.VP):
        def alpha(self, t):
            return value + 0 * t

    for t in (0.5, [0.5, 0.6]):
        with pytest.raises(ValueError, match=r"alpha and sigma of .*Odd\(.* must be finite and 0 or more"):
            Odd().at(t)


def test_functions_of_one_number_are_named():
    """math.exp takes no array, and every grid needs one."""

    class Scalar(td.Process):
        def alpha(self, t):
            return math.exp(-5 * t**2)

        def sigma(self, t):
            return math.sqrt(-math.expm1(-10 * t**2))

    for use in (lambda p: p.at([0.5, 0.6]), lambda p: p.t_min, lambda p: p.at(0.5).f):
        with pytest.raises(ValueError, match=r"alpha.*NumPy"):
            use(Scalar())


# Sampling


@every_sampler
def test_every_sampler_ends_on_data(sampler, steps):
    """The mean of ln q_0 over 1,000 draws is the truth's, −entropy, to .03 nats and the steps' own error."""
    x = td.sample(td.Oracle(RING, Ramp()), 1000, sampler=sampler, steps=steps, rng=0)
    assert abs(np.mean(RING.log_density(x)) + RING.entropy()[0]) < 0.13


@every_sampler
def test_the_twin_of_a_process_gives_its_draws(sampler, steps):
    twin, vp = (td.Oracle(RING, process) for process in (Twin(), td.VP()))
    found, expected = (td.sample(model, 20, sampler=sampler, steps=10, rng=0) for model in (twin, vp))
    assert_allclose(found, expected, rtol=0, atol=1e-8)


@every_process
def test_every_process_of_ones_own_is_sampled(process):
    x = td.sample(td.Oracle(RING, process), 500, sampler=td.dpm_solver_2m, rng=0)
    assert abs(np.mean(RING.log_density(x)) + RING.entropy()[0]) < 0.15


@pytest.mark.parametrize("grid", [td.grids.even_time, td.grids.even_log_snr, td.grids.karras], ids=lambda f: f.__name__)
@every_process
def test_every_grid_takes_it(grid, process):
    ts = grid(process, 20)
    assert len(ts) == 21
    assert np.all(np.diff(ts) < 0)
    assert (ts[0], ts[-1]) == (process.t_max, process.t_min)


# Bounds, likelihoods, guidance


def test_the_oracle_answers_with_both_noise_and_data(rng):
    """x = α x̂_0 + σ ε̂, and ∂ε̂/∂x by complex step."""
    oracle, (x, u, d) = td.Oracle(RING, Ramp()), rng.standard_normal((3, 5, 2))
    for t in (0.02, 0.5, np.array([0.02, 0.2, 0.5, 0.8, 0.99])):
        now = Ramp().at(t, like=x)
        assert_allclose(now.perturb(oracle.x0(x, now), oracle(x, now)), x, atol=1e-12)
        forward = np.imag(oracle(x + 1e-30j * d, now)) / 1e-30
        assert_allclose(np.sum(oracle.linearize(x, now)[1](u) * d, 1), np.sum(u * forward, 1), rtol=1e-9, atol=1e-9)


def test_the_bound_of_the_oracle_is_near_the_entropy():
    """200 steps leave a gap of about half a nat, and never less than none."""
    x0 = RING.sample(0, 1000)
    terms = td.elbo(td.Oracle(RING, Ramp()), x0, td.grids.even_log_snr(Ramp(), 200), rng=1)
    assert 0 < np.mean(terms.nats + RING.log_density(x0)) < 1


def test_the_likelihood_of_the_oracle_is_the_density():
    x = RING.sample(0, 20)
    assert_allclose(td.log_likelihood(td.Oracle(RING, Ramp()), x, steps=200), RING.log_density(x), atol=5e-3)


def test_encoding_and_decoding_undo_each_other():
    oracle, x = td.Oracle(RING, Ramp()), RING.sample(0, 20)
    assert_allclose(td.decode(oracle, td.encode(oracle, x)), x, atol=1e-3)


def test_guidance_of_either_kind_is_one(rng):
    """w without a classifier is 1 + w with the exact one."""
    data = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.2 * np.eye(2), 0.1 * np.eye(2)], [0, 1])
    model = td.Oracle(data, Ramp())
    free = td.ClassifierFreeGuidance(model.given(1), model, 1.5)
    pushed = td.ClassifierGuidance(model, model.grad_log_p(1), 2.5)
    one, other = (td.sample(guided, 6, steps=10, rng=0) for guided in (free, pushed))
    assert_allclose(one, other, atol=1e-7)


# Learning


@pytest.mark.parametrize("weight", ["simple", "vlb", "min_snr", "x0"])
@pytest.mark.parametrize("times", ["uniform", "log_snr", "logistic"])
def test_a_network_trains_on_it(weight, times):
    network = td.TimeMLP(2, 8, 1)
    states = list(td.train(network, Ramp(), RING, steps=3, batch=32, weight=weight, times=times, rng=0))
    assert all(np.isfinite(state.loss) for state in states)
    assert not np.array_equal(states[0].theta, states[-1].theta)


def test_fit_learns_it():
    """The loss falls, and samples come nearer to the data than noise."""
    model = td.fit(RING, Ramp(), network=td.TimeMLP(2, 32, 2), rng=0, steps=150, batch=256, progress=False)
    assert model.process == Ramp() or td.same_process(model.process, Ramp())
    x = td.sample(model, 500, rng=1)
    noise = np.random.default_rng(2).standard_normal((500, 2))
    assert np.mean(RING.log_density(x)) > np.mean(RING.log_density(noise)) + 2


def test_a_network_of_the_twin_is_a_network_of_its_process(rng):
    network = td.TimeMLP(2, 8, 2)
    theta = 0.3 * rng.standard_normal(network.size)
    twin, vp = (td.NetworkDenoiser(network, theta, process) for process in (Twin(), td.VP()))
    x, t = rng.standard_normal((5, 2)), rng.uniform(0.1, 0.9, 5)
    assert_allclose(twin(x, t), vp(x, t), rtol=1e-10)
    assert td.ClassifierFreeGuidance(twin, vp, 1.0).dim == 2


# Other libraries


def on_strict(a):
    return strict.asarray(np.asarray(a), device=strict.Device("device1"))


def on_torch(a):
    return pytest.importorskip("torch").asarray(np.array(a))


on_other_backends = pytest.mark.parametrize("asarray", [on_strict, on_torch])
POINTS = np.random.default_rng(2).normal(size=(12, 2))


@on_other_backends
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_gives_numpys_numbers_on_another_library(asarray, name):
    """α and σ are asked for on the host alone, so that plain NumPy serves every library."""
    sampler, _ = SAMPLERS[name]
    ends = [
        td.sample(td.Oracle(to(POINTS), Ramp()), 5, sampler=sampler, steps=6, rng=0) for to in (np.asarray, asarray)
    ]
    assert type(ends[1]) is type(asarray(POINTS))
    assert_allclose(to_numpy(ends[1]), ends[0], rtol=1e-9, atol=1e-9)


@on_other_backends
def test_bounds_and_velocities_give_numpys_numbers_on_another_library(asarray):
    x, ts = np.random.default_rng(0).standard_normal((5, 2)), td.grids.even_log_snr(Ramp(), 6)
    rows = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    found = []
    for to in (np.asarray, asarray):
        model = td.Oracle(to(POINTS), Ramp())
        now = Ramp().at(rows, like=to(x))
        found.append(
            [
                td.elbo(model, to(x), ts, rng=1).nats,
                td.log_likelihood(model, to(x), steps=6),
                velocity(model, to(x), now),
                now.velocity(to(x), to(x)),
                td.score(model, to(x), rows),
            ]
        )
    for here, there in zip(*found, strict=True):
        assert type(there) is type(asarray(x))
        assert_allclose(to_numpy(there), here, rtol=1e-8, atol=1e-8)


@on_other_backends
def test_a_network_trains_on_another_library(asarray):
    like = asarray(np.empty(0, np.float64))
    network = td.TimeMLP(2, 8, 1)
    here, there = (
        td.last(td.train(network, Ramp(), POINTS, steps=3, batch=16, rng=0, like=kind)) for kind in (np.empty(0), like)
    )
    assert type(there.theta) is type(like)
    assert_allclose(to_numpy(there.theta), here.theta, rtol=1e-9, atol=1e-12)


def test_a_sample_of_float32_stays_float32():
    network = td.TimeMLP(2, 8, 1)
    model = td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), Ramp())
    for sampler, _ in SAMPLERS.values():
        assert td.sample(model, 4, sampler=sampler, steps=4, rng=0).dtype == np.float32


def test_a_subclass_may_override_a_rate_in_closed_form():
    class WithRates(Ramp):
        def f(self, t):
            return -2 * t / (1 - t**2)

        def g2(self, t):
            return 2 * t + 4 * t**3 / (1 - t**2)

    for t in (0.3, [0.3, 0.6]):
        now, derived = WithRates().at(t), Ramp().at(t)
        assert_allclose([now.f, now.g2], [derived.f, derived.g2], rtol=1e-13)
    ends = [
        td.sample(td.Oracle(RING, p), 5, sampler=td.probability_flow, steps=6, rng=0) for p in (WithRates(), Ramp())
    ]
    assert_allclose(*ends, atol=1e-9)


def test_a_process_that_a_complex_step_cannot_see_works_where_it_gives_its_rates():
    """As the error for such a process says: define f(t) and g2(t) of it too."""

    class Interpolated(td.Process):
        def alpha(self, t):
            return np.exp(-5 * np.abs(t) ** 2)

        def sigma(self, t):
            return np.sqrt(-np.expm1(-10 * np.abs(t) ** 2))

        def f(self, t):
            return -10 * t

        def g2(self, t):
            return 20 * t

    x = td.sample(td.Oracle(RING, Interpolated()), 500, sampler=td.probability_flow, steps=40, rng=0)
    assert abs(np.mean(RING.log_density(x)) + RING.entropy()[0]) < 0.15


def test_samplers_that_need_alpha_and_sigma_alone_take_what_a_complex_step_cannot_see():
    """DDPM, DDIM and DPM-Solver++ on an even grid of times ask for no derivative."""

    class Seen(td.Process):
        def alpha(self, t):
            return np.exp(-5 * np.abs(t) ** 2)

        def sigma(self, t):
            return np.sqrt(-np.expm1(-10 * np.abs(t) ** 2))

    def times(process, n):
        return np.linspace(1, 0.01, n + 1)

    for sampler in (td.ddpm, td.ddim, td.dpm_solver_2m):
        drawn = td.sample(td.Oracle(RING, Seen()), 5, sampler=sampler, steps=5, grid=times, rng=0)
        assert np.all(np.isfinite(drawn))
    with pytest.raises(ValueError, match="complex step"):
        td.sample(td.Oracle(RING, Seen()), 5, sampler=td.euler_maruyama, steps=5, grid=times, rng=0)


def test_its_repr_is_in_what_errors_say():
    with pytest.raises(ValueError, match=r"Ramp\(\).*VP\("):
        td.ClassifierFreeGuidance(td.Oracle(RING, Ramp()), td.Oracle(RING, td.VP()), 1.0)


def test_equal_levels_of_two_instances_are_taken():
    one, other = Ramp(), Ramp()
    assert_array_equal(one.at(other.at([0.3, 0.6])).alpha, one.at([0.3, 0.6]).alpha)
