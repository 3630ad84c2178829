"""EDM's sampler: Heun's method in the noise level, with churn [Karras et al. 2022, Alg. 2].

In y = x/α, whose noise level is u = σ/α, every process is variance exploding and its probability flow is

    dy/du = (y − x̂_0)/u

`edm_heun` is made for VE, where α = 1, and the grid of `grids.karras`; on any other process it runs in y.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tinydiff.backend import Array, normal_like
from tinydiff.denoisers import Denoiser
from tinydiff.processes import SDE
from tinydiff.sampling.ancestral import check_times
from tinydiff.sampling.ode import check_sde


def edm_heun(
    model: Denoiser,
    process: SDE,
    x: Array,
    ts: Array,
    *,
    rng: np.random.Generator | None = None,
    churn: float = 0.0,
    churn_from: float = 0.0,
    churn_to: float = math.inf,
    noise_scale: float = 1.0,
) -> Iterator[tuple[float, Array]]:
    """Heun's method along decreasing times ts, which may end at 0; each step may first churn, that is, go back up.

    churn, churn_from, churn_to and noise_scale are the paper's S_churn, S_tmin, S_tmax and S_noise: a step at a noise
    level within the limits first adds noise until the level is 1 + min(churn/steps, √2 − 1) times as high, but not over
    that of t_max. Evaluations: 2 for each step, 1 for one to 0.
    """
    check_sde(process)
    if not churn >= 0:
        raise ValueError(f"churn must be 0 or more; got {churn}.")
    if churn > 0 and rng is None:
        raise ValueError("churn > 0 draws noise: pass rng.")
    ts = check_times(ts)
    if process.alpha(ts[0]) < 1e-8:
        raise ValueError(f"x/α needs a signal: start at t_max = {process.t_max:.4g} of {process}; got {ts[0]:.4g}.")
    gamma = min(churn / (len(ts) - 1), math.sqrt(2) - 1)
    level = lambda t: float(process.sigma(t) / process.alpha(t))  # noqa: E731

    def denoised(y: Array, t: float) -> Array:
        return model.x0(float(process.alpha(t)) * y, t)

    top, y = level(process.t_max), x / float(process.alpha(ts[0]))
    yield ts[0], x
    for t, s in pairwise(ts):
        u, v = level(t), level(s)
        if gamma and churn_from <= u <= churn_to:
            higher = min(u * (1 + gamma), max(u, top))
            y = y + noise_scale * math.sqrt(higher**2 - u**2) * normal_like(rng, y)
            u, t = higher, t if higher == u else float(process.time(-2 * math.log(higher)))
        slope = (y - denoised(y, t)) / u
        ahead = y + (v - u) * slope
        if s > 0:
            slope = (slope + (ahead - denoised(ahead, s)) / v) / 2
            ahead = y + (v - u) * slope
        y = ahead
        yield s, float(process.alpha(s)) * y
