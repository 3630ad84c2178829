"""A classifier's loss and gradients are exact, and training brings it to the exact classifier.

    loss = −mean w(t) ln p(label | x_t),    ∂loss/∂F = w (p − one-hot(label))/B,    p = softmax F

Shapes: B rows, D coordinates, C classes, W width. Sources: classifiers of noisy points [Dhariwal & Nichol 2021, §4];
complex steps for all gradients; the exact classifier is Oracle.log_p.
"""

import os
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

import tinydiff as td
from tinydiff.backend import log_softmax
from tinydiff.learned import objective
from tinydiff.learned.classifier import cross_entropy

STEP = 1e-30  # of complex steps
PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40)]
SMALL = td.TimeMLP(2, 8, 1, outputs=2)
LABELS = np.array([3, 0, 1, 2, 2, 0])
T = np.array([0.05, 0.25, 0.4, 0.6, 0.75, 0.95])  # on the grid of the chain too

every_norm = pytest.mark.parametrize("norm", [False, True])
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def make(rng, process, norm=False, dtype=np.float64):
    """A random classifier of four classes, and points x_0, ε (6, 3)."""
    network = td.TimeMLP(3, 8, 2, norm=norm, outputs=4)
    x0, eps = rng.standard_normal((2, 6, 3)).astype(dtype)
    return td.Classifier(network, (0.4 * rng.standard_normal(network.size)).astype(dtype), process), x0, eps


def of(log_p, labels):
    """The column of each row's label."""
    return log_p[np.arange(len(log_p)), labels]


# The loss


@every_norm
@every_process
@pytest.mark.parametrize("name", objective.WEIGHTS)
def test_the_loss_and_its_gradient_are_those_of_what_the_classifier_says(process, norm, name, rng):
    """L = −mean w(t) ln p(label | x_t) and ⟨g, u⟩ = dL(θ + hu)/dh, p of a Classifier with the parameters θ + ihu."""
    classifier, x0, eps = make(rng, process, norm)
    network, theta, now = classifier.network, classifier.theta, process.at(T, like=x0)
    x, u = now.perturb(x0, eps) + 0j, rng.standard_normal(network.size)
    loss, grad = cross_entropy(network, theta, now, x0, eps, LABELS, objective.WEIGHTS[name])
    log_p = of(td.Classifier(network, theta + 1j * STEP * u, process).log_p(x, T), LABELS)
    stepped = -np.mean(objective.WEIGHTS[name](process.at(T)) * log_p)
    assert loss == pytest.approx(stepped.real, rel=1e-13)
    assert grad @ u == pytest.approx(stepped.imag / STEP, rel=0, abs=1e-12 * np.sqrt(grad @ grad * (u @ u)))


@pytest.mark.parametrize("labels", [-1, 4, 1.0, [0, 1, 2, 3, 4, 0], [0, 1, 2, -1, 1, 0], np.ones(6), np.ones(6, bool)])
def test_labels_are_classes(labels, rng):
    """Integers from 0 to C − 1: no −1 for none, as a denoiser has, and no numbers with a point."""
    classifier, x0, eps = make(rng, td.VP())
    message = re.escape(f"labels must be whole numbers among 0 to 3; got {np.atleast_1d(labels).tolist()}.")
    with pytest.raises(ValueError, match=message):
        cross_entropy(classifier.network, classifier.theta, td.VP().at(T, like=x0), x0, eps, labels)
    with pytest.raises(ValueError, match=message):
        classifier.grad_log_p(labels)(x0, T)


# ln softmax


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_log_softmax_of_large_logits(scale, rng):
    """F − ln Σ exp F where exp F is infinite; its derivative along u is u − Σ p u; only differences of logits count."""
    logits, u = scale * rng.standard_normal((20, 5)), rng.standard_normal((20, 5))
    found = log_softmax(logits + 1j * STEP * u)
    assert_allclose(found.real, special.log_softmax(logits, axis=1), rtol=1e-14, atol=2e-15 * scale)
    mean = np.sum(special.softmax(logits, axis=1) * u, axis=1, keepdims=True)
    assert_allclose(found.imag / STEP, u - mean, rtol=0, atol=1e-12)
    assert_allclose(log_softmax(logits + 7e3), found.real, rtol=0, atol=1e-11)


# The classifier


@every_process
@pytest.mark.parametrize("t", [0.25, T], ids=["one", "rows"])
def test_it_says_the_softmax_of_what_its_network_makes_of_its_features(process, t, rng):
    """ln p = ln softmax F(x/√(α² + σ²), λ), λ clipped as for a denoiser, and F = h W + b, W and b the last of θ."""
    classifier, x, _ = make(rng, process)
    alpha, sigma, theta = process.alpha(t), process.sigma(t), classifier.theta
    seen = x / np.reshape(np.hypot(alpha, sigma), (-1, 1))
    lam = np.clip(2 * np.log(alpha / sigma), -14, 14)
    log_p = special.log_softmax(classifier.network(theta, seen, np.atleast_1d(lam))[0], axis=1)
    assert_allclose(classifier.log_p(x, t), log_p, rtol=0, atol=1e-12)
    logits = classifier.features(x, t) @ theta[-36:-4].reshape(8, 4) + theta[-4:]
    assert_allclose(special.log_softmax(logits, axis=1), log_p, rtol=0, atol=1e-12)


@every_norm
@every_process
@pytest.mark.parametrize("t", [0.75, T], ids=["one", "rows"])
@pytest.mark.parametrize("labels", [0, LABELS], ids=["one label", "labels"])
def test_its_gradient_is_the_complex_step_of_its_column(process, norm, t, labels, rng):
    """∇_x ln p(y | x_t = x) to 1e-12, of one class or of one for each row → the scale 1/√(α² + σ²), which is not 1 on
    VE; one-hot and p swapped; the class of another row.
    """
    classifier, x0, eps = make(rng, process, norm)
    x = process.at(t, like=x0).perturb(x0, eps)
    exact = np.stack([of(classifier.log_p(x + 1j * STEP * e, t), labels).imag / STEP for e in np.eye(3)], axis=1)
    found = classifier.grad_log_p(labels)(x, t)
    assert np.max(np.abs(exact)) > 1e-3
    assert np.max(np.abs(found - exact)) <= 1e-12 * np.max(np.abs(exact)) + 1e-13  # 1 − p cancels where p is near 1


def test_float32_stays_float32(rng):
    classifier, x, eps = make(rng, td.VP(), dtype=np.float32)
    for t in (0.25, T):
        answers = classifier.log_p(x, t), classifier.features(x, t)
        pushes = classifier.grad_log_p(1)(x, t), classifier.grad_log_p(LABELS)(x, t)
        assert {answer.dtype for answer in answers + pushes} == {np.dtype(np.float32)}
    now = td.VP().at(T, like=x)
    assert cross_entropy(classifier.network, classifier.theta, now, x, eps, LABELS)[1].dtype == np.float32


@pytest.mark.parametrize("network", [td.TimeMLP(2, 8), td.TimeMLP(2, 8, 1, classes=2, outputs=2)], ids=["v", "told"])
def test_a_classifier_has_outputs_and_no_class_goes_in(network, rng):
    message = re.escape("a classifier is told no class, it outputs them: make the network with outputs= alone.")
    with pytest.raises(ValueError, match=message):
        td.Classifier(network, np.zeros(network.size), td.VP())
    with pytest.raises(ValueError, match=message):
        td.train_classifier(network, td.VP(), td.toys.moons32(), rng=rng)


@pytest.mark.parametrize(
    ("theta", "got"),
    [(np.zeros(3), "shape (3,)"), (np.zeros((1, SMALL.size)), "shape (1, "), ([0.0] * SMALL.size, "a list")],
    ids=["short", "matrix", "list"],
)
def test_theta_must_fit_the_network(theta, got):
    with pytest.raises(ValueError, match=re.escape(f"the network's {SMALL.size} parameters; got {got}")):
        td.Classifier(SMALL, theta, td.VP())


# Training


def test_training_comes_near_the_exact_classifier(rng):
    """E KL(p(y|x_t) ‖ p_θ(y|x_t)) < .02 nats at every noise level, where it begins at up to ln 2."""
    data, process, network = td.toys.moons32(), td.VP(), td.TimeMLP(2, 16, 2, outputs=2)
    state = td.last(td.train_classifier(network, process, data, steps=300, batch=128, lr=1e-2, rng=0))
    classifier, oracle = td.Classifier(network, state.ema, process), td.Oracle(data, process)
    for log_snr in (12.0, 3.0, 0.0, -6.0):
        t = float(process.time(log_snr))
        x = process.at(t).perturb(data.sample(rng, 2000), rng.standard_normal((2000, 2)))
        exact, found = oracle.log_p(x, t), classifier.log_p(x.astype(np.float32), t)
        assert 0 < np.mean(np.sum(np.exp(exact) * (exact - found), axis=1)) < 0.02


def test_no_label_is_hidden_and_trains_options_reach_the_objective(rng):
    """F begins as 0, so that the first loss is w ln C; with a label hidden it would be an error."""
    options = {"steps": 2, "batch": 64, "weight": lambda now: 3 + 0 * now.t}
    first, _ = td.train_classifier(SMALL, td.VP(), td.toys.moons32(), rng=rng, **options)
    assert first.loss == pytest.approx(3 * np.log(2), rel=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("TINYDIFF_MNIST_DIR"), reason="TINYDIFF_MNIST_DIR is not set")
def test_digits_are_classed_after_300_steps(rng):
    """More than 90 % of 2,000 test digits at t_min, on which it was not trained."""
    train, test = td.load_mnist("train"), td.load_mnist("test")
    process, network = td.Cosine(), td.TimeMLP(784, 128, 2, outputs=10)
    state = td.last(td.train_classifier(network, process, train, steps=300, lr=5e-3, rng=rng))
    log_p = td.Classifier(network, state.ema, process).log_p(test.x[:2000], process.t_min)
    assert td.class_agreement(log_p, test.labels[:2000])[0] > 0.9
