"""Mistakes in the tilted Gaussian."""

from typing import Any

import numpy as np

from tinydiff.check.laws.tilted import tilted_gaussian


def tilted(m: Any, v: Any, w: float, **change: Any) -> tuple:
    """Mean and variance, with the precision or the precision times the mean changed."""
    precision = change.get("precision", (1 + w) / v - w)
    return change.get("pull", (1 + w) * m / v) / precision, 1 / precision


def what_the_flow_gives(m: Any, v: Any, w: float) -> tuple:
    """The law of the samples of the guided flow, which is not the tilted one."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    alpha = (nodes + 1) / 2
    area = np.sum(weights / 2 * (1 - alpha**2 * (1 - np.asarray(v)[..., None])) ** (-(3 + w) / 2), axis=-1)
    return (1 + w) * m * v ** ((1 + w) / 2) * area, v ** (1 + w) + 0 * m


tilted_gaussian.mistake(
    "a plus before w, of N(0, 1) multiplied and not divided", lambda m, v, w: tilted(m, v, w, precision=(1 + w) / v + w)
)
tilted_gaussian.mistake("N(0, 1) forgotten", lambda m, v, w: tilted(m, v, w, precision=(1 + w) / v))
tilted_gaussian.mistake("w/v in place of (1 + w)/v", lambda m, v, w: tilted(m, v, w, precision=w / v - w + 1))
tilted_gaussian.mistake("variances weighted in place of their inverses", lambda m, v, w: ((1 + w) * m, (1 + w) * v - w))
tilted_gaussian.mistake("the mean of the class, unmoved", lambda m, v, w: (1.0 * m, tilted(m, v, w)[1]))
tilted_gaussian.mistake("the mean (1 + w) m", lambda m, v, w: ((1 + w) * m, tilted(m, v, w)[1]))
tilted_gaussian.mistake("m in place of m/v above the mean", lambda m, v, w: tilted(m, v, w, pull=(1 + w) * m))
tilted_gaussian.mistake("1 + w forgotten in the mean", lambda m, v, w: tilted(m, v, w, pull=m / v))
tilted_gaussian.mistake(
    "the precision returned in place of the variance", lambda m, v, w: (tilted(m, v, w)[0], (1 + w) / v - w)
)
tilted_gaussian.mistake(
    "the root: a standard deviation in place of the variance",
    lambda m, v, w: (tilted(m, v, w)[0], np.sqrt(tilted(m, v, w)[1])),
)
tilted_gaussian.mistake("v taken for a standard deviation", lambda m, v, w: tilted(m, v**2, w))
tilted_gaussian.mistake("the sign of w", lambda m, v, w: tilted(m, v, -w))
tilted_gaussian.mistake("w in place of 1 + w, and w − 1 in place of w", lambda m, v, w: tilted(m, v, w - 1))
tilted_gaussian.mistake("w ignored: the class", lambda m, v, w: (1.0 * m, 1.0 * v))
tilted_gaussian.mistake("w ignored: always 1", lambda m, v, w: tilted(m, v, 1.0))
tilted_gaussian.mistake("variance first: another order of the two", lambda m, v, w: tilted(m, v, w)[::-1])
tilted_gaussian.mistake("v/(1 + w), as if a power only narrowed", lambda m, v, w: (1.0 * m, v / (1 + w)))
tilted_gaussian.mistake("v^{1+w}, the variance of the guided flow's samples", what_the_flow_gives)
