"""Tables of the page on measurements, from benchmarks/inverse.json."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from catalogue_pages import put
from learning_figures import table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "inverse.json"

Row = dict[str, Any]
Found = dict[str, dict[str, list[Row]]]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include."""
    folder.mkdir(exist_ok=True)
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    put(folder / "toys.md", toys(result["toys"]))
    put(folder / "gaussian.md", gaussian(result["gaussian"]))
    put(folder / "each.md", each(result["toys"]["spiral60"]))


def toys(found: Found) -> str:
    """A row for each method, from near to far: the mean energy and the least share of modes for each toy."""
    names = sorted(next(iter(found.values())), key=lambda name: order(name, found))
    head = ["", *(f"{toy}: {what}" for toy in found for what in ("energy", "modes"))]
    return table(head, ([code(name), *(cell for of in found.values() for cell in cells(of[name]))] for name in names))


def order(name: str, found: Found) -> float:
    """The mean energy over the toys."""
    return float(np.mean([np.mean(energies(of_toy[name])) for of_toy in found.values()]))


def energies(rows: Iterable[Row]) -> list[float]:
    """The energy distances, infinite where points were."""
    return [row["energy"] if row["finite"] == 1 else math.inf for row in rows]


def cells(rows: list[Row]) -> list[str]:
    """The mean energy distance, and the least share of modes of any y."""
    return [number(float(np.mean(energies(rows)))), f"{min(row['modes'] for row in rows):.2f}"]


def each(methods: dict[str, list[Row]]) -> str:
    """The mean energy over the seeds, for each y, of the posterior's own draws and of the family by both samplers."""
    shown = {name: rows for name, rows in methods.items() if ";" in name or name == "draws of the posterior"}
    ys = list(dict.fromkeys(row["y"] for row in next(iter(methods.values()))))

    def cell(rows: list[Row], y: float) -> str:
        return number(float(np.mean(energies(row for row in rows if row["y"] == y))))

    return table(["y =", *map(str, ys)], ([code(name), *(cell(rows, y) for y in ys)] for name, rows in shown.items()))


def gaussian(found: dict[str, dict[str, float]]) -> str:
    """KL in nats of each member of the family."""
    head = ["KL, nats", *next(iter(found.values()))]
    return table(head, ([f"`{name}`", *map(number, of.values())] for name, of in found.items()))


def number(value: float) -> str:
    """Two digits that count, and no power of ten."""
    if not math.isfinite(value) or value > 100:
        return "far away"
    return f"{value:#.2g}" if value >= 1e-3 else f"{value:.1e}" if value < 1e-4 else f"{value:.4f}"


def code(name: str) -> str:
    """`covariance`, by what."""
    first, *rest = name.split("; ")
    return "; ".join([f"`{first}`" if first in ("mmps", "pigdm", "dps") else first, *rest])
