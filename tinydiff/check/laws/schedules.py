"""Schedules: how much signal is left after t steps."""

from collections.abc import Iterator

import numpy as np
from numpy import cos, pi, prod, sqrt, tan

from tinydiff.check.domains import chains, choice, numbers, steps
from tinydiff.check.form import scalar
from tinydiff.check.laws.truth import kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- alpha_bar

alpha_bar = Spec(
    "alpha_bar(betas) -> (T + 1,)",
    "ᾱ_0 = 1 and ᾱ_t = ∏ (1 − β_s) over s = 1, …, t",
    "Ho et al. 2020, DDPM, below eq. 3",
    (chains(),),
    {"alpha_bar": lambda args: {(len(args["betas"]) + 1,)}},
    about="Index t is t noising steps, so ᾱ_0 = 1 is part of it.",
)


@alpha_bar.law("ᾱ_0 = 1: before the first step there is no noise")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(betas)[0], 1, "ᾱ_0"


@alpha_bar.law("each step keeps 1 − β_t of it: ᾱ_t = (1 − β_t) ᾱ_{t−1}")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(betas)[1:], (1 - betas) * f(betas)[:-1], "ᾱ_1, ᾱ_2, …"


@alpha_bar.law("1 − ᾱ_t is the variance of t single steps from a point")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield 1 - f(betas), [kernel(betas, t)[1] for t in range(len(betas) + 1)], "1 − ᾱ_0, 1 − ᾱ_1, …"


alpha_bar.mistake("ᾱ_0 = 1 left out", lambda betas: np.cumprod(1 - betas))
alpha_bar.mistake("1 − β_t in place of their product", lambda betas: np.append(1, 1 - betas))
alpha_bar.mistake("√ᾱ_t in place of ᾱ_t", lambda betas: sqrt(np.append(1, np.cumprod(1 - betas))))
alpha_bar.mistake("1 − Σ β_s in place of ∏ (1 − β_s)", lambda betas: np.append(1, 1 - np.cumsum(betas)))
alpha_bar.mistake("the product of β_s in place of 1 − β_s", lambda betas: np.append(1, np.cumprod(betas)))
alpha_bar.mistake("1 − ᾱ_t in place of ᾱ_t", lambda betas: 1 - np.append(1, np.cumprod(1 - betas)))
alpha_bar.mistake("the β_s in the wrong order", lambda betas: np.append(1, np.cumprod(1 - betas[::-1])))
alpha_bar.mistake("ᾱ_T repeated at the end, ᾱ_0 left out", lambda betas: np.cumprod(1 - np.append(betas, 0)))


# ---- snr

snr = Spec(
    "snr(t, betas) -> ratio",
    "SNR(t) = ᾱ_t / (1 − ᾱ_t)",
    "Kingma et al. 2021, VDM, eq. 2, with DDPM's ᾱ",
    (steps(),),
    {"ratio": scalar},
    about="The ratio of the two variances, not of the coefficients, and not its logarithm.",
)


@snr.law("it is the square of what is left of the signal over the variance of the noise, after t single steps")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield f(t, betas), a**2 / var


@snr.law("SNR/(1 + SNR) is ᾱ_t: the share of the signal in a variance of 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(t, betas) / (1 + f(t, betas)), 1 - kernel(betas, t)[1], "SNR/(1 + SNR)"


@snr.law("it falls with every step: 1 + 1/SNR(t) = (1 + 1/SNR(t − 1))/(1 − β_t)")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    before = 1 + 1 / f(t - 1, betas) if t > 1 else 1
    yield 1 + 1 / f(t, betas), before / (1 - betas[t - 1]), "1 + 1/SNR(t)"


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


# ---- cosine_alpha_bar

cosine_alpha_bar = Spec(
    "cosine_alpha_bar(t, T, s=0.008) -> alpha_bar",
    "ᾱ_t = f(t)/f(0) with f(t) = cos²((t/T + s)/(1 + s) · π/2)",
    "Nichol & Dhariwal 2021, Improved DDPM, §3.2",
    (
        choice(("t", "T"), (0, 1), (1, 1), (1, 2), (1, 4), (2, 4), (3, 4), (4, 4), (250, 1000), (999, 1000)),
        numbers("s", 0.008, 0.0, 0.1, least=0, most=0.2),
    ),
    {"alpha_bar": scalar},
    about="t runs from 0 to T. At t = T, where the formula gives 0, what clipping β_T at .999 leaves is right too.",
)


@cosine_alpha_bar.law("ᾱ_0 = 1: before the first step there is no noise")
def _(f: Probe, T: int, s: float) -> Iterator[tuple]:
    yield f(0, T, s), 1


@cosine_alpha_bar.law("without an offset the noise-to-signal ratio is tan²(πt/2T)")
def _(f: Probe, t: int, T: int) -> Iterator[tuple]:
    if t < T:
        yield 1 / f(t, T, 0.0) - 1, tan(pi * t / (2 * T)) ** 2, "1/ᾱ_t − 1 at s = 0"


@cosine_alpha_bar.law("with the angle doubled, ᾱ_t = (1 + cos 2φ_t)/(1 + cos 2φ_0) with φ_t = (t/T + s)/(1 + s) · π/2")
def _(f: Probe, t: int, T: int, s: float) -> Iterator[tuple]:
    start, now = (pi * (u + s) / (1 + s) for u in (0, t / T))
    if t < T:
        yield f(t, T, s), (1 + cos(now)) / (1 + cos(start))


@cosine_alpha_bar.law("at t = T nothing is left but the thousandth that a clipped β leaves")
def _(f: Probe, T: int, s: float) -> Iterator[tuple]:
    yield f(T, T, s), Between(0, 0.001 * f(T - 1, T, s))


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
