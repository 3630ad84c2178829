"""Mistakes in the forward process."""

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.forward import q_sample, q_step
from tinydiff.check.mistakes.schedules import misread

q_step.mistake(
    "the mean and the standard deviation scaled by 1 − β and β, without roots",
    lambda x, t, eps, betas: (1 - betas[t - 1]) * x + betas[t - 1] * eps,
)
q_step.mistake("β_t in place of √β_t", lambda x, t, eps, betas: sqrt(1 - betas[t - 1]) * x + betas[t - 1] * eps)
q_step.mistake(
    "1 − β_t in place of √(1 − β_t)", lambda x, t, eps, betas: (1 - betas[t - 1]) * x + sqrt(betas[t - 1]) * eps
)
q_step.mistake(
    "the two coefficients exchanged", lambda x, t, eps, betas: sqrt(betas[t - 1]) * x + sqrt(1 - betas[t - 1]) * eps
)
q_step.mistake(
    "ᾱ_t, a jump from x_0, in place of 1 − β_t",
    lambda x, t, eps, betas: sqrt(prod(1 - betas[:t])) * x + sqrt(1 - prod(1 - betas[:t])) * eps,
)
q_step.mistake(
    "betas[t] for β_t, which is betas[t − 1]", lambda x, t, eps, betas: sqrt(1 - betas[t]) * x + sqrt(betas[t]) * eps
)
q_step.mistake(
    "betas[t − 2] for β_t, which is betas[t − 1]",
    lambda x, t, eps, betas: sqrt(1 - betas[t - 2]) * x + sqrt(betas[t - 2]) * eps,
)
q_step.mistake("x kept whole", lambda x, t, eps, betas: x + sqrt(betas[t - 1]) * eps)
q_step.mistake("ε subtracted", lambda x, t, eps, betas: sqrt(1 - betas[t - 1]) * x - sqrt(betas[t - 1]) * eps)
q_step.mistake(
    "betas[min(t, T − 1)] for β_t, which is betas[t − 1]",
    lambda x, t, eps, betas: jump(1 - betas[min(t, len(betas) - 1)], x, eps),
)
q_step.mistake(
    "1 − √β_t in place of √(1 − β_t)", lambda x, t, eps, betas: (1 - sqrt(betas[t - 1])) * x + sqrt(betas[t - 1]) * eps
)
q_step.mistake(
    "1 − β_t/2, a step of Euler, in place of √(1 − β_t)",
    lambda x, t, eps, betas: (1 - betas[t - 1] / 2) * x + sqrt(betas[t - 1]) * eps,
)
q_step.mistake("the noise forgotten", lambda x, t, eps, betas: jump(1 - betas[t - 1], x, 0 * eps))
q_step.mistake("|ε| in place of ε", lambda x, t, eps, betas: jump(1 - betas[t - 1], x, abs(eps)))
q_step.mistake("ε clipped to [−3, 3]", lambda x, t, eps, betas: jump(1 - betas[t - 1], x, np.clip(eps, -3, 3)))
q_step.mistake("the answer clipped to [−1, 1]", lambda x, t, eps, betas: np.clip(jump(1 - betas[t - 1], x, eps), -1, 1))


def jump(a_bar: float, x0: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """√ᾱ x_0 + √(1 − ᾱ) ε."""
    return sqrt(a_bar) * x0 + sqrt(1 - a_bar) * eps


q_sample.mistake(
    "1 − β_t in place of ᾱ_t, the product of all up to t", lambda x0, t, eps, betas: jump(1 - betas[t - 1], x0, eps)
)
q_sample.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x0, t, eps, betas: prod(1 - betas[:t]) * x0 + sqrt(1 - prod(1 - betas[:t])) * eps
)
q_sample.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x0, t, eps, betas: sqrt(prod(1 - betas[:t])) * x0 + (1 - prod(1 - betas[:t])) * eps,
)
q_sample.mistake(
    "both roots forgotten", lambda x0, t, eps, betas: prod(1 - betas[:t]) * x0 + (1 - prod(1 - betas[:t])) * eps
)
q_sample.mistake(
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x0, t, eps, betas: sqrt(prod(1 - betas[:t])) * x0 + (1 - sqrt(prod(1 - betas[:t]))) * eps,
)
q_sample.mistake("the two coefficients exchanged", lambda x0, t, eps, betas: jump(1 - prod(1 - betas[:t]), x0, eps))
q_sample.mistake("x_0 clipped to [−1, 1]", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]), np.clip(x0, -1, 1), eps))
q_sample.mistake("ε subtracted", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]), x0, -eps))
q_sample.mistake(
    "a convolution alone, x_0 not scaled by √ᾱ_t", lambda x0, t, eps, betas: x0 + sqrt(1 - prod(1 - betas[:t])) * eps
)
q_sample.mistake(
    "√β_t in place of √(1 − ᾱ_t)", lambda x0, t, eps, betas: sqrt(prod(1 - betas[:t])) * x0 + sqrt(betas[t - 1]) * eps
)
q_sample.mistake(
    "√(1 − β_t) in place of √ᾱ_t",
    lambda x0, t, eps, betas: sqrt(1 - betas[t - 1]) * x0 + sqrt(1 - prod(1 - betas[:t])) * eps,
)
q_sample.mistake(
    "ᾱ_t in place of √ᾱ_t, with √(1 − ᾱ_t²) before ε", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]) ** 2, x0, eps)
)
q_sample.mistake("the noise forgotten", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]), x0, 0 * eps))
q_sample.mistake("|ε| in place of ε", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]), x0, abs(eps)))
q_sample.mistake("ε clipped to [−3, 3]", lambda x0, t, eps, betas: jump(prod(1 - betas[:t]), x0, np.clip(eps, -3, 3)))
q_sample.mistake(
    "the answer clipped to [−1, 1]", lambda x0, t, eps, betas: np.clip(jump(prod(1 - betas[:t]), x0, eps), -1, 1)
)
misread(q_sample, lambda bar: lambda x0, t, eps, betas: jump(bar(t, betas), x0, eps))
