"""The probability-flow ODE: deterministic, invertible, and with the same marginals as the SDE.

    dx/dt = f(t) x − ½ g²(t) ∇ ln q_t(x) = f(t) x + (g²(t)/2σ(t)) ε̂(x, t)        [Song et al. 2021, 13]

It ends at t_min, since its drift grows like g²/σ as t → 0. A decreasing grid samples, an increasing one encodes.

Seen from flow matching it is dx/dt = E[dx_t/dt | x_t = x] = α̇ x̂_0 + σ̇ ε̂, the mean velocity of all the paths
α x_0 + σ ε that pass through x. On `Straight` that is ε̂ − x̂_0 [Lipman et al. 2023]. Any two processes have the same
trajectories, up to the scale of x and the clock: where their log-SNRs agree, their x/α do.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Literal, get_args

from tinydiff.backend import Array, Times, check_points, column, describe, namespace
from tinydiff.denoisers import Denoiser
from tinydiff.learned.train import last
from tinydiff.processes import SDE
from tinydiff.sampling.ancestral import check_times

Method = Literal["euler", "heun", "rk4", "rk45"]
Slope = Callable[[Array, float], Array]


def drift(model: Denoiser, process: SDE, x: Array, t: Times) -> Array:
    """f x + (g²/2σ) ε̂, the velocity of the probability flow, (B, D)."""
    return column(process.f(t), x) * x + column(process.g2(t) / (2 * process.sigma(t)), x) * model(x, t)


def euler_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """x_s = x_t + h f(x_t, t), h = s − t: order 1."""
    return x + (s - t) * f(x, t)


def heun_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """The average of the slopes at both ends of Euler's step: order 2."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1, s)
    return x + h / 2 * (k1 + k2)


def rk4_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """The classical Runge–Kutta step: order 4."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h / 2 * k1, t + h / 2)
    k3 = f(x + h / 2 * k2, t + h / 2)
    k4 = f(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


STEPS = {"euler": euler_step, "heun": heun_step, "rk4": rk4_step}

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""Dormand & Prince's 5(4) pair [1980]: row i gives stage i + 2; the last stage is the next step's first."""
ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""The fifth-order result minus the fourth-order one, as weights of the seven slopes."""


def rk45(f: Slope, x: Array, ts: list[float], rtol: float, atol: float) -> Iterator[tuple[float, Array]]:
    """(t, x) at each of ts, by steps of order 5 whose length the error decides; x (B, D).

    The embedded result of order 4 gives the error e of a step. In each row it is measured by
    √(mean_d (e/(atol + rtol max(|x|, |x_new|)))²), and the worst row decides for all: where that is over 1, the step is
    taken again, shorter; the next one is .9 error^{−1/5} times as long, between a fifth and five times. Steps end on
    the times asked for, and one cut short for that does not shorten the next; two times leave it most free. Six
    evaluations a step, tried or taken, and one more. ValueError for tolerances that rounding alone exceeds.
    """
    xp = namespace(x)
    if x.shape[0] == 0 or not bool(xp.all(xp.isfinite(x))):
        raise ValueError(
            f"rk45 needs finite points, one or more; got {describe(x)} with some NaN or infinite, or none."
        )
    least = 10 * float(xp.finfo(x.dtype).eps)
    yield ts[0], x
    h, slope = (ts[1] - ts[0]) / 100, f(x, ts[0])
    for t, s in pairwise(ts):
        while t != s:
            reaches = abs(h) >= abs(s - t) * (1 - 1e-9)
            step = s - t if reaches else h
            slopes = [slope]
            for node, weights in zip(NODES, STAGES, strict=True):
                new = x + step * _weighted(weights, slopes)
                slopes.append(f(new, s if reaches and node == 1 else t + node * step))
            size = xp.maximum(xp.abs(x), xp.abs(new))
            allowed = atol + rtol * size
            if bool(xp.any(allowed < least * size)):
                raise ValueError(
                    f"rtol or atol must allow ten roundings: rtol ≥ {least:.2g} for {x.dtype}; got {rtol} and {atol}."
                )
            error = step * _weighted(ERROR, slopes) / allowed
            worst = float(xp.max(xp.mean(error * error, axis=1))) ** 0.5
            proposed = step * min(5.0, max(0.2, 0.9 * max(worst, 1e-10) ** -0.2))  # a fifth where worst is NaN, too
            if worst <= 1:
                t, x, slope = (s if reaches else t + step), new, slopes[-1]
                h = max(h, proposed, key=abs) if reaches else proposed  # a step cut short says little of the next
            elif abs(h := proposed) < 1e-12:
                raise FloatingPointError(
                    f"rk45 found no step at t = {t:.6g} that meets rtol = {rtol:g}, atol = {atol:g}: raise them; "
                    f"the last left an error of {worst:.2g} times what they allow."
                )
        yield s, x


def _weighted(weights: tuple[float, ...], slopes: list[Array]) -> Array:
    return sum((w * k for w, k in zip(weights, slopes, strict=True) if w), start=0.0 * slopes[0])


def probability_flow(
    model: Denoiser,
    process: SDE,
    x: Array,
    ts: Array,
    *,
    rng: None = None,
    method: Method = "rk4",
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Iterator[tuple[float, Array]]:
    """The probability-flow ODE along ts, with (t, x) at each of them; rng is not used.

    Evaluations for each step: euler 1, heun 2, rk4 4. rk45 chooses its own steps, to rtol and atol, between the times.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}; got {method!r}.")
    if not (rtol >= 0 and atol > 0):
        raise ValueError(f"rtol must be 0 or more and atol positive; got {rtol} and {atol}.")
    ts = check_flow(process, ts)
    velocity = lambda x, t: drift(model, process, x, t)  # noqa: E731
    if method == "rk45":
        yield from rk45(velocity, x, ts, rtol, atol)
        return
    yield ts[0], x
    for t, s in pairwise(ts):
        x = STEPS[method](velocity, x, t, s)
        yield s, x


def encode(model: Denoiser, process: SDE, x: Array, **tolerances: Any) -> Array:
    """The noise from which the flow makes the data x, (B, D) → (B, D): α(t_min) x, carried up to t_max by rk45."""
    check_sde(process)
    check_points(x, model.dim)
    start = float(process.alpha(process.t_min)) * x
    ts = [process.t_min, process.t_max]
    return last(probability_flow(model, process, start, ts, method="rk45", **tolerances))[1]


def decode(model: Denoiser, process: SDE, z: Array, **tolerances: Any) -> Array:
    """The data that the flow makes of the noise z, (B, D) → (B, D): the inverse of `encode`."""
    check_sde(process)
    check_points(z, model.dim)
    ts = [process.t_max, process.t_min]
    end = last(probability_flow(model, process, z, ts, method="rk45", **tolerances))[1]
    return end / float(process.alpha(process.t_min))


def interpolate(z: Array, w: Array, share: float) -> Array:
    """The encoding that lies `share` of the way from z to w, along the arc between them [Shoemake 1985; DDIM, §5.3]:

        sin((1 − share) θ)/sin θ · z + sin(share θ)/sin θ · w,    θ the angle between z and w, in each row

    The straight line between two draws of noise passes nearer to 0 than noise does. z and w (B, D) → (B, D); ValueError
    for a row of zeros, which has no direction, and for opposite rows, between which no arc is the shortest.
    """
    if z.ndim != 2 or tuple(z.shape) != tuple(w.shape):
        raise ValueError(f"z and w must both be (B, D); got {tuple(z.shape)} and {tuple(w.shape)}.")
    xp = namespace(z)
    length = lambda a: xp.sqrt(xp.sum(a * a, axis=1, keepdims=True))  # noqa: E731
    if not bool(xp.all((length(z) > 0) & (length(w) > 0))):
        raise ValueError("no row of z or w may be zero or NaN: it has no direction.")
    u, v = z / length(z), w / length(w)
    if not bool(xp.all(length(u + v) > 1e-6)):
        raise ValueError("a row of w is opposite to that of z: no arc between them is the shortest.")
    angle = 2 * xp.atan2(length(u - v), length(u + v))  # exact where arccos u·v is not
    straight = angle < 1e-6
    sine = xp.where(straight, 1.0, xp.sin(angle))
    first = xp.where(straight, 1 - share, xp.sin((1 - share) * angle) / sine)
    second = xp.where(straight, share, xp.sin(share * angle) / sine)
    return first * z + second * w


def check_sde(process: object) -> None:
    """Raise a ValueError where the process has no f and g²."""
    if not isinstance(process, SDE):
        raise ValueError(f"this needs f and g² of a process in continuous time (VP, VE, …); got {process!r}.")


def check_flow(process: SDE, ts: Array, increasing: bool = True) -> list[float]:
    """The grid as floats, or a ValueError unless it lies between the process's t_min and t_max, where f and g² do."""
    check_sde(process)
    ts = check_times(ts, increasing=increasing)
    if min(ts) < process.t_min - 1e-12 or max(ts) > process.t_max + 1e-12:
        raise ValueError(
            f"the flow runs between t_min = {process.t_min:.4g} and t_max = {process.t_max:.4g} of {process}; "
            f"got times from {min(ts):.4g} to {max(ts):.4g}."
        )
    return ts
