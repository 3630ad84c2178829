"""The page of all functions of mine.py: each is there once, and is used after it was written."""

import sys
from pathlib import Path

import pytest
from running import FOLDER, load_build

pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
functions_page = pytest.importorskip("functions_page", reason="docs/functions_page.py is in the repository")

build = load_build()


@pytest.fixture(scope="module")
def functions():
    return functions_page.functions()


def test_each_function_that_the_course_keeps_is_there_once(functions, tmp_path):
    names = [name for source in build.sources() for name in build.kept(source)]
    assert [function.name for function in functions] == names
    assert len(set(names)) == len(names)
    functions_page.write(tmp_path / "functions.md")
    page = (tmp_path / "functions.md").read_text(encoding="utf-8")
    assert [name for name in names if page.count(f"| `{name}(") != 1] == []


def test_each_is_used_later_or_is_the_last_of_its_kind(functions):
    unused = [function for function in functions if not function.used_in + function.used_by]
    assert functions_page.LAST.keys() <= {function.name for function in unused}
    assert {function.name for function in unused if function.label != "open"} <= functions_page.LAST.keys()


def test_its_exercise_has_a_number_of_its_notebook_and_a_label(functions):
    for function in functions:
        assert function.exercise.startswith(f"{int(function.notebook.stem[:2])}.")
        assert function.label in {"transcribe", "derive", "design", "open"}


def test_what_uses_a_function_comes_after_it(functions):
    place = {function.name: i for i, function in enumerate(functions)}
    for function in functions:
        assert all(source >= function.notebook for source in function.used_in)
        assert all(place[name] > place[function.name] for name in function.used_by)
