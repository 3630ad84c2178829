"""What a network may predict: how ε, x_0 and v say the same."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import points, steps
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- x0_from_eps

x0_from_eps = Spec(
    "x0_from_eps(x_t, t, eps, betas) -> x0",
    "x_0 = (x_t − √(1 − ᾱ_t) ε)/√ᾱ_t",
    "Ho et al. 2020, DDPM, eq. 4 solved for x_0",
    (points("x_t", "eps"), steps()),
    {"x0": like("x_t")},
)
x0_from_eps.linear("x_t", "eps")


@x0_from_eps.law("what is all signal is scaled back: x_t = √ᾱ_t and ε = 0 give 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[0] * ONE, t, ZERO, betas), 1


@x0_from_eps.law("what is all noise gives 0: x_t = √(1 − ᾱ_t) and ε = 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[1] ** 0.5 * ONE, t, ONE, betas), 0


@x0_from_eps.law("it undoes t single steps: from x_t made of x_0 = 2 and ε it finds 2")
def _(f: Probe, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield f(2 * a + var**0.5 * eps, t, eps, betas), 2


# ---- eps_from_x0

eps_from_x0 = Spec(
    "eps_from_x0(x_t, t, x0, betas) -> eps",
    "ε = (x_t − √ᾱ_t x_0)/√(1 − ᾱ_t)",
    "Ho et al. 2020, DDPM, eq. 4 solved for ε",
    (points("x_t", "x0"), steps()),
    {"eps": like("x_t")},
)
eps_from_x0.linear("x_t", "x0")


@eps_from_x0.law("what is all noise is scaled back: x_t = √(1 − ᾱ_t) and x_0 = 0 give 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[1] ** 0.5 * ONE, t, ZERO, betas), 1


@eps_from_x0.law("what is all signal gives 0: x_t = √ᾱ_t and x_0 = 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(kernel(betas, t)[0] * ONE, t, ONE, betas), 0


@eps_from_x0.law("it finds the noise of t single steps: from x_t made of x_0 and ε = 2 it finds 2")
def _(f: Probe, x0: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield f(a * x0 + 2 * var**0.5, t, x0, betas), 2


# ---- v_from_x0_eps

v_from_x0_eps = Spec(
    "v_from_x0_eps(t, x0, eps, betas) -> v",
    "v = √ᾱ_t ε − √(1 − ᾱ_t) x_0",
    "Salimans & Ho 2022, Progressive Distillation, App. D",
    (points("x0", "eps"), steps()),
    {"v": like("x0")},
)
v_from_x0_eps.linear("x0", "eps")


@v_from_x0_eps.law("the coefficient of ε is what is left of the signal, √ᾱ_t")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(t, ZERO, ONE, betas), kernel(betas, t)[0]


@v_from_x0_eps.law("x_0 and ε come back: x_0 = √ᾱ_t x_t − √(1 − ᾱ_t) v and ε = √(1 − ᾱ_t) x_t + √ᾱ_t v")
def _(f: Probe, x0: np.ndarray, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    x_t, v = a * x0 + var**0.5 * eps, f(t, x0, eps, betas)
    yield a * x_t - var**0.5 * v, x0, "√ᾱ_t x_t − √(1 − ᾱ_t) v, and x_0"
    yield var**0.5 * x_t + a * v, eps, "√(1 − ᾱ_t) x_t + √ᾱ_t v, and ε"


@v_from_x0_eps.law("(x_t, v) is (x_0, ε) rotated: x_t² + v² = x_0² + ε²")
def _(f: Probe, x0: np.ndarray, eps: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    yield (a * x0 + var**0.5 * eps) ** 2 + f(t, x0, eps, betas) ** 2, x0**2 + eps**2, "x_t² + v², and x_0² + ε²"


# ---- from_v

from_v = Spec(
    "from_v(x_t, t, v, betas) -> (x0, eps)",
    "x_0 = √ᾱ_t x_t − √(1 − ᾱ_t) v and ε = √(1 − ᾱ_t) x_t + √ᾱ_t v, of v = √ᾱ_t ε − √(1 − ᾱ_t) x_0",
    "Salimans & Ho 2022, Progressive Distillation, App. D",
    (points("x_t", "v"), steps()),
    {"x0": like("x_t"), "eps": like("x_t")},
    about="x_t and v are (B, D). Both are returned: x_0 first, then ε.",
)
from_v.linear("x_t", "v", outputs=(0, 1))


@from_v.law("of x_0 = 1 and ε = 0, which make x_t = √ᾱ_t and v = −√(1 − ᾱ_t), it finds 1 and 0")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    x0, eps = f(a * ONE, t, -(var**0.5) * ONE, betas)
    yield x0, 1, "x_0"
    yield eps, 0, "ε"


@from_v.law("of x_0 = 0 and ε = 1, which make x_t = √(1 − ᾱ_t) and v = √ᾱ_t, it finds 0 and 1")
def _(f: Probe, t: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, t)
    x0, eps = f(var**0.5 * ONE, t, a * ONE, betas)
    yield x0, 0, "x_0"
    yield eps, 1, "ε"


@from_v.law("t single steps from its x_0 with its ε lead to x_t again: √ᾱ_t x_0 + √(1 − ᾱ_t) ε")
def _(f: Probe, x_t: np.ndarray, v: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (x0, eps) = kernel(betas, t), f(x_t, t, v, betas)
    yield a * x0 + var**0.5 * eps, x_t, "√ᾱ_t x_0 + √(1 − ᾱ_t) ε, and x_t"


@from_v.law("its x_0 and ε make v again: √ᾱ_t ε − √(1 − ᾱ_t) x_0")
def _(f: Probe, x_t: np.ndarray, v: np.ndarray, t: int, betas: np.ndarray) -> Iterator[tuple]:
    (a, var), (x0, eps) = kernel(betas, t), f(x_t, t, v, betas)
    yield a * eps - var**0.5 * x0, v, "√ᾱ_t ε − √(1 − ᾱ_t) x_0, and v"
