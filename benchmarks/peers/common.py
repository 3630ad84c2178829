"""What all peers share: points, CPU seconds, a density along a flow, and the judge."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

import tinydiff as td

POOL = 2**20


@dataclass(frozen=True)
class Recipe:
    """What the search varies; how many steps there are follows from the CPU seconds."""

    lr: float
    batch: int
    decay: bool = False
    """Let lr fall to 0 along the CPU seconds, linearly."""


class Model(Protocol):
    """A trained model."""

    def sample(self, n: int) -> np.ndarray:
        """n points by the library's own sampler, (n, 2)."""

    log_density: Callable[[np.ndarray], np.ndarray] | None
    """ln p of points (B, 2) by the model's flow, in nats; None where it has no flow."""


def until(seconds: float) -> Iterator[float]:
    """The share of the CPU seconds that is gone, again and again, until all are."""
    start = time.process_time()
    while (gone := (time.process_time() - start) / seconds) < 1:
        yield gone


def steps(optimizer: torch.optim.Optimizer, recipe: Recipe, seconds: float) -> Iterator[None]:
    """A step after the other, with the learning rate of each set."""
    for gone in until(seconds):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * (1 - gone if recipe.decay else 1)
        yield


class Points:
    """True points, drawn beforehand so that nobody pays for them, in batches."""

    def __init__(self, toy: str, seed: int) -> None:
        self.data, self.rng = td.toys.TOYS[toy](), np.random.default_rng(seed)
        self.pool = torch.tensor(self.data.sample(self.rng, POOL), dtype=torch.float32)

    def batch(self, n: int) -> torch.Tensor:
        """The next n of them, (n, 2)."""
        return self.pool[torch.from_numpy(self.rng.integers(POOL, size=n))]


def log_density(u: Callable, x: np.ndarray, times: np.ndarray, log_prior: Callable) -> np.ndarray:
    """ln p(x) = ln p(x_1) + ∫ div u dt along dx/dt = u(x, t), from the data to the source, by RK4 and exact divergence.

    Shapes: x (B, 2), times (N,) from that of the data to that of the source; log_prior and the answer (B,).
    """

    def slope(x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = u(x, t)
            rows = [torch.autograd.grad(y[:, i].sum(), x, retain_graph=i == 0)[0][:, i] for i in range(2)]
        return y.detach(), sum(rows)

    x, total = torch.tensor(x, dtype=torch.float64), 0.0
    for t, s in pairwise(times):
        h = s - t
        k1, d1 = slope(x, t)
        k2, d2 = slope(x + h / 2 * k1, t + h / 2)
        k3, d3 = slope(x + h / 2 * k2, t + h / 2)
        k4, d4 = slope(x + h * k3, s)
        x, total = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), total + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return (log_prior(x) + total).numpy()


def log_normal(std: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """ln N(x; 0, std² I) in the plane, (B,)."""
    return lambda x: -(x**2).sum(1) / (2 * std**2) - math.log(2 * math.pi * std**2)


STRAIGHT = np.concatenate([[1.0], 1 / (1 + np.exp(-np.linspace(7, -7, 81))), [0.0]])
"""Times of a straight path from data at 1 to noise at 0, nearly even in the log-SNR."""


DIVERGED = {"energy": math.inf, "outliers": 1.0, "modes": 0.0, "kl": math.inf, "se": 0.0}
"""What a training that went to infinity is worth."""


def judged(model: Model, data: td.GaussianMixture, n: int) -> dict[str, float]:
    """How far a model is from the exact density.

    energy is the distance of n samples to as many true points; outliers the share of samples that are less likely than
    999 of 1,000 true points; modes the share of modes with a tenth of their samples or more; kl is KL(data ‖ model) of
    the flow on n/4 points, in nats, se its standard error.
    """
    x, true = model.sample(n), data.sample(5, n)
    level = np.quantile(data.log_density(data.sample(6, 10**6)), 1e-3)
    finite = x[np.all(np.isfinite(x), axis=1)]
    if not len(finite):
        return DIVERGED
    found = {
        "energy": td.energy_distance(finite, true),
        "outliers": float(1 - np.sum(data.log_density(finite) >= level) / len(x)),
        "modes": td.mode_coverage(data, finite, rng=7).covered,
    }
    if model.log_density is not None:
        few = true[: n // 4]
        gap = data.log_density(few) - model.log_density(few)
        found |= {"kl": float(gap.mean()), "se": float(gap.std() / math.sqrt(len(gap)))}
    return found
