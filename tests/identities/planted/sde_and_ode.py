"""What the identities of sde and ode must catch; bugs.py says how a bug is written."""

import math

import tinydiff as td
from identities.bugs import edit, only_for, scaled, without
from identities.planted import mistakes
from tinydiff.evaluation.likelihood import flow_and_divergence
from tinydiff.sampling import probability_flow
from tinydiff.sampling.reverse_sde import euler_maruyama_step


def g2_without_its_rate(right, self, t):
    return right(self, t) / (2 * math.log(self.sigma_max / self.sigma_min))


BUGS = {
    54: [
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
        (td.Process.f, only_for(td.VP, scaled(2))),
        (td.Process.g2, only_for(td.VE, g2_without_its_rate)),
        edit(td.VP.integral, "0.5 * (_ - __)", "(_ - __)"),
        edit(td.Process.g2, "lambda t: self.sigma(t) ** 2", "lambda t: self.sigma(t)"),
    ],
    55: [
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
        (td.GaussianMixture.score, scaled(1.01)),
        (td.Process.g2, only_for(td.VP, scaled(0.5))),
    ],
    56: [
        edit(euler_maruyama_step, "0.5 * _", "_"),
        edit(euler_maruyama_step, "1 + eta**2", "1 + eta"),
        edit(euler_maruyama_step, "eta * now.g2**0.5", "now.g2**0.5"),
        edit(euler_maruyama_step, "now.g2**0.5", "now.g2"),
    ],
    57: [
        edit(probability_flow.velocity, "2 * now.sigma", "now.sigma"),
        edit(probability_flow.velocity, "_ + __", "_ - __"),
        (td.GaussianMixture.score, scaled(1.01)),
        (td.Process.g2, only_for(td.VE, scaled(2))),
    ],
    58: [
        edit(td.probability_flow, "rk45(slope, x, _, rtol, atol)", "rk45(slope, x, _, 1e-3, 1e-3)"),
        edit(probability_flow.velocity, "2 * now.sigma", "now.sigma"),
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
    ],
    59: [
        edit(td.log_likelihood, "math.sqrt(_) * np.eye(_)", "np.eye(_)"),
        edit(flow_and_divergence, "f * squares + _", "_ - f * squares"),
        edit(flow_and_divergence, "half * traces(_, x, probes)", "2 * half * traces(_, x, probes)"),
        without(td.Process.prior_log_density, "math.log(self.prior_std)"),
    ],
    60: [
        edit(flow_and_divergence, "traces(pull, x, probes)", "squares"),
        edit(flow_and_divergence, "lambda z: z", "lambda z: z**0"),
        edit(flow_and_divergence, "traces(pull, x, probes)", "traces(lambda z: pull(z**2), x, probes)"),
    ],
}
