"""The flow of any velocity: dx/dt = u(x, t), from one time to another, by the solvers of order 1, 2 and 4.

It is for velocities that are no denoiser's, such as `flow_matching` learns between two data sets; a denoiser's is
`probability_flow`.
"""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Literal, get_args

from tinydiff.backend import Array
from tinydiff.checks import check_choice
from tinydiff.sampling.solvers import STEPS
from tinydiff.sampling.walk import Walk

Method = Literal["euler", "heun", "rk4"]


def flow(u: Callable[[Array, Any], Array], x: Array, ts: Iterable[float], *, method: Method = "rk4") -> Walk:
    """Follow a velocity along times that fall, from the source to data, or rise.

    Parameters
    ----------
    u : callable
        u(x, t) ↦ dx/dt, (B, D), such as a Velocity.
    x : (B, D)
        The points at the first of the times.
    ts : (N,)
        The times.
    method : {"euler", "heun", "rk4"}
        The solver, of 1, 2 and 4 evaluations for each step.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For what is no function, times that are not finite or none at all, another method, and as u does.

    References
    ----------
    Lipman et al. 2023 (flow matching), eq. 1.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> end = td.last(td.flow(lambda x, t: -x, np.ones((1, 1)), np.linspace(1, 0, 11)))[1]
    >>> bool(np.isclose(end[0, 0], np.e, rtol=1e-5))
    True
    """
    if not callable(u):
        raise TypeError(f"u must be a function (x, t) ↦ dx/dt, such as a Velocity; got {u!r}.")
    check_choice("method", method, get_args(Method))
    times = [float(t) for t in ts]
    if not times or not all(map(math.isfinite, times)):
        raise ValueError(f"ts must hold one or more finite times; got {times[:4]}.")
    yield times[0], x
    for t, s in pairwise(times):
        x = STEPS[method](u, x, t, s)
        yield s, x
