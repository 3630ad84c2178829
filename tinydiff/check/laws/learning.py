"""The optimizer, the average of the parameters, and the features of time."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import choice, normals, numbers, points, uniform
from tinydiff.check.form import like
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- adam_step

AVERAGES = ((0, 1, 0, 0), (0, -2, 0, 0), (1, 1, 0.5, 1), (0, 0, 1, 1), (1, -1, 0.2, 0.3), (-2, 3, -1, 4))
"""θ, g, μ and ν, with ν ≥ 0."""


def averages(rng: np.random.Generator) -> tuple:
    """θ, g, μ and ν of one shape."""
    theta, grad, mu, nu = normals(rng, 4, *rng.integers(1, 4, rng.integers(1, 3)))
    return theta, grad, mu, nu**2


adam_step = Spec(
    "adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps) -> (theta, mu, nu)",
    "μ ← b_1 μ + (1 − b_1) g,  ν ← b_2 ν + (1 − b_2) g²,  θ ← θ − lr μ̂/(√ν̂ + eps) "
    "with μ̂ = μ/(1 − b_1ᶜ), ν̂ = ν/(1 − b_2ᶜ), c = count",
    "Kingma & Ba 2015, Alg. 1",
    (
        choice(
            ("theta", "grad", "mu", "nu"),
            *(tuple(np.array([float(value)]) for value in case) for case in AVERAGES),
            batches=[tuple(np.array(AVERAGES, dtype=float).T)],
            random=averages,
        ),
        choice(("count",), (1,), (2,), (3,), (10,), random=lambda rng: (int(rng.integers(1, 1000)),)),
        numbers("lr", 0.1, 1.0, least=0.01, most=1),
        choice(
            ("b1", "b2"),
            *((0.9, 0.99), (0.5, 0.75), (0.0, 0.5), (0.9, 0.999), (0.9, 0.9999)),
            random=lambda rng: (uniform(rng, 0, 0.99), uniform(rng, 0, 0.999)),
        ),
        numbers("eps", 1e-8, 0.1, least=1e-8, most=1),
    ),
    {"theta": like("theta"), "mu": like("mu"), "nu": like("nu")},
    about="theta, grad, mu and nu are arrays of one shape, taken number by number. count is the number of this step, 1 "
    "at the first; mu and nu are the averages before it, and those after it are returned, not corrected.",
)


@adam_step.law("μ is an average: of a gradient that equals it, it stays; from 0, it takes 1 − b_1 of it")
def _(f: Probe, grad: np.ndarray, b1: float, b2: float) -> Iterator[tuple]:
    still = (0 * grad, grad, grad, grad**2, 2, 0.1, b1, b2, 1e-8)
    yield f(*still)[1], grad, "μ after a gradient that equals it"
    new = (0 * grad, grad, 0 * grad, 0 * grad, 1, 0.1, b1, b2, 1e-8)
    yield f(*new)[1] / (1 - b1), grad, "μ/(1 − b_1) after the first"


@adam_step.law("ν is an average of the squares: of a square that equals it, it stays; from 0, it takes 1 − b_2 of it")
def _(f: Probe, grad: np.ndarray, b1: float, b2: float) -> Iterator[tuple]:
    still = (0 * grad, grad, grad, grad**2, 2, 0.1, b1, b2, 1e-8)
    yield f(*still)[2], grad**2, "ν after a square that equals it"
    new = (0 * grad, grad, 0 * grad, 0 * grad, 1, 0.1, b1, b2, 1e-8)
    yield f(*new)[2] / (1 - b2), grad**2, "ν/(1 − b_2) after the first"


@adam_step.law("the first step is −lr g/(|g| + eps), whatever b_1 and b_2")
def _(f: Probe, grad: np.ndarray, lr: float, b1: float, b2: float, eps: float) -> Iterator[tuple]:
    theta, _, _ = f(0 * grad, grad, 0 * grad, 0 * grad, 1, lr, b1, b2, eps)
    yield theta, -lr * grad / (np.abs(grad) + eps), "θ after the first step from 0"


@adam_step.law("under a constant gradient each step is the same as the first")
def _(f: Probe, grad: np.ndarray, count: int, b1: float, b2: float, eps: float) -> Iterator[tuple]:
    mu, nu = (1 - b1 ** (count - 1)) * grad, (1 - b2 ** (count - 1)) * grad**2
    theta, _, _ = f(0 * grad, grad, mu, nu, count, 0.1, b1, b2, eps)
    yield theta, -0.1 * grad / (np.abs(grad) + eps), f"θ after step {count} of a constant gradient, from 0"


@adam_step.law("the step is added to θ and does not depend on it")
def _(f: Probe, theta: np.ndarray, grad: np.ndarray, mu: np.ndarray, nu: np.ndarray, count: int) -> Iterator[tuple]:
    rest = (grad, mu, nu, count, 0.1, 0.9, 0.99, 1e-8)
    yield f(theta + 1, *rest)[0], f(theta, *rest)[0] + 1, "θ + 1 after the step, and θ after it plus 1"


@adam_step.law("any step in one: with n = 1 − b_2ᶜ, it is −lr μ √n/((1 − b_1ᶜ)(√ν + eps √n)) of the new μ and ν")
def _(
    f: Probe,
    theta: np.ndarray,
    grad: np.ndarray,
    mu: np.ndarray,
    nu: np.ndarray,
    count: int,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
) -> Iterator[tuple]:
    new, m, n = f(theta, grad, mu, nu, count, lr, b1, b2, eps)
    yield m, grad + b1 * (mu - grad), "μ"
    yield n, grad**2 + b2 * (nu - grad**2), "ν"
    root = (1 - b2**count) ** 0.5
    yield new - theta, -lr * m * root / ((1 - b1**count) * (n**0.5 + eps * root)), "the step"


# ---- ema_update

ema_update = Spec(
    "ema_update(ema, theta, decay) -> ema",
    "decay · ema + (1 − decay) θ",
    "Polyak & Juditsky 1992; Ho et al. 2020, DDPM, App. B",
    (points("ema", "theta"), numbers("decay", 0.5, 0.9, 0.0, 1.0, 0.999, least=0, most=1)),
    {"ema": like("ema")},
)
ema_update.linear("ema", "theta")


@ema_update.law("an average of equals is the same")
def _(f: Probe, theta: np.ndarray, decay: float) -> Iterator[tuple]:
    yield f(theta, theta, decay), theta


@ema_update.law("a decay of 1 keeps the average, and 0 takes θ")
def _(f: Probe, ema: np.ndarray, theta: np.ndarray) -> Iterator[tuple]:
    yield f(ema, theta, 1.0), ema
    yield f(ema, theta, 0.0), theta


@ema_update.law("after k updates towards a constant θ the distance is decayᵏ of that before")
def _(f: Probe, ema: np.ndarray, theta: np.ndarray, decay: float) -> Iterator[tuple]:
    average = ema
    for k in (1, 2, 3):
        average = f(average, theta, decay)
        yield average - theta, decay**k * (ema - theta), f"the distance after {k} updates"


# ---- fourier_features

fourier_features = Spec(
    "fourier_features(t, frequencies) -> (B, 2F)",
    "sin(ω t) and cos(ω t) for each frequency ω",
    "Vaswani et al. 2017, §3.5; Ho et al. 2020, DDPM, App. B",
    (
        choice(
            ("t",),
            *((np.array([float(time)]),) for time in (0, 1, -2, 7)),
            batches=[(np.array([0.5, 3.0, 0.0]),)],
            random=lambda rng: normals(rng, 1, int(rng.integers(1, 5))),
        ),
        choice(
            ("frequencies",),
            *((np.array(w),) for w in ([1.0], [0.5], [1.0, 2.0], [0.1, 1.0, 10.0])),
            random=lambda rng: (np.round(np.sort(rng.uniform(0.1, 10, rng.integers(1, 5))), 2),),
        ),
    ),
    {"features": lambda args: {(len(args["t"]), 2 * len(args["frequencies"]))}},
    about="t is (B,), frequencies ω (F,) in radians per unit of t. In any order: sines first, or pair by pair.",
)


@fourier_features.law("at t = 0 all sines are 0 and all cosines 1")
def _(f: Probe, frequencies: np.ndarray) -> Iterator[tuple]:
    count = len(frequencies)
    features = f(np.zeros(1), frequencies)
    yield np.sort(features, axis=1), [[0.0] * count + [1.0] * count], "the features in order of size"


@fourier_features.law("each pair lies on the unit circle, so the squares add up to F")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    yield np.sum(f(t, frequencies) ** 2, axis=1), len(frequencies), "the sum of squares"


@fourier_features.law("the product of the features of two times depends on their distance alone: Σ cos ω(t − s)")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    both = np.sum(f(t + 1, frequencies) * f(t, frequencies), axis=1)
    yield both, np.cos(frequencies).sum(), "of t + 1 and t"


@fourier_features.law("they are the real and the imaginary part of e^{iωt}")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    wave = np.exp(1j * t[:, None] * frequencies)
    expected = np.concatenate([wave.real, wave.imag], axis=1)
    yield np.sort(f(t, frequencies), axis=1), np.sort(expected, axis=1), "the features in order of size"


@fourier_features.law("each column is one function of time: their order is the same for all t")
def _(f: Probe, t: np.ndarray, frequencies: np.ndarray) -> Iterator[tuple]:
    features, start = f(t, frequencies), f(np.zeros(1), frequencies)[0]
    later = f(np.full(1, 1e-4), frequencies)[0]  # where each sine is ωt and each cosine 1, so that they are known apart
    slope = np.where(start > 0.5, 0, (later - start) / 1e-4)
    for column, (is_cosine, rate) in enumerate(zip(start > 0.5, slope, strict=True)):
        if not is_cosine:
            omega = frequencies[np.argmin(np.abs(frequencies - rate))]
            yield features[:, column], np.sin(omega * t), f"column {column}, which is sin {omega:g} t near t = 0"
