"""A classifier of noisy points, to guide by and to judge by: an MLP on x_t that knows the noise level.

    ln p(y | x_t) = F_y − ln Σ_k exp F_k,    loss = −ln p(label | x_t),    ∂loss/∂F = p − one-hot(label)

Trained on x_t at all noise levels it is what classifier guidance wants [Dhariwal & Nichol 2021, §4]; at t_min it judges
samples, and its last features are the space of the Fréchet distance. It answers as the exact classifier of
`Oracle.log_p` does, so that one can stand in for the other.

Shapes: B rows, D coordinates, C classes, W width; x (B, D), labels (B,).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinydiff.backend import Array, Times, cast, column, namespace, to_numpy
from tinydiff.exact.mixture import log_softmax
from tinydiff.learned.network import TimeMLP, check_library, check_theta, network_inputs
from tinydiff.learned.objective import Weight, simple
from tinydiff.learned.train import TrainState, train
from tinydiff.processes import Process


def cross_entropy(
    network: TimeMLP,
    process: Process,
    theta: Array,
    x0: Array,
    t: Times,
    eps: Array,
    labels: Array,
    weight: Weight = simple,
) -> tuple[float, Array]:
    """−mean w(t) ln p(label | x_t) on one batch, and its gradient (size,): the objective of a classifier."""
    logits, pullback = network(theta, *network_inputs(process, process.perturb(x0, t, eps), t))
    log_p, xp = log_softmax(logits), namespace(logits)
    one_hot = _one_hot(labels, log_p)
    share = column(weight(process, to_numpy(t)), x0) / x0.shape[0]
    grad = xp.empty_like(theta)
    pullback(share * (xp.exp(log_p) - one_hot), grad)
    return -float(xp.sum(share * one_hot * log_p)), grad


def _one_hot(labels: Array, like: Array) -> Array:
    """(B, C), or (1, C) for one label, in the kind of `like` (B, C)."""
    labels, classes = np.atleast_1d(to_numpy(labels)), like.shape[1]
    if not (np.issubdtype(labels.dtype, np.integer) and np.all((labels >= 0) & (labels < classes))):
        raise ValueError(f"labels must be integers from 0 to {classes - 1}; got {np.unique(labels)}.")
    return cast(labels[:, None] == np.arange(classes), like)


def train_classifier(
    network: TimeMLP,
    process: Process,
    data: Any,
    *,
    steps: int = 2000,
    batch: int = 256,
    lr: float = 2e-3,
    rng: np.random.Generator,
    **more: Any,
) -> Iterator[TrainState]:
    """Iterate over the TrainState of a classifier of x_t, as `train` does: network = TimeMLP(dim, outputs=classes).

    data: a mixture with labels, or a pair or Dataset (x, labels). `more` are train's arguments.
    """
    _check_classifier(network)
    return train(
        network, process, data, steps=steps, batch=batch, lr=lr, rng=rng, label_dropout=0.0, targets="single",
        objective=cross_entropy, **more,
    )  # fmt: skip


def _check_classifier(network: TimeMLP) -> None:
    if not network.outputs or network.classes:
        raise ValueError("a classifier is told no class, it outputs them: TimeMLP(dim, outputs=classes).")


class Classifier:
    """A trained classifier: log_p(x, t), grad_log_p(labels) and features(x, t)."""

    def __init__(self, network: TimeMLP, theta: Array, process: Process) -> None:
        _check_classifier(network)
        check_theta(network, theta)
        self.network, self.theta, self.process = network, theta, process

    def _inputs(self, x: Array, t: Times) -> tuple[Array, Array, Array]:
        """What the network takes; θ goes complex with x."""
        check_library(self.theta, x)
        return cast(self.theta, x), *network_inputs(self.process, x, t)

    def log_p(self, x: Array, t: Times) -> Array:
        """ln p(y | x_t = x), (B, C)."""
        return log_softmax(self.network(*self._inputs(x, t))[0])

    def grad_log_p(self, labels: Array) -> Callable[[Array, Times], Array]:
        """(x, t) ↦ ∇ ln p(y | x_t = x), (B, D); labels y: one for all rows, or (B,)."""

        def gradient(x: Array, t: Times) -> Array:
            logits, pullback = self.network(*self._inputs(x, t))
            push = _one_hot(labels, logits) - namespace(x).exp(log_softmax(logits))
            scale = (self.process.alpha(t) ** 2 + self.process.sigma(t) ** 2) ** -0.5
            return column(scale, x) * pullback(push)

        return gradient

    def features(self, x: Array, t: Times) -> Array:
        """What the last layer sees, (B, W)."""
        return self.network.features(*self._inputs(x, t))[0]
