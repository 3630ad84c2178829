"""What the identities of langevin and guidance must catch; bugs.py says how a bug is written."""

import tinydiff as td
from identities.bugs import edit, exchanged, with_argument, without
from tinydiff.exact.oracle import ClassGradient
from tinydiff.inverse import conjugate_gradients
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.objective import edm_weight
from tinydiff.predictions import spread, target, to_eps, to_x0
from tinydiff.sampling.predictor_corrector import langevin_step

BUGS = {
    64: [
        edit(langevin_step, "2 * delta", "delta"),
        edit(langevin_step, "x - _", "x + _"),
        edit(langevin_step, "delta / now.sigma", "delta"),
        edit(langevin_step, "(snr * now.sigma) ** 2", "snr**2 * now.sigma"),
    ],
    65: [
        (ClassGradient.__call__, lambda right, self, x, t: self.of_all.score(x, t)),
        (ClassGradient.__call__, lambda right, self, x, t: self.of_class.score(x, t) + self.of_all.score(x, t)),
        without(td.Oracle.log_p, "math.log(weight)"),
        without(td.GaussianMixture.given, "log_sum_exp(log_weights)"),
    ],
    66: [
        edit(td.ClassifierFreeGuidance._guided, "1 + w", "w"),
        edit(td.ClassifierFreeGuidance._guided, "_ - __", "_ + __"),
        (td.ClassifierFreeGuidance._guided, exchanged("conditional", "unconditional")),
        without(td.ClassifierGuidance.__call__, "now.sigma"),
        edit(td.ClassifierGuidance.__call__, "_ - __", "_ + __"),
    ],
    67: [
        edit(to_x0, "alpha * sigma_data**2 / m**2", "alpha / m**2"),
        edit(to_x0, "sigma * sigma_data / m", "sigma * sigma_data / m**2"),
        edit(target, "now.sigma * x0 - _", "now.sigma * x0 + _"),
        edit(target, "sigma_data * spread(now, sigma_data)", "spread(now, sigma_data)"),
        edit(network_inputs, "input_scale(now, sigma_data) * x", "input_scale(now) * x"),
        edit(to_eps, "-alpha * sigma_data / m", "alpha * sigma_data / m"),
        without(spread, "now.sigma**2"),
        (edm_weight, with_argument("sigma_data", lambda d: d**0.5)),
    ],
    74: [
        edit(td.GaussianMixture.conditioned, "tau**2 + _", "tau + _"),
        edit(td.GaussianMixture.conditioned, "apart**2 / var + np.log(var)", "apart**2 / var - np.log(var)"),
        edit(td.GaussianMixture.conditioned, "apart**2 / var + np.log(var)", "apart**2 / var"),
        edit(td.GaussianMixture.conditioned, "y - m @ A.T", "m @ A.T - y"),
        edit(td.GaussianMixture.conditioned, "tau / np.sqrt(_)", "np.sqrt(_) / tau"),
        edit(td.GaussianMixture.conditioned, "root @ Vt.swapaxes(1, 2)", "root @ Vt"),
    ],
    75: [
        edit(td.MeasurementGuidance._moved, "self.tau**2", "self.tau"),
        edit(td.MeasurementGuidance._moved, "y - x0 @ A.T", "x0 @ A.T - y"),
        edit(td.MeasurementGuidance._moved, "cov(v) @ A.T + var * v", "cov(v) @ A.T"),
        edit(td.MeasurementGuidance._moved, "now.alpha**2 + now.sigma**2", "now.alpha + now.sigma"),
        edit(td.MeasurementGuidance.x0, "x0 + move", "x0 - move"),
        edit(conjugate_gradients, "r - step * S_p", "r + step * S_p"),
        edit(conjugate_gradients, "range(steps)", "range(steps - 1)"),
    ],
}
