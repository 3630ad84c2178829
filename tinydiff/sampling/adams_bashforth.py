"""Adams and Bashforth's method: order 4 at one evaluation for each step [Hochbruck & Ostermann 2010; Xue et al. 2023].

As in DPM-Solver++ the flow in data prediction is solved exactly in its linear part. With λ the log-SNR,

    x_s = (σ_s/σ_t) x_t + α_s ∫_{λ_t}^{λ_s} e^{(λ − λ_s)/2} x̂_0 dλ/2

where x̂_0 along the way is the polynomial through the last evaluations, four at the most. A step is then DDIM's, with x̄,
the mean of that polynomial under the weight e^{λ/2}, in the place of x̂_0. `order=1` is DDIM.

Pitfalls: a polynomial says nothing far from its points. x̂_0 turns from one mode to another within a few units of λ, so
evaluations over 4 units before the end of a step are left out: where steps are long, the order falls, and at last the
step is DDIM's. It is so for the first steps, too, which have none before them; there x̂_0 hardly changes.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array
from tinydiff.checks import as_count, check_choice
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.sampling import walk
from tinydiff.sampling.ddim import ddim_step

REACH = 4.0
"""How far in λ, from the end of a step back, x̂_0 is taken for a polynomial."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
"""Gauss's rule of 8 points on [−1, 1], exact to rounding for a cubic times e^{λ/2} over `REACH`."""

Answer = tuple[float, Array]  # a log-SNR, and the x̂_0 of the model there


def adams_bashforth(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, order: int = 4) -> walk.Walk:
    """Adams' method along falling times; one evaluation for each step, and no noise.

    Parameters
    ----------
    model : Denoiser
        The model to sample.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, in (0, 1].
    rng : optional
        Taken as by every sampler, and not used.
    order : {1, 2, 3, 4}
        The most evaluations that a step looks back to.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], points of another shape, and another order.

    References
    ----------
    Hochbruck & Ostermann 2010, §2.5; Xue et al. 2023 (SA-Solver), eq. 14 without noise.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.adams_bashforth, steps=20, rng=0).shape
    (3, 2)
    """
    check_choice("order", as_count("order", order), (1, 2, 3, 4))
    levels = walk.levels(model, x, ts)
    seen: list[Answer] = []
    yield levels[0].t, x
    for now, then in pairwise(levels):
        seen = [(now.log_snr, model.x0(x, now)), *seen[: order - 1]]
        x = polynomial_step(x, seen, now, then)
        yield then.t, x


def polynomial_step(x: Array, answers: list[Answer], now: Level, then: Level) -> Array:
    """The step from t to s with x̂_0 the polynomial through the answers near s, or through the first alone."""
    near = [(lam, x0_hat) for lam, x0_hat in answers if then.log_snr - lam <= REACH] or answers[:1]
    w = shares([lam for lam, _ in near], now.log_snr, then.log_snr)
    x_bar = sum(share * x0_hat for share, (_, x0_hat) in zip(w, near, strict=True))
    return ddim_step(x, x_bar, now, then, 0.0)


def shares(seen: list[float], start: float, end: float) -> list[float]:
    """The share of each answer in x̄: ∫ e^{λ/2} L_j dλ / ∫ e^{λ/2} dλ from start to end, L_j Lagrange's polynomial."""
    if len(seen) == 1:
        return [1.0]  # also where no signal is left, λ = −∞
    lam = (end + start + (end - start) * NODES) / 2
    w = WEIGHTS * np.exp((lam - end) / 2)
    basis = (np.prod([(lam - other) / (at - other) for other in seen if other != at], axis=0) for at in seen)
    return [float(np.sum(w * each) / np.sum(w)) for each in basis]
