"""Columns from what is no text: NumPy's files, Parquet and Feather, data frames, and scikit-learn's data sets."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app.checkpoint import read as read_npz
from tinydiff.app.columns import Frame

POINTS = ("x", "X", "data", "points", "x_train", "arr_0")
"""The names of the array of points in a .npz file, the likeliest first."""
LABELS = ("y", "labels", "label", "target", "y_train", "arr_1")
"""The names of the array of its classes."""
EXTRA = 'pip install "tinydiff[files]"'


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
    """The columns of an array (N, D) of numbers, and of classes (N,) beside it."""
    try:
        array = np.asarray(array)
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


def frame_of_columns(names: Sequence[Any], column: Callable[[Any], Any]) -> Frame:
    """The columns of a data frame, each by its name."""
    columns = [column_of(column(name), str(name)) for name in names]
    return Frame([str(name) for name in names], columns, range(len(columns[0]) if columns else 0))


def column_of(values: Any, name: str) -> np.ndarray:
    """A column as numbers, NaN where one is missing, or as words, "" where one is."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"column {name!r} is there twice, or holds more than a number in a row: rename or split it")
    if array.dtype.kind in "iufb":
        return array.astype(np.float64)
    if array.dtype.kind not in "OUST":
        raise ValueError(f"column {name!r} holds no numbers but {array.dtype}. --drop {name!r} leaves it out")
    plain = ["" if value is None or value != value else value for value in array.tolist()]
    if all(isinstance(value, int | float) for value in plain if value != ""):
        return np.array([np.nan if value == "" else value for value in plain], float)
    return np.array([value.decode() if isinstance(value, bytes) else str(value) for value in plain], object)


def read_arrow(path: Path) -> Frame:
    """The columns of a Parquet or Feather file."""
    try:
        from pyarrow import ArrowException, feather, parquet
    except ImportError as error:
        raise ValueError(f"{path} needs pyarrow: {EXTRA}") from error
    try:
        read = parquet.read_table if path.suffix.lower() == ".parquet" else feather.read_table
        table = read(path, memory_map=False)
        table.validate(full=True)
        columns = [column.to_numpy() for column in table.columns]
    except FileNotFoundError:
        raise
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split()):.200}") from error
    names = table.column_names
    return Frame(names, [column_of(*each) for each in zip(columns, names, strict=True)], range(table.num_rows))


def frame_of(source: Any) -> Frame:
    """The columns of an object in memory: a data frame, one of scikit-learn's data sets, an array, or lists of rows."""
    if isinstance(source, dict) and "data" in source:  # scikit-learn's Bunch
        labels, kinds = source.get("target"), source.get("target_names")
        places = np.asarray(labels)
        if kinds is not None and places.dtype.kind in "iu" and np.all((places >= 0) & (places < len(kinds))):
            labels = np.asarray(kinds, dtype=object)[places]
        return frame_of_array(source["data"], source.get("feature_names") or (), labels)
    names = getattr(source, "column_names", getattr(source, "columns", None))
    if names is not None and hasattr(source, "__getitem__"):
        return frame_of_columns(list(names), source.__getitem__)
    if hasattr(source, "__dataframe__"):
        return frame_of(_table_of(source))
    return frame_of_array(source)


def _table_of(source: Any) -> Any:
    """The table of Apache Arrow in a data frame of any library, by the interchange protocol."""
    try:
        from pyarrow.interchange import from_dataframe
    except ImportError as error:
        raise ValueError(f"a {type(source).__name__} needs pyarrow: {EXTRA}") from error
    return from_dataframe(source)


def is_path(source: Any) -> bool:
    """Whether something is the path of a file, or "-"."""
    return isinstance(source, str | os.PathLike)
