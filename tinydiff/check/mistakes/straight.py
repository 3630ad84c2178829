"""Mistakes in the loss of flow matching, in the velocity of the straight path, and on the way to that path."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import hypot, sqrt

from tinydiff.check.laws.straight import flow_matching_loss, to_straight, velocity_from_eps


def matching(**o: Any) -> Callable:
    """The loss, with the point, the time, the target or the mean changed."""

    def line(x0: Any, x1: Any, t: Any) -> Any:
        return (1 - t) * x0 + t * x1

    def function(velocity: Callable, x0: Any, x1: Any, t: Any) -> Any:
        x_t = o.get("point", line)(x0, x1, t[:, None])
        off = velocity(x_t, o.get("time", lambda t: t)(t)) - o.get("target", lambda x0, x1: x1 - x0)(x0, x1)
        return o.get("mean", lambda off: np.mean(off**2))(off)

    return function


mistake = flow_matching_loss.mistake
mistake("the target x_0 − x_1, the way back", matching(target=lambda x0, x1: x0 - x1))
mistake("the target x_1 + x_0", matching(target=lambda x0, x1: x1 + x0))
mistake("the target x_1: a prediction of the source", matching(target=lambda x0, x1: x1))
mistake("the target x_0: a prediction of the data", matching(target=lambda x0, x1: x0))
mistake("t x_0 + (1 − t) x_1 in place of x_t", matching(point=lambda x0, x1, t: t * x0 + (1 - t) * x1))
mistake("velocity asked at 1 − t", matching(time=lambda t: 1 - t))
mistake("x_0 and x_1 exchanged: the data at t = 1", lambda u, x0, x1, t: matching()(u, x1, x0, t))
mistake("velocity asked at x_0 in place of x_t", matching(point=lambda x0, x1, t: x0))
mistake("velocity asked at x_1 in place of x_t", matching(point=lambda x0, x1, t: x1))
mistake("x_0 + t x_1 in place of x_t", matching(point=lambda x0, x1, t: x0 + t * x1))
mistake(
    "√(1 − t²) x_0 + t x_1 in place of x_t: noise that keeps the variance",
    matching(point=lambda x0, x1, t: sqrt(1 - t**2) * x0 + t * x1),
)
mistake("the sum over all numbers", matching(mean=lambda off: np.sum(off**2)))
mistake("the mean over rows of sums over coordinates", matching(mean=lambda off: np.mean(np.sum(off**2, axis=1))))
mistake("the sum over rows of means over coordinates", matching(mean=lambda off: np.sum(np.mean(off**2, axis=1))))
mistake("half of the mean", matching(mean=lambda off: np.mean(off**2) / 2))
mistake("the root of the mean", matching(mean=lambda off: sqrt(np.mean(off**2))))
mistake("the mean of |…| in place of squares", matching(mean=lambda off: np.mean(abs(off))))
mistake("the square of the mean", matching(mean=lambda off: np.mean(off) ** 2))
mistake("the first pair alone", matching(mean=lambda off: np.mean(off[:1] ** 2)))
mistake("the time of the first pair for all", lambda u, x0, x1, t: matching()(u, x0, x1, 0 * t + t[0]))

mistake = velocity_from_eps.mistake
mistake("not divided by 1 − t", lambda x, t, eps: eps - x)
mistake("divided by t", lambda x, t, eps: (eps - x) / np.float64(t))
mistake("the sign: (x_t − ε)/(1 − t), which is x_0 − ε", lambda x, t, eps: (x - eps) / (1 - t))
mistake("t ε in place of ε: (t ε − x_t)/(1 − t), which is −x_0", lambda x, t, eps: (t * eps - x) / (1 - t))
mistake("ε alone", lambda x, t, eps: eps * 1.0)
mistake("x_0 alone", lambda x, t, eps: (x - t * eps) / (1 - t))
mistake("ε + x_0", lambda x, t, eps: eps + (x - t * eps) / (1 - t))
mistake("ε − x_0 with x_0 = x_t − t ε, not divided by 1 − t", lambda x, t, eps: eps - (x - t * eps))
mistake("divided by 1 + t", lambda x, t, eps: (eps - x) / (1 + t))
mistake("divided by √(1 − t)", lambda x, t, eps: (eps - x) / sqrt(1 - t))
mistake("divided by (1 − t)²", lambda x, t, eps: (eps - x) / (1 - t) ** 2)
mistake("ε − x_0 with x_0 = (x_t − √t ε)/√(1 − t)", lambda x, t, eps: eps - (x - sqrt(t) * eps) / sqrt(1 - t))
mistake("the data at t = 1: (x_t − ε)/t", lambda x, t, eps: (x - eps) / np.float64(t))
mistake("(1 − t) ε − t x_0 in place of ε − x_0", lambda x, t, eps: (1 - t) * eps - t * (x - t * eps) / (1 - t))

mistake = to_straight.mistake
mistake("x not scaled", lambda x, a, s: (x * 1.0, s / (a + s)))
mistake("x divided by α", lambda x, a, s: (x / np.float64(a), s / (a + s)))
mistake("x divided by √(α² + σ²)", lambda x, a, s: (x / hypot(a, s), s / (a + s)))
mistake("x times α + σ", lambda x, a, s: (x * (a + s), s / (a + s)))
mistake("t′ = σ", lambda x, a, s: (x / (a + s), s * 1.0))
mistake("t′ = σ/α, which is t′/(1 − t′)", lambda x, a, s: (x / (a + s), s / np.float64(a)))
mistake("t′ = α/(α + σ): the data at 1", lambda x, a, s: (x / (a + s), a / (a + s)))
mistake("t′ = σ²/(α² + σ²)", lambda x, a, s: (x / (a + s), s**2 / (a**2 + s**2)))
mistake("t′ = σ/√(α² + σ²)", lambda x, a, s: (x / (a + s), s / hypot(a, s)))
mistake("t′ = 1 − α", lambda x, a, s: (x / (a + s), 1.0 - a))
mistake("√(α² + σ²) in place of α + σ in both", lambda x, a, s: (x / hypot(a, s), s / hypot(a, s)))
mistake("x (1 − t′), not divided by α", lambda x, a, s: (x * a / (a + s), s / (a + s)))
mistake("x t′, not divided by σ", lambda x, a, s: (x * s / (a + s), s / (a + s)))
