"""Few-step maps: a network learns to do in one step what takes many [Salimans & Ho 2022; Song et al. 2023].

Each is an objective for ``train(..., objective=...)``. It makes another target of the noisy point, a pair (x̃_0, ε̃) with
α x̃_0 + σ ε̃ = x_t, and takes the loss of `loss_and_grad` for it. With t the time of a row, s < t the next of a grid,

    progressive    α_s x̃_0 + σ_s ε̃ = x_s, with x_s where two DDIM steps of the teacher lead from x_t
    consistency    x̃_0 = f_θ(x_s, s), with x_s where one DDIM step of the teacher leads, or the same ε without one

So a student of progressive distillation takes one step for two of its teacher's, and is the teacher of the next; what
is consistent answers with the end of the flow at once, from any time. At s = 0 both learn the last answer itself.
Where there is only noise the ε-loss tells nothing of x_0: take `weight="x0"` for the first, and for the second
``lambda now: now.snr**-0.5``, since answers are to be right near the data first.

Shapes: B rows, D coordinates; x0, eps (B, D); ts (N,).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff.backend import Array
from tinydiff.checks import as_falling
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.network import Network
from tinydiff.learned.objective import Weight, indices, loss_and_grad, simple_weight
from tinydiff.predictions import eps_from_x0
from tinydiff.processes import Level
from tinydiff.sampling.ddim import ddim_step


def progressive(teacher: Denoiser, ts: Any) -> Callable:
    """The objective of progressive distillation: one DDIM step for two of a teacher's.

    Train on ``td.grids.times_of(ts[::2])`` with `weight="x0"` and `targets="single"`, and sample by DDIM on these
    times. The student begins best with its teacher's parameters.

    Parameters
    ----------
    teacher : Denoiser
        Whose steps are halved, learned or exact.
    ts : (2N,)
        The falling times at which the teacher is asked; the student is asked at the first, the third and so on.

    Returns
    -------
    callable
        An objective for `train`.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, and for times that do not fall or are odd in number; from the objective, for a student
        of another process, and times of a batch that are not among the student's.

    References
    ----------
    Salimans & Ho 2022 (progressive distillation), Alg. 2.

    Examples
    --------
    >>> import tinydiff as td
    >>> teacher = td.Oracle(td.toys.ring8(), td.VP())
    >>> ts = td.grids.logistic(td.VP(), 7)  # eight times, for a student of four
    >>> options = {"times": td.grids.times_of(ts[::2]), "objective": td.few_steps.progressive(teacher, ts)}
    >>> student = td.fit(td.toys.ring8(), rng=0, steps=5, progress=False, targets="single", **options)
    >>> td.sample(student, 3, sampler=td.ddim, grid=lambda process, n: ts[::2], steps=4, rng=0).shape
    (3, 2)
    """
    check_denoiser(teacher)
    ts = as_falling(ts)
    if len(ts) % 2:
        raise ValueError(f"ts must be an even number of times, two for each of the student's; got {len(ts)}.")
    between, after = ts[1::2], np.append(ts[2::2], 0.0)

    def objective(
        network: Network, theta: Array, now: Level, x0: Array, eps: Array, labels: Array | None = None,
        weight: Weight = simple_weight,
    ) -> tuple[float, Array]:  # fmt: skip
        x, model = now.for_each(x0).perturb(x0, eps), teacher if labels is None else teacher.given(labels)
        i, process = indices(ts[::2], now), now.process
        start, middle, end = (process.at(times, like=x) for times in (now.host.t, between[i], after[i]))
        halfway = ddim_step(x, model.x0(x, start), start, middle, 0.0)
        x_s = ddim_step(halfway, model.x0(halfway, middle), middle, end, 0.0)
        ratio = end.sigma / start.sigma
        x0_aimed = (x_s - ratio * x) / (end.alpha - ratio * start.alpha)
        return loss_and_grad(network, theta, now, x0_aimed, eps_from_x0(x, x0_aimed, start), labels, weight)

    return objective


def consistency(ts: Any, teacher: Denoiser | None = None) -> Callable:
    """The objective of consistency: the answer at t is to be the answer at the next time s, and x_0 at the end.

    Parameters
    ----------
    ts : (N,)
        The falling times of the grid; train on ``td.grids.times_of(ts)``.
    teacher : Denoiser, optional
        Whose DDIM step leads from t to s: distillation. Without one x_0 and ε lead there: training from nothing.

    Returns
    -------
    callable
        An objective for `train`.

    Raises
    ------
    TypeError, ValueError
        For what is no denoiser, and times that do not fall; from the objective, for times that are not among them.

    References
    ----------
    Song et al. 2023 (consistency models), Alg. 2 and 3, with θ⁻ = θ as in Song & Dhariwal 2024.

    Examples
    --------
    >>> import tinydiff as td
    >>> ts = td.grids.logistic(td.VP(), 15)
    >>> options = {"times": td.grids.times_of(ts), "objective": td.few_steps.consistency(ts), "targets": "single"}
    >>> model = td.fit(td.toys.ring8(), rng=0, steps=5, progress=False, **options)
    >>> td.sample(model, 3, steps=1, rng=0).shape
    (3, 2)
    """
    if teacher is not None:
        check_denoiser(teacher)
    ts = as_falling(ts)
    after = np.append(ts[1:], 0.0)

    def objective(
        network: Network, theta: Array, now: Level, x0: Array, eps: Array, labels: Array | None = None,
        weight: Weight = simple_weight,
    ) -> tuple[float, Array]:  # fmt: skip
        x, process = now.for_each(x0).perturb(x0, eps), now.process
        start, end = process.at(now.host.t, like=x), process.at(after[indices(ts, now)], like=x)
        if teacher is None:
            x_s = end.perturb(x0, eps)
        else:
            guide = teacher if labels is None else teacher.given(labels)
            x_s = ddim_step(x, guide.x0(x, start), start, end, 0.0)
        x0_aimed = NetworkDenoiser(network, theta, process, labels).x0(x_s, end)
        return loss_and_grad(network, theta, now, x0_aimed, eps_from_x0(x, x0_aimed, start), labels, weight)

    return objective
