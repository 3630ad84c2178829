"""The laws, by subject; importing a module registers its specifications, and these come in the order of a course."""

# isort: off
from tinydiff.check.laws import schedules, forward, posterior, bound, parametrisations, score
from tinydiff.check.laws import (
    ancestral,
    flow,
    likelihood,
    solvers,
    dpm_solver,
    backprop,
    learning,
    recipes,
    data,
    mixtures,
    inpainting,
    straight,
)

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
    "likelihood",
    "mixtures",
    "parametrisations",
    "posterior",
    "recipes",
    "schedules",
    "score",
    "solvers",
    "straight",
]
