"""The library's own functions obey the laws that students' functions do, through thin adapters to their signatures."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff import predictions
from tinydiff.check import check, engine, specs
from tinydiff.evaluation import elbo, likelihood
from tinydiff.learned import layers, objective, optim
from tinydiff.sampling import probability_flow, solvers

ADAPTERS = {}


def adapter(function):
    ADAPTERS[function.__name__] = function
    return function


def levels(betas, *steps):
    """The levels after so many steps of a chain."""
    chain = td.Discrete(betas)
    return [chain.at(n / chain.T) for n in steps]


# ---- the forward process


@adapter
def alpha_bar(betas):
    return np.array([now.alpha**2 for now in levels(betas, *range(len(betas) + 1))])


@adapter
def q_step(x, t, eps, betas):
    a, var = td.transition(*levels(betas, t, t - 1))
    return a * x + np.sqrt(var) * eps


@adapter
def q_sample(x0, t, eps, betas):
    (now,) = levels(betas, t)
    return now.perturb(x0, eps)


@adapter
def snr(t, betas):
    (now,) = levels(betas, t)
    return now.snr


@adapter
def cosine_alpha_bar(t, T, s=0.008):
    return td.Discrete.cosine(T, s).at(t / T).alpha ** 2


# ---- the reverse process


@adapter
def posterior(x_t, x0, t, betas):
    c_t, c_0, var = td.posterior(*levels(betas, t, t - 1))
    return c_t * x_t + c_0 * x0, var


@adapter
def posterior_variance(t, betas):
    return td.posterior(*levels(betas, t, t - 1))[2]


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
    (now,) = levels(betas, t)
    return objective.vlb_weight(now) / len(betas)


@adapter
def ddpm_step(x_t, t, eps_hat, z, betas, variance="beta_tilde"):
    now, then = levels(betas, t, t - 1)
    return td.ddpm_step(x_t, predictions.x0_from_eps(x_t, eps_hat, now), now, then, z, variance)


@adapter
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    now, then = levels(betas, t, s)
    return td.ddim_step(x_t, predictions.x0_from_eps(x_t, eps_hat, now), now, then, z, eta)


# ---- parametrisations


@adapter
def x0_from_eps(x_t, t, eps, betas):
    return predictions.x0_from_eps(x_t, eps, *levels(betas, t))


@adapter
def eps_from_x0(x_t, t, x0, betas):
    return predictions.eps_from_x0(x_t, x0, *levels(betas, t))


@adapter
def v_from_x0_eps(t, x0, eps, betas):
    return predictions.v_from_x0_eps(x0, eps, *levels(betas, t))


@adapter
def score_from_eps(t, eps, betas):
    return predictions.target("score", 0 * eps, eps, *levels(betas, t))


@adapter
def tweedie(x_t, t, score, betas):
    a, b = predictions.to_x0("score", *levels(betas, t))
    return a * x_t + b * score


@adapter
def simple_loss(eps_hat, eps):
    class Network:
        outputs, prediction = 0, "eps"

        def __call__(self, theta, x, lam, labels):
            return eps_hat, lambda dy, grad: None

    now = td.VP().at(np.full(len(eps), 0.5), like=eps)
    return objective.loss_and_grad(Network(), np.zeros(1), now, 0 * eps, eps)[0]


@adapter
def cfg(c, u, w):
    return td.ClassifierFreeGuidance(Says(c), Says(u), w)(0 * c, 0.5)


class Says(td.Denoiser):
    """A denoiser with one answer."""

    process = td.VP()

    def __init__(self, eps):
        self.eps, self.dim, self.like = eps, eps.shape[1], eps[:0]

    def __call__(self, x, t):
        return self.eps


# ---- solvers


@adapter
def euler_step(f, x, t, s):
    return solvers.euler_step(f, x, t, s)


@adapter
def heun_step(f, x, t, s):
    return solvers.heun_step(f, x, t, s)


class Custom(td.Process):
    """A process of any functions of time, by their names."""

    def __init__(self, **functions):
        vars(self).update(functions)


def of_rates(f, g2):
    """A process with these rates, in whose steps σ is 1."""
    return Custom(alpha=lambda t: 1.0, sigma=lambda t: 1.0, f=lambda t: f, g2=lambda t: g2)


@adapter
def euler_maruyama_step(f, g, x, t, s, z):
    g2 = max(g(t) ** 2, 1e-300)
    sde, eps_hat, dw = of_rates(0.0, g2), f(x, t) / g2, abs(s - t) ** 0.5 * z  # so that the drift is f
    if s < t:
        return td.euler_maruyama_step(x, eps_hat, sde.at(t), sde.at(s), dw)
    return td.euler_maruyama_step(x, -eps_hat, sde.at(1 - t), sde.at(1 - s), dw)  # the library's clock falls


@adapter
def reverse_sde_drift(x, beta, score):
    sde = of_rates(-0.5 * beta, beta)
    return x - td.euler_maruyama_step(x, -score, sde.at(1.0), sde.at(0.0), 0 * x)


@adapter
def probability_flow_drift(x, beta, score):
    return probability_flow.velocity(lambda x, t: -score, x, of_rates(-0.5 * beta, beta).at(0.5))


@adapter
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    before, now, then = map(Custom(alpha=alpha, sigma=sigma).at, (t_before, t, s))
    return td.dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, before, now, then)


@adapter
def hutchinson(vjp, x, probes):
    return likelihood.traces(lambda u: vjp(x, u), x, probes).mean(axis=1)


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
    (now,) = levels(betas, t)
    return td.Oracle(points, now.process).x0(x_t, now)


@adapter
def effective_neighbours(weights):
    return 1 / np.sum(weights**2, axis=1)  # not of the library


@adapter
def inpaint_known(x_s, known, mask, s, eps, betas):
    (then,) = levels(betas, s)
    return np.where(mask, then.perturb(known, eps), x_s)


@pytest.mark.parametrize("level", ["quick", "deep"])
@pytest.mark.parametrize("name", specs())
def test_the_library_obeys_the_laws(name, level, monkeypatch):
    monkeypatch.setattr(engine, "EXAMPLES", 20)  # test_specs draws more, for the right answers
    report = check(ADAPTERS[name], level=level)
    assert report.passed, report


def test_either_variance_is_right():
    report = check(lambda *args: ddpm_step(*args, variance="beta"), "ddpm_step")
    assert report.passed, report
