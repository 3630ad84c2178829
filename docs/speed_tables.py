"""Tables and a figure of the page on speed, from the measurements in benchmarks/speed.json."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catalogue_pages import put
from learning_figures import table
from matplotlib.figure import Figure

from tinydiff import plotting

RESULTS = Path(__file__).parent.parent / "benchmarks" / "speed.json"
RIVALS = ("PyTorch eager", "torch.compile", "JAX jit")

Row = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include, and the figure."""
    folder.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = lambda part: results[part]["rows"]  # noqa: E731
    for name, text in (
        ("machine", machine(results["step"]["machine"])),
        ("step", steps(rows("step"))),
        ("step2", steps(rows("step, 2 threads"))),
        ("parts", parts(rows("parts"))),
        ("sampling", sampling(rows("sampling"))),
        ("growth", growth(rows("growth"))),
        ("memory", memory(rows("memory"))),
    ):
        put(folder / f"{name}.md", text)
    plotting.save(lines(rows("growth")), folder / "growth.png")


def machine(of: Row) -> str:
    """What was measured on, in a sentence."""
    libraries = f"Python {of['python']}, NumPy {of['numpy']}, PyTorch {of['torch']}, JAX {of['jax']}"
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
    head = ["D", "width", "batch", "tinydiff, ms", *(f"over {rival}" for rival in RIVALS), "products, share"]
    targets = {"PyTorch eager": 0.8, "JAX jit": 1.0}
    body = []
    for row in rows:
        share = row["ms"]["products"] / row["ms"]["tinydiff"]
        shown = f"**{share:.0%}**" if row["dim"] == 784 and share >= 0.6 else f"{share:.0%}"
        sizes = [str(row[name]) for name in ("dim", "width", "batch")]
        ratios = [ratio(row["ms"], rival, targets.get(rival)) for rival in RIVALS]
        body.append([*sizes, ms(row["ms"]["tinydiff"]), *ratios, shown])
    return table(head, body)


def parts(rows: Iterable[Row]) -> str:
    """What a step is made of, in ms."""
    head = ["D", "width", "batch", "parameters", "products", "rest of loss and gradient", "Adam", "clip, step, average"]
    body = []
    for row in rows:
        of = row["ms"]
        rest, small = of["loss and gradient"] - of["products"], of["clip"] + of["new parameters"] + of["average"]
        sizes = [f"{row[name]:,}" for name in ("dim", "width", "batch", "parameters")]
        body.append([*sizes, *map(ms, (of["products"], rest, of["Adam"], small))])
    return table(head, body)


def sampling(rows: Iterable[Row]) -> str:
    """The same for tasks."""
    head = ["", "tinydiff, ms", "over PyTorch eager", "over JAX jit", "products, share"]
    body = []
    for row in rows:
        of = row["ms"]
        share = f"{of['products'] / of['tinydiff']:.0%}" if "products" in of else ""
        target = 0.7 if row["task"].startswith("DD") else None
        body.append([row["task"], ms(of["tinydiff"]), ratio(of, "PyTorch eager", target), ratio(of, "JAX jit"), share])
    return table(head, body)


def growth(rows: Iterable[Row]) -> str:
    """Sizes, times and exponents."""
    head = ["of", "from", "to", "ms", "to ms", "exponent", "at the end"]
    return table(
        head,
        (
            [row["what"], f"{row['sizes'][0]:,}", f"{row['sizes'][-1]:,}", ms(row["ms"][0]), ms(row["ms"][-1]),
             f"{row['exponent']:.2f}", f"{row['exponent_at_the_end']:.2f}"]
            for row in rows
        ),
    )  # fmt: skip


def memory(rows: Iterable[Row]) -> str:
    """The most memory that each job took."""
    return table(["", "MiB"], ([row["what"], f"{row['MiB']:,.0f}"] for row in rows))


def lines(rows: list[Row]) -> Figure:
    """Time against work, both as multiples of the least, beside lines of exponents 1 and 2."""
    figure = Figure(figsize=(8.6, 3.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, title, is_step in ((left, "a training step", True), (right, "sampling and the oracle", False)):
        ax.plot([1, 256], [1, 256], color=plotting.DATA, lw=0.8, ls=":")
        chosen = [row for row in rows if row["what"].startswith("step") == is_step]
        for row, color in zip(chosen, plotting.CYCLE, strict=False):
            work = [size / row["sizes"][0] for size in row["sizes"]]
            label = row["what"].removeprefix("step, ").removeprefix("score of a ")
            ax.plot(work, [t / row["ms"][0] for t in row["ms"]], "o-", ms=3, color=color, label=label)
        ax.set(xscale="log", yscale="log", title=title, xlabel="work, in times the least")
        ax.legend(frameon=False, fontsize=8)
    left.set_ylabel("time, in times the least")
    return figure
