"""Mistakes in the density that a flow gives to a point."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tinydiff.check.laws.likelihood import flow_log_density


def along(drift: Callable, divergence: Callable, log_prior: Callable, x: Any, times: Any, **change: Any) -> Any:
    """The density by Heun's rule, with a piece of it changed."""
    at_end, total, start = change.get("prior", lambda x, end: log_prior(end)), 0.0, x
    for t, s in pairwise(change.get("visited", times)):
        h = change.get("step", lambda t, s: s - t)(t, s)
        first = drift(x, t)
        second = first if change.get("euler") else drift(x + h * first, s)
        moved = x + change.get("way", 1) * h * (first + second) / 2
        total = total + change.get("add", lambda one, other, h: h * (one + other) / 2)(
            divergence(change.get("asked", lambda x, start: x)(x, start), t),
            divergence(change.get("asked", lambda x, start: x)(moved, start), s),
            h,
        )
        x = moved
    return at_end(start, x) + change.get("sign", 1) * total


flow_log_density.mistake("the sign of the divergence", lambda *a: along(*a, sign=-1))
flow_log_density.mistake("the divergence forgotten", lambda *a: along(*a, sign=0))
flow_log_density.mistake(
    "the prior at x, not where the flow has led", lambda *a: along(*a, prior=lambda x, end: a[2](x))
)
flow_log_density.mistake("the prior forgotten", lambda *a: along(*a, prior=lambda x, end: 0.0))
flow_log_density.mistake("half of the divergence", lambda *a: along(*a, sign=0.5))
flow_log_density.mistake("the sign of the prior", lambda *a: along(*a, prior=lambda x, end: -a[2](end)))
flow_log_density.mistake("the flow walked against its direction", lambda *a: along(*a, way=-1))
flow_log_density.mistake("the points that do not move", lambda *a: along(*a, way=0))
flow_log_density.mistake(
    "the divergence asked at x alone, not along the path", lambda *a: along(*a, asked=lambda x, start: start)
)
flow_log_density.mistake(
    "the length of the steps left out of the sum", lambda *a: along(*a, add=lambda one, other, h: (one + other) / 2)
)
flow_log_density.mistake("the length of the steps, not their sign", lambda *a: along(*a, step=lambda t, s: abs(s - t)))
flow_log_density.mistake("all steps as long as the first", lambda *a: along(*a, step=lambda t, s: a[4][1] - a[4][0]))
flow_log_density.mistake(
    "the mean of all steps for each", lambda *a: along(*a, step=lambda t, s: (a[4][-1] - a[4][0]) / len(a[4]))
)
flow_log_density.mistake("the slope at the start of each step alone, Euler's rule", lambda *a: along(*a, euler=True))
flow_log_density.mistake("the last step forgotten", lambda *a: along(*a, visited=a[4][:-1]))
flow_log_density.mistake("the times backwards", lambda *a: along(*a, visited=a[4][::-1]))
flow_log_density.mistake(
    "both ends of the divergence added, without the ½",
    lambda *a: along(*a, add=lambda one, other, h: h * (one + other)),
)
flow_log_density.mistake("a mean over the coordinates", lambda *a: along(*a, sign=1 / a[3].shape[1]))
flow_log_density.mistake("the density in place of its logarithm", lambda *a: np.exp(along(*a)))
flow_log_density.mistake("a sum over the batch", lambda *a: np.full(len(a[3]), along(*a).sum()))
flow_log_density.mistake("a mean over the batch", lambda *a: np.full(len(a[3]), along(*a).mean()))
