"""What the identities of score and denoiser must catch; bugs.py says how a bug is written."""

import numpy as np

import tinydiff as td
from identities.bugs import edit, scaled, with_answer, with_argument, without
from tinydiff import predictions
from tinydiff.evaluation import score_matching
from tinydiff.exact.points import Points
from tinydiff.learned import objective

BUGS = {
    36: [
        edit(td.GaussianMixture.score_linearized, "xp.sum(r * s_k, axis=0)", "s_k[0]"),
        edit(td.GaussianMixture.score_linearized, "-(_ / __)", "_ / __"),
        edit(td.GaussianMixture.score_linearized, "spread - precision_u", "-precision_u"),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
    ],
    37: [
        (td.GaussianMixture.x0_mean, with_argument("sigma", np.square)),
        edit(td.GaussianMixture.posterior, "prior.centres + _", "prior.centres - _"),
        edit(predictions.to_x0, "-sigma if _ else sigma**2", "-sigma if _ else -(sigma**2)"),
    ],
    38: [
        (td.GaussianMixture.x0_posterior, with_argument("sigma", np.square)),
        edit(td.GaussianMixture.moments, "within + between", "within"),
        edit(td.GaussianMixture.posterior, "prior.variances * sigma**2", "prior.variances * sigma"),
        edit(td.GaussianMixture.score_linearized, "spread - precision_u", "spread + precision_u"),
    ],
    39: [
        edit(td.Oracle.__call__, "-now.sigma * _", "-_"),
        (td.score, with_answer(np.negative)),
        edit(predictions.target, "-eps / now.sigma", "-eps / now.sigma**2"),
        edit(Points.score, "self.sigma**2", "self.sigma"),
    ],
    40: [
        edit(td.Oracle.x0, "now.sigma", "now.sigma**2"),
        edit(td.GaussianMixture._mean, "self.log_weights", "0.5 * self.log_weights"),
        edit(td.GaussianMixture.posterior, "alpha * prior.variances", "prior.variances"),
    ],
    41: [
        (td.GaussianMixture.score, scaled(0.9)),
        edit(td.GaussianMixture.score_linearized, "-(_ / __)", "_ / __"),
        edit(
            td.GaussianMixture.score_linearized,
            "(s_k - s) * _((s_k - s) * u, axis=2, keepdims=True)",
            "s_k * _(s_k * u, axis=2, keepdims=True)",
        ),
    ],
    42: [
        edit(td.Oracle.floor, "_.sigma**2", "_.sigma"),
        (td.Oracle.floor, scaled(0)),
        (td.Oracle.__call__, scaled(0.9)),
    ],
    43: [
        edit(objective.loss_and_grad, "y - _", "y + _"),
        edit(objective.loss_and_grad, "b**2", "b"),
        edit(td.NetworkDenoiser._answer, "_ + b * __", "_ - b * __"),
        edit(td.NetworkDenoiser.linearize_output, "input_scale(now, self.sigma_data) * _", "_"),
        edit(score_matching.explicit, "score(model, x, t) - _", "score(model, x, t) + _"),
        edit(score_matching.denoising, "_ + eps / now.sigma", "_ - eps / now.sigma"),
        edit(score_matching.denoising, "eps / now.sigma", "eps"),
        edit(score_matching.implicit, "0.5 * _", "_"),
        edit(score_matching.implicit, "_ + row_sums(__)", "_ - row_sums(__)"),
        edit(score_matching.sliced, "0.5 * square", "square"),
        edit(score_matching.sliced, "namespace(x).sum(u * s, axis=2) ** 2", "namespace(x).sum(u * s, axis=2)"),
        edit(score_matching._linearized, "-eps / now.sigma", "-eps"),
        edit(score_matching._linearized, "-pull(u) / now.sigma", "-pull(u) / now.sigma**2"),
    ],
    44: [
        (td.GaussianMixture.x0_mean, with_argument("alpha", np.square)),
        edit(td.GaussianMixture.diffused, "_ + sigma**2", "_ + sigma"),
        without(td.GaussianMixture._log_joint, "xp.log(self.variances)"),
    ],
    45: [
        (td.GaussianMixture.x0_mean, lambda right, self, x, alpha, sigma: x / alpha),
        edit(td.GaussianMixture.posterior, "alpha * prior.variances", "1.01 * alpha * prior.variances"),
        (td.GaussianMixture.log_density, lambda right, self, x: right(self, x) / self.dim),
    ],
    46: [
        (td.GaussianMixture.x0_posterior, with_argument("alpha", np.square)),
        edit(td.GaussianMixture.moments, "within + between", "within + 2 * between"),
        edit(td.GaussianMixture.posterior, "prior.variances * sigma**2 / noisy.variances", "prior.variances"),
    ],
    47: [
        (td.GaussianMixture.score, with_answer(lambda score: score[:, ::-1])),
        edit(td.GaussianMixture.score_linearized, "-(_ / __) @ q._axes_t", "-(_ / __)"),
        without(td.GaussianMixture._along_axes, "self.axes"),
        without(td.GaussianMixture.posterior, "noisy._axes_t"),
    ],
}
