"""Whether a library gives NumPy's numbers: the core suite on both, entry by entry."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device, is_array_api_obj

from tinydiff.app.selftest import core, walks
from tinydiff.app.selftest.core import Entries, To
from tinydiff.backend import first_line, namespace, to_numpy

SUITE: tuple[Callable[[To], Entries], ...] = (
    core.processes,
    core.denoisers,
    core.exact,
    core.learned,
    core.pictures,
    core.classifiers,
    walks.samplers,
    walks.steps,
    walks.bounds,
    walks.measures,
)


class Line(NamedTuple):
    """What an entry of the suite gave."""

    piece: str
    name: str
    difference: float
    """The worst |found − expected|/(1 + |expected|); NaN where there is nothing to compare."""
    error: str
    """What went wrong, or nothing."""


def in_dtype(to: To, dtype: Any) -> To:
    """The same `to`, with floating arrays in this dtype of NumPy's."""
    return lambda a: to(a.astype(dtype) if a.dtype.kind == "f" else a)


def compare(to: To, dtype: Any = np.float64, suite: tuple = SUITE) -> Iterator[Line]:
    """The Line of each entry, on arrays that `to` makes and on NumPy's, both in this dtype.

    An entry that raises says so in its line, and the rest goes on.
    """
    here, there = in_dtype(np.asarray, dtype), in_dtype(to, dtype)
    for piece in suite:
        try:
            for (name, expected), (_, found) in zip(piece(here), piece(there), strict=True):
                yield line(piece.__name__, name, found, expected, there(np.empty(0)))
        except Exception as error:  # whatever a library raises is what we came to see
            yield Line(piece.__name__, "its set-up", math.nan, first_line(error))


def line(piece: str, name: str, found: Callable, expected: Callable, like: Any) -> Line:
    """The Line of one entry, by the calls that give what was found, in the kind of `like`, and what was expected."""
    wrong = ""
    try:
        result = leaves(found())
        wrong = foreign(result, like)
        return Line(piece, name, apart(result, leaves(expected())), wrong)
    except Exception as error:
        return Line(piece, name, math.nan, wrong or first_line(error))


def size(suite: tuple = SUITE) -> int:
    """The number of entries."""
    return sum(1 for piece in suite for _ in piece(np.asarray))


def leaves(result: Any) -> list[Any]:
    """The arrays and numbers of a result, which may be a tuple of them."""
    return [leaf for each in result for leaf in leaves(each)] if isinstance(result, tuple) else [result]


def foreign(result: list[Any], like: Any) -> str:
    """A sentence on the first array that is not of the library, device and dtype of `like`; numbers are at home."""
    for a in result:
        if not isinstance(a, float | int) and not is_array_api_obj(a):
            return f"a {type(a).__name__} came back"
        if isinstance(a, float | int) or (found := kind(a)) == (wanted := kind(like)):
            continue
        return f"{' '.join(map(str, found))} came back, not {' '.join(map(str, wanted))}"
    return ""


def kind(a: Any) -> tuple[str, str, str]:
    """Library, device and dtype of an array."""
    return namespace(a).__name__.removeprefix("array_api_compat."), str(device(a)), str(a.dtype)


def apart(found: list[Any], expected: list[Any]) -> float:
    """The worst |found − expected|/(1 + |expected|), 0 for equal infinities; ValueError for other shapes."""
    worst = 0.0
    for a, b in zip(map(to_numpy, found), map(to_numpy, expected), strict=True):
        if a.shape != b.shape:
            raise ValueError(f"shape {a.shape} came back, not {b.shape}")
        with np.errstate(invalid="ignore"):
            gap = np.where(a == b, 0.0, np.abs(a - b) / (1 + np.abs(b)))
        worst = float(np.max(gap, initial=worst))  # NaN stays
    return worst
