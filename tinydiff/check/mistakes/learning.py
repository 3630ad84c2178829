"""Mistakes in the optimizer, the average of the parameters and the features of time."""

from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.laws.learning import adam_step, ema_update, fourier_features


def adam(
    theta: Any, grad: Any, mu: Any, nu: Any, count: int, lr: float, b1: float, b2: float, eps: float, **o: Any
) -> tuple:
    """Adam, with one thing changed."""
    m = b1 * mu + (1 - b1) * grad
    n = b2 * nu + (1 - b2) * o.get("square", np.square)(grad)
    c1, c2 = o.get("correct", lambda: (1 - b1**count, 1 - b2**count))()
    step = o.get("quotient", lambda a, b: a / (sqrt(b) + eps))(m / c1, n / c2)
    return theta - lr * step, m, n


adam_step.mistake("no correction of the averages for their start at 0", lambda *a: adam(*a, correct=lambda: (1, 1)))
adam_step.mistake(
    "the count before this step, one too low",
    lambda *a: adam(*a, correct=lambda: (1 - a[6] ** (a[4] - 1), 1 - a[7] ** (a[4] - 1))),
)
adam_step.mistake(
    "the count after this step, one too high",
    lambda *a: adam(*a, correct=lambda: (1 - a[6] ** (a[4] + 1), 1 - a[7] ** (a[4] + 1))),
)
adam_step.mistake("1 − b in place of 1 − bᶜ", lambda *a: adam(*a, correct=lambda: (1 - a[6], 1 - a[7])))
adam_step.mistake("eps within the root", lambda *a: adam(*a, quotient=lambda m, n: m / sqrt(n + a[8])))
adam_step.mistake("the root of ν̂ forgotten", lambda *a: adam(*a, quotient=lambda m, n: m / (n + a[8])))
adam_step.mistake("a step up", lambda *a: adam(*a, quotient=lambda m, n: -m / (sqrt(n) + a[8])))
adam_step.mistake("the gradient not squared in ν", lambda *a: adam(*a, square=np.abs))
adam_step.mistake("b_1 and b_2 exchanged", lambda *a: adam(*(*a[:6], a[7], a[6], a[8])))
adam_step.mistake("the old averages returned", lambda *a: (adam(*a)[0], a[2], a[3]))
adam_step.mistake("the step alone, without θ", lambda *a: (adam(*a)[0] - a[0], *adam(*a)[1:]))
adam_step.mistake(
    "the corrected averages returned",
    lambda *a: (adam(*a)[0], adam(*a)[1] / (1 - a[6] ** a[4]), adam(*a)[2] / (1 - a[7] ** a[4])),
)


ema_update.mistake("decay and 1 − decay exchanged", lambda ema, theta, decay: (1 - decay) * ema + decay * theta)
ema_update.mistake("θ not scaled by 1 − decay", lambda ema, theta, decay: decay * ema + theta)
ema_update.mistake("ema not scaled by decay", lambda ema, theta, decay: ema + (1 - decay) * theta)
ema_update.mistake("the sign of the difference", lambda ema, theta, decay: ema - (1 - decay) * (theta - ema))
ema_update.mistake("decay² in place of decay", lambda ema, theta, decay: decay**2 * ema + (1 - decay**2) * theta)
ema_update.mistake("the plain mean of the two", lambda ema, theta, decay: (ema + theta) / 2)
ema_update.mistake("θ + decay · ema, without the difference", lambda ema, theta, decay: theta + decay * ema)
ema_update.mistake("θ returned as it is", lambda ema, theta, decay: 1.0 * theta)


def waves(angle: np.ndarray) -> np.ndarray:
    """Sines, then cosines."""
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


fourier_features.mistake("cycles in place of radians: 2π ω t", lambda t, w: waves(2 * np.pi * t[:, None] * w))
fourier_features.mistake("t/ω in place of ω t", lambda t, w: waves(t[:, None] / w))
fourier_features.mistake("sines alone, twice", lambda t, w: np.tile(np.sin(t[:, None] * w), 2))
fourier_features.mistake("cosines alone, twice", lambda t, w: np.tile(np.cos(t[:, None] * w), 2))
fourier_features.mistake("divided by √F", lambda t, w: waves(t[:, None] * w) / sqrt(len(w)))
fourier_features.mistake("sines without cosines", lambda t, w: np.sin(t[:, None] * w))
fourier_features.mistake("degrees in place of radians", lambda t, w: waves(np.deg2rad(t[:, None] * w)))
fourier_features.mistake("the phase t + ω in place of ω t", lambda t, w: waves(t[:, None] + w))
