"""Processes in continuous time, each by its α and σ."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydiff.checks import check_range
from tinydiff.processes.base import Process


@dataclass(frozen=True)
class VP(Process):
    """The variance-preserving process, the limit of DDPM's chain with β_n = β(n/T)/T for many steps.

    It solves dx = −½ β(t) x dt + √β(t) dw with β(t) = β_min + t (β_max − β_min), whose solution is ::

        α = exp(−½ B),    σ² = 1 − exp(−B),    B(t) = ∫_0^t β

    Parameters
    ----------
    beta_min, beta_max : float
        The rate of noising at t = 0 and at t = 1.

    Raises
    ------
    ValueError
        Unless 0 < beta_min ≤ beta_max.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 11 and 33.

    Examples
    --------
    >>> import tinydiff as td
    >>> now = td.VP().at(0.5)
    >>> print(f"{now.alpha**2 + now.sigma**2:.3f} {now.f:.3f} {now.g2:.3f}")
    1.000 -5.025 10.050
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_range("beta_min", self.beta_min, 0, math.inf, open_low=True)
        if not self.beta_min <= self.beta_max < math.inf:
            raise ValueError(f"beta_max must be finite, and beta_min = {self.beta_min:g} or more; got {self.beta_max}.")

    def beta(self, t: Any) -> Any:
        """β(t), the rate of noising."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t: Any) -> Any:
        """B(t) = ∫_0^t β(r) dr = β_min t + ½ (β_max − β_min) t²."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def alpha(self, t: Any) -> Any:
        """α = exp(−½ B)."""
        return np.exp(-0.5 * self.integral(t))

    def sigma(self, t: Any) -> Any:
        """σ = √(1 − exp(−B))."""
        return np.sqrt(-np.expm1(-self.integral(t)))


@dataclass(frozen=True)
class SubVP(VP):
    """VP with less noise on the way: α = exp(−½ B) and σ = 1 − exp(−B), so that σ² stays below VP's.

    Parameters
    ----------
    beta_min, beta_max : float
        The rate of noising at t = 0 and at t = 1, as for VP.

    Raises
    ------
    ValueError
        Unless 0 < beta_min ≤ beta_max.

    References
    ----------
    Song et al. 2021 (score SDE), eq. 29.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.SubVP().at(0.3).sigma < td.VP().at(0.3).sigma
    True
    """

    def sigma(self, t: Any) -> Any:
        """σ = 1 − exp(−B)."""
        return -np.expm1(-self.integral(t))


@dataclass(frozen=True)
class VE(Process):
    """The variance-exploding process: α = 1, σ² = σ_min² ((σ_max/σ_min)^{2t} − 1), so that σ(0) = 0.

    It is the exact solution of the paper's SDE from data without noise; the paper's own kernel, its eq. 31, leaves the
    −1 out and so begins at σ_min.

    Parameters
    ----------
    sigma_min, sigma_max : float
        The noise grows from the scale σ_min, geometrically, to √(σ_max² − σ_min²), in the units of the data.

    Raises
    ------
    ValueError
        Unless 0 < sigma_min < sigma_max.

    References
    ----------
    Song et al. 2021 (score SDE), eqs. 29 and 30.

    Examples
    --------
    >>> import tinydiff as td
    >>> print(f"{td.VE().at(1.0).alpha} {td.VE().at(1.0).sigma:.1f}")
    1.0 50.0
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(f"need 0 < sigma_min < sigma_max; got {self.sigma_min} and {self.sigma_max}.")

    def alpha(self, t: Any) -> Any:
        """α = 1."""
        return 1 + 0 * t

    def sigma(self, t: Any) -> Any:
        """σ = σ_min √((σ_max/σ_min)^{2t} − 1)."""
        return self.sigma_min * np.sqrt(np.expm1(2 * t * math.log(self.sigma_max / self.sigma_min)))


@dataclass(frozen=True)
class Cosine(Process):
    """α = cos(πt/2), σ = sin(πt/2): the signal turns into noise at a constant angle.

    It is the cosine schedule of Nichol & Dhariwal in continuous time, with their offset s = 0.

    References
    ----------
    Nichol & Dhariwal 2021, eq. 17; Salimans & Ho 2022, §4.

    Examples
    --------
    >>> import tinydiff as td
    >>> print(f"{td.Cosine().at(1 / 3).alpha:.4f} {td.Cosine().at(1 / 3).sigma:.4f}")
    0.8660 0.5000
    """

    def alpha(self, t: Any) -> Any:
        """α = cos(πt/2)."""
        return np.cos(0.5 * math.pi * t)

    def sigma(self, t: Any) -> Any:
        """σ = sin(πt/2)."""
        return np.sin(0.5 * math.pi * t)


@dataclass(frozen=True)
class Straight(Process):
    """α = 1 − t, σ = t: the straight path from data to noise, the one of flow matching.

    Each pair (x_0, ε) moves at the constant velocity ε − x_0. A network that regresses on it learns E[ε − x_0 | x_t] =
    ε̂ − x̂_0, the drift of this process's probability flow: flow matching and the flow of a diffusion are one family,
    in which a path is a choice of α and σ. Papers on flow matching let time run the other way: their data are at t = 1.

    References
    ----------
    Lipman et al. 2023, §4; Liu et al. 2023.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x0, eps = np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])
    >>> td.Straight().at(0.25).velocity(x0, eps).round(12)
    array([[-1.,  2.]])
    """

    def alpha(self, t: Any) -> Any:
        """α = 1 − t."""
        return 1 - t

    def sigma(self, t: Any) -> Any:
        """σ = t."""
        return 1 * t
