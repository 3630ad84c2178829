"""Tables and figures of the page on learning, from the measurements in benchmarks/learning.json."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from catalogue_pages import put
from matplotlib.figure import Figure

from tinydiff import plotting

RESULTS = Path(__file__).parent.parent / "benchmarks" / "learning.json"
COLOURS = dict(zip(("ring8", "grid25", "moons32", "pinwheel40", "spiral60"), plotting.CYCLE[:5], strict=True))
NEAR = (0.1, 0.05, 0.02)
HEADLINES = ("defaults", "600 steps")
BASE = "nothing"

Result = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include, and the figures."""
    folder.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    toys = by("toy", (each for each in results if each["change"] == "defaults" and each["looks"]))
    counts = {toy: len(of_toy) for toy, of_toy in by("toy", results).items()}
    ablated = max(counts, key=counts.__getitem__)
    changes = by("change", (each for each in results if each["toy"] == ablated))
    changes = {BASE: changes.pop(BASE)} | {name: changes[name] for name in changes if name not in HEADLINES}
    for name, table in (
        ("quality", quality(by("change", results))),
        ("soon", soon(toys)),
        ("changes", ablation(changes)),
    ):
        put(folder / f"{name}.md", table)
    for name, figure in (("soon", kl_in_time(toys)), ("excess", excess(toys)), ("changes", dots(changes))):
        plotting.save(figure, folder / f"{name}.png")


def by(key: str, results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results of each value of the key."""
    found: dict[str, list[Result]] = {}
    for each in results:
        found.setdefault(each[key], []).append(each)
    return found


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table of Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def spread(values: list[float], digits: int = 4) -> str:
    """Mean ± standard deviation over the seeds, where there are several."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def of(name: str, results: list[Result]) -> list[float]:
    """One number of each result."""
    return [each[name] for each in results]


def quality(changes: dict[str, list[Result]]) -> str:
    """KL, share of far samples, loss over its floor and seconds of the defaults and of fewer steps, for each toy."""
    rows = []
    for name in HEADLINES:
        for toy, results in by("toy", changes.get(name, [])).items():
            kl, error = spread(of("kl", results)), f"{mean(of('kl_standard_error', results)):.4f}"
            far = f"{100 * mean(of('far', results)):.2f} %"
            rows.append([name, f"{results[0]['steps']:,}", toy, kl, error, far, *loss_and_seconds(results)])
    head = ["", "steps", "toy", "KL(data ‖ model), nats", "standard error", "far samples", "loss over its floor"]
    return table([*head, "CPU seconds"], rows)


def soon(toys: dict[str, list[Result]]) -> str:
    """Seconds of training until the KL is below each of NEAR."""
    rows = [
        [toy, *(f"{mean(first(each['looks'], near) for each in results):.0f}" for near in NEAR)]
        for toy, results in toys.items()
    ]
    return table(["toy", *(f"KL ≤ {near}" for near in NEAR)], rows)


def first(looks: list[list[float]], near: float) -> float:
    """The seconds at the first look from which on the KL stays below near; infinity if none."""
    above = [i for i, (_, _, kl) in enumerate(looks) if kl > near]
    after = above[-1] + 1 if above else 0
    return looks[after][1] if after < len(looks) else float("inf")


def ablation(changes: dict[str, list[Result]]) -> str:
    """KL and loss over its floor of each change."""
    rows = [[name, spread(of("kl", results)), loss_and_seconds(results)[0]] for name, results in changes.items()]
    return table(["one thing changed", "KL(data ‖ model), nats", "loss over its floor"], rows)


def loss_and_seconds(results: list[Result]) -> list[str]:
    """What the loss exceeds its floor by, in percent of it, and how long training took: means over the seeds."""
    over = mean(each["loss"] / each["floor"] - 1 for each in results)
    return [f"{100 * over:.2f} %", f"{mean(of('seconds', results)):.0f}"]


def kl_in_time(toys: dict[str, list[Result]]) -> Figure:
    """KL against the seconds of training, the mean over seeds."""
    fig = Figure(figsize=(6.4, 3.6), dpi=110, layout="constrained")
    ax = fig.subplots()
    for toy, results in toys.items():
        looks = np.mean(of("looks", results), axis=0)
        ax.plot(looks[:, 1], looks[:, 2], "o-", ms=3, color=COLOURS[toy], label=toy)
    for near in NEAR:
        ax.axhline(near, color=plotting.DATA, lw=0.6, ls=":")
    ax.set(yscale="log", xscale="log", xlabel="seconds of training", ylabel="KL(data ‖ model), nats")
    ax.set_xticks([2, 5, 10, 20], ["2", "5", "10", "20"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8)
    return fig


def excess(toys: dict[str, list[Result]]) -> Figure:
    """The floor of the loss, and what the final models exceed it by, along the log-SNR."""
    fig = Figure(figsize=(8.6, 3.4), dpi=110, layout="constrained")
    left, right = fig.subplots(1, 2)
    for toy, results in toys.items():
        lam = results[0]["log_snr"]
        left.plot(lam, results[0]["floor_t"], color=COLOURS[toy], label=toy)
        right.plot(lam, np.mean(of("excess_t", results), axis=0), color=COLOURS[toy])
    left.set(xlabel="log-SNR (noise left, data right)", ylabel="floor of E‖ε − ε̂‖²/d")
    right.set(yscale="log", xlabel="log-SNR (noise left, data right)", ylabel="excess over the floor")
    left.legend(frameon=False, fontsize=8)
    return fig


def dots(changes: dict[str, list[Result]]) -> Figure:
    """The KL of every run, one row for each change, beside the mean of the defaults."""
    names = list(changes)
    fig = Figure(figsize=(8.0, 0.26 * len(names) + 0.9), dpi=110, layout="constrained")
    ax = fig.subplots()
    for row, results in enumerate(changes.values()):
        kl = of("kl", results)
        ax.plot(kl, [row] * len(kl), "o", ms=4, alpha=0.8, color=plotting.MODEL)
    ax.axvline(mean(of("kl", changes[BASE])), color=plotting.DATA, lw=0.8, ls=":")
    ax.set(xscale="log", xlabel="KL(data ‖ model), nats", yticks=range(len(names)), yticklabels=names)
    ax.invert_yaxis()
    ax.tick_params(axis="y", labelsize=8)
    return fig
