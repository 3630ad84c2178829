"""What belongs to a row follows it: times, labels and variances, into every chunk and every shape of data."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td

PROCESSES = (td.VP(), td.VE(), td.Straight(), td.Discrete.linear(40))
LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]], [0, 1])
LABELS = np.array([0, 1, -1, 2, 0, 1])


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 4, 5)], ids=["points", "images"])
def test_a_posterior_for_each_row_has_its_own_coefficients(process, shape, rng):
    """Of times (B,) with `like` they are columns: mean + √var z broadcasts, and row i is that of t_i, s_i."""
    x, x0, z = rng.standard_normal((3, *shape))
    t, s = np.array([0.9, 0.5, 0.3]), np.array([0.2, 0.4, 0.0])
    c_t, c_0, var = td.posterior(process.at(t, like=x), process.at(s, like=x))
    together = c_t * x + c_0 * x0 + var**0.5 * z
    for i in range(3):
        c_t, c_0, var = td.posterior(process.at(t[i]), process.at(s[i]))
        assert_allclose(together[i], c_t * x[i] + c_0 * x0[i] + math.sqrt(var) * z[i], rtol=1e-12, atol=1e-14)


# Chunks


def answers(model, x, t, u):
    """ε̂, x̂_0 and both pulls, each with a row for each row of x."""
    return [model(x, t), model.x0(x, t), model.linearize(x, t)[1](u), model.linearize_x0(x, t)[1](u)]


@pytest.mark.parametrize("kind", ["network", "mixture", "points", "guided", "counted"])
def test_times_and_labels_follow_their_rows_into_every_chunk(kind, network, rng):
    """10,000 rows, more than a network (8,192) or points (4,096) take at a time, are those of each label and time."""
    n, points, learned = 10_000, rng.standard_normal((9, 2)), network(td.VP(), 2, classes=3)
    model = {
        "network": learned,
        "mixture": td.Oracle(td.toys.moons32(), td.VP()),
        "points": td.Oracle(points, td.VP(), np.arange(9) % 3),
        "guided": td.ClassifierFreeGuidance(learned, learned.given(-1), 1.0),
        "counted": td.Counting(learned),
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
def test_a_row_of_rows_is_its_own_model(kind, network, rng):
    """model.rows(rows) answers for those rows alone, and is the model itself where a label is for all."""
    model = td.Oracle(td.toys.moons32(), td.VP()) if kind == "exact" else network(td.VP(), 2, classes=3)
    x, t = rng.standard_normal((6, 2)), np.linspace(0.1, 0.9, 6)
    for together in (model.given([0, 1, -1, 1, 0, 0]), model.given(1), model):
        assert_allclose(together.rows(slice(2, 5))(x[2:5], t[2:5]), together(x, t)[2:5], rtol=1e-12)


# Measures of a model with a label for each row


def test_the_likelihood_and_the_bound_of_a_row_are_those_of_its_label(network, rng):
    model, x, noise = network(td.VP(), 2, classes=3), rng.standard_normal((6, 2)), rng.standard_normal((3, 6, 2))

    def measures(label, rows):
        one = model.given(label)
        return np.stack([
            td.log_likelihood(one, x[rows], steps=3),
            td.elbo(one, x[rows], [0.9, 0.5, 0.2], noise=noise[:, rows]).nats,
        ])  # fmt: skip

    assert_allclose(measures(LABELS, [*range(6)]), np.hstack([measures(LABELS[i], [i]) for i in range(6)]), rtol=1e-10)


def test_the_distance_to_the_truth_of_a_model_with_a_label_for_each_of_many_points(network):
    """The density of point i is that of label i, of 20,010 points too, which are computed some at a time."""
    n = 20_010
    model, x, labels = network(td.VP(), 1, classes=3), LINE.sample(5, n), np.arange(n) % 3 - 1
    kl, error = td.kl_from_truth(model.given(labels), LINE, n=n, steps=1, rng=5)
    gap = LINE.log_density(x)
    for label in (-1, 0, 1):
        gap[labels == label] -= td.log_likelihood(model.given(label), x[labels == label], steps=1)
    assert kl == pytest.approx(np.mean(gap), rel=1e-9)
    assert error == pytest.approx(np.std(gap, ddof=1) / math.sqrt(n), rel=1e-9)


@pytest.mark.parametrize("kind", ["exact", "learned"])
def test_labels_as_many_as_other_rows_are_refused(kind, network, rng):
    """Never spread in silence over points that they do not belong to."""
    moons, x = td.toys.moons32(), rng.standard_normal((6, 2))
    wrong = (td.Oracle(moons, td.VP()) if kind == "exact" else network(td.VP(), 2, classes=3)).given([0, 1, 1])
    for ask in (
        lambda: wrong(x, 0.5),
        lambda: td.log_likelihood(wrong, x, steps=1),
        lambda: td.elbo(wrong, x, [0.9, 0.5], 0),
        lambda: td.sample(wrong, 6, steps=2, rng=0),
        lambda: td.kl_from_truth(wrong, moons, n=6, steps=1, rng=0),
    ):
        with pytest.raises(ValueError, match=r"labels|rows"):
            ask()
