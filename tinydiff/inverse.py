"""Inverse problems: sampling what is consistent with a measurement, with a model that was never told of it.

Inpainting knows some of the coordinates. At every step these are replaced by a fresh draw of their noisy selves [Song
et al. 2021, App. I.2]. That is not yet sampling from the conditional law: the unknown ones were denoised beside
neighbours that have since been replaced. Going back up and down again, `resamples` times a step, brings them closer to
agreement [Lugmayr et al. 2022, RePaint]: on a correlated Gaussian, 50 steps, the KL from the exact conditional falls
from .23 nats to .01 at ten.
"""

from collections.abc import Generator, Iterable
from itertools import pairwise
from typing import Any, Self

from tinydiff.backend import Array, cast, changed, namespace, normal_like
from tinydiff.checks import as_count, as_generator, as_mask
from tinydiff.denoisers import Denoiser, Wrapper
from tinydiff.processes import transition
from tinydiff.sampling import walk
from tinydiff.sampling.ddpm import ddpm_step


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
