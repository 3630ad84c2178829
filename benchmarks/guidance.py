"""What guidance does to the law of the samples, by quadrature in one dimension, and beyond it by draws.

    python benchmarks/guidance.py             # some minutes of a core

In one dimension the density of guided samples is that of the probability flow, on an even grid, by
`td.log_likelihood`, and all numbers are sums over the grid. In two dimensions they are means over draws, with the exact
density of the class and that of the flow at each. With networks, a short training is guided by a shorter one. Each
result goes to guidance.json as it comes, and one that is there is not measured again: delete the file, or lines of it,
to repeat them. The site makes its page on guidance from that file.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("guidance.json")
VP, STEP = td.VP(), 0.02
X = np.arange(-3.5, 3.5, STEP)[:, None]
TAIL = 0.01
"""The tail is where the class has its least density, with so much of its mass."""
INTERVAL = (-1.0, 3.0)
GAUSSIANS = td.GaussianMixture([0.5, 0.5], [[1.0], [0.0]], [[[0.3]], [[1.0]]], [1, 0])
BUMPS = td.GaussianMixture([0.25] * 4, [[-1.3], [-0.2], [0.3], [1.2]], np.full((4, 1, 1), 0.0625), [0, 1, 0, 1])

Guide = Callable[[td.Oracle, td.Oracle, td.Oracle, float], td.Denoiser]
"""Of the denoiser of the class, that of all, that of the class broadened, and w."""
GUIDES: dict[str, Guide] = {
    "CFG": lambda one, all_, weak, w: td.ClassifierFreeGuidance(one, all_, w),
    "CFG in an interval": lambda one, all_, weak, w: td.ClassifierFreeGuidance(one, all_, w, INTERVAL),
    "autoguidance": lambda one, all_, weak, w: td.Autoguidance(one, weak, w),
    "bounded": lambda one, all_, weak, w: td.AdaptiveProjectedGuidance(one, all_, w, parallel=1.0, longest=0.3),
}
PLANE: dict[str, Guide] = GUIDES | {
    "APG": lambda one, all_, weak, w: td.AdaptiveProjectedGuidance(one, all_, w),
    "APG, bounded": lambda one, all_, weak, w: td.AdaptiveProjectedGuidance(one, all_, w, longest=0.3),
}

Numbers = dict[str, Any]
Job = tuple[str, str, float]


def on_the_line(data: str, guide: str, w: float) -> Numbers:
    """The law of one guide on one toy of the line, and its numbers."""
    log_p = log_law(data, guide, w)
    return numbers(data, log_p) | ({"law": np.exp(log_p).round(4).tolist()} if w in (0, 2) else {})


def models(data: str) -> tuple[td.Oracle, td.Oracle, td.Oracle]:
    """The exact denoisers of the class, of all, and of the class broadened."""
    if data == "Gaussians":  # guided against the second of them alone
        return td.Oracle(GAUSSIANS.given(1), VP), td.Oracle(GAUSSIANS.given(0), VP), weak_one(GAUSSIANS)
    return td.Oracle(BUMPS.given(1), VP), td.Oracle(BUMPS, VP), weak_one(BUMPS)


def weak_one(data: td.GaussianMixture) -> td.Oracle:
    """The denoiser of the class with noise of a fifth of a unit, near to the width of the bumps."""
    return td.Oracle(data.given(1).diffused(1, 0.2), VP)


def log_law(data: str, guide: str, w: float) -> np.ndarray:
    """ln p on the grid: of the class, of its tilted law, or of the samples."""
    one, all_, weak = models(data)
    if guide == "class":
        return one.data.log_density(X)
    if guide == "tilted":
        log_p = (1 + w) * one.data.log_density(X) - w * all_.data.log_density(X)
        return log_p - math.log(np.sum(np.exp(log_p)) * STEP)
    return td.log_likelihood(GUIDES[guide](one, all_, weak, w), X, steps=200)


def numbers(data: str, log_p: np.ndarray) -> Numbers:
    """Moments, entropy, the KL from the law of the class, and the shares of class, tail and right mode."""
    one, all_, _ = models(data)
    p, log_q, x = np.exp(log_p), one.data.log_density(X), X[:, 0]

    def mean(f: Any) -> float:
        return float(np.sum(np.where(p > 0, p * f, 0.0)) * STEP)

    density = np.sort(np.exp(log_q))
    least = density[np.searchsorted(np.cumsum(density) * STEP, TAIL)]
    centre = mean(x)
    certain = {} if data == "Gaussians" else {
        "class": mean(np.exp(all_.log_p(X, VP.t_min))[:, 1]), "right": mean(x > 0.5)
    }  # fmt: skip
    return {
        "mass": mean(1.0), "mean": centre, "sd": mean((x - centre) ** 2) ** 0.5, "entropy": mean(-log_p),
        "kl": mean(log_p - log_q), "tail": mean(np.exp(log_q) < least), **certain,
    }  # fmt: skip


def as_certain(data: str, guide: str, certainty: float) -> Numbers:
    """The numbers at the w at which samples are so surely of their class, by bisection; none where no w under 16 is."""
    low, high = 0.0, 16.0
    if numbers(data, log_law(data, guide, high))["class"] < certainty:
        return {"strength": None}
    for _ in range(9):
        middle = (low + high) / 2
        found = numbers(data, log_law(data, guide, middle))
        low, high = (low, middle) if found["class"] > certainty else (middle, high)
    return found | {"strength": middle}


def in_the_plane(data: str, guide: str, w: float, n: int = 2000) -> Numbers:
    """The numbers of draws of a moon, of which 500 have their density; "moved" is two units from where it was."""
    moons = td.toys.moons32().shifted(np.array([2.0, 0.0]) * (data == "moved"))
    one, all_ = td.Oracle(moons.given(1), VP), td.Oracle(moons, VP)
    true, other = one.data.sample(5, n), one.data.sample(6, n)
    if guide == "class":
        guided, x = one, other
    else:
        guided = PLANE[guide](one, all_, td.Oracle(moons.given(1).diffused(1, 0.1), VP), w)
        x = td.sample(guided, n, rng=1)
    log_q, log_p = one.data.log_density(x), td.log_likelihood(guided, x[:500], steps=50)
    least = np.quantile(one.data.log_density(one.data.sample(7, 20_000)), TAIL)
    gap = log_p - log_q[:500]
    return {
        "energy": td.energy_distance(x, true), "kl": float(gap.mean()), "error": float(gap.std() / len(gap) ** 0.5),
        "entropy": -float(log_p.mean()), "class": float(np.exp(all_.log_p(x, VP.t_min))[:, 1].mean()),
        "spread": float(np.sqrt(np.linalg.det(np.cov(x.T)) / np.linalg.det(np.cov(true.T)))),
        "tail": float(np.mean(log_q < least)), "from origin": float(np.linalg.norm(x.mean(axis=0))),
    }  # fmt: skip


def learned(toy: str, seed: int, n: int = 2000) -> Iterator[Numbers]:
    """A network of 200 steps guided by one of 50, and one that was trained for as long as both."""
    data = td.toys.TOYS[toy]()
    good, weak, long = (td.fit(data, steps=steps, rng=seed, progress=False) for steps in (200, 50, 250))
    true = data.sample(5, n)
    least = np.quantile(data.log_density(data.sample(7, 20_000)), TAIL)
    for name, w, model in (
        ("true points", 0.0, None), ("50 steps", 0.0, weak), ("200 steps", 0.0, good), ("250 steps", 0.0, long),
        *(("autoguidance", w, td.Autoguidance(good, weak, w)) for w in (0.25, 0.5, 1.0)),
        ("autoguidance in an interval", 0.5, td.Autoguidance(good, weak, 0.5, INTERVAL)),
    ):  # fmt: skip
        x = data.sample(6, n) if model is None else td.sample(model, n, rng=1).astype(float)
        kl = 0.0 if model is None else td.kl_from_truth(model, data, n=500, steps=40, rng=2)[0]
        counts = td.mode_coverage(data, x, rng=4).counts / (n * data.weights)
        yield {
            "part": "learned", "data": toy, "guide": name, "w": w, "seed": seed, "kl": kl,
            "energy": td.energy_distance(x, true), "tail": float(np.mean(data.log_density(x) < least)),
            "least mode": float(counts.min()),
        }  # fmt: skip


def jobs() -> Iterator[tuple[str, Job, Callable[..., Numbers]]]:
    """Part, (data, guide, w), and what measures it."""
    for data in ("Gaussians", "bumps"):
        yield "line", (data, "class", 0.0), on_the_line
        yield from (("line", (data, guide, w), on_the_line) for w in (1.0, 2.0, 4.0) for guide in ("tilted", *GUIDES))
    yield from (("certain", ("bumps", guide, 0.92), as_certain) for guide in ("tilted", *GUIDES))
    for data, guides, weights in (("moons32", PLANE, (1.0, 4.0)), ("moved", ("CFG", "APG"), (4.0,))):
        yield "plane", (data, "class", 0.0), in_the_plane
        yield from (("plane", (data, guide, w), in_the_plane) for w in weights for guide in guides)


def main() -> None:
    """Measure what is not in guidance.json yet."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []

    def add(found: list[Numbers]) -> None:
        results.extend({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in each.items()} for each in found)
        with atomic(RESULTS) as part:
            part.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n", encoding="utf-8")

    there = {(each["part"], each["data"], each["guide"], each["w"]) for each in results}
    for part, job, measure in tqdm([each for each in jobs() if (each[0], *each[1]) not in there], unit="law"):
        add([{"part": part, **dict(zip(("data", "guide", "w"), job, strict=True)), **measure(*job)}])
    there = {(each["data"], each.get("seed")) for each in results}
    networks = [(toy, seed) for seed in range(2) for toy in ("ring8", "grid25", "spiral60")]
    for job in tqdm([each for each in networks if each not in there], unit="network"):
        add(list(learned(*job)))


if __name__ == "__main__":
    main()
