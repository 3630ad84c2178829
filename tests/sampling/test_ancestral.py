"""DDPM and DDIM, step by step and end to end, against the exact mixture."""

import functools
import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import chisquare

import tinydiff as td

CHAIN = td.Discrete.linear(1000)
PROCESSES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), CHAIN)
PAIRS = [(0.999, 0.998), (0.5, 0.2), (0.05, 0.001)]


def draws(rng, n=4, dim=3):
    return rng.standard_normal((3, n, dim))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize(("t", "s"), PAIRS)
class TestSteps:
    """One step from t to s with given noise."""

    def test_beta_takes_the_transition_variance(self, process, t, s, rng):
        """The noise has variance v = σ_t² − a²σ_s², and β̃ = v σ_s²/σ_t² [DDPM §3.2]."""
        x, x0, _ = draws(rng)
        step = functools.partial(td.ddpm_step, process, x, x0, t, s)
        size = lambda variance: step(np.ones_like(x), variance) - step(0 * x)  # noqa: E731
        v = process.sigma(t) ** 2 - (process.alpha(t) / process.alpha(s) * process.sigma(s)) ** 2
        np.testing.assert_allclose(size("beta") ** 2, v, rtol=1e-6)
        np.testing.assert_allclose(size("beta_tilde") ** 2, v * (process.sigma(s) / process.sigma(t)) ** 2, rtol=1e-6)


def test_no_noise_in_the_step_to_zero(rng):
    """z = 0 at the last step [DDPM, Alg. 2]: x_0 = x̂_0, for either variance and any η."""
    x, x0, z = draws(rng)
    for step in (
        functools.partial(td.ddpm_step, variance="beta"),
        functools.partial(td.ddpm_step, variance="beta_tilde"),
        functools.partial(td.ddim_step, eta=1.0),
    ):
        np.testing.assert_allclose(step(td.VP(), x, x0, 0.001, 0.0, z), x0, rtol=1e-12)


def narrowed(mixture):
    """The same modes at half the width: the mutant that sample tests must catch."""
    return td.GaussianMixture(mixture.weights, mixture.means, mixture.covariances / 4, mixture.labels)


@pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.Cosine()], ids=repr)
def test_ddim_follows_the_probability_flow(process, rng):
    """From the same noise, 100 steps on a log-SNR grid end at a median distance ≤ .02 from scipy's DOP853.

    Modes of half the width end farther away.
    """
    data = td.toys.ring8()
    oracle, narrow = td.Oracle(data, process), td.Oracle(narrowed(data), process)
    x = process.prior(rng, 200, oracle.like)
    ts = td.grids.log_snr(process, 100)
    slope = lambda t, y: td.sampling.ode.drift(oracle, process, y.reshape(-1, 2), t).ravel()  # noqa: E731
    span = (process.t_max, process.t_min)
    exact = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=1e-8, atol=1e-8).y[:, -1].reshape(-1, 2)
    distance = lambda model: np.median(np.linalg.norm(td.last(td.ddim(model, process, x, ts))[1] - exact, axis=1))  # noqa: E731
    assert distance(oracle) <= 0.02
    assert distance(narrow) > 0.03


def test_ddpm_samples_the_mixture(rng):
    """500 steps: mean log q_0 within .08 nats of −entropy at n = 10,000, and component counts pass a χ² test.

    Modes of half the width fail the first, a missing mode the second.
    """
    data, process = td.toys.ring8(), td.VP()

    def judged(mixture, steps):
        x = td.sample(td.Oracle(mixture, process), process, 10_000, sampler=td.ddpm, steps=steps, rng=rng)
        nearest = np.argmin(np.sum((x[:, None, :] - data.means) ** 2, axis=2), axis=1)
        return np.mean(data.log_density(x)) + data.entropy()[0], chisquare(np.bincount(nearest, minlength=8)).pvalue

    off, p = judged(data, 500)
    assert abs(off) <= 0.08
    assert p > 1e-3
    assert abs(judged(narrowed(data), 200)[0]) > 0.3
    lost = td.GaussianMixture([0.08] + [0.92 / 7] * 7, data.means, data.covariances)
    assert judged(lost, 50)[1] < 1e-6


def test_a_sampler_is_an_iterator_over_its_grid(rng):
    """It starts with what it is given, yields (t, x) at each time, and evaluates once a step."""
    process = td.VP()
    model = td.counting(td.Oracle(td.toys.ring8(), process))
    x, ts = process.prior(rng, 5, model.like), td.grids.log_snr(process, 7, to_zero=True)
    for sampler in (td.ddpm, td.ddim):
        model.nfe = 0
        pairs = list(sampler(model, process, x, ts, rng=rng))
        assert [t for t, _ in pairs] == ts.tolist()
        assert pairs[0][1] is x
        assert model.nfe == 7


def test_samplers_are_their_steps_with_standard_normal_noise(rng):
    """From one seed DDIM with η = 1 walks with DDPM; with β it takes larger steps than with β̃."""
    process = td.VP()
    model, ts = td.Oracle(td.toys.ring8(), process), td.grids.log_snr(process, 6)
    x = process.prior(rng, 5, model.like)
    walk = lambda sampler, **knobs: td.last(sampler(model, process, x, ts, rng=np.random.default_rng(1), **knobs))[1]  # noqa: E731
    np.testing.assert_allclose(walk(td.ddim, eta=1.0), walk(td.ddpm), rtol=1e-7)
    noise, by_hand = np.random.default_rng(1), x
    for t, s in itertools.pairwise(ts):
        by_hand = td.ddpm_step(process, by_hand, model.x0(by_hand, t), t, s, noise.standard_normal(x.shape), "beta")
    np.testing.assert_allclose(walk(td.ddpm, variance="beta"), by_hand, rtol=1e-12)


def test_sampling_ends_on_the_data_where_the_sampler_can():
    """Of a single point every draw is that point: at t = 0 with DDPM and DDIM, σ(t_min)-near with the flow."""
    process, point = td.VP(), np.array([[0.5, -2.0]])
    model = td.Oracle(point, process)
    for sampler, tolerance in ((td.ddpm, 1e-9), (td.ddim, 1e-9), (td.probability_flow, 1e-2)):
        x = td.sample(model, process, 20, sampler=sampler, steps=20, rng=np.random.default_rng(0))
        off = np.max(np.abs(x - point))
        assert off < tolerance
        assert off > 0 or sampler is not td.probability_flow


def test_the_seed_decides(rng):
    process = td.VP()
    model = td.Oracle(td.toys.ring8(), process)
    for knobs in ({"sampler": td.ddpm}, {"sampler": td.ddim, "eta": 0.5}):
        first, again, other = (
            td.sample(model, process, 4, steps=5, rng=np.random.default_rng(seed), **knobs) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)


def test_sampling_from_a_far_prior_warns(rng):
    """Unscaled β at T = 50 leaves ᾱ_T = .60."""
    process = td.Discrete.linear(50, rescale=False)
    model = td.Oracle(td.toys.ring8(), process)
    with pytest.warns(UserWarning, match="nats per dimension from its prior"):
        td.sample(model, process, 3, rng=rng)


def test_zero_terminal_snr_can_be_sampled(rng):
    """At α = 0 the oracle still knows x̂_0 = E x_0."""
    process = td.Discrete.linear(100).zero_terminal_snr()
    x = td.sample(td.Oracle(td.toys.ring8(), process), process, 500, sampler=td.ddpm, steps=100, rng=rng)
    assert np.std(x) == pytest.approx(1, abs=0.05)


def test_wrong_knobs_are_named(rng):
    x, process = np.zeros((1, 2)), td.VP()
    model = td.Oracle(td.toys.ring8(), process)
    with pytest.raises(ValueError, match="eta must lie in"):
        td.ddim_step(process, x, x, 0.5, 0.4, x, eta=1.5)
    with pytest.raises(ValueError, match="variance must be 'beta_tilde' or 'beta'; got 'b'"):
        td.ddpm_step(process, x, x, 0.5, 0.4, x, variance="b")
    with pytest.raises(ValueError, match="pass rng"):
        next(td.ddim(model, process, x, [0.5, 0.4], eta=0.5))
    for ts in ([0.4, 0.5], [0.5], [1.5, 0.5], [0.5, 0.5]):
        with pytest.raises(ValueError, match="ts must hold two or more times"):
            next(td.ddim(model, process, x, ts))
    with pytest.raises(ValueError, match="n must be at least 1"):
        td.sample(model, process, 0, rng=rng)


def test_a_gap_per_dimension_of_less_than_a_hundredth_is_silent(rng):
    """One draw is a sample, and .006 nats per dimension, .012 in the plane, are no reason to warn."""
    oracle = td.Oracle(td.toys.ring8(), td.VP(0.1, 8.8))
    assert 0.005 < oracle.process.prior_gap(np.ones((1, 1))).item() < 0.01
    assert td.sample(oracle, oracle.process, 1, steps=2, rng=rng).shape == (1, 2)


def test_the_warning_of_a_far_prior_names_the_callers_line(rng):
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    with pytest.warns(UserWarning, match="nats per dimension") as caught:
        td.sample(oracle, td.VP(0.1, 5.0), 1, steps=2, rng=rng)
    assert caught[0].filename == __file__


def test_a_gap_of_a_hundredth_is_not_over_it(rng):
    """The warning is for more than .01 nats per dimension."""

    class AtTheEdge(td.VP):
        def prior_gap(self, x0):
            return np.full(len(x0), 0.01)

    td.sample(td.Oracle(td.toys.ring8(), td.VP()), AtTheEdge(), 1, steps=2, rng=rng)
