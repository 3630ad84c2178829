"""What a step of an MLP for digits costs on several ranks, and the model of it that docs/howto/mpi.md speaks of.

    OPENBLAS_NUM_THREADS=1 mpiexec -n 2 python benchmarks/mpi.py        # the extra `mpi`; half a minute; quiet cores

Measured, each the best of many: an Allreduce of 1 to 5 million floats, and the parts of a step of an MLP of 4.7 million
parameters on rank 0 while the others sleep and on all at once. Fitted by least squares of the relative errors:

    t_allreduce(s) = 2 (n − 1)/n · 4 s/bandwidth + 2 log₂ n · latency,    s floats on n ranks
    t_compute(B)   = c + b B,    B rows on a rank

Predicted: t(n) = t_draw + t_update + c + b B/n + t_allreduce(n), for n nodes like this one, with a rank on each.
"""

import math
import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

import tinydiff as td
from tinydiff.app.parallel import data_parallel, rows_of_rank
from tinydiff.backend import keep_freed_memory
from tinydiff.learned.objective import WEIGHTS, loss_and_grad

COMM = MPI.COMM_WORLD
SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 2_000_000, 5_000_000)
NETWORKS = {"10 Gbit/s Ethernet": (50e-6, 1.25e9), "100 Gbit/s InfiniBand": (2e-6, 12.5e9)}
"""Latency in seconds and bandwidth in bytes a second."""


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best time of the work, begun by all ranks together and ended by the slowest."""
    times = []
    work()
    for _ in range(repeats):
        COMM.Barrier()
        start = time.perf_counter()
        work()
        times.append(COMM.allreduce(time.perf_counter() - start, MPI.MAX))
    return min(times)


def alone(work: Callable[[], object], repeats: int) -> float:
    """The best time of the work on rank 0 while the other ranks sleep."""
    times = []
    if COMM.rank == 0:
        work()
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    done = COMM.Ibarrier()
    while not done.Test():
        time.sleep(0.01)
    return COMM.bcast(min(times) if times else None)


def fit(columns: list, measured: list) -> np.ndarray:
    """The coefficients of the columns that fit best, by least squares of the relative errors."""
    a, y = np.array(columns, float).T, np.array(measured)
    return np.linalg.lstsq(a / y[:, None], np.ones(len(y)), rcond=None)[0]


def allreduce(s: float, n: int, latency: float, bandwidth: float) -> float:
    """Seconds for s floats on n ranks [Thakur, Rabenseifner & Gropp 2005], without the additions."""
    return 2 * (n - 1) / n * 4 * s / bandwidth + 2 * math.log2(n) * latency


def say(*words: object) -> None:
    """Print on rank 0."""
    if COMM.rank == 0:
        print(*words, flush=True)


def communication() -> None:
    """Fit the latency and bandwidth between the ranks of this machine."""
    n, times = COMM.size, []
    for s in SIZES:
        x = np.ones(s, np.float32)
        total = np.empty_like(x)
        times.append(seconds(lambda x=x, total=total: COMM.Allreduce(x, total), 200 if s < 1e5 else 20))
    latency, per_byte = fit([[2 * math.log2(n)] * len(SIZES), [8 * (n - 1) / n * s for s in SIZES]], times)
    say(f"latency {latency * 1e6:.2f} µs, bandwidth {1e-9 / per_byte:.2f} GB/s\n\n   floats   measured      model")
    for s, t in zip(SIZES, times, strict=True):
        say(f"{s:9}{t * 1e6:9.1f} µs{allreduce(s, n, latency, 1 / per_byte) * 1e6:9.1f} µs")


def main() -> None:
    """Measure and print."""
    keep_freed_memory()
    data, process, weight = td.load_mnist("train"), td.Cosine(), WEIGHTS["x0"]
    network, n, batch = td.TimeMLP(784, 512, 7, 10, "x0", norm=True), COMM.size, 256
    say(f"{n} ranks; {network.size:,} parameters, batch {batch}\n")
    if n > 1:
        communication()

    theta = network.init(np.random.default_rng(0))
    adam, state, average = td.Adam(), td.Adam().init(theta), theta
    take = td.learned.train.batches(data, 784, 10)

    def draw() -> tuple:
        rng = np.random.default_rng(0)  # all ranks must draw alike
        x0, labels = take(rng, batch)
        x0 = td.backend.cast(x0, theta)
        labels = np.where(rng.random(batch) < 0.1, -1, labels)
        now = process.at(process.sample_times(rng, batch), like=x0)
        return now, x0, td.backend.normal_like(rng, x0), labels

    now, x0, eps, labels = draw()
    _, grad = loss_and_grad(network, theta, now, x0, eps, labels, weight)

    def update() -> None:
        clipped, _ = td.clip(grad, 1.0)
        move, _ = adam.update(clipped, state)
        td.ema_update(average, theta + move, 0.999)

    def compute(rows: slice) -> object:
        return loss_and_grad(network, theta, now[rows], x0[rows], eps[rows], labels[rows], weight)

    few = [b for b in (4, 8, 16, 32, 64, 128, 256) if b <= batch]
    by_rows = [alone(lambda b=b: compute(slice(b)), 15) for b in few]
    fixed, per_row = fit([[1] * len(few), few], by_rows)
    say("\nrows on a rank  compute     model")
    for b, measured in zip(few, by_rows, strict=True):
        say(f"{b:14}{measured * 1e3:7.1f} ms{(fixed + per_row * b) * 1e3:7.1f} ms")

    divided, total = data_parallel(COMM), np.empty_like(grad)
    rows = rows_of_rank(COMM, batch)
    parts = {
        "draw": (alone(draw, 15), seconds(draw, 15)),
        "update": (alone(update, 15), seconds(update, 15)),
        "compute": (alone(lambda: compute(slice(batch)), 15), seconds(lambda: compute(rows), 15)),
        "allreduce": (0.0, seconds(lambda: COMM.Allreduce(grad, total), 15) if n > 1 else 0.0),
    }

    def step(objective: Callable) -> None:
        objective(network, theta, *draw(), weight)
        update()

    say(f"\n{'ms':12}{'1 rank':>10}{f'{n} ranks':>10}")
    for name, (one, many) in parts.items():
        say(f"{name:12}{one * 1e3:10.1f}{many * 1e3:10.1f}")
    one, many = alone(lambda: step(loss_and_grad), 25), seconds(lambda: step(divided), 25)
    sums = [sum(times) * 1e3 for times in zip(*parts.values(), strict=True)]
    say(f"{'their sum':12}{sums[0]:10.1f}{sums[1]:10.1f}\n{'a step':12}{one * 1e3:10.1f}{many * 1e3:10.1f}")
    say(f"{one / many:.2f} times as fast on {n} ranks")

    draws, updates = parts["draw"][0], parts["update"][0]
    nodes = (1, 2, 4, 16, 64)
    say(f"\npredicted, ms a step (speed-up over one node)\n{'nodes':32}" + "".join(f"{n:>16}" for n in nodes))
    for rows in (batch, 16 * batch):
        for name, between in NETWORKS.items():
            serial = draws * rows / batch + updates + fixed
            times = [serial + per_row * rows / n + allreduce(network.size, n, *between) for n in nodes]
            cells = (f"{t * 1e3:8.1f} ({times[0] / t:5.2f})" for t in times)
            say(f"batch {rows:5}, {name:20}" + "".join(cells))


if __name__ == "__main__":
    main()
