"""The exact denoiser: what a perfect network would output.

Of a Gaussian mixture it is known in closed form. Of a finite data set it is a softmax average of the points, which is
what a network that could fit everything would learn: it samples the training data and nothing else.

    ε̂(x, t) = −σ ∇ ln q_t(x),    x̂_0(x, t) = E[x_0 | x_t = x]
    ∂ε̂/∂x = −σ ∇∇ ln q_t(x),     ∂x̂_0/∂x = (α/σ²) Cov[x_0 | x_t = x],    both symmetric

Shapes: B rows, D coordinates; x (B, D); t a number, (B,) or a level.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tinydiff.backend import Array, by_rows, changed, linearized_by_rows, log_softmax, namespace, squared_norm, to_numpy
from tinydiff.checks import as_generator, check_process, shared_weights
from tinydiff.denoisers import Denoiser, Pull
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.points import Points
from tinydiff.processes import Process


class Oracle(Denoiser):
    """The exact denoiser of a distribution that is known, which has the call signature of a network.

    Parameters
    ----------
    data : GaussianMixture or (N, D)
        A mixture, or the points of a finite data set.
    process : Process
        The process that diffuses it.
    labels : (N,), optional
        The class of each point; a mixture carries its own.

    Raises
    ------
    TypeError, ValueError
        For data that are neither, points that are not finite, and a process that is none.

    References
    ----------
    Robbins 1956 and Efron 2011 (Tweedie's formula); Song et al. 2021 (score SDE), §3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> oracle = td.Oracle(td.GaussianMixture([1.0], [[2.0]], [[[1.0]]]), td.VP())
    >>> oracle.x0(np.array([[0.0]]), 1.0).round(3)  # pure noise says nothing: the mean
    array([[2.]])
    """

    def __init__(self, data: Any, process: Process, labels: Array | None = None) -> None:
        check_process(process)
        if isinstance(data, GaussianMixture) and labels is not None:
            raise ValueError("a mixture carries its own labels: GaussianMixture(..., labels=).")
        self.data = data if isinstance(data, GaussianMixture) else Points(data, labels)
        self.process, self.dim, self.like = process, self.data.dim, self.data.like
        self.chunk = min(Denoiser.chunk, self.data.chunk)
        self.unconditional = self.data

    def marginal(self, t: Any) -> Any:
        """q_t, the law of x_t at one time: it has log_density, score and sample."""
        now = self.process.at(t)
        return self.data.diffused(now.alpha, now.sigma)

    def score(self, x: Array, t: Any) -> Array:
        """∇ ln q_t(x), (B, D)."""
        return self._by_rows(lambda q, x, now: q.diffused(now.alpha, now.sigma).score(x), x, t)

    def _by_rows(self, f: Callable[..., Any], x: Array, t: Any, way: Callable[..., Any] = by_rows) -> Any:
        """f(law, x, level) for some rows at a time, in the kind of x."""
        now, law = self.process.at(t, like=x), self.data.cast(x)
        return way(lambda rows: f(law.rows(rows), x[rows, :], now[rows]), x.shape[0], law.chunk)

    def __call__(self, x: Array, t: Any) -> Array:
        """E[ε | x_t = x] = −σ ∇ ln q_t(x), (B, D)."""
        now = self.process.at(t, like=x)
        return -now.sigma * self.score(x, now)

    def x0(self, x: Array, t: Any) -> Array:
        """E[x_0 | x_t = x], (B, D)."""
        now = self.process.at(t, like=x)
        return self.data.x0_mean(x, now.alpha, now.sigma)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x = −σ ∇∇ ln q_t u."""
        now = self.process.at(t, like=x)
        f = lambda q, x, now: q.diffused(now.alpha, now.sigma).score_linearized(x)  # noqa: E731
        score, pull = self._by_rows(f, x, now, linearized_by_rows)
        return -now.sigma * score, lambda u: -now.sigma * pull(u)

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(x̂_0, pull) with pull(u) = uᵀ ∂x̂_0/∂x = (α/σ²) Cov[x_0 | x_t = x] u."""
        return self._by_rows(lambda q, x, now: q.x0_linearized(x, now.alpha, now.sigma), x, t, linearized_by_rows)

    def given(self, labels: Array) -> Self:
        """The exact denoiser of the given classes: one for all rows or (B,), −1 for no condition."""
        return changed(self, data=self.unconditional.given(labels))

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch, which its labels follow."""
        return changed(self, data=self.data.rows(rows))

    def log_density(self, x: Array, t: Any) -> Array:
        """ln q_t(x) in nats, (B,)."""
        return self._by_rows(lambda q, x, now: q.diffused(now.alpha, now.sigma).log_density(x), x, t)

    def log_p(self, x: Array, t: Any) -> Array:
        """ln p(y | x_t = x), (B, C), for the C classes y in ascending order: a perfect classifier of noisy points."""
        joint = [math.log(weight) + self.given(y).log_density(x, t) for y, weight in zip(*self.classes(), strict=True)]
        return log_softmax(namespace(x).stack(joint, axis=1))

    def grad_log_p(self, labels: Array) -> Callable[[Array, Any], Array]:
        """(x, t) ↦ ∇ ln p(y | x_t = x), (B, D); labels y: one for all rows, or (B,)."""
        return ClassGradient(self.given(labels), self.given(-1))

    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes, ascending, and the weight of each, both (C,)."""
        self.unconditional.given(-1)  # raises where there are no labels
        labels, weights = np.asarray(self.unconditional.labels), shared_weights(self.unconditional.weights)
        classes = np.unique(labels)
        return classes, np.array([np.sum(weights[labels == y]) for y in classes])

    def floor(self, t: Any, rng: Any = None, n: int = 20_000) -> Any:
        """The least possible E‖ε − ε̂‖²/d = 1 − σ² E‖∇ ln q_t‖²/d: no network's loss gets below it.

        By quadrature, or without bias from n draws where rng is given (points, more than two dimensions). A float, or
        like t.
        """
        rng = None if rng is None else as_generator(rng)
        if np.ndim(t):
            return np.array([self.floor(float(each), rng, n) for each in t])
        q = self.marginal(t)
        x, weights = q.quadrature() if rng is None else (q.sample(rng, n), np.full(n, 1 / n))
        square = to_numpy(squared_norm(q.score(x)))
        return 1 - self.process.at(t).sigma ** 2 * float(np.sum(weights * square)) / self.dim


@dataclass(frozen=True)
class ClassGradient:
    """∇ ln p(y | x_t = x) = ∇ ln q_t(x | y) − ∇ ln q_t(x), which is (α/σ²) (E[x_0 | x, y] − E[x_0 | x]) by Tweedie."""

    of_class: Oracle
    of_all: Oracle

    def __call__(self, x: Array, t: Any) -> Array:
        """The gradient at x (B, D), in the form in which less is lost: near noise both scores are about −x/σ²."""
        now = self.of_all.process.at(t, like=x)
        if np.all(np.real(now.host.alpha) < np.real(now.host.sigma)):
            return now.alpha / now.sigma**2 * (self.of_class.x0(x, now) - self.of_all.x0(x, now))
        return self.of_class.score(x, now) - self.of_all.score(x, now)
