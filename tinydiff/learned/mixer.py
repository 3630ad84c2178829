"""An all-MLP network for pictures, a mixer: small, since what it learns at one place it knows at all others.

    c = features(λ) + embedding(label)                        the condition of a picture
    h = linear(patches(x)) + place(label)                     a token for each patch               (B, T, W)
    h ← h + mlp(modulate(norm(h), c)ᵀ)ᵀ                       mixes tokens, alike in all channels
    h ← h + mlp(modulate(norm(h), c))                         mixes channels, alike in all tokens
    F = picture(linear(norm(h)))                              the patches put together

    mlp(u) = linear(silu(linear(u)))

An MLP learns each place of the picture anew; here the weights of a patch, and those between channels, serve every
place. What lies where is known to the weights between tokens, and to place(label): a vector for each token under each
label, from which the network knows at once where a 7 has its strokes. The last bias between tokens has no effect: it is
the same for all channels of a token, and each later norm takes that away.
Patches may overlap: what a token says beyond its own patch is added to what the neighbours say there, so that a stroke
crosses the border unbroken.
Shapes: B pictures of D = H·V pixels in T patches of S·S, W channels; x (B, D), lam (B,) log-SNR, labels (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from array_api_compat import device

from tinydiff import checks
from tinydiff.backend import Array, namespace
from tinydiff.learned.layers import embedding, layer_norm, linear, modulate, silu, swap
from tinydiff.learned.network import Network, Pieces
from tinydiff.predictions import Prediction


@dataclass(frozen=True)
class Mixer(Network):
    """A mixer of the patches of a picture: network(theta, x, lam, labels) -> (F, pullback), θ one flat vector.

    Parameters
    ----------
    picture : (int, int)
        Rows and columns of the picture, which comes row by row.
    patch : int
        Rows and columns of a patch. Where they do not divide the picture's, zeros are added below and at the right.
    width : int
        The number W of channels of a token. What mixes channels has 2 W of its own, what mixes tokens W/2, rounded up.
    blocks : int
        How often tokens and channels are mixed.
    classes : int
        Over 0 it takes a label for each row, −1 for none.
    prediction : {"x0", "v", "eps", "score", "edm"}
        What its output F is. For pictures x_0, with its own loss: noise does not fit through a narrow network.
    outputs : int
        Over 0, F is that many numbers, such as a classifier's logits, made of the mean over the tokens.
    overlap : int
        How many rows and columns of its neighbours a patch has on each side, in what it sees and in what it says.
    sigma_data : float
        The standard deviation of the data, by which inputs are scaled, and what "edm" predicts.

    Raises
    ------
    TypeError, ValueError
        For numbers out of range; when it is called, for points, parameters or labels that do not fit.

    References
    ----------
    Tolstikhin et al. 2021 (MLP-Mixer), eq. 1; Perez et al. 2018 (FiLM).

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.Mixer((8, 8), patch=2, width=16, blocks=1)
    >>> theta = network.init(np.random.default_rng(0))
    >>> y, pullback = network(theta, np.ones((3, 64), np.float32), np.zeros(3, np.float32))
    >>> network.tokens, y.shape, pullback(y).shape
    (16, (3, 64), (3, 64))
    """

    picture: tuple[int, int]
    patch: int = 4
    width: int = 64
    blocks: int = 6
    classes: int = 0
    prediction: Prediction = "x0"
    outputs: int = 0
    overlap: int = 0
    sigma_data: float = 1.0
    dim: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows, columns = (checks.as_count("picture", size) for size in checks.as_pair("picture", self.picture))
        object.__setattr__(self, "picture", (rows, columns))
        object.__setattr__(self, "dim", rows * columns)
        checks.as_count("patch", self.patch)
        checks.as_count("overlap", self.overlap, 0)
        super().__post_init__()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, columns = self.picture
        return -(-rows // self.patch), -(-columns // self.patch)

    @property
    def tokens(self) -> int:
        """The number T of patches."""
        return self.grid[0] * self.grid[1]

    @property
    def side(self) -> int:
        """The rows S, and columns, of a patch with what it has of its neighbours."""
        return self.patch + 2 * self.overlap

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each layer in the order of θ; a linear layer has one input more, for its bias."""
        t, w, pixels, c = self.tokens, self.width, self.side**2, 2 * len(self.frequencies)
        shapes = {"label": (self.classes + 1, c)} if self.classes else {}
        shapes |= {"place": (self.classes + 1, t * w), "in": (pixels + 1, w)}
        for i in range(self.blocks):
            for name, n, m in ((f"_tokens{i}", t, -(-w // 2)), (f"_channels{i}", w, 2 * w)):
                shapes |= {f"modulate{name}": (2 * (c + 1), w), f"up{name}": (n + 1, m), f"down{name}": (m + 1, n)}
        return shapes | {"out": (w + 1, self.outputs or pixels)}

    @property
    def widest(self) -> int:
        """The numbers that the widest layer has for a row."""
        return max(self.tokens * self.side**2, 2 * self.tokens * self.width, self.width * -(-self.width // 2))

    @cached_property
    def windows(self) -> list[tuple[slice, slice]]:
        """The rows and columns of each patch in a picture with its frame."""
        (down, right), p, side = self.grid, self.patch, self.side
        return [(slice(i * p, i * p + side), slice(j * p, j * p + side)) for i in range(down) for j in range(right)]

    def framed(self, like: Array, n: int) -> Array:
        """n pictures of zeros, with a frame as wide as the outer patches reach."""
        down, right = (count * self.patch + 2 * self.overlap for count in self.grid)
        return namespace(like).zeros((n, down, right), dtype=like.dtype, device=device(like))

    def patches(self, x: Array) -> Array:
        """The patches (B, T, S²) of pictures (B, D), row by row."""
        xp, (rows, columns), o = namespace(x), self.picture, self.overlap
        framed = self.framed(x, x.shape[0])
        framed[:, o : o + rows, o : o + columns] = xp.reshape(x, (-1, rows, columns))
        return xp.stack([xp.reshape(framed[:, i, j], (-1, self.side**2)) for i, j in self.windows], axis=1)

    def assembled(self, y: Array) -> Array:
        """The pictures (B, D) of patches (B, T, S²), added up where they overlap: the transpose of `patches`."""
        xp, (rows, columns), o = namespace(y), self.picture, self.overlap
        framed = self.framed(y, y.shape[0])
        for t, (i, j) in enumerate(self.windows):
            framed[:, i, j] += xp.reshape(y[:, t, :], (-1, self.side, self.side))
        return xp.reshape(framed[:, o : o + rows, o : o + columns], (-1, self.dim))

    def enter(self, p: Pieces, x: Array, labels: Array) -> tuple[Array, Callable]:
        """linear(patches(x)) + place(label), and its pullback (dh, g, dx) -> dx, or None with dx=False."""
        xp = namespace(x)
        h, pull = linear(p["in"], self.patches(x))
        e, pull_place = embedding(p["place"], labels, self.classes)

        def pullback(dh: Array, g: Pieces, dx: bool) -> Array | None:
            if g["place"] is not None:
                pull_place(xp.reshape(dh, (dh.shape[0], -1)), g["place"])
            dx = pull(dh, g["in"], dx)
            return None if dx is None else self.assembled(dx)

        return h + xp.reshape(e, (-1, self.tokens, self.width)), pullback

    def block(self, p: Pieces, i: int, h: Array, c: Array) -> tuple[Array, Callable]:
        """The tokens after block i, and its pullback (dh, g) -> (dh, dc or None)."""
        h, pull_tokens = self.mixed(p, f"_tokens{i}", h, c, swap)
        h, pull_channels = self.mixed(p, f"_channels{i}", h, c, kept)

        def pullback(dh: Array, g: Pieces) -> tuple[Array, Array | None]:
            dh, dc = pull_channels(dh, g)
            dh, dc_of_tokens = pull_tokens(dh, g)
            return dh, None if dc is None else dc + dc_of_tokens

        return h, pullback

    def mixed(self, p: Pieces, name: str, h: Array, c: Array, turned: Callable) -> tuple[Array, Callable]:
        """h + turned(mlp(turned(modulate(norm(h), c)))), and its pullback (dh, g) -> (dh, dc or None)."""
        u, pull_norm = layer_norm(h)
        u, pull_modulate = modulate(p["modulate" + name], u, c)
        u, pull_there = turned(u)
        u, pull_up = linear(p["up" + name], u)
        u, pull_silu = silu(u)
        u, pull_down = linear(p["down" + name], u)
        u, pull_back = turned(u)

        def pullback(dh: Array, g: Pieces) -> tuple[Array, Array | None]:
            du = pull_silu(pull_down(pull_back(dh), g["down" + name]))
            du = pull_there(pull_up(du, g["up" + name]))
            du, dc = pull_modulate(du, g["modulate" + name], dc=self.classes > 0)
            return dh + pull_norm(du), dc

        return h + u, pullback

    def gather(self, h: Array) -> tuple[Array, Callable]:
        """norm(h), or for outputs that are no picture its mean over the tokens, (B, W), and the pullback of it."""
        y, pull = layer_norm(h)
        if not self.outputs:
            return y, pull
        xp = namespace(y)
        return xp.mean(y, axis=1), lambda dy: pull(xp.broadcast_to(dy[:, None, :] / self.tokens, h.shape))

    def leave(self, p: Pieces, h: Array) -> tuple[Array, Callable]:
        """picture(linear(h)), or for other outputs linear(h) alone, and its pullback (dy, g) -> dh."""
        y, pull = super().leave(p, h)
        return (y, pull) if self.outputs else (self.assembled(y), lambda dy, g: pull(self.patches(dy), g))


def kept(x: Array) -> tuple[Array, Callable]:
    """y = x, the layer that leaves tokens and channels where they are."""
    return x, lambda dy: dy
