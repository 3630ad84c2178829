"""Mistakes in the steps of DDPM and DDIM."""

from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.ancestral import ddim_step, ddpm_step
from tinydiff.check.mistakes.posterior import bayes, of_chain


def ancestral(
    x_t: Any, t: int, eps_hat: Any, z: Any, betas: np.ndarray, strength: Any = None, scale: Any = None, sd: Any = None
) -> Any:
    """A step of DDPM with another coefficient of ε̂, factor in front or standard deviation."""
    b, ab = betas[t - 1], prod(1 - betas[:t])
    strength = b / sqrt(1 - ab) if strength is None else strength
    scale = 1 / sqrt(1 - b) if scale is None else scale
    sd = sqrt(b) * (t > 1) if sd is None else sd
    return scale * (x_t - strength * eps_hat) + sd * z


ddpm_step.mistake(
    "(1 − α_t)/√(1 − α_t) before ε̂ in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "noise at the last step, t = 1",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=sqrt(betas[t - 1])),
)
ddpm_step.mistake(
    "the variance β_t in place of its root before z",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=betas[t - 1] * (t > 1)),
)
ddpm_step.mistake(
    "α_t before z in place of σ_t",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=(1 - betas[t - 1]) * (t > 1)),
)
ddpm_step.mistake("no noise at all", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, sd=0.0))
ddpm_step.mistake(
    "the factor 1/√(1 − β_t) forgotten",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1.0),
)
ddpm_step.mistake(
    "1/(1 − β_t) in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / (1 - betas[t - 1])),
)
ddpm_step.mistake(
    "1/√ᾱ_t in place of 1/√(1 − β_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, scale=1 / sqrt(prod(1 - betas[:t]))),
)
ddpm_step.mistake("the sign of ε̂", lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, -eps_hat, z, betas))
ddpm_step.mistake(
    "1 − ᾱ_t in place of √(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(
        x_t, t, eps_hat, z, betas, strength=betas[t - 1] / (1 - prod(1 - betas[:t]))
    ),
)
ddpm_step.mistake(
    "√(1 − ᾱ_t) before ε̂, all of the noise, in place of β_t/√(1 − ᾱ_t)",
    lambda x_t, t, eps_hat, z, betas: ancestral(x_t, t, eps_hat, z, betas, strength=sqrt(1 - prod(1 - betas[:t]))),
)
ddpm_step.mistake(
    "x̂_0 clipped to [−1, 1], which the samplers of images do and the step does not",
    lambda x_t, t, eps_hat, z, betas: (
        bayes(
            x_t,
            np.clip((x_t - sqrt(1 - prod(1 - betas[:t])) * eps_hat) / sqrt(prod(1 - betas[:t])), -1, 1),
            *of_chain(t, betas),
        )[0]
        + sqrt(betas[t - 1]) * (t > 1) * z
    ),
)


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
