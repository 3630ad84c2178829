"""Schedules: how much signal is left, and how much noise is there."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from identities.catalogue import identity
from identities.draws import betas, processes, times
from tinydiff import grids


@identity(
    1,
    float64=1e-13,
    float32=1e-6,
    bugs=[
        (td.Discrete._log_alpha_bar_at, "self.index(t)", "self.index(t) - 1"),
        (td.Discrete._log_alpha_bar, "np.cumsum", "np.asarray"),
    ],
)
@given(betas=betas)
def test_noise_is_the_sum_of_the_faded_steps(hold, betas):
    r"""$1 - \bar\alpha_t = \sum_{s \le t} \beta_s \prod_{r=s+1}^{t} (1 - \beta_r)$

    Each step adds its β, and the later steps fade it.

    Source: Ho et al. 2020 (DDPM), eq. 4.
    Catches: a schedule off by one; α_t = 1 − β_t in place of the product ᾱ_t.
    """
    process, T = td.Discrete(betas), len(betas)
    for n in range(T + 1):
        faded = sum(betas[m] * math.prod(1 - betas[m + 1 : n]) for m in range(n))
        hold(process.sigma(hold.cast(n / T)) ** 2, faded)


@identity(
    2,
    float64=1e-14,
    float32=1e-6,
    bugs=[(td.Discrete.sigma, "-xp.expm1(self._log_alpha_bar_at(t))", "1 - xp.exp(self._log_alpha_bar_at(t))")],
)
@given(beta=st.floats(1e-12, 1e-3), T=st.integers(1, 20))
def test_tiny_steps_keep_their_digits(hold, beta, T):
    r"""$1 - \bar\alpha_t = -\operatorname{expm1} \sum_{s \le t} \operatorname{log1p}(-\beta_s)$, against fifty digits

    Source: floating-point arithmetic; $1 - \prod (1 - \beta)$ loses 2.7e-8 of itself at β = 1e-9.
    Catches: cancellation in 1 − cumprod.
    """
    with localcontext(prec=50):
        exact = [float(1 - (1 - Decimal(beta)) ** n) for n in range(1, T + 1)]
    hold(td.Discrete(np.full(T, beta)).sigma(hold.cast(np.arange(1, T + 1) / T)) ** 2, exact)
