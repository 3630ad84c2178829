"""The denoiser of a finite set of points, and how many of them it averages."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import exp, log

from tinydiff.check.domains import Domain, choice, normals, steps
from tinydiff.check.form import MANY, like, row_each
from tinydiff.check.laws.truth import ONE, complex_step, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- empirical_denoiser


def noisy_and_points() -> Domain:
    """x_t (B, D), and points (N, D), two at a distance at least, to be averaged."""
    one = [[[1.0], [-1.0]], [[0.0], [2.0]], [[1.0], [-1.0], [0.5]], [[1.0], [1.0], [-1.0]], [[-2.0]]]
    two = [[[1.0, 0.0], [0.0, 2.0]], [[1.0, -1.0], [0.0, 0.5], [-2.0, 0.0]]]

    def draw() -> Any:
        from hypothesis import strategies as st
        from hypothesis.extra import numpy as of

        def of_dim(d: int) -> Any:
            rows = [st.integers(1, most).map(lambda n: (n, d)) for most in (3, 4)]
            return st.tuples(*[of.arrays(float, shape, elements=st.floats(-3, 3, width=16)) for shape in rows])

        return st.integers(1, 3).flatmap(of_dim)

    small = [(np.array([[x]]), np.array(points)) for x in (0.0, 1.0, -2.0) for points in one]
    planes = ([[0.0, 0.0]], [[1.0, -2.0]], [[1.0, -2.0], [0.3, 1.5]])

    def random(rng: np.random.Generator) -> tuple:
        rows, count, d = rng.integers(1, 5, 3)
        return normals(rng, 1, rows, d)[0], normals(rng, 1, count, d)[0]

    small += [(np.array(x), np.array(points)) for x in planes for points in two]
    return Domain(("x_t", "points"), small, draw, random=random)


empirical_denoiser = Spec(
    "empirical_denoiser(x_t, points, t, betas) -> x0_hat",
    "E[x_0 | x_t] of the points: Σ_i w_i y_i with w_i ∝ exp(−‖x_t − √ᾱ_t y_i‖²/(2 (1 − ᾱ_t))), Σ_i w_i = 1",
    "Karras et al. 2022, EDM, App. B.3, in the notation of DDPM",
    (noisy_and_points(), steps()),
    {"x0_hat": like("x_t")},
    about="points y_i are (N, D), and all the data there is: x_0 is one of them, each with probability 1/N. "
    "x_t is (B, D), and each row has its own N weights.",
)


@empirical_denoiser.law("where there is one point, x_0 is that point, whatever x_t is")
def _(f: Probe, x_t: np.ndarray, points: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x_t, points[:1], t, betas), points[:1]


@empirical_denoiser.law("half way between √ᾱ_t y_1 and √ᾱ_t y_2 it is the mean of y_1 and y_2")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, _ = kernel(betas, t)
    yield f(2 * a * ONE, np.array([[1.0], [3.0]]), t, betas), 2, "y_1 = 1, y_2 = 3, x_t = 2 √ᾱ_t"


@empirical_denoiser.law("of the points 1 and −1 it is tanh(√ᾱ_t x_t/(1 − ᾱ_t)), half of the log-odds in the tanh")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    for x in (0.1, 1.0, -0.5, 0.5 * var / a, -2 * var / a):
        yield f(x * ONE, np.array([[1.0], [-1.0]]), t, betas), np.tanh(a * x / var)


@empirical_denoiser.law("a point that is there twice has twice the weight")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield f(0.1 * ONE, np.array([[1.0], [1.0], [-1.0]]), t, betas), np.tanh(0.1 * a / var + log(2) / 2)


@empirical_denoiser.law("where the points move by 1 and x_t by √ᾱ_t, the answer moves by 1")
def _(f: Probe, x_t: np.ndarray, points: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, _ = kernel(betas, t)
    yield f(x_t + a, points + 1, t, betas), f(x_t, points, t, betas) + 1, "after the move, and before it plus 1"


@empirical_denoiser.law("it is Tweedie's (x_t + (1 − ᾱ_t) ∇ ln q_t)/√ᾱ_t with q_t the mean of all N(√ᾱ_t y_i, 1 − ᾱ_t)")
def _(f: Probe, x_t: np.ndarray, points: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    score = complex_step(lambda x: log_density(x, points, a, var), x_t, np.ones(len(x_t)))
    yield f(x_t, points, t, betas), (x_t + var * score) / a


@empirical_denoiser.law("each row of x_t has its own weights")
def _(f: Probe, x_t: np.ndarray, points: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    both = f(np.concatenate([x_t, 1 - x_t]), points, t, betas)
    alone = [f(x_t, points, t, betas), f(1 - x_t, points, t, betas)]
    yield both, np.concatenate(alone), "rows together, and each alone"


@empirical_denoiser.law("a large batch is so many small ones")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if len(betas) == 1:
        yield f(np.concatenate([ONE] * MANY), SPREAD, t, betas), np.concatenate([f(ONE, SPREAD, t, betas)] * MANY)


@empirical_denoiser.law("far from all points it is the last on that side, where all exponentials are 0 in float64")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    for x in (1000.0, -1000.0):
        yield f(x * ONE, np.array([[1.0], [-1.0]]), t, betas), np.sign(x), f"x_t = {x:g}, points 1 and −1"
    batch = np.array([[1000.0], [0.0], [-1000.0]])
    yield f(batch, np.array([[1.0], [-1.0]]), t, betas), np.sign(batch), "x_t = 1000, 0 and −1000 in one batch"


SPREAD = np.array([[1.0], [-1.0], [0.5]])


def log_density(x: np.ndarray, points: np.ndarray, a: float, var: float) -> np.ndarray:
    """ln Σ_i exp(−‖x − a y_i‖²/(2 var)), (B,), one point after another; complex x too."""
    exponents = [-np.sum((x - a * y) ** 2, axis=1) / (2 * var) for y in points]
    top = np.max(np.real(exponents), axis=0)
    return top + log(sum(exp(e - top) for e in exponents))


# ---- effective_neighbours

WEIGHTS = ([[1.0]], [[0.5, 0.5]], [[1.0, 0.0]], [[0.75, 0.25]], [[0.5, 0.25, 0.25]], [[0.1, 0.2, 0.3, 0.4]])
SEVERAL = ([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25]], [[0.2, 0.8], [1.0, 0.0]])


def normalised_weights() -> Domain:
    """Weights (B, N), each row's sum 1."""
    listed = choice(("weights",), *((np.array(w),) for w in WEIGHTS), batches=[(np.array(w),) for w in SEVERAL])

    def draw() -> Any:
        from hypothesis import strategies as st
        from hypothesis.extra import numpy as of

        shapes = st.tuples(st.integers(1, 3), st.integers(1, 5))
        counts = shapes.flatmap(lambda shape: of.arrays(float, shape, elements=st.integers(0, 9)))
        return counts.filter(lambda c: c.sum(axis=1).all()).map(lambda c: (c / c.sum(axis=1, keepdims=True),))

    def random(rng: np.random.Generator) -> tuple:
        rows, most = rng.integers(1, 6), 6 if rng.random() < 0.5 else 60
        counts = rng.integers(0, 9, (rows, rng.integers(1, most))) + 0.01
        return (counts / counts.sum(axis=1, keepdims=True),)

    return listed._replace(drawn=draw, random=random)


effective_neighbours = Spec(
    "effective_neighbours(weights) -> (B,)",
    "1/Σ_i w_i², of each row: how many points an average with these weights is of",
    "Kish 1965, Survey Sampling (effective sample size); in physics, the inverse participation ratio",
    (normalised_weights(),),
    {"number": row_each("weights")},
    about="weights are (B, N), 0 or more, and sum to 1 in each row. One number for each row.",
)


@effective_neighbours.law("k equal weights count as k, whatever the number of those that are 0")
def _(f: Probe) -> Iterator[tuple]:
    for k in (1, 2, 3, 4):
        for zeros in (0, 1, 3):
            weights = np.array([[1 / k] * k + [0.0] * zeros])
            yield f(weights), [k], f"{k} equal weights and {zeros} that are 0"


@effective_neighbours.law("it is 1 at least, and no more than the number of the weights above 0")
def _(f: Probe, weights: np.ndarray) -> Iterator[tuple]:
    yield f(weights), Between(1, np.count_nonzero(weights, axis=1))


@effective_neighbours.law("where each point is halved into two with half the weight, there are twice as many")
def _(f: Probe, weights: np.ndarray) -> Iterator[tuple]:
    yield f(np.concatenate([weights, weights], axis=1) / 2), 2 * f(weights), "after halving, and twice before"


@effective_neighbours.law("it is N/(1 + c²) where c is the weights' standard deviation over their mean")
def _(f: Probe, weights: np.ndarray) -> Iterator[tuple]:
    c = weights.std(axis=1) / weights.mean(axis=1)
    yield f(weights), weights.shape[1] / (1 + c**2)


@effective_neighbours.law("two draws by these weights are the same point with probability 1/n")
def _(f: Probe, weights: np.ndarray) -> Iterator[tuple]:
    meet = [np.trace(np.outer(row, row)) for row in weights]  # of all pairs, those on the diagonal
    yield 1 / f(weights), meet, "1/n, and the probability"
