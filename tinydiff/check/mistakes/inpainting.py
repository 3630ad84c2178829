"""Mistakes in inpainting."""

from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.inpainting import inpaint_known


def noised(known: Any, s: int, eps: Any, betas: np.ndarray) -> Any:
    """A draw of q(x_s|x_0 = known)."""
    return sqrt(prod(1 - betas[:s])) * known + sqrt(1 - prod(1 - betas[:s])) * eps


def beta_at(s: int, betas: np.ndarray) -> float:
    """β_s, and 0 at s = 0."""
    return betas[s - 1] if s else 0.0


inpaint_known.mistake("known, not noised", lambda x, known, mask, s, eps, betas: np.where(mask, known, x))
inpaint_known.mistake(
    "the mask inverted", lambda x, known, mask, s, eps, betas: np.where(mask, x, noised(known, s, eps, betas))
)
inpaint_known.mistake(
    "no noise on what is known",
    lambda x, known, mask, s, eps, betas: np.where(mask, sqrt(prod(1 - betas[:s])) * known, x),
)
inpaint_known.mistake(
    "what is known not scaled by √ᾱ_s",
    lambda x, known, mask, s, eps, betas: np.where(mask, known + sqrt(1 - prod(1 - betas[:s])) * eps, x),
)
inpaint_known.mistake(
    "1 − ᾱ_s in place of √(1 − ᾱ_s)",
    lambda x, known, mask, s, eps, betas: np.where(
        mask, sqrt(prod(1 - betas[:s])) * known + (1 - prod(1 - betas[:s])) * eps, x
    ),
)
inpaint_known.mistake(
    "ᾱ_s in place of √ᾱ_s",
    lambda x, known, mask, s, eps, betas: np.where(
        mask, prod(1 - betas[:s]) * known + sqrt(1 - prod(1 - betas[:s])) * eps, x
    ),
)
inpaint_known.mistake(
    "1 − β_s in place of ᾱ_s, the product of all up to s",
    lambda x, known, mask, s, eps, betas: np.where(
        mask, sqrt(1 - beta_at(s, betas)) * known + sqrt(beta_at(s, betas)) * eps, x
    ),
)
inpaint_known.mistake(
    "the noise of one step more: ᾱ_{s+1} in place of ᾱ_s",
    lambda x, known, mask, s, eps, betas: np.where(mask, noised(known, s + 1, eps, betas), x),
)
inpaint_known.mistake(
    "the noise of one step less: ᾱ_{s−1} in place of ᾱ_s",
    lambda x, known, mask, s, eps, betas: np.where(mask, noised(known, max(s - 1, 0), eps, betas), x),
)
inpaint_known.mistake(
    "known and x_s added where the mask is True",
    lambda x, known, mask, s, eps, betas: x + mask * noised(known, s, eps, betas),
)
inpaint_known.mistake(
    "the rest set to 0", lambda x, known, mask, s, eps, betas: np.where(mask, noised(known, s, eps, betas), 0)
)
inpaint_known.mistake(
    "the rest noised too", lambda x, known, mask, s, eps, betas: noised(np.where(mask, known, x), s, eps, betas)
)
