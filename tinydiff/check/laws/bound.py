"""The variational bound: Gaussian divergences, its terms and its weight, and the simple loss that forgets it."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import BATCH, chains, choice, normals, numbers, points, steps
from tinydiff.check.form import like, row_each, scalar
from tinydiff.check.laws.truth import conditional, kernel, kl_by_quadrature
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- normal_kl


def two_normals(rng: np.random.Generator) -> tuple:
    """m_1, v_1, m_2 and v_2, numbers or arrays."""
    m1, s1, m2, s2 = normals(rng, 4, *(() if rng.random() < 0.5 else (1, 1)))
    v1, v2 = (np.round(np.exp(np.clip(s, -3, 3)), 2) for s in (s1, s2))
    values = m1, v1, m2, v2
    return values if m1.size > 1 else tuple(float(value.item()) for value in values)


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
            random=two_normals,
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
    one = 1.0 + 0 * m1
    yield f(m1, one, m2, one), (m1 - m2) ** 2 / 2


@normal_kl.law("it does not change when both are stretched and moved: m → 2m + 1, v → 4v")
def _(f: Probe, m1: float, v1: float, m2: float, v2: float) -> Iterator[tuple]:
    yield f(2 * m1 + 1, 4 * v1, 2 * m2 + 1, 4 * v2), f(m1, v1, m2, v2), "stretched and moved, and as it was"


@normal_kl.law("it is E_p[ln p − ln q], by quadrature")
def _(f: Probe, m1: float, v1: float, m2: float, v2: float) -> Iterator[tuple]:
    yield f(m1, v1, m2, v2), kl_by_quadrature(m1, v1, m2, v2)


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


# ---- elbo_step

elbo_step = Spec(
    "elbo_step(x0, x_t, x0_hat, t, variance, betas) -> nats",
    "L_{t−1} = KL(q(x_{t−1}|x_t, x_0) ‖ N(c_t x_t + c_0 x̂_0, variance I)) with q(x_{t−1}|x_t, x_0) = "
    "N(c_t x_t + c_0 x_0, β̃_t I)",
    "Ho et al. 2020, DDPM, eqs. 5 to 8",
    (points("x0", "x_t", "x0_hat"), steps(2), numbers("variance", 1.0, 0.5, 0.01, least=1e-3, most=10)),
    {"nats": row_each("x0")},
    about="One term of the bound, in nats, one number for each row, (B,). x0, x_t and x0_hat are (B, D). t is 2 or "
    "more. The model's mean is the posterior's, with x̂_0 for x_0; its variance may be any number above 0.",
)


@elbo_step.law("it is 0 where the model is the posterior: x̂_0 = x_0 and the variance β̃_t")
def _(f: Probe, x0: np.ndarray, x_t: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x0, x_t, x0, t, conditional(t, t - 1, betas)[2], betas), 0, "the variance is β̃_t"


@elbo_step.law("with the variance β̃_t it is ½ (SNR_{t−1} − SNR_t) ‖x_0 − x̂_0‖²")
def _(f: Probe, x0: np.ndarray, x_t: np.ndarray, x0_hat: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (a_before, var_before) = kernel(betas, t), kernel(betas, t - 1)
    weight = 0.5 * (a_before**2 / var_before - a**2 / var)
    nats = f(x0, x_t, x0_hat, t, conditional(t, t - 1, betas)[2], betas)
    yield nats, weight * np.sum((x0 - x0_hat) ** 2, axis=1), "the variance is β̃_t"


@elbo_step.law("x_t does not matter: it moves both means by as much")
def _(f: Probe, x0: np.ndarray, x_t: np.ndarray, x0_hat: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x0, x_t + 1, x0_hat, t, 1.0, betas), f(x0, x_t, x0_hat, t, 1.0, betas), "x_t moved by 1, and as it was"


@elbo_step.law("coordinates are independent: the nats of two are the sum of the nats of each")
def _(
    f: Probe, x0: np.ndarray, x_t: np.ndarray, x0_hat: np.ndarray, t: int, variance: float, betas: np.ndarray
) -> Iterator[tuple]:
    one, other = (x0, x_t, x0_hat), (x0 + 1, x_t, 2 * x0_hat)
    both = f(*(np.concatenate(pair, axis=1) for pair in zip(one, other, strict=True)), t, variance, betas)
    yield both, f(*one, t, variance, betas) + f(*other, t, variance, betas), "both together, and one by one"


@elbo_step.law("it is E_q[ln q − ln p] of the two Gaussians, by quadrature")
def _(
    f: Probe, x0: np.ndarray, x_t: np.ndarray, x0_hat: np.ndarray, t: int, variance: float, betas: np.ndarray
) -> Iterator[tuple]:
    _, c_0, var = conditional(t, t - 1, betas)
    nats = kl_by_quadrature(c_0 * (x0 - x0_hat), var, 0.0, variance)
    yield f(x0, x_t, x0_hat, t, variance, betas), nats.sum(axis=1)


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
