"""The course: its notebooks are what their sources make of them, run from top to bottom, and keep their form."""

import ast
import functools
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from running import FOLDER, load_build

import tinydiff as td
import tinydiff.check
from tinydiff import plotting

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[notebooks]'")
pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")

if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
build = load_build()

SOURCES = build.sources()
CHECKED = [source for source in SOURCES if "keep(" not in source.read_text(encoding="utf-8")]
"""Those whose functions are checked and not kept; test_rules.py has the others."""
MADE = {"student": (build.stubbed, FOLDER), "solutions": (build.solved, FOLDER / "solutions")}
PASSES, UNWRITTEN = re.compile(r"obeys its \d+ laws|^[\w ]+:\n✓[^✗]*$"), re.compile(r"^[\w ]+: not yet\.")

of_all = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
of_checked = pytest.mark.parametrize("source", CHECKED, ids=lambda path: path.stem)
both = pytest.mark.parametrize("kind", MADE)


def made(source, kind):
    return MADE[kind][0](build.read(source))


def content(notebook):
    return [(cell.id, cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]


@functools.cache
def committed(source, kind):
    return nbformat.read(MADE[kind][1] / f"{source.stem}.ipynb", as_version=4)


def exercises(source):
    return [cell for cell in build.read(source).cells if build.is_check(cell)]


def needs_digits(source):
    if "load_mnist" in source.read_text(encoding="utf-8") and not os.environ.get("TINYDIFF_MNIST_DIR"):
        pytest.skip("set TINYDIFF_MNIST_DIR to run the notebook on digits")


# ---- what is committed


def test_there_are_fourteen_notebooks_with_forty_five_exercises():
    assert [source.stem[:2] for source in SOURCES] == [f"{i:02d}" for i in (*range(12), 14, 15)]
    assert sum(len(exercises(source)) for source in SOURCES) >= 45


@both
@of_all
def test_what_is_committed_is_what_the_source_makes(source, kind):
    assert content(committed(source, kind)) == content(made(source, kind)), "run `make notebooks`"


@both
@of_all
def test_what_is_committed_was_run_in_order_and_is_small(source, kind):
    """What a cell prints is in one piece."""
    cells = [cell for cell in committed(source, kind).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(sum(output.output_type == "stream" for output in cell.outputs) <= 1 for cell in cells)
    assert (MADE[kind][1] / f"{source.stem}.ipynb").stat().st_size <= 700_000


@both
@of_all
def test_its_links_within_the_course_lead_somewhere(source, kind):
    text = "\n".join(cell.source for cell in committed(source, kind).cells if cell.cell_type == "markdown")
    near = [link for link in re.findall(r"\]\(([^)\s]+\.(?:ipynb|svg|md))\)", text) if "://" not in link]
    assert near
    assert [link for link in near if not (MADE[kind][1] / link).is_file()] == []


@of_all
def test_what_it_cites_is_in_the_bibliography(source):
    bibliography = (FOLDER.parent / "docs" / "bibliography.md").read_text(encoding="utf-8")
    cited = re.findall(r"(?:arxiv\.org/abs|doi\.org)/([\w./-]+)", source.read_text(encoding="utf-8"))
    assert cited
    assert [work for work in cited if work not in bibliography] == []


@of_all
def test_each_picture_has_words_for_those_who_do_not_see_it_and_a_sentence_below(source):
    cells = committed(source, "student").cells
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        outputs = cell.get("outputs", ())
        drawn = [o for o in outputs if any(kind.startswith("image/") for kind in o.get("data", ()))]
        words = [of["alt"] for o in outputs for kind, of in o.get("metadata", {}).items() if kind.startswith("image/")]
        assert len(drawn) == len(words) <= 1
        if drawn:
            assert len(words[0]) >= 40
            assert cell.metadata.mystnb.image.alt == words[0]
            assert below.source.startswith("*What to see:*") or "play(" in cell.source
        for output in outputs:
            assert all(
                len(alt) >= 40
                for alt in re.findall('<img[^>]*alt="([^"]*)"', output.get("data", {}).get("text/html", ""))
            )


@of_checked
def test_it_opens_and_ends_as_all_do(source):
    notebook = build.read(source)
    opening, ending = notebook.cells[0].source, notebook.cells[-1].source
    everything = "\n".join(cell.source for cell in notebook.cells)
    assert opening.startswith(f"# {int(source.stem[:2])}. ")
    assert re.search(r"^\*\*.*\?\*\*$", opening, re.MULTILINE), "it asks one question, in bold"
    for words in ("*You need:*", "*To read:*", "*To work:*", "minutes", "colab.research.google.com"):
        assert words in opening
    for words in ("**Predict.**", "## Break it", "## The numbers", "## What you know now"):
        assert words in everything
    assert "**Next:**" in ending
    assert re.search(r"^\s*assert |np\.testing\.assert", everything, re.MULTILINE), "numbers meet the truth"


# ---- what runs


@pytest.mark.slow
@both
@of_all
def test_it_runs_in_a_kernel_and_checks_pass_with_the_solutions_alone(source, kind):
    needs_digits(source)
    runs_in_a_kernel(source, kind)


def test_one_of_them_runs_in_a_kernel():
    """Its exercises are unsolved, and so fail."""
    runs_in_a_kernel(SOURCES[4], "student")


def runs_in_a_kernel(source, kind):
    before = [other for other in SOURCES if other < source] if kind == "solutions" else ()
    notebook = build.executed(made(source, kind), before)
    cells = [cell for cell in notebook.cells if build.is_check(cell) or build.is_kept(cell)]
    said = [o.data["text/plain"] for cell in cells for o in cell.outputs if o.output_type == "execute_result"]
    assert len(said) == len(cells)
    assert [words for words in said if not (PASSES if kind == "solutions" else UNWRITTEN).search(words)] == []


@pytest.fixture
def in_little(monkeypatch):
    """The course's folder, where trainings stop learning after 20 steps, pictures are made and not drawn, and the
    reports of check are kept.
    """
    pyplot = pytest.importorskip("matplotlib.pyplot")
    done = SimpleNamespace(reports=[], trainings=0)
    whole_check, whole_train = tinydiff.check.check, td.train

    def check(*args, **options):
        done.reports.append(whole_check(*args, **options))
        return done.reports[-1]

    def train(*args, steps, **options):
        done.trainings += 1
        states = list(whole_train(*args, steps=20, **options))
        return (states[min(step, 20) - 1]._replace(step=step) for step in range(1, steps + 1))

    def show(picture, alt):
        moves = not hasattr(picture, "savefig")
        if moves:
            picture._init_draw()
        pyplot.close(picture._fig if moves else picture)

    for where, what in ((tinydiff.check, check), (td, train), (plotting, show)):
        monkeypatch.setattr(where, what.__name__, what)
    monkeypatch.chdir(FOLDER)
    with pyplot.rc_context({"backend": "agg"}):
        yield done


def defined(tree):
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def used(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@of_checked
def test_it_runs_in_little_and_its_solutions_pass(source, in_little):
    """Cell by cell, in this process. What it asserts must hold, but for what follows a training cut short; a cell that
    asks a function of the student's must also run where that gives nothing yet.
    """
    needs_digits(source)
    cells = [cell for cell in build.read(source).cells[2:] if cell.cell_type == "code"]
    trees = [ast.parse(cell.source) for cell in cells]
    names, verdicts = {"__name__": "notebook"}, []
    for cell, tree in zip(cells, trees, strict=True):
        for statement in tree.body:
            try:
                exec(compile(ast.Module([statement], []), f"{source.name}, {cell.id}", "exec"), names)
            except AssertionError:
                if not in_little.trainings:
                    raise
        if build.is_check(cell):
            verdicts.append(in_little.reports[-1])
    assert len(verdicts) == len(exercises(source))
    assert [report for report in verdicts if not report] == []
    solved = [bool(build.SOLUTION.search(cell.source)) for cell in cells]
    stubs = {name: lambda *args: None for tree, own in zip(trees, solved, strict=True) if own for name in defined(tree)}
    for tree, own in zip(trees, solved, strict=True):
        if not own and used(tree) & stubs.keys():
            exec(compile(tree, source.name, "exec"), names | stubs)


# ---- the exercises


@of_checked
def test_three_exercises_or_more_each_with_a_solution(source):
    notebook = build.read(source)
    solutions = sum(bool(build.SOLUTION.search(cell.source)) for cell in notebook.cells)
    assert 3 <= solutions == len(exercises(source))
    numbers = re.findall(r"^### Exercise (\d+)\.(\d+)", "\n".join(c.source for c in notebook.cells), re.MULTILINE)
    assert numbers == [(str(int(source.stem[:2])), str(k)) for k in range(1, solutions + 1)]


@of_all
def test_no_solution_is_left_in_what_students_open(source):
    full, text = source.read_text(encoding="utf-8"), nbformat.writes(committed(source, "student"))
    assert "BEGIN SOLUTION" not in text
    assert text.count("# your code here") == full.count("    ### BEGIN SOLUTION")


@of_checked
def test_nbgrader_finds_a_solution_and_a_point_for_each_exercise(source):
    """And no link to a file that is not beside a graded notebook."""
    notebook = build.gradable(build.read(source))
    cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    roles = [(cell.metadata.nbgrader.solution, cell.metadata.nbgrader.grade) for cell in cells]
    assert roles == [(True, False), (False, True)] * len(exercises(source))
    assert all("BEGIN SOLUTION" in cell.source for cell in cells[::2])
    assert all(cell.metadata.nbgrader.points == 1 and ", raises=True)" in cell.source for cell in cells[1::2])
    assert len({cell.metadata.nbgrader.grade_id for cell in cells}) == len(cells)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert re.findall(r"\]\(\w+\.ipynb\)|colab\.svg", text) == []


@of_checked
def test_otter_has_a_test_for_each_exercise_which_judges_it(source, monkeypatch):
    files = build.otter_files(build.read(source))
    assert json.loads(files.pop("otter_config.json"))["plugins"] == ["tinydiff.check.graders.otter.Judge"]
    tests = {Path(file).stem: text for file, text in files.items()}
    assert len(tests) == len(exercises(source))
    fake = SimpleNamespace(test_case=lambda: lambda function: function)
    monkeypatch.setitem(sys.modules, "otter", fake)
    monkeypatch.setitem(sys.modules, "otter.test_files", fake)
    for name, text in tests.items():
        made, stub = {}, lambda *args: None
        exec(text, made)
        stub.__name__ = name
        assert made["name"].partition(":")[0] == name
        with pytest.raises(AssertionError, match="not yet"):
            made["obeys_its_laws"](stub)
