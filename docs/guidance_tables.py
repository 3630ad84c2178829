"""Tables and the figure of the page on guidance, from benchmarks/guidance.json."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from catalogue_pages import put
from learning_figures import by, table
from matplotlib.figure import Figure

from tinydiff import plotting

RESULTS = Path(__file__).parent.parent / "benchmarks" / "guidance.json"
NAMES = {
    "class": "the class itself",
    "tilted": "the tilted law",
    "CFG": "CFG",
    "CFG in an interval": "CFG between −1 and 3",
    "autoguidance": "autoguidance",
    "bounded": "CFG, push ≤ .3",
    "APG": "APG",
    "APG, bounded": "APG, push ≤ .3",
}
PANELS = ("CFG", "CFG in an interval", "autoguidance", "bounded")
DRAWN = 2.0
"""The weight of the laws in the figure."""

Result = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include, and the figure."""
    folder.mkdir(exist_ok=True)
    parts = by("part", json.loads(RESULTS.read_text(encoding="utf-8")))
    line, plane = by("data", parts["line"]), by("data", parts["plane"])
    put(folder / "gaussians.md", laws(line["Gaussians"], {"mean": "mean", "sd": "sd"} | LAW))
    put(folder / "bumps.md", laws(line["bumps"], CLASS | {"right": "right bump"} | LAW))
    put(folder / "certain.md", certain(parts["certain"]))
    put(folder / "plane.md", laws(plane["moons32"], PLANE))
    put(folder / "moved.md", laws(plane["moved"], PLANE | {"from origin": "mean from origin"}))
    put(folder / "learned.md", learned(parts["learned"]))
    plotting.save(drawn(line), folder / "laws.png")


CLASS = {"class": "of the class"}
LAW = {"entropy": "entropy, nats", "kl": "KL, nats", "tail": "tail"}
PLANE = {"spread": "area", "energy": "energy distance"} | LAW


def laws(results: list[Result], columns: dict[str, str]) -> str:
    """A row for each guide and weight: its numbers in these columns."""
    rows = ([NAMES[each["guide"]], f"{each['w']:g}", *(number(each, name) for name in columns)] for each in results)
    return table(["", "w", *columns.values()], rows)


def number(result: Result, name: str) -> str:
    """One of its numbers as it is shown."""
    return short(result[name], 4 if name in ("tail", "energy") else 3)


def short(value: float, digits: int) -> str:
    """Without a zero before the point, and with a minus that is one."""
    shown = f"{value:.2f}" if abs(value) > 0.999 else f"{round(value, digits) + 0.0:.{digits}f}".replace("0.", ".", 1)
    return shown.replace("-", "−")


def certain(results: list[Result]) -> str:
    """Each guide at the weight at which its samples are as surely of their class."""
    columns = {"strength": "w", "right": "right bump"} | LAW
    rows = [[NAMES[each["guide"]], *(number(each, name) for name in columns)] for each in results if each["strength"]]
    rows += [[NAMES[each["guide"]], "none does", "", "", "", ""] for each in results if not each["strength"]]
    return table(["", *columns.values()], rows)


def learned(results: list[Result]) -> str:
    """Networks, and one guided by another: means over the seeds, and of the KL the spread."""
    rows = []
    for toy, of_toy in by("data", results).items():
        for each in by("key", ({**each, "key": (each["guide"], each["w"])} for each in of_toy)).values():
            kl, *others = ([one[name] for one in each] for name in ("kl", "energy", "tail", "least mode"))
            nats = f"{short(mean(kl), 3)} ± {short(stdev(kl), 3)}" if any(kl) else "0"
            w = f"{each[0]['w']:g}" if each[0]["w"] else ""
            rows.append([toy, each[0]["guide"], w, nats, *(short(mean(one), 4) for one in others)])
    return table(["toy", "", "w", "KL(data ‖ model), nats", "energy distance", "tail", "least mode"], rows)


def drawn(line: dict[str, list[Result]]) -> Figure:
    """The laws of all guides at one weight, a row for each toy: the class is filled, the law of the samples a line."""
    fig = Figure(figsize=(9.6, 4.2), dpi=110, layout="constrained")
    axes = fig.subplots(len(line), len(PANELS), sharex=True, sharey="row", squeeze=False)
    for row, (data, results) in zip(axes, line.items(), strict=True):
        found = {each["guide"]: each["law"] for each in results if "law" in each and each["w"] in (0, DRAWN)}
        x = np.linspace(-3.5, 3.5, len(found["class"]), endpoint=False)
        for ax, name in zip(row, PANELS, strict=True):
            ax.fill_between(x, found["class"], color=plotting.DATA, alpha=0.35, lw=0)
            ax.plot(x, found["tilted"], color=plotting.EXACT, lw=1.0)
            ax.plot(x, found[name], color=plotting.MODEL, lw=1.4)
            ax.set(xlim=(-1.3, 2.7), yticks=[])
            ax.set_title(NAMES[name], fontsize=9)
        row[0].set(ylabel=data, ylim=(0, None))
    return fig
