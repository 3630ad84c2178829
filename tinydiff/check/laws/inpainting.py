"""What a sampler that fills in the rest does to the known part."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import BATCH, CHAINS, LONG, Domain, betas_drawn, by_rank, normals, random_betas
from tinydiff.check.form import like
from tinydiff.check.laws.truth import ONE, ZERO, kernel
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

ALL = np.array([[True]])


def with_mask() -> Domain:
    """x_s, known and eps, and a boolean mask, all (B, D)."""

    def draw() -> Any:
        from hypothesis import strategies as st
        from hypothesis.extra import numpy as of

        def of_shape(shape: tuple[int, ...]) -> Any:
            numbers = of.arrays(float, shape, elements=st.floats(-3, 3, width=16))
            return st.tuples(numbers, numbers, of.arrays(bool, shape), numbers)

        return st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(of_shape)

    choices = [(0.0, 1.0, -2.0), (0.0, 1.0, -2.0), (True, False), (0.0, 1.0, -1.0)]
    small = [tuple(np.array([[value]]) for value in case) for case in by_rank(choices)]
    batch = (BATCH, -np.roll(BATCH, 1, axis=1), BATCH > 0, np.roll(BATCH, 2, axis=1))

    def random(rng: np.random.Generator) -> tuple:
        x_s, known, mask, eps = normals(rng, 4)
        return x_s, known, mask > 0, eps

    return Domain(("x_s", "known", "mask", "eps"), small, draw, [batch], elementwise=True, random=random)


def from_zero() -> Domain:
    """A time s from 0 to T and a chain of T steps."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return betas_drawn(1).flatmap(lambda b: st.tuples(st.integers(0, len(b)), st.just(b)))

    small = [(s, np.array(b)) for b in CHAINS for s in range(len(b) + 1)]

    def random(rng: np.random.Generator) -> tuple:
        betas = random_betas(rng)
        return int(rng.integers(len(betas) + 1)), betas

    return Domain(("s", "betas"), [*small, (0, LONG), (200, LONG)], draw, random=random)


inpaint_known = Spec(
    "inpaint_known(x_s, known, mask, s, eps, betas) -> x_s",
    "√ᾱ_s known + √(1 − ᾱ_s) ε where the mask is True, x_s as it is elsewhere",
    "Lugmayr et al. 2022, RePaint, eq. 8",
    (with_mask(), from_zero()),
    {"x_s": like("x_s")},
    about="All four arrays are (B, D), the mask boolean. s is an integer from 0 to T, and 0 is the last.",
)
inpaint_known.linear("x_s", "known", "eps")


@inpaint_known.law("where the mask is False x_s stays as it is, whatever is known and drawn")
def _(f: Probe, x_s: np.ndarray, known: np.ndarray, eps: np.ndarray, s: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(x_s, known, np.zeros(x_s.shape, dtype=bool), s, eps, betas), x_s


@inpaint_known.law("where the mask is True nothing is left of x_s")
def _(f: Probe, s: int, betas: np.ndarray) -> Iterator[tuple]:
    yield f(ONE, ZERO, ALL, s, ZERO, betas), 0


@inpaint_known.law("at s = 0 what is known comes back as it is, without noise")
def _(f: Probe, known: np.ndarray, eps: np.ndarray, betas: np.ndarray) -> Iterator[tuple]:
    yield f(0 * known, known, np.ones(known.shape, dtype=bool), 0, eps, betas), known


@inpaint_known.law("what is known gets the signal and the noise of s single steps")
def _(f: Probe, s: int, betas: np.ndarray) -> Iterator[tuple]:
    a, var = kernel(betas, s)
    yield f(ZERO, ONE, ALL, s, ZERO, betas), a, "known = 1, ε = 0"
    yield f(ZERO, ZERO, ALL, s, ONE, betas), var**0.5, "known = 0, ε = 1"


@inpaint_known.law("a variance of 1 stays 1: the squares of known's and ε's coefficients add up to 1")
def _(f: Probe, s: int, betas: np.ndarray) -> Iterator[tuple]:
    signal, noise = f(ZERO, ONE, ALL, s, ZERO, betas), f(ZERO, ZERO, ALL, s, ONE, betas)
    yield signal**2 + noise**2, 1, "the sum of both squares"


@inpaint_known.law("each coordinate of each row follows its own mask")
def _(f: Probe, s: int, betas: np.ndarray) -> Iterator[tuple]:
    x, known, (a, _) = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]]), kernel(betas, s)
    mask = np.array([[True, False], [False, False]])
    yield f(x, known, mask, s, 0 * x, betas), [[5 * a, 2], [3, 4]]
