"""Marks for nbgrader in which the student's kernel has no part.

Two lines in ``nbgrader_config.py`` switch it on::

    c.Autograde.autograde_preprocessors.insert(0, "tinydiff.check.graders.nbgrader.Judge")
    c.OverwriteCells.add_missing_cells = True

The name is a string so that ``nbgrader autograde`` fails where tinydiff is missing: an error of the configuration
file itself would be a warning only. The second line restores test cells that a student has deleted.
"""

import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution

from tinydiff.check import grade

CHECK = re.compile(r'^check\((\w+)(?:, "(\w+)")?', re.MULTILINE)


class Judge(NbGraderPreprocessor):
    """Give each test cell what ``grade`` says of the exercise in its line ``check(exercise)``.

    It comes first of the preprocessors that mark a submission. By then nbgrader has emptied all outputs and restored
    the locked cells, so that a test cell says what the teacher wrote. No cell is run: `Execute` is switched off. The
    mark is left where nbgrader looks for it, in the cell's result, below the report that the student will read.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Write reports and marks into the test cells. Raises ValueError for a test cell that names no exercise."""
        if any(cell.get("outputs") for cell in nb.cells):
            raise RuntimeError("Judge must come first in c.Autograde.autograde_preprocessors: cells have been run.")
        for other in self.parent._preprocessors:  # nbgrader may read its configuration twice, and make two Judges
            if isinstance(other, Execute | Judge):
                other.enabled = False
        tests = [(exercise(cell), cell) for cell in nb.cells if is_test(cell)]
        path = Path(resources["metadata"]["path"], resources["metadata"]["name"] + ".ipynb")
        found = grade(path, dict.fromkeys((name for name, _ in tests), 1.0))
        for name, cell in tests:
            points = found[name]["points"] * float(cell.metadata.nbgrader.points)
            self.log.info("%s: %s of %s", name, points, cell.metadata.nbgrader.points)
            cell.outputs = [
                new_output("stream", name="stdout", text=found[name]["report"] + "\n"),
                new_output("execute_result", data={"text/plain": repr(points)}),
            ]
        return nb, resources


def is_test(cell: NotebookNode) -> bool:
    """Whether nbgrader marks the cell by its outputs."""
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def exercise(cell: NotebookNode) -> str:
    """The exercise that a test cell names. Raises ValueError where it names none, since nothing else would mark it."""
    if not (found := CHECK.search(cell.source)):
        raise ValueError(f"the test cell {cell.metadata.nbgrader.grade_id} has no line check(exercise).")
    return ":".join(filter(None, found.groups()))
