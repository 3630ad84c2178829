"""Marks for Otter in which the student's kernel has no part.

Switched on in ``otter_config.json``, by ``{"plugins": ["tinydiff.check.graders.otter.Judge"]}``, or under ``plugins``
in the first cell of a notebook for ``otter assign``. Each question bears the name of its exercise.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from otter.plugins import AbstractOtterPlugin
from otter.run import AutograderConfig
from otter.test_files import GradingResults

from tinydiff.check import grade

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LOG = ".OTTER_LOG"


class Judge(AbstractOtterPlugin):
    """Give each question what ``grade`` says of the exercise of its name.

    Otter runs its tests in the student's kernel and reads the results that the kernel has pickled, so that whatever
    runs there may write its own marks. Here nothing of the student's runs there: Otter executes an empty notebook in a
    folder with nothing else of the submission, and the marks of its tests are replaced.
    """

    def before_grading(self, config: AutograderConfig) -> None:
        """Leave the student's log unread: it is a pickle too, which could run anything as it is loaded."""
        config.grade_from_log = False
        Path(self.submission_path).with_name(LOG).unlink(missing_ok=True)

    def before_execution(self, submission: NotebookNode) -> NotebookNode:
        """Take an empty notebook, and away from the copy of the submission what the kernel might import."""
        for path in Path(self.submission_path).parent.iterdir():
            if path.name in (Path(self.submission_path).name, "tests"):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return new_notebook(metadata={"kernelspec": KERNEL})

    def after_grading(self, results: GradingResults) -> None:
        """Replace scores and messages. Raises RuntimeError where Otter's tests did not run at all."""
        if results.has_catastrophic_failure():
            raise RuntimeError("Otter could not run its tests on an empty notebook") from results.catastrophic_error
        questions = {name: results.get_result(name) for name in results.test_files}
        found: dict[str, Any] = grade(self.submission_path, {name: test.possible for name, test in questions.items()})
        for name, test in questions.items():
            answer = found[name]
            test.update_score(answer["points"])
            for case in test.test_case_results:
                case.passed, case.message = answer["passed"], answer["report"]
                case.test_case = replace(case.test_case, hidden=False, success_message=None, failure_message=None)
