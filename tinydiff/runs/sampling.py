"""Samples from a run, class by class and guided, in the units of its data."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import tyro

from tinydiff import grids
from tinydiff.denoisers import Denoiser
from tinydiff.files import whole
from tinydiff.guidance import classifier_free
from tinydiff.learned.network import NetworkDenoiser
from tinydiff.runs.config import Count, Seed
from tinydiff.runs.directory import Trained
from tinydiff.sampling import sample
from tinydiff.sampling.ancestral import ddim, ddpm
from tinydiff.sampling.ode import probability_flow

SAMPLERS: dict[str, Callable] = {"ddim": ddim, "ddpm": ddpm, "probability_flow": probability_flow}
GRIDS = {"log_snr": grids.log_snr, "uniform": grids.uniform, "karras": grids.karras}


@dataclass(frozen=True)
class Draw:
    """Draw samples from a trained run and write them, in the units of its data, with a figure beside them."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    out: Path | None = None
    """A .npy or .csv file for the samples; DIR/samples.npy if not given."""
    n: Count = 1000
    """Number of samples."""
    label: int | None = None
    """Draw this class alone, −1 for no class; a conditional run draws all classes in turn if not given."""
    w: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Strength of classifier-free guidance."""
    sampler: Literal["ddim", "ddpm", "probability_flow"] = "ddim"
    """How to get from noise to data."""
    steps: Count = 50
    """Steps of the sampler."""
    grid: Literal["log_snr", "uniform", "karras"] = "log_snr"
    """Where the steps are."""
    eta: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Noise of DDIM: 0 for none, 1 for DDPM's."""
    seed: Seed = 0
    """Seed of the noise."""


def draw(trained: Trained, options: Draw) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples (n, D) as the model sees them, and their labels (n,) or None. Raises ValueError for labels it lacks."""
    model, classes = trained.model, trained.model.network.classes
    if not classes and (options.label is not None or options.w):
        raise ValueError("this run was trained without labels: leave out --label and --w, or train with --conditional.")
    if options.label is not None and not -1 <= options.label < classes:
        raise ValueError(f"--label must be a class from 0 to {classes - 1}, or −1 for none; got {options.label}.")
    if options.eta and options.sampler != "ddim":
        raise ValueError(f"--eta is for the sampler ddim; got {options.sampler}.")
    labels = None
    if classes:
        labels = np.arange(options.n) % classes if options.label is None else np.full(options.n, options.label)
    x = sample(
        guided(model, labels, options.w), model.process, options.n, sampler=SAMPLERS[options.sampler],
        steps=options.steps, grid=GRIDS[options.grid], rng=np.random.default_rng(options.seed),
        **({"eta": options.eta} if options.sampler == "ddim" else {}),
    )  # fmt: skip
    return x, labels


def guided(model: NetworkDenoiser, labels: np.ndarray | None, w: float) -> Denoiser:
    """The model conditioned on labels, if any, and pushed towards them with weight w."""
    if labels is None:
        return model
    return classifier_free(model.given(labels), model, w) if w else model.given(labels)


def write_points(path: Path, x: np.ndarray, labels: np.ndarray | None) -> None:
    """Write points as .npy, without labels, or as .csv with a column of them, as load_points reads it."""
    if path.suffix not in (".npy", ".csv"):
        raise ValueError(f"samples go to a .npy or .csv file; got {path}.")
    with whole(path) as part:
        if path.suffix == ".npy":
            np.save(part, x)
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([f"x{i}" for i in range(x.shape[1])] + ["label"] * (labels is not None))
            writer.writerows([*row, *extra] for row, extra in zip(x.tolist(), _columns(labels, len(x)), strict=True))


def _columns(labels: np.ndarray | None, n: int) -> list[list[int]]:
    return [[]] * n if labels is None else labels[:, None].tolist()
