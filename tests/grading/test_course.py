"""The solutions of the course get full marks, and the notebooks that students open none."""

import pytest
from submissions import ROOT, build

from tinydiff.check import grade

pytestmark = pytest.mark.slow
COURSE = build.sources()


@pytest.mark.parametrize("source", COURSE, ids=lambda path: path.stem)
def test_solutions_get_full_marks_and_what_is_not_begun_none(source):
    solved = grade(ROOT / "notebooks" / "solutions" / f"{source.stem}.ipynb")
    begun = grade(ROOT / "notebooks" / f"{source.stem}.ipynb")
    lines = [cell.source.rpartition("\n")[2] for cell in build.read(source).cells if build.is_check(cell)]
    asked = {build.KEEP.match(line)[1] for line in lines}
    assert asked <= solved.keys()
    assert {name: marks["law"] for name, marks in solved.items() if not marks["passed"]} == {}
    assert all(marks["points"] == 0 for marks in begun.values())
