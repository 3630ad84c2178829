"""What a run on pictures is worth: losses, bits, and what a classifier sees in its samples."""

from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from tinydiff import grids, plotting
from tinydiff.app.directory import Trained
from tinydiff.app.nats import PARTS, mean_and_error
from tinydiff.app.parts import Parts
from tinydiff.app.sampling import WEIGHTS, guided, under_guidance
from tinydiff.backend import normal_like
from tinydiff.datasets.points import Dataset
from tinydiff.denoisers import Denoiser
from tinydiff.evaluation.elbo import ElboTerms, elbo, optimal_variances
from tinydiff.evaluation.metrics import (
    against_truth,
    class_agreement,
    energy_distance,
    frechet_distance,
    memorisation,
    nearest,
)
from tinydiff.learned.classifier import Classifier, train_classifier
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.train import last
from tinydiff.processes import Process

COUNT = 1000
"""Samples, and pictures of each split, that they are compared with, at most."""
SHOWN = 100
"""Samples that are drawn, and whose nearest training pictures are looked for."""
ENDS = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Log-SNRs at which a chain may end; training pictures choose."""
STEPS = 100
"""Steps of the chain whose bound is reported."""
SAMPLER: dict[str, Any] = {"grid": partial(grids.even_log_snr, end=3.0), "eta": 1.0}
"""Pictures are drawn by the reverse chain, which leaves the last traces of noise to the network's one answer."""
INTERVAL = (-3.0, 2.0)
"""They are guided where a stroke becomes a 3 or an 8: at more noise guidance takes variety, at less it does nothing."""
TESTED = 1000
"""Test pictures whose bound is reported, at most."""
CHUNK = 500
"""Pictures at a time."""
JUDGE_STEPS = 1500
"""Training steps of the judge."""


def pictures_report(found: Parts, trained: Trained, data: Dataset, test: Dataset, rng: np.random.Generator) -> None:
    """Losses, bits per dimension, samples, before a judge where there are labels, and sheets of pictures.

    test: pictures that the model was not trained on. The judge is an MLP that is trained here. Every distance stands
    beside that of training pictures to the same test pictures.
    """
    model, process, classes = trained.model, trained.model.process, trained.model.network.classes
    numbers, figures = found.numbers, found.figures
    assert data.picture is not None
    n = min(COUNT, len(test.x), len(data.x))
    true, again, unseen = _some(test, rng, n), _some(data, rng, n), _some(test, rng, -(-len(test.x) // 2))
    with found.part("loss"):
        numbers |= {"loss_train": x0_loss(model, data, rng), "loss_test": x0_loss(model, test, rng)}
    if bins := levels(data):
        with found.part("bits"):
            numbers |= bits(model, data.x, test.x[:TESTED], rng, bins)
    labels = np.resize(np.repeat(np.arange(classes), max(1, SHOWN // classes)), n) if classes else None
    weights = WEIGHTS if classes else (0.0,)
    numbers["guidance_w"] = list(weights)
    with found.part("samples"):
        noise = process.prior(rng, n, model.like)
        clouds = under_guidance(model, labels, noise, weights, **SAMPLER, interval=INTERVAL)
    measures = {"energy_distance": energy_distance}
    if test.labels is not None:
        with found.part("judge"):
            judge = train_judge(process, data, JUDGE_STEPS, np.random.default_rng(0))
            numbers["judge_accuracy"] = class_agreement(judge.log_p(test.x, process.t_min), test.labels)[0]
            measures["frechet"] = lambda x, y: frechet_distance(*(judge.features(z, process.t_min) for z in (x, y)))
            if labels is not None:
                agreement = [class_agreement(judge.log_p(x, process.t_min), labels)[0] for x in clouds]
                numbers["agreement"] = agreement
    for name, distance in measures.items():
        with found.part(name):
            pairs = [against_truth(distance, x, true.x, again.x) for x in clouds]
            numbers |= {name: [of for of, _ in pairs], f"{name}_true": pairs[0][1]}
    with found.part("memorised"):
        seen = _some(data, rng, len(unseen.x))
        numbers["memorised"], numbers["memorised_standard_error"] = memorisation(clouds[0], seen.x, unseen.x)
        rows, apart = nearest(clouds[0][:SHOWN], data.x)
        numbers["nearest"] = float(np.median(apart))
        numbers["nearest_true"] = float(np.median(nearest(true.x[:SHOWN], data.x)[1]))
    draw = partial(plotting.pictures, size=data.picture)
    names = [f"pictures-w{w:g}.png" for w in weights] if classes else ["pictures.png"]
    for i, name in enumerate(names):
        with found.part(name):
            figures[name] = draw(clouds[i][:SHOWN])
    with found.part("pictures-nearest.png"):
        shown = clouds[0][:SHOWN]
        columns = min(10, len(shown))
        few = np.arange(len(shown) // columns * columns).reshape(columns, -1)[:, :2].T  # two of each class, where ten
        beside = np.stack([shown[few], data.x[rows[few]]], axis=1)
        figures["pictures-nearest.png"] = draw(beside.reshape(-1, data.x.shape[1]), columns=columns)


def levels(data: Dataset) -> int | None:
    """The number of values that a pixel can have, where these are whole numbers in the units of the data."""
    values, count = data.restore(data.x[:COUNT]), round(2 * float(data.scale)) + 1
    return count if np.all(np.abs(values - np.rint(values)) < 1e-3) and count <= 2**16 else None


def bits(
    model: Denoiser, training: np.ndarray, test: np.ndarray, rng: np.random.Generator, bins: int = 256
) -> dict[str, Any]:
    """−ELBO of test pictures in bits a dimension, with its parts, of the reverse chain that suits the model best.

    A chain is its steps and their variances, and both are fitted to training pictures: the variances are the optimal
    ones, and the log-SNR at which the chain hands over to the decoder of so many bins is that with the least bound. The
    labels of a conditional model are hidden.
    """
    fit, judge = (training[rng.choice(len(training), min(100, len(training)))] for _ in range(2))

    def chain(end: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
        ts = grids.even_log_snr(model.process, steps - 1, end=end)
        return ts, optimal_variances(model, fit, ts, rng)

    def bound(ts: np.ndarray, variance: np.ndarray, x: np.ndarray) -> ElboTerms:
        return elbo(model, x, ts, rng, variance=variance, decoder="bins", bins=bins)

    end = min(ENDS, key=lambda end: float(np.mean(bound(*chain(end, 30), judge).bits_per_dim)))
    best, starts = chain(end, STEPS), range(0, len(test), CHUNK)
    bar = tqdm(starts, desc="bits of test pictures", unit="chunk", leave=False, dynamic_ncols=True)
    chunks = [bound(*best, test[i : i + CHUNK]) for i in bar]
    prior, diffusion, reconstruction = (np.concatenate(part) for part in list(zip(*chunks, strict=True))[:3])
    found = ElboTerms(prior, diffusion, reconstruction, test.shape[1])
    mean, error = mean_and_error(found.bits_per_dim)
    split = prior, diffusion.sum(axis=1), reconstruction
    return {
        "bits_per_dim": mean, "bits_standard_error": error, "elbo_steps": STEPS, "elbo_end_log_snr": end,
        "elbo_parts": {
            name: float(np.mean(nats)) / (found.dim * np.log(2)) for name, nats in zip(PARTS, split, strict=True)
        },
    }  # fmt: skip


def train_judge(process: Process, data: Dataset, steps: int, rng: np.random.Generator) -> Classifier:
    """A classifier of pictures under all noise; after 1,500 steps it gets 98 % of clean test digits right."""
    assert data.labels is not None
    network = TimeMLP(data.x.shape[1], width=256, blocks=2, norm=True, outputs=int(np.max(data.labels)) + 1)
    return Classifier(network, last(train_classifier(network, process, data, steps=steps, rng=rng)).ema, process)


def x0_loss(model: NetworkDenoiser, data: Dataset, rng: np.random.Generator, n: int = 5000) -> float:
    """E‖x_0 − x̂_0(x_t, t | y)‖²/d over t uniform, on n of the points."""
    process, rows = model.process, rng.choice(len(data.x), n)
    x0, t = data.x[rows], process.sample_times(rng, n)
    x = process.at(t, like=x0).perturb(x0, normal_like(rng, x0))
    labels = data.labels[rows] if model.network.classes and data.labels is not None else None
    error = x0 - guided(model, labels, w=0).x0(x, t)
    return float(np.mean(error * error))


def _some(data: Dataset, rng: np.random.Generator, n: int) -> Dataset:
    """n of the points, none twice."""
    return data.rows(rng.permutation(len(data.x))[:n])
