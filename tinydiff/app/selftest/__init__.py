"""`python -m tinydiff.app.selftest [numpy|strict|torch|cupy]`: has this library NumPy's numbers here, and how fast?

The core suite runs on arrays of the library and on NumPy's, in float64 and float32; a table names what disagrees. Then
a few tasks are timed on both. Exit codes: 0 where all agree, 1 where something does not, 2 where the library or the
device is not there, in one sentence.
"""

import platform
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import array_api_compat
import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from tinydiff import __version__
from tinydiff.app.selftest import timing
from tinydiff.app.selftest.agreement import Line, compare, kind, size
from tinydiff.app.selftest.core import To
from tinydiff.app.selftest.libraries import open_library

TOLERANCES = {"float64": 1e-10, "float32": 5e-3}
"""The largest |found − expected|/(1 + |expected|) that is agreement.

The same sums in another order, and exp and tanh of another make, differ by rounding, which samplers carry on: PyTorch's
worst entries on a CPU differ by 4e-13 and 4e-4. A GPU rounds otherwise again: a hundredfold, and in float32 tenfold.
"""


@dataclass(frozen=True)
class Options:
    """Check that the numerical core computes on another array library what it does on NumPy, and time both."""

    library: Annotated[Literal["numpy", "strict", "torch", "cupy"], tyro.conf.Positional] = "cupy"
    """The library: "strict" is array-api-strict, on a device of its own."""
    device: str | None = None
    """The device there: cuda for PyTorch, a number for CuPy."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Check float64 alone, and time nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-test that the arguments ask for, print its tables, and return the exit code."""
    options = tyro.cli(Options, prog="python -m tinydiff.app.selftest", args=arguments)
    try:
        to = open_library(options.library, options.device)
    except ValueError as error:
        print(f"tinydiff: {error}", file=sys.stderr)
        return 2
    console = Console()
    console.print(
        f"tinydiff {__version__}, {' on '.join(kind(to(np.empty(0)))[:2])}{maker(to)}; NumPy {np.__version__}, "
        f"array-api-compat {array_api_compat.__version__}, Python {platform.python_version()}, {platform.machine()}"
    )
    agree = True
    for dtype, tolerance in list(TOLERANCES.items())[: 1 if options.quick else 2]:
        lines = list(tqdm(compare(to, np.dtype(dtype)), dtype, size(), leave=False, disable=None))
        wrong = [line for line in lines if line.error or not line.difference <= tolerance]
        console.print(agreement_table(dtype, tolerance, lines, wrong))
        agree = agree and not wrong
    if not options.quick:
        console.print(timing_table(options.library, to))
    console.print(f"{options.library} {'agrees' if agree else 'does not agree'} with NumPy.")
    return 0 if agree else 1


def maker(to: To) -> str:
    """The version of the library, where it has one, and the name of the GPU, where it is CuPy's."""
    library = sys.modules[type(to(np.empty(0))).__module__.partition(".")[0]]
    version = getattr(library, "__version__", "")
    if library.__name__ != "cupy":
        return f" ({version})"
    properties: dict[str, Any] = library.cuda.runtime.getDeviceProperties(library.cuda.Device().id)
    return f" ({version}, {properties['name'].decode()})"


def agreement_table(dtype: str, tolerance: float, lines: list[Line], wrong: list[Line]) -> Table:
    """One row for each piece of the suite, then one for each entry that is wrong."""
    table = Table(
        "piece", "agree", "worst entry", "difference", title=f"{dtype}, to {tolerance:g}", title_justify="left"
    )
    entries, failed = Counter(line.piece for line in lines), Counter(line.piece for line in wrong)
    for piece, count in entries.items():
        known = [line for line in lines if line.piece == piece and line.difference == line.difference]
        worst = max(known, key=lambda line: line.difference, default=Line(piece, "none", np.nan, ""))
        table.add_row(piece, f"{count - failed[piece]} of {count}", worst.name, f"{worst.difference:.1e}")
    for line in wrong:
        table.add_row(f"[bold red]{line.piece}", "wrong", line.name, escape(line.error) or f"{line.difference:.1e}")
    return table


def timing_table(library: str, to: To) -> Table:
    """Medians on both, in milliseconds: a GPU's until a number of the result is on the host."""
    table = Table("float32", "NumPy, ms", f"{library}, ms", "times as fast", title="Medians", title_justify="left")
    for name, here, there in tqdm(timing.both(to), "timing", timing.count(), leave=False, disable=None):
        table.add_row(name, f"{1e3 * here:.2f}", f"{1e3 * there:.2f}", f"{here / there:.1f}")
    return table
