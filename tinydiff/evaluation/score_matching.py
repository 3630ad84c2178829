"""Score matching: four objectives for the score ŝ = −ε̂/σ of a model at one level, which have the same gradient.

Each function gives a value for each point; with s = ∇ ln q_t and I = E‖s‖², the Fisher information, the means are

    form         a value                      its mean                    needs
    explicit     ½ ‖ŝ − s‖²                   J                           the truth s
    implicit     ½ ‖ŝ‖² + tr ∂ŝ/∂x            J − ½ I                     D pulls
    sliced       ½ ‖ŝ‖² + uᵀ(∂ŝ/∂x)u          J − ½ I                     one pull for each u, with E uuᵀ = I
      as first   ½ (uᵀŝ)² + uᵀ(∂ŝ/∂x)u        J − ½ I                     the same
    denoising    ½ ‖ŝ + ε/σ‖²                 J + ½ (D/σ² − I)            the point before the noise

for any ŝ that grows slowly enough for integration by parts, E[ŝᵀs] = −E tr ∂ŝ/∂x, and since s(x) is the mean of −ε/σ
given x. `oracle.floor(t)` is 1 − σ² I/D, so the least mean of denoising is its ½ D/σ² times that. Where the four differ
is in what they cost, and in how much their values, and so their gradients, scatter.

Shapes: B points, D coordinates, P probes; x, x0, noise (B, D); probes (P, 1|B, D); t a number, (B,) or a level.
"""

from typing import Any

import numpy as np

from tinydiff.backend import Array, cast, namespace, normal_like, row_sums, squared_norm
from tinydiff.checks import as_generator, as_probes, check_noise, check_points, check_shape
from tinydiff.denoisers import Denoiser, Pull, check_denoiser, check_same_process, score
from tinydiff.evaluation.likelihood import Distribution, make_probes, traces
from tinydiff.exact.oracle import Oracle


def explicit(model: Denoiser, oracle: Oracle, x: Array, t: Any) -> Array:
    """½ ‖ŝ − ∇ ln q_t‖² at points x of q_t: what all the forms mean, for which one must know the truth.

    Parameters
    ----------
    model, oracle : Denoiser, Oracle
        The model to judge, and the exact denoiser of its data and process.
    x : (B, D)
        Noisy points, draws of q_t.
    t : float, (B,) or Level
        Their time, over 0.

    Returns
    -------
    (B,)
        A value for each point.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, two that do not fit, points of another shape, and t = 0.

    References
    ----------
    Hyvärinen 2005, eq. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> ring, wrong = (td.Oracle(data, td.VP()) for data in (td.toys.ring8(), td.toys.moons32()))
    >>> x = ring.marginal(0.2).sample(0, 4000)
    >>> float(td.score_matching.explicit(wrong, ring, x, 0.2).mean().round(1))
    0.6
    """
    check_denoiser(model)
    check_denoiser(oracle, "oracle")
    check_same_process(model=model, oracle=oracle)
    check_points(x, model.dim, "x")
    return 0.5 * squared_norm(score(model, x, t) - score(oracle, x, t))


def implicit(model: Denoiser, x: Array, t: Any) -> Array:
    """½ ‖ŝ‖² + tr ∂ŝ/∂x at points x of q_t, by D pulls: no truth is needed.

    Parameters
    ----------
    model : Denoiser
        The model to judge, with a `linearize`.
    x : (B, D)
        Noisy points, draws of q_t.
    t : float, (B,) or Level
        Their time, over 0.

    Returns
    -------
    (B,)
        A value for each point.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser or has no pull, points of another shape, and t = 0.

    References
    ----------
    Hyvärinen 2005, Theorem 1.

    Examples
    --------
    >>> import tinydiff as td
    >>> ring, wrong = (td.Oracle(data, td.VP()) for data in (td.toys.ring8(), td.toys.moons32()))
    >>> x = ring.marginal(0.2).sample(0, 4000)
    >>> least, other = (td.score_matching.implicit(model, x, 0.2).mean() for model in (ring, wrong))
    >>> float((other - least).round(1))
    0.6
    """
    s, pull = _linearized(model, x, t)
    return 0.5 * squared_norm(s) + row_sums(traces(pull, x, as_probes(np.eye(model.dim), x)))


def sliced(
    model: Denoiser, x: Array, t: Any, rng: Any = None, *, probes: Any = 1, distribution: Distribution = "rademacher",
    reduced: bool = True,
) -> Array:  # fmt: skip
    """½ ‖ŝ‖² + uᵀ(∂ŝ/∂x)u at points x of q_t, the mean over random directions u: a pull for each.

    Parameters
    ----------
    model : Denoiser
        The model to judge, with a `linearize`.
    x : (B, D)
        Noisy points, draws of q_t.
    t : float, (B,) or Level
        Their time, over 0.
    rng : Generator or int, optional
        The source of the directions, or a seed; needed where probes is a number.
    probes : int or (P, D) or (P, B, D)
        How many directions to draw for each point, or the directions u.
    distribution : {"rademacher", "gaussian"}
        Of the directions that are drawn.
    reduced : bool
        Whether ‖ŝ‖² is taken for its estimate (uᵀŝ)²: the authors' SSM-VR, or else their SSM.

    Returns
    -------
    (B,)
        A value for each point.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser or has no pull, points or probes of another shape, another distribution, t = 0, and an
        rng that is neither a generator nor a seed where probes are drawn.

    References
    ----------
    Song et al. 2019 (sliced score matching), eqs. 7 and 8; Hutchinson 1989.

    Examples
    --------
    >>> import tinydiff as td
    >>> ring = td.Oracle(td.toys.ring8(), td.VP())
    >>> x = ring.marginal(0.3).sample(0, 1000)
    >>> td.score_matching.sliced(ring, x, 0.3, rng=1).shape
    (1000,)
    """
    s, pull = _linearized(model, x, t)
    u = make_probes(probes, x, distribution, rng)
    square = squared_norm(s)[:, None] if reduced else (namespace(x).sum(u * s, axis=2) ** 2).T  # (B, 1|P)
    return row_sums(0.5 * square + traces(pull, x, u)) / u.shape[0]


def denoising(model: Denoiser, x0: Array, t: Any, rng: Any = None, *, noise: Array | None = None) -> Array:
    """½ ‖ŝ + ε/σ‖² at x = α x_0 + σ ε: the score of the jump from x_0 is known. It is ½ ‖ε − ε̂‖²/σ².

    Parameters
    ----------
    model : Denoiser
        The model to judge.
    x0 : (B, D)
        Data.
    t : float, (B,) or Level
        The time of the noisy points, over 0.
    rng : Generator or int, optional
        The source of the noise, or a seed; needed unless noise is given.
    noise : (B, D), optional
        The ε, where it is not to be drawn.

    Returns
    -------
    (B,)
        A value for each point.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, points or noise of another shape, t = 0, and an rng that is neither a generator nor a
        seed where noise is drawn.

    References
    ----------
    Vincent 2011, eq. 11.

    Examples
    --------
    >>> import tinydiff as td
    >>> ring, t = td.Oracle(td.toys.ring8(), td.VP()), 0.3
    >>> found = td.score_matching.denoising(ring, ring.data.sample(0, 10_000), t, rng=1).mean()
    >>> bool(abs(found * ring.process.at(t).sigma ** 2 - ring.floor(t)) < 0.02)  # D/2 = 1
    True
    """
    check_denoiser(model)
    check_points(x0, model.dim, "x0")
    now = model.process.at(t, like=x0)
    check_noise(now, "take a later time")
    check_shape("noise", x0 if noise is None else noise, tuple(x0.shape))
    eps = normal_like(as_generator(rng), x0) if noise is None else cast(noise, x0)
    return 0.5 * squared_norm(score(model, now.perturb(x0, eps), now) + eps / now.sigma)


def _linearized(model: Denoiser, x: Array, t: Any) -> tuple[Array, Pull]:
    """(ŝ, pull) with pull(u) = uᵀ ∂ŝ/∂x, where ŝ = −ε̂/σ."""
    check_denoiser(model)
    check_points(x, model.dim, "x")
    now = model.process.at(t, like=x)
    check_noise(now, "take a later time")
    eps, pull = model.linearize(x, now)
    return -eps / now.sigma, lambda u: -pull(u) / now.sigma
