"""A process is two functions of time; a level is a process at one time; all other coefficients follow from these.

α and σ are evaluated on the host alone, in float64, so they are written in plain NumPy and serve every array library.
Rates come from them by the complex step, Im α(t + ih)/h, which has no difference that could cancel. The kind of an
array is its library, dtype and device.

Shapes: B rows; x, x0, eps (B, ...); a vector of times (B,), one for each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, namespace, normal_like, scaling_rows, squared_norm

LOG_SNR_END = 14.0
"""At |log-SNR| = 14 σ/α is 9e-4, or its inverse: beyond it an SDE or ODE has next to nothing left to do."""


class Process:
    """A Gaussian forward process, x_t = α(t) x_0 + σ(t) ε with ε ~ N(0, I), for t from 0 (data) to 1 (noise).

    A process of one's own is a subclass with two methods, `alpha` and `sigma`, written in NumPy functions of a time
    that is a number or an array. Everything else follows from these, for every sampler, bound, likelihood and network.

    Raises
    ------
    ValueError
        Where α or σ is negative or not finite at a time that is asked for, and where their derivatives cannot be taken
        by a complex step, as through ``np.abs``, which drops the imaginary part.

    References
    ----------
    Song et al. 2021 (score SDE), §3; Kingma et al. 2021 (VDM), §3.1, and eq. 36 for f and g².

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> class Mine(td.Process):
    ...     def alpha(self, t): return np.exp(-5 * t**2)
    ...     def sigma(self, t): return np.sqrt(-np.expm1(-10 * t**2))
    >>> now = Mine().at(0.5)
    >>> print(f"{now.alpha:.4f} {now.sigma:.4f} {now.log_snr:.4f} {now.g2:.4f}")
    0.2865 0.9581 -2.4143 10.0000
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def alpha(self, t: Any) -> Any:
        """α(t), the coefficient of the signal."""
        raise NotImplementedError

    def sigma(self, t: Any) -> Any:
        """σ(t), the standard deviation of the noise."""
        raise NotImplementedError

    def at(self, t: Any, like: Array | None = None) -> Level:
        """The level at t: a number, one number for each row, or a level, which stays as it is.

        Parameters
        ----------
        t : float, (B,) or Level
            Times in [0, 1].
        like : array (B, ...), optional
            With it a vector of times gives columns that scale the rows of `like`, of its library, dtype and device.

        Returns
        -------
        Level
            Its coefficients are Python floats for one time, float64 arrays (B,) for many, or columns.

        Raises
        ------
        ValueError
            For times outside [0, 1] or NaN, another number of times than rows, and a level of another process.
        """
        if isinstance(t, Level):
            return t._of(self, like)
        return Level(self, *checks.coefficients(self, t))._of(self, like)

    # What follows from α and σ, on the host: NumPy in, NumPy out

    def log_snr(self, t: Any) -> Any:
        """λ(t) = ln(α²/σ²) in nats, +∞ where σ = 0: VDM's −γ, and twice DPM-Solver's λ."""
        return _log_ratio(self.alpha(t), self.sigma(t))

    def f(self, t: Any) -> Any:
        """f = α̇/α, the rate of the drift f x of dx = f x dt + g dw; ValueError where α < 1e-8 [VDM 36]."""
        assert self._sees_complex_steps
        checks.check_rates(self, t)
        return derivative(self.alpha, t) / self.alpha(t)

    def g2(self, t: Any) -> Any:
        """g² = d(σ²)/dt − 2 f σ², the squared diffusion of dx = f x dt + g dw; ValueError where α < 1e-8 [VDM 36]."""
        f, sigma = self.f(t), self.sigma(t)
        return derivative(lambda t: self.sigma(t) ** 2, t) - 2 * f * sigma**2

    @cached_property
    def _sees_complex_steps(self) -> bool:
        """True, or a ValueError that names the function whose complex step is not its derivative."""
        return checks.check_complex_steps(self, derivative)

    def time(self, log_snr: Any) -> Any:
        """The time at which the log-SNR is as given: the inverse of `log_snr`.

        It is clamped to times over 0 at which α ≥ 1e-8. A table in u = ln(t/(1 − t)), in which λ is nearly a straight
        line, gives an interval, within which two steps of Newton's method follow. ValueError where the log-SNR does not
        fall.
        """
        u, lam = self._table
        wanted = np.clip(np.asarray(log_snr, dtype=np.float64), lam[-1], lam[0])
        after = np.clip(np.searchsorted(-lam, -wanted), 1, len(u) - 1)
        low, high = u[after - 1], u[after]
        at = low + (high - low) * (wanted - lam[after - 1]) / (lam[after] - lam[after - 1])
        for _ in range(2):
            t = _sigmoid(at)
            slope = -self.g2(t) / np.square(self.sigma(t)) * t * _sigmoid(-at)  # dλ/du, with dλ/dt = −g²/σ²
            at = np.clip(at - (self.log_snr(t) - wanted) / slope, low, high)
        return _sigmoid(at)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Values of u = ln(t/(1 − t)) and the log-SNR at each; ValueError where it does not fall."""
        u = np.linspace(-37, 30, 671)
        t, alpha, sigma = checks.coefficients(self, _sigmoid(u))
        kept = (alpha >= checks.NO_SIGNAL) & (sigma > 0)
        u, lam = u[kept], self.log_snr(t[kept])
        falls = np.diff(lam, prepend=np.inf) < 0  # entries that are equal by rounding are left out
        if np.sum(falls) < 2 or np.any(np.diff(lam) > 1e-9):
            raise ValueError(f"the log-SNR of {self} must fall from t = 0 to 1: alpha falls, or sigma rises.")
        return u[falls], lam[falls]

    # Where it begins and ends

    @cached_property
    def t_min(self) -> float:
        """The time of log-SNR +14, where the noise is 9e-4 of the signal: the last time of a grid."""
        return float(self.time(LOG_SNR_END))

    @cached_property
    def t_max(self) -> float:
        """1, or the time of log-SNR −14 where that comes earlier: the time at which sampling starts."""
        return 1.0 if self.log_snr(1.0) >= -LOG_SNR_END else float(self.time(-LOG_SNR_END))

    def nearest(self, t: Any) -> Any:
        """The time nearest to t at which the process is defined."""
        return t

    def sample_times(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n ascending times in [t_min, t_max], one in each of n equal strata: uniform, less varied than n draws."""
        return self.t_min + (self.t_max - self.t_min) * strata(rng, n)

    @property
    def prior_std(self) -> float:
        """√(α² + σ²) at t_max: the standard deviation of x at t_max where the data have unit variance (VP: 1)."""
        end = self.at(self.t_max)
        return math.hypot(end.alpha, end.sigma)

    def prior(self, rng: Any, n: int, like: Array) -> Array:
        """n draws from the prior N(0, prior_std² I), (n, ...), of the kind and trailing shape of `like` (0, ...)."""
        return self.prior_std * normal_like(checks.as_generator(rng), like, (n, *like.shape[1:]))

    def prior_log_density(self, x: Array) -> Array:
        """ln N(x; 0, prior_std² I) in nats, (B, ...) → (B,)."""
        x = _flat(x) / self.prior_std
        return -0.5 * squared_norm(x) - x.shape[1] * (0.5 * math.log(2 * math.pi) + math.log(self.prior_std))

    def prior_gap(self, x0: Array) -> Array:
        """KL(q(x_t | x_0) ‖ prior) at t_max in nats for each point, (B, ...) → (B,): the ELBO's L_T [DDPM 5].

        With D coordinates, for VP, it is ½ (α²‖x_0‖² − D α² − D ln σ²). Its mean over data bounds the KL of x_t's law
        from the prior.
        """
        x0, end = _flat(x0), self.at(self.t_max)
        shrink = (end.alpha / self.prior_std) ** 2
        return 0.5 * (shrink * squared_norm(x0) - x0.shape[1] * (shrink + math.log1p(-shrink)))


@dataclass(frozen=True, eq=False)
class Level:
    """A process at one time, or at one time for each row: the numbers that formulas are written in.

    Parameters
    ----------
    process : Process
        The process whose level it is.
    t : float or (B,)
        The time, on the host.
    alpha, sigma : float, (B,) or (B, 1, ...)
        α(t) and σ(t): numbers, or columns of the kind of `like`.
    like : array (B, ...), optional
        The array whose rows the columns scale.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> now = td.Cosine().at(0.5)
    >>> print(f"{now.alpha:.4f} {now.sigma:.4f} {now.snr:.4f}")
    0.7071 0.7071 1.0000
    >>> td.Cosine().at([0.2, 0.8], like=np.zeros((2, 3))).alpha.shape
    (2, 1)
    """

    process: Process
    t: Any
    alpha: Any
    sigma: Any
    like: Array | None = None

    def __repr__(self) -> str:
        return f"Level({self.process}, t={self.t})"

    @property
    def log_snr(self) -> Any:
        """λ = ln(α²/σ²) in nats; +∞ where σ = 0, as at t = 0."""
        now = self.host
        return self.shaped(_log_ratio(now.alpha, now.sigma))

    @property
    def snr(self) -> Any:
        """α²/σ², the signal-to-noise ratio; ∞ where σ = 0, as at t = 0."""
        return self.shaped(np.exp(self.host.log_snr))

    @property
    def f(self) -> Any:
        """f of dx = f x dt + g dw; ValueError on a chain, and where α < 1e-8."""
        return self.shaped(self.process.f(self.t))

    @property
    def g2(self) -> Any:
        """g² of dx = f x dt + g dw; ValueError on a chain, and where α < 1e-8."""
        return self.shaped(self.process.g2(self.t))

    def perturb(self, x0: Array, eps: Array) -> Array:
        """x_t = α x_0 + σ ε: any number of noising steps in one [DDPM 4]; x0 and eps (B, ...) → (B, ...)."""
        now = self._of(self.process, x0)
        return now.alpha * x0 + now.sigma * eps

    def velocity(self, x0: Array, eps: Array) -> Array:
        """d/dt (α x_0 + σ ε) = α̇ x_0 + σ̇ ε, (B, ...): the target of flow matching [Lipman et al. 2023].

        On `Straight` it is ε − x_0 at every t.
        """
        now, process = self._of(self.process, x0), self.process
        assert process._sees_complex_steps
        alpha_dot, sigma_dot = (now.shaped(derivative(c, self.t)) for c in (process.alpha, process.sigma))
        return alpha_dot * x0 + sigma_dot * eps

    def for_each(self, x: Array) -> Level:
        """The level in columns, a number for each row of x (B, ...), as training needs it, also at one time for all."""
        now = self if np.ndim(self.t) else self.process.at(np.broadcast_to(self.t, x.shape[:1]))
        return now._of(self.process, x)

    def __getitem__(self, rows: Any) -> Level:
        """The level of some rows; a level at one time is that of any rows."""
        if not np.ndim(self.t):
            return self
        like = None if self.like is None else self.like[rows, ...]
        return Level(self.process, self.t[rows], self.alpha[rows, ...], self.sigma[rows, ...], like)

    @property
    def host(self) -> Level:
        """The same level in numbers of the host, a float or float64 (B,), whatever the columns' library and dtype."""
        return self if self.like is None else self._host

    @cached_property
    def _host(self) -> Level:
        return self.process.at(self.t)

    def shaped(self, c: Any) -> Any:
        """The coefficient c, computed in float64, as a number, a vector (B,) or columns, as α and σ are here."""
        if not getattr(self.t, "ndim", 0):
            return np.asarray(c).item() + 0.0  # NumPy's own scalars would turn float32 arrays into float64
        c = np.broadcast_to(c, self.t.shape)
        return c if self.like is None else scaling_rows(c, self.like)

    def _of(self, process: Process, like: Array | None = None) -> Level:
        """The same level, as columns where `like` is given; ValueError if it is of another process or of other rows."""
        if self.process is not process and not same_process(self.process, process):
            raise ValueError(f"the level is one of {self.process}, and the model or formula has {process}.")
        if like is not None:
            checks.check_array("x", like)
        if like is self.like or like is None or not np.ndim(self.t):
            return self
        if like.shape[0] != len(self.t):
            raise ValueError(f"t must be a number, or one for each of {like.shape[0]} rows; got {len(self.t)} times.")
        host = self.host
        return Level(self.process, self.t, scaling_rows(host.alpha, like), scaling_rows(host.sigma, like), like)


def transition(now: Level, then: Level) -> tuple[Any, Any]:
    """The coefficients (a, var) of q(x_t | x_s) = N(a x_s, var I), for s < t.

    Here t is the time of `now` and s that of `then`; a = α_t/α_s, and the variance is σ_t² − a²σ_s² = σ_t² (1 −
    SNR_t/SNR_s). On adjacent steps of a chain they are DDPM's a = √(1 − β_n) and var = β_n.

    Parameters
    ----------
    now, then : Level
        The levels at t and at s < t: the later time first.

    Returns
    -------
    a, var : float, (B,) or (B, 1, ...)
        As the levels have their coefficients.

    Raises
    ------
    ValueError
        For levels of two processes, or in the wrong order.

    References
    ----------
    Kingma et al. 2021 (VDM), App. A; Ho et al. 2020 (DDPM), eq. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> chain = td.Discrete([0.1, 0.2, 0.3])
    >>> a, var = td.transition(chain.at(2 / 3), chain.at(1 / 3))
    >>> print(f"{a**2:.3f} {var:.3f}")
    0.800 0.200
    """
    drop = _drop(now, then)
    return now.alpha / then.alpha, now.sigma**2 * drop


def posterior(now: Level, then: Level) -> tuple[Any, Any, Any]:
    """The coefficients (c_t, c_0, var) of q(x_s | x_t, x_0) = N(c_t x_t + c_0 x_0, var I), for s < t.

    With (a, var_ts) = transition(now, then) they are c_t = a σ_s²/σ_t², c_0 = α_s var_ts/σ_t² and
    var = σ_s² var_ts/σ_t². On adjacent steps of a chain var is DDPM's β̃; a step to s = 0 has var = 0 and c_0 = 1.

    Parameters
    ----------
    now, then : Level
        The levels at t and at s < t: the later time first.

    Returns
    -------
    c_t, c_0, var : float, (B,) or (B, 1, ...)
        As the levels have their coefficients.

    Raises
    ------
    ValueError
        For levels of two processes, or in the wrong order.

    References
    ----------
    Ho et al. 2020 (DDPM), eqs. 6–7; Kingma et al. 2021 (VDM), App. A.

    Examples
    --------
    >>> import tinydiff as td
    >>> now, then = td.VP().at(0.5), td.VP().at(0.4)
    >>> c_t, c_0, var = td.posterior(now, then)
    >>> print(f"{c_t * now.alpha + c_0:.6f} {then.alpha:.6f}")
    0.442197 0.442197
    """
    drop, a = _drop(now, then), now.alpha / then.alpha
    return a * then.sigma**2 / now.sigma**2, then.alpha * drop, then.sigma**2 * drop


def _drop(now: Level, then: Level) -> Any:
    """var_ts/σ_t² = 1 − SNR_t/SNR_s, from 0 to 1: how much of the SNR is lost between s and t."""
    check_order(now, then)
    t, s = now.host, then.host
    ratio = (t.alpha / s.alpha) * (s.sigma / t.sigma)
    return now.shaped((1 - ratio) * (1 + ratio))


def same_process(p: Process, q: Process) -> bool:
    """Whether two processes have the same α and σ, compared as numbers at nine times from end to end.

    Parameters
    ----------
    p, q : Process
        The two to compare.

    Returns
    -------
    bool
        True for two that were made alike, pickled or copied, and for two classes that compute the same; two that
        differ only between the nine times count as the same.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.same_process(td.Discrete.linear(100), td.Discrete.linear(100)), td.same_process(td.VP(), td.Cosine())
    (True, False)
    """
    if p is q or checks.equal(p, q):
        return True
    if not np.allclose([p.t_min, p.t_max], [q.t_min, q.t_max], rtol=1e-9, atol=0):
        return False
    ts = np.unique(p.nearest(np.linspace(p.t_min, p.t_max, 9)))
    pairs = (p.alpha, q.alpha), (p.sigma, q.sigma)
    try:
        return all(np.allclose(f(ts), g(ts), rtol=1e-12, atol=1e-15) for f, g in pairs)
    except ValueError:  # one of them is a chain, which has no value between its steps
        return False


def check_order(now: Level, then: Level) -> None:
    """Raise a ValueError unless they are levels of one process, with `then` nearer to the data."""
    now._of(then.process)
    checks.check_earlier(now.t, then.t)


def derivative(c: Callable[[Any], Any], t: Any) -> Any:
    """dc/dt by a complex step, exact to rounding."""
    return np.imag(c(t + 1e-30j)) / 1e-30


def strata(rng: np.random.Generator, n: int) -> np.ndarray:
    """n numbers in [0, 1), the i-th uniform in the i-th of n equal intervals."""
    return (np.arange(n) + rng.random(n)) / n


def _log_ratio(alpha: Any, sigma: Any) -> Any:
    """2 ln α/σ, with ln 0 = −∞ and 1/0 = ∞ in silence."""
    with np.errstate(divide="ignore"):
        return 2 * np.log(np.divide(alpha, sigma + 0.0))  # −0, a root of −0, becomes 0


def _sigmoid(u: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-u))


def _flat(x: Array) -> Array:
    checks.check_array("points", x)
    return namespace(x).reshape(x, (x.shape[0], math.prod(x.shape[1:])))
