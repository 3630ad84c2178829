"""nbgrader from end to end, by the commands of docs/instructor.md. `make grading` installs it and runs this."""

import csv
import json

import pytest
from submissions import EXERCISES, HERE, ROOT, STUDENTS, build, holds, nbformat, run, submit

BIN = ROOT / ".venv-nbgrader" / "bin"
if not (BIN / "nbgrader").exists():
    pytest.skip("make grading installs nbgrader", allow_module_level=True)
pytestmark = pytest.mark.slow

CONFIG = """c = get_config()
c.CourseDirectory.course_id = "diffusion"
c.ClearSolutions.code_stub = {"python": "...  # your code here"}
c.Autograde.autograde_preprocessors.insert(0, "tinydiff.check.graders.nbgrader.Judge")
c.OverwriteCells.add_missing_cells = True
"""
MARKS = """import json
from nbgrader.api import Gradebook

with Gradebook("sqlite:///gradebook.db", "diffusion") as book:
    for submission in book.assignment_submissions("assignment"):
        print(json.dumps([submission.student.id, {g.name: g.score for n in submission.notebooks for g in n.grades}]))
"""


def nbgrader(*words, cwd, **options):
    return run(BIN / "nbgrader", *words, cwd=cwd, **options)


@pytest.fixture(scope="module")
def source():
    """The assignment as `build.py --grading` writes it."""
    return build.gradable(build.read(HERE / "assignment.py"))


@pytest.fixture(scope="module")
def course(tmp_path_factory, source):
    """A course with the assignment handed out, and what the students have handed in."""
    course = tmp_path_factory.mktemp("course")
    (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    build.write(nbformat.writes(source), course / "source" / "assignment" / "assignment.ipynb")
    nbgrader("generate_assignment", "assignment", "--create", cwd=course)
    released = nbformat.read(course / "release" / "assignment" / "assignment.ipynb", as_version=4)
    for name in STUDENTS:
        submit(name, released, course / "submitted" / name / "assignment")
    return course


@pytest.fixture(scope="module")
def marks(course, source):
    """The marks of all in the gradebook, by student and exercise."""
    nbgrader("autograde", "assignment", "--create", cwd=course)
    cells = [cell.id for cell in source.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    lines = run(BIN / "python", "-c", MARKS, cwd=course).stdout.splitlines()
    return {
        name: {exercise: scores[cell] for exercise, cell in zip(EXERCISES, cells, strict=True)}
        for name, scores in map(json.loads, lines)
    }


@pytest.mark.parametrize("name", STUDENTS)
def test_each_student_gets_the_marks_that_the_answers_are_worth(marks, name):
    holds(name, marks[name])


@pytest.mark.parametrize("name", STUDENTS)
def test_nothing_of_a_submission_is_imported(marks, course, name):
    assert not (course / "submitted" / name / "assignment" / "imported").exists()


def test_the_exported_table_has_the_sums(marks, course):
    nbgrader("export", cwd=course)
    with (course / "grades.csv").open(encoding="utf-8") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {row["max_score"] for row in rows.values()} == {"3.0"}
    assert {name: float(row["raw_score"]) for name, row in rows.items()} == pytest.approx(
        {name: sum(row.values()) for name, row in marks.items()}
    )


def test_the_feedback_shows_the_report(marks, course):
    nbgrader("generate_feedback", "assignment", "--CourseDirectory.student_id=half", cwd=course)
    page = (course / "feedback" / "half" / "assignment" / "assignment.html").read_text(encoding="utf-8")
    assert "posterior breaks a law" in page


def test_without_tinydiff_it_fails_and_marks_nobody(course):
    words = ("autograde", "assignment", "--create", "--force", "--CourseDirectory.student_id=right")
    done = nbgrader(*words, cwd=course, check=False, PYTHONPATH=str(HERE / "without"))
    assert done.returncode != 0
    assert "No module named 'tinydiff'" in done.stderr
    assert not (course / "autograded" / "right" / "assignment").exists()
