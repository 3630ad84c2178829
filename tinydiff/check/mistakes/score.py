"""Mistakes in the score and in guidance."""

import numpy as np
from numpy import sqrt

from tinydiff.check.laws.score import cfg, score_from_eps, tweedie
from tinydiff.check.mistakes.parametrisations import bar
from tinydiff.check.mistakes.schedules import misread

score_from_eps.mistake("the sign: the score is −ε/√(1 − ᾱ_t)", lambda t, eps, betas: eps / sqrt(1 - bar(t, betas)))
score_from_eps.mistake("1 − ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / (1 - bar(t, betas)))
score_from_eps.mistake("ε not divided by √(1 − ᾱ_t)", lambda t, eps, betas: -eps)
score_from_eps.mistake("ε multiplied by √(1 − ᾱ_t)", lambda t, eps, betas: -eps * sqrt(1 - bar(t, betas)))
score_from_eps.mistake("√ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / sqrt(bar(t, betas)))
score_from_eps.mistake("√β_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / sqrt(betas[t - 1]))
score_from_eps.mistake("ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / bar(t, betas))
score_from_eps.mistake("1 − √ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / (1 - sqrt(bar(t, betas))))
score_from_eps.mistake("β_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / betas[t - 1])
score_from_eps.mistake("1e-3 added to the divisor", lambda t, eps, betas: -eps / (sqrt(1 - bar(t, betas)) + 1e-3))
score_from_eps.mistake(
    "1 − ᾱ_t kept above 1e-2 in the divisor", lambda t, eps, betas: -eps / sqrt(max(1 - bar(t, betas), 1e-2))
)
misread(score_from_eps, lambda bar: lambda t, eps, betas: -eps / sqrt(1 - bar(t, betas)))


tweedie.mistake(
    "the sign of the score", lambda x_t, t, score, betas: (x_t - (1 - bar(t, betas)) * score) / sqrt(bar(t, betas))
)
tweedie.mistake(
    "√(1 − ᾱ_t) in place of 1 − ᾱ_t, as if the score were ε",
    lambda x_t, t, score, betas: (x_t + sqrt(1 - bar(t, betas)) * score) / sqrt(bar(t, betas)),
)
tweedie.mistake("not divided by √ᾱ_t, as for VE", lambda x_t, t, score, betas: x_t + (1 - bar(t, betas)) * score)
tweedie.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x_t, t, score, betas: (x_t + (1 - bar(t, betas)) * score) / bar(t, betas)
)
tweedie.mistake(
    "1 − β_t in place of ᾱ_t", lambda x_t, t, score, betas: (x_t + betas[t - 1] * score) / sqrt(1 - betas[t - 1])
)
tweedie.mistake("the score not scaled", lambda x_t, t, score, betas: (x_t + score) / sqrt(bar(t, betas)))
tweedie.mistake(
    "x_t alone divided by √ᾱ_t", lambda x_t, t, score, betas: x_t / sqrt(bar(t, betas)) + (1 - bar(t, betas)) * score
)
tweedie.mistake(
    "β_t in place of 1 − ᾱ_t", lambda x_t, t, score, betas: (x_t + betas[t - 1] * score) / sqrt(bar(t, betas))
)
tweedie.mistake(
    "√(1 − β_t) in place of √ᾱ_t",
    lambda x_t, t, score, betas: (x_t + (1 - bar(t, betas)) * score) / sqrt(1 - betas[t - 1]),
)
tweedie.mistake(
    "ᾱ_t in place of 1 − ᾱ_t", lambda x_t, t, score, betas: (x_t + bar(t, betas) * score) / sqrt(bar(t, betas))
)
tweedie.mistake(
    "1 − √ᾱ_t in place of 1 − ᾱ_t",
    lambda x_t, t, score, betas: (x_t + (1 - sqrt(bar(t, betas))) * score) / sqrt(bar(t, betas)),
)
tweedie.mistake(
    "−√(1 − ᾱ_t) in place of 1 − ᾱ_t, the formula of ε",
    lambda x_t, t, score, betas: (x_t - sqrt(1 - bar(t, betas)) * score) / sqrt(bar(t, betas)),
)
tweedie.mistake(
    "multiplied by √ᾱ_t in place of divided",
    lambda x_t, t, score, betas: (x_t + (1 - bar(t, betas)) * score) * sqrt(bar(t, betas)),
)
tweedie.mistake(
    "the answer clipped to [−1, 1]",
    lambda x_t, t, score, betas: np.clip((x_t + (1 - bar(t, betas)) * score) / sqrt(bar(t, betas)), -1, 1),
)
misread(tweedie, lambda bar: lambda x_t, t, score, betas: (x_t + (1 - bar(t, betas)) * score) / sqrt(bar(t, betas)))


cfg.mistake("the other convention, u + w (c − u), where w = 1 is no guidance", lambda c, u, w: u + w * (c - u))
cfg.mistake("c and u exchanged", lambda c, u, w: (1 + w) * u - w * c)
cfg.mistake("the sign of w", lambda c, u, w: (1 - w) * c + w * u)
cfg.mistake("a plus before w u", lambda c, u, w: (1 + w) * c + w * u)
cfg.mistake("w c in place of (1 + w) c", lambda c, u, w: w * c - w * u)
cfg.mistake("the difference added to u", lambda c, u, w: u + (2 + w) * (c - u))
cfg.mistake("u subtracted whole", lambda c, u, w: (1 + w) * c - u)
cfg.mistake("u returned at w = 0", lambda c, u, w: (1 + w) * c - w * u if w else 1.0 * u)
cfg.mistake("1 + w before u too", lambda c, u, w: (1 + w) * (c - u))
cfg.mistake("w ignored: c as it is", lambda c, u, w: 1.0 * c)
cfg.mistake("w ignored: always 1", lambda c, u, w: 2 * c - u)
cfg.mistake("a negative w taken for 0", lambda c, u, w: (1 + max(w, 0)) * c - max(w, 0) * u)
cfg.mistake("the answer clipped to [−1, 1]", lambda c, u, w: np.clip((1 + w) * c - w * u, -1, 1))
