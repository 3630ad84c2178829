"""The library's own functions obey the laws that students' functions do, through thin adapters to their signatures."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinydiff as td
from tinydiff import denoisers
from tinydiff.check import check, engine, specs
from tinydiff.evaluation import elbo, likelihood
from tinydiff.learned import layers, objective, optim
from tinydiff.sampling import ancestral, dpm_solver, ode, stochastic

ADAPTERS = {}


def adapter(function):
    ADAPTERS[function.__name__] = function
    return function


def chain(betas, *steps):
    """The process, and the times of some steps on it."""
    return td.Discrete(betas), *(n / len(betas) for n in steps)


# ---- the forward process


@adapter
def alpha_bar(betas):
    process, *ts = chain(betas, *range(len(betas) + 1))
    return process.alpha(np.array(ts)) ** 2


@adapter
def q_step(x, t, eps, betas):
    process, now, before = chain(betas, t, t - 1)
    a, v = process.transition(now, before)
    return a * x + np.sqrt(v) * eps


@adapter
def q_sample(x0, t, eps, betas):
    process, now = chain(betas, t)
    return process.perturb(x0, now, eps)


@adapter
def snr(t, betas):
    process, now = chain(betas, t)
    return np.exp(process.log_snr(now))


@adapter
def cosine_alpha_bar(t, T, s=0.008):
    return td.Discrete.cosine(T, s).alpha(t / T) ** 2


# ---- the reverse process


@adapter
def posterior(x_t, x0, t, betas):
    process, now, before = chain(betas, t, t - 1)
    return process.posterior(x_t, x0, now, before)


@adapter
def posterior_variance(t, betas):
    process, now, before = chain(betas, t, t - 1)
    return process.posterior_coefficients(now, before)[2]


@adapter
def normal_kl(m1, v1, m2, v2):
    def of_numbers(m1, v1, m2, v2):
        return elbo.normal_kl(np.array([[m1]]), float(v1), np.array([[m2]]), float(v2))[0]

    return np.vectorize(of_numbers)(m1, v1, m2, v2)


@adapter
def prior_kl(x0, betas):
    return td.Discrete(betas).prior_gap(x0)


@adapter
def vlb_weight(t, betas):
    process, now = chain(betas, t)
    return objective.vlb(process, now) / process.T


@adapter
def ddpm_step(x_t, t, eps_hat, z, betas, variance="beta_tilde"):
    process, now, before = chain(betas, t, t - 1)
    x0_hat = denoisers.x0_from_eps(process, x_t, now, eps_hat)
    return ancestral.ddpm_step(process, x_t, x0_hat, now, before, z, variance)


@adapter
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    process, now, then = chain(betas, t, s)
    x0_hat = denoisers.x0_from_eps(process, x_t, now, eps_hat)
    return ancestral.ddim_step(process, x_t, x0_hat, now, then, z, eta)


# ---- parametrisations


@adapter
def x0_from_eps(x_t, t, eps, betas):
    process, now = chain(betas, t)
    return denoisers.x0_from_eps(process, x_t, now, eps)


@adapter
def eps_from_x0(x_t, t, x0, betas):
    process, now = chain(betas, t)
    return denoisers.eps_from_x0(process, x_t, now, x0)


@adapter
def v_from_x0_eps(t, x0, eps, betas):
    process, now = chain(betas, t)
    return denoisers.v_from_x0_eps(process, now, x0, eps)


@adapter
def score_from_eps(t, eps, betas):
    process, now = chain(betas, t)
    return denoisers.target("score", 0 * eps, eps, process.alpha(now), process.sigma(now))


@adapter
def tweedie(x_t, t, score, betas):
    process, now = chain(betas, t)
    a, b = denoisers.to_x0("score", process.alpha(now), process.sigma(now))
    return a * x_t + b * score


@adapter
def simple_loss(eps_hat, eps):
    class Network:
        outputs, prediction = 0, "eps"

        def __call__(self, theta, x, lam, labels):
            return eps_hat, lambda dy, grad: None

    t = np.full(len(eps), 0.5)
    return objective.loss_and_grad(Network(), td.VP(), np.zeros(1), 0 * eps, t, eps)[0]


@adapter
def cfg(c, u, w):
    return td.classifier_free(Says(c), Says(u), w)(0 * c, 0.5)


class Says:
    """A denoiser with one answer."""

    def __init__(self, eps):
        self.eps, self.dim = eps, eps.shape[1]

    def __call__(self, x, t):
        return self.eps


# ---- solvers


@adapter
def euler_step(f, x, t, s):
    return ode.euler_step(f, x, t, s)


@adapter
def heun_step(f, x, t, s):
    return ode.heun_step(f, x, t, s)


@adapter
def euler_maruyama_step(f, g, x, t, s, z):
    g2 = max(g(t) ** 2, 1e-300)  # where g²/σ = 1 the model is the drift
    sde = SimpleNamespace(f=lambda t: 0.0, g2=lambda t: g2, sigma=lambda t: g2)
    return stochastic.euler_maruyama_step(f, sde, x, t, s, abs(s - t) ** 0.5 * z)


@adapter
def reverse_sde_drift(x, beta, score):
    step_back = stochastic.euler_maruyama_step(lambda x, t: -score, constant(beta), x, 1.0, 0.0, 0 * x)
    return x - step_back


@adapter
def probability_flow_drift(x, beta, score):
    return ode.drift(lambda x, t: -score, constant(beta), x, 0.5)


def constant(beta):
    """A VP-SDE with this β(t), where σ is 1."""
    return SimpleNamespace(f=lambda t: -0.5 * beta, g2=lambda t: beta, sigma=lambda t: 1.0)


@adapter
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    process = SimpleNamespace(alpha=alpha, sigma=sigma, log_snr=lambda u: 2 * np.log(alpha(u) / sigma(u)))
    return dpm_solver.dpm_solver_2m_step(process, x_t, x0_hat, x0_hat_before, t_before, t, s)


@adapter
def hutchinson(vjp, x, probes):
    model = SimpleNamespace(linearize=lambda x, t: (0 * x, lambda v: vjp(x, v)))
    sde = SimpleNamespace(f=lambda t: 0.0, g2=lambda t: 2.0, sigma=lambda t: 1.0)
    return likelihood.flow_and_divergence(model, sde, x, 0.5, probes)[1].mean(axis=1)


# ---- learning


@adapter
def linear_backward(x, w, dy):
    grad = np.zeros(w.size + w.shape[1])
    _, pullback = layers.linear(np.concatenate([w.ravel(), np.zeros(w.shape[1])]), x)
    dx = pullback(dy, grad)
    return dx, grad[: w.size].reshape(w.shape), grad[w.size :]


@adapter
def silu_backward(x, dy):
    return layers.silu(x)[1](dy)


@adapter
def layer_norm_backward(x, dy, eps):
    return layers.layer_norm(x, eps)[1](dy)


@adapter
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    step, state = optim.Adam(lr, b1, b2, eps).update(grad, optim.AdamState(mu, nu, count - 1))
    return theta + step, state.mu, state.nu


@adapter
def ema_update(ema, theta, decay):
    return optim.ema_update(ema, theta, decay)


@adapter
def fourier_features(t, frequencies):
    return layers.fourier_features(t, frequencies)


# ---- data, and what is known of them


@adapter
def empirical_denoiser(x_t, points, t, betas):
    process, now = chain(betas, t)
    return td.Oracle(points, process).x0(x_t, now)


@adapter
def effective_neighbours(weights):
    return 1 / np.sum(weights**2, axis=1)  # not of the library


@adapter
def inpaint_known(x_s, known, mask, s, eps, betas):
    process, then = chain(betas, s)
    return np.where(mask, process.perturb(known, then, eps), x_s)


@pytest.mark.parametrize("level", ["quick", "deep"])
@pytest.mark.parametrize("name", specs())
def test_the_library_obeys_the_laws(name, level, monkeypatch):
    monkeypatch.setattr(engine, "EXAMPLES", 20)  # test_specs draws more, for the right answers
    report = check(ADAPTERS[name], level=level)
    assert report.passed, report


def test_either_variance_is_right():
    report = check(lambda *args: ddpm_step(*args, variance="beta"), "ddpm_step")
    assert report.passed, report
