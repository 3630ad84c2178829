"""Chains of T noising steps, DDPM's own setting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinydiff.backend import Array, Times, cast, namespace, to_numpy
from tinydiff.processes.base import Process, as_time, log, strata


@dataclass(frozen=True, eq=False)
class Discrete(Process):
    """A chain of T noising steps q(x_n | x_{n−1}) = N(√(1 − β_n) x_{n−1}, β_n I), on t = n/T alone [DDPM 2].

    `betas[n − 1]` is β_n. A time off the grid raises a ValueError that names the nearest grid points.
    """

    betas: np.ndarray

    def __post_init__(self) -> None:
        betas = np.array(self.betas, dtype=np.float64)
        object.__setattr__(self, "betas", betas)
        if betas.ndim != 1 or betas.size == 0:
            raise ValueError(f"betas must be a vector of T numbers; got shape {betas.shape}.")
        if not (np.all(betas > 0) and np.all(betas[:-1] < 1) and betas[-1] <= 1):
            raise ValueError(f"betas must lie in (0, 1), the last may be 1; got {betas.min():g} to {betas.max():g}.")

    def __repr__(self) -> str:
        return f"Discrete(T={self.T}, betas={self.betas[0]:.3g} to {self.betas[-1]:.3g})"

    @classmethod
    def linear(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """β rising linearly [DDPM §4]. `rescale` multiplies β, meant for T = 1000, by 1000/T, which keeps ᾱ_T."""
        return cls(_rescaled(np.linspace(beta_1, beta_T, _steps(T)), rescale))

    @classmethod
    def quadratic(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """√β rising linearly: less noise at first than the linear schedule."""
        return cls(_rescaled(np.linspace(beta_1**0.5, beta_T**0.5, _steps(T)) ** 2, rescale))

    @classmethod
    def sigmoid(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """β rising like the logistic function on [−6, 6]."""
        rise = 0.5 * (1 + np.tanh(np.linspace(-3, 3, _steps(T))))
        return cls(_rescaled(beta_1 + (beta_T - beta_1) * rise, rescale))

    @classmethod
    def cosine(cls, T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Discrete:
        """β_n = min(1 − f(n)/f(n−1), β_max) with f(n) = cos²(½π (n/T + s)/(1 + s)) [Nichol & Dhariwal 2021]."""
        f = np.cos(0.5 * np.pi * (np.arange(_steps(T) + 1) / T + s) / (1 + s)) ** 2
        return cls(np.minimum(1 - f[1:] / f[:-1], beta_max))

    def zero_terminal_snr(self) -> Discrete:
        """√ᾱ shifted and scaled so that √ᾱ_T = 0 and √ᾱ_1 stays [Lin et al. 2023, Alg. 1].

        At t = 1 nothing is left of x_0, so use a model that predicts x0 or v.
        """
        if self.T < 2:
            raise ValueError("zero terminal SNR needs a chain of T ≥ 2 steps; got T = 1.")
        root = np.exp(0.5 * self._log_alpha_bar)
        root[1:] = (root[1:] - root[-1]) * root[1] / (root[1] - root[-1])
        return Discrete(1 - (root[1:] / root[:-1]) ** 2)

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.betas)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        """1/T, one noising step."""
        return 1 / self.T

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """1, all T steps."""
        return 1.0

    @cached_property
    def _log_alpha_bar(self) -> np.ndarray:
        """ln ᾱ_n = Σ_{m ≤ n} ln(1 − β_m), (T + 1,), with ᾱ_0 = 1."""
        with np.errstate(divide="ignore"):
            return np.concatenate([[0.0], np.cumsum(np.log1p(-self.betas))])

    def index(self, t: Times) -> np.ndarray:
        """The n with t = n/T, or a ValueError that names the grid points around t."""
        steps = np.asarray(to_numpy(as_time(t)) * self.T, dtype=np.float64)
        n = np.rint(steps)
        off = np.abs(steps - n) > 1e-3  # float32 times are good to 6e-5 of a step at T = 1000
        if np.any(off):
            bad = steps[off].flat[0]
            low, high = int(np.floor(bad)), int(np.ceil(bad))
            raise ValueError(
                f"t = {bad / self.T:.6g} is not on the grid n/T with T = {self.T}; "
                f"the nearest are {low}/{self.T} = {low / self.T:.6g} and {high}/{self.T} = {high / self.T:.6g}."
            )
        return n.astype(np.int64)

    def _log_alpha_bar_at(self, t: Times) -> Array:
        """ln ᾱ_n at t = n/T, in the namespace and dtype of t."""
        return cast(self._log_alpha_bar[self.index(t)], as_time(t))

    def alpha(self, t: Times) -> Array:
        """√ᾱ_n, ᾱ_n = ∏_{m ≤ n} (1 − β_m)."""
        return namespace(t).exp(0.5 * self._log_alpha_bar_at(t))

    def sigma(self, t: Times) -> Array:
        """√(1 − ᾱ_n), computed as −expm1(ln ᾱ_n): 1 − cumprod loses half the digits at small β."""
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(self._log_alpha_bar_at(t)))

    def log_snr(self, t: Times) -> Array:
        """λ = ln ᾱ_n/(1 − ᾱ_n)."""
        log_alpha_bar = self._log_alpha_bar_at(t)
        return log_alpha_bar - log(-namespace(t).expm1(log_alpha_bar))

    def time(self, log_snr: Times) -> Array:
        """The grid time, from 1/T on, whose log-SNR is nearest."""
        lam = self.log_snr(np.arange(1, self.T + 1) / self.T)
        between = 0.5 * (lam[1:] + lam[:-1])
        steps = 1 + np.searchsorted(-between, -to_numpy(log_snr), side="right")
        return cast(steps / self.T, namespace(log_snr).asarray(log_snr))

    def nearest(self, t: Times) -> Array:
        """The grid time nearest to t."""
        return namespace(t).round(as_time(t) * self.T) / self.T

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n grid times from 1/T to 1, one from each of n equal strata."""
        return np.minimum(np.floor(self.T * strata(rng, n)) + 1, self.T) / self.T


def _steps(T: int) -> int:
    if T < 1:
        raise ValueError(f"T, the number of steps, must be at least 1; got {T}.")
    return T


def _rescaled(betas: np.ndarray, rescale: bool) -> np.ndarray:
    if rescale:
        betas = betas * (1000 / len(betas))
    if betas.max() >= 1:
        raise ValueError(f"T = {len(betas)} is too short for this schedule: its largest β would be {betas.max():.3g}.")
    return betas
