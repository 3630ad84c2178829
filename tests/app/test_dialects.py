"""Tables as people and programs write them: each is read back number by number, or refused in a sentence.

A table is drawn, written in a dialect that is drawn too, and read without a hint. What may differ from what was written
is only what a note says: a first column that counts the rows is left out.
"""

import csv
import gzip
import io
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from tinydiff.app.columns import GUESS, INDEX, LABELS, Reading
from tinydiff.app.read import read_points

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32")
WORDS = ("cat", "dog", "Ülm", "a b", "x-1")
NAMES = ("a", "b", "height in m", "Größe", "p0", "1st", "2019", "", "label", "class", "id", "index")
whole = st.integers(-30, 30) | st.integers(-(10**6), 10**6)
floats = st.floats(-1e6, 1e6, width=32) | st.floats(allow_nan=False, allow_infinity=False)
rounded = st.integers(-(10**6), 10**6).map(lambda k: k / 1000)


@st.composite
def tables(draw):
    """Columns of numbers or of words, and their names or none."""
    n, width = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    kinds = [draw(st.sampled_from((whole, floats, rounded))) for _ in range(width)]
    columns = [draw(st.lists(kind, min_size=n, max_size=n)) for kind in kinds]
    if draw(st.booleans()) and width > 1:
        columns[draw(st.integers(0, width - 1))] = draw(st.lists(st.sampled_from(WORDS), min_size=n, max_size=n))
    if draw(st.integers(0, 4)) == 0:
        columns.insert(0, list(range(draw(st.integers(0, 1)), n + 5))[:n])
    names = draw(st.none() | st.lists(st.sampled_from(NAMES), min_size=len(columns), max_size=len(columns)))
    return columns, names


def written(number, decimal, grouped):
    """A cell: a number with this decimal mark, its thousands in groups where it has any, or a word."""
    if isinstance(number, str):
        return number
    text = repr(number)
    if grouped and "e" not in text:
        text = f"{number:,}"
    return text.translate(str.maketrans(".,", ",.")) if decimal == "," else text


@st.composite
def dialects(draw):
    separator, decimal = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(".,"))
    by_points = decimal == "," and separator in ",|"  # which no program does
    return {
        "separator": separator,
        "decimal": decimal,
        "grouped": not by_points and draw(st.integers(0, 3)) == 0,
        "quoting": draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))),
        "end": draw(st.sampled_from(("\n", "\r\n", "\r"))),
        "comment": draw(st.sampled_from(("", "# by hand, in May", "# a; b"))),
        "encoding": draw(st.sampled_from(ENCODINGS)),
        "packed": draw(st.booleans()),
        "last": draw(st.booleans()),
    }


def file_of(table, dialect):
    """The bytes of a table in a dialect."""
    columns, names = table
    text = io.StringIO()
    writer = csv.writer(text, delimiter=dialect["separator"], quoting=dialect["quoting"], lineterminator=dialect["end"])
    if dialect["comment"]:
        text.write(dialect["comment"] + dialect["end"])
    if names is not None:
        writer.writerow(names)
    writer.writerows(
        zip(*[[written(v, dialect["decimal"], dialect["grouped"]) for v in c] for c in columns], strict=True)
    )
    content = text.getvalue()
    content = content if dialect["last"] else content.removesuffix(dialect["end"])
    raw = content.encode(dialect["encoding"])
    return gzip.compress(raw, mtime=0) if dialect["packed"] else raw


def numbers_of(columns):
    return np.array([column for column in columns if not isinstance(column[0], str)], float).T


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("dialects") / "table.csv"


def read(path, raw, how=GUESS):
    """The table, or None where it is refused in one line that names the file."""
    path.write_bytes(raw)
    try:
        return read_points(path, how)
    except ValueError as error:
        said = str(error)
        assert str(path) in said
        assert "\n" not in said
        event("refused: " + said.partition(": ")[2].translate(str.maketrans("", "", "0123456789"))[:30])
        return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), dialect=dialects())
def test_a_table_is_read_back_or_refused(path, table, dialect):
    columns, names = table
    assume(len(columns) > 1 or dialect["decimal"] == ".")  # 1,5 alone in a line is two numbers, by all conventions
    assume(names is None or not all(name in ("2019", "") for name in names))  # which may be a point
    found = read(path, file_of(table, dialect))
    if found is None:
        return
    if dialect["separator"] == dialect["decimal"] and "commas group thousands" in found.notes:
        return  # between quotes 1,001 alone is a thousand and one, which is said
    taken = list(range(len(columns)))
    if found.labels is not None:
        labels = [i for i in taken if labels_agree(columns[i], found)]
        assert labels, "the classes are a column of the table"
        named = [i for i in labels if names is not None and names[i].lower() in LABELS]
        taken.remove((named or labels)[0])
    if any("only counts the rows" in note for note in found.notes):
        assert columns[taken[0]] == [columns[taken[0]][0] + k for k in range(len(columns[0]))]
        assert names is None or names[taken[0]].lower() in INDEX
        taken = taken[1:]
    elif any("only numbers the rows" in note for note in found.notes):
        assert np.all(np.diff(columns[taken[0]]) > 0)
        assert names[taken[0]].lower() in INDEX
        taken = taken[1:]
    np.testing.assert_array_equal(found.x, numbers_of([columns[i] for i in taken]).reshape(len(columns[0]), len(taken)))
    if names is not None and found.names:
        own = [names[i] for i in taken]
        assert len(set(found.names)) == len(own)
        assert [new for new, name in zip(found.names, own, strict=True) if own.count(name) == 1 and name] == [
            name for name in own if own.count(name) == 1 and name
        ]


def labels_agree(column, found):
    """Whether the classes of each row are those of the column."""
    return [found.classes[k] for k in found.labels] == [v if isinstance(v, str) else f"{v:.0f}" for v in column]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), dialect=dialects())
def test_with_its_dialect_named_no_table_of_numbers_is_refused_for_it(path, table, dialect):
    """With the options that decide, what was ambiguous is read, and as it was written."""
    columns, _ = table
    columns = [c for c in columns if not isinstance(c[0], str)]
    separator = {"\t": "tab"}.get(dialect["separator"], dialect["separator"])
    how = Reading(header="yes", separator=separator, decimal=dialect["decimal"], keep_index=True)
    names = [f"n{i}" for i in range(len(columns))]
    found = read(path, file_of((columns, names), dialect), how)
    assert found is not None
    np.testing.assert_array_equal(found.x, numbers_of(columns))
    assert found.names == tuple(names)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(floats, min_size=n, max_size=n), min_size=2)))
def test_what_numpy_writes_is_read_back(path, columns):
    """Its default is numbers of eighteen digits between spaces, without names, or with names in a comment."""
    x = np.array(columns)
    for header in ("", " ".join(f"n{i}" for i in range(x.shape[1]))):
        with np.errstate(all="ignore"):
            np.savetxt(file := io.BytesIO(), x, header=header)
        found = read(path, file.getvalue(), Reading(keep_index=True))
        assert found is not None
        np.testing.assert_array_equal(found.x, x)
        assert found.names == (tuple(header.split()))


def test_a_number_is_never_more_than_what_stands_there():
    """Words that Python reads as numbers, and others like them, are refused."""
    from tinydiff.app.text import number

    for word in (
        "1_000",
        "0x10",
        "1e",
        "e5",
        "١٢",
        "1 000",
        "1,23",
        "nan",
        "inf",
        "infinity",
        "1.2.3",
        "--1",
        "5%",
        "$5",
        "1/2",
    ):
        assert number(word, ".") is None, word
    for word, value in (("1.", 1), (".5", 0.5), ("+1e3", 1000), ("−2", -2), ("1,000", 1000), ("12,345.5", 12345.5)):
        assert number(word, ".") == value
    for word, value in (("1,5", 1.5), ("1.000", 1000), ("1.234,5", 1234.5), (",5", 0.5), ("3", 3), ("1e3", 1000)):
        assert number(word, ",") == value
    for word in ("1.5", "1.23", "12.3456", "1,2,3"):
        assert number(word, ",") is None, word
    assert math.isinf(number("1e999", "."))
