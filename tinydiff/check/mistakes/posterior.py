"""Mistakes in the posterior."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.posterior import posterior, posterior_variance
from tinydiff.check.mistakes.schedules import FORMULAS, misread, wrapped


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


def weighted(weights: Callable[[float, float, float], tuple]) -> Callable:
    """With the two coefficients of the mean that these are of β_t, ᾱ_t and ᾱ_{t−1}."""

    def function(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
        c_t, c_0 = weights(*of_chain(t, betas))
        return c_t * x_t + c_0 * x0, bayes(x_t, x0, *of_chain(t, betas))[1]

    return function


def spread(variance: Callable[[int, np.ndarray], float]) -> Callable:
    """With another variance."""
    return lambda x_t, x0, t, betas: (bayes(x_t, x0, *of_chain(t, betas))[0], variance(t, betas))


def tilde(t: int, betas: np.ndarray) -> float:
    """β̃_t."""
    return bayes(0, 0, *of_chain(t, betas))[1]


def after(t: int, betas: np.ndarray) -> tuple[float, float]:
    """ᾱ_{t+1} and ᾱ_t, where the first is."""
    return np.cumprod(1 - betas)[t], prod(1 - betas[:t])


def second_for_first(t: int, betas: np.ndarray) -> float:
    """β̃_t, and β̃_2 at t = 1."""
    return tilde(max(t, min(2, len(betas))), betas)


posterior.mistake("β_t in place of β̃_t", beta_as_variance)
posterior.mistake("the two coefficients exchanged", coefficients_exchanged)
posterior.mistake("√β̃_t, a standard deviation, in place of the variance", standard_deviation)
posterior.mistake("√ᾱ_t in place of √ᾱ_{t−1} in the coefficient of x_0", now_for_before)
posterior.mistake("1 − β_t in place of √(1 − β_t) in the coefficient of x_t", no_root)
posterior.mistake("1 − β_t in place of ᾱ_t", one_step_alphas)
posterior.mistake("(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t", upside_down)
posterior.mistake(
    "ᾱ_t in place of ᾱ_{t−1} throughout",
    lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[:t])),
)
posterior.mistake("both roots forgotten", weighted(lambda b, ab, p: ((1 - b) * (1 - p) / (1 - ab), p * b / (1 - ab))))
posterior.mistake(
    "ᾱ_{t−1} in place of √ᾱ_{t−1} in the coefficient of x_0",
    weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), p * b / (1 - ab))),
)
posterior.mistake(
    "√ᾱ_t in place of √(1 − β_t) in the coefficient of x_t",
    weighted(lambda b, ab, p: (sqrt(ab) * (1 - p) / (1 - ab), sqrt(p) * b / (1 - ab))),
)
posterior.mistake(
    "(1 − ᾱ_{t−1})/(1 − ᾱ_t) left out of the coefficient of x_t",
    weighted(lambda b, ab, p: (sqrt(1 - b), sqrt(p) * b / (1 - ab))),
)
posterior.mistake(
    "√β_t in place of β_t in the coefficient of x_0",
    weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), sqrt(p * b) / (1 - ab))),
)
posterior.mistake(
    "β_t left out of the coefficient of x_0",
    weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), sqrt(p) / (1 - ab))),
)
posterior.mistake("the mean not divided by 1 − ᾱ_t", weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p), sqrt(p) * b)))
posterior.mistake(
    "√(1 − ᾱ_t) in place of 1 − ᾱ_t below the mean",
    weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / sqrt(1 - ab), sqrt(p) * b / sqrt(1 - ab))),
)
posterior.mistake(
    "the sign of x_0", weighted(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), -sqrt(p) * b / (1 - ab)))
)
posterior.mistake("ln β̃_t in place of β̃_t", spread(lambda t, betas: np.log(tilde(t, betas))))
posterior.mistake("β̃_2 in place of β̃_1 = 0 at t = 1", spread(second_for_first))
posterior.mistake("1 − ᾱ_{t−1} in place of β̃_t", spread(lambda t, betas: 1 - of_chain(t, betas)[2]))
posterior.mistake(
    "cumprod(1 − betas)[t − 2] for ᾱ_{t−1}, the last ᾱ at t = 1",
    lambda x_t, x0, t, betas: bayes(x_t, x0, *of_chain(t, betas)[:2], wrapped(t - 1, betas)),
)
posterior.mistake(
    "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t",
    lambda x_t, x0, t, betas: bayes(x_t, x0, *of_chain(t + 1, betas)),
)
posterior.mistake(
    "betas[t] for β_t, which is betas[t − 1]",
    lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t], *of_chain(t, betas)[1:]),
)
posterior.mistake(
    "cumprod(1 − betas)[t] and [t − 1], which are ᾱ_{t+1} and ᾱ_t",
    lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t - 1], *after(t, betas)),
)
misread(
    posterior,
    lambda bar: lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t - 1], bar(t, betas), bar(t - 1, betas)),
    FORMULAS,
)


posterior_variance.mistake("β_t in place of β̃_t", lambda t, betas: betas[t - 1])
posterior_variance.mistake("√β̃_t, the standard deviation", lambda t, betas: sqrt(bayes(0, 0, *of_chain(t, betas))[1]))
posterior_variance.mistake("ᾱ_t and ᾱ_{t−1} exchanged", lambda t, betas: upside_down(0, 0, t, betas)[1])
posterior_variance.mistake("1 − β_t in place of ᾱ_t", lambda t, betas: one_step_alphas(0, 0, t, betas)[1])
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
posterior_variance.mistake("√β_t in place of β_t", lambda t, betas: tilde(t, betas) / sqrt(betas[t - 1]))
posterior_variance.mistake("ln β̃_t", lambda t, betas: np.log(tilde(t, betas)))
posterior_variance.mistake("β̃_2 in place of β̃_1 = 0 at t = 1", second_for_first)
posterior_variance.mistake("β_1 in place of β̃_1 = 0 at t = 1", lambda t, betas: tilde(t, betas) if t > 1 else betas[0])
posterior_variance.mistake("not divided by 1 − ᾱ_t", lambda t, betas: tilde(t, betas) * (1 - of_chain(t, betas)[1]))
posterior_variance.mistake(
    "√ᾱ in place of ᾱ in both", lambda t, betas: bayes(0, 0, betas[t - 1], *sqrt(of_chain(t, betas)[1:]))[1]
)
posterior_variance.mistake(
    "cumprod(1 − betas)[t − 2] for ᾱ_{t−1}, the last ᾱ at t = 1",
    lambda t, betas: bayes(0, 0, *of_chain(t, betas)[:2], wrapped(t - 1, betas))[1],
)
posterior_variance.mistake(
    "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t", lambda t, betas: tilde(t + 1, betas)
)
posterior_variance.mistake(
    "ᾱ_{t+1} and ᾱ_t in place of ᾱ_t and ᾱ_{t−1}",
    lambda t, betas: bayes(0, 0, betas[t - 1], prod(1 - betas[: t + 1]), prod(1 - betas[:t]))[1],
)
posterior_variance.mistake(
    "betas[t] for β_t, which is betas[t − 1]", lambda t, betas: bayes(0, 0, betas[t], *of_chain(t, betas)[1:])[1]
)
posterior_variance.mistake(
    "cumprod(1 − betas)[t] and [t − 1], which are ᾱ_{t+1} and ᾱ_t",
    lambda t, betas: bayes(0, 0, betas[t - 1], *after(t, betas))[1],
)
misread(
    posterior_variance,
    lambda bar: lambda t, betas: bayes(0, 0, betas[t - 1], bar(t, betas), bar(t - 1, betas))[1],
    FORMULAS,
)
