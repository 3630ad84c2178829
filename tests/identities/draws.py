"""What the identities quantify over, beside what tinydiff.testing draws: kinds of processes, journeys, shapes."""

from functools import partial

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import tinydiff as td
from tinydiff import testing
from tinydiff.testing import mixtures, times

__all__ = ["betas", "chains", "generators", "journeys", "mixtures", "processes", "shapes", "times"]

betas = st.lists(st.floats(1e-4, 0.95), min_size=1, max_size=12).map(np.array)
"""A short schedule, rising or not."""

constant_variance = testing.processes(td.VP, partial(td.VP, 0.1, 40.0), partial(td.VP, 2.0, 2.0), td.Cosine)
sdes = constant_variance | testing.processes(td.SubVP, td.VE, td.Straight)
chains = testing.chains()
processes = sdes | chains
generators = testing.generators()

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
"""The shape of a batch: points, vectors or images."""

schedules = testing.processes(
    td.Discrete.linear,
    partial(td.Discrete.quadratic, 100),
    partial(td.Discrete.sigmoid, 100),
    partial(td.Discrete.cosine, 4),
    td.Discrete.cosine,
    lambda: td.Discrete.linear(25).zero_terminal_snr(),
    lambda: td.Discrete.cosine().zero_terminal_snr(),
    partial(td.Discrete.linear, 10, rescale=False),
)
"""The chains that people use; two end without signal, one far from noise."""

every_chain = chains | schedules
every_process = processes | schedules
preserving = every_chain | constant_variance
"""Processes in which data of unit variance keep it."""


@st.composite
def journeys(draw, count: int, of: st.SearchStrategy = every_process, zero: bool = False) -> tuple:
    """A process, and `count` of its times s < t < …; the first may be 0 if asked."""

    def is_long_enough(process: td.Process) -> bool:
        return not isinstance(process, td.Discrete) or process.T + zero >= count

    process = draw(of.filter(is_long_enough))
    return process, draw(times(process, count, zero))


@st.composite
def steps(draw, of: st.SearchStrategy = every_process, zero: bool = False) -> tuple[td.Level, td.Level]:
    """Two levels of a process, the later one first; the earlier one may be data if asked."""
    process, (s, t) = draw(journeys(2, of, zero))
    return process.at(t), process.at(s)


any_mixture = mixtures()
lines = mixtures(dims=(1, 1), components=3)
"""Mixtures in one dimension, for integrals."""


@st.composite
def scenes(
    draw, data: st.SearchStrategy = any_mixture, of: st.SearchStrategy = every_process
) -> tuple[td.GaussianMixture, td.Level, np.ndarray]:
    """A mixture, the level of a process at one of its times, and points x (4, D) drawn from their q_t."""
    mixture, (process, (t,)) = draw(data), draw(journeys(1, of))
    now = process.at(t)
    return mixture, now, mixture.diffused(now.alpha, now.sigma).sample(draw(generators), 4)


snrs = st.floats(-4.0, 3.5).map(np.exp)
"""Signal-to-noise ratios at which the posterior mean is smooth enough to be integrated to rounding."""


@st.composite
def smooth_scenes(draw, data: st.SearchStrategy = lines) -> tuple[td.GaussianMixture, td.Level]:
    """A mixture, and a level of a process with one of the `snrs`."""
    process = draw(processes)
    t = min(float(process.time(np.log(draw(snrs)))), process.t_max)
    assume(process.log_snr(t) < 3.6)
    return draw(data), process.at(t)
