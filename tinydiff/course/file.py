"""The reader's file: read, run as a module of its own, and written one function at a time."""

import ast
import base64
import builtins
import dis
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tinydiff.check import check, specs
from tinydiff.course.asked import ASKED
from tinydiff.files import atomic

try:
    from tinydiff import course_answers
except ImportError:  # a grader may take it away
    course_answers = None  # type: ignore[assignment]

HEADER = '"""My diffusion model, function by function."""\n\nimport numpy as np\n'


class Mine:
    """The reader's functions: ``mine.q_sample`` is the reader's own once it was kept, and the library's before.

    A function of the file that breaks a law, since somebody edited it, is replaced by the library's too.

    Parameters
    ----------
    path : str
        The file, in the folder in which the notebook runs.
    answers : module or None
        The functions that stand in, in the reader's signatures; None lets nothing stand in.

    Examples
    --------
    >>> from tinydiff.course import Mine
    >>> Mine("no_such_file.py")
    no_such_file.py has 0 functions, 3 lines.
    """

    def __init__(self, path: str = "mine.py", answers: ModuleType | None = course_answers):
        self.path, self.answers = Path(path), answers
        self._tried: dict[str, Callable] = {}
        self._read, self._found, self._source = "", dict[str, Any](), dict[str, str]()
        self._judged: dict[str, bool] = {}  # whether a function of this source obeys its laws

    @property
    def text(self) -> str:
        """What the file says, or how it begins where there is none. Bytes that are no UTF-8 stay as they are."""
        return self.path.read_text(encoding="utf-8-sig", errors="surrogateescape") if self.path.is_file() else HEADER

    def __getattr__(self, name: str) -> Callable:
        if function := self._tried.get(name) or self.own(name) or getattr(self.answers, name, None):
            return function
        raise AttributeError(f"{self.path} has no function {name} that obeys its laws, and nothing stands in for it.")

    def own(self, name: str) -> Callable | None:
        """The function of the file, if it has one, and that obeys its laws."""
        if (text := self.text) != self._read:
            self._read, self._found, self._source = text, {}, {}
            try:
                self._found, self._source = vars(run(text, self.path)), written(text)
            except Exception as error:
                print(f"The library stands in for all of {self.path}: {said(error)}.")
        function = self._found.get(name)
        if not inspect.isfunction(function):
            return None
        source = self._source.get(name, name)
        if name in specs() and source not in self._judged:
            report = check(function, name)
            self._judged[source] = report.passed
            if not report:
                print(f"The library stands in for {name} of {self.path}: it breaks a law, {report.law}.")
        return function if self._judged.get(source, True) else None

    def write(self, name: str, source: str) -> None:
        """Put a right function into the file, in the place of one of its name. Raises NameError where it needs more."""
        text, source, old = f"{self.text.rstrip()}\n", source.rstrip(), written(self.text).get(name)
        text = text.replace(f"\n{old}\n", f"\n{source}\n") if old else f"{text}\n\n{source}\n"
        if lacking := missing(inspect.unwrap(vars(run(text, self.path))[name])):
            raise NameError(f"it uses {' and '.join(lacking)}, which {self.path} does not have")
        put(self.path, text)
        self._judged[written(text)[name]] = True
        self._tried.pop(name, None)

    def try_(self, *functions: Callable) -> None:
        """Let these functions draw the next figures as they are, right or wrong, in purple; without one, end that.

        Raises TypeError for what is no function.
        """
        for function in functions:
            if not inspect.isfunction(function):
                raise TypeError(f"try_ takes functions, not called, such as try_(q_sample); got {function!r:.60}.")
        self._tried = {function.__name__: function for function in functions}

    def tries(self, name: str) -> bool:
        """Whether a function of this name draws as it is."""
        return name in self._tried

    def upload(self) -> None:
        """Ask for the file, as a notebook in a browser needs it: by Colab's dialog, or by a button."""

        def take(content: bytes) -> None:
            run(text := content.decode("utf-8-sig"), self.path)
            put(self.path, text)
            print(self)

        if "google.colab" in sys.modules:
            for content in sys.modules["google.colab"].files.upload().values():
                take(content)
        else:
            from IPython.display import display
            from ipywidgets import FileUpload

            button = FileUpload(accept=".py", description=f"Upload {self.path}")
            button.observe(lambda change: take(change["new"][0]["content"].tobytes()), "value")
            display(button)

    def certificate(self, *drew: str) -> str:
        """What the file holds of the course, notebook by notebook.

        Parameters
        ----------
        drew : str
            The functions that drew the last picture, which are marked.

        Returns
        -------
        str
            Each function that is right, with its lines in brackets; of the others a minus and the name.

        Examples
        --------
        >>> from tinydiff.course import Mine
        >>> print(Mine("no_such_file.py").certificate("draw").splitlines()[0])
        no_such_file.py has 0 of the 61 functions of the course, and 3 lines.
        """
        right = {
            name: self._source[name].count("\n") + 1 for names in ASKED.values() for name in names if self.own(name)
        }
        others = [name for name in written(self.text) if not any(name in names for names in ASKED.values())]

        def entry(name: str) -> str:
            text = f"{'● ' * (name in drew)}{name} ({right[name]})" if name in right else f"− {name}"
            return text.replace(" ", "\N{NO-BREAK SPACE}")

        head = f"has {len(right)} of the {sum(map(len, ASKED.values()))} functions of the course, and"
        rows = [(f"{n:2d}  ", ", ".join(map(entry, names))) for n, names in ASKED.items()]
        return "\n".join(
            [
                f"{self.path} {head} {len(self.text.splitlines())} lines.",
                "● drew the picture; (lines); − is not there, or breaks a law",
                *(textwrap.fill(row, 96, initial_indent=number, subsequent_indent="    ") for number, row in rows),
                *([f"Your own: {', '.join(others)}"] if others else []),
            ]
        )

    def __repr__(self) -> str:
        count = len(re.findall(r"^def ", self.text, re.MULTILINE))
        return f"{self.path} has {count} function{'s' * (count != 1)}, {len(self.text.splitlines())} lines."

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.text.encode(errors="surrogateescape")).decode()
        return (
            f'{escape(repr(self))} <a download="{self.path.name}" href="data:text/x-python;base64,{data}">Download</a>'
        )


mine = Mine()
"""The file mine.py of the folder in which the notebook runs."""


def run(text: str, path: Path) -> ModuleType:
    """The text, run as an empty module of its own. Raises what it raises."""
    module = ModuleType(path.stem)
    exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    return module


def written(text: str) -> dict[str, str]:
    """The functions of a text, each with its lines, decorators and all; of one name, the last."""
    lines, found = text.split("\n"), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def put(path: Path, text: str) -> None:
    """Write the file, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def missing(function: Callable) -> list[str]:
    """The names that a function uses and its module does not have."""

    def used(code: CodeType) -> Iterator[str]:
        yield from (str(step.argval) for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
        for inner in code.co_consts:
            yield from used(inner) if isinstance(inner, CodeType) else ()

    there = {*function.__globals__, *vars(builtins)}
    return [name for name in dict.fromkeys(used(function.__code__)) if name not in there]


def source_of(function: Callable) -> str:
    """The lines of a function that def makes. Raises ValueError for another."""
    source = textwrap.dedent(inspect.getsource(function))
    body = ast.parse(source).body
    if [getattr(node, "name", "") for node in body] != [function.__name__]:
        raise ValueError(f"write it as `def {function.__name__.strip('<>')}(…):`, in lines of its own")
    return source


def said(error: BaseException) -> str:
    """The error in words."""
    where = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
    return where + (getattr(error, "msg", "") or str(error) or type(error).__name__)
