"""Mistakes in what a network may predict."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.parametrisations import eps_from_x0, from_v, v_from_x0_eps, x0_from_eps
from tinydiff.check.mistakes.forward import jump
from tinydiff.check.mistakes.schedules import misread


def bar(t: int, betas: np.ndarray) -> float:
    """ᾱ_t."""
    return prod(1 - betas[:t])


def clean(ab: float, x_t: Any, eps: Any) -> Any:
    """(x_t − √(1 − ᾱ) ε)/√ᾱ."""
    return (x_t - sqrt(1 - ab) * eps) / sqrt(ab)


def noise(ab: float, x_t: Any, x0: Any) -> Any:
    """(x_t − √ᾱ x_0)/√(1 − ᾱ)."""
    return (x_t - sqrt(ab) * x0) / sqrt(1 - ab)


x0_from_eps.mistake("not divided by √ᾱ_t", lambda x_t, t, eps, betas: x_t - sqrt(1 - bar(t, betas)) * eps)
x0_from_eps.mistake(
    "1 − β_t in place of ᾱ_t", lambda x_t, t, eps, betas: (x_t - sqrt(betas[t - 1]) * eps) / sqrt(1 - betas[t - 1])
)
x0_from_eps.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)", lambda x_t, t, eps, betas: (x_t - (1 - bar(t, betas)) * eps) / sqrt(bar(t, betas))
)
x0_from_eps.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x_t, t, eps, betas: (x_t - sqrt(1 - bar(t, betas)) * eps) / bar(t, betas)
)
x0_from_eps.mistake(
    "the sign of ε", lambda x_t, t, eps, betas: (x_t + sqrt(1 - bar(t, betas)) * eps) / sqrt(bar(t, betas))
)
x0_from_eps.mistake("ε subtracted whole", lambda x_t, t, eps, betas: (x_t - eps) / sqrt(bar(t, betas)))
x0_from_eps.mistake(
    "the answer clipped to [−1, 1]",
    lambda x_t, t, eps, betas: np.clip((x_t - sqrt(1 - bar(t, betas)) * eps) / sqrt(bar(t, betas)), -1, 1),
)
x0_from_eps.mistake(
    "x_t alone divided by √ᾱ_t", lambda x_t, t, eps, betas: x_t / sqrt(bar(t, betas)) - sqrt(1 - bar(t, betas)) * eps
)
x0_from_eps.mistake(
    "both roots forgotten", lambda x_t, t, eps, betas: (x_t - (1 - bar(t, betas)) * eps) / bar(t, betas)
)
x0_from_eps.mistake(
    "the two coefficients exchanged",
    lambda x_t, t, eps, betas: (x_t - sqrt(bar(t, betas)) * eps) / sqrt(1 - bar(t, betas)),
)
x0_from_eps.mistake(
    "multiplied by √ᾱ_t in place of divided", lambda x_t, t, eps, betas: clean(bar(t, betas), x_t, eps) * bar(t, betas)
)
x0_from_eps.mistake(
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, eps, betas: (x_t - (1 - sqrt(bar(t, betas))) * eps) / sqrt(bar(t, betas)),
)
x0_from_eps.mistake(
    "√β_t in place of √(1 − ᾱ_t)", lambda x_t, t, eps, betas: (x_t - sqrt(betas[t - 1]) * eps) / sqrt(bar(t, betas))
)
x0_from_eps.mistake(
    "√(1 − β_t) in place of √ᾱ_t",
    lambda x_t, t, eps, betas: (x_t - sqrt(1 - bar(t, betas)) * eps) / sqrt(1 - betas[t - 1]),
)
misread(x0_from_eps, lambda bar: lambda x_t, t, eps, betas: clean(bar(t, betas), x_t, eps))


eps_from_x0.mistake("not divided by √(1 − ᾱ_t)", lambda x_t, t, x0, betas: x_t - sqrt(bar(t, betas)) * x0)
eps_from_x0.mistake(
    "1 − β_t in place of ᾱ_t", lambda x_t, t, x0, betas: (x_t - sqrt(1 - betas[t - 1]) * x0) / sqrt(betas[t - 1])
)
eps_from_x0.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)", lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / (1 - bar(t, betas))
)
eps_from_x0.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x_t, t, x0, betas: (x_t - bar(t, betas) * x0) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake("x_0 not scaled by √ᾱ_t", lambda x_t, t, x0, betas: (x_t - x0) / sqrt(1 - bar(t, betas)))
eps_from_x0.mistake(
    "the sign of x_0", lambda x_t, t, x0, betas: (x_t + sqrt(bar(t, betas)) * x0) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake(
    "the sign of the answer", lambda x_t, t, x0, betas: (sqrt(bar(t, betas)) * x0 - x_t) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake(
    "divided by √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / sqrt(bar(t, betas)),
)
eps_from_x0.mistake("both roots forgotten", lambda x_t, t, x0, betas: (x_t - bar(t, betas) * x0) / (1 - bar(t, betas)))
eps_from_x0.mistake(
    "the two coefficients exchanged",
    lambda x_t, t, x0, betas: (x_t - sqrt(1 - bar(t, betas)) * x0) / sqrt(bar(t, betas)),
)
eps_from_x0.mistake(
    "x_t alone divided by √(1 − ᾱ_t)",
    lambda x_t, t, x0, betas: x_t / sqrt(1 - bar(t, betas)) - sqrt(bar(t, betas)) * x0,
)
eps_from_x0.mistake(
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / (1 - sqrt(bar(t, betas))),
)
eps_from_x0.mistake(
    "√β_t in place of √(1 − ᾱ_t)", lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / sqrt(betas[t - 1])
)
eps_from_x0.mistake(
    "√(1 − β_t) in place of √ᾱ_t",
    lambda x_t, t, x0, betas: (x_t - sqrt(1 - betas[t - 1]) * x0) / sqrt(1 - bar(t, betas)),
)
eps_from_x0.mistake("x_0 clipped to [−1, 1]", lambda x_t, t, x0, betas: noise(bar(t, betas), x_t, np.clip(x0, -1, 1)))
eps_from_x0.mistake(
    "1 − ᾱ_t kept above 1e-2 in the divisor",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / sqrt(max(1 - bar(t, betas), 1e-2)),
)
eps_from_x0.mistake(
    "1e-3 added to the divisor",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / (sqrt(1 - bar(t, betas)) + 1e-3),
)
misread(eps_from_x0, lambda bar: lambda x_t, t, x0, betas: noise(bar(t, betas), x_t, x0))


v_from_x0_eps.mistake(
    "the opposite sign, √(1 − ᾱ_t) x_0 − √ᾱ_t ε",
    lambda t, x0, eps, betas: sqrt(1 - bar(t, betas)) * x0 - sqrt(bar(t, betas)) * eps,
)
v_from_x0_eps.mistake("a plus sign", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps + sqrt(1 - bar(t, betas)) * x0)
v_from_x0_eps.mistake(
    "x_0 and ε exchanged", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * x0 - sqrt(1 - bar(t, betas)) * eps
)
v_from_x0_eps.mistake("both roots forgotten", lambda t, x0, eps, betas: bar(t, betas) * eps - (1 - bar(t, betas)) * x0)
v_from_x0_eps.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps - (1 - bar(t, betas)) * x0
)
v_from_x0_eps.mistake(
    "1 − β_t in place of ᾱ_t", lambda t, x0, eps, betas: sqrt(1 - betas[t - 1]) * eps - sqrt(betas[t - 1]) * x0
)
v_from_x0_eps.mistake("ε − x_0, the velocity of the straight path", lambda t, x0, eps, betas: eps - x0)
v_from_x0_eps.mistake(
    "the two coefficients exchanged", lambda t, x0, eps, betas: sqrt(1 - bar(t, betas)) * eps - sqrt(bar(t, betas)) * x0
)
v_from_x0_eps.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda t, x0, eps, betas: bar(t, betas) * eps - sqrt(1 - bar(t, betas)) * x0
)
v_from_x0_eps.mistake(
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps - (1 - sqrt(bar(t, betas))) * x0,
)
v_from_x0_eps.mistake(
    "√β_t in place of √(1 − ᾱ_t)", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps - sqrt(betas[t - 1]) * x0
)
v_from_x0_eps.mistake(
    "√(1 − β_t) in place of √ᾱ_t", lambda t, x0, eps, betas: sqrt(1 - betas[t - 1]) * eps - sqrt(1 - bar(t, betas)) * x0
)
v_from_x0_eps.mistake("√ᾱ_t before both", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * (eps - x0))
v_from_x0_eps.mistake("x_0 clipped to [−1, 1]", lambda t, x0, eps, betas: jump(bar(t, betas), eps, -np.clip(x0, -1, 1)))
misread(v_from_x0_eps, lambda bar: lambda t, x0, eps, betas: jump(bar(t, betas), eps, -x0))


def turned(x0: Callable | None = None, eps: Callable | None = None, of: Callable = bar) -> Callable:
    """x_0 and ε from v, one of them another function of √ᾱ, √(1 − ᾱ), x_t and v."""

    def function(x_t: Any, t: int, v: Any, betas: np.ndarray) -> tuple:
        a, b = sqrt(of(t, betas)), sqrt(1 - of(t, betas))
        first = a * x_t - b * v if x0 is None else x0(a, b, x_t, v)
        return first, b * x_t + a * v if eps is None else eps(a, b, x_t, v)

    return function


from_v.mistake("the sign of v", turned(lambda a, b, x, v: a * x + b * v, lambda a, b, x, v: b * x - a * v))
from_v.mistake("the sign of v in x_0", turned(lambda a, b, x, v: a * x + b * v))
from_v.mistake("the sign of v in ε", turned(eps=lambda a, b, x, v: b * x - a * v))
from_v.mistake("the sign of x_0", turned(lambda a, b, x, v: b * v - a * x))
from_v.mistake("ε first, and then x_0", lambda x_t, t, v, betas: turned()(x_t, t, v, betas)[::-1])
from_v.mistake("√ᾱ_t and √(1 − ᾱ_t) exchanged", turned(of=lambda t, betas: 1 - bar(t, betas)))
from_v.mistake("the two coefficients exchanged in x_0", turned(lambda a, b, x, v: b * x - a * v))
from_v.mistake("the two coefficients exchanged in ε", turned(eps=lambda a, b, x, v: a * x + b * v))
from_v.mistake(
    "all roots forgotten", turned(lambda a, b, x, v: a**2 * x - b**2 * v, lambda a, b, x, v: b**2 * x + a**2 * v)
)
from_v.mistake("ᾱ_t in place of √ᾱ_t", turned(lambda a, b, x, v: a**2 * x - b * v, lambda a, b, x, v: b * x + a**2 * v))
from_v.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)", turned(lambda a, b, x, v: a * x - b**2 * v, lambda a, b, x, v: b**2 * x + a * v)
)
from_v.mistake(
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)",
    turned(lambda a, b, x, v: a * x - (1 - a) * v, lambda a, b, x, v: (1 - a) * x + a * v),
)
from_v.mistake("v taken as ε: x_0 = (x_t − √(1 − ᾱ_t) v)/√ᾱ_t", turned(lambda a, b, x, v: (x - b * v) / a))
from_v.mistake("v taken as ε, in both", turned(lambda a, b, x, v: (x - b * v) / a, lambda a, b, x, v: v))
from_v.mistake("v returned for ε", turned(eps=lambda a, b, x, v: v))
from_v.mistake("x_0 divided by √ᾱ_t once more", turned(lambda a, b, x, v: (a * x - b * v) / a))
from_v.mistake(
    "v taken as the velocity of the straight path, ε − x_0",
    turned(lambda a, b, x, v: (x - b * v) / (a + b), lambda a, b, x, v: (x + a * v) / (a + b)),
)
from_v.mistake("x_0 clipped to [−1, 1]", turned(lambda a, b, x, v: np.clip(a * x - b * v, -1, 1)))
from_v.mistake(
    "ε from the x_0 that is clipped to [−1, 1]",
    turned(
        lambda a, b, x, v: np.clip(a * x - b * v, -1, 1), lambda a, b, x, v: (x - a * np.clip(a * x - b * v, -1, 1)) / b
    ),
)
from_v.mistake("x_t left out of ε: √ᾱ_t v alone", turned(eps=lambda a, b, x, v: a * v))
from_v.mistake("v left out of x_0: √ᾱ_t x_t alone", turned(lambda a, b, x, v: a * x))
from_v.mistake("1 − β_t in place of ᾱ_t", turned(of=lambda t, betas: 1 - betas[t - 1]))
misread(from_v, lambda bar: turned(of=bar))
