"""What judges the answers of notebook 0, Start here."""

from collections.abc import Callable, Iterator

import numpy as np

import tinydiff as td
from tinydiff import course_answers

Array = np.ndarray
Parts = Iterator[tuple[bool, str]]

MAKERS = {"a": "mended", "b": "as it stands", "c": "data", "d": "a mode lost"}
"""Who made each of the four clouds."""
WRONG = 5
"""The number of the wrong line."""
BETAS = np.linspace(1e-3, 0.2, 100)
"""A chain of 100 steps that ends where DDPM's of 1,000 does."""


def four_clouds() -> dict[str, Array]:
    """Four clouds of 2,000 points (2000, 2), by their letters: data of the ring, and three that are none."""
    ring, rng = td.toys.ring8(), np.random.default_rng(0)
    data, labels = ring.sample(rng, 4000, labels=True)
    clouds = {"data": data[2000:], "a mode lost": data[labels != 3][:2000]}
    clouds["mended"] = back(lambda variance: variance**0.5)
    clouds["as it stands"] = back(lambda variance: variance)
    return {letter: clouds[maker] for letter, maker in MAKERS.items()}


def back(size: Callable[[float], float]) -> Array:
    """2,000 points out of noise in 100 steps, whose noise has this size for a variance."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 2))
    for t in range(len(BETAS), 0, -1):
        mean, variance = law_back(x, denoiser(x, t), t)
        x = mean + size(variance) * rng.standard_normal(x.shape)
    return x


def denoiser(x: Array, t: int) -> Array:
    """The exact E[x_0|x_t] of the ring."""
    now = course_answers.level(t, BETAS)
    return td.toys.ring8().x0_mean(x, now.alpha, now.sigma)


def law_back(x: Array, x0_hat: Array, t: int) -> tuple[Array, float]:
    """Mean and variance of the step back, given x_0."""
    return course_answers.posterior(x, x0_hat, t, BETAS)


def measured(x: Array) -> tuple[float, float, float]:
    """Mean −ln q (nats), width of a mode (standard deviation of a coordinate), share of the rarest mode."""
    ring = td.toys.ring8()
    squared = np.sum((x[:, None] - ring.means) ** 2, axis=-1)
    share = np.bincount(np.argmin(squared, axis=1), minlength=8) / len(x)
    width = np.sqrt(np.mean(np.min(squared, axis=1)) / 2)
    return float(-np.mean(ring.log_density(x))), float(width), float(np.min(share))


def who_made_them(letters: str, line: int, mended: Callable) -> Parts:
    """Three letters, the wrong line, and the cloud of the mended program."""
    found = dict(zip(("mended", "as it stands", "a mode lost"), letters, strict=False))
    for maker, letter in found.items():
        right = MAKERS.get(letter) == maker
        yield right, f"{letter} for “{maker}”." + " The numbers of that cloud say something else." * (not right)
    if len(found) < 3:
        yield False, f"Three letters are asked; got {letters!r}."
    yield line == WRONG, f"You name line {line}." + " It does what it should." * (line != WRONG)
    nll, width, _ = measured(mended(denoiser, law_back, np.random.default_rng(2)))
    right_nll, right_width, _ = measured(back(lambda variance: variance**0.5))
    right = abs(nll - right_nll) < 0.1 and abs(width / right_width - 1) < 0.05
    wanted = "as one of the clouds" if right else f"wanted are {right_nll:.2f} and {right_width:.3f}"
    yield right, f"The mended program has −ln q {nll:.2f} and width {width:.3f}; {wanted}."


def half_after_ten(beta: float) -> Parts:
    """The share of a variance of 1 that is still data after ten steps, against a half, to 1e-4."""
    yield 0 < beta < 1, f"A β between 0 and 1: {beta:.4g}."
    if not 0 < beta < 1:
        return
    steps, betas = np.zeros((11, 1, 1)), np.full(10, float(beta))
    for source in range(11):  # what a 1 gives at the end, that stands in the data or in one of ten noises
        steps[source] = source == 0
        for t in range(1, 11):
            steps[source] = course_answers.q_step(steps[source], t, np.full((1, 1), float(source == t)), betas)
    share = float(steps[0, 0, 0] ** 2 / np.sum(steps**2))
    yield abs(share - 0.5) < 1e-4, f"After ten steps {share:.4%} of the variance are data; a half is asked, to 0.01 %."
