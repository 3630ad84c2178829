"""SDEs and ODEs: the drifts of the reverse process, steps of solvers, and the divergence by probes."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import exp, log, sqrt

from tinydiff.check.domains import Formula, choice, numbers, points
from tinydiff.check.forward import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec, like, row_each

# ---- reverse_sde_drift and probability_flow_drift

BETA = numbers("beta", 1.0, 0.5, 2.0, 20.0, least=0.1, most=20)

reverse_sde_drift = Spec(
    "reverse_sde_drift(x, beta, score) -> drift",
    "f − g² ∇ log q_t = −½ β x − β ∇ log q_t, for dt < 0",
    "Anderson 1982; Song et al. 2021, Score-based SDEs, §3.3, for the VP-SDE dx = −½ β x dt + √β dw",
    (points("x", "score"), BETA),
    {"drift": like("x")},
    about="beta is β(t), a number.",
)
reverse_sde_drift.linear("x", "score")


@reverse_sde_drift.law("where the score is 0 it is the forward drift, −½ β x")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    yield f(ONE, beta, ZERO), -0.5 * beta


@reverse_sde_drift.law(
    "backwards from N(0, 1), whose score is −x, it is the same process: with dt < 0 the drift is +½ β x"
)
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x), 0.5 * beta * x


@reverse_sde_drift.law(
    "the score's part is twice the flow's, β: with the noise that it balances, a variance v stays right"
)
def _(f: Probe, beta: float) -> Iterator[tuple]:
    # of N(0, v), with score −x/v: v̇ = 2 (drift per x) v − β for dt < 0, and β (1 − v) forwards
    for v in (4.0, 0.25):
        slope = f(ONE, beta, -ONE / v)
        yield 2 * slope * v - beta, beta * (1 - v), f"the change of the variance v = {v:g} in time"


reverse_sde_drift.mistake("the sign of the score", lambda x, beta, score: -0.5 * beta * x + beta * score)
reverse_sde_drift.mistake(
    "½ β before the score: the probability flow's, which has no noise",
    lambda x, beta, score: -0.5 * beta * x - 0.5 * beta * score,
)
reverse_sde_drift.mistake("the ½ before β x dropped", lambda x, beta, score: -beta * x - beta * score)
reverse_sde_drift.mistake("the sign of the whole, for dt > 0", lambda x, beta, score: 0.5 * beta * x + beta * score)
reverse_sde_drift.mistake("β² in place of g² = β", lambda x, beta, score: -0.5 * beta * x - beta**2 * score)
reverse_sde_drift.mistake("g = √β in place of g² = β", lambda x, beta, score: -0.5 * beta * x - sqrt(beta) * score)
reverse_sde_drift.mistake("the forward drift forgotten", lambda x, beta, score: -beta * score)


probability_flow_drift = Spec(
    "probability_flow_drift(x, beta, score) -> drift",
    "f − ½ g² ∇ log q_t = −½ β (x + ∇ log q_t)",
    "Song et al. 2021, Score-based SDEs, §4.3, for the VP-SDE dx = −½ β x dt + √β dw",
    (points("x", "score"), BETA),
    {"drift": like("x")},
    about="beta is β(t), a number.",
)
probability_flow_drift.linear("x", "score")


@probability_flow_drift.law("where the score is 0 it is the forward drift, −½ β x")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    yield f(ONE, beta, ZERO), -0.5 * beta


@probability_flow_drift.law("N(0, 1), whose score is −x, does not change, and no point of it moves")
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x), 0


@probability_flow_drift.law("it carries the variance as the noise does: v̇ = β (1 − v) on N(0, v), whose score is −x/v")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    for v in (4.0, 0.25):
        yield 2 * f(ONE, beta, -ONE / v) * v, beta * (1 - v), f"the change of the variance v = {v:g} in time"


probability_flow_drift.mistake(
    "the ½ before the score dropped: the reverse SDE's drift", lambda x, beta, score: -0.5 * beta * x - beta * score
)
probability_flow_drift.mistake("the sign of the score", lambda x, beta, score: -0.5 * beta * x + 0.5 * beta * score)
probability_flow_drift.mistake("both ½ dropped", lambda x, beta, score: -beta * (x + score))
probability_flow_drift.mistake("the sign of the whole", lambda x, beta, score: 0.5 * beta * (x + score))
probability_flow_drift.mistake(
    "g = √β in place of g² = β", lambda x, beta, score: -0.5 * beta * x - 0.5 * sqrt(beta) * score
)
probability_flow_drift.mistake("the forward drift forgotten", lambda x, beta, score: -0.5 * beta * score)
probability_flow_drift.mistake("β left out before the score", lambda x, beta, score: -0.5 * (beta * x + score))


# ---- euler_step and heun_step

SPANS = ((0.0, 1.0), (1.0, 0.5), (0.5, 0.0), (0.25, 1.0), (0.9, 0.8))
SLOPES = ("0 * x", "0 * x + 1", "x", "0 * x + t", "0 * x + t**2", "x * t", "-2 * x + t", "np.sin(x) * t")


def slopes(*functions: str) -> Any:
    """dx/dt = f(x, t), one of these."""
    return choice(("f",), *((Formula(f"lambda x, t: {function}"),) for function in functions))


euler_step = Spec(
    "euler_step(f, x, t, s) -> x_s",
    "x_s = x + (s − t) f(x, t)",
    "Euler 1768; Hairer, Nørsett & Wanner 1993, §I.7",
    (slopes(*SLOPES), points("x"), choice(("t", "s"), *SPANS)),
    {"x_s": like("x")},
    about="f(x, t) is dx/dt; s may be later than t or earlier.",
)


@euler_step.law("a constant slope is followed exactly, forwards and backwards")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + 1"), x, t, s), x + (s - t)


@euler_step.law("the slope is that of the beginning: f(x, t)")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + t"), x, t, s), x + t * (s - t)
    yield step(Formula("lambda x, t: x"), x, t, s), x * (1 + s - t)


@euler_step.law("any slope is followed along its tangent")
def _(step: Probe, f: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(f, x, t, s), x - (t - s) * f(x, t)


def implicit(f: Callable, x: Any, t: float, s: float) -> Any:
    """A step with the slope at the end."""
    return x + (s - t) * f(x + (s - t) * f(x, t), s)


euler_step.mistake("t − s in place of s − t", lambda f, x, t, s: x + (t - s) * f(x, t))
euler_step.mistake("|s − t| in place of s − t, wrong backwards", lambda f, x, t, s: x + abs(s - t) * f(x, t))
euler_step.mistake("f at the end, s", lambda f, x, t, s: x + (s - t) * f(x, s))
euler_step.mistake("a slope from the end of the step", implicit)
euler_step.mistake("the increment alone, without x", lambda f, x, t, s: (s - t) * f(x, t))
euler_step.mistake("the length of the step left out", lambda f, x, t, s: x + f(x, t))
euler_step.mistake("s in place of s − t", lambda f, x, t, s: x + s * f(x, t))
euler_step.mistake("√|s − t|, the step of a noise", lambda f, x, t, s: x + sqrt(abs(s - t)) * f(x, t))


heun_step = Spec(
    "heun_step(f, x, t, s) -> x_s",
    "x_s = x + ½ (s − t) (f(x, t) + f(x′, s)) with x′ = x + (s − t) f(x, t)",
    "Heun 1900; Karras et al. 2022, EDM, Alg. 1",
    (slopes(*SLOPES), points("x"), choice(("t", "s"), *SPANS)),
    {"x_s": like("x")},
    about="f(x, t) is dx/dt; s may be later than t or earlier.",
)


@heun_step.law("a constant slope is followed exactly, forwards and backwards")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + 1"), x, t, s), x + (s - t)


@heun_step.law("growth at the rate of x is right to second order: 1 + h + ½ h²")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    h = s - t
    yield step(Formula("lambda x, t: x"), x, t, s), x * (1 + h + h**2 / 2)


@heun_step.law("of a slope that depends on t alone it is the trapezoid: the mean of both ends")
def _(step: Probe, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(Formula("lambda x, t: 0 * x + t"), x, t, s), x + (s**2 - t**2) / 2
    yield step(Formula("lambda x, t: 0 * x + t**2"), x, t, s), x + np.trapezoid([t**2, s**2], [t, s])


@heun_step.law("of any slope it is half-way between x and two steps of Euler")
def _(step: Probe, f: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    once = x + (s - t) * f(x, t)
    twice = once + (s - t) * f(once, s)
    yield step(f, x, t, s), (x + twice) / 2


heun_step.mistake("a step of Euler", lambda f, x, t, s: x + (s - t) * f(x, t))
heun_step.mistake("the slope at the end alone", implicit)
heun_step.mistake(
    "the slope in the middle: the midpoint rule",
    lambda f, x, t, s: x + (s - t) * f(x + 0.5 * (s - t) * f(x, t), 0.5 * (s + t)),
)
heun_step.mistake(
    "the second slope at t in place of s",
    lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), t)),
)
heun_step.mistake("the second slope at x in place of x′", lambda f, x, t, s: x + 0.5 * (s - t) * (f(x, t) + f(x, s)))
heun_step.mistake(
    "the ½ dropped: the sum of two slopes", lambda f, x, t, s: x + (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), s))
)
heun_step.mistake(
    "t − s in place of s − t", lambda f, x, t, s: x + 0.5 * (t - s) * (f(x, t) + f(x + (t - s) * f(x, t), s))
)
heun_step.mistake(
    "the second half-step started from x′",
    lambda f, x, t, s: x + (s - t) * f(x, t) + 0.5 * (s - t) * (f(x, t) + f(x + (s - t) * f(x, t), s)),
)


# ---- euler_maruyama_step

DRIFTS = ("0 * x", "0 * x + 1", "-x", "-x * t")
DIFFUSIONS = ("0.0", "1.0", "2.0", "1.0 + t")

euler_maruyama_step = Spec(
    "euler_maruyama_step(f, g, x, t, s, z) -> x_s",
    "x_s = x + (s − t) f(x, t) + √|s − t| g(t) z",
    "Maruyama 1955; Kloeden & Platen 1992, §10.2; Song et al. 2021, Score-based SDEs, §4.1",
    (
        slopes(*DRIFTS),
        choice(("g",), *((Formula(f"lambda t: {g}"),) for g in DIFFUSIONS)),
        points("x", "z"),
        choice(("t", "s"), *SPANS),
    ),
    {"x_s": like("x")},
    about="f(x, t) is the drift, g(t) the diffusion; s is earlier than t on the way back, where s − t is negative.",
)


@euler_maruyama_step.law("without noise it follows the tangent")
def _(step: Probe, f: Callable, g: Callable, x: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    yield step(f, g, x, t, s, 0 * x), x - (t - s) * f(x, t)


@euler_maruyama_step.law("twice z is twice the noise")
def _(step: Probe, f: Callable, g: Callable, x: np.ndarray, z: np.ndarray, t: float, s: float) -> Iterator[tuple]:
    still = step(f, g, x, t, s, 0 * z)
    once, twice = (step(f, g, x, t, s, k * z) - still for k in (1, 2))
    yield twice, 2 * once, "what 2z adds, and twice what z adds"


@euler_maruyama_step.law("the noise has variance g(t)² |s − t|")
def _(step: Probe, g: Callable, t: float, s: float) -> Iterator[tuple]:
    still = Formula("lambda x, t: 0 * x")
    yield step(still, g, ZERO, t, s, ONE) ** 2, g(t) ** 2 * abs(s - t), "the variance"
    yield step(still, g, ZERO, t, s, ONE), abs(g(t)) * abs(s - t) ** 0.5


@euler_maruyama_step.law("the variances of two half steps add up to that of the whole, where g is constant")
def _(step: Probe, t: float, s: float) -> Iterator[tuple]:
    still, one, middle = Formula("lambda x, t: 0 * x"), Formula("lambda t: 1.0"), (t + s) / 2
    first, second = step(still, one, ZERO, t, middle, ONE), step(still, one, ZERO, middle, s, ONE)
    yield first**2 + second**2, step(still, one, ZERO, t, s, ONE) ** 2, "the sum of two variances, and the whole"


def em(f: Callable, g: Callable, x: Any, t: float, s: float, z: Any, root: Any = None, at: Any = None) -> Any:
    """A step with another factor of the noise, or g elsewhere."""
    return x + (s - t) * f(x, t) + (sqrt(abs(s - t)) if root is None else root) * g(t if at is None else at) * z


euler_maruyama_step.mistake(
    "|s − t| in place of its root before the noise", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=abs(s - t))
)
euler_maruyama_step.mistake(
    "√(s − t), which is not a number on the way back", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=sqrt(s - t))
)
euler_maruyama_step.mistake(
    "s − t in place of √|s − t| before the noise", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=s - t)
)
euler_maruyama_step.mistake("the noise not scaled by √|s − t|", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, root=1.0))
euler_maruyama_step.mistake("g² in place of g", lambda f, g, x, t, s, z: em(f, lambda u: g(u) ** 2, x, t, s, z))
euler_maruyama_step.mistake("√g in place of g", lambda f, g, x, t, s, z: em(f, lambda u: sqrt(g(u)), x, t, s, z))
euler_maruyama_step.mistake("g at s in place of t", lambda f, g, x, t, s, z: em(f, g, x, t, s, z, at=s))
euler_maruyama_step.mistake(
    "t − s in place of s − t before the drift", lambda f, g, x, t, s, z: em(lambda x, t: -f(x, t), g, x, t, s, z)
)
euler_maruyama_step.mistake(
    "|s − t| before the drift, wrong on the way back",
    lambda f, g, x, t, s, z: em(lambda x, t: np.sign(s - t) * f(x, t), g, x, t, s, z),
)
euler_maruyama_step.mistake("the noise forgotten", lambda f, g, x, t, s, z: em(f, g, x, t, s, 0 * z))


# ---- dpm_solver_2m_step

dpm_solver_2m_step = Spec(
    "dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma) -> x_s",
    "x_s = (σ_s/σ_t) x_t − α_s (e^{−h} − 1) D with D = x̂_0 + (x̂_0 − x̂_0′)/2r, λ = ln(α/σ), h = λ_s − λ_t, "
    "r = (λ_t − λ_before)/h",
    "Lu et al. 2022, DPM-Solver++, Alg. 2",
    (
        points("x_t", "x0_hat", "x0_hat_before"),
        choice(("t_before", "t", "s"), (0.75, 0.5, 0.25), (0.9, 0.5, 0.4), (0.6, 0.5, 0.1), (0.99, 0.9, 0.3)),
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


@dpm_solver_2m_step.law("where x̂_0 is linear in λ = ln α/σ, D is its value in the middle of the step")
def _(step: Probe, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    before, now, later = (log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    middle = (now + later) / 2
    answer = step(0 * ONE, now * ONE, before * ONE, t_before, t, s, alpha, sigma)
    yield answer, middle * (alpha(s) - alpha(t) * sigma(s) / sigma(t)), "x_t = 0, x̂_0 = λ_t, x̂_0′ = λ_before"


@dpm_solver_2m_step.law("of the last two x̂_0 the newer is extrapolated from the older: D = x̂_0 + (x̂_0 − x̂_0′) h/2h′")
def _(step: Probe, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable) -> Iterator[tuple]:
    before, now, later = (log(alpha(u)) - log(sigma(u)) for u in (t_before, t, s))
    gain = alpha(s) - alpha(t) * sigma(s) / sigma(t)
    yield (
        step(ZERO, ZERO, ONE, t_before, t, s, alpha, sigma),
        -gain * (later - now) / (2 * (now - before)),
        "x̂_0′ alone",
    )


def two_m(
    x: Any, new: Any, old: Any, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable, **change: Any
) -> Any:
    """The step, with the weight of the extrapolation, λ or h changed."""
    half = change.get("lam", lambda u: log(alpha(u) / sigma(u)))
    h, h_before = half(s) - half(t), half(t) - half(t_before)
    d = new + change.get("weight", lambda h, h_before: h / (2 * h_before))(h, h_before) * (new - old)
    ratio = change.get("ratio", sigma(s) / sigma(t))
    return ratio * x - change.get("front", alpha(s)) * (exp(-h) - 1) * d


dpm_solver_2m_step.mistake("the first order alone", lambda *a: two_m(*a, weight=lambda h, h_before: 0.0))
dpm_solver_2m_step.mistake(
    "r upside down, h/h′ in place of h′/h", lambda *a: two_m(*a, weight=lambda h, h_before: h_before / (2 * h))
)
dpm_solver_2m_step.mistake("1/r in place of 1/2r", lambda *a: two_m(*a, weight=lambda h, h_before: h / h_before))
dpm_solver_2m_step.mistake(
    "the sign of the extrapolation", lambda *a: two_m(*a, weight=lambda h, h_before: -h / (2 * h_before))
)
dpm_solver_2m_step.mistake(
    "λ the log-SNR, twice ln α/σ", lambda *a: two_m(*a, lam=lambda u: 2 * log(a[6](u) / a[7](u)))
)
dpm_solver_2m_step.mistake("α_s/α_t in place of σ_s/σ_t", lambda *a: two_m(*a, ratio=a[6](a[5]) / a[6](a[4])))
dpm_solver_2m_step.mistake("α_t in place of α_s", lambda *a: two_m(*a, front=a[6](a[4])))
dpm_solver_2m_step.mistake("the sign of the second term", lambda *a: two_m(*a, front=-a[6](a[5])))
dpm_solver_2m_step.mistake(
    "r taken from times in place of λ", lambda *a: two_m(*a, weight=lambda *_: by_times(*a[3:6]))
)
dpm_solver_2m_step.mistake(
    "e^{h} − 1, with h of the wrong sign", lambda *a: two_m(*a, lam=lambda u: log(a[7](u) / a[6](u)))
)


def by_times(t_before: float, t: float, s: float) -> float:
    """h/2h′ measured in t."""
    return (s - t) / (2 * (t - t_before))


# ---- hutchinson

SIGNS = np.array(list(itertools.product((1.0, -1.0), repeat=2)))[:, None, :]  # (4, 1, 2), all of them
JACOBIANS = ("v", "2 * v", "v @ np.array([[1.0, 2.0], [3.0, -4.0]])", "x * v", "np.cos(x) * v + v[:, ::-1]")

hutchinson = Spec(
    "hutchinson(vjp, x, probes) -> (B,)",
    "tr ∂f/∂x ≈ the mean over probes v of vᵀ (∂f/∂x) v",
    "Hutchinson 1989; Grathwohl et al. 2019, FFJORD, §3.1",
    (
        choice(("vjp",), *((Formula(f"lambda x, v: {j}"),) for j in JACOBIANS)),
        choice(("x",), (np.array([[0.0, 0.0]]),), (np.array([[1.0, -2.0]]),)),
        choice(
            ("probes",),
            *((SIGNS[:k],) for k in (1, 2, 4)),
            (np.array([[[1.0, 0.0]]]),),
            (np.array([[[1.0, 2.0]], [[0.5, -1.0]], [[0.0, 3.0]]]),),
        ),
    ),
    {"estimate": row_each("x")},
    about="vjp(x, v) is vᵀ ∂f/∂x, (B, D); x is (B, D) and probes (P, B, D). One estimate for each row.",
)


@hutchinson.law("over all vectors of signs it is the trace exactly")
def _(f: Probe, vjp: Callable, x: np.ndarray) -> Iterator[tuple]:
    yield f(vjp, x, SIGNS), trace(vjp, x)


@hutchinson.law("one probe v gives vᵀ J v")
def _(f: Probe, vjp: Callable, x: np.ndarray) -> Iterator[tuple]:
    rows = [vjp(x, e[None]) for e in np.eye(2)]  # of the Jacobian
    v = np.array([1.0, 2.0])
    yield f(vjp, x, v[None, None]), v @ np.concatenate(rows) @ v


@hutchinson.law("it is the mean over the probes: twice the same ones change nothing")
def _(f: Probe, vjp: Callable, x: np.ndarray, probes: np.ndarray) -> Iterator[tuple]:
    yield f(vjp, x, np.concatenate([probes, probes])), f(vjp, x, probes), "the probes twice, and once"


@hutchinson.law("each row of a batch has its own")
def _(f: Probe, vjp: Callable, x: np.ndarray) -> Iterator[tuple]:
    both = np.concatenate([x, x + 1])
    yield f(vjp, both, np.repeat(SIGNS, 2, axis=1)), [trace(vjp, x), trace(vjp, x + 1)]


def trace(vjp: Callable, x: np.ndarray) -> float:
    """Entry by entry along the diagonal."""
    return sum(vjp(x, e[None])[0, i] for i, e in enumerate(np.eye(2)))


def probed(vjp: Callable, x: Any, probes: Any) -> Any:
    """vᵀ J v, (P, B, D), before its sums."""
    return np.stack([v * vjp(x, v) for v in probes])


hutchinson.mistake("a sum over the probes in place of a mean", lambda vjp, x, p: probed(vjp, x, p).sum(axis=(0, 2)))
hutchinson.mistake("a mean over the coordinates", lambda vjp, x, p: probed(vjp, x, p).mean(axis=(0, 2)))
hutchinson.mistake(
    "the product with v forgotten: a sum of vᵀ J", lambda vjp, x, p: np.mean([vjp(x, v).sum(axis=1) for v in p], axis=0)
)
hutchinson.mistake("the first probe alone", lambda vjp, x, p: probed(vjp, x, p)[0].sum(axis=1))
hutchinson.mistake("absolute values", lambda vjp, x, p: np.abs(probed(vjp, x, p)).sum(axis=2).mean(axis=0))
hutchinson.mistake("‖vᵀ J‖² in place of vᵀ J v", lambda vjp, x, p: np.mean([np.sum(vjp(x, v) ** 2, 1) for v in p], 0))
hutchinson.mistake("a sum over the batch", lambda vjp, x, p: np.full(len(x), probed(vjp, x, p).sum(2).mean(0).sum()))
hutchinson.mistake("the sign", lambda vjp, x, p: -probed(vjp, x, p).sum(axis=2).mean(axis=0))
