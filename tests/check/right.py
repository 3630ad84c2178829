"""Right answers to every specification: the library's own functions where a thin adapter to its signature does.

Where the laws leave freedom of shape, order or variance there is another answer, written in another way.
"""

import functools
import itertools
import math

import numpy as np

import tinydiff as td
from tinydiff import predictions
from tinydiff.check import spec
from tinydiff.evaluation import elbo, likelihood
from tinydiff.learned import layers, objective, optim
from tinydiff.sampling import probability_flow, solvers
from tinydiff.sampling.adams_bashforth import shares

ANSWERS: dict[str, list] = {}


def seen(name, function):
    """The function as laws see it: where it returns a pullback, one of all arguments."""
    return spec(name).probe(function).call


def asked(name, function):
    """A function as laws see it, in the signature of its specification: the way back."""
    if not spec(name).pullback:
        return function

    def of_pullback(params, x):
        def pullback(dy):
            _, dparams, dx = function(params, x, dy)
            if isinstance(dparams, np.ndarray) and dparams.shape == (sum(param.size for param in params),):
                parts = np.split(dparams, np.cumsum([param.size for param in params])[:-1])
                dparams = [part.reshape(param.shape) for part, param in zip(parts, params, strict=True)]
            return dparams, dx

        return function(params, x, np.zeros((len(x), params[-1].size)))[0], pullback

    return of_pullback


def answers(**functions):
    """Register right answers, each under its name."""
    for name, function in functions.items():
        function.__name__ = name
        ANSWERS.setdefault(name, []).append(function)


def answer(function):
    """Register a right answer under its own name."""
    answers(**{function.__name__: function})
    return function


chain = functools.cache(lambda betas: td.Discrete(np.frombuffer(betas)))
at = functools.cache(lambda betas, step: chain(betas).at(step / chain(betas).T))


def levels(betas, *steps):
    """The levels after so many steps of a chain."""
    return [at(betas.tobytes(), step) for step in steps]


def level(t, betas):
    """The level after t steps of a chain."""
    return levels(betas, t)[0]


def abar(t, betas):
    """ᾱ_t, the product of 1 − β up to t."""
    return np.prod(1 - betas[:t])


# ---- the forward process

answers(
    alpha_bar=lambda betas: np.array([now.alpha**2 for now in levels(betas, *range(len(betas) + 1))]),
    q_sample=lambda x0, t, eps, betas: level(t, betas).perturb(x0, eps),
    snr=lambda t, betas: level(t, betas).snr,
    cosine_alpha_bar=lambda t, T, s=0.008: td.Discrete.cosine(T, s).at(t / T).alpha ** 2,
)


@answer
def q_step(x, t, eps, betas):
    a, var = td.transition(*levels(betas, t, t - 1))
    return a * x + np.sqrt(var) * eps


# ---- the reverse process

answers(
    posterior_variance=lambda t, betas: td.posterior(*levels(betas, t, t - 1))[2],
    prior_kl=lambda x0, betas: td.Discrete(betas).prior_gap(x0),
    vlb_weight=lambda t, betas: objective.vlb_weight(level(t, betas)) / len(betas),
    ddpm_step=lambda x_t, t, eps_hat, z, betas: ddpm(x_t, t, eps_hat, z, betas, "beta"),  # the largest variance
)
answers(ddpm_step=lambda x_t, t, eps_hat, z, betas: ddpm(x_t, t, eps_hat, z, betas, "beta_tilde"))
answers(ddpm_step_beta_tilde=lambda x_t, t, eps_hat, z, betas: ddpm(x_t, t, eps_hat, z, betas, "beta_tilde"))


@answer
@np.vectorize
def normal_kl(m1, v1, m2, v2):
    return elbo.normal_kl(np.array([[m1]]), float(v1), np.array([[m2]]), float(v2))[0]


def ddpm(x_t, t, eps_hat, z, betas, variance):
    now, then = levels(betas, t, t - 1)
    return td.ddpm_step(x_t, predictions.x0_from_eps(x_t, eps_hat, now), now, then, z, variance)


@answer
def ddpm_step(x_t, t, eps_hat, z, betas):  # with the geometric mean of β and β̃ for the variance
    sigma = np.sqrt(betas[t - 1]) * ((1 - abar(t - 1, betas)) / (1 - abar(t, betas))) ** 0.25
    return (x_t - betas[t - 1] / np.sqrt(1 - abar(t, betas)) * eps_hat) / np.sqrt(1 - betas[t - 1]) + sigma * z


@answer
def posterior(x_t, x0, t, betas):
    c_t, c_0, var = td.posterior(*levels(betas, t, t - 1))
    return c_t * x_t + c_0 * x0, var


@answer
def posterior(x_t, x0, t, betas):  # by Bayes: precisions add; a list, and the variance of each number
    beta, before = betas[t - 1], abar(t - 1, betas)
    if t == 1:
        return x0.copy(), np.zeros_like(x_t)
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = (np.sqrt(1 - beta) / beta * x_t + np.sqrt(before) / (1 - before) * x0) / precision
    return [mean, np.full_like(x_t, 1 / precision)]


@answer
def posterior_variance(t, betas):  # an integer where it is 0
    return 0 if t == 1 else 1 / ((1 - betas[t - 1]) / betas[t - 1] + 1 / (1 - abar(t - 1, betas)))


@answer
def prior_kl(x0, betas):  # of the batch
    a = abar(len(betas), betas)
    return 0.5 * np.sum(a * x0**2 - a - np.log1p(-a))


@answer
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):  # for any η: the library's is from 0 to 1
    now, then = abar(t, betas), abar(s, betas)
    sigma = eta * np.sqrt((1 - then) / (1 - now)) * np.sqrt(1 - now / then)
    x0_hat = (x_t - np.sqrt(1 - now) * eps_hat) / np.sqrt(now)
    return np.sqrt(then) * x0_hat + np.sqrt(1 - then - sigma**2) * eps_hat + sigma * z


@answer
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    now, then = levels(betas, t, s)
    return td.ddim_step(x_t, predictions.x0_from_eps(x_t, eps_hat, now), now, then, z, eta)


# ---- parametrisations

answers(
    x0_from_eps=lambda x_t, t, eps, betas: predictions.x0_from_eps(x_t, eps, level(t, betas)),
    eps_from_x0=lambda x_t, t, x0, betas: predictions.eps_from_x0(x_t, x0, level(t, betas)),
    v_from_x0_eps=lambda t, x0, eps, betas: predictions.v_from_x0_eps(x0, eps, level(t, betas)),
    score_from_eps=lambda t, eps, betas: predictions.target("score", 0 * eps, eps, level(t, betas)),
    simple_loss=lambda eps_hat, eps: float(np.mean((eps - eps_hat) ** 2)),  # of a network in the library
    cfg=lambda c, u, w: (1 + w) * c - w * u,  # of denoisers in the library
)


@answer
def tweedie(x_t, t, score, betas):
    a, b = predictions.to_x0("score", level(t, betas))
    return a * x_t + b * score


# ---- solvers

answers(
    euler_step=solvers.euler_step,
    heun_step=solvers.heun_step,
    euler_maruyama_step=lambda f, g, x, t, s, z: x + (s - t) * f(x, t) + np.sqrt(abs(s - t)) * g(t) * z,
    reverse_sde_drift=lambda x, beta, score: -0.5 * beta * x - beta * score,
    probability_flow_drift=lambda x, beta, score: probability_flow.velocity(lambda x, t: -score, x, rates(beta)),
    hutchinson=lambda vjp, x, probes: likelihood.traces(lambda u: vjp(x, u), x, probes).mean(axis=1),
)


class Custom(td.Process):
    """A process of any functions of time, by their names."""

    def __init__(self, **functions):
        vars(self).update(functions)


def rates(beta):
    """A level with the rates of this β, where σ is 1."""
    return Custom(alpha=lambda t: 1.0, sigma=lambda t: 1.0, f=lambda t: -0.5 * beta, g2=lambda t: beta).at(0.5)


@answer
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    before, now, then = map(Custom(alpha=alpha, sigma=sigma).at, (t_before, t, s))
    return td.dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, before, now, then)


# ---- learning, and data

answers(
    linear_backward=lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.sum(axis=0)),
    silu_backward=lambda x, dy: layers.silu(x)[1](dy),
    layer_norm_backward=lambda x, dy, eps: layers.layer_norm(x, eps)[1](dy),
    ema_update=optim.ema_update,
    fourier_features=layers.fourier_features,
    effective_neighbours=lambda weights: 1 / np.sum(weights**2, axis=1),  # not of the library
    inpaint_known=lambda x_s, known, mask, s, eps, betas: np.where(mask, level(s, betas).perturb(known, eps), x_s),
)
answers(linear_backward=lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.sum(axis=0, keepdims=True)))  # a row for the bias


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    step, state = optim.Adam(lr, b1, b2, eps).update(grad, optim.OptimizerState(mu, nu, count - 1))
    return theta + step, state.mu, state.nu


@answer
def fourier_features(t, frequencies):  # pair by pair
    angle = t[:, None] * frequencies
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(len(t), -1)


@answer
def empirical_denoiser(x_t, points, t, betas):
    now = level(t, betas)
    return td.Oracle(points, now.process).x0(x_t, now)


# ---- in other styles: as a table of ᾱ, in one pass over whole arrays, as textbooks have it


def table(betas):
    """ᾱ_0, …, ᾱ_T."""
    return np.cumprod(np.r_[1.0, 1 - betas])


def roots(t, betas):
    """√ᾱ_t and √(1 − ᾱ_t), from the table."""
    return np.sqrt(table(betas)[t]), np.sqrt(1 - table(betas)[t])


answers(
    alpha_bar=table,
    snr=lambda t, betas: table(betas)[t] / (1 - table(betas)[t]),
    cosine_alpha_bar=lambda t, T, s=0.008: (cosine(t / T, s) / cosine(0, s)) ** 2,
    q_step=lambda x, t, eps, betas: np.sqrt(1 - betas)[t - 1] * x + np.sqrt(betas)[t - 1] * eps,
    q_sample=lambda x0, t, eps, betas: roots(t, betas)[0] * x0 + roots(t, betas)[1] * eps,
    posterior_variance=lambda t, betas: (betas * (1 - table(betas)[:-1]) / (1 - table(betas)[1:]))[t - 1],
    normal_kl=lambda m1, v1, m2, v2: 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1),
    prior_kl=lambda x, b: 0.5 * (table(b)[-1] * x**2 - table(b)[-1] - np.log(1 - table(b)[-1])).sum(axis=1),
    simple_loss=lambda eps_hat, eps: np.square(eps - eps_hat).sum() / eps.size,
    x0_from_eps=lambda x_t, t, eps, betas: (x_t - roots(t, betas)[1] * eps) / roots(t, betas)[0],
    eps_from_x0=lambda x_t, t, x0, betas: (x_t - roots(t, betas)[0] * x0) / roots(t, betas)[1],
    v_from_x0_eps=lambda t, x0, eps, betas: roots(t, betas)[0] * eps - roots(t, betas)[1] * x0,
    score_from_eps=lambda t, eps, betas: -eps / roots(t, betas)[1],
    tweedie=lambda x_t, t, score, betas: (x_t + (1 - table(betas)[t]) * score) / roots(t, betas)[0],
    cfg=lambda conditional, unconditional, w: conditional + w * (conditional - unconditional),
    euler_step=lambda velocity, x, now, then: x + (then - now) * velocity(x, now),
    euler_maruyama_step=lambda f, g, x, t, s, z: x - (t - s) * f(x, t) + g(t) * abs(t - s) ** 0.5 * z,
    reverse_sde_drift=lambda x, beta, score: -beta * (x / 2 + score),
    probability_flow_drift=lambda x, beta, score: -0.5 * beta * (x + score),
    hutchinson=lambda vjp, x, probes: np.mean([np.sum(v * vjp(x, v), axis=1) for v in probes], axis=0),
    linear_backward=lambda x, w, dy: (np.dot(dy, np.transpose(w)), np.dot(np.transpose(x), dy), np.ones(len(x)) @ dy),
    silu_backward=lambda x, dy: dy * (0.5 + 0.5 * np.tanh(x / 2)) * (1 + x * (0.5 - 0.5 * np.tanh(x / 2))),
    ema_update=lambda ema, theta, decay: decay * ema + (1 - decay) * theta,
    fourier_features=lambda t, w: np.concatenate([np.sin(t[:, None] * w), np.cos(t[:, None] * w)], axis=1),
    effective_neighbours=lambda w: 1 / np.einsum("bn,bn->b", w, w),
    inpaint_known=lambda x, y, m, s, z, b: m * (roots(s, b)[0] * y + roots(s, b)[1] * z) + ~m * x,
)


def cosine(u, s):
    return np.cos((u + s) / (1 + s) * np.pi / 2)


@answer
def posterior(x_t, x0, t, betas):  # a variance of each row
    beta, now, before = betas[t - 1], table(betas)[t], table(betas)[t - 1]
    mean = (np.sqrt(before) * beta * x0 + np.sqrt(1 - beta) * (1 - before) * x_t) / (1 - now)
    return mean, np.repeat([[beta * (1 - before) / (1 - now)]], len(x_t), axis=0)


@answer
def vlb_weight(t, betas):
    beta, now, before = betas[t - 1], table(betas)[t], table(betas)[t - 1]
    return beta**2 / (2 * (beta * (1 - before) / (1 - now)) * (1 - beta) * (1 - now))


@answer
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    beta, now, before = betas[t - 1], table(betas)[t], table(betas)[t - 1]
    mean = (x_t - beta / np.sqrt(1 - now) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta * (1 - before) / (1 - now)) * z


@answer
def ddpm_step(x_t, t, eps_hat, z, betas):  # from x̂_0, and no noise is drawn at the end
    beta, now, before = betas[t - 1], table(betas)[t], table(betas)[t - 1]
    x0_hat = (x_t - np.sqrt(1 - now) * eps_hat) / np.sqrt(now)
    mean = (np.sqrt(before) * beta * x0_hat + np.sqrt(1 - beta) * (1 - before) * x_t) / (1 - now)
    return mean + np.sqrt(beta) * z if t > 1 else mean


@answer
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    (a, b), (a_s, b_s) = roots(t, betas), roots(s, betas)
    d = eta * b_s / b * np.sqrt(1 - (a / a_s) ** 2)
    return a_s / a * (x_t - b * eps_hat) + np.sqrt(np.maximum(b_s**2 - d**2, 0)) * eps_hat + d * z


@answer
def heun_step(f, x, t, s):
    h, k = s - t, f(x, t)
    return x + h * (k + f(x + h * k, s)) / 2


@answer
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    before, now, then = (np.log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    r = (now - before) / (then - now)
    d = (1 + 1 / (2 * r)) * x0_hat - 1 / (2 * r) * x0_hat_before
    return sigma(s) / sigma(t) * x_t - alpha(s) * (np.exp(now - then) - 1) * d


@answer
def layer_norm_backward(x, dy, eps):
    n, root = x.shape[1], np.sqrt(x.var(axis=1, keepdims=True) + eps)
    y = (x - x.mean(axis=1, keepdims=True)) / root
    return (n * dy - dy.sum(axis=1, keepdims=True) - y * (dy * y).sum(axis=1, keepdims=True)) / (n * root)


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu, nu = b1 * mu + (1 - b1) * grad, b2 * nu + (1 - b2) * grad**2
    return theta - lr * (mu / (1 - b1**count)) / (np.sqrt(nu / (1 - b2**count)) + eps), mu, nu


@answer
def empirical_denoiser(x_t, points, t, betas):
    logits = -((x_t[:, None] - roots(t, betas)[0] * points) ** 2).sum(axis=2) / (2 * (1 - table(betas)[t]))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights @ points / weights.sum(axis=1, keepdims=True)


# ---- in log space, by einsum or angles, with 1e-8 or 1e-12 in a divisor, with None for a default


def log_abar(t, betas):
    return np.sum(np.log1p(-betas[:t]))


def angle(t, betas):
    """Of √ᾱ_t = cos φ and √(1 − ᾱ_t) = sin φ."""
    return np.arccos(np.exp(0.5 * log_abar(t, betas)))


answers(
    alpha_bar=lambda betas: np.exp(np.insert(np.cumsum(np.log1p(-betas)), 0, 0)),
    snr=lambda t, betas: ratio(log_abar(t, betas)),
    cosine_alpha_bar=lambda t, T, s=None: doubled(t / T, 0.008 if s is None else s),
    q_step=lambda x, t, eps, betas: np.einsum("k,kbd", np.sqrt([1 - betas[t - 1], betas[t - 1]]), [x, eps]),
    q_sample=lambda x0, t, eps, betas: np.cos(angle(t, betas)) * x0 + np.sin(angle(t, betas)) * eps,
    posterior_variance=lambda t, b: b[t - 1] * np.expm1(log_abar(t - 1, b)) / (np.expm1(log_abar(t, b)) - 1e-12),
    normal_kl=lambda m1, v1, m2, v2: (np.expm1(np.log(v1 / v2)) - np.log(v1 / v2) + (m1 - m2) ** 2 / (v2 + 1e-12)) / 2,
    prior_kl=lambda x0, betas: nats(x0, log_abar(len(betas), betas)).sum(axis=-1),
    vlb_weight=lambda t, betas: 0.5 * np.expm1(np.log(ratio(log_abar(t - 1, betas)) / ratio(log_abar(t, betas)))),
    simple_loss=lambda eps_hat, eps: np.vdot(eps - eps_hat, eps - eps_hat) / eps.size,
    x0_from_eps=lambda x, t, eps, b: np.exp(-0.5 * log_abar(t, b)) * x - np.sqrt(np.expm1(-log_abar(t, b))) * eps,
    eps_from_x0=lambda x_t, t, x0, betas: (x_t - np.cos(angle(t, betas)) * x0) / (np.sin(angle(t, betas)) + 1e-8),
    v_from_x0_eps=lambda t, x0, eps, betas: np.cos(angle(t, betas)) * eps - np.sin(angle(t, betas)) * x0,
    score_from_eps=lambda t, eps, betas: -eps / (np.sqrt(-np.expm1(log_abar(t, betas))) + 1e-8),
    tweedie=lambda x, t, score, b: (x - np.expm1(log_abar(t, b)) * score) / (np.exp(0.5 * log_abar(t, b)) + 1e-12),
    cfg=lambda c, u, w: np.einsum("k,kbd->bd", np.array([1 + w, -w]), np.stack([c, u])),
    ddpm_step_beta_tilde=lambda x, t, e, z, betas: ddim(x, t, t - 1, e, z, betas, 1.0),
    ddim_step=lambda x, t, s, e, z, betas, eta: ddim(x, t, s, e, z, betas, eta),
    euler_step=lambda f, x, t, s: np.add(x, np.multiply(np.subtract(s, t), f(x, t))),
    heun_step=lambda f, x, t, s: x + np.trapezoid([f(x, t), f(x + (s - t) * f(x, t), s)], dx=s - t, axis=0),
    euler_maruyama_step=lambda f, g, x, t, s, z: x + (s - t) * f(x, t) + np.sqrt(g(t) ** 2 * np.abs(s - t)) * z,
    reverse_sde_drift=lambda x, b, score: np.tensordot([-b / 2, -b], [x, score], 1),
    probability_flow_drift=lambda x, beta, score: -beta * np.mean([x, score], axis=0),
    hutchinson=lambda vjp, x, probes: np.einsum("pbd,pbd->b", probes, [vjp(x, v) for v in probes]) / len(probes),
    linear_backward=lambda x, w, dy: [np.einsum("bm,nm", dy, w), np.einsum("bn,bm->nm", x, dy), np.einsum("bm->m", dy)],
    silu_backward=lambda x, dy: dy * (1 / (1 + np.exp(-x))) * (1 + x / (1 + np.exp(x))),  # e^800 is ∞, and 1/∞ is 0
    layer_norm_backward=lambda x, dy, eps: np.einsum("bij,bj->bi", slopes(x, eps), dy),
    ema_update=lambda ema, theta, decay: theta + decay * (ema - theta),
    fourier_features=lambda t, w: np.exp(1j * np.outer(t, w)).view(float),
    effective_neighbours=lambda w: np.exp(-np.log(np.sum(w**2, axis=1))),
    inpaint_known=lambda x, y, m, s, z, b: np.choose(m, [x, np.cos(angle(s, b)) * y + np.sin(angle(s, b)) * z]),
)


def ratio(log):
    """ᾱ/(1 − ᾱ), of ln ᾱ."""
    return 1 / np.expm1(-log)


def nats(x0, log):
    return -0.5 * (np.exp(log) * (1 - x0**2) + np.log(-np.expm1(log)))


def doubled(u, s):
    """By the angle doubled."""
    return (1 + np.cos(np.pi * (u + s) / (1 + s))) / (1 + np.cos(np.pi * s / (1 + s)))


def ddim(x_t, t, s, eps, z, betas, eta):
    """A turn from the angle of t to that of s, then z with a part of the circle."""
    now, then = angle(t, betas), angle(s, betas)
    d = eta * np.sin(then) / np.sin(now) * np.sqrt(1 - (np.cos(now) / np.cos(then)) ** 2)
    return np.cos(then) * (x_t - np.sin(now) * eps) / np.cos(now) + np.sqrt(np.sin(then) ** 2 - d**2) * eps + d * z


def slopes(x, eps):
    """∂y_i/∂x_j of layer normalisation, of each row."""
    n = x.shape[1]
    root = np.sqrt(np.mean((x - x.mean(axis=1, keepdims=True)) ** 2, axis=1) + eps)[:, None, None]
    y = (x - x.mean(axis=1, keepdims=True)) / root[:, 0]
    return (np.eye(n) - 1 / n - y[:, :, None] * y[:, None, :] / n) / root


@answer
def posterior(x_t, x0, t, betas):  # by regression: c_t = Cov[x_{t−1}, x_t]/Var[x_t]; as 0-d arrays
    c_t = np.sqrt(1 - betas[t - 1]) * np.expm1(log_abar(t - 1, betas)) / np.expm1(log_abar(t, betas))
    c_0 = np.exp(0.5 * log_abar(t - 1, betas)) - c_t * np.exp(0.5 * log_abar(t, betas))
    return c_t * x_t + c_0 * x0, np.array(-np.expm1(log_abar(t - 1, betas)) + c_t**2 * np.expm1(log_abar(t, betas)))


@answer
def dpm_solver_2m_step(x_t, new, old, t_before, t, s, alpha, sigma):  # of x_t, x̂_0 and x̂_0′, each with its weight
    before, now, then = (np.log(alpha(u)) - np.log(sigma(u)) for u in (t_before, t, s))
    gain = -alpha(s) * np.expm1(now - then)
    half = (then - now) / (2 * (now - before) + 1e-12)
    return np.einsum("k,kbd->bd", [sigma(s) / sigma(t), gain * (1 + half), -gain * half], [x_t, new, old])


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):  # both corrections in the rate, as in Kingma & Ba §2
    mu, nu = mu + (1 - b1) * (grad - mu), nu + (1 - b2) * (np.square(grad) - nu)
    root = np.sqrt(1 - np.power(b2, count))
    return theta - lr * root / (1 - np.power(b1, count)) * mu / (np.sqrt(nu) + eps * root), mu, nu


@answer
def empirical_denoiser(x_t, points, t, betas):  # squares expanded, normalised in log space
    a, var = np.exp(log_abar(t, betas)), -np.expm1(log_abar(t, betas))
    logits = (np.sqrt(a) * x_t @ points.T - 0.5 * a * np.einsum("nd,nd->n", points, points)) / var
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)) @ points


# ---- in loops over steps, rows, coordinates, probes


def after(t, betas):
    """√ᾱ_t and √(1 − ᾱ_t), step by step."""
    signal, var = 1.0, 0.0
    for i in range(t):
        signal, var = signal * math.sqrt(1 - betas[i]), var * (1 - betas[i]) + betas[i]
    return signal, math.sqrt(var)


def by_number(function):
    """Of each number of arrays of one shape, before other arguments."""

    def looped(arrays, *args):
        out = np.zeros_like(arrays[0])
        for i in np.ndindex(out.shape):
            out[i] = function(*(a[i] for a in arrays), *args)
        return out

    return looped


@by_number
def weighted(x, y, a, b):
    return a * x + b * y


def by_rows(function):
    """Row by row."""
    return lambda *arrays: np.array([function(*rows) for rows in zip(*arrays, strict=True)])


answers(
    snr=lambda t, betas: after(t, betas)[0] ** 2 / (after(t, betas)[1] ** 2 + 1e-12),
    q_step=lambda x, t, eps, betas: weighted([x, eps], math.sqrt(1 - betas[t - 1]), math.sqrt(betas[t - 1])),
    q_sample=lambda x0, t, eps, betas: weighted([x0, eps], *after(t, betas)),
    posterior_variance=lambda t, betas: after(t - 1, betas)[1] ** 2 * betas[t - 1] / after(t, betas)[1] ** 2,
    prior_kl=lambda x0, betas: sum(standard(after(len(betas), betas), x) for row in x0 for x in row),
    normal_kl=np.vectorize(lambda m, v, n, w: math.log(w / v) / 2 + (v - w + (m - n) ** 2) / (2 * w), otypes=[float]),
    vlb_weight=lambda t, betas: (1 / (1 - betas[t - 1]) * (after(t, betas)[1] / after(t - 1, betas)[1]) ** 2 - 1) / 2,
    simple_loss=lambda eps_hat, eps: sum((a - b) ** 2 for a, b in zip(eps_hat.flat, eps.flat, strict=True)) / eps.size,
    x0_from_eps=lambda x_t, t, eps, betas: undone(x_t, t, eps, betas),
    eps_from_x0=lambda x, t, x0, b: weighted([x, x0], 1 / after(t, b)[1], -after(t, b)[0] / after(t, b)[1]),
    v_from_x0_eps=lambda t, x0, eps, betas: weighted([eps, x0], after(t, betas)[0], -after(t, betas)[1]),
    score_from_eps=lambda t, eps, betas: np.array([[-e / after(t, betas)[1] for e in row] for row in eps]),
    tweedie=lambda x, t, score, b: weighted([x, score], 1 / after(t, b)[0], after(t, b)[1] ** 2 / after(t, b)[0]),
    cfg=lambda c, u, w: by_number(lambda c, u: u + (1 + w) * (c - u))([c, u]),
    euler_step=lambda f, x, t, s: weighted([x, f(x, t) + 0 * x], 1, s - t),
    euler_maruyama_step=lambda f, g, x, t, s, z: x + weighted([f(x, t) + 0 * x, z], s - t, g(t) * abs(s - t) ** 0.5),
    reverse_sde_drift=lambda x, beta, score: weighted([x, score], -beta / 2, -beta),
    probability_flow_drift=lambda x, beta, score: weighted([x, score], -beta / 2, -beta / 2),
    hutchinson=lambda vjp, x, probes: np.array([[v[i] @ vjp(x, v)[i] for v in probes] for i in range(len(x))]).mean(1),
    silu_backward=lambda x, dy: by_number(slope)([x]) * dy,
    ema_update=lambda ema, theta, decay: weighted([ema, theta], decay, 1 - decay),
    fourier_features=lambda times, w: np.array([[g(a * t) for g in (np.cos, np.sin) for a in w] for t in times]),
    effective_neighbours=by_rows(lambda w: sum(w) ** 2 / sum(a * a for a in w)),
)


def standard(jump, x):
    """KL of N(a x, b²) from N(0, 1)."""
    a, b = jump
    return ((a * x) ** 2 + b**2 - 1) / 2 - math.log(b)


def undone(x, t, eps, betas):
    """The noise taken away, and each step's root after another."""
    x = x - after(t, betas)[1] * eps
    for beta in betas[:t]:
        x = x / np.sqrt(1 - beta)
    return x


def slope(x):
    """Of x/(1 + e^{−x}), with no exponential of a positive number."""
    small = math.exp(-abs(x))
    s = 1 / (1 + small) if x >= 0 else small / (1 + small)
    return s + x * s * (1 - s)


@answer
def alpha_bar(betas):
    left = [1.0]
    for beta in betas:
        left.append(left[-1] * (1 - beta))
    return np.array(left)


@answer
def cosine_alpha_bar(t, T, s=0.008):  # β by β, clipped at .999
    left = [math.cos((i / T + s) / (1 + s) * math.pi / 2) ** 2 for i in range(t + 1)]
    return math.prod(1 - min(1 - left[i + 1] / left[i], 0.999) for i in range(t))


@answer
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    b, before, beta = after(t, betas)[1], after(t - 1, betas)[1], betas[t - 1]
    out = np.empty_like(x_t)
    for i, j in np.ndindex(x_t.shape):
        out[i, j] = (x_t[i, j] - beta / b * eps_hat[i, j]) / math.sqrt(1 - beta)
        if t > 1:
            out[i, j] += math.sqrt(beta) * before / b * z[i, j]
    return out


@answer
def heun_step(f, x, t, s):
    ahead = x + (s - t) * f(x, t)
    return 0.5 * (x + ahead + (s - t) * f(ahead, s))


@answer
def heun_step(f, x, t, s):  # row by row, each a batch of one
    def one(row):
        k = f(row, t) * (s - t)
        return row + 0.5 * k + 0.5 * (s - t) * f(row + k, s)

    return np.concatenate([one(row[None]) for row in x])


@answer
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    lam = [math.log(alpha(u) / sigma(u)) for u in (t_before, t, s)]
    half = (lam[2] - lam[1]) / (lam[1] - lam[0]) / 2
    middle = by_number(lambda new, old: new + half * (new - old))([x0_hat, x0_hat_before])
    return sigma(s) / sigma(t) * (x_t - alpha(t) * middle) + alpha(s) * middle


@answer
def linear_backward(x, w, dy):
    dx, dw, db = 0 * x, 0 * w, 0 * dy[0]
    for i in range(len(x)):
        dx[i], dw, db = w @ dy[i], dw + np.outer(x[i], dy[i]), db + dy[i]
    return dx, dw, db


@answer
def layer_norm_backward(x, dy, eps):
    def one(x, dy):
        mean, var = sum(x) / len(x), sum((x - sum(x) / len(x)) ** 2) / len(x)
        y = (x - mean) * (var + eps) ** -0.5
        return (dy - dy.mean() - y * (dy @ y) / len(x)) * (var + eps) ** -0.5

    return by_rows(one)(x, dy)


@answer
def layer_norm_backward(x, dy, eps):  # through the mean and the variance, one after another, as by the chain rule
    n, centred = x.shape[1], x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + eps)
    d_inverse = np.sum(dy * centred, axis=1, keepdims=True)
    d_centred = dy * inverse - d_inverse * inverse**3 * centred / n
    return d_centred - np.sum(d_centred, axis=1, keepdims=True) / n


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    new = [np.empty_like(theta) for _ in range(3)]
    for i in np.ndindex(theta.shape):
        new[1][i], new[2][i] = b1 * mu[i] + (1 - b1) * grad[i], b2 * nu[i] + (1 - b2) * grad[i] ** 2
        m, v = new[1][i] / (1 - b1**count), new[2][i] / (1 - b2**count)
        new[0][i] = theta[i] - lr * m / (math.sqrt(v) + eps)
    return tuple(new)


@answer
def ema_update(ema, theta, decay):  # in place, of copies
    ema = ema.copy()
    ema *= decay
    ema += (1 - decay) * theta
    return ema


@answer
def empirical_denoiser(x_t, points, t, betas):
    a, b = after(t, betas)
    out = []
    for x in x_t:
        logs = [-((x - a * y) @ (x - a * y)) / (2 * b * b) for y in points]
        weights = [math.exp(log - max(logs)) for log in logs]
        out.append(sum(w * y for w, y in zip(weights, points, strict=True)) / sum(weights))
    return np.array(out)


@answer
def effective_neighbours(weights):  # by what the weights vary; all are the same where their mean is
    return weights.shape[1] / (1 + weights.var(axis=1) / weights.mean(axis=1) ** 2)


@answer
def inpaint_known(x_s, known, mask, s, eps, betas):
    out, (a, b) = x_s.copy(), after(s, betas)
    out[mask] = a * known[mask] + b * eps[mask]
    return out


# ---- a mixture of Gaussians, and curves of log-SNR


@answer
def diffuse_mixture(weights, means, variances, t, betas):  # the library's
    now = level(t, betas)
    return weights, now.alpha * means, now.alpha**2 * variances + now.sigma**2


answers(
    diffuse_mixture=lambda w, m, v, t, b: (w, table(b)[t] ** 0.5 * m, 1 + table(b)[t] * (v - 1)),
    betas_from_log_snr=lambda lam: -np.expm1(np.diff(lam, prepend=np.inf)) / (1 + np.exp(lam)),
    from_v=lambda x_t, t, v, betas: predictions_of_v(x_t, v, level(t, betas)),
)


@answer
def diffuse_mixture(weights, means, variances, t, betas):  # by single steps
    for beta in betas[:t]:
        means, variances = np.sqrt(1 - beta) * means, (1 - beta) * variances + beta
    return [weights.copy(), means, variances]


@answer
def diffuse_mixture(weights, means, variances, t, betas):  # in log space, component by component
    a, var = np.exp(0.5 * log_abar(t, betas)), -np.expm1(log_abar(t, betas))
    return np.array(list(weights)), np.stack([a * m for m in means]), np.array([a * a * v + var for v in variances])


@answer
def betas_from_log_snr(lam):  # by ln ᾱ_t = −ln(1 + e^{−λ_t})
    return -np.expm1(np.diff(-np.logaddexp(0, -lam), prepend=0))


@answer
def betas_from_log_snr(lam):  # by noise over signal, e^{−λ_t}
    ratio = np.r_[0, np.exp(-lam)]
    return (ratio[1:] - ratio[:-1]) / (1 + ratio[1:])


@answer
def betas_from_log_snr(lam):
    before, out = 0.0, []
    for one in lam:
        log_bar = -math.log1p(math.exp(-one))
        out.append(-math.expm1(log_bar - before))
        before = log_bar
    return np.array(out)


def gaussian_parts(x_t, means, variances, t, betas):
    """c_k, and the distances of each row to each component."""
    a, var = table(betas)[t], 1 - table(betas)[t]
    return a * variances + var, np.sum((x_t[:, None] - np.sqrt(a) * means) ** 2, axis=2)


@answer
@np.errstate(divide="ignore")
def mixture_x0(x_t, weights, means, variances, t, betas):
    a, (c, squares) = table(betas)[t], gaussian_parts(x_t, means, variances, t, betas)
    logits = np.log(weights) - x_t.shape[1] / 2 * np.log(c) - squares / (2 * c)
    r = np.exp(logits - logits.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    each = means + np.sqrt(a) * (variances / c)[:, None] * (x_t[:, None] - np.sqrt(a) * means)
    return np.einsum("bk,bkd->bd", r, each)


@answer
@np.errstate(divide="ignore")
def mixture_x0(x_t, weights, means, variances, t, betas):  # precisions add, and the weights by logaddexp
    a, (c, squares) = roots(t, betas)[0], gaussian_parts(x_t, means, variances, t, betas)
    noise = 1 - table(betas)[t]
    logits = np.log(weights) - 0.5 * (x_t.shape[1] * np.log(2 * np.pi * c) + squares / c)
    r = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    each = (variances[:, None] * a * x_t[:, None] + noise * means) / c[:, None]
    return np.sum(r[:, :, None] * each, axis=1)


@answer
def mixture_x0(x_t, weights, means, variances, t, betas):  # in loops, with components of weight 0 left out
    a, b = after(t, betas)
    out = []
    for x in x_t:
        logs, each = [], []
        for w, m, v in zip(weights, means, variances, strict=True):
            if w > 0:
                c = a * a * v + b * b
                logs.append(math.log(w) - len(x) / 2 * math.log(c) - (x - a * m) @ (x - a * m) / (2 * c))
                each.append(m + a * v / c * (x - a * m))
        shares = [math.exp(log - max(logs)) for log in logs]
        out.append(sum(s * e for s, e in zip(shares, each, strict=True)) / sum(shares))
    return np.array(out)


@answer
@np.errstate(divide="ignore")
def mixture_x0(x_t, weights, means, variances, t, betas):  # by Tweedie
    a, (c, squares) = roots(t, betas)[0], gaussian_parts(x_t, means, variances, t, betas)
    logits = np.log(weights) - x_t.shape[1] * np.log(np.sqrt(c)) - squares / (2 * c)
    r = np.exp(logits - logits.max(axis=1, keepdims=True))
    r = r / r.sum(axis=1, keepdims=True)
    score = np.einsum("bk,bkd->bd", r, (a * means - x_t[:, None]) / c[:, None])
    return (x_t + (1 - table(betas)[t]) * score) / a


# ---- all steps of DDPM


@answer
def ancestral(x0_hat_of, x_T, zs, betas):
    bar, x = table(betas), x_T
    for t in range(len(betas), 0, -1):
        beta, now, before = betas[t - 1], bar[t], bar[t - 1]
        mean = (np.sqrt(before) * beta * x0_hat_of(x, t) + np.sqrt(1 - beta) * (1 - before) * x) / (1 - now)
        x = mean + np.sqrt(beta * (1 - before) / (1 - now)) * zs[t - 1]
    return x


@answer
def ancestral(x0_hat_of, x_T, zs, betas):  # by ε̂
    x = x_T.copy()
    for t in reversed(range(1, len(betas) + 1)):
        a, b = after(t, betas)
        eps_hat = (x - a * x0_hat_of(x, t)) / b
        x = (x - betas[t - 1] / b * eps_hat) / math.sqrt(1 - betas[t - 1])
        if t > 1:
            x += math.sqrt(betas[t - 1]) * after(t - 1, betas)[1] / b * zs[t - 1]
    return x


@answer
def ancestral(x0_hat_of, x_T, zs, betas):  # by recursion, and the last step apart
    def walked(x, t):
        x0_hat = x0_hat_of(x, t)
        if t == 1:
            return np.array(x0_hat)
        mean, var = ANSWERS["posterior"][1](x, x0_hat, t, betas)
        return walked(mean + np.sqrt(var) * zs[t - 1], t - 1)

    return walked(x_T, len(betas))


@answer
def ancestral(x0_hat_of, x_T, zs, betas):  # as DDIM with η = 1
    x, t = x_T, len(betas)
    while t > 0:
        now = np.clip(angle(t, betas), 1e-12, None)
        eps_hat = (x - np.cos(now) * x0_hat_of(x, t)) / np.sin(now)
        x = ddim(x, t, t - 1, eps_hat, zs[t - 1], betas, 1.0)
        t -= 1
    return x


@answer
def ancestral(x0_hat_of, x_T, zs, betas):  # the library's step
    x = x_T
    for t in range(len(betas), 0, -1):
        x = td.ddpm_step(x, x0_hat_of(x, t), *levels(betas, t, t - 1), zs[t - 1], "beta_tilde")
    return x


# ---- a term of the bound


@answer
def elbo_step(x0, x_t, x0_hat, t, variance, betas):
    beta, now, before = betas[t - 1], table(betas)[t], table(betas)[t - 1]
    tilde, c_0 = beta * (1 - before) / (1 - now), np.sqrt(before) * beta / (1 - now)
    squares = c_0**2 * np.sum((x0 - x0_hat) ** 2, axis=1)
    return 0.5 * (x0.shape[1] * (np.log(variance / tilde) + tilde / variance - 1) + squares / variance)


@answer
def elbo_step(x0, x_t, x0_hat, t, variance, betas):  # of both means, number by number
    c_t, c_0, tilde = td.posterior(*levels(betas, t, t - 1))
    return elbo.normal_kl(c_t * x_t + c_0 * x0, tilde, c_t * x_t + c_0 * x0_hat, variance)


@answer
def elbo_step(x0, x_t, x0_hat, t, variance, betas):  # by the functions of the course
    mean, tilde = ANSWERS["posterior"][0](x_t, x0, t, betas)
    other, _ = ANSWERS["posterior"][0](x_t, x0_hat, t, betas)
    return np.sum(ANSWERS["normal_kl"][1](mean, tilde, other, variance), axis=1)


@answer
def elbo_step(x0, x_t, x0_hat, t, variance, betas):  # in loops, by SNR
    (a, b), (a_s, b_s) = after(t, betas), after(t - 1, betas)
    tilde = betas[t - 1] * (b_s / b) ** 2
    weight = ((a_s / b_s) ** 2 - (a / b) ** 2) * tilde
    out = []
    for row, hat in zip(x0, x0_hat, strict=True):
        nats = [weight * (x - y) ** 2 / variance + tilde / variance - 1 for x, y in zip(row, hat, strict=True)]
        out.append(sum(nats) / 2 - len(row) * math.log(tilde / variance) / 2)
    return np.array(out)


# ---- both of v


def predictions_of_v(x_t, v, now):
    x0 = predictions.to_x0("v", now)[0] * x_t + predictions.to_x0("v", now)[1] * v
    return x0, predictions.eps_from_x0(x_t, x0, now)


answers(
    from_v=lambda x, t, v, betas: [
        roots(t, betas)[0] * x - roots(t, betas)[1] * v,
        roots(t, betas)[1] * x + roots(t, betas)[0] * v,
    ]
)
answers(from_v=lambda x, t, v, b: tuple(np.einsum("ij,jbd->ibd", turn(-angle(t, b)), [x, v])))
answers(
    from_v=lambda x, t, v, b: (
        weighted([x, v], after(t, b)[0], -after(t, b)[1]),
        weighted([x, v], after(t, b)[1], after(t, b)[0]),
    )
)


def turn(phi):
    """A matrix that turns by minus phi."""
    return np.array([[np.cos(phi), np.sin(phi)], [-np.sin(phi), np.cos(phi)]])


# ---- a network by hand


def logistic(s):
    return 0.5 + 0.5 * np.tanh(0.5 * s)


@answer
def mlp(params, x):
    inputs, sums, last = [], [], len(params) // 2 - 1
    for i in range(last + 1):
        inputs.append(x)
        sums.append(x @ params[2 * i] + params[2 * i + 1])
        x = sums[-1] * logistic(sums[-1]) if i < last else sums[-1]

    def pullback(dy):
        grads = []
        for i in range(last, -1, -1):
            if i < last:
                s = logistic(sums[i])
                dy = dy * s * (1 + sums[i] * (1 - s))
            grads = [inputs[i].T @ dy, dy.sum(axis=0), *grads]
            dy = dy @ params[2 * i].T
        return grads, dy

    return x, pullback


def of_layers(params, x):
    *before, w, b = params
    if not before:
        return x @ w + b, lambda dy: ([x.T @ dy, np.ones(len(dy)) @ dy], dy @ w.T)
    s, pull = of_layers(before, x)
    share = 1 / (1 + np.exp(-s))
    h = s * share

    def pullback(dy):
        dparams, dx = pull(dy @ w.T * (share + h * (1 - share)))
        return (*dparams, h.T @ dy, dy.sum(axis=0)), dx

    return h @ w + b, pullback


answers(mlp=lambda params, x: of_layers(params, x))  # by recursion, from the last layer


@answer
def mlp(params, x):  # layers with pullbacks of their own
    pulls, count = [], len(params) // 2
    for i, (w, b) in enumerate(zip(params[::2], params[1::2], strict=True)):
        x, pull = linear(x, w, b)
        pulls.append(pull)
        if i < count - 1:
            x, pull = layers.silu(x)
            pulls.append(pull)

    def pullback(dy):
        dparams = []
        for pull in pulls[::-1]:
            dy = pull(dy)
            if isinstance(dy, tuple):
                dparams[:0] = dy[1:]
                dy = dy[0]
        return dparams, dy

    return x, pullback


def linear(x, w, b):
    return x @ w + b, lambda dy: ANSWERS["linear_backward"][0](x, w, dy)


class Layers:
    """A network with a state, whose pullback is a method."""

    def __init__(self, params, x):
        self.params, self.hidden, self.slopes = params, [x], []
        for i in range(0, len(params) - 2, 2):
            s = np.einsum("bi,io->bo", self.hidden[-1], params[i]) + params[i + 1]
            self.hidden.append(s / (1 + np.exp(-s)))
            self.slopes.append(by_number(slope)([s]))
        self.y = self.hidden[-1] @ params[-2] + params[-1]

    def pull(self, dy):
        grads = [None] * len(self.params)
        for i in range(len(self.hidden) - 1, -1, -1):
            grads[2 * i] = np.einsum("bi,bo->io", self.hidden[i], dy)
            grads[2 * i + 1] = np.einsum("bo->o", dy)
            dy = np.einsum("bo,io->bi", dy, self.params[2 * i]) * (self.slopes[i - 1] if i else 1)
        return grads, dy


@answer
def mlp(params, x):
    network = Layers(params, x)
    return network.y, network.pull


# ---- learning well, and the whole family of flows


@answer
def edm_coefficients(sigma, sigma_data):
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / math.sqrt(total), 1 / math.sqrt(total)


@answer
def edm_coefficients(sigma, sigma_data):  # by the angle between data and noise
    angle = math.atan2(sigma, sigma_data)
    return math.cos(angle) ** 2, sigma * math.cos(angle), math.cos(angle) / sigma_data


@answer
def edm_coefficients(sigma, sigma_data):  # by least squares
    c_skip = 1 / (1 + (sigma / sigma_data) ** 2)
    return c_skip, np.hypot((1 - c_skip) * sigma_data, c_skip * sigma), np.hypot(sigma, sigma_data) ** -1


@answer
def edm_coefficients(sigma, sigma_data):  # x over its deviation, and v of it
    scale = np.sqrt(sigma_data**2 + sigma**2)
    signal, noise = sigma_data / scale, sigma / scale
    return signal**2, sigma_data * noise, 1 / scale


@answer
def newton_schulz(m, steps):
    x = m / np.linalg.norm(m)
    for _ in range(steps):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x


@answer
def newton_schulz(m, steps):  # of the smaller square, by the largest singular value
    wide = m if m.shape[0] <= m.shape[1] else m.T
    wide = wide / np.linalg.norm(wide, 2)
    for _ in range(steps):
        wide = 0.5 * (3 * np.eye(len(wide)) - wide @ wide.T) @ wide
    return wide if m.shape[0] <= m.shape[1] else wide.T


@answer
def newton_schulz(m, steps):  # on the singular values alone
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    s = s / np.sqrt(np.sum(s**2))
    for _ in range(steps):
        s = s * (3 - s**2) / 2
    return (u * s) @ vt


@answer
def newton_schulz(m, steps):  # by recursion, and einsum
    if steps == 0:
        return m / np.sqrt(np.einsum("ij,ij", m, m))
    x = newton_schulz(m, steps - 1)
    return x + 0.5 * (x - np.einsum("ij,kj,kl->il", x, x, x))


answers(reverse_family_drift=lambda x, beta, score, eta: -0.5 * beta * (x + (1 + eta**2) * score))
answers(reverse_family_drift=lambda x, beta, score, eta: -beta * x / 2 - beta * score / 2 - eta**2 * beta * score / 2)


@answer
def reverse_family_drift(x, beta, score, eta):  # between the two ends
    flow, sde = (ANSWERS[name][0](x, beta, score) for name in ("probability_flow_drift", "reverse_sde_drift"))
    return flow + eta**2 * (sde - flow)


@answer
def reverse_family_drift(x, beta, score, eta):  # a velocity for the noise of the forward process, and one for its own
    forward, own = np.sqrt(beta), eta * np.sqrt(beta)
    return -(forward**2) / 2 * x - forward**2 / 2 * score - own**2 / 2 * score


@answer
def flow_log_density(drift, divergence, log_prior, x, times):  # Heun, with what was asked at the end kept
    total, here, slope = 0.0, divergence(x, times[0]), drift(x, times[0])
    for t, s in itertools.pairwise(times):
        x = x + (s - t) * (slope + drift(x + (s - t) * slope, s)) / 2
        total = total + (s - t) / 2 * (here + (here := divergence(x, s)))
        slope = drift(x, s)
    return log_prior(x) + total


@answer
def flow_log_density(drift, divergence, log_prior, x, times):  # the midpoint
    total = np.zeros(len(x))
    for t, h in zip(times, np.diff(times), strict=False):
        middle = x + h / 2 * drift(x, t)
        total += h * divergence(middle, t + h / 2)
        x = x + h * drift(middle, t + h / 2)
    return total + log_prior(x)


@answer
def flow_log_density(drift, divergence, log_prior, x, times):  # Heun, by recursion
    if len(times) == 1:
        return log_prior(x)
    h, first = times[1] - times[0], drift(x, times[0])
    then = x + h / 2 * (first + drift(x + h * first, times[1]))
    gained = h / 2 * (divergence(x, times[0]) + divergence(then, times[1]))
    return gained + flow_log_density(drift, divergence, log_prior, then, times[1:])


@answer
def flow_log_density(drift, divergence, log_prior, x, times):  # one state, by RK4
    def slope(state, t):
        return np.concatenate([drift(state[:, :-1], t), divergence(state[:, :-1], t)[:, None]], axis=1)

    state = np.concatenate([x, np.zeros((len(x), 1))], axis=1)
    for t, s in itertools.pairwise(times):
        state = solvers.rk4_step(slope, state, t, s)
    return log_prior(state[:, :-1]) + state[:, -1]


@answer
def multistep_step(x_t, x0_hats, times, s, alpha, sigma):  # the library's shares
    *seen, end = (2 * float(np.log(alpha(t) / sigma(t))) for t in (*times, s))
    mean = sum(w * x0_hat for w, x0_hat in zip(shares(seen, seen[-1], end), x0_hats, strict=True))
    ratio = sigma(s) / sigma(times[-1])
    return ratio * x_t + (alpha(s) - ratio * alpha(times[-1])) * mean


@answer
def multistep_step(x_t, x0_hats, times, s, alpha, sigma):  # by the integrals of e^l l^j, one after another by parts
    ends = [float(np.log(alpha(t) / sigma(t))) for t in (times[-1], s)]
    powers = [float(np.log(alpha(t) / sigma(t))) - ends[1] for t in times]
    start = ends[0] - ends[1]
    moments = [1 - math.exp(start)]
    for j in range(1, len(times)):
        moments.append(-(start**j) * math.exp(start) - j * moments[-1])
    weights = np.linalg.solve(np.vander(powers, increasing=True).T, moments)
    total = sum(w * x0_hat for w, x0_hat in zip(weights, x0_hats, strict=True))
    return sigma(s) / sigma(times[-1]) * x_t + alpha(s) * total


@answer
def multistep_step(x_t, x0_hats, times, s, alpha, sigma):  # a fine sum, Simpson's, of the interpolated answers
    clock = np.array([float(np.log(alpha(t)) - np.log(sigma(t))) for t in (*times, s)])
    grid = np.linspace(clock[-2], clock[-1], 2001)
    rule = np.r_[1, np.tile([4, 2], 1000)[:-1], 1] * (grid[1] - grid[0]) / 3 * np.exp(grid)
    total = 0 * x_t
    for j, x0_hat in enumerate(x0_hats):
        others = np.delete(clock[:-1], j)
        total = total + rule @ np.prod([(grid - o) / (clock[j] - o) for o in others] or [0 * grid + 1], axis=0) * x0_hat
    return sigma(s) / sigma(times[-1]) * x_t + sigma(s) * total


NODES, GAUSS = np.polynomial.legendre.leggauss(30)


@answer
def multistep_step(x_t, x0_hats, times, s, alpha, sigma):  # by Taylor's series of the polynomial at the end
    clock = np.array([float(np.log(alpha(t) / sigma(t))) for t in (*times, s)])
    back = clock[:-1] - clock[-1]
    shape = (len(x0_hats), -1)
    of_power = np.linalg.solve(np.vander(back, increasing=True), np.reshape(np.stack(x0_hats), shape))
    u = (NODES - 1) / 2 * (clock[-1] - clock[-2])
    integral = GAUSS @ (np.exp(u)[:, None] * np.vander(u, len(back), increasing=True)) * (clock[-1] - clock[-2]) / 2
    return sigma(s) / sigma(times[-1]) * x_t + alpha(s) * np.reshape(integral @ of_power, x_t.shape)


# ---- guidance


@answer
def tilted_gaussian(m, v, w):
    variance = v / (1 + w * (1 - v))
    return m * (1 + w) / (1 + w * (1 - v)), variance


@answer
def tilted_gaussian(m, v, w):  # precisions add, and so do precisions times means
    precision = (1 + w) / v - w
    return (1 + w) * m / v / precision, 1 / precision


@answer
def tilted_gaussian(m, v, w):  # the coefficients of the logarithm, a polynomial in x
    square, linear = -(1 + w) / (2 * v) + w / 2, (1 + w) * m / v
    return -linear / (2 * square), -1 / (2 * square)


@answer
def tilted_gaussian(m, v, w):  # number by number: the classifier's part counts 1 + w times, beside N(0, 1)
    def one(m, v):
        rate, shift = 1 + (1 + w) * (1 / v - 1), (1 + w) * m / v
        return shift / rate, 1 / rate

    return np.vectorize(one, otypes=[float, float])(m, v)


# ---- measurements


@answer
def condition_gaussian(mean, cov, A, y, tau):  # Kalman's gain
    gain = np.linalg.solve(A @ cov @ A.T + tau**2 * np.eye(len(A)), A @ cov).T
    return mean + gain @ (y - A @ mean), cov - gain @ A @ cov


@answer
def condition_gaussian(mean, cov, A, y, tau):  # precisions
    of_x = np.linalg.inv(cov)
    new = np.linalg.inv(of_x + A.T @ A / tau**2)
    return new @ (of_x @ mean + A.T @ y / tau**2), (new + new.T) / 2


@answer
def condition_gaussian(mean, cov, A, y, tau):  # the library's mixture of one
    law = td.GaussianMixture([1.0], [mean], [cov]).conditioned(A, y, tau)
    return law.means[0], law.covariances[0]


@answer
def condition_gaussian(mean, cov, A, y, tau):  # one number after another, and Joseph's form
    for a, one in zip(A, y, strict=True):
        gain = cov @ a / (a @ cov @ a + tau**2)
        left = np.eye(len(mean)) - np.outer(gain, a)
        mean, cov = mean + gain * (one - a @ mean), left @ cov @ left.T + tau**2 * np.outer(gain, gain)
    return mean, cov


@answer
def measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma):
    S = A @ cov @ A.T + tau**2 * np.eye(len(A))
    v = np.linalg.solve(S, (y - x0_hat @ A.T)[:, :, None])[:, :, 0]
    return x0_hat + sigma**2 / alpha * pull(v @ A)


@answer
def measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma):  # row by row, by the inverse
    covs = np.broadcast_to(cov, (len(x0_hat), *cov.shape[-2:]))
    rows = []
    for x, C in zip(x0_hat, covs, strict=True):
        rows.append((y - A @ x) @ np.linalg.inv(A @ C @ A.T + tau**2 * np.eye(len(y))) @ A)
    return x0_hat + pull(np.array(rows)) * sigma**2 / alpha


@answer
def measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma):  # the Jacobian's rows first, by einsum
    J = np.stack([pull(np.tile(a, (len(x0_hat), 1))) for a in A], axis=1)
    S = np.einsum("mi,...ij,nj->...mn", A, cov, A) + tau**2 * np.eye(len(A))
    v = np.einsum("...mn,bn->bm" if cov.ndim == 2 else "bmn,bn->bm", np.linalg.inv(S), y - x0_hat @ A.T)
    return x0_hat + sigma**2 / alpha * np.einsum("bm,bmd->bd", v, J)


@answer
def measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma):  # in units of tau, along the axes of S
    s, P = np.linalg.eigh(A @ cov @ A.T / tau**2)
    v = ((y - x0_hat @ A.T)[:, None, :] @ P / (1 + s)[..., None, :] @ np.swapaxes(P, -1, -2))[:, 0]
    return x0_hat + (sigma / tau) ** 2 / alpha * pull(v @ A)


@answer
def two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s):
    ratio = sigma_s / sigma_t
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha_t)


@answer
def two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s):  # without a division by the noise
    return (sigma_t * x_s - sigma_s * x_t) / (sigma_t * alpha_s - sigma_s * alpha_t)


@answer
def two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s):  # x_0 and ε of two equations, for each row
    levels = np.stack([np.hstack([alpha_t, sigma_t]), np.hstack([alpha_s, sigma_s])], axis=1)
    return np.linalg.solve(levels, np.stack([x_t, x_s], axis=1))[:, 0]


@answer
def consistency_output(f, x, sigma, sigma_data, sigma_min):  # the paper's
    c_skip = sigma_data**2 / ((sigma - sigma_min) ** 2 + sigma_data**2)
    return c_skip * x + sigma_data * (sigma - sigma_min) / np.sqrt(sigma**2 + sigma_data**2) * f


@answer
def consistency_output(f, x, sigma, sigma_data, sigma_min):  # as σ_min/σ
    return sigma_min / sigma * x + sigma_data * (1 - sigma_min / sigma) * f


@answer
def consistency_output(f, x, sigma, sigma_data, sigma_min):  # an exponential
    kept = np.exp((sigma_min - sigma) / sigma_data)
    return kept * x + (1 - kept) * sigma_data * f


@answer
def consistency_output(f, x, sigma, sigma_data, sigma_min):  # an angle, and the other sign of c_out
    angle = np.arctan((sigma - sigma_min) / sigma_data)
    return np.cos(angle) ** 2 * x - sigma_data * np.sin(angle) * f


@answer
def consistency_output(f, x, sigma, sigma_data, sigma_min):  # without σ_data in c_skip
    return sigma_min**2 / sigma**2 * x + sigma_data * np.tanh(np.log(sigma / sigma_min)) * f


# ---- the straight path


answers(
    velocity_from_eps=lambda x_t, t, eps: (eps - x_t) / (1 - t),
    to_straight=lambda x, alpha, sigma: (x / (alpha + sigma), sigma / (alpha + sigma)),
)
answers(velocity_from_eps=lambda x_t, t, eps: eps - predictions.x0_from_eps(x_t, eps, td.Straight().at(t)))
answers(to_straight=lambda x, alpha, sigma: [x / (alpha + sigma), 1 - alpha / (alpha + sigma)])  # a list


@answer
def flow_matching_loss(velocity, x0, x1, t):
    x_t = (1 - t[:, None]) * x0 + t[:, None] * x1
    return np.mean((velocity(x_t, t) - (x1 - x0)) ** 2)


@answer
def flow_matching_loss(velocity, x0, x1, t):  # from x_0 along the difference, by einsum
    gap = x1 - x0
    off = velocity(x0 + np.einsum("b,bd->bd", t, gap), t) - gap
    return np.einsum("bd,bd->", off, off) / gap.size


@answer
def flow_matching_loss(velocity, x0, x1, t):  # a number of Python's; from x_1 back
    at = np.reshape(t, (-1, 1))
    off = velocity(x1 - (1 - at) * (x1 - x0), t) - x1 + x0
    return float(np.linalg.norm(off) ** 2 / off.shape[0] / off.shape[1])


@answer
def velocity_from_eps(x_t, t, eps):  # two equations, solved
    x0, noise = np.linalg.solve([[1 - t, t], [0, 1]], np.stack([x_t, eps]).reshape(2, -1))
    return (noise - x0).reshape(x_t.shape)


@answer
def to_straight(x, alpha, sigma):  # the clock first
    t = sigma / (alpha + sigma)
    return x / (alpha + sigma), np.float64(t)
