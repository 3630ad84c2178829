"""Mistakes in the optimizer, the average of the parameters and the features of time."""

from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.laws.learning import adam_step, ema_update, fourier_features


def adam(
    theta: Any, grad: Any, mu: Any, nu: Any, count: int, lr: float, b1: float, b2: float, eps: float, **o: Any
) -> tuple:
    """Adam, with one thing changed."""
    m = b1 * mu + o.get("new", (1 - b1, 1 - b2))[0] * grad
    n = b2 * nu + o.get("new", (1 - b1, 1 - b2))[1] * o.get("square", np.square)(grad)
    c1, c2 = o.get("correct", lambda: (1 - b1**count, 1 - b2**count))()
    step = o.get("quotient", lambda a, b: a / (sqrt(b) + eps))(m / c1, n / c2)
    return theta - lr * step, m, n


def corrections(*a: Any) -> dict:
    """1 − bᶜ, whatever b the averages have."""
    return {"correct": lambda: (1 - a[6] ** a[4], 1 - a[7] ** a[4])}


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
adam_step.mistake(
    "the short form, whose eps is not rescaled by √(1 − b_2ᶜ)",
    lambda *a: adam(*a, quotient=lambda m, n: m / (sqrt(n) + a[8] / sqrt(1 - a[7] ** a[4]))),
)
adam_step.mistake("eps forgotten", lambda *a: adam(*a, quotient=lambda m, n: m / sqrt(n)))
adam_step.mistake("eps ignored, a tiny number such as 1e-8 in its place", lambda *a: adam(*(*a[:8], 1e-8)))
adam_step.mistake("μ corrected, ν not", lambda *a: adam(*a, correct=lambda: (1 - a[6] ** a[4], 1)))
adam_step.mistake("ν corrected, μ not", lambda *a: adam(*a, correct=lambda: (1, 1 - a[7] ** a[4])))
adam_step.mistake(
    "b_1 and b_2 exchanged in the corrections",
    lambda *a: adam(*a, correct=lambda: (1 - a[7] ** a[4], 1 - a[6] ** a[4])),
)
adam_step.mistake(
    "b_1 in place of b_2 in both corrections", lambda *a: adam(*a, correct=lambda: (1 - a[6] ** a[4],) * 2)
)
adam_step.mistake("b c in place of bᶜ", lambda *a: adam(*a, correct=lambda: (1 - a[6] * a[4], 1 - a[7] * a[4])))
adam_step.mistake(
    "multiplied by 1 − bᶜ in place of divided",
    lambda *a: adam(*a, correct=lambda: (1 / (1 - a[6] ** a[4]), 1 / (1 - a[7] ** a[4]))),
)
adam_step.mistake("weight 1 of g in μ in place of 1 − b_1", lambda *a: adam(*a, new=(1, 1 - a[7])))
adam_step.mistake("weight 1 of g² in ν in place of 1 − b_2", lambda *a: adam(*a, new=(1 - a[6], 1)))
adam_step.mistake("weight 1 of g and g² in place of 1 − b", lambda *a: adam(*a, new=(1, 1)))
adam_step.mistake("weight b of g and g² in place of 1 − b", lambda *a: adam(*a, new=(a[6], a[7])))
adam_step.mistake("((1 − b_2) g)² in place of (1 − b_2) g²", lambda *a: adam(*a, new=(1 - a[6], (1 - a[7]) ** 2)))
adam_step.mistake("the gradient not squared in ν, its sign kept", lambda *a: adam(*a, square=np.positive))
adam_step.mistake("μ² in place of g² in ν", lambda *a: adam(*a, square=lambda g: (a[6] * a[2] + (1 - a[6]) * g) ** 2))
adam_step.mistake("g in place of μ̂ in the step", lambda *a: adam(*a, quotient=lambda m, n: a[1] / (sqrt(n) + a[8])))
adam_step.mistake(
    "the old averages in the step", lambda *a: (adam(*(*a[:6], 1.0, 1.0, a[8]), **corrections(*a))[0], *adam(*a)[1:])
)
adam_step.mistake("lr left out", lambda *a: adam(*(*a[:5], 1.0, *a[6:])))


ema_update.mistake("decay and 1 − decay exchanged", lambda ema, theta, decay: (1 - decay) * ema + decay * theta)
ema_update.mistake("θ not scaled by 1 − decay", lambda ema, theta, decay: decay * ema + theta)
ema_update.mistake("ema not scaled by decay", lambda ema, theta, decay: ema + (1 - decay) * theta)
ema_update.mistake("the sign of the difference", lambda ema, theta, decay: ema - (1 - decay) * (theta - ema))
ema_update.mistake("decay² in place of decay", lambda ema, theta, decay: decay**2 * ema + (1 - decay**2) * theta)
ema_update.mistake("the plain mean of the two", lambda ema, theta, decay: (ema + theta) / 2)
ema_update.mistake("θ returned as it is", lambda ema, theta, decay: 1.0 * theta)
ema_update.mistake("decay ignored: always 0.999", lambda ema, theta, decay: 0.999 * ema + (1 - 0.999) * theta)
ema_update.mistake("decay ignored: always 0.9999", lambda ema, theta, decay: 0.9999 * ema + (1 - 0.9999) * theta)
ema_update.mistake("ema returned as it is", lambda ema, theta, decay: 1.0 * ema)
ema_update.mistake("a minus before θ", lambda ema, theta, decay: decay * ema - (1 - decay) * theta)
ema_update.mistake("decay before both", lambda ema, theta, decay: decay * (ema + (1 - decay) * theta))
ema_update.mistake(
    "divided by 1 − decay, as averages that start at 0 are",
    lambda ema, theta, decay: (decay * ema + (1 - decay) * theta) / np.float64(1 - decay),
)


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
fourier_features.mistake("π ω t in place of ω t", lambda t, w: waves(np.pi * t[:, None] * w))
fourier_features.mistake("t made an integer", lambda t, w: waves(t.astype(int)[:, None] * w))
fourier_features.mistake("e^ω in place of ω", lambda t, w: waves(t[:, None] * np.exp(w)))
fourier_features.mistake("multiplied by √2", lambda t, w: sqrt(2) * waves(t[:, None] * w))
fourier_features.mistake("minus the sines", lambda t, w: waves(-t[:, None] * w))
fourier_features.mistake(
    "rows mixed: (F, B, 2) made (B, 2F) by a reshape",
    lambda t, w: np.stack([np.sin(a := w[:, None] * t), np.cos(a)], axis=2).reshape(len(t), -1),
)
fourier_features.mistake(
    "rows mixed: (2, B, F) made (B, 2F) by a reshape",
    lambda t, w: np.stack([np.sin(a := t[:, None] * w), np.cos(a)]).reshape(len(t), -1),
)
fourier_features.mistake("(2F, B) in place of (B, 2F)", lambda t, w: waves(t[:, None] * w).T)
