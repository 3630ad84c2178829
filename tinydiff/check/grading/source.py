"""What a file defines: its functions, and for each the lines that it needs."""

import ast
import io
import json
import re
import symtable
import tokenize
from functools import cached_property
from pathlib import Path

IMPORT = (ast.Import, ast.ImportFrom)
TOO_MUCH = (SyntaxError, ValueError, RecursionError, MemoryError)  # what Python's parser raises
HARMLESS = re.compile(r"%%(time|timeit|capture|prun)\b.*\n")  # above a cell of Python
MAGICS = [  # of IPython, in a cell of Python
    (re.compile(r"^([ \t]*)%(?:time|timeit|prun)[ \t]+(?!-)(.+)$", re.MULTILINE), r"\1\2"),
    (re.compile(r"^([ \t]*)(?:[%!].*|[\w.]+\?{1,2}[ \t]*|\?{1,2}[\w.]+[ \t]*)$", re.MULTILINE), r"\1pass"),
    (re.compile(r"^([ \t]*\w+[ \t]*=[ \t]*)[%!].*$", re.MULTILINE), r"\1None"),
]


class Source:
    """A Python file or a notebook as text, and its statements; what is not Python has none, and is an error kept.

    Parameters
    ----------
    path : str or Path
        A file that ends in .py or .ipynb.

    Raises
    ------
    ValueError
        For another ending.
    FileNotFoundError
        Where there is none.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.suffix not in (".py", ".ipynb"):
            raise ValueError(f"path must end in .py or .ipynb; got {str(path)!r}.")
        content = self.path.read_bytes()
        self.errors: list[str] = []
        try:
            cells = [python_of(content)] if self.path.suffix == ".py" else cells_of(content)
        except (*TOO_MUCH, KeyError, TypeError, AttributeError) as error:
            cells, self.errors = [], [f"{self.path.name} cannot be read as a {self.path.suffix} file: {error}"]
        self.text, self.statements = "", list[Statement]()
        for number, cell in enumerate(cells, 1):
            try:
                text = cell if self.path.suffix == ".py" or is_python(cell) else without_magics(cell)
                body = ast.parse(text).body
            except TOO_MUCH as error:
                where = self.path.name if self.path.suffix == ".py" else f"cell {number}"
                self.errors.append(f"{where} is not Python: {str(error) or type(error).__name__}")
                continue
            lines = text.split("\n")
            before = self.text.count("\n")
            self.statements += [Statement(node, lines, before) for node in body]
            self.text += text + "\n"

    def functions(self) -> list[str]:
        """The names of the functions that it defines, in order."""
        return list(dict.fromkeys(name for one in self.statements for name in one.functions))

    def defines(self, name: str) -> bool:
        """Whether it gives the name a value."""
        return any(name in one.binds for one in self.statements)

    @property
    def postponed(self) -> bool:
        """Whether annotations are not evaluated."""
        return any(isinstance(one.node, ast.ImportFrom) and one.node.module == "__future__" for one in self.statements)

    def of(self, name: str) -> str:
        """The text with all lines blank but those that bind the name, or a name that those use, and so on.

        Where the name is a function's and then another value's, it is the function's.
        """
        modules = {bound for one in self.statements if isinstance(one.node, IMPORT) for bound in one.binds}
        makes = [i for i, one in enumerate(self.statements) if name in one.functions]
        binding: dict[str, list[int]] = {}
        for i, one in enumerate(self.statements):
            for bound in one.binds | (one.changes - modules):
                if bound != name or not makes or i <= makes[-1]:
                    binding.setdefault(bound, []).append(i)
        wanted, found, lines = [name, "*"], set[int](), set[int]()
        while wanted:
            for i in binding.pop(wanted.pop(), []):
                if i not in found:
                    found.add(i)
                    wanted += self.statements[i].uses
                    lines.update(self.statements[i].lines)
        return "\n".join(line if i in lines else "" for i, line in enumerate(self.text.split("\n")))


class Statement:
    """One of a file, with the names that it binds and uses."""

    def __init__(self, node: ast.stmt, lines: list[str], before: int):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        self.node, self.text = node, "\n".join(lines[first : node.end_lineno])
        self.lines = range(before + first, before + (node.end_lineno or 0))

    @cached_property
    def functions(self) -> list[str]:
        """The functions that it defines, under a condition too."""
        names = []
        for node in ast.walk(self.node) if isinstance(self.node, ast.If | ast.Try) else [self.node]:
            if isinstance(node, ast.FunctionDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        return names

    @cached_property
    def binds(self) -> set[str]:
        """The names that it gives a value, or a part of one; "*" for what a module has."""
        if isinstance(self.node, ast.ImportFrom) and self.node.module == "__future__":
            return set()
        if isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return {self.node.name}
        names: set[str | None] = set()
        for node in ast.walk(self.node):
            if isinstance(node, ast.alias):
                names.add((node.asname or node.name).split(".")[0])
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.MatchAs | ast.MatchStar):
                names.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
                names.add(base(node))
        return {name for name in names if name}

    @cached_property
    def changes(self) -> set[str]:
        """The names whose methods it calls, maybe for what these change, as in `constants.append(1)`."""
        if not isinstance(self.node, ast.For | ast.While | ast.If | ast.With | ast.Expr):
            return set()
        calls = (node.func for node in ast.walk(self.node) if isinstance(node, ast.Call))
        return {name for called in calls if isinstance(called, ast.Attribute) and (name := base(called))}

    @cached_property
    def uses(self) -> set[str]:
        """The names that it takes from the file: neither its arguments nor what it binds within a function."""

        def of(table: symtable.SymbolTable) -> set[str]:
            module = table.get_type() == "module"
            own = {symbol.get_name() for symbol in table.get_symbols() if module or symbol.is_global()}
            return own.union(*map(of, table.get_children()))

        try:
            return of(symtable.symtable(self.text, "answer", "exec"))
        except TOO_MUCH:  # it cannot be compiled, which will be said
            return {node.id for node in ast.walk(self.node) if isinstance(node, ast.Name)}


def base(node: ast.expr) -> str | None:
    """The name x in x.y[z]."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def is_python(text: str) -> bool:
    """Whether it can be parsed as it is."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def python_of(content: bytes) -> str:
    """The text of a Python file, in the encoding that it names, with lines that end as Python's do."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return newlines(content.decode(encoding))


def cells_of(content: bytes) -> list[str]:
    """The code cells of a notebook."""
    cells = json.loads(content.decode("utf-8-sig"))["cells"]
    return [newlines("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


def newlines(text: str) -> str:
    """The text with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_magics(cell: str) -> str:
    """The cell as Python, where IPython's own lines do nothing."""
    cell = HARMLESS.sub("\n", cell.lstrip("\n"), count=1) if HARMLESS.match(cell.lstrip("\n")) else cell
    if cell.lstrip().startswith("%%"):
        return ""
    if is_python(cell):
        return cell
    for pattern, python in MAGICS:
        cell = pattern.sub(python, cell)
    return cell
