"""The course: its notebooks are what their sources make of them, run from top to bottom, and keep their form."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[notebooks]'")

FOLDER = Path(__file__).parents[2] / "notebooks"
spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

SOURCES = build.sources()
COURSE = SOURCES[1:]  # without the map
MADE = {"student": (build.stubbed, FOLDER), "solutions": (build.solved, FOLDER / "solutions")}
PASSES, FAILS = re.compile(r"^\w+ obeys its \d+ laws"), re.compile(r"^\w+ breaks a law:")

of_all = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
of_course = pytest.mark.parametrize("source", COURSE, ids=lambda path: path.stem)
both = pytest.mark.parametrize("kind", MADE)


def made(source, kind):
    return MADE[kind][0](build.read(source))


def content(notebook):
    return [(cell.id, cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]


def committed(source, kind):
    return nbformat.read(MADE[kind][1] / f"{source.stem}.ipynb", as_version=4)


def verdicts(notebook):
    """What each line check(...) at the end of a cell said."""
    cells = [cell for cell in notebook.cells if build.is_check(cell)]
    return [
        output.data["text/plain"] for cell in cells for output in cell.outputs if output.output_type == "execute_result"
    ]


def test_there_are_a_map_and_twelve_notebooks():
    assert [source.stem[:2] for source in SOURCES] == [f"{i:02d}" for i in range(13)]


@both
@of_all
def test_what_is_committed_is_what_the_source_makes(source, kind):
    assert content(committed(source, kind)) == content(made(source, kind)), "run `make notebooks`"


@both
@of_all
def test_its_links_within_the_course_lead_somewhere(source, kind):
    folder = MADE[kind][1]
    text = "\n".join(cell.source for cell in committed(source, kind).cells if cell.cell_type == "markdown")
    near = [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if re.search(r"\.(ipynb|svg|md)$", link) and "://" not in link
    ]
    assert near
    assert [link for link in near if not (folder / link).is_file()] == []


@of_all
def test_what_it_cites_is_in_the_bibliography(source):
    bibliography = (FOLDER.parent / "docs" / "bibliography.md").read_text()
    cited = re.findall(r"(?:arxiv\.org/abs|doi\.org)/([\w./-]+)", source.read_text())
    assert cited
    assert [work for work in cited if work not in bibliography] == []


@both
@of_all
def test_what_is_committed_was_run_in_order_and_is_small(source, kind):
    counts = [cell.execution_count for cell in committed(source, kind).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert (MADE[kind][1] / f"{source.stem}.ipynb").stat().st_size <= 700_000


@both
@of_all
def test_what_a_cell_prints_is_in_one_piece(source, kind):
    for cell in committed(source, kind).cells:
        assert sum(output.output_type == "stream" for output in cell.get("outputs", ())) <= 1


@both
@of_all
def test_it_runs_and_checks_pass_with_the_solutions_alone(source, kind):
    if "load_mnist" in source.read_text() and not os.environ.get("TINYDIFF_MNIST_DIR"):
        pytest.skip("set TINYDIFF_MNIST_DIR to run the notebook on digits")
    notebook = build.executed(made(source, kind))
    expected = PASSES if kind == "solutions" else FAILS
    said = verdicts(notebook)
    assert len(said) == sum(map(build.is_check, notebook.cells))
    assert [words for words in said if not expected.match(words)] == []


@of_course
def test_it_opens_and_ends_as_all_do(source):
    notebook = build.read(source)
    opening, ending = notebook.cells[0].source, notebook.cells[-1].source
    assert opening.startswith(f"# {int(source.stem[:2])}. ")
    assert re.search(r"^\*\*.*\?\*\*$", opening, re.MULTILINE), "it asks one question, in bold"
    for words in ("*You need:*", "*To read:*", "*To work:*", "minutes", "colab.research.google.com"):
        assert words in opening
    everything = "\n".join(cell.source for cell in notebook.cells)
    for words in ("**Predict.**", "## Break it", "## The numbers", "## What you know now"):
        assert words in everything
    assert "**Next:**" in ending
    assert re.search(r"^\s*assert |np\.testing\.assert", everything, re.MULTILINE), "numbers meet the truth"


@of_all
def test_each_picture_has_words_for_those_who_do_not_see_it_and_a_sentence_below(source):
    cells = committed(source, "student").cells
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        pictures = [
            data
            for output in cell.get("outputs", ())
            for kind, data in output.get("metadata", {}).items()
            if kind.startswith("image/")
        ]
        drawn = [o for o in cell.get("outputs", ()) if any(kind.startswith("image/") for kind in o.get("data", ()))]
        assert len(drawn) == len(pictures) <= 1
        if drawn:
            assert len(pictures[0]["alt"]) >= 40
            assert cell.metadata.mystnb.image.alt == pictures[0]["alt"]
            assert below.source.startswith("*What to see:*")


def exercises(source):
    return [cell for cell in build.read(source).cells if build.is_check(cell)]


@of_course
def test_three_exercises_or_more_each_with_a_solution(source):
    notebook = build.read(source)
    solutions = sum(bool(build.SOLUTION.search(cell.source)) for cell in notebook.cells)
    assert 3 <= solutions == len(exercises(source))
    numbers = re.findall(r"^### Exercise (\d+)\.(\d+)", "\n".join(c.source for c in notebook.cells), re.MULTILINE)
    assert numbers == [(str(int(source.stem[:2])), str(k)) for k in range(1, solutions + 1)]


def test_forty_exercises_in_all():
    assert sum(len(exercises(source)) for source in COURSE) >= 40


def test_no_solution_is_left_in_what_students_open():
    for source in SOURCES:
        full, text = source.read_text(), nbformat.writes(committed(source, "student"))
        assert "BEGIN SOLUTION" not in text
        assert text.count("# your code here") == full.count("BEGIN SOLUTION")


@of_course
def test_nbgrader_finds_a_solution_and_a_point_for_each_exercise(source):
    cells = [cell for cell in build.gradable(build.read(source)).cells if "nbgrader" in cell.metadata]
    roles = [(cell.metadata.nbgrader.solution, cell.metadata.nbgrader.grade) for cell in cells]
    assert roles == [(True, False), (False, True)] * len(exercises(source))
    assert all("BEGIN SOLUTION" in cell.source for cell in cells[::2])
    assert all(cell.metadata.nbgrader.points == 1 and ", raises=True)" in cell.source for cell in cells[1::2])
    assert len({cell.metadata.nbgrader.grade_id for cell in cells}) == len(cells)


@of_course
def test_a_graded_notebook_leads_to_no_file_that_is_not_there(source):
    text = "\n".join(cell.source for cell in build.gradable(build.read(source)).cells)
    assert "colab.svg" not in text
    assert re.findall(r"\]\(\w+\.ipynb\)", text) == []


@of_course
def test_otter_has_a_test_for_each_exercise_which_judges_it(source, monkeypatch):
    tests = build.otter_tests(build.read(source))
    assert len(tests) == len(exercises(source))
    fake = SimpleNamespace(test_case=lambda: lambda function: function)
    monkeypatch.setitem(sys.modules, "otter", fake)
    monkeypatch.setitem(sys.modules, "otter.test_files", fake)
    for name, text in tests.items():
        made, stub = {}, lambda *args: None
        exec(text, made)
        stub.__name__ = name
        assert made["name"] == name
        with pytest.raises(AssertionError, match="breaks a law"):
            made["obeys_its_laws"](stub)
