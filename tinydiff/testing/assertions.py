"""How a statement about limits or chance is tested: orders, means, laws. What fails says the number that was found.

Shapes: N draws, B rows, D coordinates; arrays may be of any library.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array, cast, to_numpy
from tinydiff.checks import as_count, as_finite, as_generator, check_kind, check_range, describe, two_samples
from tinydiff.evaluation.metrics import mode_coverage
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.extras import extra


def assert_order(
    solve: Callable[[int], Array],
    exact: Array,
    order: float,
    *,
    steps: Sequence[int] = (8, 16, 32, 64),
    within: float = 0.15,
) -> None:
    """Assert that the error of solve(n), with n steps, falls as n^−order.

    The error is the rms distance from `exact`; the order is −Δ ln error/Δ ln n over the last two of the `steps`, where
    the terms of higher order matter least.

    Parameters
    ----------
    solve : callable
        The answer with n steps, of the shape of `exact`.
    exact : array
        The truth, such as the end of `probability_flow` with ``method="rk45"`` and narrow tolerances.
    order : float
        What is claimed.
    steps : sequence of int
        Rising numbers of steps, two or more.
    within : float
        How far the order found may lie from the one claimed.

    Raises
    ------
    AssertionError
        Where the order found is another, with all errors; where an answer is not finite; where errors vanish in
        rounding, which shows no order.
    TypeError, ValueError
        For fewer than two numbers of steps, or falling ones; a truth that is not finite; answers of another shape.

    References
    ----------
    Hairer, Nørsett & Wanner 1993, §II.4.

    Examples
    --------
    Euler's method for dx/dt = x has order one.

    >>> import numpy as np
    >>> from tinydiff import testing
    >>> testing.assert_order(lambda n: np.array([(1 + 1 / n) ** n]), np.array([np.e]), order=1)
    """
    counts = [as_count("each of steps", n) for n in steps]
    if len(counts) < 2 or any(more <= few for few, more in pairwise(counts)):
        raise ValueError(f"steps must be two or more rising numbers of steps; got {tuple(steps)}.")
    check_range("within", within, 0)
    as_finite("order", order)
    truth, errors = _numbers("exact", exact), []
    for n in counts:
        answer = np.asarray(to_numpy(solve(n)))
        if answer.shape != truth.shape:
            raise ValueError(f"solve({n}) must have the shape {truth.shape} of exact; got {describe(answer)}.")
        errors.append(math.sqrt(np.mean(np.abs(answer - truth) ** 2)))
    table = ", ".join(f"{n}: {error:.2e}" for n, error in zip(counts, errors, strict=True))
    if not np.all(np.isfinite(errors)):
        raise AssertionError(f"the answers are not finite (steps: error) {table}.")
    if min(errors[-2:]) <= 100 * np.finfo(truth.dtype).eps * np.max(np.abs(truth)):
        raise AssertionError(f"the errors vanish in rounding, which shows no order (steps: error) {table}.")
    found = math.log(errors[-2] / errors[-1]) / math.log(counts[-1] / counts[-2])
    if not abs(found - order) <= within:
        raise AssertionError(f"the order is {found:.2f}, not {order} (steps: error) {table}.")


def assert_unbiased(draws: Array | Iterable[Array], expected: Array | float, *, level: float = 1e-6) -> None:
    """Assert that independent estimates have the expected mean.

    In each entry (mean − expected)/standard error is t-distributed with N − 1 degrees of freedom, or nearly so. What is
    unbiased fails with probability `level`, all entries together.

    Parameters
    ----------
    draws : (N, ...)
        Independent estimates, two or more.
    expected : (...) or float
        What they are estimates of.
    level : float
        The probability of a false alarm.

    Raises
    ------
    AssertionError
        With the entry that is furthest off, in its standard errors.
    TypeError, ValueError
        For fewer than two draws, what is not finite and real, shapes that do not match, a level outside (0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from tinydiff import testing
    >>> testing.assert_unbiased(np.random.default_rng(0).standard_normal((1000, 2)), 0.0)
    """
    with extra("testing"):
        from scipy.stats import t

    check_range("level", level, 0, 1, open_low=True)
    if not hasattr(draws, "shape"):
        check_kind("draws", draws, Iterable, "estimates, one after the other")
        draws = [to_numpy(draw) for draw in draws]
    x = _numbers("draws", draws).astype(np.float64)  # (N, ...)
    if x.ndim == 0 or len(x) < 2:
        raise ValueError(f"draws must be two or more estimates; got {describe(x)}.")
    mean, error = x.mean(axis=0), x.std(axis=0, ddof=1) / math.sqrt(len(x))
    truth = _numbers("expected", expected)
    if truth.shape not in ((), mean.shape):
        raise ValueError(f"expected must be a number or of the shape {mean.shape} of a draw; got {truth.shape}.")
    rounding = 1e-12 * np.max(np.abs(x), axis=0)
    off = np.abs(mean - truth) / np.maximum(error, rounding + np.finfo(float).tiny)
    allowed, worst = t.isf(level / 2 / mean.size, len(x) - 1), np.unravel_index(np.argmax(off), off.shape)
    where = f" at {tuple(int(i) for i in worst)}" if worst else ""
    if not off[worst] <= allowed:
        raise AssertionError(
            f"the mean of {len(x)} draws{where} is {mean[worst]:.6g} ± {error[worst]:.2g}, "
            f"{off[worst]:.1f} standard errors from {np.broadcast_to(truth, mean.shape)[worst]:.6g}."
        )


def assert_same_law(x: Array, law: GaussianMixture | Array, *, rng: Any, level: float = 1e-6) -> None:
    """Assert that the draws x follow a law: a mixture, which is held to exactly, or that of other draws.

    A mixture is asked four things. Along its coordinates and eight random directions it is a mixture on a line, with a
    known distribution function. The log-density of the draws must be that of true ones, which sees modes that are too
    narrow; no more of them than chance allows may be among the hundredth with the lowest, which sees draws between the
    modes. The counts of the components must fit the weights, where each has five or more. Other draws are compared
    along the directions alone. Draws of the law itself fail with probability `level`, all tests together.

    Parameters
    ----------
    x : (N, D)
        The draws.
    law : GaussianMixture or (M, D)
        The law, with a density, or independent draws of it.
    rng : Generator or int
        The source of directions and true draws, or a seed.
    level : float
        The probability of a false alarm.

    Raises
    ------
    AssertionError
        With the test that fails, and by how much.
    TypeError, ValueError
        For fewer than two draws, draws of another dimension, what is not finite and real, a law without a density, and
        a level outside (0, 1].

    References
    ----------
    Kolmogorov 1933 and Smirnov 1939, the largest distance of distribution functions; Pearson 1900, χ² of the counts.

    Examples
    --------
    >>> import tinydiff as td
    >>> from tinydiff import testing
    >>> data = td.toys.ring8()
    >>> testing.assert_same_law(data.sample(0, 2000), data, rng=1)
    >>> testing.assert_same_law(1.1 * data.sample(0, 2000), data, rng=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: 2000 draws are not of the law: ...
    """
    check_range("level", level, 0, 1, open_low=True)
    x, rng = _numbers("x", x), as_generator(rng)
    known = isinstance(law, GaussianMixture)
    x, true = two_samples(x, law.sample(rng, 5 * x.shape[0]) if known else _numbers("law", law), least=2)
    tests = _by_densities(x, true, law) | _by_counts(x, law, rng) if known else {}
    tests |= _by_directions(x, law if known else true, rng)
    worst = min(tests, key=tests.__getitem__)
    p = len(tests) * tests[worst]
    if not p > level:
        raise AssertionError(f"{len(x)} draws are not of the law: {worst} (p = {p:.0e}).")


# The tests of a law: what each found, in words, and its p-value


def _by_directions(x: np.ndarray, law: Any, rng: np.random.Generator) -> dict[str, float]:
    """Kolmogorov and Smirnov's test of x·u for the coordinates u and eight random ones."""
    with extra("testing"):
        from scipy.stats import ks_1samp, ks_2samp

    dim, found = x.shape[1], {}
    directions = np.eye(dim) if dim == 1 else np.concatenate([np.eye(dim), rng.standard_normal((8, dim))])
    for u in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        if isinstance(law, GaussianMixture):
            test = ks_1samp(x @ u, partial(_distribution_function, law, u), method="asymp")
        else:
            test = ks_2samp(x @ u, law @ u, method="asymp")
        words = f"along {np.array2string(u, precision=2)} distribution functions are {test.statistic:.3f} apart"
        found[words] = test.pvalue
    return found


def _distribution_function(mixture: GaussianMixture, u: np.ndarray, s: np.ndarray) -> np.ndarray:
    """P(X·u ≤ s) = Σ_k w_k Φ((s − m_k·u)/√(uᵀ C_k u)), for s (N,)."""
    with extra("testing"):
        from scipy.special import ndtr

    weights, means, covariances = (to_numpy(a) for a in (mixture.weights, mixture.means, mixture.covariances))
    return ndtr((s[:, None] - means @ u) / np.sqrt(covariances @ u @ u)) @ weights


def _by_densities(x: np.ndarray, true: np.ndarray, law: GaussianMixture) -> dict[str, float]:
    """Whether ln q(x) is distributed as that of true draws, and how many x are in the lowest hundredth of both."""
    with extra("testing"):
        from scipy.stats import hypergeom, ks_2samp

    found, expected = (to_numpy(law.log_density(cast(y, law.like))) for y in (x, true))
    excess, both = np.mean(found) - np.mean(expected), len(x) + len(true)
    lowest = np.argsort(np.concatenate([found, expected]))[: both // 100]
    astray, fair = np.sum(lowest < len(x)), len(lowest) * len(x) / both
    return {
        f"the mean log-density is {excess:+.3f} nats from that of true draws":
            ks_2samp(found, expected, method="asymp").pvalue,
        f"{astray} lie where it hardly has any, {fair:.0f} should":
            hypergeom.sf(astray - 1, both, len(x), len(lowest)),
    }  # fmt: skip


def _by_counts(x: np.ndarray, law: GaussianMixture, rng: np.random.Generator) -> dict[str, float]:
    """Pearson's χ² of the components, where it has its law: with five draws or more expected of each."""
    if len(x) * np.min(to_numpy(law.weights)) < 5:
        return {}
    counts, _, chi2, p_value = mode_coverage(law, x, rng=rng)
    return {f"the counts of the {len(counts)} components have χ² = {chi2:.1f}": p_value}


def _numbers(name: str, x: Any) -> np.ndarray:
    """x on the host, in floating point; a ValueError unless it is an array of finite real numbers."""
    try:
        a = np.asarray(to_numpy(x))
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"{name} must be an array of numbers; got a list of different lengths.") from error
    if a.dtype.kind not in "iuf" or a.size == 0:
        raise ValueError(f"{name} must be real numbers, one or more; got {describe(x)}, of {a.dtype}.")
    if not np.all(np.isfinite(a)):
        raise ValueError(f"{name} must be finite; there are NaN or infinite numbers in it.")
    return a if a.dtype.kind == "f" else a.astype(np.float64)
