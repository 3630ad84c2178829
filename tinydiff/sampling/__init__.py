"""Samplers: from noise to data, with any denoiser.

`sample` is the short way. A sampler itself is a generator of (t, x) pairs along a grid of times, so that a trajectory
can be watched, stopped or drawn; `last` takes the result.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff import grids
from tinydiff.backend import Array
from tinydiff.denoisers import Denoiser
from tinydiff.learned.train import last
from tinydiff.processes import Process
from tinydiff.sampling.ancestral import ddim, ddpm
from tinydiff.sampling.dpm_solver import dpm_solver_pp_2m
from tinydiff.sampling.edm import edm_heun

END_AT_ZERO = {ddpm, ddim, dpm_solver_pp_2m, edm_heun}
"""The samplers that step to x̂_0, and so may end at t = 0; the others end at process.t_min."""


def sample(
    model: Denoiser,
    process: Process,
    n: int,
    *,
    sampler: Callable = ddim,
    steps: int = 50,
    grid: grids.Grid = grids.log_snr,
    rng: np.random.Generator,
    **knobs: Any,
) -> Array:
    """n draws (n, D) from the model: the prior, then `steps` steps of the sampler along the grid.

    process: the one that the model was made for. knobs go to the sampler, such as eta= or method=. The grid ends at 0
    for the samplers in END_AT_ZERO, at process.t_min for any other, yours included. Warns where the prior is off by
    over 0.01 nats per dimension for data of unit variance, as with a schedule that does not reach the noise.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    gap = process.prior_gap(np.ones((1, 1))).item()
    if gap > 0.01:
        warnings.warn(f"{process} ends {gap:.2g} nats per dimension from its prior: samples will be off.", stacklevel=2)
    ts = grid(process, steps, to_zero=sampler in END_AT_ZERO)
    return last(sampler(model, process, process.prior(rng, n, model.like), ts, rng=rng, **knobs))[1]
