"""DPM-Solver++(2M): order 2 at one evaluation for each step [Lu et al. 2022, DPM-Solver++, Alg. 2].

The flow in data prediction is solved exactly in its linear part. With ℓ = ln α/σ (half the log-SNR) and h = ℓ_s − ℓ_t,

    x_s = (σ_s/σ_t) x_t + α_s ∫_{ℓ_t}^{ℓ_s} e^{ℓ − ℓ_s} x̂_0 dℓ ≈ (σ_s/σ_t) x_t + α_s (1 − e^{−h}) D

where D = x̂_0 is the first order, which is DDIM, and D = x̂_0 + (x̂_0 − x̂_0′)/2r extrapolates to the middle of the step
from the evaluation before, x̂_0′, a step of h′ = r h ago. It needs α and σ at the grid points alone.

Pitfalls: the first step has no x̂_0′; a step to s = 0 has h = ∞ and r = 0, where x̂_0 is the answer and the extrapolation
diverges. Both take the first order.
"""

from collections.abc import Iterator
from itertools import pairwise

from tinydiff.backend import Array
from tinydiff.denoisers import Denoiser
from tinydiff.processes import Process
from tinydiff.sampling.ancestral import check_times


def dpm_solver_2m_step(
    process: Process, x: Array, x0_hat: Array, x0_hat_before: Array | None, t_before: float, t: float, s: float
) -> Array:
    """x_s from x_t = x, x̂_0 at t, and x̂_0 at t_before > t, or None: the first order; x and x0_hat (B, D)."""
    alpha, sigma, alpha_s, sigma_s = (float(f(u)) for u in (t, s) for f in (process.alpha, process.sigma))
    d = x0_hat
    if x0_hat_before is not None and s > 0:
        log_snr_before, log_snr, log_snr_s = (float(process.log_snr(u)) for u in (t_before, t, s))
        ratio = (log_snr - log_snr_before) / (log_snr_s - log_snr)  # r, ∞ where no signal was left at t_before
        d = x0_hat + (x0_hat - x0_hat_before) / (2 * ratio)
    return sigma_s / sigma * x + (alpha_s - alpha * sigma_s / sigma) * d


def dpm_solver_pp_2m(
    model: Denoiser, process: Process, x: Array, ts: Array, *, rng: None = None
) -> Iterator[tuple[float, Array]]:
    """DPM-Solver++(2M) along decreasing times ts, which may end at 0; rng is not used."""
    ts = check_times(ts)
    before, t_before = None, ts[0]
    yield ts[0], x
    for t, s in pairwise(ts):
        x0_hat = model.x0(x, t)
        x = dpm_solver_2m_step(process, x, x0_hat, before, t_before, t, s)
        before, t_before = x0_hat, t
        yield s, x
