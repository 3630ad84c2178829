"""Make the notebooks that students open, and their solutions, from notebooks/src.

    python notebooks/build.py                  all of them
    python notebooks/build.py 05 11            those whose names begin so
    python notebooks/build.py --grading DIR    what nbgrader takes as its source/, not executed
    python notebooks/build.py --otter DIR      what `otter generate` takes, a folder for each notebook

A source is a Python file in jupytext's percent format, with the solution of each exercise between nbgrader's marks:

    ### BEGIN SOLUTION
    ### END SOLUTION

The student's notebook has `...` in its place; both are executed from top to bottom, and hold their figures.
"""

import argparse
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from tqdm import tqdm

from tinydiff.files import atomic

HERE = Path(__file__).parent
REPOSITORY = "tinydiff/tinydiff"
"""Where Colab finds the notebooks, on GitHub."""
BADGE = "[![Open in Colab](colab.svg)](https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb)"
INSTALL = """# On Colab this installs tinydiff; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet git+https://github.com/{repository}"""
OTTER = """from otter.test_files import test_case

from tinydiff.check import check

OK_FORMAT = False
name = "{exercise}"
points = 1


@test_case()
def obeys_its_laws({name}):
    {call}, raises=True)
"""
OTTER_CONFIG = """{
  "plugins": ["tinydiff.check.graders.otter.Judge"]
}
"""
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.MULTILINE | re.DOTALL)
STUB = r"\1...  # your code here\n"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def sources(beginnings: Iterable[str] = ("",)) -> list[Path]:
    """The sources whose names begin so."""
    return sorted(path for path in (HERE / "src").glob("*.py") if path.name.startswith(tuple(beginnings)))


def read(source: Path) -> NotebookNode:
    """The notebook of a source, solutions and all, with a badge, and an install cell after the first."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.cells[0].source += "\n\n" + BADGE.format(repository=REPOSITORY, name=source.stem)
    notebook.cells.insert(1, new_code_cell(INSTALL.format(repository=REPOSITORY), metadata={"tags": ["remove-cell"]}))
    return numbered(notebook)


def numbered(notebook: NotebookNode) -> NotebookNode:
    """The notebook, its cells called by their number, so that the same source gives the same file."""
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    return notebook


def stubbed(notebook: NotebookNode) -> NotebookNode:
    """The student's notebook: `...` where the solutions were."""
    for cell in notebook.cells:
        cell.source = SOLUTION.sub(STUB, cell.source).rstrip("\n")
    return notebook


def solved(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its solutions, a folder further down than the badge's picture."""
    notebook.cells[0].source = notebook.cells[0].source.replace("(colab.svg)", "(../colab.svg)")
    return notebook


def is_check(cell: NotebookNode) -> bool:
    """Whether the cell ends in a line check(...)."""
    return cell.cell_type == "code" and cell.source.rpartition("\n")[2].startswith("check(")


def gradable(notebook: NotebookNode) -> NotebookNode:
    """The notebook as nbgrader's source: each solution marked, and each check a cell worth a point, which raises.

    Without the badge, which opens the ungraded one; the other notebooks are where GitHub has them.
    """
    cells = []
    notebook.cells[0].source = notebook.cells[0].source.rpartition("\n\n")[0]
    there = f"](https://github.com/{REPOSITORY}/blob/main/notebooks/"
    for cell in notebook.cells:
        cell.source = re.sub(r"\]\((?=\w+\.ipynb\))", there, cell.source)
    for cell in notebook.cells:
        body, _, line = cell.source.rpartition("\n")
        if SOLUTION.search(cell.source):
            cells.append(
                new_code_cell(body.rstrip() if is_check(cell) else cell.source, metadata=graded(solution=True))
            )
        elif not is_check(cell):
            cells.append(cell)
        if is_check(cell):
            raising = f"{line}\n### BEGIN HIDDEN TESTS\n{line[:-1]}, raises=True)\n### END HIDDEN TESTS"
            cells.append(new_code_cell(raising, metadata=graded(grade=True, locked=True, points=1)))
    notebook.cells = cells
    for i, cell in enumerate(numbered(notebook).cells):
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.grade_id = f"cell-{i}"
    return notebook


def graded(**role: bool | int) -> dict:
    """The metadata by which nbgrader knows a cell."""
    return {"nbgrader": {"solution": False, "grade": False, "locked": False, "task": False, "schema_version": 3} | role}


def otter_files(notebook: NotebookNode) -> dict[str, str]:
    """The files that `otter generate` reads: a test for each exercise, and the plugin that gives the marks."""
    calls = [cell.source.rpartition("\n")[2].removesuffix(")") for cell in notebook.cells if is_check(cell)]
    files = {"otter_config.json": OTTER_CONFIG}
    for call in calls:
        name, specification = re.match(r'check\((\w+)(?:, "(\w+)")?', call).groups()
        exercise = f"{name}:{specification}" if specification else name
        files[f"tests/{name}.py"] = OTTER.format(name=name, exercise=exercise, call=call)
    return files


def executed(notebook: NotebookNode) -> NotebookNode:
    """The notebook after a run from top to bottom in this folder. Raises at the first cell that does."""
    resources = {"metadata": {"path": str(HERE)}}
    client = NotebookClient(
        notebook, timeout=600, coalesce_streams=True, resources=resources, extra_arguments=["--log-level=40"]
    )
    # Where it plays the browser to an Output widget it sometimes waits till its timeout for an answer that has come
    # (https://github.com/jupyter/nbclient/issues/312). Without, what the widget shows is an output like any other.
    client.widget_registry = {}
    client.execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := clean(output))]
            described(cell)
    return notebook


def clean(output: NotebookNode) -> NotebookNode | None:
    """The output as it is kept: no progress bars, and no widgets, which need a running kernel. Warnings are errors."""
    if output.output_type == "stream" and output.name == "stderr":
        if "Warning" in output.text:
            raise RuntimeError(output.text)
        return None
    return None if any("widget" in kind for kind in output.get("data", ())) else output


def described(cell: NotebookNode) -> None:
    """Note the text of a picture where the site looks for it."""
    for output in cell.outputs:
        if alt := next((of.alt for of in output.get("metadata", {}).values() if "alt" in of), None):
            cell.metadata.mystnb = {"image": {"alt": alt}}


def write(text: str, path: Path) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[""], help="how the names of the wanted ones begin")
    parser.add_argument("--grading", metavar="DIR", type=Path, help="write nbgrader's source/ into this folder")
    parser.add_argument("--otter", metavar="DIR", type=Path, help="write what otter generate takes, a folder for each")
    options = parser.parse_args()
    found = sources(options.names)
    if not found:
        parser.error(f"no source in {HERE / 'src'} begins with {' or '.join(options.names)}")
    for source in tqdm(found, unit="notebook"):
        name = f"{source.stem}.ipynb"
        if options.grading:
            folder = options.grading / source.stem
            write(nbformat.writes(gradable(read(source))) + "\n", folder / name)
            if "digits.npz" in source.read_text(encoding="utf-8"):
                shutil.copy(HERE / "digits.npz", folder)
        for file, text in otter_files(read(source)).items() if options.otter else ():
            write(text, options.otter / source.stem / file)
        if options.grading or options.otter:
            continue
        for notebook, path in ((stubbed(read(source)), HERE / name), (solved(read(source)), HERE / "solutions" / name)):
            start = time.perf_counter()
            write(nbformat.writes(executed(notebook)) + "\n", path)
            seconds, size = time.perf_counter() - start, path.stat().st_size / 1000
            tqdm.write(f"{path.relative_to(HERE)}: {seconds:.0f} s, {size:.0f} kB")


if __name__ == "__main__":
    main()
