"""What a network is to output for a noisy point: the draw that made it, or the mean of all the draws that could have.

Shapes: x0, eps (B, D); `now` holds the level of each row, in columns (B, 1).
"""

import numpy as np

from tinydiff.backend import Array, by_rows, cast, namespace, on_host, scaling_rows, to_numpy
from tinydiff.processes import Level

ROWS = 128
"""Rows at a time, whose weights stay in the processor's cache."""


def batch_means(now: Level, x0: Array, eps: Array, labels: Array | None = None) -> tuple[Array, Array]:
    """(E[x_0|x_t], E[ε|x_t]) of x_t = α x_0 + σ ε, were the batch all data there is; all (B, D) [Xu et al. 2023]:

        E[x_0|x_t] = Σ_j w_j x_0^j,    w_j ∝ exp(−‖x_t − α x_0^j‖²/2σ²)

    As targets they lead to the same network as x_0 and ε do, with less noise on the way, by far the most where many
    points lead to one x_t. There is no bias: x_0 is a draw from p(x_0|x_t) and the other points from p(x_0), and to
    choose one of all with the odds w_j leaves p(x_0|x_t) as it is [iterated SIR: Andrieu et al. 2018]; this is the mean
    over that choice. A row with a label looks at those of its label alone, −1 at all.

    The exponents are differences of numbers up to SNR ‖x_0‖². So each is computed in float64, relative to that of the
    row's own point, and only then cast.
    """
    xp, now = namespace(x0), now.for_each(x0)
    points, noise = xp.astype(x0, xp.float64), xp.astype(eps, xp.float64)
    snr, root = (scaling_rows(now.host.snr**power, points) for power in (1.0, 0.5))

    def dot(a: Array, b: Array) -> Array:
        return xp.sum(a * b, axis=1, keepdims=True)

    seen = snr * points + root * noise  # SNR x_t/α
    squares = dot(points, points)
    terms = xp.concat([points, squares, xp.ones_like(snr)], axis=1)  # (B, D + 2); the exponents are asked @ terms.T
    asked = xp.concat([seen, -0.5 * snr, 0.5 * snr * squares - dot(seen, points)], axis=1)
    counted = xp.concat([x0, xp.ones_like(x0[:, :1])], axis=1)  # each point, and a 1 for the sum of the weights
    labels = None if labels is None else to_numpy(labels)[:, None]

    def mean_of(rows: slice) -> Array:
        logits = cast(asked[rows, :] @ terms.T, x0)  # (rows, B)
        if labels is not None:
            logits += cast(np.where((labels[rows] == labels.T) | (labels[rows] == -1), 0.0, -np.inf), x0)
        logits -= xp.max(logits, axis=1, keepdims=True)
        likely = xp.exp(logits)
        sums = likely @ counted
        return sums[:, :-1] / sums[:, -1:]

    mean = by_rows(mean_of, x0.shape[0], ROWS if on_host(x0) else x0.shape[0])
    return mean, eps + (now.alpha / now.sigma) * (x0 - mean)
