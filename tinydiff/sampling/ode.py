"""The probability-flow ODE: deterministic, invertible, and with the same marginals as the SDE.

    dx/dt = f(t) x − ½ g²(t) ∇ ln q_t(x) = f(t) x + (g²(t)/2σ(t)) ε̂(x, t)        [Song et al. 2021, 13]

It ends at t_min, since its drift grows like g²/σ as t → 0. A decreasing grid samples, an increasing one encodes.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

from tinydiff.backend import Array, Times, column
from tinydiff.denoisers import Denoiser
from tinydiff.processes import SDE
from tinydiff.sampling.ancestral import check_times

Method = Literal["euler", "heun", "rk4"]


def drift(model: Denoiser, process: SDE, x: Array, t: Times) -> Array:
    """f x + (g²/2σ) ε̂, the velocity of the probability flow, (B, D)."""
    return column(process.f(t), x) * x + column(process.g2(t) / (2 * process.sigma(t)), x) * model(x, t)


def euler_step(f: Callable, x: Array, t: float, s: float) -> Array:
    """x_s = x_t + h f(x_t, t), h = s − t: order 1."""
    return x + (s - t) * f(x, t)


def heun_step(f: Callable, x: Array, t: float, s: float) -> Array:
    """The average of the slopes at both ends of Euler's step: order 2."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1, s)
    return x + h / 2 * (k1 + k2)


def rk4_step(f: Callable, x: Array, t: float, s: float) -> Array:
    """The classical Runge–Kutta step: order 4."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h / 2 * k1, t + h / 2)
    k3 = f(x + h / 2 * k2, t + h / 2)
    k4 = f(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


STEPS = {"euler": euler_step, "heun": heun_step, "rk4": rk4_step}


def probability_flow(
    model: Denoiser, process: SDE, x: Array, ts: Array, *, rng: None = None, method: Method = "rk4"
) -> Iterator[tuple[float, Array]]:
    """The probability-flow ODE along ts, with (t, x) at each of them; rng is not used.

    Evaluations for each step: euler 1, heun 2, rk4 4.
    """
    if method not in STEPS:
        raise ValueError(f"method must be one of {', '.join(STEPS)}; got {method!r}.")
    check_sde(process)
    ts = check_times(ts, increasing=True)
    if min(ts) < process.t_min - 1e-12 or max(ts) > process.t_max + 1e-12:
        raise ValueError(
            f"the flow runs between t_min = {process.t_min:.4g} and t_max = {process.t_max:.4g} of {process}; "
            f"got times from {min(ts):.4g} to {max(ts):.4g}."
        )
    velocity = lambda x, t: drift(model, process, x, t)  # noqa: E731
    yield ts[0], x
    for t, s in pairwise(ts):
        x = STEPS[method](velocity, x, t, s)
        yield s, x


def check_sde(process: object) -> None:
    """Raise a ValueError where the process has no f and g²."""
    if not isinstance(process, SDE):
        raise ValueError(f"this needs f and g² of a process in continuous time (VP, VE, …); got {process!r}.")
