"""Tables of the page on variances and preconditioning, from benchmarks/variances.json."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from catalogue_pages import put
from learning_figures import by, of, spread, table

RESULTS = Path(__file__).parent.parent / "benchmarks" / "variances.json"
CHOICES = {"beta_tilde": "β̃", "beta": "β", "optimal": "optimal", "learned": "learned", "exact": "exact"}
GAINS = ("beta_tilde to optimal", "beta to optimal", "optimal to exact")
WEIGHTED = ", EDM's weight"

Result = dict[str, Any]


def write(folder: Path) -> None:
    """The tables, as pieces of Markdown to include."""
    folder.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    chains = by(
        "row", ({**each, "row": (each["toy"], each["steps"], each["model"])} for each in results if "toy" in each)
    )
    put(folder / "choices.md", choices(chains))
    put(folder / "gains.md", gains(chains))
    put(folder / "predictions.md", predictions([each for each in results if "prediction" in each]))


def choices(chains: dict[str, list[Result]]) -> str:
    """−ELBO less the entropy by each choice, the mean over the seeds."""
    rows = []
    for (toy, steps, model), found in chains.items():
        nats = (f"{mean(of(name, found)):.3f}" if name in found[0] else "" for name in CHOICES)
        rows.append([toy, str(steps), model, *nats])
    return table(["toy", "times", "x̂₀ from", *CHOICES.values()], rows)


def gains(chains: dict[str, list[Result]]) -> str:
    """What each change gains, beside what the theory says of it; and the part of the last that is learned."""
    rows = []
    for (toy, steps, model), found in chains.items():
        each = [f"{measured(found, name)} · {mean(of(f'theory, {name}', found)):.3f}" for name in GAINS]
        learned = measured(found, "optimal to learned") if "learned" in found[0] else ""
        rows.append([toy, str(steps), model, *each, learned])
    head = ["β̃ to optimal", "β to optimal", "optimal to exact"]
    return table(
        ["toy", "times", "x̂₀ from", *(f"{name}: measured · theory" for name in head), "optimal to learned"], rows
    )


def measured(found: list[Result], name: str) -> str:
    """The mean over the seeds, and its standard error by the points."""
    error = sum(each[name][1] ** 2 for each in found) ** 0.5 / len(found)
    return f"{mean(each[name][0] for each in found):.3f} ± {error:.3f}"


def predictions(results: list[Result]) -> str:
    """The nats that each prediction loses under both weights."""
    found = by("prediction", results)
    names = [name for name in found if not name.endswith(WEIGHTED)]

    def cell(name: str) -> str:
        return spread(of("nats", found[name]), 3) if name in found else ""

    return table(["prediction", 'weight "simple"', 'weight "edm"'], ([n, cell(n), cell(n + WEIGHTED)] for n in names))
