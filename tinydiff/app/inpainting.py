"""What is missing in points or pictures, drawn given what is known: `tinydiff inpaint`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import tyro
from tqdm import tqdm

from tinydiff import grids, plotting
from tinydiff.app.columns import LABELS, Frame, Reading, is_float, table_of
from tinydiff.app.config import Count, Seed, UsageError, open_parts
from tinydiff.app.directory import Run, Trained
from tinydiff.app.images import read_array, read_image
from tinydiff.app.pictures import SAMPLER
from tinydiff.app.read import read_points
from tinydiff.app.sampling import check_out, column_names, write_points
from tinydiff.datasets.points import with_constants
from tinydiff.inverse import MeasurementGuidance, inpaint
from tinydiff.sampling.ddim import ddim
from tinydiff.sampling.sample import trajectory

HIDDEN = -0.6
"""What is missing, on a sheet whose values go from −1 to 1."""
FAR = 20.0
"""Standard deviations from the mean of the data at which a known value is taken for a mistake."""


@dataclass(frozen=True)
class Inpaint:
    """Draw what is missing in a table or a picture, given what is known, in the units of the run's data.

    The other columns of a thousand points: tinydiff inpaint runs/mine --known length=180 --n 1000

    The empty cells of a table: tinydiff inpaint runs/mine --known gaps.csv --out full.csv

    The lower half of a test digit: tinydiff inpaint runs/mnist --known 3 --mask 14:28,0:28 --n 8
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    known: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE [...]|FILE|NUMBER")]
    """Columns and their values, or a .csv file with gaps; an image, a .npy file of pictures, or which unseen one."""
    mask: Annotated[
        str | None, tyro.conf.arg(metavar="FILE|TOP:BOTTOM,LEFT:RIGHT", help_behavior_hint="(default: what is NaN)")
    ] = None
    """The pixels that are missing: the black ones of an image, or rows and columns, from 0 on, without the last."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: in DIR)")] = None
    """A .csv or .npy file for what is known and drawn; of pictures there is a sheet beside it."""
    n: Count = 1
    """Draws for each point or picture."""
    label: Annotated[str | None, tyro.conf.arg(metavar="CLASS", help_behavior_hint="(default: none)")] = None
    """The class of all, of a conditional run; a column label of a table gives each its own."""
    method: Literal["repaint", "mmps", "tmpd", "pigdm", "dps"] = "repaint"
    """repaint keeps what is known as it is; the others take it for a measurement with noise."""
    resamples: Count = 10
    """repaint: how often each step is taken; with more of them what is drawn agrees better with what is known."""
    tau: Annotated[float, msgspec.Meta(gt=0, le=100)] = 0.05
    """The others: deviation of that noise, in deviations of a column, or in halves of the range of pixels."""
    steps: Count = 50
    """Times that the sampler visits."""
    seed: Seed = 0
    """Seed of the noise."""


def fill(options: Inpaint) -> np.ndarray:
    """Draw, write and show what was asked for; what was written, (rows · n, D), in the units of the data."""
    run = Run.open(options.run)
    trained = run.load()
    size, words = trained.picture, (trained.names, trained.classes)
    out = options.out or run.path / ("inpainted.npy" if size else "inpainted.csv")
    check_out(out, run.config.name, " ".join(options.known), *([options.mask] if options.mask else []))
    x, labels = (pictures_of(options.known, run, trained), None) if size else points_of(options.known, run, trained)
    labels = labels if options.label is None else np.full(len(x), trained.class_of(options.label))
    missing = np.isnan(x) | hidden(options.mask, size)
    if np.all(missing) or not np.any(missing):
        gaps = "leave gaps, or give a --mask" if options.mask is None else f"the --mask {options.mask} hides no pixel"
        raise UsageError(f"nothing is {'known' if np.all(missing) else f'missing: {gaps}'}.")
    whole = (x - trained.shift) / trained.scale
    if np.any(far := ~missing & (np.abs(whole) > FAR)):
        raise UsageError(f"{x[far][0]:g} is far from all of the run's data: is it in their units?")
    x, whole, missing = (np.repeat(each, options.n, axis=0) for each in (x, whole, missing))
    labels = None if labels is None else np.repeat(labels, options.n)
    new = drawn(trained, whole, missing, labels, options)
    noisy = np.any(missing, axis=1, keepdims=True) & (options.method != "repaint")
    x = np.where(missing | noisy, trained.varying_units(new), x)  # what is known, to the last bit
    units = with_constants(x, trained.constants)
    write_points(out, units.reshape(-1, *size) if size and out.suffix.lower() == ".npy" else units, labels, *words)
    print("Written:", out, sep="\n  ")
    if size:
        draws = [new[i :: options.n] for i in range(min(8, options.n))]
        tiles = [each[:: options.n] for each in (whole, np.where(missing, np.nan, whole))] + draws
        sheet = np.nan_to_num(np.stack(tiles, axis=1)[:20], nan=HIDDEN).reshape(-1, x.shape[1])
        figure = plotting.pictures(sheet, size, columns=len(tiles))
        print(f"  {plotting.save(figure, out.with_suffix('.png'))}: originals, what is known, draws")
    return units


def points_of(known: tuple[str, ...], run: Run, trained: Trained) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (N, D) in the units of the data, NaN where they are not known, and their classes, −1 for none."""
    names = trained.names or column_names(trained.model.dim + len(trained.constants))
    pairs = [parted_at(word, names) for word in known]
    if "=" in known[0]:
        columns = [known_value(*pair) for pair in pairs]
        frame = Frame([name for name, _, _ in pairs], columns, [1])
        table = table_of(frame, Reading(keep_index=True), gaps=True)
    else:
        table = read_points(" ".join(known), Reading(keep_index=True), gaps=True)
    if not len(table.x):
        raise UsageError("nothing is known: --known holds no numbers.")
    given = (pair[0] for pair in pairs if pair[0].lower() not in LABELS) if "=" in known[0] else table.names or names
    given = tuple(given)
    if table.label in names or not set(given) <= set(names) or table.x.shape[1] != len(set(given)):
        got = f"{', '.join([*given, *[table.label] * bool(table.label)])}, {table.x.shape}"
        raise UsageError(f"the run's data have the columns {', '.join(names)}; got {got}.")
    x = np.full((len(table.x), len(names)), np.nan)
    x[:, [names.index(name) for name in given]] = table.x
    for i, value in trained.constants:
        if np.any(~np.isnan(x[:, i]) & (x[:, i] != value)):
            raise UsageError(f"column {names[i]} is {value:g} in all of the run's data.")
    x = np.delete(x, [i for i, _ in trained.constants], axis=1)
    if table.labels is None:
        return x, None
    numbers = np.array([*map(trained.class_of, table.classes), -1])
    return x, numbers[table.labels]


def parted_at(word: str, names: Sequence[str]) -> tuple[str, str, str]:
    """NAME=VALUE, of which both may have an =: parted behind the longest name of a column, or else at the last."""
    known = [name for name in (*names, *LABELS) if word.lower().startswith(f"{name.lower()}=")]
    at = len(max(known, key=len)) if known else word.rfind("=")
    return word[: max(at, 0)], "=", word[at + 1 :]


def known_value(name: str, _: str, value: str) -> np.ndarray:
    """A column (1,) of the number that is given for it, or of a word where it has the classes."""
    if name.lower() in LABELS and not is_float(value):
        return np.array([value], object)
    if value and (not is_float(value) or "_" in value):
        raise UsageError(f"--known {name}={value}: {value!r} is no number.")
    return np.array([float(value or "nan")])


def pictures_of(known: tuple[str, ...], run: Run, trained: Trained) -> np.ndarray:
    """Pictures (N, H·W) in the units of the data, NaN where they are not known."""
    if (path := " ".join(known)).isdecimal():
        unseen = open_parts(*run.with_data().config.source)[1]
        assert unseen is not None
        if int(path) >= len(unseen.x):
            raise UsageError(f"there are {len(unseen.x)} unseen pictures, the first of them 0; got {path}.")
        return unseen.restore(unseen.x[int(path)][None])
    x = pixels(path, trained.picture)
    return x if path.lower().endswith(".npy") else trained.restore(2 * x - 1)


def hidden(mask: str | None, size: tuple[int, int] | None) -> Any:
    """Which pixels (H·W,) the mask hides."""
    if mask is None:
        return False
    if size is None:
        raise UsageError("--mask is for pictures: in a table what is missing is an empty cell.")
    if (found := re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", mask)) is None:
        return pixels(mask, size) < 0.5
    top, bottom, left, right = map(int, found.groups())
    rows, columns = np.indices(size).reshape(2, -1)
    return (top <= rows) & (rows < bottom) & (left <= columns) & (columns < right)


def pixels(path: str, size: Any) -> np.ndarray:
    """The numbers of a .npy file (N, H·W), or the grey values of an image file (1, H·W), from black 0 to white 1."""
    if path.lower().endswith(".npy"):
        x = np.asarray(read_array(Path(path)), float)
    else:
        try:
            x = read_image(Path(path))
        except SyntaxError as error:
            raise ValueError(f"{path} is no image that can be read: {error}") from error
        x = x / (np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1.0)
    if x.shape[-2:] != size:
        raise UsageError(f"{path} has {x.shape[-2:]} pixels, and the run's pictures have {size}.")
    return x.reshape(-1, size[0] * size[1])


def drawn(trained: Trained, x: np.ndarray, missing: np.ndarray, labels: Any, options: Inpaint) -> np.ndarray:
    """The points (B, D) as the model sees them, with what is missing drawn; FloatingPointError where not finite."""
    model, rng = trained.model, np.random.default_rng(options.seed)
    grid = SAMPLER["grid"] if trained.picture else grids.default
    x = np.where(missing, 0, x).astype(model.like.dtype)
    apart = missing & (options.method != "repaint")  # a measurement has one A for all its rows
    part = np.unique(apart, axis=0, return_inverse=True)[1].ravel()
    total = (max(part) + 1) * (options.steps + 1)
    with tqdm(total=total, desc="inpainting", unit="step", dynamic_ncols=True) as bar, np.errstate(all="ignore"):
        for rows in (part == i for i in range(max(part) + 1)):
            target: Any = model if labels is None else model.given(labels[rows])
            sampler: Any = partial(inpaint, known=x[rows], mask=~missing[rows], resamples=options.resamples)
            known = ~missing[rows][0]
            if options.method != "repaint" and np.any(known):
                A, sampler = np.eye(model.dim)[known], partial(ddim, eta=1.0)
                target = MeasurementGuidance(target, A, x[rows][:, known], options.tau, options.method)
            walk = trajectory(target, sum(rows), sampler=sampler, steps=options.steps, grid=grid, rng=rng)
            for _, now in walk:  # noqa: B007
                bar.update()
            x[rows] = now
    if not np.all(np.isfinite(x)):
        raise FloatingPointError(f"what {options.method} draws is not finite: take more --steps, or a larger --tau.")
    return x
