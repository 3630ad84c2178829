"""Make the notebooks that students open, and their solutions, from notebooks/src.

    python notebooks/build.py                  all of them
    python notebooks/build.py 05 11            those whose names begin so
    python notebooks/build.py --jobs 1         one after another, and not as many at once as there are cores
    python notebooks/build.py --grading DIR    what nbgrader takes as its source/, not executed
    python notebooks/build.py --otter DIR      what `otter generate` takes, a folder for each notebook

A source is a Python file in jupytext's percent format, with the solution of each exercise between nbgrader's marks:

    ### BEGIN SOLUTION
    ### END SOLUTION

The student's notebook has `...` in the place of a function's body, and nothing in the place of a solution that is not
indented. Text tagged `solution` is in the solutions alone. Both notebooks are executed from top to bottom in a folder
of their own, and hold their figures: the student's without a mine.py, the solutions with one that has the functions of
all notebooks before.
"""

import argparse
import ast
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from tqdm import tqdm

from tinydiff.course import Mine
from tinydiff.files import atomic

HERE = Path(__file__).parent
REPOSITORY = "tinydiff/tinydiff"
"""Where Colab finds the notebooks, on GitHub."""
BADGE = "[![Open in Colab](colab.svg)](https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb)"
INSTALL = """# On Colab this installs tinydiff and asks for your mine.py, once you have one; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "tinydiff[app] @ git+https://github.com/{repository}"
    from tinydiff.course import mine

    mine.upload()"""
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
KEEP = re.compile(r'^(?:check|keep)\((\w+)(?:, (?:spec=)?"(\w+)")?\)$')
"""The last line of a cell that holds a function to its laws."""
KINDS = "student", "solutions"
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
    notebook.cells = [cell for cell in notebook.cells if not explains(cell)]
    for cell in notebook.cells:
        cell.source = SOLUTION.sub(lambda found: found.expand(STUB) if found[1] else "", cell.source).rstrip("\n")
    return numbered(notebook)


def solved(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its solutions, a folder further down than the badge's picture."""
    notebook.cells[0].source = notebook.cells[0].source.replace("(colab.svg)", "(../colab.svg)")
    return notebook


def explains(cell: NotebookNode) -> bool:
    """Whether the cell has the reasons of a solution."""
    return "solution" in cell.metadata.get("tags", ())


def is_check(cell: NotebookNode) -> bool:
    """Whether the cell ends in a line check(function) or keep(function), and so in an exercise that has laws."""
    return cell.cell_type == "code" and bool(KEEP.match(cell.source.rpartition("\n")[2]))


def is_kept(cell: NotebookNode) -> bool:
    """Whether the cell ends in a line keep(…)."""
    return cell.cell_type == "code" and cell.source.rpartition("\n")[2].startswith("keep(")


def headings(cell: NotebookNode) -> list[tuple[str, str]]:
    """Number and label of the exercises that begin in the cell, and "" twice for any other heading."""
    pattern = r"^#{2,3} (?:Exercise (\d+\.\d+)(?: ☆)? \((\w+)\))?"
    return re.findall(pattern, cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []


def kept(source: Path) -> dict[str, str]:
    """The functions of a notebook that go into mine.py, solved."""
    cells = {function_kept(cell): cell for cell in read(source).cells}
    return {name: definition(cell, name) for name, cell in cells.items() if name}


def function_kept(cell: NotebookNode) -> str:
    """The function that the cell's last line writes into mine.py, or "": keep(…) writes one that is its only answer."""
    line = cell.source.rpartition("\n")[2]
    alone = re.match(r"keep\((\w+)(?:, \w+=|\))", line) if is_kept(cell) and "into=None" not in line else None
    return alone[1] if alone and f"def {alone[1]}(" in cell.source else ""


def definition(cell: NotebookNode, name: str) -> str:
    """The last function of this name in a cell, solved."""
    text = re.sub("^ *### (BEGIN|END) SOLUTION\n", "", cell.source, flags=re.MULTILINE)
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name]
    return ast.get_source_segment(text, nodes[-1])


def solve(path: Path, sources: Iterable[Path]) -> None:
    """Write a mine.py that has the functions of these notebooks."""
    mine = Mine(str(path), answers=None)
    for source in sources:
        for name, text in kept(source).items():
            mine.write(name, text)


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
        if explains(cell):
            continue
        body, _, line = cell.source.rpartition("\n")
        if SOLUTION.search(cell.source):
            cells.append(
                new_code_cell(body.rstrip() if is_check(cell) else cell.source, metadata=graded(solution=True))
            )
        elif not is_check(cell):
            cells.append(cell)
        if is_check(cell):
            raising = f"{line}\n### BEGIN HIDDEN TESTS\n{called(line)[:-1]}, raises=True)\n### END HIDDEN TESTS"
            cells.append(new_code_cell(raising, metadata=graded(grade=True, locked=True, points=1)))
    notebook.cells = cells
    for i, cell in enumerate(numbered(notebook).cells):
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.grade_id = f"cell-{i}"
    return notebook


def called(line: str) -> str:
    """The call check(…) that judges what a line check(…) or keep(…) does."""
    name, specification = KEEP.match(line).groups()
    return f'check({name}, "{specification}")' if specification else f"check({name})"


def graded(**role: bool | int) -> dict:
    """The metadata by which nbgrader knows a cell."""
    return {"nbgrader": {"solution": False, "grade": False, "locked": False, "task": False, "schema_version": 3} | role}


def otter_files(notebook: NotebookNode) -> dict[str, str]:
    """The files that `otter generate` reads: a test for each exercise, and the plugin that gives the marks."""
    files = {"otter_config.json": OTTER_CONFIG}
    for line in (cell.source.rpartition("\n")[2] for cell in notebook.cells if is_check(cell)):
        exercise = ":".join(filter(None, KEEP.match(line).groups()))
        name = exercise.partition(":")[0]
        files[f"tests/{name}.py"] = OTTER.format(name=name, exercise=exercise, call=called(line).removesuffix(")"))
    return files


def executed(notebook: NotebookNode, before: Iterable[Path] = ()) -> NotebookNode:
    """The notebook after a run from top to bottom, beside a mine.py that has the functions of the notebooks before.

    Raises at the first cell that does.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in HERE.glob("*.npz"):
            (Path(folder) / file.name).symlink_to(file)
        if before:
            solve(Path(folder) / "mine.py", before)
        return run(notebook, folder)


def run(notebook: NotebookNode, folder: str) -> NotebookNode:
    """The notebook after a run from top to bottom in a folder."""
    resources = {"metadata": {"path": folder}}
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
    if any("widget" in kind for kind in output.get("data", ())):
        output.data = {kind: value for kind, value in output.data.items() if kind.startswith("image/")}
        return output if output.data else None
    return output


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


def make(source: Path, kind: str) -> str:
    """Write the student's notebook of a source, or its solutions, executed. What was written, how fast, and how large.

    Nothing that it does depends on another notebook that is being made, so that any number may be at once.
    """
    path = made_at(source, kind)
    start = time.perf_counter()
    if kind == "solutions":
        notebook = executed(solved(read(source)), before=[other for other in sources() if other < source])
    else:
        notebook = executed(stubbed(read(source)))
    write(nbformat.writes(notebook) + "\n", path)
    seconds, size = time.perf_counter() - start, path.stat().st_size / 1000
    return f"{path.relative_to(HERE)}: {seconds:.0f} s, {size:.0f} kB"


def made_at(source: Path, kind: str) -> Path:
    """Where the notebook of a source stands."""
    return (HERE if kind == "student" else HERE / "solutions") / f"{source.stem}.ipynb"


def make_all(found: Iterable[Path], jobs: int) -> None:
    """Write both notebooks of each source, so many at a time, each in a process of its own.

    An error ends the program and names its notebook, once those that have begun are at their end.
    """
    pool = ProcessPoolExecutor(jobs)
    begun = {pool.submit(make, source, kind): made_at(source, kind) for source in found for kind in KINDS}
    try:
        for done in tqdm(as_completed(begun), total=len(begun), unit="notebook"):
            if error := done.exception():
                sys.exit(f"{begun[done].relative_to(HERE)}: {error}")
            tqdm.write(done.result())
    finally:
        pool.shutdown(cancel_futures=True)


def grade(source: Path, folder: Path) -> None:
    """Write nbgrader's source of a notebook, not executed, and beside it the files that it reads."""
    write(nbformat.writes(gradable(read(source))) + "\n", folder / source.stem / f"{source.stem}.ipynb")
    if "digits_" in source.read_text(encoding="utf-8"):
        for file in HERE.glob("*.npz"):
            shutil.copy(file, folder / source.stem)


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[""], help="how the names of the wanted ones begin")
    parser.add_argument("--jobs", metavar="N", type=int, default=os.cpu_count(), help="how many are executed at once")
    parser.add_argument("--grading", metavar="DIR", type=Path, help="write nbgrader's source/ into this folder")
    parser.add_argument("--otter", metavar="DIR", type=Path, help="write what otter generate takes, a folder for each")
    options = parser.parse_args()
    found = sources(options.names)
    if not found:
        parser.error(f"no source in {HERE / 'src'} begins with {' or '.join(options.names)}")
    if not (options.grading or options.otter):
        make_all(found, options.jobs)
    for source in found:
        if options.grading:
            grade(source, options.grading)
        for file, text in otter_files(read(source)).items() if options.otter else ():
            write(text, options.otter / source.stem / file)


if __name__ == "__main__":
    main()
