"""What the identities of parametrisations must catch; bugs.py says how a bug is written."""

import math

import numpy as np

import tinydiff as td
from identities.bugs import edit, only_for, scaled, with_answer, without
from tinydiff import predictions
from tinydiff.learned import objective
from tinydiff.sampling import probability_flow


def velocity_with_all_of_g2(right, self, x0, eps):
    return self.f * self.alpha * x0 + (self.f * self.sigma + self.g2 / self.sigma) * eps


def time_without_a_square(right, self, log_snr):
    return np.log1p(np.exp(-log_snr) / self.sigma_min) / (2 * math.log(self.sigma_max / self.sigma_min))


BUGS = {
    32: [
        without(predictions.target, "(now.alpha**2 + now.sigma**2) ** 0.5"),
        edit(predictions.target, "now.alpha * eps - _", "now.alpha * eps + _"),
        edit(predictions.to_x0, "alpha / (alpha**2 + sigma**2)", "alpha"),
        edit(predictions.to_eps, "sigma / (alpha**2 + sigma**2)", "sigma"),
    ],
    33: [
        edit(predictions.to_eps, "alpha / (alpha**2 + sigma**2) ** 0.5", "alpha"),
        edit(predictions.to_x0, "-sigma if _ else sigma**2", "-sigma if _ else sigma"),
        without(predictions.eps_from_x0, "now.sigma"),
        (td.Level.log_snr, scaled(0.5)),
        (objective.x0_weight, with_answer(np.reciprocal)),
    ],
    34: [
        (td.Level.velocity, velocity_with_all_of_g2),
        edit(probability_flow.velocity, "now.g2 / (2 * now.sigma)", "now.g2 / now.sigma"),
        (td.Process.g2, only_for(td.Straight, lambda right, self, t: right(self, t) * self.alpha(t))),
        (td.Process.f, only_for(td.VP, scaled(2))),
    ],
    35: [
        without(td.score, "now.sigma"),
        edit(td.GaussianMixture.diffused, "alpha * self.centres", "self.centres"),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
        (td.Process.time, only_for(td.VE, time_without_a_square)),
    ],
}
