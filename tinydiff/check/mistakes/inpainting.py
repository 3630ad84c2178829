"""Mistakes in inpainting."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import prod, sqrt

from tinydiff.check.laws.inpainting import inpaint_known
from tinydiff.check.mistakes.forward import jump
from tinydiff.check.mistakes.schedules import FORMULAS, Bar, misread, wrapped


def noised(known: Any, s: int, eps: Any, betas: np.ndarray) -> Any:
    """A draw of q(x_s|x_0 = known)."""
    return sqrt(prod(1 - betas[:s])) * known + sqrt(1 - prod(1 - betas[:s])) * eps


def beta_at(s: int, betas: np.ndarray) -> float:
    """β_s, and 0 at s = 0."""
    return betas[s - 1] if s else 0.0


def filled(noise: Callable[[float, Any, Any], Any], bar: Bar = lambda s, betas: prod(1 - betas[:s])) -> Callable:
    """With other noise on what is known, of ᾱ_s, known and ε."""
    return lambda x, known, mask, s, eps, betas: np.where(mask, noise(bar(s, betas), known, eps), x)


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
inpaint_known.mistake("both roots forgotten", filled(lambda ab, known, eps: ab * known + (1 - ab) * eps))
inpaint_known.mistake(
    "1 − √ᾱ_s in place of √(1 − ᾱ_s)", filled(lambda ab, known, eps: sqrt(ab) * known + (1 - sqrt(ab)) * eps)
)
inpaint_known.mistake("the two coefficients exchanged", filled(lambda ab, known, eps: jump(1 - ab, known, eps)))
inpaint_known.mistake("ε subtracted", filled(lambda ab, known, eps: jump(ab, known, -eps)))
inpaint_known.mistake("|ε| in place of ε", filled(lambda ab, known, eps: jump(ab, known, abs(eps))))
inpaint_known.mistake("ε clipped to [−3, 3]", filled(lambda ab, known, eps: jump(ab, known, np.clip(eps, -3, 3))))
inpaint_known.mistake("known clipped to [−1, 1]", filled(lambda ab, known, eps: jump(ab, np.clip(known, -1, 1), eps)))
inpaint_known.mistake(
    "no noise at s = 1", lambda x, known, mask, s, eps, betas: filled(jump)(x, known, mask, s, eps * (s != 1), betas)
)
inpaint_known.mistake("s ignored: ᾱ_T", filled(jump, lambda s, betas: prod(1 - betas)))
inpaint_known.mistake("cumprod(1 − betas)[s − 1] for ᾱ_s, the last ᾱ at s = 0", filled(jump, wrapped))
inpaint_known.mistake(
    "cumprod(1 − betas)[s], which is ᾱ_{s+1}", filled(jump, lambda s, betas: np.cumprod(1 - betas)[s])
)
inpaint_known.mistake(
    "betas[s:], the steps after s, in place of betas[:s] in ᾱ_s", filled(jump, lambda s, betas: prod(1 - betas[s:]))
)
inpaint_known.mistake("betas[1:s] in ᾱ_s: β_1 left out", filled(jump, lambda s, betas: prod(1 - betas[1:s])))
misread(inpaint_known, lambda bar: filled(jump, bar), FORMULAS)
