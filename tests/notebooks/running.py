"""To run a notebook in this process, cell by cell, for a reader who solved it, did not, or has one thing wrong."""

import ast
import importlib.util
import linecache
import re
from pathlib import Path

import tinydiff.course
from tinydiff import plotting
from tinydiff.course import mine

FOLDER = Path(__file__).parents[2] / "notebooks"


def load_build():
    """The script that makes the notebooks."""
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Wrong(ast.NodeTransformer):
    """A function's answers, a tenth too large; where an answer is no number, it raises."""

    def visit_FunctionDef(self, node):
        return node  # an inner function's answers stay

    def visit_Return(self, node):
        return ast.Return(ast.BinOp(ast.Constant(1.1), ast.Mult(), node.value))


def made_wrong(text, name):
    """The cell's text, with a tenth more in each answer of the function of this name."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.body = [Wrong().visit(statement) for statement in node.body]
    return ast.unparse(ast.fix_missing_locations(tree))


def run_cells(cells, folder, monkeypatch):
    """The verdicts of the notebook's keep lines, in order, after a run from top to bottom beside folder/mine.py.

    Still pictures are drawn as they are shown. Of a moving one each moment is made, and the last is drawn.
    """
    verdicts = []
    whole, draw = tinydiff.course.keep, plotting.show

    def show(picture, alt):
        if hasattr(picture, "savefig"):
            return draw(picture, alt)
        picture._init_draw()
        for moment in picture.new_frame_seq():
            picture._draw_frame(moment)
        return draw(picture._fig, alt)

    def keep(*answers, **options):
        verdicts.append(whole(*answers, **options))
        return verdicts[-1]

    monkeypatch.setattr(tinydiff.course, "keep", keep)
    monkeypatch.setattr(plotting, "show", show)
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: None)
    monkeypatch.chdir(folder)
    mine.try_()
    for file in FOLDER.glob("*.npz"):
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    names = {"__name__": "notebook"}
    for i, cell in enumerate(cells):
        if cell.cell_type == "code":
            file = f"<{folder.name}, {i}>"
            linecache.cache[file] = len(cell.source), None, cell.source.splitlines(keepends=True), file
            exec(compile(cell.source, file, "exec"), names)
    return verdicts


def kept_names(cells):
    """The names in the notebook's keep lines, in order."""
    lines = [cell.source.rpartition("\n")[2] for cell in cells if cell.cell_type == "code"]
    return [found[1] for line in lines if (found := re.match(r"keep\((\w+)", line))]
