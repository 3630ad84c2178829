"""`tinydiff check FILE`: every function in a file that `check` knows, judged by its laws."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from tinydiff.check import grade, specs
from tinydiff.check.grading.source import Source
from tinydiff.check.report import spelled

Marks = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Check:
    """Hold the functions in a file to their laws, each in a process of its own. The exit code is 1 where one fails."""

    file: Annotated[Path, tyro.conf.Positional]
    """A Python file or a notebook; of all functions in it, those that `tinydiff.check.specs()` names are checked."""
    only: tuple[str, ...] = ()
    """The names of some; "mine:q_sample" is your function mine, judged as q_sample."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print marks as JSON, for a grader: points for each law, the law that is broken, the case that breaks it."""
    watch: tyro.conf.FlagCreatePairsOff[bool] = False
    """Check again whenever the file changes, until Ctrl-C."""


def check_file(options: Check) -> int:
    """Check the file and print what was found; 1 where a function fails."""
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    if not options.watch:
        marks = judged(options, known)
        print_marks(marks, options)
        return int(not all(mark["passed"] for mark in marks.values()))
    for _ in changes(options.file):
        try:
            print_marks(judged(options, known), options)
        except (ValueError, OSError) as error:  # a file that is being written, or that has gone for a moment
            print("tinydiff:", error, file=sys.stderr)
        print(f"Watching {options.file}; Ctrl-C ends.", file=sys.stderr)
    return 0


def judged(options: Check, known: dict[str, tuple[str, dict[str, Any]]]) -> Marks:
    """The marks of all functions; those whose lines are the same as before are not checked again."""
    source = Source(options.file)
    names = options.only or tuple(name for name in source.functions() if name in specs())
    if not names:
        defined = ", ".join(source.functions()[:8] or source.errors) or "no function at all"
        raise ValueError(
            f"{options.file} defines none of the {len(specs())} functions that check knows, but {defined}."
        )
    texts = {name: source.of(name.split(":")[0]) for name in names}
    for name in tqdm(names, unit="function", leave=False, disable=None):
        if known.get(name, ("",))[0] != texts[name] or not texts[name]:
            known[name] = texts[name], grade(options.file, [name])[name]
    return {name: known[name][1] for name in names}


def print_marks(marks: Marks, options: Check) -> None:
    """A table, and under it the report on each function that fails; or JSON."""
    if options.json:
        print(json.dumps(marks, indent=2))
        return
    passed = sum(mark["passed"] for mark in marks.values())
    table = Table(title=f"{options.file.name}: {passed} of {len(marks)} obey their laws")
    for column in ("function", "", "points", "what is broken"):
        table.add_column(column, justify="right" if column == "points" else "left")
    for name, mark in marks.items():
        sign, colour = ("✓", "green") if mark["passed"] else ("✗", "red") if mark["written"] else ("○", "dim")
        broken = "" if mark["passed"] else mark["law"] or "not yet"
        table.add_row(name, f"[{colour}]{said(sign)}", f"{mark['points']:.3g}/{mark['of']:.3g}", said(broken))
    console = Console(highlight=False)
    console.print(table)
    for mark in marks.values():
        if not mark["passed"] and mark["written"]:
            console.print("\n" + said(mark["report"]), markup=False, soft_wrap=True)


def said(text: str) -> str:
    """The text in the letters that this terminal has."""
    return spelled(text, getattr(sys.stdout, "encoding", None) or "utf-8")


def changes(file: Path) -> Iterator[None]:
    """Now, and each time that the file has changed since."""
    before: Any = object()
    while True:
        now = (stat.st_mtime_ns, stat.st_size) if (stat := file.stat() if file.exists() else None) else None
        if now != before:
            before = now
            yield
        time.sleep(0.2)
