"""DDPM and DDIM, step by step and end to end, against the exact mixture."""

import itertools
from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import chisquare

import tinydiff as td
from tinydiff.sampling.probability_flow import velocity

CHAIN = td.Discrete.linear(1000)
PROCESSES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), CHAIN)
PAIRS = [(0.999, 0.998), (0.5, 0.2), (0.05, 0.001)]

every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)


def draws(rng, n=4, dim=3):
    return rng.standard_normal((3, n, dim))


# One step with given noise


@every_process
@pytest.mark.parametrize(("t", "s"), PAIRS)
def test_a_ddpm_step_is_the_posterior_with_the_estimate_for_the_data(process, t, s, rng):
    """x_s = c_t x_t + c_0 x̂_0 + √β̃ z [DDPM, Alg. 2]."""
    x, x0, z = draws(rng)
    now, then = process.at(t), process.at(s)
    c_t, c_0, var = td.posterior(now, then)
    np.testing.assert_allclose(td.ddpm_step(x, x0, now, then, z), c_t * x + c_0 * x0 + var**0.5 * z, rtol=1e-13)


@every_process
@pytest.mark.parametrize(("t", "s"), PAIRS)
def test_beta_takes_the_transition_variance(process, t, s, rng):
    """The noise has variance v = σ_t² − a²σ_s², and β̃ = v σ_s²/σ_t² [DDPM §3.2]."""
    x, x0, _ = draws(rng)
    now, then = process.at(t), process.at(s)

    def size(variance):
        return np.subtract(*(td.ddpm_step(x, x0, now, then, z, variance) for z in (np.ones_like(x), 0 * x)))

    v = now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2
    np.testing.assert_allclose(size("beta") ** 2, v, rtol=1e-6)
    np.testing.assert_allclose(size("beta_tilde") ** 2, v * (then.sigma / now.sigma) ** 2, rtol=1e-6)


@every_process
@pytest.mark.parametrize(("t", "s"), PAIRS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_ddim_step_is_the_papers(process, t, s, eta, rng):
    """x_s = α_s x̂_0 + √(σ_s² − d²) ε̂ + d z with d = η √β̃ [DDIM 12, 16]."""
    x, x0, z = draws(rng)
    now, then = process.at(t), process.at(s)
    d = eta * td.posterior(now, then)[2] ** 0.5
    eps = (x - now.alpha * x0) / now.sigma
    expected = then.alpha * x0 + (then.sigma**2 - d**2) ** 0.5 * eps + d * z
    np.testing.assert_allclose(td.ddim_step(x, x0, now, then, z, eta), expected, rtol=1e-12, atol=1e-12)


@every_process
@pytest.mark.parametrize(
    "step",
    [
        partial(td.ddpm_step, variance="beta"),
        partial(td.ddpm_step, variance="beta_tilde"),
        partial(td.ddim_step, eta=0.0),
        partial(td.ddim_step, eta=1.0),
    ],
    ids=["ddpm, β", "ddpm, β̃", "ddim", "ddim, η = 1"],
)
def test_the_step_to_zero_is_the_estimate(process, step, rng):
    """z = 0 at the last step [DDPM, Alg. 2]: x_0 = x̂_0 whatever z, for either variance and any η."""
    x, x0, z = draws(rng)
    for t in (0.001, 0.5):
        np.testing.assert_allclose(step(x, x0, process.at(t), process.at(0.0), z), x0, rtol=1e-14)


@every_process
def test_a_step_takes_levels_of_columns(process, rng):
    """A pair of times for each row."""
    x, x0, z = draws(rng, n=3)
    t, s = np.transpose(PAIRS)
    for step in (td.ddpm_step, partial(td.ddpm_step, variance="beta"), partial(td.ddim_step, eta=0.5)):
        rows = step(x, x0, process.at(t, like=x), process.at(s, like=x), z)
        for i, (later, earlier) in enumerate(PAIRS):
            one = step(x[i], x0[i], process.at(later), process.at(earlier), z[i])
            np.testing.assert_allclose(rows[i], one, rtol=1e-12)


@pytest.mark.parametrize("step", [td.ddpm_step, td.ddim_step])
def test_levels_that_would_scale_columns_are_refused(step, rng):
    """Of three times without like, beside x (3, 3): NumPy would scale the columns of x in silence."""
    x, x0, z = draws(rng, n=3, dim=3)
    now, then = td.VP().at([0.9, 0.5, 0.3]), td.VP().at([0.8, 0.4, 0.2])
    with pytest.raises(ValueError, match="levels at many times must be columns"):
        step(x, x0, now, then, z)


def test_wrong_options_of_a_step_are_named():
    x, now, then = np.zeros((1, 2)), td.VP().at(0.5), td.VP().at(0.4)
    for eta in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=f"eta must be from 0 to 1; got {eta}"):
            td.ddim_step(x, x, now, then, x, eta=eta)
    with pytest.raises(ValueError, match="variance must be one of 'beta_tilde', 'beta'; got 'b'"):
        td.ddpm_step(x, x, now, then, x, variance="b")


@pytest.mark.parametrize("step", [td.ddpm_step, td.ddim_step])
def test_levels_the_wrong_way_round_are_refused(step):
    x, now, then = np.zeros((1, 2)), td.VP().at(0.5), td.VP().at(0.4)
    with pytest.raises(ValueError, match="now comes first, and then is earlier"):
        step(x, x, then, now, x)
    with pytest.raises(ValueError, match=r"VP\(.*Cosine\("):
        step(x, x, now, td.Cosine().at(0.4), x)


# The samplers


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
    ts = td.grids.even_log_snr(process, 100)

    def slope(t, y):
        return velocity(oracle, y.reshape(-1, 2), process.at(t)).ravel()

    span = (process.t_max, process.t_min)
    exact = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=1e-8, atol=1e-8).y[:, -1].reshape(-1, 2)

    def distance(model):
        return np.median(np.linalg.norm(td.last(td.ddim(model, x, ts))[1] - exact, axis=1))

    assert distance(oracle) <= 0.02
    assert distance(narrow) > 0.03


def test_ddpm_samples_the_mixture(rng):
    """500 steps: mean log q_0 within .08 nats of −entropy at n = 10,000, and component counts pass a χ² test.

    Modes of half the width fail the first, a missing mode the second.
    """
    data, process = td.toys.ring8(), td.VP()

    def judged(mixture, steps):
        x = td.sample(td.Oracle(mixture, process), 10_000, sampler=td.ddpm, steps=steps, rng=rng)
        nearest = np.argmin(np.sum((x[:, None, :] - data.means) ** 2, axis=2), axis=1)
        return np.mean(data.log_density(x)) + data.entropy()[0], chisquare(np.bincount(nearest, minlength=8)).pvalue

    off, p = judged(data, 500)
    assert abs(off) <= 0.08
    assert p > 1e-3
    assert abs(judged(narrowed(data), 200)[0]) > 0.3
    lost = td.GaussianMixture([0.08] + [0.92 / 7] * 7, data.means, data.covariances)
    assert judged(lost, 50)[1] < 1e-6


def test_samplers_are_their_steps_with_standard_normal_noise(rng):
    """From one seed DDIM with η = 1 walks with DDPM; with β it takes larger steps than with β̃."""
    process = td.VP()
    model, ts = td.Oracle(td.toys.ring8(), process), td.grids.even_log_snr(process, 6)
    x = process.prior(rng, 5, model.like)

    def walk(sampler, **options):
        return td.last(sampler(model, x, ts, rng=1, **options))[1]

    np.testing.assert_allclose(walk(td.ddim, eta=1.0), walk(td.ddpm), rtol=1e-7)
    noise, by_hand = np.random.default_rng(1), x
    for now, then in itertools.pairwise([process.at(t) for t in ts]):
        x0_hat = model.x0(by_hand, now)
        by_hand = td.ddpm_step(by_hand, x0_hat, now, then, noise.standard_normal(x.shape), "beta")
    np.testing.assert_allclose(walk(td.ddpm, variance="beta"), by_hand, rtol=1e-12)


def test_ddim_without_noise_needs_no_generator(rng):
    model, x = td.Oracle(td.toys.ring8(), td.VP()), rng.standard_normal((2, 2))
    np.testing.assert_array_equal(
        td.last(td.ddim(model, x, [0.5, 0.4]))[1], td.last(td.ddim(model, x, [0.5, 0.4], rng=3))[1]
    )
    with pytest.raises(ValueError, match="pass rng"):
        next(td.ddim(model, x, [0.5, 0.4], eta=0.5))


def test_zero_terminal_snr_can_be_sampled(rng):
    """At α = 0 the oracle still knows x̂_0 = E x_0."""
    process = td.Discrete.linear(100).zero_terminal_snr()
    x = td.sample(td.Oracle(td.toys.ring8(), process), 500, sampler=td.ddpm, steps=100, rng=rng)
    assert np.std(x) == pytest.approx(1, abs=0.05)
