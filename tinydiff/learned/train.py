"""Training, as a generator of states: the caller decides what to look at, when to save and when to stop.

`fit` is the short way, from data to a denoiser.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from array_api_compat import device

from tinydiff import checks
from tinydiff.backend import Array, cast, keep_freed_memory, namespace, normal_like
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.network import Network, TimeMLP
from tinydiff.learned.objective import TIMES, WEIGHTS, DrawTimes, Weight, edm_weight, loss_and_grad
from tinydiff.learned.optim import Adam, Muon, Optimizer, OptimizerState, clip, ema_update, linear_decay
from tinydiff.learned.targets import batch_means
from tinydiff.processes import VP, Process
from tinydiff.progress import watched

T = TypeVar("T")

STEPS = 1050
"""Training steps, unless told otherwise."""


class TrainState(NamedTuple):
    """All that training needs to go on, and the loss and gradient norm of the step that made it.

    Examples
    --------
    >>> import tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> state = td.last(td.train(network, td.VP(), td.toys.ring8(), steps=3, batch=64, rng=0))
    >>> state.step, state.theta.shape == (network.size,)
    (3, True)
    """

    step: int
    """The number of steps taken."""
    theta: Array
    """The parameters, (size,)."""
    ema: Array
    """Their average, which is what is sampled from, (size,)."""
    optimizer: OptimizerState
    """The averages of the optimizer."""
    rng_state: Mapping[str, Any]
    """The state of the generator."""
    loss: float
    """The loss of the batch."""
    grad_norm: float
    """The norm of its gradient, before it was clipped."""


def fit(
    data: Any, process: Process = VP(), *, network: Network | None = None, rng: Any, progress: bool = True,
    **options: Any,
) -> NetworkDenoiser:  # fmt: skip
    """Train a network on data: the short way to a denoiser.

    Parameters
    ----------
    data : GaussianMixture, (N, D), (x, labels) or Dataset
        What to learn, of about unit scale: `Dataset.standardised(x)` makes it so, and its `restore` maps samples back.
    process : Process
        How data become noise.
    network : TimeMLP or another Network, optional
        The network, of the data's dim; TimeMLP(dim) unless given. One with classes learns the labels too.
    rng : Generator or int
        The source of the first parameters and of all draws, or a seed.
    progress : bool
        Show a progress bar on stderr.
    options
        What `train` takes: steps, batch, lr, weight, times, ema and others.

    Returns
    -------
    NetworkDenoiser
        The denoiser of the averaged parameters.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range, data far from unit scale, not finite or of another shape, and an rng that is neither
        a generator nor a seed.
    FloatingPointError
        Where the loss or its gradient stops being finite.

    References
    ----------
    Ho et al. 2020 (DDPM), Alg. 1.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.fit(td.toys.ring8(), rng=0, steps=5, progress=False)
    >>> td.sample(model, 3, rng=1).shape
    (3, 2)
    """
    network = TimeMLP(checks.dim_of(data)) if network is None else network
    states = train(network, process, data, rng=rng, **options)
    shown = watched(states, options.get("steps", STEPS)) if progress else states
    return NetworkDenoiser(network, last(shown).ema, process)


def train(
    network: Network, process: Process, data: Any, *, steps: int = STEPS, batch: int = 1024,
    optimizer: str | Optimizer = "muon", lr: float | None = None, weight: str | Weight = "simple",
    times: str | DrawTimes = "logistic", ema: float = 0.99, label_dropout: float = 0.1, targets: str = "batch",
    max_norm: float = 1.0, objective: Callable = loss_and_grad, rng: Any, state: TrainState | None = None,
    like: Array | None = None,
) -> Iterator[TrainState]:  # fmt: skip
    """Train a network step by step, and iterate over the state after each, up to `steps` in all.

    Parameters
    ----------
    network : TimeMLP, Mixer or another Network
        The network; with classes it learns labels too.
    process : Process
        How data become noise.
    data : GaussianMixture, (N, D), (x, labels) or Dataset
        Anything with .sample(rng, n), or points, or points with labels, of about unit scale.
    steps, batch : int
        The number of steps, and of points in each.
    optimizer : {"muon", "adam"} or Optimizer
        What makes a step of a gradient: by name, or an object such as Adam(lr=1e-3).
    lr : float, optional
        The peak of the learning rate of an optimizer by name, which rises over a fiftieth of the steps and falls to 0
        along a line: 0.02 for the matrices under Muon, with a third of it for all else, and 0.004 for Adam.
    weight : str or callable
        The factor w of the ε-loss, of objective.WEIGHTS or a function of a Level; DDPM's is "simple", and "edm" is for
        the network's sigma_data.
    times : str or callable
        How t is drawn, of objective.TIMES or a function (process, rng, n); DDPM's is "uniform".
    ema : float
        The decay of the average of the parameters, reached as step/(step + 9) so that the start is soon forgotten.
    label_dropout : float
        How often a label is replaced by −1, so that one network learns with and without.
    targets : {"batch", "single"}
        "single" is DDPM's, the ε and x_0 that were drawn; "batch" their means given x_t over the points of the batch:
        the same in the mean, with far less noise, at the price of batch² exponentials. The loss is then smaller than
        DDPM's by that noise.
    max_norm : float
        Longer gradients are scaled down to it.
    objective : callable
        What a batch is worth, in the place of loss_and_grad, such as a classifier's cross_entropy.
    rng : Generator or int
        The source of all draws, or a seed; it is for training alone while it runs.
    state : TrainState, optional
        Resume from there, with the same arguments, bit for bit as if training had not stopped.
    like : array, optional
        Its library, device and dtype are those of the parameters, NumPy's float32 or those of the state unless given.
        Noise is drawn on the host all the same.

    Returns
    -------
    iterator of TrainState
        One after each step; `last` takes the last of them.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range, and data that are not finite, of another shape or far from unit scale.
    FloatingPointError
        At a step whose loss or gradient is not finite; the last state yielded is still good.

    References
    ----------
    Ho et al. 2020 (DDPM), Alg. 1; Ho & Salimans 2022 (CFG), Alg. 1; Xu et al. 2023 (batch targets).

    Examples
    --------
    >>> import tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> [state.step for state in td.train(network, td.VP(), td.toys.ring8(), steps=3, batch=64, rng=0)]
    [1, 2, 3]
    """
    weights = WEIGHTS | {"edm": partial(edm_weight, sigma_data=network.sigma_data)}
    weight_of, draw_times = checks.chosen("weight", weight, weights), checks.chosen("times", times, TIMES)
    checks.check_process(process)
    rng, steps, batch = checks.as_generator(rng), checks.as_count("steps", steps), checks.as_count("batch", batch)
    checks.check_range("max_norm", max_norm, 0, open_low=True)
    for name, value in (("ema", ema), ("label_dropout", label_dropout)):
        checks.check_range(name, value, 0, 1)
    checks.check_choice("targets", targets, ("batch", "single"))
    draw = batches(data, network.dim, network.classes or network.outputs)
    method, rate = chosen_optimizer(optimizer, network, lr), linear_decay(1.0, steps, warmup=steps // 50)
    if state is None:
        theta = network.init(rng) if like is None else cast(network.init(rng, np.float64), like)
        state = TrainState(0, theta, theta, method.init(theta), rng.bit_generator.state, float("nan"), float("nan"))
    else:
        rng.bit_generator.state = state.rng_state
        if like is not None:
            mu, nu, count = state.optimizer
            state = state._replace(theta=cast(state.theta, like), ema=cast(state.ema, like))
            state = state._replace(optimizer=OptimizerState(cast(mu, like), cast(nu, like), count))
    keep_freed_memory()

    def states(state: TrainState) -> Iterator[TrainState]:
        theta, average, averages = state.theta, state.ema, state.optimizer
        for step in range(state.step + 1, steps + 1):
            x0, labels = draw(rng, batch)
            x0 = cast(x0, theta)
            if labels is not None:
                labels = np.where(rng.random(batch) < label_dropout, -1, labels)
            now, eps = process.at(draw_times(process, rng, batch), like=x0), normal_like(rng, x0)
            if targets == "batch":
                x0, eps = batch_means(now, x0, eps, labels)
            loss, grad = objective(network, theta, now, x0, eps, labels, weight_of)
            grad, norm = clip(grad, max_norm)
            if not np.isfinite(loss + norm):
                raise FloatingPointError(f"loss {loss}, gradient norm {norm} at step {step}: try a lower lr.")
            move, averages = method.update(grad, averages)
            theta = theta + rate(step - 1) * move
            average = ema_update(average, theta, min(ema, step / (step + 9)))
            yield TrainState(step, theta, average, averages, rng.bit_generator.state, loss, norm)

    return states(state)


def chosen_optimizer(optimizer: str | Optimizer, network: Network, lr: float | None) -> Optimizer:
    """The optimizer of a name, at this learning rate or its own, or the one given."""
    if lr is not None:
        checks.check_range("lr", lr, 0, open_low=True)
    if optimizer == "adam":
        return Adam(lr or Adam.lr)
    if optimizer == "muon":
        return Muon(network.matrices, lr or Muon.lr, adam=Adam((lr or Muon.lr) / 3))
    if isinstance(optimizer, str | type) or not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ValueError(f"optimizer must be 'muon', 'adam' or an object with init and update; got {optimizer!r}.")
    if lr is not None:
        raise ValueError(f"lr={lr:g} is for an optimizer by name: {optimizer!r} has its own.")
    return optimizer


def batches(data: Any, dim: int, classes: int) -> Callable[[np.random.Generator, int], tuple[Array, np.ndarray | None]]:
    """A function (rng, n) -> (n random points (n, D), their labels (n,) or None) of any data that `train` takes."""
    if hasattr(data, "sample"):
        checks.check_dim(data, dim)
        return lambda rng, n: data.sample(rng, n, labels=True) if classes else (data.sample(rng, n), None)
    x, labels = checks.points_and_labels(data, dim, classes)
    xp = namespace(x)

    def draw(rng: np.random.Generator, n: int) -> tuple[Array, np.ndarray | None]:
        rows = rng.integers(0, x.shape[0], n)
        return xp.take(x, xp.asarray(rows, device=device(x)), axis=0), None if labels is None else labels[rows]

    return draw


def last(iterator: Iterable[T]) -> T:
    """The last item of an iterator, keeping one at a time, where ``*_, x = …`` would keep them all.

    Parameters
    ----------
    iterator : iterable
        Such as `train` or a sampler gives.

    Returns
    -------
    object
        The last item.

    Raises
    ------
    ValueError
        Where there is none.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.last(iter("abc"))
    'c'
    """
    tail = deque(iterator, maxlen=1)
    if not tail:
        raise ValueError("the iterator gave nothing.")
    return tail[0]
