"""An exponential integrator of the reverse SDE: Euler–Maruyama with the linear part solved exactly.

For the family of processes of `reverse_sde`, with ε̂ held for a step and all else integrated,

    x_s = ρ x_t + (1 + η²) (σ_s − ρ σ_t) ε̂ + η √(ρ² σ_t² − σ_s²) z,    ρ = α_s/α_t

It knows α and σ alone, where Euler–Maruyama needs f and g² and has an error from them besides. η = 0 is DDIM. With
noise it makes a difference what is held: ε̂ here [Zhang et al. 2023, gDDIM; Lu et al. 2022, DPM-Solver++,
SDE-DPM-Solver-1], x̂_0 in DDPM's step and in `sde_dpm_solver_2m`.

Pitfalls: along one Brownian path the order is 1, as Euler–Maruyama's. Where α_t = 0 there is no ρ: a chain that begins
there is a ValueError.
"""

from itertools import pairwise
from typing import Any

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_generator, check_columns, check_range, check_signal
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.processes.base import check_order
from tinydiff.sampling import walk


def exponential_euler(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, eta: float = 1.0) -> walk.Walk:
    """The reverse family along falling times, by an exponential integrator; one evaluation for each step.

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
        How much noise, 0 or more: 1 is the reverse SDE's, 0 is the probability flow, and then DDIM.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], times without signal, points of another shape, a negative eta, and an
        rng that is neither a generator nor a seed where noise is drawn.

    References
    ----------
    Zhang et al. 2023 (gDDIM), §3; Lu et al. 2022 (DPM-Solver++), App. A; Song et al. 2021 (score SDE), eq. 6.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.exponential_euler, steps=100, rng=0).shape
    (3, 2)
    """
    check_range("eta", eta, 0)
    levels = walk.levels(model, x, ts)
    rng = as_generator(rng) if eta > 0 else None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x = exponential_euler_step(x, model(x, now), now, then, normal_like(rng, x) if rng else 0.0, eta)
        yield then.t, x


def exponential_euler_step(x: Array, eps_hat: Array, now: Level, then: Level, z: Array, eta: float = 1.0) -> Array:
    """One step from t to s, with ε̂ at t and standard normal noise z; see the top of the page."""
    check_columns(now)
    check_order(now, then)
    check_signal(now, "take sde_dpm_solver_2m")
    rho = then.alpha / now.alpha
    noise = (rho**2 * now.sigma**2 - then.sigma**2) ** 0.5
    return rho * x + (1 + eta**2) * (then.sigma - rho * now.sigma) * eps_hat + eta * noise * z
