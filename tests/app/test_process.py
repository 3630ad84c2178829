"""A process of one's own through the command line: trained, sampled, measured, and refused where it cannot be made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.config import Config, read_config
from tinydiff.app.directory import Run
from tinydiff.app.process import PROCESSES, coefficients, is_process_name, make_process

pytestmark = pytest.mark.usefixtures("short_chains")

MINE = """
import numpy as np
import tinydiff as td

class Mine(td.Process):
    def alpha(self, t):
        return np.exp(-5 * t**2)

    def sigma(self, t):
        return np.sqrt(-np.expm1(-10 * t**2))

class Needs(Mine):
    def __init__(self, rate):
        self.rate = rate

class Fails(Mine):
    def __init__(self):
        raise RuntimeError("no luck\\ntoday")

class Half(td.Process):
    def alpha(self, t):
        return 1 - t

class Blind(Mine):
    def alpha(self, t):
        return np.exp(-5 * np.abs(t) ** 2)

class Chain(td.Discrete):
    def __init__(self):
        super().__init__([0.1, 0.2])

class Inside:
    class Mine(Mine):
        pass

mine = Mine()
"""
SHORT = ["--steps", "6", "--batch", "16", "--width", "8", "--blocks", "1", "--save-every", "3"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that lies in the current directory, which is not on the path yet."""
    (tmp_path / "mine_of_a_test.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    yield "mine_of_a_test"
    sys.modules.pop("mine_of_a_test", None)


def tinydiff(*arguments):
    command = [sys.executable, "-m", "tinydiff", *map(str, arguments)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_run_of_ones_own_process_is_trained_sampled_and_measured(module, capsys):
    """It is that of `train` with this process, in all its bits, and its name is what config.json has."""
    assert cli.main(["train", "ring8", "--process", f"{module}:Mine", "--out", "run", *SHORT]) == 0
    assert json.loads(Path("run/config.json").read_text())["process"] == f"{module}:Mine"
    trained = Run.open("run").load()
    mine = sys.modules[module].Mine
    assert type(trained.model.process) is mine
    network = td.TimeMLP(2, 8, 1)
    state = td.last(td.train(network, mine(), td.toys.ring8(), steps=6, batch=16, rng=0))
    np.testing.assert_array_equal(trained.model.theta, state.ema)
    assert cli.main(["evaluate", "run"]) == 0
    assert "KL(data ‖ model), nats" in capsys.readouterr().out
    for sampler in ("ddim", "dpm_solver_2m", "euler_maruyama"):
        assert cli.main(["sample", "run", "--n", "5", "--steps", "4", "--sampler", sampler, "--seed", "3"]) == 0
        expected = td.sample(trained.model, 5, sampler=getattr(td, sampler), steps=4, rng=3)
        np.testing.assert_array_equal(np.load("run/draws.npy"), expected)
    assert cli.main(["train", "ring8", "--out", "run", "--resume"]) == 0


def test_the_command_finds_the_module_in_the_current_directory_and_says_when_it_is_gone(module, tmp_path):
    """In processes of their own, as one meets it; the run stays whole, and works again with the module."""
    done = tinydiff("train", "ring8", "--process", f"{module}:Mine", "--out", "run", *SHORT)
    assert done.returncode == 0, done.stderr
    (tmp_path / f"{module}.py").rename(tmp_path / "elsewhere")
    for command in (["sample", "run", "--n", "3"], ["evaluate", "run"], ["train", "ring8", "--out", "run", "--resume"]):
        done = tinydiff(*command)
        assert done.returncode == 1
        assert done.stderr == (
            f"tinydiff: the process {module}:Mine cannot be imported, from the current directory or from elsewhere on "
            f"Python's path: ModuleNotFoundError: No module named '{module}'.\n"
        )
    (tmp_path / "elsewhere").rename(tmp_path / f"{module}.py")
    done = tinydiff("sample", "run", "--n", "3")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:Mine", "no_such_module:Mine cannot be imported, .*: ModuleNotFoundError: No module named"),
        ("{}:Other", "cannot be imported, .*: AttributeError: module '{}' has no attribute 'Other'"),
        ("{}:np", "the process {}:np is not a subclass of tinydiff.Process"),
        ("{}:mine", "the process {}:mine is not a subclass of tinydiff.Process"),
        ("{}:Inside", "the process {}:Inside is not a subclass of tinydiff.Process"),
        ("builtins:int", "builtins:int is not a subclass"),
        ("{}:Needs", "{}:Needs must be a class that needs no arguments: missing a required argument: 'rate'"),
        ("{}:Fails", "{}:Fails cannot be used: RuntimeError: no luck"),
        ("{}:Half", "{}:Half cannot be used: NotImplementedError"),
        ("{}:Blind", r"{}:Blind cannot be used: ValueError: alpha\(t\) cannot be differentiated by a complex step"),
        ("{}:Chain", "{}:Chain is a Discrete one, and the report of a run needs continuous time"),
        ("broken_of_a_test:Mine", "broken_of_a_test:Mine cannot be imported, .*: SyntaxError"),
    ],
)
def test_what_is_no_process_is_refused_in_one_sentence_before_anything_is_written(module, capsys, tmp_path, name, says):
    (tmp_path / "broken_of_a_test.py").write_text("class Mine(:\n")
    name, says = name.format(module), says.format(module)
    with pytest.raises(ValueError, match=says):
        make_process(name)
    assert cli.main(["train", "ring8", "--process", name, "--out", "run", *SHORT]) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert printed.startswith(f"tinydiff: the process {name} ")
    assert not (tmp_path / "run").exists()


def test_a_process_that_has_changed_since_is_refused(module, capsys, tmp_path):
    """The network knows the old one's noise, so samples of the new one would be wrong without a word."""
    assert cli.main(["train", "ring8", "--process", f"{module}:Mine", "--out", "run", *SHORT]) == 0
    sys.modules[module].Mine.sigma = lambda self, t: np.sqrt(-np.expm1(-11 * t**2))
    capsys.readouterr()
    assert cli.main(["sample", "run"]) == 1
    assert f"the process {module}:Mine is not what it was when this run was trained." in capsys.readouterr().err


def test_a_class_within_a_class_is_found(module):
    assert type(make_process(f"{module}:Inside.Mine")).__qualname__ == "Inside.Mine"


@pytest.mark.parametrize("name", PROCESSES)
def test_our_own_have_short_names(name):
    assert type(make_process(name)) is PROCESSES[name]
    assert is_process_name(name)


def test_each_short_name_is_of_one_of_ours():
    assert set(PROCESSES.values()) == {td.VP, td.SubVP, td.VE, td.Cosine, td.Straight}


@pytest.mark.parametrize(
    "name", ["vq", "", ":", "mine:", ":Mine", "mine.Mine", "a b:Mine", "mine:My-Class", "a..b:C", "a:b:c"]
)
def test_other_names_are_refused_when_they_are_read(tmp_path, name):
    assert not is_process_name(name)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format": 3, **vars(Config("ring8")), "process": name}))
    with pytest.raises(ValueError, match=r"config\.json: process: Expected vp, .*, or module:Class for your own; got"):
        read_config(path)


def test_the_coefficients_tell_processes_apart():
    found = [coefficients(kind()) for kind in PROCESSES.values()]
    assert all(each.shape == (2, 9) and each.dtype == float for each in found)
    assert len({each.tobytes() for each in found}) == len(found)
