"""The Oracle against complex steps, brute-force Bayes, closed forms and the softmax average written out.

Shapes: N data points, B rows, D coordinates. Sources: DDPM [Ho et al. 2020], Song et al. [2021].
"""

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp, softmax

from tinydiff.backend import to_numpy
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.exact.points import Points
from tinydiff.processes import VE, VP, Cosine, Discrete, Straight, SubVP

PROCESSES = [VP(), SubVP(), VE(), Cosine(), Straight()]
EPS = 1e-30  # of complex steps
few = settings(max_examples=25, deadline=None)
processes = st.sampled_from(PROCESSES)
times = st.floats(0.05, 0.95)
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
every_data = pytest.mark.parametrize("data", ["mixture", "points"])

MIXTURE = GaussianMixture(
    [0.5, 0.2, 0.3],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]],
    [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.0, 0.0], [0.0, 0.0]]],
    [0, 1, 1],
)
POINTS = np.random.default_rng(0).normal(size=(11, 2))
LABELS = np.arange(11) // 4  # in blocks, so that a small chunk can miss a class altogether
LINE = GaussianMixture([0.7, 0.3], [[-1.0], [1.5]], [[[0.2]], [[0.1]]])


def oracle(data, process):
    return Oracle(MIXTURE, process) if data == "mixture" else Oracle(POINTS, process, LABELS)


def as_mixture(points, labels=None):
    """The same points as a mixture with zero covariances."""
    n, d = points.shape
    return GaussianMixture(np.full(n, 1 / n), points, np.zeros((n, d, d)), labels)


def agree(actual, expected, rel=1e-12):
    """|actual − expected| ≤ rel · max(1, |expected|): a coordinate that cancels is judged by the size of the rest."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rel * max(1, np.max(np.abs(expected))), equal_nan=False)


def derivative(f, x, v=1.0):
    """d/dh f(x + h v) at h = 0 by a complex step, exact to rounding."""
    return np.imag(f(x + 1j * EPS * v)) / EPS


def unit(i, like):
    return np.broadcast_to(np.eye(like.shape[1])[i], like.shape)


def draw(model, t, n=5, seed=0):
    """x_t = α x_0 + σ ε and directions, (n, D)."""
    rng = np.random.default_rng(seed)
    x0 = model.data.sample(rng, n)
    return model.process.at(t).perturb(x0, rng.normal(size=x0.shape)), rng.normal(size=x0.shape)


def everything(model, x, u, t):
    """All answers of a denoiser, each with one row for each row of x."""
    (eps, pull), (x0, pull_x0) = model.linearize(x, t), model.linearize_x0(x, t)
    return [model(x, t), model.x0(x, t), model.log_density(x, t), eps, pull(u), x0, pull_x0(u)]


# The answers


@every_data
@few
@given(processes, times, st.integers(0, 99))
def test_noise_and_data_make_up_x(data, process, t, seed):
    """x = α x̂_0 + σ ε̂, each computed natively [DDPM 4 averaged] → sign, σ for σ²."""
    model = oracle(data, process)
    x, _ = draw(model, t, seed=seed)
    agree(process.alpha(t) * model.x0(x, t) + process.sigma(t) * model(x, t), x, 1e-11)


@every_data
@few
@given(processes, times, st.integers(0, 99))
def test_the_pull_is_the_jacobian_of_the_noise(data, process, t, seed):
    """uᵀ ∂ε̂/∂x by a complex step (∂ε̂/∂x is symmetric), beside ε̂ itself."""
    model, now = oracle(data, process), process.at(t)
    x, u = draw(model, t, seed=seed)
    eps, pull = model.linearize(x, t)
    np.testing.assert_array_equal(eps, model(x, t))
    size = np.max(np.abs(u)) * (1 + now.snr)  # the terms that may cancel
    np.testing.assert_allclose(pull(u), derivative(lambda x: model(x, t), x, u), rtol=0, atol=1e-12 * size)


@every_process
@pytest.mark.parametrize("t", [0.2, 0.6])
def test_log_density_is_scipys(process, t):
    """q_t = Σ w N(α m, α² C + σ² I), of a mixture and of points alike."""
    alpha, sigma = process.alpha(t), process.sigma(t)
    for model, m in ((oracle("mixture", process), MIXTURE), (oracle("points", process), as_mixture(POINTS))):
        x, _ = draw(model, t)
        parts = [
            np.log(w) + stats.multivariate_normal(alpha * mean, alpha**2 * c + sigma**2 * np.eye(2)).logpdf(x)
            for w, mean, c in zip(m.weights, m.means, m.covariances, strict=True)
        ]
        np.testing.assert_allclose(model.log_density(x, t), logsumexp(parts, axis=0), rtol=1e-11, atol=1e-11)


@every_process
def test_log_density_obeys_the_fokker_planck_equation(process):
    """∂_t ln q = −∇·(f x) − f x·s + ½ g² (∇·s + ‖s‖²), the time derivative by a complex step."""
    model, t = oracle("mixture", process), 0.4
    x, _ = draw(model, t)
    q, now = model.marginal(t), process.at(t)
    s, pull = q.score_linearized(x)
    divergence = sum(pull(unit(i, x))[:, i] for i in range(2))
    expected = -2 * now.f - now.f * np.sum(x * s, axis=1) + 0.5 * now.g2 * (divergence + np.sum(s * s, axis=1))

    def log_density(t):
        return MIXTURE.diffused(process.alpha(t), process.sigma(t)).log_density(x)

    agree(derivative(log_density, t), expected, 1e-11)


def test_the_answers_at_both_ends_of_time():
    """At t = 0 x̂_0 = x and ε̂ = 0; where α = 6e−17 (cosine, t = 1) x̂_0 is still the prior mean, ε̂ = x."""
    model = Oracle(LINE, Cosine())
    x = np.array([[-2.0], [0.3]])
    agree(model.x0(x, 0.0), x)
    np.testing.assert_array_equal(model(x, 0.0), 0)
    for m in (model, Oracle(np.array([[-1.0], [0.5]]), Cosine())):
        agree(m.x0(x, 1.0), np.full((2, 1), -0.25))
        agree(m(x, 1.0), x)


@every_data
def test_a_chain_is_answered_on_its_grid(data):
    """Discrete processes have oracles too: what x̂_0 and ε̂ say is x, and x̂_0 is the Bayes average."""
    process = Discrete.cosine(10)
    model = oracle(data, process)
    x, _ = draw(model, 0.3)
    alpha, sigma = math.sqrt(np.prod(1 - process.betas[:3])), math.sqrt(1 - np.prod(1 - process.betas[:3]))
    agree(alpha * model.x0(x, 0.3) + sigma * model(x, 0.3), x)
    agree(model.x0(x, 0.3), model.data.x0_mean(x, alpha, sigma))


# Optimality


@few
@given(processes, times, st.integers(1, 3), st.integers(0, 99))
def test_floor_of_a_gaussian_is_closed(process, t, d, seed):
    """floor = mean_i α²λ_i/(α²λ_i + σ²) over the eigenvalues λ of C; by draws in three dimensions."""
    root = np.random.default_rng(seed).normal(size=(d, d + 1))
    c = root @ root.T + 0.3 * np.eye(d)
    signal = process.alpha(t) ** 2 * np.linalg.eigvalsh(c)
    exact = np.mean(signal / (signal + process.sigma(t) ** 2))
    model = Oracle(GaussianMixture([1.0], np.ones((1, d)), c[None]), process)
    if d < 3:
        assert model.floor(t) == pytest.approx(exact, abs=1e-11)
    # ‖s‖² is Σ z²/(signal + σ²): its variance is 2 Σ (signal + σ²)⁻²
    error = process.sigma(t) ** 2 * math.sqrt(2 * np.sum((signal + process.sigma(t) ** 2) ** -2.0) / 4000) / d
    assert abs(model.floor(t, np.random.default_rng(1), 4000) - exact) < 4 * error


@every_data
def test_floor_is_the_loss_of_the_oracle_on_fresh_noise(data):
    """E‖ε − ε̂‖²/d by an independent Monte Carlo is the floor, by quadrature and by draws, within 4 standard errors."""
    model, rng, n = oracle(data, VP()), np.random.default_rng(2), 20_000
    x0, eps = model.data.sample(rng, n), rng.normal(size=(n, 2))
    loss = np.mean((eps - model(VP().at(0.4).perturb(x0, eps), 0.4)) ** 2, axis=1)
    error = loss.std() / math.sqrt(n)
    exact = Oracle(MIXTURE if data == "mixture" else as_mixture(POINTS), VP()).floor(0.4)
    assert abs(loss.mean() - exact) < 4 * error
    assert abs(model.floor(0.4, np.random.default_rng(3), 40_000) - exact) < 4 * error


def test_floor_of_two_points_is_that_of_a_binary_channel():
    """For x_0 = ±1, mmse = 1 − E tanh(γ + √γ z) with γ = SNR [Guo, Shamai & Verdú 2005]; the floor is γ · mmse."""
    process = VP()
    for t in (0.3, 0.6):
        snr = process.at(t).snr
        mean_tanh = stats.norm.expect(lambda z, snr=snr: np.tanh(snr + np.sqrt(snr) * z), lb=-12, ub=12)
        exact = snr * (1 - mean_tanh)
        points = np.array([[-1.0], [1.0]])
        assert Oracle(as_mixture(points), process).floor(t) == pytest.approx(exact, abs=1e-6)
        assert Oracle(points, process).floor(t, np.random.default_rng(4), 40_000) == pytest.approx(exact, abs=0.02)


@every_data
@pytest.mark.parametrize("n", [1, 2, 5, 50])
def test_the_floor_from_draws_has_no_bias(data, n):
    """Its mean over 400 seeds is the floor by quadrature within 4 standard errors, of few draws as well."""
    model = oracle(data, VP())
    exact = Oracle(MIXTURE if data == "mixture" else as_mixture(POINTS), VP()).floor(0.4)
    found = [model.floor(0.4, seed, n) for seed in range(400)]
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / math.sqrt(400)
    assert np.std(found) > 0


def test_floors_of_several_times_and_of_one_class():
    """An array of times gives the floor at each; a class has the floor of its own mixture."""
    model, ts = oracle("mixture", VP()), np.array([0.2, 0.5, 0.9])
    floors = model.floor(ts)
    assert floors.shape == (3,)
    np.testing.assert_array_equal(floors, [model.floor(float(t)) for t in ts])
    alone = GaussianMixture([0.4, 0.6], MIXTURE.means[1:], MIXTURE.covariances[1:])
    assert model.given(1).floor(0.5) == pytest.approx(Oracle(alone, VP()).floor(0.5), rel=1e-12)


@every_process
def test_mmse_falls_with_snr_and_keeps_its_bounds(process):
    """mmse/d = floor/SNR falls as SNR rises, and is ≤ c/(1 + c SNR) for coordinate variance c: no worse than linear."""
    ts = np.linspace(0.15, 0.95, 9)
    snr = process.at(ts).snr
    c = np.trace(MIXTURE.moments()[1][0]) / 2
    floor = oracle("mixture", process).floor(ts)
    mmse = floor / snr
    assert np.all(np.diff(mmse) > 0)  # SNR falls with t
    assert np.all((floor > 0) & (mmse < c / (1 + c * snr)))


# Data points


@every_process
@pytest.mark.parametrize("chunk", [1, 3, 11, 4096])
def test_points_are_the_mixture_of_zero_covariances(process, chunk, monkeypatch):
    """Streamed softmax = components, for any chunk, class and time → the running maximum forgotten in one of the sums,
    the mask inverted, the count of a class.
    """
    monkeypatch.setattr(Points, "chunk", chunk)
    points, mixture = Oracle(POINTS, process, LABELS), Oracle(as_mixture(POINTS, LABELS), process)
    x, u = draw(points, 0.3, 4)
    labels = np.array([2, -1, 0, 1])
    for t, y in product((0.4, np.array([0.3, 0.9, 0.5, 0.2])), (None, -1, 2, labels)):
        one, other = (points, mixture) if y is None else (points.given(y), mixture.given(y))
        for a, b in zip(everything(one, x, u, t), everything(other, x, u, t), strict=True):
            agree(a, b, 1e-10)


@few
@given(times, st.integers(1, 40), st.integers(1, 30), st.integers(0, 99))
def test_points_are_a_softmax_average(t, n, d, seed):
    """x̂_0 = Σ y_i softmax_i(−‖x − α y_i‖²/2σ²), with the differences formed; in many dimensions as well."""
    rng, process = np.random.default_rng(seed), VP()
    y, x = rng.normal(size=(n, d)), rng.normal(size=(3, d))
    alpha, sigma = process.alpha(t), process.sigma(t)
    logits = -np.sum((x[:, None] - alpha * y) ** 2, axis=2) / (2 * sigma**2)
    model = Oracle(y, process)
    np.testing.assert_allclose(model.x0(x, t), softmax(logits, axis=1) @ y, rtol=0, atol=1e-10)
    normaliser = math.log(n) + d * math.log(sigma * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(model.log_density(x, t), logsumexp(logits, axis=1) - normaliser, rtol=1e-11, atol=1e-10)
    assert model.dim == d
    assert model.like.shape == (0, d)


@pytest.mark.parametrize("t", [1e-8, 1e-5])
def test_points_at_tiny_noise_find_the_point_and_the_noise(t):
    """At σ = 3e−5 x̂_0 is the data point that x came from, ε̂ its noise, ∂ε̂/∂x = I/σ; far away it is the nearest."""
    model, process = oracle("points", VP()), VP()
    rng = np.random.default_rng(5)
    eps, u, now = rng.normal(size=(11, 2)), rng.normal(size=(11, 2)), process.at(t)
    x = now.perturb(POINTS, eps)
    agree(model.x0(x, t), POINTS, 1e-9)
    agree(model(x, t), eps, 1e-9)
    agree(model.linearize(x, t)[1](u), u / now.sigma, 1e-15 / now.sigma**2)
    far = np.array([[300.0, 0.0], [0.0, -300.0]])
    agree(model.x0(far, t), [POINTS[POINTS[:, 0].argmax()], POINTS[POINTS[:, 1].argmin()]])
    assert np.all(np.isfinite(model.log_density(far, t)))


def test_points_draw_from_themselves():
    """Each point is as likely as another, α scales it and σ is the standard deviation of what is added."""
    n = 22_000
    q = Points(POINTS).diffused(2.0, 0.001)
    x = q.sample(np.random.default_rng(6), n)
    distance = np.sum((x[:, None] - 2 * POINTS) ** 2, axis=2)
    assert stats.chisquare(np.bincount(distance.argmin(axis=1))).pvalue > 1e-3
    z = (x - 2 * POINTS[distance.argmin(axis=1)]) / 0.001
    np.testing.assert_allclose(z.T @ z / n, np.eye(2), atol=4 * math.sqrt(2 / n))
    np.testing.assert_allclose(np.mean(z**4, axis=0), 3, atol=4 * math.sqrt(96 / n))


# Rows and classes


@every_data
@few
@given(processes, st.lists(times, min_size=4, max_size=4), st.permutations([0, 1, -1, 1]))
def test_times_and_labels_of_rows_are_a_loop(data, process, t, labels):
    """Row i at (t_i, y_i) equals a batch of one → t or labels broadcast along the wrong axis."""
    model, t, labels = oracle(data, process), np.array(t), np.array(labels)
    x, u = draw(model, 0.5, 4)
    together = everything(model.given(labels), x, u, t)
    rows = [everything(model.given(labels[i]), x[i : i + 1], u[i : i + 1], float(t[i])) for i in range(4)]
    for one, loop in zip(together, zip(*rows, strict=True), strict=True):
        agree(one, np.concatenate(loop), 1e-10)


@every_data
@every_process
def test_class_answers_average_to_the_unconditional_one(data, process):
    """ε̂ = E[ε̂_y|x] with p(y|x) ∝ p(y) q_t(x|y), and −1 is no condition: the two sides of guidance."""
    model, t = oracle(data, process), 0.4
    x, u = draw(model, t)
    prior = {0: 0.5, 1: 0.5} if data == "mixture" else {0: 4 / 11, 1: 4 / 11, 2: 3 / 11}
    joint = {y: p * np.exp(model.given(y).log_density(x, t)) for y, p in prior.items()}
    evidence = sum(joint.values())
    agree(evidence, np.exp(model.log_density(x, t)), 1e-11)
    for answer in (lambda m: m(x, t), lambda m: m.x0(x, t)):
        average = sum((joint[y] / evidence)[:, None] * answer(model.given(y)) for y in prior)
        agree(average, answer(model), 1e-11)
    for one, other in zip(everything(model.given(-1), x, u, t), everything(model, x, u, t), strict=True):
        agree(one, other)


# Numbers of other kinds


@every_data
@every_process
@pytest.mark.parametrize("t", [0.5, np.array([0.5, 0.8, 0.3])], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(data, process, t):
    """float64 data and times meet float32 points: the answers are float32, at its precision; so for float32 data."""
    model = oracle(data, process)
    x, u = (a.astype(np.float32) for a in draw(model, 0.5, 3))
    double = everything(model, x.astype(np.float64), u.astype(np.float64), t)
    models = [model, model.given(np.array([0, 1, -1]))]
    if data == "points":
        models.append(Oracle(POINTS.astype(np.float32), process))
    for m in models:
        single = everything(m, x, u, t)
        assert all(each.dtype == np.float32 for each in single)
        if m is not models[1]:
            for one, other in zip(single, double, strict=True):
                agree(one, other, 2e-4)
    assert all(each.dtype == np.float64 for each in double)


def on_strict(a):
    xp = pytest.importorskip("array_api_strict")
    return xp.asarray(a, device=xp.Device("device1"))


def on_torch(a):
    return pytest.importorskip("torch").asarray(a)


@pytest.mark.parametrize("to", [on_strict, on_torch])
@pytest.mark.parametrize("where", ["host", "device"])
@every_data
def test_other_arrays_give_the_same_numbers(data, where, to):
    """array-api-strict on its second device, where any silent conversion to NumPy raises, and PyTorch; data here
    or there.
    """
    model = oracle(data, VP())
    x, u = draw(model, 0.5, 3)
    moved = model
    if where == "device":
        moved = Oracle(MIXTURE.cast(to(x)), VP()) if data == "mixture" else Oracle(to(POINTS), VP(), LABELS)
        assert moved.like.device == to(x).device
    labels, t = np.array([1, -1, 0]), np.array([0.4, 0.5, 0.8])
    expected = everything(model.given(labels), x, u, t)
    for one, other in zip(everything(moved.given(to(labels)), to(x), to(u), to(t)), expected, strict=True):
        assert one.dtype == to(x).dtype
        assert one.device == to(x).device
        agree(to_numpy(one), other, 1e-11)
    rng = np.random.default_rng
    assert moved.floor(0.5, rng(0), 500) == pytest.approx(model.floor(0.5, rng(0), 500), rel=1e-10)


# Errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Oracle(MIXTURE, VP(), [0, 1, 1]), "carries its own labels"),
        (lambda: Oracle(np.zeros(3), VP()), "an array of points (N, D), one or more; got shape (3,)"),
        (lambda: Oracle(np.zeros((0, 2)), VP()), "an array of points (N, D), one or more; got shape (0, 2)"),
        (lambda: Oracle(np.zeros((2, 3, 4)), VP()), "an array of points (N, D), one or more; got shape (2, 3, 4)"),
        (lambda: Oracle([[0.0, 1.0]], VP()), "an array of points (N, D), one or more; got a list"),
        (
            lambda: Oracle(POINTS, VP(), LABELS[:-1]),
            "labels must be whole numbers, 0 or more, (11,); got int64 of shape (10,)",
        ),
        (lambda: Oracle(POINTS, VP(), LABELS + 0.5), "labels must be whole numbers, 0 or more, (11,); got float64"),
        (lambda: Oracle(POINTS, VP(), LABELS - 1), "labels must be whole numbers, 0 or more, (11,); got int64"),
        (lambda: Oracle(POINTS, VP()).given(0), "no labels"),
        (lambda: Oracle(POINTS, VP(), LABELS).given([0, 3]), "whole numbers among 0 to 2, or −1 for none; got [0, 3]"),
        (lambda: Oracle(POINTS, VP(), LABELS).given([0.0, 1.5]), "whole numbers among 0 to 2, or −1 for none"),
        (lambda: Oracle(MIXTURE, VP()).given(1.0), "whole numbers among 0 to 1, or −1 for none; got [1.0]"),
        (lambda: Oracle(POINTS, VP(), LABELS).given(-2), "got [-2]"),
        (lambda: Oracle(np.full((3, 2), np.nan), VP()), "data must be finite"),
        (lambda: Oracle(POINTS, VP()).floor(0.5), "pass rng="),
        (lambda: Oracle(POINTS, VP())(np.zeros((1, 2)), 0.0), "t > 0"),
        (lambda: Oracle(POINTS, VP())(np.zeros(2), 0.5), "shape (B, 2); got shape (2,)"),
        (lambda: Oracle(POINTS, VP()).x0(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
        (lambda: Oracle(MIXTURE, VP())(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
        (lambda: Oracle(MIXTURE, VP())(np.zeros((4, 2)), 0.0), "zero variance"),
        (lambda: Oracle(MIXTURE, VP())(np.zeros((4, 2)), 1.5), "t must lie in [0, 1]"),
    ],
)
def test_questions_without_an_answer_are_value_errors(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("process", "message"), [(VP, "td.VP()"), ("vp", "got 'vp'"), (None, "got None")])
def test_an_oracle_needs_a_process_that_was_made(process, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        Oracle(MIXTURE, process)


@every_data
def test_given_replaces_the_class_given_before(data, rng):
    """So that one oracle serves as the conditional and, with −1, as the unconditional model of guidance."""
    model, x = oracle(data, VP()), rng.normal(size=(4, 2))
    np.testing.assert_allclose(model.given(0).given(-1)(x, 0.5), model(x, 0.5), rtol=1e-13)
    np.testing.assert_array_equal(model.given(0).given(1)(x, 0.5), model.given(1)(x, 0.5))


def test_points_draw_from_the_wanted_class(rng):
    """All rows of one class, or each row of its own; −1 is any."""
    model = Oracle(POINTS, VP(), LABELS)
    wanted = np.tile([0, 1, -1], 20)
    for labels, expected in ((np.array(1), np.full(60, 1)), (wanted, wanted)):
        drawn = model.given(labels).data.sample(rng, 60)
        found = LABELS[np.argmin(np.sum((drawn[:, None] - POINTS) ** 2, axis=2), axis=1)]
        assert np.all((found == expected) | (expected == -1))


@every_data
def test_integer_points_are_answered_in_float64(data):
    model, x = oracle(data, VP()), np.array([[1, 0], [0, -1]])
    for f in (model, model.x0):
        np.testing.assert_allclose(f(x, 0.5), f(x.astype(float), 0.5), rtol=1e-14)
