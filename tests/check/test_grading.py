"""A grade: half an answer gets half, and nothing that a student's file does to the judge gives or loses a point."""

import io
import json
import os
import subprocess
import sys
import textwrap
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from right import ANSWERS

from tinydiff.check import check, grade, spec
from tinydiff.check.grading import child, remote
from tinydiff.check.grading.remote import Remote
from tinydiff.check.grading.source import Source
from tinydiff.check.probe import Broken

RIGHT = """
import numpy as np

def q_sample(x0, t, eps, betas):
    left = alpha_bar(betas)[t]
    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps

def alpha_bar(betas):
    return np.append(1, np.cumprod(1 - betas))
"""
HALF = """
import numpy as np

def posterior(x_t, x0, t, betas):
    beta, now, before = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[:t - 1])
    return (np.sqrt(1 - beta) * (1 - before) * x_t + np.sqrt(before) * beta * x0) / (1 - now), beta
"""
WRONG = RIGHT.replace("np.sqrt(1 - left)", "(1 - left)")


@pytest.fixture(autouse=True)
def few_cases(monkeypatch):
    """Every sixth case of each law, from the first: what is tried here is the way to another process and back.

    The laws themselves are tried in test_specs.py, on all cases.
    """
    grading = sys.modules[grade.__module__]
    monkeypatch.setattr(grading, "cases", lambda *about, whole=grading.cases: islice(whole(*about), 0, None, 6))


@pytest.fixture
def mark(tmp_path):
    """The marks of a text, as a file."""

    def mark(text, exercises=("q_sample",), ending=".py", seed=1):
        file = tmp_path / f"answers{ending}"
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        marks = grade(file, exercises, seed)
        assert json.loads(json.dumps(marks)) == marks
        return marks

    return mark


def notebook(*cells):
    """The cells as a notebook."""
    return json.dumps({"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]})


# ---- points


def test_right_half_wrong_and_missing(mark):
    marks = mark(RIGHT + HALF, {"q_sample": 10, "posterior": 10, "snr": 10})
    assert (marks["q_sample"]["passed"], marks["q_sample"]["points"]) == (True, 10)
    assert marks["q_sample"]["law"] is None
    assert 2 < marks["posterior"]["points"] < 8
    assert marks["posterior"]["hint"] == "Consistent with β_t in place of β̃_t."
    assert marks["snr"] | {"report": ""} == marks["snr"] | {"passed": False, "points": 0, "of": 10, "report": ""}
    assert "no function snr in answers.py" in marks["snr"]["report"]


@pytest.mark.parametrize(
    ("name", "zeros"),
    [
        ("q_sample", "0 * x0"),
        ("alpha_bar", "np.zeros(len(betas) + 1)"),
        ("snr", "0.0"),
        ("posterior", "(0 * x_t, 0.0)"),
    ],
)
def test_an_answer_of_zeros_has_no_points(name, zeros, mark):
    marks = mark(f"import numpy as np\ndef {name}({', '.join(spec(name).names)}):\n    return {zeros}\n", [name])
    assert (marks[name]["passed"], marks[name]["points"]) == (False, 0)


def test_without_names_all_that_the_file_defines_are_marked(mark):
    assert list(mark(RIGHT + HALF + "\ndef helper(x):\n    return x\n", None)) == ["q_sample", "alpha_bar", "posterior"]


def test_a_function_may_be_judged_by_another_specification(mark):
    text = RIGHT.replace("def q_sample", "def jump")
    assert mark(text, ["jump:q_sample"])["jump:q_sample"]["passed"]


def test_the_random_cases_are_not_the_same_twice(mark, monkeypatch):
    """A table of the answers to all small cases, and to the random ones of seed 1, is no answer."""
    seen = {}

    def learns(x0, t, eps, betas):
        out = ANSWERS["q_sample"][0](x0, t, eps, betas)
        seen[(x0.tobytes(), t, eps.tobytes(), betas.tobytes())] = out.tolist()
        return out

    assert check(learns, "q_sample")
    table = repr(seen)
    text = f"import numpy as np\ntable = {table}\ndef q_sample(x0, t, eps, betas):\n"
    text += "    return np.array(table[(x0.tobytes(), t, eps.tobytes(), betas.tobytes())])\n"
    assert mark(text, seed=0)["q_sample"]["passed"]
    assert not mark(text, seed=None)["q_sample"]["passed"]


# ---- what a file may do


CHEATS = {
    "check redefined": "check = lambda *a, **k: None",
    "NumPy redefined": "import numpy as np\nnp.allclose = np.array_equal = np.all = lambda *a, **k: True",
    "builtins redefined": "import builtins\nbuiltins.all = builtins.abs = lambda *a: True",
    "the end of Python": "import sys\nsys.exit(0)",
    "the end of Python, in the function's way": "zero = __import__('os')._exit(0)",
    "tinydiff patched": "import sys\nimport tinydiff.check as c\nc.check = c.grade = lambda *a, **k: True",
    "a tinydiff of their own": "import sys, types\nsys.modules['tinydiff'] = types.ModuleType('tinydiff')",
    "a printed result": 'print(\'{"q_sample": {"passed": true, "points": 4}}\')',
    "an endless loop": "while True:\n    pass",
    "an exception": "raise SystemExit('all right')",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_line_beside_a_wrong_answer_gives_nothing_and_beside_a_right_one_costs_nothing(cheat, mark):
    wrong, right = (mark(CHEATS[cheat] + "\n" + text)["q_sample"] for text in (WRONG, RIGHT))
    assert not wrong["passed"]
    assert wrong["law"].startswith("at t = 1 it is one step")
    assert wrong["hint"] == "Consistent with 1 − ᾱ_t in place of √(1 − ᾱ_t)."
    assert right["passed"]


INSIDE = {
    "sys.exit": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "os._exit": ("import os; os._exit(0)", "the process ended"),
    "an endless loop": ("while True: pass", "no answer in time"),
    "much memory": ("return np.ones(10**10)", "MemoryError"),
    "a large answer": ("return np.zeros(10**7)", "an answer that cannot be read"),
    "a file": ("import tempfile; tempfile.TemporaryFile(); return x0", "No usable temporary directory"),
    "the library": ("import tinydiff as td; return td.q_sample(x0)", "tinydiff is not here"),
    "the library's laws": ("from tinydiff.check.laws import truth; return truth.kernel(x0)", "tinydiff is not here"),
    "a pickle": ("import pickle; return pickle.dumps(x0)", "bytes"),
    "an object": ("return type('A', (), {'__eq__': lambda self, other: True})()", "A "),
    "a subclass": ("return x0.view(type('A', (np.ndarray,), {'__eq__': lambda self, other: True}))", "1"),
    "bytes of their own": ("import os; [os.write(fd, b'x' * 64) for fd in (4,)]; return x0", "cannot be read"),
    "the frame above": ("import sys; sys._getframe(1).f_locals['answer'] = 1; return x0", "1"),
}


@pytest.mark.parametrize("act", INSIDE)
def test_whatever_a_function_does_ends_in_a_mark(act, mark, monkeypatch):
    body, says = INSIDE[act]
    monkeypatch.setattr(remote, "FIRST", 0.5 if says == "no answer in time" else 10.0)  # a large answer takes its time
    marks = mark(f"import numpy as np\ndef q_sample(x0, t, eps, betas):\n    {body}\n")["q_sample"]
    assert not marks["passed"]
    assert says in marks["yours"]
    assert marks["points"] <= 1


def alive(group):
    """Whether a process of this group still runs; what is dead and not buried does not."""
    stats = (file.read_text(encoding="utf-8").rpartition(")")[2].split() for file in Path("/proc").glob("[0-9]*/stat"))
    return any(int(fields[2]) == group and fields[0] != "Z" for fields in stats)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_a_fork_gains_nothing_and_does_not_outlive_the_mark(mark, monkeypatch):
    groups = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            groups.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    text = """
    import os, time
    forks = []

    def q_sample(x0, t, eps, betas):
        if len(forks) < 3:
            forks.append(os.fork())
            if forks[-1] == 0:
                time.sleep(1)
        return x0
    """
    assert not mark(text)["q_sample"]["passed"]
    end = time.monotonic() + 10
    while any(map(alive, groups)) and time.monotonic() < end:
        time.sleep(0.01)  # killed, and not dead yet
    assert len(groups) == 1
    assert not any(map(alive, groups))


LAWFUL = "    left = prod(1 - betas[:t])\n    return sqrt(left) * x0 + sqrt(1 - left) * eps\n"
SIGNED = "def q_sample(x0, t, eps, betas):\n"
WAYS = {
    "star imports": "from math import *\nfrom numpy import *\n" + SIGNED + LAWFUL,
    "an argument of its own": "from numpy import *\n"
    "def q_sample(x0, t, eps, betas, dtype=float, *, how='a'):\n" + LAWFUL,
    "tinydiff beside NumPy": "import numpy as np, tinydiff as td\nfrom numpy import *\nfrom tinydiff.check import f\n"
    "def q_sample(x0: td.Points, t, eps, betas):\n" + LAWFUL,
    "a lambda": "from numpy import *\ndef a(t, b):\n    return prod(1 - b[:t])\n"
    "q_sample = lambda x, t, e, b: sqrt(a(t, b)) * x + sqrt(1 - a(t, b)) * e",
    "a partial": "from functools import partial\nfrom numpy import *\ndef jump(one, x0, t, eps, betas):\n"
    + LAWFUL
    + "q_sample = partial(jump, 1)\n",
    "a condition": "from numpy import *\nif True:\n    def q_sample(x0, t, eps, betas):\n"
    + LAWFUL.replace("    ", "        "),
    "a name used again": "from numpy import *\n" + SIGNED + LAWFUL + "q_sample = 3\n",
    "form feeds": "from numpy import *\n# \x0c \x1c \u2028\n\x0c\n" + SIGNED + LAWFUL,
    "Windows": ("from numpy import *\n" + SIGNED + LAWFUL).replace("\n", "\r\n"),
    "postponed annotations": "from __future__ import annotations\nfrom numpy import *\n"
    "def q_sample(x0: Missing, t, eps, betas) -> Missing:\n" + LAWFUL,
    "lists that are filled": "from numpy import *\nP = []\nfor k in range(1):\n    P.append(1 - k)\n"
    + SIGNED
    + LAWFUL.replace("(1 - betas", "(P[0] - betas"),
    "a walrus": "from numpy import *\n(P := 1)\n" + SIGNED + LAWFUL.replace("(1 - betas", "(P - betas"),
    "a dataclass": "from dataclasses import dataclass\nfrom numpy import *\n@dataclass\nclass C:\n    p: 'float' = 1\n"
    + SIGNED
    + LAWFUL.replace("(1 - betas", "(C().p - betas"),
    "many terms": "from numpy import *\nK = "
    + "+".join("1" * 500)
    + " - 499\n"
    + SIGNED
    + LAWFUL.replace("(1 - b", "(K - b"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_right_answer_in_another_style_has_full_marks(way, mark, tmp_path):
    file = tmp_path / "answers.py"
    file.write_bytes(WAYS[way].encode())
    marks = grade(file, ["q_sample"])["q_sample"]
    assert marks["passed"], marks["report"]


@pytest.mark.parametrize(
    "cells",
    [
        [
            "from numpy import *\n#right?\nx = !ls\n%time P = 1\nnp.sum?",
            SIGNED + LAWFUL.replace("(1 - betas", "(P - betas"),
        ],
        ["%%prun\nfrom numpy import *\nP = (7\n % 3)", SIGNED + LAWFUL.replace("(1 - betas", "(P - betas")],
    ],
)
def test_a_right_answer_in_a_notebook_has_full_marks(cells, mark):
    marks = mark(notebook(*cells), ending=".ipynb")["q_sample"]
    assert marks["passed"], marks["report"]


ATTACKS = {
    "replies without end": """
        m = b'{"value": {"list": [1]}, "changed": []}'
        while True:
            os.write(4, struct.pack('>QQ', len(m), 0) + m)""",
    "an infinite number": """
        m = b'{"value": {"list": [1]}, "changed": [Infinity]}'
        os.write(4, struct.pack('>QQ', len(m), 0) + m)""",
    "an error that no terminal shows": "raise ValueError(chr(0xd800) + chr(27) + '[2J')",
    "a list within itself": "a = []; a.append(a); return a",
    "a number without end": "return 10**5000",
    "a shape without end": "return np.zeros((0, 10**9))",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_ends_in_a_mark_that_can_be_printed(attack, mark, monkeypatch):
    monkeypatch.setattr(remote, "FIRST", 1.0)
    body = textwrap.dedent(ATTACKS[attack]).strip().replace("\n", "\n    ")
    text = f"import os, struct\nimport numpy as np\ndef q_sample(x0, t, eps, betas):\n    {body}\n"
    marks = mark(text)["q_sample"]
    assert not marks["passed"]
    assert marks["report"].encode().decode().isprintable() is False  # for its line ends alone
    assert all(letter.isprintable() or letter == "\n" for letter in marks["report"])


@pytest.mark.parametrize(
    "calls", ['f("a", 10**9)', "f([0], 10**9)", "f(np.zeros((20000, 1)), np.zeros((1, 90000)))", "f(f, f)"]
)
def test_what_a_function_of_ours_is_asked_has_bounds(calls, mark):
    marks = mark(f"import numpy as np\ndef euler_step(f, x, t, s):\n    return {calls}\n", ["euler_step"])["euler_step"]
    assert marks["yours"].startswith("ValueError: ")


def test_a_function_that_was_given_earlier_stays_that_function(mark):
    text = "K = []\ndef euler_step(f, x, t, s):\n    K.append(f)\n    return x + (s - t) * K[0](x, t)\n"
    assert not mark(text, ["euler_step"])["euler_step"]["passed"]


@pytest.mark.parametrize(
    "text",
    [
        "def q_sample(x0, x0, eps, betas):\n    return x0",
        "def q_sample(x0, t, eps, betas):\n    global t\n    return x0",
    ],
)
def test_what_python_does_not_take_costs_its_own_function_alone(text, mark):
    marks = mark(RIGHT.replace("q_sample", "jump") + text, ["q_sample", "alpha_bar"])
    assert marks["q_sample"]["yours"].startswith("SyntaxError")
    assert marks["alpha_bar"]["passed"]


def test_what_is_drawn_with_a_library_is_not_done_for_a_function_that_uses_it(tmp_path):
    lines = [
        "import numpy as np",
        "import tinydiff as td",
        "data = td.x()",
        "np.seterr(all='ignore')",
        "for k in range(3):",
    ]
    lines += ["    x = np.sum(data)", "def f(x):", "    return np.sum(x)"]
    (tmp_path / "a.py").write_text("\n".join(lines), encoding="utf-8")
    assert [line for line in Source(tmp_path / "a.py").of("f").split("\n") if line] == [lines[0], *lines[-2:]]


def test_a_long_chain_of_names_is_read_at_once(tmp_path):
    (tmp_path / "a.py").write_text(
        "a0 = 1\n" + "".join(f"a{i} = a{i - 1}\n" for i in range(1, 3000)) + "def f():\n    return a2999\n",
        encoding="utf-8",
    )
    assert Source(tmp_path / "a.py").of("f").count("=") == 3000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_leaves_does_not_hold_the_mark_up(mark):
    text = """
    import os, time

    def q_sample(x0, t, eps, betas):
        if t == 1 and os.fork() == 0:
            os.setsid()
            time.sleep(15)
            os._exit(0)
        raise ValueError
    """
    begun = time.monotonic()
    assert not mark(text)["q_sample"]["passed"]
    assert time.monotonic() - begun < 14


def test_what_a_function_names_itself_is_not_taken_from_the_file(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import tinydiff as td\nbetas = td.x\nx = td.y\ndef f(betas):\n    x = 1\n    return [x for x in betas]\n",
        encoding="utf-8",
    )
    assert Source(file).of("f").strip().startswith("def f")


def test_what_the_file_says_in_the_end_counts_and_a_loop_in_one_exercise_costs_it_alone(mark, monkeypatch):
    monkeypatch.setattr(remote, "FIRST", 3.0)
    marks = mark(WRONG + RIGHT + "\ndef snr(t, betas):\n    while True: pass\n", ["q_sample", "snr"])
    assert marks["q_sample"]["passed"]
    assert (marks["snr"]["points"], marks["snr"]["yours"]) == (0, "no answer in time")


def test_a_stub_is_not_begun_and_a_broken_definition_says_why(mark):
    marks = mark(
        "def q_sample(x0, t, eps, betas):\n    ...\n\nimport nothing_of_the_kind\n\n"
        "def snr(t, betas):\n    return nothing_of_the_kind.f(t)\n",
        ["q_sample", "snr"],
    )
    assert (marks["q_sample"]["written"], marks["q_sample"]["points"]) == (False, 0)
    assert marks["snr"]["yours"].startswith("ModuleNotFoundError: No module named 'nothing_of_the_kind'")
    assert "line 4" in marks["snr"]["hint"]


# ---- functions among the arguments, and everything else that checks find in a process of their own


MLP = """
import numpy as np
def mlp(params, x):
    layers, hs, sums = list(zip(params[::2], params[1::2])), [x], []
    for w, b in layers:
        sums.append(hs[-1] @ w + b)
        hs.append(sums[-1] * (1 + np.tanh(sums[-1] / 2)) / 2)
    def pullback(dy):
        grads = []
        for i in reversed(range(len(layers))):
            if i < len(layers) - 1:
                share = (1 + np.tanh(sums[i] / 2)) / 2
                dy = dy * share * (1 + sums[i] * (1 - share))
            grads = [hs[i].T @ dy, dy.sum(0), *grads]
            dy = dy @ layers[i][0].T
        return grads, dy
    return sums[-1], pullback
"""
CALLERS = {
    "euler_step": "def euler_step(f, x, t, s):\n    return x + (s - t) * f(x=x, t=t)",
    "euler_maruyama_step": """
def euler_maruyama_step(f, g, x, t, s, z):
    return x + (s - t) * f(x, t) + abs(s - t) ** 0.5 * g(t) * z""",
    "ancestral": """
def ancestral(x0_hat_of, x, zs, betas):
    for t in range(len(betas), 0, -1):
        b, now, before = betas[t - 1], (1 - betas[:t]).prod(), (1 - betas[: t - 1]).prod()
        x = (before**0.5 * b * x0_hat_of(x, t) + (1 - b) ** 0.5 * (1 - before) * x) / (1 - now)
        x = x + (b * (1 - before) / (1 - now)) ** 0.5 * zs[t - 1]
    return x""",
    "mlp": MLP,
    "hutchinson": "def hutchinson(vjp, x, p):\n    return sum((v * vjp(x, v)).sum(1) for v in p) / len(p)",
    "dpm_solver_2m_step": """
from math import log
def lam(alpha, sigma, t):
    return log(alpha(t) / sigma(t))
def dpm_solver_2m_step(x, new, old, tb, t, s, alpha, sigma):
    h, hb = lam(alpha, sigma, s) - lam(alpha, sigma, t), lam(alpha, sigma, t) - lam(alpha, sigma, tb)
    d = new + h / hb / 2 * (new - old)
    return sigma(s) / sigma(t) * x + (alpha(s) - alpha(t) * sigma(s) / sigma(t)) * d""",
}


@pytest.mark.parametrize("name", CALLERS)
def test_functions_are_called_from_the_other_side(name, mark):
    marks = mark(CALLERS[name], [name])[name]
    assert marks["passed"], marks["report"]


def test_an_argument_that_is_changed_or_comes_back_from_a_function_is_found(mark):
    changes = "def euler_step(f, x, t, s):\n    k = f(x, t)\n    k *= s - t\n    k += x\n    return k\n"
    assert mark(changes, ["euler_step"])["euler_step"]["law"] == "it leaves its arguments as they were"


@pytest.mark.parametrize(
    ("line", "law", "yours"),
    [
        ("params[0] += 1", "it leaves its arguments as they were", "2"),
        ("params.pop()", "it answers with numbers", "IndexError"),
        ("params.append(params.pop() + 1)", "it leaves its arguments as they were", "1"),
        ("x = 2 * x", "one layer is linear: y = x w + b", None),
    ],
)
def test_what_a_function_does_to_a_list_of_arrays_is_found_there_too(line, law, yours, mark):
    marks = mark(MLP.replace("    layers,", f"    {line}\n    layers,"), ["mlp"])["mlp"]
    assert marks["law"] == law, marks["report"]
    assert yours is None or marks["yours"].startswith(yours)


def test_a_list_that_loses_its_last_array_is_not_left_as_it_was(mark):
    marks = mark(MLP.replace("    return sums[-1], p", "    params.pop()\n    return sums[-1], p"), ["mlp"])["mlp"]
    assert (marks["law"], marks["yours"]) == ("it leaves its arguments as they were", "nan")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("return sums[-1], pullback", "return sums[-1], pullback(x)"), "pullback is a function of dy"),
        (("return grads, dy", "return grads"), "dparams has one array for each of params"),
        (("grads = [hs[i].T @ dy,", "grads = [dy.T @ hs[i],"), None),
        (("dy = dy * share", "dy = dy * missing"), "in line 13 of pullback: dy = dy * missing"),
        (("+ sums[i]", "- sums[i]"), "Consistent with the sign in the slope"),
    ],
)
def test_what_is_wrong_with_a_pullback_is_said_there_too(changed, says, mark):
    marks = mark(MLP.replace(*changed), ["mlp"])["mlp"]
    assert not marks["passed"]
    assert says is None or says in marks["hint"], marks["report"]
    assert marks["case"].startswith("y, pullback = mlp(params=[np.array(")
    assert marks["case"].splitlines()[1].startswith("y, *pullback(np.array(")


def test_messages_come_back_as_they_were():
    kept = []
    values = [
        None,
        True,
        3,
        2.5,
        "word",
        (1, [np.arange(6.0).reshape(2, 3), ()]),
        np.float32(1),
        np.zeros((0, 2)),
        np.array([True, False]),
        1 + 0 * np.ones((2, 2), np.int16),
    ]
    stream = io.BytesIO()
    stream.write(child.encode({"id": 1, "value": [*values, abs, {1: 2}]}, lambda f: kept.append(f) or 0))
    stream.seek(0)
    back = child.receive(stream, lambda number, args, named: kept[number](*args))["value"]
    for one, other in zip(values, back, strict=False):
        np.testing.assert_equal(other, one)
        assert type(other) is type(one)
    assert back[-2](-3) == 3
    assert type(back[-1]).__name__ == "dict"


@pytest.mark.parametrize("content", [[">f8", [-1], 0], ["<f8", [1 << 40], 0], ["O", [1], 0], ["<f8", [3], 0]])
def test_an_array_that_lies_about_its_size_is_not_read(content):
    with pytest.raises(ValueError, match="does not fit"):
        child.unpack({"array": content}, memoryview(bytes(8)), print)


def test_where_nothing_can_run_it_is_an_error_and_no_mark(mark, monkeypatch):
    monkeypatch.setattr(remote, "paths", list)  # no NumPy
    with pytest.raises(ChildProcessError, match="No module named 'numpy'"):
        mark(RIGHT)


# ---- the file


def test_of_a_notebook_the_cells_are_read_and_what_is_no_python_is_left_out(mark):
    own = "%matplotlib inline\nimport numpy as np\n!ls\nnp?"
    cells = [own, "%%bash\nls -l", "this is no Python", "%%time\n" + RIGHT]
    assert mark(notebook(*cells), ending=".ipynb")["q_sample"]["passed"]
    marks = mark(notebook("def q_sample(:\n"), ending=".ipynb")["q_sample"]
    assert "cell 1 is not Python: invalid syntax" in marks["hint"]


def test_a_function_takes_the_lines_that_it_needs_alone(tmp_path):
    file = tmp_path / "answers.py"
    file.write_text(
        """import sys, numpy as np
import nothing
T = 3
betas = np.ones(T)
betas[0] = 0
other = nothing.x
print(T)
@wrapped
def f(x):
    return np.sum(betas) + g(x)
def wrapped(f): return f
for k in range(2):
    g = k
""",
        encoding="utf-8",
    )
    lines = Source(file).of("f").splitlines()
    assert [number for number, line in enumerate(lines, 1) if line] == [1, 3, 4, 5, 8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.py", b"def snr(:", "a.py is not Python: invalid syntax"),
        ("a.py", b"\xff\xfe", "cannot be read"),
        ("a.py", b"x = " + b"-" * 90_000 + b"1", "is not Python"),
        ("a.ipynb", b"{}", "cannot be read"),
        ("a.ipynb", b"no json", "cannot be read"),
        ("a.ipynb", b"[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_has_no_points_and_says_why(name, content, says, tmp_path):
    """It is the student's, and the class goes on."""
    (tmp_path / name).write_bytes(content)
    marks = grade(tmp_path / name, ["snr"])["snr"]
    assert (marks["passed"], marks["points"]) == (False, 0)
    assert says in marks["hint"]


def test_a_path_that_is_no_submission_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must end in \.py or \.ipynb"):
        grade(tmp_path / "a.txt", ["snr"])
    with pytest.raises(FileNotFoundError):
        grade(tmp_path / "none.py", ["snr"])


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"exercises": "snr"}, TypeError, r"write \['snr'\]"),
        ({"exercises": [3]}, ValueError, "must be names of functions, as 'snr' or 'mine:snr'; got 3"),
        ({"exercises": [":snr"]}, ValueError, "got ':snr'"),
        ({"exercises": ["snr:"]}, ValueError, "no specification is called ''"),
        ({"exercises": ["snr"], "seed": -1}, ValueError, "seed must be a whole number, 0 or more; got -1"),
        ({"exercises": ["snr"], "seed": "x"}, ValueError, "got 'x'"),
    ],
)
def test_a_question_that_makes_no_sense_is_an_error(asked, error, says, tmp_path):
    (tmp_path / "a.py").write_text(RIGHT, encoding="utf-8")
    with pytest.raises(error, match=says):
        grade(tmp_path / "a.py", **asked)


@pytest.mark.parametrize("exercises", [{"q_sample": 0}, {"q_sample": float("nan")}, {"q_sample": "ten"}, ["q_samples"]])
def test_an_exercise_that_cannot_be_marked_is_an_error(exercises, mark):
    with pytest.raises(ValueError, match="q_sample"):
        mark(RIGHT, exercises)


def test_a_call_after_the_end_is_broken_at_once(tmp_path):
    (tmp_path / "a.py").write_text("def f(x):\n    return x\n", encoding="utf-8")
    function = Remote(Source(tmp_path / "a.py"), "f")
    assert function(np.ones(2)).tolist() == [1, 1]
    function.close()
    with pytest.raises(Broken):
        function(1)


def test_the_child_takes_nothing_from_tinydiff():
    assert "import tinydiff" not in (text := Path(child.__file__).read_text(encoding="utf-8"))
    assert "from tinydiff" not in text


def test_what_a_function_may_make_is_bounded_whether_or_not_its_arguments_broadcast():
    """Points (B, D) and a time (B,) for each do not, and are no error."""
    assert remote.together([np.ones((4, 3)), np.ones((1, 3)), 2.0]) == 12
    assert remote.together([np.ones((4, 3)), np.ones(4)]) == 48
