"""Tables of the page on variances and preconditioning, from benchmarks/variances.json."""

import json
from pathlib import Path
from statistics import mean, stdev
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
    put(folder / "found.md", found({row: each for row, each in chains.items() if "learned" in each[0]}))
    lams = [{**each, "lam": 0.02} for each in results if each.get("model") == "network" and each["toy"] == "ring8"]
    put(folder / "lams.md", weights([*lams, *(each for each in results if "lam" in each)]))
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
        each = [f"{measured(found, name)} · {over_seeds(of(f'theory, {name}', found))}" for name in GAINS]
        learned = measured(found, "optimal to learned") if "learned" in found[0] else ""
        rows.append([toy, str(steps), model, *each, learned])
    head = ["β̃ to optimal", "β to optimal", "optimal to exact"]
    return table(
        ["toy", "times", "x̂₀ from", *(f"{name}: measured · theory" for name in head), "optimal to learned"], rows
    )


def found(chains: dict[str, list[Result]]) -> str:
    """How far the mean of the learned variances is from the optimal one, and each from the exact one, as ratios."""
    names = ("mean learned off optimal", "mean learned off optimal, most", "learned off exact")
    rows = []
    for (toy, steps, _), results in chains.items():
        rows.append([toy, str(steps), *(f"{100 * mean(of(name, results)):.1f} %" for name in names)])
    return table(["toy", "times", "their mean off the optimal, rms", "at most", "each off the exact, rms"], rows)


def weights(results: list[Result]) -> str:
    """−ELBO less the entropy under several λ, the optimal variances beside those learned."""
    chains = by("row", ({**each, "row": (each["steps"], each["lam"])} for each in results))
    several = {n for n, lam in chains if lam != 0.02}
    rows = [
        [str(n), f"{lam:g}", *(f"{mean(of(name, chains[n, lam])):.3f}" for name in ("optimal", "learned"))]
        for n, lam in sorted(chains)
        if n in several
    ]
    return table(["times", "λ", "optimal", "learned"], rows)


def measured(found: list[Result], name: str) -> str:
    """The mean over the seeds, and its standard error by the points."""
    error = sum(each[name][1] ** 2 for each in found) ** 0.5 / len(found)
    return f"{mean(each[name][0] for each in found):.3f} ± {error:.3f}"


def over_seeds(values: list[float]) -> str:
    """The mean over the seeds, and its standard error by them."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values) / len(values) ** 0.5:.3f}" if len(values) > 1 else "")


def predictions(results: list[Result]) -> str:
    """The nats that each prediction loses under both weights."""
    found = by("prediction", results)
    names = [name for name in found if not name.endswith(WEIGHTED)]

    def cell(name: str) -> str:
        return spread(of("nats", found[name]), 3) if name in found else ""

    return table(["prediction", 'weight "simple"', 'weight "edm"'], ([n, cell(n), cell(n + WEIGHTED)] for n in names))
