"""What the columns of a table are: coordinates, classes, an index, or words that are no numbers.

A table comes from a text file (lines.py), or from an array, a data frame or a file of one (frames.py). Whatever is not
sure is said in a note, and what can be read in two ways is refused, with the options that decide.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NamedTuple

import numpy as np

LABELS = ("label", "labels", "class", "classes", "target")
"""The names of a column of classes."""
NO_NAME = ("", "unnamed: 0", "__index_level_0__")
"""What programs call an index that nobody named."""
INDEX = (*NO_NAME, "index", "id", "idx", "row", "no", "nr", "#")
"""The names of a column that only counts the rows."""
AMOUNT = re.compile(r"\W*\d|(EUR|USD|GBP|CHF|Rs|ca)\.?\s*\d")
"""How an amount or a date begins: 12 %, $12, 12 kg, 0x10, EUR 12, 2024-05-01."""
MOST_CLASSES = 1000
CHOICES = {
    "header": ("guess", "yes", "no"),
    "separator": ("guess", ",", ";", "|", "tab", "space"),
    "decimal": ("guess", ".", ","),
}
"""What some options may be."""


@dataclass(frozen=True)
class Reading:
    """How to read a table, where guessing is not enough."""

    header: Literal["guess", "yes", "no"] = "guess"
    """Whether the first line of a text has the names of the columns."""
    separator: Literal["guess", ",", ";", "|", "tab", "space"] = "guess"
    """What stands between two cells of a text."""
    decimal: Literal["guess", ".", ","] = "guess"
    """The decimal mark of a text."""
    array: str = "guess"
    """The array of a .npz file that has the points."""
    keep_index: bool = False
    """Take a first column that only counts the rows for a coordinate all the same."""
    drop: tuple[str, ...] = ()
    """Columns to leave out, by their names."""
    drop_missing: bool = False
    """Leave out rows in which a value is missing."""
    dequantise: bool = False
    """Spread whole numbers that come again and again by uniform noise, and round them in samples."""


GUESS = Reading()


class Frame(NamedTuple):
    """Columns as they came: numbers in float64, with NaN where one is missing, or words (of dtype object).

    rows: the number of each row, as the one who looks it up counts; unit: what these count, lines or rows.
    """

    names: list[str]
    columns: list[np.ndarray]
    rows: Sequence[int]
    unit: str = "row"

    def place(self, row: int, i: int) -> str:
        """Where a value is."""
        return f"{self.unit} {self.rows[row]}, column {named(self.names, i)}"


class Table(NamedTuple):
    """The coordinates of a table (N, C) and their names, its classes, and what was guessed.

    A label is the place of its class in `classes`, −1 where it is missing; `label` is the name of its column.
    """

    x: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    label: str
    notes: tuple[str, ...]


def table_of(
    frame: Frame, how: Reading = GUESS, labels: str | None = None, gaps: bool = False, notes: Sequence[str] = ()
) -> Table:
    """What the columns are. ValueError names a column, a line, the text that is found there, and what would help.

    labels: the column of classes, by its name; "none" where there is none. gaps: values and classes may be missing.
    """
    names, notes = frame.names, list(notes)
    for name in how.drop:
        if name not in names:
            raise ValueError(f"there is no column {name!r} to drop: {listed(names)}")
    kept = [i for i, name in enumerate(names) if name not in how.drop]
    label = label_column(frame, kept, labels)
    kept = [i for i in kept if i != label]
    if len(kept) > 1 and counts_rows(frame, kept[0]):
        name = named(names, kept[0])
        if names[kept[0]].lower() not in INDEX:
            notes.append(f"column {name} counts the rows and is read as a coordinate (--drop {name} leaves it out)")
        elif not how.keep_index:
            notes.append(f"column {name} only counts the rows: left out (--keep-index keeps it)")
            kept = kept[1:]
    elif len(kept) > 1 and numbers_rows(frame, kept[0]) and not how.keep_index:
        notes.append(f"column {named(names, kept[0])} only numbers the rows: left out (--keep-index keeps it)")
        kept = kept[1:]
    for i in kept:
        refuse_words(frame, i, label)
    if not gaps:
        frame = complete(frame, [*kept, *([] if label is None else [label])], how.drop_missing, notes)
    x = np.stack([frame.columns[i] for i in kept], axis=1) if kept else np.empty((len(frame.rows), 0))
    own, classes = (None, ()) if label is None else classes_of(frame, label, gaps or labels is not None)
    if label is not None:
        notes.append(f"label column {named(names, label)}: {len(classes)} classes")
    name = "" if label is None else names[label]
    return Table(x, unique_names([names[i] for i in kept], notes), own, classes, name, tuple(notes))


def unique_names(names: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """The names, none of them empty or there twice; none at all where no column has one."""
    if not any(names):
        return ()
    own: list[str] = []
    for i, name in enumerate(names):
        new = name or f"column {i + 1}"
        while new in own or (new != name and new in names):
            new += "'"
        own.append(new)
    if changed := [new for new, name in zip(own, names, strict=True) if new != name]:
        notes.append(f"columns without a name of their own are called {', '.join(map(repr, changed)):.80}")
    return tuple(own)


def complete(frame: Frame, kept: list[int], drop: bool, notes: list[str]) -> Frame:
    """The rows in which all these columns have a value; ValueError for the first other, unless it may be dropped."""
    missing = np.stack([no_value(frame.columns[i]) for i in kept], axis=1) if kept else np.zeros((len(frame.rows), 0))
    if not np.any(missing):
        return frame
    for i in (kept[k] for k in np.flatnonzero(np.all(missing, axis=0))):
        raise ValueError(f"column {named(frame.names, i)} has no value at all. {without(frame.names, i)}")
    if not drop:
        row, at = np.argwhere(missing)[0]
        raise ValueError(f"{frame.place(row, kept[at])} has no value: --drop-missing leaves out such rows")
    whole = np.flatnonzero(~np.any(missing, axis=1)).tolist()
    notes.append(f"{len(missing) - len(whole)} of {len(missing)} rows miss a value: left out")
    return frame._replace(columns=[column[whole] for column in frame.columns], rows=[frame.rows[row] for row in whole])


def no_value(column: np.ndarray) -> np.ndarray:
    """Where a column has no value, (N,)."""
    return column == "" if is_words(column) else np.isnan(column)


def label_column(frame: Frame, kept: list[int], labels: str | None) -> int | None:
    """The column of classes: the one that was named, or has the name of one, or is the only one of words."""
    names = frame.names
    if labels == "none":
        return None
    if labels is None:
        found = [i for i in kept if names[i].lower() in LABELS]
    elif not (found := [i for i in kept if names[i] == labels]):
        raise ValueError(f"there is no column {labels!r} for the classes: {listed(names)}")
    if len(found) > 1:
        both = " and ".join(f"{i + 1}, {names[i]!r}," for i in found)
        raise ValueError(f"columns {both} are both classes by their names: --labels says which, or rename one")
    words = [i for i in kept if is_words(frame.columns[i])]
    if not found and len(words) == 1 and len(kept) > 1 and repeats(frame.columns[words[0]]):
        return words[0]
    return found[0] if found else None


def is_words(column: np.ndarray) -> bool:
    """Whether a column holds words."""
    return column.dtype == object


def repeats(words: np.ndarray) -> bool:
    """Whether words are few, as classes are, and no dates, times or numbers."""
    few = set(words[:1000].tolist())
    odd = any(is_float(word) or AMOUNT.match(word) for word in few)
    return len(few) <= max(4, min(len(words), 1000) / 2) and not odd


def is_float(word: str) -> bool:
    """Whether Python reads a word as a number that is finite."""
    try:
        return isfinite(float(word))
    except ValueError:
        return False


def refuse_words(frame: Frame, i: int, label: int | None) -> None:
    """Raise a ValueError where a coordinate is a column of words."""
    if not is_words(column := frame.columns[i]):
        return
    row = next((row for row, word in enumerate(column) if word and not is_float(word.replace(",", "."))), 0)
    raise ValueError(
        f"{frame.place(row, i)} is no number: {column[row]!r:.40}. {without(frame.names, i, label is None)}"
    )


def without(names: Sequence[str], i: int, may_be_label: bool = False) -> str:
    """How to leave a column out."""
    if not names[i]:
        return "Name the columns in a first line; then --drop leaves one out"
    return (
        f"--drop {names[i]!r} leaves the column out"
        + f"; --labels {names[i]!r} takes it for the classes" * may_be_label
    )


def counts_rows(frame: Frame, i: int) -> bool:
    """Whether a column only counts the rows, from 0 or 1; fewer than five may do so by chance."""
    column = frame.columns[i]
    counts = len(column) > 4 and len(frame.names) > 1 and not is_words(column) and column[0] in (0, 1)
    return counts and np.array_equal(column, np.arange(len(column)) + column[0])


def numbers_rows(frame: Frame, i: int) -> bool:
    """Whether a column that is named as an index numbers the rows with gaps, as those of a selection are."""
    column = frame.columns[i]
    if frame.names[i].lower() not in INDEX or not any(frame.names) or len(column) < 5 or is_words(column):
        return False
    few = frame.names[i].lower() in NO_NAME or column[-1] < 20 * len(column)  # else a quantity that rises
    return bool(few and column[0] >= 0 and np.all(column == np.rint(column)) and np.all(np.diff(column) > 0))


def classes_of(frame: Frame, i: int, sure: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each row as a place among the names of the classes, and these; numbers in their order.

    sure: the column was named, so that it may have nearly as many classes as rows.
    """
    column, name = frame.columns[i], named(frame.names, i)
    missing = no_value(column)
    if not is_words(column) and np.any(odd := ~missing & (column != np.rint(column))):
        row = int(np.argmax(odd))
        raise ValueError(
            f"{frame.place(row, i)} is no class: {column[row]:g}; a class is a whole number or a word. "
            "--labels none reads the column as a coordinate"
        )
    values, places = np.unique(column[~missing], return_inverse=True)
    rows = int(np.sum(~missing))
    many = not sure and rows > 9 and len(values) > max(rows / 2, 4)
    if len(values) > MOST_CLASSES or many:
        if len(values) > MOST_CLASSES:
            ways = f"at most {MOST_CLASSES} can be learned. --labels none takes them for a coordinate"
        else:
            ways = f"are they classes? --labels {name} takes them for it, --labels none for a coordinate"
        raise ValueError(f"column {name} has {len(values)} different values in {rows} rows: {ways}")
    if not is_words(column) and np.any(np.abs(values) >= 2.0**53):
        raise ValueError(f"column {name} has classes beyond 2⁵³, where float64 rounds: write them as words")
    labels = np.full(len(column), -1, np.int64)
    labels[~missing] = places
    return labels, tuple(str(value) if is_words(column) else str(int(value)) for value in values)


def named(names: Sequence[str], i: int) -> str:
    """The name of a column, or its number, as people count."""
    return f"{names[i]!r:.40}" if names[i] else str(i + 1)


def titles(names: Sequence[str], constants: Sequence[tuple[int, float]], width: int) -> list[str]:
    """What the columns that vary are called, of so many: by their names or, without, by their numbers."""
    return [names[i] if names and names[i] else f"column {i + 1}" for i in range(width) if i not in dict(constants)]


def listed(names: Sequence[str]) -> str:
    """The names of the columns, in a sentence."""
    return f"the columns are {', '.join(map(repr, names)):.200}" if any(names) else "the columns have no names"
