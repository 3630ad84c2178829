"""The page of all functions of mine.py, written from the notebooks: where each is asked for, and where it is used."""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from catalogue_pages import put
from nbformat import NotebookNode

from tinydiff.check import specs

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LAST = {"my_sampler": "It races: `tinydiff race mine.py:my_sampler`."}
"""Those that nothing in the course uses after them, and why they are written all the same; where an open problem asks
for one, its table is a reason."""
INTRODUCTION = """# Every function of mine.py

In [the course](course.md) you write {count} functions into `mine.py`, and none is written for nothing. Each stands here
under the notebook that asks for it. *Used in* names the notebooks in which it is called after it was written, this one
or later ones. *By* names the functions of yours that call it. Most are judged by laws of [check](check/index.md), the
others by a test in the notebook.
"""


@dataclass
class Function:
    """A function of mine.py."""

    name: str
    notebook: Path
    exercise: str
    label: str
    laws: str
    """The name of its laws, or "" where a test judges it."""
    source: str
    used_in: list[Path] = field(default_factory=list)
    """The notebooks whose later cells call mine.name."""
    used_by: list[str] = field(default_factory=list)
    """The functions of mine.py that call it."""

    @property
    def signature(self) -> str:
        """As in q_step(x, t, eps, betas)."""
        return f"{self.name}({ast.unparse(self.tree.args)})"

    @property
    def tree(self) -> ast.FunctionDef:
        """Its definition, parsed."""
        return next(node for node in ast.parse(self.source).body if isinstance(node, ast.FunctionDef))


def build():
    """The script that makes the notebooks."""
    spec = importlib.util.spec_from_file_location("build", NOTEBOOKS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions() -> list[Function]:
    """All that the course asks for, in its order."""
    make = build()
    found: dict[str, Function] = {}
    for source in make.sources():
        exercise, label = "", ""
        for cell in make.read(source).cells[2:]:  # without the title and the install cell
            exercise, label = [(exercise, label), *make.headings(cell)][-1]
            for function in called(cell, found):
                function.used_in += [source] if source not in function.used_in else []
            if name := make.function_kept(cell):
                laws = make.KEEP.match(cell.source.rpartition("\n")[2])
                known = (laws[2] or name) if laws else ""
                if name in found:
                    raise ValueError(f"{name} is asked for in {found[name].exercise} and in {exercise}")
                text = make.definition(cell, name)
                found[name] = Function(name, source, exercise, label, known, text)
    for function in found.values():
        for name in named(function.tree) & found.keys() - {function.name}:
            found[name].used_by.append(function.name)
    return list(found.values())


def called(cell: NotebookNode, known: dict[str, Function]) -> Iterator[Function]:
    """The functions that a cell takes from mine."""
    for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "mine" and node.attr in known:
            yield known[node.attr]


def named(tree: ast.FunctionDef) -> set[str]:
    """The names that a function takes from around it."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {arg.arg for arg in arguments(tree)}
    return {node.id for node in names} - own


def arguments(tree: ast.FunctionDef) -> list[ast.arg]:
    """The arguments of a function and of those within it."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.arg)]


def write(path: Path) -> None:
    """A table for each notebook."""
    found = functions()
    pages = [INTRODUCTION.format(count=len(found))]
    for notebook in dict.fromkeys(function.notebook for function in found):
        heading = notebook.read_text(encoding="utf-8").split("# # ", 1)[1].split("\n", 1)[0]
        rows = [row(function) for function in found if function.notebook == notebook]
        pages.append("\n".join([f"## [{heading}](course/{notebook.stem}.ipynb)\n", HEAD, *rows, ""]))
    put(path, "\n".join(pages))


HEAD = "| function | exercise | used in | by | judged by |\n| --- | --- | --- | --- | --- |"


def row(function: Function) -> str:
    """One function."""
    reason = f"its table, {function.exercise}" if function.label == "open" else ""
    where = ", ".join(f"[{int(one.stem[:2])}](course/{one.stem}.ipynb)" for one in function.used_in)
    judge = f"{{ref}}`its laws <laws-{function.laws.replace('_', '-')}>`" if function.laws in specs() else "a test"
    cells = (
        f"`{function.signature}`",
        f"{function.exercise}, {function.label}",
        where or LAST.get(function.name, reason),
        ", ".join(f"`{name}`" for name in function.used_by),
        judge,
    )
    return f"| {' | '.join(cells)} |"
