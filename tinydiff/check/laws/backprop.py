"""Backpropagation by hand.

Expected gradients come from the forward pass, by complex steps, which are exact to rounding.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.domains import BATCH, Domain, choice, normals, numbers, points
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


# ---- mlp

BACK = np.array([[1.0, -1.0], [0.5, 2.0]])
NETWORKS = (  # params, x and dy
    ([ONE, np.zeros(1)], ONE, ONE),
    ([2 * ONE, np.ones(1)], ONE, ONE),
    ([ONE, np.zeros(1), ONE, np.zeros(1)], ONE, ONE),
    ([ONE, np.ones(1), 2 * ONE, -np.ones(1)], -ONE, ONE),
    ([np.array([[1.0], [-2.0]]), np.ones(1)], np.array([[1.0, 2.0]]), ONE),
    ([np.array([[1.0, -2.0]]), np.array([0.0, 1.0])], np.array([[1.0], [2.0]]), BACK),
    ([ONE, np.ones(1)] * 3, ONE, ONE),
    ([np.array([[1.0, -1.0, 0.5]]), np.array([0.0, 1.0, 0.5]), BATCH.T, np.ones(2)], np.array([[1.0], [-2.0]]), BACK),
)


def network(rng: np.random.Generator) -> tuple:
    """Parameters of up to three layers, x (B, n) and dy (B, m)."""
    rows, *widths = rng.integers(1, 5, rng.integers(3, 6)).tolist()
    params = []
    for n, m in pairwise(widths):
        params += [np.round(rng.normal(0, 1, (n, m)), 2), np.round(rng.normal(0, 1, m), 2)]
    return params, normals(rng, 1, rows, widths[0])[0], normals(rng, 1, rows, widths[-1])[0]


def networks() -> Domain:
    """Parameters, x and dy."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return st.integers(0, 9999).map(lambda seed: network(np.random.default_rng(seed)))

    return Domain(("params", "x", "dy"), NETWORKS, draw, random=network)


def numbers_of(args: Any) -> set[tuple[int, ...]]:
    """The shape of all parameters in one vector."""
    return {(sum(param.size for param in args["params"]),)}


mlp = Spec(
    "mlp(params, x) -> (y, pullback); pullback(dy) -> (dparams, dx)",
    "h_0 = x, h_i = silu(h_{i−1} w_i + b_i) for hidden layers, y = h_{L−1} w_L + b_L, with silu(s) = s/(1 + e^{−s}); "
    "dparams and dx are the gradients of ⟨dy, y⟩",
    "Rumelhart, Hinton & Williams 1986; Elfwing et al. 2018 (SiLU)",
    (networks(),),
    {"y": lambda args: {np.shape(args["dy"])}, "dparams": numbers_of, "dx": like("x")},
    about="params is the list [w_1, b_1, w_2, b_2, …, w_L, b_L] of arrays, each w (in, out) and each b (out,); the "
    "last layer is linear. x is (B, in). pullback is a function: of dy = ∂L/∂y, as large as y, it gives dparams, a "
    "list of arrays like params, and dx, like x. The loss is summed over rows already, so nothing is a mean.",
)
mlp.linear("dy", outputs=(1, 2))


@mlp.law("one layer is linear: y = x w + b")
def _(f: Probe, x: np.ndarray) -> Iterator[tuple]:
    w, b = np.arange(2.0 * x.shape[1]).reshape(-1, 2), np.array([1.0, -2.0])
    expected = [[sum(row * column) + shift for column, shift in zip(w.T, b, strict=True)] for row in x]
    yield f([w, b], x, np.ones((len(x), 2)))[0], expected, "y"


@mlp.law("a hidden layer is silu: silu(s) − silu(−s) = s, and silu(s)/silu(−s) = −e^s")
def _(f: Probe) -> Iterator[tuple]:
    params, s = [ONE, np.zeros(1), ONE, np.zeros(1)], np.array([[0.5], [1.0], [2.0], [-3.0]])
    there, back = (f(params, sign * s, np.ones((4, 1)))[0] for sign in (1, -1))
    yield there - back, s, "silu(s) − silu(−s)"
    yield there / back, -np.exp(s), "silu(s)/silu(−s)"


@mlp.law("y is one layer after another, silu(s) = ½ s (1 + tanh ½s) between them and none after the last")
def _(f: Probe, params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(params, x, dy)[0], forward(params, x), "y"


@mlp.law("moving x by u changes L by ⟨dx, u⟩, for each entry of x: by complex step")
def _(f: Probe, params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    yield f(params, x, dy)[2], complex_step(lambda x: forward(params, x), x, dy), "dx"


@mlp.law("moving a parameter by u changes L by ⟨its gradient, u⟩, for each entry: by complex step")
def _(f: Probe, params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    ends = np.cumsum([param.size for param in params])
    for i, (found, param) in enumerate(zip(np.split(f(params, x, dy)[1], ends[:-1]), params, strict=True)):
        before, after = params[:i], params[i + 1 :]

        def moved(part: Any, before: list = before, after: list = after) -> Any:
            return forward([*before, part, *after], x)

        yield found.reshape(param.shape), complex_step(moved, param, dy), f"dparams[{i}]"


@mlp.law("each row has its own y and dx, and dparams is the sum over rows")
def _(f: Probe, params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> Iterator[tuple]:
    one, other = f(params, x, dy), f(params, 1 - x, 2 * dy)
    y, dparams, dx = f(params, np.concatenate([x, 1 - x]), np.concatenate([dy, 2 * dy]))
    yield y, np.concatenate([one[0], other[0]]), "y of rows together, and of each alone"
    yield dparams, one[1] + other[1], "dparams of rows together, and the sum of those alone"
    yield dx, np.concatenate([one[2], other[2]]), "dx of rows together, and of each alone"


@mlp.law("a large batch is so many small ones")
def _(f: Probe) -> Iterator[tuple]:
    params, x, dy = NETWORKS[-1]
    once, more = f(params, x, dy), f(params, np.concatenate([x] * MANY), np.concatenate([dy] * MANY))
    yield more[0], np.concatenate([once[0]] * MANY), f"y of the batch {MANY} times over, and y as often"
    yield more[1], MANY * once[1], f"dparams of the batch {MANY} times over, and {MANY} times dparams"
    yield more[2], np.concatenate([once[2]] * MANY), f"dx of the batch {MANY} times over, and dx as often"


@mlp.law("far out it neither overflows nor loses the slope: silu is s at 800 and 0 at −800")
def _(f: Probe) -> Iterator[tuple]:
    y, _, dx = f([ONE, np.zeros(1), ONE, np.zeros(1)], np.array([[800.0], [-800.0]]), np.ones((2, 1)))
    yield y, [[800.0], [0.0]], "y"
    yield dx, [[1.0], [0.0]], "dx"


def forward(params: list[np.ndarray], x: Any) -> Any:
    """y, complex-safe."""
    *hidden, w_last, b_last = params
    for w, b in zip(hidden[::2], hidden[1::2], strict=True):
        s = x @ w + b
        x = 0.5 * s * (1 + np.tanh(0.5 * s))
    return x @ w_last + b_last
