"""The arguments that laws are tried on: small ones in order of size, then random ones, and those of the deep level.

A domain holds arguments that belong together, such as a chain and a time on it. The small values come simplest first,
so that the first case that breaks a law is the smallest. They are special, with ½ = 1 − ½ and 0 = −0, so random values
follow, without symmetry; at the deep level Hypothesis, imported when asked for, draws more.

Shapes: B rows, D coordinates; points are (B, D), and the small ones (1, 1).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np


class Domain(NamedTuple):
    """Joint values of the arguments `names`, tuples in order of size; drawn() is a Hypothesis strategy of more.

    random(rng) draws values in which no two formulas agree by chance, of few digits; without it, one of the others.
    """

    names: tuple[str, ...]
    small: Sequence[tuple]
    drawn: Callable[[], Any]
    batches: Sequence[tuple] = ()  # of several rows, to compare with each row alone
    elementwise: bool = False  # each number of a batch has the answer that it has alone
    random: Callable[[np.random.Generator], tuple] | None = None

    def project(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The small values of those of its arguments that are in `names`, each once."""
        found: dict[tuple, dict[str, Any]] = {}
        for values in self.small:
            part = {name: value for name, value in zip(self.names, values, strict=True) if name in names}
            found.setdefault(tuple(_key(value) for value in part.values()), part)
        return list(found.values())


def _key(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_key, value))
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


class Formula:
    """A function that prints as its own source, so that a counterexample can be pasted."""

    def __init__(self, source: str):
        self.source = source
        self.function = eval(source, {"np": np})

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Its value."""
        return self.function(*args, **named)

    def __repr__(self) -> str:
        return self.source


def combinations(domains: Sequence[Domain], names: Sequence[str], limit: int) -> Iterator[dict[str, Any]]:
    """All combinations of small values of the arguments `names`, simplest first, and no more than `limit`."""
    parts = [domain.project(names) for domain in domains if set(domain.names) & set(names)]
    for case in islice(by_rank(parts), limit):
        yield {name: value for part in case for name, value in part.items()}


def by_rank(lists: Sequence[Sequence]) -> Iterator[tuple]:
    """Their product, in order of the sum of the places that its elements have in their lists."""

    def of_rank(rank: int, lists: Sequence[Sequence]) -> Iterator[tuple]:
        if not lists:
            yield from [()] * (rank == 0)
            return
        for i in range(min(rank + 1, len(lists[0]))):
            for rest in of_rank(rank - i, lists[1:]):
                yield lists[0][i], *rest

    for rank in range(sum(len(values) - 1 for values in lists) + 1):
        yield from of_rank(rank, lists)


def each_alone(domains: Sequence[Domain]) -> Iterator[dict[str, Any]]:
    """Every value of every domain beside the simplest of the others, then batches: enough for laws of form."""
    simplest = {name: value for domain in domains for name, value in domain.project(domain.names)[0].items()}
    yield simplest
    for domain in domains:
        yield from (simplest | part for part in domain.project(domain.names)[1:])
    for domain in domains:
        rest = [name for other in domains if other is not domain for name in other.names]
        for values in domain.batches:
            batch = dict(zip(domain.names, values, strict=True))
            yield from (simplest | case | batch for case in combinations(domains, rest, 50))


def drawn(domains: Sequence[Domain], names: Sequence[str]) -> Any:
    """A Hypothesis strategy of the arguments `names`."""
    from hypothesis import strategies as st

    parts = [domain for domain in domains if set(domain.names) & set(names)]

    def named(values: tuple) -> dict[str, Any]:
        case: dict[str, Any] = {}
        for domain, joint in zip(parts, values, strict=True):
            case |= zip(domain.names, joint, strict=True)
        return {name: value for name, value in case.items() if name in names}

    return st.tuples(*[domain.drawn() for domain in parts]).map(named)


def at_random(domains: Sequence[Domain], rng: np.random.Generator) -> dict[str, Any]:
    """A random value of every argument."""
    case: dict[str, Any] = {}
    for domain in domains:
        listed = [*domain.small, *domain.batches]
        values = domain.random(rng) if domain.random else listed[rng.integers(len(listed))]
        case |= zip(domain.names, values, strict=True)
    return case


def normals(rng: np.random.Generator, count: int, *shape: int) -> tuple[np.ndarray, ...]:
    """Arrays of one shape, by default of up to four rows and columns: normal numbers, far out now and then, or 0."""
    far = 10 ** rng.uniform(0, 3) if rng.random() < 1 / 2 else 1.0
    arrays = np.round(far * rng.standard_normal((count, *(shape or rng.integers(1, 5, 2)))), 2)
    if rng.random() < 0.1:
        arrays[rng.integers(count)] = 0
    return tuple(arrays)


# ---- points


VALUES: dict[str, tuple[float, ...]] = {
    "x0": (0, 1, -2),
    "x_t": (0, 1, -2),
    "x": (0, 1, -2),
    "eps": (0, 1, -1),
    "eps_hat": (0, 1, -1),
    "z": (0, 1, -1),
}
BATCH = np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]])  # (2, 3)


def points(*names: str) -> Domain:
    """Arrays (B, D) of one shape."""

    def draw() -> Any:
        from hypothesis import strategies as st
        from hypothesis.extra import numpy as of

        def of_shape(shape: tuple[int, ...]) -> Any:
            return st.tuples(*[of.arrays(float, shape, elements=st.floats(-3, 3, width=16)) for _ in names])

        return st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(of_shape)

    choices = [[np.array([[float(value)]]) for value in VALUES.get(name, (0, 1, -2))] for name in names]
    batch = tuple(np.roll(BATCH, k, axis=1) * (-1) ** k for k in range(len(names)))
    return Domain(
        names, list(by_rank(choices)), draw, [batch], elementwise=True, random=lambda rng: normals(rng, len(names))
    )


# ---- chains: β_t = betas[t − 1], t from 1 to T


CHAINS = (
    *((b,) for b in (0.5, 0.1, 0.02, 0.9, 0.001)),
    *((0.5, 0.5), (0.5, 0.1), (0.1, 0.5), (0.1, 0.02), (0.02, 0.9), (0.9, 0.02)),
    *((0.5, 0.5, 0.5), (0.1, 0.02, 0.5), (0.02, 0.9, 0.1), (0.9, 0.5, 0.02)),
    (0.02, 0.1, 0.02, 0.5, 0.1),
)
LONG = np.linspace(1e-3, 0.08, 200)


def betas_drawn(least: int) -> Any:
    """Lists of `least` to 8 values of β."""
    from hypothesis import strategies as st

    values = st.sampled_from((0.5, 0.1, 0.02, 0.9)) | st.floats(1e-3, 0.9)
    lists = st.lists(values, min_size=least, max_size=8).map(np.array)
    return lists.filter(lambda betas: np.prod(1 - betas) > 1e-4)


def random_betas(rng: np.random.Generator, least: int = 1) -> np.ndarray:
    """From `least` to 6 values of β, all different, and now and then 40."""
    count = 40 if rng.random() < 0.1 else rng.integers(least, 7)
    return np.round(rng.uniform(0.01, 0.6 if count < 7 else 0.1, count), 3)


def steps(least: int = 1) -> Domain:
    """A time t from `least` to T and a chain of T steps."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return betas_drawn(least).flatmap(lambda b: st.tuples(st.integers(least, len(b)), st.just(b)))

    small = [(t, np.array(b)) for b in CHAINS for t in range(least, len(b) + 1)]

    def random(rng: np.random.Generator) -> tuple:
        betas = random_betas(rng, least)
        return int(rng.integers(least, len(betas) + 1)), betas

    return Domain(("t", "betas"), [*small, (least, LONG), (200, LONG)], draw, random=random)


def strides() -> Domain:
    """Times t > s ≥ 0 on a chain of T ≥ t steps."""

    def draw() -> Any:
        from hypothesis import strategies as st

        pairs = betas_drawn(1).flatmap(lambda b: st.tuples(st.integers(1, len(b)), st.just(b)))
        return pairs.flatmap(lambda p: st.tuples(st.just(p[0]), st.integers(0, p[0] - 1), st.just(p[1])))

    small = [(t, s, np.array(b)) for b in CHAINS for t in range(1, len(b) + 1) for s in range(t - 1, -1, -1)]

    def random(rng: np.random.Generator) -> tuple:
        betas = random_betas(rng)
        t = int(rng.integers(1, len(betas) + 1))
        return t, int(rng.integers(t)), betas

    return Domain(("t", "s", "betas"), [*small, (1, 0, LONG), (200, 100, LONG)], draw, random=random)


def chains() -> Domain:
    """A chain alone."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return st.tuples(betas_drawn(1))

    return Domain(
        ("betas",), [*((np.array(b),) for b in CHAINS), (LONG,)], draw, random=lambda rng: (random_betas(rng),)
    )


# ---- the rest


def numbers(name: str, *values: float, least: float, most: float) -> Domain:
    """A number, from `least` to `most`."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return st.tuples(st.sampled_from(values) | st.floats(least, most))

    def random(rng: np.random.Generator) -> tuple:
        if least > 0 and rng.random() < 0.5:
            return (float(f"{np.exp(rng.uniform(np.log(least), np.log(most))):.3g}"),)
        return (uniform(rng, least, most),)

    return Domain((name,), [(value,) for value in values], draw, random=random)


def uniform(rng: np.random.Generator, least: float, most: float) -> float:
    """A number from `least` to `most`, of few digits."""
    return float(np.clip(np.round(rng.uniform(least, most), 3), least, most))


def choice(
    names: Sequence[str],
    *values: tuple,
    batches: Sequence[tuple] = (),
    random: Callable[[np.random.Generator], tuple] | None = None,
) -> Domain:
    """One of these, or at random; Hypothesis draws no others."""

    def draw() -> Any:
        from hypothesis import strategies as st

        return st.sampled_from([*values, *batches])

    return Domain(tuple(names), values, draw, batches, random=random)
