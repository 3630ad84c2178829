"""Forward processes: how data turn into noise.

    x_t = α(t) x_0 + σ(t) ε,    ε ~ N(0, I),    t ∈ [0, 1]: data at 0, noise at 1

One letter, one meaning. `alpha` is the coefficient of the signal; the papers write

    here          DDPM         VDM        Song et al. (VP)      EDM
    alpha         √ᾱ           α          exp(−½∫β)             s (VE: 1)
    sigma         √(1 − ᾱ)     σ          √(1 − exp(−∫β))       s·σ
    alpha**2      ᾱ            α²         exp(−∫β)
    1 − beta      α            α²_{t|s}
    log_snr       ln ᾱ/(1−ᾱ)   −γ                               −2 ln σ

A chain of T steps (`Discrete`) lives on the grid t = n/T, n = 0..T, where index n means n noising steps. Wherever
two times appear the later comes first: s < t. A time is a number or one number for each row, (B,).

Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (score SDE), Kingma et al. 2021 (VDM), Karras et al. 2022 (EDM),
Nichol & Dhariwal 2021 (cosine), Lin et al. 2023 (zero terminal SNR), Lipman et al. 2023 (the straight path).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinydiff.backend import Array, Times, column, is_complex, namespace, normal_like, to_numpy

LOG_SNR_END = 14.0
"""Beyond |log-SNR| = 14 (σ/α = 9e-4 or its inverse) an SDE or ODE has nothing left to do, and its drift explodes."""


def as_time(t: Times) -> Array:
    """t as a floating array, or a ValueError if any of it lies outside [0, 1]."""
    xp = namespace(t)
    t = xp.asarray(t)
    if xp.isdtype(t.dtype, "integral"):
        t = xp.astype(t, xp.float64)
    real = xp.real(t) if is_complex(t) else t
    if not bool(xp.all((real >= -1e-9) & (real <= 1 + 1e-9))):
        raise ValueError(f"t must lie in [0, 1], data at 0 and noise at 1; got {t}. Step n of T is t = n/T.")
    return t


class Process:
    """A Gaussian forward process, given by α(t) and σ(t) alone."""

    t_min: float
    """The earliest time at which a continuous method, or training, evaluates anything."""
    t_max: float
    """The time at which sampling starts."""

    def alpha(self, t: Times) -> Array:
        """α(t), the coefficient of the signal."""
        raise NotImplementedError

    def sigma(self, t: Times) -> Array:
        """σ(t), the standard deviation of the noise."""
        raise NotImplementedError

    def log_snr(self, t: Times) -> Array:
        """λ(t) = ln α²/σ² (nats; +∞ at t = 0). VDM's −γ; twice DPM-Solver's λ."""
        raise NotImplementedError

    def time(self, log_snr: Times) -> Array:
        """The time at which the log-SNR is as given: the inverse of `log_snr`."""
        raise NotImplementedError

    def nearest(self, t: Times) -> Array:
        """The time nearest to t at which the process is defined."""
        return as_time(t)

    def perturb(self, x0: Array, t: Times, eps: Array) -> Array:
        """x_t = α x_0 + σ ε: any number of noising steps in one [DDPM 4].

        Shapes: x0 and eps (B, ...), t scalar or (B,) → (B, ...).
        """
        return column(self.alpha(t), x0) * x0 + column(self.sigma(t), x0) * eps

    def transition(self, t: Times, s: Times) -> tuple[Array, Array]:
        """q(x_t | x_s) = N(a x_s, v I) with a = α_t/α_s and v = σ_t² − a²σ_s², for s < t [VDM, App. A].

        v is computed as σ_t² (1 − SNR_t/SNR_s), which does not cancel when s is near t. Adjacent steps of a chain
        give DDPM's a = √(1 − β_n), v = β_n. Raises ValueError unless s < t.
        """
        s, t = as_time(s), as_time(t)
        if not bool(namespace(t).all(s < t)):
            raise ValueError(f"a transition goes from an earlier to a later time, s < t; got s = {s}, t = {t}.")
        v = -(self.sigma(t) ** 2) * namespace(t).expm1(self.log_snr(t) - self.log_snr(s))
        return self.alpha(t) / self.alpha(s), v

    def posterior_coefficients(self, t: Times, s: Times) -> tuple[Array, Array, Array]:
        """(c_t, c_0, var) of q(x_s | x_t, x_0) = N(c_t x_t + c_0 x_0, var I), for s < t [DDPM 6–7; VDM, App. A]:

            c_t = a σ_s²/σ_t²,    c_0 = α_s v/σ_t²,    var = v σ_s²/σ_t²

        with (a, v) = transition(t, s). On adjacent steps var is DDPM's β̃.
        """
        a, v = self.transition(t, s)
        ratio = self.sigma(s) ** 2 / self.sigma(t) ** 2
        return a * ratio, self.alpha(s) * v / self.sigma(t) ** 2, v * ratio

    def posterior(self, x: Array, x0: Array, t: Times, s: Times) -> tuple[Array, Array]:
        """Mean and variance of q(x_s | x_t = x, x_0), for s < t: x and x0 (B, ...) → mean (B, ...), var like the times."""
        c_t, c_0, var = self.posterior_coefficients(t, s)
        return column(c_t, x) * x + column(c_0, x) * x0, var

    @property
    def prior_std(self) -> float:
        """√(α² + σ²) at t_max: the standard deviation in which data of unit variance arrive (VP: 1)."""
        return math.hypot(self.alpha(self.t_max), self.sigma(self.t_max))

    def prior(self, rng: Any, n: int, like: Array) -> Array:
        """n draws from p(x_T) = N(0, prior_std² I), (n, ...), of the kind and trailing shape of `like` (0, ...)."""
        return self.prior_std * normal_like(rng, like, (n, *like.shape[1:]))

    def prior_log_density(self, x: Array) -> Array:
        """ln N(x; 0, prior_std² I) in nats, (B, ...) → (B,)."""
        xp = namespace(x)
        x = xp.reshape(x, (x.shape[0], -1)) / self.prior_std
        return -0.5 * xp.sum(x * x, axis=1) - x.shape[1] * (0.5 * math.log(2 * math.pi) + math.log(self.prior_std))

    def prior_gap(self, x0: Array) -> Array:
        """KL(q(x_T | x_0) ‖ p(x_T)) in nats for each point, (B, ...) → (B,): the ELBO's L_T [DDPM 5].

        For VP: ½ (ᾱ‖x_0‖² − d ᾱ − d ln(1 − ᾱ)) at T. It is what sampling from the prior gets wrong.
        """
        xp = namespace(x0)
        x0 = xp.reshape(x0, (x0.shape[0], -1))
        shrink = float((self.alpha(self.t_max) / self.prior_std) ** 2)
        return 0.5 * (shrink * xp.sum(x0 * x0, axis=1) - x0.shape[1] * (shrink + math.log1p(-shrink)))

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n times in [t_min, t_max], one in each of n equal strata: uniform, with less variance than n draws."""
        return self.t_min + (self.t_max - self.t_min) * _strata(rng, n)


def _strata(rng: np.random.Generator, n: int) -> np.ndarray:
    return (np.arange(n) + rng.random(n)) / n


class SDE(Process):
    """A process in continuous time, dx = f(t) x dt + g(t) dw, with f = α̇/α and g² = 2σσ̇ − 2fσ²."""

    def f(self, t: Times) -> Array:
        """f(t) of the drift f(t) x."""
        raise NotImplementedError

    def g2(self, t: Times) -> Array:
        """g²(t), the squared diffusion coefficient; −σ² dλ/dt for the log-SNR λ."""
        raise NotImplementedError

    @property
    def t_min(self) -> float:  # type: ignore[override]
        """The time of log-SNR +14, where the noise is 9e-4 of the signal."""
        return float(self.time(LOG_SNR_END))

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """1, or the time of log-SNR −14 where that comes earlier."""
        return min(1.0, float(self.time(-LOG_SNR_END)))


@dataclass(frozen=True)
class VP(SDE):
    """Variance preserving: dx = −½ β(t) x dt + √β(t) dw with β(t) = β_min + t (β_max − β_min) [Song et al. 11, 33].

    α = exp(−½ B), σ² = 1 − exp(−B), B(t) = ∫_0^t β. It is the limit of DDPM's chain with β_n = β(n/T)/T.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _check_betas(self.beta_min, self.beta_max)

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
        return -_log(namespace(t).expm1(self.integral(t)))

    def time(self, log_snr: Times) -> Array:
        """The t with B(t) = ln(1 + exp(−λ))."""
        xp = namespace(log_snr)
        return self._time_of_integral(xp.logaddexp(-xp.asarray(log_snr), xp.asarray(0.0)))

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
        return -self.integral(t) - 2 * _log(self.sigma(t))

    def time(self, log_snr: Times) -> Array:
        """The t with e^λ σ² = 1 − σ, as σ = 1 − e^{−B} and α² = e^{−B}."""
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
        t = as_time(t)
        return namespace(t).ones_like(t)[()]

    def sigma(self, t: Times) -> Array:
        """σ = σ_min √((σ_max/σ_min)^{2t} − 1)."""
        xp = namespace(t)
        return self.sigma_min * xp.sqrt(xp.expm1(self._rate * as_time(t)))

    def log_snr(self, t: Times) -> Array:
        """λ = −2 ln σ."""
        return -2 * _log(self.sigma(t))

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
        return -2 * _log(namespace(t).tan(0.5 * math.pi * as_time(t)))

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
    """α = 1 − t, σ = t: the straight path from data to noise, flow matching's [Lipman et al. 2023]."""

    def alpha(self, t: Times) -> Array:
        """1 − t."""
        return 1 - as_time(t)

    def sigma(self, t: Times) -> Array:
        """t."""
        return as_time(t)[()]

    def log_snr(self, t: Times) -> Array:
        """λ = 2 ln (1 − t)/t."""
        return 2 * (_log(self.alpha(t)) - _log(self.sigma(t)))

    def time(self, log_snr: Times) -> Array:
        """t = 1/(1 + exp(λ/2))."""
        xp = namespace(log_snr)
        return 1 / (1 + xp.exp(0.5 * xp.asarray(log_snr)))

    def f(self, t: Times) -> Array:
        """−1/(1 − t)."""
        return -1 / self.alpha(t)

    def g2(self, t: Times) -> Array:
        """2t/(1 − t)."""
        return 2 * self.sigma(t) / self.alpha(t)


@dataclass(frozen=True, eq=False)
class Discrete(Process):
    """A chain of T noising steps q(x_n | x_{n−1}) = N(√(1 − β_n) x_{n−1}, β_n I), on t = n/T alone [DDPM 2].

    `betas[n − 1]` is β_n. A time off the grid raises a ValueError that names the nearest grid points.
    """

    betas: np.ndarray

    def __post_init__(self) -> None:
        betas = np.asarray(self.betas, dtype=np.float64)
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
        return cls(_rescaled(np.linspace(beta_1, beta_T, T), rescale))

    @classmethod
    def quadratic(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """√β rising linearly [Song et al. 2021, DDIM, App. D]."""
        return cls(_rescaled(np.linspace(beta_1**0.5, beta_T**0.5, T) ** 2, rescale))

    @classmethod
    def sigmoid(cls, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, rescale: bool = True) -> Discrete:
        """β rising like the logistic function on [−6, 6]."""
        rise = 0.5 * (1 + np.tanh(np.linspace(-3, 3, T)))
        return cls(_rescaled(beta_1 + (beta_T - beta_1) * rise, rescale))

    @classmethod
    def cosine(cls, T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Discrete:
        """β_n = min(1 − f(n)/f(n−1), β_max) with f(n) = cos²(½π (n/T + s)/(1 + s)) [Nichol & Dhariwal 2021]."""
        f = np.cos(0.5 * np.pi * (np.arange(T + 1) / T + s) / (1 + s)) ** 2
        return cls(np.minimum(1 - f[1:] / f[:-1], beta_max))

    def zero_terminal_snr(self) -> Discrete:
        """√ᾱ shifted and scaled so that √ᾱ_T = 0 and √ᾱ_1 stays [Lin et al. 2023, Alg. 1].

        At t = 1 nothing is left of x_0, so use a model that predicts x0 or v.
        """
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
        off = np.abs(steps - n) > 1e-6
        if np.any(off):
            low = int(np.floor(steps[off].flat[0]))
            raise ValueError(
                f"t = {steps[off].flat[0] / self.T:.6g} is not on the grid n/{self.T}; "
                f"the nearest are {low}/{self.T} = {low / self.T:.6g} and {low + 1}/{self.T} = {(low + 1) / self.T:.6g}."
            )
        return n.astype(np.int64)

    def alpha(self, t: Times) -> Array:
        """√ᾱ_n, ᾱ_n = ∏_{m ≤ n} (1 − β_m)."""
        return np.exp(0.5 * self._log_alpha_bar[self.index(t)])

    def sigma(self, t: Times) -> Array:
        """√(1 − ᾱ_n), computed as −expm1(ln ᾱ_n): 1 − cumprod loses half the digits at small β."""
        return np.sqrt(-np.expm1(self._log_alpha_bar[self.index(t)]))

    def log_snr(self, t: Times) -> Array:
        """λ = ln ᾱ_n/(1 − ᾱ_n)."""
        log_alpha_bar = self._log_alpha_bar[self.index(t)]
        return log_alpha_bar - _log(-np.expm1(log_alpha_bar))

    def time(self, log_snr: Times) -> Array:
        """The grid time, from 1/T on, whose log-SNR is nearest."""
        n = np.arange(1, self.T + 1)
        grid = self.log_snr(n / self.T)
        return n[np.argmin(np.abs(np.asarray(log_snr)[..., None] - grid), axis=-1)] / self.T

    def nearest(self, t: Times) -> Array:
        """The grid time nearest to t."""
        return np.rint(as_time(t) * self.T) / self.T

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n grid times from 1/T to 1, one from each of n equal strata."""
        return (np.floor(self.T * _strata(rng, n)) + 1) / self.T


def _rescaled(betas: np.ndarray, rescale: bool) -> np.ndarray:
    if rescale:
        betas = betas * (1000 / len(betas))
    if betas.max() >= 1:
        raise ValueError(f"T = {len(betas)} is too short for this schedule: its largest β would be {betas.max():.3g}.")
    return betas


def _check_betas(low: float, high: float) -> None:
    if not 0 < low <= high < math.inf:
        raise ValueError(f"need 0 < beta_min <= beta_max; got {low} and {high}.")


def _log(x: Array) -> Array:
    """ln x with ln 0 = −∞ in silence: the log-SNR is infinite where there is no noise."""
    with np.errstate(divide="ignore"):
        return namespace(x).log(x)
