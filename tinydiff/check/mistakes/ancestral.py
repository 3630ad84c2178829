"""Mistakes in the steps of DDPM and DDIM."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.ancestral import ancestral, ddim_step, ddpm_step, ddpm_step_beta_tilde
from tinydiff.check.mistakes.parametrisations import clean
from tinydiff.check.mistakes.posterior import bayes, of_chain, tilde
from tinydiff.check.mistakes.schedules import FORMULAS, INDICES, Bar, misread, wrapped
from tinydiff.check.spec import Spec


def reverse_step(
    x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray, strength: Any = None, scale: Any = None, sd: Any = None
) -> Any:
    """A step of DDPM with another coefficient of ε̂, factor in front or standard deviation."""
    b, ab = betas[t - 1], prod(1 - betas[:t])
    strength = b / sqrt(1 - ab) if strength is None else strength
    scale = 1 / sqrt(1 - b) if scale is None else scale
    sd = sqrt(b) * (t > 1) if sd is None else sd
    return scale * (x_t - strength * eps_hat) + sd * z


Change = Callable[[float, float, float], dict]


def changed(change: Change, noise: Callable[[int, np.ndarray], float]) -> Callable:
    """With what this says of β_t, ᾱ_t and ᾱ_{t−1}, and this noise."""
    return lambda x_t, t, eps_hat, z, betas: reverse_step(
        x_t, t, eps_hat, z, betas, sd=noise(t, betas), **change(*of_chain(t, betas))
    )


def noisy(noise: Callable[[int, np.ndarray], float], of: Callable = lambda z: z) -> Callable:
    """With this noise, and a function of z."""
    return lambda x_t, t, eps_hat, z, betas: reverse_step(x_t, t, eps_hat, of(z), betas, sd=noise(t, betas))


def clipped(noise: Callable[[int, np.ndarray], float]) -> Callable:
    """With x̂_0 clipped."""

    def step(x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray) -> Any:
        x0_hat = np.clip(clean(prod(1 - betas[:t]), x_t, eps_hat), -1, 1)
        return bayes(x_t, x0_hat, *of_chain(t, betas))[0] + noise(t, betas) * z

    return step


def noise_inside(noise: Callable[[int, np.ndarray], float]) -> Callable:
    """With z divided by √(1 − β_t) too."""
    return noisy(lambda t, betas: noise(t, betas) / sqrt(1 - betas[t - 1]))


def largest(t: int, betas: np.ndarray) -> float:
    """√β_t, and 0 at t = 1."""
    return sqrt(betas[t - 1]) * (t > 1)


def smallest(t: int, betas: np.ndarray) -> float:
    """√β̃_t."""
    return sqrt(tilde(t, betas))


def from_next(x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray, sd: float) -> Any:
    """With β_{t+1} for β_t, where it is."""
    strength = betas[t] / sqrt(1 - prod(1 - betas[:t]))
    return reverse_step(x_t, t, eps_hat, z, betas, strength, 1 / sqrt(1 - betas[t]), sd)


NEXT = {words: INDICES[words] for words in INDICES if "cumprod" in words}
MEANS: dict[str, Change] = {
    "β_t/√β_t before ε̂ in place of β_t/√(1 − ᾱ_t), 1 − β_t for ᾱ_t": lambda b, ab, p: {"strength": sqrt(b)},
    "the factor 1/√(1 − β_t) forgotten": lambda b, ab, p: {"scale": 1.0},
    "1/(1 − β_t) in place of 1/√(1 − β_t)": lambda b, ab, p: {"scale": 1 / (1 - b)},
    "1/√ᾱ_t in place of 1/√(1 − β_t)": lambda b, ab, p: {"scale": 1 / sqrt(ab)},
    "√(1 − β_t) in place of 1/√(1 − β_t)": lambda b, ab, p: {"scale": sqrt(1 - b)},
    "x_t alone divided by √(1 − β_t)": lambda b, ab, p: {"strength": sqrt(1 - b) * b / sqrt(1 - ab)},
    "the sign of ε̂": lambda b, ab, p: {"strength": -b / sqrt(1 - ab)},
    "1 − ᾱ_t in place of √(1 − ᾱ_t)": lambda b, ab, p: {"strength": b / (1 - ab)},
    "1 − √ᾱ_t in place of √(1 − ᾱ_t)": lambda b, ab, p: {"strength": b / (1 - sqrt(ab))},
    "√(1 − ᾱ_t) before ε̂, all of the noise, in place of β_t/√(1 − ᾱ_t)": lambda b, ab, p: {"strength": sqrt(1 - ab)},
    "√β_t in place of β_t before ε̂": lambda b, ab, p: {"strength": sqrt(b) / sqrt(1 - ab)},
    "β_t before ε̂, not divided by √(1 − ᾱ_t)": lambda b, ab, p: {"strength": b},
    "ᾱ_{t−1} in place of ᾱ_t before ε̂": lambda b, ab, p: {"strength": b / sqrt(1 - p)},
}


def by_bar(bar: Bar, noise: Callable[[int, np.ndarray], float]) -> Callable:
    """With this for ᾱ_t in the mean."""
    return lambda x_t, t, eps_hat, z, betas: reverse_step(
        x_t, t, eps_hat, z, betas, strength=betas[t - 1] / sqrt(1 - bar(t, betas)), sd=noise(t, betas)
    )


def of_every_variance(spec: Spec, noise: Callable[[int, np.ndarray], float]) -> None:
    """Register the mistakes that are made whatever the variance."""
    for words, mean in MEANS.items():
        spec.mistake(words, changed(mean, noise))
    spec.mistake("x̂_0 clipped to [−1, 1], which the samplers of images do and the step does not", clipped(noise))
    for words, bar in NEXT.items():
        spec.mistake(words, by_bar(bar, noise))
    spec.mistake("z divided by √(1 − β_t) too", noise_inside(noise))
    spec.mistake("no noise at t = 2", noisy(lambda t, betas: noise(t, betas) * (t > 2)))
    spec.mistake("|z| in place of z", noisy(noise, abs))
    spec.mistake("z clipped to [−3, 3]", noisy(noise, lambda z: np.clip(z, -3, 3)))
    spec.mistake("z subtracted", noisy(noise, np.negative))


def of_wrong_tilde(spec: Spec) -> None:
    """Register the mistakes in ᾱ that are in β̃_t too."""
    spec.mistake(
        "betas[t] for β_t, which is betas[t − 1]",
        lambda x_t, t, eps_hat, z, betas: from_next(
            x_t, t, eps_hat, z, betas, sqrt(bayes(0, 0, betas[t], *of_chain(t, betas)[1:])[1])
        ),
    )
    spec.mistake(
        "cumprod(1 − betas)[t − 2] for ᾱ_{t−1}, the last ᾱ at t = 1",
        noisy(lambda t, betas: sqrt(bayes(0, 0, *of_chain(t, betas)[:2], wrapped(t - 1, betas))[1])),
    )
    spec.mistake(
        "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t",
        lambda x_t, t, eps_hat, z, betas: reverse_step(x_t, t + 1, eps_hat, z, betas, sd=smallest(t + 1, betas)),
    )
    misread(
        spec,
        lambda bar: by_bar(bar, lambda t, betas: sqrt(bayes(0, 0, betas[t - 1], bar(t, betas), bar(t - 1, betas))[1])),
        FORMULAS,
    )


of_every_variance(ddpm_step, largest)
of_every_variance(ddpm_step, smallest)
ddpm_step.mistake("noise at the last step, t = 1", noisy(lambda t, betas: sqrt(betas[t - 1])))
ddpm_step.mistake("the variance β_t in place of its root before z", noisy(lambda t, betas: betas[t - 1] * (t > 1)))
ddpm_step.mistake("the variance β̃_t in place of its root before z", noisy(tilde))
ddpm_step.mistake("1 − β_t before z in place of d", noisy(lambda t, betas: (1 - betas[t - 1]) * (t > 1)))
ddpm_step.mistake("√(1 − β_t) before z", noisy(lambda t, betas: sqrt(1 - betas[t - 1]) * (t > 1)))
ddpm_step.mistake("√(1 − ᾱ_t) before z", noisy(lambda t, betas: sqrt(1 - prod(1 - betas[:t])) * (t > 1)))
ddpm_step.mistake("√(1 − ᾱ_{t−1}) before z", noisy(lambda t, betas: sqrt(1 - prod(1 - betas[: t - 1]))))
ddpm_step.mistake("√β_{t−1} before z", noisy(lambda t, betas: sqrt(betas[t - 2]) * (t > 1)))
ddpm_step.mistake("z not scaled", noisy(lambda t, betas: 1.0 * (t > 1)))
ddpm_step.mistake("no noise at all", noisy(lambda t, betas: 0.0))
ddpm_step.mistake(
    "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t",
    lambda x_t, t, eps_hat, z, betas: reverse_step(x_t, t + 1, eps_hat, z, betas, sd=sqrt(betas[t]) * (t > 1)),
)
ddpm_step.mistake(
    "t counted from 0: betas[t] for β_t and ᾱ_{t+1} for ᾱ_t", lambda x_t, t, *rest: reverse_step(x_t, t + 1, *rest)
)
ddpm_step.mistake(
    "betas[t] for β_t, which is betas[t − 1]",
    lambda x_t, t, eps_hat, z, betas: from_next(x_t, t, eps_hat, z, betas, sqrt(betas[t]) * (t > 1)),
)
misread(ddpm_step, lambda bar: by_bar(bar, largest), FORMULAS)
of_wrong_tilde(ddpm_step)


def generalised(x_t: Any, eps_hat: Any, z: Any, ab: float, ab_s: float, d: float, direction: Any = None) -> Any:
    """A step of DDIM from ᾱ_t, ᾱ_s and d, with another coefficient of ε̂ where given."""
    x0_hat = (x_t - sqrt(1 - ab) * eps_hat) / sqrt(ab)
    direction = sqrt(np.maximum(1 - ab_s - d**2, 0)) if direction is None else direction
    return sqrt(ab_s) * x0_hat + direction * eps_hat + d * z


def bars(t: int, s: int, betas: np.ndarray) -> tuple[float, float]:
    """ᾱ_t and ᾱ_s."""
    return prod(1 - betas[:t]), prod(1 - betas[:s])


def spread_of(t: int, s: int, betas: np.ndarray, eta: float) -> float:
    """d."""
    ab, ab_s = bars(t, s, betas)
    return eta * sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s))


def both(bar: Bar) -> Callable:
    """ᾱ_t and ᾱ_s, as this has them."""
    return lambda t, s, betas: (bar(t, betas), bar(s, betas))


def ddim(**o: Any) -> Callable:
    """A step of DDIM with something changed."""

    def step(x_t: Any, t: int, s: int, eps_hat: Any, z: Any, betas: np.ndarray, eta: float) -> Any:
        ab, ab_s = o.get("bars", bars)(t, s, betas)
        d = o.get("d", lambda ab, ab_s, eta: eta * sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s)))(ab, ab_s, eta)
        x0_hat = o.get("x0", clean)(ab, x_t, eps_hat)
        direction = o.get("direction", lambda ab_s, d: sqrt(np.maximum(1 - ab_s - d**2, 0)))(ab_s, d)
        signal = o.get("signal", lambda ab, ab_s: sqrt(ab_s))(ab, ab_s)
        return signal * x0_hat + direction * eps_hat + d * o.get("z", lambda z: z)(z)

    return step


ddim_step.mistake(
    "√(1 − ᾱ_s) before ε̂, d² not taken off",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), sqrt(1 - bars(t, s, betas)[1])
    ),
)
ddim_step.mistake(
    "√η in place of η: η times the variance",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, sqrt(eta))
    ),
)
ddim_step.mistake(
    "η ignored: always deterministic",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(x_t, eps_hat, z, *bars(t, s, betas), 0.0),
)
ddim_step.mistake(
    "η ignored: always the noise of DDPM",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, 1.0)
    ),
)
ddim_step.mistake(
    "s ignored: a step to t − 1",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, t - 1, betas), spread_of(t, t - 1, betas, eta)
    ),
)
ddim_step.mistake(
    "β_t in place of 1 − ᾱ_t/ᾱ_s, which are the same for single steps alone",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t,
        eps_hat,
        z,
        *bars(t, s, betas),
        eta * sqrt((1 - bars(t, s, betas)[1]) / (1 - bars(t, s, betas)[0]) * betas[t - 1]),
    ),
)
ddim_step.mistake(
    "x̂_0 not divided by √ᾱ_t",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        - sqrt(bars(t, s, betas)[1])
        * (1 / sqrt(prod(1 - betas[:t])) - 1)
        * (x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat)
    ),
)
ddim_step.mistake(
    "the sign of ε̂",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, -eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta)
    ),
)
ddim_step.mistake(
    "d² in place of d before z",
    lambda x_t, t, s, eps_hat, z, betas, eta: (
        generalised(x_t, eps_hat, 0 * z, *bars(t, s, betas), spread_of(t, s, betas, eta))
        + spread_of(t, s, betas, eta) ** 2 * z
    ),
)
ddim_step.mistake(
    "the direction to x_t, √(1 − ᾱ_s − d²) ε̂, forgotten",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), spread_of(t, s, betas, eta), 0.0
    ),
)
ddim_step.mistake("√ᾱ_t in place of √ᾱ_s before x̂_0", ddim(signal=lambda ab, ab_s: sqrt(ab)))
ddim_step.mistake("ᾱ_s in place of √ᾱ_s before x̂_0", ddim(signal=lambda ab, ab_s: ab_s))
ddim_step.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t) in x̂_0", ddim(x0=lambda ab, x_t, eps_hat: (x_t - (1 - ab) * eps_hat) / sqrt(ab))
)
ddim_step.mistake("both roots forgotten in x̂_0", ddim(x0=lambda ab, x_t, eps_hat: (x_t - (1 - ab) * eps_hat) / ab))
ddim_step.mistake("ᾱ_t in place of √ᾱ_t in x̂_0", ddim(x0=lambda ab, x_t, eps_hat: (x_t - sqrt(1 - ab) * eps_hat) / ab))
ddim_step.mistake("x̂_0 clipped to [−1, 1]", ddim(x0=lambda *a: np.clip(clean(*a), -1, 1)))
ddim_step.mistake("d in place of d² in √(1 − ᾱ_s − d²)", ddim(direction=lambda ab_s, d: sqrt(1 - ab_s - d)))
ddim_step.mistake("1 − ᾱ_s − d² in place of its root", ddim(direction=lambda ab_s, d: 1 - ab_s - d**2))
ddim_step.mistake("d² added in √(1 − ᾱ_s − d²)", ddim(direction=lambda ab_s, d: sqrt(1 - ab_s + d**2)))
ddim_step.mistake("the direction to x_t subtracted", ddim(direction=lambda ab_s, d: -sqrt(1 - ab_s - d**2)))
ddim_step.mistake(
    "η² in place of η in d", ddim(d=lambda ab, ab_s, eta: eta**2 * sqrt((1 - ab_s) / (1 - ab) * (1 - ab / ab_s)))
)
ddim_step.mistake(
    "the root in d forgotten", ddim(d=lambda ab, ab_s, eta: eta * (1 - ab_s) / (1 - ab) * (1 - ab / ab_s))
)
ddim_step.mistake("1 − ᾱ_t/ᾱ_s left out of d", ddim(d=lambda ab, ab_s, eta: eta * sqrt((1 - ab_s) / (1 - ab))))
ddim_step.mistake("(1 − ᾱ_s)/(1 − ᾱ_t) left out of d", ddim(d=lambda ab, ab_s, eta: eta * sqrt(1 - ab / ab_s)))
ddim_step.mistake(
    "(1 − ᾱ_t)/(1 − ᾱ_s), upside down, in d",
    ddim(d=lambda ab, ab_s, eta: eta * sqrt(np.float64(1 - ab) / (1 - ab_s) * (1 - ab / ab_s))),
)
ddim_step.mistake(
    "β̃_t of a single step in d²",
    lambda x_t, t, s, eps_hat, z, betas, eta: generalised(
        x_t, eps_hat, z, *bars(t, s, betas), eta * sqrt(tilde(t, betas))
    ),
)
ddim_step.mistake("|z| in place of z", ddim(z=abs))
ddim_step.mistake("z clipped to [−3, 3]", ddim(z=lambda z: np.clip(z, -3, 3)))
ddim_step.mistake("z subtracted", ddim(z=np.negative))
ddim_step.mistake(
    "cumprod(1 − betas)[s − 1] for ᾱ_s, the last ᾱ at s = 0",
    ddim(bars=both(wrapped), d=lambda ab, ab_s, eta: eta * sqrt(max((1 - ab_s) / (1 - ab) * (1 - ab / ab_s), 0))),
)
ddim_step.mistake("cumprod(1 − betas)[s − 1] for ᾱ_s, the last ᾱ at s = 0", ddim(bars=both(wrapped)))
ddim_step.mistake(
    "cumprod(1 − betas)[t] and [s], which are ᾱ_{t+1} and ᾱ_{s+1}",
    ddim(bars=both(lambda t, betas: np.cumprod(1 - betas)[t])),
)
misread(ddim_step, lambda bar: ddim(bars=both(bar)), FORMULAS)


# ---- ddpm_step_beta_tilde


def strict(sd: Callable[[float, float, float, int], float]) -> Callable:
    """The step with another standard deviation, of β_t, ᾱ_t, ᾱ_{t−1} and t."""
    return lambda x_t, t, eps_hat, z, betas: reverse_step(x_t, t, eps_hat, z, betas, sd=sd(*of_chain(t, betas), t))


ddpm_step_beta_tilde.mistake("β_t in place of β̃_t", strict(lambda b, ab, before, t: sqrt(b) * (t > 1)))
ddpm_step_beta_tilde.mistake(
    "β̃_t in place of its root before z", strict(lambda b, ab, before, t: b * (1 - before) / (1 - ab))
)
ddpm_step_beta_tilde.mistake("β_t in place of β̃_t, at t = 1 too", strict(lambda b, ab, before, t: sqrt(b)))
ddpm_step_beta_tilde.mistake("no noise at all", strict(lambda b, ab, before, t: 0.0))
ddpm_step_beta_tilde.mistake(
    "(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t",
    strict(lambda b, ab, before, t: sqrt(b * (1 - ab) / (1 - before)) if t > 1 else 0.0),
)
ddpm_step_beta_tilde.mistake(
    "the factor β_t of β̃_t left out", strict(lambda b, ab, before, t: sqrt((1 - before) / (1 - ab)))
)
of_every_variance(ddpm_step_beta_tilde, smallest)
of_wrong_tilde(ddpm_step_beta_tilde)


# ---- ancestral


def walk(**o: Any) -> Callable:
    """All steps with something changed: the times, the question, β_t, ᾱ_t and ᾱ_{t−1}, the mean, or the noise."""

    def mean(x: Any, x0_hat: Any, b: float, ab: float, before: float) -> Any:
        return bayes(x, x0_hat, b, ab, before)[0]

    def sd(b: float, ab: float, before: float, t: int) -> Any:
        return sqrt(b * (1 - before) / (1 - ab))

    def function(x0_hat_of: Callable, x_T: Any, zs: Any, betas: np.ndarray) -> Any:
        x = x_T
        for t in o.get("times", lambda count: range(count, 0, -1))(len(betas)):
            now = o.get("now", of_chain)(t, betas)
            x0_hat = o.get("hat", lambda x: x)(x0_hat_of(x, o.get("ask", lambda t, count: t)(t, len(betas))))
            z = o.get("z", lambda zs, t: zs[t - 1])(zs, t)
            x = o.get("mean", mean)(x, x0_hat, *now) + o.get("sd", sd)(*now, t) * z
        return o.get("end", lambda x, *_: x)(x, x0_hat_of, len(betas))

    return function


def weighing(weights: Callable[[float, float, float], tuple]) -> Callable:
    """With these coefficients of x_t and x̂_0, of β_t, ᾱ_t and ᾱ_{t−1}."""
    return walk(mean=lambda x, x0_hat, *now: weights(*now)[0] * x + weights(*now)[1] * x0_hat)


def of_bar(bar: Bar) -> Callable:
    """With this for ᾱ_t and ᾱ_{t−1}."""
    return walk(now=lambda t, betas: (betas[t - 1], bar(t, betas), bar(t - 1, betas)))


ancestral.mistake("β_t in place of β̃_t", walk(sd=lambda b, ab, p, t: sqrt(b) * (t > 1)))
ancestral.mistake("β_t in place of β̃_t, at t = 1 too", walk(sd=lambda b, ab, p, t: sqrt(b)))
ancestral.mistake("β̃_t in place of its root before z_t", walk(sd=lambda b, ab, p, t: b * (1 - p) / (1 - ab)))
ancestral.mistake("no noise at all", walk(sd=lambda b, ab, p, t: 0.0))
ancestral.mistake("z_t not scaled", walk(sd=lambda b, ab, p, t: 1.0 * (t > 1)))
ancestral.mistake("the factor β_t of β̃_t left out", walk(sd=lambda b, ab, p, t: sqrt((1 - p) / (1 - ab))))
ancestral.mistake(
    "(1 − ᾱ_t)/(1 − ᾱ_{t−1}), upside down, in β̃_t",
    walk(sd=lambda b, ab, p, t: sqrt(b * (1 - ab) / (1 - p)) if t > 1 else 0.0),
)
ancestral.mistake("√(1 − ᾱ_{t−1}) before z_t", walk(sd=lambda b, ab, p, t: sqrt(1 - p)))
ancestral.mistake("no noise at t = 2", walk(sd=lambda b, ab, p, t: sqrt(b * (1 - p) / (1 - ab)) * (t > 2)))
ancestral.mistake("|z| in place of z", walk(z=lambda zs, t: abs(zs[t - 1])))
ancestral.mistake("z clipped to [−3, 3]", walk(z=lambda zs, t: np.clip(zs[t - 1], -3, 3)))
ancestral.mistake("z subtracted", walk(z=lambda zs, t: -zs[t - 1]))
ancestral.mistake(
    "zs read from its beginning: zs[T − t] for z_t, which is zs[t − 1]", walk(z=lambda zs, t: zs[len(zs) - t])
)
ancestral.mistake("zs[t − 2] for z_t, which is zs[t − 1]", walk(z=lambda zs, t: zs[t - 2]))
ancestral.mistake("zs[0] in all steps", walk(z=lambda zs, t: zs[0]))
ancestral.mistake("zs[−1] in all steps", walk(z=lambda zs, t: zs[-1]))
ancestral.mistake("x0_hat_of asked at t − 1, counted from 0", walk(ask=lambda t, count: t - 1))
ancestral.mistake("x0_hat_of asked at T in all steps", walk(ask=lambda t, count: count))
ancestral.mistake("x0_hat_of asked at T − t + 1", walk(ask=lambda t, count: count - t + 1))
ancestral.mistake("x0_hat_of asked at t/T, which is no whole number", walk(ask=lambda t, count: t / count))
ancestral.mistake("times that go up, from 1 to T", walk(times=lambda count: range(1, count + 1)))
ancestral.mistake("the last step, t = 1, left out", walk(times=lambda count: range(count, 1, -1)))
ancestral.mistake("the first step, t = T, left out", walk(times=lambda count: range(count - 1, 0, -1)))
ancestral.mistake("one step alone, from T", walk(times=lambda count: [count]))
ancestral.mistake("x0_hat_of asked once more, at the end", walk(end=lambda x, x0_hat_of, count: x0_hat_of(x, 1)))
ancestral.mistake("x̂_0 in place of the posterior's mean", weighing(lambda b, ab, p: (0.0, 1.0)))
ancestral.mistake("c_t and c_0 exchanged", walk(mean=lambda x, x0_hat, *now: bayes(x0_hat, x, *now)[0]))
ancestral.mistake(
    "x0_hat_of taken as a prediction of the noise ε",
    walk(mean=lambda x, eps, b, ab, p: (x - b / sqrt(1 - ab) * eps) / sqrt(1 - b)),
)
ancestral.mistake("x̂_0 clipped to [−1, 1]", walk(hat=lambda x: np.clip(x, -1, 1)))
ancestral.mistake(
    "√ᾱ_t in place of √ᾱ_{t−1} in c_0",
    weighing(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), sqrt(ab) * b / (1 - ab))),
)
ancestral.mistake(
    "ᾱ_{t−1} in place of √ᾱ_{t−1} in c_0",
    weighing(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), p * b / (1 - ab))),
)
ancestral.mistake(
    "1 − β_t in place of √(1 − β_t) in c_t",
    weighing(lambda b, ab, p: ((1 - b) * (1 - p) / (1 - ab), sqrt(p) * b / (1 - ab))),
)
ancestral.mistake(
    "both roots forgotten in the mean", weighing(lambda b, ab, p: ((1 - b) * (1 - p) / (1 - ab), p * b / (1 - ab)))
)
ancestral.mistake(
    "β_t left out of c_0", weighing(lambda b, ab, p: (sqrt(1 - b) * (1 - p) / (1 - ab), sqrt(p) / (1 - ab)))
)
ancestral.mistake("the mean not divided by 1 − ᾱ_t", weighing(lambda b, ab, p: (sqrt(1 - b) * (1 - p), sqrt(p) * b)))
ancestral.mistake(
    "√ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1}) ε̂, a step of DDIM with the noise of DDPM",
    walk(mean=lambda x, x0_hat, b, ab, p: sqrt(p) * x0_hat + sqrt(1 - p) * (x - sqrt(ab) * x0_hat) / sqrt(1 - ab)),
)
ancestral.mistake(
    "x_{t−1} = √ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1}) z_t, noise added anew",
    walk(mean=lambda x, x0_hat, b, ab, p: sqrt(p) * x0_hat, sd=lambda b, ab, p, t: sqrt(1 - p)),
)
ancestral.mistake(
    "√ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1}) ε̂, a step of DDIM without noise",
    walk(
        mean=lambda x, x0_hat, b, ab, p: sqrt(p) * x0_hat + sqrt(1 - p) * (x - sqrt(ab) * x0_hat) / sqrt(1 - ab),
        sd=lambda b, ab, p, t: 0.0,
    ),
)
ancestral.mistake(
    "1 − β_t in place of ᾱ_t", walk(now=lambda t, b: (b[t - 1], 1 - b[t - 1], 1 - b[t - 2] if t > 1 else 1.0))
)
ancestral.mistake(
    "ᾱ_t in place of ᾱ_{t−1} throughout", walk(now=lambda t, b: (b[t - 1], prod(1 - b[:t]), prod(1 - b[:t])))
)
ancestral.mistake("betas[T − t] for β_t, which is betas[t − 1]", walk(now=lambda t, b: of_chain(t, b[::-1])))
ancestral.mistake(
    "cumprod(1 − betas)[t − 2] for ᾱ_{t−1}, the last ᾱ at t = 1",
    walk(now=lambda t, b: (*of_chain(t, b)[:2], wrapped(t - 1, b))),
)
misread(ancestral, of_bar, FORMULAS)
