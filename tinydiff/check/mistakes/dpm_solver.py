"""Mistakes in a step of DPM-Solver++(2M)."""

from collections.abc import Callable
from typing import Any

from numpy import exp, log

from tinydiff.check.laws.dpm_solver import dpm_solver_2m_step


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
