"""Guidance is a step along ∇ ln p(y | x_t): Bayes' rule, closed forms and complex steps judge the combination.

    ε̂_w = ε̂(x, t | y) − w σ ∇ ln p(y | x_t),    since ∇ ln q(x_t | y) = ∇ ln q(x_t) + ∇ ln p(y | x_t)

The same step taken by a classifier is the same guidance, and neither samples the law that its w seems to name.

Shapes: K components, B rows, D coordinates. Sources: classifier-free guidance [Ho & Salimans 2022]; guidance by a
classifier [Dhariwal & Nichol 2021].
"""

import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate

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
    """x_t of data, a cotangent u and a direction d, each (6, 2)."""
    x0, eps, u, d = MIXTURE.sample(rng, 6), *rng.standard_normal((3, 6, 2))
    return process.at(t, like=x0).perturb(x0, eps), u, d


def pulled(model, x, t, u):
    """uᵀ ∂ε̂/∂x, (6, 2)."""
    return model.linearize(x, t)[1](u)


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


@every_kind
@every_time
def test_w_0_is_the_conditional_and_w_minus_1_the_unconditional(kind, t, rng):
    model = make(kind, td.VP())
    x, u, _ = draw(td.VP(), t, rng)
    for w, expected in ((0.0, model.given(LABELS)), (-1.0, model)):
        guided = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
        assert_array_equal(guided(x, t), expected(x, t))
        assert_array_equal(guided.x0(x, t), expected.x0(x, t))
        for name in ("linearize", "linearize_x0"):
            assert_array_equal(getattr(guided, name)(x, t)[1](u), getattr(expected, name)(x, t)[1](u))


@every_kind
@every_weight
def test_no_condition_is_no_guidance(kind, w, rng):
    """The label −1 says nothing of x: ln p = 0, and any w gives the unconditional model."""
    model, x = make(kind, td.VP()), rng.standard_normal((6, 2))
    guided = td.ClassifierFreeGuidance(model, model, w).given(-1)
    assert_allclose(guided(x, TIMES), model(x, TIMES), rtol=0, atol=1e-12 * (1 + abs(w)))


# The answers agree with each other


@every_kind
@every_process
@every_weight
@every_time
def test_noise_and_data_make_up_x(kind, process, w, t, rng):
    """x = α x̂_0 + σ ε̂, since the weights 1 + w and −w add up to 1; a time for each row too."""
    model, (x, _, _) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    made_up = process.at(t, like=x).perturb(guided.x0(x, t), guided(x, t))
    # x̂_0 of this network is a rotation of F and x, so nothing is divided by α or σ
    assert_allclose(made_up, x, rtol=0, atol=1e-11 * (1 + abs(w)) * (1 + np.max(np.abs(x))))


@every_kind
@every_process
@every_weight
@every_time
def test_pull_is_the_jacobian_of_the_noise(kind, process, w, t, rng):
    """⟨uᵀ ∂ε̂/∂x, d⟩ = ⟨u, dε̂(x + hd)/dh⟩ in each row by a complex step; a network's Jacobian is not symmetric."""
    model, (x, u, d) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    forward = np.imag(guided(x + 1j * STEP * d, t)) / STEP
    size = 1e-11 * (1 + abs(w)) * (1 + np.max(1 / process.sigma(t) ** 2))
    eps, pull = guided.linearize(x, t)
    assert_allclose(eps, guided(x, t), rtol=0, atol=1e-13 * (1 + np.max(np.abs(eps))))
    for one, other in ((u, d), (d, u)):  # one forward pass, many pulls
        assert_allclose(np.sum(pull(one) * d, axis=1), np.sum(one * forward, axis=1), rtol=0, atol=size)
        assert_array_equal(pull(other), pulled(guided, x, t, other))


@every_kind
@every_process
@every_weight
@every_time
def test_the_pull_of_the_data_is_the_jacobian_of_the_data(kind, process, w, t, rng):
    """The same for x̂_0, which is not taken from ε̂ but is native to each kind."""
    model, (x, u, d) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    x0_hat, pull = guided.linearize_x0(x, t)
    forward = np.imag(guided.x0(x + 1j * STEP * d, t)) / STEP
    size = 1e-11 * (1 + abs(w)) * (1 + np.max(1 / process.sigma(t) ** 2))
    assert_allclose(x0_hat, guided.x0(x, t), rtol=0, atol=1e-13 * (1 + np.max(np.abs(x0_hat))))
    assert_allclose(np.sum(pull(u) * d, axis=1), np.sum(u * forward, axis=1), rtol=0, atol=size)


def test_each_answer_costs_one_evaluation_of_each_model(rng):
    """Many pulls share the forward pass of one linearize."""
    x, u = rng.standard_normal((2, 6, 2))
    conditional, unconditional = (td.Counting(make("network", td.VP())) for _ in range(2))
    guided = td.ClassifierFreeGuidance(conditional, unconditional, 1.5)
    for n, answer in enumerate((guided, guided.x0, guided.linearize, guided.linearize_x0), start=1):
        answer(x, 0.5)
        assert conditional.nfe == unconditional.nfe == n
    _, pull = guided.linearize(x, 0.5)
    pull(u), pull(x)
    assert conditional.nfe == unconditional.nfe == 5


@every_kind
@every_weight
def test_given_conditions_only_the_conditional(kind, w, rng):
    """Were both conditioned, (1 + w) − w = 1 would leave no guidance; the guided model itself is not changed."""
    model, x = make(kind, td.Cosine()), rng.standard_normal((6, 2))
    before = td.ClassifierFreeGuidance(model.given(0), model, w)
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
    ("sampler", "options"),
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
def test_every_sampler_follows_two_gaussians_to_a_third(process, sampler, options, w):
    """ε̂ of N(m, C) is affine in m, so that guiding from N(m_0, C) to N(m_1, C) is N((1 + w) m_1 − w m_0, C) exactly."""
    guided = td.ClassifierFreeGuidance(gaussian(TOWARDS, process), gaussian(FROM, process), w)
    third = gaussian((1 + w) * TOWARDS - w * FROM, process)
    found, expected = (
        td.sample(model, 5, sampler=sampler, steps=8, grid=td.grids.even_log_snr, rng=3, **options)
        for model in (guided, third)
    )
    # rounding is 1e-16 of x/σ in each ε̂, at most 1e3 · 1e2, and the steps hardly stretch it
    assert_allclose(found, expected, rtol=0, atol=1e-9 * (1 + np.max(np.abs(expected))))


@every_weight
def test_the_likelihood_follows_two_gaussians_to_a_third(w, rng):
    """The same where the divergence is taken by pulls: ln p of the guided flow is that of the third Gaussian."""
    process, x = td.VP(), rng.standard_normal((5, 2))
    guided = td.ClassifierFreeGuidance(gaussian(TOWARDS, process), gaussian(FROM, process), w)
    third = gaussian((1 + w) * TOWARDS - w * FROM, process)
    found, expected = (td.log_likelihood(model, x, steps=10) for model in (guided, third))
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
                    td.ClassifierFreeGuidance(model.given(y), model, w), 400, sampler=sampler, steps=25, rng=0
                ),
                y, 1.0, 0.0,
            )
        )
        for w in (-1.0, 0.0, 1.0, 4.0)
    ]  # fmt: skip
    assert np.all(np.diff(certain) > 0)


def test_labels_for_each_row_are_sampled_for_each_row():
    """A label for each of n rows through td.sample: the same numbers as from one class at a time."""
    model = td.Oracle(MIXTURE, td.VP())
    guided = td.ClassifierFreeGuidance(model, model, 1.0)
    together = td.sample(guided.given(LABELS), 6, steps=6, rng=1)
    for label in (0, 1, 2):
        rows = [i for i, each in enumerate(LABELS) if each == label]
        alone = td.sample(guided.given(label), 6, steps=6, rng=1)
        assert_allclose(together[rows], alone[rows], rtol=0, atol=1e-12)


# Kinds and errors


@pytest.mark.parametrize("w", [2, 1.5, np.float64(1.5), np.float32(1.5)], ids=lambda w: type(w).__name__)
def test_float32_stays_float32(w, rng):
    """Whatever kind of number w is, since NumPy's float64 would promote what it scales."""
    model = make("network", td.VP(), np.float32)
    guided = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    x, u = rng.standard_normal((2, 6, 2)).astype(np.float32)
    for t in (0.5, TIMES):
        (eps, pull), (x0_hat, pull_x0) = guided.linearize(x, t), guided.linearize_x0(x, t)
        for answer in (guided(x, t), guided.x0(x, t), eps, pull(u), x0_hat, pull_x0(u)):
            assert answer.dtype == np.float32
    assert td.ClassifierFreeGuidance(model.given(LABELS), make("network", td.VP()), w).like.dtype == np.float32
    assert guided.like.shape == (0, 2)
    for sampler in (td.ddpm, td.ddim, td.probability_flow):
        assert td.sample(guided, 6, sampler=sampler, steps=3, rng=rng).dtype == np.float32


def test_models_of_different_dimensions_are_refused():
    line = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], np.eye(3)[None]), td.VP())
    plane = make("oracle", td.VP())
    assert td.ClassifierFreeGuidance(plane, plane, 1.0).dim == 2
    with pytest.raises(ValueError, match="conditional and unconditional must agree in dim; got 2 and 3"):
        td.ClassifierFreeGuidance(plane, line, 1.0)
    with pytest.raises(ValueError, match="got 3 and 2"):
        td.ClassifierFreeGuidance(line, plane, 1.0)


def test_models_of_different_processes_are_refused_and_both_are_named():
    """Such a mixture of ε̂ is the score of nothing."""
    one, other = (td.Oracle(MIXTURE, process) for process in (td.VP(), td.Cosine()))
    with pytest.raises(ValueError, match=r"conditional and unconditional must be of one process; got VP\(.*Cosine\("):
        td.ClassifierFreeGuidance(one, other, 1.0)
    with pytest.raises(ValueError, match=r"got Cosine\(.*VP\("):
        td.ClassifierFreeGuidance(other, one, 1.0)


def test_models_of_equal_processes_belong_together():
    """Two chains made alike are one process, and so is one that was pickled."""
    one, other = (td.Oracle(MIXTURE, td.Discrete.linear(50)) for _ in range(2))
    assert td.ClassifierFreeGuidance(one, other, 1.0).process is one.process
    assert td.ClassifierFreeGuidance(one, pickle.loads(pickle.dumps(other)), 1.0).dim == 2


# By a classifier


CONTINUOUS = [*PROCESSES, td.Straight()]
CLASSIFIER = td.TimeMLP(2, 8, 2, outputs=3)
POINTS = np.random.default_rng(2).normal(size=(12, 2))
every_continuous = pytest.mark.parametrize("process", CONTINUOUS, ids=lambda p: type(p).__name__)
every_push = pytest.mark.parametrize("push", ["mixture", "points", "learned"])


def classifier_of(push, process, labels=LABELS, dtype=np.float64):
    """∇ ln p(y | x_t) of the labels: exact, of the mixture or of data points, or of a random network."""
    if push == "mixture":
        return td.Oracle(MIXTURE, process).grad_log_p(labels)
    if push == "points":
        return td.Oracle(POINTS, process, np.arange(12) % 3).grad_log_p(labels)
    theta = 0.3 * np.random.default_rng(6).standard_normal(CLASSIFIER.size)
    return td.Classifier(CLASSIFIER, theta.astype(dtype), process).grad_log_p(labels)


def stepped(model, labels):
    """∇ ln p(y | x_t) by complex steps of the columns of log_p: it shares nothing with grad_log_p."""

    def grad_log_p(x, t):
        return gradient(lambda z: model.log_p(z, t)[np.arange(len(z)), labels], x)

    return grad_log_p


@every_continuous
@every_weight
@every_time
def test_classifier_free_w_is_a_classifier_of_1_plus_w(process, w, t, rng):
    """ε̂ and x̂_0 of w without a classifier are those of 1 + w with one on the unconditional model, p by Bayes' rule and
    its gradient by complex steps; the pull, ε̂'s derivative by central differences → sign, σ, σ²/α, w for 1 + w.
    """
    model, (x, _, u) = td.Oracle(MIXTURE, process), draw(process, t, rng)
    free = td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    pushed = td.ClassifierGuidance(model, stepped(model, LABELS), 1 + w)
    now = process.at(t, like=x)
    alpha, sigma = now.alpha, now.sigma
    size = (1 + abs(w)) * (1 + np.max(np.abs(x) / sigma))
    assert_allclose(pushed(x, t), free(x, t), rtol=0, atol=1e-12 * size)
    assert_allclose(pushed.x0(x, t), free.x0(x, t), rtol=0, atol=1e-12 * size * (1 + np.max(sigma / alpha)))
    exact = td.ClassifierGuidance(model, model.grad_log_p(LABELS), 1 + w)
    h = 1e-5 * np.max(sigma)
    difference = (pushed(x + h * u, t) - pushed(x - h * u, t)) / (2 * h)  # ∂ε̂/∂x is symmetric
    jacobian = 1e-12 * (1 + abs(w)) * (1 + np.max(1 / sigma**3))
    assert_allclose(pulled(exact, x, t, u), pulled(free, x, t, u), rtol=0, atol=jacobian)
    rough = 1e-7 * (1 + np.max(np.abs(difference))) / np.min(sigma)
    assert_allclose(pulled(exact, x, t, u), difference, rtol=0, atol=rough)


@every_continuous
@every_time
def test_a_classifier_of_weight_0_says_nothing_and_of_1_is_bayes_rule(process, t, rng):
    """w = 0 is the unconditional model, to the last bit; w = 1 the conditional one."""
    model, (x, u, _) = td.Oracle(MIXTURE, process), draw(process, t, rng)
    alpha, sigma = np.min(process.alpha(t)), np.min(process.sigma(t))
    size = 1e-11 * np.max(1 + np.abs(x)) * (1 + 1 / (alpha * sigma**3))
    for w, expected, tolerance in ((0.0, model, 0.0), (1.0, model.given(LABELS), size)):
        guided = td.ClassifierGuidance(model, model.grad_log_p(LABELS), w)
        assert_allclose(guided(x, t), expected(x, t), rtol=0, atol=tolerance)
        assert_allclose(guided.x0(x, t), expected.x0(x, t), rtol=0, atol=tolerance)
        assert_allclose(pulled(guided, x, t, u), pulled(expected, x, t, u), rtol=0, atol=tolerance)


@every_push
@every_kind
@every_continuous
@every_weight
@every_time
def test_noise_and_data_pushed_by_a_classifier_make_up_x(push, kind, process, w, t, rng):
    """x = α x̂_0 + σ ε̂ for any push g, since −wσg · σ + w(σ²/α)g · α = 0 → either sign, σ for σ²."""
    model, (x, _, _) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierGuidance(model, classifier_of(push, process), w)
    assert np.max(np.abs(classifier_of(push, process)(x, t))) > 1e-6  # there is a push
    made_up = process.at(t, like=x).perturb(guided.x0(x, t), guided(x, t))
    assert_allclose(made_up, x, rtol=0, atol=1e-11 * (1 + abs(w)) * (1 + np.max(np.abs(x))))


@every_push
@every_kind
@every_continuous
@every_time
@pytest.mark.parametrize("w", [-0.3, 2.0])
def test_pull_by_a_classifier_is_the_jacobian_of_the_noise(push, kind, process, t, w, rng):
    """⟨uᵀ ∂ε̂/∂x, d⟩ = ⟨u, dε̂(x + hd)/dh⟩ in each row by a complex step; only the push's part is symmetric."""
    model, (x, u, d) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierGuidance(model, classifier_of(push, process), w)
    forward = np.imag(guided(x + 1j * STEP * d, t)) / STEP
    tolerance = 1e-11 * (1 + np.max(1 / process.sigma(t) ** 3))
    eps, pull = guided.linearize(x, t)
    assert_allclose(eps, guided(x, t), rtol=0, atol=1e-13 * (1 + np.max(np.abs(eps))))
    for one in (u, d):
        assert_allclose(np.sum(pull(one) * d, axis=1), np.sum(one * forward, axis=1), rtol=0, atol=tolerance)


@every_push
@every_kind
@every_continuous
@every_time
def test_pull_of_the_data_by_a_classifier_is_their_jacobian(push, kind, process, t, rng):
    """The same for x̂_0, whose push is divided by α: the tolerance is that of σ²/α."""
    model, (x, u, d) = make(kind, process), draw(process, t, rng)
    guided = td.ClassifierGuidance(model, classifier_of(push, process), 2.0)
    x0_hat, pull = guided.linearize_x0(x, t)
    forward = np.imag(guided.x0(x + 1j * STEP * d, t)) / STEP
    tolerance = 1e-11 * (1 + np.max(1 / process.sigma(t) ** 3)) * (1 + np.max(process.sigma(t) / process.alpha(t)))
    assert_allclose(x0_hat, guided.x0(x, t), rtol=0, atol=tolerance)
    assert_allclose(np.sum(pull(u) * d, axis=1), np.sum(u * forward, axis=1), rtol=0, atol=tolerance)


M_C, V_C = 1.0, 0.3  # p_c = N(1, .3), p_u = N(0, 1)


def lines(process):
    """The exact models of p_c and of p_u, on a line."""
    return tuple(td.Oracle(td.GaussianMixture([1.0], [[m]], [[[v]]]), process) for m, v in ((M_C, V_C), (0.0, 1.0)))


def flow_of_two_lines(w, first, last):
    """(a, b) of the guided flow x ↦ a x + b from time `first` to `last`, by quadrature over ℓ = ln u.

    In y = x/α and u = σ/α the flow is dy/du = ε̂ = (1 + w) u (y − m)/(v_c + u²) − w u y/(1 + u²), a linear equation
    whose homogeneous solution is H(u) = (v_c + u²)^{(1+w)/2} (1 + u²)^{−w/2}.
    """
    process = td.VP()

    def h(u):
        return (V_C + u**2) ** ((1 + w) / 2) * (1 + u**2) ** (-w / 2)

    def rise(ell):
        u = math.exp(ell)
        return (1 + w) * u**2 * M_C / (V_C + u**2) / h(u)

    alpha, alpha_end = process.alpha(first), process.alpha(last)
    u, u_end = process.sigma(first) / alpha, process.sigma(last) / alpha_end
    drawn = integrate.quad(rise, math.log(u_end), math.log(u), epsabs=1e-13, epsrel=1e-12, limit=200)[0]
    return alpha_end / alpha * h(u_end) / h(u), alpha_end * h(u_end) * drawn


@pytest.mark.parametrize("w", [-1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
def test_the_guided_flow_of_two_gaussians_is_known_for_every_w(w):
    """Its end is affine in its start, by the quadrature above; only at w = −1 and 0 is it that of a law of the two."""
    process = td.VP()
    conditional, unconditional = lines(process)
    guided, ends = td.ClassifierFreeGuidance(conditional, unconditional, w), [process.t_max, process.t_min]
    start = np.array([[0.0], [1.0]])
    x = td.last(td.probability_flow(guided, start, ends, method="rk45", rtol=1e-10, atol=1e-12))[1]
    assert (x[1, 0] - x[0, 0], x[0, 0]) == pytest.approx(flow_of_two_lines(w, *ends), rel=1e-7, abs=1e-9)
    if w in (-1.0, 0.0):
        law = (0.0, 1.0) if w else (M_C, V_C)
        assert (x[0, 0], (x[1, 0] - x[0, 0]) ** 2) == pytest.approx(law, abs=0.01)
    else:
        assert abs((x[1, 0] - x[0, 0]) ** 2 - 1 / ((1 + w) / V_C - w)) > 0.02


SAMPLERS = [
    (td.ddpm, {}),
    (td.ddim, {"eta": 0.7}),
    (td.dpm_solver_2m, {}),
    (td.edm_heun, {}),
    (td.probability_flow, {"method": "heun"}),
    (td.euler_maruyama, {"eta": 0.5}),
    (td.predictor_corrector, {}),
]


@pytest.mark.parametrize(("sampler", "options"), SAMPLERS, ids=lambda p: getattr(p, "__name__", ""))
@every_process
def test_every_sampler_takes_either_guidance(sampler, options, process):
    """The same draws by w without a classifier and by 1 + w with one on the unconditional model."""
    model, w = td.Oracle(MIXTURE, process), 1.5
    pair = (
        td.ClassifierFreeGuidance(model.given(LABELS), model, w),
        td.ClassifierGuidance(model, model.grad_log_p(LABELS), 1 + w),
    )
    free, pushed = (td.sample(guided, 6, sampler=sampler, steps=8, rng=3, **options) for guided in pair)
    assert_allclose(pushed, free, rtol=0, atol=1e-7 * (1 + np.max(np.abs(free))))


@every_continuous
def test_the_likelihood_is_the_same_by_either_guidance(process, rng):
    """Where the divergence is taken by pulls."""
    model, w, x = td.Oracle(MIXTURE, process), 0.7, MIXTURE.sample(rng, 6)
    found, expected = (
        td.log_likelihood(guided, x, steps=8)
        for guided in (
            td.ClassifierGuidance(model, model.grad_log_p(LABELS), 1 + w),
            td.ClassifierFreeGuidance(model.given(LABELS), model, w),
        )
    )
    assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@every_weight
def test_given_conditions_the_model_and_keeps_the_push(w, rng):
    """The classifier goes on pushing to the class that it was asked for; the guided model itself is not changed."""
    model, x = make("network", td.VP()), rng.standard_normal((6, 2))
    push = classifier_of("learned", td.VP(), 1)
    before = td.ClassifierGuidance(model, push, w)
    first = before(x, 0.5)
    for labels in (0, LABELS):
        after = before.given(labels)
        expected = model.given(labels)(x, 0.5) - w * td.VP().at(0.5).sigma * push(x, 0.5)
        assert_allclose(after(x, 0.5), expected, rtol=0, atol=1e-13 * (1 + abs(w)))
        assert type(after) is td.ClassifierGuidance
        assert (after.w, after.grad_log_p) == (w, push)
    assert_array_equal(before(x, 0.5), first)


def test_each_answer_by_a_classifier_costs_one_evaluation_of_the_model(rng):
    """A counted model keeps its process, so that it can be guided, and counted once more around the guidance."""
    process = td.Cosine()
    model, x, u = td.Counting(make("network", process)), *rng.standard_normal((2, 6, 2))
    guided = td.ClassifierGuidance(model, classifier_of("mixture", process), 1.5)
    assert guided.process is process
    assert td.Counting(guided).process is process
    for n, answer in enumerate((guided, guided.x0, guided.linearize, guided.linearize_x0), start=1):
        answer(x, 0.5)
        assert model.nfe == n
    _, pull = guided.linearize(x, 0.5)
    pull(u), pull(x)
    assert model.nfe == 5
    again = td.ClassifierGuidance(td.Counting(guided), classifier_of("mixture", process), -1.5)
    assert_allclose(again(x, 0.5), model.model(x, 0.5), rtol=0, atol=1e-12)  # pushed and pulled back


def test_where_no_signal_is_left_a_classifier_has_no_data_to_point_at(rng):
    """x̂_0 divides by α, which is 0 at t = 1 of a chain of zero terminal SNR, in one row or in all; ε̂ does not."""
    chain = td.Discrete.linear(50).zero_terminal_snr()
    model, x = make("network", chain), rng.standard_normal((6, 2))
    guided = td.ClassifierGuidance(model, classifier_of("mixture", chain), 2.0)
    for t in (1.0, np.array([0.5, 0.5, 1.0, 0.5, 0.5, 0.5])):
        for answer in (guided.x0, guided.linearize_x0):
            with pytest.raises(ValueError, match=r"no signal is left at t = .*classifier"):
                answer(x, t)
        assert np.all(np.isfinite(guided(x, t)))
    assert np.all(np.isfinite(guided.x0(x, 0.98)))


def test_what_is_no_denoiser_cannot_be_guided():
    model = make("oracle", td.VP())
    for stranger in (None, np.zeros((2, 2)), model.x0):
        with pytest.raises(TypeError, match="must be a Denoiser"):
            td.ClassifierGuidance(stranger, model.grad_log_p(1), 1.0)
        with pytest.raises(TypeError, match="must be a Denoiser"):
            td.ClassifierFreeGuidance(stranger, model, 1.0)


@pytest.mark.parametrize("w", [math.nan, math.inf, "2"], ids=repr)
def test_a_weight_that_is_no_number_is_refused(w):
    model = make("oracle", td.VP())
    with pytest.raises((TypeError, ValueError), match=r"\bw\b"):
        td.ClassifierGuidance(model, model.grad_log_p(1), w)
    with pytest.raises((TypeError, ValueError), match=r"\bw\b"):
        td.ClassifierFreeGuidance(model, model, w)


def test_guided_models_pickle(rng):
    model, x = make("network", td.VP()), rng.standard_normal((6, 2))
    guided = td.ClassifierFreeGuidance(model.given(LABELS), model, 1.5)
    assert_array_equal(pickle.loads(pickle.dumps(guided))(x, 0.5), guided(x, 0.5))


@pytest.mark.parametrize("w", [2, 1.5, np.float64(1.5), np.float32(1.5)], ids=lambda w: type(w).__name__)
@every_push
def test_float32_stays_float32_by_a_classifier(push, w, rng):
    """ε̂ and x̂_0, at one time and at a time for each row, and samples."""
    model = make("network", td.VP(), np.float32)
    guided = td.ClassifierGuidance(model, classifier_of(push, td.VP(), dtype=np.float32), w)
    x = rng.standard_normal((6, 2)).astype(np.float32)
    for t in (0.5, TIMES):
        for answer in (guided(x, t), guided.x0(x, t)):
            assert answer.dtype == np.float32
    assert guided.like.dtype == np.float32
    assert guided.like.shape == (0, 2)
    assert guided.dim == 2
    for sampler in (td.ddpm, td.ddim, td.probability_flow):
        assert td.sample(guided, 6, sampler=sampler, steps=3, rng=rng).dtype == np.float32


@pytest.mark.parametrize("data", ["mixture", "points"])
def test_the_pull_of_a_classifier_keeps_single_precision(data, rng):
    """The complex step of float32 points gives float32, near what float64 gives."""
    process, points = td.VP(), rng.standard_normal((10, 2))
    exact = {
        kind: td.Oracle(td.toys.moons32(), process)
        if data == "mixture"
        else td.Oracle(points.astype(kind), process, np.arange(10) % 2)
        for kind in (np.float32, np.float64)
    }
    x, u = rng.standard_normal((2, 4, 2))
    found, expected = (
        pulled(td.ClassifierGuidance(model, model.grad_log_p(1), 2.0), x.astype(kind), 0.5, u.astype(kind))
        for kind, model in exact.items()
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
