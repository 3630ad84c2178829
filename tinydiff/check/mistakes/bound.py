"""Mistakes in the variational bound."""

from typing import Any

import numpy as np
from numpy import log, prod, sqrt

from tinydiff.check.laws.bound import normal_kl, prior_kl, simple_loss, vlb_weight
from tinydiff.check.laws.truth import conditional


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
normal_kl.mistake("a sum over the array", lambda m1, v1, m2, v2: np.sum(divergence(m1, v1, m2, v2)))


def last_kl(x0: Any, ab: float) -> Any:
    """½ (ᾱ ‖x_0‖² − D ᾱ − D ln(1 − ᾱ))."""
    return 0.5 * np.sum(ab * x0**2 - ab - log(1 - ab), axis=1)


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


def weight(t: int, betas: np.ndarray) -> float:
    """β/(2 (1 − β)(1 − ᾱ_{t−1}))."""
    return betas[t - 1] / (2 * (1 - betas[t - 1]) * (1 - prod(1 - betas[: t - 1])))


vlb_weight.mistake("the weight 1 of L_simple, which is not the bound", lambda t, betas: 1.0)
vlb_weight.mistake("the ½ dropped", lambda t, betas: 2 * weight(t, betas))
vlb_weight.mistake(
    "σ_t² = β_t in place of β̃_t", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * (1 - prod(1 - betas[:t])))
)
vlb_weight.mistake("the factor 1/(1 − β_t) forgotten", lambda t, betas: (1 - betas[t - 1]) * weight(t, betas))
vlb_weight.mistake("√β̃_t in place of β̃_t", lambda t, betas: weight(t, betas) * sqrt(conditional(t, t - 1, betas)[2]))
vlb_weight.mistake("β_t in place of β_t²", lambda t, betas: weight(t, betas) / betas[t - 1])
vlb_weight.mistake(
    "½ (SNR_{t−1} − SNR_t), the weight of ‖x_0 − x̂_0‖²",
    lambda t, betas: weight(t, betas) * prod(1 - betas[:t]) / (1 - prod(1 - betas[:t])),
)
vlb_weight.mistake(
    "α_{t−1} = 1 − β_{t−1} in place of ᾱ_{t−1}", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * betas[t - 2])
)


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
