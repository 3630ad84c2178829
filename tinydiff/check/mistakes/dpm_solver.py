"""Mistakes in a step of DPM-Solver++(2M), and in one that looks back to any number of answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import exp, log, log2

from tinydiff.check.laws.dpm_solver import dpm_solver_2m_step, multistep_step


def two_m(
    x: Any, new: Any, old: Any, t_before: float, t: float, s: float, alpha: Callable, sigma: Callable, **change: Any
) -> Any:
    """The step, with the weight of the extrapolation, λ or h changed."""
    half = change.get("lam", lambda u: log(alpha(u) / sigma(u)))
    h, h_before = half(s) - half(t), half(t) - half(t_before)
    d = new + change.get("weight", lambda h, h_before: h / (2 * h_before))(h, h_before) * (new - old)
    ratio = change.get("ratio", sigma(s) / sigma(t))
    return ratio * x - change.get("front", alpha(s)) * change.get("decay", lambda h: exp(-h) - 1)(h) * d


dpm_solver_2m_step.mistake("the first order alone", lambda *a: two_m(*a, weight=lambda h, h_before: 0.0))
dpm_solver_2m_step.mistake(
    "r upside down, h/h′ in place of h′/h", lambda *a: two_m(*a, weight=lambda h, h_before: h_before / (2 * h))
)
dpm_solver_2m_step.mistake("1/r in place of 1/2r", lambda *a: two_m(*a, weight=lambda h, h_before: h / h_before))
dpm_solver_2m_step.mistake(
    "the sign of the extrapolation", lambda *a: two_m(*a, weight=lambda h, h_before: -h / (2 * h_before))
)
dpm_solver_2m_step.mistake(
    "the log-SNR, which is twice ln(α/σ)", lambda *a: two_m(*a, lam=lambda u: 2 * log(a[6](u) / a[7](u)))
)
dpm_solver_2m_step.mistake("α_s/α_t in place of σ_s/σ_t", lambda *a: two_m(*a, ratio=a[6](a[5]) / a[6](a[4])))
dpm_solver_2m_step.mistake("α_t in place of α_s", lambda *a: two_m(*a, front=a[6](a[4])))
dpm_solver_2m_step.mistake("the sign of the second term", lambda *a: two_m(*a, front=-a[6](a[5])))
dpm_solver_2m_step.mistake(
    "h and h′ measured in time in place of ln(α/σ)", lambda *a: two_m(*a, weight=lambda *_: by_times(*a[3:6]))
)
dpm_solver_2m_step.mistake(
    "e^{h} − 1, with h of the wrong sign", lambda *a: two_m(*a, lam=lambda u: log(a[7](u) / a[6](u)))
)
dpm_solver_2m_step.mistake(
    "log_2(α/σ) in place of ln(α/σ)", lambda *a: two_m(*a, lam=lambda u: log2(a[6](u) / a[7](u)))
)
dpm_solver_2m_step.mistake("α/σ in place of ln(α/σ)", lambda *a: two_m(*a, lam=lambda u: a[6](u) / a[7](u)))
dpm_solver_2m_step.mistake("the −1 beside e^{−h} forgotten", lambda *a: two_m(*a, decay=lambda h: exp(-h)))
dpm_solver_2m_step.mistake("−h in place of e^{−h} − 1", lambda *a: two_m(*a, decay=lambda h: -h))
dpm_solver_2m_step.mistake("σ_t/σ_s in place of σ_s/σ_t", lambda *a: two_m(*a, ratio=a[7](a[4]) / a[7](a[5])))
dpm_solver_2m_step.mistake("x_t not scaled by σ_s/σ_t", lambda *a: two_m(*a, ratio=1.0))
dpm_solver_2m_step.mistake("σ_s in place of α_s", lambda *a: two_m(*a, front=a[7](a[5])))
dpm_solver_2m_step.mistake("α_s left out", lambda *a: two_m(*a, front=1.0))
dpm_solver_2m_step.mistake(
    "the step for a network that predicts ε: α and σ exchanged, −h for h",
    lambda *a: two_m(*a, ratio=a[6](a[5]) / a[6](a[4]), front=a[7](a[5]), decay=lambda h: exp(h) - 1),
)
dpm_solver_2m_step.mistake("½ in place of h/2h′", lambda *a: two_m(*a, weight=lambda *_: 0.5))
dpm_solver_2m_step.mistake(
    "1/2h′ in place of h/2h′", lambda *a: two_m(*a, weight=lambda h, h_before: 1 / (2 * h_before))
)
dpm_solver_2m_step.mistake(
    "h + h′ in place of h′ in h/2h′", lambda *a: two_m(*a, weight=lambda h, h_before: h / (2 * (h + h_before)))
)


def by_times(t_before: float, t: float, s: float) -> float:
    """h/2h′ measured in t."""
    return (s - t) / (2 * (t - t_before))


NODES, GAUSS = np.polynomial.legendre.leggauss(40)


def multistep(x_t: Any, x0_hats: list, times: Any, s: float, alpha: Callable, sigma: Callable, **change: Any) -> Any:
    """The step, with a piece of it changed; moments of e^l l^j by recursion."""
    clock = change.get("clock", lambda u: float(log(alpha(u) / sigma(u))))
    *past, end = (clock(u) for u in (*change.get("taken", times), s))
    powers, start = range(len(past)), past[-1]
    weight = change.get("weight", exp)
    half = (start + end + (end - start) * NODES) / 2
    w = GAUSS * weight(half) * (end - start) / 2
    moments = [np.sum(w * half**j) for j in powers]
    matrix = np.array(past)[:, None] ** np.array(powers)
    each = np.linalg.solve(matrix.T, np.array(moments))
    t = times[-1]
    total = sum(a * one for a, one in zip(each, change.get("order", lambda xs: xs)(x0_hats), strict=True))
    return change.get("ratio", sigma(s) / sigma(t)) * x_t + change.get("front", sigma(s)) * total


multistep_step.mistake("the newest answer taken for the first", lambda *a: multistep(*a, order=lambda xs: xs[::-1]))
multistep_step.mistake("the newest answer alone: DDIM", lambda x, xs, ts, *a: multistep(x, xs[-1:], ts[-1:], *a))
multistep_step.mistake("the last two answers alone", lambda x, xs, ts, *a: multistep(x, xs[-2:], ts[-2:], *a))
multistep_step.mistake(
    "the oldest answer forgotten", lambda x, xs, ts, *a: multistep(x, xs[-len(xs) + 1 :], ts[-len(ts) + 1 :], *a)
)
multistep_step.mistake("the mean of all answers", lambda x, xs, ts, *a: multistep(x, [sum(xs) / len(xs)], ts[-1:], *a))
multistep_step.mistake(
    "answers taken for those of equal steps in time",
    lambda *a: multistep(*a, taken=a[2][-1] + (a[2][-1] - a[3]) * np.arange(len(a[2]))[::-1]),
)
multistep_step.mistake("σ_t in place of σ_s before the integral", lambda *a: multistep(*a, front=a[5](a[2][-1])))
multistep_step.mistake("α_s in place of σ_s before the integral", lambda *a: multistep(*a, front=a[4](a[3])))
multistep_step.mistake("σ_s before the integral left out", lambda *a: multistep(*a, front=1.0))
multistep_step.mistake("the sign of the integral", lambda *a: multistep(*a, front=-a[5](a[3])))
multistep_step.mistake("x_t not scaled by σ_s/σ_t", lambda *a: multistep(*a, ratio=1.0))
multistep_step.mistake("α_s/α_t in place of σ_s/σ_t", lambda *a: multistep(*a, ratio=a[4](a[3]) / a[4](a[2][-1])))
multistep_step.mistake("σ_t/σ_s in place of σ_s/σ_t", lambda *a: multistep(*a, ratio=a[5](a[2][-1]) / a[5](a[3])))
multistep_step.mistake("e^{−l} in place of e^l", lambda *a: multistep(*a, weight=lambda half: exp(-half)))
multistep_step.mistake("e^l forgotten", lambda *a: multistep(*a, weight=lambda half: 0 * half + 1))
multistep_step.mistake("α/σ in place of l = ln(α/σ)", lambda *a: multistep(*a, clock=lambda u: a[4](u) / a[5](u)))
multistep_step.mistake(
    "the log-SNR, 2 ln(α/σ), in place of l", lambda *a: multistep(*a, clock=lambda u: 2 * log(a[4](u) / a[5](u)))
)
multistep_step.mistake(
    "log_2(α/σ) in place of ln(α/σ)", lambda *a: multistep(*a, clock=lambda u: log2(a[4](u) / a[5](u)))
)
multistep_step.mistake("time in place of l", lambda *a: multistep(*a, clock=lambda u: u))
multistep_step.mistake("ln(σ/α), with the wrong sign", lambda *a: multistep(*a, clock=lambda u: log(a[5](u) / a[4](u))))
