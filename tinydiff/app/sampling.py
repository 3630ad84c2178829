"""Samples from a run, class by class and guided, in the units of its data."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import tyro

from tinydiff import backend, grids
from tinydiff.app.config import Count, Device, Seed, UsageError
from tinydiff.app.directory import Trained
from tinydiff.app.parallel import Comm, RowsOf, gathered, rows_of_rank
from tinydiff.backend import Array, cast, to_numpy
from tinydiff.denoisers import Denoiser
from tinydiff.files import atomic, in_memory
from tinydiff.guidance import ClassifierFreeGuidance
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.train import last
from tinydiff.sampling.adams_bashforth import adams_bashforth
from tinydiff.sampling.ddim import ddim
from tinydiff.sampling.ddpm import ddpm
from tinydiff.sampling.dpm_solver import dpm_solver_2m, dpm_solver_3m
from tinydiff.sampling.edm import edm_heun
from tinydiff.sampling.exponential_euler import exponential_euler
from tinydiff.sampling.predictor_corrector import predictor_corrector
from tinydiff.sampling.probability_flow import probability_flow
from tinydiff.sampling.reverse_sde import euler_maruyama
from tinydiff.sampling.sample import sample
from tinydiff.sampling.sde_dpm_solver import sde_dpm_solver_2m
from tinydiff.sampling.unipc import unipc

SAMPLERS: dict[str, Callable] = {
    "adams_bashforth": adams_bashforth,
    "ddim": ddim,
    "ddpm": ddpm,
    "dpm_solver_2m": dpm_solver_2m,
    "dpm_solver_3m": dpm_solver_3m,
    "unipc": unipc,
    "edm_heun": edm_heun,
    "probability_flow": probability_flow,
    "euler_maruyama": euler_maruyama,
    "exponential_euler": exponential_euler,
    "sde_dpm_solver_2m": sde_dpm_solver_2m,
    "predictor_corrector": predictor_corrector,
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "eta": ("ddim", "euler_maruyama", "exponential_euler", "sde_dpm_solver_2m"), "order": ("adams_bashforth", "unipc"),
    "variance": ("ddpm",), "churn": ("edm_heun",), "method": ("probability_flow",),
    "corrections": ("predictor_corrector",),
}  # fmt: skip
"""The options that some samplers alone take, and which do."""
WEIGHTS = (0.0, 0.5, 1.5)
"""The guidance weights that reports show side by side."""
EVERYWHERE = (-math.inf, math.inf)
"""The log-SNRs between which guidance guides, unless told otherwise."""
GRIDS = {
    "logistic": grids.logistic,
    "even_log_snr": grids.even_log_snr,
    "even_time": grids.even_time,
    "karras": grids.karras,
}


Strength = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Few = Annotated[int, msgspec.Meta(ge=0, le=1000)]


@dataclass(frozen=True)
class Draw:
    """Draw samples from a trained run and write them, in the units of its data, with a figure of points or pictures."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: DIR/draws.npy)")] = None
    """A .npy file for the samples, or a .csv file for them and their labels."""
    n: Count = 1000
    """Number of samples."""
    label: Annotated[str | None, tyro.conf.arg(metavar="CLASS", help_behavior_hint="(default: all in turn)")] = None
    """Draw this class alone, by its name or number, -1 for no class, of a conditional run."""
    w: Strength = 0.0
    """Strength of classifier-free guidance: 0 for none; some call 1 + w the guidance scale."""
    interval: Annotated[
        tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH", help_behavior_hint="(default: everywhere)")
    ] = None
    """The log-SNRs between which --w guides; pictures are best with -3 2."""
    sampler: Literal[
        "adams_bashforth", "ddim", "ddpm", "dpm_solver_2m", "dpm_solver_3m", "unipc", "edm_heun", "probability_flow",
        "euler_maruyama", "exponential_euler", "sde_dpm_solver_2m", "predictor_corrector",
    ] = "adams_bashforth"  # fmt: skip
    """How to get from noise to data."""
    steps: Annotated[Count | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 50)")] = None
    """Times at which the sampler asks the model, the last of them for x̂_0; the method rk45 chooses its own."""
    grid: Annotated[
        Literal["logistic", "even_log_snr", "even_time", "karras"] | None,
        tyro.conf.arg(
            metavar="{logistic,even_log_snr,even_time,karras}",
            help_behavior_hint="(default: logistic, with --end even_log_snr)",
        ),
    ] = None
    """Where these times are."""
    end: Annotated[
        float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: that of the process)")
    ] = None
    """Log-SNR at which the model is asked for x̂_0, on the grid even_log_snr; pictures are best with 3."""
    eta: Annotated[Strength | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: ddim 0, else 1)")] = (
        None
    )
    """Share of noise. ddim: from 0 to 1, DDPM's. The SDE's solvers: 0 for the ODE, 1 for the reverse SDE, or more."""
    order: Annotated[
        Literal[1, 2, 3, 4] | None,
        tyro.conf.arg(metavar="{1,2,3,4}", help_behavior_hint="(default: adams_bashforth 4, unipc 3)"),
    ] = None
    """adams_bashforth, unipc: the evaluations that a step looks back to; unipc's are at most 3."""
    variance: Annotated[
        Literal["beta_tilde", "beta"] | None,
        tyro.conf.arg(metavar="{beta_tilde,beta}", help_behavior_hint="(default: beta_tilde)"),
    ] = None
    """ddpm: variance of a step."""
    churn: Annotated[Strength | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: 0)")] = None
    """edm_heun: noise added and removed again on the way, EDM's S_churn."""
    method: Annotated[
        Literal["euler", "heun", "rk4", "rk45"] | None,
        tyro.conf.arg(metavar="{euler,heun,rk4,rk45}", help_behavior_hint="(default: rk4)"),
    ] = None
    """probability_flow: how the ODE is solved."""
    corrections: Annotated[Few | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 1)")] = None
    """predictor_corrector: Langevin steps after each step."""
    clip: tyro.conf.FlagCreatePairsOff[bool] = False
    """Pictures and dequantised columns: clip what is beyond the range of the data."""
    seed: Seed = 0
    """Seed of the noise."""
    mpi: tyro.conf.FlagCreatePairsOff[bool] = False
    """Divide the samples among the processes that mpiexec started."""
    device: Device = "cpu"
    """Where to compute: gpu takes CuPy and a GPU."""


def draw(trained: Trained, options: Draw, comm: Comm | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples (n, D) as the model sees them, and their labels (n,) or None.

    comm: ranks among which the samples are divided; rank 0 returns all, the others theirs.
    Raises UsageError for what the run cannot draw, and FloatingPointError for samples that are not finite.
    """
    of_sampler, grid = sampler_options(options), GRIDS[options.grid or "logistic"]
    model, classes = trained.model, trained.model.network.classes
    if (like := device_like(options.device, comm)) is not None:
        model = NetworkDenoiser(model.network, cast(model.theta, like), model.process)
    if not classes and (options.label is not None or options.w):
        raise UsageError("this run was trained without labels: leave out --label and --w, or train with --conditional.")
    label = None if options.label is None else trained.class_of(options.label)
    if options.interval is not None:
        if not options.w:
            raise UsageError("--interval is for guidance: give --w too.")
        if not options.interval[0] < options.interval[1]:
            raise UsageError("--interval is two log-SNRs, the lower first; got {:g} {:g}.".format(*options.interval))
    if label == -1 and options.w:
        raise UsageError("--label -1 asks for no class, so there is none to guide to: leave out --w.")
    if options.method == "rk45" and comm is not None:
        raise UsageError("rk45 steps as the worst of all samples needs, so they cannot be divided: leave out --mpi.")
    if options.end is not None:
        grid = partial(grids.even_log_snr, end=options.end)
    labels = None
    if classes:
        labels = np.arange(options.n) % classes if label is None else np.full(options.n, label)
    rows: slice = slice(None)
    rng: Any = np.random.default_rng(options.seed)
    if comm is not None:
        rows = rows_of_rank(comm, options.n)
        rng = RowsOf(rng, rows, options.n)
    with np.errstate(all="ignore"):
        drawn = sample(
            guided(model, None if labels is None else labels[rows], options.w, options.interval or EVERYWHERE),
            len(range(options.n)[rows]),
            sampler=SAMPLERS[options.sampler],
            steps=2 if options.method == "rk45" else options.steps or 50,  # rk45 takes its own between two
            grid=grid,
            rng=rng,
            **of_sampler,
        )
    x = to_numpy(drawn)
    if not np.all(np.isfinite(x)):
        raise FloatingPointError("the samples are not finite: take more --steps, or less noise or guidance.")
    if comm is not None and (everyones := gathered(comm, x)) is not None:
        x = everyones
    return x, None if label == -1 else labels


def sampler_options(options: Draw) -> dict[str, Any]:
    """The options of the sampler itself, by name; UsageError for what does not go together, whatever the run."""
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    for name in given:
        if options.sampler not in OPTIONS[name]:
            raise UsageError(f"--{name} is for the sampler {' or '.join(OPTIONS[name])}; got {options.sampler}.")
    if options.sampler == "ddim" and given.get("eta", 0) > 1:
        raise UsageError(f"--eta of the sampler ddim is at most 1; got {options.eta}.")
    if options.sampler == "unipc" and options.order == 4:
        raise UsageError("--order of the sampler unipc is at most 3; got 4.")
    if options.end is not None and options.grid not in (None, "even_log_snr"):
        raise UsageError(f"--end is for the grid even_log_snr; got {options.grid}.")
    if options.method == "rk45" and (options.steps is not None or options.grid is not None):
        raise UsageError("rk45 chooses its own steps: leave out --steps and --grid.")
    return given


def device_like(device: Device, comm: Comm | None = None) -> Array | None:
    """An array of the device to compute on, None for the host's; ValueError where there is none, or with ranks."""
    if device == "cpu":
        return None
    if comm is not None:
        raise UsageError("--device gpu and --mpi do not go together: gradients are sent from the host's memory.")
    return backend.device_like(device)


def guided(
    model: NetworkDenoiser, labels: np.ndarray | None, w: float, interval: tuple[float, float] = EVERYWHERE
) -> Denoiser:
    """The model conditioned on labels, if any, and pushed towards them with weight w between these log-SNRs."""
    if labels is None:
        return model
    return ClassifierFreeGuidance(model.given(labels), model, w, interval) if w else model.given(labels)


def under_guidance(
    model: Any,
    labels: np.ndarray | None,
    noise: np.ndarray,
    weights: Sequence[float] = WEIGHTS,
    grid: grids.Grid = grids.even_log_snr,
    eta: float = 0.0,
    interval: tuple[float, float] = EVERYWHERE,
) -> list[np.ndarray]:
    """What DDIM makes of the noise (n, D) under each weight of guidance towards the labels (n,), if any.

    It visits 50 times and answers with x̂_0 at the last. With eta > 0 the noise on the way is the same for each weight.
    """
    ts, answers = grid(model.process, 49), []
    for w in weights:
        towards = guided(model, labels, w, interval)
        answers.append(towards.x0(last(ddim(towards, noise, ts, eta=eta, rng=0))[1], ts[-1]))
    return answers


def check_out(out: Path, *read: str) -> None:
    """Raise a UsageError unless samples can be written there, and a figure beside them: a table, and nothing that is
    read or lies in a folder that is.
    """
    if out.suffix.lower() not in (".npy", ".csv"):
        raise UsageError(f"--out must be a .npy or .csv file; got {out}.")
    kept = [Path(path).resolve() for path in read]
    for written in (out.resolve(), out.with_suffix(".png").resolve()):
        if written in kept or any(path.is_dir() and path in written.parents for path in kept):
            raise UsageError(f"--out {out} would replace {written.name}, which is read: choose another.")


def write_points(
    path: Path, x: np.ndarray, labels: np.ndarray | None, names: Sequence[str] = (), classes: Sequence[str] = ()
) -> None:
    """Write points as .npy, without labels, or as .csv with names and a column of classes, as load_points reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npy":
        with atomic(path) as part:
            part.write_bytes(in_memory(np.save, x))
        return
    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(names or column_names(x.shape[1])), *["label"] * (labels is not None)])
        kinds = dict(enumerate(classes))
        columns = [whole(column).tolist() for column in x.T] + (
            [] if labels is None else [[kinds.get(k, k) for k in labels.tolist()]]
        )
        writer.writerows(zip(*columns, strict=True))


def whole(column: np.ndarray) -> np.ndarray:
    """A column as integers, where all of its numbers are whole."""
    return column.astype(np.int64) if np.all((column == np.rint(column)) & (np.abs(column) < 2**53)) else column


def column_names(columns: int) -> tuple[str, ...]:
    """What columns are called that have no names."""
    return tuple(f"x{i}" for i in range(columns))
