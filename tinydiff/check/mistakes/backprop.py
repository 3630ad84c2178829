"""Mistakes in backpropagation."""

from math import erf
from typing import Any

import numpy as np
from numpy import exp, pi, sqrt, tanh

from tinydiff.check.laws.backprop import layer_norm_backward, linear_backward, mlp, silu_backward

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
linear_backward.mistake("w in place of wᵀ", lambda x, w, dy: (np.dot(dy, w), x.T @ dy, dy.sum(0)))
linear_backward.mistake("dx transposed, w dyᵀ", lambda x, w, dy: (w @ dy.T, x.T @ dy, dy.sum(0)))
linear_backward.mistake("x in place of xᵀ", lambda x, w, dy: (dy @ w.T, x @ dy, dy.sum(0)))
linear_backward.mistake("x in place of xᵀ", lambda x, w, dy: (dy @ w.T, np.dot(x, dy), dy.sum(0)))
linear_backward.mistake("x dyᵀ in place of xᵀ dy", lambda x, w, dy: (dy @ w.T, x @ dy.T, dy.sum(0)))
linear_backward.mistake("dw alone divided by B", lambda x, w, dy: (dy @ w.T, x.T @ dy / len(x), dy.sum(0)))
linear_backward.mistake("all three divided by B", lambda x, w, dy: (dy @ w.T / len(x), x.T @ dy / len(x), dy.mean(0)))
linear_backward.mistake(
    "db the number of rows, dy left out", lambda x, w, dy: (dy @ w.T, x.T @ dy, 0 * dy[0] + len(dy))
)


def sigmoid(x: Any) -> Any:
    """1/(1 + e^{−x}), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def slope(x: Any, s: Any) -> Any:
    """s (1 + x (1 − s))."""
    return s * (1 + x * (1 - s))


def phi(x: float) -> float:
    """P(Z ≤ x)."""
    return 0.5 * (1 + erf(x / 2**0.5))


def gelu_by_tanh(x: Any) -> Any:
    """The slope of ½ x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³)."""
    u = tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + u) + 0.5 * x * (1 - u**2) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)


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
silu_backward.mistake("x clipped to [−6, 6]", lambda x, dy: dy * slope(c := np.clip(x, -6, 6), sigmoid(c)))
silu_backward.mistake("x clipped to [−10, 10]", lambda x, dy: dy * slope(c := np.clip(x, -10, 10), sigmoid(c)))
silu_backward.mistake("tanh x in place of tanh x/2 in s", lambda x, dy: dy * slope(x, sigmoid(2 * x)))
silu_backward.mistake("s = tanh x", lambda x, dy: dy * slope(x, tanh(x)))
silu_backward.mistake("1/(1 + e^x) in place of s", lambda x, dy: dy * slope(x, sigmoid(-x)))
silu_backward.mistake("s forgotten before x (1 − s)", lambda x, dy: dy * (sigmoid(x) + x * (1 - sigmoid(x))))
silu_backward.mistake("s (1 + x), without 1 − s", lambda x, dy: dy * sigmoid(x) * (1 + x))
silu_backward.mistake("s (1 + x)(1 − s), a parenthesis", lambda x, dy: dy * sigmoid(x) * (1 + x) * (1 - sigmoid(x)))
silu_backward.mistake(
    "the slope of GELU", lambda x, dy: dy * (np.vectorize(phi)(x) + x * exp(-(x**2) / 2) / sqrt(2 * pi))
)
silu_backward.mistake("the slope of GELU, by tanh", lambda x, dy: dy * gelu_by_tanh(x))
silu_backward.mistake("the slope of GELU, x s(1.702 x)", lambda x, dy: dy * slope(1.702 * x, sigmoid(1.702 * x)))


def ln_backward(x: Any, dy: Any, eps: float, axis: int | None = 1, **change: Any) -> Any:
    """The backward pass, with a term, the deviation or the axis changed."""

    def mean(a: Any) -> Any:
        return a.mean(axis=axis, keepdims=True)

    deviation = change.get("deviation", sqrt(mean((x - mean(x)) ** 2) + eps))
    y = (x - mean(x)) / deviation
    return (dy - change.get("shift", 1) * mean(dy) - change.get("stretch", 1) * y * mean(y * dy)) / deviation


def row_mean(a: Any) -> Any:
    """Of each row."""
    return a.mean(axis=1, keepdims=True)


def ln_deviation(x: Any, eps: float) -> Any:
    """√(variance + eps)."""
    return sqrt(x.var(axis=1, keepdims=True) + eps)


def ln_y(x: Any, eps: float) -> Any:
    """The forward pass."""
    return (x - row_mean(x)) / ln_deviation(x, eps)


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
layer_norm_backward.mistake(
    "eps ignored, a tiny number such as 1e-5 in its place", lambda x, dy, eps: ln_backward(x, dy, 1e-5)
)
layer_norm_backward.mistake("the sign of mean(dy)", lambda x, dy, eps: ln_backward(x, dy, eps, shift=-1))
layer_norm_backward.mistake(
    "sums in place of means", lambda x, dy, eps: ln_backward(x, dy, eps, shift=x.shape[1], stretch=x.shape[1])
)
layer_norm_backward.mistake(
    "means that divide by D − 1",
    lambda x, dy, eps: ln_backward(x, dy, eps, shift=(r := x.shape[1] / (x.shape[1] - 1)), stretch=r),
)
layer_norm_backward.mistake("statistics over the whole array", lambda x, dy, eps: ln_backward(x, dy, eps, axis=None))
layer_norm_backward.mistake(
    "divided twice by the deviation",
    lambda x, dy, eps: ln_backward(x, dy, eps) / sqrt(x.var(axis=1, keepdims=True) + eps),
)
layer_norm_backward.mistake(
    "mean(dy) in place of mean(y dy)",
    lambda x, dy, eps: ln_backward(x, dy, eps, stretch=0) - ln_y(x, eps) * row_mean(dy) / ln_deviation(x, eps),
)
layer_norm_backward.mistake(
    "mean(y dy) in place of y mean(y dy)",
    lambda x, dy, eps: ln_backward(x, dy, eps, stretch=0) - row_mean(ln_y(x, eps) * dy) / ln_deviation(x, eps),
)
layer_norm_backward.mistake(
    "x − mean in place of y", lambda x, dy, eps: ln_backward(x, dy, eps, stretch=x.var(axis=1, keepdims=True) + eps)
)
layer_norm_backward.mistake(
    "x in place of y",
    lambda x, dy, eps: ln_backward(x, dy, eps, stretch=0) - x * row_mean(x * dy) / ln_deviation(x, eps),
)


def net(**o: Any) -> Any:
    """A network with something changed, in what goes forward (first line) or back (all others)."""
    silu, last, bias = o.get("silu", lambda s: s * sigmoid(s)), o.get("last", lambda s: s), o.get("bias", lambda b: b)
    back = o.get("slope", lambda s, h: slope(s, sigmoid(s)))
    last_back, at = o.get("last_back", lambda s: 1.0), o.get("at", lambda x, i: x)
    weight, shift = o.get("dw", lambda x, d: x.T @ d), o.get("db", lambda d: d.sum(axis=0))
    onward, order = o.get("dx", lambda d, w: d @ w.T), o.get("order", lambda grads: grads)
    end = o.get("end", lambda dx: dx)

    def network(params: list, x: Any) -> tuple:
        count, hs, sums = len(params) // 2, [x], []
        for i in range(count):
            sums.append(hs[-1] @ params[2 * i] + bias(params[2 * i + 1]))
            hs.append(silu(sums[-1]) if i < count - 1 else last(sums[-1]))

        def pullback(dy: Any) -> tuple:
            grads: list = []
            dy = dy * last_back(sums[-1])
            for i in reversed(range(count)):
                dy = dy * back(sums[i], hs[i + 1]) if i < count - 1 else dy
                grads = [weight(at(hs[i], i), dy), shift(dy), *grads]
                dy = onward(dy, params[2 * i])
            return order(grads), end(dy)

        return hs[-1], pullback

    return network


def pairs_exchanged(grads: list) -> list:
    """b before w."""
    return [grads[i ^ 1] for i in range(len(grads))]


def relu(s: Any) -> Any:
    """max(s, 0)."""
    return np.maximum(s, 0)


mlp.mistake(
    "silu after the last layer too", net(last=lambda s: s * sigmoid(s), last_back=lambda s: slope(s, sigmoid(s)))
)
mlp.mistake("no silu: all layers linear", net(silu=lambda s: s, slope=lambda s, h: 1.0))
mlp.mistake("ReLU in place of silu", net(silu=relu, slope=lambda s, h: 1.0 * (s > 0)))
mlp.mistake("tanh in place of silu", net(silu=tanh, slope=lambda s, h: 1 - h**2))
mlp.mistake("the sigmoid in place of silu", net(silu=sigmoid, slope=lambda s, h: h * (1 - h)))
mlp.mistake(
    "e^s/(1 + e^s), which overflows",
    net(silu=lambda s: s * (exp(s) / (1 + exp(s))), slope=lambda s, h: slope(s, exp(s) / (1 + exp(s)))),
)
mlp.mistake("the biases left out", net(bias=lambda b: 0 * b))
mlp.mistake("the biases subtracted", net(bias=lambda b: -b))
mlp.mistake("the slope of silu forgotten on the way back", net(slope=lambda s, h: 1.0))
mlp.mistake(
    "the slope s(1 + x(1 − s)) at the activation in place of its input", net(slope=lambda s, h: slope(h, sigmoid(h)))
)
mlp.mistake("the slope 1/(1 + e^{−s}) alone, without s times its own slope", net(slope=lambda s, h: sigmoid(s)))
mlp.mistake("the slope of the sigmoid in place of that of silu", net(slope=lambda s, h: sigmoid(s) * (1 - sigmoid(s))))
mlp.mistake("the slope of ReLU in place of that of silu", net(slope=lambda s, h: 1.0 * (s > 0)))
mlp.mistake("the value silu(s) in place of the slope", net(slope=lambda s, h: h))
mlp.mistake("the sign in the slope: 1 − s(1 − …)", net(slope=lambda s, h: sigmoid(s) * (1 - s * (1 - sigmoid(s)))))
mlp.mistake(
    "the slope of silu after the last layer too, on the way back", net(last_back=lambda s: slope(s, sigmoid(s)))
)
mlp.mistake("the gradients of w divided by B", net(dw=lambda x, d: x.T @ d / len(x)))
mlp.mistake("the gradients of b a mean over rows", net(db=lambda d: d.mean(axis=0)))
mlp.mistake(
    "all gradients of parameters divided by B", net(dw=lambda x, d: x.T @ d / len(x), db=lambda d: d.mean(axis=0))
)
mlp.mistake("the gradients of b summed over all", net(db=lambda d: d.sum() + 0 * d[0]))
mlp.mistake("the gradients of b those of the first row", net(db=lambda d: d[0]))
mlp.mistake("the gradients of b not summed over rows", net(db=lambda d: d))
mlp.mistake("the gradients of w of the first row alone", net(dw=lambda x, d: x[:1].T @ d[:1]))
mlp.mistake("the gradients of w transposed", net(dw=lambda x, d: d.T @ x))
mlp.mistake("w in place of wᵀ on the way back", net(dx=lambda d, w: d @ w))
mlp.mistake(
    "a step down, all gradients with the opposite sign", net(dw=lambda x, d: -x.T @ d, db=lambda d: -d.sum(axis=0))
)
mlp.mistake("dparams in the opposite order, from the last layer on", net(order=lambda grads: grads[::-1]))
mlp.mistake("the gradient of each b before that of its w", net(order=pairs_exchanged))
mlp.mistake("dx left at 0", net(end=lambda dx: 0 * dx))
mlp.mistake("dx divided by B", net(end=lambda dx: dx / len(dx)))
mlp.mistake("dx summed over rows", net(end=lambda dx: dx.sum(axis=0)))
mlp.mistake("the sign of dx", net(end=np.negative))
mlp.mistake("the first layer left out of dparams", net(order=lambda grads: [0 * grads[0], 0 * grads[1], *grads[2:]]))
mlp.mistake(
    "the last layer's gradients alone", net(order=lambda grads: [*(0 * one for one in grads[:-2]), *grads[-2:]])
)
