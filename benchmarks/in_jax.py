"""What speed.py measures, written as one writes it in JAX: pure functions of a dictionary of weights, under jit.

Shapes: B rows, D coordinates, W width, K components.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import tinydiff as td

Weights = dict[str, Any]


def weights_of(network: td.TimeMLP, theta: np.ndarray) -> Weights:
    """θ as W and b of each layer, under its name; of the labels, one row each."""
    table = {name: piece.reshape(network.shapes[name]) for name, piece in network.split(theta).items()}
    layers = {name: each for name, each in table.items() if not name.startswith(("label", "modulate"))}
    for i in range(network.blocks):
        layers[f"gamma{i}"], layers[f"delta{i}"] = np.split(table[f"modulate{i}"], 2)
    weights = {name: (jnp.asarray(each[:-1]), jnp.asarray(each[-1])) for name, each in layers.items()}
    return weights | {"label": jnp.asarray(table["label"])} if network.classes else weights


def forward(network: td.TimeMLP, p: Weights, x: jax.Array, lam: jax.Array, labels: Any = None) -> jax.Array:
    """F (B, D)."""

    def linear(name: str, a: jax.Array) -> jax.Array:
        return a @ p[name][0] + p[name][1]

    angle = lam[:, None] * jnp.asarray(network.frequencies, jnp.float32)
    c = jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=2).reshape(len(lam), -1)
    if network.classes:
        c = c + p["label"][labels]
    h = linear("in", x)
    for i in range(network.blocks):
        u = jax.nn.standardize(h, epsilon=1e-5) if network.norm else h
        u = u * (1 + linear(f"gamma{i}", c)) + linear(f"delta{i}", c)
        h = h + linear(f"down{i}", jax.nn.silu(linear(f"up{i}", u)))
    return linear("out", h)


def step(network: td.TimeMLP, theta: np.ndarray, batch: tuple, adam: td.Adam) -> Callable[[], float]:
    """A function that takes a training step and returns its loss: one jit for all of it, its state donated."""
    x, lam, target, labels = (None if each is None else jnp.asarray(each) for each in batch)

    def update(state: tuple, *batch: Any) -> tuple[tuple, jax.Array]:
        p, average, mu, nu, count = state
        x, lam, target, labels = batch

        def loss_of(p: Weights) -> jax.Array:
            return jnp.mean((forward(network, p, x, lam, labels) - target) ** 2)

        loss, grad = jax.value_and_grad(loss_of)(p)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grad)))
        grad = jax.tree.map(lambda g: g * jnp.minimum(1, 1 / norm), grad)
        count = count + 1
        mu = jax.tree.map(lambda m, g: adam.b1 * m + (1 - adam.b1) * g, mu, grad)
        nu = jax.tree.map(lambda v, g: adam.b2 * v + (1 - adam.b2) * g * g, nu, grad)
        scale, bias = adam.lr / (1 - adam.b1**count), 1 - adam.b2**count
        p = jax.tree.map(lambda w, m, v: w - scale * m / (jnp.sqrt(v / bias) + adam.eps), p, mu, nu)
        average = jax.tree.map(lambda e, w: 0.999 * e + 0.001 * w, average, p)
        return (p, average, mu, nu, count), loss

    jitted = jax.jit(update, donate_argnums=0)
    fresh = [weights_of(network, theta) for _ in range(2)]  # jit takes each for itself
    state = *fresh, *(jax.tree.map(jnp.zeros_like, each) for each in fresh), jnp.zeros(())

    def take() -> float:
        nonlocal state
        state, loss = jitted(state, x, lam, target, labels)
        return float(loss)

    return take


def ddim(
    network: td.TimeMLP, theta: np.ndarray, process: td.VP, noise: np.ndarray, ts: np.ndarray, labels: Any = None
) -> Callable:
    """A function that samples by DDIM along ts, one scan under jit."""
    levels = levels_of(process, ts)

    @jax.jit
    def run(p: Weights, x: jax.Array) -> jax.Array:
        def body(x: jax.Array, level: tuple) -> tuple[jax.Array, None]:
            alpha, sigma, lam, alpha_s, sigma_s = level
            eps = forward(network, p, x, lam[None], labels)
            return alpha_s * ((x - sigma * eps) / alpha) + sigma_s * eps, None

        return jax.lax.scan(body, x, (*(a[:-1] for a in levels), levels[0][1:], levels[1][1:]))[0]

    p, x_T = weights_of(network, theta), jnp.asarray(noise)
    return lambda: run(p, x_T).block_until_ready()


def ddpm(network: td.TimeMLP, theta: np.ndarray, process: td.VP, noise: np.ndarray, ts: np.ndarray) -> Callable:
    """A function that samples by DDPM along ts, one scan under jit."""
    levels = tuple(a[:-1] for a in levels_of(process, ts))
    posterior = np.array([td.posterior(process.at(t), process.at(s)) for t, s in pairwise(ts)])

    @jax.jit
    def run(p: Weights, x: jax.Array, key: jax.Array) -> jax.Array:
        def body(x: jax.Array, level: tuple) -> tuple[jax.Array, None]:
            alpha, sigma, lam, (c_t, c_0, variance), key = level
            x0 = (x - sigma * forward(network, p, x, lam[None])) / alpha
            return c_t * x + c_0 * x0 + jnp.sqrt(variance) * jax.random.normal(key, x.shape), None

        keys = jax.random.split(key, len(ts) - 1)
        return jax.lax.scan(body, x, (*levels, jnp.asarray(posterior, jnp.float32), keys))[0]

    p, x_T, key = weights_of(network, theta), jnp.asarray(noise), jax.random.key(0)
    return lambda: run(p, x_T, key).block_until_ready()


def levels_of(process: td.VP, ts: np.ndarray) -> tuple[jax.Array, ...]:
    """α, σ and the clipped λ at the times."""
    lam = np.clip(process.log_snr(ts), -14, 14)
    return tuple(jnp.asarray(a, jnp.float32) for a in (process.alpha(ts), process.sigma(ts), lam))


def likelihood(network: td.TimeMLP, theta: np.ndarray, process: td.VP, x: np.ndarray, ts: np.ndarray) -> Callable:
    """A function that gives ln p of the points under the flow, by half a step to ts[0] and RK4 along the rising ts."""
    dim, start, middle = x.shape[1], process.at(ts[0]), 0.5 * (ts[1:] + ts[:-1])
    half_step = 0.5 * start.sigma / start.alpha

    def at(t: np.ndarray) -> np.ndarray:
        half = process.g2(t) / (2 * process.sigma(t))
        return np.stack([process.f(t), half, np.clip(process.log_snr(t), -14, 14)]).astype(np.float32)

    @jax.jit
    def run(p: Weights, x: jax.Array) -> jax.Array:
        def noise(y: jax.Array, lam: jax.Array) -> tuple[jax.Array, jax.Array]:
            eps, pull = jax.vjp(lambda y: forward(network, p, y, lam[None]), y)
            return eps, sum(pull(jnp.zeros_like(y).at[:, i].set(1.0))[0][:, i] for i in range(dim))

        def velocity(y: jax.Array, level: jax.Array) -> tuple[jax.Array, jax.Array]:
            f, half, lam = level
            eps, trace = noise(y, lam)
            return f * y + half * eps, f * dim + half * trace

        def body(state: tuple, inputs: tuple) -> tuple[tuple, None]:
            (y, gained), (h, a, b, c) = state, inputs
            k1, d1 = velocity(y, a)
            k2, d2 = velocity(y + 0.5 * h * k1, b)
            k3, d3 = velocity(y + 0.5 * h * k2, b)
            k4, d4 = velocity(y + h * k3, c)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return (y, gained + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)), None

        levels = np.diff(ts).astype(np.float32), at(ts[:-1]).T, at(middle).T, at(ts[1:]).T
        eps, trace = noise(start.alpha * x, levels[1][0, 2])
        y = start.alpha * (x + half_step * eps)
        gained = dim * math.log(start.alpha) + half_step * start.alpha * trace
        (y, gained), _ = jax.lax.scan(body, (y, gained), levels)
        return gained - 0.5 * jnp.sum(y**2, axis=1) - 0.5 * dim * math.log(2 * math.pi)

    p, points = weights_of(network, theta), jnp.asarray(x)
    return lambda: run(p, points).block_until_ready()


def score(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, x: np.ndarray) -> Callable:
    """A function that gives the score of a mixture at the points x, by the gradient of its log-density."""
    log_w = jnp.asarray(np.log(weights) - 0.5 * np.linalg.slogdet(covariances)[1], jnp.float32)
    m, precision = jnp.asarray(means, jnp.float32), jnp.asarray(np.linalg.inv(covariances), jnp.float32)

    def log_density(y: jax.Array) -> jax.Array:
        apart = y - m  # (K, D)
        return jax.nn.logsumexp(log_w - 0.5 * jnp.einsum("ki,kij,kj->k", apart, precision, apart))

    run, points = jax.jit(jax.vmap(jax.grad(log_density))), jnp.asarray(x)
    return lambda: run(points).block_until_ready()
