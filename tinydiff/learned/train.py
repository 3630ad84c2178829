"""Training, as a generator of states: the caller decides what to look at, when to save and when to stop."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinydiff.backend import Array, cast, namespace, normal_like
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.objective import CLOCKS, WEIGHTS, Clock, Weight, loss_and_grad, named
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
    steps: int = 4000,
    batch: int = 1024,
    lr: float = 6e-3,
    weight: str | Weight = "simple",
    times: str | Clock = "logistic",
    ema: float = 0.999,
    label_dropout: float = 0.1,
    max_norm: float = 1.0,
    rng: np.random.Generator,
    state: TrainState | None = None,
) -> Iterator[TrainState]:
    """Iterate over the TrainState after each step, up to `steps` in all [DDPM, Alg. 1].

    data: a mixture (anything with .sample(rng, n)), an array (N, D), or a pair or Dataset (x, labels).
    weight: the factor w(t) of the ε-loss; times: how t is drawn. Names of objective.WEIGHTS and CLOCKS, or functions.
    label_dropout: how often a label is replaced by −1, so that one network learns with and without [CFG, Alg. 1].
    ema: the decay of the average, reached as step/(step + 9) so that the start is soon forgotten.
    state: resume from there, with the same arguments, bit for bit as if training had not stopped.
    Raises ValueError for arguments out of range, and FloatingPointError at a step whose loss or gradient is not finite;
    the last state yielded is still good.
    """
    weigh, draw_times = named("weight", weight, WEIGHTS), named("times", times, CLOCKS)
    for name, value in (("steps", steps), ("batch", batch), ("lr", lr)):
        if not value > 0:
            raise ValueError(f"{name} must be positive; got {value}.")
    adam = Adam(lr=cosine_decay(lr, steps, warmup=steps // 50))
    if state is None:
        theta = network.init(rng)
        state = TrainState(0, theta, theta, adam.init(theta), rng.bit_generator.state, float("nan"), float("nan"))

    def states(state: TrainState) -> Iterator[TrainState]:
        rng.bit_generator.state = state.rng_state
        theta, average, adam_state = state.theta, state.ema, state.adam
        for step in range(state.step + 1, steps + 1):
            x0, labels = draw(data, rng, batch, with_labels=network.classes > 0)
            x0 = cast(x0, theta)
            if labels is not None:
                labels = np.where(rng.random(batch) < label_dropout, -1, labels)
            t, eps = draw_times(process, rng, batch), normal_like(rng, x0)
            loss, grad = loss_and_grad(network, process, theta, x0, t, eps, labels, weigh)
            grad, norm = clip(grad, max_norm)
            if not np.isfinite(loss + norm):
                raise FloatingPointError(f"loss {loss}, gradient norm {norm} at step {step}: try lr below {lr:g}.")
            move, adam_state = adam.update(grad, adam_state)
            theta = theta + move
            average = ema_update(average, theta, min(ema, step / (step + 9)))
            yield TrainState(step, theta, average, adam_state, rng.bit_generator.state, loss, norm)

    return states(state)


def draw(data: Any, rng: np.random.Generator, n: int, with_labels: bool) -> tuple[Array, Array | None]:
    """n random points (n, D) of data in any of the forms that `train` takes, with their labels (n,) or None."""
    if hasattr(data, "sample"):
        return data.sample(rng, n, labels=True) if with_labels else (data.sample(rng, n), None)
    x, labels = data[:2] if isinstance(data, tuple) else (data, None)
    if with_labels and labels is None:
        raise ValueError("the network has classes, so data must carry labels: pass (x, labels).")
    rows = rng.integers(0, x.shape[0], n)
    return namespace(x).take(x, rows, axis=0), labels[rows] if with_labels and labels is not None else None


def last(iterator: Iterable[T]) -> T:
    """The last item of an iterator, keeping one at a time (`*_, x =` would keep them all)."""
    tail = deque(iterator, maxlen=1)
    if not tail:
        raise ValueError("the iterator gave nothing.")
    return tail[0]
