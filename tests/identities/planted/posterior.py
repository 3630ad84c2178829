"""What the identities of posterior must catch; bugs.py says how a bug is written."""

import tinydiff as td
from identities.bugs import edit, with_argument, without
from identities.planted import mistakes

BUGS = {
    14: [
        (td.posterior, mistakes.c_t_without_a),
        (td.posterior, mistakes.c_0_with_the_later_alpha),
        (td.posterior, mistakes.beta_for_beta_tilde),
        (td.posterior, mistakes.coefficients_exchanged),
    ],
    15: [
        (td.posterior, mistakes.beta_tilde_upside_down),
        (td.posterior, mistakes.ratio_of_the_deviations),
        (td.posterior, mistakes.c_t_with_a_squared),
    ],
    16: [
        (td.posterior, mistakes.ratio_of_the_variances_upside_down),
        (td.posterior, mistakes.beta_for_beta_tilde),
        (td.posterior, mistakes.c_0_by_a_standard_deviation),
    ],
    17: [
        (td.posterior, mistakes.c_0_without_alpha),
        (td.posterior, mistakes.c_t_without_a),
        (td.posterior, mistakes.beta_for_beta_tilde),
    ],
    18: [
        (td.posterior, mistakes.transition_of_the_last_step),
        (td.posterior, mistakes.c_0_with_the_later_alpha),
        (td.posterior, mistakes.c_t_without_a),
    ],
    19: [
        edit(td.GaussianMixture.reverse_kernel, "var**0.5", "var"),
        edit(td.GaussianMixture.reverse_kernel, "_.diffused(c_0, __)", "_.diffused(c_0**2, __)"),
        edit(td.GaussianMixture.posterior, "_ * sigma**2", "_ * sigma"),
        without(td.GaussianMixture.moments, "between"),
    ],
    20: [
        (td.ddpm_step, with_argument("variance", {"beta": "beta_tilde", "beta_tilde": "beta"}.get)),
        (td.posterior, mistakes.beta_for_beta_tilde),
        edit(td.GaussianMixture.reverse_kernel, "var**0.5", "var"),
    ],
    21: [
        edit(td.GaussianMixture.reverse_kernel, "var**0.5", "var"),
        without(td.GaussianMixture.reverse_kernel, "c_t"),
        edit(td.GaussianMixture.posterior, "noisy._log_responsibilities(x)", "prior.log_weights"),
        without(td.GaussianMixture.moments, "between"),
    ],
}
