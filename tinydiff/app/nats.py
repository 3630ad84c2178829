"""What a run is worth in nats, as each of the two models that one network makes.

The probability flow has a density, −ln p by `log_likelihood`; the reverse chain has a bound, −ELBO. Both are at least
the entropy of the data, each by its own model's KL from them; between the two there is no order.
"""

import math
from typing import Any

import numpy as np

from tinydiff import grids
from tinydiff.backend import Array, cast, in_chunks, to_numpy
from tinydiff.denoisers import Denoiser
from tinydiff.evaluation.elbo import elbo, optimal_variances
from tinydiff.evaluation.likelihood import log_likelihood

STEPS = 500
"""Steps of the reverse chain, in equal log-SNR; the last is the reconstruction."""
BATCHES = 20
"""Batches of points whose bounds are independent draws."""
NUMBERS = 32_000
"""Coordinates of the points that are looked at, together, where that leaves ten of them for each batch."""
NOISE = 10_000_000
"""Numbers of noise at a time: an array of 80 MB."""
PARTS = ("prior", "diffusion", "reconstruction")


def in_nats(
    model: Denoiser,
    x: np.ndarray,
    others: np.ndarray,
    rng: np.random.Generator,
    log_q: np.ndarray | None = None,
    entropy: float = 0.0,
) -> dict[str, Any]:
    """NLL of the flow and −ELBO of the chain, with standard errors and the bound's parts, over the points x (N, D).

    others: points to fit the optimal variances to. log_q (N,) and entropy: ln q(x) of the truth and −E ln q, where they
    are known. Then −E ln p = entropy + E[ln q − ln p], without the spread of ln q itself. What is left of the bound's
    noise is that of its own draws, and most of it that of ‖ε‖²: so ε is stratified over the points of each batch.
    """
    log_q = np.zeros(len(x)) if log_q is None else log_q
    few = max(10 * BATCHES, NUMBERS // model.dim)  # of large points, whose nats vary less for their size
    x, log_q = cast(x[:few], model.like), log_q[:few]
    others = cast(others, model.like)
    probes = None if model.dim <= 16 else 4

    def log_p(y: Array) -> np.ndarray:
        return to_numpy(log_likelihood(model, y, probes=probes, steps=50, rng=rng))

    nll = mean_and_error(log_q - in_chunks(log_p, x))
    ts = grids.even_log_snr(model.process, STEPS - 1)
    size = max(1, len(x) // BATCHES)
    x, log_q = x[: len(x) // size * size], log_q[: len(x) // size * size]
    variances = optimal_variances(model, others[:500], ts, rng)

    def bounds(rows: slice) -> tuple[np.ndarray, ...]:
        """Nats of both chains, and the parts of the first, of some of the points."""
        y = x[rows]
        noise = stratified_normal(rng, (STEPS, *y.shape), size)
        first, best = elbo(model, y, ts, noise=noise), elbo(model, y, ts, noise=noise, variance=variances)
        split = first.prior, to_numpy(first.diffusion).sum(axis=1), first.reconstruction
        return tuple(map(to_numpy, (first.nats, best.nats, *split)))

    at_once = max(1, NOISE // (STEPS * model.dim * size)) * size
    whole = [bounds(slice(i, i + at_once)) for i in range(0, len(x), at_once)]
    first, best, *split = (np.concatenate(part) for part in zip(*whole, strict=True))
    neg_elbo, optimal = (mean_and_error(np.mean((log_q + each).reshape(-1, size), axis=1)) for each in (first, best))
    return {
        "nll_nats": entropy + nll[0], "nll_standard_error": nll[1],
        "neg_elbo_nats": entropy + neg_elbo[0], "neg_elbo_standard_error": neg_elbo[1],
        "neg_elbo_optimal_nats": entropy + optimal[0], "neg_elbo_optimal_standard_error": optimal[1],
        "elbo_steps": STEPS,
        "elbo_parts": {name: float(np.mean(part)) for name, part in zip(PARTS, split, strict=True)},
    }  # fmt: skip


def stratified_normal(rng: np.random.Generator, shape: tuple[int, int, int], size: int) -> np.ndarray:
    """Standard normal noise (N, B, D) whose every coordinate has, in each batch of `size` rows, one draw in each of
    `size` equally likely strata: a Latin hypercube [McKay et al. 1979]. B is a multiple of size.
    """
    from scipy.special import ndtri

    n, b, d = shape
    order = rng.permuted(np.broadcast_to(np.arange(size), (n, b // size, d, size)), axis=3)
    u = (order + rng.random(order.shape)) / size
    return ndtri(u).swapaxes(2, 3).reshape(shape)


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))
