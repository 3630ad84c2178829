"""How fast: tinydiff beside PyTorch and JAX, and how much memory it takes.

    python benchmarks/speed.py            # all, 15 minutes
    python benchmarks/speed.py step       # one part of it: step, parts, sampling, memory
    python benchmarks/speed.py --threads 2 step

Results go to speed.json, each part in the place of the one before; the site makes its page of speed from them. The
rivals take turns with tinydiff in one process on one core (or two), so that whatever else the machine does befalls all
alike; what counts are ratios of medians. Before anything is timed, results are held to tinydiff's.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).with_name("speed.json")
PARTS = ("step", "parts", "sampling", "memory")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each library, and cores (default: 1)")
    parser.add_argument("--seconds", type=float, default=20.0, help="to time each row of a table (default: 20)")
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # one measurement of memory, in a process of its own
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"parts must be among {', '.join(PARTS)}; got {', '.join(unknown)}")
    options.parts = options.parts or PARTS
    return options


OPTIONS = arguments()
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-OPTIONS.threads :])  # before the libraries count cores
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(OPTIONS.threads)

import in_jax  # noqa: E402
import in_torch  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

import tinydiff as td  # noqa: E402
from tinydiff.backend import in_chunks, keep_freed_memory  # noqa: E402
from tinydiff.files import atomic  # noqa: E402
from tinydiff.learned.denoiser import network_inputs  # noqa: E402

torch.set_num_threads(OPTIONS.threads)

Call = Callable[[], Any]
ADAM, PROCESS = td.Adam(lr=1e-3), td.VP()
STEPS = [
    (2, 64, 8, 1024), (2, 128, 3, 256), (2, 128, 3, 1024), (784, 512, 7, 256), (784, 512, 3, 128), (784, 512, 3, 512),
    (784, 1024, 3, 128), (784, 1024, 3, 512),
]  # fmt: skip
"""Dimension, width, blocks and batch of the steps that are compared, those of the demo and of the digits among them."""


def medians(calls: dict[str, Call], seconds: float, least: int = 5) -> dict[str, float]:
    """The median time of each call in ms; they take turns, once to warm up."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds < least:
        rounds += 1
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: median(each) for name, each in times.items()}


# One training step


def network_of(dim: int, width: int, blocks: int = 3) -> tuple[td.TimeMLP, np.ndarray]:
    """A network for points in the plane, or for digits with labels and norm, and its parameters, none of them 0."""
    digits = dim == 784
    network = td.TimeMLP(dim, width, blocks, classes=10 if digits else 0, prediction="eps", norm=digits)
    rng = np.random.default_rng(0)
    return network, network.init(rng) + 0.02 * rng.standard_normal(network.size, dtype=np.float32)


def batch_of(network: td.TimeMLP, n: int) -> tuple:
    """A batch: the times of its rows, x0, ε and labels."""
    rng = np.random.default_rng(1)
    x0, eps = rng.standard_normal((2, n, network.dim), dtype=np.float32)
    return PROCESS.sample_times(rng, n), x0, eps, rng.integers(0, 10, n) if network.classes else None


def inputs_of(t: np.ndarray, x0: np.ndarray, eps: np.ndarray, labels: np.ndarray | None) -> tuple:
    """A batch as a network takes it: x, log-SNR, target and labels."""
    now = PROCESS.at(t, like=x0)
    return *network_inputs(now.perturb(x0, eps), now), eps, labels


def our_step(network: td.TimeMLP, theta: np.ndarray, batch: tuple) -> Callable[[], float]:
    """A function that takes the training step of td.train on this batch and returns its loss."""
    average, state = theta, ADAM.init(theta)
    t, x0, eps, labels = batch

    def take() -> float:
        nonlocal theta, average, state
        loss, grad = td.objective.loss_and_grad(network, theta, PROCESS.at(t, like=x0), x0, eps, labels)
        grad, _ = td.clip(grad, 1.0)
        move, state = ADAM.update(grad, state)
        theta = theta + move
        average = td.ema_update(average, theta, 0.999)
        return loss

    return take


def products(network: td.TimeMLP, n: int) -> Call:
    """The matrix products of a training step alone, each on arrays of its own: what no NumPy code can do without."""
    rng = np.random.default_rng(2)
    jobs = []

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    for name, (rows, columns) in network.shapes.items():
        halves = 2 if name.startswith("modulate") else 1
        inputs = rows // halves - (name != "label")
        wanted = name not in ("in", "label") and (halves == 1 or network.classes > 0)  # whether dx is
        for _ in range(halves):
            jobs.append((normal(n, inputs), normal(inputs, columns), normal(n, columns), wanted))

    def run() -> None:
        for x, w, dy, wanted in jobs:
            x @ w
            x.T @ dy
            if wanted:
                dy @ w.T

    return run


def step_calls(dim: int, width: int, blocks: int, batch: int) -> dict[str, Call]:
    """One training step, by each library, and its products."""
    network, theta = network_of(dim, width, blocks)
    ours = batch_of(network, batch)
    theirs = inputs_of(*ours)
    calls = {
        "tinydiff": our_step(network, theta, ours),
        "PyTorch eager": in_torch.step(network, theta, theirs, ADAM, compiled=False),
        "torch.compile": in_torch.step(network, theta, theirs, ADAM, compiled=True),
        "JAX jit": in_jax.step(network, theta, theirs, ADAM),
    }
    losses = {name: [call() for _ in range(3)] for name, call in calls.items()}
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, losses["tinydiff"], rtol=1e-3, err_msg=name)
    return calls | {"products": products(network, batch)}


def measure_steps() -> list[dict[str, Any]]:
    """A row for each network and batch."""
    rows = []
    for dim, width, blocks, batch in tqdm(STEPS, desc="steps"):
        times = medians(step_calls(dim, width, blocks, batch), OPTIONS.seconds)
        rows.append({"dim": dim, "width": width, "blocks": blocks, "batch": batch, "ms": times})
    return rows


def parts_calls(network: td.TimeMLP, theta: np.ndarray, batch: int) -> dict[str, Call]:
    """What tinydiff's step is made of."""
    t, x0, eps, labels = batch_of(network, batch)
    state = ADAM.init(theta)

    def loss_and_grad() -> tuple[float, np.ndarray]:
        return td.objective.loss_and_grad(network, theta, PROCESS.at(t, like=x0), x0, eps, labels)

    grad = loss_and_grad()[1]
    return {
        "products": products(network, batch),
        "loss and gradient": loss_and_grad,
        "Adam": lambda: ADAM.update(grad, state),
        "clip": lambda: td.clip(grad, 1.0),
        "new parameters": lambda: theta + grad,
        "average": lambda: td.ema_update(theta, grad, 0.999),
    }


def measure_parts() -> list[dict[str, Any]]:
    """A row for each network and batch."""
    rows = []
    for dim, width, blocks, batch in tqdm(STEPS, desc="parts"):
        network, theta = network_of(dim, width, blocks)
        times, of = medians(parts_calls(network, theta, batch), OPTIONS.seconds / 2), {"parameters": network.size}
        rows.append({"dim": dim, "width": width, "blocks": blocks, "batch": batch, **of, "ms": times})
    return rows


# Sampling, likelihood, the oracle's score


def sampling_calls() -> dict[str, dict[str, Call]]:
    """For each task, the calls of each library."""
    (network, theta), process, rng = network_of(2, 128), PROCESS, np.random.default_rng(3)
    model, noise = td.NetworkDenoiser(network, theta, process), rng.standard_normal((2048, 2), dtype=np.float32)
    narrow, digits = network_of(2, 64, 8), network_of(784, 512, 7)
    from_noise, labels = rng.standard_normal((2000, 784), dtype=np.float32), rng.integers(0, 10, 2000)
    five, few, many = (td.grids.even_log_snr(process, steps) for steps in (5, 50, 1000))
    rising = few[::-1]
    points, data = noise[:2000], mixture(60, 2)
    oracle, t, x = td.Oracle(data, process), 0.3, 2 * rng.standard_normal((100_000, 2), dtype=np.float32)
    weights, means, covariances = in_torch.parameters_of(data)
    now = process.at(t)
    diffused = now.alpha**2 * covariances + now.sigma**2 * np.eye(2)
    score = oracle.marginal(t).score

    def end(walk: Iterable) -> np.ndarray:
        return td.last(walk)[1]

    def make(name: str, *rest: Any, of: tuple = (network, theta)) -> dict[str, Call]:
        return {
            "PyTorch eager": getattr(in_torch, name)(*of, process, *rest),
            "JAX jit": getattr(in_jax, name)(*of, process, *rest),
        }

    return {
        "DDIM, 50 steps, 2,000 points, 8 blocks of 64": {
            "tinydiff": lambda: end(td.ddim(td.NetworkDenoiser(*narrow, process), points, few)),
            **make("ddim", points, few, of=narrow),
            "products": forward_products(narrow[0], 2000, 50),
        },
        "DDIM, 5 steps, 2,000 digits, 7 blocks of 512": {
            "tinydiff": lambda: end(td.ddim(td.NetworkDenoiser(*digits, process, labels), from_noise, five)),
            **make("ddim", from_noise, five, labels, of=digits),
            "products": forward_products(digits[0], 2000, 5),
        },
        "DDIM, 5 steps, 2,000 digits of one class": {
            "tinydiff": lambda: end(td.ddim(td.NetworkDenoiser(*digits, process, 3), from_noise, five)),
            **make("ddim", from_noise, five, np.array([3]), of=digits),
            "products": forward_products(digits[0], 2000, 5),
        },
        "DDIM, 50 steps, 2,048 points": {
            "tinydiff": lambda: end(td.ddim(model, noise, few)), **make("ddim", noise, few),
            "products": forward_products(network, 2048, 50),
        },
        "DDPM, 1,000 steps, 2,048 points": {
            "tinydiff": lambda: end(td.ddpm(model, noise, many, rng=rng)), **make("ddpm", noise, many),
            "products": forward_products(network, 2048, 1000),
        },
        "likelihood, 50 steps of RK4, 2,000 points": {
            "tinydiff": lambda: td.log_likelihood(model, points, steps=50),
            **make("likelihood", points, rising),
            "products": forward_products(network, 2000, 200 * 3),  # forward once, back twice
        },
        "score of 60 Gaussians, 100,000 points": {
            "tinydiff": lambda: in_chunks(score, x),
            "PyTorch eager": in_torch.score(data, now.alpha, now.sigma, x),
            "JAX jit": in_jax.score(weights, now.alpha * means, diffused, x),
        },
    }  # fmt: skip


def forward_products(network: td.TimeMLP, n: int, times: int) -> Call:
    """The matrix products of a forward pass, so many times; the conditions are of one row."""
    rng = np.random.default_rng(2)
    w = rng.standard_normal((2, network.width, network.width), dtype=np.float32)
    h = rng.standard_normal((n, network.width), dtype=np.float32)
    x, enter = np.ones((n, network.dim), np.float32), np.ones((network.dim, network.width), np.float32)

    def run() -> None:
        for _ in range(times):
            x @ enter
            for _ in range(network.blocks):
                h @ w[0]
                h @ w[1]
            h @ enter.T

    return run


def mixture(components: int, dim: int) -> td.GaussianMixture:
    """A mixture with full covariances."""
    rng = np.random.default_rng(4)
    a = 0.2 * rng.standard_normal((components, dim, dim))
    covariances = a @ a.swapaxes(1, 2) + 0.01 * np.eye(dim)
    weights = rng.uniform(0.5, 1.5, components)
    return td.GaussianMixture(weights / weights.sum(), rng.standard_normal((components, dim)), covariances)


def measure_sampling() -> list[dict[str, Any]]:
    """A row for each task."""
    rows = []
    for task, calls in tqdm(sampling_calls().items(), desc="sampling"):
        if "DDPM" not in task:  # whose noise is each library's own
            found = {name: np.asarray(call()) for name, call in calls.items() if name != "products"}
            for name, each in found.items():
                np.testing.assert_allclose(each, found["tinydiff"], rtol=1e-2, atol=1e-2, err_msg=f"{task}: {name}")
        rows.append({"task": task, "ms": medians(calls, OPTIONS.seconds)})
    return rows


# Memory


def memory_jobs() -> dict[str, Callable[[], Call]]:
    """What is measured in a process of its own, and how it is made."""

    def steps(library: str) -> Callable[[], Call]:
        def make() -> Call:
            network, theta = network_of(784, 1024)
            ours = batch_of(network, 512)
            theirs = inputs_of(*ours)
            if library == "tinydiff":
                return our_step(network, theta, ours)
            if library == "JAX jit":
                return in_jax.step(network, theta, theirs, ADAM)
            return in_torch.step(network, theta, theirs, ADAM, compiled=library == "torch.compile")

        return make

    def model() -> td.NetworkDenoiser:
        network = td.TimeMLP(2)
        return td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), PROCESS)

    def exact() -> td.Oracle:
        return td.Oracle(mixture(60, 2), PROCESS)

    def draw(model: td.Denoiser) -> np.ndarray:
        return td.sample(model, 100_000, steps=10, rng=rng)

    def likelihood(model: td.Denoiser) -> np.ndarray:
        return td.log_likelihood(model, 2 * rng.standard_normal((100_000, 2), dtype=np.float32), steps=5)

    def digits(n: int) -> np.ndarray:
        return rng.standard_normal((n, 784), dtype=np.float32)

    rng = np.random.default_rng(0)
    each = ("tinydiff", "PyTorch eager", "torch.compile", "JAX jit")
    return {f"a step, 784 × 1024, batch 512: {library}": steps(library) for library in each} | {
        "100,000 samples of the default network": lambda: lambda: draw(model()),
        "100,000 samples of an oracle with 60 components": lambda: lambda: draw(exact()),
        "100,000 likelihoods of the default network": lambda: lambda: likelihood(model()),
        "100,000 likelihoods of an oracle with 60 components": lambda: lambda: likelihood(exact()),
        "the oracle of 60,000 digits at 1,000 points": lambda: (
            lambda: td.Oracle(digits(60_000), PROCESS)(digits(1000), 0.3)
        ),
    }


def measure_memory() -> list[dict[str, Any]]:
    """A row for each job: the most memory that its process had, beyond what it had after the imports."""
    rows = []
    for name in tqdm(memory_jobs(), desc="memory"):
        command = [sys.executable, __file__, "--threads", str(OPTIONS.threads), "--alone", name]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
        rows.append({"what": name, "MiB": float(done.stdout.split()[-1])})
    return rows


def alone(name: str) -> None:
    """Do one job three times, and print the MiB that it took at most."""
    job, before = memory_jobs()[name], status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak so far is forgotten
    call = job()
    for _ in range(3 if "step" in name else 1):
        call()
    print(status("VmHWM") - before)


def status(what: str) -> float:
    """A line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def machine() -> dict[str, Any]:
    """What the numbers are of."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    names = ("numpy", "torch", "jax")
    return {
        "processor": ", ".join(models), "cores": os.cpu_count(), "threads": OPTIONS.threads,
        "system": platform.platform(), "python": platform.python_version(), "date": time.strftime("%Y-%m-%d"),
        **{name: version(name) for name in names}, "jax_device": str(jax.devices()[0]),
    }  # fmt: skip


def main() -> None:
    """Measure the parts and keep them beside those that were measured before."""
    keep_freed_memory()  # as training and the command line do
    if OPTIONS.alone:
        return alone(OPTIONS.alone)
    measures = {"step": measure_steps, "parts": measure_parts, "sampling": measure_sampling, "memory": measure_memory}
    for part in OPTIONS.parts:
        key = part if OPTIONS.threads == 1 else f"{part}, {OPTIONS.threads} threads"
        found = {"machine": machine(), "rows": measures[part]()}
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        with atomic(RESULTS) as part_file:
            part_file.write_text(json.dumps(results | {key: found}, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found["rows"], indent=1))


if __name__ == "__main__":
    main()
