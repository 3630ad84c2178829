"""DDPM and DDIM: samplers that need α and σ at the grid points alone, and may end at t = 0.

Each step takes x̂_0, which a denoiser knows even where no signal is left in x. A step is a pure function of its noise z;
a sampler is a generator of (t, x) that starts with what it is given and ends with the result. On pairs t > s of the
grid, strided or not, one pair of formulas serves all.

Shapes: B rows, D coordinates; x, x0_hat, z (B, D).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np

from tinydiff.backend import Array, column, normal_like
from tinydiff.denoisers import Denoiser, eps_from_x0
from tinydiff.processes import Process

Variance = Literal["beta_tilde", "beta"]


def ddpm_step(
    process: Process, x: Array, x0_hat: Array, t: float, s: float, z: Array, variance: Variance = "beta_tilde"
) -> Array:
    """x_s = c_t x_t + c_0 x̂_0 + √var z, the posterior mean with x̂_0 for x_0 [DDPM 7, Alg. 2].

    var: "beta_tilde" is the posterior's, right for a point; "beta" the transition's, right for N(0, I) [DDPM §3.2].
    There is no noise in a step to s = 0.
    """
    mean, beta_tilde = process.posterior(x, x0_hat, t, s)
    if variance not in ("beta_tilde", "beta"):
        raise ValueError(f"variance must be 'beta_tilde' or 'beta'; got {variance!r}.")
    var = beta_tilde if variance == "beta_tilde" or s == 0 else process.transition(t, s)[1]
    return mean + column(var**0.5, x) * z


def ddim_step(process: Process, x: Array, x0_hat: Array, t: float, s: float, z: Array, eta: float = 0.0) -> Array:
    """x_s = α_s x̂_0 + √(σ_s² − d²) ε̂ + d z with d = η √β̃, and ε̂ = (x_t − α_t x̂_0)/σ_t [DDIM 12, 16].

    η = 0 is deterministic; η = 1 is ddpm_step with β̃.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1]; got {eta}.")
    beta_tilde = process.posterior_coefficients(t, s)[2]
    d2 = eta**2 * beta_tilde
    eps_hat = eps_from_x0(process, x, t, x0_hat)
    direction = column((process.sigma(s) ** 2 - d2) ** 0.5, x) * eps_hat
    return column(process.alpha(s), x) * x0_hat + direction + column(d2**0.5, x) * z


def ddpm(
    model: Denoiser,
    process: Process,
    x: Array,
    ts: Array,
    *,
    rng: np.random.Generator,
    variance: Variance = "beta_tilde",
) -> Iterator[tuple[float, Array]]:
    """Ancestral sampling along decreasing times ts [DDPM, Alg. 2]; one evaluation for each step."""
    ts = check_times(ts)
    yield ts[0], x
    for t, s in pairwise(ts):
        x = ddpm_step(process, x, model.x0(x, t), t, s, normal_like(rng, x), variance)
        yield s, x


def ddim(
    model: Denoiser,
    process: Process,
    x: Array,
    ts: Array,
    *,
    rng: np.random.Generator | None = None,
    eta: float = 0.0,
) -> Iterator[tuple[float, Array]]:
    """DDIM along decreasing times ts [Song et al. 2021, DDIM 12]; rng is needed where eta > 0.

    With η = 0 it is Euler's method for the probability-flow ODE in (x/α, σ/α): order 1.
    """
    if eta > 0 and rng is None:
        raise ValueError("eta > 0 draws noise: pass rng.")
    ts = check_times(ts)
    yield ts[0], x
    for t, s in pairwise(ts):
        z = normal_like(rng, x) if eta > 0 else 0.0 * x
        x = ddim_step(process, x, model.x0(x, t), t, s, z, eta)
        yield s, x


def check_times(ts: Array, increasing: bool = False) -> list[float]:
    """The grid as floats, or a ValueError unless it falls within [0, 1]; `increasing` also allows it to rise."""
    ts = [float(t) for t in ts]
    steps = np.diff(ts)
    falls, rises = bool(np.all(steps < 0)), bool(np.all(steps > 0))
    if len(ts) < 2 or not (falls or (increasing and rises)) or not all(0 <= t <= 1 for t in ts):
        way = "fall or rise strictly" if increasing else "fall strictly"
        raise ValueError(f"ts must hold two or more times in [0, 1] that {way}; got {len(ts)} times {ts[:4]}…")
    return ts
