"""What is missing is drawn, in the user's units and under the user's names, and what is known stays.

The table is length and weight, weight = 0.8 length − 80 + 3 n, so that what must come out is known.
"""

import csv
import re

import matplotlib.image
import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.config import Config, UsageError, recipe
from tinydiff.app.directory import Run
from tinydiff.app.inpainting import Inpaint, fill

SHORT = {"width": 16, "blocks": 2, "save_every": 1000}


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return str(path)


def read_table(path):
    """The names and the numbers of a file that was written."""
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    return names, np.array(rows, float)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inpaint")


@pytest.fixture(scope="module")
def table(folder, train_run):
    """A run on a table with names, and labels that it does not learn; the file has gone since."""
    rng = np.random.default_rng(0)
    length = 180 + 10 * rng.standard_normal(3000)
    weight = 0.8 * length - 80 + 3 * rng.standard_normal(3000)
    points = np.stack([length, weight, length > 180], axis=1)
    name = write(
        folder / "mine.csv", "Length,weight,LABEL\n" + "".join("{:.2f},{:.2f},{:.0f}\n".format(*p) for p in points)
    )
    config = {"process": "cosine", "steps": 400, "batch": 256, **SHORT}
    train_run(folder / "classes", Config(name, conditional=True, **config | {"steps": 30}))
    run = train_run(folder / "table", Config(name, **config))
    (folder / "mine.csv").unlink()
    return run.path


@pytest.fixture(scope="module")
def pictures(folder, train_run):
    """A run on 40 pictures of 6 × 4 pixels from 3 to 12."""
    np.save(folder / "pictures.npy", np.random.default_rng(0).permutation(40 * 24).reshape(40, 6, 4) % 10 + 3)
    config = {**recipe(str(folder / "pictures.npy")).__dict__, "steps": 2, "batch": 8, **SHORT}
    return train_run(folder / "of_pictures", Config(**config)).path


def filled(run, *known, **options):
    return fill(Inpaint(run, tuple(map(str, known)), **{"steps": 5, "resamples": 2} | options))


def test_the_other_columns_are_drawn_given_coordinates(table, tmp_path):
    """In the mean and spread of the regression, under the user's names; the known one stays to the last bit."""
    x = filled(table, "weight=70.1", n=400, steps=25, resamples=10, out=tmp_path / "x.csv")
    assert np.all(x[:, 1] == 70.1)
    slope = 0.8 * 100 / (0.64 * 100 + 9)
    np.testing.assert_allclose(np.mean(x[:, 0]), 180 + slope * (70.1 - 64), atol=1.5)
    np.testing.assert_allclose(np.std(x[:, 0]), np.sqrt(100 - slope * 80), rtol=0.3)
    names, rows = read_table(tmp_path / "x.csv")
    assert names == ["Length", "weight"]
    np.testing.assert_array_equal(rows, x)


@pytest.mark.parametrize("method", ["repaint", "mmps", "pigdm"])
def test_gaps_of_a_table_are_filled(table, tmp_path, method):
    """Row by row and draw by draw, columns by their names; what is known stays, or within a few tau of noise."""
    rows = [[60.5, np.nan], [np.nan, 171.25], [70, 190], [np.nan, np.nan], [np.nan, 200]]
    gaps = write(tmp_path / "gaps.csv", "weight,Length\n60.5,\n NaN ,171.25\n70,190\n,NA\n,200\n")
    x = filled(table, gaps, n=3, method=method, tau=0.1, steps=20, out=tmp_path / "full.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "full.npy"), x)
    assert x.shape == (15, 2)
    assert np.all(np.isfinite(x))
    known = np.repeat(rows, 3, axis=0)[:, ::-1]
    np.testing.assert_array_equal(x[6:9], known[6:9])
    off = (x - known)[~np.isnan(known)] / 10  # both columns have a deviation of about 10
    assert np.max(np.abs(off)) == 0 if method == "repaint" else 0 < np.max(np.abs(off)) < 0.6
    assert len(np.unique(x[:3, 0])) == 3


def test_a_table_may_lack_columns_or_names(table, tmp_path):
    lacking = filled(table, write(tmp_path / "a.csv", "weight\n70\n60\n"))
    whole = filled(table, write(tmp_path / "b.csv", ",70\n,60\n"))
    np.testing.assert_array_equal(lacking, whole)
    np.testing.assert_array_equal(whole[:, 1], [70, 60])
    assert (table / "inpainted.csv").is_file()


def test_a_run_without_names_has_those_that_sample_writes(folder, train_run, tmp_path):
    np.save(folder / "points.npy", np.random.default_rng(1).standard_normal((50, 3)) * [1, 2, 3])
    run = train_run(folder / "nameless", Config(str(folder / "points.npy"), steps=2, batch=8, **SHORT))
    x = filled(run.path, "x2=1.5", out=tmp_path / "x.csv")
    assert x[0, 2] == 1.5
    assert read_table(tmp_path / "x.csv")[0] == ["x0", "x1", "x2"]


def test_labels_count_in_a_conditional_run(folder, table, tmp_path):
    """One for all by --label, or each its own by a column, −1 where it is empty; they are written too."""
    run = folder / "classes"
    rows = write(tmp_path / "rows.csv", "weight,label\n70,0\n70,1\n70,\n")
    x = filled(run, rows, out=tmp_path / "x.csv")
    names, back = read_table(tmp_path / "x.csv")
    assert names == ["Length", "weight", "label"]
    np.testing.assert_array_equal(back[:, 2], [0, 1, -1])
    filled(run, rows, n=2, out=tmp_path / "x.csv")
    np.testing.assert_array_equal(read_table(tmp_path / "x.csv")[1][:, 2], [0, 0, 1, 1, -1, -1])
    np.testing.assert_array_equal(filled(run, "weight=70", "label=1", n=3)[:, 1], 70)
    of = [
        filled(run, write(tmp_path / "same.csv", "weight\n70\n70\n70\n"), label=label)
        for label in ("0", "1", "-1", None)
    ]
    for i in range(3):
        np.testing.assert_allclose(of[i][i], x[i], rtol=1e-6)
    np.testing.assert_allclose(of[2], of[3], rtol=1e-6)
    assert np.all(of[0][:, 0] != of[1][:, 0])


@pytest.mark.parametrize("method", ["repaint", "mmps"])
def test_the_seed_decides(table, method):
    one, again, other = (filled(table, "Length=175", n=4, method=method, seed=seed)[:, 1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert np.all(one != other)


def test_the_methods_options_reach_them(table):
    """Each changes what is drawn, and that of the other method does not."""
    for method, reaches, idle in (("repaint", "resamples", "tau"), ("mmps", "tau", "resamples")):
        values = {"resamples": 4, "tau": 0.3}
        x, same, moved = (
            filled(table, "Length=175", method=method, **options)
            for options in ({}, {idle: values[idle]}, {reaches: values[reaches]})
        )
        np.testing.assert_array_equal(x, same)
        assert np.any(x != moved)


# Pictures


def image(path, grey):
    """An image file of these grey values from 0 to 1; RGB, as painting programs write."""
    matplotlib.image.imsave(path, np.repeat(np.asarray(grey, float)[:, :, None], 3, axis=2))
    return str(path)


def test_a_mask_is_a_picture_or_coordinates(pictures, tmp_path):
    """Black is missing; rows and columns from one on to before another. A .npy file may have NaN in their place."""
    data = np.load(pictures.parent / "pictures.npy")[:1].astype(float)
    np.save(tmp_path / "one.npy", data[0])
    white = np.ones((6, 4))
    white[2:5, 1:3] = 0.2
    of = tmp_path / "of.npy"
    x = filled(pictures, tmp_path / "one.npy", mask=image(tmp_path / "m.png", white), out=of)
    np.testing.assert_array_equal(x, filled(pictures, tmp_path / "one.npy", mask="2:5,1:3"))
    np.save(tmp_path / "holes.npy", np.where(white > 0.5, data, np.nan))
    np.testing.assert_array_equal(x, filled(pictures, tmp_path / "holes.npy"))
    assert np.load(of).shape == (1, 6, 4)
    np.testing.assert_array_equal(np.load(of) == data, [white > 0.5])
    assert matplotlib.image.imread(of.with_suffix(".png")).size > 1000


def test_an_image_is_black_at_the_least_value_of_the_data(pictures, tmp_path):
    """So a photograph of 8 bits, 0 to 255, is in the data's units, here 3 to 12."""
    grey = np.linspace(0, 1, 24).reshape(6, 4)
    x = filled(pictures, image(tmp_path / "g.png", grey), mask="0:1,0:1", n=2)
    np.testing.assert_allclose(x[:, 1:], np.tile(3 + 9 * grey.ravel()[1:], (2, 1)), atol=9 / 255)


def test_a_picture_that_the_run_was_not_trained_on_is_named_by_its_number(pictures):
    data, unseen = np.load(pictures.parent / "pictures.npy").reshape(40, -1), 3
    x = filled(pictures, unseen, mask="3:6,0:4", method="mmps", tau=0.5)
    assert np.min(np.mean(np.abs(data[:, :12] - x[:, :12]), axis=1)) < 4
    x = filled(pictures, unseen, mask="3:6,0:4")
    assert np.sum(np.all(np.abs(data[:, :12] - x[:, :12]) < 1e-5, axis=1)) == 1


# What can go wrong


@pytest.mark.parametrize(
    ("code", "known", "says"),
    [
        (2, "size=3", "the run's data have the columns Length, weight; got size"),
        (2, "weight=70 weight=71", "columns Length, weight; got weight, weight"),
        (2, "weight=", "nothing is known"),
        (2, "weight=nan", "'nan' is no number"),
        (2, "weight=heavy", "--known weight=heavy: 'heavy' is no number"),
        (2, "weight=inf", "--known weight=inf: 'inf' is no number"),
        (2, "weight=70 Length=180", "nothing is missing: leave gaps, or give a --mask"),
        (2, "weight=7000", "7000 is far from all of the run's data: is it in their units?"),
        (2, "weight=70 --mask 0:1,0:1", "--mask is for pictures"),
        (2, "weight=70 --label 1", "trained without labels: leave out --label, and a column label"),
        (2, "weight=70 --out x.txt", r"--out must be a \.npy or \.csv file; got x.txt"),
        (2, "weight=70 --tau 0", "--tau"),
        (2, "weight=70 --method magic", "magic"),
        (1, "nothing.csv", "nothing.csv"),
        (2, "three.csv", r"have the columns Length, weight; got Length, weight, \(1, 3\)"),
        (2, "words.csv", "have the columns Length, weight; got Length, weight"),
        (2, "empty.csv", "nothing is known"),
        (2, "labels.csv", "trained without labels: leave out --label, and a column label"),
        (1, "halves.csv", "halves.csv: line 2, column 'label' is no class: 0.5"),
    ],
)
def test_what_goes_wrong_with_a_table_is_one_line(table, tmp_path, monkeypatch, capsys, code, known, says):
    monkeypatch.chdir(tmp_path)
    contents = {"three": "1,,3", "words": "weight,Length\nmuch,3", "empty": "weight", "labels": "weight,label\n70,1"}
    for name, content in (contents | {"halves": "weight,label\n70,0.5"}).items():
        write(tmp_path / f"{name}.csv", content + "\n")
    check_fails(capsys, code, [str(table), "--known", *known.split()], says)


@pytest.mark.parametrize(
    ("code", "known", "says"),
    [
        (2, "0", "nothing is missing: leave gaps, or give a --mask"),
        (2, "0 --mask 6:9,0:4", "nothing is missing: the --mask 6:9,0:4 hides no pixel"),
        (2, "0 --mask 0:6,0:4", "nothing is known"),
        (2, "99 --mask 0:1,0:4", r"there are \d+ unseen pictures, the first of them 0; got 99"),
        (2, "0 --mask wide.png", r"wide.png has \(6, 5\) pixels, and the run's pictures have \(6, 4\)"),
        (2, "wide.png --mask 0:1,0:4", r"wide.png has \(6, 5\) pixels"),
        (1, "0 --mask none.png", "none.png"),
        (1, "0 --mask text.png", "text.png"),
        (2, "big.npy --mask 0:1,0:4", "is far from all of the run's data"),
        (2, "infinite.npy --mask 0:1,0:4", "inf is far from all"),
        (2, "0 --mask 0:1,0:4 --label 0", "trained without labels"),
    ],
)
def test_what_goes_wrong_with_a_picture_is_one_line(pictures, tmp_path, monkeypatch, capsys, code, known, says):
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "wide.png", np.ones((6, 5)))
    write(tmp_path / "text.png", "no picture")
    np.save(tmp_path / "big.npy", np.full((6, 4), 255))
    np.save(tmp_path / "infinite.npy", np.full((6, 4), np.inf))
    check_fails(capsys, code, [str(pictures), "--known", *known.split()], says)


def check_fails(capsys, code, arguments, says):
    """Exit code and one line, and nothing is written."""
    assert cli.main(["inpaint", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert re.search(says, line), line


def test_a_label_that_the_run_does_not_have_is_said(folder, table):
    with pytest.raises(UsageError, match="--label must be one of 0, 1, or -1 for no class; got '2'"):
        filled(folder / "classes", "weight=70", label="2")


def test_draws_that_are_not_finite_are_said(table, monkeypatch):
    load = Run.load

    def wild(run):
        trained = load(run)
        trained.model.theta[:] = 1e30
        return trained

    monkeypatch.setattr(Run, "load", wild)
    with pytest.raises(FloatingPointError, match="what repaint draws is not finite: take more --steps"):
        filled(table, "weight=70")


def test_the_command_takes_its_options():
    words = "inpaint there --known a=1 b=2 --n 5 --label -1 --method mmps --resamples 3 --tau 0.2 --steps 9 --seed 4"
    options = cli.parse(words.split())
    assert options == Inpaint(
        options.run, ("a=1", "b=2"), None, None, 5, "-1", "mmps", resamples=3, tau=0.2, steps=9, seed=4
    )
    with pytest.raises(UsageError, match="--known"):
        cli.parse(["inpaint", "there"])


def test_what_is_missing_is_not_a_number_of_a_file_to_train_on(tmp_path):
    """A table may have gaps where it is to be filled alone."""
    path = tmp_path / "gaps.csv"
    write(path, "a,b\n1,\n2,3\n")
    with pytest.raises(ValueError, match="line 2, column 'b' has no value"):
        td.load_points(path)
