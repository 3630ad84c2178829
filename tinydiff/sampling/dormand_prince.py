"""Dormand and Prince's method: steps of order 5, whose length an estimate of their error decides [1980]."""

from collections.abc import Iterator
from itertools import pairwise

from tinydiff.backend import Array, namespace
from tinydiff.checks import check_start, check_tolerances
from tinydiff.sampling.solvers import Slope

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""Dormand & Prince's 5(4) pair [1980]: row i, from 0 on, gives stage i + 2; the last stage is the next step's first."""
ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""The fifth-order result minus the fourth-order one, as weights of the seven slopes."""


def rk45(f: Slope, x: Array, ts: list[float], rtol: float, atol: float) -> Iterator[tuple[float, Array]]:
    """(t, x) at each of ts, by steps of order 5 whose length the error decides; x (B, D).

    The embedded result of order 4 gives the error e of a step. In each row it is measured by √(mean_d (e/(atol + rtol
    max(|x|, |x_new|)))²), and the worst row decides for all: where that is over 1, the step is taken again, shorter;
    the next one is .9 error^{−1/5} times as long, between a fifth and five times. Steps end on the times asked for, and
    one cut short for that does not shorten the next; a walk of two times, from end to end, leaves it most free. Six
    evaluations a step, tried or taken, and one more. ValueError for points that are not finite, and tolerances that
    rounding alone exceeds; FloatingPointError where no step meets them.
    """
    xp = namespace(x)
    check_start(x)
    yield ts[0], x
    if len(ts) == 1:
        return
    h, slope = (ts[1] - ts[0]) / 100, f(x, ts[0])
    for t, s in pairwise(ts):
        while t != s:
            reaches = abs(h) >= abs(s - t) * (1 - 1e-9)
            step = s - t if reaches else h
            slopes = [slope]
            for node, weights in zip(NODES, STAGES, strict=True):
                new = x + step * _weighted(weights, slopes)
                slopes.append(f(new, s if reaches and node == 1 else t + node * step))
            size = xp.maximum(xp.abs(x), xp.abs(new))
            allowed = atol + rtol * size
            check_tolerances(allowed, size, rtol, atol)
            error = step * _weighted(ERROR, slopes) / allowed
            worst = float(xp.max(xp.mean(error * error, axis=1))) ** 0.5
            proposed = step * min(5.0, max(0.2, 0.9 * max(worst, 1e-10) ** -0.2))  # a fifth where worst is NaN, too
            if worst <= 1:
                t, x, slope = (s if reaches else t + step), new, slopes[-1]
                h = max(h, proposed, key=abs) if reaches else proposed  # a step cut short says little of the next
            elif abs(h := proposed) < 1e-12:
                raise FloatingPointError(f"rk45 found no step at t = {t:.6g} for {rtol = :g}, {atol = :g}: raise them.")
        yield s, x


def _weighted(weights: tuple[float, ...], slopes: list[Array]) -> Array:
    return sum((w * k for w, k in zip(weights, slopes, strict=True) if w), start=0.0 * slopes[0])
