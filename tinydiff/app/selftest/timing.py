"""How long the work of a GPU takes: training steps, sampling, the oracle, a product of matrices."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tinydiff as td
from tinydiff.app.config import make_network, recipe
from tinydiff.app.process import make_process
from tinydiff.app.selftest.core import To
from tinydiff.backend import Array, namespace, to_numpy


class Task(NamedTuple):
    """What is timed: `run` does it once and gives an array of the result; `repeats` of it after one to warm up."""

    name: str
    run: Callable[[], Array]
    repeats: int


def tasks(to: To) -> Iterator[Task]:
    """The tasks in float32, on arrays that `to` makes."""
    like, rng = to(np.empty(0, np.float32)), np.random.default_rng(0)
    toy = recipe("ring8")
    data, process, network = td.toys.ring8(), make_process(toy.process), make_network(toy, 2, 0)
    states = td.train(network, process, data, steps=10**6, batch=toy.batch, rng=rng, like=like)
    yield Task(f"training step, toy {network.width}×{network.blocks}, batch {toy.batch:,}", partial(theta, states), 10)
    theta_0 = to(network.init(rng))
    draw = partial(td.sample, td.NetworkDenoiser(network, theta_0, process), 2048, steps=50, rng=rng)
    yield Task("2,048 points by DDIM, 50 steps", draw, 3)
    mixture = td.GaussianMixture(np.full(60, 1 / 60), rng.standard_normal((60, 2)), np.array([0.01 * np.eye(2)] * 60))
    x = to(rng.standard_normal((100_000, 2), np.float32))
    yield Task("the oracle's ε̂, 100,000 points × 60 components", partial(td.Oracle(mixture, process), x, 0.3), 3)
    digits = recipe("mnist")
    process, network = make_process(digits.process), make_network(digits, 784, 10, (28, 28))
    pixels = to(rng.uniform(-1, 1, (8192, 784)).astype(np.float32)), rng.integers(0, 10, 8192)
    for batch, repeats in ((digits.batch, 5), (4096, 2)):
        states = td.train(
            network, process, pixels, steps=10**6, batch=batch, optimizer=digits.optimizer, lr=digits.lr,
            weight=digits.weight, times=digits.times, targets=digits.targets, rng=rng, like=like,
        )  # fmt: skip
        name = f"training step, digits {network.width}×{network.blocks}, batch {batch:,}"
        yield Task(name, partial(theta, states), repeats)
    a = to(rng.standard_normal((4096, 4096), np.float32))
    yield Task("a product of two matrices 4,096²", lambda: a @ a, 3)


def theta(states: Iterator[td.TrainState]) -> Array:
    """The parameters after one more step."""
    return next(states).theta


def seconds(task: Task) -> float:
    """The median time of a task, until a number of the result is on the host: a GPU is asked, and answers later."""
    wait(task.run())
    ticks = []
    for _ in range(task.repeats):
        start = time.perf_counter()
        wait(task.run())
        ticks.append(time.perf_counter() - start)
    return statistics.median(ticks)


def wait(a: Array) -> Any:
    """Until all that leads to `a` is done: copy a number of it."""
    return to_numpy(namespace(a).reshape(a, (-1,))[:1])


def both(to: To) -> Iterator[tuple[str, float, float]]:
    """(task, seconds with NumPy, seconds there), NaN for what cannot be done there."""
    for here, there in zip(tasks(np.asarray), tasks(to), strict=True):
        try:
            took = seconds(there)
        except Exception:  # each library has an error of its own for a device with too little memory
            took = math.nan
        yield here.name, seconds(here), took


def count() -> int:
    """The number of tasks: they are made, and none is run."""
    return sum(1 for _ in tasks(np.asarray))
