"""The exact classifier of noisy points, ln p(y | x_t), against Bayes' rule written out and complex steps.

    p(y | x) = Σ_{k of class y} w_k N(x; α m_k, α² C_k + σ² I) / Σ_k w_k N(x; α m_k, α² C_k + σ² I)

Shapes: K components, B rows, D coordinates, C classes. Sources: Bayes' rule; classifier guidance [Dhariwal & Nichol
2021, §4], in which ∇ ln p(y | x_t) = ∇ ln q_t(x | y) − ∇ ln q_t(x).
"""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import logsumexp

import tinydiff as td
from tinydiff.exact.points import Points

STEP = 1e-30  # of complex steps
PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40)]
CLASSES = np.array([2, 5, 9])
MIXTURE = td.GaussianMixture(  # neither sorted nor contiguous labels, unequal weights
    [0.3, 0.1, 0.2, 0.15, 0.25],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2], [0.1, 0.9], [-0.4, -0.8]],
    [
        [[0.3, 0.2], [0.2, 0.4]],
        [[0.5, -0.3], [-0.3, 0.3]],
        [[0.2, 0.0], [0.0, 0.1]],
        [[0.1, 0.0], [0.0, 0.3]],
        [[0.2, 0.1], [0.1, 0.2]],
    ],
    [5, 2, 9, 2, 9],
)
POINTS = np.random.default_rng(0).normal(size=(13, 2))
LABELS = np.array([9, 2, 5, 5, 9, 9, 2, 9, 9, 2, 5, 9, 9])
ROWS = np.array([0.1, 0.25, 0.45, 0.6, 0.8, 0.95])  # on the grid of the chain too
ASKED = np.array([5, 2, 9, 9, 2, 5])

every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
every_data = pytest.mark.parametrize("data", ["mixture", "points"])
every_time = pytest.mark.parametrize("t", [0.1, 0.5, 0.95, ROWS], ids=["early", "middle", "late", "rows"])


def make(data, process):
    return td.Oracle(MIXTURE, process) if data == "mixture" else td.Oracle(POINTS, process, LABELS)


def draw(data, process, t, rng):
    """x_t of data, (6, 2)."""
    x0 = MIXTURE.sample(rng, 6) if data == "mixture" else POINTS[:6]
    return process.at(t, like=x0).perturb(x0, rng.standard_normal((6, 2)))


def by_bayes(data, process, x, t):
    """ln p(y | x_t = x) of each row from SciPy's normal densities, (B, C)."""
    if data == "mixture":
        weights, means, covariances, labels = MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, MIXTURE.labels
    else:
        n = len(POINTS)
        weights, means, covariances, labels = np.full(n, 1 / n), POINTS, np.zeros((n, 2, 2)), LABELS
    rows = []
    for point, time in zip(x, np.broadcast_to(t, len(x)), strict=True):
        alpha, sigma = process.alpha(time), process.sigma(time)
        joint = np.array(
            [
                np.log(w) + stats.multivariate_normal(alpha * m, alpha**2 * c + sigma**2 * np.eye(2)).logpdf(point)
                for w, m, c in zip(weights, means, covariances, strict=True)
            ]
        )
        rows.append([logsumexp(joint[labels == y]) - logsumexp(joint) for y in CLASSES])
    return np.array(rows)


def slope(f, x):
    """∇f (B, D) of a function of rows, by complex steps."""
    return np.stack([np.imag(f(x + 1j * STEP * unit)) / STEP for unit in np.eye(x.shape[1])], axis=1)


# The probabilities


@every_data
@every_process
@every_time
def test_the_exact_classifier_is_bayes_rule(data, process, t, rng):
    """Columns are the classes in ascending order; a time for each row too → priors left out, a column misplaced."""
    x = draw(data, process, t, rng)
    log_p = make(data, process).log_p(x, t)
    assert log_p.shape == (6, 3)
    assert_allclose(log_p, by_bayes(data, process, x, t), rtol=1e-10, atol=1e-10)


@every_data
@every_process
@every_time
def test_the_probabilities_sum_to_one(data, process, t, rng):
    """Σ_y p(y | x) = 1, far away from the data as well: → the wrong evidence, an underflow."""
    x = np.concatenate([draw(data, process, t, rng)[:3], [[40.0, 0.0], [-3.0, 50.0], [0.0, 0.0]]])
    log_p = make(data, process).log_p(x, t)
    assert np.all(log_p <= 1e-9)
    # ln q is a difference of squares that are 2500/2σ² at the far points
    size = 1 + np.sum(x**2, axis=1) / process.sigma(t) ** 2
    assert_allclose(logsumexp(log_p, axis=1) / size, 0, rtol=0, atol=1e-14)


@every_data
def test_where_all_is_noise_the_priors_are_left_and_at_the_data_the_class(data, rng):
    """p(y | x_t) → p(y) as SNR → 0; at tiny noise it is 1 for the class of the point that x came from."""
    process = td.VP()
    model = make(data, process)
    classes, priors = model.classes()
    late = model.log_p(rng.standard_normal((5, 2)), 1.0)
    assert_allclose(np.exp(late), np.broadcast_to(priors, (5, 3)), rtol=0.05)  # α = .0066 at t = 1
    x = process.at(1e-4).perturb(POINTS, rng.standard_normal(POINTS.shape))
    early = make("points", process).log_p(x, 1e-4)
    assert_array_equal(classes[np.argmax(early, axis=1)], LABELS)
    assert_allclose(np.max(early, axis=1), 0, atol=1e-12)
    assert np.all(np.isfinite(early))


@every_data
@every_process
def test_the_probabilities_are_those_of_draws(data, process):
    """E[(p(y | x_t) − 1{y}) φ(x_t)] = 0 for φ = 1 and tanh: of draws with a p(y | x_t), that fraction is of class y."""
    rng, n, t = np.random.default_rng(1), 4000, 0.3
    model = make(data, process)
    if data == "mixture":
        x0, labels = MIXTURE.sample(rng, n, labels=True)
    else:
        rows = rng.integers(0, len(POINTS), n)
        x0, labels = POINTS[rows], LABELS[rows]
    x = process.at(t).perturb(x0, rng.standard_normal((n, 2)))
    error = np.exp(model.log_p(x, t)) - (labels[:, None] == CLASSES)
    for phi in (1.0, np.tanh(x[:, :1]), np.tanh(x[:, 1:])):
        assert np.all(np.abs(np.mean(error * phi, axis=0)) < 4 * np.std(error * phi, axis=0) / np.sqrt(n))


def test_classes_are_ascending_with_the_prior_of_each():
    """Sums of the weights, and counts of the points."""
    classes, priors = make("mixture", td.VP()).classes()
    assert_array_equal(classes, CLASSES)
    assert_allclose(priors, [0.25, 0.3, 0.45], rtol=1e-14)
    classes, priors = make("points", td.VP()).classes()
    assert_array_equal(classes, CLASSES)
    assert_allclose(priors, [3 / 13, 3 / 13, 7 / 13], rtol=1e-14)
    for toy, count in ((td.toys.ring8(), 8), (td.toys.pinwheel40(), 5)):
        classes, priors = td.Oracle(toy, td.VP()).classes()
        assert_array_equal(classes, np.arange(count))
        assert_allclose(priors, 1 / count, rtol=1e-12)


@every_data
def test_one_class_is_certain(data, rng):
    """With a single class ln p = 0 and there is nothing to be pushed by."""
    law = td.GaussianMixture(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, np.full(5, 3))
    model = td.Oracle(law, td.VP()) if data == "mixture" else td.Oracle(POINTS, td.VP(), np.full(13, 3))
    x = rng.standard_normal((4, 2))
    assert_allclose(model.log_p(x, 0.4), np.zeros((4, 1)), rtol=0, atol=1e-13)
    assert_allclose(model.grad_log_p(3)(x, 0.4), np.zeros((4, 2)), rtol=0, atol=1e-12)


@every_data
@every_time
def test_a_conditioned_oracle_is_the_same_classifier(data, t, rng):
    """p(y | x) is of the whole law: which class the denoiser was given before has no influence."""
    model, x = make(data, td.Cosine()), draw(data, td.Cosine(), t, rng)
    for given in (5, ASKED, -1):
        other = model.given(given)
        assert_array_equal(other.log_p(x, t), model.log_p(x, t))
        assert_array_equal(other.grad_log_p(2)(x, t), model.grad_log_p(2)(x, t))
        assert_array_equal(other.classes()[1], model.classes()[1])


@every_data
@every_process
def test_times_of_rows_are_a_loop(data, process, rng):
    """Row i at (t_i, y_i) equals a batch of one → broadcast along the wrong axis."""
    model, x = make(data, process), draw(data, process, ROWS, rng)
    log_p, push = model.log_p(x, ROWS), model.grad_log_p(ASKED)(x, ROWS)
    for i in range(6):
        row = x[i : i + 1]
        assert_allclose(log_p[i : i + 1], model.log_p(row, float(ROWS[i])), rtol=1e-10, atol=1e-11)
        alone = model.grad_log_p(ASKED[i])(row, float(ROWS[i]))
        assert_allclose(push[i : i + 1], alone, rtol=0, atol=1e-11 * (1 + np.max(np.abs(alone))))


@pytest.mark.parametrize("chunk", [1, 4, 4096])
def test_chunks_of_points_have_no_influence(chunk, monkeypatch, rng):
    """A class may be missing from a chunk altogether."""
    x = rng.standard_normal((5, 2))
    expected = by_bayes("points", td.VP(), x, 0.3)
    monkeypatch.setattr(Points, "chunk", chunk)
    assert_allclose(make("points", td.VP()).log_p(x, 0.3), expected, rtol=1e-10, atol=1e-10)


# Their gradients


@every_data
@every_process
@every_time
@pytest.mark.parametrize("labels", [2, 5, 9, ASKED], ids=["2", "5", "9", "rows"])
def test_the_gradient_is_the_complex_step_of_the_column(data, process, t, labels, rng):
    """∇ ln p(y | x_t = x) of one class for all rows, or one for each → sign, the class of another row, no evidence."""
    model, x = make(data, process), draw(data, process, t, rng)
    column = np.searchsorted(CLASSES, np.broadcast_to(labels, 6))
    expected = slope(lambda z: model.log_p(z, t)[np.arange(6), column], x)
    # the scores that cancel are of size ‖x‖/σ²; points form their squares by expansion
    size = 1 + np.max(np.abs(x) / np.reshape(process.sigma(t) ** 2, (-1, 1)))
    assert_allclose(model.grad_log_p(labels)(x, t), expected, rtol=0, atol=1e-12 * size)


@every_data
@every_process
@every_time
def test_the_pushes_of_all_classes_cancel_and_the_scores_average(data, process, t, rng):
    """Σ_y p(y|x) ∇ ln p(y|x) = ∇ Σ_y p(y|x) = 0, so that s_u = E[s_y | x], and s_y − s_u = ∇ ln p(y|x)."""
    model, x = make(data, process), draw(data, process, t, rng)
    p, sigma = np.exp(model.log_p(x, t)), np.reshape(process.sigma(t), (-1, 1))
    pushes = [model.grad_log_p(y)(x, t) for y in CLASSES]
    scores = [-model.given(y)(x, t) / sigma for y in CLASSES]
    unconditional = -model(x, t) / sigma
    size = 1 + np.max(np.abs(x) / sigma**2)
    for average, expected in ((pushes, 0 * x), (scores, unconditional)):
        total = sum(p[:, i : i + 1] * each for i, each in enumerate(average))
        assert_allclose(total, expected, rtol=0, atol=1e-12 * size)
    for push, score in zip(pushes, scores, strict=True):
        assert_allclose(push, score - unconditional, rtol=0, atol=1e-12 * size)
    assert np.max(np.abs(pushes)) > 1e-5


@every_data
@every_time
def test_the_jacobian_of_the_push_is_symmetric(data, t, rng):
    """∂²ln p/∂x_i∂x_j by a complex step of the gradient: what guidance pulls through, so it must be complex-safe."""
    model, x = make(data, td.VP()), draw(data, td.VP(), t, rng)
    u, v = rng.standard_normal((2, 6, 2))

    def along(direction):
        return np.imag(model.grad_log_p(ASKED)(x + 1j * STEP * direction, t)) / STEP

    one, other = np.sum(v * along(u), axis=1), np.sum(u * along(v), axis=1)
    assert_allclose(one, other, rtol=0, atol=1e-11 * (1 + np.max(1 / td.VP().sigma(t) ** 2) ** 2))
    h = 1e-5 * np.reshape(td.VP().sigma(t), (-1, 1)) * np.ones((6, 1))
    push = model.grad_log_p(ASKED)
    difference = (push(x + h * u, t) - push(x - h * u, t)) / (2 * h)
    assert_allclose(along(u), difference, rtol=1e-6, atol=1e-6 * (1 + np.max(np.abs(difference))))


@every_data
@every_time
def test_no_class_pushes_nowhere(data, t, rng):
    """The label −1, for all rows or for some, is no condition: ln p = 0."""
    model, x = make(data, td.VP()), draw(data, td.VP(), t, rng)
    assert_allclose(model.grad_log_p(-1)(x, t), 0 * x, rtol=0, atol=1e-13 * np.max(1 / td.VP().sigma(t) ** 2))
    some = np.where(np.arange(6) % 2, -1, ASKED)
    push, all_of_them = model.grad_log_p(some)(x, t), model.grad_log_p(ASKED)(x, t)
    assert_allclose(push[1::2], 0 * x[1::2], rtol=0, atol=1e-13 * np.max(1 / td.VP().sigma(t) ** 2))
    assert_allclose(push[::2], all_of_them[::2], rtol=1e-12, atol=1e-12)


def test_two_gaussians_are_parted_by_a_sigmoid():
    """Of p N(m, c) and (1 − p) N(−m, c): ln p(+ | x) = −ln(1 + e^{−u}), u = 2αmx/v + ln p/(1 − p), v = α²c + σ²."""
    m, c, p = 0.9, 0.2, 0.3
    line = td.GaussianMixture([p, 1 - p], [[m], [-m]], [[[c]], [[c]]], [4, 1])
    x = np.linspace(-3, 3, 11)[:, None]
    for process in PROCESSES:
        for t in (0.1, 0.5, 0.9):
            alpha, v = process.alpha(t), process.alpha(t) ** 2 * c + process.sigma(t) ** 2
            u = 2 * alpha * m * x / v + np.log(p / (1 - p))
            model = td.Oracle(line, process)
            expected = -np.log1p(np.exp(np.concatenate([u, -u], axis=1)))  # class 1, then class 4
            assert_allclose(model.log_p(x, t), expected, rtol=1e-11, atol=1e-11)
            assert_allclose(model.grad_log_p(4)(x, t), 2 * alpha * m / v / (1 + np.exp(u)), rtol=0, atol=1e-11 / v)


# Kinds and errors


@every_data
@pytest.mark.parametrize("t", [0.4, ROWS], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(data, t, rng):
    model = make(data, td.VP())
    x = draw(data, td.VP(), t, rng)
    for f in (model.log_p, model.grad_log_p(5), model.grad_log_p(ASKED)):
        single = f(x.astype(np.float32), t)
        assert single.dtype == np.float32
        assert_allclose(single, f(x, t), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: td.Oracle(POINTS, td.VP()).classes(), "these points have no labels"),
        (lambda: td.Oracle(POINTS, td.VP()).log_p(POINTS, 0.5), "these points have no labels"),
        (lambda: td.Oracle(POINTS, td.VP()).grad_log_p(0), "these points have no labels"),
        (lambda: td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), td.VP()).classes(), "mixture has no labels"),
        (
            lambda: make("mixture", td.VP()).grad_log_p(0),
            "labels must be whole numbers among [2, 5, 9], or −1 for none; got [0]",
        ),
        (
            lambda: make("points", td.VP()).grad_log_p([2, 3]),
            "labels must be whole numbers among [2, 5, 9], or −1 for none; got [2, 3]",
        ),
        (lambda: make("points", td.VP()).log_p(POINTS, 0.0), "t > 0"),
        (lambda: make("mixture", td.VP()).log_p(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
    ],
)
def test_questions_without_an_answer_are_value_errors(ask, message):
    """At once for grad_log_p: its labels are wrong before any x is seen."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ask()


def test_a_mixture_for_each_row_has_no_priors_in_common(rng):
    data = td.toys.moons32()
    rows = data.conditional(data.sample(rng, 3), np.array([True, False]))
    with pytest.raises(ValueError, match="its classes have no weights in common"):
        td.Oracle(rows, td.VP()).classes()
