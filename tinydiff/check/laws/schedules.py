"""Schedules: how much signal is left after t steps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import cos, exp, expm1, log, pi, tan

from tinydiff.check.domains import Domain, chains, choice, numbers, steps
from tinydiff.check.form import like, scalar
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


# ---- betas_from_log_snr

CURVES = (
    [0.0],
    [1.0],
    [-2.0],
    [14.0],
    [1.0, 0.0],
    [2.0, -1.0],
    [14.0, 13.0],
    [3.0, 0.0, -3.0],
    [14.0, 8.0, -1.0, -9.0],
)


def curves() -> Domain:
    """Falling values of λ, between 14 and −14."""

    def draw() -> Any:
        from hypothesis import strategies as st

        falls = st.lists(st.floats(0.05, 3), min_size=1, max_size=8)
        return st.tuples(st.floats(-2, 14), falls).map(lambda c: (c[0] + c[1][0] - np.cumsum(c[1]),))

    def random(rng: np.random.Generator) -> tuple:
        count = 40 if rng.random() < 0.1 else rng.integers(1, 7)
        return (np.round(rng.uniform(0, 14) - np.cumsum(rng.uniform(0.05, 14 / count, count)), 3),)

    small = [*CURVES, np.linspace(14, -10, 200)]
    return Domain(("lam",), [(np.array(curve),) for curve in small], draw, random=random)


betas_from_log_snr = Spec(
    "betas_from_log_snr(lam) -> betas",
    "λ_t = ln SNR(t) = ln ᾱ_t/(1 − ᾱ_t), for t = 1, …, T",
    "Kingma et al. 2021, VDM, §3.1; Kingma & Gao 2023, in the notation of DDPM",
    (curves(),),
    {"betas": like("lam")},
    about="lam is (T,), λ_1 > λ_2 > … > λ_T: the logarithm of the SNR after each step. The answer is β_1, …, β_T, "
    "betas[t − 1] = β_t, of the chain with this SNR; ᾱ_0 = 1. At λ = 14, where 1 − ᾱ is 8e-7, twelve digits must be "
    "right.",
)


@betas_from_log_snr.law("the first step starts from ᾱ_0 = 1: β_1 is 1 − ᾱ_1, a share of 1/(1 + SNR(1)) of the variance")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    yield 1 / f(lam)[0], 1 + exp(lam[0]), "1/β_1, and 1 + SNR(1)"


@betas_from_log_snr.law("each β_t lies between 0 and 1")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    yield f(lam), Between(0, 1)


@betas_from_log_snr.law("single steps with these β_t have the SNR that was asked for: its logarithm is λ_t")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    yield log_snr(f(lam)), lam, "ln SNR(t) after each step, and λ_t"


@betas_from_log_snr.law("where λ is higher by 1 at all times, the SNR is e times as large")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    yield log_snr(f(lam + 1)) - log_snr(f(lam)), 1, "the difference of ln SNR(t)"


@betas_from_log_snr.law("one step from ᾱ_0 to λ_T keeps as much as T steps on the way: 1 − β is ∏ (1 − β_t)")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    yield np.prod(1 - f(lam)), 1 - f(lam[-1:])[0], "∏ (1 − β_t), and 1 − β of one step to λ_T"


@betas_from_log_snr.law("twelve digits are right, at λ = 14 too: the difference of two numbers close to 1 has fewer")
def _(f: Probe, lam: np.ndarray) -> Iterator[tuple]:
    expected = -expm1(np.diff(lam, prepend=np.inf)) / (1 + exp(lam))  # (1 − SNR_t/SNR_{t−1})(1 − ᾱ_t)
    off = np.max(abs(f(lam) / expected - 1))
    yield np.floor(-np.log10(max(off, 1e-17))), Between(12, 17), "the digits that are right in all β_t"


def log_snr(betas: np.ndarray) -> np.ndarray:
    """ln SNR(t) after each of single steps."""
    log_signal, var, found = 0.0, 0.0, []
    for beta in betas.tolist():
        log_signal, var = log_signal + np.log1p(-beta), (1 - beta) * var + beta
        found.append(log_signal - log(var))
    return np.array(found)
