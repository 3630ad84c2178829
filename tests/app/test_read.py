"""One's own points: standardised and back, however the file is written, and what is not points is an error in a line.

The numbers of a file are known here before it is written; a .csv gets them by repr, which float reads back exactly.
"""

import io
import re
import tracemalloc
import warnings

import numpy as np
import pytest

from tinydiff.app.read import load_points
from tinydiff.datasets.points import Dataset


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def table(points):
    return "".join(",".join(repr(float(number)) for number in point) + "\n" for point in points)


def load(tmp_path, content, name="points.csv"):
    """The Dataset of a file with this content."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_points(str(path))


def check_holds(data, points, labels=None):
    """Dataset of these points and labels; that it is standardised and leads back is tested where Dataset is."""
    assert data.x.dtype == float
    expected = Dataset.standardised(np.asarray(points, float))
    for name in ("x", "shift", "scale"):
        np.testing.assert_allclose(getattr(data, name), getattr(expected, name), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(data.labels, labels)
    assert labels is None or data.labels.dtype == np.int64


POINTS = np.array([[1.5, -20.0, 3e-5], [2.25, 7.0, 1e-5], [-4.0, 0.5, 2e-5], [0.0, 30.0, 9e-5]])
LABELS = [2, 0, 0, 1]


@pytest.mark.parametrize("kind", ["csv", "npy"])
@pytest.mark.parametrize(("n", "dim"), [(2, 1), (7, 5)])
def test_points_of_any_size_are_read(tmp_path, rng, kind, n, dim):
    """Coordinates of unlike place and size, from 1e-6 to 1e6."""
    points = (rng.standard_normal((n, dim)) + rng.uniform(-3, 3, dim)) * 10.0 ** rng.integers(-6, 7, dim)
    check_holds(load(tmp_path, table(points) if kind == "csv" else npy(points), f"points.{kind}"), points)


# .csv


ROWS = table(POINTS)


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        "x,y,z\n" + ROWS,
        '"x","the second, y",z\n' + ROWS,
        ",,\n" + ROWS,  # names may be empty
        "x,1st,2nd\n" + ROWS,
        "\ufeffx,y,z\n" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\r"),
        ROWS.rstrip("\n"),
        "\n\n" + ROWS.replace("\n", "\n\n") + "\n\n",
        " x , y , z \n " + ROWS.replace("\n", "  \n"),
        "".join('"' + '","'.join(line.split(",")) + '"\n' for line in ROWS.splitlines()),
        ROWS.replace("-20.0", "-2E+1").replace("1.5", "+1.50"),
    ],
)
def test_a_csv_file_may_be_written_in_many_ways(tmp_path, content):
    """With names or without, by a spreadsheet or on Windows, with blank lines, spaces, quotes and exponents."""
    check_holds(load(tmp_path, content), POINTS)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("name", ["label", "LABEL", " label ", '"label"'])
def test_the_column_of_labels_may_stand_anywhere(tmp_path, at, name):
    """It becomes the labels and leaves the coordinates in their order."""
    names = ["x", "y", "z"]
    names.insert(at, name)
    for before, end in (("", "\n"), ("\ufeff", "\r\n")):
        content = before + (",".join(names) + "\n" + table(np.insert(POINTS, at, LABELS, axis=1))).replace("\n", end)
        check_holds(load(tmp_path, content), POINTS, LABELS)


def test_without_a_name_that_says_so_a_column_of_numbers_is_a_coordinate(tmp_path):
    points = np.column_stack([POINTS, LABELS])
    for names in ("", "x,y,z,k\n"):
        check_holds(load(tmp_path, names + table(points)), points)


@pytest.mark.parametrize("name", ["label", "Labels", "class", "CLASSES", "target"])
def test_classes_are_known_by_the_name_of_their_column_or_by_being_words(tmp_path, name):
    """In the order of the numbers, or of the alphabet; they keep their names."""
    rows = "".join(f"{x},{k},{y}\n" for x, k, y in ((1, 10, 4), (2, 9, 5), (3, 10, 7)))
    data = load(tmp_path, f"x,{name},y\n{rows}")
    assert (data.labels.tolist(), data.classes, data.names) == ([1, 0, 1], ("9", "10"), ("x", "y"))
    assert data.notes == (f"label column {name!r}: 2 classes",)
    for head, words in ((f"x,{name},y\n", ("dog", "cat")), ("x,kind,y\n", ("dog", "cat")), ("", ("ü b", "Z"))):
        data = load(tmp_path, head + rows.replace("10", words[0]).replace("9", words[1]))
        assert (data.labels.tolist(), data.classes) == (
            [1, 0, 1] if words[1] < words[0] else [0, 1, 0],
            tuple(sorted(words)),
        )


def test_rows_without_a_value_or_a_class_may_be_left_out_and_with_them_a_class_that_has_no_other(tmp_path):
    """No row keeps a label that is none."""
    (path := tmp_path / "gaps.csv").write_text("a,b,kind\n1,2,cat\n,3,dog\n3,9,\n4,5,cow\n6,1,cat\n", encoding="utf-8")
    data = load_points(path, drop_missing=True)
    np.testing.assert_allclose(data.restore(data.x), [[1, 2], [4, 5], [6, 1]])
    assert (data.labels.tolist(), data.classes) == ([0, 1, 0], ("cat", "cow"))
    assert "2 of 5 rows miss a value: left out" in data.notes


def test_a_column_that_counts_is_left_out_by_its_name_alone(tmp_path):
    """Whatever other words are in the name."""
    rows = "".join(f"{k},{k * k}\n" for k in range(6))
    for name, columns in (("id", 1), ("left out", 2), ("time", 2)):
        assert load(tmp_path, f"{name},b\n{rows}").x.shape == (6, columns)


# .npy


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "f2", "i1", ">i4", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_may_be_of_any_real_dtype_and_order(tmp_path, dtype, order):
    """Integers, floats and booleans of either byte order, by row or by column."""
    points = np.array([[1, 0], [0, 0], [0, 1], [1, 1], [1, 0]])
    array = np.asarray(points, dtype=dtype, order=order)
    check_holds(load(tmp_path, npy(array), "points.npy"), points)


# Errors


def check_error(tmp_path, content, name, message):
    """One line that names the file and says what is wrong."""
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path, content, name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


ERRORS = {
    "points.csv": [
        ("1,2\n3\n", "line 2 has 1 cells, not 2"),
        ("x,y\n1,2,3\n4,5,6\n", "line 2 has 3 cells, not 2"),
        ("x,y\n1,2\n\n3,4\n5\n", "line 5 has 1 cells, not 2"),
        ("1,2\n3,four\n", "line 2, column 2 is no number: 'four'. Name the columns in a first line"),
        ("x,y\nin m,in m\n1,2\n3,4\n", "line 2, column 'x' is no number: 'in m'. --drop 'x' leaves the column out"),
        ("1,2\nx,y\n3,4\n", "line 2, column 1 is no number: 'x'"),
        ("1,\n3,4\n5,7\n", "line 1, column 2 has no value: --drop-missing leaves out such rows"),
        ("1,2\n" + "long " * 1000 + "\n", "line 2 has 1 cells, not 2"),
        ('1,2\n"3\n4",5\n', "line 3, column 1 is no number"),
        ('x,y\n"' + 200_000 * "1" + '"\n', "field larger than field limit"),
        ('x,y\n1,"2\n3,4\n', "line 3: unexpected end of data"),
        ("", "it holds no numbers"),
        ("# nothing\n\n", "it holds no numbers"),
        ("x,label\n", "two points or more"),
        ("1,2\n", "two points or more"),
        ("label\n1\n0\n", "two points or more"),
        ("1,2\n1,2\n1,2\n", "has no column that varies"),
        (10 * "0.1\n", "has no column that varies"),  # whose mean is not 0.1
        ("0.3\n0.30000000000000004\n0.3\n", "has no column that varies"),  # but for rounding
        ("1,2\n\n3,-inf\n", "line 3, column 2 is no number: '-inf'"),
        ("1,2\n3,1e999\n", "line 2, column 2 is not finite: '1e999'"),
        ("1e200,1\n2e200,3\n", r"column 1 of .* goes from 1e\+200 to 2e\+200: beyond float64"),
        ("1.7e308\n1.6e308\n-1.5e308\n", "column 1 of .* beyond float64"),
        ("1e-200,1\n2e-200,3\n", "column 1 of .* beyond float64"),
        ("x,label\n1,0\n\n2,1.5\n", "line 4, column 'label' is no class: 1.5; a class is a whole number or a word"),
        ("x,label\n1,0\n2,\n", "line 3, column 'label' has no value: --drop-missing"),
        ("x,label\n" + "".join(f"{k},{k}\n" for k in range(12)), "column 'label' has 12 different values in 12 rows"),
        ("x,label\n" + "".join(f"{k},{k}\n" for k in range(1001)), "at most 1000 can be learned"),
        ("label,x,Class\n1,2,3\n4,5,6\n", "columns 1, 'label', and 3, 'Class', are both classes by their names"),
        ("day,x\n2024-05-01,1\n2024-05-02,3\n", "line 2, column 'day' is no number: '2024-05-01'"),
        (
            "a;b\n1,234;2\n5,678;3\n",
            "line 2: '1,234' is 1.234 with a decimal mark and 1234 with thousands: .*--decimal",
        ),
        ("a;b\n1,23;2\n5.67;3\n", "lines 2 and 3 have different decimal marks: '1,23' and '5.67'"),
        ("0,1\n" + 6 * "2,3\n4,5\n", "the first line, 0 1, may be names or a point: .*--header no"),
        ("x,y\n1_000,2\n3,4\n", "line 2, column 'x' is no number: '1_000'"),
        ("x,y\n12%,2\n3,4\n", "line 2, column 'x' is no number: '12%'"),
        (b"a,b\n1,\x00\n2,3\n", "it is no text: it has bytes that are 0"),
        (b"\x1f\x8b\x08 and no more", "it is gzipped and broken"),
        (b"PK\x03\x04", "it is no text but a zip file, as Excel's workbooks"),
        (npy(POINTS), "it is no text but a NumPy array: name it .npy"),
    ],
    "points.npy": [
        (npy(np.array([[1, 2], [3, None]], dtype=object), allow_pickle=True), "Python objects|pickle"),
        (npy(POINTS + 1j), "must hold real numbers; got complex128"),
        (npy(np.zeros(3, [("x", float), ("y", float)])), "must hold real numbers"),
        (npy(np.array(3.0)), r"it must hold points \(N, D\); its shape is \(\)"),
        (npy(POINTS[None]), r"it must hold points \(N, D\); its shape is \(1, 4, 3\)"),
        (npy(POINTS[:1]), "two points or more"),
        (npy(POINTS[:, :0]), "two points or more"),
        (npy(np.where(POINTS == 7, np.nan, POINTS)), "row 1, column 2 has no value"),
        (npy(np.where(np.eye(60) > 0.5, np.nan, np.arange(3600.0).reshape(60, 60))), "row 0, column 1 has no value"),
        (b"", "not a .npy file"),
        (npy(POINTS)[:-1], "not a .npy file"),
        (npy(POINTS).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"), "not a .npy file"),
        (b"PK\x03\x04", "not a .npy file"),  # the mark of an .npz file
    ],
    "points.npz": [(ROWS, "is not a whole .npz file"), (b"PK\x03\x04", "is not a whole .npz file")],
    "points.parquet": [(ROWS, "cannot be read|pyarrow")],
}
ROWS_OF_ERRORS = [(name, content, message) for name, rows in ERRORS.items() for content, message in rows]


@pytest.mark.parametrize(("name", "content", "message"), ROWS_OF_ERRORS, ids=[row[2] for row in ROWS_OF_ERRORS])
def test_a_file_that_is_not_points_is_a_value_error(tmp_path, name, content, message):
    """Each with the file, in one line, and with the line of a .csv file; pickles are never loaded."""
    check_error(tmp_path, content, name, message)


@pytest.mark.parametrize("shape", [(10**9, 2), (10**10, 10**10), (2**61, 8), (10**30, 2), (-(10**15), -2)])
def test_a_header_that_claims_too_much_takes_no_memory(tmp_path, shape):
    """Of a file of 192 bytes no more is allocated than a megabyte, and nobody warns of an overflow."""
    claimed, padding = f"{shape}, }}".encode(), b" " * (len(str(shape)) - len("(4, 2)"))
    content = npy(POINTS[:, :2]).replace(b"(4, 2), }" + padding, claimed)
    tracemalloc.start()
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            check_error(tmp_path, content, "points.npy", "not a .npy file")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert not heard


@pytest.mark.parametrize("name", ["points.csv", "points.npy"])
def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=re.escape(repr(str(path)))):
        load_points(path)
    path.mkdir()
    with pytest.raises(ValueError, match=re.escape(f"{path}: it is a folder without images")):
        load_points(path)
