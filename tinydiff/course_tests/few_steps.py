"""What judges the answers of notebook 13, Few steps; its trainings, and its table."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

import tinydiff as td
from tinydiff import course_answers
from tinydiff.evaluation.race import distance, exact_map

Marks = Iterator[tuple[bool, str]]
Params = list[np.ndarray]
Batch = Callable[[np.random.Generator], tuple[np.ndarray, Callable]]
Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]

PROCESS = td.VP()
TOYS = ("ring8", "spiral60", "moons32", "grid25")


# ---- the exact map, and distances to it


@cache
def oracle(toy: str = "ring8") -> td.Oracle:
    """The exact denoiser of a toy."""
    return td.Oracle(td.toys.TOYS[toy](), PROCESS)


@cache
def noise(n: int, seed: int) -> np.ndarray:
    """The noise (n, 2) that the exact map of this seed begins at."""
    return PROCESS.prior(np.random.default_rng(seed), n, oracle().like)


@cache
def ends(n: int, seed: int, toy: str = "ring8") -> np.ndarray:
    """Where the flow carries `noise(n, seed)`."""
    return exact_map(oracle(toy), n, seed)


@cache
def true(n: int = 2000, toy: str = "ring8") -> np.ndarray:
    """True points."""
    return oracle(toy).data.sample(np.random.default_rng(130), n)


def rms(x: np.ndarray, seed: int, toy: str = "ring8") -> float:
    """The distance of where a sampler carried `noise(len(x), seed)` to the exact map."""
    return distance("x", x, ends(len(x), seed, toy))


def energy(x: np.ndarray, toy: str = "ring8") -> float:
    """The energy distance to as many true points."""
    return td.energy_distance(x, true(len(x), toy))


# ---- two evaluations of DDIM

BEST = {"ring8": 2.5, "spiral60": 0.5, "moons32": 0.0, "grid25": 0.5}
"""The middle log-SNR whose two evaluations are nearest to the exact map, of −3, −2.5, … 7."""
BY_LAW = 2.0
"""That of ring8 whose points have the law nearest to the data's."""


def two(toy: str, middle: float, n: int, seed: int) -> np.ndarray:
    """Two evaluations of the exact denoiser: at the noise, and at this log-SNR."""
    ts = np.array([PROCESS.t_max, PROCESS.time(np.array([middle])).item()])
    return td.sample(oracle(toy), n, sampler=td.ddim, grid=lambda process, n: ts, steps=2, rng=seed)


def two_evaluations(middle: dict[str, float], by_law: float, n: int = 1000, seed: int = 134) -> Marks:
    """Four log-SNRs nearest to the exact map, and one of ring8 with the law nearest to the data's, by hidden noise."""
    for toy in TOYS:
        found, best = (rms(two(toy, lam, n, seed), seed, toy) for lam in (middle[toy], BEST[toy]))
        yield found < 1.02 * best, f"{toy}: rms {found:.3f} at λ = {middle[toy]:g}; ours {best:.3f}."
    found, best = (energy(two("ring8", lam, n, seed)) for lam in (by_law, BY_LAW))
    yield found < 1.05 * best, f"ring8: energy distance {found:.4f} at λ = {by_law:g}; ours {best:.4f}."


# ---- the boundary that is missing


def missing_boundary(line: int, loss: Callable, spread: float, seed: int = 133) -> Marks:
    """The line, the mended loss with hidden networks, and the standard deviation of right answers."""
    yield line == 1, f"Line {line} is at fault" + ("." if line == 1 else ": no.")
    rng, off, least = np.random.default_rng(seed), 0.0, np.inf
    for sigma_min in (0.01, 0.03):
        a, b = rng.standard_normal((2, 2, 2))
        x, y = rng.standard_normal((2, 50, 2))
        sigma = np.exp(rng.uniform(0, 3, (50, 1)))
        end = np.full((50, 1), sigma_min)
        for network in (lambda x, s, a=a, b=b: np.tanh(x @ a + np.log(s)) @ b, lambda x, s: 0 * x + 1.0):
            # at the end both answers are the points themselves
            off = max(off, abs(loss(network, x, end, y, end, sigma_min) - np.mean((x - y) ** 2)))
            least = min(least, float(loss(network, x, sigma, y, end, sigma_min)))
    yield off < 1e-9, f"At σ_min the loss is off the mean square of x − x_s by {off:.0e}, for any network."
    yield least > 0.1, f"Networks that know nothing have a loss of {least:.2f} or more beside the end" + (
        "." if least > 0.1 else ": they must not get away with it."
    )
    yield abs(spread - 1) < 0.1, f"Right answers have a standard deviation of {spread:g} in each coordinate" + (
        "." if abs(spread - 1) < 0.1 else ": no. They have the law of the data."
    )


# ---- trainings, as the notebook's, by the library's functions


def learn(
    batch: Callable, steps: int, rng: np.random.Generator, sizes: Sequence[int] = (), params: Params | None = None
) -> tuple[Params, np.ndarray]:
    """The averaged parameters of an mlp after so many steps on batch(rng) -> (x, loss of its answers), and losses."""
    if params is None:
        params = []
        for n, m in pairwise(sizes):
            params += [rng.standard_normal((n, m)) * np.sqrt(2 / n), np.zeros(m)]
    params, losses = [*params], []
    mu, nu, average = [0 * param for param in params], [0 * param for param in params], [*params]
    for k in range(1, steps + 1):
        x, loss_of = batch(rng)
        answer, pullback = course_answers.mlp(params, x)
        loss, dy = loss_of(answer)
        losses.append(loss)
        fall = 1 - k / steps
        for i, grad in enumerate(pullback(dy)[0]):
            if grad.ndim == 2:
                mu[i] = 0.95 * mu[i] + 0.05 * grad
                move = course_answers.newton_schulz(0.95 * mu[i] + 0.05 * grad, 6)
                params[i] = params[i] - 0.05 * fall * np.sqrt(max(1, grad.shape[1] / grad.shape[0])) * move
            else:
                params[i], mu[i], nu[i] = course_answers.adam_step(
                    params[i], grad, mu[i], nu[i], k, 0.01 * fall, 0.9, 0.99, 1e-8
                )
            average[i] = course_answers.ema_update(average[i], params[i], min(0.99, k / (k + 9)))
    return average, np.array(losses)


def square(wanted: np.ndarray) -> Loss:
    """The mean square of an answer's error, and its derivative."""

    def loss_of(answer: np.ndarray) -> tuple[float, np.ndarray]:
        error = answer - wanted
        return float(np.mean(error**2)), 2 * error / error.size

    return loss_of


# ---- the open problem

TABLE = {
    "DDIM, one evaluation": (1.4, 0.0, 1.0, 0.0),
}
"""rms distance to the exact map, its standard deviation, energy distance and CPU seconds, as `measured` makes them."""
OURS, SPREAD = 0.04, 0.002
"""The rms of `ours`, and its standard deviation."""
LIMIT, SIZE = 8.0, 10_000
"""CPU seconds of a training, and the most numbers of a network."""


def one_evaluation(answer: Callable, n: int = 2000, seed: int = 135) -> Marks:
    """my_map(model, rng) -> params: time, size, and the distance of mlp(params, noise) to the exact map."""
    clocks = time.process_time, time.perf_counter
    begin = [clock() for clock in clocks]
    params = answer(oracle(), np.random.default_rng(seed))
    seconds = min(clock() - at for clock, at in zip(clocks, begin, strict=True))  # several threads count more than once
    yield seconds <= LIMIT, f"It took {seconds:.1f} seconds of a processor; {LIMIT:g} are allowed."
    size = sum(np.size(param) for param in params)
    yield size <= SIZE, f"The network has {size} numbers; {SIZE} are allowed."
    x = course_answers.mlp([*params], noise(n, seed))[0]
    score, most = rms(x, seed), OURS + 2 * SPREAD
    yield score < most, f"Its rms distance is {score:.4f}; wanted, below {most:.4f}. Ours: {OURS:.4f} ± {SPREAD:.4f}."
