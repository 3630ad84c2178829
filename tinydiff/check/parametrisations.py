"""What a network may predict, and how ε, x_0, v and the score say the same; the simple loss, and guidance."""

from collections.abc import Iterator

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.domains import numbers, points, steps
from tinydiff.check.forward import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec, like, scalar


def bar(t: int, betas: np.ndarray) -> float:
    """ᾱ_t."""
    return prod(1 - betas[:t])


# ---- x0_from_eps

x0_from_eps = Spec(
    "x0_from_eps(x_t, t, eps, betas) -> x0",
    "x_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t",
    "Ho et al. 2020, DDPM, eq. 4 solved for x_0",
    (points("x_t", "eps"), steps()),
    {"x0": like("x_t")},
)
x0_from_eps.linear("x_t", "eps")


@x0_from_eps.law("what is all signal is scaled back: x_t = √ᾱ_t and ε = 0 give 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[0] * ONE, t, ZERO, betas), 1


@x0_from_eps.law("what is all noise gives 0: x_t = √(1 − ᾱ_t) and ε = 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[1] ** 0.5 * ONE, t, ONE, betas), 0


@x0_from_eps.law("it undoes t single steps: from x_t made of x_0 = 2 and ε it finds 2")
def _(f: Probe, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, t)
    yield f(2 * a + v**0.5 * eps, t, eps, betas), 2


x0_from_eps.mistake("not divided by √ᾱ_t", lambda x_t, t, eps, betas: x_t - sqrt(1 - bar(t, betas)) * eps)
x0_from_eps.mistake(
    "α_t = 1 − β_t in place of ᾱ_t",
    lambda x_t, t, eps, betas: (x_t - sqrt(betas[t - 1]) * eps) / sqrt(1 - betas[t - 1]),
)
x0_from_eps.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, eps, betas: (x_t - (1 - bar(t, betas)) * eps) / sqrt(bar(t, betas)),
)
x0_from_eps.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x_t, t, eps, betas: (x_t - sqrt(1 - bar(t, betas)) * eps) / bar(t, betas)
)
x0_from_eps.mistake(
    "the sign of ε", lambda x_t, t, eps, betas: (x_t + sqrt(1 - bar(t, betas)) * eps) / sqrt(bar(t, betas))
)
x0_from_eps.mistake("ε subtracted whole", lambda x_t, t, eps, betas: (x_t - eps) / sqrt(bar(t, betas)))
x0_from_eps.mistake(
    "ᾱ_{t−1} in place of ᾱ_t: one step too few",
    lambda x_t, t, eps, betas: (x_t - sqrt(1 - bar(t - 1, betas)) * eps) / sqrt(bar(t - 1, betas)),
)
x0_from_eps.mistake(
    "the answer clipped to [−1, 1]",
    lambda x_t, t, eps, betas: np.clip((x_t - sqrt(1 - bar(t, betas)) * eps) / sqrt(bar(t, betas)), -1, 1),
)
x0_from_eps.mistake(
    "x_t alone divided by √ᾱ_t",
    lambda x_t, t, eps, betas: x_t / sqrt(bar(t, betas)) - sqrt(1 - bar(t, betas)) * eps,
)


# ---- eps_from_x0

eps_from_x0 = Spec(
    "eps_from_x0(x_t, t, x0, betas) -> eps",
    "ε = (x_t − √ᾱ_t x_0)/√(1 − ᾱ_t)",
    "Ho et al. 2020, DDPM, eq. 4 solved for ε",
    (points("x_t", "x0"), steps()),
    {"eps": like("x_t")},
)
eps_from_x0.linear("x_t", "x0")


@eps_from_x0.law("what is all noise is scaled back: x_t = √(1 − ᾱ_t) and x_0 = 0 give 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[1] ** 0.5 * ONE, t, ZERO, betas), 1


@eps_from_x0.law("what is all signal gives 0: x_t = √ᾱ_t and x_0 = 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[0] * ONE, t, ONE, betas), 0


@eps_from_x0.law("it finds the noise of t single steps: from x_t made of x_0 and ε = 2 it finds 2")
def _(f: Probe, x0: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, t)
    yield f(a * x0 + 2 * v**0.5, t, x0, betas), 2


eps_from_x0.mistake("not divided by √(1 − ᾱ_t)", lambda x_t, t, x0, betas: x_t - sqrt(bar(t, betas)) * x0)
eps_from_x0.mistake(
    "α_t = 1 − β_t in place of ᾱ_t",
    lambda x_t, t, x0, betas: (x_t - sqrt(1 - betas[t - 1]) * x0) / sqrt(betas[t - 1]),
)
eps_from_x0.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / (1 - bar(t, betas)),
)
eps_from_x0.mistake(
    "ᾱ_t in place of √ᾱ_t", lambda x_t, t, x0, betas: (x_t - bar(t, betas) * x0) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake("x_0 not scaled by √ᾱ_t", lambda x_t, t, x0, betas: (x_t - x0) / sqrt(1 - bar(t, betas)))
eps_from_x0.mistake(
    "the sign of x_0", lambda x_t, t, x0, betas: (x_t + sqrt(bar(t, betas)) * x0) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake(
    "the sign of the answer", lambda x_t, t, x0, betas: (sqrt(bar(t, betas)) * x0 - x_t) / sqrt(1 - bar(t, betas))
)
eps_from_x0.mistake(
    "divided by √ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, x0, betas: (x_t - sqrt(bar(t, betas)) * x0) / sqrt(bar(t, betas)),
)


# ---- v_from_x0_eps

v_from_x0_eps = Spec(
    "v_from_x0_eps(t, x0, eps, betas) -> v",
    "v = √ᾱ_t ε − √(1 − ᾱ_t) x_0",
    "Salimans & Ho 2022, Progressive Distillation, App. D",
    (points("x0", "eps"), steps()),
    {"v": like("x0")},
)
v_from_x0_eps.linear("x0", "eps")


@v_from_x0_eps.law("the coefficient of ε is what is left of the signal, √ᾱ_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(t, ZERO, ONE, betas), kernel(betas, t)[0]


@v_from_x0_eps.law("x_0 and ε come back: x_0 = √ᾱ_t x_t − √(1 − ᾱ_t) v and ε = √(1 − ᾱ_t) x_t + √ᾱ_t v")
def _(f: Probe, x0: np.ndarray, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, t)
    x_t, velocity = a * x0 + v**0.5 * eps, f(t, x0, eps, betas)
    yield a * x_t - v**0.5 * velocity, x0, "√ᾱ_t x_t − √(1 − ᾱ_t) v, and x_0"
    yield v**0.5 * x_t + a * velocity, eps, "√(1 − ᾱ_t) x_t + √ᾱ_t v, and ε"


@v_from_x0_eps.law("(x_t, v) is (x_0, ε) rotated: x_t² + v² = x_0² + ε²")
def _(f: Probe, x0: np.ndarray, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, t)
    yield (a * x0 + v**0.5 * eps) ** 2 + f(t, x0, eps, betas) ** 2, x0**2 + eps**2, "x_t² + v², and x_0² + ε²"


v_from_x0_eps.mistake(
    "the opposite sign, √(1 − ᾱ_t) x_0 − √ᾱ_t ε",
    lambda t, x0, eps, betas: sqrt(1 - bar(t, betas)) * x0 - sqrt(bar(t, betas)) * eps,
)
v_from_x0_eps.mistake("a plus sign", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps + sqrt(1 - bar(t, betas)) * x0)
v_from_x0_eps.mistake(
    "x_0 and ε exchanged", lambda t, x0, eps, betas: sqrt(bar(t, betas)) * x0 - sqrt(1 - bar(t, betas)) * eps
)
v_from_x0_eps.mistake("both roots forgotten", lambda t, x0, eps, betas: bar(t, betas) * eps - (1 - bar(t, betas)) * x0)
v_from_x0_eps.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda t, x0, eps, betas: sqrt(bar(t, betas)) * eps - (1 - bar(t, betas)) * x0,
)
v_from_x0_eps.mistake(
    "α_t = 1 − β_t in place of ᾱ_t",
    lambda t, x0, eps, betas: sqrt(1 - betas[t - 1]) * eps - sqrt(betas[t - 1]) * x0,
)
v_from_x0_eps.mistake(
    "ᾱ_{t−1} in place of ᾱ_t",
    lambda t, x0, eps, betas: sqrt(bar(t - 1, betas)) * eps - sqrt(1 - bar(t - 1, betas)) * x0,
)
v_from_x0_eps.mistake("ε − x_0, the velocity of the straight path", lambda t, x0, eps, betas: eps - x0)


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
    v = kernel(betas, t)[1]
    distance = v**0.5 * eps + 1e-30j
    yield f(t, eps, betas), (-(distance**2) / (2 * v)).imag / 1e-30


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
    a, v = kernel(betas, t)
    yield f(x_t, t, (2 * a - x_t) / v, betas), 2, "the data are all at 2"


@tweedie.law("for data from N(0, 1), whose score is −x, regression says √ᾱ_t x_t")
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
    "α_t = 1 − β_t in place of ᾱ_t",
    lambda x_t, t, score, betas: (x_t + betas[t - 1] * score) / sqrt(1 - betas[t - 1]),
)
tweedie.mistake("the score not scaled", lambda x_t, t, score, betas: (x_t + score) / sqrt(bar(t, betas)))
tweedie.mistake(
    "x_t alone divided by √ᾱ_t", lambda x_t, t, score, betas: x_t / sqrt(bar(t, betas)) + (1 - bar(t, betas)) * score
)


# ---- simple_loss

simple_loss = Spec(
    "simple_loss(eps_hat, eps) -> loss",
    "L_simple = the mean of (ε − ε̂)² over rows and coordinates",
    "Ho et al. 2020, DDPM, eq. 14",
    (points("eps_hat", "eps"),),
    {"loss": scalar},
    about="A mean over all B · D numbers, so that losses compare between dimensions and batches.",
)


@simple_loss.law("it is 0 where the prediction is right")
def _(f: Probe, eps: np.ndarray) -> Iterator[tuple]:
    yield f(eps, eps), 0


@simple_loss.law("an error of one in a single number is 1, whatever its sign")
def _(f: Probe, eps: np.ndarray) -> Iterator[tuple]:
    yield f(eps + 1, eps), 1
    yield f(eps - 1, eps), 1


@simple_loss.law("twice the error is four times the loss")
def _(f: Probe, eps_hat: np.ndarray, eps: np.ndarray) -> Iterator[tuple]:
    yield f(eps + 2 * (eps_hat - eps), eps), 4 * f(eps_hat, eps), "the loss of twice the error, and 4 losses"


@simple_loss.law("it is the mean of the losses of all numbers")
def _(f: Probe, eps: np.ndarray) -> Iterator[tuple]:
    error = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, -3.0]])
    yield f(eps[:1, :1] + error, eps[:1, :1] + 0 * error), 10 / 6, "errors 1 and −3 among six numbers"


simple_loss.mistake("a sum over all in place of a mean", lambda eps_hat, eps: np.sum((eps_hat - eps) ** 2))
simple_loss.mistake(
    "a sum over the coordinates, and a mean over the rows",
    lambda eps_hat, eps: np.mean(np.sum((eps_hat - eps) ** 2, 1)),
)
simple_loss.mistake("a factor of ½", lambda eps_hat, eps: np.mean((eps_hat - eps) ** 2) / 2)
simple_loss.mistake("absolute values in place of squares", lambda eps_hat, eps: np.mean(np.abs(eps_hat - eps)))
simple_loss.mistake("the root of the mean square", lambda eps_hat, eps: sqrt(np.mean((eps_hat - eps) ** 2)))
simple_loss.mistake("the square of the mean", lambda eps_hat, eps: np.mean(eps_hat - eps) ** 2)
simple_loss.mistake("the difference of the squares", lambda eps_hat, eps: np.mean(eps_hat**2 - eps**2))
simple_loss.mistake("the errors not squared", lambda eps_hat, eps: np.mean(eps_hat - eps))
simple_loss.mistake("a loss for each row", lambda eps_hat, eps: np.mean((eps_hat - eps) ** 2, axis=1))


# ---- cfg

cfg = Spec(
    "cfg(c, u, w) -> guided",
    "(1 + w) c − w u",
    "Ho & Salimans 2021, Classifier-free Guidance, eq. 6",
    (points("c", "u"), numbers("w", 0.0, 1.0, -1.0, 0.5, 3.0, least=-2, most=8)),
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


@cfg.law("each unit of w goes on from c by the difference c − u")
def _(f: Probe, c: np.ndarray, u: np.ndarray, w: float) -> Iterator[tuple]:
    yield f(c, u, w + 1) - f(c, u, w), c - u, "what one more of w adds, and c − u"


cfg.mistake("the other convention, u + w (c − u), where w = 1 is no guidance", lambda c, u, w: u + w * (c - u))
cfg.mistake("c and u exchanged", lambda c, u, w: (1 + w) * u - w * c)
cfg.mistake("the sign of w", lambda c, u, w: (1 - w) * c + w * u)
cfg.mistake("a plus before w u", lambda c, u, w: (1 + w) * c + w * u)
cfg.mistake("w c in place of (1 + w) c", lambda c, u, w: w * c - w * u)
cfg.mistake("the difference added to u", lambda c, u, w: u + (2 + w) * (c - u))
cfg.mistake("u subtracted whole", lambda c, u, w: (1 + w) * c - u)
cfg.mistake("c + w (u − c), the way back", lambda c, u, w: c + w * (u - c))
