"""What every sampler asks of its arguments, and the levels that it walks along."""

from collections.abc import Iterator

from tinydiff import grids
from tinydiff.backend import Array
from tinydiff.checks import check_points
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.processes import Level

Times = grids.Times
Walk = Iterator[tuple[float, Array]]
"""Pairs (t, x), one for each of the times."""


def levels(model: Denoiser, x: Array, ts: Times, name: str = "x") -> list[Level]:
    """The levels of falling times in (0, 1]; TypeError or ValueError for what is no denoiser, points or times."""
    check_denoiser(model)
    check_points(x, model.dim, name)
    return grids.levels(model.process, ts)


def flow_levels(model: Denoiser, x: Array, ts: Times, *, rising: bool = False) -> list[Level]:
    """The same for what needs f and g², between t_max and t_min; with `rising` the times may also rise."""
    check_denoiser(model)
    check_points(x, model.dim, "x")
    return grids.flow_levels(model.process, ts, rising=rising)
