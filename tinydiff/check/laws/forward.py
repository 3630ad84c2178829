"""The forward process: one step, and a jump to t."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import points, steps
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- q_step

q_step = Spec(
    "q_step(x, t, eps, betas) -> x_t",
    "x_t = √(1 − β_t) x_{t−1} + √β_t ε",
    "Ho et al. 2020, DDPM, eq. 2",
    (points("x", "eps"), steps()),
    {"x_t": like("x")},
    about="x is x_{t−1}, of shape (B, D) as eps.",
)
q_step.linear("x", "eps")


@q_step.law("the noise that a step adds has variance β_t: √β_t of ε")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, t, ONE, betas), betas[t - 1] ** 0.5


@q_step.law("what a step keeps of x is √(1 − β_t)")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, betas), (1 - betas[t - 1]) ** 0.5


@q_step.law("a variance of 1 stays 1: the two coefficients lie on the unit circle")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, betas) ** 2 + f(ZERO, t, ONE, betas) ** 2, 1, "signal² + noise²"


# ---- q_sample

q_sample = Spec(
    "q_sample(x0, t, eps, betas) -> x_t",
    "x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε",
    "Ho et al. 2020, DDPM, eq. 4 and Alg. 1",
    (points("x0", "eps"), steps()),
    {"x_t": like("x0")},
    about="x0 and eps are (B, D); ᾱ_t is the product of 1 − β_s over s = 1, …, t.",
)
q_sample.linear("x0", "eps")


@q_sample.law("at t = 1 it is one step: √(1 − β_1) of x_0 and √β_1 of ε")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, 1, ZERO, betas), (1 - betas[0]) ** 0.5
    yield f(ZERO, 1, ONE, betas), betas[0] ** 0.5


@q_sample.law("a jump to t is t single steps: the signal of each is √(1 − β_t) times that before")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, betas), kernel(betas, t)[0]


@q_sample.law("a jump to t is t single steps: the variance of each is 1 − β_t times that before, plus β_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    noise = f(ZERO, t, ONE, betas)
    yield noise**2, kernel(betas, t)[1], "the variance"
    yield np.sign(noise), 1, "the sign of ε's coefficient"


@q_sample.law("a variance of 1 stays 1: the two coefficients lie on the unit circle")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, betas) ** 2 + f(ZERO, t, ONE, betas) ** 2, 1, "signal² + noise²"
