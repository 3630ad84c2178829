"""Mistakes in what the data alone say: the exact minimiser, and how many points it averages."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import exp, log, prod, sqrt

from tinydiff.check.laws.data import effective_neighbours, empirical_denoiser
from tinydiff.check.mistakes.schedules import misread


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    """Weights that sum to 1 along the axis."""
    weights = exp(logits - logits.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def distances(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    """‖x − y‖², (B, N)."""
    return np.sum((x[:, None] - points) ** 2, axis=-1)


def average(
    of: Callable[[float], tuple[Any, Any]],
    weigh: Callable = lambda d: softmax(-d, 1),
    bar: Callable = lambda t, b: prod(1 - b[:t]),
) -> Callable:
    """Points averaged by weights that are a function of d = ‖x_t − a y‖²/(2 var) with (a, var) = of(ᾱ_t)."""

    def function(x_t: np.ndarray, points: np.ndarray, t: int, betas: np.ndarray) -> np.ndarray:
        a, var = of(bar(t, betas))
        return weigh(distances(x_t, a * points) / (2 * var)) @ points

    return function


def of_step(of: Callable[[float, float], tuple[Any, Any]]) -> Callable:
    """The same with (a, var) of ᾱ_t and β_t."""
    return lambda x_t, points, t, betas: average(lambda ab: of(ab, betas[t - 1]))(x_t, points, t, betas)


def right(ab: float) -> tuple[float, float]:
    """(√ᾱ_t, 1 − ᾱ_t)."""
    return sqrt(ab), 1 - ab


def unshifted(d: np.ndarray) -> np.ndarray:
    """Weights by exponentials as they are: 0/0 where all of them underflow."""
    return exp(-d) / exp(-d).sum(axis=1, keepdims=True)


empirical_denoiser.mistake("the points not scaled by √ᾱ_t in the distance", average(lambda ab: (1.0, 1 - ab)))
empirical_denoiser.mistake("ᾱ_t y_i in place of √ᾱ_t y_i in the distance", average(lambda ab: (ab, 1 - ab)))
empirical_denoiser.mistake("the 2 in 2 (1 − ᾱ_t) forgotten", average(lambda ab: (sqrt(ab), (1 - ab) / 2)))
empirical_denoiser.mistake("√(1 − ᾱ_t) in place of 1 − ᾱ_t", average(lambda ab: (sqrt(ab), sqrt(1 - ab))))
empirical_denoiser.mistake("(1 − ᾱ_t)² in place of 1 − ᾱ_t", average(lambda ab: (sqrt(ab), (1 - ab) ** 2)))
empirical_denoiser.mistake(
    "1 − β_t in place of ᾱ_t, the product of all up to t", average(right, bar=lambda t, betas: 1 - betas[t - 1])
)
empirical_denoiser.mistake("weights that do not sum to 1", average(right, lambda d: exp(-d)))
empirical_denoiser.mistake("the nearest point alone", average(right, lambda d: np.eye(d.shape[1])[d.argmin(axis=1)]))
empirical_denoiser.mistake("the same weight for all points", average(right, lambda d: softmax(0 * d, 1)))
empirical_denoiser.mistake("the sign of the exponent", average(right, lambda d: softmax(d, 1)))
empirical_denoiser.mistake("weights that sum to 1 over the batch", average(right, lambda d: softmax(-d, 0)))
empirical_denoiser.mistake(
    "exponentials not shifted by the largest exponent: far from the points all are 0", average(right, unshifted)
)
empirical_denoiser.mistake(
    "the distance in place of its square",
    lambda x_t, points, t, betas: (
        softmax(-sqrt(distances(x_t, sqrt(prod(1 - betas[:t])) * points)) / (2 * (1 - prod(1 - betas[:t]))), 1) @ points
    ),
)
empirical_denoiser.mistake(
    "the average of √ᾱ_t y_i: E[√ᾱ_t x_0 | x_t]",
    lambda x_t, points, t, betas: sqrt(prod(1 - betas[:t])) * average(right)(x_t, points, t, betas),
)
empirical_denoiser.mistake(
    "weights of each coordinate by itself: the sum over coordinates in ‖·‖² forgotten",
    lambda x_t, points, t, betas: np.concatenate(
        [average(right)(x_t[:, [j]], points[:, [j]], t, betas) for j in range(x_t.shape[1])], axis=1
    ),
)
empirical_denoiser.mistake("4 (1 − ᾱ_t) in place of 2 (1 − ᾱ_t)", average(lambda ab: (sqrt(ab), 2 * (1 - ab))))
empirical_denoiser.mistake("ᾱ_t in place of 1 − ᾱ_t", average(lambda ab: (sqrt(ab), ab)))
empirical_denoiser.mistake("1 − √ᾱ_t in place of 1 − ᾱ_t", average(lambda ab: (sqrt(ab), 1 - sqrt(ab))))
empirical_denoiser.mistake("not divided by 2 (1 − ᾱ_t)", average(lambda ab: (sqrt(ab), 0.5)))
empirical_denoiser.mistake(
    "‖x_t/√ᾱ_t − y_i‖², whose factor ᾱ_t is forgotten", average(lambda ab: (sqrt(ab), ab * (1 - ab)))
)
empirical_denoiser.mistake("β_t in place of 1 − ᾱ_t", of_step(lambda ab, b: (sqrt(ab), b)))
empirical_denoiser.mistake("√(1 − β_t) in place of √ᾱ_t", of_step(lambda ab, b: (sqrt(1 - b), 1 - ab)))
empirical_denoiser.mistake(
    "one shift of the exponents for the whole batch", average(right, lambda d: unshifted(d - d.min()))
)
empirical_denoiser.mistake(
    "exponentials not shifted by the largest exponent, and 1e-8 added to their sum",
    average(right, lambda d: exp(-d) / (exp(-d).sum(axis=1, keepdims=True) + 1e-8)),
)
empirical_denoiser.mistake(
    "a mean over the coordinates in ‖·‖²",
    lambda x_t, points, t, betas: average(lambda ab: (sqrt(ab), x_t.shape[1] * (1 - ab)))(x_t, points, t, betas),
)
misread(empirical_denoiser, lambda bar: average(right, bar=bar))


def entropy(w: np.ndarray) -> np.ndarray:
    """−Σ w ln w of each row, in nats."""
    return -np.sum(w * log(np.where(w > 0, w, 1)), axis=1)


effective_neighbours.mistake("Σ w², not inverted", lambda w: np.sum(w**2, axis=1))
effective_neighbours.mistake("1/√Σ w², the root of it", lambda w: 1 / sqrt(np.sum(w**2, axis=1)))
effective_neighbours.mistake("1/mean w² in place of 1/Σ w²", lambda w: 1 / np.mean(w**2, axis=1))
effective_neighbours.mistake("1/Σ w, the squares forgotten", lambda w: 1 / np.sum(w, axis=1))
effective_neighbours.mistake("e to the entropy, which is another effective number", lambda w: exp(entropy(w)))
effective_neighbours.mistake("the entropy", entropy)
effective_neighbours.mistake("1 over the largest weight", lambda w: 1 / np.max(w, axis=1))
effective_neighbours.mistake("the number of weights above 0", lambda w: 1.0 * np.count_nonzero(w, axis=1))
effective_neighbours.mistake("the number of all weights", lambda w: np.full(len(w), float(w.shape[1])))
effective_neighbours.mistake("one number for the whole batch", lambda w: np.full(len(w), 1 / np.sum(w**2)))
effective_neighbours.mistake("a sum over the batch in place of the points", lambda w: 1 / np.sum(w**2, axis=0))
effective_neighbours.mistake("Σ 1/w²", lambda w: np.sum(1 / w**2, axis=1))
effective_neighbours.mistake("(B, 1) in place of (B,)", lambda w: 1 / np.sum(w**2, axis=1, keepdims=True))
effective_neighbours.mistake("1e-3 added to Σ w²", lambda w: 1 / (np.sum(w**2, axis=1) + 1e-3))
effective_neighbours.mistake("1 − Σ w²", lambda w: 1 - np.sum(w**2, axis=1))
effective_neighbours.mistake("divided by N", lambda w: 1 / np.mean(w**2, axis=1) / w.shape[1] ** 2)
effective_neighbours.mistake("2 to the entropy in nats", lambda w: 2 ** entropy(w))
effective_neighbours.mistake("the mean over the batch", lambda w: np.full(len(w), np.mean(1 / np.sum(w**2, axis=1))))
