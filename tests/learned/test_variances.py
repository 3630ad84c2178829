"""Learned variances: the gradient of their loss, what they converge to, and what the bound gains by each choice."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from identities.draws import generators
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.backend import normal_like
from tinydiff.evaluation.elbo import log_normal, normal_kl
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.targets import batch_means
from tinydiff.learned.variances import hybrid, log_ends, variance_loss

STEP = 1e-30
TS = np.array([0.9, 0.6, 0.3, 0.1])
PROCESSES = (td.VP(), td.VE(), td.Discrete.cosine(10))
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
NETWORK = td.VarianceMLP(2, 6, 1, classes=2, prediction="edm", sigma_data=0.7)


def untrained(process, rng):
    return td.VarianceDenoiser(NETWORK, 0.4 * rng.standard_normal(NETWORK.size), process)


def steps_of(process, i, like):
    """Levels at the i-th times of the grid, and at the next, the data after the last."""
    return process.at(TS[i], like=like), process.at(np.append(TS, 0.0)[i + 1], like=like)


def ends(now, then):
    """β̃ and β of a step; the reconstruction's σ²/α² and e times less where it leads to the data."""
    beta, beta_tilde, last = td.transition(now, then)[1], td.posterior(now, then)[2], (now.sigma / now.alpha) ** 2
    data = then.sigma == 0
    return np.where(data, last / math.e, beta_tilde), np.where(data, last, beta)


# The loss


@every_process
@given(rng=generators)
def test_the_gradient_is_that_of_the_hybrid_loss_with_the_mean_held_fixed_in_the_bound(process, rng):
    """By complex step along a random direction of θ, of the paper's L_simple + λ L_vlb written out.

    L_vlb is N times the mean over the draws, L_{t−1} the KL of N(0, β̃) from N(c_0 (x_0 − x̂_0), β^κ β̃^(1 − κ)).
    """
    lam, i, (x0, eps) = 0.3, np.array([0, 1, 2, 3, 3, 1]), rng.standard_normal((2, 6, 2))
    theta, a, labels = (
        0.4 * rng.standard_normal(NETWORK.size),
        rng.standard_normal(NETWORK.size),
        rng.integers(-1, 2, 6),
    )
    now, then = steps_of(process, i, x0)
    x, (beta_tilde, beta) = now.perturb(x0, eps), ends(now, then)
    x0_hat = td.VarianceDenoiser(NETWORK, theta, process, labels).x0(x, now)
    mean_x0, mean_eps = batch_means(now, x0, eps, labels)
    _, c_0, exact = td.posterior(now, then)
    skip, out = td.predictions.to_eps("edm", now, 0.7)

    def of(theta):
        y = NETWORK(theta, *network_inputs(x, now, 0.7), labels)[0]
        eps_hat, kappa = skip * x + out * y[:, :2], y[:, 2:]
        var = beta**kappa * beta_tilde ** (1 - kappa)
        kl = 0.5 * ((exact + c_0**2 * (x0 - x0_hat) ** 2) / var - 1 + np.log(var / beta_tilde))
        return np.mean((now.snr + 1) * (eps_hat - mean_eps) ** 2 + lam * len(TS) * kl)

    def weight(now):
        return now.snr + 1

    loss, grad = hybrid(TS, lam)(NETWORK, theta, now, x0, eps, labels, weight)
    assert_allclose(mean_x0 * now.alpha + mean_eps * now.sigma, x, atol=1e-10)
    assert_allclose(loss, of(theta), rtol=1e-11)
    size = np.linalg.norm(grad) * np.linalg.norm(a)
    assert_allclose(grad @ a, np.imag(of(theta + 1j * STEP * a)) / STEP, rtol=1e-10, atol=1e-12 * size)


@every_process
def test_the_terms_are_the_bounds_and_least_where_the_variance_is_the_mean_of_q(process, rng):
    """Σ_d L_{t−1} is the KL of `elbo`; over draws of x_0 given x_t its slope is 0 at var = β̃ + c_0² E(x_0 − x̂_0)²."""
    x0, x0_hat, kappa = rng.standard_normal((3, 5, 2))
    for i in range(3):
        now, then = (process.at(t) for t in (TS[i], TS[i + 1]))
        terms, _ = variance_loss(kappa, x0 - x0_hat, now, then)
        (beta_tilde, beta), c_0 = ends(now, then), td.posterior(now, then)[1]
        var = beta**kappa * beta_tilde ** (1 - kappa)
        assert_allclose(np.sum(terms, axis=1), normal_kl(c_0 * x0, float(beta_tilde), c_0 * x0_hat, var), rtol=1e-10)
        low, ratio = log_ends(now, then)
        q = beta_tilde + c_0**2 * np.mean((x0 - x0_hat) ** 2, axis=0)
        best = (np.log(q) - low) / ratio + 0 * x0
        assert_allclose(np.mean(variance_loss(best, x0 - x0_hat, now, then)[1], axis=0), 0, atol=1e-12 * float(ratio))


# The denoiser


@every_process
def test_the_mean_and_its_derivative_are_those_of_the_first_half(process, rng):
    """The outputs are F and κ; ln var lies at κ between ln β̃ and ln β. Labels and rows reach both."""
    model, x, labels = untrained(process, rng), rng.standard_normal((4, 2)), np.array([0, 1, -1, 1])
    now, then = steps_of(process, np.array([0, 1, 2, 3]), x)
    y = NETWORK(model.theta, *network_inputs(x, now, 0.7), labels)[0]
    given = model.given(labels)
    a, b = td.predictions.to_x0("edm", now, 0.7)
    assert_allclose(given.x0(x, now), a * x + b * y[:, :2], rtol=1e-12)
    beta_tilde, beta = ends(now, then)
    assert_allclose(given.variance(x, now, then), beta ** y[:, 2:] * beta_tilde ** (1 - y[:, 2:]), rtol=1e-10)
    for t, s in zip(TS, [*TS[1:], 0.0], strict=True):  # times and numbers of the host, too
        rows = now.t == t
        found = model.given(labels[rows]).variance(x[rows], t, s)
        assert_allclose(found, given.variance(x, now, then)[rows], rtol=1e-10)
    for f, linearize in ((given, given.linearize), (given.x0, given.linearize_x0)):
        value, pull = linearize(x, now)
        u = rng.standard_normal((4, 2))
        assert_allclose(value, f(x, now), rtol=1e-12)
        exact = [np.sum(u * np.imag(f(x + 1j * STEP * e, now)) / STEP, axis=1) for e in np.eye(2)]
        assert_allclose(pull(u), np.stack(exact, axis=1), rtol=1e-9, atol=1e-11)


def test_ancestral_steps_take_the_variance(rng):
    """x_s = c_t x + c_0 x̂_0 + √var z, coordinate by coordinate, with the generator's z."""
    model, x = untrained(td.VP(), rng), rng.standard_normal((5, 2))
    z = np.random.default_rng(7)
    walk = td.ddpm(model, x, TS, rng=7, variance=model.variance)
    next(walk)
    for (now, then), (_, found) in zip(pairwise(map(td.VP().at, TS)), walk, strict=True):
        c_t, c_0, _ = td.posterior(now, then)
        noise = model.variance(x, now, then) ** 0.5 * normal_like(z, x)
        x = c_t * x + c_0 * model.x0(x, now) + noise
        assert_allclose(found, x, rtol=1e-12)


# The bound


@every_process
def test_a_function_that_says_one_number_gives_the_bound_of_that_number(process, rng):
    """Both decoders, and on paths; variances of single coordinates add up."""
    model, x0 = untrained(process, rng), -1 + 2 * rng.integers(0, 256, (6, 2)) / 255
    ts, values = TS[:3], [0.02, 0.05, 0.3]
    by_time = dict(zip(ts, values, strict=True))

    def variance(x, now, then):
        assert then.t == dict(zip(ts, [*ts[1:], 0.0], strict=True))[now.t]
        return by_time[now.t] + 0 * x

    for decoder in ("gaussian", "bins"):
        bounds = [td.elbo(model, x0, ts, 3, variance=each, decoder=decoder) for each in (values, variance)]
        for one, other in zip(*bounds, strict=True):
            assert_allclose(one, other, rtol=1e-12)
    path = td.forward_path(process, x0, ts, 3)
    ratios = [td.path_log_ratio(model, path, ts, variance=each) for each in (values, variance)]
    assert_allclose(*ratios, rtol=1e-12)
    mean, other, var = rng.standard_normal((2, 4, 3)), rng.standard_normal((4, 3)), rng.uniform(0.1, 3, (4, 3))
    for f, of_one in (
        (lambda i, v: normal_kl(mean[0][:, i], 0.1, other[:, i], v), normal_kl(mean[0], 0.1, other, var)),
        (lambda i, v: log_normal(mean[1][:, i], other[:, i], v), log_normal(mean[1], other, var)),
    ):
        rows = [[f(np.array([i]), float(var[row, i]))[row] for row in range(4)] for i in range(3)]
        assert_allclose(np.sum(rows, axis=0), of_one, rtol=1e-12)


@pytest.mark.parametrize("ratio", [1e-9, 1 + 1e-9, 1e9])
def test_the_kl_of_far_and_of_near_variances_keeps_its_digits(ratio):
    """½ (1/r − 1 + ln r) for other_var = r var, as `normal_kl` of numbers has it, where r is not far below 1."""
    zero, var = np.zeros((1, 1)), 0.3
    tolerance = 1e-6 if ratio < 1 else 1e-12
    found = normal_kl(zero, var, zero, np.array([[ratio * var]]))
    assert_allclose(found, normal_kl(zero, var, zero, ratio * var), rtol=tolerance, atol=1e-22)


@every_process
@pytest.mark.parametrize("named", ["beta_tilde", "beta"])
def test_the_best_variances_gain_what_the_theory_says(process, named, rng):
    """Σ_t D/2 (r − 1 − ln r), r = the best over those used: L_{t−1}(var) = D/2 (best/var − 1 + ln var/β̃).

    For any x̂_0, on the draws on which the best are found.
    """
    model, x0 = untrained(process, rng), td.toys.moons32().sample(rng, 30)
    best = td.optimal_variances(model, x0, TS, 1)
    levels = [process.at(t) for t in TS]
    rule = {"beta_tilde": lambda *pair: td.posterior(*pair)[2], "beta": lambda *pair: td.transition(*pair)[1]}[named]
    r = best / [*(rule(*pair) for pair in pairwise(levels)), (levels[-1].sigma / levels[-1].alpha) ** 2]
    bounds = [td.elbo(model, x0, TS, 1, variance=each) for each in (named, best)]
    gains = [np.mean(np.concatenate([b.diffusion, b.reconstruction[:, None]], axis=1), axis=0) for b in bounds]
    assert_allclose(gains[0] - gains[1], r - 1 - np.log(r), rtol=1e-9, atol=1e-11 * np.max(r))


# What is learned


def small(data, ts, process, **options):
    """A small network, trained for a second or two."""
    network = td.VarianceMLP(data.dim, 16, 2)
    options = {"steps": 400, "batch": 256, "lam": 0.1} | options
    return td.fit_variances(data, ts, process, network=network, rng=0, progress=False, **options)


@pytest.mark.parametrize(("s", "within"), [(0.3, 0.06), (1.0, 0.06)])
def test_on_a_gaussian_the_learned_variances_are_the_optimal_ones(s, within, rng):
    """Of N(0, s² I) the covariance of x_0 given x_t is the same everywhere: β̃ + c_0² s² σ²/(α² s² + σ²)."""
    data, process = td.GaussianMixture([1.0], [[0.0, 0.0]], [s**2 * np.eye(2)]), td.VP()
    ts = td.grids.even_log_snr(process, 5)
    model, x0 = small(data, ts, process), data.sample(rng, 2000)
    levels = [process.at(t) for t in [*ts, 0.0]]
    exact = []
    for now, then in pairwise(levels):
        _, c_0, beta_tilde = td.posterior(now, then)
        exact.append(beta_tilde + c_0**2 * s**2 * now.sigma**2 / (now.alpha**2 * s**2 + now.sigma**2))
    assert_allclose(td.optimal_variances(td.Oracle(data, process), x0, ts, 1), exact, rtol=0.1)
    for (now, then), var in zip(pairwise(levels), exact, strict=True):
        x = now.perturb(x0, rng.standard_normal(x0.shape))
        assert_allclose(np.mean(np.log(model.variance(x, now, then) / var)), 0, atol=within)


@pytest.mark.slow
@pytest.mark.parametrize("toy", ["ring8", "spiral60"])
def test_the_bound_of_learned_variances_is_below_that_of_the_best_for_each_time(toy):
    """By what knowing x adds: a tenth of a nat or more in ten steps, on one noise."""
    data, process = td.toys.TOYS[toy](), td.VP()
    ts = td.grids.even_log_snr(process, 9)
    model = td.fit_variances(data, ts, process, rng=0, steps=400, batch=512, progress=False)
    best = td.optimal_variances(model, data.sample(1, 20_000), ts, 2)
    x0 = data.sample(3, 4000)
    by_time, learned = (td.elbo(model, x0, ts, 4, variance=each).nats for each in (best, model.variance))
    gain = by_time - learned
    assert np.mean(gain) > 0.1 + 4 * np.std(gain) / np.sqrt(len(gain))


def test_labels_are_learned_and_other_libraries_and_dtypes_come_back():
    data, ts = td.toys.moons32(), [0.8, 0.4]
    network = td.VarianceMLP(2, 4, 1, classes=2)
    model = td.fit_variances(data, ts, network=network, steps=2, batch=16, rng=0, progress=True)
    x = np.ones((3, 2), np.float32)
    assert model.given([0, 1, -1]).variance(x, 0.8, 0.4).dtype == np.float32
    assert isinstance(model.given(1), td.VarianceDenoiser)


MODEL = td.VarianceDenoiser(td.VarianceMLP(2, 4, 1), np.zeros(td.VarianceMLP(2, 4, 1).size), td.VP())
X, RING = np.ones((3, 2)), td.toys.ring8()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: td.fit_variances(X, [0.5, 0.1], network=td.TimeMLP(2), rng=0), "network must be a VarianceMLP; got"),
        (lambda: td.fit_variances(X, [0.1, 0.5], rng=0), "fall strictly"),
        (lambda: td.fit_variances(X, [0.5, 0.1], rng=0, lam=-1), "lam must be 0 or more; got -1"),
        (
            lambda: td.fit_variances(X, [0.5, 0.1], rng=0, targets="batch"),
            "multiple values for keyword argument 'targets'",
        ),
        (
            lambda: td.fit(RING, network=td.VarianceMLP(2, 4, 1), rng=0, objective=hybrid([0.5, 0.1]), progress=False),
            r"train on the times of the grid, times=td\.grids\.times_of\(ts\)",
        ),
        (lambda: MODEL.variance(X, 0.1, 0.5), "now comes first"),
        (
            lambda: td.elbo(MODEL, X, TS, 0, variance=lambda x, now, then: 0.1),
            r"variance\(x, now, then\) must be an arr",
        ),
        (lambda: td.elbo(MODEL, X, TS, 0, variance=lambda x, now, then: 0 * x), "must be positive"),
        (lambda: td.last(td.ddpm(MODEL, X, TS, rng=0, variance=lambda x, now, then: -x)), "must be positive"),
        (lambda: td.last(td.ddpm(MODEL, X, TS, rng=0, variance=lambda x, now, then: x[:, :1])), "must be an array of"),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()
