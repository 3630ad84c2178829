"""Processes in continuous time, each by its α, σ, f and g²."""

import math
from dataclasses import dataclass

from tinydiff.backend import Array, Times, namespace
from tinydiff.processes.base import SDE, as_time, log


@dataclass(frozen=True)
class VP(SDE):
    """Variance preserving: dx = −½ β(t) x dt + √β(t) dw with β(t) = β_min + t (β_max − β_min) [Song et al. 11, 33].

    α = exp(−½ B), σ² = 1 − exp(−B), B(t) = ∫_0^t β. It is the limit of DDPM's chain with β_n = β(n/T)/T.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ValueError(f"need 0 < beta_min <= beta_max; got {self.beta_min} and {self.beta_max}.")

    def beta(self, t: Times) -> Array:
        """β(t), the rate of noising."""
        return self.beta_min + (self.beta_max - self.beta_min) * as_time(t)

    def integral(self, t: Times) -> Array:
        """B(t) = ∫_0^t β(r) dr = β_min t + ½ (β_max − β_min) t²."""
        t = as_time(t)
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def alpha(self, t: Times) -> Array:
        """α = exp(−½ B)."""
        return namespace(t).exp(-0.5 * self.integral(t))

    def sigma(self, t: Times) -> Array:
        """σ = √(1 − exp(−B))."""
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(-self.integral(t)))

    def log_snr(self, t: Times) -> Array:
        """λ = −ln(exp(B) − 1)."""
        return -log(namespace(t).expm1(self.integral(t)))

    def time(self, log_snr: Times) -> Array:
        """The t with B(t) = ln(1 + exp(−λ))."""
        xp = namespace(log_snr)
        lam = xp.asarray(log_snr)
        return self._time_of_integral(xp.logaddexp(-lam, xp.zeros_like(lam)))

    def _time_of_integral(self, b: Array) -> Array:
        """The root of B(t) = b, written so that it does not cancel for small b."""
        return 2 * b / (self.beta_min + namespace(b).sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * b))

    def f(self, t: Times) -> Array:
        """−½ β(t)."""
        return -0.5 * self.beta(t)

    def g2(self, t: Times) -> Array:
        """β(t)."""
        return self.beta(t)


@dataclass(frozen=True)
class SubVP(VP):
    """VP with less noise on the way: α = exp(−½ B), σ = 1 − exp(−B) [Song et al. 29]."""

    def sigma(self, t: Times) -> Array:
        """σ = 1 − exp(−B)."""
        return -namespace(t).expm1(-self.integral(t))

    def log_snr(self, t: Times) -> Array:
        """λ = −B − 2 ln(1 − exp(−B))."""
        return -self.integral(t) - 2 * log(self.sigma(t))

    def time(self, log_snr: Times) -> Array:
        """With α² = e^{−B} = 1 − σ, e^λ σ² = 1 − σ: σ = 2/(1 + √(1 + 4e^λ)), and B = −ln(1 − σ)."""
        xp = namespace(log_snr)
        sigma = 2 / (1 + xp.sqrt(1 + 4 * xp.exp(xp.asarray(log_snr))))
        return self._time_of_integral(-xp.log1p(-sigma))

    def g2(self, t: Times) -> Array:
        """β(t) (1 − exp(−2B))."""
        return -self.beta(t) * namespace(t).expm1(-2 * self.integral(t))


@dataclass(frozen=True)
class VE(SDE):
    """Variance exploding: α = 1, σ² = σ_min² ((σ_max/σ_min)^{2t} − 1), so that σ(0) = 0 [Song et al. 9, 30]."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(f"need 0 < sigma_min < sigma_max; got {self.sigma_min} and {self.sigma_max}.")

    @property
    def _rate(self) -> float:
        return 2 * math.log(self.sigma_max / self.sigma_min)

    def alpha(self, t: Times) -> Array:
        """1."""
        return 1 + 0 * as_time(t)

    def sigma(self, t: Times) -> Array:
        """σ = σ_min √((σ_max/σ_min)^{2t} − 1)."""
        xp = namespace(t)
        return self.sigma_min * xp.sqrt(xp.expm1(self._rate * as_time(t)))

    def log_snr(self, t: Times) -> Array:
        """λ = −2 ln σ."""
        return -2 * log(self.sigma(t))

    def time(self, log_snr: Times) -> Array:
        """The t with σ(t)² = exp(−λ)."""
        xp = namespace(log_snr)
        return xp.log1p(xp.exp(-xp.asarray(log_snr)) / self.sigma_min**2) / self._rate

    def f(self, t: Times) -> Array:
        """0."""
        return 0.0 * as_time(t)

    def g2(self, t: Times) -> Array:
        """dσ²/dt = 2 ln(σ_max/σ_min) σ_min² (σ_max/σ_min)^{2t}."""
        return self._rate * self.sigma_min**2 * namespace(t).exp(self._rate * as_time(t))


@dataclass(frozen=True)
class Cosine(SDE):
    """α = cos(πt/2), σ = sin(πt/2): the signal turns into noise at a constant angle [Nichol & Dhariwal 2021, s = 0]."""

    def alpha(self, t: Times) -> Array:
        """cos(πt/2)."""
        return namespace(t).cos(0.5 * math.pi * as_time(t))

    def sigma(self, t: Times) -> Array:
        """sin(πt/2)."""
        return namespace(t).sin(0.5 * math.pi * as_time(t))

    def log_snr(self, t: Times) -> Array:
        """λ = −2 ln tan(πt/2)."""
        return -2 * log(namespace(t).tan(0.5 * math.pi * as_time(t)))

    def time(self, log_snr: Times) -> Array:
        """t = (2/π) arctan exp(−λ/2)."""
        xp = namespace(log_snr)
        return 2 / math.pi * xp.atan(xp.exp(-0.5 * xp.asarray(log_snr)))

    def f(self, t: Times) -> Array:
        """−(π/2) tan(πt/2)."""
        return -0.5 * math.pi * namespace(t).tan(0.5 * math.pi * as_time(t))

    def g2(self, t: Times) -> Array:
        """π tan(πt/2)."""
        return -2 * self.f(t)


@dataclass(frozen=True)
class Straight(SDE):
    """α = 1 − t, σ = t: the straight path from data to noise, flow matching's [Lipman et al. 2023].

    Each pair (x_0, ε) moves at the constant velocity ε − x_0. A network that regresses on it learns
    E[ε − x_0 | x_t] = ε̂ − x̂_0, the drift of this process's probability flow: flow matching and the flow of a diffusion
    are one family, in which a path is a choice of α and σ.
    """

    def alpha(self, t: Times) -> Array:
        """1 − t."""
        return 1 - as_time(t)

    def sigma(self, t: Times) -> Array:
        """t."""
        return 1 * as_time(t)

    def log_snr(self, t: Times) -> Array:
        """λ = 2 ln (1 − t)/t."""
        return 2 * (log(self.alpha(t)) - log(self.sigma(t)))

    def time(self, log_snr: Times) -> Array:
        """t = 1/(1 + exp(λ/2))."""
        xp = namespace(log_snr)
        return 1 / (1 + xp.exp(0.5 * xp.asarray(log_snr)))

    def velocity(self, x0: Array, eps: Array, t: Times) -> Array:
        """ε − x_0, at every t."""
        return eps - x0

    def f(self, t: Times) -> Array:
        """−1/(1 − t)."""
        return -1 / self.alpha(t)

    def g2(self, t: Times) -> Array:
        """2t/(1 − t)."""
        return 2 * self.sigma(t) / self.alpha(t)
