"""What belongs to a row follows it: times, labels and variances, into every chunk and every shape of data."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td

PROCESSES = (td.VP(), td.VE(), td.Straight(), td.Discrete.linear(40))
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]], [0, 1])


def classed_network(dim=2, width=4):
    network = td.TimeMLP(dim, width, 1, classes=3)
    theta = 0.5 * np.random.default_rng(0).standard_normal(network.size)
    return td.NetworkDenoiser(network, theta, td.VP())


# Images


@every_process
def test_the_gap_of_the_prior_of_images_is_that_of_their_pixels(process, rng):
    """KL(q(x_T|x_0) ‖ p(x_T)), (B, C, H, W) → (B,): all pixels of an image are summed [DDPM 5]."""
    images = rng.standard_normal((4, 3, 5, 2))
    found = process.prior_gap(images)
    assert found.shape == (4,)
    assert_allclose(found, process.prior_gap(images.reshape(4, -1)), rtol=1e-13)
    end, var = process.at(process.t_max), process.prior_std**2
    kl = 0.5 * ((end.alpha * images) ** 2 / var + end.sigma**2 / var - 1 - math.log(end.sigma**2 / var))
    assert_allclose(found, np.sum(kl, axis=(1, 2, 3)), rtol=1e-9, atol=1e-12)


# A posterior for each row


@every_process
@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 4, 5)], ids=["points", "images"])
def test_a_posterior_for_each_row_has_its_own_variance(process, shape, rng):
    """Of times (B,) with `like` coefficients are columns: mean + √var z broadcasts, and row i is that of t_i, s_i."""
    x, x0, z = rng.standard_normal((3, *shape))
    t, s = np.array([0.9, 0.5, 0.3]), np.array([0.2, 0.4, 0.0])
    c_t, c_0, var = td.posterior(process.at(t, like=x), process.at(s, like=x))
    together = c_t * x + c_0 * x0 + var**0.5 * z
    assert together.shape == shape
    for i in range(3):
        c_t, c_0, var = td.posterior(process.at(t[i]), process.at(s[i]))
        assert_allclose(together[i], c_t * x[i] + c_0 * x0[i] + math.sqrt(var) * z[i], rtol=1e-12, atol=1e-14)
    assert_allclose(together[2], x0[2], rtol=1e-12)  # to s = 0: the data


@every_process
def test_the_variance_of_draws_from_a_posterior_for_each_row(process):
    """x_s given x_t and x_0 varies by var of its own row, and not by that of another [DDPM 7]."""
    rng, n = np.random.default_rng(1), 20_000
    t, s = np.tile([0.9, 0.5], n), np.tile([0.2, 0.4], n)
    x = np.zeros((2 * n, 1))
    _, _, var = td.posterior(process.at(t, like=x), process.at(s, like=x))
    draws = (var**0.5 * rng.standard_normal((2 * n, 1))).reshape(n, 2)
    for own, times in zip(draws.T, ((0.9, 0.2), (0.5, 0.4)), strict=True):
        now, then = (process.at(t) for t in times)
        a = now.alpha / then.alpha
        precision = 1 / then.sigma**2 + a**2 / (now.sigma**2 - a**2 * then.sigma**2)
        assert abs(np.mean(own**2) * precision - 1) < 4 * math.sqrt(2 / n)


# Chunks


def answers(model, x, t, u):
    """ε̂, x̂_0 and both pulls, each with a row for each row of x."""
    return [model(x, t), model.x0(x, t), model.linearize(x, t)[1](u), model.linearize_x0(x, t)[1](u)]


@pytest.mark.parametrize("kind", ["network", "mixture", "points", "guided", "counted"])
def test_times_and_labels_follow_their_rows_into_every_chunk(kind, rng):
    """10,000 rows, more than a network (8,192) or points (4,096) take at a time, are those of each label and time."""
    n, points = 10_000, rng.standard_normal((9, 2))
    model = {
        "network": classed_network(),
        "mixture": td.Oracle(td.toys.moons32(), td.VP()),
        "points": td.Oracle(points, td.VP(), np.arange(9) % 3),
        "guided": td.ClassifierFreeGuidance(classed_network(), classed_network().given(-1), 1.0),
        "counted": td.Counting(classed_network()),
    }[kind]
    x, u = rng.standard_normal((2, n, 2))
    labels, t = rng.integers(-1, 2, n), rng.choice([0.3, 0.6], n)
    together = answers(model.given(labels), x, t, u)
    for label in (-1, 0, 1):
        for time in (0.3, 0.6):
            rows = np.flatnonzero((labels == label) & (t == time))[-50:]  # of the last chunk
            for found, expected in zip(together, answers(model.given(label), x[rows], time, u[rows]), strict=True):
                assert_allclose(found[rows], expected, rtol=1e-9, atol=1e-9)


def test_labels_of_many_points_follow_them_into_every_chunk(rng):
    """5,000 data points are streamed in two chunks: those of a class are found in both."""
    points, labels = rng.standard_normal((5000, 2)), rng.integers(0, 2, 5000)
    x, t = rng.standard_normal((4, 2)), np.array([0.2, 0.9, 0.3, 0.6])
    found = td.Oracle(points, td.VP(), labels).given([0, 1, -1, 1]).x0(x, t)
    for i, own in enumerate((labels == 0, labels == 1, labels >= 0, labels == 1)):
        alone = td.Oracle(points[own], td.VP()).x0(x[i : i + 1], t[i])
        assert_allclose(found[i : i + 1], alone, rtol=1e-9)


@pytest.mark.parametrize("kind", ["exact", "learned"])
def test_a_row_of_rows_is_its_own_model(kind, rng):
    """model.rows(rows) answers for those rows alone, and is the model itself where a label is for all."""
    model = td.Oracle(td.toys.moons32(), td.VP()) if kind == "exact" else classed_network()
    x, t = rng.standard_normal((6, 2)), np.linspace(0.1, 0.9, 6)
    for labels in ([0, 1, -1, 1, 0, 0], 1):
        together = model.given(labels)
        assert_allclose(together.rows(slice(2, 5))(x[2:5], t[2:5]), together(x, t)[2:5], rtol=1e-12)
    assert_allclose(model.rows(slice(2, 5))(x[2:5], t[2:5]), model(x, t)[2:5], rtol=1e-12)


# Measures of a model with a label for each row


def test_the_likelihood_of_a_row_is_that_of_its_label(rng):
    model, x, labels = classed_network(), rng.standard_normal((6, 2)), np.array([0, 1, -1, 2, 0, 1])
    found = td.log_likelihood(model.given(labels), x, steps=5)
    for i in range(6):
        assert_allclose(found[i], td.log_likelihood(model.given(labels[i]), x[i : i + 1], steps=5)[0], rtol=1e-10)


def test_the_bound_of_a_row_is_that_of_its_label(rng):
    model, x, labels = classed_network(), rng.standard_normal((6, 2)), np.array([0, 1, -1, 2, 0, 1])
    ts, noise = [0.9, 0.5, 0.2], rng.standard_normal((3, 6, 2))
    found = td.elbo(model.given(labels), x, ts, noise=noise).nats
    for i in range(6):
        alone = td.elbo(model.given(labels[i]), x[i : i + 1], ts, noise=noise[:, i : i + 1]).nats
        assert_allclose(found[i], alone[0], rtol=1e-10)


def test_the_distance_to_the_truth_of_a_model_with_a_label_for_each_of_many_points():
    """The density of point i is that of label i, of 20,010 points too, which are computed some at a time."""
    n = 20_010
    labels = np.arange(n) % 3 - 1
    x = LINE.sample(np.random.default_rng(5), n)
    for model in (td.Oracle(LINE, td.VP()), classed_network(dim=1)):
        kl, error = td.kl_from_truth(model.given(labels), LINE, n=n, steps=1, rng=5)
        gap = LINE.log_density(x)
        for label in (-1, 0, 1):
            rows = labels == label
            gap[rows] -= td.log_likelihood(model.given(label), x[rows], steps=1)
        assert kl == pytest.approx(np.mean(gap), rel=1e-9)
        assert error == pytest.approx(np.std(gap, ddof=1) / math.sqrt(n), rel=1e-9)


def test_labels_as_many_as_other_rows_are_refused(rng):
    """Never spread in silence over points that they do not belong to."""
    x = rng.standard_normal((6, 2))
    for model in (classed_network(), td.Oracle(td.toys.moons32(), td.VP())):
        wrong = model.given([0, 1, 1])
        for ask in (
            lambda model=wrong: model(x, 0.5),
            lambda model=wrong: td.log_likelihood(model, x, steps=1),
            lambda model=wrong: td.elbo(model, x, [0.9, 0.5], 0),
            lambda model=wrong: td.sample(model, 6, steps=2, rng=0),
            lambda model=wrong: td.kl_from_truth(model, td.toys.moons32(), n=6, steps=1, rng=0),
        ):
            with pytest.raises(ValueError, match=r"labels|rows"):
                ask()
