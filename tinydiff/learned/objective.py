"""The training objective: a weighted squared error of the noise, in whatever the network predicts.

    L = E_{t, x_0, ε} w(t) ‖ε − ε̂(α x_0 + σ ε, t)‖²/d

With ε̂ = a x + b F this is w b² ‖target − F‖², so the exact factor b² is applied in the prediction's own space and
nothing is divided by a small number. w = 1 is DDPM's L_simple [14]: it is not the variational bound; `vlb` is.
"""

from collections.abc import Callable

import numpy as np

from tinydiff.backend import Array, Times, column, namespace
from tinydiff.denoisers import target, to_eps
from tinydiff.learned.network import TimeMLP, network_inputs
from tinydiff.processes import SDE, Discrete, Process

Weight = Callable[[Process, Times], Array]


def simple(process: Process, t: Times) -> Array:
    """w = 1 [DDPM 14]."""
    return np.ones_like(np.asarray(t))


def vlb(process: Process, t: Times) -> Array:
    """The weight of the variational bound: L/d of it is −ELBO/d in nats up to constants.

    In continuous time −½ dλ/dt = g²/2σ² [VDM 17]. On a chain T · ½ (SNR_{n−1}/SNR_n − 1) for n ≥ 2 [VDM 13], and T/2
    for the reconstruction N(x_0; x̂_0, σ²/α²) at n = 1.
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


def soft_snr(process: Process, t: Times, floor: float = 0.02) -> Array:
    """The x_0-loss ‖x_0 − x̂_0‖²/(σ² + floor) as a weight of the ε-loss: (1/SNR)/(σ² + floor).

    SNR-like where there is noise to remove, bounded where there is none. It suits images, whose last details of 1/√SNR
    below the grey levels are not worth a network's capacity.
    """
    return np.exp(-process.log_snr(t)) / (process.sigma(t) ** 2 + floor)


WEIGHTS: dict[str, Weight] = {"simple": simple, "vlb": vlb, "min_snr": min_snr, "soft_snr": soft_snr}


def named_weight(weight: str | Weight) -> Weight:
    """The weight of that name, or the function given."""
    if callable(weight):
        return weight
    if weight not in WEIGHTS:
        raise ValueError(f"weight must be a function or one of {', '.join(WEIGHTS)}; got {weight!r}.")
    return WEIGHTS[weight]


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
    alpha, sigma = column(process.alpha(t), x0), column(process.sigma(t), x0)
    y, pullback = network(theta, *network_inputs(process, process.perturb(x0, t, eps), t), labels)
    miss = y - target(network.prediction, x0, eps, alpha, sigma)
    b = to_eps(network.prediction, alpha, sigma)[1]
    scaled = column(weight(process, t), x0) * b**2 * miss / (x0.shape[0] * x0.shape[1])
    grad = namespace(theta).empty_like(theta)
    pullback(2 * scaled, grad)
    return float(namespace(x0).sum(scaled * miss)), grad
