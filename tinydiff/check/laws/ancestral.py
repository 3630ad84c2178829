"""A step of DDPM, and one of DDIM."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import numbers, points, steps, strides
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, conditional, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- ddpm_step

ddpm_step = Spec(
    "ddpm_step(x_t, t, eps_hat, z, betas) -> x_{t−1}",
    "x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√(1 − β_t) + d z, with no noise at t = 1",
    "Ho et al. 2020, DDPM, eq. 11 and Alg. 2",
    (points("x_t", "eps_hat", "z"), steps()),
    {"x_{t−1}": like("x_t")},
    about="Any variance d² from β̃_t, right for a point, to β_t, right for N(0, I), is right here [DDPM §3.2].",
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


# ---- ddpm_step with the one variance that is right for a point

ddpm_step_beta_tilde = Spec(
    "ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas) -> x_{t−1}",
    "x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√(1 − β_t) + √β̃_t z with β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t)",
    "Ho et al. 2020, DDPM, eqs. 7 and 11",
    ddpm_step.domains,
    ddpm_step.returns,
    about="ddpm_step where the variance must be the posterior's, β̃_t.",
)
ddpm_step_beta_tilde.laws.extend(law for law in ddpm_step.laws if not law.of_form and "between" not in law.statement)


@ddpm_step_beta_tilde.law("where all data are one point it stays right: c_t² (1 − ᾱ_t) and the noise make 1 − ᾱ_{t−1}")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    noise = f(ZERO, t, ZERO, ONE, betas)
    kept = conditional(t, t - 1, betas)[0] ** 2 * kernel(betas, t)[1]
    yield kept + noise**2, kernel(betas, t - 1)[1], "the variance of x_{t−1}"
    yield np.sign(noise) * (t > 1), t > 1, "the sign of z's coefficient"


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
