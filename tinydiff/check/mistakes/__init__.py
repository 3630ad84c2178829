"""The mistakes that hints know, by subject; importing a module registers them with their specifications."""

from tinydiff.check.mistakes import (
    ancestral,
    backprop,
    bound,
    data,
    dpm_solver,
    flow,
    forward,
    inpainting,
    learning,
    parametrisations,
    posterior,
    schedules,
    score,
    solvers,
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
    "parametrisations",
    "posterior",
    "schedules",
    "score",
    "solvers",
]
