"""Columns from what is no text: NumPy's files, Parquet and Feather, data frames, and scikit-learn's data sets."""

import os
from collections.abc import Callable, Sequence
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app.checkpoint import read as read_npz
from tinydiff.app.columns import LABELS as CLASSES
from tinydiff.app.columns import Frame
from tinydiff.app.text import NUMBER
from tinydiff.extras import extra

POINTS = ("x", "X", "data", "points", "x_train", "arr_0")
"""The names of the array of points in a .npz file, the likeliest first."""
LABELS = ("y", "labels", "label", "target", "y_train", "arr_1")
"""The names of the array of its classes."""


def open_npy(path: Path) -> np.ndarray:
    """The array of numbers in a .npy file, of which nothing is read yet."""
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


def open_npz(path: Path, wanted: str = "guess") -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The points in a .npz file, the classes beside them, if any, and what was chosen; no pickle is loaded.

    The array of points is the one that is wanted, or has a usual name, or is the only one of two axes or more.
    """
    arrays = read_npz(path)
    tables = [name for name, array in arrays.items() if array.ndim >= 2]
    usual = [name for name in POINTS if name in tables]
    chosen = wanted if wanted != "guess" else (tables[0] if len(tables) == 1 else usual[0] if usual else None)
    if chosen not in arrays:
        listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
        what = f"there is no array {wanted!r}" if wanted != "guess" else "which array has the points? --array says it"
        raise ValueError(f"{path}: {what}; it holds {listed}.")
    beside = next((name for name in LABELS if name in arrays and arrays[name].shape == arrays[chosen].shape[:1]), None)
    note = f"array {chosen!r} of {', '.join(map(repr, arrays))}" + f", with the classes {beside!r}" * bool(beside)
    return arrays[chosen], arrays[beside] if beside else None, [note] * (len(arrays) > 1)


def frame_of_array(array: Any, names: Sequence[str] = (), labels: Any = None) -> Frame:
    """The columns of an array (N, D) of numbers, in which what is masked is missing, and of classes (N,) beside it."""
    try:
        array = np.ma.filled(array.astype(float), np.nan) if np.ma.isMaskedArray(array) else np.asarray(array)
    except ValueError as error:
        raise ValueError("its rows must be of one length") from error
    if array.dtype.kind not in "iufb":
        raise ValueError(f"it must hold real numbers; got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"it must hold points (N, D); its shape is {array.shape}")
    columns = [*array.T.astype(np.float64)]
    names = list(map(str, names)) if len(names) == len(columns) else [""] * len(columns)
    if labels is not None:
        names, columns = [*names, "label"], [*columns, column_of(labels, "label")]
        if len(columns[-1]) != len(array):
            raise ValueError(f"{len(array)} points have {len(columns[-1])} labels")
    return Frame(names, columns, range(len(array)))


def frame_of_columns(
    names: Sequence[Any], column: Callable[[int], Any], drop: Sequence[str], label: str | None
) -> Frame:
    """The columns of a data frame, each by its place; those that are dropped are not looked at."""
    read = {i: column_of(column(i), str(name), label) for i, name in enumerate(names) if str(name) not in drop}
    rows = len(next(iter(read.values()), ()))
    columns = [read.get(i, np.full(rows, np.nan)) for i in range(len(names))]
    return Frame([str(name) for name in names], columns, range(rows))


def column_of(values: Any, name: str, label: str | None = None) -> np.ndarray:
    """A column as numbers, NaN where one is missing, or as words, "" where one is; a class keeps its word.

    label: the name of the column of classes, where it was named.
    """
    array = np.asarray(values)
    if np.ma.isMaskedArray(values):
        array = array.astype(object)
        array[np.ma.getmaskarray(values)] = None
    if array.ndim != 1:
        raise ValueError(f"column {name!r} is there twice, or holds more than a number in a row: rename or split it")
    classes = name == label or name.lower() in CLASSES
    if array.dtype.kind in "iuf" or (array.dtype.kind == "b" and not classes):
        return array.astype(np.float64)
    plain = ["" if is_none(value) else value for value in array.tolist()]
    if array.dtype.kind not in "OUSTb" or not all(isinstance(value, str | bytes | bool | Number) for value in plain):
        kind = array.dtype if array.dtype.kind != "O" else type(next(value for value in plain if value != "")).__name__
        raise ValueError(f"column {name!r} holds no numbers but {kind}. --drop {name!r} leaves it out")
    if all(isinstance(value, Number) and not isinstance(value, complex) for value in plain if value != ""):
        numbers = [np.nan if value == "" else float(value) for value in plain]
        if not (classes and any(isinstance(value, bool) for value in plain)):
            return np.array(numbers, float)
    words = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in plain]
    if not classes and any(words) and all(NUMBER.fullmatch(word) for word in words if word):
        return np.array([float(word) if word else np.nan for word in words])
    return np.array(words, object)


def is_none(value: Any) -> bool:
    """Whether a value of a frame says that there is none: None, NaN, NaT or pandas' NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def read_arrow(path: Path, drop: Sequence[str] = (), label: str | None = None) -> Frame:
    """The columns of a Parquet or Feather file."""
    with extra("files"):
        from pyarrow import ArrowException, feather, parquet
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        read = parquet.read_table if path.suffix.lower() == ".parquet" else feather.read_table
        table = read(path, memory_map=False)
        table.validate(full=True)
        return frame_of_arrow(table, drop, label)
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split()):.200}") from error


def frame_of_arrow(table: Any, drop: Sequence[str] = (), label: str | None = None) -> Frame:
    """The columns of a table of Apache Arrow; what stands in a dictionary is taken out of it first."""
    from pyarrow import types

    def column(i: int) -> Any:
        of = table.column(i)
        if types.is_dictionary(of.type):
            of = of.cast(of.type.value_type)
        if types.is_decimal(of.type):
            of = of.cast("float64")
        if types.is_nested(of.type):
            raise ValueError(
                f"column {table.column_names[i]!r} holds no numbers but {of.type}. "
                f"--drop {table.column_names[i]!r} leaves it out"
            )
        numbers = types.is_integer(of.type) or types.is_floating(of.type) or types.is_boolean(of.type)
        return of.to_numpy() if numbers and not of.null_count else np.array([*of.to_pylist(), None], object)[:-1]

    return frame_of_columns(table.column_names, column, drop, label)


def frame_of(source: Any, drop: Sequence[str] = (), label: str | None = None) -> tuple[Frame, list[str]]:
    """The columns of an object in memory, and what was guessed: a data frame, one of scikit-learn's data sets, an
    array, or lists of rows. ValueError for what is none of these.
    """
    try:
        if isinstance(source, dict) and "data" in source:
            return frame_of_bunch(source)
        if type(source).__module__.partition(".")[0] == "pyarrow" and hasattr(source, "column_names"):
            return frame_of_arrow(source, drop, label), []
        names = getattr(source, "columns", None)
        if names is not None and hasattr(source, "__getitem__"):
            names = list(names)
            return frame_of_columns(names, lambda i: source[names[i]], drop, label), []
        if hasattr(source, "__dataframe__"):
            with extra("files"):
                from pyarrow.interchange import from_dataframe
            return frame_of_arrow(from_dataframe(source), drop, label), []
        return frame_of_array(source), []
    except (TypeError, KeyError, IndexError, RuntimeError, AttributeError, OverflowError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"a {type(source).__name__} cannot be read as a table: {what:.200}") from error


def with_labels(frame: Frame, labels: Any) -> Frame:
    """The frame with a column "label" of these classes, one for each row."""
    try:
        column = column_of(labels if np.ma.isMaskedArray(labels) else list(labels), "label")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"labels must be a class for each point, (N,); got {labels!r:.60}") from error
    if len(column) != len(frame.rows):
        raise ValueError(f"{len(frame.rows)} points have {len(column)} labels")
    if any(name.lower() in CLASSES for name in frame.names):
        raise ValueError("it has classes already: leave labels out, or drop that column")
    return frame._replace(names=[*frame.names, "label"], columns=[*frame.columns, column])


def frame_of_bunch(source: dict[str, Any]) -> tuple[Frame, list[str]]:
    """The columns of one of scikit-learn's data sets, and its target where that is a class of each row."""
    target, kinds, names = source.get("target"), source.get("target_names"), source.get("feature_names")
    labels = np.asarray(target) if target is not None else None
    if labels is not None and (labels.ndim != 1 or (labels.dtype.kind == "f" and np.any(labels != np.rint(labels)))):
        labels = None
    if labels is not None and labels.dtype.kind in "iu" and isinstance(kinds, Sequence | np.ndarray):
        known = np.all((labels >= 0) & (labels < len(kinds)))
        labels = np.asarray(kinds, dtype=object)[labels] if known else labels
    notes = ["the target has no classes: left out"] * (labels is None and target is not None)
    return frame_of_array(source["data"], () if names is None else names, labels), notes


def is_path(source: Any) -> bool:
    """Whether something is the path of a file, or "-"."""
    return isinstance(source, str | os.PathLike)
