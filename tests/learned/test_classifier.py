"""A classifier's loss and gradients are exact, and training brings it to the exact classifier.

    loss = −mean w(t) ln p(label | x_t),    ∂loss/∂F = w (p − one-hot(label))/B,    p = softmax F

Shapes: B rows, D coordinates, C classes, W width. Sources: classifiers of noisy points [Dhariwal & Nichol 2021, §4];
complex steps for all gradients; the exact classifier is Oracle.log_p.
"""

import os
import re
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

import tinydiff as td
from tinydiff.learned import objective
from tinydiff.learned.classifier import cross_entropy, log_softmax
from tinydiff.learned.network import network_inputs

STEP = 1e-30  # of complex steps
PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40)]
NETWORK = td.TimeMLP(3, 8, 2, outputs=4)
SMALL = td.TimeMLP(2, 8, 1, outputs=2)
LABELS = np.array([3, 0, 1, 2, 2, 0])
T = np.array([0.05, 0.25, 0.4, 0.6, 0.75, 0.95])  # on the grid of the chain too

every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
every_norm = pytest.mark.parametrize("norm", [False, True])


def make(rng, process, norm=False, dtype=np.float64, width=8, blocks=2):
    network = td.TimeMLP(3, width, blocks, norm=norm, outputs=4)
    return td.Classifier(network, (0.4 * rng.standard_normal(network.size)).astype(dtype), process)


def batch(rng):
    """x_0, ε and directions, (6, 3)."""
    return rng.standard_normal((3, 6, 3))


def loss_of(network, theta, now, x, labels, w=1.0):
    """−mean w ln p(label | x_t), from the network's output and a softmax written out; complex where θ is."""
    logits = network(theta, *network_inputs(x, now))[0]
    odds = np.exp(logits - np.max(logits.real, axis=1, keepdims=True))
    return -np.mean(w * np.log(odds[np.arange(len(x)), labels] / np.sum(odds, axis=1)))


# The loss


@every_norm
@pytest.mark.parametrize("process", [td.VP(), td.VE()], ids=lambda p: type(p).__name__)
def test_the_gradient_of_every_parameter_by_complex_step(process, norm, rng):
    """g_i = ∂L/∂θ_i, of L written out, since cross_entropy's own is a float → p − one-hot turned round, no 1/B."""
    classifier, (x0, eps, _) = make(rng, process, norm, width=4, blocks=1), batch(rng)
    network, theta, now = classifier.network, classifier.theta, process.at(T, like=x0)
    x = now.perturb(x0, eps)
    loss, grad = cross_entropy(network, theta, now, x0, eps, LABELS)
    assert isinstance(loss, float)
    assert loss == pytest.approx(loss_of(network, theta, now, x, LABELS), rel=1e-13)
    exact = [np.imag(loss_of(network, theta + 1j * STEP * e, now, x, LABELS)) / STEP for e in np.eye(network.size)]
    assert np.max(np.abs(grad - exact)) <= 1e-12 * np.max(np.abs(exact))


@every_process
@pytest.mark.parametrize("name", ["simple", "vlb", "min_snr", "x0"])
def test_a_direction_of_the_weighted_loss_by_complex_step(process, name, rng):
    """⟨g, u⟩ = dL(θ + hu)/dh with a weight w(t) for each row → the weight in the loss and not in its gradient."""
    weight = objective.WEIGHTS[name]
    classifier, (x0, eps, _) = make(rng, process), batch(rng)
    theta, now, w = classifier.theta, process.at(T, like=x0), weight(process.at(T))
    x = now.perturb(x0, eps)
    loss, grad = cross_entropy(NETWORK, theta, now, x0, eps, LABELS, weight)
    assert loss == pytest.approx(loss_of(NETWORK, theta, now, x, LABELS, w), rel=1e-13)
    u = rng.standard_normal(NETWORK.size)
    slope = np.imag(loss_of(NETWORK, theta + 1j * STEP * u, now, x, LABELS, w)) / STEP
    size = np.sqrt(grad @ grad * (u @ u))
    assert grad @ u == pytest.approx(slope, rel=0, abs=1e-12 * size)


def test_the_loss_is_that_of_the_classifier(rng):
    """−mean ln p(label | x_t) by Classifier.log_p at the same points: it is trained on what it will say."""
    for process in PROCESSES:
        classifier, (x0, eps, _) = make(rng, process), batch(rng)
        now = process.at(T, like=x0)
        loss, _ = cross_entropy(NETWORK, classifier.theta, now, x0, eps, LABELS)
        log_p = classifier.log_p(now.perturb(x0, eps), T)
        assert loss == pytest.approx(-np.mean(log_p[np.arange(6), LABELS]), rel=1e-13)


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_at_the_start_every_class_is_as_probable(classes, rng):
    """A network begins with F = 0: the loss is ln C, and the gradient of the last bias 1/C − the class's fraction."""
    network = td.TimeMLP(3, 8, 2, outputs=classes)
    x0, eps, _ = batch(rng)
    labels = np.arange(6) % classes
    loss, grad = cross_entropy(network, network.init(rng, np.float64), td.VP().at(T, like=x0), x0, eps, labels)
    assert loss == pytest.approx(np.log(classes), rel=1e-14, abs=1e-15)
    assert_allclose(grad[-classes:], 1 / classes - np.bincount(labels, minlength=classes) / 6, rtol=0, atol=1e-15)


def test_the_gradient_of_a_batch_is_the_average_of_its_halves(rng):
    classifier, (x0, eps, _) = make(rng, td.VP()), batch(rng)
    now = td.VP().at(T, like=x0)
    loss, grad = cross_entropy(NETWORK, classifier.theta, now, x0, eps, LABELS)
    halves = [
        cross_entropy(NETWORK, classifier.theta, now[rows], x0[rows], eps[rows], LABELS[rows])
        for rows in (slice(3), slice(3, 6))
    ]
    assert loss == pytest.approx(np.mean([half for half, _ in halves]), rel=1e-13)
    assert_allclose(grad, np.mean([half for _, half in halves], axis=0), rtol=0, atol=1e-14)


def test_one_label_for_all_rows_is_that_label_in_each(rng):
    classifier, (x0, eps, _) = make(rng, td.VP()), batch(rng)
    now = td.VP().at(T, like=x0)
    one, each = (cross_entropy(NETWORK, classifier.theta, now, x0, eps, labels) for labels in (2, np.full(6, 2)))
    assert one[0] == pytest.approx(each[0], rel=1e-14)
    assert_allclose(one[1], each[1], rtol=0, atol=1e-15)


@pytest.mark.parametrize("labels", [-1, 4, 1.0, [0, 1, 2, 3, 4, 0], [0, 1, 2, -1, 1, 0], np.ones(6), np.ones(6, bool)])
def test_labels_are_classes(labels, rng):
    """Integers from 0 to C − 1: no −1 for none, as a denoiser has, and no numbers with a point."""
    classifier, (x0, eps, _) = make(rng, td.VP()), batch(rng)
    message = re.escape(f"labels must be whole numbers among 0 to 3; got {np.atleast_1d(labels).tolist()}.")
    with pytest.raises(ValueError, match=message):
        cross_entropy(NETWORK, classifier.theta, td.VP().at(T, like=x0), x0, eps, labels)
    with pytest.raises(ValueError, match=message):
        classifier.grad_log_p(labels)(x0, T)


# ln softmax


def test_log_softmax_of_large_logits(rng):
    """F − ln Σ exp F for F of 1e4, where exp F is infinite: SciPy's numbers, and rows sum to 1."""
    for scale in (1.0, 50.0, 1e4):
        logits = scale * rng.standard_normal((20, 5))
        found = log_softmax(logits)
        assert_allclose(
            found, special.log_softmax(logits, axis=1), rtol=1e-14, atol=2e-15 * scale
        )  # rounding of F itself
        assert_allclose(special.logsumexp(found, axis=1), 0, atol=1e-12)
        assert_allclose(log_softmax(logits + 7e3), found, rtol=0, atol=1e-11)  # only differences count
    extreme = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    assert_allclose(log_softmax(extreme), [[0, -2e4, -1e4], [-np.log(3)] * 3], rtol=0, atol=1e-11)
    assert_array_equal(log_softmax(np.array([[3.0], [1e4]])), np.zeros((2, 1)))


def test_log_softmax_by_complex_step(rng):
    """Its derivative along u is u − Σ p u in each row [softmax's Jacobian], of logits of 1e4 too."""
    for scale in (1.0, 1e4):
        logits, u = scale * rng.standard_normal((6, 5)), rng.standard_normal((6, 5))
        slope = np.imag(log_softmax(logits + 1j * STEP * u)) / STEP
        p = special.softmax(logits, axis=1)
        assert_allclose(slope, u - np.sum(p * u, axis=1, keepdims=True), rtol=0, atol=1e-12)


# The classifier


@every_norm
@every_process
@pytest.mark.parametrize("t", [0.05, 0.75, T], ids=["early", "late", "rows"])
@pytest.mark.parametrize("labels", [0, 3, LABELS], ids=["0", "3", "rows"])
def test_its_gradient_is_the_complex_step_of_its_column(process, norm, t, labels, rng):
    """∇_x ln p(y | x_t = x) to 1e-12, of one class or of one for each row → the scale 1/√(α² + σ²), which is not 1 on
    VE; one-hot and p swapped; the class of another row.
    """
    classifier = make(rng, process, norm)
    x0, eps, _ = batch(rng)
    x, column = process.at(t, like=x0).perturb(x0, eps), np.broadcast_to(labels, 6)

    def log_p(x):
        return classifier.log_p(x, t)[np.arange(6), column]

    exact = np.stack([np.imag(log_p(x + 1j * STEP * e)) / STEP for e in np.eye(3)], axis=1)
    found = classifier.grad_log_p(labels)(x, t)
    assert np.max(np.abs(exact)) > 1e-3
    assert np.max(np.abs(found - exact)) <= 1e-12 * np.max(np.abs(exact)) + 1e-13  # 1 − p cancels where p is near 1


@every_process
def test_its_probabilities_are_the_softmax_of_the_logits_that_the_network_gives(process, rng):
    """p sums to 1 over the C classes; x is scaled and λ clipped as the denoiser does it [network_inputs]."""
    classifier, x = make(rng, process), batch(rng)[0]
    for t in (0.25, T):
        alpha, sigma = process.alpha(t), process.sigma(t)
        lam = np.clip(2 * np.log(alpha / sigma), -14, 14)
        seen = x / np.reshape(np.hypot(alpha, sigma), (-1, 1))
        logits = classifier.network(classifier.theta, seen, np.atleast_1d(lam))[0]
        assert_allclose(classifier.log_p(x, t), special.log_softmax(logits, axis=1), rtol=0, atol=1e-12)
        assert_allclose(np.sum(np.exp(classifier.log_p(x, t)), axis=1), 1, rtol=1e-14)


@every_process
def test_the_pushes_of_all_classes_cancel(process, rng):
    """Σ_y p(y|x) ∇ ln p(y|x) = 0."""
    classifier, x = make(rng, process), batch(rng)[0]
    p = np.exp(classifier.log_p(x, T))
    pushes = np.stack([classifier.grad_log_p(y)(x, T) for y in range(4)], axis=1)
    total = np.sum(p[:, :, None] * pushes, axis=1)
    assert np.max(np.abs(total)) <= 1e-14 * np.max(np.abs(pushes)) * 4


@every_norm
def test_the_jacobian_of_the_push_is_symmetric(norm, rng):
    """uᵀ (∇∇ ln p) v = vᵀ (∇∇ ln p) u by complex steps of grad_log_p, which guidance pulls through."""
    classifier, (x, u, v) = make(rng, td.VP(), norm), batch(rng)
    push = classifier.grad_log_p(LABELS)

    def along(direction):
        return np.imag(push(x + 1j * STEP * direction, T)) / STEP

    one, other = np.sum(v * along(u), axis=1), np.sum(u * along(v), axis=1)
    assert_allclose(one, other, rtol=0, atol=1e-12 * np.max(np.abs(one)))
    h = 1e-6
    difference = (push(x + h * u, T) - push(x - h * u, T)) / (2 * h)
    assert_allclose(along(u), difference, rtol=0, atol=1e-7 * np.max(np.abs(difference)))


@every_process
def test_its_features_feed_the_last_layer(process, rng):
    """ln p = ln softmax(h W + b) with h (B, W) of `features`, and W and b the last of θ."""
    classifier, x = make(rng, process), batch(rng)[0]
    for t in (0.25, T):
        h = classifier.features(x, t)
        assert h.shape == (6, 8)
        w, b = classifier.theta[-36:-4].reshape(8, 4), classifier.theta[-4:]
        assert_allclose(classifier.log_p(x, t), log_softmax(h @ w + b), rtol=0, atol=1e-13)


def test_float32_stays_float32(rng):
    classifier, x = make(rng, td.VP(), dtype=np.float32), batch(rng)[0].astype(np.float32)
    for t in (0.25, T):
        for answer in (
            classifier.log_p(x, t),
            classifier.grad_log_p(1)(x, t),
            classifier.grad_log_p(LABELS)(x, t),
            classifier.features(x, t),
        ):
            assert answer.dtype == np.float32
    grad = cross_entropy(NETWORK, classifier.theta, td.VP().at(T, like=x), x, x, LABELS)[1]
    assert grad.dtype == np.float32


@pytest.mark.parametrize("network", [td.TimeMLP(2, 8), td.TimeMLP(2, 8, classes=2), td.TimeMLP(2, 8, 1, 2, outputs=2)])
def test_a_classifier_has_outputs_and_no_class_goes_in(network, rng):
    message = re.escape("a classifier is told no class, it outputs them: TimeMLP(dim, outputs=classes).")
    with pytest.raises(ValueError, match=message):
        td.Classifier(network, np.zeros(network.size), td.VP())
    with pytest.raises(ValueError, match=message):
        td.train_classifier(network, td.VP(), td.toys.moons32(), rng=rng)


def test_theta_must_fit_the_network():
    for theta, got in ((np.zeros(3), "shape (3,)"), (np.zeros((1, SMALL.size)), f"shape (1, {SMALL.size})")):
        with pytest.raises(ValueError, match=re.escape(f"the network's {SMALL.size} parameters; got {got}")):
            td.Classifier(SMALL, theta, td.VP())
    with pytest.raises(ValueError, match="parameters; got a list"):
        td.Classifier(SMALL, [0.0] * SMALL.size, td.VP())
    with pytest.raises(ValueError, match=r"shape \(B, 2\); got shape \(4, 3\)"):
        td.Classifier(SMALL, np.zeros(SMALL.size), td.VP()).log_p(np.zeros((4, 3)), 0.5)


# Training


@cache
def trained(name):
    """A classifier of one of the toys after a second of training, with its exact counterpart."""
    data, process = td.toys.TOYS[name](), td.VP()
    network = td.TimeMLP(2, 32, 2, outputs=len(np.unique(data.labels)))
    states = td.train_classifier(network, process, data, steps=800, rng=0)
    return td.Classifier(network, td.last(states).ema, process), td.Oracle(data, process)


@pytest.mark.parametrize("name", ["moons32", "pinwheel40"])
@pytest.mark.parametrize("log_snr", [12.0, 6.0, 3.0, 0.0, -3.0, -6.0])
def test_training_comes_near_the_exact_classifier(name, log_snr, rng):
    """E KL(p(y|x_t) ‖ p_θ(y|x_t)) < .02 nats at every noise level, where ln C − H(y|x_t) is up to ln 5."""
    classifier, oracle = trained(name)
    t = float(oracle.process.time(log_snr))
    x = oracle.process.at(t).perturb(oracle.data.sample(rng, 2000), rng.standard_normal((2000, 2)))
    exact, found = oracle.log_p(x, t), classifier.log_p(x.astype(np.float32), t)
    kl = np.mean(np.sum(np.exp(exact) * (exact - found), axis=1))
    assert 0 < kl < 0.02


@pytest.mark.parametrize("name", ["moons32", "pinwheel40"])
@pytest.mark.parametrize("w", [0.3, 1.0, 3.0])
def test_it_guides_as_the_exact_classifier_does(name, w):
    """From the same noise, the fraction of samples in the class that was asked for agrees within .03, between that of
    the unguided model and 1, and so do the points as a sample.
    """
    classifier, oracle = trained(name)
    n, found, points = 1000, [], []
    for push in (classifier.grad_log_p(1), oracle.grad_log_p(1)):
        x = td.sample(td.ClassifierGuidance(oracle, push, w), n, sampler=td.dpm_solver_2m, steps=20, rng=3)
        assert np.all(np.isfinite(x))
        points.append(x)
        found.append(td.class_agreement(oracle.log_p(x, oracle.process.t_min), np.ones(n, int))[0])
    unguided = oracle.classes()[1][1]
    assert found[0] == pytest.approx(found[1], abs=0.03)
    assert found[0] > unguided + 0.1
    assert w < 1 or found[0] > 0.95
    of_all_classes = oracle.data.sample(np.random.default_rng(1), n)
    assert td.energy_distance(*points) < 0.1 * td.energy_distance(points[1], of_all_classes)


def test_the_classifier_judges_as_the_exact_one(rng):
    """At t_min, how often each agrees with the labels of true samples: no classifier beats the exact one by more than
    chance.
    """
    for name in ("moons32", "pinwheel40"):
        classifier, oracle = trained(name)
        x, labels = oracle.data.sample(rng, 4000, labels=True)
        t = oracle.process.t_min
        found, error = td.class_agreement(classifier.log_p(x.astype(np.float32), t), labels)
        exact, _ = td.class_agreement(oracle.log_p(x, t), labels)
        assert exact > 0.97
        assert exact - 0.01 < found < exact + 4 * error


@pytest.mark.parametrize("data", ["mixture", "points"])
def test_a_stopped_and_resumed_run_equals_one_that_never_stopped(same, data, rng):
    """Bit for bit, through train's own state."""
    law = td.toys.moons32()
    data = law if data == "mixture" else law.sample(rng, 100, labels=True)
    arguments = {"steps": 12, "batch": 32}
    unbroken = list(td.train_classifier(SMALL, td.VP(), data, rng=3, **arguments))
    assert [state.step for state in unbroken] == list(range(1, 13))
    resumed = list(td.train_classifier(SMALL, td.VP(), data, rng=rng, state=unbroken[4], **arguments))
    assert len(resumed) == 7
    assert all(same(a, b) for a, b in zip(resumed, unbroken[5:], strict=True))


def test_every_label_is_seen_and_the_weight_and_times_are_trains(rng):
    """No label is dropped; `weight` and `times` reach the objective, as all of train's arguments do."""
    seen = []

    def times(process, rng, n):
        t = process.sample_times(rng, n)
        seen.append(t)
        return t

    def weight(now):
        assert_array_equal(np.ravel(now.t), seen[-1])
        return 0 * now.t

    states = list(
        td.train_classifier(SMALL, td.VP(), td.toys.moons32(), steps=5, batch=64, times=times, weight=weight, rng=rng)
    )
    assert len(seen) == 5
    assert all(state.loss == 0 for state in states)
    assert_array_equal(states[-1].theta, states[0].theta)  # nothing to learn
    honest = list(td.train_classifier(SMALL, td.VP(), td.toys.moons32(), steps=5, batch=64, rng=rng))
    assert not np.array_equal(honest[-1].theta, honest[0].theta)
    assert honest[0].loss == pytest.approx(np.log(2), rel=1e-6)  # F = 0 at the first step


def test_data_without_labels_are_refused_before_the_first_step(rng):
    x = rng.standard_normal((5, 2))
    for data in (x, (x, np.zeros(6, int))):
        with pytest.raises(ValueError, match=r"must be a pair \(points, labels\) with a label a point"):
            td.train_classifier(SMALL, td.VP(), data, rng=rng)
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 1; got"):
        next(td.train_classifier(SMALL, td.VP(), td.toys.pinwheel40(), rng=rng))


def test_a_classifier_learns_from_few_points_of_a_dataset(rng):
    """A Dataset of two clouds far apart, float32, raw labels in bytes: every point is classed rightly."""
    labels = np.arange(60, dtype=np.uint8) % 2
    x = (rng.standard_normal((60, 2)) * 0.2 + np.where(labels, 1.0, -1.0)[:, None]).astype(np.float32)
    data, process = td.Dataset(x, labels, 0.0, 1.0), td.Cosine()
    state = td.last(td.train_classifier(SMALL, process, data, steps=150, batch=64, rng=rng))
    log_p = td.Classifier(SMALL, state.ema, process).log_p(x, process.t_min)
    assert td.class_agreement(log_p, labels)[0] == 1


@pytest.mark.skipif(not os.environ.get("TINYDIFF_MNIST_DIR"), reason="TINYDIFF_MNIST_DIR is not set")
def test_digits_are_classed_after_300_steps(rng):
    """More than 90 % of 2,000 test digits at t_min, on which it was not trained."""
    train, test = td.load_mnist("train"), td.load_mnist("test")
    process, network = td.Cosine(), td.TimeMLP(784, 128, 2, outputs=10)
    state = td.last(td.train_classifier(network, process, train, steps=300, lr=5e-3, rng=rng))
    log_p = td.Classifier(network, state.ema, process).log_p(test.x[:2000], process.t_min)
    assert td.class_agreement(log_p, test.labels[:2000])[0] > 0.9
