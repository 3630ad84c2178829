"""Values that come again and again, and the noise that spreads them.

A density says how likely the neighbourhood of a point is. A value with a probability of its own, an atom, has none: a
model may put as much density on it as it likes, and its nats fall without bound. Whole numbers and categories are
atoms. Uniform noise over the cell of each, "dequantising", gives them a density, and its nats then bound those of the
probabilities of the cells from above [Uria, Murray & Larochelle 2013; Theis, van den Oord & Bethge 2016, sec. 3.1].
"""

from collections.abc import Sequence

import numpy as np

ROWS = 4000
"""Points that are looked at for atoms, at most."""
FEW = 32
"""Whole numbers are counts and grades, and no measurement, where so many different ones come again and again."""


def with_atoms(x: np.ndarray) -> np.ndarray:
    """Which columns of the points (N, D) have atoms, (D,).

    A column has them where a fifth of its points share a value, or where values come again and again and are a few
    whole numbers, or no two of them nearer than a quarter of the deviation: counts, grades and flags, no measurement
    in tenths of a millimetre.
    """
    x = x[:: -(-len(x) // ROWS)]
    return np.array([_has_atoms(column) for column in x.T], bool)


def _has_atoms(column: np.ndarray) -> bool:
    n, (values, counts) = len(column), np.unique(column, return_counts=True)
    if len(values) > n / 2 or len(values) == 1:
        return bool(counts.max() >= max(3, n / 5))
    whole = len(values) <= FEW and np.all(values == np.rint(values))
    return bool(whole or counts.max() >= n / 5 or np.diff(values).min() >= column.std() / 4)


def dequantised(x: np.ndarray) -> tuple[np.ndarray, tuple[tuple[int, float, float, float], ...]]:
    """The points (N, D) with each column that has atoms, or values again and again, in equal steps spread over these,
    by always the same noise.

    The second is the lattice of these columns: the place, the least and the greatest value, and the step of each.
    """
    lattice, atoms = [], with_atoms(x)
    for i, column in enumerate(x.T):
        values = np.unique(column)
        if (atoms[i] or len(values) <= len(x) / 2) and (step := step_of(values)) is not None:
            lattice.append((i, float(values[0]), float(values[-1]), step))
    places, steps = [i for i, *_ in lattice], np.array([step for *_, step in lattice])
    spread = x.copy()
    spread[:, places] += steps * np.random.default_rng(0).uniform(-0.5, 0.5, (len(x), len(places)))
    return spread, tuple(lattice)


def step_of(values: np.ndarray) -> float | None:
    """The step of sorted values that are the least of them and whole numbers of steps more; None where none is.

    No two values need be neighbours: 0, 2 and 5 are in steps of 1. A step of a cent is .01, and no sum of rounding.
    """
    for unit in (1.0, 10.0, 100.0, 1000.0):
        whole = np.rint(values * unit)
        if np.max(np.abs(whole)) < 2.0**53 and np.all(
            np.abs(values * unit - whole) <= 1e-9 * np.maximum(1, np.abs(whole))
        ):
            return float(np.gcd.reduce(np.diff(whole).astype(np.int64))) / unit
    apart, gap = values[1:] - values[0], float(np.diff(values).min())
    rulers = apart[np.unique(np.searchsorted(apart[:-1], np.geomspace(gap, apart[-1], 20)))]
    for parts in range(1, 21):
        step = gap / parts
        for ruler in rulers:  # each measures the step better than the one before
            step = float(ruler / np.rint(ruler / step))
        steps = np.rint(apart / step)
        lost = np.max(np.abs(apart - step * steps))
        if lost < 1e-3 * step:
            short = (float(f"{step:.{digits}g}") for digits in (3, 6))
            return next((each for each in short if np.max(np.abs(apart - each * steps)) <= 2 * lost), step)
    return None


def listed(names: Sequence[str]) -> str:
    """The first names of columns, and how many more there are."""
    return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)
