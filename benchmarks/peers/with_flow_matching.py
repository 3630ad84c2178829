"""flow_matching as in its examples/2d_flow_matching.ipynb: layers of 512, Adam, batches of 4,096, midpoint steps."""

import copy

import numpy as np
import torch
from common import STRAIGHT, Points, Recipe, log_density, log_normal, steps
from flow_matching.path import AffineProbPath
from flow_matching.path.scheduler import CondOTScheduler
from flow_matching.solver import ODESolver
from torch import nn

OWN = Recipe(lr=1e-3, batch=4096)


class Velocity(nn.Module):
    """The notebook's MLP."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.SiLU())]
        self.main = nn.Sequential(nn.Linear(3, width), nn.SiLU(), *hidden, nn.Linear(width, 2))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Shapes: x (B, 2), t () or (B,)."""
        return self.main(torch.cat([x, t.reshape(-1, 1).expand(len(x), 1).to(x)], dim=1))


class Model:
    """The trained velocity."""

    def __init__(self, velocity: Velocity) -> None:
        self.velocity, self.exact = velocity, copy.deepcopy(velocity).double()

    def sample(self, n: int) -> np.ndarray:
        """By the notebook's midpoint steps of .05."""
        solver = ODESolver(velocity_model=self.velocity)
        return solver.sample(x_init=torch.randn(n, 2), method="midpoint", step_size=0.05).double().numpy()

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Along the flow from data, at 1, to noise, at 0."""
        return log_density(lambda x, t: self.exact(x, torch.tensor(t)), x, STRAIGHT, log_normal(1.0))


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The notebook's loop."""
    velocity, path = Velocity(), AffineProbPath(scheduler=CondOTScheduler())
    optimizer = torch.optim.Adam(velocity.parameters(), lr=recipe.lr)
    for _ in steps(optimizer, recipe, seconds):
        optimizer.zero_grad()
        x_1 = points.batch(recipe.batch)
        sample = path.sample(t=torch.rand(len(x_1)), x_0=torch.randn_like(x_1), x_1=x_1)
        loss = (velocity(sample.x_t, sample.t) - sample.dx_t).pow(2).mean()
        loss.backward()
        optimizer.step()
    return Model(velocity)
