"""Two optimizers, Adam and Muon, and their company, as pure functions of flat vectors: what goes in is never changed.

An optimizer has `init(theta) -> state` and `update(grad, state) -> (step, state)`; the step is added to θ. `train`
shortens it along `linear_decay`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from tinydiff.backend import Array, chunks, namespace, on_host
from tinydiff.checks import as_count

BLOCK = 65_536
"""Numbers in a block of `blocks`."""


class OptimizerState(NamedTuple):
    """What an optimizer remembers: averages of the gradient (mu) and of its square (nu), and the number of updates."""

    mu: Array
    nu: Array
    updates: int


class Optimizer(Protocol):
    """What `train` takes: a state for parameters θ, and a step to add to them for each gradient."""

    def init(self, theta: Array) -> OptimizerState:
        """The state before the first update."""

    def update(self, grad: Array, state: OptimizerState) -> tuple[Array, OptimizerState]:
        """The step to add to θ, and the next state."""


@dataclass(frozen=True)
class Adam:
    """Adam, θ ← θ − lr μ̂/(√ν̂ + eps), with μ̂ and ν̂ the averages of gradients and squares, corrected for their start.

    The idea: each parameter moves by about lr, whatever the size of its gradient. b2 is .99, not the paper's .999, as
    suits the thousands of steps that we take.

    Parameters
    ----------
    lr : float
        The learning rate.
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

    lr: float = 4e-3
    b1: float = 0.9
    b2: float = 0.99
    eps: float = 1e-8

    def init(self, theta: Array) -> OptimizerState:
        """The state before the first update: averages of 0."""
        zeros = namespace(theta).zeros_like(theta)
        return OptimizerState(zeros, zeros, 0)

    def update(self, grad: Array, state: OptimizerState) -> tuple[Array, OptimizerState]:
        """The step to add to θ, and the next state."""
        count = state.updates + 1
        scale = -self.lr / (1 - self.b1**count)
        xp = namespace(grad)
        step, mu, nu = xp.empty_like(grad), xp.empty_like(state.mu), xp.empty_like(state.nu)
        for block in blocks(grad):
            g = grad[block]
            m = self.b1 * state.mu[block] + (1 - self.b1) * g
            square = self.b2 * state.nu[block] + (1 - self.b2) * (g * g)
            step[block] = scale * m / (xp.sqrt(square / (1 - self.b2**count)) + self.eps)
            mu[block], nu[block] = m, square
        return step, OptimizerState(mu, nu, count)


@dataclass(frozen=True)
class Muon:
    """Muon, W ← W − lr √max(1, m/n) U Vᵀ for a matrix W (n, m) whose averaged gradient is U S Vᵀ; Adam for the rest.

    The idea: a matrix moves by about lr in each direction that it has. The gradient of a layer has a few large singular
    values and many small ones, so that other optimizers move in few directions; Muon sets them all to about 1. It is
    the steepest descent where the length of a step is how far it can move a unit vector, the spectral norm.

    Parameters
    ----------
    matrices : iterable of (start, n, m)
        Where θ holds the matrices, and their shapes; `TimeMLP.matrices` has those of a network.
    lr : float
        The learning rate of the matrices.
    momentum : float
        The decay of the average of their gradients, which takes the newest in once more for the step, a look ahead
        [Nesterov 1983].
    adam : Adam
        What moves all other parameters.

    References
    ----------
    Jordan et al. 2024 (Muon); Bernstein & Newhouse 2024 (steepest descent in the spectral norm).

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> muon = td.Muon([(0, 2, 2)], lr=0.1)
    >>> step, state = muon.update(np.array([3.0, 0.0, 0.0, 0.1]), muon.init(np.zeros(4)))
    >>> step.round(2)  # about −0.1 in either direction, though one has a thirtieth of the gradient
    array([-0.07, -0.  , -0.  , -0.11])
    """

    matrices: Iterable[tuple[int, int, int]]
    lr: float = 0.02
    momentum: float = 0.95
    adam: Adam = Adam(lr=0.02 / 3)

    def init(self, theta: Array) -> OptimizerState:
        """The state before the first update: averages of 0."""
        return self.adam.init(theta)

    def update(self, grad: Array, state: OptimizerState) -> tuple[Array, OptimizerState]:
        """The step to add to θ, and the next state."""
        xp = namespace(grad)
        step, (mu, nu, count) = self.adam.update(grad, state)
        for (n, m), places in self.groups.items():
            g, average = (xp.stack([xp.reshape(a[place], (n, m)) for place in places]) for a in (grad, state.mu))
            average = self.momentum * average + (1 - self.momentum) * g  # (matrices, n, m)
            ahead = self.momentum * average + (1 - self.momentum) * g
            move = -self.lr * max(1, m / n) ** 0.5 * orthogonalized(ahead)
            for i, place in enumerate(places):
                step[place], mu[place] = xp.reshape(move[i, :, :], (-1,)), xp.reshape(average[i, :, :], (-1,))
        return step, OptimizerState(mu, nu, count)

    @cached_property
    def groups(self) -> dict[tuple[int, int], list[slice]]:
        """The places of all matrices of a shape, which are taken together."""
        groups: dict[tuple[int, int], list[slice]] = {}
        for start, n, m in self.matrices:
            groups.setdefault((n, m), []).append(slice(start, start + n * m))
        return groups


def orthogonalized(g: Array, iterations: int = 5) -> Array:
    """About U Vᵀ of matrices g = U S Vᵀ (..., n, m), by products alone: a Newton–Schulz iteration [Jordan et al. 2024].

    X ← a X + (b A + c A²) X with A = X Xᵀ keeps U and V and takes each singular value s to a s + b s³ + c s⁵. From
    g/‖g‖, where they are at most 1, five iterations bring all that are over 0.002 to between 0.68 and 1.21: a, b and c
    are chosen for speed, not for a limit at 1.
    """
    xp = namespace(g)
    wide = g if g.shape[-2] <= g.shape[-1] else xp.matrix_transpose(g)
    x = wide / (xp.max(xp.abs(wide), axis=(-2, -1), keepdims=True) + 1e-30)  # or squares would underflow
    x = x / (xp.sqrt(xp.sum(x * x, axis=(-2, -1), keepdims=True)) + 1e-30)
    for _ in range(iterations):
        a = x @ xp.asarray(xp.matrix_transpose(x), copy=True)  # a view would get BLAS's syrk, at half the speed
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x if wide is g else xp.matrix_transpose(x)


def blocks(a: Array) -> list[slice]:
    """The parts of a long vector: what is read several times within one stays in the processor's cache.

    With 4.7 M parameters Adam takes half as long so. On another device than the host each part would cost its own
    kernels, 72 times as many, and there is one.
    """
    return chunks(a.shape[0], BLOCK if on_host(a) else max(a.shape[0], 1))


def linear_decay(lr: float, steps: int, warmup: int = 0) -> Callable[[int], float]:
    """A learning rate that rises over `warmup` updates and falls to 0 along a line.

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

    Raises
    ------
    TypeError, ValueError
        Unless steps is a whole number over 0, and warmup one of 0 or more.

    References
    ----------
    Defazio et al. 2023.

    Examples
    --------
    >>> import tinydiff as td
    >>> rate = td.linear_decay(1.0, steps=100)
    >>> print(rate(0), rate(50), rate(100))
    1.0 0.5 0.0
    """
    as_count("steps", steps)
    as_count("warmup", warmup, 0)
    return lambda k: lr * min(1.0, (k + 1) / (warmup + 1)) * (1 - min(k, steps) / steps)


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
