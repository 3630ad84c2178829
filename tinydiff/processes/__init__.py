"""Forward processes: how data turn into noise.

    x_t = α(t) x_0 + σ(t) ε,    ε ~ N(0, I),    t ∈ [0, 1]: data at 0, noise at 1

A process is two functions, α and σ. `process.at(t)` is a level of noise: the numbers of a process at one time, in which
every formula of the library is written. Where a step of a sampler goes from t down to s < t, `now` is the level at t
and `then` the level at s: the order of the walk, from noise to data.

A chain of T steps (`Discrete`) lives on the grid t = n/T, n = 0..T, where index n means n noising steps.
"""

from tinydiff.processes.base import LOG_SNR_END, Level, Process, posterior, same_process, transition
from tinydiff.processes.continuous import VE, VP, Cosine, Straight, SubVP
from tinydiff.processes.discrete import Discrete

__all__ = [
    "LOG_SNR_END", "VE", "VP", "Cosine", "Discrete", "Level", "Process", "Straight", "SubVP", "posterior",
    "same_process", "transition",
]  # fmt: skip
