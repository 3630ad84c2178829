"""`tinydiff look FILE`: what would be read from a table, before anything is learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from tinydiff import plotting
from tinydiff.app.columns import GUESS, Reading, named
from tinydiff.app.config import UsageError
from tinydiff.app.images import is_pictures
from tinydiff.app.read import name_of, read_points, standardised, summary
from tinydiff.datasets.points import Dataset

MOST = 30
"""Columns that the table shows, at most."""


@dataclass(frozen=True)
class Look:
    """Show what would be read from a table: each column, what was guessed, and a picture of the points."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The table, or - for standard input."""
    labels: Annotated[str | None, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="(default: by its name)")] = None
    """The column that has the classes, or none."""
    read: tyro.conf.OmitArgPrefixes[Reading] = GUESS
    """How to read it, where guessing is not enough."""
    out: Path = Path("look.png")
    """The picture."""


def look(options: Look) -> Dataset:
    """Print the columns and the notes, and write the picture; what was read."""
    if options.data != "-" and is_pictures(options.data):
        raise UsageError(f"{options.data} holds pictures: look is for tables.")
    data = standardised(read_points(options.data, options.read, options.labels), name_of(options.data))
    console, x = Console(), data.restore(data.x)
    console.print(columns(data, x))
    print(summary(name_of(options.data), data))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure = plotting.pairs(data.x * data.scale + data.shift, varying(data), data.labels, data.classes)
    print("Written:", f"  {plotting.save(figure, options.out)}", sep="\n")
    return data


def varying(data: Dataset) -> list[str]:
    """The names of the columns that vary."""
    width = data.x.shape[1] + len(data.constants)
    names = data.names or [""] * width
    return [names[i] or f"column {i + 1}" for i in range(width) if i not in dict(data.constants)]


def columns(data: Dataset, x: np.ndarray) -> Table:
    """A row for each column (N, D) of the data, in its own units."""
    table, names = Table(), data.names or [""] * x.shape[1]
    for heading in ("column", "least", "mean", "deviation", "greatest", "different values"):
        table.add_column(heading, justify="left" if heading == "column" else "right")
    for i in range(min(MOST, x.shape[1])):
        table.add_row(named(names, i).strip("'"), *row_of(x[:, i]))
    if x.shape[1] > MOST:
        table.add_row(f"and {x.shape[1] - MOST} more", *[""] * 5)
    for k, name in enumerate(data.classes if data.labels is not None else ()):
        table.add_section() if k == 0 else None
        table.add_row(f"class {name}", *[""] * 4, f"{np.sum(data.labels == k)} points")
        if k == MOST:
            break
    return table


def row_of(column: np.ndarray) -> tuple[Any, ...]:
    """What there is to see of a column."""
    numbers = column.min(), column.mean(), column.std(), column.max()
    return *(f"{number:.6g}" for number in numbers), f"{len(np.unique(column)):,}"
