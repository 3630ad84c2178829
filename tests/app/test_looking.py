"""`tinydiff look`: what is printed and drawn is what would be learned."""

import re

import numpy as np
import pytest

from tinydiff import plotting
from tinydiff.app import cli


def look(capsys, *words):
    code = cli.main(["look", *map(str, words)])
    return code, *capsys.readouterr()


def test_it_shows_each_column_the_classes_what_was_guessed_and_a_picture(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text(
        ";height;width;kind\n0;1,5;7;cat\n1;2,5;7;dog\n2;4,5;7;cat\n3;0,5;7;cat\n4;1;7;dog\n", encoding="utf-8"
    )
    code, out, err = look(capsys, tmp_path / "mine.csv", "--out", tmp_path / "a" / "seen.png")
    assert (code, err) == (0, "")
    for words in (
        "│ height ",
        " 4.5 │",
        "│ class dog ",
        "5 points of 2 columns; decimal commas; column 1 only counts the rows",
        "constant, so not learned but put back in samples: 'width' = 7",
        "label column 'kind': 2 classes",
    ):
        assert words in out, words
    assert (tmp_path / "a" / "seen.png").read_bytes()[1:4] == b"PNG"
    code, out, _ = look(
        capsys, tmp_path / "mine.csv", "--labels", "none", "--drop", "kind", "--keep-index", "--out", tmp_path / "b.png"
    )
    assert "5 points of 3 columns" in out
    assert "class" not in out


def test_what_cannot_be_read_is_one_line(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n3,x\n", encoding="utf-8")
    np.save(tmp_path / "pictures.npy", np.arange(48.0).reshape(3, 4, 4))
    for name, exit_code, says in (
        ("mine.csv", 1, "line 3, column 'b'"),
        ("pictures.npy --header yes", 2, "--header is for tables; "),
        ("pictures.npy --labels mine.csv", 1, "pictures and labels come from a .npy file or an IDX file"),
        ("none.csv", 1, "none.csv"),
    ):
        name, *options = name.split()
        code, out, err = look(capsys, tmp_path / name, *options, "--out", tmp_path / "a.png")
        assert (code, out) == (exit_code, "")
        assert says in err
        assert err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_pictures_are_counted_by_class_and_shown(tmp_path, capsys, rng):
    def idx(name, array):
        head = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (tmp_path / name).write_bytes(head + array.astype(np.uint8).tobytes())

    idx("train-images-idx3-ubyte", rng.permutation(np.arange(7 * 20) % 256).reshape(7, 4, 5))
    idx("train-labels-idx1-ubyte", np.array([0, 2, 1, 0, 0, 2, 1]))
    code, out, err = look(capsys, tmp_path / "train-images-idx3-ubyte", "--out", tmp_path / "a.png")
    assert (code, err) == (0, "")
    assert "7 pictures of 5 × 4 pixels, from 0 to 139; 3 classes." in out
    assert re.findall(r"class (\d) *│ *(\d) │", out) == [("0", "3"), ("1", "2"), ("2", "2")]
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize("dim", [1, 2, 5, 9])
@pytest.mark.parametrize("labelled", [False, True])
def test_pairs_of_up_to_five_columns_are_drawn_below_the_diagonal(rng, dim, labelled):
    x, labels = rng.standard_normal((30, dim)), np.arange(30) % 3
    figure = plotting.pairs(x, [f"c{i}" for i in range(dim)], labels if labelled else None, ("a", "b", "c"))
    count = min(dim, 5)
    seen = [ax for ax in figure.axes if ax.get_visible()]
    assert len(seen) == count * (count + 1) // 2 + labelled
    clouds = [ax.collections[0].get_offsets() for ax in seen if ax.collections]
    expected = [x[:, [j, i]] for i in range(count) for j in range(i)]
    assert len(clouds) == len(expected)
    for cloud in clouds:
        assert any(np.array_equal(cloud, pair) for pair in expected)
    if labelled:
        (bars,) = [ax for ax in seen if ax.get_title() == "number of points"]
        assert [bar.get_height() for bar in bars.patches] == [10, 10, 10]


@pytest.mark.parametrize(
    ("x", "options", "says"),
    [
        (None, {}, r"points \(N, D\)"),
        (np.zeros(3), {}, r"got shape \(3,\)"),
        (np.zeros((0, 2)), {}, r"got shape \(0, 2\)"),
        ([[1.0, np.nan]], {}, "finite"),
        (np.eye(3), {"labels": [0, 1]}, r"whole numbers, 0 or more, \(3,\); got \[0, 1\]"),
        (np.eye(3), {"labels": [0, -1, 1]}, "0 or more"),
        (np.eye(3), {"names": ["a"]}, "a name for each coordinate; got 5, 1 names"),
        (np.eye(3), {"most": 0}, "most must be 1 or more"),
    ],
)
def test_what_is_no_points_is_refused(x, options, says):
    with pytest.raises(ValueError, match=says):
        plotting.pairs(x, **options)
