"""What judges the answers of notebook 3: pictures of four wrong programs, and the exact law of a walk of 16 steps."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

import tinydiff as td
from tinydiff import course_answers as library

Marks = Iterator[tuple[bool, str]]

RING = td.toys.ring8()
RING_BETAS = np.linspace(0.001, 0.2, 100)
PICTURES = "DBAC"
"""The programs whose clouds pictures 1 to 4 show."""

LINE = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
LINE_PARTS = LINE.weights, LINE.means, LINE.covariances[:, 0, 0]
LINE_BETAS = td.Discrete.cosine(16).betas
OURS = (0.012065, 2.3078)
"""The distance, and the mean of ln q in standard errors, of the mean reverse variance; as `scores` gives them."""


# ---- four pictures


def clouds(count: int = 2000) -> list[np.ndarray]:
    """The clouds (count, 2) that the four programs of exercise 3.4 make of one noise, as pictures 1 to 4."""
    rng, parts = np.random.default_rng(34), (RING.weights, RING.means, RING.covariances[:, 0, 0])
    start, zs = rng.standard_normal((count, 2)), rng.standard_normal((len(RING_BETAS), count, 2))
    found = []
    for program in PICTURES:
        x = start
        for t in range(len(RING_BETAS), 0, -1):
            x0_hat = library.mixture_x0(x, *parts, t, RING_BETAS)
            x = stepped(program, x, x0_hat, t, zs[t - 1])
        found.append(x)
    return found


def stepped(program: str, x: np.ndarray, x0_hat: np.ndarray, t: int, z: np.ndarray) -> np.ndarray:
    """The step of one of the programs A to D."""
    pair = (x0_hat, x) if program == "D" else (x, x0_hat)
    mean, variance = library.posterior(*pair, t, RING_BETAS)
    return mean + {"A": 1 - RING_BETAS[t - 1], "B": variance, "C": 0.0, "D": variance**0.5}[program] * z


def numbers(x: np.ndarray) -> tuple[float, float, float]:
    """Mean −ln q in nats, mean distance to the centre, and width of a mode, of points of the ring (B, 2).

    The width is the standard deviation of a coordinate around the middle of each cloud, the mean over eight clouds.
    """
    nearest = np.argmin(np.linalg.norm(x[:, None, :] - RING.means, axis=2), axis=1)
    widths = [np.sqrt(np.mean(np.var(x[nearest == k], axis=0))) for k in range(8)]
    return -float(np.mean(RING.log_density(x))), float(np.mean(np.linalg.norm(x, axis=1))), float(np.mean(widths))


def four_pictures(a: int, b: int, c: int, d: int, step_b: Callable, step_d: Callable) -> Marks:
    """The picture of each program, from 1 to 4, and programs B and D mended."""
    for program, answer in zip("ABCD", (a, b, c, d), strict=True):
        yield answer == PICTURES.index(program) + 1, f"program {program} drew picture {answer}"
    rng = np.random.default_rng(43)
    x, x0_hat, z = rng.standard_normal((3, 5, 2))
    for name, step in (("B", step_b), ("D", step_d)):
        worst = 0.0
        for t in (1, 2, 50, 100):
            chain = td.Discrete(RING_BETAS)
            of_x_t, of_x0, variance = td.posterior(chain.at(t / 100), chain.at((t - 1) / 100))
            right = of_x_t * x + of_x0 * x0_hat + variance**0.5 * z
            worst = max(worst, float(np.max(np.abs(step(x, x0_hat, t, z, RING_BETAS) - right))))
        yield worst < 1e-12, f"program {name} mended: off from the right step by {worst:.1g} (wanted: below 1e-12)"


# ---- the open problem


def scores(variances: np.ndarray, cells: int = 601) -> tuple[float, float]:
    """The law of x_0 after 16 steps with the exact mean and these variances (16,), against the data.

    The largest difference of the distribution functions, and how far the mean of ln q is off in standard errors of
    20,000 points. The law is a vector on a grid that each step carries on, so that there is no luck of draws in it.
    """
    from scipy.special import ndtr  # Φ, the distribution function of N(0, 1)

    def mean(t: int) -> np.ndarray:
        return library.posterior(x, library.mixture_x0(x, *LINE_PARTS, t, LINE_BETAS), t, LINE_BETAS)[0][:, 0]

    x = np.linspace(-6, 6, cells)[:, None]
    half = 0.5 * (x[1, 0] - x[0, 0])
    edges = np.append(x[:, 0] - half, x[-1, 0] + half)[:, None]
    share = np.diff(ndtr(edges[:, 0]))
    for t in range(len(LINE_BETAS), 1, -1):
        std = max(float(variances[t - 1]), 1e-6) ** 0.5
        share = np.diff(ndtr((edges - mean(t)) / std) @ share)
    end = mean(1)  # the last step is without noise, and grows with x
    below = np.cumsum(share) - 0.5 * share
    true = sum(w * ndtr((end - m) / v**0.5) for w, m, v in zip(*LINE_PARTS, strict=True))
    log_q = LINE.log_density(end[:, None])
    off = share @ log_q + LINE.entropy()[0]
    error = (share @ log_q**2 - (share @ log_q) ** 2) ** 0.5 / 20_000**0.5
    return float(np.max(np.abs(below - true))), float(off / error)


def known() -> dict[str, tuple[float, float]]:
    """The scores of the variances that one would try, and of the mean variance of the true reverse step."""
    chain = td.Discrete(LINE_BETAS)
    levels = [chain.at(t / 16) for t in range(17)]
    least = np.array([td.posterior(now, then)[2] for then, now in pairwise(levels)])
    exact = []
    for then, now in pairwise(levels):
        x, weights = LINE.diffused(now.alpha, now.sigma).quadrature()
        exact.append(weights @ LINE.reverse_kernel(x, now, then).moments()[1][:, 0, 0])
    choices = {
        "the variance of 3.1": least,
        "β": LINE_BETAS,
        "mean of both": (least + LINE_BETAS) / 2,
        "geometric mean of both": np.sqrt(least * LINE_BETAS),
        "ours": np.array(exact),
    }
    return {name: scores(each) for name, each in choices.items()}


def better_variances(variances: Callable) -> Marks:
    """Variances (16,) of the 16 steps, as a function of betas."""
    found = np.asarray(variances(LINE_BETAS), dtype=float)
    if found.shape != (16,) or not np.all(np.isfinite(found)) or np.any(found < 0):
        yield False, f"16 finite numbers that are not negative are wanted; got an array of shape {found.shape}"
        return
    distance, off = scores(found)
    yield (
        distance <= OURS[0] * 1.0001,
        f"largest difference of the distribution functions {distance:.4f}; ours {OURS[0]:.4f}",
    )
    yield abs(off) <= OURS[1] * 1.0001, f"mean of ln q off by {off:+.2f} standard errors; ours −{OURS[1]:.2f}"
