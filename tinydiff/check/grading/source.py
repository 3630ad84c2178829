"""What a file defines: its functions, and for each the lines that it needs."""

import ast
import json
import re
import symtable
from pathlib import Path

MAGIC = re.compile(r"^(\s*)[%!?].*$|^(\s*)\S+\?\s*$", re.MULTILINE)  # of IPython
HARMLESS = ("%%time", "%%timeit", "%%capture")  # above a cell of Python


class Source:
    """A Python file or a notebook as text, and its statements; a cell that is not Python has none.

    Parameters
    ----------
    path : str or Path
        A file that ends in .py or .ipynb.

    Raises
    ------
    ValueError
        For another ending, for a file that is not UTF-8 or no notebook, and for a .py file that is not Python.
    FileNotFoundError
        Where there is none.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.suffix not in (".py", ".ipynb"):
            raise ValueError(f"path must end in .py or .ipynb; got {str(path)!r}.")
        try:
            text = self.path.read_text(encoding="utf-8")
            cells = [text] if self.path.suffix == ".py" else cells_of(text)
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read as a {self.path.suffix} file: {error}.") from None
        self.text, self.statements, self.errors = "", [], []  # type: str, list[ast.stmt], list[str]
        for number, cell in enumerate(cells, 1):
            try:
                body = ast.parse(cell).body
            except (SyntaxError, ValueError) as error:
                if self.path.suffix == ".py":
                    raise ValueError(f"{path} is not Python: {error}.") from None
                self.errors.append(f"cell {number}: {error}")
                continue
            for statement in body:
                ast.increment_lineno(statement, self.text.count("\n"))
            self.statements += body
            self.text += cell + "\n"

    def functions(self) -> list[str]:
        """The names of the functions that it defines, in order."""
        defined = (statement.name for statement in self.statements if isinstance(statement, ast.FunctionDef))
        return list(dict.fromkeys(defined))

    def of(self, name: str) -> str:
        """The text with all lines blank but those that bind the name, or a name that those use, and so on."""
        wanted, lines = {name}, set[int]()
        while True:
            found = [one for one in self.statements if not isinstance(one, ast.Expr) and binds(one) & wanted]
            more = wanted.union(*map(uses, found))
            if more == wanted:
                break
            wanted = more
        for one in found:
            first = min([one.lineno, *(d.lineno for d in getattr(one, "decorator_list", []))])
            lines.update(range(first, (one.end_lineno or first) + 1))
        return "".join(
            line if number in lines else "\n" for number, line in enumerate(self.text.splitlines(keepends=True), 1)
        )


def cells_of(text: str) -> list[str]:
    """The code cells of a notebook, with what is IPython's own replaced by `pass`."""
    cells = []
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if source.startswith(HARMLESS):
                source = source.partition("\n")[2]
            cells.append(MAGIC.sub(r"\1\2pass", source) if not source.startswith("%%") else "")
    return cells


def binds(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value, or a part of a value."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            while isinstance(node, ast.Attribute | ast.Subscript):
                node = node.value
            names |= {node.id} if isinstance(node, ast.Name) else set()
    return names


def uses(statement: ast.stmt) -> set[str]:
    """The names that it takes from the file: neither its arguments nor what it binds within a function."""

    def of(table: symtable.SymbolTable) -> set[str]:
        module = table.get_type() == "module"
        own = {symbol.get_name() for symbol in table.get_symbols() if module or symbol.is_global()}
        return own.union(*map(of, table.get_children()))

    return of(symtable.symtable(ast.unparse(statement), "answer", "exec"))
