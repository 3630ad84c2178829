"""Mistakes in the variational bound."""

from typing import Any

import numpy as np
from numpy import log, log1p, log2, log10, prod, sqrt

from tinydiff.check.laws.bound import elbo_step, normal_kl, prior_kl, simple_loss, vlb_weight
from tinydiff.check.laws.truth import conditional
from tinydiff.check.mistakes.posterior import of_chain
from tinydiff.check.mistakes.schedules import FORMULAS, misread


def divergence(m1: Any, v1: Any, m2: Any, v2: Any) -> Any:
    """The formula."""
    return 0.5 * (log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


normal_kl.mistake("the ½ dropped", lambda m1, v1, m2, v2: 2 * divergence(m1, v1, m2, v2))
normal_kl.mistake("the two exchanged, KL(q ‖ p)", lambda m1, v1, m2, v2: divergence(m2, v2, m1, v1))
normal_kl.mistake("v_1 and v_2 taken as standard deviations", lambda m1, v1, m2, v2: divergence(m1, v1**2, m2, v2**2))
normal_kl.mistake(
    "v_1 and v_2 taken as log-variances", lambda m1, v1, m2, v2: divergence(m1, np.exp(v1), m2, np.exp(v2))
)
normal_kl.mistake("the sign of the logarithm", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) - log(v2 / v1))
normal_kl.mistake("the −1 forgotten", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) + 0.5)
normal_kl.mistake(
    "|m_1 − m_2| in place of its square", lambda m1, v1, m2, v2: divergence(0, v1, sqrt(abs(m1 - m2)), v2)
)
normal_kl.mistake("v_1/v_2 left out", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) - 0.5 * (v1 / v2 - 1))
normal_kl.mistake("bits in place of nats", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) / log(2))
normal_kl.mistake("a sum or a mean over the array", lambda m1, v1, m2, v2: np.sum(divergence(m1, v1, m2, v2)))
normal_kl.mistake(
    "log_2 in place of ln", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) + 0.5 * (log2(v2 / v1) - log(v2 / v1))
)
normal_kl.mistake(
    "log_10 in place of ln", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) + 0.5 * (log10(v2 / v1) - log(v2 / v1))
)
normal_kl.mistake(
    "the ½ before the logarithm dropped", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) + 0.5 * log(v2 / v1)
)
normal_kl.mistake(
    "the ½ before the logarithm alone", lambda m1, v1, m2, v2: 2 * divergence(m1, v1, m2, v2) - 0.5 * log(v2 / v1)
)
normal_kl.mistake(
    "(m_1 − m_2)² alone divided by v_2", lambda m1, v1, m2, v2: 0.5 * (log(v2 / v1) + v1 + (m1 - m2) ** 2 / v2 - 1)
)
normal_kl.mistake(
    "v_1 alone divided by v_2", lambda m1, v1, m2, v2: 0.5 * (log(v2 / v1) + v1 / v2 + (m1 - m2) ** 2 - 1)
)
normal_kl.mistake(
    "divided by v_1 in place of v_2", lambda m1, v1, m2, v2: 0.5 * (log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v1 - 1)
)
normal_kl.mistake(
    "divided by v_2² in place of v_2", lambda m1, v1, m2, v2: 0.5 * (log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2**2 - 1)
)
normal_kl.mistake(
    "a sum or a mean over the last axis",
    lambda m1, v1, m2, v2: np.sum(divergence(m1, v1, m2, v2), axis=-1) if np.ndim(m1) else divergence(m1, v1, m2, v2),
)


def last_kl(x0: Any, ab: float) -> Any:
    """½ (ᾱ ‖x_0‖² − D ᾱ − D ln(1 − ᾱ))."""
    return 0.5 * np.sum(ab * x0**2 - ab - log(1 - ab), axis=1)


def in_all(x0: Any, ab: float, **o: Any) -> Any:
    """The same from ‖x_0‖², with one thing changed."""
    dims, square = x0.shape[1], o.get("square", np.sum(x0**2, axis=1))
    rest = o.get("dims", dims) * o.get("variance", -ab) - o.get("dims_log", dims) * o.get("log", log(1 - ab))
    return 0.5 * (ab * square + rest)


prior_kl.mistake("the ½ dropped", lambda x0, betas: 2 * last_kl(x0, prod(1 - betas)))
prior_kl.mistake("β_T in place of ᾱ_T: the last step alone", lambda x0, betas: last_kl(x0, 1 - betas[-1]))
prior_kl.mistake("a mean over the coordinates", lambda x0, betas: last_kl(x0, prod(1 - betas)) / x0.shape[1])
prior_kl.mistake("a mean over the batch", lambda x0, betas: np.mean(last_kl(x0, prod(1 - betas))))
prior_kl.mistake(
    "the two exchanged, KL(p ‖ q)",
    lambda x0, betas: divergence(0, 1, sqrt(prod(1 - betas)) * x0, 1 - prod(1 - betas)).sum(axis=1),
)
prior_kl.mistake(
    "D forgotten where ‖x_0‖² is a sum",
    lambda x0, betas: 0.5 * (prod(1 - betas) * (np.sum(x0**2, axis=1) - 1) - log(1 - prod(1 - betas))),
)
prior_kl.mistake(
    "√ᾱ_T in place of ᾱ_T before ‖x_0‖²", lambda x0, betas: last_kl(prod(1 - betas) ** -0.25 * x0, prod(1 - betas))
)
prior_kl.mistake(
    "the standard deviation in place of the variance in the logarithm",
    lambda x0, betas: last_kl(x0, prod(1 - betas)) + 0.25 * x0.shape[1] * log(1 - prod(1 - betas)),
)
prior_kl.mistake(
    "ᾱ_{T−1} in place of ᾱ_T", lambda x0, betas: last_kl(x0, prod(1 - betas[:-1])) if len(betas) > 1 else 0 * x0[:, 0]
)
prior_kl.mistake("bits in place of nats", lambda x0, betas: last_kl(x0, prod(1 - betas)) / log(2))
prior_kl.mistake("log_2 in place of ln", lambda x0, betas: in_all(x0, prod(1 - betas), log=log2(1 - prod(1 - betas))))
prior_kl.mistake("log_10 in place of ln", lambda x0, betas: in_all(x0, prod(1 - betas), log=log10(1 - prod(1 - betas))))
prior_kl.mistake(
    "ln(1 + ᾱ_T) in place of ln(1 − ᾱ_T)", lambda x0, betas: in_all(x0, prod(1 - betas), log=log1p(prod(1 - betas)))
)
prior_kl.mistake(
    "the sign of the logarithm", lambda x0, betas: in_all(x0, prod(1 - betas), log=-log(1 - prod(1 - betas)))
)
prior_kl.mistake("the sign of D ᾱ_T", lambda x0, betas: in_all(x0, prod(1 - betas), variance=prod(1 - betas)))
prior_kl.mistake(
    "−D forgotten beside D (1 − ᾱ_T)", lambda x0, betas: in_all(x0, prod(1 - betas), variance=1 - prod(1 - betas))
)
prior_kl.mistake(
    "D taken from the rows, shape[0]", lambda x0, betas: in_all(x0, prod(1 - betas), dims=len(x0), dims_log=len(x0))
)
prior_kl.mistake("D forgotten before the logarithm", lambda x0, betas: in_all(x0, prod(1 - betas), dims_log=1))
prior_kl.mistake("D forgotten before ᾱ_T", lambda x0, betas: in_all(x0, prod(1 - betas), dims=1))
prior_kl.mistake(
    "‖x_0‖ in place of ‖x_0‖²", lambda x0, betas: in_all(x0, prod(1 - betas), square=sqrt(np.sum(x0**2, axis=1)))
)
prior_kl.mistake(
    "a mean over the coordinates in ‖x_0‖²",
    lambda x0, betas: in_all(x0, prod(1 - betas), square=np.mean(x0**2, axis=1)),
)
prior_kl.mistake("√ᾱ_T in place of ᾱ_T", lambda x0, betas: last_kl(x0, sqrt(prod(1 - betas))))
prior_kl.mistake("e^{−Σ β_s} in place of ∏ (1 − β_s)", lambda x0, betas: last_kl(x0, np.exp(-np.sum(betas))))
prior_kl.mistake("1 − Σ β_s in place of ∏ (1 − β_s)", lambda x0, betas: last_kl(x0, 1 - np.sum(betas)))


def weight(t: int, betas: np.ndarray) -> float:
    """β/(2 (1 − β)(1 − ᾱ_{t−1}))."""
    return weight_of(betas[t - 1], prod(1 - betas[: t - 1]))


def weight_of(b: float, before: float) -> float:
    """The same, from β_t and ᾱ_{t−1}."""
    return b / (2 * (1 - b) * (1 - before))


def by_ratios(ab: float, before: float) -> float:
    """½ (SNR_{t−1}/SNR_t − 1)."""
    return 0.5 * (before / (1 - before) / (ab / (1 - ab)) - 1)


def normalised(t: int, betas: np.ndarray) -> Any:
    """Over the mean of all."""
    return weight(t, betas) / np.mean([weight(u, betas) for u in range(2, len(betas) + 1)])


def gain(t: int, betas: np.ndarray) -> float:
    """SNR_{t−1}/SNR_t."""
    return 1 + 2 * weight(t, betas)


vlb_weight.mistake("the weight 1 of L_simple, which is not the bound", lambda t, betas: 1.0)
vlb_weight.mistake("the ½ dropped", lambda t, betas: 2 * weight(t, betas))
vlb_weight.mistake(
    "β_t in place of β̃_t", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * (1 - prod(1 - betas[:t])))
)
vlb_weight.mistake("the factor 1/(1 − β_t) forgotten", lambda t, betas: (1 - betas[t - 1]) * weight(t, betas))
vlb_weight.mistake("√β̃_t in place of β̃_t", lambda t, betas: weight(t, betas) * sqrt(conditional(t, t - 1, betas)[2]))
vlb_weight.mistake("β_t in place of β_t²", lambda t, betas: weight(t, betas) / betas[t - 1])
vlb_weight.mistake(
    "½ (SNR_{t−1} − SNR_t), the weight of ‖x_0 − x̂_0‖²",
    lambda t, betas: weight(t, betas) * prod(1 - betas[:t]) / (1 - prod(1 - betas[:t])),
)
vlb_weight.mistake(
    "1 − β_{t−1} in place of ᾱ_{t−1}", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * betas[t - 2])
)
vlb_weight.mistake("divided by the mean over all t", normalised)
vlb_weight.mistake("the −1 forgotten in ½ (SNR_{t−1}/SNR_t − 1)", lambda t, betas: gain(t, betas) / 2)
vlb_weight.mistake("SNR_t/SNR_{t−1}, upside down", lambda t, betas: 0.5 * (1 / gain(t, betas) - 1))
vlb_weight.mistake("½ (1 − SNR_t/SNR_{t−1})", lambda t, betas: 0.5 * (1 - 1 / gain(t, betas)))
vlb_weight.mistake("√(1 − β_t) in place of 1 − β_t", lambda t, betas: weight(t, betas) * sqrt(1 - betas[t - 1]))
vlb_weight.mistake("√(1 − ᾱ_t) in place of 1 − ᾱ_t", lambda t, betas: weight(t, betas) * sqrt(1 - prod(1 - betas[:t])))
vlb_weight.mistake("1 − ᾱ_t left out", lambda t, betas: weight(t, betas) * (1 - prod(1 - betas[:t])))
vlb_weight.mistake(
    "ᾱ_t in place of 1 − β_t", lambda t, betas: weight(t, betas) * (1 - betas[t - 1]) / prod(1 - betas[:t])
)
vlb_weight.mistake("√ᾱ in place of ᾱ", lambda t, betas: weight_of(betas[t - 1], sqrt(prod(1 - betas[: t - 1]))))
vlb_weight.mistake("t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t", lambda t, betas: weight(t + 1, betas))
vlb_weight.mistake("ᾱ_{t−2} in place of ᾱ_{t−1}", lambda t, betas: weight_of(betas[t - 1], prod(1 - betas[: t - 2])))
vlb_weight.mistake(
    "betas[t] for β_t, which is betas[t − 1]", lambda t, betas: weight_of(betas[t], prod(1 - betas[: t - 1]))
)
misread(vlb_weight, lambda bar: lambda t, betas: weight_of(betas[t - 1], bar(t - 1, betas)), FORMULAS)
misread(vlb_weight, lambda bar: lambda t, betas: by_ratios(bar(t, betas), bar(t - 1, betas)), FORMULAS)


simple_loss.mistake("a sum over all in place of a mean", lambda eps_hat, eps: np.sum((eps_hat - eps) ** 2))
simple_loss.mistake(
    "a sum over the coordinates, and a mean over the rows",
    lambda eps_hat, eps: np.mean(np.sum((eps_hat - eps) ** 2, 1)),
)
simple_loss.mistake("a factor of ½", lambda eps_hat, eps: np.mean((eps_hat - eps) ** 2) / 2)
simple_loss.mistake("absolute values in place of squares", lambda eps_hat, eps: np.mean(np.abs(eps_hat - eps)))
simple_loss.mistake("the root of the mean square", lambda eps_hat, eps: sqrt(np.mean((eps_hat - eps) ** 2)))
simple_loss.mistake("the square of the mean", lambda eps_hat, eps: np.mean(eps_hat - eps) ** 2)
simple_loss.mistake("the difference of the squares", lambda eps_hat, eps: np.mean(eps_hat**2 - eps**2))
simple_loss.mistake("the errors not squared", lambda eps_hat, eps: np.mean(eps_hat - eps))
simple_loss.mistake("a loss for each row", lambda eps_hat, eps: np.mean((eps_hat - eps) ** 2, axis=1))
simple_loss.mistake(
    "a mean over the coordinates, and a sum over the rows",
    lambda eps_hat, eps: np.sum(np.mean((eps_hat - eps) ** 2, 1)),
)
simple_loss.mistake("half of the sum over all", lambda eps_hat, eps: np.sum((eps_hat - eps) ** 2) / 2)
simple_loss.mistake("the norm ‖ε̂ − ε‖", lambda eps_hat, eps: sqrt(np.sum((eps_hat - eps) ** 2)))
simple_loss.mistake(
    "the mean of the norms of the rows", lambda eps_hat, eps: np.mean(sqrt(np.sum((eps_hat - eps) ** 2, 1)))
)
simple_loss.mistake("the variance of the errors, their mean taken off", lambda eps_hat, eps: np.var(eps_hat - eps))
simple_loss.mistake("a plus in place of the minus", lambda eps_hat, eps: np.mean((eps_hat + eps) ** 2))
simple_loss.mistake(
    "Huber's loss, 1 the threshold",
    lambda eps_hat, eps: np.mean(np.where((d := abs(eps_hat - eps)) < 1, d**2 / 2, d - 0.5)),
)
simple_loss.mistake("the squares, without a mean", lambda eps_hat, eps: (eps_hat - eps) ** 2)
simple_loss.mistake("a loss for each coordinate", lambda eps_hat, eps: np.mean((eps_hat - eps) ** 2, axis=0))


def term(**o: Any) -> Any:
    """A term of the bound with something changed: β_t, ᾱ_t and ᾱ_{t−1}, β̃_t, c_0², the nats of each, or their sum."""

    def nats(square: Any, tilde: float, variance: float) -> Any:
        return 0.5 * (log(variance / tilde) + (tilde + square) / variance - 1)

    def function(x0: Any, x_t: Any, x0_hat: Any, t: int, variance: float, betas: np.ndarray) -> Any:
        b, ab, p = o.get("now", of_chain)(t, betas)
        tilde = o.get("tilde", lambda b, ab, p: b * (1 - p) / (1 - ab))(b, ab, p)
        weight = o.get("weight", lambda b, ab, p: p * b**2 / (1 - ab) ** 2)(b, ab, p)
        off = o.get("off", lambda x0, x_t, x0_hat: x0 - x0_hat)(x0, x_t, x0_hat)
        each = o.get("nats", nats)(weight * off**2, tilde, variance)
        return o.get("sum", lambda each: np.sum(each, axis=1))(each)

    return function


def all_at_once(log_dims: int | None = None, dims: int | None = None) -> Any:
    """The KL from ‖x_0 − x̂_0‖², with another number for D before the logarithm or elsewhere."""

    def function(x0: Any, x_t: Any, x0_hat: Any, t: int, variance: float, betas: np.ndarray) -> Any:
        b, ab, p = of_chain(t, betas)
        tilde, square = b * (1 - p) / (1 - ab), p * b**2 / (1 - ab) ** 2 * np.sum((x0 - x0_hat) ** 2, axis=1)
        of_log, of_rest = (x0.shape[1] if one is None else one for one in (log_dims, dims))
        return 0.5 * (of_log * log(variance / tilde) + (of_rest * tilde + square) / variance - of_rest)

    return function


def kl(change: Any) -> Any:
    """With a change of the nats of each coordinate, a function of the square, β̃_t and the variance."""
    return term(nats=change)


elbo_step.mistake("the ½ dropped", kl(lambda q, b, v: 2 * divergence(0, b, sqrt(q), v)))
elbo_step.mistake("the two exchanged, KL(p ‖ q)", kl(lambda q, b, v: divergence(0, v, sqrt(q), b)))
elbo_step.mistake("the logarithm forgotten", kl(lambda q, b, v: 0.5 * ((b + q) / v - 1)))
elbo_step.mistake("the sign of the logarithm", kl(lambda q, b, v: divergence(0, b, sqrt(q), v) - log(v / b)))
elbo_step.mistake("the −1 forgotten", kl(lambda q, b, v: divergence(0, b, sqrt(q), v) + 0.5))
elbo_step.mistake(
    "β̃_t over the variance left out", kl(lambda q, b, v: divergence(0, b, sqrt(q), v) - 0.5 * (b / v - 1))
)
elbo_step.mistake("the square of the means alone, without the variances", kl(lambda q, b, v: 0.5 * q / v))
elbo_step.mistake("the variances alone, without the means", kl(lambda q, b, v: divergence(0, b, 0, v) + 0 * q))
elbo_step.mistake(
    "the square of the means not divided by the variance", kl(lambda q, b, v: divergence(0, b, 0, v) + 0.5 * q)
)
elbo_step.mistake("divided by β̃_t in place of the variance", kl(lambda q, b, v: 0.5 * (log(v / b) + (b + q) / b - 1)))
elbo_step.mistake("both variances taken as standard deviations", kl(lambda q, b, v: divergence(0, b**2, sqrt(q), v**2)))
elbo_step.mistake("the variance taken as a standard deviation", kl(lambda q, b, v: divergence(0, b, sqrt(q), v**2)))
elbo_step.mistake("the variance taken as its logarithm", kl(lambda q, b, v: divergence(0, b, sqrt(q), np.exp(v))))
elbo_step.mistake("bits in place of nats", kl(lambda q, b, v: divergence(0, b, sqrt(q), v) / log(2)))
elbo_step.mistake(
    "the ½ before the logarithm alone", kl(lambda q, b, v: 2 * divergence(0, b, sqrt(q), v) - 0.5 * log(v / b))
)
elbo_step.mistake("|difference of the means| in place of its square", kl(lambda q, b, v: divergence(0, b, q**0.25, v)))
elbo_step.mistake("a mean over the coordinates", term(sum=lambda each: np.mean(each, axis=1)))
elbo_step.mistake("a sum over the batch too", term(sum=np.sum))
elbo_step.mistake("a mean over the batch", term(sum=lambda each: np.mean(np.sum(each, axis=1))))
elbo_step.mistake("a number for each coordinate, not summed", term(sum=lambda each: each))
elbo_step.mistake("D forgotten before the logarithm", all_at_once(log_dims=1))
elbo_step.mistake("D forgotten where the square is a sum", all_at_once(log_dims=1, dims=1))
elbo_step.mistake("β_t in place of β̃_t", term(tilde=lambda b, ab, p: b))
elbo_step.mistake("√β̃_t in place of β̃_t", term(tilde=lambda b, ab, p: sqrt(b * (1 - p) / (1 - ab))))
elbo_step.mistake("(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t", term(tilde=lambda b, ab, p: b * (1 - ab) / (1 - p)))
elbo_step.mistake("c_0 left out: x_0 and x̂_0 for the two means", term(weight=lambda b, ab, p: 1.0))
elbo_step.mistake("c_0 in place of its square", term(weight=lambda b, ab, p: sqrt(p) * b / (1 - ab)))
elbo_step.mistake("√ᾱ_t in place of √ᾱ_{t−1} in c_0", term(weight=lambda b, ab, p: ab * b**2 / (1 - ab) ** 2))
elbo_step.mistake("ᾱ_{t−1} in place of √ᾱ_{t−1} in c_0", term(weight=lambda b, ab, p: (p * b / (1 - ab)) ** 2))
elbo_step.mistake("c_t in place of c_0", term(weight=lambda b, ab, p: (1 - b) * (1 - p) ** 2 / (1 - ab) ** 2))
elbo_step.mistake(
    "x̂_0 itself as the model's mean", term(off=lambda x0, x_t, x0_hat: x0_hat, weight=lambda b, ab, p: 1.0)
)
elbo_step.mistake("a plus in place of the minus between x_0 and x̂_0", term(off=lambda x0, x_t, x0_hat: x0 + x0_hat))
elbo_step.mistake("x̂_0 clipped to [−1, 1]", term(off=lambda x0, x_t, x0_hat: x0 - np.clip(x0_hat, -1, 1)))
elbo_step.mistake(
    "1 − β_t in place of ᾱ_t", term(now=lambda t, betas: (betas[t - 1], 1 - betas[t - 1], 1 - betas[t - 2]))
)
elbo_step.mistake(
    "the variance ignored: β̃_t in its place",
    lambda x0, x_t, x0_hat, t, variance, betas: term()(x0, x_t, x0_hat, t, conditional(t, t - 1, betas)[2], betas),
)
elbo_step.mistake(
    "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t",
    term(now=lambda t, betas: of_chain(t + 1, betas) if t < len(betas) else betas[t]),
)
elbo_step.mistake("t − 1 in place of t: the term before", term(now=lambda t, betas: of_chain(t - 1, betas)))
elbo_step.mistake(
    "ᾱ_t in place of ᾱ_{t−1} throughout",
    term(now=lambda t, betas: (betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[:t]))),
)
misread(elbo_step, lambda bar: term(now=lambda t, betas: (betas[t - 1], bar(t, betas), bar(t - 1, betas))), FORMULAS)
