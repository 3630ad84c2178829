"""Networks that know the noise level: what training and denoisers ask of one, and the residual MLP.

    c = features(λ) + embedding(label)                      the condition
    h = enter(x, label)
    h ← h + correction(h, c)                                in each block
    F = leave(gather(h))

All parameters are one flat vector θ, so optimizers, averages and checkpoints see a single array.
Shapes: B rows, D coordinates, W width; x (B, D), lam (B,) log-SNR, labels (B,).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array
from tinydiff.learned.layers import embedding, folded, fourier_features, layer_norm, linear, modulate, silu
from tinydiff.predictions import Prediction, check_prediction

NUMBERS = 2**19
"""Numbers that the widest layer has for the rows which are computed at a time."""

# A piece of θ, or of its gradient, for each layer by name; None where no gradient is asked for.
Pieces = dict[str, Any]


class Network:
    """What training and denoisers ask of a network: network(theta, x, lam, labels) -> (F, pullback).

    Its parameters are one flat vector θ, which `init` makes and which every call takes; it keeps none of its own. A
    subclass names its layers in `shapes` and says what they do: `block`, and `enter`, `gather` and `leave` where they
    are not those here, each with its pullback. Layers named up… and down… hold the matrices that h meets.
    """

    dim: int
    """The number D of coordinates."""
    width: int
    """The width W of the features."""
    blocks: int
    """The number of residual blocks."""
    classes: int
    """Over 0 it takes a label for each row, −1 for none."""
    prediction: Prediction
    """What its output F is."""
    sigma_data: float = 1.0
    """The standard deviation of the data, by which its inputs are scaled, and what "edm" predicts."""
    outputs: int
    """Over 0, F is that many numbers, such as a classifier's logits, where a denoiser has D."""

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("width", 1), ("blocks", 0), ("classes", 0), ("outputs", 0)):
            checks.as_count(name, getattr(self, name), least)
        check_prediction(self.prediction)
        checks.check_range("sigma_data", self.sigma_data, 0, open_low=True)

    # What a subclass says

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each layer in the order of θ; a linear layer has one input more, for its bias."""
        raise NotImplementedError

    @property
    def widest(self) -> int:
        """The numbers that the widest layer has for a row."""
        raise NotImplementedError

    def enter(self, p: Pieces, x: Array, labels: Array) -> tuple[Array, Callable]:
        """The first h, and its pullback (dh, g, dx) -> dx, or None with dx=False."""
        h, pull = linear(p["in"], x)
        return h, lambda dh, g, dx: pull(dh, g["in"], dx)

    def block(self, p: Pieces, i: int, h: Array, c: Array) -> tuple[Array, Callable]:
        """The h after block i, and its pullback (dh, g) -> (dh, dc or None)."""
        raise NotImplementedError

    def gather(self, h: Array) -> tuple[Array, Callable]:
        """The features, of which F is linear, and their pullback; h itself unless a subclass says otherwise."""
        return h, lambda dh: dh

    def leave(self, p: Pieces, h: Array) -> tuple[Array, Callable]:
        """F, and its pullback (dy, g) -> dh."""
        y, pull = linear(p["out"], h)
        return y, lambda dy, g: pull(dy, g["out"])

    # What all have

    @cached_property
    def frequencies(self) -> np.ndarray:
        """The angular frequencies of the features of λ, which spans [−14, 14]."""
        return np.geomspace(1 / 16, 4, 16)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(n * m for n, m in self.shapes.values())

    @property
    def rows(self) -> int:
        """The rows that are computed at a time, so that what they need stays small."""
        return max(1, NUMBERS // self.widest)

    @property
    def matrices(self) -> list[tuple[int, int, int]]:
        """(start, n, m) of each matrix W (n, m) that h meets in the blocks: where it begins in θ, and its shape."""
        found, start = [], 0
        for name, (n, m) in self.shapes.items():
            if name.startswith(("up", "down")):
                found.append((start, n - 1, m))
            start += n * m
        return found

    def split(self, theta: Array) -> Pieces:
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
            elif not name.startswith(("place", "modulate", "down", "out")):
                piece[: (n - 1) * m] = rng.standard_normal((n - 1) * m) / math.sqrt(n - 1)
        return theta

    def __call__(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """F (B, D), and pullback(dF, grad=None) -> dx, which writes ∂L/∂θ into grad (size,); dx=False gives None.

        lam is (B,), or (1,) for all rows where no ∂L/∂θ is asked for.
        """
        h, pull_h = self.features(theta, x, lam, labels)
        y, pull_out = self.leave(self.split(theta), h)

        def pullback(dy: Array, grad: Array | None = None, dx: bool = True) -> Array | None:
            return pull_h(pull_out(dy, self._pieces(grad)), grad, dx)

        return y, pullback

    def features(self, theta: Array, x: Array, lam: Array, labels: Array | None = None) -> tuple[Array, Callable]:
        """What the last layer sees, and its pullback."""
        checks.check_points(x, self.dim)
        checks.check_library(theta, x)
        p = self.split(theta)
        c = fourier_features(lam, self.frequencies)
        labels = np.array([-1]) if labels is None or not self.classes else labels
        if self.classes:
            e, pull_label = embedding(p["label"], labels, self.classes)
            c = c + e
        h, pull_in = self.enter(p, x, labels)
        pulls = []
        for i in range(self.blocks):
            h, pull = self.block(p, i, h, c)
            pulls.append(pull)
        h, pull_gather = self.gather(h)

        def pullback(dh: Array, grad: Array | None = None, dx: bool = True) -> Array | None:
            if grad is not None and lam.shape[0] < x.shape[0]:
                raise ValueError("∂L/∂θ needs a log-SNR for each row; got one for all.")
            g, dh, dc = self._pieces(grad), pull_gather(dh), 0.0 * c
            for pull in reversed(pulls):
                dh, dc_block = pull(dh, g)
                dc = dc if dc_block is None else dc + dc_block
            if grad is not None and self.classes:
                pull_label(dc, g["label"])
            return pull_in(dh, g, dx)

        return h, pullback

    def _pieces(self, grad: Array | None) -> Pieces:
        return dict.fromkeys(self.shapes) if grad is None else self.split(grad)


@dataclass(frozen=True)
class TimeMLP(Network):
    """A residual MLP: network(theta, x, lam, labels) -> (F, pullback), its parameters one flat vector θ.

        h = linear(x)
        h ← h + linear(silu(linear(modulate(norm(h), c))))      in each block
        F = linear(h)

    norm is layer_norm where asked for, and else nothing. In the plane it costs accuracy, since it throws away the
    length of h; on images, with hundreds of coordinates, it keeps the features and so the samples bounded. Many narrow
    blocks learn modes with sharp borders better than few wide ones of the same cost.

    Parameters
    ----------
    dim : int
        The number D of coordinates.
    width, blocks : int
        The width W of the features, and the number of residual blocks.
    classes : int
        Over 0 it takes a label for each row, −1 for none.
    prediction : {"v", "eps", "x0", "score", "edm"}
        What its output F is.
    norm : bool
        Normalise the features in each block: better for images, worse in the plane.
    outputs : int
        Over 0, F is that many numbers, such as a classifier's logits, where a denoiser has D.
    sigma_data : float
        The standard deviation of the data, by which inputs are scaled, and what "edm" predicts.

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
    sigma_data: float = 1.0

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
    def widest(self) -> int:
        """The numbers that the widest layer has for a row."""
        return max(self.dim, self.width)

    def block(self, p: Pieces, i: int, h: Array, c: Array) -> tuple[Array, Callable]:
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

        def pullback(dh: Array, g: Pieces) -> tuple[Array, Array | None]:
            du = pull_up(pull_silu(pull_down(dh, g[f"down{i}"])), g[f"up{i}"])
            du, dc = (du, None) if shared else pull_modulate(du, g[f"modulate{i}"], dc=self.classes > 0)
            return dh + pull_norm(du), dc

        return h + u, pullback
