"""What a run on MNIST is worth: losses, bits, and what a classifier sees in its samples."""

from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from tinydiff import grids, plotting
from tinydiff.app.directory import Trained
from tinydiff.app.nats import mean_and_error, parts
from tinydiff.app.sampling import WEIGHTS, guided, under_guidance
from tinydiff.backend import normal_like
from tinydiff.datasets.mnist import load_mnist
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
from tinydiff.learned.network import NetworkDenoiser, TimeMLP
from tinydiff.learned.train import last
from tinydiff.processes import Process

COUNT = 1000
"""Samples, and digits of each split, that they are compared with."""
SHOWN = 100
"""Samples that are drawn, and whose nearest training digits are looked for."""
ENDS = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Log-SNRs at which a chain may end; training digits choose."""
STEPS = 100
"""Steps of the chain whose bound is reported."""
SAMPLER: dict[str, Any] = {"grid": partial(grids.even_log_snr, end=3.0), "eta": 1.0}
"""Digits are drawn by the reverse chain, which leaves the last traces of noise to the network's one answer: of what the
flow draws, some three in a hundred more are not of their class."""
CHUNK = 500
"""Images at a time."""
JUDGE_STEPS = 1500
"""Training steps of the judge."""


def digits_report(trained: Trained, data: Dataset, rng: np.random.Generator) -> tuple[dict, dict]:
    """Losses, bits per dimension, samples before a judge, which is an MLP trained here, and sheets of digits.

    Every distance stands beside that of training digits to the same test digits.
    """
    model, process, test = trained.model, trained.model.process, load_mnist("test")
    assert test.labels is not None
    true, again, unseen = _rows(test, rng, COUNT), _rows(data, rng, COUNT), _rows(test, rng, len(test.x) // 2)
    report: dict[str, Any] = {"loss_train": x0_loss(model, data, rng), "loss_test": x0_loss(model, test, rng)}
    report |= bits(model, data.x, test.x, rng)
    judge = train_judge(process, data, JUDGE_STEPS, np.random.default_rng(0))
    report["judge_accuracy"] = class_agreement(judge.log_p(test.x, process.t_min), test.labels)[0]

    labels = np.resize(np.repeat(np.arange(10), SHOWN // 10), COUNT)
    noise = process.prior(rng, COUNT, model.like)
    weights = WEIGHTS if model.network.classes else (0.0,)
    clouds = under_guidance(model, labels if model.network.classes else None, noise, weights, **SAMPLER)

    def frechet(x: np.ndarray, y: np.ndarray) -> float:
        return frechet_distance(*(judge.features(each, process.t_min) for each in (x, y)))

    report["guidance_w"] = list(weights)
    for name, distance in (("frechet", frechet), ("energy_distance", energy_distance)):
        pairs = [against_truth(distance, x, true.x, again.x) for x in clouds]
        report |= {name: [found for found, _ in pairs], f"{name}_true": pairs[0][1]}
    report["memorised"], report["memorised_standard_error"] = memorisation(
        clouds[0], _rows(data, rng, len(unseen.x)).x, unseen.x
    )
    shown = clouds[0][:SHOWN]
    rows, apart = nearest(shown, data.x)
    report["nearest"], report["nearest_true"] = (
        float(np.median(each)) for each in (apart, nearest(true.x[:SHOWN], data.x)[1])
    )
    if model.network.classes:
        report["agreement"] = [class_agreement(judge.log_p(x, process.t_min), labels)[0] for x in clouds]
    names = [f"digits-w{w:g}.png" for w in weights] if model.network.classes else ["digits.png"]
    figures = {name: plotting.digit_grid(x[:SHOWN]) for name, x in zip(names, clouds, strict=True)}
    few = np.arange(SHOWN).reshape(10, -1)[:, :2].T  # two of each class
    beside = np.stack([shown[few], data.x[rows[few]]], axis=1)
    figures["digits-nearest.png"] = plotting.digit_grid(beside.reshape(-1, data.x.shape[1]))
    return report, figures


def bits(model: Denoiser, training: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """−ELBO of test images in bits for each dimension, with its parts, of the reverse chain that suits the model best.

    A chain is its steps and their variances, and both are fitted to training images: the variances are the optimal
    ones, and the log-SNR at which the chain hands over to the decoder of 256 bins is that with the least bound. The
    labels of a conditional model are hidden.
    """
    fit, judge = (training[rng.choice(len(training), min(100, len(training)))] for _ in range(2))

    def chain(end: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
        ts = grids.even_log_snr(model.process, steps - 1, end=end)
        return ts, optimal_variances(model, fit, ts, rng)

    def bound(ts: np.ndarray, variance: np.ndarray, x: np.ndarray) -> ElboTerms:
        return elbo(model, x, ts, rng, variance=variance, decoder="bins")

    end = min(ENDS, key=lambda end: float(np.mean(bound(*chain(end, 30), judge).bits_per_dim)))
    best, starts = chain(end, STEPS), range(0, len(test), CHUNK)
    bar = tqdm(starts, desc="bits of test images", unit="chunk", leave=False, dynamic_ncols=True)
    chunks = [bound(*best, test[i : i + CHUNK]) for i in bar]
    prior, diffusion, reconstruction = (np.concatenate(part) for part in list(zip(*chunks, strict=True))[:3])
    found = ElboTerms(prior, diffusion, reconstruction, test.shape[1])
    mean, error = mean_and_error(found.bits_per_dim)
    return {
        "bits_per_dim": mean, "bits_standard_error": error, "elbo_steps": STEPS, "elbo_end_log_snr": end,
        "elbo_parts": parts(found, lambda nats: float(np.mean(nats)) / (found.dim * np.log(2))),
    }  # fmt: skip


def train_judge(process: Process, data: Dataset, steps: int, rng: np.random.Generator) -> Classifier:
    """A classifier of digits under all noise; after 1,500 steps it gets 98 % of clean test digits right."""
    network = TimeMLP(data.x.shape[1], width=256, blocks=2, norm=True, outputs=10)
    return Classifier(network, last(train_classifier(network, process, data, steps=steps, rng=rng)).ema, process)


def x0_loss(model: NetworkDenoiser, data: Dataset, rng: np.random.Generator, n: int = 5000) -> float:
    """E‖x_0 − x̂_0(x_t, t | y)‖²/d over t uniform, on n of the points."""
    assert data.labels is not None
    process, rows = model.process, rng.choice(len(data.x), n)
    x0, t = data.x[rows], process.sample_times(rng, n)
    x = process.at(t, like=x0).perturb(x0, normal_like(rng, x0))
    error = x0 - guided(model, data.labels[rows] if model.network.classes else None, w=0).x0(x, t)
    return float(np.mean(error * error))


def _rows(data: Dataset, rng: np.random.Generator, n: int) -> Dataset:
    """n of the points, none twice."""
    assert data.labels is not None
    rows = rng.permutation(len(data.x))[:n]
    return data._replace(x=data.x[rows], labels=data.labels[rows])
