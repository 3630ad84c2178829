"""DDIM: the steps of DDPM with less noise, or with none [Song et al. 2021, DDIM].

    x_s = α_s x̂_0 + √(σ_s² − d²) ε̂ + d z,    d = η √β̃

Every η has the marginals of the process where x̂_0 is exact. η = 1 is DDPM; η = 0 is deterministic, and is Euler's
method for the probability flow in (x/α, σ/α), of order 1.

Shapes: B rows, D coordinates; x, x0_hat, z (B, D).
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_generator, check_range
from tinydiff.denoisers import Denoiser
from tinydiff.predictions import eps_from_x0
from tinydiff.processes import Level, posterior
from tinydiff.sampling import walk


def ddim_step(x: Array, x0_hat: Array, now: Level, then: Level, z: Array, eta: float = 0.0) -> Array:
    """One step of DDIM, x_s = α_s x̂_0 + √(σ_s² − d²) ε̂ + d z with d = η √β̃ and ε̂ = (x_t − α_t x̂_0)/σ_t.

    Parameters
    ----------
    x, x0_hat : (B, D)
        The point x_t and the model's x̂_0 there.
    now, then : Level
        The levels at t and at s < t.
    z : (B, D)
        Standard normal noise, which η = 0 ignores.
    eta : float
        The share of DDPM's noise, from 0 to 1.

    Returns
    -------
    (B, D)
        The point x_s.

    Raises
    ------
    ValueError
        For an eta out of range, and levels of two processes or in the wrong order.

    References
    ----------
    Song et al. 2021 (DDIM), eqs. 12 and 16.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> now, then = td.Straight().at(0.5), td.Straight().at(0.25)
    >>> td.ddim_step(np.array([[1.0]]), np.array([[0.0]]), now, then, 0.0)
    array([[0.5]])
    """
    check_range("eta", eta, 0, 1)
    _, _, beta_tilde = posterior(now, then)
    d2 = eta**2 * beta_tilde
    eps_hat = eps_from_x0(x, x0_hat, now)
    return then.alpha * x0_hat + (then.sigma**2 - d2) ** 0.5 * eps_hat + d2**0.5 * z


def ddim(
    model: Denoiser, x: Array, ts: Iterable[Any], *, rng: Any = None, eta: float = 0.0
) -> Iterator[tuple[float, Array]]:
    """DDIM along falling times; one evaluation for each step.

    Parameters
    ----------
    model : Denoiser
        The model to sample.
    x : (B, D)
        The points at the first of the times.
    ts : times
        One or more, falling, in (0, 1].
    rng : Generator or int, optional
        The source of the noise, or a seed; needed where eta > 0.
    eta : float
        The share of DDPM's noise, from 0 to 1.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], points of another shape, an eta out of range, and an rng that is none
        where noise is drawn.

    References
    ----------
    Song et al. 2021 (DDIM), eqs. 12 and 16.

    Examples
    --------
    >>> from functools import partial
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.sample(model, 3, sampler=partial(td.ddim, eta=0.5), rng=0).shape
    (3, 2)
    """
    levels = walk.levels(model, x, ts)
    rng = as_generator(rng) if eta > 0 else None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        z = normal_like(rng, x) if rng else 0.0
        x = ddim_step(x, model.x0(x, now), now, then, z, eta)
        yield then.t, x
