"""How near samplers come to the truth, on which grids, in 50 evaluations of an exact denoiser and in 20.

    python benchmarks/sampling.py

On five toys, each sampler draws 20,000 points on each grid, all from the same noise. What solves the flow is measured
by its rms distance to where the flow itself carries the noise; all are measured by their law: the mean log-density, in
standard errors from the exact one, and the p-values of the energy distance to true points and of the counts of the
modes. Each result goes to sampling.json as it comes, and one that is there is not measured again: delete the file, or
lines of it, to repeat them. The site makes its page of defaults from that file.
"""

import argparse
import json
from itertools import groupby
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("sampling.json")
TOYS = ("ring8", "grid25", "moons32", "pinwheel40", "spiral60")
N, NOISE = 20_000, 11
BUDGETS = (50, 20)
SAMPLERS: dict[str, tuple[Any, int, bool]] = {  # the sampler, its evaluations for each step, whether it solves the flow
    "adams_bashforth": (td.adams_bashforth, 1, True),
    "dpm_solver_2m": (td.dpm_solver_2m, 1, True),
    "ddim": (td.ddim, 1, True),
    "probability_flow, RK4": (td.probability_flow, 4, True),
    "edm_heun": (td.edm_heun, 2, True),
    "ddpm": (td.ddpm, 1, False),
}
GRIDS = {name: getattr(td.grids, name) for name in ("logistic", "even_log_snr", "karras", "even_time")}
EXACT = "the flow itself"
"""Solved by RK45 to seven digits: what its law owes to the noise that all begin from."""

Job = tuple[str, str, str, int]


def jobs() -> list[Job]:
    """Toy, sampler, grid, evaluations. EDM's grid is for EDM's sampler; equal steps in t are lost at 20."""
    pairs = [(name, grid) for name in SAMPLERS for grid in GRIDS if grid != "karras" or name == "edm_heun"]
    each = [(*pair, budget) for budget in BUDGETS for pair in pairs if budget == BUDGETS[0] or pair[1] != "even_time"]
    return [(toy, *job) for toy in TOYS for job in [(EXACT, "", 0), *each]]


def measure(todo: list[Job]) -> list[dict[str, Any]]:
    """The results of jobs of one toy."""
    data = td.toys.TOYS[todo[0][0]]()
    model = td.Oracle(data, td.VP())
    rng = np.random.default_rng(NOISE + 1)
    true, mean = data.sample(rng, N), -data.entropy(rng, n=1_000_000)[0]
    exact, found = flow(model), []
    for toy, name, grid, budget in todo:
        x = exact if name == EXACT else draw(model, name, grid, budget)
        log_q = data.log_density(x)
        distance = float(np.sqrt(np.mean(np.sum((x - exact) ** 2, axis=1))))
        found.append({
            "toy": toy, "sampler": name, "grid": grid, "evaluations": budget,
            "rms": distance if name in SAMPLERS and SAMPLERS[name][2] else None,
            "nats": float(np.mean(log_q)) - mean,
            "z": (float(np.mean(log_q)) - mean) / float(np.std(log_q)) * np.sqrt(N),
            "energy_p": energy_p(x, true, np.random.default_rng(3)),
            "counts_p": td.mode_coverage(data, x, rng=4).p_value,
        })  # fmt: skip
    return found


def flow(model: td.Oracle) -> np.ndarray:
    """Where the probability flow carries the noise that `draw` begins from: x̂_0 at its end."""
    process, ends = model.process, []
    x = process.prior(np.random.default_rng(NOISE), N, model.like)
    for rows in np.split(x, 10):  # the worst row decides the steps of all
        walk = td.probability_flow(model, rows, (process.t_max, process.t_min), method="rk45", rtol=1e-7, atol=1e-7)
        ends.append(model.x0(td.last(walk)[1], process.t_min))
    return np.concatenate(ends)


def draw(model: td.Oracle, name: str, grid: str, budget: int) -> np.ndarray:
    """As many steps as the evaluations pay, one of them for the answer."""
    sampler, cost, _ = SAMPLERS[name]
    return td.sample(model, N, sampler=sampler, steps=1 + (budget - 1) // cost, grid=GRIDS[grid], rng=NOISE)


def energy_p(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, lines: int = 8, permutations: int = 99) -> float:
    """The p-value of the energy distance of samples in the plane, by permutation of their points.

    It is π/2 times the mean over directions of that of the projections, and on a line the energy distance is
    2 ∫ (F − G)² ds: with the points in order, a sum of squares of running sums of signs.
    """
    angles = np.pi * np.arange(lines) / lines
    along = np.stack([np.cos(angles), np.sin(angles)]).T @ np.concatenate([x, y]).T
    order = np.argsort(along, axis=1)
    gaps = np.diff(np.take_along_axis(along, order, axis=1), axis=1)
    signs = np.repeat([1, -1], len(x))

    def distance(signs: np.ndarray) -> float:
        apart = np.cumsum(signs[order], axis=1)[:, :-1].astype(float)
        return float(np.vdot(gaps, apart * apart))

    found = distance(signs)
    return (1 + sum(distance(rng.permutation(signs)) >= found for _ in range(permutations))) / (1 + permutations)


def main() -> None:
    """Measure what is not in sampling.json yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="toys side by side, one core each (default: 2)")
    at_once = parser.parse_args().jobs
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    there = {(each["toy"], each["sampler"], each["grid"], each["evaluations"]) for each in results}
    missing = [job for job in jobs() if job not in there]
    pieces = [list(group) for _, group in groupby(missing, itemgetter(0))]
    with get_context("spawn").Pool(at_once) as pool:
        for found in tqdm(pool.imap_unordered(measure, pieces), total=len(pieces), unit="toy"):
            results += found
            with atomic(RESULTS) as part:
                part.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
