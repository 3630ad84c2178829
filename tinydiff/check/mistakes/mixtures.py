"""Mistakes in the denoiser of a mixture."""

from typing import Any

import numpy as np
from numpy import exp, log, prod, sqrt

from tinydiff.check.laws.mixtures import mixture_x0
from tinydiff.check.mistakes.data import softmax, unshifted
from tinydiff.check.mistakes.schedules import misread


def of_mixture(**o: Any) -> Any:
    """The denoiser with something changed: ᾱ_t, √ᾱ_t, c_k, the logits, their softmax, or what each component says."""

    def c_k(a: float, ab: float, v: Any) -> Any:
        return ab * v + 1 - ab

    def logits(w: Any, squares: Any, c: Any, d: int) -> Any:
        return log(w) - d / 2 * log(c) - squares / (2 * c)

    def each(x: Any, m: Any, v: Any, c: Any, a: float) -> Any:
        return m + a * v / c * (x - a * m)

    def function(x_t: Any, weights: Any, means: Any, variances: Any, t: int, betas: np.ndarray) -> Any:
        ab = o.get("bar", lambda t, betas: prod(1 - betas[:t]))(t, betas)
        a = o.get("a", sqrt)(ab)
        v, c = variances, o.get("c", c_k)(a, ab, variances)
        squares = np.sum((x_t[:, None] - o.get("at", a) * means) ** 2, axis=-1)
        r = o.get("shares", lambda one: softmax(one, 1))(o.get("logits", logits)(weights, squares, c, x_t.shape[1]))
        said = o.get("each", each)(x_t[:, None], means, v[:, None], c[:, None], a)
        return np.sum(r[:, :, None] * said, axis=1)

    return function


def one_by_one(x_t: Any, weights: Any, means: Any, variances: Any, t: int, betas: np.ndarray) -> Any:
    """Each coordinate as if it were alone."""
    columns = range(x_t.shape[1])
    alone = [of_mixture()(x_t[:, [j]], weights, means[:, [j]], variances, t, betas) for j in columns]
    return np.concatenate(alone, axis=1)


mixture_x0.mistake("the weights w_k left out", of_mixture(logits=lambda w, q, c, d: -d / 2 * log(c) - q / (2 * c)))
mixture_x0.mistake(
    "w_k in place of ln w_k beside the exponents",
    of_mixture(logits=lambda w, q, c, d: w - d / 2 * log(c) - q / (2 * c)),
)
mixture_x0.mistake(
    "the densities not normalised: c_k^{−D/2} left out", of_mixture(logits=lambda w, q, c, d: log(w) - q / (2 * c))
)
mixture_x0.mistake(
    "c_k^{−1/2} in place of c_k^{−D/2}, as in one dimension",
    of_mixture(logits=lambda w, q, c, d: log(w) - log(c) / 2 - q / (2 * c)),
)
mixture_x0.mistake(
    "c_k^{−D} in place of c_k^{−D/2}", of_mixture(logits=lambda w, q, c, d: log(w) - d * log(c) - q / (2 * c))
)
mixture_x0.mistake("the sign of ln c_k", of_mixture(logits=lambda w, q, c, d: log(w) + d / 2 * log(c) - q / (2 * c)))
mixture_x0.mistake("the 2 in 2 c_k forgotten", of_mixture(logits=lambda w, q, c, d: log(w) - d / 2 * log(c) - q / c))
mixture_x0.mistake(
    "√c_k in place of c_k in the exponent",
    of_mixture(logits=lambda w, q, c, d: log(w) - d / 2 * log(c) - q / (2 * sqrt(c))),
)
mixture_x0.mistake(
    "the distance in place of its square",
    of_mixture(logits=lambda w, q, c, d: log(w) - d / 2 * log(c) - sqrt(q) / (2 * c)),
)
mixture_x0.mistake(
    "the sign of the exponent", of_mixture(logits=lambda w, q, c, d: log(w) - d / 2 * log(c) + q / (2 * c))
)
mixture_x0.mistake("the prior weights w_k in place of r_k", of_mixture(logits=lambda w, q, c, d: log(w) + 0 * q))
mixture_x0.mistake(
    "a mean over the coordinates in ‖·‖²",
    of_mixture(logits=lambda w, q, c, d: log(w) - d / 2 * log(c) - q / (2 * c * d)),
)
mixture_x0.mistake("the means not scaled by √ᾱ_t in the distance", of_mixture(at=1.0))
mixture_x0.mistake(
    "the variance 1 − ᾱ_t in place of c_k in the weights",
    of_mixture(c=lambda a, ab, v: 1 - ab + 0 * v, each=lambda x, m, v, c, a: m + a * v / (a**2 * v + c) * (x - a * m)),
)
mixture_x0.mistake("v_k + 1 − ᾱ_t in place of c_k", of_mixture(c=lambda a, ab, v: v + 1 - ab))
mixture_x0.mistake("√ᾱ_t v_k + 1 − ᾱ_t in place of c_k", of_mixture(c=lambda a, ab, v: a * v + 1 - ab))
mixture_x0.mistake("√(1 − ᾱ_t) in place of 1 − ᾱ_t in c_k", of_mixture(c=lambda a, ab, v: ab * v + sqrt(1 - ab)))
mixture_x0.mistake("ᾱ_t in place of √ᾱ_t", of_mixture(a=lambda ab: ab))
mixture_x0.mistake(
    "ᾱ_t v_k in place of √ᾱ_t v_k in the regression",
    of_mixture(each=lambda x, m, v, c, a: m + a**2 * v / c * (x - a * m)),
)
mixture_x0.mistake(
    "v_k in place of √ᾱ_t v_k in the regression", of_mixture(each=lambda x, m, v, c, a: m + v / c * (x - a * m))
)
mixture_x0.mistake(
    "x_t − m_k in place of x_t − √ᾱ_t m_k in the regression",
    of_mixture(each=lambda x, m, v, c, a: m + a * v / c * (x - m)),
)
mixture_x0.mistake(
    "x_t in place of x_t − √ᾱ_t m_k in the regression", of_mixture(each=lambda x, m, v, c, a: m + a * v / c * x)
)
mixture_x0.mistake("m_k left out of the regression", of_mixture(each=lambda x, m, v, c, a: a * v / c * (x - a * m)))
mixture_x0.mistake(
    "the regression subtracted from m_k", of_mixture(each=lambda x, m, v, c, a: m - a * v / c * (x - a * m))
)
mixture_x0.mistake("the regression not divided by c_k", of_mixture(each=lambda x, m, v, c, a: m + a * v * (x - a * m)))
mixture_x0.mistake(
    "the average of the means m_k, as if they were points", of_mixture(each=lambda x, m, v, c, a: m + 0 * x)
)
mixture_x0.mistake(
    "E[√ᾱ_t x_0 | x_t] in place of E[x_0 | x_t]",
    of_mixture(each=lambda x, m, v, c, a: a * (m + a * v / c * (x - a * m))),
)
mixture_x0.mistake(
    "the likeliest component alone", of_mixture(shares=lambda one: np.eye(one.shape[1])[one.argmax(axis=1)])
)
mixture_x0.mistake("weights r_k that do not sum to 1", of_mixture(shares=exp))
mixture_x0.mistake("weights r_k that sum to 1 over the batch", of_mixture(shares=lambda one: softmax(one, 0)))
mixture_x0.mistake(
    "exponentials not shifted by the largest exponent: far from the points all are 0",
    of_mixture(shares=lambda one: unshifted(-one)),
)
mixture_x0.mistake(
    "one shift of the exponents for the whole batch", of_mixture(shares=lambda one: unshifted(one.max() - one))
)
mixture_x0.mistake("weights of each coordinate by itself: the sum over coordinates in ‖·‖² forgotten", one_by_one)
mixture_x0.mistake(
    "1 − β_t in place of ᾱ_t, the product of all up to t", of_mixture(bar=lambda t, betas: 1 - betas[t - 1])
)
misread(mixture_x0, lambda bar: of_mixture(bar=bar))
