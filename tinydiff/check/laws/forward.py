"""The forward process: one step, a jump to t, and what they make of a mixture."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import Domain, normals, points, steps
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


# ---- diffuse_mixture

MIXTURES = (
    ([1.0], [[1.0]], [0.0]),
    ([1.0], [[0.0]], [1.0]),
    ([1.0], [[-2.0]], [0.5]),
    ([0.5, 0.5], [[1.0], [-1.0]], [0.0, 0.0]),
    ([0.25, 0.75], [[1.0], [-2.0]], [2.0, 0.1]),
    ([1.0], [[1.0, -2.0]], [0.5]),
    ([0.5, 0.25, 0.25], [[1.0, 0.0, 2.0], [-1.0, 0.5, 0.0], [0.0, 3.0, -2.0]], [0.1, 1.0, 4.0]),
)


def mixture(rng: np.random.Generator, dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (K,), means (K, D) and variances (K,) of up to four components."""
    count = int(rng.integers(1, 5))
    shares = rng.integers(1, 9, count)
    (means,) = normals(rng, 1, count, dims)
    return shares / shares.sum(), means, np.round(np.exp(rng.uniform(-3, 3, count)), 3)


def mixtures() -> Domain:
    """Weights, means and variances."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return st.builds(
            lambda seed, dims: mixture(np.random.default_rng(seed), dims), st.integers(0, 999), st.integers(1, 3)
        )

    small = [tuple(map(np.array, case)) for case in MIXTURES]
    return Domain(
        ("weights", "means", "variances"), small, draw, random=lambda rng: mixture(rng, int(rng.integers(1, 5)))
    )


diffuse_mixture = Spec(
    "diffuse_mixture(weights, means, variances, t, betas) -> (weights, means, variances)",
    "of x_0 ~ Σ_k w_k N(m_k, v_k I):  x_t ~ Σ_k w_k N(√ᾱ_t m_k, (ᾱ_t v_k + 1 − ᾱ_t) I)",
    "Ho et al. 2020, DDPM, eq. 4; Bishop 2006, §2.3.3",
    (mixtures(), steps()),
    {"weights": like("weights"), "means": like("means"), "variances": like("variances")},
    about="x_0 is from component k with probability w_k, and then it is normal with mean m_k and variance v_k in each "
    "coordinate: weights w are (K,) and sum to 1, means m are (K, D), variances v are (K,). A variance of 0 is a "
    "point. The answer is the law of x_t, in the same form.",
)
diffuse_mixture.linear("means", outputs=(1,))


@diffuse_mixture.law("noise does not move anyone from one component to another: the weights stay")
def _(
    f: Probe, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    yield f(weights, means, variances, t, betas)[0], weights, "the weights"


@diffuse_mixture.law("of one component, t single steps multiply the mean by √(1 − β_s), one after another")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    one = np.ones(1)
    yield f(one, ONE, one, t, betas)[1], kernel(betas, t)[0], "the mean, which was 1"


@diffuse_mixture.law("of a point, t single steps leave the variance: each leaves 1 − β_s of that before, and adds β_s")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(np.ones(1), ONE, np.zeros(1), t, betas)[2], kernel(betas, t)[1], "the variance, which was 0"


@diffuse_mixture.law("N(0, I) stays N(0, I)")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    _, mean, variance = f(np.ones(1), ZERO, np.ones(1), t, betas)
    yield mean, 0, "the mean"
    yield variance, 1, "the variance"


@diffuse_mixture.law("t steps are t − 1 steps, and then one more")
def _(
    f: Probe, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    if t > 1:
        before = f(weights, means, variances, t - 1, betas)
        for at_once, later, name in zip(
            f(weights, means, variances, t, betas), f(*before, 1, betas[t - 1 :]), diffuse_mixture.returns, strict=True
        ):
            yield at_once, later, f"{name} after all steps at once, and after the last one alone"


@diffuse_mixture.law("the order of the β_s does not matter")
def _(
    f: Probe, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    there, back = (f(weights, means, variances, t, order) for order in (betas[:t], betas[:t][::-1]))
    yield there[1], back[1], "the means, and those with the β_s in the opposite order"
    yield there[2], back[2], "the variances, and those with the β_s in the opposite order"


@diffuse_mixture.law("the variance of the whole, within and between components, is that of x_0 after t single steps")
def _(
    f: Probe, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    (a, var), before = kernel(betas, t), of_the_whole(weights, means, variances)
    yield of_the_whole(*f(weights, means, variances, t, betas)), a**2 * before + var, "the variance of the whole"


def of_the_whole(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The variance of a mixture in each coordinate, (D,)."""
    centred = means - weights @ means
    return weights @ (variances[:, None] + centred**2)
