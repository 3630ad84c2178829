"""Whole runs: a configuration, training with a progress bar, a report and figures in one directory."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from tinydiff import grids, plotting
from tinydiff.datasets import toys
from tinydiff.datasets.mnist import load_mnist
from tinydiff.evaluation.likelihood import kl_from_truth
from tinydiff.evaluation.metrics import denoising, sliced_w2
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.network import NetworkDenoiser, TimeMLP
from tinydiff.learned.objective import SOFT_SNR_FLOOR
from tinydiff.learned.train import TrainState, last, train
from tinydiff.processes import VP, Cosine, Process
from tinydiff.sampling import sample
from tinydiff.sampling.ancestral import ddim


@dataclass(frozen=True)
class Demo:
    """Train on an exact toy, sample, and measure the model against the truth: about a minute on two cores."""

    out: Path = Path("runs/demo")
    """Where the figures and report.json go."""
    toy: Literal["ring8", "grid25", "moons32", "pinwheel40", "spiral60"] = "ring8"
    """The distribution, whose density is known exactly."""
    steps: int = 4000
    """Training steps."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True)
class Mnist:
    """Train a class-conditional MLP on MNIST for at most ten minutes and write a grid of digits, ten of each class."""

    out: Path = Path("runs/mnist")
    """Where the figures and report.json go."""
    minutes: float = 10.0
    """Training stops after this long, even if the steps are not done."""
    steps: int = 7000
    """Training steps, over which the learning rate falls to 0."""
    width: int = 768
    """Width of the network."""
    blocks: int = 3
    """Residual blocks of the network."""
    batch: int = 256
    """Images in a step."""
    lr: float = 1e-3
    """Peak learning rate."""
    seed: int = 0
    """Seed of everything random."""


def demo(config: Demo) -> dict[str, Any]:
    """Run the demo and return its report."""
    console = Console()
    config.out.mkdir(parents=True, exist_ok=True)
    rng, judge = np.random.default_rng(config.seed), np.random.default_rng(config.seed + 1)
    data, process = toys.TOYS[config.toy](), VP()
    oracle, network = Oracle(data, process), TimeMLP(dim=2)

    def watch(state: TrainState) -> str:
        ema = NetworkDenoiser(network, state.ema, process)
        return f"excess {np.mean([denoising(ema, oracle, t, n=500, rng=judge)[1] for t in (0.05, 0.2, 0.5)]):.5f}"

    began = time.perf_counter()
    state = last(watched(train(network, process, data, steps=config.steps, rng=rng), config.steps, watch))
    seconds = time.perf_counter() - began
    model = NetworkDenoiser(network, state.ema, process)

    with console.status("sampling and measuring"):
        true, again = data.sample(judge, 2000), data.sample(judge, 2000)
        x = sample(model, process, 2000, sampler=ddim, steps=50, rng=rng)
        kl, error = kl_from_truth(model, process, data, rng=judge)
        report = {
            "toy": config.toy,
            "seed": config.seed,
            "steps": config.steps,
            "training_seconds": seconds,
            **losses(model, oracle, judge),
            "kl_nats": kl,
            "kl_standard_error": error,
            "sliced_w2": sliced_w2(x, true, rng=judge),
            "sliced_w2_true": sliced_w2(again, true, rng=judge),
            "prior_gap_nats": float(np.mean(process.prior_gap(true))),
        }
    with console.status("drawing"):
        figures = demo_figures(config.out, model, oracle, true, x, report, rng)
    write_json(config.out / "report.json", report)
    console.print(demo_table(report))
    console.print("Figures:", *(f"  {path}" for path in figures), sep="\n", highlight=False)
    return report


def watched(states: Iterator[TrainState], steps: int, watch: Any, looks: int = 20) -> Iterator[TrainState]:
    """The states, behind a progress bar that shows the smoothed loss and, a few times, what `watch` says."""
    loss, seen = float("nan"), ""
    with tqdm(states, total=steps, desc="training", unit="step", mininterval=0.2, dynamic_ncols=True) as bar:
        for state in bar:
            loss = state.loss if np.isnan(loss) else 0.99 * loss + 0.01 * state.loss
            if state.step % max(1, steps // looks) == 0:
                seen = watch(state)
            bar.set_postfix_str(f"loss {loss:.4f} {seen}", refresh=False)
            yield state


def losses(model: NetworkDenoiser, oracle: Oracle, rng: np.random.Generator) -> dict[str, Any]:
    """Loss, floor and excess along the log-SNR, and their averages over uniform t.

    The averaged loss is the floor, which is exact, plus the excess, which is paired: less noisy than the loss itself.
    """
    process = oracle.process
    ts = grids.log_snr(process, 40)[:-1]
    loss, excess = np.array([denoising(model, oracle, float(t), n=4000, rng=rng) for t in ts]).T
    floor = oracle.floor(ts)
    over_t = lambda y: float(np.trapezoid(y, ts) / (ts[-1] - ts[0]))  # noqa: E731
    return {
        "t": ts.tolist(), "log_snr": process.log_snr(ts).tolist(),
        "loss_t": loss.tolist(), "floor_t": floor.tolist(), "excess_t": excess.tolist(),
        "loss": over_t(floor + excess), "floor": over_t(floor), "excess": over_t(excess),
    }  # fmt: skip


def demo_figures(
    out: Path, model: NetworkDenoiser, oracle: Oracle, true: np.ndarray, x: np.ndarray, report: dict, rng: Any
) -> list[Path]:
    """Draw and write the demo's figures; their paths."""
    process = oracle.process
    eps = rng.standard_normal(true.shape)
    forward = [(t, process.perturb(true, t, eps)) for t in (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)]
    frames = list(ddim(model, process, process.prior(rng, 1500, model.like), grids.log_snr(process, 60, to_zero=True)))
    lam, loss, floor, excess = (np.array(report[name]) for name in ("log_snr", "loss_t", "floor_t", "excess_t"))
    figures = {
        "samples.png": plotting.samples_against_data(true, x),
        "forward.png": plotting.strip(forward, plotting.DATA),
        "trajectory.png": plotting.strip(plotting.spread(frames, 8)),
        "score.png": plotting.score_fields(oracle, model, process, [0.05, 0.2, 0.5]),
        "loss.png": plotting.loss_per_time(lam, loss, floor, excess),
    }
    paths = [plotting.save(figure, out / name) for name, figure in figures.items()]
    return [*paths, plotting.save_gif(frames, out / "trajectory.gif")]


def demo_table(report: dict[str, Any]) -> Table:
    """The report for people: what was measured, beside what a perfect model would have."""
    table = Table(title=f"{report['toy']}: {report['steps']} steps in {report['training_seconds']:.0f} s")
    table.add_column("measured on the model")
    table.add_column("value", justify="right")
    table.add_column("a perfect model", justify="right")
    table.add_row("loss E‖ε − ε̂‖²/d over t", f"{report['loss']:.4f}", f"{report['floor']:.4f} (floor)")
    for at in (0.01, 0.1, 0.5):
        i = int(np.argmin(np.abs(np.array(report["t"]) - at)))
        table.add_row(f"  excess over the floor at t = {report['t'][i]:.2f}", f"{report['excess_t'][i]:.5f}", "0")
    table.add_row("KL(data ‖ model), nats", f"{report['kl_nats']:.3f} ± {report['kl_standard_error']:.3f}", "0")
    table.add_row("sliced W₂ to true points", f"{report['sliced_w2']:.3f}", f"{report['sliced_w2_true']:.3f} (true)")
    table.add_row("prior gap E KL(q(x_T|x₀) ‖ p_T), nats", f"{report['prior_gap_nats']:.1e}", "0")
    return table


def mnist(config: Mnist) -> dict[str, Any]:
    """Train on the digits, write the grid and return the report.

    The network predicts x_0: predicting ε or v, a narrow MLP would have to carry 784 dimensions of noise through its
    bottleneck to the output, and what it drops comes out as grain.
    """
    data = load_mnist("train")
    config.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(config.seed)
    process = Cosine()
    network = TimeMLP(784, config.width, config.blocks, classes=10, prediction="x0", norm=True)
    states = train(
        network,
        process,
        data,
        steps=config.steps,
        batch=config.batch,
        lr=config.lr,
        weight="soft_snr",
        times="uniform",
        rng=rng,
    )
    began = time.perf_counter()
    kept = within(watched(states, config.steps, lambda state: ""), 60 * config.minutes)
    state = last(kept)
    seconds = time.perf_counter() - began
    model = NetworkDenoiser(network, state.ema, process).given(np.repeat(np.arange(10), 10))
    figure = plotting.digit_grid(sample(model, process, 100, steps=50, grid=digits_grid, rng=rng))
    report = {"steps": state.step, "training_seconds": seconds, "loss": state.loss, "parameters": network.size}
    write_json(config.out / "report.json", report)
    Console().print(
        f"{state.step} steps in {seconds:.0f} s.", f"Figure: {plotting.save(figure, config.out / 'digits.png')}"
    )
    return report


def digits_grid(process: Process, steps: int, to_zero: bool = True) -> np.ndarray:
    """A log-SNR grid that jumps to 0 from SNR = 1/floor: beyond it the weight soft_snr asked for no finer detail."""
    lam = np.linspace(grids.log_snr_ends(process)[0], -np.log(SOFT_SNR_FLOOR), steps)
    return np.append(np.minimum(process.time(lam), process.t_max), [0.0] * to_zero)


def within(states: Iterator[TrainState], seconds: float) -> Iterator[TrainState]:
    """The states until the time is up."""
    end = time.perf_counter() + seconds
    for state in states:
        yield state
        if time.perf_counter() > end:
            return


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write by way of a temporary file, so that the file is whole or absent."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)
