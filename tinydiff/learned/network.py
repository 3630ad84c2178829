"""A residual MLP that knows the noise level, and the denoiser made from it.

    c = features(λ) + embedding(label)                                  the condition
    h = linear(x)
    h ← h + linear(silu(linear(modulate(norm(h), c))))                  in each block
    F = linear(h)

norm is layer_norm where asked for, and else nothing. In the plane it costs accuracy, since it throws away the length of
h; on images, with hundreds of coordinates, it keeps the features and so the samples bounded. Many narrow blocks learn
modes with sharp borders better than few wide ones of the same cost.

The parameters are one flat vector θ, so optimizers, averages and checkpoints see a single array.
Shapes: B rows, D coordinates, W width; x (B, D), lam (B,) log-SNR, labels (B,).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from tinydiff.backend import (
    Array,
    Times,
    cast,
    check_points,
    chunks,
    column,
    describe,
    namespace,
    rows_of,
    to_numpy,
)
from tinydiff.denoisers import Prediction, check_prediction, to_eps, to_x0
from tinydiff.learned.layers import embedding, fourier_features, layer_norm, linear, modulate, silu
from tinydiff.processes import LOG_SNR_END, Process

ROWS = 8192
"""Rows that a denoiser computes at a time."""


@dataclass(frozen=True)
class TimeMLP:
    """network(theta, x, lam, labels) -> (F, pullback), where F is what `prediction` names.

    classes > 0 adds a label for each row, −1 for none; norm=True normalises the features (see the module). outputs > 0
    makes F that many numbers, such as a classifier's logits, where a denoiser has D.
    """

    dim: int
    width: int = 64
    blocks: int = 8
    classes: int = 0
    prediction: Prediction = "v"
    norm: bool = False
    outputs: int = 0

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("width", 1), ("blocks", 0), ("classes", 0), ("outputs", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        check_prediction(self.prediction)

    @cached_property
    def frequencies(self) -> np.ndarray:
        """The angular frequencies of the features of λ, which spans [−14, 14]."""
        return np.geomspace(1 / 16, 4, 16)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each layer in the order of θ; a linear layer has one input more, for its bias."""
        w, c = self.width, 2 * len(self.frequencies)
        shapes = {"label": (self.classes + 1, c)} if self.classes else {}
        shapes["in"] = (self.dim + 1, w)
        for i in range(self.blocks):
            shapes |= {f"modulate{i}": (2 * (c + 1), w), f"up{i}": (w + 1, w), f"down{i}": (w + 1, w)}
        return shapes | {"out": (w + 1, self.outputs or self.dim)}

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(n * m for n, m in self.shapes.values())

    def split(self, theta: Array) -> dict[str, Array]:
        """The piece of θ that belongs to each layer: views, not copies."""
        ends = itertools.accumulate(n * m for n, m in self.shapes.values())
        return {name: theta[end - n * m : end] for (name, (n, m)), end in zip(self.shapes.items(), ends, strict=True)}

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        """θ with W ~ N(0, 1/inputs) and b = 0; blocks begin as the identity and the output as 0."""
        theta = np.zeros(self.size, dtype)
        for name, piece in self.split(theta).items():
            n, m = self.shapes[name]
            if name == "label":
                piece[:] = rng.standard_normal(n * m)
            elif not name.startswith(("modulate", "down", "out")):
                piece[: (n - 1) * m] = rng.standard_normal((n - 1) * m) / math.sqrt(n - 1)
        return theta

    def __call__(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """F (B, D), and pullback(dF, grad=None) -> dx, which writes ∂L/∂θ into grad (size,)."""
        h, pull_h = self.features(theta, x, lam, labels)
        y, pull_out = linear(self.split(theta)["out"], h)

        def pullback(dy: Array, grad: Array | None = None) -> Array:
            return pull_h(pull_out(dy, None if grad is None else self.split(grad)["out"]), grad)

        return y, pullback

    def features(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """The last h (B, W), of which F is linear, and its pullback."""
        check_points(x, self.dim)
        check_library(theta, x)
        p = self.split(theta)
        c = fourier_features(lam, self.frequencies)
        if self.classes:
            e, pull_label = embedding(p["label"], np.array([-1]) if labels is None else labels, self.classes)
            c = c + e
        h, pull_in = linear(p["in"], x)
        pulls = []
        for i in range(self.blocks):
            h, pull = self._block(p, i, h, c)
            pulls.append(pull)

        def pullback(dh: Array, grad: Array | None = None) -> Array:
            g, dc = dict.fromkeys(p) if grad is None else self.split(grad), 0.0 * c
            for pull in reversed(pulls):
                dh, dc_block = pull(dh, g)
                dc = dc if dc_block is None else dc + dc_block
            if grad is not None and self.classes:
                pull_label(dc, g["label"])
            return pull_in(dh, g["in"])

        return h, pullback

    def _norm(self, h: Array) -> tuple[Array, Callable]:
        return layer_norm(h) if self.norm else (h, lambda dh: dh)

    def _block(self, p: dict[str, Array], i: int, h: Array, c: Array) -> tuple[Array, Callable]:
        """h + linear(silu(linear(modulate(norm(h), c)))), and its pullback dh -> (dh, dc)."""
        u, pull_norm = self._norm(h)
        u, pull_modulate = modulate(p[f"modulate{i}"], u, c)
        u, pull_up = linear(p[f"up{i}"], u)
        u, pull_silu = silu(u)
        u, pull_down = linear(p[f"down{i}"], u)

        def pullback(dh: Array, g: dict[str, Any]) -> tuple[Array, Array | None]:
            du = pull_up(pull_silu(pull_down(dh, g[f"down{i}"])), g[f"up{i}"])
            du, dc = pull_modulate(du, g[f"modulate{i}"], dc=self.classes > 0)
            return dh + pull_norm(du), dc

        return h + u, pullback


def network_inputs(process: Process, x: Array, t: Times) -> tuple[Array, Array]:
    """What a network sees: x/√(α² + σ²) (B, D), of unit variance for standardised data, and the clipped λ(t), (1|B,).

    Training and sampling both come through here, so that they cannot disagree.
    """
    scale = (process.alpha(t) ** 2 + process.sigma(t) ** 2) ** -0.5
    lam = process.log_snr(t)
    xp = namespace(lam)
    return column(scale, x) * x, cast(xp.clip(xp.reshape(xp.asarray(lam), (-1,)), -LOG_SNR_END, LOG_SNR_END), x)


def check_theta(network: TimeMLP, theta: Any) -> None:
    """Raise a ValueError unless theta is an array of the network's parameters."""
    if tuple(getattr(theta, "shape", ())) != (network.size,):
        raise ValueError(f"theta must be an array of the network's {network.size} parameters; got {describe(theta)}.")


def check_library(theta: Array, x: Array) -> None:
    """Raise a ValueError unless x is of the library of theta: moving all parameters at every call would be slow."""
    if type(theta) is not type(x) and namespace(theta) is not namespace(x):  # the first half is a hundred times faster
        ours, theirs = (namespace(a).__name__.removeprefix("array_api_compat.") for a in (theta, x))
        raise ValueError(f"theta is an array of {ours} and the points are of {theirs}: let both be of one library.")


class NetworkDenoiser:
    """The denoiser of a trained network: model(x, t) is ε̂, with `.x0`, `.vjp`, `.linearize`, `.given`."""

    def __init__(self, network: TimeMLP, theta: Array, process: Process, labels: Array | None = None) -> None:
        check_theta(network, theta)
        if network.outputs:
            raise ValueError(f"a denoiser has an output for each coordinate; this network has {network.outputs}.")
        if labels is not None and not network.classes:
            raise ValueError("this network was made without classes: TimeMLP(..., classes=).")
        self.network, self.theta, self.process = network, theta, process
        self.labels = None if labels is None else np.atleast_1d(to_numpy(labels))

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.network.dim

    @property
    def like(self) -> Array:
        """An empty array (0, D) of the parameters' namespace, dtype and device."""
        return namespace(self.theta).reshape(self.theta[:0], (0, self.dim))

    def given(self, labels: Array) -> Self:
        """The same network conditioned on labels: (B,), or one for all rows; −1 is no condition."""
        return type(self)(self.network, self.theta, self.process, labels)

    def _forward(self, x: Array, t: Times) -> tuple[Array, Callable]:
        return self.network(self.theta, *network_inputs(self.process, x, t), self.labels)

    def _output(self, x: Array, t: Times) -> Array:
        """F (B, D), for some rows at a time: the layers of all of them at once would take gigabytes."""
        check_points(x, self.dim)
        if x.shape[0] <= ROWS:
            return self._forward(x, t)[0]
        given = lambda rows: type(self)(self.network, self.theta, self.process, rows_of(self.labels, rows))  # noqa: E731
        parts = [given(rows)._forward(x[rows, :], rows_of(t, rows))[0] for rows in chunks(x.shape[0], ROWS)]
        return namespace(x).concat(parts)

    def _coefficients(self, rule: Callable, x: Array, t: Times) -> tuple[Any, Any]:
        return rule(self.network.prediction, column(self.process.alpha(t), x), column(self.process.sigma(t), x))

    def __call__(self, x: Array, t: Times) -> Array:
        """ε̂ = a x + b F(x, t), (B, D)."""
        a, b = self._coefficients(to_eps, x, t)
        return a * x + b * self._output(x, t)

    def x0(self, x: Array, t: Times) -> Array:
        """x̂_0, computed from F directly, (B, D)."""
        a, b = self._coefficients(to_x0, x, t)
        return a * x + b * self._output(x, t)

    def linearize(self, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
        """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x: one forward pass for many pulls."""
        a, b = self._coefficients(to_eps, x, t)
        y, pullback = self._forward(x, t)
        scale = column((self.process.alpha(t) ** 2 + self.process.sigma(t) ** 2) ** -0.5, x)
        return a * x + b * y, lambda v: a * v + scale * pullback(b * v)

    def vjp(self, x: Array, t: Times, v: Array) -> Array:
        """vᵀ ∂ε̂/∂x for each row, (B, D)."""
        return self.linearize(x, t)[1](v)
