"""What every forward process can do, once it gives α(t) and σ(t)."""

import math
from typing import Any

import numpy as np

from tinydiff.backend import Array, Times, column, is_complex, namespace, normal_like, real_part, to_numpy

LOG_SNR_END = 14.0
"""Beyond |log-SNR| = 14 (σ/α = 9e-4 or its inverse) an SDE or ODE has nothing left to do, and its drift explodes."""


def as_time(t: Times) -> Array:
    """t as a floating array, or a ValueError if any of it lies outside [0, 1]."""
    xp = namespace(t)
    t = xp.asarray(t)
    if xp.isdtype(t.dtype, "integral"):
        t = xp.astype(t, xp.float64)
    real = real_part(t)
    within = lambda slack: bool(xp.all((real >= -slack) & (real <= 1 + slack)))  # noqa: E731
    if within(0.0):
        return t
    if not within(1e-9):
        raise ValueError(f"t must lie in [0, 1], data at 0 and noise at 1; got {t}. Step n of T is t = n/T.")
    return t if is_complex(t) else xp.clip(t, 0.0, 1.0)


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

        Adjacent steps of a chain give DDPM's a = √(1 − β_n), v = β_n. Raises ValueError unless s < t.
        """
        if not np.all(to_numpy(as_time(s)) < to_numpy(as_time(t))):
            raise ValueError(f"a transition goes from an earlier to a later time, s < t; got s = {s}, t = {t}.")
        a = self.alpha(t) / self.alpha(s)
        return a, self.sigma(t) ** 2 - a**2 * self.sigma(s) ** 2

    def posterior_coefficients(self, t: Times, s: Times) -> tuple[Array, Array, Array]:
        """(c_t, c_0, var) of q(x_s | x_t, x_0) = N(c_t x_t + c_0 x_0, var I), for s < t [DDPM 6–7; VDM, App. A]:

            c_t = a σ_s²/σ_t²,    c_0 = α_s v/σ_t²,    var = v σ_s²/σ_t²

        with (a, v) = transition(t, s). On adjacent steps var is DDPM's β̃.
        """
        a, v = self.transition(t, s)
        ratio = self.sigma(s) ** 2 / self.sigma(t) ** 2
        return a * ratio, self.alpha(s) * v / self.sigma(t) ** 2, v * ratio

    def posterior(self, x: Array, x0: Array, t: Times, s: Times) -> tuple[Array, Array]:
        """Mean (B, ...) and variance, like the times, of q(x_s | x_t = x, x_0), for s < t; x and x0 (B, ...)."""
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

        For VP: ½ (ᾱ‖x_0‖² − d ᾱ − d ln(1 − ᾱ)) at T. Its mean bounds KL(q_T ‖ p_T), what sampling from p_T gets wrong.
        """
        xp = namespace(x0)
        x0 = xp.reshape(x0, (x0.shape[0], -1))
        shrink = float((self.alpha(self.t_max) / self.prior_std) ** 2)
        return 0.5 * (shrink * xp.sum(x0 * x0, axis=1) - x0.shape[1] * (shrink + math.log1p(-shrink)))

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n times in [t_min, t_max], one in each of n equal strata: uniform, with less variance than n draws."""
        return self.t_min + (self.t_max - self.t_min) * strata(rng, n)


def strata(rng: np.random.Generator, n: int) -> np.ndarray:
    """n numbers in [0, 1), the i-th uniform in the i-th of n equal intervals."""
    return (np.arange(n) + rng.random(n)) / n


class SDE(Process):
    """A process in continuous time, dx = f(t) x dt + g(t) dw, with f = α̇/α and g² = 2σσ̇ − 2fσ²."""

    def f(self, t: Times) -> Array:
        """The rate f of the drift f x."""
        raise NotImplementedError

    def g2(self, t: Times) -> Array:
        """g²(t), the squared diffusion coefficient; −σ² dλ/dt for the log-SNR λ."""
        raise NotImplementedError

    def velocity(self, x0: Array, eps: Array, t: Times) -> Array:
        """d/dt (α x_0 + σ ε) = α̇ x_0 + σ̇ ε, (B, ...): flow matching's target, whose mean given x_t is the flow's drift.

        α̇ = f α and σ̇ = f σ + g²/2σ, for any path [Lipman et al. 2023; Albergo & Vanden-Eijnden 2023].
        """
        f, sigma = self.f(t), self.sigma(t)
        return column(f * self.alpha(t), x0) * x0 + column(f * sigma + self.g2(t) / (2 * sigma), eps) * eps

    @property
    def t_min(self) -> float:  # type: ignore[override]
        """The time of log-SNR +14, where the noise is 9e-4 of the signal."""
        return float(self.time(LOG_SNR_END))

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """1, or the time of log-SNR −14 where that comes earlier."""
        return min(1.0, float(self.time(-LOG_SNR_END)))


def log(x: Array) -> Array:
    """ln x with ln 0 = −∞ in silence: the log-SNR is infinite where there is no noise."""
    with np.errstate(divide="ignore"):
        return namespace(x).log(x)
