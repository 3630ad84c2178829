"""denoising-diffusion-pytorch as in its README for one dimension: Unet1D, v, 1,000 steps, Adam, an average.

A point is a sequence of two numbers, so the network halves it once at most: dim_mults=(1, 2), of width 32, since 64 of
the README has four times the cost. It wants numbers in [0, 1]. The gradients of two batches of 32, which the README
adds up, are those of one of 64. It samples by its DDIM, in 50 steps. A chain has no flow.
"""

import numpy as np
import torch
from common import Points, Recipe, steps
from denoising_diffusion_pytorch import GaussianDiffusion1D, Unet1D
from ema_pytorch import EMA
from torch import nn

OWN = Recipe(lr=8e-5, batch=64)


class Model:
    """The averaged network."""

    log_density = None

    def __init__(self, diffusion: GaussianDiffusion1D, scale: float) -> None:
        self.diffusion, self.scale = diffusion, scale

    @torch.no_grad()
    def sample(self, n: int) -> np.ndarray:
        """By 50 steps of its DDIM."""
        return self.scale * (2 * self.diffusion.sample(batch_size=n)[:, 0].double().numpy() - 1)


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The loop of Trainer1D."""
    network = Unet1D(dim=32, dim_mults=(1, 2), channels=1)
    diffusion = GaussianDiffusion1D(network, seq_length=2, timesteps=1000, objective="pred_v", sampling_timesteps=50)
    scale = float(points.pool.abs().max())
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=recipe.lr, betas=(0.9, 0.99))
    average = EMA(diffusion, beta=0.995, update_every=10)
    for _ in steps(optimizer, recipe, seconds):
        loss = diffusion((points.batch(recipe.batch)[:, None] / scale + 1) / 2)
        loss.backward()
        nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update()
    return Model(average.ema_model.eval(), scale)
