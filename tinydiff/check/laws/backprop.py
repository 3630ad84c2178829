"""Backpropagation by hand.

Expected gradients come from the forward pass, by complex steps, which are exact to rounding.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import exp, sqrt

from tinydiff.check.domains import BATCH, choice, numbers, points
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, complex_step
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- linear_backward

SMALL = (
    (ONE, 2 * ONE, ONE),
    (ZERO, ONE, ONE),
    (np.array([[1.0, -2.0]]), np.array([[1.0], [3.0]]), ONE),
    (ONE, np.array([[1.0, 3.0]]), np.array([[1.0, -1.0]])),
    (np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0, 0.0]])),
    (np.array([[1.0], [2.0]]), 3 * ONE, np.array([[1.0], [1.0]])),
    (BATCH, np.array([[1.0, 0.0], [2.0, 1.0], [-1.0, 0.5]]), np.array([[1.0, 2.0], [0.0, -1.0]])),
)

linear_backward = Spec(
    "linear_backward(x, w, dy) -> (dx, dw, db)",
    "of y = x w + b:  dx = dy wᵀ,  dw = xᵀ dy,  db = the sum of dy over rows",
    "Rumelhart, Hinton & Williams 1986; Goodfellow et al. 2016, §6.5",
    (choice(("x", "w", "dy"), *SMALL),),
    {"dx": like("x"), "dw": like("w"), "db": lambda args: {args["dy"].shape[1:], (1, args["dy"].shape[1])}},
    about="x is (B, n), w (n, m), dy = ∂L/∂y (B, m). The loss is summed over rows already, so nothing is a mean.",
)
linear_backward.linear("dy", outputs=(0, 1, 2))


@linear_backward.law("moving x by u changes L by ⟨dy, u w⟩ = ⟨dx, u⟩, for each entry of x")
def _(f: Probe, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(x, w, dy)[0], complex_step(lambda x: x @ w, x, dy), "dx"


@linear_backward.law("moving w by u changes L by ⟨dy, x u⟩ = ⟨dw, u⟩, for each entry of w")
def _(f: Probe, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(x, w, dy)[1], complex_step(lambda w: x @ w, w, dy), "dw"


@linear_backward.law("moving b by u changes L by the sum of dy u over rows, for each entry of b")
def _(f: Probe, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(x, w, dy)[2], complex_step(lambda b: x @ w + b, np.zeros(w.shape[1]), dy), "db"


@linear_backward.law("L is linear in x and in w, so ⟨dx, x⟩ = ⟨dw, w⟩")
def _(f: Probe, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    dx, dw, _ = f(x, w, dy)
    yield np.sum(dx * x), np.sum(dw * w), "⟨dx, x⟩ and ⟨dw, w⟩"


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


# ---- silu_backward

silu_backward = Spec(
    "silu_backward(x, dy) -> dx",
    "of y = x s with s = 1/(1 + e^{−x}):  dx = dy s (1 + x (1 − s))",
    "Elfwing et al. 2018; Hendrycks & Gimpel 2016",
    (points("x", "dy"),),
    {"dx": like("x")},
    about="x and dy = ∂L/∂y are (B, D). Values as large as ±800 have a derivative too, 1 and 0.",
)
silu_backward.linear("dy")


@silu_backward.law("at x = 0 the slope is ½")
def _(f: Probe, dy: np.ndarray) -> Iterator[tuple]:
    yield f(0 * dy, dy), dy / 2


@silu_backward.law("the slopes at x and at −x add up to 1")
def _(f: Probe, x: np.ndarray) -> Iterator[tuple]:
    yield f(x, 0 * x + 1) + f(-x, 0 * x + 1), 1, "the sum of two slopes"


@silu_backward.law("the slope is that of x/(1 + e^{−x}), by complex step")
def _(f: Probe, x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(x, dy), complex_step(lambda x: x / (1 + exp(-x)), x, dy)


@silu_backward.law("far out it neither overflows nor loses the slope: 1 at 800 and 0 at −800")
def _(f: Probe) -> Iterator[tuple]:
    yield f(np.array([[800.0, -800.0]]), np.ones((1, 2))), [[1.0, 0.0]]


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


# ---- layer_norm_backward

ROWS = (
    (np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])),
    (np.array([[1.0, -2.0]]), np.array([[0.0, 1.0]])),
    (np.array([[1.0, 0.0, -2.0]]), np.array([[1.0, 0.0, 0.0]])),
    (np.array([[3.0, 0.5, -1.0, 2.0]]), np.array([[1.0, -1.0, 0.5, 2.0]])),
)

layer_norm_backward = Spec(
    "layer_norm_backward(x, dy, eps) -> dx",
    "of y = (x − mean)/√(variance + eps) in each row:  dx = (dy − mean(dy) − y mean(y dy))/√(variance + eps)",
    "Ba, Kiros & Hinton 2016",
    (choice(("x", "dy"), *ROWS, batches=[(BATCH, -BATCH[::-1])]), numbers("eps", 1e-5, 0.1, 1.0, least=1e-5, most=1)),
    {"dx": like("x")},
    about="x and dy are (B, D); the variance is the mean of squares about the mean. There are no gain and bias.",
)
layer_norm_backward.linear("dy")


@layer_norm_backward.law("y does not change when a row is shifted, so dx sums to 0 in each row")
def _(f: Probe, x: np.ndarray, dy: np.ndarray, eps: float) -> Iterator[tuple]:
    yield f(x, dy, eps).sum(axis=1), 0, "the sum of each row"


@layer_norm_backward.law("where eps is small y does not change when a row is stretched: dx is at right angles to x")
def _(f: Probe, x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield np.sum(f(x, dy, 1e-12) * (x - x.mean(axis=1, keepdims=True)), axis=1), 0, "⟨dx, x − mean⟩"


@layer_norm_backward.law("it is the derivative of the forward pass, by complex step")
def _(f: Probe, x: np.ndarray, dy: np.ndarray, eps: float) -> Iterator[tuple]:
    yield f(x, dy, eps), complex_step(lambda x: normalised(x, eps), x, dy)


def normalised(x: Any, eps: float, axis: int = 1) -> Any:
    """Layer normalisation, complex-safe."""
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / sqrt((centred * centred).mean(axis=axis, keepdims=True) + eps)


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
