"""Right answers to every specification: the library's own functions where a thin adapter to its signature does.

Where the laws leave freedom of shape, order or variance there is another answer, written in another way.
"""

import functools

import numpy as np

import tinydiff as td
from tinydiff import predictions
from tinydiff.evaluation import elbo, likelihood
from tinydiff.learned import layers, objective, optim
from tinydiff.sampling import probability_flow, solvers

ANSWERS: dict[str, list] = {}


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
