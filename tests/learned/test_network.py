"""The network's gradient is exact, and its denoiser says the same thing in all its words."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import to_numpy
from tinydiff.learned.network import network_inputs

STEP = 1e-30
PREDICTIONS = ("eps", "x0", "v", "score")
PROCESSES = (td.VP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40))
T = np.array([0.05, 0.4, 0.75, 0.95])


def make(rng, classes=0, prediction="eps", dim=3, width=8, blocks=2, norm=True, outputs=0):
    network = td.TimeMLP(dim, width, blocks, classes, prediction, norm, outputs)
    return network, 0.4 * rng.standard_normal(network.size)


def test_gradient_agrees_with_pytorch(rng):
    """The same network written with PyTorch's own layers, on the same weights: loss and gradient to 1e-10."""
    torch = pytest.importorskip("torch")
    network, theta = make(rng, classes=3, dim=5, width=16, blocks=3)
    x, lam = rng.standard_normal((7, 5)), rng.uniform(-9, 9, 7)
    labels, dy = np.array([0, 1, 2, -1, 0, 1, -1]), rng.standard_normal((7, 5))
    y, pullback = network(theta, x, lam, labels)
    grad = np.empty_like(theta)
    dx = pullback(dy, grad)

    leaf, inputs = torch.tensor(theta, requires_grad=True), torch.tensor(x, requires_grad=True)
    pieces = dict(zip(network.shapes, torch.split(leaf, [n * m for n, m in network.shapes.values()]), strict=True))
    table = {name: piece.reshape(network.shapes[name]) for name, piece in pieces.items()}
    angle = torch.tensor(lam)[:, None] * torch.tensor(network.frequencies)
    c = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
    c = c + torch.nn.functional.embedding(torch.tensor(labels % 4), table["label"])

    def linear(name, h):
        return torch.nn.functional.linear(h, table[name][:-1].T, table[name][-1])

    h = linear("in", inputs)
    for i in range(network.blocks):
        gamma, delta = (c @ half[:-1] + half[-1] for half in table[f"modulate{i}"].chunk(2))
        u = torch.nn.functional.layer_norm(h, h.shape[1:], eps=1e-5) * (1 + gamma) + delta
        h = h + linear(f"down{i}", torch.nn.functional.silu(linear(f"up{i}", u)))
    out = linear("out", h)
    (out * torch.tensor(dy)).sum().backward()
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert np.max(np.abs(grad - leaf.grad.numpy())) <= 1e-10 * np.max(np.abs(grad))
    assert np.max(np.abs(dx - inputs.grad.numpy())) <= 1e-10 * np.max(np.abs(dx))


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
@pytest.mark.parametrize("prediction", PREDICTIONS)
class TestDenoiser:
    """The denoiser of a random network."""

    def model(self, rng, process, prediction):
        network, theta = make(rng, classes=3, prediction=prediction)
        return td.NetworkDenoiser(network, theta, process).given([0, 1, -1, 2])

    def test_eps_and_x0_obey_x_equals_alpha_x0_plus_sigma_eps(self, process, prediction, rng):
        """x = α x̂_0 + σ ε̂, whichever of the two F is."""
        model, x = self.model(rng, process, prediction), rng.standard_normal((4, 3))
        again = process.at(T, like=x).perturb(model.x0(x, T), model(x, T))
        np.testing.assert_allclose(again, x, rtol=1e-9, atol=1e-10)

    def test_the_output_is_what_the_prediction_names(self, process, prediction, rng):
        """F = ε̂, x̂_0, (αε̂ − σx̂_0)/√(α² + σ²) or −ε̂/σ."""
        model, x = self.model(rng, process, prediction), rng.standard_normal((4, 3))
        now, eps, x0 = process.at(T, like=x), model(x, T), model.x0(x, T)
        output, _ = model.network(model.theta, *network_inputs(x, now), model.labels)
        v = (now.alpha * eps - now.sigma * x0) / np.hypot(now.alpha, now.sigma)
        meant = {"eps": eps, "x0": x0, "v": v, "score": -eps / now.sigma}
        np.testing.assert_allclose(meant[prediction], output, rtol=1e-8, atol=1e-10)

    def test_one_time_is_that_time_in_every_row(self, process, prediction, rng):
        model, x = self.model(rng, process, prediction), rng.standard_normal((4, 3))
        np.testing.assert_allclose(model(x, 0.4), model(x, np.full(4, 0.4)), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(model.x0(x, 0.4), model.x0(x, np.full(4, 0.4)), rtol=1e-12, atol=1e-13)


def test_float32_stays_float32(rng):
    network = td.TimeMLP(3, 8, 2, classes=2)
    model = td.NetworkDenoiser(network, network.init(rng), td.VP())
    x = rng.standard_normal((4, 3)).astype(np.float32)
    for t in (0.3, np.linspace(0.1, 0.9, 4)):
        (eps, pull), (x0, pull_x0) = model.linearize(x, t), model.linearize_x0(x, t)
        for out in (model(x, t), model.x0(x, t), eps, pull(x), x0, pull_x0(x)):
            assert out.dtype == np.float32
    assert model.like.dtype == np.float32
    assert model.like.shape == (0, 3)


def test_at_initialisation_the_output_is_zero(rng):
    network, _ = make(rng, classes=3)
    x, lam, labels = rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4), np.array([2, -1, 0, 1])
    assert not np.any(network(network.init(rng), x.astype(np.float32), lam.astype(np.float32), labels)[0])


def test_the_network_sees_unit_variance_and_a_clipped_log_snr(rng):
    """x/√(α² + σ²) has variance 1 for data of variance 1, on VE too; λ is clipped to ±14."""
    eps, x0 = rng.standard_normal((2, 50_000, 1))
    for process in (td.VP(), td.VE(), td.SubVP(), td.Straight()):
        now = process.at(0.7)
        seen, _ = network_inputs(now.perturb(x0, eps), now)
        assert np.std(seen) == pytest.approx(1, abs=0.02)
    assert network_inputs(x0[:1], td.Cosine().at(0.0))[1] == 14
    assert network_inputs(x0[:1], td.Cosine().at(1.0))[1] == -14


# Outputs of another number, and the features that they are linear in


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("outputs", [1, 5])
def test_gradient_with_outputs_of_another_number_by_complex_step(outputs, classes, norm, rng):
    """F is (B, outputs), whatever D: ∂⟨dy, F⟩/∂θ and ∂⟨dy, F⟩/∂x to 1e-12, as for a denoiser."""
    network, theta = make(rng, classes, norm=norm, outputs=outputs)
    x, lam, dy = rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4), rng.standard_normal((4, outputs))
    labels = np.array([0, 2, -1, 2]) if classes else None
    y, pullback = network(theta, x, lam, labels)
    assert y.shape == (4, outputs)
    grad = np.full(network.size, np.nan)
    dx = pullback(dy, grad)

    def value(theta, x):
        return np.imag(np.sum(dy * network(theta, x, lam, labels)[0])) / STEP

    exact = np.array([value(theta + 1j * STEP * e, x) for e in np.eye(network.size)])
    exact_x = np.array([value(theta, x + 1j * STEP * e.reshape(4, 3)) for e in np.eye(12)]).reshape(4, 3)
    assert np.max(np.abs(grad - exact)) <= 1e-12 * np.max(np.abs(exact))
    assert np.max(np.abs(dx - exact_x)) <= 1e-12 * np.max(np.abs(exact_x))


def test_outputs_change_the_last_layer_alone(rng):
    """(W + 1) (outputs − D) parameters more, at the end of θ; outputs = 0 and outputs = D are the same network."""
    plain, same, wide = (td.TimeMLP(3, 8, 2, classes=2, outputs=n) for n in (0, 3, 7))
    assert (same.size, wide.size) == (plain.size, plain.size + 9 * 4)
    assert {name for name in plain.shapes if plain.shapes[name] != wide.shapes[name]} == {"out"}
    assert list(wide.shapes)[-1] == "out"
    theta, x, lam = rng.standard_normal(plain.size), rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4)
    np.testing.assert_array_equal(same(theta, x, lam)[0], plain(theta, x, lam)[0])
    longer = np.concatenate([theta, np.zeros(36)])
    np.testing.assert_array_equal(wide.features(longer, x, lam)[0], plain.features(theta, x, lam)[0])
    assert not np.any(wide(wide.init(rng), x.astype(np.float32), lam.astype(np.float32))[0])  # begins as 0


@pytest.mark.parametrize("outputs", [0, 5])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_output_is_linear_in_the_features(outputs, classes, rng):
    """F = h W + b, W and b the last of θ: h is what the last layer sees, (B, width)."""
    network, theta = make(rng, classes, outputs=outputs)
    x, lam, n = rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4), outputs or 3
    labels = np.array([0, 2, -1, 2]) if classes else None
    h = network.features(theta, x, lam, labels)[0]
    assert h.shape == (4, 8)
    w, b = theta[-9 * n : -n].reshape(8, n), theta[-n:]
    np.testing.assert_allclose(network(theta, x, lam, labels)[0], h @ w + b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_gradient_of_the_features_by_complex_step(classes, rng):
    """∂⟨dh, h⟩/∂θ of every parameter before the last layer, and ∂⟨dh, h⟩/∂x; that layer's are not written."""
    network, theta = make(rng, classes, outputs=5)
    x, lam, dh = rng.standard_normal((4, 3)), rng.uniform(-9, 9, 4), rng.standard_normal((4, 8))
    labels = np.array([0, 2, -1, 2]) if classes else None
    grad = np.full(network.size, np.nan)
    dx = network.features(theta, x, lam, labels)[1](dh, grad)

    def value(theta, x):
        return np.imag(np.sum(dh * network.features(theta, x, lam, labels)[0])) / STEP

    exact = np.array([value(theta + 1j * STEP * e, x) for e in np.eye(network.size)])
    exact_x = np.array([value(theta, x + 1j * STEP * e.reshape(4, 3)) for e in np.eye(12)]).reshape(4, 3)
    last = network.size - 9 * 5
    assert np.max(np.abs(grad[:last] - exact[:last])) <= 1e-12 * np.max(np.abs(exact))
    assert np.max(np.abs(dx - exact_x)) <= 1e-12 * np.max(np.abs(exact_x))
    assert not np.any(exact[last:])
    assert np.all(np.isnan(grad[last:]))
    np.testing.assert_array_equal(dx, network.features(theta, x, lam, labels)[1](dh))


def test_a_network_with_outputs_is_no_denoiser():
    """Not even with as many as coordinates: what they mean is another thing."""
    for outputs in (1, 2, 3):
        network = td.TimeMLP(2, 8, outputs=outputs)
        with pytest.raises(ValueError, match=f"an output for each coordinate; this network has {outputs}"):
            td.NetworkDenoiser(network, np.zeros(network.size), td.VP())


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="outputs must be 0 or more; got -1"):
        td.TimeMLP(2, outputs=-1)
    with pytest.raises(ValueError, match="width must be 1 or more; got 0"):
        td.TimeMLP(2, 0)
    with pytest.raises(ValueError, match="prediction must be one of 'eps', 'x0', 'v', 'score'; got 'noise'"):
        td.TimeMLP(2, prediction="noise")
    network = td.TimeMLP(2, 8)
    with pytest.raises(ValueError, match=f"the network's {network.size} parameters; got shape"):
        td.NetworkDenoiser(network, np.zeros(3), td.VP())
    with pytest.raises(ValueError, match=r"points must be an array of shape \(B, 2\); got shape \(4, 3\)"):
        td.NetworkDenoiser(network, np.zeros(network.size), td.VP())(np.zeros((4, 3)), 0.5)
    with pytest.raises(ValueError, match="made without classes"):
        td.NetworkDenoiser(network, np.zeros(network.size), td.VP()).given(0)


@pytest.mark.parametrize("labels", [3, -2, 0.5, [0.0, 1.0], [[0, 1]]], ids=str)
def test_labels_are_whole_numbers_of_the_classes(labels, rng):
    network, theta = make(rng, classes=3)
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 2, or −1 for none"):
        td.NetworkDenoiser(network, theta, td.VP()).given(labels)


def test_labels_are_as_many_as_points_or_one(rng):
    network, theta = make(rng, classes=3)
    model, x = td.NetworkDenoiser(network, theta, td.VP()), rng.standard_normal((4, 3))
    np.testing.assert_array_equal(model.given([2])(x, 0.5), model.given(2)(x, 0.5))
    for answer in (model.given([0, 1, 2]), model.given([0, 1, 2]).x0, model.given([0, 1, 2]).linearize_x0):
        with pytest.raises(ValueError, match="labels must be one, or one for each of 4 rows; got 3"):
            answer(x, 0.5)


def test_a_label_without_a_block_to_hear_it_gets_no_gradient(rng):
    """With blocks = 0 the condition enters nowhere."""
    network = td.TimeMLP(2, 4, 0, classes=3)
    x, grad = rng.standard_normal((5, 2)), np.ones(network.size)
    y, pullback = network(rng.standard_normal(network.size), x, np.zeros(5), np.zeros(5, int))
    pullback(y, grad)
    np.testing.assert_array_equal(network.split(grad)["label"], 0)


def test_a_network_of_logits_is_not_trained_as_a_denoiser(rng):
    with pytest.raises(ValueError, match="this network outputs no noise: train it with train_classifier"):
        next(td.train(td.TimeMLP(2, 4, 1, outputs=2), td.VP(), td.toys.moons32(), rng=rng))


def test_times_may_live_where_the_points_do(rng):
    """A row's own time as an array of another library, on its device."""
    strict = pytest.importorskip("array_api_strict")

    def to(a):
        return strict.asarray(a, device=strict.Device("device1"))

    network, process = td.TimeMLP(2, 4, 1), td.VP()
    theta, x, t = rng.standard_normal(network.size), rng.standard_normal((3, 2)), np.array([0.1, 0.5, 0.9])
    found = td.NetworkDenoiser(network, to(theta), process)(to(x), to(t))
    np.testing.assert_allclose(to_numpy(found), td.NetworkDenoiser(network, theta, process)(x, t), rtol=1e-12)


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


def test_labels_may_be_given_at_once(rng):
    network, theta = make(rng, classes=3)
    x, labels = rng.standard_normal((4, 3)), np.array([0, 2, 1, 0])
    at_once = td.NetworkDenoiser(network, theta, td.VP(), labels)(x, 0.5)
    np.testing.assert_array_equal(at_once, td.NetworkDenoiser(network, theta, td.VP()).given(labels)(x, 0.5))
    assert np.max(np.abs(at_once - td.NetworkDenoiser(network, theta, td.VP())(x, 0.5))) > 0.01
