"""Numerics that the identities share: derivatives exact to rounding, integrals against mixtures, densities by hand."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy import integrate

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
