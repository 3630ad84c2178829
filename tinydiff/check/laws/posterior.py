"""The posterior q(x_{t−1}|x_t, x_0), which the reverse process imitates."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import points, steps
from tinydiff.check.form import like, scalar, spread
from tinydiff.check.laws.truth import ONE, ZERO, conditional, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- posterior

posterior = Spec(
    "posterior(x_t, x0, t, betas) -> (mean, variance)",
    "q(x_{t−1}|x_t, x_0) = N(c_t x_t + c_0 x_0, β̃_t): c_t = √(1 − β_t)(1 − ᾱ_{t−1})/(1 − ᾱ_t), "
    "c_0 = √ᾱ_{t−1} β_t/(1 − ᾱ_t), β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t)",
    "Ho et al. 2020, DDPM, eqs. 6 and 7",
    (points("x_t", "x0"), steps()),
    {"mean": like("x_t"), "variance": spread("x_t")},
    about="x_t and x0 are (B, D); the variance is a number, or an array that broadcasts to them.",
)
posterior.linear("x_t", "x0")


@posterior.law("the weight of x_t in the mean is Cov[x_{t−1}, x_t]/Var[x_t], given x_0")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, ZERO, t, betas)[0], conditional(t, t - 1, betas)[0], "c_t"


@posterior.law("averaged over x_t, the mean is that of x_{t−1}: c_t √ᾱ_t + c_0 = √ᾱ_{t−1}")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    mean, _ = f(kernel(betas, t)[0] * ONE, ONE, t, betas)
    yield mean, kernel(betas, t - 1)[0], "the mean at x_t = √ᾱ_t x_0"


@posterior.law("at t = 1 it is x_0, known exactly: variance 0")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, ONE, 1, betas)[0], 1, "the mean"
    yield f(ZERO, ONE, 1, betas)[1], 0, "the variance"


@posterior.law("precisions add: 1/β̃_t is that of the step, (1 − β_t)/β_t, plus that of x_{t−1}, 1/(1 − ᾱ_{t−1})")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        beta = betas[t - 1]
        yield f(ZERO, ZERO, t, betas)[1], 1 / ((1 - beta) / beta + 1 / kernel(betas, t - 1)[1]), "the variance"


@posterior.law("the variances add up: β̃_t + c_t² (1 − ᾱ_t) = 1 − ᾱ_{t−1}")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    mean, variance = f(ONE, ZERO, t, betas)
    yield variance + mean**2 * kernel(betas, t)[1], kernel(betas, t - 1)[1], "β̃_t + c_t² (1 − ᾱ_t)"


@posterior.law("the variance does not depend on the points: it is the same for all x_t and x_0")
def _(f: Probe, x_t: np.ndarray, x0: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x_t, x0, t, betas)[1], f(ZERO, ZERO, t, betas)[1], "the variance, and that at 0"


# ---- posterior_variance

posterior_variance = Spec(
    "posterior_variance(t, betas) -> beta_tilde",
    "β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t), the variance of q(x_{t−1}|x_t, x_0)",
    "Ho et al. 2020, DDPM, eq. 7",
    (steps(),),
    {"beta_tilde": scalar},
)


@posterior_variance.law("β̃_1 = 0: x_0 is given")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(1, betas), 0


@posterior_variance.law("precisions add: 1/β̃_t = (1 − β_t)/β_t + 1/(1 − ᾱ_{t−1})")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        beta = betas[t - 1]
        yield f(t, betas), 1 / ((1 - beta) / beta + 1 / kernel(betas, t - 1)[1])


@posterior_variance.law("knowing x_0 leaves less variance: β̃_t ≤ β_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(t, betas), Between(0, betas[t - 1])
