"""The mixer is its formula, which knows places by their tokens alone; identity 68 holds its gradients."""

import re

import numpy as np
import pytest

import tinydiff as td
from tinydiff.learned import layers

SIZES = [((5, 3), 2, 0), ((4, 6), 2, 0), ((3, 3), 1, 0), ((2, 5), 7, 0), ((5, 3), 2, 1), ((4, 6), 2, 3)]
"""Pictures, patches that divide them or not, of one pixel and larger than the picture, and how far they overlap."""
T = np.array([0.05, 0.4, 0.75, 0.95])
LABELS = np.array([0, 1, -1, 2])
STEP = 1e-30  # of complex steps

every_size = pytest.mark.parametrize(("picture", "patch", "overlap"), SIZES, ids=str)


def make(rng, picture=(5, 3), patch=2, overlap=0, classes=0, outputs=0):
    network = td.Mixer(picture, patch, width=6, blocks=2, classes=classes, outputs=outputs, overlap=overlap)
    return network, 0.4 * rng.standard_normal(network.size)


def pieces(network, theta):
    """The weights of each layer as a matrix, whose last row is the bias, where it has one."""
    return {name: piece.reshape(network.shapes[name]) for name, piece in network.split(theta).items()}


def written_out(network, theta, x, lam, labels):
    """F by its formulas, a picture and a patch at a time; t counts tokens, w channels, k what is between."""
    (rows, columns), p, o, weights = network.picture, network.patch, network.overlap, pieces(network, theta)
    side, corners = p + 2 * o, [(i, j) for i in range(0, rows, p) for j in range(0, columns, p)]  # of a framed picture

    def linear(h, name):
        return np.einsum("tw,wk->tk", h, weights[name][:-1]) + weights[name][-1]

    def linear_of_tokens(h, name):
        return np.einsum("tw,tk->kw", h, weights[name][:-1]) + weights[name][-1][:, None]

    def norm(h):
        return np.array([(token - token.mean()) / np.sqrt(token.var() + 1e-5) for token in h])

    def mixed(h, c, name, layer):
        gamma, delta = (c @ half[:-1] + half[-1] for half in np.split(weights["modulate" + name], 2))
        u = layer(norm(h) * (1 + gamma) + delta, "up" + name)
        return h + layer(u / (1 + np.exp(-u)), "down" + name)

    def answer(x, lam, label):
        image, answer = np.zeros((2, rows + p + 2 * o, columns + p + 2 * o))
        image[o : o + rows, o : o + columns] = x.reshape(rows, columns)
        c = np.array([f(2.0**e * lam) for e in np.linspace(-4, 2, 16) for f in (np.sin, np.cos)])
        c = c + (weights["label"][label] if network.classes else 0)
        h = linear([image[i : i + side, j : j + side].ravel() for i, j in corners], "in")
        h = h + weights["place"][label].reshape(len(corners), -1)
        for i in range(network.blocks):
            h = mixed(h, c, f"_tokens{i}", linear_of_tokens)
            h = mixed(h, c, f"_channels{i}", linear)
        if network.outputs:
            return linear(norm(h).mean(axis=0)[None], "out")[0]
        for (i, j), token in zip(corners, linear(norm(h), "out"), strict=True):
            answer[i : i + side, j : j + side] += token.reshape(side, side)
        return answer[o : o + rows, o : o + columns].ravel()

    return np.array([answer(*row) for row in zip(x, lam, labels, strict=True)])


@pytest.mark.parametrize("outputs", [0, 3])
@pytest.mark.parametrize("classes", [0, 3])
@every_size
def test_the_network_is_its_formula(picture, patch, overlap, classes, outputs, rng):
    """Patches, tokens mixed and channels mixed, under the level and the label; F is a picture, or linear in a mean."""
    network, theta = make(rng, picture, patch, overlap, classes, outputs)
    x, lam, labels = rng.standard_normal((4, network.dim)), rng.uniform(-9, 9, 4), LABELS if classes else [-1] * 4
    found = network(theta, x, lam, LABELS if classes else None)[0]
    np.testing.assert_allclose(found, written_out(network, theta, x, lam, labels), rtol=1e-10, atol=1e-11)


@every_size
def test_patches_put_together_are_the_picture_and_both_ways_are_transposes(picture, patch, overlap, rng):
    """assembled(patches(x)) = x, as often as patches have a pixel; ⟨patches(x), y⟩ = ⟨x, assembled(y)⟩."""
    network, _ = make(rng, picture, patch, overlap)
    x, y = rng.standard_normal((2, network.dim)), rng.standard_normal((2, network.tokens, (patch + 2 * overlap) ** 2))
    again, times = (network.assembled(network.patches(each)) for each in (x, np.ones_like(x)))
    np.testing.assert_allclose(again, times * x, rtol=1e-14)
    assert np.all(times >= 1)
    assert overlap or np.all(times == 1)
    np.testing.assert_allclose(np.vdot(network.patches(x), y), np.vdot(x, network.assembled(y)), rtol=1e-12)


@pytest.mark.parametrize("outputs", [0, 3])
def test_what_lies_where_is_known_to_the_tokens_weights_alone(outputs, rng):
    """Patches in another order, with `place` and the weights between tokens in that order, give F in that order."""
    network, theta = make(rng, (4, 6), classes=3, outputs=outputs)
    order, turned = rng.permutation(6), theta.copy()
    before, after = pieces(network, theta), pieces(network, turned)  # views
    after["place"][:] = before["place"].reshape(4, 6, 6)[:, order].reshape(4, 36)
    for i in range(network.blocks):
        after[f"up_tokens{i}"][:-1] = before[f"up_tokens{i}"][:-1][order]
        after[f"down_tokens{i}"][:] = before[f"down_tokens{i}"][:, order]

    def moved(x):
        return network.assembled(network.patches(x)[:, order])

    x, lam = rng.standard_normal((4, 24)), rng.uniform(-9, 9, 4)
    y, found = network(theta, x, lam, LABELS)[0], network(turned, moved(x), lam, LABELS)[0]
    np.testing.assert_allclose(found, y if outputs else moved(y), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("label", [None, [1]], ids=str)
def test_one_log_snr_or_label_for_all_rows_is_that_of_each(label, rng):
    """In F and its pullbacks, of which that to θ wants a log-SNR for each row."""
    network, theta = make(rng, classes=3)
    x, lam, labels = rng.standard_normal((4, 15)), rng.uniform(-9, 9, 1), label and np.resize(label, 4)
    (y, pull), (once, pull_once), (by_label, pull_by_label) = (
        network(theta, x, *given) for given in ((np.resize(lam, 4), labels), (lam, label), (np.resize(lam, 4), label))
    )
    grads = np.empty((2, network.size))
    np.testing.assert_allclose([once, by_label], [y, y], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pull_once(x), pull(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pull_by_label(x, grads[0]), pull(x, grads[1]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(*grads, rtol=1e-11, atol=1e-11)
    with pytest.raises(ValueError, match="∂L/∂θ needs a log-SNR for each row; got one for all"):
        pull_once(x, grads[0])


def test_a_pullback_may_leave_out_the_points(rng):
    network, theta = make(rng)
    x, grads = rng.standard_normal((4, 15)), np.empty((2, network.size))
    _, pull = network(theta, x, np.zeros(4))
    assert pull(x, grads[0], dx=False) is None
    pull(x, grads[1])
    np.testing.assert_array_equal(*grads)


def test_float32_stays_float32(rng):
    network, _ = make(rng, classes=3)
    theta, x = network.init(rng), rng.standard_normal((4, 15)).astype(np.float32)
    model, grad = td.NetworkDenoiser(network, theta, td.VP(), LABELS), np.empty_like(theta)
    for t in (0.3, T):
        (eps, pull), (x0, pull_x0) = model.linearize(x, t), model.linearize_x0(x, t)
        for out in (model(x, t), model.x0(x, t), eps, pull(x), x0, pull_x0(x)):
            assert out.dtype == np.float32
    assert network(theta, x, x[:, 0], LABELS)[1](x, grad).dtype == np.float32


def test_layers_begin_at_unit_scale_or_at_zero(rng):
    """W ~ N(0, 1/inputs), b = 0; place, what ends a block, what modulates it and the output are 0; labels ~ N(0, I)."""
    network = td.Mixer((20, 20), 4, 80, 2, classes=40)
    for name, weights in pieces(network, network.init(rng, np.float64)).items():
        if name.startswith(("place", "modulate", "down", "out")):
            assert not np.any(weights), name
        else:
            drawn = weights if name == "label" else weights[:-1]
            fan_in = 1 if name == "label" else len(drawn)
            assert abs(np.mean(drawn**2) * fan_in - 1) < 5 * np.sqrt(2 / drawn.size), name
            assert name == "label" or not np.any(weights[-1]), name


def test_the_matrices_are_the_weights_up_and_down_of_tokens_and_channels(rng):
    network, theta = make(rng, classes=3)
    weights = pieces(network, theta)
    names = [f"{way}_{kind}{i}" for i in range(2) for kind in ("tokens", "channels") for way in ("up", "down")]
    assert [(n, m) for _, n, m in network.matrices] == 2 * [(6, 3), (3, 6), (6, 12), (12, 6)]
    for (start, n, m), name in zip(network.matrices, names, strict=True):
        np.testing.assert_array_equal(theta[start : start + n * m].reshape(n, m), weights[name][:-1])


@pytest.mark.parametrize(("picture", "patch", "width"), [((9, 9), 9, 1), ((4, 4), 2, 6), ((4, 4), 4, 6)], ids=str)
def test_the_widest_layer_is_that_of_pixels_of_channels_or_of_tokens(picture, patch, width, rng, monkeypatch):
    """By it the rows are counted that are computed at a time."""
    network, sizes = td.Mixer(picture, patch, width, 1), []

    def linear(theta, x):
        y, pullback = layers.linear(theta, x)
        sizes.extend([x[0].size, y[0].size])
        return y, pullback

    monkeypatch.setattr("tinydiff.learned.mixer.linear", linear)
    network(network.init(rng), np.ones((2, network.dim), np.float32), np.zeros(2, np.float32))
    assert network.widest == max(sizes)


def test_it_classifies_and_pushes_towards_a_class(rng):
    """∇ ln p(y | x_t = x) to 1e-12, and F is linear in the features, one mean over the tokens for each picture."""
    network, theta = make(rng, outputs=4)
    classifier, x = td.Classifier(network, theta, td.VE()), 3 * rng.standard_normal((4, 15))
    exact = [classifier.log_p(x + 1j * STEP * e, T)[range(4), [0, 3, 1, 2]].imag / STEP for e in np.eye(15)]
    found = classifier.grad_log_p([0, 3, 1, 2])(x, T)
    np.testing.assert_allclose(found, np.stack(exact, axis=1), rtol=0, atol=1e-12 * np.max(np.abs(exact)))
    assert np.max(np.abs(exact)) > 1e-3
    out, h = pieces(network, theta)["out"], classifier.features(x, T)
    logits = h @ out[:-1] + out[-1]
    log_p = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    np.testing.assert_allclose(classifier.log_p(x, T), log_p, rtol=0, atol=1e-12)


def test_many_rows_have_the_same_bits_from_any_number_of_threads(rng):
    """Each with its own time and label, in more parts than one, whose answers are those of few rows."""
    network = td.Mixer((5, 3), 2, 16, 1, classes=3)
    n = 2 * network.rows + 5
    theta, x = 0.4 * rng.standard_normal(network.size), rng.standard_normal((n, 15))
    t, labels = rng.uniform(0.1, 0.9, n), rng.integers(-1, 3, n)
    one, two, three = (td.NetworkDenoiser(network, theta, td.VP(), labels, k)(x, t) for k in (1, 2, 3))
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(three, one)
    few = slice(network.rows - 3, network.rows + 3)
    model = td.NetworkDenoiser(network, theta, td.VP(), labels[few])
    np.testing.assert_allclose(one[few], model(x[few], t[few]), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_it_learns_pictures_and_a_resumed_run_equals_one_that_never_stopped(optimizer, same, rng):
    """Lines across and down, told which: the loss falls by half; and bit for bit."""
    lines = [
        np.add.outer(*pair) for k in range(4) for pair in ((np.eye(4)[k], np.zeros(4)), (np.zeros(4), np.eye(4)[k]))
    ]
    network, data = td.Mixer((4, 4), 2, 16, 1, classes=2), (2.6 * np.reshape(lines, (8, 16)) - 0.6, np.arange(8) % 2)
    options = {"steps": 40, "batch": 64, "optimizer": optimizer, "lr": 0.02, "weight": "x0", "targets": "single"}
    states = list(td.train(network, td.Cosine(), data, rng=3, times="uniform", **options))
    loss = [state.loss for state in states]
    assert np.mean(loss[-5:]) < np.mean(loss[:3]) / 2
    resumed = td.train(network, td.Cosine(), data, rng=rng, state=states[29], times="uniform", **options)
    assert all(same(*pair) for pair in zip(resumed, states[30:], strict=True))


PLAIN = td.Mixer((5, 3), 2, 4, 1, classes=3)
MODEL = td.NetworkDenoiser(PLAIN, np.zeros(PLAIN.size), td.VP())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: td.Mixer(16), "picture must be two numbers, rows and columns; got 16"),
        (lambda: td.Mixer((4, 4, 3)), "picture must be two numbers, rows and columns; got (4, 4, 3)"),
        (lambda: td.Mixer((4, 0)), "picture must be 1 or more; got 0"),
        (lambda: td.Mixer((4.0, 4)), "picture must be a whole number; got 4.0"),
        (lambda: td.Mixer((4, 4), patch=0), "patch must be 1 or more; got 0"),
        (lambda: td.Mixer((4, 4), width=0), "width must be 1 or more; got 0"),
        (lambda: td.Mixer((4, 4), blocks=-1), "blocks must be 0 or more; got -1"),
        (
            lambda: td.Mixer((4, 4), prediction="no"),
            "prediction must be one of 'eps', 'x0', 'v', 'score', 'edm'; got 'no'",
        ),
        (lambda: MODEL.given(3), "labels must be whole numbers among 0 to 2, or −1 for none; got [3]"),
        (lambda: PLAIN(MODEL.theta, np.zeros((1, 15)), np.zeros(1), [3]), "labels must be whole numbers among 0 to 2"),
        (lambda: MODEL(np.zeros((4, 16)), 0.5), "points must be an array of shape (B, 15); got shape (4, 16)"),
        (lambda: MODEL(np.zeros((4, 5, 3)), 0.5), "points must be an array of shape (B, 15); got shape (4, 5, 3)"),
        (
            lambda: td.train(td.Mixer((5, 3)), td.VP(), np.zeros((9, 16)), rng=0),
            "array of points (N, 15), one or more; got shape (9, 16)",
        ),
    ],
)
def test_what_does_not_fit_is_named(wrong, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        wrong()


def test_a_picture_may_come_as_a_list():
    """As JSON gives it; the networks are equal, and neither is that of the picture turned."""
    assert td.Mixer([5, 3], 2) == td.Mixer((5, 3), 2) != td.Mixer((3, 5), 2)
    assert (td.Mixer([5, 3]).picture, td.Mixer([5, 3]).dim) == ((5, 3), 15)
