"""Forty tables as people have them, small and made here: each is read as they would, or refused with help.

Read: the shape of the numbers, the classes, and a word of the notes. Refused: what the message has, with the way out.
"""

import gzip
import re

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.read import read_points

TEN = "".join(f"{x / 4},{x * x}\n" for x in range(1, 11))
EIGHT = range(8)
IDS = "id,a,b\n" + "".join(f"{k + 1},{k * k},{7 - k}\n" for k in EIGHT)
SQUARES = "".join(f"{k},{k * k},{7 - k}\n" for k in EIGHT)
INDEXED = ",a,b\n" + SQUARES
STEPS = "step,a\n" + "".join(f"{k},{k * k}\n" for k in EIGHT)
YEARS = "2019,2020\n" + "".join(f"{k / 8},{k * k / 9 + 0.5}\n" for k in EIGHT)
ENGLISH = 'income,age\n"30,855","31"\n"1,038,811","40"\n'
IRIS = "5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n7.0,3.2,Iris-versicolor\n6.4,3.2,Iris-versicolor\n"
READ = {
    "a plain csv": (TEN, (10, 2), (), ""),
    "names above": ("x,y\n" + TEN, (10, 2), (), ""),
    "a spreadsheet's byte order mark and line ends": ("\ufeffx,y\r\n" + TEN.replace("\n", "\r\n"), (10, 2), (), ""),
    "a spreadsheet's empty rows at the end": ("x,y\n" + TEN + ",\n,\n\n", (10, 2), (), ""),
    "an old Macintosh": (TEN.replace("\n", "\r"), (10, 2), (), ""),
    "a German spreadsheet": ("a;b\n0,5;7\n1,25;9\n2,5;1\n", (3, 2), (), "decimal commas"),
    "a German spreadsheet with thousands": ("a;b\n1.234,5;2\n2.345,5;1\n10,0;7\n", (3, 2), (), "decimal commas"),
    "an English one with thousands": (ENGLISH, (2, 2), (), "commas group thousands"),
    "tabs": (TEN.replace(",", "\t"), (10, 2), (), ""),
    "bars": (TEN.replace(",", "|"), (10, 2), (), ""),
    "spaces, as many as fit": ("  1.0   2.0\n 10.0  20.5\n-3.25   7\n", (3, 2), (), ""),
    "spaces after commas": (TEN.replace(",", ", "), (10, 2), (), ""),
    "a separator at the end of each line": (TEN.replace("\n", ",\n"), (10, 2), (), ""),
    "a database's dump, all quoted": ('"a","b"\n"1","2"\n"3","5"\n', (2, 2), (), ""),
    "NumPy's savetxt": ("# a b\n1.000000000000000000e+00 2.5e+00\n3e+00 -1e-03\n", (2, 2), (), ""),
    "comments of an instrument": ("# run 7\n# gain 3.5\n" + TEN, (10, 2), (), ""),
    "pandas with its index": (INDEXED, (8, 2), (), "only counts the rows"),
    "an id from 1 on": (IDS, (8, 2), (), "only counts the rows"),
    "a time that counts": (STEPS, (8, 2), (), "is read as a coordinate"),
    "years as names": (YEARS, (8, 2), (), "taken for names"),
    "the UCI's iris, without names": (IRIS, (4, 2), ("Iris-setosa", "Iris-versicolor"), "2 classes"),
    "a label of whole numbers": ("a,label\n1,1\n2,3\n4,3\n", (3, 1), ("1", "3"), "label column 'label': 2 classes"),
    "a target first": ("target,a\n0,1.5\n1,2\n0,3\n", (3, 1), ("0", "1"), "label column 'target'"),
    "yes and no": ("a,ill\n1,yes\n2,no\n4,no\n", (3, 1), ("no", "yes"), "label column 'ill'"),
    "umlauts of Windows": ("Größe,b\n1,2\n3,4\n".encode("cp1252"), (2, 2), (), "Windows-1252"),
    "UTF-16, as Excel's Unicode text": ("a\tb\r\n1\t2\r\n3\t4\r\n".encode("utf-16"), (2, 2), (), ""),
    "a gzip under the name csv": (gzip.compress(TEN.encode(), mtime=0), (10, 2), (), ""),
    "a minus of typography": ("a,b\n−1,2\n3,−4\n", (2, 2), (), ""),
    "no digit before the point, none after": (".5,1.\n-.25,3.\n", (2, 2), (), ""),
    "one column": ("1.5\n2.5\n4\n", (3, 1), (), ""),
    "one constant among others": ("a,b\n1,7\n2,7\n3,7\n", (3, 2), (), ""),
}  # fmt: skip
REFUSED = {
    "a date": ("day,a\n2024-05-01,1\n2024-05-02,2\n2024-05-03,4\n", "line 2, column 'day' is no number.*--drop 'day'"),
    "a time of day": ("at,a\n12:30,1\n12:31,2\n12:32,4\n", "line 2, column 'at' is no number.*--drop 'at'"),
    "names of people": ("name,a\nAda,1\nBob,2\nCid,4\nDan,3\nEve,9\n", "line 2, column 'name' is no number: 'Ada'"),
    "a missing value": ("a,b\n1,2\n,4\n", "line 3, column 'a' has no value: --drop-missing"),
    "NA": ("a,b\n1,2\n3,NA\n", "line 3, column 'b' has no value: --drop-missing"),
    "a unit in a cell": ("a,b\n1,2\n3 cm,4\n5,6\n", "line 3, column 'a' is no number: '3 cm'"),
    "a short line": ("a,b\n1,2\n3\n", "line 3 has 1 cells, not 2"),
    "two label columns": ("label,a,class\n1,2,3\n0,3,3\n", "are both classes by their names: --labels"),
    "a price that may be two": ("a;b\n1,234;2\n5,678;1\n", "say which by --decimal"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00", "as Excel's workbooks"),
    "a web page": ("<html><body>\n<p>Not found</p>\n</body></html>\n", "no number|cells"),
    "JSON": ('{"a": [1, 2],\n "b": [3, 4]}\n', "no number|cells|line"),
}


def test_there_are_forty():
    assert len(READ) + len(REFUSED) >= 40


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("what", READ)
def test_it_is_read_as_people_would(tmp_path, what):
    content, shape, classes, note = READ[what]
    table = read_points(written(tmp_path / "mine.csv", content))
    assert (table.x.shape, table.classes) == (shape, classes)
    assert note in "; ".join(table.notes)
    assert bool(table.notes) == bool(note)
    assert np.all(np.isfinite(table.x))


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_a_sentence_that_helps(tmp_path, what):
    content, says = REFUSED[what]
    with pytest.raises(ValueError, match=says) as error:
        td.load_points(written(tmp_path / "mine.csv", content))
    assert re.match(re.escape(str(tmp_path / "mine.csv")), str(error.value))
    assert "\n" not in str(error.value)


def test_thousands_and_decimals_are_the_numbers_that_stand_there(tmp_path):
    for what, numbers in (
        ("a German spreadsheet", [[0.5, 7], [1.25, 9], [2.5, 1]]),
        ("a German spreadsheet with thousands", [[1234.5, 2], [2345.5, 1], [10, 7]]),
        ("an English one with thousands", [[30855, 31], [1038811, 40]]),
        ("a minus of typography", [[-1, 2], [3, -4]]),
    ):
        assert read_points(written(tmp_path / "mine.csv", READ[what][0])).x.tolist() == numbers, what
