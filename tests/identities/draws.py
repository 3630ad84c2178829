"""What the identities quantify over, as Hypothesis strategies: schedules, processes, times, mixtures, shapes, noise."""

from collections.abc import Callable
from functools import partial

import numpy as np
from hypothesis import strategies as st

import tinydiff as td

betas = st.lists(st.floats(1e-4, 0.95), min_size=1, max_size=12).map(np.array)
"""A short schedule, rising or not."""


def made_by(*makers: Callable[[], td.Process]) -> st.SearchStrategy:
    """A process that one of them makes: anew in each example, since a process caches what follows from its α and σ."""
    return st.sampled_from(makers).map(lambda make: make())


constant_variance = made_by(td.VP, partial(td.VP, 0.1, 40.0), partial(td.VP, 2.0, 2.0), td.Cosine)
sdes = constant_variance | made_by(td.SubVP, td.VE, td.Straight)
chains = betas.map(td.Discrete)
processes = sdes | chains
generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
"""A source of noise, and of whatever need not shrink."""

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
"""The shape of a batch: points, vectors or images."""


@st.composite
def times(draw, process: td.Process, count: int, zero: bool = False) -> list[float]:
    """`count` different times s < t < … of the process, falling within what float32 can tell apart; 0 too if asked."""
    if isinstance(process, td.Discrete):
        steps = draw(st.lists(st.integers(0 if zero else 1, process.T), min_size=count, max_size=count, unique=True))
        return [n / process.T for n in sorted(steps)]
    ends = process.t_min, process.t_max
    u = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count, unique=True))
    return [ends[0] + (ends[1] - ends[0]) * n / 1000 if n or not zero else 0.0 for n in sorted(u)]


@st.composite
def mixtures(
    draw, dims: tuple[int, int] = (1, 3), finite: bool | None = None, components: int = 4
) -> td.GaussianMixture:
    """A mixture in 1 to 3 dimensions with full, singular or zero covariances; `finite` says whether all are zero."""
    k, d, rng = draw(st.integers(1, components)), draw(st.integers(*dims)), draw(generators)
    rank = draw(st.sampled_from([0, 1, d])) if finite is None else 0 if finite else d
    factors = 0.7 * rng.standard_normal((k, d, rank))
    weights = rng.uniform(0.2, 1.0, k)
    return td.GaussianMixture(
        weights / weights.sum(), 2 * rng.standard_normal((k, d)), factors @ factors.swapaxes(1, 2)
    )


schedules = made_by(
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
