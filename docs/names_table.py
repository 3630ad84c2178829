"""The table of what tinydiff exports, each name with the first words of its docstring and a link to its place."""

import re
from pathlib import Path
from types import ModuleType

import tinydiff as td

PAGES = Path(__file__).parent / "api"


def documented() -> dict[str, tuple[Path, bool]]:
    """Each module of the reference, with its page, and whether the members stand there."""
    found = {}
    for page in sorted(PAGES.glob("*.md")):
        for name, options in re.findall(r"automodule:: (\S+)\n((?: +:.*\n)*)", page.read_text(encoding="utf-8")):
            found[name] = page, ":no-members:" not in options
    return found


def places() -> dict[str, str]:
    """Where the reference has each exported name: the full name of the module, class or function."""
    modules = documented()
    found = {}
    for name in td.__all__:
        thing = getattr(td, name)
        full = thing.__name__ if isinstance(thing, ModuleType) else f"{thing.__module__}.{thing.__qualname__}"
        home = full if isinstance(thing, ModuleType) else thing.__module__
        if home not in modules or not (isinstance(thing, ModuleType) or modules[home][1]):
            raise LookupError(f"td.{name}, which is {full}, has no place in docs/api")
        found[name] = full
    return found


def table() -> str:
    """A table of Markdown."""
    rows = ["| name | what it is |", "| --- | --- |"]
    for name, full in sorted(places().items(), key=lambda pair: pair[0].lower()):
        thing = getattr(td, name)
        role = "mod" if isinstance(thing, ModuleType) else "class" if isinstance(thing, type) else "func"
        rows.append(f"| {{py:{role}}}`td.{name} <{full}>` | {first_line(thing)} |")
    return "\n".join(rows)


def first_line(thing: object) -> str:
    """The first paragraph of a docstring, as Markdown has it in a table."""
    paragraph = " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())
    return re.sub(r"([|*$_<\\[\]])", r"\\\1", paragraph.replace("``", "`"))
