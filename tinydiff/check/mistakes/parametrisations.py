"""Mistakes in what a network may predict."""

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.parametrisations import eps_from_x0, v_from_x0_eps, x0_from_eps


def bar(t: int, betas: np.ndarray) -> float:
    """ᾱ_t."""
    return prod(1 - betas[:t])


x0_from_eps.mistake("not divided by √ᾱ_t", lambda x_t, t, eps, betas: x_t - sqrt(1 - bar(t, betas)) * eps)
x0_from_eps.mistake(
    "α_t = 1 − β_t in place of ᾱ_t",
    lambda x_t, t, eps, betas: (x_t - sqrt(betas[t - 1]) * eps) / sqrt(1 - betas[t - 1]),
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
    "ᾱ_{t−1} in place of ᾱ_t: one step too few",
    lambda x_t, t, eps, betas: (x_t - sqrt(1 - bar(t - 1, betas)) * eps) / sqrt(bar(t - 1, betas)),
)
x0_from_eps.mistake(
    "the answer clipped to [−1, 1]",
    lambda x_t, t, eps, betas: np.clip((x_t - sqrt(1 - bar(t, betas)) * eps) / sqrt(bar(t, betas)), -1, 1),
)
x0_from_eps.mistake(
    "x_t alone divided by √ᾱ_t", lambda x_t, t, eps, betas: x_t / sqrt(bar(t, betas)) - sqrt(1 - bar(t, betas)) * eps
)


eps_from_x0.mistake("not divided by √(1 − ᾱ_t)", lambda x_t, t, x0, betas: x_t - sqrt(bar(t, betas)) * x0)
eps_from_x0.mistake(
    "α_t = 1 − β_t in place of ᾱ_t", lambda x_t, t, x0, betas: (x_t - sqrt(1 - betas[t - 1]) * x0) / sqrt(betas[t - 1])
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
    "α_t = 1 − β_t in place of ᾱ_t", lambda t, x0, eps, betas: sqrt(1 - betas[t - 1]) * eps - sqrt(betas[t - 1]) * x0
)
v_from_x0_eps.mistake(
    "ᾱ_{t−1} in place of ᾱ_t",
    lambda t, x0, eps, betas: sqrt(bar(t - 1, betas)) * eps - sqrt(1 - bar(t - 1, betas)) * x0,
)
v_from_x0_eps.mistake("ε − x_0, the velocity of the straight path", lambda t, x0, eps, betas: eps - x0)
