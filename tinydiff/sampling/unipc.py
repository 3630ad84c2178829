"""UniPC: a predictor, and a corrector that costs no evaluation [Zhao et al. 2023, UniPC].

A step from t to s in data prediction, solved exactly in its linear part as by `adams_bashforth`:

    predict   x_s from the polynomial through the last p answers x̂_0
    ask       x̂_0 at x_s, which the next step needs in any case
    correct   x_s from the polynomial through that answer and the last p

The next step goes on from the corrected point. With exact integrals of the polynomials, as here and in the paper's
UniPC_v, this is the method of Adams, Bashforth and Moulton, which predicts and corrects: order p + 1. The paper's B(h)
changes nothing in that but where p = 2 and the predictor, or p = 1 and the corrector, take the middle of a step.

Pitfalls: the points of the walk are those predicted, since to correct one takes an evaluation there; the last is never
corrected. As with `adams_bashforth`, answers over 4 units of log-SNR before the end of a step are left out.
"""

from itertools import pairwise
from typing import Any

from tinydiff.backend import Array
from tinydiff.checks import as_count, check_choice
from tinydiff.denoisers import Denoiser
from tinydiff.sampling import walk
from tinydiff.sampling.adams_bashforth import Answer, polynomial_step


def unipc(model: Denoiser, x: Array, ts: walk.Times, *, rng: Any = None, order: int = 3) -> walk.Walk:
    """UniPC along falling times; one evaluation for each step, and no noise.

    Parameters
    ----------
    model : Denoiser
        The model to sample.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, in (0, 1].
    rng : optional
        Taken as by every sampler, and not used.
    order : {1, 2, 3}
        The number p of evaluations that a prediction looks back to; a correction has one more.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], points of another shape, and another order.

    References
    ----------
    Zhao et al. 2023 (UniPC), Alg. 1 and 2, App. C; Hairer, Nørsett & Wanner 1993, III.1.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.unipc, steps=20, rng=0).shape
    (3, 2)
    """
    check_choice("order", as_count("order", order), (1, 2, 3))
    levels = walk.levels(model, x, ts)
    start, seen, before = x, list[Answer](), None
    yield levels[0].t, x
    for now, then in pairwise(levels):
        answer = now.log_snr, model.x0(x, now)
        if before is not None:
            x = polynomial_step(start, [answer, *seen], before, now)
        start, seen, before = x, [answer, *seen[: order - 1]], now
        x = polynomial_step(start, seen, now, then)
        yield then.t, x
