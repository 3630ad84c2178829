"""What the identities of forward kernel must catch; bugs.py says how a bug is written."""

import numpy as np

import tinydiff as td
from identities.bugs import edit, with_answer, with_argument
from identities.planted import mistakes
from tinydiff import backend


def with_the_variance(right, self, x0, eps):
    return self.alpha * x0 + self.sigma**2 * eps


def with_alpha_squared(right, self, x0, eps):
    return self.alpha**2 * x0 + self.sigma * eps


def with_noise_of_its_own(right, self, x0, eps):
    return right(self, x0, np.random.default_rng().standard_normal(eps.shape).astype(eps.dtype))


BUGS = {
    8: [
        (td.transition, mistakes.a_for_its_square),
        (td.transition, mistakes.ratio_of_the_alphas_upside_down),
        (td.transition, mistakes.earlier_noise_unfaded),
    ],
    9: [
        (td.transition, mistakes.a_for_its_square),
        (td.transition, mistakes.sigma_for_its_square),
        (td.transition, mistakes.ratio_of_the_squared_alphas),
    ],
    10: [(td.transition, mistakes.a_for_its_square), (td.transition, mistakes.earlier_noise_forgotten)],
    11: [
        (td.Level.perturb, with_the_variance),
        (td.Level.perturb, with_alpha_squared),
        (td.Discrete.sigma, with_answer(np.square)),
        (td.Discrete.alpha, with_answer(np.square)),
    ],
    12: [
        edit(td.GaussianMixture.diffused, "alpha * self.centres", "self.centres"),
        edit(td.GaussianMixture.diffused, "alpha**2", "alpha"),
        (td.GaussianMixture.diffused, with_argument("sigma", np.sqrt)),
        edit(td.GaussianMixture._log_joint, "_ / self.variances", "_"),
    ],
    13: [
        (td.Level.perturb, with_noise_of_its_own),
        edit(td.Level.perturb, "self._of(_, x0)", "self"),
        edit(backend.scaling_rows, "(-1,) + (1,) * (x.ndim - 1)", "(1,) * (x.ndim - 1) + (-1,)"),
    ],
}
