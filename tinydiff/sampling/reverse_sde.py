"""The reverse SDE by Euler–Maruyama, and the family of processes between it and the probability flow.

    dx = [f x − ½ (1 + η²) g² ∇ ln q_t(x)] dt + η g dw̄,    t from t_max down to t_min

Every η has the marginals q_t: 1 is the reverse SDE [Song et al. 2021, score SDE, 6], 0 the probability-flow ODE [ibid.,
13], and the others lie between and beyond [Karras et al. 2022, EDM, 6]. With −σ∇ ln q_t = ε̂ the drift is f x + ½ (1 +
η²) (g²/σ) ε̂. The noise of a step is additive, so Euler–Maruyama has strong and weak order 1.

Shapes: B rows, D coordinates; x, eps_hat, dw (B, D).
"""

from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_falling, as_generator, check_columns, check_range
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level
from tinydiff.processes.base import check_order
from tinydiff.sampling import walk

Noise = Callable[[float, float], Array]
"""(t, s) ↦ w_s − w_t, an increment of a Brownian path, (B, D)."""


def euler_maruyama_step(x: Array, eps_hat: Array, now: Level, then: Level, dw: Array, eta: float = 1.0) -> Array:
    """One step of the reverse family, x_s = x + h [f x + ½ (1 + η²) (g²/σ) ε̂] + η g dw with h = s − t < 0.

    Parameters
    ----------
    x, eps_hat : (B, D)
        The point x_t and the model's ε̂ there.
    now, then : Level
        The levels at t and at s < t.
    dw : (B, D)
        A Brownian increment, N(0, |h| I).
    eta : float
        How much noise: 1 is the reverse SDE's, 0 is the probability flow.

    Returns
    -------
    (B, D)
        The point x_s.

    Raises
    ------
    ValueError
        On a chain, which has no f and g², and for levels of two processes or in the wrong order.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 6 and 13.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> now, then = td.VP().at(0.5), td.VP().at(0.49)
    >>> td.euler_maruyama_step(np.ones((1, 1)), now.sigma * np.ones((1, 1)), now, then, 0.0).round(4)
    array([[0.9498]])
    """
    check_columns(now)
    check_order(now, then)
    h = now.shaped(then.t - now.t)
    drift = now.f * x + 0.5 * (1 + eta**2) * now.g2 / now.sigma * eps_hat
    return x + h * drift + eta * now.g2**0.5 * dw


def euler_maruyama(
    model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, eta: float = 1.0, noise: Noise | None = None
) -> walk.Walk:
    """The reverse family along falling times; one evaluation for each step.

    Parameters
    ----------
    model : Denoiser
        The model to sample, of a process in continuous time.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, from t_max to t_min at the most.
    rng : Generator or int, optional
        The source of the noise, or a seed; needed where eta > 0 and no noise is given.
    eta : float
        How much noise, 0 or more: 1 is the reverse SDE's, 0 is the probability flow.
    noise : callable, optional
        The increments of a Brownian path, as `brownian_path` makes it, so that grids of any coarseness can share one.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For other times, points of another shape, a negative eta, and an rng that is neither a generator nor a seed
        where noise is drawn.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 6 and 13.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.sample(model, 3, sampler=td.euler_maruyama, steps=100, rng=0).shape
    (3, 2)
    """
    check_range("eta", eta, 0)
    levels = walk.flow_levels(model, x, ts)
    rng = as_generator(rng) if eta > 0 and noise is None else None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        if rng:
            dw = (now.t - then.t) ** 0.5 * normal_like(rng, x)
        else:
            dw = noise(now.t, then.t) if noise and eta > 0 else 0.0
        x = euler_maruyama_step(x, model(x, now), now, then, dw, eta)
        yield then.t, x


def brownian_path(rng: Any, x: Array, ts: Iterable[float]) -> Noise:
    """One Brownian path for each row of x, known at falling times: noise(t, s) = w_s − w_t for any two of them.

    Draw it on the finest grid and give it to coarser ones whose times are among its own, as the 51 of 50 steps of
    `even_log_snr` are among the 801 of 800 steps.

    Parameters
    ----------
    rng : Generator or int
        The source of the path, or a seed.
    x : (B, D)
        Points of the shape and kind of the path.
    ts : (N,)
        The times at which it is known, falling.

    Returns
    -------
    callable
        (t, s) ↦ w_s − w_t, what the path gains from t to s, (B, D); ValueError for times that are not among ts to 1e-9.

    Raises
    ------
    TypeError, ValueError
        For an rng that is neither a generator nor a seed, and times that do not fall.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> noise = td.brownian_path(0, np.zeros((1, 1)), [1.0, 0.5, 0.25])
    >>> bool(np.isclose(noise(1.0, 0.5) + noise(0.5, 0.25), noise(1.0, 0.25))[0, 0])
    True
    """
    rng, known = as_generator(rng), as_falling(ts)
    increments = ((t - s) ** 0.5 * normal_like(rng, x) for t, s in pairwise(known.tolist()))
    w = list(accumulate(increments, initial=0.0 * x))

    def at(t: float) -> Array:
        i = int(np.argmin(np.abs(known - t)))
        if abs(known[i] - t) > 1e-9:
            raise ValueError(f"this Brownian path is known at {len(known)} times; t = {t:.6g} is not among them.")
        return w[i]

    return lambda t, s: at(s) - at(t)
