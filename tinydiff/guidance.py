"""Guidance: denoisers made from denoisers, that any sampler takes.

With w = 0 the conditional model speaks alone; a larger w pushes samples to where the condition is more certain, at the
price of their variety. The guided score is not that of a diffused density: it is a direction to follow, not a law.
"""

from collections.abc import Callable
from typing import Self

from tinydiff.backend import Array, Times
from tinydiff.denoisers import Denoiser, linearize


class classifier_free:
    """ε̂ = (1 + w) ε̂(x, t | y) − w ε̂(x, t) [Ho & Salimans 2022, 6], and x̂_0, which is affine in ε̂, likewise.

    conditional: a denoiser conditioned on y, such as model.given(labels); unconditional: one that is not, such as model
    itself, a network trained with label_dropout.
    """

    def __init__(self, conditional: Denoiser, unconditional: Denoiser, w: float) -> None:
        if conditional.dim != unconditional.dim:
            raise ValueError(
                f"conditional and unconditional must agree in dim; got {conditional.dim} and {unconditional.dim}."
            )
        self.conditional, self.unconditional, self.w = conditional, unconditional, float(w)

    @property
    def dim(self) -> int:
        """The number D of coordinates."""
        return self.conditional.dim

    @property
    def like(self) -> Array:
        """The conditional model's empty array."""
        return self.conditional.like

    def given(self, labels: Array) -> Self:
        """The same guidance towards labels: (B,), or one for all rows."""
        return type(self)(self.conditional.given(labels), self.unconditional, self.w)

    def _guided(self, conditional: Array, unconditional: Array) -> Array:
        return (1 + self.w) * conditional - self.w * unconditional

    def __call__(self, x: Array, t: Times) -> Array:
        """ε̂, (B, D)."""
        return self._guided(self.conditional(x, t), self.unconditional(x, t))

    def x0(self, x: Array, t: Times) -> Array:
        """x̂_0, (B, D)."""
        return self._guided(self.conditional.x0(x, t), self.unconditional.x0(x, t))

    def linearize(self, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
        """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x."""
        c, pull_c = linearize(self.conditional, x, t)
        u, pull_u = linearize(self.unconditional, x, t)
        return self._guided(c, u), lambda v: self._guided(pull_c(v), pull_u(v))

    def vjp(self, x: Array, t: Times, v: Array) -> Array:
        """vᵀ ∂ε̂/∂x for each row, (B, D)."""
        return self.linearize(x, t)[1](v)
