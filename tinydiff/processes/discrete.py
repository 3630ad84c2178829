"""Chains of T noising steps, DDPM's own setting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinydiff.checks import as_betas, as_count, as_steps
from tinydiff.processes.base import Process, strata


@dataclass(frozen=True, eq=False)
class Discrete(Process):
    """A chain of T noising steps q(x_n | x_{n−1}) = N(√(1 − β_n) x_{n−1}, β_n I), which lives on t = n/T alone.

    Index n means n noising steps, so ᾱ_0 = 1. A chain has no f and g², and no value between its steps.

    Parameters
    ----------
    betas : (T,)
        The variances, with β_n = betas[n − 1]; ``linear``, ``quadratic``, ``sigmoid`` and ``cosine`` make them.

    Raises
    ------
    ValueError
        For variances outside (0, 1), of which the last may be 1; for a time off the grid, with the nearest grid points
        named; and where f or g² is asked for.

    References
    ----------
    Ho et al. 2020 (DDPM), eqs. 2 and 4.

    Examples
    --------
    >>> import tinydiff as td
    >>> chain = td.Discrete([0.5, 0.5])
    >>> print(f"{chain.at(0.5).alpha**2:.2f} {chain.at(1.0).alpha**2:.2f}")
    0.50 0.25
    """

    betas: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", as_betas(self.betas))

    def __repr__(self) -> str:
        return f"Discrete(T={self.T}, betas={self.betas[0]:.3g} to {self.betas[-1]:.3g})"

    @classmethod
    def linear(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """β rising linearly [DDPM §4]. `rescale` multiplies β, meant for T = 1000, by 1000/T."""
        return cls(_rescaled(np.linspace(beta_1, beta_T, as_count("T", T)), rescale))

    @classmethod
    def quadratic(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """√β rising linearly: less noise at first than the linear schedule [as in the code of DDIM]."""
        return cls(_rescaled(np.linspace(beta_1**0.5, beta_T**0.5, as_count("T", T)) ** 2, rescale))

    @classmethod
    def sigmoid(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """β rising like the logistic function on [−6, 6] [as in the code of DDIM]."""
        rise = 0.5 * (1 + np.tanh(np.linspace(-3, 3, as_count("T", T))))
        return cls(_rescaled(beta_1 + (beta_T - beta_1) * rise, rescale))

    @classmethod
    def cosine(cls, T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Discrete:
        """β_n = min(1 − f(n)/f(n−1), β_max) with f(n) = cos²(½π (n/T + s)/(1 + s)) [Nichol & Dhariwal 2021]."""
        f = np.cos(0.5 * np.pi * (np.arange(as_count("T", T) + 1) / T + s) / (1 + s)) ** 2
        return cls(np.minimum(1 - f[1:] / f[:-1], beta_max))

    def zero_terminal_snr(self) -> Discrete:
        """√ᾱ shifted and scaled so that √ᾱ_T = 0 and √ᾱ_1 stays [Lin et al. 2023, Alg. 1].

        At t = 1 nothing is left of x_0, so use a model that predicts x0 or "v". ValueError for T = 1.
        """
        as_count("T, for a zero terminal SNR,", self.T, 2)
        root = np.exp(0.5 * self._log_alpha_bar)
        root[1:] = (root[1:] - root[-1]) * root[1] / (root[1] - root[-1])
        return Discrete(1 - (root[1:] / root[:-1]) ** 2)

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.betas)

    @property
    def t_min(self) -> float:
        """1/T, one noising step."""
        return 1 / self.T

    t_max = 1.0
    """All T steps."""

    @cached_property
    def _log_alpha_bar(self) -> np.ndarray:
        """ln ᾱ_n = Σ_{m ≤ n} ln(1 − β_m), (T + 1,), with ᾱ_0 = 1."""
        with np.errstate(divide="ignore"):
            return np.concatenate([[0.0], np.cumsum(np.log1p(-self.betas))])

    def index(self, t: Any) -> np.ndarray:
        """The n with t = n/T, or a ValueError that names the grid points around t."""
        return as_steps(t, self.T)

    def alpha(self, t: Any) -> Any:
        """√ᾱ_n, ᾱ_n = ∏_{m ≤ n} (1 − β_m)."""
        return np.exp(0.5 * self._log_alpha_bar[self.index(t)])

    def sigma(self, t: Any) -> Any:
        """√(1 − ᾱ_n), with 1 − ᾱ_n as −expm1(ln ᾱ_n): 1 − cumprod loses half the digits at small β."""
        return np.sqrt(-np.expm1(self._log_alpha_bar[self.index(t)]))

    @property
    def _sees_complex_steps(self) -> bool:
        raise ValueError(f"{self} has no f and g²: it is a chain of steps. Take a process in continuous time (VP, …).")

    def time(self, log_snr: Any) -> Any:
        """The grid time, from 1/T on, whose log-SNR is nearest."""
        lam = self.log_snr(np.arange(1, self.T + 1) / self.T)
        between = 0.5 * (lam[1:] + lam[:-1])
        return (1 + np.searchsorted(-between, -np.asarray(log_snr), side="right")) / self.T

    def nearest(self, t: Any) -> Any:
        """The grid time nearest to t."""
        return np.round(np.asarray(t) * self.T) / self.T

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n grid times from 1/T to 1, one from each of n equal strata."""
        return np.minimum(np.floor(self.T * strata(rng, n)) + 1, self.T) / self.T


def _rescaled(betas: np.ndarray, rescale: bool) -> np.ndarray:
    if rescale:
        betas = betas * (1000 / len(betas))
    if betas.max() >= 1:
        raise ValueError(f"T = {len(betas)} is too short for this schedule: its largest β would be {betas.max():.3g}.")
    return betas
