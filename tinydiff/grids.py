"""Time grids: where a sampler evaluates the model.

`grid(process, steps)` gives steps + 1 times that fall from `process.t_max` to `process.t_min`, for the SDE and ODE
methods; with `to_zero=True` the last of them is 0 and the one before is t_min, for the samplers that end on data
(ancestral, DDIM, DPM-Solver++). Either way there are `steps` steps. On a `Discrete` process times are rounded to the
grid n/T without repeats, so there may be fewer. `grid(...)[::-1]` encodes: increasing grids lead to noise.
"""

from collections.abc import Callable

import numpy as np

from tinydiff.processes import LOG_SNR_END, Process

Grid = Callable[..., np.ndarray]


def uniform(process: Process, steps: int, to_zero: bool = False) -> np.ndarray:
    """Equal steps in t."""
    return _finish(process, np.linspace(process.t_max, process.t_min, _points(steps, to_zero)), to_zero)


def log_snr(process: Process, steps: int, to_zero: bool = False, end: float | None = None) -> np.ndarray:
    """Equal steps in log-SNR, the natural clock of a diffusion [Lu et al. 2022, DPM-Solver].

    end: stop at this log-SNR rather than at t_min's; with to_zero=True the next time is 0.
    """
    noisy, clean = log_snr_ends(process)
    if end is not None and not noisy < end <= clean:
        raise ValueError(f"end must be a log-SNR over {noisy:.4g}, at most {clean:.4g} of {process}; got {end}.")
    lam = np.linspace(noisy, clean if end is None else end, _points(steps, to_zero))
    return _finish(process, process.time(lam), to_zero, last=end is None)


def karras(process: Process, steps: int, to_zero: bool = False, rho: float = 7.0) -> np.ndarray:
    """Equal steps in (σ/α)^{1/ρ}: finer where there is little noise [Karras et al. 2022, EDM, §3]."""
    if not rho > 0:
        raise ValueError(f"rho must be positive; got {rho}.")
    noisy, clean = np.exp(-0.5 * np.array(log_snr_ends(process)) / rho)  # (σ/α)^{1/ρ}
    ratio = np.linspace(noisy, clean, _points(steps, to_zero)) ** rho
    return _finish(process, process.time(-2 * np.log(ratio)), to_zero)


def _points(steps: int, to_zero: bool) -> int:
    if steps < 1:
        raise ValueError(f"steps must be at least 1; got {steps}.")
    return steps if to_zero else steps + 1


def log_snr_ends(process: Process) -> tuple[float, float]:
    """The log-SNR at t_max, kept finite where no signal is left, and at t_min."""
    return max(float(process.log_snr(process.t_max)), -LOG_SNR_END), float(process.log_snr(process.t_min))


def _finish(process: Process, ts: np.ndarray, to_zero: bool, last: bool = True) -> np.ndarray:
    ts = process.nearest(np.clip(ts, process.t_min, process.t_max))
    ts[0] = process.t_max
    if len(ts) > 1 and last:
        ts[-1] = process.t_min
    ts = np.unique(ts)[::-1]
    return np.append(ts, 0.0) if to_zero else ts
