"""The laws, by subject; importing a module registers its specifications, and these come in the order of a course."""

# isort: off
from tinydiff.check.laws import schedules, forward, posterior, bound, parametrisations, score
from tinydiff.check.laws import ancestral, flow, solvers, dpm_solver, backprop, learning

__all__ = [
    "ancestral",
    "backprop",
    "bound",
    "dpm_solver",
    "flow",
    "forward",
    "learning",
    "parametrisations",
    "posterior",
    "schedules",
    "score",
    "solvers",
]
