"""`tinydiff look FILE`: what would be read from a table, before anything is learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from tinydiff import plotting
from tinydiff.app.columns import GUESS, Reading, titles
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
    names = titles(data.names, data.constants, x.shape[1])
    figure = plotting.pairs(data.x * data.scale + data.shift, names, data.labels, data.classes)
    print("Written:", f"  {plotting.save(figure, options.out)}", sep="\n")
    return data


def columns(data: Dataset, x: np.ndarray) -> Table:
    """A row for each column (N, D) of the data, in its own units, and one for each class."""
    table = Table()
    for heading in ("column", "least", "mean", "deviation", "greatest", "different values"):
        table.add_column(heading, justify="left" if heading == "column" else "right")
    for name, column in list(zip(titles(data.names, (), x.shape[1]), x.T, strict=True))[:MOST]:
        numbers = column.min(), column.mean(), column.std(), column.max()
        table.add_row(name, *(f"{number:.6g}" for number in numbers), f"{len(np.unique(column)):,}")
    if x.shape[1] > MOST:
        table.add_row(f"and {x.shape[1] - MOST} more", *[""] * 5)
    table.add_section()
    for k, name in enumerate(data.classes[:MOST]):
        table.add_row(f"class {name}", *[""] * 4, f"{np.sum(data.labels == k)} points")
    return table
