"""The command line: the runs it starts, and one line for each thing that can go wrong."""

import json
import re
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

import tinydiff as td
from tinydiff import __main__, plotting
from tinydiff.app import checkpoint, cli, report, runs, table
from tinydiff.app.config import Config, recipe
from tinydiff.app.directory import Run
from tinydiff.app.sampling import Draw

pytestmark = pytest.mark.usefixtures("short_chains", "unmeasured")

SHORT = ["--steps", "6", "--batch", "16", "--width", "8", "--blocks", "1", "--save-every", "3"]


def succeeds(*arguments):
    assert cli.main(tuple(map(str, arguments))) == 0


def fails(capsys, code, says, *arguments):
    """The command fails with this code and one line, which says what is meant; what is printed but for that line."""
    capsys.readouterr()
    assert cli.main([str(each) for each in arguments]) == code
    out, err = capsys.readouterr()
    *before, line = err.replace("\r", "\n").strip().splitlines()
    assert line.startswith("tinydiff: ")
    assert re.search(says, line), line
    assert not any(each.startswith("Traceback") for each in before)
    return out + "".join(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory, unmeasured):
    path = tmp_path_factory.mktemp("runs") / "circles"
    succeeds("train", "circles", "--conditional", "--out", path, *SHORT)
    return path


def test_train_leaves_a_trained_run_and_evaluate_measures_it_again(run, capsys):
    trained = Run.open(run)
    assert trained.config.conditional
    assert trained.load().state.step == 6
    succeeds("evaluate", run)
    said = capsys.readouterr().out
    assert "β̃ at step 6" in said
    assert str(run / "report.json") in said
    assert str(run / "a.png") in said


def test_samples_are_written_where_they_are_asked_for_with_a_figure(run, tmp_path, capsys):
    """Class by class and guided, as .csv with labels; one class as .npy, by default in the run's directory."""
    succeeds("sample", run, "--n", 30, "--w", 1.5, "--steps", 5, "--out", tmp_path / "x.csv")
    assert str(tmp_path / "x.png") in capsys.readouterr().out
    assert (tmp_path / "x.png").stat().st_size > 1000
    np.testing.assert_array_equal(td.load_points(tmp_path / "x.csv").labels, np.arange(30) % 2)
    succeeds("sample", run, "--n", 12, "--label", 1, "--steps", 5)
    assert np.load(run / "draws.npy").shape == (12, 2)


def test_samples_of_your_points_are_in_their_units(tmp_path, rng):
    points = rng.standard_normal((60, 3)) * [1, 10, 100] + [5, 50, 5000]
    np.savetxt(tmp_path / "mine.csv", points, delimiter=",", header="a,b,c", comments="")
    succeeds("train", tmp_path / "mine.csv", "--out", tmp_path / "run", *SHORT)
    (tmp_path / "mine.csv").unlink()  # a trained run needs it no more
    succeeds("sample", tmp_path / "run", "--n", 200)
    x = np.load(tmp_path / "run" / "draws.npy")
    spread = points.std(axis=0)
    assert np.all(np.abs(x.mean(axis=0) - points.mean(axis=0)) < spread)
    assert np.all((x.std(axis=0) > spread / 3) & (x.std(axis=0) < 3 * spread))


def test_the_demo_reports_draws_and_may_be_repeated(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runs, "recipe", lambda name: Config(name, width=8, blocks=1, batch=32))
    monkeypatch.setattr(plotting, "save_gif", lambda frames, path: path)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "measure", report.measure)
        patch.setattr(runs, "table", table.table)
        succeeds("demo", "--out", tmp_path, "--steps", 4)
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    out = capsys.readouterr().out
    for name in ("samples.png", "forward.png", "trajectory.png", "score.png", "loss.png", "training.png"):
        assert (tmp_path / name).stat().st_size > 1000
        assert str(tmp_path / name) in out
    assert str(tmp_path / "trajectory.gif") in out
    assert f"{found['kl_nats']:.3f} ± {found['kl_standard_error']:.3f}" in out
    assert found["sliced_w2_true"] < found["sliced_w2"]
    succeeds("demo", "--out", tmp_path, "--steps", 2, "--seed", 1)
    assert Run.open(tmp_path).config.seed == 1


@pytest.mark.parametrize("words", ["mnist --lr 0.5", "--lr 0.5 mnist --no-conditional", "--lr=0.5 mnist --out there"])
def test_train_starts_from_the_recipe_of_its_name_wherever_the_name_stands(words):
    options = cli.parse(("train", *words.split()))
    assert options.config == replace(recipe("mnist"), lr=0.5, conditional="--no" not in words)
    assert options.out == Path("there" if "there" in words else "runs/mnist")
    assert not options.resume


def test_sample_takes_its_options():
    words = "sample there --n 5 --label -1 --w 2 --interval -2 2.5 --sampler ddim --steps 9 --grid even_time --eta 1"
    options = cli.parse([*words.split(), "--seed", "4"])
    assert options == Draw(Path("there"), None, 5, "-1", 2.0, (-2.0, 2.5), "ddim", 9, "even_time", eta=1.0, seed=4)


def test_resume_goes_on_with_the_runs_own_configuration(run, tmp_path, capsys, assert_same):
    """Without options, or with the same; with others it is wrong usage."""
    again = ["train", "circles", "--out", tmp_path, "--resume"]
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    succeeds(*again)
    assert_same(Run.open(tmp_path), Run.open(run))
    succeeds(*again, "--steps", 6)
    fails(capsys, 2, "own --steps 6, --lr default: leave that out", *again, "--steps", 7, "--lr", 1)
    fails(capsys, 2, "holds a run of circles; got ring8", "train", "ring8", *again[2:])


def test_help_names_the_commands_and_the_defaults_of_a_name(capsys):
    def shown(*arguments):
        with pytest.raises(SystemExit, match="0"):
            cli.main(list(arguments))
        return capsys.readouterr().out

    commands = shown("--help")
    for word in ("train", "sample", "inpaint", "evaluate", "compare", "race", "demo", "check"):
        assert word in commands
        assert "--" in shown(word, "--help")
    assert "(default: mixer)" in shown("train", "mnist", "--help")
    assert "(default: 64)" in shown("train", "--help")
    assert shown("--version") == f"tinydiff {td.__version__}\n"


def test_control_c_while_the_command_is_imported_is_an_exit_code(monkeypatch):
    monkeypatch.setattr(cli, "main", Mock(side_effect=KeyboardInterrupt))
    assert __main__.main() == 130


# What can go wrong: usage is 2, the rest 1


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (2, "", "train.*sample.*evaluate.*demo"),
        (2, "dmo", "'dmo'|dmo"),
        (2, "demo --stps 3", "--stps"),
        (2, "demo --steps 0", "--steps: Expected int >= 1; got 0"),
        (2, "train", "NAME"),
        (2, "train ring9", r"NAME must be one of ring8, .*mnist, a file, or - for standard input; got 'ring9'"),
        (2, "train ring8 --stps 3", "--stps"),
        (2, "train ring8 --ema 1.5", "--ema: Expected float <= 1.0; got 1.5"),
        (2, "train ring8 --process vq", "--process: Expected vp, .*, or module:Class for your own; got 'vq'"),
        (2, "train s_curve --conditional", "s_curve has no labels"),
        (2, "sample", "DIR|PATH"),
        (2, "sample RUN --label 2", "--label must be one of 0, 1, or -1"),
        (2, "sample RUN --out x.txt", r"--out must be a \.npy or \.csv file"),
        (2, "sample there --w -1", "--w: Expected float >= 0.0; got -1"),
        (2, "sample there --sampler ddim --eta 2", "--eta of the sampler ddim is at most 1; got 2"),
        (2, "sample there --sampler euler", "'euler'.*'ddim'"),
        (1, "sample there --sampler euler_maruyama --eta 1.5", "there holds no run"),
        (1, "train ring8 --out out --resume", "out holds no run"),
        (1, "evaluate broken", "config.json is not JSON"),
        (1, "train nothing.csv", "nothing.csv"),
        (1, "train words.csv", "words.csv: line 2, column 1 is no number: 'three'"),
        (1, "train circles --out RUN", "holds a run: go on with --resume"),
        (1, "train ring8 --out file/run", "file"),
        (1, "demo --out RUN", "holds a run that is no demo"),
        (1, "sample RUN --n 2 --steps 2 --out file/x.npy", "file"),
        (1, "train mnist", "TINYDIFF_MNIST_DIR"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(capsys, tmp_path, run, monkeypatch, code, arguments, says):
    """Nothing else is printed, and nothing is written."""
    before = (run / "checkpoint.npz").read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path / "none"))
    Path("words.csv").write_text("1,2\nthree,4\n", encoding="utf-8")
    Path("broken").mkdir()
    Path("broken/config.json").write_text("{", encoding="utf-8")
    Path("file").touch()
    assert fails(capsys, code, says, *(str(run) if word == "RUN" else word for word in arguments.split())) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file", "words.csv"]
    assert (run / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("command", ["sample .", "evaluate .", "train circles --out . --resume"])
def test_a_broken_checkpoint_is_one_line_and_exit_code_1(capsys, tmp_path, run, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_bytes((run / "config.json").read_bytes())
    Path("checkpoint.npz").write_bytes(broken := (run / "checkpoint.npz").read_bytes()[:-100])
    fails(capsys, 1, r"checkpoint\.npz is not a whole \.npz file", *command.split())
    assert Path("checkpoint.npz").read_bytes() == broken


def test_a_loss_that_is_not_finite_is_one_line_and_exit_code_1(capsys, tmp_path):
    """Nothing warns of it, and the last checkpoint stays whole."""
    start = ["train", "circles", "--out", tmp_path, "--lr", "1e30", "--norm", *SHORT[2:-1]]
    fails(capsys, 1, r"tinydiff: loss .* at step \d+: .* nothing was saved yet\.", *start, 200)
    says = r"tinydiff: loss .* at step \d+: try a lower lr\. .* keeps the checkpoint of step \d+\."
    fails(capsys, 1, says, *start, 1)
    run = Run.open(tmp_path)
    state, _ = checkpoint.load(run.checkpoint)
    assert np.all(np.isfinite(state.theta))
    assert state.step == len(run.read_log())


def test_a_full_disk_is_one_line_and_exit_code_1(capsys, tmp_path, monkeypatch):
    """The checkpoint does not fit, and nothing half is left."""
    monkeypatch.setattr(np, "savez", Mock(side_effect=OSError(28, "No space left on device")))
    fails(capsys, 1, r"No space left on device: .*checkpoint\.npz", "train", "circles", "--out", tmp_path, *SHORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "log.csv"]


def test_control_c_saves_the_step_that_was_taken_and_is_exit_code_130(capsys, tmp_path, befall):
    """Long before a checkpoint was due."""
    befall(3, KeyboardInterrupt())
    says = r"tinydiff: interrupted: step 2 is saved in .*: go on with --resume$"
    fails(capsys, 130, says, "train", "circles", "--out", tmp_path, *SHORT[:-1], 100)
    run = Run.open(tmp_path)
    assert run.load().state.step == len(run.read_log()) == 2
