"""DDPM: ancestral sampling, the reverse chain of Gaussians [Ho et al. 2020, Alg. 2].

    x_s ~ q(x_s | x_t, x_0 = x̂_0) = N(c_t x_t + c_0 x̂_0, var I)

It needs α and σ at the times of the walk alone; on pairs t > s of any grid, strided or not, one formula serves all. A
step is a pure function of its noise z.

Shapes: B rows, D coordinates; x, x0_hat, z (B, D).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from tinydiff.backend import Array, normal_like
from tinydiff.checks import as_generator, as_variances_of_points, check_choice, check_columns
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Level, posterior, transition
from tinydiff.sampling import walk

Variance = Literal["beta_tilde", "beta"] | Array


def ddpm_step(x: Array, x0_hat: Array, now: Level, then: Level, z: Array, variance: Variance = "beta_tilde") -> Array:
    """One ancestral step, x_s = c_t x_t + c_0 x̂_0 + √var z: the posterior with x̂_0 for x_0.

    Parameters
    ----------
    x, x0_hat : (B, D)
        The point x_t and the model's x̂_0 there.
    now, then : Level
        The levels at t and at s < t. There is no noise in a step to s = 0.
    z : (B, D)
        Standard normal noise.
    variance : {"beta_tilde", "beta"} or (B, D)
        The posterior's variance, right where the data are a point, or the transition's, right where they are N(0, I)
        and the process keeps a unit variance, as VP does; or one for each coordinate, as it is.

    Returns
    -------
    (B, D)
        The point x_s.

    Raises
    ------
    ValueError
        For another variance, and levels of two processes or in the wrong order.

    References
    ----------
    Ho et al. 2020 (DDPM), eq. 7, §3.2 and Alg. 2.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> now, then = td.VP().at(0.5), td.VP().at(0.0)
    >>> x, z = np.ones((1, 2)), np.ones((1, 2))
    >>> td.ddpm_step(x, 0.3 * x, now, then, z)  # the step to data is the answer x̂_0
    array([[0.3, 0.3]])
    """
    check_columns(now)
    c_t, c_0, var = posterior(now, then)
    if not isinstance(variance, str):
        return c_t * x + c_0 * x0_hat + variance**0.5 * z
    check_choice("variance", variance, ("beta_tilde", "beta"))
    if variance == "beta":
        _, beta = transition(now, then)
        var = beta * now.shaped(np.greater(then.t, 0))  # no noise in a step to data
    return c_t * x + c_0 * x0_hat + var**0.5 * z


def ddpm(
    model: Denoiser, x: Array, ts: walk.Times, *, rng: Any, variance: Variance | Callable = "beta_tilde"
) -> walk.Walk:
    """Ancestral sampling along falling times; one evaluation for each step.

    Parameters
    ----------
    model : Denoiser
        The model to sample.
    x : (B, D)
        The points at the first of the times.
    ts : (N,) numbers or Levels
        One or more, falling, in (0, 1].
    rng : Generator or int
        The source of the noise, or a seed.
    variance : {"beta_tilde", "beta"} or callable
        The variance of a step; see `ddpm_step`. Or variance(x, now, then), (B, D), as a VarianceDenoiser has it.

    Returns
    -------
    iterator of (t, x)
        One for each of the times, the given x first.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], points of another shape, another variance, and an rng that is neither
        a generator nor a seed.

    References
    ----------
    Ho et al. 2020 (DDPM), Alg. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=td.ddpm, rng=0).shape
    (3, 2)
    """
    rng, levels = as_generator(rng), walk.levels(model, x, ts)
    yield levels[0].t, x
    for now, then in pairwise(levels):
        var = as_variances_of_points(variance(x, now, then), x) if callable(variance) else variance
        x = ddpm_step(x, model.x0(x, now), now, then, normal_like(rng, x), var)
        yield then.t, x
