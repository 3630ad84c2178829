"""The denoiser of a mixture of Gaussians, which is known exactly."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import exp, log

from tinydiff.check.domains import Domain, normals, steps
from tinydiff.check.form import MANY, like
from tinydiff.check.laws.forward import MIXTURES, mixture
from tinydiff.check.laws.truth import ONE, complex_step, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- mixture_x0


def noisy_and_mixture() -> Domain:
    """x_t (B, D), and a mixture in as many dimensions."""

    def draw() -> Any:
        from hypothesis import strategies as st
        from hypothesis.extra import numpy as of

        def of_dim(d: int) -> Any:
            rows = of.arrays(float, st.integers(1, 3).map(lambda b: (b, d)), elements=st.floats(-3, 3, width=16))
            return st.builds(lambda x, seed: (x, *mixture(np.random.default_rng(seed), d)), rows, st.integers(0, 999))

        return st.integers(1, 3).flatmap(of_dim)

    def random(rng: np.random.Generator) -> tuple:
        rows, d = rng.integers(1, 5, 2)
        return normals(rng, 1, rows, d)[0], *mixture(rng, d)

    known = [tuple(map(np.array, case)) for case in MIXTURES]
    small = [(np.full((1, case[1].shape[1]), x), *case) for x in (0.0, 1.0, -2.0) for case in known]
    small.append((np.array([[1.0, -2.0, 0.5], [0.3, 1.5, 0.0]]), *known[-1]))
    return Domain(("x_t", "weights", "means", "variances"), small, draw, random=random)


mixture_x0 = Spec(
    "mixture_x0(x_t, weights, means, variances, t, betas) -> x0_hat",
    "E[x_0 | x_t] = Σ_k r_k (m_k + √ᾱ_t v_k/c_k (x_t − √ᾱ_t m_k)) with c_k = ᾱ_t v_k + 1 − ᾱ_t and "
    "r_k ∝ w_k N(x_t; √ᾱ_t m_k, c_k I), Σ_k r_k = 1",
    "Bishop 2006, §2.3.3 and eq. 9.13; Karras et al. 2022, EDM, App. B.3, for points",
    (noisy_and_mixture(), steps()),
    {"x0_hat": like("x_t")},
    about="x_0 is from component k with probability w_k, and then N(m_k, v_k I): weights w are (K,) and sum to 1, "
    "means m are (K, D), variances v are (K,), and a variance of 0 is a point. x_t is (B, D): r_k is the probability "
    "of component k given x_t, for each row its own.",
)


@mixture_x0.law("of one component it is regression: the mean, and Cov[x_0, x_t]/Var[x_t] times what x_t is off")
def _(
    f: Probe, x_t: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    (a, var), m, v = kernel(betas, t), means[:1], variances[0]
    yield f(x_t, np.ones(1), m, variances[:1], t, betas), m + a * v / (a**2 * v + var) * (x_t - a * m)


@mixture_x0.law("of points 1 and −1, which are equally likely, it is tanh(√ᾱ_t x_t/(1 − ᾱ_t))")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    for x in (0.1, -2 * var / a):
        yield f(x * ONE, np.array([0.5, 0.5]), ENDS, np.zeros(2), t, betas), np.tanh(a * x / var)


@mixture_x0.law("half of the log-odds of their weights is added in the tanh")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    expected = np.tanh(0.1 * a / var + log(0.75 / 0.25) / 2)
    yield f(0.1 * ONE, np.array([0.75, 0.25]), ENDS, np.zeros(2), t, betas), expected


@mixture_x0.law("it is Tweedie's (x_t + (1 − ᾱ_t) ∇ ln q_t)/√ᾱ_t with q_t the density of the mixture at t")
def _(
    f: Probe, x_t: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    at_t = weights, a * means, a**2 * variances + var
    score = complex_step(lambda x: log_density(x, *at_t), x_t, np.ones(len(x_t)))
    yield f(x_t, weights, means, variances, t, betas), (x_t + var * score) / a


@mixture_x0.law("where the means move by 1 and x_t by √ᾱ_t, the answer moves by 1")
def _(
    f: Probe, x_t: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    moved = f(x_t + kernel(betas, t)[0], weights, means + 1, variances, t, betas)
    yield moved, f(x_t, weights, means, variances, t, betas) + 1, "after the move, and before it plus 1"


@mixture_x0.law("a component of weight 0 is as if it were absent, and one in two halves is as if whole")
def _(
    f: Probe, x_t: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    alone = f(x_t, weights, means, variances, t, betas)
    twice = [np.concatenate([part, part]) for part in (weights, means, variances)]
    twice[1][: len(means)] += 1
    nothing = np.concatenate([0 * weights, weights])
    yield f(x_t, nothing, *twice[1:], t, betas), alone, "beside others of weight 0, and without them"
    if len(betas) < 3:
        halves = np.concatenate([weights, weights]) / 2, np.concatenate([means, means]), twice[2]
        yield f(x_t, *halves, t, betas), alone, "each component in two halves, and whole"


@mixture_x0.law("far from all points it is the last on that side, where all exponentials are 0 in float64")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    batch, halves = np.array([[1000.0], [0.0], [-1000.0]]), np.array([0.5, 0.5])
    yield f(1000 * ONE, halves, ENDS, np.zeros(2), t, betas), 1, "x_t = 1000, points 1 and −1"
    yield f(batch, halves, ENDS, np.zeros(2), t, betas), np.sign(batch), "x_t = 1000, 0 and −1000 in one batch"


@mixture_x0.law("in many dimensions as in one: a density may be too small for float64, and its logarithm is not")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    x_t, means = np.zeros((1, 1000)), np.zeros((2, 1000))
    means[1] = 1.0
    a, _ = kernel(betas, t)
    share = 1 / (1 + exp(500 * a**2))  # of the component at 1
    found = f(x_t, np.array([0.5, 0.5]), means, np.ones(2), t, betas)
    yield found, share * (1 - a**2), "x_t = 0 in 1,000 dimensions, components N(0, I) and N(1, I)"


@mixture_x0.law("each row of x_t has its own weights, and a large batch is so many small ones")
def _(
    f: Probe, x_t: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, t: int, betas: np.ndarray
) -> Iterator[tuple]:
    rest = weights, means, variances, t, betas
    if len(betas) < 3:
        alone = [f(x_t, *rest), f(1 - x_t, *rest)]
        yield f(np.concatenate([x_t, 1 - x_t]), *rest), np.concatenate(alone), "rows together, and each alone"
        many = f(np.concatenate([x_t] * MANY), *rest)
        yield many, np.concatenate(alone[:1] * MANY), f"the batch {MANY} times over, and its answer as often"


ENDS = np.array([[1.0], [-1.0]])


def log_density(x: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """ln Σ_k w_k N(x; m_k, v_k I) but for a constant, (B,), one component after another; complex x too."""
    exponents = [
        log(w) - len(m) / 2 * log(v) - np.sum((x - m) ** 2, axis=1) / (2 * v)
        for w, m, v in zip(weights, means, variances, strict=True)
    ]
    top = np.max(np.real(exponents), axis=0)
    return top + log(sum(exp(e - top) for e in exponents))
