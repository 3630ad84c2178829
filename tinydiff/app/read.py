"""Your own points, from a table of any kind, standardised; your own pictures, from a .npy or IDX file."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app.columns import CHOICES, GUESS, Frame, Reading, Table, named, table_of
from tinydiff.app.frames import frame_of, frame_of_array, is_path, open_npy, open_npz, read_arrow
from tinydiff.app.lines import read_text
from tinydiff.datasets.mnist import read_idx
from tinydiff.datasets.points import Dataset

IDX = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
"""How the names of IDX files end."""


def load_points(source: Any, labels: str | None = None, **options: Any) -> Dataset:
    r"""Read a table of points, each coordinate moved and scaled to mean 0 and variance 1.

    A text file may be written in any of the usual ways: with commas, semicolons, tabs, bars or spaces, with a decimal
    point or comma, quotes, comments, a line of names, in UTF-8 or UTF-16, gzipped or not. What is guessed is said in
    ``notes``; what can be read in two ways is refused, and an option decides. Columns that are constant are left out,
    and put back by ``restore``. A column named label, labels, class, classes or target, or the only one of words, has
    the classes.

    Parameters
    ----------
    source : str, path-like or object
        A text file (.csv, .tsv, .txt, …), a .npy or .npz file, a .parquet or .feather file, ``"-"`` for a text on
        standard input; or a data frame, one of scikit-learn's data sets, an array, or lists of rows.
    labels : str, optional
        The column of classes, by its name, or "none" where there is none.
    **options
        Those of a table, where guessing is not enough.
        header ("yes" or "no"): whether the first line of a text has the names of the columns.
        separator (",", ";", "|", "tab" or "space"): what stands between two cells of a text.
        decimal ("." or ","): the decimal mark of a text.
        array (str): the array of a .npz file that has the points.
        keep_index (bool): whether a first column that only counts the rows is a coordinate all the same.
        drop (sequence of str): columns to leave out.
        drop_missing (bool): whether to leave out rows in which a value is missing.

    Returns
    -------
    Dataset
        Points (N, D) in float64, labels (N,) or None, the names of columns and classes, and notes on what was guessed;
        ``restore`` leads back to the units and the columns of the file.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    TypeError
        For an option that does not exist.
    ValueError
        Where the source does not hold points, naming it, the line, the column, the text that is found there, and the
        option that would help.

    Examples
    --------
    >>> import pathlib, tempfile, tinydiff as td
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("width;kind\n1,5;cat\n2,5;dog\n", encoding="utf-8")
    >>> data = td.load_points(path)
    >>> data.x.tolist(), data.labels.tolist(), data.classes, data.restore(data.x).tolist()
    ([[-1.0], [1.0]], [0, 1], ('cat', 'dog'), [[1.5], [2.5]])
    >>> data.notes
    ('decimal commas', "label column 'kind': 2 classes")
    """
    return standardised(read_points(source, reading(options), labels), name_of(source))


def reading(options: Mapping[str, Any]) -> Reading:
    """The options of a table, each of them allowed."""
    allowed = [field.name for field in fields(Reading)]
    for name, value in options.items():
        if name not in allowed:
            raise TypeError(f"load_points has no option {name!r}; its options are {', '.join(allowed)}.")
        if name in CHOICES and value not in (None, *CHOICES[name]):
            raise ValueError(f"{name} must be one of {', '.join(map(repr, CHOICES[name]))}; got {value!r}.")
    drop = options.get("drop", ())
    return Reading(**{**options, "drop": (drop,) if isinstance(drop, str) else tuple(drop)})


def name_of(source: Any) -> str:
    """What errors call a source."""
    if not is_path(source):
        return "the data"
    return "standard input" if source == "-" else str(source)


def read_points(source: Any, how: Reading = GUESS, labels: str | None = None, gaps: bool = False) -> Table:
    """The table in a file, on standard input or in memory. ValueError names it, the place, and what would help."""
    try:
        frame, notes = _frame(source, how)
        return table_of(frame, how, labels, gaps, notes)
    except ValueError as error:
        if str(error).startswith(str(source)):  # it is named already
            raise
        raise ValueError(f"{name_of(source)}: {error}.") from error


def _frame(source: Any, how: Reading) -> tuple[Frame, Sequence[str]]:
    """The columns of a source, and what was guessed."""
    if not is_path(source):
        return frame_of(source), ()
    if source == "-":
        return read_text(sys.stdin.buffer.read(), how)
    path = Path(source)
    match path.suffix.lower():
        case ".npy":
            return frame_of_array(open_npy(path)), ()
        case ".npz":
            x, y, notes = open_npz(path, how.array)
            return frame_of_array(x, labels=y), notes
        case ".parquet" | ".feather" | ".arrow":
            return read_arrow(path), ()
    return read_text(path.read_bytes(), how)


def summary(name: str, data: Dataset) -> str:
    """What was read, in one line."""
    n, d = len(data.x), data.x.shape[1] + len(data.constants)
    return f"{name}: {'; '.join([f'{n:,} points of {d} columns', *data.notes])}."


def standardised(table: Table, name: str) -> Dataset:
    """The data set of a table: each coordinate that varies, moved and scaled; ValueError where none does."""
    x, places = table.x, np.arange(table.x.shape[1])
    if len(x) < 2 or not len(places):
        raise ValueError(f"{name} must hold two points or more, (N, D); its shape is {x.shape}.")
    for row, at in np.argwhere(~np.isfinite(x))[:1]:
        raise ValueError(f"{name} must hold finite numbers; coordinate {at} of point {row} is {x[row, at]}.")
    low, high = x.min(axis=0), x.max(axis=0)
    with np.errstate(over="ignore"):
        spread = high - low
    step = np.spacing(np.maximum(np.abs(low), np.abs(high)))  # from one number of float64 to the next
    varies = spread > 4 * step
    if not np.any(varies):
        raise ValueError(f"{name} has no column that varies: there is nothing to learn.")
    labelled = [named(table.names or [""] * len(places), i) for i in range(len(places))]
    for i in np.flatnonzero(varies & ~((spread > 1e-150) & (spread < 1e150))):
        raise ValueError(f"column {labelled[i]} of {name} goes from {low[i]:g} to {high[i]:g}: beyond float64.")
    notes = [*table.notes, *_sentences(x[:, varies], [labelled[i] for i in places[varies]], (spread / step)[varies])]
    constants = tuple((int(i), float(low[i])) for i in places[~varies])
    if constants:
        few = ", ".join(f"{labelled[i]} = {value:g}" for i, value in constants[:3])
        rest = f" and {len(constants) - 3} more" * (len(constants) > 3)
        notes.insert(len(table.notes), f"constant, so not learned but put back in samples: {few}{rest}")
    data = Dataset.standardised(x[:, varies], table.labels)
    return data._replace(names=table.names, classes=table.classes, constants=constants, notes=tuple(notes))


def _sentences(x: np.ndarray, named: Sequence[str], steps: np.ndarray) -> Iterator[str]:
    """What is good to know of columns that vary (N, D) before a model learns them."""
    scale = x.std(axis=0)
    with np.errstate(over="ignore"):
        far = np.max(np.abs(x - x.mean(axis=0)), axis=0) / scale
    if np.max(far) > 30:
        i = int(np.argmax(far))
        name, times = named[i], far[i]
        yield f"column {name} goes {times:.0f} deviations from its mean: such tails are learned badly; try logarithms"
    if np.max(scale) > 1e6 * np.min(scale):
        yield "the columns differ in scale by more than a million: each is learned in deviations of its own"
    if np.min(steps) < 1000:
        i = int(np.argmin(steps))
        yield f"column {named[i]} has only {steps[i]:.0f} numbers of float64 from its least to its greatest"


def is_idx(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named as IDX files are."""
    return Path(path).name.lower().endswith(IDX)


def is_pictures(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds pictures: an IDX file by its name, or a .npy file of three axes."""
    path = Path(path)
    try:
        return is_idx(path) or (path.suffix.lower() == ".npy" and open_npy(path).ndim == 3)
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
    return np.asarray(open_npy(path))


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
