"""What the identities of kl and elbo must catch; bugs.py says how a bug is written."""

import math

import tinydiff as td
from identities.bugs import edit, only_for, scaled, without
from identities.planted import mistakes
from tinydiff.evaluation import likelihood
from tinydiff.evaluation.elbo import log_bins, log_normal, normal_kl
from tinydiff.exact.points import Points
from tinydiff.learned import objective


def of_log_variances(right, mean, var, other_mean, other_var):
    return right(mean, math.exp(var), other_mean, math.exp(other_var))


BUGS = {
    22: [
        (normal_kl, of_log_variances),
        edit(normal_kl, "math.log(_)", "0.5 * math.log(_)"),
        edit(normal_kl, "2 * other_var", "2 * other_var**2"),
        without(normal_kl, "mean.shape[1]"),
    ],
    23: [
        edit(td.Process.prior_gap, "(_ / self.prior_std) ** 2", "_ / self.prior_std"),
        edit(td.Process.prior_gap, "math.log1p(-shrink)", "math.log(shrink)"),
        without(td.Process.prior_gap, "x0.shape[1]"),
        edit(td.elbo, "_.prior_std**2", "_.prior_std"),
        edit(td.elbo, "normal_kl(top.alpha * x0, _, __, ___)", "model.process.prior_gap(x0)"),
    ],
    24: [
        edit(
            td.path_log_ratio,
            "zip(pairwise([*levels, data]), variances, pairwise(path), strict=True)",
            "zip(pairwise(levels), variances[:-1], pairwise(path[:-1]), strict=True)",
        ),
        without(td.path_log_ratio, "a"),
        edit(td.path_log_ratio, "_ - log_normal(x, a * y, var_q)", "_ + log_normal(x, a * y, var_q)"),
        without(td.path_log_ratio, "c_t * x"),
    ],
    25: [
        edit(td.elbo, "normal_kl(_, beta_tilde, __, var)", "normal_kl(_, var, __, beta_tilde)"),
        edit(td.elbo, "log_normal(x, top.alpha * x0, _)", "log_normal(x, x0, _)"),
        edit(td.path_log_ratio, "prior or _", "_"),
        edit(log_normal, "math.log(var)", "0.5 * math.log(var)"),
    ],
    26: [
        edit(td.elbo, "normal_kl(c_0 * x0, _, c_0 * x0_hat, var)", "normal_kl(x0, _, x0_hat, var)"),
        (td.posterior, mistakes.c_0_with_the_later_alpha),
        edit(td.elbo, "noise[i, :, :]", "noise[-1, :, :]"),
        edit(normal_kl, "2 * other_var", "other_var"),
    ],
    27: [
        edit(objective.vlb_weight, "np.expm1(_ - __)", "-np.expm1(__ - _)"),
        edit(objective.vlb_weight, "np.maximum(n - 1, 1)", "n"),
        edit(objective.vlb_weight, "0.5 * chain.T", "chain.T"),
        (td.posterior, mistakes.beta_for_beta_tilde),
    ],
    28: [
        edit(td.elbo, "model.x0(x, now)", "0.99 * model.x0(x, now)"),
        edit(td.elbo, "normal_kl(c_0 * x0, _, c_0 * x0_hat, var)", "normal_kl(x0, _, x0_hat, var)"),
        edit(Points._average, "0.5 * square / s**2", "0.5 * square / s"),
        edit(normal_kl, "2 * other_var", "2.01 * other_var"),
    ],
    29: [
        edit(log_bins, "np.where(levels < -1 + half, -np.inf, _)", "_"),
        edit(log_bins, "np.where(levels > 1 - half, np.inf, _)", "_"),
        edit(log_bins, "1 / (bins - 1)", "1 / bins"),
    ],
    30: [
        edit(td.elbo, "normal_kl(_, beta_tilde, __, var)", "normal_kl(_, beta_tilde, __, beta_tilde)"),
        edit(likelihood.flow_and_divergence, "2 * now.sigma", "now.sigma"),
        edit(td.ddpm_step, "var**0.5", "var"),
        without(td.score, "now.sigma"),
    ],
    31: [
        (td.Process.g2, only_for(td.VP, scaled(0.5))),
        (td.Process.g2, only_for(td.SubVP, mistakes.g2_of_one_integral)),
        (td.Process.g2, only_for(td.Straight, scaled(0.5))),
        edit(td.GaussianMixture.score_linearized, "-(_ / q.variances)", "-(_ / q.variances**0.5)"),
    ],
}
