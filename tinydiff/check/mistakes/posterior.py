"""Mistakes in the posterior."""

from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.posterior import posterior, posterior_variance


def of_chain(t: int, betas: np.ndarray) -> tuple[float, float, float]:
    """β_t, ᾱ_t, ᾱ_{t−1}."""
    return betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[: t - 1])


def bayes(x_t: Any, x0: Any, b: float, ab: float, before: float) -> tuple:
    """DDPM 7 from β, ᾱ_t and ᾱ_{t−1}."""
    mean = (sqrt(1 - b) * (1 - before) * x_t + sqrt(before) * b * x0) / (1 - ab)
    return mean, b * (1 - before) / (1 - ab)


def beta_as_variance(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With β_t for β̃_t."""
    return bayes(x_t, x0, *of_chain(t, betas))[0], betas[t - 1]


def coefficients_exchanged(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """c_0 x_t + c_t x_0."""
    return bayes(x0, x_t, *of_chain(t, betas))


def standard_deviation(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With √β̃_t for β̃_t."""
    mean, variance = bayes(x_t, x0, *of_chain(t, betas))
    return mean, sqrt(variance)


def now_for_before(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With √ᾱ_t for √ᾱ_{t−1}."""
    b, ab, before = of_chain(t, betas)
    mean = (sqrt(1 - b) * (1 - before) * x_t + sqrt(ab) * b * x0) / (1 - ab)
    return mean, b * (1 - before) / (1 - ab)


def no_root(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With 1 − β_t for √(1 − β_t)."""
    b, ab, before = of_chain(t, betas)
    return ((1 - b) * (1 - before) * x_t + sqrt(before) * b * x0) / (1 - ab), b * (1 - before) / (1 - ab)


def one_step_alphas(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With 1 − β for ᾱ."""
    return bayes(x_t, x0, betas[t - 1], 1 - betas[t - 1], 1 - betas[t - 2] if t > 1 else 1.0)


def upside_down(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """β (1 − ᾱ_t)/(1 − ᾱ_{t−1})."""
    b, ab, before = of_chain(t, betas)
    return bayes(x_t, x0, b, ab, before)[0], b * (1 - ab) / np.where(before < 1, 1 - before, np.inf)


posterior.mistake("β_t in place of β̃_t", beta_as_variance)
posterior.mistake("the two coefficients exchanged", coefficients_exchanged)
posterior.mistake("√β̃_t, a standard deviation, in place of the variance", standard_deviation)
posterior.mistake("√ᾱ_t in place of √ᾱ_{t−1} in the coefficient of x_0", now_for_before)
posterior.mistake("1 − β_t in place of √(1 − β_t) in the coefficient of x_t", no_root)
posterior.mistake("α_t = 1 − β_t in place of ᾱ_t", one_step_alphas)
posterior.mistake("(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t", upside_down)
posterior.mistake(
    "ᾱ_t in place of ᾱ_{t−1} throughout",
    lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[:t])),
)


posterior_variance.mistake("β_t in place of β̃_t", lambda t, betas: betas[t - 1])
posterior_variance.mistake("√β̃_t, the standard deviation", lambda t, betas: sqrt(bayes(0, 0, *of_chain(t, betas))[1]))
posterior_variance.mistake("ᾱ_t and ᾱ_{t−1} exchanged", lambda t, betas: upside_down(0, 0, t, betas)[1])
posterior_variance.mistake("α_t = 1 − β_t in place of ᾱ_t", lambda t, betas: one_step_alphas(0, 0, t, betas)[1])
posterior_variance.mistake(
    "the factor β_t left out", lambda t, betas: (1 - of_chain(t, betas)[2]) / (1 - of_chain(t, betas)[1])
)
posterior_variance.mistake(
    "ᾱ_{t−1}/ᾱ_t in place of (1 − ᾱ_{t−1})/(1 − ᾱ_t)",
    lambda t, betas: betas[t - 1] * of_chain(t, betas)[2] / of_chain(t, betas)[1],
)
posterior_variance.mistake(
    "β_{t−1} in place of β_t", lambda t, betas: betas[t - 2] / betas[t - 1] * bayes(0, 0, *of_chain(t, betas))[1]
)
