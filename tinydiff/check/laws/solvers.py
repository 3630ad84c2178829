"""Steps of solvers of ODEs and SDEs."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import Formula, choice, points, uniform
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- euler_step and heun_step

SPANS = choice(
    ("t", "s"),
    *((0.0, 1.0), (1.0, 0.5), (0.5, 0.0), (0.25, 1.0), (0.9, 0.8)),
    random=lambda rng: (uniform(rng, 0, 1), uniform(rng, 0, 1)),
)
SLOPES = ("0 * x", "0 * x + 1", "x", "0 * x + t", "0 * x + t**2", "x * t", "-2 * x + t", "np.sin(x) * t")


def slopes(*functions: str) -> Any:
    """dx/dt = f(x, t), one of these."""
    return choice(("f",), *((Formula(f"lambda x, t: {function}"),) for function in functions))


euler_step = Spec(
    "euler_step(f, x, t, s) -> x_s",
    "x_s = x + (s − t) f(x, t)",
    "Euler 1768; Hairer, Nørsett & Wanner 1993, §I.7",
    (slopes(*SLOPES), points("x"), SPANS),
    {"x_s": like("x")},
    about="f(x, t) is dx/dt; s may be later than t or earlier.",
)


@euler_step.law("a constant slope is followed exactly, forwards and backwards")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + 1"), x, t, s), x + (s - t)


@euler_step.law("the slope is that of the beginning: f(x, t)")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + t"), x, t, s), x + t * (s - t)
    yield step(Formula("lambda x, t: x"), x, t, s), x * (1 + s - t)


@euler_step.law("any slope is followed along its tangent")
def _(step: Probe, f: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(f, x, t, s), x - (t - s) * f(x, t)


heun_step = Spec(
    "heun_step(f, x, t, s) -> x_s",
    "x_s = x + ½ (s − t) (f(x, t) + f(x′, s)) with x′ = x + (s − t) f(x, t)",
    "Heun 1900; Karras et al. 2022, EDM, Alg. 1",
    (slopes(*SLOPES), points("x"), SPANS),
    {"x_s": like("x")},
    about="f(x, t) is dx/dt; s may be later than t or earlier.",
)


@heun_step.law("a constant slope is followed exactly, forwards and backwards")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + 1"), x, t, s), x + (s - t)


@heun_step.law("growth at the rate of x is right to second order: 1 + h + ½ h²")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    h = s - t
    yield step(Formula("lambda x, t: x"), x, t, s), x * (1 + h + h**2 / 2)


@heun_step.law("of a slope that depends on t alone it is the trapezoid: the mean of both ends")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + t"), x, t, s), x + (s**2 - t**2) / 2
    yield step(Formula("lambda x, t: 0 * x + t**2"), x, t, s), x + np.trapezoid([t**2, s**2], [t, s])


@heun_step.law("of any slope it is half-way between x and two steps of Euler")
def _(step: Probe, f: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    once = x + (s - t) * f(x, t)
    twice = once + (s - t) * f(once, s)
    yield step(f, x, t, s), (x + twice) / 2


# ---- euler_maruyama_step

DRIFTS = ("0 * x", "0 * x + 1", "x", "-x", "-x * t", "np.sin(3 * x) * t")
DIFFUSIONS = ("0.0", "1.0", "2.0", "1.0 + t")

euler_maruyama_step = Spec(
    "euler_maruyama_step(f, g, x, t, s, z) -> x_s",
    "x_s = x + (s − t) f(x, t) + √|s − t| g(t) z",
    "Maruyama 1955; Kloeden & Platen 1992, §10.2; Song et al. 2021, Score-based SDEs, §4.1",
    (slopes(*DRIFTS), choice(("g",), *((Formula(f"lambda t: {g}"),) for g in DIFFUSIONS)), points("x", "z"), SPANS),
    {"x_s": like("x")},
    about="f(x, t) is the drift, g(t) the diffusion; s is earlier than t on the way back, where s − t is negative.",
)


@euler_maruyama_step.law("without noise it follows the tangent")
def _(step: Probe, f: Callable, g: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(f, g, x, t, s, 0 * x), x - (t - s) * f(x, t)


@euler_maruyama_step.law("the noise is in proportion to z, whatever its sign and size")
def _(step: Probe, f: Callable, g: Callable, x: np.ndarray, z: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    still = step(f, g, x, t, s, 0 * z)
    one = step(f, g, x, t, s, 0 * z + 1) - still
    for k in (1, 100):
        yield step(f, g, x, t, s, k * z) - still, k * z * one, f"what {k} z adds, and {k} z times what 1 adds"


@euler_maruyama_step.law("the noise has variance g(t)² |s − t|")
def _(step: Probe, f: Callable, g: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    noise = step(f, g, x, t, s, 0 * x + 1) - step(f, g, x, t, s, 0 * x)
    yield noise**2, g(t) ** 2 * abs(s - t), "the square of what z = 1 adds"
    yield noise, abs(g(t)) * abs(s - t) ** 0.5, "what z = 1 adds"


@euler_maruyama_step.law("the variances of two half steps add up to that of the whole, where g is constant")
def _(step: Probe, t: float, s: float) -> Iterator[tuple]:
    still, one, middle = Formula("lambda x, t: 0 * x"), Formula("lambda t: 1.0"), (t + s) / 2
    first, second = step(still, one, ZERO, t, middle, ONE), step(still, one, ZERO, middle, s, ONE)
    yield first**2 + second**2, step(still, one, ZERO, t, s, ONE) ** 2, "the sum of two variances, and the whole"
