"""Backpropagation by hand, the optimizer, the average of the parameters, and the features of time.

Expected gradients come from the forward pass: by a complex step, exact to rounding, or by pairing with a perturbation.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import exp, sqrt

from tinydiff.check.domains import BATCH, choice, numbers, points
from tinydiff.check.forward import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec, like


def complex_step(function: Callable, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """∂⟨dy, function(x)⟩/∂x, entry by entry."""
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[i] += 1e-30j
        out[i] = np.sum(dy * function(moved)).imag / 1e-30
    return out


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
    {
        "dx": like("x"),
        "dw": like("w"),
        "db": lambda args: {args["dy"].shape[1:], (1, args["dy"].shape[1])},
    },
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


@linear_backward.law("L is linear in x and in w, so ⟨dx, x⟩ = ⟨dw, w⟩, as Euler says")
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


silu_backward.mistake("the slope s of ReLU's smooth step", lambda x, dy: dy * sigmoid(x))
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
    (
        choice(("x", "dy"), *ROWS, batches=[(BATCH, -BATCH[::-1])]),
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
    "eps outside the root",
    lambda x, dy, eps: ln_backward(x, dy, eps, deviation=x.std(axis=1, keepdims=True) + eps),
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


# ---- adam_step


def averages_drawn() -> tuple[tuple, ...]:
    """θ, gradient, μ and ν, with ν ≥ 0."""
    values = ((0, 1, 0, 0), (0, -2, 0, 0), (1, 1, 0.5, 1), (0, 0, 1, 1), (1, -1, 0.2, 0.3), (-2, 3, -1, 4))
    return tuple(tuple(np.array([float(v)]) for v in case) for case in values)


adam_step = Spec(
    "adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps) -> (theta, mu, nu)",
    "μ ← b_1 μ + (1 − b_1) g,  ν ← b_2 ν + (1 − b_2) g²,  θ ← θ − lr μ̂/(√ν̂ + eps) "
    "with μ̂ = μ/(1 − b_1ᶜ), ν̂ = ν/(1 − b_2ᶜ), c = count",
    "Kingma & Ba 2015, Alg. 1",
    (
        choice(("theta", "grad", "mu", "nu"), *averages_drawn()),
        choice(("count",), (1,), (2,), (3,), (10,)),
        numbers("lr", 0.1, 1.0, least=0.01, most=1),
        choice(("b1", "b2"), (0.9, 0.99), (0.5, 0.75), (0.0, 0.5), (0.9, 0.999)),
        numbers("eps", 1e-8, 0.1, least=1e-8, most=1),
    ),
    {"theta": like("theta"), "mu": like("mu"), "nu": like("nu")},
    about="count is the number of this step, 1 at the first; mu and nu are the averages before it, and those after it "
    "are returned, not corrected.",
)


@adam_step.law("μ is an average: of a gradient that equals it, it stays; from 0, it takes 1 − b_1 of it")
def _(f: Probe, grad: np.ndarray, b1: float, b2: float) -> Iterator[tuple]:
    still = (0 * grad, grad, grad, grad**2, 2, 0.1, b1, b2, 1e-8)
    yield f(*still)[1], grad, "μ after a gradient that equals it"
    new = (0 * grad, grad, 0 * grad, 0 * grad, 1, 0.1, b1, b2, 1e-8)
    yield f(*new)[1] / (1 - b1), grad, "μ/(1 − b_1) after the first"


@adam_step.law("ν is an average of the squares: of a square that equals it, it stays; from 0, it takes 1 − b_2 of it")
def _(f: Probe, grad: np.ndarray, b1: float, b2: float) -> Iterator[tuple]:
    still = (0 * grad, grad, grad, grad**2, 2, 0.1, b1, b2, 1e-8)
    yield f(*still)[2], grad**2, "ν after a square that equals it"
    new = (0 * grad, grad, 0 * grad, 0 * grad, 1, 0.1, b1, b2, 1e-8)
    yield f(*new)[2] / (1 - b2), grad**2, "ν/(1 − b_2) after the first"


@adam_step.law("the first step is −lr g/(|g| + eps), whatever b_1 and b_2")
def _(f: Probe, grad: np.ndarray, lr: float, b1: float, b2: float, eps: float) -> Iterator[tuple]:
    theta, _, _ = f(0 * grad, grad, 0 * grad, 0 * grad, 1, lr, b1, b2, eps)
    yield theta, -lr * grad / (np.abs(grad) + eps), "θ after the first step from 0"


@adam_step.law("under a constant gradient each step is the same as the first")
def _(f: Probe, grad: np.ndarray, count: int, b1: float, b2: float, eps: float) -> Iterator[tuple]:
    mu, nu = (1 - b1 ** (count - 1)) * grad, (1 - b2 ** (count - 1)) * grad**2
    theta, _, _ = f(0 * grad, grad, mu, nu, count, 0.1, b1, b2, eps)
    yield theta, -0.1 * grad / (np.abs(grad) + eps), f"θ after step {count} of a constant gradient, from 0"


@adam_step.law("the step is added to θ and does not depend on it")
def _(f: Probe, theta: np.ndarray, grad: np.ndarray, mu: np.ndarray, nu: np.ndarray, count: int) -> Iterator[tuple]:
    rest = (grad, mu, nu, count, 0.1, 0.9, 0.99, 1e-8)
    yield f(theta + 1, *rest)[0], f(theta, *rest)[0] + 1, "θ + 1 after the step, and θ after it plus 1"


@adam_step.law("any step in one: with n = 1 − b_2ᶜ, it is −lr μ √n/((1 − b_1ᶜ)(√ν + eps √n)) of the new μ and ν")
def _(
    f: Probe,
    theta: np.ndarray,
    grad: np.ndarray,
    mu: np.ndarray,
    nu: np.ndarray,
    count: int,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
) -> Iterator[tuple]:
    new, m, n = f(theta, grad, mu, nu, count, lr, b1, b2, eps)
    yield m, grad + b1 * (mu - grad), "μ"
    yield n, grad**2 + b2 * (nu - grad**2), "ν"
    root = (1 - b2**count) ** 0.5
    yield new - theta, -lr * m * root / ((1 - b1**count) * (n**0.5 + eps * root)), "the step"


def adam(
    theta: Any, grad: Any, mu: Any, nu: Any, count: int, lr: float, b1: float, b2: float, eps: float, **o: Any
) -> tuple:
    """Adam, with one thing changed."""
    m = b1 * mu + (1 - b1) * grad
    n = b2 * nu + (1 - b2) * o.get("square", np.square)(grad)
    c1, c2 = o.get("correct", lambda: (1 - b1**count, 1 - b2**count))()
    step = o.get("quotient", lambda a, b: a / (sqrt(b) + eps))(m / c1, n / c2)
    return theta - lr * step, m, n


adam_step.mistake("no correction of the averages for their start at 0", lambda *a: adam(*a, correct=lambda: (1, 1)))
adam_step.mistake(
    "the count before this step, one too low",
    lambda *a: adam(*a, correct=lambda: (1 - a[6] ** (a[4] - 1), 1 - a[7] ** (a[4] - 1))),
)
adam_step.mistake(
    "the count after this step, one too high",
    lambda *a: adam(*a, correct=lambda: (1 - a[6] ** (a[4] + 1), 1 - a[7] ** (a[4] + 1))),
)
adam_step.mistake("1 − b in place of 1 − bᶜ", lambda *a: adam(*a, correct=lambda: (1 - a[6], 1 - a[7])))
adam_step.mistake("eps within the root", lambda *a: adam(*a, quotient=lambda m, n: m / sqrt(n + a[8])))
adam_step.mistake("the root of ν̂ forgotten", lambda *a: adam(*a, quotient=lambda m, n: m / (n + a[8])))
adam_step.mistake("a step up", lambda *a: adam(*a, quotient=lambda m, n: -m / (sqrt(n) + a[8])))
adam_step.mistake("the gradient not squared in ν", lambda *a: adam(*a, square=np.abs))
adam_step.mistake("b_1 and b_2 exchanged", lambda *a: adam(*(*a[:6], a[7], a[6], a[8])))
adam_step.mistake("the old averages returned", lambda *a: (adam(*a)[0], a[2], a[3]))
adam_step.mistake("the step alone, without θ", lambda *a: (adam(*a)[0] - a[0], *adam(*a)[1:]))
adam_step.mistake(
    "the corrected averages returned",
    lambda *a: (adam(*a)[0], adam(*a)[1] / (1 - a[6] ** a[4]), adam(*a)[2] / (1 - a[7] ** a[4])),
)


# ---- ema_update

ema_update = Spec(
    "ema_update(ema, theta, decay) -> ema",
    "decay · ema + (1 − decay) θ",
    "Polyak & Juditsky 1992; Ho et al. 2020, DDPM, App. B",
    (points("ema", "theta"), numbers("decay", 0.5, 0.9, 0.0, 1.0, 0.999, least=0, most=1)),
    {"ema": like("ema")},
)
ema_update.linear("ema", "theta")


@ema_update.law("an average of equals is the same")
def _(f: Probe, theta: np.ndarray, decay: float) -> Iterator[tuple]:
    yield f(theta, theta, decay), theta


@ema_update.law("a decay of 1 keeps the average, and 0 takes θ")
def _(f: Probe, ema: np.ndarray, theta: np.ndarray) -> Iterator[tuple]:
    yield f(ema, theta, 1.0), ema
    yield f(ema, theta, 0.0), theta


@ema_update.law("after k updates towards a constant θ the distance is decayᵏ of that before")
def _(f: Probe, ema: np.ndarray, theta: np.ndarray, decay: float) -> Iterator[tuple]:
    average = ema
    for k in (1, 2, 3):
        average = f(average, theta, decay)
        yield average - theta, decay**k * (ema - theta), f"the distance after {k} updates"


ema_update.mistake("decay and 1 − decay exchanged", lambda ema, theta, decay: (1 - decay) * ema + decay * theta)
ema_update.mistake("θ not scaled by 1 − decay", lambda ema, theta, decay: decay * ema + theta)
ema_update.mistake("ema not scaled by decay", lambda ema, theta, decay: ema + (1 - decay) * theta)
ema_update.mistake("the sign of the difference", lambda ema, theta, decay: ema - (1 - decay) * (theta - ema))
ema_update.mistake("decay² in place of decay", lambda ema, theta, decay: decay**2 * ema + (1 - decay**2) * theta)
ema_update.mistake("the plain mean of the two", lambda ema, theta, decay: (ema + theta) / 2)
ema_update.mistake("θ + decay · ema, without the difference", lambda ema, theta, decay: theta + decay * ema)
ema_update.mistake("θ returned as it is", lambda ema, theta, decay: 1.0 * theta)


# ---- fourier_features

fourier_features = Spec(
    "fourier_features(t, frequencies) -> (B, 2F)",
    "sin(ω t) and cos(ω t) for each frequency ω",
    "Vaswani et al. 2017, §3.5; Ho et al. 2020, DDPM, App. B",
    (
        choice(("t",), *((np.array([float(v)]),) for v in (0, 1, -2, 7)), (np.array([0.5, 3.0, 0.0]),)),
        choice(("frequencies",), *((np.array(w),) for w in ([1.0], [0.5], [1.0, 2.0], [0.1, 1.0, 10.0]))),
    ),
    {"features": lambda args: {(len(args["t"]), 2 * len(args["frequencies"]))}},
    about="t is (B,), frequencies ω (F,) in radians per unit of t. In any order: sines first, or pair by pair.",
)


@fourier_features.law("at t = 0 all sines are 0 and all cosines 1")
def _(f: Probe, frequencies: np.ndarray) -> Iterator[tuple]:
    count = len(frequencies)
    features = f(np.zeros(1), frequencies)
    yield np.sort(features, axis=1), [[0.0] * count + [1.0] * count], "the features in order of size"


@fourier_features.law("each pair lies on the unit circle, so the squares add up to F")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    yield np.sum(f(t, frequencies) ** 2, axis=1), len(frequencies), "the sum of squares"


@fourier_features.law("the product of the features of two times depends on their distance alone: Σ cos ω(t − s)")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    both = np.sum(f(t + 1, frequencies) * f(t, frequencies), axis=1)
    yield both, np.cos(frequencies).sum(), "of t + 1 and t"


@fourier_features.law("they are the real and the imaginary part of e^{iωt}")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    wave = np.exp(1j * t[:, None] * frequencies)
    expected = np.concatenate([wave.real, wave.imag], axis=1)
    yield np.sort(f(t, frequencies), axis=1), np.sort(expected, axis=1), "the features in order of size"


def waves(angle: np.ndarray) -> np.ndarray:
    """Sines, then cosines."""
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


fourier_features.mistake("cycles in place of radians: 2π ω t", lambda t, w: waves(2 * np.pi * t[:, None] * w))
fourier_features.mistake("t/ω in place of ω t", lambda t, w: waves(t[:, None] / w))
fourier_features.mistake("sines alone, twice", lambda t, w: np.tile(np.sin(t[:, None] * w), 2))
fourier_features.mistake("cosines alone, twice", lambda t, w: np.tile(np.cos(t[:, None] * w), 2))
fourier_features.mistake("divided by √F", lambda t, w: waves(t[:, None] * w) / sqrt(len(w)))
fourier_features.mistake("sines without cosines", lambda t, w: np.sin(t[:, None] * w))
fourier_features.mistake("degrees in place of radians", lambda t, w: waves(np.deg2rad(t[:, None] * w)))
fourier_features.mistake("the phase t + ω in place of ω t", lambda t, w: waves(t[:, None] + w))
