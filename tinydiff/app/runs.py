"""Whole runs, as the command line starts them: train, sample, evaluate, compare, demo.

A run lives in a directory (directory.py), is decided by its Config (config.py), and ends in a report (report.py).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tinydiff import plotting
from tinydiff.app.compare import Compare, compared, comparison_tables, true_points
from tinydiff.app.config import (
    Config,
    Count,
    Data,
    Device,
    Seed,
    UsageError,
    extent,
    make_network,
    open_parts,
    recipe,
    write_json,
)
from tinydiff.app.directory import Run, Trained
from tinydiff.app.parallel import Comm, leads
from tinydiff.app.process import make_process
from tinydiff.app.read import summary
from tinydiff.app.report import measure, trajectory
from tinydiff.app.sampling import Draw, check_out, device_like, draw, sampler_options, write_points
from tinydiff.app.table import table
from tinydiff.datasets.points import Dataset
from tinydiff.datasets.toys import TOYS
from tinydiff.evaluation.metrics import denoising
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.denoiser import NetworkDenoiser


@dataclass(frozen=True)
class Demo:
    """Train on an exact toy, in half of the steps of `train`, sample, and measure the model against the truth."""

    out: Path = Path("runs/demo")
    """The run's directory; a demo that is there already is replaced."""
    toy: Literal["ring8", "grid25", "moons32", "pinwheel40", "spiral60", "eight_gaussians"] = "ring8"
    """The distribution, whose density is known exactly."""
    steps: Count = 500
    """Training steps."""
    seed: Seed = 0
    """Seed of everything random."""


def train(
    config: Config, out: Path, resume: bool = False, comm: Comm | None = None, device: Device = "cpu"
) -> dict[str, Any]:
    """Train a run in the directory `out`, or go on with the one that is there, and evaluate it; the report.

    comm: ranks among which each batch is divided. Rank 0 has the report, the others leave with an empty one: they wait
    for it where MPI ends, which takes no processor. device: where to train; the report is made on the host.
    """
    like = device_like(device, comm)
    data, unseen = open_parts(*config.source)
    make_network(config, *extent(data))  # what does not fit is said before anything is written
    make_process(config.process)
    if isinstance(data, Dataset) and leads(comm):
        print(summary(Path(config.name).name, data, unseen), file=sys.stderr)
        if data.labels is not None and not config.conditional:
            print("The classes are not learned: --conditional learns them.", file=sys.stderr)
    run = Run(out, config) if resume or not leads(comm) else Run.create(out, config)
    trained = run.train(data, _watch(data, config.seed), comm, like)
    return _finish(run, trained, data, unseen) if leads(comm) else {}


def demo(options: Demo) -> dict[str, Any]:
    """Run the demo and return its report."""
    config = replace(recipe(options.toy), steps=options.steps, seed=options.seed)
    if (options.out / "config.json").exists():
        before = Run.open(options.out).config
        if before.name not in TOYS or replace(before, steps=Config.steps, seed=0) != recipe(before.name):
            raise FileExistsError(f"{options.out} holds a run that is no demo: choose another --out.")
    run, (data, unseen) = Run.create(options.out, config, overwrite=True), open_parts(options.toy)
    trained = run.train(data, _watch(data, options.seed))
    frames = trajectory(trained.model, np.random.default_rng(config.seed))
    return _finish(run, trained, data, unseen, plotting.save_gif(frames, run.path / "trajectory.gif"))


def evaluate(path: Path, data: Path | None = None) -> dict[str, Any]:
    """Measure the run in this directory, as it stands; the report. data: its file, where that has moved."""
    run = Run.open(path).with_data(data)
    return _finish(run, run.load(), *open_parts(*run.config.source))


def sample(options: Draw, comm: Comm | None = None) -> np.ndarray:
    """Write samples of a run, in the units of its data, and a figure of them; the samples (n, D).

    comm: ranks among which the samples are divided. Rank 0 writes; the others return theirs.
    """
    sampler_options(options)  # wrong usage is said before anything is opened
    run, out = Run.open(options.run), options.out or options.run / "draws.npy"
    check_out(out, run.config.name)
    trained = run.load()
    low, high = trained.ends()
    bounded = np.isfinite(low) & (low < high)
    if options.clip and not np.any(bounded):
        raise UsageError("--clip is for pictures and dequantised columns: others have no range.")
    x, labels = draw(trained, options, comm)
    units = trained.restore(x)
    if not leads(comm):
        return units
    if options.clip:
        units = np.clip(units, low, high)
    if np.any(beyond := ((units < low) | (units > high))[:, bounded]):
        picture = trained.picture is not None
        print(_beyond(beyond, units[:, bounded], picture, low[bounded][0], high[bounded][0]), file=sys.stderr)
    drawn = units
    if trained.picture is not None and out.suffix.lower() == ".npy":
        units = units.reshape(-1, *trained.picture)
    write_points(out, units, labels, trained.names, trained.classes)
    figure = None
    if trained.picture is not None:
        figure = plotting.pictures(x[:100], trained.picture)
    elif trained.model.dim == 2:
        figure = plotting.points(x) if labels is None else plotting.guidance({"samples": [x]}, [options.w], labels)
    written = [out, *([plotting.save(figure, out.with_suffix(".png"))] if figure else [])]
    Console().print("Samples:", *(f"  {path}" for path in written), sep="\n", highlight=False, soft_wrap=True)
    return drawn


def _beyond(beyond: np.ndarray, units: np.ndarray, picture: bool, low: float, high: float) -> str:
    """That some pixels, or numbers of dequantised columns, (n, D) are beyond the data's, in the units of the data."""
    share = f"{np.mean(beyond):.1%}"
    if not picture:
        return f"{share} of the dequantised numbers are beyond the data's range; --clip clips them."
    return (
        f"{share} of the pixels are beyond the data's range, {low:g} to {high:g}: they go from "
        f"{units.min():.4g} to {units.max():.4g}. The sheet clips them, and the array as well with --clip."
    )


def compare(options: Compare) -> dict[str, Any]:
    """Compare all samplers on a run, and write compare.json and compare.png; the comparison."""
    run = Run.open(options.run).with_data(options.data)
    trained, (data, unseen) = run.load(), open_parts(*run.config.source)
    run.check(data, trained)
    n = options.n or (1000 if trained.picture is None else 100)
    of = unseen if trained.picture and unseen is not None else data
    true, again = true_points(of, n, np.random.default_rng(options.seed))
    report = compared(trained.model, true, again, options.most, options.seed)
    write_json(run.path / "compare.json", report)
    figure = plotting.error_against_evaluations(report["rows"], report["energy_distance_true"])
    written = [run.path / "compare.json", plotting.save(figure, run.path / "compare.png")]
    console = Console()
    console.print(*comparison_tables(report), sep="\n")
    console.print("Written:", *(f"  {path}" for path in written), sep="\n", highlight=False, soft_wrap=True)
    return report


def _watch(data: Data, seed: int) -> Callable[[NetworkDenoiser], str]:
    """What the progress bar shows of a model: on an exact toy, its mean excess over the least possible loss."""
    judge = np.random.default_rng(seed + 1)

    def watch(model: NetworkDenoiser) -> str:
        oracle = Oracle(data, model.process)
        return f"excess {np.mean([denoising(model, oracle, t, n=500, rng=judge)[1] for t in (0.05, 0.2, 0.5)]):.5f}"

    return watch if isinstance(data, GaussianMixture) else lambda model: ""


def _finish(run: Run, trained: Trained, data: Data, unseen: Dataset | None, *more: Path) -> dict[str, Any]:
    """Evaluate, and print the report."""
    console = Console()
    columns = TextColumn("measuring"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        report = measure(run, trained, data, unseen, lambda part: bar.update(task, description=part))
    console.print(table(report))
    files = [run.path / name for name in ("report.json", *report["figures"])]
    console.print("Written:", *(f"  {path}" for path in (*files, *more)), sep="\n", highlight=False, soft_wrap=True)
    return report
