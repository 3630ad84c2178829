"""Learned variances: the reverse chain's, for each coordinate of each point [Nichol & Dhariwal 2021].

    p(x_s | x_t) = N(c_t x_t + c_0 x̂_0, diag var),    ln var = κ ln β + (1 − κ) ln β̃                         [their 15]

β is the transition's variance and β̃ the posterior's; κ is the paper's v. One network predicts both: its 2D outputs are
F, of which x̂_0 is made, and κ. With q = β̃ + c_0² (x_0 − x̂_0)² the bound's term is, for each coordinate,

    L_{t−1} = ½ (q/var − 1 + ln var/β̃),    ∂L_{t−1}/∂κ = ½ ln(β/β̃) (1 − q/var)

    L_hybrid = L_simple + λ L_vlb,    L_vlb = Σ_t E L_{t−1}                                                  [their 16]

x̂_0 is held fixed in L_vlb, so that L_simple alone decides on it. Then the least L_vlb has var = E[q | x_t], which is
β̃ + c_0² E[(x_0 − x̂_0)² | x_t]: its mean over points and coordinates is `optimal_variances`.

κ is learned for the steps of one grid. It may be asked about other steps, as the paper does to sample in fewer, but
nothing says that it is right there. At the step to the data β̃ is 0 and its logarithm is cut off: there var is between
σ²/α², the reconstruction's own variance, at κ = 1, and e times less at κ = 0.

Shapes: B rows, D coordinates, N times ts (N,); x, x0, eps, F, κ (B, D).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, namespace
from tinydiff.denoisers import Pull
from tinydiff.grids import times_of
from tinydiff.learned.denoiser import NetworkDenoiser, network_inputs
from tinydiff.learned.network import Network, TimeMLP
from tinydiff.learned.objective import Weight, indices, simple_weight, weigh
from tinydiff.learned.targets import batch_means
from tinydiff.learned.train import STEPS, last, train
from tinydiff.predictions import target, to_eps, to_x0
from tinydiff.processes import VP, Level, Process, posterior, transition
from tinydiff.progress import watched


def fit_variances(
    data: Any, ts: Any, process: Process = VP(), *, network: "VarianceMLP | None" = None, lam: float = 0.02, rng: Any,
    progress: bool = True, **options: Any,
) -> "VarianceDenoiser":  # fmt: skip
    """Train a network on data that learns the variances of the reverse chain too, on one grid.

    Parameters
    ----------
    data : GaussianMixture, (N, D), (x, labels) or Dataset
        What to learn, as for `fit`.
    ts : (N,)
        The falling times of the chain, such as `grids.even_log_snr(process, N − 1)`.
    process : Process
        How data become noise.
    network : VarianceMLP, optional
        The network, of the data's dim; VarianceMLP(dim) unless given.
    lam : float
        λ, how much L_vlb counts. The paper's .001 is for 4,000 times, whose terms are many; .02 served 10 to 200.
    rng : Generator or int
        The source of the first parameters and of all draws, or a seed.
    progress : bool
        Show a progress bar on stderr.
    options
        What `train` takes: steps, batch, lr, weight, ema and others, but for the times, targets and objective.

    Returns
    -------
    VarianceDenoiser
        The denoiser of the averaged parameters.

    Raises
    ------
    TypeError, ValueError
        As `fit` does; for a network of another kind, and times that do not fall.
    FloatingPointError
        Where the loss or its gradient stops being finite.

    References
    ----------
    Nichol & Dhariwal 2021 (Improved DDPM), §3.1.

    Examples
    --------
    >>> import tinydiff as td
    >>> data, ts = td.toys.ring8(), td.grids.even_log_snr(td.VP(), 9)
    >>> model = td.fit_variances(data, ts, rng=0, steps=5, progress=False)
    >>> td.elbo(model, data.sample(0, 5), ts, rng=1, variance=model.variance).nats.shape
    (5,)
    """
    network = VarianceMLP(checks.dim_of(data)) if network is None else network
    checks.check_kind("network", network, VarianceMLP, "a VarianceMLP")
    checks.check_range("lam", lam, 0)
    how: dict[str, Any] = {"times": times_of(ts), "targets": "single", "objective": hybrid(ts, lam)}
    states = train(network, process, data, rng=rng, **how, **options)
    shown = watched(states, options.get("steps", STEPS)) if progress else states
    return VarianceDenoiser(network, last(shown).ema, process)


def hybrid(ts: Any, lam: float = 0.02) -> Callable:
    """The objective L_simple + λ L_vlb on a grid, for ``train(..., times=times_of(ts), targets="single")``.

    L_simple has the means of the batch for targets; L_vlb needs the draws themselves, since it learns how far they are
    from their mean. Both are means over the D coordinates, and the last term of L_vlb is up to a constant.
    """
    ts = checks.as_falling(ts)
    after = np.append(ts[1:], 0.0)

    def objective(
        network: Network, theta: Array, now: Level, x0: Array, eps: Array, labels: Array | None = None,
        weight: Weight = simple_weight,
    ) -> tuple[float, Array]:  # fmt: skip
        xp, d, prediction, scale = namespace(x0), x0.shape[1], network.prediction, network.sigma_data
        now, then = now.for_each(x0), now.process.at(after[indices(ts, now)], like=x0)
        x = now.perturb(x0, eps)
        y, pullback = network(theta, *network_inputs(x, now, scale), labels)
        f, kappa = y[:, :d], y[:, d:]

        error = f - target(prediction, *batch_means(now, x0, eps, labels), now, scale)
        scaled = weigh(weight, now) * to_eps(prediction, now, scale)[1] ** 2 * error
        a, b = to_x0(prediction, now, scale)
        terms, slope = variance_loss(kappa, x0 - (a * x + b * f), now, then)
        share = lam * len(ts)  # one of N terms is drawn
        grad = xp.empty_like(theta)
        pullback(xp.concat([2 * scaled, share * slope], axis=1) / (x0.shape[0] * d), grad, dx=False)
        return float(xp.mean(scaled * error + share * terms)), grad

    return objective


def variance_loss(kappa: Array, error: Array, now: Level, then: Level) -> tuple[Array, Array]:
    """(L_{t−1}, ∂L_{t−1}/∂κ) of each coordinate, (B, D) each, where x_0 − x̂_0 is `error`."""
    _, c_0, beta_tilde = posterior(now, then)
    low, ratio = log_ends(now, then)
    q_over_var = (beta_tilde + (c_0 * error) ** 2) * namespace(error).exp(-low - kappa * ratio)
    return 0.5 * (q_over_var - 1 + kappa * ratio), 0.5 * ratio * (1 - q_over_var)


def log_ends(now: Level, then: Level) -> tuple[Any, Any]:
    """(ln β̃, ln β/β̃) of a step; where it leads to the data, (ln σ²/α² − 1, 1)."""
    t, s = now.host, then.host
    data = np.equal(s.sigma, 0)
    with np.errstate(divide="ignore"):
        low = np.where(data, -t.log_snr - 1, np.log(posterior(t, s)[2]))
    high = np.where(data, -t.log_snr, np.log(transition(t, s)[1]))
    return now.shaped(low), now.shaped(high - low)


@dataclass(frozen=True)
class VarianceMLP(TimeMLP):
    """A TimeMLP of 2D outputs: F, of which x̂_0 is made, and κ, which says each coordinate's variance.

    Its parameters, methods and errors are those of TimeMLP.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.VarianceMLP(2, width=8, blocks=1)
    >>> network(network.init(0), np.ones((3, 2), np.float32), np.zeros(3, np.float32))[0].shape
    (3, 4)
    """

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each layer in the order of θ."""
        return super().shapes | {"out": (self.width + 1, 2 * self.dim)}


class VarianceDenoiser(NetworkDenoiser):
    """The denoiser of a trained VarianceMLP, which also answers `variance`, for `elbo` and `ddpm`.

    Its parameters and errors are those of NetworkDenoiser. A bound or a walk with ``variance=model.variance`` asks the
    network twice at each time, once for x̂_0 and once for the variance.

    Examples
    --------
    >>> import functools, tinydiff as td
    >>> network = td.VarianceMLP(2, width=8, blocks=1)
    >>> model = td.VarianceDenoiser(network, network.init(0), td.VP())
    >>> sampler = functools.partial(td.ddpm, variance=model.variance)
    >>> td.sample(model, 3, sampler=sampler, steps=10, rng=0).shape
    (3, 2)
    """

    def output(self, x: Array, now: Level) -> Array:
        """F, (B, D)."""
        return super().output(x, now)[:, : self.dim]

    def linearize_output(self, x: Array, now: Level) -> tuple[Array, Pull]:
        """(F, pull) with pull(u) = uᵀ ∂F/∂x."""
        y, pull = super().linearize_output(x, now)
        return y[:, : self.dim], lambda u: pull(namespace(u).concat([u, 0 * u], axis=1))

    def variance(self, x: Array, now: Any, then: Any) -> Array:
        """The variance of each coordinate of x_s given x_t, (B, D), for a step from the level or time t to s < t.

        A step to s = 0 has that of the reconstruction.
        """
        now, then = (self.process.at(each, like=x) for each in (now, then))
        low, ratio = log_ends(now, then)
        return namespace(x).exp(low + super().output(x, now)[:, self.dim :] * ratio)
