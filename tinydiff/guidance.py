"""Guidance: denoisers made from denoisers, that any sampler takes.

With w = 0 the conditional model speaks alone; a larger w pushes samples to where the condition is more certain, at the
price of their variety. At a fixed t the guided score is that of p(x_t|y)^{1+w} p(x_t)^{−w}, but these tilted laws are
not the diffusion of any one law of x_0. So samples follow none that can be named, and not the one tilted at t = 0: with
N(1, .3) guided against N(0, 1) by w = 2, that has mean 1.25 and variance .125, and the flow ends at 1.60 and .027.
"""

from collections.abc import Callable
from typing import Self

import numpy as np

from tinydiff.backend import Array, Times, cast, column, namespace, to_numpy
from tinydiff.denoisers import Around, Denoiser, linearize


class classifier_free(Around):
    """ε̂ = (1 + w) ε̂(x, t | y) − w ε̂(x, t) [Ho & Salimans 2022, 6], and x̂_0, which is affine in ε̂, likewise.

    conditional: a denoiser conditioned on y, such as model.given(labels); unconditional: one that is not, such as model
    itself, a network trained with label_dropout.
    """

    def __init__(self, conditional: Denoiser, unconditional: Denoiser, w: float) -> None:
        if conditional.dim != unconditional.dim:
            raise ValueError(
                f"conditional and unconditional must agree in dim; got {conditional.dim} and {unconditional.dim}."
            )
        super().__init__(conditional)
        self.conditional, self.unconditional, self.w = conditional, unconditional, float(w)

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


class classifier(Around):
    """ε̂ = ε̂_u − w σ ∇ ln p(y|x_t), and x̂_0 = x̂_0,u + w (σ²/α) ∇ ln p(y|x_t) [Dhariwal & Nichol 2021, Alg. 1–2].

    model: an unconditional denoiser that has a `process`; grad_log_p(x, t) ↦ ∇ ln p(y|x_t = x), (B, D), the exact
    Oracle(...).grad_log_p(labels) or a Classifier's that was trained on noisy points. By Bayes' rule w = 1 is the
    conditional model where both are exact, so classifier_free(w) is classifier(1 + w) on the unconditional model.
    """

    def __init__(self, model: Denoiser, grad_log_p: Callable[[Array, Times], Array], w: float) -> None:
        if not hasattr(model, "process"):
            raise ValueError(f"guidance by a classifier scales with σ: the model needs a process; {model!r} has none.")
        super().__init__(model)
        self.grad_log_p, self.w = grad_log_p, float(w)

    def given(self, labels: Array) -> Self:
        """The same push, on the model conditioned on labels."""
        return type(self)(self.model.given(labels), self.grad_log_p, self.w)

    def __call__(self, x: Array, t: Times) -> Array:
        """ε̂, (B, D)."""
        return self.model(x, t) - self.w * column(self.process.sigma(t), x) * self.grad_log_p(x, t)

    def x0(self, x: Array, t: Times) -> Array:
        """x̂_0, (B, D); ValueError where α < 1e-8, since a push divided by that is rounding."""
        alpha = self.process.alpha(t)
        if not np.all(to_numpy(alpha) >= 1e-8):
            raise ValueError("alpha is 0 at this time, where a classifier sees nothing: begin at a smaller time.")
        push = column(self.process.sigma(t) ** 2 / alpha, x) * self.grad_log_p(x, t)
        return self.model.x0(x, t) + self.w * push

    def linearize(self, x: Array, t: Times) -> tuple[Array, Callable[[Array], Array]]:
        """(ε̂, pull) with pull(v) = vᵀ ∂ε̂/∂x.

        A gradient's Jacobian is symmetric, so vᵀ ∂(∇ ln p)/∂x is its derivative along v, taken by a complex step:
        grad_log_p must be complex-safe, as those named above are.
        """
        eps, pull = linearize(self.model, x, t)
        sigma, step = column(self.process.sigma(t), x), 1e-30
        along = lambda v: cast(namespace(x).imag(self.grad_log_p(x + 1j * step * v, t)) / step, x)  # noqa: E731
        return eps - self.w * sigma * self.grad_log_p(x, t), lambda v: pull(v) - self.w * sigma * along(v)
