"""The exact denoiser: what a perfect network would output.

Of a Gaussian mixture it is known in closed form. Of a finite data set it is a softmax average of the points, which is
what a network that could fit everything would learn: it samples the training data and nothing else.

    ε̂(x, t) = −σ ∇ ln q_t(x),    x̂_0(x, t) = E[x_0 | x_t = x],    ∂ε̂/∂x = −σ ∇∇ ln q_t(x), which is symmetric

Shapes: B rows, D coordinates, N data points; x (B, D), t scalar or (B,).
"""

import copy
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tinydiff.backend import (
    Array,
    Times,
    cast,
    check_points,
    chunks,
    column,
    describe,
    in_chunks,
    is_complex,
    namespace,
    real_part,
    rows_of,
    to_numpy,
)
from tinydiff.exact.mixture import LOG_2PI, GaussianMixture, log_softmax
from tinydiff.processes import Process


class Oracle:
    """The exact denoiser of `data`, a GaussianMixture or points (N, D) with labels (N,), under `process`.

    It has the call signature of a network: model(x, t) is ε̂, with `.x0`, `.vjp`, `.given`, `.dim` and `.like`.
    """

    def __init__(self, data: Any, process: Process, labels: Array | None = None) -> None:
        if isinstance(data, GaussianMixture) and labels is not None:
            raise ValueError("a mixture carries its own labels: GaussianMixture(..., labels=).")
        self.data = data if isinstance(data, GaussianMixture) else Points(data, labels)
        self.process = process
        self.unconditional = self.data

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.data.dim

    @property
    def like(self) -> Array:
        """An empty array (0, D) that carries namespace, dtype and device."""
        return self.data.like

    def at(self, t: Times) -> Any:
        """q_t, the law of x_t: it has log_density, score and score_vjp."""
        return self.data.diffused(self.process.alpha(t), self.process.sigma(t))

    def __call__(self, x: Array, t: Times) -> Array:
        """E[ε | x_t = x] = −σ ∇ ln q_t(x), (B, D)."""
        return -column(self.process.sigma(t), x) * self.at(t).score(x)

    def x0(self, x: Array, t: Times) -> Array:
        """E[x_0 | x_t = x], (B, D)."""
        return self.data.x0_mean(x, self.process.alpha(t), self.process.sigma(t))

    def vjp(self, x: Array, t: Times, v: Array) -> Array:
        """vᵀ ∂ε̂/∂x for each row, (B, D)."""
        return -column(self.process.sigma(t), x) * self.at(t).score_vjp(x, v)

    def linearize(self, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
        """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x."""
        return self(x, t), lambda v: self.vjp(x, t, v)

    def given(self, labels: Array) -> Self:
        """The exact denoiser of the given classes: one for all rows or (B,), −1 for no condition."""
        other = copy.copy(self)
        other.data = self.unconditional.given(labels)
        return other

    def log_density(self, x: Array, t: Times) -> Array:
        """ln q_t(x) in nats, (B,)."""
        return self.at(t).log_density(x)

    def log_p(self, x: Array, t: Times) -> Array:
        """ln p(y | x_t = x), (B, C), for the C classes y in ascending order: a perfect classifier of noisy points."""
        labels = zip(*self.classes(), strict=True)
        joint = [math.log(share) + self.given(y).log_density(x, t) for y, share in labels]
        return log_softmax(namespace(x).stack(joint, axis=1))

    def grad_log_p(self, labels: Array) -> Callable[[Array, Times], Array]:
        """(x, t) ↦ ∇ ln p(y | x_t = x) = ∇ ln q_t(x | y) − ∇ ln q_t(x), (B, D); labels y: one for all rows, or (B,)."""
        of_class, of_all = self.given(labels), self.given(-1)
        return lambda x, t: of_class.at(t).score(x) - of_all.at(t).score(x)

    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes, ascending, and the share of each, both (C,)."""
        self.unconditional.given(-1)  # raises where there are no labels
        if np.ndim(self.unconditional.weights) > 1:
            raise ValueError("this mixture is one for each row: its classes have no shares in common.")
        labels, weights = np.asarray(self.unconditional.labels), to_numpy(self.unconditional.weights)
        classes = np.unique(labels)
        return classes, np.array([np.sum(weights[labels == y]) for y in classes])

    def floor(self, t: Times, rng: np.random.Generator | None = None, n: int = 20_000) -> Any:
        """The least possible E‖ε − ε̂‖²/d = 1 − σ² E‖∇ ln q_t‖²/d: no network's loss gets below it.

        By quadrature, or from n draws where rng is given (points, more than two dimensions). A float, or like t.
        """
        if np.ndim(t):
            return np.array([self.floor(float(each), rng, n) for each in t])
        q = self.at(t)
        if rng is None:
            x, weights = q.quadrature()
        else:
            x, weights = q.sample(rng, n), np.full(n, 1 / n)
        square = in_chunks(lambda y: to_numpy(namespace(y).sum(q.score(y) ** 2, axis=1)), x)
        return 1 - float(self.process.sigma(t) ** 2 * np.sum(weights * square)) / self.dim


class Points:
    """The law of α y + σ ε for a y drawn from points (N, D): a mixture too large for component-wise arrays.

    Its sums over points are streamed, a chunk at a time, with the running maximum of the logits (online softmax), for a
    chunk of rows at a time: never more than 4096 × 4096 logits at once, however many points and rows there are.
    """

    chunk = 4096

    def __init__(self, points: Array, labels: Array | None = None) -> None:
        if getattr(points, "ndim", 0) != 2 or points.shape[0] == 0:
            raise ValueError(f"data must be a GaussianMixture or an array of points (N, D); got {describe(points)}.")
        if not bool(namespace(points).all(namespace(points).isfinite(points))):
            raise ValueError("data must be finite: some of the points are NaN or infinite.")
        self.points = points
        self.labels = None if labels is None else np.asarray(to_numpy(labels), dtype=np.int64)
        if self.labels is not None and (self.labels.shape != (points.shape[0],) or self.labels.min() < 0):
            raise ValueError(f"labels must have the shape ({points.shape[0]},), 0 or more; got {self.labels.shape}.")
        self.wanted: np.ndarray | None = None
        self.alpha: Times = 1.0
        self.sigma: Times = 0.0

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

    def diffused(self, alpha: Times, sigma: Times) -> Self:
        """The law of α y + σ ε."""
        other = copy.copy(self)
        other.alpha, other.sigma = alpha, sigma
        return other

    def given(self, labels: Array) -> Self:
        """The points of one class, or of labels (B,), one class for each row; −1 keeps them all."""
        if self.labels is None:
            raise ValueError("these points have no labels: Oracle(points, process, labels=).")
        wanted = np.atleast_1d(to_numpy(labels))
        if not np.all(np.isin(wanted, self.labels) | (wanted == -1)):
            raise ValueError(f"labels must be among {np.unique(self.labels).tolist()} or −1; got {np.unique(wanted)}.")
        other = copy.copy(self)
        other.wanted = wanted
        return other

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """n draws (n, D), for a scalar α and σ; of the wanted class, or of one class for each of n rows."""
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

    def x0_mean(self, x: Array, alpha: Times, sigma: Times) -> Array:
        """Σ_i y_i softmax_i(−‖x − α y‖²/2σ²), (B, D)."""
        return self.diffused(alpha, sigma)._average(x)[1]

    def score(self, x: Array) -> Array:
        """(α E[y | x] − x)/σ², (B, D): Tweedie's formula, read from right to left."""
        return (column(self.alpha, x) * self._average(x)[1] - x) / column(self.sigma, x) ** 2

    def score_vjp(self, x: Array, v: Array) -> Array:
        """((α²/σ²) Cov[y | x] v − v)/σ², (B, D)."""
        a, s = column(self.alpha, x), column(self.sigma, x)
        return ((a / s) ** 2 * self._average(x, v)[2] - v) / s**2

    def _average(self, x: Array, v: Array | None = None) -> list[Array]:
        """[ln q(x) (B,), E[y | x] (B, D)] and, given v, Cov[y | x] v (B, D), from sums over chunks of points.

        With logits ℓ_i = −‖x − αy_i‖²/2σ² and h the highest so far, a sum Σ e^{ℓ_i − h} f_i is carried to a higher h′
        by e^{h − h′}. Squares are expanded, as differences would take N·B·D numbers; in float64, as that cancels.
        """
        check_points(x, self.dim)
        if x.shape[0] > self.chunk:
            parts = [self._of(rows)._average(x[rows, :], rows_of(v, rows)) for rows in chunks(x.shape[0], self.chunk)]
            return [namespace(x).concat(each) for each in zip(*parts, strict=True)]
        if not np.all(to_numpy(self.sigma) != 0):
            raise ValueError("points have no density: ask for diffused(alpha, sigma > 0), or t > 0.")
        xp, n = namespace(x), self.points.shape[0]
        dtype = xp.float64 if xp.isdtype(x.dtype, "integral") else x.dtype
        x = xp.astype(x, xp.complex128 if is_complex(x) else xp.float64)
        v = None if v is None else cast(v, x)
        a, s = column(self.alpha, x), column(self.sigma, x)
        highest, total, kept = xp.full_like(real_part(x[:, :1]), -1e300), 0.0 * x[:, :1], 0.0
        first, second = xp.zeros_like(x), xp.zeros_like(x)
        for some in chunks(n, self.chunk):
            y = cast(self.points[some, :], x)
            keep = self._keep(some, y)
            square = xp.sum(x * x, axis=1, keepdims=True) - 2 * a * (x @ y.T) + a**2 * xp.sum(y * y, axis=1)
            logits = keep - 0.5 * square / s**2  # (B, chunk)
            higher = xp.maximum(highest, xp.max(real_part(logits), axis=1, keepdims=True))
            w, carry = xp.exp(logits - higher), xp.exp(highest - higher)
            total = carry * total + xp.sum(w, axis=1, keepdims=True)
            first = carry * first + w @ y
            if v is not None:
                second = carry * second + (w * (v @ y.T)) @ y
            kept = kept + xp.sum(xp.exp(keep), axis=1, keepdims=True)
            highest = higher
        mean = first / total
        log_density = highest + xp.log(total / kept) - 0.5 * self.dim * (LOG_2PI + xp.log(cast(s * s, x)))
        found = [log_density[:, 0], mean]
        if v is not None:
            found.append(second / total - mean * xp.sum(mean * v, axis=1, keepdims=True))
        return [xp.astype(each, dtype) for each in found]

    def _of(self, rows: slice) -> Self:
        """The same law, as some rows of x have it."""
        other = self.diffused(rows_of(self.alpha, rows), rows_of(self.sigma, rows))
        other.wanted = rows_of(self.wanted, rows)
        return other

    def _keep(self, some: slice, y: Array) -> Array:
        """0 for the points of the wanted class and −∞ for the others, (1|B, n)."""
        if self.wanted is None or self.labels is None:
            return namespace(y).zeros_like(y[:, :1]).T
        labels = self.labels[some]
        match = (labels == self.wanted[:, None]) | (self.wanted[:, None] == -1)
        return cast(np.where(match, 0.0, -np.inf), y)
