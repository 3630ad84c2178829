"""Average velocities: learn how far a flow goes from one time to another, and be there in one step [Geng et al. 2025].

    u(x_t, r, t) = 1/(t − r) ∫_r^t v(x_τ, τ) dτ,    x_r = x_t − (t − r) u(x_t, r, t)

The derivative of (t − r) u, the integral, is the velocity v at the end that moves, by r with a minus:

    by t    u = v(x_t, t) − (t − r) (v·∂_x u + ∂_t u)    along the flow: MeanFlow, or Eulerian
    by r    u = v(x_r, r) + (t − r) ∂_r u                with x_t as it is: Lagrangian [Boffi et al. 2025]

Neither has an integral. u_θ is regressed on the right side, with u_θ in it and held fixed. Where r = t both are flow
matching, and u(x, t, t) is its velocity. The first is linear in v: each pair's own v = x_1 − x_0 may stand for the
flow's, which is its mean. The second asks for a velocity as a function: u_θ(x, r, r), or a teacher's.

The derivatives go along one line of (x, r, t), and one complex step gives them to rounding: no layer needs
code of its own.

Shapes: B pairs, D coordinates; x0, x1 (B, D), r and t (B,).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, along, cast, namespace
from tinydiff.learned.flow_matching import Pairs, descend, dim_of_pairs
from tinydiff.learned.network import Network, TimeMLP
from tinydiff.processes.base import strata

FLOOR = 0.03
"""The squared error, for each coordinate, below which the loss of a distillation is a square's."""

By = Literal["t", "r"]


def mean_flow(
    pairs: Pairs, *, by: By = "r", teacher: Callable[[Array, Any], Array] | None = None, network: Network | None = None,
    steps: int = 1000, batch: int = 512, lr: float | None = None, ema: float = 0.99, rng: Any, progress: bool = True,
) -> "MeanVelocity":  # fmt: skip
    """Learn the average velocity of the flow from the one law of the pairs to the other.

    Half of each batch has r = t, which is flow matching; the others are uniform on r < t. From pairs, by="t" may
    diverge at the default learning rate: then halve it.

    Parameters
    ----------
    pairs : callable
        (rng, n) ↦ (x_0, x_1), such as `couplings.independent(data, source)` gives.
    by : {"r", "t"}
        By which of its ends the average is differentiated: "t" is MeanFlow.
    teacher : callable, optional
        The flow's velocity (x, t) ↦ (B, D), such as `flow_matching` learns: distillation.
    network : Network, optional
        A network of D + 1 coordinates, x and the step t − r, and D outputs; such a TimeMLP unless given.
    steps, batch : int
        The number of steps, and of pairs in each.
    lr : float, optional
        The peak of Muon's learning rate, as in `train`.
    ema : float
        The decay of the average of the parameters, which is what is returned.
    rng : Generator or int
        The source of the first parameters and of all draws, or a seed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    MeanVelocity
        The average velocity, with its steps.

    Raises
    ------
    TypeError, ValueError
        As `flow_matching` does; for a teacher that is no function, and a network of other inputs or outputs.
    FloatingPointError
        At a step whose loss or gradient is not finite.

    References
    ----------
    Geng et al. 2025 (MeanFlow), Alg. 1; Boffi et al. 2025 (flow maps), the Lagrangian one.

    Examples
    --------
    >>> import tinydiff as td
    >>> pairs = td.couplings.independent(td.toys.spiral60(), td.toys.ring8())
    >>> u = td.mean_flow(pairs, steps=5, rng=0, progress=False)
    >>> x1 = td.toys.ring8().sample(1, 3)
    >>> td.last(u.walk(x1, [1.0, 0.0]))[1].shape  # at once
    (3, 2)
    """
    if teacher is not None and not callable(teacher):
        raise TypeError(f"teacher must be a function (x, t) ↦ velocity, such as a Velocity; got {teacher!r}.")
    checks.check_choice("by", by, get_args(By))
    dim = dim_of_pairs(pairs)
    network = TimeMLP(dim + 1, outputs=dim) if network is None else network
    checks.check_average(network)

    def loss(theta: Array, x0: Array, x1: Array, rng: np.random.Generator) -> tuple[float, Array]:
        return mean_flow_loss(network, theta, x0, x1, *intervals(rng, batch), by, teacher)

    return MeanVelocity(network, descend(loss, network, pairs, "mean flow", steps, batch, lr, ema, rng, progress))


def intervals(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n times r ≤ t: the first half r = t, uniform; of the others the lesser and the greater of two uniform ones."""
    s, t = rng.permutation(strata(rng, n)), rng.random(n)
    t[: n // 2] = s[: n // 2]
    return np.minimum(s, t), np.maximum(s, t)


def mean_flow_loss(
    network: Network, theta: Array, x0: Array, x1: Array, r: np.ndarray, t: np.ndarray, by: By = "r",
    teacher: Callable[[Array, Any], Array] | None = None,
) -> tuple[float, Array]:  # fmt: skip
    """L on one batch of pairs and of times, those r = t first, and ∂L/∂θ (size,) with the target fixed.

    Without a teacher L = E ‖u − target‖²/D. With one L = E ln(1 + ‖u − target‖²/(D FLOOR)), where small errors count as
    well as large ones: its gradient is the square's, divided by the square and FLOOR, as the paper's adaptive weight
    has it. A pair's own velocity is noisy, and only the plain square has its mean as the best answer.
    """
    if x0.shape != x1.shape or not x0.shape[0] == len(r) == len(t):
        shapes = f"{x0.shape}, {x1.shape}, {np.shape(r)} and {np.shape(t)}"
        raise ValueError(f"pairs are of one shape, with r and t for each; got {shapes}.")
    xp, k = namespace(x0), int(np.sum(r == t))
    start, now = cast(r[:, None], x0), cast(t[:, None], x0)

    def velocity(x: Array, t: np.ndarray) -> Array:
        at = cast(t[:, None], x)
        return network(theta, *inputs(x, at, at))[0] if teacher is None else cast(teacher(x, t), x)

    def complex_safe(x: Array, r: Array, t: Array) -> Array:
        seen, lam = inputs(x, r, t)
        return network(theta + 0j, seen + 0j, lam + 0j)[0]  # not all libraries multiply real by complex matrices

    x = (1 - now) * x0 + now * x1
    v = x1 - x0 if teacher is None else velocity(x, t)
    u, pullback = network(theta, *inputs(x, start, now))
    target = v
    if k < len(t):  # of the rows from k, where r < t
        x, step, start, now = x[k:, :], (now - start)[k:, :], start[k:, :], now[k:, :]
        moving = v[k:, :] if by == "t" else velocity(x - step * u[k:, :], r[k:])
        target = xp.concat([v[:k, :], TARGETS[by](complex_safe, moving, x, start, now)])
    error = u - target
    square, grad = xp.mean(error * error, axis=1, keepdims=True), xp.empty_like(theta)
    weight = 1.0 if teacher is None else 1 / (square + FLOOR)
    pullback(2 * weight * error / (x0.shape[0] * x0.shape[1]), grad, dx=False)
    return float(xp.mean(square if teacher is None else xp.log(1 + square / FLOOR))), grad


def target_by_t(u: Callable, v: Array, x: Array, r: Array, t: Array) -> Array:
    """v − (t − r) (v·∂_x u + ∂_t u), with v at t: the derivative of u(x_τ, r, τ) on the line x_τ = x + (τ − t) v."""
    return v - (t - r) * along(lambda tau: u(x + (tau - t) * v, r, tau), t, 0 * t + 1)


def target_by_r(u: Callable, v: Array, x: Array, r: Array, t: Array) -> Array:
    """v + (t − r) ∂_r u, with v where the step from x ends, at r."""
    return v + (t - r) * along(lambda rho: u(x, rho, t), r, 0 * r + 1)


TARGETS: dict[str, Callable] = {"t": target_by_t, "r": target_by_r}


def inputs(x: Array, r: Array, t: Array) -> tuple[Array, Array]:
    """What a network sees: x beside the step t − r, and a clock of t in the place of λ.

    The clock −2 ln(t + 1/100) − 4 is steep near the data, as the log-SNR is, but its slope is finite at both ends.
    """
    xp = namespace(t)
    return xp.concat([x, t - r], axis=1), -2 * xp.log(t[:, 0] + 0.01) - 4


@dataclass(frozen=True)
class MeanVelocity:
    """A learned average velocity u(x, r, t) of a flow between two times r ≤ t, with data at 0 and a source at 1.

    A step of any length is one evaluation, x_r = x_t − (t − r) u(x_t, r, t): `walk` takes several.

    Parameters
    ----------
    network : Network
        A network of D + 1 coordinates, x and the step t − r, and D outputs.
    theta : (size,)
        Its parameters.

    Raises
    ------
    TypeError, ValueError
        For parameters that do not fit the network; when called, for points of another shape.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(3, width=8, blocks=1, outputs=2)
    >>> u = td.MeanVelocity(network, network.init(0))
    >>> u(np.ones((4, 2), np.float32), 0.0, 1.0).shape
    (4, 2)
    """

    network: Network
    theta: Array

    def __post_init__(self) -> None:
        checks.check_theta(self.network.size, self.theta)
        checks.check_average(self.network)

    def __call__(self, x: Array, r: Any, t: Any) -> Array:
        """u, (B, D), between two times 0 ≤ r ≤ t ≤ 1, one for all rows or one for each; the velocity where r = t."""
        checks.check_points(x, self.network.outputs)
        starts, times = (np.atleast_1d(np.asarray(a, dtype=float)) for a in (r, t))
        for name, a in (("r", starts), ("t", times)):
            checks.check_rows(name, len(a), x.shape[0])
        if not np.all((starts >= 0) & (starts <= times) & (times <= 1)):
            raise ValueError(f"r and t must be 0 ≤ r ≤ t ≤ 1, data at 0 and the source at 1; got r = {r} and t = {t}.")
        x = cast(x, self.theta)
        start, now = (cast(np.broadcast_to(a[:, None], (x.shape[0], 1)), x) for a in (starts, times))
        return self.network(self.theta, *inputs(x, start, now))[0]

    def walk(self, x: Array, ts: Any) -> Iterator[tuple[float, Array]]:
        """(t, x) at each of the falling times, the given x first: x_r = x_t − (t − r) u(x_t, r, t)."""
        ts = [float(t) for t in checks.as_falling(ts)]
        yield ts[0], x
        for t, r in pairwise(ts):
            x = x - (t - r) * self(x, r, t)
            yield r, x
