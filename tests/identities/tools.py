"""Numerics that the identities share: derivatives exact to rounding, integrals against mixtures, densities by hand."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy import integrate, stats

import tinydiff as td
from tinydiff.denoisers import Wrapper

STEP = 1e-30


def complex_step(f: Callable, x: np.ndarray | float, v: np.ndarray | float = 1.0) -> np.ndarray:
    """d/dh f(x + h v) at h = 0, exact to rounding: Im f(x + ih v)/h has no difference that could cancel."""
    return np.imag(f(x + 1j * STEP * v)) / STEP


def gradient(f: Callable, x: np.ndarray) -> np.ndarray:
    """∂f/∂x_i of each row of x (B, D) along a new last axis: the gradient of an f (B,), the Jacobian of an f (B, N)."""
    return np.stack([complex_step(f, x, e) for e in np.eye(x.shape[1])], axis=-1)


def gauss_hermite(mixture: td.GaussianMixture, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (K · nodes^D, D) and weights with Σ w f(x) = E f(x), exact for polynomials of degree 2 · nodes − 1."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return _nodes(mixture, z, w)


def trapezoid(mixture: td.GaussianMixture, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with even nodes within ±9σ: better where f has poles near the real axis, as scores have."""
    z = np.linspace(-9, 9, nodes)
    return _nodes(mixture, z, np.exp(-0.5 * z**2))


def _nodes(mixture: td.GaussianMixture, z: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d = mixture.dim
    z, w = np.array([*product(z, repeat=d)]), np.prod([*product(w / w.sum(), repeat=d)], axis=1)
    variances, axes = np.linalg.eigh(mixture.covariances)
    root = axes * np.sqrt(np.maximum(variances, 0))[:, None, :]
    x = mixture.means[:, None, :] + z @ root.swapaxes(1, 2)  # (K, nodes^D, D)
    return x.reshape(-1, d), np.outer(mixture.weights, w).ravel()


def log_density(mixture: td.GaussianMixture, x: np.ndarray, alpha: float = 1.0, sigma: float = 0.0) -> np.ndarray:
    """ln Σ_k w_k N(x; α m_k, α² C_k + σ² I), (B,), with inverses and determinants; x (B, D) may be complex."""
    covariances = alpha**2 * mixture.covariances + sigma**2 * np.eye(mixture.dim)
    y = x - alpha * mixture.means[:, None, :]  # (K, B, D)
    square = np.sum(y * np.linalg.solve(covariances, y.swapaxes(1, 2)).swapaxes(1, 2), axis=2)
    log_det = np.linalg.slogdet(2 * np.pi * covariances)[1]
    log_joint = (np.log(mixture.weights) - 0.5 * log_det)[:, None] - 0.5 * square
    shift = np.max(log_joint.real, axis=0)
    return shift + np.log(np.sum(np.exp(log_joint - shift), axis=0))


def columns(process: td.Process, *times: float, like: np.ndarray) -> list[td.Level]:
    """The levels at some times, each of them for all the rows of `like`, with coefficients in its dtype."""
    return [process.at(np.full(like.shape[0], t), like=like) for t in times]


def kernel(process: td.Process, t: float, s: float) -> tuple[float, float]:
    """q(x_t | x_s) = N(a x_s, v), gathered from the steps, or instants, between s and t: each fades what was there."""
    if isinstance(process, td.Discrete):
        a, v = 1.0, 0.0
        for beta in process.betas[round(s * process.T) : round(t * process.T)]:
            a, v = a * np.sqrt(1 - beta), v * (1 - beta) + beta
        return a, v

    def faded_noise(r: float) -> float:
        return (process.alpha(t) / process.alpha(r)) ** 2 * process.g2(r)

    def integral(f: Callable) -> float:
        return integrate.quad(f, s, t, epsabs=0, epsrel=1e-12, limit=200)[0]

    return np.exp(integral(process.f)) if process.f(t) else 1.0, integral(faded_noise)


class Louder(Wrapper):
    """The denoiser with ε̂ = (1 + κ) ε*: exact but for the volume of its noise."""

    def __init__(self, oracle: td.Oracle, kappa: float) -> None:
        super().__init__(oracle)
        self.kappa = kappa

    def __call__(self, x: np.ndarray, t: Any) -> np.ndarray:
        return (1 + self.kappa) * self.model(x, t)

    def linearize(self, x: np.ndarray, t: Any) -> tuple[np.ndarray, Callable]:
        eps, pull = self.model.linearize(x, t)
        return (1 + self.kappa) * eps, lambda u: (1 + self.kappa) * pull(u)


def divergence(f: Callable, x: np.ndarray) -> np.ndarray:
    """∇·f at each row of x (B, D), for an f (B, D): the trace of its Jacobian."""
    return np.trace(gradient(f, x), axis1=1, axis2=2)


NORMAL = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])


def log_normal(x: np.ndarray, mean: np.ndarray, var: float) -> np.ndarray:
    """ln N(x; mean, var I), the coordinates last."""
    return np.sum(stats.norm.logpdf(x, mean, np.sqrt(var)), axis=-1)


def exact_score(mixture: td.GaussianMixture, x: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """∇ ln q_t(x), (B, D), of the density that is written out above."""
    return gradient(lambda x: log_density(mixture, x, alpha, sigma), x)


def jacobian(q: td.GaussianMixture, x: np.ndarray) -> np.ndarray:
    """∇s of each row of x (B, D), (B, D, D), as the library has it, column by column."""
    pull = q.score_linearized(x)[1]
    return np.stack([pull(np.broadcast_to(e, x.shape)) for e in np.eye(q.dim, dtype=x.dtype)], axis=2)


def marginal_nodes(mixture: td.GaussianMixture, alpha: complex, sigma: complex) -> tuple[np.ndarray, np.ndarray]:
    """Points x (M, 1) and weights with Σ w f(x) = E f(α x_0 + σ ε) on a line; α and σ may be complex."""
    z, w = trapezoid(NORMAL, 800)
    x = alpha * mixture.means + (alpha**2 * mixture.covariances[:, :, 0] + sigma**2) ** 0.5 * z.T
    return x.reshape(-1, 1), np.outer(mixture.weights, w).ravel()


def joint_nodes(mixture: td.GaussianMixture, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x_0, ε (M, 1) and weights with Σ w f = E f, for an f that at a fixed x = α x_0 + σ ε is a polynomial of degree 5.

    The two normals behind x_0 and ε are turned into a and b, of which a alone moves x.
    """
    (a, w_a), (b, w_b) = trapezoid(NORMAL, 800), gauss_hermite(NORMAL, 3)
    std = np.sqrt(mixture.covariances)
    r = np.sqrt((alpha * std) ** 2 + sigma**2)
    cos, sin = alpha * std / r, sigma / r
    x0, eps = mixture.means[:, :, None] + std * (cos * a + sin * b.T), sin * a - cos * b.T  # (K, 800, 3)
    return x0.reshape(-1, 1), eps.reshape(-1, 1), np.einsum("k,i,j->kij", mixture.weights, w_a, w_b).ravel()


def fine_nodes(mixture: td.GaussianMixture, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """The same as marginal_nodes at any level, a tenth of the least standard deviation apart."""
    std = np.sqrt(alpha**2 * mixture.covariances[:, 0, 0] + sigma**2)
    ends = np.min(alpha * mixture.means) - 9 * np.max(std), np.max(alpha * mixture.means) + 9 * np.max(std)
    x = np.arange(*ends, 0.1 * np.min(std))[:, None]
    w = np.exp(log_density(mixture, x, alpha, sigma))
    return x, w / np.sum(w)


def over_all_snrs(f: Callable[[float], float]) -> float:
    """∫_0^∞ f(γ) dγ by the trapezoidal rule in ln γ."""
    snrs, h = np.linspace(-26, 26, 131, retstep=True)
    return h * sum(f(snr) * snr for snr in np.exp(snrs))


def of_class(mixture: td.GaussianMixture, y: int) -> tuple[float, td.GaussianMixture]:
    """p(y) and the law q(x_0 | y), of the components of that class alone; −1 is any."""
    keep = (mixture.labels == y) | (y == -1)
    p = mixture.weights[keep].sum()
    return p, td.GaussianMixture(mixture.weights[keep] / p, mixture.means[keep], mixture.covariances[keep])
