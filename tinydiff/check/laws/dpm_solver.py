"""A step of DPM-Solver++(2M), and one that looks back to any number of answers."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy import log

from tinydiff.check.domains import Domain, Formula, choice, normals, points
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec


def falling(rng: np.random.Generator) -> tuple:
    """Three times, the latest first."""
    return tuple(np.round(np.cumsum(rng.uniform(0.05, 0.3, 3))[::-1], 3).tolist())


PATHS = choice(
    ("alpha", "sigma"),
    (Formula("lambda t: 1 - t"), Formula("lambda t: t")),
    (Formula("lambda t: np.cos(np.pi * t / 2)"), Formula("lambda t: np.sin(np.pi * t / 2)")),
    (Formula("lambda t: 1 + 0 * t"), Formula("lambda t: 10 * t**2")),
)

# ---- dpm_solver_2m_step

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
        PATHS,
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


# ---- multistep_step

BEFORE = ((0.5, 0.25), (0.75, 0.5, 0.25), (0.9, 0.5, 0.4), (0.9, 0.8, 0.5, 0.3), (0.9, 0.7, 0.65, 0.5, 0.4))
"""Times that fall: of the answers, and last s."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def answers() -> Domain:
    """x_t, the past x̂_0 of its shape with their times, and s."""

    def of(times: tuple[float, ...], x_t: np.ndarray, x0_hats: list[np.ndarray]) -> tuple:
        return x_t, x0_hats, np.array(times[:-1]), times[-1]

    def random(rng: np.random.Generator) -> tuple:
        times = np.round(np.cumsum(rng.uniform(0.05, 0.2, rng.integers(2, 5)))[::-1], 3).tolist()
        x_t, *x0_hats = normals(rng, len(times))
        return of(tuple(times), x_t, x0_hats)

    cases = [
        of(times, x * ONE, [(j + 1.0) * y * ONE for j in range(len(times) - 1)])
        for x, y in ((1, 0), (0, 1), (1, -2))
        for times in BEFORE
    ]
    batch = np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]])
    cases.append(of(BEFORE[2], batch, [-batch, batch**2]))
    return choice(("x_t", "x0_hats", "times", "s"), *cases, random=random)


multistep_step = Spec(
    "multistep_step(x_t, x0_hats, times, s, alpha, sigma) -> x_s",
    "x_s = (σ_s/σ_t) x_t + σ_s ∫ e^l x̂_0(l) dl over l = ln(α/σ) from t to s, with x̂_0(l) the polynomial through the "
    "answers",
    "Zhang & Chen 2023, DEIS, eq. 14; Xue et al. 2023, SA-Solver, eq. 14",
    (answers(), PATHS),
    {"x_s": like("x_t")},
    about="x0_hats is a list of past x̂_0, each of the shape of x_t, at the falling times; the newest, at t, is last. s "
    "is earlier than t. alpha(t) and sigma(t) are functions of time.",
)


def half_log_snr(t: float, alpha: Callable, sigma: Callable) -> float:
    """l = ln(α/σ)."""
    return float(log(alpha(t)) - log(sigma(t)))


@multistep_step.law("where all answers agree the step is exact: the noise in x_t is scaled by σ_s/σ_t")
def _(step: Probe, times: np.ndarray, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    t, rest = times[-1], (times, s, alpha, sigma)
    for x0, eps in ((1, 1), (0, 1), (2, 0)):
        x_t, x_s = (alpha(u) * x0 + sigma(u) * eps * ONE for u in (t, s))
        yield step(x_t, [x0 * ONE] * len(times), *rest), x_s, f"x_0 = {x0}, ε = {eps}"


@multistep_step.law("one answer gives DDIM's step")
def _(
    step: Probe, x_t: np.ndarray, x0_hats: list, times: np.ndarray, s: float, alpha: Callable, sigma: Callable
) -> Iterator[tuple]:
    t, newest = times[-1], x0_hats[-1]
    eps_hat = (x_t - alpha(t) * newest) / sigma(t)
    yield step(x_t, [newest], times[-1:], s, alpha, sigma), alpha(s) * newest + sigma(s) * eps_hat


@multistep_step.law("through k answers it is exact for x̂_0 = 1, l, …, l^{k−1}, with l = ln(α/σ)")
def _(step: Probe, times: np.ndarray, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    *past, end = (half_log_snr(u, alpha, sigma) for u in (*times, s))
    half = (end + past[-1] + (end - past[-1]) * NODES) / 2
    for power in range(len(past)):
        integral = np.sum(WEIGHTS * np.exp(half) * half**power) * (end - past[-1]) / 2
        answer = step(ZERO, [one**power * ONE for one in past], times, s, alpha, sigma)
        yield answer, sigma(s) * integral, f"x_t = 0, x̂_0 = l to the power {power}"


@multistep_step.law("what each answer adds is in proportion to it, and all are added")
def _(
    step: Probe, x_t: np.ndarray, x0_hats: list, times: np.ndarray, s: float, alpha: Callable, sigma: Callable
) -> Iterator[tuple]:
    rest = (times, s, alpha, sigma)
    parts = [
        step(0 * x_t, [one if i == j else 0 * one for j, one in enumerate(x0_hats)], *rest) for i in range(len(x0_hats))
    ]
    alone = step(x_t, [0 * one for one in x0_hats], *rest)
    yield step(x_t, x0_hats, *rest), alone + sum(parts), "all together, and the sum of what each gives alone"
    yield step(100 * x_t, [100 * one for one in x0_hats], *rest), 100 * step(x_t, x0_hats, *rest), "all times 100"
