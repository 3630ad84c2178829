"""How time and memory grow: with rows, points, components, dimension and steps, one at a time.

    OPENBLAS_NUM_THREADS=1 python benchmarks/growth.py             # all, four to eight minutes
    OPENBLAS_NUM_THREADS=1 python benchmarks/growth.py components  # the rows whose name holds a word

Time is CPU seconds of this process, the median of several calls where they are short. Memory is the peak of what
tracemalloc sees during a call, beyond its inputs: NumPy reports every array to it, so it is the same on each machine.
An exponent is the slope of ln y over ln size, along all sizes and between the last two. Results go to growth.json.
"""

import json
import os
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.backend import keep_freed_memory
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("growth.json")
PROCESS, T = td.VP(), 0.3
DIMS = [2, 8, 32, 128, 784]
ROWS = [100, 1000, 10_000, 100_000, 1_000_000]

Call = Callable[[], Any]
Job = tuple[str, str, list[int], Callable[[int], Call]]
"""What is measured, what grows, its sizes, and the call at a size."""


def normal(rows: int, dim: int = 2) -> np.ndarray:
    """Points."""
    return np.random.default_rng(0).standard_normal((rows, dim))


def covariances(components: int, dim: int) -> np.ndarray:
    """Full ones, (K, D, D)."""
    a = np.random.default_rng(1).standard_normal((components, dim, dim)) / np.sqrt(dim)
    return 0.04 * a @ a.swapaxes(1, 2) + 0.01 * np.eye(dim)


def mixture(components: int = 8, dim: int = 2) -> td.GaussianMixture:
    """A mixture with full covariances."""
    return td.GaussianMixture(
        np.full(components, 1 / components), normal(components, dim), covariances(components, dim)
    )


def of_mixture(what: str, rows: int = 1000, components: int = 8, dim: int = 2) -> Call:
    """A method of the exact denoiser of a mixture."""
    oracle, x = td.Oracle(mixture(components, dim), PROCESS), normal(rows, dim)
    return lambda: getattr(oracle, what)(x, T)


def decomposition(dim: int) -> Call:
    """A mixture is made: its covariances are decomposed, once for all times."""
    c = covariances(8, dim)
    return lambda: td.GaussianMixture(np.full(8, 1 / 8), np.zeros((8, dim)), c)


def draws(rows: int = 1000, components: int = 8, dim: int = 2) -> Call:
    """Draws of a mixture."""
    data = mixture(components, dim)
    return lambda: data.sample(0, rows)


def of_points(points: int = 1000, rows: int = 100, dim: int = 2) -> Call:
    """The exact denoiser of a data set."""
    oracle, x = td.Oracle(normal(points, dim), PROCESS), normal(rows, dim)
    return lambda: oracle.x0(x, T)


def network(dim: int = 2, width: int = 64, blocks: int = 3) -> td.NetworkDenoiser:
    """A network whose parameters are not 0, in float32."""
    net = td.TimeMLP(dim, width, blocks)
    return td.NetworkDenoiser(net, net.init(0) + np.float32(0.02), PROCESS)


def step(batch: int = 256, **shape: int) -> Call:
    """The loss and its gradient, of which a training step is made."""
    model, rng = network(**shape), np.random.default_rng(0)
    x0, eps = rng.standard_normal((2, batch, model.dim), dtype=np.float32)
    now = PROCESS.at(PROCESS.sample_times(rng, batch), like=x0)
    return lambda: td.objective.loss_and_grad(model.network, model.theta, now, x0, eps, None)


def drawn(model: td.Denoiser, rows: int, steps: int = 2) -> Call:
    """Samples by DDIM."""
    return lambda: td.sample(model, rows, sampler=td.ddim, steps=steps, rng=0)


def likelihoods(model: td.Denoiser, rows: int, steps: int = 1) -> Call:
    """Exact likelihoods, with a pull for each coordinate."""
    x = normal(rows, model.dim)
    return lambda: td.log_likelihood(model, x, steps=steps)


def jobs() -> list[Job]:
    """All of them."""
    ring = td.Oracle(td.toys.ring8(), PROCESS)
    oracle, points, net = "mixture, ε̂", "data set, x̂₀", "network"
    return [
        (oracle, "rows", ROWS, lambda n: of_mixture("__call__", rows=n)),
        (oracle, "components", [1, 10, 100, 1000, 10_000], lambda n: of_mixture("__call__", components=n)),
        (oracle, "dim", DIMS, lambda n: of_mixture("__call__", dim=n, rows=200)),
        ("mixture, made", "dim", DIMS, decomposition),
        ("mixture, ln q", "components", [1, 10, 100, 1000, 10_000], lambda n: of_mixture("log_density", components=n)),
        ("mixture, draws", "rows", ROWS, draws),
        ("mixture, draws", "components", [1, 10, 100, 1000, 10_000], lambda n: draws(components=n)),
        ("mixture, draws", "dim", DIMS, lambda n: draws(dim=n, rows=200)),
        (points, "rows", ROWS, lambda n: of_points(rows=n, points=100)),
        (points, "points", [1000, 10_000, 100_000, 1_000_000], of_points),
        ("data set in 16 dimensions, x̂₀", "points", [1000, 10_000, 100_000, 1_000_000], partial(of_points, dim=16)),
        ("data set in 784 dimensions, x̂₀", "points", [1000, 4000, 16_000, 64_000], partial(of_points, dim=784)),
        (points, "dim", DIMS, lambda n: of_points(10_000, dim=n)),
        ("network, loss and gradient", "rows", [64, 256, 1024, 4096, 16_384], lambda n: step(batch=n)),
        ("network, loss and gradient", "width", [32, 64, 128, 256, 512, 1024], lambda n: step(width=n)),
        ("network, loss and gradient", "blocks", [1, 2, 4, 8, 16], lambda n: step(blocks=n)),
        ("network, loss and gradient", "dim", DIMS, lambda n: step(dim=n)),
        (f"{net}, DDIM", "rows", ROWS, lambda n: drawn(network(width=32, blocks=2), n)),
        (f"{net}, DDIM", "steps", [10, 30, 100, 300, 1000], lambda n: drawn(network(), 256, n)),
        (f"{net}, DDIM", "dim", DIMS, lambda n: drawn(network(dim=n, width=128), 256, 10)),
        ("mixture, DDIM", "rows", ROWS, lambda n: drawn(ring, n)),
        ("mixture, likelihood", "rows", [100, 1000, 10_000, 100_000], lambda n: likelihoods(ring, n)),
        ("mixture, likelihood", "steps", [2, 8, 32, 128], lambda n: likelihoods(ring, 100, n)),
        (
            "mixture, likelihood", "dim", [2, 8, 32, 128],
            lambda n: likelihoods(td.Oracle(mixture(2, n), PROCESS), 32),
        ),
        (f"{net}, likelihood", "rows", [100, 1000, 10_000, 100_000], lambda n: likelihoods(network(), n)),
        ("energy distance", "rows", [100, 1000, 10_000], lambda n: partial(td.energy_distance, normal(n), normal(n))),
        (
            "sliced W₂, 64 directions", "rows", ROWS[:-1],
            lambda n: partial(td.sliced_w2, normal(n), 1 + normal(n), rng=0, directions=64),
        ),
        ("nearest", "points", ROWS, lambda n: partial(td.nearest, normal(100), normal(n))),
    ]  # fmt: skip


def seconds(call: Call, least: float = 0.2) -> float:
    """CPU seconds of a call, the median of as many as fill `least`, and of 20 at most."""
    times: list[float] = []
    while sum(times) < least and len(times) < 20:
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return median(times)


def peak(call: Call) -> int:
    """The bytes that a call holds at most, its result included."""
    tracemalloc.start()
    call()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def exponents(sizes: list[int], values: list[float]) -> list[float]:
    """The slope of ln value over ln size, along all and between the last two."""
    return [float(np.polyfit(np.log(sizes[-n:]), np.log(values[-n:]), 1)[0]) for n in (len(sizes), 2)]


def measure(what: str, grows: str, sizes: list[int], make: Callable[[int], Call]) -> dict[str, Any]:
    """A row: seconds and bytes at each size, and their exponents."""
    make(sizes[0])()  # what is imported or kept once
    times, peaks = [], []
    for n in tqdm(sizes, desc=f"{what}: {grows}", leave=False):
        call = make(n)
        times.append(seconds(call))
        peaks.append(peak(call))
    found = {"seconds": times, "bytes": peaks}
    return {"what": what, "grows": grows, "sizes": sizes, **found} | {
        f"exponents of {name}": exponents(sizes, values) for name, values in found.items()
    }


def machine() -> dict[str, Any]:
    """What the numbers are of."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    return {
        "processor": ", ".join(models), "cores": os.cpu_count(), "threads": os.environ.get("OPENBLAS_NUM_THREADS"),
        "python": platform.python_version(), "numpy": np.__version__, "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def main() -> None:
    """Measure what the words of the command line choose, in the place of what was measured before."""
    keep_freed_memory()  # as training and the command line do
    before = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    kept, order = {(row["what"], row["grows"]): row for row in before}, [job[:2] for job in jobs()]
    for job in tqdm(jobs(), desc="growth"):
        if not sys.argv[1:] or any(word in " ".join(job[:2]) for word in sys.argv[1:]):
            kept[job[:2]] = measure(*job)
            rows = [kept[name] for name in order if name in kept]
            with atomic(RESULTS) as part:
                part.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
