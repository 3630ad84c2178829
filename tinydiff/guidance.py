"""Guidance: denoisers made from denoisers, that any sampler takes.

With w = 0 the conditional model speaks alone; a larger w pushes samples to where the condition is more certain, at the
price of their variety. At a fixed t the guided score is that of p(x_t|y)^{1+w} p(x_t)^{−w}, but these tilted laws are
not the diffusion of any one law of x_0. So samples follow none that can be named, and not the one tilted at t = 0: with
N(1, .3) guided against N(0, 1) by w = 2, that has mean 1.25 and variance .125, and the flow ends at 1.60 and .027.
"""

import math
from collections.abc import Callable
from typing import Any, Self

from tinydiff.backend import Array, along
from tinydiff.checks import as_finite, as_interval, check_signal
from tinydiff.denoisers import Denoiser, Pull, Wrapper, check_denoiser, check_same_process


class ClassifierFreeGuidance(Wrapper):
    """Guidance without a classifier: ε̂ = (1 + w) ε̂(x, t | y) − w ε̂(x, t), and x̂_0, which is affine in ε̂, likewise.

    Parameters
    ----------
    conditional : Denoiser
        A denoiser conditioned on y, such as model.given(labels).
    unconditional : Denoiser
        One that is not, such as model itself, a network trained with label_dropout.
    w : float
        The strength: 0 is the conditional model, −1 the unconditional one. Some call 1 + w the guidance scale.
    interval : (float, float)
        The log-SNRs between which it guides; outside the conditional model speaks alone, and the other is not asked. In
        the middle classes part; at much noise guidance takes variety and gives no certainty.

    Raises
    ------
    ValueError
        Where the two are of different processes or dimensions; both are named. For an interval without length.

    References
    ----------
    Ho & Salimans 2022 (CFG), eq. 6; Kynkäänniemi et al. 2024 (a limited interval).

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.moons32(), td.VP())
    >>> guided = td.ClassifierFreeGuidance(model.given(1), model, w=1.0)
    >>> td.sample(guided, 3, rng=0).shape
    (3, 2)
    """

    def __init__(
        self,
        conditional: Denoiser,
        unconditional: Denoiser,
        w: float,
        interval: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        check_denoiser(unconditional)
        super().__init__(conditional)
        check_same_process(conditional=conditional, unconditional=unconditional)
        self.conditional, self.unconditional, self.w = conditional, unconditional, as_finite("w", w)
        self.interval = as_interval("interval", interval)

    def given(self, labels: Any) -> Self:
        """The same guidance towards labels: (B,), or one for all rows."""
        return type(self)(self.conditional.given(labels), self.unconditional, self.w, self.interval)

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch."""
        return type(self)(self.conditional.rows(rows), self.unconditional.rows(rows), self.w, self.interval)

    def _weight(self, x: Array, t: Any) -> Any:
        """w, or 0 where the log-SNR is not in the interval: a number, or columns."""
        now, (low, high) = self.process.at(t, like=x), self.interval
        inside = (now.host.log_snr >= low) & (now.host.log_snr <= high)
        return now.shaped(self.w * inside)

    def _guided(self, w: Any, conditional: Array, unconditional: Array) -> Array:
        return (1 + w) * conditional - w * unconditional

    def _pulled(self, w: Any, conditional: tuple[Array, Pull], unconditional: tuple[Array, Pull]) -> tuple[Array, Pull]:
        (one, pull), (other, other_pull) = conditional, unconditional
        return self._guided(w, one, other), lambda u: self._guided(w, pull(u), other_pull(u))

    def _asked(self, x: Array, t: Any, ask: Callable[[Denoiser], Any], combine: Callable) -> Any:
        """What both models answer, combined; where w is 0 for all rows what the conditional one answers."""
        w = self._weight(x, t)
        if isinstance(w, float) and w == 0:
            return ask(self.conditional)
        return combine(w, ask(self.conditional), ask(self.unconditional))

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, (B, D)."""
        return self._asked(x, t, lambda model: model(x, t), self._guided)

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0, (B, D)."""
        return self._asked(x, t, lambda model: model.x0(x, t), self._guided)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x."""
        return self._asked(x, t, lambda model: model.linearize(x, t), self._pulled)

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(x̂_0, pull) with pull(u) = uᵀ ∂x̂_0/∂x."""
        return self._asked(x, t, lambda model: model.linearize_x0(x, t), self._pulled)


class ClassifierGuidance(Wrapper):
    """Guidance by a classifier: ε̂ = ε̂_u − w σ ∇ ln p(y|x_t), and x̂_0 = x̂_0,u + w (σ²/α) ∇ ln p(y|x_t).

    By Bayes' rule w = 1 is the conditional model where both are exact, so ClassifierFreeGuidance of strength w is
    this of strength 1 + w on the unconditional model.

    Parameters
    ----------
    model : Denoiser
        An unconditional denoiser.
    grad_log_p : callable
        (x, t) ↦ ∇ ln p(y | x_t = x), (B, D): the exact Oracle(...).grad_log_p(labels), or that of a Classifier which
        was trained on noisy points. Likelihoods take a complex step through it, so it must take complex x.
    w : float
        The strength.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser; where x̂_0 is asked for and α < 1e-8, since a push divided by that is rounding.

    References
    ----------
    Dhariwal & Nichol 2021, Algs. 1 and 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Oracle(td.toys.moons32(), td.VP())
    >>> td.sample(td.ClassifierGuidance(model, model.grad_log_p(1), w=2.0), 3, rng=0).shape
    (3, 2)
    """

    def __init__(self, model: Denoiser, grad_log_p: Callable[[Array, Any], Array], w: float) -> None:
        super().__init__(model)
        self.grad_log_p, self.w = grad_log_p, as_finite("w", w)

    def given(self, labels: Any) -> Self:
        """The same push, on the model conditioned on labels."""
        return type(self)(self.model.given(labels), self.grad_log_p, self.w)

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, (B, D)."""
        now = self.process.at(t, like=x)
        return self.model(x, now) - self.w * now.sigma * self.grad_log_p(x, now.t)

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0, (B, D); ValueError where α < 1e-8."""
        now = self.process.at(t, like=x)
        check_signal(now, "a classifier sees nothing there; begin at a smaller time")
        return self.model.x0(x, now) + self.w * now.sigma**2 / now.alpha * self.grad_log_p(x, now.t)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x."""
        now = self.process.at(t, like=x)
        eps, pull = self.model.linearize(x, now)
        push, push_pull = self._push(x, now.t)
        return eps - self.w * now.sigma * push, lambda u: pull(u) - self.w * now.sigma * push_pull(u)

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(x̂_0, pull) with pull(u) = uᵀ ∂x̂_0/∂x; ValueError where α < 1e-8."""
        now = self.process.at(t, like=x)
        check_signal(now, "a classifier sees nothing there; begin at a smaller time")
        x0, pull = self.model.linearize_x0(x, now)
        push, push_pull = self._push(x, now.t)
        scale = self.w * now.sigma**2 / now.alpha
        return x0 + scale * push, lambda u: pull(u) + scale * push_pull(u)

    def _push(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """∇ ln p and its pull: a gradient's Jacobian is symmetric, so uᵀ ∂(∇ ln p)/∂x is its derivative along u."""
        return self.grad_log_p(x, t), lambda u: along(lambda y: self.grad_log_p(y, t), x, u)
