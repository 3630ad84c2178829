"""The probability-flow ODE: deterministic, invertible, and with the same marginals as the SDE.

    dx/dt = f(t) x − ½ g²(t) ∇ ln q_t(x) = f(t) x + (g²(t)/2σ(t)) ε̂(x, t)        [Song et al. 2021, score SDE, 13]

It ends at t_min: where the data are points, as of an empirical oracle, its drift grows without bound as t → 0. Falling
times sample, rising ones encode.

Seen from flow matching it is dx/dt = E[dx_t/dt | x_t = x] = α̇ x̂_0 + σ̇ ε̂, the mean velocity of all the paths
α x_0 + σ ε that pass through x. On `Straight` that is ε̂ − x̂_0 [Lipman et al. 2023]. Any two processes have the same
trajectories, up to the scale of x and the clock: where their log-SNRs agree, their x/α do.
"""

from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args

from tinydiff.backend import Array, namespace
from tinydiff.checks import check_arc, check_choice, check_points, check_range
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.learned.train import last
from tinydiff.processes import Level
from tinydiff.sampling import walk
from tinydiff.sampling.dormand_prince import rk45
from tinydiff.sampling.solvers import STEPS

Method = Literal["euler", "heun", "rk4", "rk45"]


def velocity(model: Denoiser, x: Array, now: Level) -> Array:
    """f x + (g²/2σ) ε̂, the velocity of the probability flow, (B, D)."""
    return now.f * x + now.g2 / (2 * now.sigma) * model(x, now)


def probability_flow(
    model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, method: Method = "rk4", rtol: float = 1e-5,
    atol: float = 1e-5,
) -> walk.Walk:  # fmt: skip
    """The probability-flow ODE along times that fall, to sample, or rise, to encode.

    Parameters
    ----------
    model : Denoiser
        The model, of a process in continuous time.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling or rising, between t_max and t_min.
    rng : optional
        Taken as by every sampler, and not used.
    method : {"euler", "heun", "rk4", "rk45"}
        The solver. Evaluations for each step: euler 1, heun 2, rk4 4; rk45 chooses its own steps between the times.
    rtol, atol : float
        The relative and absolute tolerance of rk45.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For other times, points of another shape, another method or tolerances that rounding alone exceeds.
    FloatingPointError
        Where rk45 finds no step that meets its tolerances.

    References
    ----------
    Song et al. 2021 (score SDE), eq. 13; Dormand & Prince 1980.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.sample(model, 3, sampler=td.probability_flow, method="heun", steps=30, rng=0).shape
    (3, 2)
    """
    check_choice("method", method, get_args(Method))
    check_range("rtol", rtol, 0)
    check_range("atol", atol, 0, open_low=True)
    levels = walk.flow_levels(model, x, ts, rising=True)

    at = cache(model.process.at)  # the last stage of a step and the first of the next have one time

    def slope(x: Array, t: float) -> Array:
        return velocity(model, x, at(t))

    if method == "rk45":
        yield from rk45(slope, x, [now.t for now in levels], rtol, atol)
        return
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x = STEPS[method](slope, x, now.t, then.t)
        yield then.t, x


def encode(model: Denoiser, x: Array, *, rtol: float = 1e-5, atol: float = 1e-5) -> Array:
    """The noise from which the flow makes the data x: α(t_min) x, carried up to t_max.

    It leaves out the way from t = 0 to t_min, where the flow moves x by some 1e-6; `log_likelihood` does not.

    Parameters
    ----------
    model : Denoiser
        The model, of a process in continuous time.
    x : (B, D)
        Data.
    rtol, atol : float
        The tolerances of rk45.

    Returns
    -------
    (B, D)
        Noise, of the standard deviation `process.prior_std` where the data are the model's.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `probability_flow`.

    References
    ----------
    Song et al. 2021 (score SDE), §4.3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> model, x = td.Oracle(td.toys.ring8(), td.VP()), td.toys.ring8().sample(0, 5)
    >>> bool(np.allclose(td.decode(model, td.encode(model, x)), x, atol=1e-3))
    True
    """
    check_denoiser(model)
    check_points(x, model.dim, "x")
    start = model.process.at(model.process.t_min)
    ts = (start.t, model.process.t_max)
    return last(probability_flow(model, start.alpha * x, ts, method="rk45", rtol=rtol, atol=atol))[1]


def decode(model: Denoiser, z: Array, *, rtol: float = 1e-5, atol: float = 1e-5) -> Array:
    """The data that the flow makes of the noise z: the inverse of `encode`.

    Parameters
    ----------
    model : Denoiser
        The model, of a process in continuous time.
    z : (B, D)
        Noise, such as `encode` or `process.prior` gives.
    rtol, atol : float
        The tolerances of rk45.

    Returns
    -------
    (B, D)
        Data.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `probability_flow`.

    References
    ----------
    Song et al. 2021 (score SDE), §4.3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.decode(model, np.zeros((1, 2))).round(3) + 0.0  # the middle of the ring stays where it is
    array([[0., 0.]])
    """
    check_denoiser(model)
    end = model.process.at(model.process.t_min)
    ts = (model.process.t_max, end.t)
    return last(probability_flow(model, z, ts, method="rk45", rtol=rtol, atol=atol))[1] / end.alpha


def interpolate(z: Array, other: Array, fraction: float) -> Array:
    """The encoding that lies a fraction of the way from z to another, along the arc between them.

    The straight line between two draws of noise passes nearer to 0 than noise does; the arc is ::

        sin((1 − fraction) θ)/sin θ · z + sin(fraction θ)/sin θ · other,    θ the angle between them, in each row

    Parameters
    ----------
    z, other : (B, D)
        Two encodings for each row.
    fraction : float
        0 gives z and 1 gives the other; less or more go on along the arc.

    Returns
    -------
    (B, D)
        The encodings on the way.

    Raises
    ------
    ValueError
        For two shapes, a row of zeros, which has no direction, and opposite rows, between which no arc is the shortest.

    References
    ----------
    Shoemake 1985; Song et al. 2021 (DDIM), §5.3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.interpolate(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.5).round(4)
    array([[0.7071, 0.7071]])
    """
    check_arc(z, other)
    xp = namespace(z)

    def length(a: Array) -> Array:
        return xp.sqrt(xp.sum(a * a, axis=1, keepdims=True))

    one, two = z / length(z), other / length(other)
    angle = 2 * xp.atan2(length(one - two), length(one + two))  # exact where the arccosine of their product is not
    straight = angle < 1e-6
    sine = xp.where(straight, 1.0, xp.sin(angle))
    first, second = (xp.where(straight, k, xp.sin(k * angle) / sine) for k in (1 - fraction, fraction))
    return first * z + second * other
