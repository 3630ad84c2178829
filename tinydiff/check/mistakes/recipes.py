"""Mistakes in EDM's coefficients, and in Newton and Schulz's iteration."""

from typing import Any

import numpy as np
from numpy import hypot

from tinydiff.check.laws.recipes import edm_coefficients, newton_schulz


def edm(s: float, d: float, **change: Any) -> tuple:
    """The coefficients, with some of them changed."""
    known = {"skip": d**2 / (s**2 + d**2), "out": s * d / hypot(s, d), "enter": 1 / hypot(s, d)} | change
    return known["skip"], known["out"], known["enter"]


edm_coefficients.mistake("the root in c_in forgotten", lambda s, d: edm(s, d, enter=1 / (s**2 + d**2)))
edm_coefficients.mistake("the root in c_out forgotten", lambda s, d: edm(s, d, out=s * d / (s**2 + d**2)))
edm_coefficients.mistake("a root in c_skip", lambda s, d: edm(s, d, skip=d / hypot(s, d)))
edm_coefficients.mistake("σ² in place of σ_data² above c_skip", lambda s, d: edm(s, d, skip=s**2 / (s**2 + d**2)))
edm_coefficients.mistake("c_skip of σ_data = 1", lambda s, d: edm(s, d, skip=1 / (s**2 + 1)))
edm_coefficients.mistake("all of σ_data = 1", lambda s, d: edm(s, 1.0))
edm_coefficients.mistake("σ and σ_data exchanged", lambda s, d: edm(d, s))
edm_coefficients.mistake("c_out = σ, as for a network that says ε", lambda s, d: edm(s, d, out=s))
edm_coefficients.mistake(
    "c_out = σ and c_skip = 1, as for a network that says ε", lambda s, d: edm(s, d, out=s, skip=1.0)
)
edm_coefficients.mistake(
    "c_skip = 0 and c_out = σ_data, as for a network that says x_0", lambda s, d: edm(s, d, skip=0.0, out=d)
)
edm_coefficients.mistake(
    "σ + σ_data in place of √(σ² + σ_data²)", lambda s, d: (d**2 / (s + d) ** 2, s * d / (s + d), 1 / (s + d))
)
edm_coefficients.mistake("c_in = 1, which does not scale x", lambda s, d: edm(s, d, enter=1.0))
edm_coefficients.mistake("√(σ² + σ_data²) in place of its inverse in c_in", lambda s, d: edm(s, d, enter=hypot(s, d)))
edm_coefficients.mistake("c_in first: another order of the three", lambda s, d: edm(s, d)[::-1])
edm_coefficients.mistake("c_out first: another order of the three", lambda s, d: tuple(edm(s, d)[i] for i in (1, 0, 2)))
edm_coefficients.mistake(
    "c_in before c_out: another order of the three", lambda s, d: tuple(edm(s, d)[i] for i in (0, 2, 1))
)
edm_coefficients.mistake("the sign of c_out", lambda s, d: edm(s, d, out=-s * d / hypot(s, d)))
edm_coefficients.mistake("c_out squared", lambda s, d: edm(s, d, out=s**2 * d**2 / (s**2 + d**2)))
edm_coefficients.mistake("c_skip of x_t = √ᾱ x_0 + √(1 − ᾱ) ε: its root", lambda s, d: edm(s, d, skip=1 / hypot(s, 1)))


def iterated(m: Any, steps: int, **change: Any) -> Any:
    """The iteration, with the scale or the step changed."""
    x = m / change.get("norm", lambda m: np.linalg.norm(m))(m)
    for _ in range(steps):
        x = change.get("step", lambda x: (3 * x - x @ x.T @ x) / 2)(x)
    return x


newton_schulz.mistake("m not divided by its norm", lambda m, steps: iterated(m, steps, norm=lambda m: 1.0))
newton_schulz.mistake(
    "the largest number in place of a norm", lambda m, steps: iterated(m, steps, norm=lambda m: np.max(np.abs(m)))
)
newton_schulz.mistake("the square of the norm", lambda m, steps: iterated(m, steps, norm=lambda m: np.sum(m**2)))
newton_schulz.mistake(
    "the norm of each row", lambda m, steps: iterated(m, steps, norm=lambda m: np.linalg.norm(m, axis=1, keepdims=True))
)
newton_schulz.mistake("the sum of the numbers", lambda m, steps: iterated(m, steps, norm=lambda m: np.sum(m)))
newton_schulz.mistake("the ½ forgotten", lambda m, steps: iterated(m, steps, step=lambda x: 3 * x - x @ x.T @ x))
newton_schulz.mistake("2 in place of 3", lambda m, steps: iterated(m, steps, step=lambda x: (2 * x - x @ x.T @ x) / 2))
newton_schulz.mistake(
    "the sign of the cube", lambda m, steps: iterated(m, steps, step=lambda x: (3 * x + x @ x.T @ x) / 2)
)
newton_schulz.mistake(
    "the sign of the whole step", lambda m, steps: iterated(m, steps, step=lambda x: (x @ x.T @ x - 3 * x) / 2)
)
newton_schulz.mistake(
    "2 X − X Xᵀ X, which keeps 1 but turns there",
    lambda m, steps: iterated(m, steps, step=lambda x: 2 * x - x @ x.T @ x),
)
newton_schulz.mistake(
    "the cube of each number in place of X Xᵀ X", lambda m, steps: iterated(m, steps, step=lambda x: (3 * x - x**3) / 2)
)
newton_schulz.mistake(
    "Muon's quintic, which never settles at 1",
    lambda m, steps: iterated(
        m, steps, step=lambda x: 3.4445 * x - 4.775 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    ),
)
newton_schulz.mistake(
    "the quintic (15 s − 10 s³ + 3 s^5)/8 in place of the cubic",
    lambda m, steps: iterated(m, steps, step=lambda x: (15 * x - 10 * x @ x.T @ x + 3 * x @ x.T @ x @ x.T @ x) / 8),
)
newton_schulz.mistake("one step too many", lambda m, steps: iterated(m, steps + 1))
newton_schulz.mistake("one step too few", lambda m, steps: iterated(m, max(steps - 1, 0)))
newton_schulz.mistake("one step, however many are asked for", lambda m, steps: iterated(m, 1))
newton_schulz.mistake("no step at all", lambda m, steps: iterated(m, 0))
newton_schulz.mistake(
    "divided by the norm in each step",
    lambda m, steps: iterated(m, steps, step=lambda x: normed((3 * x - x @ x.T @ x) / 2)),
)
newton_schulz.mistake(
    "multiplied by the norm again at the end", lambda m, steps: np.linalg.norm(m) * iterated(m, steps)
)
newton_schulz.mistake(
    "the inverse's iteration, X (2 − X): for numbers", lambda m, steps: iterated(m, steps, step=lambda x: x * (2 - x))
)


def normed(x: Any) -> Any:
    """x over its norm."""
    return x / np.linalg.norm(x)
