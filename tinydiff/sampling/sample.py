"""Drawing from a model: the prior, the walk of a sampler, and the answer.

The answer is x̂_0 at the last time of the walk, the mean of all data that could have led there. It is what a step to
s = 0 of DDPM, DDIM and DPM-Solver++ is, what EDM does, what score SDEs call denoising, and the last line of DDPM's
Algorithm 2 with z = 0. So every sampler ends on data, a generator of one's own included.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinydiff import grids
from tinydiff.backend import Array
from tinydiff.checks import as_count, as_generator
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.learned.train import last
from tinydiff.processes import Discrete
from tinydiff.sampling.adams_bashforth import adams_bashforth
from tinydiff.sampling.ddim import ddim
from tinydiff.sampling.walk import Times, Walk

Sampler = Callable[..., Iterable[tuple[float, Array]]]


def default_sampler(model: Denoiser, x: Array, ts: Times, *, rng: Any = None) -> Walk:
    """The sampler of `sample` unless another is given: `ddim` on a `Discrete` process, else `adams_bashforth`."""
    return (ddim if isinstance(model.process, Discrete) else adams_bashforth)(model, x, ts)


def sample(
    model: Denoiser, n: int, *, sampler: Sampler = default_sampler, steps: int = 50,
    grid: grids.Grid = grids.default, rng: Any, **options: Any,
) -> Array:  # fmt: skip
    """Draw n points from a model: from noise, by a sampler, to data.

    Parameters
    ----------
    model : Denoiser
        Exact or learned.
    n : int
        The number of points.
    sampler : callable
        sampler(model, x, ts, rng=rng, **options) yields (t, x) for each of the times ts: one of the library's, a
        partial of it, or a generator of your own. One that returns a denoiser, as `inpaint` does, has that answer; and
        one that ends at t = 0 itself is not asked further. By default it is `adams_bashforth`, and on a `Discrete`
        process `ddim`.
    steps : int
        How many times (points in time) the walk has: steps − 1 steps of the sampler, and the answer at the last. A
        sampler of one evaluation a step asks the model so often.
    grid : callable
        grid(process, steps − 1) gives the times. By default they are `logistic`, and on a `Discrete` process
        strided.
    rng : Generator or int
        The source of all noise, or a seed. What a stochastic sampler draws for a row depends on the number of rows.
    options
        For the sampler, such as eta= or method=.

    Returns
    -------
    (n, D)
        Points of the library, device and dtype of the model.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, n or steps under 1, an rng that is neither a generator nor a seed, and as the grid and
        the sampler do.

    Warns
    -----
    UserWarning
        Where the prior is off by over 0.01 nats per dimension for data of unit variance, as with a schedule that does
        not reach the noise.

    References
    ----------
    Ho et al. 2020 (DDPM), Alg. 2; Karras et al. 2022 (EDM), Alg. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> data = td.toys.ring8()
    >>> x = td.sample(td.Oracle(data, td.VP()), 1000, rng=0)
    >>> x.shape, bool(data.log_density(x).mean() > -2)
    ((1000, 2), True)
    """
    return last(_pairs(model, n, sampler, steps, grid, rng, options))[1]


def trajectory(
    model: Denoiser, n: int, *, sampler: Sampler = default_sampler, steps: int = 50,
    grid: grids.Grid = grids.default, rng: Any, **options: Any,
) -> Walk:  # fmt: skip
    """The way of n points from noise to data; `sample` is its last x.

    Parameters
    ----------
    model, n, sampler, steps, grid, rng, options
        As for `sample`.

    Returns
    -------
    iterator of (t, x)
        The walk, which begins with the prior's draw, and (0.0, x̂_0) last: steps + 1 pairs.

    Raises
    ------
    TypeError, ValueError
        As `sample`.

    Examples
    --------
    >>> import tinydiff as td
    >>> way = list(td.trajectory(td.Oracle(td.toys.ring8(), td.VP()), 5, steps=3, rng=0))
    >>> [round(t, 3) for t, x in way]
    [1.0, 0.108, 0.0, 0.0]
    """
    return _pairs(model, n, sampler, steps, grid, rng, options)


def _pairs(model: Denoiser, n: int, sampler: Sampler, steps: int, grid: grids.Grid, rng: Any, options: dict) -> Walk:
    check_denoiser(model)
    if not callable(sampler):
        raise TypeError(f"sampler must be a function, such as td.ddim; got {sampler!r}.")
    as_count("n", n)
    as_count("steps", steps)
    rng, process = as_generator(rng), model.process
    gap = process.prior_gap(np.ones((1, 1))).item()
    if gap > 0.01:
        warnings.warn(f"{process} ends {gap:.2g} nats per dimension from its prior: samples will be off.", stacklevel=3)
    ts = grid(process, steps - 1)
    return _answered(model, sampler(model, process.prior(rng, n, model.like), ts, rng=rng, **options))


def _answered(model: Denoiser, walk: Iterable[tuple[float, Array]]) -> Walk:
    """The walk, and then the answer of the model, or of the denoiser that the sampler returns."""
    pairs, t = iter(walk), 0.0
    while True:
        try:
            t, x = next(pairs)
        except StopIteration as end:
            answering = end.value if isinstance(end.value, Denoiser) else model
            break
        yield t, x
    if t > 0:
        yield 0.0, answering.x0(x, t)
