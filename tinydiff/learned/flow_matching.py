"""Flow matching: learn the velocity of straight paths from data to a source [Lipman et al. 2023; Liu et al. 2023].

    x_t = (1 − t) x_0 + t x_1,    L = E ‖u_θ(x_t, t) − (x_1 − x_0)‖²/D,    dx/dt = u(x, t)

Data x_0 are at t = 0, the source x_1 at 1. The least L has u = E[x_1 − x_0 | x_t], whose flow carries the one law to
the other, however x_0 and x_1 are paired: `couplings` has pairs to choose from.

With noise as the source, x_1 = ε independent of x_0, all this is the diffusion on `Straight`: u = ε̂ − x̂_0, and since
ε − ε̂ = (1 − t)(u − û) and x_0 − x̂_0 = −t (u − û), L is the ε-loss of weight 1/(1 − t)² and the x_0-loss of weight 1/t².
`Straight` and VP are one family: where their log-SNRs agree, their flows have the same x/α. What flow matching has
beyond is any other source: then there is a flow, and no noise, no score and no prior.

Shapes: B pairs, D coordinates; x0, x1 (B, D), t (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, cast, keep_freed_memory, namespace, to_numpy
from tinydiff.learned.network import Network, TimeMLP
from tinydiff.learned.optim import clip, ema_update, linear_decay
from tinydiff.learned.train import chosen_optimizer
from tinydiff.processes import LOG_SNR_END
from tinydiff.processes.base import strata
from tinydiff.progress import progress_bar

# (rng, n) ↦ n points of the data and of the source, (n, D) each, row by row a pair
Pairs = Callable[[np.random.Generator, int], tuple[Array, Array]]


def flow_matching(
    pairs: Pairs, *, network: Network | None = None, steps: int = 1000, batch: int = 256, lr: float | None = None,
    ema: float = 0.99, rng: Any, progress: bool = True,
) -> "Velocity":  # fmt: skip
    """Learn the velocity that carries the one law of the pairs to the other.

    Parameters
    ----------
    pairs : callable
        (rng, n) ↦ (x_0, x_1), such as `couplings.independent(data, source)` gives.
    network : Network, optional
        The network; TimeMLP of the pairs' dimension unless given.
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
    Velocity
        The velocity, with its flow.

    Raises
    ------
    TypeError, ValueError
        For numbers out of range, pairs that are not finite and of one shape, a network without an output for each
        coordinate, and an rng that is neither a generator nor a seed.
    FloatingPointError
        At a step whose loss or gradient is not finite.

    References
    ----------
    Lipman et al. 2023 (flow matching), eq. 23; Liu et al. 2023 (rectified flow), Alg. 1.

    Examples
    --------
    >>> import tinydiff as td
    >>> pairs = td.couplings.independent(td.toys.spiral60(), td.toys.ring8())
    >>> u = td.flow_matching(pairs, steps=5, rng=0, progress=False)
    >>> x1 = td.toys.ring8().sample(1, 3)
    >>> td.last(td.flow(u, x1, [1.0, 0.5, 0.0]))[1].shape
    (3, 2)
    """
    network = TimeMLP(dim_of_pairs(pairs)) if network is None else network
    checks.check_denoising(network)

    def loss(theta: Array, x0: Array, x1: Array, rng: np.random.Generator) -> tuple[float, Array]:
        return flow_matching_loss(network, theta, x0, x1, strata(rng, batch))

    return Velocity(network, descend(loss, network, pairs, "flow matching", steps, batch, lr, ema, rng, progress))


def descend(
    loss: Callable[[Array, Array, Array, np.random.Generator], tuple[float, Array]], network: Network, pairs: Pairs,
    name: str, steps: int, batch: int, lr: float | None, ema: float, rng: Any, progress: bool,
) -> Array:  # fmt: skip
    """The average θ of so many steps of Muon down loss(θ, x_0, x_1, rng) ↦ (L, ∂L/∂θ), each on new pairs."""
    rng = checks.as_generator(rng)
    checks.as_count("steps", steps)
    checks.as_count("batch", batch)
    checks.check_range("ema", ema, 0, 1)
    dim_of_pairs(pairs)
    method, rate = chosen_optimizer("muon", network, lr), linear_decay(1.0, steps, warmup=steps // 50)
    theta = average = network.init(rng)
    averages = method.init(theta)
    keep_freed_memory()
    with progress_bar(range(1, steps + 1), total=steps, desc=name, unit="step", disable=not progress) as bar:
        for step in bar:
            x0, x1 = (cast(x, theta) for x in pairs(rng, batch))
            value, grad = loss(theta, x0, x1, rng)
            grad, norm = clip(grad, 1.0)
            if not np.isfinite(value + norm):
                raise FloatingPointError(f"loss {value}, gradient norm {norm} at step {step}: try a lower lr.")
            move, averages = method.update(grad, averages)
            theta = theta + rate(step - 1) * move
            average = ema_update(average, theta, min(ema, step / (step + 9)))
            bar.set_postfix_str(f"loss {value:.4f}", refresh=False)
    return average


def dim_of_pairs(pairs: Pairs) -> int:
    """The number D of coordinates; TypeError or ValueError unless two pairs are two finite arrays (2, D)."""
    if not callable(pairs):
        raise TypeError(f"pairs must be a function (rng, n) ↦ (x_0, x_1), such as couplings gives; got {pairs!r}.")
    both = pairs(np.random.default_rng(0), 2)
    if not isinstance(both, tuple) or len(both) != 2 or any(np.ndim(x) != 2 or len(x) != 2 for x in both):
        raise ValueError(f"pairs(rng, 2) must give two arrays (2, D); got {type(both).__name__}.")
    if np.shape(both[0]) != np.shape(both[1]) or not all(np.all(np.isfinite(to_numpy(x))) for x in both):
        raise ValueError(f"pairs must be finite and of one shape; got {np.shape(both[0])} and {np.shape(both[1])}.")
    return int(both[0].shape[1])


def flow_matching_loss(network: Network, theta: Array, x0: Array, x1: Array, t: np.ndarray) -> tuple[float, Array]:
    """L on one batch of pairs at times t, and ∂L/∂θ (size,).

    Raises ValueError for pairs that are not of one shape.
    """
    if x0.shape != x1.shape or x0.shape[0] != len(t):
        raise ValueError(f"pairs are of one shape, with a time for each; got {x0.shape}, {x1.shape} and {np.shape(t)}.")
    at = cast(t[:, None], x0)
    u, pullback = network(theta, (1 - at) * x0 + at * x1, clock(t, x0))
    error = u - (x1 - x0)
    grad = namespace(theta).empty_like(theta)
    pullback(2 * error / (x0.shape[0] * x0.shape[1]), grad, dx=False)
    return float(namespace(x0).mean(error * error)), grad


def clock(t: Any, like: Array) -> Array:
    """What a network sees of t: the log-SNR of `Straight` there, 2 ln((1 − t)/t), (B,) or (1,)."""
    t = np.atleast_1d(np.asarray(t, dtype=float))
    with np.errstate(divide="ignore"):
        return cast(np.clip(2 * (np.log1p(-t) - np.log(t)), -LOG_SNR_END, LOG_SNR_END), like)


@dataclass(frozen=True)
class Velocity:
    """A learned velocity u(x, t) between data at t = 0 and a source at 1: it has a flow, `flow`, and nothing else.

    It is no denoiser: what lies between two laws is a mixture of their points, not data with noise, so there is no x̂_0,
    score, prior or likelihood to ask for.

    Parameters
    ----------
    network : Network
        A network with an output for each coordinate.
    theta : (size,)
        Its parameters.

    Raises
    ------
    TypeError, ValueError
        For parameters that do not fit the network; when called, for points of another shape.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> u = td.Velocity(network, network.init(0))
    >>> u(np.ones((3, 2), np.float32), 0.5).shape
    (3, 2)
    """

    network: Network
    theta: Array

    def __post_init__(self) -> None:
        checks.check_theta(self.network.size, self.theta)
        checks.check_denoising(self.network)

    def __call__(self, x: Array, t: Any) -> Array:
        """u, (B, D), at one time in [0, 1] or one for each row."""
        checks.check_points(x, self.network.dim)
        times = np.atleast_1d(np.asarray(t, dtype=float))
        if not np.all((times >= 0) & (times <= 1)):
            raise ValueError(f"t must be from 0, the data, to 1, the source; got {t}.")
        checks.check_rows("t", len(times), x.shape[0])
        return self.network(self.theta, cast(x, self.theta), clock(times, self.theta))[0]

    def __getattr__(self, name: str) -> Any:
        if name in ("process", "prior", "x0", "score", "log_likelihood"):
            raise AttributeError(f"a velocity between two laws has a flow alone, and no {name}: no noise is in it.")
        raise AttributeError(f"Velocity has no {name}.")
