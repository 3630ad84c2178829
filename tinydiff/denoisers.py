"""Denoisers answer one question: what noise is in x at time t?

A denoiser is exact (`Oracle`) or learned (`NetworkDenoiser`); samplers, likelihoods and metrics take either and never
ask which. The same answer has four names, each an affine function of the others at given x = α x_0 + σ ε:

    prediction    its target            noise ε̂                     data x̂_0
    eps           ε                     F                           (x − σF)/α
    x0            x_0                   (x − αF)/σ                  F
    v             (αε − σx_0)/n         (σx + αnF)/n²               (αx − σnF)/n²,    n = √(α² + σ²)
    score         −ε/σ                  −σF                         (x + σ²F)/α

v is Salimans & Ho's [2022], whose n is 1; divided by n it has unit variance on every process, and is −F of EDM with
σ_data = 1. The score row holds Tweedie's formula. Where α is near 0 only x0 and v can carry x̂_0, and where σ is near 0
only eps, v and score can carry ε̂; so a denoiser offers both answers, and an exact one computes each in its own way.

Shapes: x, eps, x0, v, F (B, D); t scalar or (B,); alpha, sigma scalar or columns (B, 1).
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np

from tinydiff.backend import Array, Times, column, to_numpy
from tinydiff.processes import Process

Prediction = Literal["eps", "x0", "v", "score"]


class Denoiser(Protocol):
    """What samplers and metrics ask of a model."""

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        ...

    @property
    def like(self) -> Array:
        """An empty array (0, D) that carries namespace, dtype and device."""
        ...

    def __call__(self, x: Array, t: Times) -> Array:
        """ε̂(x, t), (B, D)."""
        ...

    def x0(self, x: Array, t: Times) -> Array:
        """x̂_0(x, t) ≈ E[x_0 | x_t = x], (B, D)."""
        ...

    def vjp(self, x: Array, t: Times, v: Array) -> Array:
        """vᵀ ∂ε̂/∂x for each row, (B, D)."""
        ...

    def given(self, labels: Array) -> Self:
        """The same model conditioned on a class for each row, (B,) or one for all; −1 is no condition."""
        ...


def check_prediction(prediction: str) -> None:
    """Raise a ValueError unless the prediction is one of the four."""
    if prediction not in get_args(Prediction):
        raise ValueError(f"prediction must be one of {', '.join(get_args(Prediction))}; got {prediction!r}.")


def target(prediction: Prediction, x0: Array, eps: Array, alpha: Any, sigma: Any) -> Array:
    """What a network of this prediction should output, (B, D)."""
    check_prediction(prediction)
    if prediction == "eps":
        return eps
    if prediction == "x0":
        return x0
    if prediction == "v":
        return (alpha * eps - sigma * x0) / (alpha**2 + sigma**2) ** 0.5
    return -eps / sigma


def to_eps(prediction: Prediction, alpha: Any, sigma: Any) -> tuple[Any, Any]:
    """(a, b) with ε̂ = a x + b F: the table's third column. b² is the factor from F's squared error to ε̂'s."""
    check_prediction(prediction)
    if prediction == "eps":
        return 0.0, 1.0
    if prediction == "x0":
        _check_divisor("sigma", sigma, "eps or v")
        return 1 / sigma, -alpha / sigma
    if prediction == "v":
        return sigma / (alpha**2 + sigma**2), alpha / (alpha**2 + sigma**2) ** 0.5
    return 0.0, -sigma


def to_x0(prediction: Prediction, alpha: Any, sigma: Any) -> tuple[Any, Any]:
    """(a, b) with x̂_0 = a x + b F: the table's last column."""
    check_prediction(prediction)
    if prediction in ("eps", "score"):
        _check_divisor("alpha", alpha, "x0 or v")
    if prediction == "eps":
        return 1 / alpha, -sigma / alpha
    if prediction == "x0":
        return 0.0, 1.0
    if prediction == "v":
        return alpha / (alpha**2 + sigma**2), -sigma / (alpha**2 + sigma**2) ** 0.5
    return 1 / alpha, sigma**2 / alpha


def _check_divisor(name: str, c: Any, rather: str) -> None:
    if not np.all(to_numpy(c) != 0):
        raise ValueError(
            f"{name} is 0 at this time, where this prediction says nothing: let the network predict {rather}."
        )


def eps_from_x0(process: Process, x: Array, t: Times, x0: Array) -> Array:
    """ε = (x − α x_0)/σ."""
    return (x - column(process.alpha(t), x) * x0) / column(process.sigma(t), x)


def x0_from_eps(process: Process, x: Array, t: Times, eps: Array) -> Array:
    """x_0 = (x − σ ε)/α [DDPM 15]."""
    return (x - column(process.sigma(t), x) * eps) / column(process.alpha(t), x)


def v_from_x0_eps(process: Process, t: Times, x0: Array, eps: Array) -> Array:
    """v = (α ε − σ x_0)/√(α² + σ²) [Salimans & Ho 2022, where the root is 1]."""
    return target("v", x0, eps, column(process.alpha(t), x0), column(process.sigma(t), x0))


def score(model: Denoiser, process: Process, x: Array, t: Times) -> Array:
    """∇_x log q_t(x) ≈ −ε̂/σ [Song et al. 2021]."""
    return -model(x, t) / column(process.sigma(t), x)


def linearize(model: Denoiser, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
    """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x; a model that can shares one forward pass between many pulls."""
    if hasattr(model, "linearize"):
        return model.linearize(x, t)
    return model(x, t), lambda v: model.vjp(x, t, v)


class Around:
    """A denoiser made from another, `model`, whose process, dim and like it has; its vjp is one pull of `linearize`."""

    linearize: Callable[[Array, Times], tuple[Array, Callable[[Array], Array]]]
    """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x, which each kind gives in its own way."""

    def __init__(self, model: Denoiser) -> None:
        self.model = model

    @property
    def process(self) -> Process:
        """The process that the model was made for; AttributeError where the model knows none."""
        return self.model.process  # type: ignore[attr-defined]

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.model.dim

    @property
    def like(self) -> Array:
        """The model's empty array."""
        return self.model.like

    def vjp(self, x: Array, t: Times, v: Array) -> Array:
        """vᵀ ∂ε̂/∂x for each row, (B, D)."""
        return self.linearize(x, t)[1](v)


class counting(Around):
    """The same denoiser, counting its evaluations for each row in `nfe`.

    A vjp costs one forward pass as well, so it counts; pulls that share a forward pass do not.
    """

    nfe = 0

    def given(self, labels: Array) -> "counting":
        """The conditioned model, counting from 0."""
        return counting(self.model.given(labels))

    def __call__(self, x: Array, t: Times) -> Array:
        """The model's ε̂, counted."""
        self.nfe += 1
        return self.model(x, t)

    def x0(self, x: Array, t: Times) -> Array:
        """The model's x̂_0, counted."""
        self.nfe += 1
        return self.model.x0(x, t)

    def linearize(self, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
        """The model's linearization, counted once."""
        self.nfe += 1
        return linearize(self.model, x, t)
