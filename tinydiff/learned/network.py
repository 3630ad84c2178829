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

from tinydiff import checks
from tinydiff.backend import Array, cast, chunks, namespace
from tinydiff.denoisers import FromPrediction, Pull
from tinydiff.learned.layers import embedding, folded, fourier_features, layer_norm, linear, modulate, silu
from tinydiff.predictions import Prediction, check_prediction
from tinydiff.processes import LOG_SNR_END, Level, Process

ROWS = 8192
"""Rows that a denoiser computes at a time."""


@dataclass(frozen=True)
class TimeMLP:
    """A residual MLP that knows the noise level: network(theta, x, lam, labels) -> (F, pullback).

    Its parameters are one flat vector θ, which `init` makes and which every call takes; it keeps none of its own.

    Parameters
    ----------
    dim : int
        The number D of coordinates.
    width, blocks : int
        The width W of the features, and the number of residual blocks.
    classes : int
        Over 0 it takes a label for each row, −1 for none.
    prediction : {"v", "eps", "x0", "score"}
        What its output F is.
    norm : bool
        Normalise the features in each block: better for images, worse in the plane.
    outputs : int
        Over 0, F is that many numbers, such as a classifier's logits, where a denoiser has D.

    Raises
    ------
    ValueError
        For numbers out of range; when it is called, for points, parameters or labels that do not fit.

    References
    ----------
    He et al. 2016 (residual blocks); Perez et al. 2018 (FiLM); Ho et al. 2020 (DDPM), App. B (time features).

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> theta = network.init(np.random.default_rng(0))
    >>> y, pullback = network(theta, np.ones((3, 2), np.float32), np.zeros(3, np.float32))
    >>> y.shape, pullback(y).shape
    ((3, 2), (3, 2))
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
            checks.as_count(name, getattr(self, name), least)
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

    @property
    def matrices(self) -> list[tuple[int, int, int]]:
        """(start, n, m) of each matrix W (n, m) that h meets in the blocks: where it begins in θ, and its shape."""
        found, start = [], 0
        for name, (n, m) in self.shapes.items():
            if name.startswith(("up", "down")):
                found.append((start, n - 1, m))
            start += n * m
        return found

    def split(self, theta: Array) -> dict[str, Array]:
        """The piece of θ that belongs to each layer: views, not copies."""
        ends = itertools.accumulate(n * m for n, m in self.shapes.values())
        return {name: theta[end - n * m : end] for (name, (n, m)), end in zip(self.shapes.items(), ends, strict=True)}

    def init(self, rng: Any, dtype: Any = np.float32) -> np.ndarray:
        """θ with W ~ N(0, 1/inputs) and b = 0; blocks begin as the identity and the output as 0."""
        rng, theta = checks.as_generator(rng), np.zeros(self.size, dtype)
        for name, piece in self.split(theta).items():
            n, m = self.shapes[name]
            if name == "label":
                piece[:] = rng.standard_normal(n * m)
            elif not name.startswith(("modulate", "down", "out")):
                piece[: (n - 1) * m] = rng.standard_normal((n - 1) * m) / math.sqrt(n - 1)
        return theta

    def __call__(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """F (B, D), and pullback(dF, grad=None) -> dx, which writes ∂L/∂θ into grad (size,); dx=False gives None.

        lam is (B,), or (1,) for all rows where no ∂L/∂θ is asked for.
        """
        h, pull_h = self.features(theta, x, lam, labels)
        y, pull_out = linear(self.split(theta)["out"], h)

        def pullback(dy: Array, grad: Array | None = None, dx: bool = True) -> Array | None:
            return pull_h(pull_out(dy, None if grad is None else self.split(grad)["out"]), grad, dx)

        return y, pullback

    def features(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """The last h (B, W), of which F is linear, and its pullback."""
        checks.check_points(x, self.dim)
        checks.check_library(theta, x)
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

        def pullback(dh: Array, grad: Array | None = None, dx: bool = True) -> Array | None:
            if grad is not None and lam.shape[0] < x.shape[0]:
                raise ValueError("∂L/∂θ needs a log-SNR for each row; got one for all.")
            g, dc = dict.fromkeys(p) if grad is None else self.split(grad), 0.0 * c
            for pull in reversed(pulls):
                dh, dc_block = pull(dh, g)
                dc = dc if dc_block is None else dc + dc_block
            if grad is not None and self.classes:
                pull_label(dc, g["label"])
            return pull_in(dh, g["in"], dx)

        return h, pullback

    def _block(self, p: dict[str, Array], i: int, h: Array, c: Array) -> tuple[Array, Callable]:
        """h + linear(silu(linear(modulate(norm(h), c)))), and its pullback dh -> (dh, dc)."""
        u, pull_norm = layer_norm(h) if self.norm else (h, lambda dh: dh)
        up, shared = p[f"up{i}"], c.shape[0] == 1 < self.width <= h.shape[0]
        if shared:  # one modulation for all rows: into the weights with it, which are fewer
            up = folded(p[f"modulate{i}"], up, c)
        else:
            u, pull_modulate = modulate(p[f"modulate{i}"], u, c)
        u, pull_up = linear(up, u)
        u, pull_silu = silu(u)
        u, pull_down = linear(p[f"down{i}"], u)

        def pullback(dh: Array, g: dict[str, Any]) -> tuple[Array, Array | None]:
            du = pull_up(pull_silu(pull_down(dh, g[f"down{i}"])), g[f"up{i}"])
            du, dc = (du, None) if shared else pull_modulate(du, g[f"modulate{i}"], dc=self.classes > 0)
            return dh + pull_norm(du), dc

        return h + u, pullback


def network_inputs(x: Array, now: Level) -> tuple[Array, Array]:
    """What a network sees: x/√(α² + σ²) (B, D), of unit variance for standardised data, and the clipped λ, (1|B,).

    Training and sampling both come through here, so that they cannot disagree.
    """
    lam = cast(np.clip(now.host.log_snr, -LOG_SNR_END, LOG_SNR_END), x)
    return input_scale(now) * x, namespace(x).reshape(lam, (-1,))


def input_scale(now: Level) -> Any:
    """1/√(α² + σ²), by which a network sees its points."""
    return (now.alpha**2 + now.sigma**2) ** -0.5


class NetworkDenoiser(FromPrediction):
    """The denoiser of a trained network, which answers ε̂ = a x + b F and x̂_0 = a′ x + b′ F.

    Parameters
    ----------
    network : TimeMLP
        The network, with an output for each coordinate.
    theta : (size,)
        Its parameters; the library, dtype and device of the denoiser are theirs.
    process : Process
        The process that it was trained under.
    labels : (B,) or int, optional
        The class of each row, or one for all, −1 for none; `given` sets it.

    Raises
    ------
    TypeError, ValueError
        For parameters, labels or a process that do not fit the network.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> model = td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), td.VP())
    >>> model(np.ones((3, 2), np.float32), 0.5).shape
    (3, 2)
    """

    def __init__(self, network: TimeMLP, theta: Array, process: Process, labels: Any = None) -> None:
        checks.check_theta(network.size, theta)
        checks.check_denoising(network)
        like = namespace(theta).reshape(theta[:0], (0, network.dim))
        super().__init__(process, network.dim, network.prediction, like)
        self.network, self.theta = network, theta
        self.labels = checks.as_conditions(labels, network.classes)

    def given(self, labels: Any) -> Self:
        """The same network conditioned on labels: (B,), or one for all rows; −1 is no condition."""
        return type(self)(self.network, self.theta, self.process, labels)

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch, which its labels follow."""
        return self if self.labels is None or len(self.labels) == 1 else self.given(self.labels[rows])

    def output(self, x: Array, now: Level) -> Array:
        """F, (B, D), some rows at a time."""
        if x.shape[0] <= ROWS:
            return self._forward(x, now)[0]
        parts = [self.rows(rows)._forward(x[rows, :], now[rows])[0] for rows in chunks(x.shape[0], ROWS)]
        return namespace(x).concat(parts)

    def linearize_output(self, x: Array, now: Level) -> tuple[Array, Pull]:
        """(F, pull) with pull(u) = uᵀ ∂F/∂x."""
        y, pullback = self._forward(x, now)
        return y, lambda u: input_scale(now) * pullback(u)

    def _forward(self, x: Array, now: Level) -> tuple[Array, Callable]:
        checks.check_rows("labels", 1 if self.labels is None else len(self.labels), x.shape[0])
        return self.network(self.theta, *network_inputs(x, now), self.labels)
