"""The reverse process: the posterior, Gaussian divergences, the bound's weight, and the steps of DDPM and DDIM.

The expected posterior comes from conditioning: of the joint Gaussian of (x_s, x_t) given x_0, the law of x_s given x_t.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import log, prod, sqrt

from tinydiff.check.domains import BATCH, chains, choice, numbers, points, steps, strides
from tinydiff.check.forward import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec, like, scalar, spread


def conditional(t: int, s: int, betas: np.ndarray) -> tuple[float, float, float]:
    """(c_t, c_0, v) of q(x_s|x_t, x_0) = N(c_t x_t + c_0 x_0, v), by regression: Cov[x_s, x_t|x_0] = a v_s."""
    (a_s, v_s), (a_t, v_t), (a, _) = kernel(betas, s), kernel(betas, t), kernel(betas, t, s)
    slope = a * v_s / v_t
    return slope, a_s - slope * a_t, v_s - slope * a * v_s


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def kl_by_quadrature(m1: Any, v1: Any, m2: Any, v2: Any) -> np.ndarray:
    """E_p[ln p − ln q] of two Gaussians by Gauss–Hermite quadrature, exact for the quadratics that these are."""
    m1, v1, m2, v2 = (np.asarray(a)[..., None] for a in (m1, v1, m2, v2))
    x = m1 + sqrt(v1) * NODES
    ln_p, ln_q = (-0.5 * log(2 * np.pi * v) - (x - m) ** 2 / (2 * v) for m, v in ((m1, v1), (m2, v2)))
    return (ln_p - ln_q) @ WEIGHTS / sqrt(2 * np.pi)


# ---- posterior

posterior = Spec(
    "posterior(x_t, x0, t, betas) -> (mean, variance)",
    "q(x_{t−1}|x_t, x_0) = N(c_t x_t + c_0 x_0, β̃_t): c_t = √(1 − β_t)(1 − ᾱ_{t−1})/(1 − ᾱ_t), "
    "c_0 = √ᾱ_{t−1} β_t/(1 − ᾱ_t), β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t)",
    "Ho et al. 2020, DDPM, eqs. 6 and 7",
    (points("x_t", "x0"), steps()),
    {"mean": like("x_t"), "variance": spread("x_t")},
    about="x_t and x0 are (B, D); the variance is a number, or an array that broadcasts to them.",
)
posterior.linear("x_t", "x0")


@posterior.law("the mean weighs x_t as a regression of x_{t−1} on it does")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, ZERO, t, betas)[0], conditional(t, t - 1, betas)[0], "c_t"


@posterior.law("averaged over x_t, the mean is that of x_{t−1}: c_t √ᾱ_t + c_0 = √ᾱ_{t−1}")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    mean, _ = f(kernel(betas, t)[0] * ONE, ONE, t, betas)
    yield mean, kernel(betas, t - 1)[0], "the mean at x_t = √ᾱ_t x_0"


@posterior.law("at t = 1 it is x_0, known exactly: variance 0")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, ONE, 1, betas)[0], 1, "the mean"
    yield f(ZERO, ONE, 1, betas)[1], 0, "the variance"


@posterior.law("precisions add: 1/β̃_t is that of the step, (1 − β_t)/β_t, plus that of x_{t−1}, 1/(1 − ᾱ_{t−1})")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        beta = betas[t - 1]
        yield f(ZERO, ZERO, t, betas)[1], 1 / ((1 - beta) / beta + 1 / kernel(betas, t - 1)[1]), "the variance"


@posterior.law("the variances add up: β̃_t + c_t² (1 − ᾱ_t) = 1 − ᾱ_{t−1}")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    mean, variance = f(ONE, ZERO, t, betas)
    yield variance + mean**2 * kernel(betas, t)[1], kernel(betas, t - 1)[1], "β̃_t + c_t² (1 − ᾱ_t)"


@posterior.law("it does not depend on the points how sure it is: the variance is the same for all x_t and x_0")
def _(f: Probe, x_t: np.ndarray, x0: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x_t, x0, t, betas)[1], f(ZERO, ZERO, t, betas)[1], "the variance, and that at 0"


def of_chain(t: int, betas: np.ndarray) -> tuple[float, float, float]:
    """β_t, ᾱ_t, ᾱ_{t−1}."""
    return betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[: t - 1])


def bayes(x_t: Any, x0: Any, b: float, ab: float, before: float) -> tuple:
    """DDPM 7 from β, ᾱ_t and ᾱ_{t−1}."""
    mean = (sqrt(1 - b) * (1 - before) * x_t + sqrt(before) * b * x0) / (1 - ab)
    return mean, b * (1 - before) / (1 - ab)


def beta_as_variance(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With β_t for β̃_t."""
    return bayes(x_t, x0, *of_chain(t, betas))[0], betas[t - 1]


def coefficients_exchanged(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """c_0 x_t + c_t x_0."""
    return bayes(x0, x_t, *of_chain(t, betas))


def standard_deviation(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With √β̃_t for β̃_t."""
    mean, variance = bayes(x_t, x0, *of_chain(t, betas))
    return mean, sqrt(variance)


def now_for_before(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With √ᾱ_t for √ᾱ_{t−1}."""
    b, ab, before = of_chain(t, betas)
    mean = (sqrt(1 - b) * (1 - before) * x_t + sqrt(ab) * b * x0) / (1 - ab)
    return mean, b * (1 - before) / (1 - ab)


def no_root(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With 1 − β_t for √(1 − β_t)."""
    b, ab, before = of_chain(t, betas)
    return ((1 - b) * (1 - before) * x_t + sqrt(before) * b * x0) / (1 - ab), b * (1 - before) / (1 - ab)


def one_step_alphas(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """With 1 − β for ᾱ."""
    return bayes(x_t, x0, betas[t - 1], 1 - betas[t - 1], 1 - betas[t - 2] if t > 1 else 1.0)


def upside_down(x_t: Any, x0: Any, t: int, betas: np.ndarray) -> tuple:
    """β (1 − ᾱ_t)/(1 − ᾱ_{t−1})."""
    b, ab, before = of_chain(t, betas)
    return bayes(x_t, x0, b, ab, before)[0], b * (1 - ab) / np.where(before < 1, 1 - before, np.inf)


posterior.mistake("β_t in place of β̃_t", beta_as_variance)
posterior.mistake("the two coefficients exchanged", coefficients_exchanged)
posterior.mistake("√β̃_t, a standard deviation, in place of the variance", standard_deviation)
posterior.mistake("√ᾱ_t in place of √ᾱ_{t−1} in the coefficient of x_0", now_for_before)
posterior.mistake("1 − β_t in place of √(1 − β_t) in the coefficient of x_t", no_root)
posterior.mistake("α_t = 1 − β_t in place of ᾱ_t", one_step_alphas)
posterior.mistake("(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t", upside_down)
posterior.mistake(
    "ᾱ_t in place of ᾱ_{t−1} throughout",
    lambda x_t, x0, t, betas: bayes(x_t, x0, betas[t - 1], prod(1 - betas[:t]), prod(1 - betas[:t])),
)


# ---- posterior_variance

posterior_variance = Spec(
    "posterior_variance(t, betas) -> beta_tilde",
    "β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t), the variance of q(x_{t−1}|x_t, x_0)",
    "Ho et al. 2020, DDPM, eq. 7",
    (steps(),),
    {"beta_tilde": scalar},
)


@posterior_variance.law("β̃_1 = 0: x_0 is given")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(1, betas), 0


@posterior_variance.law("precisions add: 1/β̃_t = (1 − β_t)/β_t + 1/(1 − ᾱ_{t−1})")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        beta = betas[t - 1]
        yield f(t, betas), 1 / ((1 - beta) / beta + 1 / kernel(betas, t - 1)[1])


@posterior_variance.law("knowing x_0 makes surer: β̃_t < β_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(t, betas), Between(0, betas[t - 1])


posterior_variance.mistake("β_t in place of β̃_t", lambda t, betas: betas[t - 1])
posterior_variance.mistake("√β̃_t, the standard deviation", lambda t, betas: sqrt(bayes(0, 0, *of_chain(t, betas))[1]))
posterior_variance.mistake("ᾱ_t and ᾱ_{t−1} exchanged", lambda t, betas: upside_down(0, 0, t, betas)[1])
posterior_variance.mistake("α_t = 1 − β_t in place of ᾱ_t", lambda t, betas: one_step_alphas(0, 0, t, betas)[1])
posterior_variance.mistake(
    "the factor β_t left out", lambda t, betas: (1 - of_chain(t, betas)[2]) / (1 - of_chain(t, betas)[1])
)
posterior_variance.mistake(
    "ᾱ_{t−1}/ᾱ_t in place of (1 − ᾱ_{t−1})/(1 − ᾱ_t)",
    lambda t, betas: betas[t - 1] * of_chain(t, betas)[2] / of_chain(t, betas)[1],
)
posterior_variance.mistake(
    "β_{t−1} in place of β_t", lambda t, betas: betas[t - 2] / betas[t - 1] * bayes(0, 0, *of_chain(t, betas))[1]
)


# ---- normal_kl

normal_kl = Spec(
    "normal_kl(m1, v1, m2, v2) -> nats",
    "KL(N(m_1, v_1) ‖ N(m_2, v_2)) = ½ (ln(v_2/v_1) + (v_1 + (m_1 − m_2)²)/v_2 − 1)",
    "Kullback & Leibler 1951; Ho et al. 2020, DDPM, §2 uses it for each L_{t−1}",
    (
        choice(
            ("m1", "v1", "m2", "v2"),
            *((0.0, 1.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0), (0.0, 2.0, 0.0, 1.0), (0.0, 1.0, 0.0, 2.0)),
            *((1.0, 2.0, 0.0, 1.0), (1.0, 1.0, 0.0, 4.0), (-2.0, 0.1, 1.0, 0.5), (3.0, 0.9, 1.0, 0.02)),
        ),
    ),
    {"nats": like("m1")},
    about="In nats, number by number: v_1 and v_2 are variances, and arrays are taken elementwise.",
)


@normal_kl.law("it is 0 where the two are the same")
def _(f: Probe, m1: float, v1: float) -> Iterator[tuple]:
    yield f(m1, v1, m1, v1), 0


@normal_kl.law("with both variances 1 it is half the square of the distance of the means")
def _(f: Probe, m1: float, m2: float) -> Iterator[tuple]:
    yield f(m1, 1.0, m2, 1.0), (m1 - m2) ** 2 / 2


@normal_kl.law("it does not change when both are stretched and moved: m → 2m + 1, v → 4v")
def _(f: Probe, m1: float, v1: float, m2: float, v2: float) -> Iterator[tuple]:
    yield f(2 * m1 + 1, 4 * v1, 2 * m2 + 1, 4 * v2), f(m1, v1, m2, v2), "stretched and moved, and as it was"


@normal_kl.law("it is E_p[ln p − ln q], by quadrature")
def _(f: Probe, m1: float, v1: float, m2: float, v2: float) -> Iterator[tuple]:
    yield f(m1, v1, m2, v2), kl_by_quadrature(m1, v1, m2, v2)


@normal_kl.law("arrays are taken elementwise")
def _(f: Probe, m1: float, v1: float, m2: float, v2: float) -> Iterator[tuple]:
    both = f(np.array([m1, 1.0]), np.array([v1, 2.0]), np.array([m2, 0.0]), np.array([v2, 3.0]))
    yield both, [f(m1, v1, m2, v2), f(1.0, 2.0, 0.0, 3.0)]


def divergence(m1: Any, v1: Any, m2: Any, v2: Any) -> Any:
    """The formula."""
    return 0.5 * (log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


normal_kl.mistake("the ½ dropped", lambda m1, v1, m2, v2: 2 * divergence(m1, v1, m2, v2))
normal_kl.mistake("the two exchanged, KL(q ‖ p)", lambda m1, v1, m2, v2: divergence(m2, v2, m1, v1))
normal_kl.mistake("v_1 and v_2 taken as standard deviations", lambda m1, v1, m2, v2: divergence(m1, v1**2, m2, v2**2))
normal_kl.mistake(
    "v_1 and v_2 taken as log-variances", lambda m1, v1, m2, v2: divergence(m1, np.exp(v1), m2, np.exp(v2))
)
normal_kl.mistake("the sign of the logarithm", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) - log(v2 / v1))
normal_kl.mistake("the −1 forgotten", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) + 0.5)
normal_kl.mistake(
    "|m_1 − m_2| in place of its square",
    lambda m1, v1, m2, v2: divergence(0, v1, sqrt(abs(m1 - m2)), v2),
)
normal_kl.mistake("v_1/v_2 left out", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) - 0.5 * (v1 / v2 - 1))
normal_kl.mistake("bits in place of nats", lambda m1, v1, m2, v2: divergence(m1, v1, m2, v2) / log(2))
normal_kl.mistake("a sum over the array", lambda m1, v1, m2, v2: np.sum(divergence(m1, v1, m2, v2)))


# ---- prior_kl

prior_kl = Spec(
    "prior_kl(x0, betas) -> nats",
    "L_T = KL(q(x_T|x_0) ‖ N(0, I)) = ½ (ᾱ_T ‖x_0‖² − D ᾱ_T − D ln(1 − ᾱ_T))",
    "Ho et al. 2020, DDPM, eq. 5",
    (points("x0"), chains()),
    {"nats": lambda args: {args["x0"].shape[:1], ()}},
    about="x0 is (B, D); the answer is in nats, one for each row, (B,), or their sum: both are right here.",
)


@prior_kl.law("it is E_q[ln q − ln p] after T single steps, by quadrature")
def _(f: Probe, x0: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, len(betas))
    yield np.sum(f(x0, betas)), kl_by_quadrature(a * x0, v, 0.0, 1.0).sum()


@prior_kl.law("coordinates are independent: the nats of two are the sum of the nats of each")
def _(f: Probe, x0: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    both = f(np.concatenate([x0, x0 + 1], axis=1), betas)
    yield both, f(x0, betas) + f(x0 + 1, betas), "both together, and one by one"


@prior_kl.law("a batch has the nats of each of its rows, or their sum")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield np.sum(f(BATCH, betas)), np.sum(f(BATCH[:1], betas)) + np.sum(f(BATCH[1:], betas)), "the sum over two rows"


def last_kl(x0: Any, ab: float) -> Any:
    """½ (ᾱ ‖x_0‖² − D ᾱ − D ln(1 − ᾱ))."""
    return 0.5 * np.sum(ab * x0**2 - ab - log(1 - ab), axis=1)


prior_kl.mistake("the ½ dropped", lambda x0, betas: 2 * last_kl(x0, prod(1 - betas)))
prior_kl.mistake("β_T in place of ᾱ_T: the last step alone", lambda x0, betas: last_kl(x0, 1 - betas[-1]))
prior_kl.mistake("a mean over the coordinates", lambda x0, betas: last_kl(x0, prod(1 - betas)) / x0.shape[1])
prior_kl.mistake("a mean over the batch", lambda x0, betas: np.mean(last_kl(x0, prod(1 - betas))))
prior_kl.mistake(
    "the two exchanged, KL(p ‖ q)",
    lambda x0, betas: divergence(0, 1, sqrt(prod(1 - betas)) * x0, 1 - prod(1 - betas)).sum(axis=1),
)
prior_kl.mistake(
    "D forgotten where ‖x_0‖² is a sum",
    lambda x0, betas: 0.5 * (prod(1 - betas) * (np.sum(x0**2, axis=1) - 1) - log(1 - prod(1 - betas))),
)
prior_kl.mistake(
    "√ᾱ_T in place of ᾱ_T before ‖x_0‖²",
    lambda x0, betas: last_kl(prod(1 - betas) ** -0.25 * x0, prod(1 - betas)),
)
prior_kl.mistake(
    "the standard deviation in place of the variance in the logarithm",
    lambda x0, betas: last_kl(x0, prod(1 - betas)) + 0.25 * x0.shape[1] * log(1 - prod(1 - betas)),
)
prior_kl.mistake(
    "ᾱ_{T−1} in place of ᾱ_T", lambda x0, betas: last_kl(x0, prod(1 - betas[:-1])) if len(betas) > 1 else 0 * x0[:, 0]
)


# ---- vlb_weight

vlb_weight = Spec(
    "vlb_weight(t, betas) -> weight",
    "L_{t−1} = w_t ‖ε − ε̂‖² with w_t = β_t²/(2 β̃_t (1 − β_t)(1 − ᾱ_t)) = ½ (SNR_{t−1}/SNR_t − 1)",
    "Ho et al. 2020, DDPM, eq. 12 with σ_t² = β̃_t; Kingma et al. 2021, VDM",
    (steps(2),),
    {"weight": scalar},
    about="t is 2 or more: at t = 1 the weight is infinite. The reverse variance is β̃_t, the posterior's.",
)


@vlb_weight.law("it is ½ (SNR_{t−1}/SNR_t − 1)")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, v), (a_before, v_before) = kernel(betas, t), kernel(betas, t - 1)
    yield f(t, betas), 0.5 * (a_before**2 / v_before * v / a**2 - 1)


@vlb_weight.law("it is the KL of two posteriors, of x̂_0 from ε̂ and of x_0, where ε̂ is off by 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, v), (_, c0, variance) = kernel(betas, t), conditional(t, t - 1, betas)
    yield f(t, betas), kl_by_quadrature(0.0, variance, c0 * v**0.5 / a, variance)


def weight(t: int, betas: np.ndarray) -> float:
    """β/(2 (1 − β)(1 − ᾱ_{t−1}))."""
    return betas[t - 1] / (2 * (1 - betas[t - 1]) * (1 - prod(1 - betas[: t - 1])))


vlb_weight.mistake("the weight 1 of L_simple, which is not the bound", lambda t, betas: 1.0)
vlb_weight.mistake("the ½ dropped", lambda t, betas: 2 * weight(t, betas))
vlb_weight.mistake(
    "σ_t² = β_t in place of β̃_t", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * (1 - prod(1 - betas[:t])))
)
vlb_weight.mistake("the factor 1/(1 − β_t) forgotten", lambda t, betas: (1 - betas[t - 1]) * weight(t, betas))
vlb_weight.mistake("√β̃_t in place of β̃_t", lambda t, betas: weight(t, betas) * sqrt(conditional(t, t - 1, betas)[2]))
vlb_weight.mistake("β_t in place of β_t²", lambda t, betas: weight(t, betas) / betas[t - 1])
vlb_weight.mistake(
    "½ (SNR_{t−1} − SNR_t), the weight of ‖x_0 − x̂_0‖²",
    lambda t, betas: weight(t, betas) * prod(1 - betas[:t]) / (1 - prod(1 - betas[:t])),
)
vlb_weight.mistake(
    "α_{t−1} = 1 − β_{t−1} in place of ᾱ_{t−1}",
    lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * betas[t - 2]),
)


# ---- ddpm_step

ddpm_step = Spec(
    "ddpm_step(x_t, t, eps_hat, z, betas) -> x_{t−1}",
    "x_{t−1} = (x_t − β_t/√(1 − ᾱ_t) ε̂)/√(1 − β_t) + σ_t z, with no noise at t = 1",
    "Ho et al. 2020, DDPM, eq. 11 and Alg. 2",
    (points("x_t", "eps_hat", "z"), steps()),
    {"x_{t−1}": like("x_t")},
    about="Any variance σ_t² from β̃_t, right for a point, to β_t, right for N(0, I), is right here [DDPM §3.2].",
)
ddpm_step.linear("x_t", "eps_hat", "z")


@ddpm_step.law("x_t is divided by √(1 − β_t): one step back")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, t, ZERO, ZERO, betas), 1 / kernel(betas, t, t - 1)[0]


@ddpm_step.law("its mean is the posterior's, with x̂_0 = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, v), (c_t, c_0, _) = kernel(betas, t), conditional(t, t - 1, betas)
    yield f(ZERO, t, ONE, ZERO, betas), -c_0 * v**0.5 / a
    yield f(ONE, t, ONE, ZERO, betas), c_t + c_0 * (1 - v**0.5) / a


@ddpm_step.law("there is no noise in the last step, t = 1")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, 1, ZERO, ONE, betas), 0


@ddpm_step.law("the standard deviation of its noise lies between √β̃_t and √β_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    if t > 1:
        yield f(ZERO, t, ZERO, ONE, betas), Between(conditional(t, t - 1, betas)[2] ** 0.5, betas[t - 1] ** 0.5)


@ddpm_step.law("with the true ε the last step lands on x_0")
def _(f: Probe, betas: np.ndarray) -> Iterator[tuple]:
    a, v = kernel(betas, 1)
    yield f(a * ONE + v**0.5, 1, ONE, ZERO, betas), 1, "x_0 = 1, ε = 1"


def ancestral(
    x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray, strength: Any = None, scale: Any = None, sd: Any = None
) -> Any:
    """A step of DDPM with another coefficient of ε̂, factor in front or standard deviation."""
    b, ab = betas[t - 1], prod(1 - betas[:t])
    strength = b / sqrt(1 - ab) if strength is None else strength
    scale = 1 / sqrt(1 - b) if scale is None else scale
    sd = sqrt(b) * (t > 1) if sd is None else sd
    return scale * (x_t - strength * eps_hat) + sd * z


ddpm_step.mistake(
    "(1 − α_t)/√(1 − α_t) before ε̂ in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "noise at the last step, t = 1",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "the variance β_t in place of its root before z",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=betas[t - 1] * (t > 1)),
)
ddpm_step.mistake(
    "α_t before z in place of σ_t",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=(1 - betas[t - 1]) * (t > 1)),
)
ddpm_step.mistake("no noise at all", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=0.0))
ddpm_step.mistake(
    "the factor 1/√(1 − β_t) forgotten",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1.0),
)
ddpm_step.mistake(
    "1/(1 − β_t) in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / (1 - betas[t - 1])),
)
ddpm_step.mistake(
    "1/√ᾱ_t in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / sqrt(prod(1 - betas[:t]))),
)
ddpm_step.mistake("the sign of ε̂", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, -eps_hat, z, betas))
ddpm_step.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(
        x_t, t, eps_hat, z, betas, strength=betas[t - 1] / (1 - prod(1 - betas[:t]))
    ),
)
ddpm_step.mistake(
    "√(1 − ᾱ_t) before ε̂, all of the noise, in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(1 - prod(1 - betas[:t]))),
)
ddpm_step.mistake(
    "x̂_0 clipped to [−1, 1], which the samplers of images do and the step does not",
    lambda x_t, t, eps_hat, z, betas: (
        bayes(
            x_t,
            np.clip((x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat) / sqrt(prod(1 - betas[:t])), -1, 1),
            *of_chain(t, betas),
        )[0]
        + sqrt(betas[t - 1]) * (t > 1) * z
    ),
)


# ---- ddim_step

ddim_step = Spec(
    "ddim_step(x_t, t, s, eps_hat, z, betas, eta) -> x_s",
    "x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − d²) ε̂ + d z with d² = η² (1 − ᾱ_s)/(1 − ᾱ_t) (1 − ᾱ_t/ᾱ_s)",
    "Song, Meng & Ermon 2021, DDIM, eqs. 12 and 16",
    (points("x_t", "eps_hat", "z"), strides(), numbers("eta", 0.0, 1.0, 0.5, least=0, most=1)),
    {"x_s": like("x_t")},
    about="s is any time below t, 0 too; x̂_0 = (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t.",
)
ddim_step.linear("x_t", "eps_hat", "z")


@ddim_step.law("with η = 0 and the true ε it lands on √ᾱ_s x_0 + √(1 − ᾱ_s) ε")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, v), (a_s, v_s) = kernel(betas, t), kernel(betas, s)
    yield f(a * ONE, t, s, ZERO, ZERO, betas, 0.0), a_s, "x_0 = 1, ε = 0"
    yield f(v**0.5 * ONE, t, s, ONE, ZERO, betas, 0.0), v_s**0.5, "x_0 = 0, ε = 1"


@ddim_step.law("with η = 0 it adds no noise")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ZERO, t, s, ZERO, ONE, betas, 0.0), 0


@ddim_step.law("with η = 1 its noise has the variance of q(x_s|x_t, x_0); in between, η times the standard deviation")
def _(f: Probe, t: int, s: int, betas: np.ndarray, eta: float) -> Iterator[tuple]:
    yield f(ZERO, t, s, ZERO, ONE, betas, eta), eta * conditional(t, s, betas)[2] ** 0.5


@ddim_step.law("whatever η, x_s has the variance 1 − ᾱ_s about √ᾱ_s x_0: the squares of ε's and z's coefficients")
def _(f: Probe, t: int, s: int, betas: np.ndarray, eta: float) -> Iterator[tuple]:
    direction = f(kernel(betas, t)[1] ** 0.5 * ONE, t, s, ONE, ZERO, betas, eta)
    noise = f(ZERO, t, s, ZERO, ONE, betas, eta)
    yield direction**2 + noise**2, kernel(betas, s)[1], "(ε's coefficient)² + (z's coefficient)²"


@ddim_step.law("with η = 1 it is the step of DDPM with β̃")
def _(f: Probe, t: int, s: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, v), (c_t, c_0, _) = kernel(betas, t), conditional(t, s, betas)
    yield f(ONE, t, s, ONE, ZERO, betas, 1.0), c_t + c_0 * (1 - v**0.5) / a, "x_t = 1, ε̂ = 1, z = 0"


def generalised(x_t: Any, eps_hat: Any, z: Any, ab: float, ab_s: float, d: float, direction: Any = None) -> Any:
    """A step of DDIM from ᾱ_t, ᾱ_s and d, with another coefficient of ε̂ where given."""
    x0_hat = (x_t - sqrt(1 - ab) * eps_hat) / sqrt(ab)
    direction = sqrt(np.maximum(1 - ab_s - d**2, 0)) if direction is None else direction
    return sqrt(ab_s) * x0_hat + direction * eps_hat + d * z


def bars(t: int, s: int, betas: np.ndarray) -> tuple[float, float]:
    """ᾱ_t and ᾱ_s."""
    return prod(1 - betas[:t]), prod(1 - betas[:s])


def spread_of(t: int, s: int, betas: np.ndarray, eta: float) -> float:
    """d."""
    ab, ab_s = bars(t, s, betas)
    return eta * sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s))


ddim_step.mistake(
    "√(1 − ᾱ_s) before ε̂, d² not taken off",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), sqrt(1 - bars(t, s, betas)[1])
    ),
)
ddim_step.mistake(
    "√η in place of η: η times the variance",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, sqrt(eta))
    ),
)
ddim_step.mistake(
    "η ignored: always deterministic",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(x_t, eps_hat, z, *bars(t, s, betas), 0.0),
)
ddim_step.mistake(
    "η ignored: always the noise of DDPM",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, 1.0)
    ),
)
ddim_step.mistake(
    "s ignored: a step to t − 1",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, t - 1, betas), spread_of(t, t - 1, betas, eta)
    ),
)
ddim_step.mistake(
    "β_t in place of 1 − ᾱ_t/ᾱ_s, which are the same for single steps alone",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t,
        eps_hat,
        z,
        *bars(t, s, betas),
        eta * sqrt((1 - bars(t, s, betas)[1]) / (1 - bars(t, s, betas)[0]) * betas[t - 1]),
    ),
)
ddim_step.mistake(
    "x̂_0 not divided by √ᾱ_t",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        - sqrt(bars(t, s, betas)[1])
        * (1 / sqrt(prod(1 - betas[:t])) - 1)
        * (x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat)
    ),
)
ddim_step.mistake(
    "the sign of ε̂",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, -eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta)
    ),
)
ddim_step.mistake(
    "d² in place of d before z",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, 0 * z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        + spread_of(t, s, betas, eta) ** 2 * z
    ),
)
ddim_step.mistake(
    "the direction to x_t, √(1 − ᾱ_s − d²) ε̂, forgotten",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), 0.0
    ),
)
