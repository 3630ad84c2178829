"""`tinydiff doctor`: what this machine has, in lines for a report of a bug, and whether the core works."""

import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff import __version__, backend
from tinydiff.datasets.mnist import FILES, SHA256, read_idx
from tinydiff.datasets.toys import ring8
from tinydiff.evaluation.likelihood import kl_from_truth
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.train import fit
from tinydiff.processes import VP
from tinydiff.sampling.sample import sample

EXTRAS = ("app", "files", "notebooks", "testing", "mpi", "gpu")
"""The extras that a user may want, with the libraries of each listed."""


@dataclass(frozen=True)
class Doctor:
    """Say what is installed and what is missing, and try training, sampling and the exact density: a few seconds."""


def doctor() -> int:
    """Print the lines; 1 where the self-test fails."""
    print(f"tinydiff {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    print(f"  in {Path(__file__).parents[1]}, by {sys.executable}")
    for line in libraries():
        print(line)
    print(f"BLAS: {blas()}")
    print(f"GPU: {gpu()}")
    print(f"MNIST: {mnist()}")
    print(f"console: {sys.stdout.encoding}, {'a terminal' if sys.stdout.isatty() else 'no terminal'}")
    failed = 0
    for name, test in TESTS.items():
        start = time.perf_counter()
        try:
            right, found = test()
        except Exception as error:  # whatever it is, it belongs into the report
            right, found = False, f"{type(error).__name__}: {error}"
        failed += not right
        print(f"self-test, {name}: {found}, {time.perf_counter() - start:.1f} s: {'right' if right else 'WRONG'}")
    return int(failed > 0)


def libraries() -> Iterator[str]:
    """A line for what the core needs and for each extra, with the version of each library or how to install it."""
    of: dict[str, list[str]] = {}
    for line in requires("tinydiff") or []:
        for name in re.findall(r"extra == ['\"](\w+)['\"]", line) or ["core"]:
            of.setdefault(name, []).append(re.split(r"[^\w.-]", line)[0])
    for name in ("core", *EXTRAS):
        found, missing = [], []
        for package in of.get(name, []):
            try:
                found.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                missing.append(package)
        remedy = f'; optional {", ".join(missing)}: pip install "tinydiff[{name}]"' if missing else ""
        yield f"{name}: {', '.join(found) or 'nothing'}{remedy}"


def blas() -> str:
    """The libraries of linear algebra, and how many threads each takes."""
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return "unknown without threadpoolctl"
    found = [f"{a['internal_api']} {a['version']}, {a['num_threads']} threads" for a in threadpool_info()]
    names = "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"
    said = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    return "; ".join([*dict.fromkeys(found), *said]) or "none that is known"


def gpu() -> str:
    """Whether a GPU can be used."""
    try:
        backend.device_like("gpu")
    except ValueError as error:
        return str(error)
    return "CuPy computes on it"


def mnist() -> str:
    """Where the digits are, and whether they are the published ones."""
    folder = os.environ.get("TINYDIFF_MNIST_DIR")
    if folder is None:
        try:
            import pooch
        except ModuleNotFoundError:
            return "not looked for, without pooch"
        folder = str(pooch.os_cache("tinydiff"))
    right = 0
    for name in (name for names in FILES.values() for name in names):
        for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
            try:
                read_idx(path, SHA256[name])
            except (OSError, ValueError):
                continue
            right += 1
            break
    return f"{right} of 4 files in {folder}" + "; the first use downloads the missing" * (right < 4)


def trains() -> tuple[bool, str]:
    """Two hundred steps bring a small network, which begins at 2.3 nats from the truth, within half a nat of it."""
    data = ring8()
    model = fit(data, network=TimeMLP(2, 32, 3), rng=0, steps=200, batch=512, progress=False)
    nats = kl_from_truth(model, data, n=500, rng=0)[0]
    return abs(nats) < 0.5, f"200 steps, {nats:.3f} nats from the truth, where 0.5 are allowed"


def is_exact() -> tuple[bool, str]:
    """The flow of the exact denoiser has the exact density, and its samples are likely under it."""
    data = ring8()
    oracle = Oracle(data, VP())
    nats = kl_from_truth(oracle, data, n=500, rng=0)[0]
    x = sample(oracle, 2000, rng=0)
    gap = float(np.mean(data.log_density(x))) + data.entropy()[0]
    return abs(nats) < 0.002 and abs(gap) < 0.1, f"the oracle is {nats:.5f} nats from the truth, its samples {gap:+.3f}"


TESTS: dict[str, Callable[[], tuple[bool, Any]]] = {"training": trains, "exactness": is_exact}
"""What is tried."""
