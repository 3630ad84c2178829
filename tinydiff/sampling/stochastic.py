"""Samplers that follow the reverse SDE, and the family of processes between it and the ODE.

    dx = [f x − ½ (1 + λ²) g² ∇ ln q_t(x)] dt + λ g dw̄,    t from t_max down to t_min    [Song et al. 2021, 6 and 13]

Every λ has the marginals q_t: 1 is the reverse SDE, 0 the probability-flow ODE. With −σ∇ ln q_t = ε̂ the drift is
f x + ½ (1 + λ²) (g²/σ) ε̂. The noise of a step is additive, so Euler–Maruyama has strong and weak order 1.

Shapes: B rows, D coordinates; x (B, D).
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from tinydiff.backend import Array, column, normal_like
from tinydiff.denoisers import Denoiser
from tinydiff.processes import SDE
from tinydiff.sampling.ancestral import check_times
from tinydiff.sampling.ode import check_flow

Noise = Callable[[float, float], Array]
"""(t, s) ↦ w_s − w_t, an increment of a Brownian path, (B, D)."""


def euler_maruyama_step(
    model: Denoiser, process: SDE, x: Array, t: float, s: float, dw: Array, lam: float = 1.0
) -> Array:
    """x_s = x + h [f x + ½ (1 + λ²) (g²/σ) ε̂] + λ g dw with h = s − t < 0 and dw ~ N(0, |h| I)."""
    f, g = column(process.f(t), x), column(process.g2(t) ** 0.5, x)
    pull = column(0.5 * (1 + lam**2) * process.g2(t) / process.sigma(t), x)
    return x + (s - t) * (f * x + pull * model(x, t)) + lam * g * dw


def euler_maruyama(
    model: Denoiser,
    process: SDE,
    x: Array,
    ts: Array,
    *,
    rng: np.random.Generator | None = None,
    lam: float = 1.0,
    noise: Noise | None = None,
) -> Iterator[tuple[float, Array]]:
    """The reverse family along decreasing times ts; one evaluation for each step.

    noise: the increments of a Brownian path, as brownian_path makes it, so that grids of any coarseness can share one;
    drawn with rng where it is not given.
    """
    if not lam >= 0:
        raise ValueError(f"lam must be 0 or more; got {lam}.")
    if lam == 0:
        noise = lambda t, s: 0.0 * x  # noqa: E731
    elif noise is None:
        if rng is None:
            raise ValueError("lam > 0 draws noise: pass rng, or noise.")
        noise = lambda t, s: (t - s) ** 0.5 * normal_like(rng, x)  # noqa: E731
    ts = check_flow(process, ts, increasing=False)
    yield ts[0], x
    for t, s in pairwise(ts):
        x = euler_maruyama_step(model, process, x, t, s, noise(t, s), lam)
        yield s, x


def langevin_step(model: Denoiser, process: SDE, x: Array, t: float, z: Array, snr: float) -> Array:
    """x + δ ∇ ln q_t(x) + √(2δ) z with δ = 2 (snr · σ)² [Song et al. 2021, Alg. 4, where σ is ‖z‖/‖∇ ln q_t‖].

    It leaves q_t as it is but for an error of order δ: N(0, v) becomes N(0, v/(1 − δ/2v)) after many steps. Taking σ
    for the ratio of norms keeps the rows apart, and steps less far on average, since E‖σ∇ ln q_t‖² ≤ d.
    """
    sigma = process.sigma(t)
    delta = 2 * (snr * sigma) ** 2
    return x - column(delta / sigma, x) * model(x, t) + column((2 * delta) ** 0.5, x) * z


def predictor_corrector(
    model: Denoiser,
    process: SDE,
    x: Array,
    ts: Array,
    *,
    rng: np.random.Generator,
    corrections: int = 1,
    snr: float = 0.16,
) -> Iterator[tuple[float, Array]]:
    """Euler–Maruyama's step, then `corrections` Langevin steps at the time where it ends [Song et al. 2021, Alg. 1].

    Evaluations for each step: 1 + corrections.
    """
    if corrections < 0 or not snr > 0:
        raise ValueError(f"corrections must be 0 or more and snr positive; got {corrections} and {snr}.")
    ts = check_flow(process, ts, increasing=False)
    yield ts[0], x
    for t, s in pairwise(ts):
        x = euler_maruyama_step(model, process, x, t, s, (t - s) ** 0.5 * normal_like(rng, x))
        for _ in range(corrections):
            x = langevin_step(model, process, x, s, normal_like(rng, x), snr)
        yield s, x


def brownian_path(rng: np.random.Generator, x: Array, ts: Array) -> Noise:
    """One Brownian path for each row of x, known at the decreasing times ts: noise(t, s) = w_s − w_t for any two.

    Draw it on the finest grid and give it to coarser ones whose times are among its own, as log_snr's of 50 steps are
    among log_snr's of 800; ValueError for other times.
    """
    ts = check_times(ts)
    w = [0.0 * x]
    for t, s in pairwise(ts):
        w.append(w[-1] + (t - s) ** 0.5 * normal_like(rng, x))
    known = np.array(ts)

    def at(t: float) -> Array:
        i = int(np.argmin(np.abs(known - t)))
        if abs(known[i] - t) > 1e-9:
            raise ValueError(f"this Brownian path is known at {len(ts)} times; t = {t:.6g} is not among them.")
        return w[i]

    return lambda t, s: at(s) - at(t)
