"""How far a model is from the truth, by its samples and by its denoising.

Where the truth is a mixture, `kl_from_truth` of likelihood.py is the sharper judge. A distance between samples means
something only beside its baseline, the same distance between two samples of the truth: `against_truth` gives both.

Shapes: x (N, D) and y (M, D) are samples, features (N, F).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinydiff.backend import NUMBERS, Array, by_rows, cast, normal_like, to_numpy
from tinydiff.checks import as_count, as_generator, check_finite, check_range, class_probabilities, two_samples
from tinydiff.denoisers import Denoiser, check_denoiser, check_same_process
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.extras import extra


def sliced_w2(x: Array, y: Array, *, rng: Any, directions: int = 256) -> float:
    """The sliced Wasserstein distance: the root mean square over directions u of W₂(x·u, y·u).

    On a line W₂ matches order statistics, so both samples need as many points. Read it beside the distance of two true
    samples; it sees that modes have the wrong weights, and little else.

    Parameters
    ----------
    x, y : (N, D)
        The two samples.
    rng : Generator or int
        The source of the directions, or a seed.
    directions : int
        Their number.

    Returns
    -------
    float
        In the units of x.

    Raises
    ------
    TypeError, ValueError
        For samples of other shapes, not finite or empty, and an rng that is neither a generator nor a seed.

    References
    ----------
    Bonneel et al. 2015.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x = np.zeros((5, 1))
    >>> td.sliced_w2(x, x + 2.0, rng=0, directions=4) > 0
    True
    """
    as_count("directions", directions)
    (x, y), rng = two_samples(x, y, alike=True), as_generator(rng)
    u = rng.standard_normal((x.shape[1], directions))
    u /= np.sqrt(np.sum(u * u, axis=0))

    def square(some: slice) -> np.ndarray:
        apart = np.sort(x @ u[:, some], axis=0) - np.sort(y @ u[:, some], axis=0)  # (N, some)
        return np.mean(apart * apart, axis=0)

    return math.sqrt(np.mean(by_rows(square, directions, max(1, NUMBERS // len(x)))))


def energy_distance(x: Array, y: Array) -> float:
    """The energy distance, 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, over the samples' points.

    It is 0 or more, and 0 only where the two samples agree. In one dimension it is the square of SciPy's
    energy_distance. Between two samples of one law it is (1/N + 1/M) E‖X − X′‖ on average.

    Parameters
    ----------
    x : (N, D)
        One sample.
    y : (M, D)
        The other.

    Returns
    -------
    float
        In the units of x.

    Raises
    ------
    ValueError
        For samples of two spaces, not finite or empty.

    References
    ----------
    Székely & Rizzo 2013, eq. 2.5.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.energy_distance(np.zeros((4, 1)), np.ones((3, 1)))
    2.0
    """
    x, y = two_samples(x, y)
    between, within_x, within_y = (_mean_over_pairs(a, b, np.sqrt) for a, b in ((x, y), (x, x), (y, y)))
    return 2 * between - within_x - within_y


def mmd(x: Array, y: Array, *, bandwidth: float | None = None) -> float:
    """The maximum mean discrepancy MMD², E k(X, X′) + E k(Y, Y′) − 2 E k(X, Y) for k = exp(−‖x − y‖²/2h²).

    Pairs are of two different points, so that its mean is 0, and it may fall below, where the two laws agree.

    Parameters
    ----------
    x, y : (N, D), (M, D)
        The two samples, of two points or more each.
    bandwidth : float, optional
        The h of the kernel; unless given the median distance between unequal points of y, up to 1,000 of them.

    Returns
    -------
    float
        Without a unit.

    Raises
    ------
    ValueError
        For samples of two spaces, not finite or of one point, a bandwidth that is not positive, and equal points y
        without one.

    References
    ----------
    Gretton et al. 2012, eq. 3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x = np.array([[0.0], [1.0]])
    >>> round(td.mmd(x, x + 100.0, bandwidth=1.0), 3)
    1.213
    """
    x, y = two_samples(x, y, least=2)
    if bandwidth is None:
        few = y[np.linspace(0, len(y) - 1, min(len(y), 1000)).astype(int)]
        apart = _squares(few, few)[np.triu_indices(len(few), 1)]
        if not np.any(apart):
            raise ValueError("y must have two points that are not equal, or a bandwidth must be given.")
        bandwidth = float(np.median(np.sqrt(apart[apart > 0])))  # of data with ties, half of the pairs may be equal
    check_range("bandwidth", bandwidth, 0, open_low=True)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return _mean_over_pairs(a, b, lambda square: np.exp(-square / (2 * bandwidth**2)))

    def within(a: np.ndarray) -> float:
        return (len(a) * kernel(a, a) - 1) / (len(a) - 1)

    return within(x) + within(y) - 2 * kernel(x, y)


def classifier_test(x: Array, y: Array, *, rng: Any) -> tuple[float, float]:
    """How often a classifier of nearest neighbours tells the two samples apart, with its standard error.

    Half of each sample, n points, is known to it. A point's distance to the ⌊√n⌋-th nearest known point of x, as a
    share of that and the same of y, says which of the two is denser there, and the point is one of x where the share is
    below a cut; a tie counts as half. The cut is the one that is most often right on the known points, each left out of
    its own neighbours. Votes of the nearest points, whose cut is ½, are blind in many dimensions, where all points may
    have their neighbours in the narrower sample [Xu et al. 2018]. Where the two laws agree it is right every other
    time: ½, and the standard error is that of a fair coin. It is 1 where they do not overlap.

    Parameters
    ----------
    x, y : (N, D), (N, D)
        The two samples, as many of each, four points or more.
    rng : Generator or int
        Says which halves are known.

    Returns
    -------
    accuracy, standard_error : float

    Raises
    ------
    ValueError
        For samples of other shapes, not finite or of fewer points.

    References
    ----------
    Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests, §3; Xu et al. 2018, An empirical study on evaluation
    metrics of generative adversarial networks, §4.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x = np.random.default_rng(0).standard_normal((400, 3))
    >>> td.classifier_test(x, x + 100.0, rng=0)
    (1.0, 0.025)
    """
    x, y = two_samples(x, y, least=4, alike=True)
    rng, half = as_generator(rng), len(x) // 2
    middle = (x.mean(axis=0) + y.mean(axis=0)) / 2
    scale = max(np.max(np.abs(x - middle)), np.max(np.abs(y - middle))) or 1.0
    x, y = ((each[rng.permutation(len(each))] - middle) / scale for each in (x, y))
    known, asked = np.concatenate([x[:half], y[:half]]), np.concatenate([x[half:], y[half:]])
    k = math.isqrt(half)

    def shares(z: np.ndarray, own: bool = False) -> np.ndarray:
        """The distance to the k-th nearest of x as a share of it and that of y; where both are 0, how many points of y
        are there, as a share of those of x and y.
        """

        def share(rows: slice) -> np.ndarray:
            squares = _squares(z[rows], known)
            if own:  # a known point is none of its own neighbours
                squares[np.arange(len(squares)), np.arange(len(z))[rows]] = np.inf
            halves = np.split(squares, 2, axis=1)
            to_x, to_y = (np.sqrt(np.partition(each, k - 1, axis=1)[:, k - 1]) for each in halves)
            at_x, at_y = (np.sum(each == 0, axis=1) for each in halves)
            none = to_x + to_y == 0
            return np.where(none, at_y, to_x) / np.where(none, at_x + at_y, to_x + to_y)

        return np.asarray(by_rows(share, len(z), max(1, NUMBERS // len(known))))

    own_x, own_y = np.split(shares(known, own=True), 2)
    values = np.unique([own_x, own_y])
    cuts = np.concatenate([[-1.0], (values[1:] + values[:-1]) / 2, [2.0]])
    cut = cuts[np.argmax(np.searchsorted(np.sort(own_x), cuts) - np.searchsorted(np.sort(own_y), cuts))]
    truth = np.repeat([1.0, -1.0], len(x) - half)
    right = (1 + truth * np.sign(cut - shares(asked))) / 2
    return float(np.mean(right)), 0.5 / math.sqrt(len(right))


class Coverage(NamedTuple):
    """How samples spread over the components of a mixture; see `mode_coverage`."""

    counts: np.ndarray
    """Samples of each component, (K,)."""
    covered: float
    """The fraction of components with at least a tenth of the samples that they should have."""
    chi2: float
    """Pearson's statistic against the mixture's weights; K − 1 on average for true samples."""
    p_value: float
    """The probability that true samples have a larger one."""


def mode_coverage(data: GaussianMixture, x: Array, *, rng: Any) -> Coverage:
    """Which components of the mixture the samples come from, and whether as often as they should.

    Each sample's component is drawn from its exact posterior r_k(x), so that the counts of true samples are multinomial
    with the mixture's weights even where components overlap; components of weight 0, as in a class, are left out.

    Parameters
    ----------
    data : GaussianMixture
        The truth.
    x : (N, D)
        The samples; Pearson's χ² wants five or more expected of each component.
    rng : Generator or int
        The source of the draws, or a seed.

    Returns
    -------
    Coverage
        counts (K,), covered, chi2 and p_value.

    Raises
    ------
    TypeError, ValueError
        For samples that are not finite or of another shape, and an rng that is neither a generator nor a seed.

    References
    ----------
    Pearson 1900.

    Examples
    --------
    >>> import tinydiff as td
    >>> data = td.toys.ring8()
    >>> td.mode_coverage(data, data.sample(0, 800), rng=1).covered
    1.0
    """
    with extra("app"):
        from scipy.stats import chi2

    check_finite(x)
    rng = as_generator(rng)
    weights = to_numpy(data.weights)
    u = rng.random(x.shape[0])

    def component(rows: slice) -> np.ndarray:
        r = np.exp(to_numpy(data.posterior(cast(x[rows, :], data.like), 1.0, 0.0).log_weights))[weights > 0]  # (K, N)
        return np.sum(np.cumsum(r, axis=0)[:-1] < u[rows], axis=0)

    expected = weights[weights > 0] * len(u)
    counts = np.bincount(by_rows(component, len(u), data.chunk), minlength=len(expected))
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    covered = float(np.mean(counts >= 0.1 * expected))
    return Coverage(counts, covered, statistic, float(chi2.sf(statistic, len(counts) - 1)) if len(counts) > 1 else 1.0)


def memorisation(x: Array, seen: Array, unseen: Array) -> tuple[float, float]:
    """The fraction of samples that lie nearer to a training point than to any held-out one, with its standard error.

    It is ½ for true samples, and 1 for copies of training points. It stays ½ for samples that are merely bad, so read
    it beside a distance. A sample that is as near to both counts as half.

    Parameters
    ----------
    x : (N, D)
        The samples.
    seen, unseen : (M, D)
        As many training points as held-out ones.

    Returns
    -------
    fraction, standard_error : float
        The standard error takes seen and unseen as given.

    Raises
    ------
    ValueError
        For arrays of other shapes, not finite or empty.

    References
    ----------
    After Meehan et al. 2020, who rank distances to the training points.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> seen, unseen = np.array([[0.0], [1.0]]), np.array([[0.5], [1.5]])
    >>> td.memorisation(seen, seen, unseen)
    (1.0, 0.0)
    """
    seen, unseen = two_samples(seen, unseen, alike=True)
    nearer = nearest(x, unseen)[1] - nearest(x, seen)[1]
    return _fraction((1 + np.sign(nearer)) / 2)


def nearest(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    """The point of y nearest to each x, and its distance: beside it a sample shows whether it is a copy.

    Parameters
    ----------
    x : (N, D)
        The points asked about.
    y : (M, D)
        The points to choose from.

    Returns
    -------
    rows, distances : (N,)
        The row of y, and how far it is, in the units of x.

    Raises
    ------
    ValueError
        For samples of two spaces, not finite or empty.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.nearest(np.array([[0.9]]), np.array([[0.0], [1.0]]))[0]
    array([1])
    """
    x, y = two_samples(x, y)
    middle = y.mean(axis=0)
    scale = max(np.max(np.abs(x - middle)), np.max(np.abs(y - middle))) or 1.0
    around, of = (x - middle) / scale, (y - middle) / scale
    lengths = np.sum(of * of, axis=1)

    def closest(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Expanded squares, which lose digits, leave few points; of these the nearest is found by their differences."""
        a = around[rows]
        squares = lengths - 2 * a @ of.T  # and ‖a‖², the same for all
        lost = 8 * (x.shape[1] + 4) * np.finfo(float).eps * (np.sum(a * a, axis=1) + np.max(lengths))
        i, j = np.nonzero(squares <= (np.min(squares, axis=1) + lost)[:, None])
        exact = by_rows(lambda few: np.linalg.norm((x[rows][i[few]] - y[j[few]]) / scale, axis=1), len(i), at_once)
        first = np.unique(i[order := np.lexsort((j, exact, i))], return_index=True)[1]
        return j[order][first], exact[order][first]

    at_once = max(1, NUMBERS // x.shape[1])
    rows, apart = by_rows(closest, len(x), max(1, NUMBERS // len(y)))
    return rows, scale * apart


def frechet_distance(features: Array, others: Array) -> float:
    """The Fréchet distance, W₂² of the Gaussians with the features' moments: ‖m − m′‖² + tr(C + C′ − 2 (C C′)^{1/2}).

    It is 0 for equal moments, whatever else differs, and it falls with the number of samples: compare at equal N. The
    trace of (C C′)^{1/2} is the sum of the singular values of C^{1/2} C′^{1/2}.

    Parameters
    ----------
    features, others : (N, F), (M, F)
        Features of two samples, such as a classifier's.

    Returns
    -------
    float
        In squared units of the features.

    Raises
    ------
    ValueError
        For features of two spaces, not finite or of one point.

    References
    ----------
    Heusel et al. 2017, eq. 6; Dowson & Landau 1982.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x = np.array([[0.0], [2.0]])
    >>> round(td.frechet_distance(x, x + 3.0), 9)
    9.0
    """
    x, y = two_samples(features, others, least=2)
    apart = np.mean(x, axis=0) - np.mean(y, axis=0)
    c, other = (np.atleast_2d(np.cov(a, rowvar=False)) for a in (x, y))
    cross = np.linalg.svd(_root(c) @ _root(other), compute_uv=False)
    return float(apart @ apart + np.trace(c) + np.trace(other) - 2 * np.sum(cross))


def class_agreement(log_p: Array, labels: Array, classes: Array | None = None) -> tuple[float, float]:
    """How often the most probable class is the label that a sample was drawn for, with the standard error.

    Parameters
    ----------
    log_p : (N, C)
        ln p(y | x), such as a classifier or `Oracle.log_p` gives.
    labels : (N,)
        The labels.
    classes : (C,), optional
        The class of each column, 0 to C − 1 unless given; for an Oracle they are its classes()[0].

    Returns
    -------
    fraction, standard_error : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        For shapes that do not fit, labels of no column, and NaN.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.class_agreement(np.log([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    (1.0, 0.0)
    """
    log_p, labels, classes = class_probabilities(log_p, labels, classes)
    return _fraction(classes[np.argmax(log_p, axis=1)] == labels)


def against_truth(
    distance: Callable[[Array, Array], float], x: Array, true: Array, again: Array
) -> tuple[float, float]:
    """The distance of samples to the truth, beside that of other true samples, which is what a perfect model scores.

    Parameters
    ----------
    distance : callable
        Such as `energy_distance`, of two samples.
    x : (N, D)
        The samples of the model.
    true, again : (M, D), (N, D)
        True points, and other true points, as many as samples.

    Returns
    -------
    of_model, of_truth : float
        In the units of the distance.

    Examples
    --------
    >>> import tinydiff as td
    >>> true, again = td.toys.ring8().sample(0, 200), td.toys.ring8().sample(1, 200)
    >>> of_model, of_truth = td.against_truth(td.energy_distance, 0.5 * true, true, again)
    >>> of_model > of_truth
    True
    """
    return distance(x, true), distance(again, true)


def denoising(model: Denoiser, oracle: Oracle, t: float, *, n: int = 2000, rng: Any) -> tuple[float, float]:
    """How well a model denoises at one time: its loss E‖ε − ε̂‖²/d, and its excess E‖ε̂ − ε*‖²/d over the exact ε*.

    In expectation the loss is the floor, `oracle.floor(t)`, plus the excess; the excess is measured at the same points,
    so it has no noise of its own where the model is good.

    Parameters
    ----------
    model : Denoiser
        The model to judge.
    oracle : Oracle
        The exact denoiser of its data and process.
    t : float
        The time.
    n : int
        The number of points.
    rng : Generator or int
        The source of the points, or a seed.

    Returns
    -------
    loss, excess : float
        Per dimension.

    Raises
    ------
    TypeError, ValueError
        For a model of another process or dimension than the oracle, n under 1, and an rng that is neither a generator
        nor a seed.

    References
    ----------
    Vincent 2011, eq. 11.

    Examples
    --------
    >>> import tinydiff as td
    >>> oracle = td.Oracle(td.toys.ring8(), td.VP())
    >>> td.denoising(oracle, oracle, 0.3, n=100, rng=0)[1]
    0.0
    """
    check_denoiser(model)
    check_same_process(model=model, oracle=oracle)
    as_count("n", n)
    rng = as_generator(rng)
    x0 = oracle.data.sample(rng, n)
    eps = normal_like(rng, x0)
    x = oracle.process.at(t).perturb(x0, eps)
    eps_hat, eps_star = to_numpy(model(cast(x, model.like), t)), to_numpy(oracle(x, t))
    return float(np.mean((eps_hat - to_numpy(eps)) ** 2)), float(np.mean((eps_hat - eps_star) ** 2))


def _fraction(hits: np.ndarray) -> tuple[float, float]:
    """How often it is so, with its standard error; ½ for what is neither."""
    return float(np.mean(hits)), float(np.std(hits)) / math.sqrt(len(hits))


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """‖x_i − y_j‖², (N, M)."""
    with extra("app"):
        from scipy.spatial.distance import cdist  # differences first: the expanded square loses half the digits

    return cdist(x, y, "sqeuclidean")


def _of_pairs(x: np.ndarray, y: np.ndarray, f: Callable[[np.ndarray], Any]) -> Any:
    """f(‖x_i − y_j‖²) for each x_i, some at a time: arrays (N, ...)."""
    return by_rows(lambda rows: f(_squares(x[rows], y)), len(x), max(1, NUMBERS // len(y)))


def _mean_over_pairs(x: np.ndarray, y: np.ndarray, f: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of f(‖x_i − y_j‖²) over all pairs."""
    return float(np.mean(_of_pairs(x, y, lambda square: np.mean(f(square), axis=1))))


def _root(c: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance."""
    values, axes = np.linalg.eigh(c)
    return (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
