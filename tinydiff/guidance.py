"""Guidance: denoisers made from denoisers, that any sampler takes.

With w = 0 the conditional model speaks alone; a larger w pushes samples to where the condition is more certain, at the
price of their variety. At a fixed t the guided score is that of p(x_t|y)^{1+w} p(x_t)^{−w}, but these tilted laws are
not the diffusion of any one law of x_0. So samples follow none that can be named, and not the one tilted at t = 0: with
N(1, .3) guided against N(0, 1) by w = 2, that has mean 1.25 and variance .125, and the flow ends at 1.60 and .027. Of
two Gaussians of variances c and u the tilted law has 1/((1 + w)/c − w/u), and the flow ends at c^{1+w} u^{−w}.

All guidance here is x̂_0 + w push, and they differ in the push:

    ClassifierFreeGuidance       x̂_0 − that of a model without the condition; in an interval of log-SNRs, or everywhere
    Autoguidance                 x̂_0 − that of a worse model with the same condition
    AdaptiveProjectedGuidance    the first, no longer than a bound, without most of what lies along x̂_0
    ClassifierGuidance           (σ²/α) ∇ ln p(y | x_t) of a classifier, from the model without the condition
"""

import math
from collections.abc import Callable
from typing import Any, Self

from tinydiff.backend import Array, along, changed, namespace, real_part
from tinydiff.checks import as_finite, as_interval, check_range, check_signal
from tinydiff.denoisers import Denoiser, Pull, Wrapper, check_denoiser, check_same_process
from tinydiff.predictions import eps_from_x0

ALWAYS = (-math.inf, math.inf)
"""The interval of all log-SNRs."""


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
        self, conditional: Denoiser, unconditional: Denoiser, w: float, interval: tuple[float, float] = ALWAYS
    ) -> None:
        check_denoiser(unconditional, "unconditional")
        super().__init__(conditional)
        check_same_process(conditional=conditional, unconditional=unconditional)
        self.unconditional, self.w, self.interval = unconditional, as_finite("w", w), as_interval("interval", interval)

    @property
    def conditional(self) -> Denoiser:
        """The denoiser conditioned on y."""
        return self.model

    def given(self, labels: Any) -> Self:
        """The same guidance towards labels: (B,), or one for all rows."""
        return changed(self, model=self.model.given(labels))

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch."""
        return changed(self, model=self.model.rows(rows), unconditional=self.unconditional.rows(rows))

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


class Autoguidance(ClassifierFreeGuidance):
    """Guidance of a model by a worse one: ε̂ = (1 + w) ε̂(x, t) − w ε̂_weak(x, t), both of the same condition, or of none.

    What the weak model lacks, the good one may lack a little: the step from weak to good is taken further. What both do
    well cancels. Of one Gaussian and the same, broadened, the mean stays and the spread shrinks.

    Parameters
    ----------
    model : Denoiser
        The denoiser to improve.
    weak : Denoiser
        A worse one of the same data: a smaller network, trained for less time. For an exact denoiser it is that of
        broadened data, Oracle(data.diffused(1, s), process).
    w : float
        The strength: 0 is the model, −1 the weak one. The paper's guidance weight is 1 + w.
    interval : (float, float)
        The log-SNRs between which it guides, as for ClassifierFreeGuidance.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, two models of different processes or dimensions, and an interval without length.

    References
    ----------
    Karras et al. 2024 (autoguidance).

    Examples
    --------
    >>> import tinydiff as td
    >>> data, process = td.toys.ring8(), td.VP()
    >>> guided = td.Autoguidance(td.Oracle(data, process), td.Oracle(data.diffused(1, 0.3), process), w=1.0)
    >>> bool(data.log_density(td.sample(guided, 500, rng=0)).mean() > -data.entropy()[0])
    True
    """

    def __init__(self, model: Denoiser, weak: Denoiser, w: float, interval: tuple[float, float] = ALWAYS) -> None:
        check_denoiser(model)
        check_denoiser(weak, "weak")
        check_same_process(model=model, weak=weak)
        super().__init__(model, weak, w, interval)

    def given(self, labels: Any) -> Self:
        """The same guidance of both models conditioned on labels: (B,), or one for all rows."""
        return changed(self, model=self.model.given(labels), unconditional=self.unconditional.given(labels))


class AdaptiveProjectedGuidance(ClassifierFreeGuidance):
    """Guidance with a push that is bounded and turned, x̂_0 = c + w (h − (1 − parallel) ⟨h, c⟩ c/‖c‖²).

    Here c = x̂_0(x, t | y), g = c − x̂_0(x, t), and h is g, shortened to the length `longest` where it is longer. What
    lies along c makes points more extreme, of pictures the contrast and the colours; what lies across it changes what
    they are. So the origin counts: with parallel = 0 nothing pushes away from it. In one dimension all is parallel, and
    that leaves no guidance at all.

    The paper adds a momentum, a sum over the steps before. A denoiser is a function of x and t and has none.

    Parameters
    ----------
    conditional, unconditional, w, interval
        As for ClassifierFreeGuidance, which is this with parallel = 1.
    parallel : float
        How much stays of what is parallel to x̂_0, from 0 to 1; the paper's η.
    longest : float
        The length, over 0, of the longest push before it is weighted; the paper's r.

    Raises
    ------
    TypeError, ValueError
        As for ClassifierFreeGuidance, and for other numbers.

    References
    ----------
    Sadat et al. 2024 (APG).

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> model = td.Oracle(td.toys.moons32(), td.VP())
    >>> guided = td.AdaptiveProjectedGuidance(model.given(1), model, w=4.0)
    >>> x = np.array([[0.3, -0.5]])
    >>> x0 = model.given(1).x0(x, 0.5)
    >>> bool(abs((guided.x0(x, 0.5) - x0) @ x0.T) < 1e-12)
    True
    """

    def __init__(
        self, conditional: Denoiser, unconditional: Denoiser, w: float, interval: tuple[float, float] = ALWAYS, *,
        parallel: float = 0.0, longest: float = math.inf,
    ) -> None:  # fmt: skip
        super().__init__(conditional, unconditional, w, interval)
        check_range("parallel", parallel, 0.0, 1.0)
        check_range("longest", longest, 0.0, open_low=True)
        self.parallel, self.longest = float(parallel), float(longest)

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, (B, D), from x̂_0, in whose space a push has a length and a direction."""
        now = self.process.at(t, like=x)
        return eps_from_x0(x, self.x0(x, now), now)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x."""
        now = self.process.at(t, like=x)
        x0, pull = self.linearize_x0(x, now)
        return eps_from_x0(x, x0, now), lambda u: eps_from_x0(u, pull(u), now)

    def _guided(self, w: Any, conditional: Array, unconditional: Array) -> Array:
        push = conditional - unconditional
        return conditional + w * self._turned(push / self._too_long(push), conditional / norm(conditional))

    def _turned(self, h: Array, e: Array) -> Array:
        """h − (1 − parallel) ⟨h, e⟩ e, a symmetric matrix times h."""
        return h - (1 - self.parallel) * dot(h, e) * e

    def _too_long(self, push: Array) -> Array:
        """By what each push is to be divided, (B, 1): ‖g‖/longest, or 1 where that is less."""
        ratio = norm(push) / self.longest
        return namespace(push).where(real_part(ratio) > 1, ratio, 1.0)

    def _pulled(self, w: Any, conditional: tuple[Array, Pull], unconditional: tuple[Array, Pull]) -> tuple[Array, Pull]:
        """With e = c/‖c‖, h is a function of g, and the turn one of h and e, where dc = ‖c‖ de across e."""
        (c, pull), (other, other_pull) = conditional, unconditional
        size, too_long = norm(c), self._too_long(c - other)
        e, h = c / size, (c - other) / too_long
        bounded = namespace(h).where(too_long > 1, h / norm(h), 0.0)

        def both(u: Array) -> Array:
            to_h = self._turned(w * u, e)
            to_g = (to_h - dot(to_h, bounded) * bounded) / too_long
            to_e = (1 - self.parallel) * w * (dot(h, e) * u + dot(u, e) * h)
            return pull(u + to_g - (to_e - dot(to_e, e) * e) / size) - other_pull(to_g)

        return self._guided(w, c, other), both


def dot(a: Array, b: Array) -> Array:
    """⟨a, b⟩ of each row, (B, 1)."""
    return namespace(a).sum(a * b, axis=1, keepdims=True)


def norm(a: Array) -> Array:
    """‖a‖ of each row, (B, 1), to divide by: 1 where a is 0."""
    square = dot(a, a)
    return namespace(a).where(real_part(square) > 0, square, 1.0) ** 0.5


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
