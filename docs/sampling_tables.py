"""Tables of the page on what is drawn by default, from benchmarks/sampling.json and benchmarks/race.json."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from catalogue_pages import put
from learning_figures import by, table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "sampling.json"
RACE = RESULTS.with_name("race.json")
EXACT = "the flow itself"
DEFAULT = ("adams_bashforth", "logistic")

Result = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include."""
    folder.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    exact = [each for each in results if each["sampler"] == EXACT]
    for budget in (50, 20):
        put(folder / f"{budget}.md", ranges(exact, [each for each in results if each["evaluations"] == budget]))
    put(folder / "toys.md", toys(results))
    put(folder / "race.md", race(json.loads(RACE.read_text(encoding="utf-8"))))


def ranges(exact: list[Result], results: Iterable[Result]) -> str:
    """A row for each sampler and grid, from the nearest to the flow on: least and greatest over the toys."""
    pairs = by("pair", ({**each, "pair": (each["sampler"], each["grid"])} for each in results))
    found = sorted(pairs.values(), key=near)
    head = ["sampler", "grid", "rms from the flow", "z of the log-density", "least p: energy", "counts"]
    return table(head, (row(each) for each in (exact, *found)))


def near(results: list[Result]) -> float:
    """The geometric mean of the rms distances; what has none comes last."""
    rms = [each["rms"] for each in results]
    return float("inf") if None in rms else float(np.exp(np.mean(np.log(rms))))


def row(results: list[Result]) -> list[str]:
    """The numbers of one sampler on one grid."""
    name, grid = results[0]["sampler"], results[0]["grid"]
    rms, z = [each["rms"] for each in results], [each["z"] for each in results]
    shown = "" if None in rms else f"{min(rms):.1g} to {max(rms):.1g}"
    names = [f"**`{name}`**", f"**`{grid}`**"] if (name, grid) == DEFAULT else [code(name), code(grid)]
    least = (p_value(min(each[p] for each in results)) for p in ("energy_p", "counts_p"))
    return [*names, shown, f"{min(z):+.1f} to {max(z):+.1f}", *least]


def code(name: str) -> str:
    """`sampler`, option."""
    sampler, *option = name.split(", ")
    return name if name in ("", EXACT) else ", ".join([f"`{sampler}`", *option])


def p_value(p: float) -> str:
    """Two digits; by 99 permutations .01 is the least there is."""
    return f"{p:.2f}" if p >= 0.005 else f"{p:.0e}"


def toys(results: list[Result]) -> str:
    """The default on each toy, in 50 evaluations and in 20, its mean log-density beside that of the flow itself."""
    exact = {each["toy"]: each["nats"] for each in results if each["sampler"] == EXACT}
    chosen = by("toy", (each for each in results if (each["sampler"], each["grid"]) == DEFAULT))
    rows = []
    for toy, found in chosen.items():
        each = {result["evaluations"]: result for result in found}
        off = (f"{each[n]['nats'] - exact[toy]:+.4f}" for n in (50, 20))
        rows.append([toy, *(f"{each[n]['rms']:.1e}" for n in (50, 20)), *off])
    return table(["toy", "rms at 50", "at 20", "log-density less the flow's, nats, at 50", "at 20"], rows)


def race(found: dict[str, Any]) -> str:
    """A row for each solver: the mean rms distance over the toys by evaluations, the nearest in bold."""
    means = {name: np.mean(rms, axis=1) for name, rms in found["rms"].items()}
    least = np.min(list(means.values()), axis=0)

    def cells(mean: np.ndarray) -> list[str]:
        return [f"**{each:.2g}**" if each == best else f"{each:.2g}" for each, best in zip(mean, least, strict=True)]

    rows = ([code(name), *cells(mean)] for name, mean in sorted(means.items(), key=lambda item: item[1][2]))
    return table(["solver", *map(str, found["evaluations"])], rows)
