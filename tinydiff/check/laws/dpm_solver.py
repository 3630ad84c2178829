"""A step of DPM-Solver++(2M)."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy import log

from tinydiff.check.domains import Formula, choice, points
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec


def falling(rng: np.random.Generator) -> tuple:
    """Three times, the latest first."""
    return tuple(np.round(np.cumsum(rng.uniform(0.05, 0.3, 3))[::-1], 3).tolist())


dpm_solver_2m_step = Spec(
    "dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma) -> x_s",
    "x_s = (σ_s/σ_t) x_t − α_s (e^{−h} − 1) D with D = x̂_0 + (x̂_0 − x̂_0′) h/2h′, where h is how much ln(α/σ) grows "
    "from t to s, and h′ from t_before to t",
    "Lu et al. 2022, DPM-Solver++, Alg. 2",
    (
        points("x_t", "x0_hat", "x0_hat_before"),
        choice(
            ("t_before", "t", "s"),
            (0.75, 0.5, 0.25),
            (0.9, 0.5, 0.4),
            (0.6, 0.5, 0.1),
            (0.99, 0.9, 0.3),
            random=falling,
        ),
        choice(
            ("alpha", "sigma"),
            (Formula("lambda t: 1 - t"), Formula("lambda t: t")),
            (Formula("lambda t: np.cos(np.pi * t / 2)"), Formula("lambda t: np.sin(np.pi * t / 2)")),
            (Formula("lambda t: 1 + 0 * t"), Formula("lambda t: 10 * t**2")),
        ),
    ),
    {"x_s": like("x_t")},
    about="alpha(t) and sigma(t) are functions of time; t_before > t > s > 0, and x0_hat_before is x̂_0 at t_before.",
)
dpm_solver_2m_step.linear("x_t", "x0_hat", "x0_hat_before")


@dpm_solver_2m_step.law("where x̂_0 does not change the step is exact: the noise in x_t is scaled by σ_s/σ_t")
def _(step: Probe, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    times = (t_before, t, s, alpha, sigma)
    yield step(alpha(t) + sigma(t) * ONE, ONE, ONE, *times), alpha(s) + sigma(s), "x_0 = 1, ε = 1"
    yield step(sigma(t) * ONE, ZERO, ZERO, *times), sigma(s), "x_0 = 0, ε = 1"


@dpm_solver_2m_step.law("where x̂_0 is linear in ln(α/σ), D is its value in the middle of the step")
def _(step: Probe, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    before, now, later = (log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    middle = (now + later) / 2
    answer = step(0 * ONE, now * ONE, before * ONE, t_before, t, s, alpha, sigma)
    gain = alpha(s) - alpha(t) * sigma(s) / sigma(t)
    yield answer, middle * gain, "x_t = 0, x̂_0 = ln(α/σ) at t, x̂_0′ the same at t_before"


@dpm_solver_2m_step.law("of the last two x̂_0 the newer is extrapolated from the older: D = x̂_0 + (x̂_0 − x̂_0′) h/2h′")
def _(step: Probe, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    before, now, later = (log(alpha(u)) - log(sigma(u)) for u in (t_before, t, s))
    gain = alpha(s) - alpha(t) * sigma(s) / sigma(t)
    yield (
        step(ZERO, ZERO, ONE, t_before, t, s, alpha, sigma),
        -gain * (later - now) / (2 * (now - before)),
        "x̂_0′ alone",
    )
