"""What the identities of solvers must catch; bugs.py says how a bug is written."""

import tinydiff as td
from identities.bugs import edit
from tinydiff.sampling import solvers
from tinydiff.sampling.dpm_solver import dpm_solver_3m_step, in_the_middle
from tinydiff.sampling.reverse_sde import euler_maruyama_step

BUGS = {
    61: [
        edit(td.probability_flow, "STEPS[method]", "STEPS['euler']"),
        edit(solvers.heun_step, "f(x + h * k1, s)", "f(x + h * k1, t)"),
        edit(solvers.rk4_step, "_ + 2 * k3 + k4", "_ + 3 * k3"),
        edit(in_the_middle, "2 * r", "r"),
        edit(dpm_solver_3m_step, "2 * (1 - phi)", "(1 - phi)"),
        edit(td.unipc, "[answer, *seen]", "seen"),
        edit(td.edm_heun, "model.x0(then.alpha * ahead, then)", "model.x0(now.alpha * ahead, now)"),
    ],
    62: [
        edit(td.probability_flow, "STEPS[method]", "STEPS['euler']"),
        edit(solvers.heun_step, "f(x + h * k1, s)", "f(x + h * k1, t)"),
        edit(solvers.rk4_step, "h / 6", "h / 6.01"),
    ],
    63: [
        edit(euler_maruyama_step, "eta * now.g2**0.5", "1.01 * eta * now.g2**0.5"),
        edit(euler_maruyama_step, "_ * now.g2 / now.sigma", "_ * then.g2 / now.sigma"),
        edit(euler_maruyama_step, "1 + eta**2", "1 + eta"),
    ],
}
