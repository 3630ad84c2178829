"""Each library's own recipe for the same CPU seconds, and a search over it, judged by the exact density.

    make peers                                  # two hours of two cores; goes on where it stopped
    .venv-peers/bin/python benchmarks/peers/run.py --only own

Three stages: the recipes as their authors publish them; a search over the learning rate, which then falls to 0, and
the batch, and so the steps, on another seed; and the best of each library, on the seeds of the first stage. The best is
that of the least geometric mean over the toys of KL, or of energy distance where there is no flow. tinydiff has its
defaults, which a search found (benchmarks/learning.py). Results are kept in peers.json, beside this script.
"""

import argparse
import importlib
import importlib.metadata
import itertools
import json
import math
import os
import platform
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).parent
KEPT = HERE / "peers.json"
# Of the workers, before they import NumPy or PyTorch: one thread, and no bars of the libraries.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"), "1")
TOYS, SECONDS = ("ring8", "grid25", "spiral60"), 20.0
PEERS = ("smalldiffusion", "flow_matching", "torchcfm", "azula", "denoising_diffusion_pytorch", "diffusers")
SEEDS, OTHER_SEED = (1, 2), 101
RATES, BATCHES = (1e-3, 3e-3, 1e-2, 3e-2), (64, 256, 1024)
GRID = [{"lr": lr, "batch": batch, "decay": True} for lr, batch in itertools.product(RATES, BATCHES)]
"""What the search tries of each library."""


def task(stage: str, peer: str, toy: str, seed: int, recipe: dict | None) -> tuple[str, dict]:
    """Train and judge one model, in a process of its own; recipe None is the library's own."""
    sys.path.insert(0, str(HERE))
    import torch
    from common import DIVERGED, Points, Recipe, judged

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    script, points = importlib.import_module(f"with_{peer}"), Points(toy, seed)
    recipe = script.OWN if recipe is None else Recipe(**recipe)
    start = time.process_time()
    model = script.train(points, recipe, SECONDS)
    spent = time.process_time() - start
    try:
        found = judged(model, points.data, 1000 if stage == "search" else 4000)
    except (AssertionError, RuntimeError, ValueError) as error:  # of a solver whose steps became too small
        if stage != "search":
            raise
        found = DIVERGED | {"error": repr(error)[:200]}
    return key(stage, peer, toy, seed, vars(recipe)), {"seconds": spent} | found


def of_truth(toy: str) -> list[float]:
    """The energy distance of 4,000 true points to the judge's, twelve times."""
    import tinydiff as td

    data = td.toys.TOYS[toy]()
    return [td.energy_distance(data.sample(1000 + seed, 4000), data.sample(5, 4000)) for seed in range(12)]


def key(stage: str, peer: str, toy: str, seed: int, recipe: dict) -> str:
    """The name of a result."""
    return f"{stage} {peer} {toy} {seed} lr={recipe['lr']:g} batch={recipe['batch']} decay={recipe['decay']}"


def best(results: dict, peer: str) -> dict:
    """The recipe of the search with the least geometric mean over the toys."""

    def score(recipe: dict) -> float:
        rows = [results[key("search", peer, toy, OTHER_SEED, recipe)] for toy in TOYS]
        logs = [math.log(max(row.get("kl", row["energy"]), 1e-6)) for row in rows]
        return sum(logs) if all(map(math.isfinite, logs)) else math.inf

    return min(GRID, key=score)


def stage(name: str, tasks: list[tuple], results: dict) -> None:
    """Do what is not yet done, two at a time, in a random order so that a busy minute hits no library alone."""
    random.Random(0).shuffle(tasks)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        running = [pool.submit(task, name, *one) for one in tasks]
        for done in tqdm(as_completed(running), total=len(running), desc=name, unit="model"):
            found, row = done.result()
            results[found] = row
            aside = KEPT.with_suffix(".part")
            aside.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            aside.replace(KEPT)


def processor() -> str:
    """The processor's name, where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """All stages, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["own", "search", "best"], help="one of the stages")
    only = parser.parse_args().only
    results = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    results["versions"] = {p: importlib.metadata.version(p) for p in ("tinydiff", *PEERS, "torch", "numpy")}
    results["machine"] = f"{processor()}, {os.cpu_count()} cores, one for each model"
    results["date"] = datetime.now(UTC).date().isoformat()
    results["seconds"] = SECONDS
    results["truth"] = {toy: of_truth(toy) for toy in TOYS}
    sys.path.insert(0, str(HERE))
    own = {peer: vars(importlib.import_module(f"with_{peer}").OWN) for peer in ("tinydiff", *PEERS)}

    def missing(name: str, chosen: dict[str, list[dict]], seeds: tuple[int, ...]) -> list[tuple]:
        each = ((p, toy, seed, r) for p, rs in chosen.items() for r in rs for toy in TOYS for seed in seeds)
        return [one for one in each if key(name, one[0], one[1], one[2], one[3]) not in results]

    if only in (None, "own"):
        stage("own", missing("own", {peer: [recipe] for peer, recipe in own.items()}, SEEDS), results)
    if only in (None, "search"):
        stage("search", missing("search", dict.fromkeys(PEERS, GRID), (OTHER_SEED,)), results)
    if only in (None, "best"):
        stage("best", missing("best", {peer: [best(results, peer)] for peer in PEERS}, SEEDS), results)


if __name__ == "__main__":
    main()
