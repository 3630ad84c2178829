"""Schedules: how much signal is left after t steps."""

from collections.abc import Iterator

import numpy as np
from numpy import cos, pi, tan

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


# ---- cosine_alpha_bar

cosine_alpha_bar = Spec(
    "cosine_alpha_bar(t, T, s=0.008) -> alpha_bar",
    "ᾱ_t = f(t)/f(0) with f(t) = cos²((t/T + s)/(1 + s) · π/2)",
    "Nichol & Dhariwal 2021, Improved DDPM, §3.2",
    (
        choice(
            ("t", "T"),
            *((0, 1), (1, 1), (1, 2), (1, 4), (2, 4), (3, 4), (4, 4), (250, 1000), (999, 1000)),
            random=lambda rng: (int(rng.integers((T := int(rng.integers(1, 2000))) + 1)), T),
        ),
        numbers("s", 0.008, 0.0, 0.1, 1.0, least=0, most=2),
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
