"""A classifier of noisy points, to guide by and to judge by: a network on x_t that knows the noise level.

    ln p(y | x_t) = F_y − ln Σ_k exp F_k,    loss = −ln p(label | x_t),    ∂loss/∂F = p − one-hot(label)

Trained on x_t at all noise levels it is what classifier guidance wants [Dhariwal & Nichol 2021, §4]; at t_min it judges
samples, and its last features are the space of the Fréchet distance. It answers as the exact classifier of
`Oracle.log_p` does, so that one can stand in for the other.

Shapes: B rows, D coordinates, C classes, W width; x (B, D), labels (B,).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydiff.backend import Array, cast, log_softmax, namespace
from tinydiff.checks import as_labels, check_classifier, check_library, check_process, check_theta
from tinydiff.learned.denoiser import input_scale, network_inputs
from tinydiff.learned.network import Network
from tinydiff.learned.objective import Weight, simple_weight, weigh
from tinydiff.learned.optim import Optimizer
from tinydiff.learned.train import TrainState, train
from tinydiff.processes import Level, Process


def cross_entropy(
    network: Network, theta: Array, now: Level, x0: Array, eps: Array, labels: Array, weight: Weight = simple_weight
) -> tuple[float, Array]:
    """−mean w(t) ln p(label | x_t) on one batch, and its gradient (size,): the objective of a classifier."""
    now = now.for_each(x0)
    logits, pullback = network(theta, *network_inputs(now.perturb(x0, eps), now, network.sigma_data))
    log_p, xp = log_softmax(logits), namespace(logits)
    one_hot = _one_hot(labels, log_p)
    w = weigh(weight, now) / x0.shape[0]
    grad = xp.empty_like(theta)
    pullback(w * (xp.exp(log_p) - one_hot), grad)
    return -float(xp.sum(w * one_hot * log_p)), grad


def _one_hot(labels: Any, like: Array) -> Array:
    """(B, C), or (1, C) for one label, in the kind of `like` (B, C)."""
    classes = np.arange(like.shape[1])
    return cast(as_labels(labels, classes, none=False)[:, None] == classes, like)


def train_classifier(
    network: Network, process: Process, data: Any, *, steps: int = 2000, batch: int = 256,
    optimizer: str | Optimizer = "adam", lr: float | None = 2e-3, objective: Callable = cross_entropy, rng: Any,
    **options: Any,
) -> Iterator[TrainState]:  # fmt: skip
    """Train a classifier of x_t, and iterate over its TrainState as `train` does.

    Parameters
    ----------
    network : TimeMLP or Mixer
        One with outputs, such as TimeMLP(dim, outputs=classes).
    process : Process
        The process whose x_t it classifies.
    data : GaussianMixture, Dataset or (x, labels)
        Points with labels.
    steps, batch, optimizer, lr, objective, rng, options
        As for `train`.

    Returns
    -------
    iterator of TrainState
        One after each step; `Classifier(network, state.ema, process)` is the classifier.

    Raises
    ------
    ValueError
        For a network without outputs, and as `train` does.

    References
    ----------
    Dhariwal & Nichol 2021, §4.

    Examples
    --------
    >>> import tinydiff as td
    >>> data, network = td.toys.ring8(), td.TimeMLP(2, width=16, blocks=1, outputs=8)
    >>> state = td.last(td.train_classifier(network, td.VP(), data, steps=5, rng=0))
    >>> td.Classifier(network, state.ema, td.VP()).log_p(data.sample(1, 3).astype("float32"), 0.1).shape
    (3, 8)
    """
    check_classifier(network)
    return train(
        network, process, data, steps=steps, batch=batch, optimizer=optimizer, lr=lr, rng=rng, label_dropout=0.0,
        targets="single", objective=objective, **options,
    )  # fmt: skip


class Classifier:
    """A trained classifier of noisy points, which answers as the exact one of an Oracle does.

    Parameters
    ----------
    network : TimeMLP or Mixer
        A network with an output for each class.
    theta : (size,)
        Its parameters.
    process : Process
        The process that it was trained under.

    Raises
    ------
    TypeError, ValueError
        For a network without outputs, and parameters or a process that do not fit.

    References
    ----------
    Dhariwal & Nichol 2021, §4.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1, outputs=3)
    >>> classifier = td.Classifier(network, network.init(np.random.default_rng(0)), td.VP())
    >>> np.exp(classifier.log_p(np.zeros((1, 2), np.float32), 0.5)).round(3)  # it knows nothing yet
    array([[0.333, 0.333, 0.333]], dtype=float32)
    """

    def __init__(self, network: Network, theta: Array, process: Process) -> None:
        check_classifier(network)
        check_process(process)
        check_theta(network.size, theta)
        self.network, self.theta, self.process = network, theta, process

    def _inputs(self, x: Array, now: Level) -> tuple[Array, Array, Array]:
        """What the network takes; θ goes complex with x."""
        check_library(self.theta, x)
        return cast(self.theta, x), *network_inputs(x, now, self.network.sigma_data)

    def log_p(self, x: Array, t: Any) -> Array:
        """ln p(y | x_t = x), (B, C)."""
        return log_softmax(self.network(*self._inputs(x, self.process.at(t, like=x)))[0])

    def grad_log_p(self, labels: Any) -> Callable[[Array, Any], Array]:
        """(x, t) ↦ ∇ ln p(y | x_t = x), (B, D); labels y: one for all rows, or (B,)."""
        return ClassGradient(self, labels)

    def features(self, x: Array, t: Any) -> Array:
        """What the last layer sees, (B, W)."""
        return self.network.features(*self._inputs(x, self.process.at(t, like=x)))[0]


@dataclass(frozen=True)
class ClassGradient:
    """∇ ln p(y | x_t = x) of a classifier, for the labels y."""

    classifier: Classifier
    labels: Any

    def __call__(self, x: Array, t: Any) -> Array:
        """The gradient at x (B, D), by one pullback of one-hot(y) − p."""
        now = self.classifier.process.at(t, like=x)
        logits, pullback = self.classifier.network(*self.classifier._inputs(x, now))
        error = _one_hot(self.labels, logits) - namespace(x).exp(log_softmax(logits))
        return input_scale(now, self.classifier.network.sigma_data) * pullback(error)
