"""How far a model is from the truth, by its samples and by its denoising.

Where the truth is a mixture, `kl_from_truth` of likelihood.py is the sharper judge.
"""

import math

import numpy as np

from tinydiff.backend import Array, cast, normal_like, to_numpy
from tinydiff.denoisers import Denoiser
from tinydiff.exact.oracle import Oracle


def sliced_w2(x: Array, y: Array, *, rng: np.random.Generator, directions: int = 256) -> float:
    """SW₂(x, y), the root mean square over directions u of W₂(x·u, y·u), in the units of x [Bonneel et al. 2015].

    On a line W₂ matches order statistics, so both need as many points: x and y (N, D). Read it beside the distance of
    two true samples; it sees that modes have the wrong weights, and little else.
    """
    x, y = to_numpy(x), to_numpy(y)
    if x.shape != y.shape or x.ndim != 2 or x.size == 0:
        raise ValueError(f"x and y must both have the shape (N, D), N ≥ 1; got {x.shape} and {y.shape}.")
    u = rng.standard_normal((x.shape[1], directions))
    u /= np.sqrt(np.sum(u * u, axis=0))
    apart = np.sort(x @ u, axis=0) - np.sort(y @ u, axis=0)  # (N, directions)
    return math.sqrt(np.mean(apart * apart))


def denoising(
    model: Denoiser, oracle: Oracle, t: float, *, n: int = 2000, rng: np.random.Generator
) -> tuple[float, float]:
    """(loss, excess) at time t, from n points: E‖ε − ε̂‖²/d, and E‖ε̂ − ε*‖²/d against the exact ε*.

    The loss is the floor plus the excess [Vincent 2011]; the excess is measured pairwise, so it has no noise of its own
    where the model is good.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    x0 = oracle.data.sample(rng, n)
    eps = normal_like(rng, x0)
    x = oracle.process.perturb(x0, t, eps)
    eps_hat, eps_star = to_numpy(model(cast(x, model.like), t)), to_numpy(oracle(x, t))
    return float(np.mean((eps_hat - to_numpy(eps)) ** 2)), float(np.mean((eps_hat - eps_star) ** 2))
