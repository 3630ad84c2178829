"""The training objective: a weighted squared error of the noise, in whatever the network predicts.

    L = E_{t, x_0, ε} w(t) ‖ε − ε̂(α x_0 + σ ε, t)‖²/d

With ε̂ = a x + b F this is w b² ‖target − F‖², so the exact factor b² is applied in the prediction's own space and
nothing is divided by a small number. How t is drawn is a weight too: with t uniform, w = 1 is DDPM's L_simple [14],
which is not the variational bound; with the log-SNR uniform it is, up to constants [VDM 17]; `vlb_weight` makes it so
with t uniform.

Shapes: x0, eps (B, D); t (B,); `now` holds the level of each row, in columns (B, 1).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator

from tinydiff import grids
from tinydiff.backend import Array, namespace
from tinydiff.checks import check_outputs_noise, check_weight
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.network import Network
from tinydiff.predictions import target, to_eps
from tinydiff.processes import Discrete, Level, Process
from tinydiff.processes.base import strata

Weight = Callable[[Level], Any]
DrawTimes = Callable[[Process, Generator, int], np.ndarray]

# How the times of a batch are drawn


def uniform_times(process: Process, rng: Generator, n: int) -> np.ndarray:
    """n times, uniform from t_min to t_max, one in each of n equal strata."""
    return process.sample_times(rng, n)


def log_snr_times(process: Process, rng: Generator, n: int) -> np.ndarray:
    """n times whose log-SNR is uniform from end to end, one in each of n equal strata."""
    noisy, clean = grids.log_snr_ends(process)
    return np.clip(process.time(noisy + (clean - noisy) * strata(rng, n)), process.t_min, process.t_max)


def logistic_times(process: Process, rng: Generator, n: int, mean: float = 2.5, scale: float = 2.0) -> np.ndarray:
    """n times whose log-SNR is logistic, cut off at the ends: most of them where modes part, some everywhere."""
    ends = np.array(grids.log_snr_ends(process))
    low, high = 1 / (1 + np.exp((mean - ends) / scale))  # the distribution function at both ends
    u = low + (high - low) * strata(rng, n)
    return np.clip(process.time(mean + scale * np.log(u / (1 - u))), process.t_min, process.t_max)


def indices(known: np.ndarray, now: Level) -> np.ndarray:
    """Where the times of a batch stand in falling times; ValueError for one that is not among them."""
    t = np.asarray(now.host.t)
    found = np.minimum(np.searchsorted(-known, -t), len(known) - 1)
    if np.any(np.abs(known[found] - t) > 1e-12):
        raise ValueError(f"train on the times of the grid, times=td.grids.times_of(ts): {t[0]:.6g} is not among them.")
    return found


# How much the error at each time weighs: functions of a level in numbers of the host, (B,)


def simple_weight(now: Level) -> Any:
    """w = 1 [DDPM 14]."""
    return np.ones_like(now.sigma)


def vlb_weight(now: Level) -> Any:
    """The weight of the variational bound: with t uniform, L is −ELBO/d in nats, up to constants.

    In continuous time −½ dλ/dt = g²/2σ² [VDM 17–18]. On a chain T · ½ (SNR_{n−1}/SNR_n − 1) for n ≥ 2 [VDM 13–14], and
    T/2 for the reconstruction N(x_0; x̂_0, σ²/α²) at n = 1.
    """
    if not isinstance(chain := now.process, Discrete):
        return now.g2 / (2 * now.sigma**2)
    n = chain.index(now.t)
    before = chain.at(np.maximum(n - 1, 1) / chain.T)
    return 0.5 * chain.T * np.where(n == 1, 1.0, np.expm1(before.log_snr - now.log_snr))


def min_snr_weight(now: Level, gamma: float = 5.0) -> Any:
    """w = min(SNR, γ)/SNR: the x_0-loss weighted by min(SNR, γ) [Hang et al. 2023, §3.4]."""
    return np.minimum(1.0, gamma / now.snr)


def x0_weight(now: Level) -> Any:
    """w = 1/SNR: the x_0-loss ‖x_0 − x̂_0‖², since ε − ε̂ = √SNR (x̂_0 − x_0) [Salimans & Ho 2022, 9]."""
    return 1 / now.snr


def edm_weight(now: Level, sigma_data: float = 1.0) -> Any:
    """w = 1 + 1/(SNR σ_data²), under which the loss of "edm" is the plain one of F [Karras et al. 2022, Table 1].

    It is λ/SNR with their weight λ = (s² + σ_data²)/(s σ_data)² of the x_0-loss, s = σ/α: 1/c_out².
    """
    return 1 + 1 / (now.snr * sigma_data**2)


WEIGHTS: dict[str, Weight] = {
    "simple": simple_weight, "vlb": vlb_weight, "min_snr": min_snr_weight, "x0": x0_weight, "edm": edm_weight,
}  # fmt: skip
TIMES: dict[str, DrawTimes] = {"uniform": uniform_times, "log_snr": log_snr_times, "logistic": logistic_times}


def loss_and_grad(
    network: Network, theta: Array, now: Level, x0: Array, eps: Array, labels: Array | None = None,
    weight: Weight = simple_weight,
) -> tuple[float, Array]:  # fmt: skip
    """L on one batch and ∂L/∂θ (size,), with the labels (B,) of the rows, if any."""
    check_outputs_noise(network)
    now = now.for_each(x0)
    y, pullback = network(theta, *network_inputs(now.perturb(x0, eps), now, network.sigma_data), labels)
    error = y - target(network.prediction, x0, eps, now, network.sigma_data)
    _, b = to_eps(network.prediction, now, network.sigma_data)
    scaled = weigh(weight, now) * b**2 * error / (x0.shape[0] * x0.shape[1])
    grad = namespace(theta).empty_like(theta)
    pullback(2 * scaled, grad, dx=False)
    return float(namespace(x0).sum(scaled * error)), grad


def weigh(weight: Weight, now: Level) -> Array:
    """The weight of each row, in the columns of the level; ValueError where it is infinite."""
    with np.errstate(divide="ignore", over="ignore"):
        w = weight(now.host)
    check_weight(w)
    return now.shaped(w)
