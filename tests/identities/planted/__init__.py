"""What each identity must catch: wrong functions and edits of right ones; test_bugs.py plants them in the library."""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from identities.bugs import Bug, bug


@cache
def pages() -> dict[int, ModuleType]:
    """The module of this folder that lists the bugs of an identity, by its number."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    modules = [importlib.import_module(f"identities.planted.{name}") for name in names if name != "__init__"]
    return {number: module for module in modules for number in getattr(module, "BUGS", {})}


def bugs_of(number: int) -> tuple[Bug, ...]:
    """The bugs of an identity."""
    return tuple(each if isinstance(each, Bug) else bug(*each) for each in pages()[number].BUGS[number])
