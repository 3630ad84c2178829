"""The variational bound: what the reverse chain, a latent-variable model, is worth in nats.

    −ln p(x_0) ≤ KL(q(x_T|x_0) ‖ p(x_T)) + Σ E KL(q(x_s|x_t,x_0) ‖ p(x_s|x_t)) − E ln p(x_0|x_1)        [DDPM 5]
                          L_T                          L_{t−1}                          L_0

on the pairs s < t of any grid, with p(x_s|x_t) = N(c_t x_t + c_0 x̂_0, var I), the posterior with x̂_0 for x_0. The last
pair is the reconstruction p(x_0|x_1) = N(x̂_0, var I), so t = 0 is never evaluated.

The variances of the reverse chain are a choice:
    "beta_tilde"   the posterior's, right for a point; the L_{t−1} are then ½ (SNR_s − SNR_t) ‖x_0 − x̂_0‖² [VDM 13–14]
    "beta"         the transition's, right for N(0, I)
    an array       one for each pair, such as optimal_variances: among isotropic ones these have the least −ELBO
The names take σ²/α² for the reconstruction.

Shapes: B points, D coordinates, N steps; ts (N + 1,) falls to 0; x0 (B, D). All values are in nats, for each point.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from tinydiff.backend import Array, cast, check_points, namespace, normal_like, to_numpy
from tinydiff.denoisers import Denoiser
from tinydiff.exact.mixture import LOG_2PI
from tinydiff.processes import Process
from tinydiff.sampling.ancestral import check_times

Variances = Literal["beta_tilde", "beta"] | Array
Decoder = Literal["gaussian", "bins"]
BINS = 256
"""The levels of an image, from −1 to 1."""


class Elbo(NamedTuple):
    """The three parts of −ELBO, for each point: in the mean over the noise their sum bounds −ln p(x_0) from above."""

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
        return self.prior + namespace(self.prior).sum(self.diffusion, axis=1) + self.reconstruction

    @property
    def bits_per_dim(self) -> Array:
        """−ELBO of each point in bits for each dimension, (B,); of an image's levels where the decoder is "bins"."""
        return self.nats / (self.dim * math.log(2))


def elbo(
    model: Denoiser,
    process: Process,
    x0: Array,
    ts: Array,
    rng: np.random.Generator | None = None,
    *,
    variance: Variances = "beta_tilde",
    decoder: Decoder = "gaussian",
    prior: Callable[[Array], Array] | None = None,
    noise: Array | None = None,
) -> Elbo:
    """−ELBO of each point, term by term, each from one draw of its x_t; N evaluations.

    decoder: "gaussian" is a density; "bins" the probability of each pixel's level, of 256 from −1 to 1 [DDPM 13].
    prior: a log-density for p(x_T), (B, D) → (B,), at ts[0], in the place of the process's own N(0, prior_std² I).
    noise: the ε of each of ts[:-1], (N, B, D), where they are not to be drawn with rng: quadrature, common numbers.
    """
    steps = _reverse_steps(process, ts, variance)
    check_points(x0, model.dim)
    if decoder not in ("gaussian", "bins"):
        raise ValueError(f"decoder must be 'gaussian' or 'bins'; got {decoder!r}.")
    if noise is None and rng is None:
        raise ValueError("elbo draws noise: pass rng, or noise.")
    if noise is not None and tuple(noise.shape) != (len(steps), *x0.shape):
        raise ValueError(f"noise must have the shape {(len(steps), *x0.shape)}; got {tuple(noise.shape)}.")
    xp, diffusion = namespace(x0), []
    for i, (t, s, var) in enumerate(steps):
        eps = normal_like(rng, x0) if noise is None else cast(noise[i, :, :], x0)
        x = process.perturb(x0, t, eps)
        if i == 0:
            alpha, var_t = float(process.alpha(t)), float(process.sigma(t) ** 2)
            if prior is None:
                l_prior = normal_kl(alpha * x0, var_t, 0.0 * x0, process.prior_std**2)
            else:
                l_prior = log_normal(x, alpha * x0, var_t) - prior(x)
        x0_hat = model.x0(x, t)
        if s == 0:
            log_p = log_bins(x0, x0_hat, var) if decoder == "bins" else log_normal(x0, x0_hat, var)
        else:
            _, c_0, beta_tilde = (float(c) for c in process.posterior_coefficients(t, s))
            diffusion.append(normal_kl(c_0 * x0, beta_tilde, c_0 * x0_hat, var))  # c_t x_t is in both means
    terms = xp.stack(diffusion, axis=1) if diffusion else x0[:, :0]
    return Elbo(l_prior, terms, -log_p, model.dim)


def path_log_ratio(
    model: Denoiser,
    process: Process,
    path: Sequence[Array],
    ts: Array,
    *,
    variance: Variances = "beta_tilde",
    prior: Callable[[Array], Array] | None = None,
) -> Array:
    """ln p(x_{0:T}) − ln q(x_{1:T} | x_0) of a path x_T, …, x_0 at ts, (B,): the bound before any expectation.

    Its mean over q is the ELBO. Where the reverse chain is exact it is ln p(x_0) on every path.
    path: arrays (B, D), such as forward_path draws.
    """
    steps = _reverse_steps(process, ts, variance)
    if len(path) != len(steps) + 1:
        raise ValueError(f"path must hold a point for each of the {len(steps) + 1} times; got {len(path)}.")
    ratio = (prior or process.prior_log_density)(path[0])
    for (t, s, var), x, y in zip(steps, path[:-1], path[1:], strict=True):
        x0_hat, (a, v) = model.x0(x, t), process.transition(t, s)
        mean, _ = process.posterior(x, x0_hat, t, s)
        ratio = ratio + log_normal(y, mean, var) - log_normal(x, float(a) * y, float(v))
    return ratio


def forward_path(process: Process, x0: Array, ts: Array, rng: np.random.Generator) -> list[Array]:
    """A draw of x_T, …, x_0 at decreasing times ts that end at 0, by the transitions of the process."""
    path = [x0]
    for t, s in reversed(list(pairwise(check_times(ts)))):
        a, v = process.transition(t, s)
        path.append(float(a) * path[-1] + float(v) ** 0.5 * normal_like(rng, x0))
    return path[::-1]


def optimal_variances(
    model: Denoiser, process: Process, x0: Array, ts: Array, rng: np.random.Generator | None = None
) -> np.ndarray:
    """The variance of each reverse step with the least −ELBO, β̃ + c_0² E‖x_0 − x̂_0‖²/d, (N,), whatever x̂_0 is worth.

    It extends Analytic-DPM, whose x̂_0 is exact [Bao et al. 2022]; the last is that of the Gaussian decoder. The
    expectation is over the points x0 (B, D), with one draw of noise at each time: let them be training points, since
    what is fitted to the points that it judges bounds nothing.
    """
    check_points(x0, model.dim)
    if x0.shape[0] == 0:
        raise ValueError("optimal_variances needs points to fit to; got none.")
    variances = []
    for t, s, _ in _reverse_steps(process, ts, "beta_tilde"):
        miss = to_numpy(x0 - model.x0(process.perturb(x0, t, normal_like(rng, x0)), t))
        _, c_0, var = process.posterior_coefficients(t, s)
        variances.append(float(var + c_0**2 * np.mean(miss * miss)))
    return np.array(variances)


def _reverse_steps(process: Process, ts: Array, variance: Variances) -> list[tuple[float, float, float]]:
    """(t, s, variance of p(x_s | x_t)) for each pair of the grid."""
    ts = check_times(ts)
    if ts[-1] != 0:
        raise ValueError(f"the bound needs a grid that ends at 0, such as grid(..., to_zero=True); got {ts[-1]:.4g}.")
    if isinstance(variance, str):
        if variance not in ("beta_tilde", "beta"):
            raise ValueError(f"variance must be 'beta_tilde', 'beta' or an array; got {variance!r}.")
        return [(t, s, _named_variance(process, t, s, variance)) for t, s in pairwise(ts)]
    values = to_numpy(variance)
    if values.shape != (len(ts) - 1,) or not np.all(values > 0):
        raise ValueError(f"variance must be positive, one for each of {len(ts) - 1} steps; got {values}.")
    return [(t, s, float(v)) for (t, s), v in zip(pairwise(ts), values, strict=True)]


def _named_variance(process: Process, t: float, s: float, variance: str) -> float:
    if s == 0:
        if process.alpha(t) == 0:
            raise ValueError(f"no signal is left at t = {t:.4g}, from which the chain steps to 0: take more steps.")
        return float((process.sigma(t) / process.alpha(t)) ** 2)
    return float(process.posterior_coefficients(t, s)[2] if variance == "beta_tilde" else process.transition(t, s)[1])


def normal_kl(mean: Array, var: float, other_mean: Array, other_var: float) -> Array:
    """KL(N(mean, var I) ‖ N(other_mean, other_var I)) in nats, means (B, D) → (B,)."""
    miss, excess = mean - other_mean, (var - other_var) / other_var
    log_ratio = math.log1p(excess) if abs(excess) < 0.5 else math.log(var / other_var)
    spread = 0.5 * mean.shape[1] * (excess - log_ratio)
    return namespace(mean).sum(miss * miss, axis=1) / (2 * other_var) + spread


def log_normal(x: Array, mean: Array, var: float) -> Array:
    """ln N(x; mean, var I) in nats, (B, D) → (B,)."""
    miss = x - mean
    return -0.5 * (namespace(x).sum(miss * miss, axis=1) / var + x.shape[1] * (LOG_2PI + math.log(var)))


def log_bins(x: Array, mean: Array, var: float) -> Array:
    """ln of the probability that N(mean, var I) gives to the bins of x, (B, D) → (B,) in nats [DDPM 13].

    x lies on the 256 levels −1, −1 + 2/255, …, 1; each bin reaches 1/255 to both sides, the first to −∞ and the last
    to ∞. ValueError for x off the levels.
    """
    levels, guess = to_numpy(x).astype(np.float64), to_numpy(mean).astype(np.float64)
    index = (levels + 1) * (BINS - 1) / 2
    nearest = np.rint(index)
    if not np.all((np.abs(index - nearest) < 1e-2) & (nearest >= 0) & (nearest < BINS)):
        raise ValueError(f"decoder 'bins' is for pixels on the {BINS} levels from −1 to 1; some of these are not.")
    std, half = math.sqrt(var), 1 / (BINS - 1)
    low = np.where(levels < -1 + half, -np.inf, (levels - half - guess) / std)
    high = np.where(levels > 1 - half, np.inf, (levels + half - guess) / std)
    return cast(np.sum(log_normal_mass(low, high), axis=1), x)


def log_normal_mass(low: Any, high: Any) -> np.ndarray:
    """ln (Φ(high) − Φ(low)), low < high, in both tails as well; good to 1e-16/(high − low)."""
    from scipy.special import log_ndtr  # nobody else waits for its import

    mirrored = low > 0  # Φ(b) − Φ(a) = Φ(−a) − Φ(−b), and Φ is precise on the left
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    with np.errstate(divide="ignore"):
        return log_ndtr(b) + np.log1p(-np.exp(log_ndtr(a) - log_ndtr(b)))
