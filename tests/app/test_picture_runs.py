"""A run on pictures of one's own through the command line, from a file to samples, with labels and without."""

import json
import re

import matplotlib.image
import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli, pictures, runs
from tinydiff.app.config import UsageError, open_parts
from tinydiff.app.directory import Run
from tinydiff.app.sampling import WEIGHTS

SHORT = ["--steps", "6", "--batch", "16", "--width", "8", "--blocks", "1", "--save-every", "3"]
FIGURES = {
    True: {*(f"pictures-w{w:g}.png" for w in WEIGHTS), "pictures-nearest.png", "training.png"},
    False: {"pictures.png", "pictures-nearest.png", "training.png"},
}


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"STEPS": 10, "JUDGE_STEPS": 20, "ENDS": (0.0, 2.0)}.items():
            patch.setattr(pictures, name, value)
        yield


def succeeds(*arguments):
    assert cli.main(tuple(map(str, arguments))) == 0


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "labelled"])
def run(request, tmp_path_factory):
    """A run on 40 pictures of 6 × 6 pixels from 3 to 12, and what it was trained with."""
    folder = tmp_path_factory.mktemp("pictures")
    np.save(folder / "mine.npy", np.random.default_rng(0).permutation(40 * 36).reshape(40, 6, 6) % 10 + 3)
    np.save(folder / "labels.npy", np.arange(40) % 3)
    labels = ["--conditional", "--labels", folder / "labels.npy"] if request.param else []
    start = ["train", folder / "mine.npy", *labels, *SHORT]
    succeeds(*start, "--out", folder / "run")
    return Run.open(folder / "run"), start, request.param


def test_a_report_is_left_with_its_figures_and_made_again(run, capsys):
    run, _, labelled = run
    path, drawn = run.path / "report.json", run.path / "pictures-nearest.png"
    first = json.loads(path.read_text(encoding="utf-8"))
    assert set(first["figures"]) == FIGURES[labelled]
    assert all((run.path / name).stat().st_size > 1000 for name in first["figures"])
    for name in ("judge_accuracy", "frechet", "agreement"):
        assert (name in first) == labelled
    assert 2 < first["bits_per_dim"] < 10  # of ten levels, the least is ln 10/ln 2 where nothing is learned
    assert all(np.isfinite(value) for value in first.values() if isinstance(value, float))
    drawn.unlink()
    succeeds("evaluate", run.path)
    assert json.loads(path.read_text(encoding="utf-8")) == first
    assert drawn.exists()
    assert str(drawn) in capsys.readouterr().out


def test_the_model_is_of_the_nine_tenths_and_knows_the_picture(run):
    run, _, labelled = run
    trained = run.load()
    assert trained.picture == (6, 6)
    assert trained.model.network == td.Mixer((6, 6), 2, 8, 1, 3 if labelled else 0)
    assert (trained.shift, trained.scale) == (7.5, 4.5)
    assert run.config.labels == (str(run.path.parent / "labels.npy") if labelled else None)


@pytest.fixture
def unreported(monkeypatch):
    """Runs end without a report, for a test that does not look at it."""
    monkeypatch.setattr(runs, "measure", lambda run, trained, *rest: {"figures": []})
    monkeypatch.setattr(runs, "table", str)


def test_resumed_it_ends_in_the_same_bits(run, tmp_path, befall, assert_same, unreported):
    run, start, _ = run
    befall(5, KeyboardInterrupt())
    assert cli.main([str(word) for word in (*start, "--out", tmp_path)]) == 130
    befall(0, None)
    succeeds("train", start[1], "--out", tmp_path, "--resume")
    assert_same(Run.open(tmp_path), run)


def test_pixels_beyond_the_range_are_said_in_the_units_of_the_file_and_clipped_on_demand(
    run, tmp_path, capsys, monkeypatch
):
    """A network that draws from −1.5 to 1.5 leaves the range of the data on both sides."""
    run, _, _ = run
    drawn = np.linspace(-1.5, 1.5, 11 * 36).reshape(11, 36)
    monkeypatch.setattr(runs, "draw", lambda *_: (drawn, None))
    data = np.load(run.config.name)
    words = ["sample", run.path, "--n", 11, "--steps", 3, "--out", tmp_path / "x.npy"]
    succeeds(*words)
    x, said = np.load(tmp_path / "x.npy"), capsys.readouterr().err
    low, high = data.min(), data.max()
    assert x.min() < low
    assert f"beyond the data's range, {low:g} to {high:g}: they go from {x.min():.4g} to {x.max():.4g}." in said
    succeeds(*words, "--clip")
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), np.clip(x, low, high), rtol=1e-5)
    assert "beyond" not in capsys.readouterr().err


def test_samples_are_pictures_in_the_units_of_the_file(run, tmp_path):
    """As an array (n, H, W), which may be trained on, with a sheet; a row for each with its label in a .csv file."""
    run, _, labelled = run
    succeeds("sample", run.path, "--n", 11, "--steps", 3)
    x = np.load(run.path / "draws.npy")
    assert x.shape == (11, 6, 6)
    assert abs(x.mean() - 7.5) < 4.5
    assert td.load_pictures(run.path / "draws.npy").picture == (6, 6)
    assert matplotlib.image.imread(run.path / "draws.png").shape[0] > 10
    succeeds("sample", run.path, "--n", 11, "--steps", 3, "--out", tmp_path / "x.csv", *(["--w", 1] * labelled))
    rows = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    assert rows.shape == (11, 37 if labelled else 36)
    if labelled:
        np.testing.assert_array_equal(rows[:, -1], np.arange(11) % 3)
    else:
        np.testing.assert_allclose(rows, x.reshape(11, 36), rtol=1e-6)
    assert (tmp_path / "x.png").exists()


def test_samplers_are_compared_with_the_pictures_that_were_not_trained_on(run, monkeypatch):
    """Two halves of them, where that is fewer than the hundred that are asked for."""
    run, given = run[0], []

    def compared(model, true, again, *more):
        given.extend([true, again])
        raise UsageError("that was to be seen")

    monkeypatch.setattr(runs, "compared", compared)
    assert cli.main(["compare", str(run.path)]) == 2
    unseen = open_parts(run.config.name, run.config.labels)[1].x
    assert [len(each) for each in given] == [2, 2]
    assert sorted(map(tuple, np.concatenate(given))) == sorted(map(tuple, unseen))


def test_a_path_of_labels_is_kept_for_other_folders(tmp_path, monkeypatch, rng, unreported):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", rng.random((20, 3, 3)))
    np.save("labels.npy", np.arange(20) % 3)
    succeeds("train", "mine.npy", "--labels", "labels.npy", "--out", "run", *SHORT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    succeeds("evaluate", tmp_path / "run")
    assert Run.open(tmp_path / "run").config.labels == str(tmp_path / "labels.npy")


@pytest.mark.parametrize("labels", [None, [0] * 19 + [1]], ids=["plain", "labelled"])
def test_twenty_pictures_are_enough_and_one_label_may_be_rare(tmp_path, rng, labels):
    """Pixels that are no whole numbers have no levels, and so no bits."""
    rare = np.random.default_rng(0).permutation(20)[-1]  # would be kept from training
    options = []
    np.save(tmp_path / "mine.npy", rng.standard_normal((20, 5, 3)))
    if labels:
        np.save(tmp_path / "labels.npy", np.arange(20) == rare)
        options = ["--labels", tmp_path / "labels.npy", "--conditional"]
    succeeds("train", tmp_path / "mine.npy", "--out", tmp_path / "run", *options, *SHORT)
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert "bits_per_dim" not in report
    assert 0 <= report["memorised"] <= 1


@pytest.mark.parametrize(
    ("code", "options", "says"),
    [
        (2, "mine.npy --norm", "--norm is for --network mlp"),
        (2, "mine.npy --network mlp --patch 2", "--patch is for --network mixer"),
        (2, "mine.npy --conditional", r"mine\.npy has no labels: leave out --conditional"),
        (2, "mine.npy --patch 0", "--patch: Expected int >= 1"),
        (2, "points.npy --network mixer", "--network mixer is for pictures"),
        (1, "points.npy --labels labels.npy", "there is no column .labels.npy. for the classes"),
        (2, "ring8 --labels labels.npy", "--labels is for a file; got ring8"),
        (1, "mine.npy --labels none.npy", r"none\.npy"),
        (1, "mine.npy --labels points.npy", r"points\.npy must hold a label for each of the 40 pictures"),
        (1, "few.npy", r"few\.npy has 7 pictures: a run needs 20"),
        (1, "none-idx3-ubyte", "none-idx3-ubyte"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(capsys, tmp_path, monkeypatch, rng, code, options, says):
    monkeypatch.chdir(tmp_path)
    for name, shape in {"mine": (40, 6, 6), "few": (7, 6, 6), "points": (49, 2), "labels": (40,)}.items():
        np.save(f"{name}.npy", rng.random(shape))
    before = set(tmp_path.iterdir())
    assert cli.main(["train", *options.split(), "--out", "run"]) == code
    assert re.fullmatch(f"tinydiff: .*{says}.*\n", capsys.readouterr().err)
    assert set(tmp_path.iterdir()) == before
