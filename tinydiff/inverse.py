"""Inverse problems: sampling what is consistent with a measurement, with a model that was never told of it.

A measurement y = A x_0 + τ n moves the denoiser by Bayes' rule. Were x_0 given x_t normal, with the mean x̂_0 and the
covariance Σ, the mean given y as well would be Kalman's

    x̂_0 + Cov Aᵀ (A Σ Aᵀ + τ² I)⁻¹ (y − A x̂_0),    Cov = (σ²/α) ∂x̂_0/∂x, which for exact x̂_0 is Cov[x_0 | x_t]

and methods differ in what they take for Σ. It is exact for one Gaussian with Σ = Cov, and an approximation where x_0
given x_t is not normal: between the modes of a mixture, at the noise where they part.

    covariance   Σ                        assumes of x_0 given x_t
    "dps"        0                        that it is the point x̂_0 [Chung et al. 2023, eq. 16]
    "pigdm"      σ²/(α² + σ²) I           what N(0, I) data have [Song et al. 2023, ΠGDM, eqs. 7–8]
    "tmpd"       row sums of A Cov Aᵀ     that errors of what is measured are independent [Boys et al. 2023, DTMPD]
    "mmps"       Cov                      that it is normal [Rozet et al. 2024; Boys et al. 2023, in full]

Row sums cost one pull and can be negative, where what is measured goes against each other: they count as 0 there.

Inpainting knows some of the coordinates without noise. At every step these are replaced by a fresh draw of their noisy
selves [Song et al. 2021, App. I.2]. That is not yet sampling from the conditional law: the unknown ones were denoised
beside neighbours that have since been replaced. Going back up and down again, `resamples` times a step, brings them
closer to agreement [Lugmayr et al. 2022, RePaint]: on a correlated Gaussian, 50 steps, the KL from the exact
conditional falls from .23 nats to .01 at ten.
"""

from collections.abc import Callable, Generator, Iterable
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import numpy as np

from tinydiff.backend import Array, cast, changed, namespace, normal_like, of_rows
from tinydiff.checks import (
    as_count,
    as_generator,
    as_mask,
    as_measurement,
    check_choice,
    check_noise,
    check_range,
    check_rows,
    check_signal,
)
from tinydiff.denoisers import Denoiser, Wrapper
from tinydiff.processes import Level, transition
from tinydiff.sampling import walk
from tinydiff.sampling.ddpm import ddpm_step

Covariance = Literal["mmps", "tmpd", "pigdm", "dps"]


def inpaint(
    model: Denoiser, x: Array, ts: Iterable[Any], *, known: Array, mask: Array, resamples: int = 1, rng: Any
) -> Generator[tuple[float, Array], None, Denoiser]:
    """Ancestral sampling along falling times that keeps some coordinates; `resamples` evaluations for each step.

    In each step from t to s the unknown coordinates take `ddpm_step` and the known ones a draw of q(x_s | x_0 = known);
    with resamples > 1 all then go back to t by q(x_t | x_s), and the step is taken anew. As a sampler of `sample` it
    ends on data whose known coordinates are exactly the known ones: it returns the model that knows them, which gives
    the answer.

    Parameters
    ----------
    model : Denoiser
        The model, of all coordinates.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, in (0, 1].
    known : (B, D)
        The known values, finite where the mask is true; the others do not matter.
    mask : (D,) or (B, D), boolean
        True where a coordinate is known.
    resamples : int
        How often each step is taken.
    rng : Generator or int
        The source of the noise, or a seed.

    Returns
    -------
    generator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For shapes that do not fit, a mask that is not boolean, known values that are not finite, resamples under 1, and
        as every sampler does.

    References
    ----------
    Song et al. 2021 (score SDE), App. I.2; Lugmayr et al. 2022 (RePaint), Alg. 1.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np, tinydiff as td
    >>> model = td.Oracle(td.toys.ring8(), td.VP())
    >>> sampler = partial(td.inpaint, known=np.full((3, 2), 0.5), mask=np.array([True, False]))
    >>> td.sample(model, 3, sampler=sampler, rng=0)[:, 0]
    array([0.5, 0.5, 0.5])
    """
    as_count("resamples", resamples)
    rng, levels = as_generator(rng), walk.levels(model, x, ts)
    model = KnownCoordinates(model, known, mask, x)
    yield levels[0].t, x
    for now, then in pairwise(levels):
        for again in reversed(range(resamples)):
            free = ddpm_step(x, model.model.x0(x, now), now, then, normal_like(rng, x))
            y = model.keep(then.perturb(model.known, normal_like(rng, x)), free)
            if again:
                a, var = transition(now, then)
                x = a * y + var**0.5 * normal_like(rng, y)
        x = y
        yield then.t, x
    return model


class MeasurementGuidance(Wrapper):
    """The denoiser of what agrees with a measurement y = A x_0 + τ n: x̂_0 + Cov Aᵀ (A Σ Aᵀ + τ² I)⁻¹ (y − A x̂_0).

    Any sampler takes it. With the exact denoiser of one Gaussian and "mmps", solved in M steps, it is the posterior's.
    An evaluation of x̂_0 is one of the model with its pull; of ε̂ there is one more. It cannot be differentiated.

    Parameters
    ----------
    model : Denoiser
        A denoiser of all data, with a pull.
    A : (M, D)
        What is measured: some rows of the identity for inpainting, averages for a smaller or blurred picture.
    y : (M,) or (B, M)
        The measurement, or one for each row.
    tau : float
        The standard deviation of its noise, over 0.
    covariance : {"mmps", "tmpd", "pigdm", "dps"}
        What is taken for Σ, as the table of the module says.
    iterations : int, optional
        In how many steps of conjugate gradients, each a pull, "mmps" solves for the M numbers. M steps are exact, and
        are taken unless M is over 16; then 3 are. A few steps solve along the largest directions of Cov. Along the
        small ones a network's Jacobian is no covariance, and ten steps make noise of digits.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, shapes that do not fit, numbers that are not finite, another covariance; when asked,
        for a model without a pull, where α < 1e-8, at t = 0, and for another number of rows than y has.

    References
    ----------
    Chung et al. 2023 (DPS); Song et al. 2023 (ΠGDM); Boys et al. 2023 (TMPD); Rozet et al. 2024 (MMPS).

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> model = td.Oracle(td.toys.spiral60(), td.VP())
    >>> guided = td.MeasurementGuidance(model, np.array([[1.0, 0.0]]), np.array([-0.9]), 0.1)
    >>> td.sample(guided, 500, rng=0)[:, 0].mean().round(1)
    np.float64(-0.9)
    """

    def __init__(
        self,
        model: Denoiser,
        A: Array,
        y: Array,
        tau: float,
        covariance: Covariance = "mmps",
        iterations: int | None = None,
    ) -> None:
        super().__init__(model)
        self.A, self.y = as_measurement(A, y, tau, model.dim)
        self.squares, self.axes = np.linalg.eigh(self.A @ self.A.T)
        check_range("tau", tau, 0.0, open_low=True)
        check_choice("covariance", covariance, get_args(Covariance))
        self.tau, self.covariance, few = float(tau), covariance, len(self.A) <= 16
        self.iterations = as_count("iterations", (len(self.A) if few else 3) if iterations is None else iterations)

    def given(self, labels: Array) -> Self:
        """The same measurement of the model conditioned on labels."""
        return changed(self, model=self.model.given(labels))

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch."""
        return changed(self, model=self.model.rows(rows), y=of_rows(self.y, rows))

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, (B, D), which moves by −α/σ of what x̂_0 moves by."""
        now = self.process.at(t, like=x)
        _, move = self._moved(x, now)
        return self.model(x, now) - now.alpha / now.sigma * move

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0, (B, D)."""
        x0, move = self._moved(x, self.process.at(t, like=x))
        return x0 + move

    def _moved(self, x: Array, now: Level) -> tuple[Array, Array]:
        """The model's x̂_0 and the move Cov Aᵀ (A Σ Aᵀ + τ² I)⁻¹ (y − A x̂_0), both (B, D)."""
        check_rows("y", len(self.y), x.shape[0])
        check_signal(now, "begin at a smaller time")
        check_noise(now, "take a later time")
        xp, A, y, var = namespace(x), cast(self.A, x), cast(self.y, x), self.tau**2
        x0, pull = self.model.linearize_x0(x, now)

        def cov(v: Array) -> Array:
            """Cov Aᵀ v, (B, D)."""
            return now.sigma**2 / now.alpha * pull(v @ A)

        gap = y - x0 @ A.T
        if self.covariance == "dps":
            v = gap / var
        elif self.covariance == "pigdm":
            d, P = cast(self.squares, x), cast(self.axes, x)
            v = gap @ P / (now.sigma**2 / (now.alpha**2 + now.sigma**2) * d + var) @ P.T
        elif self.covariance == "tmpd":
            v = gap / (xp.maximum(cov(xp.ones_like(gap)) @ A.T, 0.0) + var)
        else:
            v = conjugate_gradients(lambda v: cov(v) @ A.T + var * v, gap, min(len(self.A), self.iterations))
        return x0, cov(v)


def conjugate_gradients(S: Callable[[Array], Array], b: Array, steps: int) -> Array:
    """S⁻¹ b for each row of b (B, M), S symmetric and positive, in M steps; in fewer along its largest directions.

    A network's Jacobian is not quite symmetric: a row stops where S is not positive along its direction.
    """
    xp, v, r, p = namespace(b), 0.0 * b, b, b
    square = xp.sum(r * r, axis=1, keepdims=True)
    going = square > 0
    for _ in range(steps):
        S_p = S(p)
        curvature = xp.sum(p * S_p, axis=1, keepdims=True)
        going = going & (curvature > 0) & (square > 0)
        step = xp.where(going, square, 0.0) / xp.where(going, curvature, 1.0)
        v, r, before = v + step * p, r - step * S_p, square
        square = xp.sum(r * r, axis=1, keepdims=True)
        p = xp.where(going, r + square / xp.where(going, before, 1.0) * p, 0.0)
    return v


class KnownCoordinates(Wrapper):
    """The same model, but x̂_0 is known where the mask is true."""

    def __init__(self, model: Denoiser, known: Array, mask: Array, x: Array) -> None:
        super().__init__(model)
        self.mask, self.known = cast(as_mask(mask, known, x), x) > 0, cast(known, x)

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch."""
        return changed(self, model=self.model.rows(rows), mask=self.mask[rows, :], known=self.known[rows, :])

    def keep(self, known: Array, free: Array) -> Array:
        """One where the mask is true, and the other elsewhere."""
        return namespace(free).where(self.mask, known, free)

    def __call__(self, x: Array, t: Any) -> Array:
        """The model's ε̂, (B, D)."""
        return self.model(x, t)

    def x0(self, x: Array, t: Any) -> Array:
        """What is known, and the model's x̂_0 elsewhere, (B, D)."""
        return self.keep(self.known, self.model.x0(x, t))
