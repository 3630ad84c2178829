"""Hold a sampler, schedule or model of your own against the truth: what to draw, and what to assert.

On mixtures the truth is exact, so a law can be asked of any code that takes a denoiser. The strategies draw, with
Hypothesis, what a law quantifies over: mixtures, processes, times, grids, rows of points. The assertions say how a
statement about limits or chance is tested: that errors fall with the order of a method, that an average is what it
estimates, that draws follow a law. Each fails with a sentence that gives the number that it found.

Importing this needs Hypothesis, ``pip install "tinydiff[testing]"``; it runs with pytest or without. Arrays may be of
any library. B rows, D coordinates, N draws.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.backend import Array, to_numpy
from tinydiff.checks import as_generator
from tinydiff.evaluation.metrics import mode_coverage
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.processes import VE, VP, Cosine, Discrete, Process, Straight, SubVP

try:
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import arrays
except ImportError as error:  # pragma: no cover - a process without Hypothesis reaches it, in test_testing.py
    raise ImportError('tinydiff.testing needs Hypothesis: pip install "tinydiff[testing]".') from error

MAKERS = (VP, partial(VP, 0.1, 40.0), partial(VP, 2.0, 2.0), Cosine, SubVP, VE, Straight)


# What laws quantify over


def generators() -> st.SearchStrategy[np.random.Generator]:
    """A source of noise, and of whatever need not shrink.

    Examples
    --------
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.generators(), lambda rng: True).random() < 1
    True
    """
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def chains() -> st.SearchStrategy[Discrete]:
    """A chain of DDPM's of 1 to 12 steps, whose β rise or not.

    Examples
    --------
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.chains(), lambda chain: chain.T == 3).T
    3
    """
    return st.lists(st.floats(1e-4, 0.95), min_size=1, max_size=12).map(np.array).map(Discrete)


def processes(*makers: Callable[[], Process]) -> st.SearchStrategy[Process]:
    """A process of the library, in continuous time or a chain; or what one of the `makers` makes.

    Each example makes its process anew, as a process keeps what follows from its α and σ.

    Examples
    --------
    >>> import tinydiff as td
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.processes(td.Cosine, td.VE), lambda process: process.at(1.0).sigma > 1)
    VE(sigma_min=0.01, sigma_max=50.0)
    """
    continuous = st.sampled_from(makers or MAKERS).map(lambda make: make())
    return continuous if makers else continuous | chains()


@st.composite
def times(draw: st.DrawFn, process: Process, count: int = 1, zero: bool = False) -> list[float]:
    """Rising times s < t < … of the process, `count` of them; the first may be 0 if asked.

    They lie on thousandths of the way from t_min to t_max, which float32 can tell apart; those of a chain on its steps.

    Examples
    --------
    >>> import tinydiff as td
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.times(td.Discrete([0.1, 0.2]), 3, zero=True), lambda ts: True)
    [0.0, 0.5, 1.0]
    """
    if isinstance(process, Discrete):
        steps = st.lists(st.integers(0 if zero else 1, process.T), min_size=count, max_size=count, unique=True)
        return [n / process.T for n in sorted(draw(steps))]
    low, high = process.t_min, process.t_max
    marks = sorted(draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count, unique=True)))
    return [0.0 if zero and n == 0 else low + (high - low) * n / 1000 for n in marks]


@st.composite
def grids(draw: st.DrawFn, process: Process, most: int = 8) -> np.ndarray:
    """Falling times from t_max to t_min with up to `most` steps between them, of any lengths: what a sampler walks.

    Examples
    --------
    >>> import tinydiff as td
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.grids(td.Discrete([0.1, 0.2])), lambda ts: True)
    array([1. , 0.5])
    """
    marks = process.T if isinstance(process, Discrete) else 1001
    inner = draw(times(process, draw(st.integers(0, max(0, min(most - 1, marks - 2))))))
    return np.array(sorted({process.t_min, *inner, process.t_max}, reverse=True))


@st.composite
def mixtures(
    draw: st.DrawFn, dims: tuple[int, int] = (1, 3), components: int = 4, finite: bool | None = None
) -> GaussianMixture:
    """A mixture of 1 to `components` in `dims` dimensions, least and most, about 2 wide.

    Covariances are full, of rank one or zero; all are zero, a finite set of points, if `finite` is True, and all are
    full if it is False.

    Examples
    --------
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.mixtures(dims=(2, 2)), lambda mixture: True).dim
    2
    """
    k, d, rng = draw(st.integers(1, components)), draw(st.integers(*dims)), draw(generators())
    rank = draw(st.sampled_from([0, 1, d])) if finite is None else 0 if finite else d
    factors, weights = 0.7 * rng.standard_normal((k, d, rank)), rng.uniform(0.2, 1.0, k)
    means = 2 * rng.standard_normal((k, d))
    return GaussianMixture(weights / weights.sum(), means, factors @ factors.swapaxes(1, 2))


def rows(dim: int, most: int = 5) -> st.SearchStrategy[np.ndarray]:
    """Points x (B, D) within ±4, 1 to `most` of them, exact in float32.

    Examples
    --------
    >>> from tinydiff import testing
    >>> from hypothesis import find
    >>> find(testing.rows(2), lambda x: len(x) > 1)
    array([[0., 0.],
           [0., 0.]])
    """
    values = st.floats(-4, 4, width=32)
    return st.integers(1, most).flatmap(lambda b: arrays(np.float64, (b, dim), elements=values))


# What is asserted of limits and of chance


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
        Where the order found is another, with all errors; where errors vanish in rounding, which shows no order.
    ValueError
        For fewer than two numbers of steps, or falling ones.

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
    if len(steps) < 2 or any(more <= few for few, more in pairwise(steps)):
        raise ValueError(f"steps must be two or more rising numbers of steps, got {tuple(steps)}.")
    truth = to_numpy(exact)
    errors = np.array([np.sqrt(np.mean(np.abs(to_numpy(solve(n)) - truth) ** 2)) for n in steps])
    table = ", ".join(f"{n}: {error:.2e}" for n, error in zip(steps, errors, strict=True))
    rounding = 100 * np.finfo(truth.dtype).eps * np.max(np.abs(truth))
    if errors[-1] <= rounding:
        raise AssertionError(f"the errors vanish in rounding, which shows no order (steps: error) {table}.")
    found = -math.log(errors[-1] / errors[-2]) / math.log(steps[-1] / steps[-2])
    if not abs(found - order) <= within:
        raise AssertionError(f"the order is {found:.2f}, not {order} (steps: error) {table}.")


def assert_unbiased(draws: Iterable[Array], expected: Array | float, *, level: float = 1e-6) -> None:
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
    ValueError
        For fewer than two draws, or shapes that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from tinydiff import testing
    >>> testing.assert_unbiased(np.random.default_rng(0).standard_normal((1000, 2)), 0.0)
    """
    from scipy.stats import t

    x = np.stack([to_numpy(draw) for draw in draws]).astype(np.float64)
    if len(x) < 2:
        raise ValueError(f"draws must be two or more estimates, got {len(x)}.")
    mean, error, truth = x.mean(axis=0), x.std(axis=0, ddof=1) / math.sqrt(len(x)), to_numpy(expected)
    if truth.shape not in ((), mean.shape):
        raise ValueError(f"expected must be a number or of the shape {mean.shape} of a draw, got {truth.shape}.")
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
    ValueError
        For draws of another dimension or that are not finite, and a law without a density.

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
    from scipy.stats import hypergeom, ks_1samp, ks_2samp

    draws, rng = to_numpy(x).astype(np.float64), as_generator(rng)
    one, two = partial(ks_1samp, method="asymp"), partial(ks_2samp, method="asymp")
    mixture = isinstance(law, GaussianMixture)
    dim = law.dim if mixture else to_numpy(law).shape[1]
    if draws.ndim != 2 or draws.shape[1] != dim or not np.all(np.isfinite(draws)):
        raise ValueError(f"x must be finite draws (N, {dim}), as the law has {dim} dimensions; got {draws.shape}.")
    directions = np.eye(dim) if dim == 1 else np.vstack([np.eye(dim), rng.standard_normal((8, dim))])
    tests = {}
    for u in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        name = f"along {np.array2string(u, precision=2)}"
        test = one(draws @ u, partial(_cdf, law, u)) if mixture else two(draws @ u, to_numpy(law) @ u)
        tests[f"{name} distribution functions are {test.statistic:.3f} apart"] = test.pvalue
    if mixture:
        found, true = (to_numpy(law.log_density(y)) for y in (draws, law.sample(rng, 5 * len(draws))))
        excess = np.mean(found) - np.mean(true)
        low = np.argsort(np.concatenate([found, true]))[: len(true) // 50]
        astray, fair = np.sum(low < len(draws)), len(low) * len(draws) / (len(draws) + len(true))
        pool = len(draws) + len(true), len(draws), len(low)
        tests[f"{astray} lie where it hardly has any, {fair:.0f} should"] = hypergeom.sf(astray - 1, *pool)
        tests[f"the mean log-density is {excess:+.3f} nats from that of true draws"] = two(found, true).pvalue
        if len(draws) * np.min(to_numpy(law.weights)) >= 5:  # where χ² has its law
            counts, _, chi2, p_value = mode_coverage(law, draws, rng=rng)
            tests[f"the counts of the {len(counts)} components have χ² = {chi2:.1f}"] = p_value
    worst = min(tests, key=tests.__getitem__)
    p = len(tests) * tests[worst]
    if not p > level:
        raise AssertionError(f"{len(draws)} draws are not of the law: {worst} (p = {p:.0e}).")


def _cdf(mixture: GaussianMixture, u: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The distribution function of the mixture along the direction u, at s (N,)."""
    from scipy.special import ndtr

    mean, var = to_numpy(mixture.means) @ u, np.einsum("i,kij,j->k", u, to_numpy(mixture.covariances), u)  # (K,)
    return ndtr((s[:, None] - mean) / np.sqrt(var)) @ to_numpy(mixture.weights)
