"""A finite data set, diffused: the law of α y + σ ε for a y drawn from N points, a mixture too large for components.

Its denoiser is a softmax average of the points, which is what a network that could fit everything would learn.

Shapes: B rows, D coordinates, N data points; x (B, D); α and σ are numbers, or columns (B, 1).
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, by_rows, cast, changed, chunks, is_complex, namespace, of_rows, real_part, to_numpy
from tinydiff.exact.mixture import LOG_2PI


class Points:
    """The law of α y + σ ε for a y drawn from points (N, D): a mixture too large for component-wise arrays.

    Its sums over points are streamed, a chunk at a time, with the running maximum of the logits (online softmax), for a
    chunk of rows at a time: never more than 1024 × 1024 logits at once, however many points and rows there are.
    """

    chunk, block = 4096, 1024

    def __init__(self, points: Array, labels: Array | None = None) -> None:
        checks.check_data(points)
        self.points, self.labels = points, checks.own_labels(labels, points.shape[0])
        self.wanted: np.ndarray | None = None
        self.alpha, self.sigma = 1.0, 0.0

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.points.shape[1]

    @property
    def like(self) -> Array:
        """An empty array (0, D) of the points' kind."""
        return self.points[:0, :]

    @property
    def weights(self) -> np.ndarray:
        """1/N for each point, (N,)."""
        return np.full(self.points.shape[0], 1 / self.points.shape[0])

    def cast(self, x: Array) -> Self:
        """The same law: its points move to the kind of x a chunk at a time."""
        checks.check_points(x, self.dim)
        checks.check_rows("labels", 1 if self.wanted is None else len(self.wanted), x.shape[0])
        return self

    def diffused(self, alpha: Any, sigma: Any) -> Self:
        """The law of α y + σ ε."""
        return changed(self, alpha=alpha, sigma=sigma)

    def given(self, labels: Array) -> Self:
        """The points of one class, or of labels (B,), one class for each row; −1 keeps them all."""
        own = checks.given_labels(self.labels, "these points have no labels: Oracle(points, process, labels=).")
        return changed(self, wanted=checks.as_labels(labels, np.unique(own)))

    def sample(self, rng: Any, n: int) -> Array:
        """n draws (n, D), for a scalar α and σ; of the wanted class, or of one class for each of n rows."""
        rng = checks.as_generator(rng)
        wanted = np.broadcast_to([-1] if self.wanted is None else self.wanted, n)
        rows = np.empty(n, dtype=np.int64)
        for label in np.unique(wanted):
            pool = np.arange(self.points.shape[0]) if label == -1 else np.flatnonzero(self.labels == label)
            rows[wanted == label] = rng.choice(pool, np.sum(wanted == label))
        y = to_numpy(self.points)[rows]
        return cast(self.alpha * y + self.sigma * rng.standard_normal(y.shape), self.like)

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Not to be had for points."""
        raise ValueError("no quadrature for data points: pass rng=.")

    def log_density(self, x: Array) -> Array:
        """ln q(x) in nats, (B,)."""
        return self._average(x)[0]

    def x0_mean(self, x: Array, alpha: Any, sigma: Any) -> Array:
        """Σ_i y_i softmax_i(−‖x − α y‖²/2σ²), (B, D)."""
        return self.diffused(alpha, sigma)._average(x)[1]

    def x0_linearized(self, x: Array, alpha: Any, sigma: Any) -> tuple[Array, Callable[[Array], Array]]:
        """(E[y | x], pull) with pull(u) = (α/σ²) Cov[y | x] u, all (B, D)."""
        q = self.diffused(alpha, sigma)
        return q._average(x)[1], lambda u: alpha / sigma**2 * q._average(x, u)[2]

    def score(self, x: Array) -> Array:
        """(α E[y | x] − x)/σ², (B, D): Tweedie's formula, read from right to left."""
        return (self.alpha * self._average(x)[1] - x) / self.sigma**2

    def score_linearized(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """(s, pull) with pull(u) = (∇s) u = ((α²/σ²) Cov[y | x] u − u)/σ², all (B, D)."""
        return self.score(x), lambda u: ((self.alpha / self.sigma) ** 2 * self._average(x, u)[2] - u) / self.sigma**2

    def _average(self, x: Array, u: Array | None = None) -> tuple[Array, ...]:
        """ln q(x) (B,), E[y | x] (B, D) and, given u, Cov[y | x] u (B, D), from sums over chunks of points.

        With logits ℓ_i = −‖x − αy_i‖²/2σ² and h the highest so far, a sum Σ e^{ℓ_i − h} f_i is carried to a higher h′
        by e^{h − h′}. Squares are expanded, as differences would take N·B·D numbers; in float64, as that cancels.
        """
        checks.check_points(x, self.dim)
        if x.shape[0] > self.block:
            few = lambda rows: self.rows(rows)._average(x[rows, :], of_rows(u, rows))  # noqa: E731
            return by_rows(few, x.shape[0], self.block)
        checks.check_diffused("points have", self.sigma)
        xp, n = namespace(x), self.points.shape[0]
        dtype = xp.float64 if xp.isdtype(x.dtype, "integral") else x.dtype
        x = xp.astype(x, xp.complex128 if is_complex(x) else xp.float64)
        u = None if u is None else cast(u, x)
        a, s = (cast(c, x) if getattr(c, "ndim", 0) else c for c in (self.alpha, self.sigma))
        highest, total, kept = xp.full_like(real_part(x[:, :1]), -1e300), 0.0 * x[:, :1], 0.0
        first, second = xp.zeros_like(x), xp.zeros_like(x)
        for some in chunks(n, self.block):
            y = cast(self.points[some, :], x)
            keep = self._keep(some, y)
            square = xp.sum(x * x, axis=1, keepdims=True) - 2 * a * (x @ y.T) + a**2 * xp.sum(y * y, axis=1)
            logits = keep - 0.5 * square / s**2  # (B, chunk)
            higher = xp.maximum(highest, xp.max(real_part(logits), axis=1, keepdims=True))
            w, carry = xp.exp(logits - higher), xp.exp(highest - higher)
            total = carry * total + xp.sum(w, axis=1, keepdims=True)
            first = carry * first + w @ y
            if u is not None:
                second = carry * second + (w * (u @ y.T)) @ y
            kept = kept + xp.sum(xp.exp(keep), axis=1, keepdims=True)
            highest = higher
        mean = first / total
        log_density = highest + xp.log(total / kept) - 0.5 * self.dim * (LOG_2PI + xp.log(cast(s * s, x)))
        found = [log_density[:, 0], mean]
        if u is not None:
            found.append(second / total - mean * xp.sum(mean * u, axis=1, keepdims=True))
        return tuple(xp.astype(each, dtype) for each in found)

    def rows(self, rows: slice) -> Self:
        """The same law, as some rows of x have it: α, σ and the wanted classes follow their rows."""
        return changed(self, **{name: of_rows(getattr(self, name), rows) for name in ("alpha", "sigma", "wanted")})

    def _keep(self, some: slice, y: Array) -> Array:
        """0 for the points of the wanted class and −∞ for the others, (1|B, n)."""
        if self.wanted is None or self.labels is None:
            return namespace(y).zeros_like(y[:, :1]).T
        labels = self.labels[some]
        match = (labels == self.wanted[:, None]) | (self.wanted[:, None] == -1)
        return cast(np.where(match, 0.0, -np.inf), y)
