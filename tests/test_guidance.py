"""Guidance is a step along ∇ ln p(y | x_t): Bayes' rule, closed forms and complex steps judge the combination.

    ε̂_w = ε̂(x, t | y) − w σ ∇ ln p(y | x_t),    since ∇ ln q(x_t | y) = ∇ ln q(x_t) + ∇ ln p(y | x_t)

Shapes: K components, B rows, D coordinates. Source: classifier-free guidance [Ho & Salimans 2022].
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import logsumexp

import tinydiff as td

STEP = 1e-30  # of complex steps
PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine()]
WEIGHTS = [-1.0, -0.3, 0.0, 0.5, 4.0]
MIXTURE = td.GaussianMixture(
    [0.4, 0.1, 0.2, 0.3],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2], [0.1, 0.9]],
    [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.2, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 0.3]]],
    [0, 1, 1, 2],
)
LABELS = np.array([0, 1, 2, 1, 0, 2])
TIMES = np.array([0.1, 0.3, 0.45, 0.6, 0.8, 0.95])
NETWORK = td.TimeMLP(2, 8, 2, classes=3)

every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
every_weight = pytest.mark.parametrize("w", WEIGHTS)
every_kind = pytest.mark.parametrize("kind", ["oracle", "network"])
every_time = pytest.mark.parametrize("t", [0.1, 0.95, TIMES], ids=["early", "late", "rows"])


def make(kind, process, dtype=np.float64):
    """A model that takes labels 0, 1 and 2, unconditioned."""
    if kind == "oracle":
        return td.Oracle(MIXTURE, process)
    theta = 0.3 * np.random.default_rng(5).standard_normal(NETWORK.size)
    return td.NetworkDenoiser(NETWORK, theta.astype(dtype), process)


def draw(process, t, rng):
    """x_t of data, and directions u and v, each (6, 2)."""
    x0, eps, u, v = MIXTURE.sample(rng, 6), *rng.standard_normal((3, 6, 2))
    return process.perturb(x0, t, eps), u, v


def log_joint(x, alpha, sigma):
    """ln w_k N(x; α m_k, α² C_k + σ² I), (K, B), from inverses and determinants, for complex x as well."""
    parts = []
    for weight, mean, c in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True):
        covariance = alpha**2 * c + sigma**2 * np.eye(2)
        y = x - alpha * mean
        square = np.sum(y * (y @ np.linalg.inv(covariance)), axis=1)
        parts.append(np.log(weight) - 0.5 * (square + np.linalg.slogdet(2 * np.pi * covariance)[1]))
    return np.stack(parts)


def log_class(x, y, alpha, sigma):
    """ln p(y | x_t = x) by Bayes' rule: what the components of class y have of the whole density, (B,)."""
    joint = log_joint(x, alpha, sigma)
    share = np.exp(joint - np.max(joint.real, axis=0))
    return np.log(np.sum(share * (MIXTURE.labels[:, None] == y), axis=0) / np.sum(share, axis=0))


def gradient(f, x):
    """∇f (B, D) of a function of rows, by complex steps."""
    return np.stack([np.imag(f(x + 1j * STEP * unit)) / STEP for unit in np.eye(x.shape[1])], axis=1)


# What guidance is


@every_process
@every_weight
@pytest.mark.parametrize("t", [0.1, 0.5, 0.95])
def test_guidance_adds_the_gradient_of_the_class_probability(process, w, t, rng):
    """ε̂_w = ε̂(x, t | y) − w σ ∇ ln p(y | x_t), p by Bayes' rule → (1 + w) and −w mixed up, either sign."""
    x, alpha, sigma = draw(process, t, rng)[0], process.alpha(t), process.sigma(t)
    model = td.Oracle(MIXTURE, process)
    push = sigma * gradient(lambda x: log_class(x, LABELS, alpha, sigma), x)
    expected = model.given(LABELS)(x, t) - w * push
    assert np.max(np.abs(push)) > 1e-7  # there is something to be guided by
    size = np.max(np.abs(x)) / sigma  # of the terms that cancel
    guided = td.classifier_free(model.given(LABELS), model, w)(x, t)
    assert_allclose(guided, expected, rtol=0, atol=1e-11 * (1 + abs(w)) * (1 + size))


@every_process
@every_weight
def test_the_guided_score_is_that_of_the_powers_of_the_two_densities(process, w, rng):
    """−ε̂_w/σ = ∇ ln [q(x | y)^{1+w} q(x)^{−w}], the densities SciPy's and the gradient by central differences."""
    t, y = 0.5, 1
    x, alpha, sigma = draw(process, t, rng)[0], process.alpha(t), process.sigma(t)

    def log_power(x):
        parts = np.stack(
            [
                np.log(weight) + stats.multivariate_normal(alpha * mean, alpha**2 * c + sigma**2 * np.eye(2)).logpdf(x)
                for weight, mean, c in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True)
            ]
        )
        return (1 + w) * logsumexp(parts[MIXTURE.labels == y], axis=0) - w * logsumexp(parts, axis=0)

    h = 1e-4 * sigma
    slope = [(log_power(x + h * unit) - log_power(x - h * unit)) / (2 * h) for unit in np.eye(2)]
    model = td.Oracle(MIXTURE, process)
    guided = td.classifier_free(model.given(y), model, w)
    found = td.score(guided, process, x, t) * sigma
    assert_allclose(found, sigma * np.stack(slope, axis=1), rtol=0, atol=1e-6 * (1 + abs(w)))


@every_process
@every_weight
@pytest.mark.parametrize("p", [0.5, 0.2])
def test_two_components_on_a_line_are_guided_by_a_tanh(process, w, p):
    """Of p N(m, c) + (1 − p) N(−m, c): ln p(+ | x) = ln sigmoid(2u) with u = αmx/v + ½ ln p/(1 − p), v = α²c + σ², so

    ε̂_w = σ ((x − αm) − w αm (1 − tanh u))/v, and likewise for the other with −m.
    """
    m, c = 0.9, 0.2
    line = td.GaussianMixture([p, 1 - p], [[m], [-m]], [[[c]], [[c]]], [1, 0])
    model, x = td.Oracle(line, process), np.linspace(-3, 3, 11)[:, None]
    for t in (0.15, 0.5, 0.9):
        alpha, sigma = process.alpha(t), process.sigma(t)
        v = alpha**2 * c + sigma**2
        tanh = np.tanh(alpha * m * x / v + 0.5 * np.log(p / (1 - p)))
        for label, sign in ((1, 1), (0, -1)):
            push = w * alpha * sign * m * (1 - sign * tanh)
            expected = sigma * (x - sign * alpha * m - push) / v
            guided = td.classifier_free(model.given(label), model, w)(x, t)
            assert_allclose(guided, expected, rtol=0, atol=1e-12 * (1 + abs(w)) * (1 + sigma * 4 / v))


@every_kind
@every_time
def test_w_0_is_the_conditional_and_w_minus_1_the_unconditional(kind, t, rng):
    model = make(kind, td.VP())
    x, _, v = draw(td.VP(), t, rng)
    for w, expected in ((0.0, model.given(LABELS)), (-1.0, model)):
        guided = td.classifier_free(model.given(LABELS), model, w)
        assert_array_equal(guided(x, t), expected(x, t))
        assert_array_equal(guided.x0(x, t), expected.x0(x, t))
        assert_array_equal(guided.vjp(x, t, v), expected.vjp(x, t, v))


@every_kind
@every_weight
def test_no_condition_is_no_guidance(kind, w, rng):
    """The label −1 says nothing of x: ln p = 0, and any w gives the unconditional model."""
    model, x = make(kind, td.VP()), rng.standard_normal((6, 2))
    guided = td.classifier_free(model, model, w).given(-1)
    assert_allclose(guided(x, TIMES), model(x, TIMES), rtol=0, atol=1e-12 * (1 + abs(w)))


# The answers agree with each other


@every_kind
@every_process
@every_weight
@every_time
def test_noise_and_data_make_up_x(kind, process, w, t, rng):
    """x = α x̂_0 + σ ε̂, since the weights 1 + w and −w add up to 1; a time for each row too."""
    model, (x, _, _) = make(kind, process), draw(process, t, rng)
    guided = td.classifier_free(model.given(LABELS), model, w)
    alpha, sigma = (np.reshape(c, (-1, 1)) for c in (process.alpha(t), process.sigma(t)))
    made_up = alpha * guided.x0(x, t) + sigma * guided(x, t)
    # x̂_0 of this network is a rotation of F and x, so nothing is divided by α or σ
    assert_allclose(made_up, x, rtol=0, atol=1e-11 * (1 + abs(w)) * (1 + np.max(np.abs(x))))


@every_kind
@every_process
@every_weight
@every_time
def test_vjp_is_the_jacobian_of_the_noise(kind, process, w, t, rng):
    """⟨vᵀ ∂ε̂/∂x, u⟩ = ⟨v, dε̂(x + hu)/dh⟩ in each row by a complex step; a network's Jacobian is not symmetric."""
    model, (x, u, v) = make(kind, process), draw(process, t, rng)
    guided = td.classifier_free(model.given(LABELS), model, w)
    forward = np.imag(guided(x + 1j * STEP * u, t)) / STEP
    expected = np.sum(v * forward, axis=1)
    size = 1e-11 * (1 + abs(w)) * (1 + np.max(1 / process.sigma(t) ** 2))
    assert_allclose(np.sum(guided.vjp(x, t, v) * u, axis=1), expected, rtol=0, atol=size)
    eps, pull = guided.linearize(x, t)
    assert_array_equal(eps, guided(x, t))
    for direction in (v, u):  # one forward pass, many pulls
        assert_array_equal(pull(direction), guided.vjp(x, t, direction))


def test_each_answer_costs_one_evaluation_of_each_model(rng):
    """Many pulls share the forward pass of one linearize."""
    x, v = rng.standard_normal((2, 6, 2))
    conditional, unconditional = (td.counting(make("network", td.VP())) for _ in range(2))
    guided = td.classifier_free(conditional, unconditional, 1.5)
    answers = (lambda: guided(x, 0.5), lambda: guided.x0(x, 0.5), lambda: guided.vjp(x, 0.5, v))
    for n, answer in enumerate(answers, start=1):
        answer()
        assert conditional.nfe == unconditional.nfe == n
    _, pull = guided.linearize(x, 0.5)
    pull(v), pull(x)
    assert conditional.nfe == unconditional.nfe == 4


@every_kind
@every_weight
def test_given_conditions_only_the_conditional(kind, w, rng):
    """Were both conditioned, (1 + w) − w = 1 would leave no guidance; the guided model itself is not changed."""
    model, x = make(kind, td.Cosine()), rng.standard_normal((6, 2))
    before = td.classifier_free(model.given(0), model, w)
    first = before(x, 0.5)
    for labels in (1, LABELS):
        c, u = model.given(labels)(x, 0.5), model(x, 0.5)
        after = before.given(labels)
        assert_allclose(after(x, 0.5), c + w * (c - u), rtol=0, atol=1e-12 * (1 + abs(w)))
        assert after.unconditional is model
        assert after.w == w
    assert_array_equal(before(x, 0.5), first)


# Where it goes


COVARIANCE = np.array([[0.3, 0.1], [0.1, 0.2]])
TOWARDS, FROM = np.array([0.4, -0.2]), np.array([-0.1, 0.3])


def gaussian(mean, process):
    return td.Oracle(td.GaussianMixture([1.0], mean[None], COVARIANCE[None]), process)


@pytest.mark.parametrize("w", [-0.3, 4.0])
@every_process
@pytest.mark.parametrize(
    ("sampler", "knobs"),
    [
        (td.ddpm, {}),
        (td.ddpm, {"variance": "beta"}),
        (td.ddim, {}),
        (td.ddim, {"eta": 0.7}),
        (td.probability_flow, {"method": "euler"}),
        (td.probability_flow, {"method": "heun"}),
        (td.probability_flow, {}),
    ],
    ids=["ddpm", "ddpm-beta", "ddim", "ddim-eta", "euler", "heun", "rk4"],
)
def test_every_sampler_follows_two_gaussians_to_a_third(process, sampler, knobs, w):
    """ε̂ of N(m, C) is affine in m, so that guiding from N(m_0, C) to N(m_1, C) is N((1 + w) m_1 − w m_0, C) exactly."""
    guided = td.classifier_free(gaussian(TOWARDS, process), gaussian(FROM, process), w)
    third = gaussian((1 + w) * TOWARDS - w * FROM, process)
    found, expected = (
        td.sample(model, process, 5, sampler=sampler, steps=8, rng=np.random.default_rng(3), **knobs)
        for model in (guided, third)
    )
    # rounding is 1e-16 of x/σ in each ε̂, at most 1e3 · 1e2, and the steps hardly stretch it
    assert_allclose(found, expected, rtol=0, atol=1e-9 * (1 + np.max(np.abs(expected))))


@every_weight
def test_the_likelihood_follows_two_gaussians_to_a_third(w, rng):
    """The same where the divergence is taken through vjp: ln p of the guided flow is that of the third Gaussian."""
    process, x = td.VP(), rng.standard_normal((5, 2))
    guided = td.classifier_free(gaussian(TOWARDS, process), gaussian(FROM, process), w)
    third = gaussian((1 + w) * TOWARDS - w * FROM, process)
    found, expected = (td.log_likelihood(model, process, x, steps=10) for model in (guided, third))
    assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", [td.ddpm, td.ddim, td.probability_flow])
def test_more_guidance_makes_the_class_more_certain(sampler):
    """The mean of ln p(y | x_0) over samples rises with w from the unconditional to strong guidance."""
    process, y = td.Cosine(), 1
    model = td.Oracle(MIXTURE, process)
    certain = [
        np.mean(
            log_class(
                td.sample(
                    td.classifier_free(model.given(y), model, w), process, 400,
                    sampler=sampler, steps=25, rng=np.random.default_rng(0),
                ),
                y, 1.0, 0.0,
            )
        )
        for w in (-1.0, 0.0, 1.0, 4.0)
    ]  # fmt: skip
    assert np.all(np.diff(certain) > 0)


def test_labels_for_each_row_are_sampled_for_each_row():
    """A label for each of n rows through td.sample: the same numbers as from one class at a time."""
    model, process = td.Oracle(MIXTURE, td.VP()), td.VP()
    guided = td.classifier_free(model, model, 1.0)
    arguments = {"process": process, "n": 6, "steps": 6}
    together = td.sample(guided.given(LABELS), rng=np.random.default_rng(1), **arguments)
    for label in (0, 1, 2):
        rows = [i for i, each in enumerate(LABELS) if each == label]
        alone = td.sample(guided.given(label), rng=np.random.default_rng(1), **arguments)
        assert_allclose(together[rows], alone[rows], rtol=0, atol=1e-12)


# Kinds and errors


@pytest.mark.parametrize("w", [2, 1.5, np.float64(1.5), np.float32(1.5)], ids=lambda w: type(w).__name__)
def test_float32_stays_float32(w, rng):
    """Whatever kind of number w is, since NumPy's float64 would promote what it scales."""
    model = make("network", td.VP(), np.float32)
    guided = td.classifier_free(model.given(LABELS), model, w)
    x, v = rng.standard_normal((2, 6, 2)).astype(np.float32)
    for t in (0.5, TIMES):
        eps, pull = guided.linearize(x, t)
        for answer in (guided(x, t), guided.x0(x, t), guided.vjp(x, t, v), eps, pull(v)):
            assert answer.dtype == np.float32
    assert td.classifier_free(model.given(LABELS), make("network", td.VP()), w).like.dtype == np.float32
    assert guided.like.shape == (0, 2)
    for sampler in (td.ddpm, td.ddim, td.probability_flow):
        assert td.sample(guided, td.VP(), 6, sampler=sampler, steps=3, rng=rng).dtype == np.float32


def test_models_of_different_dimensions_are_refused():
    line = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], np.eye(3)[None]), td.VP())
    plane = make("oracle", td.VP())
    assert td.classifier_free(plane, plane, 1.0).dim == 2
    with pytest.raises(ValueError, match="conditional and unconditional must agree in dim; got 2 and 3"):
        td.classifier_free(plane, line, 1.0)
    with pytest.raises(ValueError, match="got 3 and 2"):
        td.classifier_free(line, plane, 1.0)
