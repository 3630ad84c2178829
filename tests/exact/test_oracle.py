"""The Oracle, in what no identity says of it: points are a mixture, floors in more dimensions, kinds and refusals.

Shapes: N data points, B rows, D coordinates.
"""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff import testing
from tinydiff.exact.points import Points

MIXTURE = td.GaussianMixture(
    [0.5, 0.2, 0.3],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]],
    [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.0, 0.0], [0.0, 0.0]]],
    [0, 1, 1],
)
POINTS = np.random.default_rng(0).normal(size=(11, 2))
LABELS = np.arange(11) // 4

every_data = pytest.mark.parametrize("data", ["mixture", "points"])


def oracle(data, process):
    return td.Oracle(MIXTURE, process) if data == "mixture" else td.Oracle(POINTS, process, LABELS)


def as_mixture(points, labels=None):
    """The same points as a mixture with zero covariances."""
    n, d = points.shape
    return td.GaussianMixture(np.full(n, 1 / n), points, np.zeros((n, d, d)), labels)


def agree(actual, expected, rel=1e-12):
    """|actual − expected| ≤ rel · max(1, |expected|): a coordinate that cancels is judged by the size of the rest."""
    assert_allclose(actual, expected, rtol=0, atol=rel * max(1, np.max(np.abs(expected))), equal_nan=False)


def everything(model, x, u, t):
    """All answers of a denoiser, each with one row for each row of x."""
    (eps, pull), (x0, pull_x0) = model.linearize(x, t), model.linearize_x0(x, t)
    return [model(x, t), model.x0(x, t), model.log_density(x, t), eps, pull(u), x0, pull_x0(u)]


# Data points


@settings(max_examples=25)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 5),
    chunk=st.sampled_from([1, 3, 4096]),
    t=st.floats(0.05, 0.95) | st.lists(st.floats(0.05, 0.95), min_size=2, max_size=2),
    rng=testing.generators(),
)
def test_points_are_the_mixture_of_zero_covariances(n, d, chunk, t, rng):
    """A softmax that is streamed in chunks is the sum over components, for any class and time of a row.

    A chunk may miss a class altogether.
    """
    data, labels = rng.standard_normal((n, d)), np.sort(rng.integers(0, 3, n))
    points, mixture = td.Oracle(data, td.VP(), labels), td.Oracle(as_mixture(data, labels), td.VP())
    x, u = rng.standard_normal((2, 2, d))
    each = np.array([labels[0], -1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Points, "chunk", chunk)
        for y in (-1, int(labels[-1]), each):
            found, expected = (everything(model.given(y), x, u, t) for model in (points, mixture))
            for one, other in zip(found, expected, strict=True):
                agree(one, other, 1e-10)
        agree(td.Oracle(data, td.VP())(x, t), mixture(x, t), 1e-10)
        agree(points.log_p(x, t), mixture.log_p(x, t), 1e-10)
        agree(points.grad_log_p(each)(x, t), mixture.grad_log_p(each)(x, t), 1e-9)
    assert (points.dim, points.like.shape) == (d, (0, d))


@pytest.mark.parametrize("t", [1e-8, 1e-5])
def test_points_at_tiny_noise_find_the_point_and_the_noise(t):
    """At σ = 3e−5 x̂_0 is the data point that x came from, ε̂ its noise, ∂ε̂/∂x = I/σ; far away it is the nearest."""
    model, now = oracle("points", td.VP()), td.VP().at(t)
    eps, u = np.random.default_rng(5).normal(size=(2, 11, 2))
    x = now.perturb(POINTS, eps)
    agree(model.x0(x, t), POINTS, 1e-9)
    agree(model(x, t), eps, 1e-9)
    agree(model.linearize(x, t)[1](u), u / now.sigma, 1e-15 / now.sigma**2)
    assert_array_equal(np.argmax(model.log_p(x, t), axis=1), LABELS)
    far = np.array([[300.0, 0.0], [0.0, -300.0]])
    agree(model.x0(far, t), [POINTS[POINTS[:, 0].argmax()], POINTS[POINTS[:, 1].argmin()]])
    assert np.all(np.isfinite(model.log_density(far, t)))


def test_points_draw_from_themselves_scaled_and_blurred():
    law = as_mixture(POINTS).diffused(2.0, 0.05)
    testing.assert_same_law(Points(POINTS).diffused(2.0, 0.05).sample(6, 3000), law, rng=1)


def test_points_draw_from_the_wanted_class(rng):
    """All rows of one class, or each row of its own; −1 is any."""
    model, wanted = td.Oracle(POINTS, td.VP(), LABELS), np.tile([0, 1, -1], 20)
    for labels, expected in ((np.array(1), np.full(60, 1)), (wanted, wanted)):
        drawn = model.given(labels).data.sample(rng, 60)
        found = LABELS[np.argmin(np.sum((drawn[:, None] - POINTS) ** 2, axis=2), axis=1)]
        assert np.all((found == expected) | (expected == -1))


# The floor


@settings(max_examples=20)
@given(process=testing.processes(), d=st.integers(1, 3), rng=testing.generators(), data=st.data())
def test_the_floor_of_a_gaussian_is_closed(process, d, rng, data):
    """mean_i α²λ_i/(α²λ_i + σ²) over the eigenvalues λ of C, by quadrature and by draws, and at times of an array."""
    ts = data.draw(testing.times(process, 1))
    root = rng.normal(size=(d, d + 1))
    c = root @ root.T + 0.3 * np.eye(d)
    var = process.sigma(ts[0]) ** 2
    signal = process.alpha(ts[0]) ** 2 * np.linalg.eigvalsh(c)
    exact = np.mean(signal / (signal + var))
    model = td.Oracle(td.GaussianMixture([1.0], np.ones((1, d)), c[None]), process)
    if d < 3:
        assert_allclose(model.floor(np.array(ts)), [exact], atol=1e-10)
        assert isinstance(model.floor(ts[0]), float)
    # ‖s‖² is Σ z²/(signal + σ²): its variance is 2 Σ (signal + σ²)⁻²
    error = var * np.sqrt(2 * np.sum((signal + var) ** -2.0) / 500) / d
    assert abs(model.floor(ts[0], rng, 500) - exact) < 5 * error


@every_data
@pytest.mark.parametrize("n", [1, 5])
def test_the_floor_from_draws_has_no_bias(data, n):
    """Its mean over seeds is the floor by quadrature, of few draws as well."""
    law = MIXTURE if data == "mixture" else as_mixture(POINTS)
    model, exact = oracle(data, td.VP()), td.Oracle(law, td.VP()).floor(0.4)
    testing.assert_unbiased([model.floor(0.4, seed, n) for seed in range(200)], exact, level=1e-4)


def test_the_floor_of_a_class_is_that_of_its_mixture():
    alone = td.GaussianMixture([0.4, 0.6], MIXTURE.means[1:], MIXTURE.covariances[1:])
    model = oracle("mixture", td.VP()).given(1)
    assert model.floor(0.5) == pytest.approx(td.Oracle(alone, td.VP()).floor(0.5), rel=1e-12)


# Ends of time, classes and kinds of numbers


def test_the_answers_at_both_ends_of_time():
    """At t = 0 x̂_0 = x and ε̂ = 0; where α = 6e−17 (cosine, t = 1) x̂_0 is still the prior mean, ε̂ = x."""
    line = td.GaussianMixture([0.7, 0.3], [[-1.0], [1.5]], [[[0.2]], [[0.1]]])
    model, x = td.Oracle(line, td.Cosine()), np.array([[-2.0], [0.3]])
    agree(model.x0(x, 0.0), x)
    assert_array_equal(model(x, 0.0), 0)
    for m in (model, td.Oracle(np.array([[-1.0], [0.5]]), td.Cosine())):
        agree(m.x0(x, 1.0), np.full((2, 1), -0.25))
        agree(m(x, 1.0), x)


@every_data
def test_given_replaces_the_class_given_before(data, rng):
    """So that one oracle serves as the conditional and, with −1, as the unconditional model of guidance."""
    model, x = oracle(data, td.VP()), rng.normal(size=(4, 2))
    assert_allclose(model.given(0).given(-1)(x, 0.5), model(x, 0.5), rtol=1e-13)
    assert_array_equal(model.given(0).given(1)(x, 0.5), model.given(1)(x, 0.5))


@every_data
@pytest.mark.parametrize("process", [td.VP(), td.VE(), td.Discrete.cosine(10)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [0.5, np.array([0.5, 0.8, 0.3])], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(data, process, t, rng):
    """Data and times in float64 meet points in float32: answers are float32, at its precision; so for float32 data."""
    model = oracle(data, process)
    x, u = rng.standard_normal((2, 3, 2)).astype(np.float32)
    models = [model, model.given(np.array([0, 1, -1]))]
    if data == "points":
        models.append(td.Oracle(POINTS.astype(np.float32), process, LABELS))
    for m in models:
        for one, other in zip(everything(m, x, u, t), everything(m, *np.float64([x, u]), t), strict=True):
            assert (one.dtype, other.dtype) == (np.float32, np.float64)
            agree(one, other, 2e-4)


@every_data
def test_integer_points_are_answered_in_float64(data):
    model, x = oracle(data, td.VP()), np.array([[1, 0], [0, -1]])
    for f in (model, model.x0):
        assert_allclose(f(x, 0.5), f(x.astype(float), 0.5), rtol=1e-14)


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: td.Oracle(MIXTURE, td.VP(), [0, 1, 1]), "carries its own labels"),
        (lambda: td.Oracle(np.zeros(3), td.VP()), "points (N, D), one or more; got shape (3,)"),
        (lambda: td.Oracle(np.zeros((0, 2)), td.VP()), "points (N, D), one or more; got shape (0, 2)"),
        (lambda: td.Oracle(np.zeros((2, 3, 4)), td.VP()), "points (N, D), one or more; got shape (2, 3, 4)"),
        (lambda: td.Oracle([[0.0, 1.0]], td.VP()), "points (N, D), one or more; got a list"),
        (lambda: td.Oracle(np.full((3, 2), np.nan), td.VP()), "data must be finite"),
        (lambda: td.Oracle(POINTS, td.VP(), LABELS[:-1]), "0 or more, (11,); got int64 of shape (10,)"),
        (lambda: td.Oracle(POINTS, td.VP(), LABELS + 0.5), "0 or more, (11,); got float64"),
        (lambda: td.Oracle(POINTS, td.VP(), LABELS - 1), "0 or more, (11,); got int64"),
        (lambda: td.Oracle(POINTS, td.VP()).given(0), "no labels"),
        (lambda: oracle("points", td.VP()).given([0, 3]), "whole numbers among 0 to 2, or −1 for none; got [0, 3]"),
        (lambda: oracle("points", td.VP()).given([0.0, 1.5]), "whole numbers among 0 to 2, or −1 for none"),
        (lambda: oracle("mixture", td.VP()).given(1.0), "whole numbers among 0 to 1, or −1 for none; got [1.0]"),
        (lambda: oracle("points", td.VP()).given(-2), "got [-2]"),
        (lambda: oracle("points", td.VP()).floor(0.5), "pass rng="),
        (lambda: oracle("points", td.VP())(np.zeros((1, 2)), 0.0), "t > 0"),
        (lambda: oracle("points", td.VP())(np.zeros(2), 0.5), "shape (B, 2); got shape (2,)"),
        (lambda: oracle("points", td.VP()).x0(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
        (lambda: oracle("mixture", td.VP())(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
        (lambda: oracle("mixture", td.VP())(np.zeros((4, 2)), 0.0), "zero variance"),
        (lambda: oracle("mixture", td.VP())(np.zeros((4, 2)), 1.5), "t must lie in [0, 1]"),
    ],
)
def test_questions_without_an_answer_are_value_errors(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("process", "message"), [(td.VP, "td.VP()"), ("vp", "got 'vp'"), (None, "got None")])
def test_an_oracle_needs_a_process_that_was_made(process, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        td.Oracle(MIXTURE, process)
