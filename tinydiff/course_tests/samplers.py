"""What judges the answers of notebook 8, One family of samplers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import tinydiff as td
from tinydiff import course_answers as library

Parts = Iterator[tuple[bool, str]]
EpsOf = Callable[[np.ndarray, int], np.ndarray]
Times = Sequence[int] | np.ndarray

BETAS = np.linspace(1e-4, 0.02, 1000)
"""The chain of the notebook, which is DDPM's."""
NARROW = 0.04
"""The variance of the data for which exercise 8.4 chooses times."""
ENOUGH = 0.88
"""The share of that variance that is wanted; equal steps of the best kind reach .884."""


def even(steps: int, length: int = 1000) -> np.ndarray:
    """The times of so many steps from the last to 0, as equal as whole numbers can be, (steps + 1,)."""
    return np.rint(np.linspace(length, 0, steps + 1)).astype(int)


# ---- the loop


def ddim(answer: Callable) -> Parts:
    """What the loop asks the network, and where it ends, beside the library's steps."""
    rng = np.random.default_rng(81)
    betas, visited = rng.uniform(0.01, 0.3, 12), [12, 11, 7, 3, 2, 0]
    x, zs = rng.standard_normal((4, 2)), rng.standard_normal((5, 4, 2))
    for eta in (0.0, 0.5, 1.0):
        asked: list[int] = []

        def eps_of(x_t: np.ndarray, t: int, asked: list[int] = asked) -> np.ndarray:
            asked.append(int(t))
            return np.tanh(x_t + t / 12)

        end = np.asarray(answer(eps_of, x.copy(), visited, zs, betas, eta), dtype=float)
        if asked != visited[:-1]:
            yield False, f"η = {eta:g}: the times {visited} are visited, and the network is asked at {asked}."
            return
        right = library.ddim(lambda x_t, t: np.tanh(x_t + t / 12), x, visited, zs, betas, eta)
        if end.shape != right.shape:
            yield False, f"η = {eta:g}: points of the shape {right.shape} are wanted; got {end.shape}."
            return
        apart = np.max(np.abs(end - right))
        yield apart < 1e-9, f"η = {eta:g}: its ends are {apart:.1g} from those of right steps; wanted, below 1e-9."


# ---- the variance of few steps


def equal_angles(variance: Callable) -> Parts:
    """The variance of N(0, 1) after N equal angles, beside the loop with the perfect answer."""
    rng, worst = np.random.default_rng(82), 0.0
    for n in (1, 2, 3, 10, 57):
        phi = rng.uniform(0.3, 1.5)
        left = np.cos(np.linspace(0, phi, n + 1)) ** 2
        walked = library.ddim(
            lambda x_t, t, left=left: np.sqrt(1 - left[t]) * x_t,
            np.ones((1, 1)),
            range(n, -1, -1),
            np.zeros((n, 1, 1)),
            1 - left[1:] / left[:-1],
            0.0,
        )
        worst = max(worst, abs(float(variance(n, phi)) - walked.item() ** 2))
    yield worst < 1e-12, f"For five pairs (N, φ) it is off by at most {worst:.1g}; wanted, below 1e-12."


def ratio(visited: Times, variance: float = NARROW) -> float:
    """The exact variance of DDIM's points over that of the data N(0, variance), along these times of BETAS."""
    x = np.ones((1, 1))

    def eps_of(x_t: np.ndarray, t: int) -> np.ndarray:
        now = library.level(t, BETAS)
        return now.sigma * x_t / (now.alpha**2 * variance + now.sigma**2)

    steps = [int(t) for t in visited]
    return float(library.ddim(eps_of, x, steps, np.zeros((len(steps) - 1, 1, 1)), BETAS, 0.0).item() ** 2 / variance)


def tried() -> dict[str, float]:
    """The ratios of 20 steps that one would try, and of ours; where two whole numbers agree a step is lost."""
    i = np.arange(21) / 20
    lam = np.log([library.snr(t, BETAS) for t in range(1, 1001)])
    even_lam = [1 + int(np.argmin(np.abs(lam - at))) for at in np.linspace(lam[-1], lam[0], 20)]
    grids = {
        "even in t": even(20),
        "even in the log-SNR": np.array([*even_lam, 0]),
        "in proportion to (1 − i/20)²": np.rint(1000 * (1 - i) ** 2).astype(int),
        "in proportion to (1 − i/20)³": np.unique(np.rint(1000 * (1 - i) ** 3).astype(int))[::-1],
        "ours": equal_turns(20, NARROW),
    }
    return {name: ratio(grid) for name, grid in grids.items()}


def equal_turns(steps: int, variance: float) -> np.ndarray:
    """Times at which the angle arctan(σ/(α √variance)) falls in equal steps, as near as whole numbers come."""
    left = library.alpha_bar(BETAS)
    angle = np.arctan2(np.sqrt(1 - left), np.sqrt(left * variance))
    return np.array([int(np.argmin(np.abs(angle - at))) for at in np.linspace(angle[-1], 0, steps + 1)])


def times(visited: Times) -> Parts:
    """Twenty steps from 1000 to 0, and the share of the variance that DDIM keeps."""
    found = np.asarray(visited)
    steps = len(found) - 1
    yield (
        found.ndim == 1 and 1 <= steps <= 20 and bool(np.all(found == np.rint(found))),
        f"At most 20 steps between whole numbers are wanted; got {steps}.",
    )
    falls = found[0] == 1000 and found[-1] == 0 and bool(np.all(np.diff(found) < 0))
    yield falls, "The times fall from 1000 to 0" + ": no." * (not falls)
    if falls:
        share = ratio(found)
        yield share >= ENOUGH, f"Variance over that of the data: {share:.3f}; wanted, at least {ENOUGH}."


# ---- three programs

LINES = {"A": 2, "B": 1, "C": 0}
"""The faulty line of each program of exercise 8.3, 0 for the right one."""
SEEN = {"A": "both", "B": "narrow", "C": "none"}
"""The data sets that show its fault: N(0, 0.04), N(0, 1) or both."""


def three_programs(missing: Callable, faulty_line: dict[str, Any], seen_with: dict[str, Any]) -> Parts:
    """What twenty right strides miss of N(0, 1) on hidden chains; the fault of each program, and what shows it."""
    for program in "ABC":
        line, seen = faulty_line[program], seen_with[program]
        if line is ... or seen is ...:
            yield False, f"Program {program}: not yet."
            continue
        said = f"wrong in line {line}" if line else "right"
        yield line == LINES[program], f"Program {program} is {said}" + ": no." * (line != LINES[program])
        yield seen == SEEN[program], f"Data that show its fault: {seen}" + ": no." * (seen != SEEN[program])
    rng, worst = np.random.default_rng(83), 0.0
    for _ in range(3):
        betas = rng.uniform(0, 0.02, 1000)
        worst = max(worst, abs(float(missing(betas)) - (1 - library.alpha_bar(betas)[50])))
    yield worst < 1e-9, f"On three hidden chains the missing variance is off by {worst:.1g}; wanted, below 1e-9."


# ---- the open problem

EVALUATIONS = 10
OURS = np.rint(1000 * np.linspace(1, 0, 11) ** 1.5).astype(int)
"""Our times for ten steps."""


def score(sampler: Callable, eps_of: EpsOf, count: int = 2000, draws: int = 3) -> float:
    """Energy distance of points drawn by sampler(eps_of, x, betas, rng) to points of the ring, the mean of three draws.

    Raises ValueError where a sampler asks more than ten times.
    """
    ring, found = td.toys.ring8(), []
    for seed in range(draws):
        rng, asked = np.random.default_rng([84, seed]), [0]

        def counted(x_t: np.ndarray, t: int, asked: list[int] = asked) -> np.ndarray:
            asked[0] += 1
            return eps_of(x_t, t)

        points = sampler(counted, rng.standard_normal((count, 2)), BETAS, rng)
        if asked[0] > EVALUATIONS:
            raise ValueError(f"the network may be asked {EVALUATIONS} times, and was asked {asked[0]} times")
        found.append(td.energy_distance(points, ring.sample(np.random.default_rng([85, seed]), count)))
    return float(np.mean(found))


def along(visited: Times, eta: float) -> Callable:
    """The sampler of the open problem that takes DDIM's steps along these times."""

    def sampler(eps_of: EpsOf, x: np.ndarray, betas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        zs = rng.standard_normal((len(visited) - 1, *x.shape))
        return library.ddim(eps_of, x, [int(t) for t in visited], zs, betas, eta)

    return sampler


def known(eps_of: EpsOf) -> dict[str, float]:
    """The scores of a network along times that are even in t, and along ours."""
    return {
        "even in t, η = 0": score(along(even(10), 0.0), eps_of),
        "even in t, η = 1": score(along(even(10), 1.0), eps_of),
        "equal angles, η = 0": score(along(equal_turns(10, 1.0), 0.0), eps_of),
        "ours, η = 0": score(along(OURS, 0.0), eps_of),
    }


def ten_evaluations(sampler: Callable, eps_of: EpsOf) -> Parts:
    """The score of a sampler with the reader's network, beside ours with the same."""
    yours, ours = score(sampler, eps_of), score(along(OURS, 0.0), eps_of)
    level = "level with ours" if abs(yours / ours - 1) < 0.05 else f"ours {ours:.4f}"
    yield yours < 1.05 * ours, f"Energy distance {yours:.4f}; {level}."
