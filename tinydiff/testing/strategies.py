"""What laws quantify over, as strategies of Hypothesis: mixtures, processes, times, grids, rows of points.

Shapes: B rows, D coordinates; a grid of n steps is (n + 1,).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from tinydiff.checks import as_count, check_kind, check_process
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.processes import VE, VP, Cosine, Discrete, Process, Straight, SubVP

try:
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import arrays
except ImportError as error:  # pragma: no cover - a process without Hypothesis reaches it, in test_testing.py
    raise ImportError('tinydiff.testing needs Hypothesis: pip install "tinydiff[testing]".') from error

MAKERS = (VP, partial(VP, 0.1, 40.0), partial(VP, 2.0, 2.0), Cosine, SubVP, VE, Straight)
THOUSANDTHS = 1000
"""Times are drawn among the ends of so many parts of the way from t_min to t_max."""


def generators() -> st.SearchStrategy[np.random.Generator]:
    """A source of noise, and of whatever need not shrink.

    Returns
    -------
    SearchStrategy of np.random.Generator

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.generators(), lambda rng: True).random() < 1
    True
    """
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def chains() -> st.SearchStrategy[Discrete]:
    """A chain of DDPM's of 1 to 12 steps, whose β rise or not.

    Returns
    -------
    SearchStrategy of Discrete

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.chains(), lambda chain: chain.T == 3).T
    3
    """
    return st.lists(st.floats(1e-4, 0.95), min_size=1, max_size=12).map(np.array).map(Discrete)


def processes(*makers: Callable[[], Process]) -> st.SearchStrategy[Process]:
    """A process of the library, in continuous time or a chain; or what one of the `makers` makes.

    Each example makes its process anew, as a process keeps what follows from its α and σ.

    Parameters
    ----------
    makers : callables
        Functions that make a process, such as its class; none for those of the library.

    Returns
    -------
    SearchStrategy of Process

    Raises
    ------
    TypeError
        For a process in the place of a function that makes it.

    Examples
    --------
    >>> import tinydiff as td
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.processes(td.Cosine, td.VE), lambda process: process.at(1.0).sigma > 1)
    VE(sigma_min=0.01, sigma_max=50.0)
    """
    for make in makers:
        check_kind("each of makers", make, Callable, "a function that makes a process, such as td.VP")
    continuous = st.sampled_from(makers or MAKERS).map(lambda make: make())
    return continuous if makers else continuous | chains()


@st.composite
def times(draw: st.DrawFn, process: Process, count: int = 1, zero: bool = False) -> list[float]:
    """Rising times s < t < … of the process, `count` of them; the first may be 0 if `zero`.

    They lie on thousandths of the way from t_min to t_max, which float32 can tell apart; those of a chain on its steps.

    Parameters
    ----------
    process : Process
        Whose times.
    count : int
        How many, all different.
    zero : bool
        Whether 0, the data, may be among them.

    Returns
    -------
    SearchStrategy of list of float

    Raises
    ------
    TypeError, ValueError
        In the first example: for what is no process, and for more times than there are.

    Examples
    --------
    >>> import tinydiff as td
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.times(td.Discrete([0.1, 0.2]), 3, zero=True), lambda ts: True)
    [0.0, 0.5, 1.0]
    """
    check_process(process)
    if isinstance(process, Discrete):
        ts = [n / process.T for n in range(0 if zero else 1, process.T + 1)]
    else:
        ts = np.linspace(process.t_min, process.t_max, THOUSANDTHS + 1).tolist()
        ts[0] = 0.0 if zero else ts[0]
    if as_count("count", count, 0) > len(ts):
        raise ValueError(f"count must be {len(ts)} or less, as many times as there are to draw; got {count}.")
    return sorted(draw(st.lists(st.sampled_from(ts), min_size=count, max_size=count, unique=True)))


@st.composite
def grids(draw: st.DrawFn, process: Process, most: int = 8) -> np.ndarray:
    """Falling times from t_max to t_min, with steps of any lengths: what a sampler walks.

    Parameters
    ----------
    process : Process
        Whose times.
    most : int
        The greatest number of steps. A chain of one step has one time, and no step between.

    Returns
    -------
    SearchStrategy of (n + 1,)

    Raises
    ------
    TypeError, ValueError
        In the first example: for what is no process, and a number of steps that is not 1 or more.

    Examples
    --------
    >>> import tinydiff as td
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.grids(td.Discrete([0.1, 0.2])), lambda ts: True)
    array([1. , 0.5])
    """
    check_process(process)
    between = min(as_count("most", most) - 1, process.T if isinstance(process, Discrete) else THOUSANDTHS)
    inner = draw(times(process, draw(st.integers(0, between))))
    return np.array(sorted({process.t_min, *inner, process.t_max}, reverse=True))


@st.composite
def mixtures(
    draw: st.DrawFn, dims: tuple[int, int] = (1, 3), components: int = 4, finite: bool | None = None
) -> GaussianMixture:
    """A Gaussian mixture about 2 wide.

    Parameters
    ----------
    dims : (int, int)
        The least and the greatest number of dimensions.
    components : int
        The greatest number of components.
    finite : bool, optional
        True for covariances that are zero, which is a finite set of points; False for covariances of full rank, which
        has a density; unless given their rank is 0, 1 or full.

    Returns
    -------
    SearchStrategy of GaussianMixture

    Raises
    ------
    ValueError
        In the first example: for dims that are not two rising numbers, 1 or more, or no component.

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.mixtures(dims=(2, 2)), lambda mixture: True).dim
    2
    """
    if np.shape(dims) != (2,) or not 1 <= dims[0] <= dims[1]:
        raise ValueError(f"dims must be the least and the greatest dimension, such as (1, 3); got {dims!r}.")
    k, d = draw(st.integers(1, as_count("components", components))), draw(st.integers(*dims))
    rank, rng = draw(st.sampled_from({None: [0, 1, d], True: [0], False: [d]}[finite])), draw(generators())
    factors, weights = 0.7 * rng.standard_normal((k, d, rank)), rng.uniform(0.2, 1.0, k)
    means = 2 * rng.standard_normal((k, d))
    return GaussianMixture(weights / weights.sum(), means, factors @ factors.swapaxes(1, 2))


def rows(dim: int, most: int = 5) -> st.SearchStrategy[np.ndarray]:
    """Points x (B, D) within ±4, float64 and exact in float32.

    Parameters
    ----------
    dim : int
        The number D of coordinates.
    most : int
        The greatest number B of points.

    Returns
    -------
    SearchStrategy of (B, D)

    Raises
    ------
    ValueError
        For numbers that are not 1 or more.

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinydiff import testing
    >>> find(testing.rows(2), lambda x: len(x) > 1)
    array([[0., 0.],
           [0., 0.]])
    """
    dim, values = as_count("dim", dim), st.floats(-4, 4, width=32)
    return st.integers(1, as_count("most", most)).flatmap(lambda b: arrays(np.float64, (b, dim), elements=values))
