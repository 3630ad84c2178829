"""tinydiff with its defaults: `td.fit`, and `td.sample` in 50 steps.

The learning rate falls to 0 at a last step that must be known, so a step is timed beforehand; a twentieth is left free.
"""

import time

import numpy as np
from common import Points, Recipe

import tinydiff as td

OWN = Recipe(lr=td.Muon.lr, batch=1024, decay=True)


class Model:
    """The trained denoiser."""

    def __init__(self, denoiser: td.NetworkDenoiser) -> None:
        self.denoiser = denoiser

    def sample(self, n: int) -> np.ndarray:
        """By the default sampler in 50 steps."""
        return td.sample(self.denoiser, n, rng=3).astype(float)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Along the probability flow."""
        return td.log_likelihood(self.denoiser, x)


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """td.fit, in as many steps as the CPU seconds allow."""
    seed = int(points.rng.integers(2**32))
    options = {"rng": seed, "lr": recipe.lr, "batch": recipe.batch, "progress": False}
    td.fit(points.data, steps=5, **options)
    start = time.process_time()
    td.fit(points.data, steps=40, **options)
    cost = (time.process_time() - start) / 40
    return Model(td.fit(points.data, steps=round(0.95 * seconds / cost), **options))
