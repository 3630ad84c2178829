"""Mistakes in backpropagation."""

from typing import Any

import numpy as np
from numpy import exp, sqrt

from tinydiff.check.laws.backprop import layer_norm_backward, linear_backward, silu_backward

linear_backward.mistake("w in place of wᵀ", lambda x, w, dy: (dy @ w, x.T @ dy, dy.sum(0)))
linear_backward.mistake("dw transposed, dyᵀ x", lambda x, w, dy: (dy @ w.T, dy.T @ x, dy.sum(0)))
linear_backward.mistake("dw and db divided by B", lambda x, w, dy: (dy @ w.T, x.T @ dy / len(x), dy.mean(0)))
linear_backward.mistake("db a mean over rows", lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.mean(0)))
linear_backward.mistake("db not summed over rows", lambda x, w, dy: (dy @ w.T, x.T @ dy, dy))
linear_backward.mistake("db summed over columns", lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.sum(1)))
linear_backward.mistake("db summed over all", lambda x, w, dy: (dy @ w.T, x.T @ dy, np.sum(dy) + 0 * dy[0]))
linear_backward.mistake("dx and dw exchanged", lambda x, w, dy: (x.T @ dy, dy @ w.T, dy.sum(0)))
linear_backward.mistake("dw for the first row alone", lambda x, w, dy: (dy @ w.T, x[:1].T @ dy[:1], dy.sum(0)))
linear_backward.mistake("a step down, −dw", lambda x, w, dy: (dy @ w.T, -x.T @ dy, -dy.sum(0)))


def sigmoid(x: Any) -> Any:
    """1/(1 + e^{−x}), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


silu_backward.mistake("the slope s alone, without x s (1 − s)", lambda x, dy: dy * sigmoid(x))
silu_backward.mistake("the slope s (1 − s) of the sigmoid", lambda x, dy: dy * sigmoid(x) * (1 - sigmoid(x)))
silu_backward.mistake("dy forgotten", lambda x, dy: sigmoid(x) * (1 + x * (1 - sigmoid(x))))
silu_backward.mistake("the value x s in place of the slope", lambda x, dy: dy * x * sigmoid(x))
silu_backward.mistake("the sign of x (1 − s)", lambda x, dy: dy * sigmoid(x) * (1 - x * (1 - sigmoid(x))))
silu_backward.mistake("x forgotten before 1 − s", lambda x, dy: dy * sigmoid(x) * (1 + (1 - sigmoid(x))))
silu_backward.mistake(
    "y (1 − y) in place of y (1 − s)", lambda x, dy: dy * (sigmoid(x) + x * sigmoid(x) * (1 - x * sigmoid(x)))
)
silu_backward.mistake("the slope of ReLU", lambda x, dy: dy * (x > 0))
silu_backward.mistake(
    "e^x/(1 + e^x), which overflows", lambda x, dy: dy * (s := exp(x) / (1 + exp(x))) * (1 + x * (1 - s))
)


def ln_backward(x: Any, dy: Any, eps: float, axis: int = 1, **change: Any) -> Any:
    """The backward pass, with a term, the deviation or the axis changed."""

    def mean(a: Any) -> Any:
        return a.mean(axis=axis, keepdims=True)

    deviation = change.get("deviation", sqrt(mean((x - mean(x)) ** 2) + eps))
    y = (x - mean(x)) / deviation
    return (dy - change.get("shift", 1) * mean(dy) - change.get("stretch", 1) * y * mean(y * dy)) / deviation


layer_norm_backward.mistake("the mean of dy not subtracted", lambda x, dy, eps: ln_backward(x, dy, eps, shift=0))
layer_norm_backward.mistake("y mean(y dy) not subtracted", lambda x, dy, eps: ln_backward(x, dy, eps, stretch=0))
layer_norm_backward.mistake(
    "mean and deviation held fixed: dy/deviation", lambda x, dy, eps: ln_backward(x, dy, eps, shift=0, stretch=0)
)
layer_norm_backward.mistake("the sign of y mean(y dy)", lambda x, dy, eps: ln_backward(x, dy, eps, stretch=-1))
layer_norm_backward.mistake("statistics over the batch", lambda x, dy, eps: ln_backward(x, dy, eps, axis=0))
layer_norm_backward.mistake(
    "eps outside the root", lambda x, dy, eps: ln_backward(x, dy, eps, deviation=x.std(axis=1, keepdims=True) + eps)
)
layer_norm_backward.mistake(
    "the variance in place of its root",
    lambda x, dy, eps: ln_backward(x, dy, eps, deviation=x.var(axis=1, keepdims=True) + eps),
)
layer_norm_backward.mistake(
    "a variance that divides by D − 1",
    lambda x, dy, eps: ln_backward(x, dy, eps, deviation=sqrt(x.var(axis=1, keepdims=True, ddof=1) + eps)),
)
layer_norm_backward.mistake(
    "eps left out", lambda x, dy, eps: ln_backward(x, dy, eps, deviation=x.std(axis=1, keepdims=True))
)
layer_norm_backward.mistake(
    "not divided by the deviation",
    lambda x, dy, eps: ln_backward(x, dy, eps) * sqrt(x.var(axis=1, keepdims=True) + eps),
)
