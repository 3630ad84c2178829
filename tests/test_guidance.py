"""Guidance is a step along ∇ ln p(y | x_t); identity 66 holds where it points, these its other answers to it.

    ε̂_w = ε̂(x, t | y) − w σ ∇ ln p(y | x_t),    since ∇ ln q(x_t | y) = ∇ ln q(x_t) + ∇ ln p(y | x_t)

Shapes: B rows, D coordinates. Sources: classifier-free guidance [Ho & Salimans 2022]; guidance by a classifier
[Dhariwal & Nichol 2021]; by a worse model [Karras et al. 2024]; projected [Sadat et al. 2024].
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special

import tinydiff as td
from tinydiff import testing

MIXTURE = td.GaussianMixture(
    [0.4, 0.1, 0.2, 0.3],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2], [0.1, 0.9]],
    [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.2, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 0.3]]],
    [0, 1, 1, 2],
)
POINTS = np.random.default_rng(2).normal(size=(12, 2))
LABELS = np.array([0, 1, 2, 1, 0, 2])
TIMES = np.array([0.1, 0.3, 0.45, 0.6, 0.8, 0.95])
NETWORK, CLASSIFIER = td.TimeMLP(2, 8, 2, classes=3), td.TimeMLP(2, 8, 2, outputs=3)
PLANE = td.Oracle(MIXTURE, td.VP())


def parameters(network, dtype):
    return (0.3 * np.random.default_rng(5).standard_normal(network.size)).astype(dtype)


def make(kind, process, dtype=np.float64):
    """A model that takes labels 0, 1 and 2, unconditioned."""
    if kind == "network":
        return td.NetworkDenoiser(NETWORK, parameters(NETWORK, dtype), process)
    return td.Oracle(MIXTURE, process)


def classifier(push, process, labels=LABELS, dtype=np.float64):
    """∇ ln p(y | x_t) of the labels: exact, of the mixture or of data points, or of a random network."""
    if push == "mixture":
        return td.Oracle(MIXTURE, process).grad_log_p(labels)
    if push == "points":
        return td.Oracle(POINTS.astype(dtype), process, np.arange(12) % 3).grad_log_p(labels)
    return td.Classifier(CLASSIFIER, parameters(CLASSIFIER, dtype), process).grad_log_p(labels)


def worse(process):
    """The exact denoiser of data with a little noise."""
    return td.Oracle(MIXTURE.diffused(1, 0.3), process).given(LABELS)


def guide(by, kind, process, w, dtype=np.float64):
    """A model that is guided without a classifier, or by one."""
    model = make(kind, process, dtype)
    if by == "free":
        return td.ClassifierFreeGuidance(model.given(LABELS), model, w)
    if by == "weak":
        return td.Autoguidance(model.given(LABELS), worse(process), w)
    if by == "projected":
        return td.AdaptiveProjectedGuidance(model.given(LABELS), model, w, parallel=0.3, longest=0.4)
    return td.ClassifierGuidance(model, classifier(by, process, dtype=dtype), w)


@st.composite
def scenes(draw):
    """A process, one time or one for each row, a weight, and x_t of data, a cotangent and a direction, (6, 2) each."""
    process = draw(testing.processes(td.VP, td.SubVP, td.VE, td.Cosine, td.Straight))
    t, w = draw(st.sampled_from([0.1, 0.95, TIMES])), draw(st.sampled_from([-1.0, 0.0]) | st.floats(-1, 4))
    rng = draw(testing.generators())
    x0, eps, u, d = MIXTURE.sample(rng, 6), *rng.standard_normal((3, 6, 2))
    return process, t, w, process.at(t, like=x0).perturb(x0, eps), u, d


every_kind = pytest.mark.parametrize("kind", ["oracle", "network"])
every_guidance = pytest.mark.parametrize("by", ["free", "weak", "projected", "mixture", "points", "learned"])


# The answers agree with each other


@every_kind
@every_guidance
@settings(max_examples=25)
@given(scene=scenes())
def test_noise_and_data_make_up_x(by, kind, scene):
    """x = α x̂_0 + σ ε̂: 1 + w and −w add up to 1, and a push g cancels, −wσg · σ + w(σ²/α)g · α = 0."""
    process, t, w, x, _, _ = scene
    guided = guide(by, kind, process, w)
    made_up = process.at(t, like=x).perturb(guided.x0(x, t), guided(x, t))
    assert_allclose(made_up, x, rtol=0, atol=1e-11 * (1 + abs(w)) * (1 + np.max(np.abs(x))))


@every_kind
@every_guidance
@settings(max_examples=25)
@given(scene=scenes())
def test_pulls_are_the_jacobians_of_the_answers(by, kind, scene):
    """⟨uᵀ ∂f/∂x, d⟩ = ⟨u, df(x + hd)/dh⟩ in each row by a complex step, for f = ε̂ and x̂_0; one pass, many pulls."""
    process, t, w, x, u, d = scene
    guided = guide(by, kind, process, w)
    size = (1 + abs(w)) * (1 + np.max(1 / process.sigma(t) ** 3)) * (1 + np.max(process.sigma(t) / process.alpha(t)))
    for answer, linearize in ((guided, guided.linearize), (guided.x0, guided.linearize_x0)):
        (found, pull), forward = linearize(x, t), np.imag(answer(x + 1e-30j * d, t)) / 1e-30
        assert_allclose(found, answer(x, t), rtol=0, atol=1e-12 * size)
        for one in (u, d):
            assert_allclose(np.sum(pull(one) * d, axis=1), np.sum(one * forward, axis=1), rtol=0, atol=1e-11 * size)


@pytest.mark.parametrize("w", [2, 1.5, np.float64(1.5), np.float32(1.5)], ids=lambda w: type(w).__name__)
@every_kind
@every_guidance
def test_float32_stays_float32(by, kind, w, rng):
    """Whatever kind of number w is, since NumPy's float64 would promote what it scales; near what float64 gives."""
    x, u = rng.standard_normal((2, 6, 2)).astype(np.float32)
    for t in (0.5, TIMES):
        answers = []
        for dtype in (np.float32, np.float64):
            guided = guide(by, kind, td.VP(), w, dtype)
            pairs = guided.linearize(x.astype(dtype), t), guided.linearize_x0(x.astype(dtype), t)
            pulled = [pull(u.astype(dtype)) for _, pull in pairs]
            answers.append([guided(x.astype(dtype), t), guided.x0(x.astype(dtype), t), *(a for a, _ in pairs), *pulled])
        for found, expected in zip(*answers, strict=True):
            assert found.dtype == np.float32
            assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    guided = guide(by, "network", td.VP(), w, np.float32)
    assert (guided.like.dtype, guided.like.shape, guided.dim) == (np.float32, (0, 2), 2)


@pytest.mark.parametrize("by", ["free", "mixture"])
def test_each_answer_costs_one_evaluation_of_each_model(by, rng):
    """Many pulls share the forward pass of one linearize."""
    x, u = rng.standard_normal((2, 6, 2))
    models = [td.Counting(make("network", td.Cosine())) for _ in range(2 if by == "free" else 1)]
    if by == "free":
        guided = td.ClassifierFreeGuidance(*models, 1.5)
    else:
        guided = td.ClassifierGuidance(*models, classifier(by, td.Cosine()), 1.5)
    assert guided.process is models[0].process
    for n, answer in enumerate((guided, guided.x0, guided.linearize, guided.linearize_x0), start=1):
        answer(x, 0.5)
        assert {model.nfe for model in models} == {n}
    _, pull = guided.linearize(x, 0.5)
    pull(u), pull(x)
    assert {model.nfe for model in models} == {5}


# Conditions


@every_kind
def test_given_conditions_only_the_conditional(kind, rng):
    """Were both conditioned, (1 + w) − w = 1 would leave no guidance; the guided model itself is not changed."""
    model, x, w = make(kind, td.Cosine()), rng.standard_normal((6, 2)), 1.5
    before = td.ClassifierFreeGuidance(model.given(0), model, w)
    first = before(x, 0.5)
    for labels in (1, LABELS):
        after, c, u = before.given(labels), model.given(labels)(x, 0.5), model(x, 0.5)
        assert_allclose(after(x, 0.5), c + w * (c - u), rtol=0, atol=1e-12)
        assert after.unconditional is model
    assert_array_equal(before(x, 0.5), first)


def test_given_conditions_the_model_and_keeps_the_push(rng):
    """The classifier goes on pushing to the class that it was asked for; the guided model itself is not changed."""
    model, x, w = make("network", td.VP()), rng.standard_normal((6, 2)), 1.5
    push = classifier("learned", td.VP(), 1)
    before = td.ClassifierGuidance(model, push, w)
    first = before(x, 0.5)
    for labels in (0, LABELS):
        expected = model.given(labels)(x, 0.5) - w * td.VP().at(0.5).sigma * push(x, 0.5)
        assert_allclose(before.given(labels)(x, 0.5), expected, rtol=0, atol=1e-12)
    assert_array_equal(before(x, 0.5), first)


def test_labels_for_each_row_are_sampled_for_each_row():
    """A label for each of n rows through td.sample: the same numbers as from one class at a time."""
    guided = td.ClassifierFreeGuidance(PLANE, PLANE, 1.0)
    together = td.sample(guided.given(LABELS), 6, steps=6, rng=1)
    for row, label in enumerate(LABELS):
        alone = td.sample(guided.given(label), 6, steps=6, rng=1)
        assert_allclose(together[row], alone[row], rtol=0, atol=1e-12)


@every_kind
@pytest.mark.parametrize("labels", [LABELS, 1, -1], ids=["rows", "one", "none"])
def test_some_rows_of_a_guided_model_are_guided_as_in_the_whole(kind, labels, rng):
    """The labels of both models follow their rows; one for all stays."""
    model, x, some = make(kind, td.VP()), rng.standard_normal((6, 2)), slice(2, 5)
    for unconditional in (model, model.given(LABELS[::-1])):
        guided = td.ClassifierFreeGuidance(model.given(labels), unconditional, 1.5)
        assert_allclose(guided.rows(some)(x[some], 0.5), guided(x, 0.5)[some], rtol=0, atol=1e-12)


# Errors


def test_where_no_signal_is_left_a_classifier_has_no_data_to_point_at(rng):
    """x̂_0 divides by α, which is 0 at t = 1 of a chain of zero terminal SNR, in one row or in all; ε̂ does not."""
    chain, x = td.Discrete.linear(50).zero_terminal_snr(), rng.standard_normal((6, 2))
    guided = guide("mixture", "network", chain, 2.0)
    for t in (1.0, np.array([0.5, 0.5, 1.0, 0.5, 0.5, 0.5])):
        for answer in (guided.x0, guided.linearize_x0):
            with pytest.raises(ValueError, match=r"no signal is left at t = .*classifier"):
                answer(x, t)
        assert np.all(np.isfinite(guided(x, t)))
    assert np.all(np.isfinite(guided.x0(x, 0.98)))


def test_models_of_another_dimension_or_process_are_refused_and_both_are_named():
    """Their mixture is the score of nothing; two chains that were made alike are one process."""
    line = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], np.eye(3)[None]), td.VP())
    other = td.Oracle(MIXTURE, td.Cosine())
    for one, two, says in (
        (PLANE, line, "conditional and unconditional must agree in dim; got 2 and 3"),
        (line, PLANE, "got 3 and 2"),
        (PLANE, other, r"conditional and unconditional must be of one process; got VP\(.*Cosine\("),
        (other, PLANE, r"got Cosine\(.*VP\("),
    ):
        with pytest.raises(ValueError, match=says):
            td.ClassifierFreeGuidance(one, two, 1.0)
    alike = [td.Oracle(MIXTURE, td.Discrete.linear(50)) for _ in range(2)]
    assert td.ClassifierFreeGuidance(*alike, 1.0).process is alike[0].process


def test_autoguidance_names_its_models_as_its_arguments_are_named():
    line = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], np.eye(3)[None]), td.VP())
    with pytest.raises(ValueError, match="model and weak must agree in dim; got 2 and 3"):
        td.Autoguidance(PLANE, line, 1.0)
    with pytest.raises(ValueError, match=r"model and weak must be of one process; got VP\(.*Cosine\("):
        td.Autoguidance(PLANE, td.Oracle(MIXTURE, td.Cosine()), 1.0)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_share_of_the_push_is_from_0_to_1(value):
    with pytest.raises(ValueError, match="parallel must be from 0 to 1"):
        td.AdaptiveProjectedGuidance(PLANE, PLANE, 1.0, parallel=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_the_longest_push_has_a_length(value):
    with pytest.raises(ValueError, match="longest must be over 0"):
        td.AdaptiveProjectedGuidance(PLANE, PLANE, 1.0, longest=value)


@pytest.mark.parametrize("stranger", [None, np.zeros((2, 2)), PLANE.x0], ids=["None", "array", "method"])
def test_what_is_no_denoiser_cannot_be_guided(stranger):
    with pytest.raises(TypeError, match="must be a Denoiser"):
        td.ClassifierGuidance(stranger, PLANE.grad_log_p(1), 1.0)
    for pair in ((stranger, PLANE), (PLANE, stranger)):
        for guidance in (td.ClassifierFreeGuidance, td.Autoguidance, td.AdaptiveProjectedGuidance):
            with pytest.raises(TypeError, match="must be a Denoiser"):
                guidance(*pair, 1.0)


@pytest.mark.parametrize("w", [math.nan, math.inf, "2"], ids=repr)
def test_a_weight_that_is_no_number_is_refused(w):
    for guidance, other in ((td.ClassifierGuidance, PLANE.grad_log_p(1)), (td.ClassifierFreeGuidance, PLANE)):
        with pytest.raises((TypeError, ValueError), match=r"\bw\b"):
            guidance(PLANE, other, w)


# An interval of log-SNRs


def test_guidance_may_be_for_an_interval_of_log_snrs(rng):
    """In it the answers are those of guidance, outside the conditional model's, row by row too; its ends are in it."""
    process, x = PLANE.process, rng.standard_normal((6, 2))
    low, high = (float(process.log_snr(t)) for t in (TIMES[3], TIMES[1]))
    full, some = (td.ClassifierFreeGuidance(PLANE.given(LABELS), PLANE, 1.5, *more) for more in ((), ((low, high),)))
    inside = np.array([False, True, True, True, False, False])
    for ask in (lambda model, t: model(x, t), lambda model, t: model.x0(x, t)):
        guided, conditional = ask(full, TIMES), ask(PLANE.given(LABELS), TIMES)
        assert_allclose(ask(some, TIMES), np.where(inside[:, None], guided, conditional), rtol=1e-13)
        assert_array_equal(ask(some, TIMES[0]), ask(PLANE.given(LABELS), TIMES[0]))
    for rows in (slice(1, 3), slice(0, 1)):
        assert_allclose(some.rows(rows)(x[rows], TIMES[rows]), some(x, TIMES)[rows], rtol=1e-13)
    other = np.array([2, 0, 1, 0, 1, 2])
    assert_allclose(some.given(other)(x, 0.95), PLANE.given(other)(x, 0.95), rtol=1e-13)
    for linearize in ("linearize", "linearize_x0"):
        answer, pull = getattr(some, linearize)(x, TIMES)
        assert_allclose(answer, {"linearize": some, "linearize_x0": some.x0}[linearize](x, TIMES), rtol=1e-12)
        pulled = [getattr(each, linearize)(x, TIMES)[1](x) for each in (full, PLANE.given(LABELS))]
        assert_allclose(pull(x), np.where(inside[:, None], *pulled), rtol=1e-12)


def test_outside_its_interval_guidance_asks_one_model():
    conditional, unconditional = td.Counting(PLANE.given(1)), td.Counting(PLANE)
    guided = td.ClassifierFreeGuidance(conditional, unconditional, 1.0, (-1.0, 1.0))
    td.sample(guided, 3, sampler=td.ddim, grid=td.grids.even_log_snr, steps=29, rng=0)
    assert conditional.nfe == 29
    lam = PLANE.process.log_snr(td.grids.even_log_snr(PLANE.process, 28))
    assert unconditional.nfe == np.sum(np.abs(lam) <= 1) == 2
    guided.linearize(np.ones((2, 2)), 0.99)
    guided.linearize_x0(np.ones((2, 2)), 0.99)
    assert unconditional.nfe == 2


@pytest.mark.parametrize("interval", [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), 3.0, "ab", (1.0, 2.0, 3.0)])
def test_an_interval_has_a_lower_end_and_a_higher(interval):
    with pytest.raises(ValueError, match="interval must be two numbers, the lower first"):
        td.ClassifierFreeGuidance(PLANE.given(1), PLANE, 1.0, interval)


# By a worse model


def test_a_worse_model_of_the_same_condition_is_left_behind(rng):
    """ε̂ + w (ε̂ − ε̂_weak), both conditioned anew; a model that is no worse changes nothing, and w = −1 is the weak."""
    x, weak = rng.standard_normal((6, 2)), td.Oracle(MIXTURE.diffused(1, 0.3), td.VP())
    guided = td.Autoguidance(PLANE, weak, 1.5)
    for labels in (1, LABELS, -1):
        one, other = PLANE.given(labels)(x, TIMES), weak.given(labels)(x, TIMES)
        assert_allclose(guided.given(labels)(x, TIMES), one + 1.5 * (one - other), rtol=0, atol=1e-12)
        assert_allclose(td.Autoguidance(PLANE, PLANE, 1.5).given(labels)(x, TIMES), one, rtol=0, atol=1e-12)
        assert_allclose(td.Autoguidance(PLANE, weak, -1.0).given(labels)(x, TIMES), other, rtol=0, atol=1e-12)
    assert_allclose(guided.given(LABELS).rows(slice(2, 5))(x[2:5], 0.5), guided.given(LABELS)(x, 0.5)[2:5], atol=1e-12)


# Projected


def projected(w=1.5, labels=LABELS, interval=(-math.inf, math.inf), **options):
    return td.AdaptiveProjectedGuidance(PLANE.given(labels), PLANE, w, interval, **options)


def test_the_whole_push_of_any_length_is_guidance_without_a_classifier(rng):
    x, u = rng.standard_normal((2, 6, 2))
    one, other = projected(parallel=1.0), guide("free", "oracle", td.VP(), 1.5)
    assert_allclose(one(x, TIMES), other(x, TIMES), rtol=0, atol=1e-12)
    for ask in ("linearize", "linearize_x0"):
        (a, pull), (b, other_pull) = getattr(one, ask)(x, TIMES), getattr(other, ask)(x, TIMES)
        assert_allclose(a, b, rtol=0, atol=1e-12)
        assert_allclose(pull(u), other_pull(u), rtol=0, atol=1e-11)


@pytest.mark.parametrize("longest", [math.inf, 0.4])
@pytest.mark.parametrize("parallel", [0.0, 0.3, 1.0])
def test_a_push_is_shortened_and_then_turned(parallel, longest, rng):
    """Of each row alone, by angles: g = r (cos φ, sin φ) from the direction of c, of which cos φ is scaled."""
    x, w = rng.standard_normal((6, 2)), 1.5
    c = PLANE.given(LABELS).x0(x, TIMES)
    push, moved = (
        a.x0(x, TIMES) - c
        for a in (guide("free", "oracle", td.VP(), w), projected(w, parallel=parallel, longest=longest))
    )
    lengths = np.hypot(*push.T) / w
    assert 0 < np.sum(lengths > 0.4) < 6
    for i in range(6):
        phi = math.atan2(push[i, 1], push[i, 0]) - math.atan2(c[i, 1], c[i, 0])
        ahead, across = c[i] / np.hypot(*c[i]), np.array([-c[i, 1], c[i, 0]]) / np.hypot(*c[i])
        expected = parallel * math.cos(phi) * ahead + math.sin(phi) * across
        assert_allclose(moved[i], w * min(lengths[i], longest) * expected, rtol=0, atol=1e-12)


def test_projected_guidance_follows_labels_rows_and_interval(rng):
    x, options = rng.standard_normal((6, 2)), {"parallel": 0.3, "longest": 0.4}
    guided = projected(labels=0, **options).given(LABELS)
    assert_allclose(guided.x0(x, TIMES), projected(**options).x0(x, TIMES), rtol=0, atol=1e-13)
    assert_allclose(guided.rows(slice(1, 3)).x0(x[1:3], 0.5), guided.x0(x, 0.5)[1:3], rtol=0, atol=1e-13)
    low, high = (float(PLANE.process.log_snr(t)) for t in (TIMES[3], TIMES[1]))
    inside = np.array([False, True, True, True, False, False])
    expected = np.where(inside[:, None], guided.x0(x, TIMES), PLANE.given(LABELS).x0(x, TIMES))
    assert_allclose(projected(interval=(low, high), **options).x0(x, TIMES), expected, rtol=0, atol=1e-13)


def test_where_there_is_no_direction_the_push_stays_whole():
    """At the middle of a symmetric mixture x̂_0 = 0, and where the two models agree there is no push: no 0/0."""
    even = td.GaussianMixture([0.25] * 4, [[-1.0], [-0.3], [0.3], [1.0]], np.full((4, 1, 1), 0.04), [0, 1, 1, 0])
    right = td.GaussianMixture([1.0], [[0.5]], [[[0.1]]])
    x, u = np.zeros((1, 1)), np.ones((1, 1))
    for other in (td.Oracle(even, td.VP()), td.Oracle(right, td.VP())):
        for longest in (math.inf, 1e-3, 10.0):
            model = td.Oracle(even, td.VP()).given(1)
            guided = td.AdaptiveProjectedGuidance(model, other, 2.0, longest=longest)
            push = model.x0(x, 0.5) - other.x0(x, 0.5)
            assert_allclose(guided.x0(x, 0.5), 2 * np.clip(push, -longest, longest), rtol=0, atol=1e-12)
            assert np.all(np.isfinite(guided.linearize_x0(x, 0.5)[1](u)))


def test_projected_guidance_takes_what_there_is_where_no_signal_is_left(rng):
    """It divides by σ alone: at the end of a chain of zero terminal SNR both answers are finite."""
    guided = guide("projected", "oracle", td.Discrete.linear(50).zero_terminal_snr(), 2.0)
    assert np.all(np.isfinite(guided(rng.standard_normal((6, 2)), 1.0)))


# The laws of the samples in one dimension


def ends_of(guided, z, steps=(40, 60, 80)):
    """Where RK4 carries noise z (B, 1), with no step across a log-SNR of −3 or of 2."""
    process, d = guided.process, 1e-9
    ends = process.log_snr(process.t_max), -3 - d, -3 + d, 2 - d, 2 + d, process.log_snr(process.t_min)
    pieces = [np.linspace(a, b, n) for a, b, n in zip(ends[::2], ends[1::2], steps, strict=True)]
    ts = np.clip(process.time(np.concatenate(pieces)), process.t_min, process.t_max)
    return td.last(td.probability_flow(guided, z, ts, method="rk4"))[1]


@pytest.mark.parametrize("interval", [(-math.inf, math.inf), (-3.0, 2.0)], ids=["always", "interval"])
@pytest.mark.parametrize("by", ["free", "weak", "projected"])
@pytest.mark.parametrize("w", [-0.5, 2.0])
def test_between_gaussians_the_flow_is_linear_and_its_variance_a_geometric_mean(by, interval, w):
    """dy/du = u Σ w_i (y − m_i)/(v_i + u²) in y = x/α and u = σ/α, with the weights 1 + w and −w.

    So y(u) = m(u) + s(u) z, where s² is the product of the (v_i + u²)^{w_i}, which from much noise ends at
    c^{1+w}/u^w for data of variance c guided against u; and m solves a linear equation, by quadrature.
    """
    process, (m, var) = td.VP(), (1.0, 0.3)
    other, other_var = (m, var + 0.5**2) if by == "weak" else (0.0, 1.0)
    one, two = (
        td.Oracle(td.GaussianMixture([1.0], [[a]], [[[b]]]), process) for a, b in ((m, var), (other, other_var))
    )
    share = 0.25 if by == "projected" else 1.0
    guided = {
        "free": lambda: td.ClassifierFreeGuidance(one, two, w, interval),
        "weak": lambda: td.Autoguidance(one, two, w, interval),
        "projected": lambda: td.AdaptiveProjectedGuidance(one, two, w, interval, parallel=share),
    }[by]()
    first, last = (math.exp(-process.log_snr(t) / 2) for t in (process.t_max, process.t_min))
    low, high = (min(max(math.exp(-each / 2), last), first) for each in interval[::-1])

    def log_scale(u):
        """ln s(u), but for a constant."""
        inside = min(max(u, low), high)
        guided = math.log(var + inside**2) - math.log(other_var + inside**2)
        return 0.5 * math.log(var + u**2) + 0.5 * w * share * guided

    def source(u):
        """−∂(dy/du)/∂m, over s(u)."""
        weight = w * share * (low < u < high)
        return u * ((1 + weight) * m / (var + u**2) - weight * other / (other_var + u**2)) / math.exp(log_scale(u))

    ends = ends_of(guided, np.array([[0.0], [1.0]])) / process.alpha(process.t_min)
    scale = math.exp(log_scale(last) - log_scale(first)) / process.alpha(process.t_max)
    mean = sum(integrate.quad(source, a, b, epsabs=0, epsrel=1e-11, limit=500)[0]
               for a, b in ((last, low), (low, high), (high, first)) if b > a)  # fmt: skip
    assert_allclose(ends[1, 0] - ends[0, 0], scale, rtol=1e-5)
    assert_allclose(ends[0, 0], mean * math.exp(log_scale(last)), rtol=1e-5)
    if interval == (-math.inf, math.inf):
        power = var ** (1 + w * share) * other_var ** (-w * share)
        assert_allclose(scale**2, power, rtol=2e-3)  # noise and data that end at t_max and t_min


LINE = td.GaussianMixture([0.25] * 4, [[-1.3], [-0.2], [0.3], [1.2]], np.full((4, 1, 1), 0.0625), [0, 1, 0, 1])


@pytest.mark.parametrize("by", ["free", "weak", "bounded"])
def test_in_one_dimension_the_likelihood_is_the_law_of_the_samples(by):
    """The flow T is monotone in z: the mass of exp(log_likelihood) up to T(z) is that of the prior up to z, Φ(z)."""
    model = td.Oracle(LINE, td.VP())
    guided = {
        "free": lambda: td.ClassifierFreeGuidance(model.given(1), model, 1.0),
        "weak": lambda: td.Autoguidance(model, td.Oracle(LINE.diffused(1, 0.2), td.VP()), 1.0).given(1),
        "bounded": lambda: td.AdaptiveProjectedGuidance(model.given(1), model, 1.0, parallel=0.8, longest=0.3),
    }[by]()
    z, x = np.linspace(-2, 2, 9)[:, None], np.linspace(-2.5, 2.5, 1001)
    law = np.exp(td.log_likelihood(guided, x[:, None], steps=100))
    up_to = np.concatenate([[0.0], integrate.cumulative_trapezoid(law, x)])
    assert_allclose(up_to[-1], 1, rtol=0, atol=1e-3)
    ends = guided.x0(ends_of(guided, z), guided.process.t_min)
    assert_allclose(np.interp(ends[:, 0], x, up_to), special.ndtr(z[:, 0]), rtol=0, atol=1e-3)
