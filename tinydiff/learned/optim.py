"""Adam and its company, as pure functions of flat vectors: what goes in is never changed."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tinydiff.backend import Array, chunks, namespace, on_host

BLOCK = 65_536
"""Numbers in a block of `blocks`."""


@dataclass(frozen=True)
class AdamState:
    """Averages of the gradient (mu) and of its square (nu), and the number of updates."""

    mu: Array
    nu: Array
    count: int


@dataclass(frozen=True)
class Adam:
    """Adam, θ ← θ − lr μ̂/(√ν̂ + eps), with μ̂ and ν̂ the averages of gradients and squares, corrected for their start.

    b2 is .99, not the paper's .999, as suits the few thousand steps that we take; on the toys the two end alike.

    Parameters
    ----------
    lr : float or callable
        The learning rate, or a function of the number of updates so far.
    b1, b2 : float
        The decay of the averages of the gradient and of its square.
    eps : float
        Added to the root, so that nothing is divided by 0.

    References
    ----------
    Kingma & Ba 2015, Alg. 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> adam = td.Adam(lr=0.1)
    >>> step, state = adam.update(np.array([5.0, -0.01]), adam.init(np.zeros(2)))
    >>> step.round(6)  # the first step is lr against the sign of the gradient, whatever its size
    array([-0.1,  0.1])
    """

    lr: float | Callable[[int], float] = 1e-3
    b1: float = 0.9
    b2: float = 0.99
    eps: float = 1e-8

    def init(self, theta: Array) -> AdamState:
        """The state before the first update."""
        zeros = namespace(theta).zeros_like(theta)
        return AdamState(zeros, zeros, 0)

    def update(self, grad: Array, state: AdamState) -> tuple[Array, AdamState]:
        """The step to add to θ, and the next state."""
        lr = self.lr(state.count) if callable(self.lr) else self.lr
        count = state.count + 1
        scale = -lr / (1 - self.b1**count)
        xp = namespace(grad)
        step, mu, nu = xp.empty_like(grad), xp.empty_like(state.mu), xp.empty_like(state.nu)
        for block in blocks(grad):
            g = grad[block]
            m = self.b1 * state.mu[block] + (1 - self.b1) * g
            square = self.b2 * state.nu[block] + (1 - self.b2) * (g * g)
            step[block] = scale * m / (xp.sqrt(square / (1 - self.b2**count)) + self.eps)
            mu[block], nu[block] = m, square
        return step, AdamState(mu, nu, count)


def blocks(a: Array) -> list[slice]:
    """The parts of a long vector: what is read several times within one stays in the processor's cache.

    With 4.7 M parameters Adam takes half as long so. On another device than the host each part would cost its own
    kernels, 72 times as many, and there is one.
    """
    return chunks(a.shape[0], BLOCK if on_host(a) else max(a.shape[0], 1))


def cosine_decay(lr: float, steps: int, warmup: int = 0) -> Callable[[int], float]:
    """A learning rate that rises over `warmup` updates and falls to 0 along a cosine.

    Parameters
    ----------
    lr : float
        The peak.
    steps, warmup : int
        The number of updates in all, and of those in which it rises.

    Returns
    -------
    callable
        The learning rate as a function of the number of updates so far.

    References
    ----------
    Loshchilov & Hutter 2017, eq. 5.

    Examples
    --------
    >>> import tinydiff as td
    >>> rate = td.cosine_decay(1.0, steps=100)
    >>> print(rate(0), round(rate(50), 6), rate(100))
    1.0 0.5 0.0
    """
    return lambda k: lr * min(1.0, (k + 1) / (warmup + 1)) * 0.5 * (1 + math.cos(math.pi * min(k, steps) / steps))


def clip(grad: Array, max_norm: float) -> tuple[Array, float]:
    """Scale a gradient down to max_norm where it is longer.

    Parameters
    ----------
    grad : (size,)
        The gradient.
    max_norm : float
        The most that its Euclidean norm may be.

    Returns
    -------
    grad : (size,)
        The gradient, scaled down or as it was.
    norm : float
        Its norm before.

    References
    ----------
    Pascanu et al. 2013, Alg. 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.clip(np.array([3.0, 4.0]), 1.0)
    (array([0.6, 0.8]), 5.0)
    """
    norm = math.sqrt(float(grad @ grad))
    return (grad if norm <= max_norm else grad * (max_norm / norm)), norm


def ema_update(ema: Array, theta: Array, decay: float) -> Array:
    """The exponential moving average of parameters, decay · ema + (1 − decay) θ, which is what samples are drawn from.

    Parameters
    ----------
    ema, theta : (size,)
        The average so far, and the parameters.
    decay : float
        How much of the average stays, from 0 to 1.

    Returns
    -------
    (size,)
        The new average.

    References
    ----------
    Ho et al. 2020 (DDPM), App. B; Song & Ermon 2020, §4.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.ema_update(np.array([1.0]), np.array([2.0]), 0.75)
    array([1.25])
    """
    return decay * ema + (1 - decay) * theta
