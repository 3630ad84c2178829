"""The variational bound: what the reverse chain, a latent-variable model, is worth in nats.

    −ln p(x_0) ≤ KL(q(x_T|x_0) ‖ p(x_T)) + Σ E KL(q(x_s|x_t,x_0) ‖ p(x_s|x_t)) − E ln p(x_0|x_1)        [DDPM 5]
                          L_T                          L_{t−1}                          L_0

with DDPM's indices: x_T, …, x_1 are the points at the falling times ts, x_1 nearest to the data, and each E is over x_t
given x_0. On a pair s < t, p(x_s|x_t) = N(c_t x_t + c_0 x̂_0, var I), the posterior with x̂_0 for x_0. The last time
has the reconstruction p(x_0|x_1) = N(x̂_0, var I), the density around the answer of `sample`.

The variances of the reverse chain are a choice:
    "beta_tilde"   the posterior's, right for a point; the L_{t−1} are then ½ (SNR_s − SNR_t) ‖x_0 − x̂_0‖² [VDM 13]
    "beta"         the transition's, right for N(0, I) where the process keeps a unit variance
    an array       one for each time, such as optimal_variances: among isotropic ones these have the least −ELBO
    a function     (x, now, then) ↦ (B, D), a variance for each coordinate of each point, such as the `variance` of a
                   VarianceDenoiser; for the reconstruction `then` is the level of the data, at t = 0
The names take σ²/α² for the reconstruction, the variance of x_1/α around x_0.

Shapes: B points, D coordinates, N times ts (N,); x0 (B, D). All values are in nats, for each point.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from tinydiff import checks, grids
from tinydiff.backend import Array, beside, cast, namespace, normal_like, row_sums, squared_norm, to_numpy
from tinydiff.denoisers import Denoiser, check_denoiser
from tinydiff.exact.mixture import LOG_2PI
from tinydiff.extras import extra
from tinydiff.processes import Level, Process, posterior, transition
from tinydiff.sampling import walk

Variances = Literal["beta_tilde", "beta"] | Array | Callable[[Array, Level, Level], Array]
Decoder = Literal["gaussian", "bins"]


class ElboTerms(NamedTuple):
    """The three parts of −ELBO in nats, for each point: in the mean over the noise their sum bounds −ln p(x_0).

    Examples
    --------
    >>> import tinydiff as td
    >>> model, x0 = td.Oracle(td.toys.ring8(), td.VP()), td.toys.ring8().sample(0, 5)
    >>> terms = td.elbo(model, x0, td.grids.even_log_snr(td.VP(), 10), rng=1)
    >>> terms.diffusion.shape, terms.nats.shape
    ((5, 10), (5,))
    """

    prior: Array
    """L_T (B,)."""
    diffusion: Array
    """L_{t−1} (B, N − 1), from the noisiest step down."""
    reconstruction: Array
    """L_0 (B,)."""
    dim: int
    """The number D of coordinates."""

    @property
    def nats(self) -> Array:
        """−ELBO of each point, (B,)."""
        return self.prior + row_sums(self.diffusion) + self.reconstruction

    @property
    def bits_per_dim(self) -> Array:
        """−ELBO of each point in bits for each dimension, (B,); of an image's levels where the decoder is "bins"."""
        return self.nats / (self.dim * math.log(2))


def elbo(
    model: Denoiser, x0: Array, ts: grids.Times, rng: Any = None, *, variance: Variances = "beta_tilde",
    decoder: Decoder = "gaussian", bins: int = 256, prior: Callable[[Array], Array] | None = None,
    noise: Array | None = None,
) -> ElboTerms:  # fmt: skip
    """−ELBO of each point, term by term, each from one draw of its x_t; one evaluation for each time.

    Parameters
    ----------
    model : Denoiser
        The model to judge.
    x0 : (B, D)
        The points.
    ts : (N,)
        Falling times in (0, 1], such as `grids.even_log_snr(process, N − 1)`.
    rng : Generator or int, optional
        The source of the noise, or a seed; needed unless noise is given.
    variance : {"beta_tilde", "beta"}, (N,) or callable
        The variance of each reverse step, and last of the reconstruction; or variance(x, now, then), (B, D).
    decoder : {"gaussian", "bins"}
        "gaussian" is a density; "bins" the probability of each pixel's level.
    bins : int
        For "bins": the number of even levels from −1 to 1 on which the pixels lie, at least 2.
    prior : callable, optional
        A log-density for p(x_T), (B, D) → (B,), at ts[0], in the place of the process's own N(0, prior_std² I).
    noise : (N, B, D), optional
        The ε of each time, where they are not to be drawn: for quadrature, or to compare two models on one noise.

    Returns
    -------
    ElboTerms
        L_T, L_{t−1} and L_0 in nats for each point, and their sum.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], shapes that do not fit, another variance or decoder, pixels off the
        levels, an rng that is neither a generator nor a seed, and a last time at which no signal is left.

    References
    ----------
    Ho et al. 2020 (DDPM), eqs. 5 and 13; Kingma et al. 2021 (VDM), eqs. 13–14.

    Examples
    --------
    >>> import tinydiff as td
    >>> data = td.toys.ring8()
    >>> terms = td.elbo(td.Oracle(data, td.VP()), data.sample(0, 200), td.grids.even_log_snr(td.VP(), 100), rng=1)
    >>> bool(terms.nats.mean() > data.entropy()[0])  # nothing is worth more than the entropy
    True
    """
    checks.check_choice("decoder", decoder, ("gaussian", "bins"))
    checks.as_count("bins", bins, 2)
    levels = walk.levels(model, x0, ts, "x0")
    variances = reverse_variances(levels, variance)
    if noise is None:
        rng = checks.as_generator(rng)
        draws = (normal_like(rng, x0) for _ in levels)
    else:
        checks.check_shape("noise", noise, (len(levels), *x0.shape))
        draws = (cast(noise[i, :, :], x0) for i in range(len(levels)))

    top, eps = levels[0], next(draws)
    x = top.perturb(x0, eps)
    if prior is None:
        l_prior = normal_kl(top.alpha * x0, top.sigma**2, 0.0 * x0, model.process.prior_std**2)
    else:
        l_prior = log_normal(x, top.alpha * x0, top.sigma**2) - prior(x)

    diffusion = []
    for (now, then), var in zip(pairwise(levels), variances[:-1], strict=True):
        x0_hat = model.x0(x, now)
        _, c_0, beta_tilde = posterior(now, then)
        var = variance_of_step(var, x, now, then)
        diffusion.append(normal_kl(c_0 * x0, beta_tilde, c_0 * x0_hat, var))  # c_t x_t is in both means
        x = then.perturb(x0, next(draws))

    x0_hat = model.x0(x, levels[-1])
    log_p = partial(log_bins, bins=bins) if decoder == "bins" else log_normal
    var = variance_of_step(variances[-1], x, levels[-1], model.process.at(0.0))
    return ElboTerms(l_prior, beside(diffusion, x0), -log_p(x0, x0_hat, var), model.dim)


def path_log_ratio(
    model: Denoiser, path: Sequence[Array], ts: grids.Times, *, variance: Variances = "beta_tilde",
    prior: Callable[[Array], Array] | None = None,
) -> Array:  # fmt: skip
    """ln p(x_{0:T}) − ln q(x_{1:T} | x_0) of a path: the bound before any expectation.

    Its mean over q is the ELBO. Where the reverse chain is exact it is ln p(x_0) on every path.

    Parameters
    ----------
    model : Denoiser
        The model to judge.
    path : N + 1 arrays (B, D)
        x_T, …, x_1 at the times ts, and x_0 last, such as `forward_path` draws.
    ts : (N,)
        Falling times in (0, 1].
    variance, prior
        As for `elbo`.

    Returns
    -------
    (B,)
        In nats.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], a path of another length, and another variance.

    References
    ----------
    Ho et al. 2020 (DDPM), eq. 5.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> point = td.GaussianMixture([1.0], [[0.5]], [[[0.0]]])
    >>> ts, x0 = td.grids.even_log_snr(td.VP(), 5), np.full((3, 1), 0.5)
    >>> path = td.forward_path(td.VP(), x0, ts, rng=0)
    >>> td.path_log_ratio(td.Oracle(point, td.VP()), path, ts).shape
    (3,)
    """
    check_denoiser(model)
    levels = grids.levels(model.process, ts)
    variances = reverse_variances(levels, variance)
    checks.check_path(path, len(levels), model.dim)
    data = model.process.at(0.0)
    ratio = (prior or model.process.prior_log_density)(path[0])
    for (now, then), var, (x, y) in zip(pairwise([*levels, data]), variances, pairwise(path), strict=True):
        c_t, c_0, _ = posterior(now, then)
        a, var_q = transition(now, then)
        var = variance_of_step(var, x, now, then)
        ratio = ratio + log_normal(y, c_t * x + c_0 * model.x0(x, now), var) - log_normal(x, a * y, var_q)
    return ratio


def forward_path(process: Process, x0: Array, ts: grids.Times, rng: Any) -> list[Array]:
    """Draw a path of the forward process, step by step by its transitions.

    Parameters
    ----------
    process : Process
        The process.
    x0 : (B, D)
        Where the path begins.
    ts : (N,)
        Falling times in (0, 1].
    rng : Generator or int
        The source of the noise, or a seed.

    Returns
    -------
    list of N + 1 arrays (B, D)
        x_T, …, x_1 at the times ts, and x_0 last.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], and what is no process, generator or seed.

    References
    ----------
    Ho et al. 2020 (DDPM), eq. 2.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> len(td.forward_path(td.VP(), np.zeros((2, 1)), [1.0, 0.5, 0.1], rng=0))
    4
    """
    checks.check_process(process)
    checks.check_array("x0", x0)
    rng, path = checks.as_generator(rng), [x0]
    levels = [*grids.levels(process, ts), process.at(0.0)]
    for now, then in reversed(list(pairwise(levels))):
        a, var = transition(now, then)
        path.append(a * path[-1] + var**0.5 * normal_like(rng, x0))
    return path[::-1]


def optimal_variances(model: Denoiser, x0: Array, ts: grids.Times, rng: Any) -> np.ndarray:
    """The variances of the reverse chain with the least −ELBO, for any x̂_0, good or bad: β̃ + c_0² E‖x_0 − x̂_0‖²/D.

    β̃ and c_0 are those of `posterior`, and D is the number of coordinates. Analytic-DPM has it for an exact x̂_0, and
    its sequel for any; the last is that of the Gaussian decoder. The expectation is over the points, with one draw of
    noise at each time: let them be training points, since what is fitted to the points that it judges bounds nothing.

    Parameters
    ----------
    model : Denoiser
        The model.
    x0 : (B, D)
        Training points.
    ts : (N,)
        Falling times in (0, 1].
    rng : Generator or int
        The source of the noise, or a seed.

    Returns
    -------
    (N,)
        The variance of the step from each time, and last of the reconstruction.

    Raises
    ------
    TypeError, ValueError
        For times that do not fall within (0, 1], no points, and an rng that is neither a generator nor a seed.

    References
    ----------
    Bao et al. 2022 (Analytic-DPM), Thm. 1; Bao et al. 2022, Estimating the Optimal Covariance with Imperfect Mean.

    Examples
    --------
    >>> import tinydiff as td
    >>> model, x0 = td.Oracle(td.toys.ring8(), td.VP()), td.toys.ring8().sample(0, 100)
    >>> td.optimal_variances(model, x0, [0.9, 0.5, 0.1], rng=1).shape
    (3,)
    """
    rng, levels, variances = checks.as_generator(rng), walk.levels(model, x0, ts, "x0"), []
    checks.check_some(x0)
    for now, then in pairwise([*levels, model.process.at(0.0)]):
        error = to_numpy(x0 - model.x0(now.perturb(x0, normal_like(rng, x0)), now))
        _, c_0, beta_tilde = posterior(now, then)
        variances.append(beta_tilde + c_0**2 * np.mean(error * error))
    return np.array(variances, dtype=np.float64)


def reverse_variances(levels: list[Level], variance: Variances) -> list[Any]:
    """The variance of p(x_s | x_t) for each pair of the levels, and last of the reconstruction, or what gives it."""
    if callable(variance):
        return [variance] * len(levels)
    if not isinstance(variance, str):
        return checks.as_variances(variance, len(levels)).tolist()
    checks.check_choice("variance", variance, ("beta_tilde", "beta"))
    checks.check_signal(levels[-1], "take more steps, from which the last goes to the data")
    named = [posterior(*pair)[2] if variance == "beta_tilde" else transition(*pair)[1] for pair in pairwise(levels)]
    return [*named, (levels[-1].sigma / levels[-1].alpha) ** 2]


def variance_of_step(variance: Any, x: Array, now: Level, then: Level) -> Any:
    """The variance of a step: the number that is given, or what a function says of x, (B, D)."""
    return checks.as_variances_of_points(variance(x, now, then), x) if callable(variance) else variance


def normal_kl(mean: Array, var: float, other_mean: Array, other_var: Any) -> Array:
    """KL(N(mean, var I) ‖ N(other_mean, other_var I)) in nats, means (B, D) → (B,); other_var a number or (B, D)."""
    excess = (var - other_var) / other_var
    if not isinstance(excess, float):
        log_ratio = -namespace(mean).log1p((other_var - var) / var)  # as precise as a number's unless var is far larger
        return 0.5 * row_sums((mean - other_mean) ** 2 / other_var + excess - log_ratio)
    log_ratio = math.log1p(excess) if abs(excess) < 0.5 else math.log(var / other_var)
    spread = 0.5 * mean.shape[1] * (excess - log_ratio)
    return squared_norm(mean - other_mean) / (2 * other_var) + spread


def log_normal(x: Array, mean: Array, var: Any) -> Array:
    """ln N(x; mean, var I) in nats, (B, D) → (B,); var a number or (B, D)."""
    if not isinstance(var, float):
        return -0.5 * row_sums((x - mean) ** 2 / var + LOG_2PI + namespace(x).log(var))
    return -0.5 * (squared_norm(x - mean) / var + x.shape[1] * (LOG_2PI + math.log(var)))


def log_bins(x: Array, mean: Array, var: Any, bins: int = 256) -> Array:
    """ln of the probability that N(mean, var I) gives to the bins of x, (B, D) → (B,) in nats [DDPM 13].

    x lies on even levels from −1 to 1, such as −1, −1 + 2/255, …, 1 where there are 256; each bin reaches half a level
    to both sides, the first to −∞ and the last to ∞. ValueError for x off the levels.
    """
    levels, guess = checks.as_pixels(x, bins), to_numpy(mean).astype(np.float64)
    std, half = np.sqrt(to_numpy(var)).astype(np.float64), 1 / (bins - 1)
    low = np.where(levels < -1 + half, -np.inf, (levels - half - guess) / std)
    high = np.where(levels > 1 - half, np.inf, (levels + half - guess) / std)
    return cast(np.sum(log_normal_mass(low, high), axis=1), x)


def log_normal_mass(low: Any, high: Any) -> np.ndarray:
    """ln (Φ(high) − Φ(low)), low < high, in both tails as well; the mass is good to 1e-16/(high − low), relatively."""
    with extra("app"):
        from scipy.special import log_ndtr  # imported here, since it is slow to import

    mirrored = low > 0  # Φ(b) − Φ(a) = Φ(−a) − Φ(−b), and Φ is precise on the left
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    with np.errstate(divide="ignore"):
        return log_ndtr(b) + np.log1p(-np.exp(log_ndtr(a) - log_ndtr(b)))
