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
    straight,
    few_steps,
    tilted,
    measurements,
    inpainting,
)

__all__ = [
    "ancestral",
    "backprop",
    "bound",
    "data",
    "dpm_solver",
    "few_steps",
    "flow",
    "forward",
    "inpainting",
    "learning",
    "likelihood",
    "measurements",
    "mixtures",
    "parametrisations",
    "posterior",
    "recipes",
    "schedules",
    "score",
    "solvers",
    "straight",
    "tilted",
]
