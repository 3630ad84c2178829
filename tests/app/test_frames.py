"""Points from what is no text: NumPy's archives, Parquet, data frames and scikit-learn's data sets, each as it was."""

import io

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.read import read_points

X = np.array([[1.5, -2.0], [0.25, 7.0], [3.0, 4.0], [-1.0, 0.5]])
K = np.array([2, 0, 0, 1])
WORDS = np.array(["dog", "cat", "cat", "ape"])


def check_is(data, labels=None, classes=()):
    np.testing.assert_allclose(data.restore(data.x), X, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.classes == classes


@pytest.mark.parametrize(
    ("arrays", "notes"),
    [
        ({"anything": X}, ()),
        ({"x": X, "t": X[0]}, ("array 'x' of 'x', 't'",)),
        ({"X": X, "noise": 2 * X}, ("array 'X' of 'X', 'noise'",)),
        ({"arr_0": X}, ()),
    ],
)
def test_an_archive_of_one_table_or_of_a_usual_name(tmp_path, arrays, notes):
    np.savez(tmp_path / "a.npz", **arrays)
    data = td.load_points(tmp_path / "a.npz")
    check_is(data)
    assert data.notes == notes


def test_an_archive_may_hold_classes_and_another_table_may_be_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=K, x_test=X + 1)
    check_is(td.load_points(tmp_path / "a.npz"), K, ("0", "1", "2"))
    check_is(td.load_points(tmp_path / "a.npz", array="x_train"), K, ("0", "1", "2"))
    other = td.load_points(tmp_path / "a.npz", array="x_test")
    np.testing.assert_allclose(other.restore(other.x), X + 1)


@pytest.mark.parametrize(
    ("arrays", "options", "says"),
    [
        ({"a": X, "b": X}, {}, r"a.npz: which array has the points\? --array says it; it holds a \(4, 2\), b \(4, 2\)"),
        ({"a": X[0]}, {}, "--array says it"),
        ({"a": X}, {"array": "b"}, r"there is no array 'b'; it holds a \(4, 2\)"),
        ({"a": X.astype(str)}, {}, "must hold real numbers; got <U"),
        ({"a": X[None]}, {}, r"must hold points \(N, D\); its shape is \(1, 4, 2\)"),
        ({"a": np.array([[X, None]], dtype=object)}, {}, "is not a whole .npz file"),
    ],
)
def test_an_archive_that_does_not_say_which_or_has_none_is_refused(tmp_path, arrays, options, says):
    """No pickle is loaded."""
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=says) as error:
        td.load_points(tmp_path / "a.npz", **options)
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_file_of_arrow(tmp_path, kind):
    arrow = pytest.importorskip("pyarrow")
    write = {
        "parquet": lambda table, path: pytest.importorskip("pyarrow.parquet").write_table(table, path),
        "feather": lambda table, path: pytest.importorskip("pyarrow.feather").write_feather(table, path),
    }[kind]
    table = arrow.table({"a": X[:, 0], "kind": WORDS.tolist(), "b": X[:, 1].tolist()})
    write(table, path := str(tmp_path / f"mine.{kind}"))
    data = td.load_points(path)
    check_is(data, [2, 1, 1, 0], ("ape", "cat", "dog"))
    assert data.names == ("a", "b")
    for columns, says in (
        ({"a": [1.0, None, 2.0], "b": [1, 2, 3]}, "row 1, column 'a' has no value: --drop-missing"),
        ({"a": [1.0, 5.0], "when": np.array(["2024", "2025"], "M8[s]")}, "column 'when' holds no numbers but datetime"),
    ):
        write(arrow.table(columns), path)
        with pytest.raises(ValueError, match=says):
            td.load_points(path)
    with open(path, "wb") as file:
        file.write(b"PAR1 and no more")
    with pytest.raises(ValueError, match=f"mine.{kind}"):
        td.load_points(path)


class DataFrame:
    """What data frames have in common."""

    def __init__(self, **columns):
        self.columns, self.of = list(columns), columns

    def __getitem__(self, name):
        return self.of[name]


def test_a_data_frame(tmp_path):
    frame = DataFrame(a=X[:, 0], target=K, b=np.array([*map(str, X[:, 1])], object).astype(float))
    check_is(td.load_points(frame), K, ("0", "1", "2"))
    assert td.load_points(frame).names == ("a", "b")
    words = td.load_points(DataFrame(a=X[:, 0], kind=WORDS, b=X[:, 1]))
    check_is(words, [2, 1, 1, 0], ("ape", "cat", "dog"))
    arrow = pytest.importorskip("pyarrow")
    check_is(td.load_points(arrow.table({"a": X[:, 0], "b": X[:, 1]})))


def test_a_data_set_of_scikit_learn():
    bunch = {"data": X, "target": K, "feature_names": ["a", "b"], "target_names": np.array(["ape", "bee", "cat"])}
    data = td.load_points(bunch)
    check_is(data, K, ("ape", "bee", "cat"))
    assert data.names == ("a", "b")
    check_is(td.load_points({"data": X}))
    check_is(td.load_points(bunch | {"target_names": ["two", "names"]}), K, ("0", "1", "2"))
    with pytest.raises(ValueError, match="the data: 4 points have 3 labels"):
        td.load_points({"data": X, "target": K[:3]})


def test_an_array_or_lists_of_rows():
    check_is(td.load_points(X))
    check_is(td.load_points(X.tolist()))
    for wrong, says in (
        (X[0], r"must hold points \(N, D\)"),
        ([["a"]], "real numbers"),
        (None, "real numbers"),
        ([[1, 2], [3]], "rows must be of one length"),
        ([], r"must hold points \(N, D\)"),
    ):
        with pytest.raises(ValueError, match=f"the data: .*{says}"):
            td.load_points(wrong)


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;b\n1,5;2\n2,5;7\n3,5;1\n"), encoding="utf-8"))
    data = td.load_points("-")
    assert data.restore(data.x).tolist() == [[1.5, 2], [2.5, 7], [3.5, 1]]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b""), encoding="utf-8"))
    with pytest.raises(ValueError, match="standard input: it holds no numbers"):
        td.load_points("-")


def test_an_option_that_does_not_exist_or_is_not_allowed_is_named():
    with pytest.raises(TypeError, match="load_points has no option 'sep'; its options are header, separator"):
        td.load_points(X, sep=";")
    with pytest.raises(ValueError, match=r"separator must be one of 'guess', ',', ';', '\|', 'tab', 'space'; got 'x'"):
        td.load_points(X, separator="x")
    for options, says in (
        ({"drop": 3}, "drop must be the names of columns; got 3"),
        ({"drop": None}, "drop must be the names of columns; got None"),
        ({"keep_index": 2}, "keep_index must be True or False; got 2"),
        ({"drop_missing": "yes"}, "drop_missing must be True or False; got 'yes'"),
        ({"array": "x"}, "the data: --array is for .npz files"),
        ({"decimal": ","}, "the data: --decimal is for tables in text"),
    ):
        with pytest.raises(ValueError, match=says):
            td.load_points(X, **options)
    with pytest.raises(ValueError, match="there is no column 'z' to drop: the columns are 'a', 'b'"):
        td.load_points(DataFrame(a=X[:, 0], b=X[:, 1]), drop="z")


def test_a_frame_of_any_library_is_read_by_the_interchange_protocol():
    """As long as it says what it holds by ``__dataframe__``."""
    table = pytest.importorskip("pyarrow").table({"a": X[:, 0], "b": X[:, 1], "kind": WORDS})

    class Other:
        def __dataframe__(self, nan_as_null=False, allow_copy=True):
            return table.__dataframe__(nan_as_null, allow_copy)

    data = td.load_points(Other())
    check_is(data, np.searchsorted(("ape", "cat", "dog"), WORDS), ("ape", "cat", "dog"))
    assert data.names == ("a", "b")


def test_constant_columns_are_put_back_in_their_places():
    """As many as they are, and in the middle of the others; arrays of any dtype."""
    whole = np.stack([np.full(4, 7.0), X[:, 0], np.zeros(4), np.zeros(4), X[:, 1], np.full(4, -1.0)], axis=1)
    data = td.load_points(whole)
    assert data.x.shape == (4, 2)
    assert data.notes == ("constant, so not learned but put back in samples: 1 = 7, 3 = 0, 4 = 0 and 1 more",)
    np.testing.assert_allclose(data.restore(data.x), whole, rtol=1e-14, atol=1e-14)
    restored = data.restore(data.x.astype(np.float32))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "note"),
    [
        (1e10 + np.linspace(-0.5, 0.5, 100), ""),
        (1.7e18 + 1e9 * np.linspace(-1, 1, 100), "the columns differ in scale by more than a million"),
        (1e15 + np.arange(100.0), "has only 792 numbers of float64 from its least to its greatest"),
        (np.append(np.linspace(-1, 1, 4000), 1e5), "deviations from its mean: such tails are learned badly"),
    ],
)
def test_what_float64_holds_is_read_and_what_is_odd_is_said(column, note):
    data = td.load_points(np.stack([column, np.cos(np.arange(len(column)))], axis=1))
    assert data.x.shape[1] == 2
    assert (not data.notes) if not note else note in "; ".join(data.notes)
    np.testing.assert_allclose(data.restore(data.x)[:, 0], column, rtol=1e-12, atol=1e-15 * np.max(np.abs(column)))


def test_kaggles_digits_are_one_line_of_constants_and_not_an_error_a_column(tmp_path):
    """Pixels of the border never change; the label comes first."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((50, 64), int)
    pixels[:, 20:30] = rng.integers(0, 256, (50, 10))
    text = "label," + ",".join(f"pixel{i}" for i in range(64)) + "\n"
    text += "".join(",".join(map(str, [k % 10, *row])) + "\n" for k, row in enumerate(pixels.tolist()))
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    data = td.load_points(tmp_path / "train.csv")
    assert (data.x.shape, len(data.constants), data.classes) == ((50, 10), 54, tuple("0123456789"))
    assert len(data.notes) == 2
    np.testing.assert_allclose(data.restore(data.x), pixels, atol=1e-10)
    assert read_points(tmp_path / "train.csv").names[20] == "pixel20"
