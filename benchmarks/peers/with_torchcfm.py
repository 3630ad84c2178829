"""torchcfm as in its examples/2D_tutorials/Flow_matching_tutorial.ipynb: OT-CFM, three layers of 64, Adam, dopri5.

The tutorial's source is a ring; here it is noise, as for all. Its σ is .01.
"""

import copy

import numpy as np
import torch
from common import STRAIGHT, Points, Recipe, log_density, log_normal, steps
from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
from torchcfm.models.models import MLP
from torchcfm.utils import torch_wrapper
from torchdyn.core import NeuralODE

OWN = Recipe(lr=1e-3, batch=256)


class Model:
    """The trained velocity."""

    def __init__(self, velocity: torch.nn.Module) -> None:
        self.velocity, self.exact = velocity, torch_wrapper(copy.deepcopy(velocity).double())

    def sample(self, n: int) -> np.ndarray:
        """By the tutorial's dopri5 with tolerances of 1e-4."""
        node = NeuralODE(torch_wrapper(self.velocity), solver="dopri5", sensitivity="adjoint", atol=1e-4, rtol=1e-4)
        with torch.no_grad():
            return node.trajectory(torch.randn(n, 2), t_span=torch.linspace(0, 1, 100))[-1].double().numpy()

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Along the flow from data, at 1, to noise, at 0."""
        velocity = self.exact
        return log_density(lambda x, t: velocity(torch.tensor(t, dtype=x.dtype), x), x, STRAIGHT, log_normal(1.0))


def train(points: Points, recipe: Recipe, seconds: float) -> Model:
    """The tutorial's loop."""
    velocity, matcher = MLP(dim=2, time_varying=True), ExactOptimalTransportConditionalFlowMatcher(sigma=0.01)
    optimizer = torch.optim.Adam(velocity.parameters(), lr=recipe.lr)
    for _ in steps(optimizer, recipe, seconds):
        optimizer.zero_grad()
        x1 = points.batch(recipe.batch)
        t, x_t, u_t = matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        loss = torch.mean((velocity(torch.cat([x_t, t[:, None]], dim=-1)) - u_t) ** 2)
        loss.backward()
        optimizer.step()
    return Model(velocity)
