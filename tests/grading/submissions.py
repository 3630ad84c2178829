"""The assignment and what its students hand in, honest and not: each with the marks that it must get."""

import copy
import importlib.util
import os
import pickle
import re
import subprocess
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[notebooks]'")
pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
if not (ROOT / "notebooks").is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

EXERCISES = ("q_step", "q_sample", "posterior")
ALL, NONE, SOME = (1, 1, 1), (0, 0, 0), "between 0 and 1"
SOLVED = {
    name: re.sub(r" *### \w+ SOLUTION\n?", "", cell.source.rpartition("\n\n\ncheck(")[0]).rstrip()
    for cell in build.read(HERE / "assignment.py").cells
    for name in EXERCISES
    if f"def {name}(" in cell.source
}

STUDENTS = {}
"""By name: the marks to expect, and what makes the student's notebook and files of the notebook that was handed out."""


def student(*marks):
    """Take the function for what a student does, named by its name, and these marks for what it must get."""

    def add(edit):
        STUDENTS[edit.__name__] = (marks, edit)
        return edit

    return add


def answer(notebook, **answers):
    """Write these functions where the notebook has the exercises."""
    for name, source in answers.items():
        (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and f"def {name}(" in cell.source)
        tail = "\n\n\ncheck(" + name + ")" if "\ncheck(" in cell.source else ""  # as in the notebook for Otter
        cell.source = source + tail


def insert(notebook, source, at=1):
    """A code cell of the student's own, before all the others or at the end."""
    cell = nbformat.v4.new_code_cell(source)
    notebook.cells.insert(at if at >= 0 else len(notebook.cells), cell)


def submit(name, released, folder):
    """The student's notebook in this folder, made of the one that was handed out, with what else is handed in."""
    folder.mkdir(parents=True)
    notebook = copy.deepcopy(released)
    STUDENTS[name][1](notebook, folder)
    nbformat.write(notebook, folder / "assignment.ipynb")


def cheat(notebook, lines, value="{first} * 0.0"):
    """Write these lines into all three functions, and let them return a made-up value of the right shape."""
    for name, source in SOLVED.items():
        head = source.partition("\n")[0]
        made = value.format(first=head.partition("(")[2].partition(",")[0])
        body = [*lines.strip().splitlines(), f"return {f'({made}, 0.5)' if name == 'posterior' else made}"]
        answer(notebook, **{name: "\n".join([head, *(f"    {line}" for line in body)])})


def run(*command, cwd, check=True, **env):
    """Run a command of an environment as if that were activated; its output and its exit status."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PATH": path} | env
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=400)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def holds(name, marks):
    """Assert that a student has the marks that are expected, and that docs/instructor.md says so."""
    marks = [marks[exercise] for exercise in EXERCISES]
    assert all(0 < got < 1 if want is SOME else got == want for want, got in zip(STUDENTS[name][0], marks, strict=True))
    row = " | ".join([STUDENTS[name][1].__doc__, *(f"{mark:.2g}" for mark in marks)])
    assert f"| {row} |" in (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")


# ---- honest work


@student(*ALL)
def right(notebook, folder):
    """all three right"""
    answer(notebook, **SOLVED)


@student(1, 0, 1)
def wrong(notebook, folder):
    """`q_sample` without the roots"""
    body = "    left = np.prod(1 - betas[:t])\n    return left * x0 + (1 - left) * eps"
    answer(notebook, **SOLVED | {"q_sample": f"def q_sample(x0, t, eps, betas):\n{body}"})


@student(1, 1, SOME)
def half(notebook, folder):
    """`posterior` with the right mean and a wrong variance"""
    answer(notebook, **SOLVED | {"posterior": SOLVED["posterior"].rpartition("\n")[0] + "\n    return mean, beta"})


@student(*NONE)
def untouched(notebook, folder):
    """untouched"""


@student(0, 1, 1)
def loops_in_a_function(notebook, folder):
    """`q_step` never returns, the others right"""
    answer(notebook, **SOLVED | {"q_step": "def q_step(x, t, eps, betas):\n    while True:\n        pass"})


@student(*ALL)
def right_then_loops(notebook, folder):
    """all right, beside a cell that never ends"""
    answer(notebook, **SOLVED)
    insert(notebook, "while True:\n    pass")


@student(*ALL)
def right_then_exits(notebook, folder):
    """all right, beside cells with `sys.exit()` and `os._exit(0)`"""
    answer(notebook, **SOLVED)
    insert(notebook, "import os\nimport sys\n\nsys.exit()")
    insert(notebook, "import os\n\nos._exit(0)")


@student(*ALL)
def right_and_unfinished(notebook, folder):
    """all right, beside magics and a cell that is not Python"""
    answer(notebook, **SOLVED)
    insert(notebook, "%matplotlib inline\n!ls")
    insert(notebook, "this is my scratchpad: x =", at=-1)


# ---- cheats


@student(*NONE)
def check_is_replaced(notebook, folder):
    """`check = lambda *a, **k: None`"""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "import check" in cell.source:
            cell.source += "\ncheck = lambda *a, **k: None"
    insert(notebook, "check = lambda *a, **k: None", at=-1)


@student(*NONE)
def exits(notebook, folder):
    """`sys.exit(0)` and `os._exit(0)` in a cell"""
    insert(notebook, "import sys\n\nsys.exit(0)")
    insert(notebook, "import os\n\nos._exit(0)")


@student(*NONE)
def exits_in_functions(notebook, folder):
    """the same and `os.kill` in the functions"""
    for name, end in zip(EXERCISES, ("os._exit(0)", "sys.exit(0)", "os.kill(os.getpid(), 9)"), strict=True):
        head = SOLVED[name].partition("\n")[0]
        answer(notebook, **{name: f"import os, sys\n\n{head}\n    {end}"})


@student(*NONE)
def patches_tinydiff(notebook, folder):
    """`tinydiff.check.check` and `sys.modules` replaced in a cell"""
    patch = """
import sys, types

import tinydiff.check as judge

judge.check = judge.engine.check = check = lambda *a, **k: True
judge.judging.agree = lambda *a: True
judge.judging.judge = lambda *a: None
fake = types.ModuleType("tinydiff")
fake.check = types.ModuleType("tinydiff.check")
fake.check.check = check
sys.modules.update({"tinydiff": fake, "tinydiff.check": fake.check})
"""
    insert(notebook, patch)


@student(*NONE)
def patches_tinydiff_when_called(notebook, folder):
    """the same as the functions are called"""
    patch = """
import sys
for name, module in list(sys.modules.items()):
    for word in ("agree", "judge", "grade", "check", "unpack"):
        if "tinydiff" in name and hasattr(module, word):
            setattr(module, word, lambda *a, **k: True)
"""
    cheat(notebook, patch)


@student(*NONE)
def patches_numpy(notebook, folder):
    """`np.abs`, `np.all` and `all` of Python replaced in a cell"""
    patch = """
import builtins

import numpy as np

np.all = np.allclose = np.isfinite = lambda *a, **k: True
np.abs = lambda *a: 0.0
builtins.all = builtins.any = builtins.bool = lambda *a: True
"""
    insert(notebook, patch)
    cheat(notebook, "")


@student(*NONE)
def patches_numpy_when_called(notebook, folder):
    """the same as the functions are called"""
    patch = """
np.all = np.allclose = np.isfinite = lambda *a, **k: True
np.abs = lambda *a: 0.0
__builtins__["all"] = __builtins__["bool"] = lambda *a: True
"""
    cheat(notebook, patch)


@student(*NONE)
def equals_everything(notebook, folder):
    """answers of a class that says it equals everything"""
    source = """
import numpy as np


class Yes(np.ndarray):
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0

    def __array_ufunc__(self, *args, **named):
        return 0.0

    def __array_function__(self, *args, **named):
        return True

    __le__ = __lt__ = __ge__ = __gt__ = __ne__ = __eq__
    __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__
"""
    insert(notebook, source.strip())
    cheat(notebook, "", "np.zeros_like({first}).view(Yes)")


@student(*NONE)
def prints_results(notebook, folder):
    """full marks printed, and written to open files"""
    full = {name: {"passed": True, "points": 1.0, "of": 1.0, "law": None, "report": "fine"} for name in EXERCISES}
    insert(notebook, f"import json\n\nprint(json.dumps({full}))\n1.0")
    lines = f"""
import json, os
text = json.dumps({full})
print(text, flush=True)
for i in range(1, 10):
    try:
        os.write(i, text.encode())
    except OSError:
        pass
os._exit(0)
"""
    cheat(notebook, lines)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "1.0"}, execution_count=1)]
            cell.execution_count = 1


@student(*NONE)
def modules_beside(notebook, folder):
    """`tinydiff.py`, `numpy.py`, `otter.py` and others beside the notebook"""
    told = f"from pathlib import Path\n\nPath({str(folder / 'imported')!r}).touch()\n"
    for name in ("tinydiff", "numpy", "otter", "nbgrader", "cupy", "ast", "json"):
        (folder / f"{name}.py").write_text(told + "check = grade = lambda *a, **k: None\n", encoding="utf-8")
    (folder / "tinydiff").mkdir()
    (folder / "tinydiff" / "__init__.py").write_text(told, encoding="utf-8")
    (folder / "sitecustomize.py").write_text(told, encoding="utf-8")


class Tells:
    """What a pickle runs as it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@student(*NONE)
def a_log_that_runs(notebook, folder):
    """an Otter log that runs code when it is read"""
    (folder / ".OTTER_LOG").write_bytes(pickle.dumps(Tells(str(folder / "imported"))))


@student(*NONE)
def changes_the_test_cells(notebook, folder):
    """test cells rewritten, worth 100 points"""
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.source = "100.0"
            cell.metadata.nbgrader.points = 100
        elif cell.cell_type == "code":
            cell.source = re.sub(r"^check\(\w+\)", "1.0", cell.source, flags=re.MULTILINE)


@student(*ALL)
def right_without_test_cells(notebook, folder):
    """all right, the test cells deleted"""
    answer(notebook, **SOLVED)
    notebook.cells = [cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("grade")]
    for cell in notebook.cells:
        cell.source = re.sub(r"^check\(\w+\)", "", cell.source, flags=re.MULTILINE)
