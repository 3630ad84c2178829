"""The variational bound: Gaussian divergences, its terms and its weight, and the simple loss that forgets it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import log, prod, sqrt

from tinydiff.check.domains import BATCH, chains, choice, points, steps
from tinydiff.check.form import like, scalar
from tinydiff.check.laws.truth import conditional, kernel, kl_by_quadrature
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

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
            batches=[tuple(map(np.array, ([[1.0], [0.0]], [[2.0], [0.5]], [[0.0], [-1.0]], [[3.0], [1.0]])))],
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
    "|m_1 − m_2| in place of its square", lambda m1, v1, m2, v2: divergence(0, v1, sqrt(abs(m1 - m2)), v2)
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
    a, var = kernel(betas, len(betas))
    yield np.sum(f(x0, betas)), kl_by_quadrature(a * x0, var, 0.0, 1.0).sum()


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
    "√ᾱ_T in place of ᾱ_T before ‖x_0‖²", lambda x0, betas: last_kl(prod(1 - betas) ** -0.25 * x0, prod(1 - betas))
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
    (a, var), (a_before, var_before) = kernel(betas, t), kernel(betas, t - 1)
    yield f(t, betas), 0.5 * (a_before**2 / var_before * var / a**2 - 1)


@vlb_weight.law("it is the KL of two posteriors, of x̂_0 from ε̂ and of x_0, where ε̂ is off by 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (_, c0, variance) = kernel(betas, t), conditional(t, t - 1, betas)
    yield f(t, betas), kl_by_quadrature(0.0, variance, c0 * var**0.5 / a, variance)


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
    "α_{t−1} = 1 − β_{t−1} in place of ᾱ_{t−1}", lambda t, betas: betas[t - 1] / (2 * (1 - betas[t - 1]) * betas[t - 2])
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
    for k in (2, 100):
        yield (
            f(eps + k * (eps_hat - eps), eps),
            k**2 * f(eps_hat, eps),
            f"the loss of {k} times the error, and {k**2} losses",
        )


@simple_loss.law("it is the mean of the losses of all numbers, each alone")
def _(f: Probe, eps_hat: np.ndarray, eps: np.ndarray) -> Iterator[tuple]:
    row = np.concatenate([eps_hat, 0 * eps_hat], axis=1), np.concatenate([eps, 0 * eps], axis=1)
    yield f(*row), f(eps_hat, eps) / 2, "of a row with a second number without error, and half the loss of the first"
    hat, true = BATCH + eps_hat[:1, :1], BATCH[::-1] + eps[:1, :1]
    alone = [f(hat[i : i + 1, j : j + 1], true[i : i + 1, j : j + 1]) for i, j in np.ndindex(BATCH.shape)]
    yield f(hat, true), np.mean(alone), "of two rows of three numbers, and the mean of the six losses"


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
