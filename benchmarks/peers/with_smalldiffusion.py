"""smalldiffusion as in its README: TimeInputMLP, ScheduleLogLinear, AdamW, batches of 2,048, 20 steps with gam = 2."""

import copy
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from common import Points, Recipe, log_density, log_normal, steps
from smalldiffusion import ScheduleLogLinear, TimeInputMLP, samples, training_loop

OWN = Recipe(lr=1e-3, batch=2048)


class Model:
    """The trained network; its flow is dx/dσ = ε̂(x, σ)."""

    def __init__(self, network: TimeInputMLP, schedule: ScheduleLogLinear) -> None:
        self.network, self.schedule, self.exact = network, schedule, copy.deepcopy(network).double()

    def sample(self, n: int) -> np.ndarray:
        """By the README's 20 steps."""
        *_, x = samples(self.network, self.schedule.sample_sigmas(20), gam=2, batchsize=n)
        return x.double().numpy()

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Along the flow, from the least σ to the largest."""
        sigmas = np.geomspace(*self.schedule.sigmas[[0, -1]].tolist(), 81)
        prior = log_normal(float(sigmas[-1]))
        return log_density(lambda x, s: self.exact(x, torch.tensor(s, dtype=x.dtype)), x, sigmas, prior)


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The library's own loop, ended when the time is."""
    network = TimeInputMLP(hidden_dims=(16, 128, 128, 128, 128, 16))
    schedule = ScheduleLogLinear(N=200, sigma_min=0.005, sigma_max=10)

    class Loader:
        """Fresh points, an epoch a batch, as the README has it."""

        def __iter__(self) -> Iterator[torch.Tensor]:
            yield points.batch(recipe.batch)

    loop = training_loop(Loader(), network, schedule, epochs=10**9, lr=recipe.lr)
    first = next(loop)
    for _ in itertools.takewhile(lambda _: next(loop, None), steps(first.optimizer, recipe, seconds)):
        pass
    return Model(network, schedule)
