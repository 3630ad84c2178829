"""What a page asks of Python: run a cell, check its function, take a mine.py apart."""

import ast
import importlib
import io
import json
import linecache
import sys
import traceback
import zipfile
from pathlib import Path

import numpy as np

from tinydiff.check import check as judge

OUT = Path("/tmp/out")
"""What is written here goes to the page."""
LIB = "/tmp/lib"
SPACE: dict = {"__name__": "cells", "np": np}
"""The names that the cells of a page have in common where they run."""


def run(name: str, code: str, kept: dict[str, str]) -> None:
    """Run a cell. It may call the functions that were kept. Its figures go to the page."""
    execute(name, code, kept, SPACE)
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        for number in pyplot.get_fignums():
            picture = io.BytesIO()
            pyplot.figure(number).savefig(picture, format="png", dpi=110, bbox_inches="tight")
            (OUT / f"figure-{number}.png").write_bytes(picture.getvalue())
        pyplot.close("all")


def check(name: str, code: str, kept: dict[str, str]) -> None:
    """Run a cell by itself, with what was kept, and hold its function to the laws. What is right is kept."""
    space = {"__name__": "cells", "np": np}
    execute(name, code, kept, space)
    if name not in space:
        raise NameError(f"The cell does not define {name}.")
    report = judge(space[name])
    print(report)
    if report:
        give("kept.json", {name: functions(code)[name]})


def split(text: str) -> None:
    """Give the page the functions of a mine.py, by their names."""
    give("functions.json", functions(text))


def unpack(file: str) -> None:
    """Make the packages of a zip ready for import, as files: some read what stands beside them."""
    with zipfile.ZipFile(file) as packed:
        packed.extractall(LIB)
    if LIB not in sys.path:
        sys.path.append(LIB)
    importlib.invalidate_caches()


def execute(name: str, code: str, kept: dict[str, str], space: dict) -> None:
    """Run the text among the functions that were kept, with its lines at hand for tracebacks and for the laws."""
    for other, source in kept.items():
        if other != name and space.get(f"source of {other}") != source:
            space[f"source of {other}"] = source
            try:
                execute(other, source, {}, space)
            except Exception as error:
                print(f"{other} of mine.py cannot be used: {error}", file=sys.stderr)
    file = f"<{name}>"
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    exec(compile(code, file, "exec", dont_inherit=True), space)


def functions(text: str) -> dict[str, str]:
    """The functions of a text, each with its lines, decorators and all."""
    lines, found = text.split("\n"), {}
    for node in ast.parse(text, "mine.py").body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def give(file: str, value: dict[str, str]) -> None:
    """Give the page a value."""
    (OUT / file).write_text(json.dumps(value), encoding="utf-8")


def in_cells(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """Print an error without the lines that are none of the reader's."""
    told = traceback.TracebackException.from_exception(error)
    kept = [
        frame
        for frame in told.stack
        if frame.filename[0] == "<" and not frame.filename.startswith(("<turn", "<frozen"))
    ]
    told.stack = traceback.StackSummary.from_list(kept)
    print("".join(told.format()), end="", file=sys.stderr)


sys.excepthook = in_cells
