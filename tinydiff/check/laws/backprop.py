"""Backpropagation by hand.

Expected gradients come from the forward pass, by complex steps, which are exact to rounding.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.domains import BATCH, choice, normals, numbers, points
from tinydiff.check.form import MANY, like
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


def product_of(rng: np.random.Generator) -> tuple:
    """x (B, n), w (n, m) and dy (B, m)."""
    b, n, m = rng.integers(1, 6, 3)
    b = b * MANY if rng.random() < 0.1 else b
    return tuple(normals(rng, 1, *shape)[0] for shape in ((b, n), (n, m), (b, m)))


linear_backward = Spec(
    "linear_backward(x, w, dy) -> (dx, dw, db)",
    "of y = x w + b:  dx = dy wᵀ,  dw = xᵀ dy,  db = the sum of dy over rows",
    "Rumelhart, Hinton & Williams 1986; Goodfellow et al. 2016, §6.5",
    (choice(("x", "w", "dy"), *SMALL, random=product_of),),
    {"dx": like("x"), "dw": like("w"), "db": lambda args: {args["dy"].shape[1:], (1, args["dy"].shape[1])}},
    about="x is (B, n), w (n, m), dy = ∂L/∂y (B, m). The loss is summed over rows already, so nothing is a mean. db is "
    "(m,) or (1, m).",
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


@silu_backward.law("the slope is that of x/(1 + e^{−x}) = ½ x (1 + tanh ½x), by complex step")
def _(f: Probe, x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(x, dy), complex_step(lambda x: 0.5 * x * (1 + np.tanh(0.5 * x)), x, dy)


@silu_backward.law("far out it neither overflows nor loses the slope: 1 at 800 and 0 at −800")
def _(f: Probe) -> Iterator[tuple]:
    yield f(np.array([[800.0, -800.0]]), np.ones((1, 2))), [[1.0, 0.0]]


# ---- layer_norm_backward

ROWS = (
    (np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])),
    (np.array([[1.0, -2.0]]), np.array([[0.0, 1.0]])),
    (np.array([[1.0, 0.0, -2.0]]), np.array([[1.0, 0.0, 0.0]])),
    (np.array([[3.0, 0.5, -1.0, 2.0]]), np.array([[1.0, -1.0, 0.5, 2.0]])),
)


def of_rows(rng: np.random.Generator) -> tuple:
    """x and dy (B, D)."""
    return normals(rng, 2, *rng.integers(1, 6, 2))


layer_norm_backward = Spec(
    "layer_norm_backward(x, dy, eps) -> dx",
    "of y = (x − mean)/√(variance + eps) in each row:  dx = (dy − mean(dy) − y mean(y dy))/√(variance + eps)",
    "Ba, Kiros & Hinton 2016",
    (
        choice(("x", "dy"), *ROWS, batches=[(BATCH, -BATCH[::-1])], random=of_rows),
        numbers("eps", 1e-5, 0.1, 1.0, least=1e-5, most=1),
    ),
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
