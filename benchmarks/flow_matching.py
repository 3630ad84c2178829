"""From a ring to a spiral: what the coupling does to a velocity, and what reflow does.

    python benchmarks/flow_matching.py         # five minutes of a core

Each row is a velocity of one network and one number of steps. Straightness is ∫ E ‖(x_1 − x_0) − u‖²/D dt along its own
flow; cost is E ‖x_1 − x_0‖²/D between the ends of that flow. At 1, 2, 4 Euler steps: the rms distance to the end of its
own flow, and the energy distance to true points, beside that of other true points. A reflow whose pairs were shuffled
is a control: what straightens is the pairing, not the second training.
"""

import time
from functools import partial

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.learned.couplings import straightness, transport_cost

N, FEW = 4000, (1, 2, 4)
RING, SPIRAL = td.toys.ring8(), td.toys.spiral60()
TS = np.linspace(1, 0, 51)
learn = partial(td.flow_matching, steps=1500, batch=256, rng=0, progress=False)


def shuffled(pairs: td.couplings.Pairs) -> td.couplings.Pairs:
    """The same points, paired at random."""

    def anew(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        x0, x1 = pairs(rng, n)
        return x0, x1[rng.permutation(n)]

    return anew


def reflow(u: td.Velocity) -> td.couplings.Pairs:
    """Points of the ring with where a velocity carries them."""
    return td.couplings.reflowed(lambda x: td.last(td.flow(u, x, TS, method="heun"))[1], RING.sample(7, 20_000))


def measured(name: str, u: td.Velocity, seconds: float) -> None:
    """Print a row."""
    x1, true = RING.sample(11, N), SPIRAL.sample(12, N)
    walk = list(td.flow(u, x1, np.linspace(1, 0, 101)))
    end = walk[-1][1]
    row = f"{name:34}{straightness(u, walk):10.4f}{transport_cost(end, x1):8.3f}"
    for steps in FEW:
        x = td.last(td.flow(u, x1, np.linspace(1, 0, steps + 1), method="euler"))[1]
        row += f"{np.sqrt(np.mean((x - end) ** 2)):8.4f}{td.energy_distance(x, true):8.4f}"
    print(row + f"{td.energy_distance(end, true):9.4f}{seconds:8.0f}", flush=True)


def main() -> None:
    """Train and print, row by row."""
    independent = td.couplings.independent(SPIRAL, RING)
    others = td.energy_distance(SPIRAL.sample(13, N), SPIRAL.sample(12, N))
    print(f"energy distance of true points to others: {others:.4f}")
    head = "".join(f"{f'rms, {n}':>8}{f'E, {n}':>8}" for n in FEW)
    print(f"{'coupling':34}{'straight':>10}{'cost':>8}{head}{'E, flow':>9}{'CPU s':>8}")
    found: dict[str, td.Velocity] = {}
    rows = {
        "independent": lambda: independent,
        "optimal, groups of 64": lambda: td.couplings.optimal(independent, 64),
        "optimal, groups of 256": lambda: td.couplings.optimal(independent, 256),
        "reflow of independent": lambda: reflow(found["independent"]),
        "reflow of that": lambda: reflow(found["reflow of independent"]),
        "reflow of optimal, 64": lambda: reflow(found["optimal, groups of 64"]),
        "reflow of independent, shuffled": lambda: shuffled(reflow(found["independent"])),
    }
    for name, pairs in tqdm(rows.items(), unit="velocity"):
        start = time.process_time()
        found[name] = learn(pairs())
        measured(name, found[name], time.process_time() - start)


if __name__ == "__main__":
    main()
