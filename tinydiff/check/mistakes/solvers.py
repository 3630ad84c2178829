"""Mistakes in the steps of solvers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.laws.solvers import euler_maruyama_step, euler_step, heun_step


def implicit(f: Callable, x: Any, t: float, s: float) -> Any:
    """A step with the slope at the end."""
    return x + (s - t) * f(x + (s - t) * f(x, t), s)


def heun(f: Callable, x: Any, t: float, s: float) -> Any:
    """A step with the mean of both slopes."""
    return x + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), s))


euler_step.mistake("t − s in place of s − t", lambda f, x, t, s: x + (t - s) * f(x, t))
euler_step.mistake("|s − t| in place of s − t, wrong backwards", lambda f, x, t, s: x + abs(s - t) * f(x, t))
euler_step.mistake("f at the end, s", lambda f, x, t, s: x + (s - t) * f(x, s))
euler_step.mistake("a slope from the end of the step", implicit)
euler_step.mistake("the increment alone, without x", lambda f, x, t, s: (s - t) * f(x, t))
euler_step.mistake("the length of the step left out", lambda f, x, t, s: x + f(x, t))
euler_step.mistake("s in place of s − t", lambda f, x, t, s: x + s * f(x, t))
euler_step.mistake("√|s − t|, the step of a noise", lambda f, x, t, s: x + sqrt(abs(s - t)) * f(x, t))
euler_step.mistake("f called as f(t, x)", lambda f, x, t, s: x + (s - t) * f(t, x))
euler_step.mistake("half of the step", lambda f, x, t, s: x + 0.5 * (s - t) * f(x, t))
euler_step.mistake("f at the middle of the times", lambda f, x, t, s: x + (s - t) * f(x, 0.5 * (s + t)))
euler_step.mistake("f at the time s − t", lambda f, x, t, s: x + (s - t) * f(x, s - t))
euler_step.mistake("a step of Heun", heun)
euler_step.mistake(
    "a step of the midpoint rule", lambda f, x, t, s: x + (s - t) * f(x + 0.5 * (s - t) * f(x, t), 0.5 * (s + t))
)


heun_step.mistake("a step of Euler", lambda f, x, t, s: x + (s - t) * f(x, t))
heun_step.mistake("the slope at the end alone", implicit)
heun_step.mistake(
    "the slope in the middle: the midpoint rule",
    lambda f, x, t, s: x + (s - t) * f(x + 0.5 * (s - t) * f(x, t), 0.5 * (s + t)),
)
heun_step.mistake(
    "the second slope at t in place of s",
    lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), t)),
)
heun_step.mistake("the second slope at x in place of x′", lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x, s)))
heun_step.mistake(
    "the ½ dropped: the sum of two slopes", lambda f, x, t, s: x + (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), s))
)
heun_step.mistake(
    "t − s in place of s − t", lambda f, x, t, s: x + 0.5 * (t - s) * (f(x, t) + f(x + (t - s) * f(x, t), s))
)
heun_step.mistake(
    "the second half-step started from x′",
    lambda f, x, t, s: x + (s - t) * f(x, t) + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), s)),
)
heun_step.mistake("f called as f(t, x)", lambda f, x, t, s: heun(lambda x, t: f(t, x), x, t, s))
heun_step.mistake(
    "|s − t| in place of s − t, wrong backwards",
    lambda f, x, t, s: x + 0.5 * (h := abs(s - t)) * (f(x, t) + f(x + h * f(x, t), s)),
)
heun_step.mistake(
    "half a step in x′", lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x + 0.5 * (s - t) * f(x, t), s))
)
heun_step.mistake(
    "x′ = x + f(x, t), without s − t", lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x + f(x, t), s))
)
heun_step.mistake(
    "the second slope at the middle of the times",
    lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), 0.5 * (s + t))),
)
heun_step.mistake("½ f(x, t) left out", lambda f, x, t, s: x + 0.5 * (s - t) * f(x + (s - t) * f(x, t), s))
heun_step.mistake("the increment alone, without x", lambda f, x, t, s: heun(f, x, t, s) - x)


def em(f: Callable, g: Callable, x: Any, t: float, s: float, z: Any, root: Any = None, at: Any = None) -> Any:
    """A step with another factor of the noise, or g elsewhere."""
    return x + (s - t) * f(x, t) + (sqrt(abs(s - t)) if root is None else root) * g(t if at is None else at) * z


euler_maruyama_step.mistake(
    "|s − t| in place of its root before the noise", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=abs(s - t))
)
euler_maruyama_step.mistake(
    "√(s − t), which is not a number on the way back", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=sqrt(s - t))
)
euler_maruyama_step.mistake(
    "s − t in place of √|s − t| before the noise", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=s - t)
)
euler_maruyama_step.mistake("the noise not scaled by √|s − t|", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=1.0))
euler_maruyama_step.mistake("g² in place of g", lambda f, g, x, t, s, z: em(f, lambda u: g(u) ** 2, x, t, s, z))
euler_maruyama_step.mistake("√g in place of g", lambda f, g, x, t, s, z: em(f, lambda u: sqrt(g(u)), x, t, s, z))
euler_maruyama_step.mistake("g at s in place of t", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, at=s))
euler_maruyama_step.mistake(
    "t − s in place of s − t before the drift", lambda f, g, x, t, s, z: em(lambda x, t: -f(x, t), g, x, t, s, z)
)
euler_maruyama_step.mistake(
    "|s − t| before the drift, wrong on the way back",
    lambda f, g, x, t, s, z: em(lambda x, t: np.sign(s - t) * f(x, t), g, x, t, s, z),
)
euler_maruyama_step.mistake("the noise forgotten", lambda f, g, x, t, s, z: em(f, g, x, t, s, 0 * z))
euler_maruyama_step.mistake("f called as f(t, x)", lambda f, g, x, t, s, z: em(lambda x, t: f(t, x), g, x, t, s, z))
euler_maruyama_step.mistake("f at s in place of t", lambda f, g, x, t, s, z: em(lambda x, t: f(x, s), g, x, t, s, z))
euler_maruyama_step.mistake("the drift forgotten", lambda f, g, x, t, s, z: em(lambda x, t: 0 * x, g, x, t, s, z))
euler_maruyama_step.mistake(
    "√|s − t| before the drift too", lambda f, g, x, t, s, z: x + sqrt(abs(s - t)) * (f(x, t) + g(t) * z)
)
euler_maruyama_step.mistake("g left out", lambda f, g, x, t, s, z: em(f, lambda t: 1.0, x, t, s, z))
euler_maruyama_step.mistake("|z| in place of z", lambda f, g, x, t, s, z: em(f, g, x, t, s, abs(z)))
euler_maruyama_step.mistake("z clipped to [−3, 3]", lambda f, g, x, t, s, z: em(f, g, x, t, s, np.clip(z, -3, 3)))
euler_maruyama_step.mistake("the noise subtracted", lambda f, g, x, t, s, z: em(f, g, x, t, s, -z))
euler_maruyama_step.mistake(
    "√(2 |s − t|), the step of Langevin", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=sqrt(2 * abs(s - t)))
)
euler_maruyama_step.mistake(
    "the noise subtracted on the way back",
    lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=np.sign(s - t) * sqrt(abs(s - t))),
)
