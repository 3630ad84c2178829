"""A step of DDPM, one of DDIM, and all steps of DDPM from x_T to x_0."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import (
    CHAINS,
    Domain,
    Formula,
    choice,
    normals,
    numbers,
    points,
    random_betas,
    steps,
    strides,
)
from tinydiff.check.form import MANY, like
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


# ---- ancestral

DENOISERS = ("0 * x_t + 1", "0 * x_t", "x_t", "0.5 * x_t", "0 * x_t + np.arange(99.0)[t]", "np.tanh(x_t / (1 + t))")


def walks() -> Domain:
    """x_T (B, D), noise (T, B, D) and a chain of T steps."""

    def walk(rng: np.random.Generator, betas: np.ndarray) -> tuple:
        rows, dims = rng.integers(1, 5, 2)
        noise = normals(rng, len(betas) + 1, rows, dims)
        return noise[0], np.array(noise[1:]), betas

    def draw() -> Any:
        from hypothesis import strategies as st

        seeds = st.integers(0, 999).map(np.random.default_rng)
        return seeds.map(lambda rng: walk(rng, random_betas(rng)))

    small = [
        (np.full((1, 1), x), np.full((len(b), 1, 1), z), np.array(b))
        for b in CHAINS
        for x, z in ((1.0, 0.0), (0.0, 1.0), (1.0, -2.0))
    ]
    long = np.linspace(0.01, 0.2, 40)
    small.append((np.ones((1, 1)), np.linspace(-1, 1, 40)[:, None, None], long))
    return Domain(("x_T", "zs", "betas"), small, draw, random=lambda rng: walk(rng, random_betas(rng)))


ancestral = Spec(
    "ancestral(x0_hat_of, x_T, zs, betas) -> x_0",
    "for t = T, …, 1:  x_{t−1} = c_t x_t + c_0 x̂_0 + √β̃_t z_t, the posterior with x̂_0 = x0_hat_of(x_t, t) for x_0, "
    "and no noise at t = 1",
    "Ho et al. 2020, DDPM, eq. 7 and Alg. 2, with σ_t² = β̃_t",
    (choice(("x0_hat_of",), *((Formula(f"lambda x_t, t: {f}"),) for f in DENOISERS)), walks()),
    {"x_0": like("x_T")},
    about="x0_hat_of(x_t, t) predicts x_0, (B, D), for x_t (B, D) and a whole number t; it is asked once in each step. "
    "x_T is (B, D), and zs is the noise, (T, B, D): zs[t − 1] is z_t, that of the step from t to t − 1. The step from "
    "1 to 0 has none, so zs[0] is not used.",
)


@ancestral.law("where all data are one point, it is reached exactly, whatever x_T and the noise are")
def _(f: Probe, x_T: np.ndarray, zs: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    yield f(Formula("lambda x_t, t: 0 * x_t + 2"), x_T, zs, betas), 2, "the data are all at 2"


class Noting(Formula):
    """A formula of x_t and t that notes the times at which it is asked."""

    def __init__(self, source: str):
        super().__init__(source)
        self.times: list[Any] = []

    def __call__(self, x_t: Any, t: Any) -> Any:
        """Its value."""
        self.times.append(t)
        return super().__call__(x_t, t)


@ancestral.law("x0_hat_of is asked once in each step, at t = T, then T − 1, and so on to 1")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    noting, count = Noting("lambda x_t, t: x_t + t"), len(betas)
    f(noting, ONE, np.zeros((count, 1, 1)), betas)
    yield np.array(noting.times), np.arange(count, 0, -1), "the times at which it is asked"


@ancestral.law("of N(0, 1), where x̂_0 = √ᾱ_t x_t, each step keeps √(1 − β_t) of x_t: all steps keep √ᾱ_T of x_T")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(of_normal(betas), ONE, np.zeros((len(betas), 1, 1)), betas), kernel(betas, len(betas))[0], "of x_T = 1"


@ancestral.law("the last step, from 1 to 0, has no noise: zs[0] is not used")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    zs = np.zeros((len(betas), 1, 1))
    zs[0] = 1
    yield f(of_normal(betas), ZERO, zs, betas), 0, "the noise of step 1 alone, with x̂_0 = √ᾱ_t x_t"


@ancestral.law("of N(0, 1), z_t alone gives √β̃_t, and what the steps below t keep of it, √ᾱ_{t−1}")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    for t in {2, 3, len(betas)} & set(range(2, len(betas) + 1)):
        zs = np.zeros((len(betas), 1, 1))
        zs[t - 1] = 1
        expected = conditional(t, t - 1, betas)[2] ** 0.5 * kernel(betas, t - 1)[0]
        yield f(of_normal(betas), ZERO, zs, betas), expected, f"zs[{t - 1}], the noise of step {t}, alone"


@ancestral.law("whatever x̂_0 is, each step is to the regression of x_{t−1} on x_t, given x_0 = x̂_0, and its noise")
def _(f: Probe, x0_hat_of: Callable, x_T: np.ndarray, zs: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    x = x_T
    for t in range(len(betas), 0, -1):
        c_t, c_0, var = conditional(t, t - 1, betas)
        x = c_t * x + c_0 * x0_hat_of(x, t) + max(var, 0) ** 0.5 * zs[t - 1]
    yield f(x0_hat_of, x_T, zs, betas), x


@ancestral.law("each row has the walk that it has alone, and a large batch is so many small ones")
def _(f: Probe, x0_hat_of: Callable, x_T: np.ndarray, zs: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    alone = f(x0_hat_of, x_T, zs, betas), f(x0_hat_of, x_T + 1, 2 * zs, betas)
    both = f(x0_hat_of, np.concatenate([x_T, x_T + 1]), np.concatenate([zs, 2 * zs], axis=1), betas)
    yield both, np.concatenate(alone), "two batches together, and each alone"
    if len(betas) == 2:
        many = f(x0_hat_of, np.concatenate([x_T] * MANY), np.concatenate([zs] * MANY, axis=1), betas)
        yield many, np.concatenate(alone[:1] * MANY), f"the batch {MANY} times over, and its answer as often"


def of_normal(betas: np.ndarray) -> Formula:
    """x̂_0 = √ᾱ_t x_t, exact for data from N(0, I)."""
    return Formula(f"lambda x_t, t: np.prod(1 - np.array({betas.tolist()})[:t]) ** 0.5 * x_t")
