"""What judges the answers of notebook 7, Learning well; its recipes, and how far each is from perfect."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

import tinydiff as td
from tinydiff import course_answers
from tinydiff.course_answers import last_of

Parts = Iterator[tuple[bool, str]]
Network = Callable[[np.ndarray, int], tuple[np.ndarray, Callable]]
Law = Callable[[np.random.Generator, int], np.ndarray]

LEVELS = np.linspace(9, -8, 341)
BETAS = course_answers.betas_from_log_snr(LEVELS)
"""The chain of the notebook: a fine ruler, even in the log-SNR."""
DDPM = course_answers.log_snrs(np.linspace(1e-4, 0.02, 1000))
RING = td.toys.ring8()


# ---- recipes


def uniform_t(rng: np.random.Generator, n: int) -> np.ndarray:
    """The log-SNRs of DDPM's chain, all steps alike."""
    return DDPM[rng.integers(1000, size=n)]


def uniform_lam(rng: np.random.Generator, n: int) -> np.ndarray:
    """All log-SNRs from −8 to 9 alike."""
    return rng.uniform(-8, 9, n)


def normal(centre: float = 3.0, width: float = 2.5) -> Law:
    """Log-SNRs from N(centre, width²)."""
    return lambda rng, n: centre + width * rng.standard_normal(n)


RECIPES = {
    "uniform t, as in 06": (uniform_t, False, False),
    "uniform λ": (uniform_lam, False, False),
    "levels": (normal(), False, False),
    "target": (uniform_t, True, False),
    "Muon": (uniform_t, False, True),
    "levels, target": (normal(), True, False),
    "levels, Muon": (normal(), False, True),
    "target, Muon": (uniform_t, True, True),
    "levels, target, Muon": (normal(), True, True),
}
"""Law of the log-SNRs, whether the target is the batch's, and whether Muon moves the matrices."""
MEASURED = {
    "uniform t, as in 06": (1.555, 0.165),
    "uniform λ": (1.255, 0.185),
    "levels": (0.914, 0.024),
    "target": (1.138, 0.069),
    "Muon": (1.015, 0.069),
    "levels, target": (0.854, 0.047),
    "levels, Muon": (0.210, 0.066),
    "target, Muon": (0.651, 0.090),
    "levels, target, Muon": (0.060, 0.006),
}
"""Nats over the floor after 600 steps of 256 points, mean and standard deviation of 20 seeds, as `measure` has them."""


def train(law: Law, batch_target: bool, muon: bool, *, steps: int = 600, seed: int = 0, **options: Any) -> Iterator:
    """Train on 10,000 points of the ring: loss and network of each step."""
    rng = np.random.default_rng(seed)

    def times(rng: np.random.Generator) -> np.ndarray:
        return 1 + np.argmin(np.abs(LEVELS - law(rng, 16)[:, None]), axis=1)

    points = RING.sample(rng, 10_000)
    options |= {"batch_target": batch_target, "muon": muon}
    return course_answers.learn(points, BETAS, steps, rng, times, **options)


def measure(seeds: int = 20) -> dict[str, tuple[float, float]]:
    """Make `MEASURED` again."""
    found = {}
    for name, recipe in RECIPES.items():
        each = [nats(last_of(train(*recipe, seed=seed))[0], BETAS) for seed in range(seeds)]
        found[name] = (round(float(np.mean(each)), 3), round(float(np.std(each, ddof=1)), 3))
    return found


# ---- how far from perfect


def excess(network: Network, betas: np.ndarray, n: int = 800, data: td.GaussianMixture = RING) -> np.ndarray:
    """λ, and the mean square of ε̂ − ε* per coordinate, (2, levels), at the times of the chain next to −8, −7.5, … 9."""
    rng, log_snr, chain = np.random.default_rng(70), course_answers.log_snrs(betas), td.Discrete(betas)
    times = np.unique(1 + np.argmin(np.abs(log_snr - np.linspace(9, -8, 35)[:, None]), axis=1))
    found = []
    for t in times.tolist():
        now = chain.at(t / len(betas))
        x_t = now.perturb(data.sample(rng, n), rng.standard_normal((n, data.dim)))
        exact = -now.sigma * data.diffused(now.alpha, now.sigma).score(x_t)
        found.append(np.mean((now.sigma * x_t + now.alpha * network(x_t, t)[0] - exact) ** 2))
    return np.array([log_snr[times - 1], found])


def nats(network: Network, betas: np.ndarray, n: int = 800, data: td.GaussianMixture = RING) -> float:
    """D/2 times the area under the excess, over the log-SNR: what the bound has too much."""
    lam, each = excess(network, betas, n, data)
    return float(data.dim / 2 * np.trapezoid(each[::-1], lam[::-1]))


def draw(network: Network, n: int = 300) -> np.ndarray:
    """Points (n, 2) by `ancestral`, from a network of `BETAS`, at every tenth of its times."""
    rng, coarse = np.random.default_rng(71), course_answers.betas_from_log_snr(LEVELS[::10])

    def x0_hat_of(x_t: np.ndarray, t: int) -> np.ndarray:
        return course_answers.from_v(x_t, 10 * t - 9, network(x_t, 10 * t - 9)[0], BETAS)[0]

    return course_answers.ancestral(x0_hat_of, rng.standard_normal((n, 2)), rng.standard_normal((35, n, 2)), coarse)


def film(recipe: tuple[Law, bool, bool], every: int = 100) -> tuple[list[np.ndarray], list[float], Network]:
    """Points and nats after 100, 200, … 600 steps, and the last network."""
    kept = [network for k, (_, network) in enumerate(train(*recipe), 1) if k % every == 0]
    return [draw(network) for network in kept], [nats(network, BETAS, n=300) for network in kept], kept[-1]


def a_gradient() -> np.ndarray:
    """The gradient of the middle matrix, 64 × 64, in a network that was not trained yet."""
    rng, lam = np.random.default_rng(72), np.repeat(normal()(np.random.default_rng(73), 16), 16)
    alpha, sigma = np.sqrt(1 / (1 + np.exp(-lam)))[:, None], np.sqrt(1 / (1 + np.exp(lam)))[:, None]
    params = []
    for n, m in ((18, 64), (64, 64), (64, 2)):
        params += [rng.standard_normal((n, m)) * np.sqrt(2 / n), np.zeros(m)]
    x0, eps = RING.sample(rng, 256), rng.standard_normal((256, 2))
    v_hat, pullback = course_answers.mlp(params, course_answers.inputs(alpha * x0 + sigma * eps, lam))
    return pullback(v_hat - (alpha * eps - sigma * x0))[0][2]


# ---- exercise 7.4


def without_time(x_t: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """What network B sees: the time of the first step at each but the last."""
    return course_answers.inputs(x_t, np.where(lam > LEVELS[-1] + 0.01, LEVELS[0], LEVELS[-1]))


def two_networks() -> dict[str, tuple[Network, np.ndarray]]:
    """Networks and losses: A has its own target and sees the time, B has the batch's and does not see it."""
    return {
        "A": last_of(train(normal(), batch_target=False, muon=True, seed=1)),
        "B": last_of(train(normal(), batch_target=True, muon=True, seed=1, inputs=without_time)),
    }


# ---- judges


def two_judgements(best: str, better: str, line: int, lam: float, mended: Callable) -> Parts:
    """Which model is best, twice; the line, the one right level, and the program without its fault."""
    same = str(best).strip().lower() == "none"
    yield same, f"Best of the three perfect models: {best}" + ": no. Perfect models are equal." * (not same)
    right = str(better).strip().upper() == "A"
    yield right, f"The better network is {better}" + ": no. Look at its nats." * (not right)
    yield line == 1, f"The fault is in line {line}" + ": no." * (line != 1)
    yield bool(abs(lam - 6.5) <= 0.75), f"λ = {lam}; wanted, the place of the notch, to 0.75."
    rng, off = np.random.default_rng(74), 0.0
    for t in (1, 2, 77, 170, 340, 341):
        x_t = rng.standard_normal((5, 2))
        apart = np.sort(mended(x_t, t), axis=1) - np.sort(course_answers.inputs(x_t, LEVELS[t - 1]), axis=1)
        off = max(off, float(np.max(np.abs(apart))))  # the waves may stand in any order
    yield off < 1e-9, f"At six times your program is off by at most {off:.0e}."


def train_well(answer: Callable) -> Parts:
    """The nats after 300 steps on the ring, at the times of another chain than the notebook's."""
    rng, betas = np.random.default_rng(75), np.linspace(0.001, 0.2, 100)
    network, losses = answer(RING.sample(rng, 10_000), betas, 300, rng)
    yield np.shape(losses) == (300,), f"The losses of 300 steps have the shape {np.shape(losses)}."
    found = nats(network, betas)
    yield found < 1, f"After 300 steps it is {found:.2f} nats over the floor; wanted, under 1. The loop of 06: 2.2."


def better_network(network: Network) -> Parts:
    """The nats over the floor on the ring, beside ours."""
    (ours, spread), score = MEASURED["levels, target, Muon"], nats(network, BETAS)
    level = "level with ours" if abs(score - ours) < 2 * spread else f"ours {ours:.3f} ± {spread:.3f}"
    yield score < ours + 2 * spread, f"Your network is {score:.3f} nats over the floor; {level}."


def three_demands(coefficients: Callable) -> Parts:
    """The variances of input and target from those of data and noise, and the least c_out, at twelve pairs."""
    rng, seen, wanted, least, signs = np.random.default_rng(76), 0.0, 0.0, 0.0, True
    for sigma, own in np.exp(rng.uniform(-3, 3, (12, 2))).tolist():
        c_skip, c_out, c_in = coefficients(sigma, own)
        best = np.sqrt(np.min((1 - (skips := np.linspace(0, 1, 100_001))) ** 2 * own**2 + skips**2 * sigma**2))
        seen = max(seen, abs(c_in**2 * (own**2 + sigma**2) - 1))
        wanted = max(wanted, abs(((1 - c_skip) ** 2 * own**2 + c_skip**2 * sigma**2) / c_out**2 - 1))
        least, signs = max(least, c_out / best - 1), signs and c_out >= 0 and c_in > 0
    yield bool(seen < 1e-9), f"The variance of what F sees is off from 1 by at most {seen:.0e}."
    yield bool(wanted < 1e-9), f"The variance of what F should answer is off from 1 by at most {wanted:.0e}."
    yield bool(least < 1e-4), f"c_out is at most {100 * least:.2g} % above the least that is possible."
    yield bool(signs), "c_out and c_in are positive." if signs else "c_out or c_in is negative."


def all_directions(iterated: Callable) -> Parts:
    """Singular values and vectors of matrices of three shapes; the scale of a matrix; the square of an error."""
    rng, turned, off, scaled, near = np.random.default_rng(77), 0.0, 0.0, 0.0, []
    for n, m in ((5, 5), (4, 7), (7, 3)):
        u, _, v = np.linalg.svd(rng.standard_normal((n, m)), full_matrices=False)
        matrix = u * np.linspace(1, 0.2, len(v)) @ v
        within = u.T @ iterated(matrix, 4) @ v.T
        turned = max(turned, float(np.max(np.abs(within - np.diag(np.diag(within))))))
        off = max(off, float(np.max(np.abs(u.T @ iterated(matrix, 40) @ v.T - np.eye(len(v))))))
        scaled = max(scaled, float(np.max(np.abs(iterated(300 * matrix, 3) - iterated(matrix, 3)))))
        errors = [np.max(np.abs(1 - np.linalg.svd(iterated(u @ v, k), compute_uv=False))) for k in range(1, 8)]
        near += [(e, then) for e, then in pairwise(errors) if 1e-4 < e < 0.3]
    yield turned < 1e-9, f"Singular vectors stay, to {turned:.0e}."
    yield off < 1e-9, f"After 40 steps all singular values are 1, to {off:.0e}."
    yield scaled < 1e-9, f"A matrix 300 times as large has the same answer, to {scaled:.0e}."
    e, then = max(near, key=lambda pair: pair[1] / pair[0] ** 2, default=(1.0, 2.0))
    yield bool(then < 2 * e**2), f"Near 1 an error of {e:.4f} becomes {then:.2g}; its square is {e**2:.2g}."
