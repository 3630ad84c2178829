"""The exact classifier of noisy points, ln p(y | x_t), of a mixture; that of points is held to it in test_oracle.

    p(y | x) = Σ_{k of class y} w_k N(x; α m_k, α² C_k + σ² I) / Σ_k w_k N(x; α m_k, α² C_k + σ² I)

Shapes: K components, B rows, D coordinates, C classes. Sources: Bayes' rule; classifier guidance [Dhariwal & Nichol
2021, §4], in which ∇ ln p(y | x_t) = ∇ ln q_t(x | y) − ∇ ln q_t(x).
"""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities.tools import gradient, log_density, of_class
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff import testing

CLASSES = np.array([2, 5, 9])
MIXTURE = td.GaussianMixture(  # neither sorted nor contiguous labels, unequal weights
    [0.3, 0.1, 0.2, 0.15, 0.25],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2], [0.1, 0.9], [-0.4, -0.8]],
    np.array([0.3, 0.5, 0.2, 0.1, 0.4])[:, None, None] * [[1.0, 0.4], [0.4, 0.8]],
    [5, 2, 9, 2, 9],
)
POINTS = np.random.default_rng(0).normal(size=(13, 2))
LABELS = np.array([9, 2, 5, 5, 9, 9, 2, 9, 9, 2, 5, 9, 9])
ROWS = np.array([0.1, 0.25, 0.45, 0.6, 0.8, 0.95])
ASKED = np.array([5, 2, 9, -1, 2, 5])

every_data = pytest.mark.parametrize("data", ["mixture", "points"])


def make(data, process):
    return td.Oracle(MIXTURE, process) if data == "mixture" else td.Oracle(POINTS, process, LABELS)


@given(rough=testing.mixtures(components=6), process=testing.processes(), rng=testing.generators(), data=st.data())
def test_the_exact_classifier_is_bayes_rule_at_a_time_and_class_for_each_row(rough, process, rng, data):
    """Columns are the classes in ascending order; −1 is no class, and pushes nowhere, as a single class does."""
    labels = rng.choice([9, 2, 5], len(rough.weights))
    mixture, classes = td.GaussianMixture(rough.weights, rough.means, rough.covariances, labels), np.unique(labels)
    asked = rng.choice([-1, *classes], 4)
    t = np.array([data.draw(testing.times(process))[0] for _ in asked])
    alphas, sigmas = process.alpha(t), process.sigma(t)
    x = process.at(t).perturb(mixture.sample(rng, 4), rng.standard_normal((4, mixture.dim)))
    model = td.Oracle(mixture, process)
    found, push = model.log_p(x, t), model.grad_log_p(asked)(x, t)
    assert found.shape == (4, len(classes))

    for i, (y, alpha, sigma) in enumerate(zip(asked, alphas, sigmas, strict=True)):

        def log_p(x, y, alpha=alpha, sigma=sigma):
            p, law = of_class(mixture, y)
            return np.log(p) + log_density(law, x, alpha, sigma) - log_density(mixture, x, alpha, sigma)

        row, size = x[i : i + 1], (1 + np.max(np.abs(x[i]))) / sigma**2
        bayes, expected = [log_p(row, each)[0] for each in classes], gradient(partial(log_p, y=y), row)
        assert_allclose(found[i], bayes, rtol=1e-9, atol=1e-10 * size)
        assert_allclose(push[i : i + 1], expected, rtol=0, atol=1e-10 * size)


def test_classes_are_ascending_with_the_prior_of_each():
    """Sums of the weights, and counts of the points."""
    for data, priors in (("mixture", [0.25, 0.3, 0.45]), ("points", [3 / 13, 3 / 13, 7 / 13])):
        found = make(data, td.VP()).classes()
        assert_array_equal(found[0], CLASSES)
        assert_allclose(found[1], priors, rtol=1e-14)


@every_data
def test_a_conditioned_oracle_is_the_same_classifier(data, rng):
    """p(y | x) is of the whole law: which class the denoiser was given before has no influence."""
    model, x = make(data, td.Cosine()), rng.standard_normal((6, 2))
    for given_before in (5, ASKED, -1):
        other = model.given(given_before)
        assert_array_equal(other.log_p(x, 0.5), model.log_p(x, 0.5))
        assert_array_equal(other.grad_log_p(2)(x, 0.5), model.grad_log_p(2)(x, 0.5))
        assert_array_equal(other.classes()[1], model.classes()[1])


@every_data
@pytest.mark.parametrize("t", [0.4, ROWS], ids=["scalar", "rows"])
def test_float32_in_is_float32_out(data, t, rng):
    model, x = make(data, td.VP()), rng.standard_normal((6, 2))
    for f in (model.log_p, model.grad_log_p(5), model.grad_log_p(ASKED)):
        single = f(x.astype(np.float32), t)
        assert single.dtype == np.float32
        assert_allclose(single, f(x, t), rtol=1e-3, atol=1e-3)


UNLABELLED = td.Oracle(POINTS, td.VP())
AMONG = "labels must be whole numbers among [2, 5, 9], or −1 for none; got "


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: UNLABELLED.classes(), "these points have no labels"),
        (lambda: UNLABELLED.log_p(POINTS, 0.5), "these points have no labels"),
        (lambda: UNLABELLED.grad_log_p(0), "these points have no labels"),
        (lambda: td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), td.VP()).classes(), "mixture has no labels"),
        (lambda: make("mixture", td.VP()).grad_log_p(0), AMONG + "[0]"),
        (lambda: make("points", td.VP()).grad_log_p([2, 3]), AMONG + "[2, 3]"),
        (lambda: make("points", td.VP()).log_p(POINTS, 0.0), "t > 0"),
        (lambda: make("mixture", td.VP()).log_p(np.zeros((4, 3)), 0.5), "shape (B, 2); got shape (4, 3)"),
        (
            lambda: td.Oracle(MIXTURE.conditional(POINTS[:3], np.array([True, False])), td.VP()).classes(),
            "its classes have no weights in common",
        ),
    ],
)
def test_questions_without_an_answer_are_value_errors(ask, message):
    """At once for grad_log_p: its labels are wrong before any x is seen."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ask()
