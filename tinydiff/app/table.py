"""The report for people: what was measured on the model, beside what a perfect model would have."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from rich.table import Table

from tinydiff.app.atoms import first_of

Row = tuple[str, str, str]
DISTANCES = {"sliced_w2": "sliced W₂", "energy_distance": "energy distance", "mmd": "MMD²"}


def table(report: dict[str, Any]) -> Table:
    """One row for each thing measured."""
    seconds = report["training_seconds"]
    table = Table(title=f"{report['name']}: {report['steps']} steps" + (f" in {seconds:.0f} s" if seconds else ""))
    table.add_column("measured on the model")
    table.add_column("value", justify="right")
    table.add_column("a perfect model", justify="right")
    rows_of = {
        "mixture": (exact_rows, nats_rows, distance_rows, guidance_rows),
        "points": (nats_rows, distance_rows, points_rows),
        "pictures": (pictures_rows,),
    }
    sections = [rows(report) for rows in rows_of[report["kind"]]]
    for rows in sections:
        table.add_section()
        with suppress(KeyError):  # what failed has no number
            for row in rows:
                table.add_row(*row)
    table.add_section()
    for name, why in report["failed"].items():
        table.add_row(f"not measured: {name}", why, "")
    return table


def exact_rows(report: dict[str, Any]) -> Iterator[Row]:
    """Losses and densities against the exact ones."""
    yield "loss E‖ε − ε̂‖²/d over t", f"{report['loss']:.4f}", f"{report['floor']:.4f} (floor)"
    for at in (0.01, 0.1, 0.5):
        i = int(np.argmin(np.abs(np.array(report["t"]) - at)))
        yield f"  excess over it, t = {report['t'][i]:.2f}", f"{report['excess_t'][i]:.5f}", "0"
    unlabelled = ", labels hidden" if "agreement" in report else ""
    yield f"KL(data ‖ model), nats{unlabelled}", pm(report, "kl"), "0"
    for k, kl in enumerate(report.get("kl_nats_of_class", [])):
        yield f"  of class {k}", f"{kl:.3f} ± {report['kl_standard_error_of_class'][k]:.3f}", "0"
    yield "prior gap E KL(q(x_T|x₀) ‖ p_T)", f"{report['prior_gap_nats']:.1e}", "0"


def nats_rows(report: dict[str, Any]) -> Iterator[Row]:
    """The two models of one network, in nats."""
    if "atoms" in report:
        yield "nats", "none: no density", ""
        yield f"  columns that repeat their values: {first_of(report['atoms'])}", "--dequantise", ""
        return
    which = report.get("nats_of", ", labels hidden" if "agreement" in report else "")
    least = f"{report['entropy_nats']:.3f} (entropy)" if "entropy_nats" in report else ""
    if "gaussian_nats" in report:
        least = f"{report['gaussian_nats']:.3f} (a Gaussian)"
    part = report["elbo_parts"]
    yield f"NLL of the flow, nats{which}", pm(report, "nll"), least
    yield f"−ELBO of {report['elbo_steps']} steps with β̃", pm(report, "neg_elbo"), least
    yield "  L_T + Σ L_{t−1} + L_0", " ".join(f"{part[name]:+.2f}" for name in part), ""
    yield "  with optimal variances", pm(report, "neg_elbo_optimal"), least


def distance_rows(report: dict[str, Any]) -> Iterator[Row]:
    """Distances between samples and true points, each beside that of other true points."""
    for name, label in DISTANCES.items():
        yield f"{label} to true", f"{report[name]:.4f}", f"{report[f'{name}_true']:.4f} (true)"
    if "modes_covered" in report:
        yield "modes covered", f"{report['modes_covered']:.0%}", "100%"
        yield "p-value of their counts", f"{report['modes_p_value']:.2g}", "uniform in [0, 1]"


def points_rows(report: dict[str, Any]) -> Iterator[Row]:
    """Whether samples can be told from unseen points, as a whole and by columns, and whether they are copies."""
    told = f"{report['told_apart']:.3f} ± {report['told_apart_error']:.3f}"
    yield "a classifier tells samples from unseen points", told, f"0.5; {report['told_apart_true']:.3f} (true)"
    for name, apart in report["worst_columns"]:
        yield f"  column {name}: gap of its distribution", f"{apart:.3f}", "0"
    if "memorised" in report:
        memorised = f"{report['memorised']:.3f} ± {report['memorised_standard_error']:.3f}"
        yield "nearer to training than to unseen points", memorised, "0.5"
        yield (
            "distance to the nearest training point",
            f"{report['nearest']:.3f}",
            f"{report['nearest_true']:.3f} (unseen)",
        )
        if report["memorised"] > 0.5 and report["nearest"] < 0.6 * report["nearest_true"]:
            yield "  it knows them by heart: train it shorter", "--steps 200", ""


def guidance_rows(report: dict[str, Any]) -> Iterator[Row]:
    """What guidance does to samples, against the exactly guided ones."""
    for i, w in enumerate(report.get("guidance_w", [])):
        exact = f"{report['agreement_exact'][i]:.3f} (exact)"
        yield f"of their class at w = {w:g}", f"{report['agreement'][i]:.3f}", exact
        yield "  distance to the exact sample", f"{report['guidance_distance'][i]:.3f}", "0"


def pictures_rows(report: dict[str, Any]) -> Iterator[Row]:
    """Losses, bits, and distances to test pictures beside those of training pictures."""
    yield "loss ‖x₀ − x̂₀‖²/d, training", f"{report['loss_train']:.4f}", ""
    yield "loss ‖x₀ − x̂₀‖²/d, test", f"{report['loss_test']:.4f}", ""
    if part := report.get("elbo_parts"):
        hidden = ", labels hidden" if "agreement" in report else ""
        bits = f"{report['bits_per_dim']:.3f} ± {report['bits_standard_error']:.3f}"
        yield f"−ELBO of {report['elbo_steps']} steps, bits/dim{hidden}", bits, ""
        yield "  L_T + Σ L_{t−1} + L_0", " ".join(f"{part[name]:+.3f}" for name in part), ""
    for i, w in enumerate(report["guidance_w"]):
        at = f" at w = {w:g}" if "agreement" in report else ""
        if at:
            yield (f"of their class{at}", f"{report['agreement'][i]:.3f}", f"{report['judge_accuracy']:.3f} (test)")
        for name, label in (("frechet", "Fréchet distance"), ("energy_distance", "energy distance")):
            if name in report:
                yield f"  {label}", f"{report[name][i]:.3f}", f"{report[f'{name}_true']:.3f} (training)"
    memorised = f"{report['memorised']:.3f} ± {report['memorised_standard_error']:.3f}"
    yield "nearer to training than to test", memorised, "0.5"
    yield "distance to the nearest training picture", f"{report['nearest']:.2f}", f"{report['nearest_true']:.2f} (test)"


def pm(report: dict[str, Any], name: str) -> str:
    """A value in nats, with its standard error."""
    return f"{report[f'{name}_nats']:.3f} ± {report[f'{name}_standard_error']:.3f}"
