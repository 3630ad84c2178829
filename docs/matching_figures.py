"""The table and the figure of the page on score matching, from benchmarks/score_matching.json."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from catalogue_pages import put
from learning_figures import table
from matplotlib.figure import Figure

from tinydiff import plotting

RESULTS = Path(__file__).parent.parent / "benchmarks" / "score_matching.json"
LOOKS = {"explicit": "-", "implicit": "-", "sliced": "--", "sliced, as first": ":", "denoising": "-"}
COLOURS = dict(zip(LOOKS, ("black", *plotting.CYCLE[:2], plotting.CYCLE[2], plotting.CYCLE[4]), strict=True))
SHOWN = (-4, 0, 4, 8)


def write(folder: Path) -> None:
    """The table, as a piece of Markdown to include, and the figure."""
    folder.mkdir(exist_ok=True)
    result = json.loads(RESULTS.read_text(encoding="utf-8"))
    put(folder / "draws.md", draws(result))
    plotting.save(scatter(result), folder / "scatter.png")


def draws(result: dict[str, Any]) -> str:
    """What each form costs, and how many draws a gradient needs at a few levels, for each law."""
    at = [result["log_snr"].index(log_snr) for log_snr in SHOWN]
    rows = [
        [law, name, str(of["evaluations"]), str(of["pulls"]), *(two_digits(of["noise"][i]) for i in at)]
        for law, found in result["laws"].items()
        for name, of in found["forms"].items()
    ]
    return table(["law", "form", "evaluations", "pulls", *(f"draws at {log_snr}" for log_snr in SHOWN)], rows)


def two_digits(noise: list[float]) -> str:
    """The mean square, such as 0.56, 11 and 1,500,000."""
    return f"{float(f'{mean(n**2 for n in noise):.2g}'):,.10g}"


def scatter(result: dict[str, Any]) -> Figure:
    """Above, the standard deviation of a value; below, that of a gradient in units of the gradient; a column a law."""
    fig = Figure(figsize=(8.4, 5.6), dpi=110, layout="constrained")
    axes = fig.subplots(2, len(result["laws"]), sharex=True, sharey="row")
    for column, (law, found) in zip(axes.T, result["laws"].items(), strict=True):
        for ax, what in zip(column, ("std", "noise"), strict=True):
            for name, of in found["forms"].items():
                heights = [mean(seeds) for seeds in of[what]]
                ax.plot(result["log_snr"], heights, LOOKS[name], color=COLOURS[name], label=name)
            ax.set(yscale="log")
        column[0].set_title(law)
        column[1].set_xlabel("log-SNR (noise left, data right)")
    axes[0, 0].set_ylabel("std of a value")
    axes[1, 0].set_ylabel("std of the gradient / its size")
    axes[0, 0].legend(frameon=False, fontsize=8)
    return fig
