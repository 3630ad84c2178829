"""How far a model is from the truth, by its samples and by its denoising.

Where the truth is a mixture, `kl_from_truth` of likelihood.py is the sharper judge. A distance between samples means
something only beside its baseline, the same distance between two samples of the truth: `against_truth` gives both.

Shapes: x (N, D) and y (M, D) are samples, features (N, F).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinydiff.backend import Array, cast, describe, normal_like, to_numpy
from tinydiff.denoisers import Denoiser
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle


def sliced_w2(x: Array, y: Array, *, rng: np.random.Generator, directions: int = 256) -> float:
    """SW₂(x, y), the root mean square over directions u of W₂(x·u, y·u), in the units of x [Bonneel et al. 2015].

    On a line W₂ matches order statistics, so both need as many points: x and y (N, D). Read it beside the distance of
    two true samples; it sees that modes have the wrong weights, and little else.
    """
    x, y = to_numpy(x), to_numpy(y)
    if directions < 1:
        raise ValueError(f"directions must be at least 1; got {directions}.")
    if x.shape != y.shape or x.ndim != 2 or x.size == 0:
        raise ValueError(f"x and y must both have the shape (N, D), N ≥ 1; got {x.shape} and {y.shape}.")
    _check_finite(x, y)
    u = rng.standard_normal((x.shape[1], directions))
    u /= np.sqrt(np.sum(u * u, axis=0))
    apart = np.sort(x @ u, axis=0) - np.sort(y @ u, axis=0)  # (N, directions)
    return math.sqrt(np.mean(apart * apart))


def energy_distance(x: Array, y: Array) -> float:
    """2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ over the samples' points, in the units of x [Székely & Rizzo 2013, 2.5].

    It is 0 or more, and 0 only where the two samples agree. In one dimension it is the square of SciPy's
    energy_distance. Between two samples of one law it is 1/N + 1/M times E‖X − X′‖ on average.
    """
    x, y = _two_samples(x, y)
    distance = lambda a, b: _mean_over_pairs(a, b, np.sqrt)  # noqa: E731
    return 2 * distance(x, y) - distance(x, x) - distance(y, y)


def mmd(x: Array, y: Array, *, bandwidth: float | None = None) -> float:
    """MMD², E k(X, X′) + E k(Y, Y′) − 2 E k(X, Y), without bias, for k = exp(−‖x − y‖²/2h²) [Gretton et al. 2012, 3].

    h is the bandwidth, unless given the median distance between points of y, up to 1,000 of them. Pairs are of two
    different points, so that its mean is 0, and it may fall below, where the two laws agree. N and M ≥ 2.
    """
    x, y = _two_samples(x, y)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"MMD without bias needs two points in each sample; got {len(x)} and {len(y)}.")
    if bandwidth is None:
        few = y[np.linspace(0, len(y) - 1, min(len(y), 1000)).astype(int)]
        bandwidth = float(np.median(np.sqrt(_squares(few, few)[np.triu_indices(len(few), 1)])))
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive; got {bandwidth}.")
    kernel = lambda a, b: _mean_over_pairs(a, b, lambda d2: np.exp(-d2 / (2 * bandwidth**2)))  # noqa: E731
    within = lambda a: (len(a) * kernel(a, a) - 1) / (len(a) - 1)  # noqa: E731
    return within(x) + within(y) - 2 * kernel(x, y)


class Coverage(NamedTuple):
    """How samples spread over the components of a mixture."""

    counts: np.ndarray
    """Samples of each component, (K,)."""
    covered: float
    """The share of components with at least a tenth of the samples that they should have."""
    chi2: float
    """Pearson's statistic against the mixture's weights; K − 1 on average for true samples."""
    p_value: float
    """The probability that true samples have a larger one."""


def mode_coverage(data: GaussianMixture, x: Array, *, rng: np.random.Generator) -> Coverage:
    """Which components of the mixture the samples come from, and whether as often as they should.

    Each sample's component is drawn from its exact posterior r_k(x), so that the counts of true samples are multinomial
    with the mixture's weights even where components overlap; components of weight 0, as in a class, are left out.
    χ² wants five or more expected in each.
    """
    from scipy.stats import chi2

    _check_finite(x)
    weights = to_numpy(data.weights)
    r = np.exp(to_numpy(data.posterior(cast(x, data.like), 1.0, 0.0).log_weights))[weights > 0]  # (K, N)
    k = np.sum(np.cumsum(r, axis=0)[:-1] < rng.random(r.shape[1]), axis=0)
    counts, expected = np.bincount(k, minlength=len(r)), weights[weights > 0] * r.shape[1]
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    covered = float(np.mean(counts >= 0.1 * expected))
    return Coverage(counts, covered, statistic, float(chi2.sf(statistic, len(counts) - 1)) if len(counts) > 1 else 1.0)


def memorisation(x: Array, seen: Array, unseen: Array) -> tuple[float, float]:
    """The share of samples that lie nearer to a training point than to any held-out one, with its standard error.

    seen and unseen must be as many: then it is ½ for true samples, and 1 for copies of training points. It stays ½ for
    samples that are merely bad, so read it beside a distance. The standard error takes seen and unseen as given.
    """
    x, seen, unseen = to_numpy(x), to_numpy(seen), to_numpy(unseen)
    if seen.shape != unseen.shape or seen.ndim != 2 or x.ndim != 2 or x.shape[1] != seen.shape[1] or x.size == 0:
        raise ValueError(
            "x must be (N, D), and seen and unseen as many points (M, D) each; "
            f"got {x.shape}, {seen.shape} and {unseen.shape}."
        )
    share = float(np.mean(nearest(x, seen)[1] < nearest(x, unseen)[1]))
    return share, math.sqrt(share * (1 - share) / len(x))


def nearest(x: Array, y: Array, size: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """The row of y (M, D) nearest to each x (N, D), and its distance, both (N,), `size` rows of x at a time.

    A sample beside the training point that is nearest to it shows whether it is a copy.
    """
    x, y = _two_samples(x, y)
    rows, squares = [], []
    for i in range(0, len(x), size):
        d2 = _squares(x[i : i + size], y)
        rows.append(np.argmin(d2, axis=1))
        squares.append(np.min(d2, axis=1))
    return np.concatenate(rows), np.sqrt(np.concatenate(squares))


def frechet_distance(features: Array, others: Array) -> float:
    """‖m − m′‖² + tr(C + C′ − 2 (C C′)^{1/2}), W₂² of the Gaussians with the features' moments [Heusel et al. 2017, 6].

    tr (C C′)^{1/2} is the sum of the singular values of C^{1/2} C′^{1/2}. It is 0 for equal moments, whatever else
    differs, and it falls with the number of samples: compare at equal N.
    """
    x, y = _two_samples(features, others)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a covariance needs two points in each sample; got {len(x)} and {len(y)}.")
    apart = np.mean(x, axis=0) - np.mean(y, axis=0)
    c, other = (np.atleast_2d(np.cov(a, rowvar=False)) for a in (x, y))
    cross = np.linalg.svd(_root(c) @ _root(other), compute_uv=False)
    return float(apart @ apart + np.trace(c) + np.trace(other) - 2 * np.sum(cross))


def class_agreement(log_p: Array, labels: Array, classes: Array | None = None) -> tuple[float, float]:
    """How often the most probable class is the label (N,) that a sample was drawn for, with the standard error.

    log_p: ln p(y | x), (N, C). classes: the class of each column, 0 to C − 1 unless given: Oracle.classes()[0].
    """
    log_p, labels = to_numpy(log_p), to_numpy(labels)
    if log_p.ndim != 2 or labels.shape != log_p.shape[:1] or labels.size == 0:
        raise ValueError(f"log_p must be (N, C) and labels (N,), N ≥ 1; got {log_p.shape} and {labels.shape}.")
    classes = np.arange(log_p.shape[1]) if classes is None else to_numpy(classes)
    if classes.shape != log_p.shape[1:] or not np.all(np.isin(labels, classes)):
        raise ValueError(f"labels must be among the classes of the columns, {classes}; got {np.unique(labels)}.")
    if np.any(np.isnan(log_p)):
        raise ValueError("log_p has NaN in it: the samples are not finite.")
    share = float(np.mean(classes[np.argmax(log_p, axis=1)] == labels))
    return share, math.sqrt(share * (1 - share) / len(labels))


def against_truth(
    distance: Callable[[Array, Array], float], x: Array, true: Array, again: Array
) -> tuple[float, float]:
    """(distance of the samples to the truth, that of other true samples): the second is what a perfect model scores."""
    return distance(x, true), distance(again, true)


def denoising(
    model: Denoiser, oracle: Oracle, t: float, *, n: int = 2000, rng: np.random.Generator
) -> tuple[float, float]:
    """(loss, excess) at time t, from n points: E‖ε − ε̂‖²/d, and E‖ε̂ − ε*‖²/d against the exact ε*.

    The loss is the floor plus the excess [Vincent 2011]; the excess is measured pairwise, so it has no noise of its own
    where the model is good.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    x0 = oracle.data.sample(rng, n)
    eps = normal_like(rng, x0)
    x = oracle.process.perturb(x0, t, eps)
    eps_hat, eps_star = to_numpy(model(cast(x, model.like), t)), to_numpy(oracle(x, t))
    return float(np.mean((eps_hat - to_numpy(eps)) ** 2)), float(np.mean((eps_hat - eps_star) ** 2))


def _two_samples(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 on the host, or a ValueError unless they are points of one space."""
    a, b = (np.asarray(to_numpy(each), dtype=np.float64) for each in (x, y))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.size == 0 or b.size == 0:
        raise ValueError(f"two samples (N, D) and (M, D) of one space; got {describe(a)} and {describe(b)}.")
    _check_finite(a, b)
    return a, b


def _check_finite(*samples: Array) -> None:
    """Raise a ValueError unless all points are finite: what is NaN has no distance to anything."""
    if not all(np.all(np.isfinite(to_numpy(each))) for each in samples):
        raise ValueError("the samples must be finite: some points are NaN or infinite.")


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """‖x_i − y_j‖², (N, M)."""
    from scipy.spatial.distance import cdist  # differences first: the expanded square loses half the digits

    return cdist(x, y, "sqeuclidean")


def _mean_over_pairs(x: np.ndarray, y: np.ndarray, f: Callable[[np.ndarray], np.ndarray], size: int = 500) -> float:
    """The mean of f(‖x_i − y_j‖²) over all pairs, a few rows at a time."""
    return math.fsum(float(np.sum(f(_squares(x[i : i + size], y)))) for i in range(0, len(x), size)) / (len(x) * len(y))


def _root(c: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance."""
    values, axes = np.linalg.eigh(c)
    return (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
