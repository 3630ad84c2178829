"""What a run is worth: report.json and figures, measured against the truth where it is known."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff import grids, plotting
from tinydiff.app.config import Data, write_json
from tinydiff.app.directory import Run, Trained
from tinydiff.app.nats import in_nats
from tinydiff.app.parts import Parts
from tinydiff.app.pictures import pictures_report
from tinydiff.app.sampling import WEIGHTS, under_guidance
from tinydiff.backend import cast
from tinydiff.datasets.points import Dataset
from tinydiff.datasets.toys import Shape
from tinydiff.evaluation.likelihood import kl_from_truth
from tinydiff.evaluation.metrics import (
    against_truth,
    class_agreement,
    classifier_test,
    denoising,
    energy_distance,
    memorisation,
    mmd,
    mode_coverage,
    nearest,
    sliced_w2,
)
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.sampling.sample import sample
from tinydiff.sampling.sample import trajectory as trajectory_of


def measure(
    run: Run, trained: Trained, data: Data, unseen: Dataset | None, watch: Callable[[str], None] = lambda name: None
) -> dict[str, Any]:
    """Measure the model, draw the figures, and write report.json; the report. `watch` is told what is measured.

    unseen: points that the model was not trained on, where there are no more of them than in a file.
    """
    run.check(data, trained)
    rng, log, found = np.random.default_rng(run.config.seed + 1), run.read_log(), Parts(watch)
    report = {
        "name": run.config.name, "seed": run.config.seed, "steps": trained.state.step,
        "parameters": trained.model.network.size,
        "training_seconds": log[-1][3] if log else None,
        "training_loss": float(np.mean([row[1] for row in log[-100:]])) if log else None,
    }  # fmt: skip
    if isinstance(data, GaussianMixture):
        report["kind"] = "mixture"
        exact_report(found, trained, data, rng)
    elif isinstance(data, Dataset) and data.picture is not None:
        report["kind"] = "pictures"
        assert unseen is not None
        pictures_report(found, trained, data, unseen, rng)
    else:
        report["kind"] = "points"
        if isinstance(data, Shape):
            unseen = Dataset(data.sample(rng, 2000), None, 0.0, 1.0)
        assert unseen is not None
        cloud_report(found, trained, data, unseen.x, rng)
    if len(log) > 1:
        with found.part("training.png"):
            found.figures["training.png"] = plotting.training([row[0] for row in log], [row[1] for row in log])
    for name, figure in list(found.figures.items()):
        with found.part(name):
            plotting.save(figure, run.path / name)
    drawn = [name for name in found.figures if name not in found.failed]
    report |= found.numbers | {"figures": drawn, "failed": found.failed}
    write_json(run.path / "report.json", report)
    return report


def exact_report(found: Parts, trained: Trained, data: GaussianMixture, rng: np.random.Generator) -> None:
    """Against a mixture: losses over their floor, KL, distances; by class and guided where the run is conditional."""
    model, process, numbers, figures = trained.model, trained.model.process, found.numbers, found.figures
    oracle = Oracle(data, process)
    true, again = data.sample(rng, 2000), data.sample(rng, 2000)
    with found.part("samples"):
        x = sample(model, 2000, steps=50, rng=rng)
    log_q, entropy = data.log_density(true), data.entropy()[0]
    with found.part("loss"):
        numbers |= losses(model, oracle, rng) | {"prior_gap_nats": float(np.mean(process.prior_gap(true)))}
    with found.part("nats"):
        nats = in_nats(model, true, again, rng, log_q, entropy)
        numbers |= {"entropy_nats": entropy, **nats}
        numbers |= {"kl_nats": nats["nll_nats"] - entropy, "kl_standard_error": nats["nll_standard_error"]}
    with found.part("distances"):
        numbers |= distances(x, true, again, rng)
    with found.part("modes"):
        of = mode_coverage(data, x, rng=rng)
        numbers |= {"modes_covered": of.covered, "modes_chi2": of.chi2, "modes_p_value": of.p_value}
    with found.part("samples.png"):
        figures["samples.png"] = plotting.samples_against_data(true, x)
    with found.part("forward.png"):
        eps = rng.standard_normal(true.shape)
        forward = [(t, process.at(t).perturb(true, eps)) for t in (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)]
        figures["forward.png"] = plotting.strip(forward, plotting.DATA)
    with found.part("trajectory.png"):
        figures["trajectory.png"] = plotting.strip(plotting.spread(trajectory(model, rng), 8))
    with found.part("score.png"):
        figures["score.png"] = plotting.score_fields(oracle, model, [0.05, 0.2, 0.5])
    with found.part("loss.png"):
        columns = (np.array(numbers[name]) for name in ("log_snr", "loss_t", "floor_t", "excess_t"))
        figures["loss.png"] = plotting.loss_per_time(*columns)
    if model.network.classes:
        with found.part("nats of classes"):
            classes = range(model.network.classes)
            by_class = [kl_from_truth(model.given(k), data.given(k), n=500, rng=rng) for k in classes]
            numbers["kl_nats_of_class"] = [kl for kl, _ in by_class]
            numbers["kl_standard_error_of_class"] = [e for _, e in by_class]
        with found.part("guidance"):
            guidance, figures["guidance.png"] = against_exact_guidance(model, data, rng)
            numbers |= guidance


def losses(model: NetworkDenoiser, oracle: Oracle, rng: np.random.Generator) -> dict[str, Any]:
    """Loss, floor and excess along the log-SNR, and their averages over uniform t.

    The averaged loss is the floor, which is exact, plus the excess, which is paired: less noisy than the loss itself.
    """
    process = oracle.process
    ts = grids.even_log_snr(process, 40)[:-1]
    loss, excess = np.array([denoising(model, oracle, float(t), n=4000, rng=rng) for t in ts]).T
    floor = oracle.floor(ts)

    def over_t(y: np.ndarray) -> float:
        return float(np.trapezoid(y, ts) / (ts[-1] - ts[0]))

    return {
        "t": ts.tolist(), "log_snr": process.log_snr(ts).tolist(),
        "loss_t": loss.tolist(), "floor_t": floor.tolist(), "excess_t": excess.tolist(),
        "loss": over_t(floor + excess), "floor": over_t(floor), "excess": over_t(excess),
    }  # fmt: skip


def trajectory(model: NetworkDenoiser, rng: np.random.Generator) -> list[tuple[float, np.ndarray]]:
    """The (t, x) pairs of 1,500 points on their way from noise to data."""
    return list(trajectory_of(model, 1500, steps=60, rng=rng))


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

    def agreement(x: np.ndarray) -> float:
        return class_agreement(oracle.log_p(x, 0.0), labels, oracle.classes()[0])[0]

    report = {
        "guidance_w": list(WEIGHTS), "guidance_distance": apart,
        "agreement": [agreement(x) for x in learned], "agreement_exact": [agreement(x) for x in exact],
    }  # fmt: skip
    return report, plotting.guidance({"exact": exact, "learned": learned}, WEIGHTS, labels)


def distances(x: np.ndarray, true: np.ndarray, again: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Distances of samples to true points, each beside that of other true points to the same, all (n, D)."""
    seed, report = int(rng.integers(2**32)), {}

    def sliced(a: np.ndarray, b: np.ndarray) -> float:
        n = min(len(a), len(b))  # which it wants to be equal
        return sliced_w2(a[:n], b[:n], rng=seed)  # the same directions for both

    for name, distance in (("sliced_w2", sliced), ("energy_distance", energy_distance), ("mmd", mmd)):
        report[name], report[f"{name}_true"] = against_truth(distance, x, true, again)
    return report


def cloud_report(
    found: Parts, trained: Trained, data: Dataset | Shape, unseen: np.ndarray, rng: np.random.Generator
) -> None:
    """Against unseen points (N, D), beside what training points, or others of a shape, have to them.

    The nats are of unseen points; there are none where columns have atoms, and those of columns that were dequantised
    bound −ln P of their values from above. Whether samples can be told from them is asked as a whole, by a classifier,
    and column by column. How near samples are to training points says whether these are copied.
    """
    model, numbers, figures = trained.model, found.numbers, found.figures
    true = unseen[rng.permutation(len(unseen))[:2000]]
    seen = data.x if isinstance(data, Dataset) else data.sample(rng, 2000)
    again = seen[rng.permutation(len(seen))[:2000]]
    steps = [column.step for column in trained.lattice]
    numbers["log_scale_nats"] = float(np.sum(np.log(trained.scale)) - np.sum(np.log(steps)))
    with found.part("samples"):
        many = sample(model, 2000, steps=50, rng=rng)
        x = many[: len(again)]
    with found.part("distances"):
        numbers |= distances(x, true, again, rng)
    with found.part("classifier"):
        seed, n = int(rng.integers(2**32)), min(len(true), len(again))
        numbers["told_apart"], numbers["told_apart_error"] = classifier_test(x[:n], true[:n], rng=seed)
        numbers["told_apart_true"] = classifier_test(again[:n], true[:n], rng=seed)[0]
    with found.part("columns"):
        names = trained.varying()
        gaps = [(gap(many[:, i], seen[:, i]), names[i]) for i in range(model.dim)]
        numbers["worst_columns"] = [[name, apart] for apart, name in sorted(gaps, reverse=True)[:3]]
    if isinstance(data, Dataset) and data.atoms:
        numbers["atoms"] = [trained.varying()[i] for i in data.atoms]
    else:
        with found.part("nats"):
            numbers |= in_nats(model, true, again, rng, entropy=numbers["log_scale_nats"])
            if isinstance(data, Dataset):
                numbers["nats_of"] = " of unseen points" + ", at least −ln P" * bool(trained.lattice)
                numbers["gaussian_nats"] = numbers["log_scale_nats"] + gaussian_nats(again, true)
    if isinstance(data, Dataset):
        with found.part("copies"):
            numbers["memorised"], numbers["memorised_standard_error"] = memorisation(many, again[: len(true)], true)
            numbers["nearest"] = float(np.median(nearest(many, seen)[1]))
            numbers["nearest_true"] = float(np.median(nearest(true, seen)[1]))
    with found.part("histograms.png"):
        data_and_samples = trained.varying_units(seen[:5000]), trained.varying_units(many)
        figures["histograms.png"] = plotting.histograms(*data_and_samples, names=trained.varying())
    if model.dim > 2:
        with found.part("pairs.png"):
            few = min(1000, len(again))
            both = np.concatenate([again[:few], many[:few]])
            of = np.repeat([0, 1], few)
            order = rng.permutation(len(both))  # so that neither hides the other
            x, kinds = trained.varying_units(both[order]), ("data", "samples")
            colors = plotting.DATA, plotting.MODEL
            figures["pairs.png"] = plotting.pairs(x, trained.varying(), of[order], kinds, colors)
    if model.dim == 2:
        with found.part("samples.png"):
            figures["samples.png"] = plotting.samples_against_data(true, x)
        with found.part("trajectory.png"):
            figures["trajectory.png"] = plotting.strip(plotting.spread(trajectory(model, rng), 8))
    if model.network.classes and model.dim == 2:
        with found.part("guidance.png"):
            labels = np.arange(2000) % model.network.classes
            clouds = under_guidance(model, labels, model.process.prior(rng, 2000, model.like))
            figures["guidance.png"] = plotting.guidance({"learned": clouds}, WEIGHTS, labels)


def gaussian_nats(x: np.ndarray, unseen: np.ndarray) -> float:
    """−E ln p of unseen points (N, D) under one Gaussian of the points x: what a model of many parameters must beat."""
    covariance = np.cov(x.T).reshape(x.shape[1], -1) + 1e-3 * np.eye(x.shape[1])  # few points may lie in a plane
    one = GaussianMixture(np.ones(1), np.mean(x, axis=0, keepdims=True), covariance[None])
    return -float(np.mean(one.log_density(unseen)))


def gap(x: np.ndarray, y: np.ndarray) -> float:
    """The greatest distance of the two distribution functions, of Kolmogorov and Smirnov."""
    places = np.concatenate([x, y])
    below = (np.searchsorted(np.sort(each), places, side="right") / len(each) for each in (x, y))
    return float(np.max(np.abs(np.subtract(*below))))
