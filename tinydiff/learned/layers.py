"""Layers, each with its backward pass beside its forward pass.

    layer(theta, x) -> (y, pullback),    pullback(dy, grad=None) -> dx

A pullback takes ∂L/∂y to ∂L/∂x and writes ∂L/∂θ into `grad`; None skips that. Where nobody asks for ∂L/∂x, as for the
condition of a network without classes, `linear` can skip the product for it. `theta` and `grad` are flat pieces of one
vector for the whole network, seen as matrices but never copied, so the optimizer works on a single array.
Layers without parameters leave `theta` out. Forward passes are complex-safe, for complex-step checks.

Shapes: B rows, n inputs, m outputs; x (B, ..., n), y and dy (B, ..., m).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from tinydiff.backend import Array, cast, matmul, namespace
from tinydiff.checks import as_labels

Pullback = Callable[..., Array]


def linear(theta: Array, x: Array) -> tuple[Array, Pullback]:
    """y = x W + b; theta holds W (n, m), then b (m,). pullback(dy, grad, dx=False) gives None."""
    xp, n = namespace(x), x.shape[-1]
    m = theta.shape[0] // (n + 1)
    rows = xp.reshape(x, (-1, n))  # of one product, however many axes there are
    y = rows @ matrix(theta[: n * m], n, m)
    y += theta[n * m :]

    def pullback(dy: Array, grad: Array | None = None, dx: bool = True) -> Array | None:
        dy = xp.reshape(dy, (-1, m))
        if grad is not None:
            matmul(rows.T, dy, out=matrix(grad[: n * m], n, m))
            grad[n * m :] = xp.ones_like(dy[:, 0]) @ dy  # faster than a sum along columns
        return xp.reshape(dy @ matrix(theta[: n * m], n, m).T, x.shape) if dx else None

    return xp.reshape(y, (*x.shape[:-1], m)), pullback


def matrix(theta: Array, n: int, m: int) -> Array:
    """A flat vector seen as a matrix (n, m), without a copy."""
    return namespace(theta).reshape(theta, (n, m), copy=False)


def embedding(theta: Array, labels: Array, classes: int) -> tuple[Array, Pullback]:
    """y = the row of each label in theta (classes + 1, m); label −1, no class, is the last row.

    Written as a product with one-hot rows, whose transpose scatters the gradient.
    """
    labels = as_labels(labels, np.arange(classes))
    m = theta.shape[0] // (classes + 1)
    one_hot = cast(labels[:, None] % (classes + 1) == np.arange(classes + 1), theta)  # (B, classes + 1)

    def pullback(dy: Array, grad: Array) -> None:
        rows = namespace(dy).broadcast_to(one_hot, (dy.shape[0], classes + 1))  # one label may be that of all rows
        matmul(rows.T, dy, out=matrix(grad, classes + 1, m))

    return one_hot @ matrix(theta, classes + 1, m), pullback


def silu(x: Array) -> tuple[Array, Pullback]:
    """y = x s with s = 1/(1 + e^{−x}), which is 0 where e^{−x} overflows; y′ = s + y (1 − s)."""
    with np.errstate(over="ignore"):
        s = 1 / (1 + namespace(x).exp(-x))
    y = x * s
    return y, lambda dy: dy * (s + y * (1 - s))


def layer_norm(x: Array, eps: float = 1e-5) -> tuple[Array, Pullback]:
    """y = (x − mean)/√(variance + eps) in each row [Ba et al. 2016]; dx = (dy − mean dy − y mean(y dy))/std."""
    xp = namespace(x)

    ones = xp.ones(x.shape[-1], dtype=x.dtype, device=device(x))

    def mean(a: Array) -> Array:
        return (a @ ones)[..., None] / x.shape[-1]  # three times as fast as a mean along the last axis

    centred = x - mean(x)
    rstd = (mean(centred * centred) + eps) ** -0.5
    y = centred * rstd
    return y, lambda dy: rstd * (dy - mean(dy) - y * mean(y * dy))


def modulate(theta: Array, x: Array, c: Array) -> tuple[Array, Callable[..., tuple[Array, Array]]]:
    """y = x (1 + γ) + δ, with γ and δ linear in the condition c (B, k) of a row [Perez et al. 2018, FiLM].

    theta holds γ's weights, then δ's. c may be (1, k), shared by all rows, where no gradient is asked for: the pullback
    gives (dx, dc), and dc is None without grad, or with dc=False.
    """
    xp, half = namespace(x), theta.shape[0] // 2
    gamma, pull_gamma = linear(theta[:half], c)
    delta, pull_delta = linear(theta[half:], c)
    each = (c.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])  # one γ and δ for all that a row holds
    gain = xp.reshape(1 + gamma, each)

    def by_row(d: Array) -> Array:
        return d if d.ndim == 2 else xp.sum(xp.reshape(d, (d.shape[0], -1, d.shape[-1])), axis=1)

    def pullback(dy: Array, grad: Array | None = None, dc: bool = True) -> tuple[Array, Array | None]:
        if grad is None:
            return dy * gain, None
        by_gamma, by_delta = pull_gamma(by_row(dy * x), grad[:half], dc), pull_delta(by_row(dy), grad[half:], dc)
        return dy * gain, by_gamma + by_delta if dc else None

    return x * gain + xp.reshape(delta, each), pullback


def folded(theta: Array, after: Array, c: Array) -> Array:
    """The parameters of linear(after, modulate(theta, x, c)) as one linear layer, for one condition c (1, k):

    (x (1 + γ) + δ) W + b = x ((1 + γ)ᵀ W) + (δ W + b)
    """
    xp, half = namespace(theta), theta.shape[0] // 2
    gain, delta = 1 + linear(theta[:half], c)[0], linear(theta[half:], c)[0]
    n = gain.shape[1]
    m = after.shape[0] // (n + 1)
    w = matrix(after[: n * m], n, m)
    return xp.concat([xp.reshape(gain.T * w, (-1,)), (delta @ w)[0, :] + after[n * m :]])


def swap(x: Array) -> tuple[Array, Pullback]:
    """y = xᵀ of each row: the tokens and the channels of (B, T, C) change places."""
    return namespace(x).matrix_transpose(x), namespace(x).matrix_transpose


def fourier_features(t: Array, frequencies: Any) -> Array:
    """(sin ω_1 t, cos ω_1 t, sin ω_2 t, …) for t (B,) and ω (F,), (B, 2F) [Vaswani et al. 2017, §3.5; DDPM, App. B]."""
    xp = namespace(t)
    angle = t[:, None] * cast(frequencies, t)  # (B, F)
    return xp.reshape(xp.stack([xp.sin(angle), xp.cos(angle)], axis=2), (t.shape[0], -1))
