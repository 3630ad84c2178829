"""The cells of a text file, however people and programs write it: its encoding, separator and decimal mark.

What is guessed is said in a note. What can be read in two ways is refused, with both and the option that decides.
"""

import csv
import gzip
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
"""What may stand between two cells, the likeliest first; a space stands for any number of them."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WITH_COMMA = re.compile(r"(?=.*\d)[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?([eE][+-]?\d+)?", re.ASCII)
"""A number with a decimal comma; points may group its thousands."""
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)
"""A number whose thousands are grouped by commas."""
QUOTED = re.compile(r'"\s*[+\-\N{MINUS SIGN}]?[\d.]+,\d')
"""The beginning of a quoted number with a comma."""
MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}
"""What stands in a cell of numbers that has no value, in lower case."""
NO_WORD = MISSING - {"-", "none"}
"""The same in a cell of words, of which some mean that there is nothing."""
ERROR = re.compile(r"#(N/?A|DIV/0|REF|VALUE|NAME|NUM|NULL|NV|WERT|BEZUG|ZAHL)[!?]?(?![\w])")
"""An error of a spreadsheet, in English or German."""
COLOUR = re.compile(r"#([0-9a-fA-F]{3}){1,2}")
SAMPLE = 200
"""The lines that say what a column holds; what differs further down is an error in its line."""
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
    """The lines of cells of a text; those that are blank or comments are left out.

    Iterating gives the number of each line, as an editor counts, and its cells. Quoted cells may hold anything. A
    comment begins with #, and is no row whose first cell does, such as Excel's #N/A or a colour.
    """

    text: str
    separator: str
    comments: list[str] = field(default_factory=list)
    skipped: int = 0
    """How many comments stand below the first row."""
    firsts: set[str] = field(default_factory=set)
    """The first cells of the first rows."""

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        at, spaced = 0, not self.text.isascii() or " " in self.text or "\t" in self.text

        def lines() -> Iterator[str]:
            nonlocal at
            width, quoted = 0, False
            for at, line in enumerate(io.StringIO(self.text, newline=""), 1):  # noqa: B007
                if not quoted and line.lstrip().startswith("#") and not self.is_row(line.strip(), width):
                    self.comments.append(line.lstrip().lstrip("#").strip())
                    self.skipped += width > 0
                elif quoted or line.strip():
                    if not quoted and (not width or len(self.firsts) < SAMPLE):
                        cells = line.split(None if self.separator == " " else self.separator)
                        width = width or len(cells)
                        self.firsts.add(cells[0].strip())
                    quoted ^= line.count('"') % 2 == 1
                    yield line

        try:
            if self.separator == " ":
                for line in lines():
                    yield at, next(csv.reader([" ".join(line.split())], delimiter=" ")) if '"' in line else line.split()
                return
            reader = csv.reader(lines(), delimiter=self.separator, skipinitialspace=True, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield at, [cell.strip() for cell in cells] if spaced else cells
        except csv.Error as error:
            raise ValueError(f"line {at}: {error}") from error

    def is_row(self, line: str, width: int) -> bool:
        """Whether a line that begins with # is one of the table, whose other rows have so many cells; 0 before them.

        It is where its first cell is # alone, above the rows, or an error of Excel, a colour, or another word beside
        as many cells as the others have. A number, or a word that other rows have without the #, was commented out.
        """
        spaces = self.separator == " "
        first, *others = (cell.strip() for cell in line.split(None if spaces else self.separator))
        if ERROR.match(first):
            return True
        if first == "#":
            return not (width or spaces) and bool(others) and all(len(cell.split()) == 1 for cell in others)
        if not width or 1 + len(others) != width or len(first.split()) != 1 or not others:
            return False
        return bool(COLOUR.fullmatch(first)) or not (like_a_number(first[1:]) or first[1:] in self.firsts)


def guess_separator(text: str, decimal: str = "guess") -> str:
    """What separates cells: what gives the first lines equally many, two or more, and most of them numbers."""
    best, found = 0.0, ";" if decimal == "," else ","
    for separator in (each for each in SEPARATORS if each != decimal):
        if separator == " " and found == "\t" and best:
            continue  # tabs are spaces too
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
    return any(way.fullmatch(hyphened(cell)) for way in (NUMBER, WITH_COMMA, GROUPED)) or is_missing(cell)


def hyphened(cell: str) -> str:
    """The cell with a hyphen for a minus of typography."""
    return cell.replace("\N{MINUS SIGN}", "-")


def is_missing(cell: str) -> bool:
    """Whether a cell says that it has no value."""
    return cell.lower() in MISSING


def guess_decimal(text: str, separator: str) -> tuple[str, list[str]]:
    """The decimal mark, "." or ",", and what there is to say of it.

    A comma within a number is a decimal mark or groups thousands, and so is a point. One number that can be but one of
    them decides for all. Where none does, a table of commas has thousands between them, and another table is refused.
    """
    if ("," not in text and separator not in ";\t") if separator != "," else not QUOTED.search(text):
        return ".", []
    seen: dict[str, tuple[int, str]] = {}
    alone = separator != "," and ("," in text) != ("." in text)  # then the first number that is sure decides
    for line, cells in Lines(text, separator):
        for cell in cells:
            if kind := kind_of(cell):
                seen.setdefault(kind, (line, cell))
        if alone and {"1.5", "1,5"} & seen.keys():
            break
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
    cell = hyphened(cell)
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
        "say which by --decimal=, or --decimal=. (a comma or a point)"
    )


def number(cell: str, decimal: str) -> float | None:
    """The number in a cell; None where there is none."""
    cell = hyphened(cell)
    if decimal == ",":
        return float(cell.replace(".", "").replace(",", ".")) if WITH_COMMA.fullmatch(cell) else None
    if NUMBER.fullmatch(cell):
        return float(cell)
    return float(cell.replace(",", "")) if GROUPED.fullmatch(cell) else None
