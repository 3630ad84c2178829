"""Mistakes in conditioning a Gaussian, and in guiding a denoiser by a measurement."""

from typing import Any

import numpy as np
from numpy.linalg import inv

from tinydiff.check.laws.measurements import condition_gaussian, measurement_guidance


def kalman(mean: Any, cov: Any, A: Any, y: Any, tau: float, **change: Any) -> tuple:
    """The answer, with some of its parts changed."""
    S = change.get("S", lambda A, cov, tau: A @ cov @ A.T + tau**2 * np.eye(len(A)))(A, cov, tau)
    K = change.get("K", lambda cov, A, S: cov @ A.T @ inv(S))(cov, A, S)
    gap = change.get("gap", lambda y, A, mean: y - A @ mean)(y, A, mean)
    return change.get("both", lambda m, k, c, kc: (m + k, c - kc))(mean, K @ gap, cov, K @ A @ cov)


def changed(words: str, **change: Any) -> None:
    """A mistake of condition_gaussian."""
    condition_gaussian.mistake(words, lambda *args: kalman(*args, **change))


changed("τ in place of τ²", S=lambda A, cov, tau: A @ cov @ A.T + tau * np.eye(len(A)))
changed("τ² forgotten", S=lambda A, cov, tau: A @ cov @ A.T + 1e-9 * np.eye(len(A)))
changed("τ² added to each entry, not on the diagonal", S=lambda A, cov, tau: A @ cov @ A.T + tau**2)
changed("A Aᵀ in place of A cov Aᵀ", S=lambda A, cov, tau: A @ A.T + tau**2 * np.eye(len(A)))
changed("cov forgotten in K", K=lambda cov, A, S: A.T @ inv(S))
changed("the matrix in K not inverted", K=lambda cov, A, S: cov @ A.T @ S)
changed("1 over each entry in place of the inverse in K", K=lambda cov, A, S: cov @ A.T / np.diag(S))
changed("the sign of the gap y − A mean", gap=lambda y, A, mean: A @ mean - y)
changed("y in place of y − A mean", gap=lambda y, A, mean: y)
changed("the move alone, without the mean", both=lambda m, k, c, kc: (k, c - kc))
changed("cov as it was", both=lambda m, k, c, kc: (m + k, c))
changed("cov + K A cov, which grows", both=lambda m, k, c, kc: (m + k, c + kc))
changed("K A cov alone, by which cov falls", both=lambda m, k, c, kc: (m + k, kc))
changed("the mean as it was", both=lambda m, k, c, kc: (m, c - kc))
condition_gaussian.mistake(
    "the diagonal of the new cov alone: correlations lost",
    lambda mean, cov, A, y, tau: (lambda m, c: (m, np.diag(np.diag(c))))(*kalman(mean, cov, A, y, tau)),
)


def moved(x0: Any, pull: Any, A: Any, y: Any, tau: float, cov: Any, a: float, s: float, **change: Any) -> Any:
    """The answer, with some of its parts changed."""
    gap = change.get("gap", lambda y, x0, A: y - x0 @ A.T)(y, x0, A)
    S = change.get("S", lambda A, cov, tau: A @ cov @ A.T + tau**2 * np.eye(len(A)))(A, cov, tau)
    v = change.get("v", lambda S, gap: np.linalg.solve(S, gap[:, :, None])[:, :, 0])(S, gap)
    scale = change.get("scale", lambda a, s: s**2 / a)(a, s)
    return change.get("both", lambda x0, move: x0 + move)(
        x0, scale * change.get("back", lambda pull, u: pull(u))(pull, v @ A)
    )


def wrong(words: str, **change: Any) -> None:
    """A mistake of measurement_guidance."""
    measurement_guidance.mistake(words, lambda *args: moved(*args, **change))


wrong("the sign of the gap y − A x̂_0", gap=lambda y, x0, A: x0 @ A.T - y)
wrong("y in place of y − A x̂_0", gap=lambda y, x0, A: y + 0 * (x0 @ A.T))
wrong("one gap for all rows, their mean", gap=lambda y, x0, A: 0 * (x0 @ A.T) + np.mean(y - x0 @ A.T, axis=0))
wrong("cov = 0, which is DPS", S=lambda A, cov, tau: tau**2 * np.eye(len(A)))
wrong("cov = I", S=lambda A, cov, tau: A @ A.T + tau**2 * np.eye(len(A)))
wrong("τ in place of τ²", S=lambda A, cov, tau: A @ cov @ A.T + tau * np.eye(len(A)))
wrong("τ² forgotten", S=lambda A, cov, tau: A @ cov @ A.T + 1e-9 * np.eye(len(A)))
wrong("τ² added to each entry, not on the diagonal", S=lambda A, cov, tau: A @ cov @ A.T + tau**2)
wrong("the matrix not inverted", v=lambda S, gap: (S @ gap[:, :, None])[:, :, 0])
wrong("1 over the diagonal in place of the inverse", v=lambda S, gap: gap / np.diagonal(S, axis1=-2, axis2=-1))
wrong("σ²/α forgotten", scale=lambda a, s: 1.0)
wrong("σ² in place of σ²/α", scale=lambda a, s: s**2)
wrong("σ/α in place of σ²/α", scale=lambda a, s: s / a)
wrong("σ²/α² in place of σ²/α", scale=lambda a, s: s**2 / a**2)
wrong("σ² α in place of σ²/α", scale=lambda a, s: s**2 * a)
wrong("the pull forgotten: Aᵀ alone", back=lambda pull, u: u)
wrong("the move alone, without x̂_0", both=lambda x0, move: move)
wrong("the move subtracted", both=lambda x0, move: x0 - move)
measurement_guidance.mistake(
    "cov Aᵀ in place of σ²/α times the pull: Kalman's step with the covariance that was taken",
    lambda x0, pull, A, y, tau, cov, a, s: moved(
        x0,
        lambda u: (np.broadcast_to(cov, (len(u), *cov.shape[-2:])) @ u[:, :, None])[:, :, 0],
        A,
        y,
        tau,
        cov,
        1.0,
        1.0,
    ),
)
