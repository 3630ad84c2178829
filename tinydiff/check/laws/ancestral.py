"""A step of DDPM, and one of DDIM."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.domains import numbers, points, steps, strides
from tinydiff.check.form import like
from tinydiff.check.laws.posterior import bayes, of_chain
from tinydiff.check.laws.truth import ONE, ZERO, conditional, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- ddpm_step

ddpm_step = Spec(
    "ddpm_step(x_t, t, eps_hat, z, betas) -> x_{t−1}",
    "x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√(1 − β_t) + σ_t z, with no noise at t = 1",
    "Ho et al. 2020, DDPM, eq. 11 and Alg. 2",
    (points("x_t", "eps_hat", "z"), steps()),
    {"x_{t−1}": like("x_t")},
    about="Any variance σ_t² from β̃_t, right for a point, to β_t, right for N(0, I), is right here [DDPM §3.2].",
)
ddpm_step.linear("x_t", "eps_hat", "z")


@ddpm_step.law("x_t is divided by √(1 − β_t): one step back")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, ZERO, betas), 1 / kernel(betas, t, t - 1)[0]


@ddpm_step.law("its mean is the posterior's, with x̂_0 = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (c_t, c_0, _) = kernel(betas, t), conditional(t, t - 1, betas)
    yield f(ZERO, t, ONE, ZERO, betas), -c_0 * var**0.5 / a
    yield f(ONE, t, ONE, ZERO, betas), c_t + c_0 * (1 - var**0.5) / a


@ddpm_step.law("there is no noise in the last step, t = 1")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, 1, ZERO, ONE, betas), 0


@ddpm_step.law("the standard deviation of its noise lies between √β̃_t and √β_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        yield f(ZERO, t, ZERO, ONE, betas), Between(conditional(t, t - 1, betas)[2] ** 0.5, betas[t - 1] ** 0.5)


@ddpm_step.law("with the true ε the last step lands on x_0")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, 1)
    yield f(a * ONE + var**0.5, 1, ONE, ZERO, betas), 1, "x_0 = 1, ε = 1"


def ancestral(
    x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray, strength: Any = None, scale: Any = None, sd: Any = None
) -> Any:
    """A step of DDPM with another coefficient of ε̂, factor in front or standard deviation."""
    b, ab = betas[t - 1], prod(1 - betas[:t])
    strength = b / sqrt(1 - ab) if strength is None else strength
    scale = 1 / sqrt(1 - b) if scale is None else scale
    sd = sqrt(b) * (t > 1) if sd is None else sd
    return scale * (x_t - strength * eps_hat) + sd * z


ddpm_step.mistake(
    "(1 − α_t)/√(1 − α_t) before ε̂ in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "noise at the last step, t = 1",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "the variance β_t in place of its root before z",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=betas[t - 1] * (t > 1)),
)
ddpm_step.mistake(
    "α_t before z in place of σ_t",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=(1 - betas[t - 1]) * (t > 1)),
)
ddpm_step.mistake("no noise at all", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=0.0))
ddpm_step.mistake(
    "the factor 1/√(1 − β_t) forgotten",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1.0),
)
ddpm_step.mistake(
    "1/(1 − β_t) in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / (1 - betas[t - 1])),
)
ddpm_step.mistake(
    "1/√ᾱ_t in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / sqrt(prod(1 - betas[:t]))),
)
ddpm_step.mistake("the sign of ε̂", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, -eps_hat, z, betas))
ddpm_step.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(
        x_t, t, eps_hat, z, betas, strength=betas[t - 1] / (1 - prod(1 - betas[:t]))
    ),
)
ddpm_step.mistake(
    "√(1 − ᾱ_t) before ε̂, all of the noise, in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(1 - prod(1 - betas[:t]))),
)
ddpm_step.mistake(
    "x̂_0 clipped to [−1, 1], which the samplers of images do and the step does not",
    lambda x_t, t, eps_hat, z, betas: (
        bayes(
            x_t,
            np.clip((x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat) / sqrt(prod(1 - betas[:t])), -1, 1),
            *of_chain(t, betas),
        )[0]
        + sqrt(betas[t - 1]) * (t > 1) * z
    ),
)


# ---- ddim_step

ddim_step = Spec(
    "ddim_step(x_t, t, s, eps_hat, z, betas, eta) -> x_s",
    "x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − d²) ε̂ + d z with d² = η² (1 − ᾱ_s)/(1 − ᾱ_t) (1 − ᾱ_t/ᾱ_s)",
    "Song, Meng & Ermon 2021, DDIM, eqs. 12 and 16",
    (points("x_t", "eps_hat", "z"), strides(), numbers("eta", 0.0, 1.0, 0.5, least=0, most=1)),
    {"x_s": like("x_t")},
    about="s is any time below t, 0 too; x̂_0 = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t.",
)
ddim_step.linear("x_t", "eps_hat", "z")


@ddim_step.law("with η = 0 and the true ε it lands on √ᾱ_s x_0 + √(1 − ᾱ_s) ε")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (a_s, var_s) = kernel(betas, t), kernel(betas, s)
    yield f(a * ONE, t, s, ZERO, ZERO, betas, 0.0), a_s, "x_0 = 1, ε = 0"
    yield f(var**0.5 * ONE, t, s, ONE, ZERO, betas, 0.0), var_s**0.5, "x_0 = 0, ε = 1"


@ddim_step.law("with η = 0 it adds no noise")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, t, s, ZERO, ONE, betas, 0.0), 0


@ddim_step.law("with η = 1 its noise has the variance of q(x_s|x_t, x_0); in between, η times the standard deviation")
def _(f: Probe, t: int, s: int, betas: np.ndarray, eta: float) -> Iterator[tuple]:
    yield f(ZERO, t, s, ZERO, ONE, betas, eta), eta * conditional(t, s, betas)[2] ** 0.5


@ddim_step.law("whatever η, x_s has the variance 1 − ᾱ_s about √ᾱ_s x_0: the squares of ε's and z's coefficients")
def _(f: Probe, t: int, s: int, betas: np.ndarray, eta: float) -> Iterator[tuple]:
    direction = f(kernel(betas, t)[1] ** 0.5 * ONE, t, s, ONE, ZERO, betas, eta)
    noise = f(ZERO, t, s, ZERO, ONE, betas, eta)
    yield direction**2 + noise**2, kernel(betas, s)[1], "(ε's coefficient)² + (z's coefficient)²"


@ddim_step.law("with η = 1 it is the step of DDPM with β̃")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (c_t, c_0, _) = kernel(betas, t), conditional(t, s, betas)
    yield f(ONE, t, s, ONE, ZERO, betas, 1.0), c_t + c_0 * (1 - var**0.5) / a, "x_t = 1, ε̂ = 1, z = 0"


def generalised(x_t: Any, eps_hat: Any, z: Any, ab: float, ab_s: float, d: float, direction: Any = None) -> Any:
    """A step of DDIM from ᾱ_t, ᾱ_s and d, with another coefficient of ε̂ where given."""
    x0_hat = (x_t - sqrt(1 - ab) * eps_hat) / sqrt(ab)
    direction = sqrt(np.maximum(1 - ab_s - d**2, 0)) if direction is None else direction
    return sqrt(ab_s) * x0_hat + direction * eps_hat + d * z


def bars(t: int, s: int, betas: np.ndarray) -> tuple[float, float]:
    """ᾱ_t and ᾱ_s."""
    return prod(1 - betas[:t]), prod(1 - betas[:s])


def spread_of(t: int, s: int, betas: np.ndarray, eta: float) -> float:
    """d."""
    ab, ab_s = bars(t, s, betas)
    return eta * sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s))


ddim_step.mistake(
    "√(1 − ᾱ_s) before ε̂, d² not taken off",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), sqrt(1 - bars(t, s, betas)[1])
    ),
)
ddim_step.mistake(
    "√η in place of η: η times the variance",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, sqrt(eta))
    ),
)
ddim_step.mistake(
    "η ignored: always deterministic",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(x_t, eps_hat, z, *bars(t, s, betas), 0.0),
)
ddim_step.mistake(
    "η ignored: always the noise of DDPM",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, 1.0)
    ),
)
ddim_step.mistake(
    "s ignored: a step to t − 1",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, t - 1, betas), spread_of(t, t - 1, betas, eta)
    ),
)
ddim_step.mistake(
    "β_t in place of 1 − ᾱ_t/ᾱ_s, which are the same for single steps alone",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t,
        eps_hat,
        z,
        *bars(t, s, betas),
        eta * sqrt((1 - bars(t, s, betas)[1]) / (1 - bars(t, s, betas)[0]) * betas[t - 1]),
    ),
)
ddim_step.mistake(
    "x̂_0 not divided by √ᾱ_t",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        - sqrt(bars(t, s, betas)[1])
        * (1 / sqrt(prod(1 - betas[:t])) - 1)
        * (x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat)
    ),
)
ddim_step.mistake(
    "the sign of ε̂",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, -eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta)
    ),
)
ddim_step.mistake(
    "d² in place of d before z",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, 0 * z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        + spread_of(t, s, betas, eta) ** 2 * z
    ),
)
ddim_step.mistake(
    "the direction to x_t, √(1 − ᾱ_s − d²) ε̂, forgotten",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), 0.0
    ),
)
