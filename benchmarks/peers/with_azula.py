"""azula as in its README and MNIST tutorial: KarrasDenoiser, VPSchedule, Adam at 1e-3, DDIM in 64 steps.

The README leaves the network to the reader. Here it is an MLP of three blocks of 128; it sees the time as the
tutorial has it.
"""

import copy
import math

import numpy as np
import torch
from azula.denoise import KarrasDenoiser
from azula.noise import VPSchedule
from azula.sample import DDIMSampler
from common import Points, Recipe, log_density, log_normal, steps
from torch import nn

OWN = Recipe(lr=1e-3, batch=256)


class Backbone(nn.Module):
    """x and an embedding of log σ/α, through residual blocks."""

    def __init__(self, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.enter, self.leave = nn.Linear(2, width), nn.Linear(width, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(blocks)
        )

    def forward(self, x_t: torch.Tensor, log_s: torch.Tensor) -> torch.Tensor:
        """Shapes: x_t (B, 2), log_s () or (B,)."""
        h, c = self.enter(x_t), self.time(log_s[..., None])
        for block in self.blocks:
            h = h + block(h + c)
        return self.leave(h)


class Model:
    """The trained denoiser; with y = x/α and s = σ/α its flow is dy/ds = (y − x̂_0)/s."""

    def __init__(self, denoiser: KarrasDenoiser) -> None:
        self.denoiser, self.exact = denoiser, copy.deepcopy(denoiser).double()

    def sample(self, n: int) -> np.ndarray:
        """By the tutorial's DDIM in 64 steps."""
        sampler = DDIMSampler(self.denoiser, steps=64, silent=True)
        return sampler(sampler.init((n, 2))).double().numpy()

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Along the flow, from the time 0, where α = 1, to 1."""
        schedule = self.denoiser.schedule
        alpha, sigma = schedule.alpha_min, math.sqrt(1 - schedule.alpha_min**2 + schedule.sigma_min**2)

        def u(y: torch.Tensor, s: float) -> torch.Tensor:
            log_alpha = 0.5 * math.log((1 + schedule.sigma_min**2) / (1 + s**2))
            t = math.sqrt(max(0.0, log_alpha / math.log(schedule.alpha_min)))
            x0 = self.exact(math.exp(log_alpha) * y, torch.tensor(t, dtype=y.dtype)).mean
            return (y - x0) / s

        times = np.geomspace(schedule.sigma_min, sigma / alpha, 101)
        return log_density(u, x, times, log_normal(math.hypot(1.0, sigma / alpha)))


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The README's loop."""
    denoiser = KarrasDenoiser(backbone=Backbone(), schedule=VPSchedule())
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=recipe.lr)
    for _ in steps(optimizer, recipe, seconds):
        loss = denoiser.loss(points.batch(recipe.batch), torch.rand(recipe.batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return Model(denoiser.eval())
