"""Time grids: where a sampler evaluates the model.

`grid(process, n)` gives n + 1 times that fall from `process.t_max` to `process.t_min`, so n steps; 0 is never among
them, since `sample` takes its answer x̂_0 at the last. A grid of 2n steps holds the times of the one of n, as Brownian
paths and tests of order need. Reversed, a grid leads from data to noise, `grid(...)[::-1]`.

On a `Discrete` process times are rounded to n/T, and a grid that would repeat one raises a ValueError.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinydiff.checks import as_count, as_falling, check_flow, check_process, check_range, check_walk
from tinydiff.processes import LOG_SNR_END, Discrete, Level, Process

Grid = Callable[[Process, int], np.ndarray]
Times = Iterable[Any]
"""Times, or levels of a process."""


def default(process: Process, n: int) -> np.ndarray:
    """The grid of `sample` unless another is given: `strided` on a `Discrete` process, else `logistic`."""
    return strided(process, n) if isinstance(process, Discrete) else logistic(process, n)


def even_time(process: Process, n: int) -> np.ndarray:
    """Equal steps in t, (n + 1,)."""
    _check(process, n)
    return _finished(process, np.linspace(process.t_max, process.t_min, n + 1))


def strided(process: Process, n: int) -> np.ndarray:
    """n + 1 of the T times of a `Discrete` process, as evenly spread as can be [DDIM, §4.2]; ValueError for others."""
    if not isinstance(process, Discrete):
        raise ValueError(f"a strided grid is for a Discrete process; got {process}. even_time has equal steps in t.")
    return even_time(process, n)


def even_log_snr(process: Process, n: int, end: float | None = None) -> np.ndarray:
    """Equal steps in log-SNR, the natural clock of a diffusion, (n + 1,) [Lu et al. 2022, DPM-Solver, §3.3].

    end: stop at this log-SNR rather than at that of t_min.
    """
    _check(process, n)
    noisy, clean = log_snr_ends(process)
    check_range("end", clean if end is None else end, noisy, clean, open_low=True)
    lam = np.linspace(noisy, clean if end is None else end, n + 1)
    return _finished(process, process.time(lam), last=end is None)


def logistic(process: Process, n: int) -> np.ndarray:
    """Equal shares of a logistic law of the log-SNR λ around 2, of scale 4, cut off at both ends, (n + 1,).

    Steps are short where modes part, λ of −2 to 6 for data of unit variance, and at either end five times as long.
    """
    _check(process, n)
    low, high = 1 / (1 + np.exp((2 - np.array(log_snr_ends(process))) / 4))  # the distribution function
    u = np.linspace(low, high, n + 1)
    return _finished(process, process.time(2 + 4 * np.log(u / (1 - u))))


def karras(process: Process, n: int, rho: float = 7.0) -> np.ndarray:
    """Equal steps in (σ/α)^{1/ρ}, finer where there is little noise, (n + 1,) [Karras et al. 2022, EDM, eq. 5]."""
    _check(process, n)
    check_range("rho", rho, 0, open_low=True)
    noisy, clean = np.exp(-0.5 * np.array(log_snr_ends(process)) / rho)  # (σ/α)^{1/ρ}
    ratio = np.linspace(noisy, clean, n + 1) ** rho
    return _finished(process, process.time(-2 * np.log(ratio)))


def log_snr_ends(process: Process) -> tuple[float, float]:
    """The log-SNR at t_max, kept finite where no signal is left, and at t_min."""
    return max(float(process.log_snr(process.t_max)), -LOG_SNR_END), float(process.log_snr(process.t_min))


def levels(process: Process, ts: Times, *, rising: bool = False) -> list[Level]:
    """The level at each of the times of a walk, which fall within (0, 1]; `rising` also lets them rise.

    ValueError for other times, and for levels of another process.
    """
    walk = [process.at(t if isinstance(t, Level) else float(t)) for t in ts]
    check_walk([now.t for now in walk], rising)
    return walk


def flow_levels(process: Process, ts: Times, *, rising: bool) -> list[Level]:
    """`levels` for what needs f and g²: ValueError on a chain, and for times beyond t_min and t_max."""
    check_continuous(process)
    walk = levels(process, ts, rising=rising)
    check_flow(process, walk[0].t, walk[-1].t)
    return walk


def check_continuous(process: Process) -> None:
    """Raise a ValueError on a chain, which has no f and g²."""
    if isinstance(process, Discrete):
        raise ValueError(f"this needs f and g² of a process in continuous time (VP, VE, …); got {process}.")


def _check(process: Process, n: int) -> None:
    check_process(process)
    as_count("n, the number of steps,", n, 0)


def _finished(process: Process, ts: np.ndarray, *, last: bool = True) -> np.ndarray:
    ts = process.nearest(np.clip(ts, process.t_min, process.t_max))
    if last:
        ts[-1] = process.t_min
    ts[0] = process.t_max
    if len(np.unique(ts)) < len(ts):
        raise ValueError(f"{process} has no {len(ts)} different times on this grid: take fewer, or another grid.")
    return ts


def times_of(ts: Any) -> Callable[[Process, np.random.Generator, int], np.ndarray]:
    """Draws of the times of a grid (N,), each as likely as any other: for ``train(..., times=times_of(ts))``.

    Raises ValueError for times that do not fall, and for none.
    """
    known = as_falling(ts) if np.size(ts) != 1 else np.array(ts, dtype=float).reshape(1)

    def draw(process: Process, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.choice(known, n)

    return draw
