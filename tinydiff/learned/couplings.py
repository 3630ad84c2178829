"""Couplings: which point of the data goes with which of the source, for `flow_matching`.

A coupling is a function (rng, n) ↦ (x_0, x_1), n points of either law, row by row a pair. Its marginals are all that
the end of the flow depends on; how x_0 and x_1 go together decides how straight the way is, and so how many steps it
takes.

    independent   any with any
    optimal       within each batch, the pairing of the least Σ ‖x_0 − x_1‖²  [Pooladian et al. 2023; Tong et al. 2024]
    reflowed      x_1 with where a velocity carries it, x_0 = Φ(x_1): reflow  [Liu et al. 2023]
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.extras import extra
from tinydiff.learned.flow_matching import Pairs, dim_of_pairs
from tinydiff.learned.train import batches


def independent(data: Any, source: Any = None) -> Pairs:
    """Any point of the data with any of the source.

    Parameters
    ----------
    data, source : GaussianMixture, (N, D) or anything with .sample(rng, n)
        The two laws; without a source it is noise from N(0, I).

    Returns
    -------
    callable
        (rng, n) ↦ (x_0, x_1).

    Raises
    ------
    TypeError, ValueError
        For points that are not finite or far from unit scale, and laws of different dimensions.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x0, x1 = td.couplings.independent(td.toys.ring8())(np.random.default_rng(0), 5)
    >>> x0.shape, x1.shape
    ((5, 2), (5, 2))
    """
    dim = checks.dim_of(data)
    draw = batches(data, dim, 0)
    noise = GaussianMixture([1.0], [np.zeros(dim)], [np.eye(dim)])
    draw_source = batches(noise if source is None else source, dim, 0)
    return lambda rng, n: (draw(rng, n)[0], draw_source(rng, n)[0])


def optimal(pairs: Pairs, group: int = 64) -> Pairs:
    """The same points, paired anew in groups of at most so many rows, with the least Σ ‖x_0 − x_1‖² in each.

    The law of either end stays as it was. In larger groups the ways are straighter; the assignment costs group³.

    Parameters
    ----------
    pairs : callable
        A coupling.
    group : int
        How many rows are paired among themselves.

    Returns
    -------
    callable
        (rng, n) ↦ (x_0, x_1).

    Raises
    ------
    TypeError, ValueError
        For what is no coupling, and a group that is not a whole number from 1 up.

    References
    ----------
    Pooladian et al. 2023 (multisample flow matching), §3; Tong et al. 2024 (OT-CFM), §3.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> pairs = td.couplings.independent(td.toys.ring8())
    >>> x0, x1 = td.couplings.optimal(pairs)(np.random.default_rng(0), 64)
    >>> y0, y1 = pairs(np.random.default_rng(0), 64)
    >>> bool(np.sum((x0 - x1) ** 2) < np.sum((y0 - y1) ** 2))
    True
    """
    with extra("app"):
        from scipy.optimize import linear_sum_assignment  # slow to import
        from scipy.spatial.distance import cdist

    checks.as_count("group", group)
    dim_of_pairs(pairs)

    def paired(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        x0, x1 = pairs(rng, n)
        order = np.arange(n)
        for start in range(0, n, group):
            rows = slice(start, start + group)
            order[rows] = start + linear_sum_assignment(cdist(x0[rows], x1[rows], "sqeuclidean"))[1]
        return x0, x1[order]

    return paired


def reflowed(carry: Callable[[Array], Array], x1: Array) -> Pairs:
    """Points of the source with where a flow carries them: pairs for another, straighter velocity.

    They are carried once, here; then pairs are drawn from them.

    Parameters
    ----------
    carry : callable
        x_1 ↦ x_0 = Φ(x_1), such as ``lambda x: td.last(td.flow(u, x, np.linspace(1, 0, 51)))[1]``.
    x1 : (N, D)
        Points of the source, some thousands.

    Returns
    -------
    callable
        (rng, n) ↦ (x_0, x_1).

    Raises
    ------
    TypeError, ValueError
        For what is no function, what are no points, and where what is carried has another shape.

    References
    ----------
    Liu et al. 2023 (rectified flow), Alg. 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> pairs = td.couplings.reflowed(lambda x: -x, td.toys.ring8().sample(0, 100))
    >>> x0, x1 = pairs(np.random.default_rng(0), 3)
    >>> bool(np.all(x0 == -x1))
    True
    """
    if not callable(carry):
        raise TypeError(f"carry must be a function x_1 ↦ x_0; got {carry!r}.")
    if not hasattr(x1, "ndim") or x1.ndim != 2 or not len(x1):
        raise ValueError(f"x1 must be an array of points (N, D), one or more; got {type(x1).__name__}.")
    x0 = carry(x1)
    if np.shape(x0) != np.shape(x1):
        raise ValueError(f"carry must give a point for each of {np.shape(x1)}; got {np.shape(x0)}.")

    def pairs(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        rows = rng.integers(0, len(x1), n)
        return x0[rows], x1[rows]

    return pairs


def transport_cost(x0: Array, x1: Array) -> float:
    """E ‖x_1 − x_0‖²/D over pairs (n, D): what reflow never raises [Liu et al. 2023, Thm. 3.5]."""
    return float(np.mean((x1 - x0) ** 2))


def straightness(u: Callable[[Array, Any], Array], walk: list[tuple[float, Array]]) -> float:
    """∫ E ‖(x_1 − x_0) − u(x_t, t)‖²/D dt along a walk of a flow: 0 where every way is a line at constant speed.

    [Liu et al. 2023, eq. 3], by the trapezoid over the times of the walk.
    """
    (start, x), (end, y) = walk[0], walk[-1]
    chord = (y - x) / (end - start)
    off = [float(np.mean((chord - u(at, t)) ** 2)) for t, at in walk]
    return float(np.abs(np.trapezoid(off, [t for t, _ in walk])))
