"""What a measurement y = A x_0 + τ n says: of one Gaussian, and to a denoiser that was never told of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import Formula, choice, numbers, uniform
from tinydiff.check.form import like
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

Array = np.ndarray


def covariance(rng: np.random.Generator, dim: int, scale: float = 1.0) -> Array:
    """A covariance of some correlation, whose numbers have few digits."""
    root = rng.standard_normal((dim, dim))
    return np.round(scale * (root @ root.T / dim + 0.3 * np.eye(dim)), 2)


def rows_of(rng: np.random.Generator, count: int, dim: int) -> Array:
    """A matrix whose rows are independent, none of them small."""
    while True:
        A = np.round(rng.standard_normal((count, dim)), 2)
        if np.linalg.svd(A)[1][-1] > 0.3:
            return A


# ---- condition_gaussian

GAUSSIANS: tuple[tuple, ...] = (
    ([0.0], [[1.0]], [[1.0]], [1.0]),
    ([1.0], [[4.0]], [[-2.0]], [1.0]),
    ([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], [[1.0, 0.0]], [1.0]),
    ([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]], [[1.0, -1.0]], [0.5]),
    ([0.5, -1.0], [[1.0, -0.6], [-0.6, 2.0]], [[1.0, 0.5], [0.0, 2.0]], [1.0, -1.0]),
    ([0.0, 1.0, 2.0], [[1.0, 0.5, 0.2], [0.5, 2.0, 0.0], [0.2, 0.0, 1.0]], [[0.0, 1.0, 1.0]], [2.0]),
)


def gaussian(rng: np.random.Generator) -> tuple:
    """A Gaussian in up to four dimensions and a measurement of as many numbers or fewer; far out now and then."""
    dim = int(rng.integers(1, 5))
    count, far = int(rng.integers(1, dim + 1)), 50.0 if rng.random() < 0.3 else 1.0
    mean, y = np.round(far * rng.standard_normal(dim), 2), np.round(far * rng.standard_normal(count), 2)
    A, cov = rows_of(rng, count, dim), covariance(rng, dim, far)
    return mean, cov, np.round(30 * A, 2) if far > 1 and rng.random() < 0.5 else A, y


condition_gaussian = Spec(
    "condition_gaussian(mean, cov, A, y, tau) -> (mean, cov)",
    "mean + K (y − A mean) and cov − K A cov, with K = cov Aᵀ S^(−1) and S = A cov Aᵀ + τ² I",
    "Bishop 2006, eqs. 2.113–2.117",
    (
        choice(("mean", "cov", "A", "y"), *(tuple(map(np.array, case)) for case in GAUSSIANS), random=gaussian),
        numbers("tau", 1.0, 0.5, 2.0, least=0.1, most=5),
    ),
    {"mean": like("mean"), "cov": like("cov")},
    about="x_0 is N(mean, cov), with mean (D,) and cov (D, D). Measured is y = A x_0 + τ n, with A (M, D), y (M,) and "
    "noise n of N(0, I). The answer is the law of x_0 given y.",
)


@condition_gaussian.law("in one dimension it is Bayes' rule on a grid: prior times likelihood, over its sum")
def _(f: Probe, tau: float) -> Iterator[tuple]:
    for m, v, a, y in ((0.0, 1.0, 1.0, 1.0), (1.0, 2.0, -0.5, 0.5)):
        x = np.linspace(m - 10 * v**0.5, m + 10 * v**0.5, 4001)
        p = np.exp(-((x - m) ** 2) / (2 * v) - (y - a * x) ** 2 / (2 * tau**2))
        p /= p.sum()
        mean, cov = f(np.array([m]), np.array([[v]]), np.array([[a]]), np.array([y]), tau)
        yield mean, [p @ x], f"the mean, of x_0 ~ N({m:g}, {v:g}) and y = {a:g} x_0 + τ n"
        yield cov, [[p @ (x - p @ x) ** 2]], f"the variance, of x_0 ~ N({m:g}, {v:g}) and y = {a:g} x_0 + τ n"


@condition_gaussian.law("precisions add: that of x_0 and that of the measurement, AᵀA/τ²")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array, tau: float) -> Iterator[tuple]:
    of_x, of_y = np.linalg.inv(cov), A.T @ A / tau**2
    m, c = f(mean, cov, A, y, tau)
    yield c @ (of_x + of_y), np.eye(len(mean)), "the new cov times the sum of both precisions"
    expected = np.linalg.solve(of_x + of_y, of_x @ mean + A.T @ y / tau**2)
    yield m, expected, "the mean, and both means weighed by their precisions"


@condition_gaussian.law("two measurements one after another, in either order, are as both at once")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array, tau: float) -> Iterator[tuple]:
    B, z = A[:1, ::-1] + 0.5, y[:1] - 1
    both = f(mean, cov, np.concatenate([A, B]), np.concatenate([y, z]), tau)
    for words, first, second in (("the second last", (A, y), (B, z)), ("the second first", (B, z), (A, y))):
        found = f(*f(mean, cov, *first, tau), *second, tau)
        for name, one, other in zip(("mean", "cov"), found, both, strict=True):
            yield one, other, f"{name}, {words}, and both at once"


@condition_gaussian.law("what is measured twice is measured once, with a variance τ² that is half as large")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array, tau: float) -> Iterator[tuple]:
    twice = f(mean, cov, np.concatenate([A, A]), np.concatenate([y, y]), tau)
    for name, one, other in zip(("mean", "cov"), twice, f(mean, cov, A, y, tau / 2**0.5), strict=True):
        yield one, other, f"{name}, of two measurements, and of one with τ/√2"


@condition_gaussian.law("a measurement with very large τ changes nothing")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array) -> Iterator[tuple]:
    m, c = f(mean, cov, A, y, 1e8)
    yield m, mean, "the mean at τ = 1e8"
    yield c, cov, "cov at τ = 1e8"


@condition_gaussian.law("with very small τ what is measured is known: A mean = y, and its variance is 0")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array) -> Iterator[tuple]:
    m, c = f(mean, cov, A, y, 1e-3)
    slack = 0.01 * (1 + np.max(np.abs(y - A @ mean)))
    yield A @ m - y, Between(-slack, slack), "A mean − y at τ = 0.001"
    yield np.diag(A @ c @ A.T), Between(-1e-5, 1e-5), "the variances of A x_0 at τ = 0.001"


@condition_gaussian.law("cov is symmetric, and no variance grows")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array, tau: float) -> Iterator[tuple]:
    c = f(mean, cov, A, y, tau)[1]
    yield c, c.T, "cov, and its transpose"
    yield np.linalg.eigvalsh(cov - c)[0], Between(-1e-9, np.inf), "the least that the variance of a direction falls by"


@condition_gaussian.law("cov depends neither on y nor on the mean")
def _(f: Probe, mean: Array, cov: Array, A: Array, y: Array, tau: float) -> Iterator[tuple]:
    yield f(mean + 1, cov, A, y - 3, tau)[1], f(mean, cov, A, y, tau)[1], "cov with other y and mean"


condition_gaussian.linear("mean", "y")

# ---- measurement_guidance

PULLS: tuple[tuple, ...] = (
    ([[0.0]], [[1.0]], [[1.0]], [1.0], [[1.0]]),
    ([[1.0]], [[0.5]], [[2.0]], [1.0], [[0.0]]),
    ([[1.0], [-2.0]], [[0.5]], [[-1.0]], [0.5], [[2.0]]),
    ([[0.0, 1.0]], [[0.5, 0.2], [0.1, 1.0]], [[1.0, 0.0]], [1.0], [[1.0, 0.5], [0.5, 2.0]]),
    ([[1.0, -1.0], [0.5, 2.0]], [[1.0, 0.0], [0.5, 0.2]], [[1.0, 1.0], [0.0, 2.0]], [1.0, 0.5], [[1.0, 0.0], [0.0, 2]]),
    (
        *([[1.0, -1.0], [0.5, 2.0]], [[0.3, 0.1], [0.1, 0.7]], [[1.0, 0.5]], [2.0]),
        [[[1.0, 0.5], [0.5, 1.0]], [[0.2, 0.0], [0.0, 3.0]]],
    ),
)  # fmt: skip


def pulled(J: Any) -> Formula:
    """The pull of the Jacobian J, the same in each row."""
    return Formula(f"lambda u: u @ np.array({np.asarray(J).tolist()})")


def guided(rng: np.random.Generator) -> tuple:
    """Rows of x̂_0 with a pull, a measurement and a covariance, one for all rows or one for each."""
    rows, dim = (int(k) for k in rng.integers(1, 5, 2))
    count, far = int(rng.integers(1, dim + 1)), 50.0 if rng.random() < 0.3 else 1.0
    J, A = np.round(rng.standard_normal((dim, dim)), 2), rows_of(rng, count, dim)
    cov = (
        covariance(rng, dim, far) if rng.random() < 0.5 else np.stack([covariance(rng, dim, far) for _ in range(rows)])
    )
    x0_hat = np.round(far * rng.standard_normal((rows, dim)), 2)
    A = np.round(30 * A, 2) if far > 1 and rng.random() < 0.5 else A
    return x0_hat, pulled(J), A, np.round(far * rng.standard_normal(count), 2), cov


measurement_guidance = Spec(
    "measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma) -> x0_hat",
    "x̂_0 + (σ²/α) Jᵀ Aᵀ S^(−1) (y − A x̂_0), with S = A cov Aᵀ + τ² I and uᵀJ = pull(u)",
    "Song et al. 2023, ΠGDM, eqs. 7–8; Boys et al. 2023, TMPD; Rozet et al. 2024, MMPS",
    (
        choice(
            ("x0_hat", "pull", "A", "y", "cov"),
            *(
                (np.array(x0_hat), pulled(J), np.array(A), np.array(y), np.array(cov))
                for x0_hat, J, A, y, cov in PULLS
            ),
            random=guided,
        ),
        numbers("tau", 1.0, 0.5, 2.0, least=0.1, most=5),
        choice(
            ("alpha", "sigma"),
            *((0.8, 0.6), (0.6, 0.8), (1.0, 2.0), (0.28, 0.96)),
            random=lambda rng: (uniform(rng, 0.1, 1.0), uniform(rng, 0.1, 2.0)),
        ),
    ),
    {"x0_hat": like("x0_hat")},
    about="x̂_0 is (B, D), and J is its Jacobian ∂x̂_0/∂x, whose pull(u) is uᵀJ in each row, (B, D) of (B, D). Measured "
    "is y = A x_0 + τ n, with A (M, D) and y (M,). cov is what one takes for the covariance of x_0 given x: (D, D), or "
    "(B, D, D), one for each row.",
)  # fmt: skip


@measurement_guidance.law("of one Gaussian, with its true covariance, it is the mean of x_0 given x and y")
def _(f: Probe, A: Array, y: Array, tau: float, alpha: float, sigma: float) -> Iterator[tuple]:
    dim, one = A.shape[1], np.eye(A.shape[1])
    rng = np.random.default_rng(dim)
    x = np.round(rng.standard_normal((2, dim)), 1)
    for words, mean, cov in (("N(0, I)", np.zeros(dim), one), ("another", np.arange(dim) / 2, covariance(rng, dim))):
        J = np.round(alpha * cov @ np.linalg.inv(alpha**2 * cov + sigma**2 * one), 14)
        of_x0 = np.linalg.inv(cov)
        weighed = of_x0 @ mean + alpha / sigma**2 * x + A.T @ y / tau**2
        expected = np.linalg.solve(of_x0 + alpha**2 / sigma**2 * one + A.T @ A / tau**2, weighed.T).T
        x0_hat = np.round(mean + (x - alpha * mean) @ J.T, 14)
        yield f(x0_hat, pulled(J), A, y, tau, np.round(sigma**2 / alpha * J, 14), alpha, sigma), expected, f"of {words}"


@measurement_guidance.law("A = 0 measures nothing: x̂_0 stays")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, y: Array, tau: float, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    yield f(x0_hat, pull, 0 * A, y, tau, cov, alpha, sigma), x0_hat


@measurement_guidance.law("where y is what x̂_0 says already, x̂_0 stays")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, tau: float, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    same = 0 * x0_hat + x0_hat[:1]
    yield f(same, pull, A, A @ x0_hat[0], tau, cov, alpha, sigma), same


measurement_guidance.linear("x0_hat", "y")


@measurement_guidance.law("what the pull gives counts in proportion, and σ²/α too")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, y: Array, tau: float, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    move = f(x0_hat, pull, A, y, tau, cov, alpha, sigma) - x0_hat
    twice = Formula(f"lambda u: 2 * ({pull.source})(u)")
    yield f(x0_hat, twice, A, y, tau, cov, alpha, sigma) - x0_hat, 2 * move, "the move with a pull twice as large"
    yield f(x0_hat, pull, A, y, tau, cov, alpha, 2 * sigma) - x0_hat, 4 * move, "the move with σ twice as large"
    yield f(x0_hat, pull, A, y, tau, cov, 2 * alpha, sigma) - x0_hat, move / 2, "the move with α twice as large"


@measurement_guidance.law("with very large τ x̂_0 stays")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, y: Array, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    yield f(x0_hat, pull, A, y, 1e8, cov, alpha, sigma), x0_hat, "at τ = 1e8"


@measurement_guidance.law("what is measured twice is measured once, with a variance τ² that is half as large")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, y: Array, tau: float, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    twice = f(x0_hat, pull, np.concatenate([A, A]), np.concatenate([y, y]), tau, cov, alpha, sigma)
    yield twice, f(x0_hat, pull, A, y, tau / 2**0.5, cov, alpha, sigma), "of two measurements, and of one with τ/√2"


@measurement_guidance.law("each row of x̂_0 has the answer that it has alone, with its own covariance where it has one")
def _(
    f: Probe, x0_hat: Array, pull: Formula, A: Array, y: Array, tau: float, cov: Array, alpha: float, sigma: float
) -> Iterator[tuple]:
    for i in range(len(x0_hat)):
        own = cov[i] if cov.ndim == 3 else cov
        alone = f(x0_hat[i : i + 1], pull, A, y, tau, own, alpha, sigma)
        together = f(x0_hat, pull, A, y, tau, cov, alpha, sigma)
        yield together[i], alone[0], f"row {i} of the batch, and the same row alone"


@measurement_guidance.law("where each direction is measured for itself, a larger covariance trusts y less")
def _(f: Probe, tau: float, alpha: float, sigma: float) -> Iterator[tuple]:
    one, still = np.eye(2), np.zeros((1, 2))
    for c in (0.0, 1.0, 30.0):
        moved = f(still, pulled(one), one, np.ones(2), tau, np.diag([c, 0.0]), alpha, sigma)
        yield (
            moved[:, :1] * (c + tau**2),
            moved[:, 1:] * tau**2,
            f"variance + τ², times the move, for variances {c:g} and 0",
        )
