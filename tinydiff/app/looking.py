"""`tinydiff look FILE`: what would be read from a table or of pictures, before anything is learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from tinydiff import plotting
from tinydiff.app.columns import GUESS, Reading, titles
from tinydiff.app.config import UsageError, refuse_reading
from tinydiff.app.images import is_pictures, load_pictures
from tinydiff.app.read import name_of, read_points, standardised, summary
from tinydiff.datasets.points import Dataset

MOST = 30
"""Columns that the table shows, at most."""


@dataclass(frozen=True)
class Look:
    """Show what would be read: each column, the classes, what was guessed, and a picture of points or pictures."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A table, - for one on standard input, or pictures: a .npy or IDX file, or a folder."""
    labels: Annotated[str | None, tyro.conf.arg(metavar="COLUMN|FILE", help_behavior_hint="(default: by its name)")] = (
        None
    )
    """The column that has the classes, or none; for pictures a .npy or IDX file with the label of each."""
    read: tyro.conf.OmitArgPrefixes[Reading] = GUESS
    """How to read a table, where guessing is not enough."""
    out: Path = Path("look.png")
    """The picture."""


def look(options: Look) -> Dataset:
    """Print the columns, the classes and the notes, and write the picture; what was read."""
    if not options.data:
        raise UsageError("FILE is empty: give a table or pictures.")
    if options.data != "-" and is_pictures(options.data):
        refuse_reading(options.data, options.read)
        data = load_pictures(options.data, options.labels)
        assert data.picture is not None
        Console().print(classes(Table(), data))
        figure = plotting.pictures(data.x[np.unique(np.linspace(0, len(data.x) - 1, 100).astype(int))], data.picture)
    else:
        how = options.read
        data = standardised(read_points(options.data, how, options.labels), name_of(options.data), how.dequantise)
        x = data.restore(data.x)
        Console().print(classes(columns(data, x), data))
        names = titles(data.names, data.constants, x.shape[1])
        figure = plotting.pairs(data.x * data.scale + data.shift, names, data.labels, data.classes)
    print(summary(name_of(options.data), data))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print("Written:", f"  {plotting.save(figure, options.out)}", sep="\n")
    return data


def columns(data: Dataset, x: np.ndarray) -> Table:
    """A row for each column (N, D) of the data, in its own units."""
    table = Table()
    for heading in ("column", "least", "mean", "deviation", "greatest", "different values"):
        table.add_column(heading, justify="left" if heading == "column" else "right")
    for name, column in list(zip(titles(data.names, (), x.shape[1]), x.T, strict=True))[:MOST]:
        numbers = column.min(), column.mean(), column.std(), column.max()
        table.add_row(name, *(f"{number:.6g}" for number in numbers), f"{len(np.unique(column)):,}")
    if x.shape[1] > MOST:
        table.add_row(f"and {x.shape[1] - MOST} more", *[""] * 5)
    return table


def classes(table: Table, data: Dataset) -> Table:
    """The table with a row for each class; a table of its own where it has no columns yet."""
    if not table.columns:
        table.add_column("class")
        table.add_column("number", justify="right")
    table.add_section()
    counts = np.bincount([] if data.labels is None else data.labels)
    for k, count in enumerate(counts[:MOST]):
        name = data.classes[k] if data.classes else str(k)
        table.add_row(f"class {name}", *[""] * (len(table.columns) - 2), f"{count:,}")
    return table
