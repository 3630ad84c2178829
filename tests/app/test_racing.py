"""`tinydiff race`: the file that is named is run, and what is wrong with it is one line."""

import matplotlib.image
import pytest

from tinydiff.app.cli import main

MINE = """
import tinydiff as td
from itertools import pairwise

NOT = 3

def euler(model, x, ts, *, rng=None):
    yield from td.ddim(model, x, ts)

def noisy(model, x, ts, *, rng=None):
    yield from td.ddpm(model, x, ts, rng=rng)

def broken(model, x, ts, *, rng=None):
    yield ts[0], x
    raise KeyError("slope")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine_in_a_race.py"
    path.write_text(MINE, encoding="utf-8")
    return path.name


def test_a_race_prints_its_table_and_draws_its_figure(mine, capsys, tmp_path):
    assert main(["race", f"{mine}:euler", "--evaluations", "6", "8", "--n", "20", "--out", "deep/race.png"]) == 0
    printed = capsys.readouterr().out
    assert "euler is number" in printed
    assert "evaluations           6       8\n" in printed
    assert matplotlib.image.imread(tmp_path / "deep" / "race.png").ndim == 3


def test_a_module_and_a_grid_of_ones_own(mine, capsys):
    few = ["--evaluations", "6", "--n", "5"]
    assert main(["race", "mine_in_a_race:euler", "--grid", "even_log_snr", "--end", "4", *few]) == 0
    with_end = capsys.readouterr().out
    assert main(["race", f"{mine}:euler", *few]) == 0
    assert capsys.readouterr().out != with_end


@pytest.mark.parametrize(
    ("entry", "more", "code", "says"),
    [
        ("FILE", [], 2, "the sampler is spelled FILE:FUNCTION, such as mine.py:my_sampler; got"),
        ("FILE:heun", [], 1, "has no function heun; it has euler, noisy, broken"),
        ("FILE:NOT", [], 1, "has no function NOT"),
        ("none.py:heun", [], 1, "none.py cannot be run: FileNotFoundError"),
        ("no.such.module:heun", [], 1, "no.such.module cannot be run: ModuleNotFoundError"),
        ("FILE:noisy", [], 1, "noisy cannot race: ValueError: noisy draws noise of its own"),
        ("FILE:broken", [], 1, "broken cannot race: KeyError: 'slope'"),
        ("FILE:euler", ["--end", "4"], 2, "--end is for --grid even_log_snr; got logistic"),
        ("FILE:euler", ["--evaluations", "1"], 2, ">= 2"),
    ],
)
def test_what_cannot_race_is_one_line_and_an_exit_code(mine, capsys, entry, more, code, says):
    assert main(["race", entry.replace("FILE", mine), *more]) == code
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1
