"""What every sampler asks of its arguments, and the levels that it walks along."""

from collections.abc import Iterable
from typing import Any

from tinydiff import grids
from tinydiff.backend import Array
from tinydiff.checks import check_points
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.processes import Level


def levels(model: Denoiser, x: Array, ts: Iterable[Any]) -> list[Level]:
    """The levels of falling times in (0, 1]; ValueError unless x (B, D) and ts are the model's to walk."""
    check_denoiser(model)
    check_points(x, model.dim, "x")
    return grids.levels(model.process, ts)


def flow_levels(model: Denoiser, x: Array, ts: Iterable[Any], *, rising: bool = False) -> list[Level]:
    """The same for what needs f and g², from t_max to t_min at the most, and back where times may be rising."""
    check_denoiser(model)
    check_points(x, model.dim, "x")
    return grids.flow_levels(model.process, ts, rising=rising)
