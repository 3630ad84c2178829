"""EDM's sampler: Heun's method in the noise level, with churn [Karras et al. 2022, Alg. 2].

In y = x/α, whose noise level is u = σ/α, every process is variance exploding and its probability flow is

    dy/du = (y − x̂_0)/u

`edm_heun` is made for VE, where α = 1, and the grid of `grids.karras`; on any other process it runs in y.
"""

import math
from itertools import pairwise
from typing import Any

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_generator, check_range
from tinydiff.denoisers import Denoiser
from tinydiff.sampling import walk


def edm_heun(
    model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, churn: float = 0.0, churn_from: float = 0.0,
    churn_to: float = math.inf, noise_scale: float = 1.0,
) -> walk.Walk:  # fmt: skip
    """Heun's method along falling times; each step may first churn, that is, go back up. Two evaluations a step.

    Parameters
    ----------
    model : Denoiser
        The model to sample, of a process in continuous time.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, from t_max to t_min at the most.
    rng : Generator or int, optional
        The source of the noise, or a seed; needed where churn > 0.
    churn, churn_from, churn_to, noise_scale : float
        The paper's S_churn, S_tmin, S_tmax and S_noise: a step at a noise level u = σ/α from churn_from to churn_to
        first adds noise until u is 1 + min(churn/N, √2 − 1) times as high, with N times in ts, and at most that of
        t_max.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For other times, points of another shape, a negative churn, and an rng that is neither a generator nor a seed
        where noise is drawn.

    References
    ----------
    Karras et al. 2022 (EDM), Alg. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VE())
    >>> td.sample(model, 3, sampler=td.edm_heun, steps=18, grid=td.grids.karras, rng=0).shape
    (3, 2)
    """
    check_range("churn", churn, 0)
    rng = as_generator(rng) if churn > 0 else None
    levels = walk.flow_levels(model, x, ts)
    process = model.process
    gamma = min(churn / len(levels), math.sqrt(2) - 1)
    top = process.at(process.t_max)
    highest = top.sigma / top.alpha
    yield levels[0].t, x
    for now, then in pairwise(levels):
        y, u, u_then = x / now.alpha, now.sigma / now.alpha, then.sigma / then.alpha
        if rng and churn_from <= u <= churn_to:
            u_up = min(u * (1 + gamma), highest)
            y = y + noise_scale * math.sqrt(u_up**2 - u**2) * normal_like(rng, y)
            u, now = u_up, now if u_up == u else process.at(float(process.time(-2 * math.log(u_up))))
        slope = (y - model.x0(now.alpha * y, now)) / u
        ahead = y + (u_then - u) * slope
        slope_ahead = (ahead - model.x0(then.alpha * ahead, then)) / u_then
        x = then.alpha * (y + (u_then - u) * (slope + slope_ahead) / 2)
        yield then.t, x
