"""A table in a text file, however people and programs write it: its encoding, separator, decimal mark and header.

What is guessed is said in a note. What can be read in two ways is refused, with both and the option that decides.
"""

import csv
import gzip
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from math import inf, isfinite, nan

import numpy as np

from tinydiff.app.columns import Frame, Reading, named, without

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
"""What may stand between two cells, the likeliest first; a space stands for any number of them."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WITH_COMMA = re.compile(r"(?=.*\d)[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?([eE][+-]?\d+)?", re.ASCII)
"""A number with a decimal comma; points may group its thousands."""
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)
"""A number whose thousands are grouped by commas."""
MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}
"""What stands in a cell that has no value, in lower case."""
SPELLED = {",": ",", ";": ";", "|": "|", "tab": "\t", "space": " "}
SAMPLE = 200
"""The lines that say what a column holds; what differs further down is an error in its line."""
EITHER = "say which by --header or --no-header"
Row = tuple[int, list[str]]
"""The number of a line, and its cells."""
BOMS = {
    BOM_UTF8: "utf-8-sig",
    BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    BOM_UTF32_BE: "utf-32",
    BOM_UTF16_LE: "utf-16",
    BOM_UTF16_BE: "utf-16",
}
OTHERS = {
    b"PK\x03\x04": "a zip file, as Excel's workbooks and NumPy's .npz are: save a sheet as CSV, or name it .npz",
    b"\x93NUMPY": "a NumPy array: name it .npy",
    b"PAR1": "a Parquet file: name it .parquet",
    b"ARROW1": "a Feather file: name it .feather",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF",
}


def decoded(raw: bytes) -> tuple[str, list[str]]:
    """The text of a file, unpacked if it is gzipped, and what there is to say of its encoding."""
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"it is gzipped and broken: {error}") from error
    for magic, what in OTHERS.items():
        if raw.startswith(magic):
            raise ValueError(f"it is no text but {what}")
    mark = next((mark for mark in BOMS if raw.startswith(mark)), None)
    encoding, note = ("utf-8", "") if mark is None else (BOMS[mark], "")
    for first, name in enumerate(("utf-16-be", "utf-16-le")):  # in which a figure has a byte 0, first or second
        if mark is None and raw[first:200:2].count(0) > 0.8 * len(raw[first:200:2]):
            encoding = name
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"it begins as {encoding} and goes on otherwise, at byte {error.start}") from error
        text, note = raw.decode("cp1252", errors="replace"), "not in UTF-8: read as Windows-1252"
    if "\0" in text:
        raise ValueError("it is no text: it has bytes that are 0")
    return text, [note] * bool(note)


@dataclass
class Lines:
    """The lines of cells of a text; those that are blank or begin with # are left out.

    Iterating gives the number of each line, as an editor counts, and its cells. Quoted cells may hold anything.
    """

    text: str
    separator: str
    comments: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        at, spaced = 0, not self.text.isascii() or " " in self.text or "\t" in self.text

        def lines() -> Iterator[str]:
            nonlocal at
            for at, line in enumerate(io.StringIO(self.text, newline=""), 1):
                if line.lstrip().startswith("#"):
                    self.comments.append(line.lstrip().lstrip("#").strip())
                elif line.strip():
                    yield line

        if self.separator == " ":
            yield from ((at, line.split()) for line in lines())
            return
        reader = csv.reader(lines(), delimiter=self.separator, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield at, [cell.strip() for cell in cells] if spaced else cells
        except csv.Error as error:
            raise ValueError(f"line {at}: {error}") from error


def guess_separator(text: str) -> str:
    """What separates cells: what gives the first lines equally many, two or more, and most of them numbers."""
    best, found = 0.0, ","
    for separator in SEPARATORS:
        try:
            rows = [cells for _, cells in islice(Lines(text, separator), SAMPLE)]
        except ValueError:
            continue
        widths = [len(cells) for cells in rows]
        usual = max(set(widths), key=widths.count, default=0)
        if usual > 1:
            whole = [cell for row in rows if len(row) == usual for cell in row]
            split_late = sum(any(other in cell for other in ";\t|") for cell in whole)
            score = (sum(map(like_a_number, whole)) - split_late / 2) / len(whole) * widths.count(usual) / len(rows)
            if score > best:
                best, found = score, separator
    return found


def like_a_number(cell: str) -> bool:
    """Whether a cell is a number in some way of writing, or has no value."""
    return any(way.fullmatch(cell) for way in (NUMBER, WITH_COMMA, GROUPED)) or is_missing(cell)


def is_missing(cell: str) -> bool:
    """Whether a cell says that it has no value."""
    return cell.lower() in MISSING


def guess_decimal(text: str, separator: str) -> tuple[str, list[str]]:
    """The decimal mark, "." or ",", and what there is to say of it.

    A comma within a number is a decimal mark or groups thousands, and so is a point. One number that can be but one of
    them decides for all. Where none does, a table of commas has thousands between them, and another table is refused.
    """
    if ("," not in text and separator not in ";\t") if separator != "," else '"' not in text:
        return ".", []
    seen: dict[str, tuple[int, str]] = {}
    for line, cells in Lines(text, separator):
        for cell in cells:
            if kind := kind_of(cell):
                seen.setdefault(kind, (line, cell))
    for one, other in (("1,5", "1.5"), ("1,5", "1,000,000"), ("1.000.000", "1.5"), ("1.000.000", "1,000,000")):
        if one in seen and other in seen:
            (line, cell), (at, another) = seen[one], seen[other]
            raise ValueError(f"lines {line} and {at} have different decimal marks: {cell!r} and {another!r}")
    if "1,5" in seen or "1.000.000" in seen:
        return ",", ["decimal commas"]
    if "1,000" in seen and separator != "," and not {"1.5", "1,000,000"} & seen.keys():
        raise ValueError(two_readings(*seen["1,000"]))
    if "1.000" in seen and separator in ";\t" and not {"1.5", "1,000", "1,000,000"} & seen.keys():
        raise ValueError(two_readings(*seen["1.000"]))
    return ".", ["commas group thousands"] * bool({"1,000", "1,000,000"} & seen.keys())


def kind_of(cell: str) -> str:
    """What a number says of its marks, by an example; nothing for what has none, or is no number.

    "1.000" and "1,000" may have a decimal mark or thousands, "1.000.000" and "1,000,000" have thousands, "1.5" and
    "1,5" a decimal mark.
    """
    plain, with_comma, grouped = (way.fullmatch(cell) for way in (NUMBER, WITH_COMMA, GROUPED))
    if "," in cell:
        return "1,000" if with_comma and grouped else "1,5" if with_comma else "1,000,000" if grouped else ""
    if "." not in cell:
        return ""
    thousands = GROUPED.fullmatch(cell.replace(".", ","))
    return "1.000" if plain and thousands else "1.5" if plain else "1.000.000" if thousands else ""


def two_readings(line: int, cell: str) -> str:
    """What is refused."""
    one, other = cell.replace(",", "."), cell.replace(",", "").replace(".", "")
    return (
        f"line {line}: {cell!r} is {one} with a decimal mark and {other} with thousands: "
        "say which by --decimal , or --decimal ."
    )


def number(cell: str, decimal: str) -> float | None:
    """The number in a cell; None where there is none."""
    cell = cell.replace("\N{MINUS SIGN}", "-")
    if decimal == ",":
        return float(cell.replace(".", "").replace(",", ".")) if WITH_COMMA.fullmatch(cell) else None
    if NUMBER.fullmatch(cell):
        return float(cell)
    return float(cell.replace(",", "")) if GROUPED.fullmatch(cell) else None


# ---- from lines to columns


def read_text(raw: bytes, how: Reading = Reading()) -> tuple[Frame, list[str]]:
    """The columns in the bytes of a text file, and what was guessed; ValueError says line, column and what is there."""
    text, notes = decoded(raw)
    separator = SPELLED[how.separator] if how.separator else guess_separator(text)
    decimal, said = (how.decimal, []) if how.decimal else guess_decimal(text, separator)
    lines = iter(source := Lines(text, separator))
    first = list(islice(lines, SAMPLE))
    if not first:
        raise ValueError("it holds no numbers")
    titled, guessed = is_header(first, decimal, how.header)
    names = first[0][1] if titled else names_in_comments(source.comments, len(first[0][1]))
    whole = [cells for _, cells in first[titled:] if len(cells) == len(names)]
    words = {i for i in range(len(names)) if names[i] in how.drop or any(not like_a_number(c[i]) for c in whole)}
    plain = decimal == "." and text.isascii() and "_" not in text
    numbers = [i for i in range(len(names)) if i not in words]
    table, said_words, at = [], [], []
    for line, cells in chain(first[titled:], lines):
        if len(cells) != len(names):
            raise ValueError(f"line {line} has {len(cells)} cells, not {len(names)}")
        at.append(line)
        table.append(row_of(line, cells, names, numbers, decimal, plain))
        said_words.append(["" if is_missing(cells[i]) else cells[i] for i in words])
    columns: dict[int, np.ndarray] = dict(zip(numbers, np.array(table, float).reshape(len(at), len(numbers)).T, strict=True))
    columns |= {i: np.array([row[k] for row in said_words], object) for k, i in enumerate(words)}
    if len(names) > 1 and names[-1] == "" and at and is_void(columns[len(names) - 1]):
        names = names[:-1]  # lines that end in a separator
    return Frame(list(names), [columns[i] for i in range(len(names))], at, "line"), [*notes, *said, *guessed]


def is_void(column: np.ndarray) -> bool:
    """Whether a column holds nothing."""
    return column.dtype != object and bool(np.all(np.isnan(column)))


def row_of(
    line: int, cells: list[str], names: list[str], places: list[int], decimal: str, plain: bool
) -> Sequence[float]:
    """The numbers of a row, NaN where one is missing; by Python's float where that reads what `number` does, quicker."""
    if plain:
        with suppress(ValueError):
            if isfinite(sum(row := [float(cells[i]) for i in places])):
                return row
    row = []
    for i in places:
        if (found := nan if is_missing(cells[i]) else number(cells[i], decimal)) is None or abs(found) == inf:
            what = "no number" if found is None else "not finite"
            raise ValueError(f"line {line}, column {named(names, i)} is {what}: {cells[i]!r:.40}. {without(names, i)}")
        row.append(found)
    return row


def is_header(rows: Sequence[Row], decimal: str, known: bool | None) -> tuple[bool, list[str]]:
    """Whether the first line has names and not numbers, and what there is to say of it."""
    cells, below = rows[0][1], [row for _, row in rows[1:] if len(row) == len(rows[0][1])]
    if known is not None:
        return known, []
    if all(number(cell, decimal) is not None for cell in cells):
        return numbers_as_names(cells, below, decimal)
    words = [i for i, cell in enumerate(cells) if not like_a_number(cell)]
    if cells[0] == "" and below and [row[0] for row in below] == [str(i) for i in range(len(below))]:
        return True, []  # an index without a name
    if not words:
        return False, []
    if not below or len(words) == len(cells) or any(all(like_a_number(row[i]) for row in below) for i in words):
        return True, []
    for i in words:
        if cells[i] not in [row[i] for row in below]:
            raise ValueError(f"line {rows[0][0]}: {cells[i]!r:.40} may be the name of a column or a class: {EITHER}")
    return False, []


def numbers_as_names(cells: list[str], below: list[list[str]], decimal: str) -> tuple[bool, list[str]]:
    """Whether whole numbers in the first line are names: they are if far from all below, and those have decimals."""
    if len(below) < 5 or not all(cell.isdigit() for cell in cells) or len(set(cells)) < len(cells):
        return False, []
    counted = len(cells) > 1 and cells in ([str(i + k) for i in range(len(cells))] for k in (0, 1))
    columns = [[n for row in below if (n := number(row[i], decimal)) is not None] for i in range(len(cells))]
    spans = [(min(column), max(column)) for column in columns if column]
    far = all(not 2 * low - high <= float(cell) <= 2 * high - low for cell, (low, high) in zip(cells, spans))
    first = " ".join(cells)
    if far and not any(cell.isdigit() for row in below for cell in row):
        return True, [f"the first line, {first:.40}, is taken for names (--no-header reads it as a point)"]
    if far or counted:
        raise ValueError(f"the first line, {first:.40}, may be names or a point: {EITHER}")
    return False, []


def names_in_comments(comments: Sequence[str], width: int) -> list[str]:
    """The names in the last comment that has so many words, none of them a number; else none."""
    for words in (re.split(r"[\s,;|]+", comment) for comment in reversed(comments)):
        if len(words) == width and not any(map(like_a_number, words)):
            return words
    return [""] * width
