"""DPM-Solver++(2M): order 2 at one evaluation for each step [Lu et al. 2022, DPM-Solver++, Alg. 2].

The flow in data prediction is solved exactly in its linear part. With ℓ = ln(α/σ) (half the log-SNR) and h = ℓ_s − ℓ_t,

    x_s = (σ_s/σ_t) x_t + α_s ∫_{ℓ_t}^{ℓ_s} e^{ℓ − ℓ_s} x̂_0 dℓ ≈ (σ_s/σ_t) x_t + α_s (1 − e^{−h}) x̄

where x̄ = x̂_0 is the first order, which is DDIM, and x̄ = x̂_0 + (x̂_0 − x̂_0′)/2r extrapolates to the middle of the
step from the evaluation before, x̂_0′; that step had length h′ in ℓ, and r = h′/h. The step goes from t to s, the
paper's from s to t. It needs α and σ at the times of the walk alone.

Pitfalls: the first step has no x̂_0′, and takes the first order; so does a step to s = 0, where h = ∞ and r = 0.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array
from tinydiff.checks import check_columns
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.processes.base import check_order
from tinydiff.sampling import walk


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
    middle = x0_hat
    if x0_hat_before is not None and before is not None and np.all(then.t > 0):
        check_order(before, now)
        r = (now.log_snr - before.log_snr) / (then.log_snr - now.log_snr)  # ∞ where no signal was left before
        middle = x0_hat + (x0_hat - x0_hat_before) / (2 * r)
    return then.sigma / now.sigma * x + (then.alpha - now.alpha * then.sigma / now.sigma) * middle


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
