"""The score, what it says of x_0, and guidance."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import numbers, points, steps
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- score_from_eps

score_from_eps = Spec(
    "score_from_eps(t, eps, betas) -> score",
    "∇ ln q(x_t|x_0) = −ε/√(1 − ᾱ_t)",
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


# ---- tweedie

tweedie = Spec(
    "tweedie(x_t, t, score, betas) -> x0_hat",
    "E[x_0|x_t] = (x_t + (1 − ᾱ_t) ∇ ln q_t(x_t))/√ᾱ_t",
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


# ---- cfg

cfg = Spec(
    "cfg(c, u, w) -> guided",
    "(1 + w) c − w u",
    "Ho & Salimans 2022, Classifier-free Guidance, eq. 6",
    (points("c", "u"), numbers("w", 0.0, 1.0, -1.0, 0.5, 7.5, least=-5, most=30)),
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
