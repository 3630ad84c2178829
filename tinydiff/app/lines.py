"""From the lines of a text file to columns: which line has the names, and what is in each cell."""

import re
from array import array
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, islice, pairwise
from math import inf, isfinite, nan

import numpy as np

from tinydiff.app.columns import GUESS, LABELS, Frame, Reading, named, without
from tinydiff.app.text import (
    NO_WORD,
    SAMPLE,
    Lines,
    decoded,
    guess_decimal,
    guess_separator,
    is_missing,
    like_a_number,
    number,
)

SPELLED = {",": ",", ";": ";", "|": "|", "tab": "\t", "space": " "}
EITHER = "say which by --header yes or --header no"
Row = tuple[int, list[str]]
"""The number of a line, and its cells."""


def read_text(raw: bytes, how: Reading = GUESS, labels: str | None = None) -> tuple[Frame, list[str]]:
    """The columns in the bytes of a text file, and what was guessed; ValueError says line, column and what is there.

    labels: the name of the column of classes, where it was named; these may be words, and numbers with leading zeros.
    """
    text, notes = decoded(raw)
    separator = guess_separator(text, how.decimal) if how.separator == "guess" else SPELLED[how.separator]
    decimal, said = guess_decimal(text, separator) if how.decimal == "guess" else (how.decimal, [])
    lines = iter(source := Lines(text, separator))
    first = list(islice(lines, SAMPLE))
    if not first:
        raise ValueError("it holds no numbers")
    if names_rows(first, separator):
        first[0] = (first[0][0], ["", *first[0][1]])
    titled, guessed = is_header(first, decimal, how.header)
    names = first[0][1] if titled else names_in_comments(source.comments, len(first[0][1]))
    shown = [cells for _, cells in first[titled:] if len(cells) == len(names)]
    classes = {i for i, name in enumerate(names) if titled and (name == labels or name.lower() in LABELS)}
    words = {i for i in range(len(names)) if names[i] in how.drop or any(not like_a_number(c[i]) for c in shown)}
    words |= classes
    plain = text.isascii() and "_" not in text and (decimal == "." or "." not in text)
    numbers = [i for i in range(len(names)) if i not in words]
    table, said_words, at = array("d"), [], []  # eight bytes a number
    for line, cells in chain(first[titled:], lines):
        if len(cells) != len(names):
            raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
        at.append(line)
        table.extend(row_of(line, cells, names, numbers, decimal, plain))
        said_words.append(["" if cells[i].lower() in NO_WORD else cells[i] for i in words])
    whole = np.frombuffer(table).reshape(len(at), len(numbers))
    columns: dict[int, np.ndarray] = dict(zip(numbers, whole.T, strict=True))
    for k, i in enumerate(words):
        cells = [row[k] for row in said_words]
        columns[i] = in_numbers(cells, decimal) if i in classes else np.array(cells, object)
    if len(names) > 1 and names[-1] == "" and at and is_void(columns[len(names) - 1]):
        names = names[:-1]  # lines that end in a separator
    left = [f"{source.skipped} lines that begin with # are left out"] * (source.skipped > 0)
    return Frame(list(names), [columns[i] for i in range(len(names))], at, "line"), [*notes, *said, *guessed, *left]


def names_rows(rows: Sequence[Row], separator: str) -> bool:
    """Whether the first line has a word for each cell of the others but the first, as where R writes names of rows."""
    widths = {len(cells) for _, cells in rows[1:]}
    counted = [cells[0] for _, cells in rows[1:]] == [str(i) for i in range(1, len(rows))]
    words = not any(map(like_a_number, rows[0][1]))
    return widths == {len(rows[0][1]) + 1} and words and (separator in " \t" or (counted and len(rows) > 5))


def in_numbers(cells: list[str], decimal: str) -> np.ndarray:
    """Classes as numbers where all are, none of them with a leading zero; else as words."""
    found = [nan if is_missing(cell) else number(cell, decimal) for cell in cells]
    if any(n is None for n in found) or any(re.match(r"[+-]?0\d", cell) for cell in cells):
        return np.array(cells, object)
    return np.array(found, float)


def is_void(column: np.ndarray) -> bool:
    """Whether a column holds nothing."""
    return column.dtype != object and bool(np.all(np.isnan(column)))


def row_of(
    line: int, cells: list[str], names: list[str], places: list[int], decimal: str, plain: bool
) -> Sequence[float]:
    """The numbers of a row, NaN where one is missing: read by float where that is safe."""
    if plain:
        with suppress(ValueError):
            pointed = cells if decimal == "." else [cell.replace(",", ".") for cell in cells]
            if isfinite(sum(row := [float(pointed[i]) for i in places])):
                return row
    row = []
    for i in places:
        if (found := nan if is_missing(cells[i]) else number(cells[i], decimal)) is None or abs(found) == inf:
            what = "no number" if found is None else "not finite"
            raise ValueError(f"line {line}, column {named(names, i)} is {what}: {cells[i]!r:.40}. {without(names, i)}")
        row.append(found)
    return row


def is_header(rows: Sequence[Row], decimal: str, known: str) -> tuple[bool, list[str]]:
    """Whether the first line has names and not numbers, and what there is to say of it."""
    cells, below = rows[0][1], [row for _, row in rows[1:] if len(row) == len(rows[0][1])]
    if known != "guess":
        return known == "yes", []
    if all(number(cell, decimal) is not None for cell in cells):
        return numbers_as_names(cells, below, decimal)
    words = [i for i, cell in enumerate(cells) if not like_a_number(cell)]
    if cells[0] == "" and all(cells[1:]) and len(below) > 1 and rises([row[0] for row in below]):
        return True, []  # an index without a name
    if not words:
        return False, []
    if not below or len(words) == len(cells) or any(all(like_a_number(row[i]) for row in below) for i in words):
        return True, []
    for i in words:
        if cells[i] not in [row[i] for row in below]:
            raise ValueError(f"line {rows[0][0]}: {cells[i]!r:.40} may be the name of a column or a class: {EITHER}")
    return False, []


def rises(cells: Sequence[str]) -> bool:
    """Whether all are whole numbers, each greater than the one before."""
    return all(cell.isdigit() for cell in cells) and all(int(a) < int(b) for a, b in pairwise(cells))


def numbers_as_names(cells: list[str], below: list[list[str]], decimal: str) -> tuple[bool, list[str]]:
    """Whether numbers in the first line are names: they are if they are different whole ones far from all below, and
    those have decimals. Others that are far from all below, or in equal steps, may be either, and are refused.
    """
    if len(below) < 5 or cells in below or len(set(cells)) < len(cells):
        return False, []
    distinct = all(cell.isdigit() for cell in cells)
    if not distinct and len(cells) == 1:
        return False, []
    far, goes_on = True, len(cells) > 1
    for i, cell in enumerate(cells):
        head, column = number(cell, decimal) or 0.0, [n for row in below if (n := number(row[i], decimal)) is not None]
        low, high = min(column, default=0), max(column, default=0)
        far = far and not 2 * low - high <= head <= 2 * high - low
        steps = np.diff([head, *column])
        goes_on = goes_on and bool(np.all(steps >= 0) or np.all(steps <= 0))
    rows = [row[0] for row in (cells, *below)]
    if goes_on or (distinct and rows == [str(int(cells[0]) + k) for k in range(len(rows))]):
        return False, []  # the first of a series, or of rows that are counted
    first = " ".join(cells)
    if far and distinct and not any(cell.isdigit() for row in below for cell in row):
        return True, [f"the first line, {first:.40}, is taken for names (--header no reads it as a point)"]
    counted = len(cells) > 1 and cells in [[str(i + k) for i in range(len(cells))] for k in (0, 1)]
    even = len(cells) > 3 and in_steps(cells, decimal) and not any(in_steps(row, decimal) for row in below)
    if far or counted or even:
        raise ValueError(f"the first line, {first:.40}, may be names or a point: {EITHER}")
    return False, []


def in_steps(cells: Sequence[str], decimal: str) -> bool:
    """Whether the numbers of a row rise in equal steps."""
    steps = np.diff([number(cell, decimal) or 0.0 for cell in cells])
    return bool(steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6))


def names_in_comments(comments: Sequence[str], width: int) -> list[str]:
    """The names in the last comment that has so many words, none of them a number; else none."""
    for words in (re.split(r"[\s,;|]+", comment) for comment in reversed(comments)):
        if len(words) == width and not any(map(like_a_number, words)):
            return words
    return [""] * width
