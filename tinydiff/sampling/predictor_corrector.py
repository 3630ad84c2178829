"""Predictor and corrector: a step of the reverse SDE, then Langevin steps at one time [Song et al. 2021, Alg. 1 and 4].

Shapes: B rows, D coordinates; x, eps_hat, z (B, D).
"""

from itertools import pairwise
from typing import Any

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_count, as_generator, check_columns, check_range
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.sampling import walk
from tinydiff.sampling.reverse_sde import euler_maruyama_step


def langevin_step(x: Array, eps_hat: Array, now: Level, z: Array, snr: float) -> Array:
    """x + δ ∇ ln q_t(x) + √(2δ) z with δ = 2 (snr · σ)² [Song et al. 2021, Alg. 4, where σ is ‖z‖/‖∇ ln q_t‖].

    It is the corrector of VE; that of VP, Alg. 5, has a further factor 1 − β, near 1. It leaves q_t as it is but for an
    error of order δ: N(0, var) becomes N(0, var/(1 − δ/2var)) after many steps. Taking σ for the ratio of norms keeps
    the rows apart, and steps less far on average, since E‖σ∇ ln q_t‖² ≤ d.
    """
    check_columns(now)
    delta = 2 * (snr * now.sigma) ** 2
    return x - delta / now.sigma * eps_hat + (2 * delta) ** 0.5 * z


def predictor_corrector(
    model: Denoiser, x: Array, ts: walk.Times, *, rng: Any, corrections: int = 1, snr: float = 0.16
) -> walk.Walk:
    """Euler–Maruyama's step, then Langevin steps at the time where it ends; 1 + corrections evaluations a step.

    Parameters
    ----------
    model : Denoiser
        The model to sample, of a process in continuous time.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, from t_max to t_min at the most.
    rng : Generator or int
        The source of the noise, or a seed.
    corrections : int
        The number of Langevin steps after each step.
    snr : float
        The paper's r, which sets the length of a Langevin step: δ = 2 (snr · σ)².

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For other times, points of another shape, numbers out of range, and an rng that is neither a generator nor a
        seed.

    References
    ----------
    Song et al. 2021 (score SDE), Algs. 1 and 4.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.sample(model, 3, sampler=td.predictor_corrector, steps=50, rng=0).shape
    (3, 2)
    """
    as_count("corrections", corrections, 0)
    check_range("snr", snr, 0, open_low=True)
    rng, levels = as_generator(rng), walk.flow_levels(model, x, ts)
    yield levels[0].t, x
    for now, then in pairwise(levels):
        dw = (now.t - then.t) ** 0.5 * normal_like(rng, x)
        x = euler_maruyama_step(x, model(x, now), now, then, dw)
        for _ in range(corrections):
            x = langevin_step(x, model(x, then), then, normal_like(rng, x), snr)
        yield then.t, x
