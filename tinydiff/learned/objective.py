"""The training objective: a weighted squared error of the noise, in whatever the network predicts.

    L = E_{t, x_0, ε} w(t) ‖ε − ε̂(α x_0 + σ ε, t)‖²/d

With ε̂ = a x + b F this is w b² ‖target − F‖², so the exact factor b² is applied in the prediction's own space and
nothing is divided by a small number. How t is drawn is a weight too: with t uniform, w = 1 is DDPM's L_simple [14],
which is not the variational bound; with the log-SNR uniform it is, up to constants [VDM 17]; `vlb` is with t uniform.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff import grids
from tinydiff.backend import Array, Times, cast, column, namespace, to_numpy
from tinydiff.denoisers import target, to_eps
from tinydiff.learned.network import TimeMLP, network_inputs
from tinydiff.processes import SDE, Discrete, Process
from tinydiff.processes.base import strata

Weight = Callable[[Process, Times], Array]
DrawTimes = Callable[[Process, np.random.Generator, int], Array]


def uniform_times(process: Process, rng: np.random.Generator, n: int) -> Array:
    """n times, uniform from t_min to t_max, one in each of n equal strata."""
    return process.sample_times(rng, n)


def log_snr_times(process: Process, rng: np.random.Generator, n: int) -> Array:
    """n times whose log-SNR is uniform from end to end, one in each of n equal strata."""
    noisy, clean = grids.log_snr_ends(process)
    return np.clip(process.time(noisy + (clean - noisy) * strata(rng, n)), process.t_min, process.t_max)


def logistic_times(process: Process, rng: np.random.Generator, n: int, mean: float = 3.0, scale: float = 3.0) -> Array:
    """n times whose log-SNR is logistic, cut off at the ends: most of them where modes part, some everywhere."""
    ends = np.array(grids.log_snr_ends(process))
    low, high = 1 / (1 + np.exp((mean - ends) / scale))  # the distribution function at both ends
    u = low + (high - low) * strata(rng, n)
    return np.clip(process.time(mean + scale * np.log(u / (1 - u))), process.t_min, process.t_max)


def simple(process: Process, t: Times) -> Array:
    """w = 1 [DDPM 14]."""
    return np.ones_like(np.asarray(t))


def vlb(process: Process, t: Times) -> Array:
    """The weight of the variational bound: with t uniform, L is −ELBO/d in nats, up to constants.

    In continuous time −½ dλ/dt = g²/2σ² [VDM 17–18]. On a chain T · ½ (SNR_{n−1}/SNR_n − 1) for n ≥ 2 [VDM 13–14], and
    T/2 for the reconstruction N(x_0; x̂_0, σ²/α²) at n = 1.
    """
    if isinstance(process, SDE):
        return process.g2(t) / (2 * process.sigma(t) ** 2)
    if not isinstance(process, Discrete):
        raise ValueError(f"weight 'vlb' needs an SDE or a Discrete process; got {process!r}.")
    n = process.index(t)
    drop = process.log_snr(np.maximum(n - 1, 1) / process.T) - process.log_snr(t)
    return 0.5 * process.T * np.where(n == 1, 1.0, np.expm1(drop))


def min_snr(process: Process, t: Times, gamma: float = 5.0) -> Array:
    """w = min(SNR, γ)/SNR: the x_0-loss weighted by min(SNR, γ) [Hang et al. 2023, §3.4]."""
    return np.minimum(1.0, gamma * np.exp(-process.log_snr(t)))


def x0(process: Process, t: Times) -> Array:
    """w = 1/SNR: the x_0-loss ‖x_0 − x̂_0‖², since ε − ε̂ = √SNR (x̂_0 − x_0) [Salimans & Ho 2022, 9]."""
    return np.exp(-process.log_snr(t))


def batch_means(process: Process, x0: Array, t: Times, eps: Array, labels: Array | None = None) -> tuple[Array, Array]:
    """(E[x_0|x_t], E[ε|x_t]) of x_t = α x_0 + σ ε, were the batch all data there is; all (B, D) [Xu et al. 2023]:

        E[x_0|x_t] = Σ_j w_j x_0^j,    w_j ∝ exp(−‖x_t − α x_0^j‖²/2σ²)

    As targets they lead to the same network as x_0 and ε do, with less noise on the way, by far the most where many
    points lead to one x_t. There is no bias: x_0 is a draw from p(x_0|x_t) and the other points from p(x_0), and to
    choose one of all with the odds w_j leaves p(x_0|x_t) as it is [iterated SIR: Andrieu et al. 2018]; this is the mean
    over that choice. A row with a label looks at those of its label alone, −1 at all.
    """
    xp = namespace(x0)
    alpha, sigma = column(process.alpha(t), x0), column(process.sigma(t), x0)
    x = alpha * x0 + sigma * eps
    snr = (alpha / sigma) ** 2
    points = xp.concat([x0, xp.sum(x0 * x0, axis=1, keepdims=True)], axis=1)  # (B, D + 1)
    logits = xp.concat([alpha / sigma**2 * x, -0.5 * snr], axis=1) @ points.T  # (B, B), up to a term of each row
    if labels is not None:
        labels = to_numpy(labels)[:, None]
        logits = logits + cast(np.where((labels == labels.T) | (labels == -1), 0.0, -np.inf), x0)
    likely = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    mean = likely @ x0 / xp.sum(likely, axis=1, keepdims=True)
    return mean, (x - alpha * mean) / sigma


WEIGHTS: dict[str, Weight] = {"simple": simple, "vlb": vlb, "min_snr": min_snr, "x0": x0}
TIMES: dict[str, DrawTimes] = {"uniform": uniform_times, "log_snr": log_snr_times, "logistic": logistic_times}


def named(kind: str, choice: Any, table: dict[str, Any]) -> Any:
    """A function as it is, or the entry of the table that it names."""
    if callable(choice):
        return choice
    if choice not in table:
        raise ValueError(f"{kind} must be a function or one of {', '.join(table)}; got {choice!r}.")
    return table[choice]


def loss_and_grad(
    network: TimeMLP,
    process: Process,
    theta: Array,
    x0: Array,
    t: Times,
    eps: Array,
    labels: Array | None = None,
    weight: Weight = simple,
) -> tuple[float, Array]:
    """L on one batch and ∂L/∂θ (size,). Shapes: x0 and eps (B, D), t (B,), labels (B,)."""
    if network.outputs:
        raise ValueError("this network outputs no noise: train it with train_classifier.")
    alpha, sigma = column(process.alpha(t), x0), column(process.sigma(t), x0)
    y, pullback = network(theta, *network_inputs(process, alpha * x0 + sigma * eps, t), labels)
    miss = y - target(network.prediction, x0, eps, alpha, sigma)
    b, w = to_eps(network.prediction, alpha, sigma)[1], weight(process, to_numpy(t))
    if not np.all(np.isfinite(to_numpy(w))):
        raise ValueError("this weight is infinite at t = 1, where this process leaves no signal: take another weight.")
    scaled = column(w, x0) * b**2 * miss / (x0.shape[0] * x0.shape[1])
    grad = namespace(theta).empty_like(theta)
    pullback(2 * scaled, grad)
    return float(namespace(x0).sum(scaled * miss)), grad
