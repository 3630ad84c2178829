"""What speed.py measures, written as one writes it in PyTorch: modules, autograd, torch.optim.

All begins from tinydiff's flat vector of parameters, so that results can be held to tinydiff's before any is timed.
Shapes: B rows, D coordinates, W width, K components.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.nn import functional

import tinydiff as td
from tinydiff.learned.layers import matrix


def tensor(a: np.ndarray | None) -> torch.Tensor | None:
    """A copy in PyTorch; None stays None."""
    return None if a is None else torch.tensor(a)


class Block(nn.Module):
    """h + linear(silu(linear(modulate(norm(h), c))))."""

    def __init__(self, width: int, condition: int, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False) if norm else nn.Identity()
        self.gamma, self.delta = nn.Linear(condition, width), nn.Linear(condition, width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Shapes: h (B, W), c (1|B, 2F)."""
        u = self.norm(h) * (1 + self.gamma(c)) + self.delta(c)
        return h + self.down(functional.silu(self.up(u)))


class MLP(nn.Module):
    """td.TimeMLP with the parameters θ."""

    def __init__(self, network: td.TimeMLP, theta: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.tensor(network.frequencies, dtype=torch.float32))
        condition = 2 * len(network.frequencies)
        self.label = nn.Embedding(network.classes + 1, condition) if network.classes else None
        self.blocks = nn.ModuleList(Block(network.width, condition, network.norm) for _ in range(network.blocks))
        self.enter, self.leave = nn.Linear(network.dim, network.width), nn.Linear(network.width, network.dim)
        pieces = network.split(theta)
        if self.label is not None:
            self.label.weight.data = torch.tensor(matrix(pieces["label"], *network.shapes["label"]))
        copy(self.enter, pieces["in"])
        copy(self.leave, pieces["out"])
        for i, block in enumerate(self.blocks):
            copy(block.gamma, np.split(pieces[f"modulate{i}"], 2)[0])
            copy(block.delta, np.split(pieces[f"modulate{i}"], 2)[1])
            copy(block.up, pieces[f"up{i}"])
            copy(block.down, pieces[f"down{i}"])

    def forward(self, x: torch.Tensor, lam: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """F (B, D)."""
        angle = lam[:, None] * self.frequencies
        c = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        if self.label is not None:
            c = c + self.label(labels)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, c)
        return self.leave(h)


def copy(linear: nn.Linear, piece: np.ndarray) -> None:
    """Give a layer the weights and biases that lie in this piece of θ."""
    table = torch.tensor(matrix(piece, linear.in_features + 1, linear.out_features))
    linear.weight.data, linear.bias.data = table[:-1].T.contiguous(), table[-1].clone()


def step(network: td.TimeMLP, theta: np.ndarray, batch: tuple, adam: td.Adam, compiled: bool) -> Callable[[], float]:
    """A function that takes a training step and returns its loss: backward, clip, Adam, EMA.

    Compiled, the loss with its backward pass is torch.compile's and Adam is the fused one.
    """
    x, lam, target, labels = map(tensor, batch)
    model, average = MLP(network, theta), MLP(network, theta)

    def error() -> torch.Tensor:
        return functional.mse_loss(model(x, lam, labels), target)

    loss_of = torch.compile(error) if compiled else error
    parameters, averages = list(model.parameters()), list(average.parameters())
    optimizer = torch.optim.Adam(parameters, lr=adam.lr, betas=(adam.b1, adam.b2), eps=adam.eps, fused=compiled)

    def take() -> float:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1e-3)
        return loss.item()

    return take


def ddim(
    network: td.TimeMLP, theta: np.ndarray, process: td.VP, noise: np.ndarray, ts: np.ndarray, labels: Any = None
) -> Callable:
    """A function that samples by DDIM along ts."""
    model, x_T, levels, labels = MLP(network, theta), torch.tensor(noise), levels_of(process, ts), tensor(labels)

    @torch.inference_mode()
    def draw() -> torch.Tensor:
        x = x_T
        for (alpha, sigma, lam), (alpha_s, sigma_s, _) in pairwise(levels):
            eps = model(x, lam, labels)
            x = alpha_s * ((x - sigma * eps) / alpha) + sigma_s * eps
        return x

    return draw


def ddpm(network: td.TimeMLP, theta: np.ndarray, process: td.VP, noise: np.ndarray, ts: np.ndarray) -> Callable:
    """A function that samples by DDPM along ts."""
    model, x_T, levels = MLP(network, theta), torch.tensor(noise), levels_of(process, ts)
    posteriors = [td.posterior(process.at(t), process.at(s)) for t, s in pairwise(ts)]

    @torch.inference_mode()
    def draw() -> torch.Tensor:
        x = x_T
        for (alpha, sigma, lam), (c_t, c_0, variance) in zip(levels, posteriors, strict=False):
            x0 = (x - sigma * model(x, lam)) / alpha
            x = c_t * x + c_0 * x0 + math.sqrt(variance) * torch.randn_like(x)
        return x

    return draw


def levels_of(process: td.VP, ts: np.ndarray) -> list[tuple[float, float, torch.Tensor]]:
    """(α, σ, clipped λ) at each time."""
    lam = np.clip(process.log_snr(ts), -14, 14).astype(np.float32)
    return [(float(process.alpha(t)), float(process.sigma(t)), torch.tensor(lam[i : i + 1])) for i, t in enumerate(ts)]


def likelihood(network: td.TimeMLP, theta: np.ndarray, process: td.VP, x: np.ndarray, ts: np.ndarray) -> Callable:
    """A function that gives ln p of the points under the flow, by half a step to ts[0] and RK4 along the rising ts."""
    model, x_0 = MLP(network, theta).requires_grad_(False), torch.tensor(x)
    start = process.at(ts[0])
    half_step = 0.5 * start.sigma / start.alpha

    def noise(y: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        y = y.detach().requires_grad_()
        eps = model(y, torch.tensor([float(np.clip(process.log_snr(t), -14, 14))]))
        trace = 0
        for i in range(y.shape[1]):
            trace = trace + torch.autograd.grad(eps[:, i].sum(), y, retain_graph=i + 1 < y.shape[1])[0][:, i]
        return eps.detach(), trace

    def velocity(y: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        now = process.at(t)
        f, half = now.f, now.g2 / (2 * now.sigma)
        eps, trace = noise(y, t)
        return f * y + half * eps, f * y.shape[1] + half * trace

    def find() -> torch.Tensor:
        eps, trace = noise(start.alpha * x_0, start.t)
        y = start.alpha * (x_0 + half_step * eps)
        gained = x_0.shape[1] * math.log(start.alpha) + half_step * start.alpha * trace
        for t, s in pairwise(ts):
            h, middle = s - t, 0.5 * (t + s)
            k1, d1 = velocity(y, t)
            k2, d2 = velocity(y + 0.5 * h * k1, middle)
            k3, d3 = velocity(y + 0.5 * h * k2, middle)
            k4, d4 = velocity(y + h * k3, s)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            gained = gained + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        return gained - 0.5 * (y**2).sum(1) - 0.5 * y.shape[1] * math.log(2 * math.pi)

    return find


def score(data: td.GaussianMixture, alpha: float, sigma: float, x: np.ndarray) -> Callable[[], Any]:
    """A function that gives the score of the diffused mixture at the points x, by torch.distributions and autograd."""
    weights, means, covariances = (torch.tensor(a, dtype=torch.float32) for a in parameters_of(data))
    eye, points = torch.eye(means.shape[1]), torch.tensor(x)
    components = MultivariateNormal(alpha * means, alpha**2 * covariances + sigma**2 * eye)
    law = MixtureSameFamily(Categorical(weights), components)

    def find() -> torch.Tensor:
        y = points.detach().requires_grad_()
        return torch.autograd.grad(law.log_prob(y).sum(), y)[0]

    return find


def parameters_of(data: td.GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights (K,), means (K, D) and covariances (K, D, D) of a mixture."""
    return data.weights, data.means, data.covariances
