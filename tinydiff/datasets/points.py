"""Your own points, from a .csv or .npy file, standardised."""

import csv
import os
from pathlib import Path

import numpy as np

from tinydiff.datasets.mnist import Dataset


def load_points(path: str | os.PathLike[str]) -> Dataset:
    """The points (N, D) of a file, each coordinate moved and scaled to mean 0 and variance 1.

    .npy: an array (N, D) of numbers. .csv: commas between numbers, a point a line, and optionally a first line of
    names; the column named "label", if any, holds the classes 0, 1, …. Points go back by x · scale + shift.
    Raises FileNotFoundError, or ValueError naming the file, and the line where there is one.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".npy": _read_npy}
    if path.suffix not in readers:
        raise ValueError(f"points come from a .csv or .npy file; got {path}.")
    points, labels = readers[path.suffix](path)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] == 0:
        raise ValueError(f"{path} must hold two points or more, (N, D); its shape is {points.shape}.")
    if not np.all(np.isfinite(points)):
        row = int(np.argmin(np.all(np.isfinite(points), axis=1)))
        raise ValueError(f"{path} must hold finite numbers; point {row} is {points[row]}.")
    with np.errstate(over="ignore", under="ignore"):
        shift, scale = points.mean(axis=0), points.std(axis=0)
    told_apart = (scale > np.maximum(1e-150, 1e-10 * np.max(np.abs(points), axis=0))) & (scale < 1e150)
    if not np.all(told_apart):
        at = int(np.argmin(told_apart))
        raise ValueError(f"coordinate {at} of {path} is constant, or beyond float64: its deviation is {scale[at]:.3g}.")
    return Dataset((points - shift) / scale, labels, shift, scale)


def _read_npy(path: Path) -> tuple[np.ndarray, None]:
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy raises half a dozen types for a broken header, the tokenizer's among them
        raise ValueError(f"{path} is not a .npy file of numbers: {' '.join(str(error).split())}") from error
    if array.dtype.kind not in "iufb":
        raise ValueError(f"{path} must hold real numbers; got {array.dtype}.")
    return np.asarray(array, float), None


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    names: list[str] | None = None
    rows: list[list[float]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                try:
                    row = [float(cell) for cell in cells]
                except ValueError:
                    if names is not None or rows:
                        raise ValueError(f"line {reader.line_num} is not numbers: {','.join(cells)[:60]!r}") from None
                    names, row = [cell.strip().lower() for cell in cells], []
                width = len(rows[0]) if rows else len(names or row)
                if row and len(row) != width:
                    raise ValueError(f"line {reader.line_num} has {len(row)} numbers, not {width}")
                rows += [row] if row else []
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}.") from error
    table = np.array(rows, float)
    if names is None or "label" not in names or not rows:
        return table, None
    at = names.index("label")
    labels = table[:, at]
    if not np.all((labels >= 0) & (labels == np.floor(labels)) & (labels < 1000)):
        raise ValueError(f"{path}: labels must be the integers 0, 1, …, below 1000.")
    return np.delete(table, at, axis=1), labels.astype(np.int64)
