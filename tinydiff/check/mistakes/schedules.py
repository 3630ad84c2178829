"""Mistakes in schedules."""

from collections.abc import Callable

import numpy as np
from numpy import cos, exp, pi, prod, sin, sqrt

from tinydiff.check.laws.schedules import alpha_bar, betas_from_log_snr, cosine_alpha_bar, snr
from tinydiff.check.spec import Spec

Bar = Callable[[int, np.ndarray], float]

FORMULAS: dict[str, Bar] = {
    "e^{−Σ β_s} in place of ∏ (1 − β_s)": lambda t, betas: exp(-sum(betas[:t])),
    "1 − Σ β_s in place of ∏ (1 − β_s)": lambda t, betas: 1 - sum(betas[:t]),
    "∏ β_s in place of ∏ (1 − β_s)": lambda t, betas: float(prod(betas[:t])),
    "Σ (1 − β_s) in place of ∏ (1 − β_s)": lambda t, betas: float(np.sum(1 - betas[:t])),
    "the β_s in ᾱ_t taken from the end, β_T first": lambda t, betas: prod(1 - betas[::-1][:t]),
}

INDICES: dict[str, Bar] = {
    "ᾱ_{t−1} in place of ᾱ_t: one step too few": lambda t, betas: prod(1 - betas[: t - 1]),
    "ᾱ_{t+1} in place of ᾱ_t: one step too many": lambda t, betas: prod(1 - betas[: t + 1]),
    "cumprod(1 − betas)[t], which is ᾱ_{t+1}, in place of [t − 1]": lambda t, betas: np.cumprod(1 - betas)[t],
    "betas[t:], the steps after t, in place of betas[:t] in ᾱ_t": lambda t, betas: prod(1 - betas[t:]),
    "betas[1:t] in ᾱ_t: β_1 left out": lambda t, betas: prod(1 - betas[1:t]),
}


def misread(spec: Spec, of: Callable[[Bar], Callable], *tables: dict[str, Bar]) -> None:
    """Register the mistakes in ᾱ_t of a function that is made of it."""
    for table in tables or (FORMULAS, INDICES):
        for words, bar in table.items():
            spec.mistake(words, of(bar))


def wrapped(t: int, betas: np.ndarray) -> float:
    """ᾱ_t, and the last at t = 0."""
    return np.cumprod(1 - betas)[t - 1]


def to_the_last_but_one(last: float) -> Callable:
    """ᾱ of a loop that ends before T."""
    return lambda betas: np.append(np.cumprod(np.append(1, 1 - betas[:-1])), last)


alpha_bar.mistake("ᾱ_0 = 1 left out", lambda betas: np.cumprod(1 - betas))
alpha_bar.mistake("1 − β_t in place of their product", lambda betas: np.append(1, 1 - betas))
alpha_bar.mistake("√ᾱ_t in place of ᾱ_t", lambda betas: sqrt(np.append(1, np.cumprod(1 - betas))))
alpha_bar.mistake("1 − Σ β_s in place of ∏ (1 − β_s)", lambda betas: np.append(1, 1 - np.cumsum(betas)))
alpha_bar.mistake("the product of β_s in place of 1 − β_s", lambda betas: np.append(1, np.cumprod(betas)))
alpha_bar.mistake("1 − ᾱ_t in place of ᾱ_t", lambda betas: 1 - np.append(1, np.cumprod(1 - betas)))
alpha_bar.mistake("the β_s in the wrong order", lambda betas: np.append(1, np.cumprod(1 - betas[::-1])))
alpha_bar.mistake("ᾱ_T repeated at the end, ᾱ_0 left out", lambda betas: np.cumprod(1 - np.append(betas, 0)))
alpha_bar.mistake("e^{−Σ β_s} in place of ∏ (1 − β_s)", lambda betas: exp(-np.append(0, np.cumsum(betas))))
alpha_bar.mistake("Σ (1 − β_s) in place of ∏ (1 − β_s)", lambda betas: np.append(1, np.cumsum(1 - betas)))
alpha_bar.mistake("ᾱ_0 = 0 in place of 1", lambda betas: np.append(0, np.cumprod(1 - betas)))
alpha_bar.mistake("the 1 at the end in place of the beginning", lambda betas: np.append(np.cumprod(1 - betas), 1))
alpha_bar.mistake("1 for ᾱ_T, the last step left out", to_the_last_but_one(1))
alpha_bar.mistake("0 for ᾱ_T, the last step left out", to_the_last_but_one(0))
alpha_bar.mistake("ᾱ_T alone", lambda betas: prod(1 - betas))


def ratio(a_bar: float) -> float:
    """ᾱ/(1 − ᾱ)."""
    return a_bar / (1 - a_bar)


snr.mistake("1 − β_t in place of ᾱ_t", lambda t, betas: ratio(1 - betas[t - 1]))
snr.mistake("the ratio of the coefficients, √SNR", lambda t, betas: sqrt(ratio(prod(1 - betas[:t]))))
snr.mistake("noise over signal, 1/SNR", lambda t, betas: 1 / ratio(prod(1 - betas[:t])))
snr.mistake("the log-SNR", lambda t, betas: np.log(ratio(prod(1 - betas[:t]))))
snr.mistake("betas[1:t + 1] in ᾱ_t in place of betas[:t]", lambda t, betas: ratio(prod(1 - betas[1 : t + 1])))
snr.mistake("ᾱ_t/√(1 − ᾱ_t)", lambda t, betas: prod(1 - betas[:t]) / sqrt(1 - prod(1 - betas[:t])))
snr.mistake("√ᾱ_t/(1 − ᾱ_t)", lambda t, betas: sqrt(prod(1 - betas[:t])) / (1 - prod(1 - betas[:t])))
snr.mistake("1/(1 − ᾱ_t): 1 in place of ᾱ_t above", lambda t, betas: 1 / (1 - prod(1 - betas[:t])))
snr.mistake("1e-3 added to 1 − ᾱ_t", lambda t, betas: prod(1 - betas[:t]) / (1 - prod(1 - betas[:t]) + 1e-3))
snr.mistake("1 − ᾱ_t kept above 1e-2", lambda t, betas: prod(1 - betas[:t]) / max(1 - prod(1 - betas[:t]), 1e-2))
misread(snr, lambda bar: lambda t, betas: ratio(bar(t, betas)))


def cosine(angle: float, start: float, power: float = 2) -> float:
    """cosᵖ φ_t/cosᵖ φ_0."""
    return (cos(angle) / cos(start)) ** power


def cosine_bar(u: float, s: float) -> float:
    """ᾱ at t = uT."""
    return cosine((u + s) / (1 + s) * pi / 2, s / (1 + s) * pi / 2)


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
cosine_alpha_bar.mistake(
    "s ignored: always 0.008", lambda t, T, s: cosine((t / T + 0.008) / 1.008 * pi / 2, 0.008 / 1.008 * pi / 2)
)
cosine_alpha_bar.mistake("ᾱ_t clipped to [0.001, 0.999]", lambda t, T, s: np.clip(cosine_bar(t / T, s), 0.001, 0.999))
cosine_alpha_bar.mistake(
    "s alone divided by 1 + s", lambda t, T, s: cosine((t / T + s / (1 + s)) * pi / 2, s / (1 + s) * pi / 2)
)
cosine_alpha_bar.mistake(
    "cos(φ²) in place of cos² φ",
    lambda t, T, s: cos(((t / T + s) / (1 + s) * pi / 2) ** 2) / cos((s / (1 + s) * pi / 2) ** 2),
)
cosine_alpha_bar.mistake("π/2 forgotten", lambda t, T, s: cosine((t / T + s) / (1 + s), s / (1 + s)))
cosine_alpha_bar.mistake(
    "sin in place of cos",
    lambda t, T, s: (sin((t / T + s) / (1 + s) * pi / 2) / sin(np.float64(s) / (1 + s) * pi / 2)) ** 2,
)
cosine_alpha_bar.mistake("t // T, a whole number, in place of t/T", lambda t, T, s: cosine_bar(t // T, s))
cosine_alpha_bar.mistake("t/(T − 1) in place of t/T", lambda t, T, s: cosine_bar(t / (T - 1), s))
cosine_alpha_bar.mistake("ᾱ_{t−1} in place of ᾱ_t: one step too few", lambda t, T, s: cosine_bar((t - 1) / T, s))
cosine_alpha_bar.mistake(
    "β_t = 1 − ᾱ_t/ᾱ_{t−1} in place of ᾱ_t", lambda t, T, s: 1 - cosine_bar(t / T, s) / cosine_bar((t - 1) / T, s)
)


def of_curve(lam: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """β_t, to all digits, of the curve times a factor."""
    return -np.expm1(np.diff(-np.logaddexp(0, -scale * lam), prepend=0))


def sigmoid(lam: np.ndarray) -> np.ndarray:
    """ᾱ_t."""
    return 1 / (1 + exp(-lam))


betas_from_log_snr.mistake(
    "a difference from 1, as in 1 − ᾱ_t/ᾱ_{t−1}, or the logarithm of a number close to 1, where λ is large",
    lambda lam: 1 - sigmoid(lam) / np.append(1, sigmoid(lam[:-1])),
)
betas_from_log_snr.mistake("λ taken as ln(√ᾱ_t/√(1 − ᾱ_t)), half of ln SNR", lambda lam: of_curve(lam, 2.0))
betas_from_log_snr.mistake("λ taken as twice ln SNR", lambda lam: of_curve(lam, 0.5))
betas_from_log_snr.mistake("λ taken as log_10 of the SNR", lambda lam: of_curve(lam, np.log(10)))
betas_from_log_snr.mistake("λ taken as log_2 of the SNR", lambda lam: of_curve(lam, np.log(2)))
betas_from_log_snr.mistake("the sign of λ: noise over signal", lambda lam: of_curve(lam, -1.0))
betas_from_log_snr.mistake("ᾱ_t in place of β_t", sigmoid)
betas_from_log_snr.mistake("1 − ᾱ_t in place of β_t", lambda lam: sigmoid(-lam))
betas_from_log_snr.mistake("ᾱ_t/ᾱ_{t−1}, which is 1 − β_t", lambda lam: 1 - of_curve(lam))
betas_from_log_snr.mistake(
    "ᾱ_{t−1}/ᾱ_t, upside down: 1 − ᾱ_{t−1}/ᾱ_t", lambda lam: -np.expm1(-np.diff(-np.logaddexp(0, -lam), prepend=0))
)
betas_from_log_snr.mistake(
    "√ᾱ_t in place of ᾱ_t: 1 − √ᾱ_t/√ᾱ_{t−1}", lambda lam: -np.expm1(np.diff(-np.logaddexp(0, -lam), prepend=0) / 2)
)
betas_from_log_snr.mistake("√β_t in place of β_t", lambda lam: sqrt(of_curve(lam)))
betas_from_log_snr.mistake("ᾱ_{t−1} − ᾱ_t, not divided by ᾱ_{t−1}", lambda lam: -np.diff(sigmoid(lam), prepend=1))
betas_from_log_snr.mistake(
    "divided by ᾱ_t in place of ᾱ_{t−1}", lambda lam: -np.diff(sigmoid(lam), prepend=1) / sigmoid(lam)
)
betas_from_log_snr.mistake("β_1 left out: T − 1 numbers", lambda lam: of_curve(lam)[1:])
betas_from_log_snr.mistake("0 for β_1, as if ᾱ_0 were ᾱ_1", lambda lam: np.append(0, of_curve(lam)[1:]))
betas_from_log_snr.mistake("ᾱ_0 = ½ in place of 1, as if λ_0 were 0", lambda lam: of_curve(np.append(0.0, lam))[1:])
betas_from_log_snr.mistake("β_{t+1} in place of β_t, and β_1 at the end", lambda lam: np.roll(of_curve(lam), -1))
betas_from_log_snr.mistake("the β_t in the opposite order", lambda lam: of_curve(lam)[::-1])
betas_from_log_snr.mistake(
    "SNR in place of ᾱ_t: 1 − SNR(t)/SNR(t − 1)", lambda lam: -np.expm1(np.diff(lam, prepend=np.inf))
)
betas_from_log_snr.mistake("e^λ, the SNR, in place of ᾱ_t", lambda lam: 1 - exp(lam) / np.append(1, exp(lam[:-1])))
betas_from_log_snr.mistake("clipped to [0.0001, 0.999]", lambda lam: np.clip(of_curve(lam), 1e-4, 0.999))
