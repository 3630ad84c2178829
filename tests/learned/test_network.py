"""The network is its formula, and its denoiser says one thing in all its words; identity 68 holds the gradients."""

from dataclasses import replace

import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import to_numpy
from tinydiff.learned.denoiser import network_inputs

PREDICTIONS = ("eps", "x0", "v", "score", "edm")
PROCESSES = (td.VP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40))
T = np.array([0.05, 0.4, 0.75, 0.95])
LABELS = np.array([0, 1, -1, 2])


def make(rng, classes=0, prediction="eps", norm=True, outputs=0):
    network = td.TimeMLP(3, 8, 2, classes, prediction, norm, outputs)
    return network, 0.4 * rng.standard_normal(network.size)


def written_out(network, theta, x, lam, labels):
    """F by its formulas, a layer a line; the last row of weights is the bias."""
    parts = {name: piece.reshape(network.shapes[name]) for name, piece in network.split(theta).items()}

    def linear(h, weights):
        return h @ weights[:-1] + weights[-1]

    angle = lam[:, None] * 2 ** np.linspace(-4, 2, 16)
    c = np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(len(x), 32)
    if network.classes:
        c = c + parts["label"][labels]
    h = linear(x, parts["in"])
    for i in range(network.blocks):
        mean, var = (f(h, axis=1, keepdims=True) for f in (np.mean, np.var))
        u = (h - mean) / np.sqrt(var + 1e-5) if network.norm else h
        gamma, delta = (linear(c, half) for half in np.split(parts[f"modulate{i}"], 2))
        u = linear(u * (1 + gamma) + delta, parts[f"up{i}"])
        h = h + linear(u / (1 + np.exp(-u)), parts[f"down{i}"])
    return linear(h, parts["out"])


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("outputs", [0, 1, 5])
def test_the_network_is_its_formula(outputs, classes, norm, rng):
    """Residual blocks that the level and the label modulate; F, of any number of outputs, is linear in the features."""
    network, theta = make(rng, classes, norm=norm, outputs=outputs)
    x, lam = rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4)
    given = (network, theta, x, lam, LABELS if classes else None)
    found, h = network(*given[1:])[0], network.features(*given[1:])[0]
    np.testing.assert_allclose(found, written_out(*given), rtol=1e-11, atol=1e-12)
    out = network.split(theta)["out"].reshape(9, outputs or 3)
    np.testing.assert_allclose(found, h @ out[:-1] + out[-1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("dim", "width", "blocks"), [(50, 100, 2), (1, 2000, 0)])
def test_layers_begin_at_unit_scale_or_at_zero(dim, width, blocks, rng):
    """W ~ N(0, 1/inputs), b = 0; what ends a block, what modulates it and the output are 0; labels ~ N(0, I)."""
    network = td.TimeMLP(dim, width, blocks, classes=40)
    for name, piece in network.split(network.init(rng, np.float64)).items():
        inputs, outputs = network.shapes[name]
        weights = piece.reshape(inputs, outputs)[: inputs - (name != "label")]
        if name.startswith(("modulate", "down", "out")):
            assert not np.any(piece), name
        else:
            fan_in = 1 if name == "label" else inputs - 1
            assert abs(np.mean(weights**2) * fan_in - 1) < 5 * np.sqrt(2 / weights.size), name
            assert name == "label" or not np.any(piece[-outputs:])


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_output_is_what_the_prediction_names(process, prediction, rng):
    """F = ε̂, x̂_0, (αε̂ − σx̂_0)/√(α² + σ²), −ε̂/σ or EDM's, and x = α x̂_0 + σ ε̂ whichever of them it is.

    Inputs are scaled by EDM's c_in of x/α, whatever is predicted.
    """
    network, theta = make(rng, 3, prediction)
    network = replace(network, sigma_data=0.5)
    model, x = td.NetworkDenoiser(network, theta, process).given(LABELS), rng.standard_normal((4, 3))
    now, eps, x0 = process.at(T, like=x), model(x, T), model.x0(x, T)
    v = (now.alpha * eps - now.sigma * x0) / np.hypot(now.alpha, now.sigma)
    s = now.sigma / now.alpha
    edm = (x0 - 0.25 / (s**2 + 0.25) * x / now.alpha) / (0.5 * s / np.sqrt(s**2 + 0.25))
    meant = {"eps": eps, "x0": x0, "v": v, "score": -eps / now.sigma, "edm": edm}
    output, _ = network(theta, x / now.alpha / np.sqrt(s**2 + 0.25), network_inputs(x, now)[1], LABELS)
    np.testing.assert_allclose(meant[prediction], output, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(now.perturb(x0, eps), x, rtol=1e-9, atol=1e-10)


def test_the_network_sees_a_clipped_log_snr():
    """λ within ±14, where α or σ is nearly 0."""
    for t, lam in ((0.0, 14), (1.0, -14)):
        assert network_inputs(np.zeros((1, 3)), td.Cosine().at(t))[1] == lam


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("rows", [1, 7, 12])
def test_one_log_snr_for_all_rows_is_that_of_each(rows, classes, norm, rng):
    """In F and its pullback; of one λ for more rows than the width 8 a modulation is folded into the layer after it."""
    network, theta = make(rng, classes, norm=norm)
    x, lam, labels = rng.standard_normal((rows, 3)), rng.uniform(-9, 9, 1), LABELS[:1] if classes else None
    (y, pull), (once, pull_once) = (network(theta, x, each, labels) for each in (np.resize(lam, rows), lam))
    np.testing.assert_allclose(once, y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(pull_once(x), pull(x), rtol=1e-11, atol=1e-11)
    if rows > 1:
        with pytest.raises(ValueError, match="∂L/∂θ needs a log-SNR for each row; got one for all"):
            pull_once(x, np.empty(network.size))


def test_a_pullback_may_leave_out_the_points(rng):
    network, theta = make(rng)
    x, lam, grads = rng.standard_normal((5, 3)), rng.uniform(-9, 9, 5), np.empty((2, network.size))
    _, pull = network(theta, x, lam)
    assert pull(x, grads[0], dx=False) is None
    pull(x, grads[1])
    np.testing.assert_array_equal(*grads)


def test_float32_stays_float32(rng):
    network = td.TimeMLP(3, 8, 2, classes=2)
    model = td.NetworkDenoiser(network, network.init(rng), td.VP())
    x = rng.standard_normal((4, 3)).astype(np.float32)
    for t in (0.3, T):
        (eps, pull), (x0, pull_x0) = model.linearize(x, t), model.linearize_x0(x, t)
        for out in (model(x, t), model.x0(x, t), eps, pull(x), x0, pull_x0(x), model.like):
            assert out.dtype == np.float32


def test_times_may_live_where_the_points_do(rng):
    """A row's own time as an array of another library, on its device."""
    strict = pytest.importorskip("array_api_strict")

    def to(a):
        return strict.asarray(a, device=strict.Device("device1"))

    (network, theta), x, process = make(rng), rng.standard_normal((4, 3)), td.VP()
    found = td.NetworkDenoiser(network, to(theta), process)(to(x), to(T))
    np.testing.assert_allclose(to_numpy(found), td.NetworkDenoiser(network, theta, process)(x, T), rtol=1e-12)


def test_labels_are_given_at_once_or_later_one_for_all_or_one_for_each(rng):
    (network, theta), x, process = make(rng, 3), rng.standard_normal((4, 3)), td.VP()
    model = td.NetworkDenoiser(network, theta, process)
    np.testing.assert_array_equal(td.NetworkDenoiser(network, theta, process, LABELS)(x, T), model.given(LABELS)(x, T))
    np.testing.assert_array_equal(model.given(2)(x, T), model.given([2])(x, T))
    np.testing.assert_allclose(model.given(2)(x, T), model.given([2, 2, 2, 2])(x, T), rtol=1e-12)
    np.testing.assert_allclose(model.given(LABELS)(x, T)[2], model(x, T)[2], rtol=1e-12)  # −1 is none
    for answer in (model.given([0, 1, 2]), model.given([0, 1, 2]).x0, model.given([0, 1, 2]).linearize_x0):
        with pytest.raises(ValueError, match="labels must be one, or one for each of 4 rows; got 3"):
            answer(x, 0.5)


def test_many_rows_are_answered_some_at_a_time(rng, monkeypatch):
    """Each with its own time and label."""
    (network, theta), x = make(rng, 3), rng.standard_normal((4, 3))
    model = td.NetworkDenoiser(network, theta, td.VP(), LABELS)
    whole = model(x, T)
    monkeypatch.setattr("tinydiff.learned.network.NUMBERS", 3 * 8)
    np.testing.assert_allclose(model(x, T), whole, rtol=1e-12)


@pytest.mark.parametrize("labels", [3, -2, 0.5, [0.0, 1.0], [[0, 1]]], ids=str)
def test_labels_are_whole_numbers_of_the_classes(labels, rng):
    network, theta = make(rng, classes=3)
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 2, or −1 for none"):
        td.NetworkDenoiser(network, theta, td.VP()).given(labels)


PLAIN = td.TimeMLP(2, 8)
MODEL = td.NetworkDenoiser(PLAIN, np.zeros(PLAIN.size), td.VP())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: td.TimeMLP(2, outputs=-1), "outputs must be 0 or more; got -1"),
        (lambda: td.TimeMLP(2, 0), "width must be 1 or more; got 0"),
        (
            lambda: td.TimeMLP(2, prediction="no"),
            "prediction must be one of 'eps', 'x0', 'v', 'score', 'edm'; got 'no'",
        ),
        (lambda: td.NetworkDenoiser(PLAIN, np.zeros(3), td.VP()), f"the network's {PLAIN.size} parameters; got shape"),
        (lambda: MODEL(np.zeros((4, 3)), 0.5), r"points must be an array of shape \(B, 2\); got shape \(4, 3\)"),
        (lambda: MODEL.given(0), "made without classes"),
    ],
)
def test_what_does_not_fit_is_named(wrong, says):
    with pytest.raises(ValueError, match=says):
        wrong()


def test_a_network_of_logits_is_no_denoiser():
    """Not even with as many outputs as coordinates: what they mean is another thing."""
    network = td.TimeMLP(2, 4, 1, outputs=2)
    with pytest.raises(ValueError, match="an output for each coordinate; this network has 2"):
        td.NetworkDenoiser(network, np.zeros(network.size), td.VP())
    with pytest.raises(ValueError, match="this network outputs no noise: train it with train_classifier"):
        next(td.train(network, td.VP(), td.toys.moons32(), rng=0))
