"""The score, what it says of x_0, and guidance."""

from collections.abc import Iterator

import numpy as np
from numpy import sqrt

from tinydiff.check.domains import numbers, points, steps
from tinydiff.check.form import like
from tinydiff.check.laws.parametrisations import bar
from tinydiff.check.laws.truth import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- score_from_eps

score_from_eps = Spec(
    "score_from_eps(t, eps, betas) -> score",
    "∇_x log q(x_t|x_0) = −ε/√(1 − ᾱ_t)",
    "Song et al. 2021, Score-based SDEs, §3; Vincent 2011",
    (points("eps"), steps()),
    {"score": like("eps")},
)
score_from_eps.linear("eps")


@score_from_eps.law("it points back to where the noise came from: its sign is the opposite of ε's")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield np.sign(f(t, ONE, betas)), -1, "the sign of the answer"


@score_from_eps.law("it is the derivative of ln N(x; √ᾱ_t x_0, 1 − ᾱ_t), by complex step")
def _(f: Probe, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    var = kernel(betas, t)[1]
    distance = var**0.5 * eps + 1e-30j
    yield f(t, eps, betas), (-(distance**2) / (2 * var)).imag / 1e-30


@score_from_eps.law("its mean square is the Fisher information 1/(1 − ᾱ_t), at ε = ±1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    both = f(t, np.array([[1.0, -1.0]]), betas)
    yield np.mean(both**2), 1 / kernel(betas, t)[1], "the mean square"


score_from_eps.mistake("the sign: the score is −ε/√(1 − ᾱ_t)", lambda t, eps, betas: eps / sqrt(1 - bar(t, betas)))
score_from_eps.mistake("1 − ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / (1 - bar(t, betas)))
score_from_eps.mistake("ε not divided by √(1 − ᾱ_t)", lambda t, eps, betas: -eps)
score_from_eps.mistake("ε multiplied by √(1 − ᾱ_t)", lambda t, eps, betas: -eps * sqrt(1 - bar(t, betas)))
score_from_eps.mistake("√ᾱ_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / sqrt(bar(t, betas)))
score_from_eps.mistake("√β_t in place of √(1 − ᾱ_t)", lambda t, eps, betas: -eps / sqrt(betas[t - 1]))
score_from_eps.mistake(
    "ᾱ_{t+1} in place of ᾱ_t: one step too many", lambda t, eps, betas: -eps / sqrt(1 - bar(t + 1, betas))
)


# ---- tweedie

tweedie = Spec(
    "tweedie(x_t, t, score, betas) -> x0_hat",
    "E[x_0|x_t] = (x_t + (1 − ᾱ_t) ∇ log q_t(x_t))/√ᾱ_t",
    "Efron 2011; Luo 2022, Understanding Diffusion Models",
    (points("x_t", "score"), steps()),
    {"x0_hat": like("x_t")},
)
tweedie.linear("x_t", "score")


@tweedie.law("where all data are one point, the score leads back to it")
def _(f: Probe, x_t: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield f(x_t, t, (2 * a - x_t) / var, betas), 2, "the data are all at 2"


@tweedie.law("for data from N(0, 1), whose score is −x, the answer is √ᾱ_t x_t")
def _(f: Probe, x_t: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x_t, t, -x_t, betas), kernel(betas, t)[0] * x_t


@tweedie.law("where the score is 0 the answer is x_t/√ᾱ_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, betas), 1 / kernel(betas, t)[0]


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
    "α_t = 1 − β_t in place of ᾱ_t", lambda x_t, t, score, betas: (x_t + betas[t - 1] * score) / sqrt(1 - betas[t - 1])
)
tweedie.mistake("the score not scaled", lambda x_t, t, score, betas: (x_t + score) / sqrt(bar(t, betas)))
tweedie.mistake(
    "x_t alone divided by √ᾱ_t", lambda x_t, t, score, betas: x_t / sqrt(bar(t, betas)) + (1 - bar(t, betas)) * score
)


# ---- cfg

cfg = Spec(
    "cfg(c, u, w) -> guided",
    "(1 + w) c − w u",
    "Ho & Salimans 2022, Classifier-free Guidance, eq. 6",
    (points("c", "u"), numbers("w", 0.0, 1.0, -1.0, 0.5, 7.5, least=-2, most=8)),
    {"guided": like("c")},
    about="c is the conditional prediction, u the unconditional; w = 0 is no guidance, in the paper's convention.",
)
cfg.linear("c", "u")


@cfg.law("w = 0 is the conditional prediction")
def _(f: Probe, c: np.ndarray, u: np.ndarray) -> Iterator[tuple]:
    yield f(c, u, 0.0), c


@cfg.law("w = −1 is the unconditional prediction")
def _(f: Probe, c: np.ndarray, u: np.ndarray) -> Iterator[tuple]:
    yield f(c, u, -1.0), u


@cfg.law("where the two agree, guidance changes nothing")
def _(f: Probe, c: np.ndarray, w: float) -> Iterator[tuple]:
    yield f(c, c, w), c


@cfg.law("it goes on from c by w times the difference c − u")
def _(f: Probe, c: np.ndarray, u: np.ndarray, w: float) -> Iterator[tuple]:
    yield f(c, u, w) - c, w * (c - u), "what guidance adds to c"


cfg.mistake("the other convention, u + w (c − u), where w = 1 is no guidance", lambda c, u, w: u + w * (c - u))
cfg.mistake("c and u exchanged", lambda c, u, w: (1 + w) * u - w * c)
cfg.mistake("the sign of w", lambda c, u, w: (1 - w) * c + w * u)
cfg.mistake("a plus before w u", lambda c, u, w: (1 + w) * c + w * u)
cfg.mistake("w c in place of (1 + w) c", lambda c, u, w: w * c - w * u)
cfg.mistake("the difference added to u", lambda c, u, w: u + (2 + w) * (c - u))
cfg.mistake("u subtracted whole", lambda c, u, w: (1 + w) * c - u)
cfg.mistake("c + w (u − c), the way back", lambda c, u, w: c + w * (u - c))
