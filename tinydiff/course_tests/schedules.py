"""What judges the answers of notebook 2, Schedules are curves."""

from collections.abc import Callable, Iterator

import numpy as np

import tinydiff as td

Parts = Iterator[tuple[bool, str]]


def grey_images(line: int, mended: Callable) -> Parts:
    """The wrong line, and the standard deviations over 2,000 images of 784 pixels of the mended program."""
    yield line == 1, f"You name line {line}." + " The others do what they should." * (line != 1)
    images = mended(np.random.default_rng(20), 2000)
    light = images.mean(axis=1, keepdims=True)
    data = np.sqrt(0.91 + 0.09 / 784)
    right = abs(light.std() - data) < 4 * data / np.sqrt(4000)
    yield bool(right), f"Standard deviation of the brightness: {light.std():.3f}, of the data {data:.3f}."
    grain = (images - light).std()
    yield bool(abs(grain - 0.3) < 0.003), f"Standard deviation of the grain: {grain:.3f}, of the data 0.300."


def fifty_steps(betas: np.ndarray) -> Parts:
    """The prior gap (nats) and the longest step in |λ| < 5 (nats) of a chain of 50 steps."""
    betas = np.asarray(betas, float)
    valid = betas.shape == (50,) and bool(np.all((betas > 0) & (betas < 1)))
    yield valid, f"50 numbers between 0 and 1: got {betas.shape}, from {np.min(betas):.2g} to {np.max(betas):.2g}."
    if not valid:
        return
    log_signal = np.cumsum(np.log1p(-betas))
    lam = log_signal - np.log(-np.expm1(log_signal))
    yield bool(lam[0] > 6 - 1e-6), f"The first λ is {lam[0]:.2f}; it must be at least 6."
    gap = -784 / 2 * np.log1p(-np.exp(log_signal[-1]))
    yield bool(gap < 0.01), f"The prior gap is {gap:.4f} nats; it must be under 0.01."
    touch = (lam[:-1] > -5 + 1e-9) & (lam[1:] < 5 - 1e-9)
    longest = np.max(-np.diff(lam)[touch], initial=0.0)
    yield bool(longest < 0.25), f"The longest step in the band is {longest:.3f}; it must be under 0.25."


OURS = 0.6631
"""The score of the mean of λ over the likelihood, where all λ from −½ to 4½ are possible."""


def errors(estimate: Callable) -> list[float]:
    """The rms errors of λ (nats) near λ = 0, 2 and 4, each from 60 times 100 points of the ring."""
    ring, rng, found = td.toys.ring8(), np.random.default_rng(0), []
    known = ring.weights, ring.means, ring.covariances[:, 0, 0]
    for middle in (0, 2, 4):
        off = []
        for _ in range(60):
            lam = middle + rng.uniform(-0.5, 0.5)
            alpha, sigma = np.sqrt(1 / (1 + np.exp(-lam))), np.sqrt(1 / (1 + np.exp(lam)))
            x = alpha * ring.sample(rng, 100) + sigma * rng.standard_normal((100, 2))
            off.append(float(estimate(x, *known)) - lam)
        found.append(float(np.sqrt(np.mean(np.square(off)))))
    return found


LEVELS = np.linspace(-4, 8, 81)


def by_moment(x: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> float:
    """The λ at which E‖x‖⁴ is that of the points."""
    signal = 1 / (1 + np.exp(-LEVELS[:, None]))
    square, v = signal * np.sum(means**2, axis=1), signal * variances + 1 - signal  # of each component, (81, K)
    exact = (square**2 + 8 * v * square + 8 * v**2) @ weights
    return float(LEVELS[np.argmin(np.abs(exact - np.mean(np.sum(x**2, axis=1) ** 2)))])


def by_likelihood(x: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> float:
    """The λ at which the points are likeliest."""
    law = td.GaussianMixture(weights, means, variances[:, None, None] * np.eye(2))
    signal = 1 / (1 + np.exp(-LEVELS))
    nats = [np.sum(law.diffused(np.sqrt(a), np.sqrt(1 - a)).log_density(x)) for a in signal]
    return float(LEVELS[np.argmax(nats)])


def table() -> str:
    """The scores to beat."""
    rows = {
        "fourth moment E‖x‖⁴, matched": sum(errors(by_moment)),
        "likelihood, its highest point on −4 … 8": sum(errors(by_likelihood)),
        "ours, likelihood and one idea more": OURS,
    }
    lines = [f"{name:45s} {score:8.2f}" for name, score in rows.items()]
    return "\n".join(["λ is anywhere between −0.5 and 4.5               score", *lines])


def which_time(estimate: Callable) -> Parts:
    """The sum of the rms errors of λ (nats) near λ = 0, 2 and 4, from 60 times 100 points of the ring."""
    each = errors(estimate)
    score = sum(each)
    level = "level with ours" if abs(score / OURS - 1) < 1e-4 else f"ours {OURS:.3f}"
    of_each = ", ".join(f"{error:.3f}" for error in each)
    yield score <= OURS * 1.0001, f"Your score is {score:.3f} ({of_each} near λ = 0, 2, 4); {level}."
