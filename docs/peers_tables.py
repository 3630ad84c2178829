"""Tables of the page on other libraries at equal compute, from benchmarks/peers/peers.json."""

import json
import math
from pathlib import Path
from statistics import geometric_mean, mean
from typing import Any, NamedTuple

from catalogue_pages import put
from learning_figures import table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "peers" / "peers.json"
TOYS = ("ring8", "grid25", "spiral60")
STAGES = ("own", "search", "best")


class Result(NamedTuple):
    """One model, as it was judged."""

    stage: str
    peer: str
    toy: str
    recipe: str
    found: dict[str, float]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include."""
    folder.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    results = [parsed(name, found) for name, found in kept.items() if name.split()[0] in STAGES]
    own = [each for each in results if each.stage == "own"]
    ours = [each for each in own if each.peer == "tinydiff"]
    put(folder / "own.md", models(own))
    put(folder / "best.md", models([*ours, *(each for each in results if each.stage == "best")]))
    put(folder / "search.md", search([each for each in results if each.stage == "search"]))
    put(folder / "setting.md", setting(kept))
    put(folder / "truth.md", truth(kept["truth"]))


def parsed(name: str, found: dict[str, float]) -> Result:
    """A result of its name, `stage library toy seed lr=… batch=… decay=…`."""
    stage, peer, toy, _, lr, batch, decay = name.split()
    falls = " ↓" if decay == "decay=True" else ""
    return Result(stage, peer, toy, f"{float(lr[3:]):g}{falls}, {batch[6:]}", found)


def models(results: list[Result]) -> str:
    """A row for each library, the nearest first: means over the seeds, and what is least of a toy in bold."""
    rows = {}
    for peer in {each.peer: None for each in results}:
        of = [each for each in results if each.peer == peer]
        rows[peer] = (of[0].recipe, {toy: averages([each.found for each in of if each.toy == toy]) for toy in TOYS})
    least = {toy: min(found[toy]["energy"] for _, found in rows.values()) for toy in TOYS}

    def near(item: tuple[str, tuple[str, dict[str, dict[str, float]]]]) -> float:
        return geometric_mean(max(found["energy"], 1e-6) for found in item[1][1].values())

    def cell(toy: str, found: dict[str, float]) -> str:
        nats = small(found["kl"]) if "kl" in found else "–"
        text = f"{nats}; {small(found['energy'])}; {100 * found['outliers']:.2g} %"
        return f"**{text}**" if found["energy"] == least[toy] else text

    head = ["", "rate, batch", *TOYS, "modes"]
    lines = (
        [name(peer), recipe, *(cell(toy, found[toy]) for toy in TOYS), modes(found)]
        for peer, (recipe, found) in sorted(rows.items(), key=near)
    )
    return table(head, lines)


def averages(found: list[dict[str, float]]) -> dict[str, float]:
    """The mean over the seeds, number by number."""
    return {key: mean(each[key] for each in found) for key in found[0]}


def modes(found: dict[str, dict[str, float]]) -> str:
    """The least share of modes that were found, over the toys."""
    least = min(each["modes"] for each in found.values())
    return "all" if least == 1 else f"{100 * least:.0f} %"


def search(results: list[Result]) -> str:
    """A column for each library, a row for each recipe: the geometric mean over the toys of what decided."""
    recipes = sorted({each.recipe for each in results}, key=recipe_order)
    heads, columns = [], []
    for peer in sorted({each.peer for each in results}):
        of = [each for each in results if each.peer == peer]
        scores = [score([each.found for each in of if each.recipe == recipe]) for recipe in recipes]
        heads.append(f"{name(peer)}, {'KL' if 'kl' in of[0].found else 'energy'}")
        columns.append([f"**{small(each)}**" if each == min(scores) else small(each) for each in scores])
    return table(["rate, batch", *heads], ([recipe, *row] for recipe, *row in zip(recipes, *columns, strict=True)))


def recipe_order(recipe: str) -> tuple[float, int]:
    """Of the rate, then of the batch."""
    rate, batch = recipe.split(",")
    return float(rate.split()[0]), int(batch)


def score(found: list[dict[str, float]]) -> float:
    """The geometric mean of KL, or of energy where there is none; infinite where one is not finite."""
    each = [max(one.get("kl", one["energy"]), 1e-6) for one in found]
    return geometric_mean(each) if all(map(math.isfinite, each)) else math.inf


def setting(kept: dict[str, Any]) -> str:
    """The sentence that says when, on what machine and with which versions."""
    versions = ", ".join(f"{name(library)} {version}" for library, version in kept["versions"].items())
    return (
        f"{kept['date']}, {kept['machine']}; {kept['seconds']:g} CPU seconds of training for each model; seeds 1 and "
        f"2, of the search 101. Versions: {versions}.\n"
    )


def truth(energies: dict[str, list[float]]) -> str:
    """The energy distance of true points to the judge's, for each toy."""
    cells = (f"{mean(energies[t]):.4f}, {min(energies[t]):.4f} to {max(energies[t]):.4f}" for t in TOYS)
    return table(["4,000 true points, twelve times", *TOYS], [["energy: mean, least to greatest", *cells]])


def name(library: str) -> str:
    """As the library writes itself."""
    return library.replace("denoising_diffusion_pytorch", "denoising-diffusion-pytorch")


def small(value: float) -> str:
    """Two digits, without a 0 before the point."""
    if not value < 1000:
        return "diverged"
    digits = max(0, 1 - math.floor(math.log10(abs(value)))) if value else 1
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
