"""Tables and figures of the page on speed, from the measurements in benchmarks/speed.json and growth.json."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catalogue_pages import put
from learning_figures import table
from matplotlib.figure import Figure

from tinydiff import plotting

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
RIVALS = ("PyTorch eager", "torch.compile", "JAX jit")
SIZES = {"D": "dim", "width": "width", "blocks": "blocks", "batch": "batch"}

Row = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include, and the figures."""
    folder.mkdir(exist_ok=True)
    results, grown = (json.loads((BENCHMARKS / f"{name}.json").read_text("utf-8")) for name in ("speed", "growth"))
    rows = lambda part: results[part]["rows"]  # noqa: E731
    for name, text in (
        ("machine", machine(results["step"]["machine"])),
        ("step", steps(rows("step"))),
        ("step2", steps(rows("step, 2 threads"))),
        ("parts", parts(rows("parts"))),
        ("sampling", sampling(rows("sampling"))),
        ("growth-machine", machine(grown["machine"])),
        ("growth", growth(grown["rows"])),
        ("memory", memory(rows("memory"))),
    ):
        put(folder / f"{name}.md", text)
    for unit, scale, name in (("seconds", 1, "CPU seconds"), ("bytes", 2**-20, "MiB at most")):
        plotting.save(lines(grown["rows"], unit, scale, name), folder / f"growth-{unit}.png")


def machine(of: Row) -> str:
    """What was measured on, in a sentence."""
    names = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
    libraries = ", ".join(f"{name} {of[key]}" for key, name in names.items() if key in of)
    return f"{of['date']}, {of['processor']}, {of['cores']} cores, {libraries}; no GPU.\n"


def ms(value: float) -> str:
    """A time to three digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def ratio(of: Row, rival: str, target: float | None = None) -> str:
    """tinydiff's time over a rival's, bold where a target is met."""
    if rival not in of:
        return ""
    value = of["tinydiff"] / of[rival]
    return f"**{value:.2f}**" if target and round(value, 2) <= target else f"{value:.2f}"


def steps(rows: Iterable[Row]) -> str:
    """Milliseconds of tinydiff, ratios to the rivals, the share of the products."""
    head = [*SIZES, "tinydiff, ms", *(f"over {rival}" for rival in RIVALS), "products, share"]
    targets = {"PyTorch eager": 0.8, "JAX jit": 1.0}
    body = []
    for row in rows:
        share = row["ms"]["products"] / row["ms"]["tinydiff"]
        shown = f"**{share:.0%}**" if row["dim"] == 784 and share >= 0.6 else f"{share:.0%}"
        sizes = [str(row.get(key, 3)) for key in SIZES.values()]
        ratios = [ratio(row["ms"], rival, targets.get(rival)) for rival in RIVALS]
        body.append([*sizes, ms(row["ms"]["tinydiff"]), *ratios, shown])
    return table(head, body)


def parts(rows: Iterable[Row]) -> str:
    """What a step is made of, in ms."""
    head = [*SIZES, "parameters", "products", "rest of loss and gradient", "Adam", "clip, step, average"]
    body = []
    for row in rows:
        of = row["ms"]
        rest, small = of["loss and gradient"] - of["products"], of["clip"] + of["new parameters"] + of["average"]
        sizes = [str(row.get(key, 3)) for key in SIZES.values()] + [f"{row['parameters']:,}"]
        body.append([*sizes, *map(ms, (of["products"], rest, of["Adam"], small))])
    return table(head, body)


def sampling(rows: Iterable[Row]) -> str:
    """The same for tasks."""
    head = ["", "tinydiff, ms", "over PyTorch eager", "over JAX jit", "products, share"]
    body = []
    for row in rows:
        of = row["ms"]
        share = f"{of['products'] / of['tinydiff']:.0%}" if "products" in of else ""
        target = 1.0 if row["task"].startswith("DD") else None
        body.append([row["task"], ms(of["tinydiff"]), ratio(of, "PyTorch eager", target), ratio(of, "JAX jit"), share])
    return table(head, body)


def growth(rows: Iterable[Row]) -> str:
    """Sizes, times, bytes and the exponents of both."""
    head = ["what", "grows with", "from", "to", "ms", "to ms", "exponent", "at the end", "MiB", "to MiB", "at the end"]
    body = []
    for row in rows:
        first, last = ([ms(1e3 * row["seconds"][i]), f"{row['bytes'][i] / 2**20:.2g}"] for i in (0, -1))
        whole, end = (f"{each:.2f}" for each in row["exponents of seconds"])
        sizes = [f"{row['sizes'][i]:,}" for i in (0, -1)]
        memory_end = f"{row['exponents of bytes'][1]:.2f}"
        body.append([row["what"], row["grows"], *sizes, first[0], last[0], whole, end, first[1], last[1], memory_end])
    return table(head, body)


def memory(rows: Iterable[Row]) -> str:
    """The most memory that each job took."""
    return table(["", "MiB"], ([row["what"], f"{row['MiB']:,.0f}"] for row in rows))


PANELS = {
    "rows": "rows",
    "points and components": "points components",
    "dim": "dim",
    "width, blocks, steps": "width blocks steps",
}
"""What grows in each panel of a figure."""


def lines(rows: list[Row], unit: str, scale: float, name: str) -> Figure:
    """Seconds or bytes against each size, a panel for each of them, beside lines of exponents 1 and 2."""
    figure = Figure(figsize=(11, 7), dpi=110, layout="constrained")
    for ax, (title, grow) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        chosen = [row for row in rows if row["grows"] in grow.split()]
        for i, row in enumerate(chosen):
            color, style = plotting.CYCLE[i % len(plotting.CYCLE)], ("o-", "s--")[i // len(plotting.CYCLE)]
            label = row["what"] if row["grows"] == title else f"{row['what']}: {row['grows']}"
            ax.plot(row["sizes"], [scale * y for y in row[unit]], style, ms=3, lw=1, color=color, label=label)
        ax.set(xscale="log", yscale="log", xlabel=title, ylabel=name)
        ax.set_ylim(ax.get_ylim())  # as the data ask for
        low, high = (f(size for row in chosen for size in row["sizes"]) for f in (min, max))
        least = scale * min(min(row[unit]) for row in chosen)
        for power in (1, 2):
            ax.plot([low, high], [least, least * (high / low) ** power], color=plotting.DATA, lw=0.8, ls=":")
        ax.legend(frameon=False, fontsize=6.5, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
