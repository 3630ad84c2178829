"""One's own points: standardised and back, however the file is written, and what is not points is an error in a line.

The numbers of a file are known here before it is written; a .csv gets them by repr, which float reads back exactly.
"""

import io
import math
import re
import tracemalloc
import warnings

import numpy as np
import pytest

from tinydiff.app.read import load_points


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(array):
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def header(shape, descr="<f8"):
    """The header of a .npy file that claims this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def table(points):
    return "".join(",".join(repr(float(number)) for number in point) + "\n" for point in points)


def load(tmp_path, content, name="points.csv"):
    """The Dataset of a file with this content."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_points(path)


def check_holds(data, points, labels=None):
    """Dataset of these points: x·scale + shift gives them back, and each coordinate has mean 0 and variance 1."""
    points = np.asarray(points, float)
    assert data.x.dtype == float
    assert data.x.shape == points.shape
    np.testing.assert_allclose(data.x * data.scale + data.shift, points, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(data.x.sum(axis=0) / len(points), 0, atol=1e-12)
    np.testing.assert_allclose(np.sum(data.x**2, axis=0) / len(points), 1, rtol=1e-12)
    if labels is None:
        assert data.labels is None
    else:
        assert data.labels.dtype == np.int64
        np.testing.assert_array_equal(data.labels, labels)


POINTS = np.array([[1.5, -20.0, 3e-5], [2.25, 7.0, 1e-5], [-4.0, 0.5, 2e-5], [0.0, 30.0, 9e-5]])
LABELS = [2, 0, 0, 1]


# Standardised, and back


@pytest.mark.parametrize("kind", ["csv", "npy"])
@pytest.mark.parametrize(("n", "dim"), [(2, 1), (3, 2), (7, 5), (500, 3)])
def test_each_coordinate_has_mean_zero_and_variance_one(tmp_path, rng, kind, n, dim):
    """Coordinates of unlike place and size, from 1e-6 to 1e6; the variance is Σ x²/N; x·scale + shift is the file."""
    points = (rng.standard_normal((n, dim)) + rng.uniform(-3, 3, dim)) * 10.0 ** rng.integers(-6, 7, dim)
    data = load(tmp_path, table(points) if kind == "csv" else npy(points), f"points.{kind}")
    np.testing.assert_allclose(data.x * data.scale + data.shift, points, rtol=1e-12, atol=1e-12 * np.abs(points).max())
    np.testing.assert_allclose(data.x.sum(axis=0) / n, 0, atol=1e-12)
    np.testing.assert_allclose(np.sum(data.x**2, axis=0) / n, 1, rtol=1e-12)
    assert data.labels is None


@pytest.mark.parametrize("offset", [1e6, -1e6])
def test_small_differences_far_from_zero_are_kept(tmp_path, offset):
    """Steps of 1/8 at a million, which float64 holds exactly, are the same points as steps of 1 at zero."""
    steps = np.arange(5.0)[:, None]
    data = load(tmp_path, table(offset + steps / 8))
    np.testing.assert_allclose(data.x, (steps - 2) / math.sqrt(2), atol=1e-12)
    np.testing.assert_allclose([data.shift, data.scale], [[offset + 0.25], [math.sqrt(2) / 8]], rtol=1e-12)


def test_two_points_go_to_minus_one_and_one(tmp_path):
    """The only two numbers of mean 0 and variance 1."""
    data = load(tmp_path, "3,10\n5,4\n")
    np.testing.assert_allclose(data.x, [[-1, 1], [1, -1]], rtol=1e-15)
    np.testing.assert_allclose([data.shift, data.scale], [[4, 7], [1, 3]], rtol=1e-15)


def test_a_path_may_be_text(tmp_path):
    (tmp_path / "points.csv").write_text(table(POINTS))
    check_holds(load_points(str(tmp_path / "points.csv")), POINTS)


# .csv


ROWS = table(POINTS)
LABELLED = [table(np.insert(POINTS, at, LABELS, axis=1)) for at in range(4)]


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        "x,y,z\n" + ROWS,
        '"x","the second, y",z\n' + ROWS,
        ",,\n" + ROWS,  # names may be empty
        "x,1st,2nd\n" + ROWS,
        "\ufeff" + ROWS,
        "\ufeffx,y,z\n" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ("x,y,z\n" + ROWS).replace("\n", "\r\n"),
        ROWS.replace("\n", "\r"),
        ROWS.rstrip("\n"),
        "\n\n" + ROWS.replace("\n", "\n\n") + "\n\n",
        "\nx,y,z\n\n" + ROWS,
        ROWS.replace(",", " ,  "),
        " x , y , z \n " + ROWS.replace("\n", "  \n"),
        ROWS + "   \n",
        "".join('"' + '","'.join(line.split(",")) + '"\n' for line in ROWS.splitlines()),
        ROWS.replace("-20.0", "-2E+1").replace("1.5", "+1.50"),
    ],
)
def test_a_csv_file_may_be_written_in_many_ways(tmp_path, content):
    """With names or without, by a spreadsheet or on Windows, with blank lines, spaces, quotes and exponents."""
    check_holds(load(tmp_path, content), POINTS)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("name", ["label", "Label", "LABEL", " label ", '"label"'])
def test_the_column_of_labels_may_stand_anywhere(tmp_path, at, name):
    """It becomes the labels and leaves the coordinates in their order."""
    names = ["x", "y", "z"]
    names.insert(at, name)
    for before, end in (("", "\n"), ("\ufeff", "\r\n")):
        content = before + (",".join(names) + "\n" + LABELLED[at]).replace("\n", end)
        check_holds(load(tmp_path, content), POINTS, LABELS)


def test_without_its_name_a_column_is_a_coordinate(tmp_path):
    """Labels are never guessed: integers without a header, or under another name, are numbers like the others."""
    points = np.column_stack([POINTS, LABELS])
    for head in ("", "x,y,z,labels\n", "x,y,z,class\n"):
        check_holds(load(tmp_path, head + table(points)), points)


def test_labels_that_leave_out_a_class_are_said(tmp_path):
    """A class without points would be learned from none: the least that is missing is named."""
    check_holds(load(tmp_path, "label,x\n2,1\n0,2\n1.0,4\n"), [[1], [2], [4]], [2, 0, 1])
    with pytest.raises(ValueError, match=r"labels must be 0, 1, … without gaps; no point has the label 1\."):
        load(tmp_path, "label,x\n3,1\n0,2\n7.0,4\n")


# .npy


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "f4", "f2", "i1", "u1", "<i2", ">i4", "i8", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_may_be_of_any_real_dtype_and_order(tmp_path, dtype, order):
    """Integers, floats and booleans of either byte order, by row or by column."""
    points = np.array([[1, 0], [0, 0], [0, 1], [1, 1], [1, 0]])
    array = np.asarray(points, dtype=dtype, order=order)
    check_holds(load(tmp_path, npy(array), "points.npy"), points)


def test_the_points_are_not_a_view_of_the_file(tmp_path):
    """They stay when the file changes, and may be written to."""
    data = load(tmp_path, npy(POINTS), "points.npy")
    (tmp_path / "points.npy").write_bytes(npy(2 * POINTS))
    check_holds(data, POINTS)
    data.x[0] = 0


# Errors


def check_error(tmp_path, content, name, message):
    """One line that names the file and says what is wrong."""
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path, content, name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3\n", "line 2 has 1 numbers, not 2"),
        ("1,2\n3,4,5\n", "line 2 has 3 numbers, not 2"),
        ("x,y\n1,2,3\n4,5,6\n", "line 2 has 3 numbers, not 2"),
        ("x,y\n1\n4\n", "line 2 has 1 numbers, not 2"),
        ("x,y\n1,2\n\n3,4\n5\n", "line 5 has 1 numbers, not 2"),
        ("1,2\n3,four\n", r"line 2 is not numbers: '3,four'"),
        ("1,2\n3,\n", "line 2 is not numbers: '3,'"),
        ("1,2\n,\n3,4\n", "line 2 is not numbers: ','"),
        ("1,2\n3,4,\n", "line 2 is not numbers: '3,4,'"),
        ("x,y\n1,2\n\n3,four\n", "line 4 is not numbers"),
        ("x;y\n1;2\n3;4\n", "line 2 is not numbers: '1;2'"),
        ("x\ty\n1\t2\n", "line 2 is not numbers"),
        ("x,y\nin m,in m\n1,2\n3,4\n", "line 2 is not numbers: 'in m,in m'"),
        ("1,2\nx,y\n3,4\n", "line 2 is not numbers: 'x,y'"),
        ("1,\n3,4\n5,7\n", "line 1"),  # a number is missing: not a line of names
        ("1,two\n3,4\n5,7\n", "line 1"),
        ("1,2\n" + "long " * 1000 + "\n", "line 2 is not numbers"),
        ('1,2\n"3\n4",5\n', "line 3 is not numbers"),
        ('x,y\n"' + 200_000 * "1" + '"\n', "field larger than field limit"),
        ("", "two points or more"),
        ("\n\n", "two points or more"),
        ("\ufeff", "two points or more"),
        ("x,y\n", "two points or more"),
        ("x,label\n", "two points or more"),
        ("1,2\n", "two points or more"),
        ("x,label\n1,0\n", "two points or more"),
        ("label\n1\n0\n", "two points or more"),
        ("1,2\n3,2\n4,2\n", "coordinate 1 of .* is constant"),
        ("2,1\n2,3\n", "coordinate 0 of .* is constant"),
        (10 * "1,0.1\n" + "2,0.1\n", "coordinate 1 of .* is constant"),  # whose mean is not 0.1
        ("1,0.3\n2,0.30000000000000004\n3,0.3\n", "coordinate 1 of .* is constant"),  # but for rounding
        ("1e200,2\n1e200,3\n", "coordinate 0 of .* is constant"),
        ("1,2\n3,nan\n", "finite.*nan|line 2"),
        ("1,2\n3,4\n-inf,5\n", "finite.*inf|line 3"),
        ("1,2\n3,1e999\n", "finite.*inf|line 2"),
        ("1e200,1\n2e200,3\n", "coordinate 0 of .* beyond float64"),
        ("1,1e200\n2,-1e200\n", "coordinate 1 of .* beyond float64"),
        ("1.7e308\n1.6e308\n1.5e308\n", "coordinate 0 of .* beyond float64"),
        ("1e-160,1\n3e-160,3\n", "coordinate 0 of .* beyond float64"),  # whose squares have few digits
        ("1e-200,1\n2e-200,3\n", "coordinate 0 of .* beyond float64"),
        ("x,label\n1,0\n2,0.5\n", "line 3.*labels must be the integers 0, 1"),
        ("x,label\n1,-1\n2,0\n", "line 2.*labels must be the integers 0, 1"),
        ("x,label\n1,0\n\n2,1000\n", "line 4.*labels must be the integers 0, 1"),
        ("x,label\n1,0\n2,1e30\n", "line 3.*labels must be the integers 0, 1"),
        ("x,label\n1,0\n2,nan\n", "line 3"),
        ("x,label\n1,0\n2,inf\n", "line 3"),
        ("x,label\n1,0\n2,cat\n", "line 3 is not numbers"),
        (b"1,2\n3,4\xff\n", "utf-8"),
        ("naïve,y\n1,2\n3,4\n".encode("latin-1"), "utf-8"),
        ("1,2\n3,4\n".encode("utf-16"), "utf-8"),
        (b"1,2\n3,\0\n", r"line 2 is not numbers: '3,\\x00'"),
        (b"1,2\0\n3,4\n5,6\n", "line 1"),
        (64 * b"\0", "two points or more|not numbers"),
        (npy(POINTS), "utf-8"),
    ],
)
def test_a_csv_file_that_is_not_points_is_a_value_error(tmp_path, content, message):
    """Each with the file, in one line, and with the line of the file where there is one."""
    check_error(tmp_path, content, "points.csv", message)


@pytest.mark.parametrize(("content", "line"), [("1,2\n3,nan\n", 2), ("x,y\n1,2\n\n3,4\n-inf,5\n", 5)])
def test_a_number_that_is_not_finite_is_found_by_its_line(tmp_path, content, line):
    check_error(tmp_path, content, "points.csv", f"line {line}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.array([[1, 2], [3, None]], dtype=object), allow_pickle=True), "Python objects|pickle"),
        (npy(POINTS + 1j), "must hold real numbers; got complex128"),
        (npy(np.array([["1", "2"], ["3", "4"]])), "must hold real numbers; got <U1"),
        (npy(np.array([[b"1", b"2"], [b"3", b"4"]])), r"must hold real numbers; got \|S1"),
        (npy(np.array([[1, 2], [3, 4]], "M8[s]")), "must hold real numbers; got datetime64"),
        (npy(np.array([[1, 2], [3, 4]], "m8[s]")), "must hold real numbers; got timedelta64"),
        (npy(np.zeros(3, [("x", float), ("y", float)])), "must hold real numbers"),
        (npy(np.array(3.0)), r"two points or more, \(N, D\); its shape is \(\)"),
        (npy(POINTS[0]), r"two points or more, \(N, D\); its shape is \(3,\)"),
        (npy(POINTS[None]), r"two points or more, \(N, D\); its shape is \(1, 4, 3\)"),
        (npy(POINTS[:1]), "two points or more"),
        (npy(POINTS[:0]), "two points or more"),
        (npy(POINTS[:, :0]), "two points or more"),
        (npy(POINTS * [1, 0, 1]), "coordinate 1 of .* is constant"),
        (npy(np.full((10, 1), 0.1)), "coordinate 0 of .* is constant"),
        (npy(POINTS * [1e200, 1, 1]), "coordinate 0 of .* beyond float64"),
        (npy(np.where(POINTS == 7, np.nan, POINTS)), "finite.*point 1 .*nan"),
        (npy(np.where(POINTS == 0.5, -np.inf, POINTS)), "finite.*point 2 .*inf"),
        (npy(np.where(np.eye(60) > 0.5, np.nan, np.arange(3600.0).reshape(60, 60))), "finite.*point 0 .*nan"),
        (b"", "not a .npy file"),
        (b"1,2\n3,4\n", "not a .npy file"),
        (b"PK\x03\x04", "not a .npy file"),  # the mark of a .zip file
        (npy(POINTS)[:4], "not a .npy file"),
        (npy(POINTS)[:9], "not a .npy file"),
        (npy(POINTS)[:60], "not a .npy file"),
        (npy(POINTS)[:128], "not a .npy file"),
        (npy(POINTS)[:-1], "not a .npy file"),
        (npy(POINTS, allow_pickle=False).replace(b"(4, 3)", b"(4, 4)"), "not a .npy file"),
        (npy(POINTS).replace(b"(4, 3)", b"(-4, 3"), "not a .npy file"),
        (npy(POINTS).replace(b"(4, 3)", b"[4, 3)"), "not a .npy file"),
        (npy(POINTS).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"), "not a .npy file"),
        (npz(POINTS), "points.npy"),
        (npz(POINTS)[:-30], "points.npy"),
    ],
)
def test_a_npy_file_that_is_not_points_is_a_value_error(tmp_path, content, message):
    """Among them pickles, which are never loaded, and .npz files under another name."""
    check_error(tmp_path, content, "points.npy", message)


@pytest.mark.parametrize(
    "shape", [(10**9, 2), (10**15, 2), (10**10, 10**10), (2**61, 8), (2**62, 4), (10**30, 2), (-(10**15), -2)]
)
def test_a_header_that_claims_too_much_takes_no_memory(tmp_path, shape):
    """Of a file of 192 bytes no more is allocated than a megabyte, and nobody warns of an overflow."""
    content = header(shape) + POINTS[:, :2].tobytes()
    tracemalloc.start()
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            check_error(tmp_path, content, "points.npy", "not a .npy file")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert not heard


@pytest.mark.filterwarnings("ignore")  # NumPy's, of old headers and dtypes
def test_a_spoilt_header_is_read_as_it_says_or_is_a_value_error(tmp_path):
    """Each byte of the header in turn replaced by each of these: never another error, and always in one line."""
    raw, path = npy(POINTS), tmp_path / "points.npy"
    for at in [*range(70), 126, 127]:  # between them are spaces
        for byte in b"\0\n '(,-9L\xff" + bytes([raw[at] ^ 1]):
            path.write_bytes(raw[:at] + bytes([byte]) + raw[at + 1 :])
            try:
                data = load_points(path)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017 - either outcome is right
                assert "\n" not in str(error)  # noqa: PT017
            else:
                np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("name", ["points.txt", "points", "points.npz", "points.csv.gz", ".csv"])
def test_another_kind_of_file_is_a_value_error_that_says_which(tmp_path, name):
    check_error(tmp_path, ROWS, name, r"\.csv or \.npy")


@pytest.mark.parametrize("name", ["points.csv", "points.npy"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / name))) as error:
        load_points(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["points.csv", "points.npy"])
def test_a_folder_of_that_name_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises((OSError, ValueError), match=re.escape(str(tmp_path / name))) as error:
        load_points(tmp_path / name)
    assert "\n" not in str(error.value)
