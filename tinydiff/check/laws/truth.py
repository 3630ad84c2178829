"""What laws expect, by other routes than one would take to write the functions: steps, regression, quadrature."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import log, sqrt

ONE, ZERO = np.ones((1, 1)), np.zeros((1, 1))


def kernel(betas: np.ndarray, t: int, s: int = 0) -> tuple[float, float]:
    """(a, var) of q(x_t|x_s) = N(a x_s, var), by single steps one after another."""
    a, var = 1.0, 0.0
    for beta in betas[s:t].tolist():
        a, var = a * (1 - beta) ** 0.5, (1 - beta) * var + beta
    return a, var


def conditional(t: int, s: int, betas: np.ndarray) -> tuple[float, float, float]:
    """(c_t, c_0, var) of q(x_s|x_t, x_0) = N(c_t x_t + c_0 x_0, var), by regression: Cov[x_s, x_t|x_0] = a var_s."""
    (a_s, var_s), (a_t, var_t), (a, _) = kernel(betas, s), kernel(betas, t), kernel(betas, t, s)
    slope = a * var_s / var_t
    return slope, a_s - slope * a_t, var_s - slope * a * var_s


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def kl_by_quadrature(m1: Any, v1: Any, m2: Any, v2: Any) -> np.ndarray:
    """E_p[ln p − ln q] of two Gaussians by Gauss–Hermite quadrature, exact for the quadratics that these are."""
    m1, v1, m2, v2 = (np.asarray(a)[..., None] for a in (m1, v1, m2, v2))
    x = m1 + sqrt(v1) * NODES
    ln_p, ln_q = (-0.5 * log(2 * np.pi * var) - (x - m) ** 2 / (2 * var) for m, var in ((m1, v1), (m2, v2)))
    return (ln_p - ln_q) @ WEIGHTS / sqrt(2 * np.pi)


def complex_step(function: Callable, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """∂⟨dy, function(x)⟩/∂x, entry by entry."""
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[i] += 1e-30j
        out[i] = np.sum(dy * function(moved)).imag / 1e-30
    return out
