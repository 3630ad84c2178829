"""A process of one's own through the command line: trained, sampled, measured, and refused where it cannot be made."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.config import Config, checked
from tinydiff.app.directory import Run
from tinydiff.app.process import PROCESSES, coefficients, is_process_name, make_process

pytestmark = pytest.mark.usefixtures("unmeasured")

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

class Blind(Mine):
    def alpha(self, t):
        return np.exp(-5 * np.abs(t) ** 2)

class Chain(td.Discrete):
    def __init__(self):
        super().__init__([0.1, 0.2])

class Inside:
    class Mine(Mine):
        pass
"""
SHORT = ["--steps", "6", "--batch", "16", "--width", "8", "--blocks", "1"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that lies in the current directory, which is not on the path yet."""
    (tmp_path / "mine_of_a_test.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    yield "mine_of_a_test"
    sys.modules.pop("mine_of_a_test", None)


USES = [["sample", "run", "--n", "3"], ["evaluate", "run"], ["train", "circles", "--out", "run", "--resume"]]


def train(process):
    assert cli.main(["train", "circles", "--process", process, "--out", "run", *SHORT]) == 0


def test_a_run_of_ones_own_process_is_trained_and_sampled(module):
    """It is that of `train` with this process, in all its bits; config.json has its name, be it a class in a class."""
    train(f"{module}:Inside.Mine")
    assert Run.open("run").config.process == f"{module}:Inside.Mine"
    trained = Run.open("run").load()
    mine = sys.modules[module].Inside.Mine
    assert type(trained.model.process) is mine
    network = td.TimeMLP(2, 8, 1)
    state = td.last(td.train(network, mine(), td.toys.circles(), steps=6, batch=16, rng=0))
    np.testing.assert_array_equal(trained.model.theta, state.ema)
    for sampler in ("ddim", "dpm_solver_2m", "euler_maruyama"):
        assert cli.main(["sample", "run", "--n", "5", "--steps", "4", "--sampler", sampler, "--seed", "3"]) == 0
        expected = td.sample(trained.model, 5, sampler=getattr(td, sampler), steps=4, rng=3)
        np.testing.assert_array_equal(np.load("run/draws.npy"), expected)


def test_a_run_whose_module_is_gone_says_so_and_works_again_with_it(module, capsys):
    """The current directory is looked into, although it is not on the path."""
    train(f"{module}:Mine")
    here = Path(f"{module}.py").rename("elsewhere")
    for command in USES:
        sys.modules.pop(module, None)
        importlib.invalidate_caches()
        capsys.readouterr()
        assert cli.main(command) == 1
        assert capsys.readouterr().err == (
            f"tinydiff: the process {module}:Mine cannot be imported, from the current directory or from elsewhere on "
            f"Python's path: ModuleNotFoundError: No module named '{module}'.\n"
        )
    here.rename(f"{module}.py")
    importlib.invalidate_caches()
    for command in USES:
        assert cli.main(command) == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:Mine", "no_such_module:Mine cannot be imported, .*: ModuleNotFoundError: No module named"),
        ("{}:Other", "cannot be imported, .*: AttributeError: module '{}' has no attribute 'Other'"),
        ("{}:np", "the process {}:np is not a subclass of tinydiff.Process"),
        ("{}:Inside", "the process {}:Inside is not a subclass of tinydiff.Process"),
        ("{}:Needs", "{}:Needs must be a class that needs no arguments: missing a required argument: 'rate'"),
        ("{}:Fails", "{}:Fails cannot be used: RuntimeError: no luck"),
        ("{}:Blind", r"{}:Blind cannot be used: ValueError: alpha\(t\) cannot be differentiated by a complex step"),
        ("{}:Chain", "{}:Chain is a Discrete one, and the report of a run needs continuous time"),
        ("broken_of_a_test:Mine", "broken_of_a_test:Mine cannot be imported, .*: SyntaxError"),
    ],
)
def test_what_is_no_process_is_refused_in_one_sentence_before_anything_is_written(module, capsys, tmp_path, name, says):
    (tmp_path / "broken_of_a_test.py").write_text("class Mine(:\n", encoding="utf-8")
    name, says = name.format(module), says.format(module)
    with pytest.raises(ValueError, match=says):
        make_process(name)
    assert cli.main(["train", "circles", "--process", name, "--out", "run", *SHORT]) == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert printed.startswith(f"tinydiff: the process {name} ")
    assert not (tmp_path / "run").exists()


def test_a_process_that_has_changed_since_is_refused(module, capsys):
    """The network knows the old one's noise, so samples of the new one would be wrong without a word."""
    train(f"{module}:Mine")
    sys.modules[module].Mine.sigma = lambda self, t: np.sqrt(-np.expm1(-11 * t**2))
    capsys.readouterr()
    assert cli.main(["sample", "run"]) == 1
    assert f"the process {module}:Mine is not what it was when this run was trained." in capsys.readouterr().err


def test_each_of_ours_has_a_short_name_and_coefficients_of_its_own():
    assert set(PROCESSES.values()) == {td.VP, td.SubVP, td.VE, td.Cosine, td.Straight}
    for name, kind in PROCESSES.items():
        assert type(make_process(name)) is kind
        assert is_process_name(name)
    found = [coefficients(kind()) for kind in PROCESSES.values()]
    assert all(each.shape == (2, 9) and each.dtype == float for each in found)
    assert len({each.tobytes() for each in found}) == len(found)


@pytest.mark.parametrize(
    "name", ["", ":", "mine:", ":Mine", "mine.Mine", "a b:Mine", "mine:My-Class", "a..b:C", "a:b:c"]
)
def test_what_is_neither_a_short_name_nor_a_path_to_a_class_is_no_name(name):
    assert not is_process_name(name)
    with pytest.raises(ValueError, match=r"process: Expected vp, .*, or module:Class for your own; got"):
        checked(Config("ring8", process=name))
