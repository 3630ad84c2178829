"""The laws, by subject; importing a module registers its specifications, and these come in the order of a course."""

# isort: off
from tinydiff.check.laws import schedules, forward, posterior, bound, parametrisations, score
from tinydiff.check.laws import ancestral, flow, solvers, dpm_solver, backprop, learning, data, mixtures, inpainting

__all__ = [
    "ancestral",
    "backprop",
    "bound",
    "data",
    "dpm_solver",
    "flow",
    "forward",
    "inpainting",
    "learning",
    "mixtures",
    "parametrisations",
    "posterior",
    "schedules",
    "score",
    "solvers",
]
