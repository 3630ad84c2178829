"""From a ring to a spiral: what the coupling does to a velocity, and what reflow does.

    python benchmarks/flow_matching.py         # five minutes of a core

Each row is a velocity of one network and one number of steps. Straightness is ∫ E ‖(x_1 − x_0) − u‖²/D dt along its own
flow; cost is E ‖x_1 − x_0‖²/D between the ends of that flow. At 1, 2, 4 Euler steps: the rms distance to the end of its
own flow, and the energy distance to true points, beside that of other true points. A reflow whose pairs were shuffled
is a control: what straightens is the pairing, not the second training. The figure of the docs is made at the end.
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
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


def figure(bent: td.Velocity, straight: td.Velocity) -> Path:
    """Eighty ways from the ring to the spiral, before reflow and after, and where one Euler step leads."""
    x1 = RING.sample(21, 1000)
    fig = Figure(figsize=(8.4, 4.2), dpi=110, layout="constrained")
    for ax, u, title in zip(fig.subplots(1, 2), (bent, straight), ("independent pairs", "after a reflow"), strict=True):
        ways = np.stack([x for _, x in td.flow(u, x1, TS)])
        once = td.last(td.flow(u, x1, [1.0, 0.0], method="euler"))[1]
        ax.plot(*ways[:, :80].transpose(2, 0, 1), color=td.plotting.DATA, lw=0.6, alpha=0.6)
        ax.scatter(*x1.T, s=2, color=td.plotting.DATA, label="the ring", rasterized=True)
        ax.scatter(*ways[-1].T, s=2, color=td.plotting.EXACT, label="where the flow leads", rasterized=True)
        ax.scatter(*once.T, s=2, color=td.plotting.MODEL, label="one Euler step", rasterized=True)
        ax.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal", xticks=[], yticks=[])
        ax.set_title(title, fontsize=10)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, markerscale=5)
    return td.plotting.save(fig, Path(__file__).parent.parent / "docs" / "figures" / "reflow.png")


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
    print("Wrote", figure(found["independent"], found["reflow of independent"]))


if __name__ == "__main__":
    main()
