"""Training, as a generator of states: the caller decides what to look at, when to save and when to stop."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from array_api_compat import device

from tinydiff.backend import Array, cast, describe, namespace, normal_like, to_numpy
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.objective import TIMES, WEIGHTS, DrawTimes, Weight, batch_means, loss_and_grad, named
from tinydiff.learned.optim import Adam, AdamState, clip, cosine_decay, ema_update
from tinydiff.processes import Process

T = TypeVar("T")


class TrainState(NamedTuple):
    """All that training needs to go on, and what it has to say after each step."""

    step: int
    theta: Array
    ema: Array
    adam: AdamState
    rng_state: Mapping[str, Any]
    loss: float
    grad_norm: float


def train(
    network: TimeMLP,
    process: Process,
    data: Any,
    *,
    steps: int = 3000,
    batch: int = 1024,
    lr: float = 4e-3,
    weight: str | Weight = "simple",
    times: str | DrawTimes = "logistic",
    ema: float = 0.999,
    label_dropout: float = 0.1,
    targets: str = "batch",
    max_norm: float = 1.0,
    objective: Callable = loss_and_grad,
    rng: np.random.Generator,
    state: TrainState | None = None,
    like: Array | None = None,
) -> Iterator[TrainState]:
    """Iterate over the TrainState after each step, up to `steps` in all [DDPM, Alg. 1].

    data: a mixture (anything with .sample(rng, n)), an array (N, D), or a pair or Dataset (x, labels).
    weight: the factor w(t) of the ε-loss; times: how t is drawn. Names of objective.WEIGHTS and TIMES, or functions;
    DDPM's are "simple" and "uniform". On images prediction="x0" with weight="x0" learns best (see runs.config.RECIPES).
    targets: "single" is DDPM's, the ε and x_0 that were drawn; "batch" their means given x_t over the points of the
    batch (objective.batch_means): the same in the mean, with far less noise, at the price of batch² numbers. The loss
    is then smaller than DDPM's by that noise.
    label_dropout: how often a label is replaced by −1, so that one network learns with and without [CFG, Alg. 1].
    objective: what a batch is worth, in the place of loss_and_grad, such as a classifier's cross_entropy.
    ema: the decay of the average, reached as step/(step + 9) so that the start is soon forgotten.
    state: resume from there, with the same arguments, bit for bit as if training had not stopped; rng is for
    training alone while it runs.
    like: an array whose library, device and dtype the parameters are to have, such as backend.device_like gives; unless
    given, NumPy's float32 or what the state has. Noise is drawn on the host all the same: a seed means the same there.
    Raises ValueError for arguments out of range, and FloatingPointError at a step whose loss or gradient is not finite;
    the last state yielded is still good.
    """
    weigh, draw_times = named("weight", weight, WEIGHTS), named("times", times, TIMES)
    for name, value in (("steps", steps), ("batch", batch), ("lr", lr), ("max_norm", max_norm)):
        if not value > 0:
            raise ValueError(f"{name} must be positive; got {value}.")
    for name, value in (("ema", ema), ("label_dropout", label_dropout)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1]; got {value}.")
    if targets not in ("batch", "single"):
        raise ValueError(f"targets must be 'batch' or 'single'; got {targets!r}.")
    draw = batches(data, network.dim, with_labels=network.classes + network.outputs > 0)
    adam = Adam(lr=cosine_decay(lr, steps, warmup=steps // 50))
    if state is None:
        theta = network.init(rng) if like is None else cast(network.init(rng, np.float64), like)
        state = TrainState(0, theta, theta, adam.init(theta), rng.bit_generator.state, float("nan"), float("nan"))
    else:
        rng.bit_generator.state = state.rng_state
        if like is not None:
            mu, nu = (cast(a, like) for a in (state.adam.mu, state.adam.nu))
            state = state._replace(
                theta=cast(state.theta, like), ema=cast(state.ema, like), adam=AdamState(mu, nu, state.adam.count)
            )

    def states(state: TrainState) -> Iterator[TrainState]:
        theta, average, adam_state = state.theta, state.ema, state.adam
        for step in range(state.step + 1, steps + 1):
            x0, labels = draw(rng, batch)
            x0 = cast(x0, theta)
            if labels is not None:
                labels = np.where(rng.random(batch) < label_dropout, -1, labels)
            t, eps = draw_times(process, rng, batch), normal_like(rng, x0)
            if targets == "batch":
                x0, eps = batch_means(process, x0, t, eps, labels)
            loss, grad = objective(network, process, theta, x0, t, eps, labels, weigh)
            grad, norm = clip(grad, max_norm)
            if not np.isfinite(loss + norm):
                raise FloatingPointError(f"loss {loss}, gradient norm {norm} at step {step}: try lr below {lr:g}.")
            move, adam_state = adam.update(grad, adam_state)
            theta = theta + move
            average = ema_update(average, theta, min(ema, step / (step + 9)))
            yield TrainState(step, theta, average, adam_state, rng.bit_generator.state, loss, norm)

    return states(state)


def batches(
    data: Any, dim: int, with_labels: bool
) -> Callable[[np.random.Generator, int], tuple[Array, np.ndarray | None]]:
    """A function (rng, n) -> (n random points (n, D), their labels (n,) or None) of any data that `train` takes."""
    if hasattr(data, "sample"):
        return lambda rng, n: data.sample(rng, n, labels=True) if with_labels else (data.sample(rng, n), None)
    x, labels = data[:2] if isinstance(data, tuple) and len(data) > 1 else (data, None)
    if getattr(x, "ndim", 0) != 2 or x.shape[0] == 0 or x.shape[1] != dim:
        raise ValueError(
            f"data must be a mixture, an array of points (N, {dim}) or a pair (points, labels); got {describe(x)}."
        )
    xp = namespace(x)
    if not bool(xp.all(xp.isfinite(x))):
        raise ValueError("data must be finite: some of the points are NaN or infinite.")
    if with_labels:
        if labels is None or tuple(np.shape(labels)) != (x.shape[0],):
            raise ValueError("the network has classes, so data must be a pair (points, labels) with a label a point.")
        labels = to_numpy(labels).astype(np.int64)

    def draw(rng: np.random.Generator, n: int) -> tuple[Array, np.ndarray | None]:
        rows = rng.integers(0, x.shape[0], n)
        return xp.take(x, xp.asarray(rows, device=device(x)), axis=0), labels[rows] if with_labels else None

    return draw


def last(iterator: Iterable[T]) -> T:
    """The last item of an iterator, keeping one at a time (`*_, x =` would keep them all)."""
    tail = deque(iterator, maxlen=1)
    if not tail:
        raise ValueError("the iterator gave nothing.")
    return tail[0]
