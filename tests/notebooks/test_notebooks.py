"""The course: its notebooks are what their sources make of them, run from top to bottom, and keep their form."""

import functools
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from running import FOLDER, load_build

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[notebooks]'")
pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")

if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
build = load_build()

SOURCES = build.sources()
MADE = {"student": (build.stubbed, FOLDER), "solutions": (build.solved, FOLDER / "solutions")}
PASSES, UNWRITTEN = re.compile(r"obeys its \d+ laws|^[\w ]+:\n✓[^✗]*$"), re.compile(r"^[\w ]+: not yet\.")

of_all = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
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


# ---- what is committed


def test_there_are_eighteen_notebooks_that_keep_sixty_functions():
    assert [source.stem[:2] for source in SOURCES] == [f"{i:02d}" for i in range(18)]
    assert sum(len(build.kept(source)) for source in SOURCES) >= 60


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


# ---- what runs


@pytest.mark.slow
@both
@of_all
def test_it_runs_in_a_kernel_and_checks_pass_with_the_solutions_alone(source, kind):
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


# ---- the exercises


@of_all
def test_no_solution_is_left_in_what_students_open(source):
    full, text = source.read_text(encoding="utf-8"), nbformat.writes(committed(source, "student"))
    assert "BEGIN SOLUTION" not in text
    assert text.count("# your code here") == full.count("    ### BEGIN SOLUTION")


@of_all
def test_nbgrader_finds_each_solution_and_a_point_for_each_function_with_laws(source):
    """And no link to a file that is not beside a graded notebook."""
    written, notebook = build.read(source), build.gradable(build.read(source))
    cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    roles = [(cell.metadata.nbgrader.solution, cell.metadata.nbgrader.grade) for cell in cells]
    asked = [cell for cell in written.cells if build.SOLUTION.search(cell.source)]
    judged = [[(False, True)] if build.is_check(cell) else [] for cell in asked]
    assert roles == [role for after in judged for role in [(True, False), *after]]
    assert sum(len(after) for after in judged) == len(exercises(source))
    solutions, points = ([cell for cell in cells if cell.metadata.nbgrader[kind]] for kind in ("solution", "grade"))
    assert all("BEGIN SOLUTION" in cell.source for cell in solutions)
    assert all(cell.metadata.nbgrader.points == 1 and ", raises=True)" in cell.source for cell in points)
    assert len({cell.metadata.nbgrader.grade_id for cell in cells}) == len(cells)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert re.findall(r"\]\(\w+\.ipynb\)|colab\.svg", text) == []


@of_all
def test_otter_has_a_test_for_each_function_with_laws_which_judges_it(source, monkeypatch):
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
