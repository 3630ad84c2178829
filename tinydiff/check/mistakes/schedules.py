"""Mistakes in schedules."""

import numpy as np
from numpy import cos, pi, prod, sqrt

from tinydiff.check.laws.schedules import alpha_bar, cosine_alpha_bar, snr

alpha_bar.mistake("ᾱ_0 = 1 left out", lambda betas: np.cumprod(1 - betas))
alpha_bar.mistake("1 − β_t in place of their product", lambda betas: np.append(1, 1 - betas))
alpha_bar.mistake("√ᾱ_t in place of ᾱ_t", lambda betas: sqrt(np.append(1, np.cumprod(1 - betas))))
alpha_bar.mistake("1 − Σ β_s in place of ∏ (1 − β_s)", lambda betas: np.append(1, 1 - np.cumsum(betas)))
alpha_bar.mistake("the product of β_s in place of 1 − β_s", lambda betas: np.append(1, np.cumprod(betas)))
alpha_bar.mistake("1 − ᾱ_t in place of ᾱ_t", lambda betas: 1 - np.append(1, np.cumprod(1 - betas)))
alpha_bar.mistake("the β_s in the wrong order", lambda betas: np.append(1, np.cumprod(1 - betas[::-1])))
alpha_bar.mistake("ᾱ_T repeated at the end, ᾱ_0 left out", lambda betas: np.cumprod(1 - np.append(betas, 0)))


def ratio(a_bar: float) -> float:
    """ᾱ/(1 − ᾱ)."""
    return a_bar / (1 - a_bar)


snr.mistake("α_t = 1 − β_t in place of ᾱ_t", lambda t, betas: ratio(1 - betas[t - 1]))
snr.mistake("the ratio of the coefficients, √SNR", lambda t, betas: sqrt(ratio(prod(1 - betas[:t]))))
snr.mistake("noise over signal, 1/SNR", lambda t, betas: 1 / ratio(prod(1 - betas[:t])))
snr.mistake("the log-SNR", lambda t, betas: np.log(ratio(prod(1 - betas[:t]))))
snr.mistake("ᾱ_{t+1} in place of ᾱ_t: one step too many", lambda t, betas: ratio(prod(1 - betas[: t + 1])))
snr.mistake("β_1 left out of ᾱ_t", lambda t, betas: ratio(prod(1 - betas[1 : t + 1])))
snr.mistake("ᾱ_t/√(1 − ᾱ_t)", lambda t, betas: prod(1 - betas[:t]) / sqrt(1 - prod(1 - betas[:t])))
snr.mistake("√ᾱ_t/(1 − ᾱ_t)", lambda t, betas: sqrt(prod(1 - betas[:t])) / (1 - prod(1 - betas[:t])))


def cosine(angle: float, start: float, power: float = 2) -> float:
    """cosᵖ φ_t/cosᵖ φ_0."""
    return (cos(angle) / cos(start)) ** power


cosine_alpha_bar.mistake(
    "cos in place of cos²", lambda t, T, s: cosine((t / T + s) / (1 + s) * pi / 2, s / (1 + s) * pi / 2, 1)
)
cosine_alpha_bar.mistake("f(t) not divided by f(0)", lambda t, T, s: cosine((t / T + s) / (1 + s) * pi / 2, 0))
cosine_alpha_bar.mistake("t/T + s not divided by 1 + s", lambda t, T, s: cosine((t / T + s) * pi / 2, s * pi / 2))
cosine_alpha_bar.mistake("no offset s", lambda t, T, s: cosine(t / T * pi / 2, 0))
cosine_alpha_bar.mistake(
    "s added to t, not to t/T", lambda t, T, s: cosine((t + s) / T / (1 + s) * pi / 2, s / T / (1 + s) * pi / 2)
)
cosine_alpha_bar.mistake("π in place of π/2", lambda t, T, s: cosine((t / T + s) / (1 + s) * pi, s / (1 + s) * pi))
cosine_alpha_bar.mistake(
    "1 − ᾱ_t in place of ᾱ_t", lambda t, T, s: 1 - cosine((t / T + s) / (1 + s) * pi / 2, s / (1 + s) * pi / 2)
)
cosine_alpha_bar.mistake(
    "ᾱ_{t+1}, counting t from 0", lambda t, T, s: cosine(((t + 1) / T + s) / (1 + s) * pi / 2, s / (1 + s) * pi / 2)
)
