"""Hold a sampler, schedule or model of your own against the truth: what to draw, and what to assert.

On mixtures the truth is exact, so a law can be asked of any code that takes a denoiser. The strategies draw, with
Hypothesis, what a law quantifies over: mixtures, processes, times, grids, rows of points. The assertions say how a
statement about limits or chance is tested: that errors fall with the order of a method, that an average is what it
estimates, that draws follow a law. Each fails with a sentence that gives the number that it found.

Importing this needs Hypothesis, ``pip install "tinydiff[testing]"``; it runs with pytest or without.
"""

from tinydiff.testing.assertions import assert_order, assert_same_law, assert_unbiased
from tinydiff.testing.strategies import chains, generators, grids, mixtures, processes, rows, times

__all__ = [
    "assert_order",
    "assert_same_law",
    "assert_unbiased",
    "chains",
    "generators",
    "grids",
    "mixtures",
    "processes",
    "rows",
    "times",
]
