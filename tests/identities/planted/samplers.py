"""What the identities of samplers must catch; bugs.py says how a bug is written."""

import numpy as np

import tinydiff as td
from identities.bugs import edit, exchanged, scaled, with_argument, with_output
from identities.planted import mistakes
from tinydiff.predictions import v_from_x0_eps
from tinydiff.sampling.dpm_solver import dpm_solver_2m_step


def fresh_noise_on_top(right, x, x0_hat, now, then, z, eta=0.0):
    """d z is added, and d² not taken from the direction."""
    return right(x, x0_hat, now, then, z) + eta * td.posterior(now, then)[2] ** 0.5 * z


def signal_of_the_start(right, x, x0_hat, now, then, z, eta=0.0):
    return right(x, x0_hat, now, then, z, eta) + (now.alpha - then.alpha) * x0_hat


def variance_of_the_noise_left(right, x, x0_hat, now, then, z, eta=0.0):
    """σ_s² ε̂ for σ_s ε̂, at η = 0."""
    signal = then.alpha * x0_hat
    return signal + then.sigma * (right(x, x0_hat, now, then, z, eta) - signal)


def direction_reversed(right, x, x0_hat, now, then, z, eta=0.0):
    return 2 * then.alpha * x0_hat - right(x, x0_hat, now, then, z, eta)


def mean_divided_by_a_again(right, x, x0_hat, now, then, z, variance="beta_tilde"):
    a, _ = td.transition(now, then)
    return right(x / a, x0_hat / a, now, then, z, variance)


def variance_for_the_deviation(right, x, x0_hat, now, then, z, variance="beta_tilde"):
    mean = right(x, x0_hat, now, then, 0 * z, variance)
    deviation = right(0 * x, 0 * x, now, then, 1 + 0 * z, variance)
    return mean + deviation**2 * z


def noise_in_the_last_step(right, x, x0_hat, now, then, z, variance="beta_tilde"):
    var = td.transition(now, then)[1] if then.t == 0 and variance == "beta" else 0.0
    return right(x, x0_hat, now, then, z, variance) + var**0.5 * z


def alphas_for_sigmas(right, x, x0_hat, x0_hat_before, before, now, then):
    """(α_s/α_t) x for (σ_s/σ_t) x."""
    gain = then.alpha / now.alpha - then.sigma / now.sigma
    return right(x, x0_hat, x0_hat_before, before, now, then) + gain * x


def data_at_sigma(right, x, x0_hat, x0_hat_before, before, now, then):
    """(α_s − σ_s/σ_t) x̂_0 for (α_s − α_t σ_s/σ_t) x̂_0."""
    gain = (now.alpha - 1) * then.sigma / now.sigma
    return right(x, x0_hat, x0_hat_before, before, now, then) + gain * x0_hat


BUGS = {
    48: [
        (td.ddpm_step, exchanged("x", "x0_hat")),
        (td.ddim_step, fresh_noise_on_top),
        (td.posterior, mistakes.c_t_without_a),
        (td.GaussianMixture.score, scaled(1.01)),
    ],
    49: [
        (td.ddpm_step, mean_divided_by_a_again),
        (td.posterior, mistakes.posterior_of_the_squared_alphas),
        (td.posterior, mistakes.c_0_with_the_later_alpha),
    ],
    50: [
        (td.ddpm_step, variance_for_the_deviation),
        (td.posterior, with_output(2, np.square)),
        (td.ddpm_step, noise_in_the_last_step),
        (td.ddpm_step, with_argument("variance", lambda _: "beta_tilde")),
    ],
    51: [
        (td.ddim_step, with_argument("eta", np.sqrt)),
        (td.ddim_step, fresh_noise_on_top),
        (td.posterior, mistakes.beta_for_beta_tilde),
        (td.ddim_step, signal_of_the_start),
    ],
    52: [
        (td.ddim_step, variance_of_the_noise_left),
        (dpm_solver_2m_step, alphas_for_sigmas),
        (dpm_solver_2m_step, data_at_sigma),
        (v_from_x0_eps, with_argument("x0", np.negative)),
    ],
    53: [
        edit(td.ddim, "model.x0(x, now)", "model.x0(x, then)"),
        (td.ddim_step, direction_reversed),
        edit(td.Cosine.sigma, "0.5", "0.49"),
    ],
}
