"""Gaussian mixtures, the distributions on which everything about diffusion is known exactly.

Diffusing a mixture gives a mixture; x_0 given x_t is a mixture; the reverse kernel x_s given x_t is a mixture. One
shape convention carries all three: each parameter has a batch axis, of 1 where all points share the mixture and of B
where each row of x has its own.

    K components, B points, D coordinates; α and σ are numbers, or columns (B, 1), such as a level has
    log_weights (K, 1|B);  centres (K, 1|B, D);  variances (K, 1|B, D) along the columns of axes (K, D, D)

so that C_k = U_k diag(variances_k) U_kᵀ. Diffusion, α²C + σ²I, never turns the axes: each C is decomposed once.
Everything is complex-safe (no abs, no conj, maxima of the real part), so that complex steps can check derivatives.
"""

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tinydiff import checks
from tinydiff.backend import NUMBERS, Array, by_rows, cast, changed, log_sum_exp, namespace, of_rows, to_numpy
from tinydiff.processes import Level, posterior

LOG_2PI = math.log(2 * math.pi)
NO_LABELS = "this mixture has no labels: pass labels=(K,) when you make it."
PARAMETERS = ("log_weights", "centres", "variances", "axes")


class GaussianMixture:
    """A mixture q(x) = Σ_k w_k N(x; m_k, C_k), whose diffusion is known in closed form.

    Parameters
    ----------
    weights : (K,)
        Positive numbers with sum 1; a sum within 1e-6 of it, as float32 leaves, is made 1.
    means : (K, D)
        The centres m_k.
    covariances : (K, D, D)
        Symmetric and positive semidefinite C_k; all zero is a finite data set.
    labels : (K,), optional
        The class of each component, a whole number from 0 on.

    Raises
    ------
    ValueError
        For other shapes, weights, covariances or labels, and where a density is asked of a mixture that has none.

    References
    ----------
    Bishop 2006, §2.3.9; identities 12, 21 and 36 of the catalogue in the docs.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> mixture = td.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.04]], [[0.04]]])
    >>> mixture.log_density(np.array([[0.0], [1.0]])).round(2)
    array([-11.81,  -0.  ])
    """

    def __init__(self, weights: Array, means: Array, covariances: Array, labels: Array | None = None) -> None:
        w, m, c = checks.mixture_parameters(weights, means, covariances)
        variances, self.axes = np.linalg.eigh(c)
        self.labels = checks.own_labels(labels, len(w))
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
        """C_k, (K, D, D), or (K, 1|B, D, D) where a row has its own mixture."""
        return self._covariances()[:, *self._shared]

    def _covariances(self) -> Array:
        """C_k = U_k diag(λ_k) U_kᵀ, (K, 1|B, D, D)."""
        return (self.axes[:, None, :, :] * self.variances[:, :, None, :]) @ self._axes_t[:, None, :, :]

    @property
    def _rows(self) -> int:
        """1 where all points share the mixture, and else B."""
        return max(self.log_weights.shape[1], self.centres.shape[1])

    @property
    def _shared(self) -> tuple[Any, ...]:
        return (0 if self._rows == 1 else slice(None), ...)

    # Other mixtures made from this one

    def cast(self, x: Array) -> Self:
        """The same mixture in the namespace, device and dtype of points x (B, D)."""
        checks.check_points(x, self.dim)
        checks.check_rows("the mixture, or its labels,", self._rows, x.shape[0])
        return changed(self, **{name: cast(getattr(self, name), x) for name in PARAMETERS})

    def rows(self, rows: slice) -> Self:
        """The mixtures of some rows, where each row has its own; a shared one is for all."""
        own = {name: a for name in PARAMETERS[:3] if (a := getattr(self, name)).shape[1] > 1}
        return changed(self, **{name: a[:, rows, ...] for name, a in own.items()}) if own else self

    def diffused(self, alpha: Any, sigma: Any) -> Self:
        """The law of α x + σ ε: means α m, covariances α² C + σ² I.

        Columns give one law for each row; they must be of the mixture's own kind, to which `cast(x)` brings it.
        """
        return changed(self, centres=alpha * self.centres, variances=alpha**2 * self.variances + sigma**2)

    def shifted(self, c: Array) -> Self:
        """The law of x + c for c (D,) or (B, D)."""
        return changed(self, centres=self.centres + c)

    def given(self, labels: Array) -> Self:
        """The mixture of the components of one class, or of labels (B,), one class for each row; −1 keeps them all.

        Labels (B,) make (K, B) weights.
        """
        own = checks.given_labels(self.labels, NO_LABELS)
        wanted = checks.as_labels(labels, np.unique(own))
        keep = cast(np.where((own[:, None] == wanted) | (wanted == -1), 0.0, -np.inf), self.log_weights)
        log_weights = self.log_weights + keep
        checks.check_some_left(to_numpy(log_weights))
        return changed(self, log_weights=log_weights - log_sum_exp(log_weights))

    def posterior(self, x: Array, alpha: Any, sigma: Any) -> Self:
        """q(x_0 | α x_0 + σ ε = x) for each row of x (B, D): Bayes' rule in each component, then between them.

        Along each axis, with y = Uᵀ(x − αm) and var = α²λ + σ²: mean m + (αλ/var) y, variance λσ²/var, weight r_k(x).
        """
        prior = self.cast(x)
        noisy = prior.diffused(alpha, sigma)
        gain = alpha * prior.variances / noisy.variances
        return changed(
            prior,
            log_weights=noisy._log_responsibilities(x),
            centres=prior.centres + (gain * noisy._along_axes(x)) @ noisy._axes_t,
            variances=prior.variances * sigma**2 / noisy.variances,
        )

    def reverse_kernel(self, x: Array, now: Level, then: Level) -> Self:
        """q(x_s | x_t = x), s < t, for each row of x (B, D): exact ancestral sampling is `.sample(rng, B)` of it.

        q(x_s | x_t) = ∫ N(x_s; c_t x_t + c_0 x_0, var I) q(x_0 | x_t) dx_0.
        """
        now, then = (level.process.at(level, like=x) for level in (now, then))
        c_t, c_0, var = posterior(now, then)
        return self.posterior(x, now.alpha, now.sigma).diffused(c_0, var**0.5).shifted(c_t * x)

    def conditioned(self, A: Array, y: Array, tau: float = 0.0) -> Self:
        """The law of x_0 given a measurement y = A x_0 + τ n, n ~ N(0, I): Bayes' rule in each component, then between.

        With C = R Rᵀ and A R = P diag(s) Vᵀ the measurement has the variances s² + τ² along P, and the component

            mean m + R V s/(s² + τ²) Pᵀ(y − A m),    covariance R V τ²/(s² + τ²) Vᵀ Rᵀ

        and a weight in proportion to w N(y; A m, A C Aᵀ + τ² I). No difference is taken, so rounding leaves no variance
        below 0; τ = 0 is exact conditioning. Labels stay.

        Shapes: A (M, D); y (M,), or (B, M), which makes a mixture for each row.
        """
        A, y = checks.as_measurement(A, y, tau, self.dim)
        checks.check_one_shape(self.variances)
        checks.check_rows("y", len(y), self._rows if self._rows > 1 else len(y))
        m, root = to_numpy(self.centres), to_numpy(self.axes) * np.sqrt(to_numpy(self.variances))
        P, s, Vt = np.linalg.svd(A @ root)
        var = tau**2 + np.pad(s**2, ((0, 0), (0, len(A) - s.shape[1])))[:, None, :]  # of y along P, (K, 1, M)
        checks.check_measured(var)
        apart = (y - m @ A.T) @ P  # (K, 1|B, M)
        log_weights = to_numpy(self.log_weights) - 0.5 * np.sum(apart**2 / var + np.log(var), axis=2)
        gained, s = root @ Vt.swapaxes(1, 2), s[:, None, :]  # (K, D, D)
        seen = slice(0, s.shape[2])
        centres = m + (apart[..., seen] * s / var[..., seen]) @ gained[..., seen].swapaxes(1, 2)
        gained[..., seen] *= tau / np.sqrt(var[..., seen])
        return self._made_of(log_weights, centres, gained)

    def conditional(self, x: Array, mask: Array) -> Self:
        """The law of the other coordinates given those of x (B, D) where mask (D,) is true, a mixture for each row."""
        checks.check_points(x, self.dim)
        known = checks.as_known(mask, self.dim)
        law = self.conditioned(np.eye(self.dim)[known], to_numpy(x)[:, known])
        root = law.axes * np.sqrt(law.variances)
        return self.cast(x)._made_of(law.log_weights, law.centres[..., ~known], root[:, ~known])

    def _made_of(self, log_weights: np.ndarray, centres: np.ndarray, roots: np.ndarray) -> Self:
        """The mixture of covariances R Rᵀ, R (K, D, D or more), of the kind of this one."""
        axes, s, _ = np.linalg.svd(roots)
        parameters = log_weights - log_sum_exp(log_weights), centres, s[:, None, :] ** 2, axes
        return changed(self, **{name: cast(a, self.centres) for name, a in zip(PARAMETERS, parameters, strict=True)})

    # What a mixture says of points x (B, D)

    @property
    def _axes_t(self) -> Array:
        return namespace(self.axes).matrix_transpose(self.axes)

    @property
    def chunk(self) -> int:
        """How many points are taken at a time, so that (K, B, D) are no more numbers than the axes hold, or 16 MiB."""
        return max(self.dim, NUMBERS // (self.centres.shape[0] * self.dim))

    def _by_rows(self, f: Callable[..., Any], x: Array, *level: Any, size: int = 0) -> Any:
        """f(mixture, x, *level) for some rows at a time."""
        checks.check_points(x, self.dim)
        some = lambda rows: f(self.rows(rows), x[rows, :], *(of_rows(c, rows) for c in level))  # noqa: E731
        return by_rows(some, x.shape[0], size or self.chunk)

    def _along_axes(self, x: Array) -> Array:
        """y = Uᵀ(x − m), (K, B, D). The difference comes first: the expanded square loses digits in float32."""
        return (x - self.centres) @ self.axes

    def _log_joint(self, x: Array) -> Array:
        """ln w_k N(x; m_k, C_k), (K, B)."""
        checks.check_diffused("a mixture with a zero variance has", self.variances)
        xp, y = namespace(x), self._along_axes(x)
        return self.log_weights - 0.5 * xp.sum(y**2 / self.variances + xp.log(self.variances) + LOG_2PI, axis=2)

    def _log_responsibilities(self, x: Array) -> Array:
        """ln r_k(x), the log-probability that x came from component k, (K, B)."""
        log_joint = self._log_joint(x)
        return log_joint - log_sum_exp(log_joint)

    def log_density(self, x: Array) -> Array:
        """ln q(x) in nats, (B,)."""
        return self._by_rows(lambda q, x: log_sum_exp(q.cast(x)._log_joint(x))[0, :], x)

    def score(self, x: Array) -> Array:
        """∇ ln q(x) = −Σ_k r_k(x) C_k⁻¹ (x − m_k), (B, D)."""
        return self._by_rows(lambda q, x: q.score_linearized(x)[0], x)

    def score_linearized(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """(s, pull) with s = ∇ ln q(x) and pull(u) = (∇s) u, which is symmetric; all (B, D).

        s = Σ r_k s_k and ∇s = −Σ r_k C_k⁻¹ + Σ r_k (s_k − s)(s_k − s)ᵀ, with s_k = −C_k⁻¹(x − m_k).
        """
        xp, q = namespace(x), self.cast(x)
        r = xp.exp(q._log_responsibilities(x))[:, :, None]  # (K, B, 1)
        s_k = -(q._along_axes(x) / q.variances) @ q._axes_t  # (K, B, D)
        s = xp.sum(r * s_k, axis=0)

        def pull(u: Array) -> Array:
            precision_u = ((u @ q.axes) / q.variances) @ q._axes_t
            spread = (s_k - s) * xp.sum((s_k - s) * u, axis=2, keepdims=True)
            return xp.sum(r * (spread - precision_u), axis=0)

        return s, pull

    def x0_mean(self, x: Array, alpha: Any, sigma: Any) -> Array:
        """E[x_0 | α x_0 + σ ε = x], (B, D): the perfect denoiser."""
        return self._by_rows(lambda q, *of: q.posterior(*of)._mean(), x, alpha, sigma)

    def x0_linearized(self, x: Array, alpha: Any, sigma: Any) -> tuple[Array, Callable[[Array], Array]]:
        """(E[x_0|x], pull) with pull(u) = (∂E[x_0|x]/∂x) u = (α/σ²) Cov[x_0|x] u, which is symmetric; all (B, D)."""
        xp, q = namespace(x), self.posterior(x, alpha, sigma)
        r, mean = xp.exp(q.log_weights)[:, :, None], q._mean()
        apart = q.centres - mean

        def pull(u: Array) -> Array:
            within = ((u @ q.axes) * q.variances) @ q._axes_t
            between = apart * xp.sum(apart * u, axis=2, keepdims=True)
            return alpha / sigma**2 * xp.sum(r * (within + between), axis=0)

        return mean, pull

    def x0_posterior(self, x: Array, alpha: Any, sigma: Any) -> tuple[Array, Array]:
        """E[x_0 | x] (B, D) and Cov[x_0 | x] (B, D, D), where x = α x_0 + σ ε."""
        size = max(1, self.chunk // self.dim)  # arrays (K, B, D, D)
        return self._by_rows(lambda q, *of: q.posterior(*of).moments(), x, alpha, sigma, size=size)

    def _mean(self) -> Array:
        xp = namespace(self.centres)
        return xp.sum(xp.exp(self.log_weights)[:, :, None] * self.centres, axis=0)

    def moments(self) -> tuple[Array, Array]:
        """Mean (B, D) and covariance (B, D, D) of each row's mixture; B = 1 where all share one."""
        xp = namespace(self.centres)
        mean, within = self._mean(), self._covariances()
        apart = self.centres - mean
        between = apart[:, :, :, None] * apart[:, :, None, :]
        return mean, xp.sum(xp.exp(self.log_weights)[:, :, None, None] * (within + between), axis=0)

    # Draws and integrals

    def sample(self, rng: Any, n: int, labels: bool = False) -> Any:
        """n draws (n, D), and with labels=True their classes (n,). A mixture for each row wants n equal to the rows."""
        rng = checks.as_generator(rng)
        checks.check_draws(n, self._rows)
        log_weights, centres, variances, axes = (to_numpy(getattr(self, name)) for name in PARAMETERS)
        edges = np.cumsum(np.exp(log_weights), axis=0)[:-1]
        u = rng.random(n)
        k = np.sum(edges < u, axis=0) if edges.shape[1] > 1 else np.searchsorted(edges[:, 0], u)  # (n,)
        mean, var = (np.broadcast_to(a, (len(a), n, self.dim))[k, np.arange(n)] for a in (centres, variances))
        z = np.sqrt(var) * rng.standard_normal((n, self.dim))
        turned = by_rows(lambda some: axes[k[some]] @ z[some, :, None], n, max(1, NUMBERS // self.dim**2))
        x = cast(mean + turned[:, :, 0], self.like)
        return (x, checks.given_labels(self.labels, NO_LABELS)[k]) if labels else x

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, D) and weights (M,) with Σ w f(x) = E_q f(x), in one or two dimensions.

        The trapezoidal rule at h = 0.3 of the least σ: exact to rounding for f = 1, to 1e-7 for scores and ln q, which
        have poles near the real axis.
        """
        m, var = to_numpy(self.centres), to_numpy(self.variances)
        h, reach = 0.3 * math.sqrt(var.min()), 9 * math.sqrt(var.max())
        low, high = m.min(axis=(0, 1)) - reach, m.max(axis=(0, 1)) + reach
        if m.shape[1] > 1 or self.dim > 2 or h == 0 or np.prod(high - low) > 4e6 * h**self.dim:
            raise ValueError("no quadrature here (over 2 dimensions, narrow components or a mixture a row): pass rng=.")
        sides = np.meshgrid(*(np.arange(a, b, h) for a, b in zip(low, high, strict=True)), indexing="ij")
        x = np.stack([side.ravel() for side in sides], axis=1)
        weights = np.exp(to_numpy(self.log_density(x))) * h**self.dim
        inside = weights > 1e-30
        return x[inside], weights[inside]

    def entropy(self, rng: Any = None, n: int = 100_000) -> tuple[float, float]:
        """−E ln q in nats, with its standard error: no model reaches a lower negative log-likelihood.

        By quadrature in one or two dimensions (standard error 0), by n draws where rng is given.
        """
        if rng is None:
            x, weights = self.quadrature()
            return -float(np.sum(weights * self.log_density(x))), 0.0
        nats = -to_numpy(self.log_density(self.sample(rng, n)))
        return float(np.mean(nats)), float(np.std(nats) / math.sqrt(n))
