"""Ten functions with a mistake each, as students write them; the site shows what check prints for them."""

import numpy as np

TEN = []


def mistake(about):
    """Register a function and a line about it."""

    def register(function):
        TEN.append((about, function))
        return function

    return register


@mistake("A formula of many lecture notes: α where DDPM has ᾱ. For one step they are the same; two steps of ½ tell.")
def q_sample(x0, t, eps, betas):
    alpha = 1 - betas[t - 1]
    return np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * eps


@mistake("A root forgotten. The picture that it makes looks right.")
def q_sample(x0, t, eps, betas):
    alpha_bar = np.prod(1 - betas[:t])
    return np.sqrt(alpha_bar) * x0 + (1 - alpha_bar) * eps


@mistake("β_t is `betas[t - 1]`. With `betas[t]` every step but the last has an answer, a wrong one.")
def q_step(x, t, eps, betas):
    return np.sqrt(1 - betas[t]) * x + np.sqrt(betas[t]) * eps


@mistake("The right mean, and the variance of the wrong conditional.")
def posterior(x_t, x0, t, betas):
    beta, alpha_bar, alpha_bar_before = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    mean = np.sqrt(1 - beta) * (1 - alpha_bar_before) * x_t + np.sqrt(alpha_bar_before) * beta * x0
    return mean / (1 - alpha_bar), beta


@mistake("The sampler of Algorithm 2, but for its line “z = 0 if t = 1”.")
def ddpm_step(x_t, t, eps_hat, z, betas):
    beta, alpha_bar = betas[t - 1], np.prod(1 - betas[:t])
    return (x_t - beta / np.sqrt(1 - alpha_bar) * eps_hat) / np.sqrt(1 - beta) + np.sqrt(beta) * z


@mistake("DDIM with noise, without taking that noise off what points to x_t: too much variance in every step.")
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    ab, ab_s = np.prod(1 - betas[:t]), np.prod(1 - betas[:s])
    d = eta * np.sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s))
    x0_hat = (x_t - np.sqrt(1 - ab) * eps_hat) / np.sqrt(ab)
    return np.sqrt(ab_s) * x0_hat + np.sqrt(1 - ab_s) * eps_hat + d * z


@mistake(
    "The probability flow with the reverse SDE's drift, which needs its noise: without it samples collapse onto modes."
)
def probability_flow_drift(x, beta, score):
    return -0.5 * beta * x - beta * score


@mistake("Guidance in the convention of other papers, where 1 and not 0 is none.")
def cfg(c, u, w):
    return u + w * (c - u)


@mistake("Backpropagation through layer normalisation as if mean and deviation were constants.")
def layer_norm_backward(x, dy, eps):
    return dy / np.sqrt(x.var(axis=1, keepdims=True) + eps)


@mistake("Adam with a count that starts at 0. The first step divides by 0.")
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu = b1 * mu + (1 - b1) * grad
    nu = b2 * nu + (1 - b2) * grad**2
    mu_hat, nu_hat = mu / (1 - b1 ** (count - 1)), nu / (1 - b2 ** (count - 1))
    return theta - lr * mu_hat / (np.sqrt(nu_hat) + eps), mu, nu
