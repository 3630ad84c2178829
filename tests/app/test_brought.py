"""What people bring beside plain tables: each read as they would read it."""

import io
import re
from decimal import Decimal

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.atoms import step_of
from tinydiff.app.read import read_points

N = 12
A = np.round(np.cos(np.arange(N)) * 3, 2)
B = np.round(np.sin(np.arange(N)) * 5, 2)


def rows(*columns, header="", separator=","):
    return header + "".join(separator.join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


def table(tmp_path, text, **options):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return td.load_points(path, **options)


def refused(tmp_path, text, says, **options):
    with pytest.raises(ValueError, match=says):
        table(tmp_path, text, **options)


# Text


def test_a_row_whose_first_cell_begins_with_a_hash_is_a_row(tmp_path):
    """Excel's errors are refused, colours are classes; comments, and rows that were commented out, are left out."""
    plain = rows(A, B, header="a,b\n")
    refused(tmp_path, plain + "#N/A,1\n", "line 14, column 'a' is no number: '#N/A'")
    refused(tmp_path, plain + "#DIV/0!,0.3\n", "line 14, column 'a' is no number: '#DIV/0!'")
    colours = table(tmp_path, rows(["#ff0000", "blue"] * 6, A, header="colour,a\n"))
    assert colours.classes == ("#ff0000", "blue")
    refused(
        tmp_path,
        plain.replace(",", ";").replace(".", ",") + "#WERT!;1,5\n",
        "line 14, column 'a' is no number: '#WERT!'",
    )
    refused(tmp_path, plain + "#N/A,#N/A\n", "line 14, column 'a' is no number: '#N/A'")
    for comment in ("# run 7, of 9", "#1.5,2.5", "#note"):
        data = table(tmp_path, plain + comment + "\n")
        assert data.x.shape == (N, 2)
        assert data.notes == ("1 lines that begin with # are left out",)
    colours = rows(["#123456", "#ff0000"] * 6, A, header="colour,a\n")
    refused(tmp_path, colours, "line 2, column 'colour' is no number: '#123456'")
    assert table(tmp_path, colours, labels="colour").classes == ("#123456", "#ff0000")
    kinds = rows(["u", "v"] * 6, A, B, header="kind,a,b\n")
    assert table(tmp_path, kinds + "#u,1.0,2.0\n").classes == ("u", "v")
    for comment in ("#, see paper\n", "#,,\n", "#,this file, was made\n"):
        assert table(tmp_path, comment + plain).names == ("a", "b")
    assert table(tmp_path, rows(range(1, N + 1), A, B, header="#\ta\tb\n", separator="\t")).names == ("a", "b")
    assert table(tmp_path, rows(range(1, N + 1), A, B, header="#,a,b\n")).names == ("a", "b")
    quoted = table(tmp_path, rows(['"one\n# two"', "three"] * 6, A, header="kind,a\n"))
    assert quoted.classes == ("one\n# two", "three")


@pytest.mark.parametrize("first", ["400.5,401.0,401.5", "-900,1e3,2000"])
def test_numbers_above_that_are_far_from_all_below_may_be_names(tmp_path, first):
    text = first + "\n" + rows(A, B, np.round(A * B, 2))
    refused(tmp_path, text, "may be names or a point: say which by --header")
    assert table(tmp_path, text, header="yes").x.shape == (N, 3)
    assert table(tmp_path, text, header="no").x.shape == (N + 1, 3)


@pytest.mark.parametrize("amount", ["{}%", "${}", "{} kg", "1'{}00", "0x{}", "{} Mar 2020"])
def test_amounts_are_no_classes(tmp_path, amount):
    column = [amount.format(10 + k % 3) for k in range(N)]
    refused(tmp_path, rows(column, A, header="p,a\n"), "line 2, column 'p' is no number: .*--labels 'p' takes it for")
    assert len(table(tmp_path, rows(column, A, header="p,a\n"), labels="p").classes) == 3


def test_a_comma_is_no_separator_where_it_is_the_decimal_mark(tmp_path):
    assert table(tmp_path, "1,5\n2,25\n3,5\n", decimal=",").restore(np.zeros((1, 1))).round(3) == 2.417
    refused(tmp_path, "1.234,2.512\n2.1,3.5\n", "no number", decimal=",")


def test_classes_keep_their_words(tmp_path):
    """With their leading zeros, also where letters come only late, and where a word says that there is nothing."""
    assert table(tmp_path, rows(["007", "010"] * 6, A, header="label,a\n")).classes == ("007", "010")
    late = ["1", "2"] * 150 + ["A", "B"]
    assert table(tmp_path, rows(late, range(302), header="label,a\n")).classes == ("1", "2", "A", "B")
    assert table(tmp_path, rows(late, range(302), header="code,a\n"), labels="code").classes == ("1", "2", "A", "B")
    assert table(tmp_path, rows(["none", "flu"] * 6, A, header="kind,a\n")).classes == ("flu", "none")
    refused(tmp_path, rows([str(2**62), str(2**62 + 1)] * 6, A, header="label,a\n"), "classes beyond 2⁵³")


def test_the_index_of_a_selection_is_left_out(tmp_path):
    chosen = [0, 3, 4, 9, 12, 20, 21, 22, 30, 31, 40, 57]
    data = table(tmp_path, rows(chosen, A, B, header=",a,b\n"))
    assert data.names == ("a", "b")
    assert data.notes == ("column 1 only numbers the rows: left out (--keep-index keeps it)",)
    assert table(tmp_path, rows(chosen, A, B, header=",a,b\n"), keep_index=True).x.shape == (N, 3)
    assert table(tmp_path, rows(chosen, A, B, header=",2001,2002\n")).names == ("2001", "2002")
    doses = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert table(tmp_path, rows(doses, A, header="no,yield\n")).names == ("no", "yield")
    assert table(tmp_path, rows(chosen, ["u", "v"] * 6, header="nr,kind\n")).names == ("nr",)


def test_the_first_of_a_series_is_no_name(tmp_path):
    """Nor a row that is there twice, nor the first of rows that are counted."""
    for count, text in (
        (N, rows(*[[f"{100 * 0.7**k * c:.2f}" for k in range(N)] for c in (1, 0.9)])),
        (N, rows([0, 1] * 6, [1, 0, 1] * 4)),
        (N, rows(range(N), [2, 0, 1] * 4)),
        (N + 1, "0,0\n" + rows(A + 100, B + 100)),
    ):
        assert len(table(tmp_path, text, keep_index=True).x) == count


def test_columns_without_a_name_of_their_own_get_one(tmp_path):
    """And the others keep theirs."""
    data = table(tmp_path, rows(A, B, A + B, header="a,,a\n"))
    assert data.names == ("a", "column 2", "a'")
    assert "columns without a name of their own are called 'column 2', \"a'\"" in data.notes


def test_tables_of_r_are_read(tmp_path):
    """Quoted, between spaces, with a name for each row, which is no column's."""
    text = '"a" "b"\n' + rows([f'"{k}"' for k in range(1, N + 1)], A, B, separator=" ")
    assert table(tmp_path, text).names == ("a", "b")
    assert table(tmp_path, rows(A, B, separator="   ", header='"a" "b c"\n')).names == ("a", "b c")


def test_a_column_without_any_value_is_said_to_be(tmp_path):
    text = rows(A, [""] * N, header="a,b\n")
    refused(tmp_path, text, "column 'b' has no value at all. --drop 'b'", drop_missing=True)
    assert table(tmp_path, text, drop=["b"]).x.shape == (N, 1)


# Frames and arrays


def test_what_is_masked_is_missing():
    masked = np.ma.masked_greater(np.stack([A, B], axis=1), 2.5)
    with pytest.raises(ValueError, match="has no value: --drop-missing"):
        td.load_points(masked)
    data = td.load_points(masked, drop_missing=True)
    assert len(data.x) == np.sum(~np.any(masked.mask, axis=1))
    assert np.max(data.restore(data.x)) < 2.5 + 1e-12


def test_classes_may_stand_beside_an_array():
    data = td.load_points(np.stack([A, B], axis=1), labels=["u", "v", "v"] * 4)
    assert data.classes == ("u", "v")
    assert td.load_points(Frame(a=A, b=B), labels=np.arange(N) % 2, drop=["a"]).names == ("b",)
    assert td.load_points({"data": np.stack([A, B], axis=1)}, labels=[1, 2] * 6).classes == ("1", "2")
    gap = np.ma.array(np.arange(N) % 3, mask=np.arange(N) % 3 == 2)
    with pytest.raises(ValueError, match="column 'label' has no value"):
        td.load_points(np.stack([A, B], axis=1), labels=gap)
    for wrong in (np.zeros((N, 1)), True, [[1], [1, 2]] * 6, [10**400] * N):
        with pytest.raises(ValueError, match=r"the data: labels must be a class for each point, \(N,\); got"):
            td.load_points(np.stack([A, B], axis=1), labels=wrong)


@pytest.mark.parametrize("kind", ["table", "parquet", "feather"])
def test_arrow_says_what_is_missing_and_leaves_out_what_it_is_told_to(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    def of(**columns):
        made = pa.table(columns)
        if kind == "table":
            return made
        path = tmp_path / f"mine.{kind}"
        parquet.write_table(made, path) if kind == "parquet" else feather.write_feather(made, path)
        return path

    words = pa.array(["u", None, "v"] * 4).dictionary_encode()
    with pytest.raises(ValueError, match="row 1, column 'k' has no value"):
        td.load_points(of(a=A, k=words))
    data = td.load_points(of(a=A, k=words), drop_missing=True)
    assert (len(data.x), data.classes) == (8, ("u", "v"))
    for odd in (pa.array([[1, 2]] * N), pa.array(np.arange(N), pa.timestamp("s")), pa.array([{"u": 1}] * N)):
        with pytest.raises(ValueError, match=r"column 'odd' holds no numbers but .* --drop 'odd' leaves it out"):
            td.load_points(of(a=A, odd=odd))
        assert td.load_points(of(a=A, odd=odd), drop=["odd"]).x.shape == (N, 1)
    prices = td.load_points(of(a=pa.array([Decimal(f"{k}.50") for k in range(N)]), b=pa.array([f"{k / 4}" for k in A])))
    np.testing.assert_allclose(prices.restore(prices.x), np.stack([np.arange(N) + 0.5, A / 4], axis=1), atol=1e-12)
    assert td.load_points(of(a=A, label=pa.array([True, False] * 6))).classes == ("False", "True")


class NAType:
    """What pandas puts where there is no value: neither true nor false, nor equal to itself."""

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __ne__(self, other):
        return self


class Frame(dict):
    columns = property(list)


def test_pandas_own_missing_value_is_missing():
    frame = Frame(a=A, kind=np.array(["u", NAType(), "v"] * 4, object))
    with pytest.raises(ValueError, match="column 'kind' has no value"):
        td.load_points(frame)
    assert td.load_points(frame, drop_missing=True).classes == ("u", "v")


def test_the_sets_of_scikit_learn():
    """Names may be an array; a target of numbers or of several columns is no class, which is said."""
    bunch = {"data": np.stack([A, B], axis=1), "feature_names": np.array(["a", "b"]), "target": np.arange(N) % 2}
    data = td.load_points(bunch | {"target_names": np.array(["ill", "well"])})
    assert (data.names, data.classes) == (("a", "b"), ("ill", "well"))
    for target in (A / 7, np.zeros((N, 3))):
        data = td.load_points(bunch | {"target": target})
        assert data.labels is None
        assert "the target has no classes: left out" in data.notes


@pytest.mark.parametrize("error", [TypeError, KeyError, RuntimeError, AttributeError])
def test_what_cannot_be_an_array_is_one_sentence(error):
    class Odd:
        def __array__(self, dtype=None, copy=None):
            raise error("not today")

    with pytest.raises(ValueError, match=f"a Odd cannot be read as a table: {error.__name__}: .*not today"):
        td.load_points(Odd())


# Images


def test_images_are_what_one_sees(tmp_path):
    """Sixteen bits stay; what is transparent is white; what a camera turned is turned back; hidden files are none."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "deep").mkdir()
    deep = (np.arange(2 * 12).reshape(2, 3, 4) * 2700).astype(np.uint16)
    for i, pixels in enumerate(deep):
        image.fromarray(pixels).save(tmp_path / "deep" / f"{i}.png")
    (tmp_path / "deep" / "._0.png").write_bytes(b"a Macintosh was here")
    (tmp_path / "deep" / ".ipynb_checkpoints").mkdir()
    data = td.load_pictures(tmp_path / "deep")
    np.testing.assert_allclose(data.restore(data.x).reshape(deep.shape), deep, atol=0.01)
    image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "deep" / "2.png")
    with pytest.raises(
        ValueError, match=r"all images must have as many bits a pixel: .*0\.png has uint16, .*2\.png uint8"
    ):
        td.load_pictures(tmp_path / "deep")
    (tmp_path / "drawn").mkdir()
    ink = np.zeros((5, 5, 4), np.uint8)
    ink[2, :, 3] = 255
    for i in range(2):
        image.fromarray(ink).save(tmp_path / "drawn" / f"{i}.png")
    x = td.load_pictures(tmp_path / "drawn").x[0].reshape(5, 5)
    assert np.all(x[2] == -1)
    assert np.all(np.delete(x, 2, axis=0) == 1)
    (tmp_path / "turned").mkdir()
    for i in range(2):
        made = image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
        exif = made.getexif()
        exif[0x0112] = 6  # a quarter turn
        made.save(tmp_path / "turned" / f"{i}.png", exif=exif)
    assert td.load_pictures(tmp_path / "turned").picture == (4, 3)


# Nothing is lost


def test_no_command_replaces_what_it_reads(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text(rows(*np.random.default_rng(0).random((2, 50)).round(4)), encoding="utf-8")
    before = (tmp_path / "mine.csv").read_bytes()
    short = ["--steps", "4", "--batch", "16", "--width", "4", "--blocks", "1"]
    assert cli.main(["train", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "run"), *short]) == 0
    assert "50 points of 2 columns, 5 of them kept unseen" in capsys.readouterr().err
    (tmp_path / "gaps.csv").write_text("x0,x1\n,0.5\n", encoding="utf-8")
    for words in (
        ["sample", str(tmp_path / "run"), "--out", str(tmp_path / "mine.csv")],
        ["inpaint", str(tmp_path / "run"), "--known", "x0=1", "--out", str(tmp_path / "mine.csv")],
        ["inpaint", str(tmp_path / "run"), "--known", str(tmp_path / "gaps.csv"), "--out", str(tmp_path / "gaps.csv")],
        ["inpaint", str(tmp_path / "run"), "--known", str(tmp_path), "--out", str(tmp_path / "x.csv")],
    ):
        assert cli.main(words) == 2
        assert "which is read: choose another." in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"mine": 1}', encoding="utf-8")
    assert cli.main(["train", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "other"), *short]) == 1
    assert "config.json is not of a run" in capsys.readouterr().err


def test_a_pipe_that_failed_may_be_tried_again(tmp_path, monkeypatch, capsys):
    short = ["--steps", "4", "--batch", "16", "--width", "4", "--blocks", "1"]
    for count, code in ((3, 1), (50, 0)):
        raw = rows(*np.random.default_rng(0).random((2, count)).round(4)).encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
        assert cli.main(["train", "-", "--out", str(tmp_path / "run"), *short]) == code
    assert re.search("has 3 points: a run needs 40", capsys.readouterr().err)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("step", [0.01, 0.1, 0.25, 1.0])
def test_the_step_of_prices_is_a_cent(step, dtype, rng):
    """To the last digit, though not all prices occur, in either precision."""
    values = np.unique((rng.integers(0, 5000, 1000) * step).astype(dtype).astype(float))
    assert step_of(values) == step
    assert step_of(np.array([0.0, 21.0, 43.0])) == 1
    assert step_of(np.array([0.0, 1.0, 2.0, 5.0]) / 3) == pytest.approx(1 / 3, rel=1e-15)
    assert step_of(np.unique(rng.standard_normal(200))) is None


def test_names_with_an_equals_sign_are_known(tmp_path):
    text = rows(*np.random.default_rng(0).random((2, 50)).round(4), header='"b=c","a,d"\n')
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    short = ["--steps", "4", "--batch", "16", "--width", "4", "--blocks", "1"]
    assert cli.main(["train", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "run"), *short]) == 0
    out = tmp_path / "x.csv"
    words = ["--steps", "3", "--resamples", "1", "--out", str(out)]
    assert cli.main(["inpaint", str(tmp_path / "run"), "--known", "a,d=1_0", *words]) == 2
    for known, column in (("b=c=0.5", 0), ("a,d=0.25", 1)):
        assert cli.main(["inpaint", str(tmp_path / "run"), "--known", known, *words]) == 0
        assert read_points(out).x[0, column] == float(known.rpartition("=")[2])
