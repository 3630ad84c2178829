"""`tinydiff check FILE`: a table, an exit code, JSON, and a file that is watched."""

import json
import threading
import time

import pytest

from tinydiff.app import checking, cli
from tinydiff.app.checking import Check

GUIDED = """
import numpy as np

def cfg(c, u, w):
    return {answer}

def q_step(x, t, eps, betas):
    ...
"""
RIGHT, OTHER = GUIDED.format(answer="c + w * (c - u)"), GUIDED.format(answer="u + w * (c - u)")


@pytest.fixture
def file(tmp_path):
    """A file with a right answer, and a stub."""
    file = tmp_path / "mine.py"
    file.write_text(RIGHT, encoding="utf-8")
    return file


def test_the_exit_code_is_1_where_one_fails_and_the_table_says_which(file, capsys):
    assert cli.main(["check", str(file), "--only", "cfg"]) == 0
    assert cli.main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "mine.py: 1 of 2 obey their laws" in out
    assert "not yet" in out
    file.write_text(OTHER, encoding="utf-8")
    assert cli.main(["check", str(file), "--only", "cfg"]) == 1
    out = capsys.readouterr().out
    assert "cfg(c=np.array([[0.0]]), u=np.array([[1.0]]), w=0.0)" in out
    assert "Consistent with the other convention" in out


def test_json_is_what_grade_gives(file, capsys):
    assert cli.main(["check", str(file), "--json"]) == 1
    marks = json.loads(capsys.readouterr().out)
    assert {name: (mark["passed"], mark["written"]) for name, mark in marks.items()} == {
        "cfg": (True, True),
        "q_step": (False, False),
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x = 3", "none of the 56 functions that check knows, but no function at all"),
        ("def f(): pass", "knows, but f."),
        ("def f(:", "mine.py is not Python: invalid syntax"),
    ],
)
def test_a_file_without_exercises_is_an_error_of_one_line(content, says, file, capsys):
    file.write_text(content, encoding="utf-8")
    assert cli.main(["check", str(file)]) == 1
    assert says in (err := capsys.readouterr().err)
    assert len(err.splitlines()) == 1


def test_a_file_that_is_watched_is_checked_again_where_it_has_changed(file, monkeypatch, capsys):
    graded, grade = [], checking.grade

    def noted(path, names):
        graded.extend(names)
        return grade(path, names)

    def changes(path):
        yield
        file.write_text(OTHER, encoding="utf-8")
        yield
        file.write_text("def cfg(:", encoding="utf-8")
        yield

    monkeypatch.setattr(checking, "grade", noted)
    monkeypatch.setattr(checking, "changes", changes)
    assert checking.check_file(Check(file, watch=True)) == 0
    assert graded == ["cfg", "q_step", "cfg"]
    captured = capsys.readouterr()
    assert "1 of 2 obey" in captured.out
    assert "0 of 2 obey" in captured.out
    assert "is not Python" in captured.err


def test_a_change_of_the_file_is_seen(file):
    """Written at once: a file that is seen half written has changed twice."""
    seen, beside = [], file.with_name("beside")
    beside.write_text("longer than before" * 99, encoding="utf-8")

    def watch():
        for _ in checking.changes(file):
            seen.append(file.exists())
            if len(seen) == 3:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    for act in (lambda: beside.replace(file), file.unlink):
        time.sleep(0.4)
        act()
    thread.join(10)
    assert seen == [True, True, False]
