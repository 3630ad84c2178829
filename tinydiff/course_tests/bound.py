"""What judges the answers of notebook 5, The bound, every term."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import tinydiff as td

Parts = Iterator[tuple[bool, str]]

LINE = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
"""The two modes of the notebook."""
OURS = 0.12604
"""The gap (nats) of ten steps, even from 3.75 to −1.25, with the best variances."""


def nodes(T: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points x_0 (B, 1), noises of T steps (T, B, 1) and chances (B,): a mean over both is chance @ f."""
    z = np.linspace(-8, 8, 41)
    gauss = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))
    x0 = (LINE.means + np.sqrt(LINE.covariances[:, 0]) * z).reshape(-1, 1)
    noise = np.broadcast_to(np.tile(z, len(x0))[:, None], (T, len(x0) * len(z), 1))
    return np.repeat(x0, len(z), axis=0), noise, np.outer(np.outer(LINE.weights, gauss), gauss).ravel()


def reports() -> dict[str, float]:
    """The five numbers of exercise 5.3, in nats, of the perfect denoiser on DDPM's chain."""
    chain, ts = td.Discrete(np.linspace(1e-4, 0.02, 1000)), np.arange(1000, 0, -1) / 1000
    oracle, (x0, noise, chance) = td.Oracle(LINE, chain), nodes(1000)
    terms = td.elbo(oracle, x0, ts, noise=noise)
    whole, last = float(chance @ terms.nats), float(chance @ terms.reconstruction)
    constant = 0.5 * np.log(2 * np.pi / chain.at(0.001).snr)
    return {
        "a": whole - last,
        "b": float(np.mean([oracle.floor(t) for t in ts])),
        "c": np.inf,
        "d": whole,
        "e": whole - float(constant),
    }


def five_reports(faults: str, mended: Callable) -> Parts:
    """What happened to the reports a to e, and −ELBO (nats) by the mended program, in three coordinates."""
    right = sum(one == other for one, other in zip(str(faults), "24513", strict=False))
    yield str(faults) == "24513", f"{right} of your 5 judgements are right."
    rng, D, snr_1 = np.random.default_rng(53), 3, 40.0
    loss, weights, prior = rng.uniform(0, 1, 6), rng.uniform(0, 1, 5), 0.2
    off = rng.standard_normal(D)
    off *= np.sqrt(loss[0] / snr_1) / np.linalg.norm(off)  # x_0 − x̂_0
    density = np.prod(np.sqrt(snr_1 / (2 * np.pi)) * np.exp(-0.5 * snr_1 * off**2))
    wanted = float(prior + weights @ loss[1:] - np.log(density))
    got = float(mended(loss, weights, prior, snr_1, D))
    yield (
        abs(got - wanted) < 1e-9,
        f"Another model, 6 steps and 3 coordinates: your program says {got:.4f} nats, the truth is {wanted:.4f}.",
    )


def tight_variance(variance: Callable) -> Parts:
    """How far the numbers of 3 × 1,000 paths (nats) are from ln q(x_0), in chains of 1, 3 and 50 steps."""
    rng = np.random.default_rng(54)
    for T in (1, 3, 50):
        m, v = float(rng.normal()), float(rng.uniform(0.1, 2))
        betas = rng.uniform(0.6, 0.95, 1) if T == 1 else rng.uniform(0.02, 0.5, T)
        data, chain, ts = td.GaussianMixture([1.0], [[m]], [[[v]]]), td.Discrete(betas), np.arange(T, 0, -1) / T
        oracle, own = td.Oracle(data, chain), np.array([float(variance(t, v, betas)) for t in range(T, 0, -1)])
        x0 = np.repeat(m + np.sqrt(v) * np.array([[-1.5], [0.2], [1.0]]), 1000, axis=0)
        off = np.inf
        if np.all(own > 0):
            start = partial(oracle.log_density, t=1.0)
            number = td.path_log_ratio(oracle, td.forward_path(chain, x0, ts, rng), ts, variance=own, prior=start)
            off = float(np.max(np.abs(number - data.log_density(x0))))
        yield off < 1e-9, f"T = {T}, v = {v:.2f}: the number of a path is off by up to {off:.0e} nats."


def excess(lam: np.ndarray, variances: np.ndarray) -> float:
    """−ELBO − entropy (nats) of the perfect denoiser on the curve λ_1, …, λ_T with the variances of t = 1, …, T."""
    log_alpha_bar = -np.logaddexp(0, -np.concatenate([[np.inf], lam]))
    chain, ts = td.Discrete(-np.expm1(np.diff(log_alpha_bar))), np.arange(len(lam), 0, -1) / len(lam)
    rows, noise, chance = nodes(len(lam))
    nats = td.elbo(td.Oracle(LINE, chain), rows, ts, variance=variances[::-1], noise=noise).nats
    return float(chance @ nats - LINE.entropy()[0])


def gap(lam: np.ndarray, variances: np.ndarray, T: int) -> tuple[float, Parts]:
    """The gap (nats), and what is wrong with the answer: nothing, as a rule."""
    lam, variances = np.asarray(lam, float), np.asarray(variances, float)
    if lam.shape != (T,) or variances.shape != (T,):
        return np.inf, iter([(False, f"{T} values of λ and {T} variances: got {lam.shape} and {variances.shape}.")])
    if np.any(np.diff(lam) >= 0) or np.any(variances <= 0):
        return np.inf, iter([(False, "λ falls from one step to the next, and variances are above 0.")])
    return excess(lam, variances), iter(())


def twenty_steps(lam: np.ndarray, variances: np.ndarray) -> Parts:
    """The gap (nats) of a chain of 20 steps; it must be under 0.15."""
    found, faults = gap(lam, variances, 20)
    yield from faults
    yield found < 0.15, f"−ELBO − entropy is {found:.3f} nats; it must be under 0.150."


def ten_steps(lam: np.ndarray, variances: np.ndarray) -> Parts:
    """The gap (nats) of a chain of 10 steps, beside ours."""
    found, faults = gap(lam, variances, 10)
    yield from faults
    level = "level with ours" if abs(found / OURS - 1) < 1e-4 else f"ours {OURS:.3f}"
    yield found <= OURS * 1.0001, f"−ELBO − entropy is {found:.4f} nats; {level}."
