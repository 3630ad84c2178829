"""Your own points, from a table of any kind, standardised."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app.atoms import dequantised, first_of, with_atoms
from tinydiff.app.columns import CHOICES, GUESS, Frame, Reading, Table, named, table_of
from tinydiff.app.frames import frame_of, frame_of_array, is_path, open_npy, open_npz, read_arrow, with_labels
from tinydiff.app.lines import read_text
from tinydiff.datasets.points import Dataset

ARROW = (".parquet", ".feather", ".arrow")
"""How the names of files of Apache Arrow end."""


def load_points(source: Any, labels: Any = None, **options: Any) -> Dataset:
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
    labels : str or (N,), optional
        The column of classes, by its name, or "none" where there is none; or the classes themselves, one a point.
    **options
        Those of a table, where guessing is not enough.
        header ("yes" or "no"): whether the first line of a text has the names of the columns.
        separator (",", ";", "|", "tab" or "space"): what stands between two cells of a text.
        decimal ("." or ","): the decimal mark of a text.
        array (str): the array of a .npz file that has the points.
        keep_index (bool): whether a first column that only counts the rows is a coordinate all the same.
        drop (sequence of str): columns to leave out.
        drop_missing (bool): whether to leave out rows in which a value is missing.
        dequantise (bool): whether to spread whole numbers that come again and again by uniform noise, so that they have
        a density; ``restore`` rounds them.

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
    how = reading(options)
    return standardised(read_points(source, how, labels), name_of(source), how.dequantise)


def reading(options: Mapping[str, Any]) -> Reading:
    """The options of a table, each of them allowed."""
    allowed = [field.name for field in fields(Reading)]
    for name, value in options.items():
        if name not in allowed:
            raise TypeError(f"load_points has no option {name!r}; its options are {', '.join(allowed)}.")
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, CHOICES[name]))}; got {value!r}.")
        if name in ("keep_index", "drop_missing", "dequantise") and not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False; got {value!r}.")
        if name == "array" and not isinstance(value, str):
            raise ValueError(f"array must be the name of an array; got {value!r}.")
    drop = options.get("drop", ())
    drop = (drop,) if isinstance(drop, str) else drop
    if not isinstance(drop, list | tuple) or not all(isinstance(name, str) for name in drop):
        raise ValueError(f"drop must be the names of columns; got {drop!r}.")
    return Reading(**{**options, "drop": tuple(drop)})


def name_of(source: Any) -> str:
    """What errors call a source."""
    if not is_path(source):
        return "standard input" if isinstance(source, bytes) else "the data"
    return "standard input" if source == "-" else str(source)


def read_points(source: Any, how: Reading = GUESS, labels: Any = None, gaps: bool = False) -> Table:
    """The table in a file, on standard input or in memory. ValueError names it, the place, and what would help."""
    try:
        refuse_unused(source, how)
        named = labels if isinstance(labels, str) else None
        frame, notes = _frame(source, how, named)
        if labels is not None and named is None:
            frame, named = with_labels(frame, labels), "label"
        return table_of(frame, how, named, gaps, notes)
    except ValueError as error:
        if is_path(source) and str(error).startswith(str(source)):  # it is named already
            raise
        raise ValueError(f"{name_of(source)}: {error}.") from error


def refuse_unused(source: Any, how: Reading) -> None:
    """Raise a ValueError for an option that this kind of source has no use for."""
    suffix = Path(source).suffix.lower() if is_path(source) and source != "-" else ""
    if how.array != "guess" and suffix != ".npz":
        raise ValueError("--array is for .npz files")
    if not (is_path(source) or isinstance(source, bytes)) or suffix in (".npy", ".npz", *ARROW):
        for name in CHOICES:
            if getattr(how, name) != "guess":
                raise ValueError(f"--{name} is for tables in text")


def _frame(source: Any, how: Reading, labels: str | None = None) -> tuple[Frame, Sequence[str]]:
    """The columns of a source, and what was guessed."""
    if isinstance(source, bytes):
        return read_text(source, how, labels)
    if not is_path(source):
        return frame_of(source, how.drop, labels)
    if source == "-":
        return read_text(sys.stdin.buffer.read(), how, labels)
    path = Path(source)
    if path.is_dir():
        raise ValueError("it is a folder without images (.png, .jpg, …)")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    match path.suffix.lower():
        case ".npy":
            return frame_of_array(open_npy(path)), ()
        case ".npz":
            x, y, notes = open_npz(path, how.array)
            return frame_of_array(x, labels=y), notes
        case suffix if suffix in ARROW:
            return read_arrow(path, how.drop, labels), ()
    return read_text(path.read_bytes(), how, labels)


def summary(name: str, data: Dataset, unseen: Dataset | None = None) -> str:
    """What was read, in one line; unseen: the part of it that is kept from training."""
    few = 0 if unseen is None else len(unseen.x)
    n, d = len(data.x) + few, data.x.shape[1] + len(data.constants)
    kept = f", {few:,} of them kept unseen" * (few > 0)
    if data.picture is None:
        return f"{name}: {'; '.join([f'{n:,} points of {d} columns{kept}', *data.notes])}."
    (rows, columns), ends = data.picture, (data.shift - data.scale, data.shift + data.scale)
    classes = "" if data.labels is None else f"; {np.max(data.labels) + 1} classes"
    return f"{name}: {n:,} pictures of {columns} × {rows} pixels{kept}, from {ends[0]:g} to {ends[1]:g}{classes}."


def standardised(table: Table, name: str, dequantise: bool = False) -> Dataset:
    """The data set of a table: each coordinate that varies, moved and scaled; ValueError where none does.

    dequantise: spread the columns that have atoms in equal steps; ValueError where there is none.
    """
    x, places = table.x, np.arange(table.x.shape[1])
    if len(x) < 2 or not len(places):
        raise ValueError(f"{name} must hold two points or more, (N, D); its shape is {x.shape}.")
    for row, at in np.argwhere(~np.isfinite(x))[:1]:
        which = named(table.names, at) if table.names else at + 1
        raise ValueError(f"{name} must hold finite numbers; column {which} of point {row + 1} is {x[row, at]}.")
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
    constants = tuple((int(i), float(low[i])) for i in places[~varies])
    notes, names = list(table.notes), np.array(labelled, object)[varies]
    if constants:
        far = 2.0**53  # from where on whole numbers are rounded
        few = first_of([f"{labelled[i]} = {value:g}" + " to float64" * (abs(value) >= far) for i, value in constants])
        notes.append(f"constant, so not learned but put back in samples: {few}")
    x = x[:, varies]
    notes += _sentences(x, names, (spread / step)[varies])
    x, lattice = dequantised(x) if dequantise else (x, ())
    if dequantise:
        if not lattice:
            raise ValueError(f"{name} has no column to dequantise: none has few values, in equal steps.")
        dequantised_names = first_of([names[column.place] for column in lattice])
        notes.append(f"noise is added within the steps of columns {dequantised_names}, and samples are rounded")
    if len(atoms := np.flatnonzero(with_atoms(x))):
        way = "" if dequantise else " (--dequantise adds noise to those in equal steps)"
        notes.append(f"columns {first_of(names[atoms])} repeat their values, so they have no density and no nats{way}")
    data = Dataset.standardised(x, table.labels)
    return data._replace(
        names=table.names, classes=table.classes, constants=constants, lattice=lattice, atoms=tuple(atoms.tolist()),
        notes=tuple(notes),
    )  # fmt: skip


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
