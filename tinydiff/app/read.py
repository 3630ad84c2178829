"""Your own points, from a .csv or .npy file, standardised; your own pictures, from a .npy or IDX file."""

import csv
import io
import math
import os
from pathlib import Path

import numpy as np

from tinydiff.datasets.mnist import read_idx
from tinydiff.datasets.points import Dataset

IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
"""How the names of IDX files end."""


def load_points(path: str | os.PathLike[str]) -> Dataset:
    r"""Read the points of a file, each coordinate moved and scaled to mean 0 and variance 1.

    A .npy file is an array (N, D) of numbers. A .csv file has commas between numbers, a point on each line, and
    optionally a first line of names; its column named "label", if there is one, holds the classes 0, 1, ….

    Parameters
    ----------
    path : str or path-like
        The file, whose suffix is .csv or .npy.

    Returns
    -------
    Dataset
        Points (N, D) in float64, and labels (N,) or None; ``restore`` leads back to the units of the file.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it does not hold points, naming the file and, where there is one, the line.

    Examples
    --------
    >>> import pathlib, tempfile, tinydiff as td
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("width,label\n10,0\n30,1\n", encoding="utf-8")
    >>> data = td.load_points(path)
    >>> data.x.tolist(), data.labels.tolist(), data.restore(data.x).tolist()
    ([[-1.0], [1.0]], [0, 1], [[10.0], [30.0]])
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise ValueError(f"points come from a .csv or .npy file; got {path}.")
    points, labels = readers[path.suffix.lower()](path)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] == 0:
        raise ValueError(f"{path} must hold two points or more, (N, D); its shape is {points.shape}.")
    for row, at in np.argwhere(~np.isfinite(points))[:1]:
        raise ValueError(f"{path} must hold finite numbers; coordinate {at} of point {row} is {points[row, at]}.")
    with np.errstate(over="ignore", under="ignore"):
        scale = points.std(axis=0)
    apart = (scale > np.maximum(1e-150, 1e-10 * np.max(np.abs(points), axis=0))) & (scale < 1e150)
    if not np.all(apart):
        at = int(np.argmin(apart))
        raise ValueError(f"coordinate {at} of {path} is constant, or beyond float64: its deviation is {scale[at]:.3g}.")
    if labels is not None:
        _check_gaps(path, labels)
    return Dataset.standardised(points, labels)


def is_idx(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named as IDX files are."""
    return Path(path).name.lower().endswith(IDX)


def is_pictures(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds pictures: an IDX file by its name, or a .npy file of three axes."""
    path = Path(path)
    try:
        return is_idx(path) or (path.suffix.lower() == ".npy" and _open_npy(path).ndim == 3)
    except (OSError, ValueError):
        return False


def labels_beside(path: str | os.PathLike[str]) -> Path | None:
    """The labels that lie beside an IDX file of pictures under MNIST's name for them, if they do."""
    path = Path(path)
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return beside if is_idx(path) and beside != path and beside.is_file() else None


def load_pictures(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None) -> Dataset:
    """Read grey pictures of one size, scaled so that the least value of all pixels is −1 and the greatest 1.

    Parameters
    ----------
    path : str or path-like
        A .npy file of numbers (N, H, W), or an IDX file of bytes, gzipped or not, whose name ends in "-ubyte" or
        ".idx", before any ".gz".
    labels : str or path-like, optional
        A .npy or IDX file of the classes 0, 1, …, (N,). Without it, the IDX file beside the pictures that is named as
        MNIST names it, "labels-idx1" for "images-idx3", if it is there.

    Returns
    -------
    Dataset
        Pictures (N, H·W) in float32, row by row, and labels (N,) or None; ``restore`` leads back to the file's values.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it does not hold pictures, or the labels are not theirs, naming the file.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, tinydiff as td
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.npy"
    >>> np.save(path, np.array([[[0, 16], [8, 0]], [[0, 0], [16, 4]]]))
    >>> data = td.load_pictures(path)
    >>> data.x.tolist(), data.picture
    ([[-1.0, 1.0, 0.0, -1.0], [-1.0, -1.0, 1.0, -0.5]], (2, 2))
    """
    path = Path(path)
    array = read_array(path)
    if array.ndim != 3 or len(array) < 2 or 0 in array.shape:
        raise ValueError(f"{path} must hold two pictures or more, (N, H, W); its shape is {array.shape}.")
    for at in np.argwhere(~np.isfinite(array))[:1].tolist():
        raise ValueError(f"{path} must hold finite numbers; pixel {at[1:]} of picture {at[0]} is {array[tuple(at)]}.")
    low, high = float(array.min()), float(array.max())
    if not 1e-150 < high - low < 1e150:
        raise ValueError(f"the pixels of {path} go from {low:g} to {high:g}: that cannot be scaled to −1 and 1.")
    shift, scale = (high + low) / 2, (high - low) / 2
    of = labels_beside(path) if labels is None else Path(labels)
    x = (np.subtract(array.reshape(len(array), -1), shift, dtype=np.float64) / scale).astype(np.float32)
    return Dataset(x, None if of is None else _read_labels(of, path, len(x)), shift, scale, array.shape[1:])


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy or IDX file."""
    if is_idx(path):
        return read_idx(path)
    if path.suffix.lower() != ".npy":
        raise ValueError(f"pictures and labels come from a .npy file or an IDX file (…-ubyte, .idx, .gz); got {path}.")
    return np.asarray(_open_npy(path))


def _read_labels(path: Path, pictures: Path, n: int) -> np.ndarray:
    labels = read_array(path)
    if labels.shape != (n,):
        raise ValueError(f"{path} must hold a label for each of the {n} pictures of {pictures}; got {labels.shape}.")
    if not np.all((labels == np.rint(labels)) & (labels >= 0) & (labels < 1000)):
        raise ValueError(f"{path}: labels must be the integers 0, 1, …, below 1000.")
    _check_gaps(path, labels.astype(np.int64))
    return labels.astype(np.int64)


def _check_gaps(path: Path, labels: np.ndarray) -> None:
    if missing := set(range(labels.max() + 1)) - set(labels.tolist()):
        raise ValueError(f"{path}: labels must be 0, 1, … without gaps; no point has the label {min(missing)}.")


def _read_npy(path: Path) -> tuple[np.ndarray, None]:
    return np.asarray(_open_npy(path), float), None


def _open_npy(path: Path) -> np.ndarray:
    """The array of numbers in a file, of which nothing is read yet."""
    try:
        with np.errstate(over="raise"):  # a size beyond 64 bits
            array = np.lib.format.open_memmap(path, mode="r")  # which checks the file's size before it takes memory
    except OSError:
        raise
    except Exception as error:  # NumPy raises half a dozen types for a broken header, the tokenizer's among them
        raise ValueError(f"{path} is not a .npy file of numbers: {' '.join(str(error).split())}") from error
    if array.dtype.kind not in "iufb":
        raise ValueError(f"{path} must hold real numbers; got {array.dtype}.")
    return array


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    names, table = read_table(path)
    if "label" not in names or not len(table):
        return table, None
    at = names.index("label")
    return np.delete(table, at, axis=1), table[:, at].astype(np.int64)


def column_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of the coordinates in a .csv file; none where not each has one of its own."""
    path = Path(path)
    names = read_table(path)[0] if path.suffix.lower() == ".csv" and path.is_file() else []
    names = [name for name in names if name != "label"]
    return tuple(names) if len({*names} - {""}) == len(names) else ()


def read_table(path: Path, gaps: bool = False, text: str | None = None) -> tuple[list[str], np.ndarray]:
    """The names of the columns, where the first line has them, and the numbers (N, C) of a .csv file, or of its text.

    gaps: an empty cell, NA and NaN are NaN, and a label may be −1.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    try:
        with io.StringIO(text) if text else path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                if len(cells) <= 1 and not "".join(cells).strip():
                    continue
                row = [number for cell in cells if (number := _number(cell, gaps)) is not None]
                if not names and not rows and len(row) < len(cells) and all(map(math.isnan, row)):
                    names = ["label" if cell.strip().lower() == "label" else cell.strip() for cell in cells]
                    continue
                if len(row) < len(cells):
                    raise ValueError(f"line {reader.line_num} is not numbers: {','.join(cells)[:60]!r}")
                if len(row) != (width := len(rows[0]) if rows else len(names or row)):
                    raise ValueError(f"line {reader.line_num} has {len(row)} numbers, not {width}")
                if not all(math.isfinite(number) or (gaps and math.isnan(number)) for number in row):
                    raise ValueError(f"line {reader.line_num} is not finite: {','.join(cells)[:60]!r}")
                label = row[names.index("label")] if "label" in names else 0
                if not (label in range(-gaps, 1000) or (gaps and math.isnan(label))):
                    raise ValueError(f"line {reader.line_num}: labels must be the integers 0, 1, …, below 1000")
                rows.append(row)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}.") from error
    return names, np.array(rows, float)


def _number(cell: str, gaps: bool) -> float | None:
    """The number in a cell, or None if it holds something else."""
    try:
        return math.nan if gaps and cell.strip().lower() in ("", "na") else float(cell)
    except ValueError:
        return None
