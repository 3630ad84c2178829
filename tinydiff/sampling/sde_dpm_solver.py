"""SDE-DPM-Solver++(2M): the reverse SDE, solved exactly in its linear part [Lu et al. 2022, DPM-Solver++, App. A].

The family of processes of `reverse_sde`, in data prediction. With ℓ = ln(α/σ) and h = ℓ_s − ℓ_t,

    x_s = (σ_s/σ_t) e^{−η²h} x_t + α_s (1 − e^{−(1 + η²)h}) x̄ + σ_s √(1 − e^{−2η²h}) z

where x̄ is x̂_0 in the middle of the step, extrapolated as in `dpm_solver_2m`, which is η = 0. The noise is that of the
SDE whatever the step: where x̂_0 is a constant so is the law of x_s. η = 1 is the reverse SDE; with x̄ = x̂_0, the first
order, it is DDPM's step, and so DDIM's with η = 1.

Pitfalls: order 2 is that of the law of x, and measured on Gaussian data; along one Brownian path the order is 1, since
x̂_0 in the middle of a step depends on the noise of that step. η is that of dx = … + η g dw̄, of which the paper has
η = 1 alone, and other codes write the square.
"""

from itertools import pairwise
from typing import Any

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_generator, check_columns, check_range
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.processes.base import check_order
from tinydiff.sampling import walk
from tinydiff.sampling.dpm_solver import in_the_middle


def sde_dpm_solver_2m(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, eta: float = 1.0) -> walk.Walk:
    """SDE-DPM-Solver++(2M) along falling times; one evaluation for each step.

    Parameters
    ----------
    model : Denoiser
        The model to sample.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, in (0, 1].
    rng : Generator or int
        The source of the noise, or a seed; not needed with eta = 0.
    eta : float
        How much noise, 0 or more: 1 is the reverse SDE's, 0 is the probability flow, and then `dpm_solver_2m`.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], points of another shape, a negative eta, and an rng that is neither a
        generator nor a seed where noise is drawn.

    References
    ----------
    Lu et al. 2022 (DPM-Solver++), App. A, eq. of SDE-DPM-Solver++(2M); Song et al. 2021 (score SDE), eq. 6.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.sde_dpm_solver_2m, steps=20, rng=0).shape
    (3, 2)
    """
    check_range("eta", eta, 0)
    levels = walk.levels(model, x, ts)
    rng = as_generator(rng) if eta > 0 else None
    before = x0_hat_before = None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x0_hat, z = model.x0(x, now), normal_like(rng, x) if rng else 0.0
        x = sde_dpm_solver_2m_step(x, x0_hat, x0_hat_before, before, now, then, z, eta)
        before, x0_hat_before = now, x0_hat
        yield then.t, x


def sde_dpm_solver_2m_step(
    x: Array, x0_hat: Array, x0_hat_before: Array | None, before: Level | None, now: Level, then: Level, z: Array,
    eta: float = 1.0,
) -> Array:  # fmt: skip
    """One step from t to s, with the evaluation before it and standard normal noise z; see the top of the page."""
    check_columns(now)
    check_order(now, then)
    x_bar = in_the_middle(x0_hat, x0_hat_before, before, now, then)
    ratio = now.alpha * then.sigma / (then.alpha * now.sigma)  # e^{−h}
    kept, noise = ratio**eta**2, (1 - ratio ** (2 * eta**2)) ** 0.5
    return then.sigma / now.sigma * kept * x + then.alpha * (1 - ratio * kept) * x_bar + then.sigma * noise * z
