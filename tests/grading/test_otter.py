"""Otter from end to end, by the commands of docs/instructor.md. `make grading` installs it and runs this."""

import json
import zipfile

import pytest
from submissions import HERE, ROOT, STUDENTS, build, holds, run, submit

OTTER = ROOT / ".venv-otter" / "bin" / "otter"
if not OTTER.exists():
    pytest.skip("make grading installs Otter", allow_module_level=True)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The autograder, and a folder with what each student has handed in."""
    course = tmp_path_factory.mktemp("course")
    for path, text in build.otter_files(build.read(HERE / "assignment.py")).items():
        build.write(text, course / path)
    run(OTTER, "generate", cwd=course)
    for name in STUDENTS:
        submit(name, build.stubbed(build.read(HERE / "assignment.py")), course / "submitted" / name)
    return course


def otter_run(course, name, check=True, **env):
    """What otter has printed on a submission: a notebook, or a zip where there are other files."""
    folder = course / "submitted" / name
    submission = folder / "assignment.ipynb"
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) > 1:
        submission = folder.with_suffix(".zip")
        with zipfile.ZipFile(submission, "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
    out = course / "results" / name
    out.mkdir(parents=True, exist_ok=True)
    return run(OTTER, "run", submission, "--output-dir", out, "--no-logo", cwd=course, check=check, **env)


@pytest.fixture(scope="module")
def marks(course):
    """The marks of all in Otter's results, by student and exercise."""
    found = {}
    for name in STUDENTS:
        otter_run(course, name)
        results = json.loads((course / "results" / name / "results.json").read_text(encoding="utf-8"))
        found[name] = {test["name"]: test["score"] for test in results["tests"] if "score" in test}
        assert {test["max_score"] for test in results["tests"] if "score" in test} == {1}
    return found


@pytest.mark.parametrize("name", STUDENTS)
def test_each_student_gets_the_marks_that_the_answers_are_worth(marks, name):
    holds(name, marks[name])


@pytest.mark.parametrize("name", STUDENTS)
def test_nothing_of_a_submission_is_imported(marks, course, name):
    assert not (course / "submitted" / name / "imported").exists()


def test_the_results_show_the_report(marks, course):
    text = (course / "results" / "half" / "results.json").read_text(encoding="utf-8")
    assert "posterior breaks a law" in text


def test_without_tinydiff_it_fails_and_gives_no_marks(course):
    done = otter_run(course, "right", check=False, PYTHONPATH=str(HERE / "without"))
    assert done.returncode != 0
    assert "No module named 'tinydiff'" in done.stderr
