"""Tables of the page on measured digits, from benchmarks/inverse_digits.json."""

import json
from pathlib import Path
from typing import Any

from catalogue_pages import put
from learning_figures import table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "inverse_digits.json"


def write(folder: Path) -> None:
    """A table for each measurement, as pieces of Markdown to include."""
    folder.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    for task, found in results["tasks"].items():
        put(folder / f"digits-{task}.md", of_task(found["rows"]))
    put(folder / "digits-covariances.md", of_covariances(results["covariances"]))


def of_task(rows: dict[str, dict[str, Any]]) -> str:
    """A row for each method."""
    head = ["", "measurement error, in τ", "rms from the digit", "read as the digit", "sureness", "CPU seconds"]
    return table(head, ([name, *cells(found)] for name, found in rows.items()))


def cells(found: dict[str, Any]) -> list[str]:
    """What was measured of one method; a share of 60 has a standard error of up to .065."""
    error, apart = (number(found[name]) for name in ("error", "apart"))
    if found["finite"] < 1:
        error += f" of the {found['finite']:.0%} that are finite"
    seconds = f"{found['seconds']:.0f}" if "seconds" in found else ""
    return [error, apart, f"{found['read']:.2f}", f"{found['sure']:.2f}", seconds]


def of_covariances(found: dict[str, list[dict[str, float]]]) -> str:
    """A row for each measurement and log-SNR."""
    head = ["", "log-SNR", "asymmetry", "least eigenvalue", "greatest", "share under −τ²"]
    numbers = ("asymmetry", "least", "greatest", "negative")
    rows = ((task, row) for task, of_it in found.items() for row in of_it)
    return table(head, ([task, f"{row['log_snr']:g}", *(f"{row[name]:.2g}" for name in numbers)] for task, row in rows))


def number(value: float | None) -> str:
    """Two or three digits; none where nothing was finite."""
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}" if value < 1e4 else f"{value:.0e}"
