"""Learning machinery: gradients by hand, Adam, the moving average, and how a network learns what time it is."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, processes, times
from identities.tools import complex_step
from tinydiff.learned import layers
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.network import Network
from tinydiff.learned.objective import loss_and_grad


@st.composite
def lessons(draw) -> tuple[Network, np.ndarray | None, td.Process, np.ndarray]:
    """A small network of any kind, labels if it has classes, a process, and a time for each of four rows."""
    prediction, classes = draw(st.sampled_from(["eps", "x0", "v", "score"])), draw(st.sampled_from([0, 1, 3]))
    blocks, of_pictures = draw(st.integers(0, 2)), draw(st.booleans())
    if of_pictures:  # which its patches divide or not, and may overlap in
        picture, patch = (draw(st.integers(1, 4)), draw(st.integers(1, 3))), draw(st.integers(1, 2))
        network = td.Mixer(picture, patch, 4, blocks, classes, prediction, overlap=draw(st.integers(0, 1)))
    else:
        network = td.TimeMLP(draw(st.integers(1, 3)), 4, blocks, classes, prediction, draw(st.booleans()))
    process = draw(processes)
    t = np.array([draw(times(process))[0] for _ in range(4)])
    return network, np.minimum([0, 2, -1, 1], classes - 1) if classes else None, process, t


@identity(68, loss_and_grad, float64=1e-12, float32=1e-4)
@given(lesson=lessons(), rng=generators)
def test_backpropagation_is_the_transposed_derivative(hold, lesson, rng):
    r"""$\langle g,a\rangle = \frac{d}{dh} L(\theta+ha)$ and $\langle u, Jb\rangle = \langle J^\top u, b\rangle$

    The gradient of the loss, and the product with a Jacobian that likelihoods need, are written by hand, by layers;
    complex steps judge them. What is pulled back enters linearly; the gradient of a batch is the average of its parts',
    so that it may be gathered in parts; and rows keep to themselves, so that a permuted batch gives permuted answers.
    So it is for networks of points and of pictures, and for outputs that are no noise, such as a classifier's logits.

    Source: Squire & Trapp 1998 (complex step); Griewank & Walther 2008, §3.2 (the reverse mode is the transpose).
    Catches: a factor 2 or 1/B, a term left out of a layer's backward pass, a broadcast over rows, a patch
    pulled back to another place.
    """
    network, labels, process, t = lesson
    theta, a = hold.cast(*rng.standard_normal((2, network.size)) / 2)
    x0, eps, b, u = hold.cast(*rng.standard_normal((4, 4, network.dim)))
    now, sigma = process.at(t, like=x0), process.sigma(t)[:, None]
    x = now.perturb(x0, eps)

    # the gradient, against the loss of the noise written out
    def loss(theta):
        model = td.NetworkDenoiser(network, theta, process, labels)
        return np.mean((1 + sigma) * (np.float64(eps) - model(np.float64(x), t)) ** 2)

    def gradient(rows):
        given = None if labels is None else labels[rows]
        return loss_and_grad(network, theta, now[rows], x0[rows], eps[rows], given, lambda now: 1 + now.sigma)[1]

    g, *halves = (gradient(rows) for rows in (slice(None), slice(2), slice(2, 4)))
    hold(g @ a, complex_step(loss, np.float64(theta), np.float64(a)), scale=np.linalg.norm(g) * np.linalg.norm(a))
    hold((halves[0] + halves[1]) / 2, g, scale=np.linalg.norm(halves))

    # the Jacobian in x
    model, order = td.NetworkDenoiser(network, theta, process, labels), np.array([2, 0, 3, 1])
    output, pull = model.linearize(x, t)
    exact = complex_step(lambda x: model(x, t), np.float64(x), np.float64(b))
    size = (1 + 1 / sigma) * (1 + np.max(np.abs(x)))
    product, expected = (np.sum(each, axis=1, keepdims=True) for each in (pull(u) * b, u * exact))
    hold(product, expected, scale=network.dim * size)
    hold(pull(2 * b - u), 2 * pull(b) - pull(u), scale=size)
    hold(model.rows(order)(x[order], t[order]), output[order], scale=size[order])

    # both of other outputs
    logits = replace(network, outputs=2)
    theta, a = hold.cast(*rng.standard_normal((2, logits.size)) / 2)
    (x, lam), g, u = network_inputs(x, now), np.empty_like(theta), hold.cast(rng.standard_normal((4, 2)))
    dx = logits(theta, x, lam, labels)[1](u, g)

    def answer(theta, x):
        return np.sum(u * logits(theta, x, np.float64(lam), labels)[0])

    theta, x = np.float64(theta), np.float64(x)
    by_theta = complex_step(lambda theta: answer(theta, x), theta, np.float64(a))
    by_x = complex_step(lambda x: answer(theta + 0j, x), x, np.float64(b))
    hold(g @ a, by_theta, scale=np.linalg.norm(g) * np.linalg.norm(a))
    hold(np.sum(dx * b), by_x, scale=np.linalg.norm(dx) * np.linalg.norm(b) + 1)


@identity(69, td.Adam.update, float64=1e-12, float32=3e-6)
@given(rng=generators, lr=st.floats(1e-4, 1), b1=st.floats(0, 0.95), b2=st.floats(0.5, 0.999), eps=st.floats(1e-8, 1))
def test_adam_steps_by_the_rate_and_the_average_forgets_geometrically(hold, rng, lr, b1, b2, eps):
    r"""$\Delta\theta_1 = -r\,g/(|g| + \epsilon)$, and k equal gradients move θ by $-k\,r\,\mathrm{sign}\,g$, r the rate

    Adam corrects its averages for their start at 0, so that the first step has full length; at ε = 0 the scale of the
    loss does not matter. The moving average is $\theta^*_n = d^n \theta^*_0 + (1-d)\sum_k d^{\,n-k}\,\theta_k$.

    Source: Kingma & Ba 2015 (Adam), Alg. 1 and §2.1.
    Catches: no correction for the start, or of one average alone; ε under the root; d and 1 − d exchanged.
    """
    gradients = hold.cast(rng.choice([-1, 1], (8, 5)) * rng.uniform(0.1, 10, (8, 5)))
    g = gradients[0]

    adam = td.Adam(lr, b1, b2, eps)
    hold(adam.update(g, adam.init(g))[0], -lr * g / (np.abs(g) + eps))

    adam = td.Adam(lr, b1, b2, eps=0.0)
    state, theta = adam.init(g), 0 * g
    for k in range(1, 9):
        step, state = adam.update(g, state)
        theta = theta + step
        hold(theta, -k * lr * np.sign(g))

    one = other = adam.init(g)
    for each in gradients:
        (step, one), (scaled, other) = adam.update(each, one), adam.update(8 * each, other)
        hold(scaled, step, scale=lr)

    average, decay = g, b2
    for n in range(1, 8):
        average = td.ema_update(average, gradients[n], decay)
        ages = decay ** np.arange(n - 1, -1, -1)
        hold(average, decay**n * g + (1 - decay) * ages @ gradients[1 : n + 1], scale=10)


@identity(73, td.Muon.update, float64=1e-10, float32=1e-2)
@given(rng=generators, lr=st.floats(1e-3, 1), momentum=st.floats(0, 0.95), n=st.integers(1, 5), m=st.integers(1, 5))
def test_muon_moves_a_matrix_alike_in_every_direction(hold, rng, lr, momentum, n, m):
    r"""$\Delta W = -r\sqrt{\max(1, m/n)}\,U\,p(S)\,V^\top$ for $M = U S V^\top$, with $0.68 \le p \le 1.21$

    M is the average of the gradients, $d\,M_k + (1-d)\,g_k$ with $M_k = d\,M_{k-1} + (1-d)\,g_k$, and U and V stay as
    they are. p is five times $s \to 3.4445\,s - 4.775\,s^3 + 2.0315\,s^5$ of $s/\|M\|$: whatever is over 0.002 comes
    close to 1, so that the scale of the loss does not matter, and all other parameters are Adam's.

    Source: Jordan et al. 2024 (Muon); Bernstein & Newhouse 2024, §4 (the spectral norm).
    Catches: a power left out, products of numbers for products of matrices, no look ahead, or one that is kept.
    """
    start, size, adam = 3, 3 + 2 * n * m + 2, td.Adam(eps=0.0)
    muon = td.Muon([(start, n, m), (start + n * m, n, m)], lr, momentum, adam)
    gradients = hold.cast(rng.standard_normal((3, size)))
    state, other, plain, average = muon.init(gradients[0]), muon.init(gradients[0]), adam.init(gradients[0]), 0.0
    for g in gradients:
        (step, state), (scaled, other), (rest, plain) = (
            muon.update(g, state),
            muon.update(8 * g, other),
            adam.update(g, plain),
        )
        average = momentum * average + (1 - momentum) * np.float64(g)
        ahead = momentum * average + (1 - momentum) * g
        hold(scaled, step, scale=lr)
        hold(step[:start], rest[:start])
        hold(step[-2:], rest[-2:])
        for place in (slice(start, start + n * m), slice(start + n * m, start + 2 * n * m)):
            u, s, vt = np.linalg.svd(ahead[place].reshape(n, m), full_matrices=False)
            p = s / np.linalg.norm(s)
            seen = p > 0.002
            for _ in range(5):
                p = 3.4445 * p - 4.775 * p**3 + 2.0315 * p**5
            assert np.all((p[seen] > 0.68) & (p[seen] < 1.21))
            hold(step[place].reshape(n, m), -lr * max(1, m / n) ** 0.5 * (u * p) @ vt, scale=lr)
            hold(state.mu[place], average[place], scale=1)


@identity(70, layers.fourier_features, float64=1e-12, float32=3e-6)
@given(rng=generators, count=st.integers(1, 20), batch=st.integers(1, 5))
def test_embedded_times_know_their_differences(hold, rng, count, batch):
    r"""$\|\phi(t)\|^2 = d/2$ and $\langle\phi(t), \phi(s)\rangle = \sum_i \cos\omega_i(t-s)$, of t − s alone

    Each pair of $\phi = (\sin\omega_1 t, \cos\omega_1 t, \sin\omega_2 t, \dots)$ is a hand of a clock that turns at the
    rate $\omega_i$. All times lie on one sphere, and a shift of all of them turns it and changes no angle.

    Source: Vaswani et al. 2017 (Transformer), §3.5; for diffusion Ho et al. 2020 (DDPM), App. B.
    Catches: sine and cosine of different frequencies, a pair taken apart, turns in place of radians.
    """
    omega, t = np.geomspace(1 / 16, 4, count), hold.cast(rng.uniform(-5, 5, batch))
    phi = layers.fourier_features(t, omega)
    hold(np.sum(phi**2, axis=1), count)
    hold(phi @ phi.T, np.sum(np.cos(omega * (t[:, None] - t)[:, :, None]), axis=2), scale=count)
    hold(phi[:, :2], [[np.sin(omega[0] * each), np.cos(omega[0] * each)] for each in t], scale=1)
