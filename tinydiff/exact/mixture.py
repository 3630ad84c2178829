"""Gaussian mixtures, the distributions on which everything about diffusion is known exactly.

Diffusing a mixture gives a mixture; x_0 given x_t is a mixture; the reverse kernel x_s given x_t is a mixture. One
shape convention carries all three: each parameter has a batch axis, of 1 where all points share the mixture and of B
where each row of x has its own.

    K components, B points, D coordinates
    log_weights (K, 1|B);  centres (K, 1|B, D);  variances (K, 1|B, D) along the columns of axes (K, D, D)

so that C_k = U_k diag(variances_k) U_kᵀ. Diffusion, α²C + σ²I, never turns the axes: each C is decomposed once.
Everything is complex-safe (no abs, no conj, maxima of the real part), so that complex steps can check derivatives.
"""

import copy
import math
from typing import Any, Self

import numpy as np

from tinydiff.backend import (
    Array,
    Times,
    cast,
    check_points,
    column,
    in_chunks,
    is_complex,
    namespace,
    real_part,
    to_numpy,
)
from tinydiff.processes import Process

LOG_2PI = math.log(2 * math.pi)


class GaussianMixture:
    """q(x) = Σ_k w_k N(x; m_k, C_k).

    weights (K,), positive with sum 1; means (K, D); covariances (K, D, D), symmetric and positive semidefinite (all
    zero is a finite data set); labels (K,), the class of each component. ValueError for anything else.
    """

    def __init__(self, weights: Array, means: Array, covariances: Array, labels: Array | None = None) -> None:
        w, m, c = (np.asarray(to_numpy(a), dtype=np.float64) for a in (weights, means, covariances))
        if m.ndim != 2 or m.size == 0 or w.shape != m.shape[:1] or c.shape != (*m.shape, m.shape[1]):
            raise ValueError(
                "a mixture takes weights (K,), means (K, D) and covariances (K, D, D); "
                f"got shapes {w.shape}, {m.shape} and {c.shape}."
            )
        if not (np.all(w > 0) and abs(w.sum() - 1) < 1e-9):
            raise ValueError(
                f"weights must be positive with sum 1; got the sum {w.sum():.9g}, the least {w.min():.3g}."
            )
        if not (np.all(np.isfinite(m)) and np.all(np.isfinite(c))):
            raise ValueError("means and covariances must be finite.")
        if not np.allclose(c, c.swapaxes(1, 2), rtol=1e-9, atol=1e-12):
            raise ValueError("each covariance must be symmetric.")
        variances, self.axes = np.linalg.eigh(c)
        if variances.min() < -1e-9 * max(1.0, variances.max()):
            raise ValueError(
                f"each covariance must be positive semidefinite; got the eigenvalue {variances.min():.3g}."
            )
        self.labels = None if labels is None else to_numpy(labels)
        if self.labels is not None and (
            self.labels.shape != w.shape or self.labels.dtype.kind not in "iu" or self.labels.min() < 0
        ):
            raise ValueError(f"labels must be one class, 0, 1, …, for each of {len(w)} components; got {labels}.")
        self.log_weights = np.log(w)[:, None]  # (K, 1)
        self.centres = m[:, None, :]  # (K, 1, D)
        self.variances = np.maximum(variances, 0.0)[:, None, :]  # (K, 1, D)

    def __repr__(self) -> str:
        k, rows, d = self.centres.shape
        return f"GaussianMixture({k} components, {d} dimensions{f', one mixture for each of {rows} rows' * (rows > 1)})"

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.centres.shape[2]

    @property
    def like(self) -> Array:
        """An empty array (0, D) in the mixture's namespace and dtype."""
        return self.centres[:0, 0, :]

    @property
    def weights(self) -> Array:
        """(K,), or (K, 1|B) where a row has its own mixture."""
        return namespace(self.log_weights).exp(self.log_weights)[:, *self._shared]

    @property
    def means(self) -> Array:
        """(K, D), or (K, 1|B, D) where a row has its own mixture."""
        return self.centres[:, *self._shared]

    @property
    def covariances(self) -> Array:
        """C_k = U_k diag(λ_k) U_kᵀ, (K, D, D), or (K, 1|B, D, D)."""
        xp = namespace(self.axes)
        axes = self.axes[:, None, :, :]
        return ((axes * self.variances[:, :, None, :]) @ xp.matrix_transpose(axes))[:, *self._shared]

    @property
    def _shared(self) -> tuple[Any, ...]:
        return (0 if self.centres.shape[1] == self.log_weights.shape[1] == 1 else slice(None), ...)

    # Other mixtures made from this one

    def _with(self, **parameters: Array) -> Self:
        other = copy.copy(self)
        other.__dict__.update(parameters)
        return other

    def cast(self, x: Array) -> Self:
        """The same mixture in the namespace, device and dtype of points x (B, D)."""
        check_points(x, self.dim)
        names = ("log_weights", "centres", "variances", "axes")
        return self._with(**{name: cast(getattr(self, name), x) for name in names})

    def diffused(self, alpha: Times, sigma: Times) -> Self:
        """The law of α x + σ ε: means α m, covariances α² C + σ² I. alpha, sigma scalar, or (B,) for one law a row."""
        a, s = column(alpha, self.centres[0, :, :]), column(sigma, self.centres[0, :, :])  # (B, 1)
        return self._with(centres=a * self.centres, variances=a**2 * self.variances + s**2)

    def shifted(self, c: Array) -> Self:
        """The law of x + c for c (D,) or (B, D)."""
        return self._with(centres=self.centres + c)

    def given(self, labels: Array) -> Self:
        """The mixture of the components of one class, or of labels (B,), one class for each row; −1 keeps them all."""
        if self.labels is None:
            raise ValueError("this mixture has no labels: pass labels=(K,) when you make it.")
        wanted = np.atleast_1d(to_numpy(labels))
        if not np.all(np.isin(wanted, self.labels) | (wanted == -1)):
            raise ValueError(f"labels must be among {np.unique(self.labels).tolist()} or −1; got {np.unique(wanted)}.")
        keep = cast(np.where((self.labels[:, None] == wanted) | (wanted == -1), 0.0, -np.inf), self.log_weights)
        log_weights = self.log_weights + keep
        if not np.all(np.any(np.isfinite(to_numpy(log_weights)), axis=0)):
            raise ValueError("no component is left: this mixture is already conditioned on another class.")
        return self._with(log_weights=log_weights - log_sum_exp(log_weights))

    def posterior(self, x: Array, alpha: Times, sigma: Times) -> Self:
        """q(x_0 | α x_0 + σ ε = x) for each row of x (B, D): Bayes' rule in each component, then between them.

        Along each axis, with y = Uᵀ(x − αm) and v = α²λ + σ²: mean m + (αλ/v) y, variance λσ²/v, weight r_k(x).
        """
        prior = self.cast(x)
        noisy = prior.diffused(alpha, sigma)
        a, s = column(alpha, x), column(sigma, x)
        gain = a * prior.variances / noisy.variances
        return prior._with(
            log_weights=noisy._log_responsibilities(x),
            centres=prior.centres + (gain * noisy._along_axes(x)) @ noisy._axes_t,
            variances=prior.variances * s**2 / noisy.variances,
        )

    def reverse_kernel(self, x: Array, process: Process, t: Times, s: Times) -> Self:
        """q(x_s | x_t = x), s < t, for each row of x (B, D): exact ancestral sampling is `.sample(rng, B)` of it.

        q(x_s | x_t) = ∫ N(x_s; c_t x_t + c_0 x_0, var I) q(x_0 | x_t) dx_0.
        """
        c_t, c_0, var = process.posterior_coefficients(t, s)
        x0 = self.posterior(x, process.alpha(t), process.sigma(t))
        return x0.diffused(c_0, var**0.5).shifted(column(c_t, x) * x)

    def conditional(self, x: Array, mask: Array) -> Self:
        """The law of the other coordinates given those of x (B, D) where mask (D,) is true, a mixture for each row.

        With C in blocks of known (k) and unknown (u): mean m_u + C_uk C_kk⁻¹ (x_k − m_k), covariance
        C_uu − C_uk C_kk⁻¹ C_ku, and weights in proportion to w N(x_k; m_k, C_kk).
        """
        check_points(x, self.dim)
        known = np.asarray(to_numpy(mask))
        if known.dtype != bool or known.shape != (self.dim,) or known.all() or not known.any():
            raise ValueError(f"mask must be boolean, ({self.dim},), with some true and some false; got {mask}.")
        if self.centres.shape[1] > 1:
            raise ValueError("this mixture is already one for each row.")
        m, c, y = to_numpy(self.means), to_numpy(self.covariances), to_numpy(x)
        u, k = np.flatnonzero(~known), np.flatnonzero(known)
        v, axes = np.linalg.eigh(c[:, k[:, None], k])
        if v.min() <= 0:
            raise ValueError(
                "a component has no spread along the known coordinates: it has no density to condition on."
            )
        marginal = self._with(
            log_weights=to_numpy(self.log_weights), centres=m[:, None, k], variances=v[:, None, :], axes=axes
        )
        gain = c[:, u[:, None], k] @ (axes / v[:, None, :]) @ axes.swapaxes(1, 2)  # (K, U, D − U)
        variances, axes = np.linalg.eigh(c[:, u[:, None], u] - gain @ c[:, k[:, None], u])
        parameters = {
            "log_weights": marginal._log_responsibilities(y[:, k]),
            "centres": m[:, None, u] + (y[:, k] - m[:, None, k]) @ gain.swapaxes(1, 2),
            "variances": np.maximum(variances, 0.0)[:, None, :],
            "axes": axes,
        }
        return self._with(**{name: cast(value, x) for name, value in parameters.items()})

    # What a mixture says of points x (B, D)

    @property
    def _axes_t(self) -> Array:
        return namespace(self.axes).matrix_transpose(self.axes)

    def _along_axes(self, x: Array) -> Array:
        """y = Uᵀ(x − m), (K, B, D). The difference comes first: the expanded square loses digits in float32."""
        return (x - self.centres) @ self.axes

    def _log_joint(self, x: Array) -> Array:
        """ln w_k N(x; m_k, C_k), (K, B)."""
        xp = namespace(x)
        if not is_complex(self.variances) and not bool(xp.all(self.variances > 0)):
            raise ValueError("a mixture with a zero variance has no density; ask for diffused(alpha, sigma > 0) first.")
        y = self._along_axes(x)
        return self.log_weights - 0.5 * xp.sum(y**2 / self.variances + xp.log(self.variances) + LOG_2PI, axis=2)

    def _log_responsibilities(self, x: Array) -> Array:
        """ln r_k(x), the log-probability that x came from component k, (K, B)."""
        log_joint = self._log_joint(x)
        return log_joint - log_sum_exp(log_joint)

    def log_density(self, x: Array) -> Array:
        """ln q(x) in nats, (B,)."""
        return log_sum_exp(self.cast(x)._log_joint(x))[0, :]

    def _scores(self, x: Array) -> tuple[Array, Array, Array]:
        """r_k (K, B, 1), s_k = −C_k⁻¹(x − m_k) (K, B, D), and s = Σ r_k s_k (B, D)."""
        xp = namespace(x)
        r = xp.exp(self._log_responsibilities(x))[:, :, None]
        s = -(self._along_axes(x) / self.variances) @ self._axes_t
        return r, s, xp.sum(r * s, axis=0)

    def score(self, x: Array) -> Array:
        """∇ ln q(x) = −Σ_k r_k(x) C_k⁻¹ (x − m_k), (B, D)."""
        return self.cast(x)._scores(x)[2]

    def score_vjp(self, x: Array, v: Array) -> Array:
        """(∇s) v with ∇s = −Σ r_k C_k⁻¹ + Σ r_k (s_k − s)(s_k − s)ᵀ, which is symmetric; (B, D)."""
        xp, q = namespace(x), self.cast(x)
        r, s_k, s = q._scores(x)
        precision_v = ((v @ q.axes) / q.variances) @ q._axes_t
        spread = (s_k - s) * xp.sum((s_k - s) * v, axis=2, keepdims=True)
        return xp.sum(r * (spread - precision_v), axis=0)

    def x0_mean(self, x: Array, alpha: Times, sigma: Times) -> Array:
        """E[x_0 | α x_0 + σ ε = x], (B, D): the perfect denoiser."""
        return self.posterior(x, alpha, sigma)._mean()

    def x0_posterior(self, x: Array, alpha: Times, sigma: Times) -> tuple[Array, Array]:
        """E[x_0 | x] (B, D) and Cov[x_0 | x] (B, D, D), where x = α x_0 + σ ε."""
        return self.posterior(x, alpha, sigma).moments()

    def _mean(self) -> Array:
        xp = namespace(self.centres)
        return xp.sum(xp.exp(self.log_weights)[:, :, None] * self.centres, axis=0)

    def moments(self) -> tuple[Array, Array]:
        """Mean (B, D) and covariance (B, D, D) of each row's mixture; B = 1 where all share one."""
        xp = namespace(self.centres)
        mean = self._mean()
        apart = self.centres - mean
        axes = self.axes[:, None, :, :]
        within = (axes * self.variances[:, :, None, :]) @ xp.matrix_transpose(axes)
        between = apart[:, :, :, None] * apart[:, :, None, :]
        return mean, xp.sum(xp.exp(self.log_weights)[:, :, None, None] * (within + between), axis=0)

    # Draws and integrals

    def sample(self, rng: np.random.Generator, n: int, labels: bool = False) -> Any:
        """n draws (n, D), and with labels=True their classes (n,). A mixture for each row wants n equal to the rows."""
        log_weights, centres, variances, axes = map(
            to_numpy, (self.log_weights, self.centres, self.variances, self.axes)
        )
        rows = max(log_weights.shape[1], centres.shape[1])
        if rows not in (1, n):
            raise ValueError(f"there is one mixture for each of {rows} rows, so n must be {rows}; got {n}.")
        edges = np.cumsum(np.exp(log_weights), axis=0)[:-1]
        k = np.sum(edges < rng.random(n), axis=0)  # (n,)
        row = lambda a: np.broadcast_to(a, (len(a), rows, self.dim))[k, np.arange(n) if rows > 1 else 0]  # noqa: E731
        z = np.sqrt(row(variances)) * rng.standard_normal((n, self.dim))
        x = cast(row(centres) + (axes[k] @ z[:, :, None])[:, :, 0], self.like)
        if not labels:
            return x
        if self.labels is None:
            raise ValueError("this mixture has no labels: pass labels=(K,) when you make it.")
        return x, self.labels[k]

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, D) and weights (M,) with Σ w f(x) = E_q f(x), in one or two dimensions.

        The trapezoidal rule at h = 0.3 of the least σ: exact to rounding for f = 1, to 1e-7 for scores and ln q, which
        have poles near the real axis.
        """
        m, v = to_numpy(self.centres), to_numpy(self.variances)
        h, reach = 0.3 * math.sqrt(v.min()), 9 * math.sqrt(v.max())
        low, high = m.min(axis=(0, 1)) - reach, m.max(axis=(0, 1)) + reach
        if m.shape[1] > 1 or self.dim > 2 or h == 0 or np.prod(high - low) > 4e6 * h**self.dim:
            raise ValueError("no quadrature here (over 2 dimensions, narrow components or a mixture a row): pass rng=.")
        sides = np.meshgrid(*(np.arange(a, b, h) for a, b in zip(low, high, strict=True)), indexing="ij")
        x = np.stack([side.ravel() for side in sides], axis=1)
        weights = in_chunks(lambda y: np.exp(to_numpy(self.log_density(y))), x) * h**self.dim
        inside = weights > 1e-30
        return x[inside], weights[inside]

    def entropy(self, rng: np.random.Generator | None = None, n: int = 100_000) -> tuple[float, float]:
        """−E ln q in nats, with its standard error: no model reaches a lower negative log-likelihood.

        By quadrature in one or two dimensions (standard error 0), by n draws where rng is given.
        """
        if rng is None:
            x, weights = self.quadrature()
            return -float(np.sum(weights * in_chunks(self.log_density, x))), 0.0
        nats = -in_chunks(lambda y: to_numpy(self.log_density(y)), self.sample(rng, n))
        return float(np.mean(nats)), float(np.std(nats) / math.sqrt(n))


def log_sum_exp(a: Array) -> Array:
    """ln Σ_k exp a_k over the first axis, kept as 1; the shift is real, so that it is complex-safe."""
    xp = namespace(a)
    shift = xp.max(real_part(a), axis=0)
    return (shift + xp.log(xp.sum(xp.exp(a - shift), axis=0)))[None, ...]


def log_softmax(a: Array) -> Array:
    """a − ln Σ_k exp a_k along each row, (B, K): Bayes' rule, for log-joint probabilities or logits."""
    return a - log_sum_exp(a.T).T
