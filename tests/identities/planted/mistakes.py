"""Mistakes that several identities must catch: each answers in the place of the right function, as bugs.py has it."""

import numpy as np

import tinydiff as td

# td.transition: a = α_t/α_s and var = σ_t² − a²σ_s²


def a_for_its_square(right, now, then):
    a, _ = right(now, then)
    return a, now.sigma**2 - a * then.sigma**2


def earlier_noise_unfaded(right, now, then):
    a, _ = right(now, then)
    return a, now.sigma**2 - then.sigma**2


def earlier_noise_forgotten(right, now, then):
    a, _ = right(now, then)
    return a, now.sigma**2


def sigma_for_its_square(right, now, then):
    a, _ = right(now, then)
    return a, now.sigma - a**2 * then.sigma**2


def ratio_of_the_alphas_upside_down(right, now, then):
    a = then.alpha / now.alpha
    return a, now.sigma**2 - a**2 * then.sigma**2


def ratio_of_the_squared_alphas(right, now, then):
    a = (now.alpha / then.alpha) ** 2
    return a, now.sigma**2 - a**2 * then.sigma**2


# td.posterior: c_t = a σ_s²/σ_t², c_0 = α_s var/σ_t² and β̃ = var σ_s²/σ_t², with (a, var) of the transition


def beta_for_beta_tilde(right, now, then):
    c_t, c_0, _ = right(now, then)
    return c_t, c_0, td.transition(now, then)[1]


def c_t_without_a(right, now, then):
    _, c_0, var = right(now, then)
    return then.sigma**2 / now.sigma**2, c_0, var


def c_t_with_a_squared(right, now, then):
    c_t, c_0, var = right(now, then)
    return td.transition(now, then)[0] * c_t, c_0, var


def c_0_with_the_later_alpha(right, now, then):
    c_t, _, var = right(now, then)
    return c_t, now.alpha * td.transition(now, then)[1] / now.sigma**2, var


def c_0_without_alpha(right, now, then):
    c_t, _, var = right(now, then)
    return c_t, td.transition(now, then)[1] / now.sigma**2, var


def c_0_by_a_standard_deviation(right, now, then):
    c_t, c_0, var = right(now, then)
    return c_t, c_0 * now.sigma, var


def coefficients_exchanged(right, now, then):
    c_t, c_0, var = right(now, then)
    return c_0, c_t, var


def ratio_of_the_deviations(right, now, then):
    _, c_0, _ = right(now, then)
    a, var = td.transition(now, then)
    ratio = then.sigma / now.sigma
    return a * ratio, c_0, var * ratio


def ratio_of_the_variances_upside_down(right, now, then):
    _, c_0, _ = right(now, then)
    a, var = td.transition(now, then)
    ratio = now.sigma**2 / then.sigma**2
    return a * ratio, c_0, var * ratio


def beta_tilde_upside_down(right, now, then):
    c_t, c_0, _ = right(now, then)
    return c_t, c_0, td.transition(now, then)[1] * now.sigma**2 / then.sigma**2


def posterior_of_the_squared_alphas(right, now, then):
    a, var = ratio_of_the_squared_alphas(td.transition, now, then)
    ratio = then.sigma**2 / now.sigma**2
    return a * ratio, then.alpha * var / now.sigma**2, var * ratio


def transition_of_the_last_step(right, now, then):
    """Of a chain, in a stride of many steps."""
    a, var = td.transition(now, now.process.at(now.t - 1 / now.process.T))
    ratio = then.sigma**2 / now.sigma**2
    return a * ratio, then.alpha * var / now.sigma**2, var * ratio


# td.Process.g2, for one process


def g2_of_one_integral(right, self, t):
    """Sub-VP's, with e^{−B} for e^{−2B}."""
    return self.beta(t) * -np.expm1(-self.integral(t))
