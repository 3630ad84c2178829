"""diffusers as in its tutorial "Train a diffusion model": DDPMScheduler, AdamW, a warm-up, a clipped norm.

None of its networks takes rows of two numbers. Here it is an MLP of three blocks of 128, with the library's own
embedding of the time. The scheduler clips x_0 to [−1, 1], so the points are scaled into it. A chain has no flow.
"""

import numpy as np
import torch
from common import Points, Recipe, steps
from diffusers import DDPMScheduler
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import nn
from torch.nn import functional

OWN = Recipe(lr=1e-4, batch=16)
WARMUP = 500


class Network(nn.Module):
    """x and an embedding of the time, through residual blocks."""

    def __init__(self, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        self.time = nn.Sequential(
            Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0), TimestepEmbedding(width, width)
        )
        self.enter, self.leave = nn.Linear(2, width), nn.Linear(width, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(blocks)
        )

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Shapes: x_t (B, 2), t (B,)."""
        h, c = self.enter(x_t), self.time(t)
        for block in self.blocks:
            h = h + block(h + c)
        return self.leave(h)


class Model:
    """The trained network with its scheduler."""

    log_density = None

    def __init__(self, network: Network, scheduler: DDPMScheduler, scale: float) -> None:
        self.network, self.scheduler, self.scale = network, scheduler, scale

    @torch.no_grad()
    def sample(self, n: int) -> np.ndarray:
        """As its DDPMPipeline does: 1,000 steps."""
        x = torch.randn(n, 2)
        self.scheduler.set_timesteps(1000)
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(self.network(x, t.expand(n)), t, x).prev_sample
        return self.scale * x.double().numpy()


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The tutorial's loop; its cosine, which needs the number of steps beforehand, is the search's linear fall."""
    network, scheduler, scale = Network(), DDPMScheduler(num_train_timesteps=1000), float(points.pool.abs().max())
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    for k, _ in enumerate(steps(optimizer, recipe, seconds)):
        for group in optimizer.param_groups:
            group["lr"] *= min(1.0, (k + 1) / WARMUP)
        x0 = points.batch(recipe.batch) / scale
        noise, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),))
        loss = functional.mse_loss(network(scheduler.add_noise(x0, noise, t), t), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return Model(network, scheduler, scale)
