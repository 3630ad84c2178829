"""Mistakes in the forward process."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.forward import diffuse_mixture, q_sample, q_step
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


def right_mean(ab: float, m: Any) -> Any:
    """√ᾱ m."""
    return sqrt(ab) * m


def right_variance(ab: float, v: Any) -> Any:
    """ᾱ v + 1 − ᾱ."""
    return ab * v + 1 - ab


def diffused(mean: Callable = right_mean, variance: Callable = right_variance, bar: Callable | None = None) -> Callable:
    """The mixture with other means or variances, of ᾱ_t and those before, or with this for ᾱ_t."""

    def function(weights: Any, means: Any, variances: Any, t: int, betas: np.ndarray) -> tuple:
        ab = prod(1 - betas[:t]) if bar is None else bar(t, betas)
        return weights, mean(ab, means), variance(ab, variances)

    return function


def of_weights(change: Callable) -> Callable:
    """With weights that are a function of ᾱ_t, the weights and the variances."""

    def function(weights: Any, means: Any, variances: Any, t: int, betas: np.ndarray) -> tuple:
        _, m, v = diffused()(weights, means, variances, t, betas)
        return change(prod(1 - betas[:t]), weights, v), m, v

    return function


diffuse_mixture.mistake("the means not multiplied by √ᾱ_t", diffused(lambda ab, m: m))
diffuse_mixture.mistake("ᾱ_t in place of √ᾱ_t before the means", diffused(lambda ab, m: ab * m))
diffuse_mixture.mistake("the means divided by √ᾱ_t", diffused(lambda ab, m: m / sqrt(ab)))
diffuse_mixture.mistake("√(1 − ᾱ_t) before the means", diffused(lambda ab, m: sqrt(1 - ab) * m))
diffuse_mixture.mistake(
    "the variances not multiplied by ᾱ_t: v_k + 1 − ᾱ_t", diffused(variance=lambda ab, v: v + 1 - ab)
)
diffuse_mixture.mistake(
    "√ᾱ_t in place of ᾱ_t before the variances", diffused(variance=lambda ab, v: sqrt(ab) * v + 1 - ab)
)
diffuse_mixture.mistake(
    "ᾱ_t² in place of ᾱ_t before the variances", diffused(variance=lambda ab, v: ab**2 * v + 1 - ab)
)
diffuse_mixture.mistake(
    "√(1 − ᾱ_t) in place of 1 − ᾱ_t in the variances", diffused(variance=lambda ab, v: ab * v + sqrt(1 - ab))
)
diffuse_mixture.mistake("the noise's 1 − ᾱ_t left out of the variances", diffused(variance=lambda ab, v: ab * v))
diffuse_mixture.mistake(
    "1 − ᾱ_t alone for the variances, v_k left out", diffused(variance=lambda ab, v: 1 - ab + 0 * v)
)
diffuse_mixture.mistake("the variances kept as they were", diffused(variance=lambda ab, v: 1.0 * v))
diffuse_mixture.mistake("1 − ᾱ_t subtracted in the variances", diffused(variance=lambda ab, v: ab * v - (1 - ab)))
diffuse_mixture.mistake(
    "variances taken as standard deviations: √(ᾱ_t v_k² + 1 − ᾱ_t)",
    diffused(variance=lambda ab, v: sqrt(ab * v**2 + 1 - ab)),
)
diffuse_mixture.mistake(
    "standard deviations, roots, in place of variances", diffused(variance=lambda ab, v: sqrt(ab * v + 1 - ab))
)
diffuse_mixture.mistake(
    "ᾱ_t and 1 − ᾱ_t exchanged in the variances", diffused(variance=lambda ab, v: (1 - ab) * v + ab)
)
diffuse_mixture.mistake(
    "√ᾱ_t and √(1 − ᾱ_t) exchanged throughout", diffused(bar=lambda t, betas: 1 - prod(1 - betas[:t]))
)
diffuse_mixture.mistake("the weights multiplied by √ᾱ_t", of_weights(lambda ab, w, v: sqrt(ab) * w))
diffuse_mixture.mistake("the weights multiplied by ᾱ_t", of_weights(lambda ab, w, v: ab * w))
diffuse_mixture.mistake("the same weight for all components", of_weights(lambda ab, w, v: 0 * w + 1 / len(w)))
diffuse_mixture.mistake("the weights divided by √v_k", of_weights(lambda ab, w, v: w / sqrt(v) / sum(w / sqrt(v))))
diffuse_mixture.mistake(
    "1 − β_t in place of ᾱ_t, the product of all up to t", diffused(bar=lambda t, betas: 1 - betas[t - 1])
)
diffuse_mixture.mistake("√ᾱ_t in place of ᾱ_t throughout", diffused(bar=lambda t, betas: sqrt(prod(1 - betas[:t]))))
diffuse_mixture.mistake(
    "β_t in place of 1 − ᾱ_t in the variances",
    lambda weights, means, variances, t, betas: diffused(variance=lambda ab, v: ab * v + betas[t - 1])(
        weights, means, variances, t, betas
    ),
)
misread(diffuse_mixture, lambda bar: diffused(bar=bar))
