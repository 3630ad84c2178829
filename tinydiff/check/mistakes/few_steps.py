"""Mistakes in two steps that are made one, and in answers that begin with the point itself."""

from typing import Any

import numpy as np

from tinydiff.check.laws.few_steps import consistency_output, two_steps_in_one


def joined(x_t: Any, x_s: Any, a_t: Any, s_t: Any, a_s: Any, s_s: Any, **change: Any) -> Any:
    """The target, with a piece of it changed: what is kept of x_t, or what stands below."""
    ratio = change.get("ratio", s_s / s_t)
    above = change.get("above", x_s - ratio * x_t)
    return above / change.get("below", a_s - ratio * a_t)


two_steps_in_one.mistake("x_s itself", lambda *a: a[1] + 0 * a[0])
two_steps_in_one.mistake("x_s/α_s, as if no noise were left at s", lambda *a: a[1] / a[4])
two_steps_in_one.mistake("the noise of x_t not taken off x_s", lambda *a: joined(*a, above=a[1]))
two_steps_in_one.mistake("α_s alone below", lambda *a: joined(*a, below=a[4]))
two_steps_in_one.mistake("the sign above", lambda *a: joined(*a, above=a[1] + a[5] / a[3] * a[0]))
two_steps_in_one.mistake("the sign below", lambda *a: joined(*a, below=a[4] + a[5] / a[3] * a[2]))
two_steps_in_one.mistake("σ_s in place of σ_s/σ_t", lambda *a: joined(*a, ratio=a[5]))
two_steps_in_one.mistake("σ_s²/σ_t² in place of σ_s/σ_t", lambda *a: joined(*a, ratio=(a[5] / a[3]) ** 2))
two_steps_in_one.mistake("the root of σ_s/σ_t in its place", lambda *a: joined(*a, ratio=np.sqrt(a[5] / a[3])))
two_steps_in_one.mistake("α_s and α_t exchanged below", lambda *a: joined(*a, below=a[2] - a[5] / a[3] * a[4]))
two_steps_in_one.mistake("x_t and x_s exchanged", lambda x_t, x_s, *rest: joined(x_s, x_t, *rest))
two_steps_in_one.mistake("α_t/α_s in place of σ_s/σ_t", lambda *a: joined(*a, ratio=a[2] / a[4]))
two_steps_in_one.mistake("the noise of the step in place of its x_0", lambda *a: (a[0] - a[2] * joined(*a)) / a[3])
two_steps_in_one.mistake("the difference x_s − x_t alone", lambda *a: a[1] - a[0])


def output(f: Any, x: Any, s: Any, d: float, m: float, **change: Any) -> Any:
    """The paper's answer, with c_skip or c_out changed."""
    skip = change.get("skip", d**2 / ((s - m) ** 2 + d**2))
    return skip * x + change.get("out", d * (s - m) / np.sqrt(s**2 + d**2)) * f


def edm(s: Any, d: float) -> dict[str, Any]:
    """EDM's coefficients."""
    return {"skip": d**2 / (s**2 + d**2), "out": s * d / np.sqrt(s**2 + d**2)}


consistency_output.mistake(
    "EDM's own c_skip and c_out, which reach 1 and 0 at σ = 0", lambda f, x, s, d, m: output(f, x, s, d, m, **edm(s, d))
)
consistency_output.mistake(
    "σ_min forgotten in c_skip", lambda f, x, s, d, m: output(f, x, s, d, m, skip=edm(s, d)["skip"])
)
consistency_output.mistake(
    "σ_min forgotten in c_out", lambda f, x, s, d, m: output(f, x, s, d, m, out=edm(s, d)["out"])
)
consistency_output.mistake(
    "the network's answer alone", lambda f, x, s, d, m: output(f, x, s, d, m, skip=0 * s, out=1.0)
)
consistency_output.mistake(
    "σ_data times the network's answer, without x", lambda f, x, s, d, m: output(f, x, s, d, m, skip=0 * s, out=d)
)
consistency_output.mistake(
    "c_out = σ − σ_min, which has no bound", lambda f, x, s, d, m: output(f, x, s, d, m, out=s - m)
)
consistency_output.mistake("c_skip = 1", lambda f, x, s, d, m: output(f, x, s, d, m, skip=1.0))
consistency_output.mistake("x alone", lambda f, x, s, d, m: output(f, x, s, d, m, skip=1.0, out=0 * s))
consistency_output.mistake(
    "a jump: x at σ_min, and the network elsewhere", lambda f, x, s, d, m: np.where(s <= m, x, d * f)
)
consistency_output.mistake("f and x exchanged", lambda f, x, *rest: output(x, f, *rest))
consistency_output.mistake(
    "σ_data forgotten in c_out", lambda f, x, s, d, m: output(f, x, s, d, m, out=(s - m) / np.hypot(s, d))
)
consistency_output.mistake(
    "the root in c_out forgotten", lambda f, x, s, d, m: output(f, x, s, d, m, out=d * (s - m) / (s**2 + d**2))
)
consistency_output.mistake(
    "the sign of c_skip", lambda f, x, s, d, m: output(f, x, s, d, m, skip=-(d**2) / ((s - m) ** 2 + d**2))
)
consistency_output.mistake(
    "σ + σ_min in place of σ − σ_min", lambda f, x, s, d, m: output(f, x, s, d, -m, out=d * (s + m) / np.hypot(s, d))
)
