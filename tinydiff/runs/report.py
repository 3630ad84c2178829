"""What a run is worth: report.json and figures, measured against the truth where it is known."""

from typing import Any

import numpy as np
from rich.table import Table

from tinydiff import grids, plotting
from tinydiff.backend import cast, normal_like
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset
from tinydiff.datasets.toys import Shape
from tinydiff.evaluation.likelihood import kl_from_truth
from tinydiff.evaluation.metrics import denoising, sliced_w2
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.network import NetworkDenoiser
from tinydiff.learned.train import last
from tinydiff.runs.config import Data, write_json
from tinydiff.runs.directory import Run, Trained
from tinydiff.runs.sampling import guided
from tinydiff.sampling import sample
from tinydiff.sampling.ancestral import ddim

WEIGHTS = (0.0, 0.5, 1.5)
"""The guidance weights that reports show side by side."""


def measure(run: Run, trained: Trained, data: Data) -> dict[str, Any]:
    """Measure the model, draw the figures, and write report.json; the report."""
    run.check(data, trained)
    rng, log = np.random.default_rng(run.config.seed + 1), run.read_log()
    report = {
        "name": run.config.name, "seed": run.config.seed, "steps": trained.state.step,
        "parameters": trained.model.network.size,
        "training_seconds": log[-1][3] if log else None,
        "training_loss": float(np.mean([row[1] for row in log[-100:]])) if log else None,
    }  # fmt: skip
    if isinstance(data, GaussianMixture):
        measured, figures = exact_report(trained, data, rng)
    elif isinstance(data, Dataset) and run.config.name == "mnist":
        measured, figures = digits_report(trained, data, rng)
    else:
        measured, figures = cloud_report(trained, data, rng)
    if len(log) > 1:
        figures["training.png"] = plotting.training([row[0] for row in log], [row[1] for row in log])
    report |= measured | {"figures": list(figures)}
    for name, figure in figures.items():
        plotting.save(figure, run.path / name)
    write_json(run.path / "report.json", report)
    return report


def exact_report(trained: Trained, data: GaussianMixture, rng: np.random.Generator) -> tuple[dict, dict]:
    """Against a mixture: losses over their floor, KL, distances; by class and guided where the run is conditional."""
    model, process = trained.model, trained.process
    oracle = Oracle(data, process)
    true, again = data.sample(rng, 2000), data.sample(rng, 2000)
    x = sample(model, process, 2000, steps=50, rng=rng)
    kl, error = kl_from_truth(model, process, data, rng=rng)
    report = {
        **losses(model, oracle, rng),
        "kl_nats": kl, "kl_standard_error": error,
        "sliced_w2": sliced_w2(x, true, rng=rng), "sliced_w2_true": sliced_w2(again, true, rng=rng),
        "prior_gap_nats": float(np.mean(process.prior_gap(true))),
    }  # fmt: skip
    eps = rng.standard_normal(true.shape)
    forward = [(t, process.perturb(true, t, eps)) for t in (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)]
    frames = trajectory(model, rng)
    lam, loss, floor, excess = (np.array(report[name]) for name in ("log_snr", "loss_t", "floor_t", "excess_t"))
    figures = {
        "samples.png": plotting.samples_against_data(true, x),
        "forward.png": plotting.strip(forward, plotting.DATA),
        "trajectory.png": plotting.strip(plotting.spread(frames, 8)),
        "score.png": plotting.score_fields(oracle, model, process, [0.05, 0.2, 0.5]),
        "loss.png": plotting.loss_per_time(lam, loss, floor, excess),
    }
    if model.network.classes:
        by_class = [
            kl_from_truth(model.given(k), process, data.given(k), n=500, rng=rng) for k in range(model.network.classes)
        ]
        report |= {
            "kl_nats_of_class": [kl for kl, _ in by_class],
            "kl_standard_error_of_class": [e for _, e in by_class],
        }
        guidance, figures["guidance.png"] = against_exact_guidance(model, data, rng)
        report |= guidance
    return report, figures


def losses(model: NetworkDenoiser, oracle: Oracle, rng: np.random.Generator) -> dict[str, Any]:
    """Loss, floor and excess along the log-SNR, and their averages over uniform t.

    The averaged loss is the floor, which is exact, plus the excess, which is paired: less noisy than the loss itself.
    """
    process = oracle.process
    ts = grids.log_snr(process, 40)[:-1]
    loss, excess = np.array([denoising(model, oracle, float(t), n=4000, rng=rng) for t in ts]).T
    floor = oracle.floor(ts)
    over_t = lambda y: float(np.trapezoid(y, ts) / (ts[-1] - ts[0]))  # noqa: E731
    return {
        "t": ts.tolist(), "log_snr": process.log_snr(ts).tolist(),
        "loss_t": loss.tolist(), "floor_t": floor.tolist(), "excess_t": excess.tolist(),
        "loss": over_t(floor + excess), "floor": over_t(floor), "excess": over_t(excess),
    }  # fmt: skip


def trajectory(model: NetworkDenoiser, rng: np.random.Generator) -> list[tuple[float, np.ndarray]]:
    """The (t, x) pairs of 1,500 points on their way from noise to data."""
    process = model.process
    return list(ddim(model, process, process.prior(rng, 1500, model.like), grids.log_snr(process, 60, to_zero=True)))


def against_exact_guidance(model: NetworkDenoiser, data: GaussianMixture, rng: np.random.Generator) -> tuple[dict, Any]:
    """The guided network beside the guided oracle, from the same noise, at each weight.

    What is measured: the median distance between their samples, and how many of each the exact posterior p(y | x_0)
    gives to the label that they were drawn for.
    """
    labels = np.arange(2000) % model.network.classes
    oracle = Oracle(data, model.process)
    noise = model.process.prior(rng, 2000, oracle.like)
    exact, learned = (under_guidance(each, labels, cast(noise, each.like)) for each in (oracle, model))
    apart = [float(np.median(np.linalg.norm(x - y, axis=1))) for x, y in zip(exact, learned, strict=True)]
    report = {
        "guidance_w": list(WEIGHTS), "guidance_distance": apart,
        "agreement": [agreement(data, x, labels) for x in learned],
        "agreement_exact": [agreement(data, x, labels) for x in exact],
    }  # fmt: skip
    return report, plotting.guidance({"exact": exact, "learned": learned}, WEIGHTS, labels)


def under_guidance(model: Any, labels: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    """What DDIM makes of the noise (n, D) under each weight of guidance towards the labels (n,)."""
    ts = grids.log_snr(model.process, 50, to_zero=True)
    return [last(ddim(guided(model, labels, w), model.process, noise, ts))[1] for w in WEIGHTS]


def agreement(data: GaussianMixture, x: np.ndarray, labels: np.ndarray) -> float:
    """The share of points x (N, D) whose most probable class under the mixture is their label (N,)."""
    assert data.labels is not None
    classes = np.unique(data.labels)
    joint = [np.log(np.sum(data.weights[data.labels == k])) + data.given(k).log_density(x) for k in classes]
    return float(np.mean(classes[np.argmax(joint, axis=0)] == labels))


def cloud_report(trained: Trained, data: Dataset | Shape, rng: np.random.Generator) -> tuple[dict, dict]:
    """Against points: the distance of the model's samples to them, beside that of others of them."""
    model, process = trained.model, trained.process
    if isinstance(data, Dataset):
        n = min(2000, len(data.x) // 2)
        true, again = np.split(data.x[rng.permutation(len(data.x))[: 2 * n]], 2)
    else:
        n = 2000
        true, again = data.sample(rng, n), data.sample(rng, n)
    x = sample(model, process, n, steps=50, rng=rng)
    report = {"sliced_w2": sliced_w2(x, true, rng=rng), "sliced_w2_true": sliced_w2(again, true, rng=rng)}
    figures = {"histograms.png": plotting.histograms(trained.restore(true), trained.restore(x))}
    if model.dim == 2:
        figures["samples.png"] = plotting.samples_against_data(true, x)
        figures["trajectory.png"] = plotting.strip(plotting.spread(trajectory(model, rng), 8))
    if model.network.classes and model.dim == 2:
        labels = np.arange(2000) % model.network.classes
        clouds = under_guidance(model, labels, process.prior(rng, 2000, model.like))
        figures["guidance.png"] = plotting.guidance({"learned": clouds}, WEIGHTS, labels)
    return report, figures


def digits_report(trained: Trained, data: Dataset, rng: np.random.Generator) -> tuple[dict, dict]:
    """The x_0-loss on training and on test digits, and sheets of digits, ten of each class, from the same noise."""
    model, process = trained.model, trained.process
    report = {"loss_train": x0_loss(model, data, rng), "loss_test": x0_loss(model, load_mnist("test"), rng)}
    if not model.network.classes:
        return report, {"digits.png": plotting.digit_grid(sample(model, process, 100, steps=50, rng=rng))}
    sheets = under_guidance(model, np.repeat(np.arange(10), 10), process.prior(rng, 100, model.like))
    return report, {f"digits-w{w:g}.png": plotting.digit_grid(x) for w, x in zip(WEIGHTS, sheets, strict=True)}


def x0_loss(model: NetworkDenoiser, data: Dataset, rng: np.random.Generator, n: int = 5000) -> float:
    """E‖x_0 − x̂_0(x_t, t | y)‖²/d over t uniform, on n of the points."""
    assert data.labels is not None
    process, rows = model.process, rng.choice(len(data.x), n)
    x0, t = data.x[rows], process.sample_times(rng, n)
    x = process.perturb(x0, t, normal_like(rng, x0))
    miss = x0 - guided(model, data.labels[rows] if model.network.classes else None, w=0).x0(x, t)
    return float(np.mean(miss * miss))


def table(report: dict[str, Any]) -> Table:
    """The report for people: what was measured, beside what a perfect model would have."""
    seconds = report["training_seconds"]
    table = Table(title=f"{report['name']}: {report['steps']} steps" + (f" in {seconds:.0f} s" if seconds else ""))
    table.add_column("measured on the model")
    table.add_column("value", justify="right")
    table.add_column("a perfect model", justify="right")
    if "floor" in report:
        table.add_row("loss E‖ε − ε̂‖²/d over t", f"{report['loss']:.4f}", f"{report['floor']:.4f} (floor)")
        for at in (0.01, 0.1, 0.5):
            i = int(np.argmin(np.abs(np.array(report["t"]) - at)))
            table.add_row(f"  excess over the floor at t = {report['t'][i]:.2f}", f"{report['excess_t'][i]:.5f}", "0")
        unlabelled = ", labels hidden" if "agreement" in report else ""
        table.add_row(
            f"KL(data ‖ model), nats{unlabelled}", f"{report['kl_nats']:.3f} ± {report['kl_standard_error']:.3f}", "0"
        )
        for k, kl in enumerate(report.get("kl_nats_of_class", [])):
            table.add_row(f"  of class {k}", f"{kl:.3f} ± {report['kl_standard_error_of_class'][k]:.3f}", "0")
        table.add_row("prior gap E KL(q(x_T|x₀) ‖ p_T), nats", f"{report['prior_gap_nats']:.1e}", "0")
    if "sliced_w2" in report:
        table.add_row(
            "sliced W₂ to true points", f"{report['sliced_w2']:.3f}", f"{report['sliced_w2_true']:.3f} (true)"
        )
    for i, w in enumerate(report.get("guidance_w", [])):
        exact = f"{report['agreement_exact'][i]:.3f} (exact)"
        table.add_row(f"samples of their class at w = {w:g}", f"{report['agreement'][i]:.3f}", exact)
        table.add_row("  median distance to the exact sample", f"{report['guidance_distance'][i]:.3f}", "0")
    if "loss_test" in report:
        table.add_row("loss ‖x₀ − x̂₀‖²/d, training digits", f"{report['loss_train']:.4f}", "")
        table.add_row("loss ‖x₀ − x̂₀‖²/d, test digits", f"{report['loss_test']:.4f}", "")
    return table
