"""DPM-Solver++(2M) and (3M): orders 2 and 3 at one evaluation for each step [Lu et al. 2022, DPM-Solver++, Alg. 2].

The flow in data prediction is solved exactly in its linear part. With ℓ = ln(α/σ) (half the log-SNR) and h = ℓ_s − ℓ_t,

    x_s = (σ_s/σ_t) x_t + α_s ∫_{ℓ_t}^{ℓ_s} e^{ℓ − ℓ_s} x̂_0 dℓ ≈ (σ_s/σ_t) x_t + α_s (1 − e^{−h}) x̄

where x̄ = x̂_0 is the first order, which is DDIM, and x̄ = x̂_0 + (x̂_0 − x̂_0′)/2r extrapolates to the middle of the
step from the evaluation before, x̂_0′; that step had length h′ in ℓ, and r = h′/h. The step goes from t to s, the
paper's from s to t. It needs α and σ at the times of the walk alone.

(3M) integrates the parabola x̂_0 + D_1 u + D_2 u², u = (ℓ − ℓ_t)/h, through the last three evaluations. So it is Adams
and Bashforth's method of order 3: `adams_bashforth(order=3)` to rounding, where that looks back to three. Here it is as
the paper has it, and looks back however far.

Pitfalls: the first step has no x̂_0′, and takes the first order; so does a step to s = 0, where h = ∞ and r = 0. Long
steps reach beyond what a parabola knows, and (2M) is then nearer to the flow than (3M).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array
from tinydiff.checks import check_columns
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.processes.base import check_order
from tinydiff.sampling import walk

Seen = tuple[Array, Level]  # an answer x̂_0, and the level that it was given at


def dpm_solver_2m_step(
    x: Array, x0_hat: Array, x0_hat_before: Array | None, before: Level | None, now: Level, then: Level
) -> Array:
    """One step of DPM-Solver++(2M) from t to s, with the evaluation before it.

    Parameters
    ----------
    x, x0_hat : (B, D)
        The point x_t and the model's x̂_0 there.
    x0_hat_before : (B, D) or None
        The x̂_0 of the step before; without it, as where a row goes to s = 0, the step has order 1.
    before : Level or None
        The level of the step before.
    now, then : Level
        The levels at t and at s < t.

    Returns
    -------
    (B, D)
        The point x_s.

    Raises
    ------
    ValueError
        For levels of two processes or in the wrong order.

    References
    ----------
    Lu et al. 2022 (DPM-Solver++), Alg. 2.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> before, now, then = (td.VP().at(t) for t in (0.6, 0.5, 0.4))
    >>> x = np.ones((1, 1))
    >>> first = td.dpm_solver_2m_step(x, 0.3 * x, None, None, now, then)
    >>> bool(np.isclose(first, td.ddim_step(x, 0.3 * x, now, then, 0.0))[0, 0])  # DDIM is its first order
    True
    """
    check_columns(now)
    check_order(now, then)
    middle = in_the_middle(x0_hat, x0_hat_before, before, now, then)
    return then.sigma / now.sigma * x + (then.alpha - now.alpha * then.sigma / now.sigma) * middle


def in_the_middle(x0_hat: Array, x0_hat_before: Array | None, before: Level | None, now: Level, then: Level) -> Array:
    """x̂_0 + (x̂_0 − x̂_0′)/2r, or x̂_0 for the first step and for one to s = 0."""
    if x0_hat_before is None or before is None or np.any(then.t == 0):
        return x0_hat
    check_order(before, now)
    r = (now.log_snr - before.log_snr) / (then.log_snr - now.log_snr)  # ∞ where no signal was left before
    return x0_hat + (x0_hat - x0_hat_before) / (2 * r)


def dpm_solver_2m(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None) -> walk.Walk:
    """DPM-Solver++(2M) along falling times; one evaluation for each step, and no noise.

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

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], and points of another shape.

    References
    ----------
    Lu et al. 2022 (DPM-Solver++), Alg. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.dpm_solver_2m, steps=20, rng=0).shape
    (3, 2)
    """
    levels = walk.levels(model, x, ts)
    before = x0_hat_before = None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x0_hat = model.x0(x, now)
        x = dpm_solver_2m_step(x, x0_hat, x0_hat_before, before, now, then)
        before, x0_hat_before = now, x0_hat
        yield then.t, x


def dpm_solver_3m(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None) -> walk.Walk:
    """DPM-Solver++(3M) along falling times; one evaluation for each step, and no noise.

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

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], and points of another shape.

    References
    ----------
    Lu et al. 2022 (DPM-Solver++), §4 and App. B: the integrals of a parabola.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.dpm_solver_3m, steps=20, rng=0).shape
    (3, 2)
    """
    levels = walk.levels(model, x, ts)
    seen: list[Seen] = []
    yield levels[0].t, x
    for now, then in pairwise(levels):
        seen = [(model.x0(x, now), now), *seen[:2]]
        if len(seen) == 3 and np.isfinite(seen[2][1].log_snr):
            x = dpm_solver_3m_step(x, seen, then)
        else:
            before, level_before = seen[1] if len(seen) > 1 else (None, None)
            x = dpm_solver_2m_step(x, seen[0][0], before, level_before, now, then)
        yield then.t, x


def dpm_solver_3m_step(x: Array, seen: Sequence[Seen], then: Level) -> Array:
    """One step of DPM-Solver++(3M) to s, with x̂_0 and its level at t and at the two times before, the newest first.

    x_s = (σ_s/σ_t) x_t + α_s ((1 − e^{−h}) x̂_0 + (1 − φ) D_1 + (1 − 2 (1 − φ)/h) D_2),    φ = (1 − e^{−h})/h
    """
    (x0_hat, now), (x0_hat_1, before), (x0_hat_2, long_before) = seen
    h, h_1, h_2 = ((b.log_snr - a.log_snr) / 2 for a, b in ((now, then), (before, now), (long_before, before)))
    slope, slope_before = h / h_1 * (x0_hat - x0_hat_1), h / h_2 * (x0_hat_1 - x0_hat_2)
    d_2 = h / (h_1 + h_2) * (slope - slope_before)
    d_1 = slope + h_1 / h * d_2
    phi = (1 - now.alpha * then.sigma / (then.alpha * now.sigma)) / h
    x_bar = h * phi * x0_hat + (1 - phi) * d_1 + (1 - 2 * (1 - phi) / h) * d_2
    return then.sigma / now.sigma * x + then.alpha * x_bar
