"""The command line: the runs it starts, and one line for each thing that can go wrong."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.config import Config, recipe
from tinydiff.app.directory import Run
from tinydiff.app.sampling import Draw

pytestmark = pytest.mark.usefixtures("short_chains")

SHORT = ["--steps", "6", "--batch", "16", "--width", "8", "--blocks", "1", "--save-every", "3"]


def tinydiff(*arguments, **kwargs):
    command = [sys.executable, "-m", "tinydiff", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def fails(capsys, code, says, *arguments):
    """The command fails with this code and one line, which says what is meant."""
    assert cli.main([str(each) for each in arguments]) == code
    line = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert line.startswith("tinydiff: ")
    assert re.search(says, line), line
    return line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "moons"
    assert cli.main(["train", "moons32", "--conditional", "--out", str(path), *SHORT]) == 0
    return path


def test_train_sample_evaluate(run, tmp_path, capsys):
    """The three commands on one run: class by class and guided, to .npy and .csv, with figures."""
    trained = Run.open(run)
    assert trained.config.conditional
    assert trained.load().state.step == 6
    assert cli.main(["evaluate", str(run)]) == 0
    assert "KL(data ‖ model), nats" in capsys.readouterr().out
    assert (
        cli.main(["sample", str(run), "--n", "30", "--w", "1.5", "--steps", "5", "--out", str(tmp_path / "x.csv")]) == 0
    )
    assert str(tmp_path / "x.png") in capsys.readouterr().out
    assert (tmp_path / "x.png").stat().st_size > 1000
    back = td.load_points(tmp_path / "x.csv")
    np.testing.assert_array_equal(back.labels, np.arange(30) % 2)
    assert cli.main(["sample", str(run), "--n", "12", "--label", "1", "--steps", "5"]) == 0
    assert np.load(run / "draws.npy").shape == (12, 2)


def test_samples_of_your_points_are_in_their_units(tmp_path, rng, capsys):
    points = rng.standard_normal((60, 3)) * [1, 10, 100] + [5, 50, 5000]
    np.savetxt(tmp_path / "mine.csv", points, delimiter=",", header="a,b,c", comments="")
    assert cli.main(["train", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "run"), *SHORT]) == 0
    (tmp_path / "mine.csv").unlink()  # a trained run needs it no more
    assert cli.main(["sample", str(tmp_path / "run"), "--n", "200"]) == 0
    x = np.load(tmp_path / "run" / "draws.npy")
    spread = points.std(axis=0)
    assert np.all(np.abs(x.mean(axis=0) - points.mean(axis=0)) < spread)
    assert np.all((x.std(axis=0) > spread / 3) & (x.std(axis=0) < 3 * spread))


def test_the_demo_reports_draws_and_may_be_repeated(tmp_path, capsys):
    arguments = ["demo", "--out", str(tmp_path / "run"), "--steps", "40"]
    assert cli.main(arguments) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    out = capsys.readouterr().out
    for name in ("samples.png", "forward.png", "trajectory.png", "trajectory.gif", "score.png", "loss.png"):
        assert (tmp_path / "run" / name).stat().st_size > 1000
        assert name in out.replace("\n", "")
    assert f"{report['kl_nats']:.3f} ± {report['kl_standard_error']:.3f}" in out
    assert report["sliced_w2_true"] < report["sliced_w2"]
    assert cli.main([*arguments, "--seed", "1"]) == 0
    assert json.loads((tmp_path / "run" / "report.json").read_text())["seed"] == 1


def test_the_demo_replaces_demos_alone(run, capsys):
    fails(capsys, 1, "holds a run that is no demo", "demo", "--out", run)
    assert Run.open(run).load().state.step == 6


def test_train_starts_from_the_recipe_of_its_name_wherever_the_name_stands():
    for arguments in (["mnist", "--lr", "0.5"], ["--lr", "0.5", "mnist"], ["--lr=0.5", "mnist"]):
        options = cli.parse(["train", *arguments])
        assert options.config == Config(**{**vars(recipe("mnist")), "lr": 0.5})
        assert str(options.out) == os.path.join("runs", "mnist")
        assert not options.resume
    assert cli.parse(["train", "ring8", "--out", "there"]).out.name == "there"
    assert cli.parse(["train", "mnist", "--no-conditional"]).config.conditional is False


def test_sample_takes_all_its_options():
    words = "sample there --n 5 --label -1 --w 2 --sampler ddim --steps 9 --grid even_time --eta 1 --seed 4"
    options = cli.parse(words.split())
    assert options == Draw(options.run, None, 5, -1, 2.0, "ddim", 9, "even_time", eta=1.0, seed=4)


def test_resume_goes_on_with_the_runs_own_configuration(run, tmp_path, capsys):
    """Without options, or with the same; with others it is wrong usage."""
    path, whole = tmp_path / "run", (run / "checkpoint.npz").read_bytes()
    assert cli.main(["train", "moons32", "--conditional", "--out", str(path), *SHORT]) == 0
    (path / "checkpoint.npz").unlink()
    assert cli.main(["train", "moons32", "--out", str(path), "--resume"]) == 0
    with np.load(path / "checkpoint.npz") as a, np.load(run / "checkpoint.npz") as b:
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    assert cli.main(["train", "moons32", "--out", str(path), "--resume", "--steps", "6"]) == 0
    capsys.readouterr()
    fails(
        capsys,
        2,
        "own --steps 6, --lr 0.004: leave that out",
        "train",
        "moons32",
        "--out",
        path,
        "--resume",
        "--steps",
        7,
        "--lr",
        1,
    )
    fails(capsys, 2, "holds a run of moons32; got ring8", "train", "ring8", "--out", path, "--resume")
    assert (run / "checkpoint.npz").read_bytes() == whole


def test_help_names_the_commands_and_the_defaults_of_a_name():
    for word in ("train", "sample", "evaluate", "demo"):
        assert word in tinydiff("--help").stdout
        shown = tinydiff(word, "--help")
        assert shown.returncode == 0
        assert "--" in shown.stdout
    assert "(default: 512)" in tinydiff("train", "mnist", "--help").stdout
    assert "(default: 64)" in tinydiff("train", "--help").stdout


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"tinydiff {td.__version__}\n"


def test_a_console_without_greek_still_gets_its_report(run):
    done = tinydiff("evaluate", run, env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "nats" in done.stdout


# What can go wrong. Usage: 2.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "train.*sample.*evaluate.*demo"),
        ("dmo", "'dmo'|dmo"),
        ("demo --stps 3", "--stps"),
        ("demo --steps many", "--steps.*'many'"),
        ("demo --steps 0", "--steps: Expected int >= 1; got 0"),
        ("demo --toy ring9", "'ring9'.*'ring8'"),
        ("train", "NAME"),
        ("train ring9", r"NAME must be one of ring8, .*mnist, or a \.csv or \.npy file; got 'ring9'"),
        ("train points.txt", "got 'points.txt'"),
        ("train ring8 --width -3", "--width: Expected int >= 1; got -3"),
        ("train ring8 --ema 1.5", "--ema: Expected float <= 1.0; got 1.5"),
        ("train ring8 --lr 0", "--lr: Expected float > 0.0; got 0.0"),
        ("train ring8 --process vq", "--process: Expected vp, .*, or module:Class for your own; got 'vq'"),
        ("train ring8 --out", "--out"),
        ("train ring8 grid25", "grid25"),
        ("sample", "DIR|PATH"),
        ("sample there --n 0", "--n: Expected int >= 1; got 0"),
        ("sample there --w -1", "--w: Expected float >= 0.0; got -1"),
        ("sample there --eta 2", "--eta of the sampler ddim is at most 1; got 2"),
        ("sample there --sampler euler_maruyama --eta -1", "--eta: Expected float >= 0.0; got -1"),
        ("sample there --sampler euler", "'euler'.*'ddim'"),
        ("evaluate", "DIR|PATH"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    fails(capsys, 2, says, *arguments.split())
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_one_line_on_a_terminal_too():
    done = tinydiff("train", "ring8", "--stps", "3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


# Failures: 1.


def test_missing_and_broken_files_are_one_line_and_exit_code_1(capsys, tmp_path, run, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "words.csv").write_text("1,2\nthree,4\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    out = ["--out", tmp_path / "out"]
    fails(capsys, 1, "there holds no run", "sample", tmp_path / "there")
    fails(capsys, 1, "there holds no run", "evaluate", tmp_path / "there")
    fails(capsys, 1, "out holds no run", "train", "ring8", *out, "--resume")
    fails(capsys, 1, "config.json is not JSON", "evaluate", tmp_path / "broken")
    fails(capsys, 1, "nothing.csv", "train", tmp_path / "nothing.csv", *out)
    fails(capsys, 1, "words.csv: line 2 is not numbers", "train", tmp_path / "words.csv", *out)
    fails(capsys, 2, "s_curve has no labels", "train", "s_curve", "--conditional", *out)
    fails(capsys, 1, "holds a run: go on with --resume", "train", "moons32", "--out", run)
    fails(capsys, 1, "file", "train", "ring8", "--out", tmp_path / "file" / "run")
    fails(capsys, 1, "file", "demo", "--out", tmp_path / "file")
    fails(
        capsys,
        2,
        r"--out must be a \.npy or \.csv file",
        "sample",
        run,
        "--n",
        2,
        "--steps",
        2,
        "--out",
        tmp_path / "x.txt",
    )
    fails(capsys, 1, r"file", "sample", run, "--n", 2, "--steps", 2, "--out", tmp_path / "file" / "x.npy")
    fails(capsys, 2, "--label must be a class from 0 to 1", "sample", run, "--label", 2)
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path / "none"))
    fails(capsys, 1, "TINYDIFF_MNIST_DIR", "train", "mnist", *out)
    assert not (tmp_path / "out").exists()


def test_a_run_of_another_version_is_one_line_and_exit_code_1(capsys, tmp_path, run):
    for name in ("config.json", "checkpoint.npz"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"format": 99}))
    says = "config.json is of format 99; this version of tinydiff reads format 3"
    fails(capsys, 1, says, "evaluate", tmp_path)
    fails(capsys, 1, says, "train", "moons32", "--out", tmp_path, "--resume")
    (tmp_path / "config.json").write_text(json.dumps(content))
    with np.load(tmp_path / "checkpoint.npz") as arrays:
        np.savez(tmp_path / "checkpoint.npz", **{**arrays, "format": 99})
    fails(capsys, 1, "checkpoint.npz is of format 99", "sample", tmp_path)


def test_a_broken_checkpoint_is_one_line_and_exit_code_1(capsys, tmp_path, run):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    whole = (run / "checkpoint.npz").read_bytes()
    for raw in (b"", whole[:-100], whole[:900] + bytes([whole[900] ^ 1]) + whole[901:]):
        (tmp_path / "checkpoint.npz").write_bytes(raw)
        for command in (
            ["sample", tmp_path],
            ["evaluate", tmp_path],
            ["train", "moons32", "--out", tmp_path, "--resume"],
        ):
            fails(capsys, 1, r"checkpoint\.npz is not a whole \.npz file", *command)
        assert (tmp_path / "checkpoint.npz").read_bytes() == raw


def test_a_loss_that_is_not_finite_is_one_line_and_exit_code_1(tmp_path):
    done = tinydiff("train", "ring8", "--out", tmp_path, "--lr", "1e30", "--save-every", "1", "--norm")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert re.match(r"tinydiff: loss .* at step \d+: try lr below 1e\+30\. .* keeps the checkpoint of step \d+\.", line)
    assert np.all(np.isfinite(Run.open(tmp_path).load().state.theta))


def test_a_full_disk_is_one_line_and_exit_code_1(tmp_path):
    """Files that may not grow beyond 40 kB stand for it: the checkpoint does not fit, and nothing half is left."""

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = tinydiff("train", "ring8", "--out", tmp_path, "--steps", "20", "--save-every", "5", preexec_fn=small_disk)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        done.stderr.strip().splitlines()[-1] == f"tinydiff: [Errno 27] File too large: '{tmp_path / 'checkpoint.npz'}'"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "log.csv"]


def test_an_interrupted_run_is_saved_and_goes_on(tmp_path):
    """Control-C: the state of that moment is in the checkpoint, long before one was due."""
    command = [sys.executable, "-m", "tinydiff", "train", "ring8", "--out", str(tmp_path)]
    command += ["--steps", "100000", "--batch", "16", "--width", "8", "--save-every", "100000"]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in the background may be told to ignore it
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    while not (tmp_path / "log.csv").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said
    run = Run.open(tmp_path)
    assert (
        said.strip().splitlines()[-1]
        == f"tinydiff: interrupted: step {len(run.read_log())} is saved in {tmp_path}: go on with --resume"
    )
    assert 0 < run.load().state.step == len(run.read_log())
